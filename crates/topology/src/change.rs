//! Steps from one snapshot to the next.

use serde::{Deserialize, Serialize};
use types::{
    AclId, AllocationId, EndpointId, GroupId, InterfaceId, NatGatewayId, ObjectId,
    PeeringConnectionId, RouteTableId, SubnetId, TransitGatewayAttachmentId,
    TransitGatewayRouteTableId, VpcId,
};

use crate::{
    Endpoint, Interface, NatGateway, NetworkAcl, Peering, PublicAddress, RouteTable, SecurityGroup,
    Subnet, TransitAttachment, TransitPeering, TransitRouteTable, Vpc,
};

/// An object that a snapshot holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is the object it is named after")]
pub enum Object {
    Vpc(Vpc),
    Subnet(Subnet),
    Interface(Interface),
    SecurityGroup(SecurityGroup),
    RouteTable(RouteTable),
    NetworkAcl(NetworkAcl),
    PublicAddress(PublicAddress),
    NatGateway(NatGateway),
    Peering(Peering),
    TransitAttachment(TransitAttachment),
    TransitPeering(TransitPeering),
    TransitRouteTable(TransitRouteTable),
    Endpoint(Endpoint),
}

impl Object {
    /// The object's identifier.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        match self {
            Object::Vpc(o) => o.id.into(),
            Object::Subnet(o) => o.id.into(),
            Object::Interface(o) => o.id.into(),
            Object::SecurityGroup(o) => o.id.into(),
            Object::RouteTable(o) => o.id.into(),
            Object::NetworkAcl(o) => o.id.into(),
            Object::PublicAddress(o) => o.allocation.into(),
            Object::NatGateway(o) => o.id.into(),
            Object::Peering(o) => o.id.into(),
            Object::TransitAttachment(o) => o.id.into(),
            Object::TransitPeering(o) => o.id.into(),
            Object::TransitRouteTable(o) => o.id.into(),
            Object::Endpoint(o) => o.id.into(),
        }
    }
}

impl Object {
    /// The step that takes it away.
    #[must_use]
    pub const fn removal(&self) -> Change {
        match self {
            Object::Vpc(o) => Change::RemoveVpc(o.id),
            Object::Subnet(o) => Change::RemoveSubnet(o.id),
            Object::Interface(o) => Change::RemoveInterface(o.id),
            Object::SecurityGroup(o) => Change::RemoveSecurityGroup(o.id),
            Object::RouteTable(o) => Change::RemoveRouteTable(o.id),
            Object::NetworkAcl(o) => Change::RemoveNetworkAcl(o.id),
            Object::PublicAddress(o) => Change::RemovePublicAddress(o.allocation),
            Object::NatGateway(o) => Change::RemoveNatGateway(o.id),
            Object::Peering(o) => Change::RemovePeering(o.id),
            Object::TransitAttachment(o) => Change::RemoveTransitAttachment(o.id),
            Object::TransitPeering(o) => Change::RemoveTransitAttachment(o.id),
            Object::TransitRouteTable(o) => Change::RemoveTransitRouteTable(o.id),
            Object::Endpoint(o) => Change::RemoveEndpoint(o.id),
        }
    }
}

/// One step: an object is there from now on, in this form, or is gone.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all changes are objects, and a box each would cost more than what the removals leave unused"
)]
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is the step it is named after")]
pub enum Change {
    Put(Object),
    RemoveVpc(VpcId),
    RemoveSubnet(SubnetId),
    RemoveInterface(InterfaceId),
    RemoveSecurityGroup(GroupId),
    RemoveRouteTable(RouteTableId),
    RemoveNetworkAcl(AclId),
    RemovePublicAddress(AllocationId),
    RemoveNatGateway(NatGatewayId),
    RemovePeering(PeeringConnectionId),
    RemoveTransitAttachment(TransitGatewayAttachmentId),
    RemoveTransitRouteTable(TransitGatewayRouteTableId),
    RemoveEndpoint(EndpointId),
}

impl Change {
    /// The object that changes.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        match self {
            Change::Put(object) => object.id(),
            Change::RemoveVpc(id) => (*id).into(),
            Change::RemoveSubnet(id) => (*id).into(),
            Change::RemoveInterface(id) => (*id).into(),
            Change::RemoveSecurityGroup(id) => (*id).into(),
            Change::RemoveRouteTable(id) => (*id).into(),
            Change::RemoveNetworkAcl(id) => (*id).into(),
            Change::RemovePublicAddress(id) => (*id).into(),
            Change::RemoveNatGateway(id) => (*id).into(),
            Change::RemovePeering(id) => (*id).into(),
            Change::RemoveTransitAttachment(id) => (*id).into(),
            Change::RemoveTransitRouteTable(id) => (*id).into(),
            Change::RemoveEndpoint(id) => (*id).into(),
        }
    }
}
