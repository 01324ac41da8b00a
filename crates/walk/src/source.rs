//! The source leg: everything up to the wire.

use std::net::IpAddr;
use std::ops::ControlFlow;

use topology::{Interface, Route, RouteTable, Snapshot, Subnet, Target, Uplink, Vpc, VpcView};
use types::{DropReason, FlowTuple, GatewayId, InterfaceId, ObjectId, VpcId};

use crate::rules::{Direction, Seen, network_acl, security_groups};
use crate::trace::{Stage, deny, pass};
use crate::{Dropped, FlowState, Origin, Packet, RuleRef, Step, Trace};

/// What the source leg puts on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wire {
    /// Addresses and ports, after the translation of the source.
    pub tuple: FlowTuple,
    /// Type and code, of ICMP only.
    pub icmp: Option<(u8, u8)>,
    /// By which way it goes.
    pub path: Path,
}

/// The way of a packet between the two legs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// Inside a VPC, to the interface that has the destination address.
    Local {
        /// The VPC.
        vpc: VpcId,
        /// The interface that sent it.
        from: InterfaceId,
    },
    /// Inside a VPC, to an interface that a route names.
    Forward {
        /// The VPC.
        vpc: VpcId,
        /// The interface that sent it.
        from: InterfaceId,
        /// The route's target.
        to: InterfaceId,
    },
    /// Out of a VPC through its internet gateway; both addresses are public.
    Gateway,
    /// In from the outside; both addresses are public.
    Uplink,
}

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
    egress_security_group(&source, packet, flow, trace)?;
    services(&source, packet, trace)?;
    trace.depends_on(source.subnet.route_table.into());
    let table = source.view.route_table(source.subnet.route_table);
    let route = table.and_then(|table| table.choose(packet.tuple.destination));
    egress_acl(&source, packet, route, trace)?;
    let target = route_table(&source, table, route, trace)?;

    let vpc = source.vpc.id;
    let (tuple, path) = match target {
        Next::Local => (packet.tuple, Path::Local { vpc, from: id }),
        Next::Interface(to) => (packet.tuple, Path::Forward { vpc, from: id, to }),
        Next::Gateway(gateway) => {
            let tuple = translate_source(snapshot, &source, gateway, packet, trace)?;
            (tuple, Path::Gateway)
        }
    };
    ControlFlow::Continue(Wire {
        tuple,
        icmp: packet.icmp,
        path,
    })
}

/// An interface that sends, with what it is in.
struct Source<'a> {
    view: &'a VpcView,
    vpc: &'a Vpc,
    subnet: &'a Subnet,
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
        view,
        vpc,
        subnet,
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
    } else if never_a_host(to) || (to.is_ipv4() && source.subnet.cidr.last() == to) {
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

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn egress_security_group<T: Trace>(
    source: &Source<'_>,
    packet: &Packet,
    flow: FlowState,
    trace: &mut T,
) -> Stage<()> {
    let peer = source.view.interface_at(packet.tuple.destination);
    security_groups(
        source.view,
        source.interface,
        Direction::Out,
        outbound(packet),
        peer.map(|interface| interface.id),
        matches!(flow, FlowState::Reply(_)),
        trace,
    )
}

fn outbound(packet: &Packet) -> Seen {
    Seen {
        tuple: packet.tuple,
        icmp: packet.icmp,
        other: packet.tuple.destination,
    }
}

/// The addresses of the network itself. What they serve, the slow path has answered before anything walks.
fn services<T: Trace>(source: &Source<'_>, packet: &Packet, trace: &mut T) -> Stage<()> {
    let to = packet.tuple.destination;
    if is_link_local(to) || is_reserved(source.subnet, to) {
        let object = Some(source.subnet.id.into());
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

/// The first four addresses of a subnet are the network's (EC2 "Subnet CIDR blocks"); the last one is broadcast.
pub(crate) fn is_reserved(subnet: &Subnet, address: IpAddr) -> bool {
    (0..4).any(|offset| subnet.cidr.nth(offset) == Some(address))
}

/// Network ACLs stand at the subnet's border: traffic that stays inside is not looked at.
fn egress_acl<T: Trace>(
    source: &Source<'_>,
    packet: &Packet,
    route: Option<&Route>,
    trace: &mut T,
) -> Stage<()> {
    let stays = match route.map(|route| route.target) {
        Some(Target::Interface(id)) => {
            trace.depends_on(id.into());
            let next = source.view.interface(id);
            next.is_some_and(|interface| interface.subnet == source.subnet.id)
        }
        Some(Target::Local | Target::InternetGateway(_) | Target::Blackhole) | None => {
            source.subnet.cidr.contains(packet.tuple.destination)
        }
    };
    if stays {
        return ControlFlow::Continue(());
    }
    network_acl(
        source.view,
        source.subnet.acl,
        Direction::Out,
        outbound(packet),
        trace,
    )
}

/// A target that can be followed.
enum Next {
    Local,
    Interface(InterfaceId),
    Gateway(GatewayId),
}

fn route_table<T: Trace>(
    source: &Source<'_>,
    table: Option<&RouteTable>,
    route: Option<&Route>,
    trace: &mut T,
) -> Stage<Next> {
    const STEP: Step = Step::RouteTable;
    let object = Some(ObjectId::from(source.subnet.route_table));
    let Some(route) = table.and(route) else {
        return deny(trace, DropReason::NoRoute, STEP, object, None);
    };
    let rule = Some(RuleRef::Route(*route));
    let next = match route.target {
        Target::Local => Some(Next::Local),
        Target::InternetGateway(id) => {
            (source.vpc.internet_gateway == Some(id)).then_some(Next::Gateway(id))
        }
        Target::Interface(id) => source
            .view
            .interface(id)
            .filter(|interface| interface.instance.is_some())
            .map(|_| Next::Interface(id)),
        Target::Blackhole => None,
    };
    let Some(next) = next else {
        return deny(trace, DropReason::BlackholeRoute, STEP, object, rule);
    };
    pass(trace, STEP, object, rule)?;
    ControlFlow::Continue(next)
}

fn translate_source<T: Trace>(
    snapshot: &Snapshot,
    source: &Source<'_>,
    gateway: GatewayId,
    packet: &Packet,
    trace: &mut T,
) -> Stage<FlowTuple> {
    const STEP: Step = Step::InternetGateway;
    let interface = source.interface.id;
    let private = packet.tuple.source;
    trace.depends_on(gateway.into());
    let Some(address) = snapshot.public_of(interface, private) else {
        let object = Some(interface.into());
        return deny(trace, DropReason::NoPublicAddress, STEP, object, None);
    };
    trace.depends_on(address.allocation.into());
    let rule = Some(RuleRef::Translation(private, address.public));
    pass(trace, STEP, Some(gateway.into()), rule)?;
    ControlFlow::Continue(FlowTuple {
        source: address.public,
        ..packet.tuple
    })
}

fn from_uplink<T: Trace>(snapshot: &Snapshot, packet: &Packet, trace: &mut T) -> Stage<Wire> {
    let Some(uplink) = snapshot.uplink() else {
        return deny(trace, DropReason::UplinkClosed, Step::Source, None, None);
    };
    pass(trace, Step::Source, None, None)?;
    uplink_source_check(uplink, packet, trace)?;
    ControlFlow::Continue(Wire {
        tuple: packet.tuple,
        icmp: packet.icmp,
        path: Path::Uplink,
    })
}

/// The pool is Polder's: nobody outside sends from it but the host itself.
fn uplink_source_check<T: Trace>(uplink: &Uplink, packet: &Packet, trace: &mut T) -> Stage<()> {
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
