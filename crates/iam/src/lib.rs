//! IAM policies: documents, and what they allow.
//!
//! Contract: [`Policy::parse`] is strict, what it takes is evaluated whole, and what it does not know is an error that
//! names it. [`evaluate`] decides about one action on one resource: an explicit deny wins, then an allow, and without
//! either the answer is an implicit deny (IAM User Guide, "Policy evaluation logic"). Nothing here reads a clock: the
//! time of a request is one of its context keys.
//!
//! Limitations: no `Principal` but `AWS` ones, no `NotPrincipal`, no binary conditions; a document that uses them is
//! refused.
#![forbid(unsafe_code)]

mod condition;
mod context;
mod document;
mod evaluate;
mod pattern;
mod time;

pub use context::Context;
pub use document::{Kind, MAX_DOCUMENT, Policy, PolicyError};
pub use evaluate::{Caller, Decision, Trust, evaluate, trusts};
pub use time::{iso, parse_time};
