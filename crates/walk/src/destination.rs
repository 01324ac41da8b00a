//! The destination leg: from the wire to where the packet leaves the network.

use std::net::IpAddr;
use std::ops::ControlFlow;

use topology::{Endpoint, Interface, NatGateway, PublicAddress, Snapshot, Subnet, Target, VpcView};
use types::{DropReason, FlowTuple, GatewayId, InterfaceId, ObjectId, SubnetId, VpcId, proto};

use crate::router::{
    At, NAT_GATEWAY_MTU, Path, Sender, Travel, Wire, is_reserved, missing, only_this_flow,
    public_access, route,
};
use crate::rules::{Direction, Member, Seen, network_acl, security_groups};
use crate::trace::{Stage, deny, pass};
use crate::{
    Decision, Delivery, Egress, End, FlowState, Origin, RuleRef, Service, Step, Trace, Translation,
    Translator,
};

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
    let mut wire = *wire;
    loop {
        let arrival = match wire.path {
            Path::Local {
                vpc,
                subnet,
                sender,
                interface,
            } => {
                let view = known_vpc(snapshot, vpc, trace)?;
                let to = at_address(view, vpc, wire.tuple.destination, trace)?;
                let arrival = inside(
                    snapshot,
                    view,
                    to,
                    &wire,
                    (subnet, sender, interface),
                    trace,
                )?;
                // Through a peering connection, to the other VPC's router.
                if view.subnet(subnet).is_none() {
                    let router = arrival.subnet.router_of(wire.tuple.destination);
                    wire.hop(router, arrival.subnet.id.into(), trace);
                }
                arrival
            }
            Path::Forward {
                vpc,
                subnet,
                sender,
                interface,
                to,
            } => {
                let view = known_vpc(snapshot, vpc, trace)?;
                let to = known_interface(view, to, trace)?;
                inside(
                    snapshot,
                    view,
                    to,
                    &wire,
                    (subnet, sender, interface),
                    trace,
                )?
            }
            Path::Gateway => {
                if leaves_by_uplink(snapshot, &wire, flow, trace)? {
                    return outside(&wire, trace);
                }
                public(snapshot, &mut wire, flow, trace)?
            }
            Path::Uplink => public(snapshot, &mut wire, flow, trace)?,
        };
        if matches!(wire.path, Path::Gateway | Path::Uplink) {
            let nat = arrival.view.nat_gateway_of(arrival.interface.id);
            let outward = nat.is_some() || arrival.by_egress_only;
            public_access(arrival.subnet, outward, trace)?;
        }
        ingress_acl(&arrival, trace)?;
        let Some(gateway) = arrival.view.nat_gateway_of(arrival.interface.id) else {
            if let Some(back) = service_of(snapshot, &arrival, flow, trace) {
                wire = from_service(snapshot, &arrival, back, &wire, trace)?;
                continue;
            }
            ingress_security_group(&arrival, flow, trace)?;
            destination_check(&arrival, trace)?;
            if let Some(endpoint) = snapshot.endpoint_of(arrival.interface.id) {
                wire = to_service(snapshot, &arrival, endpoint, &wire, trace)?;
                continue;
            }
            return destination(&arrival, wire, trace);
        };
        // At a NAT gateway: the packet goes on, to the end inside, if it answers a flow through the gateway.
        trace.depends_on(gateway.id.into());
        wire = translate_back(snapshot, &arrival, gateway, flow, &wire, trace)?;
    }
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
    /// Whether it came in by an egress-only internet gateway, which sees to it that flows begin inside.
    by_egress_only: bool,
    /// The interface whose own address is the source, if it sent the packet itself and nothing stood between.
    /// Only that makes a reference to a security group match.
    peer: Option<Member<'a>>,
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

/// The interface of a VPC that has the address.
fn at_address<'a, T: Trace>(
    view: &'a VpcView,
    vpc: VpcId,
    to: IpAddr,
    trace: &mut T,
) -> Stage<&'a Interface> {
    const STEP: Step = Step::Destination;
    let Some(interface) = view.interface_at(to) else {
        let subnet = view.subnet_of(to);
        let (reason, object) = match subnet {
            Some(subnet) if is_reserved(subnet, to) => (DropReason::NotAService, subnet.id.into()),
            Some(subnet) => (DropReason::NoSuchAddress, subnet.id.into()),
            None => (DropReason::NoSuchAddress, ObjectId::from(vpc)),
        };
        return deny(trace, reason, STEP, Some(object), None);
    };
    ControlFlow::Continue(interface)
}

