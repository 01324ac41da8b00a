//! The feed between processes: what is said, and the two machines that keep it in order.
//!
//! A controller has one [`Outbox`] for each host. It keeps the latest deltas, so that a host whose connection was cut
//! goes on where it was; a host that is too far behind, or was told by another run of the controller, gets a full
//! state. A host has one [`Inbox`]. It takes nothing that does not follow on what it has: what is lost, comes twice or
//! out of order never shows.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{Counters, Delta, Dropped, Full, Port, Report, Session};

/// How many messages may be on their way to a host, not yet acknowledged.
const WINDOW: usize = 8;
/// How many steps one delta is put together of at most.
const MAX_STEPS: usize = 4096;

/// Where a host is: a revision, as one run of the controller counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The run of the controller: a random number.
    pub epoch: u64,
    /// The revision.
    pub revision: u64,
}

/// What a host says first on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Counts the host's connections. What is said on an earlier one means nothing any more.
    pub connection: u64,
    /// What it has.
    pub have: Option<Position>,
}

/// What a controller says to a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// Everything.
    Full {
        /// The run of the controller.
        epoch: u64,
        /// The state.
        full: Full,
    },
    /// The next step.
    Delta {
        /// The run of the controller.
        epoch: u64,
        /// The step.
        delta: Delta,
    },
    /// Nothing is new after this revision: a sign of life.
    Beat {
        /// The last revision that the host was told.
        revision: u64,
    },
}

/// What a host says to its controller.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Up {
    /// Packets meet this revision.
    Ack(Position),
    /// What became of an instance.
    Report(Report),
    /// Packets that were dropped lately.
    Drops(Vec<Dropped>),
    /// What was asked for.
    Observed(Observed),
}

/// What a host shows of itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// What passed its ports.
    pub counters: Vec<(Port, Counters)>,
    /// Sessions of its flow table.
    pub sessions: Vec<Session>,
}

impl Observed {
    /// The counters by port.
    #[must_use]
    pub fn by_port(&self) -> BTreeMap<Port, Counters> {
        self.counters.iter().cloned().collect()
    }
}

/// What is to be sent to a host now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Send {
    /// A full state of the revision that [`Outbox::end`] names.
    Full,
    /// These steps.
    Delta(Delta),
    /// Nothing.
    Nothing,
}

/// A controller's side of one host's feed.
#[derive(Clone, Debug)]
pub struct Outbox {
    epoch: u64,
    /// Deltas that follow on each other, the first one on `base`.
    log: VecDeque<Delta>,
    base: u64,
    end: u64,
    /// How many steps the log has, and may have.
    steps: usize,
    max_steps: usize,
    connection: Option<Connection>,
}

#[derive(Clone, Debug)]
struct Connection {
    /// What was sent on it; `None` if it must begin with everything.
    sent: Option<u64>,
    /// The revisions of what is on its way.
    flying: VecDeque<u64>,
    acked: u64,
}

impl Outbox {
    /// The feed of a host in this run of the controller, which begins with the state of this revision. The log has at
    /// most `max_steps` steps: a host that is further behind gets a full state.
    #[must_use]
    pub const fn new(epoch: u64, revision: u64, max_steps: usize) -> Outbox {
        Outbox {
            epoch,
            log: VecDeque::new(),
            base: revision,
            end: revision,
            steps: 0,
            max_steps,
            connection: None,
        }
    }

    /// The run of the controller.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The last revision that the host is to know.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// What the host has acknowledged on its present connection; `None` without one.
    #[must_use]
    pub fn acked(&self) -> Option<u64> {
        self.connection.as_ref().map(|connection| connection.acked)
    }

    /// Whether the host is connected.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Queues a step. One that does not follow on the last makes everything before it worthless.
    pub fn push(&mut self, delta: Delta) {
        if delta.after != self.end {
            self.restart(delta.revision);
            return;
        }
        self.end = delta.revision;
        self.steps += size(&delta);
        self.log.push_back(delta);
        while self.steps > self.max_steps
            && let Some(oldest) = self.log.pop_front()
        {
            self.steps -= size(&oldest);
            self.base = oldest.revision;
        }
        let base = self.base;
        if let Some(connection) = &mut self.connection
            && connection.sent.is_some_and(|sent| sent < base)
        {
            connection.sent = None;
        }
    }

    /// Forgets all steps: whoever is connected gets a full state of this revision.
    pub fn restart(&mut self, revision: u64) {
        self.log.clear();
        self.steps = 0;
        self.base = revision;
        self.end = revision;
        if let Some(connection) = &mut self.connection {
            connection.sent = None;
        }
    }

