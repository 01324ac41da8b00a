//! The check-list.

use std::fmt::Write as _;

use walk::Step;

use crate::{Check, Direction, Report, Verdict};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// The report as lines for people, each ended by a newline; with ANSI colours if `colour`.
#[must_use]
pub fn render(report: &Report, colour: bool) -> String {
    let paint = Paint { colour };
    let mut text = String::new();
    let columns = Columns::of(report);
    let _ = writeln!(text, "{}", paint.with(BOLD, &report.packet));
    write_checks(&mut text, &report.forward, &columns, &paint);
    if !report.back.is_empty() {
        let _ = writeln!(text, "{}", paint.with(BOLD, "the answer"));
        write_checks(&mut text, &report.back, &columns, &paint);
    }
    let result = match &report.verdict {
        Verdict::Reachable { .. } => paint.with(GREEN, "REACHABLE"),
        Verdict::Blocked {
            direction,
            reason,
            step,
            object,
            ..
        } => {
            let at = object.as_deref().map(|id| format!(" {id}"));
            let way = match direction {
                Direction::Forward => "",
                Direction::Back => " on the way back",
            };
            let place = format!("{}{}", label(step), at.unwrap_or_default());
            let blocked = paint.with(RED, "BLOCKED");
            format!("{blocked}{way} at {place} ({reason})")
        }
    };
    let _ = writeln!(text, "Result: {result}");
    text
}

/// Widths, so that objects and texts stand below each other.
struct Columns {
    step: usize,
    object: usize,
}

impl Columns {
    fn of(report: &Report) -> Columns {
        let checks = || report.forward.iter().chain(&report.back);
        let object = |check: &Check| check.object.as_ref().map_or(0, String::len);
        Columns {
            step: checks().map(|c| label(c.step).len()).max().unwrap_or(0),
            object: checks().map(object).max().unwrap_or(0),
        }
    }
}

fn write_checks(text: &mut String, checks: &[Check], columns: &Columns, paint: &Paint) {
    for check in checks {
        let mark = if check.ok {
            paint.with(GREEN, "✓")
        } else {
            paint.with(RED, "✗")
        };
        let line = format!(
            "{:<step$}  {:<object$}  {}",
            label(check.step),
            check.object.as_deref().unwrap_or_default(),
            check.text,
            step = columns.step,
            object = columns.object,
        );
        let _ = writeln!(text, "  {mark} {}", line.trim_end());
    }
}

/// What people call a step.
fn label(step: &str) -> &str {
    const LABELS: [(Step, &str); 10] = [
        (Step::Source, "source"),
        (Step::SourceCheck, "source check"),
        (Step::EgressSecurityGroup, "outbound security group"),
        (Step::EgressAcl, "outbound network ACL"),
        (Step::RouteTable, "route table"),
        (Step::InternetGateway, "internet gateway"),
        (Step::IngressAcl, "inbound network ACL"),
        (Step::IngressSecurityGroup, "inbound security group"),
        (Step::DestinationCheck, "destination check"),
        (Step::Destination, "destination"),
    ];
    let found = LABELS.iter().find(|(known, _)| known.name() == step);
    found.map_or(step, |(_, label)| label)
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("{code}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }
}
