"""Two designs as one draws them: an application of several tiers, and a hub that inspects what spokes send out."""

import socket

from conftest import CONNECT, Network, wait_for
from stories import Acl, Outside, nat_gateway, only, reasons, route, router, seen_outside, table
from test_connected import main_table
from test_packets import Server

# Takes a connection, asks another server, and says what that said.
RELAY = """#!/bin/sh
exec python3 -c '
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", LISTEN)); s.listen(16)
while True:
    c, _ = s.accept()
    try:
        n = socket.create_connection(("NEXT", PORT), timeout=3)
        n.sendall(c.recv(100)); c.sendall(b"NAME " + n.recv(100)); n.close()
    except OSError: pass
    c.close()
'
"""


def relay(name, listen, following, port):
    words = {"NAME": name, "LISTEN": listen, "NEXT": following, "PORT": port}
    text = RELAY
    for word, value in words.items():
        text = text.replace(word, str(value))
    return text


def ask(address, port, seconds=3):
    try:
        with socket.create_connection((address, port), timeout=seconds) as s:
            s.sendall(b"rows")
            return s.recv(100).decode()
    except OSError:
        return "lost"


def test_multi_tier_application(region):
    """Load balancer, application, database: groups name the tier before, and ACLs stand around public and private."""
    net = Network(region, account="130000000001")
    zones = sorted(z["ZoneName"] for z in net.ec2.describe_availability_zones()["AvailabilityZones"])[:2]
    app_subnet, db_subnet = net.add_subnet("10.0.11.0/24", zones[0]), net.add_subnet("10.0.22.0/24", zones[1])
    alb = net.group("alb", ("tcp", 443, 443, "0.0.0.0/0"))
    app, db = net.group("app"), net.group("db")
    net.allow(app, "tcp", 8080, 8080, alb)
    net.allow(db, "tcp", 3306, 3306, app)
    only(net, app, ("tcp", 3306, 3306, db))
    inside = "10.0.0.0/16"
    Acl(net, [net.subnet],
        inbound=[(100, (443, 443), "0.0.0.0/0"), (110, (1024, 65535), inside)],
        outbound=[(100, (1024, 65535), "0.0.0.0/0")])
    Acl(net, [app_subnet, db_subnet], inbound=[(100, -1, inside)], outbound=[(100, -1, inside)])
    store = net.run(db, "10.0.22.10", db_subnet)
    worker = net.run(app, "10.0.11.10", app_subnet, user_data=relay("app", 8080, "10.0.22.10", 3306))
    front = net.run(alb, "10.0.1.10", user_data=relay("alb", 443, "10.0.11.10", 8080))
    public = net.elastic(front)
    with Server(store, 3306):
        wait_for("the tiers to answer", lambda: ask(public, 443) == "alb app rows")
        # Nobody leaves out a tier.
        reach = lambda source, address, port: region.python(source, CONNECT, address, port, 0.5)
        assert reach(front, "10.0.22.10", 3306) == "lost"
        assert reach(store, "10.0.11.10", 8080) == "lost"
        assert reach(worker, "10.0.1.10", 443) == "lost"
        since = region.drops()["next"]
        assert ask(public, 8080, 0.5) == "lost"
        assert reasons(region, since) & {"network-acl", "security-group-ingress"}
        # The private tiers have no way out and none in.
        assert reach(worker, "203.0.113.1", 3306) == "lost"
        net.forbid(app, "tcp", 8080, 8080, alb)
        assert ask(public, 443, 1) in ("lost", "")


FILTER = """
add table ip inspect
add chain ip inspect forward { type filter hook forward priority 0; policy accept; }
add rule ip inspect forward tcp dport 8081 counter drop
"""


