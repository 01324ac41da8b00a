//! Who owns a resource, and where.

use crate::ParseError;

/// A tenant: twelve decimal digits, as an AWS account id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl AccountId {
    /// The account of a client whose access key names none.
    pub const DEFAULT: AccountId = AccountId(0);

    /// The account that an access key id names when nobody checks signatures: the key is, or ends in, twelve
    /// digits. Any other key means [`AccountId::DEFAULT`].
    #[must_use]
    pub fn from_access_key(key: &str) -> AccountId {
        key.len()
            .checked_sub(12)
            .and_then(|at| key.get(at..))
            .and_then(|tail| tail.parse().ok())
            .unwrap_or(AccountId::DEFAULT)
    }
}

impl std::fmt::Display for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl std::fmt::Debug for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for AccountId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<AccountId, ParseError> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            text.parse().map(AccountId).map_err(|_| ParseError {
                expected: "account id",
                found: text.to_owned(),
            })
        } else {
            Err(ParseError {
                expected: "account id (twelve digits)",
                found: text.to_owned(),
            })
        }
    }
}

crate::id::serde_as_text!(AccountId);

/// The longest name of a region, in octets.
const MAX_REGION: usize = 31;

/// A region's name: `us-east-1`, `eu-central-1`, `us-gov-west-1`. Every record has one, so it owns no memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionName {
    /// ASCII, and zeros behind it: which makes the order that of the text.
    octets: [u8; MAX_REGION],
    length: u8,
}

impl std::fmt::Debug for RegionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}

impl RegionName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let octets = self.octets.get(..usize::from(self.length));
        std::str::from_utf8(octets.unwrap_or_default()).unwrap_or_default()
    }
}

impl std::fmt::Display for RegionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for RegionName {
    type Err = ParseError;

    /// The form of a region name: lower-case words and a final number, joined by hyphens, 31 octets at most.
    /// Whether such a region exists is the controller's business.
    fn from_str(text: &str) -> Result<RegionName, ParseError> {
        let wrong = || ParseError {
            expected: "region name",
            found: text.to_owned(),
        };
        let (words, number) = text.rsplit_once('-').ok_or_else(wrong)?;
        let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase());
        let fits = text.len() <= MAX_REGION
            && words.contains('-')
            && words.split('-').all(word)
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit());
        if !fits {
            return Err(wrong());
        }
        let mut octets = [0; MAX_REGION];
        for (to, from) in octets.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        let length = u8::try_from(text.len()).map_err(|_| wrong())?;
        Ok(RegionName { octets, length })
    }
}

crate::id::serde_as_text!(RegionName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_keys_name_accounts() {
        let of = |key: &str| AccountId::from_access_key(key).to_string();
        assert_eq!(of("111122223333"), "111122223333");
        assert_eq!(of("AKIA111122223333"), "111122223333");
        assert_eq!(of("test"), "000000000000");
        assert_eq!(of(""), "000000000000");
        assert_eq!(of("AKIAIOSFODNN7EXAMPLE"), "000000000000");
        assert_eq!(of("ключ-ключ"), "000000000000");
    }

    #[test]
    fn region_names() {
        for good in [
            "us-east-1",
            "eu-central-1",
            "us-gov-west-1",
            "ap-southeast-12",
        ] {
            assert_eq!(good.parse::<RegionName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "us",
            "us-1",
            "us-east-",
            "US-east-1",
            "us--east-1",
            "us-east-1a",
            "../../etc-a-1",
            "abcdefgh-abcdefgh-abcdefgh-abcd-1",
        ] {
            assert!(bad.parse::<RegionName>().is_err(), "{bad}");
        }
    }
}
