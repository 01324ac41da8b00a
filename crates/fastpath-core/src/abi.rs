//! The records of the BPF maps and of the upcall device, as kernel and host both see them.
//!
//! Addresses and ports are byte arrays in network order; all padding is explicit, so that a record has no byte
//! without a value. A change of any of these records is a new [`ABI_VERSION`].

use types::{DropReason, Mac};

use crate::template::{MAP_GENERATIONS, MAP_TEMPLATES, MAP_USAGE};

/// The version of everything in this module. Pinned maps of another version are not adopted.
pub const ABI_VERSION: u32 = 7;

/// `u32` 0 → [`Config`], an array of one.
pub const MAP_CONFIG: &str = "CONFIG";
/// Slot (see [`port_slot`]) → [`Port`], an array.
pub const MAP_PORTS: &str = "PORTS";
/// [`FlowKey`] → [`Flow`].
pub const MAP_FLOWS: &str = "FLOWS";
/// [`DropKey`] → `u64` packets, per CPU.
pub const MAP_DROPS: &str = "DROPS";
/// The port's slot → [`PortCounters`], an array per CPU.
pub const MAP_COUNTERS: &str = "COUNTERS";
/// Every map's name that is pinned.
pub const MAPS: [&str; 8] = [
    MAP_CONFIG,
    MAP_PORTS,
    MAP_FLOWS,
    MAP_DROPS,
    MAP_COUNTERS,
    MAP_TEMPLATES,
    MAP_GENERATIONS,
    MAP_USAGE,
];

/// The program on the ingress of every port and of the uplink.
pub const PROGRAM_PORT: &str = "port_ingress";
/// The program on the ingress of the upcall device.
pub const PROGRAM_SLOW: &str = "slow_ingress";

/// The most ports of a host, and so the size of [`MAP_PORTS`] and [`MAP_COUNTERS`].
pub const MAX_PORTS: u32 = 4096;
/// How many slots an interface may have its record in.
pub const PORT_SLOTS: u32 = 8;
/// The size of [`MAP_DROPS`]: enough for a few reasons of every port.
pub const MAX_DROPS: u32 = 65_536;
/// Interface indices travel in 24 bits when a frame is re-injected (see [`encode_output`]).
pub const MAX_IFINDEX: u32 = 0x00ff_ffff;

/// What the kernel program must know of its host.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// [`ABI_VERSION`] of the process that wrote the maps.
    pub abi_version: u32,
    /// Interface index of the upcall device; 0 while there is none, then upcalls are dropped.
    pub slow_ifindex: u32,
}

/// A packet's identity as a port sees it. IPv4 addresses are IPv4-mapped (RFC 4291 section 2.5.5.2). Ports follow
/// the convention of `types::FlowTuple`: an ICMP echo request has its identifier as source port, a reply as
/// destination port, other protocols have zeros.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FlowKey {
    /// Index of the interface on whose ingress the packet arrives.
    pub port: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// Zeros.
    pub pad: [u8; 3],
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source port.
    pub source_port: [u8; 2],
    /// Destination port.
    pub destination_port: [u8; 2],
}

/// One direction of a session: all that the kernel program needs for a packet, in the order in which it needs it, and
/// all that it writes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flow {
    /// [`FlowKey::seal`] of the key that leads here. First, because it is written first: see there.
    pub seal: u64,
    /// Packets, counted as on a wire: a GSO packet is its segments.
    pub packets: u64,
    /// Bytes, from the IP header on, counted as on a wire.
    pub bytes: u64,
    /// When a packet was last seen, as [`Session::last_seen_ns`].
    pub last_seen_ns: u64,
    /// TCP flags seen, ORed.
    pub tcp_flags: u32,
    /// The kernel's clock tick at which `last_seen_ns` was written.
    pub tick: u32,
    /// What to do with the packets.
    pub action: Action,
    /// Which direction: 0 or 1.
    pub direction: u32,
    /// The session of which this is a direction.
    pub session: u64,
    /// When the session was made, `CLOCK_MONOTONIC` nanoseconds.
    pub created_ns: u64,
    /// The agent's own mark.
    pub mark: u32,
    /// The slot of the template that it was made from; 0 if the agent made it.
    pub template: u32,
    /// The template's generation then. With another one in the slot, the session is not followed.
    pub generation: u32,
    /// Zeros.
    pub pad: [u8; 4],
}

