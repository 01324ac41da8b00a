//! Regions and their availability zones.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, RegionName};

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::{Context, Tx, ZoneNames, resource};

actions! {
    "DescribeAvailabilityZones" => describe_availability_zones, Control;
    "DescribeRegions" => describe_regions, Control;
    "ModifyAvailabilityZoneGroup" => modify_availability_zone_group, Control;
}

/// A zone: its name for an account, and the id that means the same place to every account. Records keep the id.
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) id: String,
}

/// The group that a region's zones are in.
fn group_of(region: &RegionName) -> String {
    format!("{region}-zg-1")
}

/// Zones of each region.
const LETTERS: [char; 3] = ['a', 'b', 'c'];

/// AWS's regions: of the commercial partition, of China and of GovCloud (AWS General Reference, "Amazon EC2 endpoints
/// and quotas").
const REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// Whether there is such a region. A typing error should not make an empty region.
#[must_use]
pub fn is_region(name: &RegionName) -> bool {
    REGIONS.binary_search(&name.as_str()).is_ok()
}

/// Whether there is a zone of this id.
pub(crate) fn is_zone_id(id: &str) -> bool {
    REGIONS
        .iter()
        .any(|region| (1..=LETTERS.len()).any(|place| zone_id(region, place) == id))
}

/// The partition that a region belongs to: an account of one does not see the others' regions.
fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// The zones of a region, by name.
pub(crate) fn of(region: &RegionName, account: AccountId, names: ZoneNames) -> Vec<Zone> {
    let mut places: Vec<usize> = (1..=LETTERS.len()).collect();
    if names == ZoneNames::PerAccount {
        // Fisher and Yates, with the digest of account and region as the source of chance.
        let mut chance = digest(region, account);
        for last in (1..places.len()).rev() {
            let choices = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
            places.swap(last, usize::try_from(chance % choices).unwrap_or(0));
            chance /= choices;
        }
    }
    LETTERS
        .iter()
        .zip(places)
        .map(|(letter, place)| Zone {
            name: format!("{region}{letter}"),
            id: zone_id(region.as_str(), place),
        })
        .collect()
}

/// The zones as the client names them, by name.
pub(crate) fn own(ctx: &Context<'_>) -> Vec<Zone> {
    of(&ctx.region, ctx.account, ctx.settings.zone_names)
}

fn zone_id(region: &str, place: usize) -> String {
    format!("{}-az{place}", code(region))
}

