//! Pools: blocks of addresses, and rules for what is allocated from them.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, IpamId, IpamPoolCidrId, IpamPoolId, IpamScopeId, RegionName};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::ipam::allocation::{IpamAllocation, Use};
use crate::ipam::manager::{Ipam, word};
use crate::ipam::scope::IpamScope;
use crate::ipam::{arn, state_name};
use crate::mortal::{self, combination, describe, invalid};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Tx, quota};

actions! {
    "CreateIpamPool" => create_ipam_pool, Control;
    "DeleteIpamPool" => delete_ipam_pool, Control;
    "DescribeIpamPools" => describe_ipam_pools, Control;
    "ModifyIpamPool" => modify_ipam_pool, Control;
}

/// A pool of a scope.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IpamPool {
    /// Its identifier.
    pub id: IpamPoolId,
    /// Its owner.
    pub account: AccountId,
    /// Where its manager is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Its manager.
    pub ipam: IpamId,
    /// Its scope.
    pub scope: IpamScopeId,
    /// The pool of which its blocks are parts.
    pub source: Option<IpamPoolId>,
    /// How many pools stand above each other with this one: 1 without a source, 10 at most.
    pub depth: usize,
    /// The region whose resources may have its addresses.
    pub locale: Option<String>,
    /// Whether its blocks are of IPv6.
    pub ipv6: bool,
    /// What its owner says about it.
    pub description: Option<String>,
    /// Whether what is found in its blocks shall become allocations, as recorded.
    pub auto_import: bool,
    /// Whether its blocks may be announced, as recorded.
    pub publicly_advertisable: Option<bool>,
    /// The service that it is for, as recorded.
    pub service: Option<String>,
    /// Where public addresses come from, as recorded.
    pub public_source: Option<String>,
    /// The rules of its allocations.
    pub rules: Rules,
    /// Its blocks; none overlaps another one's of a pool in the scope without a source, or of its own.
    pub cidrs: Vec<PoolCidr>,
    /// Since when it is there.
    pub life: Life,
    /// Whether it was changed since.
    pub modified: bool,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// What allocations from a pool must be.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// The shortest prefix.
    pub min: Option<u8>,
    /// The longest prefix.
    pub max: Option<u8>,
    /// The prefix's length where a request does not say it.
    pub default: Option<u8>,
    /// Tags that resources must have, by key and value.
    pub tags: Vec<(String, String)>,
}

/// A block of a pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolCidr {
    /// Its identifier.
    pub id: IpamPoolCidrId,
    /// The block.
    pub cidr: Cidr,
    /// Since when it is there.
    pub life: Life,
    /// The token of the request that provisioned it.
    pub client_token: Option<ClientToken>,
}

resource!(
    IpamPool,
    "ipam-pool",
    |this, keys| {
        keys.of([this.ipam]);
        keys.of([this.scope]);
        keys.of(this.source);
    },
    |id| resource::unknown_id(
        id,
        "ipam-pool",
        "IPAM pool ID",
        "InvalidIpamPoolId.NotFound",
        "InvalidIpamPoolId.Malformed",
    )
);

/// A tag that a rule of a pool names.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ResourceTag {
    key: Option<String>,
    value: Option<String>,
}

