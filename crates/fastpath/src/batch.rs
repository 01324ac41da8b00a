//! Reading many elements of the flow table in one system call.

use std::os::fd::{AsRawFd as _, OwnedFd};

use fastpath_core::abi::{Flow, FlowKey};

/// `BPF_MAP_LOOKUP_BATCH` of `linux/bpf.h`.
const LOOKUP_BATCH: libc::c_long = 24;

/// The part of `union bpf_attr` that the command reads.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// A walk through the table that goes on where it stopped. What comes or goes meanwhile may be met or not; what stays
/// is met once.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    bucket: Option<u32>,
    keys: Vec<FlowKey>,
    flows: Vec<Flow>,
}

impl Cursor {
    /// The next elements, `budget` or fewer, and whether these were the last: then the walk begins anew.
    pub(crate) fn next(
        &mut self,
        map: &OwnedFd,
        budget: usize,
    ) -> std::io::Result<(impl Iterator<Item = (FlowKey, Flow)> + use<'_>, bool)> {
        let mut room = budget.max(1);
        let (count, last) = loop {
            self.keys.resize(room, FlowKey::default());
            self.flows.resize(room, Flow::default());
            match self.read(map) {
                // A bucket that does not fit.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < 1 << 20 => {
                    room *= 2;
                }
                other => break other?,
            }
        };
        let elements = self.keys.iter().copied().zip(self.flows.iter().copied());
        Ok((elements.take(count), last))
    }

    fn read(&mut self, map: &OwnedFd) -> std::io::Result<(usize, bool)> {
        let mut start = self.bucket.unwrap_or_default();
        let mut stop = 0u32;
        let mut attributes = Attributes {
            in_batch: match self.bucket {
                Some(_) => (&raw mut start) as u64,
                None => 0,
            },
            out_batch: (&raw mut stop) as u64,
            keys: self.keys.as_mut_ptr() as u64,
            values: self.flows.as_mut_ptr() as u64,
            count: u32::try_from(self.keys.len()).unwrap_or(u32::MAX),
            map_fd: map.as_raw_fd().cast_unsigned(),
            ..Attributes::default()
        };
        // SAFETY: the kernel writes at most `count` records of the map's own key and value types, which have no
        // invalid bit patterns, and one word at `out_batch`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                LOOKUP_BATCH,
                &raw mut attributes,
                size_of::<Attributes>(),
            )
        };
        let error = std::io::Error::last_os_error();
        let last = result != 0 && error.raw_os_error() == Some(libc::ENOENT);
        if result != 0 && !last {
            return Err(error);
        }
        self.bucket = (!last).then_some(stop);
        Ok((attributes.count as usize, last))
    }
}
