//! Elastic IP addresses.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, AddressAssociationId, AllocationId, InstanceId, InterfaceId, RegionName};

use crate::address_attribute::Reverse;
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::instance::InstanceState;
use crate::resource::{self, Query, Resource};
use crate::table::{Indexed, Keys};
use crate::tags::{Tag, TagSpecification};
use crate::{
    Context, Instance, Key, NetworkInterface, State, Tags, Timestamp, Tx, Vpc, address_transfer,
    network_interface, public_on_launch, quota,
};

actions! {
    "AllocateAddress" => allocate_address, Enforced;
    "AssociateAddress" => associate_address, Enforced;
    "DescribeAddresses" => describe_addresses, Control;
    "DisassociateAddress" => disassociate_address, Enforced;
    "ReleaseAddress" => release_address, Enforced;
}

/// An elastic IP address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Address {
    /// Its identifier.
    pub id: AllocationId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The address that the outside sees; no other record of any account or region has it.
    pub public: IpAddr,
    /// What it leads to.
    pub association: Option<Association>,
    /// Whether it is none of the account's elastic addresses but one of Amazon's: see [`crate::public_on_launch`].
    #[serde(default)]
    pub automatic: bool,
    /// Its reverse name.
    #[serde(default)]
    pub reverse: Option<Reverse>,
}

/// What an elastic IP address leads to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Association {
    /// Its identifier.
    pub id: AddressAssociationId,
    /// The interface.
    pub interface: InterfaceId,
    /// The interface's address that the public one stands for; no other association has it.
    pub private: IpAddr,
}

impl Indexed for Address {
    fn keys(&self, keys: &mut Keys<'_>) {
        if !self.automatic {
            keys.owner(self.account, &self.region);
        }
        let association = self.association.as_ref();
        keys.of(association.map(|association| association.interface));
        keys.address(self.public);
    }
}

impl Resource for Address {
    const TYPE: &'static str = "elastic-ip";

    fn account(&self) -> AccountId {
        self.account
    }
    fn region(&self) -> &RegionName {
        &self.region
    }
    fn tags(&self) -> &Tags {
        &self.tags
    }
    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
    fn not_found(id: &str) -> ApiError {
        ApiError::new(
            "InvalidAllocationID.NotFound",
            format!("The allocation ID '{id}' does not exist"),
        )
    }
    fn is_shown(&self) -> bool {
        !self.automatic
    }
}

impl Address {
    /// Whose it is, in EC2's words.
    pub(crate) fn owner(&self) -> String {
        if self.automatic {
            POOL.to_owned()
        } else {
            self.account.to_string()
        }
    }

    /// Whether it has a reverse name, or will have, or had until just now.
    pub(crate) fn has_reverse_name(&self, now: Timestamp) -> bool {
        let name = self.reverse.as_ref();
        name.is_some_and(|reverse| reverse.name.is_some() || now < reverse.settled)
    }

    /// Its identifier and its association's, if clients may use them.
    pub(crate) fn handles(&self) -> (Option<AllocationId>, Option<AddressAssociationId>) {
        if self.automatic {
            return (None, None);
        }
        (Some(self.id), self.association.as_ref().map(|a| a.id))
    }

    /// The address as hosts know it; `None` while it leads nowhere.
    pub(crate) fn project(&self) -> Option<topology::PublicAddress> {
        let association = self.association.as_ref()?;
        Some(topology::PublicAddress {
            allocation: self.id,
            public: self.public,
            interface: association.interface,
            private: association.private,
        })
    }
}

/// The addresses that lead to an interface, by allocation.
pub(crate) fn of_interface(
    state: &State,
    interface: InterfaceId,
) -> impl Iterator<Item = &Address> {
    state.addresses.of(interface)
}

/// The address that stands for a private one of an interface.
pub(crate) fn of_private(
    state: &State,
    interface: InterfaceId,
    private: IpAddr,
) -> Option<&Address> {
    let stands = |address: &&Address| {
        address
            .association
            .as_ref()
            .is_some_and(|association| association.private == private)
    };
    of_interface(state, interface).find(stands)
}

