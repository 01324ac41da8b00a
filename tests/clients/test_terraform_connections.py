"""Terraform, unmodified: networks that are joined to others, and what names and watches them, come, change and go."""

import pathlib
import shutil

from terraform import Terraform, everything

CONFIGURATION = pathlib.Path(__file__).with_suffix(".tf")


def test_connections_come_change_and_go(region, tmp_path):
    terraform = Terraform(CONFIGURATION, tmp_path)
    ec2 = region.client()
    before = everything(ec2)
    try:
        terraform.init()

        told, made = terraform.apply()
        assert " 0 changed, 0 destroyed" in told
        assert made["nat_address"] == made["eip"] and made["nats"] == 2 and made["asn"] == 64512
        assert made["tunnel"] and made["fingerprint"]
        assert targets(ec2, made["table"])["0.0.0.0/0"] == made["nat"]
        routes = ec2.search_transit_gateway_routes(
            TransitGatewayRouteTableId=made["hub_table"], Filters=[{"Name": "type", "Values": ["static", "propagated"]}])
        assert {r["DestinationCidrBlock"]: (r["Type"], r["State"]) for r in routes["Routes"]} == {
            "10.31.0.0/16": ("propagated", "active"), "10.32.0.0/16": ("static", "active"),
            "192.0.2.0/24": ("static", "active"), "192.168.0.0/16": ("static", "blackhole"),
            "198.51.100.0/24": ("static", "active")}

        # Tags, descriptions, options, entries of lists, subnets of an attachment, tables of an endpoint, a route's target.
        told, changed = terraform.apply(changed=True)
        assert " 0 added," in told and " 0 destroyed" in told
        assert targets(ec2, made["table"])["0.0.0.0/0"] not in (made["nat"], None)
        entries = ec2.get_managed_prefix_list_entries(PrefixListId=changed["list"])["Entries"]
        assert {e["Cidr"] for e in entries} == {"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"}

        terraform.destroy(changed=True)
        assert everything(ec2) == before
    finally:
        # The provider is a link to the mirror; all the rest is of this test.
        shutil.rmtree(tmp_path)


def targets(ec2, table):
    """What each of a route table's routes names as its NAT gateway."""
    [table] = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    return {r.get("DestinationCidrBlock"): r.get("NatGatewayId") for r in table["Routes"]}
