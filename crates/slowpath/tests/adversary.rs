//! What a hostile tenant sends, and what comes of it: nothing, under the right name.

mod common;

use common::*;
use fastpath_core::abi::{Output, TCP_SYN};
use packet::Ethernet;
use slowpath::Outcome;
use types::{DropReason, Mac, ObjectId};

fn refused(host: &mut Host, name: &str, frame: &[u8], reason: DropReason) {
    let before = host.core.stats().dropped.get(&reason).copied().unwrap_or(0);
    let sent = host.up(name, frame);
    assert_eq!(sent.dropped(), reason);
    let record = sent.drops[0];
    assert_eq!(record.at_ns, host.now_ns);
    if name != "uplink" {
        assert_eq!(record.port, host.port(name));
        assert_eq!(record.interface, Some(host.network.interface(name)));
    }
    assert_eq!(host.core.stats().dropped[&reason], before + 1);
}

#[test]
fn forged_sources() {
    let mut host = Host::new();
    let (evil, web) = (host.mac("evil"), host.mac("web"));
    let syn = |mac, source| tcp(mac, (source, 1), ("10.0.1.4", 80), TCP_SYN, b"");
    refused(
        &mut host,
        "evil",
        &syn(web, "10.0.1.9"),
        DropReason::SpoofedMac,
    );
    refused(
        &mut host,
        "evil",
        &syn(Mac::ROUTER, "10.0.1.9"),
        DropReason::SpoofedMac,
    );
    for source in [
        "10.0.1.5",
        "10.0.1.1",
        "203.0.113.1",
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        refused(
            &mut host,
            "evil",
            &syn(evil, source),
            DropReason::SpoofedAddress,
        );
    }
    // Without the source/destination check, addresses that no host has are refused all the same.
    let mbox = host.mac("mbox");
    for source in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        refused(
            &mut host,
            "mbox",
            &syn(mbox, source),
            DropReason::SpoofedAddress,
        );
    }
    // Nor does the outside get in under an address of the pool.
    let pool = tcp(
        HOST_MAC,
        ("203.0.113.6", 1),
        ("203.0.113.5", 80),
        TCP_SYN,
        b"",
    );
    refused(&mut host, "uplink", &pool, DropReason::SpoofedAddress);
}

#[test]
fn addresses_of_another_tenant() {
    let mut host = Host::new();
    let evil = host.mac("evil");
    // They have the same block: what evil means is in its own VPC, where nobody has the address.
    for target in ["10.0.1.4", "10.0.2.4", "10.0.3.4"] {
        let syn = tcp(evil, ("10.0.1.9", 1), (target, 80), TCP_SYN, b"");
        refused(&mut host, "evil", &syn, DropReason::NoSuchAddress);
    }
    // The other tenant's public address cannot be reached without one of its own.
    let public = tcp(evil, ("10.0.1.9", 1), ("203.0.113.5", 80), TCP_SYN, b"");
    refused(&mut host, "evil", &public, DropReason::NoPublicAddress);
    // A frame for another guest's MAC address goes nowhere, whatever the IP address.
    let mut direct = tcp(evil, ("10.0.1.9", 1), ("10.0.1.4", 80), TCP_SYN, b"");
    direct[..6].copy_from_slice(&host.mac("web").0);
    refused(&mut host, "evil", &direct, DropReason::ForeignMac);
}

#[test]
fn tunnels_to_the_host() {
    let mut host = Host::new();
    let evil = host.mac("evil");
    let inner = tcp(
        host.mac("db"),
        ("10.0.2.4", 1),
        ("10.0.1.4", 80),
        TCP_SYN,
        b"",
    );
    let mut vxlan = vec![8, 0, 0, 0, 0, 0, 1, 0];
    vxlan.extend(inner);
    for target in [HOST, "192.0.2.1"] {
        let frame = udp(evil, ("10.0.1.9", 4789), (target, 4789), &vxlan);
        refused(&mut host, "evil", &frame, DropReason::NoPublicAddress);
    }
    let frame = udp(host.mac("db"), ("10.0.2.4", 4789), (HOST, 4789), &vxlan);
    refused(&mut host, "db", &frame, DropReason::NoRoute);
    // With a public address, the host is all that there is.
    let web = host.mac("web");
    let frame = udp(web, ("10.0.1.4", 4789), ("192.0.2.1", 4789), &vxlan);
    refused(&mut host, "web", &frame, DropReason::UplinkClosed);
    // The outside tunnels to a public address: that is a datagram for its guest, whose rules refuse it.
    let frame = udp(HOST_MAC, (HOST, 4789), ("203.0.113.5", 4789), &vxlan);
    refused(
        &mut host,
        "uplink",
        &frame,
        DropReason::SecurityGroupIngress,
    );
}

