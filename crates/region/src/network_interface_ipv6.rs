//! IPv6 addresses and prefixes of interfaces. They are recorded: packets of IPv6 are denied.

use std::net::IpAddr;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{Cidr, InterfaceId};

use crate::dispatch::actions;
use crate::network_interface::{self, named_or_counted};
use crate::resource::{self, Resource as _};
use crate::{Context, Subnet, Tx, quota, subnet_addresses};

actions! {
    "AssignIpv6Addresses" => assign_ipv6_addresses, Enforced;
    "UnassignIpv6Addresses" => unassign_ipv6_addresses, Enforced;
}

/// `AssignIpv6Addresses`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssignIpv6AddressesRequest {
    network_interface_id: String,
    ipv6_addresses: Option<Vec<String>>,
    ipv6_address_count: Option<i64>,
    ipv6_prefixes: Option<Vec<String>>,
    ipv6_prefix_count: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssignIpv6AddressesReply {
    assigned_ipv6_addresses: Vec<IpAddr>,
    assigned_ipv6_prefixes: Vec<Cidr>,
    network_interface_id: InterfaceId,
}

/// Gives an interface IPv6 addresses and prefixes: named ones, or a number of free ones.
pub(crate) fn assign_ipv6_addresses(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssignIpv6AddressesRequest,
) -> Result<AssignIpv6AddressesReply, ApiError> {
    let mut interface = network_interface::find_own(tx, ctx, &req.network_interface_id)?.clone();
    let named = req.ipv6_addresses.unwrap_or_default();
    let (named, count) = named_or_counted(named, req.ipv6_address_count, "ipv6Addresses")?;
    let prefixes = req.ipv6_prefixes.unwrap_or_default();
    let (prefixes, prefix_count) =
        named_or_counted(prefixes, req.ipv6_prefix_count, "ipv6Prefixes")?;
    let wanted = [named.len(), count, prefixes.len(), prefix_count];
    let wanted = wanted.into_iter().fold(0, usize::saturating_add);
    if wanted == 0 {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "Either ipv6Addresses, ipv6AddressCount, ipv6Prefixes or ipv6PrefixCount must be specified",
        ));
    }
    let present = interface
        .ipv6
        .len()
        .saturating_add(interface.ipv6_prefixes.len());
    quota::PRIVATE_ADDRESSES.check(tx, ctx, present.saturating_add(wanted))?;
    let subnet = tx
        .get::<Subnet>(&interface.subnet)
        .ok_or_else(|| Subnet::not_found(&interface.subnet.to_string()))?;
    let mut taken = subnet_addresses::Taken::of(tx.state(), subnet.id);
    let length = subnet_addresses::IPV6_PREFIX;
    let prefixes =
        subnet_addresses::choose_prefixes(&mut taken, subnet, length, &prefixes, prefix_count)?;
    let random = || ctx.random();
    let chosen = subnet_addresses::choose_ipv6(&mut taken, subnet, &named, count, &random)?;
    interface.ipv6.extend(&chosen);
    interface.ipv6_prefixes.extend(&prefixes);
    let reply = AssignIpv6AddressesReply {
        assigned_ipv6_addresses: chosen,
        assigned_ipv6_prefixes: prefixes,
        network_interface_id: interface.id,
    };
    tx.put(interface);
    Ok(reply)
}

/// `UnassignIpv6Addresses`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UnassignIpv6AddressesRequest {
    network_interface_id: String,
    ipv6_addresses: Option<Vec<String>>,
    ipv6_prefixes: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UnassignIpv6AddressesReply {
    network_interface_id: InterfaceId,
    unassigned_ipv6_addresses: Vec<String>,
    unassigned_ipv6_prefixes: Vec<String>,
}

