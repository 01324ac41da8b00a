//! Counters, sessions' clocks and the upcall bucket. Shared ones change by atomic operations; per-CPU ones need
//! none, because a program at a TC ingress runs with bottom halves off.

use core::intrinsics::{AtomicOrdering::Relaxed, atomic_cxchg, atomic_or, atomic_xadd};

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_ktime_get_ns};
use fastpath_core::{
    Account, Ip,
    abi::{DropKey, Port, PortCounters, Session},
    bucket::admit,
};
use types::DropReason;

use crate::{COUNTERS, DROPS};

/// How often another CPU may take the bucket from under us before the packet counts as refused.
const BUCKET_ATTEMPTS: u32 = 4;

/// Counts a dropped frame.
#[inline(always)]
pub fn dropped(ifindex: u32, reason: DropReason) {
    let key = DropKey {
        ifindex,
        reason: reason.code(),
    };
    if DROPS.get_ptr_mut(key).is_none() {
        // Another CPU may have made the element meanwhile; then this fails, which is as good.
        let _ = DROPS.insert(key, 0, BPF_NOEXIST as u64);
    }
    if let Some(count) = DROPS.get_ptr_mut(key) {
        // SAFETY: this CPU's own value.
        unsafe { *count += 1 };
    }
}

#[inline(always)]
fn counters(ifindex: u32) -> Option<&'static mut PortCounters> {
    // SAFETY: this CPU's own value, in a preallocated map; no two references are alive at once.
    COUNTERS
        .get_ptr_mut(ifindex)
        .map(|counters| unsafe { &mut *counters })
}

/// Counts packets from a port.
#[inline(always)]
pub fn received(ifindex: u32, packets: u32, bytes: u64) {
    if let Some(counters) = counters(ifindex) {
        counters.rx_packets += packets as u64;
        counters.rx_bytes += bytes;
    }
}

/// Counts packets to a port. An interface without counters is no port of ours: nothing goes there.
#[inline(always)]
pub fn transmitted(ifindex: u32, packets: u32, bytes: u64) -> Result<(), DropReason> {
    let counters = counters(ifindex).ok_or(DropReason::NoInterface)?;
    counters.tx_packets += packets as u64;
    counters.tx_bytes += bytes;
    Ok(())
}

/// Counts a frame that goes up.
#[inline(always)]
pub fn went_up(ifindex: u32) {
    if let Some(counters) = counters(ifindex) {
        counters.upcalls += 1;
    }
}

/// Adds a packet to its session, as `Account::record` does on the host.
#[inline(always)]
pub fn session(session: *mut Session, ip: &Ip, direction: usize, segments: u32) {
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let account = Account::new(ip, direction, segments, now_ns);
    let direction = direction & 1;
    // SAFETY: a live element of the map; these fields change by atomic operations or whole-word stores only.
    unsafe {
        let packets = &raw mut (*session).packets[direction];
        atomic_xadd::<u64, u64, { Relaxed }>(packets, account.packets);
        let bytes = &raw mut (*session).bytes[direction];
        atomic_xadd::<u64, u64, { Relaxed }>(bytes, account.bytes);
        (&raw mut (*session).last_seen_ns).write_volatile(now_ns);
        // Nearly always they are all there, and reading is cheaper.
        let flags = &raw mut (*session).tcp_flags;
        if flags.read_volatile() & account.tcp_flags != account.tcp_flags {
            atomic_or::<u32, u32, { Relaxed }>(flags, account.tcp_flags);
        }
    }
}

/// Takes one upcall from the port's bucket.
#[inline(always)]
pub fn admit_upcall(port: *mut Port) -> bool {
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a value of a preallocated map; the bound never changes in place, the bucket by compare-and-swap.
    unsafe {
        let full = &raw mut (*port).upcall_full_ns;
        let (interval, burst) = ((*port).upcall_interval_ns, (*port).upcall_burst_ns);
        for _ in 0..BUCKET_ATTEMPTS {
            let seen = full.read_volatile();
            let Some(next) = admit(seen, now_ns, interval, burst) else {
                return false;
            };
            if atomic_cxchg::<u64, { Relaxed }, { Relaxed }>(full, seen, next).1 {
                return true;
            }
        }
    }
    false
}
