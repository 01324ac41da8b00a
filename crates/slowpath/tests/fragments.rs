//! Fragments: they follow their first one, through rules and translations; what overlaps, is too short, or waits in
//! vain, does not arrive.

mod common;

use common::*;
use fastpath_core::abi::{Output, TCP_SYN};
use packet::{Ethernet, Ipv4, checksum};
use proptest::prelude::*;
use slowpath::{Effects, Outcome};
use types::{DropReason, Mac, proto};

/// The packet of a frame in fragments of at most so many bytes of payload.
fn cut(frame: &[u8], room: usize) -> Vec<Vec<u8>> {
    let ethernet = Ethernet::parse(frame).expect("a frame");
    let packet = Ipv4::parse(ethernet.payload).expect("a packet");
    let pieces: Vec<&[u8]> = packet.payload.chunks(room).collect();
    let count = pieces.len();
    let piece = |(n, payload): (usize, &&[u8])| {
        let offset = u16::try_from(n * room / 8).expect("small");
        let more = if n + 1 == count { 0 } else { 0x2000 };
        piece_at(frame, offset, more, payload)
    };
    pieces.iter().enumerate().map(piece).collect()
}

fn piece_at(frame: &[u8], offset: u16, more: u16, payload: &[u8]) -> Vec<u8> {
    let ethernet = Ethernet::parse(frame).expect("a frame");
    let packet = Ipv4::parse(ethernet.payload).expect("a packet");
    let packet = Ipv4 {
        fragment: offset | more,
        payload,
        ..packet
    };
    Ethernet {
        payload: &packet.emit(),
        ..ethernet
    }
    .emit()
}

/// The packet that these fragments make, as one frame.
fn join(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![0; 65_536];
    let mut len = 0;
    for frame in pieces {
        let packet = Ipv4::parse(&frame[14..]).expect("a packet");
        let at = usize::from(packet.fragment & 0x1fff) * 8;
        payload[at..at + packet.payload.len()].copy_from_slice(packet.payload);
        len = len.max(at + packet.payload.len());
    }
    let packet = Ipv4::parse(&pieces[0][14..]).expect("a packet");
    let packet = Ipv4 {
        fragment: 0,
        payload: &payload[..len],
        ..packet
    };
    Ethernet {
        destination: Mac::ROUTER,
        source: Mac::ROUTER,
        ethertype: proto::ETHERTYPE_IPV4,
        payload: &packet.emit(),
    }
    .emit()
}

fn datagram(host: &Host, from: &str, source: (&str, u16), to: (&str, u16), len: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..=250u8).cycle().take(len).collect();
    udp(host.mac(from), source, to, &data)
}

fn expire(host: &mut Host) -> Vec<DropReason> {
    host.now_ns += 2 * SECOND;
    let mut effects = Effects::default();
    host.core.sweep(host.now_ns, &[], &mut effects);
    let gone = host.settle(Outcome::Consumed, effects).drops;
    gone.iter().map(|drop| drop.reason).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// In any order, translated by an internet gateway: what arrives is the datagram that the rules allowed.
    #[test]
    fn in_any_order_they_are_the_datagram(
        len in 100usize..4000,
        room in (1usize..20).prop_map(|n| n * 64),
        order in any::<u64>(),
    ) {
        let mut host = Host::new();
        let whole = datagram(&host, "web", ("10.0.1.4", 5000), (HOST, 53), len);
        let mut pieces = cut(&whole, room);
        let count = pieces.len();
        let mut dice = order;
        for n in (1..count).rev() {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            pieces.swap(n, (dice >> 33) as usize % (n + 1));
        }
        let mut arrived = Vec::new();
        for piece in &pieces {
            let sent = host.up("web", piece);
            prop_assert!(matches!(sent.outcome, Outcome::Forwarded | Outcome::Held));
            for (output, frame) in sent.emitted {
                prop_assert_eq!(output, Output::Transmit(UPLINK));
                prop_assert!(checksum::hold(&frame));
                arrived.push(frame);
            }
        }
        prop_assert_eq!(arrived.len(), count);
        let joined = join(&arrived);
        prop_assert!(checksum::hold(&joined));
        let seen = tuple(&joined);
        prop_assert_eq!((seen.source, seen.source_port), (ip("203.0.113.5"), 5000));
        prop_assert_eq!(&joined[42..], &whole[42..]);
        prop_assert_eq!(host.core.stats().held, 0);
    }

    /// Whatever comes, in whatever order: nothing panics, everything is counted, and nothing waits for ever.
    #[test]
    fn anything_has_an_outcome(frames in proptest::collection::vec((any::<bool>(), 0u16..12, any::<bool>(), 0usize..40, 0u8..3), 1..80)) {
        let mut host = Host::new();
        for (first, offset, more, len, id) in frames {
            let frame = datagram(&host, "web", ("10.0.1.4", 5000), (HOST, 53), 64);
            let payload = frame[34..34 + len].to_vec();
            let offset = if first { 0 } else { offset };
            let mut piece = piece_at(&frame, offset, if more { 0x2000 } else { 0 }, &payload);
            piece[19] = id;
            host.up("web", &piece);
        }
        expire(&mut host);
        prop_assert_eq!(host.core.stats().held, 0);
    }
}