/// Takes IPv6 addresses and prefixes from an interface; a primary address stays as long as the interface.
pub(crate) fn unassign_ipv6_addresses(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: UnassignIpv6AddressesRequest,
) -> Result<UnassignIpv6AddressesReply, ApiError> {
    let mut interface = network_interface::find_own(tx, ctx, &req.network_interface_id)?.clone();
    let addresses = req.ipv6_addresses.unwrap_or_default();
    let prefixes = req.ipv6_prefixes.unwrap_or_default();
    if addresses.is_empty() && prefixes.is_empty() {
        return Err(resource::missing("ipv6Addresses"));
    }
    let strange = |text: &String| {
        ApiError::new(
            "InvalidParameterValue",
            format!(
                "{text} is not assigned to network interface {}",
                req.network_interface_id
            ),
        )
    };
    for text in &addresses {
        let address = text.parse::<IpAddr>().ok();
        let place = interface
            .ipv6
            .iter()
            .position(|other| Some(*other) == address);
        let place = place.ok_or_else(|| strange(text))?;
        if place == 0 && interface.primary_ipv6 {
            return Err(ApiError::new(
                "OperationNotPermitted",
                format!("The primary IPv6 address {text} cannot be unassigned."),
            ));
        }
        interface.ipv6.remove(place);
    }
    for text in &prefixes {
        let prefix = text.parse::<Cidr>().ok();
        let place = interface
            .ipv6_prefixes
            .iter()
            .position(|other| Some(*other) == prefix);
        interface
            .ipv6_prefixes
            .remove(place.ok_or_else(|| strange(text))?);
    }
    let reply = UnassignIpv6AddressesReply {
        network_interface_id: interface.id,
        unassigned_ipv6_addresses: addresses,
        unassigned_ipv6_prefixes: prefixes,
    };
    tx.put(interface);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, count, text};

    fn subnet(world: &mut World) -> (String, String) {
        let vpc = world.ok(
            "CreateVpc",
            json!({"CidrBlock": "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock": true}),
        );
        let block = text(&vpc, "Vpc.Ipv6CidrBlockAssociationSet.0.Ipv6CidrBlock");
        let block = block.replace("/56", "/64");
        let request = json!({"VpcId": text(&vpc, "Vpc.VpcId"), "CidrBlock": "10.0.0.0/24", "Ipv6CidrBlock": block});
        let subnet = world.ok("CreateSubnet", request);
        (text(&subnet, "Subnet.SubnetId"), block.replace("/64", ""))
    }

    #[test]
    fn addresses_and_prefixes() {
        let mut world = World::new();
        let (subnet, base) = subnet(&mut world);
        let named = format!("{base}42");
        let made = world.ok(
            "CreateNetworkInterface",
            json!({"SubnetId": subnet, "Ipv6Addresses": [{"Ipv6Address": named}], "EnablePrimaryIpv6": true}),
        );
        let at = |member: &str| text(&made, &format!("NetworkInterface.{member}"));
        assert_eq!(at("Ipv6Addresses.0.Ipv6Address"), named);
        assert_eq!(at("Ipv6Addresses.0.IsPrimaryIpv6"), "true");
        let id = at("NetworkInterfaceId");
        let given = world.ok(
            "AssignIpv6Addresses",
            json!({"NetworkInterfaceId": id, "Ipv6AddressCount": 2, "Ipv6PrefixCount": 1}),
        );
        assert_eq!(count(&given, "AssignedIpv6Addresses"), 2);
        let prefix = text(&given, "AssignedIpv6Prefixes.0");
        assert!(prefix.ends_with("/80"), "{prefix}");
        let one = text(&given, "AssignedIpv6Addresses.0");
        for (request, code) in [
            (json!({"Ipv6Addresses": [named]}), "InvalidIPAddress.InUse"),
            (
                json!({"Ipv6Addresses": ["2001:db8:ffff::1"]}),
                "InvalidParameterValue",
            ),
            (
                json!({"Ipv6Addresses": [base.clone()]}),
                "InvalidParameterValue",
            ),
            (json!({"Ipv6Prefixes": [prefix]}), "InvalidIPAddress.InUse"),
            (
                json!({"Ipv6Addresses": [format!("{base}43")], "Ipv6AddressCount": 1}),
                "InvalidParameterCombination",
            ),
            (json!({}), "InvalidParameterCombination"),
            (
                json!({"Ipv6AddressCount": 50}),
                "PrivateIpAddressLimitExceeded",
            ),
        ] {
            let mut request = request;
            request["NetworkInterfaceId"] = json!(id);
            assert_eq!(
                world.err("AssignIpv6Addresses", request.clone()),
                code,
                "{request}"
            );
        }
        let off = |addresses: &[&str], prefixes: &[&str]| json!({"NetworkInterfaceId": id, "Ipv6Addresses": addresses, "Ipv6Prefixes": prefixes});
        let action = "UnassignIpv6Addresses";
        assert_eq!(
            world.err(action, off(&[&named], &[])),
            "OperationNotPermitted"
        );
        world.ok(action, off(&[&one], &[&prefix]));
        assert_eq!(
            world.err(action, off(&[&one], &[])),
            "InvalidParameterValue"
        );
        assert_eq!(world.err(action, off(&[], &[])), "MissingParameter");
        let filters =
            json!({"Filters": [{"Name": "ipv6-addresses.ipv6-address", "Values": [named]}]});
        let shown = world.ok("DescribeNetworkInterfaces", filters);
        assert_eq!(count(&shown, "NetworkInterfaces.0.Ipv6Addresses"), 2);
    }

    #[test]
    fn new_interfaces_have_addresses_where_the_subnet_says_so() {
        let mut world = World::new();
        let (subnet, _) = subnet(&mut world);
        let on = json!({"SubnetId": subnet, "AssignIpv6AddressOnCreation": {"Value": true}});
        world.ok("ModifySubnetAttribute", on);
        let made = world.ok("CreateNetworkInterface", json!({"SubnetId": subnet}));
        assert_eq!(count(&made, "NetworkInterface.Ipv6Addresses"), 1);
        let none = json!({"SubnetId": subnet, "Ipv6AddressCount": 0});
        let made = world.ok("CreateNetworkInterface", none);
        assert_eq!(count(&made, "NetworkInterface.Ipv6Addresses"), 0);
        let plain = text(
            &world.ok(
                "DescribeSubnets",
                json!({"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}),
            ),
            "Subnets.0.SubnetId",
        );
        let without = json!({"SubnetId": plain, "Ipv6AddressCount": 1});
        assert_eq!(
            world.err("CreateNetworkInterface", without),
            "InvalidParameterValue"
        );
    }

    #[test]
    fn prefixes_of_ipv4_are_addresses_to_hosts() {
        let mut world = World::new();
        let (subnet, _) = subnet(&mut world);
        let reserve =
            json!({"SubnetId": subnet, "Cidr": "10.0.0.64/26", "ReservationType": "prefix"});
        world.ok("CreateSubnetCidrReservation", reserve);
        let made = world.ok(
            "CreateNetworkInterface",
            json!({"SubnetId": subnet, "Ipv4PrefixCount": 1}),
        );
        assert_eq!(
            text(&made, "NetworkInterface.Ipv4Prefixes.0.Ipv4Prefix"),
            "10.0.0.64/28"
        );
        let id = text(&made, "NetworkInterface.NetworkInterfaceId");
        let add = |prefix: &str| json!({"NetworkInterfaceId": id, "Ipv4Prefixes": [prefix]});
        let action = "AssignPrivateIpAddresses";
        for (prefix, code) in [
            ("10.0.0.64/28", "InvalidIPAddress.InUse"),
            ("10.0.0.0/28", "InvalidParameterValue"),
            ("10.0.0.240/28", "InvalidParameterValue"),
            ("10.0.0.32/29", "InvalidParameterValue"),
            ("10.0.1.0/28", "InvalidParameterValue"),
        ] {
            assert_eq!(world.err(action, add(prefix)), code, "{prefix}");
        }
        world.ok(action, add("10.0.0.32/28"));
        let told = |world: &World| {
            let interface = world.state.interfaces.values().next().unwrap();
            interface.project(&world.state).addresses
        };
        assert_eq!(told(&world).len(), 1 + 2 * 16);
        assert!(told(&world).contains(&"10.0.0.79".parse().unwrap()));
        // Nobody else gets an address of a prefix.
        let taken = json!({"SubnetId": subnet, "PrivateIpAddress": "10.0.0.40"});
        assert_eq!(
            world.err("CreateNetworkInterface", taken),
            "InvalidIPAddress.InUse"
        );
        let shown = world.ok("DescribeSubnets", json!({"SubnetIds": [subnet]}));
        assert_eq!(text(&shown, "Subnets.0.AvailableIpAddressCount"), "218");
        world.ok("UnassignPrivateIpAddresses", add("10.0.0.32/28"));
        assert_eq!(told(&world).len(), 17);
    }

    #[test]
    fn secondary_addresses_move() {
        let mut world = World::new();
        let (subnet, _) = subnet(&mut world);
        let make = |world: &mut World, count: u32| {
            let made = world.ok(
                "CreateNetworkInterface",
                json!({"SubnetId": subnet, "SecondaryPrivateIpAddressCount": count}),
            );
            text(&made, "NetworkInterface.NetworkInterfaceId")
        };
        let (first, second) = (make(&mut world, 1), make(&mut world, 0));
        let take = |address: &str, allow: bool| json!({"NetworkInterfaceId": second, "PrivateIpAddresses": [address], "AllowReassignment": allow});
        let action = "AssignPrivateIpAddresses";
        assert_eq!(
            world.err(action, take("10.0.0.5", false)),
            "InvalidIPAddress.InUse"
        );
        assert_eq!(
            world.err(action, take("10.0.0.4", true)),
            "InvalidIPAddress.InUse"
        );
        world.ok(action, take("10.0.0.5", true));
        let shown = world.ok(
            "DescribeNetworkInterfaces",
            json!({"NetworkInterfaceIds": [first]}),
        );
        assert_eq!(count(&shown, "NetworkInterfaces.0.PrivateIpAddresses"), 1);
    }

    #[test]
    fn times_have_bounds() {
        let mut world = World::new();
        let (subnet, _) = subnet(&mut world);
        let times = |tcp: i64, stream: i64, udp: i64| json!({"TcpEstablishedTimeout": tcp, "UdpStreamTimeout": stream, "UdpTimeout": udp});
        for bad in [
            times(59, 60, 30),
            times(432_001, 60, 30),
            times(60, 181, 30),
            times(60, 60, 61),
        ] {
            let request = json!({"SubnetId": subnet, "ConnectionTrackingSpecification": bad});
            assert_eq!(
                world.err("CreateNetworkInterface", request),
                "InvalidParameterValue"
            );
        }
        let request =
            json!({"SubnetId": subnet, "ConnectionTrackingSpecification": times(60, 180, 60)});
        let made = world.ok("CreateNetworkInterface", request);
        let id = text(&made, "NetworkInterface.NetworkInterfaceId");
        let change = json!({"NetworkInterfaceId": id, "ConnectionTrackingSpecification": {"UdpTimeout": 30}});
        world.ok("ModifyNetworkInterfaceAttribute", change);
        let shown = world.ok(
            "DescribeNetworkInterfaces",
            json!({"NetworkInterfaceIds": [id]}),
        );
        let at = |member: &str| {
            text(
                &shown,
                &format!("NetworkInterfaces.0.ConnectionTrackingConfiguration.{member}"),
            )
        };
        assert_eq!(
            (at("UdpTimeout"), at("TcpEstablishedTimeout")),
            ("30".to_owned(), "60".to_owned())
        );
        let srd = json!({"NetworkInterfaceId": id, "EnaSrdSpecification": {"EnaSrdEnabled": true}});
        assert_eq!(
            world.err("ModifyNetworkInterfaceAttribute", srd),
            "IncorrectState"
        );
        let public = json!({"NetworkInterfaceId": id, "Attribute": "associatePublicIpAddress"});
        let shown = world.ok("DescribeNetworkInterfaceAttribute", public);
        assert_eq!(text(&shown, "AssociatePublicIpAddress"), "false");
    }
}
