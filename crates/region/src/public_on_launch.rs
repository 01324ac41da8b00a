//! Public addresses that come with an instance and go with it (EC2 "Public IPv4 addresses"): Amazon's, not its owner's.
//! Hosts know them as they know elastic ones; no action on elastic addresses finds them.

use api::ApiError;
use types::{AddressAssociationId, AllocationId, InterfaceId};

use crate::address::{self, Address, Association};
use crate::{Context, Instance, NetworkInterface, Tags, Tx};

/// Gives an interface a public address, unless its primary address has one: the highest free one of the pool, away
/// from those that clients allocate.
///
/// # Errors
/// `InsufficientAddressCapacity` if every address of the pool is taken.
pub(crate) fn map(
    tx: &mut Tx,
    ctx: &Context<'_>,
    interface: &NetworkInterface,
) -> Result<(), ApiError> {
    let Some(private) = interface.primary() else {
        return Ok(());
    };
    if address::of_private(tx.state(), interface.id, private).is_some() {
        return Ok(());
    }
    let public = address::highest_free(tx, ctx)?;
    tx.put(Address {
        id: AllocationId::from_bits(ctx.random()),
        account: interface.account,
        region: interface.region.clone(),
        tags: Tags::default(),
        public,
        association: Some(Association {
            id: AddressAssociationId::from_bits(ctx.random()),
            interface: interface.id,
            private,
        }),
        automatic: true,
        reverse: None,
    });
    Ok(())
}

/// Takes such an address from an interface that has one.
pub(crate) fn unmap(tx: &mut Tx, interface: InterfaceId) {
    let gone: Vec<AllocationId> = address::of_interface(tx.state(), interface)
        .filter(|address| address.automatic)
        .map(|address| address.id)
        .collect();
    for id in gone {
        tx.remove::<Address>(&id);
    }
}

/// What becomes of a public address that leads nowhere any more: an elastic one is free, one of Amazon's goes.
pub(crate) fn set_free(tx: &mut Tx, mut address: Address) {
    if address.automatic {
        tx.remove::<Address>(&address.id);
    } else {
        address.association = None;
        tx.put(address);
    }
}

/// The interface of an instance that has a public address while the instance runs: its only one, launched so ("will
/// not receive a new one if there is more than one network interface attached").
fn interface_of(tx: &Tx, instance: &Instance) -> Option<NetworkInterface> {
    let id = instance.interfaces.get(&0)?;
    let interface = tx.get::<NetworkInterface>(id)?;
    let wants = interface.public_on_launch && instance.interfaces.len() == 1;
    wants.then(|| interface.clone())
}

/// An instance starts anew: another address than it had before, if it had one.
///
/// # Errors
/// As of [`map`].
pub(crate) fn start(tx: &mut Tx, ctx: &Context<'_>, instance: &Instance) -> Result<(), ApiError> {
    match interface_of(tx, instance) {
        Some(interface) => map(tx, ctx, &interface),
        None => Ok(()),
    }
}

/// An instance stops: its address is another's ("We release the public IP address … when it is stopped").
pub(crate) fn stop(tx: &mut Tx, instance: &Instance) {
    for interface in instance.interfaces.values() {
        unmap(tx, *interface);
    }
}

