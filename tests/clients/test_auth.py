"""`polder up --auth sigv4`: signatures, policies, roles, throttling and the audit log, with the real clients."""

import datetime
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import pathlib
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest

from conftest import POLDER, Region, wait_for

ACCOUNT = "111122223333"
OTHER = "444455556666"


@pytest.fixture(scope="module")
def region():
    directory = tempfile.mkdtemp(prefix="polder-test-")
    region = Region(pathlib.Path(directory, "state"), "--auth", "sigv4", "--control-plane-only")
    yield region
    code, output = region.stop(), region.output()
    assert code == 0 and "panicked" not in output, output
    assert not pathlib.Path(directory, "state", "admin.sock").exists()
    shutil.rmtree(directory)


def account(region, *words, check=True, stdin=None):
    done = subprocess.run([POLDER, "account", *words, "--state-dir", str(region.state), "--json"],
                          capture_output=True, text=True, input=stdin, timeout=20)
    if not check:
        return done
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources="*", **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources} | more


def deny(actions, resources="*", **more):
    return {"Effect": "Deny", "Action": actions, "Resource": resources} | more


def client(region, key, service="ec2", token=None, secret=None, name="us-east-1", patience=5):
    """A client that waits, as SDKs do, when it has asked too much; the buckets are filled by the second."""
    return boto3.client(
        service, endpoint_url=region.endpoint, region_name=name, aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=secret or key["SecretAccessKey"], aws_session_token=token or key.get("SessionToken"),
        config=botocore.config.Config(retries={"mode": "standard", "max_attempts": patience}, read_timeout=20))


def refused(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        call(**parameters)
    error = refusal.value.response
    return error["Error"]["Code"], error["Error"]["Message"], error["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture(scope="module")
def root(region):
    return account(region, "create", "--id", ACCOUNT, "--name", "lab")


@pytest.fixture(scope="module")
def other(region):
    return account(region, "create", "--id", OTHER)


def user(region, name, document):
    return account(region, "user", "create", "--account", ACCOUNT, "--name", name, "--policy", "-", stdin=document)


def role(region, name, trust, document, *words):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="polder-test-"))
    (directory / "trust").write_text(trust)
    (directory / "policy").write_text(document)
    account(region, "role", "create", "--account", ACCOUNT, "--name", name, "--trust", str(directory / "trust"),
            "--policy", str(directory / "policy"), *words)
    shutil.rmtree(directory)
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def trust(*principals, **more):
    return policy({"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"],
                   "Principal": {"AWS": list(principals)}} | more)


def raw(request):
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def signed(region, key, moment=None, body=b"Action=DescribeVpcs&Version=2016-11-15", service="ec2"):
    """A request as botocore signs it, at any time."""
    credentials = botocore.credentials.Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    request = botocore.awsrequest.AWSRequest(
        method="POST", url=region.endpoint + "/", data=body,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    signer = botocore.auth.SigV4Auth(credentials, service, "us-east-1")
    moment = moment or datetime.datetime.now(datetime.timezone.utc)
    real = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *_, **__: moment.replace(tzinfo=None)
    try:
        signer.add_auth(request)
    finally:
        botocore.auth.get_current_datetime = real
    prepared = request.prepare()
    return urllib.request.Request(prepared.url, data=prepared.body, headers=dict(prepared.headers), method="POST")


def test_keys_and_signatures(region, root, other):
    assert re.fullmatch("AKIA[A-Z2-7]{16}", root["AccessKeyId"]) and len(root["SecretAccessKey"]) == 40
    ec2 = client(region, root)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]
    assert vpc["OwnerId"] == ACCOUNT
    assert vpc["VpcId"] not in [v["VpcId"] for v in client(region, other).describe_vpcs()["Vpcs"]]
    message = "AWS was not able to validate the provided access credentials"
    wrong = client(region, root, secret="x" * 40)
    assert refused(wrong.describe_vpcs) == ("AuthFailure", message, 401)
    nobody = client(region, {"AccessKeyId": ACCOUNT, "SecretAccessKey": "x"})
    assert refused(nobody.describe_vpcs) == ("AuthFailure", message, 401)
    forged = client(region, root, token="AAAA")
    assert refused(forged.describe_vpcs) == ("AuthFailure", message, 401)
    sts = client(region, root, "sts")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    code, text, status = refused(client(region, root, "sts", secret="x" * 40).get_caller_identity)
    assert (code, status) == ("SignatureDoesNotMatch", 403) and text.startswith("The request signature we calculated")
    nobody = client(region, {"AccessKeyId": ACCOUNT, "SecretAccessKey": "x"}, "sts")
    assert refused(nobody.get_caller_identity)[0] == "InvalidClientTokenId"
    status, body = raw(urllib.request.Request(region.endpoint + "/?Action=DescribeVpcs&Version=2016-11-15"))
    assert status == 403 and "<Code>MissingAuthenticationToken</Code>" in body


