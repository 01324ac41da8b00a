"""What stands around instances: public addresses that come with them, keys, groups, templates, pools of addresses."""

import json
import os
import subprocess
import sys

import botocore.exceptions
import pytest

from conftest import WEB, Network, wait_for

IMAGE = "ami-0123456789abcdef0"


def code_of(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def page(address):
    done = subprocess.run(["curl", "-s", "-m", "2", f"http://{address}/"], capture_output=True, text=True)
    return done.stdout


def test_a_public_address_comes_and_goes_with_its_instance(region):
    net = Network(region, account="100000000011")
    ec2 = net.ec2
    group = net.group("web", ("tcp", 80, 80, "0.0.0.0/0"))
    interface = {"DeviceIndex": 0, "SubnetId": net.subnet, "Groups": [group], "AssociatePublicIpAddress": True}
    made = ec2.run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, UserData=WEB, NetworkInterfaces=[interface])
    [instance] = [i["InstanceId"] for i in made["Instances"]]
    wait_for("the instance to run", lambda: net.state(instance) == "running")
    shown = net.describe(instance)
    public = shown["PublicIpAddress"]
    [association] = [i["Association"] for i in shown["NetworkInterfaces"]]
    assert (association["IpOwnerId"], association["PublicIp"]) == ("amazon", public)
    assert ec2.describe_addresses()["Addresses"] == []

    # In, as far as the group lets; and out, seen under that address.
    wait_for("the web server", lambda: "hello" in page(public))
    done = region.exec(instance, "ping", "-c2", "-i0.2", "-W2", "203.0.113.1")
    assert " 0% packet loss" in done.stdout

    ec2.stop_instances(InstanceIds=[instance])
    wait_for("the instance to stop", lambda: net.state(instance) == "stopped")
    assert "PublicIpAddress" not in net.describe(instance)
    assert page(public) == ""
    # It is another's meanwhile: the next start has a new one.
    taken = ec2.allocate_address(Address=public)["AllocationId"]
    ec2.start_instances(InstanceIds=[instance])
    wait_for("the instance to run again", lambda: net.state(instance) == "running")
    second = net.describe(instance)["PublicIpAddress"]
    assert second != public
    wait_for("the web server again", lambda: "hello" in page(second))
    assert page(public) == ""

    # An elastic address takes its place, and gives it back.
    elastic = ec2.associate_address(AllocationId=taken, InstanceId=instance)["AssociationId"]
    wait_for("the elastic address", lambda: "hello" in page(public))
    assert page(second) == ""
    ec2.disassociate_address(AssociationId=elastic)
    third = net.describe(instance)["PublicIpAddress"]
    wait_for("the third address", lambda: "hello" in page(third))
    ec2.release_address(AllocationId=taken)
    ec2.terminate_instances(InstanceIds=[instance])
    wait_for("the instance to end", lambda: net.state(instance) == "terminated")
    assert page(third) == ""
    ec2.detach_internet_gateway(InternetGatewayId=net.gateway, VpcId=net.vpc)


def test_a_subnet_gives_public_addresses(region):
    net = Network(region, account="100000000012")
    net.ec2.modify_subnet_attribute(SubnetId=net.subnet, MapPublicIpOnLaunch={"Value": True})
    group = net.group("web", ("icmp", -1, -1, "0.0.0.0/0"))
    instance = net.run(group)
    public = net.describe(instance)["PublicIpAddress"]
    ping = ["ping", "-c1", "-W1", public]
    wait_for("an answer", lambda: subprocess.run(ping, capture_output=True).returncode == 0)
    net.ec2.terminate_instances(InstanceIds=[instance])


def test_keys_groups_and_templates(region, tmp_path):
    ec2 = region.client(account="100000000013")
    for kind in ("rsa", "ed25519"):
        made = ec2.create_key_pair(KeyName=kind, KeyType=kind)
        private = tmp_path / kind
        private.write_text(made["KeyMaterial"])
        private.chmod(0o600)
        public = subprocess.run(
            ["ssh-keygen", "-y", "-f", str(private)], capture_output=True, text=True, check=True).stdout
        assert public.startswith({"rsa": "ssh-rsa ", "ed25519": "ssh-ed25519 "}[kind])
        shown = ec2.describe_key_pairs(KeyNames=[kind], IncludePublicKey=True)["KeyPairs"][0]
        assert shown["PublicKey"].split()[:2] == public.split()[:2]
    ec2.create_placement_group(GroupName="apart", Strategy="partition", PartitionCount=3)
    template = ec2.create_launch_template(
        LaunchTemplateName="web",
        LaunchTemplateData={
            "ImageId": IMAGE, "InstanceType": "t3.micro", "KeyName": "ed25519",
            "Placement": {"GroupName": "apart", "PartitionNumber": 2},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}],
        })["LaunchTemplate"]["LaunchTemplateId"]
    ec2.create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"InstanceType": "m5.large"})
    ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion="2")
    launch = lambda **more: ec2.run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "web"}, **more)["Instances"][0]
    first = launch()
    assert (first["ImageId"], first["InstanceType"], first["KeyName"]) == (IMAGE, "m5.large", "ed25519")
    assert (first["Placement"]["GroupName"], first["Placement"]["PartitionNumber"]) == ("apart", 2)
    assert first["Tags"] == [{"Key": "Name", "Value": "web"}]
    second = launch(InstanceType="t3.small", KeyName="rsa")
    assert (second["InstanceType"], second["KeyName"]) == ("t3.small", "rsa")
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
    assert [(v["VersionNumber"], v["DefaultVersion"]) for v in versions] == [(2, True), (1, False)]
    assert code_of(ec2.delete_placement_group, GroupName="apart") == "InvalidPlacementGroup.InUse"
    ids = [first["InstanceId"], second["InstanceId"]]
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})
    ec2.delete_placement_group(GroupName="apart")
    ec2.delete_launch_template(LaunchTemplateId=template)


