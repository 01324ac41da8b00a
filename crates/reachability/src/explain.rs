//! The question, the walks, and the report.

use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;
use topology::Snapshot;
use types::{DropReason, FlowTuple, InstanceId, InterfaceId, ObjectId, proto};
use walk::{
    Decision, Delivery, Dropped, Egress, FlowState, Line, Origin, Outcome, Packet, Recorder, Step,
    walk,
};

use crate::call::Call;
use crate::repair::{self, Stop};
use crate::words::Words;

/// A host on the internet, to ask about: in TEST-NET-2 (RFC 5737).
pub const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// An instance, by its interface with the lowest identifier.
    Instance(InstanceId),
    /// An interface, from its first address of the destination's family.
    Interface(InterfaceId),
    /// A host outside, behind the uplink, with this address.
    Outside(IpAddr),
}

/// A question: would this packet arrive, and the answer to it?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// Who sends.
    pub source: Source,
    /// To which address: private inside a VPC, public through an internet gateway.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port, of TCP and UDP only.
    pub port: u16,
    /// Source port, of TCP and UDP only.
    pub source_port: u16,
    /// Type and code, of ICMP only; `None` is an echo request.
    pub icmp: Option<(u8, u8)>,
    /// Whether the address outside, source or destination, stands for everybody there: fixes are for all of them.
    pub everybody: bool,
}

impl Query {
    /// The source port of a question that names none: the first ephemeral one (RFC 6335 section 6).
    pub const EPHEMERAL: u16 = 49152;

    /// A question about a port, from an ephemeral one.
    #[must_use]
    pub const fn new(source: Source, destination: IpAddr, protocol: u8, port: u16) -> Query {
        Query {
            source,
            destination,
            protocol,
            port,
            source_port: Query::EPHEMERAL,
            icmp: None,
            everybody: false,
        }
    }

    /// The packet, from this address.
    pub(crate) fn packet(&self, source: IpAddr) -> Packet {
        let ports = matches!(self.protocol, proto::TCP | proto::UDP);
        let icmp = match self.protocol {
            proto::ICMP => Some(self.icmp.unwrap_or((8, 0))),
            proto::ICMPV6 => Some(self.icmp.unwrap_or((128, 0))),
            _ => None,
        };
        Packet {
            tuple: FlowTuple {
                source,
                destination: self.destination,
                protocol: self.protocol,
                source_port: if ports { self.source_port } else { 0 },
                destination_port: if ports { self.port } else { 0 },
            },
            icmp,
        }
    }
}

/// The way to the destination, or back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the source of the question to its destination.
    Forward,
    /// The answer.
    Back,
}

/// One line of the check-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// Whether the packet passed.
    pub ok: bool,
    /// The walk's step, by its stable name.
    pub step: &'static str,
    /// The identifier of the object that was consulted.
    pub object: Option<String>,
    /// Its rule that decided, in words; a security group's rule begins with its identifier.
    pub rule: Option<String>,
    /// What it said, for people.
    pub text: String,
}

/// The end of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// The packet arrives, and its answer if it is of a kind that is answered.
    Reachable {
        /// At which interface, or `uplink`.
        at: String,
    },
    /// One of the two does not.
    Blocked {
        /// Which of the two.
        direction: Direction,
        /// Why: the drop reason's stable name.
        reason: &'static str,
        /// The walk's step, by its stable name.
        step: &'static str,
        /// The identifier of the object that decided.
        object: Option<String>,
        /// Its rule that decided, in words.
        rule: Option<String>,
    },
}

/// What the walks said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The packet that the question is about.
    pub packet: String,
    /// Its way, step by step.
    pub forward: Vec<Check>,
    /// The way of the answer; empty if nothing makes the packet arrive or it is of a kind that nobody answers.
    pub back: Vec<Check>,
    /// The end of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Every blocker in the order in which they are met, each in the network in which those before it are taken away.
    /// What follows one in `forward` and `back` is of that network too.
    pub blockers: Vec<Blocker>,
    /// Whether the packet arrives, now or once every blocker's fix is made.
    pub opens: bool,
}

