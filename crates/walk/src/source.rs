//! The source leg: everything up to the wire.

use std::net::IpAddr;
use std::ops::ControlFlow;

use topology::{Interface, Snapshot, Target, UplinkSide};
use types::{DropReason, FlowTuple, InterfaceId, ObjectId};

use crate::router::{At, Path, Sender, Travel, Wire, is_reserved, route};
use crate::rules::{Direction, Member, Seen, security_groups};
use crate::trace::{Stage, deny, pass};
use crate::{Dropped, FlowState, Origin, Packet, Step, Trace};

/// Takes a packet from where it enters the network to the wire: source check, outbound rules, route, and the
/// translation of the source address.
pub fn source_leg<T: Trace>(
    snapshot: &Snapshot,
    origin: Origin,
    packet: &Packet,
    flow: FlowState,
    trace: &mut T,
) -> ControlFlow<Dropped, Wire> {
    match origin {
        Origin::Interface(id) => from_interface(snapshot, id, packet, flow, trace),
        Origin::Uplink => from_uplink(snapshot, packet, trace),
    }
}

fn from_interface<T: Trace>(
    snapshot: &Snapshot,
    id: InterfaceId,
    packet: &Packet,
    flow: FlowState,
    trace: &mut T,
) -> Stage<Wire> {
    let source = source(snapshot, id, trace)?;
    source_check(&source, packet, trace)?;
    egress_security_group(snapshot, &source, packet, flow, trace)?;
    services(&source, packet, trace)?;
    let travel = Travel {
        tuple: packet.tuple,
        icmp: packet.icmp,
        // A middlebox may send under the address of another: then the group of neither counts (EC2 "Security group
        // referencing": not through a middlebox).
        sender: source
            .interface
            .addresses
            .contains(&packet.tuple.source)
            .then_some(Sender {
                vpc: source.at.vpc.id,
                interface: id,
            }),
        interface: Some(id),
        translation: None,
        routers: 0,
        hops: 0,
        mtu: u16::MAX,
    };
    route(snapshot, source.at, travel, trace)
}

/// An interface that sends, with what it is in.
struct Source<'a> {
    at: At<'a>,
    interface: &'a Interface,
}

fn source<'a, T: Trace>(
    snapshot: &'a Snapshot,
    id: InterfaceId,
    trace: &mut T,
) -> Stage<Source<'a>> {
    const STEP: Step = Step::Source;
    let object = Some(ObjectId::from(id));
    trace.depends_on(id.into());
    let Some((view, interface)) = snapshot
        .vpc_of(id)
        .and_then(|view| Some((view, view.interface(id)?)))
    else {
        return deny(trace, DropReason::NoInterface, STEP, object, None);
    };
    trace.depends_on(interface.vpc.into());
    trace.depends_on(interface.subnet.into());
    let Some(vpc) = &view.vpc else {
        let missing = Some(interface.vpc.into());
        return deny(trace, DropReason::NoInterface, STEP, missing, None);
    };
    let Some(subnet) = view.subnet(interface.subnet) else {
        let missing = Some(interface.subnet.into());
        return deny(trace, DropReason::NoInterface, STEP, missing, None);
    };
    if interface.instance.is_none() {
        return deny(trace, DropReason::NotAttached, STEP, object, None);
    }
    pass(trace, STEP, object, None)?;
    ControlFlow::Continue(Source {
        at: At { view, vpc, subnet },
        interface,
    })
}

fn source_check<T: Trace>(source: &Source<'_>, packet: &Packet, trace: &mut T) -> Stage<()> {
    const STEP: Step = Step::SourceCheck;
    let interface = source.interface;
    let object = Some(ObjectId::from(interface.id));
    let FlowTuple {
        source: from,
        destination: to,
        ..
    } = packet.tuple;
    let refused = if from.is_ipv6() != to.is_ipv6() {
        Some(DropReason::MalformedFrame)
    } else if from.is_ipv6() && !interface.addresses.iter().any(IpAddr::is_ipv6) {
        Some(DropReason::Ipv6NotAssigned)
    } else if never_a_sender(from)
        || (interface.source_dest_check && !interface.addresses.contains(&from))
    {
        Some(DropReason::SpoofedAddress)
    } else if never_a_host(to) || (to.is_ipv4() && source.at.subnet.cidr.last() == to) {
        Some(DropReason::BroadcastOrMulticast)
    } else {
        None
    };
    match refused {
        Some(reason) => deny(trace, reason, STEP, object, None),
        None => pass(trace, STEP, object, None),
    }
}

