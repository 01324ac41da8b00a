//! What the router answers by IPv6: neighbour discovery, router solicitations and DHCPv6.

mod common;

use std::net::Ipv6Addr;

use common::*;
use dhcproto::v6::{
    DhcpOption, IAAddr, IANA, IAPD, Message, MessageType, OptionCode, Status, StatusCode,
};
use dhcproto::{Decodable, Decoder, Encodable};
use fastpath_core::abi::Output;
use packet::ndp::{HOP_LIMIT, Neighbor, RouterAdvertisement};
use packet::{Ethernet, Icmp, Ipv6, Udp};
use proptest::prelude::*;
use slowpath::{Effects, Outcome};
use topology::{Change, Object};
use types::{DropReason, Mac, proto};

const WORLD6: &str = "
    uplink 203.0.113.0/24 host 203.0.113.1 ipv6 2001:db8::/32 host 2001:db8::1
    vpc a account 111111111111 cidr 10.0.0.0/16 cidr 2001:db8:a::/56
      group all
        in all from ::/0
        out all to ::/0
      subnet s 10.0.0.0/24 ipv6 2001:db8:a:1::/64
      interface one subnet s address 10.0.0.4,2001:db8:a:1::4,2001:db8:a:1::44 groups all
      interface two subnet s address 10.0.0.5,2001:db8:a:1::5 groups all
      interface old subnet s address 10.0.0.9 groups all
";
const ROUTER: &str = "fe80::70:64ff:fe00:1";
const LOCAL: &str = "fe80::4:5:6:7";
const ONE: &str = "2001:db8:a:1::4";
const MINUTE: u64 = 60 * SECOND;

