//! Scopes: address spaces in which no two pools share an address.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, IpamId, IpamScopeId, RegionName};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::ipam::manager::Ipam;
use crate::ipam::pool::IpamPool;
use crate::ipam::{arn, state_name};
use crate::mortal::{self, describe};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Life, Tx, quota};

actions! {
    "CreateIpamScope" => create_ipam_scope, Control;
    "DeleteIpamScope" => delete_ipam_scope, Control;
    "DescribeIpamScopes" => describe_ipam_scopes, Control;
    "ModifyIpamScope" => modify_ipam_scope, Control;
}

/// A scope of a manager.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IpamScope {
    /// Its identifier.
    pub id: IpamScopeId,
    /// Its owner.
    pub account: AccountId,
    /// Where its manager is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Its manager.
    pub ipam: IpamId,
    /// Whether its addresses are public ones.
    pub public: bool,
    /// Whether it came with its manager, and goes with it.
    pub is_default: bool,
    /// What its owner says about it.
    pub description: Option<String>,
    /// Since when it is there.
    pub life: Life,
    /// Whether it was changed since.
    pub modified: bool,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(
    IpamScope,
    "ipam-scope",
    |this, keys| keys.of([this.ipam]),
    |id| resource::unknown_id(
        id,
        "ipam-scope",
        "IPAM scope ID",
        "InvalidIpamScopeId.NotFound",
        "InvalidIpamScopeId.Malformed",
    )
);

/// A scope that comes with a manager.
pub(super) fn make_default(
    tx: &mut Tx,
    ctx: &Context<'_>,
    ipam: IpamId,
    public: bool,
) -> IpamScopeId {
    let scope = made(ctx, ipam, public);
    let id = scope.id;
    tx.put(IpamScope {
        is_default: true,
        ..scope
    });
    id
}

fn made(ctx: &Context<'_>, ipam: IpamId, public: bool) -> IpamScope {
    IpamScope {
        id: IpamScopeId::from_bits(ctx.random()),
        account: ctx.account,
        region: ctx.region.clone(),
        tags: Tags::default(),
        ipam,
        public,
        is_default: false,
        description: None,
        life: Life::begin(ctx),
        modified: false,
        client_token: None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateIpamScopeRequest {
    ipam_id: String,
    description: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct IpamScopeReply {
    ipam_scope: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    owner_id: AccountId,
    ipam_scope_id: IpamScopeId,
    ipam_scope_arn: String,
    ipam_arn: String,
    ipam_region: RegionName,
    ipam_scope_type: &'static str,
    is_default: bool,
    description: Option<String>,
    pool_count: usize,
    state: &'static str,
    tags: Vec<Tag>,
}

impl IpamScope {
    /// Its name.
    pub(super) fn arn(&self) -> String {
        arn(self.account, "ipam-scope", self.id)
    }

    /// EC2's word for what its addresses are.
    pub(super) const fn kind(&self) -> &'static str {
        if self.public { "public" } else { "private" }
    }

    fn reply(&self, view: &View<'_>) -> Item {
        Item {
            owner_id: self.account,
            ipam_scope_id: self.id,
            ipam_scope_arn: self.arn(),
            ipam_arn: arn(self.account, "ipam", self.ipam),
            ipam_region: self.region.clone(),
            ipam_scope_type: self.kind(),
            is_default: self.is_default,
            description: self.description.clone(),
            pool_count: view.ipam_pools.of(self.id).count(),
            state: state_name(self.life, self.modified, view),
            tags: self.tags.reply(),
        }
    }
}

fn answer(tx: &Tx, ctx: &Context<'_>, id: IpamScopeId) -> Result<IpamScopeReply, ApiError> {
    let scope = resource::get::<IpamScope>(tx, &id)?;
    Ok(IpamScopeReply {
        ipam_scope: scope.reply(&mortal::view(tx, ctx)),
    })
}

/// "You can create additional private scopes … You cannot create additional public scopes."
pub(crate) fn create_ipam_scope(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateIpamScopeRequest,
) -> Result<IpamScopeReply, ApiError> {
    let ipam = resource::find::<Ipam>(tx, ctx, &req.ipam_id)?.id;
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &IpamScope| {
        made.client_token.as_ref()
    })?;
    if let Some(id) = earlier {
        return answer(tx, ctx, id);
    }
    let tags = Tags::of_new(req.tag_specifications.as_deref(), IpamScope::TYPE)?;
    let description = mortal::description(req.description)?;
    quota::IPAM_SCOPES.one_more(tx, ctx, tx.of::<IpamScope>(ipam).count())?;
    let scope = IpamScope {
        tags,
        description,
        client_token: token,
        ..made(ctx, ipam, false)
    };
    let id = scope.id;
    tx.put(scope);
    let mut reply = answer(tx, ctx, id)?;
    reply.ipam_scope.state = "create-in-progress";
    Ok(reply)
}

const FILTERS: &[Field<IpamScope>] = &[
    ("description", |_, s| {
        s.description.iter().cloned().collect()
    }),
    ("ipam-arn", |_, s| vec![arn(s.account, "ipam", s.ipam)]),
    ("ipam-id", |_, s| vec![s.ipam.to_string()]),
    ("ipam-region", |_, s| vec![s.region.to_string()]),
    ("ipam-scope-arn", |_, s| vec![s.arn()]),
    ("ipam-scope-id", |_, s| vec![s.id.to_string()]),
    ("ipam-scope-type", |_, s| vec![s.kind().to_owned()]),
    ("is-default", |_, s| vec![s.is_default.to_string()]),
    ("owner-id", |_, s| vec![s.account.to_string()]),
    ("state", |v, s| {
        vec![state_name(s.life, s.modified, v).to_owned()]
    }),
];

describe!(
    describe_ipam_scopes(DescribeIpamScopesRequest { ipam_scope_ids, filters }) -> DescribeIpamScopesReply { ipam_scopes: Item },
    IpamScope, FILTERS, USUAL_BOUNDS,
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyIpamScopeRequest {
    ipam_scope_id: String,
    description: Option<String>,
}

pub(crate) fn modify_ipam_scope(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyIpamScopeRequest,
) -> Result<IpamScopeReply, ApiError> {
    let mut scope = resource::find::<IpamScope>(tx, ctx, &req.ipam_scope_id)?.clone();
    if req.description.is_some() {
        scope.description = mortal::description(req.description)?;
    }
    scope.modified = true;
    let id = scope.id;
    tx.put(scope);
    answer(tx, ctx, id)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteIpamScopeRequest {
    ipam_scope_id: String,
}

pub(crate) fn delete_ipam_scope(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteIpamScopeRequest,
) -> Result<IpamScopeReply, ApiError> {
    let scope = resource::find::<IpamScope>(tx, ctx, &req.ipam_scope_id)?;
    let id = scope.id;
    if scope.is_default {
        return Err(ApiError::new(
            "OperationNotPermitted",
            format!("The default IPAM scope {id} cannot be deleted."),
        ));
    }
    if tx.of::<IpamPool>(id).next().is_some() {
        return Err(resource::in_use("ipam-scope", &id));
    }
    let mut reply = answer(tx, ctx, id)?;
    tx.remove::<IpamScope>(&id);
    reply.ipam_scope.state = "delete-complete";
    Ok(reply)
}
