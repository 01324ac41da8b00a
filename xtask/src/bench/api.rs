//! `cargo xtask bench api`: what the API costs, beside other servers that speak EC2, in one run.
//!
//! Every server has a process and, if it keeps anything, a state directory of its own; clients are in this process and
//! talk HTTP over loopback. Of several rounds the best counts: everything else that the machine does only makes
//! figures worse.

mod load;
mod servers;

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use load::{Client, Met, Script};
use servers::Server;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many clients read; four times as many write
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each is repeated
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many interfaces the large region has; a tenth as many accounts, each with its default VPC
    #[arg(long, default_value_t = 1_000_000)]
    scale: u64,
    /// Only this part
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Measure Polder only
    #[arg(long)]
    alone: bool,
    /// Another polder to measure
    #[arg(long, value_name = "PROGRAM")]
    polder: Option<PathBuf>,
    /// Where the state directories come into being [default: target/bench-api]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A part of what is measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Reads of many clients
    Reads,
    /// Changes of many clients
    Changes,
    /// Creates of one client
    Creates,
    /// What depends on how much a region holds
    Size,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// What asks whether a server is there, and is measured as a read.
const DESCRIBE: &str = "Action=DescribeVpcs&Version=2016-11-15";
/// Interfaces of an account of the large region.
const INTERFACES: u64 = 10;
/// Interfaces of the small region.
const FEW: u64 = 100;
/// Objects of the region whose start is measured.
const OBJECTS: u64 = 1_000_000;
/// Creates of one client, each with its measured `fdatasync`.
const CREATES: usize = 1000;

/// A line of the table: a figure for each server.
struct Row {
    what: String,
    unit: &'static str,
    figures: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("no workspace")?;
    let program = match &options.polder {
        Some(program) => program.clone(),
        None => {
            cargo(root, &["build", "--release", "--package", "polder"])?;
            root.join("target/release/polder")
        }
    };
    let base = match &options.dir {
        Some(dir) => dir.clone(),
        None => root.join("target/bench-api"),
    };
    std::fs::create_dir_all(&base)?;
    let dir = tempfile::tempdir_in(&base)?;
    let mut rows = Vec::new();
    beside_others(options, root, &program, dir.path(), &mut rows)?;
    if options.wants(Part::Size) {
        by_size(options, root, &program, dir.path(), &mut rows)?;
    }
    report(&rows);
    Ok(())
}

fn cargo(root: &Path, args: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(args)
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("`cargo {}` failed", args.join(" "));
    }
    Ok(())
}

/// Reads, changes and the size of an idle server, beside other servers.
fn beside_others(
    options: &Options,
    root: &Path,
    program: &Path,
    dir: &Path,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let mut servers = vec![Server::polder(program, &dir.join("polder"))?];
    if !options.alone {
        servers.push(Server::moto(&moto(root)?)?);
        let fakecloud = root.join("target/bench-fakecloud/bin/fakecloud");
        if fakecloud.exists() {
            servers.push(Server::fakecloud(&fakecloud, &dir.join("fakecloud"))?);
        } else {
            eprintln!(
                "fakecloud is not measured: `cargo install --root target/bench-fakecloud fakecloud` builds it"
            );
        }
    }
    let starts = servers.iter().map(|s| millis(s.start));
    row(rows, "start with nothing", "ms", starts);
    std::thread::sleep(Duration::from_secs(1));
    let resident: Vec<f64> = servers
        .iter()
        .map(Server::resident)
        .collect::<anyhow::Result<_>>()?;
    row(rows, "idle memory", "MiB", resident.into_iter());
    if options.wants(Part::Reads) {
        reads(options, &servers, rows)?;
    }
    if options.wants(Part::Changes) {
        changes(options, &servers, rows)?;
    }
    if options.wants(Part::Creates) {
        creates(options, &servers, dir, rows)?;
    }
    for server in servers {
        server.stop()?;
    }
    Ok(())
}

/// The best run of each server; they take turns.
fn best(
    options: &Options,
    servers: &[Server],
    measure: impl Fn(&Server) -> anyhow::Result<Met>,
) -> anyhow::Result<Vec<Met>> {
    let mut best: Vec<Option<Met>> = servers.iter().map(|_| None).collect();
    for _ in 0..options.rounds {
        for (server, best) in servers.iter().zip(&mut best) {
            let met = measure(server)?;
            eprintln!(
                "{}: {:.0}/s, p50 {:?}, p99 {:?}, {} failures {}",
                server.name,
                met.rate,
                met.latency(500),
                met.latency(990),
                met.failures,
                met.failure.as_deref().unwrap_or_default()
            );
            if best.as_ref().is_none_or(|best| met.rate > best.rate) {
                *best = Some(met);
            }
        }
    }
    Ok(best.into_iter().flatten().collect())
}

