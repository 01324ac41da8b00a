//! The resolver of every VPC (EC2 "DNS attributes for your VPC"): names of instances, their public names, and the names
//! of their addresses. It is the network's own: no group and no ACL looks at questions to it.

use std::net::{IpAddr, Ipv4Addr};

use fastpath_core::parse::L3;
use packet::dns::{self, Code, Data, Question, Unreadable};
use packet::{Ethernet, Ipv4, Udp};
use topology::{Interface, Snapshot, Vpc, VpcView};
use types::{DropReason, FlowTuple, Mac, proto};

/// The resolver's address in every VPC (EC2 "Amazon DNS server").
const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
const PORT: u16 = 53;
/// How long a client may keep an answer, in seconds, as EC2 says of its names.
const TTL: u32 = 60;
const REVERSE: &str = ".in-addr.arpa";

/// The address of the VPC's DNS: the base of its first block plus two (EC2 "DHCP option sets").
pub(crate) fn address(vpc: &Vpc) -> Option<Ipv4Addr> {
    let block = vpc.cidrs.iter().find(|cidr| cidr.is_v4())?;
    match block.nth(2)? {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}

/// Whether a packet of an interface of this VPC is a question to its resolver, and that is on.
pub(crate) fn is_for(tuple: &FlowTuple, view: &VpcView) -> bool {
    let Some(vpc) = view.vpc.as_ref().filter(|vpc| vpc.dns.support) else {
        return false;
    };
    tuple.protocol == proto::UDP
        && tuple.destination_port == PORT
        && (tuple.destination == IpAddr::V4(LINK_LOCAL)
            || address(vpc).map(IpAddr::V4) == Some(tuple.destination))
}

/// The answer to an interface's question: `None` if there is nobody to answer. The frame has been parsed as UDP over
/// IPv4.
pub(crate) fn answer(
    frame: &[u8],
    interface: &Interface,
    view: &VpcView,
    snapshot: &Snapshot,
) -> Result<Option<Vec<u8>>, DropReason> {
    let malformed = |_| DropReason::MalformedFrame;
    let ip = Ipv4::parse(frame.get(L3..).unwrap_or_default()).map_err(malformed)?;
    let udp = Udp::parse(ip.payload).map_err(malformed)?;
    if !interface.addresses.contains(&IpAddr::V4(ip.source)) {
        return Err(DropReason::SpoofedAddress);
    }
    let reply = match Question::parse(udp.payload) {
        Ok(question) => {
            let (code, records) = resolve(&question, view, snapshot);
            question.reply(code, &records)
        }
        Err(Unreadable::Reply(reply)) => reply,
        Err(Unreadable::Silent) => return Ok(None),
    };
    let payload = Udp {
        source_port: PORT,
        destination_port: udp.source_port,
        payload: &reply,
    }
    .emit(ip.destination.into(), ip.source.into());
    let packet = Ipv4 {
        tos: 0,
        identification: 0,
        fragment: 0x4000,
        ttl: 64,
        protocol: proto::UDP,
        source: ip.destination,
        destination: ip.source,
        options: &[],
        payload: &payload,
    };
    let frame = Ethernet {
        destination: interface.mac,
        source: Mac::ROUTER,
        ethertype: proto::ETHERTYPE_IPV4,
        payload: &packet.emit(),
    };
    Ok(Some(frame.emit()))
}

/// What the network says to a question. Names that are not its own are refused: there is nobody to ask.
fn resolve(question: &Question, view: &VpcView, snapshot: &Snapshot) -> (Code, Vec<(u32, Data)>) {
    let Some(vpc) = view.vpc.as_ref().filter(|_| question.is_internet()) else {
        return (Code::Refused, Vec::new());
    };
    let name = question.name.as_str();
    let found = if let Some(reversed) = name.strip_suffix(REVERSE) {
        reverse(reversed, vpc, view, snapshot).map(|name| name.map(Data::Ptr))
    } else {
        forward(name, vpc, view, snapshot).map(|address| address.map(Data::A))
    };
    match found {
        None => (Code::Refused, Vec::new()),
        Some(None) => (Code::NameError, Vec::new()),
        Some(Some(data)) => {
            let kind = match data {
                Data::A(_) => dns::A,
                Data::Aaaa(_) => dns::AAAA,
                Data::Ptr(_) => dns::PTR,
            };
            // The name is there, if not with records of every type.
            let is_asked = question.kind == kind || question.kind == dns::ANY;
            let records = is_asked.then_some((TTL, data));
            (Code::NoError, records.into_iter().collect())
        }
    }
}

/// The address of a name: none inside if the name is the network's and does not exist, none outside if it is not the
/// network's.
fn forward(name: &str, vpc: &Vpc, view: &VpcView, snapshot: &Snapshot) -> Option<Option<Ipv4Addr>> {
    let label = |domain: &str| name.strip_suffix(domain)?.strip_suffix('.');
    if let Some(host) = label(&vpc.dns.private_domain()) {
        let address = parse(host, "ip-").filter(|_| vpc.dns.hostnames);
        return Some(address.filter(|address| view.interface_at(IpAddr::V4(*address)).is_some()));
    }
    let host = label(&vpc.dns.public_domain())?;
    let Some(public) = parse(host, "ec2-").and_then(|a| snapshot.public_address(IpAddr::V4(a)))
    else {
        return Some(None);
    };
    // Inside of the VPC the public name leads to the private address, from elsewhere to the public one.
    let home = snapshot.vpc_of(public.interface)?;
    let named = home.vpc.as_ref().is_some_and(|vpc| vpc.dns.hostnames);
    let is_here = home.vpc.as_ref().map(|home| home.id) == Some(vpc.id);
    let address = if is_here {
        public.private
    } else {
        public.public
    };
    match address {
        IpAddr::V4(address) if named => Some(Some(address)),
        IpAddr::V4(_) | IpAddr::V6(_) => Some(None),
    }
}

/// The name of an address, as in [`forward`].
fn reverse(
    reversed: &str,
    vpc: &Vpc,
    view: &VpcView,
    snapshot: &Snapshot,
) -> Option<Option<String>> {
    let octets: Vec<u8> = reversed
        .split('.')
        .rev()
        .map(decimal)
        .collect::<Option<_>>()?;
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?);
    let dashed = address.to_string().replace('.', "-");
    if vpc
        .cidrs
        .iter()
        .any(|block| block.contains(IpAddr::V4(address)))
    {
        let is_there = vpc.dns.hostnames && view.interface_at(IpAddr::V4(address)).is_some();
        return Some(is_there.then(|| format!("ip-{dashed}.{}", vpc.dns.private_domain())));
    }
    let public = snapshot.public_address(IpAddr::V4(address))?;
    let home = snapshot.vpc_of(public.interface)?.vpc.as_ref()?;
    let name = format!("ec2-{dashed}.{}", home.dns.public_domain());
    Some(home.dns.hostnames.then_some(name))
}

/// The address in a name as EC2 writes it: `ip-10-0-1-4`.
fn parse(host: &str, prefix: &str) -> Option<Ipv4Addr> {
    let octets: Vec<u8> = host
        .strip_prefix(prefix)?
        .split('-')
        .map(decimal)
        .collect::<Option<_>>()?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?))
}

/// A number as EC2 writes it: without a sign or leading zeros.
fn decimal(text: &str) -> Option<u8> {
    let number: u8 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
