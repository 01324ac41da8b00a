//! Sets of packets: protocols, and of each the destination ports or the ICMP types and codes.

use std::collections::BTreeMap;

use serde::Serialize;
use types::proto;

/// What selects a packet within its protocol: a destination port; of ICMP, the type in the upper eight bits and the
/// code in the lower ones; 0 of every other protocol. Ranges, sorted, disjoint, as few as can be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ranges(Vec<(u16, u16)>);

impl Ranges {
    /// The ranges, first and last included.
    #[must_use]
    pub fn as_slice(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds this one.
    #[must_use]
    pub fn contains(&self, selector: u16) -> bool {
        let behind = self.0.partition_point(|(_, last)| *last < selector);
        self.0
            .get(behind)
            .is_some_and(|(first, _)| *first <= selector)
    }

    /// Adds a range that begins behind all that are there.
    pub(crate) fn push(&mut self, first: u16, last: u16) {
        match self.0.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(first) => before.1 = last,
            Some(_) | None => self.0.push((first, last)),
        }
    }

    /// What of it is in these ranges.
    fn within(&self, wanted: &[(u16, u16)]) -> Ranges {
        let both = |&(first, last): &(u16, u16)| {
            let cut = move |&(from, to): &(u16, u16)| (first.max(from), last.min(to));
            wanted.iter().map(cut).filter(|(first, last)| first <= last)
        };
        let mut parts: Vec<(u16, u16)> = self.0.iter().flat_map(both).collect();
        parts.sort_unstable();
        let mut within = Ranges::default();
        for (first, last) in parts {
            match within.0.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                Some(_) | None => within.push(first, last),
            }
        }
        within
    }

    /// What is here and not there.
    fn without(&self, other: &Ranges) -> Ranges {
        let mut left = Ranges::default();
        for &(first, last) in &self.0 {
            let mut from = Some(first);
            for &(out, upto) in other.0.iter().filter(|o| o.0 <= last && o.1 >= first) {
                let Some(start) = from else { break };
                if out > start {
                    left.push(start, out - 1);
                }
                from = upto.checked_add(1).filter(|next| *next <= last);
            }
            if let Some(start) = from {
                left.push(start, last);
            }
        }
        left
    }
}

/// A set of packets by protocol; `None` is every protocol that no rule names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Services(pub(crate) BTreeMap<Option<u8>, Ranges>);

/// One protocol of a set of packets, as people write it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Service {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `other`: every protocol that no rule names.
    pub protocol: String,
    /// Ports (`80`, `8000-8010`) or ICMP types and codes (`8`, `3/4`); empty is all of them.
    pub ports: Vec<String>,
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.protocol)?;
        if !self.ports.is_empty() {
            write!(f, " {}", self.ports.join(","))?;
        }
        Ok(())
    }
}

impl Services {
    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds packets of this protocol and selector ([`Ranges`]); `named` are the protocols that rules name.
    #[must_use]
    pub fn contains(&self, protocol: u8, selector: u16, named: &[u8]) -> bool {
        let key = named.contains(&protocol).then_some(protocol);
        self.0
            .get(&key)
            .is_some_and(|ranges| ranges.contains(selector))
    }

    /// What of it is of these protocols and ports; `None` is every one.
    #[must_use]
    pub fn only(&self, protocols: Option<&[u8]>, ports: Option<&[(u16, u16)]>) -> Services {
        let kept = self.0.iter().filter_map(|(protocol, ranges)| {
            let wanted =
                protocols.is_none_or(|wanted| protocol.is_some_and(|p| wanted.contains(&p)));
            let ranges = match ports {
                Some(ports) => ranges.within(ports),
                None => ranges.clone(),
            };
            (wanted && !ranges.is_empty()).then_some((*protocol, ranges))
        });
        Services(kept.collect())
    }

    /// Each protocol's number, `None` for those that no rule names, and what selects packets in it.
    pub fn iter(&self) -> impl Iterator<Item = (Option<u8>, &Ranges)> {
        self.0.iter().map(|(protocol, ranges)| (*protocol, ranges))
    }

    /// The lowest port of TCP or UDP that it holds.
    #[must_use]
    pub fn first_port(&self, protocol: u8) -> Option<u16> {
        let ranges = self.0.get(&Some(protocol))?;
        ranges.as_slice().first().map(|(first, _)| *first)
    }

