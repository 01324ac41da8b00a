"""`--internet`: further out through the machine's own connection, and nothing left of it afterwards."""

import subprocess

import pytest

from conftest import Network, Region, wait_for


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def outside():
    """A place beyond the machine: a namespace behind a veth pair, with a server."""
    run("ip", "netns", "add", "outside-polder-test")
    try:
        run("ip", "link", "add", "wan0", "type", "veth", "peer", "name", "wan1", "netns", "outside-polder-test")
        run("ip", "addr", "add", "192.0.2.1/24", "dev", "wan0")
        run("ip", "link", "set", "wan0", "up")
        inside = ("ip", "netns", "exec", "outside-polder-test")
        run(*inside, "ip", "addr", "add", "192.0.2.2/24", "dev", "wan1")
        run(*inside, "ip", "link", "set", "wan1", "up")
        run(*inside, "ip", "link", "set", "lo", "up")
        run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield "192.0.2.2"
    finally:
        run("ip", "netns", "del", "outside-polder-test")


def test_out_through_the_machine(outside, tmp_path):
    region = Region(tmp_path / "state", "--internet")
    try:
        net = Network(region)
        instance = net.run(net.group("g"))
        net.elastic(instance)
        assert " 0% packet loss" in region.exec(instance, "ping", "-c2", "-i0.2", "-W2", outside).stdout
        assert "polder" in run("nft", "list", "tables")
    finally:
        assert region.stop() == 0
    assert "polder" not in run("nft", "list", "tables")


def test_closed_without_it(outside, tmp_path):
    region = Region(tmp_path / "state")
    try:
        net = Network(region)
        instance = net.run(net.group("g"))
        net.elastic(instance)
        since = region.drops()["next"]
        assert region.exec(instance, "ping", "-c1", "-W1", outside, check=False).returncode == 1
        mine = [d for d in region.drops(since)["drops"] if d["instance"] == instance]
        assert {d["reason"] for d in mine} == {"uplink-closed"}
        assert "polder" not in run("nft", "list", "tables")
    finally:
        assert region.stop() == 0
