//! `RunInstances`.

use api::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use types::{AccountId, InstanceId, InterfaceId, ReservationId, SubnetId, VpcId};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::View;
use crate::instance::{self, Instance, InstanceState};
use crate::instance_credits::CreditsRequest;
use crate::instance_describe::{InstanceReply, reply};
use crate::instance_interfaces::{
    InterfaceSource, InterfaceSpecification, PlannedInterface, Wanted, planned_interfaces,
    primary_subnet, single_interface,
};
use crate::instance_metadata_options::MetadataOptionsRequest;
use crate::instance_options::{
    CpuRequest, DnsRequest, InstanceOptions, MaintenanceRequest, MonitoringRequest, OptionsRequest,
    ReservationRequest,
};
use crate::instance_placement::launch_group;
use crate::instance_profile::ProfileRequest;
use crate::instance_report;
use crate::launch_template::{TemplateData, TemplateSpecification, fill, fill_tags};
use crate::network_interface::{self, Extras, Ipv6AddressSpecification, Plan};
use crate::resource;
use crate::security_group::GroupIdentifier;
use crate::tags::TagSpecification;
use crate::{
    Context, PlacementGroup, Tags, Tx, attachment, host, instance_type, placement_group,
    public_on_launch, quota, zones,
};

actions! {
    "RunInstances" => run_instances, Enforced;
}

/// EC2: "User data is limited to 16 KB, in raw form, before it is base64-encoded."
const MAX_USER_DATA: usize = 16_384;

/// `RunInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RunInstancesRequest {
    image_id: Option<String>,
    instance_type: Option<String>,
    min_count: i64,
    max_count: i64,
    subnet_id: Option<String>,
    security_group_ids: Option<Vec<String>>,
    security_groups: Option<Vec<String>>,
    private_ip_address: Option<String>,
    ipv6_addresses: Option<Vec<Ipv6AddressSpecification>>,
    ipv6_address_count: Option<i64>,
    network_interfaces: Option<Vec<InterfaceSpecification>>,
    placement: Option<Placement>,
    user_data: Option<String>,
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
    disable_api_termination: Option<bool>,
    instance_initiated_shutdown_behavior: Option<String>,
    disable_api_stop: Option<bool>,
    ebs_optimized: Option<bool>,
    monitoring: Option<MonitoringRequest>,
    credit_specification: Option<CreditsRequest>,
    hibernation_options: Option<HibernationOptions>,
    key_name: Option<String>,
    iam_instance_profile: Option<ProfileRequest>,
    metadata_options: Option<MetadataOptionsRequest>,
    maintenance_options: Option<MaintenanceRequest>,
    capacity_reservation_specification: Option<ReservationRequest>,
    private_dns_name_options: Option<DnsRequest>,
    cpu_options: Option<CpuRequest>,
    enclave_options: Option<EnclaveOptions>,
    launch_template: Option<TemplateSpecification>,
}

