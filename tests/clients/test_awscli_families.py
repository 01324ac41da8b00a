"""awscli as the client, a story for each family: what a person types to make, find, wait for, change and remove.

All of it runs in this process: starting awscli costs most of a second, and these are two hundred commands.
"""

import contextlib
import io
import json
import os
import types
import unittest.mock

import awscli.clidriver
import pytest

NONE = "0123456789abcdef0"


class Aws:
    """awscli as an account: `aws("create-vpc", …)` is `aws ec2 create-vpc …`, its answer is what was printed."""

    def __init__(self, region, account):
        self.environment = {
            "AWS_ENDPOINT_URL": region.endpoint, "AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_OUTPUT": "json"}
        # A command leaves traces in the driver that ran it; the service model is read once.
        self.models = None

    def run(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with (unittest.mock.patch.dict(os.environ, self.environment),
              contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)):
            driver = awscli.clidriver.create_clidriver()
            self.models = self.models or driver.session.get_component("data_loader")
            driver.session.register_component("data_loader", self.models)
            code = driver.main(["ec2", *words])
        return types.SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())

    def __call__(self, *words, query=None):
        done = self.run(*words, *(["--query", query] if query else []))
        assert done.returncode == 0, f"aws ec2 {' '.join(words)}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def text(self, *words, query):
        """What `--output text` prints: as scripts read it."""
        done = self.run(*words, "--query", query, "--output", "text")
        assert done.returncode == 0, f"aws ec2 {' '.join(words)}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def fails(self, code, *words):
        done = self.run(*words)
        assert done.returncode in (254, 255) and f"({code})" in done.stderr, f"aws ec2 {' '.join(words)}: {done}"


@pytest.fixture
def aws(region, request):
    """An account of its own for each story."""
    number = 200000000000 + sum(map(ord, request.node.name)) * 1000 + len(request.node.name)
    return Aws(region, str(number))


def vpc_of(aws, cidr="10.0.0.0/16"):
    return aws.text("create-vpc", "--cidr-block", cidr, query="Vpc.VpcId")


def subnet_of(aws, vpc, cidr="10.0.1.0/24"):
    return aws.text("create-subnet", "--vpc-id", vpc, "--cidr-block", cidr, query="Subnet.SubnetId")


def table_of(aws, vpc):
    return aws.text("describe-route-tables", "--filters", f"Name=vpc-id,Values={vpc}", query="RouteTables[0].RouteTableId")


def routes(aws, table, target):
    """Destination to (target, state) of a table's routes."""
    found = aws("describe-route-tables", "--route-table-ids", table, query="RouteTables[0].Routes")
    return {r.get("DestinationCidrBlock", r.get("DestinationPrefixListId")): (r.get(target), r["State"]) for r in found}


