//! Allocations: what pools have handed out, and to whom.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, IpamAllocationId, IpamPoolId, RegionName, VpcId};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::ipam::pool::{IpamPool, length};
use crate::ipam::pool_cidr::block;
use crate::mortal::{self, combination, invalid};
use crate::page;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::vpc::parse_block;
use crate::{Context, Tx, quota};

actions! {
    "AllocateIpamPoolCidr" => allocate_ipam_pool_cidr, Control;
    "GetIpamPoolAllocations" => get_ipam_pool_allocations, Control;
    "ReleaseIpamPoolAllocation" => release_ipam_pool_allocation, Control;
}

/// A block that a pool has handed out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IpamAllocation {
    /// Its identifier.
    pub id: IpamAllocationId,
    /// Its owner.
    pub account: AccountId,
    /// Where its pool's manager is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The pool, one of whose blocks has this one in it.
    pub pool: IpamPoolId,
    /// The block; no other allocation of the pool overlaps it.
    pub cidr: Cidr,
    /// Who has it.
    pub used_by: Use,
    /// Where that is.
    pub used_in: RegionName,
    /// What its owner says about it.
    pub description: Option<String>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// Who has a block of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Use {
    /// The client, for what it knows best.
    Custom,
    /// A pool that is a part of this one.
    Pool(IpamPoolId),
    /// A VPC.
    Vpc(VpcId),
}

resource!(
    IpamAllocation,
    "ipam-pool-allocation",
    |this, keys| {
        keys.of([this.pool]);
        match this.used_by {
            Use::Custom => {}
            Use::Pool(id) => keys.of([id]),
            Use::Vpc(id) => keys.of([id]),
        }
    },
    |id| resource::unknown_id(
        id,
        "ipam-pool-alloc",
        "IPAM pool allocation ID",
        "InvalidIpamPoolAllocationId.NotFound",
        "InvalidIpamPoolAllocationId.Malformed",
    )
);

/// What a pool has handed out, by id.
pub(super) fn of_pool(tx: &Tx, pool: IpamPoolId) -> impl Iterator<Item = &IpamAllocation> {
    tx.of::<IpamAllocation>(pool)
        .filter(move |allocation| allocation.pool == pool)
}

/// What a request wants of a pool.
#[derive(Clone, Copy, Default)]
pub(super) struct Wish<'r> {
    /// This block.
    pub(super) cidr: Option<&'r str>,
    /// Any block of this length.
    pub(super) length: Option<i64>,
    /// Only one in these.
    pub(super) allowed: Option<&'r [String]>,
    /// None that has an address of these.
    pub(super) disallowed: Option<&'r [String]>,
}

fn too_big() -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        "The allocation size is too big for the pool.",
    )
}

/// The free block of a pool that a wish means. `tags` are those of the resource that shall have it, if it is one that
/// the pool's rule about tags is for.
pub(super) fn choose(
    tx: &Tx,
    pool: &IpamPool,
    wish: &Wish<'_>,
    tags: Option<&Tags>,
) -> Result<Cidr, ApiError> {
    if let Some(tags) = tags {
        let has = |(key, value): &(String, String)| tags.0.get(key) == Some(value);
        if !pool.rules.tags.iter().all(has) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "The resource is missing one or more of the resource tags required by the IPAM pool.",
            ));
        }
    }
    let mut taken: Vec<Cidr> = of_pool(tx, pool.id).map(|a| a.cidr).collect();
    let listed = wish.allowed.is_some_and(|l| !l.is_empty())
        || wish.disallowed.is_some_and(|l| !l.is_empty());
    if let Some(text) = wish.cidr {
        if wish.length.is_some() || listed {
            return Err(combination(
                "The request can contain either a CIDR or a netmask length with allowed and disallowed CIDRs.",
            ));
        }
        let cidr = block(text, pool)?;
        check_length(pool, cidr.length())?;
        if !pool.cidrs.iter().any(|own| own.cidr.covers(cidr)) {
            return Err(invalid(
                "cidr",
                cidr,
                "The CIDR is not within the CIDRs that are provisioned to the pool.",
            ));
        }
        if taken.iter().any(|other| other.overlaps(cidr)) {
            return Err(invalid(
                "cidr",
                cidr,
                "The CIDR overlaps with an existing allocation of the pool.",
            ));
        }
        return Ok(cidr);
    }
    let wanted = match wish.length {
        Some(given) => length("netmaskLength", given, pool.ipv6)?,
        None => pool.rules.default.ok_or_else(|| {
            combination(
                "The request cannot contain empty CIDR and Netmask Length for a pool with no default allocation \
                 netmask length set. Exactly one of them should be provided.",
            )
        })?,
    };
    check_length(pool, wanted)?;
    let parse = |list: Option<&[String]>| -> Result<Vec<Cidr>, ApiError> {
        let list = list.unwrap_or_default();
        list.iter().map(|text| block(text, pool)).collect()
    };
    let allowed = parse(wish.allowed)?;
    taken.extend(parse(wish.disallowed)?);
    taken.sort_by_key(|cidr| number(cidr.network()));
    let mut own: Vec<Cidr> = pool.cidrs.iter().map(|own| own.cidr).collect();
    own.sort_by_key(|cidr| number(cidr.network()));
    let parts = own.into_iter().flat_map(|own| {
        if allowed.is_empty() {
            vec![own]
        } else {
            // Of two blocks that overlap, the longer prefix is what they share.
            let shared = allowed.iter().filter(|other| other.overlaps(own));
            shared
                .map(|other| if own.covers(*other) { *other } else { own })
                .collect()
        }
    });
    parts
        .filter_map(|part| first_free(part, &taken, wanted))
        .next()
        .ok_or_else(too_big)
}

