//! Loads the eBPF program, attaches it to ports and edits its maps; opens the upcall device.
//!
//! Contract: this crate owns everything under its pin directory on the BPF file system. Programs stay attached and
//! maps stay filled when the process dies; the next [`Fastpath::open`] with the same directory adopts them, and
//! [`Fastpath::close`] removes them. It makes no interface except the TAP of [`Tap::open`], and sets no address,
//! route or state of any.
//!
//! What the program does stands in `fastpath-core` and `ebpf/`; the records are those of [`fastpath_core::abi`].
//!
//! Limitations: needs TCX (Linux 6.6), root or CAP_BPF with CAP_NET_ADMIN; see [`probe`]. The kernel's counters of
//! a session that is replaced while packets run may lose the packets of that instant.

mod batch;
mod error;
mod links;
mod loader;
mod map;
mod probe;
mod tap;
#[cfg(test)]
mod template_run;
#[cfg(test)]
mod test_run;
#[cfg(test)]
mod timing;
mod usage;
mod vnet;

pub use error::Error;
pub use fastpath_core::abi;
pub use loader::{Config, DEFAULT_MAX_FLOWS, DEFAULT_PIN_DIR, Fastpath};
pub use probe::{Missing, probe};
pub use tap::Tap;
pub use usage::SharedUsage;
pub use vnet::{GsoKind, VNET_HEADER_LEN, VnetHeader};
