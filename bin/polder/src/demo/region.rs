//! The demonstration's own `polder up`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use controller::wire;
use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::{cli, client};

/// How long the region may take to be ready, and a server to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked.
const GLANCE: Duration = Duration::from_millis(10);

/// A region that ends with the demonstration, however that ends.
pub(super) struct Region {
    running: Arc<Mutex<Option<Running>>>,
    endpoint: String,
    host: Ipv4Addr,
}

/// What has to go in the end.
struct Running {
    child: Child,
    directory: PathBuf,
}

impl Running {
    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Stops it in order, so that it removes all that it made. Says how it ended, and what it said.
    fn end(mut self) -> anyhow::Result<(ExitStatus, String)> {
        // A second signal would make it stop without order, so it gets one.
        if self.child.try_wait()?.is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            rustix::process::kill_process(pid, Signal::TERM)?;
        }
        let status = self.child.wait()?;
        let log = self.log();
        std::fs::remove_dir_all(&self.directory)?;
        Ok((status, log))
    }
}

impl Region {
    /// Starts it on the usual port, or another one if that is taken, with a state of its own. Unless it is to be kept,
    /// it ends with this process, however that ends.
    pub(super) fn start(keep: bool) -> anyhow::Result<Region> {
        if !rustix::process::geteuid().is_root() {
            return Err(crate::failure::Failure::new(
                "real packets need root".to_owned(),
                "try `sudo polder demo`",
            )
            .into());
        }
        let usual: SocketAddr = cli::LISTEN.parse()?;
        let listener = TcpListener::bind(usual).or_else(|_| TcpListener::bind((usual.ip(), 0)))?;
        let listen = listener.local_addr()?;
        drop(listener);
        let running = Arc::new(Mutex::new(None));
        stop_when_told(&running)?;
        let mut slot = lock(&running);
        let directory = std::env::temp_dir().join(format!("polder-demo-{}", std::process::id()));
        std::fs::create_dir(&directory)
            .with_context(|| format!("making `{}`", directory.display()))?;
        let child = spawn(listen, &directory, keep).inspect_err(|_| {
            let _ = std::fs::remove_dir_all(&directory);
        })?;
        *slot = Some(Running { child, directory });
        drop(slot);
        let mut region = Region {
            running,
            endpoint: format!("http://{listen}"),
            host: Ipv4Addr::UNSPECIFIED,
        };
        region.wait_until_ready()?;
        Ok(region)
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The machine's own address in the pool.
    pub(super) const fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// The drops after the one numbered `since`.
    pub(super) fn drops(&self, since: u64) -> anyhow::Result<wire::Drops> {
        client::get(&self.endpoint, &format!("drops?since={since}"))
    }

    /// Waits until something listens on port 80 of the address.
    pub(super) fn wait_for_web(&self, address: Ipv4Addr) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let server = SocketAddr::from((address, 80));
        while TcpStream::connect_timeout(&server, Duration::from_secs(1)).is_err() {
            if Instant::now() > deadline {
                bail!(
                    "the web server of the demonstration does not answer; `polder up` said:\n{}",
                    self.log()
                );
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Leaves it running, and says how to go on.
    pub(super) fn keep(self) -> anyhow::Result<String> {
        let Some(running) = lock(&self.running).take() else {
            gone();
        };
        let sudo = if std::env::var_os("SUDO_UID").is_some() {
            "sudo "
        } else {
            ""
        };
        Ok(format!(
            "The region goes on. Look around:\n\
             \x20 export AWS_ENDPOINT_URL={endpoint} POLDER_ENDPOINT={endpoint} AWS_DEFAULT_REGION=us-east-1\n\
             \x20 export AWS_ACCESS_KEY_ID=111122223333 AWS_SECRET_ACCESS_KEY=x\n\
             \x20 aws ec2 describe-instances\n\
             \x20 {polder} drops\n\
             Stop it, and remove its state:\n\
             \x20 {sudo}kill {pid}; tail --pid={pid} -f /dev/null; {sudo}rm -r {directory}",
            endpoint = self.endpoint,
            polder = std::env::current_exe()?.display(),
            pid = running.child.id(),
            directory = running.directory.display(),
        ))
    }

    /// Stops it in order: it removes all that it made.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        let Some(ended) = end(&self.running) else {
            gone();
        };
        let (status, log) = ended?;
        if status.success() {
            Ok(())
        } else {
            bail!("`polder up` ended with {status}:\n{log}")
        }
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = match &mut *lock(&self.running) {
                Some(running) => running
                    .child
                    .try_wait()?
                    .map(|status| (status, running.log())),
                None => gone(),
            };
            if let Some((status, log)) = ended {
                bail!("`polder up` ended with {status}:\n{log}");
            }
            if let Ok(status) = client::get::<wire::Status>(&self.endpoint, "status") {
                match status.mode.as_str() {
                    "full" => {
                        let pool: types::Cidr = status.pool.parse()?;
                        let Some(std::net::IpAddr::V4(host)) = pool.nth(1) else {
                            bail!("an odd pool: {pool}")
                        };
                        self.host = host;
                        return Ok(());
                    }
                    "starting" => {}
                    other => bail!(
                        "no packets flow here ({other}): {}",
                        status.why.unwrap_or_default()
                    ),
                }
            }
            if Instant::now() > deadline {
                bail!(
                    "`polder up` is not ready after {} s:\n{}",
                    PATIENCE.as_secs(),
                    self.log()
                );
            }
            thread::sleep(GLANCE);
        }
    }

    fn log(&self) -> String {
        lock(&self.running)
            .as_ref()
            .map(Running::log)
            .unwrap_or_default()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // Nothing is there any more after `keep` and `stop`; otherwise there is an error already to tell.
        let _ = end(&self.running);
    }
}

/// Starts `polder up` with its state and its log in the directory.
fn spawn(listen: SocketAddr, directory: &Path, keep: bool) -> anyhow::Result<Child> {
    let log = std::fs::File::create(directory.join("log"))?;
    Command::new(std::env::current_exe()?)
        .arg("up")
        .args(["--listen", &listen.to_string(), "--state-dir"])
        .arg(directory.join("state"))
        .args((!keep).then_some("--stop-with-parent"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C is for the demonstration, which then stops the region in order.
        .process_group(0)
        .spawn()
        .context("starting `polder up`")
}

/// Ends what runs, if it still does. Nobody else can say that it is gone before it is.
fn end(running: &Mutex<Option<Running>>) -> Option<anyhow::Result<(ExitStatus, String)>> {
    let mut running = lock(running);
    running.take().map(Running::end)
}

fn lock(running: &Mutex<Option<Running>>) -> MutexGuard<'_, Option<Running>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The region was ended by the thread that heard a signal, which is about to end the process.
fn gone() -> ! {
    loop {
        thread::park();
    }
}

/// On Ctrl-C and the like: stop the region, wait until it is gone, go.
fn stop_when_told(running: &Arc<Mutex<Option<Running>>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    // From here on a signal is heard, so that there is no moment in which it would leave something behind.
    let (mut interrupt, mut terminate, mut hangup) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    let running = Arc::clone(running);
    thread::spawn(move || {
        let code = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
                _ = hangup.recv() => 129,
            }
        });
        if let Some(Err(error)) = end(&running) {
            crate::output::complain(&format!("polder: error: {error:#}\n"));
        }
        std::process::exit(code);
    });
    Ok(())
}