/// [`Action::kind`]: hand to the guest behind `output`, by `bpf_redirect_peer`.
pub const ACTION_DELIVER: u8 = 1;
/// [`Action::kind`]: transmit on `output`, by `bpf_redirect`.
pub const ACTION_TRANSMIT: u8 = 2;
/// [`Action::kind`]: drop, with the reason code in `output`. For a session whose permission has gone.
pub const ACTION_DROP: u8 = 3;

/// [`Action::flags`]: write `source` and `source_port` into the packet.
pub const REWRITE_SOURCE: u8 = 1;
/// [`Action::flags`]: write `destination` and `destination_port` into the packet.
pub const REWRITE_DESTINATION: u8 = 2;
/// [`Action::flags`]: TCP packets with SYN go up to the slow path, which lowers the segment size that they announce
/// to what the way carries.
pub const CLAMP_MSS: u8 = 4;

impl FlowKey {
    /// The key's bytes in words of the machine's order.
    #[must_use]
    #[inline(always)]
    pub const fn words(&self) -> [u32; 11] {
        let [s0, s1, s2, s3] = words(&self.source);
        let [d0, d1, d2, d3] = words(&self.destination);
        let ([p0, p1], [p2, p3]) = (self.source_port, self.destination_port);
        let protocol = u32::from_ne_bytes([self.protocol, 0, 0, 0]);
        let ports = u32::from_ne_bytes([p0, p1, p2, p3]);
        [self.port, protocol, s0, s1, s2, s3, d0, d1, d2, d3, ports]
    }

    /// A digest of a key, kept with what is behind it. The kernel may give the memory of a removed flow to a new one
    /// while a program still reads it; who has read an action and then finds another seal has read another flow's.
    /// Each word has a multiplier of its own, so the products do not wait for each other.
    #[must_use]
    #[inline(always)]
    pub const fn seal(key: &[u32; 11]) -> u64 {
        const M: u64 = 0x9e37_79b9_7f4a_7c15;
        (key[0] as u64).wrapping_mul(M)
            ^ (key[1] as u64).wrapping_mul(M.rotate_left(7) | 1)
            ^ (key[2] as u64).wrapping_mul(M.rotate_left(12) | 1)
            ^ (key[3] as u64).wrapping_mul(M.rotate_left(17) | 1)
            ^ (key[4] as u64).wrapping_mul(M.rotate_left(22) | 1)
            ^ (key[5] as u64).wrapping_mul(M.rotate_left(27) | 1)
            ^ (key[6] as u64).wrapping_mul(M.rotate_left(32) | 1)
            ^ (key[7] as u64).wrapping_mul(M.rotate_left(37) | 1)
            ^ (key[8] as u64).wrapping_mul(M.rotate_left(42) | 1)
            ^ (key[9] as u64).wrapping_mul(M.rotate_left(47) | 1)
            ^ (key[10] as u64).wrapping_mul(M.rotate_left(52) | 1)
    }
}

#[inline(always)]
const fn words(bytes: &[u8; 16]) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        u32::from_ne_bytes([i, j, k, l]),
        u32::from_ne_bytes([m, n, o, p]),
    ]
}

/// What to do with the packets of one direction of a session.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Action {
    /// [`ACTION_DELIVER`], [`ACTION_TRANSMIT`] or [`ACTION_DROP`]. Anything else drops.
    pub kind: u8,
    /// Of [`REWRITE_SOURCE`], [`REWRITE_DESTINATION`] and [`CLAMP_MSS`].
    pub flags: u8,
    /// How many routers are on the way: so much less is the packet's TTL or hop limit on arrival. One that does not
    /// suffice goes up.
    pub hops: u8,
    /// Zeros.
    pub pad: u8,
    /// Interface index of the destination port's host side, or of the uplink.
    pub output: u32,
    /// The frame's new destination MAC address.
    pub destination_mac: [u8; 6],
    /// The frame's new source MAC address; `Mac::ROUTER` for a guest.
    pub source_mac: [u8; 6],
    /// New source address, of the packet's family. Meaningful with [`REWRITE_SOURCE`].
    pub source: [u8; 16],
    /// New destination address, of the packet's family. Meaningful with [`REWRITE_DESTINATION`].
    pub destination: [u8; 16],
    /// New source port (or echo request identifier).
    pub source_port: [u8; 2],
    /// New destination port (or echo reply identifier).
    pub destination_port: [u8; 2],
    /// The largest IP packet that the way carries, in bytes; a larger one, as it would be on a wire, goes up. 0 is no
    /// bound.
    pub mtu: u16,
    /// Zeros.
    pub pad_end: [u8; 2],
}