#[test]
fn broadcasts_and_strange_frames() {
    let mut host = Host::new();
    let evil = host.mac("evil");
    let to = |destination: &str| udp(evil, ("10.0.1.9", 1), (destination, 1), b"");
    for destination in ["255.255.255.255", "224.0.0.251", "10.0.1.255"] {
        refused(
            &mut host,
            "evil",
            &to(destination),
            DropReason::BroadcastOrMulticast,
        );
    }
    let mut broadcast = to("10.0.1.4");
    broadcast[..6].copy_from_slice(&Mac::BROADCAST.0);
    refused(
        &mut host,
        "evil",
        &broadcast,
        DropReason::BroadcastOrMulticast,
    );
    for reserved in ["10.0.1.1", "10.0.1.2", "169.254.169.254"] {
        refused(&mut host, "evil", &to(reserved), DropReason::NotAService);
    }
    let other = |ethertype| {
        Ethernet {
            destination: Mac::ROUTER,
            source: evil,
            ethertype,
            payload: &[0; 46],
        }
        .emit()
    };
    for ethertype in [0x8100, 0x88a8, 0x88b5, 0x0027, 0x8847] {
        refused(
            &mut host,
            "evil",
            &other(ethertype),
            DropReason::UnsupportedEtherType,
        );
    }
    refused(
        &mut host,
        "evil",
        &other(0x0800),
        DropReason::MalformedFrame,
    );
    refused(
        &mut host,
        "evil",
        &other(0x86dd),
        DropReason::MalformedFrame,
    );

    let good = to("10.0.1.4");
    for cut in 14..42 {
        refused(&mut host, "evil", &good[..cut], DropReason::MalformedFrame);
    }
    let mut fragment = good.clone();
    fragment[20] = 0x20;
    // A first fragment is judged as its datagram, and the others with it.
    refused(&mut host, "evil", &fragment, DropReason::NoSuchAddress);
    fragment[21] = 1;
    refused(&mut host, "evil", &fragment, DropReason::NoSuchAddress);
}

#[test]
fn a_frame_is_never_without_an_outcome() {
    let mut host = Host::new();
    for len in 0..14 {
        let sent = host.up("evil", &vec![0xff; len]);
        assert!(matches!(sent.outcome, Outcome::Dropped(_)));
    }
    let nobody = host.up_port(4000, &[0; 60], fastpath_core::ChecksumState::Complete);
    assert_eq!(nobody.dropped(), DropReason::NoInterface);
    assert_eq!(nobody.drops[0].interface, None);
}

#[test]
fn records_name_object_and_rule() {
    let mut host = Host::new();
    let db = host.mac("db");
    let syn = tcp(db, ("10.0.2.4", 1), ("10.0.1.4", 22), TCP_SYN, b"");
    let sent = host.up("db", &syn);
    assert_eq!(sent.dropped(), DropReason::SecurityGroupIngress);
    let record = sent.drops[0];
    assert_eq!(record.tuple, Some(tuple(&syn)));
    assert_eq!(record.step, Some(walk::Step::IngressSecurityGroup));
    let group: ObjectId = host.object("sg web").id();
    assert_eq!(record.object, Some(group));
}

/// An ICMP error about this frame, as its receiver reports it.
fn unreachable(reporter: Mac, source: &str, about: &[u8], quoted: usize) -> Vec<u8> {
    let to = tuple(about).source.to_string();
    icmp(
        reporter,
        source,
        &to,
        3,
        [0, 0, 5, 0xdc],
        &about[14..14 + quoted],
    )
}

