//! Steps from one snapshot to the next.

use types::{AclId, AllocationId, GroupId, InterfaceId, ObjectId, RouteTableId, SubnetId, VpcId};

use crate::{Interface, NetworkAcl, PublicAddress, RouteTable, SecurityGroup, Subnet, Vpc};

/// An object that a snapshot holds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each variant is the object it is named after")]
pub enum Object {
    Vpc(Vpc),
    Subnet(Subnet),
    Interface(Interface),
    SecurityGroup(SecurityGroup),
    RouteTable(RouteTable),
    NetworkAcl(NetworkAcl),
    PublicAddress(PublicAddress),
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
        }
    }
}

/// One step: an object is there from now on, in this form, or is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
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
        }
    }
}
