//! The rules once more, from the prose of EC2's documentation, as naively as possible: lists are searched, blocks are
//! compared bit by bit, nothing is shared with the walk but the objects' types.
//!
//! The documents: "How security groups work", "Network ACLs", "Route priority", "NAT gateways", "VPC peering
//! limitations", "How transit gateways work", "Network ACLs for transit gateways", "Internet gateways". Where they leave
//! a choice (which address of a NAT gateway, which zone a transit gateway lands in), the model makes every one of them
//! and the walk's answer must be among the results.

use std::cell::RefCell;
use std::net::IpAddr;

use topology::{
    AclEntry, Endpoint, Interface, NatGateway, NetworkAcl, Object, Peer, Peering, ProtocolMatch,
    PublicAccess, Route, RouteTable, Rule, SecurityGroup, Subnet, Target, TransitAttachment,
    TransitPeering, TransitRoute, TransitRouteTable, Vpc,
};
use types::{
    Cidr, DropReason, FlowTuple, GroupId, InterfaceId, PeeringConnectionId, SubnetId,
    TransitGatewayAttachmentId, TransitGatewayId, TransitGatewayRouteTableId, VpcId,
};
use walk::{Delivery, Egress, End, FlowState, Origin, Packet, Service, Translation, Translator};

use crate::world::World;

pub(crate) type Verdict = Result<Delivery, DropReason>;

/// What may become of a packet: one answer for each way to choose where the documents leave it open.
pub(crate) fn possible(
    world: &World,
    origin: Origin,
    packet: &Packet,
    flow: FlowState,
) -> Vec<Verdict> {
    let mut answers = Vec::new();
    let mut script = Vec::new();
    loop {
        let model = Model {
            world,
            flow,
            icmp: packet.icmp,
            choices: RefCell::new(Choices {
                script: script.clone(),
                taken: Vec::new(),
            }),
        };
        answers.push(model.decide(origin, packet.tuple));
        // The next script: the last choice that has another possibility takes it.
        let mut taken = model.choices.into_inner().taken;
        while taken.last().is_some_and(|(choice, of)| choice + 1 == *of) {
            taken.pop();
        }
        let Some(last) = taken.last_mut() else {
            return answers;
        };
        last.0 += 1;
        script = taken.into_iter().map(|(choice, _)| choice).collect();
    }
}

struct Choices {
    script: Vec<usize>,
    /// What was chosen, and of how many.
    taken: Vec<(usize, usize)>,
}

struct Model<'a> {
    world: &'a World,
    flow: FlowState,
    icmp: Option<(u8, u8)>,
    choices: RefCell<Choices>,
}

/// A packet on its way.
#[derive(Clone, Copy)]
struct Travel<'a> {
    tuple: FlowTuple,
    /// The interface that sent it under its own address, as far as a rule may refer to its groups.
    member: Option<&'a Interface>,
    /// Who sent it last inside the VPC: without one, the internet gateway has no address for it.
    sender: Option<&'a Interface>,
    translation: Option<Translation>,
    routers: u8,
    /// How many routers have taken one from the TTL, and what the links so far carry.
    hops: u8,
    mtu: u16,
}

fn bits(address: IpAddr) -> u32 {
    let IpAddr::V4(v4) = address else {
        panic!("the model knows IPv4 only")
    };
    u32::from(v4)
}

/// The first `length` bits are the same, one by one.
fn inside(block: Cidr, address: IpAddr) -> bool {
    (0..u32::from(block.length()))
        .all(|bit| (bits(block.network()) ^ bits(address)) & (0x8000_0000 >> bit) == 0)
}

/// How far behind the subnet's first address; 0 is the network, 1 the router, 15 broadcast (all subnets are /28).
fn place(subnet: &Subnet, address: IpAddr) -> Option<u32> {
    inside(subnet.cidr, address).then(|| bits(address) - bits(subnet.cidr.network()))
}

