//! Which ports of NAT gateways are in use.
//!
//! A port can be used once toward each remote end, so one address carries 64,512 flows to every destination address and
//! port (EC2 "NAT gateway basics" counts 55,000). Finding a free one costs the same however few are left.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use walk::End;

/// The first port that is given out (RFC 6335 section 6: below are the system's).
const FIRST: u16 = 1024;
/// How many ports there are from it on.
const COUNT: u16 = u16::MAX - FIRST + 1;
/// Up to so many, the ports in use are a list. The table behind it takes 260 kB a side: so many flows to one remote end
/// must have paid for it that nobody fills the memory with sides; and a search in the list stays short.
const SHORT: usize = 1024;

/// A gateway's address, as one remote end sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Side {
    /// The gateway's address.
    pub(crate) address: IpAddr,
    /// TCP, UDP or ICMP.
    pub(crate) protocol: u8,
    /// The other end.
    pub(crate) remote: End,
}

/// The ports in use, by side.
#[derive(Clone, Debug, Default)]
pub(crate) struct NatPorts {
    sides: HashMap<Side, Used>,
}

#[derive(Clone, Debug)]
enum Used {
    Few(BTreeSet<u16>),
    /// A stack of the free ports, and where each free port is in it: `places[port - FIRST]`, `COUNT` for one in use.
    Many {
        free: Vec<u16>,
        places: Vec<u16>,
    },
}

impl NatPorts {
    /// A port that is free on this side; `like` spreads the choice. `None` if all are in use.
    pub(crate) fn free(&self, side: &Side, like: u16) -> Option<u16> {
        match self.sides.get(side) {
            // What the sender chose itself, if it may be used: it is likely to be free.
            None => Some(if like < FIRST { FIRST + like } else { like }),
            Some(Used::Few(used)) => {
                let start = like % COUNT;
                let nth = |n: u16| FIRST + start.wrapping_add(n) % COUNT;
                // One more than are in use: one of them is free.
                let tries = u16::try_from(used.len()).unwrap_or(COUNT);
                (0..=tries).map(nth).find(|port| !used.contains(port))
            }
            Some(Used::Many { free, .. }) => free.last().copied(),
        }
    }

    /// Whether the port is in use on this side.
    pub(crate) fn is_used(&self, side: &Side, port: u16) -> bool {
        match self.sides.get(side) {
            None => false,
            Some(Used::Few(used)) => used.contains(&port),
            Some(Used::Many { places, .. }) => {
                let place = port
                    .checked_sub(FIRST)
                    .and_then(|at| places.get(usize::from(at)));
                place == Some(&COUNT)
            }
        }
    }

    /// Takes a port; whether it was free.
    pub(crate) fn take(&mut self, side: Side, port: u16) -> bool {
        if port < FIRST || self.is_used(&side, port) {
            return false;
        }
        let used = self
            .sides
            .entry(side)
            .or_insert_with(|| Used::Few(BTreeSet::new()));
        match used {
            Used::Few(few) => {
                few.insert(port);
                if few.len() > SHORT {
                    *used = many(few);
                }
            }
            Used::Many { free, places } => remove(free, places, port),
        }
        true
    }

    /// Gives a port back.
    pub(crate) fn give_back(&mut self, side: &Side, port: u16) {
        if !self.is_used(side, port) {
            return;
        }
        let Some(used) = self.sides.get_mut(side) else {
            return;
        };
        let is_empty = match used {
            Used::Few(few) => {
                few.remove(&port);
                few.is_empty()
            }
            Used::Many { free, places } => {
                insert(free, places, port);
                free.len() == usize::from(COUNT)
            }
        };
        if is_empty {
            self.sides.remove(side);
        }
    }

    /// How many sides have a port in use.
    #[cfg(test)]
    pub(crate) fn sides(&self) -> usize {
        self.sides.len()
    }
}

/// The table of a side that has outgrown the list.
fn many(few: &BTreeSet<u16>) -> Used {
    let mut free = Vec::with_capacity(usize::from(COUNT));
    let mut places = vec![COUNT; usize::from(COUNT)];
    for port in (FIRST..=u16::MAX).rev().filter(|port| !few.contains(port)) {
        insert(&mut free, &mut places, port);
    }
    Used::Many { free, places }
}

fn insert(free: &mut Vec<u16>, places: &mut [u16], port: u16) {
    if let Some(place) = places.get_mut(usize::from(port - FIRST)) {
        *place = u16::try_from(free.len()).unwrap_or(COUNT);
        free.push(port);
    }
}

/// The last free port takes the place of the one that goes.
fn remove(free: &mut Vec<u16>, places: &mut [u16], port: u16) {
    let Some(place) = places.get_mut(usize::from(port - FIRST)) else {
        return;
    };
    let at = usize::from(std::mem::replace(place, COUNT));
    let Some(last) = free.pop() else { return };
    if last != port {
        if let Some(hole) = free.get_mut(at) {
            *hole = last;
        }
        if let Some(place) = places.get_mut(usize::from(last - FIRST)) {
            *place = u16::try_from(at).unwrap_or(COUNT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(remote: u8) -> Side {
        Side {
            address: IpAddr::from([10, 0, 0, 4]),
            protocol: 6,
            remote: End {
                address: IpAddr::from([198, 51, 100, remote]),
                port: 443,
            },
        }
    }

    #[test]
    fn every_port_once_toward_each_remote_end() {
        let mut ports = NatPorts::default();
        for remote in [1, 2] {
            let mut given = BTreeSet::new();
            for flow in 0..u32::from(COUNT) {
                let like = u16::try_from(flow * 7 % 65_536).unwrap();
                let port = ports.free(&side(remote), like).unwrap();
                assert!(port >= FIRST && given.insert(port), "{port}");
                assert!(ports.take(side(remote), port));
                assert!(!ports.take(side(remote), port));
            }
            assert_eq!(ports.free(&side(remote), 5), None);
        }
        // What is given back is there again, and nothing else.
        ports.give_back(&side(1), 40_000);
        ports.give_back(&side(1), 40_000);
        assert_eq!(ports.free(&side(1), 5), Some(40_000));
        assert_eq!(ports.free(&side(2), 5), None);
        assert!(ports.take(side(1), 40_000));
        for port in FIRST..=u16::MAX {
            ports.give_back(&side(1), port);
            ports.give_back(&side(2), port);
        }
        assert_eq!(ports.sides(), 0);
    }

    #[test]
    fn system_ports_are_not_given_out() {
        let mut ports = NatPorts::default();
        assert_eq!(ports.free(&side(1), 80), Some(FIRST + 80));
        assert_eq!(ports.free(&side(1), 50_000), Some(50_000));
        assert!(!ports.take(side(1), 80));
        assert_eq!(ports.sides(), 0);
    }
}
