"""Stop and start, kill and adopt, and what is left behind."""

import fcntl
import os
import pathlib
import pty
import signal
import socket
import subprocess
import termios
import threading

import botocore.exceptions
import pytest

from conftest import POLDER, WEB, Network, Region, connect, leftovers, wait_for


@pytest.fixture
def own(tmp_path):
    region = Region(tmp_path / "state")
    yield region
    region.stop()
    assert leftovers(region.state) == [], region.output()


def web(region):
    net = Network(region)
    instance = net.run(net.group("web", ("tcp", 80, 80, "0.0.0.0/0")), user_data=WEB)
    public = net.elastic(instance)
    wait_for("the web server", lambda: connect(public, 80, 0.5) == "connected")
    return net, instance, public


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_stop_leaves_nothing_and_start_brings_everything_back(own, with_signal):
    net, instance, public = web(own)
    assert own.stop(with_signal) == 0
    assert leftovers(own.state) == []
    assert not pathlib.Path("/run/netns", f"pd-{instance}").exists()
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert "203.0.113" not in routes
    own.start()
    assert net.describe(instance)["PublicIpAddress"] == public
    wait_for("the web server", lambda: connect(public, 80, 0.5) == "connected")


def test_kill_9_keeps_connections_and_the_next_start_adopts(own):
    net, instance, public = web(own)
    process_in_instance = own.exec(instance, "sh", "-c", "for p in /proc/[0-9]*; do "
                                   "[ $p/ns/net -ef /proc/self/ns/net ] && grep -q http.server $p/cmdline "
                                   "2>/dev/null && echo ${p#/proc/}; done; true").stdout.split()
    with socket.socket() as held:
        held.settimeout(5)
        held.connect((public, 80))
        own.stop(signal.SIGKILL)
        # No controller, no agent: an established connection goes on in the kernel.
        held.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in held.recv(100)
    own.start()
    assert net.state(instance) == "running"
    assert own.exec(instance, "cat", f"/proc/{process_in_instance[0]}/comm").stdout.startswith("python")
    wait_for("new connections", lambda: connect(public, 80, 0.5) == "connected")
    assert net.describe(instance)["PublicIpAddress"] == public


def test_acknowledged_writes_survive_kill_9(own):
    """Clients write as fast as they can; the power goes; what was answered is there."""
    acknowledged, stop = [], threading.Event()

    def write(account):
        ec2 = own.client(account=account)
        while not stop.is_set():
            try:
                acknowledged.append((account, ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]))
            except Exception:
                return

    threads = [threading.Thread(target=write, args=(f"{n:012d}",)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    wait_for("some writes", lambda: len(acknowledged) > 20)
    own.stop(signal.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join()
    own.start()
    for account, vpc in acknowledged:
        assert own.client(account=account).describe_vpcs(VpcIds=[vpc])["Vpcs"]


def refused(*words, env=None):
    done = subprocess.run([POLDER, "up", *words], capture_output=True, text=True, timeout=20, env=env)
    assert done.returncode != 0
    return done.stderr


def test_clear_refusals(own, tmp_path):
    assert "in use" in refused("--state-dir", str(tmp_path / "second"))
    assert "another" in refused("--state-dir", str(own.state), "--listen", "127.0.0.1:4599")
    assert "loopback" in refused("--state-dir", str(tmp_path / "second"), "--listen", "0.0.0.0:4599")
    import sqlite3
    newer = tmp_path / "newer"
    newer.mkdir(mode=0o700)
    for database in own.state.glob("*.db"):
        with sqlite3.connect(newer / database.name) as connection:
            connection.execute("pragma user_version = 9999")
        connection.close()
    assert "newer version" in refused("--state-dir", str(newer), "--listen", "127.0.0.1:4599")


def test_what_is_in_the_way_of_packets_is_said(tmp_path):
    def wire(*words):
        subprocess.run(["ip", *words], check=True)

    wire("link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    try:
        wire("addr", "add", "198.51.100.1/24", "dev", "lan0")
        wire("link", "set", "lan0", "up")
        # The host has it, has a part of it, or reaches more than it.
        for pool in ("198.51.100.0/24", "198.51.0.0/16", "198.51.100.128/25"):
            said = refused("--state-dir", str(tmp_path / "pool"), "--pool", pool)
            assert f"overlaps `198.51.100." in said and "lan0" in said and "hint: take a block" in said
    finally:
        wire("link", "del", "lan0")
    # Of this test's own namespace.
    forwarding = pathlib.Path("/proc/sys/net/ipv4/ip_forward")
    closed = ("--state-dir", str(tmp_path / "closed"), "--internet")
    forwarding.write_text("0")
    assert "hint: run `sysctl" in refused(*closed)
    forwarding.write_text("1")
    assert "hint: install `nft`" in refused(*closed, env={"PATH": "/nonexistent"})
    forwarding.write_text("0")
    assert leftovers(tmp_path / "closed") == []


def test_a_full_disk_is_said_and_what_was_acknowledged_stays(tmp_path):
    state = tmp_path / "small"
    state.mkdir()
    mount = lambda options: subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(state)], check=True)
    mount("size=16k")
    try:
        assert "no space is left" in refused("--state-dir", str(state), "--control-plane-only")
        mount("remount,size=1m")
        region = Region(state, "--control-plane-only")
        ec2, made = region.client(), []
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            for _ in range(10_000):
                made.append(ec2.create_security_group(GroupName=f"g{len(made)}", Description="x")["GroupId"])
        assert caught.value.response["Error"]["Code"] == "InternalError"
        assert "full" in region.output()
        listed = {g["GroupId"] for g in ec2.describe_security_groups()["SecurityGroups"]}
        assert set(made) <= listed
        assert region.stop() == 0
        region.start()
        listed = {g["GroupId"] for g in region.client().describe_security_groups()["SecurityGroups"]}
        assert set(made) <= listed
        assert region.stop() == 0
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_a_terminal_that_closes_stops_in_order(tmp_path):
    state = tmp_path / "state"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [POLDER, "up", "--state-dir", str(state), "--log", "debug"], stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(theirs)
    said = b""
    while b"ready" not in said:
        said += os.read(ours, 4096)
    os.close(ours)
    assert process.wait(timeout=20) == 0
    assert leftovers(state) == []


def test_control_plane_only_without_privileges(tmp_path):
    state = tmp_path / "unprivileged"
    region = Region(state, "--control-plane-only")
    try:
        assert region.admin("status")["mode"] == "control-plane-only"
        net = Network(region)
        instance = net.run(net.group("g"), wait=False)
        assert net.state(instance) == "running"
        net.ec2.terminate_instances(InstanceIds=[instance])
        assert net.state(instance) == "terminated"
        assert leftovers(state) == []
    finally:
        assert region.stop() == 0
