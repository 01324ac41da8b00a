"""The family of VPCs and subnets: both address families, DHCP options, reservations, the default VPC, block public
access, quotas. The same things with boto3, with awscli, and as an instance sees them."""

import json
import subprocess

import botocore.exceptions
import pytest

from conftest import POLDER, Network
from test_awscli_families import Aws


def code_of(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


@pytest.fixture
def account(request):
    """An account of its own for each story."""
    return str(700000000000 + sum(map(ord, request.node.name)) * 1000 + len(request.node.name))


# What a client of DHCP is told: all that dhcpcd, udhcpc or dhclient would read off the same message.
DISCOVER = r"""
import json, socket, struct
name = next(name for _, name in socket.if_nameindex() if name != "lo")
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.bind((name, 0)); s.settimeout(10)
mac = s.getsockname()[4]
bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0) + bytes(16) + mac + bytes(10 + 192) + bytes([99, 130, 83, 99])
bootp += bytes([53, 1, 1, 55, 8, 1, 3, 6, 15, 26, 42, 44, 46, 255])
udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4))
total = sum(struct.unpack("!10H", ip)); total = (total & 0xffff) + (total >> 16); total += total >> 16
ip[10:12] = struct.pack("!H", ~total & 0xffff)
s.send(b"\xff" * 6 + mac + b"\x08\x00" + bytes(ip) + udp)
while True:
    frame = s.recv(2048)
    if frame[23] == 17 and frame[34:38] == b"\x00\x43\x00\x44" and frame[46:50] == b"\x00\x00\x12\x34":
        break
options, rest = {}, frame[42 + 240:]
while rest and rest[0] != 255:
    options[rest[0]] = rest[2:2 + rest[1]]
    rest = rest[2 + rest[1]:]
addresses = lambda code: [socket.inet_ntoa(options[code][n:n + 4]) for n in range(0, len(options.get(code, b"")), 4)]
print(json.dumps({
    "resolvers": addresses(6), "domain": options.get(15, b"").decode(), "time": addresses(42),
    "netbios": addresses(44), "node": list(options.get(46, b"")), "router": addresses(3)}))
"""


def test_instances_are_told_the_set_s_options(region, account):
    net = Network(region, account=account)
    ec2 = net.ec2
    instance = net.run(net.group("all"))
    usual = region.python(instance, DISCOVER)
    assert usual["resolvers"] == ["10.0.0.2"] and usual["domain"] == "ec2.internal" and usual["time"] == []
    made = ec2.create_dhcp_options(DhcpConfigurations=[
        {"Key": "domain-name", "Values": ["lab.example.com"]},
        {"Key": "domain-name-servers", "Values": ["192.0.2.53", "AmazonProvidedDNS"]},
        {"Key": "ntp-servers", "Values": ["192.0.2.123"]},
        {"Key": "netbios-name-servers", "Values": ["192.0.2.137"]},
        {"Key": "netbios-node-type", "Values": ["2"]},
    ])["DhcpOptions"]["DhcpOptionsId"]
    ec2.associate_dhcp_options(DhcpOptionsId=made, VpcId=net.vpc)
    assert region.python(instance, DISCOVER) == {
        "resolvers": ["192.0.2.53", "10.0.0.2"], "domain": "lab.example.com", "time": ["192.0.2.123"],
        "netbios": ["192.0.2.137"], "node": [2], "router": usual["router"]}
    assert code_of(ec2.delete_dhcp_options, DhcpOptionsId=made) == "DependencyViolation"
    ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=net.vpc)
    nothing = region.python(instance, DISCOVER)
    assert nothing["resolvers"] == [] and nothing["domain"] == "" and nothing["router"] == usual["router"]
    ec2.delete_dhcp_options(DhcpOptionsId=made)
    assert code_of(ec2.describe_dhcp_options, DhcpOptionsIds=[made]) == "InvalidDhcpOptionID.NotFound"


