//! Fragments reach the verdict of their datagram: the first one has the headers that rules and translations look at, the
//! others follow it. Those that come before it wait for it, shortly.
//!
//! What is bounded, per port: the datagrams that are remembered, and the fragments that wait. A fragment of the first's
//! own bytes ends its datagram: whoever overlaps them means to show a rule one header and the receiver another (RFC 1858
//! section 3, RFC 3128, RFC 5722). The receiver puts the datagram together; nobody does here.

use std::collections::{BTreeMap, VecDeque};

use fastpath_core::Ip;
use fastpath_core::parse::{
    ETHERNET_LEN, FRAGMENT_LATER, HEAD_LEN, Head, IPV6_LEN, L3, L4_IPV4, L4_IPV6, head_of,
    parse_into,
};
use types::{DropReason, proto};
use walk::Packet;

/// How long a first fragment is remembered. Receivers wait for longer (RFC 1122 section 3.3.2), but what comes so late
/// hardly ever comes, and an identification is soon another datagram's.
const KNOWN_NS: u64 = 5_000_000_000;
/// How long a fragment waits for the first one.
const WAIT_NS: u64 = 1_000_000_000;
/// The most datagrams of a port that are remembered, and as many that wait; one more displaces the oldest.
const DATAGRAMS: usize = 512;
/// The most fragments of a port that wait, and their bytes.
const HELD: usize = 64;
const HELD_BYTES: usize = 131_072;
/// The largest datagram (RFC 791 section 3.1).
const LARGEST: usize = 65_535;
/// Length of IPv6's fragment header (RFC 8200 section 4.5).
const HEADER_V6: usize = 8;

/// What fragments of one datagram have in common (RFC 791 section 3.2; over IPv6 the protocol is not part of it).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Key {
    source: [u8; 16],
    destination: [u8; 16],
    protocol: u8,
    id: u32,
}

/// A fragment's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) key: Key,
    /// Where it begins in the datagram's payload, and how much of it it has, in bytes.
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

/// The place of a fragment, which the parser has found to be one. `None` if it cannot be part of any datagram: it ends
/// behind the largest one, or not at an eighth although more follow.
pub(crate) fn piece(frame: &[u8], ip: &Ip) -> Option<Piece> {
    let at = |n: usize| frame.get(n).copied();
    let word = |n| Some(u16::from_be_bytes([at(n)?, at(n + 1)?]));
    let (offset, more, id, protocol, headers) = if ip.v6 {
        let field = word(L4_IPV6 + 2)?;
        let [a, b] = word(L4_IPV6 + 4)?.to_be_bytes();
        let [c, d] = word(L4_IPV6 + 6)?.to_be_bytes();
        let id = u32::from_be_bytes([a, b, c, d]);
        (field & !7, field & 1 != 0, id, 0, IPV6_LEN + HEADER_V6)
    } else {
        let field = word(L3 + 6)?;
        let id = u32::from(word(L3 + 4)?);
        let offset = (field & 0x1fff) << 3;
        (offset, field & 0x2000 != 0, id, ip.protocol, L4_IPV4 - L3)
    };
    let (offset, len) = (usize::from(offset), ip.packet_len.checked_sub(headers)?);
    let fits = offset + len <= LARGEST && (!more || len % 8 == 0) && len > 0;
    fits.then_some(Piece {
        key: Key {
            source: ip.source,
            destination: ip.destination,
            protocol,
            id,
        },
        offset,
        len,
    })
}

