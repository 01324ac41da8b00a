//! The smallest changes that take a blocker away: each as the network would be after it, and as calls of EC2's API.
//!
//! Nothing here decides about a packet. A change is proposed, made in a copy of the snapshot, and the walk says
//! whether it helped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;
use topology::{
    AclEntry, Change, IcmpMatch, Interface, Object, Peer, ProtocolMatch, PublicAddress, Route,
    RouteTable, Rule, Snapshot, Target, TransitAttachment, TransitRoute, VpcView,
};
use types::{
    AclId, AllocationId, Cidr, DropReason, FlowTuple, GatewayId, GroupId, GroupRuleId, InterfaceId,
    ObjectId, PortRange, RouteTableId, SubnetId, TransitGatewayAttachmentId,
    TransitGatewayRouteTableId, VpcId, proto,
};
use walk::{Dropped, RuleRef, Step};

use crate::call::{self, Call, Draft, End, Service};

/// A blocker, and what is known about the packet where it met it.
#[derive(Clone, Copy)]
pub(crate) struct Stop {
    pub(crate) dropped: Dropped,
    /// Addresses and ports by then.
    pub(crate) tuple: FlowTuple,
    pub(crate) icmp: Option<(u8, u8)>,
    /// The interface that sent it, if one did.
    pub(crate) sender: Option<InterfaceId>,
    /// The address that stands for everybody outside, if the question is about everybody.
    pub(crate) everybody: Option<IpAddr>,
    /// Whether the destination port is only an example of the ports that clients use.
    pub(crate) any_client_port: bool,
    /// A number for what comes into being, different for each change of a row.
    pub(crate) serial: u128,
}

/// A change that may help.
pub(crate) struct Fix {
    pub(crate) changes: Vec<Change>,
    pub(crate) calls: Vec<Call>,
    /// A public address that nobody knows before it is allocated, and what the calls name it.
    pub(crate) unborn: Option<(IpAddr, String)>,
}

/// Identifiers from here on are of what does not exist yet.
const UNBORN: u128 = (1 << 68) - 1024;
/// How many ways are tried where there are several.
const MAX_CHOICES: usize = 8;

impl Fix {
    fn one(object: Object, call: Call) -> Fix {
        Fix {
            changes: vec![Change::Put(object)],
            calls: vec![call],
            unborn: None,
        }
    }
}

/// What may take the blocker away, best first. None where no call of EC2's API can.
pub(crate) fn fixes(snapshot: &Snapshot, stop: &Stop) -> Vec<Fix> {
    let mut found = match (stop.dropped.reason, stop.dropped.object) {
        (DropReason::SecurityGroupEgress, Some(ObjectId::GroupId(id))) => {
            security_group(snapshot, stop, id, false)
        }
        (DropReason::SecurityGroupIngress, Some(ObjectId::GroupId(id))) => {
            security_group(snapshot, stop, id, true)
        }
        (DropReason::NetworkAcl, Some(ObjectId::AclId(id))) => {
            network_acl(snapshot, stop, id).into_iter().collect()
        }
        (
            DropReason::SpoofedAddress | DropReason::DestinationCheck,
            Some(ObjectId::InterfaceId(id)),
        ) => check_off(snapshot, id).into_iter().collect(),
        (DropReason::NoRoute | DropReason::BlackholeRoute, Some(ObjectId::RouteTableId(id))) => {
            routes(snapshot, stop, id)
        }
        (DropReason::NoReturnRoute, Some(ObjectId::RouteTableId(id))) => {
            return_routes(snapshot, stop, id)
        }
        (DropReason::NoPublicAddress, Some(ObjectId::InterfaceId(id))) => {
            public_address(snapshot, stop, id).into_iter().collect()
        }
        (DropReason::NoInternetGateway, Some(ObjectId::VpcId(id))) => {
            gateway(snapshot, stop, id).into_iter().collect()
        }
        (DropReason::NoAttachmentInZone, Some(ObjectId::TransitGatewayAttachmentId(id))) => {
            zones(snapshot, id)
        }
        (DropReason::NoRoute, Some(ObjectId::TransitGatewayAttachmentId(id))) => {
            associations(snapshot, id)
        }
        (
            DropReason::NoRoute | DropReason::BlackholeRoute,
            Some(ObjectId::TransitGatewayRouteTableId(id)),
        ) => transit_routes(snapshot, stop, id),
        _ => Vec::new(),
    };
    found.truncate(MAX_CHOICES);
    found
}

