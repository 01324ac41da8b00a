//! `polder up`: controller and agent in one process, in the foreground.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, StartError};
use anyhow::Context as _;
use controller::accounts::Desk;
use controller::{Accounts, Audit, Auth, Bounds, Controller, Gate, OpenError};
use feed::Report;
use store::Sqlite;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use types::Cidr;

use crate::cli::{AuthMode, ServeArgs, Switch, UpArgs};
use crate::client;
use crate::failure::Failure;
use crate::host::Local;
use crate::output;

/// Threads that answer requests and move packets between host and agent.
const WORKERS: usize = 2;
/// Threads that may wait for the disk.
const MAX_BLOCKING: usize = 16;
/// How often a report of the agent is offered to a store that fails.
const REPORT_ATTEMPTS: u32 = 5;

const POOL_HINT: &str =
    "use a block that nothing else on this machine uses, as in --pool 203.0.113.0/24";
/// Two signals within this time are one wish: a terminal and a parent process both pass on what the user did once.
const SAME_WISH: Duration = Duration::from_millis(500);

/// Runs until SIGINT, SIGTERM or SIGHUP, and then removes what it made on the host. A second signal ends it at once.
pub(crate) fn run(args: &UpArgs) -> anyhow::Result<ExitCode> {
    log(&args.serve.log)?;
    if args.serve.stop_with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .context("the parent's end cannot be followed")?;
    }
    let config = configuration(args)?;
    let listener = listen(&args.serve)?;
    let store = open_store(&config.state_dir)?;
    let accounts = open_accounts(&config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(MAX_BLOCKING)
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let done = runtime.block_on(up(args, config, listener, store, accounts));
    // A thread that waits for the disk must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn up(
    args: &UpArgs,
    config: agent::Config,
    listener: TcpListener,
    store: Sqlite,
    accounts: Arc<Accounts>,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let address = listener
        .local_addr()
        .context("the listener has no address")?;
    listener
        .set_nonblocking(true)
        .context("the listener cannot be used")?;
    let listener =
        tokio::net::TcpListener::from_std(listener).context("the listener cannot be used")?;
    let settings = controller::Settings {
        hosts: true,
        fleet: false,
        pool: config.uplink,
        ipv6_pool: args.serve.ipv6_pool,
        settle: i64::try_from(args.serve.settle.as_millis()).unwrap_or(i64::MAX),
        zone_names: args.serve.zone_names.into(),
    };
    let controller = Controller::open(Box::new(store), settings)
        .map_err(|error| unreadable(error, &config.state_dir))?;
    if controller.has_hosts() {
        let hint = "run `polder controller` with it, or choose another directory with --state-dir";
        return Err(Failure::new("the state is that of a region with many hosts", hint).into());
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        // The sender goes only with the whole of this function.
        let _ = stopped.await;
    };
    let gate = gate(&args.serve, &config.state_dir, &accounts)?;
    let desk = Desk::open(&config.state_dir, accounts, controller.clone()).map_err(|error| {
        let hint = "use another --state-dir; a socket's path has at most 107 bytes";
        Failure::new(
            format!("cannot open the socket for accounts: {error}"),
            hint,
        )
    })?;
    let server = tokio::spawn(controller::serve(
        controller.clone(),
        gate,
        listener,
        Bounds::default(),
        stopped,
    ));
    let endpoint = format!("http://{address}");
    greet(&endpoint, args.serve.auth, &config);
    let paste = paste(&endpoint, args.serve.auth, &config);

    let without = args.control_plane_only;
    let mut starting = tokio::spawn(start(without, paste, config, controller));
    let mut host = None;
    let signalled = tokio::select! {
        started = &mut starting => {
            host = started.context("the agent broke")??;
            false
        }
        () = signals.next() => true,
    };
    if !signalled {
        signals.next().await;
    }
    output::tell("stopping: a second signal does not wait\n");
    let force = tokio::spawn(async move {
        signals.rest().await;
        signals.next().await;
        output::complain(
            "polder: forced to stop; the next `polder up` with this state directory cleans up\n",
        );
        std::process::exit(1);
    });
    let _ = stop.send(());
    server.await.context("the server broke")?;
    drop(desk);
    if signalled {
        // What the start has made so far must go as well.
        host = starting.await.context("the agent broke")??;
    }
    if let Some(host) = host {
        host.reports.abort();
        host.agent.stop().await;
    }
    force.abort();
    output::tell("stopped\n");
    Ok(ExitCode::SUCCESS)
}