#[test]
fn icmp_errors_find_their_conversation() {
    let mut host = Host::new();
    let (web, web2) = (host.mac("web"), host.mac("web2"));
    for quoted in [28, 28 + 20] {
        let sent = tcp(
            web,
            ("10.0.1.4", 7),
            ("203.0.113.6", 80),
            TCP_SYN,
            b"eightbytes",
        );
        let forwarded = host.up("web", &sent);
        let (_, arrived) = forwarded.frame();
        let error = host.up("web2", &unreachable(web2, "10.0.1.5", arrived, quoted));
        let (output, frame) = error.frame();
        assert_eq!(output, Output::Deliver(host.port("web")));
        assert_eq!(macs(frame), (web, Mac::ROUTER));
        let outer = tuple(frame);
        assert_eq!(
            (outer.source, outer.destination),
            (ip("203.0.113.6"), ip("10.0.1.4"))
        );
        // The sender finds its own packet in it, up to the last quoted byte, as it was after two routers.
        assert_eq!(frame[42..], aged(&sent[14..14 + quoted], 2));
    }

    // The other way round: the host reports about an answer.
    let syn = tcp(HOST_MAC, (HOST, 9), ("203.0.113.5", 80), TCP_SYN, b"");
    host.up("uplink", &syn);
    let answer = udp(web, ("10.0.1.4", 5), (HOST, 53), b"hello");
    let out = host.up("web", &answer);
    let (_, arrived) = out.frame();
    let error = host.up("uplink", &unreachable(HOST_MAC, HOST, arrived, 33));
    let (_, frame) = error.frame();
    assert_eq!(
        frame[42..],
        aged(&answer[14..14 + 33], 1),
        "checksum of the datagram included"
    );
    // A router behind the uplink reports under its own address.
    let error = host.up("uplink", &unreachable(HOST_MAC, "192.0.2.7", arrived, 33));
    assert_eq!(tuple(error.frame().1).source, ip("192.0.2.7"));
}

#[test]
fn forged_icmp_errors() {
    let mut host = Host::new();
    let (web, web2, evil) = (host.mac("web"), host.mac("web2"), host.mac("evil"));
    let sent = tcp(web, ("10.0.1.4", 7), ("203.0.113.6", 80), TCP_SYN, b"");
    let forwarded = host.up("web", &sent);
    let arrived = forwarded.frame().1.to_vec();
    let unrelated = DropReason::UnrelatedIcmpError;
    // A conversation that the reporter has no part in.
    let forged = unreachable(evil, "10.0.1.9", &arrived, 28);
    refused(&mut host, "evil", &forged, unrelated);
    // One that does not exist.
    let other = tcp(web, ("10.0.1.4", 8), ("10.0.1.5", 80), TCP_SYN, b"");
    refused(
        &mut host,
        "web2",
        &unreachable(web2, "10.0.1.5", &other, 28),
        unrelated,
    );
    // To somebody else than the sender.
    let elsewhere = icmp(web2, "10.0.1.5", "10.0.2.4", 3, [0; 4], &arrived[14..42]);
    refused(&mut host, "web2", &elsewhere, unrelated);
    // Under an address that is not the reporter's.
    let spoofed = unreachable(web2, "10.0.1.1", &arrived, 28);
    refused(&mut host, "web2", &spoofed, DropReason::SpoofedAddress);
    // With too little in it, or a checksum that is wrong.
    refused(
        &mut host,
        "web2",
        &unreachable(web2, "10.0.1.5", &arrived, 27),
        unrelated,
    );
    let mut broken = unreachable(web2, "10.0.1.5", &arrived, 28);
    broken[36] ^= 1;
    refused(&mut host, "web2", &broken, unrelated);
    // About an ICMP error.
    let about = unreachable(web, "10.0.1.4", &sent, 28);
    refused(
        &mut host,
        "web2",
        &unreachable(web2, "10.0.1.5", &about, 28),
        unrelated,
    );
    // An answer that nobody asked for is a packet like any other, and leaves no session.
    let pong = icmp(web2, "10.0.1.5", "10.0.1.4", 0, [0, 1, 0, 1], b"");
    let sent = host.up("web2", &pong);
    assert_eq!(
        (sent.outcome, sent.installed.len()),
        (Outcome::Forwarded, 0)
    );
}

