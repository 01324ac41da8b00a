//! Templates: what the kernel program makes by itself is what the walk would have said, and ends when that does.

mod common;

use common::*;
use fastpath_core::ChecksumState;
use fastpath_core::abi::{ACTION_DELIVER, FlowKey, Session, TCP_ACK, TCP_SYN};
use fastpath_core::template::{KERNEL_MADE, USAGE_ALL, Usage as _};
use proptest::collection::vec;
use proptest::prelude::*;
use slowpath::{Config, Effects, Outcome, Revocation};
use std::sync::atomic::Ordering;
use topology::{Change, Object};
use types::DropReason;

/// Opens flows from these client ports until one leaves a template, which takes two.
fn template(host: &mut Host, from: &str, frame: impl Fn(u16) -> Vec<u8>) {
    host.core.lend(u64::MAX);
    let first = host.up(from, &frame(50_001));
    assert_eq!((first.installed.len(), first.templates.len()), (1, 0));
    let second = host.up(from, &frame(50_002));
    assert_eq!((second.installed.len(), second.templates.len()), (1, 1));
}

fn run(host: &mut Host, from: &str, frame: &[u8]) -> bool {
    let port = if from == "uplink" {
        UPLINK
    } else {
        host.port(from)
    };
    host.kernel
        .run(host.now_ns, port, frame, ChecksumState::Complete)
        .is_some()
}

fn strict() -> Config {
    Config {
        revocation: Revocation::Strict,
        ..config()
    }
}

fn kernel_made(host: &Host) -> usize {
    let sessions = host.kernel.sessions.values();
    sessions.filter(|session| session.template != 0).count()
}

fn used(host: &Host) -> u64 {
    host.kernel.usage.word(USAGE_ALL).load(Ordering::SeqCst)
}

#[test]
fn the_third_flow_needs_no_walk() {
    let mut host = Host::new();
    let web = host.mac("web");
    let syn = |port| tcp(web, ("10.0.1.4", port), ("10.0.1.5", 80), TCP_SYN, b"");
    template(&mut host, "web", syn);
    for port in [1, 3, 50_003, u16::MAX] {
        assert!(run(&mut host, "web", &syn(port)));
        let back = tcp(
            host.mac("web2"),
            ("10.0.1.5", 80),
            ("10.0.1.4", port),
            TCP_ACK,
            b"",
        );
        assert!(run(&mut host, "web2", &back));
    }
    assert_eq!((kernel_made(&host), used(&host)), (4, 6));
    // Another destination, port or protocol is another decision.
    for other in [
        tcp(web, ("10.0.1.4", 9), ("10.0.1.5", 81), TCP_SYN, b""),
        tcp(web, ("10.0.1.4", 9), ("10.0.1.6", 80), TCP_SYN, b""),
        udp(web, ("10.0.1.4", 9), ("10.0.1.5", 80), b""),
        // A forged source finds nobody's template.
        tcp(web, ("10.0.1.5", 9), ("10.0.1.5", 80), TCP_SYN, b""),
        tcp(web, ("10.0.1.6", 9), ("10.0.1.5", 80), TCP_SYN, b""),
    ] {
        assert!(!run(&mut host, "web", &other));
    }
    assert!(!run(&mut host, "web2", &syn(9)), "another port's key");
}

#[test]
fn a_template_through_the_gateway_writes_the_clients_port() {
    let mut host = Host::new();
    let web = host.mac("web");
    let out = |port| udp(web, ("10.0.1.4", port), (HOST, 9), b"x");
    template(&mut host, "web", out);
    let port = host.port("web");
    let sent = host
        .kernel
        .run(host.now_ns, port, &out(7), ChecksumState::Complete);
    let (_, sent) = sent.expect("from the template");
    assert_eq!(tuple(&sent).source, ip("203.0.113.5"));
    assert_eq!(tuple(&sent).source_port, 7);
    assert!(packet::checksum::hold(&sent));
    let answer = udp(HOST_MAC, (HOST, 9), ("203.0.113.5", 7), b"y");
    let back = host
        .kernel
        .run(host.now_ns, UPLINK, &answer, ChecksumState::Complete);
    let (_, back) = back.expect("the same session");
    assert_eq!(
        (tuple(&back).destination, tuple(&back).destination_port),
        (ip("10.0.1.4"), 7)
    );
    assert!(packet::checksum::hold(&back));
}