fn nobody(address: IpAddr) -> bool {
    let first = bits(address) >> 24;
    bits(address) == 0 || bits(address) == u32::MAX || first == 127 || (224..240).contains(&first)
}

fn link_local(address: IpAddr) -> bool {
    bits(address) >> 16 == (169 << 8) + 254
}

macro_rules! find {
    ($world:expr, $kind:ident, $test:expr) => {
        $world.objects.iter().find_map(|object| match object {
            Object::$kind(found) if $test(found) => Some(found),
            _ => None,
        })
    };
}

/// The lists.
impl<'a> Model<'a> {
    fn vpc(&self, id: VpcId) -> Option<&'a Vpc> {
        find!(self.world, Vpc, |o: &Vpc| o.id == id)
    }

    fn subnet(&self, id: SubnetId, vpc: VpcId) -> Option<&'a Subnet> {
        find!(self.world, Subnet, |o: &Subnet| o.id == id && o.vpc == vpc)
    }

    fn table(&self, subnet: &Subnet) -> Option<&'a RouteTable> {
        let (id, vpc) = (subnet.route_table, subnet.vpc);
        find!(self.world, RouteTable, |o: &RouteTable| o.id == id
            && o.vpc == vpc)
    }

    fn acl(&self, subnet: &Subnet) -> Option<&'a NetworkAcl> {
        let (id, vpc) = (subnet.acl, subnet.vpc);
        find!(self.world, NetworkAcl, |o: &NetworkAcl| o.id == id
            && o.vpc == vpc)
    }

    fn group(&self, id: GroupId, vpc: VpcId) -> Option<&'a SecurityGroup> {
        find!(self.world, SecurityGroup, |o: &SecurityGroup| o.id == id
            && o.vpc == vpc)
    }

    fn owner(&self, vpc: VpcId, address: IpAddr) -> Option<&'a Interface> {
        let mut all = self.world.interfaces();
        all.find(|i| i.vpc == vpc && i.addresses.contains(&address))
    }

    fn interface(&self, id: InterfaceId, vpc: VpcId) -> Option<&'a Interface> {
        self.world.interface(id).filter(|found| found.vpc == vpc)
    }

    fn peer_of(&self, id: PeeringConnectionId, vpc: VpcId) -> Option<VpcId> {
        let peering = find!(self.world, Peering, |o: &Peering| o.id == id)?;
        let [a, b] = peering.vpcs;
        if a == vpc {
            Some(b)
        } else if b == vpc {
            Some(a)
        } else {
            None
        }
    }

    fn attachment(&self, id: TransitGatewayAttachmentId) -> Option<&'a TransitAttachment> {
        find!(self.world, TransitAttachment, |o: &TransitAttachment| o.id
            == id)
    }

    fn crossing(&self, id: TransitGatewayAttachmentId) -> Option<&'a TransitPeering> {
        find!(self.world, TransitPeering, |o: &TransitPeering| o.id == id)
    }

    fn attached(&self, gateway: TransitGatewayId, vpc: VpcId) -> Option<&'a TransitAttachment> {
        find!(self.world, TransitAttachment, |o: &TransitAttachment| o
            .gateway
            == gateway
            && o.vpc == vpc)
    }

    fn transit_table(&self, id: TransitGatewayRouteTableId) -> Option<&'a TransitRouteTable> {
        find!(self.world, TransitRouteTable, |o: &TransitRouteTable| o.id
            == id)
    }

    fn choose(&self, of: usize) -> usize {
        let mut choices = self.choices.borrow_mut();
        let at = choices.taken.len();
        let choice = choices.script.get(at).copied().unwrap_or(0);
        choices.taken.push((choice, of));
        choice
    }
}

