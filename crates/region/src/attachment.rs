//! Interfaces at instances, and interfaces' secondary addresses.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AttachmentId, Cidr, InstanceId, InterfaceId};

use crate::dispatch::actions;
use crate::network_interface::{Attachment, named_or_counted};
use crate::resource::{self, Resource as _};
use crate::{
    Context, Instance, NetworkInterface, Subnet, Tx, address, instance_type, network_interface,
    public_on_launch, quota, subnet_addresses,
};

actions! {
    "AssignPrivateIpAddresses" => assign_private_ip_addresses, Enforced;
    "AttachNetworkInterface" => attach_network_interface, Enforced;
    "DetachNetworkInterface" => detach_network_interface, Enforced;
    "UnassignPrivateIpAddresses" => unassign_private_ip_addresses, Enforced;
}

/// Bound on the interfaces of one instance, and so on device indexes: EC2's largest instance types have it.
pub(crate) const MAX_INTERFACES: u32 = 15;

/// EC2's error for an attachment that the client does not have.
pub(crate) fn not_found(id: &str) -> ApiError {
    resource::unknown_id(
        id,
        "eni-attach",
        "attachment",
        "InvalidAttachmentID.NotFound",
        "InvalidNetworkInterfaceAttachmentId.Malformed",
    )
}

/// A device index within [`MAX_INTERFACES`].
pub(crate) fn device_index(number: i64) -> Result<u32, ApiError> {
    u32::try_from(number).ok().filter(|index| *index < MAX_INTERFACES).ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({number}) for parameter deviceIndex is invalid. Expecting a value between 0 and {}.",
                MAX_INTERFACES - 1
            ),
        )
    })
}

/// EC2's error for an interface that an instance has already.
pub(crate) fn in_use(id: InterfaceId) -> ApiError {
    ApiError::new(
        "InvalidNetworkInterface.InUse",
        format!("Interface: [{id}] in use."),
    )
}

/// Puts an interface to an instance: both records say so afterwards. The caller has checked that both are free.
pub(crate) fn attach(
    tx: &mut Tx,
    ctx: &Context<'_>,
    interface: InterfaceId,
    instance: InstanceId,
    device_index: u32,
    delete_on_termination: bool,
) -> Option<AttachmentId> {
    let mut holder = tx.get::<Instance>(&instance)?.clone();
    let mut interface = tx.get::<NetworkInterface>(&interface)?.clone();
    let id = AttachmentId::from_bits(ctx.random());
    holder.interfaces.insert(device_index, interface.id);
    interface.attachment = Some(Attachment {
        id,
        instance,
        device_index,
        delete_on_termination,
        attached: ctx.now,
    });
    tx.put(holder);
    tx.put(interface);
    Some(id)
}

/// Takes an interface from the instance that has it: both records say so afterwards.
pub(crate) fn detach(tx: &mut Tx, interface: InterfaceId) {
    let Some(mut interface) = tx.get::<NetworkInterface>(&interface).cloned() else {
        return;
    };
    let Some(attachment) = interface.attachment.take() else {
        return;
    };
    public_on_launch::unmap(tx, interface.id);
    interface.public_on_launch = false;
    if let Some(mut holder) = tx.get::<Instance>(&attachment.instance).cloned() {
        holder.interfaces.remove(&attachment.device_index);
        tx.put(holder);
    }
    tx.put(interface);
}

/// `AttachNetworkInterface`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AttachNetworkInterfaceRequest {
    network_interface_id: String,
    instance_id: String,
    device_index: i64,
    network_card_index: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttachNetworkInterfaceReply {
    pub(crate) attachment_id: Option<AttachmentId>,
    network_card_index: u32,
}

