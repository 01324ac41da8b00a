//! What a host tells of its packets.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use types::{DropReason, FlowTuple, InterfaceId};

/// Where packets meet a host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Port {
    /// The port of an interface.
    Interface(InterfaceId),
    /// The uplink.
    Uplink,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Port::Interface(id) => std::fmt::Display::fmt(id, f),
            Port::Uplink => f.pad("uplink"),
        }
    }
}

/// A packet that a host dropped, and what decided that.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Dropped {
    /// Counts the drops of one run of the host from 1.
    pub sequence: u64,
    /// When it was dropped.
    pub at: SystemTime,
    /// Where the packet came in.
    pub port: Port,
    /// The packet's addresses and ports, where it had any.
    pub tuple: Option<FlowTuple>,
    /// Why.
    pub reason: DropReason,
    /// At which step of the walk; `None` if the frame was refused before it.
    pub step: Option<walk::Step>,
    /// Which object decided, where there is one.
    pub object: Option<types::ObjectId>,
    /// Which of its rules, where it was a rule and not the absence of one.
    pub rule: Option<walk::RuleRef>,
}

/// What passed a port, and what did not.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Packets that the port's guest (or the host, on the uplink) sent, dropped ones included.
    pub rx_packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub rx_bytes: u64,
    /// Packets that were delivered to the port.
    pub tx_packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub tx_bytes: u64,
    /// Frames of the port that the slow path looked at.
    pub upcalls: u64,
    /// Packets of the port that were dropped, by kernel or slow path.
    pub drops: BTreeMap<DropReason, u64>,
}

/// A session of a host's flow table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its key in the flow table.
    pub id: u64,
    /// Where its first packet came in, if that port is still there.
    pub port: Option<Port>,
    /// Its first packet's addresses and ports.
    pub tuple: FlowTuple,
    /// Where the answers come in, if that port is still there.
    pub reply_port: Option<Port>,
    /// The answers' addresses and ports.
    pub reply_tuple: FlowTuple,
    /// Packets: of the first packet's direction, and of the answers.
    pub packets: [u64; 2],
    /// Bytes, from the IP header on, by direction.
    pub bytes: [u64; 2],
    /// How long ago a packet was seen, in milliseconds.
    pub idle_ms: u64,
}
