//! What a host must know, and in which order it learns it.
//!
//! Contract: a host starts from one [`Full`] state and then takes [`Delta`]s whose revisions follow on each other.
//! A gap is an error, and its cure is a new full state; a host never merges by guessing. What comes back are
//! [`Report`]s, and what the packets of a host met: [`Dropped`], [`Counters`], [`Session`].
//!
//! Within one process the feed is a value that is handed over. Between processes it is [`Down`] and [`Up`], which
//! [`Outbox`] and [`Inbox`] put in order whatever the connection does to them.
#![forbid(unsafe_code)]

mod observe;
mod octets;
mod session;

pub use observe::{Counters, Dropped, Port, Session};
pub use session::{Down, Hello, Inbox, Observed, Outbox, Position, Send, Taken, Up};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use topology::{Change, Object, Snapshot, Uplink};
use types::{InstanceId, InterfaceId, ObjectId};

/// An instance as its host must run it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Its identifier.
    pub id: InstanceId,
    /// Its interfaces by device index; index 0 is always there.
    pub interfaces: BTreeMap<u32, InterfaceId>,
    /// The user data that its first process is made of; empty for none. At most 16 KiB (EC2 `RunInstances`).
    #[serde(with = "octets")]
    pub user_data: Arc<[u8]>,
    /// Counts its starts. A host that runs an earlier one starts the instance anew.
    pub boot: u64,
    /// Whether it should run. One that should not is stopped, and reported as such.
    pub running: bool,
}

/// The whole state at a revision.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Full {
    /// The store's revision that this shows.
    pub revision: u64,
    /// Every object of every VPC that the host needs.
    pub objects: Vec<Object>,
    /// Every instance of the host.
    pub instances: Vec<Instance>,
}

/// What changed from one revision to the next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delta {
    /// The revision that this follows on.
    pub after: u64,
    /// The revision that this leads to.
    pub revision: u64,
    /// Steps of the network, in order.
    pub changes: Vec<Change>,
    /// Steps of the instances, in order.
    pub instances: Vec<InstanceChange>,
}

/// One step of an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum InstanceChange {
    /// It is there from now on, in this form.
    Put(Instance),
    /// It was terminated: nothing of it remains on the host.
    Remove(InstanceId),
}

/// What a host says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Report {
    /// The instance runs, in the start that this counts.
    Running(InstanceId, u64),
    /// The instance stopped, and nothing of it runs.
    Stopped(InstanceId),
    /// The instance could not be started.
    Failed(InstanceId, String),
}

/// A delta that does not follow on what the replica has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The revision that the replica has.
    pub have: u64,
    /// The revision that the delta follows on.
    pub after: u64,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a change follows on revision {} but this host is at {}",
            self.after, self.have
        )
    }
}

impl std::error::Error for Gap {}

/// A host's copy of what it must know.
#[derive(Clone, Debug)]
pub struct Replica {
    uplink: Option<Uplink>,
    snapshot: Arc<Snapshot>,
    instances: BTreeMap<InstanceId, Instance>,
    objects: BTreeMap<ObjectId, Object>,
}

impl Replica {
    /// An empty copy, on a host with this uplink.
    #[must_use]
    pub fn new(uplink: Option<Uplink>) -> Replica {
        Replica {
            uplink,
            snapshot: Arc::new(Snapshot::new(uplink)),
            instances: BTreeMap::new(),
            objects: BTreeMap::new(),
        }
    }

    /// The network as of now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// The instances as of now.
    #[must_use]
    pub const fn instances(&self) -> &BTreeMap<InstanceId, Instance> {
        &self.instances
    }

    /// The objects as of now.
    #[must_use]
    pub const fn objects(&self) -> &BTreeMap<ObjectId, Object> {
        &self.objects
    }

    /// Replaces everything. Returns the objects that differ from before.
    pub fn full(&mut self, full: Full) -> BTreeSet<ObjectId> {
        let changes: Vec<Change> = full.objects.into_iter().map(Change::Put).collect();
        let before = std::mem::take(&mut self.objects);
        self.snapshot = Arc::new(Snapshot::new(self.uplink).apply(full.revision, &changes));
        self.note(&changes);
        self.instances = full
            .instances
            .into_iter()
            .map(|instance| (instance.id, instance))
            .collect();
        let gone = before.keys().filter(|id| !self.objects.contains_key(id));
        let new = self
            .objects
            .iter()
            .filter(|(id, object)| before.get(id) != Some(object))
            .map(|(id, _)| id);
        gone.chain(new).copied().collect()
    }

    /// Takes one step. Returns the objects that it touched.
    ///
    /// # Errors
    /// [`Gap`] if the delta does not follow on the revision that the replica has; nothing changed then.
    pub fn delta(&mut self, delta: Delta) -> Result<BTreeSet<ObjectId>, Gap> {
        let have = self.snapshot.revision();
        if delta.after != have {
            return Err(Gap {
                have,
                after: delta.after,
            });
        }
        self.snapshot = Arc::new(self.snapshot.apply(delta.revision, &delta.changes));
        self.note(&delta.changes);
        for change in delta.instances {
            match change {
                InstanceChange::Put(instance) => {
                    self.instances.insert(instance.id, instance);
                }
                InstanceChange::Remove(id) => {
                    self.instances.remove(&id);
                }
            }
        }
        Ok(delta.changes.iter().map(Change::id).collect())
    }

    fn note(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Put(object) = change {
                self.objects.insert(object.id(), object.clone());
            } else {
                self.objects.remove(&change.id());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::Vpc;
    use types::{AccountId, Vni, VpcId};

    fn vpc(bits: u128, vni: u32) -> Object {
        Object::Vpc(Vpc {
            id: VpcId::from_bits(bits),
            account: AccountId::DEFAULT,
            vni: Vni::new(vni).unwrap(),
            cidrs: vec!["10.0.0.0/16".parse().unwrap()],
            internet_gateway: None,
            dhcp: topology::DhcpOptions::default(),
            dns: topology::Dns::default(),
            edge_table: None,
            egress_only_gateways: Vec::new(),
        })
    }

    #[test]
    fn deltas_follow_on_each_other_or_are_refused() {
        let mut replica = Replica::new(None);
        replica.full(Full {
            revision: 7,
            objects: vec![vpc(1, 1)],
            instances: vec![],
        });
        let step = |after, revision, object| Delta {
            after,
            revision,
            changes: vec![Change::Put(object)],
            instances: vec![],
        };
        assert_eq!(
            replica.delta(step(6, 8, vpc(2, 2))),
            Err(Gap { have: 7, after: 6 })
        );
        assert!(replica.snapshot().vpc(VpcId::from_bits(2)).is_none());
        let touched = replica.delta(step(7, 9, vpc(2, 2))).unwrap();
        assert_eq!(touched, BTreeSet::from([VpcId::from_bits(2).into()]));
        assert_eq!(replica.snapshot().revision(), 9);
    }

    #[test]
    fn a_full_state_reports_exactly_what_differs() {
        let mut replica = Replica::new(None);
        replica.full(Full {
            revision: 1,
            objects: vec![vpc(1, 1), vpc(2, 2), vpc(3, 3)],
            instances: vec![],
        });
        let differs = replica.full(Full {
            revision: 2,
            objects: vec![vpc(1, 1), vpc(2, 9)],
            instances: vec![],
        });
        assert_eq!(
            differs,
            BTreeSet::from([VpcId::from_bits(2).into(), VpcId::from_bits(3).into()])
        );
    }
}
