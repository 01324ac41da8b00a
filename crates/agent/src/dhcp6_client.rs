//! The DHCPv6 client (RFC 8415) for the interfaces of an instance, beside that for IPv4 and with its limits: the lease
//! is taken for the interface's whole life.
//!
//! The route beyond the link is not DHCP's: the kernel learns it of router advertisements. Who answers is the router,
//! though, so further interfaces, whose routes stand elsewhere, have it from here.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dhcproto::v6::{DhcpOption, IANA, Message, MessageType, OptionCode};
use dhcproto::{Decodable, Encodable};
use socket2::{Domain, Protocol, Socket, Type};
use types::{Mac, proto};

/// What the network told an interface to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lease6 {
    pub(crate) addresses: Vec<Ipv6Addr>,
    /// Who said it.
    pub(crate) router: Ipv6Addr,
}

/// Every server of a link (RFC 8415 section 7.1).
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// The client's number for its one association.
const ASSOCIATION: u32 = 1;
/// The first wait for an answer; each further one is twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// How often the caller's wish to stop is looked at.
const SLICE: Duration = Duration::from_millis(200);

/// Asks for addresses on this interface of the calling thread's network namespace, again and again until `patience` is
/// over or `cancelled` is set. The interface must be up. `random` makes the transaction's number.
///
/// # Errors
/// `TimedOut` without an answer, `Interrupted` if cancelled, or the socket's.
pub(crate) fn acquire(
    (interface, index): (&str, u32),
    mac: Mac,
    random: u32,
    patience: Duration,
    cancelled: &AtomicBool,
) -> io::Result<Lease6> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_only_v6(true)?;
    let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, proto::DHCPV6_CLIENT, 0, 0);
    socket.bind(&any.into())?;
    let link = Link {
        socket: socket.into(),
        server: SocketAddrV6::new(ALL_SERVERS, proto::DHCPV6_SERVER, 0, index),
        cancelled,
    };
    let [_, a, b, c] = random.to_be_bytes();
    let client = Client {
        transaction: [a, b, c],
        mac,
    };
    let deadline = Instant::now() + patience;
    let mut wait = FIRST_WAIT;
    while Instant::now() < deadline {
        let answer = link.exchange(&client.solicit(), wait, |m| client.is_meant(m))?;
        let answer = match answer {
            Some((offer, _)) if offer.msg_type() == MessageType::Advertise => {
                match client.request(&offer) {
                    Some(request) => link.exchange(&request, wait, |m| {
                        client.is_meant(m) && m.msg_type() == MessageType::Reply
                    })?,
                    None => None,
                }
            }
            other => other,
        };
        if let Some((reply, router)) = answer
            && let Some(lease) = lease(&reply, router)
        {
            return Ok(lease);
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "no answer to DHCPv6",
    ))
}

struct Link<'a> {
    socket: UdpSocket,
    server: SocketAddrV6,
    cancelled: &'a AtomicBool,
}

