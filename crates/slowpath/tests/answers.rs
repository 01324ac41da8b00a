//! What the router answers itself: ARP and DHCP.

mod common;

use std::net::Ipv4Addr;

use common::*;
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder};
use fastpath_core::abi::Output;
use packet::{Arp, ArpOperation, Ethernet, Ipv4, Udp, dhcp};
use slowpath::Outcome;
use types::{DropReason, Mac, proto};

fn arp(source: Mac, arp: Arp) -> Vec<u8> {
    Ethernet {
        destination: Mac::BROADCAST,
        source,
        ethertype: proto::ETHERTYPE_ARP,
        payload: &arp.emit(),
    }
    .emit()
}

fn request(mac: Mac, sender: &str, target: &str) -> Vec<u8> {
    arp(
        mac,
        Arp {
            operation: ArpOperation::Request,
            sender_mac: mac,
            sender: v4(sender),
            target_mac: Mac::default(),
            target: v4(target),
        },
    )
}

#[test]
fn every_address_is_at_the_router() {
    let mut host = Host::new();
    let web = host.mac("web");
    for target in [
        "10.0.1.1",
        "10.0.1.5",
        "10.0.2.200",
        "192.0.2.1",
        "169.254.169.254",
    ] {
        let sent = host.up("web", &request(web, "10.0.1.4", target));
        assert_eq!(sent.outcome, Outcome::Answered);
        let (output, frame) = sent.frame();
        assert_eq!(output, Output::Deliver(host.port("web")));
        assert_eq!(macs(frame), (web, Mac::ROUTER));
        let reply = Arp {
            operation: ArpOperation::Reply,
            sender_mac: Mac::ROUTER,
            sender: v4(target),
            target_mac: web,
            target: v4("10.0.1.4"),
        };
        assert_eq!(Arp::parse(&frame[14..]), Ok(reply));
    }
    // A cached entry is verified by unicast, and a secondary address asks too.
    let mut unicast = request(web, "10.0.1.6", "10.0.1.1");
    unicast[..6].copy_from_slice(&Mac::ROUTER.0);
    assert_eq!(host.up("web", &unicast).outcome, Outcome::Answered);
}

#[test]
fn about_its_own_addresses_a_guest_hears_nothing() {
    let mut host = Host::new();
    let web = host.mac("web");
    for (sender, target) in [
        ("0.0.0.0", "10.0.1.4"),
        ("10.0.1.4", "10.0.1.4"),
        ("10.0.1.6", "10.0.1.6"),
        ("0.0.0.0", "10.0.1.6"),
    ] {
        let sent = host.up("web", &request(web, sender, target));
        assert_eq!(sent.outcome, Outcome::Consumed, "{sender} {target}");
        assert!(sent.emitted.is_empty());
    }
    let sent = host.up("web", &request(web, "0.0.0.0", "10.0.1.5"));
    assert_eq!(
        sent.outcome,
        Outcome::Answered,
        "an address of another is in use"
    );
}

#[test]
fn forged_arp() {
    let mut host = Host::new();
    let web = host.mac("web");
    let honest = Arp {
        operation: ArpOperation::Request,
        sender_mac: web,
        sender: v4("10.0.1.4"),
        target_mac: Mac::default(),
        target: v4("10.0.1.1"),
    };
    let sender = |sender| Arp {
        sender: v4(sender),
        ..honest
    };
    for forged in [
        sender("10.0.1.5"),
        sender("10.0.1.1"),
        Arp {
            target: v4("10.0.1.5"),
            ..sender("10.0.1.5")
        },
        Arp {
            sender_mac: host.mac("web2"),
            ..honest
        },
        Arp {
            operation: ArpOperation::Reply,
            target_mac: host.mac("web2"),
            target: v4("10.0.1.5"),
            ..honest
        },
        Arp {
            operation: ArpOperation::Reply,
            ..sender("0.0.0.0")
        },
        Arp {
            operation: ArpOperation::Other(3),
            ..honest
        },
    ] {
        let sent = host.up("web", &arp(web, forged));
        assert_eq!(sent.dropped(), DropReason::ForgedArp, "{forged:?}");
    }
    let mut short = arp(web, honest);
    short.truncate(41);
    assert_eq!(host.up("web", &short).dropped(), DropReason::MalformedFrame);
    let mut token_ring = arp(web, honest);
    token_ring[15] = 6;
    assert_eq!(
        host.up("web", &token_ring).dropped(),
        DropReason::MalformedFrame
    );
    let other = arp(host.mac("web2"), honest);
    assert_eq!(host.up("web", &other).dropped(), DropReason::SpoofedMac);
}

