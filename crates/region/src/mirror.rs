//! Traffic mirroring: targets, filters and their rules, sessions.

pub(crate) mod filter;
pub(crate) mod rule;
pub(crate) mod session;
pub(crate) mod target;
