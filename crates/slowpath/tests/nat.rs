//! Flows through NAT gateways: translated as the kernel will do it, back, by other ports, decided again, adopted.

mod common;

use common::*;
use fastpath_core::abi::{Output, TCP_ACK, TCP_SYN};
use fastpath_core::{ChecksumState, Verdict};
use slowpath::Outcome;
use types::{DropReason, FlowTuple, Mac, proto};

/// Two instances behind a NAT gateway, one of them in another VPC behind a transit gateway.
const NAT: &str = "
    uplink 203.0.113.0/24 host 203.0.113.1 internet
    vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
      table public
        route 0.0.0.0/0 igw a
        route 10.1.0.0/16 tgw hub
      table private
        route 0.0.0.0/0 nat a
      group all
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      subnet public 10.0.0.0/24 table public
      subnet private 10.0.1.0/24 table private
      subnet door 10.0.2.0/28 table private
      interface nat subnet public address 10.0.0.4 detached
      interface one subnet private address 10.0.1.4 groups all
      interface two subnet private address 10.0.1.5 groups all
      nat a subnet public interface nat
      elastic nat 203.0.113.5 interface nat
      attachment a tgw hub subnets door table hub
    vpc b account 111111111111 cidr 10.1.0.0/16
      table b
        route 0.0.0.0/0 tgw hub
      group b
        out all to 0.0.0.0/0
      subnet b 10.1.1.0/24 table b
      interface far subnet b address 10.1.1.4 groups b
      attachment b tgw hub subnets b table hub
    transit hub tgw hub
      to 0.0.0.0/0 a
      to 10.0.0.0/16 a propagated
      to 10.1.0.0/16 b propagated
";

const PORTS: [(&str, u32); 3] = [("one", 11), ("two", 12), ("far", 13)];
const SERVER: (&str, u16) = ("198.51.100.7", 443);

fn host() -> Host {
    Host::with(NAT, &PORTS, config())
}

fn address(name: &str) -> &'static str {
    match name {
        "one" => "10.0.1.4",
        "two" => "10.0.1.5",
        _ => "10.1.1.4",
    }
}

/// A SYN from an instance's port 40000.
fn syn(host: &Host, name: &str) -> Vec<u8> {
    let from = (address(name), 40_000);
    tcp(host.mac(name), from, SERVER, TCP_SYN, b"")
}

/// Opens a flow; what the server sees as its source.
fn open(host: &mut Host, name: &str) -> (String, u16) {
    let frame = syn(host, name);
    let sent = host.up(name, &frame);
    assert_eq!(sent.installed.len(), 1, "{sent:?}");
    let (output, out) = sent.frame();
    assert_eq!(output, Output::Transmit(UPLINK));
    let seen = tuple(out);
    assert_eq!(
        (seen.destination, seen.destination_port),
        (ip(SERVER.0), SERVER.1)
    );
    (seen.source.to_string(), seen.source_port)
}

/// The server's answer to that source.
fn answer(to: &(String, u16)) -> Vec<u8> {
    tcp(HOST_MAC, SERVER, (&to.0, to.1), TCP_SYN | TCP_ACK, b"hi")
}

#[test]
fn two_senders_with_the_same_port_are_told_apart() {
    let mut host = host();
    let mut seen = Vec::new();
    for name in ["one", "two", "far"] {
        let source = open(&mut host, name);
        assert_eq!(source.0, "203.0.113.5");
        assert!(!seen.contains(&source), "{source:?}");
        seen.push(source);
    }
    for (name, source) in ["one", "two", "far"].into_iter().zip(&seen) {
        let run = host
            .kernel
            .run(SECOND, UPLINK, &answer(source), ChecksumState::Complete);
        let (verdict, back) = run.expect("a session");
        assert_eq!(verdict, Verdict::Deliver(host.port(name)));
        assert!(packet::checksum::hold(&back));
        let expected = FlowTuple {
            source: ip(SERVER.0),
            destination: ip(address(name)),
            protocol: proto::TCP,
            source_port: SERVER.1,
            destination_port: 40_000,
        };
        assert_eq!(tuple(&back), expected);
    }
}

