//! The routers between two ends: from a subnet's router to the wire, through as many as the routes say.
//!
//! A router is a subnet's: it has that subnet's route table, and the subnet's network ACL is its border. A NAT gateway
//! and a transit gateway's attachment hand the packet to the router of the subnet that they are in.

use std::net::IpAddr;
use std::ops::ControlFlow;

use topology::{PublicAccess, Route, Snapshot, Subnet, Target, TransitAttachment, Vpc, VpcView};
use types::{
    DropReason, EgressOnlyGatewayId, FlowTuple, GatewayId, InterfaceId, NatGatewayId, ObjectId,
    PeeringConnectionId, PortRange, SubnetId, TransitGatewayId, VpcId, proto,
};

use crate::rules::{Direction, Seen, network_acl};
use crate::trace::{Stage, deny, pass};
use crate::{End, Hop, RuleRef, Step, Trace, Translation, Translator, Which};

/// More routers than a packet meets in any sound network.
const MAX_ROUTERS: u8 = 16;
/// What the internet carries (EC2 "Network maximum transmission unit (MTU)").
const INTERNET_MTU: u16 = 1500;
/// What a NAT gateway carries (EC2 "NAT gateway basics").
pub(crate) const NAT_GATEWAY_MTU: u16 = 8500;
/// What a transit gateway carries between VPCs and over peerings (Amazon VPC "Quotas for your transit gateways").
const TRANSIT_MTU: u16 = 8500;

/// What the source leg puts on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wire {
    /// Addresses and ports, after the translation of the source.
    pub tuple: FlowTuple,
    /// Type and code, of ICMP only.
    pub icmp: Option<(u8, u8)>,
    /// By which way it goes.
    pub path: Path,
    /// How a NAT gateway on the way translates it.
    pub translation: Option<Translation>,
    /// How many route tables it has met.
    pub routers: u8,
    /// How many routers have taken one from its TTL or hop limit.
    pub hops: u8,
    /// The largest IP packet that the links so far carry, in bytes.
    pub mtu: u16,
}

impl Wire {
    /// One router further.
    pub(crate) fn hop<T: Trace>(&mut self, address: IpAddr, object: ObjectId, trace: &mut T) {
        hop(&mut self.hops, address, object, trace);
    }
}

/// The way of a packet between the two legs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// To the interface of a VPC that has the destination address.
    Local {
        /// The VPC.
        vpc: VpcId,
        /// The subnet that it comes from; of another VPC if it comes through a peering connection.
        subnet: SubnetId,
        /// Who sent it, if a reference to a security group may mean that.
        sender: Option<Sender>,
        /// The interface that sent it, where nothing stood between.
        interface: Option<InterfaceId>,
    },
    /// To an interface of a VPC that a route names.
    Forward {
        /// The VPC.
        vpc: VpcId,
        /// The subnet that it comes from.
        subnet: SubnetId,
        /// Who sent it, if a reference to a security group may mean that.
        sender: Option<Sender>,
        /// The interface that sent it, where nothing stood between.
        interface: Option<InterfaceId>,
        /// The route's target.
        to: InterfaceId,
    },
    /// Out of a VPC through its internet gateway or an egress-only one; both addresses are public.
    Gateway,
    /// In from the outside; both addresses are public.
    Uplink,
}

/// An interface that sent a packet under its own address, and the VPC that it is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The VPC.
    pub vpc: VpcId,
    /// The interface.
    pub interface: InterfaceId,
}

/// A subnet's router.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) view: &'a VpcView,
    pub(crate) vpc: &'a Vpc,
    pub(crate) subnet: &'a Subnet,
}

/// A packet between routers.
#[derive(Clone, Copy)]
pub(crate) struct Travel {
    pub(crate) tuple: FlowTuple,
    pub(crate) icmp: Option<(u8, u8)>,
    pub(crate) sender: Option<Sender>,
    /// The interface that sent it, where nothing stood between.
    pub(crate) interface: Option<InterfaceId>,
    pub(crate) translation: Option<Translation>,
    pub(crate) routers: u8,
    pub(crate) hops: u8,
    pub(crate) mtu: u16,
}

impl Travel {
    fn hop<T: Trace>(&mut self, address: IpAddr, object: ObjectId, trace: &mut T) {
        hop(&mut self.hops, address, object, trace);
    }

    fn link<T: Trace>(&mut self, mtu: u16, trace: &mut T) {
        self.mtu = self.mtu.min(mtu);
        trace.link(mtu);
    }

