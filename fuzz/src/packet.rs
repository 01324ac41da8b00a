//! Every header, DHCP above all: nothing panics, and what was read is written as it was read.

use packet::dhcp::Message;
use packet::{Arp, Ethernet, Icmp, Ipv4, Ipv6, Tcp, Udp, checksum};

pub(crate) fn run(data: &[u8]) {
    let _ = checksum::hold(data);
    let _ = Ipv4::parse_quoted(data);
    if let Ok(message) = Message::parse(data) {
        let _ = message.kind();
        let mut again = message.clone();
        // An option of no bytes is none (RFC 2132 section 2).
        again.options.retain(|_, value| !value.is_empty());
        assert_eq!(Message::parse(&message.emit()), Ok(again));
    }
    if let Ok(arp) = Arp::parse(data) {
        assert_eq!(Arp::parse(&arp.emit()), Ok(arp));
    }
    if let Ok(frame) = Ethernet::parse(data) {
        assert_eq!(Ethernet::parse(&frame.emit()), Ok(frame));
    }
    let (from, to) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    if let Ok(packet) = Ipv4::parse(data) {
        assert_eq!(Ipv4::parse(&packet.emit()), Ok(packet));
    }
    if let Ok(packet) = Ipv6::parse(data) {
        assert_eq!(Ipv6::parse(&packet.emit()), Ok(packet));
    }
    if let Ok(datagram) = Udp::parse(data) {
        assert_eq!(Udp::parse(&datagram.emit(from, to)), Ok(datagram));
    }
    if let Ok(segment) = Tcp::parse(data) {
        assert_eq!(Tcp::parse(&segment.emit(from, to)), Ok(segment));
    }
    if let Ok(message) = Icmp::parse(data) {
        assert_eq!(Icmp::parse(&message.emit(from, to)), Ok(message));
    }
}
