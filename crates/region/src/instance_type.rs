//! Instance types: EC2's names, and for the common ones EC2's numbers. An instance of any type runs the same here; what
//! the type bounds are its interfaces and their addresses.

use api::{ApiError, Kind, Service, Value};
use serde::{Deserialize, Serialize};
use types::InstanceId;

use crate::attachment::MAX_INTERFACES;
use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::page::{self, USUAL_BOUNDS};
use crate::{Context, Tx, quota, zones};

actions! {
    "DescribeInstanceTypeOfferings" => describe_instance_type_offerings, Control;
    "DescribeInstanceTypes" => describe_instance_types, Control;
}

/// "Maximum number of instance types: 100."
const MAX_TYPES: usize = 100;

/// What EC2 publishes of a type.
#[derive(Debug)]
struct Row {
    name: &'static str,
    vcpus: u32,
    threads: u32,
    /// In MiB.
    memory: u32,
    interfaces: u32,
    /// IPv4 addresses of each interface; as many IPv6 ones.
    addresses: u32,
    network: &'static str,
}

const fn row(
    name: &'static str,
    vcpus: u32,
    threads: u32,
    memory: u32,
    interfaces: u32,
    addresses: u32,
    network: &'static str,
) -> Row {
    Row {
        name,
        vcpus,
        threads,
        memory,
        interfaces,
        addresses,
        network,
    }
}