/// How deep pools may nest (EC2 "Quotas for your IPAM": pool depth).
const MAX_DEPTH: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateIpamPoolRequest {
    ipam_scope_id: String,
    locale: Option<String>,
    source_ipam_pool_id: Option<String>,
    description: Option<String>,
    address_family: String,
    auto_import: Option<bool>,
    publicly_advertisable: Option<bool>,
    allocation_min_netmask_length: Option<i64>,
    allocation_max_netmask_length: Option<i64>,
    allocation_default_netmask_length: Option<i64>,
    allocation_resource_tags: Option<Vec<ResourceTag>>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
    aws_service: Option<String>,
    public_ip_source: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct IpamPoolReply {
    ipam_pool: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    owner_id: AccountId,
    ipam_pool_id: IpamPoolId,
    source_ipam_pool_id: Option<IpamPoolId>,
    ipam_pool_arn: String,
    ipam_scope_arn: String,
    ipam_scope_type: &'static str,
    ipam_arn: String,
    ipam_region: RegionName,
    locale: String,
    pool_depth: usize,
    state: &'static str,
    description: Option<String>,
    auto_import: bool,
    publicly_advertisable: Option<bool>,
    address_family: &'static str,
    allocation_min_netmask_length: Option<u8>,
    allocation_max_netmask_length: Option<u8>,
    allocation_default_netmask_length: Option<u8>,
    allocation_resource_tags: Vec<ResourceTag>,
    tags: Vec<Tag>,
    aws_service: Option<String>,
    public_ip_source: Option<String>,
}

impl IpamPool {
    const fn family(&self) -> &'static str {
        if self.ipv6 { "ipv6" } else { "ipv4" }
    }

    /// EC2's word for a pool without a locale.
    fn locale_name(&self) -> String {
        self.locale.clone().unwrap_or_else(|| "None".to_owned())
    }

    fn scope_type(&self, view: &View<'_>) -> &'static str {
        let scope = view.ipam_scopes.get(&self.scope);
        scope.map_or("private", IpamScope::kind)
    }

    fn reply(&self, view: &View<'_>) -> Item {
        let tags = self.rules.tags.iter();
        Item {
            owner_id: self.account,
            ipam_pool_id: self.id,
            source_ipam_pool_id: self.source,
            ipam_pool_arn: arn(self.account, "ipam-pool", self.id),
            ipam_scope_arn: arn(self.account, "ipam-scope", self.scope),
            ipam_scope_type: self.scope_type(view),
            ipam_arn: arn(self.account, "ipam", self.ipam),
            ipam_region: self.region.clone(),
            locale: self.locale_name(),
            pool_depth: self.depth,
            state: state_name(self.life, self.modified, view),
            description: self.description.clone(),
            auto_import: self.auto_import,
            publicly_advertisable: self.publicly_advertisable,
            address_family: self.family(),
            allocation_min_netmask_length: self.rules.min,
            allocation_max_netmask_length: self.rules.max,
            allocation_default_netmask_length: self.rules.default,
            allocation_resource_tags: tags
                .map(|(key, value)| ResourceTag {
                    key: Some(key.clone()),
                    value: Some(value.clone()),
                })
                .collect(),
            tags: self.tags.reply(),
            aws_service: self.service.clone(),
            public_ip_source: self.public_source.clone(),
        }
    }
}

/// The length of a prefix in a request.
pub(super) fn length(parameter: &str, given: i64, ipv6: bool) -> Result<u8, ApiError> {
    let most = if ipv6 { 128 } else { 32 };
    u8::try_from(given)
        .ok()
        .filter(|length| *length <= most)
        .ok_or_else(|| {
            invalid(
                parameter,
                given,
                &format!("It must be between 0 and {most}."),
            )
        })
}

/// Checks that the rules do not contradict each other.
fn check_rules(rules: &Rules) -> Result<(), ApiError> {
    let (min, max) = (rules.min.unwrap_or(0), rules.max.unwrap_or(128));
    if min > max {
        return Err(combination(
            "The minimum netmask length must be less than the maximum netmask length.",
        ));
    }
    if rules.default.is_some_and(|d| d < min || d > max) {
        return Err(combination(
            "The default netmask length must be between the minimum and the maximum netmask length.",
        ));
    }
    quota::TAGS.check_fixed(rules.tags.len())
}

fn resource_tags(given: Option<Vec<ResourceTag>>) -> Result<Vec<(String, String)>, ApiError> {
    let mut tags = Vec::new();
    for tag in given.unwrap_or_default() {
        let key = tag.key.ok_or_else(|| resource::missing("Key"))?;
        let pair = (key, tag.value.unwrap_or_default());
        if !tags.contains(&pair) {
            tags.push(pair);
        }
    }
    Ok(tags)
}

/// The locale of a new pool: one of its manager's regions, and its source's if that has one.
fn locale(
    given: Option<String>,
    ipam: &Ipam,
    source: Option<&IpamPool>,
) -> Result<Option<String>, ApiError> {
    let given = given.filter(|locale| locale != "None");
    if let Some(locale) = given
        .as_ref()
        .filter(|locale| !ipam.operating_regions.contains(*locale))
    {
        return Err(invalid(
            "locale",
            locale,
            "The locale must be one of the operating Regions of the IPAM.",
        ));
    }
    let above = source.and_then(|source| source.locale.clone());
    if above.is_some() && given != above {
        return Err(invalid(
            "locale",
            given.unwrap_or_default(),
            "The locale must be the locale of the source pool.",
        ));
    }
    Ok(given)
}

/// The pool that a new one shall be a part of.
fn source<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    id: &str,
    scope: &IpamScope,
    ipv6: bool,
) -> Result<&'t IpamPool, ApiError> {
    let source = resource::find::<IpamPool>(tx, ctx, id)?;
    if source.scope != scope.id {
        return Err(invalid(
            "sourceIpamPoolId",
            id,
            "The source pool must be in the same scope.",
        ));
    }
    if source.ipv6 != ipv6 {
        return Err(invalid(
            "sourceIpamPoolId",
            id,
            "The source pool must have the same address family.",
        ));
    }
    if source.depth >= MAX_DEPTH {
        return Err(invalid(
            "sourceIpamPoolId",
            id,
            "Pools nest at most 10 deep.",
        ));
    }
    Ok(source)
}

