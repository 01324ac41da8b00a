//! Analyses of access scopes: the paths that a scope is about, looked for among everything that can be reached.

use std::net::IpAddr;

use api::ApiError;
use reachability::{End, Party, Place, Services};
use serde::{Deserialize, Serialize};
use topology::Snapshot;
use types::{
    AccessScopeAnalysisId, AccessScopeId, AccountId, Cidr, ObjectId, RegionName, VpcId, proto,
};

use super::analysis::{Component, Header, Part, Span};
use super::path::BOUNDS;
use super::scope::{AccessScope, ScopeEnd, ScopePath};
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, describe};
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Timestamp, Tx, Vpc, page, quota};

actions! {
    "DeleteNetworkInsightsAccessScopeAnalysis" => delete_scope_analysis, Control;
    "DescribeNetworkInsightsAccessScopeAnalyses" => describe_scope_analyses, Control;
    "GetNetworkInsightsAccessScopeAnalysisFindings" => get_findings, Control;
    "StartNetworkInsightsAccessScopeAnalysis" => start_scope_analysis, Control;
}

/// An analysis of an access scope. It is made at once, of the network as it was then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScopeAnalysis {
    /// Its identifier.
    pub id: AccessScopeAnalysisId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The scope.
    pub scope: AccessScopeId,
    /// When it was made.
    pub started: Timestamp,
    /// What was found; `None` if the network is too large to be asked.
    pub findings: Option<Vec<Finding>>,
    /// Why it failed, or what is missing.
    pub message: Option<String>,
    /// How many interfaces were looked at.
    pub interfaces: u64,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// A path that the scope is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Its identifier.
    pub id: String,
    /// Its ends.
    pub components: Vec<Component>,
}

