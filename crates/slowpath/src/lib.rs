//! What a host does for packets without a session: answers, installs, drops. Pure: time comes in as nanoseconds of
//! the caller's monotonic clock, and what must be done goes out as [`Effects`].
//!
//! Contract: bytes from a guest never panic, every frame that comes up has exactly one [`Outcome`], and every drop
//! has a reason. Nothing here decides about permissions: that is `walk`.
#![forbid(unsafe_code)]

mod arp;
mod core;
mod dhcp;
mod effects;
mod expire;
mod icmp;
mod session;

pub use crate::core::{Config, Core, SessionView, Stats, UplinkPort};
pub use effects::{DropRecord, Effect, Effects, Outcome};
pub use expire::{Activity, Timeouts};
