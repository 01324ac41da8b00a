//! The answer to a TCP segment of a connection that nobody here knows (RFC 9293 section 3.10.7.1).

use fastpath_core::abi::{TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};
use packet::{Ethernet, Ipv4, Tcp};
use types::{Mac, proto};

/// The reset that answers an IPv4 frame from a guest, as if its receiver sent it. `None` for what is no sound segment,
/// and for a reset, which is never answered.
pub(crate) fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let ethernet = Ethernet::parse(frame).ok()?;
    let ip = Ipv4::parse(ethernet.payload).ok()?;
    if ip.protocol != proto::TCP {
        return None;
    }
    let segment = Tcp::parse(ip.payload).ok()?;
    if segment.flags & TCP_RST != 0 {
        return None;
    }
    let (sequence, acknowledgment, flags) = if segment.flags & TCP_ACK != 0 {
        (segment.acknowledgment, 0, TCP_RST)
    } else {
        let counted = [TCP_SYN, TCP_FIN].map(|flag| u32::from(segment.flags & flag != 0));
        let data = u32::try_from(segment.payload.len()).ok()?;
        let length = data.wrapping_add(counted[0]).wrapping_add(counted[1]);
        let next = segment.sequence.wrapping_add(length);
        (0, next, TCP_RST | TCP_ACK)
    };
    let reset = Tcp {
        source_port: segment.destination_port,
        destination_port: segment.source_port,
        sequence,
        acknowledgment,
        flags,
        window: 0,
        urgent: 0,
        options: &[],
        payload: &[],
    };
    let payload = reset.emit(ip.destination.into(), ip.source.into());
    let answer = Ipv4 {
        tos: 0,
        identification: 0,
        fragment: 0x4000,
        ttl: 64,
        protocol: proto::TCP,
        source: ip.destination,
        destination: ip.source,
        options: &[],
        payload: &payload,
    };
    let frame = Ethernet {
        destination: ethernet.source,
        source: Mac::ROUTER,
        ethertype: proto::ETHERTYPE_IPV4,
        payload: &answer.emit(),
    }
    .emit();
    Some(frame)
}