fn check_length(pool: &IpamPool, length: u8) -> Result<(), ApiError> {
    let short = pool.rules.min.is_some_and(|min| length < min);
    let long = pool.rules.max.is_some_and(|max| length > max);
    if short || long {
        return Err(invalid(
            "netmaskLength",
            length,
            "The netmask length is not within the allocation rules of the IPAM pool.",
        ));
    }
    Ok(())
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The lowest block of a length in a part that none of those taken overlaps, which are in the order of their first
/// addresses. Looks at each of them once.
fn first_free(part: Cidr, taken: &[Cidr], length: u8) -> Option<Cidr> {
    let (base, end) = (number(part.network()), number(part.last()));
    let mut at = Cidr::containing(part.network(), length).filter(|first| part.covers(*first))?;
    for other in taken {
        if number(other.last()) < number(at.network()) {
            continue;
        }
        if number(other.network()) > number(at.last()) {
            break;
        }
        // The next block of this length after it.
        let last = number(other.last()).max(number(at.last()));
        let next = last.checked_add(1).filter(|next| *next <= end)?;
        let address = part.nth(next.checked_sub(base)?)?;
        let mut candidate = Cidr::containing(address, length)?;
        if candidate.network() != address {
            let over = number(candidate.last())
                .checked_add(1)
                .filter(|over| *over <= end)?;
            candidate = Cidr::containing(part.nth(over.checked_sub(base)?)?, length)?;
        }
        at = candidate;
    }
    part.covers(at).then_some(at)
}

/// Records that somebody has a block of a pool.
pub(super) fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    pool: &IpamPool,
    cidr: Cidr,
    used_by: Use,
) -> Result<IpamAllocation, ApiError> {
    let present = of_pool(tx, pool.id).count();
    quota::IPAM_ALLOCATIONS.one_more(tx, ctx, present)?;
    let made = IpamAllocation {
        id: IpamAllocationId::from_bits(ctx.random()),
        account: pool.account,
        region: pool.region.clone(),
        tags: Tags::default(),
        pool: pool.id,
        cidr,
        used_by,
        used_in: ctx.region.clone(),
        description: None,
        client_token: None,
    };
    tx.put(made.clone());
    Ok(made)
}

/// The IPv4 block of a VPC that takes it from a pool, with that pool; to be bound with [`bind_vpc`] once there is the
/// VPC.
///
/// # Errors
/// The pool's "not found", `InvalidParameterValue` for a pool of another locale, what the pool's rules forbid, and
/// `InvalidVpc.Range` for what no VPC can have.
fn for_vpc(
    tx: &Tx,
    ctx: &Context<'_>,
    pool: &str,
    cidr: Option<&str>,
    length: Option<i64>,
    tags: &Tags,
) -> Result<(IpamPoolId, Cidr), ApiError> {
    // A pool serves the region of its locale, which need not be its manager's.
    let key = pool
        .parse::<IpamPoolId>()
        .map_err(|_| IpamPool::not_found(pool))?;
    let pool = tx
        .get::<IpamPool>(&key)
        .filter(|found| found.account == ctx.account)
        .ok_or_else(|| IpamPool::not_found(pool))?;
    if pool.ipv6 {
        return Err(invalid(
            "ipv4IpamPoolId",
            pool.id,
            "The address family of the pool is not IPv4.",
        ));
    }
    if pool.locale.as_deref() != Some(ctx.region.as_str()) {
        return Err(invalid(
            "ipv4IpamPoolId",
            pool.id,
            "The locale of the pool is not the Region of the request.",
        ));
    }
    let wish = Wish {
        cidr,
        length,
        ..Wish::default()
    };
    let found = choose(tx, pool, &wish, Some(tags))?;
    Ok((pool.id, parse_block(&found.to_string())?))
}

