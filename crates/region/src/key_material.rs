//! Keys of key pairs: making them, reading public ones, and EC2's fingerprints of them.
//!
//! Wire forms: SSH's public keys are those of RFC 4253 section 6.6 and RFC 8709 section 4, their files those of RFC 4716
//! and of OpenSSH; RSA's private keys are PKCS #1 (RFC 8017 appendix A.1.2).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rsa::pkcs1::{EncodeRsaPrivateKey as _, RsaPrivateKey as Pkcs1};
use rsa::pkcs8::der::Decode as _;
use rsa::pkcs8::{DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, PrivateKey as RsaPrivateKey, PublicKey as RsaPublicKey};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;

/// EC2: RSA keys that it makes have 2048 bits.
const RSA_BITS: usize = 2048;
/// EC2: "The supported lengths are 1024, 2048, and 4096."
const IMPORTED_RSA_BITS: [u32; 3] = [1024, 2048, 4096];
/// No public key in any of the forms is longer, in octets.
const MAX_PUBLIC: usize = 16_384;

/// The kind of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// RSA.
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl KeyType {
    /// EC2's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            KeyType::Rsa => "rsa",
            KeyType::Ed25519 => "ed25519",
        }
    }

    const fn ssh_name(self) -> &'static str {
        match self {
            KeyType::Rsa => "ssh-rsa",
            KeyType::Ed25519 => "ssh-ed25519",
        }
    }
}

/// The file that a new private key is told in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyFormat {
    /// PKCS #1 for RSA, OpenSSH's own for Ed25519.
    Pem,
    /// PuTTY's, version 2.
    Ppk,
}

/// A public key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PublicKey {
    pub(crate) kind: KeyType,
    /// As it goes over the wire of SSH.
    blob: Vec<u8>,
}

impl PublicKey {
    /// The line of `authorized_keys`, without a comment.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.kind.ssh_name(), STANDARD.encode(&self.blob))
    }
}

/// A new key pair.
pub(crate) struct Generated {
    pub(crate) public: PublicKey,
    pub(crate) fingerprint: String,
    /// The private key's file.
    pub(crate) material: String,
}

/// SSH's `string` (RFC 4251 section 5).
fn put(out: &mut Vec<u8>, octets: &[u8]) {
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.extend(octets);
}

/// SSH's `mpint` of a number that is not negative: no zeros in front but the one that keeps the sign.
fn put_number(out: &mut Vec<u8>, octets: &[u8]) {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let digits = octets.get(zeros..).unwrap_or_default();
    let signed: Vec<u8> = if digits.first().is_some_and(|first| *first >= 0x80) {
        std::iter::once(0).chain(digits.iter().copied()).collect()
    } else {
        digits.to_vec()
    };
    put(out, &signed);
}

fn rsa_blob(key: &impl rsa::traits::PublicKeyParts) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, KeyType::Rsa.ssh_name().as_bytes());
    put_number(&mut blob, &key.e_bytes());
    put_number(&mut blob, &key.n_bytes());
    blob
}

/// Octets in hexadecimal with colons between them.
fn colons(octets: &[u8]) -> String {
    let pairs: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    pairs.join(":")
}

/// The digest that OpenSSH shows of a key; EC2 shows it of every Ed25519 key.
fn ssh_fingerprint(blob: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(blob))
}

/// A new RSA key. Making one takes a good part of a second.
#[derive(Clone)]
pub(crate) struct RsaKey(Arc<RsaPrivateKey>);

impl RsaKey {
    /// The key that a seed gives. `None` if none can be made, which no randomness is known to cause.
    pub(crate) fn new(seed: [u8; 32]) -> Option<RsaKey> {
        let mut random = ChaCha20Rng::from_seed(seed);
        let key = RsaPrivateKey::new(&mut random, RSA_BITS).ok()?;
        Some(RsaKey(Arc::new(key)))
    }
}

/// 256 random bits. `random` gives 128 at each call.
pub(crate) fn seed(random: &dyn Fn() -> u128) -> [u8; 32] {
    let mut seed = [0; 32];
    let (left, right) = seed.split_at_mut(16);
    left.copy_from_slice(&random().to_be_bytes());
    right.copy_from_slice(&random().to_be_bytes());
    seed
}