impl RunInstancesRequest {
    /// Takes from a launch template what the request does not say.
    fn fill(&mut self, data: TemplateData) {
        fill_tags(&mut self.tag_specifications, data.tag_specifications);
        fill!(
            self, data;
            image_id, instance_type, security_group_ids, security_groups, network_interfaces, placement, user_data,
            disable_api_termination, instance_initiated_shutdown_behavior, disable_api_stop, ebs_optimized, monitoring,
            credit_specification, hibernation_options, key_name, iam_instance_profile, metadata_options,
            maintenance_options, capacity_reservation_specification, private_dns_name_options, cpu_options,
            enclave_options,
        );
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct HibernationOptions {
    configured: Option<bool>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct EnclaveOptions {
    enabled: Option<bool>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Placement {
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    tenancy: Option<String>,
    group_name: Option<String>,
    group_id: Option<String>,
    partition_number: Option<i64>,
}

/// What one `RunInstances` made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReservationReply {
    pub(crate) reservation_id: ReservationId,
    pub(crate) owner_id: AccountId,
    pub(crate) groups: Vec<GroupIdentifier>,
    pub(crate) instances: Vec<InstanceReply>,
}

/// What every instance of one request has alike.
struct Launch {
    reservation: ReservationId,
    image: String,
    instance_type: String,
    user_data: String,
    tags: Tags,
    interface_tags: Tags,
    interfaces: Vec<PlannedInterface>,
    zone: String,
    vpc: VpcId,
    subnet: SubnetId,
    disable_api_termination: bool,
    terminate_on_shutdown: bool,
    client_token: Option<ClientToken>,
    options: InstanceOptions,
    group: Option<PlacementGroup>,
    /// The partition of the group that is asked for.
    partition: Option<i64>,
}

/// Launches instances: as many as `MaxCount` if the subnet has addresses for them, but no less than `MinCount`.
pub(crate) fn run_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    mut req: RunInstancesRequest,
) -> Result<ReservationReply, ApiError> {
    instance::purge(tx, ctx.now);
    instance::forget_surplus(tx, ctx);
    let token = ClientToken::new(tx, req.client_token.take())?;
    if let Some(earlier) = repeated(tx, ctx, token.as_ref())? {
        return Ok(earlier);
    }
    if let Some(template) = req.launch_template.take() {
        req.fill(template.read(tx, ctx)?);
    }
    let (min, max) = counts(tx, ctx, req.min_count, req.max_count)?;
    let launch = plan(tx, ctx, req, max, token)?;
    let mut made = Vec::new();
    for index in 0..max {
        match make(tx, ctx, &launch, index) {
            Ok(id) => made.push(id),
            Err(error) if index >= min && error.code.starts_with("Insufficient") => break,
            Err(error) => return Err(error),
        }
    }
    // The reply shows instances that have just begun to start, even where they arrive at once.
    let instances = made
        .iter()
        .filter_map(|id| tx.get::<Instance>(id))
        .map(|instance| reply(&View::new(tx.state(), ctx), instance))
        .collect();
    for id in made {
        if let Some(instance) = tx.get::<Instance>(&id).cloned() {
            instance_report::without_hosts(tx, ctx, &instance);
        }
    }
    Ok(ReservationReply {
        reservation_id: launch.reservation,
        owner_id: ctx.account,
        groups: Vec::new(),
        instances,
    })
}

/// The reservation that an earlier request with the token made.
fn repeated(
    tx: &Tx,
    ctx: &Context<'_>,
    token: Option<&ClientToken>,
) -> Result<Option<ReservationReply>, ApiError> {
    let Some(new) = token else { return Ok(None) };
    let mut found: Option<ReservationReply> = None;
    for instance in resource::own::<Instance>(tx, ctx) {
        let Some(earlier) = &instance.client_token else {
            continue;
        };
        if new.repeats(earlier)? {
            let reservation = found.get_or_insert_with(|| ReservationReply {
                reservation_id: instance.reservation,
                owner_id: instance.account,
                groups: Vec::new(),
                instances: Vec::new(),
            });
            reservation
                .instances
                .push(reply(&View::new(tx.state(), ctx), instance));
        }
    }
    Ok(found)
}

fn counts(tx: &Tx, ctx: &Context<'_>, min: i64, max: i64) -> Result<(u32, u32), ApiError> {
    let invalid = |name: &str, value: i64, why: &str| {
        ApiError::new(
            "InvalidParameterValue",
            format!("Value ({value}) for parameter {name} is invalid. {why}"),
        )
    };
    if min < 1 {
        return Err(invalid("minCount", min, "Minimum value is 1."));
    }
    if max < min {
        return Err(invalid(
            "maxCount",
            max,
            "maxCount must not be less than minCount.",
        ));
    }
    let alive = |instance: &&Instance| instance.state != InstanceState::Terminated;
    let present = resource::own::<Instance>(tx, ctx).filter(alive).count();
    let room = u32::try_from(quota::INSTANCES.max(tx, ctx).saturating_sub(present)).unwrap_or(0);
    let min = u32::try_from(min).unwrap_or(u32::MAX);
    if min > room {
        return Err(quota::INSTANCES.exceeded());
    }
    Ok((min, u32::try_from(max).unwrap_or(u32::MAX).min(room)))
}

/// Checks everything that instances of the request have in common.
fn plan(
    tx: &Tx,
    ctx: &Context<'_>,
    req: RunInstancesRequest,
    max: u32,
    client_token: Option<ClientToken>,
) -> Result<Launch, ApiError> {
    resource::only_false(
        "HibernationOptions.Configured",
        req.hibernation_options
            .and_then(|options| options.configured),
    )?;
    resource::only_false(
        "EnclaveOptions.Enabled",
        req.enclave_options.and_then(|options| options.enabled),
    )?;
    let image = req.image_id.ok_or_else(|| resource::missing("ImageId"))?;
    check_image(&image)?;
    let instance_type = req.instance_type.unwrap_or_else(|| "m1.small".to_owned());
    instance_type::check(&instance_type)?;
    let user_data = checked_user_data(req.user_data)?;
    // Ansible tags the volumes of every launch; an instance here has none that could bear them.
    let mut tags = Tags::of_new_types(
        req.tag_specifications.as_deref(),
        &["instance", "network-interface", "volume"],
    )?;
    let placement = req.placement.unwrap_or_default();
    let group = launch_group(
        tx,
        ctx,
        (
            placement.group_name.as_deref(),
            placement.group_id.as_deref(),
        ),
        placement.partition_number,
        &instance_type,
    )?;
    let zone = checked_zone(
        ctx,
        placement.availability_zone,
        placement.availability_zone_id,
    )?;
    let options = OptionsRequest {
        key_name: req.key_name,
        disable_api_stop: req.disable_api_stop,
        ebs_optimized: req.ebs_optimized,
        monitoring: req.monitoring,
        credits: req.credit_specification,
        profile: req.iam_instance_profile,
        metadata: req.metadata_options,
        maintenance: req.maintenance_options,
        reservation: req.capacity_reservation_specification,
        dns: req.private_dns_name_options,
        cpu: req.cpu_options,
        tenancy: placement.tenancy,
    };
    let options = options.read(tx, ctx, &instance_type)?;
    let specifications = req.network_interfaces.unwrap_or_default();
    let specifications = if specifications.is_empty() {
        vec![single_interface(
            tx,
            ctx,
            req.subnet_id,
            req.security_group_ids,
            req.security_groups,
            req.private_ip_address,
            (req.ipv6_addresses, req.ipv6_address_count),
        )?]
    } else {
        for (name, given) in [
            ("subnet ID", req.subnet_id.is_some()),
            (
                "security groups",
                req.security_group_ids.is_some() || req.security_groups.is_some(),
            ),
            ("private IP address", req.private_ip_address.is_some()),
            ("IPv6 addresses", req.ipv6_addresses.is_some()),
            ("IPv6 address count", req.ipv6_address_count.is_some()),
        ] {
            if given {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    format!(
                        "Network interfaces and an instance-level {name} may not be specified on the same request"
                    ),
                ));
            }
        }
        specifications
    };
    let interfaces = planned_interfaces(tx, ctx, specifications, zone.as_deref(), max)?;
    instance_type::check_interfaces(&instance_type, interfaces.len())?;
    for interface in &interfaces {
        instance_type::check_addresses_of(&instance_type, interface.addresses(tx))?;
    }
    let subnet = primary_subnet(tx, &interfaces)?;
    if zone.as_ref().is_some_and(|zone| *zone != subnet.zone) {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            format!(
                "The subnet '{}' is not in the availability zone of the placement",
                subnet.id
            ),
        ));
    }
    Ok(Launch {
        reservation: ReservationId::from_bits(ctx.random()),
        image,
        instance_type,
        user_data,
        tags: tags.remove("instance").unwrap_or_default(),
        interface_tags: tags.remove("network-interface").unwrap_or_default(),
        interfaces,
        zone: subnet.zone.clone(),
        vpc: subnet.vpc,
        subnet: subnet.id,
        disable_api_termination: req.disable_api_termination.unwrap_or(false),
        terminate_on_shutdown: shutdown_behavior(
            req.instance_initiated_shutdown_behavior.as_deref(),
        )?,
        client_token,
        options,
        group,
        partition: placement.partition_number,
    })
}

