//! Frames as values: each header is a struct that borrows its payload, with `parse` and `emit`.
//!
//! Contract: `parse` never panics, copies no payload, and keeps values that it does not know; `emit` computes
//! lengths and checksums, so `parse(emit(x)) == x`. Checksums are not checked by `parse` (a frame of a guest may
//! leave them to the hardware); [`checksum::hold`] does that.
//!
//! Limitations: whoever needs only addresses and ports uses `fastpath_core::parse`, which is also what the kernel
//! does. Here fragments are not reassembled and IPv6 extension headers are payload.
#![forbid(unsafe_code)]

mod arp;
mod bytes;
pub mod checksum;
pub mod dhcp;
pub mod dhcp6;
pub mod dns;
mod ethernet;
mod ip;
pub mod ndp;
mod transport;

pub use arp::{Arp, ArpOperation};
pub use ethernet::Ethernet;
pub use ip::{Ipv4, Ipv6};
pub use transport::{Icmp, Tcp, Udp};

/// Bytes that are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// They end before the header does, or before the length that it announces.
    #[error("{0}: the bytes end too early")]
    Truncated(&'static str),
    /// A field contradicts another, or the protocol.
    #[error("{0}: a field has an impossible value")]
    Field(&'static str),
}
