//! A frame at a port, and a session's action on it: nothing panics, what is rewritten is what the action says, and
//! checksums that held hold.

use fastpath_core::abi::{
    ACTION_DELIVER, Action, FlowKey, Port, REWRITE_DESTINATION, REWRITE_SOURCE, UpcallHeader,
    decode_output, encode_output,
};
use fastpath_core::checksum::sum;
use fastpath_core::{
    Account, ChecksumState, Ingress, Ip, Parsed, SliceFrame, forward, ingress, parse, parse_frame,
};
use types::{Mac, proto};

/// Choices, an address and port for each end, then the frame.
const HEAD: usize = 1 + 16 + 2 + 16 + 2;

pub(crate) fn run(data: &[u8]) {
    let Some((head, bytes)) = data.split_at_checked(HEAD) else {
        return;
    };
    let choice = head[0];
    let _ = UpcallHeader::split(bytes);
    let port = if choice & 1 == 0 {
        let mac = bytes.get(6..12).and_then(|mac| mac.try_into().ok());
        Port::guest(Mac(mac.unwrap_or_default()), 1, 1)
    } else {
        Port::uplink(1, 1)
    };
    let mut frame = bytes.to_vec();
    // Mutations would hardly ever find these.
    if choice & 2 != 0 && frame.len() >= 14 {
        frame[..6].copy_from_slice(&Mac::ROUTER.0);
    }
    if choice & 4 != 0 {
        complete(&mut frame);
    }
    let mut ip = Ip::default();
    let head_of = parse::head_of(&frame);
    let judged = ingress(&port, &head_of, frame.len(), choice & 8 != 0, &mut ip);
    if judged != Ok(Ingress::LookUp) {
        return;
    }
    assert_eq!(parse_frame(&frame), Ok(Parsed::Ip(ip)));
    assert!(ip.header_len <= frame.len() && ip.packet_len + 14 <= frame.len());
    let _ = Account::new(&ip, usize::from(choice >> 7), 0, 0);

    let mut action = Action {
        kind: ACTION_DELIVER,
        flags: (choice >> 4) & (REWRITE_SOURCE | REWRITE_DESTINATION),
        output: 7,
        destination_mac: [4; 6],
        source_mac: Mac::ROUTER.0,
        ..Action::default()
    };
    action.source.copy_from_slice(&head[1..17]);
    action.source_port.copy_from_slice(&head[17..19]);
    action.destination.copy_from_slice(&head[19..35]);
    action.destination_port.copy_from_slice(&head[35..37]);
    for address in [&mut action.source, &mut action.destination] {
        if ip.v6 {
            // A mapped address would make it another family.
            address[0] |= 0x20;
        } else {
            address[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
            // Nor may it become a group.
            address[12] &= 0x7f;
        }
    }
    if ip.v6 && action.destination[0] == 0xff {
        action.destination[0] = 0x20;
    }
    // What has no ports, or an identifier on one end only, keeps what it has.
    if ip.port_kind != parse::PORTS_BOTH {
        let (source, destination) = (ip.source_port, ip.destination_port);
        if ip.port_kind != parse::PORTS_ECHO_REQUEST {
            action.source_port = source;
        }
        if ip.port_kind != parse::PORTS_ECHO_REPLY {
            action.destination_port = destination;
        }
    }

    let held = [header_holds(&frame), upper_holds(&frame, &ip)];
    let checksum = if choice & 64 == 0 {
        ChecksumState::Complete
    } else {
        ChecksumState::Partial
    };
    action.hops = ip.ttl.min(1).min(choice & 1);
    let mut slice = SliceFrame::new(&mut frame, checksum);
    let done = forward(&mut slice, &ip, &action);
    assert!(done.is_ok(), "the frame was parsed");
    let Ok(Parsed::Ip(after)) = parse_frame(&frame) else {
        unreachable!("still an IP packet: {frame:02x?}");
    };
    let mut expected = ip.key(3);
    if action.flags & REWRITE_SOURCE != 0 {
        expected.source = action.source;
        expected.source_port = action.source_port;
    }
    if action.flags & REWRITE_DESTINATION != 0 {
        expected.destination = action.destination;
        expected.destination_port = action.destination_port;
    }
    if ip.protocol == proto::UDP && ip.discovery != after.discovery {
        expected = after.key(3);
    }
    assert_eq!(after.key(3), expected);
    assert_eq!(FlowKey::new(3, &expected.tuple()), expected);
    if held[0] {
        assert!(header_holds(&frame), "header checksum of {frame:02x?}");
    }
    // One's complement has two zeros, and no update tells them apart if every byte has become zero: an echo reply of
    // nothing but zeros.
    let zeros = frame[parse::L4_IPV4..14 + after.packet_len]
        .iter()
        .all(|byte| *byte == 0);
    if held[1] && checksum == ChecksumState::Complete && !zeros {
        assert!(upper_holds(&frame, &after), "checksum of {frame:02x?}");
    }
    if let Some(output) = decode_output(parse::source_mac(&parse::head_of(&frame)).0) {
        assert!(encode_output(output).is_some());
    }
}

fn header_holds(frame: &[u8]) -> bool {
    frame[12..14] != [8, 0] || sum(0, &frame[14..34]) == 0xffff
}

/// Where the upper layer begins, and where its checksum is in it.
fn upper(ip: &Ip) -> Option<(usize, usize)> {
    let start = if ip.v6 {
        parse::L4_IPV6
    } else {
        parse::L4_IPV4
    };
    let at = match (ip.protocol, ip.v6) {
        (proto::TCP, _) => 16,
        (proto::UDP, _) => 6,
        (proto::ICMP, false) | (proto::ICMPV6, true) => 2,
        _ => return None,
    };
    Some((start, at))
}

fn covered(frame: &[u8], ip: &Ip, start: usize) -> u16 {
    let end = 14 + ip.packet_len;
    let mut pseudo = 0;
    if (ip.protocol, ip.v6) != (proto::ICMP, false) {
        let addresses = if ip.v6 { 22..54 } else { 26..34 };
        pseudo = sum(0, &frame[addresses]);
        let len = u32::try_from(end - start).unwrap_or_default().to_be_bytes();
        pseudo = sum(pseudo, &len);
        pseudo = sum(pseudo, &[0, ip.protocol]);
    }
    sum(pseudo, &frame[start..end])
}

fn upper_holds(frame: &[u8], ip: &Ip) -> bool {
    let Some((start, at)) = upper(ip) else {
        return true;
    };
    let none = ip.protocol == proto::UDP && frame[start + at..start + at + 2] == [0, 0];
    none || covered(frame, ip, start) == 0xffff
}

/// Gives a frame the checksums it should have.
fn complete(frame: &mut [u8]) {
    let Ok(Parsed::Ip(ip)) = parse_frame(frame) else {
        return;
    };
    if !ip.v6 {
        frame[24..26].fill(0);
        let header = !sum(0, &frame[14..34]);
        frame[24..26].copy_from_slice(&header.to_ne_bytes());
    }
    if let Some((start, at)) = upper(&ip) {
        frame[start + at..start + at + 2].fill(0);
        let mut value = !covered(frame, &ip, start);
        if ip.protocol == proto::UDP && value == 0 {
            value = 0xffff;
        }
        frame[start + at..start + at + 2].copy_from_slice(&value.to_ne_bytes());
    }
}