#[test]
fn the_host_finds_the_pool() {
    let mut host = Host::new();
    for target in ["203.0.113.5", "203.0.113.77"] {
        let sent = host.up("uplink", &request(HOST_MAC, HOST, target));
        let (output, frame) = sent.frame();
        assert_eq!(output, Output::Transmit(UPLINK));
        assert_eq!(macs(frame), (HOST_MAC, Mac::ROUTER));
    }
    for target in [HOST, "192.168.1.1", "10.0.1.4"] {
        let sent = host.up("uplink", &request(HOST_MAC, HOST, target));
        assert_eq!(sent.outcome, Outcome::Consumed, "{target}");
    }
}

/// A client's message, with these options.
fn client(mac: Mac, kind: u8, options: &[(u8, &[u8])]) -> dhcp::Message {
    let mut options: std::collections::BTreeMap<u8, Vec<u8>> =
        options.iter().map(|(c, v)| (*c, v.to_vec())).collect();
    options.insert(dhcp::option::MESSAGE_TYPE, vec![kind]);
    dhcp::Message {
        op: dhcp::BOOTREQUEST,
        hops: 0,
        xid: 0xdead_beef,
        secs: 3,
        flags: 0,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        siaddr: Ipv4Addr::UNSPECIFIED,
        giaddr: Ipv4Addr::UNSPECIFIED,
        chaddr: mac,
        options,
    }
}

/// The message in a broadcast frame of a client without an address.
fn broadcast(mac: Mac, message: &dhcp::Message) -> Vec<u8> {
    let mut frame = udp(
        mac,
        ("0.0.0.0", 68),
        ("255.255.255.255", 67),
        &message.emit(),
    );
    frame[..6].copy_from_slice(&Mac::BROADCAST.0);
    frame
}

/// The server's message as another implementation reads it, with the frame's ends.
fn reply(sent: &Result) -> (Message, Mac, Ipv4Addr) {
    assert_eq!(sent.outcome, Outcome::Answered, "{sent:?}");
    let (_, frame) = sent.frame();
    let ethernet = Ethernet::parse(frame).expect("a frame");
    assert_eq!(ethernet.source, Mac::ROUTER);
    let ip = Ipv4::parse(ethernet.payload).expect("a packet");
    assert_eq!(ip.source, v4("10.0.1.1"));
    let udp = Udp::parse(ip.payload).expect("a datagram");
    assert_eq!((udp.source_port, udp.destination_port), (67, 68));
    let message = Message::decode(&mut Decoder::new(udp.payload)).expect("a message");
    assert_eq!(message.opcode(), Opcode::BootReply);
    assert_eq!(message.xid(), 0xdead_beef);
    (message, ethernet.destination, ip.destination)
}

#[test]
fn discover_offer_request_ack() {
    let mut host = Host::new();
    let web = host.mac("web");
    let id = [1, 2, 3, 4, 5, 6, 7];
    let discover = client(web, 1, &[(61, &id)]);
    let sent = host.up("web", &broadcast(web, &discover));
    assert_eq!(sent.frame().0, Output::Deliver(host.port("web")));
    let (offer, mac, to) = reply(&sent);
    assert_eq!((mac, to), (web, v4("10.0.1.4")));
    assert_eq!(offer.yiaddr(), v4("10.0.1.4"));
    assert_eq!(offer.chaddr(), web.0);
    assert_eq!(offer.opts().msg_type(), Some(MessageType::Offer));

    let request = client(web, 3, &[(50, &[10, 0, 1, 4]), (54, &[10, 0, 1, 1])]);
    let (ack, _, _) = reply(&host.up("web", &broadcast(web, &request)));
    assert_eq!(ack.yiaddr(), v4("10.0.1.4"));
    assert_eq!(ack.opts().msg_type(), Some(MessageType::Ack));

    let expected = [
        DhcpOption::SubnetMask(v4("255.255.255.0")),
        DhcpOption::Router(vec![v4("10.0.1.1")]),
        DhcpOption::DomainNameServer(vec![v4("10.0.0.2")]),
        DhcpOption::Hostname("web".to_owned()),
        DhcpOption::DomainName("compute.internal".to_owned()),
        DhcpOption::InterfaceMtu(1500),
        DhcpOption::BroadcastAddr(v4("10.0.1.255")),
        DhcpOption::AddressLeaseTime(3600),
        DhcpOption::ServerIdentifier(v4("10.0.1.1")),
        DhcpOption::Renewal(1800),
        DhcpOption::Rebinding(3150),
    ];
    for message in [&offer, &ack] {
        for option in &expected {
            assert_eq!(message.opts().get(OptionCode::from(option)), Some(option));
        }
    }
    assert_eq!(ack.opts().len(), expected.len() + 1);
    let echoed = offer.opts().get(OptionCode::ClientIdentifier);
    assert_eq!(echoed, Some(&DhcpOption::ClientIdentifier(id.to_vec())));
}

