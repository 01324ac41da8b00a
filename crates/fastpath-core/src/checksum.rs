//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! Sums are in the byte order of memory, as the kernel's `__wsum` is: the one's complement sum does not care
//! (RFC 1071 section 2 (B)), and the kernel's helpers take such sums.

/// The difference that replacing `old` by `new` makes to a one's complement sum: add it to the sum of the old
/// bytes (RFC 1624 equation 3 without the outer complements).
#[must_use]
#[inline(always)]
pub const fn difference<const N: usize>(old: &[u8; N], new: &[u8; N]) -> u32 {
    let mut sum = 0u32;
    let mut i = 0;
    while i + 1 < N {
        sum += !u16::from_ne_bytes([old[i], old[i + 1]]) as u32;
        sum += u16::from_ne_bytes([new[i], new[i + 1]]) as u32;
        i += 2;
    }
    sum
}

/// A sum in 16 bits, its carries added in. Takes any sum of up to 2¹⁶ words.
#[must_use]
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    (sum & 0xffff) as u16
}

/// RFC 1624: the checksum field after a change of the bytes it covers.
#[must_use]
pub const fn adjusted(field: [u8; 2], difference: u32) -> [u8; 2] {
    let sum = !u16::from_ne_bytes(field) as u32 + fold(difference) as u32;
    (!fold(sum)).to_ne_bytes()
}

/// The folded sum of any number of bytes, an odd last one padded with zero, added to `start`.
#[must_use]
pub fn sum(start: u16, bytes: &[u8]) -> u16 {
    let mut total = start;
    let mut words = bytes.chunks_exact(2);
    for word in &mut words {
        total = fold(u32::from(total) + u32::from(u16::from_ne_bytes([word[0], word[1]])));
    }
    if let [last] = words.remainder() {
        total = fold(u32::from(total) + u32::from(u16::from_ne_bytes([*last, 0])));
    }
    total
}
