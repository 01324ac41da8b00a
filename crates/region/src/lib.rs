//! EC2's resources: one file each, pure functions from (state, request) to (writes, reply).
//!
//! Contract: a handler reads and writes through a [`Tx`], which starts from a [`State`] and never changes it; what
//! comes out is the reply, the next state and the list of writes for the store. Time and randomness come in with
//! the [`Context`]. Nothing here blocks.
//!
//! Each resource's file has the same inner order: record, invariants, create, describe, modify, delete, tests.
#![forbid(unsafe_code)]

mod account;
mod address;
mod address_attribute;
mod address_transfer;
mod attachment;
mod carrier_gateway;
mod client_token;
mod context;
mod dhcp_options;
mod dispatch;
mod dns_name;
mod egress_only_gateway;
mod endpoint;
mod filter;
mod flow_log;
mod host;
mod host_view;
mod hosted_zone;
mod hosted_zone_tags;
mod hosted_zone_vpc;
mod id_format;
mod image;
mod insights;
mod instance;
mod instance_attribute;
mod instance_connect;
mod instance_credits;
mod instance_describe;
mod instance_interfaces;
mod instance_launch;
mod instance_metadata_options;
mod instance_options;
mod instance_options_change;
mod instance_placement;
mod instance_profile;
mod instance_report;
mod instance_status;
mod instance_type;
mod instance_type_describe;
mod internet_gateway;
mod ipam;
mod key_material;
mod key_pair;
mod launch_template;
mod launch_template_data;
mod launch_template_version;
mod life;
mod members;
mod mirror;
mod mortal;
mod nat_gateway;
mod nat_gateway_address;
mod network_acl;
mod network_acl_association;
mod network_acl_entry;
mod network_interface;
mod network_interface_attribute;
mod network_interface_describe;
mod network_interface_ipv6;
mod network_interface_permission;
mod page;
mod peering;
mod peering_change;
mod placement_group;
mod prefix_list;
mod prefix_list_entries;
mod prepared;
mod project;
mod public_access;
mod public_access_exclusion;
mod public_on_launch;
mod quota;
mod record_change;
mod record_check;
mod record_data;
mod record_set;
mod resolve;
mod resource;
mod route;
mod route_table;
mod route_table_association;
mod route_target;
mod security_group;
mod security_group_permissions;
mod security_group_reference;
mod security_group_rule_changes;
mod security_group_rules;
mod security_group_vpc;
mod state;
mod subnet;
mod subnet_addresses;
mod subnet_attribute;
mod subnet_cidr;
mod subnet_cidr_reservation;
mod table;
mod tags;
mod transit_gateway;
mod tree;
mod tx;
mod vpc;
mod vpc_attribute;
mod vpc_cidr;
mod vpn;
mod zone_change;
mod zones;

#[cfg(test)]
mod invariants;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod testing;

pub use account::{Account, AccountKey};
pub use address::Address;
pub use address_attribute::Reverse;
pub use address_transfer::AddressTransfer;
pub use carrier_gateway::CarrierGateway;
pub use context::{Context, Settings, Timestamp, ZoneNames};
pub use dhcp_options::DhcpOptions;
pub use dispatch::{Executed, Packets, Support, execute, support};
pub use dns_name::{DnsName, NameError};
pub use egress_only_gateway::EgressOnlyGateway;
pub use endpoint::Endpoint;
pub use endpoint::notification::EndpointNotification;
pub use endpoint::service::EndpointService;
pub use flow_log::FlowLog;
pub use host::{
    Admission, Host, HostChange, Join, JoinToken, Role, change_hosts, host_of_certificate, load,
    report_of,
};
pub use host_view::HostView;
pub use hosted_zone::{HostedZone, HostedZoneId};
pub use insights::analysis::InsightsAnalysis;
pub use insights::path::InsightsPath;
pub use insights::scope::AccessScope;
pub use insights::scope_analysis::ScopeAnalysis;
pub use instance::Instance;
pub use instance_connect::InstanceConnectEndpoint;
pub use instance_report::report;
pub use internet_gateway::InternetGateway;
pub use ipam::{Ipam, IpamAllocation, IpamPool, IpamScope};
pub use key_pair::KeyPair;
pub use launch_template::LaunchTemplate;
pub use life::{Life, Phase};
pub use mirror::filter::MirrorFilter;
pub use mirror::rule::MirrorFilterRule;
pub use mirror::session::MirrorSession;
pub use mirror::target::MirrorTarget;
pub use nat_gateway::NatGateway;
pub use network_acl::NetworkAcl;
pub use network_interface::NetworkInterface;
pub use network_interface_permission::InterfacePermission;
pub use peering::PeeringConnection;
pub use placement_group::PlacementGroup;
pub use prefix_list::PrefixList;
pub use prepared::{Preparation, Prepared, preparation};
pub use project::{delta, full, instances};
pub use public_access::BlockPublicAccess;
pub use public_access_exclusion::PublicAccessExclusion;
pub use quota::{MAX_QUOTA, QUOTAS, Quota, quotas, set_quota};
pub use record_data::RecordType;
pub use record_set::{RecordData, RecordKey, RecordSet, Routing};
pub use resolve::{Alias, Outcome, Resolution, choose, resolve};
pub use route_table::RouteTable;
pub use security_group::SecurityGroup;
pub use security_group_vpc::VpcAssociation;
pub use state::{Loading, State, Unreadable};
pub use subnet::Subnet;
pub use subnet_cidr_reservation::SubnetCidrReservation;
pub use table::{Indexed, Key, Keys, Record, Table};
pub use tags::{Facts, Tags, facts};
pub use transit_gateway::{
    AttachmentKind, Next, TransitGateway, TransitGatewayAttachment, TransitGatewayConnectPeer,
    TransitGatewayMulticastDomain, TransitGatewayPolicyTable, TransitGatewayRouteTable, attach_vpn,
    detach_vpn, lookup,
};
pub use tx::{Tx, Write};
pub use vpc::Vpc;
pub use vpn::connection::VpnConnection;
pub use vpn::customer_gateway::CustomerGateway;
pub use vpn::gateway::VpnGateway;
pub use zones::is_region;
