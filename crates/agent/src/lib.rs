//! One host: it turns the feed into interfaces, namespaces, sessions and packets.
//!
//! Contract: the agent is told what should be ([`Agent::full`], [`Agent::delta`]) and makes the host so; what it
//! makes, it records first, so that a later agent with the same state directory adopts or removes it after a
//! kill. It touches nothing that is not in its manifest. [`Agent::stop`] leaves nothing behind.
//!
//! Limitations: instances are network namespaces, without isolation beyond the network. A namespace has no disk
//! with an init system, so user data runs at every boot of its instance. One agent per network namespace.
#![forbid(unsafe_code)]

mod config;
mod error;
mod observe;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feed::{Delta, Full, Gap, Replica, Report};
use types::InstanceId;

pub use config::Config;
pub use error::{Missing, StartError};
pub use observe::{DropRecord, PortCounters, PortName, SessionInfo};

/// The agent of this host. Clones are the same agent.
#[derive(Clone)]
pub struct Agent {
    replica: Arc<Mutex<Replica>>,
}

impl Agent {
    /// Starts the agent of this host, in the network namespace of the calling thread and on a tokio runtime whose
    /// threads are in that namespace. What an earlier agent of the same state directory left is adopted; what of
    /// it is not wanted any more goes with the first [`Agent::full`].
    ///
    /// # Errors
    /// [`StartError::Unavailable`] if the machine cannot carry packets; the others say what is in the way.
    #[expect(clippy::unused_async, reason = "the parts that wait come next")]
    pub async fn start(_config: Config) -> Result<Agent, StartError> {
        Err(StartError::Unavailable(Missing::Root))
    }

    /// Replaces what should be.
    pub fn full(&self, full: Full) {
        self.replica().full(full);
    }

    /// Takes one step of what should be.
    ///
    /// # Errors
    /// [`Gap`] if the step does not follow on what the agent has; nothing changed then, and the cure is a
    /// [`Agent::full`].
    pub fn delta(&self, delta: Delta) -> Result<(), Gap> {
        self.replica().delta(delta).map(|_| ())
    }

    /// Waits until this revision decides about packets: sessions that it forbids are cut, and its ports exist.
    /// Instances may still boot: [`Agent::reports`] tells of them.
    #[expect(clippy::unused_async, reason = "the parts that wait come next")]
    pub async fn settled(&self, _revision: u64) {}

    /// What becomes of the instances, from now on, beginning with the latest of each.
    #[must_use]
    pub fn reports(&self) -> Reports {
        Reports {}
    }

    /// The slow path's drops after the one numbered `since`, oldest first, and the number to ask for next. The
    /// last 4096 are kept.
    #[must_use]
    pub fn drops(&self, since: u64) -> (Vec<DropRecord>, u64) {
        (Vec::new(), since)
    }

    /// What passed every port.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<PortName, PortCounters> {
        BTreeMap::new()
    }

    /// The sessions of the flow table, by identifier.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        Vec::new()
    }

    /// Stops every instance and removes everything that the agent made: processes, namespaces, interfaces, pins,
    /// the table of `nft`.
    #[expect(clippy::unused_async, reason = "the parts that wait come next")]
    pub async fn stop(&self) {}

    fn replica(&self) -> MutexGuard<'_, Replica> {
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of the instances. Only the latest of each is kept, so a slow reader loses nothing that still holds.
pub struct Reports {}

impl Reports {
    /// The next report; `None` once the agent has stopped. Cancellation loses nothing.
    #[expect(clippy::unused_async, reason = "the parts that wait come next")]
    pub async fn next(&mut self) -> Option<Report> {
        None
    }
}

/// Moves the calling thread into the network namespace of an instance of this machine.
///
/// # Errors
/// If there is no such namespace, or without root.
pub fn enter(_instance: InstanceId) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
