//! The state, and how it changes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use api::{ApiError, Value};
use arc_swap::ArcSwap;
use feed::{Delta, Replica, Report};
use region::{Context, Executed, Settings, State, Timestamp};
use store::Store;
use topology::{Snapshot, Uplink};
use types::{AccountId, RegionName};

use crate::host::Host;

/// How often a change is decided anew because another controller was faster.
const MAX_CONFLICTS: usize = 8;
/// How many changes of other controllers are taken at once.
const CHANGES_AT_ONCE: usize = 4096;
/// How long a change waits for the host before it is answered all the same.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The controller of all regions. Clones are the same controller.
#[derive(Clone)]
pub struct Controller {
    inner: Arc<Inner>,
}

/// One API request, decoded.
pub struct Call {
    /// Who asks.
    pub account: AccountId,
    /// Which region is asked.
    pub region: RegionName,
    /// What is asked.
    pub request: api::Request,
}

/// What becomes of packets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A host is expected. Instances wait for it.
    Starting,
    /// A host runs.
    Full,
    /// There are no packets, for this reason. Instances change state on paper.
    ControlPlaneOnly(String),
}

/// Why a controller does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store does not give its records.
    #[error("the store cannot be read")]
    Store(#[from] store::Error),
    /// A record is of another version, or damaged.
    #[error(transparent)]
    Record(#[from] region::Unreadable),
}

struct Inner {
    opened: Instant,
    settings: Settings,
    mode: RwLock<Mode>,
    host: RwLock<Option<Arc<dyn Host>>>,
    published: ArcSwap<Published>,
    /// Held from the decision of a change to its hand-over, so that hosts see changes in their order.
    writer: Arc<tokio::sync::Mutex<Writer>>,
}

/// What everybody sees: one revision, whole.
pub(crate) struct Published {
    pub(crate) revision: u64,
    pub(crate) state: State,
    pub(crate) snapshot: Arc<Snapshot>,
}

struct Writer {
    store: Box<dyn Store>,
    replica: Replica,
}

/// What a request would do to a state.
type Decide<'d> = dyn Fn(&State, &Context<'_>) -> Result<Executed, ApiError> + 'd;

/// What was decided without the lock, on which revision, and whether a host was expected. It counts if both are
/// still so.
struct Tried {
    revision: u64,
    hosts: bool,
    executed: Executed,
}

/// A change that was handed over: its reply, and the revision that has it.
struct Done {
    reply: Value,
    revision: u64,
}

impl Controller {
    /// Loads everything that the store has. Whether hosts run instances follows from [`Controller::attach`] and
    /// [`Controller::control_plane_only`], whatever the settings say.
    ///
    /// # Errors
    /// [`OpenError`] if the store or one of its records cannot be read.
    pub fn open(store: Box<dyn Store>, settings: Settings) -> Result<Controller, OpenError> {
        let (state, revision) = load(store.as_ref())?;
        let mut replica = Replica::new(Some(settings.pool));
        replica.full(region::full(&state, revision));
        let snapshot = replica.snapshot();
        let published = Published {
            revision,
            state,
            snapshot,
        };
        Ok(Controller {
            inner: Arc::new(Inner {
                opened: Instant::now(),
                settings,
                mode: RwLock::new(Mode::Starting),
                host: RwLock::new(None),
                published: ArcSwap::from_pointee(published),
                writer: Arc::new(tokio::sync::Mutex::new(Writer { store, replica })),
            }),
        })
    }

    /// Carries out one API request.
    ///
    /// # Errors
    /// What the action answers instead of a reply; `InternalError` if the store fails.
    pub async fn call(&self, call: Call) -> Result<Value, ApiError> {
        let now = self.published();
        let (account, region) = (call.account, call.region.clone());
        let decide = move |state: &State, ctx: &Context<'_>| execute(state, ctx, &call);
        let hosts = self.hosts();
        let tried = self.decide(&now.state, &decide, account, &region, hosts)?;
        if tried.writes.is_empty() {
            return Ok(tried.reply);
        }
        let tried = Tried {
            revision: now.revision,
            hosts,
            executed: tried,
        };
        let done = self.change(Some(tried), decide, account, region).await?;
        self.settled_at(done.revision).await;
        Ok(done.reply)
    }

