//! Blocks of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ParseError;

/// A block of addresses in canonical form: no bit is set behind the prefix (RFC 4632, RFC 4291).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits(),
    }
}

fn like(model: IpAddr, bits: u128) -> IpAddr {
    match model {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(
            u32::try_from(bits & u128::from(u32::MAX)).unwrap_or(u32::MAX),
        )),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

impl Cidr {
    /// Every IPv4 address.
    pub const ALL_V4: Cidr = Cidr {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        length: 0,
    };
    /// Every IPv6 address.
    pub const ALL_V6: Cidr = Cidr {
        address: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        length: 0,
    };

    /// The block of this length that holds `address`: bits behind the prefix are cleared, as EC2 does.
    /// `None` if the length is over the address family's width.
    #[must_use]
    pub fn containing(address: IpAddr, length: u8) -> Option<Cidr> {
        let width = width(address);
        if length > width {
            return None;
        }
        let host_bits = u32::from(width - length);
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Some(Cidr {
            address: like(address, to_bits(address) & mask),
            length,
        })
    }

    /// The block that is one address.
    #[must_use]
    pub fn host(address: IpAddr) -> Cidr {
        Cidr {
            address,
            length: width(address),
        }
    }

    /// The first address, which names the block.
    #[must_use]
    pub const fn network(self) -> IpAddr {
        self.address
    }

    /// The last address; in IPv4 the block's broadcast address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        let host_bits = u32::from(width(self.address) - self.length);
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        like(self.address, to_bits(self.address) | !mask)
    }

    /// The number of leading bits that all addresses of the block share.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// True for an IPv4 block.
    #[must_use]
    pub const fn is_v4(self) -> bool {
        self.address.is_ipv4()
    }

    /// How many addresses the block has; `u128::MAX` for `::/0`.
    #[must_use]
    pub fn size(self) -> u128 {
        1u128
            .checked_shl(u32::from(width(self.address) - self.length))
            .unwrap_or(u128::MAX)
    }

    /// The address `offset` places behind the first; `None` outside of the block.
    #[must_use]
    pub fn nth(self, offset: u128) -> Option<IpAddr> {
        (offset < self.size()).then(|| like(self.address, to_bits(self.address) | offset))
    }

    /// Whether the address lies in the block. Never true across families.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Cidr::containing(address, self.length) == Some(self)
    }

    /// Whether every address of `inner` lies in the block.
    #[must_use]
    pub fn covers(self, inner: Cidr) -> bool {
        self.length <= inner.length && self.contains(inner.address)
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: Cidr) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.length))
    }
}

impl std::fmt::Debug for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Cidr {
    type Err = ParseError;

    /// `address/length`. Bits behind the prefix are cleared, as EC2 does: `10.0.0.1/16` is `10.0.0.0/16`.
    fn from_str(text: &str) -> Result<Cidr, ParseError> {
        let wrong = || ParseError {
            expected: "CIDR block",
            found: text.to_owned(),
        };
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        if length.is_empty() || length.len() > 3 || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let length = length.parse().map_err(|_| wrong())?;
        Cidr::containing(address, length).ok_or_else(wrong)
    }
}

crate::id::serde_as_text!(Cidr);

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn canonical_form_and_bounds() {
        assert_eq!(cidr("10.0.0.1/16").to_string(), "10.0.0.0/16");
        assert_eq!(cidr("10.0.3.0/24").last().to_string(), "10.0.3.255");
        assert_eq!(cidr("2001:db8::1/64").to_string(), "2001:db8::/64");
        assert_eq!(cidr("0.0.0.0/0"), Cidr::ALL_V4);
        assert_eq!(cidr("::/0").size(), u128::MAX);
        assert_eq!(
            cidr("10.0.0.0/24").nth(255).unwrap().to_string(),
            "10.0.0.255"
        );
        assert_eq!(cidr("10.0.0.0/24").nth(256), None);
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0/8",
            "10.0.0.0/0008",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn containment() {
        assert!(cidr("10.0.0.0/16").covers(cidr("10.0.1.0/24")));
        assert!(!cidr("10.0.1.0/24").covers(cidr("10.0.0.0/16")));
        assert!(cidr("10.0.1.0/24").overlaps(cidr("10.0.0.0/16")));
        assert!(!cidr("10.1.0.0/16").overlaps(cidr("10.0.0.0/16")));
        assert!(!Cidr::ALL_V4.contains("::1".parse().unwrap()));
        assert!(!Cidr::ALL_V6.contains("10.0.0.1".parse().unwrap()));
    }
}
