//! The resolver of a VPC, asked with an independent implementation of DNS.

mod common;

use common::*;
use fastpath_core::abi::Output;
use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use packet::{Ethernet, Ipv4, Udp, checksum};
use proptest::prelude::*;
use slowpath::Outcome;
use topology::{Change, Object, Vpc};
use types::DropReason;

const RESOLVERS: [&str; 2] = ["10.0.0.2", "169.254.169.253"];

fn address(name: &str) -> &'static str {
    match name {
        "web" => "10.0.1.4",
        "db" => "10.0.2.4",
        _ => "10.0.1.9",
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message
}

fn packet_of(host: &Host, from: &str, to: &str, data: &[u8]) -> Vec<u8> {
    udp(host.mac(from), (address(from), 40_000), (to, 53), data)
}

/// The reply's bytes, from where they were asked.
fn reply_to(host: &mut Host, from: &str, to: &str, data: &[u8]) -> Vec<u8> {
    let frame = packet_of(host, from, to, data);
    let sent = host.up(from, &frame);
    assert_eq!(sent.outcome, Outcome::Answered, "{sent:?}");
    let (output, frame) = sent.frame();
    assert_eq!(output, Output::Deliver(host.port(from)));
    assert!(checksum::hold(frame));
    let ethernet = Ethernet::parse(frame).expect("a frame");
    let packet = Ipv4::parse(ethernet.payload).expect("a packet");
    assert_eq!(packet.source.to_string(), to);
    assert_eq!(packet.destination.to_string(), address(from));
    let datagram = Udp::parse(packet.payload).expect("a datagram");
    assert_eq!(
        (datagram.source_port, datagram.destination_port),
        (53, 40_000)
    );
    datagram.payload.to_vec()
}

/// The reply's code and its records, as text.
fn ask(host: &mut Host, from: &str, name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let asked = question(name, kind);
    let mut seen = None;
    for to in RESOLVERS {
        let reply = reply_to(host, from, to, &asked.to_vec().expect("short"));
        let reply = Message::from_vec(&reply).expect("a reply");
        let head = &reply.metadata;
        assert_eq!(
            (head.id, head.message_type),
            (asked.metadata.id, MessageType::Response)
        );
        assert!(head.recursion_desired && head.recursion_available && !head.truncation);
        assert_eq!(reply.queries.len(), 1);
        let records = reply.answers.iter().map(|record| {
            assert_eq!(record.ttl, 60);
            let data = record.data.to_string();
            data.strip_suffix('.').unwrap_or(&data).to_owned()
        });
        let this = (head.response_code, records.collect::<Vec<_>>());
        assert_eq!(*seen.get_or_insert_with(|| this.clone()), this);
    }
    seen.expect("asked")
}

fn one(record: &str) -> (ResponseCode, Vec<String>) {
    (ResponseCode::NoError, vec![record.to_owned()])
}

const NO_DATA: (ResponseCode, Vec<String>) = (ResponseCode::NoError, Vec::new());
const NO_NAME: (ResponseCode, Vec<String>) = (ResponseCode::NXDomain, Vec::new());
const REFUSED: (ResponseCode, Vec<String>) = (ResponseCode::Refused, Vec::new());

