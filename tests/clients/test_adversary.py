"""A tenant forges packets towards another: nothing arrives, and every drop is counted under its reason."""

import json
import subprocess

from conftest import ACCOUNT_B, POLDER, Network

# Sends frames out of eth0 as they are; the frame is built from hexadecimal arguments.
SEND = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))
for frame in sys.argv[1:]: s.send(bytes.fromhex(frame))
"""

# Prints every frame that reaches eth0 and was not sent here.
SNIFF = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(("eth0", 3))
print("ready", flush=True)
while True:
    frame, (_, _, kind, *_) = s.recvfrom(65536)
    if kind != socket.PACKET_OUTGOING: print(frame.hex(), flush=True)
"""

MARK = b"from the adversary".hex()
ROUTER = "027064000001"


def ip(address):
    return bytes(map(int, address.split("."))).hex()


def checksum(data):
    total = sum(int.from_bytes(data[i:i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2, "big")


def ipv4(source, destination, protocol, payload, options="", flags="4000", length=None):
    payload = bytes.fromhex(payload)
    ihl = 5 + len(options) // 8
    header = bytes.fromhex(
        f"4{ihl:x}00" + (length or len(payload) + ihl * 4).to_bytes(2, "big").hex() + "0001" + flags + "40"
        + f"{protocol:02x}0000" + ip(source) + ip(destination) + options)
    return (header[:10] + checksum(header) + header[12:] + payload).hex()


def udp(port, payload=MARK, source=40000):
    return (source.to_bytes(2, "big") + port.to_bytes(2, "big")
            + (8 + len(payload) // 2).to_bytes(2, "big")).hex() + "0000" + payload


def ethernet(destination, source, kind, payload):
    return destination + source + kind + payload


def arp(operation, sender_mac, sender, target_mac, target):
    return "0001080006040" + f"{operation:03x}" + sender_mac + ip(sender) + target_mac + ip(target)


def test_nothing_forged_arrives_and_everything_is_counted(region):
    a, b = Network(region), Network(region, account=ACCOUNT_B)
    open_to_all = ("-1", 0, 0, "0.0.0.0/0")
    victim = a.run(a.group("open", open_to_all), "10.0.1.10")
    bystander = b.run(b.group("open", open_to_all), "10.0.1.20")
    mallory = b.run(b.group("mallory", open_to_all), "10.0.1.30")
    mac = b.describe(mallory)["NetworkInterfaces"][0]["MacAddress"].replace(":", "")
    victims_mac = a.describe(victim)["NetworkInterfaces"][0]["MacAddress"].replace(":", "")
    interface = b.describe(mallory)["NetworkInterfaces"][0]["NetworkInterfaceId"]

    def to_router(payload, source=mac, kind="0800"):
        return ethernet(ROUTER, source, kind, payload)

    inner = ethernet(victims_mac, mac, "0800", ipv4("10.0.1.30", "10.0.1.10", 17, udp(9)))
    vxlan = "0800000000000100" + inner
    own = "10.0.1.30"
    attacks = [
        # (reason, frame, what it tries)
        ("spoofed-address", to_router(ipv4("10.0.1.20", "10.0.1.10", 17, udp(9))), "a neighbour's address"),
        ("spoofed-address", to_router(ipv4("203.0.113.1", "10.0.1.20", 17, udp(9))), "the host's address"),
        ("spoofed-mac", to_router(ipv4(own, "10.0.1.20", 17, udp(9)), source=victims_mac), "the victim's MAC"),
        ("spoofed-mac", to_router(ipv4(own, "10.0.1.20", 17, udp(9)), source=ROUTER), "the router's MAC"),
        ("foreign-mac", ethernet(victims_mac, mac, "0800", ipv4(own, "10.0.1.10", 17, udp(9))), "the victim, directly"),
        ("broadcast-or-multicast", ethernet("ffffffffffff", mac, "0800", ipv4(own, "255.255.255.255", 17, udp(9))), "everybody"),
        ("broadcast-or-multicast", ethernet("01005e000001", mac, "0800", ipv4(own, "224.0.0.1", 17, udp(9))), "all hosts"),
        ("no-such-address", to_router(ipv4(own, "10.0.1.10", 17, udp(9))), "the victim's address in one's own VPC"),
        ("no-public-address", to_router(ipv4(own, "203.0.113.1", 17, udp(4789, vxlan))), "VXLAN at the host's uplink"),
        ("not-a-service", to_router(ipv4(own, "10.0.1.1", 17, udp(4789, vxlan))), "VXLAN at the router"),
        ("forged-arp", ethernet("ffffffffffff", mac, "0806", arp(2, mac, "10.0.1.20", mac, "10.0.1.20")), "an ARP reply for a neighbour"),
        ("forged-arp", ethernet("ffffffffffff", mac, "0806", arp(1, mac, "10.0.1.1", "000000000000", "10.0.1.20")), "an ARP request as the router"),
        ("unsupported-ethertype", to_router("0001" + "0800" + ipv4(own, "10.0.1.20", 17, udp(9)), kind="8100"), "a VLAN tag"),
        ("unsupported-ethertype", ethernet("0180c2000000", mac, "0026", "424203" + "00" * 35), "spanning tree"),
        ("ip-options", to_router(ipv4(own, "10.0.1.20", 17, udp(9), options="8907040a00010a00")), "source routing"),
        ("fragment", to_router(ipv4(own, "10.0.1.20", 17, udp(9), flags="2000")), "a first fragment"),
        ("fragment", to_router(ipv4(own, "10.0.1.20", 17, udp(9), flags="0010")), "a later fragment"),
        ("malformed-frame", to_router(ipv4(own, "10.0.1.20", 17, udp(9), length=9000)), "a length that lies"),
        ("malformed-frame", to_router("45"), "a truncated header"),
        ("malformed-frame", to_router("65" + ipv4(own, "10.0.1.20", 17, udp(9))[2:]), "version 6 as IPv4"),
    ]
    sniffers = []
    for instance in (victim, bystander):
        sniffer = subprocess.Popen(
            [POLDER, "exec", instance, "--", "python3", "-c", SNIFF], stdout=subprocess.PIPE, text=True)
        assert sniffer.stdout.readline() == "ready\n"
        sniffers.append(sniffer)
    try:
        def counted():
            [counters] = [i for i in region.admin("interfaces")["interfaces"] if i["interface"] == interface]
            return {name: count for name, count in counters["drops"].items()}

        for reason, frame, what in attacks:
            before = counted()
            region.exec(mallory, "python3", "-c", SEND, frame)
            from conftest import wait_for
            wait_for(f"{what} to be counted as {reason}; {before} became {counted()}",
                     lambda: counted().get(reason, 0) == before.get(reason, 0) + 1, 3)
            after = counted()
            others = {k: v for k, v in after.items() if k != reason and v != before.get(k, 0)}
            assert not others, f"{what}: also counted as {others}"
        # A frame that is allowed arrives, so the sniffers do see what comes.
        region.exec(mallory, "python3", "-c", SEND, to_router(ipv4(own, "10.0.1.20", 17, udp(9, b"allowed".hex()))))
        assert b"allowed".hex() in sniffers[1].stdout.readline()
    finally:
        for sniffer in sniffers:
            sniffer.kill()
    for sniffer in sniffers:
        rest = sniffer.communicate()[0]
        assert MARK not in rest, rest


def test_a_flood_of_new_flows_leaves_the_neighbour_alone(region):
    """Upcalls are limited per interface: one tenant's scan does not starve another's connections."""
    a, b = Network(region, account="101010101010"), Network(region, account="202020202020")
    group = a.group("g", ("tcp", 7000, 7000, "0.0.0.0/0"))
    client, server = a.run(group), a.run(group, "10.0.1.60")
    flooder = b.run(b.group("g"))
    flood = subprocess.Popen([POLDER, "exec", flooder, "--", "python3", "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); n = 0
while True:
    for port in range(1, 60000):
        try: s.sendto(b"x", (f"10.0.{(n >> 4) & 1 | 1}.{n % 200 + 4}", port))
        except OSError: pass
        n += 1
"""])
    listener = subprocess.Popen(
        [POLDER, "exec", server, "--", "python3", "-c", """
import socket
s = socket.socket(); s.bind(("", 7000)); s.listen(128); print("ready", flush=True)
while True: s.accept()[0].close()
"""], stdout=subprocess.PIPE, text=True)
    try:
        assert listener.stdout.readline() == "ready\n"
        made = region.python(client, """
import json, socket
made = 0
for _ in range(200):
    s = socket.socket(); s.settimeout(3)
    try: s.connect(("10.0.1.60", 7000)); made += 1
    except OSError: pass
    s.close()
print(json.dumps(made))
""", seconds=60)
        assert made == 200
        assert json.dumps(region.admin("status"))
    finally:
        for process in (flood, listener):
            process.kill()
            process.wait()