/// A blocker: a place where the packet or its answer is dropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Blocker {
    /// The packet or its answer.
    pub direction: Direction,
    /// Why: the drop reason's stable name.
    pub reason: &'static str,
    /// The walk's step, by its stable name.
    pub step: &'static str,
    /// The identifier of the object that decided.
    pub object: Option<String>,
    /// Its rule that decided, in words.
    pub rule: Option<String>,
    /// What it said, for people.
    pub text: String,
    /// The smallest change that takes it away, in the order in which to make the calls. Empty if no call does.
    pub fix: Vec<Call>,
}

impl Blocker {
    fn rename(&mut self, address: IpAddr, name: &str) {
        let words = self
            .text
            .split(' ')
            .map(|word| match word.parse::<IpAddr>() {
                Ok(known) if address == known => format!("${name}"),
                _ => word.to_owned(),
            });
        self.text = words.collect::<Vec<_>>().join(" ");
        self.fix
            .iter_mut()
            .for_each(|call| call.rename(address, name));
    }
}

/// Answers a question by walking. If the packet or its answer is dropped, the walk is repeated in a copy of the
/// network in which the blocker is taken away by the smallest change that does it, until it arrives or nothing helps:
/// so every blocker is found, and every suggestion is one that the walk has tried.
#[must_use]
pub fn explain(snapshot: &Snapshot, query: &Query) -> Report {
    let origin = match query.source {
        Source::Outside(_) => Origin::Uplink,
        Source::Interface(id) => Origin::Interface(id),
        Source::Instance(id) => match snapshot.interfaces_of(id).first() {
            Some(interface) => Origin::Interface(interface.id),
            None => return not_running(query, id),
        },
    };
    let packet = query.packet(source_address(snapshot, query, origin));
    let mut search = Search {
        query,
        origin,
        packet,
        walks: 0,
    };
    let row = search.open(snapshot.clone(), 0, None);
    let Some(Row {
        met,
        snapshot: last,
        trip,
        opens,
    }) = row
    else {
        // Only a change can fail to help, and there was none.
        return not_walked(query);
    };
    let mut report = Report {
        packet: packet.tuple.to_string(),
        forward: checks(&last, &trip.forward),
        back: trip
            .back
            .as_ref()
            .map_or_else(Vec::new, |way| checks(&last, way)),
        verdict: match (met.first(), trip.egress) {
            (None, Some(egress)) => Verdict::Reachable { at: place(egress) },
            (first, _) => Verdict::Blocked {
                direction: first.map_or(Direction::Forward, |met| met.blocker.direction),
                reason: first.map_or("", |met| met.blocker.reason),
                step: first.map_or("", |met| met.blocker.step),
                object: first.and_then(|met| met.blocker.object.clone()),
                rule: first.and_then(|met| met.blocker.rule.clone()),
            },
        },
        blockers: Vec::new(),
        opens,
    };
    for met in met {
        let way = match met.blocker.direction {
            Direction::Forward => &mut report.forward,
            Direction::Back => &mut report.back,
        };
        mark(way, &met);
        report.blockers.push(met.blocker);
    }
    report
}

/// Whether the packet arrives and is answered, without the reasons: what [`explain`] says in its verdict, for those
/// who ask often. The trace hears both walks.
pub(crate) fn round_trip<T: walk::Trace>(
    snapshot: &Snapshot,
    origin: Origin,
    packet: &Packet,
    trace: &mut T,
) -> Option<Egress> {
    let Decision::Deliver(delivery) = walk(snapshot, origin, packet, FlowState::New, trace) else {
        return None;
    };
    if let Some((back, packet)) = answer(&delivery, packet) {
        let flow = flow_of(origin, &delivery);
        if let Decision::Drop(_) = walk(snapshot, back, &packet, flow, trace) {
            return None;
        }
    }
    Some(delivery.egress)
}

const fn flow_of(origin: Origin, delivery: &Delivery) -> FlowState {
    match delivery.translation {
        None => FlowState::Reply(origin),
        Some(translation) => FlowState::Translated(origin, translation),
    }
}

