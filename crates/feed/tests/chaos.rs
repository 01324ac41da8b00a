//! The feed over a network that loses, repeats and reorders: thousands of runs, each of which its seed repeats.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, VecDeque};

use feed::{Delta, Down, Full, Inbox, Outbox, Position, Replica, Send, Taken, Up};
use topology::{Change, Object, Peering};
use types::{ObjectId, PeeringConnectionId, VpcId};

/// A generator that is good enough to choose with (splitmix64, public domain).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

type Objects = BTreeMap<ObjectId, Object>;

fn object(bits: u64, version: u64) -> Object {
    Object::Peering(Peering {
        id: PeeringConnectionId::from_bits(u128::from(bits)),
        vpcs: [VpcId::from_bits(1), VpcId::from_bits(u128::from(version))],
    })
}

/// A way in one direction. What is on it comes out in any order, or not at all, or twice.
#[derive(Default)]
struct Way<M>(VecDeque<(u64, M)>);

impl<M: Clone> Way<M> {
    fn put(&mut self, connection: u64, message: M) {
        self.0.push_back((connection, message));
    }

    fn get(&mut self, dice: &mut Dice, faulty: bool) -> Option<(u64, M)> {
        if !faulty {
            return self.0.pop_front();
        }
        let length = u64::try_from(self.0.len()).unwrap();
        if length == 0 {
            return None;
        }
        // Mostly in order, so that something gets through.
        let index = if dice.roll(4) == 0 {
            dice.roll(length)
        } else {
            0
        };
        let index = usize::try_from(index).unwrap();
        match dice.roll(12) {
            0 => {
                self.0.remove(index);
                None
            }
            1 => self.0.get(index).cloned(),
            _ => self.0.remove(index),
        }
    }
}

struct World {
    dice: Dice,
    /// The store: it survives the controller.
    objects: Objects,
    revision: u64,
    history: BTreeMap<u64, Objects>,
    outbox: Outbox,
    /// The connection that the controller serves.
    serves: u64,
    inbox: Inbox,
    connection: u64,
    replica: Replica,
    down: Way<Down>,
    up: Way<Up>,
    fulls: usize,
    deltas: usize,
    shown: Option<Position>,
    wire: bool,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            dice: Dice(seed),
            objects: Objects::new(),
            revision: 1,
            history: BTreeMap::from([(1, Objects::new())]),
            outbox: Outbox::new(seed ^ 1, 1, 40),
            serves: 0,
            inbox: Inbox::default(),
            connection: 0,
            replica: Replica::new(None),
            down: Way(VecDeque::new()),
            up: Way(VecDeque::new()),
            fulls: 0,
            deltas: 0,
            shown: None,
            wire: seed.is_multiple_of(64),
        }
    }

    fn change(&mut self) {
        let after = self.revision;
        // Another host's changes have revisions too.
        self.revision += 1 + self.dice.roll(3);
        let mut changes = Vec::new();
        for _ in 0..=self.dice.roll(3) {
            let bits = self.dice.roll(9);
            let id = PeeringConnectionId::from_bits(u128::from(bits));
            if self.dice.roll(3) == 0 {
                self.objects.remove(&id.into());
                changes.push(Change::RemovePeering(id));
            } else {
                let object = object(bits, self.dice.roll(1 << 20));
                self.objects.insert(id.into(), object.clone());
                changes.push(Change::Put(object));
            }
        }
        self.history.insert(self.revision, self.objects.clone());
        self.outbox.push(Delta {
            after,
            revision: self.revision,
            changes,
            instances: Vec::new(),
        });
    }

    fn restart_controller(&mut self) {
        let epoch = self.outbox.epoch() + 1;
        self.outbox = Outbox::new(epoch, self.revision, 40);
        self.serves = 0;
    }

    fn reconnect(&mut self) {
        let hello = self.inbox.connect();
        self.connection = hello.connection;
        self.serves = hello.connection;
        self.outbox.connect(hello.have);
    }

    fn controller_sends(&mut self) {
        if self.serves == 0 {
            return;
        }
        let epoch = self.outbox.epoch();
        let message = match self.outbox.to_send() {
            Send::Full => Down::Full {
                epoch,
                full: Full {
                    revision: self.outbox.end(),
                    objects: self.objects.values().cloned().collect(),
                    instances: Vec::new(),
                },
            },
            Send::Delta(delta) => Down::Delta { epoch, delta },
            Send::Nothing => match self.outbox.beat() {
                Some(beat) => beat,
                None => return,
            },
        };
        // What goes over the wire comes back as it was; most runs are spared the time.
        let message = if self.wire {
            let text = serde_json::to_string(&message).unwrap();
            serde_json::from_str(&text).unwrap()
        } else {
            message
        };
        self.down.put(self.serves, message);
    }

    fn host_receives(&mut self, faulty: bool) {
        let Some((connection, message)) = self.down.get(&mut self.dice, faulty) else {
            return;
        };
        match self.inbox.take(connection, message) {
            Taken::Full(full) => {
                self.fulls += 1;
                self.replica.full(full);
            }
            Taken::Delta(delta) => {
                self.deltas += 1;
                self.replica
                    .delta(delta)
                    .expect("the inbox knows the order");
            }
            Taken::Known => {}
            Taken::Gap => return self.reconnect(),
        }
        let Some(position) = self.inbox.position() else {
            return;
        };
        // Nothing is shown that never was, and nothing older than what was shown before.
        assert_eq!(self.replica.snapshot().revision(), position.revision);
        assert_eq!(self.replica.objects(), &self.history[&position.revision]);
        if let Some(shown) = self.shown {
            assert!(
                position.revision >= shown.revision,
                "{shown:?} {position:?}"
            );
        }
        self.shown = Some(position);
        self.up.put(self.connection, Up::Ack(position));
    }

    fn controller_receives(&mut self, faulty: bool) {
        if let Some((connection, Up::Ack(position))) = self.up.get(&mut self.dice, faulty)
            && connection == self.serves
        {
            self.outbox.ack(position);
            assert!(self.outbox.acked() <= Some(self.outbox.end()));
        }
    }

    fn step(&mut self) {
        match self.dice.roll(40) {
            0..=7 => self.change(),
            8..=19 => self.controller_sends(),
            20..=31 => self.host_receives(true),
            32..=37 => self.controller_receives(true),
            38 => self.reconnect(),
            _ => {
                if self.dice.roll(8) == 0 {
                    self.restart_controller();
                }
            }
        }
    }
}

