//! What a session does to a packet: rewriting with incremental checksums, and the verdict.

use types::{DropReason, proto};

use crate::abi::{
    ACTION_DELIVER, ACTION_DROP, ACTION_TRANSMIT, Action, CLAMP_MSS, REWRITE_DESTINATION,
    REWRITE_SOURCE, Session, TCP_SYN,
};
use crate::checksum::difference;
use crate::parse::{Ip, L3, L4_IPV4, L4_IPV6, PORTS_BOTH, PORTS_NONE};

/// A frame that can be changed: a socket buffer in the kernel, a slice on the host.
pub trait Frame {
    /// The frame ended before the bytes that were to be changed.
    type Error;

    /// Overwrites bytes from `at` on.
    fn store<const N: usize>(&mut self, at: usize, bytes: &[u8; N]) -> Result<(), Self::Error>;

    /// Updates the IPv4 header checksum at `at` by a [`difference`] of what it covers.
    fn adjust_header(&mut self, at: usize, difference: u32) -> Result<(), Self::Error>;

    /// Updates the upper layer's checksum at `at` by a [`difference`].
    ///
    /// `pseudo`: the change was in the pseudo-header, which alone a partial checksum covers.
    /// `zero_is_none`: a field of zero means no checksum and stays; a result of zero becomes all ones
    /// (UDP, RFC 768).
    fn adjust_transport(
        &mut self,
        at: usize,
        difference: u32,
        pseudo: bool,
        zero_is_none: bool,
    ) -> Result<(), Self::Error>;
}

/// Where the rewritten packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// To the guest behind this interface.
    Deliver(u32),
    /// Out of this interface.
    Transmit(u32),
    /// Nowhere.
    Drop(DropReason),
    /// To the slow path, untouched: the action cannot be done with the packet as it is (see [`Obstacle::of`]).
    Slow,
}

/// Why a session's action cannot be done with a packet of the session as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// Its TTL or hop limit ends at a router on the way.
    Expired,
    /// It is larger than what the way carries.
    TooBig,
    /// It announces a TCP segment size that the way may not carry.
    Announces,
}

impl Obstacle {
    /// What stands in the way of a packet, if anything does. `size` is the IP packet's, in bytes: of a GSO packet that
    /// of its largest segment.
    #[must_use]
    #[inline(always)]
    pub const fn of(ip: &Ip, size: usize, action: &Action) -> Option<Obstacle> {
        // RFC 1812 section 5.3.1: what arrives with 1 is not forwarded.
        if action.hops != 0 && ip.ttl <= action.hops {
            Some(Obstacle::Expired)
        } else if action.mtu != 0 && size > action.mtu as usize {
            Some(Obstacle::TooBig)
        } else if action.flags & CLAMP_MSS != 0 && ip.tcp_flags & TCP_SYN != 0 {
            Some(Obstacle::Announces)
        } else {
            None
        }
    }
}

/// What a packet adds to its session's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// 0 or 1.
    pub direction: usize,
    /// Packets as on a wire: the segments of a GSO packet.
    pub packets: u64,
    /// Bytes as on a wire, from the IP header on.
    pub bytes: u64,
    /// To be ORed into [`Session::tcp_flags`].
    pub tcp_flags: u32,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub now_ns: u64,
}

impl Account {
    /// The account of a packet. `segments` is how many packets it will be on a wire, 0 counts as 1.
    #[must_use]
    #[inline(always)]
    pub const fn new(ip: &Ip, direction: usize, segments: u32, now_ns: u64) -> Account {
        let packets = if segments == 0 { 1 } else { segments as u64 };
        let repeated = (ip.header_len as u64).saturating_sub(L3 as u64);
        Account {
            direction: direction & 1,
            packets,
            bytes: ip.packet_len as u64 + (packets - 1) * repeated,
            tcp_flags: (ip.tcp_flags as u32) << ((direction & 1) * 8),
            now_ns,
        }
    }

    /// Adds to the session's counters. The kernel program does the same with atomic operations.
    pub const fn record(&self, session: &mut Session) {
        let d = self.direction & 1;
        session.packets[d] = session.packets[d].wrapping_add(self.packets);
        session.bytes[d] = session.bytes[d].wrapping_add(self.bytes);
        session.tcp_flags |= self.tcp_flags;
        session.last_seen_ns = self.now_ns;
    }
}

