//! ICMP errors. They belong to the session whose packet they quote, and are translated as that session is, inside and
//! outside (RFC 5508 section 4.2).

use std::net::IpAddr;

use fastpath_core::abi::{Action, REWRITE_SOURCE};
use fastpath_core::checksum::{adjusted, difference};
use packet::{Ethernet, Icmp, Ipv4, Ipv6, checksum};
use types::{DropReason, FlowTuple, proto};

/// Whether this ICMP (or ICMPv6) type reports about another packet: destination unreachable, time exceeded, parameter
/// problem (RFC 792), and packet too big (RFC 4443).
pub(crate) fn is_error(protocol: u8, kind: u8) -> bool {
    match protocol {
        proto::ICMP => matches!(kind, 3 | 11 | 12),
        proto::ICMPV6 => matches!(kind, 1..=4),
        _ => false,
    }
}

/// An ICMP error, and where in it things are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IcmpError {
    /// Who reports.
    pub(crate) source: IpAddr,
    /// To whom.
    pub(crate) destination: IpAddr,
    /// The tuple of the quoted packet, as the reporter received it.
    pub(crate) quoted: FlowTuple,
    /// Where the quoted packet begins in the frame.
    quote_at: usize,
    /// Where the quoted packet's upper layer begins in the frame.
    upper_at: usize,
}

/// Reads an error. `None` if it quotes nothing that a session could have carried. The checksums must hold, since
/// translation computes them anew.
pub(crate) fn parse(frame: &[u8]) -> Option<IcmpError> {
    if !checksum::hold(frame) {
        return None;
    }
    let ethernet = Ethernet::parse(frame).ok()?;
    if ethernet.ethertype == proto::ETHERTYPE_IPV4 {
        let outer = Ipv4::parse(ethernet.payload).ok()?;
        let icmp = Icmp::parse(outer.payload).ok()?;
        let inner = Ipv4::parse_quoted(icmp.payload).ok()?;
        // Sessions carry no options; of a fragment that is not the first, nobody knows the flow.
        if !outer.options.is_empty() || !inner.options.is_empty() || inner.fragment & 0x1fff != 0 {
            return None;
        }
        let quote_at = Ethernet::LEN + Ipv4::LEN + Icmp::LEN;
        let (source, destination) = (inner.source.into(), inner.destination.into());
        Some(IcmpError {
            source: outer.source.into(),
            destination: outer.destination.into(),
            quoted: tuple(source, destination, inner.protocol, inner.payload)?,
            quote_at,
            upper_at: quote_at + Ipv4::LEN,
        })
    } else {
        let outer = Ipv6::parse(ethernet.payload).ok()?;
        let icmp = Icmp::parse(outer.payload).ok()?;
        let inner = quoted_v6(icmp.payload)?;
        let quote_at = Ethernet::LEN + Ipv6::LEN + Icmp::LEN;
        let (source, destination) = (inner.source.into(), inner.destination.into());
        Some(IcmpError {
            source: outer.source.into(),
            destination: outer.destination.into(),
            quoted: tuple(source, destination, inner.next_header, inner.payload)?,
            quote_at,
            upper_at: quote_at + Ipv6::LEN,
        })
    }
}

/// The beginning of an IPv6 packet, whose announced length may exceed the bytes (RFC 4443 section 3.1).
fn quoted_v6(bytes: &[u8]) -> Option<Ipv6<'_>> {
    let (header, payload) = bytes.split_at_checked(Ipv6::LEN)?;
    let mut header: [u8; Ipv6::LEN] = header.try_into().ok()?;
    (header[4], header[5]) = (0, 0);
    let packet = Ipv6::parse(&header).ok()?;
    Some(Ipv6 {
        class_and_label: packet.class_and_label,
        next_header: packet.next_header,
        hop_limit: packet.hop_limit,
        source: packet.source,
        destination: packet.destination,
        payload,
    })
}

/// The tuple of a quoted packet, of which at least eight bytes of the upper layer are there (RFC 792).
fn tuple(source: IpAddr, destination: IpAddr, protocol: u8, upper: &[u8]) -> Option<FlowTuple> {
    let [a, b, c, d, e, f, _, _, ..] = upper else {
        return None;
    };
    let identifier = u16::from_be_bytes([*e, *f]);
    let (source_port, destination_port) = match (protocol, *a, *b) {
        (proto::TCP | proto::UDP, _, _) => {
            (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))
        }
        (proto::ICMP, 8, 0) | (proto::ICMPV6, 128, 0) => (identifier, 0),
        (proto::ICMP, 0, 0) | (proto::ICMPV6, 129, 0) => (0, identifier),
        (proto::ICMP | proto::ICMPV6, _, _) => return None,
        _ => (0, 0),
    };
    Some(FlowTuple {
        source,
        destination,
        protocol,
        source_port,
        destination_port,
    })
}

