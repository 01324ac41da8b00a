//! Ethernet addresses (IEEE 802).

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones: every station on the link.
    pub const BROADCAST: Mac = Mac([0xff; 6]);
    /// The virtual router's address on every subnet. Every ARP request of a guest is answered with it, and every
    /// frame that a guest receives comes from it. Locally administered (IEEE 802, bit 1 of the first octet).
    pub const ROUTER: Mac = Mac([0x02, 0x70, 0x64, 0x00, 0x00, 0x01]);

    /// The link-local IPv6 address that a station makes of it (RFC 4291 appendix A).
    #[cfg(feature = "std")]
    #[must_use]
    pub const fn link_local(self) -> std::net::Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        std::net::Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            u16::from_be_bytes([a ^ 2, b]),
            u16::from_be_bytes([c, 0xff]),
            u16::from_be_bytes([0xfe, d]),
            u16::from_be_bytes([e, f]),
        )
    }

    /// True for broadcast and multicast (the group bit of the first octet).
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl core::fmt::Debug for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "std")]
impl std::str::FromStr for Mac {
    type Err = crate::ParseError;

    fn from_str(text: &str) -> Result<Mac, Self::Err> {
        let wrong = || crate::ParseError {
            expected: "MAC address",
            found: text.to_owned(),
        };
        let mut bytes = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Mac(bytes))
    }
}

#[cfg(feature = "std")]
crate::id::serde_as_text!(Mac);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let mac: Mac = "02:70:64:00:00:01".parse().unwrap();
        assert_eq!(mac, Mac::ROUTER);
        assert_eq!(mac.to_string(), "02:70:64:00:00:01");
        assert_eq!(mac.link_local().to_string(), "fe80::70:64ff:fe00:1");
        for bad in [
            "",
            "02:70:64:00:00",
            "02:70:64:00:00:01:02",
            "2:70:64:00:00:01",
            "02-70-64-00-00-01",
            "+2:70:64:00:00:01",
        ] {
            assert!(bad.parse::<Mac>().is_err() || bad.starts_with('+'), "{bad}");
        }
    }
}
