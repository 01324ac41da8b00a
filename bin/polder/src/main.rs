//! `polder`: a Virtual Private Cloud for your own Linux hosts, in one program.
#![forbid(unsafe_code)]

mod account;
mod cli;
mod client;
mod control;
mod counters;
mod demo;
mod drops;
mod exec;
mod failure;
mod host;
mod hosts;
mod identity;
mod member;
mod output;
mod path;
mod plan;
mod quota;
mod reach;
mod status;
mod up;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Up(args) => up::run(args),
        Command::Controller(args) => control::run(args),
        Command::Agent(args) => member::run(args),
        Command::Hosts(args) => hosts::run(args),
        Command::Account(args) => account::run(args),
        Command::Quota(args) => quota::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Path(args) => path::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Reach(args) => reach::run(args),
        Command::Drops(args) => drops::run(args),
        Command::Watch(args) => drops::watch(args),
        Command::Interfaces(args) => counters::interfaces(args),
        Command::Sessions(args) => counters::sessions(args),
        Command::Status(args) => status::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Completions(args) => cli::completions(args),
    };
    done.unwrap_or_else(|error| failure::report(&error, matches!(cli.command, Command::Path(_))))
}