/// In at one of the two ends.
impl<'a> Model<'a> {
    fn decide(&self, origin: Origin, tuple: FlowTuple) -> Verdict {
        match origin {
            Origin::Interface(id) => self.sent_by(id, tuple),
            Origin::Uplink => {
                let uplink = self.world.uplink.ok_or(DropReason::UplinkClosed)?;
                let from_pool = inside(uplink.pool, tuple.source) && tuple.source != uplink.host;
                if nobody(tuple.source) || link_local(tuple.source) || from_pool {
                    return Err(DropReason::SpoofedAddress);
                }
                let broadcast = inside(uplink.pool, tuple.destination)
                    && bits(tuple.destination) - bits(uplink.pool.network()) == 15;
                if nobody(tuple.destination) || broadcast {
                    return Err(DropReason::BroadcastOrMulticast);
                }
                self.in_by_gateway(Travel {
                    tuple,
                    member: None,
                    sender: None,
                    translation: None,
                    routers: 0,
                    hops: 0,
                    mtu: u16::MAX,
                })
            }
        }
    }

    fn sent_by(&self, id: InterfaceId, tuple: FlowTuple) -> Verdict {
        let sender = self.world.interface(id).ok_or(DropReason::NoInterface)?;
        let vpc = self.vpc(sender.vpc).ok_or(DropReason::NoInterface)?;
        let subnet = self
            .subnet(sender.subnet, vpc.id)
            .ok_or(DropReason::NoInterface)?;
        if sender.instance.is_none() {
            return Err(DropReason::NotAttached);
        }
        let own = sender.addresses.contains(&tuple.source);
        if nobody(tuple.source) || link_local(tuple.source) || (!own && sender.source_dest_check) {
            return Err(DropReason::SpoofedAddress);
        }
        let offset = place(subnet, tuple.destination);
        if nobody(tuple.destination) || offset == Some(15) {
            return Err(DropReason::BroadcastOrMulticast);
        }
        // A rule may name a group of the VPC, or of a VPC to which a peering connection leads.
        let receiver = self.owner(vpc.id, tuple.destination).or_else(|| {
            let route = self.route(subnet, tuple.destination)?;
            let Target::Peering(peering) = route.target else {
                return None;
            };
            self.owner(self.peer_of(peering, vpc.id)?, tuple.destination)
        });
        let known = self.opener().is_some()
            || matches!(self.flow, FlowState::UnderWay(tracked) if tracked.source);
        if !known && !self.groups_allow(sender, tuple, tuple.destination, receiver, false) {
            return Err(DropReason::SecurityGroupEgress);
        }
        if link_local(tuple.destination) || offset.is_some_and(|offset| offset < 4) {
            return Err(DropReason::NotAService);
        }
        let travel = Travel {
            tuple,
            member: own.then_some(sender),
            sender: Some(sender),
            translation: None,
            routers: 0,
            hops: 0,
            mtu: u16::MAX,
        };
        self.router(subnet, travel)
    }
}

