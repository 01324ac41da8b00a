//! What holds for every frame and every network: no frame panics or vanishes, a session does what the walk said, and
//! after a change exactly what is still allowed is left.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;

use common::*;
use fastpath_core::abi::{Output, TCP_SYN};
use fastpath_core::{ChecksumState, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use slowpath::{Effects, Outcome};
use topology::{Change, Object};
use types::{DropReason, FlowTuple, Mac, proto};
use walk::{Decision, Egress, FlowState, NoTrace, Origin, Packet, walk};

/// The interfaces of a random network; the port of each is 11 and on.
const NAMES: [&str; 6] = ["a0", "a1", "a2", "a3", "b0", "b1"];

fn ports() -> Vec<(&'static str, u32)> {
    NAMES.into_iter().zip(11..).collect()
}

/// Rules out of a few addresses and ports, so that they often matter.
fn rule() -> impl Strategy<Value = String> {
    let protocol = prop_oneof![
        2 => Just("all"),
        2 => Just("tcp 80"),
        1 => Just("tcp 1-100"),
        1 => Just("udp *"),
        1 => Just("icmp 8"),
        1 => Just("protocol 47"),
    ];
    let peer = prop_oneof![
        3 => Just("0.0.0.0/0"),
        1 => Just("10.0.1.0/24"),
        1 => Just("203.0.113.0/24"),
        1 => Just("g0"),
        1 => Just("g1"),
    ];
    (any::<bool>(), protocol, peer).prop_map(|(inbound, protocol, peer)| {
        if inbound {
            format!("in {protocol} from {peer}\n")
        } else {
            format!("out {protocol} to {peer}\n")
        }
    })
}

fn route() -> impl Strategy<Value = String> {
    let to = prop_oneof![
        4 => Just("0.0.0.0/0"),
        1 => Just("10.0.2.0/24"),
        1 => Just("10.0.1.5/32"),
        1 => Just("203.0.113.0/24"),
    ];
    let target = prop_oneof![
        5 => Just("igw g"),
        1 => Just("eni a3"),
        1 => Just("blackhole"),
    ];
    (to, target).prop_map(|(to, target)| format!("route {to} {target}\n"))
}

fn entry() -> impl Strategy<Value = String> {
    let peer = prop_oneof![
        Just("0.0.0.0/0"),
        Just("10.0.1.0/24"),
        Just("203.0.113.1/32")
    ];
    let protocol = prop_oneof![Just("all"), Just("tcp *"), Just("tcp 80"), Just("icmp *")];
    (
        any::<bool>(),
        1u8..9,
        prop::bool::weighted(0.8),
        protocol,
        peer,
    )
        .prop_map(|(inbound, number, allow, protocol, peer)| {
            let (way, toward) = if inbound {
                ("in", "from")
            } else {
                ("out", "to")
            };
            let what = if allow { "allow" } else { "deny" };
            format!("{way} {number} {what} {protocol} {toward} {peer}\n")
        })
}

prop_compose! {
    fn network()(
        groups in vec(vec(rule(), 0..5), 3),
        routes in vec(vec(route(), 0..3), 2),
        entries in vec(entry(), 0..6),
        acl in prop::bool::weighted(0.3),
        gateway in prop::bool::weighted(0.9),
        internet: bool,
        members in vec(0usize..4, NAMES.len()),
        unchecked in vec(prop::bool::weighted(0.2), NAMES.len()),
        elastic in vec(prop::bool::weighted(0.6), NAMES.len()),
    ) -> String {
        let mut text = format!("uplink 203.0.113.0/24 host 203.0.113.1 {}\n", if internet { "internet" } else { "" });
        let igw = if gateway { "gateway g" } else { "" };
        let _ = writeln!(text, "vpc a account 111111111111 cidr 10.0.0.0/16 {igw}");
        // Names have the same identifiers in every network, in the order in which they are first mentioned.
        text.push_str("table order\n route 192.0.2.9/32 igw g\n");
        for n in 0..4 {
            let _ = writeln!(text, "route 192.0.2.{n}/32 eni a{n}");
        }
        text.push_str("group order\n in all from g0\n in all from g1\n");
        for (n, routes) in routes.iter().enumerate() {
            let _ = writeln!(text, "table t{n}\n{}", routes.concat());
        }
        for (n, rules) in groups.iter().enumerate() {
            let _ = writeln!(text, "group g{n}\n{}", rules.concat());
        }
        text.push_str("group open\n in all from 0.0.0.0/0\n out all to 0.0.0.0/0\n");
        let _ = writeln!(text, "acl n\n{}", entries.concat());
        let acl = if acl { "acl n" } else { "" };
        let _ = writeln!(text, "subnet s0 10.0.1.0/24 table t0\nsubnet s1 10.0.2.0/24 table t1 {acl}");
        let group = |n: usize| ["g0", "g0,g1", "g2,open", "open"][members[n]];
        let check = |n: usize| if unchecked[n] { "unchecked" } else { "" };
        for (n, elastic) in elastic.iter().take(4).enumerate() {
            let (subnet, net) = if n < 2 { ("s0", 1) } else { ("s1", 2) };
            let _ = writeln!(text, "interface a{n} subnet {subnet} address 10.0.{net}.{} groups {} {}", n + 4, group(n), check(n));
            if *elastic {
                let _ = writeln!(text, "elastic a{n} 203.0.113.{} interface a{n}", n + 4);
            }
        }
        text.push_str("vpc b account 222222222222 cidr 10.0.0.0/16 gateway gb\ntable tb\nroute 0.0.0.0/0 igw gb\n");
        text.push_str("group gb\n in all from 0.0.0.0/0\n out all to 0.0.0.0/0\nsubnet sb 10.0.1.0/24 table tb\n");
        for n in 0..2 {
            let _ = writeln!(text, "interface b{n} subnet sb address 10.0.1.{} groups gb {}", n + 4, check(n + 4));
            if elastic[n + 4] {
                let _ = writeln!(text, "elastic b{n} 203.0.113.{} interface b{n}", n + 8);
            }
        }
        text
    }
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// 0 to 5 an interface, 6 the uplink.
    from: usize,
    source: Option<&'static str>,
    to: &'static str,
    kind: u8,
    port: u16,
    partial: bool,
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let address = prop::sample::select(vec![
        "10.0.1.4",
        "10.0.1.5",
        "10.0.2.6",
        "10.0.2.7",
        "10.0.2.99",
        "203.0.113.1",
        "203.0.113.4",
        "203.0.113.5",
        "203.0.113.6",
        "203.0.113.8",
        "203.0.113.77",
        "192.0.2.1",
    ]);
    (
        0usize..7,
        prop::option::weighted(0.1, address.clone()),
        address,
        0u8..4,
        prop::sample::select(vec![80u16, 81, 443]),
        any::<bool>(),
    )
        .prop_map(|(from, source, to, kind, port, partial)| Attempt {
            from,
            source,
            to,
            kind,
            port,
            partial,
        })
}

impl Attempt {
    fn port(&self) -> u32 {
        ports().get(self.from).map_or(UPLINK, |(_, port)| *port)
    }

    /// A frame of the flow, with this payload.
    fn frame(&self, host: &Host, data: &[u8]) -> Vec<u8> {
        let (mac, own) = match NAMES.get(self.from) {
            Some(name) => {
                let id = host.network.interface(name);
                let interface = host.snapshot.interface(id).expect("an interface");
                (interface.mac, interface.addresses[0].to_string())
            }
            None => (HOST_MAC, HOST.to_owned()),
        };
        let source = self.source.unwrap_or(&own);
        match self.kind {
            0 => tcp(mac, (source, 4000), (self.to, self.port), TCP_SYN, data),
            1 => udp(mac, (source, 4000), (self.to, self.port), data),
            2 => icmp(mac, source, self.to, 8, [1, 2, 3, 4], data),
            _ => frame(mac, source, self.to, 47, data),
        }
    }

    fn packet(&self, host: &Host) -> Packet {
        Packet {
            tuple: tuple(&self.frame(host, b"")),
            icmp: (self.kind == 2).then_some((8, 0)),
        }
    }

    fn origin(&self, host: &Host) -> Origin {
        match NAMES.get(self.from) {
            Some(name) => Origin::Interface(host.network.interface(name)),
            None => Origin::Uplink,
        }
    }

    fn checksum(&self) -> ChecksumState {
        // Of ICMP and GRE no system leaves the checksum to others.
        if self.partial && self.kind < 2 {
            ChecksumState::Partial
        } else {
            ChecksumState::Complete
        }
    }
}

fn some_host(text: &str) -> Host {
    Host::with(text, &ports(), config())
}

fn output_of(host: &Host, egress: Egress) -> Output {
    match egress {
        Egress::Uplink => Output::Transmit(UPLINK),
        Egress::Interface(id) => {
            let name = NAMES
                .iter()
                .find(|n| host.network.interface(n) == id)
                .expect("a name");
            Output::Deliver(host.port(name))
        }
    }
}

fn as_verdict(output: Output) -> Verdict {
    match output {
        Output::Deliver(port) => Verdict::Deliver(port),
        Output::Transmit(port) => Verdict::Transmit(port),
    }
}

/// The frame that answers a frame that arrived.
fn answer(arrived: &[u8], data: &[u8]) -> Vec<u8> {
    let FlowTuple {
        source,
        destination,
        protocol,
        source_port,
        destination_port,
    } = tuple(arrived).reversed();
    let (mac, _) = macs(arrived);
    let (source, destination) = (source.to_string(), destination.to_string());
    let (from, to) = (
        (source.as_str(), source_port),
        (destination.as_str(), destination_port),
    );
    match protocol {
        proto::TCP => tcp(mac, from, to, TCP_SYN, data),
        proto::UDP => udp(mac, from, to, data),
        proto::ICMP => icmp(mac, from.0, to.0, 0, [1, 2, 3, 4], data),
        other => frame(mac, from.0, to.0, other, data),
    }
}

/// Whether another session than these has been opened with this tuple: then its opener may be answered directly.
fn has_opened(host: &Host, tuple: &FlowTuple, but: &[u64]) -> bool {
    let mut sessions = host.kernel.sessions.iter();
    sessions.any(|(id, session)| !but.contains(id) && session.key[0].tuple() == *tuple)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The flow table runs what the walk decided, in both directions.
    #[test]
    fn a_session_is_the_walk(text in network(), attempts in vec(attempt(), 1..12)) {
        let mut host = some_host(&text);
        for attempt in attempts {
            let port = attempt.port();
            let first = attempt.frame(&host, b"first");
            // Packets of a conversation that is there already are the kernel's.
            if host.kernel.run(0, port, &first, attempt.checksum()).is_some() {
                continue;
            }
            let packet = attempt.packet(&host);
            let decision = walk(&host.snapshot, attempt.origin(&host), &packet, FlowState::New, &mut NoTrace);
            let sent = host.up_port(port, &first, attempt.checksum());
            let delivery = match decision {
                Decision::Drop(dropped) => {
                    prop_assert_eq!(sent.dropped(), dropped.reason);
                    prop_assert_eq!(sent.drops[0].object, dropped.object);
                    continue;
                }
                Decision::Deliver(delivery) => delivery,
            };
            if sent.outcome == Outcome::Dropped(types::DropReason::FlowConflict) {
                continue;
            }
            prop_assert_eq!(sent.outcome, Outcome::Forwarded);
            let (output, arrived) = (sent.emitted[0].0, sent.emitted[0].1.clone());
            prop_assert_eq!(output, output_of(&host, delivery.egress));
            prop_assert_eq!(tuple(&arrived), delivery.tuple);
            if attempt.checksum() == ChecksumState::Complete {
                prop_assert!(packet::checksum::hold(&arrived));
            }
            let back = match delivery.egress {
                Egress::Interface(id) => Origin::Interface(id),
                Egress::Uplink => Origin::Uplink,
            };
            let reply = Packet { tuple: delivery.tuple.reversed(), icmp: packet.icmp.map(|_| (0, 0)) };
            let reply = walk(&host.snapshot, back, &reply, FlowState::Reply(attempt.origin(&host)), &mut NoTrace);
            let Decision::Deliver(returned) = reply else {
                prop_assert!(sent.installed.is_empty() || has_opened(&host, &delivery.tuple, &sent.installed));
                continue;
            };
            prop_assert_eq!(sent.installed.len(), 1);

            let later = attempt.frame(&host, b"later, and longer");
            let mut fresh = some_host(&text);
            let walked = fresh.up_port(port, &later, attempt.checksum());
            let ran = host.kernel.run(0, port, &later, attempt.checksum()).expect("a session");
            prop_assert_eq!(&ran.1, &walked.emitted[0].1);
            prop_assert_eq!(ran.0, as_verdict(output));

            let (Output::Deliver(there) | Output::Transmit(there)) = output;
            let (verdict, bytes) = host
                .kernel
                .run(0, there, &answer(&arrived, b"answer"), ChecksumState::Complete)
                .expect("a session");
            prop_assert!(packet::checksum::hold(&bytes));
            prop_assert_eq!(tuple(&bytes), returned.tuple);
            prop_assert_eq!(verdict, as_verdict(output_of(&host, returned.egress)));
            prop_assert_eq!(macs(&bytes).1, Mac::ROUTER);
        }
    }

    /// After a change, what is left is what would be opened anew, and what went would not.
    #[test]
    fn a_change_leaves_what_is_allowed(text in network(), other in network(), attempts in vec(attempt(), 1..20), pick in vec(any::<prop::sample::Index>(), 1..4), gone: bool) {
        let mut host = some_host(&text);
        for attempt in &attempts {
            let frame = attempt.frame(&host, b"");
            host.up_port(attempt.port(), &frame, ChecksumState::Complete);
        }
        let before = host.kernel.sessions.clone();
        // A few objects go, or become those of the same identifier in another network.
        let other = topology::text::parse(&other).expect("a network");
        let changes: Vec<Change> = pick
            .iter()
            .map(|index| {
                let old = index.get(&host.network.objects);
                let same = |o: &&Object| {
                    o.id() == old.id() && other.name(o.id()) == host.network.name(old.id())
                };
                let new = other.objects.iter().find(same);
                match new.filter(|_| !gone) {
                    Some(new) => Change::Put(new.clone()),
                    None => old.removal(),
                }
            })
            .collect();
        let result = host.change(&changes);

        for (id, session) in before {
            let opener = session.key[0].tuple();
            let port = session.key[0].port;
            let name = NAMES.iter().zip(11..).find(|(_, p)| *p == port).map(|(n, _)| *n);
            let origin = name.map_or(Origin::Uplink, |n| Origin::Interface(host.network.interface(n)));
            let icmp = opener.protocol == proto::ICMP;
            let packet = Packet { tuple: opener, icmp: icmp.then_some((8, 0)) };
            let forward = walk(&host.snapshot, origin, &packet, FlowState::New, &mut NoTrace);
            let same_ends = |delivery: walk::Delivery| {
                let (Output::Deliver(out) | Output::Transmit(out)) = output_of(&host, delivery.egress);
                delivery.tuple.reversed() == session.key[1].tuple() && out == session.key[1].port
            };
            let allowed = match forward {
                Decision::Deliver(delivery) if same_ends(delivery) => {
                    let back = match delivery.egress {
                        Egress::Interface(id) => Origin::Interface(id),
                        Egress::Uplink => Origin::Uplink,
                    };
                    let reply = Packet { tuple: delivery.tuple.reversed(), icmp: icmp.then_some((0, 0)) };
                    let reply = walk(&host.snapshot, back, &reply, FlowState::Reply(origin), &mut NoTrace);
                    matches!(reply, Decision::Deliver(_))
                }
                Decision::Deliver(_) | Decision::Drop(_) => false,
            };
            if !allowed && has_opened(&host, &session.key[1].tuple().reversed(), &[id]) {
                continue;
            }
            prop_assert_eq!(host.kernel.sessions.contains_key(&id), allowed);
            prop_assert_eq!(result.removed.contains(&id), !allowed);
        }

        // A new process, given the table, comes to the same.
        let left: Vec<_> = host.kernel.sessions.clone().into_iter().collect();
        host.restart();
        let mut effects = Effects::default();
        host.core.adopt(host.now_ns, left, &mut effects);
        prop_assert_eq!(effects, Effects::default());
    }

    /// No frame panics, and none vanishes.
    #[test]
    fn any_frame(frames in vec((0usize..8, vec(any::<u8>(), 0..120), any::<bool>()), 1..20)) {
        let mut host = Host::new();
        for (from, bytes, partial) in frames {
            feed(&mut host, from, &bytes, partial);
        }
    }

    /// Nor does any that begins as a good one and then goes wrong.
    #[test]
    fn any_damage(kind in 0usize..7, from in 0usize..8, damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in prop::option::of(any::<prop::sample::Index>()), rounds in 1..3) {
        let mut host = Host::new();
        let web = host.mac("web");
        let syn = tcp(web, ("10.0.1.4", 1), ("203.0.113.6", 80), TCP_SYN, b"");
        host.up("web", &syn);
        let discover = packet::dhcp::Message {
            op: 1, hops: 0, xid: 1, secs: 0, flags: 0,
            ciaddr: v4("0.0.0.0"), yiaddr: v4("0.0.0.0"), siaddr: v4("0.0.0.0"), giaddr: v4("0.0.0.0"),
            chaddr: web,
            options: [(53, vec![1]), (61, vec![1; 7]), (55, vec![1, 3])].into_iter().collect(),
        };
        let mut frame = match kind {
            0 => syn,
            1 => udp(web, ("0.0.0.0", 68), ("255.255.255.255", 67), &discover.emit()),
            2 => icmp(web, "10.0.1.4", HOST, 3, [0; 4], &tcp(HOST_MAC, (HOST, 1), ("10.0.1.4", 80), 2, b"")[14..]),
            3 => icmp(HOST_MAC, HOST, "203.0.113.5", 11, [0; 4], &udp(web, ("203.0.113.5", 1), (HOST, 1), b"data")[14..]),
            4 => icmp(web, "10.0.1.4", "10.0.1.5", 8, [0; 4], b"ping"),
            5 => {
                let mut arp = vec![0xff; 6];
                arp.extend(web.0);
                arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
                arp.extend(web.0);
                arp.extend([10, 0, 1, 4, 0, 0, 0, 0, 0, 0, 10, 0, 1, 1]);
                arp
            }
            _ => {
                let mut v6 = vec![0x33, 0x33, 0, 0, 0, 2];
                v6.extend(web.0);
                v6.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 255]);
                v6.extend([0xfe; 32]);
                v6.extend([133, 0, 0, 0, 0, 0, 0, 0]);
                v6
            }
        };
        for (index, value) in damage {
            let at = index.index(frame.len());
            frame[at] = value;
        }
        if let Some(cut) = cut {
            frame.truncate(cut.index(frame.len() + 1));
        }
        for round in 0..rounds {
            feed(&mut host, from, &frame, round == 1);
            feed(&mut host, 0, &frame, round == 1);
            feed(&mut host, 7, &frame, round == 1);
        }
    }
}

