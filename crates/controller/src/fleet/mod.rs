//! Many hosts: what each is told, and what they tell.

mod desk;
mod serve;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use feed::{Counters, Delta, Down, Dropped, Gap, Hello, Observed, Outbox, Port, Position, Send};
use region::{HostView, State};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use types::HostId;

pub use desk::{Command, Desk, HostEntry, MAX_MESSAGE, Outcome, SOCKET};
pub use serve::{Bounds, serve};

use crate::host::{Later, Network};

/// How many steps are kept of each host's feed, for one that was away or is slow.
const MAX_STEPS: usize = 65_536;
/// How many drops of all hosts are kept.
const RING: usize = 4096;
/// How long hosts have to answer what is asked of them.
const PATIENCE: Duration = Duration::from_secs(2);

/// The hosts of a region.
pub struct Fleet {
    /// This run of the controller.
    epoch: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Arc<State>,
    revision: u64,
    hosts: BTreeMap<HostId, Entry>,
    ring: VecDeque<Dropped>,
    last_sequence: u64,
    connections: u64,
}

/// What is known of one host.
struct Entry {
    view: HostView,
    outbox: Outbox,
    shown: watch::Sender<Shown>,
    wake: Arc<Notify>,
    link: Option<Link>,
    /// Since when it is connected, or is not.
    since: Instant,
}

/// What a host lets packets meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shown {
    connected: bool,
    acked: u64,
}

/// A host's connection, from the fleet's side.
struct Link {
    number: u64,
    observe: mpsc::Sender<oneshot::Sender<Observed>>,
    end: watch::Sender<Option<End>>,
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The host was removed.
    Removed,
    /// It has a newer connection.
    Replaced,
}

/// A host's connection, from the connection's side. The host is connected as long as this is there.
struct Session {
    fleet: Arc<Fleet>,
    host: HostId,
    number: u64,
    wake: Arc<Notify>,
    asked: mpsc::Receiver<oneshot::Sender<Observed>>,
    end: watch::Receiver<Option<End>>,
}

/// Whether a host is connected, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Connection {
    connected: bool,
    since: Instant,
    /// The revision that it lets packets meet, and the one that it was told of.
    acked: Option<u64>,
    end: u64,
}

