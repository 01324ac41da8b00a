//! `polder hosts`: the hosts of a region, over the socket of its controller.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use controller::fleet::{Command, HostEntry, MAX_MESSAGE, Outcome, SOCKET};
use controller::{Admission, HostRole as Role};

use crate::cli::{StateDir, life};
use crate::failure::Failure;
use crate::output;

/// How long the controller may take.
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Args)]
pub(crate) struct HostsArgs {
    #[command(flatten)]
    state: StateDir,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: HostsCommand,
}

#[derive(Subcommand)]
enum HostsCommand {
    /// Show all hosts.
    List,
    /// Let a host keep its instances and take no new ones.
    Cordon(Named),
    /// Let a host take new instances again.
    Uncordon(Named),
    /// Start a host's instances anew on other hosts of its zone, as far as these have room, and let it take no new ones.
    Drain(Named),
    /// Remove a host for good. Its certificate is worthless from then on.
    Remove {
        #[command(flatten)]
        named: Named,
        /// Stop the instances that it runs.
        #[arg(long)]
        force: bool,
    },
    /// Make tokens that machines join with.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Args)]
struct Named {
    /// The host's name or identifier.
    #[arg(value_name = "HOST")]
    host: String,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token that one machine may join with, once, and print it.
    Create {
        /// The id of the zone that the host is in, as in `use1-az1` [default: what the machine says].
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// What the host is there for.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "compute")]
        roles: Vec<RoleName>,
        /// How long the token is good.
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = life)]
        ttl: Duration,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// It runs instances.
    Compute,
    /// It is noted as a way to the outside; that does nothing yet.
    Edge,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Compute => Role::Compute,
            RoleName::Edge => Role::Edge,
        }
    }
}

/// Carries out one command.
pub(crate) fn run(args: &HostsArgs) -> anyhow::Result<ExitCode> {
    let admit = |named: &Named, admission| Command::Admit {
        host: named.host.clone(),
        admission,
    };
    let command = match &args.command {
        HostsCommand::List => Command::List,
        HostsCommand::Cordon(named) => admit(named, Admission::Cordoned),
        HostsCommand::Uncordon(named) => admit(named, Admission::Ready),
        HostsCommand::Drain(named) => admit(named, Admission::Draining),
        HostsCommand::Remove { named, force } => Command::Remove {
            host: named.host.clone(),
            force: *force,
        },
        HostsCommand::Token(TokenCommand::Create { zone, roles, ttl }) => Command::Token {
            zone: zone.clone(),
            roles: roles
                .iter()
                .copied()
                .map(Role::from)
                .collect::<BTreeSet<_>>(),
            ttl: ttl.as_secs(),
        },
    };
    let outcome = ask(&args.state, &command)?;
    if let Outcome::Refused(why) = &outcome {
        let hint = "`polder hosts list` shows the hosts";
        return Err(Failure::new(why, hint).into());
    }
    if args.json {
        match &outcome {
            Outcome::Hosts(hosts) => output::json(hosts)?,
            Outcome::Token(token) => output::json(&serde_json::json!({ "Token": token }))?,
            Outcome::Done | Outcome::Refused(_) => output::json(&serde_json::json!({}))?,
        }
    } else {
        output::write(text(&outcome).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(state: &StateDir, command: &Command) -> anyhow::Result<Outcome> {
    let path = state.path()?.join(SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        let hint = "run it where `polder controller` runs, as its user, with the same --state-dir";
        Failure::new(
            format!("no controller answers at `{}`: {error}", path.display()),
            hint,
        )
    })?;
    let broke = "the controller does not answer";
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
    serde_json::from_slice(&answer)
        .context("the answer cannot be understood: the controller may be of another version")
}

fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Hosts(hosts) => {
            let rows: Vec<_> = hosts.iter().map(row).collect();
            let head = [
                "host",
                "zone",
                "underlay",
                "roles",
                "state",
                "instances",
                "feed",
                "id",
            ];
            output::table(&head, &rows, output::colour())
        }
        Outcome::Token(token) => format!("{token}\n"),
        Outcome::Done | Outcome::Refused(_) => String::new(),
    }
}

fn row(host: &HostEntry) -> Vec<String> {
    let role = |role: &Role| match role {
        Role::Compute => "compute",
        Role::Edge => "edge",
    };
    let roles: Vec<_> = host.roles.iter().map(role).collect();
    let feed = match host.acked {
        _ if !host.connected => "not connected".to_owned(),
        Some(acked) if acked >= host.told => "up to date".to_owned(),
        Some(_) | None => "behind".to_owned(),
    };
    vec![
        host.name.clone(),
        host.zone.clone(),
        host.underlay.to_string(),
        roles.join(","),
        host.state.clone(),
        format!("{}/{}", host.instances, host.capacity),
        feed,
        host.host_id.to_string(),
    ]
}
