//! The header in front of every frame of a TAP with `IFF_VNET_HDR` (virtio 1.2 section 5.1.6).

/// Length of the header: `struct virtio_net_hdr`, without the number of buffers.
pub const VNET_HEADER_LEN: usize = 10;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const NEEDS_CSUM: u8 = 1;
/// `VIRTIO_NET_HDR_F_DATA_VALID`.
const DATA_VALID: u8 = 2;
/// `VIRTIO_NET_HDR_GSO_ECN`.
const GSO_ECN: u8 = 0x80;

/// How a packet larger than the MTU will be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GsoKind {
    /// Not at all.
    #[default]
    None,
    /// TCP segments over IPv4.
    TcpV4,
    /// TCP segments over IPv6.
    TcpV6,
    /// UDP datagrams that share a header (UDP_SEGMENT).
    UdpL4,
    /// A kind that this crate does not know; kept as it came.
    Other(u8),
}

impl GsoKind {
    const fn from_code(code: u8) -> GsoKind {
        match code {
            0 => GsoKind::None,
            1 => GsoKind::TcpV4,
            4 => GsoKind::TcpV6,
            5 => GsoKind::UdpL4,
            other => GsoKind::Other(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            GsoKind::None => 0,
            GsoKind::TcpV4 => 1,
            GsoKind::TcpV6 => 4,
            GsoKind::UdpL4 => 5,
            GsoKind::Other(other) => other,
        }
    }
}

/// What a frame still needs before it can go on a wire. The default needs nothing: its checksums are complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VnetHeader {
    /// The upper layer's checksum field holds the sum of the pseudo-header only.
    pub needs_checksum: bool,
    /// The checksum has been found right.
    pub checksum_valid: bool,
    /// How the packet will be cut.
    pub gso: GsoKind,
    /// TCP with the congestion window reduced flag, to be set in the first segment only.
    pub ecn: bool,
    /// Bytes of headers that every segment repeats, from the frame's start. A hint.
    pub header_len: u16,
    /// Payload bytes per segment.
    pub gso_size: u16,
    /// Where checksumming starts, from the frame's start. Meaningful with `needs_checksum`.
    pub checksum_start: u16,
    /// Where the checksum goes, from `checksum_start`.
    pub checksum_offset: u16,
}

impl VnetHeader {
    /// Splits what was read from the TAP into header and frame; `None` if it is too short. Fields are in the
    /// byte order of this machine, which is how the kernel writes them unless told otherwise.
    #[must_use]
    pub fn split(bytes: &[u8]) -> Option<(VnetHeader, &[u8])> {
        let (head, frame) = bytes.split_first_chunk::<VNET_HEADER_LEN>()?;
        let [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1] = *head;
        let header = VnetHeader {
            needs_checksum: flags & NEEDS_CSUM != 0,
            checksum_valid: flags & DATA_VALID != 0,
            gso: GsoKind::from_code(gso & !GSO_ECN),
            ecn: gso & GSO_ECN != 0,
            header_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([s0, s1]),
            checksum_start: u16::from_ne_bytes([c0, c1]),
            checksum_offset: u16::from_ne_bytes([o0, o1]),
        };
        Some((header, frame))
    }

    /// The header's bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; VNET_HEADER_LEN] {
        let [h0, h1] = self.header_len.to_ne_bytes();
        let [s0, s1] = self.gso_size.to_ne_bytes();
        let [c0, c1] = self.checksum_start.to_ne_bytes();
        let [o0, o1] = self.checksum_offset.to_ne_bytes();
        let mut flags = 0;
        if self.needs_checksum {
            flags |= NEEDS_CSUM;
        }
        if self.checksum_valid {
            flags |= DATA_VALID;
        }
        let gso = self.gso.code() | if self.ecn { GSO_ECN } else { 0 };
        [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1]
    }

    /// The header for the frame that begins `removed` bytes later: offsets move along. `None` if an offset points
    /// into what is removed.
    #[must_use]
    pub const fn advanced(self, removed: u16) -> Option<VnetHeader> {
        let mut header = self;
        // Zero is "no hint".
        header.header_len = header.header_len.saturating_sub(removed);
        if header.needs_checksum {
            header.checksum_start = match header.checksum_start.checked_sub(removed) {
                Some(start) => start,
                None => return None,
            };
        }
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_advance() {
        let header = VnetHeader {
            needs_checksum: true,
            checksum_valid: false,
            gso: GsoKind::TcpV4,
            ecn: true,
            header_len: 70,
            gso_size: 1448,
            checksum_start: 50,
            checksum_offset: 16,
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.push(7);
        assert_eq!(VnetHeader::split(&bytes), Some((header, &[7u8][..])));
        assert_eq!(VnetHeader::split(&bytes[..9]), None);
        let moved = header.advanced(16).expect("fits");
        assert_eq!((moved.header_len, moved.checksum_start), (54, 34));
        assert_eq!(header.advanced(51), None);
        for code in 0..=255 {
            let bytes = [0, code, 0, 0, 0, 0, 0, 0, 0, 0];
            let (header, _) = VnetHeader::split(&bytes).expect("long enough");
            assert_eq!(header.to_bytes(), bytes);
        }
    }
}
