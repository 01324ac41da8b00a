//! Can A reach B, and why (not)? The walk's own answer, in words.
//!
//! Contract: [`explain`] walks the packet that the question describes and, if it arrives, the answer to it; both
//! walks are the ones that real packets take ([`walk::walk`]), so the report cannot disagree with them.
//! [`render`] writes the report as a check-list. What blocks is named whole: every blocker, each with the smallest
//! change that takes it away.
//!
//! [`reach`] answers for all packets at once: which can get from here to there. [`difference`] does so for two
//! networks.
//!
//! Limitations: where a flow's ports decide its way, at a NAT gateway with several addresses or an appliance in several
//! zones, [`reach`] knows the way of its representative. a packet handed to a middlebox is reported as arrived there; what the middlebox does with it is
//! not in the network's hands. A snapshot does not know which interface of an instance is the primary one: a
//! question about an instance is about its interface with the lowest identifier.
#![forbid(unsafe_code)]

mod call;
mod explain;
mod reach;
mod render;
mod repair;
mod services;
mod table;
mod words;

pub use call::{Call, Save};
pub use explain::{
    Blocker, Check, Direction, Hop, Query, Report, SOMEWHERE, Source, Verdict, Walked, explain,
    walked,
};
pub use reach::{Difference, End, Party, Place, Reach, Row, TooLarge, difference, reach};
pub use render::render;
pub use services::{Ranges, Service, Services};
pub use table::{Sign, table};
pub use words::rule;
