//! Network interfaces: record, create, describe, modify, delete. Attachments and secondary addresses are in
//! [`crate::attachment`].

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AddressAssociationId, AllocationId, AttachmentId, GroupId, InstanceId, InterfaceId,
    Mac, RegionName, SubnetId, VpcId,
};

use crate::filter::{Field, Filter};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource as _, resource};
use crate::security_group::{self, GroupIdentifier, identifiers};
use crate::tags::{Tag, TagSpecification};
use crate::vpc::BooleanAttribute;
use crate::{Address, Context, State, Subnet, Tags, Timestamp, Tx, address, ipam, zones};

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// Its identifier.
    pub id: InterfaceId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// The subnet it is in.
    pub subnet: SubnetId,
    /// Its Ethernet address; no other interface has it.
    pub mac: Mac,
    /// Its private addresses, the primary one first. Never empty; all of its subnet, and no other interface's.
    pub addresses: Vec<IpAddr>,
    /// Its security groups, of its VPC. Never empty.
    pub groups: Vec<GroupId>,
    /// Whether it may only send from and receive for its own addresses.
    pub source_dest_check: bool,
    /// What its owner says about it.
    pub description: String,
    /// The instance that has it. The instance's record says the same.
    pub attachment: Option<Attachment>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// The place of an interface at an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attachment {
    /// Its identifier.
    pub id: AttachmentId,
    /// The instance.
    pub instance: InstanceId,
    /// Which of the instance's interfaces it is; 0 is the primary one.
    pub device_index: u32,
    /// Whether the interface goes when the instance is terminated.
    pub delete_on_termination: bool,
    /// Since when.
    pub attached: Timestamp,
}

/// What makes a repeated request recognizable (EC2 "Ensuring idempotency").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientToken {
    /// The client's text.
    pub token: String,
    /// A digest of the request's other parameters: they must be the same.
    pub parameters: u64,
}

impl ClientToken {
    /// A token for the request; `parameters` is its text. The digest (64-bit FNV-1a) guards against mistakes of the
    /// client's own, not against anybody else.
    pub(crate) fn new(
        token: Option<String>,
        parameters: &str,
    ) -> Result<Option<ClientToken>, ApiError> {
        /// EC2: "Up to 64 ASCII characters".
        const MAX: usize = 64;
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        if token.len() > MAX || !token.is_ascii() {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value ({token}) for parameter clientToken is invalid. It must be up to {MAX} ASCII characters"
                ),
            ));
        }
        let digest =
            |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
        let parameters = parameters.bytes().fold(0xcbf2_9ce4_8422_2325, digest);
        Ok(Some(ClientToken { token, parameters }))
    }

    /// Whether this is a repeat of the request that had `earlier`.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch` if the token is the same and the rest is not.
    pub(crate) fn repeats(&self, earlier: &ClientToken) -> Result<bool, ApiError> {
        if self.token != earlier.token {
            return Ok(false);
        }
        if self.parameters == earlier.parameters {
            return Ok(true);
        }
        Err(ApiError::new(
            "IdempotentParameterMismatch",
            format!(
                "The client token '{}' was used before with other parameters",
                self.token
            ),
        ))
    }
}

resource!(NetworkInterface, "network-interface", |id| {
    if id.starts_with("eni-") {
        ApiError::new(
            "InvalidNetworkInterfaceID.NotFound",
            format!("The networkInterface ID '{id}' does not exist"),
        )
    } else {
        ApiError::new(
            "InvalidNetworkInterfaceId.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"eni-...\")"),
        )
    }
});

/// The largest IP packet of an interface. EC2 has 9001 inside of a VPC; packets to the outside world are 1500 there
/// too, and one size for both needs no path MTU discovery between them.
const MTU: u16 = 1500;

/// EC2's quota of interfaces in a region.
const MAX_INTERFACES: usize = 5000;

/// Bound on the private addresses of one interface: EC2's largest instance types have it.
pub(crate) const MAX_ADDRESSES: usize = 50;

impl NetworkInterface {
    /// Its primary private address.
    pub(crate) fn primary(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }

    /// The instance that has it.
    pub(crate) fn instance(&self) -> Option<InstanceId> {
        self.attachment
            .as_ref()
            .map(|attachment| attachment.instance)
    }