/// Gives an interface to a running or stopped instance in its zone.
pub(crate) fn attach_network_interface(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AttachNetworkInterfaceRequest,
) -> Result<AttachNetworkInterfaceReply, ApiError> {
    let interface = network_interface::find_own(tx, ctx, &req.network_interface_id)?;
    let instance = resource::find::<Instance>(tx, ctx, &req.instance_id)?;
    let index = device_index(req.device_index)?;
    if let Some(card) = req.network_card_index.filter(|card| *card != 0) {
        return Err(resource::unsupported("NetworkCardIndex", &card));
    }
    if interface.attachment.is_some() {
        return Err(in_use(interface.id));
    }
    if !instance.state.is_settled() {
        return Err(ApiError::new(
            "IncorrectInstanceState",
            format!(
                "The instance '{}' is not in the 'running' or 'stopped' state.",
                instance.id
            ),
        ));
    }
    let zone = tx
        .get::<Subnet>(&interface.subnet)
        .map(|subnet| subnet.zone.as_str());
    if zone != Some(instance.zone.as_str()) {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "You may not attach a network interface to an instance if they are not in the same availability zone",
        ));
    }
    if instance.interfaces.contains_key(&index) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Instance '{}' already has an interface attached at device index '{index}'.",
                instance.id
            ),
        ));
    }
    let interfaces = instance.interfaces.len().saturating_add(1);
    instance_type::check_interfaces(&instance.instance_type, interfaces)?;
    instance_type::check_addresses_of(&instance.instance_type, interface.addresses.len())?;
    let (interface, instance) = (interface.id, instance.id);
    let attachment_id = attach(tx, ctx, interface, instance, index, false);
    Ok(AttachNetworkInterfaceReply {
        attachment_id,
        network_card_index: 0,
    })
}

/// `DetachNetworkInterface`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DetachNetworkInterfaceRequest {
    attachment_id: String,
    /// Detaching never waits for the instance, so that there is nothing to force.
    #[serde(rename = "Force")]
    _force: Option<bool>,
}

/// Takes an interface, but never the primary one, from its instance.
pub(crate) fn detach_network_interface(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DetachNetworkInterfaceRequest,
) -> Result<(), ApiError> {
    let id = req.attachment_id.parse::<AttachmentId>();
    let found = id.ok().and_then(|id| {
        let mut interfaces = tx.state().interfaces.of(id);
        let interface = interfaces.find(|interface| resource::is_visible(ctx, *interface))?;
        Some((interface.id, interface.attachment.as_ref()?.device_index))
    });
    let (interface, index) = found.ok_or_else(|| not_found(&req.attachment_id))?;
    if index == 0 {
        return Err(ApiError::new(
            "OperationNotPermitted",
            "The network interface at device index 0 cannot be detached.",
        ));
    }
    detach(tx, interface);
    Ok(())
}

/// `AssignPrivateIpAddresses`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssignPrivateIpAddressesRequest {
    network_interface_id: String,
    private_ip_addresses: Option<Vec<String>>,
    secondary_private_ip_address_count: Option<i64>,
    allow_reassignment: Option<bool>,
    ipv4_prefixes: Option<Vec<String>>,
    ipv4_prefix_count: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssignPrivateIpAddressesReply {
    network_interface_id: InterfaceId,
    assigned_private_ip_addresses: Vec<AssignedAddress>,
    assigned_ipv4_prefixes: Vec<AssignedPrefix>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssignedPrefix {
    ipv4_prefix: Cidr,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssignedAddress {
    private_ip_address: IpAddr,
}

/// Gives an interface secondary addresses: named ones, or a number of free ones.
pub(crate) fn assign_private_ip_addresses(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssignPrivateIpAddressesRequest,
) -> Result<AssignPrivateIpAddressesReply, ApiError> {
    let interface = network_interface::find_own(tx, ctx, &req.network_interface_id)?.clone();
    let named = req.private_ip_addresses.unwrap_or_default();
    let (named, count) = named_or_counted(
        named,
        req.secondary_private_ip_address_count,
        "privateIpAddresses",
    )?;
    let prefixes = req.ipv4_prefixes.unwrap_or_default();
    let (prefixes, prefix_count) =
        named_or_counted(prefixes, req.ipv4_prefix_count, "ipv4Prefixes")?;
    let wanted = [named.len(), count, prefixes.len(), prefix_count];
    let wanted = wanted.into_iter().fold(0, usize::saturating_add);
    if wanted == 0 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Either privateIpAddresses, secondaryPrivateIpAddressCount, ipv4Prefixes or ipv4PrefixCount must be specified",
        ));
    }
    let present = interface
        .addresses
        .len()
        .saturating_add(interface.ipv4_prefixes.len());
    let number = present.saturating_add(wanted);
    quota::PRIVATE_ADDRESSES.check(tx, ctx, number)?;
    let holder = interface.attachment.as_ref().map(|held| held.instance);
    instance_type::check_addresses(tx, holder, number)?;
    if req.allow_reassignment == Some(true) {
        for text in &named {
            take_from_another(tx, ctx, &interface, text)?;
        }
    }
    let mut interface = interface;
    let subnet = tx
        .get::<Subnet>(&interface.subnet)
        .ok_or_else(|| Subnet::not_found(&interface.subnet.to_string()))?;
    let mut taken = subnet_addresses::Taken::of(tx.state(), subnet.id);
    let chosen = subnet_addresses::choose(&mut taken, subnet, &named, count)?;
    let length = subnet_addresses::IPV4_PREFIX;
    let prefixes =
        subnet_addresses::choose_prefixes(&mut taken, subnet, length, &prefixes, prefix_count)?;
    interface.addresses.extend(&chosen);
    interface.ipv4_prefixes.extend(&prefixes);
    let reply = AssignPrivateIpAddressesReply {
        network_interface_id: interface.id,
        assigned_private_ip_addresses: chosen
            .into_iter()
            .map(|private_ip_address| AssignedAddress { private_ip_address })
            .collect(),
        assigned_ipv4_prefixes: prefixes
            .into_iter()
            .map(|ipv4_prefix| AssignedPrefix { ipv4_prefix })
            .collect(),
    };
    tx.put(interface);
    Ok(reply)
}

