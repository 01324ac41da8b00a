//! `polder interfaces` and `polder sessions`: what passes.

use std::process::ExitCode;

use controller::wire;

use crate::cli::ReadArgs;
use crate::{client, output};

/// `polder interfaces`.
pub(crate) fn interfaces(args: &ReadArgs) -> anyhow::Result<ExitCode> {
    let answer: wire::Interfaces = client::get(&args.endpoint.url, "interfaces")?;
    if args.json {
        output::json(&answer.interfaces)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = answer
        .interfaces
        .iter()
        .map(|port| {
            let drops: Vec<String> = port
                .drops
                .iter()
                .map(|(reason, count)| format!("{reason} {count}"))
                .collect();
            vec![
                port.interface.clone(),
                port.instance.clone().unwrap_or_else(|| "-".to_owned()),
                port.rx_packets.to_string(),
                port.rx_bytes.to_string(),
                port.tx_packets.to_string(),
                port.tx_bytes.to_string(),
                port.upcalls.to_string(),
                if drops.is_empty() {
                    "-".to_owned()
                } else {
                    drops.join(", ")
                },
            ]
        })
        .collect();
    let head = [
        "interface",
        "instance",
        "sent",
        "bytes",
        "received",
        "bytes",
        "upcalls",
        "dropped",
    ];
    output::write(output::table(&head, &rows, output::colour()).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// `polder sessions`.
pub(crate) fn sessions(args: &ReadArgs) -> anyhow::Result<ExitCode> {
    let answer: wire::Sessions = client::get(&args.endpoint.url, "sessions")?;
    if args.json {
        output::json(&answer.sessions)?;
        return Ok(ExitCode::SUCCESS);
    }
    let gone = || "(gone)".to_owned();
    let rows: Vec<Vec<String>> = answer
        .sessions
        .iter()
        .map(|session| {
            vec![
                session.interface.clone().unwrap_or_else(gone),
                session.tuple.clone(),
                session.reply_interface.clone().unwrap_or_else(gone),
                session.reply_tuple.clone(),
                session.packets[0].to_string(),
                session.packets[1].to_string(),
                session.idle_ms.to_string(),
            ]
        })
        .collect();
    let head = [
        "from", "packets", "to", "answers", "there", "back", "idle ms",
    ];
    output::write(output::table(&head, &rows, output::colour()).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