    /// The interface as hosts know it.
    pub(crate) fn project(&self, state: &State) -> topology::Interface {
        let runs = |id: &InstanceId| {
            state
                .instances
                .get(id)
                .is_some_and(|instance| instance.state.is_up())
        };
        topology::Interface {
            id: self.id,
            vpc: self.vpc,
            subnet: self.subnet,
            mac: self.mac,
            addresses: self.addresses.clone(),
            groups: self.groups.clone(),
            source_dest_check: self.source_dest_check,
            instance: self.instance().filter(runs),
            mtu: MTU,
            hostname: self.primary().map(host_name).unwrap_or_default(),
        }
    }

    fn zone(&self, state: &State) -> String {
        state
            .subnets
            .get(&self.subnet)
            .map(|subnet| subnet.zone.clone())
            .unwrap_or_default()
    }

    fn status(&self) -> &'static str {
        if self.attachment.is_some() {
            "in-use"
        } else {
            "available"
        }
    }
}

/// The name of an address in the VPC's DNS, without domain (EC2 "IP based naming").
pub(crate) fn host_name(address: IpAddr) -> String {
    format!("ip-{}", address.to_string().replace(['.', ':'], "-"))
}

/// The name of an address with the region's domain (EC2 "EC2 instance hostnames and domains").
pub(crate) fn private_dns_name(region: &RegionName, address: IpAddr) -> String {
    match region.as_str() {
        "us-east-1" => format!("{}.ec2.internal", host_name(address)),
        other => format!("{}.{other}.compute.internal", host_name(address)),
    }
}

/// The interface's own name, if its VPC gives names.
fn dns_name(state: &State, interface: &NetworkInterface) -> Option<String> {
    let named = state
        .vpcs
        .get(&interface.vpc)
        .is_some_and(|vpc| vpc.dns_hostnames);
    interface
        .primary()
        .filter(|_| named)
        .map(|address| private_dns_name(&interface.region, address))
}

/// What a new interface is made of.
pub(crate) struct Plan {
    pub(crate) subnet: SubnetId,
    pub(crate) requested: Vec<String>,
    pub(crate) more: usize,
    pub(crate) groups: Vec<GroupId>,
    pub(crate) description: String,
    pub(crate) tags: Tags,
    pub(crate) client_token: Option<ClientToken>,
}

/// Makes an interface; writes nothing on an error.
pub(crate) fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    plan: Plan,
) -> Result<NetworkInterface, ApiError> {
    let subnet = tx
        .get::<Subnet>(&plan.subnet)
        .ok_or_else(|| Subnet::not_found(&plan.subnet.to_string()))?;
    let vpc = subnet.vpc;
    // Without a requested address the first chosen one is the primary one.
    let more = if plan.requested.is_empty() {
        plan.more.saturating_add(1)
    } else {
        plan.more
    };
    if plan.requested.len().saturating_add(more) > MAX_ADDRESSES {
        return Err(too_many_addresses());
    }
    let addresses = ipam::choose(tx.state(), subnet, &plan.requested, more)?;
    if resource::own::<NetworkInterface>(tx, ctx).count() >= MAX_INTERFACES {
        return Err(ApiError::new(
            "NetworkInterfaceLimitExceeded",
            "You have reached the maximum number of network interfaces.",
        ));
    }
    let interface = NetworkInterface {
        id: InterfaceId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: plan.tags,
        vpc,
        subnet: plan.subnet,
        mac: new_mac(tx, ctx)?,
        addresses,
        groups: plan.groups,
        source_dest_check: true,
        description: plan.description,
        attachment: None,
        client_token: plan.client_token,
    };
    tx.put(interface.clone());
    Ok(interface)
}

pub(crate) fn too_many_addresses() -> ApiError {
    ApiError::new(
        "PrivateIpAddressLimitExceeded",
        format!("Number of private addresses will exceed limit. The limit is {MAX_ADDRESSES}."),
    )
}

/// A random, locally administered unicast address (IEEE 802) that no interface and not the router has.
fn new_mac(tx: &Tx, ctx: &Context<'_>) -> Result<Mac, ApiError> {
    /// Forty random bits collide seldom; this often only if the source of randomness is broken.
    const TRIES: usize = 64;
    for _ in 0..TRIES {
        let [.., a, b, c, d, e] = ctx.random().to_be_bytes();
        let mac = Mac([0x02, a, b, c, d, e]);
        // 02:70 begins the router's address and the addresses that frames carry between slow and fast path.
        if a != 0x70
            && !tx
                .all::<NetworkInterface>()
                .any(|interface| interface.mac == mac)
        {
            return Ok(mac);
        }
    }
    Err(ApiError::internal("no free Ethernet address was found"))
}

