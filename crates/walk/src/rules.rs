//! Which rule of a security group or network ACL is for a packet. Both legs use the same functions.

use std::net::IpAddr;

use topology::{AclEntry, Interface, Peer, ProtocolMatch, Rule, SecurityGroup, Snapshot, VpcView};
use types::{AclId, DropReason, FlowTuple, InterfaceId, ObjectId, PortRange, proto};

use crate::trace::{Stage, deny, pass};
use crate::{Delivery, Egress, Origin, Packet, RuleRef, Step, Trace, Tracking, Which};

/// What a rule sees of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) tuple: FlowTuple,
    pub(crate) icmp: Option<(u8, u8)>,
    /// The address at the other end, from the viewpoint of the interface or subnet that the rule protects.
    pub(crate) other: IpAddr,
}

/// The interface at the other end, in its VPC.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) view: &'a VpcView,
    pub(crate) interface: &'a Interface,
}

/// Inbound or outbound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// The security groups of an interface: their union. A packet passes if any rule of any group matches; the first
/// one in the order of the interface's groups is named. Group references match `peer`, the interface at the other
/// end, and nothing if the packet came from elsewhere. `tracked`: the interface has had the flow that this answers.
pub(crate) fn security_groups<T: Trace>(
    view: &VpcView,
    interface: &Interface,
    direction: Direction,
    seen: Seen,
    peer: Option<Member<'_>>,
    tracked: bool,
    trace: &mut T,
) -> Stage<()> {
    let (step, reason) = match direction {
        Direction::In => (Step::IngressSecurityGroup, DropReason::SecurityGroupIngress),
        Direction::Out => (Step::EgressSecurityGroup, DropReason::SecurityGroupEgress),
    };
    // Security groups are stateful: the flow's first packet was decided, its answers are not decided again.
    if tracked {
        return pass(trace, step, None, None);
    }
    for id in &interface.groups {
        trace.depends_on((*id).into());
        let Some(group) = view.group(*id) else {
            continue;
        };
        for rule in rules(group, direction) {
            if rule_matches(rule, seen, peer, trace) {
                let rule = Some(RuleRef::GroupRule(rule.id));
                return pass(trace, step, Some((*id).into()), rule);
            }
        }
    }
    let first = interface.groups.first().map(|id| ObjectId::from(*id));
    deny(trace, reason, step, first, None)
}

/// Which ends track the flow that a packet has opened (EC2 "Security group connection tracking"). An end does not if a
/// rule allows TCP or UDP of the packet's kind from or to everywhere, and one of the other direction allows everything
/// that may answer; but always if a NAT gateway translates for it.
#[must_use]
pub fn tracking(
    snapshot: &Snapshot,
    origin: Origin,
    packet: &Packet,
    delivery: &Delivery,
) -> Tracking {
    let tracks = |id: InterfaceId, direction, tuple: &FlowTuple| {
        let view = snapshot.vpc_of(id);
        let found = view.and_then(|view| Some((view, view.interface(id)?)));
        found.is_some_and(|(view, interface)| !is_untracked(view, interface, direction, tuple))
    };
    Tracking {
        source: match origin {
            Origin::Interface(id) => {
                delivery.translation.is_some() || tracks(id, Direction::Out, &packet.tuple)
            }
            Origin::Uplink => false,
        },
        destination: match delivery.egress {
            Egress::Interface(id) => tracks(id, Direction::In, &delivery.tuple),
            Egress::Uplink => false,
        },
    }
}

fn is_untracked(
    view: &VpcView,
    interface: &Interface,
    direction: Direction,
    tuple: &FlowTuple,
) -> bool {
    let protocol = tuple.protocol;
    let is_everywhere = |rule: &Rule| {
        matches!(rule.peer, Peer::Cidr(cidr)
            if cidr.length() == 0 && cidr.is_v4() == tuple.source.is_ipv4())
    };
    let any = |direction, fits: &dyn Fn(&Rule) -> bool| {
        let groups = interface.groups.iter().filter_map(|id| view.group(*id));
        groups
            .flat_map(|group| rules(group, direction))
            .any(|rule| is_everywhere(rule) && fits(rule))
    };
    let back = match direction {
        Direction::In => Direction::Out,
        Direction::Out => Direction::In,
    };
    matches!(protocol, proto::TCP | proto::UDP)
        && any(direction, &|rule| {
            rule.protocol
                .matches(protocol, tuple.destination_port, None)
        })
        && any(back, &|rule| match rule.protocol {
            ProtocolMatch::Any => true,
            ProtocolMatch::Ports(number, ports) => number == protocol && ports == PortRange::ALL,
            ProtocolMatch::Icmp(..) | ProtocolMatch::Number(_) => false,
        })
}

fn rules(group: &SecurityGroup, direction: Direction) -> &[Rule] {
    match direction {
        Direction::In => &group.ingress,
        Direction::Out => &group.egress,
    }
}

fn rule_matches<T: Trace>(
    rule: &Rule,
    seen: Seen,
    peer: Option<Member<'_>>,
    trace: &mut T,
) -> bool {
    let port = seen.tuple.destination_port;
    let same = rule.protocol.holds_for(seen.tuple.protocol, port);
    trace.holds_for(Which::Destination, same);
    if !rule.protocol.matches(seen.tuple.protocol, port, seen.icmp) {
        return false;
    }
    match rule.peer {
        Peer::Cidr(cidr) => cidr.contains(seen.other),
        Peer::Group(group) => {
            trace.depends_on(group.into());
            // A group that the member's VPC does not have has no members, whatever an interface says.
            let Some(member) = peer.filter(|member| member.view.group(group).is_some()) else {
                return false;
            };
            trace.depends_on(member.interface.id.into());
            member.interface.groups.contains(&group)
        }
    }
}

/// A network ACL: the entry with the lowest number that matches decides, and none denies. It keeps no state, so
/// answers are looked at as well.
pub(crate) fn network_acl<T: Trace>(
    view: &VpcView,
    id: AclId,
    direction: Direction,
    seen: Seen,
    trace: &mut T,
) -> Stage<()> {
    let step = match direction {
        Direction::In => Step::IngressAcl,
        Direction::Out => Step::EgressAcl,
    };
    let object = Some(ObjectId::from(id));
    trace.depends_on(id.into());
    let Some(acl) = view.acl(id) else {
        return deny(trace, DropReason::NetworkAcl, step, object, None);
    };
    let entries = match direction {
        Direction::In => &acl.ingress,
        Direction::Out => &acl.egress,
    };
    let first = entries
        .iter()
        .filter(|entry| entry_matches(entry, seen))
        .min_by_key(|entry| entry.number);
    // Later entries say nothing, whatever their ports are.
    let last = first.map_or(u16::MAX, |entry| entry.number);
    for entry in entries {
        if entry.number <= last && entry.cidr.contains(seen.other) {
            let (protocol, port) = (seen.tuple.protocol, seen.tuple.destination_port);
            trace.holds_for(Which::Destination, entry.protocol.holds_for(protocol, port));
        }
    }
    let rule = Some(RuleRef::AclEntry(first.map(|entry| entry.number)));
    if first.is_some_and(|entry| entry.allow) {
        pass(trace, step, object, rule)
    } else {
        deny(trace, DropReason::NetworkAcl, step, object, rule)
    }
}

fn entry_matches(entry: &AclEntry, seen: Seen) -> bool {
    let port = seen.tuple.destination_port;
    entry.protocol.matches(seen.tuple.protocol, port, seen.icmp) && entry.cidr.contains(seen.other)
}