/// `AllocateAddress`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AllocateAddressRequest {
    domain: Option<String>,
    address: Option<String>,
    public_ipv4_pool: Option<String>,
    network_border_group: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AllocateAddressReply {
    pub(crate) allocation_id: AllocationId,
    public_ipv4_pool: &'static str,
    network_border_group: RegionName,
    domain: &'static str,
    pub(crate) public_ip: IpAddr,
}

/// Takes the lowest free address of the pool, or the one that is asked for.
pub(crate) fn allocate_address(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AllocateAddressRequest,
) -> Result<AllocateAddressReply, ApiError> {
    if let Some(domain) = req.domain.filter(|domain| domain != "vpc") {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("Value ({domain}) for parameter domain is invalid. The only domain is 'vpc'."),
        ));
    }
    if let Some(pool) = req.public_ipv4_pool.filter(|pool| pool != POOL) {
        return Err(ApiError::new(
            "InvalidPublicIpv4PoolID.NotFound",
            format!("The poolId '{pool}' does not exist."),
        ));
    }
    if let Some(group) = req
        .network_border_group
        .filter(|group| group != ctx.region.as_str())
    {
        return Err(resource::unsupported("NetworkBorderGroup", &group));
    }
    let tags = Tags::of_new(req.tag_specifications.as_deref(), "elastic-ip")?;
    quota::ADDRESSES.one_more(tx, ctx, resource::own::<Address>(tx, ctx).count())?;
    let public = match req.address {
        Some(text) => requested(tx, ctx, &text)?,
        None => lowest_free(tx, ctx)?,
    };
    let address = Address {
        id: AllocationId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        public,
        association: None,
        automatic: false,
        reverse: None,
    };
    let allocation_id = address.id;
    tx.put(address);
    Ok(AllocateAddressReply {
        allocation_id,
        public_ipv4_pool: POOL,
        network_border_group: ctx.region.clone(),
        domain: "vpc",
        public_ip: public,
    })
}

/// The name of the only pool there is, EC2's own.
const POOL: &str = "amazon";

/// Whether the address is one that clients can have: not the host's, and neither the first nor the last of the pool.
fn is_usable(ctx: &Context<'_>, address: IpAddr) -> bool {
    let pool = ctx.settings.pool.pool;
    pool.contains(address)
        && address != pool.network()
        && address != pool.last()
        && address != ctx.settings.pool.host
}

fn is_taken(tx: &Tx, address: IpAddr) -> bool {
    tx.state().addresses.has(&Key::Address(address))
}

fn requested(tx: &Tx, ctx: &Context<'_>, text: &str) -> Result<IpAddr, ApiError> {
    let address: IpAddr = text.parse().map_err(|_| {
        ApiError::new(
            "InvalidParameterValue",
            format!("Invalid value '{text}' for address"),
        )
    })?;
    if !is_usable(ctx, address) || is_taken(tx, address) {
        return Err(ApiError::new(
            "InvalidAddress.NotFound",
            format!("Address '{text}' not found."),
        ));
    }
    Ok(address)
}

fn lowest_free(tx: &Tx, ctx: &Context<'_>) -> Result<IpAddr, ApiError> {
    // Ends at the first gap: it looks at as many addresses as are taken, and three more.
    let pool = ctx.settings.pool.pool;
    first_free(tx, ctx, 0..pool.size())
}

/// The free address of the pool that is the farthest from the lowest one.
pub(crate) fn highest_free(tx: &Tx, ctx: &Context<'_>) -> Result<IpAddr, ApiError> {
    let pool = ctx.settings.pool.pool;
    first_free(tx, ctx, (0..pool.size()).rev())
}

fn first_free(
    tx: &Tx,
    ctx: &Context<'_>,
    mut offsets: impl Iterator<Item = u128>,
) -> Result<IpAddr, ApiError> {
    let pool = ctx.settings.pool.pool;
    offsets
        .find_map(|offset| {
            pool.nth(offset)
                .filter(|address| is_usable(ctx, *address) && !is_taken(tx, *address))
        })
        .ok_or_else(|| {
            ApiError::new(
                "InsufficientAddressCapacity",
                "Not enough available addresses to satisfy your request.",
            )
        })
}

