"""Network ACLs: what boto3 gets told, and what packets meet at the border of a subnet."""

import subprocess

import pytest
from botocore.exceptions import ClientError
from conftest import CONNECT, POLDER, WEB, Network, connect, wait_for
from test_packets import Server

NONE = "0123456789abcdef0"

# Sends this many datagrams, one after the other; says how many came back.
ASK = """
import json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3); s.bind(("", 40000))
back = 0
for n in range(int(sys.argv[3])):
    s.sendto(b"%d" % n, (sys.argv[1], int(sys.argv[2])))
    try: back += s.recv(100) == b"%d" % n
    except TimeoutError: pass
print(json.dumps(back))
"""

# Echoes datagrams, and prints them.
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", int(sys.argv[1])))
print("listening", flush=True)
while True:
    data, peer = s.recvfrom(2048); s.sendto(data, peer); print(data.decode(), flush=True)
"""

# One connection; for each line of input, whether another octet comes back.
TALK = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.settimeout(0.7)
print("up", flush=True)
for n, line in enumerate(sys.stdin):
    try:
        s.sendall(bytes([n]))
        while (got := s.recv(100)) and n not in got: pass
        print("echo" if got else "closed", flush=True)
    except TimeoutError: print("lost", flush=True)
"""


class Acl:
    """A network ACL of a test; entries are (number, action, protocol, block, ports or ICMP type)."""

    def __init__(self, net):
        self.ec2 = net.ec2
        self.id = net.ec2.create_network_acl(VpcId=net.vpc)["NetworkAcl"]["NetworkAclId"]

    def request(self, egress, number, action, protocol, block, what):
        request = dict(
            NetworkAclId=self.id, RuleNumber=number, Egress=egress, RuleAction=action, Protocol=str(protocol),
            CidrBlock=block)
        if protocol in (6, 17):
            request["PortRange"] = {"From": what[0], "To": what[1]}
        if protocol == 1:
            request["IcmpTypeCode"] = {"Type": what, "Code": -1}
        return request

    def inbound(self, number, action, protocol=-1, block="0.0.0.0/0", what=None):
        self.ec2.create_network_acl_entry(**self.request(False, number, action, protocol, block, what))

    def outbound(self, number, action, protocol=-1, block="0.0.0.0/0", what=None):
        self.ec2.create_network_acl_entry(**self.request(True, number, action, protocol, block, what))

    def replace(self, egress, number, action, protocol=-1, block="0.0.0.0/0", what=None):
        self.ec2.replace_network_acl_entry(**self.request(egress, number, action, protocol, block, what))

    def delete(self, egress, number):
        self.ec2.delete_network_acl_entry(NetworkAclId=self.id, Egress=egress, RuleNumber=number)

    def guard(self, subnet):
        """Gives it to a subnet; the id of the one that the subnet had."""
        [old] = self.ec2.describe_network_acls(
            Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"]
        [association] = [a for a in old["Associations"] if a["SubnetId"] == subnet]
        new = self.ec2.replace_network_acl_association(
            AssociationId=association["NetworkAclAssociationId"], NetworkAclId=self.id)["NewAssociationId"]
        assert new.startswith("aclassoc-") and new != association["NetworkAclAssociationId"]
        return old["NetworkAclId"]


class Pair:
    """Two subnets of a VPC, a client in one and a server in the other, whose groups let everything through."""

    def __init__(self, region, account):
        self.region = region
        self.net = net = Network(region, account=account, public=False)
        self.other = net.add_subnet("10.0.2.0/24")
        self.group = net.group("all", ("-1", 0, 0, "0.0.0.0/0"))
        self.client = net.run(self.group, "10.0.1.50")
        self.server = net.run(self.group, "10.0.2.50", subnet=self.other)
        self.acl = Acl(net)

    def interface(self, instance):
        return self.net.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]

    def connect(self, seconds=0.5):
        return self.region.python(self.client, CONNECT, "10.0.2.50", 7000, seconds)

    def path(self, *words):
        done = subprocess.run([POLDER, "path", *words], capture_output=True, text=True, timeout=10)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode == 0, done.stdout

    def acl_drops(self, since):
        """What ACLs dropped of this account's packets: who sent it, the step, the ACL, and its entry."""
        return {
            (drop["interface"], drop["step"], drop["object"], drop["rule"]) for drop in self.region.drops(since)["drops"]
            if drop["account"] == self.net.account and drop["reason"] == "network-acl"}


