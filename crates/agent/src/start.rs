//! How an agent comes to be: probes, what an earlier agent left, devices.

use rustix::thread::CapabilitySet;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use fastpath::abi;
use fastpath::{Fastpath, Tap};
use slowpath::{Core, Timeouts, UplinkPort};
use types::Mac;

use crate::error::Doing;
use crate::host::Host;
use crate::instances::is_port_name;
use crate::manifest::Manifest;
use crate::netlink::{Link, Netlink};
use crate::slow::{self, Slow};
use crate::{Config, Missing, StartError, namespace, uplink};
use feed::Port;

/// Who holds this abstract socket is the agent of its network namespace: such names belong to one namespace, and
/// the kernel frees them with the process.
const GUARD: &[u8] = b"polder-agent";
/// Where the BPF file system keeps what is pinned.
const PINS: &str = "/sys/fs/bpf";
/// A link can carry the largest IP packet, whatever guests send.
const DEVICE_MTU: u32 = 65_521;
/// How many frames of all ports together wait for the slow path to read them. At the bound frames are lost, whosever
/// they are and without being counted, so it is longer than a busy machine keeps the thread from running.
const DEVICE_QUEUE: u32 = 4096;
/// The share of the flow table that one port may have.
const PORT_SHARE: u32 = 4;

/// What belongs to one state directory, and to nobody else of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) pins: PathBuf,
    pub(crate) table: String,
}

impl Names {
    fn of(state_dir: &Path) -> Names {
        let hash = fnv1a(state_dir.as_os_str().as_encoded_bytes());
        Names {
            pins: Path::new(PINS).join(format!("polder-{hash:016x}")),
            table: format!("polder_{hash:016x}"),
        }
    }
}

/// What a started agent is made of.
pub(crate) struct Started {
    pub(crate) host: Host,
    pub(crate) names: Names,
    pub(crate) guard: UnixListener,
}

pub(crate) async fn start(mut config: Config) -> Result<Started, StartError> {
    let needed = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN | CapabilitySet::BPF;
    let privileged = rustix::thread::capabilities(None)
        .is_ok_and(|capabilities| capabilities.effective.contains(needed));
    if !rustix::process::geteuid().is_root() || !privileged {
        return Err(Missing::Root.into());
    }
    namespace::probe().map_err(|error| Missing::Namespaces(error.to_string()))?;
    let guard = guard()?;
    let mut manifest = Manifest::open(&config.state_dir)?;
    config.state_dir = config
        .state_dir
        .canonicalize()
        .doing("find the state directory")?;
    let names = Names::of(&config.state_dir);
    let netlink = Netlink::connect().map_err(|error| Missing::Namespaces(error.to_string()))?;
    uplink::check(&netlink, &config.uplink).await?;
    let made = make(&config, &netlink, &mut manifest, &names).await;
    let slow = match made {
        Ok(slow) => slow,
        Err(error) => {
            // What instances an earlier agent left is for the next one.
            if manifest.instances().is_empty()
                && let Err(error) = unmake(&netlink, &mut manifest, &names).await
            {
                tracing::warn!(%error, "something is left of a start that failed");
            }
            return Err(error);
        }
    };
    Ok(Started {
        host: Host::new(config, netlink, slow, manifest),
        names,
        guard,
    })
}

/// Makes the devices. Every one is down until its program is on it.
async fn make(
    config: &Config,
    netlink: &Netlink,
    manifest: &mut Manifest,
    names: &Names,
) -> Result<Slow, StartError> {
    let mut fastpath = Fastpath::open(fastpath::Config {
        pin_dir: Some(names.pins.clone()),
        max_flows: config.max_flows.saturating_mul(2),
        slow_ifindex: 0,
    })
    .map_err(|error| why("load the eBPF program", error))?;
    internet(config, manifest, names)?;
    let pair = uplink::create(netlink, &config.uplink, manifest).await?;
    if netlink
        .link(slow::DEVICE)
        .await
        .doing("look for the slow path's device")?
        .is_some()
    {
        return Err(StartError::ForeignInterface(slow::DEVICE.to_owned()));
    }
    let tap = Tap::open(slow::DEVICE).map_err(|error| why("make the slow path's device", error))?;
    let device = tap
        .ifindex()
        .map_err(|error| why("find the slow path's device", error))?;
    fastpath
        .attach_slow(device)
        .map_err(|error| why("put the program on the slow path's device", error))?;
    let up = async {
        netlink.no_ipv6_address(device).await?;
        netlink.set_mtu(device, DEVICE_MTU).await?;
        netlink.set_queue(device, DEVICE_QUEUE).await?;
        netlink.up(device).await
    };
    up.await.doing("set the slow path's device up")?;

    let max_sessions = usize::try_from(config.max_flows.max(1)).unwrap_or(usize::MAX);
    let per_port = usize::try_from((config.max_flows / PORT_SHARE).max(1)).unwrap_or(usize::MAX);
    let usage = fastpath.usage();
    let config_of_core = slowpath::Config {
        max_sessions,
        max_sessions_per_port: per_port,
        uplink: Some(UplinkPort {
            port: pair.0,
            host_mac: uplink::HOST_MAC,
        }),
        timeouts: Timeouts::default(),
        revocation: config.revocation,
    };
    let core = Core::with_usage(config_of_core, usage);
    let slow = Slow::new(tap, core, fastpath).doing("make an event descriptor")?;
    let record = abi::Port::uplink(config.upcalls_per_second, config.upcall_burst);
    slow.attach(pair.0, Port::Uplink, record)
        .doing("put the program on the uplink")?;
    uplink::open(netlink, &config.uplink, pair).await?;
    Ok(slow)
}

