//! How instances are shown: `DescribeInstances` and `DescribeInstanceStatus`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AttachmentId, InstanceId, InterfaceId, Mac, PlacementGroupId, ReservationId,
    SubnetId, VpcId,
};

use crate::dispatch::actions;
use crate::filter::{Field, Filter, View};
use crate::instance::{Instance, StateReply, find};
use crate::instance_launch::ReservationReply;
use crate::instance_metadata_options::MetadataOptionsReply;
use crate::instance_options::{
    self, Configured, CpuReply, DnsReply, MaintenanceReply, MonitoringReply,
    ReservationReply as CapacityReply, Truth,
};
use crate::instance_profile::ProfileReply;
use crate::network_interface::{NetworkInterface, private_dns_name};
use crate::network_interface_describe::Ipv6AddressReply;
use crate::page::{self, USUAL_BOUNDS};
use crate::security_group::{GroupIdentifier, identifiers};
use crate::tags::Tag;
use crate::{
    Context, State, Tx, address, filter, instance_type, network_interface_describe, resource,
};

actions! {
    "DescribeInstances" => describe_instances, Control;
}

/// An instance in a reply.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceReply {
    instance_id: InstanceId,
    image_id: String,
    instance_type: String,
    ami_launch_index: u32,
    launch_time: api::Timestamp,
    state: StateReply,
    state_reason: Option<StateReason>,
    state_transition_reason: String,
    placement: Placement,
    vpc_id: Option<VpcId>,
    subnet_id: Option<SubnetId>,
    private_ip_address: Option<IpAddr>,
    ipv6_address: Option<IpAddr>,
    public_ip_address: Option<IpAddr>,
    private_dns_name: String,
    public_dns_name: &'static str,
    network_interfaces: Vec<InterfaceReply>,
    security_groups: Vec<GroupIdentifier>,
    source_dest_check: Option<bool>,
    client_token: String,
    tags: Vec<Tag>,
    architecture: &'static str,
    hypervisor: &'static str,
    virtualization_type: &'static str,
    root_device_name: &'static str,
    root_device_type: &'static str,
    usage_operation: &'static str,
    block_device_mappings: Vec<()>,
    product_codes: Vec<()>,
    ena_support: bool,
    key_name: Option<String>,
    ebs_optimized: bool,
    monitoring: MonitoringReply,
    iam_instance_profile: Option<ProfileReply>,
    metadata_options: MetadataOptionsReply,
    maintenance_options: MaintenanceReply,
    capacity_reservation_specification: CapacityReply,
    private_dns_name_options: DnsReply,
    cpu_options: Option<CpuReply>,
    enclave_options: Truth,
    hibernation_options: Configured,
    platform_details: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StateReason {
    code: String,
    message: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Placement {
    availability_zone: String,
    availability_zone_id: String,
    group_name: String,
    group_id: Option<PlacementGroupId>,
    partition_number: Option<u32>,
    tenancy: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InterfaceReply {
    association: Option<Association>,
    attachment: Option<Attachment>,
    description: String,
    groups: Vec<GroupIdentifier>,
    ipv6_addresses: Vec<Ipv6AddressReply>,
    mac_address: Mac,
    network_interface_id: InterfaceId,
    owner_id: AccountId,
    private_dns_name: Option<String>,
    private_ip_address: Option<IpAddr>,
    private_ip_addresses: Vec<PrivateAddress>,
    source_dest_check: bool,
    status: &'static str,
    subnet_id: SubnetId,
    vpc_id: VpcId,
    interface_type: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Association {
    ip_owner_id: String,
    public_dns_name: &'static str,
    public_ip: IpAddr,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    attach_time: api::Timestamp,
    attachment_id: AttachmentId,
    delete_on_termination: bool,
    device_index: u32,
    status: &'static str,
    network_card_index: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateAddress {
    association: Option<Association>,
    primary: bool,
    private_dns_name: Option<String>,
    private_ip_address: IpAddr,
}

fn association(
    state: &State,
    interface: &NetworkInterface,
    private: IpAddr,
) -> Option<Association> {
    let address = address::of_private(state, interface.id, private)?;
    Some(Association {
        ip_owner_id: address.owner(),
        public_dns_name: "",
        public_ip: address.public,
    })
}

fn interface_reply(state: &State, interface: &NetworkInterface) -> InterfaceReply {
    let named = state
        .vpcs
        .get(&interface.vpc)
        .is_some_and(|vpc| vpc.dns_hostnames);
    let name = |address: IpAddr| named.then(|| private_dns_name(&interface.region, address));
    let private = interface
        .addresses
        .iter()
        .enumerate()
        .map(|(place, address)| PrivateAddress {
            association: association(state, interface, *address),
            primary: place == 0,
            private_dns_name: name(*address),
            private_ip_address: *address,
        });
    InterfaceReply {
        association: interface
            .primary()
            .and_then(|address| association(state, interface, address)),
        attachment: interface.attachment.as_ref().map(|attachment| Attachment {
            attach_time: api::Timestamp::from_millis(attachment.attached.0),
            attachment_id: attachment.id,
            delete_on_termination: attachment.delete_on_termination,
            device_index: attachment.device_index,
            status: "attached",
            network_card_index: 0,
        }),
        description: interface.description.clone(),
        groups: identifiers(state, &interface.groups),
        ipv6_addresses: network_interface_describe::ipv6_addresses(interface),
        mac_address: interface.mac,
        network_interface_id: interface.id,
        owner_id: interface.account,
        private_dns_name: interface.primary().and_then(name),
        private_ip_address: interface.primary(),
        private_ip_addresses: private.collect(),
        source_dest_check: interface.source_dest_check,
        status: "in-use",
        subnet_id: interface.subnet,
        vpc_id: interface.vpc,
        interface_type: "interface",
    }
}

fn public_address(state: &State, instance: &Instance) -> Option<IpAddr> {
    let primary = instance.primary(state)?;
    address::of_private(state, primary.id, primary.primary()?).map(|address| address.public)
}

fn dns_name(state: &State, instance: &Instance) -> Option<String> {
    let address = instance.primary(state)?.primary()?;
    if instance.options.dns.resource_name {
        return Some(instance_options::resource_name(
            instance.id,
            &instance.region,
        ));
    }
    Some(private_dns_name(&instance.region, address))
}

fn groups(state: &State, instance: &Instance) -> Vec<GroupIdentifier> {
    instance
        .primary(state)
        .map(|primary| identifiers(state, &primary.groups))
        .unwrap_or_default()
}

/// An instance as `RunInstances` and `DescribeInstances` show it. One that is terminated is nowhere any more.
pub(crate) fn reply(view: &View<'_>, instance: &Instance) -> InstanceReply {
    let state = view.state;
    let primary = instance.primary(state);
    let options = instance.options.reply(&instance.instance_type);
    let group = instance
        .placement_group
        .and_then(|id| state.placement_groups.get(&id));
    InstanceReply {
        instance_id: instance.id,
        image_id: instance.image.clone(),
        instance_type: instance.instance_type.clone(),
        ami_launch_index: instance.launch_index,
        launch_time: api::Timestamp::from_millis(instance.launched.0),
        state: instance.state.into(),
        state_reason: instance
            .state_reason
            .as_ref()
            .map(|(code, message)| StateReason {
                code: code.clone(),
                message: message.clone(),
            }),
        state_transition_reason: instance.transition_reason.clone(),
        placement: Placement {
            availability_zone: view.zone_name(&instance.region, &instance.zone),
            availability_zone_id: instance.zone.clone(),
            group_name: group.map(|group| group.name.clone()).unwrap_or_default(),
            group_id: instance.placement_group,
            partition_number: instance.partition,
            tenancy: instance.options.tenancy(),
        },
        vpc_id: primary.map(|_| instance.vpc),
        subnet_id: primary.map(|_| instance.subnet),
        private_ip_address: primary.and_then(NetworkInterface::primary),
        ipv6_address: primary.and_then(|interface| interface.ipv6.first().copied()),
        public_ip_address: public_address(state, instance),
        private_dns_name: dns_name(state, instance).unwrap_or_default(),
        public_dns_name: "",
        network_interfaces: instance
            .interfaces(state)
            .map(|i| interface_reply(state, i))
            .collect(),
        security_groups: groups(state, instance),
        source_dest_check: primary.map(|primary| primary.source_dest_check),
        client_token: client_token(instance),
        tags: instance.tags.reply(),
        architecture: instance_type::architecture(&instance.instance_type),
        hypervisor: "xen",
        virtualization_type: "hvm",
        // There are no volumes, but instances survive a stop, which in EC2's words only this type does.
        root_device_name: "/dev/xvda",
        root_device_type: "ebs",
        usage_operation: "RunInstances",
        block_device_mappings: Vec::new(),
        product_codes: Vec::new(),
        ena_support: true,
        key_name: options.key_name,
        ebs_optimized: options.ebs_optimized,
        monitoring: options.monitoring,
        iam_instance_profile: options.iam_instance_profile,
        metadata_options: options.metadata_options,
        maintenance_options: options.maintenance_options,
        capacity_reservation_specification: options.capacity_reservation_specification,
        private_dns_name_options: options.private_dns_name_options,
        cpu_options: options.cpu_options,
        enclave_options: options.enclave_options,
        hibernation_options: options.hibernation_options,
        platform_details: "Linux/UNIX",
    }
}

fn client_token(instance: &Instance) -> String {
    instance
        .client_token
        .as_ref()
        .map(|token| token.token.clone())
        .unwrap_or_default()
}

/// What the instance's interfaces have at one of the filters of interfaces.
fn of_interfaces(view: &View<'_>, instance: &Instance, name: &str) -> Vec<String> {
    let field = network_interface_describe::FIELDS
        .iter()
        .find(|(field, _)| *field == name);
    let Some((_, values)) = field else {
        return Vec::new();
    };
    instance
        .interfaces(view.state)
        .flat_map(|interface| values(view, interface))
        .collect()
}

/// Filters of an instance's interfaces: EC2's name, and the name among the filters of interfaces.
macro_rules! fields_of_interfaces {
    ($($name:literal),+ $(,)?) => {
        [$((concat!("network-interface.", $name), |s: &View<'_>, i: &Instance| of_interfaces(s, i, $name))),+]
    };
}

const INTERFACE_FIELDS: &[Field<Instance>] = &fields_of_interfaces![
    "addresses.association.owner-id",
    "addresses.association.public-ip",
    "addresses.primary",
    "addresses.private-ip-address",
    "association.allocation-id",
    "association.association-id",
    "association.ip-owner-id",
    "association.public-ip",
    "attachment.attach-time",
    "attachment.attachment-id",
    "attachment.delete-on-termination",
    "attachment.device-index",
    "attachment.instance-id",
    "attachment.instance-owner-id",
    "attachment.status",
    "availability-zone",
    "description",
    "group-id",
    "group-name",
    "ipv6-addresses.ipv6-address",
    "mac-address",
    "network-interface-id",
    "owner-id",
    "private-dns-name",
    "private-ip-address",
    "requester-id",
    "requester-managed",
    "source-dest-check",
    "status",
    "subnet-id",
    "vpc-id",
];

const OWN_FIELDS: &[Field<Instance>] = &[
    ("block-device-mapping.attach-time", |_, _| vec![]),
    ("block-device-mapping.delete-on-termination", |_, _| vec![]),
    ("block-device-mapping.device-name", |_, _| vec![]),
    ("block-device-mapping.status", |_, _| vec![]),
    ("block-device-mapping.volume-id", |_, _| vec![]),
    ("boot-mode", |_, _| vec![]),
    ("capacity-reservation-id", |_, _| vec![]),
    (
        "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id",
        |_, _| vec![],
    ),
    (
        "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn",
        |_, _| vec![],
    ),
    ("current-instance-boot-mode", |_, _| vec![]),
    ("host-id", |_, _| vec![]),
    ("kernel-id", |_, _| vec![]),
    ("operator.principal", |_, _| vec![]),
    ("outpost-arn", |_, _| vec![]),
    ("product-code", |_, _| vec![]),
    ("product-code.type", |_, _| vec![]),
    ("ramdisk-id", |_, _| vec![]),
    ("requester-id", |_, _| vec![]),
    ("spot-instance-request-id", |_, _| vec![]),
    ("tpm-support", |_, _| vec![]),
    ("usage-operation-update-time", |_, _| vec![]),
    ("ena-support", |_, _| vec!["true".to_owned()]),
    ("enclave-options.enabled", |_, _| vec!["false".to_owned()]),
    ("hibernation-options.configured", |_, _| {
        vec!["false".to_owned()]
    }),
    ("network-performance-options.bandwidth-weighting", |_, _| {
        vec!["default".to_owned()]
    }),
    ("operator.managed", |_, _| vec!["false".to_owned()]),
    ("root-device-name", |_, _| vec!["/dev/xvda".to_owned()]),
    ("usage-operation", |_, _| vec!["RunInstances".to_owned()]),
    ("affinity", |_, _| vec![]),
    ("architecture", |_, i| {
        vec![instance_type::architecture(&i.instance_type).to_owned()]
    }),
    ("availability-zone", |v, i| {
        vec![v.zone_name(&i.region, &i.zone)]
    }),
    ("availability-zone-id", |_, i| vec![i.zone.clone()]),
    ("client-token", |_, i| vec![client_token(i)]),
    ("dns-name", |_, _| vec![]),
    ("group-id", |s, i| {
        groups(s, i)
            .into_iter()
            .map(|g| g.group_id.to_string())
            .collect()
    }),
    ("group-name", |s, i| {
        groups(s, i).into_iter().map(|g| g.group_name).collect()
    }),
    ("hypervisor", |_, _| vec!["xen".to_owned()]),
    ("image-id", |_, i| vec![i.image.clone()]),
    ("instance-id", |_, i| vec![i.id.to_string()]),
    ("instance-lifecycle", |_, _| vec![]),
    ("instance-state-code", |_, i| {
        vec![i.state.code().to_string()]
    }),
    ("instance-state-name", |_, i| {
        vec![i.state.name().to_owned()]
    }),
    ("instance-type", |_, i| vec![i.instance_type.clone()]),
    ("instance.group-id", |s, i| {
        groups(s, i)
            .into_iter()
            .map(|g| g.group_id.to_string())
            .collect()
    }),
    ("instance.group-name", |s, i| {
        groups(s, i).into_iter().map(|g| g.group_name).collect()
    }),
    ("ip-address", |s, i| {
        public_address(s, i)
            .iter()
            .map(ToString::to_string)
            .collect()
    }),
    ("launch-index", |_, i| vec![i.launch_index.to_string()]),
    ("launch-time", |_, i| {
        vec![api::Timestamp::from_millis(i.launched.0).to_string()]
    }),
    ("owner-id", |_, i| vec![i.account.to_string()]),
    ("platform", |_, _| vec![]),
    ("platform-details", |_, _| vec!["Linux/UNIX".to_owned()]),
    ("private-dns-name", |s, i| {
        dns_name(s, i).into_iter().collect()
    }),
    ("private-ip-address", |s, i| {
        i.primary(s)
            .and_then(NetworkInterface::primary)
            .iter()
            .map(ToString::to_string)
            .collect()
    }),
    ("reason", |_, i| vec![i.transition_reason.clone()]),
    ("reservation-id", |_, i| vec![i.reservation.to_string()]),
    ("root-device-type", |_, _| vec!["ebs".to_owned()]),
    ("source-dest-check", |s, i| {
        i.primary(s)
            .iter()
            .map(|p| p.source_dest_check.to_string())
            .collect()
    }),
    ("state-reason-code", |_, i| {
        i.state_reason
            .iter()
            .map(|(code, _)| code.clone())
            .collect()
    }),
    ("state-reason-message", |_, i| {
        i.state_reason
            .iter()
            .map(|(_, message)| message.clone())
            .collect()
    }),
    ("subnet-id", |s, i| {
        i.primary(s).iter().map(|_| i.subnet.to_string()).collect()
    }),
    ("virtualization-type", |_, _| vec!["hvm".to_owned()]),
    ("vpc-id", |s, i| {
        i.primary(s).iter().map(|_| i.vpc.to_string()).collect()
    }),
];

/// `DescribeInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstancesRequest {
    instance_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstancesReply {
    reservations: Vec<ReservationReply>,
    next_token: Option<String>,
}

/// What a Describe action of instances asks for.
pub(crate) struct Wanted<'w> {
    pub(crate) ids: &'w [String],
    pub(crate) filters: &'w [Filter],
    pub(crate) fields: &'w [Field<Instance>],
    pub(crate) max_results: Option<i64>,
    pub(crate) next_token: Option<&'w str>,
}

/// The client's instances that it asks for and that are not forgotten, by id.
pub(crate) fn select<'t>(
    tx: &'t Tx,
    ctx: &Context<'_>,
    wanted: &Wanted<'_>,
    also: impl Fn(&Instance) -> bool,
) -> Result<page::Page<&'t Instance>, ApiError> {
    filter::check(wanted.filters, wanted.fields.iter().map(|(name, _)| *name))?;
    if !wanted.ids.is_empty() && wanted.max_results.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    if let Some(id) = wanted.ids.iter().find(|id| find(tx, ctx, id).is_err()) {
        // The whole list makes the message: EC2 names every id that does not exist.
        crate::instance::find_all(tx, ctx, wanted.ids)?;
        find(tx, ctx, id)?;
    }
    let view = View::new(tx.state(), ctx);
    let matching = |instance: &&'t Instance| {
        !instance.is_forgotten(view.now)
            && also(instance)
            && filter::matches(wanted.filters, wanted.fields, &view, *instance)
    };
    let key = |instance: &&'t Instance| instance.id.to_string();
    let (max, token) = (wanted.max_results, wanted.next_token);
    if wanted.ids.is_empty() {
        let all = resource::own::<Instance>(tx, ctx).filter(matching);
        return page::cut(all, key, &USUAL_BOUNDS, max, token);
    }
    let mut named = Vec::new();
    for id in wanted.ids {
        named.push(find(tx, ctx, id)?);
    }
    named.sort_unstable_by_key(|instance| instance.id);
    named.dedup_by_key(|instance| instance.id);
    page::cut(
        named.into_iter().filter(matching),
        key,
        &USUAL_BOUNDS,
        max,
        token,
    )
}

/// Lists instances by reservation.
pub(crate) fn describe_instances(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeInstancesRequest,
) -> Result<DescribeInstancesReply, ApiError> {
    let fields = [OWN_FIELDS, INTERFACE_FIELDS, instance_options::FIELDS].concat();
    let wanted = Wanted {
        ids: req.instance_ids.as_deref().unwrap_or_default(),
        filters: req.filters.as_deref().unwrap_or_default(),
        fields: &fields,
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = select(tx, ctx, &wanted, |_| true)?;
    let mut reservations: BTreeMap<ReservationId, ReservationReply> = BTreeMap::new();
    for instance in page.items {
        let reservation =
            reservations
                .entry(instance.reservation)
                .or_insert_with(|| ReservationReply {
                    reservation_id: instance.reservation,
                    owner_id: instance.account,
                    groups: Vec::new(),
                    instances: Vec::new(),
                });
        reservation
            .instances
            .push(reply(&View::new(tx.state(), ctx), instance));
    }
    Ok(DescribeInstancesReply {
        reservations: reservations.into_values().collect(),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, count, text};

    #[test]
    fn every_filter_of_interfaces_is_one() {
        for (name, _) in INTERFACE_FIELDS {
            let own = name.strip_prefix("network-interface.").unwrap();
            assert!(
                network_interface_describe::FIELDS
                    .iter()
                    .any(|(field, _)| *field == own),
                "{own}"
            );
        }
    }

    #[test]
    fn reservations_filters_and_pages() {
        let mut world = World::new();
        let run = |count: u32, tag: &str| {
            json!({"ImageId": "ami-12345678", "MinCount": count, "MaxCount": count, "InstanceType": "t3.micro",
                   "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": tag}]}]})
        };
        world.ok("RunInstances", run(4, "web"));
        world.ok("RunInstances", run(3, "db"));
        let shown = world.ok("DescribeInstances", json!({}));
        assert_eq!(count(&shown, "Reservations"), 2);
        let filtered =
            |name: &str, value: &str| json!({"Filters": [{"Name": name, "Values": [value]}]});
        let web = world.ok("DescribeInstances", filtered("tag:role", "w*"));
        assert_eq!(count(&web, "Reservations.0.Instances"), 4);
        let one = world.ok(
            "DescribeInstances",
            filtered(
                "network-interface.addresses.private-ip-address",
                "172.31.0.5",
            ),
        );
        assert_eq!(
            text(&one, "Reservations.0.Instances.0.PrivateIpAddress"),
            "172.31.0.5"
        );
        assert_eq!(
            world.err("DescribeInstances", filtered("nonsense", "x")),
            "InvalidParameterValue"
        );
        let first = world.ok("DescribeInstances", json!({"MaxResults": 5}));
        let rest = world.ok(
            "DescribeInstances",
            json!({"MaxResults": 5, "NextToken": text(&first, "NextToken")}),
        );
        let instances = |reply: &api::Value| -> usize {
            (0..count(reply, "Reservations"))
                .map(|i| count(reply, &format!("Reservations.{i}.Instances")))
                .sum()
        };
        assert_eq!((instances(&first), instances(&rest)), (5, 2));
    }
}
