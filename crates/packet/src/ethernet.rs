//! Ethernet II (IEEE 802.3 clause 3).

use types::Mac;

use crate::Malformed;
use crate::bytes::Reader;

/// A frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ethernet<'a> {
    /// Who shall receive it.
    pub destination: Mac,
    /// Who sends it.
    pub source: Mac,
    /// What the payload is.
    pub ethertype: u16,
    /// Everything behind the header, padding included.
    pub payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Length of the header.
    pub const LEN: usize = 14;

    /// Reads a frame from its destination address on.
    pub fn parse(bytes: &'a [u8]) -> Result<Ethernet<'a>, Malformed> {
        let mut r = Reader::new(bytes, "ethernet");
        Ok(Ethernet {
            destination: Mac(r.array()?),
            source: Mac(r.array()?),
            ethertype: r.u16()?,
            payload: r.rest(),
        })
    }

    /// The frame's bytes, without padding.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Ethernet::LEN + self.payload.len());
        out.extend(self.destination.0);
        out.extend(self.source.0);
        out.extend(self.ethertype.to_be_bytes());
        out.extend(self.payload);
        out
    }
}
