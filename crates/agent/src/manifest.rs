//! What the agent has made on this host, written down before it is made.
//!
//! A later agent with the same state directory reads it: what stands in it is ours to adopt or remove, whatever
//! else there is on the host is not.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{InstanceId, InterfaceId};

use crate::StartError;

const VERSION: u32 = 1;
const FILE: &str = "host.json";

/// The manifest and its file.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    record: Record,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    /// The uplink's veth pair may exist.
    uplink: bool,
    /// The table of `nft` may exist.
    nft: bool,
    instances: BTreeMap<InstanceId, Entry>,
}

/// An instance that may exist on this host.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The start that its namespace belongs to.
    pub(crate) boot: u64,
    /// Whether that start came to its end: addresses are set and user data was started.
    pub(crate) booted: bool,
    /// Its interfaces, by device index.
    pub(crate) interfaces: BTreeMap<u32, InterfaceId>,
}

impl Manifest {
    /// Reads the manifest of a state directory, which is made if it is missing.
    pub(crate) fn open(state_dir: &Path) -> Result<Manifest, StartError> {
        let path = state_dir.join(FILE);
        let unreadable = |reason: String| StartError::Manifest {
            path: path.clone(),
            reason,
        };
        let text = fs::create_dir_all(state_dir).and_then(|()| fs::read(&path));
        let record = match text {
            Ok(text) => {
                let version = serde_json::from_slice::<serde_json::Value>(&text)
                    .ok()
                    .and_then(|value| value.get("version")?.as_u64());
                if version != Some(u64::from(VERSION)) {
                    return Err(unreadable(format!("its version is not {VERSION}")));
                }
                serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record {
                version: VERSION,
                uplink: false,
                nft: false,
                instances: BTreeMap::new(),
            },
            Err(error) => return Err(unreadable(error.to_string())),
        };
        Ok(Manifest { path, record })
    }

    /// Whether the uplink's interfaces may exist.
    pub(crate) fn uplink(&self) -> bool {
        self.record.uplink
    }

    /// Whether the table of `nft` may exist.
    pub(crate) fn nft(&self) -> bool {
        self.record.nft
    }

    /// The instances that may exist.
    pub(crate) fn instances(&self) -> &BTreeMap<InstanceId, Entry> {
        &self.record.instances
    }

    pub(crate) fn set_uplink(&mut self, exists: bool) -> io::Result<()> {
        self.change(|record| record.uplink = exists)
    }

    pub(crate) fn set_nft(&mut self, exists: bool) -> io::Result<()> {
        self.change(|record| record.nft = exists)
    }

    /// Records an instance, or with `None` that nothing of it is left.
    pub(crate) fn set_instance(
        &mut self,
        instance: InstanceId,
        entry: Option<Entry>,
    ) -> io::Result<()> {
        self.change(|record| {
            match entry {
                Some(entry) => record.instances.insert(instance, entry),
                None => record.instances.remove(&instance),
            };
        })
    }

    /// Removes the file, once nothing that it names is left.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A kill leaves the old file or the new one, never a part. A crash of the machine may lose the last change,
    /// but then the namespaces and interfaces are gone as well.
    fn change(&mut self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let mut record = self.record.clone();
        change(&mut record);
        if record == self.record && self.path.exists() {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&record).map_err(io::Error::other)?;
        let new = self.path.with_extension("json.new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.path)?;
        self.record = record;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let id = InstanceId::from_bits(7);
        let entry = Entry {
            boot: 3,
            booted: true,
            interfaces: BTreeMap::from([(0, InterfaceId::from_bits(9))]),
        };
        let mut manifest = Manifest::open(dir.path()).unwrap();
        manifest.set_uplink(true).unwrap();
        manifest.set_instance(id, Some(entry.clone())).unwrap();

        let mut again = Manifest::open(dir.path()).unwrap();
        assert!(again.uplink() && !again.nft());
        assert_eq!(again.instances(), &BTreeMap::from([(id, entry)]));
        again.set_instance(id, None).unwrap();
        assert!(Manifest::open(dir.path()).unwrap().instances().is_empty());
        again.remove().unwrap();
        assert!(!Manifest::open(dir.path()).unwrap().uplink());
    }

    #[test]
    fn another_version_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["{\"version\": 2}", "", "[]", "{\"version\": 1}"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            let error = Manifest::open(dir.path()).unwrap_err();
            assert!(matches!(error, StartError::Manifest { .. }), "{text}");
        }
    }
}
