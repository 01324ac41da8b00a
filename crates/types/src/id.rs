//! Resource identifiers in EC2's form: a prefix, a hyphen, and 17 hexadecimal digits.

use crate::ParseError;

/// Serde through `Display` and `FromStr`, so that stored and wire forms are the text people know.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text =
                    <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// 17 hexadecimal digits hold 68 bits.
const MASK: u128 = (1 << 68) - 1;

fn digits(text: &str, prefix: &str) -> Option<u128> {
    let rest = text.strip_prefix(prefix)?.strip_prefix('-')?;
    let plain = rest
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (rest.len() == 17 && plain)
        .then(|| u128::from_str_radix(rest, 16).ok())
        .flatten()
}

macro_rules! ids {
    ($( $(#[doc = $doc:literal])+ $name:ident = $prefix:literal, $noun:literal; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(u128);

            impl $name {
                /// What stands before the hyphen.
                pub const PREFIX: &'static str = $prefix;

                /// An identifier from random bits; those over 68 are ignored.
                #[must_use]
                pub const fn from_bits(bits: u128) -> $name { $name(bits & MASK) }

                /// The 68 bits that the text spells.
                #[must_use]
                pub const fn bits(self) -> u128 { self.0 }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.pad(&format!(concat!($prefix, "-{:017x}"), self.0))
                }
            }

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    std::fmt::Display::fmt(self, f)
                }
            }

            impl std::str::FromStr for $name {
                type Err = ParseError;

                fn from_str(text: &str) -> Result<$name, ParseError> {
                    digits(text, $prefix)
                        .map($name)
                        .ok_or_else(|| ParseError { expected: $noun, found: text.to_owned() })
                }
            }

            serde_as_text!($name);

            impl From<$name> for ObjectId {
                fn from(id: $name) -> ObjectId { ObjectId::$name(id) }
            }
        )+

        /// The identifier of any kind of resource: what a trace names.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is the kind it is named after")]
        pub enum ObjectId { $($name($name)),+ }

        impl std::fmt::Display for ObjectId {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $(ObjectId::$name(id) => std::fmt::Display::fmt(id, f)),+ }
            }
        }

        impl std::fmt::Debug for ObjectId {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for ObjectId {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<ObjectId, ParseError> {
                $( if let Ok(id) = text.parse::<$name>() { return Ok(ObjectId::$name(id)); } )+
                Err(ParseError { expected: "resource id", found: text.to_owned() })
            }
        }

        serde_as_text!(ObjectId);
    };
}

