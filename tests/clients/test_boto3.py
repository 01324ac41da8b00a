"""boto3 as the client: what it sends is understood, what it gets is what its models promise."""

import botocore.exceptions
import pytest

from conftest import ACCOUNT_B, Network, wait_for


def code_of(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def test_an_unknown_account_has_its_default_vpc(region):
    ec2 = region.client(account="999900001111", region="eu-central-1")
    [vpc] = ec2.describe_vpcs()["Vpcs"]
    assert vpc["IsDefault"] and vpc["CidrBlock"] == "172.31.0.0/16" and vpc["OwnerId"] == "999900001111"
    subnets = ec2.describe_subnets()["Subnets"]
    assert [s["CidrBlock"] for s in sorted(subnets, key=lambda s: s["AvailabilityZone"])] == [
        "172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"]
    assert all(s["DefaultForAz"] and s["AvailabilityZone"].startswith("eu-central-1") for s in subnets)
    [table] = ec2.describe_route_tables()["RouteTables"]
    assert {r["DestinationCidrBlock"]: r["GatewayId"].split("-")[0] for r in table["Routes"]} == {
        "172.31.0.0/16": "local", "0.0.0.0/0": "igw"}
    [group] = ec2.describe_security_groups()["SecurityGroups"]
    assert group["GroupName"] == "default"


def test_identity_and_places(region):
    assert region.client("sts").get_caller_identity()["Account"] == "111122223333"
    assert region.client("sts", account="test").get_caller_identity()["Account"] == "000000000000"
    ec2 = region.client()
    names = {r["RegionName"] for r in ec2.describe_regions()["Regions"]}
    assert {"us-east-1", "eu-central-1", "ap-southeast-2"} <= names
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert sorted(z["ZoneName"] for z in zones) == ["us-east-1a", "us-east-1b", "us-east-1c"]
    # Which id is behind a name is each account's own matter.
    assert sorted(z["ZoneId"] for z in zones) == ["use1-az1", "use1-az2", "use1-az3"]
    attributes = {a["AttributeName"] for a in ec2.describe_account_attributes()["AccountAttributes"]}
    assert "default-vpc" in attributes


def test_tags_filters_and_pages(region):
    ec2 = region.client(account="222233334444")
    vpc = ec2.create_vpc(
        CidrBlock="10.9.0.0/16",
        TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "nine <&> \"ten\""}]}])["Vpc"]
    assert vpc["Tags"] == [{"Key": "Name", "Value": "nine <&> \"ten\""}]
    ids = {ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=f"10.9.{n}.0/24")["Subnet"]["SubnetId"] for n in range(7)}
    ec2.create_tags(Resources=sorted(ids)[:2], Tags=[{"Key": "tier", "Value": "front"}])
    of = lambda **kw: {s["SubnetId"] for s in ec2.describe_subnets(**kw)["Subnets"]}
    assert of(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]) == ids
    assert of(Filters=[{"Name": "tag:tier", "Values": ["fr*t"]}]) == set(sorted(ids)[:2])
    assert of(Filters=[{"Name": "tag-key", "Values": ["tie?"]}]) == set(sorted(ids)[:2])
    pages = list(ec2.get_paginator("describe_subnets").paginate(
        Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}], PaginationConfig={"PageSize": 5}))
    assert [len(p["Subnets"]) for p in pages] == [5, 2]
    assert code_of(ec2.describe_subnets, Filters=[{"Name": "colour", "Values": ["red"]}]) == "InvalidParameterValue"