resource!(
    ScopeAnalysis,
    "network-insights-access-scope-analysis",
    // An analysis may outlive its scope.
    |_this, _keys| {},
    |id| resource::unknown_id(
        id,
        "nisa",
        "network insights access scope analysis ID",
        "InvalidNetworkInsightsAccessScopeAnalysisId.NotFound",
        "InvalidNetworkInsightsAccessScopeAnalysisId.Malformed",
    )
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StartScopeRequest {
    network_insights_access_scope_id: String,
    client_token: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StartScopeReply {
    network_insights_access_scope_analysis: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    analyzed_eni_count: u64,
    end_date: api::Timestamp,
    findings_found: &'static str,
    network_insights_access_scope_analysis_arn: String,
    network_insights_access_scope_analysis_id: AccessScopeAnalysisId,
    network_insights_access_scope_id: AccessScopeId,
    start_date: api::Timestamp,
    status: &'static str,
    status_message: Option<String>,
    tags: Vec<Tag>,
}

impl ScopeAnalysis {
    fn status(&self) -> &'static str {
        if self.findings.is_some() {
            "succeeded"
        } else {
            "failed"
        }
    }

    fn reply(&self, _: &View<'_>) -> Item {
        let at = api::Timestamp::from_millis(self.started.0);
        Item {
            analyzed_eni_count: self.interfaces,
            end_date: at,
            findings_found: match &self.findings {
                Some(findings) if findings.is_empty() => "false",
                Some(_) => "true",
                None => "unknown",
            },
            network_insights_access_scope_analysis_arn: super::arn(
                &self.region,
                self.account,
                ScopeAnalysis::TYPE,
                &self.id,
            ),
            network_insights_access_scope_analysis_id: self.id,
            network_insights_access_scope_id: self.scope,
            start_date: at,
            status: self.status(),
            status_message: self.message.clone(),
            tags: self.tags.reply(),
        }
    }
}

/// How many walks an analysis may take: changes wait meanwhile.
const MOST: u64 = 500_000;
/// The most findings that are kept.
const MAX_FINDINGS: usize = 1000;

pub(crate) fn start_scope_analysis(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: StartScopeRequest,
) -> Result<StartScopeReply, ApiError> {
    if req.client_token.is_none() {
        return Err(resource::missing("ClientToken"));
    }
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &ScopeAnalysis| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let scope =
                resource::find::<AccessScope>(tx, ctx, &req.network_insights_access_scope_id)?
                    .clone();
            let present = resource::own::<ScopeAnalysis>(tx, ctx).count();
            quota::SCOPE_ANALYSES.one_more(tx, ctx, present)?;
            let snapshot = super::snapshot(tx, ctx);
            let vpcs: Vec<VpcId> = resource::own::<Vpc>(tx, ctx).map(|vpc| vpc.id).collect();
            let interfaces = vpcs.iter().filter_map(|vpc| snapshot.vpc(*vpc));
            let interfaces = interfaces
                .map(|view| view.interfaces().count())
                .sum::<usize>();
            let (findings, message) = findings(ctx, &snapshot, &vpcs, &scope)?;
            let analysis = ScopeAnalysis {
                id: AccessScopeAnalysisId::from_bits(ctx.random()),
                account: ctx.account,
                region: ctx.region.clone(),
                tags: Tags::of_new(req.tag_specifications.as_deref(), ScopeAnalysis::TYPE)?,
                scope: scope.id,
                started: ctx.now,
                findings,
                message,
                interfaces: u64::try_from(interfaces).unwrap_or(u64::MAX),
                client_token: token,
            };
            let id = analysis.id;
            tx.put(analysis);
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(StartScopeReply {
        network_insights_access_scope_analysis: resource::get::<ScopeAnalysis>(tx, &id)?
            .reply(&view),
    })
}

/// What one side of a pattern says, read once.
struct Side {
    /// Whether the outside is meant.
    outside: bool,
    /// The interfaces that are meant; `None` is every one.
    places: Option<Vec<ObjectId>>,
    blocks: Option<Vec<Cidr>>,
}

/// A pattern of paths, read once.
struct Pattern {
    from: Side,
    to: Side,
    protocols: Option<Vec<u8>>,
    ports: Option<Vec<(u16, u16)>>,
}

fn unsupported(what: &str) -> ApiError {
    ApiError::new(
        "UnsupportedOperation",
        format!("Access scopes with {what} are not analyzed."),
    )
}

fn side(end: Option<&ScopeEnd>, addresses: Option<&Vec<String>>) -> Result<Side, ApiError> {
    let statement = end.and_then(|end| end.resource_statement.as_ref());
    let mut side = Side {
        outside: statement.is_none(),
        places: statement.map(|_| Vec::new()),
        blocks: None,
    };
    if let Some(statement) = statement {
        let mut places = Vec::new();
        for kind in statement.resource_types.iter().flatten() {
            match kind.as_str() {
                "AWS::EC2::InternetGateway" => side.outside = true,
                "AWS::EC2::Instance" | "AWS::EC2::NetworkInterface" => side.places = None,
                other => return Err(unsupported(&format!("the resource type {other}"))),
            }
        }
        for text in statement.resources.iter().flatten() {
            let id = text.rsplit('/').next().unwrap_or_default();
            let id: ObjectId = id
                .parse()
                .map_err(|_| unsupported(&format!("the resource {text}")))?;
            if matches!(id, ObjectId::GatewayId(_)) {
                side.outside = true;
            } else if matches!(
                id,
                ObjectId::InstanceId(_)
                    | ObjectId::InterfaceId(_)
                    | ObjectId::SubnetId(_)
                    | ObjectId::VpcId(_)
                    | ObjectId::GroupId(_)
            ) {
                places.push(id);
            } else {
                return Err(unsupported(&format!("the resource {text}")));
            }
        }
        if let Some(named) = &mut side.places {
            named.extend(places);
        }
    }
    if let Some(addresses) = addresses {
        let block = |text: &String| match text.parse::<IpAddr>() {
            Ok(address) => Ok(Cidr::host(address)),
            Err(_) => text.parse::<Cidr>().map_err(|_| {
                mortal::invalid("address", text, "It must be an address or a CIDR block.")
            }),
        };
        side.blocks = Some(addresses.iter().map(block).collect::<Result<_, _>>()?);
    }
    Ok(side)
}

fn pattern(path: &ScopePath) -> Result<Pattern, ApiError> {
    if path.through_resources.is_some() {
        return Err(unsupported("ThroughResources"));
    }
    let headers = [&path.source, &path.destination].map(|end| {
        end.as_ref()
            .and_then(|end| end.packet_header_statement.as_ref())
    });
    let mut read = Pattern {
        from: side(path.source.as_ref(), None)?,
        to: side(path.destination.as_ref(), None)?,
        protocols: None,
        ports: None,
    };
    for header in headers.into_iter().flatten() {
        if header.source_prefix_lists.is_some() || header.destination_prefix_lists.is_some() {
            return Err(unsupported("prefix lists"));
        }
        if header.source_ports.is_some() {
            return Err(unsupported("SourcePorts"));
        }
        if header.source_addresses.is_some() {
            read.from.blocks = side(None, header.source_addresses.as_ref())?.blocks;
        }
        if header.destination_addresses.is_some() {
            read.to.blocks = side(None, header.destination_addresses.as_ref())?.blocks;
        }
        if let Some(protocols) = &header.protocols {
            let number = |name: &String| {
                if name == "udp" {
                    proto::UDP
                } else {
                    proto::TCP
                }
            };
            read.protocols = Some(protocols.iter().map(number).collect());
        }
        if let Some(ports) = &header.destination_ports {
            let range = |text: &String| {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                let bad = || {
                    mortal::invalid(
                        "destinationPorts",
                        text,
                        "It must be a port or a range of ports.",
                    )
                };
                let (first, last) = (
                    first.parse::<u16>().map_err(|_| bad())?,
                    last.parse::<u16>().map_err(|_| bad())?,
                );
                if first <= last {
                    Ok((first, last))
                } else {
                    Err(bad())
                }
            };
            read.ports = Some(ports.iter().map(range).collect::<Result<_, _>>()?);
            // Ports are TCP's and UDP's.
            read.protocols
                .get_or_insert_with(|| vec![proto::TCP, proto::UDP]);
        }
    }
    Ok(read)
}

/// One end of a row: an interface under an address, or a block outside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Inside(End),
    Outside(Cidr),
}

