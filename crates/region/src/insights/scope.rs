//! Access scopes: which paths there shall be, and which not.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccessScopeId, AccountId, RegionName};

use super::path::BOUNDS;
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, describe, invalid};
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, quota};

actions! {
    "CreateNetworkInsightsAccessScope" => create_access_scope, Control;
    "DeleteNetworkInsightsAccessScope" => delete_access_scope, Control;
    "DescribeNetworkInsightsAccessScopes" => describe_access_scopes, Control;
    "GetNetworkInsightsAccessScopeContent" => get_access_scope_content, Control;
}

/// An access scope.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccessScope {
    /// Its identifier.
    pub id: AccessScopeId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The paths to look for.
    pub matches: Vec<ScopePath>,
    /// Those of them that are none.
    pub excludes: Vec<ScopePath>,
    /// When it was made.
    pub created: Timestamp,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// A pattern of paths.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ScopePath {
    /// Where they begin.
    pub source: Option<ScopeEnd>,
    /// Where they end.
    pub destination: Option<ScopeEnd>,
    /// What they pass.
    pub through_resources: Option<Vec<Through>>,
}

/// A pattern of an end of paths.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ScopeEnd {
    /// What packets are there.
    pub packet_header_statement: Option<Header>,
    /// What it is.
    pub resource_statement: Option<Resources>,
}

/// A pattern of packets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Header {
    /// Whom they are from.
    pub source_addresses: Option<Vec<String>>,
    /// Whom they are for.
    pub destination_addresses: Option<Vec<String>>,
    /// From which ports.
    pub source_ports: Option<Vec<String>>,
    /// For which ports.
    pub destination_ports: Option<Vec<String>>,
    /// Prefix lists that they are from.
    pub source_prefix_lists: Option<Vec<String>>,
    /// Prefix lists that they are for.
    pub destination_prefix_lists: Option<Vec<String>>,
    /// `tcp`, `udp`.
    pub protocols: Option<Vec<String>>,
}

/// A pattern of resources.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Resources {
    /// Ids or ARNs.
    pub resources: Option<Vec<String>>,
    /// Types as CloudFormation names them.
    pub resource_types: Option<Vec<String>>,
}

/// What paths pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Through {
    /// What it is.
    pub resource_statement: Option<Resources>,
}

resource!(
    AccessScope,
    "network-insights-access-scope",
    |_this, _keys| {},
    |id| resource::unknown_id(
        id,
        "nis",
        "network insights access scope ID",
        "InvalidNetworkInsightsAccessScopeId.NotFound",
        "InvalidNetworkInsightsAccessScopeId.Malformed",
    )
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateScopeRequest {
    match_paths: Option<Vec<ScopePath>>,
    exclude_paths: Option<Vec<ScopePath>>,
    client_token: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateScopeReply {
    network_insights_access_scope: Item,
    network_insights_access_scope_content: Content,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    created_date: api::Timestamp,
    network_insights_access_scope_arn: String,
    network_insights_access_scope_id: AccessScopeId,
    tags: Vec<Tag>,
    updated_date: api::Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    exclude_paths: Vec<ScopePath>,
    match_paths: Vec<ScopePath>,
    network_insights_access_scope_id: AccessScopeId,
}

impl AccessScope {
    fn reply(&self, _: &View<'_>) -> Item {
        let created = api::Timestamp::from_millis(self.created.0);
        Item {
            created_date: created,
            network_insights_access_scope_arn: super::arn(
                &self.region,
                self.account,
                AccessScope::TYPE,
                &self.id,
            ),
            network_insights_access_scope_id: self.id,
            tags: self.tags.reply(),
            updated_date: created,
        }
    }

    fn content(&self) -> Content {
        Content {
            exclude_paths: self.excludes.clone(),
            match_paths: self.matches.clone(),
            network_insights_access_scope_id: self.id,
        }
    }
}

/// Checks a pattern: an end says something, and its protocols are known.
fn check(path: &ScopePath) -> Result<(), ApiError> {
    if path.source.is_none() && path.destination.is_none() && path.through_resources.is_none() {
        return Err(ApiError::new(
            "MissingParameter",
            "A path must have a source, a destination or resources that it passes",
        ));
    }
    for end in [&path.source, &path.destination].into_iter().flatten() {
        let header = end.packet_header_statement.as_ref();
        let protocols = header.and_then(|header| header.protocols.as_ref());
        for protocol in protocols.into_iter().flatten() {
            if !["tcp", "udp"].contains(&protocol.as_str()) {
                return Err(invalid("protocol", protocol, "It must be tcp or udp."));
            }
        }
    }
    Ok(())
}

/// Polder's bound of the paths of a scope.
const MAX_PATHS: usize = 100;

pub(crate) fn create_access_scope(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateScopeRequest,
) -> Result<CreateScopeReply, ApiError> {
    if req.client_token.is_none() {
        return Err(resource::missing("ClientToken"));
    }
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &AccessScope| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let matches = req.match_paths.unwrap_or_default();
            let excludes = req.exclude_paths.unwrap_or_default();
            if matches.is_empty() && excludes.is_empty() {
                return Err(resource::missing("MatchPaths"));
            }
            if matches.len() + excludes.len() > MAX_PATHS {
                return Err(invalid(
                    "matchPaths",
                    matches.len() + excludes.len(),
                    "A scope has at most 100 paths.",
                ));
            }
            matches.iter().chain(&excludes).try_for_each(check)?;
            let present = resource::own::<AccessScope>(tx, ctx).count();
            quota::ACCESS_SCOPES.one_more(tx, ctx, present)?;
            let id = AccessScopeId::from_bits(ctx.random());
            tx.put(AccessScope {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags: Tags::of_new(req.tag_specifications.as_deref(), AccessScope::TYPE)?,
                matches,
                excludes,
                created: ctx.now,
                client_token: token,
            });
            id
        }
    };
    let scope = resource::get::<AccessScope>(tx, &id)?;
    Ok(CreateScopeReply {
        network_insights_access_scope: scope.reply(&mortal::view(tx, ctx)),
        network_insights_access_scope_content: scope.content(),
    })
}