def test_both_families_with_boto3(region, account):
    ec2 = region.client(account=account)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    [block] = vpc["Ipv6CidrBlockAssociationSet"]
    assert block["Ipv6CidrBlock"].endswith("/56") and block["Ipv6Pool"] == "Amazon"
    vpc = vpc["VpcId"]
    six = block["Ipv6CidrBlock"].replace("/56", "/64")
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", Ipv6CidrBlock=six)["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": True})
    reserved = ec2.create_subnet_cidr_reservation(
        SubnetId=subnet, Cidr="10.0.0.128/25", ReservationType="prefix")["SubnetCidrReservation"]
    eni = ec2.create_network_interface(SubnetId=subnet, Ipv4PrefixCount=1)["NetworkInterface"]
    # Prefixes come from what is set aside for them, and single addresses do not.
    assert eni["Ipv4Prefixes"] == [{"Ipv4Prefix": "10.0.0.128/28"}] and eni["PrivateIpAddress"] == "10.0.0.4"
    assert len(eni["Ipv6Addresses"]) == 1
    eni = eni["NetworkInterfaceId"]
    more = ec2.assign_ipv6_addresses(NetworkInterfaceId=eni, Ipv6AddressCount=2)["AssignedIpv6Addresses"]
    shown = ec2.describe_network_interfaces(Filters=[{"Name": "ipv6-addresses.ipv6-address", "Values": more[:1]}])
    assert [i["NetworkInterfaceId"] for i in shown["NetworkInterfaces"]] == [eni]
    ec2.unassign_ipv6_addresses(NetworkInterfaceId=eni, Ipv6Addresses=more)
    assert code_of(ec2.create_network_interface, SubnetId=subnet, PrivateIpAddress="10.0.0.130") == "InvalidIPAddress.InUse"
    free = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"]
    assert free == 256 - 5 - 1 - 16
    association = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["Ipv6CidrBlockAssociationSet"][0]
    off = {"AssociationId": association["AssociationId"]}
    assert code_of(ec2.disassociate_subnet_cidr_block, **off) == "InvalidCidrBlock.InUse"
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    ec2.disassociate_subnet_cidr_block(**off)
    ec2.delete_subnet_cidr_reservation(SubnetCidrReservationId=reserved["SubnetCidrReservationId"])
    ec2.delete_subnet(SubnetId=subnet)
    ec2.disassociate_vpc_cidr_block(AssociationId=block["AssociationId"])
    ec2.delete_vpc(VpcId=vpc)


def test_the_same_with_awscli(region, account):
    aws = Aws(region, account)
    vpc = aws("create-vpc", "--cidr-block", "10.0.0.0/16", "--amazon-provided-ipv6-cidr-block", query="Vpc")
    block, vpc = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"], vpc["VpcId"]
    subnet = aws.text(
        "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.0.0.0/24",
        "--ipv6-cidr-block", block.replace("/56", "/64"), query="Subnet.SubnetId")
    options = aws.text(
        "create-dhcp-options", "--dhcp-configurations", "Key=domain-name-servers,Values=192.0.2.53,192.0.2.54",
        query="DhcpOptions.DhcpOptionsId")
    aws("associate-dhcp-options", "--dhcp-options-id", options, "--vpc-id", vpc)
    assert aws.text("describe-vpcs", "--vpc-ids", vpc, query="Vpcs[0].DhcpOptionsId") == options
    found = aws("describe-dhcp-options", "--filters", "Name=value,Values=192.0.2.54", query="DhcpOptions[].DhcpOptionsId")
    assert found == [options]
    reservation = aws.text(
        "create-subnet-cidr-reservation", "--subnet-id", subnet, "--cidr", "10.0.0.64/28",
        "--reservation-type", "explicit", query="SubnetCidrReservation.SubnetCidrReservationId")
    held = aws("get-subnet-cidr-reservations", "--subnet-id", subnet, query="SubnetIpv4CidrReservations[].Cidr")
    assert held == ["10.0.0.64/28"]
    aws("delete-subnet-cidr-reservation", "--subnet-cidr-reservation-id", reservation)
    aws("modify-subnet-attribute", "--subnet-id", subnet, "--enable-dns64")
    assert aws("describe-subnets", "--subnet-ids", subnet, query="Subnets[0].EnableDns64") is True
    aws.fails("InvalidSubnet.Conflict", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.0.1.0/24",
              "--ipv6-cidr-block", block.replace("/56", "/64"))
    aws("associate-dhcp-options", "--dhcp-options-id", "default", "--vpc-id", vpc)
    aws("delete-dhcp-options", "--dhcp-options-id", options)
    aws("delete-subnet", "--subnet-id", subnet)
    aws("delete-vpc", "--vpc-id", vpc)


def test_the_default_vpc_comes_again(region, account):
    aws = Aws(region, account)
    zones = aws("describe-availability-zones", query="AvailabilityZones[].[ZoneName,ZoneId]")
    assert aws.run("create-default-subnet", "--availability-zone", zones[0][0]).returncode != 0
    vpc = aws.text("describe-vpcs", "--filters", "Name=is-default,Values=true", query="Vpcs[0].VpcId")
    for subnet in aws("describe-subnets", query="Subnets[].SubnetId"):
        aws("delete-subnet", "--subnet-id", subnet)
    made = aws("create-default-subnet", "--availability-zone", zones[1][0], query="Subnet")
    assert made["DefaultForAz"] and made["AvailabilityZoneId"] == zones[1][1] and made["CidrBlock"] == "172.31.0.0/20"
    aws("delete-subnet", "--subnet-id", made["SubnetId"])
    gateway = aws.text("describe-internet-gateways", query="InternetGateways[0].InternetGatewayId")
    aws("detach-internet-gateway", "--internet-gateway-id", gateway, "--vpc-id", vpc)
    aws("delete-internet-gateway", "--internet-gateway-id", gateway)
    aws("delete-vpc", "--vpc-id", vpc)
    aws.fails("DefaultVpcDoesNotExist", "create-default-subnet", "--availability-zone", zones[0][0])
    again = aws("create-default-vpc", query="Vpc")
    assert again["IsDefault"] and again["CidrBlock"] == "172.31.0.0/16"
    shown = aws("describe-subnets", "--filters", "Name=default-for-az,Values=true", query="Subnets[].AvailabilityZone")
    assert sorted(shown) == sorted(name for name, _ in zones)


