//! The state of every region and account: one ordered, persistent table for each kind of record.

use std::sync::Arc;

use types::ObjectId;

use crate::table::{Key, Record, Table};

/// A stored record that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("stored {kind} `{id}` cannot be read: {why}")]
pub struct Unreadable {
    kind: String,
    id: String,
    why: String,
}

macro_rules! tables {
    ($( $(#[doc = $doc:literal])+ $field:ident : $record:path, $id:path, $kind:literal; )+) => {
        /// Everything that is stored, of all regions and accounts.
        #[derive(Clone, Default)]
        pub struct State {
            $( $(#[doc = $doc])+ pub $field: Table<$record>, )+
        }

        /// Records on their way into a state, as fast as they can be read: those of one store, or a part of them.
        #[derive(Default)]
        pub struct Loading {
            $( $field: Vec<Arc<$record>>, )+
        }

        impl Loading {
            /// Takes a record as the store has it.
            ///
            /// # Errors
            /// [`Unreadable`] if the kind is unknown, or the id or the body is not of this kind.
            pub fn take(&mut self, kind: &str, id: &str, body: &[u8]) -> Result<(), Unreadable> {
                match kind {
                    $( $kind => self.$field.push(Arc::new(read(id, body)?)), )+
                    _ => return Err(unknown(kind, id)),
                }
                Ok(())
            }

            /// Takes what another part has.
            pub fn join(&mut self, mut other: Loading) {
                $( self.$field.append(&mut other.$field); )+
            }

            /// The state that has all of it.
            #[must_use]
            pub fn state(self) -> State {
                State { $( $field: Table::of_all(self.$field), )+ }
            }
        }

        $(
            impl Record for $record {
                const KIND: &'static str = $kind;
                type Id = $id;

                fn id(&self) -> $id { self.id.clone() }
                fn table(state: &State) -> &Table<$record> { &state.$field }
                fn table_mut(state: &mut State) -> &mut Table<$record> { &mut state.$field }
            }
        )+

        impl State {
            /// Takes a change as the store has it: `body` is the record's JSON, or `None` if it was deleted.
            ///
            /// # Errors
            /// [`Unreadable`] if the kind is unknown, or the id or the body is not of this kind.
            pub fn load(&mut self, kind: &str, id: &str, body: Option<&[u8]>) -> Result<(), Unreadable> {
                match kind {
                    $( $kind => load_into::<$record>(self, id, body), )+
                    _ => Err(unknown(kind, id)),
                }
            }

            /// What refers to a resource: kind and id of each record, by kind.
            pub fn referrers(&self, id: impl Into<ObjectId>) -> Vec<(&'static str, String)> {
                let key = Key::Of(id.into());
                let mut found = Vec::new();
                $( found.extend(self.$field.by(key.clone()).map(|record| ($kind, record.id().to_string()))); )+
                found
            }

            /// Every record: kind, id and keys.
            #[cfg(test)]
            pub(crate) fn visit(&self, visit: &mut dyn FnMut(&'static str, String, Vec<Key>)) {
                $( for record in self.$field.values() {
                    visit($kind, record.id().to_string(), crate::table::keys_of(record));
                } )+
            }

            /// Every record as the store has it, by kind and id.
            #[cfg(test)]
            pub(crate) fn bodies(&self) -> std::collections::BTreeMap<(&'static str, String), String> {
                let mut bodies = std::collections::BTreeMap::new();
                $( for record in self.$field.values() {
                    let body = serde_json::to_string(record).unwrap();
                    bodies.insert(($kind, record.id().to_string()), body);
                } )+
                bodies
            }

            /// Fails unless every table's index is as one that is built from scratch.
            #[cfg(test)]
            pub(crate) fn check_indices(&self) {
                $( assert!(self.$field.is_indexed(), $kind); )+
            }
        }
    };
}

fn load_into<R: Record>(
    state: &mut State,
    id: &str,
    body: Option<&[u8]>,
) -> Result<(), Unreadable> {
    match body {
        None => {
            let key = read_id::<R>(id)?;
            R::table_mut(state).remove(&key);
        }
        Some(body) => {
            let record = read::<R>(id, body)?;
            R::table_mut(state).put(record);
        }
    }
    Ok(())
}

fn unreadable<R: Record>(id: &str, why: String) -> Unreadable {
    Unreadable {
        kind: R::KIND.to_owned(),
        id: id.to_owned(),
        why,
    }
}

fn unknown(kind: &str, id: &str) -> Unreadable {
    Unreadable {
        kind: kind.to_owned(),
        id: id.to_owned(),
        why: "unknown kind".to_owned(),
    }
}

fn read_id<R: Record>(id: &str) -> Result<R::Id, Unreadable> {
    id.parse()
        .map_err(|_| unreadable::<R>(id, "the key is malformed".to_owned()))
}

fn read<R: Record>(id: &str, body: &[u8]) -> Result<R, Unreadable> {
    let key = read_id::<R>(id)?;
    let record: R = serde_json::from_slice(body).map_err(|e| unreadable::<R>(id, e.to_string()))?;
    if record.id() != key {
        return Err(unreadable::<R>(
            id,
            "the key is another record's".to_owned(),
        ));
    }
    Ok(record)
}

tables! {
    /// Accounts that were used in a region, by `account/region`.
    accounts: crate::account::Account, crate::account::AccountKey, "account";
    /// VPCs.
    vpcs: crate::vpc::Vpc, types::VpcId, "vpc";
    /// Sets of DHCP options.
    dhcp_options: crate::dhcp_options::DhcpOptions, types::DhcpOptionsId, "dhcp-options";
    /// Ranges of subnets that are set aside.
    subnet_cidr_reservations: crate::subnet_cidr_reservation::SubnetCidrReservation, types::SubnetCidrReservationId, "subnet-cidr-reservation";
    /// Subnets.
    subnets: crate::subnet::Subnet, types::SubnetId, "subnet";
    /// Route tables with their routes and associations.
    route_tables: crate::route_table::RouteTable, types::RouteTableId, "route-table";
    /// Internet gateways.
    internet_gateways: crate::internet_gateway::InternetGateway, types::GatewayId, "internet-gateway";
    /// Carrier gateways.
    carrier_gateways: crate::carrier_gateway::CarrierGateway, types::CarrierGatewayId, "carrier-gateway";
    /// Egress-only internet gateways.
    egress_only_gateways: crate::egress_only_gateway::EgressOnlyGateway, types::EgressOnlyGatewayId, "egress-only-internet-gateway";
    /// VPC peering connections.
    peering_connections: crate::peering::PeeringConnection, types::PeeringConnectionId, "vpc-peering-connection";
    /// NAT gateways.
    nat_gateways: crate::nat_gateway::NatGateway, types::NatGatewayId, "nat-gateway";
    /// Managed prefix lists with their versions.
    prefix_lists: crate::prefix_list::PrefixList, types::PrefixListId, "prefix-list";
    /// Network ACLs.
    network_acls: crate::network_acl::NetworkAcl, types::AclId, "network-acl";
    /// Security groups with their rules.
    security_groups: crate::security_group::SecurityGroup, types::GroupId, "security-group";
    /// Network interfaces.
    interfaces: crate::network_interface::NetworkInterface, types::InterfaceId, "network-interface";
    /// Permissions to attach interfaces.
    interface_permissions: crate::network_interface_permission::InterfacePermission, types::InterfacePermissionId, "network-interface-permission";
    /// Elastic IP addresses.
    addresses: crate::address::Address, types::AllocationId, "address";
    /// Transfers of elastic IP addresses to other accounts.
    address_transfers: crate::address_transfer::AddressTransfer, types::AllocationId, "address-transfer";
    /// Exclusions from block public access.
    public_access_exclusions: crate::public_access_exclusion::PublicAccessExclusion, types::BlockPublicAccessExclusionId, "vpc-block-public-access-exclusion";
    /// Hosts.
    hosts: crate::host::Host, types::HostId, "host";
    /// Permissions to join, by the hash of their secret.
    join_tokens: crate::host::JoinToken, String, "join-token";
    /// Route 53's private hosted zones.
    hosted_zones: crate::hosted_zone::HostedZone, crate::hosted_zone::HostedZoneId, "hosted-zone";
    /// Their record sets.
    record_sets: crate::record_set::RecordSet, crate::record_set::RecordKey, "record-set";
    /// Customer gateways.
    customer_gateways: crate::vpn::customer_gateway::CustomerGateway, types::CustomerGatewayId, "customer-gateway";
    /// VPC endpoints.
    endpoints: crate::endpoint::Endpoint, types::EndpointId, "vpc-endpoint";
    /// Notifications about VPC endpoints.
    endpoint_notifications: crate::endpoint::notification::EndpointNotification, types::EndpointNotificationId, "vpc-endpoint-notification";
    /// VPC endpoint services.
    endpoint_services: crate::endpoint::service::EndpointService, types::EndpointServiceId, "vpc-endpoint-service";
    /// Flow logs.
    flow_logs: crate::flow_log::FlowLog, types::FlowLogId, "flow-log";
    /// Network Insights' paths.
    insights_paths: crate::insights::path::InsightsPath, types::InsightsPathId, "network-insights-path";
    /// Network Insights' analyses of paths.
    insights_analyses: crate::insights::analysis::InsightsAnalysis, types::InsightsAnalysisId, "network-insights-analysis";
    /// Network Insights' analyses of access scopes.
    scope_analyses: crate::insights::scope_analysis::ScopeAnalysis, types::AccessScopeAnalysisId, "network-insights-access-scope-analysis";
    /// Network Insights' access scopes.
    access_scopes: crate::insights::scope::AccessScope, types::AccessScopeId, "network-insights-access-scope";
    /// EC2 Instance Connect endpoints.
    instance_connect_endpoints: crate::instance_connect::InstanceConnectEndpoint, types::InstanceConnectEndpointId, "instance-connect-endpoint";
    /// IP address managers.
    ipams: crate::ipam::Ipam, types::IpamId, "ipam";
    /// What pools of IP address managers have handed out.
    ipam_allocations: crate::ipam::IpamAllocation, types::IpamAllocationId, "ipam-pool-allocation";
    /// Pools of IP address managers.
    ipam_pools: crate::ipam::IpamPool, types::IpamPoolId, "ipam-pool";
    /// Scopes of IP address managers.
    ipam_scopes: crate::ipam::IpamScope, types::IpamScopeId, "ipam-scope";
    /// Launch templates with their versions.
    launch_templates: crate::launch_template::LaunchTemplate, types::LaunchTemplateId, "launch-template";
    /// Traffic mirror filters.
    mirror_filters: crate::mirror::filter::MirrorFilter, types::MirrorFilterId, "traffic-mirror-filter";
    /// Rules of traffic mirror filters.
    mirror_rules: crate::mirror::rule::MirrorFilterRule, types::MirrorFilterRuleId, "traffic-mirror-filter-rule";
    /// Traffic mirror sessions.
    mirror_sessions: crate::mirror::session::MirrorSession, types::MirrorSessionId, "traffic-mirror-session";
    /// Traffic mirror targets.
    mirror_targets: crate::mirror::target::MirrorTarget, types::MirrorTargetId, "traffic-mirror-target";
    /// VPN connections.
    vpn_connections: crate::vpn::connection::VpnConnection, types::VpnConnectionId, "vpn-connection";
    /// Virtual private gateways.
    vpn_gateways: crate::vpn::gateway::VpnGateway, types::VpnGatewayId, "vpn-gateway";
    /// Instances.
    instances: crate::instance::Instance, types::InstanceId, "instance";
    /// Transit gateways.
    transit_gateways: crate::transit_gateway::TransitGateway, types::TransitGatewayId, "transit-gateway";
    /// Attachments to transit gateways, of every kind.
    transit_gateway_attachments: crate::transit_gateway::TransitGatewayAttachment, types::TransitGatewayAttachmentId, "transit-gateway-attachment";
    /// GRE peers of Connect attachments to transit gateways.
    transit_gateway_connect_peers: crate::transit_gateway::TransitGatewayConnectPeer, types::TransitGatewayConnectPeerId, "transit-gateway-connect-peer";
    /// Transit gateways' multicast domains with their groups.
    transit_gateway_multicast_domains: crate::transit_gateway::TransitGatewayMulticastDomain, types::TransitGatewayMulticastDomainId, "transit-gateway-multicast-domain";
    /// Transit gateways' policy tables with their rules.
    transit_gateway_policy_tables: crate::transit_gateway::TransitGatewayPolicyTable, types::TransitGatewayPolicyTableId, "transit-gateway-policy-table";
    /// Transit gateway route tables with their static routes.
    transit_gateway_route_tables: crate::transit_gateway::TransitGatewayRouteTable, types::TransitGatewayRouteTableId, "transit-gateway-route-table";
    /// Key pairs.
    key_pairs: crate::key_pair::KeyPair, types::KeyPairId, "key-pair";
    /// Placement groups.
    placement_groups: crate::placement_group::PlacementGroup, types::PlacementGroupId, "placement-group";
}
