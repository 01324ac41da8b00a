//! Routers on the way: TTL, packet sizes, and what senders are told.

mod common;

use common::*;
use fastpath_core::abi::{Output, TCP_ACK, TCP_SYN};
use fastpath_core::{ChecksumState, Verdict};
use packet::{Ethernet, Icmp, Ipv4, Tcp, checksum};
use slowpath::{Offload, Outcome};
use types::{DropReason, Mac, proto};

/// Instances behind a NAT gateway, one of them in another VPC behind a transit gateway; some take jumbo frames.
const WORLD: &str = "
    uplink 203.0.113.0/24 host 203.0.113.1 internet
    vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
      table public
        route 0.0.0.0/0 igw a
        route 10.1.0.0/16 tgw hub
      table private
        route 0.0.0.0/0 nat a
        route 10.1.0.0/16 tgw hub
        route 10.2.0.0/16 pcx p
      group all
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      acl closed
        out 100 deny all to 0.0.0.0/0
      subnet public 10.0.0.0/24 table public
      subnet private 10.0.1.0/24 table private
      subnet door 10.0.2.0/28 table private
      subnet closed 10.0.3.0/24 table private acl closed
      interface nat subnet public address 10.0.0.4 detached mtu 9001
      interface edge subnet public address 10.0.0.5 groups all mtu 9001
      interface one subnet private address 10.0.1.4 groups all mtu 9001
      interface two subnet private address 10.0.1.5 groups all
      interface shut subnet closed address 10.0.3.4 groups all
      nat a subnet public interface nat
      elastic nat 203.0.113.5 interface nat
      elastic edge 203.0.113.6 interface edge
      attachment a tgw hub subnets door table hub
    vpc b account 111111111111 cidr 10.1.0.0/16
      table b
        route 0.0.0.0/0 tgw hub
      group b
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      subnet b 10.1.1.0/24 table b
      interface far subnet b address 10.1.1.4 groups b mtu 9001
      attachment b tgw hub subnets b table hub
    vpc c account 111111111111 cidr 10.2.0.0/16
      table c
        route 10.0.0.0/16 pcx p
      group c
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      subnet c 10.2.1.0/24 table c
      interface peer subnet c address 10.2.1.4 groups c
    peering p a c
    transit hub tgw hub
      to 0.0.0.0/0 a
      to 10.0.0.0/16 a propagated
      to 10.1.0.0/16 b propagated
";

const PORTS: [(&str, u32); 6] = [
    ("one", 11),
    ("two", 12),
    ("far", 13),
    ("edge", 14),
    ("peer", 15),
    ("shut", 16),
];
const OUTSIDE: &str = "198.51.100.7";

fn host() -> Host {
    Host::with(WORLD, &PORTS, config())
}

fn address(name: &str) -> &'static str {
    match name {
        "one" => "10.0.1.4",
        "two" => "10.0.1.5",
        "far" => "10.1.1.4",
        "edge" => "10.0.0.5",
        "peer" => "10.2.1.4",
        _ => "10.0.3.4",
    }
}

/// The frame with another TTL, or other flags.
fn with(frame: &[u8], ttl: u8, fragment: u16) -> Vec<u8> {
    let ethernet = Ethernet::parse(frame).expect("a frame");
    let packet = Ipv4::parse(ethernet.payload).expect("a packet");
    let packet = Ipv4 {
        ttl,
        fragment,
        ..packet
    };
    Ethernet {
        payload: &packet.emit(),
        ..ethernet
    }
    .emit()
}

fn probe(host: &Host, from: &str, to: &str, ttl: u8) -> Vec<u8> {
    let frame = udp(host.mac(from), (address(from), 40_000), (to, 33_434), b"x");
    with(&frame, ttl, 0x4000)
}

/// The ICMP error that went back: who says what about which packet.
#[derive(Debug, PartialEq)]
struct Told {
    from: String,
    to: String,
    kind: (u8, u8),
    mtu: u16,
    quote: Vec<u8>,
}

fn told(frame: &[u8]) -> Told {
    assert!(checksum::hold(frame));
    let ethernet = Ethernet::parse(frame).expect("a frame");
    let packet = Ipv4::parse(ethernet.payload).expect("a packet");
    let icmp = Icmp::parse(packet.payload).expect("icmp");
    Told {
        from: packet.source.to_string(),
        to: packet.destination.to_string(),
        kind: (icmp.kind, icmp.code),
        mtu: u16::from_be_bytes([icmp.rest[2], icmp.rest[3]]),
        quote: icmp.payload.to_vec(),
    }
}

