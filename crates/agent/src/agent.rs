//! [`Agent`]: what it is told, what it tells, and its end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use feed::{Delta, Full, Gap, Instance, Replica};
use tokio::runtime::Handle;
use tokio::sync::watch;
use topology::Snapshot;
use types::{InstanceId, Mac, ObjectId};

use crate::host::Host;
use crate::instances::{self, Control, Desired, Order, PortSpec, Spec, Up};
use crate::start::{self, Names, Started};
use crate::{Config, Reports, StartError, slow};
use feed::{Counters, Dropped, Port, Session};

/// The agent of this host. Clones are the same agent. Dropping the last one without [`Agent::stop`] leaves
/// everything in the kernel at work, for a later agent to adopt.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    host: Arc<Host>,
    names: Names,
    runtime: Handle,
    state: Mutex<State>,
    /// The revision that the flow table shows.
    revision: watch::Sender<u64>,
}

struct State {
    replica: Replica,
    /// What an earlier agent left, until the first full state says what of it is wanted.
    adopted: Option<BTreeMap<InstanceId, Up>>,
    /// Counts the orders given.
    pass: u64,
    controls: BTreeMap<InstanceId, Control>,
    thread: Option<JoinHandle<()>>,
    guard: Option<UnixListener>,
    stopped: bool,
}

impl Agent {
    /// Starts the agent of this host, in the network namespace of the calling thread and on a tokio runtime whose
    /// threads are in that namespace. What an earlier agent of the same state directory left is adopted; what of
    /// it is not wanted any more goes with the first [`Agent::full`]. No packet passes before that.
    ///
    /// # Errors
    /// [`StartError::Unavailable`] if the machine cannot carry packets; the others say what is in the way.
    pub async fn start(config: Config) -> Result<Agent, StartError> {
        let uplink = config.uplink;
        let Started { host, names, guard } = start::start(config).await?;
        let adopted = host.adopt().await.map_err(|source| StartError::Io {
            doing: "adopt what an earlier agent left".to_owned(),
            source,
        })?;
        Ok(Agent {
            inner: Arc::new(Inner {
                host: Arc::new(host),
                names,
                runtime: Handle::current(),
                state: Mutex::new(State {
                    replica: Replica::new(Some(uplink)),
                    adopted: Some(adopted),
                    pass: 0,
                    controls: BTreeMap::new(),
                    thread: None,
                    guard: Some(guard),
                    stopped: false,
                }),
                revision: watch::Sender::new(0),
            }),
        })
    }

    /// Replaces what should be. When this returns, the flow table follows it.
    pub fn full(&self, full: Full) {
        let mut state = self.inner.state();
        let changed = state.replica.full(full);
        self.inner.apply(&mut state, &changed);
    }

    /// Takes one step of what should be. When this returns, the flow table follows it.
    ///
    /// # Errors
    /// [`Gap`] if the step does not follow on what the agent has; nothing changed then, and the cure is a
    /// [`Agent::full`].
    pub fn delta(&self, delta: Delta) -> Result<(), Gap> {
        let mut state = self.inner.state();
        let changed = state.replica.delta(delta)?;
        self.inner.apply(&mut state, &changed);
        Ok(())
    }

    /// Waits until this revision decides about packets: sessions that it forbids are cut, and its ports exist.
    /// Instances may still boot: [`Agent::reports`] tells of them. An interface that cannot be made does not
    /// hold this up for long; its instance is reported as failed.
    pub async fn settled(&self, revision: u64) {
        let mut shown = self.inner.revision.subscribe();
        // The sender lives as long as `self`.
        let _ = shown.wait_for(|shown| *shown >= revision).await;
        let (pass, waiting) = {
            let state = self.inner.state();
            let waiting: Vec<_> = state.controls.values().map(|c| c.done.clone()).collect();
            (state.pass, waiting)
        };
        for mut done in waiting {
            // An instance that is gone has nothing to wait for.
            let _ = done.wait_for(|done| *done >= pass).await;
        }
    }

    /// What becomes of the instances, beginning with the latest of each. One reader at a time.
    #[must_use]
    pub fn reports(&self) -> Reports {
        self.inner.host.reports().reader()
    }

    /// The slow path's drops after the one numbered `since`, oldest first, and the number to ask for next. The
    /// last 4096 are kept.
    #[must_use]
    pub fn drops(&self, since: u64) -> (Vec<Dropped>, u64) {
        self.inner.host.slow().drops(since)
    }

