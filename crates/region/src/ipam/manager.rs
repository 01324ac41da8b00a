//! Managers.

use std::collections::BTreeSet;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, IpamDiscoveryId, IpamId, IpamScopeId, RegionName};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::ipam::pool::{self, IpamPool};
use crate::ipam::scope::{self, IpamScope};
use crate::ipam::{arn, state_name};
use crate::mortal::{self, describe, invalid};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Tx, quota, zones};

actions! {
    "CreateIpam" => create_ipam, Control;
    "DeleteIpam" => delete_ipam, Control;
    "DescribeIpams" => describe_ipams, Control;
    "ModifyIpam" => modify_ipam, Control;
}

/// A manager of addresses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ipam {
    /// Its identifier.
    pub id: IpamId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is: its home region.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// What its owner says about it.
    pub description: Option<String>,
    /// The regions whose resources it may serve; its own is always one.
    pub operating_regions: BTreeSet<String>,
    /// `free` or `advanced`, as recorded.
    pub tier: String,
    /// Whether its private scopes take global unicast IPv6 blocks.
    pub private_gua: bool,
    /// Who would pay, as recorded.
    pub metered_account: String,
    /// The scope of public addresses that came with it.
    pub public_scope: IpamScopeId,
    /// The scope of private addresses that came with it.
    pub private_scope: IpamScopeId,
    /// The resource discovery that came with it.
    pub discovery: IpamDiscoveryId,
    /// Since when it is there.
    pub life: Life,
    /// Whether it was changed since.
    pub modified: bool,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(Ipam, "ipam", |this, keys| keys.of([this.discovery]), |id| {
    resource::unknown_id(
        id,
        "ipam",
        "IPAM ID",
        "InvalidIpamId.NotFound",
        "InvalidIpamId.Malformed",
    )
});

/// A region that a manager serves, in a request or a reply.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OperatingRegion {
    region_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateIpamRequest {
    description: Option<String>,
    operating_regions: Option<Vec<OperatingRegion>>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
    tier: Option<String>,
    enable_private_gua: Option<bool>,
    metered_account: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct IpamReply {
    ipam: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    owner_id: AccountId,
    ipam_id: IpamId,
    ipam_arn: String,
    ipam_region: RegionName,
    public_default_scope_id: IpamScopeId,
    private_default_scope_id: IpamScopeId,
    scope_count: usize,
    description: Option<String>,
    operating_regions: Vec<OperatingRegion>,
    state: &'static str,
    tags: Vec<Tag>,
    default_resource_discovery_id: IpamDiscoveryId,
    resource_discovery_association_count: u32,
    tier: String,
    enable_private_gua: bool,
    metered_account: String,
}

impl Ipam {
    /// Its name.
    pub(super) fn arn(&self) -> String {
        arn(self.account, "ipam", self.id)
    }

    fn reply(&self, view: &View<'_>) -> Item {
        let regions = self.operating_regions.iter().cloned();
        Item {
            owner_id: self.account,
            ipam_id: self.id,
            ipam_arn: self.arn(),
            ipam_region: self.region.clone(),
            public_default_scope_id: self.public_scope,
            private_default_scope_id: self.private_scope,
            scope_count: view.ipam_scopes.of(self.id).count(),
            description: self.description.clone(),
            operating_regions: regions
                .map(|name| OperatingRegion {
                    region_name: Some(name),
                })
                .collect(),
            state: state_name(self.life, self.modified, view),
            tags: self.tags.reply(),
            default_resource_discovery_id: self.discovery,
            resource_discovery_association_count: 1,
            tier: self.tier.clone(),
            enable_private_gua: self.private_gua,
            metered_account: self.metered_account.clone(),
        }
    }
}

/// The names of regions in a request.
fn regions(ctx: &Context<'_>, given: Vec<OperatingRegion>) -> Result<Vec<String>, ApiError> {
    let mut names = Vec::new();
    for region in given {
        let name = region
            .region_name
            .ok_or_else(|| resource::missing("RegionName"))?;
        let known = name
            .parse::<RegionName>()
            .is_ok_and(|parsed| zones::is_region(&parsed) || parsed == ctx.region);
        if !known {
            return Err(invalid("RegionName", name, "There is no such Region."));
        }
        names.push(name);
    }
    Ok(names)
}

/// One of the words that a parameter takes.
pub(super) fn word(parameter: &str, text: String, known: &[&str]) -> Result<String, ApiError> {
    if known.contains(&text.as_str()) {
        return Ok(text);
    }
    let known = known.join(", ");
    Err(invalid(
        parameter,
        text,
        &format!("It must be one of: {known}"),
    ))
}

const TIERS: &[&str] = &["advanced", "free"];
const PAYERS: &[&str] = &["ipam-owner", "resource-owner"];

pub(crate) fn create_ipam(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateIpamRequest,
) -> Result<IpamReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &Ipam| {
        made.client_token.as_ref()
    })?;
    if let Some(id) = earlier {
        return answer(tx, ctx, id);
    }
    let tags = Tags::of_new(req.tag_specifications.as_deref(), Ipam::TYPE)?;
    let mut operating_regions: BTreeSet<String> =
        regions(ctx, req.operating_regions.unwrap_or_default())?
            .into_iter()
            .collect();
    operating_regions.insert(ctx.region.to_string());
    let tier = word(
        "tier",
        req.tier.unwrap_or_else(|| "advanced".to_owned()),
        TIERS,
    )?;
    let metered_account = word(
        "meteredAccount",
        req.metered_account
            .unwrap_or_else(|| "ipam-owner".to_owned()),
        PAYERS,
    )?;
    let description = mortal::description(req.description)?;
    quota::IPAMS.one_more(tx, ctx, resource::own::<Ipam>(tx, ctx).count())?;
    let id = IpamId::from_bits(ctx.random());
    let public_scope = scope::make_default(tx, ctx, id, true);
    let private_scope = scope::make_default(tx, ctx, id, false);
    tx.put(Ipam {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        description,
        operating_regions,
        tier,
        private_gua: req.enable_private_gua.unwrap_or(false),
        metered_account,
        public_scope,
        private_scope,
        discovery: IpamDiscoveryId::from_bits(ctx.random()),
        life: Life::begin(ctx),
        modified: false,
        client_token: token,
    });
    let mut reply = answer(tx, ctx, id)?;
    reply.ipam.state = "create-in-progress";
    Ok(reply)
}