/// Images are opaque: every well-formed id is one.
pub(crate) fn check_image(image: &str) -> Result<(), ApiError> {
    if resource::is_well_formed(image, "ami") {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidAMIID.Malformed",
        format!("Invalid id: \"{image}\" (expecting \"ami-...\")"),
    ))
}

/// User data of a request, still in base64.
fn checked_user_data(text: Option<String>) -> Result<String, ApiError> {
    let text = text.unwrap_or_default();
    // Tools wrap base64 in lines, which EC2 takes.
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let octets = STANDARD.decode(&text).map_err(|_| {
        ApiError::new(
            "InvalidParameterValue",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    check_user_data(&octets)?;
    Ok(text)
}

/// The bound on user data.
pub(crate) fn check_user_data(octets: &[u8]) -> Result<(), ApiError> {
    if octets.len() > MAX_USER_DATA {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("User data is limited to {MAX_USER_DATA} bytes"),
        ));
    }
    Ok(())
}

/// Whether an instance terminates when it shuts itself down; it stops if nothing is said.
pub(crate) fn shutdown_behavior(name: Option<&str>) -> Result<bool, ApiError> {
    match name {
        None | Some("stop") => Ok(false),
        Some("terminate") => Ok(true),
        Some(other) => Err(ApiError::new(
            "InvalidParameterValue",
            format!("Value ({other}) for parameter instanceInitiatedShutdownBehavior is invalid."),
        )),
    }
}

/// The zone that a placement names, by its name or its id.
fn checked_zone(
    ctx: &Context<'_>,
    name: Option<String>,
    id: Option<String>,
) -> Result<Option<String>, ApiError> {
    let name = name.filter(|name| !name.is_empty());
    let id = id.filter(|id| !id.is_empty());
    let zones = zones::own(ctx);
    let (found, text) = match (name, id) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "The parameter availabilityZone cannot be used with the parameter availabilityZoneId",
            ));
        }
        (Some(name), None) => (zones.into_iter().find(|zone| zone.name == name), name),
        (None, Some(id)) => (zones.into_iter().find(|zone| zone.id == id), id),
    };
    let found = found.ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue",
            format!("Invalid availability zone: [{text}]"),
        )
    })?;
    Ok(Some(found.id))
}

