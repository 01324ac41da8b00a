//! What is measured: servers of their own process, on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::load::Client;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// From its start until it answered.
    pub(super) start: Duration,
    child: Child,
}

impl Server {
    /// Polder without packets, on this state.
    pub(super) fn polder(program: &Path, state: &Path) -> anyhow::Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .args([
                "up",
                "--control-plane-only",
                "--stop-with-parent",
                "--state-dir",
            ])
            .arg(state)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--log", "error"]);
        Server::start("Polder", port, command)
    }

    /// moto's server (PyPI `moto[server]`).
    pub(super) fn moto(venv: &Path) -> anyhow::Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(venv.join("bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        Server::start("moto", port, command)
    }

    /// fakecloud (`cargo install fakecloud`), a program of others that is only run.
    pub(super) fn fakecloud(program: &Path, state: &Path) -> anyhow::Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .args([
                "--addr",
                &format!("127.0.0.1:{port}"),
                "--storage-mode",
                "persistent",
            ])
            .arg("--data-path")
            .arg(state);
        Server::start("fakecloud", port, command)
    }

    fn start(name: &'static str, port: u16, mut command: Command) -> anyhow::Result<Server> {
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let answers = || Client::new(address)?.call("111122223333", super::DESCRIBE);
        loop {
            let Err(error) = answers() else { break };
            if child.try_wait()?.is_some() {
                bail!("{name} ended");
            }
            if began.elapsed() > PATIENCE {
                let _ = child.kill();
                return Err(error.context(format!("{name} does not answer")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Server {
            name,
            address,
            start: began.elapsed(),
            child,
        })
    }

    /// Memory that is resident, in MiB.
    pub(super) fn resident(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
        Ok(kib.context("no VmRSS")? / 1024.0)
    }

    /// Processor time so far, in seconds (proc_pid_stat(5): fields 14 and 15, in hundredths).
    pub(super) fn processor(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(')').context("no name")?.1;
        let ticks = fields.split_whitespace().skip(11).take(2);
        Ok(ticks
            .filter_map(|field| field.parse::<f64>().ok())
            .sum::<f64>()
            / 100.0)
    }

    /// Ends it, and waits until it has.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
