//! Properties of the walk over random networks, and a second, naive implementation of the rules to compare with.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod model;
mod world;

use std::ops::ControlFlow;

use proptest::prelude::*;
use topology::{Snapshot, Target};
use types::DropReason;
use walk::{
    Decision, Delivery, Egress, FlowState, NoTrace, Origin, Outcome, Packet, Path, Recorder,
    destination_leg, source_leg, walk,
};
use world::{Dice, World};

/// Packets that are sent into each random network.
const PACKETS: usize = 24;

struct Case {
    origin: Origin,
    packet: Packet,
    flow: FlowState,
    decision: Decision,
    trace: Recorder,
}

fn cases(world: &World, snapshot: &Snapshot, dice: &mut Dice) -> Vec<Case> {
    (0..PACKETS)
        .map(|_| {
            let (origin, packet, flow) = world.packet(dice);
            let mut trace = Recorder::default();
            let decision = walk(snapshot, origin, &packet, flow, &mut trace);
            Case {
                origin,
                packet,
                flow,
                decision,
                trace,
            }
        })
        .collect()
}

fn delivered(case: &Case) -> Option<Delivery> {
    match case.decision {
        Decision::Deliver(delivery) => Some(delivery),
        Decision::Drop(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_model_agrees(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        for case in cases(&world, &snapshot, &mut dice) {
            let expected = model::decide(&world, case.origin, &case.packet, case.flow);
            let found = match case.decision {
                Decision::Deliver(delivery) => Ok((delivery.egress, delivery.tuple)),
                Decision::Drop(dropped) => Err(dropped.reason),
            };
            prop_assert_eq!(found, expected, "{:?} {:#?}", case.packet, case.trace);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// The same question has the same answer, listened to or not, and the trace ends with the decision.
    #[test]
    fn the_trace_changes_nothing(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        for case in cases(&world, &snapshot, &mut dice) {
            let mut again = Recorder::default();
            let second = walk(&snapshot, case.origin, &case.packet, case.flow, &mut again);
            let quiet = walk(&snapshot, case.origin, &case.packet, case.flow, &mut NoTrace);
            prop_assert_eq!(second, case.decision);
            prop_assert_eq!(quiet, case.decision);
            prop_assert_eq!(&again, &case.trace);
            let (last, before) = case.trace.lines.split_last().unwrap();
            prop_assert!(before.iter().all(|line| line.outcome == Outcome::Pass));
            let end = match case.decision {
                Decision::Deliver(_) => Outcome::Pass,
                Decision::Drop(dropped) => Outcome::Drop(dropped.reason),
            };
            prop_assert_eq!(last.outcome, end);
        }
    }

    /// Each leg on what its own host knows, one VPC, is the walk over everything.
    #[test]
    fn legs_compose(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        for case in cases(&world, &snapshot, &mut dice) {
            let source = match case.origin {
                Origin::Interface(id) => world.slice(world.interface(id).map(|i| i.vpc)),
                Origin::Uplink => world.slice(None),
            };
            let mut trace = Recorder::default();
            let decision = match source_leg(&source, case.origin, &case.packet, case.flow, &mut trace) {
                ControlFlow::Break(dropped) => Decision::Drop(dropped),
                ControlFlow::Continue(wire) => {
                    let vpc = match wire.path {
                        Path::Local { vpc, .. } | Path::Forward { vpc, .. } => Some(vpc),
                        Path::Gateway | Path::Uplink => snapshot
                            .public_address(wire.tuple.destination)
                            .and_then(|address| world.interface(address.interface))
                            .map(|interface| interface.vpc),
                    };
                    destination_leg(&world.slice(vpc), &wire, case.flow, &mut trace)
                }
            };
            prop_assert_eq!(decision, case.decision);
            prop_assert_eq!(trace, case.trace);
        }
    }

    /// What arrived is answered, exactly to where it came from, unless a route leads the answer elsewhere or a
    /// network ACL, which has no memory, denies it.
    #[test]
    fn answers_find_their_way(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        for case in cases(&world, &snapshot, &mut dice) {
            let Some(delivery) = delivered(&case) else { continue };
            if !sender_owns(&world, &case) || !answers_are_direct(&world, &snapshot, &delivery) {
                continue;
            }
            let origin = match delivery.egress {
                Egress::Interface(id) => Origin::Interface(id),
                Egress::Uplink => Origin::Uplink,
            };
            let reply = Packet { tuple: delivery.tuple.reversed(), icmp: case.packet.icmp };
            let mut trace = Recorder::default();
            match walk(&snapshot, origin, &reply, FlowState::Reply(case.origin), &mut trace) {
                Decision::Deliver(back) => {
                    let home = match case.origin {
                        Origin::Interface(id) => Egress::Interface(id),
                        Origin::Uplink => Egress::Uplink,
                    };
                    prop_assert_eq!(back.egress, home);
                    prop_assert_eq!(back.tuple, case.packet.tuple.reversed());
                }
                Decision::Drop(dropped) => {
                    prop_assert_eq!(dropped.reason, DropReason::NetworkAcl, "{:#?}", trace);
                }
            }
        }
    }

    /// From one VPC to another there is only the way through two public addresses.
    #[test]
    fn tenants_meet_in_public_only(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        for case in cases(&world, &snapshot, &mut dice) {
            let Some(delivery) = delivered(&case) else { continue };
            let (Origin::Interface(from), Egress::Interface(to)) = (case.origin, delivery.egress) else {
                continue;
            };
            if world.interface(from).unwrap().vpc == world.interface(to).unwrap().vpc {
                continue;
            }
            let sender = snapshot.public_address(delivery.tuple.source).unwrap();
            prop_assert_eq!((sender.interface, sender.private), (from, case.packet.tuple.source));
            let receiver = snapshot.public_address(case.packet.tuple.destination).unwrap();
            prop_assert_eq!((receiver.interface, receiver.private), (to, delivery.tuple.destination));
        }
    }

    /// A delivery depends on what it says and on nothing else: whatever changes elsewhere, it stays.
    #[test]
    fn only_dependencies_matter(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        let cases = cases(&world, &snapshot, &mut dice);
        for _ in 0..40 {
            let change = world.clone().mutate(&mut dice);
            let next = snapshot.apply(2, std::slice::from_ref(&change));
            for case in cases.iter().filter(|case| delivered(case).is_some()) {
                if case.trace.depends.contains(&change.id()) {
                    continue;
                }
                let now = walk(&next, case.origin, &case.packet, case.flow, &mut NoTrace);
                prop_assert_eq!(now, case.decision, "{:?} after {:?}", case.packet, change);
            }
        }
    }
}

/// A middlebox may send for others; then the answer is for them.
fn sender_owns(world: &World, case: &Case) -> bool {
    match case.origin {
        Origin::Uplink => true,
        Origin::Interface(id) => world
            .interface(id)
            .is_some_and(|interface| interface.addresses.contains(&case.packet.tuple.source)),
    }
}

/// Whether the receiver is the destination itself, and its route to the source is not through a middlebox or gone.
fn answers_are_direct(world: &World, snapshot: &Snapshot, delivery: &Delivery) -> bool {
    let Egress::Interface(id) = delivery.egress else {
        return true;
    };
    let interface = world.interface(id).unwrap();
    let view = snapshot.vpc(interface.vpc).unwrap();
    let table = view.subnet(interface.subnet).unwrap().route_table;
    let route = view
        .route_table(table)
        .and_then(|table| table.choose(delivery.tuple.source));
    let direct = route.is_some_and(|route| match route.target {
        Target::Local | Target::InternetGateway(_) => true,
        Target::Interface(_)
        | Target::NatGateway(_)
        | Target::Peering(_)
        | Target::TransitGateway(_)
        | Target::Blackhole => false,
    });
    let from_inside = interface.vpc == home_of(world, snapshot, delivery);
    let local = route.is_some_and(|route| route.target == Target::Local);
    interface.addresses.contains(&delivery.tuple.destination) && direct && from_inside == local
}

/// The VPC whose private address the source is; none for public sources.
fn home_of(world: &World, snapshot: &Snapshot, delivery: &Delivery) -> types::VpcId {
    let Egress::Interface(id) = delivery.egress else {
        return types::VpcId::from_bits(0);
    };
    let vpc = world.interface(id).unwrap().vpc;
    let known = snapshot
        .vpc(vpc)
        .and_then(|view| view.interface_at(delivery.tuple.source));
    known.map_or(types::VpcId::from_bits(0), |_| vpc)
}

/// The generator is worth something only if it makes packets that arrive, in every way, and all kinds of drops.
#[test]
fn random_networks_are_interesting() {
    let (mut reasons, mut ways) = (std::collections::BTreeMap::new(), [0usize; 4]);
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        for case in cases(&world, &world.snapshot(), &mut dice) {
            match case.decision {
                Decision::Drop(dropped) => *reasons.entry(dropped.reason).or_insert(0) += 1,
                Decision::Deliver(delivery) => {
                    let way = match (case.origin, delivery.egress) {
                        (Origin::Interface(_), Egress::Interface(_))
                            if delivery.tuple == case.packet.tuple =>
                        {
                            0
                        }
                        (Origin::Interface(_), Egress::Interface(_)) => 1,
                        (Origin::Interface(_), Egress::Uplink) => 2,
                        (Origin::Uplink, _) => 3,
                    };
                    ways[way] += 1;
                }
            }
        }
    }
    assert!(
        ways.iter().all(|count| *count >= 20),
        "{ways:?} {reasons:?}"
    );
    assert!(reasons.len() >= 16, "{ways:?} {reasons:?}");
}