/// Takes a secondary address from the client's interface of the same subnet that has it. "The secondary private IPv4
/// address retains its association with an Elastic IP address" (EC2 "Secondary IP addresses").
fn take_from_another(
    tx: &mut Tx,
    ctx: &Context<'_>,
    to: &NetworkInterface,
    text: &str,
) -> Result<(), ApiError> {
    let Ok(address) = text.parse::<IpAddr>() else {
        // Told when the address is looked at.
        return Ok(());
    };
    let holder = tx
        .state()
        .interfaces
        .of(to.subnet)
        .find(|other| other.id != to.id && other.addresses.contains(&address));
    let Some(mut from) = holder.cloned() else {
        return Ok(());
    };
    if from.account != ctx.account || from.holder.is_some() || from.primary() == Some(address) {
        return Err(subnet_addresses::in_use(address));
    }
    from.addresses.retain(|other| *other != address);
    if let Some(mut public) = address::of_private(tx.state(), from.id, address).cloned() {
        if let Some(association) = &mut public.association {
            association.interface = to.id;
        }
        tx.put(public);
    }
    tx.put(from);
    Ok(())
}

/// `UnassignPrivateIpAddresses`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UnassignPrivateIpAddressesRequest {
    network_interface_id: String,
    private_ip_addresses: Option<Vec<String>>,
    ipv4_prefixes: Option<Vec<String>>,
}