/// 64-bit FNV-1a with a last mixing step, the same in every version of Polder: it decides what accounts call zones.
fn digest(region: &RegionName, account: AccountId) -> u64 {
    let text = format!("{account}/{region}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

/// Reads a stored zone: its id. Records of before 2026-11 have the name, of when every account had the same names.
pub(crate) fn stored<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let place = LETTERS
        .iter()
        .zip(1..)
        .find_map(|(letter, place)| Some((text.strip_suffix(*letter)?, place)));
    Ok(match place {
        Some((region, place)) if REGIONS.binary_search(&region).is_ok() => zone_id(region, place),
        _ => text,
    })
}

/// The short form of a region's name that zone ids begin with: `use1`, `apne2`, `usgw1`.
fn code(region: &str) -> String {
    region
        .split('-')
        .map(|word| match word {
            "northeast" => "ne",
            "northwest" => "nw",
            "southeast" => "se",
            "southwest" => "sw",
            // Two-letter areas stay; directions and `central`, `gov` are their first letter; the number stays.
            short if short.len() <= 2 => short,
            long => long.get(..1).unwrap_or(long),
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRegionsRequest {
    region_names: Option<Vec<String>>,
    /// Also regions that the account did not opt into: there are none.
    #[serde(rename = "AllRegions")]
    _all_regions: Option<bool>,
    filters: Option<Vec<Filter>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeRegionsReply {
    regions: Vec<RegionItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegionItem {
    opt_in_status: &'static str,
    region_name: String,
    endpoint: String,
}

/// The status of a region that is there without opting in.
const NOT_REQUIRED: &str = "opt-in-not-required";

pub(crate) fn describe_regions(
    _: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRegionsRequest,
) -> Result<DescribeRegionsReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(&filters, &["endpoint", "opt-in-status", "region-name"])?;
    let own = partition(ctx.region.as_str());
    let mut names: Vec<&str> = REGIONS
        .iter()
        .copied()
        .filter(|name| partition(name) == own)
        .collect();
    if let Some(asked) = req.region_names.filter(|asked| !asked.is_empty()) {
        if let Some(stranger) = asked.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Invalid region provided: [{stranger}]"),
            ));
        }
        names.retain(|name| asked.iter().any(|wanted| wanted == name));
    }
    let regions = names
        .into_iter()
        .map(|name| RegionItem {
            opt_in_status: NOT_REQUIRED,
            region_name: name.to_owned(),
            endpoint: format!("ec2.{name}.amazonaws.com"),
        })
        .filter(|region| {
            filter::matches_plain(
                &filters,
                &[
                    ("endpoint", &region.endpoint),
                    ("opt-in-status", region.opt_in_status),
                    ("region-name", &region.region_name),
                ],
            )
        })
        .collect();
    Ok(DescribeRegionsReply { regions })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeAvailabilityZonesRequest {
    zone_names: Option<Vec<String>>,
    zone_ids: Option<Vec<String>>,
    /// Also zones that the account did not opt into: there are none, as none needs that.
    #[serde(rename = "AllAvailabilityZones")]
    _all_availability_zones: Option<bool>,
    filters: Option<Vec<Filter>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeAvailabilityZonesReply {
    availability_zones: Vec<ZoneItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ZoneItem {
    opt_in_status: &'static str,
    region_name: RegionName,
    zone_name: String,
    zone_id: String,
    group_name: String,
    network_border_group: RegionName,
    zone_type: &'static str,
    /// Impairments of the zone: none is known here.
    messages: [(); 0],
    state: &'static str,
}

pub(crate) fn describe_availability_zones(
    _: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeAvailabilityZonesRequest,
) -> Result<DescribeAvailabilityZonesReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(
        &filters,
        &[
            "group-long-name",
            "group-name",
            "message",
            "opt-in-status",
            "parent-zone-id",
            "parent-zone-name",
            "region-name",
            "state",
            "zone-id",
            "zone-name",
            "zone-type",
        ],
    )?;
    let mut zones = own(ctx);
    let names = req.zone_names.unwrap_or_default();
    let ids = req.zone_ids.unwrap_or_default();
    let is_known = |text: &String| {
        zones
            .iter()
            .any(|zone| zone.name == *text || zone.id == *text)
    };
    if let Some(stranger) = names.iter().chain(&ids).find(|text| !is_known(text)) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("Invalid availability zone: [{stranger}]"),
        ));
    }
    if !names.is_empty() || !ids.is_empty() {
        zones.retain(|zone| names.contains(&zone.name) || ids.contains(&zone.id));
    }
    let availability_zones = zones
        .into_iter()
        .map(|zone| ZoneItem {
            opt_in_status: NOT_REQUIRED,
            region_name: ctx.region.clone(),
            zone_name: zone.name,
            zone_id: zone.id,
            group_name: group_of(&ctx.region),
            network_border_group: ctx.region.clone(),
            zone_type: "availability-zone",
            messages: [],
            state: "available",
        })
        .filter(|zone| {
            filter::matches_plain(
                &filters,
                &[
                    ("group-name", &zone.group_name),
                    ("opt-in-status", zone.opt_in_status),
                    ("region-name", zone.region_name.as_str()),
                    ("state", zone.state),
                    ("zone-id", &zone.zone_id),
                    ("zone-name", &zone.zone_name),
                    ("zone-type", zone.zone_type),
                ],
            )
        })
        .collect();
    Ok(DescribeAvailabilityZonesReply { availability_zones })
}

/// `ModifyAvailabilityZoneGroup`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyAvailabilityZoneGroupRequest {
    group_name: String,
    opt_in_status: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyAvailabilityZoneGroupReply {
    r#return: bool,
}

/// Opts into a group of zones: the region's only one, which every account is in anyway and cannot leave.
pub(crate) fn modify_availability_zone_group(
    _: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyAvailabilityZoneGroupRequest,
) -> Result<ModifyAvailabilityZoneGroupReply, ApiError> {
    if !["opted-in", "not-opted-in"].contains(&req.opt_in_status.as_str()) {
        return Err(resource::invalid_value(&req.opt_in_status, "optInStatus"));
    }
    if req.group_name == group_of(&ctx.region) {
        if req.opt_in_status == "opted-in" {
            return Ok(ModifyAvailabilityZoneGroupReply { r#return: true });
        }
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "The Availability Zone group {} cannot be opted out of.",
                req.group_name
            ),
        ));
    }
    Err(ApiError::new(
        "InvalidParameterValue",
        format!("Invalid availability zone group: [{}]", req.group_name),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::testing::{World, account, at, count, text};

    #[test]
    fn accounts_have_names_of_their_own() {
        let region = "us-east-1".parse().unwrap();
        let mut orders = BTreeSet::new();
        for number in 0..200u64 {
            let account = account(&format!("{:012}", 111_122_223_333 + number));
            let zones = of(&region, account, ZoneNames::PerAccount);
            assert!(zones.is_sorted_by_key(|zone| &zone.name));
            let ids: Vec<String> = zones.into_iter().map(|zone| zone.id).collect();
            assert_eq!(BTreeSet::from_iter(&ids).len(), 3);
            orders.insert(ids);
        }
        assert_eq!(orders.len(), 6);
        // Stores on disk and clients' notes rely on it: it never changes.
        let first = of(&region, account("111122223333"), ZoneNames::PerAccount);
        let ids: Vec<String> = first.into_iter().map(|zone| zone.id).collect();
        assert_eq!(ids, ["use1-az1", "use1-az2", "use1-az3"]);
    }

    #[test]
    fn a_zone_has_one_id_for_everybody() {
        let mut world = World::new();
        world.zone_names = ZoneNames::PerAccount;
        let mut seen = BTreeSet::new();
        for number in 0..20u64 {
            world.account = account(&format!("{:012}", 111_122_223_333 + number));
            let zone =
                json!({"Filters": [{"Name": "availability-zone-id", "Values": ["use1-az1"]}]});
            let subnet = world.ok("DescribeSubnets", zone);
            assert_eq!(count(&subnet, "Subnets"), 1);
            let name = text(&subnet, "Subnets.0.AvailabilityZone");
            let filters = json!({"Filters": [{"Name": "zone-id", "Values": ["use1-az1"]}]});
            let zones = world.ok("DescribeAvailabilityZones", filters);
            assert_eq!(text(&zones, "AvailabilityZones.0.ZoneName"), name);
            let by_name =
                json!({"Filters": [{"Name": "availability-zone", "Values": [name.clone()]}]});
            let again = world.ok("DescribeSubnets", by_name);
            assert_eq!(at(&again, "Subnets.0"), at(&subnet, "Subnets.0"));
            seen.insert(name);
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn zones_of_earlier_stores() {
        let read = |text: &str| stored(serde_json::Value::from(text)).unwrap();
        assert_eq!(read("us-east-1b"), "use1-az2");
        assert_eq!(read("use1-az3"), "use1-az3");
    }

    #[test]
    fn groups_of_zones_ask_for_no_opting_in() {
        let mut world = World::new();
        let status = |group: &str, status: &str| json!({"GroupName": group, "OptInStatus": status});
        for (group, wanted) in [
            ("us-east-1-zg-1", "not-opted-in"),
            ("us-east-1-wl1", "opted-in"),
            ("us-east-1-zg-1", "nonsense"),
        ] {
            let code = world.err("ModifyAvailabilityZoneGroup", status(group, wanted));
            assert_eq!(code, "InvalidParameterValue");
        }
        let reply = world.ok(
            "ModifyAvailabilityZoneGroup",
            status("us-east-1-zg-1", "opted-in"),
        );
        assert_eq!(text(&reply, "Return"), "true");
    }

    #[test]
    fn zone_ids_are_the_well_known_ones() {
        for (region, zone) in [
            ("us-east-1", "use1-az1"),
            ("us-west-2", "usw2-az1"),
            ("eu-central-1", "euc1-az1"),
            ("ap-northeast-2", "apne2-az1"),
            ("ap-southeast-1", "apse1-az1"),
            ("sa-east-1", "sae1-az1"),
            ("us-gov-west-1", "usgw1-az1"),
            ("me-central-1", "mec1-az1"),
        ] {
            let account = "111122223333".parse().unwrap();
            let zones = of(&region.parse().unwrap(), account, ZoneNames::Fixed);
            assert_eq!(zones[0].id, zone);
            assert_eq!(zones[0].name, format!("{region}a"));
        }
        assert!(
            REGIONS
                .iter()
                .all(|name| name.parse::<RegionName>().is_ok())
        );
        assert!(REGIONS.is_sorted_by(|a, b| a < b));
        assert!(is_region(&"cn-north-1".parse().unwrap()));
        assert!(!is_region(&"us-east-9".parse().unwrap()));
    }
}