/// Addresses that no packet on a virtual network comes from or goes to: multicast, broadcast, unspecified, loopback.
fn never_a_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    address.is_multicast() || address.is_unspecified() || address.is_loopback() || broadcast
}

/// Link-local addresses are not routed (RFC 3927 section 7), so nothing that must be routed comes from one.
fn never_a_sender(address: IpAddr) -> bool {
    never_a_host(address) || is_link_local(address)
}

/// Link-local addresses, and `fd00:ec2::/32`, in which services have theirs that IPv4 has there (EC2 "IPv6 addressing").
fn is_service(address: IpAddr) -> bool {
    let of_ec2 =
        matches!(address, IpAddr::V6(v6) if v6.octets().starts_with(&[0xfd, 0, 0x0e, 0xc2]));
    is_link_local(address) || of_ec2
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn egress_security_group<T: Trace>(
    snapshot: &Snapshot,
    source: &Source<'_>,
    packet: &Packet,
    flow: FlowState,
    trace: &mut T,
) -> Stage<()> {
    let seen = Seen {
        tuple: packet.tuple,
        icmp: packet.icmp,
        other: packet.tuple.destination,
    };
    let peer = receiver(snapshot, source, packet.tuple.destination, trace);
    security_groups(
        source.at.view,
        source.interface,
        Direction::Out,
        seen,
        peer,
        flow.opener().is_some() || matches!(flow, FlowState::UnderWay(tracked) if tracked.source),
        trace,
    )
}

/// The interface that has the destination address, in the VPC or in one that a peering connection leads to.
fn receiver<'a, T: Trace>(
    snapshot: &'a Snapshot,
    source: &Source<'a>,
    to: IpAddr,
    trace: &mut T,
) -> Option<Member<'a>> {
    let At { view, vpc, subnet } = source.at;
    if let Some(interface) = view.interface_at(to) {
        return Some(Member { view, interface });
    }
    let route = view.route(subnet.route_table, to)?;
    let Target::Peering(id) = route.target else {
        return None;
    };
    trace.depends_on(subnet.route_table.into());
    trace.depends_on(id.into());
    let view = snapshot.vpc(snapshot.peering(id)?.other(vpc.id)?)?;
    let interface = view.interface_at(to)?;
    Some(Member { view, interface })
}

/// The addresses of the network itself. What they serve, the slow path has answered before anything walks.
fn services<T: Trace>(source: &Source<'_>, packet: &Packet, trace: &mut T) -> Stage<()> {
    let to = packet.tuple.destination;
    if is_service(to) || is_reserved(source.at.subnet, to) {
        let object = Some(source.at.subnet.id.into());
        return deny(
            trace,
            DropReason::NotAService,
            Step::Destination,
            object,
            None,
        );
    }
    ControlFlow::Continue(())
}

fn from_uplink<T: Trace>(snapshot: &Snapshot, packet: &Packet, trace: &mut T) -> Stage<Wire> {
    let Some(uplink) = snapshot.uplink() else {
        return deny(trace, DropReason::UplinkClosed, Step::Source, None, None);
    };
    let Some(side) = uplink.side(packet.tuple.source) else {
        return deny(trace, DropReason::UplinkClosed, Step::Source, None, None);
    };
    pass(trace, Step::Source, None, None)?;
    uplink_source_check(&side, packet, trace)?;
    ControlFlow::Continue(Wire {
        tuple: packet.tuple,
        icmp: packet.icmp,
        path: Path::Uplink,
        translation: None,
        routers: 0,
        hops: 0,
        mtu: u16::MAX,
    })
}

/// The pool is Polder's: nobody outside sends from it but the host itself.
fn uplink_source_check<T: Trace>(uplink: &UplinkSide, packet: &Packet, trace: &mut T) -> Stage<()> {
    const STEP: Step = Step::SourceCheck;
    let FlowTuple {
        source: from,
        destination: to,
        ..
    } = packet.tuple;
    let refused = if from.is_ipv6() != to.is_ipv6() {
        Some(DropReason::MalformedFrame)
    } else if never_a_sender(from) || (uplink.pool.contains(from) && from != uplink.host) {
        Some(DropReason::SpoofedAddress)
    } else if never_a_host(to) || (to.is_ipv4() && uplink.pool.last() == to) {
        Some(DropReason::BroadcastOrMulticast)
    } else {
        None
    };
    match refused {
        Some(reason) => deny(trace, reason, STEP, None, None),
        None => pass(trace, STEP, None, None),
    }
}