fn everyone(party: &Party) -> Vec<Who> {
    let inside = party.interfaces.iter().map(|end| Who::Inside(*end));
    inside
        .chain(party.outside.iter().map(|block| Who::Outside(*block)))
        .collect()
}

impl Side {
    /// The part of an end that is meant: a block outside may be meant in part.
    fn part(&self, snapshot: &Snapshot, who: Who) -> Vec<Who> {
        match who {
            Who::Inside(end) => {
                let named = self.places.as_ref().is_none_or(|ids| {
                    snapshot.interface(end.interface).is_some_and(|interface| {
                        ids.iter().any(|id| {
                            *id == ObjectId::from(interface.id)
                                || *id == ObjectId::from(interface.subnet)
                                || *id == ObjectId::from(interface.vpc)
                                || interface.instance.map(ObjectId::from) == Some(*id)
                                || interface
                                    .groups
                                    .iter()
                                    .any(|group| ObjectId::from(*group) == *id)
                        })
                    })
                });
                let blocks = self.blocks.as_ref();
                let there =
                    blocks.is_none_or(|blocks| blocks.iter().any(|b| b.contains(end.address)));
                if named && there {
                    vec![who]
                } else {
                    Vec::new()
                }
            }
            Who::Outside(block) if self.outside => match &self.blocks {
                None => vec![who],
                Some(blocks) => blocks
                    .iter()
                    .filter(|wanted| wanted.overlaps(block))
                    .map(|wanted| Who::Outside(if wanted.covers(block) { block } else { *wanted }))
                    .collect(),
            },
            Who::Outside(_) => Vec::new(),
        }
    }

    /// Whether all of an end is meant.
    fn covers(&self, snapshot: &Snapshot, who: Who) -> bool {
        self.part(snapshot, who).contains(&who)
    }
}

type Found = (Option<Vec<Finding>>, Option<String>);