/// `DescribeAddresses`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeAddressesRequest {
    public_ips: Option<Vec<String>>,
    allocation_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeAddressesReply {
    addresses: Vec<AddressReply>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddressReply {
    allocation_id: AllocationId,
    association_id: Option<AddressAssociationId>,
    domain: &'static str,
    network_interface_id: Option<InterfaceId>,
    network_interface_owner_id: Option<AccountId>,
    private_ip_address: Option<IpAddr>,
    instance_id: Option<InstanceId>,
    public_ip: IpAddr,
    public_ipv4_pool: &'static str,
    network_border_group: RegionName,
    tags: Vec<Tag>,
}

fn instance_of(state: &State, address: &Address) -> Option<InstanceId> {
    let interface = state
        .interfaces
        .get(&address.association.as_ref()?.interface)?;
    Some(interface.attachment.as_ref()?.instance)
}

fn associated(address: &Address, value: impl Fn(&Association) -> String) -> Vec<String> {
    address.association.iter().map(value).collect()
}

const FIELDS: &[Field<Address>] = &[
    ("allocation-id", |_, a| vec![a.id.to_string()]),
    ("association-id", |_, a| associated(a, |s| s.id.to_string())),
    ("domain", |_, _| vec!["vpc".to_owned()]),
    ("instance-id", |s, a| {
        instance_of(s, a).iter().map(ToString::to_string).collect()
    }),
    ("network-border-group", |_, a| vec![a.region.to_string()]),
    ("network-interface-id", |_, a| {
        associated(a, |s| s.interface.to_string())
    }),
    ("network-interface-owner-id", |_, a| {
        associated(a, |_| a.account.to_string())
    }),
    ("private-ip-address", |_, a| {
        associated(a, |s| s.private.to_string())
    }),
    ("public-ip", |_, a| vec![a.public.to_string()]),
];

/// Lists addresses; EC2 has no pages here.
pub(crate) fn describe_addresses(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeAddressesRequest,
) -> Result<DescribeAddressesReply, ApiError> {
    let mut ids = req.allocation_ids.unwrap_or_default();
    for public in req.public_ips.unwrap_or_default() {
        ids.push(find_public(tx, ctx, &public)?.id.to_string());
    }
    let query = Query {
        ids: Some(&ids),
        filters: req.filters.as_deref(),
        max_results: None,
        next_token: None,
    };
    let page = resource::describe::<Address>(tx, ctx, &query, FIELDS, &(1..=i64::MAX))?;
    let addresses = page.items.into_iter().map(|address| AddressReply {
        allocation_id: address.id,
        association_id: address.association.as_ref().map(|a| a.id),
        domain: "vpc",
        network_interface_id: address.association.as_ref().map(|a| a.interface),
        network_interface_owner_id: address.association.as_ref().map(|_| address.account),
        private_ip_address: address.association.as_ref().map(|a| a.private),
        instance_id: instance_of(tx.state(), address),
        public_ip: address.public,
        public_ipv4_pool: POOL,
        network_border_group: address.region.clone(),
        tags: address.tags.reply(),
    });
    Ok(DescribeAddressesReply {
        addresses: addresses.collect(),
    })
}

/// The client's address with this value.
///
/// # Errors
/// `InvalidAddress.NotFound`.
pub(crate) fn find_public<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    public: &str,
) -> Result<&'t Address, ApiError> {
    resource::own::<Address>(tx, ctx)
        .find(|address| address.public.to_string() == public)
        .ok_or_else(|| {
            ApiError::new(
                "InvalidAddress.NotFound",
                format!("Address '{public}' not found."),
            )
        })
}

fn find_named<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: Option<&str>,
    public: Option<&str>,
) -> Result<&'t Address, ApiError> {
    match (id, public) {
        (Some(_), Some(_)) => Err(ApiError::new(
            "InvalidParameterCombination",
            "You may specify public IP or allocation id, but not both in the same call",
        )),
        (Some(id), None) => resource::find::<Address>(tx, ctx, id),
        (None, Some(public)) => find_public(tx, ctx, public),
        (None, None) => Err(ApiError::new(
            "MissingParameter",
            "Either public IP or allocation id must be specified",
        )),
    }
}

/// `AssociateAddress`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateAddressRequest {
    allocation_id: Option<String>,
    public_ip: Option<String>,
    instance_id: Option<String>,
    network_interface_id: Option<String>,
    private_ip_address: Option<String>,
    allow_reassociation: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssociateAddressReply {
    pub(crate) association_id: AddressAssociationId,
}

