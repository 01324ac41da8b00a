//! What hosts must know of the state: all of it, or what changed.
//!
//! A record may show in other records' objects (a VPC's main route table in its subnets, an instance's state in its
//! interfaces). [`delta`] collects every object that a write may show in, generously, and tells only of those that
//! really differ.

use std::collections::BTreeSet;

use feed::{Delta, Full, InstanceChange};
use topology::{Change, Object};
use types::{InstanceId, ObjectId, VpcId};

use crate::endpoint::service::EndpointService;
use crate::public_access_exclusion::Excluded;
use crate::{
    Account, AccountKey, Address, EgressOnlyGateway, Endpoint, Instance, Key, NatGateway,
    NetworkAcl, NetworkInterface, PeeringConnection, PrefixList, PublicAccessExclusion, Record,
    RouteTable, SecurityGroup, State, Subnet, TransitGateway, TransitGatewayAttachment,
    TransitGatewayRouteTable, Vpc, Write, address, route_table, subnet, transit_gateway,
};

/// Everything that a host which runs every instance must know.
#[must_use]
pub fn full(state: &State, revision: u64) -> Full {
    let ids = state.vpcs.keys().map(|id| ObjectId::from(*id));
    let ids = ids
        .chain(state.network_acls.keys().map(|id| (*id).into()))
        .chain(state.route_tables.keys().map(|id| (*id).into()))
        .chain(state.security_groups.keys().map(|id| (*id).into()))
        .chain(state.subnets.keys().map(|id| (*id).into()))
        .chain(state.interfaces.keys().map(|id| (*id).into()))
        .chain(state.addresses.keys().map(|id| (*id).into()));
    let ids = ids.chain(state.nat_gateways.keys().map(|id| (*id).into()));
    let peerings = state.peering_connections.keys();
    let ids = ids.chain(peerings.map(|id| (*id).into()));
    let transit = state.transit_gateway_route_tables.keys();
    let ids = ids.chain(transit.map(|id| (*id).into()));
    let transit = state.transit_gateway_attachments.keys();
    let ids = ids.chain(transit.map(|id| (*id).into()));
    let endpoints = state.endpoints.keys();
    let ids = ids.chain(endpoints.map(|id| (*id).into()));
    Full {
        revision,
        objects: ids.filter_map(|id| object(state, id)).collect(),
        instances: instances(state).collect(),
    }
}

/// Every instance that is not terminated, as its host would know it.
pub fn instances(state: &State) -> impl Iterator<Item = feed::Instance> {
    state
        .instances
        .values()
        .filter_map(|instance| instance.project())
}

/// What changes for the host between two states, of which the second is the first with these writes.
#[must_use]
pub fn delta(
    before: &State,
    after: &State,
    writes: &[Write],
    before_revision: u64,
    after_revision: u64,
) -> Delta {
    let mut touched = Touched::default();
    for write in writes {
        touched.by(before, after, write);
        touched.by(after, before, write);
    }
    let mut removals = Vec::new();
    let mut puts = Vec::new();
    for id in touched.objects {
        let (old, new) = (object(before, id), object(after, id));
        match (old, new) {
            (old, Some(new)) if old.as_ref() != Some(&new) => puts.push(Change::Put(new)),
            (Some(_), None) => removals.extend(removal(id)),
            (_, Some(_)) | (None, None) => {}
        }
    }
    let mut instances = Vec::new();
    for id in touched.instances {
        let show = |state: &State| state.instances.get(&id).and_then(|i| i.project());
        match (show(before), show(after)) {
            (old, Some(new)) if old.as_ref() != Some(&new) => {
                instances.push(InstanceChange::Put(new));
            }
            (Some(_), None) => instances.push(InstanceChange::Remove(id)),
            (_, Some(_)) | (None, None) => {}
        }
    }
    // What goes makes room (an address) for what comes.
    removals.extend(puts);
    Delta {
        after: before_revision,
        revision: after_revision,
        changes: removals,
        instances,
    }
}

/// Objects that may differ between two states.
#[derive(Default)]
struct Touched {
    objects: BTreeSet<ObjectId>,
    instances: BTreeSet<InstanceId>,
}