/// By name: processors, threads of each core, memory in MiB, interfaces, addresses of each, network performance
/// (EC2 "Instance types", "Maximum IP addresses per network interface").
const ROWS: &[Row] = &[
    row("c5.12xlarge", 48, 2, 98304, 8, 30, "12 Gigabit"),
    row("c5.18xlarge", 72, 2, 147456, 15, 50, "25 Gigabit"),
    row("c5.24xlarge", 96, 2, 196608, 15, 50, "25 Gigabit"),
    row("c5.2xlarge", 8, 2, 16384, 4, 15, "Up to 10 Gigabit"),
    row("c5.4xlarge", 16, 2, 32768, 8, 30, "Up to 10 Gigabit"),
    row("c5.9xlarge", 36, 2, 73728, 8, 30, "12 Gigabit"),
    row("c5.large", 2, 2, 4096, 3, 10, "Up to 10 Gigabit"),
    row("c5.xlarge", 4, 2, 8192, 4, 15, "Up to 10 Gigabit"),
    row("c6g.12xlarge", 48, 1, 98304, 8, 30, "20 Gigabit"),
    row("c6g.16xlarge", 64, 1, 131072, 15, 50, "25 Gigabit"),
    row("c6g.2xlarge", 8, 1, 16384, 4, 15, "Up to 10 Gigabit"),
    row("c6g.4xlarge", 16, 1, 32768, 8, 30, "Up to 10 Gigabit"),
    row("c6g.8xlarge", 32, 1, 65536, 8, 30, "12 Gigabit"),
    row("c6g.large", 2, 1, 4096, 3, 10, "Up to 10 Gigabit"),
    row("c6g.medium", 1, 1, 2048, 2, 4, "Up to 10 Gigabit"),
    row("c6g.xlarge", 4, 1, 8192, 4, 15, "Up to 10 Gigabit"),
    row("c6i.16xlarge", 64, 2, 131072, 15, 50, "25 Gigabit"),
    row("c6i.2xlarge", 8, 2, 16384, 4, 15, "Up to 12.5 Gigabit"),
    row("c6i.32xlarge", 128, 2, 262144, 15, 50, "50 Gigabit"),
    row("c6i.4xlarge", 16, 2, 32768, 8, 30, "Up to 12.5 Gigabit"),
    row("c6i.8xlarge", 32, 2, 65536, 8, 30, "12.5 Gigabit"),
    row("c6i.large", 2, 2, 4096, 3, 10, "Up to 12.5 Gigabit"),
    row("c6i.xlarge", 4, 2, 8192, 4, 15, "Up to 12.5 Gigabit"),
    row("m1.small", 1, 1, 1740, 2, 4, "Low"),
    row("m3.medium", 1, 1, 3840, 2, 6, "Moderate"),
    row("m4.large", 2, 2, 8192, 2, 10, "Moderate"),
    row("m4.xlarge", 4, 2, 16384, 4, 15, "High"),
    row("m5.12xlarge", 48, 2, 196608, 8, 30, "12 Gigabit"),
    row("m5.16xlarge", 64, 2, 262144, 15, 50, "20 Gigabit"),
    row("m5.24xlarge", 96, 2, 393216, 15, 50, "25 Gigabit"),
    row("m5.2xlarge", 8, 2, 32768, 4, 15, "Up to 10 Gigabit"),
    row("m5.4xlarge", 16, 2, 65536, 8, 30, "Up to 10 Gigabit"),
    row("m5.8xlarge", 32, 2, 131072, 8, 30, "10 Gigabit"),
    row("m5.large", 2, 2, 8192, 3, 10, "Up to 10 Gigabit"),
    row("m5.xlarge", 4, 2, 16384, 4, 15, "Up to 10 Gigabit"),
    row("m6g.12xlarge", 48, 1, 196608, 8, 30, "20 Gigabit"),
    row("m6g.16xlarge", 64, 1, 262144, 15, 50, "25 Gigabit"),
    row("m6g.2xlarge", 8, 1, 32768, 4, 15, "Up to 10 Gigabit"),
    row("m6g.4xlarge", 16, 1, 65536, 8, 30, "Up to 10 Gigabit"),
    row("m6g.8xlarge", 32, 1, 131072, 8, 30, "12 Gigabit"),
    row("m6g.large", 2, 1, 8192, 3, 10, "Up to 10 Gigabit"),
    row("m6g.medium", 1, 1, 4096, 2, 4, "Up to 10 Gigabit"),
    row("m6g.xlarge", 4, 1, 16384, 4, 15, "Up to 10 Gigabit"),
    row("m6i.16xlarge", 64, 2, 262144, 15, 50, "25 Gigabit"),
    row("m6i.2xlarge", 8, 2, 32768, 4, 15, "Up to 12.5 Gigabit"),
    row("m6i.32xlarge", 128, 2, 524288, 15, 50, "50 Gigabit"),
    row("m6i.4xlarge", 16, 2, 65536, 8, 30, "Up to 12.5 Gigabit"),
    row("m6i.8xlarge", 32, 2, 131072, 8, 30, "12.5 Gigabit"),
    row("m6i.large", 2, 2, 8192, 3, 10, "Up to 12.5 Gigabit"),
    row("m6i.xlarge", 4, 2, 16384, 4, 15, "Up to 12.5 Gigabit"),
    row("r5.12xlarge", 48, 2, 393216, 8, 30, "12 Gigabit"),
    row("r5.16xlarge", 64, 2, 524288, 15, 50, "20 Gigabit"),
    row("r5.24xlarge", 96, 2, 786432, 15, 50, "25 Gigabit"),
    row("r5.2xlarge", 8, 2, 65536, 4, 15, "Up to 10 Gigabit"),
    row("r5.4xlarge", 16, 2, 131072, 8, 30, "Up to 10 Gigabit"),
    row("r5.8xlarge", 32, 2, 262144, 8, 30, "10 Gigabit"),
    row("r5.large", 2, 2, 16384, 3, 10, "Up to 10 Gigabit"),
    row("r5.xlarge", 4, 2, 32768, 4, 15, "Up to 10 Gigabit"),
    row("r6g.12xlarge", 48, 1, 393216, 8, 30, "20 Gigabit"),
    row("r6g.16xlarge", 64, 1, 524288, 15, 50, "25 Gigabit"),
    row("r6g.2xlarge", 8, 1, 65536, 4, 15, "Up to 10 Gigabit"),
    row("r6g.4xlarge", 16, 1, 131072, 8, 30, "Up to 10 Gigabit"),
    row("r6g.8xlarge", 32, 1, 262144, 8, 30, "12 Gigabit"),
    row("r6g.large", 2, 1, 16384, 3, 10, "Up to 10 Gigabit"),
    row("r6g.medium", 1, 1, 8192, 2, 4, "Up to 10 Gigabit"),
    row("r6g.xlarge", 4, 1, 32768, 4, 15, "Up to 10 Gigabit"),
    row("r6i.16xlarge", 64, 2, 524288, 15, 50, "25 Gigabit"),
    row("r6i.2xlarge", 8, 2, 65536, 4, 15, "Up to 12.5 Gigabit"),
    row("r6i.32xlarge", 128, 2, 1048576, 15, 50, "50 Gigabit"),
    row("r6i.4xlarge", 16, 2, 131072, 8, 30, "Up to 12.5 Gigabit"),
    row("r6i.8xlarge", 32, 2, 262144, 8, 30, "12.5 Gigabit"),
    row("r6i.large", 2, 2, 16384, 3, 10, "Up to 12.5 Gigabit"),
    row("r6i.xlarge", 4, 2, 32768, 4, 15, "Up to 12.5 Gigabit"),
    row("t2.2xlarge", 8, 1, 32768, 3, 15, "Moderate"),
    row("t2.large", 2, 1, 8192, 3, 12, "Low to Moderate"),
    row("t2.medium", 2, 1, 4096, 3, 6, "Low to Moderate"),
    row("t2.micro", 1, 1, 1024, 2, 2, "Low to Moderate"),
    row("t2.nano", 1, 1, 512, 2, 2, "Low to Moderate"),
    row("t2.small", 1, 1, 2048, 3, 4, "Low to Moderate"),
    row("t2.xlarge", 4, 1, 16384, 3, 15, "Moderate"),
    row("t3.2xlarge", 8, 2, 32768, 4, 15, "Up to 5 Gigabit"),
    row("t3.large", 2, 2, 8192, 3, 12, "Up to 5 Gigabit"),
    row("t3.medium", 2, 2, 4096, 3, 6, "Up to 5 Gigabit"),
    row("t3.micro", 2, 2, 1024, 2, 2, "Up to 5 Gigabit"),
    row("t3.nano", 2, 2, 512, 2, 2, "Up to 5 Gigabit"),
    row("t3.small", 2, 2, 2048, 3, 4, "Up to 5 Gigabit"),
    row("t3.xlarge", 4, 2, 16384, 4, 15, "Up to 5 Gigabit"),
    row("t3a.2xlarge", 8, 2, 32768, 4, 15, "Up to 5 Gigabit"),
    row("t3a.large", 2, 2, 8192, 3, 12, "Up to 5 Gigabit"),
    row("t3a.medium", 2, 2, 4096, 3, 6, "Up to 5 Gigabit"),
    row("t3a.micro", 2, 2, 1024, 2, 2, "Up to 5 Gigabit"),
    row("t3a.nano", 2, 2, 512, 2, 2, "Up to 5 Gigabit"),
    row("t3a.small", 2, 2, 2048, 2, 4, "Up to 5 Gigabit"),
    row("t3a.xlarge", 4, 2, 16384, 4, 15, "Up to 5 Gigabit"),
    row("t4g.2xlarge", 8, 1, 32768, 4, 15, "Up to 5 Gigabit"),
    row("t4g.large", 2, 1, 8192, 3, 12, "Up to 5 Gigabit"),
    row("t4g.medium", 2, 1, 4096, 3, 6, "Up to 5 Gigabit"),
    row("t4g.micro", 2, 1, 1024, 2, 2, "Up to 5 Gigabit"),
    row("t4g.nano", 2, 1, 512, 2, 2, "Up to 5 Gigabit"),
    row("t4g.small", 2, 1, 2048, 3, 4, "Up to 5 Gigabit"),
    row("t4g.xlarge", 4, 1, 16384, 4, 15, "Up to 5 Gigabit"),
];

