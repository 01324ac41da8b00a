//! Paths: from where to where an analysis shall look.

use std::net::Ipv4Addr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, InsightsPathId, ObjectId, RegionName};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, View};
use crate::mortal::{self, describe, invalid};
use crate::resource::{self, Resource as _, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{
    Context, InsightsAnalysis, Instance, InternetGateway, NetworkInterface, Timestamp, Tx,
    VpnGateway, quota,
};

actions! {
    "CreateNetworkInsightsPath" => create_network_insights_path, Control;
    "DeleteNetworkInsightsPath" => delete_network_insights_path, Control;
    "DescribeNetworkInsightsPaths" => describe_network_insights_paths, Control;
}

/// A path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InsightsPath {
    /// Its identifier.
    pub id: InsightsPathId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// Where it begins.
    pub source: ObjectId,
    /// Where it ends; without it a filter names an address.
    pub destination: Option<ObjectId>,
    /// The address where it begins.
    pub source_ip: Option<Ipv4Addr>,
    /// The address where it ends.
    pub destination_ip: Option<Ipv4Addr>,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The port where it ends.
    pub destination_port: Option<u16>,
    /// What packets are at its beginning.
    pub at_source: Option<PacketFilter>,
    /// What packets are at its end.
    pub at_destination: Option<PacketFilter>,
    /// When it was made.
    pub created: Timestamp,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// What packets are at one end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PacketFilter {
    /// Whom they are from.
    pub source_address: Option<String>,
    /// From which ports.
    pub source_port_range: Option<Ports>,
    /// Whom they are for.
    pub destination_address: Option<String>,
    /// For which ports.
    pub destination_port_range: Option<Ports>,
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
    InsightsPath,
    "network-insights-path",
    // A path may outlive what it names.
    |_this, _keys| {},
    |id| resource::unknown_id(
        id,
        "nip",
        "network insights path ID",
        "InvalidNetworkInsightsPathId.NotFound",
        "InvalidNetworkInsightsPathId.Malformed",
    )
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreatePathRequest {
    source_ip: Option<String>,
    destination_ip: Option<String>,
    source: String,
    destination: Option<String>,
    protocol: String,
    destination_port: Option<i64>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
    filter_at_source: Option<PacketFilter>,
    filter_at_destination: Option<PacketFilter>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreatePathReply {
    network_insights_path: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    created_date: api::Timestamp,
    destination: Option<ObjectId>,
    destination_arn: Option<String>,
    destination_ip: Option<Ipv4Addr>,
    destination_port: Option<u16>,
    filter_at_destination: Option<PacketFilter>,
    filter_at_source: Option<PacketFilter>,
    network_insights_path_arn: String,
    network_insights_path_id: InsightsPathId,
    protocol: String,
    source: ObjectId,
    source_arn: Option<String>,
    source_ip: Option<Ipv4Addr>,
    tags: Vec<Tag>,
}

/// The word for a kind of end in its ARN.
fn noun(id: ObjectId) -> Option<&'static str> {
    Some(match id.to_string().split_once('-')?.0 {
        "i" => "instance",
        "eni" => "network-interface",
        "igw" => "internet-gateway",
        "vgw" => "vpn-gateway",
        _ => return None,
    })
}

impl InsightsPath {
    fn reply(&self, _: &View<'_>) -> Item {
        let arn = |id: ObjectId| Some(super::arn(&self.region, self.account, noun(id)?, &id));
        Item {
            created_date: api::Timestamp::from_millis(self.created.0),
            destination: self.destination,
            destination_arn: self.destination.and_then(arn),
            destination_ip: self.destination_ip,
            destination_port: self.destination_port,
            filter_at_destination: self.at_destination.clone(),
            filter_at_source: self.at_source.clone(),
            network_insights_path_arn: super::arn(
                &self.region,
                self.account,
                InsightsPath::TYPE,
                &self.id,
            ),
            network_insights_path_id: self.id,
            protocol: self.protocol.clone(),
            source: self.source,
            source_arn: arn(self.source),
            source_ip: self.source_ip,
            tags: self.tags.reply(),
        }
    }
}

/// One end of a path, by id or ARN.
fn end(tx: &Tx, ctx: &Context<'_>, text: &str, parameter: &str) -> Result<ObjectId, ApiError> {
    let id = text.rsplit('/').next().unwrap_or_default();
    let prefix = id.split_once('-').map_or("", |(prefix, _)| prefix);
    Ok(match prefix {
        "i" => resource::find::<Instance>(tx, ctx, id)?.id.into(),
        "eni" => resource::find::<NetworkInterface>(tx, ctx, id)?.id.into(),
        "igw" => resource::find::<InternetGateway>(tx, ctx, id)?.id.into(),
        "vgw" => mortal::find::<VpnGateway>(tx, ctx, id)?.id.into(),
        _ => {
            return Err(invalid(
                parameter,
                text,
                "It must be an instance, a network interface, an internet gateway or a virtual private gateway.",
            ));
        }
    })
}

fn address(text: Option<&str>, parameter: &str) -> Result<Option<Ipv4Addr>, ApiError> {
    text.map(|text| {
        text.parse()
            .map_err(|_| invalid(parameter, text, "Invalid IPv4 address."))
    })
    .transpose()
}

fn port(number: Option<i64>, parameter: &str) -> Result<Option<u16>, ApiError> {
    number
        .map(|number| {
            u16::try_from(number)
                .map_err(|_| invalid(parameter, number, "It must be between 0 and 65535."))
        })
        .transpose()
}

fn check(filter: Option<&PacketFilter>) -> Result<(), ApiError> {
    let Some(filter) = filter else { return Ok(()) };
    address(filter.source_address.as_deref(), "sourceAddress")?;
    address(filter.destination_address.as_deref(), "destinationAddress")?;
    for (parameter, ports) in [
        ("sourcePortRange", filter.source_port_range),
        ("destinationPortRange", filter.destination_port_range),
    ] {
        let Some(ports) = ports else { continue };
        let from = port(ports.from_port, parameter)?;
        let to = port(ports.to_port, parameter)?;
        if from.unwrap_or(0) > to.unwrap_or(u16::MAX) {
            return Err(invalid(
                parameter,
                from.unwrap_or(0),
                "The first port is after the last one.",
            ));
        }
    }
    Ok(())
}

pub(crate) fn create_network_insights_path(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreatePathRequest,
) -> Result<CreatePathReply, ApiError> {
    if req.client_token.is_none() {
        return Err(resource::missing("ClientToken"));
    }
    let token = ClientToken::new(tx, req.client_token)?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &InsightsPath| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            if !["tcp", "udp"].contains(&req.protocol.as_str()) {
                return Err(invalid("protocol", req.protocol, "It must be tcp or udp."));
            }
            check(req.filter_at_source.as_ref())?;
            check(req.filter_at_destination.as_ref())?;
            let destination = match &req.destination {
                Some(text) => Some(end(tx, ctx, text, "destination")?),
                None => None,
            };
            let named = req.filter_at_source.as_ref();
            if destination.is_none()
                && named.is_none_or(|filter| filter.destination_address.is_none())
            {
                return Err(resource::missing("Destination"));
            }
            let present = resource::own::<InsightsPath>(tx, ctx).count();
            quota::INSIGHTS_PATHS.one_more(tx, ctx, present)?;
            let path = InsightsPath {
                id: InsightsPathId::from_bits(ctx.random()),
                account: ctx.account,
                region: ctx.region.clone(),
                tags: Tags::of_new(req.tag_specifications.as_deref(), InsightsPath::TYPE)?,
                source: end(tx, ctx, &req.source, "source")?,
                destination,
                source_ip: address(req.source_ip.as_deref(), "sourceIp")?,
                destination_ip: address(req.destination_ip.as_deref(), "destinationIp")?,
                protocol: req.protocol,
                destination_port: port(req.destination_port, "destinationPort")?,
                at_source: req.filter_at_source,
                at_destination: req.filter_at_destination,
                created: ctx.now,
                client_token: token,
            };
            let id = path.id;
            tx.put(path);
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(CreatePathReply {
        network_insights_path: resource::get::<InsightsPath>(tx, &id)?.reply(&view),
    })
}

fn ports(range: Option<Ports>) -> Vec<String> {
    let text = |ports: Ports| {
        format!(
            "{}-{}",
            ports.from_port.unwrap_or(0),
            ports.to_port.unwrap_or_else(|| i64::from(u16::MAX))
        )
    };
    range.map(text).into_iter().collect()
}

/// A filter's values of one end.
macro_rules! of_end {
    ($end:ident, $member:ident) => {
        |_, p| {
            let filter = p.$end.as_ref();
            filter
                .and_then(|filter| filter.$member.clone())
                .into_iter()
                .collect()
        }
    };
    ($end:ident, ports $member:ident) => {
        |_, p| ports(p.$end.as_ref().and_then(|filter| filter.$member))
    };
}

const FILTERS: &[Field<InsightsPath>] = &[
    ("destination", |_, p| {
        p.destination.map(|id| id.to_string()).into_iter().collect()
    }),
    (
        "filter-at-destination.destination-address",
        of_end!(at_destination, destination_address),
    ),
    (
        "filter-at-destination.destination-port-range",
        of_end!(at_destination, ports destination_port_range),
    ),
    (
        "filter-at-destination.source-address",
        of_end!(at_destination, source_address),
    ),
    (
        "filter-at-destination.source-port-range",
        of_end!(at_destination, ports source_port_range),
    ),
    (
        "filter-at-source.destination-address",
        of_end!(at_source, destination_address),
    ),
    (
        "filter-at-source.destination-port-range",
        of_end!(at_source, ports destination_port_range),
    ),
    (
        "filter-at-source.source-address",
        of_end!(at_source, source_address),
    ),
    (
        "filter-at-source.source-port-range",
        of_end!(at_source, ports source_port_range),
    ),
    ("protocol", |_, p| vec![p.protocol.clone()]),
    ("source", |_, p| vec![p.source.to_string()]),
];

/// EC2's bounds of `MaxResults` in Network Insights.
pub(super) const BOUNDS: std::ops::RangeInclusive<i64> = 1..=100;

describe!(
    describe_network_insights_paths(DescribePathsRequest { network_insights_path_ids, filters })
        -> DescribePathsReply { network_insights_paths: Item },
    InsightsPath, FILTERS, BOUNDS
);

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct PathId {
    network_insights_path_id: String,
}

pub(crate) fn delete_network_insights_path(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: PathId,
) -> Result<PathId, ApiError> {
    let id = resource::find::<InsightsPath>(tx, ctx, &req.network_insights_path_id)?.id;
    if tx.of::<InsightsAnalysis>(id).next().is_some() {
        return Err(ApiError::new(
            "AnalysisExistsForNetworkInsightsPath",
            format!("The network insights path {id} has analyses."),
        ));
    }
    tx.remove::<InsightsPath>(&id);
    Ok(req)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    #[test]
    fn life_of_a_path() {
        let mut world = World::new();
        let subnets = world.ok("DescribeSubnets", json!({}));
        let subnet = text(&subnets, "Subnets.0.SubnetId");
        let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        let interface = text(&made, "NetworkInterface.NetworkInterfaceId");
        let gateways = world.ok("DescribeInternetGateways", json!({}));
        let gateway = text(&gateways, "InternetGateways.0.InternetGatewayId");
        let request = json!({
            "Source": gateway, "Destination": interface, "Protocol": "tcp", "ClientToken": "t",
            "FilterAtSource": {"SourceAddress": "192.0.2.1", "DestinationPortRange": {"FromPort": 80, "ToPort": 90}},
        });
        let made = world.ok("CreateNetworkInsightsPath", request.clone());
        let id = text(&made, "NetworkInsightsPath.NetworkInsightsPathId");
        let again = world.ok("CreateNetworkInsightsPath", request.clone());
        assert_eq!(
            text(&again, "NetworkInsightsPath.NetworkInsightsPathId"),
            id
        );
        for (member, value, code) in [
            ("Protocol", json!("icmp"), "InvalidParameterValue"),
            ("Source", json!("x-1"), "InvalidParameterValue"),
            (
                "Destination",
                json!("eni-0123456789abcdef0"),
                "InvalidNetworkInterfaceID.NotFound",
            ),
            ("DestinationPort", json!(65_536), "InvalidParameterValue"),
            ("SourceIp", json!("here"), "InvalidParameterValue"),
            (
                "FilterAtSource",
                json!({"SourcePortRange": {"FromPort": 2, "ToPort": 1}}),
                "InvalidParameterValue",
            ),
        ] {
            let mut wrong = request.clone();
            wrong[member] = value;
            wrong["ClientToken"] = json!(member);
            assert_eq!(
                world.err("CreateNetworkInsightsPath", wrong),
                code,
                "{member}"
            );
        }
        for (name, value, found) in [
            ("source", gateway.as_str(), 1),
            ("destination", interface.as_str(), 1),
            ("protocol", "udp", 0),
            ("filter-at-source.destination-port-range", "80-90", 1),
            ("filter-at-destination.source-address", "*", 0),
        ] {
            let filters = json!({"Filters": [{"Name": name, "Values": [value]}]});
            let some = world.ok("DescribeNetworkInsightsPaths", filters);
            assert_eq!(count(&some, "NetworkInsightsPaths"), found, "{name}");
        }
        let one = json!({"NetworkInsightsPathId": id});
        world.ok("DeleteNetworkInsightsPath", one.clone());
        let code = world.err("DeleteNetworkInsightsPath", one);
        assert_eq!(code, "InvalidNetworkInsightsPathId.NotFound");
    }
}
