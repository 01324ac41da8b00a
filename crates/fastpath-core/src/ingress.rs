//! What happens to a frame before its session is looked up: which frames a port may send at all.

use types::{DropReason, Mac, proto};

use crate::abi::{PORT_GUEST, Port, UPCALL_ARP, UPCALL_SLOW_ONLY};
use crate::parse::{Family, Head, Ip, destination_mac, parse_into, source_mac};

/// Length of an ARP packet for IPv4 over Ethernet, with its Ethernet header (RFC 826).
const ARP_FRAME_LEN: usize = 42;

/// A frame that a port may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ingress {
    /// An IP packet, to be looked up; without a session it goes up as `UPCALL_NO_SESSION`.
    LookUp,
    /// To the slow path in any case, for this reason (one of the `UPCALL_` constants).
    Slow(u8),
}

/// Checks a frame of `frame_len` bytes, beginning with `head`, that arrives at a port.
///
/// A guest must use its own source MAC address. IP goes to the router's MAC address; a broadcast or multicast may
/// only look for configuration or a neighbour. ARP goes to the router or to everybody. A VLAN tag is an EtherType
/// that we do not carry, also when the kernel keeps it beside the frame (`vlan`).
///
/// `ip` must be its default; it is filled when the frame is an IP packet (see [`parse_into`]).
#[inline(always)]
pub fn ingress(
    port: &Port,
    head: &Head,
    frame_len: usize,
    vlan: bool,
    ip: &mut Ip,
) -> Result<Ingress, DropReason> {
    let source = source_mac(head);
    if port.kind == PORT_GUEST && !same(source, Mac(port.mac)) {
        return Err(DropReason::SpoofedMac);
    }
    if vlan {
        return Err(DropReason::UnsupportedEtherType);
    }
    let destination = destination_mac(head);
    let router = same(destination, Mac::ROUTER);
    match parse_into(head, frame_len, ip)? {
        Family::NotIp(proto::ETHERTYPE_ARP) => {
            if frame_len < ARP_FRAME_LEN {
                Err(DropReason::MalformedFrame)
            } else if router || same(destination, Mac::BROADCAST) {
                Ok(Ingress::Slow(UPCALL_ARP))
            } else {
                Err(DropReason::ForeignMac)
            }
        }
        Family::NotIp(_) => Err(DropReason::UnsupportedEtherType),
        Family::Ip => {
            let group = destination.is_group() || ip.group;
            if !router && !destination.is_group() {
                Err(DropReason::ForeignMac)
            } else if group && !ip.discovery {
                Err(DropReason::BroadcastOrMulticast)
            } else if group || ip.slow_only {
                Ok(Ingress::Slow(UPCALL_SLOW_ONLY))
            } else {
                Ok(Ingress::LookUp)
            }
        }
    }
}

/// Equality without a call of `memcmp`, which the kernel does not have.
#[inline(always)]
const fn same(a: Mac, b: Mac) -> bool {
    let (a, b) = (a.0, b.0);
    let mut different = 0;
    let mut i = 0;
    while i < 6 {
        different |= a[i] ^ b[i];
        i += 1;
    }
    different == 0
}
