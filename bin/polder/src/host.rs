//! The agent of this machine as the controller sees it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use agent::Agent;
use controller::host::Host;
use feed::{Counters, Delta, Dropped, Full, Gap, Port, Session};

/// The agent of this machine.
pub(crate) struct Local(pub(crate) Agent);

impl Host for Local {
    fn full(&self, full: Full) {
        self.0.full(full);
    }

    fn delta(&self, delta: Delta) -> Result<(), Gap> {
        self.0.delta(delta)
    }

    fn settled(&self, revision: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.settled(revision))
    }

    fn drops(&self, since: u64) -> (Vec<Dropped>, u64) {
        self.0.drops(since)
    }

    fn counters(&self) -> BTreeMap<Port, Counters> {
        self.0.counters()
    }

    fn sessions(&self) -> Vec<Session> {
        self.0.sessions()
    }
}