def test_networks_tags_pages_and_queries(aws):
    vpc = aws.text(
        "create-vpc", "--cidr-block", "10.0.0.0/16", "--tag-specifications",
        "ResourceType=vpc,Tags=[{Key=Name,Value=lab},{Key=tier,Value='a, b'}]", query="Vpc.VpcId")
    assert aws.run("wait", "vpc-available", "--vpc-ids", vpc).returncode == 0
    subnets = [subnet_of(aws, vpc, f"10.0.{n}.0/24") for n in range(7)]
    assert aws.run("wait", "subnet-available", "--subnet-ids", *subnets).returncode == 0
    ours = ("--filters", f"Name=vpc-id,Values={vpc}")
    # All pages are one answer; a page on its own ends with a token that goes on.
    assert set(aws("describe-subnets", *ours, "--page-size", "5", query="Subnets[].SubnetId")) == set(subnets)
    first = aws("describe-subnets", *ours, "--max-items", "3")
    rest = aws("describe-subnets", *ours, "--starting-token", first["NextToken"])
    assert [s["SubnetId"] for s in first["Subnets"] + rest["Subnets"]] == aws(
        "describe-subnets", *ours, query="Subnets[].SubnetId")
    aws("create-tags", "--resources", *subnets[:2], "--tags", "Key=tier,Value=front", "Key=empty,Value=")
    front = ("describe-subnets", "--filters", "Name=tag:tier,Values=fr?nt,other", f"Name=vpc-id,Values={vpc}")
    assert set(aws(*front, query="Subnets[].SubnetId")) == set(subnets[:2])
    assert aws.text(*front, query="sort(Subnets[].CidrBlock)") == "10.0.0.0/24\t10.0.1.0/24"
    assert aws("describe-tags", "--filters", f"Name=resource-id,Values={subnets[0]}", query="Tags[].[Key,Value]") == [
        ["empty", ""], ["tier", "front"]]
    aws("delete-tags", "--resources", *subnets[:2], "--tags", "Key=tier,Value=back", "Key=empty")
    assert aws("describe-tags", "--filters", f"Name=resource-id,Values={subnets[0]}", query="Tags[].Key") == ["tier"]
    assert aws.text("describe-vpcs", "--vpc-ids", vpc, query="Vpcs[0].Tags[?Key=='tier'].Value | [0]") == "a, b"
    aws("modify-vpc-attribute", "--vpc-id", vpc, "--enable-dns-hostnames")
    assert aws("describe-vpc-attribute", "--vpc-id", vpc, "--attribute", "enableDnsHostnames")["EnableDnsHostnames"] == {
        "Value": True}
    aws("modify-vpc-attribute", "--vpc-id", vpc, "--no-enable-dns-hostnames")
    block = aws.text(
        "associate-vpc-cidr-block", "--vpc-id", vpc, "--cidr-block", "10.1.0.0/16",
        query="CidrBlockAssociation.AssociationId")
    aws("disassociate-vpc-cidr-block", "--association-id", block)
    # What cannot be.
    aws.fails("DryRunOperation", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.0.99.0/24", "--dry-run")
    aws.fails("InvalidSubnet.Conflict", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.0.0.128/25")
    aws.fails("InvalidSubnet.Range", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.9.0.0/24")
    aws.fails("DependencyViolation", "delete-vpc", "--vpc-id", vpc)
    aws.fails("InvalidVpcID.NotFound", "describe-vpcs", "--vpc-ids", f"vpc-{NONE}")
    aws.fails("InvalidVpcID.Malformed", "describe-vpcs", "--vpc-ids", "vpc-x")
    aws.fails("InvalidParameterValue", "describe-vpcs", "--filters", "Name=colour,Values=red")
    for subnet in subnets:
        aws("delete-subnet", "--subnet-id", subnet)
    aws("delete-vpc", "--vpc-id", vpc)
    aws.fails("InvalidVpcID.NotFound", "delete-vpc", "--vpc-id", vpc)


def test_groups_and_their_rules(aws):
    vpc = vpc_of(aws)
    make = lambda name: aws.text(
        "create-security-group", "--group-name", name, "--description", name, "--vpc-id", vpc, query="GroupId")
    web, db = make("web"), make("db")
    aws("authorize-security-group-ingress", "--group-id", web, "--ip-permissions",
        "IpProtocol=tcp,FromPort=80,ToPort=81,IpRanges=[{CidrIp=0.0.0.0/0,Description=all},{CidrIp=10.0.0.0/8}]")
    aws("authorize-security-group-ingress", "--group-id", db, "--protocol", "tcp", "--port", "3306",
        "--source-group", web)
    aws("authorize-security-group-ingress", "--group-id", db, "--protocol", "icmp", "--port", "-1", "--cidr", "10.0.0.0/8")
    rules = aws("describe-security-group-rules", "--filters", f"Name=group-id,Values={web}",
                query="SecurityGroupRules[?!IsEgress].[CidrIpv4,Description,SecurityGroupRuleId]")
    assert sorted(rule[:2] for rule in rules) == [["0.0.0.0/0", "all"], ["10.0.0.0/8", None]]
    aws("update-security-group-rule-descriptions-ingress", "--group-id", web, "--security-group-rule-descriptions",
        f"SecurityGroupRuleId={rules[0][2]},Description=changed")
    aws("modify-security-group-rules", "--group-id", web, "--security-group-rules",
        f"SecurityGroupRuleId={rules[1][2]},SecurityGroupRule={{IpProtocol=udp,FromPort=53,ToPort=53,CidrIpv4=10.0.0.0/8}}")
    assert sorted(aws("describe-security-groups", "--group-ids", web, query="SecurityGroups[0].IpPermissions[].IpProtocol")) \
        == ["tcp", "udp"]
    aws.fails("InvalidPermission.Duplicate", "authorize-security-group-ingress", "--group-id", db, "--protocol", "tcp",
              "--port", "3306", "--source-group", web)
    aws.fails("InvalidGroup.Duplicate", "create-security-group", "--group-name", "web", "--description", "w",
              "--vpc-id", vpc)
    aws.fails("DependencyViolation", "delete-security-group", "--group-id", web)
    aws("revoke-security-group-ingress", "--group-id", db, "--protocol", "tcp", "--port", "3306", "--source-group", web)
    aws("revoke-security-group-ingress", "--group-id", web, "--security-group-rule-ids", *(rule[2] for rule in rules))
    for group in (web, db):
        aws("delete-security-group", "--group-id", group)


def test_prefix_lists(aws):
    made = aws("create-managed-prefix-list", "--prefix-list-name", "offices", "--address-family", "IPv4",
               "--max-entries", "5", "--entries", "Cidr=192.0.2.0/24,Description=one", "Cidr=198.51.100.0/24")["PrefixList"]
    name = made["PrefixListId"]
    assert made["Version"] == 1 and made["MaxEntries"] == 5 and made["PrefixListArn"].endswith(f":prefix-list/{name}")
    entries = lambda *words: aws("get-managed-prefix-list-entries", "--prefix-list-id", name, *words, query="Entries[].Cidr")
    aws("modify-managed-prefix-list", "--prefix-list-id", name, "--current-version", "1",
        "--add-entries", "Cidr=203.0.113.0/24", "--remove-entries", "Cidr=192.0.2.0/24")
    assert entries() == ["198.51.100.0/24", "203.0.113.0/24"]
    assert entries("--target-version", "1") == ["192.0.2.0/24", "198.51.100.0/24"]
    aws.fails("PrefixListVersionMismatch", "modify-managed-prefix-list", "--prefix-list-id", name, "--current-version",
              "1", "--add-entries", "Cidr=10.0.0.0/8")
    aws("restore-managed-prefix-list-version", "--prefix-list-id", name, "--previous-version", "1",
        "--current-version", "2")
    assert entries() == ["192.0.2.0/24", "198.51.100.0/24"]
    # In use, it stays.
    vpc = vpc_of(aws)
    group = aws.text("describe-security-groups", "--filters", f"Name=vpc-id,Values={vpc}", query="SecurityGroups[0].GroupId")
    permission = ("--group-id", group, "--ip-permissions",
                  f"IpProtocol=tcp,FromPort=443,ToPort=443,PrefixListIds=[{{PrefixListId={name}}}]")
    aws("authorize-security-group-ingress", *permission)
    assert aws("get-managed-prefix-list-associations", "--prefix-list-id", name,
               query="PrefixListAssociations[].ResourceId") == [group]
    aws("revoke-security-group-ingress", *permission)
    aws("delete-managed-prefix-list", "--prefix-list-id", name)
    assert aws("describe-managed-prefix-lists", "--filters", "Name=owner-id,Values=AWS",
               query="PrefixLists[?PrefixListName=='com.amazonaws.us-east-1.s3'] | length(@)") == 1


def test_nat_gateways(aws):
    vpc = vpc_of(aws)
    subnet, table = subnet_of(aws, vpc), table_of(aws, vpc)
    gateway = aws.text("create-internet-gateway", query="InternetGateway.InternetGatewayId")
    aws("attach-internet-gateway", "--vpc-id", vpc, "--internet-gateway-id", gateway)
    allocation, address = aws.text("allocate-address", query="[AllocationId,PublicIp]").split("\t")
    nat = aws.text("create-nat-gateway", "--subnet-id", subnet, "--allocation-id", allocation, "--tag-specifications",
                   "ResourceType=natgateway,Tags=[{Key=Name,Value=nat}]", query="NatGateway.NatGatewayId")
    assert aws.run("wait", "nat-gateway-available", "--nat-gateway-ids", nat).returncode == 0
    [shown] = aws("describe-nat-gateways", "--filter", "Name=tag:Name,Values=nat", f"Name=vpc-id,Values={vpc}",
                  query="NatGateways[].[NatGatewayId,State,ConnectivityType,NatGatewayAddresses[0].PublicIp]")
    assert shown == [nat, "available", "public", address]
    aws("create-route", "--route-table-id", table, "--destination-cidr-block", "0.0.0.0/0", "--nat-gateway-id", nat)
    assert routes(aws, table, "NatGatewayId")["0.0.0.0/0"] == (nat, "active")
    aws.fails("DependencyViolation", "delete-subnet", "--subnet-id", subnet)
    private = aws.text("create-nat-gateway", "--subnet-id", subnet, "--connectivity-type", "private",
                       "--private-ip-address", "10.0.1.77", query="NatGateway.NatGatewayId")
    aws("assign-private-nat-gateway-address", "--nat-gateway-id", private, "--private-ip-address-count", "2")
    assert aws("describe-nat-gateways", "--nat-gateway-ids", private,
               query="NatGateways[0].NatGatewayAddresses | length(@)") == 3
    aws.fails("NatGatewayNotFound", "describe-nat-gateways", "--nat-gateway-ids", f"nat-{NONE}")
    for one in (nat, private):
        aws("delete-nat-gateway", "--nat-gateway-id", one)
    assert aws.run("wait", "nat-gateway-deleted", "--nat-gateway-ids", nat, private).returncode == 0
    assert routes(aws, table, "NatGatewayId")["0.0.0.0/0"] == (nat, "blackhole")
    aws("release-address", "--allocation-id", allocation)
    aws("delete-subnet", "--subnet-id", subnet)


def test_peering_connections(aws):
    one, two = vpc_of(aws), vpc_of(aws, "10.1.0.0/16")
    peering = aws.text("create-vpc-peering-connection", "--vpc-id", one, "--peer-vpc-id", two,
                       query="VpcPeeringConnection.VpcPeeringConnectionId")
    assert aws.run("wait", "vpc-peering-connection-exists", "--vpc-peering-connection-ids", peering).returncode == 0
    status = ("describe-vpc-peering-connections", "--vpc-peering-connection-ids", peering)
    assert aws.text(*status, query="VpcPeeringConnections[0].Status.Code") == "pending-acceptance"
    aws("accept-vpc-peering-connection", "--vpc-peering-connection-id", peering)
    aws("modify-vpc-peering-connection-options", "--vpc-peering-connection-id", peering,
        "--requester-peering-connection-options", "AllowDnsResolutionFromRemoteVpc=true")
    assert aws(*status, query="VpcPeeringConnections[0].RequesterVpcInfo.PeeringOptions."
               "AllowDnsResolutionFromRemoteVpc") is True
    table = table_of(aws, one)
    aws("create-route", "--route-table-id", table, "--destination-cidr-block", "10.1.0.0/16",
        "--vpc-peering-connection-id", peering)
    assert aws("describe-vpc-peering-connections", "--filters", "Name=status-code,Values=active",
               f"Name=accepter-vpc-info.vpc-id,Values={two}", query="VpcPeeringConnections[].VpcPeeringConnectionId") == [peering]
    aws("delete-vpc-peering-connection", "--vpc-peering-connection-id", peering)
    assert aws.run("wait", "vpc-peering-connection-deleted", "--vpc-peering-connection-ids", peering).returncode == 0
    assert routes(aws, table, "VpcPeeringConnectionId")["10.1.0.0/16"] == (peering, "blackhole")
    other = aws.text("create-vpc-peering-connection", "--vpc-id", one, "--peer-vpc-id", two,
                     query="VpcPeeringConnection.VpcPeeringConnectionId")
    aws("reject-vpc-peering-connection", "--vpc-peering-connection-id", other)
    aws.fails("InvalidStateTransition", "accept-vpc-peering-connection", "--vpc-peering-connection-id", other)


def test_transit_gateways(aws):
    vpc = vpc_of(aws)
    subnet = subnet_of(aws, vpc)
    gateway = aws.text("create-transit-gateway", "--description", "hub", "--options",
                       "AmazonSideAsn=64600,DefaultRouteTablePropagation=disable", query="TransitGateway.TransitGatewayId")
    attachment = aws.text("create-transit-gateway-vpc-attachment", "--transit-gateway-id", gateway, "--vpc-id", vpc,
                          "--subnet-ids", subnet, query="TransitGatewayVpcAttachment.TransitGatewayAttachmentId")
    table = aws.text("describe-transit-gateways", "--transit-gateway-ids", gateway,
                     query="TransitGateways[0].Options.AssociationDefaultRouteTableId")
    aws("create-transit-gateway-route", "--transit-gateway-route-table-id", table, "--destination-cidr-block",
        "10.0.0.0/8", "--transit-gateway-attachment-id", attachment)
    aws("create-transit-gateway-route", "--transit-gateway-route-table-id", table, "--destination-cidr-block",
        "192.0.2.0/24", "--blackhole")
    aws("enable-transit-gateway-route-table-propagation", "--transit-gateway-route-table-id", table,
        "--transit-gateway-attachment-id", attachment)
    assert aws("search-transit-gateway-routes", "--transit-gateway-route-table-id", table, "--filters",
               "Name=state,Values=active,blackhole", query="Routes[].[DestinationCidrBlock,Type,State]") == [
        ["10.0.0.0/8", "static", "active"], ["10.0.0.0/16", "propagated", "active"],
        ["192.0.2.0/24", "static", "blackhole"]]
    assert aws("get-transit-gateway-attachment-propagations", "--transit-gateway-attachment-id", attachment,
               query="TransitGatewayAttachmentPropagations[].State") == ["enabled"]
    aws.fails("IncorrectState", "delete-transit-gateway", "--transit-gateway-id", gateway)
    aws("delete-transit-gateway-vpc-attachment", "--transit-gateway-attachment-id", attachment)
    aws("delete-transit-gateway", "--transit-gateway-id", gateway)
    assert aws("describe-transit-gateways", "--filters", "Name=state,Values=available", query="TransitGateways") == []


def test_endpoints_and_flow_logs(aws):
    vpc = vpc_of(aws)
    subnet, table = subnet_of(aws, vpc), table_of(aws, vpc)
    assert "com.amazonaws.us-east-1.s3" in aws("describe-vpc-endpoint-services", query="ServiceNames")
    s3 = aws.text("create-vpc-endpoint", "--vpc-id", vpc, "--service-name", "com.amazonaws.us-east-1.s3",
                  "--route-table-ids", table, query="VpcEndpoint.VpcEndpointId")
    ec2 = aws.text("create-vpc-endpoint", "--vpc-id", vpc, "--service-name", "com.amazonaws.us-east-1.ec2",
                   "--vpc-endpoint-type", "Interface", "--subnet-ids", subnet, "--no-private-dns-enabled",
                   query="VpcEndpoint.VpcEndpointId")
    assert s3 in [gateway for gateway, _ in routes(aws, table, "GatewayId").values()]
    [shown] = aws("describe-vpc-endpoints", "--filters", f"Name=vpc-id,Values={vpc}",
                  "Name=vpc-endpoint-type,Values=Interface", query="VpcEndpoints[].[VpcEndpointId,State,PrivateDnsEnabled]")
    assert shown == [ec2, "available", False]
    aws("modify-vpc-endpoint", "--vpc-endpoint-id", s3, "--remove-route-table-ids", table)
    assert s3 not in [gateway for gateway, _ in routes(aws, table, "GatewayId").values()]
    assert aws("delete-vpc-endpoints", "--vpc-endpoint-ids", s3, ec2)["Unsuccessful"] == []
    made = aws("create-flow-logs", "--resource-type", "VPC", "--resource-ids", vpc, "--traffic-type", "REJECT",
               "--log-destination-type", "s3", "--log-destination", "arn:aws:s3:::logs", "--max-aggregation-interval", "60")
    [log] = made["FlowLogIds"]
    assert made["Unsuccessful"] == []
    assert aws("describe-flow-logs", "--filter", f"Name=resource-id,Values={vpc}",
               query="FlowLogs[].[FlowLogId,TrafficType,FlowLogStatus,MaxAggregationInterval]") == [
        [log, "REJECT", "ACTIVE", 60]]
    assert aws("delete-flow-logs", "--flow-log-ids", log)["Unsuccessful"] == []


def test_vpn_connections(aws):
    vpc = vpc_of(aws)
    home = aws.text("create-customer-gateway", "--type", "ipsec.1", "--ip-address", "203.0.113.9", "--bgp-asn", "65000",
                    query="CustomerGateway.CustomerGatewayId")
    assert aws.run("wait", "customer-gateway-available", "--customer-gateway-ids", home).returncode == 0
    gateway = aws.text("create-vpn-gateway", "--type", "ipsec.1", query="VpnGateway.VpnGatewayId")
    aws("attach-vpn-gateway", "--vpc-id", vpc, "--vpn-gateway-id", gateway)
    table = table_of(aws, vpc)
    aws("enable-vgw-route-propagation", "--route-table-id", table, "--gateway-id", gateway)
    vpn = aws.text("create-vpn-connection", "--type", "ipsec.1", "--customer-gateway-id", home, "--vpn-gateway-id",
                   gateway, "--options", "StaticRoutesOnly=true", query="VpnConnection.VpnConnectionId")
    assert aws.run("wait", "vpn-connection-available", "--vpn-connection-ids", vpn).returncode == 0
    aws("create-vpn-connection-route", "--vpn-connection-id", vpn, "--destination-cidr-block", "192.168.7.0/24")
    assert aws("describe-vpn-connections", "--vpn-connection-ids", vpn,
               query="VpnConnections[0].Routes[].DestinationCidrBlock") == ["192.168.7.0/24"]
    aws.fails("IncorrectState", "delete-customer-gateway", "--customer-gateway-id", home)
    aws("delete-vpn-connection", "--vpn-connection-id", vpn)
    assert aws.run("wait", "vpn-connection-deleted", "--vpn-connection-ids", vpn).returncode == 0
    aws("detach-vpn-gateway", "--vpc-id", vpc, "--vpn-gateway-id", gateway)
    aws("delete-vpn-gateway", "--vpn-gateway-id", gateway)
    aws("delete-customer-gateway", "--customer-gateway-id", home)


def test_keys_and_placement(aws, tmp_path):
    made = aws("create-key-pair", "--key-name", "me", "--key-type", "ed25519")
    assert made["KeyMaterial"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert aws.run("wait", "key-pair-exists", "--key-names", "me").returncode == 0
    aws.fails("InvalidKeyPair.Duplicate", "create-key-pair", "--key-name", "me")
    public = tmp_path / "key.pub"
    public.write_text(aws.text("describe-key-pairs", "--key-names", "me", "--include-public-key",
                               query="KeyPairs[0].PublicKey"))
    again = aws("import-key-pair", "--key-name", "again", "--public-key-material", f"fileb://{public}")
    assert again["KeyFingerprint"] == made["KeyFingerprint"]
    assert sorted(aws("describe-key-pairs", "--filters", "Name=key-name,Values=*", query="KeyPairs[].KeyName")) == [
        "again", "me"]
    aws("delete-key-pair", "--key-name", "me")
    aws.fails("InvalidKeyPair.NotFound", "describe-key-pairs", "--key-names", "me")
    aws("create-placement-group", "--group-name", "near", "--strategy", "cluster")
    assert aws("describe-placement-groups", "--group-names", "near", query="PlacementGroups[].[Strategy,State]") == [
        ["cluster", "available"]]
    aws("delete-placement-group", "--group-name", "near")
