//! What holds for every packet: rewriting and parsing against slow, obvious counterparts.

use std::net::IpAddr;

use fastpath_core::abi::{
    self, ACTION_DELIVER, Action, FlowKey, REWRITE_DESTINATION, REWRITE_SOURCE, Session,
};
use fastpath_core::{
    Account, ChecksumState, Ip, Parsed, SliceFrame, Verdict, checksum, execute, parse_frame,
};
use proptest::prelude::*;
use types::{DropReason, FlowTuple, proto};

/// A packet to be built: family, addresses, protocol, ports and payload.
#[derive(Debug, Clone)]
struct Packet {
    tuple: FlowTuple,
    payload: Vec<u8>,
    tcp_flags: u8,
    /// Zero UDP checksum: none was computed.
    no_checksum: bool,
}

const ETHERNET: usize = 14;

impl Packet {
    fn v6(&self) -> bool {
        self.tuple.source.is_ipv6()
    }

    fn l4(&self) -> usize {
        ETHERNET + if self.v6() { 40 } else { 20 }
    }

    /// Where the upper layer's checksum is, if it has one that we know.
    fn checksum_at(&self) -> Option<usize> {
        let at = match self.tuple.protocol {
            proto::TCP => 16,
            proto::UDP => 6,
            proto::ICMP | proto::ICMPV6 => 2,
            _ => return None,
        };
        Some(self.l4() + at)
    }

