//! Analyses of paths: whether a packet gets from one end to the other and back, by which components, and what is in its
//! way. The answer is the walk's, in the words of Amazon's Reachability Analyzer.

use std::net::IpAddr;

use api::ApiError;
use reachability::{Hop, Place, Query, Source, Walked};
use serde::{Deserialize, Serialize};
use topology::{AclEntry, IcmpMatch, Peer, ProtocolMatch, Rule, Snapshot, Target};
use types::{
    AccountId, DropReason, FlowTuple, InsightsAnalysisId, InsightsPathId, InterfaceId, ObjectId,
    RegionName, proto,
};
use walk::{RuleRef, Step};

use super::path::{BOUNDS, InsightsPath, PacketFilter, Ports};
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, describe};
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, Instance, Timestamp, Tx, quota};

actions! {
    "DeleteNetworkInsightsAnalysis" => delete_network_insights_analysis, Control;
    "DescribeNetworkInsightsAnalyses" => describe_network_insights_analyses, Control;
    "StartNetworkInsightsAnalysis" => start_network_insights_analysis, Control;
}

/// An analysis of a path. It is made at once, of the network as it was then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InsightsAnalysis {
    /// Its identifier.
    pub id: InsightsAnalysisId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The path.
    pub path: InsightsPathId,
    /// When it was made.
    pub started: Timestamp,
    /// Whether packets get there and answers back.
    pub found: bool,
    /// The way there, if they do.
    pub forward: Vec<Component>,
    /// The way back.
    pub back: Vec<Component>,
    /// What is in the way, if they do not.
    pub explanations: Vec<Explanation>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// Something on the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Component {
    /// Its place on the way, from 1.
    pub sequence_number: i64,
    /// What it is.
    pub component: Part,
    /// The entry of a network ACL that let the packet pass.
    pub acl_rule: Option<AclRule>,
    /// The packet as it leaves the source or a translation.
    pub outbound_header: Option<Header>,
    /// The packet as it arrives.
    pub inbound_header: Option<Header>,
    /// The route that was taken.
    pub route_table_route: Option<RouteTaken>,
    /// The rule of a security group that let the packet pass.
    pub security_group_rule: Option<GroupRule>,
    /// The subnet of an interface.
    pub subnet: Option<Part>,
    /// The VPC of an interface.
    pub vpc: Option<Part>,
}

/// What a component is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Part {
    /// Its identifier.
    pub id: String,
    /// Its ARN.
    pub arn: String,
}

/// A packet's addresses and ports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Header {
    /// Whom it is for.
    pub destination_addresses: Vec<String>,
    /// For which ports.
    pub destination_port_ranges: Vec<Span>,
    /// The protocol's number.
    pub protocol: String,
    /// Whom it is from.
    pub source_addresses: Vec<String>,
    /// From which ports.
    pub source_port_ranges: Vec<Span>,
}

/// A range of ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Span {
    /// The first one.
    pub from: i64,
    /// The last one.
    pub to: i64,
}

/// An entry of a network ACL.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AclRule {
    /// The block that it is for.
    pub cidr: Option<String>,
    /// Whether it is for what leaves.
    pub egress: bool,
    /// Its ports.
    pub port_range: Option<Span>,
    /// Its protocol's number, or `all`.
    pub protocol: Option<String>,
    /// `allow` or `deny`.
    pub rule_action: String,
    /// Its number; the last one, which denies, is 32767.
    pub rule_number: i64,
}

/// A rule of a security group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GroupRule {
    /// The block that it is for.
    pub cidr: Option<String>,
    /// `ingress` or `egress`.
    pub direction: String,
    /// The group that it is for.
    pub security_group_id: Option<String>,
    /// Its ports.
    pub port_range: Option<Span>,
    /// Its protocol's name, or `all`.
    pub protocol: String,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RouteTaken {
    /// The block that it is for.
    pub destination_cidr: String,
    /// It leads to an egress-only internet gateway,
    #[serde(default)]
    pub egress_only_internet_gateway_id: Option<String>,
    /// `local` or an internet gateway.
    pub gateway_id: Option<String>,
    /// Or a NAT gateway.
    pub nat_gateway_id: Option<String>,
    /// Or an interface.
    pub network_interface_id: Option<String>,
    /// Or a transit gateway.
    pub transit_gateway_id: Option<String>,
    /// Or a peering connection.
    pub vpc_peering_connection_id: Option<String>,
    /// `active` or `blackhole`.
    pub state: String,
}

