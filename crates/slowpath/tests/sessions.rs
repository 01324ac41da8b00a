//! Sessions: installed, executed as the kernel does, decided again, adopted, expired, bounded.

mod common;

use std::collections::BTreeSet;

use common::*;
use fastpath_core::abi::{Output, TCP_ACK, TCP_SYN};
use fastpath_core::{ChecksumState, Verdict};
use slowpath::{Config, Effects, Outcome};
use topology::{Change, Object};
use types::{DropReason, Mac, ObjectId};

fn verdict(output: Output) -> Verdict {
    match output {
        Output::Deliver(port) => Verdict::Deliver(port),
        Output::Transmit(port) => Verdict::Transmit(port),
    }
}

/// One conversation: the opening frame, a later frame of the same flow, and an answer.
fn converse(
    host: &mut Host,
    from: &str,
    frames: [Vec<u8>; 2],
    to: &str,
    answer: &[u8],
    back: &[u8],
) {
    let port = |host: &Host, name: &str| {
        if name == "uplink" {
            UPLINK
        } else {
            host.port(name)
        }
    };
    let (from_port, to_port) = (port(host, from), port(host, to));
    let first = host.up(from, &frames[0]);
    assert_eq!(first.outcome, Outcome::Forwarded);
    assert_eq!(first.installed.len(), 1);
    let (output, _) = first.frame();
    let (mac, towards) = if to == "uplink" {
        (HOST_MAC, Output::Transmit(UPLINK))
    } else {
        (host.mac(to), Output::Deliver(to_port))
    };
    assert_eq!(output, towards);

    // The kernel does to the next packet what a walk of its own would do.
    let mut fresh = Host::new();
    let walked = fresh.up(from, &frames[1]);
    let (output, expected) = walked.frame();
    let run = host
        .kernel
        .run(2 * SECOND, from_port, &frames[1], ChecksumState::Complete);
    let (ran, bytes) = run.expect("a session");
    assert_eq!((ran, bytes.as_slice()), (verdict(output), expected));
    assert_eq!(macs(&bytes), (mac, Mac::ROUTER));

    // What the receiver answers to what it saw arrives as the answer to what was sent.
    assert_eq!(tuple(answer), tuple(&bytes).reversed());
    let run = host
        .kernel
        .run(3 * SECOND, to_port, answer, ChecksumState::Complete);
    let (ran, bytes) = run.expect("a session");
    assert_eq!(tuple(&bytes), tuple(&frames[0]).reversed());
    let hops = 64 - bytes[22];
    assert!(hops <= 2, "{hops} routers");
    assert_eq!(
        bytes[14..],
        aged(&back[14..], hops),
        "addresses, ports and checksums"
    );
    let (mac, towards) = if from == "uplink" {
        (HOST_MAC, Verdict::Transmit(UPLINK))
    } else {
        (host.mac(from), Verdict::Deliver(from_port))
    };
    assert_eq!((ran, macs(&bytes)), (towards, (mac, Mac::ROUTER)));

    let session = host.kernel.sessions[&first.installed[0]];
    assert_eq!(session.packets, [2, 1], "the opening packet counts");
    assert_eq!(session.created_ns, SECOND);
    assert_eq!(session.last_seen_ns, 3 * SECOND);
}

#[test]
fn inside_a_vpc() {
    let mut host = Host::new();
    let (web, db) = (host.mac("web"), host.mac("db"));
    let (client, server) = (("10.0.1.4", 40_000), ("10.0.2.4", 3306));
    let syn = tcp(web, client, server, TCP_SYN, b"");
    let data = tcp(web, client, server, TCP_ACK, b"select");
    let answer = tcp(db, server, client, TCP_ACK, b"rows");
    converse(&mut host, "web", [syn, data], "db", &answer, &answer);
}

#[test]
fn from_the_host_to_an_elastic_ip_and_out_of_it() {
    let mut host = Host::new();
    let web = host.mac("web");
    let (client, server) = ((HOST, 50_000), ("203.0.113.5", 80));
    let syn = tcp(HOST_MAC, client, server, TCP_SYN, b"");
    let data = tcp(HOST_MAC, client, server, TCP_ACK, b"GET /");
    let answer = tcp(web, ("10.0.1.4", 80), client, TCP_ACK, b"200");
    let back = tcp(web, server, client, TCP_ACK, b"200");
    converse(&mut host, "uplink", [syn, data], "web", &answer, &back);

    let (client, server) = (("10.0.1.4", 41_000), (HOST, 53));
    let ask = [b"a".as_slice(), b"bc"].map(|data| udp(web, client, server, data));
    let answer = udp(HOST_MAC, server, ("203.0.113.5", 41_000), b"reply");
    let back = udp(HOST_MAC, server, client, b"reply");
    converse(&mut host, "web", ask, "uplink", &answer, &back);
}