/// EC2: "There are no supported filters."
const FILTERS: &[Field<AccessScope>] = &[];

describe!(
    describe_access_scopes(DescribeScopesRequest { network_insights_access_scope_ids, filters })
        -> DescribeScopesReply { network_insights_access_scopes: Item },
    AccessScope, FILTERS, BOUNDS
);

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ScopeId {
    network_insights_access_scope_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContentReply {
    network_insights_access_scope_content: Content,
}

pub(crate) fn get_access_scope_content(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ScopeId,
) -> Result<ContentReply, ApiError> {
    let scope = resource::find::<AccessScope>(tx, ctx, &req.network_insights_access_scope_id)?;
    Ok(ContentReply {
        network_insights_access_scope_content: scope.content(),
    })
}

pub(crate) fn delete_access_scope(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ScopeId,
) -> Result<ScopeId, ApiError> {
    let id = resource::find::<AccessScope>(tx, ctx, &req.network_insights_access_scope_id)?.id;
    tx.remove::<AccessScope>(&id);
    Ok(req)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn life_of_a_scope() {
        let mut world = World::new();
        let source = json!({"PacketHeaderStatement": {"Protocols": ["tcp"], "SourceAddresses": ["0.0.0.0/0"]}});
        let request = json!({"ClientToken": "t", "MatchPaths": [{"Source": source}]});
        let made = world.ok("CreateNetworkInsightsAccessScope", request);
        let id = text(
            &made,
            "NetworkInsightsAccessScope.NetworkInsightsAccessScopeId",
        );
        let one = json!({"NetworkInsightsAccessScopeId": id});
        let content = world.ok("GetNetworkInsightsAccessScopeContent", one.clone());
        let path = "NetworkInsightsAccessScopeContent.MatchPaths.0.Source.PacketHeaderStatement.Protocols.0";
        assert_eq!(text(&content, path), "tcp");
        for (request, code) in [
            (json!({"ClientToken": "u"}), "MissingParameter"),
            (
                json!({"MatchPaths": [{"Source": source}]}),
                "MissingParameter",
            ),
            (
                json!({"ClientToken": "u", "MatchPaths": [{}]}),
                "MissingParameter",
            ),
            (
                json!({"ClientToken": "u", "ExcludePaths": [{"Source": {"PacketHeaderStatement": {"Protocols": ["icmp"]}}}]}),
                "InvalidParameterValue",
            ),
        ] {
            let found = world.err("CreateNetworkInsightsAccessScope", request.clone());
            assert_eq!(found, code, "{request}");
        }
        world.ok("DeleteNetworkInsightsAccessScope", one.clone());
        let code = world.err("DeleteNetworkInsightsAccessScope", one);
        assert_eq!(code, "InvalidNetworkInsightsAccessScopeId.NotFound");
    }
}
