//! EC2's resources: one file each, pure functions from (state, request) to (writes, reply).
//!
//! Contract: a handler reads and writes through a [`Tx`], which starts from a [`State`] and never changes it; what
//! comes out is the reply, the next state and the list of writes for the store. Time and randomness come in with
//! the [`Context`]. Nothing here blocks.
//!
//! Each resource's file has the same inner order: record, invariants, create, describe, modify, delete, tests.
#![forbid(unsafe_code)]

mod context;
mod state;
mod tx;

pub use context::{Context, Timestamp};
pub use state::{Record, State};
pub use tx::{Tx, Write};
