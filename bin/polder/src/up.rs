//! `polder up`: controller and agent in one process, in the foreground.

use std::io::{self, IsTerminal};
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, StartError};
use anyhow::Context as _;
use controller::{Bounds, Controller, OpenError};
use feed::Report;
use store::Sqlite;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::UpArgs;
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

/// Runs until SIGINT or SIGTERM, and then removes what it made on the host. A second signal ends it at once.
pub(crate) fn run(args: &UpArgs) -> anyhow::Result<ExitCode> {
    log(&args.log)?;
    let config = configuration(args)?;
    let listener = listen(args)?;
    let store = open_store(&config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(MAX_BLOCKING)
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let done = runtime.block_on(up(args, config, listener, store));
    // A thread that waits for the disk must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn up(
    args: &UpArgs,
    config: agent::Config,
    listener: TcpListener,
    store: Sqlite,
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
    let controller = Controller::open(Box::new(store), config.uplink)
        .map_err(|error| unreadable(error, &config.state_dir))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        // The sender goes only with the whole of this function.
        let _ = stopped.await;
    };
    let server = tokio::spawn(controller::serve(
        controller.clone(),
        listener,
        Bounds::default(),
        stopped,
    ));
    greet(&format!("http://{address}"), &config);

    let mut starting = tokio::spawn(start(args.control_plane_only, config, controller));
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
    let force = tokio::spawn(async move {
        signals.next().await;
        eprintln!(
            "polder: forced to stop; the next `polder up` with this state directory cleans up"
        );
        std::process::exit(1);
    });
    let _ = stop.send(());
    server.await.context("the server broke")?;
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
                let error = anyhow::Error::from(error);
                let hint = "`polder up --control-plane-only` serves the API without packets";
                return Err(Failure::new(format!("{error:#}"), hint).into());
            }
        }
    };
    match agent {
        Ok(agent) => {
            let reports = tokio::spawn(hear(agent.reports(), controller.clone()));
            controller.attach(Arc::new(Local(agent.clone()))).await;
            controller.settled().await;
            output::tell("ready: packets flow\n");
            Ok(Some(Running { agent, reports }))
        }
        Err(why) => {
            let line = format!("ready: control plane only, no packets flow: {why}\n");
            controller
                .control_plane_only(why)
                .await
                .context("the store cannot be written")?;
            output::tell(&line);
            Ok(None)
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

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        let of = |kind| signal(kind).context("signals cannot be caught");
        Ok(Signals {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn greet(endpoint: &str, config: &agent::Config) {
    let text = format!(
        "polder {version}\n\
         \x20 endpoint  {endpoint} (any program on this machine may use it: signatures are not checked)\n\
         \x20 state     {state}\n\
         \x20 pool      {pool}\n\
         \n\
         Paste into another shell:\n\
         \x20 export AWS_ENDPOINT_URL={endpoint}\n\
         \x20 export AWS_ACCESS_KEY_ID=111122223333 AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=us-east-1\n\
         \x20 aws ec2 describe-vpcs\n\
         \n",
        version = env!("CARGO_PKG_VERSION"),
        state = config.state_dir.display(),
        pool = config.uplink.pool,
    );
    output::tell(&text);
}

fn log(directives: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(directives).map_err(|error| {
        let hint = "use `error`, `warn`, `info`, `debug` or `trace`, or directives as in `info,agent=debug`";
        Failure::usage(format!("`{directives}` is not a level to log at: {error}"), hint)
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}

fn configuration(args: &UpArgs) -> anyhow::Result<agent::Config> {
    if !args.listen.ip().is_loopback() {
        let hint = "listen on a loopback address, as in --listen 127.0.0.1:4566";
        let message = format!(
            "`{}` is not a loopback address: whoever reaches it could use it, as signatures are not checked",
            args.listen
        );
        return Err(Failure::usage(message, hint).into());
    }
    let mut config = agent::Config::new(state_dir(args)?);
    config.uplink.pool = args.pool;
    let roomy = args.pool.network().is_ipv4() && (8..=29).contains(&args.pool.length());
    config.uplink.host = args
        .pool
        .nth(1)
        .filter(|_| roomy && routable(args.pool.network()))
        .ok_or_else(|| {
            let hint =
                "use a block that nothing else on this machine uses, as in --pool 203.0.113.0/24";
            Failure::usage(
                format!(
                    "`{}` is not an IPv4 block of 8 to 29 bits for public addresses",
                    args.pool
                ),
                hint,
            )
        })?;
    config.uplink.internet = args.internet;
    if let Some(sessions) = args.max_sessions {
        config.max_flows = sessions;
    }
    Ok(config)
}

/// Whether hosts can have addresses in the block.
fn routable(network: IpAddr) -> bool {
    !(network.is_loopback() || network.is_multicast() || network.is_unspecified())
}

fn state_dir(args: &UpArgs) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &args.state_dir {
        return std::path::absolute(dir)
            .with_context(|| format!("`{}` is not a path", dir.display()));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/polder"));
    }
    let set = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    base.map(|base| base.join("polder")).ok_or_else(|| {
        Failure::usage(
            "there is no place for the state: neither XDG_STATE_HOME nor HOME is set",
            "use --state-dir",
        )
        .into()
    })
}

fn listen(args: &UpArgs) -> anyhow::Result<TcpListener> {
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

fn open_store(dir: &Path) -> anyhow::Result<Sqlite> {
    Sqlite::open(dir).map_err(|error| {
        let hint = match &error {
            store::OpenError::InUse { .. } => {
                "stop it, or choose another directory with --state-dir"
            }
            store::OpenError::Newer { .. } => {
                "use that version, or another directory with --state-dir"
            }
            store::OpenError::Foreign { .. }
            | store::OpenError::Damaged { .. }
            | store::OpenError::Storage { .. } => "choose another directory with --state-dir",
        };
        Failure::new(format!("{:#}", anyhow::Error::from(error)), hint).into()
    })
}

fn unreadable(error: OpenError, dir: &Path) -> anyhow::Error {
    let error = anyhow::Error::from(error);
    let hint = "use the version of polder that wrote it, or another --state-dir";
    Failure::new(
        format!("cannot read the state in `{}`: {error:#}", dir.display()),
        hint,
    )
    .into()
}
