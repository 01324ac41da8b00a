//! Network interfaces: record, create, delete. They are shown in [`crate::network_interface_describe`] and change in
//! [`crate::network_interface_attribute`] and [`crate::attachment`].

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AttachmentId, Cidr, GroupId, InstanceId, InterfaceId, InterfacePermissionId, Mac,
    ObjectId, RegionName, SubnetId, VpcId,
};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::View;
use crate::network_interface_describe::{NetworkInterfaceReply, reply};
use crate::resource::{self, Resource as _, resource};
use crate::security_group;
use crate::tags::TagSpecification;
use crate::{
    Address, Context, InterfacePermission, Key, State, Subnet, Tags, Timestamp, Tx, address,
    public_on_launch, quota, subnet_addresses,
};

actions! {
    "CreateNetworkInterface" => create_network_interface, Enforced;
    "DeleteNetworkInterface" => delete_network_interface, Enforced;
}

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
    /// Its IPv6 addresses, of its subnet's block and no other interface's. Packets do not know them.
    #[serde(default)]
    pub ipv6: Vec<IpAddr>,
    /// The /28 prefixes that it has whole, of its subnet; no other interface has a part of one.
    #[serde(default)]
    pub ipv4_prefixes: Vec<Cidr>,
    /// The /80 prefixes that it has whole. Packets do not know them.
    #[serde(default)]
    pub ipv6_prefixes: Vec<Cidr>,
    /// Whether its first IPv6 address stays as long as the interface.
    #[serde(default)]
    pub primary_ipv6: bool,
    /// What it was made as.
    #[serde(default)]
    pub kind: Kind,
    /// Whether ENA Express is on, and on for UDP too. Recorded only.
    #[serde(default)]
    pub ena_srd: Option<(bool, bool)>,
    /// When idle connections are forgotten, in seconds, where that was changed.
    #[serde(default)]
    pub tracking: Tracking,
    /// Its security groups, of its VPC. Empty only if a service holds it.
    pub groups: Vec<GroupId>,
    /// Whether it may only send from and receive for its own addresses.
    pub source_dest_check: bool,
    /// What its owner says about it.
    pub description: String,
    /// The instance that has it. The instance's record says the same.
    pub attachment: Option<Attachment>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
    /// The resource of a service whose interface it is (EC2 "requester-managed network interfaces"). It comes and goes
    /// with that, and clients cannot change it.
    #[serde(default)]
    pub holder: Option<ObjectId>,
    /// Whether its instance was launched to have a public address of Amazon's on it while it runs.
    #[serde(default)]
    pub public_on_launch: bool,
}

/// What an interface was made as. Packets know no difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Kind {
    /// An ordinary one.
    #[default]
    Interface,
    /// An Elastic Fabric Adapter that also carries IP.
    Efa,
}

impl Kind {
    /// EC2's word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Interface => "interface",
            Kind::Efa => "efa",
        }
    }
}

/// When idle connections of an interface are forgotten, in seconds; `None` is EC2's default (EC2 "Idle connection
/// tracking timeout").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tracking {
    /// Established TCP connections: 60 to 432000, by default 432000.
    pub tcp_established: Option<u32>,
    /// UDP with packets in one direction: 30 to 60, by default 30.
    pub udp: Option<u32>,
    /// UDP with packets in both directions: 60 to 180, by default 180.
    pub udp_stream: Option<u32>,
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

resource!(
    NetworkInterface,
    "network-interface",
    |this, keys| {
        keys.of([this.vpc]);
        keys.of([this.subnet]);
        keys.number(number(this.mac));
        keys.of(this.groups.iter().copied());
        keys.of(this.attachment.iter().map(|attachment| attachment.instance));
        keys.of(this.holder);
        keys.of(this.attachment.iter().map(|attachment| attachment.id));
    },
    |id| {
        resource::unknown_id(
            id,
            "eni",
            "networkInterface ID",
            "InvalidNetworkInterfaceID.NotFound",
            "InvalidNetworkInterfaceId.Malformed",
        )
    }
);

/// The largest IP packet of an interface. EC2 has 9001 inside of a VPC; packets to the outside world are 1500 there
/// too, and one size for both needs no path MTU discovery between them.
const MTU: u16 = 1500;

impl NetworkInterface {
    /// Its primary private address.
    pub(crate) fn primary(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }

    /// Whether it has anything of its subnet's IPv6 block.
    pub(crate) fn has_ipv6(&self) -> bool {
        !self.ipv6.is_empty() || !self.ipv6_prefixes.is_empty()
    }

