//! Longest-prefix match (RFC 1812 section 5.2.4.3) over a table that is read often and made anew when it changes.
//!
//! Blocks are nested or apart, so the table cuts the addresses into ranges in each of which one block is the longest.
//! The ranges' first addresses stand in order: a look-up is one binary search, and in a large table one that the first
//! 16 bits have narrowed down.

use std::net::IpAddr;

use types::Cidr;

/// No block holds the range.
const NONE: u32 = u32::MAX;
/// From how many ranges on the first bits are looked at first: below, the search is short and stays in a cache.
const LARGE: usize = 1024;
/// How many values the first bits have.
const SLOTS: usize = 1 << 16;

/// Which of a list of blocks an address belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Lpm {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl Lpm {
    /// Of these blocks, at most 2³² − 1. Among equal ones the greatest rank counts, and among those the last one.
    pub(crate) fn new<R: Ord>(blocks: impl Iterator<Item = (Cidr, R)>) -> Lpm {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (place, (block, rank)) in (0..NONE).zip(blocks) {
            let length = block.length();
            match (block.network(), block.last()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    v4.push((first.to_bits(), last.to_bits(), length, rank, place));
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    v6.push((first.to_bits(), last.to_bits(), length, rank, place));
                }
                // A block's addresses are of one family.
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
        }
        Lpm {
            v4: Ranges::new(v4),
            v6: Ranges::new(v6),
        }
    }

    /// The place of the longest block that holds the address.
    pub(crate) fn find(&self, address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        }
    }
}

/// An address as a number.
trait Bits: Copy + Ord {
    fn next(self) -> Option<Self>;
    fn first_bits(self) -> usize;
}

impl Bits for u32 {
    fn next(self) -> Option<u32> {
        self.checked_add(1)
    }

    fn first_bits(self) -> usize {
        usize::try_from(self >> 16).unwrap_or_default()
    }
}

impl Bits for u128 {
    fn next(self) -> Option<u128> {
        self.checked_add(1)
    }