fn row(rows: &mut Vec<Row>, what: &str, unit: &'static str, figures: impl Iterator<Item = f64>) {
    rows.push(Row {
        what: what.to_owned(),
        unit,
        figures: figures.collect(),
    });
}

fn reads(options: &Options, servers: &[Server], rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let time = Duration::from_secs(options.seconds);
    let clients = options.clients;
    let met = best(options, servers, |server| read(server, clients, time))?;
    let what = format!("DescribeVpcs, {clients} clients");
    row(rows, &what, "1/s", met.iter().map(|met| met.rate));
    let p99 = met.iter().map(|met| millis(met.latency(990)));
    row(rows, "… p99", "ms", p99);
    Ok(())
}

fn changes(options: &Options, servers: &[Server], rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let time = Duration::from_secs(options.seconds);
    let clients = options.clients * 4;
    let met = best(options, servers, |server| change(server, clients, time))?;
    let what = format!("changes, {clients} clients");
    row(rows, &what, "1/s", met.iter().map(|met| met.rate));
    for (what, thousandth) in [("… p50", 500), ("… p99", 990)] {
        let latency = met.iter().map(|met| millis(met.latency(thousandth)));
        row(rows, what, "ms", latency);
    }
    Ok(())
}

fn creates(
    options: &Options,
    servers: &[Server],
    dir: &Path,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for server in servers {
        let mut best: Option<(f64, f64)> = None;
        for _ in 0..options.rounds {
            let (create, sync) = create(server, dir)?;
            eprintln!(
                "{}: create {create:.0} µs, fdatasync {sync:.0} µs",
                server.name
            );
            if best.is_none_or(|(c, s)| create - sync < c - s) {
                best = Some((create, sync));
            }
        }
        found.extend(best);
    }
    let each = || found.iter();
    row(
        rows,
        "one client's create, median",
        "µs",
        each().map(|(create, _)| *create),
    );
    row(
        rows,
        "… fdatasync beside it, median",
        "µs",
        each().map(|(_, sync)| *sync),
    );
    row(
        rows,
        "… without it",
        "µs",
        each().map(|(create, sync)| create - sync),
    );
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// moto in a Python environment of its own.
fn moto(root: &Path) -> anyhow::Result<PathBuf> {
    let venv = root.join("target/venv-bench");
    if !venv.join("bin/moto_server").exists() {
        let steps = [
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&venv)
                .status()?,
            Command::new(venv.join("bin/pip"))
                .args([
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "moto[server]",
                ])
                .status()?,
        ];
        if !steps.iter().all(std::process::ExitStatus::success) {
            bail!("moto cannot be installed");
        }
    }
    Ok(venv)
}

fn account(n: usize) -> String {
    format!("{:012}", n + 1)
}

/// DescribeVpcs, of which every account has one.
fn read(server: &Server, clients: usize, time: Duration) -> anyhow::Result<Met> {
    let address = server.address;
    let scripts = (0..clients).map(|n| -> Script<'_> {
        let mut form = Vec::new();
        load::request(&mut form, address, &account(n), DESCRIBE);
        Box::new(move |_, out| out.clone_from(&form))
    });
    load::drive(address, scripts.collect(), time)
}

thread_local! {
    /// Names that no earlier run used.
    static NAMES: Cell<u64> = const { Cell::new(0) };
}

fn name() -> String {
    NAMES.set(NAMES.get() + 1);
    format!("bench-{}", NAMES.get())
}

