//! The destination leg: from the wire to where the packet leaves the network.

use std::net::IpAddr;
use std::ops::ControlFlow;

use topology::{Interface, PublicAddress, Snapshot, Subnet, Target, VpcView};
use types::{DropReason, FlowTuple, GatewayId, InterfaceId, ObjectId, VpcId};

use crate::rules::{Direction, Seen, network_acl, security_groups};
use crate::source::{Path, Wire, is_reserved};
use crate::trace::{Stage, deny, pass};
use crate::{Decision, Delivery, Egress, FlowState, Origin, RuleRef, Step, Trace};

/// Takes a packet from the wire to where it leaves the network: translation of the destination address, inbound
/// rules, destination check. It decides for itself: nothing on the wire is a permission.
pub fn destination_leg<T: Trace>(
    snapshot: &Snapshot,
    wire: &Wire,
    flow: FlowState,
    trace: &mut T,
) -> Decision {
    match arrive(snapshot, wire, flow, trace) {
        ControlFlow::Continue(delivery) => Decision::Deliver(delivery),
        ControlFlow::Break(dropped) => Decision::Drop(dropped),
    }
}

fn arrive<T: Trace>(
    snapshot: &Snapshot,
    wire: &Wire,
    flow: FlowState,
    trace: &mut T,
) -> Stage<Delivery> {
    let arrival = match wire.path {
        Path::Local { vpc, from } => local(snapshot, wire, vpc, from, trace)?,
        Path::Forward { vpc, from, to } => forwarded(snapshot, wire, vpc, from, to, trace)?,
        Path::Gateway => {
            if leaves_by_uplink(snapshot, wire, flow, trace)? {
                return outside(wire, trace);
            }
            public(snapshot, wire, trace)?
        }
        Path::Uplink => public(snapshot, wire, trace)?,
    };
    ingress_acl(&arrival, trace)?;
    ingress_security_group(&arrival, flow, trace)?;
    destination_check(&arrival, trace)?;
    destination(&arrival, trace)
}

/// A packet at the border of the subnet that it is for.
struct Arrival<'a> {
    view: &'a VpcView,
    subnet: &'a Subnet,
    interface: &'a Interface,
    tuple: FlowTuple,
    icmp: Option<(u8, u8)>,
    /// Whether it comes from outside of the subnet.
    crossed: bool,
    /// The interface whose own address is the source, if it sent the packet itself and nothing stood between.
    /// Only that makes a reference to a security group match.
    peer: Option<InterfaceId>,
}

impl Arrival<'_> {
    fn inbound(&self) -> Seen {
        Seen {
            tuple: self.tuple,
            icmp: self.icmp,
            other: self.tuple.source,
        }
    }
}

fn local<'a, T: Trace>(
    snapshot: &'a Snapshot,
    wire: &Wire,
    vpc: VpcId,
    from: InterfaceId,
    trace: &mut T,
) -> Stage<Arrival<'a>> {
    const STEP: Step = Step::Destination;
    let view = known_vpc(snapshot, vpc, trace)?;
    let to = wire.tuple.destination;
    let Some(interface) = view.interface_at(to) else {
        let subnet = view.subnet_of(to);
        let (reason, object) = match subnet {
            Some(subnet) if is_reserved(subnet, to) => (DropReason::NotAService, subnet.id.into()),
            Some(subnet) => (DropReason::NoSuchAddress, subnet.id.into()),
            None => (DropReason::NoSuchAddress, ObjectId::from(vpc)),
        };
        return deny(trace, reason, STEP, Some(object), None);
    };
    inside(view, interface, wire, from, trace)
}

fn forwarded<'a, T: Trace>(
    snapshot: &'a Snapshot,
    wire: &Wire,
    vpc: VpcId,
    from: InterfaceId,
    to: InterfaceId,
    trace: &mut T,
) -> Stage<Arrival<'a>> {
    let view = known_vpc(snapshot, vpc, trace)?;
    let interface = known_interface(view, to, trace)?;
    inside(view, interface, wire, from, trace)
}

