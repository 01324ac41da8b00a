//! The words that the kernel program and this process share.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use fastpath_core::template::{MAP_USAGE, USAGE_WORDS, Usage};

use crate::Error;

const BYTES: usize = (USAGE_WORDS as usize * 8).next_multiple_of(4096);

/// The map of shared words, in this process's memory.
#[derive(Debug)]
pub struct SharedUsage {
    words: NonNull<AtomicU64>,
}

// SAFETY: the memory is shared with the kernel anyway, and only reached through atomics.
unsafe impl Send for SharedUsage {}
// SAFETY: as above.
unsafe impl Sync for SharedUsage {}

impl SharedUsage {
    /// Maps the map.
    pub(crate) fn new(map: &OwnedFd) -> Result<SharedUsage, Error> {
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        let words = NonNull::new(address.cast()).filter(|_| address != libc::MAP_FAILED);
        match words {
            Some(words) => Ok(SharedUsage { words }),
            None => Err(Error::io("mapping", MAP_USAGE)(
                std::io::Error::last_os_error(),
            )),
        }
    }
}

impl Usage for SharedUsage {
    fn word(&self, index: u32) -> &AtomicU64 {
        let index = index.min(USAGE_WORDS - 1) as usize;
        // SAFETY: within the mapping, which lives as long as `self`, and aligned as a page is.
        unsafe { self.words.add(index).as_ref() }
    }
}

impl Drop for SharedUsage {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, to which no reference is left.
        unsafe { libc::munmap(self.words.as_ptr().cast(), BYTES) };
    }
}
