"""Real packets between instances, and from and to the machine: what the API says is what they meet."""

import json
import subprocess

from conftest import ACCOUNT_B, CONNECT, POLDER, WEB, Network, connect, wait_for


LISTEN = """
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", int(sys.argv[1]))); s.listen(64)
print("listening", flush=True)
while True:
    c, peer = s.accept()
    while data := c.recv(65536): c.sendall(data)
    c.close()
"""


class Server:
    """An echo server inside an instance."""

    def __init__(self, instance, port):
        self.process = subprocess.Popen(
            [POLDER, "exec", instance, "--", "python3", "-c", LISTEN, str(port)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def test_groups_decide_and_say_why(region):
    net = Network(region)
    web = net.group("web", ("tcp", 80, 80, "0.0.0.0/0"))
    db = net.group("db", ("tcp", 3306, 3306, web))
    other = net.group("other")
    a, b, c = net.run(web), net.run(db, "10.0.1.50"), net.run(other)
    with Server(b, 3306):
        assert region.python(a, CONNECT, "10.0.1.50", 3306) == "connected"
        since = region.drops()["next"]
        assert region.python(c, CONNECT, "10.0.1.50", 3306, 0.5) == "lost"
        records = region.drops(since)["drops"]
        assert any(r["reason"] == "security-group-ingress" and r["object"] == db for r in records), records
        # A group reference follows membership at once.
        interface = net.describe(c)["NetworkInterfaces"][0]["NetworkInterfaceId"]
        net.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[web])
        assert region.python(c, CONNECT, "10.0.1.50", 3306) == "connected"


def test_a_revoked_rule_cuts_an_established_connection(region):
    net = Network(region, account="123412341234")
    group = net.group("g", ("tcp", 7000, 7000, "0.0.0.0/0"))
    a, b = net.run(group), net.run(group, "10.0.1.60")
    source = """
import socket, sys
s = socket.create_connection(("10.0.1.60", 7000)); s.settimeout(1)
print("up", flush=True)
for line in sys.stdin:
    try:
        s.sendall(b"x"); print("echo" if s.recv(10) == b"x" else "closed", flush=True)
    except TimeoutError:
        print("lost", flush=True)
"""
    with Server(b, 7000):
        client = subprocess.Popen(
            [POLDER, "exec", a, "--", "python3", "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert client.stdout.readline() == "up\n"

            def ask():
                client.stdin.write("\n")
                client.stdin.flush()
                return client.stdout.readline().strip()

            assert ask() == "echo"
            # A change elsewhere leaves the connection alone.
            net.allow(group, "tcp", 7001, 7001, "0.0.0.0/0")
            assert ask() == "echo"
            net.forbid(group, "tcp", 7000, 7000, "0.0.0.0/0")
            assert ask() == "lost"
        finally:
            client.kill()
            client.wait()


def test_elastic_ip_from_the_machine_and_outward(region):
    net = Network(region, account="432143214321")
    group = net.group("web", ("tcp", 80, 80, "0.0.0.0/0"))
    instance = net.run(group, user_data=WEB)
    public = net.elastic(instance)
    page = lambda: subprocess.run(["curl", "-s", "-m", "2", f"http://{public}/"], capture_output=True, text=True).stdout
    assert "hello" in wait_for("the web server", page)
    assert connect(public, 22, 0.5) == "lost"
    # Outward the machine sees the elastic IP; without one there is no way out.
    done = region.exec(instance, "ping", "-c2", "-i0.2", "-W2", "203.0.113.1")
    assert " 0% packet loss" in done.stdout
    private = net.run(group)
    since = region.drops()["next"]
    assert region.exec(private, "ping", "-c1", "-W1", "203.0.113.1", check=False).returncode == 1
    assert any(r["reason"] == "no-public-address" for r in region.drops(since)["drops"])
    # Without the association there is no way in either.
    [address] = net.ec2.describe_addresses()["Addresses"]
    net.ec2.disassociate_address(AssociationId=address["AssociationId"])
    assert connect(public, 80, 0.5) == "lost"
    net.ec2.release_address(AllocationId=address["AllocationId"])


def test_bulk_and_large_datagrams_arrive_whole(region):
    """TSO frames, through NAT too: every byte arrives."""
    net = Network(region, account="567856785678")
    group = net.group("g", ("-1", 0, 0, "0.0.0.0/0"))
    a, b = net.run(group), net.run(group, "10.0.1.70")
    public = net.elastic(b)
    source = """
import hashlib, json, os, socket, sys, threading
s = socket.create_connection((sys.argv[1], 7000)); data = os.urandom(1 << 22); got = bytearray()
t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))); t.start()
while chunk := s.recv(1 << 16): got += chunk
t.join()
print(json.dumps(bytes(got) == data))
"""
    with Server(b, 7000):
        assert region.python(a, source, "10.0.1.70") is True
        done = subprocess.run(["python3", "-c", source, public], capture_output=True, text=True, timeout=30)
        assert json.loads(done.stdout) is True, done.stderr


def test_two_tenants_with_the_same_addresses(region):
    nets = [Network(region, account=account) for account in ("121212121212", ACCOUNT_B)]
    servers = []
    for net in nets:
        group = net.group("g", ("tcp", 7000, 7000, "10.0.0.0/16"))
        net.instance, net.client = net.run(group, "10.0.1.80"), net.run(group, "10.0.1.81")
        servers.append(net.run(group, "10.0.1.82" if net is nets[0] else "10.0.1.83"))
    with Server(nets[0].instance, 7000):
        assert region.python(nets[0].client, CONNECT, "10.0.1.80", 7000) == "connected"
        # The other tenant's own instance has the address, and nothing listens there.
        assert region.python(nets[1].client, CONNECT, "10.0.1.80", 7000) == "refused"
        since = region.drops()["next"]
        assert region.python(nets[1].client, CONNECT, "10.0.1.82", 7000, 0.5) == "lost"
        mine = [d for d in region.drops(since)["drops"] if d["instance"] == nets[1].client]
        assert {d["reason"] for d in mine} == {"no-such-address"}


def test_the_path_command_tells_what_the_packets_meet(region):
    net = Network(region, account="343434343434")
    web = net.group("web", ("tcp", 80, 80, "0.0.0.0/0"))
    db = net.group("db", ("tcp", 3306, 3306, web))
    a, b = net.run(web), net.run(db)

    def path(*words):
        return subprocess.run([POLDER, "path", *words], capture_output=True, text=True, timeout=10)

    reachable = path(a, b, "--tcp", "3306")
    assert reachable.returncode == 0 and "REACHABLE" in reachable.stdout and "✗" not in reachable.stdout
    blocked = path(b, a, "--tcp", "3306")
    assert blocked.returncode == 1 and "BLOCKED" in blocked.stdout and web in blocked.stdout
    as_json = json.loads(path(b, a, "--tcp", "3306", "--json").stdout)
    assert any(not check["ok"] for check in as_json["forward"])
    assert path("i-0123456789abcdef0", a, "--tcp", "80").returncode == 2
    assert "\x1b" not in reachable.stdout


def test_dhcp_as_a_real_client_sees_it(region):
    """Debian's udhcpc, where it is installed, gets what EC2 would tell it."""
    import shutil
    net = Network(region, account="565656565656", public=False)
    instance = net.run(net.group("g"), "10.0.1.99")
    if not shutil.which("udhcpc") and not shutil.which("busybox"):
        import pytest
        pytest.skip("no udhcpc here: apt-get install udhcpc")
    command = ["udhcpc"] if shutil.which("udhcpc") else ["busybox", "udhcpc"]
    script = "/bin/true"
    done = region.exec(instance, *command, "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "1", "-s", script)
    assert "10.0.1.99" in done.stdout + done.stderr
    assert "3600" in done.stdout + done.stderr
