//! Why an agent does not start.

use std::io;

use types::Cidr;

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine lacks something without which there are no packets. The control plane works without.
    #[error("this host cannot carry packets: {0}")]
    Unavailable(#[from] Missing),
    /// Another agent works in this network namespace.
    #[error("another polder runs in this network namespace (process {0})")]
    AnotherAgent(u32),
    /// An interface of ours is there, but nothing says that we made it.
    #[error("interface `{0}` exists and was not made with this state directory")]
    ForeignInterface(String),
    /// The host has an address or a route in the pool already.
    #[error(
        "the pool `{pool}` overlaps `{with}`, which this machine has or reaches by interface `{interface}`"
    )]
    PoolInUse {
        /// The pool.
        pool: Cidr,
        /// The address or route that overlaps it.
        with: Cidr,
        /// The interface that has it.
        interface: String,
    },
    /// The host's own address is not a usable one of the pool.
    #[error("the host's address `{host}` is not in the pool `{pool}`, or the pool is not IPv4")]
    HostAddress {
        /// The host's address.
        host: std::net::IpAddr,
        /// The pool.
        pool: Cidr,
    },
    /// Instances are to reach beyond the pool, but the host does not forward.
    #[error("the host does not forward packets, and polder changes no sysctl of the host")]
    ForwardingOff,
    /// Instances are to reach beyond the pool, but there is no `nft`.
    #[error("reaching beyond the pool needs the program `nft`")]
    NoNft,
    /// `nft` refused the table.
    #[error("`nft` failed: {0}")]
    Nft(String),
    /// The state directory's manifest cannot be understood.
    #[error("`{path}` is not a manifest of this version: {reason}")]
    Manifest {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that should work did not.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// What came of it.
        source: io::Error,
    },
}

/// Something that a machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Root's rights.
    #[error("it needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF)")]
    Root,
    /// TUN/TAP devices.
    #[error("`/dev/net/tun` cannot be used: {0}")]
    Tun(String),
    /// BPF: the system call, a program type, or the file system for pins.
    #[error("BPF cannot be used: {0}")]
    Bpf(String),
    /// Network namespaces or links of the kinds that we need.
    #[error("network namespaces cannot be used: {0}")]
    Namespaces(String),
}

/// Names what was tried when an operation of the system fails.
pub(crate) trait Doing<T> {
    /// The error says what was tried.
    fn doing(self, what: impl Into<String>) -> Result<T, StartError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, StartError> {
        self.map_err(|error| StartError::Io {
            doing: what.into(),
            source: error.into(),
        })
    }
}
