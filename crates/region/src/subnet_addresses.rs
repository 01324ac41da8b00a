//! Addresses of subnets: which are taken, and which a new interface gets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::ApiError;
use types::{Cidr, SubnetId};

use crate::{State, Subnet};

/// Of every subnet the first four addresses and the last one are not for interfaces: network, router, DNS, "reserved
/// for future use", and broadcast (EC2 "Subnet CIDR blocks").
const FIRST: u128 = 4;

/// How many addresses of a subnet interfaces have.
pub(crate) fn used(state: &State, subnet: SubnetId) -> u128 {
    let interfaces = state.interfaces.of(subnet);
    interfaces
        .map(|interface| u128::try_from(interface.addresses.len()).unwrap_or(u128::MAX))
        .sum()
}

fn is_reserved(cidr: Cidr, address: IpAddr) -> bool {
    address == cidr.last() || (0..FIRST).any(|offset| cidr.nth(offset) == Some(address))
}

fn taken(state: &State, subnet: SubnetId) -> BTreeSet<IpAddr> {
    let interfaces = state.interfaces.of(subnet);
    interfaces
        .flat_map(|interface| interface.addresses.iter().copied())
        .collect()
}

/// Addresses for an interface in the subnet: those that are asked for, and then `more` of the lowest free ones.
///
/// # Errors
/// `InvalidParameterValue` for an address that is none of the subnet's, reserved or named twice,
/// `InvalidIPAddress.InUse` for a taken one, `InsufficientFreeAddressesInSubnet` if too few are left.
pub(crate) fn choose(
    state: &State,
    subnet: &Subnet,
    requested: &[String],
    more: usize,
) -> Result<Vec<IpAddr>, ApiError> {
    let mut taken = taken(state, subnet.id);
    let mut chosen = Vec::new();
    for text in requested {
        let invalid = |message: String| ApiError::new("InvalidParameterValue", message);
        let address: IpAddr = text.parse().map_err(|_| {
            invalid(format!(
                "Value ({text}) for parameter privateIpAddress is invalid. Invalid IP address."
            ))
        })?;
        if !subnet.cidr.contains(address) {
            return Err(invalid(format!(
                "Address {address} does not fall within the subnet's address range"
            )));
        }
        if is_reserved(subnet.cidr, address) {
            return Err(invalid(format!(
                "Address {address} is in subnet's reserved address range"
            )));
        }
        if chosen.contains(&address) {
            return Err(invalid(format!(
                "Address {address} is specified more than once"
            )));
        }
        if !taken.insert(address) {
            return Err(ApiError::new(
                "InvalidIPAddress.InUse",
                format!("Address {address} is in use."),
            ));
        }
        chosen.push(address);
    }
    let last = subnet.cidr.size().saturating_sub(1);
    let mut free = (FIRST..last)
        .filter_map(|offset| subnet.cidr.nth(offset))
        .filter(|a| !taken.contains(a));
    for _ in 0..more {
        let address = free.next().ok_or_else(|| {
            ApiError::new(
                "InsufficientFreeAddressesInSubnet",
                format!(
                    "There are not enough free addresses in subnet '{}' to satisfy the request.",
                    subnet.id
                ),
            )
        })?;
        chosen.push(address);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn addresses_are_chosen_and_refused_as_ec2_does() {
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
        let make = |world: &mut World, address: Option<&str>| {
            let mut request = json!({"SubnetId": subnet});
            if let Some(address) = address {
                request["PrivateIpAddress"] = json!(address);
            }
            let reply = world
                .call("CreateNetworkInterface", &request)
                .map_err(|e| e.code.into_owned())?;
            Ok(text(&reply, "NetworkInterface.PrivateIpAddress"))
        };
        assert_eq!(make(&mut world, None), Ok("10.0.0.4".to_owned()));
        assert_eq!(
            make(&mut world, Some("10.0.0.5")),
            Ok("10.0.0.5".to_owned())
        );
        assert_eq!(make(&mut world, None), Ok("10.0.0.6".to_owned()));
        assert_eq!(
            make(&mut world, Some("10.0.0.5")),
            Err("InvalidIPAddress.InUse".to_owned())
        );
        for reserved in [
            "10.0.0.0",
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.3",
            "10.0.0.15",
            "10.0.0.16",
            "::1",
            "x",
        ] {
            assert_eq!(
                make(&mut world, Some(reserved)),
                Err("InvalidParameterValue".to_owned()),
                "{reserved}"
            );
        }
        for _ in 7..=14 {
            make(&mut world, None).unwrap();
        }
        assert_eq!(
            make(&mut world, None),
            Err("InsufficientFreeAddressesInSubnet".to_owned())
        );
        let shown = world.ok("DescribeSubnets", json!({"SubnetIds": [subnet]}));
        assert_eq!(text(&shown, "Subnets.0.AvailableIpAddressCount"), "0");
    }
}
