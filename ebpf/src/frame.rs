//! The kernel's socket buffer as the [`Frame`] that `fastpath-core` rewrites.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    helpers::{
        bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_change_type, bpf_skb_load_bytes,
        bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use fastpath_core::{
    Frame, HEAD_LEN, Head, Ip,
    checksum::adjusted,
    parse::{ETHERNET_LEN, L4_IPV4},
};
use types::{DropReason, proto};

/// `PACKET_HOST` of `linux/if_packet.h`: the frame is for this host.
const PACKET_HOST: u32 = 0;

/// What the parser looks at of an IPv4 frame: up to the end of a TCP header without options.
const IPV4_HEAD_LEN: usize = L4_IPV4 + 20;

/// A helper refused: the frame is shorter than its headers say.
pub struct Failed;

/// A socket buffer at a TC ingress, from its Ethernet header on.
#[derive(Clone, Copy)]
pub struct Skb {
    skb: *mut __sk_buff,
}

impl Skb {
    #[inline(always)]
    pub fn new(ctx: &TcContext) -> Skb {
        Skb {
            skb: ctx.as_ptr().cast(),
        }
    }

    /// Index of the interface on whose ingress the frame arrived.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: the context is valid for the program's run.
        unsafe { (*self.skb).ifindex }
    }

    /// The frame's length. A GSO packet is one frame here.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // SAFETY: as in `ifindex`.
        unsafe { (*self.skb).len as usize }
    }

    /// Whether the kernel keeps a VLAN tag beside the frame.
    #[inline(always)]
    pub fn vlan(&self) -> bool {
        // SAFETY: as in `ifindex`.
        unsafe { (*self.skb).vlan_present != 0 }
    }

    /// How many packets the frame is on a wire, and how many bytes they have, each of them repeating `header_len`
    /// bytes of headers.
    #[inline(always)]
    pub fn wire_size(&self, header_len: usize) -> (u32, u64) {
        let len = self.len() as u64;
        // SAFETY: as in `ifindex`.
        let (segments, size) = unsafe { ((*self.skb).gso_segs, (*self.skb).gso_size) };
        // A packet whose sender the kernel does not trust to count has a size but no number.
        let segments = if segments != 0 {
            segments
        } else if size != 0 {
            (len as u32)
                .wrapping_sub(header_len as u32)
                .wrapping_add(size - 1)
                / size
        } else {
            1
        };
        let segments = if segments == 0 { 1 } else { segments };
        (segments, len + (segments as u64 - 1) * header_len as u64)
    }

    /// Bytes of the IP packet: of a GSO packet, of its largest segment.
    #[inline(always)]
    pub fn packet_size(&self, ip: &Ip) -> usize {
        // SAFETY: as in `ifindex`.
        let size = unsafe { (*self.skb).gso_size } as usize;
        if size != 0 {
            ip.header_len - ETHERNET_LEN + size
        } else {
            ip.packet_len
        }
    }

    /// Copies the frame's first bytes, as many as [`fastpath_core::parse`] looks at; the rest of `head` stays.
    #[inline(always)]
    pub fn load_head(&self, head: &mut Head) -> Result<(), DropReason> {
        // Nearly every packet: IPv4, its headers in the buffer's own memory.
        let (start, end) = self.bounds();
        if start + IPV4_HEAD_LEN <= end {
            let to: *mut Head = head;
            let to = to.cast::<u8>();
            // SAFETY: 54 bytes are there, and `Head` has room for them behind its two bytes of padding, which put
            // these words where they are aligned.
            unsafe {
                to.add(2).cast::<u16>().write(load_u16(start));
                to.add(4).cast::<u32>().write(load_u32(start));
                to.add(8).cast::<u64>().write(load_u64::<6>(start));
                to.add(16).cast::<u64>().write(load_u64::<14>(start));
                to.add(24).cast::<u64>().write(load_u64::<22>(start));
                to.add(32).cast::<u64>().write(load_u64::<30>(start));
                to.add(40).cast::<u64>().write(load_u64::<38>(start));
                to.add(48).cast::<u64>().write(load_u64::<46>(start));
            }
            if u16::from_be_bytes([head[12], head[13]]) == proto::ETHERTYPE_IPV4 {
                return Ok(());
            }
        }
        let len = self.len();
        if len < ETHERNET_LEN {
            return Err(DropReason::MalformedFrame);
        }
        let len = if len > HEAD_LEN { HEAD_LEN } else { len };
        // SAFETY: `head` has room for `len` bytes.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.skb.cast(),
                0,
                head.bytes.as_mut_ptr().cast(),
                len as u32,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(DropReason::MalformedFrame)
        }
    }

    /// Where the frame's bytes begin, and where those end that the program may touch without a helper.
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: as in `ifindex`.
        unsafe { ((*self.skb).data as usize, (*self.skb).data_end as usize) }
    }

    /// Overwrites bytes of the frame's first ones, if they are not in a page of their own, which they hardly ever are.
    /// A helper would take three times as long. That the kernel makes a shared head private before the program runs is
    /// its business.
    #[inline(always)]
    fn store_head<const N: usize>(self, at: usize, bytes: &[u8; N]) -> Result<(), Failed> {
        let (start, end) = self.bounds();
        if start + at + N > end {
            return Err(Failed);
        }
        let to = (start + at) as *mut u8;
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: N bytes fit before `end`; bytes have no alignment.
            unsafe { to.add(i).write(*byte) };
        }
        Ok(())
    }

    /// Marks the frame as one for the receiving host, whatever its destination MAC address was on arrival.
    #[inline(always)]
    pub fn to_host(self) -> Result<(), Failed> {
        // SAFETY: as in `ifindex`.
        if unsafe { (*self.skb).pkt_type } == PACKET_HOST {
            return Ok(());
        }
        // SAFETY: as in `ifindex`.
        done(unsafe { bpf_skb_change_type(self.skb, PACKET_HOST) })
    }
}

