//! `cargo xtask bench`: what Polder costs, beside a bare veth pair and a do-nothing redirect, in one run.
//!
//! All systems are up at the same time, in network namespaces on this machine, and every metric goes through all of
//! them, round after round, so that a ratio's two figures are seconds apart. What counts is the ratio's median.
//! Against what else the machine does, load runs as SCHED_FIFO, Polder as SCHED_RR, and while latency is measured
//! every processor is kept from halting.

mod api;
mod load;
mod systems;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use load::Metric;
use systems::{Bare, Polder, Redirect, System};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// How many rounds
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Only the metrics whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Another polder to measure
    #[arg(long, value_name = "PROGRAM")]
    polder: Option<std::path::PathBuf>,
    /// Bring the systems up, print where they are, and wait for a line on standard input
    #[arg(long)]
    hold: bool,
    /// Set inside of the benchmark's own network namespace
    #[arg(long, hide = true)]
    inside: bool,
}

#[derive(clap::Subcommand)]
enum What {
    /// Measures the API beside other servers that speak EC2
    Api(api::Options),
    /// Measures the walk, explanations, snapshots and routes, in one thread and without any packet
    Walk,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("no workspace")?;
    match &options.what {
        Some(What::Api(options)) => return api::run(options),
        Some(What::Walk) => return walk(root),
        None => {}
    }
    if options.inside {
        measure(options, root)
    } else {
        prepare(options, root)
    }
}

/// The walk's figures: a benchmark of the crate that asks it most.
fn walk(root: &Path) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args([
            "bench",
            "--quiet",
            "--package",
            "reachability",
            "--bench",
            "walk",
        ])
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("the benchmark failed");
    }
    Ok(())
}

/// Builds what is measured, and starts over in a network namespace of our own.
fn prepare(options: &Options, root: &Path) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the benchmark makes network namespaces: it needs root");
    }
    crate::installed::python(root)?;
    if options.polder.is_none() {
        let built = Command::new("cargo")
            .args(["build", "--release", "--package", "polder"])
            .current_dir(root)
            .status()?;
        if !built.success() {
            bail!("polder does not build");
        }
    }
    if crate::ebpf::redirect(root)?.is_none() {
        eprintln!("no compiler for eBPF: the do-nothing redirect is not measured");
    }
    let status = Command::new("unshare")
        .args(["--net", "--", "sh", "-c"])
        .args(["ip link set lo up && exec \"$@\"", "sh"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .status()?;
    if !status.success() {
        bail!("the benchmark failed");
    }
    Ok(())
}

fn measure(options: &Options, root: &Path) -> anyhow::Result<()> {
    let program = match &options.polder {
        Some(program) => program.clone(),
        None => root.join("target/release/polder"),
    };
    let bare = Bare::up()?;
    let redirect = Redirect::up(root)?;
    let polder = Polder::up(root, &program)?;
    let mut systems = vec![&bare.system];
    systems.extend(redirect.as_ref().map(|redirect| &redirect.system));
    systems.push(&polder.system);
    if options.hold {
        for system in systems {
            println!("{}", system.describe());
        }
        std::io::stdin().read_line(&mut String::new())?;
        return Ok(());
    }
    let metrics: Vec<&Metric> = load::METRICS
        .iter()
        .filter(|metric| metric.name.contains(&options.only))
        .collect();
    let time = Duration::from_secs(options.seconds);
    let mut figures = vec![vec![Vec::new(); systems.len()]; metrics.len()];
    let mut ports = systems::PORTS.step_by(usize::from(load::PORTS_PER_RUN));
    for round in 0..options.rounds {
        for (metric, row) in metrics.iter().zip(&mut figures) {
            for (system, cell) in systems.iter().zip(row) {
                // A port of its own for each run, so that nothing that an earlier run left is met again.
                let port = match ports.next() {
                    Some(port) => port,
                    None => {
                        ports = systems::PORTS.step_by(usize::from(load::PORTS_PER_RUN));
                        ports.next().context("no ports")?
                    }
                };
                let value = (metric.run)(system, port, time)
                    .with_context(|| format!("{}, {}", system.name, metric.name))?;
                eprintln!(
                    "round {}: {} through {}: {value:.2?} {}",
                    round + 1,
                    metric.name,
                    system.name,
                    metric.unit
                );
                cell.push(value);
            }
        }
    }
    report(&systems, &metrics, &figures, options.rounds);
    Ok(())
}

/// The table: medians of the figures, and medians of the ratios to the first system in the same round.
fn report(systems: &[&System], metrics: &[&Metric], figures: &[Vec<Vec<Vec<f64>>>], rounds: usize) {
    print!("| median of {rounds} rounds |");
    for system in systems {
        print!(" {} |", system.name);
    }
    println!("\n|---|{}", "---:|".repeat(systems.len()));
    for (metric, row) in metrics.iter().zip(figures) {
        for (part, label) in metric.parts.iter().enumerate() {
            let at = |cell: &[Vec<f64>]| -> Vec<f64> {
                cell.iter()
                    .filter_map(|parts| parts.get(part))
                    .copied()
                    .collect()
            };
            let limit = row.first().map(|cell| at(cell)).unwrap_or_default();
            print!("| {}{label}, {} |", metric.name, metric.unit);
            for cell in row {
                let values = at(cell);
                let ratios: Vec<f64> = values.iter().zip(&limit).map(|(v, l)| v / l).collect();
                print!(" {} (**{:.2}**) |", figure(median(values)), median(ratios));
            }
            println!();
        }
    }
}

fn figure(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
