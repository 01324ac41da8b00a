//! The in-kernel program. Glue only: what a frame is, which frames a port may send, and what a session does to a
//! packet stand in `fastpath-core`. There is no policy here.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics, linkage)]
#![expect(
    internal_features,
    reason = "the stable atomics of this target have no read-modify-write"
)]

mod account;
mod frame;
mod make;

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, TC_ACT_SHOT},
    helpers::{bpf_redirect, bpf_redirect_peer, bpf_skb_change_head},
    macros::{classifier, map},
    maps::{Array, HashMap, PerCpuArray, PerCpuHashMap},
    programs::TcContext,
};
use fastpath_core::{
    Frame, Head, Ingress, Ip, Verdict,
    abi::{
        Config, DropKey, Flow, FlowKey, MAX_DROPS, MAX_PORTS, Output, Port, PortCounters,
        UPCALL_HEADER_LEN, UPCALL_NO_SESSION, UPCALL_SESSION, UPCALL_STALE, UpcallHeader,
        decode_output,
    },
    execute, ingress,
    parse::source_mac,
    template::{MAX_TEMPLATES, Template, USAGE_WORDS},
};
use types::{DropReason, Mac};

use crate::{account::PortRef, frame::Skb};

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, 0);
#[map]
static PORTS: Array<Port> = Array::with_max_entries(MAX_PORTS, 0);
// The loader sets the size.
#[map]
static FLOWS: HashMap<[u32; size_of::<FlowKey>() / 4], Flow> =
    HashMap::with_max_entries(262_144, BPF_F_NO_PREALLOC);
#[map]
static DROPS: PerCpuHashMap<DropKey, u64> =
    PerCpuHashMap::with_max_entries(MAX_DROPS, BPF_F_NO_PREALLOC);
#[map]
static COUNTERS: PerCpuArray<PortCounters> = PerCpuArray::with_max_entries(MAX_PORTS, 0);
#[map]
static TEMPLATES: HashMap<[u32; size_of::<FlowKey>() / 4], Template> =
    HashMap::with_max_entries(MAX_TEMPLATES, BPF_F_NO_PREALLOC);
#[map]
static GENERATIONS: Array<u32> = Array::with_max_entries(MAX_TEMPLATES, 0);
#[map]
static USAGE: Array<u64> = Array::with_max_entries(USAGE_WORDS, BPF_F_MMAPABLE);

/// Serves the ingress of guests' ports and of the uplink.
#[classifier]
pub fn port_ingress(ctx: TcContext) -> i32 {
    finish(&ctx, from_port(&ctx))
}

/// Serves the ingress of the upcall device: frames that the agent re-injects.
#[classifier]
pub fn slow_ingress(ctx: TcContext) -> i32 {
    finish(&ctx, from_slow_path(&ctx))
}

/// Turns the outcome into the kernel's action, and counts a drop.
#[inline(always)]
fn finish(ctx: &TcContext, outcome: Result<i32, DropReason>) -> i32 {
    match outcome {
        Ok(action) => action,
        Err(reason) => {
            account::dropped(Skb::new(ctx).ifindex(), reason);
            TC_ACT_SHOT as i32
        }
    }
}

#[inline(always)]
fn from_port(ctx: &TcContext) -> Result<i32, DropReason> {
    let mut skb = Skb::new(ctx);
    let ifindex = skb.ifindex();
    let port = account::port(ifindex)?;
    let mut head = Head::EMPTY;
    skb.load_head(&mut head)?;
    let mut ip = Ip::default();
    // SAFETY: an element of an array, which stays; only its bucket changes while a port is in use, and is not read
    // here.
    let record = unsafe { &*port.record };
    let checked = check(record, &head, skb.len(), skb.vlan(), &mut ip);
    let (segments, wire_len) = match &checked {
        Ok(Ingress::LookUp) => skb.wire_size(ip.header_len),
        _ => (1, skb.len() as u64),
    };
    port.received(segments, wire_len);
    if let Ingress::Slow(reason) = checked? {
        return upcall(ctx, ifindex, port, reason);
    }
    let key = ip.key_words(ifindex);
    let mut found = FLOWS.get_ptr_mut(key);
    if found.is_none() && make::session(&key) {
        found = FLOWS.get_ptr_mut(key);
    }
    let Some(flow) = found else {
        return upcall(ctx, ifindex, port, UPCALL_NO_SESSION);
    };
    if !make::is_current(flow) {
        return upcall(ctx, ifindex, port, UPCALL_STALE);
    }
    // SAFETY: memory of the map, which stays mapped while the program runs; actions do not change in place, the agent
    // replaces the element. The kernel may give a removed element's memory to a new flow at once: the seal tells.
    let action = unsafe { &(*flow).action };
    let size = skb.packet_size(&ip);
    let verdict =
        execute(&mut skb, &ip, size, action).map_err(|frame::Failed| DropReason::MalformedFrame)?;
    // SAFETY: as above. Volatile, so that it is read here, after the action.
    if unsafe { (&raw const (*flow).seal).read_volatile() } != FlowKey::seal(&key) {
        return Err(DropReason::SessionEnded);
    }
    account::flow(flow, &ip, segments);
    match verdict {
        Verdict::Deliver(output) => {
            account::port(output)?.transmitted(segments, wire_len);
            deliver(&skb, output)
        }
        Verdict::Transmit(output) => {
            account::port(output)?.transmitted(segments, wire_len);
            Ok(transmit(output))
        }
        Verdict::Drop(reason) => Err(reason),
        Verdict::Slow => upcall(ctx, ifindex, port, UPCALL_SESSION),
    }
}

