//! Neighbour discovery (RFC 4861). As with ARP there is no link: whatever address a guest asks for, the router takes
//! the packets.

use std::net::{IpAddr, Ipv6Addr};

use packet::ndp::{HOP_LIMIT, Neighbor, RouterAdvertisement, kind};
use packet::{Ethernet, Icmp, Ipv6, checksum};
use topology::{Interface, Subnet, Uplink};
use types::{DropReason, Mac, proto};

use crate::arp::Answer;

/// Every host of a link (RFC 4291 section 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// RFC 4861 section 6.2.1: the longest that a router may promise. Guests hear of it every ten minutes.
const ROUTER_LIFETIME_S: u16 = 9000;

/// Whether an ICMPv6 message is one of neighbour discovery.
pub(crate) fn is_discovery(kind: u8) -> bool {
    (kind::ROUTER_SOLICITATION..=kind::REDIRECT).contains(&kind)
}

/// The router's address on every link.
pub(crate) const fn router() -> Ipv6Addr {
    Mac::ROUTER.link_local()
}

/// A guest's message.
///
/// Solicitations for every address but its own are answered with the router's MAC address; about its own addresses,
/// and about those that it makes itself of the link, there is silence, so that its duplicate address detection (RFC
/// 4862 section 5.4) finds none.
pub(crate) fn from_guest(
    frame: &[u8],
    interface: &Interface,
    subnet: Option<&Subnet>,
) -> Result<Answer, DropReason> {
    if !interface.addresses.iter().any(IpAddr::is_ipv6) {
        return Err(DropReason::Ipv6NotAssigned);
    }
    let heard = hear(frame)?;
    let own = |address: Ipv6Addr| interface.addresses.contains(&IpAddr::V6(address));
    // Nobody else is on the link but the router: what a guest calls itself there is its own business.
    let on_link = |address: Ipv6Addr| address.is_unicast_link_local() && address != router();
    let probe = heard.source.is_unspecified();
    let foreign_mac = |mac: Option<Mac>| mac.is_some_and(|mac| mac != interface.mac);
    if !(own(heard.source) || on_link(heard.source) || probe) {
        return Err(DropReason::ForgedNeighbor);
    }
    match heard.message {
        Some(Neighbor::RouterSolicitation { mac }) => {
            if foreign_mac(mac) {
                return Err(DropReason::ForgedNeighbor);
            }
            let to = if probe { ALL_NODES } else { heard.source };
            Ok(Answer::Reply(advertisement(interface, subnet, to)))
        }
        Some(Neighbor::Solicitation { target, mac }) => {
            // RFC 4861 section 7.1.1: who has no address yet has no MAC address to tell.
            if foreign_mac(mac) || (probe && mac.is_some()) {
                return Err(DropReason::ForgedNeighbor);
            }
            if own(target) || target == heard.source || (probe && on_link(target)) {
                return Ok(Answer::Silence);
            }
            let asker = (heard.source, interface.mac);
            Ok(Answer::Reply(here(target, router(), asker)))
        }
        Some(Neighbor::Advertisement {
            router: false,
            target,
            mac,
            ..
        }) if (own(target) || on_link(target)) && !foreign_mac(mac) => Ok(Answer::Silence),
        Some(Neighbor::Advertisement { .. }) | None => Err(DropReason::ForgedNeighbor),
    }
}

/// The host's message. Solicitations for the pool's addresses, its own excepted, are answered with the router's MAC
/// address, whether or not an interface has them: the walk says what becomes of the packets.
pub(crate) fn from_host(frame: &[u8], uplink: Option<&Uplink>) -> Result<Answer, DropReason> {
    let heard = hear(frame)?;
    let Some(Neighbor::Solicitation { target, .. }) = heard.message else {
        return Ok(Answer::Silence);
    };
    let side = uplink.and_then(|uplink| uplink.ipv6);
    let ours = side.is_some_and(|side| {
        let target = IpAddr::V6(target);
        side.pool.contains(target) && side.host != target
    });
    Ok(if ours && !heard.source.is_unspecified() {
        Answer::Reply(here(target, target, (heard.source, heard.mac)))
    } else {
        Answer::Silence
    })
}

/// What the router tells a guest of itself: that it is there, and that DHCPv6 has the addresses (M, RFC 4861 section
/// 4.2). The subnet's addresses are on the link, but nobody makes one of them himself.
pub(crate) fn advertisement(
    interface: &Interface,
    subnet: Option<&Subnet>,
    to: Ipv6Addr,
) -> Vec<u8> {
    let advertisement = RouterAdvertisement {
        hop_limit: 64,
        managed: true,
        lifetime: ROUTER_LIFETIME_S,
        mac: Mac::ROUTER,
        mtu: interface.mtu.into(),
        on_link: subnet.and_then(Subnet::ipv6_block),
    };
    let payload = advertisement.emit(router(), to);
    frame(&payload, router(), (to, interface.mac))
}

/// The same without being asked.
pub(crate) fn unsolicited(interface: &Interface, subnet: Option<&Subnet>) -> Vec<u8> {
    advertisement(interface, subnet, ALL_NODES)
}

/// The router says that it has the target address. To somebody without an address it is said to everybody (RFC 4861
/// section 7.2.4).
fn here(target: Ipv6Addr, source: Ipv6Addr, asker: (Ipv6Addr, Mac)) -> Vec<u8> {
    let solicited = !asker.0.is_unspecified();
    let to = if solicited { asker.0 } else { ALL_NODES };
    let message = Neighbor::Advertisement {
        // A router that says it is none is no default router any more.
        router: target == router(),
        solicited,
        replaces: true,
        target,
        mac: Some(Mac::ROUTER),
    };
    frame(&message.emit(source, to), source, (to, asker.1))
}

fn frame(payload: &[u8], source: Ipv6Addr, (to, mac): (Ipv6Addr, Mac)) -> Vec<u8> {
    let ip = Ipv6 {
        class_and_label: 0,
        next_header: proto::ICMPV6,
        hop_limit: HOP_LIMIT,
        source,
        destination: to,
        payload,
    };
    let destination = if to == ALL_NODES {
        // RFC 2464 section 7.
        Mac([0x33, 0x33, 0, 0, 0, 1])
    } else {
        mac
    };
    Ethernet {
        destination,
        source: Mac::ROUTER,
        ethertype: proto::ETHERTYPE_IPV6,
        payload: &ip.emit(),
    }
    .emit()
}

/// A message, and who says it.
struct Heard {
    mac: Mac,
    source: Ipv6Addr,
    /// `None` for what only routers say.
    message: Option<Neighbor>,
}

fn hear(frame: &[u8]) -> Result<Heard, DropReason> {
    let malformed = |_| DropReason::MalformedFrame;
    let ethernet = Ethernet::parse(frame).map_err(malformed)?;
    let ip = Ipv6::parse(ethernet.payload).map_err(malformed)?;
    let icmp = Icmp::parse(ip.payload).map_err(malformed)?;
    // RFC 4861 section 7.1.
    if ip.hop_limit != HOP_LIMIT || !checksum::hold(frame) {
        return Err(DropReason::MalformedFrame);
    }
    Ok(Heard {
        mac: ethernet.source,
        source: ip.source,
        message: Neighbor::parse(&icmp).map_err(malformed)?,
    })
}
