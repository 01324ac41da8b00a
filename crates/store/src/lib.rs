//! Serializable transactions over records, and the ordered feed of their changes.
//!
//! Contract: the store has one revision, a number that every commit raises by one. A commit names the revision it
//! was decided on, and is refused if that is not the current one any more: so whoever decided has seen everything,
//! and all commits are as if one had happened after the other. What a commit changes and its entries in the feed
//! come in one transaction. A commit that was acknowledged survives `kill -9` and loss of power. Several commits
//! may be written together, which costs one wait for the disk: each keeps its revision, and a crash leaves all of
//! them or none.
//!
//! Limitations: the store does not look into records. It holds the state of a controller, which keeps all of it in
//! memory: there are no queries. Calls block; they belong on a thread that may.
#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod sqlite;

pub use sqlite::Sqlite;

/// Counts commits. 0 is the empty store.
pub type Revision = u64;

/// Everything that a store has, at one revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The revision of the last commit in it.
    pub revision: Revision,
    /// Every record, by kind and id.
    pub records: Vec<StoredRecord>,
}

/// A record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StoredRecord {
    /// Its kind.
    pub kind: String,
    /// Its key, one of its kind.
    pub id: String,
    /// Its content.
    pub body: Vec<u8>,
}

/// One write of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The record's kind.
    pub kind: String,
    /// The record's key.
    pub id: String,
    /// The record's content from now on; `None` deletes it.
    pub body: Option<Vec<u8>>,
}

/// One write of a commit of the past, as the feed has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The commit's revision, which it shares with the commit's other changes.
    pub revision: Revision,
    /// The record's kind.
    pub kind: String,
    /// The record's key.
    pub id: String,
    /// The record's content after it; `None` if it was deleted.
    pub body: Option<Vec<u8>>,
}

/// Why a store does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else committed meanwhile: take the changes and decide anew. Nothing was written.
    #[error("the commit was decided on an older revision than the current one, {current}")]
    Conflict {
        /// The revision that a commit must name now.
        current: Revision,
    },
    /// The feed begins later: load everything instead.
    #[error("changes up to revision {forgotten} are no longer in the feed")]
    Compacted {
        /// The last revision that was forgotten.
        forgotten: Revision,
    },
    /// The disk or the database fails. A commit that ends so may have happened or not: load anew.
    #[error("the store cannot {action}")]
    Storage {
        /// What it was doing, as a verb with its object.
        action: &'static str,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// One store has one process.
    #[error("state directory `{dir}` is in use by another polder{}", process(.pid.as_ref()))]
    InUse {
        /// The directory.
        dir: String,
        /// The other's process number, if it left it.
        pid: Option<u32>,
    },
    /// A later version wrote it, and this one could only do harm.
    #[error(
        "state directory `{dir}` was written by a newer version of polder (format {found}; this one knows {known})"
    )]
    Newer {
        /// The directory.
        dir: String,
        /// The version of its format.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// It is a database, but not one of these.
    #[error("`{file}` is the database of another program")]
    Foreign {
        /// The file.
        file: String,
    },
    /// The database is damaged.
    #[error(
        "`{file}` is damaged: {why}; restore it from a copy, or move it away to begin with an empty state"
    )]
    Damaged {
        /// The file.
        file: String,
        /// What SQLite found first.
        why: String,
    },
    /// There is no room for it.
    #[error("no space is left for `{path}`")]
    Full {
        /// The file.
        path: String,
    },
    /// The file system or the database does not let us.
    #[error("cannot {action} `{path}`")]
    Storage {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn process(pid: Option<&u32>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}

/// A store of records.
pub trait Store: Send + Sync {
    /// Shows every record of the current revision, in any order: kind, id, body. Returns the revision. Nothing is
    /// kept in memory but one record at a time.
    ///
    /// # Errors
    /// [`Error::Storage`].
    fn scan(&self, each: &mut dyn FnMut(&str, &str, &[u8])) -> Result<Revision, Error>;

    /// Everything, at the current revision.
    ///
    /// # Errors
    /// [`Error::Storage`].
    fn load(&self) -> Result<Loaded, Error> {
        let mut records = Vec::new();
        let revision = self.scan(&mut |kind, id, body| {
            records.push(StoredRecord {
                kind: kind.to_owned(),
                id: id.to_owned(),
                body: body.to_owned(),
            });
        })?;
        records.sort_unstable();
        Ok(Loaded { revision, records })
    }

    /// Carries out all the writes, in their order, or none of them. Returns the new revision: `expected` + 1, or
    /// `expected` itself if there are no writes, which leaves no trace.
    ///
    /// # Errors
    /// [`Error::Conflict`] if `expected` is not the current revision; [`Error::Storage`].
    fn commit(&self, expected: Revision, writes: &[Write]) -> Result<Revision, Error> {
        self.commit_many(expected, &[writes])
    }

    /// Carries out several commits, one after the other, or none of them: for the disk they are one. Each has a
    /// revision of its own, the first `expected` + 1, but for those without writes, which leave no trace. Returns
    /// the last revision. A watcher may see only that one.
    ///
    /// # Errors
    /// [`Error::Conflict`] if `expected` is not the current revision; [`Error::Storage`].
    fn commit_many(&self, expected: Revision, commits: &[&[Write]]) -> Result<Revision, Error>;

    /// The changes of the commits after a revision, in order. Commits come whole: at least one if there is any,
    /// then as many as make `limit` changes at most. None means that `after` is the current revision, or later.
    ///
    /// # Errors
    /// [`Error::Compacted`] if some of them were forgotten; [`Error::Storage`].
    fn changes(&self, after: Revision, limit: usize) -> Result<Vec<Change>, Error>;

    /// Tells of the current revision and of every later one. A slow receiver sees only the last.
    fn watch(&self) -> tokio::sync::watch::Receiver<Revision>;

    /// Forgets the changes of commits before this revision, or up to the current one. Records stay. A store may
    /// also forget old ones by itself.
    ///
    /// # Errors
    /// [`Error::Storage`].
    fn compact(&self, before: Revision) -> Result<(), Error>;
}
