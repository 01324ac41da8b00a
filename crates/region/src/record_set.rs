//! Record sets of hosted zones: what they are, and how they are listed. How they change is in `record_change`.

use std::fmt;
use std::str::FromStr;

use api::ApiError;
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::dns_name::DnsName;
use crate::hosted_zone::{self, HostedZone, HostedZoneId, NAME_SERVERS, invalid_input};
use crate::record_data::RecordType;
use crate::table::{Indexed, Keys};
use crate::{Context, State, Tx};

actions! {
    "ListResourceRecordSets" => list_resource_record_sets, Control;
}

/// The record sets of every zone: SOA and NS of the apex.
pub(crate) const REQUIRED: usize = 2;

/// Records of one name and type; of several such sets of a name and type, each has an identifier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordSet {
    /// Where it is.
    pub id: RecordKey,
    /// What answers with it.
    pub data: RecordData,
    /// When it answers, of several sets of its name and type; none if it is the only one.
    pub routing: Option<Routing>,
}

/// What a record set answers with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RecordData {
    /// Its own values.
    Values {
        /// How many seconds a resolver may keep them.
        ttl: u32,
        /// The values, as they were given.
        values: Vec<String>,
    },
    /// What another record set of the zone and type answers with.
    Alias {
        /// The name of that set.
        target: DnsName,
        /// Whether the target's health counts. Nothing here is ever unhealthy.
        evaluate_target_health: bool,
    },
}

/// Which of several record sets of a name and type answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Routing {
    /// By chance, in proportion to the weights.
    Weight(u8),
    /// The one of the region that is nearest.
    Latency(String),
    /// The primary one while it is healthy.
    Failover {
        /// Whether it is the primary one.
        primary: bool,
    },
    /// Up to eight of them.
    MultiValue,
}

impl Routing {
    /// What sets of a kind are called in messages.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Routing::Weight(_) => "weighted",
            Routing::Latency(_) => "latency",
            Routing::Failover { .. } => "failover",
            Routing::MultiValue => "multivalue answer",
        }
    }
}

/// A record set's place. Sets are ordered by zone, name, type and identifier, as Route 53 lists them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RecordKey {
    /// Its zone.
    pub zone: HostedZoneId,
    /// Its name.
    pub name: DnsName,
    /// Its type.
    pub kind: RecordType,
    /// What tells it from others of its name and type.
    pub identifier: Option<String>,
}

impl fmt::Display for RecordKey {
    /// `Z1/www.example./A/blue`. A name as it is shown has no slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.zone, self.name, self.kind)?;
        match &self.identifier {
            Some(identifier) => write!(f, "/{identifier}"),
            None => Ok(()),
        }
    }
}

impl FromStr for RecordKey {
    type Err = String;

    fn from_str(text: &str) -> Result<RecordKey, String> {
        let wrong = || format!("`{text}` is not a record set's key");
        let mut parts = text.splitn(4, '/');
        let mut part = || parts.next().ok_or_else(wrong);
        Ok(RecordKey {
            zone: part()?.parse()?,
            name: part()?.parse().map_err(|_| wrong())?,
            kind: part()?.parse()?,
            identifier: parts.next().map(str::to_owned),
        })
    }
}

impl Serialize for RecordKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RecordKey, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Record sets are found by the order of their keys.
impl Indexed for RecordSet {
    fn keys(&self, _: &mut Keys<'_>) {}
}

impl RecordSet {
    /// Whether the zone cannot be without it.
    pub(crate) fn is_required(&self, zone: &HostedZone) -> bool {
        self.id.name == zone.name && matches!(self.id.kind, RecordType::Ns | RecordType::Soa)
    }
}

/// The record sets of a zone from a name on, in order.
pub(crate) fn from<'s>(
    state: &'s State,
    zone: &HostedZoneId,
    name: DnsName,
) -> impl Iterator<Item = &'s RecordSet> {
    let first = RecordKey {
        zone: zone.clone(),
        name,
        kind: RecordType::FIRST,
        identifier: None,
    };
    let zone = zone.clone();
    state
        .record_sets
        .from(&first)
        .take_while(move |set| set.id.zone == zone)
}

/// The record sets of a zone, in order.
pub(crate) fn of_zone<'s>(
    state: &'s State,
    zone: &HostedZoneId,
) -> impl Iterator<Item = &'s RecordSet> {
    from(state, zone, DnsName::default())
}

/// The record sets of a name, in order.
pub(crate) fn of_name<'s>(
    state: &'s State,
    zone: &HostedZoneId,
    name: &DnsName,
) -> impl Iterator<Item = &'s RecordSet> {
    let wanted = name.clone();
    from(state, zone, name.clone()).take_while(move |set| set.id.name == wanted)
}

