"""A region for each test file: `polder up` as a user starts it, and clients for it.

Each file runs in a network namespace of its own (see `cargo xtask test`), which to Polder is the whole machine.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import boto3
import botocore.config
import pytest

POLDER = os.environ.get("POLDER", "target/debug/polder")
ACCOUNT_A = "111122223333"
ACCOUNT_B = "444455556666"


def wait_for(what, probe, seconds=20):
    """Waits for an event: `probe` returns something true, or the test fails."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.01)


class Region:
    """A running `polder up`."""

    def __init__(self, state, *options):
        self.state = pathlib.Path(state)
        self.options = options
        self.process = None
        self.port = 4566
        self.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.log = open(self.state.with_suffix(".log"), "ab")
        self.process = subprocess.Popen(
            [POLDER, "up", "--state-dir", str(self.state), *self.options],
            stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )
        wait_for("polder up", self.settled)

    def settled(self):
        if self.process.poll() is not None:
            raise AssertionError(f"polder up ended: {self.output()}")
        try:
            mode = self.admin("status")["mode"]
        except OSError:
            return False
        return mode != "starting"

    def output(self):
        return self.state.with_suffix(".log").read_text(errors="replace")

    def admin(self, path):
        with urllib.request.urlopen(f"{self.endpoint}/_polder/{path}", timeout=5) as reply:
            return json.load(reply)

    def client(self, service="ec2", account=ACCOUNT_A, region="us-east-1"):
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=region, aws_access_key_id=account,
            aws_secret_access_key="x",
            config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=20),
        )

    def stop(self, with_signal=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.process.wait(timeout=30)
        self.log.close()
        return code

    def exec(self, instance, *command, check=True, seconds=20, **options):
        done = subprocess.run(
            [POLDER, "exec", instance, "--", *command], capture_output=True, text=True, timeout=seconds, **options)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.output()}"
        return done

    def python(self, instance, source, *arguments, check=True, seconds=20):
        """Runs Python inside an instance; its output is JSON."""
        done = self.exec(instance, "python3", "-c", source, *map(str, arguments), check=check, seconds=seconds)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def drops(self, since=0):
        return self.admin(f"drops?since={since}")


def leftovers(state):
    """What a region left on the machine: devices, namespaces, pins."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    left = [line.split(":")[1].strip() for line in links.splitlines() if line.split(":")[1].strip().startswith("pd")]
    record = pathlib.Path(state, "host.json")
    if record.exists():
        left += [f"manifest names {name}" for name in namespaces_of(record)]
    return left


def namespaces_of(manifest):
    names = pathlib.Path("/run/netns")
    text = manifest.read_text()
    return [path.name for path in names.glob("pd-i-*") if path.name in text] if names.exists() else []


@pytest.fixture(scope="module")
def state_dir():
    directory = tempfile.mkdtemp(prefix="polder-test-")
    yield pathlib.Path(directory, "state")
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def region(state_dir):
    region = Region(state_dir)
    yield region
    code = region.stop()
    output = region.output()
    assert code == 0, output
    assert "panicked" not in output, output
    assert leftovers(state_dir) == [], output


class Network:
    """A VPC with one public subnet and what makes it one."""

    def __init__(self, region, account=ACCOUNT_A, cidr="10.0.0.0/16", subnet="10.0.1.0/24", public=True):
        self.region, self.account = region, account
        self.ec2 = region.client(account=account)
        self.vpc = self.ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
        self.subnet = self.add_subnet(subnet)
        if public:
            self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
            self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
            self.table = self.ec2.describe_route_tables(
                Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["RouteTables"][0]["RouteTableId"]
            self.ec2.create_route(
                RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=self.gateway)

    def add_subnet(self, cidr, zone="us-east-1a"):
        return self.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]

    def group(self, name, *rules):
        """A group that allows these (protocol, from, to, source) in."""
        group = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        for rule in rules:
            self.allow(group, *rule)
        return group

    @staticmethod
    def permission(protocol, first, last, source):
        permission = {"IpProtocol": protocol}
        if protocol != "-1":
            permission |= {"FromPort": first, "ToPort": last}
        if source.startswith("sg-"):
            return permission | {"UserIdGroupPairs": [{"GroupId": source}]}
        return permission | {"IpRanges": [{"CidrIp": source}]}

    def allow(self, group, *rule):
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[self.permission(*rule)])

    def forbid(self, group, *rule):
        self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[self.permission(*rule)])

    def run(self, group, address=None, subnet=None, user_data=None, wait=True):
        options = {"UserData": user_data} if user_data else {}
        if address:
            options["PrivateIpAddress"] = address
        instance = self.ec2.run_instances(
            ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, SubnetId=subnet or self.subnet,
            SecurityGroupIds=[group], **options)["Instances"][0]["InstanceId"]
        if wait:
            wait_for(f"{instance} to run", lambda: self.state(instance) == "running")
        return instance

    def describe(self, instance):
        return self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]

    def state(self, instance):
        return self.describe(instance)["State"]["Name"]

    def elastic(self, instance):
        allocation = self.ec2.allocate_address(Domain="vpc")
        self.ec2.associate_address(AllocationId=allocation["AllocationId"], InstanceId=instance)
        return allocation["PublicIp"]


# A server in a few lines, for `Region.python` and user data.
WEB = """#!/bin/sh
mkdir -p www && cd www && echo "hello from $(hostname -I 2>/dev/null || echo me)" > index.html
exec python3 -m http.server 80
"""

CONNECT = """
import json, socket, sys
s = socket.socket(); s.settimeout(float(sys.argv[3]) if len(sys.argv) > 3 else 2)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print(json.dumps("connected"))
except ConnectionRefusedError:
    print(json.dumps("refused"))
except OSError as e:
    print(json.dumps("lost"))
"""


def connect(address, port, seconds=2):
    """What becomes of a TCP connection from this machine."""
    with socket.socket() as s:
        s.settimeout(seconds)
        try:
            s.connect((address, port))
            return "connected"
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "lost"