/// Does to the packet what the action says. `ip` is what the parser found in this very frame; `size` as in
/// [`Obstacle::of`].
///
/// An error leaves the frame half rewritten; the caller drops it.
#[inline(always)]
pub fn execute<F: Frame>(
    frame: &mut F,
    ip: &Ip,
    size: usize,
    action: &Action,
) -> Result<Verdict, F::Error> {
    if Obstacle::of(ip, size, action).is_some() {
        return Ok(Verdict::Slow);
    }
    forward(frame, ip, action)
}

/// [`execute`] for a packet out of whose way the slow path has put everything.
#[inline(always)]
pub fn forward<F: Frame>(frame: &mut F, ip: &Ip, action: &Action) -> Result<Verdict, F::Error> {
    let verdict = match action.kind {
        ACTION_DELIVER => Verdict::Deliver(action.output),
        ACTION_TRANSMIT => Verdict::Transmit(action.output),
        ACTION_DROP => {
            return Ok(Verdict::Drop(match DropReason::from_code(action.output) {
                Some(reason) => reason,
                None => DropReason::NoInterface,
            }));
        }
        _ => return Ok(Verdict::Drop(DropReason::NoInterface)),
    };
    if action.hops != 0 {
        pass_routers(frame, ip, action.hops)?;
    }
    if action.flags & REWRITE_SOURCE != 0 {
        rewrite(frame, ip, action, true)?;
    }
    if action.flags & REWRITE_DESTINATION != 0 {
        rewrite(frame, ip, action, false)?;
    }
    let mut macs = [0; 12];
    macs[..6].copy_from_slice(&action.destination_mac);
    macs[6..].copy_from_slice(&action.source_mac);
    frame.store(0, &macs)?;
    Ok(verdict)
}

/// Takes what the routers on the way take from the TTL or hop limit.
#[inline(always)]
pub fn pass_routers<F: Frame>(frame: &mut F, ip: &Ip, hops: u8) -> Result<(), F::Error> {
    let left = ip.ttl.saturating_sub(hops);
    if ip.v6 {
        return frame.store(L3 + 7, &[left]);
    }
    // The checksum covers words: the protocol is the other half of this one.
    frame.store(L3 + 8, &[left])?;
    let change = difference(&[ip.ttl, ip.protocol], &[left, ip.protocol]);
    frame.adjust_header(L3 + 10, change)
}

/// Rewrites address and port of one end.
#[inline(always)]
fn rewrite<F: Frame>(
    frame: &mut F,
    ip: &Ip,
    action: &Action,
    source: bool,
) -> Result<(), F::Error> {
    let (old, new) = if source {
        (&ip.source, &action.source)
    } else {
        (&ip.destination, &action.destination)
    };
    let change = difference(old, new);
    if ip.v6 {
        frame.store(if source { L3 + 8 } else { L3 + 24 }, new)?;
    } else {
        let mut v4 = [0; 4];
        v4.copy_from_slice(&new[12..]);
        frame.store(if source { L3 + 12 } else { L3 + 16 }, &v4)?;
        frame.adjust_header(L3 + 10, change)?;
    }
    let start = if ip.v6 { L4_IPV6 } else { L4_IPV4 };
    let Some((at, pseudo_header, zero_is_none)) = transport_checksum(ip) else {
        return Ok(());
    };
    if pseudo_header {
        frame.adjust_transport(start + at, change, true, zero_is_none)?;
    }
    if ip.port_kind == PORTS_NONE {
        return Ok(());
    }
    let (old, new) = if source {
        (&ip.source_port, &action.source_port)
    } else {
        (&ip.destination_port, &action.destination_port)
    };
    // Also where an echo packet has no identifier on this end: both are zero then.
    if old[0] == new[0] && old[1] == new[1] {
        return Ok(());
    }
    let port_at = if ip.port_kind != PORTS_BOTH {
        4
    } else if source {
        0
    } else {
        2
    };
    frame.store(start + port_at, new)?;
    frame.adjust_transport(start + at, difference(old, new), false, zero_is_none)
}

/// Where the upper layer's checksum is in its header, whether it covers the pseudo-header, and whether zero means
/// none. `None` if there is no checksum that rewriting changes.
#[inline(always)]
const fn transport_checksum(ip: &Ip) -> Option<(usize, bool, bool)> {
    match (ip.protocol, ip.v6) {
        (proto::TCP, _) => Some((16, true, false)),
        (proto::UDP, _) => Some((6, true, true)),
        (proto::ICMP, false) => Some((2, false, false)),
        (proto::ICMPV6, true) => Some((2, true, false)),
        _ => None,
    }
}
