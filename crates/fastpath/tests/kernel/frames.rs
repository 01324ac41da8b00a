//! Frames that must not arrive, and those that must come up.

use std::net::Ipv4Addr;

use fastpath::abi::{
    Action, FlowKey, Output, Port, Session, UPCALL_ARP, UPCALL_NO_SESSION, UPCALL_SLOW_ONLY,
    encode_output,
};
use fastpath::{Fastpath, Tap, VnetHeader};
use fastpath_core::{Parsed, parse_frame};
use types::{DropReason, Mac};

use crate::agent::{A, A_MAC, Agent, B, B_MAC, World};
use testkit::{ip, is_root};

/// A guest that is a TAP: what the test writes is what the guest sends.
struct RawGuest {
    tap: Tap,
    port: u32,
}

impl RawGuest {
    fn new(fastpath: &mut Fastpath, name: &str, port: Port) -> RawGuest {
        let tap = Tap::open(name).expect("a TAP");
        ip(&format!("link set {name} addrgenmode none"));
        ip(&format!("link set {name} up"));
        let index = tap.ifindex().expect("index");
        fastpath.attach_port(index, port).expect("attached");
        RawGuest { tap, port: index }
    }

    fn send(&self, frame: &[u8]) {
        self.tap
            .write(VnetHeader::default(), frame)
            .expect("the kernel takes any frame");
    }
}

/// An Ethernet frame.
fn frame(destination: Mac, source: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [destination.0, source.0].concat();
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An IPv4 packet with a UDP datagram of four bytes.
fn udp(source: Ipv4Addr, destination: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend([0x30, 0x39]);
    packet.extend(port.to_be_bytes());
    packet.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    packet
}

#[test]
fn bad_frames_are_counted_and_others_come_up() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let mut agent = Agent::new(None);
    let guest = RawGuest::new(&mut agent.fastpath, "pdraw", Port::guest(A_MAC, 1, 6));
    let router = Mac::ROUTER;
    let good = udp(A, B, 9);
    let patched = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        packet
    };
    for (reason, bad) in [
        (DropReason::SpoofedMac, frame(router, B_MAC, 0x0800, &good)),
        (
            DropReason::MalformedFrame,
            frame(router, A_MAC, 0x0800, &good[..27]),
        ),
        (
            DropReason::MalformedFrame,
            frame(router, A_MAC, 0x0800, &patched(3, 33)),
        ),
        (
            DropReason::MalformedFrame,
            frame(router, A_MAC, 0x0800, &[]),
        ),
        (
            DropReason::MalformedFrame,
            frame(router, A_MAC, 0x0806, &[0; 27]),
        ),
        (
            DropReason::IpOptions,
            frame(router, A_MAC, 0x0800, &patched(0, 0x46)),
        ),
        (
            DropReason::UnsupportedEtherType,
            frame(router, A_MAC, 0x88cc, &good),
        ),
        (DropReason::UnsupportedEtherType, {
            let mut tagged = vec![0, 7, 8, 0];
            tagged.extend(&good);
            frame(router, A_MAC, 0x8100, &tagged)
        }),
        (DropReason::ForeignMac, frame(B_MAC, A_MAC, 0x0800, &good)),
        (
            DropReason::BroadcastOrMulticast,
            frame(Mac::BROADCAST, A_MAC, 0x0800, &good),
        ),
    ] {
        let count = |agent: &Agent| {
            let drops = agent.fastpath.drops().expect("read");
            (
                drops.get(&(guest.port, reason)).copied().unwrap_or(0),
                drops
                    .iter()
                    .filter(|((port, _), _)| *port == guest.port)
                    .map(|(_, n)| n)
                    .sum::<u64>(),
            )
        };
        let before = count(&agent);
        guest.send(&bad);
        let after = count(&agent);
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{reason}: {bad:02x?}");
    }
    assert!(agent.receive(0).is_none(), "nothing bad comes up");

    let mut arp = vec![0; 28];
    arp[7] = 1;
    for (reason, sent) in [
        (UPCALL_NO_SESSION, frame(router, A_MAC, 0x0800, &good)),
        (UPCALL_ARP, frame(Mac::BROADCAST, A_MAC, 0x0806, &arp)),
        (
            UPCALL_SLOW_ONLY,
            frame(
                Mac::BROADCAST,
                A_MAC,
                0x0800,
                &udp(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, 67),
            ),
        ),
    ] {
        guest.send(&sent);
        let (_, upcall, up) = agent.receive(1000).expect("an upcall");
        assert_eq!(
            (upcall.reason, upcall.interface_index()),
            (reason, guest.port)
        );
        assert_eq!(up, sent);
    }
    // The burst of six has three left; then the rate holds the rest back.
    for _ in 0..50 {
        guest.send(&frame(router, A_MAC, 0x0800, &good));
    }
    let drops = agent.fastpath.drops().expect("read");
    assert_eq!(drops[&(guest.port, DropReason::UpcallRate)], 47);
    let counters = agent
        .fastpath
        .counters(guest.port)
        .expect("read")
        .expect("a port");
    assert_eq!((counters.upcalls, counters.rx_packets), (6, 10 + 3 + 50));

    // What is in no port's name does not leave the slow path either.
    let slow = agent.tap.ifindex().expect("index");
    let drops_of_slow = |agent: &Agent| -> u64 {
        let drops = agent.fastpath.drops().expect("read");
        drops
            .iter()
            .filter(|((port, _), _)| *port == slow)
            .map(|(_, n)| n)
            .sum()
    };
    let stray = encode_output(Output::Deliver(0x00ff_fff0)).expect("fits");
    for source in [A_MAC, Mac::ROUTER, Mac(stray)] {
        let before = drops_of_slow(&agent);
        agent
            .tap
            .write(VnetHeader::default(), &frame(B_MAC, source, 0x0800, &good))
            .expect("taken");
        assert_eq!(drops_of_slow(&agent), before + 1, "{source}");
    }

    // A port that is none any more forwards nothing, and forgets.
    agent.fastpath.detach_port(guest.port).expect("detached");
    assert_eq!(agent.fastpath.counters(guest.port).expect("read"), None);
    assert!(
        agent
            .fastpath
            .drops()
            .expect("read")
            .keys()
            .all(|(port, _)| *port != guest.port)
    );
    drop(world);
}

