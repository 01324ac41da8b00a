//! What this machine lacks.

use aya::programs::{SchedClassifier, tc::TcAttachType};

/// A thing the fast path needs and this machine does not give, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// The process may not load eBPF programs.
    #[error("the privilege to load eBPF programs (root, or CAP_BPF with CAP_NET_ADMIN)")]
    Privilege,
    /// The kernel does not take our programs.
    #[error("a kernel that takes the eBPF program: {0}")]
    Program(String),
    /// The kernel has no TCX hook.
    #[error("the TCX hook for eBPF programs on interfaces (Linux 6.6 or later)")]
    Tcx,
    /// There is no BPF file system and none can be mounted.
    #[error("a BPF file system at /sys/fs/bpf: {0}")]
    BpfFileSystem(String),
    /// There is no TUN/TAP device.
    #[error("TUN/TAP devices (/dev/net/tun): {0}")]
    Tun(String),
}

/// Says what the fast path lacks on this machine, and leaves nothing behind, except that it mounts the BPF file
/// system at /sys/fs/bpf when that is not mounted.
///
/// # Errors
/// The first thing that is missing.
pub fn probe() -> Result<(), Missing> {
    let config = crate::Config {
        pin_dir: None,
        max_flows: 64,
        slow_ifindex: 0,
    };
    match crate::Fastpath::open(config) {
        Ok(_) => {}
        Err(error) if denied(&error) => return Err(Missing::Privilege),
        Err(error) => return Err(Missing::Program(words(&error))),
    }
    // Every network namespace has `lo`; asking what is attached there changes nothing.
    SchedClassifier::query_tcx("lo", TcAttachType::Ingress).map_err(|_| Missing::Tcx)?;
    crate::links::ensure_bpf_file_system()
        .map_err(|error| Missing::BpfFileSystem(words(&error)))?;
    crate::tap::clone_device().map_err(|error| Missing::Tun(words(&error)))?;
    Ok(())
}

/// An error and its sources in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

fn denied(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(e) = error {
        if e.downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
        {
            return true;
        }
        error = e.source();
    }
    false
}