    /// Takes note of what a host says of an instance.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn report(&self, report: Report) -> Result<(), ApiError> {
        let decide =
            move |state: &State, ctx: &Context<'_>| Ok(region::report(state, ctx, &report));
        // A report is of no client: the instance's record says whose it is, and where.
        self.change(
            None,
            decide,
            AccountId::DEFAULT,
            api::Scope::unsigned().region,
        )
        .await
        .map(|_| ())
    }

    /// Gives the controller its host, which gets the full state now and every change from now on.
    pub async fn attach(&self, host: Arc<dyn Host>) {
        let writer = self.inner.writer.lock().await;
        let now = self.published();
        host.full(region::full(&now.state, now.revision));
        *self
            .inner
            .host
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(host);
        self.set_mode(Mode::Full);
        drop(writer);
    }

    /// Goes on without a host. Instances that wait for one change state at once.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn control_plane_only(&self, why: String) -> Result<(), ApiError> {
        let now = {
            // What is committed from here on knows of it; what was before is in this state.
            let _writer = self.inner.writer.lock().await;
            self.set_mode(Mode::ControlPlaneOnly(why));
            self.published()
        };
        for instance in region::full(&now.state, now.revision).instances {
            let report = if instance.running {
                Report::Running(instance.id, instance.boot)
            } else {
                Report::Stopped(instance.id)
            };
            self.report(report).await?;
        }
        Ok(())
    }

    /// Waits until packets meet the current state, for at most two seconds; at once without a host.
    pub async fn settled(&self) {
        let revision = self.published().revision;
        self.settled_at(revision).await;
    }

    /// What becomes of packets.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner
            .mode
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The network as of now, as the walk sees it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published().snapshot)
    }

    pub(crate) fn host(&self) -> Option<Arc<dyn Host>> {
        self.inner
            .host
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        self.inner.published.load_full()
    }

    pub(crate) fn pool(&self) -> Uplink {
        self.inner.settings.pool
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.inner.opened.elapsed()
    }

    /// Whether instances wait for a host.
    fn hosts(&self) -> bool {
        !matches!(self.mode(), Mode::ControlPlaneOnly(_))
    }

    /// Changes only under the writer's lock.
    fn set_mode(&self, mode: Mode) {
        *self
            .inner
            .mode
            .write()
            .unwrap_or_else(PoisonError::into_inner) = mode;
    }
}

