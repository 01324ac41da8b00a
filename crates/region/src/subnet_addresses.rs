//! Addresses of subnets: which are taken, and which a new interface gets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::ApiError;
use types::{Cidr, SubnetId};

use crate::{NetworkInterface, State, Subnet};

/// Of every subnet the first four addresses and the last one are not for interfaces: network, router, DNS, "reserved
/// for future use", and broadcast (EC2 "Subnet CIDR blocks").
const FIRST: u128 = 4;
/// The prefixes that interfaces are given whole (EC2 "Prefix delegation for network interfaces").
pub(crate) const IPV4_PREFIX: u8 = 28;
/// As [`IPV4_PREFIX`], of IPv6.
pub(crate) const IPV6_PREFIX: u8 = 80;

/// How many IPv4 addresses of a subnet interfaces have.
pub(crate) fn used(state: &State, subnet: SubnetId) -> u128 {
    let number = |interface: &NetworkInterface| {
        let single = u128::try_from(interface.addresses.len()).unwrap_or(u128::MAX);
        let prefixes = interface.ipv4_prefixes.iter().map(|prefix| prefix.size());
        single.saturating_add(prefixes.sum())
    };
    state.interfaces.of(subnet).map(number).sum()
}

fn is_reserved(cidr: Cidr, address: IpAddr) -> bool {
    (cidr.is_v4() && address == cidr.last())
        || (0..FIRST).any(|offset| cidr.nth(offset) == Some(address))
}

/// What interfaces have of a subnet's addresses, of both families.
pub(crate) struct Taken {
    single: BTreeSet<IpAddr>,
    prefixes: Vec<Cidr>,
    /// What is set aside for prefixes, and what for who names it.
    reserved: Vec<(Cidr, bool)>,
}

impl Taken {
    pub(crate) fn of(state: &State, subnet: SubnetId) -> Taken {
        let mut taken = Taken {
            single: BTreeSet::new(),
            prefixes: Vec::new(),
            reserved: Vec::new(),
        };
        for interface in state.interfaces.of(subnet) {
            taken.single.extend(&interface.addresses);
            taken.single.extend(&interface.ipv6);
            taken.prefixes.extend(&interface.ipv4_prefixes);
            taken.prefixes.extend(&interface.ipv6_prefixes);
        }
        for reservation in state.subnet_cidr_reservations.of(subnet) {
            taken
                .reserved
                .push((reservation.cidr, reservation.for_prefixes));
        }
        taken
    }

    fn has(&self, address: IpAddr) -> bool {
        self.single.contains(&address) || self.prefixes.iter().any(|p| p.contains(address))
    }

    /// Whether the address is one that nobody asks for by name may get.
    fn is_free(&self, address: IpAddr) -> bool {
        !self.has(address) && !self.reserved.iter().any(|(cidr, _)| cidr.contains(address))
    }

    /// Takes an address that a request names.
    fn take(&mut self, cidr: Cidr, text: &str, parameter: &str) -> Result<IpAddr, ApiError> {
        let invalid = |message: String| ApiError::new("InvalidParameterValue", message);
        let address: IpAddr = text.parse().map_err(|_| {
            invalid(format!(
                "Value ({text}) for parameter {parameter} is invalid. Invalid IP address."
            ))
        })?;
        if !cidr.contains(address) {
            return Err(invalid(format!(
                "Address {address} does not fall within the subnet's address range"
            )));
        }
        if is_reserved(cidr, address) {
            return Err(invalid(format!(
                "Address {address} is in subnet's reserved address range"
            )));
        }
        if self.has(address) {
            return Err(in_use(address));
        }
        self.single.insert(address);
        Ok(address)
    }

    fn take_prefix(&mut self, cidr: Cidr, text: &str, length: u8) -> Result<Cidr, ApiError> {
        let prefix = text.parse::<Cidr>().ok().filter(|prefix| {
            prefix.length() == length && cidr.covers(*prefix) && !reaches_reserved(cidr, *prefix)
        });
        let prefix = prefix.ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!(
                    "The prefix {text} is invalid: a free /{length} of the subnet is expected."
                ),
            )
        })?;
        if !self.is_prefix_free(prefix) {
            return Err(ApiError::new(
                "InvalidIPAddress.InUse",
                format!("Prefix {prefix} is in use."),
            ));
        }
        self.prefixes.push(prefix);
        Ok(prefix)
    }

    fn is_prefix_free(&self, prefix: Cidr) -> bool {
        let inside = self.single.range(prefix.network()..=prefix.last()).next();
        inside.is_none() && !self.prefixes.iter().any(|other| other.overlaps(prefix))
    }

    /// A free prefix: of what is set aside for prefixes if the subnet has that, else of what is not set aside.
    fn free_prefix(&self, cidr: Cidr, length: u8) -> Option<Cidr> {
        /// Bounds the search in a large subnet: there is a free one among so many, or prefixes are nearly gone.
        const TRIES: u128 = 1 << 16;
        let set_aside = self.reserved.iter().filter(|(range, for_prefixes)| {
            *for_prefixes && range.is_v4() == cidr.is_v4() && range.length() <= length
        });
        let ranges: Vec<Cidr> = set_aside.map(|(range, _)| *range).collect();
        let whole = ranges.is_empty();
        let ranges = if whole { vec![cidr] } else { ranges };
        let width: u32 = if cidr.is_v4() { 32 } else { 128 };
        let step = width.saturating_sub(u32::from(length));
        ranges.into_iter().find_map(|range| {
            let number = 1u128
                .checked_shl(u32::from(length.saturating_sub(range.length())))
                .unwrap_or(u128::MAX)
                .min(TRIES);
            (0..number)
                .filter_map(|index| range.nth(index.checked_shl(step)?))
                .filter_map(|address| Cidr::containing(address, length))
                .filter(|prefix| range.covers(*prefix) && !reaches_reserved(cidr, *prefix))
                .filter(|prefix| {
                    !whole
                        || !self
                            .reserved
                            .iter()
                            .any(|(range, _)| range.overlaps(*prefix))
                })
                .find(|prefix| self.is_prefix_free(*prefix))
        })
    }
}

