//! Why a packet was dropped: the one list that counters, traces, the command line and the analyzer share.

macro_rules! drop_reasons {
    ($( $(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal; )+) => {
        /// Why a packet was dropped. Codes are stable: a code is never reused and never changes its meaning.
        /// Each is explained in `docs/drop-reasons.md`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum DropReason { $( $(#[doc = $doc])+ $name = $code, )+ }

        impl DropReason {
            /// Every reason, by ascending code.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name),+];

            /// The stable number, as it stands in the kernel's counters.
            #[must_use]
            pub const fn code(self) -> u32 { self as u32 }

            /// The stable name, in kebab case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(DropReason::$name => $text),+ }
            }

            /// The reason with this code.
            #[must_use]
            pub const fn from_code(code: u32) -> Option<DropReason> {
                match code { $($code => Some(DropReason::$name),)+ _ => None }
            }
        }
    };
}

drop_reasons! {
    // Frames (1..): what cannot be a packet of this port.
    /// The frame ends before a header that it announces, or its lengths contradict each other.
    MalformedFrame = 1, "malformed-frame";
    /// The frame carries neither ARP, IPv4 nor IPv6.
    UnsupportedEtherType = 2, "unsupported-ethertype";
    /// The source MAC address is not the interface's own.
    SpoofedMac = 3, "spoofed-mac";
    /// The source IP address is not the interface's own, and the source/destination check is on.
    SpoofedAddress = 4, "spoofed-address";
    /// An IPv4 header with options. Source routing and its kind have no place in a virtual network.
    IpOptions = 5, "ip-options";
    /// A fragment that belongs to no sound datagram: too short for its headers, overlapping them, or too long.
    Fragment = 6, "fragment";
    /// An IPv6 extension header before the upper-layer header.
    Ipv6Extension = 7, "ipv6-extension";
    /// An ARP packet that claims an address for itself that the interface does not have, or an ARP reply:
    /// nobody asks a guest.
    ForgedArp = 8, "forged-arp";
    /// A frame for a MAC address that is neither the router's nor broadcast.
    ForeignMac = 9, "foreign-mac";
    /// An IP packet for a broadcast or multicast address. A virtual network has neither.
    BroadcastOrMulticast = 10, "broadcast-or-multicast";
    /// A DHCP message that is not from a client of this interface.
    InvalidDhcp = 11, "invalid-dhcp";
    /// The packet is larger than a link of its way allows, and must not be cut into fragments.
    TooBig = 12, "too-big";
    /// A neighbour discovery message that claims what the interface does not have, or is a router's: nobody asks a
    /// guest, and it routes for nobody.
    ForgedNeighbor = 13, "forged-neighbor";

    // Decisions of the walk (100..).
    /// The port or its interface is not known to this host.
    NoInterface = 100, "no-interface";
    /// No outbound rule of any of the interface's security groups allows the packet.
    SecurityGroupEgress = 101, "security-group-egress";
    /// No inbound rule of any of the destination interface's security groups allows the packet.
    SecurityGroupIngress = 102, "security-group-ingress";
    /// No route of the subnet's route table matches the destination.
    NoRoute = 103, "no-route";
    /// The chosen route's target is gone or detached.
    BlackholeRoute = 104, "blackhole-route";
    /// The destination is inside the VPC but no interface has the address.
    NoSuchAddress = 105, "no-such-address";
    /// The packet is for an interface with source/destination check on whose address it does not carry.
    DestinationCheck = 106, "destination-check";
    /// The route leads to an internet gateway but the source address has no public address.
    NoPublicAddress = 107, "no-public-address";
    /// A packet from the uplink for a public address that no interface has.
    UnassociatedPublicAddress = 108, "unassociated-public-address";
    /// The packet came from the uplink, but the interface's VPC has no attached internet gateway.
    NoInternetGateway = 109, "no-internet-gateway";
    /// The subnet's route table has no route back through the internet gateway.
    NoReturnRoute = 110, "no-return-route";
    /// The subnet or interface has no IPv6 address.
    Ipv6NotAssigned = 111, "ipv6-not-assigned";
    /// The packet is for an address of the network itself (router, resolver) that does not serve it.
    NotAService = 112, "not-a-service";
    /// An ICMP error that belongs to no session.
    UnrelatedIcmpError = 113, "unrelated-icmp-error";
    /// The interface is not attached to a running instance.
    NotAttached = 114, "not-attached";
    /// The route's target is of a kind that carries no packets yet.
    UnsupportedTarget = 115, "unsupported-target";
    /// The uplink is off, or the destination is outside what it may reach.
    UplinkClosed = 116, "uplink-closed";
    /// The network ACL denies the packet.
    NetworkAcl = 117, "network-acl";
    /// The packet would pass through a VPC, from one connection to another, where only its own traffic may.
    EdgeToEdge = 118, "edge-to-edge";
    /// The VPC's attachment to the transit gateway has no subnet in the zone that the packet is in.
    NoAttachmentInZone = 119, "no-attachment-in-zone";
    /// The packet passed more routers than any sound network has.
    RoutingLoop = 120, "routing-loop";
    /// A packet for a NAT gateway that answers no flow through it.
    NoTranslation = 121, "no-translation";
    /// The packet would be translated by a second NAT gateway.
    TranslatedTwice = 122, "translated-twice";
    /// A new flow from the outside to an interface that reaches it through an egress-only internet gateway.
    EgressOnly = 123, "egress-only";
    /// The packet's TTL or hop limit ended at a router on its way.
    TtlExceeded = 125, "ttl-exceeded";
    /// Block public access keeps what would pass an internet gateway from the subnet.
    PublicAccessBlocked = 130, "public-access-blocked";

    // Bounds (200..).
    /// More packets without a session than the interface may send up per second.
    UpcallRate = 200, "upcall-rate";
    /// The flow table is full, or the interface's share of it.
    FlowTableFull = 201, "flow-table-full";
    /// The agent's queue is full or no agent reads it.
    SlowPathUnavailable = 202, "slow-path-unavailable";
    /// The answers to the packet could not be told from the packets of another flow, which was there first.
    FlowConflict = 203, "flow-conflict";
    /// The session ended while the packet was under way in it.
    SessionEnded = 204, "session-ended";
    /// Every port of the NAT gateway's addresses is in use toward this destination.
    PortsExhausted = 205, "ports-exhausted";
    /// A fragment whose first one did not come in time, or for which there was no room to wait.
    FragmentLost = 208, "fragment-lost";
}

#[cfg(feature = "std")]
impl serde::Serialize for DropReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.code())
    }
}

#[cfg(feature = "std")]
impl<'de> serde::Deserialize<'de> for DropReason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<DropReason, D::Error> {
        let code = <u32 as serde::Deserialize>::deserialize(deserializer)?;
        DropReason::from_code(code)
            .ok_or_else(|| serde::de::Error::custom("an unknown drop reason"))
    }
}

impl core::fmt::Display for DropReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_reversible() {
        let mut names = std::collections::BTreeSet::new();
        for &reason in DropReason::ALL {
            assert_eq!(DropReason::from_code(reason.code()), Some(reason));
            assert!(names.insert(reason.name()), "{} twice", reason.name());
        }
        assert!(DropReason::ALL.is_sorted_by_key(|r| r.code()));
    }
}