#[test]
fn who_sends_as_a_neighbour_opens_nothing_at_it() {
    let mut host = Host::new();
    let (mbox, guarded) = (host.mac("mbox"), host.mac("guarded"));
    let (db, mate) = (("10.0.2.4", 22), ("10.0.3.4", 5000));
    // The middlebox may send under any address, so it sends as `db`, whose rules let 22 in from nobody.
    let sent = host.up("mbox", &tcp(mbox, db, mate, TCP_SYN, b""));
    assert_eq!(sent.outcome, Outcome::Forwarded);
    // What its mate answers is no answer to anything that `db` has sent.
    let syn = tcp(guarded, mate, db, TCP_SYN, b"");
    let run = host.kernel.run(
        0,
        host.port("guarded"),
        &syn,
        fastpath_core::ChecksumState::Complete,
    );
    assert_eq!(run, None);
    refused(&mut host, "guarded", &syn, DropReason::SecurityGroupIngress);

    // Nor does it open the uplink, which lets nothing out to the internet here, for others.
    let (outside, web) = (("198.51.100.7", 9), ("10.0.1.4", 80));
    host.up("mbox", &tcp(mbox, outside, web, TCP_SYN, b""));
    let mac = host.mac("web");
    let syn = tcp(mac, web, outside, TCP_SYN, b"");
    refused(&mut host, "web", &syn, DropReason::UplinkClosed);
}

#[test]
fn an_asymmetric_way_lasts_as_long_as_the_receiver_may_send() {
    let mut host = Host::new();
    let (guarded, mbox, web) = (host.mac("guarded"), host.mac("mbox"), host.mac("web"));
    let (client, server) = (("10.0.3.4", 4000), ("10.0.1.4", 80));
    // Its rules let nothing in.
    let topology::Object::SecurityGroup(mut rules) = host.object("sg all") else {
        unreachable!("a security group");
    };
    rules.ingress.clear();
    let topology::Object::Interface(mut interface) = host.object("eni guarded") else {
        unreachable!("an interface");
    };
    rules.id = types::GroupId::from_bits(0x77);
    interface.groups = vec![rules.id];
    host.change(&[
        topology::Change::Put(topology::Object::SecurityGroup(rules.clone())),
        topology::Change::Put(topology::Object::Interface(interface)),
    ]);
    // Out by way of the middlebox, back directly.
    let first = host.up("guarded", &tcp(guarded, client, server, TCP_SYN, b""));
    let second = host.up("mbox", &tcp(mbox, client, server, TCP_SYN, b""));
    assert_eq!((first.installed.len(), second.installed.len()), (1, 1));
    let answer = tcp(web, server, client, 0x12, b"");
    let port = host.port("web");
    let whole = fastpath_core::ChecksumState::Complete;
    assert!(host.kernel.run(0, port, &answer, whole).is_some());
    // What the receiver may not send any more, it is not answered to.
    rules.egress.clear();
    let cut = host.change(&[topology::Change::Put(topology::Object::SecurityGroup(
        rules,
    ))]);
    assert_eq!(cut.removed.len(), 2);
    refused(&mut host, "web", &answer, DropReason::SecurityGroupIngress);
}

#[test]
fn an_answered_ping_lets_no_ping_back() {
    let mut host = Host::new();
    let (web, db) = (host.mac("web"), host.mac("db"));
    // Of identifier zero, requests and replies look the same to the flow table. `db` lets no ICMP in.
    let request = icmp(db, "10.0.2.4", "10.0.1.4", 8, [0, 0, 0, 1], b"");
    assert_eq!(host.up("db", &request).outcome, Outcome::Forwarded);
    let back = icmp(web, "10.0.1.4", "10.0.2.4", 8, [0, 0, 0, 1], b"");
    let port = host.port("web");
    let whole = fastpath_core::ChecksumState::Complete;
    assert_eq!(host.kernel.run(0, port, &back, whole), None);
    refused(&mut host, "web", &back, DropReason::SecurityGroupIngress);
}