#[test]
fn echoes_in_fragments_come_back() {
    let mut host = Host::new();
    let request = icmp(
        host.mac("web"),
        "10.0.1.4",
        "203.0.113.6",
        8,
        [0, 7, 0, 1],
        &[9; 3000],
    );
    let mut arrived = Vec::new();
    for piece in cut(&request, 1480) {
        let sent = host.up("web", &piece);
        assert_eq!(sent.frame().0, Output::Deliver(host.port("web2")));
        arrived.push(sent.frame().1.to_vec());
    }
    assert!(checksum::hold(&join(&arrived)));
    // The answer belongs to the session, whose every fragment goes back by it.
    let reply = icmp(
        host.mac("web2"),
        "10.0.1.5",
        "203.0.113.5",
        0,
        [0, 7, 0, 1],
        &[9; 3000],
    );
    let mut back = Vec::new();
    for piece in cut(&reply, 1480) {
        let sent = host.up("web2", &piece);
        assert_eq!(sent.frame().0, Output::Deliver(host.port("web")));
        assert!(sent.installed.is_empty());
        back.push(sent.frame().1.to_vec());
    }
    let whole = join(&back);
    assert!(checksum::hold(&whole));
    assert_eq!(tuple(&whole).source, ip("203.0.113.6"));
}

#[test]
fn what_the_first_one_may_not_the_others_may_not() {
    let mut host = Host::new();
    let whole = datagram(&host, "evil", ("10.0.1.9", 1), ("10.0.1.77", 2), 600);
    let mut pieces = cut(&whole, 296);
    for piece in &pieces {
        let sent = host.up("evil", piece);
        assert_eq!(sent.dropped(), DropReason::NoSuchAddress);
    }
    // Also if they come before it.
    pieces.reverse();
    for piece in &mut pieces {
        piece[19] = 9;
    }
    assert_eq!(host.up("evil", &pieces[0]).outcome, Outcome::Held);
    assert_eq!(host.up("evil", &pieces[1]).outcome, Outcome::Held);
    let sent = host.up("evil", &pieces[2]);
    assert_eq!(sent.outcome, Outcome::Dropped(DropReason::NoSuchAddress));
    assert_eq!((sent.drops.len(), sent.emitted.len()), (3, 0));
}

