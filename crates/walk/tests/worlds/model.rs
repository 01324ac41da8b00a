//! The rules once more, from their prose, as naively as possible: lists are searched, blocks are compared bit by
//! bit, nothing is shared with the walk but the objects' types.

use std::net::IpAddr;

use topology::{
    AclEntry, Interface, NetworkAcl, Object, Peer, ProtocolMatch, Route, RouteTable, Rule,
    SecurityGroup, Subnet, Target, Vpc,
};
use types::{Cidr, DropReason, FlowTuple, InterfaceId, VpcId};
use walk::{Egress, FlowState, Origin, Packet};

use crate::world::World;

type Verdict<T> = Result<T, DropReason>;

pub(crate) fn decide(
    world: &World,
    origin: Origin,
    packet: &Packet,
    flow: FlowState,
) -> Verdict<(Egress, FlowTuple)> {
    Model {
        world,
        flow,
        icmp: packet.icmp,
    }
    .decide(origin, packet.tuple)
}

struct Model<'a> {
    world: &'a World,
    flow: FlowState,
    icmp: Option<(u8, u8)>,
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

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "one kind of object is looked for, the others are not"
)]
impl<'a> Model<'a> {
    fn vpc(&self, id: VpcId) -> Option<&'a Vpc> {
        find!(self.world, Vpc, |o: &Vpc| o.id == id)
    }

    fn subnet(&self, interface: &Interface) -> Option<&'a Subnet> {
        let (id, vpc) = (interface.subnet, interface.vpc);
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

    fn group(&self, id: types::GroupId, vpc: VpcId) -> Option<&'a SecurityGroup> {
        find!(self.world, SecurityGroup, |o: &SecurityGroup| o.id == id
            && o.vpc == vpc)
    }

    fn owner(&self, vpc: VpcId, address: IpAddr) -> Option<&'a Interface> {
        let mut all = self.world.interfaces();
        all.find(|i| i.vpc == vpc && i.addresses.contains(&address))
    }

    fn decide(&self, origin: Origin, tuple: FlowTuple) -> Verdict<(Egress, FlowTuple)> {
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
                self.public(tuple)
            }
        }
    }

    fn sent_by(&self, id: InterfaceId, tuple: FlowTuple) -> Verdict<(Egress, FlowTuple)> {
        let sender = self.world.interface(id).ok_or(DropReason::NoInterface)?;
        let vpc = self.vpc(sender.vpc).ok_or(DropReason::NoInterface)?;
        let subnet = self.subnet(sender).ok_or(DropReason::NoInterface)?;
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
        let receiver = self.owner(vpc.id, tuple.destination);
        if !self.groups_allow(sender, tuple, tuple.destination, receiver, false) {
            return Err(DropReason::SecurityGroupEgress);
        }
        if link_local(tuple.destination) || offset.is_some_and(|offset| offset < 4) {
            return Err(DropReason::NotAService);
        }
        let route = self.route(subnet, tuple.destination);
        let hop = match route.map(|route| route.target) {
            Some(Target::Interface(hop)) => {
                self.world.interface(hop).filter(|hop| hop.vpc == vpc.id)
            }
            _ => None,
        };
        let stays = match route.map(|route| route.target) {
            Some(Target::Interface(_)) => hop.is_some_and(|hop| hop.subnet == sender.subnet),
            _ => offset.is_some(),
        };
        if !stays && !self.acl_allows(subnet, tuple, tuple.destination, false) {
            return Err(DropReason::NetworkAcl);
        }
        match route.ok_or(DropReason::NoRoute)?.target {
            Target::Blackhole => Err(DropReason::BlackholeRoute),
            Target::NatGateway(_) | Target::Peering(_) | Target::TransitGateway(_) => {
                panic!("no world has these")
            }
            Target::Local => {
                let reserved = self.world.objects.iter().any(|object| match object {
                    Object::Subnet(other) if other.vpc == vpc.id => {
                        place(other, tuple.destination).is_some_and(|offset| offset < 4)
                    }
                    _ => false,
                });
                let receiver = receiver.ok_or(if reserved {
                    DropReason::NotAService
                } else {
                    DropReason::NoSuchAddress
                })?;
                self.arrive(receiver, tuple, Some(sender))
            }
            Target::Interface(_) => match hop {
                Some(hop) if hop.instance.is_some() => self.arrive(hop, tuple, Some(sender)),
                _ => Err(DropReason::BlackholeRoute),
            },
            Target::InternetGateway(gateway) if vpc.internet_gateway != Some(gateway) => {
                Err(DropReason::BlackholeRoute)
            }
            Target::InternetGateway(_) => {
                let mut publics = self.world.publics();
                let public = publics
                    .find(|p| p.interface == id && p.private == tuple.source)
                    .ok_or(DropReason::NoPublicAddress)?
                    .public;
                self.out(FlowTuple {
                    source: public,
                    ..tuple
                })
            }
        }
    }

    /// Out of a gateway, with a public source.
    fn out(&self, tuple: FlowTuple) -> Verdict<(Egress, FlowTuple)> {
        let uplink = self.world.uplink.ok_or(DropReason::UplinkClosed)?;
        let pool = inside(uplink.pool, tuple.destination);
        if tuple.destination == uplink.host {
            Ok((Egress::Uplink, tuple))
        } else if pool {
            self.public(tuple)
        } else if uplink.internet || self.flow.opener() == Some(Origin::Uplink) {
            Ok((Egress::Uplink, tuple))
        } else {
            Err(DropReason::UplinkClosed)
        }
    }

    /// In through a gateway, for a public destination.
    fn public(&self, tuple: FlowTuple) -> Verdict<(Egress, FlowTuple)> {
        let mut publics = self.world.publics();
        let address = publics
            .find(|p| p.public == tuple.destination)
            .ok_or(DropReason::UnassociatedPublicAddress)?;
        let receiver = self
            .world
            .interface(address.interface)
            .ok_or(DropReason::NoInterface)?;
        let vpc = self.vpc(receiver.vpc).ok_or(DropReason::NoInterface)?;
        let subnet = self.subnet(receiver).ok_or(DropReason::NoInterface)?;
        let gateway = vpc.internet_gateway.ok_or(DropReason::NoInternetGateway)?;
        if !receiver.addresses.contains(&address.private) {
            return Err(DropReason::NoSuchAddress);
        }
        let back = self.route(subnet, tuple.source).map(|route| route.target);
        if back != Some(Target::InternetGateway(gateway)) {
            return Err(DropReason::NoReturnRoute);
        }
        let tuple = FlowTuple {
            destination: address.private,
            ..tuple
        };
        self.arrive(receiver, tuple, None)
    }

    fn arrive(
        &self,
        receiver: &Interface,
        tuple: FlowTuple,
        sender: Option<&Interface>,
    ) -> Verdict<(Egress, FlowTuple)> {
        let subnet = self.subnet(receiver).ok_or(DropReason::NoInterface)?;
        let crossed = sender.is_none_or(|sender| sender.subnet != receiver.subnet);
        if crossed && !self.acl_allows(subnet, tuple, tuple.source, true) {
            return Err(DropReason::NetworkAcl);
        }
        let member = sender.filter(|sender| sender.addresses.contains(&tuple.source));
        if !self.groups_allow(receiver, tuple, tuple.source, member, true) {
            return Err(DropReason::SecurityGroupIngress);
        }
        let own = receiver.addresses.contains(&tuple.destination);
        if receiver.source_dest_check && !own {
            return Err(DropReason::DestinationCheck);
        }
        if receiver.instance.is_none() {
            return Err(DropReason::NotAttached);
        }
        Ok((Egress::Interface(receiver.id), tuple))
    }

    /// The most specific route.
    fn route(&self, subnet: &Subnet, to: IpAddr) -> Option<Route> {
        let mut routes = self.table(subnet)?.routes.clone();
        routes.retain(|route| inside(route.destination, to));
        routes.sort_by_key(|route| route.destination.length());
        routes.pop()
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
        let tracked = match self.flow {
            FlowState::New => false,
            FlowState::Reply(_) | FlowState::Translated(..) if !inbound => true,
            FlowState::Reply(opener) | FlowState::Translated(opener, _) => {
                opener == Origin::Interface(interface.id)
            }
        };
        if tracked {
            return true;
        }
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
                    Peer::Group(id) => {
                        self.group(id, interface.vpc).is_some()
                            && peer.is_some_and(|peer| peer.groups.contains(&id))
                    }
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
