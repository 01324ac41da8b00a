//! `polder account`: accounts, users, roles and access keys.
//!
//! While a `polder up` runs on the state directory, its socket takes the commands; otherwise the accounts' store is
//! opened. Neither is reachable over a network.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use controller::accounts::{Command, MAX_MESSAGE, NewKey, Outcome, SESSION, SOCKET};
use controller::{Accounts, DirectoryError};
use serde::Serialize;
use types::AccountId;

use crate::cli::StateDir;
use crate::failure::Failure;
use crate::output;

/// How long the running server may take.
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Args)]
pub(crate) struct AccountArgs {
    #[command(flatten)]
    state: StateDir,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Make an account, and print its access key.
    ///
    /// The secret is shown this once. Keys count with `polder up --auth sigv4`.
    Create {
        /// The account's number, of twelve digits [default: a random one].
        #[arg(long, value_name = "NUMBER")]
        id: Option<AccountId>,
        /// What to call it.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Show all accounts.
    List,
    /// Make, show, disable and delete access keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make, show and delete users, and give them policies.
    #[command(subcommand)]
    User(UserCommand),
    /// Make, show and delete roles, and give them policies.
    #[command(subcommand)]
    Role(RoleCommand),
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make another access key for an account, or for a user of it, and print it.
    Create {
        #[command(flatten)]
        account: Of,
        /// The user [default: the account itself, which may do everything].
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Show an account's access keys, without their secrets.
    List {
        #[command(flatten)]
        account: Of,
    },
    /// Make an access key valid or invalid.
    Update {
        /// The access key's id.
        #[arg(value_name = "ACCESS-KEY-ID")]
        key: String,
        /// What it is from now on.
        #[arg(long, value_enum)]
        status: Status,
    },
    /// Delete an access key.
    Delete {
        /// The access key's id.
        #[arg(value_name = "ACCESS-KEY-ID")]
        key: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Active,
    Inactive,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Make a user, and print its access key.
    Create {
        #[command(flatten)]
        named: Named,
        /// A file with the policy document that says what the user may do [default: nothing].
        #[arg(long, value_name = "FILE")]
        policy: Option<String>,
    },
    /// Give a user another policy.
    Update {
        #[command(flatten)]
        named: Named,
        /// A file with the policy document.
        #[arg(long, value_name = "FILE")]
        policy: String,
    },
    /// Show an account's users.
    List {
        #[command(flatten)]
        account: Of,
    },
    /// Delete a user with its access keys.
    Delete {
        #[command(flatten)]
        named: Named,
    },
}

#[derive(Subcommand)]
enum RoleCommand {
    /// Make a role.
    Create {
        #[command(flatten)]
        named: Named,
        /// A file with the policy document that says who may assume the role.
        #[arg(long, value_name = "FILE")]
        trust: String,
        /// A file with the policy document that says what its sessions may do [default: nothing].
        #[arg(long, value_name = "FILE")]
        policy: Option<String>,
        /// How long a session may last, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = SESSION)]
        max_session: i64,
    },
    /// Give a role other policies; what is not named stays.
    Update {
        #[command(flatten)]
        named: Named,
        /// A file with the policy document that says who may assume the role.
        #[arg(long, value_name = "FILE")]
        trust: Option<String>,
        /// A file with the policy document that says what its sessions may do.
        #[arg(long, value_name = "FILE")]
        policy: Option<String>,
        /// How long a session may last, in seconds.
        #[arg(long, value_name = "SECONDS")]
        max_session: Option<i64>,
    },
    /// Show an account's roles.
    List {
        #[command(flatten)]
        account: Of,
    },
    /// Delete a role. Its sessions end at once.
    Delete {
        #[command(flatten)]
        named: Named,
    },
}

#[derive(Args)]
struct Of {
    /// The account's number.
    #[arg(long = "account", value_name = "NUMBER")]
    id: AccountId,
}

#[derive(Args)]
struct Named {
    #[command(flatten)]
    account: Of,
    /// Its name.
    #[arg(long, value_name = "NAME")]
    name: String,
}

/// Carries out one command.
pub(crate) fn run(args: &AccountArgs) -> anyhow::Result<ExitCode> {
    let command = command(&args.command)?;
    let state_dir = args.state.path()?;
    let outcome = execute(&state_dir, &command)?;
    if let Outcome::Refused(why) = &outcome {
        return Err(Failure::new(why, "`polder account --help` shows what can be done").into());
    }
    if args.json {
        print_json(&outcome)?;
    } else {
        output::write(text(&outcome).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn command(command: &AccountCommand) -> anyhow::Result<Command> {
    Ok(match command {
        AccountCommand::Create { id, name } => Command::CreateAccount {
            id: *id,
            name: name.clone(),
        },
        AccountCommand::List => Command::ListAccounts,
        AccountCommand::Key(KeyCommand::Create { account, user }) => Command::CreateKey {
            account: account.id,
            user: user.clone(),
        },
        AccountCommand::Key(KeyCommand::List { account }) => Command::ListKeys {
            account: account.id,
        },
        AccountCommand::Key(KeyCommand::Update { key, status }) => Command::UpdateKey {
            key: key.clone(),
            active: *status == Status::Active,
        },
        AccountCommand::Key(KeyCommand::Delete { key }) => Command::DeleteKey { key: key.clone() },
        AccountCommand::User(UserCommand::Create { named, policy }) => Command::CreateUser {
            account: named.account.id,
            name: named.name.clone(),
            policy: document(policy.as_deref())?,
        },
        AccountCommand::User(UserCommand::Update { named, policy }) => Command::UpdateUser {
            account: named.account.id,
            name: named.name.clone(),
            policy: document(Some(policy))?,
        },
        AccountCommand::User(UserCommand::List { account }) => Command::ListUsers {
            account: account.id,
        },
        AccountCommand::User(UserCommand::Delete { named }) => Command::DeleteUser {
            account: named.account.id,
            name: named.name.clone(),
        },
        AccountCommand::Role(RoleCommand::Create {
            named,
            trust,
            policy,
            max_session,
        }) => Command::CreateRole {
            account: named.account.id,
            name: named.name.clone(),
            trust: document(Some(trust))?.unwrap_or_default(),
            policy: document(policy.as_deref())?,
            max_session: *max_session,
        },
        AccountCommand::Role(RoleCommand::Update {
            named,
            trust,
            policy,
            max_session,
        }) => Command::UpdateRole {
            account: named.account.id,
            name: named.name.clone(),
            trust: document(trust.as_deref())?,
            policy: document(policy.as_deref())?,
            max_session: *max_session,
        },
        AccountCommand::Role(RoleCommand::List { account }) => Command::ListRoles {
            account: account.id,
        },
        AccountCommand::Role(RoleCommand::Delete { named }) => Command::DeleteRole {
            account: named.account.id,
            name: named.name.clone(),
        },
    })
}

/// A policy document: of a file, or of standard input for `-`. `file://` is taken as `aws` takes it.
fn document(file: Option<&str>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else { return Ok(None) };
    let path = file.strip_prefix("file://").unwrap_or(file);
    let text = if path == "-" {
        let mut text = String::new();
        io::stdin()
            .take(1024 * 1024)
            .read_to_string(&mut text)
            .map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map(Some).map_err(|error| {
        let hint = "name a file with a policy document, or `-` for standard input";
        Failure::new(format!("cannot read `{path}`: {error}"), hint).into()
    })
}

/// By the server that runs on the state directory, or without one.
fn execute(state_dir: &Path, command: &Command) -> anyhow::Result<Outcome> {
    if let Some(outcome) = ask(&state_dir.join(SOCKET), command)? {
        return Ok(outcome);
    }
    let accounts = Accounts::open(state_dir).map_err(|error| {
        let hint = match &error {
            DirectoryError::Open(store::OpenError::InUse { .. }) => {
                "another command has it just now, or the `polder up` there is of an older version"
            }
            DirectoryError::Open(_)
            | DirectoryError::Store(_)
            | DirectoryError::Record { .. }
            | DirectoryError::Random => "is that the --state-dir of your `polder up`?",
        };
        Failure::new(format!("{:#}", anyhow::Error::from(error)), hint)
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    Ok(accounts.execute(command.clone(), i64::try_from(now)?))
}

/// Asks the server; `None` if none runs.
pub(crate) fn ask(socket: &Path, command: &impl Serialize) -> anyhow::Result<Option<Outcome>> {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            let hint = "that is for the state directory's owner and root";
            let message = format!("cannot use `{}`: {error}", socket.display());
            return Err(Failure::new(message, hint).into());
        }
    };
    let broke = "the server does not answer";
    stream.set_read_timeout(Some(TIMEOUT)).context(broke)?;
    stream.set_write_timeout(Some(TIMEOUT)).context(broke)?;
    stream
        .write_all(&serde_json::to_vec(command)?)
        .context(broke)?;
    stream.shutdown(Shutdown::Write).context(broke)?;
    let mut answer = Vec::new();
    stream
        .take(MAX_MESSAGE)
        .read_to_end(&mut answer)
        .context(broke)?;
    serde_json::from_slice(&answer).map(Some).context(
        "the answer cannot be understood: the running `polder up` may be of another version",
    )
}

fn print_json(outcome: &Outcome) -> anyhow::Result<()> {
    match outcome {
        Outcome::Key(key) => output::json(key),
        Outcome::Accounts(list) => output::json(list),
        Outcome::Keys(list) => output::json(list),
        Outcome::Users(list) => output::json(list),
        Outcome::Roles(list) => output::json(list),
        Outcome::Quotas(list) => output::json(list),
        Outcome::Done | Outcome::Refused(_) => output::json(&serde_json::json!({})),
    }
}

fn text(outcome: &Outcome) -> String {
    let colour = output::colour();
    let table = |head: &[&str], rows: Vec<Vec<String>>| output::table(head, &rows, colour);
    match outcome {
        Outcome::Key(key) => new_key(key),
        Outcome::Accounts(list) => {
            let rows = list.iter().map(|account| {
                vec![
                    account.id.to_string(),
                    account.name.clone().unwrap_or_default(),
                    controller::accounts::date(account.created),
                ]
            });
            table(&["account", "name", "created"], rows.collect())
        }
        Outcome::Keys(list) => {
            let rows = list.iter().map(|key| {
                vec![
                    key.access_key_id.clone(),
                    key.user_name.clone().unwrap_or_else(|| "(root)".to_owned()),
                    key.status.clone(),
                    controller::accounts::date(key.created),
                ]
            });
            table(
                &["access key id", "user", "status", "created"],
                rows.collect(),
            )
        }
        Outcome::Users(list) => {
            let rows = list.iter().map(|user| {
                vec![
                    user.name.clone(),
                    user.id.clone(),
                    if user.policy.is_some() { "yes" } else { "no" }.to_owned(),
                    controller::accounts::date(user.created),
                ]
            });
            table(&["user", "id", "policy", "created"], rows.collect())
        }
        Outcome::Roles(list) => {
            let rows = list.iter().map(|role| {
                vec![
                    role.name.clone(),
                    format!("arn:aws:iam::{}:role/{}", role.account, role.name),
                    if role.policy.is_some() { "yes" } else { "no" }.to_owned(),
                    controller::accounts::date(role.created),
                ]
            });
            table(&["role", "ARN", "policy", "created"], rows.collect())
        }
        Outcome::Done | Outcome::Quotas(_) | Outcome::Refused(_) => String::new(),
    }
}

/// A key, as a shell takes it.
fn new_key(key: &NewKey) -> String {
    let of = match &key.user_name {
        Some(user) => format!("user {user} of account {}", key.account_id),
        None => format!("account {}", key.account_id),
    };
    format!(
        "# {of}; the secret is not shown again\nexport AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n",
        key.access_key_id, key.secret_access_key
    )
}
