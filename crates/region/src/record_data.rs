//! Types of DNS records, and what the values of each look like.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dns_name::DnsName;

/// A type of records. Route 53 has more; those are not served.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(
    missing_docs,
    reason = "each variant is the type of its name (RFC 1035, 2782, 3596, 8659)"
)]
pub enum RecordType {
    A,
    Aaaa,
    Caa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Spf,
    Srv,
    Txt,
}

impl RecordType {
    const ALL: [(RecordType, &'static str); 11] = [
        (RecordType::A, "A"),
        (RecordType::Aaaa, "AAAA"),
        (RecordType::Caa, "CAA"),
        (RecordType::Cname, "CNAME"),
        (RecordType::Mx, "MX"),
        (RecordType::Ns, "NS"),
        (RecordType::Ptr, "PTR"),
        (RecordType::Soa, "SOA"),
        (RecordType::Spf, "SPF"),
        (RecordType::Srv, "SRV"),
        (RecordType::Txt, "TXT"),
    ];

    /// The first in the order of types.
    pub(crate) const FIRST: RecordType = RecordType::A;
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = RecordType::ALL.iter().find(|(known, _)| known == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for RecordType {
    type Err = String;

    fn from_str(text: &str) -> Result<RecordType, String> {
        let found = RecordType::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(kind, _)| *kind)
            .ok_or_else(|| format!("`{text}` is not a record type"))
    }
}

/// What is wrong with a value: Route 53's name of the problem, what that means, and where it is.
type Problem = (&'static str, &'static str, String);

/// Whether the text is a value of the type (Route 53 "Supported DNS record types").
///
/// # Errors
/// The problem in Route 53's words.
pub(crate) fn check(kind: RecordType, value: &str) -> Result<(), String> {
    problem(kind, value).map_err(|(name, meaning, place)| {
        format!("Invalid Resource Record: 'FATAL problem: {name} ({meaning}) encountered with '{place}''")
    })
}

fn problem(kind: RecordType, value: &str) -> Result<(), Problem> {
    let fields: Vec<&str> = value.split_ascii_whitespace().collect();
    let exactly = |count: usize, name, meaning| {
        if fields.len() == count {
            Ok(())
        } else {
            Err((name, meaning, value.to_owned()))
        }
    };
    match kind {
        RecordType::A => value.parse::<Ipv4Addr>().map(|_| ()).map_err(|_| {
            let name = "ARRDATAIllegalIPv4Address";
            (name, "Value is not a valid IPv4 address", value.to_owned())
        }),
        RecordType::Aaaa => value.parse::<Ipv6Addr>().map(|_| ()).map_err(|_| {
            let name = "AAAARRDATAIllegalIPv6Address";
            (name, "Value is not a valid IPv6 address", value.to_owned())
        }),
        RecordType::Cname | RecordType::Ns | RecordType::Ptr => host(value),
        RecordType::Mx => {
            exactly(
                2,
                "MXRRDATANotTwoFields",
                "Value must be a priority and a domain name",
            )?;
            numbers::<u16>(fields.get(..1))?;
            host(fields.get(1).copied().unwrap_or_default())
        }
        RecordType::Srv => {
            let meaning = "Value must be priority, weight, port and domain name";
            exactly(4, "SRVRRDATANotFourFields", meaning)?;
            numbers::<u16>(fields.get(..3))?;
            host(fields.get(3).copied().unwrap_or_default())
        }
        RecordType::Soa => {
            exactly(7, "SOARRDATANotSevenFields", "Value must have seven fields")?;
            host(fields.first().copied().unwrap_or_default())?;
            host(fields.get(1).copied().unwrap_or_default())?;
            numbers::<u32>(fields.get(2..))
        }
        RecordType::Caa => {
            let mut parts = value.splitn(3, ' ');
            let mut part = || parts.next().unwrap_or_default();
            let (flags, tag, text) = (part(), part(), part());
            let plain = |tag: &str| tag.bytes().all(|b| b.is_ascii_alphanumeric());
            if text.is_empty() || tag.is_empty() || !plain(tag) {
                let meaning = "Value must be flags, tag and a quoted text";
                return Err(("CAARRDATANotThreeFields", meaning, value.to_owned()));
            }
            numbers::<u8>(Some(&[flags]))?;
            texts(text, 1)
        }
        RecordType::Spf | RecordType::Txt => texts(value, usize::MAX),
    }
}

fn host(text: &str) -> Result<(), Problem> {
    match text.parse::<DnsName>() {
        Ok(_) => Ok(()),
        Err(error) => {
            let (name, meaning) = match error {
                crate::dns_name::NameError::LabelEmpty => {
                    ("DomainLabelEmpty", "Domain label is empty")
                }
                crate::dns_name::NameError::LabelTooLong => {
                    ("DomainLabelTooLong", "Domain label is too long")
                }
                crate::dns_name::NameError::NameTooLong => {
                    ("DomainNameTooLong", "Domain name is too long")
                }
                crate::dns_name::NameError::Character => (
                    "UnsupportedCharacter",
                    "Value contains unsupported characters",
                ),
            };
            Err((name, meaning, text.to_owned()))
        }
    }
}

/// Fields that are plain numbers of a width.
fn numbers<N: FromStr>(fields: Option<&[&str]>) -> Result<(), Problem> {
    for field in fields.unwrap_or_default() {
        let digits = field.bytes().all(|b| b.is_ascii_digit());
        if !digits || field.parse::<N>().is_err() {
            let meaning = "Value is not a number of this field's range";
            return Err(("InvalidNumber", meaning, (*field).to_owned()));
        }
    }
    Ok(())
}

/// Quoted texts of up to 255 octets, with blanks between them; inside, `\"`, `\\` and octal escapes.
fn texts(value: &str, most: usize) -> Result<(), Problem> {
    const MAX: usize = 255;
    let unquoted = || {
        let meaning = "Value should be enclosed in quotation marks";
        ("InvalidCharacterString", meaning, value.to_owned())
    };
    let mut rest = value.trim_matches(' ').bytes();
    let mut count = 0;
    while let Some(first) = rest.next() {
        match first {
            b' ' if count > 0 => continue,
            b'"' => count += 1,
            _ => return Err(unquoted()),
        }
        let mut length = 0;
        loop {
            match rest.next() {
                None => return Err(unquoted()),
                Some(b'"') => break,
                Some(b'\\') => match rest.next() {
                    Some(b'"' | b'\\') => {}
                    Some(b'0'..=b'3') => {
                        let octal = |d: Option<u8>| matches!(d, Some(b'0'..=b'7'));
                        if !(octal(rest.next()) && octal(rest.next())) {
                            return Err(unquoted());
                        }
                    }
                    Some(_) | None => return Err(unquoted()),
                },
                Some(b' '..=b'~') => {}
                Some(_) => {
                    let meaning = "Value contains unsupported characters";
                    return Err(("UnsupportedCharacter", meaning, value.to_owned()));
                }
            }
            length += 1;
        }
        if length > MAX {
            return Err((
                "CharacterStringTooLong",
                "Value is too long",
                value.to_owned(),
            ));
        }
    }
    if count == 0 || count > most {
        return Err(unquoted());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_as_text() {
        for (kind, name) in RecordType::ALL {
            assert_eq!(kind.to_string(), name);
            assert_eq!(name.parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
        assert!(RecordType::ALL.is_sorted());
        assert!("NAPTR".parse::<RecordType>().is_err());
    }

    #[test]
    fn values() {
        let long = format!("\"{}\"", "a".repeat(255));
        for (kind, good) in [
            (RecordType::A, "192.0.2.1"),
            (RecordType::Aaaa, "2001:db8::1"),
            (RecordType::Cname, "a.example"),
            (RecordType::Mx, "10 mail.example."),
            (RecordType::Srv, "1 2 65535 a.example"),
            (
                RecordType::Soa,
                "ns.example. me.example. 1 2 3 4 4294967295",
            ),
            (RecordType::Caa, "0 issue \"ca.example; a b\""),
            (RecordType::Txt, "\"a b\" \"c\\\"\\\\\\050\""),
            (RecordType::Txt, "\"\""),
            (RecordType::Txt, &long),
            (RecordType::Ptr, "\\052.example"),
        ] {
            assert_eq!(check(kind, good), Ok(()), "{good}");
        }
        let longer = format!("\"{}\"", "a".repeat(256));
        for (kind, bad) in [
            (RecordType::A, "192.0.2"),
            (RecordType::A, "192.0.2.1 "),
            (RecordType::A, ""),
            (RecordType::Aaaa, "192.0.2.1"),
            (RecordType::Aaaa, "fe80::1%eth0"),
            (RecordType::Cname, "a b"),
            (RecordType::Cname, "a..b"),
            (RecordType::Mx, "mail.example."),
            (RecordType::Mx, "70000 mail.example."),
            (RecordType::Mx, "-1 mail.example."),
            (RecordType::Srv, "1 2 a.example"),
            (RecordType::Srv, "1 2 99999 a.example"),
            (RecordType::Soa, "ns.example. me.example. 1 2 3 4"),
            (RecordType::Caa, "0 issue ca"),
            (RecordType::Caa, "256 issue \"ca\""),
            (RecordType::Caa, "0 issue \"ca\" \"b\""),
            (RecordType::Caa, "0 is-sue \"ca\""),
            (RecordType::Txt, "a"),
            (RecordType::Txt, ""),
            (RecordType::Txt, "\"a"),
            (RecordType::Txt, "\"a\"b"),
            (RecordType::Txt, "\"\\9\""),
            (RecordType::Txt, "\"\\777\""),
            (RecordType::Txt, "\"é\""),
            (RecordType::Txt, &longer),
        ] {
            assert!(check(kind, bad).is_err(), "{kind} {bad}");
        }
        assert_eq!(
            check(RecordType::A, "x").unwrap_err(),
            "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) \
             encountered with 'x''"
        );
    }
}
