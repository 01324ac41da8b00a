//! What an operator does with accounts: the commands of `polder account`, and the socket that takes them, and those of
//! `polder quota`, while a server runs.
//!
//! The socket is `admin.sock` in the state directory, with mode 0600: who may use it is who may read the state anyway.
//! There is no way over the network. A client sends one command as JSON, ends its side, and reads one answer.

use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iam::{Kind, Policy};
use serde::{Deserialize, Serialize};
use types::AccountId;

use crate::core::Controller;
use crate::directory::{Account, Accounts, Change, Directory, Key, Role, User};
use crate::quotas::{self, Quota};
use crate::socket::{self, Socket};

/// The socket's name in the state directory.
pub const SOCKET: &str = "admin.sock";
/// The longest command or answer, in bytes.
pub const MAX_MESSAGE: u64 = 64 * 1024 * 1024;

/// Access keys of a user, and of an account itself (IAM quotas).
const MAX_KEYS: usize = 2;
/// Users of an account (IAM quotas).
const MAX_USERS: usize = 5000;
/// Roles of an account (IAM quotas).
const MAX_ROLES: usize = 1000;
/// The longest name of an account, user or role (IAM quotas).
const MAX_NAME: usize = 64;
/// How long sessions of a role may last unless its operator says otherwise, in seconds; also the least.
pub const SESSION: i64 = 3600;
/// The longest that sessions of a role may last, in seconds.
pub const MAX_SESSION: i64 = 43_200;

/// A point in time as text, in whole seconds: `2026-01-02T03:04:05Z`.
#[must_use]
pub fn date(ms: i64) -> String {
    iam::iso(ms)
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Makes an account with an access key; of a random number if none is given.
    CreateAccount {
        /// The number.
        id: Option<AccountId>,
        /// What to call it.
        name: Option<String>,
    },
    /// Shows all accounts.
    ListAccounts,
    /// Makes another access key.
    CreateKey {
        /// Of this account,
        account: AccountId,
        /// or of this user in it.
        user: Option<String>,
    },
    /// Shows the access keys of an account and its users, without their secrets.
    ListKeys {
        /// The account.
        account: AccountId,
    },
    /// Makes a key valid or invalid.
    UpdateKey {
        /// The access key's id.
        key: String,
        /// Whether it is valid.
        active: bool,
    },
    /// Deletes an access key.
    DeleteKey {
        /// The access key's id.
        key: String,
    },
    /// Makes a user with an access key.
    CreateUser {
        /// The account.
        account: AccountId,
        /// The user's name.
        name: String,
        /// What it may do.
        policy: Option<String>,
    },
    /// Gives a user another policy.
    UpdateUser {
        /// The account.
        account: AccountId,
        /// The user's name.
        name: String,
        /// What it may do from now on.
        policy: Option<String>,
    },
    /// Shows an account's users.
    ListUsers {
        /// The account.
        account: AccountId,
    },
    /// Deletes a user with its access keys.
    DeleteUser {
        /// The account.
        account: AccountId,
        /// The user's name.
        name: String,
    },
    /// Makes a role.
    CreateRole {
        /// The account.
        account: AccountId,
        /// The role's name.
        name: String,
        /// Who may assume it.
        trust: String,
        /// What its sessions may do.
        policy: Option<String>,
        /// How long they may last, in seconds.
        max_session: i64,
    },
    /// Gives a role other policies; what is not given stays.
    UpdateRole {
        /// The account.
        account: AccountId,
        /// The role's name.
        name: String,
        /// Who may assume it from now on.
        trust: Option<String>,
        /// What its sessions may do from now on.
        policy: Option<String>,
        /// How long new sessions may last, in seconds.
        max_session: Option<i64>,
    },
    /// Shows an account's roles.
    ListRoles {
        /// The account.
        account: AccountId,
    },
    /// Deletes a role. Its sessions end at once.
    DeleteRole {
        /// The account.
        account: AccountId,
        /// The role's name.
        name: String,
    },
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A new access key.
    Key(NewKey),
    /// All accounts.
    Accounts(Vec<Account>),
    /// Access keys.
    Keys(Vec<KeyEntry>),
    /// Users.
    Users(Vec<User>),
    /// Roles.
    Roles(Vec<Role>),
    /// Quotas.
    Quotas(Vec<Quota>),
    /// It is done.
    Done,
    /// It is refused, for this reason.
    Refused(String),
}

