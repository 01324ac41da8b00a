"""Transit gateways: hub and spoke, an inspection VPC, two regions, multicast. With boto3, and its basics with awscli."""

import json
import os
import subprocess
import sys

import botocore.exceptions
import pytest

from conftest import ACCOUNT_A, ACCOUNT_B


def code_of(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


class Spoke:
    """A VPC with a subnet in two zones, attached to a transit gateway."""

    def __init__(self, ec2, gateway, number, **options):
        self.cidr = f"10.{number}.0.0/16"
        self.vpc = ec2.create_vpc(CidrBlock=self.cidr)["Vpc"]["VpcId"]
        zones = sorted(z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"])
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.{number}.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for n, zone in enumerate(zones[:2])]
        made = ec2.create_transit_gateway_vpc_attachment(
            TransitGatewayId=gateway, VpcId=self.vpc, SubnetIds=self.subnets, Options=options)
        self.attachment = made["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"]
        [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["RouteTables"]
        self.table = table["RouteTableId"]


def gateway_of(ec2, **options):
    made = ec2.create_transit_gateway(Options=options)["TransitGateway"]
    return made["TransitGatewayId"], made["Options"]


def table_of(ec2, gateway):
    made = ec2.create_transit_gateway_route_table(TransitGatewayId=gateway)
    return made["TransitGatewayRouteTable"]["TransitGatewayRouteTableId"]


def routes(ec2, table):
    """Destination to (type, state, attached resource) of every route of a table."""
    found = ec2.search_transit_gateway_routes(
        TransitGatewayRouteTableId=table, Filters=[{"Name": "type", "Values": ["static", "propagated"]}])
    assert not found["AdditionalRoutesAvailable"]
    hop = lambda route: [a["ResourceId"] for a in route.get("TransitGatewayAttachments", [])]
    return {r["DestinationCidrBlock"]: (r["Type"], r["State"], *hop(r)) for r in found["Routes"]}


def test_hub_and_isolated_spokes(region):
    """Spokes reach shared services and not each other: two tables, by association and propagation."""
    ec2 = region.client(account="100000000001")
    gateway, _ = gateway_of(
        ec2, DefaultRouteTableAssociation="disable", DefaultRouteTablePropagation="disable")
    shared, one, two = (Spoke(ec2, gateway, n) for n in (0, 1, 2))
    hub, spokes = table_of(ec2, gateway), table_of(ec2, gateway)
    for spoke in (one, two):
        ec2.associate_transit_gateway_route_table(
            TransitGatewayRouteTableId=spokes, TransitGatewayAttachmentId=spoke.attachment)
        ec2.enable_transit_gateway_route_table_propagation(
            TransitGatewayRouteTableId=hub, TransitGatewayAttachmentId=spoke.attachment)
        ec2.create_route(RouteTableId=spoke.table, DestinationCidrBlock="10.0.0.0/8", TransitGatewayId=gateway)
    ec2.associate_transit_gateway_route_table(
        TransitGatewayRouteTableId=hub, TransitGatewayAttachmentId=shared.attachment)
    ec2.enable_transit_gateway_route_table_propagation(
        TransitGatewayRouteTableId=spokes, TransitGatewayAttachmentId=shared.attachment)
    assert routes(ec2, hub) == {
        one.cidr: ("propagated", "active", one.vpc), two.cidr: ("propagated", "active", two.vpc)}
    assert routes(ec2, spokes) == {shared.cidr: ("propagated", "active", shared.vpc)}
    associated = ec2.get_transit_gateway_route_table_associations(TransitGatewayRouteTableId=spokes)["Associations"]
    assert {a["ResourceId"] for a in associated} == {one.vpc, two.vpc}
    # The gateway's interfaces are its own.
    found = ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [one.vpc]}])["NetworkInterfaces"]
    assert {i["InterfaceType"] for i in found} == {"transit_gateway"} and all(i["RequesterManaged"] for i in found)
    assert found[0]["Description"] == f"Network Interface for Transit Gateway Attachment {one.attachment}"
    assert code_of(ec2.delete_subnet, SubnetId=one.subnets[0]) == "DependencyViolation"
    assert code_of(ec2.delete_transit_gateway, TransitGatewayId=gateway) == "IncorrectState"
    # Nobody else's.
    other = region.client(account="100000000002")
    assert code_of(other.describe_transit_gateways, TransitGatewayIds=[gateway]) == "InvalidTransitGatewayID.NotFound"
    ec2.delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=one.attachment)
    [table] = ec2.describe_route_tables(RouteTableIds=[one.table])["RouteTables"]
    assert {r["DestinationCidrBlock"]: r["State"] for r in table["Routes"]}["10.0.0.0/8"] == "blackhole"
    assert routes(ec2, hub) == {two.cidr: ("propagated", "active", two.vpc)}


