//! `polder reach`: which packets can get from one place to another.

use std::process::ExitCode;

use controller::wire;

use crate::cli::ReachArgs;
use crate::{client, output};

/// Prints one line for each receiver and set of packets.
pub(crate) fn run(args: &ReachArgs) -> anyhow::Result<ExitCode> {
    let mut parts = Vec::new();
    for (name, value) in [("from", &args.from), ("to", &args.to)] {
        parts.extend(
            value
                .as_ref()
                .map(|value| format!("{name}={}", client::encode(value))),
        );
    }
    let answer: wire::Reach =
        client::get_slow(&args.endpoint.url, &format!("reach?{}", parts.join("&")))?;
    if args.json {
        output::json(&answer.reach)?;
    } else {
        output::write(answer.text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
