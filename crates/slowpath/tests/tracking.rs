//! What becomes of flows when the rule that allowed them goes, as EC2 documents it ("Security group connection
//! tracking"); when idle ones are forgotten; and what a NAT gateway answers to what it has forgotten.
#![expect(clippy::panic, reason = "a test that cannot go on stops")]

mod common;

use common::*;
use fastpath_core::ChecksumState;
use fastpath_core::abi::{Output, TCP_ACK, TCP_RST, TCP_SYN};
use packet::{Ethernet, Ipv4, Tcp};
use slowpath::{Effects, Outcome, Revocation};
use topology::{Change, IdleTimes, Object};
use types::Mac;

fn host(revocation: Revocation) -> Host {
    let config = slowpath::Config {
        revocation,
        ..config()
    };
    Host::with(WORLD, &PORTS, config)
}

/// A connection from `web` to this server.
fn open(host: &mut Host, to: (&str, u16)) -> u64 {
    let syn = tcp(host.mac("web"), ("10.0.1.4", 1), to, TCP_SYN, b"");
    host.up("web", &syn).installed[0]
}

/// The group loses its rules of this direction.
fn revoke(host: &mut Host, group: &str, inbound: bool) -> Vec<u64> {
    let Object::SecurityGroup(mut group) = host.object(group) else {
        panic!("a group");
    };
    if inbound {
        group.ingress.clear();
    } else {
        group.egress.clear();
    }
    let done = host.change(&[Change::Put(Object::SecurityGroup(group))]);
    assert_eq!(done.updated, Vec::<u64>::new());
    done.removed
}

#[test]
fn a_tracked_connection_outlives_its_rule_and_opens_nothing_new() {
    let mut host = host(Revocation::Ec2);
    // The rule names a group: tracked.
    let id = open(&mut host, ("10.0.2.4", 3306));
    assert_eq!(revoke(&mut host, "sg db", true), []);
    assert!(host.kernel.sessions.contains_key(&id));
    // Changes that concern it otherwise do not bring the rule back to mind either.
    let db = host.object("eni db");
    assert_eq!(host.change(&[Change::Put(db)]).removed, []);
    let web = host.mac("web");
    let another = tcp(web, ("10.0.1.4", 2), ("10.0.2.4", 3306), TCP_SYN, b"");
    assert_eq!(
        host.up("web", &another).dropped(),
        types::DropReason::SecurityGroupIngress
    );
    // A network ACL has no memory.
    let Object::NetworkAcl(mut acl) = host.object("acl a") else {
        panic!("an acl");
    };
    acl.ingress.clear();
    let cut = host.change(&[Change::Put(Object::NetworkAcl(acl))]);
    assert_eq!(cut.removed, [id]);
}

#[test]
fn an_untracked_connection_ends_with_its_rule() {
    let mut host = host(Revocation::Ec2);
    // From everywhere, and everything out to everywhere.
    let id = open(&mut host, ("10.0.1.5", 80));
    assert_eq!(revoke(&mut host, "sg web", true), [id]);
}

#[test]
fn the_sending_end_tracks_too() {
    let mut host = host(Revocation::Ec2);
    // Out to everywhere, but of what might answer, only some ports are let in from everywhere.
    let id = open(&mut host, ("10.0.2.4", 3306));
    assert_eq!(revoke(&mut host, "sg web", false), []);
    assert!(host.kernel.sessions.contains_key(&id));
}

#[test]
fn icmp_is_always_tracked() {
    let mut host = host(Revocation::Ec2);
    let mbox = host.mac("mbox");
    let ping = icmp(mbox, "10.0.2.5", "10.0.1.4", 8, [1, 2, 3, 4], b"ping");
    let id = host.up("mbox", &ping).installed[0];
    assert_eq!(revoke(&mut host, "sg web", true), []);
    assert!(host.kernel.sessions.contains_key(&id));
}