/// A key pair of an RSA key. `None` if it cannot be encoded, which no key is known to cause.
pub(crate) fn of_rsa(RsaKey(key): &RsaKey, format: KeyFormat, name: &str) -> Option<Generated> {
    // EC2: "the SHA-1 digest of the DER encoded private key", which is the one of PKCS #8.
    let fingerprint = colons(&Sha1::digest(key.to_pkcs8_der().ok()?.as_bytes()));
    let public = PublicKey {
        kind: KeyType::Rsa,
        blob: rsa_blob(key.as_ref()),
    };
    let material = match format {
        KeyFormat::Pem => key.to_pkcs1_pem(LineEnding::LF).ok()?.trim_end().to_owned(),
        KeyFormat::Ppk => {
            let der = key.to_pkcs1_der().ok()?;
            let parts =
                Pkcs1::<rsa::pkcs8::der::asn1::UintRef<'_>>::from_der(der.as_bytes()).ok()?;
            let mut private = Vec::new();
            for part in [
                &parts.private_exponent,
                &parts.prime1,
                &parts.prime2,
                &parts.coefficient,
            ] {
                put_number(&mut private, part.as_bytes());
            }
            putty(&public, name, &private)?
        }
    };
    Some(Generated {
        public,
        fingerprint,
        material,
    })
}

/// A new Ed25519 key pair. `random` gives 128 random bits at each call.
pub(crate) fn new_ed25519(format: KeyFormat, name: &str, random: &dyn Fn() -> u128) -> Generated {
    let seed = seed(random);
    let key = SigningKey::from_bytes(&seed);
    let point = key.verifying_key().to_bytes();
    let mut blob = Vec::new();
    put(&mut blob, KeyType::Ed25519.ssh_name().as_bytes());
    put(&mut blob, &point);
    let public = PublicKey {
        kind: KeyType::Ed25519,
        blob,
    };
    let material = match format {
        KeyFormat::Pem => {
            let check = random().to_be_bytes();
            open_ssh(&public, &seed, &point, check.get(..4).unwrap_or_default())
        }
        KeyFormat::Ppk => {
            // PuTTY keeps the seed as a little-endian number without zeros at its end.
            let zeros = seed.iter().rev().take_while(|octet| **octet == 0).count();
            let mut private = Vec::new();
            let number = seed.get(..seed.len().saturating_sub(zeros));
            put(&mut private, number.unwrap_or_default());
            putty(&public, name, &private).unwrap_or_default()
        }
    };
    let fingerprint = ssh_fingerprint(&public.blob);
    Generated {
        public,
        fingerprint,
        material,
    }
}

/// Text in lines of that many characters, each ended.
fn lines(text: &str, width: usize) -> String {
    let mut lines = String::new();
    for (place, character) in text.chars().enumerate() {
        if place > 0 && place % width == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines.push('\n');
    lines
}

/// OpenSSH's private key file of an Ed25519 key, without a passphrase (OpenSSH `PROTOCOL.key`).
fn open_ssh(public: &PublicKey, seed: &[u8; 32], point: &[u8; 32], check: &[u8]) -> String {
    let mut private = Vec::new();
    private.extend(check);
    private.extend(check);
    put(&mut private, public.kind.ssh_name().as_bytes());
    put(&mut private, point);
    put(&mut private, &[seed.as_slice(), point].concat());
    put(&mut private, b"");
    // Padded with 1, 2, 3, … to the block size of no cipher, 8.
    for pad in 1u8.. {
        if private.len().is_multiple_of(8) {
            break;
        }
        private.push(pad);
    }
    let mut file = b"openssh-key-v1\0".to_vec();
    put(&mut file, b"none");
    put(&mut file, b"none");
    put(&mut file, b"");
    file.extend(1u32.to_be_bytes());
    put(&mut file, &public.blob);
    put(&mut file, &private);
    format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}-----END OPENSSH PRIVATE KEY-----\n",
        lines(&STANDARD.encode(file), 70)
    )
}

