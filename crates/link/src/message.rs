//! What controller and host say to each other.

use std::net::IpAddr;

use feed::{Down, Hello, Up};
use serde::{Deserialize, Serialize};
use topology::Uplink;
use types::HostId;

/// The version of what is said. It is Polder's own: both ends are of the same one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a host says first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum First {
    /// It joins. It has no certificate yet.
    Join {
        /// [`VERSION`].
        version: String,
        /// The token's secret.
        secret: String,
        /// What it wants to be called.
        name: String,
        /// The zone that it is in, unless the token says.
        zone: Option<String>,
        /// Its address in the network that connects the hosts.
        underlay: IpAddr,
        /// How many instances it runs at most.
        capacity: u32,
        /// The key that it wants a certificate for.
        public_key: Vec<u8>,
    },
    /// It is who its certificate says, and wants the feed.
    Connect {
        /// [`VERSION`].
        version: String,
        /// Where it is.
        hello: Hello,
    },
}

/// What a controller answers to that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It has joined.
    Joined {
        /// Who it is now.
        host: HostId,
        /// Its certificate, in DER.
        certificate: Vec<u8>,
        /// How many seconds it holds.
        life: u64,
        /// The pool of public addresses, and the host's own address in it.
        uplink: Uplink,
    },
    /// The feed follows.
    Welcome,
    /// It is no host of the region any more.
    Removed,
    /// It is refused, for this reason.
    Refused(String),
}

/// What a controller says on a connection with the feed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToHost {
    /// The feed.
    Feed(Down),
    /// What passed its ports, and its sessions, are asked for.
    Observe,
    /// The certificate that it asked for.
    Certificate {
        /// The certificate, in DER.
        certificate: Vec<u8>,
        /// How many seconds it holds.
        life: u64,
    },
    /// It is no host of the region any more: nothing of it may run on.
    Removed,
}

/// What a host says on a connection with the feed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToController {
    /// The feed.
    Feed(Up),
    /// It wants a certificate for this key.
    Renew {
        /// The key's public half.
        public_key: Vec<u8>,
    },
}
