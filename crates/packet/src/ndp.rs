//! Neighbour discovery for IPv6 (RFC 4861), as far as a host and its router speak it.

use std::net::Ipv6Addr;

use types::{Cidr, Mac};

use crate::bytes::Reader;
use crate::{Icmp, Malformed};

/// ICMPv6 types (RFC 4861 section 4).
pub mod kind {
    /// A host asks for routers.
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// A router tells of itself.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Who has this address?
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// This address is here.
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    /// A router knows a better one.
    pub const REDIRECT: u8 = 137;
}

/// Options (RFC 4861 section 4.6).
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;

/// The hop limit of every message: who is further away than the link cannot send one (RFC 4861 section 7.1).
pub const HOP_LIMIT: u8 = 255;

/// What a host may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Neighbor {
    /// Is there a router?
    RouterSolicitation {
        /// The sender's MAC address.
        mac: Option<Mac>,
    },
    /// Who has the target address?
    Solicitation {
        /// The address.
        target: Ipv6Addr,
        /// The sender's MAC address; none in duplicate address detection (RFC 4862 section 5.4.2).
        mac: Option<Mac>,
    },
    /// The target address is here.
    Advertisement {
        /// The sender is a router.
        router: bool,
        /// It answers a solicitation.
        solicited: bool,
        /// What the receiver knew is to be replaced.
        replaces: bool,
        /// The address.
        target: Ipv6Addr,
        /// Where it is.
        mac: Option<Mac>,
    },
}

impl Neighbor {
    /// Reads a message; `None` if it is of another type than these.
    ///
    /// # Errors
    /// A code other than 0, a target that is a group, or options that are none (RFC 4861 sections 6.1.1, 7.1).
    pub fn parse(icmp: &Icmp<'_>) -> Result<Option<Neighbor>, Malformed> {
        let mut r = Reader::new(icmp.payload, "neighbour discovery");
        if icmp.code != 0 {
            return Err(r.field());
        }
        Ok(Some(match icmp.kind {
            kind::ROUTER_SOLICITATION => Neighbor::RouterSolicitation {
                mac: mac_option(r, SOURCE_MAC)?,
            },
            kind::NEIGHBOR_SOLICITATION => Neighbor::Solicitation {
                target: target(&mut r)?,
                mac: mac_option(r, SOURCE_MAC)?,
            },
            kind::NEIGHBOR_ADVERTISEMENT => {
                let [flags, ..] = icmp.rest;
                Neighbor::Advertisement {
                    router: flags & 0x80 != 0,
                    solicited: flags & 0x40 != 0,
                    replaces: flags & 0x20 != 0,
                    target: target(&mut r)?,
                    mac: mac_option(r, TARGET_MAC)?,
                }
            }
            _ => return Ok(None),
        }))
    }

    /// The message between these addresses, with checksum.
    #[must_use]
    pub fn emit(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let mut rest = [0; 4];
        let mut payload = Vec::new();
        let (kind, option, mac) = match *self {
            Neighbor::RouterSolicitation { mac } => (kind::ROUTER_SOLICITATION, SOURCE_MAC, mac),
            Neighbor::Solicitation { target, mac } => {
                payload.extend(target.octets());
                (kind::NEIGHBOR_SOLICITATION, SOURCE_MAC, mac)
            }
            Neighbor::Advertisement {
                router,
                solicited,
                replaces,
                target,
                mac,
            } => {
                let flag = |set: bool, bit: u8| if set { bit } else { 0 };
                rest[0] = flag(router, 0x80) | flag(solicited, 0x40) | flag(replaces, 0x20);
                payload.extend(target.octets());
                (kind::NEIGHBOR_ADVERTISEMENT, TARGET_MAC, mac)
            }
        };
        if let Some(mac) = mac {
            payload.extend([option, 1]);
            payload.extend(mac.0);
        }
        message(kind, rest, &payload, source, destination)
    }
}

/// What a router tells hosts of itself and of the link (RFC 4861 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouterAdvertisement {
    /// The hop limit that hosts should send with.
    pub hop_limit: u8,
    /// Addresses are given by DHCPv6 (M).
    pub managed: bool,
    /// For how many seconds it is a default router, 9000 at most.
    pub lifetime: u16,
    /// Its MAC address.
    pub mac: Mac,
    /// The link's MTU, in bytes.
    pub mtu: u32,
    /// A block whose addresses are on the link (L). Hosts do not make themselves one of it (A is not set).
    pub on_link: Option<Cidr>,
}

impl RouterAdvertisement {
    /// The message between these addresses, with checksum.
    #[must_use]
    pub fn emit(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let [high, low] = self.lifetime.to_be_bytes();
        let flags = if self.managed { 0x80 } else { 0 };
        // The reachable and the retransmission time are the host's own choice.
        let mut payload = vec![0; 8];
        payload.extend([SOURCE_MAC, 1]);
        payload.extend(self.mac.0);
        payload.extend([MTU, 1, 0, 0]);
        payload.extend(self.mtu.to_be_bytes());
        if let Some(block) = self.on_link
            && let std::net::IpAddr::V6(network) = block.network()
        {
            payload.extend([PREFIX, 4, block.length(), 0x80]);
            // Valid and preferred for ever.
            payload.extend([0xff; 8]);
            payload.extend([0; 4]);
            payload.extend(network.octets());
        }
        let rest = [self.hop_limit, flags, high, low];
        let kind = kind::ROUTER_ADVERTISEMENT;
        message(kind, rest, &payload, source, destination)
    }
}

fn message(
    kind: u8,
    rest: [u8; 4],
    payload: &[u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> Vec<u8> {
    let icmp = Icmp {
        kind,
        code: 0,
        rest,
        payload,
    };
    icmp.emit(source.into(), destination.into())
}

fn target(r: &mut Reader<'_>) -> Result<Ipv6Addr, Malformed> {
    let target = Ipv6Addr::from(r.array::<16>()?);
    if target.is_multicast() {
        return Err(r.field());
    }
    Ok(target)
}

/// The MAC address of an option of this type, the first one; others are passed over. Lengths count eight bytes, and
/// none is zero.
fn mac_option(mut r: Reader<'_>, wanted: u8) -> Result<Option<Mac>, Malformed> {
    let mut found = None;
    while !r.is_empty() {
        let option = r.u8()?;
        let len = usize::from(r.u8()?) * 8;
        let body = r.take(len.checked_sub(2).ok_or(r.field())?)?;
        if option == wanted && found.is_none() {
            let (mac, _) = body.split_first_chunk().ok_or(r.field())?;
            found = Some(Mac(*mac));
        }
    }
    Ok(found)
}