impl Link<'_> {
    /// Sends a message and waits for an answer that `wanted` accepts; `None` once the wait is over.
    fn exchange(
        &self,
        message: &Message,
        wait: Duration,
        wanted: impl Fn(&Message) -> bool,
    ) -> io::Result<Option<(Message, Ipv6Addr)>> {
        let bytes = message.to_vec().map_err(io::Error::other)?;
        // As long as the interface has no address of the link, nothing can be sent; nothing comes back either.
        if let Err(error) = self.socket.send_to(&bytes, self.server) {
            tracing::debug!(%error, "DHCPv6 cannot be asked yet");
        }
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
            match self.socket.recv_from(&mut buffer) {
                Ok((length, SocketAddr::V6(from))) => {
                    let answer = buffer.get(..length).map(Message::from_bytes);
                    if let Some(Ok(answer)) = answer
                        && wanted(&answer)
                    {
                        return Ok(Some((answer, *from.ip())));
                    }
                }
                Ok((_, SocketAddr::V4(_))) => {}
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

/// Who asks.
struct Client {
    transaction: [u8; 3],
    mac: Mac,
}

impl Client {
    /// Its DUID, of its MAC address (RFC 8415 section 11.4).
    fn duid(&self) -> Vec<u8> {
        let mut duid = vec![0, 3, 0, 1];
        duid.extend(self.mac.0);
        duid
    }

    fn message(&self, kind: MessageType) -> Message {
        let mut message = Message::new_with_id(kind, self.transaction);
        message.opts_mut().insert(DhcpOption::ClientId(self.duid()));
        message
    }

    fn solicit(&self) -> Message {
        let mut message = self.message(MessageType::Solicit);
        let options = message.opts_mut();
        options.insert(DhcpOption::RapidCommit);
        options.insert(DhcpOption::IANA(IANA {
            id: ASSOCIATION,
            t1: 0,
            t2: 0,
            opts: std::iter::empty().collect(),
        }));
        message
    }

    /// Asks for what was offered; `None` if the offer names no server or no addresses.
    fn request(&self, offer: &Message) -> Option<Message> {
        let mut message = self.message(MessageType::Request);
        let server = offer.opts().get(OptionCode::ServerId)?;
        let addresses = offer.opts().get(OptionCode::IANA)?;
        message.opts_mut().insert(server.clone());
        message.opts_mut().insert(addresses.clone());
        Some(message)
    }

    fn is_meant(&self, message: &Message) -> bool {
        let kinds = [MessageType::Advertise, MessageType::Reply];
        let own = DhcpOption::ClientId(self.duid());
        kinds.contains(&message.msg_type())
            && message.xid() == self.transaction
            && message.opts().get(OptionCode::ClientId) == Some(&own)
    }
}

/// The addresses of a reply; `None` if it has none.
fn lease(reply: &Message, router: Ipv6Addr) -> Option<Lease6> {
    let Some(DhcpOption::IANA(association)) = reply.opts().get(OptionCode::IANA) else {
        return None;
    };
    let usable = |option: &DhcpOption| {
        let DhcpOption::IAAddr(address) = option else {
            return None;
        };
        let usable = address.valid_life > 0 && is_usable(address.addr);
        usable.then_some(address.addr)
    };
    let addresses: Vec<Ipv6Addr> = association.opts.iter().filter_map(usable).collect();
    (!addresses.is_empty()).then_some(Lease6 { addresses, router })
}

fn is_usable(address: Ipv6Addr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use dhcproto::v6::IAAddr;

    use super::*;

    const CLIENT: Client = Client {
        transaction: [1, 2, 3],
        mac: Mac([2, 0, 0, 0, 0, 9]),
    };

    fn answer(kind: MessageType, addresses: &[(&str, u32)]) -> Message {
        let mut answer = CLIENT.message(kind);
        let addresses = addresses.iter().map(|(address, valid_life)| {
            DhcpOption::IAAddr(IAAddr {
                addr: address.parse().unwrap(),
                preferred_life: 0,
                valid_life: *valid_life,
                opts: std::iter::empty().collect(),
            })
        });
        let association = DhcpOption::IANA(IANA {
            id: ASSOCIATION,
            t1: 0,
            t2: 0,
            opts: addresses.collect(),
        });
        answer
            .opts_mut()
            .insert(DhcpOption::ServerId(vec![0, 3, 7]));
        answer.opts_mut().insert(association);
        // What arrives went over a wire.
        Message::from_bytes(&answer.to_vec().unwrap()).unwrap()
    }

    #[test]
    fn a_reply_becomes_a_lease() {
        let router = CLIENT.mac.link_local();
        let reply = answer(
            MessageType::Reply,
            &[("2001:db8::4", 60), ("2001:db8::5", 0), ("ff02::1", 60)],
        );
        let wanted = Lease6 {
            addresses: vec!["2001:db8::4".parse().unwrap()],
            router,
        };
        assert_eq!(lease(&reply, router), Some(wanted));
        assert_eq!(lease(&answer(MessageType::Reply, &[]), router), None);
        assert_eq!(lease(&CLIENT.solicit(), router), None);
    }

    #[test]
    fn answers_to_others_are_not_ours() {
        let offer = answer(MessageType::Advertise, &[]);
        assert!(CLIENT.is_meant(&offer));
        let other = Client {
            mac: Mac::ROUTER,
            ..CLIENT
        };
        assert!(!other.is_meant(&offer));
        let later = Client {
            transaction: [1, 2, 4],
            ..CLIENT
        };
        assert!(!later.is_meant(&offer));
        assert!(!CLIENT.is_meant(&CLIENT.solicit()));
    }

    #[test]
    fn a_request_names_offer_and_server() {
        let offer = answer(MessageType::Advertise, &[("2001:db8::4", 60)]);
        let request = CLIENT.request(&offer).unwrap();
        for code in [OptionCode::ServerId, OptionCode::IANA] {
            assert_eq!(request.opts().get(code), offer.opts().get(code));
        }
        assert_eq!(CLIENT.request(&CLIENT.solicit()), None);
    }
}