impl Touched {
    /// Notes what a write may show in, as far as `state` knows; `other` is the state on the write's other side.
    fn by(&mut self, state: &State, other: &State, write: &Write) {
        match write.kind {
            Vpc::KIND => {
                if let Some(vpc) = find(&state.vpcs, write) {
                    self.by_vpc(state, other, vpc);
                }
            }
            NetworkInterface::KIND => {
                if let Some(interface) = find(&state.interfaces, write) {
                    self.objects.insert(interface.id.into());
                    if !other.interfaces.contains_key(&interface.id) {
                        self.by_route_targets(state, interface.vpc);
                    }
                    let addresses = address::of_interface(state, interface.id);
                    self.objects
                        .extend(addresses.map(|address| ObjectId::from(address.id)));
                }
            }
            Instance::KIND => {
                if let Some(instance) = find(&state.instances, write) {
                    self.instances.insert(instance.id);
                    let interfaces = instance.interfaces.values();
                    self.objects
                        .extend(interfaces.map(|id| ObjectId::from(*id)));
                }
            }
            Account::KIND => {
                if let Some(account) = find(&state.accounts, write) {
                    let other = other.accounts.get(&account.id);
                    if other.is_none_or(|other| other.public_access != account.public_access) {
                        let AccountKey { account, region } = account.id.clone();
                        let subnets = state.subnets.by(Key::Owner(account, region));
                        self.objects.extend(subnets.map(|s| ObjectId::from(s.id)));
                    }
                }
            }
            PublicAccessExclusion::KIND => {
                if let Some(exclusion) = find(&state.public_access_exclusions, write) {
                    match exclusion.excluded {
                        Excluded::Vpc(id) => {
                            let subnets = subnet::of_vpc(state, id);
                            self.objects.extend(subnets.map(|s| ObjectId::from(s.id)));
                        }
                        Excluded::Subnet(id) => {
                            self.objects.insert(id.into());
                        }
                    }
                }
            }
            EgressOnlyGateway::KIND => {
                if let Some(gateway) = find(&state.egress_only_gateways, write) {
                    self.objects.insert(gateway.vpc.into());
                }
            }
            PrefixList::KIND => {
                if let Some(list) = find(&state.prefix_lists, write) {
                    let groups = state.security_groups.of(list.id);
                    let tables = state.route_tables.of(list.id);
                    self.objects.extend(groups.map(|g| ObjectId::from(g.id)));
                    self.objects.extend(tables.map(|t| ObjectId::from(t.id)));
                    let transit = state.transit_gateway_route_tables.of(list.id);
                    self.objects.extend(transit.map(|t| ObjectId::from(t.id)));
                }
            }
            EndpointService::KIND => {
                if let Some(service) = find(&state.endpoint_services, write) {
                    let endpoints = state.endpoints.of(service.id);
                    self.objects.extend(endpoints.map(|e| ObjectId::from(e.id)));
                }
            }
            TransitGateway::KIND => {
                if let Some(gateway) = find(&state.transit_gateways, write) {
                    let shown = transit_gateway::project::gateway_shown_in(state, gateway);
                    self.objects.extend(shown);
                }
            }
            TransitGatewayAttachment::KIND => {
                if let Some(attachment) = find(&state.transit_gateway_attachments, write) {
                    let shown = transit_gateway::project::shown_in(state, attachment);
                    self.objects.extend(shown);
                }
            }
            RouteTable::KIND => {
                if let Some(table) = find(&state.route_tables, write) {
                    self.objects.insert(table.id.into());
                    // A gateway's table shows in the VPC.
                    self.objects.insert(table.vpc.into());
                }
            }
            Subnet::KIND
            | Endpoint::KIND
            | NatGateway::KIND
            | PeeringConnection::KIND
            | TransitGatewayRouteTable::KIND
            | NetworkAcl::KIND
            | SecurityGroup::KIND
            | Address::KIND => self.objects.extend(write.id.parse::<ObjectId>().ok()),
            // An internet gateway shows in its VPC, whose record changes with it.
            _ => {}
        }
    }