impl Fleet {
    /// A fleet that knows no host yet, of a controller that starts now. Its time, in nanoseconds, names this run: hosts
    /// tell by it whether what they have is of this run.
    #[must_use]
    pub fn new(now: SystemTime) -> Arc<Fleet> {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut epoch = u64::try_from(since.as_nanos()).unwrap_or_default();
        let mut random = [0; 4];
        // Two runs of the same nanosecond are two all the same.
        if getrandom::fill(&mut random).is_ok() {
            epoch ^= u64::from(u32::from_ne_bytes(random));
        }
        Arc::new(Fleet {
            epoch,
            inner: Mutex::default(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's newest connection begins. `None` if there is no such host.
    fn connect(self: &Arc<Fleet>, host: HostId, hello: Hello) -> Option<Session> {
        let mut inner = self.inner();
        inner.connections += 1;
        let number = inner.connections;
        let entry = inner.hosts.get_mut(&host)?;
        let (observe, asked) = mpsc::channel(16);
        let (end, ends) = watch::channel(None);
        let before = entry.link.replace(Link {
            number,
            observe,
            end,
        });
        if let Some(before) = before {
            before.end.send_replace(Some(End::Replaced));
        }
        entry.outbox.connect(hello.have);
        entry.since = Instant::now();
        entry.shown.send_replace(Shown {
            connected: true,
            acked: 0,
        });
        // Its own, so that the connection before cannot take what is meant for this one.
        entry.wake = Arc::default();
        entry.wake.notify_one();
        Some(Session {
            fleet: Arc::clone(self),
            host,
            number,
            wake: Arc::clone(&entry.wake),
            asked,
            end: ends,
        })
    }

    fn connections(&self) -> BTreeMap<HostId, Connection> {
        let inner = self.inner();
        let connection = |entry: &Entry| Connection {
            connected: entry.link.is_some(),
            since: entry.since,
            acked: entry.outbox.acked(),
            end: entry.outbox.end(),
        };
        let hosts = inner.hosts.iter();
        hosts.map(|(id, entry)| (*id, connection(entry))).collect()
    }

    /// Asks every host that is connected; those that do not answer in time are left out.
    async fn ask(&self) -> Vec<Observed> {
        let asked: Vec<_> = {
            let inner = self.inner();
            let links = inner.hosts.values().filter_map(|entry| entry.link.as_ref());
            links
                .filter_map(|link| {
                    let (answer, answered) = oneshot::channel();
                    link.observe.try_send(answer).ok().map(|()| answered)
                })
                .collect()
        };
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut observed = Vec::new();
        for answer in asked {
            if let Ok(Ok(answer)) = tokio::time::timeout_at(until, answer).await {
                observed.push(answer);
            }
        }
        observed
    }
}

impl Inner {
    /// Takes note of a state: hosts come and go.
    fn take(&mut self, epoch: u64, state: &Arc<State>, revision: u64) {
        self.state = Arc::clone(state);
        self.revision = revision;
        self.hosts.retain(|id, entry| {
            let stays = state.hosts.contains_key(id);
            if !stays && let Some(link) = &entry.link {
                link.end.send_replace(Some(End::Removed));
            }
            stays
        });
        for id in state.hosts.keys() {
            self.hosts.entry(*id).or_insert_with(|| Entry {
                view: HostView::new(*id, state, revision),
                outbox: Outbox::new(epoch, revision, MAX_STEPS),
                shown: watch::Sender::new(Shown {
                    connected: false,
                    acked: 0,
                }),
                wake: Arc::default(),
                link: None,
                since: Instant::now(),
            });
        }
    }
}

impl Network for Fleet {
    fn full(&self, state: &Arc<State>, revision: u64) {
        let mut inner = self.inner();
        for (id, entry) in &mut inner.hosts {
            entry.view = HostView::new(*id, state, revision);
            entry.outbox.restart(revision);
            entry.wake.notify_one();
        }
        inner.take(self.epoch, state, revision);
    }

    fn delta(&self, state: &Arc<State>, delta: Delta) -> Result<(), Gap> {
        let mut inner = self.inner();
        if delta.after != inner.revision {
            return Err(Gap {
                have: inner.revision,
                after: delta.after,
            });
        }
        for entry in inner.hosts.values_mut() {
            if let Some(step) = entry.view.step(state, &delta) {
                entry.outbox.push(step);
                entry.wake.notify_one();
            }
        }
        inner.take(self.epoch, state, delta.revision);
        Ok(())
    }

    /// Waits for the hosts that were told something and are connected. One that is not lets packets meet what it was
    /// told last, and nobody knows when it will be back.
    fn settled(&self, _: u64) -> Pin<Box<dyn Future<Output = ()> + std::marker::Send + '_>> {
        let waiting: Vec<_> = {
            let inner = self.inner();
            let late = inner.hosts.values().filter(|entry| {
                let acked = entry.outbox.acked();
                acked.is_some_and(|acked| acked < entry.outbox.end())
            });
            late.map(|entry| (entry.shown.subscribe(), entry.outbox.end()))
                .collect()
        };
        Box::pin(async move {
            for (mut shown, end) in waiting {
                // A host that is removed meanwhile has nothing to wait for.
                let _ = shown
                    .wait_for(|shown| !shown.connected || shown.acked >= end)
                    .await;
            }
        })
    }

    fn drops(&self, since: u64) -> (Vec<Dropped>, u64) {
        let inner = self.inner();
        let newer = inner.ring.partition_point(|drop| drop.sequence <= since);
        let drops = inner.ring.range(newer..).copied().collect();
        (drops, inner.last_sequence)
    }

    fn counters(&self) -> Later<'_, BTreeMap<Port, Counters>> {
        Box::pin(async {
            let mut all: BTreeMap<Port, Counters> = BTreeMap::new();
            for (port, passed) in self.ask().await.into_iter().flat_map(|o| o.counters) {
                let sum = all.entry(port).or_default();
                sum.rx_packets += passed.rx_packets;
                sum.rx_bytes += passed.rx_bytes;
                sum.tx_packets += passed.tx_packets;
                sum.tx_bytes += passed.tx_bytes;
                sum.upcalls += passed.upcalls;
                for (reason, packets) in passed.drops {
                    *sum.drops.entry(reason).or_default() += packets;
                }
            }
            all
        })
    }

    fn sessions(&self) -> Later<'_, Vec<feed::Session>> {
        Box::pin(async {
            let mut all: Vec<_> = self
                .ask()
                .await
                .into_iter()
                .flat_map(|o| o.sessions)
                .collect();
            all.sort_by_key(|session| session.id);
            all
        })
    }
}

impl Session {
    /// What is to be said to the host now.
    fn next(&self) -> Option<Down> {
        let mut inner = self.fleet.inner();
        let Inner { hosts, state, .. } = &mut *inner;
        let entry = self.entry(hosts)?;
        let epoch = entry.outbox.epoch();
        match entry.outbox.to_send() {
            Send::Full => Some(Down::Full {
                epoch,
                full: entry.view.full(state),
            }),
            Send::Delta(delta) => Some(Down::Delta { epoch, delta }),
            Send::Nothing => None,
        }
    }

    /// The host's entry, as long as this is its newest connection.
    fn entry<'e>(&self, hosts: &'e mut BTreeMap<HostId, Entry>) -> Option<&'e mut Entry> {
        let entry = hosts.get_mut(&self.host)?;
        let newest = entry
            .link
            .as_ref()
            .is_some_and(|link| link.number == self.number);
        newest.then_some(entry)
    }

    fn is_busy(&self) -> bool {
        let mut inner = self.fleet.inner();
        self.entry(&mut inner.hosts)
            .is_some_and(|entry| entry.outbox.is_busy())
    }

    fn beat(&self) -> Option<Down> {
        let mut inner = self.fleet.inner();
        self.entry(&mut inner.hosts)?.outbox.beat()
    }

    fn acked(&self, position: Position) {
        let mut inner = self.fleet.inner();
        let Some(entry) = self.entry(&mut inner.hosts) else {
            return;
        };
        entry.outbox.ack(position);
        // There may be room for more now.
        entry.wake.notify_one();
        let acked = entry.outbox.acked().unwrap_or_default();
        entry.shown.send_if_modified(|shown| {
            let news = shown.acked != acked;
            shown.acked = acked;
            news
        });
    }

    fn dropped(&self, drops: Vec<Dropped>) {
        let mut inner = self.fleet.inner();
        for drop in drops {
            if inner.ring.len() == RING {
                inner.ring.pop_front();
            }
            inner.last_sequence += 1;
            let sequence = inner.last_sequence;
            inner.ring.push_back(Dropped { sequence, ..drop });
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut inner = self.fleet.inner();
        if let Some(entry) = self.entry(&mut inner.hosts) {
            entry.link = None;
            entry.since = Instant::now();
            entry.outbox.disconnect();
            entry.shown.send_replace(Shown {
                connected: false,
                acked: 0,
            });
        }
    }
}