fn internet(config: &Config, manifest: &mut Manifest, names: &Names) -> Result<(), StartError> {
    if config.uplink.internet {
        manifest.set_nft(true).doing("write the manifest")?;
        uplink::open_internet(&names.table, &config.uplink)
    } else if manifest.nft() {
        uplink::close_internet(&names.table)?;
        manifest.set_nft(false).doing("write the manifest")
    } else {
        Ok(())
    }
}

/// Removes the devices, the table of `nft` and every pin; the manifest last, unless it names an instance.
pub(crate) async fn unmake(
    netlink: &Netlink,
    manifest: &mut Manifest,
    names: &Names,
) -> Result<(), StartError> {
    if manifest.uplink() {
        uplink::remove(netlink).await.doing("remove the uplink")?;
        manifest.set_uplink(false).doing("write the manifest")?;
    }
    if manifest.nft() {
        uplink::close_internet(&names.table)?;
        manifest.set_nft(false).doing("write the manifest")?;
    }
    let pinned = Fastpath::pinned(&names.pins)
        .map_err(slow::to_io)
        .doing("list the pins")?;
    remove_ports(netlink, pinned)
        .await
        .doing("remove a port that is left")?;
    Fastpath::unpin_all(&names.pins)
        .map_err(slow::to_io)
        .doing("remove the pins")?;
    if manifest.instances().is_empty() {
        manifest.remove().doing("remove the manifest")?;
    }
    Ok(())
}

/// Removes those of these links that are ports. Without its program a port would be a way to the host's own stack, for
/// a guest that may still be behind it.
pub(crate) async fn remove_ports(netlink: &Netlink, indices: Vec<u32>) -> io::Result<()> {
    for index in indices {
        let name = netlink.name_of(index).await?.unwrap_or_default();
        let link = netlink.link(&name).await?;
        // The pins may be of another network namespace, in which the index was another link's.
        let ours = |link: Link| link.index == index && link.mac == Some(Mac::ROUTER);
        if is_port_name(&name) && link.is_some_and(ours) {
            tracing::warn!(name, "a port that nobody knows is removed");
            netlink.remove(&name).await?;
        }
    }
    Ok(())
}

/// Something failed: does the machine lack what it takes, or is it another reason? Asked only then, because the
/// answer costs as much as the start itself.
fn why(doing: &str, error: fastpath::Error) -> StartError {
    let Err(missing) = fastpath::probe() else {
        return StartError::Io {
            doing: doing.to_owned(),
            source: slow::to_io(error),
        };
    };
    StartError::Unavailable(if missing == fastpath::Missing::Privilege {
        Missing::Root
    } else if let fastpath::Missing::Tun(reason) = missing {
        Missing::Tun(reason)
    } else {
        Missing::Bpf(missing.to_string())
    })
}

fn guard() -> Result<UnixListener, StartError> {
    let name = SocketAddr::from_abstract_name(GUARD).doing("name the agent")?;
    match UnixListener::bind_addr(&name) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holder = UnixStream::connect_addr(&name)
                .ok()
                .and_then(|stream| rustix::net::sockopt::socket_peercred(&stream).ok())
                .map_or(0, |holder| holder.pid.as_raw_nonzero().get());
            Err(StartError::AnotherAgent(holder.unsigned_abs()))
        }
        bound => bound.doing("claim the network namespace"),
    }
}

/// FNV-1a, 64 bits: a name for a path that stays the same from build to build.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_directory() {
        // The published test vector for "a".
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        let names = Names::of(Path::new("a"));
        assert_eq!(names.table, "polder_af63dc4c8601ec8c");
        assert_eq!(names.pins, Path::new("/sys/fs/bpf/polder-af63dc4c8601ec8c"));
    }
}
