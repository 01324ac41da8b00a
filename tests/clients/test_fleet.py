"""A controller and hosts as processes of their own, each host in a network namespace: joining, dying, coming back."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from conftest import POLDER, Network, Region, wait_for

# Connected hosts answer a beat every second.
SOON = 40


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done


class Controller(Region):
    """A running `polder controller`."""

    def start(self):
        self.log = open(self.state.with_suffix(".log"), "ab")
        self.process = subprocess.Popen(
            [POLDER, "controller", "--state-dir", str(self.state), "--zone-names", "fixed", *self.options],
            stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )
        wait_for("polder controller", self.settled)

    def hosts(self, *words, check=True):
        return run(POLDER, "hosts", "--state-dir", str(self.state), "--json", *words, check=check)

    def token(self, *words):
        return json.loads(self.hosts("token", "create", *words).stdout)["Token"]

    def list(self):
        return {host["Name"]: host for host in json.loads(self.hosts("list").stdout)}

    def has(self, name, **wanted):
        host = self.list().get(name, {})
        return all(host.get(key) == value for key, value in wanted.items()) and bool(host)


class Host:
    """A network namespace with a wire to the controller, and a `polder agent` in it."""

    count = 0

    def __init__(self, directory):
        Host.count += 1
        self.number = Host.count
        self.name = f"h{self.number}"
        self.netns = f"tmp-fleet-{os.getpid()}-{self.number}"
        self.wire = f"tmpf{self.number}"
        self.state = pathlib.Path(directory, self.name)
        self.process = None
        run("ip", "netns", "add", self.netns)
        run("ip", "link", "add", self.wire, "type", "veth", "peer", "name", "under0", "netns", self.netns)
        run("ip", "addr", "add", f"10.99.{self.number}.1/24", "dev", self.wire)
        run("ip", "link", "set", self.wire, "up")
        for words in (["link", "set", "lo", "up"], ["addr", "add", f"10.99.{self.number}.2/24", "dev", "under0"],
                      ["link", "set", "under0", "up"]):
            run("ip", "-n", self.netns, *words)

    def start(self, token=None, *options):
        self.log = open(self.state.with_suffix(".log"), "ab")
        join = ["--join", token, "--name", self.name] if token else []
        # Not `ip netns exec`: it hides the file system that the agent pins its programs in.
        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.netns}", POLDER, "agent", "--log", "info",
             "--controller", f"10.99.{self.number}.1:4567", "--state-dir", str(self.state), *join, *options],
            stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )

    def output(self):
        return self.state.with_suffix(".log").read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
        return self.process.returncode if self.process else None

    def links(self):
        """What of Polder is in the namespace."""
        text = run("ip", "-n", self.netns, "-o", "link").stdout
        names = [line.split(":")[1].strip().split("@")[0] for line in text.splitlines()]
        return [name for name in names if name.startswith("pd")]

    def ports(self):
        """The ports of instances."""
        return [name for name in self.links() if re.fullmatch("pd[0-9a-f]{13}", name)]

    def close(self):
        self.stop()
        run("ip", "link", "del", self.wire, check=False)
        run("ip", "netns", "del", self.netns)


class Fleet:
    def __init__(self, directory, *options):
        self.directory = directory
        self.controller = Controller(directory / "controller", *options)
        self.hosts = []

    def add(self, *options, zone="use1-az1"):
        host = Host(self.directory)
        self.hosts.append(host)
        host.start(self.controller.token("--zone", zone), *options)
        self.up(host)
        return host

    def up(self, host):
        def connected():
            assert host.process.poll() is None, host.output()
            return self.controller.has(host.name, Connected=True, State="ready")
        wait_for(f"{host.name} to be connected", connected, SOON)

    def close(self):
        for host in self.hosts:
            host.close()
        self.controller.stop()


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path)
    yield made
    made.close()
    for log in tmp_path.glob("*.log"):
        assert "panicked" not in log.read_text(errors="replace"), log.read_text(errors="replace")


def all_running(net, instances):
    return all(net.state(instance) == "running" for instance in instances)


def test_instances_run_where_there_is_room_and_parts_may_die(fleet):
    first, second = fleet.add("--capacity", "2"), fleet.add("--capacity", "2")
    controller = fleet.controller
    net = Network(controller)
    group = net.group("all", ("-1", None, None, "0.0.0.0/0"))
    made = [net.run(group, wait=False) for _ in range(4)]
    wait_for("four instances", lambda: all_running(net, made), SOON)
    assert [host["Instances"] for host in controller.list().values()] == [2, 2]
    with pytest.raises(Exception, match="InsufficientInstanceCapacity"):
        net.run(group, wait=False)
    # Each runs on one host: the ports of two are there, and those of the other two are not.
    ports = [host.ports() for host in (first, second)]
    assert len(ports[0]) == len(ports[1]) == 2, (first.links(), second.links())
    assert not set(ports[0]) & set(ports[1])
    addresses = {instance: net.describe(instance)["PrivateIpAddress"] for instance in made}
    reaches = lambda a, b: controller.exec(
        a, "ping", "-c1", "-W1", addresses[b], check=False).returncode == 0
    pairs = [(a, b) for a in made for b in made if a != b]
    together = [pair for pair in pairs if reaches(*pair)]
    # Those of one host reach each other. There is no way between hosts yet, and none is invented.
    assert len(together) == 4, together
    near = together[0]

    # The agent dies: connections go on in the kernel, and the next one takes everything over.
    for host in (first, second):
        host.kill()
    wait_for("the controller to notice", lambda: not any(h["Connected"] for h in controller.list().values()), SOON)
    for host in (first, second):
        host.start()
        fleet.up(host)
    wait_for("packets", lambda: reaches(*near), SOON)
    assert all_running(net, made)

    # The controller dies in the midst: hosts go on without it.
    controller.stop(signal.SIGKILL)
    assert reaches(*near)
    controller.start()
    for host in (first, second):
        fleet.up(host)
    assert all_running(net, made) and reaches(*near)
    # A change reaches packets before it is answered.
    net.forbid(group, "-1", None, None, "0.0.0.0/0")
    assert not reaches(*near)
    controller.client().terminate_instances(InstanceIds=made)
    wait_for("the end of all", lambda: all(net.state(i) == "terminated" for i in made), SOON)
    assert not any(host.ports() for host in (first, second))


def test_a_cut_is_mended_by_what_changed_meanwhile(fleet):
    host = fleet.add()
    controller = fleet.controller
    net = Network(controller)
    group = net.group("all", ("icmp", -1, -1, "0.0.0.0/0"))
    one, two = net.run(group), net.run(group)
    address = net.describe(two)["PrivateIpAddress"]
    reaches = lambda: controller.exec(one, "ping", "-c1", "-W1", address, check=False).returncode == 0
    assert reaches()
    whole = host.output().count("everything anew")
    run("ip", "link", "set", host.wire, "down")
    wait_for("the controller to notice", lambda: controller.has(host.name, Connected=False), SOON)
    net.forbid(group, "icmp", -1, -1, "0.0.0.0/0")
    # Nobody can tell the host; what it knows holds.
    assert reaches()
    run("ip", "link", "set", host.wire, "up")
    fleet.up(host)
    wait_for("the change", lambda: not reaches(), SOON)
    assert host.output().count("everything anew") == whole, host.output()


def test_who_may_join_and_who_may_come_back(fleet, tmp_path):
    controller = fleet.controller
    token = controller.token("--zone", "use1-az1")
    host, stranger = Host(tmp_path), Host(tmp_path)
    fleet.hosts += [host, stranger]
    host.start(token)
    fleet.up(host)
    for secret in ("controller/authority.key", f"{host.name}/identity.json"):
        assert tmp_path.joinpath(secret).stat().st_mode & 0o077 == 0, secret
    assert controller.state.joinpath("hosts.sock").stat().st_mode & 0o077 == 0

    def refused(*words):
        stranger.start(*words)
        assert stranger.process.wait(timeout=30) != 0
        return stranger.output()

    # A token is good once; and only with the controller that made it.
    assert "unknown, used or expired" in refused(token)
    other = token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB")
    assert "cannot join" in refused(other)
    assert "has not joined" in refused()
    assert controller.list().keys() == {host.name}
    assert "no zone" in controller.hosts("token", "create", "--zone", "nowhere", check=False).stderr

    # A host that is removed is cut off at once, and leaves nothing.
    net = Network(controller)
    instance = net.run(net.group("all", ("-1", None, None, "0.0.0.0/0")))
    stolen = tmp_path / "stolen"
    shutil.copytree(host.state, stolen, ignore=lambda *_: {"host.json", "instances"})
    assert "runs 1 instances" in controller.hosts("remove", host.name, check=False).stderr
    controller.hosts("remove", host.name, "--force")
    assert host.process.wait(timeout=30) == 1
    assert "was removed" in host.output()
    assert host.links() == []
    assert net.state(instance) == "stopped"
    # Its certificate, in whosever hands, is worthless.
    shutil.rmtree(host.state)
    shutil.copytree(stolen, host.state)
    host.start()
    assert host.process.wait(timeout=30) == 1
    assert controller.list() == {}
    # The instance starts elsewhere.
    with pytest.raises(Exception, match="InsufficientInstanceCapacity"):
        net.ec2.start_instances(InstanceIds=[instance])
    fleet.add()
    net.ec2.start_instances(InstanceIds=[instance])
    wait_for("the instance", lambda: net.state(instance) == "running", SOON)


def test_certificates_rotate_and_hosts_drain(tmp_path):
    fleet = Fleet(tmp_path, "--certificate-life", "15s", "--lost-after", "2s")
    try:
        controller = fleet.controller
        first = fleet.add()
        identity = first.state / "identity.json"
        certificate = lambda: json.loads(identity.read_text())["certificate"]
        before = certificate()
        net = Network(controller)
        instance = net.run(net.group("all", ("-1", None, None, "0.0.0.0/0")))
        wait_for("a new certificate", lambda: certificate() != before, SOON)
        fleet.up(first)
        middle = certificate()
        wait_for("the next one", lambda: certificate() != middle, SOON)
        fleet.up(first)
        assert first.output().count("everything anew") == 1, first.output()

        second = fleet.add()
        controller.hosts("cordon", first.name)
        assert controller.has(first.name, State="cordoned")
        controller.hosts("drain", first.name)
        wait_for("the instance on the other host", lambda: controller.has(
            second.name, Instances=1) and second.ports(), SOON)
        wait_for("nothing on the first", lambda: not first.ports(), SOON)
        assert net.state(instance) == "running"
        controller.hosts("uncordon", first.name)
        first.stop()
        wait_for("the loss", lambda: controller.has(first.name, State="lost"), SOON)
        controller.hosts("remove", first.name)
    finally:
        fleet.close()
