//! Counters, sessions' clocks and the upcall bucket. Shared ones change by atomic operations; per-CPU ones need
//! none, because a program at a TC ingress runs with bottom halves off.

use core::intrinsics::{AtomicOrdering::Relaxed, atomic_cxchg, atomic_or, atomic_xadd};

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_jiffies64, bpf_ktime_get_ns},
};
use fastpath_core::{
    Account, Ip,
    abi::{DropKey, Flow, PORT_SLOTS, Port, PortCounters, port_slot},
    bucket::admit,
};
use types::DropReason;

use crate::{COUNTERS, DROPS, PORTS};

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

/// A port: its record, and the slot in which its counters are too.
#[derive(Clone, Copy)]
pub struct PortRef {
    pub record: *mut Port,
    slot: u32,
}

/// The port of an interface.
#[inline(always)]
pub fn port(ifindex: u32) -> Result<PortRef, DropReason> {
    for attempt in 0..PORT_SLOTS {
        let slot = port_slot(ifindex, attempt);
        let Some(record) = PORTS.get_ptr_mut(slot) else {
            continue;
        };
        // SAFETY: an element of an array, which stays; the word is written whole.
        if unsafe { (&raw const (*record).ifindex).read_volatile() } == ifindex {
            return Ok(PortRef { record, slot });
        }
    }
    Err(DropReason::NoInterface)
}

impl PortRef {
    #[inline(always)]
    fn counters(self) -> Option<&'static mut PortCounters> {
        // SAFETY: this CPU's own value, in an array; no two references are alive at once.
        COUNTERS
            .get_ptr_mut(self.slot)
            .map(|counters| unsafe { &mut *counters })
    }

    /// Counts packets from the port.
    #[inline(always)]
    pub fn received(self, packets: u32, bytes: u64) {
        if let Some(counters) = self.counters() {
            counters.rx_packets += packets as u64;
            counters.rx_bytes += bytes;
        }
    }

    /// Counts packets to the port.
    #[inline(always)]
    pub fn transmitted(self, packets: u32, bytes: u64) {
        if let Some(counters) = self.counters() {
            counters.tx_packets += packets as u64;
            counters.tx_bytes += bytes;
        }
    }

    /// Counts a frame that goes up.
    #[inline(always)]
    pub fn went_up(self) {
        if let Some(counters) = self.counters() {
            counters.upcalls += 1;
        }
    }
}

/// Adds a packet to its session's direction, as `Account::record` does on the host.
#[inline(always)]
pub fn flow(flow: *mut Flow, ip: &Ip, segments: u32) {
    let account = Account::new(ip, 0, segments, 0);
    // SAFETY: a helper without arguments.
    let tick = unsafe { bpf_jiffies64() } as u32;
    // SAFETY: an element of the map; these fields change by atomic operations or whole-word stores only.
    unsafe {
        atomic_xadd::<u64, u64, { Relaxed }>(&raw mut (*flow).packets, account.packets);
        atomic_xadd::<u64, u64, { Relaxed }>(&raw mut (*flow).bytes, account.bytes);
        // Once per tick is enough; the clock takes longer than all the rest here.
        let seen = &raw mut (*flow).tick;
        if seen.read_volatile() != tick {
            seen.write_volatile(tick);
            (&raw mut (*flow).last_seen_ns).write_volatile(bpf_ktime_get_ns());
        }
        // Nearly always they are all there, and reading is cheaper.
        let flags = &raw mut (*flow).tcp_flags;
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
    // SAFETY: an element of an array, which stays; the bound never changes in place, the bucket by compare-and-swap.
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
