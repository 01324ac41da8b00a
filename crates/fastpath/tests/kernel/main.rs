//! Real packets between namespaces through the real program. Needs root.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod frames;
mod life;
mod traffic;