pub(crate) fn create_ipam_pool(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateIpamPoolRequest,
) -> Result<IpamPoolReply, ApiError> {
    let scope = resource::find::<IpamScope>(tx, ctx, &req.ipam_scope_id)?.clone();
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &IpamPool| {
        made.client_token.as_ref()
    })?;
    if let Some(id) = earlier {
        return answer(tx, ctx, id);
    }
    let family = word("addressFamily", req.address_family, &["ipv4", "ipv6"])?;
    let ipv6 = family == "ipv6";
    let above = match &req.source_ipam_pool_id {
        Some(id) => Some(source(tx, ctx, id, &scope, ipv6)?),
        None => None,
    };
    let ipam = resource::get::<Ipam>(tx, &scope.ipam)?;
    let locale = locale(req.locale, ipam, above)?;
    let length = |name, given: Option<i64>| given.map(|g| length(name, g, ipv6)).transpose();
    let rules = Rules {
        min: length(
            "allocationMinNetmaskLength",
            req.allocation_min_netmask_length,
        )?,
        max: length(
            "allocationMaxNetmaskLength",
            req.allocation_max_netmask_length,
        )?,
        default: length(
            "allocationDefaultNetmaskLength",
            req.allocation_default_netmask_length,
        )?,
        tags: resource_tags(req.allocation_resource_tags)?,
    };
    check_rules(&rules)?;
    if req.publicly_advertisable.is_some() && !(ipv6 && scope.public) {
        return Err(combination(
            "The request can only contain PubliclyAdvertisable if the AddressFamily is IPv6 and the scope is public.",
        ));
    }
    let service = req
        .aws_service
        .map(|service| word("awsService", service, &["ec2", "global-services"]))
        .transpose()?;
    let public_source = req
        .public_ip_source
        .map(|from| word("publicIpSource", from, &["amazon", "byoip"]))
        .transpose()?;
    if (service.is_some() || public_source.is_some()) && !scope.public {
        return Err(combination(
            "AwsService and PublicIpSource can only be used in the public scope.",
        ));
    }
    let tags = Tags::of_new(req.tag_specifications.as_deref(), IpamPool::TYPE)?;
    let description = mortal::description(req.description)?;
    quota::IPAM_POOLS.one_more(tx, ctx, tx.of::<IpamPool>(scope.id).count())?;
    let id = IpamPoolId::from_bits(ctx.random());
    let (source, depth) = (above.map(|s| s.id), above.map_or(1, |s| s.depth + 1));
    tx.put(IpamPool {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        ipam: scope.ipam,
        scope: scope.id,
        source,
        depth,
        locale,
        ipv6,
        description,
        auto_import: req.auto_import.unwrap_or(false),
        publicly_advertisable: req.publicly_advertisable,
        service,
        public_source,
        rules,
        cidrs: Vec::new(),
        life: Life::begin(ctx),
        modified: false,
        client_token: token,
    });
    let mut reply = answer(tx, ctx, id)?;
    reply.ipam_pool.state = "create-in-progress";
    Ok(reply)
}