ids! {
    /// A VPC.
    VpcId = "vpc", "VPC id";
    /// A subnet.
    SubnetId = "subnet", "subnet id";
    /// An elastic network interface.
    InterfaceId = "eni", "network interface id";
    /// A security group.
    GroupId = "sg", "security group id";
    /// A rule of a security group.
    GroupRuleId = "sgr", "security group rule id";
    /// A route table.
    RouteTableId = "rtb", "route table id";
    /// An association of a route table with a subnet.
    AssociationId = "rtbassoc", "route table association id";
    /// An internet gateway.
    GatewayId = "igw", "internet gateway id";
    /// A network ACL.
    AclId = "acl", "network ACL id";
    /// A set of DHCP options.
    DhcpOptionsId = "dopt", "DHCP options id";
    /// An elastic IP address.
    AllocationId = "eipalloc", "allocation id";
    /// An association of an elastic IP address with an interface.
    AddressAssociationId = "eipassoc", "address association id";
    /// An attachment of an interface to an instance.
    AttachmentId = "eni-attach", "attachment id";
    /// A host that runs instances: the operator's, no resource of EC2.
    HostId = "host", "host id";
    /// An instance.
    InstanceId = "i", "instance id";
    /// An association of an IAM instance profile with an instance.
    ProfileAssociationId = "iip-assoc", "instance profile association id";
    /// A reservation: what one `RunInstances` made.
    ReservationId = "r", "reservation id";
    /// An association of a CIDR block with a VPC.
    VpcCidrAssociationId = "vpc-cidr-assoc", "VPC CIDR association id";
    /// An association of an IPv6 CIDR block with a subnet.
    SubnetCidrAssociationId = "subnet-cidr-assoc", "subnet CIDR association id";
    /// A range of a subnet's addresses that is set aside.
    SubnetCidrReservationId = "scr", "subnet CIDR reservation id";
    /// A permission to attach another account's interface.
    InterfacePermissionId = "eni-perm", "network interface permission id";
    /// A managed prefix list.
    PrefixListId = "pl", "prefix list id";
    /// A NAT gateway.
    NatGatewayId = "nat", "NAT gateway id";
    /// An egress-only internet gateway.
    EgressOnlyGatewayId = "eigw", "egress-only internet gateway id";
    /// A carrier gateway.
    CarrierGatewayId = "cagw", "carrier gateway id";
    /// A VPC peering connection.
    PeeringConnectionId = "pcx", "VPC peering connection id";
    /// A VPC endpoint.
    EndpointId = "vpce", "VPC endpoint id";
    /// A VPC endpoint service.
    EndpointServiceId = "vpce-svc", "VPC endpoint service id";
    /// A permission to use an endpoint service.
    EndpointServicePermissionId = "vpce-svc-perm", "endpoint service permission id";
    /// A notification about connections of endpoints.
    EndpointNotificationId = "vpce-nfn", "connection notification id";
    /// A flow log.
    FlowLogId = "fl", "flow log id";
    /// A traffic mirror filter.
    MirrorFilterId = "tmf", "traffic mirror filter id";
    /// A rule of a traffic mirror filter.
    MirrorFilterRuleId = "tmfr", "traffic mirror filter rule id";
    /// A traffic mirror session.
    MirrorSessionId = "tms", "traffic mirror session id";
    /// A traffic mirror target.
    MirrorTargetId = "tmt", "traffic mirror target id";
    /// A path that Network Insights analyses.
    InsightsPathId = "nip", "network insights path id";
    /// An analysis of a path.
    InsightsAnalysisId = "nia", "network insights analysis id";
    /// An access scope of Network Insights.
    AccessScopeId = "nis", "network insights access scope id";
    /// An analysis of an access scope.
    AccessScopeAnalysisId = "nisa", "network insights access scope analysis id";
    /// A transit gateway.
    TransitGatewayId = "tgw", "transit gateway id";
    /// An attachment to a transit gateway, of whatever kind.
    TransitGatewayAttachmentId = "tgw-attach", "transit gateway attachment id";
    /// A transit gateway's route table.
    TransitGatewayRouteTableId = "tgw-rtb", "transit gateway route table id";
    /// A transit gateway's multicast domain.
    TransitGatewayMulticastDomainId = "tgw-mcast-domain", "transit gateway multicast domain id";
    /// A transit gateway's policy table.
    TransitGatewayPolicyTableId = "tgw-ptb", "transit gateway policy table id";
    /// A GRE peer of a transit gateway's connect attachment.
    TransitGatewayConnectPeerId = "tgw-connect-peer", "transit gateway connect peer id";
    /// An announcement of a transit gateway's route table.
    TransitGatewayAnnouncementId = "tgw-rtb-announce", "transit gateway route table announcement id";
    /// A customer gateway.
    CustomerGatewayId = "cgw", "customer gateway id";
    /// A virtual private gateway.
    VpnGatewayId = "vgw", "VPN gateway id";
    /// A site-to-site VPN connection.
    VpnConnectionId = "vpn", "VPN connection id";
    /// A placement group.
    PlacementGroupId = "pg", "placement group id";
    /// A launch template.
    LaunchTemplateId = "lt", "launch template id";
    /// A key pair.
    KeyPairId = "key", "key pair id";
    /// An exclusion from blocked public access.
    BlockPublicAccessExclusionId = "vpcbpa-exclude", "VPC block public access exclusion id";
    /// An IP address manager.
    IpamId = "ipam", "IPAM id";
    /// A scope of an IPAM.
    IpamScopeId = "ipam-scope", "IPAM scope id";
    /// A pool of an IPAM.
    IpamPoolId = "ipam-pool", "IPAM pool id";
    /// A CIDR block of an IPAM pool.
    IpamPoolCidrId = "ipam-pool-cidr", "IPAM pool CIDR id";
    /// An allocation from an IPAM pool.
    IpamAllocationId = "ipam-pool-alloc", "IPAM pool allocation id";
    /// A resource discovery of an IPAM.
    IpamDiscoveryId = "ipam-res-disco", "IPAM resource discovery id";
    /// An EC2 Instance Connect endpoint.
    InstanceConnectEndpointId = "eice", "instance connect endpoint id";
    /// An association of a network ACL with a subnet.
    NetworkAclAssociationId = "aclassoc", "network ACL association id";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip_and_strictness() {
        let id = VpcId::from_bits(u128::MAX);
        assert_eq!(id.to_string(), "vpc-fffffffffffffffff");
        assert_eq!(id.to_string().parse::<VpcId>(), Ok(id));
        assert_eq!(VpcId::from_bits(0x2a).to_string(), "vpc-0000000000000002a");
        for bad in [
            "",
            "vpc",
            "vpc-",
            "vpc-1",
            "subnet-0000000000000002a",
            "vpc-0000000000000002A",
            "vpc-+000000000000002a",
        ] {
            assert!(bad.parse::<VpcId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn object_ids_find_their_kind() {
        for text in [
            "i-0000000000000002a",
            "eni-0000000000000002a",
            "eni-attach-0000000000000002a",
            "eipalloc-0000000000000002a",
            "eipassoc-0000000000000002a",
            "sgr-0000000000000002a",
        ] {
            assert_eq!(text.parse::<ObjectId>().unwrap().to_string(), text);
        }
        assert!("x-0000000000000002a".parse::<ObjectId>().is_err());
    }
}