def test_errors_have_amazons_codes(region):
    ec2 = region.client(account="333344445555")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    assert code_of(ec2.create_vpc, CidrBlock="10.0.0.0/8") == "InvalidVpc.Range"
    assert code_of(ec2.create_subnet, VpcId=vpc, CidrBlock="10.0.0.128/25") == "InvalidSubnet.Conflict"
    assert code_of(ec2.create_subnet, VpcId=vpc, CidrBlock="10.1.0.0/24") == "InvalidSubnet.Range"
    assert code_of(ec2.delete_vpc, VpcId=vpc) == "DependencyViolation"
    assert code_of(ec2.describe_vpcs, VpcIds=["vpc-0123456789abcdef0"]) == "InvalidVpcID.NotFound"
    assert code_of(ec2.describe_vpcs, VpcIds=["vpc-xyz"]) == "InvalidVpcID.Malformed"
    assert code_of(ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True) == "DryRunOperation"
    # Another account's resources do not exist for this one.
    assert code_of(region.client(account=ACCOUNT_B).delete_subnet, SubnetId=subnet) == "InvalidSubnetID.NotFound"
    # Nothing is accepted and ignored.
    assert code_of(ec2.create_vpc, CidrBlock="10.0.0.0/16", InstanceTenancy="host") in (
        "UnsupportedOperation", "InvalidParameterValue", "UnsupportedTenancy")
    assert code_of(ec2.create_nat_gateway, SubnetId=subnet) == "MissingParameter"


def test_security_group_rules_in_both_generations(region):
    net = Network(region, account="555566667777", public=False)
    web, db = net.group("web", ("tcp", 80, 80, "0.0.0.0/0")), net.group("db")
    net.allow(db, "tcp", 3306, 3306, web)
    [group] = net.ec2.describe_security_groups(GroupIds=[db])["SecurityGroups"]
    [permission] = group["IpPermissions"]
    assert permission["FromPort"] == 3306 and permission["UserIdGroupPairs"][0]["GroupId"] == web
    assert group["IpPermissionsEgress"][0]["IpProtocol"] == "-1"
    rules = net.ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [db]}])["SecurityGroupRules"]
    [ingress] = [r for r in rules if not r["IsEgress"]]
    assert ingress["ReferencedGroupInfo"]["GroupId"] == web and ingress["FromPort"] == 3306
    assert code_of(
        net.ec2.authorize_security_group_ingress, GroupId=db,
        IpPermissions=[net.permission("tcp", 3306, 3306, web)]) == "InvalidPermission.Duplicate"
    assert code_of(net.ec2.delete_security_group, GroupId=web) == "DependencyViolation"
    net.ec2.revoke_security_group_ingress(GroupId=db, SecurityGroupRuleIds=[ingress["SecurityGroupRuleId"]])
    net.ec2.delete_security_group(GroupId=web)


def test_an_instances_life(region):
    net = Network(region, account="666677778888")
    group = net.group("g")
    reply = net.ec2.run_instances(
        ImageId="ami-0123456789abcdef0", MinCount=2, MaxCount=2, InstanceType="t3.micro", SubnetId=net.subnet,
        SecurityGroupIds=[group],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "pair"}]}])
    first, second = [i["InstanceId"] for i in reply["Instances"]]
    net.ec2.get_waiter("instance_running").wait(
        InstanceIds=[first, second], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    described = net.describe(first)
    assert described["Tags"] == [{"Key": "Name", "Value": "pair"}]
    assert described["PrivateIpAddress"].startswith("10.0.1.") and described["VpcId"] == net.vpc
    address = region.exec(first, "ip", "-4", "-o", "addr", "show", "eth0").stdout
    assert f" {described['PrivateIpAddress']}/24 " in address
    public = net.elastic(first)
    assert net.describe(first)["PublicIpAddress"] == public
    net.ec2.stop_instances(InstanceIds=[first])
    wait_for("stopped", lambda: net.state(first) == "stopped")
    assert region.exec(first, "true", check=False).returncode != 0
    net.ec2.start_instances(InstanceIds=[first])
    wait_for("running again", lambda: net.state(first) == "running")
    assert net.describe(first)["PrivateIpAddress"] == described["PrivateIpAddress"]
    net.ec2.terminate_instances(InstanceIds=[first, second])
    wait_for("terminated", lambda: {net.state(first), net.state(second)} == {"terminated"})
    interfaces = net.ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [net.vpc]}])
    assert interfaces["NetworkInterfaces"] == []


