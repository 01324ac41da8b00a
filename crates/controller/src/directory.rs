//! Accounts, users, roles and access keys: records in a store of their own, under `iam` in the state directory.
//!
//! They are apart from the region's records, so that a copy of the network's state has no secrets in it. Secret keys
//! are kept as they are, since a signature cannot be checked with less; the store's files are readable by their owner
//! only.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use iam::{Kind, Policy};
use rpds::RedBlackTreeMapSync;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Sqlite, Store, Write};
use types::AccountId;

use crate::seal::Seal;

/// The directory of the store within the state directory.
pub(crate) const DIRECTORY: &str = "iam";

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// What its operator calls it.
    pub name: Option<String>,
    /// When it came, in milliseconds since 1970-01-01T00:00:00Z.
    pub created: i64,
}

/// A user of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    /// The account.
    pub account: AccountId,
    /// Its name, one of its kind in the account.
    pub name: String,
    /// `AIDA…`: no other user ever has it, also none of the same name.
    pub id: String,
    /// When it came.
    pub created: i64,
    /// What it may do, as a policy document; nothing without one.
    pub policy: Option<String>,
}

/// A role of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Role {
    /// The account.
    pub account: AccountId,
    /// Its name, one of its kind in the account.
    pub name: String,
    /// `AROA…`: no other role ever has it.
    pub id: String,
    /// When it came.
    pub created: i64,
    /// Who may assume it, as a policy document.
    pub trust: String,
    /// What its sessions may do, as a policy document; nothing without one.
    pub policy: Option<String>,
    /// How long its sessions may last, in seconds: 3600 to 43200.
    pub max_session: i64,
}

/// An access key. Its secret is shown once, and never again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// `AKIA…`.
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) account: AccountId,
    /// The user that has it; without one it is the account's own (the root user's).
    pub(crate) user: Option<String>,
    pub(crate) active: bool,
    pub(crate) created: i64,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// A record with its policies read.
#[derive(Debug)]
pub(crate) struct KnownUser {
    pub(crate) user: User,
    pub(crate) policy: Option<Policy>,
}

/// A record with its policies read.
#[derive(Debug)]
pub(crate) struct KnownRole {
    pub(crate) role: Role,
    pub(crate) trust: Policy,
    pub(crate) policy: Option<Policy>,
}

type Table<K, V> = RedBlackTreeMapSync<K, Arc<V>>;

/// Everything that is stored, at one moment. A clone is cheap.
#[derive(Clone, Default, Debug)]
pub(crate) struct Directory {
    pub(crate) accounts: Table<AccountId, Account>,
    pub(crate) users: Table<(AccountId, String), KnownUser>,
    pub(crate) roles: Table<(AccountId, String), KnownRole>,
    pub(crate) keys: Table<String, Key>,
    /// The keys of each account and user, in their order.
    pub(crate) holders: RedBlackTreeMapSync<(AccountId, Option<String>), Vec<String>>,
}