/// A packet that never left its VPC.
fn inside<'a, T: Trace>(
    view: &'a VpcView,
    interface: &'a Interface,
    wire: &Wire,
    from: InterfaceId,
    trace: &mut T,
) -> Stage<Arrival<'a>> {
    trace.depends_on(interface.id.into());
    trace.depends_on(from.into());
    let subnet = known_subnet(view, interface, trace)?;
    let sender = view.interface(from);
    ControlFlow::Continue(Arrival {
        view,
        subnet,
        interface,
        tuple: wire.tuple,
        icmp: wire.icmp,
        crossed: sender.is_none_or(|sender| sender.subnet != subnet.id),
        // A middlebox may send under the address of another: then the group of neither counts (EC2 "Security
        // group referencing": not through a middlebox).
        peer: sender
            .filter(|sender| sender.addresses.contains(&wire.tuple.source))
            .map(|sender| sender.id),
    })
}

/// Whether a packet out of an internet gateway is for the outside, and not for a public address of the pool.
fn leaves_by_uplink<T: Trace>(
    snapshot: &Snapshot,
    wire: &Wire,
    flow: FlowState,
    trace: &mut T,
) -> Stage<bool> {
    let to = wire.tuple.destination;
    let Some(uplink) = snapshot.uplink() else {
        return deny(
            trace,
            DropReason::UplinkClosed,
            Step::Destination,
            None,
            None,
        );
    };
    if to == uplink.host {
        ControlFlow::Continue(true)
    } else if uplink.pool.contains(to) {
        ControlFlow::Continue(false)
    } else if uplink.internet || flow == FlowState::Reply(Origin::Uplink) {
        // Whoever came in from there and was let in is answered.
        ControlFlow::Continue(true)
    } else {
        deny(
            trace,
            DropReason::UplinkClosed,
            Step::Destination,
            None,
            None,
        )
    }
}

fn outside<T: Trace>(wire: &Wire, trace: &mut T) -> Stage<Delivery> {
    pass(trace, Step::Destination, None, None)?;
    ControlFlow::Continue(Delivery {
        egress: Egress::Uplink,
        tuple: wire.tuple,
    })
}

/// In through the internet gateway of the VPC that the public address leads to.
fn public<'a, T: Trace>(snapshot: &'a Snapshot, wire: &Wire, trace: &mut T) -> Stage<Arrival<'a>> {
    const STEP: Step = Step::InternetGateway;
    let Some(address) = snapshot.public_address(wire.tuple.destination) else {
        return deny(
            trace,
            DropReason::UnassociatedPublicAddress,
            STEP,
            None,
            None,
        );
    };
    trace.depends_on(address.allocation.into());
    trace.depends_on(address.interface.into());
    let Some(view) = snapshot.vpc_of(address.interface) else {
        let object = Some(address.interface.into());
        return deny(trace, DropReason::NoInterface, STEP, object, None);
    };
    let interface = known_interface(view, address.interface, trace)?;
    let view = known_vpc(snapshot, interface.vpc, trace)?;
    let subnet = known_subnet(view, interface, trace)?;
    let Some(gateway) = view.vpc.as_ref().and_then(|vpc| vpc.internet_gateway) else {
        let object = Some(interface.vpc.into());
        return deny(trace, DropReason::NoInternetGateway, STEP, object, None);
    };
    let tuple = translate_destination(address, interface, gateway, wire, trace)?;
    return_route(view, subnet, gateway, tuple.source, trace)?;
    ControlFlow::Continue(Arrival {
        view,
        subnet,
        interface,
        tuple,
        icmp: wire.icmp,
        crossed: true,
        peer: None,
    })
}

fn translate_destination<T: Trace>(
    address: &PublicAddress,
    interface: &Interface,
    gateway: GatewayId,
    wire: &Wire,
    trace: &mut T,
) -> Stage<FlowTuple> {
    const STEP: Step = Step::InternetGateway;
    trace.depends_on(gateway.into());
    if !interface.addresses.contains(&address.private) {
        let object = Some(interface.id.into());
        return deny(trace, DropReason::NoSuchAddress, STEP, object, None);
    }
    let rule = Some(RuleRef::Translation(address.public, address.private));
    pass(trace, STEP, Some(gateway.into()), rule)?;
    ControlFlow::Continue(FlowTuple {
        destination: address.private,
        ..wire.tuple
    })
}

