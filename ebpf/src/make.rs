//! Sessions from templates. What a template says stands in `fastpath-core`; here it is found, counted and written.

use core::intrinsics::{AtomicOrdering::SeqCst, atomic_xadd};

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_ktime_get_ns, macros::map, maps::PerCpuArray};
use fastpath_core::{
    abi::{Flow, FlowKey},
    template::{
        KERNEL_MADE, Template, USAGE_ALL, USAGE_MAX, USAGE_PORT_MAX, USAGE_UNTIL, Word, give_back,
        take,
    },
};

use crate::{FLOWS, GENERATIONS, TEMPLATES, USAGE};

/// What is too large for the stack. A program at a TC ingress runs with bottom halves off, so nothing else on this CPU
/// comes between.
#[repr(C)]
struct Desk {
    template: Template,
    flow: Flow,
    index: [u32; 11],
    back: [u32; 11],
    seal: u64,
    id: u64,
    now_ns: u64,
}

#[map]
static DESK: PerCpuArray<Desk> = PerCpuArray::with_max_entries(1, 0);

/// A word that the agent shares.
struct Shared(*mut u64);

impl Shared {
    #[inline(always)]
    fn at(index: u32) -> Option<Shared> {
        USAGE.get_ptr_mut(index).map(Shared)
    }

    #[inline(always)]
    fn read(&self) -> u64 {
        // SAFETY: an element of an array, which stays; words are written whole.
        unsafe { self.0.read_volatile() }
    }
}

impl Word for Shared {
    #[inline(always)]
    fn add(&self, change: u64) -> u64 {
        // Not relaxed: the compiler would take an addition that forgets what was there before.
        // SAFETY: as in `read`.
        unsafe { atomic_xadd::<u64, u64, { SeqCst }>(self.0, change) }
    }
}

/// Whether a flow's template, if it has one, is still the one that it was made from.
#[inline(always)]
pub fn is_current(flow: *const Flow) -> bool {
    // SAFETY: memory of the map, which stays mapped while the program runs; these fields do not change in place.
    let (slot, generation) = unsafe { ((*flow).template, (*flow).generation) };
    slot == 0 || generation_of(slot) == Some(generation)
}

#[inline(always)]
fn generation_of(slot: u32) -> Option<u32> {
    // SAFETY: an element of an array, which stays; the word is written whole.
    GENERATIONS
        .get_ptr(slot)
        .map(|generation| unsafe { generation.read_volatile() })
}

/// Makes the session of the flow with this key, if there is a template for it and room. True if it is worth looking for
/// the session again. A function of its own for its stack; see `check`.
#[inline(never)]
#[unsafe(no_mangle)]
#[linkage = "internal"]
pub fn session(key: &[u32; 11]) -> bool {
    let Some(desk) = DESK.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: this CPU's own value, and the only reference to it.
    let desk = unsafe { &mut *desk };
    desk.index = Template::key_words(key);
    let Some(template) = TEMPLATES.get_ptr(&desk.index) else {
        return false;
    };
    let from: *const u64 = template.cast();
    let to = (&raw mut desk.template).cast::<u64>();
    for word in 0..size_of::<Template>() / 8 {
        // SAFETY: both are templates; the map's memory stays mapped while the program runs. Word by word, as for a copy
        // in one the compiler would use the stack.
        unsafe { to.add(word).write(from.add(word).read_volatile()) };
    }
    // The kernel may give the memory of a removed template to a new one at once: the seal tells, which is read after the
    // rest and written before it.
    // SAFETY: as above.
    let seal = unsafe { (&raw const (*template).seal).read_volatile() };
    if seal != FlowKey::seal(&desk.index) || desk.template.seal != seal {
        return false;
    }
    let client = Template::client(key);
    if !desk.template.covers(client)
        || generation_of(desk.template.slot) != Some(desk.template.generation)
    {
        return false;
    }
    // SAFETY: a helper without arguments.
    desk.now_ns = unsafe { bpf_ktime_get_ns() };
    if desk.now_ns >= value(USAGE_UNTIL) {
        return false;
    }
    let (max, port_max) = (value(USAGE_MAX), value(USAGE_PORT_MAX));
    let took = match counters(desk) {
        Some([all, account, port]) => take(&all, &account, &port, max, port_max),
        None => false,
    };
    if !took {
        return false;
    }
    let made = write(desk, key, client);
    if made != Made::Both
        && let Some([all, account, port]) = counters(desk)
    {
        give_back(&all, &account, &port);
    }
    made != Made::Nothing
}

/// A word; zero, which allows nothing, if there is none.
#[inline(always)]
fn value(index: u32) -> u64 {
    match Shared::at(index) {
        Some(word) => word.read(),
        None => 0,
    }
}

#[inline(always)]
fn counters(desk: &Desk) -> Option<[Shared; 3]> {
    Some([
        Shared::at(USAGE_ALL)?,
        Shared::at(desk.template.account_word)?,
        Shared::at(desk.template.port_word)?,
    ])
}

/// `EEXIST` of `errno.h`, as helpers return it.
const EXISTS: i32 = -17;

const fn refused(error: i32) -> Made {
    if error == EXISTS {
        Made::Other
    } else {
        Made::Nothing
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    Both,
    /// Somebody else has just written one of the keys.
    Other,
    Nothing,
}

/// Writes the answers' direction, then the flow's own. Neither takes a key that is there.
#[inline(always)]
fn write(desk: &mut Desk, key: &[u32; 11], client: [u8; 2]) -> Made {
    let Desk {
        template,
        flow,
        back,
        seal,
        id,
        now_ns,
        ..
    } = desk;
    *back = template.reverse_words(client);
    *seal = FlowKey::seal(key);
    *id = KERNEL_MADE | (*seal ^ now_ns.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 1;
    template.fill(flow, 1, client, FlowKey::seal(back), *id, *now_ns);
    if let Err(error) = FLOWS.insert(&*back, &*flow, BPF_NOEXIST as u64) {
        return refused(error);
    }
    template.fill(flow, 0, client, *seal, *id, *now_ns);
    if let Err(error) = FLOWS.insert(key, &*flow, BPF_NOEXIST as u64) {
        // SAFETY: memory of the map, which stays mapped while the program runs.
        let ours = FLOWS
            .get_ptr(&*back)
            .is_some_and(|flow| unsafe { (*flow).session } == *id);
        if ours {
            let _ = FLOWS.remove(&*back);
        }
        return refused(error);
    }
    Made::Both
}