impl Stop {
    /// Which packets a rule must be for.
    fn service(&self) -> Service {
        let port = self.tuple.destination_port;
        // EC2 "Custom network ACLs": 1024 to 65535 covers the ephemeral ports of all clients.
        let clients = self.any_client_port && port >= 1024;
        Service {
            protocol: self.tuple.protocol,
            ports: if clients { (1024, 65535) } else { (port, port) },
            icmp: self.icmp,
        }
    }

    fn protocol_match(&self) -> ProtocolMatch {
        let service = self.service();
        match (service.protocol, service.icmp) {
            (proto::TCP | proto::UDP, _) => ProtocolMatch::Ports(
                service.protocol,
                PortRange::new(service.ports.0, service.ports.1).unwrap_or(PortRange::ALL),
            ),
            (number, Some((kind, code))) => ProtocolMatch::Icmp(
                number,
                IcmpMatch {
                    kind: Some(kind),
                    code: Some(code),
                },
            ),
            (number, None) => ProtocolMatch::Number(number),
        }
    }

    /// The smallest block that a rule must be for.
    fn block(&self, address: IpAddr) -> Cidr {
        if self.everybody == Some(address) {
            everything(address)
        } else {
            Cidr::host(address)
        }
    }
}

const fn everything(address: IpAddr) -> Cidr {
    if address.is_ipv4() {
        Cidr::ALL_V4
    } else {
        Cidr::ALL_V6
    }
}

fn home<'a, T>(
    snapshot: &'a Snapshot,
    find: impl Fn(&'a VpcView) -> Option<T>,
) -> Option<(&'a VpcView, T)> {
    snapshot
        .vpcs()
        .find_map(|(_, view)| Some((view, find(view)?)))
}

/// A rule more in a group of the interface.
fn security_group(snapshot: &Snapshot, stop: &Stop, id: GroupId, inbound: bool) -> Vec<Fix> {
    let Some((view, group)) = home(snapshot, |view| view.group(id)) else {
        return Vec::new();
    };
    let mut ends = Vec::new();
    if inbound {
        // People mean the sender's role rather than its address.
        let sender = stop.sender.and_then(|id| view.interface(id));
        let own = sender.filter(|sender| sender.addresses.contains(&stop.tuple.source));
        let role = own.and_then(|sender| sender.groups.first());
        ends.extend(role.map(|role| (End::Group(*role), Peer::Group(*role))));
    }
    let other = if inbound {
        stop.tuple.source
    } else {
        stop.tuple.destination
    };
    let block = stop.block(other);
    ends.push((End::Block(block), Peer::Cidr(block)));
    let fix = |(end, peer)| {
        let mut group = group.clone();
        let rules = if inbound {
            &mut group.ingress
        } else {
            &mut group.egress
        };
        rules.push(Rule {
            id: GroupRuleId::from_bits(UNBORN + stop.serial),
            protocol: stop.protocol_match(),
            peer,
        });
        let call = call::authorize(id, inbound, stop.service(), end);
        Fix::one(Object::SecurityGroup(group), call)
    };
    ends.into_iter().map(fix).collect()
}

/// EC2's bound of an entry's number.
const LAST_ENTRY: u16 = 32766;

