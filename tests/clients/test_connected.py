"""Real packets between VPCs and out of private subnets: peering connections, transit gateways, NAT gateways."""

import json
import subprocess

from conftest import ACCOUNT_A, ACCOUNT_B, CONNECT, Network, connect, wait_for
from test_packets import Server

ECHO = """
import json, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)
s.sendall(b"hello")
print(json.dumps([s.recv(100).decode(), s.getsockname()[0]]))
"""

# A server on the machine that tells each client where it comes from.
TELL = """
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("203.0.113.1", 8080)); s.listen(16)
print("listening", flush=True)
while True:
    c, peer = s.accept()
    c.recv(100); c.sendall(("%s:%d" % peer).encode()); c.close()
"""


class Teller:
    def __enter__(self):
        self.process = subprocess.Popen(["python3", "-c", TELL], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def main_table(net):
    filters = [{"Name": "vpc-id", "Values": [net.vpc]}, {"Name": "association.main", "Values": ["true"]}]
    return net.ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"]


def reasons(region, since):
    return {record["reason"] for record in region.drops(since)["drops"]}


def test_peering_carries_packets_between_two_accounts(region):
    a = Network(region, account=ACCOUNT_A, cidr="10.1.0.0/16", subnet="10.1.1.0/24", public=False)
    b = Network(region, account=ACCOUNT_B, cidr="10.2.0.0/16", subnet="10.2.1.0/24", public=False)
    client_group, server_group = a.group("client"), b.group("server")
    client, server = a.run(client_group), b.run(server_group, "10.2.1.10")
    peering = a.ec2.create_vpc_peering_connection(VpcId=a.vpc, PeerVpcId=b.vpc, PeerOwnerId=ACCOUNT_B)
    peering = peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    tables = main_table(a), main_table(b)
    a.ec2.create_route(
        RouteTableId=tables[0], DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=peering)
    with Server(server, 7000):
        reach = lambda: region.python(client, CONNECT, "10.2.1.10", 7000, 0.5)
        since = region.drops()["next"]
        assert reach() == "lost"
        assert "blackhole-route" in reasons(region, since)
        b.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
        b.ec2.create_route(
            RouteTableId=tables[1], DestinationCidrBlock="10.1.0.0/16", VpcPeeringConnectionId=peering)
        since = region.drops()["next"]
        assert reach() == "lost"
        assert "security-group-ingress" in reasons(region, since)
        b.allow(server_group, "tcp", 7000, 7000, "10.1.0.0/16")
        assert reach() == "connected"
        assert region.python(client, ECHO, "10.2.1.10", 7000)[0] == "hello"
        a.ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
        assert reach() == "lost"


def test_a_transit_gateway_joins_spokes_as_its_tables_say(region):
    spokes = [
        Network(region, account="121212121212", cidr=f"10.{n}.0.0/16", subnet=f"10.{n}.1.0/24", public=False)
        for n in (11, 12, 13)
    ]
    ec2 = spokes[0].ec2
    gateway = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    attachments = []
    for spoke in spokes:
        attachment = ec2.create_transit_gateway_vpc_attachment(
            TransitGatewayId=gateway, VpcId=spoke.vpc, SubnetIds=[spoke.subnet])
        attachments.append(attachment["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"])
        ec2.create_route(
            RouteTableId=main_table(spoke), DestinationCidrBlock="10.0.0.0/8", TransitGatewayId=gateway)
    groups = [spoke.group("g", ("tcp", 7000, 7000, "10.0.0.0/8")) for spoke in spokes]
    servers = [spoke.run(group, f"10.{n}.1.10") for spoke, group, n in zip(spokes, groups, (11, 12, 13))]
    reach = lambda source, number: region.python(servers[source], CONNECT, f"10.{number}.1.10", 7000, 0.5)
    with Server(servers[1], 7000), Server(servers[2], 7000):
        assert [reach(0, 12), reach(0, 13), reach(1, 13)] == ["connected"] * 3
        # A blackhole for one destination.
        [table] = ec2.describe_transit_gateway_route_tables(
            Filters=[{"Name": "transit-gateway-id", "Values": [gateway]}])["TransitGatewayRouteTables"]
        table = table["TransitGatewayRouteTableId"]
        ec2.create_transit_gateway_route(
            TransitGatewayRouteTableId=table, DestinationCidrBlock="10.13.1.0/24", Blackhole=True)
        since = region.drops()["next"]
        assert [reach(0, 12), reach(0, 13)] == ["connected", "lost"]
        assert "blackhole-route" in reasons(region, since)
        # Isolation: the third spoke gets a table of its own, without routes.
        ec2.delete_transit_gateway_route(TransitGatewayRouteTableId=table, DestinationCidrBlock="10.13.1.0/24")
        assert reach(0, 13) == "connected"
        island = ec2.create_transit_gateway_route_table(TransitGatewayId=gateway)
        island = island["TransitGatewayRouteTable"]["TransitGatewayRouteTableId"]
        ec2.disassociate_transit_gateway_route_table(
            TransitGatewayRouteTableId=table, TransitGatewayAttachmentId=attachments[2])
        ec2.associate_transit_gateway_route_table(
            TransitGatewayRouteTableId=island, TransitGatewayAttachmentId=attachments[2])
        assert [reach(2, 12), reach(0, 12)] == ["lost", "connected"]


def test_a_nat_gateway_lets_out_and_not_in(region):
    net = Network(region, account="131313131313", cidr="10.20.0.0/16", subnet="10.20.0.0/24")
    ec2 = net.ec2
    private = net.add_subnet("10.20.1.0/24")
    address = ec2.allocate_address(Domain="vpc")
    gateway = ec2.create_nat_gateway(SubnetId=net.subnet, AllocationId=address["AllocationId"])
    gateway = gateway["NatGateway"]["NatGatewayId"]
    table = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=private)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway)
    group = net.group("g", ("-1", 0, 0, "0.0.0.0/0"))
    one, two = net.run(group, subnet=private), net.run(group, subnet=private)
    with Teller():
        # Both from the same port of their own: outside they are told apart.
        source = """
import json, socket
s = socket.socket(); s.settimeout(3); s.bind(("", 5555)); s.connect(("203.0.113.1", 8080)); s.sendall(b"x")
print(json.dumps(s.recv(100).decode()))
"""
        seen = [region.python(instance, source) for instance in (one, two)]
        assert all(text.startswith(address["PublicIp"] + ":") for text in seen), seen
        assert seen[0] != seen[1]
    done = region.exec(one, "ping", "-c2", "-i0.2", "-W2", "203.0.113.1")
    assert " 0% packet loss" in done.stdout
    # Nobody comes in.
    since = region.drops()["next"]
    assert connect(address["PublicIp"], 80, 0.5) == "lost"
    assert "no-translation" in reasons(region, since)
    # Without the gateway there is no way out.
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert region.exec(one, "ping", "-c1", "-W1", "203.0.113.1", check=False).returncode == 1