fn feed(host: &mut Host, from: usize, bytes: &[u8], partial: bool) {
    let port = PORTS.get(from).map_or(UPLINK, |(_, port)| *port);
    let checksum = if partial {
        ChecksumState::Partial
    } else {
        ChecksumState::Complete
    };
    let sent = host.up_port(port, bytes, checksum);
    match sent.outcome {
        Outcome::Answered | Outcome::Forwarded => {
            assert_eq!((sent.emitted.len(), sent.drops.len()), (1, 0));
            assert_eq!(macs(&sent.emitted[0].1).1, Mac::ROUTER);
        }
        // Of this the sender is told.
        Outcome::Dropped(DropReason::TtlExceeded) => assert_eq!(sent.drops.len(), 1),
        Outcome::Dropped(_) => {
            sent.dropped();
        }
        Outcome::Held | Outcome::Consumed => {
            assert_eq!((sent.emitted.len(), sent.drops.len()), (0, 0))
        }
    }
    assert!(sent.removed.is_empty() && sent.updated.is_empty());
}

/// The random networks are worth something: packets arrive in them, and sessions are cut.
#[test]
fn the_generators_reach_what_matters() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut installed, mut stateless, mut reasons) = (0, 0, BTreeSet::new());
    for _ in 0..300 {
        let text = network()
            .new_tree(&mut runner)
            .expect("a network")
            .current();
        let mut host = some_host(&text);
        for _ in 0..10 {
            let attempt = attempt()
                .new_tree(&mut runner)
                .expect("an attempt")
                .current();
            let frame = attempt.frame(&host, b"");
            let sent = host.up_port(attempt.port(), &frame, ChecksumState::Complete);
            installed += sent.installed.len();
            match sent.outcome {
                Outcome::Dropped(reason) => {
                    reasons.insert(reason);
                }
                Outcome::Forwarded if sent.installed.is_empty() => stateless += 1,
                Outcome::Forwarded | Outcome::Answered | Outcome::Held | Outcome::Consumed => {}
            }
        }
    }
    assert!(installed > 200, "{installed} sessions");
    assert!(stateless > 0);
    assert!(reasons.len() > 9, "{reasons:?}");
}
