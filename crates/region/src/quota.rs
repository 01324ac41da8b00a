//! How much an account may have, so that at the bound it suffers and never its neighbour.
//!
//! The numbers are EC2's defaults ("Amazon VPC quotas", "Amazon EC2 service quotas"); where one differs, its docstring
//! says so. `docs/limits.md` has the same table.

use std::sync::Arc;

use api::{ApiError, Value};
use types::{AccountId, RegionName};

use crate::account::{self, Account, AccountKey};
use crate::{Context, Executed, State, Tx};

/// A bound, and what a request that goes over it is told.
pub struct Quota {
    /// Its code in Service Quotas, by which it is adjusted: `L-F678F1CE`. Polder's own begin with `P-`.
    pub code: &'static str,
    /// Its name in Service Quotas: `VPCs per Region`.
    pub name: &'static str,
    /// The number of an account for which it was not adjusted.
    pub default: usize,
    error: &'static str,
    what: &'static str,
}

impl Quota {
    /// Whether an account may have another number than the default.
    #[must_use]
    pub fn is_adjustable(&self) -> bool {
        FIXED.iter().all(|fixed| fixed.code != self.code)
    }

    /// The client's largest number.
    pub(crate) fn max(&self, tx: &Tx, ctx: &Context<'_>) -> usize {
        let key = AccountKey {
            account: ctx.account,
            region: ctx.region.clone(),
        };
        let adjusted = tx
            .get::<Account>(&key)
            .and_then(|a| a.quotas.get(self.code));
        adjusted.copied().unwrap_or(self.default)
    }

    /// Checks a number that shall be.
    ///
    /// # Errors
    /// The quota's own code.
    pub(crate) fn check(&self, tx: &Tx, ctx: &Context<'_>, number: usize) -> Result<(), ApiError> {
        if number > self.max(tx, ctx) {
            return Err(self.exceeded());
        }
        Ok(())
    }

    /// Checks a number that shall be, of a quota that is not adjustable.
    ///
    /// # Errors
    /// The quota's own code.
    pub(crate) fn check_fixed(&self, number: usize) -> Result<(), ApiError> {
        debug_assert!(!self.is_adjustable(), "{} is adjustable", self.name);
        if number > self.default {
            return Err(self.exceeded());
        }
        Ok(())
    }

    /// Checks that there is room for one more beside those that are present.
    ///
    /// # Errors
    /// The quota's own code.
    pub(crate) fn one_more(
        &self,
        tx: &Tx,
        ctx: &Context<'_>,
        present: usize,
    ) -> Result<(), ApiError> {
        self.check(tx, ctx, present.saturating_add(1))
    }

    /// The error of a request that goes over it.
    pub(crate) fn exceeded(&self) -> ApiError {
        ApiError::new(
            self.error,
            format!("The maximum number of {} has been reached.", self.what),
        )
    }
}

/// The quotas that are the same for everybody.
const FIXED: &[&Quota] = &[
    &CONNECT_PEERS,
    &FLOW_LOGS,
    &MIRROR_SESSIONS_PER_INTERFACE,
    &MULTICAST_GROUP_MEMBERS,
    &MULTICAST_MEMBERS,
    &POLICY_ENTRIES,
    &TAGS,
    &TRANSIT_GATEWAYS_PER_VPC,
    &TRANSIT_GATEWAY_CIDRS,
];

/// The most that a quota is adjusted to.
pub const MAX_QUOTA: usize = 1_000_000;

/// Every quota with what it is for an account in a region.
#[must_use]
pub fn quotas(
    state: &State,
    account: AccountId,
    region: &RegionName,
) -> Vec<(&'static Quota, usize)> {
    let key = AccountKey {
        account,
        region: region.clone(),
    };
    let account = state.accounts.get(&key);
    let value = |quota: &Quota| {
        let adjusted = account.and_then(|account| account.quotas.get(quota.code));
        adjusted.copied().unwrap_or(quota.default)
    };
    QUOTAS.iter().map(|quota| (*quota, value(quota))).collect()
}