/// A private address of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct PrivateIpAddressSpecification {
    primary: Option<bool>,
    private_ip_address: Option<String>,
}

/// The private addresses that a request names, the primary one first.
///
/// # Errors
/// `InvalidParameterCombination` for more than one primary address, or none of several.
pub(crate) fn requested_addresses(
    single: Option<String>,
    listed: Option<Vec<PrivateIpAddressSpecification>>,
) -> Result<Vec<String>, ApiError> {
    let listed = listed.unwrap_or_default();
    let primaries = listed
        .iter()
        .filter(|item| item.primary == Some(true))
        .count();
    if primaries + usize::from(single.is_some()) > 1 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Only one primary private IP address can be specified.",
        ));
    }
    if !listed.is_empty() && single.is_none() && primaries == 0 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "One of the private IP addresses must be the primary one.",
        ));
    }
    let mut addresses: Vec<String> = single.into_iter().collect();
    for item in listed {
        let address = item
            .private_ip_address
            .ok_or_else(|| resource::missing("privateIpAddress"))?;
        if item.primary == Some(true) {
            addresses.insert(0, address);
        } else {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// A count of secondary addresses.
pub(crate) fn count_of(number: Option<i64>) -> Result<usize, ApiError> {
    usize::try_from(number.unwrap_or(0)).map_err(|_| {
        ApiError::new(
            "InvalidParameterValue",
            "Value for parameter secondaryPrivateIpAddressCount is invalid. It must not be negative.",
        )
    })
}

/// `CreateNetworkInterface`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateNetworkInterfaceRequest {
    subnet_id: String,
    description: Option<String>,
    private_ip_address: Option<String>,
    private_ip_addresses: Option<Vec<PrivateIpAddressSpecification>>,
    secondary_private_ip_address_count: Option<i64>,
    groups: Option<Vec<String>>,
    interface_type: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateNetworkInterfaceReply {
    pub(crate) network_interface: NetworkInterfaceReply,
    client_token: Option<String>,
}

/// Makes an interface that no instance has yet.
pub(crate) fn create_network_interface(
    tx: &mut Tx,
    ctx: &Context<'_>,
    mut req: CreateNetworkInterfaceRequest,
) -> Result<CreateNetworkInterfaceReply, ApiError> {
    let token = req.client_token.take();
    let client_token = ClientToken::new(token.clone(), &format!("{req:?}"))?;
    if let Some(new) = &client_token {
        for old in resource::own::<NetworkInterface>(tx, ctx) {
            if old
                .client_token
                .as_ref()
                .map_or(Ok(false), |earlier| new.repeats(earlier))?
            {
                return Ok(CreateNetworkInterfaceReply {
                    network_interface: reply(tx.state(), old),
                    client_token: token,
                });
            }
        }
    }
    if let Some(kind) = req.interface_type.filter(|kind| kind != "interface") {
        return Err(resource::unsupported("InterfaceType", &kind));
    }
    let subnet = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?;
    let (subnet, vpc) = (subnet.id, subnet.vpc);
    let plan = Plan {
        subnet,
        requested: requested_addresses(req.private_ip_address, req.private_ip_addresses)?,
        more: count_of(req.secondary_private_ip_address_count)?,
        groups: security_group::for_interface(tx, ctx, vpc, req.groups.as_deref())?,
        description: checked_description(req.description)?,
        tags: Tags::of_new(req.tag_specifications.as_deref(), "network-interface")?,
        client_token,
    };
    let interface = make(tx, ctx, plan)?;
    Ok(CreateNetworkInterfaceReply {
        network_interface: reply(tx.state(), &interface),
        client_token: token,
    })
}

/// A description of at most 255 characters; none is the empty one.
pub(crate) fn checked_description(text: Option<String>) -> Result<String, ApiError> {
    let text = text.unwrap_or_default();
    if text.chars().count() > 255 {
        return Err(ApiError::new(
            "InvalidParameterValue",
            "Value for parameter description is invalid. It must have at most 255 characters.",
        ));
    }
    Ok(text)
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
    attachment: Option<AttachmentReply>,
    availability_zone: String,
    availability_zone_id: String,
    description: String,
    groups: Vec<GroupIdentifier>,
    interface_type: &'static str,
    ipv6_addresses: Vec<()>,
    mac_address: Mac,
    pub(crate) network_interface_id: InterfaceId,
    owner_id: AccountId,
    private_dns_name: Option<String>,
    private_ip_address: Option<IpAddr>,
    private_ip_addresses: Vec<PrivateAddressReply>,
    requester_managed: bool,
    source_dest_check: bool,
    status: &'static str,
    subnet_id: SubnetId,
    tag_set: Vec<Tag>,
    vpc_id: VpcId,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationReply {
    allocation_id: AllocationId,
    association_id: Option<AddressAssociationId>,
    ip_owner_id: AccountId,
    public_dns_name: &'static str,
    public_ip: IpAddr,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachmentReply {
    attach_time: api::Timestamp,
    attachment_id: AttachmentId,
    delete_on_termination: bool,
    device_index: u32,
    network_card_index: u32,
    instance_id: InstanceId,
    instance_owner_id: AccountId,
    status: &'static str,
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
    Some(AssociationReply {
        allocation_id: address.id,
        association_id: address
            .association
            .as_ref()
            .map(|association| association.id),
        ip_owner_id: address.account,
        public_dns_name: "",
        public_ip: address.public,
    })
}

fn reply(state: &State, interface: &NetworkInterface) -> NetworkInterfaceReply {
    let zone = interface.zone(state);
    let private_dns_name = dns_name(state, interface);
    let named = private_dns_name.is_some();
    let private = interface
        .addresses
        .iter()
        .enumerate()
        .map(|(place, address)| PrivateAddressReply {
            association: association(state, interface.id, Some(*address)),
            primary: place == 0,
            private_dns_name: named.then(|| self::private_dns_name(&interface.region, *address)),
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
            }),
        availability_zone_id: zones::id_of(&interface.region, &zone),
        availability_zone: zone,
        description: interface.description.clone(),
        groups: identifiers(state, &interface.groups),
        interface_type: "interface",
        ipv6_addresses: Vec::new(),
        mac_address: interface.mac,
        network_interface_id: interface.id,
        owner_id: interface.account,
        private_ip_address: interface.primary(),
        private_ip_addresses: private.collect(),
        private_dns_name,
        requester_managed: false,
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
        addresses(s, i, |a| Some(a.account.to_string()))
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
        addresses(s, i, |a| Some(a.id.to_string()))
    }),
    ("association.association-id", |s, i| {
        addresses(s, i, |a| Some(a.association.as_ref()?.id.to_string()))
    }),
    ("association.ip-owner-id", |s, i| {
        addresses(s, i, |a| Some(a.account.to_string()))
    }),
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
    ("availability-zone", |s, i| vec![i.zone(s)]),
    ("availability-zone-id", |s, i| {
        vec![zones::id_of(&i.region, &i.zone(s))]
    }),
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
    ("interface-type", |_, _| vec!["interface".to_owned()]),
    ("ipv6-addresses.ipv6-address", |_, _| vec![]),
    ("mac-address", |_, i| vec![i.mac.to_string()]),
    ("network-interface-id", |_, i| vec![i.id.to_string()]),
    ("owner-id", |_, i| vec![i.account.to_string()]),
    ("private-dns-name", |s, i| {
        dns_name(s, i).into_iter().collect()
    }),
    ("private-ip-address", |_, i| {
        i.primary().iter().map(ToString::to_string).collect()
    }),
    ("requester-id", |_, _| vec![]),
    ("requester-managed", |_, _| vec!["false".to_owned()]),
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
        .map(|interface| reply(tx.state(), interface))
        .collect();
    Ok(DescribeNetworkInterfacesReply {
        network_interfaces,
        next_token: page.next_token,
    })
}

/// `DescribeNetworkInterfaceAttribute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeNetworkInterfaceAttributeRequest {
    network_interface_id: String,
    attribute: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeNetworkInterfaceAttributeReply {
    network_interface_id: InterfaceId,
    attachment: Option<AttachmentReply>,
    description: Option<TextAttribute>,
    groups: Option<Vec<GroupIdentifier>>,
    source_dest_check: Option<TruthAttribute>,
}

/// A text in a structure of its own, as attribute actions have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TextAttribute {
    pub(crate) value: Option<String>,
}

/// A boolean in a structure of its own, in replies.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TruthAttribute {
    pub(crate) value: bool,
}