    /// Every IPv4 address that packets may have for it: its own and those of its prefixes.
    fn all_addresses(&self) -> Vec<IpAddr> {
        let of_prefixes = self
            .ipv4_prefixes
            .iter()
            .flat_map(|prefix| (0..prefix.size()).filter_map(|offset| prefix.nth(offset)));
        let ipv4 = self.addresses.iter().copied().chain(of_prefixes);
        ipv4.chain(self.ipv6.iter().copied()).collect()
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
            addresses: self.all_addresses(),
            groups: self.groups.clone(),
            source_dest_check: self.source_dest_check,
            instance: self.instance().filter(runs),
            mtu: MTU,
            hostname: self.primary().map(host_name).unwrap_or_default(),
            idle: topology::IdleTimes {
                tcp_established: self.tracking.tcp_established,
                udp: self.tracking.udp,
                udp_stream: self.tracking.udp_stream,
            },
        }
    }

    /// The id of its zone.
    pub(crate) fn zone(&self, state: &State) -> String {
        state
            .subnets
            .get(&self.subnet)
            .map(|subnet| subnet.zone.clone())
            .unwrap_or_default()
    }

    /// EC2's word for its type.
    pub(crate) fn interface_type(&self) -> &'static str {
        self.holder.map_or(self.kind.name(), type_of)
    }

    /// EC2's word for its state.
    pub(crate) fn status(&self) -> &'static str {
        if self.attachment.is_some() || self.holder.is_some() {
            "in-use"
        } else {
            "available"
        }
    }
}

/// EC2's name for a held interface's type (`InterfaceType`).
fn type_of(holder: ObjectId) -> &'static str {
    match holder.to_string().rsplit_once('-') {
        Some(("tgw-attach", _)) => "transit_gateway",
        Some(("nat", _)) => "natGateway",
        Some(("vpce", _)) => "vpc_endpoint",
        _ => "interface",
    }
}

/// The client's interface of that id, to change it.
///
/// # Errors
/// "Not found"; `OperationNotPermitted` for one that a service holds.
pub(crate) fn find_own<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
) -> Result<&'t NetworkInterface, ApiError> {
    let interface = resource::find::<NetworkInterface>(tx, ctx, id)?;
    if interface.holder.is_some() {
        return Err(ApiError::new(
            "OperationNotPermitted",
            "You do not have permission to access the specified resource.",
        ));
    }
    Ok(interface)
}

/// Makes an interface that a service's resource holds: with one address, and without groups.
pub(crate) fn make_held(
    tx: &mut Tx,
    ctx: &Context<'_>,
    subnet: SubnetId,
    description: String,
    holder: impl Into<ObjectId>,
) -> Result<InterfaceId, ApiError> {
    let plan = Plan {
        subnet,
        requested: vec![],
        more: 0,
        groups: vec![],
        description,
        tags: Tags::default(),
        client_token: None,
        extras: Extras::ipv4_only(),
    };
    let mut interface = make(tx, ctx, plan)?;
    interface.holder = Some(holder.into());
    let id = interface.id;
    tx.put(interface);
    Ok(id)
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
pub(crate) fn dns_name(state: &State, interface: &NetworkInterface) -> Option<String> {
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
    pub(crate) extras: Extras,
}

/// What few interfaces have. Of each pair, what is named and how many more.
#[derive(Default)]
pub(crate) struct Extras {
    /// `None` leaves it to the subnet.
    pub(crate) ipv6: Option<(Vec<String>, usize)>,
    pub(crate) ipv4_prefixes: (Vec<String>, usize),
    pub(crate) ipv6_prefixes: (Vec<String>, usize),
    pub(crate) primary_ipv6: bool,
    pub(crate) kind: Kind,
    pub(crate) tracking: Tracking,
}

impl Extras {
    /// No address of IPv6, whatever the subnet gives its interfaces.
    pub(crate) fn ipv4_only() -> Extras {
        Extras {
            ipv6: Some((vec![], 0)),
            ..Extras::default()
        }
    }
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
    let extras = plan.extras;
    let (named_v4, more_v4) = &extras.ipv4_prefixes;
    let (named_v6, more_v6) = &extras.ipv6_prefixes;
    let (ipv6, more_ipv6) = extras.ipv6.unwrap_or_else(|| {
        let prefixed = !named_v6.is_empty() || *more_v6 > 0;
        let one = subnet.on_launch.ipv6_address && !prefixed;
        (Vec::new(), usize::from(one))
    });
    for numbers in [
        [plan.requested.len(), more, named_v4.len(), *more_v4],
        [ipv6.len(), more_ipv6, named_v6.len(), *more_v6],
    ] {
        let number = numbers.into_iter().fold(0, usize::saturating_add);
        quota::PRIVATE_ADDRESSES.check(tx, ctx, number)?;
    }
    let mut taken = subnet_addresses::Taken::of(tx.state(), subnet.id);
    let v6 = subnet_addresses::IPV6_PREFIX;
    let ipv6_prefixes =
        subnet_addresses::choose_prefixes(&mut taken, subnet, v6, named_v6, *more_v6)?;
    let random = || ctx.random();
    let ipv6 = subnet_addresses::choose_ipv6(&mut taken, subnet, &ipv6, more_ipv6, &random)?;
    if extras.primary_ipv6 && ipv6.is_empty() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "A primary IPv6 address requires an IPv6 address",
        ));
    }
    let v4 = subnet_addresses::IPV4_PREFIX;
    // What is named comes first, so that nothing that is chosen is in its way.
    let named = subnet_addresses::choose(&mut taken, subnet, &plan.requested, 0)?;
    let ipv4_prefixes =
        subnet_addresses::choose_prefixes(&mut taken, subnet, v4, named_v4, *more_v4)?;
    let chosen = subnet_addresses::choose(&mut taken, subnet, &[], more)?;
    let addresses: Vec<IpAddr> = named.into_iter().chain(chosen).collect();
    quota::INTERFACES.one_more(tx, ctx, resource::own::<NetworkInterface>(tx, ctx).count())?;
    let interface = NetworkInterface {
        id: InterfaceId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: plan.tags,
        vpc,
        subnet: plan.subnet,
        mac: new_mac(tx, ctx)?,
        addresses,
        ipv6,
        ipv4_prefixes,
        ipv6_prefixes,
        primary_ipv6: extras.primary_ipv6,
        kind: extras.kind,
        ena_srd: None,
        tracking: extras.tracking,
        groups: plan.groups,
        source_dest_check: true,
        description: plan.description,
        attachment: None,
        client_token: plan.client_token,
        holder: None,
        public_on_launch: false,
    };
    tx.put(interface.clone());
    Ok(interface)
}