#[test]
fn a_dropping_session_drops_and_a_removed_one_comes_up() {
    if !is_root() {
        return;
    }
    let _world = World::new();
    let mut agent = Agent::new(None);
    let guest = RawGuest::new(&mut agent.fastpath, "pdraw", Port::guest(A_MAC, 1000, 100));
    let sent = frame(Mac::ROUTER, A_MAC, 0x0800, &udp(A, B, 9));
    let Ok(Parsed::Ip(packet)) = parse_frame(&sent) else {
        panic!("a good frame");
    };
    let session = Session {
        key: [packet.key(guest.port), FlowKey::default()],
        action: [Action::drop(DropReason::SecurityGroupEgress); 2],
        ..Session::default()
    };
    agent.fastpath.install(7, &session).expect("room");
    guest.send(&sent);
    let reason = (guest.port, DropReason::SecurityGroupEgress);
    assert_eq!(agent.fastpath.drops().expect("read")[&reason], 1);
    assert_eq!(
        agent.fastpath.flow(&session.key[0]).expect("read"),
        Some((7, 0))
    );
    assert!(
        agent
            .fastpath
            .replace_actions(7, session.action, 5)
            .expect("there")
    );
    let last = agent
        .fastpath
        .remove(7)
        .expect("removed")
        .expect("was there");
    assert_eq!((last.packets, last.bytes, last.mark), ([1, 0], [32, 0], 5));
    assert_eq!(agent.fastpath.flow(&session.key[0]).expect("read"), None);
    assert_eq!(agent.fastpath.remove(7).expect("no error"), None);
    guest.send(&sent);
    assert!(agent.receive(1000).is_some());
}
