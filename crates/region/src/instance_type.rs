//! Instance types: EC2's names, and for the common ones EC2's numbers. An instance of any type runs the same here; what
//! the type bounds are its interfaces and their addresses.

use api::{ApiError, Kind, Service};
use types::InstanceId;

use crate::attachment::MAX_INTERFACES;
use crate::{Tx, quota};

/// What EC2 publishes of a type.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) vcpus: u32,
    pub(crate) threads: u32,
    /// In MiB.
    pub(crate) memory: u32,
    pub(crate) interfaces: u32,
    /// IPv4 addresses of each interface; as many IPv6 ones.
    pub(crate) addresses: u32,
    pub(crate) network: &'static str,
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
pub(crate) const ROWS: &[Row] = &[
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
    pub(crate) fn family(&self) -> &'static str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// Graviton's families have a `g` after their number.
    pub(crate) fn architecture(&self) -> &'static str {
        if self.family().ends_with('g') {
            "arm64"
        } else {
            "x86_64"
        }
    }

    /// The families before Nitro.
    pub(crate) fn is_xen(&self) -> bool {
        matches!(self.family(), "m1" | "m3" | "m4" | "t2")
    }

    pub(crate) fn is_current(&self) -> bool {
        !matches!(self.family(), "m1" | "m3")
    }

    pub(crate) fn is_free(&self) -> bool {
        matches!(
            self.name,
            "t2.micro" | "t3.micro" | "t3.small" | "t4g.micro" | "t4g.small"
        )
    }
}

/// What is known of the type.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    let place = ROWS.binary_search_by(|row| row.name.cmp(name)).ok()?;
    ROWS.get(place)
}

/// Whether EC2 has a type of that name.
pub(crate) fn exists(name: &str) -> bool {
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
    matches!(family, "t2" | "t3" | "t3a" | "t4g" | "t8i")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_of_ec2s_types() {
        assert!(ROWS.is_sorted_by(|a, b| a.name < b.name));
        for row in ROWS {
            assert!(exists(row.name), "{}", row.name);
            assert_eq!(row.vcpus % row.threads, 0, "{}", row.name);
            assert!(row.interfaces <= MAX_INTERFACES, "{}", row.name);
        }
    }
}
