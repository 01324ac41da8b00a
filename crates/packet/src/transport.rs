//! UDP (RFC 768), TCP (RFC 9293), ICMP (RFC 792, RFC 4443).

use std::net::IpAddr;

use types::proto;

use crate::bytes::{Reader, length};
use crate::{Malformed, checksum};

/// A UDP datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Udp<'a> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// The data.
    pub payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Length of the header.
    pub const LEN: usize = 8;

    /// Reads a datagram.
    pub fn parse(bytes: &'a [u8]) -> Result<Udp<'a>, Malformed> {
        let mut r = Reader::new(bytes, "udp");
        let source_port = r.u16()?;
        let destination_port = r.u16()?;
        let len = usize::from(r.u16()?)
            .checked_sub(Udp::LEN)
            .ok_or(r.field())?;
        let _checksum = r.u16()?;
        Ok(Udp {
            source_port,
            destination_port,
            payload: r.take(len)?,
        })
    }

    /// The datagram's bytes between these addresses, with checksum.
    #[must_use]
    pub fn emit(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut out = Vec::with_capacity(Udp::LEN + self.payload.len());
        out.extend(self.source_port.to_be_bytes());
        out.extend(self.destination_port.to_be_bytes());
        out.extend(length(Udp::LEN + self.payload.len()));
        out.extend([0, 0]);
        out.extend(self.payload);
        // RFC 768: a checksum of zero is transmitted as all ones.
        let sum = match checksum::transport(source, destination, proto::UDP, &out) {
            [0, 0] => [0xff, 0xff],
            sum => sum,
        };
        out.splice(6..8, sum);
        out
    }
}

/// A TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tcp<'a> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// The low eight control bits; see `fastpath_core::abi::TCP_SYN` and its like.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options; the length is a multiple of four, 40 at most.
    pub options: &'a [u8],
    /// The data.
    pub payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// Length of the header without options.
    pub const LEN: usize = 20;

    /// Reads a segment.
    pub fn parse(bytes: &'a [u8]) -> Result<Tcp<'a>, Malformed> {
        let mut r = Reader::new(bytes, "tcp");
        let source_port = r.u16()?;
        let destination_port = r.u16()?;
        let sequence = r.u32()?;
        let acknowledgment = r.u32()?;
        let options = usize::from(r.u8()? >> 4).checked_sub(5).ok_or(r.field())? * 4;
        let flags = r.u8()?;
        let window = r.u16()?;
        let _checksum = r.u16()?;
        Ok(Tcp {
            source_port,
            destination_port,
            sequence,
            acknowledgment,
            flags,
            window,
            urgent: r.u16()?,
            options: r.take(options)?,
            payload: r.rest(),
        })
    }

    /// The segment's bytes between these addresses, with checksum.
    #[must_use]
    pub fn emit(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let words = u8::try_from((Tcp::LEN + self.options.len()) / 4).unwrap_or(u8::MAX);
        let mut out = Vec::with_capacity(Tcp::LEN + self.options.len() + self.payload.len());
        out.extend(self.source_port.to_be_bytes());
        out.extend(self.destination_port.to_be_bytes());
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.acknowledgment.to_be_bytes());
        out.extend([words << 4, self.flags]);
        out.extend(self.window.to_be_bytes());
        out.extend([0, 0]);
        out.extend(self.urgent.to_be_bytes());
        out.extend(self.options);
        out.extend(self.payload);
        let sum = checksum::transport(source, destination, proto::TCP, &out);
        out.splice(16..18, sum);
        out
    }
}

/// An ICMP or ICMPv6 message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmp<'a> {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The rest of the header: identifier and sequence number of an echo, next-hop MTU of an error.
    pub rest: [u8; 4],
    /// What follows the header: an echo's data, an error's quoted packet.
    pub payload: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// Length of the header.
    pub const LEN: usize = 8;

    /// Reads a message.
    pub fn parse(bytes: &'a [u8]) -> Result<Icmp<'a>, Malformed> {
        let mut r = Reader::new(bytes, "icmp");
        let kind = r.u8()?;
        let code = r.u8()?;
        let _checksum = r.u16()?;
        Ok(Icmp {
            kind,
            code,
            rest: r.array()?,
            payload: r.rest(),
        })
    }

    /// The message's bytes with checksum. The addresses matter to ICMPv6 only (RFC 4443 section 2.3).
    #[must_use]
    pub fn emit(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut out = vec![self.kind, self.code, 0, 0];
        out.extend(self.rest);
        out.extend(self.payload);
        let sum = if source.is_ipv6() {
            checksum::transport(source, destination, proto::ICMPV6, &out)
        } else {
            checksum::of(&out)
        };
        out.splice(2..4, sum);
        out
    }
}
