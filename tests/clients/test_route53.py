"""Route 53's private hosted zones with boto3 and with awscli."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import botocore.exceptions
import pytest

from conftest import ACCOUNT_A, ACCOUNT_B

AWS = [sys.executable, "-m", "awscli"]


def error_of(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response


def code_of(call, **parameters):
    return error_of(call, **parameters)["Error"]["Code"]


def vpc_of(region, account=ACCOUNT_A, place="us-east-1"):
    ec2 = region.client(account=account, region=place)
    return {"VPCRegion": place, "VPCId": ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]}


def record(name, kind, *values, **more):
    return {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": v} for v in values]} | more


def change(client, zone, *changes):
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": set} for action, set in changes]}
    return client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def test_a_zone_and_its_records(region):
    client = region.client("route53")
    vpc = vpc_of(region)
    made = client.create_hosted_zone(
        Name="Corp.Example", CallerReference="one", VPC=vpc, HostedZoneConfig={"Comment": "a <&> \"b\""})
    zone = made["HostedZone"]["Id"]
    assert zone.startswith("/hostedzone/Z") and made["HostedZone"]["Name"] == "corp.example."
    assert made["HostedZone"]["Config"] == {"Comment": "a <&> \"b\"", "PrivateZone": True}
    assert made["Location"] == f"https://route53.amazonaws.com/2013-04-01{zone}"
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201 and made["VPC"] == vpc
    assert client.get_hosted_zone(Id=zone)["VPCs"] == [vpc]
    again = error_of(client.create_hosted_zone, Name="corp.example", CallerReference="one", VPC=vpc)
    assert (again["Error"]["Code"], again["ResponseMetadata"]["HTTPStatusCode"]) == ("HostedZoneAlreadyExists", 409)
    assert code_of(client.create_hosted_zone, Name="public.example", CallerReference="two") == "UnsupportedOperation"

    changed = change(
        client, zone, ("CREATE", record("www.corp.example", "A", "192.0.2.1", "192.0.2.2")),
        ("CREATE", record("*.corp.example", "TXT", "\"a <b> & \\\"c\\\"\"")),
        ("CREATE", record("api.corp.example", "CNAME", "www.corp.example.")))
    info = client.get_change(Id=changed["ChangeInfo"]["Id"])["ChangeInfo"]
    assert info["Status"] == "INSYNC" and info["SubmittedAt"] == changed["ChangeInfo"]["SubmittedAt"]
    client.get_waiter("resource_record_sets_changed").wait(Id=info["Id"])
    pages = client.get_paginator("list_resource_record_sets").paginate(
        HostedZoneId=zone, PaginationConfig={"PageSize": 2})
    pages = [page["ResourceRecordSets"] for page in pages]
    assert [len(page) for page in pages] == [2, 2, 1]
    sets = [(s["Name"], s["Type"]) for page in pages for s in page]
    assert sets == [
        ("corp.example.", "NS"), ("corp.example.", "SOA"), ("\\052.corp.example.", "TXT"),
        ("api.corp.example.", "CNAME"), ("www.corp.example.", "A")]
    assert pages[1][0]["ResourceRecords"] == [{"Value": "\"a <b> & \\\"c\\\"\""}]

    with pytest.raises(botocore.exceptions.ClientError) as caught:
        change(client, zone, ("CREATE", record("new.corp.example", "A", "192.0.2.9")),
               ("CREATE", record("www.corp.example", "A", "192.0.2.1")))
    told = caught.value.response["Error"]
    assert (told["Code"], told["Message"]) == (
        "InvalidChangeBatch",
        "[Tried to create resource record set [name='www.corp.example.', type='A'] but it already exists]")
    assert client.get_hosted_zone(Id=zone)["HostedZone"]["ResourceRecordSetCount"] == 5
    assert code_of(client.delete_hosted_zone, Id=zone) == "HostedZoneNotEmpty"
    for page in pages:
        for found in page:
            if found["Type"] not in ("NS", "SOA"):
                change(client, zone, ("DELETE", found))
    assert client.delete_hosted_zone(Id=zone)["ChangeInfo"]["Status"] == "INSYNC"
    gone = error_of(client.get_hosted_zone, Id=zone)
    assert gone["Error"] == {
        "Type": "Sender", "Code": "NoSuchHostedZone",
        "Message": f"No hosted zone found with ID: {zone.removeprefix('/hostedzone/')}"}
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_zones_are_of_accounts_not_of_regions(region):
    here = vpc_of(region, place="eu-central-1")
    client = region.client("route53", region="eu-central-1")
    zone = client.create_hosted_zone(Name="place.example", CallerReference="place", VPC=here)["HostedZone"]["Id"]
    elsewhere = region.client("route53", region="us-west-2")
    assert [z["Id"] for z in elsewhere.list_hosted_zones()["HostedZones"]] == [zone]
    there = vpc_of(region, place="us-west-2")
    elsewhere.associate_vpc_with_hosted_zone(HostedZoneId=zone, VPC=there)
    summaries = client.list_hosted_zones_by_vpc(VPCId=there["VPCId"], VPCRegion="us-west-2")["HostedZoneSummaries"]
    assert [s["Owner"] for s in summaries] == [{"OwningAccount": ACCOUNT_A}]
    assert region.client("route53", account=ACCOUNT_B).get_hosted_zone_count()["HostedZoneCount"] == 0
    client.delete_hosted_zone(Id=zone)


def test_another_accounts_vpc(region):
    owner, guest = region.client("route53"), region.client("route53", account=ACCOUNT_B)
    zone = owner.create_hosted_zone(Name="shared.example", CallerReference="shared", VPC=vpc_of(region))
    zone = zone["HostedZone"]["Id"]
    theirs = {"HostedZoneId": zone, "VPC": vpc_of(region, ACCOUNT_B)}
    assert code_of(guest.associate_vpc_with_hosted_zone, **theirs) == "NotAuthorizedException"
    owner.create_vpc_association_authorization(**theirs)
    assert owner.list_vpc_association_authorizations(HostedZoneId=zone)["VPCs"] == [theirs["VPC"]]
    guest.associate_vpc_with_hosted_zone(**theirs)
    owner.delete_vpc_association_authorization(**theirs)
    assert code_of(owner.delete_vpc_association_authorization, **theirs) == "VPCAssociationAuthorizationNotFound"
    assert code_of(guest.get_hosted_zone, Id=zone) == "NoSuchHostedZone"
    assert len(owner.get_hosted_zone(Id=zone)["VPCs"]) == 2
    guest.disassociate_vpc_from_hosted_zone(**theirs)
    [last] = owner.get_hosted_zone(Id=zone)["VPCs"]
    assert code_of(owner.disassociate_vpc_from_hosted_zone, HostedZoneId=zone, VPC=last) == "LastVPCAssociation"
    owner.delete_hosted_zone(Id=zone)


def test_zones_survive_the_process(region):
    client = region.client("route53")
    zone = client.create_hosted_zone(Name="kept.example", CallerReference="kept", VPC=vpc_of(region))
    zone = zone["HostedZone"]["Id"]
    weighted = [record("w.kept.example", "A", "192.0.2.1", SetIdentifier=f"a/{n}", Weight=n) for n in range(2)]
    change(client, zone, *(("UPSERT", set) for set in weighted))
    before = client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert [s.get("SetIdentifier") for s in before] == [None, None, "a/0", "a/1"]
    assert region.stop() == 0
    region.start()
    assert client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] == before
    change(client, zone, *(("DELETE", set) for set in weighted))
    client.delete_hosted_zone(Id=zone)


def test_requests_that_no_sdk_sends(region):
    def send(method, path, body=None):
        request = urllib.request.Request(f"{region.endpoint}{path}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    status, body = send("GET", "/2013-04-01/nothing")
    assert status == 404 and "<Code>UnknownOperationException</Code>" in body
    status, body = send("PATCH", "/2013-04-01/hostedzone")
    assert status == 405 and "<ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">" in body
    status, body = send("POST", "/2013-04-01/hostedzone", b"<!DOCTYPE x [<!ENTITY e 'ee'>]><x>&e;</x>")
    assert status == 400 and "<Code>InvalidInput</Code>" in body
    status, body = send("POST", "/2013-04-01/hostedzone", b"<a>" * 100_000)
    assert status == 400 and "<Code>InvalidInput</Code>" in body
    assert send("GET", "/2013-04-01/hostedzonecount")[0] == 200
    assert send("GET", "/other")[0] == 404


def test_awscli(region, tmp_path):
    environment = os.environ | {
        "AWS_ENDPOINT_URL": region.endpoint, "AWS_ACCESS_KEY_ID": "555566667777", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_OUTPUT": "json",
    }

    def aws(*words):
        done = subprocess.run([*AWS, *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"aws {' '.join(words)}: {done.stderr}\n{region.output()}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def route53(*words):
        return aws("route53", *words)

    def batch(*changes):
        file = tmp_path / "batch.json"
        file.write_text(json.dumps(
            {"Changes": [{"Action": action, "ResourceRecordSet": set} for action, set in changes]}))
        return f"file://{file}"

    vpc = aws("ec2", "create-vpc", "--cidr-block", "10.8.0.0/16")["Vpc"]["VpcId"]
    zone = route53("create-hosted-zone", "--name", "cli.example", "--caller-reference", "cli",
                   "--vpc", f"VPCRegion=us-east-1,VPCId={vpc}")["HostedZone"]["Id"].split("/")[-1]
    mail = record("mail.cli.example", "MX", "10 a.cli.example", "20 b.cli.example")
    changed = route53("change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", batch(("CREATE", mail)))
    route53("wait", "resource-record-sets-changed", "--id", changed["ChangeInfo"]["Id"])
    found = route53("list-resource-record-sets", "--hosted-zone-id", zone, "--query", "ResourceRecordSets[?Type=='MX']")
    assert found == [mail | {"Name": "mail.cli.example."}]
    shown = route53("list-hosted-zones-by-name", "--dns-name", "cli.example", "--max-items", "1")
    assert [z["Name"] for z in shown["HostedZones"]] == ["cli.example."]
    route53("change-tags-for-resource", "--resource-type", "hostedzone", "--resource-id", zone,
            "--add-tags", "Key=team,Value=net")
    tags = route53("list-tags-for-resource", "--resource-type", "hostedzone", "--resource-id", zone)
    assert tags["ResourceTagSet"]["Tags"] == [{"Key": "team", "Value": "net"}]
    updated = route53("update-hosted-zone-comment", "--id", zone, "--comment", "ours")
    assert updated["HostedZone"]["Config"]["Comment"] == "ours"
    route53("change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", batch(("DELETE", mail)))
    route53("delete-hosted-zone", "--id", zone)
    assert route53("get-hosted-zone-count")["HostedZoneCount"] == 0
    aws("ec2", "delete-vpc", "--vpc-id", vpc)