const RANGES: &str = "
    vpc a account 111111111111 cidr 10.0.0.0/16
      group all
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      acl ephemeral
        in 100 allow all from 0.0.0.0/0
        out 90 allow tcp 1024-40000 to 10.0.1.0/24
        out 95 allow udp * to 10.0.1.0/24
        out 96 deny tcp 40001-45000 to 10.0.1.0/24
        out 200 allow tcp 45001-65535 to 10.0.0.0/16
      subnet left 10.0.1.0/24
      subnet right 10.0.2.0/24 acl ephemeral
      interface client subnet left address 10.0.1.4 groups all
      interface server subnet right address 10.0.2.4 groups all
";

#[test]
fn a_template_holds_where_the_acl_says_the_same() {
    let new = || Host::with(RANGES, &[("client", 11), ("server", 12)], config());
    let syn = |host: &Host, port| {
        tcp(
            host.mac("client"),
            ("10.0.1.4", port),
            ("10.0.2.4", 80),
            TCP_SYN,
            b"",
        )
    };
    for (opened, holds, fails) in [
        (
            2_000,
            vec![1_024, 3_000, 40_000],
            vec![1, 1_023, 40_001, 50_000],
        ),
        (50_000, vec![45_001, u16::MAX], vec![45_000, 1_024, 100]),
    ] {
        let mut host = new();
        host.core.lend(u64::MAX);
        for n in 0..2 {
            let frame = syn(&host, opened + n);
            host.up("client", &frame);
        }
        assert_eq!(host.core.templates(), 1);
        for port in holds {
            let frame = syn(&host, port);
            assert!(run(&mut host, "client", &frame), "{opened}, {port}");
        }
        for port in fails {
            let frame = syn(&host, port);
            assert!(!run(&mut host, "client", &frame), "{opened}, {port}");
        }
    }
}

#[test]
fn a_member_that_left_its_group_gets_nothing_through_a_template() {
    let mut host = Host::with(WORLD, &PORTS, strict());
    let (web, db) = (host.mac("web"), host.mac("db"));
    let syn = |port| tcp(web, ("10.0.1.4", port), ("10.0.2.4", 3306), TCP_SYN, b"");
    template(&mut host, "web", syn);
    assert!(run(&mut host, "web", &syn(7)));
    let Object::Interface(mut interface) = host.object("eni web") else {
        panic!("an interface");
    };
    let Object::SecurityGroup(all) = host.object("sg all") else {
        panic!("a group");
    };
    interface.groups = vec![all.id];
    let result = host.change(&[Change::Put(Object::Interface(interface))]);
    assert_eq!((result.revoked.len(), result.removed.len()), (1, 2));
    // Neither a new flow nor the one that the kernel made passes, in either direction.
    for port in [7, 8, 50_001] {
        assert!(!run(&mut host, "web", &syn(port)));
        let back = tcp(db, ("10.0.2.4", 3306), ("10.0.1.4", port), TCP_ACK, b"");
        assert!(!run(&mut host, "db", &back));
    }
    let sent = host.up("web", &syn(7));
    assert_eq!(sent.dropped(), DropReason::SecurityGroupIngress);
    assert_eq!((kernel_made(&host), used(&host)), (0, 0));
}

/// As EC2 does: a group remembers what it once let in, also what the kernel program let in for it.
#[test]
fn what_a_group_tracks_outlives_its_template() {
    let ec2 = Config {
        revocation: Revocation::Ec2,
        ..config()
    };
    let mut host = Host::with(WORLD, &PORTS, ec2);
    let (web, db) = (host.mac("web"), host.mac("db"));
    let syn = |port| tcp(web, ("10.0.1.4", port), ("10.0.2.4", 3306), TCP_SYN, b"");
    template(&mut host, "web", syn);
    assert!(run(&mut host, "web", &syn(7)));
    let Object::SecurityGroup(mut group) = host.object("sg db") else {
        panic!("a group");
    };
    group.ingress.clear();
    let result = host.change(&[Change::Put(Object::SecurityGroup(group))]);
    assert_eq!((result.revoked.len(), result.removed.len()), (1, 0));
    let answer = tcp(db, ("10.0.2.4", 3306), ("10.0.1.4", 7), TCP_ACK, b"");
    assert!(!run(&mut host, "db", &answer));
    assert_eq!(host.up("db", &answer).outcome, Outcome::Forwarded);
    assert!(run(&mut host, "web", &syn(7)) && run(&mut host, "db", &answer));
    assert_eq!(kernel_made(&host), 0);
    // Nothing new comes in.
    assert!(!run(&mut host, "web", &syn(8)));
    let sent = host.up("web", &syn(8));
    assert_eq!(sent.dropped(), DropReason::SecurityGroupIngress);
}

