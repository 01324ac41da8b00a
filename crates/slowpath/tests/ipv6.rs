//! IPv6 inside a VPC: the same sessions, the same errors.

mod common;

use common::*;
use fastpath_core::abi::Output;
use fastpath_core::{ChecksumState, Verdict};
use packet::{Ethernet, Icmp, Ipv6, Udp};
use slowpath::Outcome;
use types::{DropReason, Mac, proto};

const WORLD6: &str = "
    vpc a account 111111111111 cidr 10.0.0.0/16 cidr 2001:db8::/56
      group all
        in all from ::/0
        out all to ::/0
      subnet s 2001:db8::/64
      interface one subnet s address 2001:db8::4 groups all
      interface two subnet s address 2001:db8::5 groups all
      interface old subnet s address 10.0.0.9 groups all
";

fn host() -> Host {
    Host::with(WORLD6, &[("one", 11), ("two", 12), ("old", 13)], config())
}

fn frame6(mac: Mac, source: &str, destination: &str, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let packet = Ipv6 {
        class_and_label: 0,
        next_header,
        hop_limit: 64,
        source: source.parse().expect("an address"),
        destination: destination.parse().expect("an address"),
        payload,
    };
    Ethernet {
        destination: Mac::ROUTER,
        source: mac,
        ethertype: proto::ETHERTYPE_IPV6,
        payload: &packet.emit(),
    }
    .emit()
}

fn udp6(mac: Mac, source: (&str, u16), destination: (&str, u16)) -> Vec<u8> {
    let udp = Udp {
        source_port: source.1,
        destination_port: destination.1,
        payload: b"six",
    };
    let bytes = udp.emit(ip(source.0), ip(destination.0));
    frame6(mac, source.0, destination.0, proto::UDP, &bytes)
}

fn icmp6(mac: Mac, source: &str, destination: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let icmp = Icmp {
        kind,
        code: 0,
        rest: [0, 1, 0, 1],
        payload: data,
    };
    let bytes = icmp.emit(ip(source), ip(destination));
    frame6(mac, source, destination, proto::ICMPV6, &bytes)
}

#[test]
fn a_conversation_and_its_errors() {
    let mut host = host();
    let (one, two) = (host.mac("one"), host.mac("two"));
    let (client, server) = (("2001:db8::4", 7), ("2001:db8::5", 53));
    let ask = udp6(one, client, server);
    let sent = host.up("one", &ask);
    let (output, arrived) = sent.frame();
    assert_eq!(output, Output::Deliver(12));
    assert_eq!(macs(arrived), (two, Mac::ROUTER));
    let answer = udp6(two, server, client);
    let ran = host.kernel.run(0, 12, &answer, ChecksumState::Complete);
    assert_eq!(ran.expect("a session").0, Verdict::Deliver(11));

    let error = icmp6(two, server.0, client.0, 1, &arrived[14..]);
    let sent = host.up("two", &error);
    let (output, frame) = sent.frame();
    assert_eq!(output, Output::Deliver(11));
    assert_eq!(frame[62..], ask[14..]);
    let unrelated = udp6(one, ("2001:db8::4", 8), server);
    let error = icmp6(two, server.0, client.0, 1, &unrelated[14..]);
    let sent = host.up("two", &error);
    assert_eq!(sent.dropped(), DropReason::UnrelatedIcmpError);
}

#[test]
fn echo_and_what_is_not_for_this_network() {
    let mut host = host();
    let (one, old) = (host.mac("one"), host.mac("old"));
    let ping = icmp6(one, "2001:db8::4", "2001:db8::5", 128, b"ping");
    let sent = host.up("one", &ping);
    assert_eq!(
        (sent.outcome, sent.installed.len()),
        (Outcome::Forwarded, 1)
    );
    let pong = icmp6(host.mac("two"), "2001:db8::5", "2001:db8::4", 129, b"ping");
    let ran = host.kernel.run(0, 12, &pong, ChecksumState::Complete);
    assert_eq!(ran.expect("a session").0, Verdict::Deliver(11));

    let spoofed = icmp6(one, "2001:db8::5", "2001:db8::4", 128, b"");
    assert_eq!(
        host.up("one", &spoofed).dropped(),
        DropReason::SpoofedAddress
    );
    // Every Linux guest solicits a router when its interface comes up.
    let solicit = |mac| icmp6(mac, "fe80::1", "ff02::2", 133, b"");
    let sent = host.up("old", &solicit(old));
    assert_eq!(sent.dropped(), DropReason::Ipv6NotAssigned);
    let sent = host.up("one", &solicit(one));
    assert_eq!(sent.dropped(), DropReason::MalformedFrame, "its hop limit");
    let sent = host.up("old", &icmp6(old, "2001:db8::4", "2001:db8::5", 128, b""));
    assert_eq!(sent.dropped(), DropReason::Ipv6NotAssigned);
}