impl Row {
    fn family(&self) -> &'static str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// Graviton's families have a `g` after their number.
    fn architecture(&self) -> &'static str {
        if self.family().ends_with('g') {
            "arm64"
        } else {
            "x86_64"
        }
    }

    /// The families before Nitro.
    fn is_xen(&self) -> bool {
        matches!(self.family(), "m1" | "m3" | "m4" | "t2")
    }

    fn is_current(&self) -> bool {
        !matches!(self.family(), "m1" | "m3")
    }

    fn is_free(&self) -> bool {
        matches!(
            self.name,
            "t2.micro" | "t3.micro" | "t3.small" | "t4g.micro" | "t4g.small"
        )
    }
}

/// What is known of the type.
fn find(name: &str) -> Option<&'static Row> {
    let place = ROWS.binary_search_by(|row| row.name.cmp(name)).ok()?;
    ROWS.get(place)
}

/// Whether EC2 has a type of that name.
fn exists(name: &str) -> bool {
    let shape = Service::ec2().shape("InstanceType");
    matches!(shape.map(|shape| &shape.kind), Some(Kind::String(names)) if names.contains(&name))
}

/// Checks that EC2 has the type.
///
/// # Errors
/// `InvalidParameterValue`.
pub(crate) fn check(name: &str) -> Result<(), ApiError> {
    if exists(name) {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidParameterValue",
        format!("Invalid value '{name}' for InstanceType."),
    ))
}