/// One conversation: both directions' keys, actions and counters. This is how the host sees it; in the kernel each
/// direction is a [`Flow`] of its own, so that a packet finds everything behind its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Session {
    /// The keys that lead here: 0 is the direction of the packet that opened the session.
    pub key: [FlowKey; 2],
    /// What to do with each direction's packets.
    pub action: [Action; 2],
    /// Packets per direction, counted as on a wire: a GSO packet is its segments.
    pub packets: [u64; 2],
    /// Bytes per direction, from the IP header on, counted as on a wire.
    pub bytes: [u64; 2],
    /// When the session was made, `CLOCK_MONOTONIC` nanoseconds.
    pub created_ns: u64,
    /// When a packet of either direction was last seen, `CLOCK_MONOTONIC` nanoseconds. Of the packets in one tick of
    /// the kernel's clock, a few milliseconds, the first one counts.
    pub last_seen_ns: u64,
    /// TCP flags seen: direction 0 in bits 0–7, direction 1 in bits 8–15. See [`Session::tcp_flags_seen`].
    pub tcp_flags: u32,
    /// The agent's own mark, for instance which revision of the topology decided the session.
    pub mark: u32,
    /// See [`Flow::template`].
    pub template: u32,
    /// See [`Flow::generation`].
    pub generation: u32,
}

/// TCP flag bits (RFC 9293 section 3.1).
pub const TCP_FIN: u8 = 0x01;
/// See [`TCP_FIN`].
pub const TCP_SYN: u8 = 0x02;
/// See [`TCP_FIN`].
pub const TCP_RST: u8 = 0x04;
/// See [`TCP_FIN`].
pub const TCP_ACK: u8 = 0x10;

impl Session {
    /// All TCP flags seen in a direction (0 or 1), ORed.
    #[must_use]
    pub const fn tcp_flags_seen(&self, direction: usize) -> u8 {
        let bytes = self.tcp_flags.to_le_bytes();
        if direction == 0 { bytes[0] } else { bytes[1] }
    }

    /// What the kernel knows of a direction (0 or 1) of this session.
    #[must_use]
    pub const fn flow(&self, id: u64, direction: usize) -> Flow {
        let d = direction & 1;
        Flow {
            seal: FlowKey::seal(&self.key[d].words()),
            packets: self.packets[d],
            bytes: self.bytes[d],
            last_seen_ns: self.last_seen_ns,
            tcp_flags: self.tcp_flags_seen(d) as u32,
            tick: 0,
            action: self.action[d],
            direction: if d == 0 { 0 } else { 1 },
            session: id,
            created_ns: self.created_ns,
            mark: self.mark,
            template: self.template,
            generation: self.generation,
            pad: [0; 4],
        }
    }

    /// Takes over what the kernel knows of the direction that this key leads to.
    pub const fn join(&mut self, key: FlowKey, flow: &Flow) {
        let d = (flow.direction & 1) as usize;
        self.key[d] = key;
        self.action[d] = flow.action;
        self.packets[d] = flow.packets;
        self.bytes[d] = flow.bytes;
        self.tcp_flags |= (flow.tcp_flags & 0xff) << (d * 8);
        self.created_ns = flow.created_ns;
        self.mark = flow.mark;
        self.template = flow.template;
        self.generation = flow.generation;
        if flow.last_seen_ns > self.last_seen_ns {
            self.last_seen_ns = flow.last_seen_ns;
        }
    }
}

/// Where the record of an interface may be: the slots for the attempts from 0 to [`PORT_SLOTS`] - 1. An array
/// and a comparison cost a fraction of what hashing does, and indices are dense.
#[must_use]
#[inline(always)]
pub const fn port_slot(ifindex: u32, attempt: u32) -> u32 {
    ifindex.wrapping_add(attempt) % MAX_PORTS
}

/// [`Port::kind`]: a guest's interface. Its source MAC address is checked.
pub const PORT_GUEST: u32 = 0;
/// [`Port::kind`]: Polder's side of the host's uplink.
pub const PORT_UPLINK: u32 = 1;

/// An interface whose ingress the kernel program serves.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Port {
    /// [`PORT_GUEST`] or [`PORT_UPLINK`].
    pub kind: u32,
    /// The guest's MAC address. Zeros for the uplink.
    pub mac: [u8; 6],
    /// Zeros.
    pub pad: [u8; 2],
    /// Index of the interface; 0 in a slot that is free.
    pub ifindex: u32,
    /// Upcall bound: nanoseconds that one upcall costs, so 10⁹ ÷ upcalls per second.
    pub upcall_interval_ns: u64,
    /// Upcall bound: how far ahead of the clock the bucket may run, so burst × interval.
    pub upcall_burst_ns: u64,
    /// The bucket itself: when it will be full again, `CLOCK_MONOTONIC` nanoseconds. Starts at 0.
    pub upcall_full_ns: u64,
}