#[test]
fn names_of_instances_lead_to_their_addresses_and_back() {
    let mut host = Host::new();
    let a = RecordType::A;
    // No group and no ACL is asked: `db` may hardly speak to anybody.
    for from in ["web", "db"] {
        assert_eq!(
            ask(&mut host, from, "ip-10-0-1-4.ec2.internal.", a),
            one("10.0.1.4")
        );
        assert_eq!(
            ask(&mut host, from, "IP-10-0-2-4.EC2.Internal.", a),
            one("10.0.2.4")
        );
    }
    let mut web = |name: &str, kind| ask(&mut host, "web", name, kind);
    assert_eq!(web("ip-10-0-1-6.ec2.internal.", a), one("10.0.1.6"));
    assert_eq!(web("ip-10-0-1-4.ec2.internal.", RecordType::AAAA), NO_DATA);
    for strange in [
        "ip-10-0-1-99",
        "ip-10-0-01-4",
        "ip-10-0-1",
        "ip-10-0-1-4-5",
        "web",
        "ip-1-2-3-256",
    ] {
        assert_eq!(web(&format!("{strange}.ec2.internal."), a), NO_NAME);
    }
    let ptr = RecordType::PTR;
    assert_eq!(
        web("4.2.0.10.in-addr.arpa.", ptr),
        one("ip-10-0-2-4.ec2.internal")
    );
    assert_eq!(web("99.2.0.10.in-addr.arpa.", ptr), NO_NAME);
    // Everything else is somebody else's, and there is nobody to ask.
    for other in [
        "example.com.",
        "ec2.internal.example.",
        "1.2.3.192.in-addr.arpa.",
        "a.1.0.10.in-addr.arpa.",
        ".",
    ] {
        assert_eq!(web(other, a), REFUSED);
    }
    // The other tenant has names of its own.
    assert_eq!(
        ask(&mut host, "evil", "ip-10-0-1-9.ec2.internal.", a),
        one("10.0.1.9")
    );
    assert_eq!(
        ask(&mut host, "evil", "ip-10-0-1-4.ec2.internal.", a),
        NO_NAME
    );
}

#[test]
fn public_names_lead_inside_to_private_addresses() {
    let mut host = Host::new();
    let name = "ec2-203-0-113-5.compute-1.amazonaws.com.";
    assert_eq!(ask(&mut host, "web", name, RecordType::A), one("10.0.1.4"));
    assert_eq!(
        ask(&mut host, "evil", name, RecordType::A),
        one("203.0.113.5")
    );
    let unused = "ec2-203-0-113-77.compute-1.amazonaws.com.";
    assert_eq!(ask(&mut host, "web", unused, RecordType::A), NO_NAME);
    let reverse = "5.113.0.203.in-addr.arpa.";
    assert_eq!(
        ask(&mut host, "evil", reverse, RecordType::PTR),
        one("ec2-203-0-113-5.compute-1.amazonaws.com")
    );
}

fn set(host: &mut Host, change: impl Fn(&mut Vpc)) {
    let vpcs = host.network.objects.iter().filter_map(|object| {
        let Object::Vpc(vpc) = object else {
            return None;
        };
        let mut vpc = vpc.clone();
        change(&mut vpc);
        Some(Change::Put(Object::Vpc(vpc)))
    });
    let changes: Vec<Change> = vpcs.collect();
    host.change(&changes);
}

#[test]
fn the_attributes_of_the_vpc_are_honoured() {
    let mut host = Host::new();
    let name = "ip-10-0-1-4.ec2.internal.";
    set(&mut host, |vpc| vpc.dns.hostnames = false);
    assert_eq!(ask(&mut host, "web", name, RecordType::A), NO_NAME);
    assert_eq!(
        ask(&mut host, "web", "4.1.0.10.in-addr.arpa.", RecordType::PTR),
        NO_NAME
    );
    set(&mut host, |vpc| vpc.dns.region = "eu-west-1".to_owned());
    let name = "ip-10-0-1-4.eu-west-1.compute.internal.";
    assert_eq!(ask(&mut host, "web", name, RecordType::A), one("10.0.1.4"));
    let name = "ec2-203-0-113-5.eu-west-1.compute.amazonaws.com.";
    assert_eq!(ask(&mut host, "web", name, RecordType::A), one("10.0.1.4"));
    set(&mut host, |vpc| vpc.dns.support = false);
    let data = question(name, RecordType::A).to_vec().expect("short");
    // The first address of the VPC's block is in none of this VPC's subnets.
    let reasons = [DropReason::NoSuchAddress, DropReason::NotAService];
    for (to, reason) in RESOLVERS.into_iter().zip(reasons) {
        let frame = packet_of(&host, "web", to, &data);
        assert_eq!(host.up("web", &frame).dropped(), reason);
    }
}

