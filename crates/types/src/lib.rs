//! The words every other crate uses: identifiers, addresses, protocols, drop reasons.
//!
//! Contract: every wire number and identifier is a newtype with a checked constructor; kinds of identifiers
//! never mix. Nothing here knows a clock, a socket or a runtime.
//!
//! The kernel program uses this crate without its `std` feature: then only [`DropReason`], [`Mac`] and the
//! numbers in [`proto`] exist.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

mod drop_reason;
mod mac;
pub mod proto;

pub use drop_reason::DropReason;
pub use mac::Mac;

#[cfg(feature = "std")]
mod account;
#[cfg(feature = "std")]
mod cidr;
#[cfg(feature = "std")]
mod flow;
#[cfg(feature = "std")]
mod id;
#[cfg(feature = "std")]
mod vni;

#[cfg(feature = "std")]
pub use account::{AccountId, RegionName};
#[cfg(feature = "std")]
pub use cidr::Cidr;
#[cfg(feature = "std")]
pub use flow::{FlowTuple, PortRange};
#[cfg(feature = "std")]
pub use id::{
    AccessScopeAnalysisId, AccessScopeId, AclId, AddressAssociationId, AllocationId, AssociationId,
    AttachmentId, BlockPublicAccessExclusionId, CarrierGatewayId, CustomerGatewayId, DhcpOptionsId,
    EgressOnlyGatewayId, EndpointId, EndpointNotificationId, EndpointServiceId,
    EndpointServicePermissionId, FlowLogId, GatewayId, GroupId, GroupRuleId, HostId,
    InsightsAnalysisId, InsightsPathId, InstanceConnectEndpointId, InstanceId, InterfaceId,
    InterfacePermissionId, IpamAllocationId, IpamDiscoveryId, IpamId, IpamPoolCidrId, IpamPoolId,
    IpamScopeId, KeyPairId, LaunchTemplateId, MirrorFilterId, MirrorFilterRuleId, MirrorSessionId,
    MirrorTargetId, NatGatewayId, NetworkAclAssociationId, ObjectId, PeeringConnectionId,
    PlacementGroupId, PrefixListId, ProfileAssociationId, ReservationId, RouteTableId,
    SubnetCidrAssociationId, SubnetCidrReservationId, SubnetId, TransitGatewayAnnouncementId,
    TransitGatewayAttachmentId, TransitGatewayConnectPeerId, TransitGatewayId,
    TransitGatewayMulticastDomainId, TransitGatewayPolicyTableId, TransitGatewayRouteTableId,
    VpcCidrAssociationId, VpcId, VpnConnectionId, VpnGatewayId,
};
#[cfg(feature = "std")]
pub use vni::Vni;

/// A text that is not what it should be: which kind of thing was expected, and the text.
#[cfg(feature = "std")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What was expected, as a noun: `VPC id`, `CIDR block`.
    pub expected: &'static str,
    /// What stood there.
    pub found: String,
}

#[cfg(feature = "std")]
impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let article = if self.expected.starts_with(['a', 'e', 'i', 'o']) {
            "an"
        } else {
            "a"
        };
        write!(f, "`{}` is not {article} {}", self.found, self.expected)
    }
}

#[cfg(feature = "std")]
impl std::error::Error for ParseError {}