/// Every VPC of the host is given these options.
fn set_options(host: &mut Host, options: &topology::DhcpOptions) {
    let vpcs = host.network.objects.iter().filter_map(|object| {
        let topology::Object::Vpc(vpc) = object else {
            return None;
        };
        Some(vpc.clone())
    });
    let changes: Vec<topology::Change> = vpcs
        .map(|vpc| {
            topology::Change::Put(topology::Object::Vpc(topology::Vpc {
                dhcp: options.clone(),
                ..vpc
            }))
        })
        .collect();
    host.change(&changes);
}

#[test]
fn the_vpc_s_own_options() {
    let mut host = Host::new();
    let web = host.mac("web");
    set_options(
        &mut host,
        &topology::DhcpOptions {
            domain_name: Some("example.com".to_owned()),
            name_servers: vec![
                topology::NameServer::At(v4("192.0.2.53")),
                topology::NameServer::Provided,
            ],
            ntp_servers: vec![v4("192.0.2.123")],
            netbios_name_servers: vec![v4("192.0.2.137")],
            netbios_node_type: Some(2),
        },
    );
    let discover = client(web, 1, &[]);
    let (offer, _, _) = reply(&host.up("web", &broadcast(web, &discover)));
    for option in [
        DhcpOption::DomainName("example.com".to_owned()),
        DhcpOption::DomainNameServer(vec![v4("192.0.2.53"), v4("10.0.0.2")]),
        DhcpOption::NtpServers(vec![v4("192.0.2.123")]),
        DhcpOption::NetBiosNameServers(vec![v4("192.0.2.137")]),
    ] {
        let found = offer.opts().get(OptionCode::from(&option));
        assert_eq!(found, Some(&option));
    }
    set_options(&mut host, &topology::DhcpOptions::none());
    let (offer, _, _) = reply(&host.up("web", &broadcast(web, &discover)));
    for code in [
        OptionCode::DomainName,
        OptionCode::DomainNameServer,
        OptionCode::NtpServers,
    ] {
        assert_eq!(offer.opts().get(code), None);
    }
    assert_eq!(
        offer.opts().get(OptionCode::Router),
        Some(&DhcpOption::Router(vec![v4("10.0.1.1")]))
    );
}

#[test]
fn another_implementation_as_client() {
    use dhcproto::{Encodable, Encoder, v4};
    let mut host = Host::new();
    let web = host.mac("web");
    let zero = Ipv4Addr::UNSPECIFIED;
    let mut discover = v4::Message::new_with_id(0xdead_beef, zero, zero, zero, zero, &web.0);
    discover
        .opts_mut()
        .insert(DhcpOption::MessageType(MessageType::Discover));
    discover.set_flags(v4::Flags::default().set_broadcast());
    let mut bytes = Vec::new();
    discover.encode(&mut Encoder::new(&mut bytes)).unwrap();
    let mut frame = udp(web, ("0.0.0.0", 68), ("255.255.255.255", 67), &bytes);
    frame[..6].copy_from_slice(&Mac::BROADCAST.0);
    let (offer, mac, to) = reply(&host.up("web", &frame));
    assert_eq!(
        (mac, to),
        (Mac::BROADCAST, Ipv4Addr::BROADCAST),
        "its flag says so"
    );
    assert!(offer.flags().broadcast());
    assert_eq!(offer.yiaddr(), Ipv4Addr::new(10, 0, 1, 4));
}

