//! `polder status`: what the running `polder up` is doing.

use std::process::ExitCode;

use controller::wire;

use crate::cli::ReadArgs;
use crate::client;
use crate::output::{self, Style};

/// Prints version, mode and counts.
pub(crate) fn run(args: &ReadArgs) -> anyhow::Result<ExitCode> {
    let status: wire::Status = client::get(&args.endpoint.url, "status")?;
    if args.json {
        output::json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    let style = if status.mode == "full" {
        Style::Good
    } else {
        Style::Bad
    };
    let mut mode = output::styled(&status.mode, style, output::colour());
    if let Some(why) = &status.why {
        mode.push_str(&format!(" ({why})"));
    }
    let mut text = format!(
        "version   {}\nmode      {mode}\nrevision  {}\nuptime    {} s\npool      {}\n",
        status.version,
        status.revision,
        status.uptime_ms / 1000,
        status.pool,
    );
    for (kind, count) in &status.counts {
        text.push_str(&format!("{count:>8}  {kind}\n"));
    }
    output::write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