    /// What is here and not there.
    #[must_use]
    pub fn without(&self, other: &Services) -> Services {
        let left = self.0.iter().map(|(protocol, ranges)| {
            let left = match other.0.get(protocol) {
                Some(other) => ranges.without(other),
                None => ranges.clone(),
            };
            (*protocol, left)
        });
        Services(left.filter(|(_, ranges)| !ranges.is_empty()).collect())
    }

    /// For people: TCP and UDP first.
    #[must_use]
    pub fn list(&self) -> Vec<Service> {
        let rank = |protocol: &Option<u8>| match protocol {
            Some(proto::TCP) => 0,
            Some(proto::UDP) => 1,
            Some(proto::ICMP | proto::ICMPV6) => 2,
            Some(_) => 3,
            None => 4,
        };
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by_key(|(protocol, _)| (rank(protocol), **protocol));
        sorted
            .into_iter()
            .map(|(protocol, ranges)| Service {
                protocol: match protocol {
                    Some(proto::TCP) => "tcp".to_owned(),
                    Some(proto::UDP) => "udp".to_owned(),
                    Some(proto::ICMP) => "icmp".to_owned(),
                    Some(proto::ICMPV6) => "icmpv6".to_owned(),
                    Some(number) => number.to_string(),
                    None => "other".to_owned(),
                },
                ports: match protocol {
                    _ if ranges.as_slice() == [(0, u16::MAX)] => Vec::new(),
                    Some(proto::TCP | proto::UDP) => {
                        ranges.as_slice().iter().map(|&(a, b)| span(a, b)).collect()
                    }
                    Some(proto::ICMP | proto::ICMPV6) => messages(ranges),
                    Some(_) | None => Vec::new(),
                },
            })
            .collect()
    }
}

fn span(first: u16, last: u16) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// ICMP types (`8`, `9-255`), and types with codes (`3/4`, `3/5-255`).
fn messages(ranges: &Ranges) -> Vec<String> {
    let mut words = Vec::new();
    for &(first, last) in ranges.as_slice() {
        let (mut kind, mut code) = (first >> 8, first & 0xff);
        let (end, end_code) = (last >> 8, last & 0xff);
        if code != 0 || kind == end {
            let upto = if kind == end { end_code } else { 0xff };
            words.push(if (code, upto) == (0, 0xff) {
                kind.to_string()
            } else {
                format!("{kind}/{}", span(code, upto))
            });
            (kind, code) = (kind + 1, 0);
        }
        if kind > end {
            continue;
        }
        let whole = if end_code == 0xff { end + 1 } else { end };
        if kind < whole {
            words.push(span(kind, whole - 1));
        }
        if whole == end {
            words.push(format!("{end}/{}", span(code, end_code)));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(u16, u16)]) -> Ranges {
        let mut ranges = Ranges::default();
        list.iter()
            .for_each(|&(first, last)| ranges.push(first, last));
        ranges
    }

    #[test]
    fn neighbours_become_one_and_differences_are_exact() {
        assert_eq!(ranges(&[(0, 9), (10, 20)]).as_slice(), [(0, 20)]);
        let all = ranges(&[(0, u16::MAX)]);
        let some = ranges(&[(0, 0), (5, 9), (u16::MAX, u16::MAX)]);
        let left = all.without(&some);
        assert_eq!(left.as_slice(), [(1, 4), (10, 65534)]);
        assert_eq!(
            left.without(&ranges(&[(3, 12)])).as_slice(),
            [(1, 2), (13, 65534)]
        );
        assert!(some.without(&all).is_empty());
        assert_eq!(
            left.within(&[(3, 12), (8, 20)]).as_slice(),
            [(3, 4), (10, 20)]
        );
        for selector in [0, 1, 4, 5, 9, 10, 65534, u16::MAX] {
            assert_ne!(left.contains(selector), some.contains(selector));
        }
    }

    #[test]
    fn icmp_in_words() {
        let words = |list: &[(u16, u16)]| messages(&ranges(list));
        assert_eq!(words(&[(0x0800, 0x08ff)]), ["8"]);
        assert_eq!(words(&[(0x0304, 0x0304)]), ["3/4"]);
        assert_eq!(words(&[(0x0304, 0x0501)]), ["3/4-255", "4", "5/0-1"]);
        assert_eq!(words(&[(0x0900, 0xffff)]), ["9-255"]);
        assert_eq!(words(&[(0x0000, 0x0800)]), ["0-7", "8/0"]);
    }
}