/// Whether instances of the type earn and spend CPU credits.
pub(crate) fn is_burstable(name: &str) -> bool {
    let family = name.split('.').next().unwrap_or_default();
    matches!(family, "t2" | "t3" | "t3a" | "t4g")
}

/// The architecture of the type's instances, as far as it is known.
pub(crate) fn architecture(name: &str) -> &'static str {
    find(name).map_or("x86_64", Row::architecture)
}

/// How many interfaces an instance of the type has at most.
pub(crate) fn max_interfaces(name: &str) -> usize {
    let known = find(name).map_or(MAX_INTERFACES, |row| row.interfaces);
    usize::try_from(known).unwrap_or(usize::MAX)
}

/// How many IPv4 addresses an interface of an instance of the type has at most.
pub(crate) fn max_addresses(name: &str) -> usize {
    find(name)
        .and_then(|row| usize::try_from(row.addresses).ok())
        .unwrap_or(quota::PRIVATE_ADDRESSES.default)
}

/// Checks a number of interfaces of an instance.
///
/// # Errors
/// `AttachmentLimitExceeded`.
pub(crate) fn check_interfaces(name: &str, number: usize) -> Result<(), ApiError> {
    if number <= max_interfaces(name) {
        return Ok(());
    }
    Err(ApiError::new(
        "AttachmentLimitExceeded",
        format!("Interface count {number} exceeds the limit for {name}"),
    ))
}

/// Checks a number of private IPv4 addresses of one of the interfaces of an instance of the type.
///
/// # Errors
/// `PrivateIpAddressLimitExceeded`.
pub(crate) fn check_addresses(
    tx: &Tx,
    instance: Option<InstanceId>,
    number: usize,
) -> Result<(), ApiError> {
    let instance = instance.and_then(|id| tx.get::<crate::Instance>(&id));
    instance.map_or(Ok(()), |instance| {
        check_addresses_of(&instance.instance_type, number)
    })
}

/// As [`check_addresses`], for an instance that is to be of the type.
pub(crate) fn check_addresses_of(name: &str, number: usize) -> Result<(), ApiError> {
    if number <= max_addresses(name) {
        return Ok(());
    }
    Err(ApiError::new(
        "PrivateIpAddressLimitExceeded",
        format!("Number of private addresses will exceed limit for instance type {name}."),
    ))
}

/// Cores, and threads of each, of an instance of the type.
pub(crate) fn default_cpu(name: &str) -> Option<(u32, u32)> {
    find(name).map(|row| (row.vcpus / row.threads, row.threads))
}

/// Checks a choice of cores, and threads of each.
///
/// # Errors
/// `InvalidParameterValue` for more of them than the type has.
pub(crate) fn check_cpu(name: &str, (cores, threads): (u32, u32)) -> Result<(), ApiError> {
    let fits = default_cpu(name).is_none_or(|(most, each)| cores <= most && threads <= each);
    if fits && threads <= 2 {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidParameterValue",
        format!(
            "The specified CPU options ({cores} cores, {threads} threads per core) are not valid for the instance type {name}."
        ),
    ))
}

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
    fn the_table_is_in_order_and_of_ec2s_types() {
        assert!(ROWS.is_sorted_by(|a, b| a.name < b.name));
        for row in ROWS {
            assert!(exists(row.name), "{}", row.name);
            assert_eq!(row.vcpus % row.threads, 0, "{}", row.name);
            assert!(row.interfaces <= MAX_INTERFACES, "{}", row.name);
        }
    }

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
