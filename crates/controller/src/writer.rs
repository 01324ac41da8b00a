//! The one thread that changes the state.
//!
//! What queued while the last batch was on its way to the disk is the next batch: its changes are decided one after
//! the other, each on what the ones before it made of the state, are written in one transaction, become visible
//! together, and then every one is answered. So a wait for the disk is shared by all who wait, nobody waits for
//! others to come, and nobody sees what could still be lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use api::{ApiError, Value};
use region::{Context, Executed, Loading, State};
use store::Store;
use tokio::sync::{mpsc, oneshot};
use types::{AccountId, RegionName};

use crate::core::{Mode, OpenError, Published, Shared, internal};
use crate::host::Network;

/// How many changes wait at most. Whoever comes then waits for room.
pub(crate) const QUEUE: usize = 1024;
/// How many changes are written together at most.
const MAX_BATCH: usize = 256;
/// How often a batch is decided anew because another controller was faster.
const MAX_CONFLICTS: usize = 8;
/// How many changes of other controllers are taken at once.
const CHANGES_AT_ONCE: usize = 4096;

/// What a request would do to a state. It may be asked again on a newer one.
pub(crate) type Decide = dyn Fn(&Arc<State>, &Context<'_>) -> Result<Executed, ApiError> + Send;

/// What the thread is asked for.
pub(crate) enum Order {
    /// To carry out a request.
    Change(Change),
    /// To give the host everything, and every change from now on.
    Attach(Arc<dyn Network>, oneshot::Sender<()>),
    /// To go on without a host, for this reason.
    Without(String, oneshot::Sender<()>),
}

/// A request that may change the state.
pub(crate) struct Change {
    pub(crate) account: AccountId,
    pub(crate) region: RegionName,
    pub(crate) decide: Box<Decide>,
    pub(crate) answer: oneshot::Sender<Result<Done, ApiError>>,
}

/// A change that is durable and handed over: its reply, and the revision that has it.
pub(crate) struct Done {
    pub(crate) reply: Value,
    pub(crate) revision: u64,
}

/// What the thread works on.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    store: Box<dyn Store>,
}

/// A batch, decided.
struct Batch {
    /// The state after all of it.
    state: Arc<State>,
    /// What each request that changes something writes, in order.
    commits: Vec<Vec<store::Write>>,
    /// The same, without contents.
    touched: Vec<region::Write>,
    /// What each request is told, if the batch becomes durable.
    answers: Vec<Result<Done, ApiError>>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, store: Box<dyn Store>) -> Writer {
        Writer { shared, store }
    }

    /// Carries out orders until nobody can give any more.
    pub(crate) fn run(self, mut orders: mpsc::Receiver<Order>) {
        let mut queued = Vec::new();
        while orders.blocking_recv_many(&mut queued, MAX_BATCH) > 0 {
            let mut changes = Vec::new();
            for order in queued.drain(..) {
                if let Order::Change(change) = order {
                    changes.push(change);
                } else {
                    self.guarded(|writer| writer.carry_out(std::mem::take(&mut changes)));
                    self.guarded(|writer| writer.turn(order));
                }
            }
            self.guarded(|writer| writer.carry_out(changes));
        }
    }

    /// Outlives a panic: whoever was not answered hears of an error, and what is in the store holds.
    fn guarded(&self, act: impl FnOnce(&Writer)) {
        if catch_unwind(AssertUnwindSafe(|| act(self))).is_err() {
            tracing::error!("a change panicked outside of its handler");
            let reloaded = catch_unwind(AssertUnwindSafe(|| self.reload()));
            if !matches!(reloaded, Ok(Ok(()))) {
                tracing::error!("the state may be older than the store's");
            }
        }
    }

    /// Takes or gives up a host.
    fn turn(&self, order: Order) {
        let (host, mode, answer) = match order {
            Order::Attach(host, answer) => (Some(host), Mode::Full, answer),
            Order::Without(why, answer) => (None, Mode::ControlPlaneOnly(why), answer),
            Order::Change(_) => return,
        };
        let now = self.shared.published();
        if let Some(host) = &host {
            host.full(&now.state, now.revision);
        }
        self.shared.set_host(host, mode);
        // Whoever asked may have gone.
        let _ = answer.send(());
    }

    fn carry_out(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let answers = match self.carried_out(&changes) {
            Ok(answers) => answers,
            Err(error) => changes.iter().map(|_| Err(error.clone())).collect(),
        };
        for (change, answer) in changes.into_iter().zip(answers) {
            // Whoever asked may have gone.
            let _ = change.answer.send(answer);
        }
    }

    /// What each request is told; or why none of them happened, as far as anybody knows.
    fn carried_out(&self, changes: &[Change]) -> Result<Vec<Result<Done, ApiError>>, ApiError> {
        for _ in 0..MAX_CONFLICTS {
            let before = self.shared.published();
            let batch = self.decide(&before, changes);
            if batch.commits.is_empty() {
                return Ok(batch.answers);
            }
            let commits: Vec<&[store::Write]> = batch.commits.iter().map(Vec::as_slice).collect();
            match self.store.commit_many(before.revision, &commits) {
                Ok(revision) => {
                    let touched = Some((&*before, &*batch.touched));
                    self.shared.publish(touched, batch.state, revision);
                    return Ok(batch.answers);
                }
                Err(store::Error::Conflict { .. }) => self.catch_up()?,
                Err(error @ (store::Error::Storage { .. } | store::Error::Compacted { .. })) => {
                    // It may have happened or not: what is in the store holds.
                    self.reload()?;
                    return Err(broken(&error));
                }
            }
        }
        Err(ApiError::new(
            "Unavailable",
            "Other changes were faster every time; please try again",
        ))
    }

    /// Runs every handler, each on the state that those before it leave. One that fails leaves it as it was.
    fn decide(&self, before: &Published, changes: &[Change]) -> Batch {
        let mut batch = Batch {
            state: before.state.clone(),
            commits: Vec::new(),
            touched: Vec::new(),
            answers: Vec::with_capacity(changes.len()),
        };
        let mut revision = before.revision;
        for change in changes {
            let decided = self.shared.decide(
                &batch.state,
                &*change.decide,
                change.account,
                &change.region,
                &before.settings,
            );
            let answer = decided.map(|executed| {
                if !executed.writes.is_empty() {
                    revision += 1;
                    batch.state = executed.state;
                    batch.take(executed.writes);
                }
                Done {
                    reply: executed.reply,
                    revision,
                }
            });
            batch.answers.push(answer);
        }
        batch
    }

    /// Takes what other controllers committed.
    fn catch_up(&self) -> Result<(), ApiError> {
        let before = self.shared.published();
        let (mut state, mut revision) = (before.state.clone(), before.revision);
        loop {
            let changes = match self.store.changes(revision, CHANGES_AT_ONCE) {
                Ok(changes) => changes,
                Err(store::Error::Compacted { .. }) => return self.reload(),
                Err(error) => return Err(broken(&error)),
            };
            let Some(last) = changes.last() else { break };
            for change in &changes {
                Arc::make_mut(&mut state)
                    .load(&change.kind, &change.id, change.body.as_deref())
                    .map_err(|error| broken(&error))?;
            }
            revision = last.revision;
        }
        self.shared.publish(None, state, revision);
        Ok(())
    }

    /// Takes everything from the store anew.
    fn reload(&self) -> Result<(), ApiError> {
        let (state, revision) = load(self.store.as_ref()).map_err(|error| broken(&error))?;
        self.shared.publish(None, state, revision);
        Ok(())
    }
}