fn answer(tx: &Tx, ctx: &Context<'_>, id: IpamId) -> Result<IpamReply, ApiError> {
    let ipam = resource::get::<Ipam>(tx, &id)?;
    Ok(IpamReply {
        ipam: ipam.reply(&mortal::view(tx, ctx)),
    })
}

const FILTERS: &[Field<Ipam>] = &[
    ("description", |_, i| {
        i.description.iter().cloned().collect()
    }),
    ("ipam-arn", |_, i| vec![i.arn()]),
    ("ipam-id", |_, i| vec![i.id.to_string()]),
    ("ipam-region", |_, i| vec![i.region.to_string()]),
    ("operating-regions.region-name", |_, i| {
        i.operating_regions.iter().cloned().collect()
    }),
    ("owner-id", |_, i| vec![i.account.to_string()]),
    ("private-default-scope-id", |_, i| {
        vec![i.private_scope.to_string()]
    }),
    ("public-default-scope-id", |_, i| {
        vec![i.public_scope.to_string()]
    }),
    ("state", |v, i| {
        vec![state_name(i.life, i.modified, v).to_owned()]
    }),
    ("tier", |_, i| vec![i.tier.clone()]),
];

describe!(
    describe_ipams(DescribeIpamsRequest { ipam_ids, filters }) -> DescribeIpamsReply { ipams: Item },
    Ipam, FILTERS, USUAL_BOUNDS,
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyIpamRequest {
    ipam_id: String,
    description: Option<String>,
    add_operating_regions: Option<Vec<OperatingRegion>>,
    remove_operating_regions: Option<Vec<OperatingRegion>>,
    tier: Option<String>,
    enable_private_gua: Option<bool>,
    metered_account: Option<String>,
}

pub(crate) fn modify_ipam(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyIpamRequest,
) -> Result<IpamReply, ApiError> {
    let mut ipam = resource::find::<Ipam>(tx, ctx, &req.ipam_id)?.clone();
    if req.description.is_some() {
        ipam.description = mortal::description(req.description)?;
    }
    for name in regions(ctx, req.add_operating_regions.unwrap_or_default())? {
        ipam.operating_regions.insert(name);
    }
    for name in regions(ctx, req.remove_operating_regions.unwrap_or_default())? {
        if name == ipam.region.as_str() {
            return Err(invalid(
                "removeOperatingRegions",
                name,
                "The home Region of an IPAM is always an operating Region.",
            ));
        }
        let mut pools = tx.of::<IpamPool>(ipam.id);
        if pools.any(|pool| pool.locale.as_deref() == Some(name.as_str())) {
            return Err(ApiError::new(
                "DependencyViolation",
                format!(
                    "The operating Region {name} cannot be removed: it is the locale of a pool."
                ),
            ));
        }
        ipam.operating_regions.remove(&name);
    }
    if let Some(tier) = req.tier {
        ipam.tier = word("tier", tier, TIERS)?;
    }
    if let Some(payer) = req.metered_account {
        ipam.metered_account = word("meteredAccount", payer, PAYERS)?;
    }
    ipam.private_gua = req.enable_private_gua.unwrap_or(ipam.private_gua);
    ipam.modified = true;
    let id = ipam.id;
    tx.put(ipam);
    answer(tx, ctx, id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteIpamRequest {
    ipam_id: String,
    cascade: Option<bool>,
}

/// Deletes a manager with its default scopes. `Cascade`: "private scopes, pools in private scopes, and any
/// allocations in the pools in private scopes" too; a pool in the public scope holds it anyway.
pub(crate) fn delete_ipam(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteIpamRequest,
) -> Result<IpamReply, ApiError> {
    let ipam = resource::find::<Ipam>(tx, ctx, &req.ipam_id)?;
    let id = ipam.id;
    let scopes: Vec<IpamScopeId> = tx.of::<IpamScope>(id).map(|scope| scope.id).collect();
    let cascade = req.cascade.unwrap_or(false);
    let holds = |pool: &IpamPool| !cascade || pool.scope == ipam.public_scope;
    if tx.of::<IpamPool>(id).any(holds) || !cascade && scopes.len() > 2 {
        return Err(resource::in_use("ipam", &id));
    }
    let pools: Vec<_> = tx.of::<IpamPool>(id).map(|pool| pool.id).collect();
    let mut reply = answer(tx, ctx, id)?;
    for pool in pools {
        pool::remove(tx, pool);
    }
    for scope in scopes {
        tx.remove::<IpamScope>(&scope);
    }
    tx.remove::<Ipam>(&id);
    reply.ipam.state = "delete-complete";
    Ok(reply)
}