/// A new access key, with the secret that nobody is shown again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewKey {
    /// The account.
    pub account_id: AccountId,
    /// The user; none if it is the account's own key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The key's id.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewKey({})", self.access_key_id)
    }
}

/// An access key without its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyEntry {
    /// The key's id.
    pub access_key_id: String,
    /// The user; none if it is the account's own key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// `Active` or `Inactive`.
    pub status: String,
    /// When it was made, in milliseconds since 1970-01-01T00:00:00Z.
    pub created: i64,
}

impl Accounts {
    /// Carries out a command at this time, in milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn execute(&self, command: Command, now: i64) -> Outcome {
        self.change(|directory| decide(directory, command, now))
            .unwrap_or_else(Outcome::Refused)
    }
}

fn decide(
    directory: &Directory,
    command: Command,
    now: i64,
) -> Result<(Vec<Change>, Outcome), String> {
    let nothing = |outcome| Ok((Vec::new(), outcome));
    match command {
        Command::CreateAccount { id, name } => create_account(directory, id, name, now),
        Command::ListAccounts => {
            let accounts = directory.accounts.values();
            nothing(Outcome::Accounts(
                accounts.map(|account| Account::clone(account)).collect(),
            ))
        }
        Command::CreateKey { account, user } => {
            known(directory, account)?;
            if let Some(name) = &user {
                known_user(directory, account, name)?;
            }
            let has = directory.keys_of(account, user.as_deref()).len();
            if has >= MAX_KEYS {
                return Err(format!(
                    "there are {MAX_KEYS} access keys already; delete one first"
                ));
            }
            with_key(Vec::new(), account, user, now)
        }
        Command::ListKeys { account } => {
            known(directory, account)?;
            let from = (account, None);
            let keys = directory
                .holders
                .range(from..)
                .take_while(|((of, _), _)| *of == account)
                .flat_map(|(_, keys)| keys)
                .filter_map(|id| directory.keys.get(id))
                .map(|key| KeyEntry {
                    access_key_id: key.id.clone(),
                    user_name: key.user.clone(),
                    status: if key.active { "Active" } else { "Inactive" }.to_owned(),
                    created: key.created,
                });
            nothing(Outcome::Keys(keys.collect()))
        }
        Command::UpdateKey { key, active } => {
            let mut key = Key::clone(known_key(directory, &key)?);
            key.active = active;
            Ok((vec![Change::Key(key)], Outcome::Done))
        }
        Command::DeleteKey { key } => {
            let key = known_key(directory, &key)?;
            Ok((vec![Change::NoKey(key.id.clone())], Outcome::Done))
        }
        Command::CreateUser {
            account,
            name,
            policy,
        } => {
            known(directory, account)?;
            check_name(&name)?;
            check_policy(policy.as_deref())?;
            if directory.users.contains_key(&(account, name.clone())) {
                return Err(format!("user `{name}` exists already"));
            }
            if of(directory.users.range((account, String::new())..), account).count() >= MAX_USERS {
                return Err(format!("an account has at most {MAX_USERS} users"));
            }
            let user = User {
                account,
                name: name.clone(),
                id: unique("AIDA")?,
                created: now,
                policy,
            };
            with_key(vec![Change::User(user)], account, Some(name), now)
        }
        Command::UpdateUser {
            account,
            name,
            policy,
        } => {
            check_policy(policy.as_deref())?;
            let mut user = known_user(directory, account, &name)?.clone();
            user.policy = policy;
            Ok((vec![Change::User(user)], Outcome::Done))
        }
        Command::ListUsers { account } => {
            known(directory, account)?;
            let users = of(directory.users.range((account, String::new())..), account);
            nothing(Outcome::Users(
                users.map(|known| known.user.clone()).collect(),
            ))
        }
        Command::DeleteUser { account, name } => {
            known_user(directory, account, &name)?;
            let keys = directory.keys_of(account, Some(&name)).iter();
            let mut changes: Vec<Change> = keys.cloned().map(Change::NoKey).collect();
            changes.push(Change::NoUser(account, name));
            Ok((changes, Outcome::Done))
        }
        Command::CreateRole {
            account,
            name,
            trust,
            policy,
            max_session,
        } => {
            known(directory, account)?;
            check_name(&name)?;
            check_policy(policy.as_deref())?;
            check_trust(&trust)?;
            check_session(max_session)?;
            if directory.roles.contains_key(&(account, name.clone())) {
                return Err(format!("role `{name}` exists already"));
            }
            if of(directory.roles.range((account, String::new())..), account).count() >= MAX_ROLES {
                return Err(format!("an account has at most {MAX_ROLES} roles"));
            }
            let role = Role {
                account,
                name,
                id: unique("AROA")?,
                created: now,
                trust,
                policy,
                max_session,
            };
            Ok((vec![Change::Role(role)], Outcome::Done))
        }
        Command::UpdateRole {
            account,
            name,
            trust,
            policy,
            max_session,
        } => {
            check_policy(policy.as_deref())?;
            trust.as_deref().map_or(Ok(()), check_trust)?;
            max_session.map_or(Ok(()), check_session)?;
            let mut role = known_role(directory, account, &name)?.clone();
            role.trust = trust.unwrap_or(role.trust);
            role.policy = policy.or(role.policy);
            role.max_session = max_session.unwrap_or(role.max_session);
            Ok((vec![Change::Role(role)], Outcome::Done))
        }
        Command::ListRoles { account } => {
            known(directory, account)?;
            let roles = of(directory.roles.range((account, String::new())..), account);
            nothing(Outcome::Roles(
                roles.map(|known| known.role.clone()).collect(),
            ))
        }
        Command::DeleteRole { account, name } => {
            known_role(directory, account, &name)?;
            Ok((vec![Change::NoRole(account, name)], Outcome::Done))
        }
    }
}

