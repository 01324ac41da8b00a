"""Stop and start, kill and adopt, and what is left behind."""

import pathlib
import signal
import socket
import subprocess
import threading

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


def refused(*words):
    done = subprocess.run([POLDER, "up", *words], capture_output=True, text=True, timeout=20)
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