/// Between the ends.
impl<'a> Model<'a> {
    /// The router of a subnet has the packet.
    fn router(&self, here: &'a Subnet, mut travel: Travel<'a>) -> Verdict {
        travel.routers += 1;
        if travel.routers > 16 {
            return Err(DropReason::RoutingLoop);
        }
        let vpc = self.vpc(here.vpc).ok_or(DropReason::NoInterface)?;
        let tuple = travel.tuple;
        // Neighbours need no router.
        if place(here, tuple.destination).is_none() {
            travel.hops += 1;
        }
        let route = self.route(here, tuple.destination);
        let target = route.map(|route| route.target);
        let hop = match target {
            Some(Target::Interface(hop)) => self.interface(hop, vpc.id),
            _ => None,
        };
        let nat = match target {
            Some(Target::NatGateway(id)) => find!(self.world, NatGateway, |o: &NatGateway| o.id
                == id
                && o.vpc == vpc.id),
            _ => None,
        };
        // An ACL stands between its subnet and all others. A transit gateway is always on the other side.
        let stays = match target {
            Some(Target::Interface(_)) => hop.is_some_and(|hop| hop.subnet == here.id),
            Some(Target::NatGateway(_)) => nat.is_some_and(|nat| nat.subnet == here.id),
            Some(Target::TransitGateway(_)) => false,
            _ => place(here, tuple.destination).is_some(),
        };
        if !stays && !self.acl_allows(here, tuple, tuple.destination, false) {
            return Err(DropReason::NetworkAcl);
        }
        match target.ok_or(DropReason::NoRoute)? {
            Target::Blackhole => Err(DropReason::BlackholeRoute),
            Target::EgressOnlyGateway(_) => panic!("no world has these"),
            Target::Local => self.local(vpc, here, travel),
            Target::Interface(_) => match hop {
                Some(hop) if hop.instance.is_some() => self.arrive(hop, Some(here), travel),
                _ => Err(DropReason::BlackholeRoute),
            },
            Target::InternetGateway(gateway) if vpc.internet_gateway != Some(gateway) => {
                Err(DropReason::BlackholeRoute)
            }
            Target::InternetGateway(_) => self.out_by_gateway(here, travel),
            Target::Peering(id) => {
                let other = self.peer_of(id, vpc.id).ok_or(DropReason::BlackholeRoute)?;
                // Only what is of this VPC: no transit through its gateways and connections.
                if !vpc.cidrs.iter().any(|cidr| inside(*cidr, tuple.source)) {
                    return Err(DropReason::EdgeToEdge);
                }
                let other = self.vpc(other).ok_or(DropReason::NoInterface)?;
                self.local(other, here, travel)
            }
            Target::NatGateway(_) => {
                let nat = nat.ok_or(DropReason::BlackholeRoute)?;
                self.through_nat(nat, here, travel)
            }
            Target::TransitGateway(id) => {
                let from = self
                    .attached(id, vpc.id)
                    .ok_or(DropReason::BlackholeRoute)?;
                self.through_transit_gateway(from, here, travel)
            }
        }
    }

    /// To the interface of the VPC that has the address.
    fn local(&self, vpc: &Vpc, from: &'a Subnet, mut travel: Travel<'a>) -> Verdict {
        if from.vpc != vpc.id {
            travel.hops += 1;
        }
        let to = travel.tuple.destination;
        let reserved = self.world.objects.iter().any(|object| match object {
            Object::Subnet(other) if other.vpc == vpc.id => {
                place(other, to).is_some_and(|offset| offset < 4)
            }
            _ => false,
        });
        let receiver = self.owner(vpc.id, to).ok_or(if reserved {
            DropReason::NotAService
        } else {
            DropReason::NoSuchAddress
        })?;
        self.arrive(receiver, Some(from), travel)
    }

    /// A NAT gateway stands in a subnet: what comes from another one crosses its ACL.
    fn through_nat(
        &self,
        nat: &'a NatGateway,
        from: &'a Subnet,
        mut travel: Travel<'a>,
    ) -> Verdict {
        let home = self
            .subnet(nat.subnet, nat.vpc)
            .ok_or(DropReason::NoInterface)?;
        if home.id != from.id && !self.acl_allows(home, travel.tuple, travel.tuple.source, true) {
            return Err(DropReason::NetworkAcl);
        }
        let interface = self
            .interface(nat.interface, nat.vpc)
            .ok_or(DropReason::NoInterface)?;
        if travel.translation.is_some() {
            return Err(DropReason::TranslatedTwice);
        }
        // TCP, UDP and ICMP; of ICMP what has an identifier.
        let tuple = travel.tuple;
        let known = match (tuple.protocol, self.icmp) {
            (6 | 17, None) => true,
            (1, Some(icmp)) => icmp == (8, 0),
            _ => false,
        };
        if !known || interface.addresses.is_empty() {
            return Err(DropReason::NoTranslation);
        }
        let address = interface.addresses[self.choose(interface.addresses.len())];
        travel.translation = Some(Translation {
            by: Translator::NatGateway(nat.id),
            inside: End {
                address: tuple.source,
                port: tuple.source_port,
            },
            outside: End {
                address,
                port: tuple.source_port,
            },
            service: None,
        });
        travel.tuple.source = address;
        travel.hops += 1;
        travel.mtu = travel.mtu.min(8500);
        travel.member = None;
        travel.sender = Some(interface);
        self.router(home, travel)
    }

