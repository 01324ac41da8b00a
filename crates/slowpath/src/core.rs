//! The agent's core: what it knows, and what it does with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastpath_core::ChecksumState;
use fastpath_core::abi::{FlowKey, Session};
use topology::Snapshot;
use types::{DropReason, InterfaceId, Mac, ObjectId};

use crate::{Activity, DropRecord, Effect, Effects, Outcome, Timeouts};

/// Bounds and surroundings of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// The most sessions of the host. At the bound new flows are dropped as `FlowTableFull`.
    pub max_sessions: usize,
    /// The most sessions of one guest's port, those that the outside opened to it included. At the bound its new
    /// flows are dropped as `FlowTableFull`, those of other ports are not.
    pub max_sessions_per_port: usize,
    /// The uplink; `None` if there is none.
    pub uplink: Option<UplinkPort>,
    /// When silent sessions go.
    pub timeouts: Timeouts,
}

/// Polder's side of the host's uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UplinkPort {
    /// Its interface index.
    pub port: u32,
    /// The MAC address of the host's side.
    pub host_mac: Mac,
}

/// What the core has counted since it was made. Every frame that came up is in exactly one of `answered`,
/// `forwarded`, `consumed` and `dropped`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Frames that came up.
    pub upcalls: u64,
    /// Frames that the router answered.
    pub answered: u64,
    /// Frames that went on.
    pub forwarded: u64,
    /// Frames for the router that need no answer.
    pub consumed: u64,
    /// Frames that were dropped, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Sessions now.
    pub sessions: u64,
    /// Sessions installed or adopted.
    pub installed: u64,
    /// Sessions that a change of the network rewrote in place.
    pub updated: u64,
    /// Sessions removed because a change of the network, or a detached port, ended them.
    pub cut: u64,
    /// Sessions removed because they were silent.
    pub expired: u64,
}

/// A session, as lists show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionView<'a> {
    /// Key of the session map.
    pub id: u64,
    /// The keys that lead to it: 0 is the direction of the packet that opened it.
    pub key: &'a [FlowKey; 2],
    /// The network interfaces behind the keys' ports; `None` is the uplink.
    pub interface: [Option<InterfaceId>; 2],
    /// The objects that decided it: when one of them changes, it is decided again.
    pub depends: &'a BTreeSet<ObjectId>,
}

/// The core.
#[derive(Debug)]
pub struct Core {
    config: Config,
    snapshot: Arc<Snapshot>,
    ports: BTreeMap<u32, InterfaceId>,
    stats: Stats,
}

impl Core {
    /// A core that knows no network and no ports: it drops everything.
    #[must_use]
    pub fn new(config: Config) -> Core {
        Core {
            config,
            snapshot: Arc::new(Snapshot::default()),
            ports: BTreeMap::new(),
            stats: Stats::default(),
        }
    }

    /// The guest's interface with this index is this network interface's port. A port or network interface that was
    /// attached elsewhere is detached first.
    pub fn attach(&mut self, port: u32, interface: InterfaceId, effects: &mut Effects) {
        self.detach(port, effects);
        self.ports.insert(port, interface);
    }

    /// The port is gone, and so are its sessions.
    pub fn detach(&mut self, port: u32, effects: &mut Effects) {
        let _ = effects;
        self.ports.remove(&port);
    }

    /// The network is this from now on. Exactly the sessions that depend on one of `changed` are decided again, as if
    /// their first packet came now: the same decision leaves a session alone, another rewrite or way out updates it,
    /// a denial removes it. So a permission that is revoked ends the conversations that it allowed, at once.
    pub fn update(
        &mut self,
        snapshot: Arc<Snapshot>,
        changed: &BTreeSet<ObjectId>,
        now_ns: u64,
        effects: &mut Effects,
    ) {
        let _ = (changed, now_ns, effects);
        self.snapshot = snapshot;
    }

    /// A frame came up from this port. `checksum` says what its upper layer's checksum field holds.
    pub fn upcall(
        &mut self,
        now_ns: u64,
        port: u32,
        frame: &[u8],
        checksum: ChecksumState,
        effects: &mut Effects,
    ) -> Outcome {
        let _ = (frame, checksum, &self.config);
        let reason = DropReason::NoInterface;
        effects.list.push(Effect::Dropped(DropRecord {
            at_ns: now_ns,
            port,
            interface: self.ports.get(&port).copied(),
            reason,
            tuple: None,
            step: None,
            object: None,
            rule: None,
        }));
        Outcome::Dropped(reason)
    }

    /// Takes over what an earlier process left in the kernel. Each session is decided again, as in
    /// [`Core::update`]; the ones that stay keep their identifier and counters. Ports must be attached before.
    pub fn adopt(&mut self, now_ns: u64, sessions: Vec<(u64, Session)>, effects: &mut Effects) {
        let _ = now_ns;
        for (id, session) in sessions {
            effects.list.push(Effect::Remove {
                id,
                key: session.key,
            });
        }
    }

    /// Looks at the next `budget` sessions, and removes those that were silent for too long and those of which
    /// `activity` knows nothing (the kernel has lost them). Call it regularly: it goes on where it stopped.
    pub fn sweep(
        &mut self,
        now_ns: u64,
        activity: &mut dyn FnMut(u64) -> Option<Activity>,
        budget: usize,
        effects: &mut Effects,
    ) {
        let _ = (now_ns, activity, budget, effects);
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Every session, by identifier.
    pub fn sessions(&self) -> impl Iterator<Item = SessionView<'_>> {
        std::iter::empty()
    }
}
