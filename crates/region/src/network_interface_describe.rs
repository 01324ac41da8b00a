//! How interfaces are shown: `DescribeNetworkInterfaces`.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AddressAssociationId, AllocationId, AttachmentId, Cidr, InstanceId, InterfaceId,
    Mac, SubnetId, VpcId,
};

use crate::dispatch::actions;
use crate::filter::{Field, Filter, View};
use crate::network_interface::{
    Attachment, NetworkInterface, Tracking, dns_name, private_dns_name,
};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query};
use crate::security_group::{GroupIdentifier, identifiers};
use crate::tags::Tag;
use crate::{Address, Context, State, Tx, address};

actions! {
    "DescribeNetworkInterfaces" => describe_network_interfaces, Control;
}

/// `DescribeNetworkInterfaces`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeNetworkInterfacesRequest {
    network_interface_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeNetworkInterfacesReply {
    network_interfaces: Vec<NetworkInterfaceReply>,
    next_token: Option<String>,
}

/// An interface in a reply.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkInterfaceReply {
    association: Option<AssociationReply>,
    pub(crate) attachment: Option<AttachmentReply>,
    availability_zone: String,
    availability_zone_id: String,
    pub(crate) description: String,
    pub(crate) groups: Vec<GroupIdentifier>,
    interface_type: &'static str,
    connection_tracking_configuration: Option<TrackingReply>,
    ipv4_prefixes: Option<Vec<Ipv4PrefixReply>>,
    ipv6_address: Option<IpAddr>,
    ipv6_addresses: Vec<Ipv6AddressReply>,
    ipv6_prefixes: Option<Vec<Ipv6PrefixReply>>,
    mac_address: Mac,
    pub(crate) network_interface_id: InterfaceId,
    owner_id: AccountId,
    private_dns_name: Option<String>,
    private_ip_address: Option<IpAddr>,
    private_ip_addresses: Vec<PrivateAddressReply>,
    requester_managed: bool,
    pub(crate) source_dest_check: bool,
    status: &'static str,
    subnet_id: SubnetId,
    tag_set: Vec<Tag>,
    vpc_id: VpcId,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationReply {
    allocation_id: Option<AllocationId>,
    association_id: Option<AddressAssociationId>,
    ip_owner_id: String,
    public_dns_name: &'static str,
    public_ip: IpAddr,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttachmentReply {
    attach_time: api::Timestamp,
    attachment_id: AttachmentId,
    delete_on_termination: bool,
    device_index: u32,
    network_card_index: u32,
    instance_id: InstanceId,
    instance_owner_id: AccountId,
    status: &'static str,
    ena_srd_specification: Option<EnaSrdReply>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnaSrdReply {
    ena_srd_enabled: bool,
    ena_srd_udp_specification: EnaSrdUdpReply,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnaSrdUdpReply {
    ena_srd_udp_enabled: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv4PrefixReply {
    ipv4_prefix: Cidr,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6PrefixReply {
    ipv6_prefix: Cidr,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ipv6AddressReply {
    ipv6_address: IpAddr,
    is_primary_ipv6: bool,
}

/// Times that were changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TrackingReply {
    tcp_established_timeout: Option<u32>,
    udp_stream_timeout: Option<u32>,
    udp_timeout: Option<u32>,
}

impl TrackingReply {
    fn of(tracking: Tracking) -> Option<TrackingReply> {
        (tracking != Tracking::default()).then_some(TrackingReply {
            tcp_established_timeout: tracking.tcp_established,
            udp_stream_timeout: tracking.udp_stream,
            udp_timeout: tracking.udp,
        })
    }
}

/// A list that EC2 leaves out when it is empty.
fn some<T>(list: impl Iterator<Item = T>) -> Option<Vec<T>> {
    Some(list.collect()).filter(|list: &Vec<T>| !list.is_empty())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateAddressReply {
    association: Option<AssociationReply>,
    primary: bool,
    private_dns_name: Option<String>,
    private_ip_address: IpAddr,
}

fn association(
    state: &State,
    interface: InterfaceId,
    private: Option<IpAddr>,
) -> Option<AssociationReply> {
    let address = address::of_private(state, interface, private?)?;
    let (allocation_id, association_id) = address.handles();
    Some(AssociationReply {
        allocation_id,
        association_id,
        ip_owner_id: address.owner(),
        public_dns_name: "",
        public_ip: address.public,
    })
}

/// An interface as the actions that make or list them show it.
pub(crate) fn reply(view: &View<'_>, interface: &NetworkInterface) -> NetworkInterfaceReply {
    let state = view.state;
    let zone = interface.zone(state);
    let own_name = dns_name(state, interface);
    let named = own_name.is_some();
    let private = interface
        .addresses
        .iter()
        .enumerate()
        .map(|(place, address)| PrivateAddressReply {
            association: association(state, interface.id, Some(*address)),
            primary: place == 0,
            private_dns_name: named.then(|| private_dns_name(&interface.region, *address)),
            private_ip_address: *address,
        });
    NetworkInterfaceReply {
        association: association(state, interface.id, interface.primary()),
        attachment: interface
            .attachment
            .as_ref()
            .map(|attachment| AttachmentReply {
                attach_time: api::Timestamp::from_millis(attachment.attached.0),
                attachment_id: attachment.id,
                delete_on_termination: attachment.delete_on_termination,
                device_index: attachment.device_index,
                network_card_index: 0,
                instance_id: attachment.instance,
                instance_owner_id: interface.account,
                status: "attached",
                ena_srd_specification: interface.ena_srd.map(|(on, udp)| EnaSrdReply {
                    ena_srd_enabled: on,
                    ena_srd_udp_specification: EnaSrdUdpReply {
                        ena_srd_udp_enabled: udp,
                    },
                }),
            }),
        availability_zone: view.zone_name(&interface.region, &zone),
        availability_zone_id: zone,
        description: interface.description.clone(),
        groups: identifiers(state, &interface.groups),
        interface_type: interface.interface_type(),
        connection_tracking_configuration: TrackingReply::of(interface.tracking),
        ipv4_prefixes: some(
            interface
                .ipv4_prefixes
                .iter()
                .map(|prefix| Ipv4PrefixReply {
                    ipv4_prefix: *prefix,
                }),
        ),
        ipv6_address: interface.ipv6.first().copied(),
        ipv6_addresses: ipv6_addresses(interface),
        ipv6_prefixes: some(
            interface
                .ipv6_prefixes
                .iter()
                .map(|prefix| Ipv6PrefixReply {
                    ipv6_prefix: *prefix,
                }),
        ),
        mac_address: interface.mac,
        network_interface_id: interface.id,
        owner_id: interface.account,
        private_ip_address: interface.primary(),
        private_ip_addresses: private.collect(),
        private_dns_name: own_name,
        requester_managed: interface.holder.is_some(),
        source_dest_check: interface.source_dest_check,
        status: interface.status(),
        subnet_id: interface.subnet,
        tag_set: interface.tags.reply(),
        vpc_id: interface.vpc,
    }
}

fn addresses(
    state: &State,
    interface: &NetworkInterface,
    value: impl Fn(&Address) -> Option<String>,
) -> Vec<String> {
    address::of_interface(state, interface.id)
        .filter_map(value)
        .collect()
}

fn attached(interface: &NetworkInterface, value: impl Fn(&Attachment) -> String) -> Vec<String> {
    interface.attachment.iter().map(value).collect()
}

/// The filters of interfaces; those of instances have them too, after `network-interface.`.
pub(crate) const FIELDS: &[Field<NetworkInterface>] = &[
    ("addresses.association.owner-id", |s, i| {
        addresses(s, i, |a| Some(a.owner()))
    }),
    ("addresses.association.public-ip", |s, i| {
        addresses(s, i, |a| Some(a.public.to_string()))
    }),
    ("addresses.primary", |_, i| {
        i.addresses
            .iter()
            .enumerate()
            .map(|(place, _)| (place == 0).to_string())
            .collect()
    }),
    ("addresses.private-ip-address", |_, i| {
        i.addresses.iter().map(ToString::to_string).collect()
    }),
    ("association.allocation-id", |s, i| {
        addresses(s, i, |a| Some(a.handles().0?.to_string()))
    }),
    ("association.association-id", |s, i| {
        addresses(s, i, |a| Some(a.handles().1?.to_string()))
    }),
    ("association.ip-owner-id", |s, i| {
        addresses(s, i, |a| Some(a.owner()))
    }),
    ("association.public-dns-name", |_, _| vec![]),
    ("association.public-ip", |s, i| {
        addresses(s, i, |a| Some(a.public.to_string()))
    }),
    ("attachment.attach-time", |_, i| {
        attached(i, |a| api::Timestamp::from_millis(a.attached.0).to_string())
    }),
    ("attachment.attachment-id", |_, i| {
        attached(i, |a| a.id.to_string())
    }),
    ("attachment.delete-on-termination", |_, i| {
        attached(i, |a| a.delete_on_termination.to_string())
    }),
    ("attachment.device-index", |_, i| {
        attached(i, |a| a.device_index.to_string())
    }),
    ("attachment.instance-id", |_, i| {
        attached(i, |a| a.instance.to_string())
    }),
    ("attachment.instance-owner-id", |_, i| {
        attached(i, |_| i.account.to_string())
    }),
    ("attachment.status", |_, i| {
        vec![
            if i.attachment.is_some() {
                "attached"
            } else {
                "detached"
            }
            .to_owned(),
        ]
    }),
    ("availability-zone", |s, i| {
        vec![s.zone_name(&i.region, &i.zone(s))]
    }),
    ("availability-zone-id", |s, i| vec![i.zone(s)]),
    ("description", |_, i| vec![i.description.clone()]),
    ("group-id", |_, i| {
        i.groups.iter().map(ToString::to_string).collect()
    }),
    ("group-name", |s, i| {
        identifiers(s, &i.groups)
            .into_iter()
            .map(|g| g.group_name)
            .collect()
    }),
    ("interface-type", |_, i| vec![i.interface_type().to_owned()]),
    ("ipv6-addresses.ipv6-address", |_, i| {
        i.ipv6.iter().map(ToString::to_string).collect()
    }),
    ("mac-address", |_, i| vec![i.mac.to_string()]),
    ("network-interface-id", |_, i| vec![i.id.to_string()]),
    ("operator.managed", |_, _| vec!["false".to_owned()]),
    ("operator.principal", |_, _| vec![]),
    ("owner-id", |_, i| vec![i.account.to_string()]),
    ("private-dns-name", |s, i| {
        dns_name(s, i).into_iter().collect()
    }),
    ("private-ip-address", |_, i| {
        i.primary().iter().map(ToString::to_string).collect()
    }),
    ("requester-id", |_, _| vec![]),
    ("requester-managed", |_, i| {
        vec![i.holder.is_some().to_string()]
    }),
    ("source-dest-check", |_, i| {
        vec![i.source_dest_check.to_string()]
    }),
    ("status", |_, i| vec![i.status().to_owned()]),
    ("subnet-id", |_, i| vec![i.subnet.to_string()]),
    ("vpc-id", |_, i| vec![i.vpc.to_string()]),
];

/// Lists interfaces.
pub(crate) fn describe_network_interfaces(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeNetworkInterfacesRequest,
) -> Result<DescribeNetworkInterfacesReply, ApiError> {
    let query = Query {
        ids: req.network_interface_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<NetworkInterface>(tx, ctx, &query, FIELDS, &USUAL_BOUNDS)?;
    let network_interfaces = page
        .items
        .into_iter()
        .map(|interface| reply(&View::new(tx.state(), ctx), interface))
        .collect();
    Ok(DescribeNetworkInterfacesReply {
        network_interfaces,
        next_token: page.next_token,
    })
}

/// The IPv6 addresses of an interface in a reply.
pub(crate) fn ipv6_addresses(interface: &NetworkInterface) -> Vec<Ipv6AddressReply> {
    interface
        .ipv6
        .iter()
        .enumerate()
        .map(|(place, address)| Ipv6AddressReply {
            ipv6_address: *address,
            is_primary_ipv6: interface.primary_ipv6 && place == 0,
        })
        .collect()
}