impl Controller {
    /// Decides, commits, publishes and hands over, on a thread that may block.
    async fn change(
        &self,
        tried: Option<Tried>,
        decide: impl Fn(&State, &Context<'_>) -> Result<Executed, ApiError> + Send + 'static,
        account: AccountId,
        region: RegionName,
    ) -> Result<Done, ApiError> {
        let mut writer = Arc::clone(&self.inner.writer).lock_owned().await;
        let controller = self.clone();
        let change = move || controller.change_now(&mut writer, tried, &decide, account, &region);
        tokio::task::spawn_blocking(change)
            .await
            .map_err(|_| internal())?
    }

    fn change_now(
        &self,
        writer: &mut Writer,
        mut tried: Option<Tried>,
        decide: &Decide<'_>,
        account: AccountId,
        region: &RegionName,
    ) -> Result<Done, ApiError> {
        for _ in 0..MAX_CONFLICTS {
            let (before, hosts) = (self.published(), self.hosts());
            let executed = match tried.take() {
                Some(tried) if tried.revision == before.revision && tried.hosts == hosts => {
                    tried.executed
                }
                Some(_) | None => self.decide(&before.state, decide, account, region, hosts)?,
            };
            if executed.writes.is_empty() {
                return Ok(Done {
                    reply: executed.reply,
                    revision: before.revision,
                });
            }
            let writes: Vec<store::Write> = executed.writes.iter().map(to_store).collect();
            match writer.store.commit(before.revision, &writes) {
                Ok(revision) => {
                    let delta = region::delta(
                        &before.state,
                        &executed.state,
                        &executed.writes,
                        before.revision,
                        revision,
                    );
                    self.publish(writer, executed.state, revision, Some(delta));
                    return Ok(Done {
                        reply: executed.reply,
                        revision,
                    });
                }
                Err(store::Error::Conflict { .. }) => self.catch_up(writer)?,
                Err(error @ (store::Error::Storage { .. } | store::Error::Compacted { .. })) => {
                    // It may have happened or not: what is in the store holds.
                    self.reload(writer)?;
                    return Err(broken(&error));
                }
            }
        }
        Err(ApiError::new(
            "Unavailable",
            "Other changes were faster every time; please try again",
        ))
    }

    /// Takes what other controllers committed.
    fn catch_up(&self, writer: &mut Writer) -> Result<(), ApiError> {
        let before = self.published();
        let (mut state, mut revision) = (before.state.clone(), before.revision);
        loop {
            let changes = match writer.store.changes(revision, CHANGES_AT_ONCE) {
                Ok(changes) => changes,
                Err(store::Error::Compacted { .. }) => return self.reload(writer),
                Err(error) => return Err(broken(&error)),
            };
            let Some(last) = changes.last() else { break };
            for change in &changes {
                state
                    .load(&change.kind, &change.id, change.body.as_deref())
                    .map_err(|error| broken(&error))?;
            }
            revision = last.revision;
        }
        self.publish(writer, state, revision, None);
        Ok(())
    }

    /// Takes everything from the store anew.
    fn reload(&self, writer: &mut Writer) -> Result<(), ApiError> {
        let (state, revision) = load(writer.store.as_ref()).map_err(|error| broken(&error))?;
        self.publish(writer, state, revision, None);
        Ok(())
    }

    /// Makes a committed revision what everybody sees, hosts included. Without a delta they get everything.
    fn publish(&self, writer: &mut Writer, state: State, revision: u64, delta: Option<Delta>) {
        let followed = delta
            .clone()
            .is_some_and(|delta| writer.replica.delta(delta).is_ok());
        if !followed {
            writer.replica.full(region::full(&state, revision));
        }
        let snapshot = writer.replica.snapshot();
        if let Some(host) = self.host() {
            let followed = delta.is_some_and(|delta| {
                let gap = host.delta(delta);
                gap.inspect_err(|gap| tracing::warn!(%gap, "the host gets the full state"))
                    .is_ok()
            });
            if !followed {
                host.full(region::full(&state, revision));
            }
        }
        self.inner.published.store(Arc::new(Published {
            revision,
            state,
            snapshot,
        }));
    }

    /// Runs a handler. One that panics is an error of that request alone: it had a copy of the state.
    fn decide(
        &self,
        state: &State,
        decide: &Decide<'_>,
        account: AccountId,
        region: &RegionName,
        hosts: bool,
    ) -> Result<Executed, ApiError> {
        let mut starved = false;
        let mut random = || {
            let mut bytes = [0; 16];
            starved |= getrandom::fill(&mut bytes).is_err();
            u128::from_ne_bytes(bytes)
        };
        let settings = Settings {
            hosts,
            ..self.inner.settings.clone()
        };
        let decided = {
            let ctx = Context::new(account, region.clone(), now(), &settings, &mut random);
            catch_unwind(AssertUnwindSafe(|| decide(state, &ctx)))
        };
        if starved {
            tracing::error!("the system gives no random numbers");
            return Err(internal());
        }
        decided.unwrap_or_else(|_| Err(internal()))
    }

    /// Waits until the host lets packets meet this revision, within bounds.
    async fn settled_at(&self, revision: u64) {
        let Some(host) = self.host() else { return };
        if tokio::time::timeout(SETTLE_TIMEOUT, host.settled(revision))
            .await
            .is_err()
        {
            tracing::warn!(
                revision,
                "the host is late: a change was answered before packets meet it"
            );
        }
    }
}

fn execute(state: &State, ctx: &Context<'_>, call: &Call) -> Result<Executed, ApiError> {
    let service = call.request.service().name();
    region::execute(
        state,
        ctx,
        service,
        call.request.action(),
        call.request.input().clone(),
    )
}

fn load(store: &dyn Store) -> Result<(State, u64), OpenError> {
    let loaded = store.load()?;
    let mut state = State::default();
    for record in &loaded.records {
        state.load(&record.kind, &record.id, Some(&record.body))?;
    }
    Ok((state, loaded.revision))
}

/// What a client is told when the store fails; the log has the rest.
fn broken(error: &(dyn std::error::Error + 'static)) -> ApiError {
    tracing::error!(error, "the store fails");
    internal()
}

fn internal() -> ApiError {
    ApiError::internal("An internal error has occurred")
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// 128 random bits in the form of a UUID (RFC 9562 section 5.4): a request's identifier.
pub(crate) fn request_id() -> String {
    let mut bytes = [0_u8; 16];
    // An identifier of zeros is still an answer; it decides nothing.
    let _ = getrandom::fill(&mut bytes);
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

fn to_store(write: &region::Write) -> store::Write {
    store::Write {
        kind: write.kind.to_owned(),
        id: write.id.clone(),
        body: write.body.clone(),
    }
}