/// What is in the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Explanation {
    /// Amazon's word for it.
    pub explanation_code: String,
    /// `ingress` or `egress`, where a component has both.
    pub direction: Option<String>,
    /// The network ACL.
    pub acl: Option<Part>,
    /// Its entry that denies.
    pub acl_rule: Option<AclRule>,
    /// What decided, where it is none of the others.
    pub component: Option<Part>,
    /// The interface.
    pub network_interface: Option<Part>,
    /// The route table.
    pub route_table: Option<Part>,
    /// Its route.
    pub route_table_route: Option<RouteTaken>,
    /// The security groups none of whose rules applies.
    pub security_groups: Option<Vec<Part>>,
    /// The attachment to a transit gateway.
    pub transit_gateway_attachment: Option<Part>,
    /// The transit gateway's route table.
    pub transit_gateway_route_table: Option<Part>,
    /// The VPC.
    pub vpc: Option<Part>,
    /// The VPC peering connection.
    pub vpc_peering_connection: Option<Part>,
    /// The address that was looked for.
    pub address: Option<String>,
    /// The packet's destination port.
    pub port: Option<i64>,
    /// The packet's protocol.
    pub protocols: Option<Vec<String>>,
}

resource!(
    InsightsAnalysis,
    "network-insights-analysis",
    |this, keys| {
        keys.of([this.path]);
    },
    |id| resource::unknown_id(
        id,
        "nia",
        "network insights analysis ID",
        "InvalidNetworkInsightsAnalysisId.NotFound",
        "InvalidNetworkInsightsAnalysisId.Malformed",
    )
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StartRequest {
    network_insights_path_id: String,
    client_token: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StartReply {
    network_insights_analysis: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    explanations: Vec<Explanation>,
    forward_path_components: Vec<Component>,
    network_insights_analysis_arn: String,
    network_insights_analysis_id: InsightsAnalysisId,
    network_insights_path_id: InsightsPathId,
    network_path_found: bool,
    return_path_components: Vec<Component>,
    start_date: api::Timestamp,
    status: &'static str,
    tags: Vec<Tag>,
}

impl InsightsAnalysis {
    fn reply(&self, _: &View<'_>) -> Item {
        Item {
            explanations: self.explanations.clone(),
            forward_path_components: self.forward.clone(),
            network_insights_analysis_arn: super::arn(
                &self.region,
                self.account,
                InsightsAnalysis::TYPE,
                &self.id,
            ),
            network_insights_analysis_id: self.id,
            network_insights_path_id: self.path,
            network_path_found: self.found,
            return_path_components: self.back.clone(),
            start_date: api::Timestamp::from_millis(self.started.0),
            status: "succeeded",
            tags: self.tags.reply(),
        }
    }
}

/// An end of a path, as the network has it.
#[derive(Clone, Copy)]
enum End {
    Interface(InterfaceId),
    Outside,
}

fn end(tx: &Tx, id: ObjectId) -> Result<End, ApiError> {
    if let ObjectId::InterfaceId(id) = id {
        return Ok(End::Interface(id));
    }
    if let ObjectId::InstanceId(id) = id {
        let primary = tx
            .get::<Instance>(&id)
            .and_then(|instance| instance.interfaces.get(&0));
        return primary
            .map(|id| End::Interface(*id))
            .ok_or_else(|| gone(&id));
    }
    if let ObjectId::GatewayId(_) = id {
        return Ok(End::Outside);
    }
    Err(ApiError::new(
        "UnsupportedOperation",
        format!("Paths from or to {id} are not analyzed."),
    ))
}

fn gone(id: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(
        "InvalidParameterValue",
        format!("The path's end {id} no longer exists."),
    )
}

/// The question that a path asks. Without a port, the first one that is open; if none is, the first of its filter.
fn question(tx: &Tx, snapshot: &Snapshot, path: &InsightsPath) -> Result<Query, ApiError> {
    let protocol = if path.protocol == "udp" {
        proto::UDP
    } else {
        proto::TCP
    };
    let filter = |part: fn(&PacketFilter) -> Option<String>| {
        let ends = [&path.at_source, &path.at_destination];
        ends.into_iter().flatten().find_map(part)
    };
    let address = |text: Option<String>| text.and_then(|text| text.parse::<IpAddr>().ok());
    let from = end(tx, path.source)?;
    let to = path.destination.map(|id| end(tx, id)).transpose()?;
    let outside = |known: Option<IpAddr>| {
        let uplink = snapshot.uplink();
        let host = uplink
            .filter(|uplink| !uplink.internet)
            .map(|uplink| uplink.host);
        known.or(host).unwrap_or(reachability::SOMEWHERE)
    };
    let source = match from {
        End::Interface(id) => Source::Interface(id),
        End::Outside => {
            let named = path.source_ip.map(IpAddr::V4);
            Source::Outside(outside(
                named.or(address(filter(|f| f.source_address.clone()))),
            ))
        }
    };
    let named = path.destination_ip.map(IpAddr::V4);
    let named = named.or(address(filter(|f| f.destination_address.clone())));
    let destination = match (named, to) {
        (Some(address), _) => address,
        (None, Some(End::Interface(id))) => {
            let interface = snapshot.interface(id).ok_or_else(|| gone(&id))?;
            let private = interface
                .addresses
                .first()
                .copied()
                .ok_or_else(|| gone(&id))?;
            let public = snapshot
                .public_of(id, private)
                .map(|address| address.public);
            match from {
                End::Interface(_) => private,
                End::Outside => public.unwrap_or(private),
            }
        }
        (None, Some(End::Outside) | None) => outside(None),
    };
    let first = |range: Option<Ports>| range.and_then(|range| u16::try_from(range.from_port?).ok());
    let ports = |part: fn(&PacketFilter) -> Option<Ports>| {
        let ends = [&path.at_source, &path.at_destination];
        first(ends.into_iter().flatten().find_map(part))
    };
    let port = path
        .destination_port
        .or_else(|| ports(|f| f.destination_port_range));
    let port = match port {
        Some(port) => port,
        None => open_port(snapshot, source, destination, protocol).unwrap_or(0),
    };
    Ok(Query {
        source_port: ports(|f| f.source_port_range).unwrap_or(Query::EPHEMERAL),
        ..Query::new(source, destination, protocol, port)
    })
}

/// Walks that the search for an open port may take.
const PORT_WALKS: u64 = 100_000;

fn open_port(snapshot: &Snapshot, source: Source, to: IpAddr, protocol: u8) -> Option<u16> {
    let from = match source {
        Source::Interface(id) => Place::Interface(id),
        Source::Instance(id) => Place::Instance(id),
        Source::Outside(address) => Place::Block(types::Cidr::host(address)),
    };
    let to = Place::Block(types::Cidr::host(to));
    let found = reachability::reach(snapshot, &[from], &[to], PORT_WALKS).ok()?;
    let ports = found
        .rows
        .iter()
        .filter_map(|row| row.services.first_port(protocol));
    ports.min()
}

pub(crate) fn start_network_insights_analysis(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: StartRequest,
) -> Result<StartReply, ApiError> {
    if req.client_token.is_none() {
        return Err(resource::missing("ClientToken"));
    }
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &InsightsAnalysis| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let path =
                resource::find::<InsightsPath>(tx, ctx, &req.network_insights_path_id)?.clone();
            let present = resource::own::<InsightsAnalysis>(tx, ctx).count();
            quota::INSIGHTS_ANALYSES.one_more(tx, ctx, present)?;
            let snapshot = super::snapshot(tx, ctx);
            let query = question(tx, &snapshot, &path)?;
            let walked = reachability::walked(&snapshot, &query);
            let words = Words {
                snapshot: &snapshot,
                region: &ctx.region,
                account: ctx.account,
            };
            let analysis = InsightsAnalysis {
                id: InsightsAnalysisId::from_bits(ctx.random()),
                account: ctx.account,
                region: ctx.region.clone(),
                tags: Tags::of_new(req.tag_specifications.as_deref(), InsightsAnalysis::TYPE)?,
                path: path.id,
                started: ctx.now,
                found: walked.blockers.is_empty(),
                forward: words.way(&walked, &walked.forward),
                back: words.way(&walked, &walked.back),
                explanations: walked
                    .blockers
                    .iter()
                    .filter_map(|hop| words.explanation(hop))
                    .collect(),
                client_token: token,
            };
            let id = analysis.id;
            tx.put(analysis);
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(StartReply {
        network_insights_analysis: resource::get::<InsightsAnalysis>(tx, &id)?.reply(&view),
    })
}

/// The walk in EC2's words.
struct Words<'a> {
    snapshot: &'a Snapshot,
    region: &'a RegionName,
    account: AccountId,
}

impl Words<'_> {
    fn part(&self, id: ObjectId) -> Part {
        let text = id.to_string();
        let noun = match text.rsplit_once('-').map_or("", |(prefix, _)| prefix) {
            "i" => "instance",
            "eni" => "network-interface",
            "igw" => "internet-gateway",
            "nat" => "natgateway",
            "sg" => "security-group",
            "acl" => "network-acl",
            "rtb" => "route-table",
            "subnet" => "subnet",
            "vpc" => "vpc",
            "pcx" => "vpc-peering-connection",
            "tgw" => "transit-gateway",
            "tgw-attach" => "transit-gateway-attachment",
            "tgw-rtb" => "transit-gateway-route-table",
            "eipalloc" => "elastic-ip",
            _ => "resource",
        };
        Part {
            arn: super::arn(self.region, self.account, noun, &text),
            id: text,
        }
    }

    /// The components of a way that leads there; none of one that does not.
    fn way(&self, walked: &Walked, hops: &[Hop]) -> Vec<Component> {
        if !walked.blockers.is_empty() {
            return Vec::new();
        }
        let last = hops.len().saturating_sub(1);
        let mut way: Vec<Component> = Vec::new();
        for (index, hop) in hops.iter().enumerate() {
            // Checks are of the interface that stands there already.
            if matches!(hop.line.step, Step::SourceCheck | Step::DestinationCheck) {
                continue;
            }
            let Some(object) = hop.line.object else {
                continue;
            };
            let interface = if let ObjectId::InterfaceId(id) = object {
                self.snapshot.interface(id)
            } else {
                None
            };
            let instance = interface.and_then(|interface| interface.instance);
            let mut component = self.component(object);
            component.subnet = interface.map(|interface| self.part(interface.subnet.into()));
            component.vpc = interface.map(|interface| self.part(interface.vpc.into()));
            self.rule(hop, &mut component);
            if index == 0 || hop.before != hop.after {
                component.outbound_header = Some(header(&hop.after));
            }
            if index == last || (hop.before != hop.after && index != 0) {
                component.inbound_header = Some(header(&hop.before));
            }
            let instance = instance.map(|id| self.component(id.into()));
            if index == 0 {
                way.extend(instance);
                way.push(component);
            } else {
                way.push(component);
                way.extend(instance);
            }
        }
        for (component, number) in way.iter_mut().zip(1..) {
            component.sequence_number = number;
        }
        way
    }

    fn component(&self, id: ObjectId) -> Component {
        Component {
            sequence_number: 0,
            component: self.part(id),
            acl_rule: None,
            outbound_header: None,
            inbound_header: None,
            route_table_route: None,
            security_group_rule: None,
            subnet: None,
            vpc: None,
        }
    }

    fn rule(&self, hop: &Hop, component: &mut Component) {
        match (hop.line.rule, hop.line.object) {
            (Some(RuleRef::AclEntry(number)), Some(ObjectId::AclId(_))) => {
                component.acl_rule = self.acl_rule(hop, number);
            }
            (Some(RuleRef::Route(route)), _) => {
                component.route_table_route = Some(route_taken(route, "active"));
            }
            (Some(RuleRef::GroupRule(id)), Some(ObjectId::GroupId(group))) => {
                let view = self.snapshot.home(group.into());
                let group = view.and_then(|view| view.group(group));
                let inbound = hop.line.step == Step::IngressSecurityGroup;
                let rules = group.map(|group| {
                    if inbound {
                        &group.ingress
                    } else {
                        &group.egress
                    }
                });
                let rule = rules.and_then(|rules| rules.iter().find(|rule| rule.id == id));
                component.security_group_rule = rule.map(|rule| group_rule(rule, inbound));
            }
            _ => {}
        }
    }

    fn acl_rule(&self, hop: &Hop, number: Option<u16>) -> Option<AclRule> {
        let Some(ObjectId::AclId(id)) = hop.line.object else {
            return None;
        };
        let egress = hop.line.step == Step::EgressAcl;
        let Some(number) = number else {
            return Some(AclRule {
                cidr: Some("0.0.0.0/0".to_owned()),
                egress,
                port_range: None,
                protocol: Some("all".to_owned()),
                rule_action: "deny".to_owned(),
                rule_number: 32767,
            });
        };
        let acl = self.snapshot.home(id.into())?.acl(id)?;
        let entries = if egress { &acl.egress } else { &acl.ingress };
        let entry: &AclEntry = entries.iter().find(|entry| entry.number == number)?;
        let (protocol, port_range) = protocol(entry.protocol);
        Some(AclRule {
            cidr: Some(entry.cidr.to_string()),
            egress,
            port_range,
            protocol: Some(protocol),
            rule_action: if entry.allow { "allow" } else { "deny" }.to_owned(),
            rule_number: number.into(),
        })
    }

    /// A blocker in Amazon's words.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what has no member of its own is named as a component"
    )]
    fn explanation(&self, hop: &Hop) -> Option<Explanation> {
        let walk::Outcome::Drop(reason) = hop.line.outcome else {
            return None;
        };
        let step = hop.line.step;
        let direction = match step {
            Step::EgressSecurityGroup | Step::EgressAcl => Some("egress"),
            Step::IngressSecurityGroup | Step::IngressAcl => Some("ingress"),
            _ => None,
        };
        let mut explanation = Explanation {
            explanation_code: code(reason, step, hop.line.object).to_owned(),
            direction: direction.map(str::to_owned),
            acl: None,
            acl_rule: None,
            component: None,
            network_interface: None,
            route_table: None,
            route_table_route: None,
            security_groups: None,
            transit_gateway_attachment: None,
            transit_gateway_route_table: None,
            vpc: None,
            vpc_peering_connection: None,
            address: None,
            port: Some(hop.before.destination_port.into()),
            protocols: Some(vec![hop.before.protocol.to_string()]),
        };
        if let Some(object) = hop.line.object {
            let part = Some(self.part(object));
            match object {
                ObjectId::AclId(_) => {
                    explanation.acl = part;
                    if let Some(RuleRef::AclEntry(number)) = hop.line.rule {
                        explanation.acl_rule = self.acl_rule(hop, number);
                    }
                }
                ObjectId::GroupId(_) => explanation.security_groups = part.map(|part| vec![part]),
                ObjectId::InterfaceId(_) => explanation.network_interface = part,
                ObjectId::RouteTableId(_) => {
                    explanation.route_table = part;
                    if let Some(RuleRef::Route(route)) = hop.line.rule {
                        explanation.route_table_route = Some(route_taken(route, "blackhole"));
                    }
                }
                ObjectId::TransitGatewayAttachmentId(_) => {
                    explanation.transit_gateway_attachment = part
                }
                ObjectId::TransitGatewayRouteTableId(_) => {
                    explanation.transit_gateway_route_table = part
                }
                ObjectId::PeeringConnectionId(_) => explanation.vpc_peering_connection = part,
                ObjectId::VpcId(_) => explanation.vpc = part,
                _ => explanation.component = part,
            }
        }
        let address = if reason == DropReason::NoReturnRoute {
            hop.before.source
        } else {
            hop.before.destination
        };
        if address.is_ipv4() {
            explanation.address = Some(address.to_string());
        }
        Some(explanation)
    }
}