/// A packet that never left private addresses. `from`: the subnet that it comes from, who sent it as far as a
/// reference to a security group may mean that, and the interface that sent it if nothing stood between.
fn inside<'a, T: Trace>(
    snapshot: &'a Snapshot,
    view: &'a VpcView,
    interface: &'a Interface,
    wire: &Wire,
    from: (SubnetId, Option<Sender>, Option<InterfaceId>),
    trace: &mut T,
) -> Stage<Arrival<'a>> {
    let (came_from, sender, sent_by) = from;
    trace.depends_on(interface.id.into());
    if let Some(id) = sent_by {
        trace.depends_on(id.into());
    }
    let subnet = known_subnet(view, interface, trace)?;
    let peer = sender.and_then(|sender| {
        trace.depends_on(sender.interface.into());
        let view = snapshot.vpc(sender.vpc)?;
        let interface = view.interface(sender.interface)?;
        let own = interface.addresses.contains(&wire.tuple.source);
        own.then_some(Member { view, interface })
    });
    ControlFlow::Continue(Arrival {
        view,
        subnet,
        interface,
        tuple: wire.tuple,
        icmp: wire.icmp,
        crossed: came_from != subnet.id,
        by_egress_only: false,
        peer,
    })
}

/// Back through a NAT gateway: the destination becomes the end inside, and the router of the gateway's subnet goes on.
fn translate_back<T: Trace>(
    snapshot: &Snapshot,
    arrival: &Arrival<'_>,
    gateway: &NatGateway,
    flow: FlowState,
    wire: &Wire,
    trace: &mut T,
) -> Stage<Wire> {
    const STEP: Step = Step::NatGateway;
    let object = Some(ObjectId::from(gateway.id));
    let FlowState::Translated(_, translation) = flow else {
        return deny(trace, DropReason::NoTranslation, STEP, object, None);
    };
    only_this_flow(&arrival.tuple, trace);
    let outside = translation.outside;
    let is_its_own = translation.by == Translator::NatGateway(gateway.id)
        && arrival.interface.addresses.contains(&outside.address)
        && arrival.tuple.destination == outside.address
        && arrival.tuple.destination_port == outside.port;
    let Some(vpc) = arrival.view.vpc.as_ref().filter(|_| is_its_own) else {
        return deny(trace, DropReason::NoTranslation, STEP, object, None);
    };
    let inside = translation.inside;
    let rule = Some(RuleRef::Translation(outside.address, inside.address));
    pass(trace, STEP, object, rule)?;
    let mut wire = *wire;
    wire.mtu = wire.mtu.min(NAT_GATEWAY_MTU);
    trace.link(NAT_GATEWAY_MTU);
    wire.hop(outside.address, gateway.id.into(), trace);
    let travel = Travel {
        tuple: FlowTuple {
            destination: inside.address,
            destination_port: inside.port,
            ..arrival.tuple
        },
        icmp: arrival.icmp,
        sender: None,
        interface: Some(arrival.interface.id),
        translation: Some(translation),
        routers: wire.routers,
        hops: wire.hops,
        mtu: wire.mtu,
    };
    let at = At {
        view: arrival.view,
        vpc,
        subnet: arrival.subnet,
    };
    route(snapshot, at, travel, trace)
}