/// Why the accounts cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has them, or the store does not open.
    #[error(transparent)]
    Open(#[from] store::OpenError),
    /// The store does not give its records.
    #[error("the accounts cannot be read")]
    Store(#[from] store::Error),
    /// A record is of another version, or damaged.
    #[error("stored {kind} `{id}` cannot be read: {why}")]
    Record {
        /// Its kind.
        kind: String,
        /// Its key.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

const ACCOUNT: &str = "account";
const USER: &str = "user";
const ROLE: &str = "role";
const KEY: &str = "key";
/// The key that seals session tokens and authorization messages.
const SEAL: &str = "seal";

/// One change of the directory.
pub(crate) enum Change {
    Account(Account),
    User(User),
    Role(Role),
    Key(Key),
    NoUser(AccountId, String),
    NoRole(AccountId, String),
    NoKey(String),
}

impl Directory {
    /// Carries out a change, whose policies have been read before.
    fn apply(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Account(account) => {
                self.accounts
                    .insert_mut(account.id, Arc::new(account.clone()));
            }
            Change::User(user) => {
                let policy = read(user.policy.as_deref())?;
                let user = user.clone();
                let key = (user.account, user.name.clone());
                self.users
                    .insert_mut(key, Arc::new(KnownUser { user, policy }));
            }
            Change::Role(role) => {
                let policy = read(role.policy.as_deref())?;
                let trust =
                    Policy::parse(&role.trust, Kind::Trust).map_err(|error| error.to_string())?;
                let role = role.clone();
                let key = (role.account, role.name.clone());
                self.roles.insert_mut(
                    key,
                    Arc::new(KnownRole {
                        role,
                        trust,
                        policy,
                    }),
                );
            }
            Change::Key(key) => {
                self.forget_key(&key.id);
                let holder = (key.account, key.user.clone());
                let mut keys = self.holders.get(&holder).cloned().unwrap_or_default();
                keys.push(key.id.clone());
                keys.sort();
                self.holders.insert_mut(holder, keys);
                self.keys.insert_mut(key.id.clone(), Arc::new(key.clone()));
            }
            Change::NoUser(account, name) => {
                self.users.remove_mut(&(*account, name.clone()));
            }
            Change::NoRole(account, name) => {
                self.roles.remove_mut(&(*account, name.clone()));
            }
            Change::NoKey(id) => self.forget_key(id),
        }
        Ok(())
    }

    fn forget_key(&mut self, id: &str) {
        let Some(key) = self.keys.get(id).cloned() else {
            return;
        };
        self.keys.remove_mut(id);
        let holder = (key.account, key.user.clone());
        let mut keys = self.holders.get(&holder).cloned().unwrap_or_default();
        keys.retain(|key| key != id);
        if keys.is_empty() {
            self.holders.remove_mut(&holder);
        } else {
            self.holders.insert_mut(holder, keys);
        }
    }

    /// The keys of an account's root user (`None`) or user.
    pub(crate) fn keys_of(&self, account: AccountId, user: Option<&str>) -> &[String] {
        let holder = (account, user.map(str::to_owned));
        self.holders.get(&holder).map_or(&[], Vec::as_slice)
    }
}

fn read(policy: Option<&str>) -> Result<Option<Policy>, String> {
    policy
        .map(|text| Policy::parse(text, Kind::Identity).map_err(|error| error.to_string()))
        .transpose()
}

impl Change {
    /// The change as the store takes it.
    fn write(&self) -> Write {
        let put = |kind: &str, id: String, body: Result<Vec<u8>, serde_json::Error>| Write {
            kind: kind.to_owned(),
            id,
            // Nothing in these records has no JSON form.
            body: body.ok(),
        };
        let gone = |kind: &str, id: String| Write {
            kind: kind.to_owned(),
            id,
            body: None,
        };
        match self {
            Change::Account(account) => {
                put(ACCOUNT, account.id.to_string(), serde_json::to_vec(account))
            }
            Change::User(user) => put(
                USER,
                named(user.account, &user.name),
                serde_json::to_vec(user),
            ),
            Change::Role(role) => put(
                ROLE,
                named(role.account, &role.name),
                serde_json::to_vec(role),
            ),
            Change::Key(key) => put(KEY, key.id.clone(), serde_json::to_vec(key)),
            Change::NoUser(account, name) => gone(USER, named(*account, name)),
            Change::NoRole(account, name) => gone(ROLE, named(*account, name)),
            Change::NoKey(id) => gone(KEY, id.clone()),
        }
    }
}

fn named(account: AccountId, name: &str) -> String {
    format!("{account}/{name}")
}

/// The directory with its store.
pub struct Accounts {
    store: Mutex<Box<dyn Store>>,
    now: ArcSwap<Directory>,
    seal: Arc<Seal>,
}

impl Accounts {
    /// Opens the accounts of a state directory; without any, they are none. The first time this makes the key that
    /// seals session tokens.
    ///
    /// # Errors
    /// [`DirectoryError`]; `OpenError::InUse` within it if a `polder up` runs with this directory.
    pub fn open(state_dir: &Path) -> Result<Accounts, DirectoryError> {
        let store = Sqlite::open(&state_dir.join(DIRECTORY))?;
        let loaded = store.load()?;
        let mut directory = Directory::default();
        let mut seal = None;
        for record in &loaded.records {
            let unreadable = |why: String| DirectoryError::Record {
                kind: record.kind.clone(),
                id: record.id.clone(),
                why,
            };
            let change = match record.kind.as_str() {
                ACCOUNT => from_json(&record.body).map(Change::Account),
                USER => from_json(&record.body).map(Change::User),
                ROLE => from_json(&record.body).map(Change::Role),
                KEY => from_json(&record.body).map(Change::Key),
                SEAL => {
                    let made = Seal::of(&record.body);
                    seal = Some(made.ok_or_else(|| unreadable("its length".to_owned()))?);
                    continue;
                }
                _ => Err("unknown kind".to_owned()),
            };
            let change = change.map_err(unreadable)?;
            directory.apply(&change).map_err(unreadable)?;
        }
        let seal = match seal {
            Some(seal) => seal,
            None => {
                let (seal, body) = Seal::random().ok_or(DirectoryError::Random)?;
                let write = Write {
                    kind: SEAL.to_owned(),
                    id: SEAL.to_owned(),
                    body: Some(body),
                };
                store.commit(loaded.revision, &[write])?;
                seal
            }
        };
        Ok(Accounts {
            store: Mutex::new(Box::new(store)),
            now: ArcSwap::from_pointee(directory),
            seal: Arc::new(seal),
        })
    }

    /// Everything as of now.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        self.now.load_full()
    }

    /// What seals session tokens.
    pub(crate) fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Decides on changes and makes them durable, one caller after the other.
    ///
    /// # Errors
    /// What `decide` refuses, or that the store fails, in words.
    pub(crate) fn change<T>(
        &self,
        decide: impl FnOnce(&Directory) -> Result<(Vec<Change>, T), String>,
    ) -> Result<T, String> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.directory();
        let (changes, outcome) = decide(&before)?;
        if changes.is_empty() {
            return Ok(outcome);
        }
        let mut after = Directory::clone(&before);
        for change in &changes {
            after.apply(change)?;
        }
        let writes: Vec<Write> = changes.iter().map(Change::write).collect();
        let revision = *store.watch().borrow();
        store.commit(revision, &writes).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the accounts' store fails"
            );
            "the accounts cannot be written".to_owned()
        })?;
        self.now.store(Arc::new(after));
        Ok(outcome)
    }
}

fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