/// A running agent, and the task that hears its reports.
struct Running {
    agent: Agent,
    reports: JoinHandle<()>,
}

/// Starts the agent, or goes on without one where the machine cannot carry packets.
async fn start(
    without: bool,
    paste: String,
    config: agent::Config,
    controller: Controller,
) -> anyhow::Result<Option<Running>> {
    let agent = if without {
        Err("asked for with --control-plane-only".to_owned())
    } else {
        match Agent::start(config).await {
            Ok(agent) => Ok(agent),
            Err(StartError::Unavailable(missing)) => Err(missing.to_string()),
            Err(error) => {
                let hint = hint(&error);
                let error = anyhow::Error::from(error);
                return Err(Failure::new(format!("{error:#}"), hint).into());
            }
        }
    };
    match agent {
        Ok(agent) => {
            let reports = tokio::spawn(hear(agent.reports(), controller.clone()));
            controller.attach(Arc::new(Local(agent.clone()))).await;
            controller.settled().await;
            ready(&paste, "packets flow");
            Ok(Some(Running { agent, reports }))
        }
        Err(why) => {
            let text = format!("control plane only, no packets flow: {why}");
            controller
                .control_plane_only(why)
                .await
                .context("the store cannot be written")?;
            ready(&paste, &text);
            Ok(None)
        }
    }
}

/// What to do about an agent that does not start.
pub(crate) fn hint(error: &StartError) -> String {
    match error {
        StartError::PoolInUse { .. } | StartError::HostAddress { .. } => {
            "take a block that this machine does not use, as in --pool 198.18.0.0/24".to_owned()
        }
        StartError::ForwardingOff => {
            "run `sysctl -w net.ipv4.ip_forward=1`, or leave --internet out".to_owned()
        }
        StartError::NoNft => "install `nft` (package nftables), or leave --internet out".to_owned(),
        StartError::AnotherAgent(process) if *process != 0 => {
            format!("stop it, as with `kill {process}`, or run this one with --control-plane-only")
        }
        StartError::ForeignInterface(name) => format!(
            "start with the state directory that it was made with, or remove it with `ip link delete {name}`"
        ),
        StartError::Manifest { .. } => {
            "use the version of polder that wrote it, or another --state-dir".to_owned()
        }
        StartError::AnotherAgent(_)
        | StartError::Unavailable(_)
        | StartError::Nft(_)
        | StartError::Io { .. } => {
            "`polder up --control-plane-only` serves the API without packets".to_owned()
        }
    }
}

async fn hear(mut reports: agent::Reports, controller: Controller) {
    while let Some(report) = reports.next().await {
        if let Report::Failed(instance, why) = &report {
            tracing::error!(%instance, why, "an instance could not be started");
        }
        for attempt in 1..=REPORT_ATTEMPTS {
            let Err(error) = controller.report(report.clone()).await else {
                break;
            };
            tracing::error!(%error, attempt, "a report of the agent cannot be kept");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// What asks the program to stop.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal closed. `None` if whoever started us wants that to be ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl Signals {
    pub(crate) fn new() -> anyhow::Result<Signals> {
        let of = |kind| signal(kind).context("signals cannot be caught");
        // Before it is caught, because that changes the answer.
        let ignored = is_ignored(SignalKind::hangup());
        Ok(Signals {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            hangup: (!ignored).then(|| of(SignalKind::hangup())).transpose()?,
        })
    }

    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }

    /// Takes what still belongs to the signal that came.
    pub(crate) async fn rest(&mut self) {
        tokio::time::sleep(SAME_WISH).await;
        while tokio::time::timeout(Duration::ZERO, self.next())
            .await
            .is_ok()
        {}
    }
}

/// Whether this process was started with a signal ignored (proc_pid_status(5), `SigIgn`).
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(u32::MAX);
    mask.is_some_and(|mask| mask.checked_shr(bit).unwrap_or(0) & 1 == 1)
}