def test_time_counts(region, root):
    now = datetime.datetime.now(datetime.timezone.utc)
    assert raw(signed(region, root))[0] == 200
    for minutes, good in [(-14, True), (14, True), (-16, False), (16, False)]:
        status, body = raw(signed(region, root, now + datetime.timedelta(minutes=minutes)))
        assert (status == 200) == good, body
        assert good or "<Code>RequestExpired</Code><Message>Request has expired.</Message>" in body
    status, body = raw(signed(region, root, now - datetime.timedelta(minutes=16), service="sts",
                              body=b"Action=GetCallerIdentity&Version=2011-06-15"))
    assert status == 403 and "Signature expired: " in body and "<Code>SignatureDoesNotMatch</Code>" in body
    request = signed(region, root)
    request.data = request.data.replace(b"Vpcs", b"Tags")
    assert "<Code>AuthFailure</Code>" in raw(request)[1]


def test_presigned(region, root):
    ec2 = client(region, root)
    url = ec2.generate_presigned_url("describe_vpcs", ExpiresIn=60, HttpMethod="GET")
    status, body = raw(url)
    assert status == 200 and "<vpcSet>" in body, body
    status, body = raw(url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
    assert status == 401 and "<Code>AuthFailure</Code>" in body
    url = ec2.generate_presigned_url("describe_vpcs", ExpiresIn=1, HttpMethod="GET")
    wait_for("the URL to expire", lambda: "<Code>RequestExpired</Code>" in raw(url)[1], 10)
    url = ec2.generate_presigned_url("describe_vpcs", ExpiresIn=8 * 24 * 3600, HttpMethod="GET")
    assert "X-Amz-Expires" in raw(url)[1]
    url = client(region, root, "sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    assert f"{ACCOUNT}:root" in raw(url)[1]


def test_policies(region, root):
    vpc = client(region, root).create_vpc(
        CidrBlock="10.1.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "team", "Value": "blue"}]}],
    )["Vpc"]["VpcId"]
    plain = client(region, root).create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
    ann = user(region, "ann", policy(
        allow(["ec2:Describe*", "ec2:CreateVpc", "ec2:DeleteVpc", "ec2:ModifyVpcAttribute", "sts:Decode*"]),
        deny("ec2:DeleteVpc", f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/{plain}"),
        allow("ec2:CreateSubnet", f"arn:aws:ec2:*:{ACCOUNT}:subnet/*"),
        allow("ec2:CreateSubnet", "*", Condition={"StringEquals": {"ec2:ResourceTag/team": "${aws:username}-team"}}),
        allow("ec2:CreateTags", "*", Condition={"StringEquals": {"ec2:CreateAction": "CreateVpc",
                                                                 "aws:RequestTag/team": "blue"}}),
        deny("*", Condition={"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}),
    ))
    ec2, sts = client(region, ann), client(region, ann, "sts")
    identity = sts.get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ann" and identity["UserId"].startswith("AIDA")
    assert vpc in [v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"]]
    # Not allowed: in EC2's words.
    code, text, status = refused(ec2.create_internet_gateway)
    assert (code, status) == ("UnauthorizedOperation", 403)
    begins = ("You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/ann is not "
              "authorized to perform: ec2:CreateInternetGateway on resource: arn:aws:ec2:us-east-1:111122223333:"
              "internet-gateway/* because no identity-based policy allows the ec2:CreateInternetGateway action. "
              "Encoded authorization failure message: ")
    assert text.startswith(begins)
    decoded = json.loads(sts.decode_authorization_message(EncodedMessage=text[len(begins):])["DecodedMessage"])
    assert decoded["allowed"] is False and decoded["context"]["action"] == "ec2:CreateInternetGateway"
    assert refused(sts.decode_authorization_message, EncodedMessage="x" * 40)[0] == "InvalidAuthorizationMessageException"
    # An explicit deny wins.
    code, text, _ = refused(ec2.delete_vpc, VpcId=plain)
    assert code == "UnauthorizedOperation" and "with an explicit deny in an identity-based policy" in text
    # DryRun answers from the policies.
    assert refused(ec2.delete_vpc, VpcId=plain, DryRun=True)[0] == "UnauthorizedOperation"
    assert refused(ec2.delete_vpc, VpcId=vpc, DryRun=True)[0] == "DryRunOperation"
    assert refused(ec2.create_internet_gateway, DryRun=True)[0] == "UnauthorizedOperation"
    # Resource tags, with a policy variable.
    subnet = {"VpcId": vpc, "CidrBlock": "10.1.0.0/24"}
    assert refused(ec2.create_subnet, **subnet)[0] == "UnauthorizedOperation"
    client(region, root).create_tags(Resources=[vpc], Tags=[{"Key": "team", "Value": "ann-team"}])
    ec2.create_subnet(**subnet)
    # Tags on create are CreateTags.
    tagged = lambda value: {"CidrBlock": "10.3.0.0/16", "TagSpecifications": [
        {"ResourceType": "vpc", "Tags": [{"Key": "team", "Value": value}]}]}
    assert "ec2:CreateTags" in refused(ec2.create_vpc, **tagged("red"))[1]
    assert ec2.create_vpc(**tagged("blue"))["Vpc"]["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert refused(ec2.create_tags, Resources=[vpc], Tags=[{"Key": "team", "Value": "blue"}])[0] == "UnauthorizedOperation"
    assert refused(client(region, ann, name="eu-central-1").describe_vpcs)[0] == "UnauthorizedOperation"
    # Another policy counts at once; without a user the key is nobody's.
    account(region, "user", "update", "--account", ACCOUNT, "--name", "ann", "--policy", "-",
            stdin=policy(allow("ec2:CreateInternetGateway")))
    ec2.create_internet_gateway()
    assert refused(ec2.describe_vpcs)[0] == "UnauthorizedOperation"
    account(region, "user", "delete", "--account", ACCOUNT, "--name", "ann")
    assert refused(ec2.create_internet_gateway)[0] == "AuthFailure"


def test_no_way_around_by_another_name(region, root):
    everything = client(region, root)
    default = everything.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    group = everything.create_security_group(GroupName="kept", Description="x", VpcId=default)["GroupId"]
    address = everything.allocate_address(Domain="vpc")
    carl = user(region, "carl", policy(
        allow("*"), deny("*", [f"arn:aws:ec2:*:*:security-group/{group}",
                               f"arn:aws:ec2:*:*:elastic-ip/{address['AllocationId']}"])))
    ec2 = client(region, carl)
    assert refused(ec2.delete_security_group, GroupId=group)[0] == "UnauthorizedOperation"
    assert refused(ec2.delete_security_group, GroupName="kept")[0] == "UnauthorizedOperation"
    assert refused(ec2.release_address, AllocationId=address["AllocationId"])[0] == "UnauthorizedOperation"
    assert refused(ec2.release_address, PublicIp=address["PublicIp"])[0] in ("UnauthorizedOperation", "UnsupportedOperation")
    everything.delete_security_group(GroupId=group)
    everything.release_address(AllocationId=address["AllocationId"])


def test_roles(region, root, other):
    bob = user(region, "bob", policy(allow(["sts:AssumeRole", "sts:TagSession"], f"arn:aws:iam::{ACCOUNT}:role/ops")))
    sts = client(region, bob, "sts")
    ops = role(region, "ops", trust(ACCOUNT, Condition={"StringEquals": {"sts:ExternalId": "secret"}}),
               policy(allow(["ec2:*", "sts:*"])))
    direct = role(region, "direct", trust(f"arn:aws:iam::{ACCOUNT}:user/bob"), policy(allow("ec2:*")))
    abroad = role(region, "abroad", trust(OTHER), policy(allow("ec2:Describe*")), "--max-session", "7200")
    ask = {"RoleArn": ops, "RoleSessionName": "work"}
    code, text, status = refused(sts.assume_role, **ask)
    assert (code, status) == ("AccessDenied", 403)
    assert text == f"User: arn:aws:iam::{ACCOUNT}:user/bob is not authorized to perform: sts:AssumeRole on resource: {ops}"
    assert refused(sts.assume_role, RoleArn=ops + "x", RoleSessionName="work")[0] == "AccessDenied"
    assumed = sts.assume_role(**ask, ExternalId="secret", DurationSeconds=900, Tags=[{"Key": "team", "Value": "blue"}])
    key = assumed["Credentials"]
    assert key["AccessKeyId"].startswith("ASIA") and assumed["AssumedRoleUser"]["Arn"].endswith("assumed-role/ops/work")
    left = key["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert 880 < left.total_seconds() <= 900
    identity = client(region, key, "sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/work"
    assert identity["UserId"] == assumed["AssumedRoleUser"]["AssumedRoleId"]
    client(region, key).create_internet_gateway()
    assert "AuthFailure" == refused(client(region, key | {"SessionToken": None}).describe_vpcs)[0]
    # A user that the role names needs no policy of its own; a root user may not assume roles.
    key = sts.assume_role(RoleArn=direct, RoleSessionName="work")["Credentials"]
    client(region, key).describe_vpcs()
    assert "root accounts" in refused(client(region, root, "sts").assume_role, RoleArn=direct, RoleSessionName="work")[1]
    assert refused(sts.assume_role, RoleArn=direct, RoleSessionName="work", DurationSeconds=3601)[0] == "ValidationError"
    # A session policy only takes away.
    key = sts.assume_role(RoleArn=direct, RoleSessionName="work", Policy=policy(allow(["ec2:Describe*", "sts:*"])))["Credentials"]
    client(region, key).describe_vpcs()
    assert "no session policy allows" in refused(client(region, key).create_internet_gateway)[1]
    assert refused(sts.assume_role, RoleArn=direct, RoleSessionName="work", Policy="{}")[0] == "MalformedPolicyDocument"
    # Another account's user needs both: the role's trust and its own policy.
    account(region, "user", "create", "--account", OTHER, "--name", "eve")
    eve = account(region, "key", "create", "--account", OTHER, "--user", "eve")
    there = client(region, eve, "sts")
    assert refused(there.assume_role, RoleArn=abroad, RoleSessionName="work")[0] == "AccessDenied"
    account(region, "user", "update", "--account", OTHER, "--name", "eve", "--policy", "-", stdin=policy(allow("sts:*")))
    key = there.assume_role(RoleArn=abroad, RoleSessionName="work", DurationSeconds=7200)["Credentials"]
    owners = {v["OwnerId"] for v in client(region, key).describe_vpcs()["Vpcs"]}
    assert owners == {ACCOUNT}
    # Without its role, a session ends.
    account(region, "role", "delete", "--account", ACCOUNT, "--name", "abroad")
    assert refused(client(region, key).describe_vpcs)[0] == "AuthFailure"
    assert refused(client(region, key, "sts").get_caller_identity)[0] == "InvalidClientTokenId"


def test_session_tokens(region, root):
    key = client(region, root, "sts").get_session_token(DurationSeconds=900)["Credentials"]
    sts = client(region, key, "sts")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    client(region, key).describe_vpcs()
    assert refused(sts.get_session_token)[0] == "AccessDenied"
    assert client(region, root, "sts").get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"] == ACCOUNT
    assert client(region, root, "sts").get_access_key_info(AccessKeyId=root["AccessKeyId"])["Account"] == ACCOUNT
    # A token that was changed anywhere is none.
    token = key["SessionToken"]
    bent = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    assert refused(client(region, key, token=bent).describe_vpcs)[0] == "AuthFailure"
    federated = client(region, root, "sts").get_federation_token(Name="fred", Policy=policy(allow("ec2:Describe*")))
    assert federated["FederatedUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:federated-user/fred"
    ec2 = client(region, federated["Credentials"])
    ec2.describe_vpcs()
    assert refused(ec2.create_internet_gateway)[0] == "UnauthorizedOperation"
    nothing = client(region, client(region, root, "sts").get_federation_token(Name="fred")["Credentials"])
    assert refused(nothing.describe_vpcs)[0] == "UnauthorizedOperation"


def test_keys_are_managed(region, root):
    second = account(region, "key", "create", "--account", ACCOUNT)
    ec2 = client(region, second)
    ec2.describe_vpcs()
    assert "2 access keys" in account(region, "key", "create", "--account", ACCOUNT, check=False).stderr
    account(region, "key", "update", second["AccessKeyId"], "--status", "inactive")
    assert refused(ec2.describe_vpcs)[0] == "AuthFailure"
    account(region, "key", "update", second["AccessKeyId"], "--status", "active")
    ec2.describe_vpcs()
    listed = account(region, "key", "list", "--account", ACCOUNT)
    assert second["SecretAccessKey"] not in json.dumps(listed)
    account(region, "key", "delete", second["AccessKeyId"])
    assert refused(ec2.describe_vpcs)[0] == "AuthFailure"
    bad = account(region, "user", "create", "--account", ACCOUNT, "--name", "x", "--policy", "-", check=False,
                  stdin=policy({"Effect": "Allow", "Action": "DescribeVpcs", "Resource": "*"}))
    assert bad.returncode == 1 and "`DescribeVpcs`" in bad.stderr
    assert {"id": ACCOUNT, "name": "lab"}.items() <= account(region, "list")[0].items()
    assert stat.S_IMODE(os.stat(region.state / "admin.sock").st_mode) == 0o600


def test_awscli(region, root):
    environment = os.environ | {
        "AWS_ENDPOINT_URL": region.endpoint, "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "",
        "AWS_ACCESS_KEY_ID": root["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": root["SecretAccessKey"]}

    def run(*words, secret=None):
        changed = environment | ({"AWS_SECRET_ACCESS_KEY": secret} if secret else {})
        return subprocess.run([sys.executable, "-m", "awscli", *words], env=changed, capture_output=True, text=True, timeout=60)

    assert json.loads(run("sts", "get-caller-identity").stdout)["Account"] == ACCOUNT
    assert run("ec2", "describe-vpcs").returncode == 0
    assert "(AuthFailure)" in run("ec2", "describe-vpcs", secret="wrong").stderr


def test_throttling(region, other):
    """EC2's buckets: one token, and one a second, for a default VPC; other actions and regions are not touched."""
    ec2 = client(region, other, name="eu-central-1", patience=1)
    answers = [refused(ec2.create_default_vpc) for _ in range(20)]
    assert ("RequestLimitExceeded", "Request limit exceeded.", 503) in answers
    assert answers[0][0] == "DefaultVpcAlreadyExists"
    ec2.describe_vpcs()
    assert refused(client(region, other, patience=1).create_default_vpc)[0] == "DefaultVpcAlreadyExists"


def records(region):
    return [json.loads(line) for line in (region.state / "audit.log").read_text().splitlines()]


def test_audit_log(region, root):
    path = region.state / "audit.log"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ec2 = client(region, root)
    reply = ec2.create_vpc(CidrBlock="10.9.0.0/16")
    last = records(region)[-1]
    assert last["requestID"] == reply["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    vpc = reply["Vpc"]["VpcId"]
    assert {"eventName": "CreateVpc", "eventSource": "ec2.amazonaws.com", "awsRegion": "us-east-1", "readOnly": False,
            "sourceIPAddress": "127.0.0.1", "recipientAccountId": ACCOUNT, "eventType": "AwsApiCall"}.items() <= last.items()
    assert last["userIdentity"] == {"type": "Root", "principalId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root",
                                    "accountId": ACCOUNT, "accessKeyId": root["AccessKeyId"]}
    assert last["requestParameters"] == {"cidrBlock": "10.9.0.0/16"} and "Botocore" in last["userAgent"]
    assert last["responseElements"]["vpc"]["vpcId"] == vpc
    ec2.describe_vpcs()
    last = records(region)[-1]
    assert last["readOnly"] is True and last["responseElements"] is None and last["eventName"] == "DescribeVpcs"
    refused(ec2.delete_vpc, VpcId="vpc-0123456789abcdef0")
    last = records(region)[-1]
    assert last["errorCode"] == "Client.InvalidVpcID.NotFound" and "vpc-0123456789abcdef0" in last["errorMessage"]
    refused(client(region, root, secret="wrong").describe_vpcs)
    last = records(region)[-1]
    assert last["errorCode"] == "Client.AuthFailure" and last["userIdentity"] == {"type": "Unknown"}
    dan = user(region, "dan", policy(allow("sts:*")))
    desk = role(region, "desk", trust(f"arn:aws:iam::{ACCOUNT}:user/dan"), policy(allow("ec2:*")))
    key = client(region, dan, "sts").assume_role(RoleArn=desk, RoleSessionName="session")["Credentials"]
    last = records(region)[-1]
    assert last["eventSource"] == "sts.amazonaws.com" and last["userIdentity"]["type"] == "IAMUser"
    assert last["responseElements"]["credentials"]["sessionToken"] == "<sensitiveDataRemoved>"
    client(region, key).run_instances(
        ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, UserData="#!/bin/sh\necho hunter2\n")
    last = records(region)[-1]
    assert last["requestParameters"]["userData"] == "<sensitiveDataRemoved>"
    issuer = last["userIdentity"]["sessionContext"]["sessionIssuer"]
    assert last["userIdentity"]["type"] == "AssumedRole" and issuer["arn"] == desk
    text = path.read_text() + region.output()
    for secret in [root["SecretAccessKey"], dan["SecretAccessKey"], key["SecretAccessKey"], key["SessionToken"], "hunter2"]:
        assert secret not in text


def test_what_is_not_signed_is_for_this_machine(region):
    assert region.admin("status")["mode"] == "control-plane-only"
    done = subprocess.run([POLDER, "up", "--state-dir", str(region.state) + "2", "--listen", "0.0.0.0:4600"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "--auth sigv4" in done.stderr


def test_other_addresses_and_a_restart(root, region):
    """Keys, sessions and accounts outlive the server, which may listen anywhere once it checks signatures."""
    key = client(region, root, "sts").get_session_token()["Credentials"]
    assert region.stop() == 0
    offline = account(region, "key", "create", "--account", ACCOUNT)
    region.options = (*region.options, "--listen", "0.0.0.0:4566")
    region.start()
    client(region, root).describe_vpcs()
    client(region, key).describe_vpcs()
    client(region, offline).describe_vpcs()
    account(region, "key", "delete", offline["AccessKeyId"])
    subprocess.run(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"], check=True)
    try:
        with socket.create_connection(("192.0.2.1", 4566), timeout=5, source_address=("192.0.2.1", 0)) as s:
            s.sendall(b"GET /_polder/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 403 ")
    finally:
        subprocess.run(["ip", "address", "del", "192.0.2.1/32", "dev", "lo"], check=True)
