//! What a frame is, from its first bytes.
//!
//! IPv4 options and IPv6 extension headers are refused, so that every header has a constant offset: the kernel's
//! verifier needs no proof about them. Of a fragment only the IP header is read; the slow path looks at the rest.

use types::{DropReason, Mac, proto};

use crate::abi::FlowKey;

/// Length of an Ethernet header.
pub const ETHERNET_LEN: usize = 14;
/// Length of an IPv4 header without options.
pub const IPV4_LEN: usize = 20;
/// Length of an IPv6 header.
pub const IPV6_LEN: usize = 40;
/// How much of a frame [`parse`] looks at: Ethernet, IPv6 and a TCP header without options.
pub const HEAD_LEN: usize = ETHERNET_LEN + IPV6_LEN + 20;

/// A frame's first bytes; where the frame is shorter, zeros. Its IP header is aligned, because the kernel's
/// instruction set reads unaligned words byte by byte.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pad: [u8; 2],
    /// The bytes.
    pub bytes: [u8; HEAD_LEN],
}

impl Head {
    /// All zeros, to be filled.
    pub const EMPTY: Head = Head {
        pad: [0; 2],
        bytes: [0; HEAD_LEN],
    };
}

impl core::ops::Index<usize> for Head {
    type Output = u8;

    #[inline(always)]
    fn index(&self, at: usize) -> &u8 {
        &self.bytes[at]
    }
}

/// The IP header's start in a frame.
pub const L3: usize = ETHERNET_LEN;
/// The upper-layer header's start in an IPv4 frame.
pub const L4_IPV4: usize = ETHERNET_LEN + IPV4_LEN;
/// The upper-layer header's start in an IPv6 frame.
pub const L4_IPV6: usize = ETHERNET_LEN + IPV6_LEN;

/// [`Ip::port_kind`]: ports are not part of the protocol, or not of this packet.
pub const PORTS_NONE: u8 = 0;
/// [`Ip::port_kind`]: TCP or UDP ports.
pub const PORTS_BOTH: u8 = 1;
/// [`Ip::port_kind`]: an ICMP echo request, whose identifier is the source port.
pub const PORTS_ECHO_REQUEST: u8 = 2;
/// [`Ip::port_kind`]: an ICMP echo reply, whose identifier is the destination port.
pub const PORTS_ECHO_REPLY: u8 = 3;

/// [`Ip::fragment`]: a whole packet.
pub const FRAGMENT_NONE: u8 = 0;
/// [`Ip::fragment`]: the first fragment of a datagram, with its headers.
pub const FRAGMENT_FIRST: u8 = 1;
/// [`Ip::fragment`]: another one.
pub const FRAGMENT_LATER: u8 = 2;

/// Next header of IPv6's fragment header (RFC 8200 section 4.5).
const FRAGMENT_HEADER: u8 = 44;

/// A frame that may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// Neither IPv4 nor IPv6; ARP is one of these.
    NotIp {
        /// The frame's EtherType. Below 1536 it is an IEEE 802.3 length.
        ethertype: u16,
    },
    /// An IP packet.
    Ip(Ip),
}

/// An IP packet's identity and what rewriting it needs.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ip {
    /// Source address, IPv4-mapped for IPv4.
    pub source: [u8; 16],
    /// Destination address, as `source`.
    pub destination: [u8; 16],
    /// Source port, network order; see [`FlowKey`].
    pub source_port: [u8; 2],
    /// Destination port, as `source_port`.
    pub destination_port: [u8; 2],
    /// True for IPv6.
    pub v6: bool,
    /// IP protocol number.
    pub protocol: u8,
    /// What the ports are: one of the `PORTS_` constants.
    pub port_kind: u8,
    /// TCP's flags; 0 for other protocols.
    pub tcp_flags: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Which fragment it is: one of the `FRAGMENT_` constants. Those have no ports here.
    pub fragment: u8,
    /// Only the slow path can judge this packet: ICMP that is no echo, a broadcast, or a fragment.
    pub slow_only: bool,
    /// The destination IP address is multicast, or IPv4's all ones.
    pub group: bool,
    /// A message by which a host finds its configuration or its neighbours, which it may send to a group: DHCP or
    /// DHCPv6 to a server, a router or neighbour solicitation.
    pub discovery: bool,
    /// Bytes of all headers, Ethernet included: what every segment of a GSO packet repeats.
    pub header_len: usize,
    /// Bytes of the IP packet as its own header says, headers included.
    pub packet_len: usize,
}

impl Ip {
    /// The packet's key on the ingress of this interface.
    #[must_use]
    #[inline(always)]
    pub const fn key(&self, port: u32) -> FlowKey {
        FlowKey {
            port,
            protocol: self.protocol,
            pad: [0; 3],
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
        }
    }

    /// The bytes of [`Ip::key`] in words of the machine's order: what was written in words is read in words, which
    /// the processor does without a detour through the cache.
    #[must_use]
    #[inline(always)]
    pub const fn key_words(&self, port: u32) -> [u32; 11] {
        self.key(port).words()
    }
}