def test_central_egress_through_an_inspection_vpc(region):
    """Spoke, transit gateway, inspection VPC, appliance, NAT gateway, outside; and back the same way."""
    account = "130000000002"
    egress = Network(region, account=account, cidr="10.100.0.0/16", subnet="10.100.0.0/24")
    ec2 = egress.ec2
    firewalls, doors = egress.add_subnet("10.100.1.0/24"), egress.add_subnet("10.100.2.0/28")
    gateway, address = nat_gateway(egress, egress.subnet)
    box, interface = router(region, egress, egress.group("all", ("-1", 0, 0, "0.0.0.0/0")), firewalls)
    hub = ec2.create_transit_gateway(Options={
        "DefaultRouteTableAssociation": "disable", "DefaultRouteTablePropagation": "disable"})
    hub = hub["TransitGateway"]["TransitGatewayId"]
    transit_table = lambda: ec2.create_transit_gateway_route_table(
        TransitGatewayId=hub)["TransitGatewayRouteTable"]["TransitGatewayRouteTableId"]
    from_spokes, from_egress = transit_table(), transit_table()
    attach = lambda vpc, subnet, **options: ec2.create_transit_gateway_vpc_attachment(
        TransitGatewayId=hub, VpcId=vpc, SubnetIds=[subnet], Options=options)["TransitGatewayVpcAttachment"][
            "TransitGatewayAttachmentId"]
    inspection = attach(egress.vpc, doors, ApplianceModeSupport="enable")
    ec2.associate_transit_gateway_route_table(
        TransitGatewayRouteTableId=from_egress, TransitGatewayAttachmentId=inspection)
    ec2.create_transit_gateway_route(
        TransitGatewayRouteTableId=from_spokes, DestinationCidrBlock="0.0.0.0/0",
        TransitGatewayAttachmentId=inspection)
    ec2.create_transit_gateway_route(
        TransitGatewayRouteTableId=from_spokes, DestinationCidrBlock="10.0.0.0/8", Blackhole=True)
    machines = {}
    for name, number in (("prod", 1), ("dev", 2), ("test", 3)):
        spoke = Network(
            region, account=account, cidr=f"10.{number}.0.0/16", subnet=f"10.{number}.1.0/24", public=False)
        attachment = attach(spoke.vpc, spoke.subnet)
        ec2.associate_transit_gateway_route_table(
            TransitGatewayRouteTableId=from_spokes, TransitGatewayAttachmentId=attachment)
        ec2.enable_transit_gateway_route_table_propagation(
            TransitGatewayRouteTableId=from_egress, TransitGatewayAttachmentId=attachment)
        route(spoke, main_table(spoke), "0.0.0.0/0", TransitGatewayId=hub)
        machines[name] = spoke.run(spoke.group("g", ("-1", 0, 0, "0.0.0.0/0")), f"10.{number}.1.10")
    # What comes from the spokes goes to the appliance, from there out; the answers come back by the appliance.
    route(egress, table(egress, doors), "0.0.0.0/0", NetworkInterfaceId=interface)
    inner = table(egress, firewalls)
    route(egress, inner, "0.0.0.0/0", NatGatewayId=gateway)
    route(egress, inner, "10.0.0.0/8", TransitGatewayId=hub)
    outer = table(egress, egress.subnet)
    route(egress, outer, "0.0.0.0/0", GatewayId=egress.gateway)
    route(egress, outer, "10.0.0.0/8", NetworkInterfaceId=interface)
    region.exec(box, "nft", "-f", "-", input=FILTER)
    counted = lambda: region.exec(box, "nft", "list", "chain", "ip", "inspect", "forward").stdout
    with Outside(8080), Outside(8081):
        seen = [seen_outside(region, machine) for machine in machines.values()]
        assert len(set(seen)) == 3 and all(text.startswith(f"{address}:") for text in seen), seen
        # The appliance's policy, and its log.
        assert "packets 0 " in counted()
        assert seen_outside(region, machines["prod"], 8081, seconds=0.5) == "lost"
        assert "packets 0 " not in counted()
        # Spokes do not meet.
        since = region.drops()["next"]
        assert region.python(machines["prod"], CONNECT, "10.2.1.10", 7000, 0.5) == "lost"
        assert "blackhole-route" in reasons(region, since)
        # Without the appliance nothing goes out.
        region.exec(box, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
        assert seen_outside(region, machines["dev"], seconds=0.5, source=40001) == "lost"
