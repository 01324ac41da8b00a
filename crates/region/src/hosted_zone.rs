//! Route 53's private hosted zones. A zone belongs to an account, not to a region.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, RegionName, VpcId};

use crate::dispatch::actions;
use crate::dns_name::DnsName;
use crate::hosted_zone_vpc::{self, VpcItem};
use crate::record_set::{self, RecordSet};
use crate::table::{Indexed, Key, Keys};
use crate::zone_change::{self, ChangeInfo};
use crate::{Context, Record, Tags, Timestamp, Tx, quota};

actions! {
    "CreateHostedZone" => create_hosted_zone, Recorded;
    "DeleteHostedZone" => delete_hosted_zone, Recorded;
    "GetHostedZone" => get_hosted_zone, Control;
    "GetHostedZoneCount" => get_hosted_zone_count, Control;
    "ListHostedZones" => list_hosted_zones, Control;
    "ListHostedZonesByName" => list_hosted_zones_by_name, Control;
    "UpdateHostedZoneComment" => update_hosted_zone_comment, Control;
}

/// A private hosted zone: names and their records, for the resolvers of some VPCs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostedZone {
    /// Its identifier.
    pub id: HostedZoneId,
    /// Its owner.
    pub account: AccountId,
    /// The name of its apex; never the root.
    pub name: DnsName,
    /// What made the request that created it unique.
    pub caller_reference: String,
    /// The owner's remark.
    pub comment: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// The VPCs whose resolvers have it, with their regions. Never empty. One may be deleted since.
    pub vpcs: BTreeMap<VpcId, RegionName>,
    /// VPCs of other accounts that may be associated.
    pub authorized: BTreeMap<VpcId, RegionName>,
    /// How many record sets it has.
    pub record_sets: usize,
    /// Its tags.
    pub tags: Tags,
}

impl Indexed for HostedZone {
    fn keys(&self, keys: &mut Keys<'_>) {
        keys.owner(self.account, &home());
        keys.of(self.vpcs.keys().copied());
    }
}

/// The region under which everybody's zones are filed: Route 53's control plane is there (Route 53 "Endpoints").
#[expect(clippy::expect_used, reason = "a constant")]
fn home() -> RegionName {
    "us-east-1".parse().expect("a region")
}

/// A hosted zone's identifier: `Z` and capital letters and digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HostedZoneId(String);

impl HostedZoneId {
    /// With the path before it, an id has the 32 characters that the model allows.
    const DIGITS: usize = 19;

    /// An identifier from random bits.
    #[must_use]
    pub fn from_bits(bits: u128) -> HostedZoneId {
        HostedZoneId(format!("Z{}", base36(bits, HostedZoneId::DIGITS)))
    }
}

impl FromStr for HostedZoneId {
    type Err = String;

    fn from_str(text: &str) -> Result<HostedZoneId, String> {
        let plain = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase();
        let good = text.len() <= 32 && text.strip_prefix('Z').is_some_and(|d| d.bytes().all(plain));
        if good {
            Ok(HostedZoneId(text.to_owned()))
        } else {
            Err(format!("`{text}` is not a hosted zone id"))
        }
    }
}

impl TryFrom<String> for HostedZoneId {
    type Error = String;

    fn try_from(text: String) -> Result<HostedZoneId, String> {
        text.parse()
    }
}

impl From<HostedZoneId> for String {
    fn from(id: HostedZoneId) -> String {
        id.0
    }
}

impl fmt::Display for HostedZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The last digits of a number in base 36.
pub(crate) fn base36(mut number: u128, digits: usize) -> String {
    let mut text = vec!['0'; digits];
    for place in text.iter_mut().rev() {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        *place = char::from_digit(digit, 36)
            .unwrap_or('0')
            .to_ascii_uppercase();
        number /= 36;
    }
    text.into_iter().collect()
}

/// Name servers that every private zone shows.
pub(crate) const NAME_SERVERS: [&str; 4] = [
    "ns-1536.awsdns-00.co.uk.",
    "ns-0.awsdns-00.com.",
    "ns-1024.awsdns-00.org.",
    "ns-512.awsdns-00.net.",
];

/// The client's zones, by id.
pub(crate) fn own<'t>(tx: &'t Tx, ctx: &Context<'_>) -> impl Iterator<Item = &'t HostedZone> {
    HostedZone::table(tx.state()).by(Key::Owner(ctx.account, home()))
}

