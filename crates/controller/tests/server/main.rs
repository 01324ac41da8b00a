//! The controller as its clients and its host meet it, over TCP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod explain;
mod host;
mod http;
mod kill;
mod race;
mod server;