fn host() -> Host {
    Host::with(WORLD6, &[("one", 11), ("two", 12), ("old", 13)], config())
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

/// The group of everybody whose address ends like this one (RFC 4291 section 2.7.1).
fn solicited_node(target: &str) -> String {
    let [.., a, b, c] = v6(target).octets();
    format!("ff02::1:ff{a:02x}:{b:02x}{c:02x}")
}

fn group_mac(destination: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = destination.octets();
    if destination.is_multicast() {
        Mac([0x33, 0x33, a, b, c, d])
    } else {
        Mac::ROUTER
    }
}

fn frame6(mac: Mac, ends: (&str, &str), hop_limit: u8, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let packet = Ipv6 {
        class_and_label: 0,
        next_header,
        hop_limit,
        source: v6(ends.0),
        destination: v6(ends.1),
        payload,
    };
    Ethernet {
        destination: group_mac(v6(ends.1)),
        source: mac,
        ethertype: proto::ETHERTYPE_IPV6,
        payload: &packet.emit(),
    }
    .emit()
}

fn says(mac: Mac, source: &str, destination: &str, message: Neighbor) -> Vec<u8> {
    let bytes = message.emit(v6(source), v6(destination));
    frame6(mac, (source, destination), HOP_LIMIT, proto::ICMPV6, &bytes)
}

fn asks(mac: Mac, source: &str, target: &str) -> Vec<u8> {
    let told = (source != "::").then_some(mac);
    let message = Neighbor::Solicitation {
        target: v6(target),
        mac: told,
    };
    says(mac, source, &solicited_node(target), message)
}

/// The router's neighbour advertisement: to whom, and what.
fn answer(sent: &Result) -> (Mac, Ipv6Addr, Neighbor) {
    assert_eq!(sent.outcome, Outcome::Answered, "{sent:?}");
    let (_, frame) = sent.frame();
    let ethernet = Ethernet::parse(frame).expect("a frame");
    assert_eq!(ethernet.source, Mac::ROUTER);
    let ip = Ipv6::parse(ethernet.payload).expect("a packet");
    assert_eq!(ip.hop_limit, HOP_LIMIT);
    let icmp = Icmp::parse(ip.payload).expect("a message");
    let message = Neighbor::parse(&icmp).expect("sound").expect("known");
    (ethernet.destination, ip.destination, message)
}

#[test]
fn every_address_is_at_the_router() {
    let mut host = host();
    let one = host.mac("one");
    for (source, target) in [
        (ONE, "2001:db8:a:1::5"),
        (ONE, "2001:db8:a:1::77"),
        (LOCAL, ROUTER),
        ("2001:db8:a:1::44", "2001:db8:a:1::1"),
        (LOCAL, "fe80::99"),
    ] {
        let sent = host.up("one", &asks(one, source, target));
        assert_eq!(sent.frame().0, Output::Deliver(11));
        let (mac, to, message) = answer(&sent);
        assert_eq!((mac, to), (one, v6(source)), "{target}");
        let here = Neighbor::Advertisement {
            router: target == ROUTER,
            solicited: true,
            replaces: true,
            target: v6(target),
            mac: Some(Mac::ROUTER),
        };
        assert_eq!(message, here);
    }
    // A cached entry is verified by unicast.
    let message = Neighbor::Solicitation {
        target: v6(ROUTER),
        mac: None,
    };
    let sent = host.up("one", &says(one, ONE, ROUTER, message));
    assert_eq!(sent.outcome, Outcome::Answered);
    assert_eq!(host.core.stats().sessions, 0);
}

#[test]
fn duplicate_address_detection_finds_others_and_not_oneself() {
    let mut host = host();
    let one = host.mac("one");
    for own in [ONE, "2001:db8:a:1::44", LOCAL] {
        let sent = host.up("one", &asks(one, "::", own));
        assert_eq!(sent.outcome, Outcome::Consumed, "{own}");
        assert!(sent.emitted.is_empty());
    }
    for taken in ["2001:db8:a:1::5", "2001:db8:a:1::99", ROUTER] {
        let sent = host.up("one", &asks(one, "::", taken));
        let (mac, to, message) = answer(&sent);
        assert_eq!((mac, to), (Mac([0x33, 0x33, 0, 0, 0, 1]), v6("ff02::1")));
        let Neighbor::Advertisement {
            solicited, target, ..
        } = message
        else {
            panic!("{message:?}");
        };
        assert_eq!((solicited, target), (false, v6(taken)));
    }
    // To say that one has one's own address needs nobody's permission.
    let mine = Neighbor::Advertisement {
        router: false,
        solicited: false,
        replaces: true,
        target: v6(ONE),
        mac: Some(one),
    };
    let sent = host.up("one", &says(one, ONE, ROUTER, mine));
    assert_eq!(sent.outcome, Outcome::Consumed);
}

#[test]
fn forged_messages() {
    let mut host = host();
    let (one, two) = (host.mac("one"), host.mac("two"));
    let solicit = |target: &str, mac| Neighbor::Solicitation {
        target: v6(target),
        mac,
    };
    let claim = |target: &str, router, mac| Neighbor::Advertisement {
        router,
        solicited: true,
        replaces: true,
        target: v6(target),
        mac: Some(mac),
    };
    for forged in [
        says(one, "2001:db8:a:1::5", ROUTER, solicit(ROUTER, Some(one))),
        says(one, ROUTER, ROUTER, solicit(ONE, Some(one))),
        says(one, ONE, ROUTER, solicit(ROUTER, Some(two))),
        says(
            one,
            "::",
            "ff02::1:ff00:5",
            solicit("2001:db8:a:1::5", Some(one)),
        ),
        says(one, ONE, ROUTER, claim("2001:db8:a:1::5", false, one)),
        says(one, ONE, ROUTER, claim(ROUTER, true, one)),
        says(one, ONE, ROUTER, claim(ONE, true, one)),
        says(one, ONE, ROUTER, claim(ONE, false, two)),
        says(
            one,
            LOCAL,
            "ff02::2",
            Neighbor::RouterSolicitation { mac: Some(two) },
        ),
    ] {
        let sent = host.up("one", &forged);
        assert_eq!(sent.dropped(), DropReason::ForgedNeighbor, "{forged:02x?}");
    }
    // A guest that plays router reaches nobody.
    let router = RouterAdvertisement {
        hop_limit: 64,
        managed: false,
        lifetime: 1800,
        mac: one,
        mtu: 1500,
        on_link: None,
    };
    let bytes = router.emit(v6(LOCAL), v6(ROUTER));
    let unicast = frame6(one, (LOCAL, ROUTER), HOP_LIMIT, proto::ICMPV6, &bytes);
    let sent = host.up("one", &unicast);
    assert_eq!(sent.dropped(), DropReason::ForgedNeighbor);
    let bytes = router.emit(v6(LOCAL), v6("ff02::1"));
    let all = frame6(one, (LOCAL, "ff02::1"), HOP_LIMIT, proto::ICMPV6, &bytes);
    let sent = host.up("one", &all);
    assert_eq!(sent.dropped(), DropReason::BroadcastOrMulticast);
    // From further away than the link, with a wrong checksum, for a group, with an option without a length.
    let mut far = asks(one, ONE, ROUTER);
    far[21] = 64;
    let mut wrong = asks(one, ONE, ROUTER);
    wrong[56] ^= 1;
    let group = says(one, ONE, ROUTER, solicit("ff02::1", None));
    let mut bytes = solicit(ROUTER, Some(one)).emit(v6(ONE), v6(ROUTER));
    bytes[25] = 0;
    let icmp = Icmp::parse(&bytes).expect("a message");
    let endless = icmp.emit(ip(ONE), ip(ROUTER));
    let endless = frame6(one, (ONE, ROUTER), HOP_LIMIT, proto::ICMPV6, &endless);
    for malformed in [far, wrong, group, endless] {
        let sent = host.up("one", &malformed);
        assert_eq!(sent.dropped(), DropReason::MalformedFrame);
    }
}

#[test]
fn only_who_has_ipv6_hears_of_the_router() {
    let mut host = host();
    let (one, old) = (host.mac("one"), host.mac("old"));
    let solicit = Neighbor::RouterSolicitation { mac: Some(one) };
    let sent = host.up("one", &says(one, LOCAL, "ff02::2", solicit));
    let (output, frame) = sent.frame();
    assert_eq!(output, Output::Deliver(11));
    assert_eq!(macs(frame), (one, Mac::ROUTER));
    // RFC 4861 section 4.2, field by field.
    let [a, b, c, d, e, f] = Mac::ROUTER.0;
    let mut wanted = vec![64, 0x80, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0, 0];
    wanted.extend([1, 1, a, b, c, d, e, f]);
    wanted.extend([5, 1, 0, 0, 0, 0, 0x05, 0xdc]);
    wanted.extend([
        3, 4, 64, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
    ]);
    wanted.extend(v6("2001:db8:a:1::").octets());
    assert_eq!((frame[54], frame[55]), (134, 0));
    assert_eq!(frame[58..], wanted);
    let sent = host.up(
        "one",
        &says(
            one,
            "::",
            "ff02::2",
            Neighbor::RouterSolicitation { mac: None },
        ),
    );
    assert_eq!(macs(sent.frame().1).0, Mac([0x33, 0x33, 0, 0, 0, 1]));

    let solicit = Neighbor::RouterSolicitation { mac: Some(old) };
    let sent = host.up("old", &says(old, LOCAL, "ff02::2", solicit));
    assert_eq!(sent.dropped(), DropReason::Ipv6NotAssigned);
    let sent = host.up("old", &asks(old, LOCAL, ROUTER));
    assert_eq!(sent.dropped(), DropReason::Ipv6NotAssigned);

    // As soon as it gets an address, it hears unasked.
    let Object::Interface(mut interface) = host.object("eni old") else {
        panic!("an interface");
    };
    interface.addresses.push(ip("2001:db8:a:1::9"));
    let sent = host.change(&[Change::Put(Object::Interface(interface.clone()))]);
    assert_eq!(sent.frame().0, Output::Deliver(13));
    let sent = host.up("old", &asks(old, LOCAL, ROUTER));
    assert_eq!(sent.outcome, Outcome::Answered);
    interface.addresses.push(ip("2001:db8:a:1::10"));
    let sent = host.change(&[Change::Put(Object::Interface(interface))]);
    assert!(sent.emitted.is_empty(), "it knows already");
}

#[test]
fn the_router_tells_of_itself_every_ten_minutes() {
    let mut host = host();
    let mut ports = |now_ns, budget| {
        let mut effects = Effects::default();
        host.core.advertise(now_ns, budget, &mut effects);
        let sent = host.settle(Outcome::Consumed, effects).emitted;
        sent.into_iter()
            .map(|(output, _)| output)
            .collect::<Vec<_>>()
    };
    // Port 13 has no IPv6 address, but its turn.
    assert_eq!(ports(SECOND, 1), [Output::Deliver(11)]);
    assert_eq!(ports(SECOND, 1), [Output::Deliver(12)]);
    assert_eq!(ports(SECOND, 1), []);
    assert_eq!(ports(SECOND, 1), []);
    assert_eq!(ports(9 * MINUTE, 9), []);
    let both = [Output::Deliver(11), Output::Deliver(12)];
    assert_eq!(ports(11 * MINUTE, 9), both);
    assert_eq!(ports(12 * MINUTE, 9), []);
    assert_eq!(ports(22 * MINUTE, 9), both);
}

#[test]
fn the_host_finds_the_pool() {
    let mut host = host();
    for target in [ONE, "2001:db8:ffff::1"] {
        let sent = host.up("uplink", &asks(HOST_MAC, "2001:db8::1", target));
        assert_eq!(sent.frame().0, Output::Transmit(UPLINK));
        let (mac, to, _) = answer(&sent);
        assert_eq!((mac, to), (HOST_MAC, v6("2001:db8::1")));
    }
    for frame in [
        asks(HOST_MAC, "2001:db8::1", "2001:db8::1"),
        asks(HOST_MAC, "2001:db8::1", "2620:fe::9"),
        asks(HOST_MAC, "::", ONE),
        says(
            HOST_MAC,
            LOCAL,
            "ff02::2",
            Neighbor::RouterSolicitation { mac: None },
        ),
    ] {
        let sent = host.up("uplink", &frame);
        assert_eq!(sent.outcome, Outcome::Consumed);
        assert!(sent.emitted.is_empty());
    }
}

const XID: [u8; 3] = [1, 2, 3];
const DUID: [u8; 10] = [0, 3, 0, 1, 6, 0, 0, 0, 0, 1];

/// A client's message of another implementation.
fn client(kind: MessageType, options: Vec<DhcpOption>) -> Message {
    let mut message = Message::new_with_id(kind, XID);
    message
        .opts_mut()
        .insert(DhcpOption::ClientId(DUID.to_vec()));
    for option in options {
        message.opts_mut().insert(option);
    }
    message
}

fn iana(id: u32, addresses: &[&str]) -> DhcpOption {
    let addresses = addresses.iter().map(|address| {
        DhcpOption::IAAddr(IAAddr {
            addr: v6(address),
            preferred_life: 0,
            valid_life: 0,
            opts: std::iter::empty().collect(),
        })
    });
    DhcpOption::IANA(IANA {
        id,
        t1: 0,
        t2: 0,
        opts: addresses.collect(),
    })
}

fn datagram(mac: Mac, source: &str, payload: &[u8]) -> Vec<u8> {
    let udp = Udp {
        source_port: 546,
        destination_port: 547,
        payload,
    };
    let to = "ff02::1:2";
    let bytes = udp.emit(ip(source), ip(to));
    frame6(mac, (source, to), 1, proto::UDP, &bytes)
}

fn send(host: &mut Host, message: &Message) -> Result {
    let bytes = message.to_vec().expect("a message");
    let one = host.mac("one");
    host.up("one", &datagram(one, LOCAL, &bytes))
}

/// The server's message as the other implementation reads it.
fn reply(sent: &Result) -> Message {
    assert_eq!(sent.outcome, Outcome::Answered, "{sent:?}");
    let (output, frame) = sent.frame();
    assert_eq!(output, Output::Deliver(11));
    let ethernet = Ethernet::parse(frame).expect("a frame");
    let ip = Ipv6::parse(ethernet.payload).expect("a packet");
    assert_eq!((ip.source, ip.destination), (v6(ROUTER), v6(LOCAL)));
    let udp = Udp::parse(ip.payload).expect("a datagram");
    assert_eq!((udp.source_port, udp.destination_port), (547, 546));
    let message = Message::decode(&mut Decoder::new(udp.payload)).expect("a message");
    assert_eq!(message.xid(), XID);
    let server = DhcpOption::ServerId(server());
    assert_eq!(message.opts().get(OptionCode::ServerId), Some(&server));
    message
}

fn server() -> Vec<u8> {
    let mut duid = vec![0, 3, 0, 1];
    duid.extend(Mac::ROUTER.0);
    duid
}

/// The addresses of an association, with their preferred times.
fn addresses(message: &Message, id: u32) -> Vec<(Ipv6Addr, u32)> {
    let all = message.opts().get_all(OptionCode::IANA).unwrap_or_default();
    let found = all.iter().find_map(|option| {
        let DhcpOption::IANA(iana) = option else {
            return None;
        };
        (iana.id == id).then_some(iana)
    });
    let found = found.expect("the association").opts.iter();
    found
        .filter_map(|option| {
            let DhcpOption::IAAddr(address) = option else {
                return None;
            };
            Some((address.addr, address.preferred_life))
        })
        .collect()
}

fn status(options: &dhcproto::v6::DhcpOptions) -> Option<Status> {
    match options.get(OptionCode::StatusCode) {
        Some(DhcpOption::StatusCode(StatusCode { status, .. })) => Some(*status),
        _ => None,
    }
}

#[test]
fn solicit_advertise_request_reply() {
    let mut host = host();
    let both = [(v6(ONE), 3600), (v6("2001:db8:a:1::44"), 3600)];
    let solicit = client(MessageType::Solicit, vec![iana(7, &[])]);
    let offer = reply(&send(&mut host, &solicit));
    assert_eq!(offer.msg_type(), MessageType::Advertise);
    assert_eq!(addresses(&offer, 7), both);

    let server = DhcpOption::ServerId(server());
    let request = client(MessageType::Request, vec![iana(7, &[ONE]), server.clone()]);
    let leased = reply(&send(&mut host, &request));
    assert_eq!(leased.msg_type(), MessageType::Reply);
    assert_eq!(addresses(&leased, 7), both);
    let resolver = DhcpOption::DomainNameServers(vec![v6("fd00:ec2::253")]);
    let options = leased.opts();
    assert_eq!(options.get(OptionCode::DomainNameServers), Some(&resolver));
    let Some(DhcpOption::DomainSearchList(names)) = options.get(OptionCode::DomainSearchList)
    else {
        panic!("{leased:?}");
    };
    assert_eq!(
        names[0].to_ascii().trim_end_matches('.'),
        "compute.internal"
    );
    let own = DhcpOption::ClientId(DUID.to_vec());
    assert_eq!(options.get(OptionCode::ClientId), Some(&own));

    let renew = client(
        MessageType::Renew,
        vec![iana(7, &[ONE, "2001:db8:a:1::5"]), server],
    );
    let renewed = reply(&send(&mut host, &renew));
    let lost = (v6("2001:db8:a:1::5"), 0);
    assert_eq!(addresses(&renewed, 7), [both[0], both[1], lost]);
    let rebind = client(MessageType::Rebind, vec![iana(7, &[ONE])]);
    assert_eq!(addresses(&reply(&send(&mut host, &rebind)), 7), both);
    assert_eq!(
        host.core.stats().sessions,
        0,
        "no message of these is a flow"
    );
}

#[test]
fn two_messages_and_what_there_is_only_once() {
    let mut host = host();
    let prefix = DhcpOption::IAPD(IAPD {
        id: 9,
        t1: 0,
        t2: 0,
        opts: std::iter::empty().collect(),
    });
    // The last of a kind that is put in stands first.
    let wishes = vec![iana(8, &[]), iana(7, &[]), prefix, DhcpOption::RapidCommit];
    let leased = reply(&send(&mut host, &client(MessageType::Solicit, wishes)));
    assert_eq!(leased.msg_type(), MessageType::Reply);
    assert!(leased.opts().get(OptionCode::RapidCommit).is_some());
    assert_eq!(addresses(&leased, 7).len(), 2);
    assert!(addresses(&leased, 8).is_empty());
    let Some(DhcpOption::IAPD(prefixes)) = leased.opts().get(OptionCode::IAPD) else {
        panic!("{leased:?}");
    };
    assert_eq!(status(&prefixes.opts), Some(Status::NoPrefixAvail));
}

#[test]
fn what_needs_no_address() {
    let mut host = host();
    for (had, wanted) in [
        (&[ONE][..], Status::Success),
        (&[ONE, "2001:db8:b::4"], Status::NotOnLink),
        (&[], Status::NoBinding),
    ] {
        let confirm = client(MessageType::Confirm, vec![iana(7, had)]);
        let said = reply(&send(&mut host, &confirm));
        assert_eq!(status(said.opts()), Some(wanted), "{had:?}");
    }
    for kind in [MessageType::Release, MessageType::Decline] {
        let ours = client(kind, vec![iana(7, &[ONE]), DhcpOption::ServerId(server())]);
        let said = reply(&send(&mut host, &ours));
        assert_eq!(status(said.opts()), Some(Status::Success));
        let other = client(
            kind,
            vec![iana(7, &[ONE]), DhcpOption::ServerId(DUID.to_vec())],
        );
        assert_eq!(send(&mut host, &other).outcome, Outcome::Consumed);
    }
    let ask = Message::new_with_id(MessageType::InformationRequest, XID);
    let said = reply(&send(&mut host, &ask));
    assert!(said.opts().get(OptionCode::DomainNameServers).is_some());
    assert!(
        said.opts()
            .get(OptionCode::InformationRefreshTime)
            .is_some()
    );
    assert!(said.opts().get(OptionCode::IANA).is_none());
}

#[test]
fn invalid_dhcp() {
    let mut host = host();
    let (one, old) = (host.mac("one"), host.mac("old"));
    let ours = || DhcpOption::ServerId(server());
    for invalid in [
        Message::new_with_id(MessageType::Solicit, XID),
        client(MessageType::Solicit, vec![ours()]),
        client(MessageType::Request, vec![iana(7, &[])]),
        client(MessageType::Renew, vec![iana(7, &[])]),
        client(MessageType::Advertise, vec![ours()]),
        client(MessageType::Reply, vec![ours()]),
        client(MessageType::Unknown(77), vec![]),
    ] {
        let sent = send(&mut host, &invalid);
        assert_eq!(sent.dropped(), DropReason::InvalidDhcp, "{invalid:?}");
    }
    let mut endless = vec![1, 1, 2, 3, 0, 1, 0, 10];
    endless.extend(DUID);
    for _ in 0..64 {
        endless.extend([0, 14, 0, 0]);
    }
    let long = [&[1, 1, 2, 3, 0, 1, 0, 131][..], &[7; 131]].concat();
    for bytes in [&b""[..], b"\x01", b"\x01abc\0\x03\0\x01", &endless, &long] {
        let sent = host.up("one", &datagram(one, LOCAL, bytes));
        assert_eq!(sent.dropped(), DropReason::InvalidDhcp);
    }
    let solicit = client(MessageType::Solicit, vec![iana(7, &[])]);
    let solicit = solicit.to_vec().expect("a message");
    for source in ["2001:db8:a:1::5", ROUTER, "::"] {
        let sent = host.up("one", &datagram(one, source, &solicit));
        assert_eq!(sent.dropped(), DropReason::SpoofedAddress, "{source}");
    }
    let sent = host.up("old", &datagram(old, LOCAL, &solicit));
    assert_eq!(sent.dropped(), DropReason::Ipv6NotAssigned);
    // Somebody else's server is an address like any other.
    let udp = Udp {
        source_port: 546,
        destination_port: 547,
        payload: &solicit,
    };
    let to = "2001:db8:a:1::5";
    let bytes = udp.emit(ip(ONE), ip(to));
    let frame = frame6(one, (ONE, to), 64, proto::UDP, &bytes);
    assert_eq!(host.up("one", &frame).outcome, Outcome::Forwarded);
}

proptest! {
    /// Whatever a guest sends to the server: no panic, and an answer is one that another implementation reads, with
    /// nobody else's addresses, in a packet for every link.
    #[test]
    fn hostile_dhcp(
        kind in 0u8..14,
        options in prop::collection::vec(
            (prop::sample::select(vec![1u16, 2, 3, 4, 5, 6, 8, 13, 14, 25]), prop::collection::vec(any::<u8>(), 0..48)),
            0..12,
        ),
        cut in 0usize..400,
        honest in any::<bool>(),
    ) {
        let mut host = host();
        let one = host.mac("one");
        let mut bytes = vec![kind, 1, 2, 3];
        if honest {
            bytes.extend([0, 1, 0, 10]);
            bytes.extend(DUID);
        }
        for (code, value) in &options {
            bytes.extend(code.to_be_bytes());
            bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            bytes.extend(value);
        }
        bytes.truncate(cut.max(1));
        let sent = host.up("one", &datagram(one, LOCAL, &bytes));
        if sent.outcome == Outcome::Answered {
            prop_assert!(sent.frame().1.len() <= 14 + 1280);
            for option in reply(&sent).opts().iter() {
                let DhcpOption::IANA(iana) = option else { continue };
                for option in iana.opts.iter() {
                    let DhcpOption::IAAddr(address) = option else { continue };
                    let own = [v6(ONE), v6("2001:db8:a:1::44")].contains(&address.addr);
                    prop_assert!(own || address.valid_life == 0);
                }
            }
        } else {
            prop_assert!(sent.emitted.is_empty());
        }
    }

    /// Whatever a guest says of neighbours: no panic, and nobody but itself hears of it.
    #[test]
    fn hostile_neighbors(
        kind in 133u8..138,
        code in prop::sample::select(vec![0u8, 0, 0, 1]),
        rest in any::<[u8; 4]>(),
        source in prop::sample::select(vec!["::", LOCAL, ROUTER, ONE, "2001:db8:a:1::5"]),
        target in prop::option::of(prop::sample::select(vec![ONE, LOCAL, ROUTER, "2001:db8:a:1::5", "ff02::1"])),
        options in prop::collection::vec(any::<u8>(), 0..32),
    ) {
        let mut host = host();
        let one = host.mac("one");
        let mut payload = target.map(|target| v6(target).octets().to_vec()).unwrap_or_default();
        payload.extend(options);
        let message = Icmp { kind, code, rest, payload: &payload };
        let bytes = message.emit(ip(source), ip(ROUTER));
        let frame = frame6(one, (source, ROUTER), HOP_LIMIT, proto::ICMPV6, &bytes);
        let sent = host.up("one", &frame);
        for (output, frame) in &sent.emitted {
            prop_assert_eq!(*output, Output::Deliver(11));
            prop_assert_eq!(macs(frame).1, Mac::ROUTER);
        }
        prop_assert!(sent.installed.is_empty());
        prop_assert!(!matches!(sent.outcome, Outcome::Forwarded));
    }
}