    fn onto(self, path: Path) -> Wire {
        Wire {
            tuple: self.tuple,
            icmp: self.icmp,
            path,
            translation: self.translation,
            routers: self.routers,
            hops: self.hops,
            mtu: self.mtu,
        }
    }

    /// What a rule sees of it that is for what leaves.
    fn outbound(&self) -> Seen {
        Seen {
            tuple: self.tuple,
            icmp: self.icmp,
            other: self.tuple.destination,
        }
    }

    /// What a rule sees of it that is for what enters.
    fn inbound(&self) -> Seen {
        Seen {
            tuple: self.tuple,
            icmp: self.icmp,
            other: self.tuple.source,
        }
    }
}

/// A router takes one from the packet's TTL or hop limit.
fn hop<T: Trace>(hops: &mut u8, address: IpAddr, object: ObjectId, trace: &mut T) {
    *hops += 1;
    trace.hop(Hop {
        address,
        object,
        mtu: u16::MAX,
    });
}

/// The first four addresses of each of a subnet's blocks are the network's (EC2 "Subnet CIDR blocks"). So is the last
/// one: in IPv4 it is broadcast.
pub(crate) fn is_reserved(subnet: &Subnet, address: IpAddr) -> bool {
    subnet.blocks().any(|block| {
        (0..4).any(|offset| block.nth(offset) == Some(address))
            || (address.is_ipv6() && block.last() == address)
    })
}

/// Takes a packet from a subnet's router to the wire.
pub(crate) fn route<T: Trace>(
    snapshot: &Snapshot,
    at: At<'_>,
    travel: Travel,
    trace: &mut T,
) -> Stage<Wire> {
    let (mut at, mut travel) = (at, travel);
    loop {
        travel.routers += 1;
        if travel.routers > MAX_ROUTERS {
            let object = Some(at.subnet.id.into());
            return deny(
                trace,
                DropReason::RoutingLoop,
                Step::RouteTable,
                object,
                None,
            );
        }
        // Where both ends are in one subnet no router stands between (EC2's routers never show; see docs/limits.md).
        let to = travel.tuple.destination;
        if !at.subnet.contains(to) {
            travel.hop(at.subnet.router_of(to), at.subnet.id.into(), trace);
        }
        trace.depends_on(at.subnet.route_table.into());
        let route = at.view.route(at.subnet.route_table, to);
        egress_acl(at, &travel, route, trace)?;
        let target = route_table(snapshot, at, route, trace)?;
        let (vpc, subnet) = (at.vpc.id, at.subnet.id);
        let (sender, interface) = (travel.sender, travel.interface);
        let path = match target {
            Target::Local => Path::Local {
                vpc,
                subnet,
                sender,
                interface,
            },
            Target::Interface(to) => Path::Forward {
                vpc,
                subnet,
                sender,
                interface,
                to,
            },
            Target::InternetGateway(gateway) => {
                travel.tuple = translate_source(snapshot, at, &travel, gateway, trace)?;
                travel.link(INTERNET_MTU, trace);
                Path::Gateway
            }
            Target::EgressOnlyGateway(gateway) => {
                egress_only(snapshot, at, &travel, gateway, trace)?;
                travel.link(INTERNET_MTU, trace);
                Path::Gateway
            }
            Target::Peering(id) => Path::Local {
                vpc: peering(snapshot, at, &travel, id, trace)?,
                subnet,
                sender,
                interface,
            },
            Target::NatGateway(id) => {
                at = nat_gateway(at, &mut travel, id, trace)?;
                continue;
            }
            Target::TransitGateway(id) => {
                at = transit_gateway(snapshot, at, &mut travel, id, trace)?;
                continue;
            }
            Target::Blackhole => return missing(at.subnet.route_table.into(), trace),
        };
        if path == Path::Gateway {
            let by_internet_gateway = matches!(target, Target::InternetGateway(_));
            let outward = travel.translation.is_some() || !by_internet_gateway;
            public_access(at.subnet, outward, trace)?;
        }
        return ControlFlow::Continue(travel.onto(path));
    }
}

