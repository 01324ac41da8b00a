//! The DHCPv6 server of every subnet (RFC 8415). Like its sibling for IPv4 it keeps no leases: an interface has the
//! addresses that the network gave it, and every client is told those.

use std::net::{IpAddr, Ipv6Addr};

use packet::dhcp6::{Association, Message, Options, address, kind, option};
use packet::{Ethernet, Ipv6, Udp};
use topology::{DhcpOptions, Interface, NameServer, VpcView};
use types::{DropReason, FlowTuple, Mac, proto};

use crate::ndp::router;

/// Every server and relay of a link (RFC 8415 section 7.1).
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// The resolver by IPv6 (EC2 "Amazon DNS server").
const RESOLVER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253);
/// For how long an address is preferred, and for how long valid. Interfaces keep theirs for life.
const PREFERRED_S: u32 = 3600;
const VALID_S: u32 = 2 * PREFERRED_S;
/// RFC 8415 section 21.4: half and four fifths of the preferred time.
const TIMES_S: [u32; 2] = [PREFERRED_S / 2, PREFERRED_S / 5 * 4];
/// RFC 8415 section 21.23: the default is a day; a changed parameter is known earlier like this.
const REFRESH_S: u32 = 3600;
/// More addresses than this do not fit in a packet of every link (1280 bytes) with all that goes with them.
const MAX_ADDRESSES: usize = 32;
/// The most associations that are answered. Real clients have one or two.
const MAX_ASSOCIATIONS: usize = 8;

/// Status codes (RFC 8415 section 21.13).
#[derive(Clone, Copy)]
enum Status {
    Success = 0,
    NoAddresses = 2,
    NoBinding = 3,
    NotOnLink = 4,
    NoPrefixes = 6,
}

/// Whether an IPv6 packet with these ends is one for the subnet's server: from a client's port to a server's, and for
/// all servers or for the router.
pub(crate) fn is_for_server(tuple: &FlowTuple) -> bool {
    tuple.protocol == proto::UDP
        && tuple.destination_port == proto::DHCPV6_SERVER
        && (tuple.destination == IpAddr::V6(ALL_SERVERS)
            || tuple.destination == IpAddr::V6(router()))
}

/// The answer to a client's frame: `None` if the message needs none. The frame has been parsed as UDP over IPv6.
pub(crate) fn answer(
    frame: &[u8],
    interface: &Interface,
    view: Option<&VpcView>,
) -> Result<Option<Vec<u8>>, DropReason> {
    let invalid = |_| DropReason::InvalidDhcp;
    let ethernet = Ethernet::parse(frame).map_err(invalid)?;
    let ip = Ipv6::parse(ethernet.payload).map_err(invalid)?;
    let udp = Udp::parse(ip.payload).map_err(invalid)?;
    let addresses: Vec<Ipv6Addr> = interface.addresses.iter().filter_map(v6).collect();
    if addresses.is_empty() {
        return Err(DropReason::Ipv6NotAssigned);
    }
    let own = addresses.contains(&ip.source);
    if !own && (!ip.source.is_unicast_link_local() || ip.source == router()) {
        return Err(DropReason::SpoofedAddress);
    }
    if udp.source_port != proto::DHCPV6_CLIENT {
        return Err(DropReason::InvalidDhcp);
    }
    let request = Message::parse(udp.payload).map_err(invalid)?;
    let server = Server {
        addresses,
        told: view.and_then(|view| view.vpc.as_ref()).map(|vpc| &vpc.dhcp),
        request: &request,
    };
    let Some(reply) = server.reply()? else {
        return Ok(None);
    };
    let udp = Udp {
        source_port: proto::DHCPV6_SERVER,
        destination_port: proto::DHCPV6_CLIENT,
        payload: &reply.emit(),
    };
    let packet = Ipv6 {
        class_and_label: 0,
        next_header: proto::UDP,
        hop_limit: 64,
        source: router(),
        destination: ip.source,
        payload: &udp.emit(router().into(), ip.source.into()),
    };
    let frame = Ethernet {
        destination: interface.mac,
        source: Mac::ROUTER,
        ethertype: proto::ETHERTYPE_IPV6,
        payload: &packet.emit(),
    };
    Ok(Some(frame.emit()))
}

/// The server's DUID, of its MAC address (RFC 8415 section 11.4).
fn duid() -> Vec<u8> {
    let mut duid = vec![0, 3, 0, 1];
    duid.extend(Mac::ROUTER.0);
    duid
}

/// The server as it sees a message of an interface with these addresses.
struct Server<'a> {
    addresses: Vec<Ipv6Addr>,
    /// The VPC's set of options.
    told: Option<&'a DhcpOptions>,
    request: &'a Message,
}