/// Route 53's error for an id that names none of the client's zones.
pub(crate) fn unknown(id: &str) -> ApiError {
    ApiError::new(
        "NoSuchHostedZone",
        format!("No hosted zone found with ID: {id}"),
    )
}

/// A zone, whoever's it is.
///
/// # Errors
/// `NoSuchHostedZone`.
pub(crate) fn any<'t>(tx: &'t Tx, id: &str) -> Result<&'t HostedZone, ApiError> {
    let key = id.parse().map_err(|_| unknown(id))?;
    tx.get::<HostedZone>(&key).ok_or_else(|| unknown(id))
}

/// The client's zone.
///
/// # Errors
/// `NoSuchHostedZone`, also for another account's.
pub(crate) fn find(tx: &Tx, ctx: &Context<'_>, id: &str) -> Result<HostedZone, ApiError> {
    let zone = any(tx, id)?;
    if zone.account == ctx.account {
        Ok(zone.clone())
    } else {
        Err(unknown(id))
    }
}

pub(crate) fn invalid_input(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidInput", message)
}

/// `MaxItems`: text in the model, a number from 1; more than `most` counts as `most` (Route 53 "ListHostedZones").
pub(crate) fn max_items(text: Option<&str>, most: usize) -> Result<usize, ApiError> {
    let Some(text) = text else { return Ok(most) };
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number.min(most)),
        Ok(_) | Err(_) => Err(invalid_input(format!(
            "The value '{text}' of MaxItems is not a number from 1 to {most}"
        ))),
    }
}