#[test]
fn a_change_that_allows_the_same_interrupts_nothing() {
    let mut host = Host::new();
    let web = host.mac("web");
    let syn = |port| tcp(web, ("10.0.1.4", port), ("10.0.1.5", 80), TCP_SYN, b"");
    template(&mut host, "web", syn);
    assert!(run(&mut host, "web", &syn(7)));
    // The same decision leaves the template.
    let group = host.object("sg web");
    let result = host.change(&[Change::Put(group)]);
    assert!(result.revoked.is_empty());
    assert!(run(&mut host, "web", &syn(8)));
    // Another MAC address is another template; the sessions of the old one go on, answers first.
    let Object::Interface(mut interface) = host.object("eni web2") else {
        panic!("an interface");
    };
    interface.mac = types::Mac([2, 9, 9, 9, 9, 9]);
    let result = host.change(&[Change::Put(Object::Interface(interface.clone()))]);
    assert_eq!(result.revoked.len(), 1);
    let answer = |mac| tcp(mac, ("10.0.1.5", 80), ("10.0.1.4", 7), TCP_ACK, b"");
    assert!(!run(&mut host, "web2", &answer(interface.mac)));
    let counted: Vec<(u64, Session)> = host.kernel.sessions.clone().into_iter().collect();
    let sent = host.up("web2", &answer(interface.mac));
    assert_eq!(sent.outcome, Outcome::Forwarded);
    assert!(run(&mut host, "web2", &answer(interface.mac)));
    assert!(run(&mut host, "web", &syn(7)));
    let (id, before) = counted
        .iter()
        .find(|(_, s)| s.key[0].source_port == 7u16.to_be_bytes())
        .expect("made");
    let now = host.kernel.sessions[id];
    assert!(id & KERNEL_MADE != 0 && now.template == 0);
    assert_eq!(now.packets[0], before.packets[0] + 1, "counters go on");
    assert_eq!(now.action[0].destination_mac, interface.mac.0);
    assert_eq!(kernel_made(&host), 1, "the other one has not been used");
}

#[test]
fn a_detached_port_takes_its_templates_along() {
    for gone in ["web", "web2"] {
        let mut host = Host::new();
        let web = host.mac("web");
        let syn = |port| tcp(web, ("10.0.1.4", port), ("10.0.1.5", 80), TCP_SYN, b"");
        template(&mut host, "web", syn);
        assert!(run(&mut host, "web", &syn(7)));
        let mut effects = Effects::default();
        host.core.detach(host.port(gone), &mut effects);
        let result = host.settle(Outcome::Consumed, effects);
        assert_eq!(result.revoked.len(), 1);
        for port in [7, 8] {
            assert!(!run(&mut host, "web", &syn(port)));
        }
        assert_eq!(used(&host), if gone == "web" { 0 } else { 1 });
        host.up("web", &syn(7));
        assert_eq!((kernel_made(&host), used(&host)), (0, 0));
    }
}

