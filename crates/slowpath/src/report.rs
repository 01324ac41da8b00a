//! What a virtual router tells the sender of a packet that it cannot forward: ICMP time exceeded, and fragmentation
//! needed or packet too big. Nothing else is told: what rules or routes do not let through vanishes silently, as in EC2.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fastpath_core::Ip;
use fastpath_core::bucket::admit;
use fastpath_core::parse::{FRAGMENT_LATER, L3, L4_IPV4, L4_IPV6};
use packet::{Ethernet, Icmp, Ipv4, Ipv6};
use types::{Mac, proto};

/// How many errors a port is told a second (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).
pub(crate) const PER_SECOND: u64 = 100;
const SECOND_NS: u64 = 1_000_000_000;
/// The largest error over IPv4 (RFC 1812 section 4.3.2.3), and over IPv6 (RFC 4443 section 2.4 (c)).
const LARGEST_V4: usize = 576;
const LARGEST_V6: usize = 1280;
const TTL: u8 = 64;

/// Type, code and the rest of the header of an ICMP error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    kind: u8,
    code: u8,
    rest: [u8; 4],
}

impl Message {
    /// The TTL or hop limit ended on the way (RFC 792, RFC 4443 section 3.3).
    pub(crate) const fn time_exceeded(v6: bool) -> Message {
        Message {
            kind: if v6 { 3 } else { 11 },
            code: 0,
            rest: [0; 4],
        }
    }

    /// The next link carries packets of so many bytes (RFC 1191 section 4, RFC 4443 section 3.2).
    pub(crate) const fn too_big(v6: bool, mtu: u16) -> Message {
        let [a, b] = mtu.to_be_bytes();
        Message {
            kind: if v6 { 2 } else { 3 },
            code: if v6 { 0 } else { 4 },
            rest: [0, 0, a, b],
        }
    }
}

/// How often something may be done for each port: so often a second, all of it at once.
#[derive(Debug)]
pub(crate) struct Limiter {
    interval_ns: u64,
    full_ns: BTreeMap<u32, u64>,
}

impl Limiter {
    pub(crate) const fn new(per_second: u64) -> Limiter {
        Limiter {
            interval_ns: SECOND_NS / per_second,
            full_ns: BTreeMap::new(),
        }
    }

    pub(crate) fn admit(&mut self, port: u32, now_ns: u64) -> bool {
        let full = self.full_ns.entry(port).or_default();
        let next = admit(*full, now_ns, self.interval_ns, SECOND_NS);
        *full = next.unwrap_or(*full);
        next.is_some()
    }

    pub(crate) fn forget(&mut self, port: u32) {
        self.full_ns.remove(&port);
    }
}

/// The frame that tells about another one: from a router's address to whoever sent that, at this MAC address. `None` if
/// there must be none: about ICMP that is itself an error or a redirect, or about a fragment that is not the first
/// (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)). Nobody's and everybody's addresses have been refused before.
pub(crate) fn about(
    frame: &[u8],
    ip: &Ip,
    from: IpAddr,
    mac: Mac,
    message: Message,
) -> Option<Vec<u8>> {
    if ip.fragment == FRAGMENT_LATER {
        return None;
    }
    let start = if ip.v6 { L4_IPV6 } else { L4_IPV4 };
    let kind = frame.get(start).copied();
    let is_error = match (ip.protocol, ip.v6) {
        (proto::ICMP, false) => matches!(kind, Some(3 | 4 | 5 | 11 | 12) | None),
        (proto::ICMPV6, true) => matches!(kind, Some(0..=127 | 137) | None),
        _ => false,
    };
    if is_error {
        return None;
    }
    let packet = frame.get(L3..L3 + ip.packet_len)?;
    let to = fastpath_core::abi::address(ip.source);
    let (ethertype, payload) = match (from, to) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let room = LARGEST_V4 - Ipv4::LEN - Icmp::LEN;
            let payload = icmp(message, packet, room).emit(from, to);
            let packet = Ipv4 {
                // RFC 1812 section 4.3.2.5: precedence internetwork control.
                tos: 0xc0,
                identification: 0,
                fragment: 0x4000,
                ttl: TTL,
                protocol: proto::ICMP,
                source,
                destination,
                options: &[],
                payload: &payload,
            };
            (proto::ETHERTYPE_IPV4, packet.emit())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let room = LARGEST_V6 - Ipv6::LEN - Icmp::LEN;
            let payload = icmp(message, packet, room).emit(from, to);
            let packet = Ipv6 {
                class_and_label: 0,
                next_header: proto::ICMPV6,
                hop_limit: TTL,
                source,
                destination,
                payload: &payload,
            };
            (proto::ETHERTYPE_IPV6, packet.emit())
        }
        _ => return None,
    };
    let frame = Ethernet {
        destination: mac,
        source: Mac::ROUTER,
        ethertype,
        payload: &payload,
    };
    Some(frame.emit())
}

fn icmp(message: Message, packet: &[u8], room: usize) -> Icmp<'_> {
    Icmp {
        kind: message.kind,
        code: message.code,
        rest: message.rest,
        payload: packet.get(..room).unwrap_or(packet),
    }
}
