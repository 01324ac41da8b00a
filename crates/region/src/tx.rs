//! A transaction over the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::ObjectId;

use crate::{Record, State};

/// One write, as the store takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The record's kind.
    pub kind: &'static str,
    /// The record's key.
    pub id: String,
    /// The record as JSON; `None` deletes it.
    pub body: Option<Vec<u8>>,
}

/// What one request reads and writes. Starts from a state, which stays as it was: the first write copies the tables'
/// roots.
pub struct Tx {
    state: Arc<State>,
    writes: BTreeMap<(&'static str, String), Option<Vec<u8>>>,
    parameters: u64,
}

impl Tx {
    /// A transaction that starts from this state.
    #[must_use]
    pub fn new(state: &Arc<State>) -> Tx {
        Tx {
            state: Arc::clone(state),
            writes: BTreeMap::new(),
            parameters: 0,
        }
    }

    /// Notes what the request's parameters are, as a digest by which a repetition is known.
    pub(crate) const fn note_parameters(&mut self, digest: u64) {
        self.parameters = digest;
    }

    /// The digest of the request's parameters.
    pub(crate) const fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The state with this transaction's writes in it.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A record.
    #[must_use]
    pub fn get<R: Record>(&self, id: &R::Id) -> Option<&R> {
        R::table(&self.state).get(id)
    }

    /// Every record of a kind, by key.
    pub fn all<R: Record>(&self) -> impl Iterator<Item = &R> {
        R::table(&self.state).values()
    }

    /// The records of a kind that refer to a resource, by key. Costs what it finds.
    pub fn of<R: Record>(&self, id: impl Into<ObjectId>) -> impl Iterator<Item = &R> {
        R::table(&self.state).of(id)
    }

    /// Creates or replaces a record.
    #[expect(
        clippy::missing_panics_doc,
        reason = "records are plain data, whose JSON form always exists"
    )]
    pub fn put<R: Record>(&mut self, record: R) {
        #[expect(clippy::expect_used, reason = "records are plain data with text keys")]
        let body = serde_json::to_vec(&record).expect("a record has a JSON form");
        self.writes
            .insert((R::KIND, record.id().to_string()), Some(body));
        R::table_mut(Arc::make_mut(&mut self.state)).put(record);
    }

    /// Deletes a record.
    pub fn remove<R: Record>(&mut self, id: &R::Id) {
        if R::table(&self.state).contains_key(id) {
            R::table_mut(Arc::make_mut(&mut self.state)).remove(id);
            self.writes.insert((R::KIND, id.to_string()), None);
        }
    }

    /// The next state, and the writes that lead to it, by kind and key.
    #[must_use]
    pub fn finish(self) -> (Arc<State>, Vec<Write>) {
        let writes = self
            .writes
            .into_iter()
            .map(|((kind, id), body)| Write { kind, id, body })
            .collect();
        (self.state, writes)
    }
}
