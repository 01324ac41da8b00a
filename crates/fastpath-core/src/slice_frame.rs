//! [`Frame`] over a slice.

use crate::checksum::{adjusted, fold};
use crate::execute::Frame;

/// What the upper layer's checksum field of a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChecksumState {
    /// The checksum.
    Complete,
    /// The folded sum of the pseudo-header alone; whoever sends the packet on a wire completes it
    /// (`CHECKSUM_PARTIAL` of the kernel, `VIRTIO_NET_HDR_F_NEEDS_CSUM` of virtio).
    Partial,
}

/// A frame in memory that can be rewritten.
#[derive(Debug)]
pub struct SliceFrame<'a> {
    bytes: &'a mut [u8],
    checksum: ChecksumState,
}

/// The frame ended before the bytes that were to be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfBounds;

impl std::fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the frame ends before the bytes to rewrite")
    }
}

impl std::error::Error for OutOfBounds {}

impl<'a> SliceFrame<'a> {
    /// A frame from its Ethernet header on.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8], checksum: ChecksumState) -> SliceFrame<'a> {
        SliceFrame { bytes, checksum }
    }

    fn field(&mut self, at: usize) -> Result<&mut [u8; 2], OutOfBounds> {
        self.bytes
            .get_mut(at..)
            .and_then(|rest| rest.first_chunk_mut())
            .ok_or(OutOfBounds)
    }
}

impl Frame for SliceFrame<'_> {
    type Error = OutOfBounds;

    fn store<const N: usize>(&mut self, at: usize, bytes: &[u8; N]) -> Result<(), OutOfBounds> {
        let rest = self.bytes.get_mut(at..).ok_or(OutOfBounds)?;
        *rest.first_chunk_mut().ok_or(OutOfBounds)? = *bytes;
        Ok(())
    }

    fn adjust_header(&mut self, at: usize, difference: u32) -> Result<(), OutOfBounds> {
        let field = self.field(at)?;
        *field = adjusted(*field, difference);
        Ok(())
    }

    fn adjust_transport(
        &mut self,
        at: usize,
        difference: u32,
        pseudo: bool,
        zero_is_none: bool,
    ) -> Result<(), OutOfBounds> {
        let checksum = self.checksum;
        let field = self.field(at)?;
        if zero_is_none && *field == [0, 0] {
            return Ok(());
        }
        match checksum {
            ChecksumState::Complete => *field = adjusted(*field, difference),
            // A partial field is the sum itself, not its complement, and covers no ports.
            ChecksumState::Partial if pseudo => {
                let sum = u32::from(u16::from_ne_bytes(*field)) + u32::from(fold(difference));
                *field = fold(sum).to_ne_bytes();
            }
            ChecksumState::Partial => {}
        }
        if zero_is_none && *field == [0, 0] {
            *field = [0xff, 0xff];
        }
        Ok(())
    }
}