/// Takes secondary addresses from an interface; elastic addresses that stood for them lose their association.
pub(crate) fn unassign_private_ip_addresses(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: UnassignPrivateIpAddressesRequest,
) -> Result<(), ApiError> {
    let mut interface = network_interface::find_own(tx, ctx, &req.network_interface_id)?.clone();
    let named = req.private_ip_addresses.unwrap_or_default();
    let prefixes = req.ipv4_prefixes.unwrap_or_default();
    if named.is_empty() && prefixes.is_empty() {
        return Err(resource::missing("privateIpAddresses"));
    }
    for text in prefixes {
        let place = interface
            .ipv4_prefixes
            .iter()
            .position(|p| p.to_string() == text);
        let place = place.ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!(
                    "The prefix {text} is not assigned to interface {}",
                    interface.id
                ),
            )
        })?;
        interface.ipv4_prefixes.remove(place);
    }
    for text in named {
        let place = interface
            .addresses
            .iter()
            .position(|address| address.to_string() == text);
        match place {
            None | Some(0) => {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!(
                        "Some of the specified addresses are not assigned to interface {} as secondary ones: {text}",
                        interface.id
                    ),
                ));
            }
            Some(place) => {
                let private = interface.addresses.remove(place);
                if let Some(mut public) =
                    address::of_private(tx.state(), interface.id, private).cloned()
                {
                    public.association = None;
                    tx.put(public);
                }
            }
        }
    }
    tx.put(interface);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    fn launch(world: &mut World) -> String {
        let request = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        text(&world.ok("RunInstances", request), "Instances.0.InstanceId")
    }

    /// A new interface in the default subnet of the zone.
    fn interface(world: &mut World, zone: &str) -> String {
        let filters = json!({"Filters": [{"Name": "availability-zone", "Values": [zone]}]});
        let subnet = text(&world.ok("DescribeSubnets", filters), "Subnets.0.SubnetId");
        let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        text(&made, "NetworkInterface.NetworkInterfaceId")
    }

    #[test]
    fn interfaces_come_to_instances_and_go() {
        let mut world = World::new();
        let instance = launch(&mut world);
        let (near, far) = (
            interface(&mut world, "us-east-1a"),
            interface(&mut world, "us-east-1b"),
        );
        let attach = |interface: &str, index: i64| json!({"NetworkInterfaceId": interface, "InstanceId": instance, "DeviceIndex": index});
        let action = "AttachNetworkInterface";
        assert_eq!(
            world.err(action, attach(&far, 1)),
            "InvalidParameterCombination"
        );
        assert_eq!(world.err(action, attach(&near, 0)), "InvalidParameterValue");
        assert_eq!(
            world.err(action, attach(&near, 15)),
            "InvalidParameterValue"
        );
        assert_eq!(
            world.err(action, attach(&near, -1)),
            "InvalidParameterValue"
        );
        let attachment = text(&world.ok(action, attach(&near, 1)), "AttachmentId");
        assert_eq!(
            world.err(action, attach(&near, 2)),
            "InvalidNetworkInterface.InUse"
        );
        assert_eq!(
            world.err(
                "DeleteNetworkInterface",
                json!({"NetworkInterfaceId": near})
            ),
            "InvalidParameterValue"
        );
        let shown = world.ok("DescribeInstances", json!({"InstanceIds": [instance]}));
        assert_eq!(
            count(&shown, "Reservations.0.Instances.0.NetworkInterfaces"),
            2
        );
        let projected = world
            .state
            .instances
            .values()
            .next()
            .unwrap()
            .project()
            .unwrap();
        assert_eq!(projected.interfaces[&1].to_string(), near);
        world.ok(
            "DetachNetworkInterface",
            json!({"AttachmentId": attachment}),
        );
        assert_eq!(
            world.err(
                "DetachNetworkInterface",
                json!({"AttachmentId": attachment})
            ),
            "InvalidAttachmentID.NotFound"
        );
        let primary = text(
            &shown,
            "Reservations.0.Instances.0.NetworkInterfaces.0.Attachment.AttachmentId",
        );
        assert_eq!(
            world.err("DetachNetworkInterface", json!({"AttachmentId": primary})),
            "OperationNotPermitted"
        );
        world.ok(
            "DeleteNetworkInterface",
            json!({"NetworkInterfaceId": near}),
        );
        assert_eq!(
            world
                .state
                .instances
                .values()
                .next()
                .unwrap()
                .interfaces
                .len(),
            1
        );
    }

    #[test]
    fn secondary_addresses() {
        let mut world = World::new();
        world.ok("DescribeVpcs", json!({}));
        let id = interface(&mut world, "us-east-1a");
        let request = json!({"NetworkInterfaceId": id, "SecondaryPrivateIpAddressCount": 2});
        let assigned = world.ok("AssignPrivateIpAddresses", request);
        assert_eq!(
            text(&assigned, "AssignedPrivateIpAddresses.1.PrivateIpAddress"),
            "172.31.0.6"
        );
        let unassign =
            |address: &str| json!({"NetworkInterfaceId": id, "PrivateIpAddresses": [address]});
        assert_eq!(
            world.err("UnassignPrivateIpAddresses", unassign("172.31.0.4")),
            "InvalidParameterValue"
        );
        world.ok("UnassignPrivateIpAddresses", unassign("172.31.0.5"));
        let shown = world.ok(
            "DescribeNetworkInterfaces",
            json!({"NetworkInterfaceIds": [id]}),
        );
        assert_eq!(count(&shown, "NetworkInterfaces.0.PrivateIpAddresses"), 2);
        assert_eq!(
            text(&shown, "NetworkInterfaces.0.PrivateIpAddresses.0.Primary"),
            "true"
        );
        let many = json!({"NetworkInterfaceId": id, "SecondaryPrivateIpAddressCount": 49});
        assert_eq!(
            world.err("AssignPrivateIpAddresses", many),
            "PrivateIpAddressLimitExceeded"
        );
        assert_eq!(
            world.err(
                "AssignPrivateIpAddresses",
                json!({"NetworkInterfaceId": id})
            ),
            "InvalidParameterCombination"
        );
    }
}
