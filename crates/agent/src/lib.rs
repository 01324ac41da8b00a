//! One host: it turns the feed into interfaces, namespaces, sessions and packets.
//!
//! Contract: the agent is told what should be ([`Agent::full`], [`Agent::delta`]) and makes the host so; what it
//! makes, it records first, so that a later agent with the same state directory adopts or removes it after a
//! kill. It touches nothing that is not in its manifest. [`Agent::stop`] leaves nothing behind.
//!
//! Under the state directory: `host.json`, the manifest, and for every instance `instances/ID/` with its `user-data`
//! and its `console.log`, which begins anew at every boot. User data that begins with `#!` is executed inside the
//! namespace, in that directory, with `INSTANCE_ID` and `LOCAL_IPV4` in its environment.
//!
//! Limitations: instances are network namespaces, without isolation beyond the network. A namespace has no disk
//! with an init system, so user data runs at every boot of its instance. One agent per network namespace.
#![forbid(unsafe_code)]

mod agent;
mod config;
mod configure;
mod configure6;
mod dhcp6_client;
mod dhcp_client;
mod error;
mod host;
mod instances;
mod manifest;
mod namespace;
mod netlink;
mod process;
mod queue;
mod reports;
mod slow;
mod start;
mod uplink;

pub use agent::Agent;
pub use config::Config;
pub use error::{Missing, StartError};
pub use namespace::enter;
pub use reports::Reports;
pub use slowpath::Revocation;
pub use uplink::ipv6_side;