/// At an endpoint: the packet goes on to the service's backend, from the router of its front's subnet, as if the front
/// had sent it. Both ends are translated, so that the two VPCs may have the same addresses (EC2 "AWS PrivateLink").
fn to_service<T: Trace>(
    snapshot: &Snapshot,
    arrival: &Arrival<'_>,
    endpoint: &Endpoint,
    wire: &Wire,
    trace: &mut T,
) -> Stage<Wire> {
    const STEP: Step = Step::Endpoint;
    let object = Some(ObjectId::from(endpoint.id));
    for id in [endpoint.front, endpoint.backend] {
        trace.depends_on(id.into());
    }
    trace.depends_on(endpoint.id.into());
    if wire.translation.is_some() {
        return deny(trace, DropReason::TranslatedTwice, STEP, object, None);
    }
    if arrival.icmp.is_some() || !matches!(arrival.tuple.protocol, proto::TCP | proto::UDP) {
        return deny(trace, DropReason::NoTranslation, STEP, object, None);
    }
    let view = snapshot.vpc_of(endpoint.front);
    let found = view.and_then(|view| {
        let front = view.interface(endpoint.front)?;
        let backend = view.interface(endpoint.backend)?;
        let address = *front.addresses.iter().find(|address| address.is_ipv4())?;
        let serves = *backend.addresses.iter().find(|address| address.is_ipv4())?;
        let owner = view.vpc.as_ref()?.account;
        (owner == endpoint.provider).then_some((view, front, address, serves))
    });
    if let Some(view) = view.and_then(|view| view.vpc.as_ref()) {
        trace.depends_on(view.id.into());
    }
    let Some((view, front, address, serves)) = found.filter(|_| arrival.tuple.source.is_ipv4())
    else {
        return deny(trace, DropReason::NoTranslation, STEP, object, None);
    };
    only_this_flow(&arrival.tuple, trace);
    let (inside, named) = (source_of(&arrival.tuple), destination_of(&arrival.tuple));
    let translation = Translation {
        by: Translator::Endpoint(endpoint.id),
        inside,
        outside: End { address, ..inside },
        service: Some(Service {
            interface: arrival.interface.id,
            named,
            backend: End {
                address: serves,
                ..named
            },
        }),
    };
    let rule = Some(RuleRef::Translation(named.address, serves));
    pass(trace, STEP, object, rule)?;
    let tuple = FlowTuple {
        source: address,
        destination: serves,
        ..arrival.tuple
    };
    go_on(snapshot, view, front, (tuple, translation), wire, trace)
}

/// What the service's front has received, if it answers a flow that an endpoint has translated.
fn service_of<T: Trace>(
    snapshot: &Snapshot,
    arrival: &Arrival<'_>,
    flow: FlowState,
    trace: &mut T,
) -> Option<(Translation, Service)> {
    let FlowState::Translated(_, translation) = flow else {
        return None;
    };
    let Translator::Endpoint(id) = translation.by else {
        return None;
    };
    let service = translation.service?;
    trace.depends_on(id.into());
    only_this_flow(&arrival.tuple, trace);
    let is_its_own = snapshot.endpoint(id)?.front == arrival.interface.id
        && arrival
            .interface
            .addresses
            .contains(&translation.outside.address)
        && destination_of(&arrival.tuple) == translation.outside
        && source_of(&arrival.tuple) == service.backend;
    is_its_own.then_some((translation, service))
}

/// Back to the consumer, from the router of the subnet in which the endpoint's interface is.
fn from_service<T: Trace>(
    snapshot: &Snapshot,
    arrival: &Arrival<'_>,
    (translation, service): (Translation, Service),
    wire: &Wire,
    trace: &mut T,
) -> Stage<Wire> {
    const STEP: Step = Step::Endpoint;
    let object = translation.by.object();
    trace.depends_on(object);
    trace.depends_on(service.interface.into());
    let view = snapshot.vpc_of(service.interface);
    let found = view.and_then(|view| Some((view, view.interface(service.interface)?)));
    let owns = |interface: &Interface| interface.addresses.contains(&service.named.address);
    let Some((view, interface)) = found.filter(|(_, interface)| owns(interface)) else {
        return deny(trace, DropReason::NoTranslation, STEP, Some(object), None);
    };
    let Translation {
        inside, outside, ..
    } = translation;
    let rule = Some(RuleRef::Translation(outside.address, inside.address));
    pass(trace, STEP, Some(object), rule)?;
    let tuple = FlowTuple {
        source: service.named.address,
        source_port: service.named.port,
        destination: inside.address,
        destination_port: inside.port,
        ..arrival.tuple
    };
    go_on(snapshot, view, interface, (tuple, translation), wire, trace)
}

