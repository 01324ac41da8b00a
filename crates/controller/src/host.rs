//! What a controller needs from a host.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use feed::{Delta, Full, Gap};
use types::{DropReason, FlowTuple, InterfaceId, ObjectId};

/// A host: it makes what the feed says true, and tells what its packets met.
///
/// The controller calls [`Host::full`] and [`Host::delta`] one after the other, in the order of the revisions, while
/// it holds up other changes: they must return at once.
pub trait Host: Send + Sync + 'static {
    /// Replaces what should be.
    fn full(&self, full: Full);

    /// Takes one step of what should be.
    ///
    /// # Errors
    /// [`Gap`] if the step does not follow on what the host has. A full state comes next.
    fn delta(&self, delta: Delta) -> Result<(), Gap>;

    /// Waits until this revision decides about packets.
    fn settled(&self, revision: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// The drops after the one numbered `since`, oldest first, and the number to ask for next.
    fn drops(&self, since: u64) -> (Vec<Dropped>, u64);

    /// What passed every port.
    fn counters(&self) -> BTreeMap<Port, Counters>;

    /// The sessions of the flow table, by identifier.
    fn sessions(&self) -> Vec<Session>;
}

/// Where packets meet a host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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
#[derive(Clone, Copy, PartialEq, Debug)]
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
    pub object: Option<ObjectId>,
    /// Which of its rules, where it was a rule and not the absence of one.
    pub rule: Option<walk::RuleRef>,
}

/// What passed a port, and what did not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Packets that the port's guest sent, dropped ones included.
    pub rx_packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub rx_bytes: u64,
    /// Packets that were delivered to the port.
    pub tx_packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub tx_bytes: u64,
    /// Frames of the port that the slow path looked at.
    pub upcalls: u64,
    /// Packets of the port that were dropped.
    pub drops: BTreeMap<DropReason, u64>,
}

/// A session of a host's flow table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