/// What is known before the host is ready.
fn greet(endpoint: &str, auth: AuthMode, config: &agent::Config) {
    let who = match auth {
        AuthMode::None => "any program on this machine may use it: signatures are not checked",
        AuthMode::Sigv4 => "signatures are checked; `polder account create` makes keys",
    };
    output::tell(&format!(
        "polder {version}\n\
         \x20 endpoint  {endpoint} ({who})\n\
         \x20 state     {state}\n\
         \x20 pool      {pool}\n\
         \n",
        version = env!("CARGO_PKG_VERSION"),
        state = config.state_dir.display(),
        pool = config.uplink.pool,
    ));
}

/// What to do now, and how far the host is.
fn ready(paste: &str, how: &str) {
    output::tell(&format!(
        "Paste into another shell:\n\
         {paste}\
         \x20 aws ec2 describe-vpcs\n\
         \n\
         ready: {how} (Ctrl-C stops)\n"
    ));
}

/// What makes a shell's clients talk to this region.
fn paste(endpoint: &str, auth: AuthMode, config: &agent::Config) -> String {
    let to = format!("  export AWS_ENDPOINT_URL={endpoint} POLDER_ENDPOINT={endpoint}\n");
    match auth {
        AuthMode::None => format!(
            "{to}\x20 export AWS_ACCESS_KEY_ID=111122223333 AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=us-east-1\n"
        ),
        AuthMode::Sigv4 => format!(
            "{to}\x20 export AWS_DEFAULT_REGION=us-east-1\n\
             \x20 eval \"$(polder account create --state-dir '{}')\"  # once; it shows the secret this once\n",
            config.state_dir.display()
        ),
    }
}