/// An entry before the one that denies.
fn network_acl(snapshot: &Snapshot, stop: &Stop, id: AclId) -> Option<Fix> {
    let (_, acl) = home(snapshot, |view| view.acl(id))?;
    let mut acl = acl.clone();
    let inbound = stop.dropped.step == Step::IngressAcl;
    let (entries, other) = if inbound {
        (&mut acl.ingress, stop.tuple.source)
    } else {
        (&mut acl.egress, stop.tuple.destination)
    };
    let taken = |number: u16| entries.iter().any(|entry| entry.number == number);
    let denier = match stop.dropped.rule {
        Some(RuleRef::AclEntry(number)) => number,
        _ => return None,
    };
    let mut new = AclEntry {
        number: 0,
        allow: true,
        protocol: stop.protocol_match(),
        cidr: stop.block(other),
    };
    let mut calls = Vec::new();
    let free = match denier {
        None => {
            let last = entries.iter().map(|entry| entry.number).max().unwrap_or(0);
            // Numbers with room between, as EC2 recommends.
            let round = (last / 100).saturating_add(1).saturating_mul(100);
            if round <= LAST_ENTRY && round > last {
                Some(round)
            } else {
                (1..=LAST_ENTRY).rev().find(|number| !taken(*number))
            }
        }
        Some(denier) => (1..denier).rev().find(|number| !taken(*number)),
    };
    if let Some(number) = free {
        new.number = number;
        calls.push(call::acl_entry(true, id, inbound, &new));
        entries.push(new);
    } else {
        // No number is free before it: it and its neighbours move by one.
        let denier = denier?;
        let room = (denier..=LAST_ENTRY).find(|number| !taken(*number))?;
        entries.retain(|entry| entry.number != room);
        for number in (denier..room).rev() {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.number == number) {
                entry.number = number + 1;
                calls.push(call::acl_entry(number + 1 == room, id, inbound, entry));
            }
        }
        new.number = denier;
        calls.push(call::acl_entry(false, id, inbound, &new));
        entries.push(new);
    }
    entries.sort_by_key(|entry| entry.number);
    Some(Fix {
        changes: vec![Change::Put(Object::NetworkAcl(acl))],
        calls,
        unborn: None,
    })
}

/// The source/destination check off.
fn check_off(snapshot: &Snapshot, id: InterfaceId) -> Option<Fix> {
    let interface = snapshot.interface(id).filter(|i| i.source_dest_check)?;
    let call = Draft::new("ModifyNetworkInterfaceAttribute")
        .with("NetworkInterfaceId", &id)
        .also(
            "SourceDestCheck",
            json!({"Value": false}),
            "--no-source-dest-check",
        )
        .call();
    let object = Object::Interface(Interface {
        source_dest_check: false,
        ..interface.clone()
    });
    Some(Fix::one(object, call))
}

/// What the command line calls a gateway: a variable, if it does not exist yet.
fn gateway_name(id: GatewayId) -> String {
    if id.bits() >= UNBORN {
        format!("$igw{}", id.bits() - UNBORN)
    } else {
        id.to_string()
    }
}

/// A route's target as a parameter of `CreateRoute`.
fn target(draft: Draft, target: Target) -> Option<Draft> {
    Some(match target {
        Target::InternetGateway(id) => draft.with("GatewayId", &gateway_name(id)),
        Target::EgressOnlyGateway(id) => draft.with("EgressOnlyInternetGatewayId", &id),
        Target::Interface(id) => draft.with("NetworkInterfaceId", &id),
        Target::NatGateway(id) => draft.with("NatGatewayId", &id),
        Target::Peering(id) => draft.with("VpcPeeringConnectionId", &id),
        Target::TransitGateway(id) => draft.with("TransitGatewayId", &id),
        Target::Local | Target::Blackhole => return None,
    })
}

/// A table with this route, new or instead of the one for the same block.
fn with_route(table: &RouteTable, route: Route) -> Option<Fix> {
    let mut table = table.clone();
    let same = |old: &Route| old.destination == route.destination;
    if table
        .routes
        .iter()
        .any(|old| same(old) && old.target == Target::Local)
    {
        return None;
    }
    let action = if table.routes.iter().any(same) {
        "ReplaceRoute"
    } else {
        "CreateRoute"
    };
    table.routes.retain(|old| !same(old));
    table.routes.push(route);
    let draft = Draft::new(action).with("RouteTableId", &table.id);
    let draft = if route.destination.is_v4() {
        draft.with("DestinationCidrBlock", &route.destination)
    } else {
        draft.with("DestinationIpv6CidrBlock", &route.destination)
    };
    let call = target(draft, route.target)?.call();
    Some(Fix::one(Object::RouteTable(table), call))
}

/// The block of a VPC that an address is in.
fn block_of(snapshot: &Snapshot, vpc: VpcId, address: IpAddr) -> Option<Cidr> {
    let blocks = &snapshot.vpc(vpc)?.vpc.as_ref()?.cidrs;
    blocks.iter().find(|block| block.contains(address)).copied()
}