/// From the router of an interface's subnet, as if the interface had sent it.
fn go_on<T: Trace>(
    snapshot: &Snapshot,
    view: &VpcView,
    interface: &Interface,
    (tuple, translation): (FlowTuple, Translation),
    wire: &Wire,
    trace: &mut T,
) -> Stage<Wire> {
    let subnet = known_subnet(view, interface, trace)?;
    trace.depends_on(interface.vpc.into());
    let Some(vpc) = view.vpc.as_ref() else {
        return missing(interface.vpc.into(), trace);
    };
    let travel = Travel {
        tuple,
        icmp: None,
        sender: None,
        interface: Some(interface.id),
        translation: Some(translation),
        routers: wire.routers,
        hops: wire.hops,
        mtu: wire.mtu,
    };
    route(snapshot, At { view, vpc, subnet }, travel, trace)
}

fn source_of(tuple: &FlowTuple) -> End {
    End {
        address: tuple.source,
        port: tuple.source_port,
    }
}

fn destination_of(tuple: &FlowTuple) -> End {
    End {
        address: tuple.destination,
        port: tuple.destination_port,
    }
}

/// Whether a packet out of an internet gateway is for the outside, and not for a public address of the pool.
fn leaves_by_uplink<T: Trace>(
    snapshot: &Snapshot,
    wire: &Wire,
    flow: FlowState,
    trace: &mut T,
) -> Stage<bool> {
    let to = wire.tuple.destination;
    let Some(uplink) = snapshot.uplink().and_then(|uplink| uplink.side(to)) else {
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
    } else if uplink.internet || flow.opener() == Some(Origin::Uplink) {
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
        translation: wire.translation,
        hops: wire.hops,
        mtu: wire.mtu,
    })
}

/// In through the internet gateway of the VPC that the public address leads to.
fn public<'a, T: Trace>(
    snapshot: &'a Snapshot,
    wire: &mut Wire,
    flow: FlowState,
    trace: &mut T,
) -> Stage<Arrival<'a>> {
    const STEP: Step = Step::InternetGateway;
    if wire.tuple.destination.is_ipv6() {
        return global(snapshot, wire, flow, trace);
    }
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
    wire.hop(subnet.router(), subnet.id.into(), trace);
    let tuple = translate_destination(address, interface, gateway, wire, trace)?;
    let (interface, subnet) = match edge(view, tuple.destination, trace)? {
        Some(middlebox) => (middlebox, known_subnet(view, middlebox, trace)?),
        None => {
            return_route(view, subnet, gateway, tuple.source, trace)?;
            (interface, subnet)
        }
    };
    ControlFlow::Continue(Arrival {
        view,
        subnet,
        interface,
        tuple,
        icmp: wire.icmp,
        crossed: true,
        by_egress_only: false,
        peer: None,
    })
}