/// One line of a walk, and what the packet's headers said before and after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// The line.
    pub line: Line,
    /// Addresses and ports before it.
    pub before: FlowTuple,
    /// Addresses and ports after it: others where they are translated.
    pub after: FlowTuple,
}

/// What walks said, for programs: the same as [`Report`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walked {
    /// The packet's way, with every blocker but the last taken away if there are several.
    pub forward: Vec<Hop>,
    /// The answer's way.
    pub back: Vec<Hop>,
    /// Every blocker, as in [`Report::blockers`].
    pub blockers: Vec<Hop>,
}

/// Answers a question as [`explain`] does, in objects and rules instead of words.
#[must_use]
pub fn walked(snapshot: &Snapshot, query: &Query) -> Walked {
    let origin = match query.source {
        Source::Outside(_) => Origin::Uplink,
        Source::Interface(id) => Origin::Interface(id),
        Source::Instance(id) => match snapshot.interfaces_of(id).first() {
            Some(interface) => Origin::Interface(interface.id),
            None => Origin::Interface(InterfaceId::from_bits(0)),
        },
    };
    let mut search = Search {
        query,
        origin,
        packet: query.packet(source_address(snapshot, query, origin)),
        walks: 0,
    };
    let mut walked = Walked {
        forward: Vec::new(),
        back: Vec::new(),
        blockers: Vec::new(),
    };
    if let Some(row) = search.open(snapshot.clone(), 0, None) {
        walked.forward = hops(&row.snapshot, &row.trip.forward);
        walked.back = row
            .trip
            .back
            .iter()
            .flat_map(|way| hops(&row.snapshot, way))
            .collect();
        walked.blockers = row.met.iter().map(|met| met.hop).collect();
    }
    walked
}

fn hops(snapshot: &Snapshot, way: &Way) -> Vec<Hop> {
    let mut words = Words::new(snapshot, &way.packet, way.flow);
    let hop = |line: &Line| {
        let before = words.tuple();
        let _ = words.line(line);
        Hop {
            line: *line,
            before,
            after: words.tuple(),
        }
    };
    way.lines.iter().map(hop).collect()
}

/// One direction of a trip: what was walked, and what the walk said.
struct Way {
    packet: Packet,
    flow: FlowState,
    lines: Vec<Line>,
}

/// The packet's way and its answer's.
struct Trip {
    forward: Way,
    back: Option<Way>,
    /// Where the packet arrives.
    egress: Option<Egress>,
    stop: Option<(Direction, Dropped)>,
}

/// A blocker and where in the trace it stands.
struct Met {
    blocker: Blocker,
    hop: Hop,
    at: usize,
}

/// What a search found: blockers in the order of the packet's way, and the trip after all the changes.
struct Row {
    met: Vec<Met>,
    snapshot: Snapshot,
    trip: Trip,
    opens: bool,
}

/// What a blocker is known by: that it is met again means that a change did not help.
type Mark = (Direction, DropReason, Step, Option<ObjectId>, usize);

/// More blockers than any way has.
const MAX_BLOCKERS: u32 = 24;
/// More walks than any answer needs.
const MAX_WALKS: usize = 300;

struct Search<'q> {
    query: &'q Query,
    origin: Origin,
    packet: Packet,
    walks: usize,
}