/// "When you disassociate the Elastic IP address, your instance receives a new public IPv4 address", unless there is
/// none left.
pub(crate) fn after_elastic(tx: &mut Tx, ctx: &Context<'_>, interface: InterfaceId) {
    let instance = tx
        .get::<NetworkInterface>(&interface)
        .and_then(NetworkInterface::instance)
        .and_then(|id| tx.get::<Instance>(&id))
        .filter(|instance| instance.state.is_up())
        .cloned();
    if let Some(interface) = instance.and_then(|instance| interface_of(tx, &instance)) {
        // The request is about the elastic address, and nothing of it fails for want of another one.
        let _ = map(tx, ctx, &interface);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, at, count, text};

    /// A VPC with a subnet that has no public addresses by itself: ids of both.
    fn network(world: &mut World) -> (String, String) {
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let vpc = text(&vpc, "Vpc.VpcId");
        let subnet = world.ok(
            "CreateSubnet",
            json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/20"}),
        );
        (vpc, text(&subnet, "Subnet.SubnetId"))
    }

    fn run(subnet: &str, public: Option<bool>) -> Json {
        let mut interface = json!({"DeviceIndex": 0, "SubnetId": subnet});
        if let Some(public) = public {
            interface["AssociatePublicIpAddress"] = json!(public);
        }
        json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "NetworkInterfaces": [interface]})
    }

    fn launch(world: &mut World, subnet: &str, public: Option<bool>) -> String {
        let made = world.ok("RunInstances", run(subnet, public));
        text(&made, "Instances.0.InstanceId")
    }

    /// The instance's public address as `DescribeInstances` has it.
    fn public(world: &mut World, id: &str) -> Option<String> {
        let shown = world.ok("DescribeInstances", json!({"InstanceIds": [id]}));
        let instance = at(&shown, "Reservations.0.Instances.0");
        let api::Value::Structure(members) = instance else {
            panic!("{instance:?}")
        };
        members
            .contains_key("PublicIpAddress")
            .then(|| text(instance, "PublicIpAddress"))
    }

    fn projected(world: &World) -> usize {
        let full = crate::full(&world.state, 0);
        let is_public = |o: &&topology::Object| matches!(o, topology::Object::PublicAddress(_));
        full.objects.iter().filter(is_public).count()
    }

    #[test]
    fn an_address_comes_and_goes_with_its_instance() {
        let mut world = World::new();
        let (_, subnet) = network(&mut world);
        let none = launch(&mut world, &subnet, None);
        assert_eq!(public(&mut world, &none), None);
        let id = launch(&mut world, &subnet, Some(true));
        let first = public(&mut world, &id).unwrap();
        assert_eq!(first, "203.0.113.254");
        let shown = world.ok(
            "DescribeNetworkInterfaces",
            json!({"Filters": [{"Name": "association.public-ip", "Values": [first]}]}),
        );
        let association = at(&shown, "NetworkInterfaces.0.Association");
        assert_eq!(text(association, "IpOwnerId"), "amazon");
        let api::Value::Structure(members) = association else {
            panic!("{association:?}")
        };
        assert!(!members.contains_key("AllocationId") && !members.contains_key("AssociationId"));
        assert_eq!(projected(&world), 1);
        // It is nobody's elastic address.
        assert_eq!(
            count(&world.ok("DescribeAddresses", json!({})), "Addresses"),
            0
        );
        assert_eq!(
            world.err("ReleaseAddress", json!({"PublicIp": first})),
            "InvalidAddress.NotFound"
        );
        let record = world.state.addresses.values().next().unwrap().clone();
        for (action, request, code) in [
            (
                "ReleaseAddress",
                json!({"AllocationId": record.id.to_string()}),
                "InvalidAllocationID.NotFound",
            ),
            (
                "DisassociateAddress",
                json!({"AssociationId": record.association.unwrap().id.to_string()}),
                "InvalidAssociationID.NotFound",
            ),
            (
                "CreateTags",
                json!({"Resources": [record.id.to_string()], "Tags": [{"Key": "a"}]}),
                "InvalidAllocationID.NotFound",
            ),
            (
                "AllocateAddress",
                json!({"Address": first}),
                "InvalidAddress.NotFound",
            ),
        ] {
            assert_eq!(world.err(action, request), code, "{action}");
        }

        let one = json!({"InstanceIds": [id]});
        world.ok("StopInstances", one.clone());
        assert_eq!(public(&mut world, &id), None);
        assert_eq!((world.state.addresses.size(), projected(&world)), (0, 0));
        // Somebody else has it by now.
        world.ok("AllocateAddress", json!({"Address": first}));
        world.ok("StartInstances", one.clone());
        assert_eq!(public(&mut world, &id), Some("203.0.113.253".to_owned()));
        world.ok("TerminateInstances", one);
        assert_eq!((world.state.addresses.size(), projected(&world)), (1, 0));
    }

    #[test]
    fn an_elastic_address_takes_its_place() {
        let mut world = World::new();
        let (vpc, subnet) = network(&mut world);
        let gateway = world.ok("CreateInternetGateway", json!({}));
        let gateway = text(&gateway, "InternetGateway.InternetGatewayId");
        let pair = json!({"InternetGatewayId": gateway, "VpcId": vpc});
        world.ok("AttachInternetGateway", pair.clone());
        let id = launch(&mut world, &subnet, Some(true));
        let elastic = world.ok("AllocateAddress", json!({}));
        let associate = json!({"AllocationId": text(&elastic, "AllocationId"), "InstanceId": id, "AllowReassociation": false});
        let made = world.ok("AssociateAddress", associate);
        assert_eq!(public(&mut world, &id), Some(text(&elastic, "PublicIp")));
        assert_eq!(world.state.addresses.size(), 1);
        world.ok(
            "DisassociateAddress",
            json!({"AssociationId": text(&made, "AssociationId")}),
        );
        assert_eq!(public(&mut world, &id), Some("203.0.113.254".to_owned()));
        assert_eq!(
            world.err("DetachInternetGateway", pair.clone()),
            "DependencyViolation"
        );
        world.ok("TerminateInstances", json!({"InstanceIds": [id]}));
        world.ok("DetachInternetGateway", pair);
    }

    #[test]
    fn the_subnet_says_what_the_request_does_not() {
        let mut world = World::new();
        let (_, subnet) = network(&mut world);
        let set =
            |value: bool| json!({"SubnetId": subnet, "MapPublicIpOnLaunch": {"Value": value}});
        world.ok("ModifySubnetAttribute", set(true));
        let shown = world.ok(
            "DescribeSubnets",
            json!({"Filters": [{"Name": "map-public-ip-on-launch", "Values": ["true"]}]}),
        );
        // The default VPC's subnets too.
        assert_eq!(count(&shown, "Subnets"), 4);
        let with = launch(&mut world, &subnet, None);
        assert!(public(&mut world, &with).is_some());
        let without = launch(&mut world, &subnet, Some(false));
        assert_eq!(public(&mut world, &without), None);
        let plain =
            json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet});
        let plain = world.ok("RunInstances", plain);
        let plain = text(&plain, "Instances.0.InstanceId");
        assert!(public(&mut world, &plain).is_some());
        world.ok("ModifySubnetAttribute", set(false));
        let after = launch(&mut world, &subnet, None);
        assert_eq!(public(&mut world, &after), None);
        // What was launched before keeps to it.
        world.ok("StopInstances", json!({"InstanceIds": [plain]}));
        world.ok("StartInstances", json!({"InstanceIds": [plain]}));
        assert!(public(&mut world, &plain).is_some());
        // Two interfaces: nothing by itself, and nothing on request.
        let mut two = run(&subnet, Some(true));
        let second = json!({"DeviceIndex": 1, "SubnetId": subnet});
        two["NetworkInterfaces"]
            .as_array_mut()
            .unwrap()
            .push(second);
        assert_eq!(
            world.err("RunInstances", two),
            "InvalidParameterCombination"
        );
        let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        let existing = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1, "NetworkInterfaces": [{
            "DeviceIndex": 0, "AssociatePublicIpAddress": true,
            "NetworkInterfaceId": text(&made, "NetworkInterface.NetworkInterfaceId")}]});
        assert_eq!(
            world.err("RunInstances", existing),
            "InvalidParameterCombination"
        );
    }

    #[test]
    fn an_empty_pool_fails_only_those_who_asked() {
        let mut world = World::new();
        let (_, subnet) = network(&mut world);
        let mut many = run(&subnet, Some(true));
        many["MinCount"] = json!(200);
        many["MaxCount"] = json!(200);
        world.ok("RunInstances", many);
        let mut rest = run(&subnet, Some(true));
        rest["MaxCount"] = json!(100);
        let made = world.ok("RunInstances", rest);
        // 256 without the network's, the broadcast's and the host's own.
        assert_eq!(count(&made, "Instances"), 53);
        let before = world.state.interfaces.size();
        assert_eq!(
            world.err("RunInstances", run(&subnet, Some(true))),
            "InsufficientAddressCapacity"
        );
        assert_eq!(world.state.interfaces.size(), before);
        world.ok(
            "ModifySubnetAttribute",
            json!({"SubnetId": subnet, "MapPublicIpOnLaunch": {"Value": true}}),
        );
        let terminated = text(&made, "Instances.0.InstanceId");
        world.err("AllocateAddress", json!({}));
        world.ok("TerminateInstances", json!({"InstanceIds": [terminated]}));
        let with = launch(&mut world, &subnet, None);
        assert!(public(&mut world, &with).is_some());
        world.ok("StopInstances", json!({"InstanceIds": [with]}));
        world.ok("AllocateAddress", json!({}));
        assert_eq!(
            world.err("StartInstances", json!({"InstanceIds": [with]})),
            "InsufficientAddressCapacity"
        );
    }
}
