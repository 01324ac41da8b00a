//! The DHCP client (RFC 2131) that configures the interfaces of an instance, as a virtual machine would do itself.
//!
//! Limitations: it reads the mask, the first router and the MTU, nothing else. It takes its lease for the interface's
//! whole life and never renews it: nobody else is ever given the address of an interface, and of what a renewal could
//! tell anew it reads nothing. What changes while an interface lives, its secondary addresses, DHCP does not carry.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Encodable};
use socket2::{Domain, Protocol, Socket, Type};
use types::Mac;

/// What the network told an interface to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_length: u8,
    pub(crate) router: Option<Ipv4Addr>,
    pub(crate) mtu: Option<u16>,
}

/// The first wait for an answer; each further one is twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// How often the caller's wish to stop is looked at.
const SLICE: Duration = Duration::from_millis(200);

/// Asks for an address on this interface of the calling thread's network namespace, again and again until
/// `patience` is over or `cancelled` is set. The interface must be up. `random` makes the transaction's number.
///
/// # Errors
/// `TimedOut` without an answer, `Interrupted` if cancelled, or the socket's.
pub(crate) fn acquire(
    interface: &str,
    mac: Mac,
    random: u32,
    patience: Duration,
    cancelled: &AtomicBool,
) -> io::Result<Lease> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_broadcast(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68).into())?;
    let link = Link {
        socket: socket.into(),
        cancelled,
    };

    let deadline = Instant::now() + patience;
    let mut wait = FIRST_WAIT;
    while Instant::now() < deadline {
        // A server that does not confirm what it offered is asked anew (RFC 2131 section 3.1, point 5).
        if let Some(offer) = link.exchange(&discover(random, mac), wait, |m| {
            is_answer(m, random, mac, &[MessageType::Offer])
        })? && let Some(request) = request(&offer, random, mac)
            && let Some(answer) = link.exchange(&request, wait, |m| {
                is_answer(m, random, mac, &[MessageType::Ack, MessageType::Nak])
            })?
            && answer.opts().msg_type() == Some(MessageType::Ack)
        {
            return lease(&answer).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the DHCP answer has no usable address",
                )
            });
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to DHCP"))
}

struct Link<'a> {
    socket: UdpSocket,
    cancelled: &'a AtomicBool,
}

impl Link<'_> {
    /// Sends a message and waits for an answer that `wanted` accepts; `None` once the wait is over.
    fn exchange(
        &self,
        message: &Message,
        wait: Duration,
        wanted: impl Fn(&Message) -> bool,
    ) -> io::Result<Option<Message>> {
        let bytes = message.to_vec().map_err(io::Error::other)?;
        let server = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);
        self.socket.send_to(&bytes, server)?;
        let deadline = Instant::now() + wait;
        let mut buffer = [0; 1500];
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left.min(SLICE)))?;
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let answer = buffer.get(..length).map(Message::from_bytes);
                    if let Some(Ok(answer)) = answer
                        && wanted(&answer)
                    {
                        return Ok(Some(answer));
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn message(kind: MessageType, random: u32, mac: Mac) -> Message {
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(random, none, none, none, none, &mac.0);
    // Without an address, the answer can only be a broadcast (RFC 2131 section 4.1).
    message.set_flags(Flags::default().set_broadcast());
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message
        .opts_mut()
        .insert(DhcpOption::ParameterRequestList(vec![
            OptionCode::SubnetMask,
            OptionCode::Router,
            OptionCode::InterfaceMtu,
        ]));
    message
}

fn discover(random: u32, mac: Mac) -> Message {
    message(MessageType::Discover, random, mac)
}

/// Asks for what was offered; `None` if the offer names no server.
fn request(offer: &Message, random: u32, mac: Mac) -> Option<Message> {
    let server = match offer.opts().get(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(server)) => *server,
        _ => return None,
    };
    let mut message = message(MessageType::Request, random, mac);
    let options = message.opts_mut();
    options.insert(DhcpOption::RequestedIpAddress(offer.yiaddr()));
    options.insert(DhcpOption::ServerIdentifier(server));
    Some(message)
}