    /// The host has a new connection.
    pub fn connect(&mut self, have: Option<Position>) {
        let known = have
            .filter(|have| have.epoch == self.epoch)
            .map(|have| have.revision);
        let known = known.filter(|revision| {
            *revision == self.base || self.log.iter().any(|delta| delta.revision == *revision)
        });
        self.connection = Some(Connection {
            sent: known,
            flying: VecDeque::new(),
            acked: 0,
        });
    }

    /// The connection is gone.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// What is to be sent now. Steps that wait together go together.
    #[must_use]
    pub fn to_send(&mut self) -> Send {
        let Some(connection) = &mut self.connection else {
            return Send::Nothing;
        };
        if connection.flying.len() >= WINDOW {
            return Send::Nothing;
        }
        let Some(sent) = connection.sent else {
            connection.sent = Some(self.end);
            connection.flying.push_back(self.end);
            return Send::Full;
        };
        let mut next = Delta {
            after: sent,
            revision: sent,
            changes: Vec::new(),
            instances: Vec::new(),
        };
        for delta in self.log.iter().filter(|delta| delta.after >= sent) {
            if next.revision != sent && size(&next) + size(delta) > MAX_STEPS {
                break;
            }
            next.changes.extend(delta.changes.iter().cloned());
            next.instances.extend(delta.instances.iter().cloned());
            next.revision = delta.revision;
        }
        if next.revision == sent {
            return Send::Nothing;
        }
        connection.sent = Some(next.revision);
        connection.flying.push_back(next.revision);
        Send::Delta(next)
    }

    /// Whether something is on its way: what comes now may wait a moment for more.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let flying = self.connection.as_ref().map(|c| &c.flying);
        flying.is_some_and(|flying| !flying.is_empty())
    }

    /// A sign of life; `None` without a connection, or before everything was sent on it.
    #[must_use]
    pub fn beat(&self) -> Option<Down> {
        let revision = self.connection.as_ref()?.sent?;
        Some(Down::Beat { revision })
    }

    /// The host lets packets meet this revision. One that it was never told is no news.
    pub fn ack(&mut self, position: Position) {
        let revision = position.revision;
        let Some(connection) = &mut self.connection else {
            return;
        };
        if position.epoch != self.epoch || connection.sent.is_none_or(|sent| revision > sent) {
            return;
        }
        connection.acked = connection.acked.max(revision);
        while connection
            .flying
            .front()
            .is_some_and(|sent| *sent <= revision)
        {
            connection.flying.pop_front();
        }
    }
}

/// How much a delta weighs: an empty one is something too.
fn size(delta: &Delta) -> usize {
    1 + delta.changes.len() + delta.instances.len()
}

/// What a host does with a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It replaces everything by this.
    Full(Full),
    /// It takes this step.
    Delta(Delta),
    /// Nothing: it knows that, or it is of no connection that still counts. It acknowledges what it has again.
    Known,
    /// Something is missing: it connects anew.
    Gap,
}

/// A host's side of its feed.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    position: Option<Position>,
    connection: u64,
}

impl Inbox {
    /// What to say first on a new connection.
    pub fn connect(&mut self) -> Hello {
        self.connection += 1;
        Hello {
            connection: self.connection,
            have: self.position,
        }
    }

    /// Where the host is.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// What to do with a message of a connection.
    pub fn take(&mut self, connection: u64, message: Down) -> Taken {
        if connection != self.connection {
            return Taken::Known;
        }
        match message {
            Down::Full { epoch, full } => {
                let newer = self
                    .position
                    .is_none_or(|have| have.epoch != epoch || full.revision > have.revision);
                if !newer {
                    return Taken::Known;
                }
                self.position = Some(Position {
                    epoch,
                    revision: full.revision,
                });
                Taken::Full(full)
            }
            Down::Delta { epoch, delta } => match &mut self.position {
                Some(have) if have.epoch != epoch => Taken::Gap,
                Some(have) if delta.after == have.revision => {
                    have.revision = delta.revision;
                    Taken::Delta(delta)
                }
                Some(have) if delta.revision <= have.revision => Taken::Known,
                Some(_) | None => Taken::Gap,
            },
            Down::Beat { revision } => match self.position {
                Some(have) if revision <= have.revision => Taken::Known,
                Some(_) | None => Taken::Gap,
            },
        }
    }
}
