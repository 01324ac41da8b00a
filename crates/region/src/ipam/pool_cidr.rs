//! The blocks of pools.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{Cidr, IpamPoolCidrId};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{self, Filter, View};
use crate::ipam::allocation::{self, IpamAllocation, Use, Wish};
use crate::ipam::pool::{IpamPool, PoolCidr};
use crate::ipam::scope::IpamScope;
use crate::mortal::{self, combination, invalid};
use crate::page::{self, USUAL_BOUNDS};
use crate::resource;
use crate::{Context, Life, Phase, Tx, quota};

actions! {
    "DeprovisionIpamPoolCidr" => deprovision_ipam_pool_cidr, Control;
    "GetIpamPoolCidrs" => get_ipam_pool_cidrs, Control;
    "ProvisionIpamPoolCidr" => provision_ipam_pool_cidr, Control;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ProvisionIpamPoolCidrRequest {
    ipam_pool_id: String,
    cidr: Option<String>,
    netmask_length: Option<i64>,
    client_token: Option<String>,
}

/// The reply that provisions or deprovisions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PoolCidrReply {
    ipam_pool_cidr: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    cidr: String,
    state: &'static str,
    ipam_pool_cidr_id: IpamPoolCidrId,
    netmask_length: u8,
}

impl PoolCidr {
    fn state(&self, view: &View<'_>) -> &'static str {
        match self.life.phase(view.now) {
            Phase::Pending => "pending-provision",
            Phase::Live => "provisioned",
            Phase::Deleting => "pending-deprovision",
            Phase::Deleted => "deprovisioned",
        }
    }

    fn reply(&self, state: &'static str) -> Item {
        Item {
            cidr: self.cidr.to_string(),
            state,
            ipam_pool_cidr_id: self.id,
            netmask_length: self.cidr.length(),
        }
    }
}

/// A block in a request, of the pool's family and in canonical form.
pub(super) fn block(text: &str, pool: &IpamPool) -> Result<Cidr, ApiError> {
    text.parse::<Cidr>()
        .ok()
        .filter(|cidr| cidr.is_v4() != pool.ipv6)
        .ok_or_else(|| invalid("cidr", text, "This is not a valid CIDR block."))
}

/// Private IPv6 addresses: unique local ones (RFC 4193), of which IPAM takes `fd00::/8`.
fn is_unique_local(cidr: Cidr) -> bool {
    "fd00::/8"
        .parse::<Cidr>()
        .is_ok_and(|local| local.covers(cidr))
}

/// Gives a pool a block: one that the client names, or a free one of its source's.
pub(crate) fn provision_ipam_pool_cidr(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ProvisionIpamPoolCidrRequest,
) -> Result<PoolCidrReply, ApiError> {
    let mut pool = resource::find::<IpamPool>(tx, ctx, &req.ipam_pool_id)?.clone();
    let token = ClientToken::new(tx, req.client_token)?;
    if let Some(token) = &token {
        for made in &pool.cidrs {
            if let Some(earlier) = &made.client_token
                && token.repeats(earlier)?
            {
                return Ok(PoolCidrReply {
                    ipam_pool_cidr: made.reply(made.state(&mortal::view(tx, ctx))),
                });
            }
        }
    }
    let scope = resource::get::<IpamScope>(tx, &pool.scope)?;
    if scope.public {
        return Err(ApiError::new(
            "UnsupportedOperation",
            "pools of the public scope (IpamPoolId) get no blocks from Polder: it has no public addresses but those of its own pool",
        ));
    }
    quota::IPAM_POOL_CIDRS.one_more(tx, ctx, pool.cidrs.len())?;
    let cidr = match pool.source {
        Some(source) => {
            let source = resource::get::<IpamPool>(tx, &source)?.clone();
            let wish = Wish {
                cidr: req.cidr.as_deref(),
                length: req.netmask_length,
                ..Wish::default()
            };
            let cidr = allocation::choose(tx, &source, &wish, None)?;
            allocation::make(tx, ctx, &source, cidr, Use::Pool(pool.id))?;
            cidr
        }
        None => top_level(tx, &pool, req.cidr.as_deref(), req.netmask_length)?,
    };
    let made = PoolCidr {
        id: IpamPoolCidrId::from_bits(ctx.random()),
        cidr,
        life: Life::begin(ctx),
        client_token: token,
    };
    let reply = made.reply("pending-provision");
    pool.cidrs.push(made);
    tx.put(pool);
    Ok(PoolCidrReply {
        ipam_pool_cidr: reply,
    })
}

/// The block of a pool without a source: no other one of the scope overlaps it.
fn top_level(
    tx: &Tx,
    pool: &IpamPool,
    cidr: Option<&str>,
    length: Option<i64>,
) -> Result<Cidr, ApiError> {
    if length.is_some() {
        return Err(combination(
            "NetmaskLength cannot be used to provision a CIDR to a top-level pool of a private scope.",
        ));
    }
    let cidr = block(cidr.ok_or_else(|| resource::missing("Cidr"))?, pool)?;
    let ipam = tx.get::<crate::Ipam>(&pool.ipam);
    if !cidr.is_v4() && !is_unique_local(cidr) && ipam.is_none_or(|ipam| !ipam.private_gua) {
        return Err(invalid(
            "cidr",
            cidr,
            "A private IPv6 CIDR must be within fd00::/8 unless the IPAM has private GUAs enabled.",
        ));
    }
    let others = tx.of::<IpamPool>(pool.scope);
    let taken = others
        .filter(|other| other.source.is_none())
        .flat_map(|other| &other.cidrs)
        .any(|other| other.cidr.overlaps(cidr));
    if taken {
        return Err(invalid(
            "cidr",
            cidr,
            "The CIDR overlaps with a CIDR that is provisioned in the scope.",
        ));
    }
    Ok(cidr)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeprovisionIpamPoolCidrRequest {
    ipam_pool_id: String,
    cidr: Option<String>,
}

/// Takes a block from a pool; nothing may be allocated from it.
pub(crate) fn deprovision_ipam_pool_cidr(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeprovisionIpamPoolCidrRequest,
) -> Result<PoolCidrReply, ApiError> {
    let mut pool = resource::find::<IpamPool>(tx, ctx, &req.ipam_pool_id)?.clone();
    let text = req.cidr.ok_or_else(|| resource::missing("Cidr"))?;
    let cidr = block(&text, &pool)?;
    let place = pool.cidrs.iter().position(|own| own.cidr == cidr);
    let Some(place) = place else {
        return Err(ApiError::new(
            "InvalidIpamPoolCidr.NotFound",
            format!(
                "The CIDR {cidr} is not provisioned to the pool {}.",
                pool.id
            ),
        ));
    };
    let used = allocation::of_pool(tx, pool.id).any(|a| a.cidr.overlaps(cidr));
    if used {
        return Err(ApiError::new(
            "IncorrectState",
            format!("The CIDR {cidr} cannot be deprovisioned: it has allocations."),
        ));
    }
    let removed = pool.cidrs.remove(place);
    if let Some(source) = pool.source {
        let back = allocation::of_pool(tx, source)
            .find(|a| a.is_of_pool(pool.id) && a.cidr == cidr)
            .map(|a| a.id);
        if let Some(back) = back {
            tx.remove::<IpamAllocation>(&back);
        }
    }
    tx.put(pool);
    Ok(PoolCidrReply {
        ipam_pool_cidr: removed.reply("pending-deprovision"),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetIpamPoolCidrsRequest {
    ipam_pool_id: String,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetIpamPoolCidrsReply {
    ipam_pool_cidrs: Vec<Item>,
    next_token: Option<String>,
}

pub(crate) fn get_ipam_pool_cidrs(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetIpamPoolCidrsRequest,
) -> Result<GetIpamPoolCidrsReply, ApiError> {
    let pool = resource::find::<IpamPool>(tx, ctx, &req.ipam_pool_id)?;
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &["cidr", "ipam-pool-cidr-id", "netmask-length", "state"],
    )?;
    let view = mortal::view(tx, ctx);
    let mut items: Vec<Item> = pool
        .cidrs
        .iter()
        .map(|own| own.reply(own.state(&view)))
        .filter(|item| {
            filter::matches_plain(
                &filters,
                &[
                    ("cidr", &item.cidr),
                    ("ipam-pool-cidr-id", &item.ipam_pool_cidr_id.to_string()),
                    ("netmask-length", &item.netmask_length.to_string()),
                    ("state", item.state),
                ],
            )
        })
        .collect();
    items.sort_by_key(|item| item.ipam_pool_cidr_id);
    let page = page::cut(
        items.into_iter(),
        |item| item.ipam_pool_cidr_id.to_string(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(GetIpamPoolCidrsReply {
        ipam_pool_cidrs: page.items,
        next_token: page.next_token,
    })
}