fn findings(
    ctx: &Context<'_>,
    snapshot: &Snapshot,
    vpcs: &[VpcId],
    scope: &AccessScope,
) -> Result<Found, ApiError> {
    let matches = scope
        .matches
        .iter()
        .map(pattern)
        .collect::<Result<Vec<_>, _>>()?;
    let excludes = scope
        .excludes
        .iter()
        .map(pattern)
        .collect::<Result<Vec<_>, _>>()?;
    let mut places: Vec<Place> = vpcs.iter().copied().map(Place::Vpc).collect();
    places.push(Place::Internet);
    let all = match reachability::reach(snapshot, &places, &places, MOST) {
        Ok(all) => all,
        Err(error) => return Ok((None, Some(error.to_string()))),
    };
    let mut found = Vec::new();
    for row in &all.rows {
        let pairs = everyone(&row.from)
            .into_iter()
            .flat_map(|from| everyone(&row.to).into_iter().map(move |to| (from, to)));
        for (from, to) in pairs {
            if let (Who::Inside(a), Who::Inside(b)) = (from, to)
                && a.interface == b.interface
            {
                continue;
            }
            for pattern in &matches {
                for from in pattern.from.part(snapshot, from) {
                    for to in pattern.to.part(snapshot, to) {
                        let mut left = pattern.services(&row.services);
                        for out in &excludes {
                            if out.from.covers(snapshot, from) && out.to.covers(snapshot, to) {
                                left = left.without(&out.services(&row.services));
                            }
                        }
                        if left.is_empty() {
                            continue;
                        }
                        if found.len() == MAX_FINDINGS {
                            let message = format!("There are more than {MAX_FINDINGS} findings.");
                            return Ok((Some(found), Some(message)));
                        }
                        let id = format!("nisaf-{:06}", found.len() + 1);
                        let components = components(ctx, snapshot, from, to, &left);
                        found.push(Finding { id, components });
                    }
                }
            }
        }
    }
    Ok((Some(found), None))
}

impl Pattern {
    fn services(&self, services: &Services) -> Services {
        services.only(self.protocols.as_deref(), self.ports.as_deref())
    }
}

/// The ends of a path, each with the packets that pass: one component for every protocol at the destination.
fn components(
    ctx: &Context<'_>,
    snapshot: &Snapshot,
    from: Who,
    to: Who,
    services: &Services,
) -> Vec<Component> {
    let addresses = |who: Who| match who {
        Who::Inside(end) => format!(
            "{}/{}",
            end.address,
            if end.address.is_ipv4() { 32 } else { 128 }
        ),
        Who::Outside(block) => block.to_string(),
    };
    let part = |who: Who| {
        let gateway = |end: Who| match end {
            Who::Inside(end) => snapshot
                .vpc_of(end.interface)
                .and_then(|view| view.vpc.as_ref()?.internet_gateway),
            Who::Outside(_) => None,
        };
        let (noun, id) = match who {
            Who::Inside(end) => ("network-interface", end.interface.to_string()),
            Who::Outside(_) => {
                let id = gateway(from).or(gateway(to)).map(|id| id.to_string());
                ("internet-gateway", id.unwrap_or_default())
            }
        };
        Part {
            arn: super::arn(&ctx.region, ctx.account, noun, &id),
            id,
        }
    };
    let component = |number: i64, who: Who| Component {
        sequence_number: number,
        component: part(who),
        acl_rule: None,
        outbound_header: None,
        inbound_header: None,
        route_table_route: None,
        security_group_rule: None,
        subnet: None,
        vpc: None,
    };
    let headers = services.iter().map(|(protocol, ranges)| {
        let has_ports = matches!(protocol, Some(proto::TCP | proto::UDP));
        let span = |&(first, last): &(u16, u16)| Span {
            from: first.into(),
            to: last.into(),
        };
        Header {
            destination_addresses: vec![addresses(to)],
            destination_port_ranges: if has_ports {
                ranges.as_slice().iter().map(span).collect()
            } else {
                Vec::new()
            },
            protocol: protocol.map_or("all".to_owned(), |number| number.to_string()),
            source_addresses: vec![addresses(from)],
            source_port_ranges: Vec::new(),
        }
    });
    let mut all = vec![component(1, from)];
    for (number, header) in (2..).zip(headers) {
        all.push(Component {
            inbound_header: Some(header),
            ..component(number, to)
        });
    }
    all
}

const FILTERS: &[Field<ScopeAnalysis>] = &[];

