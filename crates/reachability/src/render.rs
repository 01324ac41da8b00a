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
    write_blockers(&mut text, report, &paint);
    text
}

/// Every blocker, with what would take it away.
fn write_blockers(text: &mut String, report: &Report, paint: &Paint) {
    let calls = report
        .blockers
        .iter()
        .flat_map(|blocker| &blocker.fix)
        .count();
    if let ([_], 0) = (report.blockers.as_slice(), calls) {
        return;
    }
    for (number, blocker) in (1..).zip(&report.blockers) {
        let way = match blocker.direction {
            Direction::Forward => "",
            Direction::Back => ", on the way back",
        };
        let at = blocker.object.as_deref().map(|id| format!(" {id}"));
        let place = format!("{}{}", label(blocker.step), at.unwrap_or_default());
        let _ = writeln!(text, "{number}. {place}{way}: {}", blocker.text);
        for call in &blocker.fix {
            let _ = writeln!(text, "     {}", call.command);
        }
    }
    if !report.blockers.is_empty() {
        let end = match (report.opens, report.blockers.len()) {
            (true, 1) => "This opens it.",
            (true, _) => "Together these open it.",
            (false, _) => "No call opens what is left.",
        };
        let _ = writeln!(text, "{}", paint.with(BOLD, end));
    }
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
    const LABELS: [(Step, &str); 14] = [
        (Step::Source, "source"),
        (Step::SourceCheck, "source check"),
        (Step::EgressSecurityGroup, "outbound security group"),
        (Step::EgressAcl, "outbound network ACL"),
        (Step::RouteTable, "route table"),
        (Step::TransitGateway, "transit gateway"),
        (Step::NatGateway, "NAT gateway"),
        (Step::Endpoint, "endpoint"),
        (Step::InternetGateway, "internet gateway"),
        (Step::EgressOnlyGateway, "egress-only gateway"),
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