def test_addresses_from_pools(region):
    ec2 = region.client(account="100000000014")
    ipam = ec2.create_ipam(OperatingRegions=[{"RegionName": "us-east-1"}])["Ipam"]
    pool = lambda **more: ec2.create_ipam_pool(
        IpamScopeId=ipam["PrivateDefaultScopeId"], AddressFamily="ipv4", **more)["IpamPool"]["IpamPoolId"]
    top = pool()
    ec2.provision_ipam_pool_cidr(IpamPoolId=top, Cidr="10.0.0.0/8")
    part = pool(SourceIpamPoolId=top, Locale="us-east-1", AllocationDefaultNetmaskLength=24)
    ec2.provision_ipam_pool_cidr(IpamPoolId=part, NetmaskLength=16)
    own = ec2.allocate_ipam_pool_cidr(IpamPoolId=part)["IpamPoolAllocation"]
    assert own["Cidr"] == "10.0.0.0/24"
    vpc = ec2.create_vpc(Ipv4IpamPoolId=part, Ipv4NetmaskLength=20)["Vpc"]
    assert vpc["CidrBlock"] == "10.0.16.0/20"
    allocations = ec2.get_ipam_pool_allocations(IpamPoolId=part)["IpamPoolAllocations"]
    assert {(a["ResourceType"], a["Cidr"]) for a in allocations} == {("custom", "10.0.0.0/24"), ("vpc", "10.0.16.0/20")}
    assert code_of(ec2.delete_ipam, IpamId=ipam["IpamId"]) == "DependencyViolation"
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    ec2.release_ipam_pool_allocation(
        IpamPoolId=part, Cidr=own["Cidr"], IpamPoolAllocationId=own["IpamPoolAllocationId"])
    assert ec2.get_ipam_pool_allocations(IpamPoolId=part)["IpamPoolAllocations"] == []
    ec2.delete_ipam(IpamId=ipam["IpamId"], Cascade=True)


def test_the_same_with_awscli(region, tmp_path):
    environment = os.environ | {
        "AWS_ENDPOINT_URL": region.endpoint, "AWS_ACCESS_KEY_ID": "100000000015", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_OUTPUT": "json",
    }

    def aws(*words):
        done = subprocess.run(
            [sys.executable, "-m", "awscli", "ec2", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"aws ec2 {' '.join(words)}: {done.stderr}\n{region.output()}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    key = aws("create-key-pair", "--key-name", "mine", "--key-type", "ed25519")
    (tmp_path / "key").write_text(key["KeyMaterial"])
    (tmp_path / "key").chmod(0o600)
    subprocess.run(["ssh-keygen", "-y", "-f", str(tmp_path / "key")], check=True, capture_output=True)
    aws("create-launch-template", "--launch-template-name", "web",
        "--launch-template-data", json.dumps({"ImageId": IMAGE, "InstanceType": "t3.micro"}))
    made = aws("run-instances", "--launch-template", "LaunchTemplateName=web", "--key-name", "mine",
               "--associate-public-ip-address", "--count", "1")["Instances"][0]
    assert made["PublicIpAddress"] and made["InstanceType"] == "t3.micro"
    aws("terminate-instances", "--instance-ids", made["InstanceId"])
    aws("delete-launch-template", "--launch-template-name", "web")
    ipam = aws("create-ipam", "--description", "ours")["Ipam"]
    pool = aws("create-ipam-pool", "--ipam-scope-id", ipam["PrivateDefaultScopeId"], "--address-family", "ipv4",
               "--locale", "us-east-1")["IpamPool"]["IpamPoolId"]
    aws("provision-ipam-pool-cidr", "--ipam-pool-id", pool, "--cidr", "10.0.0.0/8")
    vpc = aws("create-vpc", "--ipv4-ipam-pool-id", pool, "--ipv4-netmask-length", "16")["Vpc"]
    assert vpc["CidrBlock"] == "10.0.0.0/16"
    aws("delete-vpc", "--vpc-id", vpc["VpcId"])
    aws("delete-ipam", "--ipam-id", ipam["IpamId"], "--cascade")
