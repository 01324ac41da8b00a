//! Where programs stay attached: TCX links, pinned so that they outlive the process.

use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{
    SchedClassifier, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcAttachType,
};
use aya::programs::{LinkOrder, ProgramError};

use crate::Error;

/// The BPF file system's usual place.
const BPF_FILE_SYSTEM: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
/// Below the pin directory.
const LINKS: &str = "links";

/// Mounts the BPF file system at its usual place unless it is there.
pub(crate) fn ensure_bpf_file_system() -> Result<(), Error> {
    if is_bpf_file_system(Path::new(BPF_FILE_SYSTEM)) {
        return Ok(());
    }
    rustix::mount::mount(
        "bpf",
        BPF_FILE_SYSTEM,
        "bpf",
        rustix::mount::MountFlags::NOSUID
            | rustix::mount::MountFlags::NODEV
            | rustix::mount::MountFlags::NOEXEC,
        None,
    )
    .map_err(|errno| Error::io("mounting the BPF file system", BPF_FILE_SYSTEM)(errno.into()))
}

fn is_bpf_file_system(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(BPF_FS_MAGIC))
}

/// Makes the pin directory.
pub(crate) fn make_pin_dir(pin_dir: &Path) -> Result<(), Error> {
    if pin_dir.starts_with(BPF_FILE_SYSTEM) {
        ensure_bpf_file_system()?;
    }
    let links = pin_dir.join(LINKS);
    fs::create_dir_all(&links).map_err(Error::io("making the directory", &links))
}

/// Removes a file that may be absent.
pub(crate) fn remove_pin(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("removing the pin", path)(error))
        }
        _ => Ok(()),
    }
}

/// Where the link of an interface is pinned.
pub(crate) fn pin_path(pin_dir: &Path, ifindex: u32) -> PathBuf {
    pin_dir.join(LINKS).join(ifindex.to_string())
}

/// The interfaces that have a pinned link, by ascending index.
pub(crate) fn pinned(pin_dir: &Path) -> Result<Vec<u32>, Error> {
    let links = pin_dir.join(LINKS);
    let listing = match fs::read_dir(&links) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(Error::io("listing the directory", &links))?,
    };
    let mut found: Vec<u32> = listing
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Removes the directories that [`make_pin_dir`] made, if they are empty.
pub(crate) fn remove_pin_dir(pin_dir: &Path) -> Result<(), Error> {
    for directory in [pin_dir.join(LINKS), pin_dir.to_owned()] {
        match fs::remove_dir(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("removing the directory", directory)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Attaches a program to the ingress of an interface and pins the link. A link that is pinned there already, of
/// this process or an earlier one, keeps its place and gets the new program in one step.
pub(crate) fn attach(
    program: &mut SchedClassifier,
    name: &'static str,
    ifindex: u32,
    pin: Option<&Path>,
) -> Result<Option<SchedClassifierLink>, Error> {
    let refused = |source: ProgramError| Error::Program { name, source };
    if let Some(path) = pin
        && let Some(link) = open_pinned(path)?
    {
        match program.attach_to_link(link) {
            Ok(id) => {
                // Dropping our descriptor leaves the pinned one.
                drop(program.take_link(id).map_err(refused)?);
                return Ok(None);
            }
            Err(error) if is_severed(&error) => remove_pin(path)?,
            Err(error) => return Err(refused(error)),
        }
    }
    let interface = interface_name(ifindex)?;
    let id: SchedClassifierLinkId = program
        .attach_with_options(
            &interface,
            TcAttachType::Ingress,
            TcAttachOptions::TcxOrder(LinkOrder::default()),
        )
        .map_err(refused)?;
    let link = program.take_link(id).map_err(refused)?;
    let Some(path) = pin else {
        return Ok(Some(link));
    };
    let link: FdLink = link
        .try_into()
        .map_err(|error: LinkError| link_error(path, error))?;
    link.pin(path).map_err(|error| link_error(path, error))?;
    Ok(None)
}

/// Whether the link's interface has gone, and with it whatever the link was for.
fn is_severed(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error)
        if error.io_error.raw_os_error() == Some(rustix::io::Errno::NOLINK.raw_os_error()))
}

fn open_pinned(path: &Path) -> Result<Option<SchedClassifierLink>, Error> {
    match PinnedLink::from_pin(path) {
        Ok(pinned) => FdLink::from(pinned)
            .try_into()
            .map(Some)
            .map_err(|error: LinkError| link_error(path, error)),
        Err(LinkError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(link_error(path, error)),
    }
}

fn link_error(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Link {
        path: path.to_owned(),
        source: Box::new(error),
    }
}

/// The name of an interface of this namespace.
pub(crate) fn interface_name(ifindex: u32) -> Result<String, Error> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )
    .map_err(|errno| Error::io("opening a socket", "AF_INET")(errno.into()))?;
    rustix::net::netdevice::index_to_name(&socket, ifindex).map_err(|_| Error::NoInterface(ifindex))
}
