//! Typed maps over the records of `fastpath-core`.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};

use aya::maps::{Array, HashMap, Map, MapData, MapError, MapKeys, PerCpuArray, PerCpuHashMap};
use fastpath_core::Template;
use fastpath_core::abi::{Config, DropKey, Flow, FlowKey, Port, PortCounters};

use rustix::io::Errno;

use crate::Error;

macro_rules! records {
    ($($name:ident: $record:ty;)+) => { $(
        /// A record as the `bpf` system call copies it.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[repr(transparent)]
        pub(crate) struct $name(pub(crate) $record);
        // SAFETY: the record is `repr(C)` and consists of integers and byte arrays; its size assertions and
        // explicit padding leave no byte without a value, and every bit pattern is valid.
        unsafe impl aya::Pod for $name {}
    )+ };
}

records! {
    ConfigRecord: Config;
    PortRecord: Port;
    FlowKeyRecord: FlowKey;
    FlowRecord: Flow;
    DropKeyRecord: DropKey;
    CountersRecord: PortCounters;
    TemplateRecord: Template;
}

/// The program's maps.
pub(crate) struct Maps {
    pub(crate) config: Array<MapData, ConfigRecord>,
    pub(crate) ports: Array<MapData, PortRecord>,
    pub(crate) flows: HashMap<MapData, FlowKeyRecord, FlowRecord>,
    pub(crate) drops: PerCpuHashMap<MapData, DropKeyRecord, u64>,
    pub(crate) counters: PerCpuArray<MapData, CountersRecord>,
    pub(crate) templates: HashMap<MapData, FlowKeyRecord, TemplateRecord>,
    pub(crate) generations: Array<MapData, u32>,
}

/// Gives an error of a map its name, and a full map its own variant.
pub(crate) fn named(name: &'static str) -> impl FnOnce(MapError) -> Error {
    move |source| match errno(&source) {
        Some(Errno::TOOBIG | Errno::NOMEM) => Error::Full(name),
        _ => Error::Map { name, source },
    }
}

/// An absent key is `None`.
pub(crate) fn found<T>(result: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound | MapError::ElementNotFound)
        || errno(error) == Some(Errno::NOENT)
}

/// What the kernel said, if it was the kernel.
fn errno(error: &MapError) -> Option<Errno> {
    if let MapError::SyscallError(error) = error {
        Errno::from_io_error(&error.io_error)
    } else {
        None
    }
}

/// Whether the key was there and should not have been.
pub(crate) fn is_taken(error: &MapError) -> bool {
    errno(error) == Some(Errno::EXIST)
}

/// A descriptor of a map, for what aya has no call for.
pub(crate) fn descriptor(ebpf: &aya::Ebpf, name: &'static str) -> Result<OwnedFd, Error> {
    let Some(Map::Array(data) | Map::HashMap(data)) = ebpf.map(name) else {
        return Err(Error::Incomplete(name));
    };
    let fd = data.fd().as_fd().try_clone_to_owned();
    fd.map_err(Error::io("copying the descriptor of", name))
}

/// Every key of a map, at most twice `bound`: others may change the map meanwhile, which makes the kernel start over.
pub(crate) fn keys<K: aya::Pod + Ord>(
    keys: MapKeys<'_, K>,
    bound: u32,
) -> Result<BTreeSet<K>, MapError> {
    keys.take(bound as usize * 2).collect()
}

pub(crate) fn take<T: TryFrom<Map, Error = MapError>>(
    ebpf: &mut aya::Ebpf,
    name: &'static str,
) -> Result<T, Error> {
    let map = ebpf.take_map(name).ok_or(Error::Incomplete(name))?;
    T::try_from(map).map_err(named(name))
}

impl PartialOrd for DropKeyRecord {
    fn partial_cmp(&self, other: &DropKeyRecord) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DropKeyRecord {
    fn cmp(&self, other: &DropKeyRecord) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for FlowKeyRecord {
    fn partial_cmp(&self, other: &FlowKeyRecord) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FlowKeyRecord {
    fn cmp(&self, other: &FlowKeyRecord) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
