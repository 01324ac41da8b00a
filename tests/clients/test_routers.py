"""What tools see of the network between instances: traceroute, mtr, ping with large packets, fragments, dig."""

import json
import re
import subprocess
import sys

from conftest import POLDER, Network, wait_for
from test_connected import main_table


def hops(region, instance, to, *options):
    """The addresses that `traceroute` shows, the last one that of the receiver."""
    shown = region.exec(
        instance, "traceroute", "-n", "-q", "1", "-w", "2", "-m", "8", *options, to, check=False).stdout.splitlines()
    return [line.split()[1] for line in shown if re.match(r"\s*\d+\s", line)]


def test_traceroute_shows_virtual_routers(region):
    net = Network(region, account="414141414141", cidr="10.41.0.0/16", subnet="10.41.0.0/24")
    ec2 = net.ec2
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=net.subnet, AllocationId=address["AllocationId"])["NatGateway"]["NatGatewayId"]
    def own_address():
        [gateway] = ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"]
        return gateway["State"] == "available" and gateway["NatGatewayAddresses"][0]["PrivateIp"]
    inside = wait_for("the NAT gateway", own_address)
    private = net.add_subnet("10.41.1.0/24")
    table = ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=private)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    group = net.group("g", ("-1", -1, -1, "10.0.0.0/8"))
    client = net.run(group, "10.41.1.10", subnet=private)
    neighbour = net.run(group, "10.41.1.11", subnet=private)
    server = net.run(group, "10.41.0.10")
    assert hops(region, client, "10.41.1.11") == ["10.41.1.11"]
    assert hops(region, client, "10.41.0.10") == ["10.41.1.1", "10.41.0.10"]
    assert hops(region, server, "10.41.1.10", "-I") == ["10.41.0.1", "10.41.1.10"]
    # Out by the NAT gateway, to the machine.
    out = ["10.41.1.1", inside, "10.41.0.1", "203.0.113.1"]
    assert hops(region, client, "203.0.113.1") == out
    shown = region.exec(client, "mtr", "--json", "-n", "-c", "1", "203.0.113.1").stdout
    assert [hub["host"] for hub in json.loads(shown)["report"]["hubs"]] == out

    # Through a transit gateway, which reports under the address of its interface.
    far = Network(region, account="414141414141", cidr="10.42.0.0/16", subnet="10.42.1.0/24", public=False)
    gateway = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=net.vpc, SubnetIds=[private])
    ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=far.vpc, SubnetIds=[far.subnet])
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.42.0.0/16", TransitGatewayId=gateway)
    ec2.create_route(RouteTableId=main_table(far), DestinationCidrBlock="10.41.0.0/16", TransitGatewayId=gateway)
    there = far.run(far.group("g", ("-1", -1, -1, "10.0.0.0/8")), "10.42.1.10")
    interfaces = ec2.describe_network_interfaces(Filters=[
        {"Name": "subnet-id", "Values": [private]}, {"Name": "interface-type", "Values": ["transit_gateway"]}])
    door = interfaces["NetworkInterfaces"][0]["PrivateIpAddress"]
    # In the subnet where it enters, the receiver is a neighbour.
    assert hops(region, client, "10.42.1.10") == ["10.41.1.1", door, "10.42.1.10"]
    assert there and neighbour

    # The interfaces' records tell what the tools have caused.
    drops = region.drops()["drops"]
    assert "ttl-exceeded" in {record["reason"] for record in drops}


def test_the_size_that_fits_is_told(region):
    net = Network(region, account="434343434343", cidr="10.43.0.0/16", subnet="10.43.0.0/24")
    other = net.add_subnet("10.43.1.0/24")
    group = net.group("g", ("-1", -1, -1, "10.0.0.0/8"))
    client, server = net.run(group), net.run(group, "10.43.1.10", subnet=other)
    def ping(size, *options):
        done = region.exec(
            client, "ping", "-n", "-c", "1", "-W", "2", "-s", str(size), *options, "10.43.1.10", check=False)
        return done.stdout + done.stderr


    assert "1 received" in ping(1472, "-M", "do")
    # A guest that thinks more of its interface than its network does: told by the router, it knows better.
    region.exec(client, "ip", "link", "set", "dev", "eth0", "mtu", "9000")
    assert "From 10.43.0.1" in (told := ping(3000, "-M", "do")) and "mtu = 1500" in told, told
    reasons = {record["reason"] for record in region.drops()["drops"]}
    assert "too-big" in reasons
    assert "mtu 1500" in region.exec(client, "ip", "route", "get", "10.43.1.10").stdout
    assert "message too long" in ping(1473, "-M", "do")
    assert server


