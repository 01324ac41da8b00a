//! What the core wants done, and what it tells.

use fastpath_core::Template;
use fastpath_core::abi::{Action, FlowKey, Output, Session};
use types::{DropReason, FlowTuple, InterfaceId, ObjectId};
use walk::{RuleRef, Step};

/// What the caller must do, in this order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// The effects, oldest first.
    pub list: Vec<Effect>,
}

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Write the session under this identifier, then both of its keys.
    Install {
        /// Key of the session map; never used before by this core.
        id: u64,
        /// The record, counters included: it already counts the packet that opened it.
        session: Box<Session>,
    },
    /// Replace the actions of an installed session; keys and counters stay. It is no template's session any more.
    Update {
        /// Key of the session map.
        id: u64,
        /// The new actions.
        action: [Action; 2],
    },
    /// Write a template under this key: the kernel program makes sessions from it.
    Template {
        /// The flow's key without the client's port.
        key: FlowKey,
        /// The record. Its generation is the caller's to fill in: the slot's.
        template: Box<Template>,
    },
    /// End a template: raise its slot's generation, then delete the key. When this is done, no packet of a session
    /// that was made from it passes.
    Revoke {
        /// The template's slot.
        slot: u32,
        /// Its key.
        key: FlowKey,
    },
    /// Delete the keys that still lead to the session, then the session.
    Remove {
        /// Key of the session map.
        id: u64,
        /// The keys that led to it.
        key: [FlowKey; 2],
    },
    /// Send a frame. Its source MAC address is the one that the receiver shall see (`Mac::ROUTER`); the caller
    /// puts `encode_output(output)` in its place for the way to the kernel program.
    Emit {
        /// Where the frame leaves.
        output: Output,
        /// The frame, from the Ethernet header on.
        frame: Vec<u8>,
        /// The frame is the one that came up, with headers rewritten in place: its offload metadata (virtio-net
        /// header: segmentation, partial checksum) is still right. Otherwise the frame needs none.
        as_received: bool,
    },
    /// A packet was dropped. Advisory: the consumer may keep as few of these as it likes, the counters of
    /// [`crate::Stats`] hold every one.
    Dropped(DropRecord),
}

/// A packet that was dropped, and what decided that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DropRecord {
    /// When, in nanoseconds of the caller's clock.
    pub at_ns: u64,
    /// Index of the interface on whose ingress it arrived.
    pub port: u32,
    /// The network interface behind that port, where one is attached.
    pub interface: Option<InterfaceId>,
    /// Why.
    pub reason: DropReason,
    /// The packet's addresses and ports, as far as it had them.
    pub tuple: Option<FlowTuple>,
    /// The step that decided; `Source` too for a frame that its port may not send. `None` if it was a bound.
    pub step: Option<Step>,
    /// The object that decided, where there is one.
    pub object: Option<ObjectId>,
    /// Its rule, where it was a rule and not the absence of one.
    pub rule: Option<RuleRef>,
}

/// What became of a frame that came up. Every frame has exactly one outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The router answered it (ARP, DHCP): there is an [`Effect::Emit`] back to the port.
    Answered,
    /// It goes on: there is an [`Effect::Emit`].
    Forwarded,
    /// There is an [`Effect::Dropped`]. Of what a router could not forward, the sender may be told: then there is an
    /// [`Effect::Emit`] too, back to the port.
    Dropped(DropReason),
    /// It waits: a fragment whose datagram's first one has not come. It will be forwarded or dropped with another frame,
    /// or by [`crate::Core::sweep`].
    Held,
    /// It was meant for the router, which has nothing to say to it (an announcement, a DHCP release).
    Consumed,
}