/// Network ACLs stand at the subnet's border: traffic that stays inside is not looked at.
fn egress_acl<T: Trace>(
    at: At<'_>,
    travel: &Travel,
    route: Option<&Route>,
    trace: &mut T,
) -> Stage<()> {
    let here = at.subnet.id;
    let stays = match route.map(|route| route.target) {
        Some(Target::Interface(id)) => {
            trace.depends_on(id.into());
            let next = at.view.interface(id);
            next.is_some_and(|interface| interface.subnet == here)
        }
        Some(Target::NatGateway(id)) => {
            trace.depends_on(id.into());
            let next = at.view.nat_gateway(id);
            next.is_some_and(|gateway| gateway.subnet == here)
        }
        // Outside, even where it is attached in this very subnet (EC2 "Network ACLs for transit gateways").
        Some(Target::TransitGateway(_)) => false,
        Some(
            Target::Local
            | Target::InternetGateway(_)
            | Target::EgressOnlyGateway(_)
            | Target::Peering(_)
            | Target::Blackhole,
        )
        | None => at.subnet.contains(travel.tuple.destination),
    };
    if stays {
        return ControlFlow::Continue(());
    }
    network_acl(
        at.view,
        at.subnet.acl,
        Direction::Out,
        travel.outbound(),
        trace,
    )
}

/// The target of the route, if it can be followed.
fn route_table<T: Trace>(
    snapshot: &Snapshot,
    at: At<'_>,
    route: Option<&Route>,
    trace: &mut T,
) -> Stage<Target> {
    const STEP: Step = Step::RouteTable;
    let object = Some(ObjectId::from(at.subnet.route_table));
    let Some(route) = route else {
        return deny(trace, DropReason::NoRoute, STEP, object, None);
    };
    let rule = Some(RuleRef::Route(*route));
    let leads_on = match route.target {
        Target::Local => true,
        Target::InternetGateway(id) => at.vpc.internet_gateway == Some(id),
        Target::EgressOnlyGateway(id) => at.vpc.egress_only_gateways.contains(&id),
        Target::Interface(id) => at
            .view
            .interface(id)
            .is_some_and(|interface| interface.instance.is_some()),
        Target::NatGateway(id) => at.view.nat_gateway(id).is_some(),
        Target::Peering(id) => snapshot
            .peering(id)
            .is_some_and(|peering| peering.other(at.vpc.id).is_some()),
        Target::TransitGateway(id) => snapshot.attachment_of(id, at.vpc.id).is_some(),
        Target::Blackhole => false,
    };
    if !leads_on {
        return deny(trace, DropReason::BlackholeRoute, STEP, object, rule);
    }
    pass(trace, STEP, object, rule)?;
    ControlFlow::Continue(route.target)
}

/// Through the internet gateway: the source address becomes its public one. It is the address that counts, and not who
/// sent it last: a middlebox forwards for those behind it. What comes from elsewhere has no public address here.
fn translate_source<T: Trace>(
    snapshot: &Snapshot,
    at: At<'_>,
    travel: &Travel,
    gateway: GatewayId,
    trace: &mut T,
) -> Stage<FlowTuple> {
    const STEP: Step = Step::InternetGateway;
    let private = travel.tuple.source;
    trace.depends_on(gateway.into());
    if private.is_ipv6() {
        is_global(snapshot, at, travel, STEP, trace)?;
        pass(trace, STEP, Some(gateway.into()), None)?;
        return ControlFlow::Continue(travel.tuple);
    }
    let owner = travel.interface.and(at.view.interface_at(private));
    if let Some(owner) = owner {
        trace.depends_on(owner.id.into());
    }
    let address = owner.and_then(|owner| snapshot.public_of(owner.id, private));
    let Some(address) = address else {
        let object = travel.interface.map_or(at.subnet.id.into(), ObjectId::from);
        return deny(trace, DropReason::NoPublicAddress, STEP, Some(object), None);
    };
    trace.depends_on(address.allocation.into());
    let rule = Some(RuleRef::Translation(private, address.public));
    pass(trace, STEP, Some(gateway.into()), rule)?;
    ControlFlow::Continue(FlowTuple {
        source: address.public,
        ..travel.tuple
    })
}

/// What block public access leaves of a subnet's way to the outside. `outward`: a NAT gateway or an egress-only internet
/// gateway sees to it that flows begin inside.
pub(crate) fn public_access<T: Trace>(subnet: &Subnet, outward: bool, trace: &mut T) -> Stage<()> {
    let passes = match subnet.public_access {
        PublicAccess::Open => true,
        PublicAccess::EgressOnly => outward,
        PublicAccess::Closed => false,
    };
    if passes {
        return ControlFlow::Continue(());
    }
    let object = Some(ObjectId::from(subnet.id));
    let reason = DropReason::PublicAccessBlocked;
    deny(trace, reason, Step::InternetGateway, object, None)
}