def test_inspection_vpc(region):
    """All spokes' traffic goes through an inspection VPC in appliance mode; what comes from it knows the spokes."""
    ec2 = region.client(account="100000000003")
    gateway, options = gateway_of(ec2)
    default = options["AssociationDefaultRouteTableId"]
    inspection = Spoke(ec2, gateway, 100, ApplianceModeSupport="enable")
    spoke = Spoke(ec2, gateway, 1)
    after = table_of(ec2, gateway)
    ec2.disassociate_transit_gateway_route_table(
        TransitGatewayRouteTableId=default, TransitGatewayAttachmentId=inspection.attachment)
    ec2.associate_transit_gateway_route_table(
        TransitGatewayRouteTableId=after, TransitGatewayAttachmentId=inspection.attachment)
    ec2.enable_transit_gateway_route_table_propagation(
        TransitGatewayRouteTableId=after, TransitGatewayAttachmentId=spoke.attachment)
    for attachment in (inspection.attachment, spoke.attachment):
        ec2.disable_transit_gateway_route_table_propagation(
            TransitGatewayRouteTableId=default, TransitGatewayAttachmentId=attachment)
    ec2.create_transit_gateway_route(
        TransitGatewayRouteTableId=default, DestinationCidrBlock="0.0.0.0/0",
        TransitGatewayAttachmentId=inspection.attachment)
    ec2.create_transit_gateway_route(
        TransitGatewayRouteTableId=default, DestinationCidrBlock="192.0.2.0/24", Blackhole=True)
    assert routes(ec2, default) == {
        "0.0.0.0/0": ("static", "active", inspection.vpc), "192.0.2.0/24": ("static", "blackhole")}
    assert routes(ec2, after) == {spoke.cidr: ("propagated", "active", spoke.vpc)}
    [shown] = ec2.describe_transit_gateway_vpc_attachments(
        TransitGatewayAttachmentIds=[inspection.attachment])["TransitGatewayVpcAttachments"]
    assert shown["Options"]["ApplianceModeSupport"] == "enable" and shown["SubnetIds"] == sorted(inspection.subnets)
    longest = ec2.search_transit_gateway_routes(
        TransitGatewayRouteTableId=default,
        Filters=[{"Name": "route-search.longest-prefix-match", "Values": ["192.0.2.7/32"]}])["Routes"]
    assert [r["DestinationCidrBlock"] for r in longest] == ["192.0.2.0/24"]


def test_peering_of_two_regions_and_accounts(region):
    here = region.client(account=ACCOUNT_A)
    there = region.client(account=ACCOUNT_B, region="eu-central-1")
    (near, near_options), (far, far_options) = gateway_of(here), gateway_of(there)
    request = dict(TransitGatewayId=near, PeerTransitGatewayId=far, PeerAccountId=ACCOUNT_B, PeerRegion="eu-central-1")
    assert code_of(here.create_transit_gateway_peering_attachment, **request | {"PeerRegion": "eu-west-1"}) \
        == "InvalidTransitGatewayID.NotFound"
    made = here.create_transit_gateway_peering_attachment(**request)["TransitGatewayPeeringAttachment"]
    peering = made["TransitGatewayAttachmentId"]
    assert made["State"] == "pendingAcceptance" and made["AccepterTgwInfo"]["Region"] == "eu-central-1"
    assert code_of(here.accept_transit_gateway_peering_attachment, TransitGatewayAttachmentId=peering) == "IncorrectState"
    done = there.accept_transit_gateway_peering_attachment(TransitGatewayAttachmentId=peering)
    assert done["TransitGatewayPeeringAttachment"]["State"] == "available"
    spoke = Spoke(there, far, 50)
    here.create_transit_gateway_route(
        TransitGatewayRouteTableId=near_options["AssociationDefaultRouteTableId"],
        DestinationCidrBlock=spoke.cidr, TransitGatewayAttachmentId=peering)
    assert routes(here, near_options["AssociationDefaultRouteTableId"]) == {spoke.cidr: ("static", "active", far)}
    assert routes(there, far_options["AssociationDefaultRouteTableId"]) == {
        spoke.cidr: ("propagated", "active", spoke.vpc)}
    for client, resource in ((here, far), (there, near)):
        [shown] = client.describe_transit_gateway_attachments(
            TransitGatewayAttachmentIds=[peering])["TransitGatewayAttachments"]
        assert (shown["ResourceType"], shown["ResourceId"]) == ("peering", resource)
    there.delete_transit_gateway_peering_attachment(TransitGatewayAttachmentId=peering)
    assert routes(here, near_options["AssociationDefaultRouteTableId"]) == {spoke.cidr: ("static", "blackhole", far)}


