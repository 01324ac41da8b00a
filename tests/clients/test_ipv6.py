"""IPv6 in real packets: addresses by DHCPv6, rules, gateways, peering, and what is forged."""

import ipaddress
import json
import socket
import subprocess

import pytest

from conftest import ACCOUNT_A, ACCOUNT_B, POLDER, Network, Region, wait_for

HOST = "2001:db8::1"

SERVE = """
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[2] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET6, kind); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", int(sys.argv[1])))
if kind == socket.SOCK_STREAM: s.listen(16)
print("listening", flush=True)
while True:
    if kind == socket.SOCK_DGRAM:
        data, peer = s.recvfrom(65536); s.sendto(peer[0].encode(), peer)
    else:
        c, peer = s.accept(); c.recv(100); c.sendall(peer[0].encode()); c.close()
"""

# What a client is told of its own address.
ASK = """
import json, socket, sys
kind = socket.SOCK_STREAM if sys.argv[3] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET6, kind); s.settimeout(float(sys.argv[4]) if len(sys.argv) > 4 else 3)
try:
    s.connect((sys.argv[1], int(sys.argv[2]))); s.send(b"who am I"); print(json.dumps(s.recv(100).decode()))
except OSError:
    print(json.dumps("lost"))
"""


class Server:
    """Tells each client its address, in an instance or on the machine."""

    def __init__(self, instance, port, kind="tcp"):
        inside = [POLDER, "exec", instance, "--"] if instance else []
        self.process = subprocess.Popen(
            [*inside, "python3", "-c", SERVE, str(port), kind], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Network6(Network):
    """A VPC of two families: a public subnet, and a private one that reaches out by an egress-only gateway."""

    def __init__(self, region, account=ACCOUNT_A, cidr="10.0.0.0/16"):
        prefix = ".".join(cidr.split(".")[:2])
        super().__init__(region, account, cidr, f"{prefix}.1.0/24")
        ec2 = self.ec2
        ec2.associate_vpc_cidr_block(VpcId=self.vpc, AmazonProvidedIpv6CidrBlock=True)
        found = ec2.describe_vpcs(VpcIds=[self.vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]
        self.block = found["Ipv6CidrBlock"]
        ec2.associate_subnet_cidr_block(SubnetId=self.subnet, Ipv6CidrBlock=self.nth(1))
        ec2.create_route(RouteTableId=self.table, DestinationIpv6CidrBlock="::/0", GatewayId=self.gateway)
        self.private = self.add_subnet(f"{prefix}.2.0/24")
        ec2.associate_subnet_cidr_block(SubnetId=self.private, Ipv6CidrBlock=self.nth(2))
        made = ec2.create_egress_only_internet_gateway(VpcId=self.vpc)["EgressOnlyInternetGateway"]
        self.egress_only = made["EgressOnlyInternetGatewayId"]
        self.private_table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=self.private_table, SubnetId=self.private)
        ec2.create_route(
            RouteTableId=self.private_table, DestinationIpv6CidrBlock="::/0",
            EgressOnlyInternetGatewayId=self.egress_only)

    def nth(self, subnet):
        """The subnet's block of this number."""
        return str(list(ipaddress.ip_network(self.block).subnets(new_prefix=64))[subnet])

    def run6(self, group, subnet=None):
        """An instance with an IPv6 address: its id and the address."""
        instance = self.ec2.run_instances(
            ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, SubnetId=subnet or self.subnet,
            SecurityGroupIds=[group], Ipv6AddressCount=1)["Instances"][0]["InstanceId"]
        wait_for(f"{instance} to run", lambda: self.state(instance) == "running")
        return instance, self.address6(instance)

    def address6(self, instance):
        return self.describe(instance)["NetworkInterfaces"][0]["Ipv6Addresses"][0]["Ipv6Address"]

    def open6(self, group, protocol, first=-1, last=-1, source="::/0"):
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            {"IpProtocol": protocol, "FromPort": first, "ToPort": last, "Ipv6Ranges": [{"CidrIpv6": source}]}])


def connect(address, port, seconds=2):
    """What becomes of a TCP connection from this machine."""
    with socket.socket(socket.AF_INET6) as s:
        s.settimeout(seconds)
        try:
            s.connect((address, port))
            return "connected"
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "lost"


def reasons(region, since):
    return {record["reason"] for record in region.drops(since)["drops"]}


def pings(region, instance, address, *options):
    done = region.exec(instance, "ping", "-c2", "-i0.2", "-W1", *options, address, check=False)
    return " 0% packet loss" in done.stdout


def addresses(region, instance):
    shown = region.exec(instance, "ip", "-6", "-j", "addr", "show", "dev", "eth0").stdout
    return [found for link in json.loads(shown) for found in link.get("addr_info", [])]


