//! Rules of filters.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, Cidr, MirrorFilterId, MirrorFilterRuleId, RegionName};

use super::filter::MirrorFilter;
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter, View};
use crate::mortal::{self, invalid};
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Tx, quota};

actions! {
    "CreateTrafficMirrorFilterRule" => create_traffic_mirror_filter_rule, Recorded;
    "DeleteTrafficMirrorFilterRule" => delete_traffic_mirror_filter_rule, Recorded;
    "DescribeTrafficMirrorFilterRules" => describe_traffic_mirror_filter_rules, Control;
    "ModifyTrafficMirrorFilterRule" => modify_traffic_mirror_filter_rule, Recorded;
}

/// A rule of a filter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MirrorFilterRule {
    /// Its identifier.
    pub id: MirrorFilterRuleId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The filter that it belongs to.
    pub filter: MirrorFilterId,
    /// What it says.
    pub what: What,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// What a rule says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct What {
    /// Whether it is about packets that leave.
    pub egress: bool,
    /// Its place; no other rule of the filter in this direction has it.
    pub number: i64,
    /// Whether packets are mirrored.
    pub accept: bool,
    /// The protocol's number; none for all.
    pub protocol: Option<i64>,
    /// Ports of the destination.
    pub destination_ports: Option<Ports>,
    /// Ports of the source.
    pub source_ports: Option<Ports>,
    /// Where packets go.
    pub destination: Cidr,
    /// Where packets come from.
    pub source: Cidr,
    /// What its owner says about it.
    pub description: Option<String>,
}

/// A range of ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Ports {
    /// The first one.
    pub from_port: Option<i64>,
    /// The last one.
    pub to_port: Option<i64>,
}

resource!(
    MirrorFilterRule,
    "traffic-mirror-filter-rule",
    |this, keys| keys.of([this.filter]),
    |id| resource::unknown_id(
        id,
        "tmfr",
        "traffic mirror filter rule ID",
        "InvalidTrafficMirrorFilterRuleId.NotFound",
        "InvalidTrafficMirrorFilterRuleId.Malformed",
    )
);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RuleItem {
    description: Option<String>,
    destination_cidr_block: String,
    destination_port_range: Option<Ports>,
    protocol: Option<i64>,
    rule_action: &'static str,
    rule_number: i64,
    source_cidr_block: String,
    source_port_range: Option<Ports>,
    tags: Vec<Tag>,
    traffic_direction: &'static str,
    traffic_mirror_filter_id: MirrorFilterId,
    traffic_mirror_filter_rule_id: MirrorFilterRuleId,
}

impl MirrorFilterRule {
    pub(crate) fn reply(&self, _: &View<'_>) -> RuleItem {
        let what = &self.what;
        RuleItem {
            description: what.description.clone(),
            destination_cidr_block: what.destination.to_string(),
            destination_port_range: what.destination_ports,
            protocol: what.protocol,
            rule_action: if what.accept { "accept" } else { "reject" },
            rule_number: what.number,
            source_cidr_block: what.source.to_string(),
            source_port_range: what.source_ports,
            tags: self.tags.reply(),
            traffic_direction: if what.egress { "egress" } else { "ingress" },
            traffic_mirror_filter_id: self.filter,
            traffic_mirror_filter_rule_id: self.id,
        }
    }
}

/// What `Modify…` may take away.
const REMOVABLE: &[&str] = &[
    "destination-port-range",
    "source-port-range",
    "protocol",
    "description",
];

/// TCP and UDP: the protocols with ports.
const WITH_PORTS: [i64; 2] = [6, 17];

/// EC2's bounds of a rule's number.
const NUMBERS: std::ops::RangeInclusive<i64> = 1..=32_766;

fn direction(text: &str) -> Result<bool, ApiError> {
    match text {
        "egress" => Ok(true),
        "ingress" => Ok(false),
        other => Err(invalid("trafficDirection", other, "Unknown direction.")),
    }
}

fn action(text: &str) -> Result<bool, ApiError> {
    match text {
        "accept" => Ok(true),
        "reject" => Ok(false),
        other => Err(invalid("ruleAction", other, "Unknown action.")),
    }
}

fn block(text: &str, parameter: &str) -> Result<Cidr, ApiError> {
    text.parse()
        .map_err(|_| invalid(parameter, text, "This is not a valid CIDR block."))
}

