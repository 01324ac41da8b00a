//! What the server gives clients to keep for it: nobody else can read or make it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

/// Octets of a nonce. Random ones of this length do not repeat (XChaCha20, draft-irtf-cfrg-xchacha section 2.1).
const NONCE: usize = 24;
const KEY: usize = 32;
/// The longest sealed text that is looked at, in characters.
const MAX_SEALED: usize = 32 * 1024;

/// A key that seals.
pub(crate) struct Seal(XChaCha20Poly1305);

/// What a sealed text is for. One that was sealed for something else does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A session's token.
    Session,
    /// An encoded authorization message.
    Message,
}

impl Purpose {
    const fn name(self) -> &'static [u8] {
        match self {
            Purpose::Session => b"session",
            Purpose::Message => b"message",
        }
    }
}

impl Seal {
    /// The seal of this key: 32 octets.
    pub(crate) fn of(key: &[u8]) -> Option<Seal> {
        if key.len() != KEY {
            return None;
        }
        XChaCha20Poly1305::new_from_slice(key).ok().map(Seal)
    }

    /// A new seal with its key; `None` if the system gives no random numbers.
    pub(crate) fn random() -> Option<(Seal, Vec<u8>)> {
        let mut key = vec![0; KEY];
        getrandom::fill(&mut key).ok()?;
        Some((Seal::of(&key)?, key))
    }

    /// Seals; `None` if the system gives no random numbers.
    pub(crate) fn seal(&self, purpose: Purpose, text: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload {
            msg: text,
            aad: purpose.name(),
        };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what [`Seal::seal`] made; `None` for everything else.
    pub(crate) fn open(&self, purpose: Purpose, sealed: &str) -> Option<Vec<u8>> {
        if sealed.len() > MAX_SEALED {
            return None;
        }
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let payload = Payload {
            msg: sealed,
            aad: purpose.name(),
        };
        self.0.decrypt(&XNonce::from(nonce), payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_for_this_opens() {
        let (seal, key) = Seal::random().unwrap();
        let sealed = seal.seal(Purpose::Session, b"text").unwrap();
        assert_ne!(sealed, seal.seal(Purpose::Session, b"text").unwrap());
        let again = Seal::of(&key).unwrap();
        assert_eq!(again.open(Purpose::Session, &sealed).unwrap(), b"text");
        assert_eq!(again.open(Purpose::Message, &sealed), None);
        let (other, _) = Seal::random().unwrap();
        assert_eq!(other.open(Purpose::Session, &sealed), None);
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(
                seal.open(Purpose::Session, &STANDARD.encode(&bytes)),
                None,
                "{at}"
            );
            bytes[at] ^= 1;
        }
        for garbage in ["", "x", "====", &"A".repeat(MAX_SEALED + 4)] {
            assert_eq!(seal.open(Purpose::Session, garbage), None);
        }
        assert!(Seal::of(&key[1..]).is_none());
    }
}