impl Search<'_> {
    /// Walks in this network; `before` is the blocker that its last change was for. `None` if it is met again.
    fn open(&mut self, snapshot: Snapshot, depth: u32, before: Option<Mark>) -> Option<Row> {
        self.walks += 1;
        let trip = self.trip(&snapshot);
        let Some((direction, dropped)) = trip.stop else {
            return Some(Row {
                met: Vec::new(),
                snapshot,
                trip,
                opens: true,
            });
        };
        let (mut met, stop) = self.meet(&snapshot, &trip, direction, dropped, depth);
        // One object may block a packet twice: where it leaves and where it enters, before and behind a NAT gateway.
        let (reason, step) = (dropped.reason, dropped.step);
        let mark = (direction, reason, step, dropped.object, met.at);
        if before == Some(mark) {
            return None;
        }
        let mut partly: Option<Row> = None;
        if depth < MAX_BLOCKERS {
            for fix in repair::fixes(&snapshot, &stop) {
                if self.walks >= MAX_WALKS {
                    break;
                }
                let next = snapshot.apply(snapshot.revision(), &fix.changes);
                let Some(mut row) = self.open(next, depth + 1, Some(mark)) else {
                    continue;
                };
                if let Some((address, name)) = &fix.unborn {
                    row.met
                        .iter_mut()
                        .for_each(|met| met.blocker.rename(*address, name));
                }
                let blocker = Blocker {
                    fix: fix.calls,
                    ..met.blocker.clone()
                };
                let (hop, at) = (met.hop, met.at);
                row.met.insert(0, Met { blocker, hop, at });
                if row.opens {
                    return Some(row);
                }
                partly = partly.or(Some(row));
            }
        }
        Some(partly.unwrap_or_else(|| {
            met.blocker.fix.clear();
            Row {
                met: vec![met],
                snapshot,
                trip,
                opens: false,
            }
        }))
    }

    fn trip(&self, snapshot: &Snapshot) -> Trip {
        let (forward, decision) = take(snapshot, self.origin, self.packet, FlowState::New);
        let mut trip = Trip {
            forward,
            back: None,
            egress: None,
            stop: None,
        };
        match decision {
            Decision::Drop(dropped) => trip.stop = Some((Direction::Forward, dropped)),
            Decision::Deliver(delivery) => {
                trip.egress = Some(delivery.egress);
                if let Some((origin, packet)) = answer(&delivery, &self.packet) {
                    let flow = flow_of(self.origin, &delivery);
                    let (back, decision) = take(snapshot, origin, packet, flow);
                    trip.back = Some(back);
                    if let Decision::Drop(dropped) = decision {
                        trip.stop = Some((Direction::Back, dropped));
                    }
                }
            }
        }
        trip
    }

    /// The blocker at which a trip ends, and what is known there.
    fn meet(
        &self,
        snapshot: &Snapshot,
        trip: &Trip,
        direction: Direction,
        dropped: Dropped,
        depth: u32,
    ) -> (Met, Stop) {
        let way = match (direction, &trip.back) {
            (Direction::Back, Some(back)) => back,
            (Direction::Back | Direction::Forward, _) => &trip.forward,
        };
        let mut words = Words::new(snapshot, &way.packet, way.flow);
        let text = way.lines.iter().map(|line| words.line(line)).last();
        let rule = dropped
            .rule
            .map(|rule| crate::words::rule(snapshot, dropped.step, dropped.object, rule));
        let blocker = Blocker {
            direction,
            reason: dropped.reason.name(),
            step: dropped.step.name(),
            object: dropped.object.map(|id| id.to_string()),
            rule,
            text: text.unwrap_or_default(),
            fix: Vec::new(),
        };
        let outside = match self.query.source {
            Source::Outside(address) => Some(address),
            Source::Instance(_) | Source::Interface(_) => None,
        };
        let everybody = self
            .query
            .everybody
            .then(|| outside.unwrap_or(self.query.destination));
        let sender = match (direction, self.origin, trip.egress) {
            (Direction::Forward, Origin::Interface(id), _)
            | (Direction::Back, _, Some(Egress::Interface(id))) => Some(id),
            (Direction::Forward | Direction::Back, _, _) => None,
        };
        let stop = Stop {
            dropped,
            tuple: words.tuple(),
            icmp: way.packet.icmp,
            sender,
            everybody,
            any_client_port: direction == Direction::Back,
            serial: u128::from(depth),
        };
        let at = way.lines.len().saturating_sub(1);
        let hop = Hop {
            line: Line {
                step: dropped.step,
                object: dropped.object,
                rule: dropped.rule,
                outcome: Outcome::Drop(dropped.reason),
            },
            before: words.tuple(),
            after: words.tuple(),
        };
        (Met { blocker, hop, at }, stop)
    }
}

/// A way in words.
fn checks(snapshot: &Snapshot, way: &Way) -> Vec<Check> {
    let mut words = Words::new(snapshot, &way.packet, way.flow);
    let check = |line: &Line| Check {
        ok: line.outcome == Outcome::Pass,
        step: line.step.name(),
        object: line.object.map(|id| id.to_string()),
        rule: words.rule(line),
        text: words.line(line),
    };
    way.lines.iter().map(check).collect()
}

