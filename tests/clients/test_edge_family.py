"""Real packets through gateway route tables: an appliance sees what comes in by an internet gateway, and what answers."""

from conftest import Network, connect, wait_for
from test_packets import Server

# A router, and nothing else.
FORWARD = """#!/bin/sh
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects
for each in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 > $each; done
exec sleep infinity
"""

FORWARDED = """
import json
line = [l.split() for l in open("/proc/net/snmp") if l.startswith("Ip:")]
print(json.dumps(int(line[1][line[0].index("ForwDatagrams")])))
"""

def appliance(net, group, subnet):
    """An instance that routes, with its source/destination check off; its identifier and its interface."""
    box = net.run(group, subnet=subnet, user_data=FORWARD)
    [interface] = net.describe(box)["NetworkInterfaces"]
    interface = interface["NetworkInterfaceId"]
    net.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, SourceDestCheck={"Value": False})
    return box, interface


def forwards(region, box):
    done = region.exec(box, "cat", "/proc/sys/net/ipv4/ip_forward", check=False)
    return done.stdout.strip() == "1"


def test_an_appliance_inspects_what_comes_in_and_what_answers(region):
    net = Network(region, account="141414141414", cidr="10.30.0.0/16", subnet="10.30.0.0/24")
    ec2 = net.ec2
    apps = net.add_subnet("10.30.1.0/24")
    all_in = net.group("all", ("-1", 0, 0, "0.0.0.0/0"))
    web = net.group("web", ("tcp", 7000, 7000, "0.0.0.0/0"))
    box, interface = appliance(net, all_in, net.subnet)
    wait_for("the appliance to forward", lambda: forwards(region, box))
    app = net.run(web, "10.30.1.10", subnet=apps)
    public = net.elastic(app)
    seen = lambda: region.python(box, FORWARDED)
    # The application's own way out leads to the appliance.
    table = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NetworkInterfaceId=interface)
    ec2.associate_route_table(RouteTableId=table, SubnetId=apps)
    edge = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    association = ec2.associate_route_table(RouteTableId=edge, GatewayId=net.gateway)["AssociationId"]
    with Server(app, 7000):
        # By the gateway's local route only what can answer through the gateway is reached.
        since = region.drops()["next"]
        assert connect(public, 7000, 0.5) == "lost"
        assert "no-return-route" in {r["reason"] for r in region.drops(since)["drops"]}
        ec2.create_route(RouteTableId=edge, DestinationCidrBlock="10.30.1.0/24", NetworkInterfaceId=interface)
        before = seen()
        assert connect(public, 7000) == "connected"
        # SYN and ACK one way, SYN-ACK the other, at least.
        assert seen() >= before + 3
        # The application's group still decides, and sees the client's address.
        since = region.drops()["next"]
        assert connect(public, 7001, 0.5) == "lost"
        assert "security-group-ingress" in {r["reason"] for r in region.drops(since)["drops"]}
        net.forbid(web, "tcp", 7000, 7000, "0.0.0.0/0")
        net.allow(web, "tcp", 7000, 7000, "203.0.113.1/32")
        assert connect(public, 7000) == "connected"
        # Outward: under the application's public address, by way of the appliance.
        before = seen()
        done = region.exec(app, "ping", "-c2", "-i0.2", "-W2", "203.0.113.1")
        assert " 0% packet loss" in done.stdout
        assert seen() >= before + 4
        # Without the appliance's routing nothing passes; without the table, the gateway goes by addresses again.
        region.exec(box, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
        assert connect(public, 7000, 0.5) == "lost"
        region.exec(box, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        assert connect(public, 7000) == "connected"
        ec2.disassociate_route_table(AssociationId=association)
        ec2.replace_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=net.gateway)
        before = seen()
        assert connect(public, 7000) == "connected"
        assert seen() == before