/// The IPv4 block that a request names, or takes from a pool; then with that pool.
///
/// # Errors
/// `MissingParameter` without either, and those of [`for_vpc`].
pub(crate) fn block_of_vpc(
    tx: &Tx,
    ctx: &Context<'_>,
    pool: Option<&str>,
    cidr: Option<&str>,
    length: Option<i64>,
    tags: &Tags,
) -> Result<(Option<IpamPoolId>, Cidr), ApiError> {
    if let Some(pool) = pool {
        let (pool, cidr) = for_vpc(tx, ctx, pool, cidr, length, tags)?;
        return Ok((Some(pool), cidr));
    }
    if length.is_some() {
        return Err(resource::missing("Ipv4IpamPoolId"));
    }
    let text = cidr.ok_or_else(|| resource::missing("cidrBlock"))?;
    Ok((None, parse_block(text)?))
}

/// Records that a VPC has the block that [`for_vpc`] found.
pub(crate) fn bind_vpc(
    tx: &mut Tx,
    ctx: &Context<'_>,
    pool: IpamPoolId,
    cidr: Cidr,
    vpc: VpcId,
) -> Result<(), ApiError> {
    let pool = resource::get::<IpamPool>(tx, &pool)?.clone();
    make(tx, ctx, &pool, cidr, Use::Vpc(vpc)).map(|_| ())
}