/// Lets an address lead to a private one of an interface. "Reassociation is automatic, but you can specify false to
/// ensure the operation fails if the Elastic IP address is already associated with another resource"; a private
/// address that had another elastic one gives that up.
pub(crate) fn associate_address(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateAddressRequest,
) -> Result<AssociateAddressReply, ApiError> {
    let mut address = find_named(
        tx,
        ctx,
        req.allocation_id.as_deref(),
        req.public_ip.as_deref(),
    )?
    .clone();
    check_not_held(tx, &address)?;
    let interface = target(
        tx,
        ctx,
        req.instance_id.as_deref(),
        req.network_interface_id.as_deref(),
    )?;
    let vpc = interface.vpc;
    if tx
        .get::<Vpc>(&vpc)
        .is_none_or(|vpc| vpc.internet_gateway.is_none())
    {
        return Err(ApiError::new(
            "Gateway.NotAttached",
            format!("Network {vpc} is not attached to any internet gateway"),
        ));
    }
    let private = match &req.private_ip_address {
        None => interface.primary(),
        Some(text) => interface
            .addresses
            .iter()
            .find(|address| address.to_string() == *text)
            .copied(),
    };
    let private = private.ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue",
            format!(
                "The private IP address '{}' is not assigned to network interface '{}'",
                req.private_ip_address.as_deref().unwrap_or_default(),
                interface.id
            ),
        )
    })?;
    let interface = interface.id;
    if let Some(old) = &address.association {
        if old.interface == interface && old.private == private {
            return Ok(AssociateAddressReply {
                association_id: old.id,
            });
        }
        if req.allow_reassociation == Some(false) {
            return Err(ApiError::new(
                "Resource.AlreadyAssociated",
                format!(
                    "resource {} is already associated with associate-id {}",
                    address.id, old.id
                ),
            ));
        }
    }
    if let Some(other) = of_private(tx.state(), interface, private).cloned() {
        if req.allow_reassociation == Some(false) && !other.automatic {
            return Err(ApiError::new(
                "Resource.AlreadyAssociated",
                format!(
                    "resource {interface} is already associated with address {}",
                    other.public
                ),
            ));
        }
        public_on_launch::set_free(tx, other);
    }
    let id = AddressAssociationId::from_bits(ctx.random());
    address.association = Some(Association {
        id,
        interface,
        private,
    });
    tx.put(address);
    Ok(AssociateAddressReply { association_id: id })
}

/// The interface that an instance id or an interface id means; of an instance, its primary one.
fn target<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    instance: Option<&str>,
    interface: Option<&str>,
) -> Result<&'t NetworkInterface, ApiError> {
    match (instance, interface) {
        (Some(_), Some(_)) => Err(ApiError::new(
            "InvalidParameterCombination",
            "You may specify an instance id or a network interface id, but not both in the same call",
        )),
        (None, Some(id)) => network_interface::find_own(tx, ctx, id),
        (Some(id), None) => {
            let instance = resource::find::<Instance>(tx, ctx, id)?;
            if !(instance.state.is_settled() || instance.state == InstanceState::Stopping) {
                return Err(ApiError::new(
                    "InvalidInstanceID",
                    format!(
                        "The {} instance '{id}' is not in a valid state for this operation.",
                        instance.state.name()
                    ),
                ));
            }
            if instance.interfaces.len() > 1 {
                return Err(ApiError::new(
                    "InvalidInstanceID",
                    format!(
                        "There are multiple interfaces attached to instance '{id}'. Please specify an interface ID \
                         for the operation instead."
                    ),
                ));
            }
            let primary = instance
                .interfaces
                .get(&0)
                .and_then(|id| tx.get::<NetworkInterface>(id));
            primary.ok_or_else(|| Instance::not_found(id))
        }
        (None, None) => Err(ApiError::new(
            "MissingParameter",
            "Either instance ID or network interface id must be specified",
        )),
    }
}

/// What a service uses, clients cannot take away.
///
/// # Errors
/// `AuthFailure` for the address of an interface that a service holds.
fn check_not_held(tx: &Tx, address: &Address) -> Result<(), ApiError> {
    let interface = address
        .association
        .as_ref()
        .and_then(|association| tx.get::<NetworkInterface>(&association.interface));
    if interface.is_some_and(|interface| interface.holder.is_some()) {
        return Err(ApiError::new(
            "AuthFailure",
            "You do not have permission to access the specified resource.",
        ));
    }
    Ok(())
}

