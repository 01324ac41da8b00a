//! The way of reports to their reader.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feed::Report;
use tokio::sync::Notify;
use types::InstanceId;

/// What becomes of the instances. Only the latest of each is kept, so a slow reader loses nothing that still holds.
pub struct Reports {
    shared: Arc<Shared>,
}

/// Where reports are put down. One reader gets each; with several readers, one of them.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    unread: BTreeMap<InstanceId, Report>,
    latest: BTreeMap<InstanceId, Report>,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Puts a report down, in the place of the instance's one before.
    pub(crate) fn put(&self, report: Report) {
        let (Report::Running(id, _) | Report::Stopped(id) | Report::Failed(id, _)) = &report;
        let mut state = self.shared.state();
        state.latest.insert(*id, report.clone());
        state.unread.insert(*id, report);
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Puts a report down unless it is what was said last.
    pub(crate) fn put_if_new(&self, report: Report) {
        let (Report::Running(id, _) | Report::Stopped(id) | Report::Failed(id, _)) = &report;
        if self.shared.state().latest.get(id) != Some(&report) {
            self.put(report);
        }
    }

    /// The instance is gone, and so is what was said of it.
    pub(crate) fn forget(&self, instance: InstanceId) {
        let mut state = self.shared.state();
        state.latest.remove(&instance);
        state.unread.remove(&instance);
    }

    /// No further report will come.
    pub(crate) fn close(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_waiters();
        self.shared.changed.notify_one();
    }

    /// A reader, which begins with the latest report of every instance.
    pub(crate) fn reader(&self) -> Reports {
        let mut state = self.shared.state();
        state.unread = state.latest.clone();
        drop(state);
        self.shared.changed.notify_one();
        Reports {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Reports {
    /// The next report; `None` once the agent has stopped. Cancellation loses nothing.
    pub async fn next(&mut self) -> Option<Report> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let mut state = self.shared.state();
                if let Some((_, report)) = state.unread.pop_first() {
                    return Some(report);
                }
                if state.closed {
                    return None;
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_sees_the_latest_of_each_and_then_the_end() {
        let desk = Desk::default();
        let [a, b] = [1, 2].map(InstanceId::from_bits);
        desk.put(Report::Failed(a, "no".into()));
        desk.put(Report::Running(a, 1));
        desk.put(Report::Stopped(b));
        let mut first = desk.reader();
        assert_eq!(first.next().await, Some(Report::Running(a, 1)));
        assert_eq!(first.next().await, Some(Report::Stopped(b)));
        let mut second = desk.reader();
        desk.forget(b);
        assert_eq!(second.next().await, Some(Report::Running(a, 1)));
        desk.close();
        assert_eq!(second.next().await, None);
    }
}
