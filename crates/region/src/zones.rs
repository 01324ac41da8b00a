//! Regions and their availability zones.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::RegionName;

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::{Context, Tx};

actions! {
    "DescribeAvailabilityZones" => describe_availability_zones, Control;
    "DescribeRegions" => describe_regions, Control;
}

/// A zone: its name for this account, and the id that means the same place to every account. Here the two always
/// go together in the same way.
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) id: String,
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
pub(crate) fn of(region: &RegionName) -> Vec<Zone> {
    let code = code(region.as_str());
    LETTERS
        .iter()
        .enumerate()
        .map(|(index, letter)| Zone {
            name: format!("{region}{letter}"),
            id: format!("{code}-az{}", index + 1),
        })
        .collect()
}

/// The zone id of a zone of this region by its name; empty for a stranger.
pub(crate) fn id_of(region: &RegionName, name: &str) -> String {
    of(region)
        .into_iter()
        .find(|zone| zone.name == name)
        .map(|zone| zone.id)
        .unwrap_or_default()
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
    /// Also zones that the account did not opt into: there are none.
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
    let mut zones = of(&ctx.region);
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
            group_name: format!("{}-zg-1", ctx.region),
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let zones = of(&region.parse().unwrap());
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