fn create_account(
    directory: &Directory,
    id: Option<AccountId>,
    name: Option<String>,
    now: i64,
) -> Result<(Vec<Change>, Outcome), String> {
    if let Some(name) = &name
        && (name.is_empty()
            || name.chars().count() > MAX_NAME
            || name.chars().any(char::is_control))
    {
        return Err(format!("a name has 1 to {MAX_NAME} characters"));
    }
    let id = match id {
        Some(id) if directory.accounts.contains_key(&id) => {
            return Err(format!("account `{id}` exists already"));
        }
        Some(id) => id,
        None => loop {
            // Numbers of AWS do not begin with 0 either, for which spreadsheets are grateful.
            let number = 100_000_000_000 + random()? % 900_000_000_000;
            let id: AccountId = number
                .to_string()
                .parse()
                .map_err(|_| "no number".to_owned())?;
            if !directory.accounts.contains_key(&id) {
                break id;
            }
        },
    };
    let account = Account {
        id,
        name,
        created: now,
    };
    with_key(vec![Change::Account(account)], id, None, now)
}

/// The changes and a new key.
fn with_key(
    mut changes: Vec<Change>,
    account: AccountId,
    user: Option<String>,
    now: i64,
) -> Result<(Vec<Change>, Outcome), String> {
    let key = Key {
        id: unique("AKIA")?,
        secret: secret()?,
        account,
        user: user.clone(),
        active: true,
        created: now,
    };
    let shown = NewKey {
        account_id: account,
        user_name: user,
        access_key_id: key.id.clone(),
        secret_access_key: key.secret.clone(),
    };
    changes.push(Change::Key(key));
    Ok((changes, Outcome::Key(shown)))
}

/// The records of one account, from its first one on.
fn of<'d, V: 'd>(
    range: impl Iterator<Item = (&'d (AccountId, String), &'d Arc<V>)>,
    account: AccountId,
) -> impl Iterator<Item = &'d V> {
    range
        .take_while(move |((of, _), _)| *of == account)
        .map(|(_, record)| record.as_ref())
}

fn known(directory: &Directory, account: AccountId) -> Result<(), String> {
    if directory.accounts.contains_key(&account) {
        Ok(())
    } else {
        Err(format!("there is no account `{account}`"))
    }
}

fn known_user<'d>(
    directory: &'d Directory,
    account: AccountId,
    name: &str,
) -> Result<&'d User, String> {
    let found = directory.users.get(&(account, name.to_owned()));
    found
        .map(|known| &known.user)
        .ok_or_else(|| format!("account `{account}` has no user `{name}`"))
}

