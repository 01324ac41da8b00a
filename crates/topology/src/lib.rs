//! Immutable snapshots of virtual networks: everything that a walk may look at, and nothing else.
//!
//! Contract: a [`Snapshot`] never changes; [`Snapshot::apply`] makes the next one and shares what did not change.
//! Objects refer to each other by identifier; a reference to a missing object is possible (changes of several
//! objects may arrive apart) and means *deny*, never a panic.
//!
//! Limitations: one snapshot holds whole VPCs. A change copies the maps of its VPC, not those of others.
#![forbid(unsafe_code)]

mod change;
mod lpm;
mod objects;
mod snapshot;
#[cfg(any(test, feature = "text"))]
pub mod text;

pub use change::{Change, Object};
pub use objects::{
    AclEntry, DhcpOptions, Dns, Endpoint, IcmpMatch, IdleTimes, Interface, NameServer, NatGateway,
    NetworkAcl, Peer, Peering, ProtocolMatch, PublicAccess, PublicAddress, Route, RouteTable, Rule,
    SecurityGroup, Subnet, Target, TransitAttachment, TransitPeering, TransitRoute,
    TransitRouteTable, Uplink, UplinkSide, Vpc,
};
pub use snapshot::{Snapshot, VpcView};