def test_a_second_interface(region):
    net = Network(region, account="777788889999")
    group = net.group("g", ("-1", 0, 0, "10.0.0.0/16"))
    one, other = net.run(group), net.run(group)
    interface = net.ec2.create_network_interface(
        SubnetId=net.subnet, Groups=[group], PrivateIpAddress="10.0.1.77")["NetworkInterface"]["NetworkInterfaceId"]
    attached = net.ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=one, DeviceIndex=1)
    wait_for("eth1", lambda: "10.0.1.77" in region.exec(one, "ip", "-4", "-o", "addr", check=False).stdout)
    region.exec(other, "ping", "-c1", "-W2", "10.0.1.77")
    net.ec2.detach_network_interface(AttachmentId=attached["AttachmentId"])
    wait_for("eth1 to go", lambda: "10.0.1.77" not in region.exec(one, "ip", "-4", "-o", "addr").stdout)
    net.ec2.delete_network_interface(NetworkInterfaceId=interface)


# What EC2 answers, by its documentation and by what its users report: action, parameters, code.
# `$name` stands for a resource of the test's own, NONE for the digits of one that nobody has.
NONE = "0123456789abcdef0"
ANY = [{"CidrIp": "0.0.0.0/0"}]
REFUSED = [
    ("create_vpc", dict(CidrBlock="10.0.0.0/29"), "InvalidVpc.Range"),
    ("create_vpc", dict(CidrBlock="127.0.0.0/16"), "InvalidVpc.Range"),
    ("create_vpc", dict(CidrBlock="10.0.0.0"), "InvalidParameterValue"),
    ("create_vpc", dict(), "MissingParameter"),
    ("create_default_vpc", dict(), "DefaultVpcAlreadyExists"),
    ("modify_vpc_attribute", dict(VpcId="$vpc"), "InvalidParameterCombination"),
    ("associate_vpc_cidr_block", dict(VpcId="$vpc", CidrBlock="10.0.0.0/20"), "InvalidVpc.Range"),
    ("create_subnet", dict(VpcId="$vpc", CidrBlock="10.0.3.0/29"), "InvalidSubnet.Range"),
    ("create_subnet", dict(VpcId="$vpc", CidrBlock="10.0.9.0/24", AvailabilityZone="us-east-1q"), "InvalidParameterValue"),
    ("describe_subnets", dict(SubnetIds=[f"subnet-{NONE}", "foo"]), "InvalidSubnetID.Malformed"),
    ("delete_subnet", dict(SubnetId="subnet-12345678"), "InvalidSubnetID.NotFound"),
    ("attach_internet_gateway", dict(InternetGatewayId="$other", VpcId="$vpc"), "InvalidParameterValue"),
    ("attach_internet_gateway", dict(InternetGatewayId="$gateway", VpcId="$vpc"), "Resource.AlreadyAssociated"),
    ("detach_internet_gateway", dict(InternetGatewayId="$other", VpcId="$vpc"), "Gateway.NotAttached"),
    ("delete_internet_gateway", dict(InternetGatewayId="$gateway"), "DependencyViolation"),
    ("delete_internet_gateway", dict(InternetGatewayId="foo"), "InvalidInternetGatewayId.Malformed"),
    ("create_route", dict(RouteTableId="$table", DestinationCidrBlock="10.0.0.0/16", GatewayId="$gateway"),
     "RouteAlreadyExists"),
    ("create_route", dict(RouteTableId="$table", DestinationCidrBlock="9.0.0.0/8", GatewayId=f"igw-{NONE}"),
     "InvalidGatewayID.NotFound"),
    ("create_route", dict(RouteTableId="$table", DestinationIpv6CidrBlock="::/129", GatewayId="$gateway"),
     "InvalidParameterValue"),
    ("replace_route", dict(RouteTableId="$table", DestinationCidrBlock="8.0.0.0/8", GatewayId="$gateway"),
     "InvalidParameterValue"),
    ("delete_route", dict(RouteTableId="$table", DestinationCidrBlock="8.0.0.0/8"), "InvalidRoute.NotFound"),
    ("delete_route", dict(RouteTableId="$table", DestinationCidrBlock="10.0.0.0/16"), "InvalidParameterValue"),
    ("delete_route_table", dict(RouteTableId="$table"), "DependencyViolation"),
    ("delete_route_table", dict(RouteTableId="foo"), "InvalidRouteTableId.Malformed"),
    ("disassociate_route_table", dict(AssociationId="foo"), "InvalidAssociationID.NotFound"),
    ("create_security_group", dict(GroupName="web", Description="w", VpcId="$vpc"), "InvalidGroup.Duplicate"),
    ("create_security_group", dict(GroupName="default", Description="w", VpcId="$vpc"), "InvalidGroup.Reserved"),
    ("create_security_group", dict(GroupName="u", Description="ü", VpcId="$vpc"), "InvalidParameterValue"),
    ("authorize_security_group_ingress", dict(GroupId="$group", IpProtocol="tcp", FromPort=9, ToPort=1, CidrIp="0.0.0.0/0"),
     "InvalidParameterValue"),
    ("authorize_security_group_ingress", dict(GroupId="$group", IpPermissions=[dict(IpProtocol="tcp", IpRanges=ANY)]),
     "InvalidParameterValue"),
    ("authorize_security_group_ingress", dict(GroupId="$group", IpPermissions=[dict(
        IpProtocol="tcp", FromPort=1, ToPort=7, UserIdGroupPairs=[{"GroupId": f"sg-{NONE}"}])]), "InvalidGroup.NotFound"),
    ("revoke_security_group_ingress", dict(GroupId="$group", IpPermissions=[dict(
        IpProtocol="tcp", FromPort=9, ToPort=9, IpRanges=ANY)]), "InvalidPermission.NotFound"),
    ("revoke_security_group_ingress", dict(GroupId="$group", SecurityGroupRuleIds=[f"sgr-{NONE}"]),
     "InvalidSecurityGroupRuleId.NotFound"),
    ("delete_security_group", dict(GroupId="foo"), "InvalidGroupId.Malformed"),
    ("create_network_interface", dict(SubnetId="$subnet", PrivateIpAddress="10.0.1.50"), "InvalidIPAddress.InUse"),
    ("create_network_interface", dict(SubnetId="$subnet", PrivateIpAddress="10.0.1.1"), "InvalidParameterValue"),
    ("create_network_interface", dict(SubnetId="$subnet", PrivateIpAddress="10.9.1.9"), "InvalidParameterValue"),
    ("unassign_private_ip_addresses", dict(NetworkInterfaceId="$interface", PrivateIpAddresses=["10.0.1.50"]),
     "InvalidParameterValue"),
    ("detach_network_interface", dict(AttachmentId=f"eni-attach-{NONE}"), "InvalidAttachmentID.NotFound"),
    ("detach_network_interface", dict(AttachmentId="$interface"), "InvalidNetworkInterfaceAttachmentId.Malformed"),
    ("run_instances", dict(ImageId="foo", MinCount=1, MaxCount=1), "InvalidAMIID.Malformed"),
    ("run_instances", dict(ImageId="ami-12345678", MinCount=2, MaxCount=1), "InvalidParameterValue"),
    ("run_instances", dict(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=f"subnet-{NONE}"),
     "InvalidSubnetID.NotFound"),
    ("run_instances", dict(ImageId="ami-12345678", MinCount=1, MaxCount=1, KeyName="key"), "InvalidKeyPair.NotFound"),
    ("describe_addresses", dict(PublicIps=["9.9.9.9"]), "InvalidAddress.NotFound"),
    ("release_address", dict(AllocationId=f"eipalloc-{NONE}"), "InvalidAllocationID.NotFound"),
    ("create_tags", dict(Resources=["$vpc"], Tags=[{"Key": "aws:x", "Value": ""}]), "InvalidParameterValue"),
    ("create_tags", dict(Resources=["foo"], Tags=[{"Key": "x", "Value": ""}]), "InvalidID"),
    ("describe_vpcs", dict(MaxResults=5, NextToken="zzz"), "InvalidNextToken"),
    ("describe_regions", dict(RegionNames=["mars-1"]), "InvalidParameterValue"),
    ("terminate_instances", dict(InstanceIds=["foo"]), "InvalidInstanceID.Malformed"),
    ("describe_reserved_instances", dict(), "UnsupportedOperation"),
]


