//! Which decisions the kernel program may repeat, and on what they rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fastpath_core::Template;
use fastpath_core::abi::FlowKey;
use fastpath_core::template::MAX_TEMPLATES;
use types::{ObjectId, PortRange};

use crate::session;
use crate::shares::Words;

/// How many flows are remembered that might have left a template.
const RECENT: usize = 8192;

/// A template that the kernel program has.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) key: FlowKey,
    pub(crate) template: Template,
    /// A flow for which the decision was made.
    pub(crate) opener: FlowKey,
    depends: BTreeSet<ObjectId>,
    /// Whether it has been there for a whole pass over the sessions.
    old: bool,
}

/// The templates.
#[derive(Debug)]
pub(crate) struct Templates {
    slots: BTreeMap<u32, Held>,
    keys: HashMap<FlowKey, u32>,
    dependents: BTreeMap<ObjectId, BTreeSet<u32>>,
    shares: BTreeMap<u32, usize>,
    free: Vec<u32>,
    next: u32,
    /// Seals of keys without a template, each in its place: the second flow leaves one. One that nobody repeats would
    /// cost more than it saves.
    recent: Vec<u64>,
    /// The slots of which the current pass has met a session.
    seen: BTreeSet<u32>,
}

impl Default for Templates {
    fn default() -> Templates {
        Templates {
            slots: BTreeMap::new(),
            keys: HashMap::new(),
            dependents: BTreeMap::new(),
            shares: BTreeMap::new(),
            free: Vec::new(),
            next: 1,
            recent: vec![0; RECENT],
            seen: BTreeSet::new(),
        }
    }
}

impl Templates {
    /// A flow was decided, and for these client ports the decision is the same. Returns the slot of a new template, if
    /// it is to be one.
    pub(crate) fn offer(
        &mut self,
        flow: &session::Template,
        ports: PortRange,
        words: Words,
    ) -> Option<u32> {
        let opener = flow.key[0];
        let key = Template::key(&opener);
        let made = flow.as_template(ports);
        if self.keys.contains_key(&key) {
            return None;
        }
        let place = usize::try_from(made.seal).unwrap_or(0) % RECENT;
        let recent = self.recent.get_mut(place)?;
        if std::mem::replace(recent, made.seal) != made.seal {
            return None;
        }
        let room = MAX_TEMPLATES as usize - 1 - self.slots.len();
        if self.shares.get(&key.port).copied().unwrap_or(0) >= room {
            return None;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        let template = Template {
            slot,
            port_word: words.port,
            account_word: words.account,
            ..made
        };
        for object in &flow.depends {
            self.dependents.entry(*object).or_default().insert(slot);
        }
        *self.shares.entry(key.port).or_default() += 1;
        self.keys.insert(key, slot);
        self.slots.insert(
            slot,
            Held {
                key,
                template,
                opener,
                depends: flow.depends.clone(),
                old: false,
            },
        );
        Some(slot)
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Held> {
        self.slots.get(&slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slots of all.
    pub(crate) fn all(&self) -> Vec<u32> {
        self.slots.keys().copied().collect()
    }

    /// The slots of those that depend on one of these objects.
    pub(crate) fn dependents(&self, objects: &BTreeSet<ObjectId>) -> BTreeSet<u32> {
        let known = objects
            .iter()
            .filter_map(|object| self.dependents.get(object));
        known.flatten().copied().collect()
    }

    /// The slots of those that begin or end at a port.
    pub(crate) fn at_port(&self, port: u32) -> Vec<u32> {
        let at = |held: &Held| {
            let action = &held.template.action;
            held.key.port == port
                || held.template.reverse.port == port
                || action.iter().any(|action| action.output == port)
        };
        let found = self.slots.iter().filter(|(_, held)| at(held));
        found.map(|(slot, _)| *slot).collect()
    }

    /// Whether a flow, decided anew, would leave the very same template.
    pub(crate) fn is_same(&self, slot: u32, flow: &session::Template, ports: PortRange) -> bool {
        self.slots.get(&slot).is_some_and(|held| {
            let Template {
                slot,
                generation,
                port_word,
                account_word,
                ..
            } = held.template;
            held.template
                == Template {
                    slot,
                    generation,
                    port_word,
                    account_word,
                    ..flow.as_template(ports)
                }
        })
    }

    /// A template now rests on these objects.
    pub(crate) fn depend(&mut self, slot: u32, depends: BTreeSet<ObjectId>) {
        let Some(held) = self.slots.get_mut(&slot) else {
            return;
        };
        let old = std::mem::replace(&mut held.depends, depends.clone());
        self.forget(slot, &old);
        for object in depends {
            self.dependents.entry(object).or_default().insert(slot);
        }
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Held> {
        let held = self.slots.remove(&slot)?;
        self.keys.remove(&held.key);
        self.forget(slot, &held.depends);
        if let Some(share) = self.shares.get_mut(&held.key.port) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&held.key.port);
            }
        }
        self.free.push(slot);
        Some(held)
    }

    fn forget(&mut self, slot: u32, depends: &BTreeSet<ObjectId>) {
        for object in depends {
            if let Some(slots) = self.dependents.get_mut(object) {
                slots.remove(&slot);
                if slots.is_empty() {
                    self.dependents.remove(object);
                }
            }
        }
    }

    /// A session of this slot is there.
    pub(crate) fn seen(&mut self, slot: u32) {
        self.seen.insert(slot);
    }

    /// A pass over all sessions has ended: the slots that have been there for all of it and have none.
    pub(crate) fn unused(&mut self) -> Vec<u32> {
        let seen = std::mem::take(&mut self.seen);
        let mut unused = Vec::new();
        for (slot, held) in &mut self.slots {
            if held.old && !seen.contains(slot) {
                unused.push(*slot);
            }
            held.old = true;
        }
        unused
    }
}
