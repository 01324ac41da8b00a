//! Flows through interface endpoints: both ends translated, back, between VPCs that have the same addresses.

mod common;

use common::*;
use fastpath_core::abi::{Output, TCP_ACK, TCP_SYN};
use fastpath_core::{ChecksumState, Verdict};
use topology::{Change, Object};
use types::{DropReason, FlowTuple, Mac, proto};

const SERVICE: &str = "
    vpc consumer account 111111111111 cidr 10.0.0.0/16
      group clients
        out all to 0.0.0.0/0
      group door
        in tcp 443 from clients
      subnet c 10.0.1.0/24
      interface one subnet c address 10.0.1.4 groups clients
      interface two subnet c address 10.0.1.5 groups clients
      interface door subnet c address 10.0.1.50 groups door detached
      endpoint service interfaces door front front backend server provider 222222222222
    vpc provider account 222222222222 cidr 10.0.0.0/16
      group servers
        in tcp 443 from 10.0.2.0/24
      subnet p 10.0.1.0/24
      subnet fronts 10.0.2.0/24
      interface server subnet p address 10.0.1.4 groups servers
      interface front subnet fronts address 10.0.2.9 detached
";

fn host() -> Host {
    Host::with(
        SERVICE,
        &[("one", 11), ("two", 12), ("server", 13)],
        config(),
    )
}

fn address(name: &str) -> &'static str {
    if name == "one" {
        "10.0.1.4"
    } else {
        "10.0.1.5"
    }
}

/// Opens a flow; the port that the backend sees.
fn open(host: &mut Host, name: &str) -> u16 {
    let from = (address(name), 40_000);
    let syn = tcp(host.mac(name), from, ("10.0.1.50", 443), TCP_SYN, b"");
    let sent = host.up(name, &syn);
    assert_eq!(sent.installed.len(), 1, "{sent:?}");
    let (output, frame) = sent.frame();
    assert_eq!(output, Output::Deliver(13));
    let seen = tuple(frame);
    assert_eq!(
        (seen.source, seen.destination),
        (ip("10.0.2.9"), ip("10.0.1.4"))
    );
    assert_eq!(seen.destination_port, 443);
    seen.source_port
}

#[test]
fn consumers_share_the_front_and_are_answered_as_the_endpoint() {
    let mut host = host();
    let ports = ["one", "two"].map(|name| open(&mut host, name));
    assert_ne!(ports[0], ports[1]);
    let server = host.mac("server");
    for (name, port) in ["one", "two"].into_iter().zip(ports) {
        let answer = tcp(
            server,
            ("10.0.1.4", 443),
            ("10.0.2.9", port),
            TCP_SYN | TCP_ACK,
            b"",
        );
        let run = host
            .kernel
            .run(SECOND, 13, &answer, ChecksumState::Complete);
        let (verdict, back) = run.expect("a session");
        assert_eq!(verdict, Verdict::Deliver(host.port(name)));
        assert!(packet::checksum::hold(&back));
        assert_eq!(macs(&back), (host.mac(name), Mac::ROUTER));
        let expected = FlowTuple {
            source: ip("10.0.1.50"),
            destination: ip(address(name)),
            protocol: proto::TCP,
            source_port: 443,
            destination_port: 40_000,
        };
        assert_eq!(tuple(&back), expected);
    }
    // The backend opens nothing through the front.
    let stranger = tcp(server, ("10.0.1.4", 443), ("10.0.2.9", 9), TCP_SYN, b"");
    assert_eq!(
        host.up("server", &stranger).dropped(),
        DropReason::SecurityGroupEgress
    );
}

#[test]
fn a_change_decides_again_and_the_port_stays() {
    let mut host = host();
    open(&mut host, "one");
    let server = host.object("eni server");
    let same = host.change(&[Change::Put(server)]);
    assert_eq!((same.removed, same.updated), (vec![], vec![]));
    // Another backend serves what is open, too.
    let Object::Interface(mut moved) = host.object("eni server") else {
        panic!("an interface");
    };
    moved.addresses = vec![ip("10.0.1.7")];
    let done = host.change(&[Change::Put(Object::Interface(moved))]);
    // The answers have another source: the flow is another one.
    assert_eq!(done.removed.len(), 1);
    let port = open_again(&mut host);
    assert!(port > 0);
    let endpoint = host.object("vpce service").removal();
    assert_eq!(host.change(&[endpoint]).removed.len(), 1);
}

fn open_again(host: &mut Host) -> u16 {
    let syn = tcp(
        host.mac("one"),
        ("10.0.1.4", 40_000),
        ("10.0.1.50", 443),
        TCP_SYN,
        b"",
    );
    let sent = host.up("one", &syn);
    let (_, frame) = sent.frame();
    assert_eq!(tuple(frame).destination, ip("10.0.1.7"));
    tuple(frame).source_port
}
