//! The flow table's entries against the walk, in the same random networks in which the walk meets its naive model: what
//! the kernel's own code does with an entry is what the walk said, of the packet and of its answer; and what is left
//! after a change is what would be decided now.
//!
//! `POLDER_WORLDS` says how many networks, `POLDER_SEED` with which seed they begin.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod common;
#[path = "../../walk/tests/worlds/world.rs"]
#[allow(dead_code, reason = "the walk's own tests use the rest")]
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{HOST_MAC, Kernel, SECOND, UPLINK, config, icmp, macs, tcp, tuple, udp};
use fastpath_core::abi::{FlowKey, Output, TCP_ACK, TCP_SYN};
use fastpath_core::{ChecksumState, Verdict};
use slowpath::{Core, Effect, Effects, Outcome};
use topology::{Change, Snapshot};
use types::{DropReason, FlowTuple, InterfaceId, Mac, proto};
use walk::{Decision, Delivery, Egress, FlowState, NoTrace, Origin, Packet, walk};
use world::{Dice, World};

/// Of so many networks, the first is made from nothing, and each other one is a change of the one before.
const CHANGES: u64 = 10;
const PACKETS: usize = 4;
const WORLDS: u64 = 100_000;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn entries_do_what_the_walk_says() {
    let worlds = from_environment("POLDER_WORLDS", WORLDS);
    let first = from_environment("POLDER_SEED", 0);
    let end = first + worlds.div_ceil(CHANGES);
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(u64::MAX);
    let sessions = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failed.load(Ordering::Relaxed) != u64::MAX {
                        return;
                    }
                    match std::panic::catch_unwind(|| run(seed)) {
                        Ok(count) => sessions.fetch_add(count, Ordering::Relaxed),
                        Err(_) => failed.fetch_min(seed, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert!(
        failed == u64::MAX,
        "a network with this seed shows it again: POLDER_SEED={failed} POLDER_WORLDS=1"
    );
    // The networks are worth something: of packets that are mostly denied, enough open flows.
    let sessions = sessions.into_inner();
    assert!(sessions * 10 > worlds, "{sessions} sessions");
}

fn run(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let mut host = Host::new(World::random(&mut dice));
    for revision in 1..=CHANGES {
        if revision > 1 {
            let change = host.world.mutate(&mut dice);
            host.change(revision, &change);
        }
        for _ in 0..PACKETS {
            let (origin, packet, _) = host.world.packet(&mut dice);
            host.try_packet(origin, &packet);
        }
    }
    host.core.stats().installed
}

struct Host {
    world: World,
    snapshot: Arc<Snapshot>,
    core: Core,
    kernel: Kernel,
}

fn port_of(id: InterfaceId) -> u32 {
    1000 + u32::try_from(id.bits()).unwrap()
}

fn origin_of(port: u32) -> Origin {
    match port {
        UPLINK => Origin::Uplink,
        port => Origin::Interface(InterfaceId::from_bits(u128::from(port - 1000))),
    }
}

/// Whether it is for the resolver of one of the VPCs.
fn is_question(tuple: &FlowTuple) -> bool {
    let to = tuple.destination.to_string();
    tuple.destination_port == 53 && ["10.0.0.2", "10.1.0.2"].contains(&to.as_str())
}

fn output_of(egress: Egress) -> Output {
    match egress {
        Egress::Uplink => Output::Transmit(UPLINK),
        Egress::Interface(id) => Output::Deliver(port_of(id)),
    }
}

impl Host {
    fn new(world: World) -> Host {
        let mut host = Host {
            snapshot: Arc::new(world.snapshot()),
            world,
            core: Core::new(config()),
            kernel: Kernel::default(),
        };
        let snapshot = Arc::clone(&host.snapshot);
        host.update(snapshot, &BTreeSet::new());
        host
    }

    fn update(&mut self, snapshot: Arc<Snapshot>, changed: &BTreeSet<types::ObjectId>) {
        self.snapshot = Arc::clone(&snapshot);
        let mut effects = Effects::default();
        self.core.update(snapshot, changed, &mut effects);
        let attached: Vec<InterfaceId> = self
            .world
            .interfaces()
            .filter(|interface| interface.instance.is_some())
            .map(|interface| interface.id)
            .collect();
        for id in attached {
            self.core.attach(port_of(id), id, &mut effects);
        }
        for effect in &effects.list {
            self.kernel.apply(effect);
        }
    }

    /// The network changes; what is left in the table is what would be decided now.
    fn change(&mut self, revision: u64, change: &Change) {
        let next = self.snapshot.apply(revision, std::slice::from_ref(change));
        self.update(Arc::new(next), &BTreeSet::from([change.id()]));
        for session in self.kernel.sessions.values() {
            let key = session.key[0];
            let packet = opener(key.tuple());
            let decision = self.decide(origin_of(key.port), &packet, FlowState::New);
            let Decision::Deliver(delivery) = decision else {
                panic!("{packet:?} is let through, but {decision:?} after {change:?}");
            };
            let (Output::Deliver(port) | Output::Transmit(port)) = output_of(delivery.egress);
            assert_eq!(
                session.action[0].output, port,
                "{packet:?} after {change:?}"
            );
        }
    }

    fn decide(&self, origin: Origin, packet: &Packet, flow: FlowState) -> Decision {
        walk(&self.snapshot, origin, packet, flow, &mut NoTrace)
    }

    fn try_packet(&mut self, origin: Origin, packet: &Packet) {
        let (port, mac) = match origin {
            Origin::Uplink => (UPLINK, HOST_MAC),
            Origin::Interface(id) => match self.world.interface(id) {
                Some(interface) if interface.instance.is_some() => (port_of(id), interface.mac),
                _ => return,
            },
        };
        // ICMP errors belong to flows, and nothing is walked that is for a group.
        let is_error = packet.icmp.is_some_and(|(kind, _)| kind == 3);
        if is_error || packet.tuple.destination.to_string() == "255.255.255.255" {
            return;
        }
        let frame = frame(mac, &packet.tuple, TCP_SYN);
        let checksum = ChecksumState::Complete;
        // Packets of a flow that is there already are the kernel's.
        let key = FlowKey::new(port, &packet.tuple);
        if self.kernel.flows.contains_key(&key) {
            return;
        }
        let mut effects = Effects::default();
        let outcome = self
            .core
            .upcall(SECOND, port, &frame, checksum, &mut effects);
        let mut emitted = Vec::new();
        let mut installed = 0;
        for effect in effects.list {
            self.kernel.apply(&effect);
            match effect {
                Effect::Install { .. } => installed += 1,
                Effect::Emit { output, frame, .. } => emitted.push((output, frame)),
                Effect::Update { .. }
                | Effect::Template { .. }
                | Effect::Revoke { .. }
                | Effect::Remove { .. }
                | Effect::Dropped(_) => {}
            }
        }
        let delivery = match self.decide(origin, packet, FlowState::New) {
            Decision::Drop(dropped) => {
                // The network's own addresses may answer, the resolver whatever the groups say (EC2 "Security group
                // basics": they do not filter what goes to the DNS of a VPC).
                let answered = outcome == Outcome::Consumed && is_question(&packet.tuple);
                if dropped.reason != DropReason::NotAService && !answered {
                    assert_eq!(outcome, Outcome::Dropped(dropped.reason), "{packet:?}");
                }
                assert_eq!(installed, 0);
                return;
            }
            Decision::Deliver(delivery) => delivery,
        };
        if outcome == Outcome::Dropped(DropReason::FlowConflict) {
            return;
        }
        assert_eq!(outcome, Outcome::Forwarded, "{packet:?}");
        let [(output, arrived)] = emitted.as_slice() else {
            panic!("one frame: {emitted:?}");
        };
        assert_eq!(*output, output_of(delivery.egress));
        let seen = tuple(arrived);
        if delivery.translation.is_none() {
            assert_eq!(seen, delivery.tuple);
        }
        let expected = FlowTuple {
            source_port: seen.source_port,
            ..delivery.tuple
        };
        assert_eq!(seen, expected);
        self.check_answer(origin, packet, &delivery, arrived, installed);
        if installed == 1 {
            // A SYN may have to go through the host's own hands.
            let later = self::frame(mac, &packet.tuple, TCP_ACK);
            let (verdict, bytes) = self.kernel.run(0, port, &later, checksum).unwrap();
            assert_eq!((verdict, tuple(&bytes)), (as_verdict(*output), seen));
            assert!(::packet::checksum::hold(&bytes));
        }
    }

    /// The walk of the answer, and what the entry does with it.
    fn check_answer(
        &mut self,
        origin: Origin,
        packet: &Packet,
        delivery: &Delivery,
        arrived: &[u8],
        installed: usize,
    ) {
        let seen = tuple(arrived);
        let flow = match delivery.translation {
            None => FlowState::Reply(origin),
            Some(mut translation) => {
                translation.outside.port = seen.source_port;
                FlowState::Translated(origin, translation)
            }
        };
        let back = match delivery.egress {
            Egress::Interface(id) => Origin::Interface(id),
            Egress::Uplink => Origin::Uplink,
        };
        let reply = Packet {
            tuple: seen.reversed(),
            icmp: packet.icmp.map(|_| (0, 0)),
        };
        let Decision::Deliver(returned) = self.decide(back, &reply, flow) else {
            return;
        };
        assert_eq!(installed, 1, "{packet:?} is answered");
        let (Output::Deliver(there) | Output::Transmit(there)) = output_of(delivery.egress);
        let frame = frame(macs(arrived).0, &reply.tuple, TCP_ACK);
        let ran = self.kernel.run(0, there, &frame, ChecksumState::Complete);
        let (verdict, bytes) = ran.unwrap();
        assert_eq!(verdict, as_verdict(output_of(returned.egress)));
        assert_eq!(tuple(&bytes), returned.tuple);
        assert_eq!(macs(&bytes).1, Mac::ROUTER);
        assert!(::packet::checksum::hold(&bytes));
    }
}

fn as_verdict(output: Output) -> Verdict {
    match output {
        Output::Deliver(port) => Verdict::Deliver(port),
        Output::Transmit(port) => Verdict::Transmit(port),
    }
}

/// The packet that opened a flow with this tuple.
fn opener(tuple: FlowTuple) -> Packet {
    Packet {
        icmp: (tuple.protocol == proto::ICMP).then_some((8, 0)),
        tuple,
    }
}

fn frame(mac: Mac, tuple: &FlowTuple, flags: u8) -> Vec<u8> {
    let (source, destination) = (tuple.source.to_string(), tuple.destination.to_string());
    let from = (source.as_str(), tuple.source_port);
    let to = (destination.as_str(), tuple.destination_port);
    match tuple.protocol {
        proto::TCP => tcp(mac, from, to, flags, b""),
        proto::UDP => udp(mac, from, to, b"data"),
        // The identifier of a request is the key's source port, that of a reply its destination port.
        proto::ICMP if tuple.source_port != 0 => {
            let [a, b] = tuple.source_port.to_be_bytes();
            icmp(mac, from.0, to.0, 8, [a, b, 0, 1], b"ping")
        }
        proto::ICMP => {
            let [a, b] = tuple.destination_port.to_be_bytes();
            icmp(mac, from.0, to.0, 0, [a, b, 0, 1], b"ping")
        }
        other => common::frame(mac, from.0, to.0, other, b"data"),
    }
}
