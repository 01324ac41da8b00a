//! What is told of instance types, and where they are offered.

use api::{ApiError, Value};
use serde::{Deserialize, Serialize};

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::instance_type::{
    ROWS, Row, architecture, exists, find, is_burstable, max_addresses, max_interfaces,
};
use crate::page::{self, USUAL_BOUNDS};
use crate::{Context, Tx, zones};

actions! {
    "DescribeInstanceTypeOfferings" => describe_instance_type_offerings, Control;
    "DescribeInstanceTypes" => describe_instance_types, Control;
}

/// "Maximum number of instance types: 100."
const MAX_TYPES: usize = 100;

/// `DescribeInstanceTypes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstanceTypesRequest {
    instance_types: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstanceTypesReply {
    instance_types: Vec<InstanceTypeInfo>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceTypeInfo {
    instance_type: String,
    current_generation: Option<bool>,
    free_tier_eligible: Option<bool>,
    supported_usage_classes: [&'static str; 1],
    supported_root_device_types: [&'static str; 1],
    supported_virtualization_types: [&'static str; 1],
    bare_metal: bool,
    hypervisor: Option<&'static str>,
    processor_info: ProcessorInfo,
    v_cpu_info: Option<VCpuInfo>,
    memory_info: Option<MemoryInfo>,
    instance_storage_supported: bool,
    network_info: NetworkInfo,
    placement_group_info: PlacementGroupInfo,
    hibernation_supported: bool,
    burstable_performance_supported: bool,
    dedicated_hosts_supported: bool,
    auto_recovery_supported: bool,
    nitro_enclaves_support: &'static str,
    nitro_tpm_support: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessorInfo {
    supported_architectures: [&'static str; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VCpuInfo {
    default_v_cpus: u32,
    default_cores: u32,
    default_threads_per_core: u32,
    valid_cores: Vec<u32>,
    valid_threads_per_core: Vec<u32>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MemoryInfo {
    #[serde(rename = "SizeInMiB")]
    size: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkInfo {
    network_performance: Option<&'static str>,
    maximum_network_interfaces: usize,
    maximum_network_cards: u32,
    default_network_card_index: u32,
    network_cards: [NetworkCard; 1],
    ipv4_addresses_per_interface: usize,
    ipv6_addresses_per_interface: usize,
    ipv6_supported: bool,
    ena_support: &'static str,
    efa_supported: bool,
    encryption_in_transit_supported: bool,
    ena_srd_supported: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkCard {
    network_card_index: u32,
    network_performance: Option<&'static str>,
    maximum_network_interfaces: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PlacementGroupInfo {
    supported_strategies: Vec<&'static str>,
}

/// What holds for a type: EC2's numbers, and of what EC2 has and Polder has not, that it is not there.
fn info(name: &str) -> InstanceTypeInfo {
    let row = find(name);
    let interfaces = max_interfaces(name);
    let addresses = max_addresses(name);
    let network = row.map(|row| row.network);
    let mut strategies = vec!["partition", "spread"];
    if !is_burstable(name) {
        strategies.insert(0, "cluster");
    }
    InstanceTypeInfo {
        instance_type: name.to_owned(),
        current_generation: row.map(Row::is_current),
        free_tier_eligible: row.map(Row::is_free),
        supported_usage_classes: ["on-demand"],
        supported_root_device_types: ["ebs"],
        supported_virtualization_types: ["hvm"],
        bare_metal: name
            .split('.')
            .nth(1)
            .is_some_and(|size| size.starts_with("metal")),
        hypervisor: row.map(|row| if row.is_xen() { "xen" } else { "nitro" }),
        processor_info: ProcessorInfo {
            supported_architectures: [architecture(name)],
        },
        v_cpu_info: row.map(|row| VCpuInfo {
            default_v_cpus: row.vcpus,
            default_cores: row.vcpus / row.threads,
            default_threads_per_core: row.threads,
            valid_cores: (1..=row.vcpus / row.threads).collect(),
            valid_threads_per_core: (1..=row.threads).collect(),
        }),
        memory_info: row.map(|row| MemoryInfo { size: row.memory }),
        instance_storage_supported: false,
        network_info: NetworkInfo {
            network_performance: network,
            maximum_network_interfaces: interfaces,
            maximum_network_cards: 1,
            default_network_card_index: 0,
            network_cards: [NetworkCard {
                network_card_index: 0,
                network_performance: network,
                maximum_network_interfaces: interfaces,
            }],
            ipv4_addresses_per_interface: addresses,
            ipv6_addresses_per_interface: addresses,
            ipv6_supported: true,
            ena_support: match row.map(Row::is_xen) {
                Some(true) => "unsupported",
                _ => "required",
            },
            efa_supported: false,
            encryption_in_transit_supported: false,
            ena_srd_supported: false,
        },
        placement_group_info: PlacementGroupInfo {
            supported_strategies: strategies,
        },
        hibernation_supported: false,
        burstable_performance_supported: is_burstable(name),
        dedicated_hosts_supported: false,
        auto_recovery_supported: false,
        nitro_enclaves_support: "unsupported",
        nitro_tpm_support: "unsupported",
    }
}

/// Every documented filter and where its value stands in the reply; one whose member the reply lacks matches nothing.
const FILTERS: &[(&str, &str)] = &[
    ("auto-recovery-supported", "AutoRecoverySupported"),
    ("bare-metal", "BareMetal"),
    (
        "burstable-performance-supported",
        "BurstablePerformanceSupported",
    ),
    ("current-generation", "CurrentGeneration"),
    ("dedicated-hosts-supported", "DedicatedHostsSupported"),
    (
        "ebs-info.attachment-limit-type",
        "EbsInfo.AttachmentLimitType",
    ),
    (
        "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps",
        "EbsInfo",
    ),
    ("ebs-info.ebs-optimized-info.baseline-iops", "EbsInfo"),
    (
        "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
        "EbsInfo",
    ),
    (
        "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps",
        "EbsInfo",
    ),
    ("ebs-info.ebs-optimized-info.maximum-iops", "EbsInfo"),
    (
        "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps",
        "EbsInfo",
    ),
    ("ebs-info.ebs-optimized-support", "EbsInfo"),
    ("ebs-info.encryption-support", "EbsInfo"),
    ("ebs-info.maximum-ebs-attachments", "EbsInfo"),
    ("ebs-info.nvme-support", "EbsInfo"),
    ("free-tier-eligible", "FreeTierEligible"),
    ("hibernation-supported", "HibernationSupported"),
    ("hypervisor", "Hypervisor"),
    ("instance-storage-info.disk.count", "InstanceStorageInfo"),
    (
        "instance-storage-info.disk.size-in-gb",
        "InstanceStorageInfo",
    ),
    ("instance-storage-info.disk.type", "InstanceStorageInfo"),
    (
        "instance-storage-info.encryption-support",
        "InstanceStorageInfo",
    ),
    ("instance-storage-info.nvme-support", "InstanceStorageInfo"),
    (
        "instance-storage-info.total-size-in-gb",
        "InstanceStorageInfo",
    ),
    ("instance-storage-supported", "InstanceStorageSupported"),
    ("instance-type", "InstanceType"),
    ("memory-info.size-in-mib", "MemoryInfo.SizeInMiB"),
    (
        "network-info.bandwidth-weightings",
        "NetworkInfo.BandwidthWeightings",
    ),
    (
        "network-info.efa-info.maximum-efa-interfaces",
        "NetworkInfo.EfaInfo",
    ),
    ("network-info.efa-supported", "NetworkInfo.EfaSupported"),
    ("network-info.ena-support", "NetworkInfo.EnaSupport"),
    (
        "network-info.encryption-in-transit-supported",
        "NetworkInfo.EncryptionInTransitSupported",
    ),
    (
        "network-info.flexible-ena-queues-support",
        "NetworkInfo.FlexibleEnaQueuesSupport",
    ),
    (
        "network-info.ipv4-addresses-per-interface",
        "NetworkInfo.Ipv4AddressesPerInterface",
    ),
    (
        "network-info.ipv6-addresses-per-interface",
        "NetworkInfo.Ipv6AddressesPerInterface",
    ),
    ("network-info.ipv6-supported", "NetworkInfo.Ipv6Supported"),
    (
        "network-info.maximum-network-cards",
        "NetworkInfo.MaximumNetworkCards",
    ),
    (
        "network-info.maximum-network-interfaces",
        "NetworkInfo.MaximumNetworkInterfaces",
    ),
    (
        "network-info.network-performance",
        "NetworkInfo.NetworkPerformance",
    ),
    ("nitro-enclaves-support", "NitroEnclavesSupport"),
    ("nitro-tpm-info.supported-versions", "NitroTpmInfo"),
    ("nitro-tpm-support", "NitroTpmSupport"),
    (
        "processor-info.supported-architecture",
        "ProcessorInfo.SupportedArchitectures",
    ),
    (
        "processor-info.supported-features",
        "ProcessorInfo.SupportedFeatures",
    ),
    (
        "processor-info.sustained-clock-speed-in-ghz",
        "ProcessorInfo.SustainedClockSpeedInGhz",
    ),
    ("reboot-migration-support", "RebootMigrationSupport"),
    ("supported-boot-mode", "SupportedBootModes"),
    ("supported-root-device-type", "SupportedRootDeviceTypes"),
    ("supported-usage-class", "SupportedUsageClasses"),
    (
        "supported-virtualization-type",
        "SupportedVirtualizationTypes",
    ),
    ("vcpu-info.default-cores", "VCpuInfo.DefaultCores"),
    (
        "vcpu-info.default-threads-per-core",
        "VCpuInfo.DefaultThreadsPerCore",
    ),
    ("vcpu-info.default-vcpus", "VCpuInfo.DefaultVCpus"),
    ("vcpu-info.valid-cores", "VCpuInfo.ValidCores"),
    (
        "vcpu-info.valid-threads-per-core",
        "VCpuInfo.ValidThreadsPerCore",
    ),
];

/// The plain values at a path of members.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is no list of plain values has none"
)]
fn plain(value: &Value, path: &str) -> Vec<String> {
    let mut here = value;
    for step in path.split('.') {
        let next = match here {
            Value::Structure(members) | Value::Map(members) => members.get(step),
            _ => None,
        };
        let Some(next) = next else { return Vec::new() };
        here = next;
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    };
    match here {
        Value::List(elements) => elements.iter().filter_map(text).collect(),
        other => text(other).into_iter().collect(),
    }
}

fn passes(filters: &[Filter], info: &InstanceTypeInfo) -> bool {
    let Ok(value) = api::to_value(info) else {
        return false;
    };
    filters.iter().all(|filter| {
        let path = FILTERS
            .iter()
            .find(|(name, _)| filter.name.as_deref() == Some(*name))
            .map(|(_, path)| *path)
            .unwrap_or_default();
        plain(&value, path)
            .iter()
            .any(|value| filter.values.iter().any(|like| filter::like(like, value)))
    })
}

/// Tells of the types that the request names, which may be any of EC2's, or of the common ones.
pub(crate) fn describe_instance_types(
    _: &mut Tx,
    _: &Context<'_>,
    req: DescribeInstanceTypesRequest,
) -> Result<DescribeInstanceTypesReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    let known: Vec<&str> = FILTERS.iter().map(|(name, _)| *name).collect();
    filter::check_plain(&filters, &known)?;
    let mut names = req.instance_types.unwrap_or_default();
    if !names.is_empty() && req.max_results.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter instanceTypes cannot be used with the parameter maxResults",
        ));
    }
    if names.len() > MAX_TYPES {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("At most {MAX_TYPES} instance types can be specified"),
        ));
    }
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !exists(name))
        .collect();
    if !unknown.is_empty() {
        return Err(ApiError::new(
            "InvalidInstanceType",
            format!(
                "The following supplied instance types do not exist: [{}]",
                unknown.join(", ")
            ),
        ));
    }
    if names.is_empty() {
        names = ROWS.iter().map(|row| row.name.to_owned()).collect();
    }
    names.sort_unstable();
    names.dedup();
    let infos = names
        .iter()
        .map(|name| info(name))
        .filter(|info| passes(&filters, info));
    let page = page::cut(
        infos,
        |info| info.instance_type.clone(),
        &(5..=100),
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribeInstanceTypesReply {
        instance_types: page.items,
        next_token: page.next_token,
    })
}

/// `DescribeInstanceTypeOfferings`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstanceTypeOfferingsRequest {
    location_type: Option<String>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstanceTypeOfferingsReply {
    instance_type_offerings: Vec<Offering>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Offering {
    instance_type: &'static str,
    location_type: String,
    location: String,
}

/// Tells where the common types are to be had: everywhere.
pub(crate) fn describe_instance_type_offerings(
    _: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeInstanceTypeOfferingsRequest,
) -> Result<DescribeInstanceTypeOfferingsReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(&filters, &["instance-type", "location"])?;
    let kind = req.location_type.unwrap_or_else(|| "region".to_owned());
    let zones = || zones::own(ctx).into_iter();
    let locations: Vec<String> = match kind.as_str() {
        "region" => vec![ctx.region.to_string()],
        "availability-zone" => zones().map(|zone| zone.name).collect(),
        "availability-zone-id" => zones().map(|zone| zone.id).collect(),
        // There are no outposts.
        "outpost" => Vec::new(),
        other => {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Value ({other}) for parameter locationType is invalid."),
            ));
        }
    };
    let offerings = ROWS.iter().flat_map(|row| {
        locations.iter().map(|location| Offering {
            instance_type: row.name,
            location_type: kind.clone(),
            location: location.clone(),
        })
    });
    let matching = offerings.filter(|offering| {
        let values = [
            ("instance-type", offering.instance_type),
            ("location", &offering.location),
        ];
        filter::matches_plain(&filters, &values)
    });
    let page = page::cut(
        matching,
        // Spaces come before every character of a name, so that keys are in the order of the list.
        |offering| format!("{} {}", offering.instance_type, offering.location),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribeInstanceTypeOfferingsReply {
        instance_type_offerings: page.items,
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, count, text};

    #[test]
    fn what_holds_for_a_type() {
        let mut world = World::new();
        let shown = world.ok(
            "DescribeInstanceTypes",
            json!({"InstanceTypes": ["t3.micro", "x1e.32xlarge"]}),
        );
        assert_eq!(text(&shown, "InstanceTypes.0.InstanceType"), "t3.micro");
        let number = |member: &str| text(&shown, &format!("InstanceTypes.0.{member}"));
        assert_eq!(number("NetworkInfo.MaximumNetworkInterfaces"), "2");
        assert_eq!(number("NetworkInfo.Ipv4AddressesPerInterface"), "2");
        assert_eq!(number("VCpuInfo.DefaultVCpus"), "2");
        assert_eq!(number("MemoryInfo.SizeInMiB"), "1024");
        assert_eq!(
            text(
                &shown,
                "InstanceTypes.1.NetworkInfo.MaximumNetworkInterfaces"
            ),
            "15"
        );
        assert_eq!(
            world.err("DescribeInstanceTypes", json!({"InstanceTypes": ["x.y"]})),
            "InvalidInstanceType"
        );
        assert_eq!(
            world.err(
                "DescribeInstanceTypes",
                json!({"InstanceTypes": ["t3.micro"], "MaxResults": 5})
            ),
            "InvalidParameterCombination"
        );
        assert_eq!(
            world.err("DescribeInstanceTypes", json!({"MaxResults": 101})),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn filters_find_what_the_reply_shows() {
        let mut world = World::new();
        for (name, value, number) in [
            ("instance-type", "t4g.*", 7),
            ("free-tier-eligible", "true", 5),
            ("network-info.maximum-network-interfaces", "15", 15),
            ("hypervisor", "xen", 11),
            ("vcpu-info.valid-cores", "64", 6),
            ("ebs-info.nvme-support", "*", 0),
        ] {
            let query = json!({"Filters": [{"Name": name, "Values": [value]}]});
            let shown = world.ok("DescribeInstanceTypes", query);
            assert_eq!(count(&shown, "InstanceTypes"), number, "{name}");
        }
        let arm = json!({"Filters": [{"Name": "processor-info.supported-architecture", "Values": ["arm64"]},
            {"Name": "burstable-performance-supported", "Values": ["true"]}]});
        let shown = world.ok("DescribeInstanceTypes", arm);
        assert_eq!(count(&shown, "InstanceTypes"), 7);
        assert_eq!(
            world.err(
                "DescribeInstanceTypes",
                json!({"Filters": [{"Name": "x", "Values": ["y"]}]})
            ),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn lists_come_in_pieces() {
        let mut world = World::new();
        for (action, member, more, all) in [
            (
                "DescribeInstanceTypes",
                "InstanceTypes",
                json!({}),
                ROWS.len(),
            ),
            (
                "DescribeInstanceTypeOfferings",
                "InstanceTypeOfferings",
                json!({"LocationType": "availability-zone"}),
                ROWS.len() * 3,
            ),
        ] {
            let (mut seen, mut token) = (0, None);
            loop {
                let mut query = more.clone();
                query["MaxResults"] = json!(50);
                if let Some(token) = token.take() {
                    query["NextToken"] = json!(token);
                }
                let shown = world.ok(action, query);
                seen += count(&shown, member);
                let Value::Structure(reply) = &shown else {
                    panic!("no structure")
                };
                if !reply.contains_key("NextToken") {
                    break;
                }
                token = Some(text(&shown, "NextToken"));
            }
            assert_eq!(seen, all, "{action}");
        }
        let one = json!({"LocationType": "availability-zone-id",
            "Filters": [{"Name": "location", "Values": ["use1-az2"]}, {"Name": "instance-type", "Values": ["t3.micro"]}]});
        let shown = world.ok("DescribeInstanceTypeOfferings", one);
        assert_eq!(count(&shown, "InstanceTypeOfferings"), 1);
        assert_eq!(
            world.err(
                "DescribeInstanceTypeOfferings",
                json!({"LocationType": "x"})
            ),
            "InvalidParameterValue"
        );
    }
}