fn answer(tx: &Tx, ctx: &Context<'_>, id: IpamPoolId) -> Result<IpamPoolReply, ApiError> {
    let pool = resource::get::<IpamPool>(tx, &id)?;
    Ok(IpamPoolReply {
        ipam_pool: pool.reply(&mortal::view(tx, ctx)),
    })
}

fn number(length: Option<u8>) -> Vec<String> {
    length.iter().map(ToString::to_string).collect()
}

const FILTERS: &[Field<IpamPool>] = &[
    ("address-family", |_, p| vec![p.family().to_owned()]),
    ("allocation-default-netmask-length", |_, p| {
        number(p.rules.default)
    }),
    ("allocation-max-netmask-length", |_, p| number(p.rules.max)),
    ("allocation-min-netmask-length", |_, p| number(p.rules.min)),
    ("auto-import", |_, p| vec![p.auto_import.to_string()]),
    ("aws-service", |_, p| p.service.iter().cloned().collect()),
    ("description", |_, p| {
        p.description.iter().cloned().collect()
    }),
    ("ipam-id", |_, p| vec![p.ipam.to_string()]),
    ("ipam-pool-arn", |_, p| {
        vec![arn(p.account, "ipam-pool", p.id)]
    }),
    ("ipam-pool-id", |_, p| vec![p.id.to_string()]),
    ("ipam-region", |_, p| vec![p.region.to_string()]),
    ("ipam-scope-arn", |_, p| {
        vec![arn(p.account, "ipam-scope", p.scope)]
    }),
    ("ipam-scope-id", |_, p| vec![p.scope.to_string()]),
    ("ipam-scope-type", |v, p| vec![p.scope_type(v).to_owned()]),
    ("locale", |_, p| vec![p.locale_name()]),
    ("owner-id", |_, p| vec![p.account.to_string()]),
    ("pool-depth", |_, p| vec![p.depth.to_string()]),
    ("source-ipam-pool-id", |_, p| {
        p.source.iter().map(ToString::to_string).collect()
    }),
    ("state", |v, p| {
        vec![state_name(p.life, p.modified, v).to_owned()]
    }),
];

