//! IPv4 (RFC 791) and IPv6 (RFC 8200).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::{Reader, length};
use crate::{Malformed, checksum};

/// An IPv4 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4<'a> {
    /// Type of service: DSCP and ECN (RFC 2474, RFC 3168).
    pub tos: u8,
    /// Identification.
    pub identification: u16,
    /// Flags and fragment offset, as they stand there.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: u8,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Options; the length is a multiple of four, 40 at most.
    pub options: &'a [u8],
    /// Everything up to the announced total length.
    pub payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Length of the header without options.
    pub const LEN: usize = 20;

    /// Reads a packet. What follows its announced length (padding of the frame) is ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Ipv4<'a>, Malformed> {
        let what = "ipv4";
        let total = match bytes {
            [_, _, a, b, ..] => usize::from(u16::from_be_bytes([*a, *b])),
            _ => return Err(Malformed::Truncated(what)),
        };
        let mut packet = Ipv4::parse_quoted(bytes)?;
        let header = Ipv4::LEN + packet.options.len();
        let len = total.checked_sub(header).ok_or(Malformed::Field(what))?;
        packet.payload = packet
            .payload
            .get(..len)
            .ok_or(Malformed::Truncated(what))?;
        Ok(packet)
    }

    /// Reads the beginning of a packet, as ICMP errors quote it (RFC 792): the announced length may exceed the
    /// bytes, and the payload is what is there.
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Ipv4<'a>, Malformed> {
        let mut r = Reader::new(bytes, "ipv4");
        let first = r.u8()?;
        let options = usize::from(first & 0x0f)
            .checked_sub(5)
            .filter(|_| first >> 4 == 4)
            .ok_or(r.field())?
            * 4;
        let tos = r.u8()?;
        let _total = r.u16()?;
        let identification = r.u16()?;
        let fragment = r.u16()?;
        let ttl = r.u8()?;
        let protocol = r.u8()?;
        let _checksum = r.u16()?;
        Ok(Ipv4 {
            tos,
            identification,
            fragment,
            ttl,
            protocol,
            source: Ipv4Addr::from(r.array::<4>()?),
            destination: Ipv4Addr::from(r.array::<4>()?),
            options: r.take(options)?,
            payload: r.rest(),
        })
    }

    /// The packet's bytes. A payload over 65,535 bytes has no correct length field.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let header = Ipv4::LEN + self.options.len();
        let words = u8::try_from(header / 4).unwrap_or(u8::MAX) & 0x0f;
        let mut out = vec![0x40 | words, self.tos];
        out.extend(length(header + self.payload.len()));
        out.extend(self.identification.to_be_bytes());
        out.extend(self.fragment.to_be_bytes());
        out.extend([self.ttl, self.protocol, 0, 0]);
        out.extend(self.source.octets());
        out.extend(self.destination.octets());
        out.extend(self.options);
        let sum = checksum::of(&out);
        out.splice(10..12, sum);
        out.extend(self.payload);
        out
    }
}

/// An IPv6 packet. Extension headers are part of the payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6<'a> {
    /// Traffic class and flow label, the low 28 bits of the first word.
    pub class_and_label: u32,
    /// What the payload begins with.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Everything up to the announced length.
    pub payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// Length of the header.
    pub const LEN: usize = 40;

    /// Reads a packet. What follows its announced length is ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Ipv6<'a>, Malformed> {
        let mut r = Reader::new(bytes, "ipv6");
        let first = r.u32()?;
        if first >> 28 != 6 {
            return Err(r.field());
        }
        let len = r.u16()?;
        Ok(Ipv6 {
            class_and_label: first & 0x0fff_ffff,
            next_header: r.u8()?,
            hop_limit: r.u8()?,
            source: Ipv6Addr::from(r.array::<16>()?),
            destination: Ipv6Addr::from(r.array::<16>()?),
            payload: r.take(usize::from(len))?,
        })
    }

    /// The packet's bytes. A payload over 65,535 bytes has no correct length field.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Ipv6::LEN + self.payload.len());
        out.extend((0x6000_0000 | (self.class_and_label & 0x0fff_ffff)).to_be_bytes());
        out.extend(length(self.payload.len()));
        out.extend([self.next_header, self.hop_limit]);
        out.extend(self.source.octets());
        out.extend(self.destination.octets());
        out.extend(self.payload);
        out
    }
}