/// `DisassociateAddress`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisassociateAddressRequest {
    association_id: Option<String>,
    public_ip: Option<String>,
}

/// Lets an address lead nowhere.
pub(crate) fn disassociate_address(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DisassociateAddressRequest,
) -> Result<(), ApiError> {
    let found = match (&req.association_id, &req.public_ip) {
        (Some(id), None) => resource::own::<Address>(tx, ctx)
            .find(|address| {
                address
                    .association
                    .as_ref()
                    .is_some_and(|a| a.id.to_string() == *id)
            })
            .ok_or_else(|| {
                ApiError::new(
                    "InvalidAssociationID.NotFound",
                    format!("The association ID '{id}' does not exist"),
                )
            })?,
        (None, Some(public)) => find_public(tx, ctx, public)?,
        _ => {
            return Err(ApiError::new(
                "MissingParameter",
                "Either public IP or association id must be specified",
            ));
        }
    };
    let mut address = found.clone();
    check_not_held(tx, &address)?;
    let Some(association) = address.association.take() else {
        return Err(ApiError::new(
            "InvalidAssociationID.NotFound",
            format!("The address '{}' is not associated", address.public),
        ));
    };
    tx.put(address);
    public_on_launch::after_elastic(tx, ctx, association.interface);
    Ok(())
}

/// `ReleaseAddress`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReleaseAddressRequest {
    allocation_id: Option<String>,
    public_ip: Option<String>,
    network_border_group: Option<String>,
}