#[test]
fn strict_revocation_cuts_at_once() {
    let mut host = host(Revocation::Strict);
    let id = open(&mut host, ("10.0.2.4", 3306));
    assert_eq!(revoke(&mut host, "sg db", true), [id]);
}

/// The sessions that a sweep removes after so many silent seconds.
fn swept(host: &mut Host, seconds: u64) -> Vec<u64> {
    let now = host.now_ns + seconds * SECOND;
    let mut sessions: Vec<_> = host.kernel.sessions.clone().into_iter().collect();
    for (_, session) in &mut sessions {
        session.last_seen_ns = host.now_ns;
        session.tcp_flags = u32::from(TCP_SYN | TCP_ACK) * 0x101;
        session.packets = [2, 2];
    }
    let mut effects = Effects::default();
    host.core.sweep(now, &sessions, &mut effects);
    host.settle(Outcome::Consumed, effects).removed
}

#[test]
fn an_interface_may_remember_longer_or_shorter() {
    let mut host = host(Revocation::Ec2);
    let id = open(&mut host, ("10.0.2.4", 3306));
    let idle = |host: &mut Host, name: &str, seconds| {
        let Object::Interface(mut interface) = host.object(name) else {
            panic!("an interface");
        };
        interface.idle = IdleTimes {
            tcp_established: Some(seconds),
            ..IdleTimes::default()
        };
        host.change(&[Change::Put(Object::Interface(interface))]);
    };
    idle(&mut host, "eni web", 432_000);
    // The other end has the default.
    assert_eq!(swept(&mut host, 349), []);
    idle(&mut host, "eni db", 1000);
    assert_eq!(swept(&mut host, 999), []);
    assert_eq!(swept(&mut host, 1000), [id]);
}

const NAT: &str = "
    uplink 203.0.113.0/24 host 203.0.113.1 internet
    vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
      table public
        route 0.0.0.0/0 igw a
      table private
        route 0.0.0.0/0 nat a
      group all
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      subnet public 10.0.0.0/24 table public
      subnet private 10.0.1.0/24 table private
      interface nat subnet public address 10.0.0.4 detached
      interface one subnet private address 10.0.1.4 groups all
      nat a subnet public interface nat
      elastic nat 203.0.113.5 interface nat
";

#[test]
fn a_nat_gateway_resets_what_it_has_forgotten() {
    let mut host = Host::with(NAT, &[("one", 11)], config());
    let (from, to) = (("10.0.1.4", 40_000), ("198.51.100.7", 443));
    let mac = host.mac("one");
    let syn = tcp(mac, from, to, TCP_SYN, b"");
    let id = host.up("one", &syn).installed[0];
    assert_eq!(swept(&mut host, 350), [id]);
    let late = tcp(mac, from, to, TCP_ACK, b"late");
    let sent = host.up("one", &late);
    assert_eq!(sent.outcome, Outcome::Answered);
    assert_eq!(sent.installed, []);
    let (output, frame) = sent.frame();
    assert_eq!(output, Output::Deliver(11));
    let ethernet = Ethernet::parse(frame).expect("a frame");
    assert_eq!((ethernet.destination, ethernet.source), (mac, Mac::ROUTER));
    let ip = Ipv4::parse(ethernet.payload).expect("a packet");
    let reset = Tcp::parse(ip.payload).expect("a segment");
    assert_eq!((reset.source_port, reset.destination_port), (443, 40_000));
    // What the late segment acknowledged is where the reset stands; `tcp` acknowledges 0.
    assert_eq!((reset.flags, reset.sequence), (TCP_RST, 0));
    // A reset is not answered, and a new connection is none that was forgotten.
    let rst = tcp(mac, from, to, TCP_RST, b"");
    assert_eq!(host.up("one", &rst).outcome, Outcome::Consumed);
    assert_eq!(host.up("one", &syn).outcome, Outcome::Forwarded);
    let run = host.kernel.run(0, 11, &late, ChecksumState::Complete);
    assert!(run.is_some());
}
