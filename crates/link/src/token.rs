//! What a machine joins with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::authority::hex;
use crate::{Error, certificate};

/// What stands before the rest.
const PREFIX: &str = "polder-join-";

/// A token: a secret that is good once, and the fingerprint of the authority whose controller takes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: [u8; 32],
    authority: [u8; 32],
}

impl Token {
    /// A new token for the controller of this authority, which is named by the SHA-256 of its certificate.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new(authority: [u8; 32]) -> Result<Token, Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(certificate)?;
        Ok(Token { secret, authority })
    }

    /// The SHA-256 of the secret, in hexadecimal: what is kept of it. A secret of 256 random bits needs no salt.
    #[must_use]
    pub fn hash(&self) -> String {
        Token::hash_of(&self.secret())
    }

    /// The hash of a secret in its text form.
    #[must_use]
    pub fn hash_of(secret: &str) -> String {
        hex(&Sha256::digest(secret.as_bytes()))
    }

    /// The secret's text form: what goes over the wire.
    #[must_use]
    pub fn secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.secret)
    }

    /// The SHA-256 of the authority's certificate.
    #[must_use]
    pub const fn authority(&self) -> [u8; 32] {
        self.authority
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let octets: Vec<u8> = self.secret.iter().chain(&self.authority).copied().collect();
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(octets))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl std::str::FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Token, &'static str> {
        let wrong = "this is no token of `polder hosts token create`";
        let octets = text
            .strip_prefix(PREFIX)
            .and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok())
            .ok_or(wrong)?;
        let (secret, authority) = octets.split_at_checked(32).ok_or(wrong)?;
        Ok(Token {
            secret: secret.try_into().map_err(|_| wrong)?,
            authority: authority.try_into().map_err(|_| wrong)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let token = Token::new([7; 32]).unwrap();
        let text = token.to_string();
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(token.hash(), Token::hash_of(&token.secret()));
        assert!(!format!("{token:?}").contains(&token.secret()));
        for bad in [
            "",
            "polder-join-",
            &text[1..],
            &text[..text.len() - 2],
            &format!("{text}AAAA"),
        ] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