/// Through an egress-only internet gateway, which leaves addresses as they are and knows no IPv4.
fn egress_only<T: Trace>(
    snapshot: &Snapshot,
    at: At<'_>,
    travel: &Travel,
    gateway: EgressOnlyGatewayId,
    trace: &mut T,
) -> Stage<()> {
    const STEP: Step = Step::EgressOnlyGateway;
    trace.depends_on(gateway.into());
    is_global(snapshot, at, travel, STEP, trace)?;
    pass(trace, STEP, Some(gateway.into()), None)
}

/// An IPv6 address is public if it is of the uplink's pool. Only what an interface of the VPC has goes out: what comes from
/// elsewhere, by a transit gateway for instance, could not be answered by the same way.
fn is_global<T: Trace>(
    snapshot: &Snapshot,
    at: At<'_>,
    travel: &Travel,
    step: Step,
    trace: &mut T,
) -> Stage<()> {
    let source = travel.tuple.source;
    let owner = travel.interface.and(at.view.interface_at(source));
    if let Some(owner) = owner {
        trace.depends_on(owner.id.into());
    }
    let side = snapshot.uplink().and_then(|uplink| uplink.side(source));
    if owner.is_some() && source.is_ipv6() && side.is_none_or(|side| side.pool.contains(source)) {
        return ControlFlow::Continue(());
    }
    let object = travel.interface.map_or(at.subnet.id.into(), ObjectId::from);
    deny(trace, DropReason::NoPublicAddress, step, Some(object), None)
}

/// Into the VPC at the other end. Only the VPC's own traffic goes there (EC2 "VPC peering limitations": no edge to
/// edge routing through a gateway or a private connection).
fn peering<T: Trace>(
    snapshot: &Snapshot,
    at: At<'_>,
    travel: &Travel,
    id: PeeringConnectionId,
    trace: &mut T,
) -> Stage<VpcId> {
    const STEP: Step = Step::Peering;
    let object = Some(ObjectId::from(id));
    trace.depends_on(id.into());
    let other = snapshot
        .peering(id)
        .and_then(|peering| peering.other(at.vpc.id));
    let Some(other) = other else {
        return missing(id.into(), trace);
    };
    let own = |address| at.vpc.cidrs.iter().any(|cidr| cidr.contains(address));
    if !own(travel.tuple.source) {
        return deny(trace, DropReason::EdgeToEdge, STEP, object, None);
    }
    pass(trace, STEP, object, None)?;
    ControlFlow::Continue(other)
}

/// Through a NAT gateway, to the router of its subnet.
fn nat_gateway<'a, T: Trace>(
    at: At<'a>,
    travel: &mut Travel,
    id: NatGatewayId,
    trace: &mut T,
) -> Stage<At<'a>> {
    const STEP: Step = Step::NatGateway;
    let object = Some(ObjectId::from(id));
    trace.depends_on(id.into());
    let Some(gateway) = at.view.nat_gateway(id) else {
        return missing(id.into(), trace);
    };
    let next = enter(at, gateway.subnet, travel, trace)?;
    trace.depends_on(gateway.interface.into());
    let Some(interface) = at.view.interface(gateway.interface) else {
        return missing(gateway.interface.into(), trace);
    };
    if travel.translation.is_some() {
        return deny(trace, DropReason::TranslatedTwice, STEP, object, None);
    }
    if !is_translatable(travel) {
        return deny(trace, DropReason::NoTranslation, STEP, object, None);
    }
    let addresses: Vec<IpAddr> = interface
        .addresses
        .iter()
        .copied()
        .filter(IpAddr::is_ipv4)
        .collect();
    only_this_flow(&travel.tuple, trace);
    let chosen = usize::try_from(spread(&travel.tuple)).unwrap_or(0) % addresses.len().max(1);
    let inside = End {
        address: travel.tuple.source,
        port: travel.tuple.source_port,
    };
    let Some(address) = addresses
        .get(chosen)
        .copied()
        .filter(|_| inside.address.is_ipv4())
    else {
        return deny(trace, DropReason::NoTranslation, STEP, object, None);
    };
    travel.link(NAT_GATEWAY_MTU, trace);
    travel.hop(address, id.into(), trace);
    travel.translation = Some(Translation {
        by: Translator::NatGateway(id),
        inside,
        outside: End { address, ..inside },
        service: None,
    });
    let rule = Some(RuleRef::Translation(inside.address, address));
    pass(trace, STEP, object, rule)?;
    travel.tuple.source = address;
    travel.sender = None;
    travel.interface = Some(gateway.interface);
    ControlFlow::Continue(next)
}