impl Server<'_> {
    fn reply(&self) -> Result<Option<Message>, DropReason> {
        let client = self.request.option(option::CLIENT_ID);
        let to_server = self.request.option(option::SERVER_ID);
        let to_us = to_server.map(|server| server == duid());
        // RFC 8415 section 16: which messages name their client and their server, and which do not.
        let sound = match self.request.kind {
            kind::SOLICIT | kind::CONFIRM | kind::REBIND => client.is_some() && to_us.is_none(),
            kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE => {
                client.is_some() && to_us.is_some()
            }
            kind::INFORMATION_REQUEST => true,
            _ => false,
        };
        if !sound {
            return Err(DropReason::InvalidDhcp);
        }
        // The client chose another server.
        if to_us == Some(false) {
            return Ok(None);
        }
        let mut options = Options::new();
        if let Some(client) = client {
            options.push((option::CLIENT_ID, client.to_vec()));
        }
        options.push((option::SERVER_ID, duid()));
        let rapid = self.request.option(option::RAPID_COMMIT).is_some();
        let mut answer = kind::REPLY;
        match self.request.kind {
            kind::SOLICIT => {
                if rapid {
                    options.push((option::RAPID_COMMIT, Vec::new()));
                } else {
                    answer = kind::ADVERTISE;
                }
                self.associations(&mut options, Server::lease)?;
                parameters(&mut options, self.told);
            }
            kind::REQUEST => {
                self.associations(&mut options, Server::lease)?;
                parameters(&mut options, self.told);
            }
            kind::RENEW | kind::REBIND => {
                self.associations(&mut options, Server::renewal)?;
                parameters(&mut options, self.told);
            }
            kind::CONFIRM => options.push((option::STATUS_CODE, status(self.confirm()?))),
            kind::RELEASE | kind::DECLINE => {
                options.push((option::STATUS_CODE, status(Status::Success)));
            }
            _ => {
                let seconds = REFRESH_S.to_be_bytes().to_vec();
                options.push((option::INFORMATION_REFRESH_TIME, seconds));
                parameters(&mut options, self.told);
            }
        }
        Ok(Some(Message {
            kind: answer,
            transaction: self.request.transaction,
            options,
        }))
    }

    /// Answers the client's associations: the first one for addresses gets what `answer` says, the others have to do
    /// without.
    fn associations(
        &self,
        options: &mut Options,
        answer: impl Fn(&Self, &Association) -> Association,
    ) -> Result<(), DropReason> {
        let mut served = false;
        for (code, wanted) in self.wanted()? {
            let reply = if code == option::IA_NA && !std::mem::replace(&mut served, true) {
                answer(self, &wanted)
            } else {
                let none = if code == option::IA_PD {
                    Status::NoPrefixes
                } else {
                    Status::NoAddresses
                };
                refused(&wanted, none)
            };
            options.push((code, reply.emit()));
        }
        Ok(())
    }

    /// The associations of the message, as many as are answered.
    fn wanted(&self) -> Result<Vec<(u16, Association)>, DropReason> {
        let of_association =
            |code: &u16| [option::IA_NA, option::IA_TA, option::IA_PD].contains(code);
        let found = self.request.options.iter();
        let found = found.filter(|(code, _)| of_association(code));
        let found = found.take(MAX_ASSOCIATIONS);
        found
            .map(|(code, value)| Some((*code, Association::parse(*code, value).ok()?)))
            .collect::<Option<_>>()
            .ok_or(DropReason::InvalidDhcp)
    }

    /// All the interface's addresses.
    fn lease(&self, wanted: &Association) -> Association {
        let addresses = self.addresses.iter().take(MAX_ADDRESSES);
        let addresses = addresses.map(|a| (option::IA_ADDRESS, address(*a, PREFERRED_S, VALID_S)));
        Association {
            id: wanted.id,
            times: Some(TIMES_S),
            options: addresses.collect(),
        }
    }

    /// All the interface's addresses; what else the client has is not its own any more (RFC 8415 section 18.3.4).
    fn renewal(&self, wanted: &Association) -> Association {
        let mut lease = self.lease(wanted);
        let had = wanted.addresses();
        let lost = had.iter().filter(|had| !self.addresses.contains(had));
        let lost = lost.take(MAX_ADDRESSES.saturating_sub(lease.options.len()));
        let lost = lost.map(|lost| (option::IA_ADDRESS, address(*lost, 0, 0)));
        lease.options.extend(lost.collect::<Options>());
        lease
    }

    /// RFC 8415 section 18.3.3.
    fn confirm(&self) -> Result<Status, DropReason> {
        let had: Vec<Ipv6Addr> = self
            .wanted()?
            .iter()
            .flat_map(|(_, wanted)| wanted.addresses())
            .collect();
        Ok(if had.is_empty() {
            Status::NoBinding
        } else if had.iter().all(|had| self.addresses.contains(had)) {
            Status::Success
        } else {
            Status::NotOnLink
        })
    }
}

fn refused(wanted: &Association, why: Status) -> Association {
    Association {
        id: wanted.id,
        times: wanted.times.map(|_| [0, 0]),
        options: vec![(option::STATUS_CODE, status(why))],
    }
}

/// A status without words.
fn status(status: Status) -> Vec<u8> {
    vec![0, status as u8]
}

/// What goes with every address, and what is told without one: of the VPC's set of options, what IPv6 has words for.
fn parameters(options: &mut Options, set: Option<&DhcpOptions>) {
    let Some(set) = set else {
        return;
    };
    if set.name_servers.contains(&NameServer::Provided) {
        options.push((option::DNS_SERVERS, RESOLVER.octets().to_vec()));
    }
    let names = set
        .domain_name
        .iter()
        .flat_map(|name| name.split_whitespace());
    let names: Vec<u8> = names.flat_map(domain).collect();
    if !names.is_empty() {
        options.push((option::DOMAIN_LIST, names));
    }
}

/// A name as DNS writes it (RFC 1035 section 3.1). Labels that are too long are left out.
fn domain(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        let len = u8::try_from(label.len()).unwrap_or(u8::MAX);
        if (1..64).contains(&len) {
            out.push(len);
            out.extend(label.as_bytes());
        }
    }
    out.push(0);
    out
}

fn v6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    }
}