/// Amazon's code for a reason (Reachability Analyzer's "Explanation codes").
const fn code(reason: DropReason, step: Step, object: Option<ObjectId>) -> &'static str {
    match (reason, step) {
        (DropReason::SecurityGroupEgress | DropReason::SecurityGroupIngress, _) => {
            "ENI_SG_RULES_MISMATCH"
        }
        (DropReason::NetworkAcl, _) => "SUBNET_ACL_RESTRICTION",
        (DropReason::NoRoute, Step::TransitGateway) => match object {
            Some(ObjectId::TransitGatewayAttachmentId(_)) => {
                "TGW_ATTACH_MISSING_TGW_RTB_ASSOCIATION"
            }
            _ => "TGW_RTB_NO_ROUTE_TO_TGW_ATTACHMENT",
        },
        (DropReason::BlackholeRoute, Step::TransitGateway) => "TGW_RTB_BAD_STATE_ROUTE",
        (DropReason::NoRoute | DropReason::NoReturnRoute, _) => "NO_ROUTE_TO_DESTINATION",
        (DropReason::BlackholeRoute, _) => "BAD_STATE_ROUTE",
        (DropReason::SpoofedAddress | DropReason::DestinationCheck, _) => {
            "ENI_SOURCE_DEST_CHECK_RESTRICTION"
        }
        (DropReason::NoPublicAddress, _) => "IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS",
        (DropReason::UnassociatedPublicAddress, _) => "IGW_PUBLIC_IP_ASSOCIATION_FOR_INGRESS",
        (DropReason::NoInternetGateway, _) => "UNASSOCIATED_COMPONENT",
        (DropReason::EdgeToEdge, _) => "PCX_REQUIRES_ADDRESS_IN_VPC_CIDR",
        (DropReason::NoAttachmentInZone, _) => "TGW_ATTACH_VPC_AZ_RESTRICTION",
        (DropReason::NotAttached | DropReason::NoInterface, _) => "BAD_STATE",
        _ => "NO_POSSIBLE_DESTINATION",
    }
}