    fn first_bits(self) -> usize {
        usize::try_from(self >> 112).unwrap_or_default()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Ranges<B> {
    /// Where each range begins, in order.
    starts: Vec<B>,
    /// The place of each range's block, or [`NONE`].
    places: Vec<u32>,
    /// By the first bits of an address, how many ranges begin before all such addresses; empty in a small table.
    slots: Vec<u32>,
}

impl<B> Default for Ranges<B> {
    fn default() -> Ranges<B> {
        Ranges {
            starts: Vec::new(),
            places: Vec::new(),
            slots: Vec::new(),
        }
    }
}

impl<B: Bits> Ranges<B> {
    /// Of blocks: first and last address, length, rank, place.
    fn new<R: Ord>(mut blocks: Vec<(B, B, u8, R, u32)>) -> Ranges<B> {
        // A block comes before those inside it, and of equal ones the one that counts is the last.
        blocks.sort_by(|a, b| (a.0, a.2, &a.3, a.4).cmp(&(b.0, b.2, &b.3, b.4)));
        let mut ranges = Ranges::default();
        // The blocks around the present address, the innermost last: their last addresses and places.
        let mut around: Vec<(B, u32)> = Vec::new();
        for (first, last, _, _, place) in blocks {
            while let Some((end, _)) = around.pop_if(|(end, _)| *end < first) {
                ranges.leave(end, &around);
            }
            ranges.begin(first, place);
            around.push((last, place));
        }
        while let Some((end, _)) = around.pop() {
            ranges.leave(end, &around);
        }
        if ranges.starts.len() > LARGE {
            let mut begun = 0;
            for slot in 0..=SLOTS {
                while ranges
                    .starts
                    .get(begun)
                    .is_some_and(|start| start.first_bits() < slot)
                {
                    begun += 1;
                }
                ranges.slots.push(u32::try_from(begun).unwrap_or(NONE));
            }
        }
        ranges
    }

    /// Behind the end of a block, what is around it counts.
    fn leave(&mut self, end: B, around: &[(B, u32)]) {
        if let Some(start) = end.next() {
            self.begin(start, around.last().map_or(NONE, |(_, place)| *place));
        }
    }

    fn begin(&mut self, start: B, place: u32) {
        if self.starts.last() == Some(&start) {
            self.places.pop();
        } else {
            self.starts.push(start);
        }
        self.places.push(place);
    }

    fn find(&self, address: B) -> Option<usize> {
        let (from, to) = if self.slots.is_empty() {
            (0, self.starts.len())
        } else {
            let slot = address.first_bits();
            let at = |slot| {
                let begun = self.slots.get(slot).copied().unwrap_or_default();
                usize::try_from(begun).unwrap_or_default()
            };
            (at(slot), at(slot + 1))
        };
        let near = self.starts.get(from..to)?;
        let begun = from + near.partition_point(|start| *start <= address);
        let place = *self.places.get(begun.checked_sub(1)?)?;
        usize::try_from(place).ok().filter(|_| place != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block() -> impl Strategy<Value = Cidr> {
        // Few values, so that blocks nest, repeat and touch.
        let v4 = (
            prop::sample::select(vec![0_u32, 1, 2, 3, 254, 255]),
            any::<u8>(),
            0..=32_u8,
        )
            .prop_map(|(high, low, length)| {
                let bits = high << 24 | u32::from(low & 7) << 16 | u32::from(low);
                Cidr::containing(std::net::Ipv4Addr::from_bits(bits).into(), length)
            });
        let v6 = (
            prop::sample::select(vec![0_u128, 0x2001, 0xffff]),
            0..4_u128,
            0..=128_u8,
        )
            .prop_map(|(high, low, length)| {
                let bits = high << 112 | low << 96 | low;
                Cidr::containing(std::net::Ipv6Addr::from_bits(bits).into(), length)
            });
        prop_oneof![v4, v6].prop_map(|block| block.unwrap_or(Cidr::ALL_V4))
    }

    fn naive(blocks: &[(Cidr, u8)], address: IpAddr) -> Option<usize> {
        (0..blocks.len())
            .filter(|place| blocks[*place].0.contains(address))
            .max_by_key(|place| (blocks[*place].0.length(), blocks[*place].1, *place))
    }

    fn agrees(blocks: &[(Cidr, u8)], extra: &[IpAddr]) {
        let table = Lpm::new(blocks.iter().copied());
        let edges = blocks.iter().flat_map(|(block, _)| {
            let step = |address: IpAddr, by: i8| match address {
                IpAddr::V4(a) if by > 0 => IpAddr::from(a.to_bits().wrapping_add(1).to_be_bytes()),
                IpAddr::V4(a) => IpAddr::from(a.to_bits().wrapping_sub(1).to_be_bytes()),
                IpAddr::V6(a) if by > 0 => IpAddr::from(a.to_bits().wrapping_add(1).to_be_bytes()),
                IpAddr::V6(a) => IpAddr::from(a.to_bits().wrapping_sub(1).to_be_bytes()),
            };
            let (first, last) = (block.network(), block.last());
            [first, last, step(first, -1), step(last, 1)]
        });
        for address in edges.chain(extra.iter().copied()) {
            assert_eq!(table.find(address), naive(blocks, address), "{address}");
        }
    }

    proptest! {
        #[test]
        fn the_longest_block_is_found(
            blocks in prop::collection::vec((block(), 0..3_u8), 0..40),
            extra in prop::collection::vec(any::<IpAddr>(), 0..20),
        ) {
            agrees(&blocks, &extra);
        }
    }

    #[test]
    fn so_it_is_in_a_large_table() {
        let blocks: Vec<(Cidr, u8)> = (0..3000_u32)
            .map(|n| {
                let bits = n.wrapping_mul(0x9e37_79b9);
                let length = 8 + u8::try_from(n % 25).unwrap();
                let address = std::net::Ipv4Addr::from_bits(bits);
                (Cidr::containing(address.into(), length).unwrap(), 0)
            })
            .collect();
        assert!(!Lpm::new(blocks.iter().copied()).v4.slots.is_empty());
        agrees(&blocks, &[]);
    }
}