#[test]
fn questions_are_bounded_and_honest() {
    let mut host = Host::new();
    let data = question("ip-10-0-1-4.ec2.internal.", RecordType::A)
        .to_vec()
        .expect("short");
    let frame = packet_of(&host, "web", RESOLVERS[0], &data);
    for _ in 0..1024 {
        assert_eq!(host.up("web", &frame).outcome, Outcome::Answered);
    }
    assert_eq!(host.up("web", &frame).dropped(), DropReason::UpcallRate);
    let other = packet_of(&host, "db", RESOLVERS[0], &data);
    assert_eq!(host.up("db", &other).outcome, Outcome::Answered);
    host.now_ns += SECOND;
    assert_eq!(host.up("web", &frame).outcome, Outcome::Answered);
    // Under a neighbour's address.
    let forged = udp(host.mac("web"), ("10.0.1.5", 1), (RESOLVERS[1], 53), &data);
    assert_eq!(
        host.up("web", &forged).dropped(),
        DropReason::SpoofedAddress
    );
    // A reply, or nothing, has no answer.
    let mut reply = data.clone();
    reply[2] |= 0x80;
    for silent in [&reply[..], &data[..11], &[]] {
        let frame = packet_of(&host, "web", RESOLVERS[0], silent);
        assert_eq!(host.up("web", &frame).outcome, Outcome::Consumed);
    }
}

#[test]
fn what_cannot_be_read_is_told_so() {
    let mut host = Host::new();
    let mut code = |data: &[u8]| {
        let reply = reply_to(&mut host, "web", RESOLVERS[0], data);
        Message::from_vec(&reply)
            .expect("a reply")
            .metadata
            .response_code
    };
    let good = question("ip-10-0-1-4.ec2.internal.", RecordType::A)
        .to_vec()
        .expect("short");
    assert_eq!(code(&good[..good.len() - 1]), ResponseCode::FormErr);
    let mut two = good.clone();
    two[5] = 2;
    assert_eq!(code(&two), ResponseCode::FormErr);
    let mut update = good.clone();
    update[2] |= 5 << 3;
    assert_eq!(code(&update), ResponseCode::NotImp);
    let mut chaos = good.clone();
    *chaos.last_mut().expect("long") = 3;
    assert_eq!(code(&chaos), ResponseCode::Refused);
    // A label that points back would be a circle.
    let mut pointer = good;
    pointer.splice(12.., [0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(code(&pointer), ResponseCode::FormErr);

    // EDNS is answered with EDNS.
    let mut asked = question("ip-10-0-1-4.ec2.internal.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    asked.set_edns(edns);
    let reply = reply_to(
        &mut host,
        "web",
        RESOLVERS[0],
        &asked.to_vec().expect("short"),
    );
    let reply = Message::from_vec(&reply).expect("a reply");
    assert_eq!((reply.max_payload(), reply.answers.len()), (1232, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a guest asks, it gets a message back that another implementation reads, or nothing.
    #[test]
    fn no_bytes_are_too_strange(
        data in proptest::collection::vec(any::<u8>(), 0..300),
        at in proptest::collection::vec((0usize..60, any::<u8>()), 0..4),
        sound in any::<bool>(),
    ) {
        let mut host = Host::new();
        let mut bytes = if sound {
            question("ip-10-0-1-4.ec2.internal.", RecordType::A).to_vec().expect("short")
        } else {
            data
        };
        for (at, byte) in at {
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        let frame = packet_of(&host, "web", RESOLVERS[1], &bytes);
        let sent = host.up("web", &frame);
        if sent.outcome == Outcome::Answered {
            let (_, frame) = sent.frame();
            let packet = Ipv4::parse(&frame[14..]).expect("a packet");
            let datagram = Udp::parse(packet.payload).expect("a datagram");
            prop_assert!(datagram.payload.len() <= 512);
            let reply = Message::from_vec(datagram.payload);
            prop_assert!(reply.is_ok(), "{:02x?}: {reply:?}", datagram.payload);
            prop_assert_eq!(datagram.payload[..2].to_vec(), bytes[..2].to_vec());
        } else {
            prop_assert_eq!(sent.outcome, Outcome::Consumed);
        }
    }
}