/// The frame's destination MAC address.
#[must_use]
#[inline(always)]
pub fn destination_mac(head: &Head) -> Mac {
    Mac(take(head, 0))
}

/// The frame's source MAC address.
#[must_use]
#[inline(always)]
pub fn source_mac(head: &Head) -> Mac {
    Mac(take(head, 6))
}

/// What the frame of `frame_len` bytes is that begins with `head`.
///
/// Refused: a frame that ends before its headers or whose IP header announces more than there is
/// (`MalformedFrame`); IPv4 options (`IpOptions`); IPv6 extension headers other than a fragment header
/// (`Ipv6Extension`). An IPv6 packet with an IPv4-mapped address is malformed too: such addresses never stand in a
/// packet (RFC 4038 section 4.2), and here they would pass for the IPv4 addresses of a [`FlowKey`].
///
/// Checksums are not looked at: whoever receives the packet does that.
pub fn parse(head: &Head, frame_len: usize) -> Result<Parsed, DropReason> {
    let mut ip = Ip::default();
    Ok(match parse_into(head, frame_len, &mut ip)? {
        Family::Ip => Parsed::Ip(ip),
        Family::NotIp(ethertype) => Parsed::NotIp { ethertype },
    })
}

/// What [`parse_into`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// An IP packet.
    Ip,
    /// This EtherType.
    NotIp(u16),
}

/// [`parse`] for the kernel program, whose stack is too small to move an [`Ip`] about: fills `ip`, which must be
/// its default. After an error or `NotIp` its content means nothing.
#[inline(always)]
pub fn parse_into(head: &Head, frame_len: usize, ip: &mut Ip) -> Result<Family, DropReason> {
    if frame_len < ETHERNET_LEN {
        return Err(DropReason::MalformedFrame);
    }
    match u16::from_be_bytes([head[12], head[13]]) {
        proto::ETHERTYPE_IPV4 => ipv4(head, frame_len, ip)?,
        proto::ETHERTYPE_IPV6 => ipv6(head, frame_len, ip)?,
        ethertype => return Ok(Family::NotIp(ethertype)),
    }
    Ok(Family::Ip)
}

/// [`parse`] of a whole frame.
pub fn parse_frame(frame: &[u8]) -> Result<Parsed, DropReason> {
    parse(&head_of(frame), frame.len())
}

/// A frame's first bytes, filled with zeros.
#[must_use]
pub fn head_of(frame: &[u8]) -> Head {
    let mut head = Head::EMPTY;
    for (to, from) in head.bytes.iter_mut().zip(frame) {
        *to = *from;
    }
    head
}

#[inline(always)]
fn ipv4(head: &Head, frame_len: usize, ip: &mut Ip) -> Result<(), DropReason> {
    if frame_len < L4_IPV4 || head[L3] >> 4 != 4 {
        return Err(DropReason::MalformedFrame);
    }
    let total = u16::from_be_bytes([head[L3 + 2], head[L3 + 3]]) as usize;
    // RFC 791 section 3.1: the header length counts words of four bytes; five is a header without options.
    match head[L3] & 0x0f {
        5 => {}
        words if words > 5 && words as usize * 4 <= total && ETHERNET_LEN + total <= frame_len => {
            return Err(DropReason::IpOptions);
        }
        _ => return Err(DropReason::MalformedFrame),
    }
    if total < IPV4_LEN || ETHERNET_LEN + total > frame_len {
        return Err(DropReason::MalformedFrame);
    }
    ip.protocol = head[L3 + 9];
    ip.ttl = head[L3 + 8];
    ip.packet_len = total;
    ip.source = mapped(take(head, L3 + 12));
    ip.destination = mapped(take(head, L3 + 16));
    // RFC 1112 section 4 and RFC 919 section 7.
    ip.group = head[L3 + 16] & 0xf0 == 0xe0
        || (head[L3 + 16] & head[L3 + 17] & head[L3 + 18] & head[L3 + 19]) == 0xff;
    // More fragments, or an offset.
    if head[L3 + 6] & 0x3f != 0 || head[L3 + 7] != 0 {
        fragment(ip, head[L3 + 6] & 0x1f == 0 && head[L3 + 7] == 0);
        return Ok(());
    }
    upper_layer::<L4_IPV4>(ip, head, total - IPV4_LEN)
}

