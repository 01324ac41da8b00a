//! Network namespaces with names, as `ip netns` has them: a file under `/run/netns` on which the namespace is
//! mounted, so that it outlives every process.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstatfs;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use types::InstanceId;

/// Where named namespaces are.
const DIRECTORY: &str = "/run/netns";

/// `NSFS_MAGIC` of `linux/magic.h`.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// How long a process may take from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// The name of an instance's namespace.
pub(crate) fn name_of(instance: InstanceId) -> String {
    format!("pd-{instance}")
}

fn path_of(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Moves the calling thread into the network namespace of an instance of this machine.
///
/// # Errors
/// If there is no such namespace, or without root.
pub fn enter(instance: InstanceId) -> io::Result<()> {
    enter_file(&File::open(path_of(&name_of(instance)))?)
}

fn enter_file(namespace: &File) -> io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// A named namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes a namespace. Its loopback is down, and it knows no IPv6.
    pub(crate) fn create(name: &str) -> io::Result<Namespace> {
        fs::create_dir_all(DIRECTORY)?;
        let path = path_of(name);
        drop(File::create_new(&path)?);
        let target = path.clone();
        let made = on_thread("pd-netns-new", move || {
            unshare_network()?;
            prepare_inside()?;
            mount_bind("/proc/thread-self/ns/net", &target)?;
            Ok(())
        });
        if let Err(error) = made {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Namespace::open(name)
    }

    /// Makes a namespace without a name. It goes with its value, and what is in it.
    pub(crate) fn unnamed() -> io::Result<Namespace> {
        let file = on_thread("pd-netns-new", || {
            unshare_network()?;
            prepare_inside()?;
            File::open("/proc/thread-self/ns/net")
        })?;
        Ok(Namespace { file })
    }

    /// The namespace of this name.
    pub(crate) fn open(name: &str) -> io::Result<Namespace> {
        let file = File::open(path_of(name))?;
        // A kill may leave the name without the namespace on it.
        if u64::try_from(fstatfs(&file)?.f_type) != Ok(NSFS_MAGIC) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Namespace { file })
    }

    /// A descriptor of it, for netlink.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Runs a closure on a thread of its own inside the namespace, and waits for it.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = self.file.try_clone()?;
        on_thread("pd-netns", move || {
            enter_file(&file)?;
            run()
        })
    }

    /// Ends every process inside: SIGTERM, and SIGKILL for those that are still there after two seconds. Returns
    /// whether none is left.
    pub(crate) fn end_processes(&self) -> io::Result<bool> {
        let identity = identity_of(&self.file)?;
        signal_all(&identity, Signal::TERM, GRACE)?;
        // Each round catches what was forked during the one before.
        for _ in 0..8 {
            if signal_all(&identity, Signal::KILL, GRACE)? == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Removes a name; the namespace itself goes with its last process and descriptor. One that is gone already is no
/// error.
pub(crate) fn remove(name: &str) -> io::Result<()> {
    let path = path_of(name);
    match unmount(&path, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether this machine lets us make network namespaces and mount them.
pub(crate) fn probe() -> io::Result<()> {
    on_thread("pd-netns-probe", unshare_network)
}

#[expect(
    deprecated,
    reason = "the function is deprecated because of `FILES`; a thread may always leave its network namespace"
)]
fn unshare_network() -> io::Result<()> {
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET)?;
    Ok(())
}

/// A thread that has entered a namespace must not serve anything else, so it ends with the closure.
fn on_thread<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)?
        .join()
        .map_err(|_| io::Error::other("a thread inside a network namespace panicked"))?
}

/// IPv6 is for the interfaces that have addresses of it, which switch it on. And DHCP's answer comes from an address to which
/// there is no route yet, which a reverse path filter would refuse.
fn prepare_inside() -> io::Result<()> {
    for (file, value) in [
        ("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"),
        ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"),
        ("/proc/sys/net/ipv4/conf/all/rp_filter", "0"),
        ("/proc/sys/net/ipv4/conf/default/rp_filter", "0"),
    ] {
        match fs::write(file, value) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// How `/proc/PID/ns/net` names a namespace.
fn identity_of(namespace: &File) -> io::Result<PathBuf> {
    Ok(PathBuf::from(format!(
        "net:[{}]",
        namespace.metadata()?.ino()
    )))
}

/// Sends a signal to every process inside and waits until they have ended, or the time is over. Returns how many
/// there were.
fn signal_all(identity: &Path, signal: Signal, patience: Duration) -> io::Result<usize> {
    let mut ending = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        let link = format!("/proc/{}/ns/net", pid.as_raw_nonzero());
        let is_inside = || fs::read_link(&link).is_ok_and(|target| target == identity);
        if pid == rustix::process::getpid() || !is_inside() {
            continue;
        }
        // The number may have been given to another process meanwhile: look again once it is pinned.
        if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
            && is_inside()
            && pidfd_send_signal(&process, signal).is_ok()
        {
            ending.push(process);
        }
    }
    let found = ending.len();
    let deadline = Instant::now() + patience;
    for process in ending {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        // An error here only shortens the wait; the next round looks again.
        let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout));
    }
    Ok(found)
}
