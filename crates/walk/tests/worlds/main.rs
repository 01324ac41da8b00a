//! Properties of the walk over random networks, and a second, naive implementation of the rules to compare with.
//!
//! `POLDER_WORLDS` says how many networks (100,000 by default), `POLDER_SEED` with which seed they begin; a mismatch
//! names the seed that shows it again. `cargo xtask soak` does this with an optimised build.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on stops, and looks for one kind of rule at a time"
)]

mod model;
mod six;
mod world;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use topology::{Snapshot, Target};
use types::DropReason;
use walk::{
    Decision, Delivery, Egress, FlowState, NoTrace, Origin, Outcome, Packet, Path, Recorder, Step,
    destination_leg, source_leg, walk,
};
use world::{Dice, World};

/// Of so many networks, the first is made from nothing, and each other one is a change of the one before.
const CHANGES: u64 = 10;
/// Packets that are sent into each network; answers come on top.
const PACKETS: usize = 6;

/// Runs a property on networks that begin with each of these seeds, on all processors.
fn for_seeds(seeds: std::ops::Range<u64>, property: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicU64::new(u64::MAX);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.load(Ordering::Relaxed) != u64::MAX {
                        return;
                    }
                    let run = std::panic::AssertUnwindSafe(|| property(seed));
                    if std::panic::catch_unwind(run).is_err() {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert!(
        failed == u64::MAX,
        "a network with this seed shows it again: POLDER_SEED={failed} POLDER_WORLDS=1"
    );
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

fn first_seed() -> u64 {
    from_environment("POLDER_SEED", 0)
}

struct Case {
    origin: Origin,
    packet: Packet,
    flow: FlowState,
    decision: Decision,
    trace: Recorder,
}

impl Case {
    fn new(snapshot: &Snapshot, origin: Origin, packet: Packet, flow: FlowState) -> Case {
        let mut trace = Recorder::default();
        let decision = walk(snapshot, origin, &packet, flow, &mut trace);
        Case {
            origin,
            packet,
            flow,
            decision,
            trace,
        }
    }

    fn delivered(&self) -> Option<Delivery> {
        match self.decision {
            Decision::Deliver(delivery) => Some(delivery),
            Decision::Drop(_) => None,
        }
    }

    /// What answers a packet that opened a flow and arrived, as the slow path asks about it.
    fn answer(&self, snapshot: &Snapshot) -> Option<Case> {
        let delivery = self.delivered().filter(|_| self.flow == FlowState::New)?;
        let icmp = match self.packet.icmp {
            None => None,
            Some((8, 0)) => Some((0, 0)),
            Some(_) => return None,
        };
        let origin = match delivery.egress {
            Egress::Interface(id) => Origin::Interface(id),
            Egress::Uplink => Origin::Uplink,
        };
        let packet = Packet {
            tuple: delivery.tuple.reversed(),
            icmp,
        };
        let flow = match delivery.translation {
            None => FlowState::Reply(self.origin),
            Some(translation) => FlowState::Translated(self.origin, translation),
        };
        Some(Case::new(snapshot, origin, packet, flow))
    }

    fn check(&self, world: &World) {
        let found = match self.decision {
            Decision::Deliver(delivery) => Ok(delivery),
            Decision::Drop(dropped) => Err(dropped.reason),
        };
        let expected = model::possible(world, self.origin, &self.packet, self.flow);
        assert!(
            expected.contains(&found),
            "{:?} {:?} {:?}\nthe walk says {found:?}\nthe model says {expected:?}\n{:#?}",
            self.origin,
            self.packet,
            self.flow,
            self.trace
        );
    }
}

/// Packets and the answers to them.
fn cases(world: &World, snapshot: &Snapshot, dice: &mut Dice, packets: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for _ in 0..packets {
        let (origin, packet, flow) = world.packet(dice);
        let case = Case::new(snapshot, origin, packet, flow);
        let answer = case.answer(snapshot);
        cases.push(case);
        cases.extend(answer);
    }
    cases
}

/// The walk says what the rules say, in networks that were just made and in those that have changed since; and a
/// delivery depends on what it says it depends on: whatever changes elsewhere, it stays.
#[test]
fn the_model_agrees() {
    let worlds = from_environment("POLDER_WORLDS", 100_000);
    let first = first_seed();
    for_seeds(first..first + worlds.div_ceil(CHANGES), |seed| {
        let mut dice = Dice::new(seed);
        let mut world = World::random(&mut dice);
        let mut snapshot = world.snapshot();
        let mut before: Vec<Case> = Vec::new();
        for revision in 1..=CHANGES {
            if revision > 1 {
                let change = world.mutate(&mut dice);
                snapshot = snapshot.apply(revision, std::slice::from_ref(&change));
                let still = |case: &&Case| {
                    case.delivered().is_some() && !case.trace.depends.contains(&change.id())
                };
                for case in before.iter().filter(still) {
                    let now = walk(
                        &snapshot,
                        case.origin,
                        &case.packet,
                        case.flow,
                        &mut NoTrace,
                    );
                    assert_eq!(now, case.decision, "{:?} after {change:?}", case.packet);
                }
            }
            before = cases(&world, &snapshot, &mut dice, PACKETS);
            for case in &before {
                case.check(&world);
            }
        }
    });
}

/// The same question has the same answer, listened to or not, and the trace ends with the decision.
#[test]
fn the_trace_changes_nothing() {
    for_seeds(first_seed()..first_seed() + 1000, |seed| {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        for case in cases(&world, &snapshot, &mut dice, 20) {
            let again = Case::new(&snapshot, case.origin, case.packet, case.flow);
            let quiet = walk(
                &snapshot,
                case.origin,
                &case.packet,
                case.flow,
                &mut NoTrace,
            );
            assert_eq!(again.decision, case.decision);
            assert_eq!(quiet, case.decision);
            assert_eq!(again.trace, case.trace);
            let (last, before) = case.trace.lines.split_last().unwrap();
            assert!(before.iter().all(|line| line.outcome == Outcome::Pass));
            let end = match case.decision {
                Decision::Deliver(_) => Outcome::Pass,
                Decision::Drop(dropped) => Outcome::Drop(dropped.reason),
            };
            assert_eq!(last.outcome, end);
        }
    });
}

/// Each leg on what its own host knows is the walk over everything.
#[test]
fn legs_compose() {
    for_seeds(first_seed()..first_seed() + 500, |seed| {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        let knowledge: BTreeMap<_, _> = snapshot
            .vpcs()
            .map(|(vpc, _)| Some(vpc))
            .chain([None])
            .map(|vpc| (vpc, world.slice(vpc)))
            .collect();
        for case in cases(&world, &snapshot, &mut dice, 20) {
            let home = |id| world.interface(id).map(|interface| interface.vpc);
            let source = match case.origin {
                Origin::Interface(id) => &knowledge[&home(id)],
                Origin::Uplink => &knowledge[&None],
            };
            let mut trace = Recorder::default();
            let decision =
                match source_leg(source, case.origin, &case.packet, case.flow, &mut trace) {
                    ControlFlow::Break(dropped) => Decision::Drop(dropped),
                    ControlFlow::Continue(wire) => {
                        let vpc = match wire.path {
                            Path::Local { vpc, .. } | Path::Forward { vpc, .. } => Some(vpc),
                            Path::Gateway | Path::Uplink => snapshot
                                .public_address(wire.tuple.destination)
                                .and_then(|address| home(address.interface)),
                        };
                        destination_leg(&knowledge[&vpc], &wire, case.flow, &mut trace)
                    }
                };
            // An answer that comes in at a NAT gateway may go out again, to a third host.
            let out_again = case.trace.lines.iter().rev();
            let out_again = out_again.skip_while(|line| line.step != Step::InternetGateway);
            if out_again.skip(1).any(|line| line.step == Step::NatGateway)
                && matches!(case.flow, FlowState::Translated(..))
            {
                continue;
            }
            assert_eq!(decision, case.decision);
            assert_eq!(trace, case.trace);
        }
    });
}

/// What arrived is answered, exactly to where it came from, unless a route leads the answer elsewhere (or nowhere) or a
/// network ACL, which has no memory, denies it.
#[test]
fn answers_find_their_way() {
    let answered = AtomicU64::new(0);
    for_seeds(first_seed()..first_seed() + 4000, |seed| {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        for _ in 0..20 {
            let (origin, packet, _) = world.packet(&mut dice);
            let case = Case::new(&snapshot, origin, packet, FlowState::New);
            let Some(delivery) = case.delivered() else {
                continue;
            };
            let Some(back) = case.answer(&snapshot) else {
                continue;
            };
            if !sender_owns(&world, &case)
                || !is_for(&world, &delivery)
                || !is_direct(&case)
                || !is_direct(&back)
            {
                continue;
            }
            // A route somewhere may lead the answer another way.
            if ways(&case).into_iter().rev().ne(ways(&back)) {
                continue;
            }
            match back.decision {
                Decision::Deliver(arrived) => {
                    let home = match case.origin {
                        Origin::Interface(id) => Egress::Interface(id),
                        Origin::Uplink => Egress::Uplink,
                    };
                    assert_eq!(arrived.egress, home, "{:#?}", back.trace);
                    assert_eq!(arrived.tuple, case.packet.tuple.reversed());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Decision::Drop(dropped) => {
                    let elsewhere = [
                        DropReason::NetworkAcl,
                        DropReason::NoRoute,
                        DropReason::BlackholeRoute,
                    ];
                    assert!(elsewhere.contains(&dropped.reason), "{:#?}", back.trace);
                }
            }
        }
    });
    assert!(answered.into_inner() > 4000);
}

/// The middle of a way: what is neither a rule nor a subnet's route table.
fn ways(case: &Case) -> Vec<(Step, Option<types::ObjectId>)> {
    let middle = |step| {
        matches!(
            step,
            Step::Peering
                | Step::NatGateway
                | Step::InternetGateway
                | Step::TransitGateway
                | Step::Endpoint
        )
    };
    let lines = case.trace.lines.iter();
    let lines = lines.filter(|line| middle(line.step) && !is_return_route(line));
    lines.map(|line| (line.step, line.object)).collect()
}

/// Of the lines of an internet gateway, the one that looks for the way back.
fn is_return_route(line: &walk::Line) -> bool {
    matches!(line.rule, Some(walk::RuleRef::Route(_)))
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

/// Whether the packet came to the destination itself, and to no middlebox.
fn is_for(world: &World, delivery: &Delivery) -> bool {
    match delivery.egress {
        Egress::Interface(id) => {
            let interface = world.interface(id).unwrap();
            interface.addresses.contains(&delivery.tuple.destination)
        }
        Egress::Uplink => true,
    }
}

/// Whether no route leads to a middlebox or a transit gateway: those have routes of their own, another matter in each
/// direction.
fn is_direct(case: &Case) -> bool {
    case.trace.lines.iter().all(|line| match line.rule {
        Some(walk::RuleRef::Route(route)) => !matches!(
            route.target,
            Target::Interface(_) | Target::TransitGateway(_)
        ),
        _ => true,
    })
}

/// Without a peering connection, a transit gateway or an endpoint, there is only the way through two public addresses from one VPC
/// to another.
#[test]
fn tenants_meet_in_public_only() {
    let met = AtomicU64::new(0);
    for_seeds(first_seed()..first_seed() + 4000, |seed| {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        for case in cases(&world, &snapshot, &mut dice, 20) {
            let Some(delivery) = case.delivered() else {
                continue;
            };
            let (Origin::Interface(from), Egress::Interface(to)) = (case.origin, delivery.egress)
            else {
                continue;
            };
            let between =
                |step| matches!(step, Step::Peering | Step::TransitGateway | Step::Endpoint);
            if world.interface(from).unwrap().vpc == world.interface(to).unwrap().vpc
                || case.trace.lines.iter().any(|line| between(line.step))
            {
                continue;
            }
            met.fetch_add(1, Ordering::Relaxed);
            let sender = snapshot.public_address(delivery.tuple.source).unwrap();
            let here = world.interface(sender.interface).unwrap().vpc;
            assert_eq!(here, world.interface(from).unwrap().vpc);
            let public = |address| snapshot.public_address(address);
            let receiver = public(case.packet.tuple.destination)
                .or_else(|| public(inner_end(&case, &delivery)?))
                .unwrap();
            let there = world.interface(receiver.interface).unwrap().vpc;
            assert_eq!(there, world.interface(to).unwrap().vpc);
        }
    });
    let met = met.into_inner();
    assert!(met > 50, "{met}");
}

/// An endpoint leads from its own VPC to its service's and back, and nowhere else.
#[test]
fn endpoints_join_two_ends() {
    let joined = AtomicU64::new(0);
    for_seeds(first_seed()..first_seed() + 4000, |seed| {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.snapshot();
        let home = |id| world.interface(id).unwrap().vpc;
        for case in cases(&world, &snapshot, &mut dice, 20) {
            let Some(delivery) = case.delivered() else {
                continue;
            };
            let (Origin::Interface(from), Egress::Interface(to)) = (case.origin, delivery.egress)
            else {
                continue;
            };
            let mut ends = Vec::new();
            let mut leads_elsewhere = false;
            for line in &case.trace.lines {
                leads_elsewhere |= matches!(
                    line.step,
                    Step::Peering | Step::TransitGateway | Step::InternetGateway
                );
                if let (Step::Endpoint, Some(types::ObjectId::EndpointId(id))) =
                    (line.step, line.object)
                {
                    let endpoint = snapshot.endpoint(id).unwrap();
                    ends.extend([endpoint.vpc, home(endpoint.front)]);
                }
            }
            if ends.is_empty() || leads_elsewhere {
                continue;
            }
            joined.fetch_add(1, Ordering::Relaxed);
            assert_eq!(ends.len(), 2, "{:#?}", case.trace);
            assert!(ends.contains(&home(from)), "{:#?}", case.trace);
            assert!(ends.contains(&home(to)), "{:#?}", case.trace);
        }
    });
    let joined = joined.into_inner();
    assert!(joined > 100, "{joined}");
}

/// Where what answers a flow through a NAT gateway goes on to. A middlebox sends under whatever address it likes, so that
/// this may be a public one, although the answer names the gateway's private one.
fn inner_end(case: &Case, delivery: &Delivery) -> Option<IpAddr> {
    match case.flow {
        FlowState::Translated(_, translation) if delivery.translation == Some(translation) => {
            Some(translation.inside.address)
        }
        _ => None,
    }
}

/// Whether it came in by an internet gateway and was led to an interface.
fn is_at_the_edge(case: &Case) -> bool {
    let routed = |line: &walk::Line| match line.rule {
        Some(walk::RuleRef::Route(route)) => {
            matches!(route.target, Target::Interface(_)) && line.step == Step::RouteTable
        }
        _ => false,
    };
    case.origin == Origin::Uplink && case.trace.lines.iter().any(routed)
}

/// The generator is worth something only if it makes packets that arrive, in every way, and all kinds of drops.
#[test]
fn random_networks_are_interesting() {
    let mut reasons = BTreeMap::new();
    let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..4000 {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        for case in cases(&world, &world.snapshot(), &mut dice, 20) {
            let step = |step| {
                case.trace
                    .lines
                    .iter()
                    .filter(move |line| line.step == step)
            };
            match case.decision {
                Decision::Drop(dropped) => *reasons.entry(dropped.reason).or_insert(0) += 1,
                Decision::Deliver(delivery) => {
                    let answer = case.flow != FlowState::New;
                    let translated = step(Step::NatGateway).next().is_some();
                    let transit = step(Step::TransitGateway).next().is_some();
                    let uplink = delivery.egress == Egress::Uplink;
                    let all = [
                        ("to the outside", uplink),
                        ("from the outside", case.origin == Origin::Uplink),
                        ("answers", answer),
                        ("a peering", step(Step::Peering).next().is_some()),
                        ("a transit gateway", transit),
                        (
                            "two transit gateways",
                            step(Step::TransitGateway).count() > 1,
                        ),
                        ("a NAT gateway", translated && !answer),
                        ("a NAT gateway, answered", translated && answer),
                        ("a NAT gateway, outside", translated && !answer && uplink),
                        ("transit and NAT", transit && translated),
                        (
                            "an endpoint",
                            step(Step::Endpoint).next().is_some() && !answer,
                        ),
                        (
                            "an endpoint, answered",
                            step(Step::Endpoint).next().is_some() && answer,
                        ),
                        ("an appliance at the edge", is_at_the_edge(&case)),
                        (
                            "two internet gateways",
                            step(Step::InternetGateway).count() > 2,
                        ),
                    ];
                    for (way, is) in all {
                        *ways.entry(way).or_default() += usize::from(is);
                    }
                }
            }
        }
    }
    assert!(
        ways.values().all(|count| *count >= 10),
        "{ways:#?} {reasons:#?}"
    );
    assert!(reasons.len() >= 19, "{ways:#?} {reasons:#?}");
}