/// Every client makes a security group, tags it, takes the tag away, and deletes it.
fn change(server: &Server, clients: usize, time: Duration) -> anyhow::Result<Met> {
    let address = server.address;
    let scripts = (0..clients).map(|n| -> Script<'_> {
        let account = account(n);
        let (mut step, mut group) = (0, String::new());
        Box::new(move |body, out| {
            let form = match step % 4 {
                0 => format!(
                    "Action=CreateSecurityGroup&Version=2016-11-15&GroupDescription=bench&GroupName={}",
                    name()
                ),
                1 => {
                    group = element(body, "groupId");
                    format!(
                        "Action=CreateTags&Version=2016-11-15&ResourceId.1={group}&Tag.1.Key=k&Tag.1.Value=v"
                    )
                }
                2 => format!(
                    "Action=DeleteTags&Version=2016-11-15&ResourceId.1={group}&Tag.1.Key=k"
                ),
                _ => format!("Action=DeleteSecurityGroup&Version=2016-11-15&GroupId={group}"),
            };
            step += 1;
            load::request(out, address, &account, &form);
        })
    });
    // The accounts come into being here.
    let mut client = Client::new(address)?;
    for n in 0..clients {
        client.call(&account(n), DESCRIBE)?;
    }
    load::drive(address, scripts.collect(), time)
}

/// The text of the first element of that name.
fn element(body: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let found = text.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    let found = found.and_then(|rest| rest.split('<').next());
    found.unwrap_or_default().to_owned()
}

/// The median times, in microseconds, of a create and of an `fdatasync` between creates.
fn create(server: &Server, dir: &Path) -> anyhow::Result<(f64, f64)> {
    let mut client = Client::new(server.address)?;
    let mut file = File::create(dir.join("fdatasync"))?;
    let (mut creates, mut syncs) = (Vec::new(), Vec::new());
    let account = account(0);
    for _ in 0..CREATES {
        let form = format!(
            "Action=CreateSecurityGroup&Version=2016-11-15&GroupDescription=bench&GroupName={}",
            name()
        );
        let (body, took) = client.call(&account, &form)?;
        creates.push(took);
        let group = element(body.as_bytes(), "groupId");
        client.call(
            &account,
            &format!("Action=DeleteSecurityGroup&Version=2016-11-15&GroupId={group}"),
        )?;
        // As much as SQLite's log takes for it.
        file.write_all(&[0x5a; 4 * 4096])?;
        let began = Instant::now();
        file.sync_data()?;
        syncs.push(began.elapsed());
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times
            .get(times.len() / 2)
            .copied()
            .unwrap_or_default()
            .as_secs_f64()
            * 1e6
    };
    Ok((median(creates), median(syncs)))
}

/// What depends on how much a region holds.
fn by_size(
    options: &Options,
    root: &Path,
    program: &Path,
    dir: &Path,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    cargo(
        root,
        &[
            "build",
            "--release",
            "--package",
            "store",
            "--example",
            "multiply",
        ],
    )?;
    let multiply = root.join("target/release/examples/multiply");
    let mut row = |what: String, unit, figure: f64| {
        rows.push(Row {
            what,
            unit,
            figures: vec![figure],
        });
    };
    let make = |name: &str, accounts: u64| -> anyhow::Result<PathBuf> {
        let state = dir.join(name);
        template(program, &state)?;
        let done = Command::new(&multiply)
            .arg(&state)
            .arg(accounts.to_string())
            .output()?;
        if !done.status.success() {
            bail!("{}", String::from_utf8_lossy(&done.stderr));
        }
        eprintln!("{name}: {}", String::from_utf8_lossy(&done.stdout).trim());
        Ok(state)
    };
    // An account has its record, VPC, route table, ACL, group, gateway and three subnets besides.
    let objects = make("objects", OBJECTS / (INTERFACES + 9))?;
    let mut best = f64::INFINITY;
    for _ in 0..options.rounds {
        let server = Server::polder(program, &objects)?;
        eprintln!("start with {OBJECTS} objects: {:?}", server.start);
        best = best.min(server.start.as_secs_f64());
        server.stop()?;
    }
    row(format!("start with {OBJECTS} objects"), "s", best);
    std::fs::remove_dir_all(&objects)?;

    let accounts = options.scale / INTERFACES;
    let small = make("small", FEW / INTERFACES)?;
    let large = make("large", accounts)?;
    let small = Server::polder(program, &small)?;
    let large = Server::polder(program, &large)?;
    row(
        format!(
            "start with {} interfaces, {accounts} accounts",
            options.scale
        ),
        "s",
        large.start.as_secs_f64(),
    );
    row("… memory".to_owned(), "MiB", large.resident()?);
    let time = Duration::from_secs(options.seconds);
    let of_small = ids(&small, FEW / INTERFACES)?;
    let of_large = ids(&large, accounts)?;
    let mut best = [f64::INFINITY; 2];
    for _ in 0..options.rounds {
        let both = [(&small, &of_small), (&large, &of_large)];
        for ((server, ids), best) in both.into_iter().zip(&mut best) {
            let before = server.processor()?;
            let met = by_id(server, ids, options.clients, time)?;
            // With the warm-up, which is a fifth.
            let each = (server.processor()? - before) / (met.rate * time.as_secs_f64() * 1.2) * 1e6;
            eprintln!(
                "describe by id, one of {}: {:.0}/s, {each:.1} µs of processor each, {} failures {}",
                ids.len(),
                met.rate,
                met.failures,
                met.failure.as_deref().unwrap_or_default()
            );
            *best = best.min(each);
        }
    }
    let [few, many] = best;
    row(
        format!("describe by id, {FEW} interfaces, processor"),
        "µs",
        few,
    );
    row(format!("… {} interfaces", options.scale), "µs", many);
    row("… ratio".to_owned(), "", many / few);
    let met = change(&large, options.clients * 4, time)?;
    eprintln!(
        "{} failures {}",
        met.failures,
        met.failure.as_deref().unwrap_or_default()
    );
    row(
        format!(
            "changes among {} interfaces, {} clients",
            options.scale,
            options.clients * 4
        ),
        "1/s",
        met.rate,
    );
    row("… p99".to_owned(), "ms", millis(met.latency(990)));
    small.stop()?;
    large.stop()
}