pub(crate) fn log(directives: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(directives).map_err(|error| {
        let hint = "use `error`, `warn`, `info`, `debug` or `trace`, or directives as in `info,agent=debug`";
        Failure::usage(format!("`{directives}` is not a level to log at: {error}"), hint)
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(output::takes_colour(&io::stderr()))
        // A terminal that has closed is no reason to panic.
        .log_internal_errors(false)
        .init();
    Ok(())
}

/// Whoever reaches a listener that checks nothing may do everything.
pub(crate) fn check_listener(args: &ServeArgs) -> anyhow::Result<()> {
    if args.auth == AuthMode::None && !args.listen.ip().is_loopback() {
        let hint = "check signatures with --auth sigv4 (keys are made with `polder account create`), or listen on a \
                    loopback address, as in --listen 127.0.0.1:4566";
        let message = format!(
            "`{}` is not a loopback address: whoever reaches it could use it, as --auth none checks no signatures",
            args.listen
        );
        return Err(Failure::usage(message, hint).into());
    }
    Ok(())
}

fn configuration(args: &UpArgs) -> anyhow::Result<agent::Config> {
    check_listener(&args.serve)?;
    let mut config = agent::Config::new(args.serve.state.path()?);
    config.uplink.pool = args.serve.pool;
    config.uplink.host = pool_host(args.serve.pool)?;
    config.uplink.internet = args.internet;
    config.revocation = args.revocation.into();
    config.uplink.ipv6 = agent::ipv6_side(args.serve.ipv6_pool, args.internet);
    if let Some(sessions) = args.max_sessions {
        config.max_flows = sessions;
    }
    Ok(config)
}

/// The machine's own address in the pool, which is its first.
pub(crate) fn pool_host(pool: Cidr) -> anyhow::Result<IpAddr> {
    let network = pool.network();
    let IpAddr::V4(first) = network else {
        let message = format!("`{pool}` is not IPv4: public addresses are");
        return Err(Failure::usage(message, POOL_HINT).into());
    };
    let sized = (8..=29).contains(&pool.length());
    let host = pool.nth(1).filter(|_| sized).ok_or_else(|| {
        let message = format!("`{pool}` is not between a /8 and a /29 in size");
        Failure::usage(message, POOL_HINT)
    })?;
    // "This network", loopback, link-local (with the metadata service's address), multicast and beyond.
    let of_no_host = first.octets()[0] == 0
        || first.is_loopback()
        || first.is_link_local()
        || first.octets()[0] >= 224;
    if of_no_host {
        let message = format!("`{pool}` has no addresses that a host may have");
        return Err(Failure::usage(message, POOL_HINT).into());
    }
    Ok(host)
}

pub(crate) fn listen(args: &ServeArgs) -> anyhow::Result<TcpListener> {
    TcpListener::bind(args.listen).map_err(|error| {
        let address = args.listen;
        let free = address.port().checked_add(1).unwrap_or(4566);
        let another = format!("--listen {}:{free}", address.ip());
        let polder = error.kind() == io::ErrorKind::AddrInUse
            && client::get::<controller::wire::Status>(&format!("http://{address}"), "status")
                .is_ok();
        let hint = if polder {
            format!("a `polder up` runs there: stop it, or use {another}")
        } else if error.kind() == io::ErrorKind::AddrInUse {
            format!("another program listens there: stop it, or use {another}")
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            "ports below 1024 need root: use --listen 127.0.0.1:4566".to_owned()
        } else {
            format!("use another address, as in {another}")
        };
        Failure::new(format!("cannot listen on `{address}`: {error}"), hint).into()
    })
}

pub(crate) fn open_store(dir: &Path) -> anyhow::Result<Sqlite> {
    Sqlite::open(dir).map_err(|error| {
        let hint = match &error {
            store::OpenError::InUse { .. } => {
                "stop it, or choose another directory with --state-dir"
            }
            store::OpenError::Newer { .. } => {
                "use that version, or another directory with --state-dir"
            }
            store::OpenError::Full { .. } => {
                "make room there, or choose another directory with --state-dir"
            }
            store::OpenError::Foreign { .. }
            | store::OpenError::Damaged { .. }
            | store::OpenError::Storage { .. } => "choose another directory with --state-dir",
        };
        Failure::new(format!("{:#}", anyhow::Error::from(error)), hint).into()
    })
}

pub(crate) fn open_accounts(dir: &Path) -> anyhow::Result<Arc<Accounts>> {
    let accounts = Accounts::open(dir).map_err(|error| {
        let hint = "a `polder account` may be at work there; else choose another directory with --state-dir";
        Failure::new(format!("{:#}", anyhow::Error::from(error)), hint)
    })?;
    Ok(Arc::new(accounts))
}

/// What the command line says of authentication.
pub(crate) fn gate(
    args: &ServeArgs,
    dir: &Path,
    accounts: &Arc<Accounts>,
) -> anyhow::Result<Arc<Gate>> {
    let checked = args.auth == AuthMode::Sigv4;
    let path = args
        .audit_log
        .clone()
        .or_else(|| checked.then(|| dir.join("audit.log")));
    let audit = path.map(|path| {
        Audit::open(&path).map_err(|error| {
            let hint = "name another file with --audit-log";
            Failure::new(format!("cannot write `{}`: {error}", path.display()), hint)
        })
    });
    let throttle = args
        .rate_limit
        .map_or(checked, |switch| switch == Switch::On);
    let auth = if checked { Auth::Sigv4 } else { Auth::None };
    Ok(Arc::new(Gate::new(
        auth,
        Arc::clone(accounts),
        throttle,
        audit.transpose()?,
    )))
}

pub(crate) fn unreadable(error: OpenError, dir: &Path) -> anyhow::Error {
    let error = anyhow::Error::from(error);
    let hint = "use the version of polder that wrote it, or another --state-dir";
    Failure::new(
        format!("cannot read the state in `{}`: {error:#}", dir.display()),
        hint,
    )
    .into()
}