    fn build(&self, state: ChecksumState) -> Vec<u8> {
        let mut upper = Vec::new();
        let ports = [
            self.tuple.source_port.to_be_bytes(),
            self.tuple.destination_port.to_be_bytes(),
        ]
        .concat();
        match self.tuple.protocol {
            proto::TCP => {
                upper.extend(ports);
                upper.extend([
                    0,
                    0,
                    0,
                    1,
                    0,
                    0,
                    0,
                    2,
                    0x50,
                    self.tcp_flags,
                    1,
                    0,
                    0,
                    0,
                    0,
                    0,
                ]);
            }
            proto::UDP => {
                upper.extend(ports);
                let len = u16::try_from(8 + self.payload.len()).expect("short");
                upper.extend(len.to_be_bytes());
                upper.extend([0, 0]);
            }
            proto::ICMP | proto::ICMPV6 => {
                let reply = self.tuple.destination_port != 0;
                let kind = match (self.v6(), reply) {
                    (false, false) => 8,
                    (false, true) => 0,
                    (true, false) => 128,
                    (true, true) => 129,
                };
                let identifier = self.tuple.source_port | self.tuple.destination_port;
                upper.extend([kind, 0, 0, 0]);
                upper.extend(identifier.to_be_bytes());
                upper.extend([0, 1]);
            }
            _ => {}
        }
        upper.extend(&self.payload);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let len = u16::try_from(upper.len()).expect("short");
        match (self.tuple.source, self.tuple.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend([8, 0, 0x45, 0]);
                frame.extend((20 + len).to_be_bytes());
                frame.extend([0, 7, 0x40, 0, 64, self.tuple.protocol, 0, 0]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
                let sum = !checksum::sum(0, &frame[14..34]);
                frame[24..26].copy_from_slice(&sum.to_ne_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(len.to_be_bytes());
                frame.extend([self.tuple.protocol, 64]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
            }
            _ => unreachable!("one family"),
        }
        frame.extend(&upper);
        if let Some(at) = self.checksum_at()
            && !self.no_checksum
        {
            let field = checksum_from_scratch(&frame, self, state);
            frame[at..at + 2].copy_from_slice(&field);
        }
        frame
    }
}

/// What the upper layer's checksum field must hold (RFC 793, RFC 768, RFC 8200 section 8.1).
fn checksum_from_scratch(frame: &[u8], packet: &Packet, state: ChecksumState) -> [u8; 2] {
    let (addresses, l4) = if packet.v6() {
        (&frame[22..54], 54)
    } else {
        (&frame[26..34], 34)
    };
    let mut pseudo = addresses.to_vec();
    let len = u16::try_from(frame.len() - l4).expect("short");
    pseudo.extend([0, 0]);
    pseudo.extend(len.to_be_bytes());
    pseudo.extend([0, packet.tuple.protocol]);
    let start = if packet.tuple.protocol == proto::ICMP {
        0
    } else {
        checksum::sum(0, &pseudo)
    };
    if state == ChecksumState::Partial {
        return start.to_ne_bytes();
    }
    let at = packet.checksum_at().expect("has one");
    let mut upper = frame[l4..].to_vec();
    upper[at - l4..at - l4 + 2].fill(0);
    match !checksum::sum(start, &upper) {
        0 if packet.tuple.protocol == proto::UDP => [0xff, 0xff],
        sum => sum.to_ne_bytes(),
    }
}

fn tuple(v6: bool, protocol: u8) -> impl Strategy<Value = FlowTuple> {
    let address = move || {
        any::<[u8; 16]>().prop_map(move |mut bytes| {
            if v6 {
                bytes[0] = 0x20;
                IpAddr::from(bytes)
            } else {
                // Neither multicast nor broadcast.
                IpAddr::from([bytes[0] % 224, bytes[1], bytes[2], bytes[3]])
            }
        })
    };
    (address(), address(), any::<u16>(), any::<u16>()).prop_map(
        move |(source, destination, s, d)| {
            let (source_port, destination_port) = match protocol {
                proto::TCP | proto::UDP => (s, d),
                // An identifier on one end; not zero, so that it says which.
                proto::ICMP | proto::ICMPV6 if s % 2 == 0 => (d | 1, 0),
                proto::ICMP | proto::ICMPV6 => (0, d | 1),
                _ => (0, 0),
            };
            FlowTuple {
                source,
                destination,
                protocol,
                source_port,
                destination_port,
            }
        },
    )
}

/// A packet, and another tuple of its family, protocol and, for ICMP, message.
fn packet_and_target() -> impl Strategy<Value = (Packet, FlowTuple)> {
    (any::<bool>(), 0..4usize)
        .prop_flat_map(|(v6, which)| {
            let icmp = if v6 { proto::ICMPV6 } else { proto::ICMP };
            let protocol = [proto::TCP, proto::UDP, icmp, 132][which];
            (
                tuple(v6, protocol),
                tuple(v6, protocol),
                proptest::collection::vec(any::<u8>(), 0..64),
                any::<u8>(),
                any::<bool>(),
            )
        })
        .prop_map(|(from, mut to, payload, tcp_flags, no_checksum)| {
            if from.protocol == proto::ICMP || from.protocol == proto::ICMPV6 {
                let identifier = to.source_port | to.destination_port;
                let request = from.source_port != 0;
                to.source_port = if request { identifier } else { 0 };
                to.destination_port = if request { 0 } else { identifier };
            }
            let no_checksum = no_checksum && from.protocol == proto::UDP && from.source.is_ipv4();
            let packet = Packet {
                tuple: from,
                payload,
                tcp_flags,
                no_checksum,
            };
            (packet, to)
        })
}

fn action(to: &FlowTuple, macs: [[u8; 6]; 2]) -> Action {
    Action {
        kind: ACTION_DELIVER,
        flags: REWRITE_SOURCE | REWRITE_DESTINATION,
        output: 9,
        destination_mac: macs[0],
        source_mac: macs[1],
        source: abi::address_bytes(to.source),
        destination: abi::address_bytes(to.destination),
        source_port: to.source_port.to_be_bytes(),
        destination_port: to.destination_port.to_be_bytes(),
        ..Action::default()
    }
}

fn ip(frame: &[u8]) -> Ip {
    match parse_frame(frame).expect("well formed") {
        Parsed::Ip(ip) => ip,
        Parsed::NotIp { .. } => unreachable!("IP was built"),
    }
}

/// The parser as one would write it who has never heard of a verifier.
fn obvious_parser(frame: &[u8]) -> Result<Option<FlowTuple>, DropReason> {
    const MALFORMED: Result<Option<FlowTuple>, DropReason> = Err(DropReason::MalformedFrame);
    let Some((ethernet, rest)) = frame.split_at_checked(14) else {
        return MALFORMED;
    };
    let (protocol, source, destination, upper) = match ethernet[12..] {
        [8, 0] => {
            if rest.len() < 20 || rest[0] >> 4 != 4 {
                return MALFORMED;
            }
            let header = usize::from(rest[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            if header < 20 || total < header || rest.len() < total {
                return MALFORMED;
            }
            if header > 20 {
                return Err(DropReason::IpOptions);
            }
            let fragment = u16::from_be_bytes([rest[6], rest[7]]) & 0x3fff != 0;
            let address = |at: usize| {
                IpAddr::from(<[u8; 4]>::try_from(&rest[at..at + 4]).expect("four bytes"))
            };
            if fragment {
                return portless(rest[9], address(12), address(16));
            }
            (rest[9], address(12), address(16), &rest[20..total])
        }
        [0x86, 0xdd] => {
            if rest.len() < 40 || rest[0] >> 4 != 6 {
                return MALFORMED;
            }
            let end = 40 + usize::from(u16::from_be_bytes([rest[4], rest[5]]));
            if rest.len() < end {
                return MALFORMED;
            }
            match rest[6] {
                0 | 43 | 51 | 60 | 135 | 139 | 140 | 253 | 254 => {
                    return Err(DropReason::Ipv6Extension);
                }
                _ => {}
            }
            let address = |at: usize| {
                std::net::Ipv6Addr::from(
                    <[u8; 16]>::try_from(&rest[at..at + 16]).expect("16 bytes"),
                )
            };
            let (source, destination) = (address(8), address(24));
            if source.to_ipv4_mapped().is_some() || destination.to_ipv4_mapped().is_some() {
                return MALFORMED;
            }
            if rest[6] == 44 {
                return if end < 48 {
                    MALFORMED
                } else {
                    portless(rest[40], source.into(), destination.into())
                };
            }
            (rest[6], source.into(), destination.into(), &rest[40..end])
        }
        _ => return Ok(None),
    };
    let word = |at: usize| u16::from_be_bytes([upper[at], upper[at + 1]]);
    let v6 = source.is_ipv6();
    let (source_port, destination_port) = match protocol {
        proto::TCP => {
            if upper.len() < 20 {
                return MALFORMED;
            }
            let offset = usize::from(upper[12] >> 4) * 4;
            if offset < 20 || offset > upper.len() {
                return MALFORMED;
            }
            (word(0), word(2))
        }
        proto::UDP => {
            if upper.len() < 8 || word(4) < 8 || usize::from(word(4)) > upper.len() {
                return MALFORMED;
            }
            (word(0), word(2))
        }
        proto::ICMP | proto::ICMPV6 if (protocol == proto::ICMPV6) == v6 => {
            if upper.len() < 8 {
                return MALFORMED;
            }
            match (upper[0], upper[1], v6) {
                (8, 0, false) | (128, 0, true) => (word(4), 0),
                (0, 0, false) | (129, 0, true) => (0, word(4)),
                _ => (0, 0),
            }
        }
        _ => (0, 0),
    };
    Ok(Some(FlowTuple {
        source,
        destination,
        protocol,
        source_port,
        destination_port,
    }))
}

/// A fragment.
fn portless(
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
) -> Result<Option<FlowTuple>, DropReason> {
    Ok(Some(FlowTuple {
        source,
        destination,
        protocol,
        source_port: 0,
        destination_port: 0,
    }))
}

/// Frames that are nearly right: a built packet with a few bytes overwritten, cut or extended.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let damage = proptest::collection::vec((0..80usize, any::<u8>()), 0..4);
    (packet_and_target(), damage, -30isize..30).prop_map(|((packet, _), damage, longer)| {
        let mut frame = packet.build(ChecksumState::Complete);
        for (at, byte) in damage {
            if let Some(old) = frame.get_mut(at) {
                *old = byte;
            }
        }
        let len = frame.len().saturating_add_signed(longer);
        frame.resize(len, 0);
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rewriting_gives_the_packet_that_would_have_been_built(
        (packet, to) in packet_and_target(),
        partial in any::<bool>(),
        macs in any::<[[u8; 6]; 2]>(),
    ) {
        let state = if partial && !packet.no_checksum && packet.tuple.protocol != proto::ICMP {
            ChecksumState::Partial
        } else {
            ChecksumState::Complete
        };
        let before = packet.build(state);
        // The field of a partial UDP checksum may be zero by chance, which says "none": no sender leaves that.
        let none = packet.checksum_at().is_some_and(|at| before[at..at + 2] == [0, 0]);
        prop_assume!(!none || packet.no_checksum || packet.tuple.protocol != proto::UDP);
        let mut frame = before.clone();
        let parsed = ip(&frame);
        let verdict = execute(&mut SliceFrame::new(&mut frame, state), &parsed, parsed.packet_len, &action(&to, macs));
        prop_assert_eq!(verdict, Ok(Verdict::Deliver(9)));

        let expected = Packet { tuple: to, ..packet.clone() };
        let mut built = expected.build(state);
        built[..6].copy_from_slice(&macs[0]);
        built[6..12].copy_from_slice(&macs[1]);
        if packet.tuple.protocol == proto::ICMP || packet.tuple.protocol == proto::ICMPV6 {
            // Zero and all ones are one number to a one's complement sum (RFC 1624 section 3).
            let at = packet.checksum_at().expect("has one");
            if built[at..at + 2] == [0, 0] || built[at..at + 2] == [0xff, 0xff] {
                return Ok(());
            }
        }
        prop_assert_eq!(&frame, &built);

        // And back.
        let parsed = ip(&frame);
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = before[..] else {
            unreachable!("longer")
        };
        let macs = [[d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]];
        let back = action(&packet.tuple, macs);
        execute(&mut SliceFrame::new(&mut frame, state), &parsed, parsed.packet_len, &back).expect("whole");
        prop_assert_eq!(frame, before);
    }

    #[test]
    fn parsing_agrees_with_the_obvious_parser(frame in nearly_right()) {
        let ours = parse_frame(&frame).map(|parsed| match parsed {
            Parsed::NotIp { .. } => None,
            Parsed::Ip(ip) => Some(ip.key(3).tuple()),
        });
        prop_assert_eq!(ours, obvious_parser(&frame));
    }

    #[test]
    fn parsing_anything_agrees_and_never_panics(
        mut frame in proptest::collection::vec(any::<u8>(), 0..120),
        ethertype in prop_oneof![Just([8u8, 0]), Just([0x86, 0xdd]), any::<[u8; 2]>()],
    ) {
        if let Some(at) = frame.get_mut(12..14) {
            at.copy_from_slice(&ethertype);
        }
        let ours = parse_frame(&frame).map(|parsed| match parsed {
            Parsed::NotIp { .. } => None,
            Parsed::Ip(ip) => Some(ip.key(3).tuple()),
        });
        prop_assert_eq!(ours, obvious_parser(&frame));
    }

    #[test]
    fn executing_on_a_cut_frame_is_an_error_not_a_panic((packet, to) in packet_and_target(), keep in 0..90usize) {
        let mut frame = packet.build(ChecksumState::Complete);
        let parsed = ip(&frame);
        frame.truncate(keep);
        let _ = execute(
            &mut SliceFrame::new(&mut frame, ChecksumState::Complete),
            &parsed,
            parsed.packet_len,
            &Action { hops: 1, ..action(&to, [[0; 6]; 2]) },
        );
    }

    #[test]
    fn routers_take_from_the_ttl_and_send_up_what_it_does_not_suffice_for(
        (packet, to) in packet_and_target(),
        ttl in any::<u8>(),
        hops in 0..70u8,
        rewrite in any::<bool>(),
    ) {
        let (at, header) = if packet.v6() { (21, None) } else { (22, Some(14..34)) };
        let mut before = packet.build(ChecksumState::Complete);
        before[at] = ttl;
        if let Some(header) = header.clone() {
            before[24..26].copy_from_slice(&[0, 0]);
            let sum = !checksum::sum(0, &before[header]);
            before[24..26].copy_from_slice(&sum.to_ne_bytes());
        }
        let action = if rewrite { action(&to, [[3; 6]; 2]) } else {
            Action { kind: ACTION_DELIVER, output: 9, ..Action::default() }
        };
        let action = Action { hops, mtu: 9000, ..action };
        let mut frame = before.clone();
        let parsed = ip(&frame);
        prop_assert_eq!(parsed.ttl, ttl);
        let mut slice = SliceFrame::new(&mut frame, ChecksumState::Complete);
        let verdict = execute(&mut slice, &parsed, parsed.packet_len, &action);
        if hops > 0 && ttl <= hops {
            prop_assert_eq!(verdict, Ok(Verdict::Slow));
            prop_assert_eq!(frame, before);
            return Ok(());
        }
        prop_assert_eq!(verdict, Ok(Verdict::Deliver(9)));
        prop_assert_eq!(frame[at], ttl - hops);
        if let Some(header) = header {
            prop_assert_eq!(checksum::sum(0, &frame[header]), 0xffff);
        }
    }

    #[test]
    fn what_is_too_big_or_announces_segments_goes_up((packet, _) in packet_and_target(), mtu in 1..200u16) {
        let before = packet.build(ChecksumState::Complete);
        let parsed = ip(&before);
        let mut frame = before.clone();
        let action = Action { kind: ACTION_DELIVER, output: 9, mtu, ..Action::default() };
        let verdict = execute(&mut SliceFrame::new(&mut frame, ChecksumState::Complete), &parsed, parsed.packet_len, &action);
        prop_assert_eq!(verdict == Ok(Verdict::Slow), parsed.packet_len > usize::from(mtu));
        let action = Action { mtu: 0, flags: abi::CLAMP_MSS, ..action };
        let mut frame = before.clone();
        let verdict = execute(&mut SliceFrame::new(&mut frame, ChecksumState::Complete), &parsed, 70_000, &action);
        prop_assert_eq!(verdict == Ok(Verdict::Slow), parsed.tcp_flags & abi::TCP_SYN != 0);
    }

    #[test]
    fn a_gso_packet_counts_as_its_segments((packet, _) in packet_and_target(), segments in 0..50u32) {
        let frame = packet.build(ChecksumState::Complete);
        let parsed = ip(&frame);
        let mut session = Session::default();
        Account::new(&parsed, 1, segments, 77).record(&mut session);
        let n = u64::from(segments.max(1));
        let headers = (frame.len() - packet.payload.len() - ETHERNET) as u64;
        let payload = packet.payload.len() as u64;
        prop_assert_eq!(session.packets, [0, n]);
        prop_assert_eq!(session.bytes, [0, n * headers + payload]);
        prop_assert_eq!(session.last_seen_ns, 77);
        let flags = if packet.tuple.protocol == proto::TCP { packet.tcp_flags } else { 0 };
        prop_assert_eq!((session.tcp_flags_seen(0), session.tcp_flags_seen(1)), (0, flags));
    }
}

#[test]
fn a_key_is_the_tuple_of_its_packet() {
    let tuple = FlowTuple {
        source: "10.0.0.4".parse().expect("address"),
        destination: "10.0.0.5".parse().expect("address"),
        protocol: proto::ICMP,
        source_port: 77,
        destination_port: 0,
    };
    let packet = Packet {
        tuple,
        payload: vec![1, 2, 3],
        tcp_flags: 0,
        no_checksum: false,
    };
    let parsed = ip(&packet.build(ChecksumState::Complete));
    assert_eq!(parsed.key(5), FlowKey::new(5, &tuple));
}