    /// In by the attachment's subnet in the sender's zone, through the gateway, and out in some subnet of another
    /// attachment.
    fn through_transit_gateway(
        &self,
        from: &'a TransitAttachment,
        here: &'a Subnet,
        mut travel: Travel<'a>,
    ) -> Verdict {
        let door = from
            .subnets
            .iter()
            .filter_map(|id| self.subnet(*id, here.vpc))
            .find(|subnet| subnet.zone == here.zone)
            .ok_or(DropReason::NoAttachmentInZone)?;
        if !self.acl_allows(door, travel.tuple, travel.tuple.source, true) {
            return Err(DropReason::NetworkAcl);
        }
        travel.mtu = travel.mtu.min(8500);
        let (mut gateway, mut table) = (from.gateway, from.route_table);
        let to = loop {
            travel.routers += 1;
            travel.hops += 1;
            if travel.routers > 16 {
                return Err(DropReason::RoutingLoop);
            }
            let routes = table.and_then(|id| self.transit_table(id));
            let routes = routes.ok_or(DropReason::NoRoute)?;
            let route = best(routes, travel.tuple.destination).ok_or(DropReason::NoRoute)?;
            let next = route.attachment.ok_or(DropReason::BlackholeRoute)?;
            if let Some(to) = self.attachment(next) {
                if to.gateway == gateway {
                    break to;
                }
                return Err(DropReason::BlackholeRoute);
            }
            let crossing = self.crossing(next).ok_or(DropReason::BlackholeRoute)?;
            let [a, b] = crossing.ends;
            (gateway, table) = if a.0 == gateway {
                b
            } else if b.0 == gateway {
                a
            } else {
                return Err(DropReason::BlackholeRoute);
            };
            // Groups are not known across a peering of gateways.
            travel.member = None;
        };
        self.vpc(to.vpc).ok_or(DropReason::NoInterface)?;
        let mut landings: Vec<&Subnet> = to
            .subnets
            .iter()
            .filter_map(|id| self.subnet(*id, to.vpc))
            .collect();
        // It stays in its zone if it can, but for the sake of an appliance.
        if !to.appliance_mode && landings.iter().any(|subnet| subnet.zone == here.zone) {
            landings.retain(|subnet| subnet.zone == here.zone);
        }
        if landings.is_empty() {
            return Err(DropReason::NoInterface);
        }
        let landing = landings[self.choose(landings.len())];
        if !from.group_references || !to.group_references {
            travel.member = None;
        }
        travel.sender = None;
        self.router(landing, travel)
    }

    /// Out of the VPC, to the outside or to somebody else's public address.
    fn out_by_gateway(&self, here: &'a Subnet, mut travel: Travel<'a>) -> Verdict {
        let private = travel.tuple.source;
        // Whoever of the VPC sends it: the gateway looks at the address only.
        let public = travel
            .sender
            .and_then(|sender| self.owner(sender.vpc, private))
            .and_then(|owner| {
                let mut publics = self.world.publics();
                publics.find(|p| p.interface == owner.id && p.private == private)
            })
            .ok_or(DropReason::NoPublicAddress)?;
        if is_blocked(here, travel.translation.is_some()) {
            return Err(DropReason::PublicAccessBlocked);
        }
        travel.tuple.source = public.public;
        travel.mtu = travel.mtu.min(1500);
        let uplink = self.world.uplink.ok_or(DropReason::UplinkClosed)?;
        let to = travel.tuple.destination;
        let known = to == uplink.host || uplink.internet;
        if inside(uplink.pool, to) && to != uplink.host {
            self.in_by_gateway(travel)
        } else if known || self.opener() == Some(Origin::Uplink) {
            Ok(Delivery {
                egress: Egress::Uplink,
                tuple: travel.tuple,
                translation: travel.translation,
                hops: travel.hops,
                mtu: travel.mtu,
            })
        } else {
            Err(DropReason::UplinkClosed)
        }
    }

