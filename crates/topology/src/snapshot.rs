//! The snapshot and its look-ups.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use types::{
    AclId, AllocationId, EndpointId, GroupId, InstanceId, InterfaceId, NatGatewayId, ObjectId,
    PeeringConnectionId, RouteTableId, SubnetId, TransitGatewayAttachmentId, TransitGatewayId,
    TransitGatewayRouteTableId, VpcId,
};

use crate::lpm::Lpm;
use crate::{
    Change, Endpoint, Interface, NatGateway, NetworkAcl, Object, Peering, PublicAddress, Route,
    RouteTable, SecurityGroup, Subnet, Target, TransitAttachment, TransitPeering, TransitRoute,
    TransitRouteTable, Uplink, Vpc,
};

/// A table of routes, ready for look-ups.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Indexed<T> {
    table: T,
    index: Lpm,
}

/// One VPC with all that is in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VpcView {
    /// The VPC itself; `None` while only parts of it have arrived, and then nothing in it is delivered.
    pub vpc: Option<Vpc>,
    subnets: RedBlackTreeMapSync<SubnetId, Subnet>,
    interfaces: RedBlackTreeMapSync<InterfaceId, Interface>,
    addresses: HashTrieMapSync<IpAddr, InterfaceId>,
    groups: RedBlackTreeMapSync<GroupId, SecurityGroup>,
    route_tables: RedBlackTreeMapSync<RouteTableId, Indexed<RouteTable>>,
    acls: RedBlackTreeMapSync<AclId, NetworkAcl>,
    nat_gateways: RedBlackTreeMapSync<NatGatewayId, NatGateway>,
}

impl VpcView {
    /// A subnet of this VPC.
    #[must_use]
    pub fn subnet(&self, id: SubnetId) -> Option<&Subnet> {
        self.subnets.get(&id)
    }

    /// The subnet whose block holds the address.
    #[must_use]
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets
            .values()
            .find(|subnet| subnet.contains(address))
    }

    /// An interface of this VPC.
    #[must_use]
    pub fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(&id)
    }

    /// The interface that has this private address.
    #[must_use]
    pub fn interface_at(&self, address: IpAddr) -> Option<&Interface> {
        self.addresses
            .get(&address)
            .and_then(|id| self.interface(*id))
    }

    /// Every interface, by identifier.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// A security group that this VPC's interfaces may have.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&SecurityGroup> {
        self.groups.get(&id)
    }

    /// A route table of this VPC.
    #[must_use]
    pub fn route_table(&self, id: RouteTableId) -> Option<&RouteTable> {
        self.route_tables.get(&id).map(|indexed| &indexed.table)
    }

    /// The route of a route table for a destination: the longest prefix, and among equals the local one first.
    #[must_use]
    pub fn route(&self, table: RouteTableId, destination: IpAddr) -> Option<&Route> {
        let Indexed { table, index } = self.route_tables.get(&table)?;
        table.routes.get(index.find(destination)?)
    }

    /// A network ACL of this VPC.
    #[must_use]
    pub fn acl(&self, id: AclId) -> Option<&NetworkAcl> {
        self.acls.get(&id)
    }

    /// A NAT gateway of this VPC.
    #[must_use]
    pub fn nat_gateway(&self, id: NatGatewayId) -> Option<&NatGateway> {
        self.nat_gateways.get(&id)
    }

    /// The NAT gateway whose interface this is.
    #[must_use]
    pub fn nat_gateway_of(&self, interface: InterfaceId) -> Option<&NatGateway> {
        self.nat_gateways
            .values()
            .find(|gateway| gateway.interface == interface)
    }

    /// Every subnet, by identifier.
    pub fn subnets(&self) -> impl Iterator<Item = &Subnet> {
        self.subnets.values()
    }

    /// Every security group, by identifier.
    pub fn groups(&self) -> impl Iterator<Item = &SecurityGroup> {
        self.groups.values()
    }

    /// Every route table, by identifier.
    pub fn route_tables(&self) -> impl Iterator<Item = &RouteTable> {
        self.route_tables.values().map(|indexed| &indexed.table)
    }

    /// Every network ACL, by identifier.
    pub fn acls(&self) -> impl Iterator<Item = &NetworkAcl> {
        self.acls.values()
    }

    /// Every NAT gateway, by identifier.
    pub fn nat_gateways(&self) -> impl Iterator<Item = &NatGateway> {
        self.nat_gateways.values()
    }

    /// Whether the address lies in one of the VPC's blocks.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.vpc
            .as_ref()
            .is_some_and(|vpc| vpc.cidrs.iter().any(|cidr| cidr.contains(address)))
    }

    fn is_empty(&self) -> bool {
        self.vpc.is_none()
            && self.subnets.is_empty()
            && self.interfaces.is_empty()
            && self.groups.is_empty()
            && self.route_tables.is_empty()
            && self.acls.is_empty()
            && self.nat_gateways.is_empty()
    }

    fn put_interface(&mut self, interface: Interface) {
        self.remove_interface(interface.id);
        for address in &interface.addresses {
            self.addresses.insert_mut(*address, interface.id);
        }
        self.interfaces.insert_mut(interface.id, interface);
    }

    fn remove_interface(&mut self, id: InterfaceId) {
        if let Some(old) = self.interfaces.get(&id) {
            for address in &old.addresses {
                if self.addresses.get(address) == Some(&id) {
                    self.addresses.remove_mut(address);
                }
            }
            self.interfaces.remove_mut(&id);
        }
    }
}