/// Gives back what a VPC has of pools: this block, or all of it.
pub(crate) fn release_vpc(tx: &mut Tx, vpc: VpcId, only: Option<Cidr>) {
    let back: Vec<IpamAllocationId> = tx
        .of::<IpamAllocation>(vpc)
        .filter(|allocation| only.is_none_or(|only| allocation.cidr == only))
        .map(|allocation| allocation.id)
        .collect();
    for id in back {
        tx.remove::<IpamAllocation>(&id);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AllocateIpamPoolCidrRequest {
    ipam_pool_id: String,
    cidr: Option<String>,
    netmask_length: Option<i64>,
    client_token: Option<String>,
    description: Option<String>,
    preview_next_cidr: Option<bool>,
    allowed_cidrs: Option<Vec<String>>,
    disallowed_cidrs: Option<Vec<String>>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AllocateIpamPoolCidrReply {
    ipam_pool_allocation: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    cidr: String,
    ipam_pool_allocation_id: Option<IpamAllocationId>,
    description: Option<String>,
    resource_id: Option<String>,
    resource_type: &'static str,
    resource_region: Option<RegionName>,
    resource_owner: AccountId,
    tags: Vec<Tag>,
}

impl IpamAllocation {
    fn resource(&self) -> (Option<String>, &'static str) {
        match self.used_by {
            Use::Custom => (None, "custom"),
            Use::Pool(id) => (Some(id.to_string()), "ipam-pool"),
            Use::Vpc(id) => (Some(id.to_string()), "vpc"),
        }
    }

    fn reply(&self) -> Item {
        let (resource_id, resource_type) = self.resource();
        Item {
            cidr: self.cidr.to_string(),
            ipam_pool_allocation_id: Some(self.id),
            description: self.description.clone(),
            resource_region: resource_id.is_some().then(|| self.used_in.clone()),
            resource_id,
            resource_type,
            resource_owner: self.account,
            tags: self.tags.reply(),
        }
    }
}

/// Takes a block from a pool, or says which one that would be.
pub(crate) fn allocate_ipam_pool_cidr(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AllocateIpamPoolCidrRequest,
) -> Result<AllocateIpamPoolCidrReply, ApiError> {
    let pool = resource::find::<IpamPool>(tx, ctx, &req.ipam_pool_id)?.clone();
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &IpamAllocation| {
        made.client_token.as_ref()
    })?;
    if let Some(id) = earlier {
        return Ok(AllocateIpamPoolCidrReply {
            ipam_pool_allocation: resource::get::<IpamAllocation>(tx, &id)?.reply(),
        });
    }
    let tags = Tags::of_new(req.tag_specifications.as_deref(), IpamAllocation::TYPE)?;
    let description = mortal::description(req.description)?;
    let wish = Wish {
        cidr: req.cidr.as_deref(),
        length: req.netmask_length,
        allowed: req.allowed_cidrs.as_deref(),
        disallowed: req.disallowed_cidrs.as_deref(),
    };
    let cidr = choose(tx, &pool, &wish, None)?;
    let made = make(tx, ctx, &pool, cidr, Use::Custom)?;
    let id = made.id;
    let made = IpamAllocation {
        tags,
        description,
        client_token: token,
        ..made
    };
    let mut reply = made.reply();
    if req.preview_next_cidr == Some(true) {
        tx.remove::<IpamAllocation>(&id);
        reply.ipam_pool_allocation_id = None;
    } else {
        tx.put(made);
    }
    Ok(AllocateIpamPoolCidrReply {
        ipam_pool_allocation: reply,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetIpamPoolAllocationsRequest {
    ipam_pool_id: String,
    ipam_pool_allocation_id: Option<String>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetIpamPoolAllocationsReply {
    ipam_pool_allocations: Vec<Item>,
    next_token: Option<String>,
}

pub(crate) fn get_ipam_pool_allocations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetIpamPoolAllocationsRequest,
) -> Result<GetIpamPoolAllocationsReply, ApiError> {
    let pool = resource::find::<IpamPool>(tx, ctx, &req.ipam_pool_id)?.id;
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &[
            "cidr",
            "description",
            "ipam-pool-allocation-id",
            "resource-id",
            "resource-owner",
            "resource-region",
            "resource-type",
        ],
    )?;
    let only = match &req.ipam_pool_allocation_id {
        Some(id) => Some(in_pool(tx, ctx, pool, id)?.id),
        None => None,
    };
    let passes = |a: &&IpamAllocation| {
        let (resource, kind) = a.resource();
        let region = resource.as_ref().map(|_| a.used_in.as_str());
        filter::matches_plain(
            &filters,
            &[
                ("cidr", &a.cidr.to_string()),
                ("description", a.description.as_deref().unwrap_or_default()),
                ("ipam-pool-allocation-id", &a.id.to_string()),
                ("resource-id", resource.as_deref().unwrap_or_default()),
                ("resource-owner", &a.account.to_string()),
                ("resource-region", region.unwrap_or_default()),
                ("resource-type", kind),
            ],
        )
    };
    let page = page::cut(
        of_pool(tx, pool)
            .filter(|a| only.is_none_or(|only| a.id == only))
            .filter(passes),
        |a| a.id.to_string(),
        &(1000..=100_000),
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(GetIpamPoolAllocationsReply {
        ipam_pool_allocations: page.items.into_iter().map(IpamAllocation::reply).collect(),
        next_token: page.next_token,
    })
}

fn in_pool<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    pool: IpamPoolId,
    id: &str,
) -> Result<&'t IpamAllocation, ApiError> {
    let found = resource::find::<IpamAllocation>(tx, ctx, id)?;
    if found.pool == pool {
        Ok(found)
    } else {
        Err(IpamAllocation::not_found(id))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReleaseIpamPoolAllocationRequest {
    ipam_pool_id: String,
    cidr: String,
    ipam_pool_allocation_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReleaseIpamPoolAllocationReply {
    success: bool,
}

/// Gives back a block that the client took itself; resources give back theirs when they go.
pub(crate) fn release_ipam_pool_allocation(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReleaseIpamPoolAllocationRequest,
) -> Result<ReleaseIpamPoolAllocationReply, ApiError> {
    let pool = resource::find::<IpamPool>(tx, ctx, &req.ipam_pool_id)?.clone();
    let found = in_pool(tx, ctx, pool.id, &req.ipam_pool_allocation_id)?;
    let id = found.id;
    if block(&req.cidr, &pool)? != found.cidr {
        return Err(invalid(
            "cidr",
            &req.cidr,
            "The CIDR is not that of the allocation.",
        ));
    }
    if found.used_by != Use::Custom {
        return Err(ApiError::new(
            "OperationNotPermitted",
            format!("The allocation {id} belongs to a resource and is released with it."),
        ));
    }
    tx.remove::<IpamAllocation>(&id);
    Ok(ReleaseIpamPoolAllocationReply { success: true })
}