impl Port {
    /// A guest's port with a bound on its upcalls: so many per second, and so many at once. Zeros count as 1. Whoever
    /// writes the record sets `ifindex`.
    #[must_use]
    pub const fn guest(mac: Mac, upcalls_per_second: u32, upcall_burst: u32) -> Port {
        Port::new(PORT_GUEST, mac.0, upcalls_per_second, upcall_burst)
    }

    /// The uplink's port, bounded as [`Port::guest`] is.
    #[must_use]
    pub const fn uplink(upcalls_per_second: u32, upcall_burst: u32) -> Port {
        Port::new(PORT_UPLINK, [0; 6], upcalls_per_second, upcall_burst)
    }

    const fn new(kind: u32, mac: [u8; 6], upcalls_per_second: u32, upcall_burst: u32) -> Port {
        let per_second = if upcalls_per_second == 0 {
            1
        } else {
            upcalls_per_second as u64
        };
        let burst = if upcall_burst == 0 {
            1
        } else {
            upcall_burst as u64
        };
        let interval = if per_second > 1_000_000_000 {
            1
        } else {
            1_000_000_000 / per_second
        };
        Port {
            kind,
            mac,
            pad: [0; 2],
            ifindex: 0,
            upcall_interval_ns: interval,
            upcall_burst_ns: burst * interval,
            upcall_full_ns: 0,
        }
    }
}

/// What passed a port. Received is what the guest (or the host, on the uplink) sent. A packet counts as
/// transmitted when the kernel program redirects it to this port. Packets count as on a wire, bytes from the
/// Ethernet header on.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortCounters {
    /// Packets from the port, dropped ones included.
    pub rx_packets: u64,
    /// Bytes from the port.
    pub rx_bytes: u64,
    /// Packets to the port.
    pub tx_packets: u64,
    /// Bytes to the port.
    pub tx_bytes: u64,
    /// Frames of the port that went up to the slow path. A GSO packet is one.
    pub upcalls: u64,
}

/// Key of the drop counters.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DropKey {
    /// Index of the interface on whose ingress the packet arrived.
    pub ifindex: u32,
    /// [`DropReason::code`].
    pub reason: u32,
}

/// [`UpcallHeader::reason`]: the packet has no session.
pub const UPCALL_NO_SESSION: u8 = 1;
/// [`UpcallHeader::reason`]: ARP.
pub const UPCALL_ARP: u8 = 2;
/// [`UpcallHeader::reason`]: an IP packet that only the slow path can judge: an ICMP error, neighbour discovery,
/// a broadcast (DHCP), or a fragment.
pub const UPCALL_SLOW_ONLY: u8 = 3;
/// [`UpcallHeader::reason`]: the packet has a session, but its action cannot be done with it as it is: its TTL does not
/// suffice, it is too big, or it is a SYN whose segment size must be lowered.
pub const UPCALL_SESSION: u8 = 4;
/// [`UpcallHeader::reason`]: the packet has a session whose template has gone.
pub const UPCALL_STALE: u8 = 5;

/// Stands before every frame that comes up. Its first 14 bytes have the form of an Ethernet header, so that
/// nothing on the way mistakes them for something else.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpcallHeader {
    /// [`UPCALL_MAGIC`].
    pub magic: [u8; 4],
    /// Index of the interface on whose ingress the frame arrived, network order.
    pub ifindex: [u8; 4],
    /// Why the frame comes up: one of the `UPCALL_` constants.
    pub reason: u8,
    /// [`PORT_GUEST`] or [`PORT_UPLINK`].
    pub port_kind: u8,
    /// Zeros.
    pub pad: [u8; 2],
    /// [`UPCALL_ETHERTYPE`].
    pub ethertype: [u8; 2],
    /// Zeros; aligns the frame's own IP header as it was.
    pub pad_end: [u8; 2],
}

/// First bytes of an [`UpcallHeader`]: `Pdup`.
pub const UPCALL_MAGIC: [u8; 4] = *b"Pdup";
/// "Local Experimental Ethertype 1" (IEEE 802).
pub const UPCALL_ETHERTYPE: [u8; 2] = [0x88, 0xb5];
/// Length of an [`UpcallHeader`].
pub const UPCALL_HEADER_LEN: usize = 16;