/// Domain names in parameters.
pub(crate) fn domain_name(text: &str) -> Result<DnsName, ApiError> {
    text.parse::<DnsName>()
        .ok()
        .filter(|name| name.depth() > 0)
        .ok_or_else(|| {
            let message = format!("The domain name '{text}' is not a valid domain name.");
            ApiError::new("InvalidDomainName", message)
        })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateHostedZoneRequest {
    name: String,
    #[serde(rename = "VPC")]
    vpc: Option<VpcItem>,
    caller_reference: String,
    hosted_zone_config: Option<ZoneConfig>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ZoneConfig {
    comment: Option<String>,
    private_zone: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateHostedZoneReply {
    hosted_zone: ZoneItem,
    change_info: ChangeInfo,
    delegation_set: DelegationSet,
    #[serde(rename = "VPC")]
    vpc: VpcItem,
    location: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DelegationSet {
    name_servers: [&'static str; 4],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ZoneItem {
    id: String,
    name: DnsName,
    caller_reference: String,
    config: ZoneConfig,
    resource_record_set_count: usize,
}

impl HostedZone {
    fn reply(&self) -> ZoneItem {
        ZoneItem {
            id: format!("/hostedzone/{}", self.id),
            name: self.name.clone(),
            caller_reference: self.caller_reference.clone(),
            config: ZoneConfig {
                comment: self.comment.clone().filter(|comment| !comment.is_empty()),
                private_zone: Some(true),
            },
            resource_record_set_count: self.record_sets,
        }
    }
}

pub(crate) fn create_hosted_zone(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateHostedZoneRequest,
) -> Result<CreateHostedZoneReply, ApiError> {
    let name = domain_name(&req.name)?;
    if name.is_wildcard() {
        return Err(ApiError::new(
            "InvalidDomainName",
            format!("The domain name '{}' is not a valid domain name.", req.name),
        ));
    }
    let private = req.hosted_zone_config.as_ref().and_then(|c| c.private_zone);
    let item = match (req.vpc, private) {
        (Some(vpc), None | Some(true)) => vpc,
        (Some(_), Some(false)) => {
            return Err(invalid_input(
                "A public hosted zone cannot be associated with a VPC",
            ));
        }
        (None, Some(true)) => {
            return Err(invalid_input(
                "When you're creating a private hosted zone you must specify a VPC",
            ));
        }
        (None, None | Some(false)) => {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "Public hosted zones are not supported by Polder: the parameter VPC of CreateHostedZone is missing",
            ));
        }
    };
    if own(tx, ctx).any(|zone| zone.caller_reference == req.caller_reference) {
        return Err(ApiError::new(
            "HostedZoneAlreadyExists",
            "A hosted zone has already been created with the specified caller reference.",
        ));
    }
    let (vpc, region) = hosted_zone_vpc::of_client(tx, ctx, &item)?;
    hosted_zone_vpc::check_conflict(tx, &name, vpc, &region)?;
    quota::HOSTED_ZONES.one_more(tx, ctx, own(tx, ctx).count())?;
    let zone = HostedZone {
        id: HostedZoneId::from_bits(ctx.random()),
        account: ctx.account,
        name,
        caller_reference: req.caller_reference,
        comment: req.hosted_zone_config.and_then(|config| config.comment),
        created: ctx.now,
        vpcs: BTreeMap::from([(vpc, region)]),
        authorized: BTreeMap::new(),
        record_sets: record_set::REQUIRED,
        tags: Tags::default(),
    };
    record_set::make_required(tx, &zone);
    let reply = CreateHostedZoneReply {
        hosted_zone: zone.reply(),
        change_info: zone_change::make(ctx, None),
        delegation_set: DelegationSet {
            name_servers: NAME_SERVERS,
        },
        vpc: item,
        location: format!(
            "https://route53.amazonaws.com/2013-04-01/hostedzone/{}",
            zone.id
        ),
    };
    tx.put(zone);
    Ok(reply)
}

/// `DeleteHostedZone` and `GetHostedZone`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ZoneRequest {
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetHostedZoneReply {
    hosted_zone: ZoneItem,
    #[serde(rename = "VPCs")]
    vpcs: Vec<VpcItem>,
}

pub(crate) fn get_hosted_zone(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ZoneRequest,
) -> Result<GetHostedZoneReply, ApiError> {
    let zone = find(tx, ctx, &req.id)?;
    Ok(GetHostedZoneReply {
        hosted_zone: zone.reply(),
        vpcs: hosted_zone_vpc::items(&zone.vpcs),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetHostedZoneCountRequest {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetHostedZoneCountReply {
    hosted_zone_count: usize,
}

pub(crate) fn get_hosted_zone_count(
    tx: &mut Tx,
    ctx: &Context<'_>,
    _: GetHostedZoneCountRequest,
) -> Result<GetHostedZoneCountReply, ApiError> {
    Ok(GetHostedZoneCountReply {
        hosted_zone_count: own(tx, ctx).count(),
    })
}

/// The most zones of a page.
pub(crate) const MAX_ZONES: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListHostedZonesRequest {
    marker: Option<String>,
    max_items: Option<String>,
    hosted_zone_type: Option<HostedZoneType>,
}

#[derive(Deserialize)]
enum HostedZoneType {
    PrivateHostedZone,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListHostedZonesReply {
    hosted_zones: Vec<ZoneItem>,
    marker: String,
    is_truncated: bool,
    next_marker: Option<String>,
    max_items: String,
}

pub(crate) fn list_hosted_zones(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListHostedZonesRequest,
) -> Result<ListHostedZonesReply, ApiError> {
    // Every zone is of the only type.
    let (Some(HostedZoneType::PrivateHostedZone) | None) = req.hosted_zone_type;
    let most = max_items(req.max_items.as_deref(), MAX_ZONES)?;
    let from: Option<HostedZoneId> = req
        .marker
        .as_deref()
        .map(|marker| any(tx, marker).map(|zone| zone.id.clone()))
        .transpose()?;
    let mut zones = own(tx, ctx).filter(|zone| from.as_ref().is_none_or(|from| zone.id >= *from));
    let hosted_zones: Vec<_> = zones.by_ref().take(most).map(HostedZone::reply).collect();
    let next = zones.next().map(|zone| zone.id.to_string());
    Ok(ListHostedZonesReply {
        hosted_zones,
        marker: req.marker.unwrap_or_default(),
        is_truncated: next.is_some(),
        next_marker: next,
        max_items: most.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListHostedZonesByNameRequest {
    #[serde(rename = "DNSName")]
    dns_name: Option<String>,
    hosted_zone_id: Option<String>,
    max_items: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListHostedZonesByNameReply {
    hosted_zones: Vec<ZoneItem>,
    #[serde(rename = "DNSName")]
    dns_name: Option<String>,
    hosted_zone_id: Option<String>,
    is_truncated: bool,
    #[serde(rename = "NextDNSName")]
    next_dns_name: Option<DnsName>,
    next_hosted_zone_id: Option<String>,
    max_items: String,
}

pub(crate) fn list_hosted_zones_by_name(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListHostedZonesByNameRequest,
) -> Result<ListHostedZonesByNameReply, ApiError> {
    let most = max_items(req.max_items.as_deref(), MAX_ZONES)?;
    let name = req.dns_name.as_deref().map(domain_name).transpose()?;
    if req.hosted_zone_id.is_some() && name.is_none() {
        return Err(invalid_input(
            "HostedZoneId cannot be specified without DNSName",
        ));
    }
    let from = name.map(|name| (name, req.hosted_zone_id.clone().unwrap_or_default()));
    let place = |zone: &HostedZone| (zone.name.clone(), zone.id.to_string());
    let mut zones: Vec<&HostedZone> = own(tx, ctx)
        .filter(|zone| from.as_ref().is_none_or(|from| place(zone) >= *from))
        .collect();
    zones.sort_by_key(|zone| place(zone));
    let next = zones.get(most);
    Ok(ListHostedZonesByNameReply {
        hosted_zones: zones.iter().take(most).map(|zone| zone.reply()).collect(),
        dns_name: req.dns_name,
        hosted_zone_id: req.hosted_zone_id,
        is_truncated: next.is_some(),
        next_dns_name: next.map(|zone| zone.name.clone()),
        next_hosted_zone_id: next.map(|zone| zone.id.to_string()),
        max_items: most.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdateHostedZoneCommentRequest {
    id: String,
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdateHostedZoneCommentReply {
    hosted_zone: ZoneItem,
}

pub(crate) fn update_hosted_zone_comment(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: UpdateHostedZoneCommentRequest,
) -> Result<UpdateHostedZoneCommentReply, ApiError> {
    let mut zone = find(tx, ctx, &req.id)?;
    // "If you don't specify a value for Comment, Route 53 deletes the existing value."
    zone.comment = req.comment;
    let reply = UpdateHostedZoneCommentReply {
        hosted_zone: zone.reply(),
    };
    tx.put(zone);
    Ok(reply)
}

/// What an action answers that only changes something.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChangeReply {
    pub(crate) change_info: ChangeInfo,
}

pub(crate) fn delete_hosted_zone(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ZoneRequest,
) -> Result<ChangeReply, ApiError> {
    let zone = find(tx, ctx, &req.id)?;
    let records: Vec<RecordSet> = record_set::of_zone(tx.state(), &zone.id).cloned().collect();
    if records.iter().any(|set| !set.is_required(&zone)) {
        return Err(ApiError::new(
            "HostedZoneNotEmpty",
            "The specified hosted zone contains non-required resource record sets  and so cannot be deleted.",
        ));
    }
    for set in records {
        tx.remove::<RecordSet>(&set.id);
    }
    tx.remove::<HostedZone>(&zone.id);
    Ok(ChangeReply {
        change_info: zone_change::make(ctx, None),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    fn vpc(world: &mut World) -> String {
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        text(&vpc, "Vpc.VpcId")
    }

    fn zone(world: &mut World, name: &str, reference: &str, vpc: &str) -> String {
        let reply = world.ok(
            "CreateHostedZone",
            json!({"Name": name, "CallerReference": reference, "VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}}),
        );
        let id = text(&reply, "HostedZone.Id");
        id.strip_prefix("/hostedzone/").unwrap().to_owned()
    }

    #[test]
    fn life_of_a_zone() {
        let mut world = World::new();
        let vpc = vpc(&mut world);
        let id = zone(&mut world, "Corp.Example", "r", &vpc);
        let request = json!({"Id": id});
        let reply = world.ok("GetHostedZone", request.clone());
        assert_eq!(text(&reply, "HostedZone.Name"), "corp.example.");
        assert_eq!(text(&reply, "HostedZone.Config.PrivateZone"), "true");
        assert_eq!(text(&reply, "HostedZone.ResourceRecordSetCount"), "2");
        assert_eq!(text(&reply, "VPCs.0.VPCId"), vpc);
        let comment = json!({"Id": id, "Comment": "ours"});
        let reply = world.ok("UpdateHostedZoneComment", comment);
        assert_eq!(text(&reply, "HostedZone.Config.Comment"), "ours");
        let again = json!({"Name": "other.example", "CallerReference": "r",
            "VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}});
        assert_eq!(
            world.err("CreateHostedZone", again),
            "HostedZoneAlreadyExists"
        );
        let same = json!({"Name": "corp.example.", "CallerReference": "s",
            "VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}});
        assert_eq!(
            world.err("CreateHostedZone", same),
            "ConflictingDomainExists"
        );
        world.account = crate::testing::account("444455556666");
        assert_eq!(
            world.err("GetHostedZone", request.clone()),
            "NoSuchHostedZone"
        );
        assert_eq!(
            world.err("DeleteHostedZone", request.clone()),
            "NoSuchHostedZone"
        );
        world.account = crate::testing::account("111122223333");
        let reply = world.ok("DeleteHostedZone", request.clone());
        assert_eq!(text(&reply, "ChangeInfo.Status"), "INSYNC");
        assert_eq!(world.err("GetHostedZone", request), "NoSuchHostedZone");
        assert_eq!(
            world.state.hosted_zones.size() + world.state.record_sets.size(),
            0
        );
        let reply = world.ok("GetHostedZoneCount", json!({}));
        assert_eq!(text(&reply, "HostedZoneCount"), "0");
    }

    #[test]
    fn zones_that_are_refused() {
        let mut world = World::new();
        let vpc = vpc(&mut world);
        let place = json!({"VPCRegion": "us-east-1", "VPCId": vpc});
        let other = json!({"VPCRegion": "eu-west-1", "VPCId": vpc});
        let nowhere = json!({"VPCRegion": "us-east-1", "VPCId": "vpc-00000000000000000"});
        for (name, vpc, config, code) in [
            ("a..b", &place, json!({}), "InvalidDomainName"),
            (".", &place, json!({}), "InvalidDomainName"),
            ("*.example", &place, json!({}), "InvalidDomainName"),
            ("a.example", &other, json!({}), "InvalidVPCId"),
            ("a.example", &nowhere, json!({}), "InvalidVPCId"),
            (
                "a.example",
                &place,
                json!({"PrivateZone": false}),
                "InvalidInput",
            ),
        ] {
            let request = json!({"Name": name, "CallerReference": "r", "VPC": vpc, "HostedZoneConfig": config});
            assert_eq!(world.err("CreateHostedZone", request), code, "{name}");
        }
        let public = json!({"Name": "a.example", "CallerReference": "r"});
        assert_eq!(
            world.err("CreateHostedZone", public.clone()),
            "UnsupportedOperation"
        );
        let mut private = public;
        private["HostedZoneConfig"] = json!({"PrivateZone": true});
        assert_eq!(world.err("CreateHostedZone", private), "InvalidInput");
    }

    #[test]
    fn lists_in_pieces() {
        let mut world = World::new();
        let vpc = vpc(&mut world);
        let names = ["b.example", "a.example", "z.b.example", "c.test", "d.test"];
        for name in names {
            zone(&mut world, name, name, &vpc);
        }
        let mut seen = Vec::new();
        let mut request = json!({"MaxItems": "2"});
        loop {
            let reply = world.ok("ListHostedZones", request.clone());
            for index in 0..count(&reply, "HostedZones") {
                seen.push(text(&reply, &format!("HostedZones.{index}.Name")));
            }
            if text(&reply, "IsTruncated") == "false" {
                break;
            }
            request["Marker"] = json!(text(&reply, "NextMarker"));
        }
        seen.sort();
        assert_eq!(
            seen,
            [
                "a.example.",
                "b.example.",
                "c.test.",
                "d.test.",
                "z.b.example."
            ]
        );
        let first = world.ok("ListHostedZonesByName", json!({"MaxItems": "3"}));
        let shown: Vec<_> = (0..3)
            .map(|n| text(&first, &format!("HostedZones.{n}.Name")))
            .collect();
        assert_eq!(shown, ["a.example.", "b.example.", "z.b.example."]);
        let next = json!({"DNSName": text(&first, "NextDNSName"), "HostedZoneId": text(&first, "NextHostedZoneId")});
        let second = world.ok("ListHostedZonesByName", next);
        assert_eq!(text(&second, "HostedZones.0.Name"), "c.test.");
        assert_eq!(count(&second, "HostedZones"), 2);
        for bad in ["0", "x", "-1"] {
            assert_eq!(
                world.err("ListHostedZones", json!({"MaxItems": bad})),
                "InvalidInput"
            );
        }
        assert_eq!(
            world.err("ListHostedZones", json!({"Marker": "Z1"})),
            "NoSuchHostedZone"
        );
    }
}