#[test]
fn wrong_addresses_are_refused_and_renewals_are_unicast() {
    let mut host = Host::new();
    let web = host.mac("web");
    for options in [
        [(50u8, [10, 0, 1, 5].as_slice()), (54, &[10, 0, 1, 1])].as_slice(),
        &[(50, &[10, 0, 1, 6])],
        &[],
    ] {
        let request = client(web, 3, options);
        let (nak, mac, to) = reply(&host.up("web", &broadcast(web, &request)));
        assert_eq!(nak.opts().msg_type(), Some(MessageType::Nak));
        assert_eq!(nak.yiaddr(), Ipv4Addr::UNSPECIFIED);
        assert_eq!((mac, to), (Mac::BROADCAST, Ipv4Addr::BROADCAST));
    }
    // Another server was chosen.
    let other = client(web, 3, &[(50, &[10, 0, 1, 4]), (54, &[10, 0, 1, 99])]);
    assert_eq!(
        host.up("web", &broadcast(web, &other)).outcome,
        Outcome::Consumed
    );

    let mut renew = client(web, 3, &[]);
    renew.ciaddr = v4("10.0.1.4");
    let frame = udp(web, ("10.0.1.4", 68), ("10.0.1.1", 67), &renew.emit());
    let (ack, mac, to) = reply(&host.up("web", &frame));
    assert_eq!(ack.opts().msg_type(), Some(MessageType::Ack));
    assert_eq!(
        (ack.yiaddr(), ack.ciaddr()),
        (v4("10.0.1.4"), v4("10.0.1.4"))
    );
    assert_eq!((mac, to), (web, v4("10.0.1.4")));

    let mut inform = client(web, 8, &[]);
    inform.ciaddr = v4("10.0.1.4");
    let frame = udp(web, ("10.0.1.4", 68), ("10.0.1.1", 67), &inform.emit());
    let (ack, _, to) = reply(&host.up("web", &frame));
    assert_eq!((ack.yiaddr(), to), (Ipv4Addr::UNSPECIFIED, v4("10.0.1.4")));
    assert_eq!(ack.opts().get(OptionCode::AddressLeaseTime), None);
    assert!(ack.opts().get(OptionCode::Router).is_some());

    for kind in [4, 7] {
        let release = broadcast(web, &client(web, kind, &[]));
        assert_eq!(host.up("web", &release).outcome, Outcome::Consumed);
    }
    assert_eq!(
        host.core.stats().sessions,
        0,
        "no message of these is a flow"
    );
}

#[test]
fn invalid_dhcp() {
    let mut host = Host::new();
    let web = host.mac("web");
    let discover = client(web, 1, &[]);
    let other = dhcp::Message {
        chaddr: host.mac("db"),
        ..discover.clone()
    };
    let relayed = dhcp::Message {
        giaddr: v4("10.0.1.4"),
        ..discover.clone()
    };
    let answered = dhcp::Message {
        op: dhcp::BOOTREPLY,
        ..discover.clone()
    };
    // What is echoed is bounded: in pieces (RFC 3396) an option may be as long as the largest datagram.
    let endless = client(web, 1, &[(61, &[7; 256])]);
    for invalid in [
        &endless,
        &other,
        &relayed,
        &answered,
        &client(web, 2, &[]),
        &client(web, 0, &[]),
        &client(web, 13, &[]),
    ] {
        let sent = host.up("web", &broadcast(web, invalid));
        assert_eq!(sent.dropped(), DropReason::InvalidDhcp, "{invalid:?}");
    }
    let mut wordless = discover.clone();
    wordless.options.clear();
    let sent = host.up("web", &broadcast(web, &wordless));
    assert_eq!(sent.dropped(), DropReason::InvalidDhcp);
    for payload in [b"".as_slice(), b"dhcp", &discover.emit()[..239]] {
        let frame = udp(web, ("0.0.0.0", 68), ("255.255.255.255", 67), payload);
        assert_eq!(host.up("web", &frame).dropped(), DropReason::InvalidDhcp);
    }
    let spoofed = udp(
        web,
        ("10.0.1.5", 68),
        ("255.255.255.255", 67),
        &discover.emit(),
    );
    assert_eq!(
        host.up("web", &spoofed).dropped(),
        DropReason::SpoofedAddress
    );
    // A guest that plays server reaches nobody.
    let offer = udp(
        web,
        ("10.0.1.4", 67),
        ("255.255.255.255", 68),
        &client(web, 2, &[]).emit(),
    );
    assert_eq!(
        host.up("web", &offer).dropped(),
        DropReason::BroadcastOrMulticast
    );
    // A server of another subnet is an address like any other.
    let elsewhere = udp(web, ("10.0.1.4", 68), ("10.0.2.4", 67), &discover.emit());
    assert_eq!(
        host.up("web", &elsewhere).dropped(),
        DropReason::SecurityGroupIngress
    );
}
