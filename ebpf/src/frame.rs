//! The kernel's socket buffer as the [`Frame`] that `fastpath-core` rewrites.

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    helpers::{
        bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_change_type, bpf_skb_load_bytes,
        bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use fastpath_core::{Frame, HEAD_LEN, Head, parse::ETHERNET_LEN};
use types::DropReason;

/// `PACKET_HOST` of `linux/if_packet.h`: the frame is for this host.
const PACKET_HOST: u32 = 0;

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

    /// Copies the frame's first bytes; the rest of `head` stays.
    #[inline(always)]
    pub fn load_head(&self, head: &mut Head) -> Result<(), DropReason> {
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
        // SAFETY: `bytes` has N bytes.
        done(unsafe {
            bpf_skb_store_bytes(self.skb, at as u32, bytes.as_ptr().cast(), N as u32, 0)
        })
    }

    #[inline(always)]
    fn adjust_header(&mut self, at: usize, difference: u32) -> Result<(), Failed> {
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

#[inline(always)]
fn done(result: i64) -> Result<(), Failed> {
    if result == 0 { Ok(()) } else { Err(Failed) }
}