/// Everything that a walk may look at, at one revision. The maps are persistent: the next revision's snapshot shares
/// with this one what does not change, and costs what does.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    uplink: Option<Uplink>,
    vpcs: RedBlackTreeMapSync<VpcId, Arc<VpcView>>,
    /// In which VPC an object is.
    home: HashTrieMapSync<ObjectId, VpcId>,
    public: RedBlackTreeMapSync<AllocationId, PublicAddress>,
    by_public: HashTrieMapSync<IpAddr, AllocationId>,
    by_private: HashTrieMapSync<(InterfaceId, IpAddr), AllocationId>,
    /// The interfaces by their IPv6 addresses, which are the same inside and outside.
    global: HashTrieMapSync<IpAddr, InterfaceId>,
    peerings: RedBlackTreeMapSync<PeeringConnectionId, Peering>,
    attachments: RedBlackTreeMapSync<TransitGatewayAttachmentId, TransitAttachment>,
    attached: HashTrieMapSync<(TransitGatewayId, VpcId), TransitGatewayAttachmentId>,
    transit_peerings: RedBlackTreeMapSync<TransitGatewayAttachmentId, TransitPeering>,
    transit_tables: RedBlackTreeMapSync<TransitGatewayRouteTableId, Indexed<TransitRouteTable>>,
    endpoints: RedBlackTreeMapSync<EndpointId, Endpoint>,
    endpoint_interfaces: HashTrieMapSync<InterfaceId, EndpointId>,
}

impl Snapshot {
    /// An empty network behind this uplink, at revision 0.
    #[must_use]
    pub fn new(uplink: Option<Uplink>) -> Snapshot {
        Snapshot {
            uplink,
            ..Snapshot::default()
        }
    }

    /// The store's revision that this snapshot shows.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// What is behind the uplink; `None` if there is none.
    #[must_use]
    pub const fn uplink(&self) -> Option<&Uplink> {
        self.uplink.as_ref()
    }

    /// A VPC.
    #[must_use]
    pub fn vpc(&self, id: VpcId) -> Option<&VpcView> {
        self.vpcs.get(&id).map(Arc::as_ref)
    }

    /// Every VPC, by identifier.
    pub fn vpcs(&self) -> impl Iterator<Item = (VpcId, &VpcView)> {
        self.vpcs.iter().map(|(id, view)| (*id, view.as_ref()))
    }

    /// The VPC that an interface is in.
    #[must_use]
    pub fn vpc_of(&self, interface: InterfaceId) -> Option<&VpcView> {
        self.home
            .get(&ObjectId::from(interface))
            .and_then(|vpc| self.vpc(*vpc))
    }

    /// The VPC that an object is in, if it is of a kind that a VPC has.
    #[must_use]
    pub fn home(&self, id: ObjectId) -> Option<&VpcView> {
        self.home.get(&id).and_then(|vpc| self.vpc(*vpc))
    }

