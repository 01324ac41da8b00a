//! The project's toolbox: `cargo xtask …`. One module per tool.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool tells what it does"
)]

mod bench;
mod ebpf;
mod installed;
mod shapes;
mod soak;
mod support;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The project's toolbox", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Measures throughput, latency and connection rate beside a bare veth pair
    Bench(bench::Options),
    /// Builds the eBPF program's object, or checks the committed one
    Ebpf(ebpf::Options),
    /// Derives the tables of AWS shapes in crates/api/shapes from botocore's service models
    Shapes(shapes::Options),
    /// Compares the walk with its naive model on many random networks
    Soak(soak::Options),
    /// Derives docs/support.md, the list of what is served, from the code
    Support(support::Options),
    /// Runs every check and every test
    Test(test::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().tool {
        Tool::Bench(options) => bench::run(&options),
        Tool::Ebpf(options) => ebpf::run(&options),
        Tool::Shapes(options) => shapes::run(&options),
        Tool::Soak(options) => soak::run(&options),
        Tool::Support(options) => support::run(&options),
        Tool::Test(options) => test::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
