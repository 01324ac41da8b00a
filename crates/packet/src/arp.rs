//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use types::{Mac, proto};

use crate::bytes::Reader;
use crate::{Ethernet, Malformed};

/// What an ARP packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArpOperation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
    /// Another operation (RFC 5494).
    Other(u16),
}

/// An ARP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// What it is.
    pub operation: ArpOperation,
    /// The sender's MAC address.
    pub sender_mac: Mac,
    /// The sender's address; unspecified in a probe (RFC 5227 section 2.1.1).
    pub sender: Ipv4Addr,
    /// The target's MAC address; means nothing in a request.
    pub target_mac: Mac,
    /// The target's address.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads the payload of a frame. Padding behind the packet is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Arp, Malformed> {
        let mut r = Reader::new(bytes, "arp");
        let ethernet = r.u16()? == 1;
        let ipv4 = r.u16()? == proto::ETHERTYPE_IPV4;
        if !(ethernet && ipv4 && r.u8()? == 6 && r.u8()? == 4) {
            return Err(r.field());
        }
        Ok(Arp {
            operation: match r.u16()? {
                1 => ArpOperation::Request,
                2 => ArpOperation::Reply,
                other => ArpOperation::Other(other),
            },
            sender_mac: Mac(r.array()?),
            sender: Ipv4Addr::from(r.array::<4>()?),
            target_mac: Mac(r.array()?),
            target: Ipv4Addr::from(r.array::<4>()?),
        })
    }

    /// The packet's bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let operation: u16 = match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
            ArpOperation::Other(other) => other,
        };
        let mut out = vec![0, 1, 8, 0, 6, 4];
        out.extend(operation.to_be_bytes());
        out.extend(self.sender_mac.0);
        out.extend(self.sender.octets());
        out.extend(self.target_mac.0);
        out.extend(self.target.octets());
        out
    }

    /// The frame that answers this request: the target address is at `mac`.
    #[must_use]
    pub fn reply(&self, mac: Mac) -> Vec<u8> {
        let arp = Arp {
            operation: ArpOperation::Reply,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        };
        Ethernet {
            destination: self.sender_mac,
            source: mac,
            ethertype: proto::ETHERTYPE_ARP,
            payload: &arp.emit(),
        }
        .emit()
    }
}