#[test]
fn whatever_the_network_does_the_replica_becomes_the_state() {
    let (mut fulls, mut deltas) = (0, 0);
    for seed in 0..4000 {
        let mut world = World::new(seed);
        world.reconnect();
        for _ in 0..150 {
            world.step();
        }
        // The network heals; the host notices a controller that is gone by its silence.
        if world.serves == 0 {
            world.reconnect();
        }
        for _ in 0..400 {
            world.controller_sends();
            world.host_receives(false);
            world.controller_receives(false);
        }
        assert_eq!(world.replica.objects(), &world.objects, "seed {seed}");
        let end = world.outbox.end();
        assert_eq!(world.replica.snapshot().revision(), end, "seed {seed}");
        assert_eq!(world.outbox.acked(), Some(end), "seed {seed}");
        fulls += world.fulls;
        deltas += world.deltas;
    }
    assert!(deltas > fulls, "{deltas} deltas, {fulls} full states");
}

#[test]
fn a_cut_is_mended_by_deltas_alone() {
    let mut world = World::new(7);
    world.reconnect();
    let settle = |world: &mut World| {
        for _ in 0..20 {
            world.controller_sends();
            world.host_receives(false);
            world.controller_receives(false);
        }
    };
    settle(&mut world);
    assert_eq!((world.fulls, world.deltas), (1, 0));
    world.outbox.disconnect();
    world.change();
    world.change();
    world.reconnect();
    settle(&mut world);
    // What waited together went together.
    assert_eq!((world.fulls, world.deltas), (1, 1));
    assert_eq!(world.replica.objects(), &world.objects);
}

#[test]
fn a_host_that_does_not_read_costs_a_bounded_log() {
    let mut world = World::new(8);
    world.reconnect();
    world.controller_sends();
    world.host_receives(false);
    for _ in 0..10_000 {
        world.change();
    }
    assert!(matches!(world.outbox.to_send(), Send::Full));
    // A host that never acknowledges is not sent more than a window.
    let mut sent = 0;
    for _ in 0..100 {
        world.change();
        sent += usize::from(world.outbox.to_send() != Send::Nothing);
    }
    assert!(sent < 10, "{sent}");
}

#[test]
fn acknowledgements_of_what_was_never_said_count_for_nothing() {
    let mut outbox = Outbox::new(1, 5, 10);
    outbox.connect(None);
    assert!(matches!(outbox.to_send(), Send::Full));
    outbox.ack(Position {
        epoch: 1,
        revision: 9,
    });
    outbox.ack(Position {
        epoch: 2,
        revision: 5,
    });
    assert_eq!(outbox.acked(), Some(0));
    outbox.ack(Position {
        epoch: 1,
        revision: 5,
    });
    assert_eq!(outbox.acked(), Some(5));
}
