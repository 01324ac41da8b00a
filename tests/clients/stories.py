"""What the stories share: networks of several tiers, what a server on the machine sees, appliances."""

import subprocess

from conftest import wait_for
from test_edge_family import appliance, forwards

HOST = "203.0.113.1"

# Tells each client where it comes from.
TELL = """
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("203.0.113.1", int(sys.argv[1]))); s.listen(16)
print("listening", flush=True)
while True:
    c, peer = s.accept()
    c.sendall(("%s:%d" % peer).encode()); c.close()
"""

# Asks such a server, from a port of its own; `lost` if nothing comes.
ASK = """
import json, socket, sys
s = socket.socket(); s.settimeout(float(sys.argv[4]))
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", int(sys.argv[3])))
try:
    s.connect((sys.argv[1], int(sys.argv[2]))); print(json.dumps(s.recv(100).decode()))
except OSError:
    print(json.dumps("lost"))
"""


class Outside:
    """A server on the machine, outside of all VPCs."""

    def __init__(self, port=8080):
        self.port = port

    def __enter__(self):
        self.process = subprocess.Popen(
            ["python3", "-c", TELL, str(self.port)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def seen_outside(region, instance, port=8080, source=40000, seconds=2):
    """Which address and port the machine sees when the instance connects from this port of its own."""
    return region.python(instance, ASK, HOST, port, source, seconds)


def table(net, subnet):
    """A route table of the subnet's own, with the local route."""
    made = net.ec2.create_route_table(VpcId=net.vpc)["RouteTable"]["RouteTableId"]
    net.ec2.associate_route_table(RouteTableId=made, SubnetId=subnet)
    return made


def route(net, of, destination, **target):
    net.ec2.create_route(RouteTableId=of, DestinationCidrBlock=destination, **target)


def nat_gateway(net, subnet):
    """A public NAT gateway; its identifier and its public address."""
    address = net.ec2.allocate_address(Domain="vpc")
    made = net.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address["AllocationId"])
    return made["NatGateway"]["NatGatewayId"], address["PublicIp"]


def only(net, group, *rules):
    """The group lets nothing out but these (protocol, from, to, destination)."""
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    net.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    permissions = [net.permission(*rule) for rule in rules]
    net.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=permissions)


class Acl:
    """A network ACL of a subnet: entries are (number, ports, block), TCP and allowed; `-1` for all protocols."""

    def __init__(self, net, subnets, inbound, outbound):
        self.ec2 = net.ec2
        self.id = net.ec2.create_network_acl(VpcId=net.vpc)["NetworkAcl"]["NetworkAclId"]
        for egress, entries in ((False, inbound), (True, outbound)):
            for entry in entries:
                self.allow(egress, *entry)
        for subnet in subnets:
            filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
            [old] = net.ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
            [association] = [a for a in old["Associations"] if a["SubnetId"] == subnet]
            net.ec2.replace_network_acl_association(
                AssociationId=association["NetworkAclAssociationId"], NetworkAclId=self.id)

    def allow(self, egress, number, ports, block):
        what = {"Protocol": "-1"} if ports == -1 else {
            "Protocol": "6", "PortRange": {"From": ports[0], "To": ports[1]}}
        self.ec2.create_network_acl_entry(
            NetworkAclId=self.id, RuleNumber=number, Egress=egress, RuleAction="allow", CidrBlock=block, **what)

    def forget(self, egress, number):
        self.ec2.delete_network_acl_entry(NetworkAclId=self.id, RuleNumber=number, Egress=egress)


def reasons(region, since):
    return {record["reason"] for record in region.drops(since)["drops"]}


def router(region, net, group, subnet):
    """An appliance that forwards already; its identifier and its interface."""
    box, interface = appliance(net, group, subnet)
    wait_for("the appliance to forward", lambda: forwards(region, box))
    return box, interface
