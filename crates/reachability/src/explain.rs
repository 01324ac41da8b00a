//! The question, the walks, and the report.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use topology::Snapshot;
use types::{DropReason, FlowTuple, InstanceId, InterfaceId, proto};
use walk::{
    Decision, Delivery, Dropped, Egress, FlowState, Origin, Outcome, Packet, Recorder, Step, walk,
};

use crate::words::Words;

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
        }
    }

    fn packet(&self, source: IpAddr) -> Packet {
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
    /// The way of the answer; empty if the packet does not arrive or is of a kind that nobody answers.
    pub back: Vec<Check>,
    /// The end of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Answers a question by walking.
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
    let (forward, decision) = take(snapshot, origin, &packet, FlowState::New);
    let mut report = Report {
        packet: packet.tuple.to_string(),
        forward,
        back: Vec::new(),
        verdict: Verdict::Reachable { at: String::new() },
    };
    report.verdict = match decision {
        Decision::Drop(dropped) => blocked(snapshot, Direction::Forward, &dropped),
        Decision::Deliver(delivery) => {
            let reachable = Verdict::Reachable {
                at: place(delivery.egress),
            };
            match answer(&delivery, &packet) {
                None => reachable,
                Some((back_origin, packet)) => {
                    let flow = match delivery.translation {
                        None => FlowState::Reply(origin),
                        Some(translation) => FlowState::Translated(origin, translation),
                    };
                    let (back, decision) = take(snapshot, back_origin, &packet, flow);
                    report.back = back;
                    match decision {
                        Decision::Deliver(_) => reachable,
                        Decision::Drop(dropped) => blocked(snapshot, Direction::Back, &dropped),
                    }
                }
            }
        }
    };
    report
}

/// An instance without an interface in the snapshot: it is stopped, or there is none of this identifier.
fn not_running(query: &Query, instance: InstanceId) -> Report {
    let (reason, step) = (DropReason::NotAttached.name(), Step::Source.name());
    let object = Some(instance.to_string());
    Report {
        packet: query.packet(unspecified(query)).tuple.to_string(),
        forward: vec![Check {
            ok: false,
            step,
            object: object.clone(),
            rule: None,
            text: "no running instance has this identifier".to_owned(),
        }],
        back: Vec::new(),
        verdict: Verdict::Blocked {
            direction: Direction::Forward,
            reason,
            step,
            object,
            rule: None,
        },
    }
}

fn unspecified(query: &Query) -> IpAddr {
    if query.destination.is_ipv6() {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
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

fn take(
    snapshot: &Snapshot,
    origin: Origin,
    packet: &Packet,
    flow: FlowState,
) -> (Vec<Check>, Decision) {
    let mut trace = Recorder::default();
    let decision = walk(snapshot, origin, packet, flow, &mut trace);
    let mut words = Words::new(snapshot, packet, flow);
    let checks = trace.lines.iter().map(|line| Check {
        ok: line.outcome == Outcome::Pass,
        step: line.step.name(),
        object: line.object.map(|id| id.to_string()),
        rule: words.rule(line),
        text: words.line(line),
    });
    (checks.collect(), decision)
}

fn blocked(snapshot: &Snapshot, direction: Direction, dropped: &Dropped) -> Verdict {
    Verdict::Blocked {
        direction,
        reason: dropped.reason.name(),
        step: dropped.step.name(),
        object: dropped.object.map(|id| id.to_string()),
        rule: dropped
            .rule
            .map(|rule| crate::words::rule(snapshot, dropped.step, dropped.object, rule)),
    }
}

fn place(egress: Egress) -> String {
    match egress {
        Egress::Interface(id) => id.to_string(),
        Egress::Uplink => "uplink".to_owned(),
    }
}
