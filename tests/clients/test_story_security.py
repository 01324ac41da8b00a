"""Security groups, network ACLs, and both in depth, each as one draws it."""

from conftest import CONNECT, Network, connect
from stories import Acl, Outside, nat_gateway, only, reasons, route, seen_outside, table
from test_packets import Server


def test_security_groups(region):
    """A web tier with bastion and database: rules name groups, answers need none, and what no rule allows is dropped."""
    net = Network(region, account="400000000001")
    bastion, web, db = net.group("bastion"), net.group("web"), net.group("db")
    for port in (443, 80):
        net.allow(web, "tcp", port, port, "0.0.0.0/0")
    net.allow(web, "tcp", 22, 22, bastion)
    net.allow(db, "tcp", 3306, 3306, web)
    net.allow(db, "tcp", 5432, 5432, web)
    only(net, web, ("tcp", 3306, 3306, db), ("tcp", 443, 443, "0.0.0.0/0"))
    jump, front, store = net.run(bastion), net.run(web, "10.0.1.20"), net.run(db, "10.0.1.30")
    public = net.elastic(front)
    reach = lambda source, address, port: region.python(source, CONNECT, address, port, 0.5)
    with Server(front, 443), Server(front, 22), Server(store, 3306), Server(store, 5432):
        assert [connect(public, 443), connect(public, 80), connect(public, 22, 0.5)] == ["connected", "refused", "lost"]
        assert [reach(jump, "10.0.1.20", 22), reach(store, "10.0.1.20", 22)] == ["connected", "lost"]
        assert reach(front, "10.0.1.30", 3306) == "connected"
        since = region.drops()["next"]
        assert reach(front, "10.0.1.30", 5432) == "lost"
        assert "security-group-egress" in reasons(region, since)
        since = region.drops()["next"]
        assert reach(jump, "10.0.1.30", 3306) == "lost"
        assert "security-group-ingress" in reasons(region, since)


def test_network_acls(region):
    """A subnet's border: entries in order, both directions, answers too."""
    net = Network(region, account="400000000002")
    group = net.group("open", ("-1", 0, 0, "0.0.0.0/0"))
    server = net.run(group, "10.0.1.10")
    public = net.elastic(server)
    acl = Acl(
        net, [net.subnet],
        inbound=[(100, (443, 443), "0.0.0.0/0"), (110, (80, 80), "0.0.0.0/0")],
        outbound=[(100, (1024, 65535), "0.0.0.0/0")])
    with Server(server, 443), Server(server, 22):
        assert [connect(public, 443), connect(public, 80)] == ["connected", "refused"]
        since = region.drops()["next"]
        assert connect(public, 22, 0.5) == "lost"
        assert "network-acl" in reasons(region, since)
        # It has no memory: without an entry for the answers nobody gets one.
        acl.forget(True, 100)
        since = region.drops()["next"]
        assert connect(public, 443, 0.5) == "lost"
        assert "network-acl" in reasons(region, since)


def test_defense_in_depth(region):
    """A private machine behind a NAT gateway: two ACLs and a group, each of which can stop what the others let through."""
    net = Network(region, account="400000000003")
    private = net.add_subnet("10.0.11.0/24")
    gateway, address = nat_gateway(net, net.subnet)
    route(net, table(net, private), "0.0.0.0/0", NatGatewayId=gateway)
    group = net.group("g")
    machine = net.run(group, "10.0.11.5", private)
    everything = [(100, -1, "0.0.0.0/0")]
    public_acl = Acl(net, [net.subnet], inbound=everything, outbound=everything)
    private_acl = Acl(net, [private], inbound=everything, outbound=everything)
    with Outside():
        ask = lambda: seen_outside(region, machine, seconds=0.5)
        assert ask().startswith(f"{address}:")
        for acl in (public_acl, private_acl):
            for egress in (False, True):
                acl.forget(egress, 100)
                since = region.drops()["next"]
                assert ask() == "lost"
                # Where only the answer is denied, nobody waits for it: it ends at the gateway.
                assert reasons(region, since) & {"network-acl", "no-translation"}
                acl.allow(egress, 100, -1, "0.0.0.0/0")
                assert ask().startswith(f"{address}:")
        only(net, group, ("tcp", 443, 443, "0.0.0.0/0"))
        since = region.drops()["next"]
        # What it had opened goes on: the group remembers. A new connection does not pass.
        assert seen_outside(region, machine, source=40001, seconds=0.5) == "lost"
        assert "security-group-egress" in reasons(region, since)