impl UpcallHeader {
    /// A header for a frame of this interface.
    #[must_use]
    #[inline(always)]
    pub const fn new(ifindex: u32, port_kind: u8, reason: u8) -> UpcallHeader {
        UpcallHeader {
            magic: UPCALL_MAGIC,
            ifindex: ifindex.to_be_bytes(),
            reason,
            port_kind,
            pad: [0; 2],
            ethertype: UPCALL_ETHERTYPE,
            pad_end: [0; 2],
        }
    }

    /// The header's bytes.
    #[must_use]
    #[inline(always)]
    pub const fn to_bytes(self) -> [u8; UPCALL_HEADER_LEN] {
        let [m0, m1, m2, m3] = self.magic;
        let [i0, i1, i2, i3] = self.ifindex;
        let [e0, e1] = self.ethertype;
        let (reason, kind) = (self.reason, self.port_kind);
        [
            m0, m1, m2, m3, i0, i1, i2, i3, reason, kind, 0, 0, e0, e1, 0, 0,
        ]
    }

    /// Splits what was read from the upcall device into header and frame. `None` if it is not an upcall: the
    /// host's own stack may send frames there too.
    #[must_use]
    pub fn split(bytes: &[u8]) -> Option<(UpcallHeader, &[u8])> {
        let (head, frame) = bytes.split_at_checked(UPCALL_HEADER_LEN)?;
        let head: &[u8; UPCALL_HEADER_LEN] = head.try_into().ok()?;
        let [_, _, _, _, i0, i1, i2, i3, reason, port_kind, ..] = *head;
        let header = UpcallHeader::new(u32::from_be_bytes([i0, i1, i2, i3]), port_kind, reason);
        (header.to_bytes() == *head).then_some((header, frame))
    }

    /// Index of the interface on whose ingress the frame arrived.
    #[must_use]
    pub const fn interface_index(&self) -> u32 {
        u32::from_be_bytes(self.ifindex)
    }
}

/// How a re-injected frame leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// To the guest behind this interface.
    Deliver(u32),
    /// Out of this interface, which is the uplink.
    Transmit(u32),
}

/// The source MAC address that tells the kernel program where a frame written to the upcall device goes:
/// `02:70`, 1 for deliver or 2 for transmit, and the low 24 bits of the interface index in network order. The
/// program replaces it by `Mac::ROUTER`. `None` if the index needs more than 24 bits.
#[must_use]
pub const fn encode_output(output: Output) -> Option<[u8; 6]> {
    let (operation, ifindex) = match output {
        Output::Deliver(ifindex) => (ACTION_DELIVER, ifindex),
        Output::Transmit(ifindex) => (ACTION_TRANSMIT, ifindex),
    };
    let [top, a, b, c] = ifindex.to_be_bytes();
    if top != 0 {
        return None;
    }
    Some([0x02, 0x70, operation, a, b, c])
}

/// The reverse of [`encode_output`]; `None` for every other address.
#[must_use]
#[inline(always)]
pub const fn decode_output(mac: [u8; 6]) -> Option<Output> {
    let [m0, m1, operation, a, b, c] = mac;
    if m0 != 0x02 || m1 != 0x70 {
        return None;
    }
    let ifindex = u32::from_be_bytes([0, a, b, c]);
    match operation {
        ACTION_DELIVER => Some(Output::Deliver(ifindex)),
        ACTION_TRANSMIT => Some(Output::Transmit(ifindex)),
        _ => None,
    }
}

impl Action {
    /// An action that drops every packet, counted under this reason.
    #[must_use]
    pub const fn drop(reason: DropReason) -> Action {
        Action {
            kind: ACTION_DROP,
            flags: 0,
            hops: 0,
            pad: 0,
            output: reason.code(),
            destination_mac: [0; 6],
            source_mac: [0; 6],
            source: [0; 16],
            destination: [0; 16],
            source_port: [0; 2],
            destination_port: [0; 2],
            mtu: 0,
            pad_end: [0; 2],
        }
    }
}

const _: () = {
    assert!(size_of::<Config>() == 8);
    assert!(size_of::<FlowKey>() == 44 && align_of::<FlowKey>() == 4);
    assert!(size_of::<Flow>() == 136 && align_of::<Flow>() == 8);
    assert!(size_of::<Action>() == 60 && align_of::<Action>() == 4);
    assert!(size_of::<Port>() == 40);
    assert!(size_of::<PortCounters>() == 40);
    assert!(size_of::<DropKey>() == 8);
    assert!(size_of::<UpcallHeader>() == UPCALL_HEADER_LEN);
};