/// What has ports to tell flows by (EC2 "NAT gateway basics": TCP, UDP and ICMP): of ICMP, echo requests.
pub(crate) fn is_translatable(travel: &Travel) -> bool {
    let protocol = travel.tuple.protocol;
    match travel.icmp {
        Some(icmp) => protocol == proto::ICMP && icmp == (8, 0),
        None => matches!(protocol, proto::TCP | proto::UDP),
    }
}

/// To the transit gateway and out of it, to the router of the subnet where the other VPC's attachment is.
fn transit_gateway<'a, T: Trace>(
    snapshot: &'a Snapshot,
    at: At<'a>,
    travel: &mut Travel,
    id: TransitGatewayId,
    trace: &mut T,
) -> Stage<At<'a>> {
    const STEP: Step = Step::TransitGateway;
    trace.depends_on(id.into());
    let Some(from) = snapshot.attachment_of(id, at.vpc.id) else {
        return missing(id.into(), trace);
    };
    trace.depends_on(from.id.into());
    carries(from, travel, trace)?;
    let zone = at.subnet.zone.as_str();
    let Some(door) = subnet_in(at.view, from, zone) else {
        let object = Some(from.id.into());
        return deny(trace, DropReason::NoAttachmentInZone, STEP, object, None);
    };
    trace.depends_on(door.id.into());
    network_acl(at.view, door.acl, Direction::In, travel.inbound(), trace)?;
    travel.link(TRANSIT_MTU, trace);
    let door = from.interfaces.iter().find_map(|id| {
        let interface = at.view.interface(*id)?;
        trace.depends_on(interface.id.into());
        let here = interface.subnet == door.id;
        let to = travel.tuple.destination;
        let mut own = interface.addresses.iter().copied();
        own.find(|own| here && own.is_ipv4() == to.is_ipv4())
    });
    let door = door.unwrap_or_else(|| at.subnet.router_of(travel.tuple.destination));
    let to = across(snapshot, (id, door), from, travel, trace)?;
    carries(to, travel, trace)?;
    if to.appliance_mode {
        only_this_flow(&travel.tuple, trace);
    }
    let next = snapshot.vpc(to.vpc).and_then(|view| {
        let subnet = landing(view, to, zone, &travel.tuple)?;
        Some(At {
            view,
            vpc: view.vpc.as_ref()?,
            subnet,
        })
    });
    trace.depends_on(to.vpc.into());
    let Some(next) = next else {
        return missing(to.id.into(), trace);
    };
    trace.depends_on(next.subnet.id.into());
    if !(from.group_references && to.group_references) {
        travel.sender = None;
    }
    travel.interface = None;
    ControlFlow::Continue(next)
}

/// IPv6 goes over attachments that carry it only (EC2 `Ipv6Support`).
fn carries<T: Trace>(attachment: &TransitAttachment, travel: &Travel, trace: &mut T) -> Stage<()> {
    if attachment.ipv6 || travel.tuple.destination.is_ipv4() {
        return ControlFlow::Continue(());
    }
    let object = Some(attachment.id.into());
    deny(
        trace,
        DropReason::NoRoute,
        Step::TransitGateway,
        object,
        None,
    )
}