    /// In through a gateway, for a public destination.
    fn in_by_gateway(&self, mut travel: Travel<'a>) -> Verdict {
        let to = travel.tuple.destination;
        let mut publics = self.world.publics();
        let address = publics
            .find(|p| p.public == to)
            .ok_or(DropReason::UnassociatedPublicAddress)?;
        let receiver = self
            .world
            .interface(address.interface)
            .ok_or(DropReason::NoInterface)?;
        let vpc = self.vpc(receiver.vpc).ok_or(DropReason::NoInterface)?;
        let subnet = self
            .subnet(receiver.subnet, vpc.id)
            .ok_or(DropReason::NoInterface)?;
        let gateway = vpc.internet_gateway.ok_or(DropReason::NoInternetGateway)?;
        if !receiver.addresses.contains(&address.private) {
            return Err(DropReason::NoSuchAddress);
        }
        travel.tuple.destination = address.private;
        travel.hops += 1;
        travel.member = None;
        travel.sender = None;
        // The gateway may have a route table of its own.
        if let Some(edge) = vpc.edge_table {
            let table = find!(self.world, RouteTable, |o: &RouteTable| o.id == edge
                && o.vpc == vpc.id);
            let route = table.and_then(|table| longest(table, address.private));
            match route.ok_or(DropReason::NoRoute)?.target {
                Target::Local => {}
                Target::Interface(hop) => {
                    let middlebox = self
                        .interface(hop, vpc.id)
                        .filter(|hop| hop.instance.is_some())
                        .ok_or(DropReason::BlackholeRoute)?;
                    return self.arrive(middlebox, None, travel);
                }
                _ => return Err(DropReason::BlackholeRoute),
            }
        }
        let back = self.route(subnet, travel.tuple.source);
        if back.map(|route| route.target) != Some(Target::InternetGateway(gateway)) {
            return Err(DropReason::NoReturnRoute);
        }
        self.arrive(receiver, None, travel)
    }

    /// At the border of the receiver's subnet.
    fn arrive(
        &self,
        receiver: &'a Interface,
        from: Option<&'a Subnet>,
        travel: Travel<'a>,
    ) -> Verdict {
        let tuple = travel.tuple;
        let subnet = self
            .subnet(receiver.subnet, receiver.vpc)
            .ok_or(DropReason::NoInterface)?;
        let nat = find!(self.world, NatGateway, |o: &NatGateway| o.interface
            == receiver.id
            && o.vpc == receiver.vpc);
        // Whoever comes from no subnet comes by the internet gateway.
        if from.is_none() && is_blocked(subnet, nat.is_some()) {
            return Err(DropReason::PublicAccessBlocked);
        }
        let crossed = from.is_none_or(|from| from.id != subnet.id);
        if crossed && !self.acl_allows(subnet, tuple, tuple.source, true) {
            return Err(DropReason::NetworkAcl);
        }
        if let Some(nat) = nat {
            return self.back_through_nat(nat, receiver, subnet, travel);
        }
        // The front of a service takes in what answers a flow through an endpoint, and hands it to the endpoint.
        if let FlowState::Translated(_, known) = self.flow
            && let (Translator::Endpoint(id), Some(service)) = (known.by, known.service)
        {
            let endpoint = find!(self.world, Endpoint, |o: &Endpoint| o.id == id);
            let to = End {
                address: tuple.destination,
                port: tuple.destination_port,
            };
            let from = End {
                address: tuple.source,
                port: tuple.source_port,
            };
            if endpoint.is_some_and(|endpoint| endpoint.front == receiver.id)
                && receiver.addresses.contains(&known.outside.address)
                && to == known.outside
                && from == service.backend
            {
                let home = self
                    .world
                    .interface(service.interface)
                    .filter(|home| home.addresses.contains(&service.named.address))
                    .ok_or(DropReason::NoTranslation)?;
                let back = FlowTuple {
                    source: service.named.address,
                    source_port: service.named.port,
                    destination: known.inside.address,
                    destination_port: known.inside.port,
                    ..tuple
                };
                return self.on_behalf(home, back, known, travel);
            }
        }
        let known = self.opener() == Some(Origin::Interface(receiver.id))
            || matches!(self.flow, FlowState::UnderWay(tracked) if tracked.destination);
        if !known && !self.groups_allow(receiver, tuple, tuple.source, travel.member, true) {
            return Err(DropReason::SecurityGroupIngress);
        }
        let own = receiver.addresses.contains(&tuple.destination);
        if receiver.source_dest_check && !own {
            return Err(DropReason::DestinationCheck);
        }
        let endpoint = find!(self.world, Endpoint, |o: &Endpoint| o
            .interfaces
            .contains(&receiver.id));
        if let Some(endpoint) = endpoint {
            return self.through_endpoint(endpoint, receiver, travel);
        }
        if receiver.instance.is_none() {
            return Err(DropReason::NotAttached);
        }
        Ok(Delivery {
            egress: Egress::Interface(receiver.id),
            tuple,
            translation: travel.translation,
            hops: travel.hops,
            mtu: travel.mtu.min(receiver.mtu),
        })
    }

