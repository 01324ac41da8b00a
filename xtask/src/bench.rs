//! `cargo xtask bench`: what Polder costs, beside a bare veth pair, in one run.
//!
//! Both systems are up at the same time, in network namespaces on this machine, and every metric goes through both of
//! them, round after round, so that a ratio's two figures are seconds apart. What counts is the ratio's median.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::thread::{CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_setaffinity};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many rounds
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Set inside of the benchmark's own network namespace
    #[arg(long, hide = true)]
    inside: bool,
}

/// Two namespaces that reach each other.
struct System {
    name: &'static str,
    client: PathBuf,
    server: PathBuf,
    address: Ipv4Addr,
}

type Metric = (
    &'static str,
    &'static str,
    bool,
    fn(&System, u16, Duration) -> anyhow::Result<f64>,
);

/// Name, unit, whether more is better, how.
const METRICS: &[Metric] = &[
    ("TCP, one stream", "Gbit/s", true, stream),
    (
        "request-response, p50",
        "µs",
        false,
        |system, port, time| Ok(request_response(system, port, time)?.0),
    ),
    (
        "request-response, p99",
        "µs",
        false,
        |system, port, time| Ok(request_response(system, port, time)?.1),
    ),
    ("connect-request-close", "1/s", true, connect_request_close),
];

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("no workspace")?;
    if !options.inside {
        if !rustix::process::geteuid().is_root() {
            bail!("the benchmark makes network namespaces: it needs root");
        }
        crate::test::python(root)?;
        let built = Command::new("cargo")
            .args(["build", "--release", "--package", "polder"])
            .current_dir(root)
            .status()?;
        if !built.success() {
            bail!("polder does not build");
        }
        let status = Command::new("unshare")
            .args([
                "--net",
                "--",
                "sh",
                "-c",
                "ip link set lo up && exec \"$@\"",
                "sh",
            ])
            .arg(std::env::current_exe()?)
            .args([
                "bench",
                "--inside",
                "--rounds",
                &options.rounds.to_string(),
                "--seconds",
                &options.seconds.to_string(),
            ])
            .status()?;
        if !status.success() {
            bail!("the benchmark failed");
        }
        return Ok(());
    }
    let bare = Bare::up()?;
    let polder = Polder::up(root)?;
    let systems = [&bare.system, &polder.system];
    let mut figures = vec![vec![Vec::new(); systems.len()]; METRICS.len()];
    let time = Duration::from_secs(options.seconds);
    let mut port = 5000;
    for round in 0..options.rounds {
        for (metric, row) in METRICS.iter().zip(&mut figures) {
            for (system, cell) in systems.iter().zip(row) {
                port += 1;
                let value = metric.3(system, port, time)
                    .with_context(|| format!("{}, {}", system.name, metric.0))?;
                eprintln!(
                    "round {}: {} through {}: {value:.2} {}",
                    round + 1,
                    metric.0,
                    system.name,
                    metric.1
                );
                cell.push(value);
            }
        }
    }
    println!(
        "| metric | {} | {} | ratio (median of {} rounds) |",
        bare.system.name, polder.system.name, options.rounds
    );
    println!("|---|---|---|---|");
    for (metric, row) in METRICS.iter().zip(figures) {
        let [raw, ours] = row.as_slice() else {
            continue;
        };
        let mut ratios: Vec<f64> = ours.iter().zip(raw).map(|(ours, raw)| ours / raw).collect();
        let better = if metric.2 {
            "more is better"
        } else {
            "less is better"
        };
        println!(
            "| {} ({better}) | {:.2} {unit} | {:.2} {unit} | **{:.2}** |",
            metric.0,
            median(&mut raw.clone()),
            median(&mut ours.clone()),
            median(&mut ratios),
            unit = metric.1
        );
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One veth pair between two namespaces: the limit.
struct Bare {
    system: System,
    names: [String; 2],
}

impl Bare {
    fn up() -> anyhow::Result<Bare> {
        let names = ["c", "s"].map(|end| format!("pdbench-{}-{end}", std::process::id()));
        let [client, server] = &names;
        let bare = Bare {
            system: System {
                name: "bare veth",
                client: Path::new("/run/netns").join(client),
                server: Path::new("/run/netns").join(server),
                address: Ipv4Addr::new(10, 77, 1, 3),
            },
            names: names.clone(),
        };
        ip(&["netns", "add", client])?;
        ip(&["netns", "add", server])?;
        ip(&[
            "link", "add", "eth0", "netns", client, "mtu", "1500", "type", "veth", "peer", "name",
            "eth0", "netns", server, "mtu", "1500",
        ])?;
        for (name, address) in [(client, "10.77.1.2/24"), (server, "10.77.1.3/24")] {
            ip(&["-n", name, "addr", "add", address, "dev", "eth0"])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
        }
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(words: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("ip").args(words).output()?;
    if !done.status.success() {
        bail!(
            "ip {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&done.stderr)
        );
    }
    Ok(())
}

/// Two instances of one VPC whose group has ten rules, of which the last one matches.
struct Polder {
    system: System,
    child: Child,
    state: tempfile::TempDir,
}

impl Polder {
    fn up(root: &Path) -> anyhow::Result<Polder> {
        let state = tempfile::tempdir()?;
        let log = File::create(state.path().join("log"))?;
        let child = Command::new(root.join("target/release/polder"))
            .args(["up", "--state-dir"])
            .arg(state.path().join("state"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let nowhere = PathBuf::new();
        let system = System {
            name: "Polder",
            client: nowhere.clone(),
            server: nowhere,
            address: Ipv4Addr::new(10, 0, 1, 11),
        };
        let mut polder = Polder {
            system,
            child,
            state,
        };
        polder.build(root).with_context(|| {
            std::fs::read_to_string(polder.state.path().join("log")).unwrap_or_default()
        })?;
        Ok(polder)
    }

    fn build(&mut self, root: &Path) -> anyhow::Result<()> {
        let aws = |words: &str, query: &str| -> anyhow::Result<String> {
            let done = Command::new(root.join("target/venv/bin/aws"))
                .args(["ec2", "--output", "text", "--query", query])
                .args(words.split_whitespace())
                .env("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
                .env("AWS_ACCESS_KEY_ID", "111122223333")
                .env("AWS_SECRET_ACCESS_KEY", "x")
                .env("AWS_DEFAULT_REGION", "us-east-1")
                .output()?;
            if !done.status.success() {
                bail!("aws ec2 {words}: {}", String::from_utf8_lossy(&done.stderr));
            }
            Ok(String::from_utf8(done.stdout)?.trim().to_owned())
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.ready()? {
            if Instant::now() > deadline {
                bail!("polder up is not ready");
            }
            thread::sleep(Duration::from_millis(20));
        }
        let vpc = aws("create-vpc --cidr-block 10.0.0.0/16", "Vpc.VpcId")?;
        let subnet = aws(
            &format!("create-subnet --vpc-id {vpc} --cidr-block 10.0.1.0/24"),
            "Subnet.SubnetId",
        )?;
        let group = aws(
            &format!("create-security-group --group-name g --description g --vpc-id {vpc}"),
            "GroupId",
        )?;
        for (protocol, ports) in (0..9)
            .map(|n| ("udp", format!("{0}-{0}", 9000 + n)))
            .chain([("tcp", "5000-8191".to_owned())])
        {
            aws(
                &format!(
                    "authorize-security-group-ingress --group-id {group} --protocol {protocol} --port {ports} --cidr 10.0.0.0/16"
                ),
                "Return",
            )?;
        }
        for address in ["10.0.1.10", "10.0.1.11"] {
            let id = aws(
                &format!(
                    "run-instances --image-id ami-12345678 --subnet-id {subnet} --security-group-ids {group} --private-ip-address {address}"
                ),
                "Instances[0].InstanceId",
            )?;
            aws(&format!("wait instance-running --instance-ids {id}"), "@")?;
            let namespace = Path::new("/run/netns").join(format!("pd-{id}"));
            if address == "10.0.1.10" {
                self.system.client = namespace
            } else {
                self.system.server = namespace
            }
        }
        Ok(())
    }

    /// Whether packets flow.
    fn ready(&mut self) -> anyhow::Result<bool> {
        if let Some(status) = self.child.try_wait()? {
            bail!("polder up ended with {status}");
        }
        let done = Command::new("curl")
            .args(["-s", "http://127.0.0.1:4566/_polder/status"])
            .output()?;
        Ok(String::from_utf8_lossy(&done.stdout)
            .replace(' ', "")
            .contains("\"mode\":\"full\""))
    }
}

impl Drop for Polder {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// A thread in a namespace, on one processor.
fn within<T: Send + 'static>(
    namespace: &Path,
    processor: usize,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> JoinHandle<io::Result<T>> {
    let namespace = namespace.to_owned();
    thread::spawn(move || {
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&File::open(namespace)?),
            Some(LinkNameSpaceType::Network),
        )?;
        let mut set = CpuSet::new();
        set.set(processor);
        // A machine with one processor measures on that one.
        let _ = sched_setaffinity(None, &set);
        work()
    })
}

fn join<T>(handle: JoinHandle<io::Result<T>>) -> anyhow::Result<T> {
    Ok(handle
        .join()
        .map_err(|_| io::Error::other("a measuring thread panicked"))??)
}

fn listen(system: &System, port: u16) -> anyhow::Result<TcpListener> {
    join(within(&system.server, 0, move || {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
    }))
}

/// Gbit/s that arrive, sender and receiver on different processors.
fn stream(system: &System, port: u16, time: Duration) -> anyhow::Result<f64> {
    let listener = listen(system, port)?;
    let address = SocketAddr::from((system.address, port));
    let receiver = within(&system.server, 1, move || {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; 1 << 18];
        let (mut bytes, started) = (0usize, Instant::now());
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                length => bytes += length,
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Ok(bytes as f64 * 8.0 / 1e9 / started.elapsed().as_secs_f64())
    });
    let sender = within(&system.client, 0, move || {
        let mut stream = TcpStream::connect(address)?;
        let (buffer, started) = (vec![0; 1 << 18], Instant::now());
        while started.elapsed() < time {
            stream.write_all(&buffer)?;
        }
        Ok(())
    });
    join(sender)?;
    join(receiver)
}

/// Round trip of one byte each way on one connection, both ends on one processor: p50 and p99 in µs.
fn request_response(system: &System, port: u16, time: Duration) -> anyhow::Result<(f64, f64)> {
    let listener = listen(system, port)?;
    let address = SocketAddr::from((system.address, port));
    let server = within(&system.server, 0, move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut byte = [0];
        while stream.read(&mut byte)? == 1 {
            stream.write_all(&byte)?;
        }
        Ok(())
    });
    let client = within(&system.client, 0, move || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (mut byte, mut times, started) = ([0], Vec::new(), Instant::now());
        while started.elapsed() < time {
            let sent = Instant::now();
            stream.write_all(&byte)?;
            stream.read_exact(&mut byte)?;
            times.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    });
    let mut times = join(client)?;
    join(server)?;
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        times
            .get(times.len() * percent / 100)
            .copied()
            .unwrap_or(f64::NAN)
    };
    Ok((at(50), at(99)))
}

/// Connections per second, one at a time, with a byte each way; both ends on one processor.
fn connect_request_close(system: &System, port: u16, time: Duration) -> anyhow::Result<f64> {
    let listener = listen(system, port)?;
    let address = SocketAddr::from((system.address, port));
    let server = within(&system.server, 0, move || {
        let mut byte = [0];
        loop {
            let (mut stream, _) = listener.accept()?;
            if stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            stream.write_all(&byte)?;
        }
    });
    let client = within(&system.client, 0, move || {
        let (mut byte, mut count, started) = ([0], 0u32, Instant::now());
        while started.elapsed() < time {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(&byte)?;
            stream.read_exact(&mut byte)?;
            count += 1;
        }
        let rate = f64::from(count) / started.elapsed().as_secs_f64();
        // A connection without a request ends the server.
        drop(TcpStream::connect(address)?);
        Ok(rate)
    });
    let rate = join(client)?;
    join(server)?;
    Ok(rate)
}
