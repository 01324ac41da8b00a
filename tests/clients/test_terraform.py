"""Terraform, unmodified: a network with an instance is applied, changed and destroyed, and plans between are empty.

Terraform and its AWS provider are large and come from HashiCorp, so this test uses what the machine has: `terraform` in
PATH and a directory of providers (`POLDER_TF_MIRROR`, or one of the usual places). Without them it is skipped.
"""

import json
import os
import pathlib
import shutil
import subprocess
import urllib.request

import pytest

from conftest import ACCOUNT_A, connect, wait_for

CONFIGURATION = pathlib.Path(__file__).with_suffix(".tf")
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
    """Terraform in a directory of its own."""

    def __init__(self, program, directory, providers):
        self.program, self.directory = program, directory
        shutil.copy(CONFIGURATION, directory / "main.tf")
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
            stdin=subprocess.DEVNULL, timeout=180)
        assert done.returncode in codes, f"terraform {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, **variables):
        """Applies, and sees that nothing is left to do."""
        values = [f"-var={name}={json.dumps(value)}" for name, value in variables.items()]
        told = self.run("apply", "-auto-approve", "-input=false", "-no-color", *values)
        # 0: the plan is empty; 2: it is not.
        self.run("plan", "-detailed-exitcode", "-input=false", "-no-color", *values)
        outputs = json.loads(self.run("output", "-json"))
        return told, {name: output["value"] for name, output in outputs.items()}


def get(address, port):
    with urllib.request.urlopen(f"http://{address}:{port}/", timeout=3) as reply:
        return reply.read().decode().strip()


def test_a_network_comes_changes_and_goes(region, tmp_path):
    program = shutil.which("terraform") or pytest.skip("no `terraform` in PATH")
    ec2 = region.client()
    before = everything(ec2)
    terraform = Terraform(program, tmp_path, mirror())
    try:
        terraform.run("init", "-input=false", "-no-color")

        told, made = terraform.apply()
        assert " 0 changed, 0 destroyed" in told
        assert made["account"] == ACCOUNT_A and made["region"] == "us-east-1" and made["cidr"] == "10.20.0.0/16"
        assert made["subnets"] == 2 and made["zones"] == ["us-east-1a", "us-east-1b", "us-east-1c"]
        address = made["address"]
        wait_for("the web server", lambda: connect(address, 80) == "connected")
        assert get(address, 80) == "hello from terraform"
        assert connect(address, 8080, seconds=1) == "lost"

        # A tag, the instance's groups, a rule of each kind, an address more.
        told, changed = terraform.apply(changed=True)
        assert " 0 added," in told and " 0 destroyed" in told
        assert changed["instance"] == made["instance"] and changed["address"] == address
        assert get(address, 8080) == "hello from terraform"
        assert connect(address, 80, seconds=1) == "lost"
        [instance] = ec2.describe_instances(InstanceIds=[made["instance"]])["Reservations"][0]["Instances"]
        assert {"Key": "tier", "Value": "back"} in instance["Tags"]

        terraform.run("destroy", "-auto-approve", "-input=false", "-no-color", "-var=changed=true")
        assert everything(ec2) == before
    finally:
        # The provider is a link to the mirror; all the rest is of this test.
        shutil.rmtree(tmp_path)


def everything(ec2):
    """The ids of all that the account has, terminated instances aside."""
    pages = {
        "describe_vpcs": ("Vpcs", "VpcId"), "describe_subnets": ("Subnets", "SubnetId"),
        "describe_internet_gateways": ("InternetGateways", "InternetGatewayId"),
        "describe_route_tables": ("RouteTables", "RouteTableId"),
        "describe_security_groups": ("SecurityGroups", "GroupId"),
        "describe_network_acls": ("NetworkAcls", "NetworkAclId"),
        "describe_network_interfaces": ("NetworkInterfaces", "NetworkInterfaceId"),
        "describe_addresses": ("Addresses", "AllocationId"),
    }
    found = {item[key] for call, (items, key) in pages.items() for item in getattr(ec2, call)()[items]}
    for reservation in ec2.describe_instances()["Reservations"]:
        found |= {i["InstanceId"] for i in reservation["Instances"] if i["State"]["Name"] != "terminated"}
    return found
