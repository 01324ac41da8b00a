//! The walk: one pure function that takes a packet through the virtual network and says what becomes of it and why.
//!
//! Contract: [`walk`] reads a [`topology::Snapshot`], a [`Packet`], and what the flow table knows ([`FlowState`]);
//! it changes nothing. What must change is part of its answer. The trace is a type parameter: with [`NoTrace`] the
//! explanation costs nothing, and there is no second code path that could disagree.
//!
//! It has two legs, [`source_leg`] and [`destination_leg`], with a [`Wire`] between them; [`walk`] is one after the
//! other and nothing else.
//!
//! A decision to deliver stays true as long as no object changes that the trace names in [`Trace::depends_on`] and
//! the uplink stays the same. A decision to drop may also be overturned by an object that comes into being, so
//! nobody keeps one. It is the same for other ports within the ranges of [`Trace::holds_for`].
//!
//! Limitations: a middlebox is one hop, after which its own packets are walked anew. A flow passes one NAT gateway at
//! most, and IPv6 none.
#![forbid(unsafe_code)]

mod decision;
mod destination;
mod router;
mod rules;
mod source;
mod trace;

pub use decision::{
    Decision, Delivery, Dropped, Egress, End, FlowState, Hop, Line, NoTrace, Origin, Outcome,
    Packet, RuleRef, Service, Step, Trace, Tracking, Translation, Translator, Which,
};
pub use destination::destination_leg;
pub use router::{Path, Sender, Wire};
pub use rules::tracking;
pub use source::source_leg;
pub use trace::Recorder;

use std::ops::ControlFlow;

use topology::Snapshot;

/// Decides about one packet: where it leaves the network and with which addresses, or where it ends and why.
pub fn walk<T: Trace>(
    snapshot: &Snapshot,
    origin: Origin,
    packet: &Packet,
    flow: FlowState,
    trace: &mut T,
) -> Decision {
    match source_leg(snapshot, origin, packet, flow, trace) {
        ControlFlow::Continue(wire) => destination_leg(snapshot, &wire, flow, trace),
        ControlFlow::Break(dropped) => Decision::Drop(dropped),
    }
}