/// From a VPC's attachment to the one at which the packet leaves: by the route table that is associated, and over a
/// peering by that of the other gateway. Gateways report under `door`, the address of the first one in the VPC.
fn across<'a, T: Trace>(
    snapshot: &'a Snapshot,
    (gateway, door): (TransitGatewayId, IpAddr),
    from: &TransitAttachment,
    travel: &mut Travel,
    trace: &mut T,
) -> Stage<&'a TransitAttachment> {
    const STEP: Step = Step::TransitGateway;
    let (mut gateway, mut came_by, mut table) = (gateway, from.id, from.route_table);
    loop {
        travel.routers += 1;
        if travel.routers > MAX_ROUTERS {
            let object = Some(gateway.into());
            return deny(trace, DropReason::RoutingLoop, STEP, object, None);
        }
        travel.hop(door, gateway.into(), trace);
        let Some(id) = table else {
            let object = Some(came_by.into());
            return deny(trace, DropReason::NoRoute, STEP, object, None);
        };
        trace.depends_on(id.into());
        let object = Some(ObjectId::from(id));
        let Some(route) = snapshot.transit_route(id, travel.tuple.destination) else {
            return deny(trace, DropReason::NoRoute, STEP, object, None);
        };
        let rule = Some(RuleRef::TransitRoute(route.destination));
        let Some(next) = route.attachment else {
            return deny(trace, DropReason::BlackholeRoute, STEP, object, rule);
        };
        trace.depends_on(next.into());
        let vpc = snapshot.transit_attachment(next);
        if let Some(to) = vpc.filter(|to| to.gateway == gateway) {
            pass(trace, STEP, object, rule)?;
            return ControlFlow::Continue(to);
        }
        let peering = snapshot.transit_peering(next);
        let Some(other) = peering.and_then(|peering| peering.other(gateway)) else {
            return deny(trace, DropReason::BlackholeRoute, STEP, object, rule);
        };
        pass(trace, STEP, object, rule)?;
        // Groups cannot be referred to over a peering of gateways.
        travel.sender = None;
        (gateway, table) = other;
        came_by = next;
    }
}

/// The attachment's subnet in a zone.
fn subnet_in<'a>(
    view: &'a VpcView,
    attachment: &TransitAttachment,
    zone: &str,
) -> Option<&'a Subnet> {
    let mut subnets = attachment.subnets.iter().filter_map(|id| view.subnet(*id));
    subnets.find(|subnet| subnet.zone == zone)
}

/// Where a packet enters a VPC: in the zone that it comes from, if the attachment is there. In appliance mode the flow
/// decides, the same for both of its directions.
fn landing<'a>(
    view: &'a VpcView,
    attachment: &TransitAttachment,
    zone: &str,
    tuple: &FlowTuple,
) -> Option<&'a Subnet> {
    let mut subnets: Vec<&Subnet> = attachment
        .subnets
        .iter()
        .filter_map(|id| view.subnet(*id))
        .collect();
    subnets.sort_by(|a, b| (&a.zone, a.id).cmp(&(&b.zone, b.id)));
    if attachment.appliance_mode {
        let count = u64::try_from(subnets.len().max(1)).unwrap_or(1);
        let both = spread(tuple) ^ spread(&tuple.reversed());
        return subnets
            .get(usize::try_from(both % count).unwrap_or(0))
            .copied();
    }
    subnets
        .iter()
        .find(|subnet| subnet.zone == zone)
        .or(subnets.first())
        .copied()
}

/// Across the border into another subnet of the VPC, if it is another one.
fn enter<'a, T: Trace>(
    at: At<'a>,
    subnet: SubnetId,
    travel: &Travel,
    trace: &mut T,
) -> Stage<At<'a>> {
    trace.depends_on(subnet.into());
    let Some(next) = at.view.subnet(subnet) else {
        return missing(subnet.into(), trace);
    };
    if next.id != at.subnet.id {
        network_acl(at.view, next.acl, Direction::In, travel.inbound(), trace)?;
    }
    ControlFlow::Continue(At { subnet: next, ..at })
}

/// What is decided is decided for these ports and no others.
pub(crate) fn only_this_flow<T: Trace>(tuple: &FlowTuple, trace: &mut T) {
    for (which, port) in [
        (Which::Source, tuple.source_port),
        (Which::Destination, tuple.destination_port),
    ] {
        if let Some(only) = PortRange::new(port, port) {
            trace.holds_for(which, only);
        }
    }
}

/// A number that is a flow's, the same for all its packets of a direction (FNV-1a).
fn spread(tuple: &FlowTuple) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |octets: &[u8]| {
        for octet in octets {
            hash = (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for address in [tuple.source, tuple.destination] {
        match address {
            IpAddr::V4(v4) => take(&v4.octets()),
            IpAddr::V6(v6) => take(&v6.octets()),
        }
    }
    take(&tuple.source_port.to_be_bytes());
    take(&tuple.destination_port.to_be_bytes());
    take(&[tuple.protocol]);
    // The low bits of a product depend on the low bits of its factors only.
    hash ^ (hash >> 32)
}

/// What is referred to and not there lets nothing through.
pub(crate) fn missing<T: Trace, X>(object: ObjectId, trace: &mut T) -> Stage<X> {
    deny(
        trace,
        DropReason::NoInterface,
        Step::Destination,
        Some(object),
        None,
    )
}