#[test]
fn what_answers_no_flow_ends_at_the_gateway() {
    let mut host = host();
    let (address, port) = open(&mut host, "one");
    let stranger = answer(&(address, port.wrapping_add(1)));
    assert_eq!(
        host.up("uplink", &stranger).dropped(),
        DropReason::NoTranslation
    );
}

#[test]
fn echo_requests_have_identifiers_of_their_own() {
    let mut host = host();
    let mut seen = Vec::new();
    for name in ["one", "two"] {
        let request = icmp(
            host.mac(name),
            address(name),
            SERVER.0,
            8,
            [0x12, 0x34, 0, 1],
            b"data",
        );
        let sent = host.up(name, &request);
        let out = sent.frame().1.to_vec();
        let identifier = tuple(&out).source_port;
        assert!(!seen.contains(&identifier));
        seen.push(identifier);
        let [high, low] = identifier.to_be_bytes();
        let reply = icmp(
            HOST_MAC,
            SERVER.0,
            "203.0.113.5",
            0,
            [high, low, 0, 1],
            b"data",
        );
        let run = host
            .kernel
            .run(SECOND, UPLINK, &reply, ChecksumState::Complete);
        let (verdict, back) = run.expect("a session");
        assert_eq!(verdict, Verdict::Deliver(host.port(name)));
        assert!(packet::checksum::hold(&back));
        assert_eq!(tuple(&back).destination_port, 0x1234);
        assert_eq!(tuple(&back).destination, ip(address(name)));
    }
}

#[test]
fn an_error_from_outside_quotes_what_was_sent_inside() {
    let mut host = host();
    let (_, port) = open(&mut host, "one");
    // A router on the way reports: the quoted packet is the one that left the gateway.
    let quoted = tcp(Mac::ROUTER, ("203.0.113.5", port), SERVER, TCP_SYN, b"");
    let error = icmp(
        HOST_MAC,
        "198.51.100.1",
        "203.0.113.5",
        11,
        [0; 4],
        quoted.get(14..).unwrap_or_default(),
    );
    let sent = host.up("uplink", &error);
    let (output, out) = sent.frame();
    assert_eq!(output, Output::Deliver(host.port("one")));
    let inner = out.get(14 + 20 + 8..).unwrap_or_default();
    assert_eq!(inner.get(12..16), Some(&[10, 0, 1, 4][..]));
    assert_eq!(inner.get(20..22), Some(&40_000_u16.to_be_bytes()[..]));
}

#[test]
fn a_flow_keeps_its_port_while_the_network_changes() {
    let mut host = host();
    let one = open(&mut host, "one");
    let two = open(&mut host, "two");
    for name in ["acl a", "rtb private", "sg all", "nat a", "subnet public"] {
        let change = topology::Change::Put(host.object(name));
        let done = host.change(&[change]);
        assert!(
            done.updated.is_empty() && done.removed.is_empty(),
            "{name}: {done:?}"
        );
    }
    // Another process finds the sessions and goes on with them.
    let sessions: Vec<_> = host.kernel.sessions.clone().into_iter().collect();
    host.restart();
    let mut effects = slowpath::Effects::default();
    host.core.adopt(2 * SECOND, sessions, &mut effects);
    let kept = host.settle(Outcome::Consumed, effects);
    assert!(
        kept.removed.is_empty() && kept.updated.is_empty(),
        "{kept:?}"
    );
    // Their ports are not given to others.
    let far = open(&mut host, "far");
    assert!(far != one && far != two);
    // The gateway goes, and so do its flows.
    let gone = host.object("nat a").removal();
    assert_eq!(host.change(&[gone]).removed.len(), 3);
    let frame = syn(&host, "one");
    assert_eq!(host.up("one", &frame).dropped(), DropReason::BlackholeRoute);
}

#[test]
fn ports_come_back() {
    let mut host = host();
    let first = open(&mut host, "one");
    let gone = host.object("nat a");
    host.change(&[gone.removal()]);
    host.change(&[topology::Change::Put(gone)]);
    assert_eq!(open(&mut host, "one"), first);
}