/// Whether a prefix has an address that is not for interfaces.
fn reaches_reserved(cidr: Cidr, prefix: Cidr) -> bool {
    (cidr.is_v4() && prefix.contains(cidr.last())) || prefix.contains(cidr.network())
}

pub(crate) fn in_use(address: IpAddr) -> ApiError {
    ApiError::new(
        "InvalidIPAddress.InUse",
        format!("Address {address} is in use."),
    )
}

fn insufficient(subnet: &Subnet) -> ApiError {
    ApiError::new(
        "InsufficientFreeAddressesInSubnet",
        format!(
            "There are not enough free addresses in subnet '{}' to satisfy the request.",
            subnet.id
        ),
    )
}

fn twice(texts: &[String]) -> Result<(), ApiError> {
    let mut seen = BTreeSet::new();
    match texts.iter().find(|text| !seen.insert(text.as_str())) {
        None => Ok(()),
        Some(text) => Err(ApiError::new(
            "InvalidParameterValue",
            format!("Address {text} is specified more than once"),
        )),
    }
}

/// Addresses for an interface in the subnet: those that are asked for, and then `more` of the lowest free ones.
///
/// # Errors
/// `InvalidParameterValue` for an address that is none of the subnet's, reserved or named twice,
/// `InvalidIPAddress.InUse` for a taken one, `InsufficientFreeAddressesInSubnet` if too few are left.
pub(crate) fn choose(
    taken: &mut Taken,
    subnet: &Subnet,
    requested: &[String],
    more: usize,
) -> Result<Vec<IpAddr>, ApiError> {
    twice(requested)?;
    let mut chosen = Vec::new();
    for text in requested {
        chosen.push(taken.take(subnet.cidr, text, "privateIpAddress")?);
    }
    let last = subnet.cidr.size().saturating_sub(1);
    let free: Vec<IpAddr> = (FIRST..last)
        .filter_map(|offset| subnet.cidr.nth(offset))
        .filter(|address| taken.is_free(*address))
        .take(more)
        .collect();
    if free.len() < more {
        return Err(insufficient(subnet));
    }
    taken.single.extend(&free);
    chosen.extend(free);
    Ok(chosen)
}

/// IPv6 addresses for an interface in the subnet: those that are asked for, and then `more` that `random` finds.
///
/// # Errors
/// As for [`choose`]; `InvalidParameterValue` if the subnet has no IPv6 block.
pub(crate) fn choose_ipv6(
    taken: &mut Taken,
    subnet: &Subnet,
    requested: &[String],
    more: usize,
    random: &dyn Fn() -> u128,
) -> Result<Vec<IpAddr>, ApiError> {
    /// Random addresses of a /64 collide as good as never.
    const TRIES: usize = 64;
    if requested.is_empty() && more == 0 {
        return Ok(Vec::new());
    }
    let cidr = ipv6_block(subnet)?;
    twice(requested)?;
    let mut chosen = Vec::new();
    for text in requested {
        chosen.push(taken.take(cidr, text, "ipv6Address")?);
    }
    for _ in 0..more {
        let address = (0..TRIES)
            .filter_map(|_| cidr.nth(random() % cidr.size()))
            .find(|address| taken.is_free(*address) && !is_reserved(cidr, *address))
            .ok_or_else(|| insufficient(subnet))?;
        taken.single.insert(address);
        chosen.push(address);
    }
    Ok(chosen)
}

/// Prefixes for an interface in the subnet: those that are asked for, and then `more` free ones.
///
/// # Errors
/// `InvalidParameterValue` for what is no prefix of the subnet, `InvalidIPAddress.InUse` for one of which something is
/// taken, `InsufficientCidrBlocks` if too few are left.
pub(crate) fn choose_prefixes(
    taken: &mut Taken,
    subnet: &Subnet,
    length: u8,
    requested: &[String],
    more: usize,
) -> Result<Vec<Cidr>, ApiError> {
    if requested.is_empty() && more == 0 {
        return Ok(Vec::new());
    }
    let cidr = if length == IPV6_PREFIX {
        ipv6_block(subnet)?
    } else {
        subnet.cidr
    };
    twice(requested)?;
    let mut chosen = Vec::new();
    for text in requested {
        chosen.push(taken.take_prefix(cidr, text, length)?);
    }
    for _ in 0..more {
        let prefix = taken.free_prefix(cidr, length).ok_or_else(|| {
            ApiError::new(
                "InsufficientCidrBlocks",
                format!(
                    "There are not enough free cidr blocks in subnet '{}' to satisfy the request.",
                    subnet.id
                ),
            )
        })?;
        taken.prefixes.push(prefix);
        chosen.push(prefix);
    }
    Ok(chosen)
}

fn ipv6_block(subnet: &Subnet) -> Result<Cidr, ApiError> {
    subnet.ipv6.as_ref().map(|block| block.cidr).ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue",
            format!("The subnet '{}' has no IPv6 CIDR block.", subnet.id),
        )
    })
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
