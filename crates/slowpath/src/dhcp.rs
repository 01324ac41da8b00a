//! The DHCP server of every subnet (RFC 2131). It keeps no leases: an interface has the address that the network
//! gave it, and every client is told that one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use packet::dhcp::{BOOTREPLY, BOOTREQUEST, FLAG_BROADCAST, Message, MessageType, option};
use packet::{Ethernet, Ipv4, Udp};
use topology::{Interface, NameServer, Subnet, Vpc, VpcView};
use types::{DropReason, Mac, proto};

use crate::resolver;

/// The lease's length. Interfaces keep their address for life; a renewal every half hour lets a changed MTU or name
/// reach the guest.
const LEASE_S: u32 = 3600;
/// RFC 2131 section 4.4.5: half of the lease.
const RENEWAL_S: u32 = LEASE_S / 2;
/// RFC 2131 section 4.4.5: seven eighths of the lease.
const REBINDING_S: u32 = LEASE_S / 8 * 7;

/// Whether an IPv4 packet with these ends is one for the subnet's server: from a client's port to a server's, and
/// broadcast or for the router.
pub(crate) fn is_for_server(tuple: &types::FlowTuple, subnet: Option<&Subnet>) -> bool {
    tuple.protocol == proto::UDP
        && tuple.source_port == proto::DHCP_CLIENT
        && tuple.destination_port == proto::DHCP_SERVER
        && (tuple.destination == IpAddr::V4(Ipv4Addr::BROADCAST)
            || subnet.is_some_and(|subnet| subnet.router() == tuple.destination))
}

/// Whether a reply has room for what it repeats (RFC 6842): an identifier in one piece.
fn is_echoed(request: &Message) -> bool {
    let identifier = request.options.get(&option::CLIENT_IDENTIFIER);
    identifier.is_none_or(|identifier| identifier.len() <= usize::from(u8::MAX))
}

/// The subnet's server as an interface sees it.
struct Server {
    /// The router, which is also the server.
    router: Ipv4Addr,
    /// The interface's primary address.
    address: Ipv4Addr,
    mac: Mac,
    options: BTreeMap<u8, Vec<u8>>,
}

/// The answer to a client's frame: `None` if the message needs none. The frame has been parsed as UDP over IPv4.
pub(crate) fn answer(
    frame: &[u8],
    interface: &Interface,
    view: &VpcView,
) -> Result<Option<Vec<u8>>, DropReason> {
    let invalid = |_| DropReason::InvalidDhcp;
    let ethernet = Ethernet::parse(frame).map_err(invalid)?;
    let ip = Ipv4::parse(ethernet.payload).map_err(invalid)?;
    let udp = Udp::parse(ip.payload).map_err(invalid)?;
    let request = Message::parse(udp.payload).map_err(invalid)?;
    if !ip.source.is_unspecified() && !interface.addresses.contains(&IpAddr::V4(ip.source)) {
        return Err(DropReason::SpoofedAddress);
    }
    // There are no relays in a virtual network.
    let of_this_client = request.op == BOOTREQUEST
        && request.chaddr == interface.mac
        && request.giaddr.is_unspecified()
        && is_echoed(&request);
    if !of_this_client {
        return Err(DropReason::InvalidDhcp);
    }
    let server = Server::new(interface, view)?;
    match request.kind() {
        Some(MessageType::Discover) => Ok(Some(server.offer(&request))),
        Some(MessageType::Request) => Ok(server.request(&request)),
        Some(MessageType::Inform) => Ok(Some(server.inform(&request))),
        Some(MessageType::Release | MessageType::Decline) => Ok(None),
        Some(MessageType::Offer | MessageType::Ack | MessageType::Nak) | None => {
            Err(DropReason::InvalidDhcp)
        }
    }
}

impl Server {
    fn new(interface: &Interface, view: &VpcView) -> Result<Server, DropReason> {
        let subnet = view
            .subnet(interface.subnet)
            .ok_or(DropReason::NoInterface)?;
        let (Some(IpAddr::V4(address)), IpAddr::V4(router)) =
            (interface.addresses.first().copied(), subnet.router())
        else {
            return Err(DropReason::NotAService);
        };
        let mut options = BTreeMap::new();
        let prefix = u32::from(subnet.cidr.length());
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
        options.insert(option::SUBNET_MASK, mask.to_be_bytes().to_vec());
        options.insert(option::ROUTER, router.octets().to_vec());
        if let Some(vpc) = &view.vpc {
            add_options(&mut options, vpc);
        }
        // RFC 2132 section 2: an option has at least one byte.
        if !interface.hostname.is_empty() {
            options.insert(option::HOST_NAME, interface.hostname.as_bytes().to_vec());
        }
        options.insert(option::INTERFACE_MTU, interface.mtu.to_be_bytes().to_vec());
        if let IpAddr::V4(broadcast) = subnet.cidr.last() {
            options.insert(option::BROADCAST_ADDRESS, broadcast.octets().to_vec());
        }
        Ok(Server {
            router,
            address,
            mac: interface.mac,
            options,
        })
    }

    /// RFC 2131 section 4.3.1.
    fn offer(&self, request: &Message) -> Vec<u8> {
        self.lease(request, MessageType::Offer)
    }

