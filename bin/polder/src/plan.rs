//! `polder plan`: what API calls would open and close.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use controller::wire;

use crate::cli::PlanArgs;
use crate::{client, output};

/// Prints what is gained and lost. Exit code 0; with `--exit-code` 2 if anything is.
pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let calls = if args.file == Path::new("-") {
        let mut calls = Vec::new();
        std::io::stdin()
            .read_to_end(&mut calls)
            .context("cannot read standard input")?;
        calls
    } else {
        std::fs::read(&args.file)
            .with_context(|| format!("cannot read `{}`", args.file.display()))?
    };
    let mut query = format!("plan?region={}", client::encode(&args.region));
    if let Some(account) = &args.account {
        query.push_str(&format!("&account={}", client::encode(account)));
    }
    if output::colour() {
        query.push_str("&colour=1");
    }
    let answer: wire::Plan = client::post(&args.endpoint.url, &query, calls)?;
    if args.json {
        output::json(&answer.difference)?;
    } else {
        output::write(answer.text.as_bytes())?;
    }
    Ok(if args.exit_code && answer.changes {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}
