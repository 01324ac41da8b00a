//! The region's servers: HTTP in, store out, feed to the hosts.
//!
//! Contract: an API call is answered from one state. What only reads takes no lock. Changes are decided, committed,
//! handed to the hosts and published by one thread, in that order, as many at once as wait for it, and are answered
//! after their commit; when a host runs, also after that host lets packets meet them, for at most two seconds. What
//! was acknowledged survives a kill, and what was not yet durable was seen by nobody.
//!
//! Every API call passes the [`Gate`]: who asks, how fast, with which permissions, and the record of it. Without
//! signatures ([`Auth::None`]) the listener belongs on a loopback address, and requests that a web page can make are
//! refused. What is not EC2's (`/_polder/`) is answered to this machine only, and accounts and quotas are managed over a
//! socket in the state directory, or not at all.
//!
//! A region has one host, which runs everything ([`Controller::attach`]), or many ([`fleet`]).
#![forbid(unsafe_code)]

pub mod accounts;
mod admin;
mod audit;
mod auth;
mod authorize;
mod aws;
mod core;
mod directory;
pub mod fleet;
mod gate;
mod guard;
pub mod host;
mod http;
mod path;
mod plan;
pub mod quotas;
mod reach;
mod resources;
mod seal;
mod socket;
mod sts;
mod throttle;
pub mod wire;
mod writer;

pub use crate::audit::Audit;
pub use crate::core::{Call, Controller, Mode, OpenError};
pub use crate::directory::{Account, Accounts, DirectoryError, Role, User};
pub use crate::gate::{Auth, Gate};
pub use region::{Admission, HostChange, Role as HostRole, Settings, ZoneNames};

pub use crate::http::{Bounds, MAX_BODY, serve};