fn header(tuple: &FlowTuple) -> Header {
    let span = |port: u16| Span {
        from: port.into(),
        to: port.into(),
    };
    Header {
        destination_addresses: vec![types::Cidr::host(tuple.destination).to_string()],
        destination_port_ranges: vec![span(tuple.destination_port)],
        protocol: tuple.protocol.to_string(),
        source_addresses: vec![types::Cidr::host(tuple.source).to_string()],
        source_port_ranges: vec![span(tuple.source_port)],
    }
}

fn protocol(protocol: ProtocolMatch) -> (String, Option<Span>) {
    match protocol {
        ProtocolMatch::Any => ("all".to_owned(), None),
        ProtocolMatch::Ports(number, ports) => (
            number.to_string(),
            Some(Span {
                from: ports.first().into(),
                to: ports.last().into(),
            }),
        ),
        ProtocolMatch::Icmp(number, IcmpMatch { .. }) | ProtocolMatch::Number(number) => {
            (number.to_string(), None)
        }
    }
}

fn group_rule(rule: &Rule, inbound: bool) -> GroupRule {
    let (protocol, port_range) = protocol(rule.protocol);
    let (cidr, security_group_id) = match rule.peer {
        Peer::Cidr(cidr) => (Some(cidr.to_string()), None),
        Peer::Group(id) => (None, Some(id.to_string())),
    };
    GroupRule {
        cidr,
        direction: if inbound { "ingress" } else { "egress" }.to_owned(),
        security_group_id,
        port_range,
        protocol,
    }
}