/// An interface with the public address that it shall have; nothing is left of it on an error.
fn make_interface(
    tx: &mut Tx,
    ctx: &Context<'_>,
    plan: Plan,
    public: Wanted,
) -> Result<InterfaceId, ApiError> {
    let mut interface = network_interface::make(tx, ctx, plan)?;
    let id = interface.id;
    if public == Wanted::No {
        return Ok(id);
    }
    interface.public_on_launch = true;
    tx.put(interface.clone());
    match public_on_launch::map(tx, ctx, &interface) {
        Err(error) if public == Wanted::Yes => {
            network_interface::remove(tx, id);
            Err(error)
        }
        // Nobody asked for more than the subnet has.
        Ok(()) | Err(_) => Ok(id),
    }
}

/// One instance with its interfaces; writes nothing if an address is wanting.
fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    launch: &Launch,
    launch_index: u32,
) -> Result<InstanceId, ApiError> {
    let partition = match &launch.group {
        Some(group) => placement_group::place(tx, group, &launch.zone, launch.partition)?,
        None => None,
    };
    let wanted = host::Wanted {
        zone: &launch.zone,
        instance_type: &launch.instance_type,
        group: launch.group.as_ref(),
        partition,
        but: None,
    };
    let host = host::place(tx, ctx, &wanted)?;
    let mut interfaces = Vec::new();
    for planned in &launch.interfaces {
        let made = match &planned.source {
            InterfaceSource::Existing(id) => Ok(*id),
            InterfaceSource::New {
                subnet,
                requested,
                more,
                groups,
                description,
                public,
                ipv6,
                primary_ipv6,
            } => {
                let plan = Plan {
                    subnet: *subnet,
                    requested: requested.clone(),
                    more: *more,
                    groups: groups.clone(),
                    description: description.clone(),
                    tags: launch.interface_tags.clone(),
                    client_token: None,
                    extras: Extras {
                        ipv6: ipv6.clone(),
                        primary_ipv6: *primary_ipv6,
                        ..Extras::default()
                    },
                };
                make_interface(tx, ctx, plan, *public)
            }
        };
        match made {
            Ok(id) => interfaces.push(id),
            Err(error) => {
                // Existing ones are for a single instance, whose failure discards the whole transaction.
                for id in interfaces {
                    network_interface::remove(tx, id);
                }
                return Err(error);
            }
        }
    }
    let id = InstanceId::from_bits(ctx.random());
    tx.put(Instance {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags: launch.tags.clone(),
        reservation: launch.reservation,
        launch_index,
        image: launch.image.clone(),
        instance_type: launch.instance_type.clone(),
        zone: launch.zone.clone(),
        vpc: launch.vpc,
        subnet: launch.subnet,
        state: InstanceState::Pending,
        state_reason: None,
        transition_reason: String::new(),
        launched: ctx.now,
        terminated: None,
        boot: 1,
        reported_boot: 0,
        user_data: launch.user_data.clone(),
        interfaces: std::collections::BTreeMap::new(),
        disable_api_termination: launch.disable_api_termination,
        terminate_on_shutdown: launch.terminate_on_shutdown,
        client_token: launch.client_token.clone(),
        placement_group: launch.group.as_ref().map(|group| group.id),
        partition,
        host,
        options: launch.options.clone(),
    });
    for (planned, interface) in launch.interfaces.iter().zip(interfaces) {
        attachment::attach(
            tx,
            ctx,
            interface,
            id,
            planned.device_index,
            planned.delete_on_termination,
        );
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{World, count, text};

    fn request(extra: &Value) -> Value {
        let mut request = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        for (name, value) in extra.as_object().unwrap() {
            request[name] = value.clone();
        }
        request
    }

    #[test]
    fn defaults() {
        let mut world = World::new();
        let made = world.ok(
            "RunInstances",
            request(&json!({"UserData": STANDARD.encode("#!/bin/sh")})),
        );
        assert_eq!(text(&made, "Instances.0.State.Name"), "pending");
        assert_eq!(text(&made, "Instances.0.InstanceType"), "m1.small");
        assert_eq!(text(&made, "Instances.0.PrivateIpAddress"), "172.31.0.4");
        assert_eq!(
            text(&made, "Instances.0.Placement.AvailabilityZone"),
            "us-east-1a"
        );
        assert_eq!(
            text(&made, "Instances.0.SecurityGroups.0.GroupName"),
            "default"
        );
        let interface = world.state.interfaces.values().next().unwrap();
        assert!(interface.attachment.as_ref().unwrap().delete_on_termination);
        let instance = world.state.instances.values().next().unwrap();
        assert_eq!(&*instance.project().unwrap().user_data, b"#!/bin/sh");
        assert_eq!(instance.interfaces[&0], interface.id);
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut world = World::new();
        let first = json!({"Filters": [{"Name": "availability-zone", "Values": ["us-east-1a"]}]});
        let subnet = text(&world.ok("DescribeSubnets", first), "Subnets.0.SubnetId");
        let spec = |index: i64| json!({"DeviceIndex": index, "SubnetId": subnet});
        for (extra, code) in [
            (json!({"ImageId": "x"}), "InvalidAMIID.Malformed"),
            (json!({"InstanceType": "big"}), "InvalidParameterValue"),
            (json!({"MinCount": 0}), "InvalidParameterValue"),
            (json!({"MinCount": 2}), "InvalidParameterValue"),
            (
                json!({"MinCount": 2000, "MaxCount": 2000}),
                "InstanceLimitExceeded",
            ),
            (json!({"UserData": "!"}), "InvalidParameterValue"),
            (
                json!({"UserData": STANDARD.encode([0; 16_385])}),
                "InvalidParameterValue",
            ),
            (
                json!({"SubnetId": "subnet-00000000000000001"}),
                "InvalidSubnetID.NotFound",
            ),
            (
                json!({"SecurityGroupIds": ["sg-00000000000000001"]}),
                "InvalidGroup.NotFound",
            ),
            (
                json!({"MaxCount": 2, "PrivateIpAddress": "172.31.0.9"}),
                "InvalidParameterCombination",
            ),
            (
                json!({"Placement": {"AvailabilityZone": "us-east-1z"}}),
                "InvalidParameterValue",
            ),
            (
                json!({"Placement": {"AvailabilityZone": "us-east-1b"}, "SubnetId": subnet}),
                "InvalidParameterCombination",
            ),
            (json!({"InstanceType": "t3.huge"}), "InvalidParameterValue"),
            (
                json!({"Placement": {"AvailabilityZoneId": "use1-az9"}}),
                "InvalidParameterValue",
            ),
            (
                json!({"Placement": {"AvailabilityZone": "us-east-1a", "AvailabilityZoneId": "use1-az1"}}),
                "InvalidParameterCombination",
            ),
            (
                json!({"InstanceType": "t3.micro", "NetworkInterfaces": [spec(0), spec(1), spec(2)]}),
                "AttachmentLimitExceeded",
            ),
            (
                json!({"InstanceType": "t3.micro",
                    "NetworkInterfaces": [{"DeviceIndex": 0, "SecondaryPrivateIpAddressCount": 2}]}),
                "PrivateIpAddressLimitExceeded",
            ),
            (
                json!({"HibernationOptions": {"Configured": true}}),
                "UnsupportedOperation",
            ),
            (
                json!({"NetworkInterfaces": [spec(0)], "SubnetId": subnet}),
                "InvalidParameterCombination",
            ),
            (
                json!({"NetworkInterfaces": [spec(1)]}),
                "InvalidParameterCombination",
            ),
            (
                json!({"NetworkInterfaces": [spec(0), spec(0)]}),
                "InvalidParameterValue",
            ),
            (
                json!({"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a"}]}]}),
                "InvalidParameterValue",
            ),
        ] {
            let found = world.err("RunInstances", request(&extra));
            assert_eq!(found, code, "{extra}");
        }
        assert_eq!(
            (world.state.instances.size(), world.state.interfaces.size()),
            (0, 0)
        );
    }

    #[test]
    fn what_terraform_always_sends() {
        let mut world = World::new();
        let made = world.ok(
            "RunInstances",
            request(&json!({
                "InstanceType": "t3.micro",
                "CreditSpecification": {"CpuCredits": "unlimited"},
                "HibernationOptions": {"Configured": false},
                "Monitoring": {"Enabled": false},
                "Placement": {"AvailabilityZone": ""},
                "EbsOptimized": false,
                "DisableApiTermination": false,
            })),
        );
        assert_eq!(text(&made, "Instances.0.InstanceType"), "t3.micro");
    }

    #[test]
    fn as_many_as_there_are_addresses() {
        let mut world = World::new();
        let vpc = text(
            &world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})),
            "Vpc.VpcId",
        );
        let subnet = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/28"}),
        );
        let subnet = text(&subnet, "Subnet.SubnetId");
        let run = |min: u32, max: u32| {
            request(&json!({"SubnetId": subnet, "MinCount": min, "MaxCount": max}))
        };
        let code = world.err("RunInstances", run(12, 20));
        assert_eq!(code, "InsufficientFreeAddressesInSubnet");
        let made = world.ok("RunInstances", run(1, 20));
        assert_eq!(count(&made, "Instances"), 11);
        assert_eq!(text(&made, "Instances.10.AmiLaunchIndex"), "10");
        assert_eq!(world.state.interfaces.size(), 11);
    }

    #[test]
    fn tokens_make_repeats_harmless() {
        let mut world = World::new();
        let first = world.ok(
            "RunInstances",
            request(&json!({"ClientToken": "t", "MaxCount": 2})),
        );
        let again = world.ok(
            "RunInstances",
            request(&json!({"ClientToken": "t", "MaxCount": 2})),
        );
        assert_eq!(text(&first, "ReservationId"), text(&again, "ReservationId"));
        assert_eq!(world.state.instances.size(), 2);
        let other = request(&json!({"ClientToken": "t", "MaxCount": 3}));
        assert_eq!(
            world.err("RunInstances", other),
            "IdempotentParameterMismatch"
        );
    }

    #[test]
    fn existing_interfaces_are_used_and_kept() {
        let mut world = World::new();
        let subnet = text(
            &world.ok("DescribeSubnets", json!({})),
            "Subnets.0.SubnetId",
        );
        let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        let id = text(&made, "NetworkInterface.NetworkInterfaceId");
        let run = request(
            &json!({"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": id},
            {"DeviceIndex": 1, "SubnetId": subnet, "PrivateIpAddress": text(&made, "NetworkInterface.PrivateIpAddress")}]}),
        );
        assert_eq!(world.err("RunInstances", run), "InvalidIPAddress.InUse");
        let run = request(
            &json!({"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": id},
            {"DeviceIndex": 1, "SubnetId": subnet}]}),
        );
        let reply = world.ok("RunInstances", run.clone());
        assert_eq!(
            world.err("RunInstances", run),
            "InvalidNetworkInterface.InUse"
        );
        let instance = text(&reply, "Instances.0.InstanceId");
        world.ok("TerminateInstances", json!({"InstanceIds": [instance]}));
        let left = world.ok("DescribeNetworkInterfaces", json!({}));
        assert_eq!(count(&left, "NetworkInterfaces"), 1);
        assert_eq!(text(&left, "NetworkInterfaces.0.NetworkInterfaceId"), id);
        assert_eq!(text(&left, "NetworkInterfaces.0.Status"), "available");
    }
}