describe!(
    describe_ipam_pools(DescribeIpamPoolsRequest { ipam_pool_ids, filters }) -> DescribeIpamPoolsReply { ipam_pools: Item },
    IpamPool, FILTERS, USUAL_BOUNDS,
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyIpamPoolRequest {
    ipam_pool_id: String,
    description: Option<String>,
    auto_import: Option<bool>,
    allocation_min_netmask_length: Option<i64>,
    allocation_max_netmask_length: Option<i64>,
    allocation_default_netmask_length: Option<i64>,
    clear_allocation_default_netmask_length: Option<bool>,
    add_allocation_resource_tags: Option<Vec<ResourceTag>>,
    remove_allocation_resource_tags: Option<Vec<ResourceTag>>,
}

/// Changes a pool; what was allocated before stays, whether or not it keeps to the new rules.
pub(crate) fn modify_ipam_pool(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyIpamPoolRequest,
) -> Result<IpamPoolReply, ApiError> {
    let mut pool = resource::find::<IpamPool>(tx, ctx, &req.ipam_pool_id)?.clone();
    if req.description.is_some() {
        pool.description = mortal::description(req.description)?;
    }
    let clear = req.clear_allocation_default_netmask_length == Some(true);
    if clear && req.allocation_default_netmask_length.is_some() {
        return Err(combination(
            "AllocationDefaultNetmaskLength and ClearAllocationDefaultNetmaskLength cannot be used together.",
        ));
    }
    if clear {
        pool.rules.default = None;
    }
    let ipv6 = pool.ipv6;
    for (name, given, rule) in [
        (
            "allocationMinNetmaskLength",
            req.allocation_min_netmask_length,
            &mut pool.rules.min,
        ),
        (
            "allocationMaxNetmaskLength",
            req.allocation_max_netmask_length,
            &mut pool.rules.max,
        ),
        (
            "allocationDefaultNetmaskLength",
            req.allocation_default_netmask_length,
            &mut pool.rules.default,
        ),
    ] {
        if let Some(given) = given {
            *rule = Some(length(name, given, ipv6)?);
        }
    }
    let removed = resource_tags(req.remove_allocation_resource_tags)?;
    pool.rules.tags.retain(|pair| !removed.contains(pair));
    for pair in resource_tags(req.add_allocation_resource_tags)? {
        if !pool.rules.tags.contains(&pair) {
            pool.rules.tags.push(pair);
        }
    }
    check_rules(&pool.rules)?;
    pool.auto_import = req.auto_import.unwrap_or(pool.auto_import);
    pool.modified = true;
    let id = pool.id;
    tx.put(pool);
    answer(tx, ctx, id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteIpamPoolRequest {
    ipam_pool_id: String,
    cascade: Option<bool>,
}

/// Removes a pool with its allocations, and gives its blocks back to its source.
pub(super) fn remove(tx: &mut Tx, id: IpamPoolId) {
    let gone: Vec<_> = tx.of::<IpamAllocation>(id).map(|a| a.id).collect();
    for allocation in gone {
        tx.remove::<IpamAllocation>(&allocation);
    }
    tx.remove::<IpamPool>(&id);
}

/// Every pool that is a part of this one, itself last.
fn with_parts(tx: &Tx, id: IpamPoolId) -> Vec<IpamPoolId> {
    let mut found = vec![id];
    let mut next = 0;
    while let Some(above) = found.get(next).copied() {
        let parts = tx.of::<IpamPool>(above);
        found.extend(parts.filter(|p| p.source == Some(above)).map(|p| p.id));
        next += 1;
    }
    found.reverse();
    found
}

/// Deletes an empty pool. `Cascade`: "all resources within that pool, including provisioned CIDRs, allocations, and
/// other pools".
pub(crate) fn delete_ipam_pool(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteIpamPoolRequest,
) -> Result<IpamPoolReply, ApiError> {
    let pool = resource::find::<IpamPool>(tx, ctx, &req.ipam_pool_id)?;
    let id = pool.id;
    let cascade = req.cascade.unwrap_or(false);
    let all = with_parts(tx, id);
    if !cascade && (all.len() > 1 || !pool.cidrs.is_empty()) {
        return Err(resource::in_use("ipam-pool", &id));
    }
    let mut reply = answer(tx, ctx, id)?;
    for id in all {
        remove(tx, id);
    }
    reply.ipam_pool.state = "delete-complete";
    Ok(reply)
}

impl IpamAllocation {
    /// Whether it is the block of a pool that is a part of this allocation's.
    pub(super) fn is_of_pool(&self, pool: IpamPoolId) -> bool {
        self.used_by == Use::Pool(pool)
    }
}