/// The same for IPv6, whose addresses are the same on both sides. The route by which the subnet would answer is the
/// gateway that the packet comes in by.
fn global<'a, T: Trace>(
    snapshot: &'a Snapshot,
    wire: &mut Wire,
    flow: FlowState,
    trace: &mut T,
) -> Stage<Arrival<'a>> {
    const STEP: Step = Step::InternetGateway;
    let Some(interface) = snapshot.global(wire.tuple.destination) else {
        let reason = DropReason::UnassociatedPublicAddress;
        return deny(trace, reason, STEP, None, None);
    };
    trace.depends_on(interface.id.into());
    let view = known_vpc(snapshot, interface.vpc, trace)?;
    let subnet = known_subnet(view, interface, trace)?;
    let arrival = Arrival {
        view,
        subnet,
        interface,
        tuple: wire.tuple,
        icmp: wire.icmp,
        crossed: true,
        by_egress_only: false,
        peer: None,
    };
    let router = subnet.router_of(wire.tuple.destination);
    let egress_only = view.vpc.as_ref().and_then(|vpc| {
        match view.route(subnet.route_table, wire.tuple.source)?.target {
            Target::EgressOnlyGateway(id) => vpc.egress_only_gateways.contains(&id).then_some(id),
            Target::Local
            | Target::InternetGateway(_)
            | Target::Interface(_)
            | Target::NatGateway(_)
            | Target::Peering(_)
            | Target::TransitGateway(_)
            | Target::Blackhole => None,
        }
    });
    if let Some(id) = egress_only {
        const STEP: Step = Step::EgressOnlyGateway;
        trace.depends_on(subnet.route_table.into());
        trace.depends_on(id.into());
        if flow.opener() != Some(Origin::Interface(interface.id)) {
            return deny(trace, DropReason::EgressOnly, STEP, Some(id.into()), None);
        }
        wire.hop(router, subnet.id.into(), trace);
        pass(trace, STEP, Some(id.into()), None)?;
        return ControlFlow::Continue(Arrival {
            by_egress_only: true,
            ..arrival
        });
    }
    let Some(gateway) = view.vpc.as_ref().and_then(|vpc| vpc.internet_gateway) else {
        let object = Some(interface.vpc.into());
        return deny(trace, DropReason::NoInternetGateway, STEP, object, None);
    };
    trace.depends_on(gateway.into());
    wire.hop(router, subnet.id.into(), trace);
    pass(trace, STEP, Some(gateway.into()), None)?;
    match edge(view, wire.tuple.destination, trace)? {
        Some(middlebox) => ControlFlow::Continue(Arrival {
            subnet: known_subnet(view, middlebox, trace)?,
            interface: middlebox,
            ..arrival
        }),
        None => {
            return_route(view, subnet, gateway, wire.tuple.source, trace)?;
            ControlFlow::Continue(arrival)
        }
    }
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

/// The route table of the internet gateway, if it has one (EC2 "Gateway route tables"): the interface that a route leads
/// to, or none for a local route. What such an interface lets through, it sends on itself.
fn edge<'a, T: Trace>(
    view: &'a VpcView,
    to: IpAddr,
    trace: &mut T,
) -> Stage<Option<&'a Interface>> {
    const STEP: Step = Step::RouteTable;
    let Some(id) = view.vpc.as_ref().and_then(|vpc| vpc.edge_table) else {
        return ControlFlow::Continue(None);
    };
    let object = Some(ObjectId::from(id));
    trace.depends_on(id.into());
    let route = view.route(id, to);
    let Some(route) = route else {
        return deny(trace, DropReason::NoRoute, STEP, object, None);
    };
    let rule = Some(RuleRef::Route(*route));
    let middlebox = match route.target {
        Target::Interface(id) => {
            trace.depends_on(id.into());
            let found = view.interface(id);
            found.filter(|interface| interface.instance.is_some())
        }
        Target::Local
        | Target::InternetGateway(_)
        | Target::EgressOnlyGateway(_)
        | Target::NatGateway(_)
        | Target::Peering(_)
        | Target::TransitGateway(_)
        | Target::Blackhole => None,
    };
    if middlebox.is_none() && route.target != Target::Local {
        return deny(trace, DropReason::BlackholeRoute, STEP, object, rule);
    }
    pass(trace, STEP, object, rule)?;
    ControlFlow::Continue(middlebox)
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
    let route = view.route(subnet.route_table, source);
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
    let tracked = flow.opener() == Some(here)
        || matches!(flow, FlowState::UnderWay(tracked) if tracked.destination);
    security_groups(
        arrival.view,
        arrival.interface,
        Direction::In,
        arrival.inbound(),
        arrival.peer,
        tracked,
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

fn destination<T: Trace>(arrival: &Arrival<'_>, wire: Wire, trace: &mut T) -> Stage<Delivery> {
    const STEP: Step = Step::Destination;
    let id = arrival.interface.id;
    if arrival.interface.instance.is_none() {
        return deny(trace, DropReason::NotAttached, STEP, Some(id.into()), None);
    }
    pass(trace, STEP, Some(id.into()), None)?;
    trace.link(arrival.interface.mtu);
    ControlFlow::Continue(Delivery {
        egress: Egress::Interface(id),
        tuple: arrival.tuple,
        translation: wire.translation,
        hops: wire.hops,
        mtu: wire.mtu.min(arrival.interface.mtu),
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