#[test]
fn between_two_elastic_ips() {
    let mut host = Host::new();
    let (web, web2) = (host.mac("web"), host.mac("web2"));
    let ping = |n| icmp(web, "10.0.1.4", "203.0.113.6", 8, [1, 2, 0, n], b"ping");
    let pong = icmp(web2, "10.0.1.5", "203.0.113.5", 0, [1, 2, 0, 1], b"ping");
    let back = icmp(web2, "203.0.113.6", "10.0.1.4", 0, [1, 2, 0, 1], b"ping");
    converse(&mut host, "web", [ping(1), ping(2)], "web2", &pong, &back);
}

#[test]
fn partial_checksums_stay_partial() {
    let mut host = Host::new();
    let web = host.mac("web");
    let mut syn = tcp(web, ("10.0.1.4", 1), (HOST, 2), TCP_SYN, b"");
    let partial =
        |source: &str| packet::checksum::pseudo(ip(source), ip(HOST), 6, 20).to_ne_bytes();
    syn[50..52].copy_from_slice(&partial("10.0.1.4"));
    let sent = host.up_port(host.port("web"), &syn, ChecksumState::Partial);
    assert_eq!(sent.outcome, Outcome::Forwarded);
    assert_eq!(sent.emitted[0].1[50..52], partial("203.0.113.5"));
}

#[test]
fn a_packet_that_overtakes_its_session_runs_it() {
    let mut host = Host::new();
    let (web, db) = (host.mac("web"), host.mac("db"));
    let (client, server) = (("10.0.1.4", 40_000), ("10.0.2.4", 3306));
    let syn = tcp(web, client, server, TCP_SYN, b"");
    assert_eq!(host.up("web", &syn).installed.len(), 1);
    let again = host.up("web", &syn);
    assert_eq!(
        (again.outcome, again.installed.len()),
        (Outcome::Forwarded, 0)
    );
    // No rule lets the server open this; only the session does.
    let answer = host.up("db", &tcp(db, server, client, TCP_ACK, b""));
    assert_eq!(answer.frame().0, Output::Deliver(host.port("web")));
    assert!(answer.installed.is_empty());
}

#[test]
fn a_middlebox_gets_the_frame_as_it_is() {
    let mut host = Host::new();
    let guarded = host.mac("guarded");
    let syn = tcp(guarded, ("10.0.3.4", 1), ("10.0.1.4", 80), TCP_SYN, b"");
    let sent = host.up("guarded", &syn);
    let (output, bytes) = sent.frame();
    assert_eq!(output, Output::Deliver(host.port("mbox")));
    assert_eq!(bytes[14..], aged(&syn[14..], 1));
    assert_eq!(macs(bytes), (host.mac("mbox"), Mac::ROUTER));
    // The middlebox sends it on under the first sender's address.
    let on = tcp(
        host.mac("mbox"),
        ("10.0.3.4", 1),
        ("10.0.1.4", 80),
        TCP_SYN,
        b"",
    );
    let sent = host.up("mbox", &on);
    assert_eq!(sent.frame().0, Output::Deliver(host.port("web")));
}

#[test]
fn without_a_way_back_nothing_is_installed() {
    let mut host = Host::new();
    let mute = host.mac("mute");
    let syn = tcp(mute, ("10.0.4.4", 1), ("10.0.1.4", 80), TCP_SYN, b"");
    for _ in 0..2 {
        let sent = host.up("mute", &syn);
        assert_eq!(sent.frame().0, Output::Deliver(host.port("web")));
        assert!(sent.installed.is_empty());
    }
    let answer = tcp(
        host.mac("web"),
        ("10.0.1.4", 80),
        ("10.0.4.4", 1),
        TCP_ACK,
        b"",
    );
    let sent = host.up("web", &answer);
    assert_eq!(sent.dropped(), DropReason::NetworkAcl);
    assert!(sent.drops[0].rule.is_some() && sent.drops[0].object.is_some());
}