/// Adjusts a quota of the context's account and region, or gives it its default again. The account comes into being if
/// it was never used in the region. What is there already stays, also over a lower number.
///
/// # Errors
/// Those of Service Quotas: `NoSuchResourceException` for an unknown code, `IllegalArgumentException` for a quota that
/// is not adjustable and for a number over [`MAX_QUOTA`].
pub fn set_quota(
    state: &Arc<State>,
    ctx: &Context<'_>,
    code: &str,
    value: Option<usize>,
) -> Result<Executed, ApiError> {
    let quota = QUOTAS.iter().find(|quota| quota.code == code);
    let quota = quota.ok_or_else(|| {
        ApiError::new(
            "NoSuchResourceException",
            format!("there is no quota `{code}`"),
        )
    })?;
    let illegal = |message| Err(ApiError::new("IllegalArgumentException", message));
    if !quota.is_adjustable() {
        return illegal(format!("the quota `{code}` is not adjustable"));
    }
    if value.is_some_and(|value| value > MAX_QUOTA) {
        return illegal(format!("a quota is at most {MAX_QUOTA}"));
    }
    let mut tx = Tx::new(state);
    account::ensure(&mut tx, ctx)?;
    let key = AccountKey {
        account: ctx.account,
        region: ctx.region.clone(),
    };
    if let Some(mut account) = tx.get::<Account>(&key).cloned() {
        match value {
            Some(value) => account.quotas.insert(code.to_owned(), value),
            None => account.quotas.remove(code),
        };
        tx.put(account);
    }
    let (state, writes) = tx.finish();
    Ok(Executed {
        reply: Value::empty(),
        state,
        writes,
    })
}

