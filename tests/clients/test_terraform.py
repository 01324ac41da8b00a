"""Terraform, unmodified: a network with an instance is applied, changed and destroyed, and plans between are empty."""

import pathlib
import shutil
import urllib.request

from conftest import ACCOUNT_A, connect, wait_for
from terraform import Terraform, everything

CONFIGURATION = pathlib.Path(__file__).with_suffix(".tf")


def get(address, port):
    with urllib.request.urlopen(f"http://{address}:{port}/", timeout=3) as reply:
        return reply.read().decode().strip()


def test_a_network_comes_changes_and_goes(region, tmp_path):
    terraform = Terraform(CONFIGURATION, tmp_path)
    ec2 = region.client()
    before = everything(ec2)
    try:
        terraform.init()

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

        terraform.destroy(changed=True)
        assert everything(ec2) == before
    finally:
        # The provider is a link to the mirror; all the rest is of this test.
        shutil.rmtree(tmp_path)
