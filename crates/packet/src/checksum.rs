//! Whole checksums (RFC 1071). The sum itself is `fastpath_core`'s.

use std::net::IpAddr;

use fastpath_core::checksum::sum;
use types::proto;

use crate::{Ethernet, Ipv4, Ipv6};

/// The checksum of these bytes, whose own checksum field is zero.
#[must_use]
pub fn of(bytes: &[u8]) -> [u8; 2] {
    (!sum(0, bytes)).to_ne_bytes()
}

/// The checksum of an upper layer's bytes with their pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[must_use]
pub fn transport(source: IpAddr, destination: IpAddr, protocol: u8, bytes: &[u8]) -> [u8; 2] {
    (!sum(pseudo(source, destination, protocol, bytes.len()), bytes)).to_ne_bytes()
}

/// The folded sum of a pseudo-header, as a partial checksum field holds it.
#[must_use]
pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> u16 {
    let mut header = Vec::with_capacity(40);
    for address in [source, destination] {
        match address {
            IpAddr::V4(v4) => header.extend(v4.octets()),
            IpAddr::V6(v6) => header.extend(v6.octets()),
        }
    }
    header.extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    header.extend([0, 0, 0, protocol]);
    sum(0, &header)
}

/// Whether every checksum of a frame is right: the IPv4 header's, and that of TCP, UDP, ICMP or ICMPv6. A frame
/// without any is fine, a frame that cannot be parsed is not.
#[must_use]
pub fn hold(frame: &[u8]) -> bool {
    check(frame).unwrap_or(false)
}

fn check(frame: &[u8]) -> Option<bool> {
    let ethernet = Ethernet::parse(frame).ok()?;
    match ethernet.ethertype {
        proto::ETHERTYPE_IPV4 => {
            let ip = Ipv4::parse(ethernet.payload).ok()?;
            let header = ethernet.payload.get(..Ipv4::LEN + ip.options.len())?;
            // A fragment carries a part of what its checksum covers.
            let whole = ip.fragment & 0x3fff == 0;
            let ends = (IpAddr::V4(ip.source), IpAddr::V4(ip.destination));
            let upper = !whole || upper_layer(ends, ip.protocol, ip.payload)?;
            Some(sum(0, header) == 0xffff && upper)
        }
        proto::ETHERTYPE_IPV6 => {
            let ip = Ipv6::parse(ethernet.payload).ok()?;
            let ends = (IpAddr::V6(ip.source), IpAddr::V6(ip.destination));
            upper_layer(ends, ip.next_header, ip.payload)
        }
        _ => Some(true),
    }
}

fn upper_layer(ends: (IpAddr, IpAddr), protocol: u8, payload: &[u8]) -> Option<bool> {
    let covered = match protocol {
        proto::UDP => {
            let [_, _, _, _, l0, l1, c0, c1, ..] = payload else {
                return None;
            };
            if [*c0, *c1] == [0, 0] && ends.0.is_ipv4() {
                return Some(true);
            }
            payload.get(..usize::from(u16::from_be_bytes([*l0, *l1])))?
        }
        _ => payload,
    };
    let start = match protocol {
        proto::TCP | proto::UDP => pseudo(ends.0, ends.1, protocol, covered.len()),
        proto::ICMPV6 if ends.0.is_ipv6() => pseudo(ends.0, ends.1, protocol, covered.len()),
        proto::ICMP if ends.0.is_ipv4() => 0,
        _ => return Some(true),
    };
    Some(sum(start, covered) == 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(0, &bytes).to_ne_bytes(), [0xdd, 0xf2]);
        assert_eq!(of(&bytes), [0x22, 0x0d]);
    }
}
