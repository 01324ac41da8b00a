//! Numbers of the Internet protocols (IANA registries).

/// IP protocol numbers (IANA "Assigned Internet Protocol Numbers").
pub const ICMP: u8 = 1;
/// TCP, RFC 9293.
pub const TCP: u8 = 6;
/// UDP, RFC 768.
pub const UDP: u8 = 17;
/// ICMP for IPv6, RFC 4443.
pub const ICMPV6: u8 = 58;

/// EtherTypes (IEEE 802 numbers).
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// ARP, RFC 826.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// IPv6, RFC 8200.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// The UDP port of a DHCP server, RFC 2131.
pub const DHCP_SERVER: u16 = 67;
/// The UDP port of a DHCP client, RFC 2131.
pub const DHCP_CLIENT: u16 = 68;
/// The UDP port of a DHCPv6 server, RFC 8415.
pub const DHCPV6_SERVER: u16 = 547;
/// The UDP port of a DHCPv6 client, RFC 8415.
pub const DHCPV6_CLIENT: u16 = 546;
