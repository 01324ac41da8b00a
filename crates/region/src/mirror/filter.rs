//! Filters: which packets are mirrored. Their rules are records of their own, in [`super::rule`].

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, MirrorFilterId, MirrorFilterRuleId, RegionName};

use super::rule::{MirrorFilterRule, RuleItem};
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, describe, invalid};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Tx, quota};

actions! {
    "CreateTrafficMirrorFilter" => create_traffic_mirror_filter, Recorded;
    "DeleteTrafficMirrorFilter" => delete_traffic_mirror_filter, Recorded;
    "DescribeTrafficMirrorFilters" => describe_traffic_mirror_filters, Control;
    "ModifyTrafficMirrorFilterNetworkServices" => modify_traffic_mirror_filter_network_services, Recorded;
}

/// A filter of mirrored packets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MirrorFilter {
    /// Its identifier.
    pub id: MirrorFilterId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// What its owner says about it.
    pub description: Option<String>,
    /// Whether queries to the VPC's resolver are mirrored: the network service `amazon-dns`.
    pub dns: bool,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(
    MirrorFilter,
    "traffic-mirror-filter",
    |_this, _keys| {},
    |id| resource::unknown_id(
        id,
        "tmf",
        "traffic mirror filter ID",
        "InvalidTrafficMirrorFilterId.NotFound",
        "InvalidTrafficMirrorFilterId.Malformed",
    )
);

/// EC2's only network service.
const DNS: &str = "amazon-dns";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTrafficMirrorFilterRequest {
    description: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FilterReply {
    traffic_mirror_filter: Item,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    description: Option<String>,
    egress_filter_rules: Vec<RuleItem>,
    ingress_filter_rules: Vec<RuleItem>,
    network_services: Vec<&'static str>,
    tags: Vec<Tag>,
    traffic_mirror_filter_id: MirrorFilterId,
}

impl MirrorFilter {
    fn reply(&self, view: &View<'_>) -> Item {
        let rules = |egress: bool| {
            let mut rules: Vec<&MirrorFilterRule> = view
                .mirror_rules
                .of(self.id)
                .filter(|rule| rule.what.egress == egress)
                .collect();
            rules.sort_by_key(|rule| rule.what.number);
            rules.into_iter().map(|rule| rule.reply(view)).collect()
        };
        Item {
            description: self.description.clone(),
            egress_filter_rules: rules(true),
            ingress_filter_rules: rules(false),
            network_services: self.dns.then_some(DNS).into_iter().collect(),
            tags: self.tags.reply(),
            traffic_mirror_filter_id: self.id,
        }
    }
}

pub(crate) fn create_traffic_mirror_filter(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateTrafficMirrorFilterRequest,
) -> Result<FilterReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let id = match resource::earlier(tx, ctx, token.as_ref(), |made: &MirrorFilter| {
        made.client_token.as_ref()
    })? {
        Some(id) => id,
        None => {
            let description = mortal::description(req.description)?;
            let tags = Tags::of_new(req.tag_specifications.as_deref(), MirrorFilter::TYPE)?;
            let present = resource::own::<MirrorFilter>(tx, ctx).count();
            quota::MIRROR_FILTERS.one_more(tx, ctx, present)?;
            let id = MirrorFilterId::from_bits(ctx.random());
            tx.put(MirrorFilter {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags,
                description,
                dns: false,
                client_token: token,
            });
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(FilterReply {
        traffic_mirror_filter: resource::get::<MirrorFilter>(tx, &id)?.reply(&view),
        client_token: req.client_token,
    })
}

const FILTERS: &[Field<MirrorFilter>] = &[
    ("description", |_, f| {
        f.description.iter().cloned().collect()
    }),
    ("traffic-mirror-filter-id", |_, f| vec![f.id.to_string()]),
];

describe!(
    describe_traffic_mirror_filters(DescribeTrafficMirrorFiltersRequest { traffic_mirror_filter_ids, filters })
        -> DescribeTrafficMirrorFiltersReply { traffic_mirror_filters: Item },
    MirrorFilter, FILTERS, USUAL_BOUNDS
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyNetworkServicesRequest {
    traffic_mirror_filter_id: String,
    add_network_services: Option<Vec<String>>,
    remove_network_services: Option<Vec<String>>,
}

pub(crate) fn modify_traffic_mirror_filter_network_services(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyNetworkServicesRequest,
) -> Result<FilterReply, ApiError> {
    let mut filter =
        resource::find::<MirrorFilter>(tx, ctx, &req.traffic_mirror_filter_id)?.clone();
    for (services, there) in [
        (req.remove_network_services, false),
        (req.add_network_services, true),
    ] {
        for service in services.unwrap_or_default() {
            if service != DNS {
                return Err(invalid("networkService", service, "Unknown service."));
            }
            filter.dns = there;
        }
    }
    tx.put(filter.clone());
    Ok(FilterReply {
        traffic_mirror_filter: filter.reply(&mortal::view(tx, ctx)),
        client_token: None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTrafficMirrorFilterRequest {
    traffic_mirror_filter_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteTrafficMirrorFilterReply {
    traffic_mirror_filter_id: MirrorFilterId,
}

/// Deletes a filter with its rules.
pub(crate) fn delete_traffic_mirror_filter(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteTrafficMirrorFilterRequest,
) -> Result<DeleteTrafficMirrorFilterReply, ApiError> {
    let id = resource::find::<MirrorFilter>(tx, ctx, &req.traffic_mirror_filter_id)?.id;
    if tx.state().mirror_sessions.of(id).next().is_some() {
        return Err(ApiError::new(
            "TrafficMirrorFilterInUse",
            format!("The traffic mirror filter {id} is in use by a traffic mirror session."),
        ));
    }
    let rules: Vec<MirrorFilterRuleId> =
        tx.state().mirror_rules.of(id).map(|rule| rule.id).collect();
    for rule in rules {
        tx.remove::<MirrorFilterRule>(&rule);
    }
    tx.remove::<MirrorFilter>(&id);
    Ok(DeleteTrafficMirrorFilterReply {
        traffic_mirror_filter_id: id,
    })
}