fn is_answer(message: &Message, random: u32, mac: Mac, kinds: &[MessageType]) -> bool {
    message.opcode() == Opcode::BootReply
        && message.xid() == random
        && message.chaddr() == mac.0
        && message
            .opts()
            .msg_type()
            .is_some_and(|kind| kinds.contains(&kind))
}

fn lease(answer: &Message) -> Option<Lease> {
    let address = answer.yiaddr();
    if address.is_unspecified() || address.is_broadcast() || address.is_multicast() {
        return None;
    }
    let mask = match answer.opts().get(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => mask.to_bits(),
        _ => return None,
    };
    let length = mask.leading_ones();
    if length + mask.trailing_zeros() != 32 && mask != u32::MAX {
        return None;
    }
    Some(Lease {
        address,
        prefix_length: u8::try_from(length).ok()?,
        router: match answer.opts().get(OptionCode::Router) {
            Some(DhcpOption::Router(routers)) => routers.first().copied(),
            _ => None,
        },
        mtu: match answer.opts().get(OptionCode::InterfaceMtu) {
            Some(DhcpOption::InterfaceMtu(mtu)) => Some(*mtu),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn answer(kind: MessageType, mask: Ipv4Addr) -> Message {
        let mut answer = message(kind, 7, MAC);
        answer.set_opcode(Opcode::BootReply);
        answer.set_yiaddr(Ipv4Addr::new(10, 0, 0, 4));
        let options = answer.opts_mut();
        options.insert(DhcpOption::SubnetMask(mask));
        options.insert(DhcpOption::Router(vec![Ipv4Addr::new(10, 0, 0, 1)]));
        options.insert(DhcpOption::InterfaceMtu(9001));
        options.insert(DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 0, 0, 1)));
        // What arrives went over a wire.
        Message::from_bytes(&answer.to_vec().unwrap()).unwrap()
    }

    #[test]
    fn an_answer_becomes_a_lease() {
        let ack = answer(MessageType::Ack, Ipv4Addr::new(255, 255, 255, 0));
        let wanted = Lease {
            address: Ipv4Addr::new(10, 0, 0, 4),
            prefix_length: 24,
            router: Some(Ipv4Addr::new(10, 0, 0, 1)),
            mtu: Some(9001),
        };
        assert_eq!(lease(&ack), Some(wanted));
    }

    #[test]
    fn a_mask_with_holes_is_refused() {
        let ack = answer(MessageType::Ack, Ipv4Addr::new(255, 0, 255, 0));
        assert_eq!(lease(&ack), None);
        let host = answer(MessageType::Ack, Ipv4Addr::BROADCAST);
        assert_eq!(lease(&host).map(|l| l.prefix_length), Some(32));
    }

    #[test]
    fn answers_to_others_are_not_ours() {
        let offer = answer(MessageType::Offer, Ipv4Addr::BROADCAST);
        let offers = &[MessageType::Offer];
        assert!(is_answer(&offer, 7, MAC, offers));
        assert!(!is_answer(&offer, 8, MAC, offers));
        assert!(!is_answer(&offer, 7, Mac::ROUTER, offers));
        assert!(!is_answer(&offer, 7, MAC, &[MessageType::Ack]));
        assert!(!is_answer(
            &discover(7, MAC),
            7,
            MAC,
            &[MessageType::Discover]
        ));
    }

    #[test]
    fn a_request_names_offer_and_server() {
        let offer = answer(MessageType::Offer, Ipv4Addr::BROADCAST);
        let request = request(&offer, 7, MAC).unwrap();
        assert_eq!(
            request.opts().get(OptionCode::RequestedIpAddress),
            Some(&DhcpOption::RequestedIpAddress(Ipv4Addr::new(10, 0, 0, 4)))
        );
    }
}
