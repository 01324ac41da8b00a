//! What identifies a flow.

use std::net::IpAddr;

use crate::proto;

/// The 5-tuple of a packet, as its headers carry it. For ICMP echo the ports hold the identifier: an echo request
/// has it in `source_port` and 0 in `destination_port`, an echo reply the other way round, so that
/// [`FlowTuple::reversed`] of a request is its reply. All other ICMP has both at 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct FlowTuple {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port, or an echo request's identifier.
    pub source_port: u16,
    /// Destination port, or an echo reply's identifier.
    pub destination_port: u16,
}

impl FlowTuple {
    /// The tuple of the packets that answer.
    #[must_use]
    pub const fn reversed(self) -> FlowTuple {
        FlowTuple {
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
}

impl std::fmt::Display for FlowTuple {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.protocol {
            proto::TCP | proto::UDP => {
                let name = if self.protocol == proto::TCP {
                    "tcp"
                } else {
                    "udp"
                };
                let (s, d) = (
                    std::net::SocketAddr::new(self.source, self.source_port),
                    std::net::SocketAddr::new(self.destination, self.destination_port),
                );
                write!(f, "{name} {s} > {d}")
            }
            proto::ICMP | proto::ICMPV6 => write!(f, "icmp {} > {}", self.source, self.destination),
            other => write!(
                f,
                "ip-protocol-{other} {} > {}",
                self.source, self.destination
            ),
        }
    }
}

/// An inclusive range of ports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(try_from = "(u16, u16)", into = "(u16, u16)"))]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> (u16, u16) {
        (range.first, range.last)
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = &'static str;

    fn try_from((first, last): (u16, u16)) -> Result<PortRange, &'static str> {
        PortRange::new(first, last).ok_or("a range of ports that ends before it begins")
    }
}

impl PortRange {
    /// Every port.
    pub const ALL: PortRange = PortRange {
        first: 0,
        last: u16::MAX,
    };

    /// `None` if `first` is after `last`.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<PortRange> {
        if first <= last {
            Some(PortRange { first, last })
        } else {
            None
        }
    }

    /// The lowest port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether the range holds this port.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// The ports of both ranges; `None` if there are none.
    #[must_use]
    pub fn intersection(self, other: PortRange) -> Option<PortRange> {
        PortRange::new(self.first.max(other.first), self.last.min(other.last))
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}