/// A route that leads on, where there is none or its target is gone.
fn routes(snapshot: &Snapshot, stop: &Stop, id: RouteTableId) -> Vec<Fix> {
    let Some((view, table)) = home(snapshot, |view| view.route_table(id)) else {
        return Vec::new();
    };
    let Some(vpc) = &view.vpc else {
        return Vec::new();
    };
    let to = stop.tuple.destination;
    let old = match stop.dropped.rule {
        Some(RuleRef::Route(route)) => Some(route),
        _ => None,
    };
    let mut fixes = Vec::new();
    if let Some(Target::InternetGateway(gateway)) = old.map(|route| route.target)
        && vpc.internet_gateway.is_none()
        && !elsewhere(snapshot, gateway)
    {
        fixes.push(attach(view, gateway));
    }
    let mut targets = Vec::new();
    for peering in snapshot.peerings() {
        let block = peering
            .other(vpc.id)
            .and_then(|other| block_of(snapshot, other, to));
        targets.extend(block.map(|block| (Target::Peering(peering.id), block)));
    }
    let attachments = || {
        snapshot
            .transit_attachments()
            .filter(|attachment| attachment.vpc == vpc.id)
    };
    for attachment in attachments() {
        let gateway = attachment.gateway;
        let block = snapshot
            .transit_attachments()
            .filter(|far| far.gateway == gateway && far.vpc != vpc.id)
            .find_map(|far| block_of(snapshot, far.vpc, to));
        targets.extend(block.map(|block| (Target::TransitGateway(gateway), block)));
    }
    let outside = stop.block(to);
    if let Some(gateway) = vpc.internet_gateway {
        targets.push((Target::InternetGateway(gateway), outside));
    }
    let public = stop
        .sender
        .and_then(|sender| snapshot.public_of(sender, stop.tuple.source));
    let nat = view
        .nat_gateways()
        .map(|gateway| (Target::NatGateway(gateway.id), outside));
    if public.is_some() {
        targets.extend(nat);
    } else {
        // Without a public address a NAT gateway is nearer than the internet gateway.
        let at = targets.len() - usize::from(vpc.internet_gateway.is_some());
        targets.splice(at..at, nat);
    }
    targets.extend(attachments().map(|a| (Target::TransitGateway(a.gateway), outside)));
    for (target, block) in targets {
        let destination = old.map_or(block, |route| route.destination);
        fixes.extend(with_route(
            table,
            Route {
                destination,
                target,
            },
        ));
    }
    if vpc.internet_gateway.is_none()
        && let Some(mut fix) = gateway(snapshot, stop, vpc.id)
    {
        let target = Target::InternetGateway(GatewayId::from_bits(UNBORN + stop.serial));
        let destination = old.map_or(outside, |route| route.destination);
        let route = with_route(
            table,
            Route {
                destination,
                target,
            },
        );
        if let Some(route) = route {
            fix.changes.extend(route.changes);
            fix.calls.extend(route.calls);
            fixes.push(fix);
        }
    }
    fixes
}

/// Whether a gateway is attached to some VPC.
fn elsewhere(snapshot: &Snapshot, gateway: GatewayId) -> bool {
    snapshot.vpcs().any(|(_, view)| {
        let vpc = view.vpc.as_ref();
        vpc.is_some_and(|vpc| vpc.internet_gateway == Some(gateway))
    })
}

fn attach(view: &VpcView, gateway: GatewayId) -> Fix {
    let mut changes = Vec::new();
    let mut draft =
        Draft::new("AttachInternetGateway").with("InternetGatewayId", &gateway_name(gateway));
    if let Some(vpc) = &view.vpc {
        draft = draft.with("VpcId", &vpc.id);
        let mut vpc = vpc.clone();
        vpc.internet_gateway = Some(gateway);
        changes.push(Change::Put(Object::Vpc(vpc)));
    }
    Fix {
        changes,
        calls: vec![draft.call()],
        unborn: None,
    }
}

