//! `polder path`: can FROM reach TO, and why.

use std::process::ExitCode;

use controller::wire;

use crate::cli::PathArgs;
use crate::{client, output};

/// Prints the walk's trace. Exit code 0: reachable; 1: blocked.
pub(crate) fn run(args: &PathArgs) -> anyhow::Result<ExitCode> {
    let mut query = format!(
        "path?from={}&to={}",
        client::encode(&args.from),
        client::encode(&args.to)
    );
    match (args.tcp, args.udp) {
        (Some(port), _) => query.push_str(&format!("&protocol=tcp&port={port}")),
        (None, Some(port)) => query.push_str(&format!("&protocol=udp&port={port}")),
        (None, None) => query.push_str("&protocol=icmp"),
    }
    if output::colour() {
        query.push_str("&colour=1");
    }
    let answer: wire::Path = client::get(&args.endpoint.url, &query)?;
    if args.json {
        output::json(&answer.report)?;
    } else {
        output::write(answer.text.as_bytes())?;
    }
    Ok(if answer.reachable {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}
