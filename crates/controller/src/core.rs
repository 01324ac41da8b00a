//! The state, who sees it, and the way to change it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use api::{ApiError, Value};
use arc_swap::ArcSwap;
use feed::Report;
use region::{Context, Executed, HostChange, Prepared, Settings, State, Timestamp};
use store::Store;
use tokio::sync::{mpsc, oneshot};
use topology::{Snapshot, Uplink};
use types::{AccountId, HostId, RegionName};

use crate::fleet::Fleet;
use crate::host::{Host, Network, Single};
use crate::writer::{self, Change, Decide, Done, Order, Writer};

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
    /// The system gives no thread.
    #[error("there is no thread to write with")]
    Thread(#[source] std::io::Error),
}

struct Inner {
    shared: Arc<Shared>,
    /// `None` only once the controller ends.
    orders: Option<mpsc::Sender<Order>>,
    writer: Option<JoinHandle<()>>,
    /// Whose turn it is to compute what takes long: one at a time, so that the others' cores are left to them.
    preparing: tokio::sync::Mutex<()>,
}

/// What requests and the writer share. Only the writer changes it, but for `view`.
pub(crate) struct Shared {
    opened: Instant,
    pool: Uplink,
    mode: RwLock<Mode>,
    host: RwLock<Option<Arc<dyn Network>>>,
    pub(crate) published: ArcSwap<Published>,
    /// The network as the walk sees it, of the published revision; `None` until somebody wants to see it. The writer
    /// holds the lock while it publishes.
    view: Mutex<Option<Arc<Snapshot>>>,
}

/// What everybody sees: one revision, whole. It is durable.
pub(crate) struct Published {
    pub(crate) revision: u64,
    pub(crate) state: Arc<State>,
    /// How the region is set up; whether instances wait for a host changes.
    pub(crate) settings: Arc<Settings>,
}

/// A revision with its network.
pub(crate) struct View {
    pub(crate) published: Arc<Published>,
    pub(crate) snapshot: Arc<Snapshot>,
}

impl Controller {
    /// Loads everything that the store has. Whether hosts run instances follows from [`Controller::attach`] and
    /// [`Controller::control_plane_only`], whatever the settings say.
    ///
    /// # Errors
    /// [`OpenError`] if the store or one of its records cannot be read, or there is no thread for the writer.
    pub fn open(store: Box<dyn Store>, mut settings: Settings) -> Result<Controller, OpenError> {
        let (state, revision) = writer::load(store.as_ref())?;
        settings.hosts = true;
        let shared = Arc::new(Shared {
            opened: Instant::now(),
            pool: settings.pool,
            mode: RwLock::new(Mode::Starting),
            host: RwLock::new(None),
            published: ArcSwap::from_pointee(Published {
                revision,
                state,
                settings: Arc::new(settings),
            }),
            view: Mutex::new(None),
        });
        let (orders, queue) = mpsc::channel(writer::QUEUE);
        let writer = Writer::new(Arc::clone(&shared), store);
        let writer = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(OpenError::Thread)?;
        Ok(Controller {
            inner: Arc::new(Inner {
                shared,
                orders: Some(orders),
                writer: Some(writer),
                preparing: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Carries out one API request.
    ///
    /// # Errors
    /// What the action answers instead of a reply; `InternalError` if the store fails.
    pub async fn call(&self, call: Call) -> Result<Value, ApiError> {
        let (account, region) = (call.account, call.region.clone());
        let reads = is_read(call.request.action());
        let prepared = self.prepare(&call.request).await?;
        let decide = move |state: &Arc<State>, ctx: &Context<'_>| {
            ctx.bring(prepared.clone());
            execute(state, ctx, &call)
        };
        if reads {
            let shared = &self.inner.shared;
            let now = shared.published.load();
            let executed = shared.decide(&now.state, &decide, account, &region, &now.settings)?;
            if executed.writes.is_empty() {
                return Ok(executed.reply);
            }
            // The account's first request in the region: it comes into being.
        }
        let done = self.change(decide, account, region).await?;
        let done = done.await.map_err(|_| internal())??;
        self.settled_at(done.revision).await;
        Ok(done.reply)
    }

    /// Adjusts a quota, or gives it its default again.
    ///
    /// # Errors
    /// Those of [`region::set_quota`]; `InternalError` if the store fails.
    pub(crate) async fn set_quota(
        &self,
        account: AccountId,
        region: RegionName,
        code: String,
        value: Option<usize>,
    ) -> Result<(), ApiError> {
        let decide = move |state: &Arc<State>, ctx: &Context<'_>| {
            region::set_quota(state, ctx, &code, value)
        };
        let done = self.change(decide, account, region).await?;
        done.await.map_err(|_| internal())?.map(|_| ())
    }

    /// Takes note of what a host says of an instance.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn report(&self, report: Report) -> Result<(), ApiError> {
        let noted = self.note(report).await?;
        noted.await.map_err(|_| internal())?.map(|_| ())
    }

    /// Gives the controller its host, which gets the full state now and every change from now on.
    pub async fn attach(&self, host: Arc<dyn Host>) {
        self.attach_network(Arc::new(Single(host))).await;
    }

    /// Gives the controller its hosts, each of which gets its own part of the state.
    pub async fn attach_fleet(&self, fleet: Arc<Fleet>) {
        self.attach_network(fleet).await;
    }

    async fn attach_network(&self, host: Arc<dyn Network>) {
        let (answer, attached) = oneshot::channel();
        // Neither fails as long as the writer runs, which is as long as the controller is there.
        if self.order(Order::Attach(host, answer)).await.is_ok() {
            let _ = attached.await;
        }
    }

    /// Whether the region has hosts of its own, beside the machine that it runs on.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        self.published().state.hosts.size() > 0
    }

    /// Changes hosts. The reply is the host's identifier, where there is one.
    ///
    /// # Errors
    /// `HostRefused` with a message for the operator; `InternalError` if the store fails.
    pub async fn change_hosts(&self, change: HostChange) -> Result<Option<HostId>, ApiError> {
        let decide =
            move |state: &Arc<State>, ctx: &Context<'_>| region::change_hosts(state, ctx, &change);
        // Hosts are of no account, and of every region.
        let region = api::Scope::unsigned().region;
        let done = self.change(decide, AccountId::DEFAULT, region).await?;
        let done = done.await.map_err(|_| internal())??;
        if let Value::String(id) = done.reply {
            Ok(id.parse().ok())
        } else {
            Ok(None)
        }
    }

    /// Takes note of what one of many hosts says of an instance. What is not its own is not heard.
    pub(crate) async fn report_of(&self, host: HostId, report: Report) -> Result<(), ApiError> {
        let decide = move |state: &Arc<State>, ctx: &Context<'_>| {
            Ok(region::report_of(state, ctx, host, &report))
        };
        let region = api::Scope::unsigned().region;
        let noted = self.change(decide, AccountId::DEFAULT, region).await?;
        noted.await.map_err(|_| internal())?.map(|_| ())
    }