@pytest.fixture(scope="module")
def furnished(region):
    """A VPC that has one of each, by name."""
    net = Network(region, account="121212121212")
    return net.ec2, {
        "vpc": net.vpc, "subnet": net.subnet, "gateway": net.gateway, "table": net.table, "group": net.group("web"),
        "other": net.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"],
        "interface": net.ec2.create_network_interface(
            SubnetId=net.subnet, PrivateIpAddress="10.0.1.50")["NetworkInterface"]["NetworkInterfaceId"],
    }


@pytest.mark.parametrize("action,parameters,code", REFUSED, ids=[f"{a}-{c}" for a, _, c in REFUSED])
def test_refused(furnished, action, parameters, code):
    ec2, names = furnished
    filled = {key: names.get(value[1:], value) if isinstance(value, str) else
              [names.get(v[1:], v) if isinstance(v, str) else v for v in value] if isinstance(value, list) else value
              for key, value in parameters.items()}
    assert code_of(getattr(ec2, action), **filled) == code


def test_errors_have_amazons_status(furnished):
    ec2, names = furnished
    for call, status in [
        (lambda: ec2.create_vpc(CidrBlock="10.0.0.0/16", DryRun=True), 412),
        (lambda: ec2.delete_vpc(VpcId=names["vpc"]), 400),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert caught.value.response["ResponseMetadata"]["RequestId"]


def test_five_addresses_and_no_more(region):
    ec2 = region.client(account="131313131313")
    mine = [ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(5)]
    assert code_of(ec2.allocate_address, Domain="vpc") == "AddressLimitExceeded"
    neighbour = region.client(account="141414141414")
    mine_too = neighbour.allocate_address(Domain="vpc")["AllocationId"]
    neighbour.release_address(AllocationId=mine_too)
    for allocation in mine:
        ec2.release_address(AllocationId=allocation)


def test_a_token_makes_a_repeat_harmless(region, furnished):
    ec2, names = furnished
    request = dict(SubnetId=names["subnet"], Description="once", ClientToken="token-1")
    first = ec2.create_network_interface(**request)["NetworkInterface"]["NetworkInterfaceId"]
    assert ec2.create_network_interface(**request)["NetworkInterface"]["NetworkInterfaceId"] == first
    assert code_of(ec2.create_network_interface, **request | {"Description": "other"}) == "IdempotentParameterMismatch"
    ec2.delete_network_interface(NetworkInterfaceId=first)


def test_members_that_clients_count_on(furnished):
    ec2, names = furnished
    [subnet] = ec2.describe_subnets(SubnetIds=[names["subnet"]])["Subnets"]
    assert subnet["Ipv6CidrBlockAssociationSet"] == [] and subnet["AvailableIpAddressCount"] == 250
    assert subnet["PrivateDnsNameOptionsOnLaunch"]["HostnameType"] == "ip-name"
    assert subnet["SubnetArn"].endswith(f":121212121212:subnet/{names['subnet']}")
    assert all(zone["Messages"] == [] for zone in ec2.describe_availability_zones()["AvailabilityZones"])
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "cidr-block", "Values": ["10.0.0.0/16"]}])["Vpcs"]
    assert vpc["VpcId"] == names["vpc"] and vpc["DhcpOptionsId"].startswith("dopt-")
    [interface] = ec2.describe_network_interfaces(NetworkInterfaceIds=[names["interface"]])["NetworkInterfaces"]
    assert interface["Status"] == "available" and interface["SourceDestCheck"] and "Attachment" not in interface
    assert interface["PrivateIpAddresses"] == [{"Primary": True, "PrivateIpAddress": "10.0.1.50"}]