PING = "import json, subprocess; print(json.dumps(subprocess.run(['ping', '-c1', '-W1', '%s'], capture_output=True).returncode == 0))"


def test_blocked_public_access(region, account):
    net = Network(region, account=account)
    ec2 = net.ec2
    group = net.group("all", ("-1", 0, 0, "0.0.0.0/0"))
    instance, other = net.run(group), net.run(group)
    public = net.elastic(instance)
    host = "203.0.113.1"

    def out():
        return region.python(instance, PING % host)

    def into():
        return subprocess.run(["ping", "-c1", "-W1", public], capture_output=True).returncode == 0

    assert out() and into()
    done = ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="block-bidirectional")
    assert done["VpcBlockPublicAccessOptions"]["InternetGatewayBlockMode"] == "block-bidirectional"
    before = region.drops()["next"]
    assert not out() and not into()
    reasons = {drop["reason"] for drop in region.drops(before)["drops"]}
    assert reasons == {"public-access-blocked"}
    # Inside of the VPC nothing is blocked.
    assert region.python(instance, PING % net.describe(other)["PrivateIpAddress"])
    exclusion = ec2.create_vpc_block_public_access_exclusion(
        SubnetId=net.subnet, InternetGatewayExclusionMode="allow-bidirectional")["VpcBlockPublicAccessExclusion"]
    assert exclusion["ResourceArn"].endswith(f":subnet/{net.subnet}")
    assert out() and into()
    # Egress is what NAT gateways let out; an interface's own public address is a way in, too.
    ec2.modify_vpc_block_public_access_exclusion(
        ExclusionId=exclusion["ExclusionId"], InternetGatewayExclusionMode="allow-egress")
    assert not out() and not into()
    ec2.delete_vpc_block_public_access_exclusion(ExclusionId=exclusion["ExclusionId"])
    ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="off")
    assert out() and into()


def test_an_address_changes_hands(region, account):
    here, there = region.client(account=account), region.client(account="700000000001")
    address = here.allocate_address(Domain="vpc")
    offer = here.enable_address_transfer(AllocationId=address["AllocationId"], TransferAccountId="700000000001")
    assert offer["AddressTransfer"]["AddressTransferStatus"] == "pending"
    taken = there.accept_address_transfer(Address=address["PublicIp"])["AddressTransfer"]
    assert taken["AddressTransferStatus"] == "accepted"
    assert here.describe_addresses()["Addresses"] == []
    [owned] = there.describe_addresses(PublicIps=[address["PublicIp"]])["Addresses"]
    there.release_address(AllocationId=owned["AllocationId"])
    [shown] = here.describe_address_transfers()["AddressTransfers"]
    assert shown["TransferOfferAcceptedTimestamp"] == taken["TransferOfferAcceptedTimestamp"]


def test_quotas(region, account):
    def quota(*words, code=0):
        done = subprocess.run(
            [POLDER, "quota", *words, "--state-dir", str(region.state), "--json"], capture_output=True, text=True)
        assert done.returncode == code, done
        return json.loads(done.stdout) if code == 0 else done.stderr

    ec2 = region.client(account=account)

    def vpcs():
        return next(q for q in quota("list", account) if q["QuotaCode"] == "L-F678F1CE")

    assert vpcs() == {"QuotaCode": "L-F678F1CE", "QuotaName": "VPCs per Region", "Value": 256, "DefaultValue": 256,
                      "Adjustable": True}
    assert quota("set", account, "L-F678F1CE", "2") == {}
    assert vpcs()["Value"] == 2
    # One is the default VPC.
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert code_of(ec2.create_vpc, CidrBlock="10.1.0.0/16") == "VpcLimitExceeded"
    elsewhere = region.client(account=account, region="eu-west-1")
    for number in range(2):
        elsewhere.create_vpc(CidrBlock=f"10.{number}.0.0/16")
    quota("set", account, "L-F678F1CE", "default")
    ec2.create_vpc(CidrBlock="10.1.0.0/16")
    assert "no quota `L-0`" in quota("set", account, "L-0", "1", code=1)
    assert "not adjustable" in quota("set", account, "P-TAGS", "51", code=1)
    assert "at most" in quota("set", account, "L-F678F1CE", "1000001", code=1)
    assert "no region `us-mars-1`" in quota("list", account, "--region", "us-mars-1", code=1)
    assert "`default`" in quota("set", account, "L-F678F1CE", "many", code=2)
    assert "no `polder up`" in subprocess.run(
        [POLDER, "quota", "list", account, "--state-dir", str(region.state) + "-none"],
        capture_output=True, text=True).stderr