    /// Goes on without a host. Instances that wait for one change state at once.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn control_plane_only(&self, why: String) -> Result<(), ApiError> {
        let (answer, turned) = oneshot::channel();
        self.order(Order::Without(why, answer)).await?;
        turned.await.map_err(|_| internal())?;
        // What was committed before is in this state; what comes knows of it.
        let now = self.published();
        let mut noted = Vec::new();
        for instance in region::instances(&now.state) {
            let report = if instance.running {
                Report::Running(instance.id, instance.boot)
            } else {
                Report::Stopped(instance.id)
            };
            noted.push(self.note(report).await?);
        }
        for noted in noted {
            noted.await.map_err(|_| internal())??;
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
            .shared
            .mode
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The network as of now, as the walk sees it. The first time it is put together, which takes as long as the
    /// region is large, and changes wait meanwhile; from then on it is kept.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.view().snapshot
    }

    pub(crate) fn view(&self) -> View {
        self.inner.shared.view()
    }

    pub(crate) fn host(&self) -> Option<Arc<dyn Network>> {
        self.inner.shared.host()
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        self.inner.shared.published()
    }

    pub(crate) fn pool(&self) -> Uplink {
        self.inner.shared.pool
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.inner.shared.opened.elapsed()
    }

    /// What a call would do to a state, which stays as it is: nothing is written and nobody is told.
    ///
    /// # Errors
    /// As [`Controller::call`].
    pub(crate) fn rehearse(
        published: &Published,
        state: &Arc<State>,
        (account, region): (AccountId, &RegionName),
        (service, action): (&'static str, &str),
        input: &Value,
    ) -> Result<Executed, ApiError> {
        let mut random = || {
            let mut bytes = [0; 16];
            // What is rehearsed is thrown away: its identifiers need not be secret, only new.
            let _ = getrandom::fill(&mut bytes);
            u128::from_ne_bytes(bytes)
        };
        let settings = &published.settings;
        let ctx = Context::new(account, region.clone(), now(), settings, &mut random);
        catch_unwind(AssertUnwindSafe(|| {
            region::execute(state, &ctx, service, action, input.clone())
        }))
        .unwrap_or_else(|_| Err(internal()))
    }

    async fn order(&self, order: Order) -> Result<(), ApiError> {
        let orders = self.inner.orders.as_ref().ok_or_else(internal)?;
        orders.send(order).await.map_err(|_| internal())
    }

    /// Computes what a request needs that takes long, so that the writer does not: nobody waits for it but who asked, and
    /// whoever asks for the same at that time.
    async fn prepare(&self, request: &api::Request) -> Result<Prepared, ApiError> {
        let (service, action) = (request.service().name(), request.action());
        let Some(work) = region::preparation(service, action, request.input()) else {
            return Ok(Prepared::default());
        };
        let _turn = self.inner.preparing.lock().await;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| internal())?;
        tokio::task::spawn_blocking(move || work(seed))
            .await
            .map_err(|_| internal())
    }