/// An internet gateway for a VPC that has none.
fn gateway(snapshot: &Snapshot, stop: &Stop, vpc: VpcId) -> Option<Fix> {
    let view = snapshot.vpc(vpc)?;
    let known = view
        .route_tables()
        .flat_map(|table| &table.routes)
        .find_map(|route| {
            let Target::InternetGateway(id) = route.target else {
                return None;
            };
            (!elsewhere(snapshot, id)).then_some(id)
        });
    if let Some(known) = known.filter(|_| stop.dropped.reason == DropReason::NoInternetGateway) {
        return Some(attach(view, known));
    }
    let unborn = GatewayId::from_bits(UNBORN + stop.serial);
    let name = gateway_name(unborn);
    let create = Draft::new("CreateInternetGateway").saving(
        name.trim_start_matches('$'),
        "InternetGateway.InternetGatewayId",
    );
    let mut fix = attach(view, unborn);
    fix.calls.insert(0, create);
    Some(fix)
}

/// A way for answers through the internet gateway.
fn return_routes(snapshot: &Snapshot, stop: &Stop, id: RouteTableId) -> Vec<Fix> {
    let Some((view, table)) = home(snapshot, |view| view.route_table(id)) else {
        return Vec::new();
    };
    let Some(gateway) = view.vpc.as_ref().and_then(|vpc| vpc.internet_gateway) else {
        return Vec::new();
    };
    let target = Target::InternetGateway(gateway);
    let block = stop.block(stop.tuple.source);
    let old = match stop.dropped.rule {
        Some(RuleRef::Route(route)) => Some(route),
        _ => None,
    };
    let mut blocks = vec![block];
    // A route for everybody does not help against a narrower one.
    blocks.extend(
        old.map(|route| route.destination)
            .filter(|old| *old != block),
    );
    blocks
        .into_iter()
        .filter_map(|destination| {
            with_route(
                table,
                Route {
                    destination,
                    target,
                },
            )
        })
        .collect()
}

/// A public address for the sender.
fn public_address(snapshot: &Snapshot, stop: &Stop, id: InterfaceId) -> Option<Fix> {
    let interface = snapshot.interface(id)?;
    let private = stop.tuple.source;
    let view = snapshot.vpc_of(id)?;
    // A NAT gateway's interface gets its addresses with the gateway.
    if view.nat_gateway_of(id).is_some() || !interface.addresses.contains(&private) {
        return None;
    }
    let uplink = snapshot.uplink()?;
    // The first addresses of the pool are the host's.
    let public = (2..uplink.pool.size().saturating_sub(1).min(1 << 16))
        .filter_map(|offset| uplink.pool.nth(offset))
        .find(|address| *address != uplink.host && snapshot.public_address(*address).is_none())?;
    let name = format!("eip{}", stop.serial);
    let allocate = Draft::new("AllocateAddress")
        .also("Domain", json!("vpc"), "--domain vpc")
        .saving(&name, "AllocationId");
    // Rules on the packet's further way may have to name the address.
    let learn = format!("ip{}", stop.serial);
    let describe = Draft::new("DescribeAddresses")
        .also(
            "AllocationIds",
            json!([format!("${name}")]),
            &format!("--allocation-ids \"${name}\""),
        )
        .saving(&learn, "Addresses[0].PublicIp");
    let associate = Draft::new("AssociateAddress")
        .with("AllocationId", &format!("${name}"))
        .with("NetworkInterfaceId", &id)
        .with("PrivateIpAddress", &private)
        .call();
    let address = PublicAddress {
        allocation: AllocationId::from_bits(UNBORN + stop.serial),
        public,
        interface: id,
        private,
    };
    Some(Fix {
        changes: vec![Change::Put(Object::PublicAddress(address))],
        calls: vec![allocate, describe, associate],
        unborn: Some((public, learn)),
    })
}