    /// An interface of any VPC.
    #[must_use]
    pub fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.vpc_of(id).and_then(|vpc| vpc.interface(id))
    }

    /// The interfaces of an instance, by identifier.
    #[must_use]
    pub fn interfaces_of(&self, instance: InstanceId) -> Vec<&Interface> {
        self.vpcs
            .values()
            .flat_map(|vpc| vpc.interfaces())
            .filter(|interface| interface.instance == Some(instance))
            .collect()
    }

    /// What a public address stands for.
    #[must_use]
    pub fn public_address(&self, public: IpAddr) -> Option<&PublicAddress> {
        self.by_public
            .get(&public)
            .and_then(|id| self.public.get(id))
    }

    /// The public address of an interface's private address.
    #[must_use]
    pub fn public_of(&self, interface: InterfaceId, private: IpAddr) -> Option<&PublicAddress> {
        self.by_private
            .get(&(interface, private))
            .and_then(|id| self.public.get(id))
    }

    /// The interface of any VPC that has this IPv6 address, which the outside sees unchanged.
    #[must_use]
    pub fn global(&self, address: IpAddr) -> Option<&Interface> {
        self.global
            .get(&address)
            .and_then(|id| self.interface(*id))
            .filter(|interface| interface.addresses.contains(&address))
    }

    /// A peering connection, if it is active.
    #[must_use]
    pub fn peering(&self, id: PeeringConnectionId) -> Option<&Peering> {
        self.peerings.get(&id)
    }

    /// An attachment to a transit gateway.
    #[must_use]
    pub fn transit_attachment(&self, id: TransitGatewayAttachmentId) -> Option<&TransitAttachment> {
        self.attachments.get(&id)
    }

    /// A peering of two transit gateways.
    #[must_use]
    pub fn transit_peering(&self, id: TransitGatewayAttachmentId) -> Option<&TransitPeering> {
        self.transit_peerings.get(&id)
    }

    /// A VPC's attachment to a transit gateway.
    #[must_use]
    pub fn attachment_of(
        &self,
        gateway: TransitGatewayId,
        vpc: VpcId,
    ) -> Option<&TransitAttachment> {
        self.attached
            .get(&(gateway, vpc))
            .and_then(|id| self.transit_attachment(*id))
    }

    /// A route table of a transit gateway.
    #[must_use]
    pub fn transit_table(&self, id: TransitGatewayRouteTableId) -> Option<&TransitRouteTable> {
        self.transit_tables.get(&id).map(|indexed| &indexed.table)
    }

    /// The route of a transit gateway's route table for a destination: the longest prefix; among equals a static one;
    /// among those the lowest attachment.
    #[must_use]
    pub fn transit_route(
        &self,
        table: TransitGatewayRouteTableId,
        destination: IpAddr,
    ) -> Option<&TransitRoute> {
        let Indexed { table, index } = self.transit_tables.get(&table)?;
        table.routes.get(index.find(destination)?)
    }

    /// Every active peering connection, by identifier.
    pub fn peerings(&self) -> impl Iterator<Item = &Peering> {
        self.peerings.values()
    }

    /// Every VPC's attachment to a transit gateway, by identifier.
    pub fn transit_attachments(&self) -> impl Iterator<Item = &TransitAttachment> {
        self.attachments.values()
    }

    /// Every peering of transit gateways, by identifier.
    pub fn transit_peerings(&self) -> impl Iterator<Item = &TransitPeering> {
        self.transit_peerings.values()
    }

    /// Every route table of a transit gateway, by identifier.
    pub fn transit_tables(&self) -> impl Iterator<Item = &TransitRouteTable> {
        self.transit_tables.values().map(|indexed| &indexed.table)
    }

    /// Every public address that stands for a private one, by its allocation.
    pub fn public_addresses(&self) -> impl Iterator<Item = &PublicAddress> {
        self.public.values()
    }

    /// An interface endpoint that leads to a service.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(&id)
    }

    /// Every interface endpoint that leads to a service, by identifier.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    /// The endpoint that has this interface.
    #[must_use]
    pub fn endpoint_of(&self, interface: InterfaceId) -> Option<&Endpoint> {
        self.endpoint_interfaces
            .get(&interface)
            .and_then(|id| self.endpoint(*id))
    }

    /// The snapshot after these changes, at this revision. What the changes do not touch is shared.
    #[must_use]
    pub fn apply(&self, revision: u64, changes: &[Change]) -> Snapshot {
        let mut next = self.clone();
        next.revision = revision;
        for change in changes {
            next.step(change);
        }
        next
    }

    fn step(&mut self, change: &Change) {
        match change {
            Change::Put(Object::PublicAddress(address)) => self.put_public(*address),
            Change::RemovePublicAddress(id) => self.remove_public(*id),
            Change::Put(Object::Peering(peering)) => {
                self.peerings.insert_mut(peering.id, *peering);
            }
            Change::RemovePeering(id) => {
                self.peerings.remove_mut(id);
            }
            Change::Put(Object::TransitAttachment(attachment)) => self.put_attachment(attachment),
            Change::Put(Object::TransitPeering(peering)) => {
                self.transit_peerings.insert_mut(peering.id, *peering);
            }
            Change::RemoveTransitAttachment(id) => {
                self.transit_peerings.remove_mut(id);
                self.remove_attachment(*id);
            }
            Change::Put(Object::TransitRouteTable(table)) => {
                let ranked = |route: &TransitRoute| (route.is_static, Reverse(route.attachment));
                let index = Lpm::new(table.routes.iter().map(|r| (r.destination, ranked(r))));
                let table = table.clone();
                self.transit_tables
                    .insert_mut(table.id, Indexed { table, index });
            }
            Change::RemoveTransitRouteTable(id) => {
                self.transit_tables.remove_mut(id);
            }
            Change::Put(Object::Endpoint(endpoint)) => self.put_endpoint(endpoint),
            Change::RemoveEndpoint(id) => self.remove_endpoint(*id),
            Change::Put(object) => self.put(object),
            Change::RemoveVpc(_)
            | Change::RemoveSubnet(_)
            | Change::RemoveInterface(_)
            | Change::RemoveSecurityGroup(_)
            | Change::RemoveRouteTable(_)
            | Change::RemoveNetworkAcl(_)
            | Change::RemoveNatGateway(_) => self.remove(change),
        }
    }

    fn put(&mut self, object: &Object) {
        let vpc = match object {
            Object::Vpc(o) => o.id,
            Object::Subnet(o) => o.vpc,
            Object::Interface(o) => o.vpc,
            Object::SecurityGroup(o) => o.vpc,
            Object::RouteTable(o) => o.vpc,
            Object::NetworkAcl(o) => o.vpc,
            Object::NatGateway(o) => o.vpc,
            Object::PublicAddress(_)
            | Object::Peering(_)
            | Object::TransitAttachment(_)
            | Object::TransitPeering(_)
            | Object::TransitRouteTable(_)
            | Object::Endpoint(_) => return,
        };
        // An object is in one VPC only, whatever a change says.
        if self.home.get(&object.id()).is_some_and(|home| *home != vpc) {
            self.remove(&object.removal());
        }
        if let Object::SecurityGroup(group) = object {
            self.unshare(group.id, vpc);
            for other in &group.also_in {
                self.view_mut(*other)
                    .groups
                    .insert_mut(group.id, group.clone());
            }
        }
        if let Object::Interface(interface) = object {
            self.remove_global(interface.id);
            for address in interface.addresses.iter().filter(|a| a.is_ipv6()) {
                self.global.insert_mut(*address, interface.id);
            }
        }
        self.home.insert_mut(object.id(), vpc);
        let view = self.view_mut(vpc);
        match object {
            Object::Vpc(o) => view.vpc = Some(o.clone()),
            Object::Subnet(o) => {
                view.subnets.insert_mut(o.id, o.clone());
            }
            Object::Interface(o) => view.put_interface(o.clone()),
            Object::SecurityGroup(o) => {
                view.groups.insert_mut(o.id, o.clone());
            }
            Object::RouteTable(o) => {
                let local = |route: &Route| route.target == Target::Local;
                let index = Lpm::new(o.routes.iter().map(|r| (r.destination, local(r))));
                let table = o.clone();
                view.route_tables.insert_mut(o.id, Indexed { table, index });
            }
            Object::NetworkAcl(o) => {
                view.acls.insert_mut(o.id, o.clone());
            }
            Object::NatGateway(o) => {
                view.nat_gateways.insert_mut(o.id, o.clone());
            }
            Object::PublicAddress(_)
            | Object::Peering(_)
            | Object::TransitAttachment(_)
            | Object::TransitPeering(_)
            | Object::TransitRouteTable(_)
            | Object::Endpoint(_) => {}
        }
    }

    /// The view of a VPC, to change it.
    #[expect(clippy::expect_used, reason = "what was just put there is there")]
    fn view_mut(&mut self, vpc: VpcId) -> &mut VpcView {
        if !self.vpcs.contains_key(&vpc) {
            self.vpcs.insert_mut(vpc, Arc::default());
        }
        Arc::make_mut(self.vpcs.get_mut(&vpc).expect("a view of the VPC"))
    }

    /// Takes a group, as it is known so far, out of the VPCs that it is shared with.
    fn unshare(&mut self, id: GroupId, home: VpcId) {
        let known = self.vpc(home).and_then(|view| view.group(id));
        for other in known.map(|group| group.also_in.clone()).unwrap_or_default() {
            if let Some(shared) = self.vpcs.get_mut(&other) {
                let view = Arc::make_mut(shared);
                view.groups.remove_mut(&id);
                if view.is_empty() {
                    self.vpcs.remove_mut(&other);
                }
            }
        }
    }

    fn remove(&mut self, change: &Change) {
        let Some(vpc) = self.home.get(&change.id()).copied() else {
            return;
        };
        if let Change::RemoveSecurityGroup(id) = change {
            self.unshare(*id, vpc);
        }
        if let Change::RemoveInterface(id) = change {
            self.remove_global(*id);
        }
        self.home.remove_mut(&change.id());
        let Some(shared) = self.vpcs.get_mut(&vpc) else {
            return;
        };
        let view = Arc::make_mut(shared);
        match change {
            Change::RemoveVpc(_) => view.vpc = None,
            Change::RemoveSubnet(id) => {
                view.subnets.remove_mut(id);
            }
            Change::RemoveInterface(id) => view.remove_interface(*id),
            Change::RemoveSecurityGroup(id) => {
                view.groups.remove_mut(id);
            }
            Change::RemoveRouteTable(id) => {
                view.route_tables.remove_mut(id);
            }
            Change::RemoveNetworkAcl(id) => {
                view.acls.remove_mut(id);
            }
            Change::RemoveNatGateway(id) => {
                view.nat_gateways.remove_mut(id);
            }
            Change::Put(_)
            | Change::RemovePublicAddress(_)
            | Change::RemovePeering(_)
            | Change::RemoveTransitAttachment(_)
            | Change::RemoveTransitRouteTable(_)
            | Change::RemoveEndpoint(_) => {}
        }
        if view.is_empty() {
            self.vpcs.remove_mut(&vpc);
        }
    }

    fn remove_global(&mut self, id: InterfaceId) {
        let Some(old) = self.interface(id) else {
            return;
        };
        let addresses: Vec<IpAddr> = old.addresses.clone();
        for address in addresses.iter().filter(|address| address.is_ipv6()) {
            // The address may already be another's: changes arrive in any order.
            if self.global.get(address) == Some(&id) {
                self.global.remove_mut(address);
            }
        }
    }

    fn put_attachment(&mut self, attachment: &TransitAttachment) {
        self.remove_attachment(attachment.id);
        self.attached
            .insert_mut((attachment.gateway, attachment.vpc), attachment.id);
        self.attachments
            .insert_mut(attachment.id, attachment.clone());
    }

    fn remove_attachment(&mut self, id: TransitGatewayAttachmentId) {
        if let Some(old) = self.attachments.get(&id) {
            let key = (old.gateway, old.vpc);
            self.attachments.remove_mut(&id);
            // The VPC may have another attachment by now: changes arrive in any order.
            if self.attached.get(&key) == Some(&id) {
                self.attached.remove_mut(&key);
            }
        }
    }

    fn put_endpoint(&mut self, endpoint: &Endpoint) {
        self.remove_endpoint(endpoint.id);
        for interface in &endpoint.interfaces {
            self.endpoint_interfaces.insert_mut(*interface, endpoint.id);
        }
        self.endpoints.insert_mut(endpoint.id, endpoint.clone());
    }

    fn remove_endpoint(&mut self, id: EndpointId) {
        if let Some(old) = self.endpoints.get(&id).cloned() {
            self.endpoints.remove_mut(&id);
            for interface in &old.interfaces {
                if self.endpoint_interfaces.get(interface) == Some(&id) {
                    self.endpoint_interfaces.remove_mut(interface);
                }
            }
        }
    }

    fn put_public(&mut self, address: PublicAddress) {
        self.remove_public(address.allocation);
        self.by_public
            .insert_mut(address.public, address.allocation);
        self.by_private
            .insert_mut((address.interface, address.private), address.allocation);
        self.public.insert_mut(address.allocation, address);
    }

    fn remove_public(&mut self, id: AllocationId) {
        if let Some(old) = self.public.get(&id).copied() {
            self.public.remove_mut(&id);
            // The address may already be another allocation's: changes arrive in any order.
            if self.by_public.get(&old.public) == Some(&id) {
                self.by_public.remove_mut(&old.public);
            }
            if self.by_private.get(&(old.interface, old.private)) == Some(&id) {
                self.by_private.remove_mut(&(old.interface, old.private));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    const NETWORK: &str = "
        uplink 203.0.113.0/24 host 203.0.113.1
        vpc a account 111111111111 cidr 10.0.0.0/16
          group g also b
          subnet a 10.0.1.0/24
          interface a1 subnet a address 10.0.1.4,10.0.1.5
          interface a2 subnet a address 10.0.1.6,2001:db8::6
          elastic e 203.0.113.5 interface a1
        vpc b account 222222222222 cidr 10.0.0.0/16
          subnet b 10.0.1.0/24
          interface b1 subnet b address 10.0.1.4";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn interface(network: &text::Network, name: &str) -> Interface {
        let snapshot = network.snapshot();
        snapshot.interface(network.interface(name)).unwrap().clone()
    }

    #[test]
    fn removing_everything_leaves_nothing() {
        let network = text::parse(NETWORK).unwrap();
        let removals: Vec<Change> = network.objects.iter().map(Object::removal).collect();
        let empty = network.snapshot().apply(9, &removals);
        assert_eq!(empty.revision(), 9);
        assert_eq!(empty.vpcs().count(), 0);
        assert!(empty.home.is_empty() && empty.public.is_empty());
        assert!(empty.by_public.is_empty() && empty.by_private.is_empty());
        assert!(empty.global.is_empty());
        // And once more is harmless.
        assert_eq!(empty.apply(10, &removals).vpcs().count(), 0);
    }

    #[test]
    fn the_order_of_changes_does_not_matter() {
        let network = text::parse(NETWORK).unwrap();
        let mut changes: Vec<Change> = network.objects.iter().cloned().map(Change::Put).collect();
        changes.reverse();
        let backwards = Snapshot::new(network.uplink).apply(1, &changes);
        assert_eq!(backwards.vpcs, network.snapshot().vpcs);
    }

    #[test]
    fn a_group_is_in_the_vpcs_that_it_is_shared_with() {
        let network = text::parse(NETWORK).unwrap();
        let snapshot = network.snapshot();
        let group = snapshot
            .vpcs()
            .find_map(|(_, view)| view.groups.values().next());
        let mut group = group.unwrap().clone();
        let (home, other, id) = (group.vpc, group.also_in[0], group.id);
        let has = |snapshot: &Snapshot, vpc| snapshot.vpc(vpc).unwrap().group(id).is_some();
        assert!(has(&snapshot, home) && has(&snapshot, other));
        group.also_in.clear();
        let alone = snapshot.apply(2, &[Change::Put(Object::SecurityGroup(group))]);
        assert!(has(&alone, home) && !has(&alone, other));
        let gone = snapshot.apply(2, &[Change::RemoveSecurityGroup(id)]);
        assert!(!has(&gone, home) && !has(&gone, other));
    }

    #[test]
    fn an_old_snapshot_does_not_change_and_other_vpcs_are_shared() {
        let network = text::parse(NETWORK).unwrap();
        let old = network.snapshot();
        let mut a1 = interface(&network, "a1");
        let (home, id) = (a1.vpc, a1.id);
        a1.addresses = vec![ip("10.0.1.7")];
        let new = old.apply(2, &[Change::Put(Object::Interface(a1))]);
        let at = |snapshot: &Snapshot, address| {
            let view = snapshot.vpc(home).unwrap();
            view.interface_at(ip(address)).map(|i| i.id)
        };
        assert_eq!(at(&old, "10.0.1.5"), Some(id));
        assert_eq!(at(&old, "10.0.1.7"), None);
        assert_eq!(at(&new, "10.0.1.5"), None);
        assert_eq!(at(&new, "10.0.1.7"), Some(id));
        for (vpc, view) in &old.vpcs {
            assert_eq!(Arc::ptr_eq(view, &new.vpcs[vpc]), *vpc != home);
        }
    }

    #[test]
    fn an_address_that_moves_survives_its_old_owner() {
        let network = text::parse(NETWORK).unwrap();
        let (mut a1, mut a2) = (interface(&network, "a1"), interface(&network, "a2"));
        let (home, moved) = (a1.vpc, ip("10.0.1.5"));
        a1.addresses.retain(|address| *address != moved);
        a2.addresses.push(moved);
        let id = a2.id;
        let changes = [a2, a1].map(|i| Change::Put(Object::Interface(i)));
        let next = network.snapshot().apply(2, &changes);
        let view = next.vpc(home).unwrap();
        assert_eq!(view.interface_at(moved).map(|i| i.id), Some(id));
    }

    #[test]
    fn an_ipv6_address_is_found_whatever_its_vpc() {
        let network = text::parse(NETWORK).unwrap();
        let (a2, mut b1) = (interface(&network, "a2"), interface(&network, "b1"));
        let address = ip("2001:db8::6");
        let at = |snapshot: &Snapshot| snapshot.global(address).map(|found| found.id);
        assert_eq!(at(&network.snapshot()), Some(a2.id));
        b1.addresses.push(address);
        let id = b1.id;
        let changes = [
            Change::Put(Object::Interface(b1)),
            Change::RemoveInterface(a2.id),
        ];
        let next = network.snapshot().apply(2, &changes);
        assert_eq!(at(&next), Some(id));
        assert_eq!(at(&next.apply(3, &[Change::RemoveInterface(id)])), None);
    }

    #[test]
    fn a_public_address_that_is_allocated_again_survives_its_old_allocation() {
        let network = text::parse(NETWORK).unwrap();
        let old = *network
            .snapshot()
            .public_address(ip("203.0.113.5"))
            .unwrap();
        let a2 = interface(&network, "a2");
        let new = PublicAddress {
            allocation: AllocationId::from_bits(77),
            interface: a2.id,
            private: a2.addresses[0],
            ..old
        };
        let changes = [
            Change::Put(Object::PublicAddress(new)),
            Change::RemovePublicAddress(old.allocation),
        ];
        let next = network.snapshot().apply(2, &changes);
        assert_eq!(next.public_address(new.public), Some(&new));
        assert_eq!(next.public_of(a2.id, new.private), Some(&new));
        assert_eq!(next.public_of(old.interface, old.private), None);
    }

    #[test]
    fn an_object_is_in_one_vpc_only() {
        let network = text::parse(NETWORK).unwrap();
        let (mut a2, b1) = (interface(&network, "a2"), interface(&network, "b1"));
        let before = a2.vpc;
        a2.vpc = b1.vpc;
        let id = a2.id;
        let next = network
            .snapshot()
            .apply(2, &[Change::Put(Object::Interface(a2))]);
        assert!(next.vpc(before).unwrap().interface(id).is_none());
        assert_eq!(next.vpc_of(id).unwrap().vpc.as_ref().unwrap().id, b1.vpc);
    }

    #[test]
    fn the_longest_prefix_wins_and_among_equals_the_local_route() {
        let route = |destination: &str, target| Route {
            destination: destination.parse().unwrap(),
            target,
        };
        let table = RouteTable {
            id: RouteTableId::from_bits(1),
            vpc: VpcId::from_bits(1),
            routes: vec![
                route("10.0.0.0/16", Target::Local),
                route("10.0.0.0/16", Target::Blackhole),
                route("0.0.0.0/0", Target::Blackhole),
                route("10.0.2.0/24", Target::Interface(InterfaceId::from_bits(1))),
            ],
        };
        let (id, vpc) = (table.id, table.vpc);
        let mut snapshot = Snapshot::new(None);
        snapshot = snapshot.apply(1, &[Change::Put(Object::RouteTable(table))]);
        let view = snapshot.vpc(vpc).unwrap();
        let target = |to| view.route(id, ip(to)).map(|route| route.target);
        assert_eq!(target("10.0.1.1"), Some(Target::Local));
        assert_eq!(
            target("10.0.2.1"),
            Some(Target::Interface(InterfaceId::from_bits(1)))
        );
        assert_eq!(target("8.8.8.8"), Some(Target::Blackhole));
        assert_eq!(target("::1"), None);
    }
}