/// What `traceroute` shows, and how much TTL the packet that arrives has left of 64.
fn trace(host: &mut Host, from: &str, to: &str) -> (Vec<String>, u8) {
    let mut hops = Vec::new();
    for ttl in 1..30 {
        host.now_ns += SECOND;
        let frame = probe(host, from, to, ttl);
        let sent = host.up(from, &frame);
        if sent.outcome == Outcome::Forwarded {
            break;
        }
        assert_eq!(sent.outcome, Outcome::Dropped(DropReason::TtlExceeded));
        assert!(sent.installed.is_empty() && sent.drops[0].object.is_some());
        let (output, frame) = sent.frame();
        assert_eq!(output, Output::Deliver(host.port(from)));
        assert_eq!(macs(frame), (host.mac(from), Mac::ROUTER));
        let told = told(frame);
        assert_eq!((told.kind, told.to.as_str()), ((11, 0), address(from)));
        assert_eq!(told.quote, probe(host, from, to, ttl)[14..]);
        hops.push(told.from);
    }
    let frame = probe(host, from, to, 64);
    let sent = host.up(from, &frame);
    (hops, sent.frame().1[22])
}

#[test]
fn traceroute_shows_every_virtual_router_and_the_ttl_tells_how_many() {
    let ways: [(&str, &str, &[&str]); 8] = [
        ("one", "10.0.1.5", &[]),
        ("one", "10.0.0.5", &["10.0.1.1"]),
        ("one", OUTSIDE, &["10.0.1.1", "10.0.0.4", "10.0.0.1"]),
        ("edge", OUTSIDE, &["10.0.0.1"]),
        (
            "one",
            "203.0.113.6",
            &["10.0.1.1", "10.0.0.4", "10.0.0.1", "10.0.0.1"],
        ),
        // The transit gateway has no interface in this world: it reports under the router's address.
        ("far", "10.0.1.4", &["10.1.1.1", "10.1.1.1", "10.0.2.1"]),
        (
            "far",
            OUTSIDE,
            &["10.1.1.1", "10.1.1.1", "10.0.2.1", "10.0.0.4", "10.0.0.1"],
        ),
        ("one", "10.2.1.4", &["10.0.1.1", "10.2.1.1"]),
    ];
    for (from, to, hops) in ways {
        let mut host = host();
        let (seen, ttl) = trace(&mut host, from, to);
        assert_eq!(seen, hops, "{from} to {to}");
        assert_eq!(usize::from(ttl), 64 - hops.len(), "{from} to {to}");
    }
}

#[test]
fn packets_of_a_session_expire_in_both_directions() {
    let mut host = host();
    let opened = probe(&host, "one", OUTSIDE, 64);
    let sent = host.up("one", &opened);
    let (_, out) = sent.frame();
    let seen = tuple(out);
    // The kernel counts down by itself, and leaves to the slow path what does not suffice.
    let (verdict, out) = host
        .kernel
        .run(host.now_ns, 11, &opened, ChecksumState::Complete)
        .expect("carried");
    assert_eq!((verdict, out[22]), (Verdict::Transmit(UPLINK), 61));
    assert!(checksum::hold(&out));
    for (ttl, from) in [(1, "10.0.1.1"), (2, "10.0.0.4"), (3, "10.0.0.1")] {
        let frame = with(&opened, ttl, 0x4000);
        let run = host
            .kernel
            .run(host.now_ns, 11, &frame, ChecksumState::Complete);
        assert_eq!(run, None);
        let sent = host.up("one", &frame);
        assert_eq!(sent.outcome, Outcome::Dropped(DropReason::TtlExceeded));
        assert_eq!(told(sent.frame().1).from, from);
    }
    // Back: three routers too. The outside is told under an address that it knows.
    let answer = udp(
        HOST_MAC,
        (OUTSIDE, 33_434),
        ("203.0.113.5", seen.source_port),
        b"y",
    );
    let sent = host.up("uplink", &with(&answer, 4, 0x4000));
    assert_eq!(sent.frame().1[22], 1);
    let sent = host.up("uplink", &with(&answer, 3, 0x4000));
    let (output, frame) = sent.frame();
    assert_eq!(output, Output::Transmit(UPLINK));
    assert_eq!(macs(frame).0, HOST_MAC);
    assert_eq!(told(frame).from, "203.0.113.0");
    assert_eq!(told(frame).to, OUTSIDE);
}

