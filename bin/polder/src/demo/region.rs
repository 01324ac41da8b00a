//! The demonstration's own `polder up`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use controller::wire;
use rustix::process::{Pid, Signal};

use crate::{cli, client};

/// How long the region may take to be ready, and a server to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked.
const GLANCE: Duration = Duration::from_millis(10);

/// A region that ends with the demonstration, however that ends.
pub(super) struct Region {
    child: Option<Child>,
    directory: PathBuf,
    endpoint: String,
    host: Ipv4Addr,
}

impl Region {
    /// Starts it on the usual port, or another one if that is taken, with a state of its own.
    pub(super) fn start() -> anyhow::Result<Region> {
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
        let directory = std::env::temp_dir().join(format!("polder-demo-{}", std::process::id()));
        std::fs::create_dir(&directory)
            .with_context(|| format!("making `{}`", directory.display()))?;
        let log = std::fs::File::create(directory.join("log"))?;
        let child = Command::new(std::env::current_exe()?)
            .arg("up")
            .args(["--listen", &listen.to_string(), "--state-dir"])
            .arg(directory.join("state"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C is for the demonstration, which then stops the region in order.
            .process_group(0)
            .spawn()
            .context("starting `polder up`")?;
        let mut region = Region {
            child: Some(child),
            directory,
            endpoint: format!("http://{listen}"),
            host: Ipv4Addr::UNSPECIFIED,
        };
        region.stop_on_interrupt();
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
    pub(super) fn keep(mut self) -> String {
        let pid = self.child.take().map_or(0, |child| child.id());
        format!(
            "The region goes on. Look around:\n\
             \x20 export AWS_ENDPOINT_URL={endpoint} AWS_ACCESS_KEY_ID=111122223333 AWS_SECRET_ACCESS_KEY=x \
             AWS_DEFAULT_REGION=us-east-1\n\
             \x20 aws ec2 describe-instances\n\
             \x20 polder --endpoint {endpoint} drops\n\
             Stop it, and remove its state:\n\
             \x20 kill {pid}; rm -r {directory}",
            endpoint = self.endpoint,
            directory = self.directory.display(),
        )
    }

    /// Stops it in order: it removes all that it made.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        terminate(child.id());
        let status = child.wait()?;
        let log = self.log();
        std::fs::remove_dir_all(&self.directory)?;
        if status.success() {
            Ok(())
        } else {
            bail!("`polder up` ended with {status}:\n{log}")
        }
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self
                .child
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten()
            {
                self.child = None;
                bail!("`polder up` ended with {status}:\n{}", self.log());
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
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// On Ctrl-C: stop the region, wait until it is gone, go.
    fn stop_on_interrupt(&self) {
        let (pid, directory) = (
            self.child.as_ref().map_or(0, Child::id),
            self.directory.clone(),
        );
        thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
            else {
                return;
            };
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                terminate(pid);
                if let Some(pid) = Pid::from_raw(i32::try_from(pid).unwrap_or(0)) {
                    let _ =
                        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
                }
                let _ = std::fs::remove_dir_all(directory);
                std::process::exit(130);
            }
        });
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            terminate(child.id());
            let _ = child.wait();
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

fn terminate(pid: u32) {
    if let Some(pid) = Pid::from_raw(i32::try_from(pid).unwrap_or(0)) {
        // It may be gone already.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
}