    /// RFC 2131 section 4.3.2. Silence if the client chose another server.
    fn request(&self, request: &Message) -> Option<Vec<u8>> {
        let other = |server| server != self.router;
        if request
            .address(option::SERVER_IDENTIFIER)
            .is_some_and(other)
        {
            return None;
        }
        let wanted = request
            .address(option::REQUESTED_ADDRESS)
            .unwrap_or(request.ciaddr);
        Some(if wanted == self.address {
            self.lease(request, MessageType::Ack)
        } else {
            // RFC 2131 section 4.1: without a relay, a NAK is broadcast.
            let nak = self.message(request, MessageType::Nak, BTreeMap::new());
            self.frame(&nak, Mac::BROADCAST, Ipv4Addr::BROADCAST)
        })
    }

    /// RFC 2131 section 4.3.5: parameters, but neither an address nor a lease.
    fn inform(&self, request: &Message) -> Vec<u8> {
        let reply = self.message(request, MessageType::Ack, self.options.clone());
        self.send(request, &reply)
    }

    fn lease(&self, request: &Message, kind: MessageType) -> Vec<u8> {
        let mut options = self.options.clone();
        for (code, seconds) in [
            (option::LEASE_TIME, LEASE_S),
            (option::RENEWAL_TIME, RENEWAL_S),
            (option::REBINDING_TIME, REBINDING_S),
        ] {
            options.insert(code, seconds.to_be_bytes().to_vec());
        }
        let mut reply = self.message(request, kind, options);
        reply.yiaddr = self.address;
        self.send(request, &reply)
    }

    /// A reply with the fields of RFC 2131 table 3 that depend on the request.
    fn message(
        &self,
        request: &Message,
        kind: MessageType,
        mut options: BTreeMap<u8, Vec<u8>>,
    ) -> Message {
        options.insert(option::MESSAGE_TYPE, vec![kind.code()]);
        options.insert(option::SERVER_IDENTIFIER, self.router.octets().to_vec());
        // RFC 6842 section 3.
        if let Some(client) = request.options.get(&option::CLIENT_IDENTIFIER) {
            options.insert(option::CLIENT_IDENTIFIER, client.clone());
        }
        let ciaddr = match kind {
            MessageType::Ack => request.ciaddr,
            MessageType::Discover
            | MessageType::Offer
            | MessageType::Request
            | MessageType::Decline
            | MessageType::Nak
            | MessageType::Release
            | MessageType::Inform => Ipv4Addr::UNSPECIFIED,
        };
        Message {
            op: BOOTREPLY,
            hops: 0,
            xid: request.xid,
            secs: 0,
            flags: request.flags,
            ciaddr,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: request.giaddr,
            chaddr: request.chaddr,
            options,
        }
    }

    /// RFC 2131 section 4.1: to the client's working address if it has one, else as its broadcast flag says.
    fn send(&self, request: &Message, reply: &Message) -> Vec<u8> {
        if request.ciaddr == self.address {
            self.frame(reply, self.mac, self.address)
        } else if request.flags & FLAG_BROADCAST != 0 || reply.yiaddr.is_unspecified() {
            self.frame(reply, Mac::BROADCAST, Ipv4Addr::BROADCAST)
        } else {
            self.frame(reply, self.mac, reply.yiaddr)
        }
    }

    fn frame(&self, message: &Message, mac: Mac, destination: Ipv4Addr) -> Vec<u8> {
        let udp = Udp {
            source_port: proto::DHCP_SERVER,
            destination_port: proto::DHCP_CLIENT,
            payload: &message.emit(),
        };
        let ip = Ipv4 {
            tos: 0,
            identification: 0,
            fragment: 0x4000,
            ttl: 64,
            protocol: proto::UDP,
            source: self.router,
            destination,
            options: &[],
            payload: &udp.emit(self.router.into(), destination.into()),
        };
        Ethernet {
            destination: mac,
            source: Mac::ROUTER,
            ethertype: proto::ETHERTYPE_IPV4,
            payload: &ip.emit(),
        }
        .emit()
    }
}

/// Adds what the VPC's set of options says. RFC 2132 section 2: an option has at least one byte.
fn add_options(options: &mut BTreeMap<u8, Vec<u8>>, vpc: &Vpc) {
    let octets = |servers: &[Ipv4Addr]| servers.iter().flat_map(Ipv4Addr::octets).collect();
    let set = &vpc.dhcp;
    let resolvers = set.name_servers.iter().filter_map(|server| match server {
        NameServer::Provided => resolver::address(vpc),
        NameServer::At(address) => Some(*address),
    });
    let resolvers: Vec<Ipv4Addr> = resolvers.collect();
    let domain = set.domain_name.as_deref().unwrap_or_default();
    for (code, value) in [
        (option::DNS_SERVER, octets(&resolvers)),
        (option::DOMAIN_NAME, domain.as_bytes().to_vec()),
        (option::NTP_SERVERS, octets(&set.ntp_servers)),
        (
            option::NETBIOS_NAME_SERVERS,
            octets(&set.netbios_name_servers),
        ),
        (
            option::NETBIOS_NODE_TYPE,
            set.netbios_node_type.into_iter().collect(),
        ),
    ] {
        if !value.is_empty() {
            options.insert(code, value);
        }
    }
}
