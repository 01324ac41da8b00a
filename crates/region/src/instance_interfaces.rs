//! The interfaces that `RunInstances` asks for.

use std::collections::BTreeSet;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{GroupId, InterfaceId, SubnetId};

use crate::network_interface::{
    Ipv6AddressSpecification, NetworkInterface, PrivateIpAddressSpecification, checked_description,
    count_of, requested_addresses, requested_ipv6,
};
use crate::{Context, Subnet, Tx, attachment, network_interface, resource, security_group};

/// An interface of a request: an existing one, or what a new one is made of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct InterfaceSpecification {
    device_index: Option<i64>,
    network_card_index: Option<i64>,
    network_interface_id: Option<String>,
    subnet_id: Option<String>,
    groups: Option<Vec<String>>,
    private_ip_address: Option<String>,
    private_ip_addresses: Option<Vec<PrivateIpAddressSpecification>>,
    secondary_private_ip_address_count: Option<i64>,
    ipv6_addresses: Option<Vec<Ipv6AddressSpecification>>,
    ipv6_address_count: Option<i64>,
    primary_ipv6: Option<bool>,
    description: Option<String>,
    delete_on_termination: Option<bool>,
    associate_public_ip_address: Option<bool>,
    interface_type: Option<String>,
}

/// An interface that a new instance gets.
pub(crate) struct PlannedInterface {
    pub(crate) device_index: u32,
    pub(crate) delete_on_termination: bool,
    pub(crate) source: InterfaceSource,
}

impl PlannedInterface {
    /// How many private addresses it has.
    pub(crate) fn addresses(&self, tx: &Tx) -> usize {
        match &self.source {
            InterfaceSource::Existing(id) => tx
                .get::<NetworkInterface>(id)
                .map_or(0, |interface| interface.addresses.len()),
            // Without any that is asked for there is one that is chosen.
            InterfaceSource::New {
                requested, more, ..
            } => requested.len().max(1).saturating_add(*more),
        }
    }
}

/// Where such an interface comes from.
pub(crate) enum InterfaceSource {
    Existing(InterfaceId),
    New {
        subnet: SubnetId,
        requested: Vec<String>,
        more: usize,
        groups: Vec<GroupId>,
        description: String,
        public: Wanted,
        /// The IPv6 addresses that are named, and how many more; `None` leaves it to the subnet.
        ipv6: Option<(Vec<String>, usize)>,
        primary_ipv6: bool,
    },
}

/// Whether an interface is to have a public address of Amazon's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// The request says so: without one there is no instance.
    Yes,
    /// The subnet says so: if there is one.
    IfFree,
    /// No.
    No,
}

/// The primary interface that the members of the request itself describe.
pub(crate) fn single_interface(
    tx: &Tx,
    ctx: &Context<'_>,
    subnet_id: Option<String>,
    group_ids: Option<Vec<String>>,
    group_names: Option<Vec<String>>,
    private_ip_address: Option<String>,
    ipv6: (Option<Vec<Ipv6AddressSpecification>>, Option<i64>),
) -> Result<InterfaceSpecification, ApiError> {
    let mut groups = group_ids.unwrap_or_default();
    let names = group_names.unwrap_or_default();
    if !names.is_empty() && subnet_id.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter groupName cannot be used with the parameter subnet",
        ));
    }
    for name in names {
        groups.push(security_group::find_by_name(tx, ctx, &name)?.id.to_string());
    }
    Ok(InterfaceSpecification {
        device_index: Some(0),
        subnet_id,
        groups: Some(groups),
        private_ip_address,
        ipv6_addresses: ipv6.0,
        ipv6_address_count: ipv6.1,
        delete_on_termination: Some(true),
        ..InterfaceSpecification::default()
    })
}

/// Checks the interfaces of a request; `max` is the number of instances that are to have the like.
pub(crate) fn planned_interfaces(
    tx: &Tx,
    ctx: &Context<'_>,
    specifications: Vec<InterfaceSpecification>,
    zone: Option<&str>,
    max: u32,
) -> Result<Vec<PlannedInterface>, ApiError> {
    let mut planned: Vec<PlannedInterface> = Vec::new();
    let mut indexes = BTreeSet::new();
    let mut existing = BTreeSet::new();
    let alone = specifications.len() == 1;
    for specification in specifications {
        if specification.associate_public_ip_address == Some(true) && !alone {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "The associatePublicIPAddress parameter cannot be specified when launching with multiple network interfaces.",
            ));
        }
        let interface = planned_interface(tx, ctx, specification, zone, (max, alone))?;
        let twice = match interface.source {
            InterfaceSource::Existing(id) => !existing.insert(id),
            InterfaceSource::New { .. } => false,
        };
        if twice || !indexes.insert(interface.device_index) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "Each network interface requires a device index of its own.",
            ));
        }
        planned.push(interface);
    }
    if !indexes.contains(&0) {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Specify a network interface for device index 0, the primary one.",
        ));
    }
    Ok(planned)
}