    /// An endpoint: TCP and UDP go on to the backend, from the front, both ends translated.
    fn through_endpoint(
        &self,
        endpoint: &'a Endpoint,
        at: &'a Interface,
        travel: Travel<'a>,
    ) -> Verdict {
        if travel.translation.is_some() {
            return Err(DropReason::TranslatedTwice);
        }
        let tuple = travel.tuple;
        if self.icmp.is_some() || (tuple.protocol != 6 && tuple.protocol != 17) {
            return Err(DropReason::NoTranslation);
        }
        let front = self.world.interface(endpoint.front);
        let front = front.ok_or(DropReason::NoTranslation)?;
        let backend = self
            .interface(endpoint.backend, front.vpc)
            .ok_or(DropReason::NoTranslation)?;
        let known = Translation {
            by: Translator::Endpoint(endpoint.id),
            inside: End {
                address: tuple.source,
                port: tuple.source_port,
            },
            outside: End {
                address: front.addresses[0],
                port: tuple.source_port,
            },
            service: Some(Service {
                interface: at.id,
                named: End {
                    address: tuple.destination,
                    port: tuple.destination_port,
                },
                backend: End {
                    address: backend.addresses[0],
                    port: tuple.destination_port,
                },
            }),
        };
        let on = FlowTuple {
            source: front.addresses[0],
            destination: backend.addresses[0],
            ..tuple
        };
        self.on_behalf(front, on, known, travel)
    }

    /// The interface sends it, and nobody's groups count.
    fn on_behalf(
        &self,
        sender: &'a Interface,
        tuple: FlowTuple,
        known: Translation,
        mut travel: Travel<'a>,
    ) -> Verdict {
        let subnet = self
            .subnet(sender.subnet, sender.vpc)
            .ok_or(DropReason::NoInterface)?;
        travel.tuple = tuple;
        travel.member = None;
        travel.sender = Some(sender);
        travel.translation = Some(known);
        self.router(subnet, travel)
    }

    /// A NAT gateway takes in only what answers a flow that it has translated.
    fn back_through_nat(
        &self,
        nat: &'a NatGateway,
        interface: &'a Interface,
        home: &'a Subnet,
        mut travel: Travel<'a>,
    ) -> Verdict {
        let FlowState::Translated(_, known) = self.flow else {
            return Err(DropReason::NoTranslation);
        };
        let at = End {
            address: travel.tuple.destination,
            port: travel.tuple.destination_port,
        };
        let own = interface.addresses.contains(&at.address);
        if known.by != Translator::NatGateway(nat.id) || known.outside != at || !own {
            return Err(DropReason::NoTranslation);
        }
        travel.tuple.destination = known.inside.address;
        travel.tuple.destination_port = known.inside.port;
        travel.hops += 1;
        travel.mtu = travel.mtu.min(8500);
        travel.member = None;
        travel.sender = Some(interface);
        travel.translation = Some(known);
        self.router(home, travel)
    }
}

