"""A service of another account behind an interface endpoint, as one draws it: an address of one's own VPC, a group, no
route between the two VPCs, which have the same addresses."""

from conftest import ACCOUNT_A, ACCOUNT_B, CONNECT, Network
from stories import ASK, only, reasons
from test_connected import ECHO
from test_packets import Server

BALANCER = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT_B}:loadbalancer/net/service/0123456789abcdef"

# Tells each client who it seems to be.
WHO = """#!/bin/sh
exec python3 -c '
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", 443)); s.listen(16)
while True:
    c, peer = s.accept(); c.sendall(peer[0].encode()); c.close()
'
"""


def test_interface_endpoint(region):
    consumer = Network(region, account=ACCOUNT_A, public=False)
    provider = Network(region, account=ACCOUNT_B, public=False)
    servers = provider.group("servers", ("tcp", 443, 443, "10.0.2.0/24"), ("tcp", 7000, 7000, "10.0.2.0/24"))
    only(provider, servers, ("tcp", 9, 9, "192.0.2.0/24"))
    server = provider.run(servers, "10.0.1.10", user_data=WHO)
    [backend] = provider.describe(server)["NetworkInterfaces"]
    front = provider.ec2.create_network_interface(
        SubnetId=provider.add_subnet("10.0.2.0/24"), PrivateIpAddress="10.0.2.9")["NetworkInterface"]
    service = provider.ec2.create_vpc_endpoint_service_configuration(
        NetworkLoadBalancerArns=[BALANCER], AcceptanceRequired=True)["ServiceConfiguration"]
    provider.ec2.create_tags(Resources=[service["ServiceId"]], Tags=[
        {"Key": "polder:backend", "Value": backend["NetworkInterfaceId"]},
        {"Key": "polder:front", "Value": front["NetworkInterfaceId"]},
    ])
    provider.ec2.modify_vpc_endpoint_service_permissions(
        ServiceId=service["ServiceId"], AddAllowedPrincipals=[f"arn:aws:iam::{ACCOUNT_A}:root"])
    clients = consumer.group("clients")
    door = consumer.group("door", ("tcp", 443, 443, clients), ("tcp", 7000, 7000, clients))
    made = consumer.ec2.create_vpc_endpoint(
        VpcEndpointType="Interface", VpcId=consumer.vpc, ServiceName=service["ServiceName"],
        SubnetIds=[consumer.subnet], SecurityGroupIds=[door])["VpcEndpoint"]
    [interface] = consumer.ec2.describe_network_interfaces(
        NetworkInterfaceIds=made["NetworkInterfaceIds"])["NetworkInterfaces"]
    address = interface["PrivateIpAddress"]
    # The client has the server's own address: nothing of the other VPC shows.
    client, stranger = consumer.run(clients, "10.0.1.10"), consumer.run(consumer.group("stranger"))
    reach = lambda source, port: region.python(source, CONNECT, address, port, 0.5)
    who = lambda: region.python(client, ASK, address, 443, 40000, 2)
    assert reach(client, 443) == "lost"
    accept = dict(ServiceId=service["ServiceId"], VpcEndpointIds=[made["VpcEndpointId"]])
    provider.ec2.accept_vpc_endpoint_connections(**accept)
    assert who() == "10.0.2.9"
    with Server(server, 7000):
        assert region.python(client, ECHO, address, 7000) == ["hello", "10.0.1.10"]
        since = region.drops()["next"]
        assert [reach(stranger, 443), reach(client, 80)] == ["lost", "lost"]
        assert "security-group-ingress" in reasons(region, since)
        # TCP and UDP only; and nobody opens anything through the front.
        assert region.exec(client, "ping", "-c1", "-W1", address, check=False).returncode == 1
        assert region.python(server, CONNECT, "10.0.2.9", 443, 0.5) == "lost"
    provider.ec2.reject_vpc_endpoint_connections(**accept)
    assert reach(client, 443) == "lost"