/// PuTTY's private key file, version 2, without a passphrase (PuTTY's manual, appendix C).
fn putty(public: &PublicKey, name: &str, private: &[u8]) -> Option<String> {
    let algorithm = public.kind.ssh_name();
    let mut covered = Vec::new();
    for part in [
        algorithm.as_bytes(),
        b"none",
        name.as_bytes(),
        &public.blob,
        private,
    ] {
        put(&mut covered, part);
    }
    let key = Sha1::digest(b"putty-private-key-file-mac-key");
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).ok()?;
    mac.update(&covered);
    let mac = colons(&mac.finalize().into_bytes()).replace(':', "");
    let (shown, hidden) = (
        lines(&STANDARD.encode(&public.blob), 64),
        lines(&STANDARD.encode(private), 64),
    );
    Some(format!(
        "PuTTY-User-Key-File-2: {algorithm}\nEncryption: none\nComment: {name}\nPublic-Lines: {}\n{shown}\
         Private-Lines: {}\n{hidden}Private-MAC: {mac}",
        shown.lines().count(),
        hidden.lines().count(),
    ))
}

/// Reads a public key in one of the forms that `ImportKeyPair` takes: OpenSSH's line, RFC 4716's file, and base64 of
/// DER with or without PEM's armour. With it EC2's fingerprint of an imported key.
pub(crate) fn import(material: &[u8]) -> Option<(PublicKey, String)> {
    if material.len() > MAX_PUBLIC {
        return None;
    }
    let text = std::str::from_utf8(material).ok()?.trim();
    let public = if text.starts_with("ssh-") {
        let mut words = text.split_ascii_whitespace();
        let name = words.next()?;
        let public = of_blob(&STANDARD.decode(words.next()?).ok()?)?;
        (public.kind.ssh_name() == name).then_some(public)?
    } else if text.starts_with("---- BEGIN SSH2 PUBLIC KEY ----") {
        of_blob(&STANDARD.decode(rfc4716_body(text)?).ok()?)?
    } else {
        let body: String = text
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .flat_map(str::split_ascii_whitespace)
            .collect();
        let key = RsaPublicKey::from_public_key_der(&STANDARD.decode(body).ok()?).ok()?;
        PublicKey {
            kind: KeyType::Rsa,
            blob: rsa_blob(&key),
        }
    };
    let fingerprint = match public.kind {
        KeyType::Ed25519 => ssh_fingerprint(&public.blob),
        KeyType::Rsa => {
            let key = rsa_of(&public.blob)?;
            // EC2: "the MD5 public key fingerprint as specified in section 4 of RFC 4716", of the key's DER.
            colons(&Md5::digest(key.to_public_key_der().ok()?.as_bytes()))
        }
    };
    Some((public, fingerprint))
}

/// The base64 of an RFC 4716 file: without its headers, which a backslash continues on the next line.
fn rfc4716_body(text: &str) -> Option<String> {
    let mut body = String::new();
    let mut in_header = false;
    for line in text.lines().skip(1) {
        let line = line.trim_end();
        if line == "---- END SSH2 PUBLIC KEY ----" {
            return Some(body);
        }
        if in_header || line.contains(':') {
            in_header = line.ends_with('\\');
        } else {
            body.push_str(line);
        }
    }
    None
}

/// Takes SSH's `string` off the front.
fn take<'o>(octets: &mut &'o [u8]) -> Option<&'o [u8]> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (taken, rest) = rest.split_at_checked(length)?;
    *octets = rest;
    Some(taken)
}

fn rsa_of(blob: &[u8]) -> Option<RsaPublicKey> {
    let mut rest = blob;
    let name = take(&mut rest)?;
    let (e, n) = (take(&mut rest)?, take(&mut rest)?);
    if name != KeyType::Rsa.ssh_name().as_bytes() || !rest.is_empty() {
        return None;
    }
    let number = BoxedUint::from_be_slice_vartime;
    let key = RsaPublicKey::new(number(n), number(e)).ok()?;
    IMPORTED_RSA_BITS
        .contains(&key.n().bit_width_vartime())
        .then_some(key)
}

fn of_blob(blob: &[u8]) -> Option<PublicKey> {
    let mut rest = blob;
    let kind = match take(&mut rest)? {
        b"ssh-rsa" => {
            let key = rsa_of(blob)?;
            return Some(PublicKey {
                kind: KeyType::Rsa,
                blob: rsa_blob(&key),
            });
        }
        b"ssh-ed25519" => KeyType::Ed25519,
        _ => return None,
    };
    (take(&mut rest)?.len() == 32 && rest.is_empty()).then(|| PublicKey {
        kind,
        blob: blob.to_vec(),
    })
}