fn known_role<'d>(
    directory: &'d Directory,
    account: AccountId,
    name: &str,
) -> Result<&'d Role, String> {
    let found = directory.roles.get(&(account, name.to_owned()));
    found
        .map(|known| &known.role)
        .ok_or_else(|| format!("account `{account}` has no role `{name}`"))
}

fn known_key<'d>(directory: &'d Directory, id: &str) -> Result<&'d Key, String> {
    let found = directory.keys.get(id).map(AsRef::as_ref);
    found.ok_or_else(|| format!("there is no access key `{id}`"))
}

/// IAM quotas, "Requirements for name": letters, digits and `_+=,.@-`.
fn check_name(name: &str) -> Result<(), String> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    if (1..=MAX_NAME).contains(&name.len()) && plain {
        Ok(())
    } else {
        Err(format!(
            "a name has 1 to {MAX_NAME} letters, digits and characters of `_+=,.@-`"
        ))
    }
}

fn check_policy(policy: Option<&str>) -> Result<(), String> {
    policy.map_or(Ok(()), |text| {
        Policy::parse(text, Kind::Identity)
            .map(|_| ())
            .map_err(|error| format!("the policy is malformed: {error}"))
    })
}

fn check_trust(text: &str) -> Result<(), String> {
    Policy::parse(text, Kind::Trust)
        .map(|_| ())
        .map_err(|error| format!("the trust policy is malformed: {error}"))
}

fn check_session(seconds: i64) -> Result<(), String> {
    if (SESSION..=MAX_SESSION).contains(&seconds) {
        Ok(())
    } else {
        Err(format!(
            "sessions last from {SESSION} to {MAX_SESSION} seconds"
        ))
    }
}

fn bytes<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map(|()| bytes)
        .map_err(|_| "the system gives no random numbers".to_owned())
}

fn random() -> Result<u64, String> {
    bytes().map(u64::from_ne_bytes)
}

/// A prefix of four letters and sixteen random characters, as IAM's unique identifiers are (80 bits).
pub(crate) fn unique(prefix: &str) -> Result<String, String> {
    let random: [u8; 16] = bytes()?;
    let letters = random.iter().filter_map(|byte| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        alphabet.get(usize::from(byte & 31)).copied()
    });
    Ok(prefix.chars().chain(letters.map(char::from)).collect())
}

/// A secret key: forty characters, 240 random bits.
pub(crate) fn secret() -> Result<String, String> {
    bytes::<30>().map(|bytes| STANDARD.encode(bytes))
}

/// What comes over the socket.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Account(Command),
    Quota(quotas::Command),
}

/// Takes commands on the socket in the state directory, until it is dropped.
pub struct Desk {
    _socket: Socket,
}

impl Desk {
    /// Opens the socket. One that a killed server left is replaced: the caller holds the accounts' lock.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn open(
        state_dir: &Path,
        accounts: Arc<Accounts>,
        controller: Controller,
    ) -> io::Result<Desk> {
        let clerk = Clerk {
            accounts,
            controller,
        };
        let socket = Socket::open(state_dir.join(SOCKET), Arc::new(clerk))?;
        Ok(Desk { _socket: socket })
    }
}

/// Carries out what comes over the socket.
struct Clerk {
    accounts: Arc<Accounts>,
    controller: Controller,
}

impl socket::Clerk for Clerk {
    fn answer(&self, command: Vec<u8>) -> socket::Answer {
        let accounts = Arc::clone(&self.accounts);
        let controller = self.controller.clone();
        Box::pin(async move {
            let outcome = match serde_json::from_slice(&command) {
                Ok(Message::Quota(command)) => controller.quota(command).await,
                Ok(Message::Account(command)) => {
                    let now = crate::core::now().0;
                    tokio::task::spawn_blocking(move || accounts.execute(command, now)).await?
                }
                Err(error) => {
                    Outcome::Refused(format!("the command cannot be understood: {error}"))
                }
            };
            Ok(serde_json::to_vec(&outcome)?)
        })
    }

    fn refusal(&self, why: &str) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(&Outcome::Refused(why.to_owned()))?)
    }
}