#[test]
fn bounds_hold_for_what_the_kernel_makes() {
    let small = Config {
        max_sessions: 16,
        max_sessions_per_port: 7,
        ..config()
    };
    let mut host = Host::with(WORLD, &PORTS, small);
    let (web, web2, evil) = (host.mac("web"), host.mac("web2"), host.mac("evil"));
    let flood = |port| tcp(web, ("10.0.1.4", port), ("10.0.1.5", 80), TCP_SYN, b"");
    template(&mut host, "web", flood);
    let made = (1..100).filter(|port| run(&mut host, "web", &flood(*port)));
    assert_eq!(made.count(), 5);
    assert_eq!(
        host.up("web", &flood(99)).dropped(),
        DropReason::FlowTableFull
    );
    // Its account's other port is bounded by what is free: three quarters for all of them.
    let other = |port| tcp(web2, ("10.0.1.5", port), ("10.0.1.4", 80), TCP_SYN, b"");
    template(&mut host, "web2", other);
    let made = (1..100).filter(|port| run(&mut host, "web2", &other(*port)));
    assert_eq!(made.count(), 3);
    assert_eq!(used(&host), 12);
    let own = |n| tcp(evil, ("10.0.1.9", n), ("10.0.1.9", 80), TCP_SYN, b"");
    for n in 1..=3 {
        assert_eq!(host.up("evil", &own(n)).outcome, Outcome::Forwarded);
    }
    // What is silent makes room again.
    host.now_ns += 40 * SECOND;
    let mut effects = Effects::default();
    let sessions: Vec<_> = host.kernel.sessions.clone().into_iter().collect();
    host.core.sweep(host.now_ns, &sessions, &mut effects);
    host.settle(Outcome::Consumed, effects);
    assert_eq!((kernel_made(&host), used(&host)), (0, 0));
    assert!(run(&mut host, "web", &flood(1)));
}

#[test]
fn no_template_is_used_without_a_living_agent() {
    let mut host = Host::new();
    let web = host.mac("web");
    let syn = |port| tcp(web, ("10.0.1.4", port), ("10.0.1.5", 80), TCP_SYN, b"");
    template(&mut host, "web", syn);
    host.core.lend(host.now_ns + SECOND);
    assert!(run(&mut host, "web", &syn(7)));
    host.now_ns += SECOND;
    assert!(!run(&mut host, "web", &syn(8)));
    assert!(run(&mut host, "web", &syn(7)), "what there is goes on");
}

#[test]
fn a_new_process_knows_what_the_kernel_made() {
    let mut host = Host::new();
    let web = host.mac("web");
    let syn = |port| tcp(web, ("10.0.1.4", port), ("10.0.1.5", 80), TCP_SYN, b"");
    template(&mut host, "web", syn);
    for port in 1..=5 {
        assert!(run(&mut host, "web", &syn(port)));
    }
    host.restart();
    assert!(!run(&mut host, "web", &syn(6)), "not before it is adopted");
    let result = host.adopt();
    assert_eq!((result.updated.len(), result.removed.len()), (5, 0));
    assert_eq!((kernel_made(&host), used(&host)), (0, 7));
    for port in 1..=5 {
        assert!(run(&mut host, "web", &syn(port)));
    }
    // And they end with what allowed them.
    let group = host.object("sg web");
    assert!(!host.change(&[group.removal()]).removed.is_empty());
}

#[test]
fn a_template_without_sessions_goes() {
    let mut host = Host::new();
    let web = host.mac("web");
    let syn = |port| tcp(web, ("10.0.1.4", port), ("10.0.1.5", 80), TCP_SYN, b"");
    template(&mut host, "web", syn);
    let pass = |host: &mut Host, met: bool| {
        let mut effects = Effects::default();
        if met {
            host.core.met(1);
        }
        host.core.swept(&mut effects);
        host.settle(Outcome::Consumed, effects).revoked.len()
    };
    assert_eq!(pass(&mut host, false), 0, "it is new");
    assert_eq!(pass(&mut host, true), 0);
    assert_eq!(pass(&mut host, false), 1);
    assert!(!run(&mut host, "web", &syn(7)));
}

/// A flow through a middlebox rests on its opener's session, so that one must be known.
#[test]
fn middleboxes_and_flows_to_oneself_leave_none() {
    let mut host = Host::new();
    host.core.lend(u64::MAX);
    let (web, evil) = (host.mac("web"), host.mac("evil"));
    let guarded = host.mac("guarded");
    for port in 1..5 {
        let seen = tcp(guarded, ("10.0.3.4", port), ("10.0.1.4", 80), TCP_SYN, b"");
        host.up("guarded", &seen);
        let own = tcp(evil, ("10.0.1.9", port), ("10.0.1.9", 80), TCP_SYN, b"");
        host.up("evil", &own);
        let gre = frame(web, "10.0.1.4", HOST, 47, b"x");
        host.up("web", &gre);
    }
    assert_eq!(host.core.templates(), 0);
}