/// A subnet more of a transit gateway's attachment, in a zone where it has none.
fn zones(snapshot: &Snapshot, id: TransitGatewayAttachmentId) -> Vec<Fix> {
    let Some(attachment) = snapshot.transit_attachment(id) else {
        return Vec::new();
    };
    let Some(view) = snapshot.vpc(attachment.vpc) else {
        return Vec::new();
    };
    let mut zones: Vec<&str> = attachment
        .subnets
        .iter()
        .filter_map(|id| Some(view.subnet(*id)?.zone.as_str()))
        .collect();
    let mut fixes = Vec::new();
    for subnet in view.subnets() {
        if zones.contains(&subnet.zone.as_str()) {
            continue;
        }
        zones.push(&subnet.zone);
        let added: SubnetId = subnet.id;
        let mut subnets = attachment.subnets.clone();
        subnets.push(added);
        let call = Draft::new("ModifyTransitGatewayVpcAttachment")
            .with("TransitGatewayAttachmentId", &id)
            .also(
                "AddSubnetIds",
                json!([added]),
                &format!("--add-subnet-ids {added}"),
            )
            .call();
        let object = Object::TransitAttachment(TransitAttachment {
            subnets,
            ..attachment.clone()
        });
        fixes.push(Fix::one(object, call));
    }
    fixes
}

/// A route table for what comes by an attachment that has none.
fn associations(snapshot: &Snapshot, id: TransitGatewayAttachmentId) -> Vec<Fix> {
    let call = |table: TransitGatewayRouteTableId| {
        Draft::new("AssociateTransitGatewayRouteTable")
            .with("TransitGatewayRouteTableId", &table)
            .with("TransitGatewayAttachmentId", &id)
            .call()
    };
    let of = |gateway| {
        snapshot
            .transit_tables()
            .filter(move |table| table.gateway == gateway)
            .map(|table| table.id)
    };
    if let Some(attachment) = snapshot.transit_attachment(id) {
        let with = |table| {
            let object = Object::TransitAttachment(TransitAttachment {
                route_table: Some(table),
                ..attachment.clone()
            });
            Fix::one(object, call(table))
        };
        return of(attachment.gateway).map(with).collect();
    }
    let Some(peering) = snapshot.transit_peering(id) else {
        return Vec::new();
    };
    let mut fixes = Vec::new();
    for (end, (gateway, associated)) in peering.ends.iter().enumerate() {
        if associated.is_some() {
            continue;
        }
        for table in of(*gateway) {
            let mut peering = *peering;
            if let Some(end) = peering.ends.get_mut(end) {
                end.1 = Some(table);
            }
            fixes.push(Fix::one(Object::TransitPeering(peering), call(table)));
        }
    }
    fixes
}

/// A route of a transit gateway that leads on.
fn transit_routes(snapshot: &Snapshot, stop: &Stop, id: TransitGatewayRouteTableId) -> Vec<Fix> {
    let Some(table) = snapshot.transit_table(id) else {
        return Vec::new();
    };
    let to = stop.tuple.destination;
    let old = match stop.dropped.rule {
        Some(RuleRef::TransitRoute(block)) => Some(block),
        _ => None,
    };
    let vpcs = || {
        snapshot
            .transit_attachments()
            .filter(|attachment| attachment.gateway == table.gateway)
    };
    let outside = stop.block(to);
    let mut ways: Vec<(TransitGatewayAttachmentId, Cidr)> = vpcs()
        .filter_map(|far| Some((far.id, block_of(snapshot, far.vpc, to)?)))
        .collect();
    let peerings = snapshot
        .transit_peerings()
        .filter(|peering| peering.other(table.gateway).is_some());
    ways.extend(peerings.map(|peering| (peering.id, outside)));
    ways.extend(vpcs().map(|far| (far.id, outside)));
    let fix = |(attachment, block): (TransitGatewayAttachmentId, Cidr)| {
        let destination = old.unwrap_or(block);
        let mut table = table.clone();
        let same = |route: &TransitRoute| route.destination == destination && route.is_static;
        let action = if table.routes.iter().any(same) {
            "ReplaceTransitGatewayRoute"
        } else {
            "CreateTransitGatewayRoute"
        };
        table.routes.retain(|route| !same(route));
        table.routes.push(TransitRoute {
            destination,
            attachment: Some(attachment),
            is_static: true,
        });
        let call = Draft::new(action)
            .with("TransitGatewayRouteTableId", &id)
            .with("DestinationCidrBlock", &destination)
            .with("TransitGatewayAttachmentId", &attachment)
            .call();
        Fix::one(Object::TransitRouteTable(table), call)
    };
    ways.into_iter().map(fix).collect()
}

/// No address at all, of the same family.
pub(crate) const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