/// What the first fragment says of its datagram, read as if the datagram were whole. Its headers must be there
/// (RFC 1858 section 3, RFC 7112): what is shorter is refused. Also the ICMP message's type and code.
pub(crate) fn datagram(frame: &[u8], ip: &Ip) -> Result<(Ip, Option<(u8, u8)>), DropReason> {
    let mut head: Head = head_of(frame);
    let mut len = ETHERNET_LEN + ip.packet_len;
    let bytes = &mut head.bytes;
    let start = if ip.v6 {
        let rest: Vec<u8> = frame.iter().skip(L4_IPV6 + HEADER_V6).copied().collect();
        bytes[L3 + 6] = bytes[L4_IPV6];
        len -= HEADER_V6;
        let payload = u16::try_from(len - L4_IPV6).unwrap_or(u16::MAX);
        bytes[L3 + 4..L3 + 6].copy_from_slice(&payload.to_be_bytes());
        bytes[L4_IPV6..].fill(0);
        for (to, from) in bytes[L4_IPV6..].iter_mut().zip(rest) {
            *to = from;
        }
        L4_IPV6
    } else {
        bytes[L3 + 6..L3 + 8].fill(0);
        L4_IPV4
    };
    let here = u16::try_from(len - start).unwrap_or(u16::MAX);
    let protocol = if ip.v6 { bytes[L3 + 6] } else { ip.protocol };
    let announced = [bytes[start + 4], bytes[start + 5]];
    if protocol == proto::UDP && u16::from_be_bytes(announced) > here {
        // The datagram's length, of which this is the beginning.
        bytes[start + 4..start + 6].copy_from_slice(&here.to_be_bytes());
    }
    let icmp = (bytes[start], bytes[start + 1]);
    let mut whole = Ip::default();
    parse_into(&head, len, &mut whole).map_err(|reason| {
        if reason == DropReason::MalformedFrame {
            DropReason::Fragment
        } else {
            reason
        }
    })?;
    let icmp = match (whole.protocol, whole.v6) {
        (proto::ICMP, false) | (proto::ICMPV6, true) => Some(icmp),
        _ => None,
    };
    whole.packet_len = ip.packet_len;
    whole.fragment = ip.fragment;
    Ok((whole, icmp))
}

/// The fragment for the rewriting: what is not the first has no ports and no checksum, whatever its bytes look like.
pub(crate) fn headless(ip: &Ip) -> Ip {
    debug_assert_eq!(ip.fragment, FRAGMENT_LATER);
    Ip { protocol: 0, ..*ip }
}

const _: () = assert!(HEAD_LEN > L4_IPV6 + HEADER_V6);

/// What is known of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    /// Its first fragment, of so many bytes, went on as a packet of this flow.
    Flow(Packet, usize),
    /// It was dropped, and so is the rest.
    Refused(DropReason),
}

/// A fragment that waits for the first one.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// When it came.
    pub(crate) at_ns: u64,
    pub(crate) frame: Vec<u8>,
    pub(crate) ip: Ip,
    pub(crate) piece: Piece,
}

#[derive(Clone, Debug)]
enum State {
    Known(Known),
    Waiting(Vec<Held>),
}

#[derive(Clone, Debug)]
struct Datagram {
    since_ns: u64,
    state: State,
}

#[derive(Clone, Debug, Default)]
struct Port {
    datagrams: BTreeMap<Key, Datagram>,
    /// Oldest first; what `datagrams` does not have with this time and in this state any more does not count.
    known: VecDeque<(u64, Key)>,
    waiting: VecDeque<(u64, Key)>,
    held: usize,
    held_bytes: usize,
}

impl Port {
    fn release(&mut self, held: &[Held]) {
        self.held -= held.len();
        self.held_bytes -= held.iter().map(|held| held.frame.len()).sum::<usize>();
    }

    /// Forgets the oldest known datagram.
    fn forget_known(&mut self) {
        if let Some((since_ns, key)) = self.known.pop_front()
            && let Some(datagram) = self.datagrams.get(&key)
            && datagram.since_ns == since_ns
            && matches!(datagram.state, State::Known(_))
        {
            self.datagrams.remove(&key);
        }
    }