def code_of(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def test_what_boto3_is_told(region):
    net = Network(region, account="616161616161", public=False)
    acl = net.ec2.create_network_acl(
        VpcId=net.vpc, TagSpecifications=[{"ResourceType": "network-acl", "Tags": [{"Key": "Name", "Value": "dmz"}]}],
    )["NetworkAcl"]
    name = acl["NetworkAclId"]
    last = {"CidrBlock": "0.0.0.0/0", "Protocol": "-1", "RuleAction": "deny", "RuleNumber": 32767}
    assert acl == {
        "Associations": [], "Entries": [last | {"Egress": True}, last | {"Egress": False}], "IsDefault": False,
        "NetworkAclId": name, "Tags": [{"Key": "Name", "Value": "dmz"}], "VpcId": net.vpc, "OwnerId": "616161616161"}
    entries = [
        {"Egress": False, "Protocol": "6", "RuleAction": "allow", "RuleNumber": 1, "CidrBlock": "10.0.0.0/8",
         "PortRange": {"From": 80, "To": 90}},
        {"Egress": False, "Protocol": "1", "RuleAction": "deny", "RuleNumber": 2, "CidrBlock": "0.0.0.0/0",
         "IcmpTypeCode": {"Type": 8, "Code": -1}},
        {"Egress": False, "Protocol": "58", "RuleAction": "allow", "RuleNumber": 3, "Ipv6CidrBlock": "2001:db8::/32",
         "IcmpTypeCode": {"Type": -1, "Code": -1}},
        {"Egress": False, "Protocol": "50", "RuleAction": "allow", "RuleNumber": 32766, "CidrBlock": "0.0.0.0/0"},
    ]
    for entry in reversed(entries):
        net.ec2.create_network_acl_entry(NetworkAclId=name, **entry)
    [acl] = net.ec2.describe_network_acls(Filters=[{"Name": "tag:Name", "Values": ["dmz"]}])["NetworkAcls"]
    assert [e for e in acl["Entries"] if not e["Egress"]] == [*entries, last | {"Egress": False}]
    # Errors.
    first = dict(NetworkAclId=name, **entries[0])
    ec2 = net.ec2
    assert code_of(ec2.create_network_acl_entry, **first) == "NetworkAclEntryAlreadyExists"
    assert code_of(ec2.create_network_acl_entry, **first | {"RuleNumber": 32767}) == "InvalidParameterValue"
    assert code_of(ec2.replace_network_acl_entry, **first | {"Egress": True}) == "InvalidNetworkAclEntry.NotFound"
    absent = dict(NetworkAclId=name, Egress=True, RuleNumber=1)
    assert code_of(ec2.delete_network_acl_entry, **absent) == "InvalidNetworkAclEntry.NotFound"
    assert code_of(ec2.delete_network_acl, NetworkAclId=f"acl-{NONE}") == "InvalidNetworkAclID.NotFound"
    assert code_of(ec2.replace_network_acl_association, AssociationId=f"aclassoc-{NONE}", NetworkAclId=name) == (
        "InvalidAssociationID.NotFound")
    stranger = region.client(account="626262626262")
    assert code_of(stranger.delete_network_acl, NetworkAclId=name) == "InvalidNetworkAclID.NotFound"
    # A subnet or a VPC that is there holds it.
    mine = Acl(net)
    default = mine.guard(net.subnet)
    assert code_of(ec2.delete_network_acl, NetworkAclId=mine.id) == "DependencyViolation"
    assert code_of(ec2.delete_network_acl, NetworkAclId=default) == "InvalidParameterValue"
    ec2.delete_subnet(SubnetId=net.subnet)
    assert code_of(ec2.delete_vpc, VpcId=net.vpc) == "DependencyViolation"
    ec2.delete_network_acl(NetworkAclId=mine.id)
    ec2.delete_network_acl(NetworkAclId=name)
    ec2.delete_vpc(VpcId=net.vpc)


def test_the_lowest_number_decides_at_once(region):
    pair = Pair(region, "636363636363")
    acl, client, server = pair.acl, pair.client, pair.server
    mine = pair.interface(client)
    with Server(server, 7000):
        assert pair.connect() == "connected"
        # An ACL without entries denies everything, in both directions, from the moment the subnet has it.
        acl.guard(pair.other)
        since = region.drops()["next"]
        assert pair.connect() == "lost"
        assert pair.acl_drops(since) == {(mine, "ingress-acl", acl.id, "entry *")}
        reachable, text = pair.path(client, server, "--tcp", "7000")
        assert not reachable and "inbound network ACL" in text and acl.id in text and "entry *" in text
        reachable, text = pair.path(server, client, "--tcp", "7000")
        assert not reachable and "outbound network ACL" in text and acl.id in text
        # Nobody looks at what stays within the subnet.
        near = pair.net.run(pair.group, "10.0.2.51", subnet=pair.other)
        assert region.python(near, CONNECT, "10.0.2.50", 7000) == "connected"
        # Requests and answers each need an entry.
        acl.inbound(100, "allow", 6, "10.0.1.0/24", (7000, 7000))
        acl.outbound(100, "allow", 6, "10.0.1.0/24", (1024, 65535))
        assert pair.connect() == "connected"
        assert pair.path(client, server, "--tcp", "7000")[0]
        talk = subprocess.Popen(
            [POLDER, "exec", client, "--", "python3", "-c", TALK, "10.0.2.50", "7000"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert talk.stdout.readline() == "up\n"

            def ask():
                talk.stdin.write("\n")
                talk.stdin.flush()
                return talk.stdout.readline().strip()

            assert ask() == "echo"
            # A denial behind what allows it changes nothing; one before it cuts what is there.
            acl.inbound(101, "deny", -1, "10.0.1.50/32")
            assert ask() == "echo"
            acl.inbound(99, "deny", -1, "10.0.1.50/32")
            since = region.drops()["next"]
            assert ask() == "lost"
            assert pair.connect() == "lost"
            assert pair.acl_drops(since) == {(mine, "ingress-acl", acl.id, "entry 99: deny all from 10.0.1.50/32")}
            shown = subprocess.run([POLDER, "drops"], capture_output=True, text=True, timeout=10).stdout
            assert f"network-acl  at ingress-acl  {acl.id}  (entry 99: deny all from 10.0.1.50/32)" in shown
            reachable, text = pair.path(client, server, "--tcp", "7000")
            assert not reachable and "entry 99: deny all from 10.0.1.50/32" in text
            acl.replace(False, 99, "deny", -1, "10.0.1.51/32")
            assert wait_for("the connection to go on", lambda: ask() == "echo")
            assert pair.connect() == "connected"
            # The answers' entry cuts as well.
            acl.delete(True, 100)
            assert ask() == "lost"
        finally:
            talk.kill()
            talk.wait()


def test_answers_need_an_entry_of_their_own(region):
    pair = Pair(region, "646464646464")
    acl = pair.acl
    acl.inbound(10, "allow", 17, "10.0.1.0/24", (7000, 7000))
    acl.guard(pair.other)
    theirs = pair.interface(pair.server)

    def denied():
        [found] = [i for i in region.admin("interfaces")["interfaces"] if i["interface"] == theirs]
        return found["drops"].get("network-acl", 0)

    def sessions():
        return [s for s in region.admin("sessions")["sessions"] if pair.interface(pair.client) in str(s)]

    echo = subprocess.Popen(
        [POLDER, "exec", pair.server, "--", "python3", "-c", ECHO, "7000"], stdout=subprocess.PIPE, text=True)
    try:
        assert echo.stdout.readline() == "listening\n"
        since, before = region.drops()["next"], denied()
        # Every request arrives, and every answer is dropped where it leaves, under the interface that sent it.
        assert region.python(pair.client, ASK, "10.0.2.50", 7000, 3) == 0
        assert [echo.stdout.readline().strip() for _ in range(3)] == ["0", "1", "2"]
        wait_for("three answers to be counted", lambda: denied() - before == 3)
        assert pair.acl_drops(since) == {(theirs, "egress-acl", acl.id, "entry *")}
        assert not pair.path(pair.client, pair.server, "--udp", "7000")[0]
        # What may only go one way has no session.
        assert not sessions()
        acl.outbound(10, "allow", 17, "0.0.0.0/0", (1024, 39999))
        assert region.python(pair.client, ASK, "10.0.2.50", 7000, 2) == 0
        acl.replace(True, 10, "allow", 17, "0.0.0.0/0", (1024, 65535))
        assert region.python(pair.client, ASK, "10.0.2.50", 7000, 5) == 5
        assert sessions()
        # The client's subnet has a say too.
        side = Acl(pair.net)
        side.outbound(1, "allow")
        side.inbound(1, "deny", 17, "0.0.0.0/0", (40000, 40000))
        side.inbound(2, "allow")
        side.guard(pair.net.subnet)
        since = region.drops()["next"]
        assert region.python(pair.client, ASK, "10.0.2.50", 7000, 2) == 0
        assert pair.acl_drops(since) == {
            (theirs, "ingress-acl", side.id, "entry 1: deny udp 40000 from 0.0.0.0/0")}
    finally:
        echo.kill()
        echo.wait()


def test_icmp_by_type(region):
    pair = Pair(region, "656565656565")
    ping = lambda: pair.region.exec(
        pair.client, "ping", "-c2", "-i0.2", "-W1", "10.0.2.50", check=False).returncode
    pair.acl.inbound(1, "allow", 1, "0.0.0.0/0", 8)
    pair.acl.guard(pair.other)
    assert ping() == 1
    # Answers are of another type.
    pair.acl.outbound(1, "allow", 1, "0.0.0.0/0", 8)
    assert ping() == 1
    pair.acl.outbound(2, "allow", 1, "0.0.0.0/0", 0)
    assert ping() == 0


def test_between_a_subnet_and_the_internet(region):
    net = Network(region, account="676767676767")
    instance = net.run(net.group("web", ("tcp", 80, 80, "0.0.0.0/0")), user_data=WEB)
    public = net.elastic(instance)
    wait_for("the web server", lambda: connect(public, 80, 0.5) == "connected")
    acl = Acl(net)
    acl.inbound(100, "allow", 6, "0.0.0.0/0", (80, 80))
    acl.outbound(100, "allow", 6, "0.0.0.0/0", (1024, 65535))
    default = acl.guard(net.subnet)
    assert connect(public, 80) == "connected"
    # The machine itself sends from its address in the pool; the ACL sees the instance's private one.
    acl.inbound(50, "deny", 6, "203.0.113.1/32", (80, 80))
    since = region.drops()["next"]
    assert connect(public, 80, 0.5) == "lost"
    assert {(d["step"], d["object"], d["rule"]) for d in region.drops(since)["drops"] if d["interface"] == "uplink"} == {
        ("ingress-acl", acl.id, "entry 50: deny tcp 80 from 203.0.113.1/32")}
    acl.delete(False, 50)
    assert connect(public, 80) == "connected"
    acl.delete(True, 100)
    assert connect(public, 80, 0.5) == "lost"
    # Back to the default one, which allows all.
    [described] = net.ec2.describe_network_acls(NetworkAclIds=[acl.id])["NetworkAcls"]
    [association] = described["Associations"]
    net.ec2.replace_network_acl_association(
        AssociationId=association["NetworkAclAssociationId"], NetworkAclId=default)
    assert connect(public, 80) == "connected"
    net.ec2.delete_network_acl(NetworkAclId=acl.id)