/// The error's frame as the other end of the session shall see it. `action` is what the session does to packets from
/// the reporter's side; `sent` is the quoted packet's tuple as the other end sent it.
pub(crate) fn translate(
    frame: &[u8],
    error: &IcmpError,
    action: &Action,
    sent: &FlowTuple,
) -> Result<Vec<u8>, DropReason> {
    // An error answers the sender of the packet that it quotes.
    if error.destination != error.quoted.source {
        return Err(DropReason::UnrelatedIcmpError);
    }
    let source = if error.source == error.quoted.destination {
        sent.destination
    } else if action.flags & REWRITE_SOURCE == 0 {
        // A router behind the other end, seen without translation.
        error.source
    } else {
        return Err(DropReason::NoPublicAddress);
    };
    rewrite(frame, error, action, sent, source).ok_or(DropReason::UnrelatedIcmpError)
}

/// Rewrites inside out, so that the outer checksum covers the result. `None` if the bytes are not there.
fn rewrite(
    frame: &[u8],
    error: &IcmpError,
    action: &Action,
    sent: &FlowTuple,
    source: IpAddr,
) -> Option<Vec<u8>> {
    let mut out = frame.to_vec();
    rewrite_quote(&mut out, error, sent)?;

    out.splice(0..6, action.destination_mac);
    out.splice(6..12, action.source_mac);
    let at = Ethernet::LEN;
    match (source, sent.source) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            store(&mut out, at + 12, &from.octets())?;
            store(&mut out, at + 16, &to.octets())?;
            store(&mut out, at + 10, &[0, 0])?;
            let header = checksum::of(out.get(at..at + Ipv4::LEN)?);
            store(&mut out, at + 10, &header)?;
            let len = Ipv4::parse(out.get(at..)?).ok()?.payload.len();
            let message = at + Ipv4::LEN;
            store(&mut out, message + 2, &[0, 0])?;
            let sum = checksum::of(out.get(message..message + len)?);
            store(&mut out, message + 2, &sum)?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            store(&mut out, at + 8, &from.octets())?;
            store(&mut out, at + 24, &to.octets())?;
            let len = Ipv6::parse(out.get(at..)?).ok()?.payload.len();
            let message = at + Ipv6::LEN;
            store(&mut out, message + 2, &[0, 0])?;
            let covered = out.get(message..message + len)?;
            let sum = checksum::transport(source, sent.source, proto::ICMPV6, covered);
            store(&mut out, message + 2, &sum)?;
        }
        _ => return None,
    }
    Some(out)
}

/// Gives the quoted packet the tuple `sent`. Its checksums are adjusted as far as they are quoted.
fn rewrite_quote(out: &mut [u8], error: &IcmpError, sent: &FlowTuple) -> Option<()> {
    let at = error.quote_at;
    let quoted = &error.quoted;
    let mut change = 0;
    for (old, new, v4, v6) in [
        (quoted.source, sent.source, 12, 8),
        (quoted.destination, sent.destination, 16, 24),
    ] {
        match (old, new) {
            (IpAddr::V4(old), IpAddr::V4(new)) => {
                let change_here = difference(&old.octets(), &new.octets());
                store(out, at + v4, &new.octets())?;
                adjust(out, at + 10, change_here);
                change += change_here;
            }
            (IpAddr::V6(old), IpAddr::V6(new)) => {
                store(out, at + v6, &new.octets())?;
                change += difference(&old.octets(), &new.octets());
            }
            _ => return None,
        }
    }
    let upper = error.upper_at;
    // Where the checksum is, whether it covers the addresses, and whether zero means none.
    let (checksum_at, pseudo, zero_is_none) = match quoted.protocol {
        proto::TCP => (upper + 16, true, false),
        proto::UDP => (upper + 6, true, true),
        proto::ICMP => (upper + 2, false, false),
        proto::ICMPV6 => (upper + 2, true, false),
        _ => return Some(()),
    };
    let ports: &[(u16, u16, usize)] = match quoted.protocol {
        proto::TCP | proto::UDP => &[
            (quoted.source_port, sent.source_port, upper),
            (quoted.destination_port, sent.destination_port, upper + 2),
        ],
        proto::ICMP | proto::ICMPV6 => {
            // A request has its identifier on one side, a reply on the other.
            let at = upper + 4;
            if quoted.source_port == 0 {
                &[(quoted.destination_port, sent.destination_port, at)]
            } else {
                &[(quoted.source_port, sent.source_port, at)]
            }
        }
        _ => &[],
    };
    if !pseudo {
        change = 0;
    }
    for (old, new, at) in ports {
        store(out, *at, &new.to_be_bytes())?;
        change += difference(&old.to_be_bytes(), &new.to_be_bytes());
    }
    let none = zero_is_none && out.get(checksum_at..checksum_at + 2) == Some(&[0, 0]);
    if !none {
        adjust(out, checksum_at, change);
        if zero_is_none && out.get(checksum_at..checksum_at + 2) == Some(&[0, 0]) {
            store(out, checksum_at, &[0xff, 0xff])?;
        }
    }
    Some(())
}

/// Adjusts a checksum if it is there at all.
fn adjust(out: &mut [u8], at: usize, change: u32) {
    if let Some(field) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *field = adjusted(*field, change);
    }
}

fn store(out: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    out.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
    Some(())
}