/// A subnet is reached from the outside only if it can answer through the same gateway.
fn return_route<T: Trace>(
    view: &VpcView,
    subnet: &Subnet,
    gateway: GatewayId,
    source: IpAddr,
    trace: &mut T,
) -> Stage<()> {
    const STEP: Step = Step::InternetGateway;
    let object = Some(ObjectId::from(subnet.route_table));
    trace.depends_on(subnet.route_table.into());
    let route = view
        .route_table(subnet.route_table)
        .and_then(|table| table.choose(source));
    let rule = route.map(|route| RuleRef::Route(*route));
    if route.is_some_and(|route| route.target == Target::InternetGateway(gateway)) {
        pass(trace, STEP, object, rule)
    } else {
        deny(trace, DropReason::NoReturnRoute, STEP, object, rule)
    }
}

fn ingress_acl<T: Trace>(arrival: &Arrival<'_>, trace: &mut T) -> Stage<()> {
    if !arrival.crossed {
        return ControlFlow::Continue(());
    }
    network_acl(
        arrival.view,
        arrival.subnet.acl,
        Direction::In,
        arrival.inbound(),
        trace,
    )
}

fn ingress_security_group<T: Trace>(
    arrival: &Arrival<'_>,
    flow: FlowState,
    trace: &mut T,
) -> Stage<()> {
    let here = Origin::Interface(arrival.interface.id);
    security_groups(
        arrival.view,
        arrival.interface,
        Direction::In,
        arrival.inbound(),
        arrival.peer,
        flow == FlowState::Reply(here),
        trace,
    )
}

fn destination_check<T: Trace>(arrival: &Arrival<'_>, trace: &mut T) -> Stage<()> {
    const STEP: Step = Step::DestinationCheck;
    let interface = arrival.interface;
    let object = Some(ObjectId::from(interface.id));
    let own = interface.addresses.contains(&arrival.tuple.destination);
    if own || !interface.source_dest_check {
        pass(trace, STEP, object, None)
    } else {
        deny(trace, DropReason::DestinationCheck, STEP, object, None)
    }
}

fn destination<T: Trace>(arrival: &Arrival<'_>, trace: &mut T) -> Stage<Delivery> {
    const STEP: Step = Step::Destination;
    let id = arrival.interface.id;
    if arrival.interface.instance.is_none() {
        return deny(trace, DropReason::NotAttached, STEP, Some(id.into()), None);
    }
    pass(trace, STEP, Some(id.into()), None)?;
    ControlFlow::Continue(Delivery {
        egress: Egress::Interface(id),
        tuple: arrival.tuple,
    })
}

fn known_vpc<'a, T: Trace>(snapshot: &'a Snapshot, id: VpcId, trace: &mut T) -> Stage<&'a VpcView> {
    trace.depends_on(id.into());
    match snapshot.vpc(id).filter(|view| view.vpc.is_some()) {
        Some(view) => ControlFlow::Continue(view),
        None => missing(id.into(), trace),
    }
}

fn known_interface<'a, T: Trace>(
    view: &'a VpcView,
    id: InterfaceId,
    trace: &mut T,
) -> Stage<&'a Interface> {
    trace.depends_on(id.into());
    match view.interface(id) {
        Some(interface) => ControlFlow::Continue(interface),
        None => missing(id.into(), trace),
    }
}

fn known_subnet<'a, T: Trace>(
    view: &'a VpcView,
    interface: &Interface,
    trace: &mut T,
) -> Stage<&'a Subnet> {
    trace.depends_on(interface.subnet.into());
    match view.subnet(interface.subnet) {
        Some(subnet) => ControlFlow::Continue(subnet),
        None => missing(interface.subnet.into(), trace),
    }
}

/// What is referred to and not there lets nothing in.
fn missing<T: Trace, X>(object: ObjectId, trace: &mut T) -> Stage<X> {
    deny(
        trace,
        DropReason::NoInterface,
        Step::Destination,
        Some(object),
        None,
    )
}