/// Random networks whose ACLs look at ports on the way back.
fn entries() -> impl Strategy<Value = String> {
    let ports = (0u16..=7, 0u16..=7).prop_map(|(a, b)| {
        let (first, last) = (a.min(b) * 9_000, a.max(b) * 9_000 + 500);
        format!("{first}-{last}")
    });
    let protocol = prop_oneof![
        3 => ports.clone().prop_map(|ports| format!("tcp {ports}")),
        2 => ports.prop_map(|ports| format!("udp {ports}")),
        1 => Just("all".to_owned()),
        1 => Just("icmp *".to_owned()),
    ];
    let peer =
        prop_oneof![3 => Just("0.0.0.0/0"), 1 => Just("10.0.1.0/24"), 1 => Just("10.0.1.4/32")];
    let entry = (any::<bool>(), prop::bool::weighted(0.7), protocol, peer);
    vec(entry, 0..7).prop_map(|entries| {
        let mut text = String::new();
        for (n, (inbound, allow, protocol, peer)) in entries.into_iter().enumerate() {
            let (way, toward) = if inbound {
                ("in", "from")
            } else {
                ("out", "to")
            };
            let what = if allow { "allow" } else { "deny" };
            text.push_str(&format!(
                "{way} {} {what} {protocol} {toward} {peer}\n",
                n + 1
            ));
        }
        text
    })
}