#[test]
fn a_router_stands_before_what_would_stop_the_packet_later() {
    let mut host = host();
    // The network ACL of the subnet drops it, at the router.
    let frame = probe(&host, "shut", "10.0.1.4", 64);
    assert_eq!(host.up("shut", &frame).dropped(), DropReason::NetworkAcl);
    let frame = probe(&host, "shut", "10.0.1.4", 1);
    assert_eq!(told(host.up("shut", &frame).frame().1).from, "10.0.3.1");
    // What the group of the interface drops has not reached a router.
    let mut frame = probe(&host, "one", "10.0.0.5", 1);
    frame[6..12].copy_from_slice(&host.mac("two").0);
    assert_eq!(host.up("two", &frame).dropped(), DropReason::SpoofedAddress);
}

#[test]
fn errors_are_few_and_never_about_errors() {
    let mut host = host();
    let frame = probe(&host, "one", "10.0.0.5", 1);
    let told = (0..300).filter(|_| !host.up("one", &frame).emitted.is_empty());
    assert_eq!(told.count(), 100);
    assert_eq!(host.core.stats().dropped[&DropReason::TtlExceeded], 300);
    // Another port's are its own.
    let frame = probe(&host, "two", "10.0.0.5", 1);
    assert_eq!(host.up("two", &frame).emitted.len(), 1);

    // A redirect has no session; an error has one, and expires silently.
    let redirect = icmp(host.mac("far"), "10.1.1.4", "10.0.1.4", 5, [0; 4], &[0; 28]);
    let sent = host.up("far", &with(&redirect, 1, 0));
    assert_eq!(sent.dropped(), DropReason::TtlExceeded);
    let opened = probe(&host, "far", "10.0.1.4", 64);
    let sent = host.up("far", &opened);
    let received = sent.frame().1.to_vec();
    let error = icmp(
        host.mac("one"),
        "10.0.1.4",
        "10.1.1.4",
        3,
        [0; 4],
        &received[14..],
    );
    let sent = host.up("one", &with(&error, 2, 0));
    assert_eq!(sent.dropped(), DropReason::TtlExceeded);
    let sent = host.up("one", &with(&error, 64, 0));
    assert_eq!(sent.frame().1[22], 62);
}

#[test]
fn what_does_not_fit_is_told_the_next_links_size() {
    let mut host = host();
    let data = vec![7; 8900];
    let big = |host: &Host, from: &str, to: &str, size: usize| {
        udp(
            host.mac(from),
            (address(from), 5),
            (to, 6),
            &data[..size - 28],
        )
    };
    // Jumbo frames within the VPC; the transit gateway, the NAT gateway and the internet carry less.
    let frame = big(&host, "one", "10.0.0.5", 8900);
    assert_eq!(host.up("one", &frame).outcome, Outcome::Forwarded);
    for (from, to, by, mtu) in [
        ("one", "10.1.1.4", "10.0.1.1", 8500),
        ("one", OUTSIDE, "10.0.1.1", 8500),
        ("edge", OUTSIDE, "10.0.0.1", 1500),
        ("one", "10.0.1.5", "10.0.1.1", 1500),
    ] {
        let frame = big(&host, from, to, 8600);
        // The first packet, and one of a session.
        for _ in 0..2 {
            host.now_ns += SECOND;
            let sent = host.up(from, &frame);
            assert_eq!(sent.outcome, Outcome::Dropped(DropReason::TooBig));
            let told = told(sent.frame().1);
            assert_eq!((told.from.as_str(), told.kind, told.mtu), (by, (3, 4), mtu));
            assert_eq!(told.quote, frame[14..14 + 548]);
            let small = big(&host, from, to, usize::from(mtu.min(1500)));
            assert_eq!(host.up(from, &small).outcome, Outcome::Forwarded);
        }
    }
    // Behind the NAT gateway the way is narrower still: its router there says so.
    let frame = big(&host, "one", OUTSIDE, 8000);
    let told = told(host.up("one", &frame).frame().1);
    assert_eq!((told.from.as_str(), told.mtu), ("10.0.0.1", 1500));
    // A GSO packet is as large as its segments.
    let offload = |gso_size| Offload {
        checksum: ChecksumState::Partial,
        gso_size,
    };
    let frame = big(&host, "one", "10.0.1.5", 8600);
    let mut effects = slowpath::Effects::default();
    for (gso_size, fits) in [(1472, true), (1473, false)] {
        let outcome = host
            .core
            .upcall(host.now_ns, 11, &frame, offload(gso_size), &mut effects);
        assert_eq!(outcome == Outcome::Forwarded, fits);
    }
}

