//! The JSON of the admin endpoints, as the server writes and the command line reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /_polder/status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// `starting`, `full` or `control-plane-only`.
    pub mode: String,
    /// Why no packets flow, in mode `control-plane-only`.
    pub why: Option<String>,
    /// The store's revision.
    pub revision: u64,
    /// How many records there are of each kind, over all accounts and regions.
    pub counts: BTreeMap<String, usize>,
    /// Milliseconds since the controller opened.
    pub uptime_ms: u64,
    /// The pool of public addresses.
    pub pool: String,
}

/// `GET /_polder/drops?since=N`: the slow path's drops after the one numbered `since`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drops {
    /// The drops, oldest first.
    pub drops: Vec<Drop>,
    /// What to give as `since` next.
    pub next: u64,
}

/// A packet that was dropped, and what decided that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drop {
    /// Counts the drops of one run from 1.
    pub sequence: u64,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: u64,
    /// Where the packet came in: an interface's id, or `uplink`.
    pub interface: String,
    /// The instance that the interface is attached to.
    pub instance: Option<String>,
    /// The interface's owner.
    pub account: Option<String>,
    /// The reason's stable number.
    pub code: u32,
    /// The reason's stable name.
    pub reason: String,
    /// The packet's protocol, addresses and ports, where it had any.
    pub tuple: Option<String>,
    /// The step of the walk; none if the frame was refused before it.
    pub step: Option<String>,
    /// The object that decided.
    pub object: Option<String>,
    /// Its rule that decided, in words.
    pub rule: Option<String>,
}

/// `GET /_polder/interfaces`: what passed each port, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interfaces {
    /// The ports.
    pub interfaces: Vec<Interface>,
}

/// What passed one port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interface {
    /// An interface's id, or `uplink`.
    pub interface: String,
    /// The instance that the interface is attached to.
    pub instance: Option<String>,
    /// The interface's owner.
    pub account: Option<String>,
    /// Packets that the guest sent, dropped ones included.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets that were delivered to the guest.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames that the slow path looked at.
    pub upcalls: u64,
    /// Packets that were dropped, by the reason's name.
    pub drops: BTreeMap<String, u64>,
}

/// `GET /_polder/sessions`: the flow table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sessions {
    /// The sessions, by their key.
    pub sessions: Vec<Session>,
}

/// A session of the flow table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its key.
    pub id: u64,
    /// Where its first packet came in, if that port is still there.
    pub interface: Option<String>,
    /// Its first packet's protocol, addresses and ports.
    pub tuple: String,
    /// Where the answers come in, if that port is still there.
    pub reply_interface: Option<String>,
    /// The answers' protocol, addresses and ports.
    pub reply_tuple: String,
    /// Packets, of the first packet's direction and of the answers.
    pub packets: [u64; 2],
    /// Bytes, by direction.
    pub bytes: [u64; 2],
    /// Milliseconds since a packet was seen.
    pub idle_ms: u64,
}

/// `GET /_polder/instances`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instances {
    /// The instances, by identifier.
    pub instances: Vec<Instance>,
}

/// An instance, and where to find it on its host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Its identifier.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its region.
    pub region: String,
    /// EC2's name of its state: `running`.
    pub state: String,
    /// Its network namespace's name, under `/run/netns`.
    pub namespace: String,
    /// Its primary private address.
    pub private_ip: Option<String>,
    /// The public address of that.
    pub public_ip: Option<String>,
}

/// `GET /_polder/path?from=…&to=…`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Path {
    /// Whether the packet arrives.
    pub reachable: bool,
    /// The walk's trace, as a check-list.
    pub text: String,
    /// The same for programs.
    pub report: serde_json::Value,
}

/// `GET /_polder/reach?from=…&to=…`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reach {
    /// What can be reached, for people.
    pub text: String,
    /// The same for programs.
    pub reach: serde_json::Value,
}

/// `POST /_polder/plan?account=…&region=…` with calls in its body.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Whether anything is gained or lost.
    pub changes: bool,
    /// What is gained and lost, for people.
    pub text: String,
    /// The same for programs.
    pub difference: serde_json::Value,
}

/// What an admin endpoint answers when it cannot do what was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Error {
    /// What is wrong.
    pub error: String,
}
