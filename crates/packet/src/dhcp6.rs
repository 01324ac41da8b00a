//! DHCP for IPv6: the message format (RFC 8415 sections 8 and 21).

use std::net::Ipv6Addr;

use crate::Malformed;
use crate::bytes::{Reader, length};

/// Message types (RFC 8415 section 7.3).
pub mod kind {
    /// A client looks for servers.
    pub const SOLICIT: u8 = 1;
    /// A server offers.
    pub const ADVERTISE: u8 = 2;
    /// A client takes an offer.
    pub const REQUEST: u8 = 3;
    /// A client asks whether its addresses still are of this link.
    pub const CONFIRM: u8 = 4;
    /// A client extends its addresses' time with its server.
    pub const RENEW: u8 = 5;
    /// The same with any server.
    pub const REBIND: u8 = 6;
    /// A server answers.
    pub const REPLY: u8 = 7;
    /// A client gives addresses back.
    pub const RELEASE: u8 = 8;
    /// A client has found that somebody else has its address.
    pub const DECLINE: u8 = 9;
    /// A client wants parameters, but no address.
    pub const INFORMATION_REQUEST: u8 = 11;
}

/// Option codes (RFC 8415 section 21, RFC 3646 section 3 and 4).
pub mod option {
    /// The client's DUID.
    pub const CLIENT_ID: u16 = 1;
    /// The server's DUID.
    pub const SERVER_ID: u16 = 2;
    /// Addresses for a purpose of the client's.
    pub const IA_NA: u16 = 3;
    /// Temporary addresses.
    pub const IA_TA: u16 = 4;
    /// An address of an `IA_NA` or `IA_TA`.
    pub const IA_ADDRESS: u16 = 5;
    /// How it went.
    pub const STATUS_CODE: u16 = 13;
    /// Two messages instead of four.
    pub const RAPID_COMMIT: u16 = 14;
    /// Resolvers.
    pub const DNS_SERVERS: u16 = 23;
    /// Domains in which names are looked up.
    pub const DOMAIN_LIST: u16 = 24;
    /// Prefixes for a router.
    pub const IA_PD: u16 = 25;
    /// For how many seconds parameters without an address hold.
    pub const INFORMATION_REFRESH_TIME: u16 = 32;
}

/// The longest DUID (RFC 8415 section 11.1).
const MAX_DUID: usize = 130;
/// The most options of a message, or of one option. Real clients send a dozen.
const MAX_OPTIONS: usize = 64;

/// An option's code and value.
pub type Options = Vec<(u16, Vec<u8>)>;

/// A message between client and server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// One of [`kind`], or another.
    pub kind: u8,
    /// The transaction's number.
    pub transaction: [u8; 3],
    /// Its options, in their order.
    pub options: Options,
}

impl Message {
    /// Reads the payload of a datagram.
    ///
    /// # Errors
    /// Options that do not fit in, too many of them, or a DUID that is none.
    pub fn parse(bytes: &[u8]) -> Result<Message, Malformed> {
        let mut r = Reader::new(bytes, "dhcpv6");
        let message = Message {
            kind: r.u8()?,
            transaction: r.array()?,
            options: parse_options(r.rest())?,
        };
        let is_duid = |code| {
            let duid = message.option(code);
            duid.is_none_or(|duid| (3..=MAX_DUID).contains(&duid.len()))
        };
        if is_duid(option::CLIENT_ID) && is_duid(option::SERVER_ID) {
            Ok(message)
        } else {
            Err(Malformed::Field("dhcpv6"))
        }
    }

    /// The message's bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = vec![self.kind];
        out.extend(self.transaction);
        out.extend(emit_options(&self.options));
        out
    }

    /// The first option of this code.
    #[must_use]
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        find(&self.options, code)
    }
}

/// The value of the first option of this code.
#[must_use]
pub fn find(options: &Options, code: u16) -> Option<&[u8]> {
    let found = options.iter().find(|(other, _)| *other == code);
    found.map(|(_, value)| value.as_slice())
}

/// Reads options, 64 at most.
///
/// # Errors
/// Options that do not fit in, or more of them.
pub fn parse_options(bytes: &[u8]) -> Result<Options, Malformed> {
    let mut r = Reader::new(bytes, "dhcpv6 option");
    let mut options = Vec::new();
    while !r.is_empty() {
        if options.len() == MAX_OPTIONS {
            return Err(r.field());
        }
        let code = r.u16()?;
        let len = usize::from(r.u16()?);
        options.push((code, r.take(len)?.to_vec()));
    }
    Ok(options)
}

/// The bytes of options.
#[must_use]
pub fn emit_options(options: &Options) -> Vec<u8> {
    let mut out = Vec::new();
    for (code, value) in options {
        out.extend(code.to_be_bytes());
        out.extend(length(value.len()));
        out.extend(value);
    }
    out
}

/// An identity association (RFC 8415 sections 21.4, 21.5 and 21.21): what a client wants addresses or prefixes for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Association {
    /// The client's number for it.
    pub id: [u8; 4],
    /// When to renew and to rebind, in seconds; an `IA_TA` has none.
    pub times: Option<[u32; 2]>,
    /// Its addresses, and how it went.
    pub options: Options,
}

impl Association {
    /// Reads the value of an option of this code: [`option::IA_NA`], [`option::IA_TA`] or [`option::IA_PD`].
    ///
    /// # Errors
    /// Too few bytes, or options that are none.
    pub fn parse(code: u16, value: &[u8]) -> Result<Association, Malformed> {
        let mut r = Reader::new(value, "identity association");
        Ok(Association {
            id: r.array()?,
            times: if code == option::IA_TA {
                None
            } else {
                Some([r.u32()?, r.u32()?])
            },
            options: parse_options(r.rest())?,
        })
    }

    /// The option's value.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = self.id.to_vec();
        for seconds in self.times.iter().flatten() {
            out.extend(seconds.to_be_bytes());
        }
        out.extend(emit_options(&self.options));
        out
    }

    /// The addresses of it.
    #[must_use]
    pub fn addresses(&self) -> Vec<Ipv6Addr> {
        let addresses = self.options.iter().filter_map(|(code, value)| {
            let (octets, _) = value.split_first_chunk::<16>()?;
            (*code == option::IA_ADDRESS).then(|| Ipv6Addr::from(*octets))
        });
        addresses.collect()
    }
}

/// The value of an address option (RFC 8415 section 21.6), with its preferred and valid times in seconds.
#[must_use]
pub fn address(address: Ipv6Addr, preferred: u32, valid: u32) -> Vec<u8> {
    let mut out = address.octets().to_vec();
    out.extend(preferred.to_be_bytes());
    out.extend(valid.to_be_bytes());
    out
}
