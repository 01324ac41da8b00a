//! Packets and links: what is too big is cut where its sender allows that, and TCP hears how much the way carries.

use fastpath_core::checksum::{difference, fold};
use fastpath_core::parse::{L3, L4_IPV4, L4_IPV6};
use fastpath_core::{ChecksumState, Frame as _, Ip, SliceFrame};
use packet::{Ethernet, Ipv4, checksum};
use types::proto;

/// Don't fragment (RFC 791 section 3.1).
const DONT: u16 = 0x4000;
/// More fragments follow.
const MORE: u16 = 0x2000;
/// The rest: the offset, in eighths of bytes.
const OFFSET: u16 = 0x1fff;
/// TCP's option "maximum segment size" (RFC 9293 section 3.2), and its length.
const MSS: u8 = 2;
const MSS_LEN: u8 = 4;

/// Whether a router may cut the packet: over IPv4, unless its sender says no (RFC 791); over IPv6 never (RFC 8200
/// section 4.5).
pub(crate) fn may_be_cut(frame: &[u8], ip: &Ip) -> bool {
    !ip.v6 && frame.get(L3 + 6).is_some_and(|flags| flags & 0x40 == 0)
}

/// The fragments of an IPv4 packet, of at most `mtu` bytes each (RFC 791 section 3.2). Their checksums are complete.
/// `None` if the frame is not what the parser found it to be, or the links carry no fragments.
pub(crate) fn cut(frame: &[u8], checksum: ChecksumState, mtu: u16) -> Option<Vec<Vec<u8>>> {
    let ethernet = Ethernet::parse(frame).ok()?;
    let packet = Ipv4::parse(ethernet.payload).ok()?;
    let mut payload = packet.payload.to_vec();
    if checksum == ChecksumState::Partial {
        complete(&packet, &mut payload)?;
    }
    let header = Ipv4::LEN + packet.options.len();
    // Offsets count eights.
    let room = usize::from(mtu).checked_sub(header)? & !7;
    if room == 0 || packet.fragment & DONT != 0 {
        return None;
    }
    let start = packet.fragment & OFFSET;
    let count = payload.len().div_ceil(room);
    let piece = |(n, bytes): (usize, &[u8])| {
        let offset = start.checked_add(u16::try_from(n * room / 8).ok()?)?;
        let last = n + 1 == count && packet.fragment & MORE == 0;
        let piece = Ipv4 {
            fragment: (offset & OFFSET) | if last { 0 } else { MORE },
            payload: bytes,
            ..packet
        };
        let frame = Ethernet {
            payload: &piece.emit(),
            ..ethernet
        };
        (offset <= OFFSET).then(|| frame.emit())
    };
    payload.chunks(room).enumerate().map(piece).collect()
}

/// Replaces the sum of the pseudo-header by the checksum.
fn complete(packet: &Ipv4<'_>, payload: &mut [u8]) -> Option<()> {
    let at = match packet.protocol {
        proto::TCP => 16,
        proto::UDP => 6,
        _ => return Some(()),
    };
    payload.get_mut(at..at + 2)?.fill(0);
    let (source, destination) = (packet.source.into(), packet.destination.into());
    let sum = match checksum::transport(source, destination, packet.protocol, payload) {
        [0, 0] if packet.protocol == proto::UDP => [0xff, 0xff],
        sum => sum,
    };
    payload.get_mut(at..at + 2)?.copy_from_slice(&sum);
    Some(())
}

/// Lowers the segment size that a SYN announces to what fits into IP packets of `mtu` bytes (RFC 9293 section 3.7.1,
/// as routers do for the sake of ways on which errors get lost). One without the option stays as it is: its sender
/// takes 536 bytes, which fit everywhere. `None` if the frame is not what the parser found it to be.
pub(crate) fn clamp(frame: &mut [u8], ip: &Ip, checksum: ChecksumState, mtu: u16) -> Option<()> {
    let start = if ip.v6 { L4_IPV6 } else { L4_IPV4 };
    let headers = start - L3 + 20;
    let most = u16::try_from(usize::from(mtu).checked_sub(headers)?).ok()?;
    let options = frame.get(start + 20..ip.header_len)?;
    let Some(found) = mss(options) else {
        return Some(());
    };
    let at = start + 20 + found;
    let announced = u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]);
    if mtu == 0 || announced <= most {
        return Some(());
    }
    let (old, new) = (announced.to_be_bytes(), most.to_be_bytes());
    frame.get_mut(at..at + 2)?.copy_from_slice(&new);
    let change = fold(difference(&old, &new));
    // The sum is over words from the header's start; of what stands across two of them, the other half counts (RFC
    // 1071 section 2 (B)).
    let change = u32::from(if at % 2 == 0 {
        change
    } else {
        change.swap_bytes()
    });
    SliceFrame::new(frame, checksum)
        .adjust_transport(start + 16, change, false, false)
        .ok()
}

/// Where the segment size is in TCP's options.
fn mss(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match (options.get(at)?, options.get(at + 1)) {
            (0, _) => return None,
            (1, _) => at += 1,
            (&MSS, Some(&MSS_LEN)) => return Some(at + 2),
            (_, Some(&length)) if length >= 2 => at += usize::from(length),
            (_, _) => return None,
        }
    }
}
