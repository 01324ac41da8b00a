//! DHCP for IPv4: the message format (RFC 2131 section 2) and the options that Polder uses (RFC 2132).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use types::Mac;

use crate::Malformed;
use crate::bytes::Reader;

/// Option codes (RFC 2132; the section is named).
pub mod option {
    /// Subnet mask, 3.3.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers, 3.5.
    pub const ROUTER: u8 = 3;
    /// Domain name servers, 3.8.
    pub const DNS_SERVER: u8 = 6;
    /// Host name, 3.14.
    pub const HOST_NAME: u8 = 12;
    /// Domain name, 3.17.
    pub const DOMAIN_NAME: u8 = 15;
    /// Interface MTU, 5.1.
    pub const INTERFACE_MTU: u8 = 26;
    /// Broadcast address, 5.3.
    pub const BROADCAST_ADDRESS: u8 = 28;
    /// Time servers that speak NTP.
    pub const NTP_SERVERS: u8 = 42;
    /// Servers of NetBIOS names.
    pub const NETBIOS_NAME_SERVERS: u8 = 44;
    /// How NetBIOS names are looked up.
    pub const NETBIOS_NODE_TYPE: u8 = 46;
    /// Requested IP address, 9.1.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Lease time in seconds, 9.2.
    pub const LEASE_TIME: u8 = 51;
    /// Message type, 9.6.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Server identifier, 9.7.
    pub const SERVER_IDENTIFIER: u8 = 54;
    /// Parameter request list, 9.8.
    pub const PARAMETER_REQUEST_LIST: u8 = 55;
    /// Renewal time (T1) in seconds, 9.11.
    pub const RENEWAL_TIME: u8 = 58;
    /// Rebinding time (T2) in seconds, 9.12.
    pub const REBINDING_TIME: u8 = 59;
    /// Client identifier, 9.14.
    pub const CLIENT_IDENTIFIER: u8 = 61;
}

/// The message types (RFC 2132 section 9.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each variant is the message it is named after")]
pub enum MessageType {
    Discover,
    Offer,
    Request,
    Decline,
    Ack,
    Nak,
    Release,
    Inform,
}

impl MessageType {
    const ALL: [MessageType; 8] = [
        MessageType::Discover,
        MessageType::Offer,
        MessageType::Request,
        MessageType::Decline,
        MessageType::Ack,
        MessageType::Nak,
        MessageType::Release,
        MessageType::Inform,
    ];

    /// The type with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<MessageType> {
        MessageType::ALL
            .get(usize::from(code).checked_sub(1)?)
            .copied()
    }

    /// Its number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8 + 1
    }
}

/// The `op` of a message from a client.
pub const BOOTREQUEST: u8 = 1;
/// The `op` of a message from a server.
pub const BOOTREPLY: u8 = 2;
/// The flag of a client that cannot receive unicast yet (RFC 2131 section 4.1).
pub const FLAG_BROADCAST: u16 = 0x8000;

const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// RFC 1542 section 2.1: what relays and old clients expect at least.
const MIN_LEN: usize = 300;

/// A message. Fields have the names of RFC 2131 section 2; `sname` and `file` are not kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// [`BOOTREQUEST`] or [`BOOTREPLY`].
    pub op: u8,
    /// Relay hops.
    pub hops: u8,
    /// Transaction identifier.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// Flags, [`FLAG_BROADCAST`] the only one.
    pub flags: u16,
    /// The client's address, if it has one that works.
    pub ciaddr: Ipv4Addr,
    /// The address that the server gives.
    pub yiaddr: Ipv4Addr,
    /// The next server of a boot.
    pub siaddr: Ipv4Addr,
    /// The relay's address.
    pub giaddr: Ipv4Addr,
    /// The client's MAC address.
    pub chaddr: Mac,
    /// Options by code. An option that occurs more than once is joined (RFC 3396).
    pub options: BTreeMap<u8, Vec<u8>>,
}

impl Message {
    /// Reads the payload of a datagram. Only Ethernet clients are known.
    pub fn parse(bytes: &[u8]) -> Result<Message, Malformed> {
        let mut r = Reader::new(bytes, "dhcp");
        let op = r.u8()?;
        let ethernet = r.u8()? == 1 && r.u8()? == 6;
        if !ethernet {
            return Err(r.field());
        }
        let mut message = Message {
            op,
            hops: r.u8()?,
            xid: r.u32()?,
            secs: r.u16()?,
            flags: r.u16()?,
            ciaddr: Ipv4Addr::from(r.array::<4>()?),
            yiaddr: Ipv4Addr::from(r.array::<4>()?),
            siaddr: Ipv4Addr::from(r.array::<4>()?),
            giaddr: Ipv4Addr::from(r.array::<4>()?),
            chaddr: Mac(r.array()?),
            options: BTreeMap::new(),
        };
        // The rest of chaddr, sname and file.
        r.take(10 + 64 + 128)?;
        if r.array::<4>()? != MAGIC {
            return Err(r.field());
        }
        loop {
            match r.u8() {
                // RFC 2132 section 3.1 and 3.2. Some clients leave out the end.
                Ok(255) | Err(_) => break,
                Ok(0) => {}
                Ok(code) => {
                    let len = usize::from(r.u8()?);
                    let value = r.take(len)?;
                    message.options.entry(code).or_default().extend(value);
                }
            }
        }
        Ok(message)
    }

    /// The message's bytes: the message type first, then the options by code, then padding to the length that
    /// every client accepts.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = vec![self.op, 1, 6, self.hops];
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend(address.octets());
        }
        out.extend(self.chaddr.0);
        out.extend([0; 10 + 64 + 128]);
        out.extend(MAGIC);
        let kind = self.options.get_key_value(&option::MESSAGE_TYPE);
        let others = self
            .options
            .iter()
            .filter(|(code, _)| **code != option::MESSAGE_TYPE);
        for (code, value) in kind.into_iter().chain(others) {
            for part in value.chunks(255) {
                out.extend([*code, u8::try_from(part.len()).unwrap_or(u8::MAX)]);
                out.extend(part);
            }
        }
        out.push(255);
        out.resize(out.len().max(MIN_LEN), 0);
        out
    }

    /// What the message is; `None` if it does not say, or says something else.
    #[must_use]
    pub fn kind(&self) -> Option<MessageType> {
        match self.options.get(&option::MESSAGE_TYPE)?.as_slice() {
            [code] => MessageType::from_code(*code),
            _ => None,
        }
    }

    /// An option that is one address.
    #[must_use]
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let octets: [u8; 4] = self.options.get(&code)?.as_slice().try_into().ok()?;
        Some(Ipv4Addr::from(octets))
    }
}