/// The longest prefix.
fn longest(table: &RouteTable, to: IpAddr) -> Option<Route> {
    let mut routes = table.routes.clone();
    routes.retain(|route| inside(route.destination, to));
    routes.sort_by_key(|route| route.destination.length());
    routes.pop()
}

/// Block public access: a subnet is closed to internet gateways, or to all but its NAT gateways.
fn is_blocked(subnet: &Subnet, by_nat_gateway: bool) -> bool {
    subnet.public_access == PublicAccess::Closed
        || subnet.public_access == PublicAccess::EgressOnly && !by_nat_gateway
}

/// The longest prefix; of two as long the static one; of two of a kind the attachment that was there first.
fn best(table: &TransitRouteTable, to: IpAddr) -> Option<TransitRoute> {
    let mut routes = table.routes.clone();
    routes.retain(|route| inside(route.destination, to));
    let longest = routes
        .iter()
        .map(|route| route.destination.length())
        .max()?;
    routes.retain(|route| route.destination.length() == longest);
    if routes.iter().any(|route| route.is_static) {
        routes.retain(|route| route.is_static);
    }
    routes.sort_by_key(|route| route.attachment);
    routes.first().copied()
}

/// Rules.
impl<'a> Model<'a> {
    fn opener(&self) -> Option<Origin> {
        match self.flow {
            FlowState::New | FlowState::UnderWay(_) => None,
            FlowState::Reply(opener) | FlowState::Translated(opener, _) => Some(opener),
        }
    }

    /// The most specific route.
    fn route(&self, subnet: &Subnet, to: IpAddr) -> Option<Route> {
        longest(self.table(subnet)?, to)
    }

    fn acl_allows(&self, subnet: &Subnet, tuple: FlowTuple, other: IpAddr, inbound: bool) -> bool {
        let Some(acl) = self.acl(subnet) else {
            return false;
        };
        let mut entries: Vec<AclEntry> = if inbound { &acl.ingress } else { &acl.egress }.clone();
        entries.sort_by_key(|entry| entry.number);
        for entry in entries {
            if self.is_meant(entry.protocol, tuple) && inside(entry.cidr, other) {
                return entry.allow;
            }
        }
        false
    }

    fn groups_allow(
        &self,
        interface: &Interface,
        tuple: FlowTuple,
        other: IpAddr,
        peer: Option<&Interface>,
        inbound: bool,
    ) -> bool {
        let mut rules: Vec<Rule> = Vec::new();
        for id in &interface.groups {
            if let Some(group) = self.group(*id, interface.vpc) {
                rules.extend(if inbound {
                    &group.ingress
                } else {
                    &group.egress
                });
            }
        }
        rules.iter().any(|rule| {
            self.is_meant(rule.protocol, tuple)
                && match rule.peer {
                    Peer::Cidr(cidr) => inside(cidr, other),
                    Peer::Group(id) => peer.is_some_and(|peer| {
                        peer.groups.contains(&id) && self.group(id, peer.vpc).is_some()
                    }),
                }
        })
    }

    fn is_meant(&self, wanted: ProtocolMatch, tuple: FlowTuple) -> bool {
        match wanted {
            ProtocolMatch::Any => true,
            ProtocolMatch::Number(number) => tuple.protocol == number,
            ProtocolMatch::Ports(number, ports) => {
                tuple.protocol == number
                    && ports.first() <= tuple.destination_port
                    && tuple.destination_port <= ports.last()
            }
            ProtocolMatch::Icmp(number, icmp) => {
                let Some((kind, code)) = self.icmp else {
                    return false;
                };
                tuple.protocol == number
                    && [None, Some(kind)].contains(&icmp.kind)
                    && [None, Some(code)].contains(&icmp.code)
            }
        }
    }
}