/// Puts a blocker where it stands, instead of what its step said once it was taken away.
fn mark(way: &mut Vec<Check>, met: &Met) {
    let blocker = &met.blocker;
    let check = Check {
        ok: false,
        step: blocker.step,
        object: blocker.object.clone(),
        rule: blocker.rule.clone(),
        text: blocker.text.clone(),
    };
    if way.contains(&check) {
        return;
    }
    let same = |old: &Check| old.ok && old.step == check.step;
    let near = way.iter().enumerate().filter(|(_, old)| same(old));
    match near
        .map(|(index, _)| index)
        .min_by_key(|index| index.abs_diff(met.at))
    {
        Some(index) => {
            if let Some(old) = way.get_mut(index) {
                *old = check;
            }
        }
        None => way.insert(met.at.min(way.len()), check),
    }
}

/// What cannot be: a question without a first walk.
fn not_walked(query: &Query) -> Report {
    refused(query, DropReason::NoInterface, None, "it does not exist")
}

/// An instance without an interface in the snapshot: it is stopped, or there is none of this identifier.
fn not_running(query: &Query, instance: InstanceId) -> Report {
    let object = Some(instance.to_string());
    let text = "no running instance has this identifier";
    refused(query, DropReason::NotAttached, object, text)
}

/// The report of a packet that nobody can send.
fn refused(query: &Query, reason: DropReason, object: Option<String>, text: &str) -> Report {
    let (reason, step) = (reason.name(), Step::Source.name());
    Report {
        packet: query.packet(unspecified(query)).tuple.to_string(),
        forward: vec![Check {
            ok: false,
            step,
            object: object.clone(),
            rule: None,
            text: text.to_owned(),
        }],
        back: Vec::new(),
        verdict: Verdict::Blocked {
            direction: Direction::Forward,
            reason,
            step,
            object: object.clone(),
            rule: None,
        },
        blockers: vec![Blocker {
            direction: Direction::Forward,
            reason,
            step,
            object,
            rule: None,
            text: text.to_owned(),
            fix: Vec::new(),
        }],
        opens: false,
    }
}

fn unspecified(query: &Query) -> IpAddr {
    repair::unspecified(query.destination)
}

fn source_address(snapshot: &Snapshot, query: &Query, origin: Origin) -> IpAddr {
    if let Source::Outside(address) = query.source {
        return address;
    }
    let Origin::Interface(id) = origin else {
        return unspecified(query);
    };
    snapshot
        .interface(id)
        .and_then(|interface| {
            let mut addresses = interface.addresses.iter();
            addresses.find(|address| address.is_ipv6() == query.destination.is_ipv6())
        })
        .copied()
        .unwrap_or_else(|| unspecified(query))
}

/// The packet that answers, and where it enters. Of ICMP only echo requests are answered.
fn answer(delivery: &Delivery, packet: &Packet) -> Option<(Origin, Packet)> {
    let origin = match delivery.egress {
        Egress::Interface(id) => Origin::Interface(id),
        Egress::Uplink => Origin::Uplink,
    };
    let icmp = match (packet.tuple.protocol, packet.icmp) {
        (proto::ICMP, Some((8, _))) => Some((0, 0)),
        (proto::ICMPV6, Some((128, _))) => Some((129, 0)),
        (proto::ICMP | proto::ICMPV6, _) => return None,
        _ => None,
    };
    let tuple = delivery.tuple.reversed();
    Some((origin, Packet { tuple, icmp }))
}

fn take(snapshot: &Snapshot, origin: Origin, packet: Packet, flow: FlowState) -> (Way, Decision) {
    let mut trace = Recorder::default();
    let decision = walk(snapshot, origin, &packet, flow, &mut trace);
    let way = Way {
        packet,
        flow,
        lines: trace.lines,
    };
    (way, decision)
}

fn place(egress: Egress) -> String {
    match egress {
        Egress::Interface(id) => id.to_string(),
        Egress::Uplink => "uplink".to_owned(),
    }
}