#[test]
fn a_destination_without_a_port_is_not_attached() {
    let mut host = Host::new();
    let web = host.mac("web");
    let syn = tcp(web, ("10.0.1.4", 1), ("10.0.2.6", 80), TCP_SYN, b"");
    let sent = host.up("web", &syn);
    assert_eq!(sent.dropped(), DropReason::NotAttached);
    let absent = host.network.interface("absent");
    assert_eq!(sent.drops[0].object, Some(absent.into()));
}

#[test]
fn a_revoked_rule_cuts_exactly_what_it_allowed() {
    let mut host = Host::new();
    let web = host.mac("web");
    let to_db = tcp(web, ("10.0.1.4", 1), ("10.0.2.4", 3306), TCP_SYN, b"");
    let to_web2 = tcp(web, ("10.0.1.4", 1), ("10.0.1.5", 80), TCP_SYN, b"");
    let to_host = udp(web, ("10.0.1.4", 1), (HOST, 9), b"");
    let ids = [to_db.clone(), to_web2, to_host].map(|f| host.up("web", &f).installed[0]);

    let Object::SecurityGroup(mut db) = host.object("sg db") else {
        panic!("a group");
    };
    let rules = std::mem::take(&mut db.ingress);
    let cut = host.change(&[Change::Put(Object::SecurityGroup(db.clone()))]);
    assert_eq!((cut.removed, cut.updated), (vec![ids[0]], vec![]));
    assert_eq!(host.core.stats().cut, 1);
    let port = host.port("web");
    let run = host.kernel.run(0, port, &to_db, ChecksumState::Complete);
    assert_eq!(run, None);
    let sent = host.up("web", &to_db);
    assert_eq!(sent.dropped(), DropReason::SecurityGroupIngress);

    db.ingress = rules;
    let nothing = host.change(&[Change::Put(Object::SecurityGroup(db))]);
    assert!(nothing.removed.is_empty() && nothing.updated.is_empty());
    assert_eq!(host.up("web", &to_db).outcome, Outcome::Forwarded);
}

#[test]
fn what_does_not_change_the_decision_changes_nothing() {
    let mut host = Host::new();
    let web = host.mac("web");
    let syn = tcp(web, ("10.0.1.4", 1), ("10.0.2.4", 3306), TCP_SYN, b"");
    let id = host.up("web", &syn).installed[0];
    let depends: BTreeSet<ObjectId> = host.core.sessions().next().unwrap().depends.clone();
    for name in [
        "sg web",
        "sg db",
        "eni web",
        "eni db",
        "subnet pub",
        "subnet priv",
    ] {
        assert!(depends.contains(&host.object(name).id()), "{name}");
    }
    for object in host.network.objects.clone() {
        let result = host.change(&[Change::Put(object)]);
        assert!(result.removed.is_empty() && result.updated.is_empty());
    }
    // A new MAC address is another rewrite of the same session.
    let Object::Interface(mut db) = host.object("eni db") else {
        panic!("an interface");
    };
    db.mac = Mac([0x06, 9, 9, 9, 9, 9]);
    let result = host.change(&[Change::Put(Object::Interface(db.clone()))]);
    assert_eq!((result.updated, result.removed), (vec![id], vec![]));
    let port = host.port("web");
    let run = host.kernel.run(0, port, &syn, ChecksumState::Complete);
    assert_eq!(macs(&run.unwrap().1).0, db.mac);
    assert_eq!(host.core.stats().updated, 1);
}

#[test]
fn an_elastic_ip_that_moves_ends_its_conversations() {
    let mut host = Host::new();
    let out = udp(host.mac("web"), ("10.0.1.4", 1), (HOST, 9), b"");
    let id = host.up("web", &out).installed[0];
    let Object::PublicAddress(mut eip) = host.object("eipalloc web") else {
        panic!("an elastic ip");
    };
    eip.private = ip("10.0.1.6");
    let result = host.change(&[Change::Put(Object::PublicAddress(eip))]);
    assert_eq!(result.removed, vec![id]);
    assert_eq!(host.up("web", &out).dropped(), DropReason::NoPublicAddress);
}

