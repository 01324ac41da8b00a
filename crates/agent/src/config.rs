//! What an agent is told at its start.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use slowpath::Revocation;
use topology::Uplink;
use types::Cidr;

/// What an agent is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where the agent keeps its manifest and the files of its instances. Made if it is missing. It also names
    /// the agent: two agents of one machine must have different ones.
    pub state_dir: PathBuf,
    /// The pool of public addresses, the host's own address in it, and whether instances may reach further.
    pub uplink: Uplink,
    /// The most sessions of the host, at least 1. One port may have a quarter of them.
    pub max_flows: u32,
    /// How many packets without a session a port may send up per second, on average.
    pub upcalls_per_second: u32,
    /// How many packets without a session a port may send up at once.
    pub upcall_burst: u32,
    /// What becomes of connections when a rule that allowed them goes.
    pub revocation: Revocation,
}

impl Config {
    /// The defaults: pool 203.0.113.0/24 (TEST-NET-3, RFC 5737) with the host at its first address, nothing
    /// beyond it.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Config {
        let pool = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 0));
        Config {
            state_dir: state_dir.into(),
            uplink: Uplink {
                pool: Cidr::containing(pool, 24).unwrap_or(Cidr::host(pool)),
                host: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
                internet: false,
                ipv6: None,
            },
            max_flows: 262_144,
            upcalls_per_second: 20_000,
            upcall_burst: 5_000,
            revocation: Revocation::default(),
        }
    }
}