def test_multicast_domain(region):
    ec2 = region.client(account="100000000004")
    gateway, _ = gateway_of(ec2, MulticastSupport="enable")
    spoke = Spoke(ec2, gateway, 1)
    domain = ec2.create_transit_gateway_multicast_domain(
        TransitGatewayId=gateway, Options={"StaticSourcesSupport": "enable"},
        TagSpecifications=[{"ResourceType": "transit-gateway-multicast-domain", "Tags": [{"Key": "Name", "Value": "tv"}]}],
    )["TransitGatewayMulticastDomain"]
    assert domain["Tags"] == [{"Key": "Name", "Value": "tv"}]
    domain = domain["TransitGatewayMulticastDomainId"]
    ec2.associate_transit_gateway_multicast_domain(
        TransitGatewayMulticastDomainId=domain, TransitGatewayAttachmentId=spoke.attachment, SubnetIds=spoke.subnets)
    source, member = (
        ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"] for subnet in spoke.subnets)
    ec2.register_transit_gateway_multicast_group_sources(
        TransitGatewayMulticastDomainId=domain, GroupIpAddress="239.1.2.3", NetworkInterfaceIds=[source])
    ec2.register_transit_gateway_multicast_group_members(
        TransitGatewayMulticastDomainId=domain, GroupIpAddress="239.1.2.3", NetworkInterfaceIds=[member])
    groups = ec2.search_transit_gateway_multicast_groups(TransitGatewayMulticastDomainId=domain)["MulticastGroups"]
    assert {g["NetworkInterfaceId"]: (g["GroupSource"], g["GroupMember"]) for g in groups} == {
        source: (True, False), member: (False, True)}
    assert code_of(ec2.delete_transit_gateway_multicast_domain, TransitGatewayMulticastDomainId=domain) == "IncorrectState"


def test_awscli(region):
    environment = os.environ | {
        "AWS_ENDPOINT_URL": region.endpoint, "AWS_ACCESS_KEY_ID": "100000000005", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_OUTPUT": "json",
    }

    def aws(*words):
        done = subprocess.run(
            [sys.executable, "-m", "awscli", "ec2", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"aws ec2 {' '.join(words)}: {done.stderr}\n{region.output()}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    gateway = aws("create-transit-gateway", "--description", "hub", "--options", "AmazonSideAsn=64700,DnsSupport=disable")
    options, gateway = gateway["TransitGateway"]["Options"], gateway["TransitGateway"]["TransitGatewayId"]
    assert (options["AmazonSideAsn"], options["DnsSupport"]) == (64700, "disable")
    vpc = aws("create-vpc", "--cidr-block", "10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = aws("create-subnet", "--vpc-id", vpc, "--cidr-block", "10.7.0.0/24")["Subnet"]["SubnetId"]
    attachment = aws("create-transit-gateway-vpc-attachment", "--transit-gateway-id", gateway, "--vpc-id", vpc,
                     "--subnet-ids", subnet)["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"]
    table = options["AssociationDefaultRouteTableId"]
    aws("create-transit-gateway-route", "--transit-gateway-route-table-id", table,
        "--destination-cidr-block", "192.0.2.0/24", "--transit-gateway-attachment-id", attachment)
    found = aws("search-transit-gateway-routes", "--transit-gateway-route-table-id", table,
                "--filters", "Name=state,Values=active")["Routes"]
    assert {r["DestinationCidrBlock"] for r in found} == {"10.7.0.0/16", "192.0.2.0/24"}
    listed = aws("describe-transit-gateway-attachments", "--filters", f"Name=transit-gateway-id,Values={gateway}")
    assert [a["ResourceId"] for a in listed["TransitGatewayAttachments"]] == [vpc]
    aws("delete-transit-gateway-vpc-attachment", "--transit-gateway-attachment-id", attachment)
    aws("delete-transit-gateway", "--transit-gateway-id", gateway)
    [gone] = aws("describe-transit-gateways", "--transit-gateway-ids", gateway)["TransitGateways"]
    assert gone["State"] == "deleted"
