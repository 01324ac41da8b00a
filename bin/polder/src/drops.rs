//! `polder drops`: dropped packets, and what decided that.

use std::process::ExitCode;
use std::time::Duration;

use controller::wire;

use crate::cli::{DropsArgs, ReadArgs, WatchArgs, Watched};
use crate::client;
use crate::output::{self, Style};

/// How often a follower asks.
const POLL: Duration = Duration::from_millis(500);

/// Prints drops as they happen.
pub(crate) fn watch(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let Watched::Drops(ReadArgs { endpoint, json }) = &args.what;
    print(&endpoint.url, true, *json)
}

/// Prints the drops that the host remembers, oldest first.
pub(crate) fn run(args: &DropsArgs) -> anyhow::Result<ExitCode> {
    print(&args.endpoint.url, args.follow, args.json)
}

fn print(endpoint: &str, follow: bool, json: bool) -> anyhow::Result<ExitCode> {
    let colour = output::colour();
    let mut since = 0;
    loop {
        let answer: wire::Drops = client::get(endpoint, &format!("drops?since={since}"))?;
        let mut text = String::new();
        for drop in &answer.drops {
            text.push_str(&if json {
                serde_json::to_string(drop)?
            } else {
                line(drop, colour)
            });
            text.push('\n');
        }
        output::write(text.as_bytes())?;
        if !follow {
            return Ok(ExitCode::SUCCESS);
        }
        if answer.next < since {
            // A new run of `polder up`, which counts from 1 again.
            since = 0;
            continue;
        }
        since = answer.next;
        std::thread::sleep(POLL);
    }
}

fn line(drop: &wire::Drop, colour: bool) -> String {
    let mut parts = vec![
        output::styled(&clock(drop.time_ms), Style::Faint, colour),
        drop.instance
            .clone()
            .unwrap_or_else(|| drop.interface.clone()),
        drop.tuple
            .clone()
            .unwrap_or_else(|| "(no IP packet)".to_owned()),
        output::styled(&drop.reason, Style::Bad, colour),
    ];
    if let Some(step) = &drop.step {
        parts.push(format!("at {step}"));
    }
    if let Some(object) = &drop.object {
        parts.push(object.clone());
    }
    if let Some(rule) = &drop.rule {
        parts.push(format!("({rule})"));
    }
    parts.join("  ")
}

/// The time of day in UTC.
fn clock(time_ms: u64) -> String {
    let day = time_ms % 86_400_000;
    let (hours, minutes, seconds) = (day / 3_600_000, day / 60_000 % 60, day / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", day % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_all_that_is_known() {
        let drop = wire::Drop {
            sequence: 1,
            time_ms: 45_296_789,
            interface: "eni-0".to_owned(),
            instance: Some("i-0".to_owned()),
            account: None,
            code: 102,
            reason: "security-group-ingress".to_owned(),
            tuple: Some("tcp 10.0.0.4:4 > 10.0.0.5:80".to_owned()),
            step: Some("ingress-security-group".to_owned()),
            object: Some("sg-0".to_owned()),
            rule: None,
        };
        let expected = "12:34:56.789  i-0  tcp 10.0.0.4:4 > 10.0.0.5:80  security-group-ingress  \
                        at ingress-security-group  sg-0";
        assert_eq!(line(&drop, false), expected);
    }
}