/// An Ethernet address as a number.
fn number(mac: Mac) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// A random, locally administered unicast address (IEEE 802) that no interface and not the router has.
fn new_mac(tx: &Tx, ctx: &Context<'_>) -> Result<Mac, ApiError> {
    /// Forty random bits collide seldom; this often only if the source of randomness is broken.
    const TRIES: usize = 64;
    for _ in 0..TRIES {
        let [.., a, b, c, d, e] = ctx.random().to_be_bytes();
        let mac = Mac([0x02, a, b, c, d, e]);
        // 02:70 begins the router's address and the addresses that frames carry between slow and fast path.
        if a != 0x70 && !tx.state().interfaces.has(&Key::Number(number(mac))) {
            return Ok(mac);
        }
    }
    Err(ApiError::internal("no free Ethernet address was found"))
}

/// A private address of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Ipv4PrefixSpecification {
    ipv4_prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Ipv6PrefixSpecification {
    ipv6_prefix: Option<String>,
}

/// An IPv6 address in a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Ipv6AddressSpecification {
    ipv6_address: Option<String>,
}

/// The IPv6 addresses of a request: those that it names, and how many more. `None` if it says nothing of them, which
/// leaves it to the subnet.
pub(crate) fn requested_ipv6(
    named: Option<Vec<Ipv6AddressSpecification>>,
    count: Option<i64>,
) -> Result<Option<(Vec<String>, usize)>, ApiError> {
    let named = texts(named, |item| item.ipv6_address, "ipv6Address")?;
    if named.is_empty() && count.is_none() {
        return Ok(None);
    }
    named_or_counted(named, count, "ipv6Addresses").map(Some)
}

/// When idle connections shall be forgotten, in seconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TrackingSpecification {
    tcp_established_timeout: Option<i64>,
    udp_stream_timeout: Option<i64>,
    udp_timeout: Option<i64>,
}

impl TrackingSpecification {
    /// The times within EC2's bounds; what is not named stays as it was.
    pub(crate) fn checked(self, before: Tracking) -> Result<Tracking, ApiError> {
        let within = |value: Option<i64>, before, name, low: u32, high: u32| {
            let Some(value) = value else {
                return Ok(before);
            };
            let good = u32::try_from(value)
                .ok()
                .filter(|v| (low..=high).contains(v));
            good.map(Some).ok_or_else(|| {
                ApiError::new(
                    "InvalidParameterValue",
                    format!("Value ({value}) for parameter {name} is invalid. Expecting a value between {low} and {high}."),
                )
            })
        };
        Ok(Tracking {
            tcp_established: within(
                self.tcp_established_timeout,
                before.tcp_established,
                "tcpEstablishedTimeout",
                60,
                432_000,
            )?,
            udp: within(self.udp_timeout, before.udp, "udpTimeout", 30, 60)?,
            udp_stream: within(
                self.udp_stream_timeout,
                before.udp_stream,
                "udpStreamTimeout",
                60,
                180,
            )?,
        })
    }
}