fn planned_interface(
    tx: &Tx,
    ctx: &Context<'_>,
    specification: InterfaceSpecification,
    zone: Option<&str>,
    (max, alone): (u32, bool),
) -> Result<PlannedInterface, ApiError> {
    let parameter = |name: &str| format!("NetworkInterfaces.{name}");
    if let Some(card) = specification.network_card_index.filter(|card| *card != 0) {
        return Err(resource::unsupported(&parameter("NetworkCardIndex"), &card));
    }
    if let Some(kind) = specification
        .interface_type
        .filter(|kind| kind != "interface")
    {
        return Err(resource::unsupported(&parameter("InterfaceType"), &kind));
    }
    let device_index = attachment::device_index(specification.device_index.ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue",
            "Each network interface requires a device index.",
        )
    })?)?;
    let groups = specification.groups.filter(|groups| !groups.is_empty());
    let requested = requested_addresses(
        specification.private_ip_address,
        specification.private_ip_addresses,
    )?;
    let more = count_of(specification.secondary_private_ip_address_count)?;
    let ipv6 = requested_ipv6(
        specification.ipv6_addresses,
        specification.ipv6_address_count,
    )?;
    let once = |what: &str| {
        ApiError::new(
            "InvalidParameterCombination",
            format!("{what} cannot be specified when launching more than one instance"),
        )
    };
    if let Some(id) = specification.network_interface_id {
        let made_of = specification.subnet_id.is_some()
            || groups.is_some()
            || !requested.is_empty()
            || more > 0
            || ipv6.is_some()
            || specification.primary_ipv6 == Some(true)
            || specification.associate_public_ip_address == Some(true)
            || specification.description.is_some();
        if made_of {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "A network interface may not specify both a network interface ID and what a new one is made of",
            ));
        }
        if max > 1 {
            return Err(once("Existing network interfaces"));
        }
        let interface = network_interface::find_own(tx, ctx, &id)?;
        if interface.attachment.is_some() {
            return Err(attachment::in_use(interface.id));
        }
        return Ok(PlannedInterface {
            device_index,
            delete_on_termination: specification.delete_on_termination.unwrap_or(false),
            source: InterfaceSource::Existing(interface.id),
        });
    }
    if max > 1 && !requested.is_empty() {
        return Err(once("Private IP addresses"));
    }
    if max > 1 && ipv6.as_ref().is_some_and(|(named, _)| !named.is_empty()) {
        return Err(once("IPv6 addresses"));
    }
    let subnet = match &specification.subnet_id {
        Some(id) => resource::find::<Subnet>(tx, ctx, id)?,
        None => default_subnet(tx, ctx, zone)?,
    };
    let groups = security_group::for_interface(tx, ctx, subnet.vpc, subnet.id, groups.as_deref())?;
    let public = match specification.associate_public_ip_address {
        Some(true) => Wanted::Yes,
        None if alone && subnet.public_on_launch => Wanted::IfFree,
        Some(false) | None => Wanted::No,
    };
    Ok(PlannedInterface {
        device_index,
        // "If not specified … the default is true" for interfaces that a launch makes (`RunInstances`).
        delete_on_termination: specification.delete_on_termination.unwrap_or(true),
        source: InterfaceSource::New {
            subnet: subnet.id,
            requested,
            more,
            groups,
            description: checked_description(specification.description)?,
            public,
            ipv6,
            primary_ipv6: specification.primary_ipv6.unwrap_or(false),
        },
    })
}

/// The default subnet of the zone, or of the first zone that has one.
fn default_subnet<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    zone: Option<&str>,
) -> Result<&'t Subnet, ApiError> {
    let vpc = security_group::default_vpc(tx, ctx)?.id;
    resource::own::<Subnet>(tx, ctx)
        .filter(|subnet| subnet.vpc == vpc && subnet.default_for_zone)
        .filter(|subnet| zone.is_none_or(|zone| subnet.zone == zone))
        .min_by(|a, b| a.zone.cmp(&b.zone))
        .ok_or_else(|| {
            ApiError::new(
                "MissingInput",
                format!("No subnets found for the default VPC '{vpc}'. Please specify a subnet."),
            )
        })
}

/// The subnet of the primary interface; every other one must be in the same zone.
pub(crate) fn primary_subnet<'t>(
    tx: &'t Tx,
    interfaces: &[PlannedInterface],
) -> Result<&'t Subnet, ApiError> {
    let subnet_of = |interface: &PlannedInterface| {
        let id = match &interface.source {
            InterfaceSource::Existing(id) => tx.get::<NetworkInterface>(id)?.subnet,
            InterfaceSource::New { subnet, .. } => *subnet,
        };
        tx.get::<Subnet>(&id)
    };
    let primary = interfaces
        .iter()
        .find(|interface| interface.device_index == 0)
        .and_then(subnet_of)
        .ok_or_else(|| ApiError::internal("the primary interface has no subnet"))?;
    let elsewhere =
        |interface: &PlannedInterface| subnet_of(interface).is_none_or(|s| s.zone != primary.zone);
    if interfaces.iter().any(elsewhere) {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "You may not specify network interfaces in different availability zones",
        ));
    }
    Ok(primary)
}