/// Gives a new zone the records that every zone has.
pub(crate) fn make_required(tx: &mut Tx, zone: &HostedZone) {
    /// Route 53 "NS and SOA records that Amazon Route 53 creates for a hosted zone".
    const SOA: &str =
        "ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";
    let name_servers = NAME_SERVERS.map(str::to_owned).to_vec();
    let sets = [
        (RecordType::Ns, 172_800, name_servers),
        (RecordType::Soa, 900, vec![SOA.to_owned()]),
    ];
    for (kind, ttl, values) in sets {
        tx.put(RecordSet {
            id: RecordKey {
                zone: zone.id.clone(),
                name: zone.name.clone(),
                kind,
                identifier: None,
            },
            data: RecordData::Values { ttl, values },
            routing: None,
        });
    }
}

/// A record set in requests and replies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RecordSetItem {
    pub(crate) name: String,
    pub(crate) r#type: Option<RecordType>,
    pub(crate) set_identifier: Option<String>,
    pub(crate) weight: Option<u8>,
    pub(crate) region: Option<String>,
    pub(crate) failover: Option<Failover>,
    pub(crate) multi_value_answer: Option<bool>,
    #[serde(rename = "TTL")]
    pub(crate) ttl: Option<u32>,
    pub(crate) resource_records: Option<Vec<ValueItem>>,
    pub(crate) alias_target: Option<AliasItem>,
    pub(crate) health_check_id: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Failover {
    Primary,
    Secondary,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ValueItem {
    pub(crate) value: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AliasItem {
    pub(crate) hosted_zone_id: String,
    #[serde(rename = "DNSName")]
    pub(crate) dns_name: String,
    pub(crate) evaluate_target_health: bool,
}

impl RecordSet {
    fn reply(&self) -> RecordSetItem {
        let mut item = RecordSetItem {
            name: self.id.name.to_string(),
            r#type: Some(self.id.kind),
            set_identifier: self.id.identifier.clone(),
            ..RecordSetItem::default()
        };
        match &self.routing {
            Some(Routing::Weight(weight)) => item.weight = Some(*weight),
            Some(Routing::Latency(region)) => item.region = Some(region.clone()),
            Some(Routing::Failover { primary: true }) => item.failover = Some(Failover::Primary),
            Some(Routing::Failover { primary: false }) => item.failover = Some(Failover::Secondary),
            Some(Routing::MultiValue) => item.multi_value_answer = Some(true),
            None => {}
        }
        match &self.data {
            RecordData::Values { ttl, values } => {
                let value = |value: &String| ValueItem {
                    value: value.clone(),
                };
                item.ttl = Some(*ttl);
                item.resource_records = Some(values.iter().map(value).collect());
            }
            RecordData::Alias {
                target,
                evaluate_target_health,
            } => {
                item.alias_target = Some(AliasItem {
                    hosted_zone_id: self.id.zone.to_string(),
                    dns_name: target.to_string(),
                    evaluate_target_health: *evaluate_target_health,
                });
            }
        }
        item
    }
}

/// The most record sets of a page (Route 53 "ListResourceRecordSets").
const MAX_SETS: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListRequest {
    hosted_zone_id: String,
    start_record_name: Option<String>,
    start_record_type: Option<RecordType>,
    start_record_identifier: Option<String>,
    max_items: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListReply {
    resource_record_sets: Vec<RecordSetItem>,
    is_truncated: bool,
    next_record_name: Option<DnsName>,
    next_record_type: Option<RecordType>,
    next_record_identifier: Option<String>,
    max_items: String,
}

pub(crate) fn list_resource_record_sets(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListRequest,
) -> Result<ListReply, ApiError> {
    let zone = hosted_zone::find(tx, ctx, &req.hosted_zone_id)?;
    let most = hosted_zone::max_items(req.max_items.as_deref(), MAX_SETS)?;
    if req.start_record_type.is_some() && req.start_record_name.is_none() {
        return Err(invalid_input(
            "A record name is required when a record type is specified",
        ));
    }
    if req.start_record_identifier.is_some() && req.start_record_type.is_none() {
        return Err(invalid_input(
            "A record name and type are required when a record identifier is specified",
        ));
    }
    let start = req
        .start_record_name
        .map(|name| {
            let name = name.parse::<DnsName>().map_err(|error| {
                invalid_input(format!("FATAL problem: {error} encountered with '{name}'"))
            })?;
            Ok::<_, ApiError>(RecordKey {
                zone: zone.id.clone(),
                name,
                kind: req.start_record_type.unwrap_or(RecordType::FIRST),
                identifier: req.start_record_identifier,
            })
        })
        .transpose()?;
    let mut sets = match &start {
        Some(start) => from(tx.state(), &zone.id, start.name.clone()),
        None => from(tx.state(), &zone.id, DnsName::default()),
    }
    .skip_while(|set| start.as_ref().is_some_and(|start| set.id < *start));
    let resource_record_sets = sets.by_ref().take(most).map(RecordSet::reply).collect();
    let next = sets.next().map(|set| set.id.clone());
    Ok(ListReply {
        resource_record_sets,
        is_truncated: next.is_some(),
        next_record_name: next.as_ref().map(|next| next.name.clone()),
        next_record_type: next.as_ref().map(|next| next.kind),
        next_record_identifier: next.and_then(|next| next.identifier),
        max_items: most.to_string(),
    })
}