/// What a request names, or how many it wants without naming them: one of the two.
pub(crate) fn named_or_counted(
    named: Vec<String>,
    count: Option<i64>,
    parameter: &str,
) -> Result<(Vec<String>, usize), ApiError> {
    let count = count_of(count)?;
    if count > 0 && !named.is_empty() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            format!(
                "You may specify {parameter} or a count of them, but not both in the same call"
            ),
        ));
    }
    Ok((named, count))
}

/// The texts of a list of structures, each of which must have one.
fn texts<S>(
    list: Option<Vec<S>>,
    text: impl Fn(S) -> Option<String>,
    parameter: &str,
) -> Result<Vec<String>, ApiError> {
    let list = list.unwrap_or_default();
    list.into_iter()
        .map(|item| text(item).ok_or_else(|| resource::missing(parameter)))
        .collect()
}

fn kind_of(text: Option<&str>) -> Result<Kind, ApiError> {
    match text {
        None | Some("interface") => Ok(Kind::Interface),
        Some("efa") => Ok(Kind::Efa),
        Some(other @ ("efa-only" | "branch" | "trunk")) => {
            Err(resource::unsupported("InterfaceType", &other))
        }
        Some(other) => Err(resource::invalid_value(&other, "interfaceType")),
    }
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
    ipv4_prefixes: Option<Vec<Ipv4PrefixSpecification>>,
    ipv4_prefix_count: Option<i64>,
    ipv6_prefixes: Option<Vec<Ipv6PrefixSpecification>>,
    ipv6_prefix_count: Option<i64>,
    ipv6_addresses: Option<Vec<Ipv6AddressSpecification>>,
    ipv6_address_count: Option<i64>,
    enable_primary_ipv6: Option<bool>,
    connection_tracking_specification: Option<TrackingSpecification>,
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
    req: CreateNetworkInterfaceRequest,
) -> Result<CreateNetworkInterfaceReply, ApiError> {
    let token = req.client_token;
    let client_token = ClientToken::new(tx, token.clone())?;
    if let Some(new) = &client_token {
        for old in resource::own::<NetworkInterface>(tx, ctx) {
            if old
                .client_token
                .as_ref()
                .map_or(Ok(false), |earlier| new.repeats(earlier))?
            {
                return Ok(CreateNetworkInterfaceReply {
                    network_interface: reply(&View::new(tx.state(), ctx), old),
                    client_token: token,
                });
            }
        }
    }
    let ipv6 = requested_ipv6(req.ipv6_addresses, req.ipv6_address_count)?;
    let ipv4_prefixes = texts(req.ipv4_prefixes, |item| item.ipv4_prefix, "ipv4Prefix")?;
    let ipv6_prefixes = texts(req.ipv6_prefixes, |item| item.ipv6_prefix, "ipv6Prefix")?;
    let tracking = Tracking::default();
    let extras = Extras {
        ipv6,
        ipv4_prefixes: named_or_counted(ipv4_prefixes, req.ipv4_prefix_count, "ipv4Prefixes")?,
        ipv6_prefixes: named_or_counted(ipv6_prefixes, req.ipv6_prefix_count, "ipv6Prefixes")?,
        primary_ipv6: req.enable_primary_ipv6.unwrap_or(false),
        kind: kind_of(req.interface_type.as_deref())?,
        tracking: match req.connection_tracking_specification {
            None => tracking,
            Some(specification) => specification.checked(tracking)?,
        },
    };
    let subnet = resource::find::<Subnet>(tx, ctx, &req.subnet_id)?;
    let (subnet, vpc) = (subnet.id, subnet.vpc);
    let plan = Plan {
        subnet,
        requested: requested_addresses(req.private_ip_address, req.private_ip_addresses)?,
        more: count_of(req.secondary_private_ip_address_count)?,
        groups: security_group::for_interface(tx, ctx, vpc, subnet, req.groups.as_deref())?,
        description: checked_description(req.description)?,
        tags: Tags::of_new(req.tag_specifications.as_deref(), "network-interface")?,
        client_token,
        extras,
    };
    let interface = make(tx, ctx, plan)?;
    Ok(CreateNetworkInterfaceReply {
        network_interface: reply(&View::new(tx.state(), ctx), &interface),
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
    if interface.status() == "in-use" || crate::mortal::is_held(tx.state(), id) {
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
    for address in addresses {
        public_on_launch::set_free(tx, address);
    }
    crate::mortal::forget_what_watches(tx, id);
    let permissions: Vec<InterfacePermissionId> = tx
        .state()
        .interface_permissions
        .of(id)
        .map(|permission| permission.id)
        .collect();
    for permission in permissions {
        tx.remove::<InterfacePermission>(&permission);
    }
    tx.remove::<NetworkInterface>(&id);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::testing::{World, count, text};

    fn subnet(world: &mut World) -> String {
        text(
            &world.ok("DescribeSubnets", json!({})),
            "Subnets.0.SubnetId",
        )
    }

    #[test]
    fn a_new_interface_and_its_attributes() {
        let mut world = World::new();
        let subnet = subnet(&mut world);
        let made = world.ok(
            "CreateNetworkInterface",
            json!({"SubnetId": subnet, "Description": "d"}),
        );
        let id = text(&made, "NetworkInterface.NetworkInterfaceId");
        assert_eq!(
            text(&made, "NetworkInterface.Groups.0.GroupName"),
            "default"
        );
        assert_eq!(text(&made, "NetworkInterface.Status"), "available");
        assert_eq!(text(&made, "NetworkInterface.SourceDestCheck"), "true");
        let request = json!({"NetworkInterfaceId": id, "SourceDestCheck": {"Value": false}});
        world.ok("ModifyNetworkInterfaceAttribute", request);
        let request = json!({"NetworkInterfaceId": id, "Attribute": "sourceDestCheck"});
        let shown = world.ok("DescribeNetworkInterfaceAttribute", request);
        assert_eq!(text(&shown, "SourceDestCheck.Value"), "false");
        let two = json!({"NetworkInterfaceId": id, "SourceDestCheck": {"Value": true}, "Description": {"Value": "e"}});
        assert_eq!(
            world.err("ModifyNetworkInterfaceAttribute", two),
            "InvalidParameterCombination"
        );
        let filters = json!({"Filters": [{"Name": "source-dest-check", "Values": ["false"]}, {"Name": "description", "Values": ["?"]}]});
        assert_eq!(
            count(
                &world.ok("DescribeNetworkInterfaces", filters),
                "NetworkInterfaces"
            ),
            1
        );
        let record = world
            .state
            .interfaces
            .values()
            .next()
            .unwrap()
            .project(&world.state);
        assert_eq!(record.hostname, host_name(record.addresses[0]));
        assert!(!record.source_dest_check && record.instance.is_none());
        world.ok("DeleteNetworkInterface", json!({"NetworkInterfaceId": id}));
        let code = world.err("DeleteNetworkInterface", json!({"NetworkInterfaceId": id}));
        assert_eq!(code, "InvalidNetworkInterfaceID.NotFound");
    }

    #[test]
    fn tokens_make_repeats_harmless() {
        let mut world = World::new();
        let subnet = subnet(&mut world);
        let request = json!({"SubnetId": subnet, "ClientToken": "t"});
        let first = world.ok("CreateNetworkInterface", request.clone());
        assert_eq!(world.ok("CreateNetworkInterface", request), first);
        let other = json!({"SubnetId": subnet, "ClientToken": "t", "Description": "other"});
        assert_eq!(
            world.err("CreateNetworkInterface", other),
            "IdempotentParameterMismatch"
        );
        assert_eq!(world.state.interfaces.size(), 1);
    }

    #[test]
    fn ethernet_addresses_are_local_unicast_and_unique() {
        let mut world = World::new();
        let subnet = subnet(&mut world);
        for _ in 0..50 {
            world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        }
        let macs: BTreeSet<Mac> = world.state.interfaces.values().map(|i| i.mac).collect();
        assert_eq!(macs.len(), 50);
        assert!(
            macs.iter()
                .all(|mac| mac.0[0] == 0x02 && mac.0[1] != 0x70 && !mac.is_group())
        );
    }

    #[test]
    fn names() {
        let address = "10.0.0.4".parse().unwrap();
        assert_eq!(
            private_dns_name(&"us-east-1".parse().unwrap(), address),
            "ip-10-0-0-4.ec2.internal"
        );
        assert_eq!(
            private_dns_name(&"eu-central-1".parse().unwrap(), address),
            "ip-10-0-0-4.eu-central-1.compute.internal"
        );
    }
}