/// Shows one attribute of an interface.
pub(crate) fn describe_network_interface_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeNetworkInterfaceAttributeRequest,
) -> Result<DescribeNetworkInterfaceAttributeReply, ApiError> {
    let interface = resource::find::<NetworkInterface>(tx, ctx, &req.network_interface_id)?;
    let all = reply(tx.state(), interface);
    let mut shown = DescribeNetworkInterfaceAttributeReply {
        network_interface_id: interface.id,
        attachment: None,
        description: None,
        groups: None,
        source_dest_check: None,
    };
    match req.attribute.as_deref() {
        Some("attachment") => shown.attachment = all.attachment,
        Some("description") => {
            shown.description = Some(TextAttribute {
                value: Some(all.description),
            })
        }
        Some("groupSet") => shown.groups = Some(all.groups),
        Some("sourceDestCheck") => {
            shown.source_dest_check = Some(TruthAttribute {
                value: all.source_dest_check,
            })
        }
        Some(other) => return Err(resource::unsupported("Attribute", &other)),
        None => return Err(resource::missing("attribute")),
    }
    Ok(shown)
}

/// `ModifyNetworkInterfaceAttribute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyNetworkInterfaceAttributeRequest {
    network_interface_id: String,
    description: Option<TextAttribute>,
    source_dest_check: Option<BooleanAttribute>,
    groups: Option<Vec<String>>,
    attachment: Option<AttachmentChanges>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttachmentChanges {
    attachment_id: Option<String>,
    delete_on_termination: Option<bool>,
}