#[test]
fn without_dont_fragment_a_packet_is_cut() {
    let mut host = host();
    let data: Vec<u8> = (0..4000u16).map(|n| n.to_le_bytes()[0]).collect();
    for partial in [false, true] {
        let mut frame = udp(host.mac("edge"), ("10.0.0.5", 5), (OUTSIDE, 6), &data);
        let mut state = ChecksumState::Complete;
        if partial {
            let sum = checksum::pseudo(ip("10.0.0.5"), ip(OUTSIDE), proto::UDP, data.len() + 8);
            frame[40..42].copy_from_slice(&sum.to_ne_bytes());
            state = ChecksumState::Partial;
        }
        let sent = host.up_port(14, &with(&frame, 64, 0), state);
        assert_eq!(sent.outcome, Outcome::Forwarded);
        assert_eq!(sent.emitted.len(), 3);
        let mut payload = Vec::new();
        let mut last = None;
        for (output, frame) in &sent.emitted {
            assert_eq!(*output, Output::Transmit(UPLINK));
            assert!(frame.len() <= 1514 && checksum::hold(frame));
            let packet = Ipv4::parse(&frame[14..]).expect("a packet");
            assert_eq!(
                (packet.source.to_string().as_str(), packet.ttl),
                ("203.0.113.6", 63)
            );
            assert_eq!(usize::from(packet.fragment & 0x1fff) * 8, payload.len());
            payload.extend(packet.payload);
            last = Some(packet.fragment & 0x2000);
        }
        assert_eq!(last, Some(0));
        // Together they are the datagram as the outside shall see it.
        let whole = frame_of("203.0.113.6", OUTSIDE, &payload);
        assert!(checksum::hold(&whole));
        assert_eq!(payload[8..], data);
    }
}

fn frame_of(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    frame(HOST_MAC, source, destination, proto::UDP, payload)
}

/// A SYN (or SYN and ACK) that announces this segment size, the option at an even or an odd place.
fn announcing(
    mac: Mac,
    from: (&str, u16),
    to: (&str, u16),
    flags: u8,
    mss: u16,
    odd: bool,
) -> Vec<u8> {
    let [high, low] = mss.to_be_bytes();
    let options: &[u8] = if odd {
        &[1, 2, 4, high, low, 1, 1, 0]
    } else {
        &[2, 4, high, low]
    };
    let segment = Tcp {
        source_port: from.1,
        destination_port: to.1,
        sequence: 1,
        acknowledgment: 0,
        flags,
        window: 1000,
        urgent: 0,
        options,
        payload: &[],
    };
    let segment = segment.emit(ip(from.0), ip(to.0));
    frame(mac, from.0, to.0, proto::TCP, &segment)
}

fn announced(frame: &[u8]) -> u16 {
    assert!(checksum::hold(frame));
    let options = Tcp::parse(&frame[34..]).expect("tcp").options;
    let at = options.iter().position(|kind| *kind == 2).expect("there") + 2;
    u16::from_be_bytes([options[at], options[at + 1]])
}

#[test]
fn syns_announce_no_more_than_the_way_carries() {
    for odd in [false, true] {
        let mut host = host();
        let from = ("10.0.0.5", 7000);
        let syn = announcing(host.mac("edge"), from, (OUTSIDE, 80), TCP_SYN, 8961, odd);
        let sent = host.up("edge", &syn);
        assert_eq!(announced(sent.frame().1), 1460);
        // The answer comes up too, and nothing after it.
        let back = ("203.0.113.6", 7000);
        let syn = announcing(HOST_MAC, (OUTSIDE, 80), back, TCP_SYN | TCP_ACK, 8961, odd);
        let run = |host: &mut Host, port, frame: &[u8]| {
            host.kernel
                .run(host.now_ns, port, frame, ChecksumState::Complete)
        };
        assert_eq!(run(&mut host, UPLINK, &syn), None);
        let sent = host.up("uplink", &syn);
        assert_eq!(announced(sent.frame().1), 1460);
        assert!(sent.installed.is_empty());
        let ack = tcp(host.mac("edge"), from, (OUTSIDE, 80), TCP_ACK, b"");
        assert!(run(&mut host, 14, &ack).is_some());
    }
    // A small one stays. Where only the ends are narrow, TCP knows itself: nothing comes up.
    let mut host = host();
    let from = ("10.0.0.5", 7000);
    let syn = announcing(host.mac("edge"), from, (OUTSIDE, 80), TCP_SYN, 1000, false);
    assert_eq!(announced(host.up("edge", &syn).frame().1), 1000);
    let syn = announcing(
        host.mac("one"),
        ("10.0.1.4", 1),
        ("10.0.1.5", 2),
        TCP_SYN,
        8961,
        false,
    );
    assert_eq!(announced(host.up("one", &syn).frame().1), 8961);
    let again = host
        .kernel
        .run(host.now_ns, 11, &syn, ChecksumState::Complete);
    assert!(again.is_some());
}
