//! Writing a trace while walking.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use types::{DropReason, ObjectId, PortRange};

use crate::{Dropped, Hop, Line, Outcome, RuleRef, Step, Trace, Which};

/// Keeps everything that a walk says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorder {
    /// The lines, in the order of the steps.
    pub lines: Vec<Line>,
    /// Every object that was consulted: as long as none of them changes, a packet that was delivered would be
    /// delivered again, to the same place and with the same rewrite.
    pub depends: BTreeSet<ObjectId>,
    /// The routers that were passed, in their order.
    pub hops: Vec<Hop>,
    /// The source ports for which the decision would be the same; the packet's is one of them.
    pub source_ports: PortRange,
    /// The destination ports for which it would be the same.
    pub destination_ports: PortRange,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            lines: Vec::new(),
            depends: BTreeSet::new(),
            hops: Vec::new(),
            source_ports: PortRange::ALL,
            destination_ports: PortRange::ALL,
        }
    }
}

impl Trace for Recorder {
    fn line(&mut self, line: Line) {
        self.lines.push(line);
    }

    fn depends_on(&mut self, object: ObjectId) {
        self.depends.insert(object);
    }

    fn hop(&mut self, hop: Hop) {
        self.hops.push(hop);
    }

    fn link(&mut self, mtu: u16) {
        if let Some(hop) = self.hops.last_mut() {
            hop.mtu = hop.mtu.min(mtu);
        }
    }

    fn holds_for(&mut self, which: Which, ports: PortRange) {
        let known = match which {
            Which::Source => &mut self.source_ports,
            Which::Destination => &mut self.destination_ports,
        };
        // Both hold the packet's own port.
        *known = known.intersection(ports).unwrap_or(*known);
    }
}

/// A stage's answer: what the next stage needs, or the end.
pub(crate) type Stage<T> = ControlFlow<Dropped, T>;

pub(crate) fn pass<T: Trace>(
    trace: &mut T,
    step: Step,
    object: Option<ObjectId>,
    rule: Option<RuleRef>,
) -> Stage<()> {
    trace.line(Line {
        step,
        object,
        rule,
        outcome: Outcome::Pass,
    });
    ControlFlow::Continue(())
}

pub(crate) fn deny<T: Trace, X>(
    trace: &mut T,
    reason: DropReason,
    step: Step,
    object: Option<ObjectId>,
    rule: Option<RuleRef>,
) -> Stage<X> {
    trace.line(Line {
        step,
        object,
        rule,
        outcome: Outcome::Drop(reason),
    });
    ControlFlow::Break(Dropped {
        reason,
        step,
        object,
        rule,
    })
}
