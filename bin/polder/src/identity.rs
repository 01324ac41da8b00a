//! Who a host is: what it got when it joined.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use link::Key;
use serde::{Deserialize, Serialize};
use topology::Uplink;
use types::HostId;

/// The file in the state directory. It has the private key: only its owner may read it.
const FILE: &str = "identity.json";

/// A host's identity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its identifier.
    pub(crate) host: HostId,
    /// Its private key (PKCS #8, PEM).
    key: String,
    /// Its certificate, in DER.
    pub(crate) certificate: Vec<u8>,
    /// The certificate of the region's authority, in DER.
    pub(crate) authority: Vec<u8>,
    /// When it asks for the next certificate, in seconds since 1970-01-01T00:00:00Z.
    renew_at: u64,
    /// The pool of public addresses, and the host's own in it.
    pub(crate) uplink: Uplink,
}

impl Identity {
    /// A new one. `life` is how many seconds the certificate holds.
    pub(crate) fn new(
        host: HostId,
        key: &Key,
        certificate: Vec<u8>,
        life: u64,
        authority: Vec<u8>,
        uplink: Uplink,
    ) -> Identity {
        Identity {
            host,
            key: key.to_pem(),
            certificate,
            authority,
            renew_at: renew_at(life),
            uplink,
        }
    }

    /// The identity in the state directory, if there is one.
    pub(crate) fn load(dir: &Path) -> anyhow::Result<Option<Identity>> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        };
        let identity = serde_json::from_slice(&text);
        identity
            .map(Some)
            .with_context(|| format!("`{}` is not what a host keeps", path.display()))
    }

    /// Keeps it, whole or not at all.
    pub(crate) fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(FILE);
        let kept = || -> io::Result<()> {
            fs::create_dir_all(dir)?;
            let part = dir.join("identity.json.part");
            remove(&part)?;
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&part)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            // The name is on the disk once the directory is.
            fs::File::open(dir)?.sync_all()
        };
        kept().with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Forgets it: the region knows this host no more.
    pub(crate) fn forget(dir: &Path) -> anyhow::Result<()> {
        let path: PathBuf = dir.join(FILE);
        remove(&path).with_context(|| format!("cannot remove `{}`", path.display()))
    }

    /// Its private key.
    pub(crate) fn key(&self) -> Result<Key, link::Error> {
        Key::from_pem(&self.key)
    }

    /// Takes another certificate, of this key.
    pub(crate) fn renew(&mut self, key: &Key, certificate: Vec<u8>, life: u64) {
        self.key = key.to_pem();
        self.certificate = certificate;
        self.renew_at = renew_at(life);
    }

    /// How long until it asks for the next certificate.
    pub(crate) fn until_renewal(&self) -> Duration {
        Duration::from_secs(self.renew_at.saturating_sub(seconds()))
    }
}

/// A certificate is renewed when a third of its life has passed: two thirds are left for a controller to come back.
fn renew_at(life: u64) -> u64 {
    seconds().saturating_add(life / 3)
}

fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Identity::load(dir.path()).unwrap().is_none());
        let uplink = Uplink {
            pool: "203.0.113.0/24".parse().unwrap(),
            host: "203.0.113.1".parse().unwrap(),
            internet: false,
            ipv6: None,
        };
        let key = Key::new().unwrap();
        let host = HostId::from_bits(1);
        let mut identity = Identity::new(host, &key, vec![1], 90, vec![2], uplink);
        assert!((25..=30).contains(&identity.until_renewal().as_secs()));
        identity.save(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let next = Key::new().unwrap();
        identity.renew(&next, vec![3], 0);
        identity.save(dir.path()).unwrap();
        let read = Identity::load(dir.path()).unwrap().unwrap();
        assert_eq!(read.certificate, [3]);
        assert_eq!(read.key().unwrap().public(), next.public());
        assert_eq!(read.until_renewal(), Duration::ZERO);
        Identity::forget(dir.path()).unwrap();
        assert!(Identity::load(dir.path()).unwrap().is_none());
    }
}
