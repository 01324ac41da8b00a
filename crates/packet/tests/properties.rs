//! Whatever is emitted can be read, and nothing that is read panics.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use packet::dhcp::Message;
use packet::{Arp, ArpOperation, Ethernet, Icmp, Ipv4, Ipv6, Tcp, Udp, checksum};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use types::Mac;

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 4]>().prop_map(Ipv4Addr::from)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<[u8; 16]>().prop_map(Ipv6Addr::from)
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..100)
}

fn options() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<[u8; 4]>(), 0..=10).prop_map(|words| words.concat())
}

/// The frame around an IPv4 payload.
fn frame4(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv4 {
        tos: 0,
        identification: 7,
        fragment: 0x4000,
        ttl: 64,
        protocol,
        source,
        destination,
        options: &[],
        payload,
    };
    Ethernet {
        destination: Mac::ROUTER,
        source: Mac::ROUTER,
        ethertype: types::proto::ETHERTYPE_IPV4,
        payload: &ip.emit(),
    }
    .emit()
}

proptest! {
    #[test]
    fn ethernet(destination in mac(), source in mac(), ethertype: u16, payload in data()) {
        let it = Ethernet { destination, source, ethertype, payload: &payload };
        let bytes = it.emit();
        prop_assert_eq!(Ethernet::parse(&bytes), Ok(it));
    }

    #[test]
    fn arp(operation in 0u16..5, sender_mac in mac(), sender in v4(), target_mac in mac(), target in v4(), padding in data()) {
        let operation = match operation {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            other => ArpOperation::Other(other),
        };
        let it = Arp { operation, sender_mac, sender, target_mac, target };
        let mut bytes = it.emit();
        bytes.extend(padding);
        prop_assert_eq!(Arp::parse(&bytes), Ok(it));
    }

    #[test]
    fn ipv4(tos: u8, identification: u16, fragment: u16, ttl: u8, protocol: u8, source in v4(), destination in v4(), options in options(), payload in data(), padding in data()) {
        let it = Ipv4 { tos, identification, fragment, ttl, protocol, source, destination, options: &options, payload: &payload };
        let mut bytes = it.emit();
        bytes.extend(padding);
        prop_assert_eq!(Ipv4::parse(&bytes), Ok(it));
    }

    #[test]
    fn ipv6(class_and_label in 0u32..1 << 28, next_header: u8, hop_limit: u8, source in v6(), destination in v6(), payload in data(), padding in data()) {
        let it = Ipv6 { class_and_label, next_header, hop_limit, source, destination, payload: &payload };
        let mut bytes = it.emit();
        bytes.extend(padding);
        prop_assert_eq!(Ipv6::parse(&bytes), Ok(it));
    }

    #[test]
    fn udp(source_port: u16, destination_port: u16, payload in data(), a in v4(), b in v4()) {
        let it = Udp { source_port, destination_port, payload: &payload };
        let bytes = it.emit(IpAddr::V4(a), IpAddr::V4(b));
        prop_assert_eq!(Udp::parse(&bytes), Ok(it));
        prop_assert!(checksum::hold(&frame4(17, a, b, &bytes)));
    }

    #[test]
    fn tcp(ports: (u16, u16), numbers: (u32, u32), flags: u8, window: u16, urgent: u16, options in options(), payload in data(), a in v4(), b in v4()) {
        let it = Tcp { source_port: ports.0, destination_port: ports.1, sequence: numbers.0, acknowledgment: numbers.1, flags, window, urgent, options: &options, payload: &payload };
        let bytes = it.emit(IpAddr::V4(a), IpAddr::V4(b));
        prop_assert_eq!(Tcp::parse(&bytes), Ok(it));
        let mut frame = frame4(6, a, b, &bytes);
        prop_assert!(checksum::hold(&frame));
        let last = frame.len() - 1;
        frame[last] ^= 0x10;
        prop_assert!(!checksum::hold(&frame));
    }

    #[test]
    fn icmp(kind: u8, code: u8, rest: [u8; 4], payload in data(), a in v4(), b in v4(), c in v6(), d in v6()) {
        let it = Icmp { kind, code, rest, payload: &payload };
        let bytes = it.emit(IpAddr::V4(a), IpAddr::V4(b));
        prop_assert_eq!(Icmp::parse(&bytes), Ok(it));
        prop_assert!(checksum::hold(&frame4(1, a, b, &bytes)));
        let bytes = it.emit(IpAddr::V6(c), IpAddr::V6(d));
        prop_assert_eq!(Icmp::parse(&bytes), Ok(it));
        let ip = Ipv6 { class_and_label: 0, next_header: 58, hop_limit: 64, source: c, destination: d, payload: &bytes }.emit();
        let frame = Ethernet { destination: Mac::ROUTER, source: Mac::ROUTER, ethertype: 0x86dd, payload: &ip }.emit();
        prop_assert!(checksum::hold(&frame));
    }

    #[test]
    fn dhcp(op: u8, hops: u8, xid: u32, secs: u16, flags: u16, addresses in (v4(), v4(), v4(), v4()), chaddr in mac(), options in btree_map(1u8..255, vec(any::<u8>(), 1..600), 0..5)) {
        let it = Message { op, hops, xid, secs, flags, ciaddr: addresses.0, yiaddr: addresses.1, siaddr: addresses.2, giaddr: addresses.3, chaddr, options };
        let bytes = it.emit();
        prop_assert!(bytes.len() >= 300);
        prop_assert_eq!(Message::parse(&bytes), Ok(it));
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..400)) {
        let _ = Ethernet::parse(&bytes);
        let _ = Arp::parse(&bytes);
        let _ = Ipv4::parse(&bytes);
        let _ = Ipv4::parse_quoted(&bytes);
        let _ = Ipv6::parse(&bytes);
        let _ = Udp::parse(&bytes);
        let _ = Tcp::parse(&bytes);
        let _ = Icmp::parse(&bytes);
        let _ = Message::parse(&bytes).map(|m| m.kind());
        let _ = checksum::hold(&bytes);
    }

    #[test]
    fn every_prefix_of_a_message_and_every_changed_byte(cut in 0usize..300, at in 0usize..300, to: u8) {
        let message = Message {
            op: 1, hops: 0, xid: 1, secs: 0, flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED, yiaddr: Ipv4Addr::UNSPECIFIED, siaddr: Ipv4Addr::UNSPECIFIED, giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: Mac::ROUTER, options: BTreeMap::from([(53, vec![1]), (55, vec![1, 3, 6])]),
        };
        let mut bytes = message.emit();
        bytes[at] = to;
        let _ = Message::parse(&bytes[..cut]);
        let _ = Message::parse(&bytes);
    }
}

#[test]
fn lengths_that_lie() {
    let mut ip = frame4(17, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, &[0; 8])[14..].to_vec();
    assert!(Ipv4::parse(&ip).is_ok());
    ip[3] = 29;
    assert!(Ipv4::parse(&ip).is_err(), "longer than the bytes");
    assert!(Ipv4::parse_quoted(&ip).is_ok());
    ip[3] = 19;
    assert!(Ipv4::parse(&ip).is_err(), "shorter than the header");
    ip[0] = 0x44;
    assert!(Ipv4::parse_quoted(&ip).is_err(), "header of four words");
    assert!(Udp::parse(&[0, 1, 0, 2, 0, 7, 0, 0]).is_err());
    assert!(Udp::parse(&[0, 1, 0, 2, 0, 9, 0, 0]).is_err());
    assert_eq!(
        Udp::parse(&[0, 1, 0, 2, 0, 8, 0, 0]).unwrap().payload,
        &[] as &[u8]
    );
}
