//! The walk: one pure function that takes a packet through the virtual network and says what becomes of it and why.
//!
//! Contract: [`walk`] reads a [`topology::Snapshot`], a [`Packet`], and what the flow table knows ([`FlowState`]);
//! it changes nothing. What must change is part of its answer. The trace is a type parameter: with [`NoTrace`] the
//! explanation costs nothing, and there is no second code path that could disagree.
#![forbid(unsafe_code)]

mod decision;

pub use decision::{
    Decision, Delivery, Dropped, Egress, FlowState, Line, NoTrace, Origin, Outcome, Packet, RuleRef, Step, Trace,
};