/// Gives an address back to the pool.
pub(crate) fn release_address(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReleaseAddressRequest,
) -> Result<(), ApiError> {
    if let Some(group) = req
        .network_border_group
        .filter(|group| group != ctx.region.as_str())
    {
        return Err(resource::unsupported("NetworkBorderGroup", &group));
    }
    let address = find_named(
        tx,
        ctx,
        req.allocation_id.as_deref(),
        req.public_ip.as_deref(),
    )?;
    if address.association.is_some() {
        return Err(ApiError::new(
            "InvalidIPAddress.InUse",
            format!("Address {} is in use.", address.public),
        ));
    }
    if address.has_reverse_name(ctx.now) {
        return Err(ApiError::new(
            "InvalidAddress.Locked",
            format!(
                "Address with allocation id '{}' cannot be released because it is locked to your account: it has a \
                 reverse DNS record.",
                address.id
            ),
        ));
    }
    let id = address.id;
    address_transfer::withdraw(tx, id);
    tx.remove::<Address>(&id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    fn launch(world: &mut World) -> String {
        let request = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        text(&world.ok("RunInstances", request), "Instances.0.InstanceId")
    }

    fn allocate(world: &mut World) -> (String, String) {
        let made = world.ok("AllocateAddress", json!({"Domain": "vpc"}));
        (text(&made, "AllocationId"), text(&made, "PublicIp"))
    }

    #[test]
    fn the_pool_gives_its_lowest_free_address_once() {
        let mut world = World::new();
        let (first, public) = allocate(&mut world);
        // .0 is the network, .1 the host.
        assert_eq!(public, "203.0.113.2");
        world.account = account("444455556666");
        assert_eq!(allocate(&mut world).1, "203.0.113.3");
        assert_eq!(
            world.err("ReleaseAddress", json!({"AllocationId": first})),
            "InvalidAllocationID.NotFound"
        );
        world.account = account("111122223333");
        world.ok("ReleaseAddress", json!({"AllocationId": first}));
        assert_eq!(allocate(&mut world).1, "203.0.113.2");
        let asked = json!({"Address": "203.0.113.9"});
        assert_eq!(
            text(&world.ok("AllocateAddress", asked.clone()), "PublicIp"),
            "203.0.113.9"
        );
        for address in [
            "203.0.113.9",
            "203.0.113.0",
            "203.0.113.1",
            "203.0.113.255",
            "198.51.100.1",
        ] {
            let code = world.err("AllocateAddress", json!({"Address": address}));
            assert_eq!(code, "InvalidAddress.NotFound", "{address}");
        }
        for number in 3..253 {
            // The pool is everybody's, the quota each one's own.
            world.account = account(&format!("{:012}", number / crate::quota::ADDRESSES.default));
            world.ok("AllocateAddress", json!({}));
        }
        world.account = account("444455556666");
        assert_eq!(
            world.err("AllocateAddress", json!({})),
            "InsufficientAddressCapacity"
        );
    }

    #[test]
    fn an_address_leads_to_an_instance() {
        let mut world = World::new();
        let (a, b) = (launch(&mut world), launch(&mut world));
        let (allocation, public) = allocate(&mut world);
        let associate = |instance: &str, again: Option<bool>| json!({"AllocationId": allocation, "InstanceId": instance, "AllowReassociation": again});
        let done = world.ok("AssociateAddress", associate(&a, None));
        let shown = world.ok(
            "DescribeInstances",
            json!({"Filters": [{"Name": "ip-address", "Values": [public]}]}),
        );
        assert_eq!(text(&shown, "Reservations.0.Instances.0.InstanceId"), a);
        assert_eq!(
            text(&shown, "Reservations.0.Instances.0.PublicIpAddress"),
            public
        );
        let is_elastic = |a: &&crate::Address| !a.automatic;
        let elastic = world.state.addresses.values().find(is_elastic);
        let projected = elastic.unwrap().project().unwrap();
        assert_eq!(projected.public.to_string(), public);
        // The same again changes nothing; another instance gets it unless the client says no.
        assert_eq!(
            world.ok("AssociateAddress", associate(&a, Some(false))),
            done
        );
        assert_eq!(
            world.err("AssociateAddress", associate(&b, Some(false))),
            "Resource.AlreadyAssociated"
        );
        world.ok("AssociateAddress", associate(&b, None));
        let (second, _) = allocate(&mut world);
        let onto = |again: bool| json!({"AllocationId": second, "InstanceId": b, "AllowReassociation": again});
        assert_eq!(
            world.err("AssociateAddress", onto(false)),
            "Resource.AlreadyAssociated"
        );
        world.ok("AssociateAddress", onto(true));
        assert_eq!(
            world
                .state
                .addresses
                .values()
                .filter(|a| a.association.is_some() && !a.automatic)
                .count(),
            1
        );
        assert_eq!(
            world.err("ReleaseAddress", json!({"AllocationId": second})),
            "InvalidIPAddress.InUse"
        );
        world.ok("ReleaseAddress", json!({"PublicIp": public}));
        let shown = world.ok("DescribeAddresses", json!({"AllocationIds": [second]}));
        let association = text(&shown, "Addresses.0.AssociationId");
        let attribute = json!({"AllocationIds": [second], "Attribute": "domain-name"});
        let named = world.ok("DescribeAddressesAttribute", attribute);
        assert_eq!(text(&named, "Addresses.0.AllocationId"), second);
        world.ok("DisassociateAddress", json!({"AssociationId": association}));
        let code = world.err("DisassociateAddress", json!({"AssociationId": association}));
        assert_eq!(code, "InvalidAssociationID.NotFound");
        world.ok("ReleaseAddress", json!({"AllocationId": second}));
        assert_eq!(
            count(&world.ok("DescribeAddresses", json!({})), "Addresses"),
            0
        );
    }

    #[test]
    fn the_network_needs_a_gateway() {
        let mut world = World::new();
        let vpc = text(
            &world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})),
            "Vpc.VpcId",
        );
        let subnet = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24"}),
        );
        let subnet = text(&subnet, "Subnet.SubnetId");
        let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        let interface = text(&made, "NetworkInterface.NetworkInterfaceId");
        let (allocation, _) = allocate(&mut world);
        let request = json!({"AllocationId": allocation, "NetworkInterfaceId": interface});
        assert_eq!(
            world.err("AssociateAddress", request.clone()),
            "Gateway.NotAttached"
        );
        let gateway = world.ok("CreateInternetGateway", json!({}));
        let gateway = text(&gateway, "InternetGateway.InternetGatewayId");
        world.ok(
            "AttachInternetGateway",
            json!({"InternetGatewayId": gateway, "VpcId": vpc}),
        );
        world.ok("AssociateAddress", request);
        // The interface takes the association with it.
        world.ok(
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": interface}),
        );
        assert!(
            world
                .state
                .addresses
                .values()
                .all(|address| address.association.is_none())
        );
    }
}
