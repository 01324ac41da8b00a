"""The core components of a VPC, each as one draws it: addresses, zones, route tables, internet and NAT gateways."""

import pytest
from botocore.exceptions import ClientError
from conftest import CONNECT, Network, connect
from stories import HOST, Outside, nat_gateway, reasons, route, seen_outside, table
from test_packets import Server


def test_address_management(region):
    """A /24 has 251 usable addresses: the first four and the last are the network's."""
    net = Network(region, account="300000000001")
    [subnet] = net.ec2.describe_subnets(SubnetIds=[net.subnet])["Subnets"]
    assert subnet["AvailableIpAddressCount"] == 251
    group = net.group("g", ("-1", 0, 0, "10.0.0.0/16"))
    for reserved in ("10.0.1.0", "10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.255"):
        with pytest.raises(ClientError):
            net.run(group, reserved, wait=False)
    first, last = net.run(group, "10.0.1.4"), net.run(group, "10.0.1.254")
    with Server(last, 7000):
        assert region.python(first, CONNECT, "10.0.1.254", 7000) == "connected"
        # There is no broadcast.
        assert region.exec(first, "ping", "-b", "-c1", "-W1", "10.0.1.255", check=False).returncode == 1
    [subnet] = net.ec2.describe_subnets(SubnetIds=[net.subnet])["Subnets"]
    assert subnet["AvailableIpAddressCount"] == 249


def test_three_tiers_in_two_zones(region):
    """Public, application and database subnets in two zones; traffic between zones stays inside the VPC."""
    net = Network(region, account="300000000002")
    zones = sorted(z["ZoneName"] for z in net.ec2.describe_availability_zones()["AvailabilityZones"])[:2]
    tiers = {}
    for number, zone in enumerate(zones, 1):
        for tier, third in (("app", 10 + number), ("db", 20 + number)):
            tiers[tier, number] = net.add_subnet(f"10.0.{third}.0/24", zone)
    app, db = net.group("app"), net.group("db")
    net.allow(db, "tcp", 3306, 3306, app)
    clients = [net.run(app, subnet=tiers["app", n]) for n in (1, 2)]
    servers = [net.run(db, f"10.0.2{n}.10", tiers["db", n]) for n in (1, 2)]
    with Server(servers[0], 3306), Server(servers[1], 3306):
        for client in clients:
            for n in (1, 2):
                assert region.python(client, CONNECT, f"10.0.2{n}.10", 3306) == "connected"
        # No tier but the application's, wherever it is.
        assert region.python(servers[0], CONNECT, "10.0.22.10", 3306, 0.5) == "lost"


def test_route_tables_and_the_walk_of_a_packet(region):
    """Public and private subnets differ in their tables only; the longest prefix wins, and local routes hold."""
    net = Network(region, account="300000000003")
    private = net.add_subnet("10.0.11.0/24")
    inner = table(net, private)
    group = net.group("g", ("-1", 0, 0, "0.0.0.0/0"))
    public, hidden = net.run(group, "10.0.1.5"), net.run(group, "10.0.11.5", private)
    address = net.elastic(public)
    with Outside():
        assert seen_outside(region, public) == f"{address}:40000"
        since = region.drops()["next"]
        assert seen_outside(region, hidden, seconds=0.5) == "lost"
        assert "no-route" in reasons(region, since)
        # A more specific route that leads nowhere goes before the default one.
        [association] = net.ec2.describe_route_tables(RouteTableIds=[inner])["RouteTables"][0]["Associations"]
        net.ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
        net.ec2.associate_route_table(RouteTableId=net.table, SubnetId=private)
        since = region.drops()["next"]
        assert seen_outside(region, hidden, seconds=0.5) == "lost"
        assert "no-public-address" in reasons(region, since)
    with Server(hidden, 7000):
        assert region.python(public, CONNECT, "10.0.11.5", 7000) == "connected"


def test_internet_gateway(region):
    """One address for one: both directions, every port, nothing kept."""
    net = Network(region, account="300000000004")
    group = net.group("g", ("tcp", 7000, 7001, "0.0.0.0/0"))
    instance = net.run(group, "10.0.1.10")
    address = net.elastic(instance)
    with Server(instance, 7000), Outside():
        assert connect(address, 7000) == "connected"
        assert connect(address, 7001) == "refused"
        assert connect(address, 7002, 0.5) == "lost"
        # The port stays what it was.
        for port in (1024, 40000, 65535):
            assert seen_outside(region, instance, source=port) == f"{address}:{port}"
        net.ec2.delete_route(RouteTableId=net.table, DestinationCidrBlock="0.0.0.0/0")
        since = region.drops()["next"]
        assert connect(address, 7000, 0.5) == "lost"
        assert "no-return-route" in reasons(region, since)


def test_nat_gateway(region):
    """Many private addresses, one public one; nobody comes in."""
    net = Network(region, account="300000000005")
    private = net.add_subnet("10.0.11.0/24")
    gateway, address = nat_gateway(net, net.subnet)
    route(net, table(net, private), "0.0.0.0/0", NatGatewayId=gateway)
    group = net.group("g", ("-1", 0, 0, "0.0.0.0/0"))
    machines = [net.run(group, f"10.0.11.{n}", private) for n in (5, 6, 7)]
    with Outside():
        seen = [seen_outside(region, machine) for machine in machines]
    assert len(set(seen)) == 3 and all(text.startswith(f"{address}:") for text in seen), seen
    done = region.exec(machines[0], "ping", "-c2", "-i0.2", "-W2", HOST)
    assert " 0% packet loss" in done.stdout
    since = region.drops()["next"]
    assert connect(address, 7000, 0.5) == "lost"
    assert "no-translation" in reasons(region, since)