    /// What passed every port.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<Port, Counters> {
        self.inner.host.slow().counters()
    }

    /// The sessions of the flow table, by identifier.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.inner.host.slow().sessions()
    }

    /// Stops every instance and removes everything that the agent made: processes, namespaces, interfaces, pins,
    /// the table of `nft`. The files of instances stay. What cannot be removed is logged, and stays in the
    /// manifest for the next agent.
    pub async fn stop(&self) {
        let (tasks, thread) = {
            let mut state = self.inner.state();
            if std::mem::replace(&mut state.stopped, true) {
                return;
            }
            state.pass += 1;
            let pass = state.pass;
            for (id, up) in state.adopted.take().unwrap_or_default() {
                let order = Order {
                    pass,
                    desired: Desired::Leave,
                };
                self.inner.start_task(&mut state, id, Some(up), order);
            }
            let tasks: Vec<_> = std::mem::take(&mut state.controls).into_values().collect();
            (tasks, state.thread.take())
        };
        for control in &tasks {
            control
                .order
                .send_modify(|order| order.desired = Desired::Leave);
        }
        let mut left = false;
        for control in tasks {
            let ended = tokio::time::timeout(instances::STOP_PATIENCE, control.task);
            left |= !matches!(ended.await, Ok(Ok(())));
        }
        let host = &self.inner.host;
        host.slow().stop();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
            left |= !joined.unwrap_or(false);
        }
        left |= self.inner.remove_devices().await;
        if left {
            tracing::warn!("not everything could be removed; the next start tries again");
        }
        host.reports().close();
        self.inner.state().guard = None;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes flow table and instances follow the replica.
    fn apply(&self, state: &mut State, changed: &BTreeSet<ObjectId>) {
        if state.stopped {
            return;
        }
        let snapshot = state.replica.snapshot();
        let revision = snapshot.revision();
        self.host.slow().update(Arc::clone(&snapshot), changed);
        let mut adopted = BTreeMap::new();
        if let Some(found) = state.adopted.take() {
            self.take_over(state, &found, &snapshot);
            adopted = found;
        }
        self.dispatch(state, &snapshot, adopted);
        self.revision.send_replace(revision);
    }

    /// The first full state has come: ports and sessions of an earlier agent are ours now, and packets flow.
    fn take_over(
        &self,
        state: &mut State,
        adopted: &BTreeMap<InstanceId, Up>,
        snapshot: &Snapshot,
    ) {
        for port in adopted.values().flat_map(|up| up.ports.values()) {
            // Nothing comes from an address of zeros: a port that is not wanted any more is silent until it goes.
            let mac = snapshot
                .interface(port.interface)
                .map_or(Mac::default(), |interface| interface.mac);
            let attached = self.host.attach_port(port.ifindex, port.interface, mac);
            if let Err(error) = attached {
                tracing::warn!(interface = %port.interface, %error, "cannot adopt a port");
            }
        }
        if let Err(error) = self.host.slow().adopt() {
            tracing::warn!(%error, "cannot adopt the sessions of an earlier agent");
        }
        match self.host.slow().spawn() {
            Ok(thread) => state.thread = Some(thread),
            Err(error) => tracing::error!(%error, "cannot start the slow path's thread"),
        }
    }

    /// Tells every instance's task what it should be. Takes no input but the replica.
    fn dispatch(
        &self,
        state: &mut State,
        snapshot: &Snapshot,
        mut adopted: BTreeMap<InstanceId, Up>,
    ) {
        state.pass += 1;
        state
            .controls
            .retain(|_, control| !control.task.is_finished());
        let mut orders: BTreeMap<InstanceId, Desired> = state
            .controls
            .keys()
            .chain(adopted.keys())
            .map(|id| (*id, Desired::Remove))
            .collect();
        for (id, instance) in state.replica.instances() {
            if let Some(desired) = desired(instance, snapshot) {
                orders.insert(*id, desired);
            } else {
                orders.remove(id);
            }
        }
        for (id, desired) in orders {
            let order = Order {
                pass: state.pass,
                desired,
            };
            if let Some(control) = state.controls.get(&id) {
                control.order.send_replace(order);
            } else {
                self.start_task(state, id, adopted.remove(&id), order);
            }
        }
    }

    fn start_task(&self, state: &mut State, id: InstanceId, adopted: Option<Up>, order: Order) {
        let host = Arc::clone(&self.host);
        let control = instances::start(&self.runtime, host, id, adopted, order);
        state.controls.insert(id, control);
    }

    /// Returns whether something is left.
    async fn remove_devices(&self) -> bool {
        let netlink = self.host.netlink();
        let mut left = false;
        let mut note = |what: &str, result: Result<(), String>| {
            if let Err(error) = result {
                tracing::warn!(error, "cannot remove {what}");
                left = true;
            }
        };
        // Nobody else writes it any more.
        let mut manifest = self.host.manifest().clone();
        let unmade = start::unmake(netlink, &mut manifest, &self.names).await;
        note("what the agent made", unmade.map_err(|e| e.to_string()));
        let removed = netlink.remove(slow::DEVICE).await;
        note("the device", removed.map_err(|e| e.to_string()));
        let closed = self.host.slow().close();
        note("the flow table", closed.map_err(|e| e.to_string()));
        left
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for control in state.controls.values() {
            control.task.abort();
        }
        self.host.slow().stop();
    }
}

/// What an instance should be; `None` as long as the network does not know its first interface.
fn desired(instance: &Instance, snapshot: &Snapshot) -> Option<Desired> {
    if !instance.running {
        return Some(Desired::Stop);
    }
    let interfaces: BTreeMap<u32, PortSpec> = instance
        .interfaces
        .iter()
        .filter_map(|(index, id)| {
            let interface = snapshot.interface(*id)?;
            let port = PortSpec {
                interface: *id,
                mac: interface.mac,
                mtu: interface.mtu,
                addresses: interface.addresses.iter().filter_map(v4).collect(),
                ipv6: interface.addresses.iter().filter_map(v6).collect(),
            };
            Some((*index, port))
        })
        .collect();
    interfaces.contains_key(&0).then(|| {
        Desired::Run(Arc::new(Spec {
            boot: instance.boot,
            user_data: Arc::clone(&instance.user_data),
            interfaces,
        }))
    })
}

fn v4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    }
}
