//! What an operator does with hosts: the commands of `polder hosts`, over a socket in the state directory.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use link::{Authority, Token};
use region::{Admission, HostChange, JoinToken, Role, Timestamp};
use serde::{Deserialize, Serialize};
use types::HostId;

use super::Fleet;
use crate::Controller;
use crate::socket::{self, Socket};

/// The socket's name in the state directory.
pub const SOCKET: &str = "hosts.sock";
/// The longest answer, in bytes.
pub const MAX_MESSAGE: u64 = 64 * 1024 * 1024;
/// The longest that a token is good, in seconds.
const MAX_TTL: u64 = 30 * 86_400;

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Shows all hosts.
    List,
    /// Makes a token that one machine may join with.
    Token {
        /// The zone that it is in, unless the machine says.
        zone: Option<String>,
        /// What it is there for.
        roles: BTreeSet<Role>,
        /// For how many seconds the token is good.
        ttl: u64,
    },
    /// Says whether a host takes new instances, or hands over what it has.
    Admit {
        /// Its name or identifier.
        host: String,
        /// What holds from now on.
        admission: Admission,
    },
    /// Removes a host for good.
    Remove {
        /// Its name or identifier.
        host: String,
        /// Whether instances that it runs are stopped.
        force: bool,
    },
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All hosts.
    Hosts(Vec<HostEntry>),
    /// A token. Nobody is shown it again.
    Token(String),
    /// It is done.
    Done,
    /// It is refused, for this reason.
    Refused(String),
}

/// A host as its operator sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostEntry {
    /// Its identifier.
    pub host_id: HostId,
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Its address in the network that connects the hosts.
    pub underlay: IpAddr,
    /// What it is there for.
    pub roles: BTreeSet<Role>,
    /// `ready`, `cordoned`, `draining`; or `lost`, whatever else it would be.
    pub state: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// How many instances it runs.
    pub instances: usize,
    /// How many it may run.
    pub capacity: u32,
    /// The revision that it was told last.
    pub told: u64,
    /// The revision that its packets meet; none if it is not connected.
    pub acked: Option<u64>,
    /// When it came or went, in milliseconds since 1970-01-01T00:00:00Z.
    pub seen: i64,
}

/// Takes commands until it is dropped.
pub struct Desk {
    _socket: Socket,
}

impl Desk {
    /// Opens the socket in the state directory, whose lock the caller holds.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn open(
        state_dir: &Path,
        controller: Controller,
        fleet: Arc<Fleet>,
        authority: Arc<Authority>,
    ) -> io::Result<Desk> {
        let clerk = Clerk {
            controller,
            fleet,
            authority,
        };
        let socket = Socket::open(state_dir.join(SOCKET), Arc::new(clerk))?;
        Ok(Desk { _socket: socket })
    }
}

#[derive(Clone)]
struct Clerk {
    controller: Controller,
    fleet: Arc<Fleet>,
    authority: Arc<Authority>,
}

impl socket::Clerk for Clerk {
    fn answer(&self, command: Vec<u8>) -> socket::Answer {
        let clerk = self.clone();
        Box::pin(async move {
            let outcome = match serde_json::from_slice(&command) {
                Ok(command) => clerk
                    .execute(command)
                    .await
                    .unwrap_or_else(Outcome::Refused),
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

impl Clerk {
    async fn execute(&self, command: Command) -> Result<Outcome, String> {
        match command {
            Command::List => Ok(Outcome::Hosts(self.list())),
            Command::Token { zone, roles, ttl } => {
                if !(1..=MAX_TTL).contains(&ttl) {
                    return Err(format!("a token is good for 1 to {MAX_TTL} seconds"));
                }
                let token = Token::new(self.authority.fingerprint()).map_err(|e| e.to_string())?;
                let ms = i64::try_from(ttl).unwrap_or(i64::MAX).saturating_mul(1000);
                let kept = JoinToken {
                    id: token.hash(),
                    zone,
                    roles,
                    expires: Timestamp(crate::core::now().0.saturating_add(ms)),
                };
                self.change(HostChange::Token(kept)).await?;
                Ok(Outcome::Token(token.to_string()))
            }
            Command::Admit { host, admission } => {
                self.change(HostChange::Admit { host, admission }).await
            }
            Command::Remove { host, force } => {
                self.change(HostChange::Remove { host, force }).await
            }
        }
    }

    async fn change(&self, change: HostChange) -> Result<Outcome, String> {
        let changed = self.controller.change_hosts(change).await;
        changed
            .map(|_| Outcome::Done)
            .map_err(|error| error.message.to_string())
    }

    fn list(&self) -> Vec<HostEntry> {
        let state = Arc::clone(&self.controller.published().state);
        let connections = self.fleet.connections();
        let entry = |host: &region::Host| {
            let connection = connections.get(&host.id);
            let state_name = match host.admission {
                _ if host.lost => "lost",
                Admission::Ready => "ready",
                Admission::Cordoned => "cordoned",
                Admission::Draining => "draining",
            };
            HostEntry {
                host_id: host.id,
                name: host.name.clone(),
                zone: host.zone.clone(),
                underlay: host.underlay,
                roles: host.roles.clone(),
                state: state_name.to_owned(),
                connected: connection.is_some_and(|connection| connection.connected),
                instances: region::load(&state, host.id),
                capacity: host.capacity,
                told: connection.map_or(0, |connection| connection.end),
                acked: connection.and_then(|connection| connection.acked),
                seen: host.seen.0,
            }
        };
        let mut hosts: Vec<_> = state.hosts.values().map(entry).collect();
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        hosts
    }
}