#[test]
fn tiny_and_overlapping_fragments_end_their_datagram() {
    let mut host = Host::new();
    let syn = tcp(
        host.mac("web"),
        ("10.0.1.4", 7),
        (HOST, 80),
        TCP_SYN,
        &[5; 64],
    );
    let payload = syn[34..].to_vec();
    // RFC 1858 section 3.1: the flags are not in the first one.
    for len in [8, 16] {
        let tiny = piece_at(&syn, 0, 0x2000, &payload[..len]);
        assert_eq!(host.up("web", &tiny).dropped(), DropReason::Fragment);
        let rest = piece_at(&syn, 3, 0, &payload[24..]);
        assert_eq!(host.up("web", &rest).dropped(), DropReason::Fragment);
    }
    let other = |id: u8, mut piece: Vec<u8>| {
        piece[19] = id;
        // The header checksum is nobody's business here.
        piece
    };
    // RFC 1858 section 3.2: one that would overwrite the flags, after and before the first one.
    let first = other(2, piece_at(&syn, 0, 0x2000, &payload[..40]));
    let overlapping = other(2, piece_at(&syn, 1, 0x2000, &payload[8..24]));
    let rest = other(2, piece_at(&syn, 5, 0, &payload[40..]));
    assert_eq!(host.up("web", &first).outcome, Outcome::Forwarded);
    assert_eq!(host.up("web", &overlapping).dropped(), DropReason::Fragment);
    assert_eq!(host.up("web", &rest).dropped(), DropReason::Fragment);
    assert_eq!(host.up("web", &first).dropped(), DropReason::Fragment);
    let (first, overlapping) = (other(3, first), other(3, overlapping));
    assert_eq!(host.up("web", &overlapping).outcome, Outcome::Held);
    let sent = host.up("web", &first);
    assert_eq!((sent.outcome, sent.drops.len()), (Outcome::Forwarded, 1));
    let rest = other(3, rest);
    assert_eq!(host.up("web", &rest).dropped(), DropReason::Fragment);
    // A second first one with other ports.
    let first = other(4, first);
    let mut second = first.clone();
    second[35] ^= 1;
    assert_eq!(host.up("web", &first).outcome, Outcome::Forwarded);
    assert_eq!(host.up("web", &first).outcome, Outcome::Forwarded);
    assert_eq!(host.up("web", &second).dropped(), DropReason::Fragment);
    // Behind the end of the largest datagram, and not at an eighth.
    let late = other(5, piece_at(&syn, 0x1fff, 0, &payload));
    assert_eq!(host.up("web", &late).dropped(), DropReason::Fragment);
    let odd = other(6, piece_at(&syn, 0, 0x2000, &payload[..33]));
    assert_eq!(host.up("web", &odd).dropped(), DropReason::Fragment);
}

#[test]
fn what_waits_is_bounded_and_counted() {
    let mut host = Host::new();
    let whole = datagram(&host, "web", ("10.0.1.4", 1), (HOST, 53), 3000);
    let later = piece_at(&whole, 10, 0x2000, &whole[114..114 + 1400]);
    let mut held = 0;
    for id in 0..=255u8 {
        let mut piece = later.clone();
        piece[19] = id;
        let sent = host.up("web", &piece);
        if sent.outcome == Outcome::Held {
            held += 1;
        } else {
            assert_eq!(sent.dropped(), DropReason::FragmentLost);
        }
    }
    assert_eq!(held, 64);
    assert_eq!(host.core.stats().held, 64);
    // Another port has its own room.
    let mut other = later.clone();
    other[6..12].copy_from_slice(&host.mac("web2").0);
    assert_eq!(host.up("web2", &other).outcome, Outcome::Held);
    // After a second they are given up, and there is room again.
    assert_eq!(expire(&mut host), vec![DropReason::FragmentLost; 65]);
    assert_eq!(host.up("web", &later).outcome, Outcome::Held);
    // Known datagrams: the oldest make room.
    for id in 0..2000u16 {
        let mut piece = piece_at(&whole, 0, 0x2000, &whole[34..34 + 104]);
        piece[18..20].copy_from_slice(&(id + 1000).to_be_bytes());
        assert_eq!(host.up("web", &piece).outcome, Outcome::Forwarded);
        host.now_ns += 1;
    }
    let mut follow = |id: u16| {
        let mut piece = piece_at(&whole, 13, 0, &whole[138..]);
        piece[18..20].copy_from_slice(&(id + 1000).to_be_bytes());
        host.up("web", &piece).outcome
    };
    assert_eq!(follow(1999), Outcome::Forwarded);
    assert_eq!(follow(1488), Outcome::Forwarded);
    assert_eq!(follow(1487), Outcome::Held);
    // A port that goes takes with it what waits there.
    let mut effects = Effects::default();
    let port = host.port("web");
    host.core.detach(port, &mut effects);
    host.settle(Outcome::Consumed, effects);
    assert_eq!(host.core.stats().held, 0);
}