macro_rules! quotas {
    ($( $(#[doc = $doc:literal])* $name:ident = $default:literal, $code:literal, $title:literal, $what:literal, $error:literal; )+) => {
        $(
            $(#[doc = $doc])*
            pub(crate) const $name: Quota = Quota {
                code: $code, name: $title, default: $default, error: $error, what: $what,
            };
        )+

        /// Every quota.
        pub const QUOTAS: &[&Quota] = &[$(&$name),+];
    };
}

// Number, code and name in Service Quotas, what the error says there are too many of, the error's code.
quotas! {
    /// Five with EC2, adjustable: a lab makes more.
    VPCS = 256, "L-F678F1CE", "VPCs per Region", "VPCs", "VpcLimitExceeded";
    CIDRS = 5, "L-83CA0A9D", "IPv4 CIDR blocks per VPC", "CIDR blocks", "CidrLimitExceeded";
    IPV6_CIDRS = 5, "L-085A6257", "IPv6 CIDR blocks per VPC", "IPv6 CIDR blocks", "CidrLimitExceeded";
    SUBNETS = 200, "L-407747CB", "Subnets per VPC", "subnets", "SubnetLimitExceeded";
    SUBNET_CIDR_RESERVATIONS = 50, "P-SUBNET-CIDR-RESERVATIONS", "CIDR reservations per subnet", "CIDR reservations", "SubnetCidrReservationLimitExceeded";
    DHCP_OPTIONS = 50, "P-DHCP-OPTIONS", "DHCP option sets per Region", "DHCP option sets", "DhcpOptionsLimitExceeded";
    /// EC2's is its quota of VPCs.
    INTERNET_GATEWAYS = 256, "L-A4707A72", "Internet gateways per Region", "internet gateways", "InternetGatewayLimitExceeded";
    ROUTE_TABLES = 200, "L-589F43AA", "Route tables per VPC", "route tables", "RouteTableLimitExceeded";
    ROUTES = 500, "L-93826ACB", "Routes per route table", "routes", "RouteLimitExceeded";
    NETWORK_ACLS = 200, "L-B4A6D682", "Network ACLs per VPC", "network ACLs", "NetworkAclLimitExceeded";
    NETWORK_ACL_ENTRIES = 20, "L-2AEEBF1A", "Rules per network ACL", "entries per network ACL", "NetworkAclEntryLimitExceeded";
    SECURITY_GROUPS = 2500, "L-E79EC296", "VPC security groups per Region", "security groups", "SecurityGroupLimitExceeded";
    RULES = 60, "L-0EA8095F", "Inbound or outbound rules per security group", "rules per security group", "RulesPerSecurityGroupLimitExceeded";
    GROUPS_PER_INTERFACE = 5, "L-2AFB9258", "Security groups per network interface", "security groups per interface", "SecurityGroupsPerInterfaceLimitExceeded";
    INTERFACES = 5000, "L-DF5E4CA3", "Network interfaces per Region", "network interfaces", "NetworkInterfaceLimitExceeded";
    /// What EC2's largest instance types have.
    PRIVATE_ADDRESSES = 50, "P-PRIVATE-ADDRESSES", "Private addresses per network interface", "private addresses", "PrivateIpAddressLimitExceeded";
    ADDRESSES = 5, "L-0263D0A3", "EC2-VPC Elastic IPs", "addresses", "AddressLimitExceeded";
    /// EC2 counts processors.
    INSTANCES = 1000, "P-INSTANCES", "Instances per Region", "instances that are not terminated", "InstanceLimitExceeded";
    HOSTED_ZONES = 500, "L-4EA4796A", "Hosted zones", "hosted zones", "TooManyHostedZones";
    RECORDS_PER_ZONE = 10000, "L-E209CC9F", "Records per hosted zone", "records", "InvalidChangeBatch";
    VPCS_PER_ZONE = 300, "P-VPCS-PER-ZONE", "VPCs per hosted zone", "VPCs of the hosted zone", "LimitsExceeded";
    ZONE_AUTHORIZATIONS = 1000, "P-ZONE-AUTHORIZATIONS", "VPC association authorizations per hosted zone", "authorizations of the hosted zone", "TooManyVPCAssociationAuthorizations";
    EGRESS_ONLY_GATEWAYS = 5, "L-45FE3B85", "Egress-only internet gateways per Region", "egress-only internet gateways", "EgressOnlyInternetGatewayLimitExceeded";
    CARRIER_GATEWAYS = 1, "P-CARRIER-GATEWAYS", "Carrier gateways per VPC", "carrier gateways per VPC", "CarrierGatewayLimitExceeded";
    ACTIVE_PEERINGS = 50, "L-7E9ECCDB", "Active VPC peering connections per VPC", "active VPC peering connections per VPC", "VpcPeeringConnectionsPerVpcLimitExceeded";
    PEERING_REQUESTS = 25, "L-DC9F7029", "Outstanding VPC peering connection requests", "outstanding VPC peering connection requests", "OutstandingVpcPeeringConnectionLimitExceeded";
    NAT_GATEWAYS = 5, "L-FE5A380F", "NAT gateways per Availability Zone", "NAT gateways per Availability Zone", "NatGatewayLimitExceeded";
    NAT_ELASTIC_ADDRESSES = 2, "P-NAT-ELASTIC-ADDRESSES", "Elastic IP addresses per public NAT gateway", "elastic IP addresses per NAT gateway", "NatGatewayElasticAddressLimitExceeded";
    NAT_PRIVATE_ADDRESSES = 8, "P-NAT-PRIVATE-ADDRESSES", "Private addresses per NAT gateway", "private addresses per NAT gateway", "NatGatewayPrivateAddressLimitExceeded";
    PREFIX_LISTS = 100, "P-PREFIX-LISTS", "Prefix lists per Region", "prefix lists", "PrefixListLimitExceeded";
    PREFIX_LIST_ENTRIES = 1000, "P-PREFIX-LIST-ENTRIES", "Entries per prefix list", "entries per prefix list", "PrefixListMaxEntriesExceeded";
    /// At the bound the oldest version is forgotten.
    PREFIX_LIST_VERSIONS = 1000, "P-PREFIX-LIST-VERSIONS", "Versions per prefix list", "versions per prefix list", "PrefixListVersionLimitExceeded";
    CUSTOMER_GATEWAYS = 50, "L-4FB7FF5D", "Customer gateways per Region", "customer gateways", "CustomerGatewayLimitExceeded";
    VPN_CONNECTIONS = 50, "L-3E6EC3A3", "Site-to-Site VPN connections per Region", "VPN connections", "VpnConnectionLimitExceeded";
    VPN_CONNECTIONS_PER_GATEWAY = 10, "L-B91E5754", "Site-to-Site VPN connections per virtual private gateway", "VPN connections per virtual private gateway", "VpnConnectionLimitExceeded";
    VPN_ROUTES = 100, "P-VPN-ROUTES", "Static routes per VPN connection", "static routes per VPN connection", "RouteLimitExceeded";
    INSIGHTS_PATHS = 100, "P-INSIGHTS-PATHS", "Network Insights paths per Region", "network insights paths", "NetworkInsightsPathLimitExceeded";
    INSIGHTS_ANALYSES = 1000, "P-INSIGHTS-ANALYSES", "Network Insights analyses per Region", "network insights analyses", "NetworkInsightsAnalysisLimitExceeded";
    SCOPE_ANALYSES = 1000, "P-SCOPE-ANALYSES", "Network Access Scope analyses per Region", "network insights access scope analyses", "NetworkInsightsAccessScopeAnalysisLimitExceeded";
    ACCESS_SCOPES = 1000, "P-ACCESS-SCOPES", "Network Access Scopes per Region", "network insights access scopes", "NetworkInsightsAccessScopeLimitExceeded";
    CONNECT_ENDPOINTS = 5, "P-CONNECT-ENDPOINTS", "EC2 Instance Connect Endpoints per Region", "instance connect endpoints", "InstanceConnectEndpointLimitExceeded";
    VPN_GATEWAYS = 5, "L-7029FAB6", "Virtual private gateways per Region", "virtual private gateways", "VpnGatewayLimitExceeded";
    GATEWAY_ENDPOINTS = 20, "L-1B52E74A", "Gateway VPC endpoints per Region", "gateway VPC endpoints", "VpcEndpointLimitExceeded";
    INTERFACE_ENDPOINTS = 50, "L-29B6F2EB", "Interface VPC endpoints per VPC", "interface VPC endpoints per VPC", "VpcEndpointLimitExceeded";
    ENDPOINT_NOTIFICATIONS = 1000, "P-ENDPOINT-NOTIFICATIONS", "VPC endpoint connection notifications per Region", "connection notifications", "ConnectionNotificationLimitExceeded";
    ENDPOINT_SERVICES = 1000, "P-ENDPOINT-SERVICES", "VPC endpoint services per Region", "VPC endpoint services", "VpcEndpointServiceLimitExceeded";
    FLOW_LOGS = 2, "P-FLOW-LOGS", "Flow logs per network interface, subnet or VPC", "flow logs per resource", "FlowLogsLimitExceeded";
    IPAMS = 1, "P-IPAMS", "IPAMs per Region", "IPAMs", "IpamLimitExceeded";
    IPAM_SCOPES = 5, "P-IPAM-SCOPES", "Scopes per IPAM", "scopes per IPAM", "IpamScopeLimitExceeded";
    IPAM_POOLS = 50, "P-IPAM-POOLS", "Pools per IPAM scope", "pools per IPAM scope", "IpamPoolLimitExceeded";
    IPAM_POOL_CIDRS = 50, "P-IPAM-POOL-CIDRS", "CIDRs per IPAM pool", "CIDRs per IPAM pool", "IpamPoolCidrLimitExceeded";
    /// EC2 has no such bound.
    IPAM_ALLOCATIONS = 10_000, "P-IPAM-ALLOCATIONS", "Allocations per IPAM pool", "allocations per IPAM pool", "IpamPoolAllocationLimitExceeded";
    LAUNCH_TEMPLATES = 5000, "P-LAUNCH-TEMPLATES", "Launch templates per Region", "launch templates", "LaunchTemplateLimitExceeded";
    /// EC2's is 10,000.
    LAUNCH_TEMPLATE_VERSIONS = 200, "P-LAUNCH-TEMPLATE-VERSIONS", "Versions per launch template", "versions per launch template", "LaunchTemplateVersionLimitExceeded";
    MIRROR_FILTERS = 10_000, "P-MIRROR-FILTERS", "Traffic mirror filters per Region", "traffic mirror filters", "TrafficMirrorFilterLimitExceeded";
    MIRROR_RULES = 10, "P-MIRROR-RULES", "Rules per traffic mirror filter", "rules per traffic mirror filter", "TrafficMirrorFilterRuleLimitExceeded";
    MIRROR_SESSIONS = 10_000, "P-MIRROR-SESSIONS", "Traffic mirror sessions per Region", "traffic mirror sessions", "TrafficMirrorSessionLimitExceeded";
    MIRROR_SESSIONS_PER_INTERFACE = 3, "P-MIRROR-SESSIONS-PER-INTERFACE", "Traffic mirror sessions per network interface", "traffic mirror sessions per network interface", "TrafficMirrorSessionsPerInterfaceLimitExceeded";
    MIRROR_TARGETS = 10_000, "P-MIRROR-TARGETS", "Traffic mirror targets per Region", "traffic mirror targets", "TrafficMirrorTargetLimitExceeded";
    PUBLIC_ACCESS_EXCLUSIONS = 50, "P-PUBLIC-ACCESS-EXCLUSIONS", "VPC BPA exclusions per Region", "VPC Block Public Access exclusions", "VpcBlockPublicAccessExclusionLimitExceeded";
    TRANSIT_GATEWAYS = 5, "L-A2478D36", "Transit gateways per account", "transit gateways", "TransitGatewayLimitExceeded";
    TRANSIT_GATEWAY_CIDRS = 5, "P-TGW-CIDRS", "CIDR blocks per transit gateway", "CIDR blocks per transit gateway", "TransitGatewayCidrBlockLimitExceeded";
    TRANSIT_GATEWAY_ROUTE_TABLES = 20, "L-43872EB7", "Transit gateway route tables per transit gateway", "route tables per transit gateway", "TransitGatewayRouteTableLimitExceeded";
    TRANSIT_GATEWAY_ROUTES = 10000, "L-BCC1FB47", "Routes per transit gateway", "routes per transit gateway", "TransitGatewayRouteLimitExceeded";
    TRANSIT_GATEWAY_ATTACHMENTS = 5000, "L-E0233F82", "Attachments per transit gateway", "attachments per transit gateway", "TransitGatewayAttachmentLimitExceeded";
    TRANSIT_GATEWAY_PEERINGS = 50, "L-A1B5A36F", "Peering attachments per transit gateway", "peering attachments per transit gateway", "TransitGatewayAttachmentLimitExceeded";
    TRANSIT_GATEWAY_PENDING_PEERINGS = 10, "L-62499967", "Pending peering attachments per transit gateway", "pending peering attachments per transit gateway", "TransitGatewayAttachmentLimitExceeded";
    CONNECT_PEERS = 4, "P-TGW-CONNECT-PEERS", "Connect peers (GRE tunnels) per Connect attachment", "peers per Connect attachment", "TransitGatewayConnectPeerLimitExceeded";
    MULTICAST_DOMAINS = 20, "P-TGW-MULTICAST-DOMAINS", "Multicast domains per transit gateway", "multicast domains per transit gateway", "TransitGatewayMulticastDomainLimitExceeded";
    MULTICAST_MEMBERS = 10000, "P-TGW-MULTICAST-MEMBERS", "Multicast group members and sources per transit gateway", "multicast group members and sources per transit gateway", "TransitGatewayMulticastGroupLimitExceeded";
    MULTICAST_GROUP_MEMBERS = 100, "P-TGW-MULTICAST-GROUP", "Members per transit gateway multicast group", "members per multicast group", "TransitGatewayMulticastGroupLimitExceeded";
    POLICY_TABLES = 20, "P-TGW-POLICY-TABLES", "Policy tables per transit gateway", "policy tables per transit gateway", "TransitGatewayPolicyTableLimitExceeded";
    POLICY_ENTRIES = 100, "P-TGW-POLICY-ENTRIES", "Entries per transit gateway policy table", "entries per policy table", "TransitGatewayPolicyTableEntryLimitExceeded";
    TRANSIT_GATEWAYS_PER_VPC = 5, "P-TGW-PER-VPC", "Transit gateways per VPC", "transit gateways per VPC", "TransitGatewayAttachmentLimitExceeded";
    /// EC2's is not in Service Quotas.
    KEY_PAIRS = 5000, "P-KEY-PAIRS", "Key pairs per Region", "key pairs", "KeyPairLimitExceeded";
    PLACEMENT_GROUPS = 500, "P-PLACEMENT-GROUPS", "Placement groups per Region", "placement groups", "PlacementGroupLimitExceeded";
    TAGS = 50, "P-TAGS", "Tags per resource", "tags", "TagLimitExceeded";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, text};

    #[test]
    fn the_documentation_has_them() {
        let page = include_str!("../../../docs/limits.md");
        for quota in QUOTAS {
            let row = format!(
                "| {} | `{}` | {} | `{}` |",
                quota.name, quota.code, quota.default, quota.error
            );
            assert!(page.contains(&row), "docs/limits.md has no row {row}");
        }
    }

    #[test]
    fn an_account_has_another_number() {
        let mut world = World::new();
        let set = |world: &mut World, code: &str, value| {
            let done = world.with(|state, ctx| set_quota(state, ctx, code, value));
            done.map(|done| world.state = done.state)
                .map_err(|error| error.code.into_owned())
        };
        let number = |world: &World, of: &Quota| {
            let region = "us-east-1".parse().unwrap();
            let all = quotas(&world.state, world.account, &region);
            assert_eq!(all.len(), QUOTAS.len());
            all.into_iter().find(|(quota, _)| quota.code == of.code)
        };
        let code = INTERNET_GATEWAYS.code;
        assert_eq!(set(&mut world, code, Some(1)), Ok(()));
        assert_eq!(number(&world, &INTERNET_GATEWAYS).unwrap().1, 1);
        // One came with the default VPC.
        let full = world.err("CreateInternetGateway", json!({}));
        assert_eq!(full, INTERNET_GATEWAYS.error);
        assert_eq!(set(&mut world, code, Some(2)), Ok(()));
        world.ok("CreateInternetGateway", json!({}));
        assert_eq!(set(&mut world, code, None), Ok(()));
        world.ok("CreateInternetGateway", json!({}));
        let usual = number(&world, &INTERNET_GATEWAYS).unwrap().1;
        assert_eq!(usual, INTERNET_GATEWAYS.default);
        for (code, value, error) in [
            ("L-0", Some(1), "NoSuchResourceException"),
            (TAGS.code, Some(51), "IllegalArgumentException"),
            (VPCS.code, Some(MAX_QUOTA + 1), "IllegalArgumentException"),
        ] {
            let refused = set(&mut world, code, value);
            assert_eq!(refused, Err(error.to_owned()), "{code}");
        }
        // Elsewhere nothing changed.
        set(&mut world, code, Some(1)).unwrap();
        world.region = "eu-west-1";
        world.ok("CreateInternetGateway", json!({}));
    }

    #[test]
    fn at_the_bound_the_account_suffers_alone() {
        let mut world = World::new();
        let neighbour = crate::testing::account("444455556666");
        for (action, request, quota) in [
            ("CreateInternetGateway", json!({}), INTERNET_GATEWAYS),
            ("AllocateAddress", json!({}), ADDRESSES),
        ] {
            let first = world.account;
            let code = (0..=quota.default)
                .find_map(|_| world.call(action, &request).err())
                .unwrap()
                .code;
            assert_eq!(code, quota.error);
            world.account = neighbour;
            world.ok(action, request.clone());
            world.account = first;
        }
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&vpc, "Vpc.VpcId");
        for _ in 1..ROUTE_TABLES.default {
            world.ok("CreateRouteTable", json!({"VpcId": vpc}));
        }
        let code = world.err("CreateRouteTable", json!({"VpcId": vpc}));
        assert_eq!(code, ROUTE_TABLES.error);
    }
}
