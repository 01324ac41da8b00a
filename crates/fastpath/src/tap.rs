//! The TAP through which the agent sees packets without a session.

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::ioctl::{Setter, Updater, opcode};

use crate::vnet::VNET_HEADER_LEN;
use crate::{Error, VnetHeader};

const DEVICE: &str = "/dev/net/tun";

// linux/if_tun.h
const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<c_int>(b'T', 202);
const TUNSETOFFLOAD: rustix::ioctl::Opcode = opcode::write::<u32>(b'T', 208);
const TUNSETVNETHDRSZ: rustix::ioctl::Opcode = opcode::write::<c_int>(b'T', 216);
const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
const TUN_F_CSUM: u32 = 0x01;
const TUN_F_TSO4: u32 = 0x02;
const TUN_F_TSO6: u32 = 0x04;
const TUN_F_TSO_ECN: u32 = 0x08;
const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;

/// `struct ifreq` with the flags of the union in it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceRequest>() == 40);

/// An open TAP device. The interface exists as long as this does; it comes without an address and down.
///
/// One [`Tap::read`] is one frame and one [`Tap::write`] another, each behind a [`VnetHeader`]: packets cross
/// uncut (GSO) and without checksums being computed. Descriptors are non-blocking.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
}

/// `TUNSETOFFLOAD` takes its flags in place of a pointer.
struct Offload(u32);

// SAFETY: the opcode takes an integer in the pointer's place, and reads and writes no memory of ours.
unsafe impl rustix::ioctl::Ioctl for Offload {
    type Output = ();
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> rustix::ioctl::Opcode {
        TUNSETOFFLOAD
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::without_provenance_mut(self.0 as usize)
    }

    unsafe fn output_from_ptr(
        _: rustix::ioctl::IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> rustix::io::Result<()> {
        Ok(())
    }
}

impl Tap {
    /// Makes the TAP interface with this name (1–15 bytes), or takes the one that is there and unused.
    ///
    /// # Errors
    /// When the name is too long or taken by another interface, without the privilege, or without TUN/TAP.
    pub fn open(name: &str) -> Result<Tap, Error> {
        let failed = |action: &'static str| {
            let name = name.to_owned();
            move |errno: rustix::io::Errno| Error::io(action, name)(errno.into())
        };
        let file = clone_device()?;
        let mut request = InterfaceRequest {
            name: [0; 16],
            flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
            rest: [0; 22],
        };
        // The last byte stays zero.
        if name.is_empty() || name.len() > 15 {
            return Err(failed("making the TAP")(rustix::io::Errno::INVAL));
        }
        for (to, from) in request.name.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, whose layout this is.
        unsafe {
            rustix::ioctl::ioctl(&file, Updater::<TUNSETIFF, _>::new(&mut request))
                .map_err(failed("making the TAP"))?;
        }
        let header_len: c_int = 10;
        const { assert!(VNET_HEADER_LEN == 10) };
        // SAFETY: TUNSETVNETHDRSZ reads one int.
        unsafe {
            rustix::ioctl::ioctl(&file, Setter::<TUNSETVNETHDRSZ, c_int>::new(header_len))
                .map_err(failed("setting the header length"))?;
        }
        let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
        // USO came with Linux 6.2; without it the kernel cuts such packets before we see them.
        // SAFETY: see `Offload`.
        unsafe {
            rustix::ioctl::ioctl(&file, Offload(tcp | TUN_F_USO4 | TUN_F_USO6))
                .or_else(|_| rustix::ioctl::ioctl(&file, Offload(tcp)))
                .map_err(failed("switching on segmentation offload"))?;
        }
        Ok(Tap {
            file,
            name: name.to_owned(),
        })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's index.
    ///
    /// # Errors
    /// `NoInterface` if somebody has removed it.
    pub fn ifindex(&self) -> Result<u32, Error> {
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::DGRAM,
            None,
        )
        .map_err(|errno| Error::io("opening a socket", "AF_INET")(errno.into()))?;
        rustix::net::netdevice::name_to_index(&socket, &self.name)
            .map_err(|_| Error::NoInterface(0))
    }

    /// Reads one frame with its [`VnetHeader`] in front; see [`VnetHeader::split`]. A frame longer than the buffer
    /// is cut: 64 KiB and [`fastpath_core::abi::UPCALL_HEADER_LEN`] and the headers are always enough.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (&self.file).read(buffer)
    }

    /// Writes one frame. It is re-injected as its source MAC address says, see
    /// [`fastpath_core::abi::encode_output`].
    ///
    /// # Errors
    /// When the kernel does not take the frame: shorter than an Ethernet header, a [`VnetHeader`] that
    /// contradicts it, or the interface is down.
    pub fn write(&self, header: VnetHeader, frame: &[u8]) -> std::io::Result<()> {
        let header = header.to_bytes();
        let parts = [std::io::IoSlice::new(&header), std::io::IoSlice::new(frame)];
        // The device takes a frame whole or not at all.
        (&self.file).write_vectored(&parts).map(drop)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// Opens the device from which TAPs are made.
pub(crate) fn clone_device() -> Result<File, Error> {
    use std::os::unix::fs::OpenOptionsExt;
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nonblocking)
        .open(DEVICE)
        .map_err(Error::io("opening the device", DEVICE))
}