#[test]
fn another_uplink_decides_everything_again() {
    let mut host = Host::new();
    let web = host.mac("web");
    let out = host.up("web", &udp(web, ("10.0.1.4", 1), (HOST, 9), b""));
    host.up(
        "web",
        &tcp(web, ("10.0.1.4", 1), ("10.0.1.5", 80), TCP_SYN, b""),
    );
    host.network.uplink = None;
    let snapshot = std::sync::Arc::new(host.network.snapshot());
    let mut effects = Effects::default();
    host.core.update(snapshot, &BTreeSet::new(), &mut effects);
    let result = host.settle(Outcome::Consumed, effects);
    assert_eq!(result.removed, out.installed);
}

#[test]
fn a_detached_port_ends_its_sessions() {
    let mut host = Host::new();
    let web = host.mac("web");
    let db = host.up(
        "web",
        &tcp(web, ("10.0.1.4", 1), ("10.0.2.4", 3306), TCP_SYN, b""),
    );
    host.up(
        "web",
        &tcp(web, ("10.0.1.4", 1), ("10.0.1.5", 80), TCP_SYN, b""),
    );
    let mut effects = Effects::default();
    host.core.detach(host.port("db"), &mut effects);
    let result = host.settle(Outcome::Consumed, effects);
    assert_eq!(result.removed, db.installed);
    // The interface comes back elsewhere, and then once more without having been detached.
    for port in [70, 71] {
        let mut effects = Effects::default();
        host.core
            .attach(port, host.network.interface("db"), &mut effects);
        host.settle(Outcome::Consumed, effects);
        let syn = tcp(web, ("10.0.1.4", 2), ("10.0.2.4", 3306), TCP_SYN, b"");
        assert_eq!(host.up("web", &syn).frame().0, Output::Deliver(port));
    }
    let Some(id) = host.core.sessions().last().map(|s| s.id) else {
        panic!("a session");
    };
    assert_eq!(host.kernel.sessions[&id].key[1].port, 71);
    assert_eq!(host.core.stats().sessions, 2);
}

#[test]
fn a_new_process_adopts_what_is_still_allowed() {
    let mut host = Host::new();
    let web = host.mac("web");
    let keep = host.up(
        "web",
        &tcp(web, ("10.0.1.4", 1), ("10.0.1.5", 80), TCP_SYN, b""),
    );
    let ping = host.up("web", &icmp(web, "10.0.1.4", HOST, 8, [0, 9, 0, 1], b""));
    let cut = host.up(
        "web",
        &tcp(web, ("10.0.1.4", 1), ("10.0.2.4", 3306), TCP_SYN, b""),
    );
    host.now_ns += 29 * SECOND;
    let late = host.up(
        "uplink",
        &tcp(HOST_MAC, (HOST, 7), ("203.0.113.5", 80), TCP_SYN, b""),
    );
    let sessions: Vec<_> = host.kernel.sessions.clone().into_iter().collect();

    let adopt = |host: &mut Host, now_ns| {
        host.restart();
        let mut effects = Effects::default();
        host.core.adopt(now_ns, sessions.clone(), &mut effects);
        effects
    };
    let db = host.object("sg db").id();
    host.network.objects.retain(|object| object.id() != db);
    host.snapshot = std::sync::Arc::new(host.network.snapshot());
    let effects = adopt(&mut host, 30 * SECOND);
    let result = host.settle(Outcome::Consumed, effects);
    assert_eq!((result.removed, result.updated), (cut.installed, vec![]));
    let ids: Vec<u64> = host.core.sessions().map(|s| s.id).collect();
    assert_eq!(
        ids,
        [keep.installed, ping.installed, late.installed.clone()].concat()
    );
    // They are live: the next id is new, and a change finds them.
    let next = host.up("web", &udp(web, ("10.0.1.4", 1), (HOST, 9), b""));
    assert!(next.installed[0] > late.installed[0]);
    let web_group = host.object("sg web").id();
    assert!(host.core.sessions().all(|s| s.depends.contains(&web_group)));

    // After a long pause nothing of it is left.
    let effects = adopt(&mut host, 1000 * SECOND);
    assert_eq!(effects.list.len(), sessions.len());
    assert_eq!(host.core.stats().sessions, 0);
}