/// [`ingress`] as a function of its own: inlined, it would need more than the 512 bytes of stack that there are.
/// Its name is not mangled, because a mangled one depends on where the source is; its linkage is internal, because
/// the verifier judges a global function without its callers.
#[inline(never)]
#[unsafe(no_mangle)]
#[linkage = "internal"]
fn check(
    port: &Port,
    head: &Head,
    len: usize,
    vlan: bool,
    ip: &mut Ip,
) -> Result<Ingress, DropReason> {
    ingress(port, head, len, vlan, ip)
}

#[inline(always)]
fn from_slow_path(ctx: &TcContext) -> Result<i32, DropReason> {
    let mut skb = Skb::new(ctx);
    let mut head = Head::EMPTY;
    skb.load_head(&mut head)?;
    let output = decode_output(source_mac(&head).0).ok_or(DropReason::ForeignMac)?;
    skb.store(6, &Mac::ROUTER.0)
        .map_err(|frame::Failed| DropReason::MalformedFrame)?;
    let (segments, wire_len) = skb.wire_size(0);
    match output {
        Output::Deliver(ifindex) => {
            account::port(ifindex)?.transmitted(segments, wire_len);
            deliver(&skb, ifindex)
        }
        Output::Transmit(ifindex) => {
            account::port(ifindex)?.transmitted(segments, wire_len);
            Ok(transmit(ifindex))
        }
    }
}

/// Hands the frame to the guest behind a port: it appears on the ingress of the veth's other end, in the guest's
/// namespace, without a pass through a queue.
#[inline(always)]
fn deliver(skb: &Skb, ifindex: u32) -> Result<i32, DropReason> {
    skb.to_host()
        .map_err(|frame::Failed| DropReason::MalformedFrame)?;
    // SAFETY: a helper without pointers.
    Ok(unsafe { bpf_redirect_peer(ifindex, 0) } as i32)
}

#[inline(always)]
fn transmit(ifindex: u32) -> i32 {
    // SAFETY: a helper without pointers.
    unsafe { bpf_redirect(ifindex, 0) as i32 }
}

/// Sends the whole frame to the agent, behind a header that says where it comes from.
#[inline(always)]
fn upcall(ctx: &TcContext, ifindex: u32, port: PortRef, reason: u8) -> Result<i32, DropReason> {
    let slow = CONFIG.get(0).map_or(0, |config| config.slow_ifindex);
    if slow == 0 {
        return Err(DropReason::SlowPathUnavailable);
    }
    if !account::admit_upcall(port.record) {
        return Err(DropReason::UpcallRate);
    }
    // SAFETY: an element of an array, which stays; this field does not change while a port is in use.
    let kind = unsafe { (*port.record).kind } as u8;
    let header = UpcallHeader::new(ifindex, kind, reason).to_bytes();
    // SAFETY: the context is the kernel's own socket buffer.
    if unsafe { bpf_skb_change_head(ctx.as_ptr().cast(), UPCALL_HEADER_LEN as u32, 0) } != 0 {
        return Err(DropReason::TooBig);
    }
    Skb::new(ctx)
        .store(0, &header)
        .map_err(|frame::Failed| DropReason::MalformedFrame)?;
    port.went_up();
    Ok(transmit(slow))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