fn route_taken(route: topology::Route, state: &str) -> RouteTaken {
    let mut taken = RouteTaken {
        destination_cidr: route.destination.to_string(),
        state: state.to_owned(),
        ..RouteTaken::default()
    };
    match route.target {
        Target::Local => taken.gateway_id = Some("local".to_owned()),
        Target::InternetGateway(id) => taken.gateway_id = Some(id.to_string()),
        Target::Interface(id) => taken.network_interface_id = Some(id.to_string()),
        Target::NatGateway(id) => taken.nat_gateway_id = Some(id.to_string()),
        Target::Peering(id) => taken.vpc_peering_connection_id = Some(id.to_string()),
        Target::TransitGateway(id) => taken.transit_gateway_id = Some(id.to_string()),
        Target::EgressOnlyGateway(id) => {
            taken.egress_only_internet_gateway_id = Some(id.to_string());
        }
        Target::Blackhole => {}
    }
    taken
}

const FILTERS: &[Field<InsightsAnalysis>] = &[
    ("path-found", |_, a| vec![a.found.to_string()]),
    ("status", |_, _| vec!["succeeded".to_owned()]),
];

describe!(
    describe_all(DescribeAll { network_insights_analysis_ids, filters })
        -> DescribeReply { network_insights_analyses: Item },
    InsightsAnalysis, FILTERS, BOUNDS
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    network_insights_analysis_ids: Option<Vec<String>>,
    network_insights_path_id: Option<String>,
    filters: Option<Vec<crate::filter::Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(crate) fn describe_network_insights_analyses(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeReply, ApiError> {
    if req.network_insights_analysis_ids.is_some() && req.network_insights_path_id.is_some() {
        return Err(mortal::combination(
            "Specify either analysis IDs or a path ID.",
        ));
    }
    let mut reply = describe_all(
        tx,
        ctx,
        DescribeAll {
            network_insights_analysis_ids: req.network_insights_analysis_ids,
            filters: req.filters,
            max_results: req.max_results,
            next_token: req.next_token,
        },
    )?;
    if let Some(path) = &req.network_insights_path_id {
        let path = resource::find::<InsightsPath>(tx, ctx, path)?.id;
        let all = &mut reply.network_insights_analyses;
        all.retain(|item| item.network_insights_path_id == path);
    }
    Ok(reply)
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AnalysisId {
    network_insights_analysis_id: String,
}

pub(crate) fn delete_network_insights_analysis(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AnalysisId,
) -> Result<AnalysisId, ApiError> {
    let id = resource::find::<InsightsAnalysis>(tx, ctx, &req.network_insights_analysis_id)?.id;
    tx.remove::<InsightsAnalysis>(&id);
    Ok(req)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    /// Two instances of the default VPC; what blocks one of them is found, opened as told, and gone.
    #[test]
    fn an_analysis_says_what_blocks_and_then_the_way() {
        let mut world = World::new();
        let subnets = world.ok("DescribeSubnets", json!({}));
        let vpc = text(&subnets, "Subnets.0.VpcId");
        let launch = |world: &mut World, name: &str, subnet: &str| {
            let made = world.ok(
                "CreateSecurityGroup",
                json!({"VpcId": vpc, "GroupName": name, "Description": "d"}),
            );
            let group = text(&made, "GroupId");
            let made = world.ok(
                "RunInstances",
                json!({
                    "ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1,
                    "SubnetId": text(&subnets, subnet), "SecurityGroupIds": [group],
                }),
            );
            (text(&made, "Instances.0.InstanceId"), group)
        };
        let (web, web_group) = launch(&mut world, "web", "Subnets.0.SubnetId");
        let (db, db_group) = launch(&mut world, "db", "Subnets.1.SubnetId");
        let path = json!({"Source": web, "Destination": db, "Protocol": "tcp", "DestinationPort": 5432, "ClientToken": "p"});
        let made = world.ok("CreateNetworkInsightsPath", path);
        let path = text(&made, "NetworkInsightsPath.NetworkInsightsPathId");
        let analyze = |world: &mut World, token: &str| {
            world.ok(
                "StartNetworkInsightsAnalysis",
                json!({"NetworkInsightsPathId": path, "ClientToken": token}),
            )
        };
        let blocked = analyze(&mut world, "1");
        let analysis = "NetworkInsightsAnalysis";
        let at = |member: &str| format!("{analysis}.{member}");
        assert_eq!(text(&blocked, &at("NetworkPathFound")), "false");
        assert_eq!(text(&blocked, &at("Status")), "succeeded");
        assert_eq!(count(&blocked, &at("Explanations")), 1);
        assert_eq!(
            text(&blocked, &at("Explanations.0.ExplanationCode")),
            "ENI_SG_RULES_MISMATCH"
        );
        assert_eq!(text(&blocked, &at("Explanations.0.Direction")), "ingress");
        assert_eq!(
            text(&blocked, &at("Explanations.0.SecurityGroups.0.Id")),
            db_group
        );
        assert_eq!(count(&blocked, &at("ForwardPathComponents")), 0);
        let pair = json!([{"GroupId": web_group}]);
        let permission = json!({"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 6000, "UserIdGroupPairs": pair});
        world.ok(
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": db_group, "IpPermissions": [permission]}),
        );
        let found = analyze(&mut world, "2");
        assert_eq!(text(&found, &at("NetworkPathFound")), "true");
        let components = count(&found, &at("ForwardPathComponents"));
        let first = text(&found, &at("ForwardPathComponents.0.Component.Id"));
        let last = text(
            &found,
            &at(&format!(
                "ForwardPathComponents.{}.Component.Id",
                components - 1
            )),
        );
        assert_eq!((first, last), (web.clone(), db));
        let number = text(
            &found,
            &at(&format!(
                "ForwardPathComponents.{}.SequenceNumber",
                components - 1
            )),
        );
        assert_eq!(number, components.to_string());
        let groups = (0..components).map(|n| {
            text(
                &found,
                &at(&format!("ForwardPathComponents.{n}.Component.Id")),
            )
        });
        assert!(groups.into_iter().any(|id| id == db_group));
        let back = count(&found, &at("ReturnPathComponents"));
        let home = text(
            &found,
            &at(&format!("ReturnPathComponents.{}.Component.Id", back - 1)),
        );
        assert_eq!(home, web);
        // A path goes after its analyses.
        let code = world.err(
            "DeleteNetworkInsightsPath",
            json!({"NetworkInsightsPathId": path}),
        );
        assert_eq!(code, "AnalysisExistsForNetworkInsightsPath");
        // The earlier analysis stays as it was.
        let all = world.ok(
            "DescribeNetworkInsightsAnalyses",
            json!({"NetworkInsightsPathId": path}),
        );
        assert_eq!(count(&all, "NetworkInsightsAnalyses"), 2);
        let filters = json!({"Filters": [{"Name": "path-found", "Values": ["false"]}]});
        let some = world.ok("DescribeNetworkInsightsAnalyses", filters);
        assert_eq!(count(&some, "NetworkInsightsAnalyses"), 1);
        let id = text(&blocked, &at("NetworkInsightsAnalysisId"));
        let one = json!({"NetworkInsightsAnalysisId": id});
        world.ok("DeleteNetworkInsightsAnalysis", one.clone());
        let code = world.err("DeleteNetworkInsightsAnalysis", one);
        assert_eq!(code, "InvalidNetworkInsightsAnalysisId.NotFound");
    }

    /// Without a port the first one that is open is taken; an internet gateway is the outside.
    #[test]
    fn a_path_without_a_port_takes_an_open_one() {
        let mut world = World::new();
        let subnets = world.ok("DescribeSubnets", json!({}));
        let made = world.ok("RunInstances", json!({
            "ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "SubnetId": text(&subnets, "Subnets.0.SubnetId"),
        }));
        let instance = text(&made, "Instances.0.InstanceId");
        let group = text(&made, "Instances.0.SecurityGroups.0.GroupId");
        let permission = json!({"IpProtocol": "udp", "FromPort": 500, "ToPort": 501, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]});
        world.ok(
            "AuthorizeSecurityGroupIngress",
            json!({"GroupId": group, "IpPermissions": [permission]}),
        );
        let made = world.ok("AllocateAddress", json!({"Domain": "vpc"}));
        let association =
            json!({"AllocationId": text(&made, "AllocationId"), "InstanceId": instance});
        world.ok("AssociateAddress", association);
        let gateways = world.ok("DescribeInternetGateways", json!({}));
        let gateway = text(&gateways, "InternetGateways.0.InternetGatewayId");
        for (protocol, found) in [("udp", "true"), ("tcp", "false")] {
            let path = json!({"Source": gateway, "Destination": instance, "Protocol": protocol, "ClientToken": protocol});
            let made = world.ok("CreateNetworkInsightsPath", path);
            let path = text(&made, "NetworkInsightsPath.NetworkInsightsPathId");
            let start = json!({"NetworkInsightsPathId": path, "ClientToken": protocol});
            let done = world.ok("StartNetworkInsightsAnalysis", start);
            assert_eq!(
                text(&done, "NetworkInsightsAnalysis.NetworkPathFound"),
                found,
                "{protocol}"
            );
        }
    }
}
