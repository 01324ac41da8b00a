"""A tenant forges packets towards another: nothing arrives, and every drop is counted under its reason."""

import json
import os
import socket
import subprocess

from conftest import ACCOUNT_B, POLDER, Network, wait_for

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
        ("fragment-lost", to_router(ipv4(own, "10.0.1.20", 17, udp(9), flags="0010")), "a fragment without a first one"),
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


def counters(region, interface):
    [found] = [i for i in region.admin("interfaces")["interfaces"] if i["interface"] == interface]
    return found


def device(network, instance):
    """An instance's interface and its MAC address."""
    [interface] = network.describe(instance)["NetworkInterfaces"]
    return interface["NetworkInterfaceId"], interface["MacAddress"].replace(":", "")


def dhcp(mac, kind):
    message = "01010600" + "00000001" + "00" * 20 + mac + "00" * 202 + "63825363" + f"3501{kind:02x}ff"
    return ethernet("ffffffffffff", mac, "0800", ipv4("0.0.0.0", "255.255.255.255", 17, udp(67, message, source=68)))


def test_every_frame_is_accounted_for(region):
    """What a port received = delivered + answered + consumed + dropped, to the last frame."""
    network = Network(region, account="303030303030")
    group = network.group("g", ("udp", 9, 9, "0.0.0.0/0"))
    sender, receiver = network.run(group, "10.0.1.70"), network.run(group, "10.0.1.71")
    (port, mac), (peer, _) = device(network, sender), device(network, receiver)
    own, there = "10.0.1.70", "10.0.1.71"

    def to_router(payload):
        return ethernet(ROUTER, mac, "0800", payload)

    delivered = [to_router(ipv4(own, there, 17, udp(9, source=source))) for source in range(1000, 1030)] * 10
    answered = [ethernet("ffffffffffff", mac, "0806", arp(1, mac, own, "0" * 12, there))] * 20 + [dhcp(mac, 1)] * 5
    consumed = [ethernet("ffffffffffff", mac, "0806", arp(1, mac, own, "0" * 12, own))] * 7 + [dhcp(mac, 7)] * 3
    dropped = [
        to_router(ipv4(own, there, 17, udp(10))),
        to_router(ipv4(own, "10.0.1.99", 17, udp(9))),
        to_router(ipv4(own, "198.51.100.1", 17, udp(9))),
        to_router(ipv4("10.0.1.71", there, 17, udp(9))),
        to_router(ipv4(own, there, 17, udp(9), flags="2000")),
        to_router(ipv4(own, there, 17, udp(9), options="8907040a00010a00")),
        to_router("45"),
        ethernet(ROUTER, ROUTER, "0800", ipv4(own, there, 17, udp(9))),
        ethernet("0200deadbeef", mac, "0800", ipv4(own, there, 17, udp(9))),
        ethernet("ffffffffffff", mac, "88cc", "00" * 46),
        ethernet("333300000002", mac, "86dd", "6000000000083aff" + "fe80" + "00" * 14 + "ff02" + "00" * 13 + "02"
                 + "8500000000000000"),
        dhcp(ROUTER, 1),
    ] * 9
    listener = subprocess.Popen([POLDER, "exec", receiver, "--", "python3", "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 9)); print("ready", flush=True)
while True: s.recv(100)
"""], stdout=subprocess.PIPE, text=True)
    try:
        assert listener.stdout.readline() == "ready\n"
        before = {name: counters(region, name) for name in (port, peer)}
        frames = delivered + answered + consumed + dropped
        # From the same number every time, in an order in which kinds are mixed.
        frames = [frames[n * 251 % len(frames)] for n in range(len(frames))]
        assert len(frames) % 251
        # A closed port would answer what DHCP answers.
        region.exec(sender, "python3", "-c", f"""
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); client.bind(("", 68))
{SEND.replace("sys.argv[1:]", "sys.stdin")}
for _ in range(5): client.recv(1500)
""", input="\n".join(frames))

        def passed():
            now = {name: counters(region, name) for name in (port, peer)}
            drops = sum(now[port]["drops"].values()) - sum(before[port]["drops"].values())
            return {
                "received": now[port]["rx_packets"] - before[port]["rx_packets"],
                "delivered": now[peer]["tx_packets"] - before[peer]["tx_packets"],
                "answered": now[port]["tx_packets"] - before[port]["tx_packets"],
                "dropped": drops,
            }

        expected = {"received": len(frames), "delivered": len(delivered), "answered": len(answered),
                    "dropped": len(dropped)}
        wait_for(f"{expected}; so far {passed()}", lambda: passed() == expected, 5)
        assert counters(region, peer)["rx_packets"] == before[peer]["rx_packets"]
    finally:
        listener.kill()
        listener.wait()


# Sends datagrams from one socket for as long as it lives, and one line for each hundred.
CHATTER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 4000))
while True:
    try: s.sendto(b"chatter", (sys.argv[1], 9))
    except OSError: pass
    time.sleep(0.001)
"""


def test_who_gets_an_address_gets_no_conversation_with_it(region):
    """An address goes from an open instance to a closed one: what flowed to the first does not reach the second."""
    network = Network(region, account="404040404040")
    opened, closed = network.group("open", ("udp", 9, 9, "0.0.0.0/0")), network.group("closed")
    talker, first = network.run(opened), network.run(opened, "10.0.1.80")
    public = network.elastic(first)
    outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    chatter = subprocess.Popen([POLDER, "exec", talker, "--", "python3", "-c", CHATTER, "10.0.1.80"])
    try:
        interface, _ = device(network, first)
        wait_for("the talk", lambda: counters(region, interface)["tx_packets"] > 100)
        outside.sendto(b"from outside", (public, 9))
        network.ec2.terminate_instances(InstanceIds=[first])
        wait_for("the end", lambda: network.state(first) == "terminated")
        second = network.run(closed, "10.0.1.80")
        network.ec2.associate_address(
            AllocationId=network.ec2.describe_addresses(PublicIps=[public])["Addresses"][0]["AllocationId"],
            InstanceId=second)
        interface, _ = device(network, second)
        refused = region.drops()["next"]
        wait_for("the talk to be refused", lambda: any(
            drop["reason"] == "security-group-ingress" and "10.0.1.80" in (drop["tuple"] or "")
            for drop in region.drops(refused)["drops"]))
        before = counters(region, interface)["tx_packets"]
        seen = counters(region, device(network, talker)[0])["rx_packets"]
        outside.sendto(b"from outside", (public, 9))
        wait_for("more talk", lambda: counters(region, device(network, talker)[0])["rx_packets"] > seen + 100)
        # Its DHCP and ARP are over: nothing else comes.
        assert counters(region, interface)["tx_packets"] == before
    finally:
        outside.close()
        chatter.kill()
        chatter.wait()


def test_a_revoked_rule_holds_for_flows_that_open_meanwhile(region):
    """New flows are decided while the rule goes: once the API has answered, none of them passes, whenever it began."""
    network = Network(region, account="505050505050")
    group = network.group("g")
    client, server = network.run(group), network.run(group, "10.0.1.90")
    interface, _ = device(network, server)
    port, _ = device(network, client)
    flood = subprocess.Popen([POLDER, "exec", client, "--", "python3", "-c", """
import socket
sockets = []
for port in range(20000, 20400):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", port)); sockets.append(s)
target = 0
while True:
    target = target % 5000 + 1
    for s in sockets: s.sendto(b"x", ("10.0.1.90", 10000 + target))
"""])
    rule = ("udp", 10000, 20000, "0.0.0.0/0")
    try:
        for _ in range(5):
            network.allow(group, *rule)
            start = counters(region, interface)["tx_packets"]
            wait_for("the flood", lambda: counters(region, interface)["tx_packets"] > start + 1000)
            network.forbid(group, *rule)
            after = counters(region, interface)["tx_packets"]
            sent = counters(region, port)["rx_packets"]
            wait_for("more of the flood", lambda: counters(region, port)["rx_packets"] > sent + 5000)
            # One for each processor may have been on its way.
            assert counters(region, interface)["tx_packets"] - after <= os.cpu_count()
    finally:
        flood.kill()
        flood.wait()


# Frames with every kind of offload that a packet socket may ask for, whether or not it fits the frame.
OFFLOADS = """
import itertools, socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))
s.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
sent = 0
for gso, flags, size, start, offset, frame in itertools.product(
        (0, 1, 3, 4, 5, 0x81), (0, 1, 2), (1, 1400, 65535), (34, 0, 14, 54), (16, 6, 0), sys.stdin.read().split()):
    try:
        s.send(struct.pack("=BBHHHH", flags, gso, 34, size, start, offset) + bytes.fromhex(frame)); sent += 1
    except OSError: pass
print(sent)
"""


def test_offloads_that_lie_harm_nobody(region):
    """A guest chooses what its frames ask of the hardware. The slow path takes them as they come."""
    a, b = Network(region, account="606060606060"), Network(region, account="707070707070")
    group = a.group("open", ("-1", 0, 0, "0.0.0.0/0"))
    mallory, victim = a.run(group, "10.0.1.10"), a.run(group, "10.0.1.20")
    a.elastic(mallory)
    _, mac = device(a, mallory)
    big = "78" * 20000
    tcp = "9c40005000000001000000015010040000000000"
    frames = [ethernet(ROUTER, mac, "0800", ipv4("10.0.1.10", to, protocol, body)) for to, protocol, body in (
        ("10.0.1.20", 6, tcp + big), ("203.0.113.1", 6, tcp + big), ("10.0.1.20", 17, udp(9, big)),
        ("10.0.1.20", 17, udp(9)), ("10.0.1.20", 1, "0800000000010001" + big), ("10.0.1.20", 47, big))]
    frames.append(ethernet(ROUTER, mac, "86dd", "60000000" + "4e34" + "0640" + "fd" * 32 + tcp + big))
    frames.append(ethernet("ffffffffffff", mac, "0806", arp(1, mac, "10.0.1.10", "0" * 12, "10.0.1.1") + big))
    sent = region.exec(mallory, "python3", "-c", OFFLOADS, input="\n".join(frames), seconds=120).stdout
    assert int(sent) > 300
    assert region.exec(victim, "ping", "-c1", "-W2", "10.0.1.10").returncode == 0
    neighbours = b.group("g", ("icmp", -1, -1, "0.0.0.0/0"))
    one, _ = b.run(neighbours), b.run(neighbours, "10.0.1.99")
    assert region.exec(one, "ping", "-c1", "-W2", "10.0.1.99").returncode == 0


def test_floods_of_many_ports_leave_the_neighbour_alone(region):
    """Each within its limit, together more than the slow path can do: they wait for themselves, and are told so."""
    a, b = Network(region, account="808080808080"), Network(region, account="909090909090")
    group = a.group("g", ("icmp", -1, -1, "0.0.0.0/0"))
    client, _ = a.run(group), a.run(group, "10.0.1.60")
    quiet = b.group("g")
    flooders = [b.run(quiet) for _ in range(4)]
    floods = [subprocess.Popen([POLDER, "exec", flooder, "--", "python3", "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for port in range(1, 60000):
        try: s.sendto(b"x", ("10.0.1.200", port))
        except OSError: pass
"""]) for flooder in flooders]
    try:
        ports = [device(b, flooder)[0] for flooder in flooders]
        wait_for("the floods", lambda: all(counters(region, port)["upcalls"] > 5000 for port in ports))
        # Every ping opens a flow of its own.
        for _ in range(20):
            region.exec(client, "ping", "-c1", "-W5", "10.0.1.60")
    finally:
        for flood in floods:
            flood.kill()
            flood.wait()