#[cfg(feature = "std")]
mod convert {
    use std::net::{IpAddr, Ipv6Addr};

    use types::FlowTuple;

    use super::FlowKey;

    /// An address as the records hold it: IPv4 becomes IPv4-mapped.
    #[must_use]
    pub const fn address_bytes(address: IpAddr) -> [u8; 16] {
        match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        }
    }

    /// The reverse of [`address_bytes`].
    #[must_use]
    pub fn address(bytes: [u8; 16]) -> IpAddr {
        let v6 = Ipv6Addr::from(bytes);
        match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(v6),
        }
    }

    impl FlowKey {
        /// The key of the packets with this tuple on the ingress of this interface.
        #[must_use]
        pub const fn new(port: u32, tuple: &FlowTuple) -> FlowKey {
            FlowKey {
                port,
                protocol: tuple.protocol,
                pad: [0; 3],
                source: address_bytes(tuple.source),
                destination: address_bytes(tuple.destination),
                source_port: tuple.source_port.to_be_bytes(),
                destination_port: tuple.destination_port.to_be_bytes(),
            }
        }

        /// The tuple of the packets with this key.
        #[must_use]
        pub fn tuple(&self) -> FlowTuple {
            FlowTuple {
                source: address(self.source),
                destination: address(self.destination),
                protocol: self.protocol,
                source_port: u16::from_be_bytes(self.source_port),
                destination_port: u16::from_be_bytes(self.destination_port),
            }
        }
    }
}

#[cfg(feature = "std")]
pub use convert::{address, address_bytes};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_round_trip_and_router_is_none() {
        for output in [Output::Deliver(7), Output::Transmit(MAX_IFINDEX)] {
            let mac = encode_output(output).expect("fits");
            assert_eq!(decode_output(mac), Some(output));
            assert!(!Mac(mac).is_group());
        }
        assert_eq!(encode_output(Output::Deliver(MAX_IFINDEX + 1)), None);
        assert_eq!(decode_output(Mac::ROUTER.0), None);
    }

    #[test]
    fn upcall_header_round_trip() {
        let header = UpcallHeader::new(0x0102_0304, 1, UPCALL_ARP);
        let mut bytes = header.to_bytes().to_vec();
        assert!(!Mac([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]]).is_group());
        bytes.extend([9, 8]);
        let (back, frame) = UpcallHeader::split(&bytes).expect("an upcall");
        assert_eq!((back, frame), (header, &[9u8, 8][..]));
        assert_eq!(back.interface_index(), 0x0102_0304);
        bytes[0] ^= 1;
        assert_eq!(UpcallHeader::split(&bytes), None);
        assert_eq!(UpcallHeader::split(&bytes[..15]), None);
    }

    #[test]
    fn tuple_round_trip() {
        let tuple = types::FlowTuple {
            source: "10.0.0.1".parse().expect("address"),
            destination: "2001:db8::1".parse().expect("address"),
            protocol: 6,
            source_port: 1,
            destination_port: 65_535,
        };
        assert_eq!(FlowKey::new(3, &tuple).tuple(), tuple);
    }

    #[test]
    fn port_bounds() {
        assert_eq!(
            Port::guest(Mac::ROUTER, 1000, 50).upcall_interval_ns,
            1_000_000
        );
        assert_eq!(
            Port::guest(Mac::ROUTER, 1000, 50).upcall_burst_ns,
            50_000_000
        );
        assert_eq!(Port::uplink(0, 0).upcall_interval_ns, 1_000_000_000);
    }

    #[test]
    fn every_word_of_a_key_is_in_its_seal() {
        let key = FlowKey {
            port: 7,
            protocol: 6,
            pad: [0; 3],
            source: [1; 16],
            destination: [2; 16],
            source_port: [3; 2],
            destination_port: [4; 2],
        };
        let words = key.words();
        let seal = FlowKey::seal(&words);
        for at in 0..words.len() {
            for bit in 0..32 {
                let mut other = words;
                other[at] ^= 1 << bit;
                assert_ne!(FlowKey::seal(&other), seal, "word {at}, bit {bit}");
            }
        }
        // The same bytes in another place are another key.
        let mut swapped = words;
        swapped.swap(2, 6);
        assert_ne!(FlowKey::seal(&swapped), seal);
    }
}
