//! A table of records with an index: by owner, and by what a record refers to.
//!
//! Tables are persistent maps: a clone shares what does not change, so a state is cheap to keep and to publish. The
//! index makes a look-up cost what it finds, not what the region holds; and it answers "what still refers to this?"
//! for every kind alike.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{AccountId, ObjectId, RegionName};

use crate::State;
use crate::tree::Tree;

/// What records are found by besides their id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// An account that may see the record in a region.
    Owner(AccountId, RegionName),
    /// Another resource that the record refers to: an interface's subnet, a subnet's VPC.
    Of(ObjectId),
    /// A number that its kind is looked for by: a VPC's VNI, an interface's Ethernet address, when an instance was
    /// terminated.
    Number(u64),
    /// A public address, or the first one of an IPv6 block.
    Address(IpAddr),
}

/// Takes a record's keys.
pub struct Keys<'k>(&'k mut dyn FnMut(Key));

impl Keys<'_> {
    /// An account that may see the record in a region.
    pub fn owner(&mut self, account: AccountId, region: &RegionName) {
        (self.0)(Key::Owner(account, region.clone()));
    }

    /// A number that its kind is looked for by.
    pub fn number(&mut self, number: u64) {
        (self.0)(Key::Number(number));
    }

    /// A public address, or the first one of an IPv6 block.
    pub fn address(&mut self, address: IpAddr) {
        (self.0)(Key::Address(address));
    }

    /// Resources that the record refers to, one or many: `keys.of([self.vpc])`, `keys.of(self.gateway)`.
    pub fn of<I: Into<ObjectId>>(&mut self, ids: impl IntoIterator<Item = I>) {
        for id in ids {
            (self.0)(Key::Of(id.into()));
        }
    }
}

/// A stored record: what the store keeps as JSON under (`KIND`, id).
pub trait Record: Indexed + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the kind in the store. Never changes: stores on disk have it.
    const KIND: &'static str;
    /// Its key.
    type Id: Ord + Clone + Display + FromStr + Send + Sync;

    /// The record's key.
    fn id(&self) -> Self::Id;
    /// The table of this kind.
    fn table(state: &State) -> &Table<Self>;
    /// The table of this kind, to change it.
    fn table_mut(state: &mut State) -> &mut Table<Self>;
}

/// What a record is found by besides its id. The same record always has the same keys.
pub trait Indexed {
    /// Gives every key. One that is given twice counts once.
    fn keys(&self, keys: &mut Keys<'_>);
}

/// Every key of a record, in order, once.
pub(crate) fn keys_of(record: &impl Indexed) -> Vec<Key> {
    let mut keys = Vec::new();
    record.keys(&mut Keys(&mut |key| keys.push(key)));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A table of records; cloning it is cheap, and a clone shares what does not change.
#[derive(Clone)]
pub struct Table<R: Record> {
    records: Tree<R::Id, Arc<R>>,
    index: Tree<(Key, R::Id), ()>,
}

impl<R: Record> Default for Table<R> {
    fn default() -> Table<R> {
        Table {
            records: Tree::default(),
            index: Tree::default(),
        }
    }
}

impl<R: Record> Table<R> {
    /// The table of these records; of two with the same id, it has the later one.
    pub(crate) fn of_all(mut records: Vec<Arc<R>>) -> Table<R> {
        records.sort_by_key(|record| record.id());
        // Of equals, the one that is kept comes first.
        records.reverse();
        records.dedup_by_key(|record| record.id());
        records.reverse();
        let mut index = Vec::with_capacity(records.len() * 2);
        for record in &records {
            record.keys(&mut Keys(&mut |key| index.push(((key, record.id()), ()))));
        }
        index.sort_unstable();
        index.dedup();
        let records = records.into_iter().map(|record| (record.id(), record));
        Table {
            records: Tree::from_sorted(records.collect()),
            index: Tree::from_sorted(index),
        }
    }

    /// The record of that id.
    #[must_use]
    pub fn get(&self, id: &R::Id) -> Option<&R> {
        self.records.get(id).map(Arc::as_ref)
    }

    /// Whether there is a record of that id.
    #[must_use]
    pub fn contains_key(&self, id: &R::Id) -> bool {
        self.records.get(id).is_some()
    }

    /// How many records there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.records.size()
    }

    /// Every record, by id.
    pub fn values(&self) -> impl Iterator<Item = &R> {
        self.records.iter().map(|(_, record)| record.as_ref())
    }

    /// Every id, in order.
    pub fn keys(&self) -> impl Iterator<Item = &R::Id> {
        self.records.iter().map(|(id, _)| id)
    }

    /// The records from this id on, by id. Costs what is taken of them.
    pub fn from<'t>(&'t self, id: &R::Id) -> impl Iterator<Item = &'t R> + use<'t, R> {
        self.records
            .after(|other| other < id)
            .map(|(_, record)| record.as_ref())
    }

    /// The records that have this key, by id. Costs what it finds.
    pub fn by(&self, key: Key) -> impl Iterator<Item = &R> {
        self.index
            .after(|(other, _)| *other < key)
            .take_while(move |((other, _), ())| *other == key)
            .filter_map(|((_, id), ())| self.get(id))
    }

    /// Whether a record has this key.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        let mut from = self.index.after(|(other, _)| other < key);
        from.next().is_some_and(|((other, _), ())| other == key)
    }

    /// The records that have a number below this one, by number.
    pub fn below(&self, number: u64) -> impl Iterator<Item = &R> {
        self.index
            .after(|(other, _)| *other < Key::Number(0))
            .take_while(move |((other, _), ())| *other < Key::Number(number))
            .filter_map(|((_, id), ())| self.get(id))
    }

    /// The records that refer to this resource, by id: the subnets of a VPC, the interfaces of a subnet.
    pub fn of(&self, id: impl Into<ObjectId>) -> impl Iterator<Item = &R> {
        self.by(Key::Of(id.into()))
    }

    /// Creates or replaces a record.
    pub fn put(&mut self, record: R) {
        let id = record.id();
        let new = keys_of(&record);
        let old = self.get(&id).map(keys_of).unwrap_or_default();
        for key in old.iter().filter(|key| !new.contains(key)) {
            self.index.remove(&(key.clone(), id.clone()));
        }
        for key in new.iter().filter(|key| !old.contains(key)) {
            self.index.insert((key.clone(), id.clone()), ());
        }
        self.records.insert(id, Arc::new(record));
    }

    /// Whether the index is as one that is built from scratch.
    #[cfg(test)]
    pub(crate) fn is_indexed(&self) -> bool {
        let records = self.records.iter().map(|(_, record)| Arc::clone(record));
        let anew = Table::of_all(records.collect());
        self.index.iter().eq(anew.index.iter())
    }

    /// Deletes a record; whether there was one.
    pub fn remove(&mut self, id: &R::Id) -> bool {
        for key in self.get(id).map(keys_of).unwrap_or_default() {
            self.index.remove(&(key, id.clone()));
        }
        self.records.remove(id)
    }
}

impl<R: Record> std::ops::Index<&R::Id> for Table<R> {
    type Output = R;

    #[expect(clippy::expect_used, reason = "what an index operator does")]
    fn index(&self, id: &R::Id) -> &R {
        self.get(id).expect("a record of that id")
    }
}