/// Changes one attribute ("You can specify only one attribute at a time").
pub(crate) fn modify_network_interface_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyNetworkInterfaceAttributeRequest,
) -> Result<(), ApiError> {
    let mut interface =
        resource::find::<NetworkInterface>(tx, ctx, &req.network_interface_id)?.clone();
    let groups = req.groups.filter(|groups| !groups.is_empty());
    let given = [
        req.description.is_some(),
        req.source_dest_check.is_some(),
        groups.is_some(),
        req.attachment.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Exactly one attribute must be specified: description, sourceDestCheck, groups or attachment",
        ));
    }
    if let Some(description) = req.description {
        interface.description = checked_description(description.value)?;
    }
    if let Some(check) = req.source_dest_check {
        interface.source_dest_check = check
            .value
            .ok_or_else(|| resource::missing("sourceDestCheck.value"))?;
    }
    if let Some(groups) = groups {
        interface.groups = security_group::for_interface(tx, ctx, interface.vpc, Some(&groups))?;
    }
    if let Some(changes) = req.attachment {
        let id = changes
            .attachment_id
            .ok_or_else(|| resource::missing("attachment.attachmentId"))?;
        let attachment = interface
            .attachment
            .as_mut()
            .filter(|attachment| attachment.id.to_string() == id)
            .ok_or_else(|| crate::attachment::not_found(&id))?;
        attachment.delete_on_termination = changes
            .delete_on_termination
            .ok_or_else(|| resource::missing("attachment.deleteOnTermination"))?;
    }
    tx.put(interface);
    Ok(())
}

/// `ResetNetworkInterfaceAttribute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ResetNetworkInterfaceAttributeRequest {
    network_interface_id: String,
    source_dest_check: Option<String>,
}

/// Turns the source/destination check on again, the only attribute that can be reset.
pub(crate) fn reset_network_interface_attribute(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ResetNetworkInterfaceAttributeRequest,
) -> Result<(), ApiError> {
    let mut interface =
        resource::find::<NetworkInterface>(tx, ctx, &req.network_interface_id)?.clone();
    if req.source_dest_check.is_none() {
        return Err(resource::missing("sourceDestCheck"));
    }
    interface.source_dest_check = true;
    tx.put(interface);
    Ok(())
}

/// `DeleteNetworkInterface`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteNetworkInterfaceRequest {
    network_interface_id: String,
}

/// Deletes an interface that no instance has.
pub(crate) fn delete_network_interface(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteNetworkInterfaceRequest,
) -> Result<(), ApiError> {
    let interface = resource::find::<NetworkInterface>(tx, ctx, &req.network_interface_id)?;
    let id = interface.id;
    if interface.attachment.is_some() {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("Network interface '{id}' is currently in use."),
        ));
    }
    remove(tx, id);
    Ok(())
}

/// Takes an interface away; its elastic addresses stay, without it.
pub(crate) fn remove(tx: &mut Tx, id: InterfaceId) {
    let addresses: Vec<Address> = address::of_interface(tx.state(), id).cloned().collect();
    for mut address in addresses {
        address.association = None;
        tx.put(address);
    }
    tx.remove::<NetworkInterface>(&id);
}