#[test]
fn sweeps_remove_the_silent() {
    let mut host = Host::new();
    let web = host.mac("web");
    for port in 1..=10 {
        host.up("web", &udp(web, ("10.0.1.4", port), (HOST, 9), b""));
    }
    let sweep = |host: &mut Host, now_ns: u64| {
        let mut effects = Effects::default();
        let sessions: Vec<_> = host.kernel.sessions.clone().into_iter().collect();
        host.core.sweep(now_ns, &sessions, &mut effects);
        host.settle(Outcome::Consumed, effects).removed
    };
    assert_eq!(sweep(&mut host, 30 * SECOND), vec![]);
    // One of them is answered, and another one is used.
    let answer = udp(HOST_MAC, (HOST, 9), ("203.0.113.5", 3), b"");
    host.kernel
        .run(SECOND, UPLINK, &answer, ChecksumState::Complete);
    let again = udp(web, ("10.0.1.4", 7), (HOST, 9), b"");
    host.kernel.run(
        20 * SECOND,
        host.port("web"),
        &again,
        ChecksumState::Complete,
    );
    assert_eq!(sweep(&mut host, 31 * SECOND), [1, 2, 4, 5, 6, 8, 9, 10]);
    assert_eq!(host.core.stats().expired, 8);
    // What the kernel did not take goes too.
    host.kernel = Kernel::default();
    for id in [3, 7] {
        host.core.lost(id);
    }
    assert_eq!(host.core.stats().sessions, 0);
}

#[test]
fn a_full_share_hurts_nobody_else() {
    let small = Config {
        max_sessions: 8,
        max_sessions_per_port: 5,
        ..config()
    };
    let mut host = Host::with(WORLD, &PORTS, small);
    let (web, web2) = (host.mac("web"), host.mac("web2"));
    let scan = |n| tcp(web, ("10.0.1.4", n), ("10.0.1.5", 80), TCP_SYN, b"");
    for n in 1..=5 {
        assert_eq!(host.up("web", &scan(n)).outcome, Outcome::Forwarded);
    }
    assert_eq!(
        host.up("web", &scan(6)).dropped(),
        DropReason::FlowTableFull
    );
    assert_eq!(
        host.up("web", &scan(5)).outcome,
        Outcome::Forwarded,
        "has a session"
    );
    // What the outside opens to an interface is charged to it, not to the outside.
    let from_host = |to, n| tcp(HOST_MAC, (HOST, n), (to, 80), TCP_SYN, b"");
    let refused = host.up("uplink", &from_host("203.0.113.5", 1));
    assert_eq!(refused.dropped(), DropReason::FlowTableFull);
    let sent = host.up("uplink", &from_host("203.0.113.6", 1));
    assert_eq!(sent.outcome, Outcome::Forwarded);
    // More ports are no way around: an account has three quarters at most, so another still finds room.
    let other = tcp(web2, ("10.0.1.5", 1), ("10.0.1.4", 80), TCP_SYN, b"");
    let refused = host.up("web2", &other);
    assert_eq!(refused.dropped(), DropReason::FlowTableFull);
    let evil = host.mac("evil");
    let own = |n| tcp(evil, ("10.0.1.9", n), ("10.0.1.9", 80), TCP_SYN, b"");
    for n in 1..=2 {
        assert_eq!(host.up("evil", &own(n)).outcome, Outcome::Forwarded);
    }
    let refused = host.up("evil", &own(3));
    assert_eq!(
        refused.dropped(),
        DropReason::FlowTableFull,
        "the host is full"
    );
    // What goes makes room for its account.
    let mut effects = Effects::default();
    host.core.detach(host.port("web2"), &mut effects);
    let result = host.settle(Outcome::Consumed, effects);
    assert!(!result.removed.is_empty());
    assert_eq!(host.up("evil", &own(3)).outcome, Outcome::Forwarded);
}

#[test]
fn answers_that_would_be_another_flows_are_a_conflict() {
    let mut host = Host::new();
    let (web, mbox) = (host.mac("web"), host.mac("mbox"));
    let (client, server) = (("10.0.1.5", 40_000), ("10.0.1.4", 80));
    let real = tcp(host.mac("web2"), client, server, TCP_SYN, b"");
    assert_eq!(host.up("web2", &real).outcome, Outcome::Forwarded);
    // A middlebox pretends to be the client of an open conversation.
    let forged = tcp(mbox, client, server, TCP_ACK, b"");
    assert_eq!(host.up("mbox", &forged).dropped(), DropReason::FlowConflict);
    let answer = tcp(web, server, client, TCP_ACK, b"");
    let run = host
        .kernel
        .run(0, host.port("web"), &answer, ChecksumState::Complete);
    assert_eq!(run.unwrap().0, Verdict::Deliver(host.port("web2")));
}
