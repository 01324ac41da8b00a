//! The region's servers: HTTP in, store out, feed to the hosts.
//!
//! Contract: an API call is answered from one state. What only reads takes no lock. Changes are decided, committed,
//! handed to the hosts and published by one thread, in that order, as many at once as wait for it, and are answered
//! after their commit; when a host runs, also after that host lets packets meet them, for at most two seconds. What
//! was acknowledged survives a kill, and what was not yet durable was seen by nobody.
//!
//! Limitations: no signatures are checked, so the listener belongs on a loopback address, and requests that a web
//! page can make are refused. One host.
#![forbid(unsafe_code)]

mod admin;
mod aws;
mod core;
mod guard;
pub mod host;
mod http;
mod path;
pub mod wire;
mod writer;

pub use crate::core::{Call, Controller, Mode, OpenError};
pub use region::{Settings, ZoneNames};

pub use crate::http::{Bounds, MAX_BODY, serve};
