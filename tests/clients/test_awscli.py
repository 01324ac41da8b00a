"""awscli as the client, as a person types it."""

import json
import os
import subprocess
import sys

import pytest

from conftest import WEB, wait_for

AWS = [sys.executable, "-m", "awscli"]


@pytest.fixture(scope="module")
def aws(region):
    environment = os.environ | {
        "AWS_ENDPOINT_URL": region.endpoint, "AWS_ACCESS_KEY_ID": "111122223333", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_OUTPUT": "json",
    }

    def aws(*words, check=True):
        done = subprocess.run([*AWS, *words], env=environment, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, f"aws {' '.join(words)}: {done.stderr}\n{region.output()}"
        return json.loads(done.stdout) if check and done.stdout.strip() else done

    return aws


def test_the_readmes_story(aws, tmp_path):
    """A web server in a VPC, reached from the user's shell: the commands of README.md."""
    text = lambda *words: aws(*words, "--output", "json")
    vpc = text("ec2", "create-vpc", "--cidr-block", "10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = text("ec2", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.0.1.0/24")["Subnet"]["SubnetId"]
    gateway = text("ec2", "create-internet-gateway")["InternetGateway"]["InternetGatewayId"]
    aws("ec2", "attach-internet-gateway", "--vpc-id", vpc, "--internet-gateway-id", gateway)
    table = text("ec2", "describe-route-tables", "--filters", f"Name=vpc-id,Values={vpc}")["RouteTables"][0]
    aws("ec2", "create-route", "--route-table-id", table["RouteTableId"],
        "--destination-cidr-block", "0.0.0.0/0", "--gateway-id", gateway)
    group = text("ec2", "create-security-group", "--group-name", "web", "--description", "web",
                 "--vpc-id", vpc)["GroupId"]
    aws("ec2", "authorize-security-group-ingress", "--group-id", group,
        "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0")
    script = tmp_path / "web.sh"
    script.write_text(WEB)
    instance = text("ec2", "run-instances", "--image-id", "ami-12345678", "--instance-type", "t3.micro",
                    "--subnet-id", subnet, "--security-group-ids", group, "--user-data", f"file://{script}",
                    "--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=web}]",
                    )["Instances"][0]["InstanceId"]
    address = text("ec2", "allocate-address", "--domain", "vpc")
    aws("ec2", "wait", "instance-running", "--instance-ids", instance)
    aws("ec2", "associate-address", "--instance-id", instance, "--allocation-id", address["AllocationId"])
    curl = lambda: subprocess.run(
        ["curl", "-s", "-m", "2", f"http://{address['PublicIp']}/"], capture_output=True, text=True).stdout
    assert "hello" in wait_for("the web server", curl)
    aws("ec2", "revoke-security-group-ingress", "--group-id", group,
        "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0")
    assert curl() == ""


def test_errors_reach_the_person(aws):
    done = aws("ec2", "delete-vpc", "--vpc-id", "vpc-0123456789abcdef0", check=False)
    assert done.returncode != 0 and "InvalidVpcID.NotFound" in done.stderr
    done = aws("ec2", "run-instances", "--image-id", "ami-12345678", "--hibernation-options", "Configured=true", check=False)
    assert done.returncode != 0 and "HibernationOptions" in done.stderr
    done = aws("ec2", "create-vpc", "--cidr-block", "10.0.0.0/16", "--dry-run", check=False)
    assert "DryRunOperation" in done.stderr


def test_network_acls_as_a_person_types_them(aws):
    vpc = aws("ec2", "create-vpc", "--cidr-block", "10.7.0.0/16")["Vpc"]["VpcId"]
    acl = aws("ec2", "create-network-acl", "--vpc-id", vpc)["NetworkAcl"]["NetworkAclId"]
    entry = ["--network-acl-id", acl, "--rule-action", "allow", "--cidr-block", "0.0.0.0/0"]
    aws("ec2", "create-network-acl-entry", *entry, "--ingress", "--rule-number", "100", "--protocol", "tcp",
        "--port-range", "From=80,To=80")
    aws("ec2", "create-network-acl-entry", *entry, "--ingress", "--rule-number", "110", "--protocol", "icmp",
        "--icmp-type-code", "Type=8,Code=-1")
    aws("ec2", "create-network-acl-entry", *entry, "--egress", "--rule-number", "100", "--protocol", "all")
    aws("ec2", "replace-network-acl-entry", *entry, "--ingress", "--rule-number", "100", "--protocol", "udp",
        "--port-range", "From=53,To=54")
    aws("ec2", "delete-network-acl-entry", "--network-acl-id", acl, "--egress", "--rule-number", "100")
    [shown] = aws("ec2", "describe-network-acls", "--filters", f"Name=network-acl-id,Values={acl}")["NetworkAcls"]
    assert [(e["Egress"], e["RuleNumber"], e["Protocol"]) for e in shown["Entries"]] == [
        (True, 32767, "-1"), (False, 100, "17"), (False, 110, "1"), (False, 32767, "-1")]
    assert shown["Entries"][1]["PortRange"] == {"From": 53, "To": 54}
    assert shown["Entries"][2]["IcmpTypeCode"] == {"Type": 8, "Code": -1}
    aws("ec2", "delete-network-acl", "--network-acl-id", acl)
    aws("ec2", "delete-vpc", "--vpc-id", vpc)
