//! Address resolution. There is no link: whatever address a guest asks for, the router takes the packets.

use std::net::{IpAddr, Ipv4Addr};

use packet::{Arp, ArpOperation, Ethernet};
use topology::{Interface, Uplink};
use types::{DropReason, Mac};

/// What becomes of an ARP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// This frame goes back.
    Reply(Vec<u8>),
    /// Nothing goes back.
    Silence,
}

/// A guest's ARP packet. Requests for every address but its own are answered with the router's MAC address; about its
/// own addresses there is silence, so that its duplicate address detection (RFC 5227 section 2.1) finds none.
pub(crate) fn from_guest(frame: &[u8], interface: &Interface) -> Result<Answer, DropReason> {
    let (ethernet, arp) = parse(frame)?;
    let own = |address: Ipv4Addr| interface.addresses.contains(&IpAddr::V4(address));
    let probe = arp.operation == ArpOperation::Request && arp.sender.is_unspecified();
    let honest = arp.sender_mac == interface.mac
        && ethernet.source == interface.mac
        && (own(arp.sender) || probe);
    if !honest {
        return Err(DropReason::ForgedArp);
    }
    match arp.operation {
        // RFC 5227 section 3: an announcement is a request (or, of some systems, a reply) for one's own address.
        ArpOperation::Request if own(arp.target) => Ok(Answer::Silence),
        ArpOperation::Request if arp.target.is_unspecified() => Ok(Answer::Silence),
        ArpOperation::Request => Ok(Answer::Reply(arp.reply(Mac::ROUTER))),
        ArpOperation::Reply if arp.target == arp.sender => Ok(Answer::Silence),
        ArpOperation::Reply | ArpOperation::Other(_) => Err(DropReason::ForgedArp),
    }
}

/// The host's ARP packet. Requests for the pool's addresses, its own excepted, are answered with the router's MAC
/// address, whether or not an interface has them: the walk says what becomes of the packets.
pub(crate) fn from_host(frame: &[u8], uplink: Option<&Uplink>) -> Result<Answer, DropReason> {
    let (_, arp) = parse(frame)?;
    let target = IpAddr::V4(arp.target);
    let ours = uplink.is_some_and(|up| up.pool.contains(target) && up.host != target);
    if arp.operation == ArpOperation::Request && ours && arp.sender != arp.target {
        Ok(Answer::Reply(arp.reply(Mac::ROUTER)))
    } else {
        Ok(Answer::Silence)
    }
}

fn parse(frame: &[u8]) -> Result<(Ethernet<'_>, Arp), DropReason> {
    let malformed = |_| DropReason::MalformedFrame;
    let ethernet = Ethernet::parse(frame).map_err(malformed)?;
    let arp = Arp::parse(ethernet.payload).map_err(malformed)?;
    Ok((ethernet, arp))
}
