//! What a controller needs from a host.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use feed::{Counters, Delta, Dropped, Full, Gap, Port, Session};
use region::State;

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

/// What comes later.
pub(crate) type Later<'l, T> = Pin<Box<dyn Future<Output = T> + Send + 'l>>;

/// What carries packets: one host, or many. As with [`Host`], states come in the order of their revisions.
pub(crate) trait Network: Send + Sync + 'static {
    /// Replaces what should be.
    fn full(&self, state: &Arc<State>, revision: u64);
    /// Takes one step to this state.
    fn delta(&self, state: &Arc<State>, delta: Delta) -> Result<(), Gap>;
    /// Waits until this revision decides about packets.
    fn settled(&self, revision: u64) -> Later<'_, ()>;
    /// The drops after the one numbered `since`, oldest first, and the number to ask for next.
    fn drops(&self, since: u64) -> (Vec<Dropped>, u64);
    /// What passed every port.
    fn counters(&self) -> Later<'_, BTreeMap<Port, Counters>>;
    /// The sessions of the flow tables, by identifier.
    fn sessions(&self) -> Later<'_, Vec<Session>>;
}

/// The one host of a region, which runs everything.
pub(crate) struct Single(pub(crate) Arc<dyn Host>);

impl Network for Single {
    fn full(&self, state: &Arc<State>, revision: u64) {
        self.0.full(region::full(state, revision));
    }

    fn delta(&self, _: &Arc<State>, delta: Delta) -> Result<(), Gap> {
        self.0.delta(delta)
    }

    fn settled(&self, revision: u64) -> Later<'_, ()> {
        self.0.settled(revision)
    }

    fn drops(&self, since: u64) -> (Vec<Dropped>, u64) {
        self.0.drops(since)
    }

    fn counters(&self) -> Later<'_, BTreeMap<Port, Counters>> {
        Box::pin(async { self.0.counters() })
    }

    fn sessions(&self) -> Later<'_, Vec<Session>> {
        Box::pin(async { self.0.sessions() })
    }
}
