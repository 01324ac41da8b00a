"""Terraform in a directory of its own, with what the machine has of it.

Terraform and its AWS provider are large and come from HashiCorp, so the tests use what is there: `terraform` in PATH and
a directory of providers (`POLDER_TF_MIRROR`, or one of the usual places). Without them they are skipped.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

PROVIDER = "registry.terraform.io/hashicorp/aws"
USUAL_PLACES = ["/opt/tf-plugins", "~/.terraform.d/plugins", "/usr/share/terraform/plugins"]


def mirror():
    """The first directory that has the AWS provider."""
    named = os.environ.get("POLDER_TF_MIRROR")
    places = [pathlib.Path(place).expanduser() for place in ([named] if named else USUAL_PLACES)]
    for place in places:
        if (place / PROVIDER).is_dir():
            return place
    pytest.skip(f"no Terraform provider {PROVIDER} in {', '.join(map(str, places))}; POLDER_TF_MIRROR names a place")


class Terraform:
    """A configuration, and Terraform to apply it. The test removes the directory."""

    def __init__(self, configuration, directory):
        self.program = shutil.which("terraform") or pytest.skip("no `terraform` in PATH")
        self.directory = directory
        providers = mirror()
        shutil.copy(configuration, directory / "main.tf")
        settings = directory / "settings.tfrc"
        settings.write_text(
            f'disable_checkpoint = true\nprovider_installation {{\n  filesystem_mirror {{ path = "{providers}" }}\n}}\n')
        # Nothing of the user's own settings, and no credentials, reach it.
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": str(directory), "TF_IN_AUTOMATION": "1",
            "TF_CLI_CONFIG_FILE": str(settings)}

    def run(self, *words, codes=(0,)):
        done = subprocess.run(
            [self.program, *words], cwd=self.directory, env=self.environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=240)
        assert done.returncode in codes, f"terraform {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def init(self):
        self.run("init", "-input=false", "-no-color")

    @staticmethod
    def given(variables):
        return [f"-var={name}={json.dumps(value)}" for name, value in variables.items()]

    def apply(self, **variables):
        """Applies, and sees that nothing is left to do."""
        values = self.given(variables)
        told = self.run("apply", "-auto-approve", "-input=false", "-no-color", "-parallelism=40", *values)
        # 0: the plan is empty; 2: it is not.
        left = self.run("plan", "-detailed-exitcode", "-input=false", "-no-color", *values, codes=(0, 2))
        assert "No changes." in left, left
        outputs = json.loads(self.run("output", "-json"))
        return told, {name: output["value"] for name, output in outputs.items()}

    def destroy(self, **variables):
        return self.run(
            "destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=40", *self.given(variables))


# What lists an account's resources: the call, its items, an item's id, the states in which it is gone.
LISTS = [
    ("describe_vpcs", "Vpcs", "VpcId"),
    ("describe_subnets", "Subnets", "SubnetId"),
    ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("describe_egress_only_internet_gateways", "EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId"),
    ("describe_route_tables", "RouteTables", "RouteTableId"),
    ("describe_security_groups", "SecurityGroups", "GroupId"),
    ("describe_network_acls", "NetworkAcls", "NetworkAclId"),
    ("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("describe_addresses", "Addresses", "AllocationId"),
    ("describe_managed_prefix_lists", "PrefixLists", "PrefixListId"),
    ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("describe_vpc_peering_connections", "VpcPeeringConnections", "VpcPeeringConnectionId"),
    ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("describe_transit_gateways", "TransitGateways", "TransitGatewayId"),
    ("describe_transit_gateway_attachments", "TransitGatewayAttachments", "TransitGatewayAttachmentId"),
    ("describe_transit_gateway_route_tables", "TransitGatewayRouteTables", "TransitGatewayRouteTableId"),
    ("describe_customer_gateways", "CustomerGateways", "CustomerGatewayId"),
    ("describe_vpn_gateways", "VpnGateways", "VpnGatewayId"),
    ("describe_vpn_connections", "VpnConnections", "VpnConnectionId"),
    ("describe_flow_logs", "FlowLogs", "FlowLogId"),
    ("describe_key_pairs", "KeyPairs", "KeyPairId"),
    ("describe_placement_groups", "PlacementGroups", "GroupId"),
]
GONE = {"deleted", "terminated", "delete-complete"}


def state(item):
    """The state of an item, wherever its kind has it."""
    value = item.get("State", item.get("Status"))
    return value.get("Name", value.get("Code")) if isinstance(value, dict) else value


def everything(ec2):
    """The ids of all that the account has; what is shown for a while after its end aside."""
    found = {
        item[key] for call, items, key in LISTS for item in getattr(ec2, call)()[items] if state(item) not in GONE}
    for reservation in ec2.describe_instances()["Reservations"]:
        found |= {i["InstanceId"] for i in reservation["Instances"] if state(i) not in GONE}
    return found