impl Frame for Skb {
    type Error = Failed;

    #[inline(always)]
    fn store<const N: usize>(&mut self, at: usize, bytes: &[u8; N]) -> Result<(), Failed> {
        if at + N <= HEAD_LEN && self.store_head(at, bytes).is_ok() {
            return Ok(());
        }
        // SAFETY: `bytes` has N bytes.
        done(unsafe {
            bpf_skb_store_bytes(self.skb, at as u32, bytes.as_ptr().cast(), N as u32, 0)
        })
    }

    #[inline(always)]
    fn adjust_header(&mut self, at: usize, difference: u32) -> Result<(), Failed> {
        let (start, end) = self.bounds();
        if start + at + 2 <= end {
            let field = (start + at) as *mut u8;
            // SAFETY: two bytes are there; bytes have no alignment.
            unsafe {
                let [a, b] = adjusted([field.read(), field.add(1).read()], difference);
                field.write(a);
                field.add(1).write(b);
            }
            return Ok(());
        }
        // SAFETY: a helper without pointers but the context.
        done(unsafe { bpf_l3_csum_replace(self.skb, at as u32, 0, difference as u64, 0) })
    }

    #[inline(always)]
    fn adjust_transport(
        &mut self,
        at: usize,
        difference: u32,
        pseudo: bool,
        zero_is_none: bool,
    ) -> Result<(), Failed> {
        let mut flags = 0;
        if pseudo {
            flags |= BPF_F_PSEUDO_HDR as u64;
        }
        if zero_is_none {
            flags |= BPF_F_MARK_MANGLED_0 as u64;
        }
        // SAFETY: a helper without pointers but the context.
        done(unsafe { bpf_l4_csum_replace(self.skb, at as u32, 0, difference as u64, flags) })
    }
}

/// Loads two bytes. A frame is aligned to nothing, the kernel allows such loads where the processor does, and only
/// the assembler can say it: the compiler would load byte by byte.
///
/// # Safety
/// Two bytes at `start` are the frame's.
#[inline(always)]
unsafe fn load_u16(start: usize) -> u16 {
    let word: u64;
    // SAFETY: the caller's.
    unsafe {
        asm!("{0} = *(u16 *)({1} + 0)", out(reg) word, in(reg) start, options(nostack, readonly));
    }
    word as u16
}

/// Loads four bytes, from the third on.
///
/// # Safety
/// Six bytes at `start` are the frame's.
#[inline(always)]
unsafe fn load_u32(start: usize) -> u32 {
    let word: u64;
    // SAFETY: the caller's.
    unsafe {
        asm!("{0} = *(u32 *)({1} + 2)", out(reg) word, in(reg) start, options(nostack, readonly));
    }
    word as u32
}

/// Loads eight bytes, from `AT` on.
///
/// # Safety
/// `AT` + 8 bytes at `start` are the frame's.
#[inline(always)]
unsafe fn load_u64<const AT: i32>(start: usize) -> u64 {
    let word: u64;
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "{0} = *(u64 *)({1} + {2})", out(reg) word, in(reg) start, const AT,
            options(nostack, readonly)
        );
    }
    word
}

#[inline(always)]
fn done(result: i64) -> Result<(), Failed> {
    if result == 0 { Ok(()) } else { Err(Failed) }
}
