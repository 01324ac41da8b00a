//! `polder controller`: a region with many hosts, in the foreground.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use controller::accounts::Desk;
use controller::fleet::{self, Fleet};
use controller::{Accounts, Bounds, Controller};
use link::Authority;
use store::Sqlite;
use tokio::sync::oneshot;

use crate::cli::{AuthMode, ControllerArgs};
use crate::failure::Failure;
use crate::output;
use crate::up::{self, Signals};

const WORKERS: usize = 2;
const MAX_BLOCKING: usize = 16;

/// Runs until SIGINT, SIGTERM or SIGHUP. Hosts and their instances go on without it.
pub(crate) fn run(args: &ControllerArgs) -> anyhow::Result<ExitCode> {
    up::log(&args.serve.log)?;
    if args.serve.stop_with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .context("the parent's end cannot be followed")?;
    }
    up::check_listener(&args.serve)?;
    let state_dir = args.serve.state.path()?;
    let listener = up::listen(&args.serve)?;
    let hosts = TcpListener::bind(args.hosts_listen).map_err(|error| {
        let message = format!("cannot listen on `{}`: {error}", args.hosts_listen);
        Failure::new(message, "use another address with --hosts-listen")
    })?;
    let store = up::open_store(&state_dir)?;
    let accounts = up::open_accounts(&state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(MAX_BLOCKING)
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let done = runtime.block_on(serve(args, listener, hosts, store, accounts));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

fn listening(listener: TcpListener) -> anyhow::Result<tokio::net::TcpListener> {
    let unusable = "the listener cannot be used";
    listener.set_nonblocking(true).context(unusable)?;
    tokio::net::TcpListener::from_std(listener).context(unusable)
}

async fn serve(
    args: &ControllerArgs,
    listener: TcpListener,
    hosts: TcpListener,
    store: Sqlite,
    accounts: Arc<Accounts>,
) -> anyhow::Result<ExitCode> {
    let state_dir = args.serve.state.path()?;
    let mut signals = Signals::new()?;
    let listener = listening(listener)?;
    let hosts = listening(hosts)?;
    let endpoint = listener
        .local_addr()
        .context("the listener has no address")?;
    let hosts_at = hosts.local_addr().context("the listener has no address")?;
    let settings = controller::Settings {
        hosts: true,
        fleet: true,
        pool: topology::Uplink {
            pool: args.serve.pool,
            host: up::pool_host(args.serve.pool)?,
            internet: false,
            ipv6: agent::ipv6_side(args.serve.ipv6_pool, false),
        },
        ipv6_pool: args.serve.ipv6_pool,
        settle: i64::try_from(args.serve.settle.as_millis()).unwrap_or(i64::MAX),
        zone_names: args.serve.zone_names.into(),
    };
    let controller = Controller::open(Box::new(store), settings)
        .map_err(|error| up::unreadable(error, &state_dir))?;
    let authority = Authority::open(&state_dir, SystemTime::now()).map_err(|error| {
        let hint = "restore `authority.key` and `authority.crt` in the state directory together";
        Failure::new(format!("{:#}", anyhow::Error::from(error)), hint)
    })?;
    let authority = Arc::new(authority);
    let fleet = Fleet::new(SystemTime::now());
    controller.attach_fleet(Arc::clone(&fleet)).await;
    controller
        .change_hosts(controller::HostChange::Strand)
        .await
        .context("the store cannot be written")?;
    let gate = up::gate(&args.serve, &state_dir, &accounts)?;
    let socket = |error| {
        let hint = "use another --state-dir; a socket's path has at most 107 bytes";
        Failure::new(format!("cannot open a socket: {error}"), hint)
    };
    let accounts_desk = Desk::open(&state_dir, accounts, controller.clone()).map_err(socket)?;
    let hosts_desk = fleet::Desk::open(
        &state_dir,
        controller.clone(),
        Arc::clone(&fleet),
        Arc::clone(&authority),
    )
    .map_err(socket)?;

    let (stop, stopped) = oneshot::channel::<()>();
    let (stop_hosts, hosts_stopped) = oneshot::channel::<()>();
    let api = tokio::spawn(controller::serve(
        controller.clone(),
        gate,
        listener,
        Bounds::default(),
        async {
            let _ = stopped.await;
        },
    ));
    let bounds = fleet::Bounds {
        life: args.certificate_life,
        lost_after: args.lost_after,
    };
    let feed = tokio::spawn(fleet::serve(
        controller,
        fleet,
        authority,
        hosts,
        bounds,
        async {
            let _ = hosts_stopped.await;
        },
    ));
    let who = match args.serve.auth {
        AuthMode::None => "signatures are not checked",
        AuthMode::Sigv4 => "signatures are checked",
    };
    output::tell(&format!(
        "polder {version}, a controller\n\
         \x20 endpoint  http://{endpoint} ({who})\n\
         \x20 hosts     {hosts_at}\n\
         \x20 state     {state}\n\
         \x20 pool      {pool}\n\
         \n\
         ready: `polder hosts token create` makes a token for `polder agent` (Ctrl-C stops)\n",
        version = env!("CARGO_PKG_VERSION"),
        state = state_dir.display(),
        pool = args.serve.pool,
    ));
    signals.next().await;
    output::tell("stopping: hosts go on without the controller\n");
    let force = tokio::spawn(async move {
        signals.rest().await;
        signals.next().await;
        std::process::exit(1);
    });
    // Each may have ended by itself; then there is nobody to tell.
    let _ = stop.send(());
    let _ = stop_hosts.send(());
    api.await.context("the server broke")?;
    feed.await.context("the hosts' server broke")??;
    drop((accounts_desk, hosts_desk));
    force.abort();
    output::tell("stopped\n");
    Ok(ExitCode::SUCCESS)
}