impl What {
    fn check(&self) -> Result<(), ApiError> {
        if !NUMBERS.contains(&self.number) {
            return Err(invalid(
                "ruleNumber",
                self.number,
                "It must be between 1 and 32766.",
            ));
        }
        if let Some(protocol) = self.protocol
            && u8::try_from(protocol).is_err()
        {
            return Err(invalid(
                "protocol",
                protocol,
                "It must be between 0 and 255.",
            ));
        }
        if self.destination.is_v4() != self.source.is_v4() {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "The source and the destination CIDR block must be of the same address family.",
            ));
        }
        for (parameter, ports) in [
            ("destinationPortRange", self.destination_ports),
            ("sourcePortRange", self.source_ports),
        ] {
            let Some(ports) = ports else { continue };
            if !self.protocol.is_some_and(|p| WITH_PORTS.contains(&p)) {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    format!("The parameter {parameter} needs the protocol 6 (TCP) or 17 (UDP)"),
                ));
            }
            let (Some(from), Some(to)) = (ports.from_port, ports.to_port) else {
                return Err(resource::missing(&format!("{parameter}.FromPort, ToPort")));
            };
            if u16::try_from(from).is_err() || u16::try_from(to).is_err() || from > to {
                return Err(invalid(
                    parameter,
                    format!("{from}-{to}"),
                    "It must be a range of ports.",
                ));
            }
        }
        Ok(())
    }
}

