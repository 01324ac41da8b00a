//! The region's certificate authority, and keys.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::{Error, NAME, certificate};

/// The authority's name.
const AUTHORITY: &str = "Polder region authority";
/// How long the authority's own certificate holds.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 86_400);
/// How far clocks may differ: certificates hold that much earlier.
const SKEW: Duration = Duration::from_secs(300);
/// An uncompressed point of P-256 (SEC 1 section 2.3.3).
const POINT: usize = 65;

/// A certificate's SHA-256, in hexadecimal.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> String {
    hex(&Sha256::digest(certificate))
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A private key (ECDSA over P-256).
pub struct Key {
    pair: KeyPair,
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new() -> Result<Key, Error> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(certificate)?;
        Ok(Key { pair })
    }

    /// One that was written by [`Key::to_pem`].
    ///
    /// # Errors
    /// If it is none.
    pub fn from_pem(text: &str) -> Result<Key, Error> {
        let pair = KeyPair::from_pem(text).map_err(certificate)?;
        Ok(Key { pair })
    }

    /// As text (PKCS #8, PEM).
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// Its public half, which a certificate is asked for with. Whoever asks for one with another's key gets nothing
    /// that is of use without the private half, so that nothing else has to be proved.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        self.pair.public_key_raw().to_vec()
    }

    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into()
    }
}

/// Somebody's public key.
struct Public(Vec<u8>);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// The certificate authority of a region.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// The authority that is kept in this directory, in `authority.key` and `authority.crt`; a new one if there is
    /// none. Only the owner may read the key.
    ///
    /// # Errors
    /// If the files cannot be read or written, or are no key and no certificate.
    pub fn open(dir: &Path, now: SystemTime) -> Result<Authority, Error> {
        let (key, crt) = (dir.join("authority.key"), dir.join("authority.crt"));
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| Error::Io {
                doing: format!("cannot read `{}`", path.display()),
                source,
            })
        };
        if !key.exists() || !crt.exists() {
            let pair = Key::new()?;
            let made = params(now, AUTHORITY_LIFE)?
                .self_signed(&pair.pair)
                .map_err(certificate)?;
            keep(&crt, &made.pem())?;
            // The key last: with it, the authority is whole.
            keep(&key, &pair.to_pem())?;
        }
        let pair = Key::from_pem(&read(&key)?)?.pair;
        let certificate =
            CertificateDer::from_pem_slice(read(&crt)?.as_bytes()).map_err(certificate)?;
        Ok(Authority {
            issuer: Issuer::new(params(now, AUTHORITY_LIFE)?, pair),
            certificate,
        })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The SHA-256 of its certificate: what tokens name it by.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// A certificate for a host's key, in DER.
    ///
    /// # Errors
    /// If the key is none of P-256.
    pub fn sign_host(
        &self,
        host: &str,
        public: &[u8],
        now: SystemTime,
        life: Duration,
    ) -> Result<Vec<u8>, Error> {
        if public.len() != POINT || public.first() != Some(&4) {
            return Err(certificate("it is no key of P-256"));
        }
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.sign(host, &Public(public.to_vec()), usage, now, life)
    }

    /// A certificate for the controller's own key, in DER.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn sign_controller(
        &self,
        key: &Key,
        now: SystemTime,
        life: Duration,
    ) -> Result<CertificateDer<'static>, Error> {
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let public = Public(key.public());
        self.sign(NAME, &public, usage, now, life).map(Into::into)
    }

    fn sign(
        &self,
        name: &str,
        public: &Public,
        usage: ExtendedKeyUsagePurpose,
        now: SystemTime,
        life: Duration,
    ) -> Result<Vec<u8>, Error> {
        let mut wanted = CertificateParams::new(vec![name.to_owned()]).map_err(certificate)?;
        wanted.distinguished_name = DistinguishedName::new();
        wanted.distinguished_name.push(DnType::CommonName, name);
        (wanted.not_before, wanted.not_after) = holds(now, life);
        wanted.use_authority_key_identifier_extension = true;
        wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        wanted.extended_key_usages = vec![usage];
        let signed = wanted
            .signed_by(public, &self.issuer)
            .map_err(certificate)?;
        Ok(signed.der().to_vec())
    }
}

fn holds(now: SystemTime, life: Duration) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::from(now);
    (now - SKEW, now + life)
}

fn params(now: SystemTime, life: Duration) -> Result<CertificateParams, Error> {
    let mut wanted = CertificateParams::new(Vec::new()).map_err(certificate)?;
    wanted.distinguished_name = DistinguishedName::new();
    wanted
        .distinguished_name
        .push(DnType::CommonName, AUTHORITY);
    (wanted.not_before, wanted.not_after) = holds(now, life);
    wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(wanted)
}

/// Writes a file that only its owner may read, whole or not at all.
fn keep(path: &Path, text: &str) -> Result<(), Error> {
    let kept = || {
        let part = path.with_extension("part");
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    kept().map_err(|source| Error::Io {
        doing: format!("cannot write `{}`", path.display()),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_authority_is_kept_and_its_key_is_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let first = Authority::open(dir.path(), now).unwrap();
        let again = Authority::open(dir.path(), now + Duration::from_secs(60)).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        let mode = fs::metadata(dir.path().join("authority.key"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let life = Duration::from_secs(60);
        assert!(again.sign_host("host-1", &[4; 64], now, life).is_err());
        assert!(again.sign_host("host-1", &[5; 65], now, life).is_err());
        let key = Key::new().unwrap();
        assert!(again.sign_host("host-1", &key.public(), now, life).is_ok());
        assert_eq!(Key::from_pem(&key.to_pem()).unwrap().public(), key.public());
    }
}