impl Batch {
    fn take(&mut self, writes: Vec<region::Write>) {
        let mut commit = Vec::with_capacity(writes.len());
        for write in writes {
            commit.push(store::Write {
                kind: write.kind.to_owned(),
                id: write.id.clone(),
                body: write.body,
            });
            self.touched.push(region::Write {
                body: None,
                ..write
            });
        }
        self.commits.push(commit);
    }
}

/// Everything that the store has. Records are read from the store by this thread and understood by others.
pub(crate) fn load(store: &dyn Store) -> Result<(Arc<State>, u64), OpenError> {
    std::thread::scope(|scope| {
        let mut parts = Vec::new();
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let (part, chunks) = std::sync::mpsc::sync_channel::<Chunk>(2);
            parts.push(part);
            readers.push(scope.spawn(move || {
                let mut loading = Loading::default();
                for chunk in chunks {
                    chunk.read(&mut loading)?;
                }
                Ok::<_, region::Unreadable>(loading)
            }));
        }
        let mut chunk = Chunk::default();
        let mut turn = parts.iter().cycle();
        let mut hand_over = |chunk: Chunk| {
            // A reader that is gone has found something unreadable, and says so below.
            let _ = turn.next().map(|part| part.send(chunk));
        };
        let revision = store.scan(&mut |kind, id, body| {
            chunk.take(kind, id, body);
            if chunk.octets.len() >= CHUNK {
                hand_over(std::mem::take(&mut chunk));
            }
        });
        hand_over(chunk);
        drop(parts);
        let mut all = Loading::default();
        for reader in readers {
            match reader.join() {
                Ok(loading) => all.join(loading?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok((Arc::new(all.state()), revision?))
    })
}

/// Threads that understand records.
const READERS: usize = 2;
/// How many octets of records are handed to them at once.
const CHUNK: usize = 1 << 18;

/// Some records, one behind the other.
#[derive(Default)]
struct Chunk {
    octets: Vec<u8>,
    /// Where each one's kind, id and body end.
    ends: Vec<[usize; 3]>,
}

impl Chunk {
    fn take(&mut self, kind: &str, id: &str, body: &[u8]) {
        let mut end = |part: &[u8]| {
            self.octets.extend_from_slice(part);
            self.octets.len()
        };
        let ends = [end(kind.as_bytes()), end(id.as_bytes()), end(body)];
        self.ends.push(ends);
    }

    fn read(&self, loading: &mut Loading) -> Result<(), region::Unreadable> {
        let mut at = 0;
        for [kind_end, id_end, body_end] in &self.ends {
            let part = |from: usize, to: usize| self.octets.get(from..to).unwrap_or_default();
            let text = |part| std::str::from_utf8(part).unwrap_or_default();
            let (kind, id) = (text(part(at, *kind_end)), text(part(*kind_end, *id_end)));
            loading.take(kind, id, part(*id_end, *body_end))?;
            at = *body_end;
        }
        Ok(())
    }
}

/// What a client is told when the store fails; the log has the rest.
fn broken(error: &(dyn std::error::Error + 'static)) -> ApiError {
    tracing::error!(error, "the store fails");
    internal()
}