    /// Queues a change. What comes of it comes later, and comes also if nobody waits for it.
    async fn change(
        &self,
        decide: impl Fn(&Arc<State>, &Context<'_>) -> Result<Executed, ApiError> + Send + 'static,
        account: AccountId,
        region: RegionName,
    ) -> Result<oneshot::Receiver<Result<Done, ApiError>>, ApiError> {
        let (answer, done) = oneshot::channel();
        self.order(Order::Change(Change {
            account,
            region,
            decide: Box::new(decide),
            answer,
        }))
        .await?;
        Ok(done)
    }

    async fn note(
        &self,
        report: Report,
    ) -> Result<oneshot::Receiver<Result<Done, ApiError>>, ApiError> {
        let decide =
            move |state: &Arc<State>, ctx: &Context<'_>| Ok(region::report(state, ctx, &report));
        // A report is of no client: the instance's record says whose it is, and where.
        let region = api::Scope::unsigned().region;
        self.change(decide, AccountId::DEFAULT, region).await
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

impl Drop for Inner {
    /// Waits for the writer, so that whoever opens the store next finds it closed.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != std::thread::current().id()
        {
            // It outlives panics; there is nothing to say of one.
            let _ = writer.join();
        }
    }
}

impl Shared {
    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    pub(crate) fn host(&self) -> Option<Arc<dyn Network>> {
        self.host
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes or gives up a host. What is decided from here on knows of it.
    pub(crate) fn set_host(&self, host: Option<Arc<dyn Network>>, mode: Mode) {
        let now = self.published();
        let mut settings = Settings::clone(&now.settings);
        settings.hosts = !matches!(mode, Mode::ControlPlaneOnly(_));
        self.published.store(Arc::new(Published {
            revision: now.revision,
            state: now.state.clone(),
            settings: Arc::new(settings),
        }));
        *self.host.write().unwrap_or_else(PoisonError::into_inner) = host;
        *self.mode.write().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// Makes a durable revision what everybody sees, hosts included. They get what changed since `touched`, which
    /// is the state before and what was written since; without it, they get everything.
    pub(crate) fn publish(
        &self,
        touched: Option<(&Published, &[region::Write])>,
        state: Arc<State>,
        revision: u64,
    ) {
        let host = self.host();
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = touched.filter(|_| host.is_some() || view.is_some());
        let delta = wanted.map(|(before, writes)| {
            region::delta(&before.state, &state, writes, before.revision, revision)
        });
        *view = view.take().and_then(|snapshot| {
            let delta = delta.as_ref()?;
            let follows = delta.after == snapshot.revision();
            follows.then(|| Arc::new(snapshot.apply(revision, &delta.changes)))
        });
        if let Some(host) = host {
            let followed = delta.is_some_and(|delta| {
                let gap = host.delta(&state, delta);
                gap.inspect_err(|gap| tracing::warn!(%gap, "the host gets the full state"))
                    .is_ok()
            });
            if !followed {
                host.full(&state, revision);
            }
        }
        let settings = Arc::clone(&self.published.load().settings);
        self.published.store(Arc::new(Published {
            revision,
            state,
            settings,
        }));
    }

    fn view(&self) -> View {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let published = self.published();
        let snapshot = view.get_or_insert_with(|| {
            let full = region::full(&published.state, published.revision);
            let changes: Vec<_> = full
                .objects
                .into_iter()
                .map(topology::Change::Put)
                .collect();
            Arc::new(Snapshot::new(Some(self.pool)).apply(full.revision, &changes))
        });
        View {
            snapshot: Arc::clone(snapshot),
            published,
        }
    }

    /// Runs a handler. One that panics is an error of that request alone: it had a copy of the state.
    pub(crate) fn decide(
        &self,
        state: &Arc<State>,
        decide: &Decide,
        account: AccountId,
        region: &RegionName,
        settings: &Settings,
    ) -> Result<Executed, ApiError> {
        let mut starved = false;
        let mut random = || {
            let mut bytes = [0; 16];
            starved |= getrandom::fill(&mut bytes).is_err();
            u128::from_ne_bytes(bytes)
        };
        let decided = {
            let ctx = Context::new(account, region.clone(), now(), settings, &mut random);
            catch_unwind(AssertUnwindSafe(|| decide(state, &ctx)))
        };
        if starved {
            tracing::error!("the system gives no random numbers");
            return Err(internal());
        }
        decided.unwrap_or_else(|_| Err(internal()))
    }
}

/// Whether an action only reads, by its name. One that writes all the same is carried out as a change.
fn is_read(action: &str) -> bool {
    ["Describe", "Get", "List", "Search"]
        .iter()
        .any(|verb| action.starts_with(verb))
}

fn execute(state: &Arc<State>, ctx: &Context<'_>, call: &Call) -> Result<Executed, ApiError> {
    let service = call.request.service().name();
    region::execute(
        state,
        ctx,
        service,
        call.request.action(),
        call.request.input().clone(),
    )
}

pub(crate) fn internal() -> ApiError {
    ApiError::internal("An internal error has occurred")
}

pub(crate) fn now() -> Timestamp {
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
