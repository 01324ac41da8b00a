//! Rows of what can be reached, for people.

use std::fmt::Write as _;

use crate::{Party, Row};

/// What stands before a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// Nothing.
    None,
    /// `+`, in green.
    Gained,
    /// `-`, in red.
    Lost,
}

/// How many senders a line names.
const NAMED: usize = 3;

/// One line for each receiver of each row: who, what, from whom; with ANSI colours if `colour`.
#[must_use]
pub fn table(rows: &[Row], sign: Sign, colour: bool) -> String {
    let mut lines = Vec::new();
    for row in rows {
        let services: Vec<String> = row
            .services
            .list()
            .iter()
            .map(ToString::to_string)
            .collect();
        let from = some(&row.from);
        for to in all(&row.to) {
            lines.push((to, services.join("; "), from.clone()));
        }
    }
    lines.sort();
    let wide = |part: fn(&(String, String, String)) -> &String| {
        lines.iter().map(|line| part(line).len()).max().unwrap_or(0)
    };
    let (to_width, service_width) = (wide(|line| &line.0), wide(|line| &line.1));
    let (mark, begin, end) = match (sign, colour) {
        (Sign::None, _) => ("", "", ""),
        (Sign::Gained, true) => ("+ ", "\x1b[32m", "\x1b[0m"),
        (Sign::Gained, false) => ("+ ", "", ""),
        (Sign::Lost, true) => ("- ", "\x1b[31m", "\x1b[0m"),
        (Sign::Lost, false) => ("- ", "", ""),
    };
    let mut text = String::new();
    for (to, services, from) in &lines {
        let _ = writeln!(
            text,
            "{begin}{mark}{to:<to_width$}  {services:<service_width$}  from {from}{end}"
        );
    }
    text
}

fn all(party: &Party) -> Vec<String> {
    let ends = party
        .interfaces
        .iter()
        .map(|end| format!("{} {}", end.interface, end.address));
    let outside = party.outside.iter().map(|block| format!("outside {block}"));
    ends.chain(outside).collect()
}

fn some(party: &Party) -> String {
    let all = all(party);
    match all.get(NAMED..) {
        Some(rest) if !rest.is_empty() => {
            let named = all.get(..NAMED).unwrap_or_default().join(", ");
            format!("{named} and {} more", rest.len())
        }
        Some(_) | None => all.join(", "),
    }
}