@pytest.fixture(scope="module")
def net(region):
    net = Network6(region)
    net.web = net.group("web")
    net.open6(net.web, "tcp", 80, 80)
    net.open6(net.web, "udp", 53, 53)
    net.open6(net.web, "icmpv6")
    net.db = net.group("db", ("tcp", 3306, 3306, net.web))
    net.a, net.a6 = net.run6(net.web)
    net.b, net.b6 = net.run6(net.web)
    net.c, net.c6 = net.run6(net.db, net.private)
    return net


def test_addresses_come_by_dhcp_and_the_route_by_advertisement(region, net):
    for instance, address in ((net.a, net.a6), (net.c, net.c6)):
        found = {(a["local"], a["prefixlen"]) for a in addresses(region, instance)}
        assert (address, 128) in found
        assert [local for local, _ in found if local.startswith("fe80:")]
        routes = region.exec(instance, "ip", "-6", "route", "show", "default").stdout
        assert "via fe80::70:64ff:fe00:1 dev eth0 proto ra" in routes
    assert net.a6.startswith(net.nth(1).split("::")[0])
    # The subnet is on the link, but nobody makes one of its addresses himself.
    assert len(addresses(region, net.a)) == 2


def test_in_and_across_subnets(region, net):
    assert pings(region, net.a, net.b6)
    with Server(net.b, 80), Server(net.b, 53, "udp"):
        assert region.python(net.a, ASK, net.b6, 80, "tcp") == net.a6
        assert region.python(net.a, ASK, net.b6, 53, "udp") == net.a6
        assert region.python(net.c, ASK, net.b6, 80, "tcp") == net.c6
    with Server(net.b, 81):
        since = region.drops()["next"]
        assert region.python(net.a, ASK, net.b6, 81, "tcp", 0.5) == "lost"
        assert reasons(region, since) == {"security-group-ingress"}
    # A reference to a group holds for IPv6 as it does for IPv4.
    with Server(net.c, 3306):
        assert region.python(net.a, ASK, net.c6, 3306, "tcp") == net.a6
    since = region.drops()["next"]
    assert not pings(region, net.a, net.c6)
    assert reasons(region, since) == {"security-group-ingress"}


def test_network_acls(region, net):
    acl = net.ec2.create_network_acl(VpcId=net.vpc)["NetworkAcl"]["NetworkAclId"]
    for egress in (False, True):
        net.ec2.create_network_acl_entry(
            NetworkAclId=acl, RuleNumber=100, Protocol="6", RuleAction="allow", Egress=egress,
            Ipv6CidrBlock=net.block, PortRange={"From": 0, "To": 65535})
    filters = [{"Name": "association.subnet-id", "Values": [net.private]}]
    [found] = net.ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
    [association] = [a for a in found["Associations"] if a["SubnetId"] == net.private]
    changed = net.ec2.replace_network_acl_association(
        AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl)
    try:
        with Server(net.b, 80):
            assert region.python(net.c, ASK, net.b6, 80, "tcp") == net.c6
        since = region.drops()["next"]
        assert not pings(region, net.c, net.b6)
        assert reasons(region, since) == {"network-acl"}
    finally:
        net.ec2.replace_network_acl_association(
            AssociationId=changed["NewAssociationId"], NetworkAclId=found["NetworkAclId"])
    assert pings(region, net.c, net.b6)


def test_the_internet_gateway_both_ways(region, net):
    with Server(None, 8080):
        assert region.python(net.a, ASK, HOST, 8080, "tcp") == net.a6
    with Server(net.a, 80), Server(net.a, 81):
        assert connect(net.a6, 80) == "connected"
        since = region.drops()["next"]
        assert connect(net.a6, 81, 0.5) == "lost"
        assert reasons(region, since) == {"security-group-ingress"}
    done = subprocess.run(["ping", "-c2", "-i0.2", "-W1", net.a6], capture_output=True, text=True)
    assert " 0% packet loss" in done.stdout
    # Without a route there is no way in, and none out.
    net.ec2.delete_route(RouteTableId=net.table, DestinationIpv6CidrBlock="::/0")
    since = region.drops()["next"]
    assert connect(net.a6, 80, 0.5) == "lost"
    assert not pings(region, net.a, HOST)
    assert reasons(region, since) == {"no-return-route", "no-route"}
    net.ec2.create_route(RouteTableId=net.table, DestinationIpv6CidrBlock="::/0", GatewayId=net.gateway)
    assert pings(region, net.a, HOST)


def test_the_egress_only_gateway_lets_answers_in_only(region, net):
    with Server(None, 8080):
        assert region.python(net.c, ASK, HOST, 8080, "tcp") == net.c6
    assert pings(region, net.c, HOST)
    net.open6(net.db, "tcp", 22, 22)
    since = region.drops()["next"]
    assert connect(net.c6, 22, 0.5) == "lost"
    assert reasons(region, since) == {"egress-only"}
    net.ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=net.egress_only)
    since = region.drops()["next"]
    assert not pings(region, net.c, HOST)
    assert reasons(region, since) == {"blackhole-route"}


