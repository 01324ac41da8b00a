//! What a controller needs from a host.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use feed::{Counters, Delta, Dropped, Full, Gap, Port, Session};

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
