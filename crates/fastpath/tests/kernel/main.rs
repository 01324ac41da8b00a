//! Real packets between namespaces through the real program. Needs root.
#![expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says loudly what it skips"
)]

mod agent;
mod frames;
mod life;
mod namespace;
mod traffic;