    /// Gives up the oldest datagram that waits; its fragments.
    fn give_up(&mut self) -> Vec<Held> {
        let Some((since_ns, key)) = self.waiting.pop_front() else {
            return Vec::new();
        };
        match self.datagrams.get_mut(&key) {
            Some(Datagram {
                since_ns: since,
                state: State::Waiting(held),
            }) if *since == since_ns => {
                let held = std::mem::take(held);
                self.datagrams.remove(&key);
                self.release(&held);
                held
            }
            _ => Vec::new(),
        }
    }
}

/// The fragments of all ports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragments {
    ports: BTreeMap<u32, Port>,
}

impl Fragments {
    /// What is known of the datagram. `None` if its first fragment has not come.
    pub(crate) fn known(&self, port: u32, key: &Key) -> Option<Known> {
        match self.ports.get(&port)?.datagrams.get(key)?.state {
            State::Known(known) => Some(known),
            State::Waiting(_) => None,
        }
    }

    /// The first fragment came: the fragments that have waited for it.
    pub(crate) fn learn(&mut self, now_ns: u64, port: u32, key: Key, known: Known) -> Vec<Held> {
        let port = self.ports.entry(port).or_default();
        if let Some(Datagram {
            state: State::Known(old),
            ..
        }) = port.datagrams.get_mut(&key)
        {
            *old = known;
            return Vec::new();
        }
        if port.known.len() >= DATAGRAMS {
            port.forget_known();
        }
        port.known.push_back((now_ns, key));
        let datagram = Datagram {
            since_ns: now_ns,
            state: State::Known(known),
        };
        match port.datagrams.insert(key, datagram).map(|old| old.state) {
            Some(State::Waiting(held)) => {
                port.release(&held);
                held
            }
            Some(State::Known(_)) | None => Vec::new(),
        }
    }

    /// Keeps a fragment until its first one comes; what must make room for it. `None` if there is no room.
    pub(crate) fn hold(&mut self, now_ns: u64, port: u32, held: Held) -> Option<Vec<Held>> {
        let port = self.ports.entry(port).or_default();
        let size = held.frame.len();
        if port.held >= HELD || port.held_bytes + size > HELD_BYTES {
            return None;
        }
        let key = held.piece.key;
        port.held += 1;
        port.held_bytes += size;
        if let Some(Datagram {
            state: State::Waiting(others),
            ..
        }) = port.datagrams.get_mut(&key)
        {
            others.push(held);
            return Some(Vec::new());
        }
        let gone = if port.waiting.len() >= DATAGRAMS {
            port.give_up()
        } else {
            Vec::new()
        };
        port.waiting.push_back((now_ns, key));
        let datagram = Datagram {
            since_ns: now_ns,
            state: State::Waiting(vec![held]),
        };
        port.datagrams.insert(key, datagram);
        Some(gone)
    }

    /// Forgets what is old: the fragments whose first one has not come, with their port.
    pub(crate) fn expire(&mut self, now_ns: u64) -> Vec<(u32, Held)> {
        let mut gone = Vec::new();
        for (index, port) in &mut self.ports {
            let old = |front: Option<&(u64, Key)>, life: u64| {
                front.is_some_and(|(since, _)| now_ns.saturating_sub(*since) >= life)
            };
            while old(port.known.front(), KNOWN_NS) {
                port.forget_known();
            }
            while old(port.waiting.front(), WAIT_NS) {
                gone.extend(port.give_up().into_iter().map(|held| (*index, held)));
            }
        }
        self.ports
            .retain(|_, port| !port.known.is_empty() || !port.waiting.is_empty());
        gone
    }

    /// The port is gone: the fragments that waited there.
    pub(crate) fn detach(&mut self, port: u32) -> Vec<Held> {
        let Some(port) = self.ports.remove(&port) else {
            return Vec::new();
        };
        let states = port.datagrams.into_values().map(|datagram| datagram.state);
        states
            .filter_map(|state| match state {
                State::Waiting(held) => Some(held),
                State::Known(_) => None,
            })
            .flatten()
            .collect()
    }
}