#[cfg(test)]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other outcome fails the test"
)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ALLOW: &str = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    const TRUST: &str =
        r#"{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}}"#;

    fn key(outcome: Outcome) -> NewKey {
        match outcome {
            Outcome::Key(key) => key,
            other => panic!("{other:?}"),
        }
    }

    fn refused(outcome: Outcome) -> String {
        match outcome {
            Outcome::Refused(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_life_of_keys_users_and_roles() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        let id: AccountId = "111122223333".parse().unwrap();
        let run = |command| accounts.execute(command, 7);
        let create = |id| Command::CreateAccount {
            id,
            name: Some("lab".to_owned()),
        };
        let root = key(run(create(Some(id))));
        assert_eq!(
            (root.access_key_id.len(), root.secret_access_key.len()),
            (20, 40)
        );
        assert!(refused(run(create(Some(id)))).contains("exists"));
        let other = key(run(create(None)));
        assert_ne!(other.account_id, id);
        let policy = Some(ALLOW.to_owned());
        let user = |name: &str| Command::CreateUser {
            account: id,
            name: name.to_owned(),
            policy: policy.clone(),
        };
        let ann = key(run(user("ann")));
        assert_eq!(ann.user_name.as_deref(), Some("ann"));
        assert!(refused(run(user("ann"))).contains("exists"));
        assert!(refused(run(user("a/b"))).contains("letters"));
        let bad = Command::UpdateUser {
            account: id,
            name: "ann".to_owned(),
            policy: Some("{}".to_owned()),
        };
        assert!(refused(run(bad)).contains("malformed"));
        let more = Command::CreateKey {
            account: id,
            user: Some("ann".to_owned()),
        };
        key(run(more.clone()));
        assert!(refused(run(more)).contains("2 access keys"));
        let role = Command::CreateRole {
            account: id,
            name: "r".to_owned(),
            trust: TRUST.to_owned(),
            policy: policy.clone(),
            max_session: 3600,
        };
        assert_eq!(run(role.clone()), Outcome::Done);
        assert!(refused(run(role)).contains("exists"));
        let off = Command::UpdateKey {
            key: root.access_key_id.clone(),
            active: false,
        };
        assert_eq!(run(off), Outcome::Done);
        let keys = run(Command::ListKeys { account: id });
        let before = accounts.directory();
        drop(accounts);
        // Everything is on disk, for its owner's eyes only.
        let accounts = Accounts::open(dir.path()).unwrap();
        let run = |command| accounts.execute(command, 8);
        assert_eq!(run(Command::ListKeys { account: id }), keys);
        let after = accounts.directory();
        assert!(after.holders.iter().eq(before.holders.iter()));
        assert!(after.keys.values().eq(before.keys.values()));
        let users = |directory: &Directory| {
            let users = directory.users.values().map(|known| known.user.clone());
            users.collect::<Vec<_>>()
        };
        assert_eq!(users(&after), users(&before));
        let Outcome::Keys(keys) = keys else {
            panic!("{keys:?}")
        };
        let shown: Vec<(Option<&str>, &str)> = keys
            .iter()
            .map(|key| (key.user_name.as_deref(), key.status.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (None, "Inactive"),
                (Some("ann"), "Active"),
                (Some("ann"), "Active")
            ]
        );
        for entry in std::fs::read_dir(dir.path().join("iam")).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
        assert_eq!(
            run(Command::DeleteUser {
                account: id,
                name: "ann".to_owned()
            }),
            Outcome::Done
        );
        assert_eq!(
            run(Command::DeleteRole {
                account: id,
                name: "r".to_owned()
            }),
            Outcome::Done
        );
        assert_eq!(
            run(Command::DeleteKey {
                key: root.access_key_id.clone()
            }),
            Outcome::Done
        );
        assert!(
            refused(run(Command::DeleteKey {
                key: ann.access_key_id
            }))
            .contains("no access key")
        );
        assert_eq!(
            run(Command::ListKeys { account: id }),
            Outcome::Keys(Vec::new())
        );
        assert_eq!(
            run(Command::ListUsers { account: id }),
            Outcome::Users(Vec::new())
        );
        assert_eq!(
            run(Command::ListRoles { account: id }),
            Outcome::Roles(Vec::new())
        );
        let Outcome::Accounts(all) = run(Command::ListAccounts) else {
            panic!()
        };
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        let new = key(accounts.execute(
            Command::CreateAccount {
                id: None,
                name: None,
            },
            0,
        ));
        let text = format!("{new:?} {:?}", accounts.directory());
        assert!(text.contains(&new.access_key_id) && !text.contains(&new.secret_access_key));
    }
}