def test_what_is_forged(region, net):
    spare = net.nth(1).replace("::/64", "::99")
    since = region.drops()["next"]
    region.exec(net.a, "ip", "-6", "addr", "add", f"{spare}/128", "dev", "eth0", "nodad")
    assert not pings(region, net.a, net.b6, "-I", spare)
    # Its own neighbour solicitations are for routers known already; what it sends is nobody's.
    assert "spoofed-address" in reasons(region, since)
    region.exec(net.a, "ip", "-6", "addr", "del", f"{spare}/128", "dev", "eth0")
    # Duplicate address detection: one's own address is free, a neighbour's is not.
    region.exec(net.a, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1")
    region.exec(net.a, "ip", "-6", "addr", "add", f"{net.b6}/128", "dev", "eth0")

    def state(address):
        [found] = [a for a in addresses(region, net.a) if a["local"] == address]
        return found

    wait_for("the duplicate to be found", lambda: state(net.b6).get("dadfailed"))
    region.exec(net.a, "ip", "-6", "addr", "del", f"{net.b6}/128", "dev", "eth0")
    region.exec(net.a, "ip", "-6", "addr", "del", f"{net.a6}/128", "dev", "eth0")
    region.exec(net.a, "ip", "-6", "addr", "add", f"{net.a6}/128", "dev", "eth0")
    wait_for("the address to be usable", lambda: not state(net.a6).get("tentative"))
    assert not state(net.a6).get("dadfailed")
    assert pings(region, net.a, net.b6)


def test_addresses_come_and_go(region, net):
    four = net.run(net.web)
    assert addresses(region, four) == []
    interface = net.describe(four)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    given = net.ec2.assign_ipv6_addresses(NetworkInterfaceId=interface, Ipv6AddressCount=2)["AssignedIpv6Addresses"]
    has = lambda: {a["local"] for a in addresses(region, four) if not a["local"].startswith("fe80:")}
    wait_for("the addresses", lambda: has() == set(given))
    for address in given:
        wait_for("an answer", lambda: pings(region, net.b, address))
    net.ec2.unassign_ipv6_addresses(NetworkInterfaceId=interface, Ipv6Addresses=[given[0]])
    wait_for("the address to go", lambda: has() == {given[1]})
    assert not pings(region, net.b, given[0])
    assert pings(region, net.b, given[1])


def test_peering(region, net):
    other = Network6(region, ACCOUNT_B, "10.7.0.0/16")
    group = other.group("g")
    other.open6(group, "tcp", 80, 80)
    server, server6 = other.run6(group)
    peering = net.ec2.create_vpc_peering_connection(VpcId=net.vpc, PeerVpcId=other.vpc, PeerOwnerId=ACCOUNT_B)
    peering = peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    other.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    net.ec2.create_route(
        RouteTableId=net.table, DestinationIpv6CidrBlock=other.block, VpcPeeringConnectionId=peering)
    other.ec2.create_route(
        RouteTableId=other.table, DestinationIpv6CidrBlock=net.block, VpcPeeringConnectionId=peering)
    with Server(server, 80), Server(server, 81):
        assert region.python(net.a, ASK, server6, 80, "tcp") == net.a6
        since = region.drops()["next"]
        assert region.python(net.a, ASK, server6, 81, "tcp", 0.5) == "lost"
        assert reasons(region, since) == {"security-group-ingress"}


def test_out_through_the_machine(tmp_path, region):
    run = lambda *words: subprocess.run(words, capture_output=True, text=True, check=True).stdout
    region.stop()
    run("ip", "netns", "add", "outside6-polder-test")
    beyond = None
    try:
        run("ip", "link", "add", "wan0", "type", "veth", "peer", "name", "wan1", "netns", "outside6-polder-test")
        run("ip", "addr", "add", "fd99::1/64", "dev", "wan0", "nodad")
        run("ip", "link", "set", "wan0", "up")
        inside = ("ip", "netns", "exec", "outside6-polder-test")
        run(*inside, "ip", "addr", "add", "fd99::2/64", "dev", "wan1", "nodad")
        run(*inside, "ip", "link", "set", "wan1", "up")
        run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        beyond = Region(tmp_path / "state", "--internet")
        net = Network6(beyond)
        group = net.group("g")
        for subnet in (net.subnet, net.private):
            instance, _ = net.run6(group, subnet)
            assert pings(beyond, instance, "fd99::2")
    finally:
        if beyond:
            assert beyond.stop() == 0
        run("ip", "netns", "del", "outside6-polder-test")
        region.start()
    assert "polder" not in run("nft", "list", "tables")
