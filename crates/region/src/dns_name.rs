//! Domain names as Route 53 reads, keeps, orders and shows them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most octets of a label (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;
/// The most octets of a name on the wire, lengths of labels and the root included (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;

/// An absolute domain name, in lower case. Names are ordered as Route 53 lists them: label by label from the root's
/// side, so that a name stands right before the names below it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DnsName {
    /// From the root's side: `com`, `example`, `www`.
    labels: Vec<Vec<u8>>,
}

/// Why a text is no domain name, in Route 53's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or one in front, or no text at all.
    #[error("DomainLabelEmpty (Domain label is empty)")]
    LabelEmpty,
    /// A label of more than 63 octets.
    #[error("DomainLabelTooLong (Domain label is too long)")]
    LabelTooLong,
    /// A name of more than 255 octets on the wire.
    #[error("DomainNameTooLong (Domain name is too long)")]
    NameTooLong,
    /// A character that must be written as an escape, or an escape that is not three octal digits.
    #[error("UnsupportedCharacter (Value contains unsupported characters)")]
    Character,
}

impl DnsName {
    /// How many labels it has; none for the root.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.labels.len()
    }

    /// Whether it is `zone` or a name below it.
    #[must_use]
    pub fn is_within(&self, zone: &DnsName) -> bool {
        self.labels.starts_with(&zone.labels)
    }

    /// Whether its leftmost label is `*` alone (RFC 4592 section 2.1.1).
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.labels.last().is_some_and(|label| label == b"*")
    }

    /// The name without its leftmost label; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<DnsName> {
        let (_, rest) = self.labels.split_last()?;
        Some(DnsName {
            labels: rest.to_vec(),
        })
    }

    /// The wildcard directly below it.
    #[must_use]
    pub fn wildcard(&self) -> DnsName {
        let mut labels = self.labels.clone();
        labels.push(b"*".to_vec());
        DnsName { labels }
    }
}

impl FromStr for DnsName {
    type Err = NameError;

    /// Reads a name with or without the last dot. Other characters than ASCII's visible ones are escaped: `\052`.
    fn from_str(text: &str) -> Result<DnsName, NameError> {
        if text == "." {
            return Ok(DnsName::default());
        }
        let mut labels = Vec::new();
        let mut label = Vec::new();
        let mut rest = text.strip_suffix('.').unwrap_or(text).bytes();
        while let Some(octet) = rest.next() {
            let octet = match octet {
                b'.' => {
                    labels.push(std::mem::take(&mut label));
                    continue;
                }
                b'\\' => {
                    let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(8));
                    let (Some(a), Some(b), Some(c)) = (digit(), digit(), digit()) else {
                        return Err(NameError::Character);
                    };
                    u8::try_from(a * 64 + b * 8 + c).map_err(|_| NameError::Character)?
                }
                b'!'..=b'~' => octet,
                _ => return Err(NameError::Character),
            };
            label.push(octet.to_ascii_lowercase());
        }
        labels.push(label);
        if labels.iter().any(Vec::is_empty) {
            return Err(NameError::LabelEmpty);
        }
        if labels.iter().any(|label| label.len() > MAX_LABEL) {
            return Err(NameError::LabelTooLong);
        }
        if labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1 > MAX_NAME {
            return Err(NameError::NameTooLong);
        }
        labels.reverse();
        Ok(DnsName { labels })
    }
}

impl fmt::Display for DnsName {
    /// With the last dot; what is not a letter, digit, hyphen or underscore as an octal escape (Route 53 "DNS domain
    /// name format").
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return f.write_str(".");
        }
        for label in self.labels.iter().rev() {
            for octet in label {
                match octet {
                    b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => write!(f, "{}", char::from(*octet))?,
                    other => write!(f, "\\{other:03o}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DnsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DnsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DnsName, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<DnsName>()
            .map_or_else(|error| error.to_string(), |name| name.to_string())
    }

    #[test]
    fn names_are_normalised() {
        for (text, normal) in [
            ("Example.COM", "example.com."),
            ("example.com.", "example.com."),
            ("*.example.com", "\\052.example.com."),
            ("\\052.example.com", "\\052.example.com."),
            ("_dmarc.a-b", "_dmarc.a-b."),
            ("a\\056b.c", "a\\056b.c."),
            ("\\101.c", "a.c."),
            ("a/b.c", "a\\057b.c."),
            (".", "."),
        ] {
            assert_eq!(shown(text), normal);
        }
        assert!("*.a".parse::<DnsName>().unwrap().is_wildcard());
        assert!(!"*b.a".parse::<DnsName>().unwrap().is_wildcard());
    }

    #[test]
    fn what_is_no_name() {
        let error = |text: &str| text.parse::<DnsName>().unwrap_err();
        for text in ["", "..", "a..b", ".a"] {
            assert_eq!(error(text), NameError::LabelEmpty, "{text}");
        }
        for text in ["a b", "é", "\\", "\\12", "\\400", "\\9aa", "a\n"] {
            assert_eq!(error(text), NameError::Character, "{text}");
        }
        assert_eq!(error(&"a".repeat(64)), NameError::LabelTooLong);
        let long = |last: usize| {
            format!(
                "{}{}",
                format!("{}.", "a".repeat(63)).repeat(3),
                "b".repeat(last)
            )
        };
        assert_eq!(error(&long(62)), NameError::NameTooLong);
        assert_eq!(long(61).parse::<DnsName>().unwrap().depth(), 4);
    }

    #[test]
    fn order_is_from_the_root() {
        let mut names: Vec<DnsName> = [
            "b.com",
            "www.amazon.com",
            "amazon.com",
            "com",
            "a.org",
            "z.amazon.com",
        ]
        .map(|name| name.parse().unwrap())
        .into();
        names.sort();
        let shown: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "com.",
                "amazon.com.",
                "www.amazon.com.",
                "z.amazon.com.",
                "b.com.",
                "a.org."
            ]
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(text in "[ -~]{0,40}") {
            if let Ok(name) = text.parse::<DnsName>() {
                prop_assert_eq!(name.to_string().parse::<DnsName>().unwrap(), name);
            }
        }
    }
}