    fn by_vpc(&mut self, state: &State, other: &State, vpc: &Vpc) {
        self.objects.insert(vpc.id.into());
        let other = other.vpcs.get(&vpc.id);
        if other.is_none_or(|other| other.main_route_table != vpc.main_route_table) {
            self.objects
                .extend(subnet::of_vpc(state, vpc.id).map(|s| ObjectId::from(s.id)));
        }
        let same_routes = other.is_some_and(|other| {
            other.cidrs == vpc.cidrs
                && other.ipv6 == vpc.ipv6
                && other.internet_gateway == vpc.internet_gateway
        });
        if !same_routes {
            self.by_route_targets(state, vpc.id);
            let shown = transit_gateway::project::blocks_shown_in(state, vpc);
            self.objects.extend(shown);
        }
    }

    fn by_route_targets(&mut self, state: &State, vpc: VpcId) {
        self.objects
            .extend(route_table::of_vpc(state, vpc).map(|table| ObjectId::from(table.id)));
    }
}

fn find<'s, R: Record>(table: &'s crate::Table<R>, write: &Write) -> Option<&'s R> {
    write.id.parse::<R::Id>().ok().and_then(|id| table.get(&id))
}

/// The object of that id as hosts see it; `None` if there is none, or none that concerns hosts.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most kinds do not concern hosts"
)]
pub(crate) fn object(state: &State, id: ObjectId) -> Option<Object> {
    Some(match id {
        ObjectId::VpcId(id) => Object::Vpc(state.vpcs.get(&id)?.project(state)),
        ObjectId::SubnetId(id) => Object::Subnet(state.subnets.get(&id)?.project(state)?),
        ObjectId::InterfaceId(id) => Object::Interface(state.interfaces.get(&id)?.project(state)),
        ObjectId::GroupId(id) => {
            Object::SecurityGroup(state.security_groups.get(&id)?.project(state))
        }
        ObjectId::RouteTableId(id) => {
            Object::RouteTable(state.route_tables.get(&id)?.project(state)?)
        }
        ObjectId::AclId(id) => Object::NetworkAcl(state.network_acls.get(&id)?.project()),
        ObjectId::AllocationId(id) => Object::PublicAddress(state.addresses.get(&id)?.project()?),
        ObjectId::NatGatewayId(id) => Object::NatGateway(state.nat_gateways.get(&id)?.project()?),
        ObjectId::EndpointId(id) => Object::Endpoint(state.endpoints.get(&id)?.project(state)?),
        ObjectId::PeeringConnectionId(id) => {
            Object::Peering(state.peering_connections.get(&id)?.project()?)
        }
        ObjectId::TransitGatewayAttachmentId(id) => {
            transit_gateway::project::attachment(state, id)?
        }
        ObjectId::TransitGatewayRouteTableId(id) => {
            Object::TransitRouteTable(transit_gateway::project::table(state, id)?)
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most kinds do not concern hosts"
)]
pub(crate) fn removal(id: ObjectId) -> Option<Change> {
    Some(match id {
        ObjectId::VpcId(id) => Change::RemoveVpc(id),
        ObjectId::SubnetId(id) => Change::RemoveSubnet(id),
        ObjectId::InterfaceId(id) => Change::RemoveInterface(id),
        ObjectId::GroupId(id) => Change::RemoveSecurityGroup(id),
        ObjectId::RouteTableId(id) => Change::RemoveRouteTable(id),
        ObjectId::AclId(id) => Change::RemoveNetworkAcl(id),
        ObjectId::AllocationId(id) => Change::RemovePublicAddress(id),
        ObjectId::NatGatewayId(id) => Change::RemoveNatGateway(id),
        ObjectId::EndpointId(id) => Change::RemoveEndpoint(id),
        ObjectId::PeeringConnectionId(id) => Change::RemovePeering(id),
        ObjectId::TransitGatewayAttachmentId(id) => Change::RemoveTransitAttachment(id),
        ObjectId::TransitGatewayRouteTableId(id) => Change::RemoveTransitRouteTable(id),
        _ => return None,
    })
}