describe!(
    describe_all(DescribeAllScopes { network_insights_access_scope_analysis_ids, filters })
        -> DescribeScopesReply { network_insights_access_scope_analyses: Item },
    ScopeAnalysis, FILTERS, BOUNDS
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeScopeRequest {
    network_insights_access_scope_analysis_ids: Option<Vec<String>>,
    network_insights_access_scope_id: Option<String>,
    filters: Option<Vec<crate::filter::Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(crate) fn describe_scope_analyses(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeScopeRequest,
) -> Result<DescribeScopesReply, ApiError> {
    let mut reply = describe_all(
        tx,
        ctx,
        DescribeAllScopes {
            network_insights_access_scope_analysis_ids: req
                .network_insights_access_scope_analysis_ids,
            filters: req.filters,
            max_results: req.max_results,
            next_token: req.next_token,
        },
    )?;
    if let Some(scope) = &req.network_insights_access_scope_id {
        let scope = resource::find::<AccessScope>(tx, ctx, scope)?.id;
        let all = &mut reply.network_insights_access_scope_analyses;
        all.retain(|item| item.network_insights_access_scope_id == scope);
    }
    Ok(reply)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct FindingsRequest {
    network_insights_access_scope_analysis_id: String,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FindingsReply {
    analysis_findings: Vec<FindingItem>,
    analysis_status: &'static str,
    network_insights_access_scope_analysis_id: AccessScopeAnalysisId,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FindingItem {
    finding_components: Vec<Component>,
    finding_id: String,
    network_insights_access_scope_analysis_id: AccessScopeAnalysisId,
    network_insights_access_scope_id: AccessScopeId,
}

pub(crate) fn get_findings(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: FindingsRequest,
) -> Result<FindingsReply, ApiError> {
    let id = &req.network_insights_access_scope_analysis_id;
    let analysis = resource::find::<ScopeAnalysis>(tx, ctx, id)?;
    let cut = page::cut(
        analysis.findings.iter().flatten(),
        |finding| finding.id.clone(),
        &(1..=1000),
        req.max_results,
        req.next_token.as_deref(),
    )?;
    let item = |finding: &Finding| FindingItem {
        finding_components: finding.components.clone(),
        finding_id: finding.id.clone(),
        network_insights_access_scope_analysis_id: analysis.id,
        network_insights_access_scope_id: analysis.scope,
    };
    Ok(FindingsReply {
        analysis_findings: cut.items.into_iter().map(item).collect(),
        analysis_status: analysis.status(),
        network_insights_access_scope_analysis_id: analysis.id,
        next_token: cut.next_token,
    })
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ScopeAnalysisId {
    network_insights_access_scope_analysis_id: String,
}

pub(crate) fn delete_scope_analysis(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ScopeAnalysisId,
) -> Result<ScopeAnalysisId, ApiError> {
    let id = &req.network_insights_access_scope_analysis_id;
    let id = resource::find::<ScopeAnalysis>(tx, ctx, id)?.id;
    tx.remove::<ScopeAnalysis>(&id);
    Ok(req)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    /// An instance in the default VPC, open to the internet on two ports.
    #[test]
    fn a_scope_finds_what_the_internet_can_open() {
        let mut world = World::new();
        let subnets = world.ok("DescribeSubnets", json!({}));
        let subnet = text(&subnets, "Subnets.0.SubnetId");
        let vpc = text(&subnets, "Subnets.0.VpcId");
        let made = world.ok(
            "CreateSecurityGroup",
            json!({"VpcId": vpc, "GroupName": "web", "Description": "d"}),
        );
        let group = text(&made, "GroupId");
        for (from, to) in [(80, 80), (8000, 8010)] {
            let permission = json!({"IpProtocol": "tcp", "FromPort": from, "ToPort": to, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]});
            world.ok(
                "AuthorizeSecurityGroupIngress",
                json!({"GroupId": group, "IpPermissions": [permission]}),
            );
        }
        let launch = json!({
            "ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet, "SecurityGroupIds": [group],
        });
        let made = world.ok("RunInstances", launch);
        let interface = text(&made, "Instances.0.NetworkInterfaces.0.NetworkInterfaceId");
        let made = world.ok("AllocateAddress", json!({"Domain": "vpc"}));
        let allocation = text(&made, "AllocationId");
        world.ok(
            "AssociateAddress",
            json!({"AllocationId": allocation, "NetworkInterfaceId": interface}),
        );
        let inbound =
            json!({"ResourceStatement": {"ResourceTypes": ["AWS::EC2::InternetGateway"]}});
        let scope = |world: &mut World, token: &str, excludes: serde_json::Value| {
            let request = json!({
                "ClientToken": token,
                "MatchPaths": [{
                    "Source": inbound,
                    "Destination": {"PacketHeaderStatement": {"Protocols": ["tcp"]}},
                }],
                "ExcludePaths": excludes,
            });
            let made = world.ok("CreateNetworkInsightsAccessScope", request);
            text(
                &made,
                "NetworkInsightsAccessScope.NetworkInsightsAccessScopeId",
            )
        };
        let analyze = |world: &mut World, token: &str, scope: &str| {
            let request = json!({"ClientToken": token, "NetworkInsightsAccessScopeId": scope});
            world.ok("StartNetworkInsightsAccessScopeAnalysis", request)
        };
        let all = scope(&mut world, "a", json!([]));
        let done = analyze(&mut world, "b", &all);
        let analysis = "NetworkInsightsAccessScopeAnalysis";
        assert_eq!(text(&done, &format!("{analysis}.FindingsFound")), "true");
        assert_eq!(text(&done, &format!("{analysis}.AnalyzedEniCount")), "1");
        let id = text(
            &done,
            &format!("{analysis}.NetworkInsightsAccessScopeAnalysisId"),
        );
        let one = json!({"NetworkInsightsAccessScopeAnalysisId": id});
        let found = world.ok("GetNetworkInsightsAccessScopeAnalysisFindings", one.clone());
        assert!(count(&found, "AnalysisFindings") >= 1);
        let components = "AnalysisFindings.0.FindingComponents";
        assert!(text(&found, &format!("{components}.0.Component.Id")).starts_with("igw-"));
        assert_eq!(
            text(&found, &format!("{components}.1.Component.Id")),
            interface
        );
        let ports = format!("{components}.1.InboundHeader.DestinationPortRanges");
        assert_eq!(
            (
                text(&found, &format!("{ports}.0.From")),
                text(&found, &format!("{ports}.1.To"))
            ),
            ("80".into(), "8010".into())
        );
        // What is excluded is no finding; what is left of it is one.
        let header = |ports: &str| json!([{"Source": inbound, "Destination": {"PacketHeaderStatement": {"DestinationPorts": [ports]}}}]);
        let some = scope(&mut world, "c", header("80"));
        let done = analyze(&mut world, "d", &some);
        assert_eq!(text(&done, &format!("{analysis}.FindingsFound")), "true");
        let none = scope(&mut world, "e", header("1-9000"));
        let done = analyze(&mut world, "f", &none);
        assert_eq!(text(&done, &format!("{analysis}.FindingsFound")), "false");
        let of_all = json!({"NetworkInsightsAccessScopeId": all});
        let found = world.ok("DescribeNetworkInsightsAccessScopeAnalyses", of_all);
        assert_eq!(count(&found, "NetworkInsightsAccessScopeAnalyses"), 1);
        world.ok("DeleteNetworkInsightsAccessScopeAnalysis", one.clone());
        let code = world.err("DeleteNetworkInsightsAccessScopeAnalysis", one);
        assert_eq!(code, "InvalidNetworkInsightsAccessScopeAnalysisId.NotFound");
        // The tokens of a repeated request find what it made.
        let again = analyze(&mut world, "f", &none);
        assert_eq!(again, done);
        let through = json!({"ClientToken": "g", "MatchPaths": [{"ThroughResources": [{"ResourceStatement": {"ResourceTypes": ["AWS::EC2::NatGateway"]}}]}]});
        let made = world.ok("CreateNetworkInsightsAccessScope", through);
        let id = text(
            &made,
            "NetworkInsightsAccessScope.NetworkInsightsAccessScopeId",
        );
        let code = world.err(
            "StartNetworkInsightsAccessScopeAnalysis",
            json!({"ClientToken": "h", "NetworkInsightsAccessScopeId": id}),
        );
        assert_eq!(code, "UnsupportedOperation");
    }
}