/// A state with one account: its default VPC, with interfaces in its first subnet.
fn template(program: &Path, state: &Path) -> anyhow::Result<()> {
    let server = Server::polder(program, state)?;
    let mut client = Client::new(server.address)?;
    let (body, _) = client.call("111122223333", "Action=DescribeSubnets&Version=2016-11-15")?;
    let subnet = element(body.as_bytes(), "subnetId");
    let form = format!("Action=CreateNetworkInterface&Version=2016-11-15&SubnetId={subnet}");
    for _ in 0..INTERFACES {
        client.call("111122223333", &form)?;
    }
    server.stop()
}

/// Interfaces, with their accounts: of all accounts but the first, or of some thousands that are spread over all.
fn ids(server: &Server, accounts: u64) -> anyhow::Result<Vec<(String, String)>> {
    const MOST: u64 = 2000;
    let mut client = Client::new(server.address)?;
    let mut ids = Vec::new();
    let step = accounts.div_ceil(MOST);
    for n in (1..accounts).step_by(usize::try_from(step)?) {
        let account = format!("{n:012}");
        let form = "Action=DescribeNetworkInterfaces&Version=2016-11-15";
        let (body, _) = client.call(&account, form)?;
        let mut parts = body.split("<networkInterfaceId>");
        parts.next();
        let found = parts.filter_map(|part| part.split('<').next());
        ids.extend(found.map(|id| (account.clone(), id.to_owned())));
    }
    Ok(ids)
}

/// DescribeNetworkInterfaces by one id, each time another.
fn by_id(
    server: &Server,
    ids: &[(String, String)],
    clients: usize,
    time: Duration,
) -> anyhow::Result<Met> {
    let address = server.address;
    let scripts = (0..clients).map(|n| -> Script<'_> {
        let mut at = n.wrapping_mul(7919);
        Box::new(move |_, out| {
            at = at.wrapping_add(104_729);
            let Some((account, id)) = ids.get(at % ids.len()) else {
                return;
            };
            let form = format!(
                "Action=DescribeNetworkInterfaces&Version=2016-11-15&NetworkInterfaceId.1={id}"
            );
            load::request(out, address, account, &form);
        })
    });
    load::drive(address, scripts.collect(), time)
}

/// The table: Polder's figure, and beside it another server's with what Polder's is of it.
fn report(rows: &[Row]) {
    let most = rows.iter().map(|row| row.figures.len()).max().unwrap_or(0);
    let names = ["Polder", "moto", "fakecloud"];
    println!(
        "| | {} |",
        names.get(..most).unwrap_or_default().join(" | ")
    );
    println!("|---|{}", "---:|".repeat(most));
    for row in rows {
        let unit = if row.unit.is_empty() { "" } else { ", " };
        print!("| {}{unit}{} |", row.what, row.unit);
        let own = row.figures.first().copied();
        for n in 0..most {
            match (n, row.figures.get(n).copied(), own) {
                (0, Some(figure), _) => print!(" {} |", figure_text(figure)),
                (_, Some(figure), Some(own)) => {
                    print!(" {} ({:.2}) |", figure_text(figure), own / figure);
                }
                _ => print!(" |"),
            }
        }
        println!();
    }
}

fn figure_text(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