#[inline(always)]
fn ipv6(head: &Head, frame_len: usize, ip: &mut Ip) -> Result<(), DropReason> {
    if frame_len < L4_IPV6 || head[L3] >> 4 != 6 {
        return Err(DropReason::MalformedFrame);
    }
    let payload = u16::from_be_bytes([head[L3 + 4], head[L3 + 5]]) as usize;
    if L4_IPV6 + payload > frame_len {
        return Err(DropReason::MalformedFrame);
    }
    let protocol = head[L3 + 6];
    match protocol {
        // RFC 7045 section 4: hop-by-hop, routing, ESP aside (it is opaque, not skippable), authentication,
        // destination options, mobility, HIP, shim6, experiments.
        0 | 43 | 51 | 60 | 135 | 139 | 140 | 253 | 254 => return Err(DropReason::Ipv6Extension),
        _ => {}
    }
    ip.v6 = true;
    ip.ttl = head[L3 + 7];
    ip.protocol = protocol;
    ip.packet_len = IPV6_LEN + payload;
    ip.group = head[L3 + 24] == 0xff;
    ip.source = take(head, L3 + 8);
    ip.destination = take(head, L3 + 24);
    if is_mapped(&ip.source) || is_mapped(&ip.destination) {
        return Err(DropReason::MalformedFrame);
    }
    if protocol == FRAGMENT_HEADER {
        if payload < 8 {
            return Err(DropReason::MalformedFrame);
        }
        ip.protocol = head[L4_IPV6];
        fragment(ip, head[L4_IPV6 + 2] == 0 && head[L4_IPV6 + 3] & 0xf8 == 0);
        return Ok(());
    }
    upper_layer::<L4_IPV6>(ip, head, payload)
}

/// Only the slow path knows what the datagram is.
#[inline(always)]
const fn fragment(ip: &mut Ip, first: bool) {
    ip.fragment = if first {
        FRAGMENT_FIRST
    } else {
        FRAGMENT_LATER
    };
    ip.slow_only = true;
}

/// Ports, flags and lengths of the upper layer, of which `len` bytes are there, from `START` on in the frame.
#[inline(always)]
fn upper_layer<const START: usize>(ip: &mut Ip, head: &Head, len: usize) -> Result<(), DropReason> {
    let mut header = 0;
    match (ip.protocol, ip.v6) {
        (proto::TCP, _) => {
            header = (head[START + 12] >> 4) as usize * 4;
            // RFC 9293 section 3.1: the data offset counts words of four bytes, five at least.
            if len < 20 || header < 20 || header > len {
                return Err(DropReason::MalformedFrame);
            }
            ip.tcp_flags = head[START + 13];
            ports::<START>(ip, head);
        }
        (proto::UDP, _) => {
            header = 8;
            let announced = u16::from_be_bytes(take(head, START + 4)) as usize;
            // RFC 768: the length counts the header.
            if len < 8 || announced < 8 || announced > len {
                return Err(DropReason::MalformedFrame);
            }
            ports::<START>(ip, head);
            // RFC 2131 section 4.1, RFC 8415 section 7.2.
            let [server_high, server_low] = ip.destination_port;
            ip.discovery = match (ip.v6, u16::from_be_bytes([server_high, server_low])) {
                (false, port) => port == proto::DHCP_SERVER,
                (true, port) => port == proto::DHCPV6_SERVER,
            };
        }
        // ICMP is not ICMPv6: across families these numbers are unassigned protocols.
        (proto::ICMP, false) => {
            header = 8;
            icmp::<START>(ip, head, len, 8, 0)?;
        }
        (proto::ICMPV6, true) => {
            header = 8;
            icmp::<START>(ip, head, len, 128, 129)?;
        }
        _ => {}
    }
    if ip.group {
        ip.slow_only = true;
    }
    ip.header_len = START + header;
    Ok(())
}

#[inline(always)]
fn ports<const START: usize>(ip: &mut Ip, head: &Head) {
    ip.source_port = take(head, START);
    ip.destination_port = take(head, START + 2);
    ip.port_kind = PORTS_BOTH;
}

#[inline(always)]
fn icmp<const START: usize>(
    ip: &mut Ip,
    head: &Head,
    len: usize,
    request: u8,
    reply: u8,
) -> Result<(), DropReason> {
    if len < 8 {
        return Err(DropReason::MalformedFrame);
    }
    let identifier = take(head, START + 4);
    let kind = head[START];
    if kind == request && head[START + 1] == 0 {
        ip.source_port = identifier;
        ip.port_kind = PORTS_ECHO_REQUEST;
    } else if kind == reply && head[START + 1] == 0 {
        ip.destination_port = identifier;
        ip.port_kind = PORTS_ECHO_REPLY;
    } else {
        ip.slow_only = true;
        // RFC 4861 sections 4.1 and 4.3.
        ip.discovery = ip.v6 && (kind == 133 || kind == 135);
    }
    Ok(())
}

/// N bytes from `at` on. Every caller's `at` is a constant that fits.
#[inline(always)]
fn take<const N: usize>(head: &Head, at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head.bytes[at..at + N]);
    bytes
}

/// RFC 4291 section 2.5.5.2.
#[inline(always)]
fn mapped(v4: [u8; 4]) -> [u8; 16] {
    let mut v6 = [0; 16];
    v6[10] = 0xff;
    v6[11] = 0xff;
    v6[12..].copy_from_slice(&v4);
    v6
}

#[inline(always)]
fn is_mapped(address: &[u8; 16]) -> bool {
    u128::from_be_bytes(*address) >> 32 == 0xffff
}