prop_compose! {
    fn network()(left in entries(), right in entries(), rules in vec(0usize..5, 1..4), unchecked: bool, open: bool, via: bool) -> String {
        let rule = |n: usize| ["in all from 0.0.0.0/0", "in tcp 80 from left", "in udp 0-9000 from 10.0.1.0/24", "in icmp 8 from 0.0.0.0/0", "out tcp 80 to 0.0.0.0/0"][n];
        let rules: Vec<&str> = rules.into_iter().map(rule).collect();
        let route = if via { "route 10.0.2.0/24 eni box" } else { "" };
        let tail = if open { "in 50 allow all from 0.0.0.0/0\nout 50 allow all to 0.0.0.0/0" } else { "" };
        format!("
            uplink 203.0.113.0/24 host 203.0.113.1 internet
            vpc a account 111111111111 cidr 10.0.0.0/16 gateway g
              table t
                route 0.0.0.0/0 igw g
                {route}
              group left
                in all from 0.0.0.0/0
                out all to 0.0.0.0/0
              group right
                out all to 0.0.0.0/0
                {}
              acl l
                {left}{tail}
              acl r
                {right}{tail}
              subnet left 10.0.1.0/24 table t acl l
              subnet right 10.0.2.0/24 table t acl r
              interface c subnet left address 10.0.1.4 groups left {}
              interface s subnet right address 10.0.2.4 groups right
              interface box subnet left address 10.0.1.9 groups left unchecked
              elastic c 203.0.113.5 interface c
              elastic s 203.0.113.6 interface s
        ", rules.join("\n"), if unchecked { "unchecked" } else { "" })
    }
}

const CORNERS: [(&str, u32); 3] = [("c", 11), ("s", 12), ("box", 13)];

fn opening(
    host: &Host,
    from: usize,
    to: usize,
    kind: u8,
    forged: bool,
    client: u16,
) -> (u32, Vec<u8>) {
    let to = [
        "10.0.1.4",
        "10.0.2.4",
        "10.0.1.9",
        "203.0.113.5",
        "203.0.113.6",
        HOST,
        "192.0.2.1",
    ][to];
    let (port, mac, source) = match from {
        0 => (11, host.mac("c"), "10.0.1.4"),
        1 => (12, host.mac("s"), "10.0.2.4"),
        2 => (13, host.mac("box"), "10.0.1.9"),
        _ => (UPLINK, HOST_MAC, HOST),
    };
    let source = if forged { "10.0.1.4" } else { source };
    let frame = match kind {
        0 => tcp(mac, (source, client), (to, 80), TCP_SYN, b""),
        1 => udp(mac, (source, client), (to, 9), b"x"),
        _ => {
            let [high, low] = client.to_be_bytes();
            icmp(mac, source, to, 8, [high, low, 0, 1], b"ping")
        }
    };
    (port, frame)
}

type Flow = (usize, usize, u8, bool);

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a template makes, the walk makes too: the same keys, the same actions.
    #[test]
    fn a_template_is_the_walk(text in network(), flows in vec((0usize..4, 0usize..7, 0u8..3, prop::bool::weighted(0.1)), 1..6), first in any::<u16>(), clients in vec(any::<u16>(), 1..24), edge in 0u16..8) {
        let flows: Vec<Flow> = flows;
        let mut host = Host::with(&text, &CORNERS, config());
        host.core.lend(u64::MAX);
        for (from, to, kind, forged) in &flows {
            for client in [first, first ^ 1] {
                let (port, frame) = opening(&host, *from, *to, *kind, *forged, client);
                host.up_port(port, &frame, ChecksumState::Complete);
            }
        }
        // The edges of what ACL entries name, too.
        let edges = [edge * 9_000, (edge * 9_000).wrapping_sub(1), edge * 9_000 + 500, edge * 9_000 + 501, 0, u16::MAX];
        for (from, to, kind, forged) in &flows {
            for client in clients.iter().chain(&edges) {
                let (port, frame) = opening(&host, *from, *to, *kind, *forged, *client);
                let key = FlowKey::new(port, &tuple(&frame));
                if host.kernel.flows.contains_key(&key) || !host.kernel.make(host.now_ns, &key) {
                    continue;
                }
                let (id, _) = host.kernel.flows[&key];
                let made = host.kernel.sessions[&id];
                let mut fresh = Host::with(&text, &CORNERS, config());
                let walked = fresh.up_port(port, &frame, ChecksumState::Complete);
                prop_assert_eq!(walked.installed.len(), 1, "{:?}", made);
                let walked = fresh.kernel.sessions[&walked.installed[0]];
                prop_assert_eq!(made.key, walked.key);
                prop_assert_eq!(made.action, walked.action);
            }
        }
    }

    /// After a change nothing runs on what a template made before, unless the walk still says it.
    #[test]
    fn a_change_ends_templates(text in network(), other in network(), flows in vec((0usize..4, 0usize..7, 0u8..3, Just(false)), 1..6), clients in vec(any::<u16>(), 2..12), pick in vec(any::<prop::sample::Index>(), 1..4), gone: bool) {
        let flows: Vec<Flow> = flows;
        let mut host = Host::with(&text, &CORNERS, strict());
        host.core.lend(u64::MAX);
        let mut all = Vec::new();
        for (from, to, kind, forged) in &flows {
            for client in &clients {
                all.push(opening(&host, *from, *to, *kind, *forged, *client));
            }
        }
        for (port, frame) in &all {
            if host.kernel.run(host.now_ns, *port, frame, ChecksumState::Complete).is_none() {
                host.up_port(*port, frame, ChecksumState::Complete);
            }
        }
        let other = topology::text::parse(&other).expect("a network");
        let changes: Vec<Change> = pick
            .iter()
            .map(|index| {
                let old = index.get(&host.network.objects);
                let same = |o: &&Object| o.id() == old.id() && other.name(o.id()) == host.network.name(old.id());
                match other.objects.iter().find(same).filter(|_| !gone) {
                    Some(new) => Change::Put(new.clone()),
                    None => old.removal(),
                }
            })
            .collect();
        host.change(&changes);
        for (port, frame) in &all {
            let ran = host.kernel.run(host.now_ns, *port, frame, ChecksumState::Complete);
            let mut fresh = Host::with(&text, &CORNERS, strict());
            fresh.change(&changes);
            let walked = fresh.up_port(*port, frame, ChecksumState::Complete);
            if let Some((_, bytes)) = ran {
                prop_assert_eq!(walked.outcome, Outcome::Forwarded);
                prop_assert_eq!(&bytes, &walked.emitted[0].1);
            }
        }
        // Each of them that comes up now is decided, and counted once.
        for (port, frame) in &all {
            if host.kernel.run(host.now_ns, *port, frame, ChecksumState::Complete).is_none() {
                host.up_port(*port, frame, ChecksumState::Complete);
            }
        }
        let live: Vec<_> = host.kernel.sessions.values().collect();
        prop_assert!(live.iter().all(|session| session.action.iter().all(|action| action.kind >= ACTION_DELIVER)));
        prop_assert_eq!(used(&host), live.len() as u64);
    }
}