/// Whether another rule of the filter has this one's place.
fn check_place(
    tx: &Tx,
    filter: MirrorFilterId,
    own: MirrorFilterRuleId,
    what: &What,
) -> Result<(), ApiError> {
    let taken = tx.state().mirror_rules.of(filter).any(|rule| {
        rule.id != own && rule.what.egress == what.egress && rule.what.number == what.number
    });
    if taken {
        return Err(ApiError::new(
            "TrafficMirrorFilterRuleAlreadyExists",
            format!(
                "A rule with the number {} already exists in the traffic mirror filter {filter}.",
                what.number
            ),
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTrafficMirrorFilterRuleRequest {
    traffic_mirror_filter_id: String,
    traffic_direction: String,
    rule_number: i64,
    rule_action: String,
    destination_port_range: Option<Ports>,
    source_port_range: Option<Ports>,
    protocol: Option<i64>,
    destination_cidr_block: String,
    source_cidr_block: String,
    description: Option<String>,
    client_token: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RuleReply {
    traffic_mirror_filter_rule: RuleItem,
    client_token: Option<String>,
}

pub(crate) fn create_traffic_mirror_filter_rule(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateTrafficMirrorFilterRuleRequest,
) -> Result<RuleReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &MirrorFilterRule| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let filter = resource::find::<MirrorFilter>(tx, ctx, &req.traffic_mirror_filter_id)?.id;
            let what = What {
                egress: direction(&req.traffic_direction)?,
                number: req.rule_number,
                accept: action(&req.rule_action)?,
                protocol: req.protocol,
                destination_ports: req.destination_port_range,
                source_ports: req.source_port_range,
                destination: block(&req.destination_cidr_block, "destinationCidrBlock")?,
                source: block(&req.source_cidr_block, "sourceCidrBlock")?,
                description: mortal::description(req.description)?,
            };
            what.check()?;
            let tags = Tags::of_new(req.tag_specifications.as_deref(), MirrorFilterRule::TYPE)?;
            let id = MirrorFilterRuleId::from_bits(ctx.random());
            check_place(tx, filter, id, &what)?;
            let present = tx.state().mirror_rules.of(filter).count();
            quota::MIRROR_RULES.one_more(tx, ctx, present)?;
            tx.put(MirrorFilterRule {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags,
                filter,
                what,
                client_token: token,
            });
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(RuleReply {
        traffic_mirror_filter_rule: resource::get::<MirrorFilterRule>(tx, &id)?.reply(&view),
        client_token: req.client_token,
    })
}

const FILTERS: &[Field<MirrorFilterRule>] = &[
    ("description", |_, r| {
        r.what.description.iter().cloned().collect()
    }),
    ("destination-cidr-block", |_, r| {
        vec![r.what.destination.to_string()]
    }),
    ("protocol", |_, r| {
        r.what.protocol.map(|p| p.to_string()).into_iter().collect()
    }),
    ("rule-action", |view, r| {
        vec![r.reply(view).rule_action.to_owned()]
    }),
    ("rule-number", |_, r| vec![r.what.number.to_string()]),
    ("source-cidr-block", |_, r| vec![r.what.source.to_string()]),
    ("traffic-direction", |view, r| {
        vec![r.reply(view).traffic_direction.to_owned()]
    }),
    ("traffic-mirror-filter-id", |_, r| {
        vec![r.filter.to_string()]
    }),
    ("traffic-mirror-filter-rule-id", |_, r| {
        vec![r.id.to_string()]
    }),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeTrafficMirrorFilterRulesRequest {
    traffic_mirror_filter_rule_ids: Option<Vec<String>>,
    traffic_mirror_filter_id: Option<String>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeTrafficMirrorFilterRulesReply {
    traffic_mirror_filter_rules: Vec<RuleItem>,
    next_token: Option<String>,
}

pub(crate) fn describe_traffic_mirror_filter_rules(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeTrafficMirrorFilterRulesRequest,
) -> Result<DescribeTrafficMirrorFilterRulesReply, ApiError> {
    let mut filters = req.filters.unwrap_or_default();
    if let Some(id) = &req.traffic_mirror_filter_id {
        let filter = resource::find::<MirrorFilter>(tx, ctx, id)?;
        filters.push(Filter {
            name: Some("traffic-mirror-filter-id".to_owned()),
            values: vec![filter.id.to_string()],
        });
    }
    let query = Query {
        ids: req.traffic_mirror_filter_rule_ids.as_deref(),
        filters: Some(&filters),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<MirrorFilterRule>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let view = mortal::view(tx, ctx);
    Ok(DescribeTrafficMirrorFilterRulesReply {
        traffic_mirror_filter_rules: page.items.into_iter().map(|r| r.reply(&view)).collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyTrafficMirrorFilterRuleRequest {
    traffic_mirror_filter_rule_id: String,
    traffic_direction: Option<String>,
    rule_number: Option<i64>,
    rule_action: Option<String>,
    destination_port_range: Option<Ports>,
    source_port_range: Option<Ports>,
    protocol: Option<i64>,
    destination_cidr_block: Option<String>,
    source_cidr_block: Option<String>,
    description: Option<String>,
    remove_fields: Option<Vec<String>>,
}

pub(crate) fn modify_traffic_mirror_filter_rule(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyTrafficMirrorFilterRuleRequest,
) -> Result<RuleReply, ApiError> {
    let id = &req.traffic_mirror_filter_rule_id;
    let mut rule = resource::find::<MirrorFilterRule>(tx, ctx, id)?.clone();
    let what = &mut rule.what;
    for field in req.remove_fields.iter().flatten() {
        match field.as_str() {
            "destination-port-range" => what.destination_ports = None,
            "source-port-range" => what.source_ports = None,
            "protocol" => what.protocol = None,
            "description" => what.description = None,
            other => {
                let known = format!("It must be one of {}.", REMOVABLE.join(", "));
                return Err(invalid("removeFields", other, &known));
            }
        }
    }
    if let Some(text) = &req.traffic_direction {
        what.egress = direction(text)?;
    }
    if let Some(text) = &req.rule_action {
        what.accept = action(text)?;
    }
    if let Some(text) = &req.destination_cidr_block {
        what.destination = block(text, "destinationCidrBlock")?;
    }
    if let Some(text) = &req.source_cidr_block {
        what.source = block(text, "sourceCidrBlock")?;
    }
    what.number = req.rule_number.unwrap_or(what.number);
    what.protocol = req.protocol.or(what.protocol);
    what.destination_ports = req.destination_port_range.or(what.destination_ports);
    what.source_ports = req.source_port_range.or(what.source_ports);
    if req.description.is_some() {
        what.description = mortal::description(req.description)?;
    }
    what.check()?;
    check_place(tx, rule.filter, rule.id, &rule.what)?;
    tx.put(rule.clone());
    Ok(RuleReply {
        traffic_mirror_filter_rule: rule.reply(&mortal::view(tx, ctx)),
        client_token: None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTrafficMirrorFilterRuleRequest {
    traffic_mirror_filter_rule_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteTrafficMirrorFilterRuleReply {
    traffic_mirror_filter_rule_id: MirrorFilterRuleId,
}

pub(crate) fn delete_traffic_mirror_filter_rule(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteTrafficMirrorFilterRuleRequest,
) -> Result<DeleteTrafficMirrorFilterRuleReply, ApiError> {
    let text = &req.traffic_mirror_filter_rule_id;
    let id = resource::find::<MirrorFilterRule>(tx, ctx, text)?.id;
    tx.remove::<MirrorFilterRule>(&id);
    Ok(DeleteTrafficMirrorFilterRuleReply {
        traffic_mirror_filter_rule_id: id,
    })
}
