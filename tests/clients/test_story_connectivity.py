"""Peering, which is not transitive, and a transit gateway, which is, each as one draws it."""

from conftest import CONNECT, Network
from stories import reasons, route
from test_connected import main_table
from test_packets import Server


def spokes(region, account, numbers):
    """VPCs with a server each, that all of 10.0.0.0/8 may ask."""
    nets, servers = [], []
    for number in numbers:
        net = Network(
            region, account=account, cidr=f"10.{number}.0.0/16", subnet=f"10.{number}.1.0/24", public=False)
        nets.append(net)
        servers.append(net.run(net.group("g", ("-1", 0, 0, "10.0.0.0/8")), f"10.{number}.1.10"))
    return nets, servers


def test_vpc_peering_is_not_transitive(region):
    """A-B, A-C and B-D are peered: C and D have no path, whatever their tables say."""
    nets, servers = spokes(region, "500000000001", range(4))
    ec2 = nets[0].ec2
    tables = [main_table(net) for net in nets]

    def peer(one, other):
        made = ec2.create_vpc_peering_connection(VpcId=nets[one].vpc, PeerVpcId=nets[other].vpc)
        made = made["VpcPeeringConnection"]["VpcPeeringConnectionId"]
        ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=made)
        for here, there in ((one, other), (other, one)):
            route(nets[here], tables[here], f"10.{there}.0.0/16", VpcPeeringConnectionId=made)
        return made

    ab, ac, bd = peer(0, 1), peer(0, 2), peer(1, 3)
    reach = lambda one, other: region.python(servers[one], CONNECT, f"10.{other}.1.10", 7000, 0.5)
    with Server(servers[0], 7000), Server(servers[1], 7000), Server(servers[2], 7000), Server(servers[3], 7000):
        assert [reach(0, 1), reach(1, 0), reach(0, 2), reach(1, 3), reach(3, 1)] == ["connected"] * 5
        since = region.drops()["next"]
        assert reach(2, 3) == "lost"
        assert "no-route" in reasons(region, since)
        # Routes all along do not help: a peering connection carries what is of its two VPCs.
        route(nets[2], tables[2], "10.3.0.0/16", VpcPeeringConnectionId=ac)
        route(nets[0], tables[0], "10.3.0.0/16", VpcPeeringConnectionId=ab)
        route(nets[1], tables[1], "10.2.0.0/16", VpcPeeringConnectionId=ab)
        route(nets[3], tables[3], "10.2.0.0/16", VpcPeeringConnectionId=bd)
        since = region.drops()["next"]
        assert reach(2, 3) == "lost"
        assert "no-such-address" in reasons(region, since)


def test_transit_gateway_is_a_hub(region):
    """Three spokes, one connection each: everybody reaches everybody."""
    nets, servers = spokes(region, "500000000002", range(3))
    ec2 = nets[0].ec2
    gateway = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    for net in nets:
        ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=net.vpc, SubnetIds=[net.subnet])
        route(net, main_table(net), "10.0.0.0/8", TransitGatewayId=gateway)
    with Server(servers[0], 7000), Server(servers[1], 7000), Server(servers[2], 7000):
        for one in range(3):
            for other in set(range(3)) - {one}:
                assert region.python(servers[one], CONNECT, f"10.{other}.1.10", 7000) == "connected"