def test_fragments_reach_what_their_datagram_may(region):
    net = Network(region, account="454545454545", cidr="10.45.0.0/16", subnet="10.45.0.0/24")
    other = net.add_subnet("10.45.1.0/24")
    group = net.group("g", ("icmp", -1, -1, "10.0.0.0/8"), ("udp", 7000, 7000, "10.0.0.0/8"))
    client, server = net.run(group), net.run(group, "10.45.1.10", subnet=other)
    ping = region.exec(
        client, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-s", "20000", "10.45.1.10", check=False).stdout
    assert "3 received" in ping, ping
    # UDP: one port is open.
    net.elastic(client)
    source = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(65536); s.sendto(data[::-1], peer)
"""
    ask = """
import json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
data = bytes(n % 251 for n in range(30000))
s.sendto(data, (sys.argv[1], int(sys.argv[2])))
try:
    print(json.dumps(s.recv(65536) == data[::-1]))
except TimeoutError:
    print(json.dumps("lost"))
"""
    servers = [
        subprocess.Popen([POLDER, "exec", server, "--", "python3", "-c", source, port], stdout=subprocess.PIPE, text=True)
        for port in ("7000", "7001")]
    host = subprocess.Popen([sys.executable, "-c", source, "7002"], stdout=subprocess.PIPE, text=True)
    try:
        for process in (*servers, host):
            assert process.stdout.readline() == "ready\n"
        since = region.drops()["next"]
        assert region.python(client, ask, "10.45.1.10", 7000) is True
        assert region.python(client, ask, "10.45.1.10", 7001) == "lost"
        # Out by the internet gateway, translated, to the machine and back.
        assert region.python(client, ask, "203.0.113.1", 7002) is True
        reasons = [record["reason"] for record in region.drops(since)["drops"]]
        assert set(reasons) == {"security-group-ingress"} and len(reasons) == 21, reasons
    finally:
        for process in (*servers, host):
            process.kill()
            process.wait()


def test_dig_finds_instances(region):
    net = Network(region, account="474747474747", cidr="10.47.0.0/16", subnet="10.47.0.0/24")
    client, server = net.run(net.group("closed")), net.run(net.group("other"), "10.47.0.10")
    net.ec2.modify_vpc_attribute(VpcId=net.vpc, EnableDnsHostnames={"Value": True})
    public = net.elastic(server)

    def dig(*question):
        done = region.exec(client, "dig", "+time=2", "+tries=1", "+short", *question, check=False)
        return done.stdout.strip()

    for resolver in ("@10.47.0.2", "@169.254.169.253"):
        assert dig(resolver, "ip-10-47-0-10.ec2.internal") == "10.47.0.10"
        assert dig(resolver, "-x", "10.47.0.10") == "ip-10-47-0-10.ec2.internal."
        name = f"ec2-{public.replace('.', '-')}.compute-1.amazonaws.com"
        assert dig(resolver, name) == "10.47.0.10"
        assert dig(resolver, "ip-10-47-0-11.ec2.internal") == ""
    refused = region.exec(client, "dig", "+time=2", "+tries=1", "@10.47.0.2", "example.com", check=False).stdout
    assert "status: REFUSED" in refused, refused
    net.ec2.modify_vpc_attribute(VpcId=net.vpc, EnableDnsHostnames={"Value": False})
    assert dig("@10.47.0.2", "ip-10-47-0-10.ec2.internal") == ""
    net.ec2.modify_vpc_attribute(VpcId=net.vpc, EnableDnsSupport={"Value": False})
    assert "no servers could be reached" in dig("@169.254.169.253", "ip-10-47-0-10.ec2.internal")
    assert "not-a-service" in {record["reason"] for record in region.drops()["drops"]}
