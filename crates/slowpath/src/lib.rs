//! What a host does for packets without a session: answers, installs, drops. Pure: time comes in as nanoseconds of
//! the caller's monotonic clock, and what must be done goes out as [`Effects`].
//!
//! Contract: bytes from a guest never panic, every frame that comes up has exactly one [`Outcome`], and every drop
//! has a reason. Nothing here decides about permissions: that is `walk`. What is installed is what the walk said, of
//! the first packet and of its answers; only the objects that a decision looked at can change it.
//!
//! A decision that other ports of the client would not change leaves a template, from which the kernel program makes
//! sessions that the core does not know one by one. Revoking the template ends them; what of them may go on, the core
//! adopts. Both count sessions in the same words.
//!
//! What stays slow: ARP, neighbour discovery, DHCP of both families, fragments and ICMP errors; ICMP other than echo, and echo with identifier zero; and flows whose answers would be dropped, since a
//! decision to drop is never kept.
//!
//! Limitations: a packet that overtakes the installation of its session is forwarded but not in the session's counters.
//! The kernel only adds TCP flags, so a connection that reuses the ports of one that has just ended shares its session
//! and its short timeout. An answer that comes back by another way than through the port it was sent to opens a flow of
//! its own. The resolver knows the names that EC2
//! gives instances by their addresses, over UDP
//! and IPv4; no hosted zones, and nobody outside to ask.
#![forbid(unsafe_code)]

mod arp;
mod core;
mod dhcp;
mod dhcp6;
mod effects;
mod expire;
mod fragments;
mod icmp;
mod mtu;
mod ndp;
mod ports;
mod report;
mod reset;
mod resolver;
mod session;
mod shares;
mod templates;

pub use crate::core::{
    Config, Core, Offload, Revocation, SessionView, Stats, UplinkPort, concerned,
};
pub use effects::{DropRecord, Effect, Effects, Outcome};
pub use expire::{Activity, Timeouts};
