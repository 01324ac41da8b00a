//! Templates: sessions that the kernel program makes by itself.
//!
//! Where a decision does not depend on the client's port, the agent leaves a template under the flow's key without that
//! port. A packet without a session that finds one gets its session at once: the template is both directions' actions,
//! and the client's port is filled in. A template decides nothing; it repeats a decision.
//!
//! A session names its template by slot and generation. The agent ends a template by raising its slot's generation: from
//! then on no session of it is followed, whether or not anybody knows which there are. Packets of such a session come up
//! as `UPCALL_STALE`.
//!
//! Sessions are counted in words that kernel program and agent share and change by atomic operations: all, those of an
//! account, those of a port. See [`take`].

use crate::abi::{Action, Flow, FlowKey, MAX_PORTS, REWRITE_DESTINATION, REWRITE_SOURCE, Session};

/// Flow key without the client's port, see [`Template::key`] → [`Template`].
pub const MAP_TEMPLATES: &str = "TEMPLATES";
/// Slot of a template → its generation, `u32`, an array. Slot 0 is none.
pub const MAP_GENERATIONS: &str = "GENERATIONS";
/// The shared words: an array of `u64` that processes map into their memory.
pub const MAP_USAGE: &str = "USAGE";
/// The most templates, and slots.
pub const MAX_TEMPLATES: u32 = 65_536;

/// Bit of the identifiers of sessions that the kernel program has made.
pub const KERNEL_MADE: u64 = 1 << 63;

/// Word: all sessions.
pub const USAGE_ALL: u32 = 0;
/// Word: how many sessions there may be.
pub const USAGE_MAX: u32 = 1;
/// Word: how many sessions one port may have.
pub const USAGE_PORT_MAX: u32 = 2;
/// Word: until when templates may be used, `CLOCK_MONOTONIC` nanoseconds. The agent sets it anew while it lives.
pub const USAGE_UNTIL: u32 = 3;
/// The first word of a port; the agent says which port has which word.
pub const USAGE_PORTS: u32 = 4;
/// The first word of an account.
pub const USAGE_ACCOUNTS: u32 = USAGE_PORTS + MAX_PORTS;
/// How many words there are.
pub const USAGE_WORDS: u32 = USAGE_ACCOUNTS + MAX_PORTS;

/// How many sessions an account may have for each free one.
pub const ACCOUNT_SHARE: u64 = 3;

/// A session without the client's port.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Template {
    /// [`FlowKey::seal`] of the template's key, as a flow has one of its key.
    pub seal: u64,
    /// What to do with each direction's packets. Where they write the client's port, zeros.
    pub action: [Action; 2],
    /// The key of the answers, without the client's port, which is their destination port.
    pub reverse: FlowKey,
    /// Its slot.
    pub slot: u32,
    /// The slot's generation when it was written.
    pub generation: u32,
    /// The word of the port that pays for its sessions.
    pub port_word: u32,
    /// The word of that port's account.
    pub account_word: u32,
    /// The lowest client port for which it holds.
    pub first_port: u16,
    /// The highest one.
    pub last_port: u16,
    /// [`Flow::mark`] of its sessions.
    pub mark: u32,
    /// Zeros.
    pub pad: [u8; 4],
}

const _: () = {
    assert!(size_of::<Template>() == 80 + 2 * size_of::<Action>() && align_of::<Template>() == 8);
    assert!(USAGE_WORDS as usize * 8 <= 1 << 17);
};

impl Template {
    /// The key of a flow's template.
    #[must_use]
    pub const fn key(flow: &FlowKey) -> FlowKey {
        FlowKey {
            source_port: [0; 2],
            ..*flow
        }
    }

    /// [`Template::key`] in words; see [`FlowKey::words`].
    #[must_use]
    #[inline(always)]
    pub const fn key_words(flow: &[u32; 11]) -> [u32; 11] {
        let mut key = *flow;
        let [_, _, p2, p3] = key[10].to_ne_bytes();
        key[10] = u32::from_ne_bytes([0, 0, p2, p3]);
        key
    }

    /// The client's port in the words of a flow's key.
    #[must_use]
    #[inline(always)]
    pub const fn client(flow: &[u32; 11]) -> [u8; 2] {
        let [p0, p1, ..] = flow[10].to_ne_bytes();
        [p0, p1]
    }

    /// Whether it holds for a client's port.
    #[must_use]
    #[inline(always)]
    pub const fn covers(&self, client: [u8; 2]) -> bool {
        let port = u16::from_be_bytes(client);
        self.first_port <= port && port <= self.last_port
    }

    /// The key of the answers, in words.
    #[must_use]
    #[inline(always)]
    pub const fn reverse_words(&self, client: [u8; 2]) -> [u32; 11] {
        let mut key = self.reverse.words();
        let [p0, p1, ..] = key[10].to_ne_bytes();
        key[10] = u32::from_ne_bytes([p0, p1, client[0], client[1]]);
        key
    }

    /// A session without the client's port, to be compared or written. Whoever writes it says slot and words.
    #[must_use]
    pub const fn of(session: &Session, first_port: u16, last_port: u16) -> Template {
        let [mut forward, mut back] = session.action;
        if forward.flags & REWRITE_SOURCE != 0 {
            forward.source_port = [0; 2];
        }
        if back.flags & REWRITE_DESTINATION != 0 {
            back.destination_port = [0; 2];
        }
        Template {
            seal: FlowKey::seal(&Template::key(&session.key[0]).words()),
            action: [forward, back],
            reverse: FlowKey {
                destination_port: [0; 2],
                ..session.key[1]
            },
            slot: 0,
            generation: 0,
            port_word: 0,
            account_word: 0,
            first_port,
            last_port,
            mark: session.mark,
            pad: [0; 4],
        }
    }

    /// The session of a flow. The kernel program makes the same, in two [`Flow`]s.
    #[must_use]
    pub fn session(&self, flow: &FlowKey) -> Session {
        let client = flow.source_port;
        let back = FlowKey {
            destination_port: client,
            ..self.reverse
        };
        let mut session = Session::default();
        for (direction, key) in [*flow, back].into_iter().enumerate() {
            let mut made = Flow::default();
            let seal = FlowKey::seal(&key.words());
            self.fill(&mut made, direction, client, seal, 0, 0);
            session.join(key, &made);
        }
        session
    }

    /// A direction of a new session, under the key with this seal.
    #[inline(always)]
    pub const fn fill(
        &self,
        flow: &mut Flow,
        direction: usize,
        client: [u8; 2],
        seal: u64,
        id: u64,
        now_ns: u64,
    ) {
        flow.seal = seal;
        flow.packets = 0;
        flow.bytes = 0;
        flow.last_seen_ns = now_ns;
        flow.tcp_flags = 0;
        flow.tick = 0;
        // Written in place: the kernel's stack has no room for another one.
        flow.action = self.action[direction & 1];
        if direction == 0 {
            if flow.action.flags & REWRITE_SOURCE != 0 {
                flow.action.source_port = client;
            }
        } else if flow.action.flags & REWRITE_DESTINATION != 0 {
            flow.action.destination_port = client;
        }
        flow.session = id;
        flow.created_ns = now_ns;
        flow.direction = if direction == 0 { 0 } else { 1 };
        flow.mark = self.mark;
        flow.pad = [0; 4];
        flow.template = self.slot;
        flow.generation = self.generation;
    }
}

impl Action {
    /// The key of the packets that answer those with `key`, to which this action is done.
    #[must_use]
    pub const fn answer_key(&self, key: &FlowKey) -> FlowKey {
        let (source, source_port) = if self.flags & REWRITE_SOURCE != 0 {
            (self.source, self.source_port)
        } else {
            (key.source, key.source_port)
        };
        let (destination, destination_port) = if self.flags & REWRITE_DESTINATION != 0 {
            (self.destination, self.destination_port)
        } else {
            (key.destination, key.destination_port)
        };
        FlowKey {
            port: self.output,
            protocol: key.protocol,
            pad: [0; 3],
            source: destination,
            destination: source,
            source_port: destination_port,
            destination_port: source_port,
        }
    }
}

/// A shared word.
pub trait Word {
    /// Adds, wrapping, in one atomic step. Returns what it was before.
    fn add(&self, change: u64) -> u64;
}

#[cfg(feature = "std")]
mod words {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{USAGE_WORDS, Word};

    /// The shared words, as the host sees them.
    pub trait Usage: std::fmt::Debug + Send + Sync {
        /// The word with this index, which is below [`USAGE_WORDS`].
        fn word(&self, index: u32) -> &AtomicU64;
    }

    impl Word for AtomicU64 {
        fn add(&self, change: u64) -> u64 {
            self.fetch_add(change, Ordering::SeqCst)
        }
    }

    /// Words that nobody shares, all zero at first: for a host without a kernel program.
    #[derive(Debug)]
    pub struct OwnUsage(Vec<AtomicU64>);

    impl Default for OwnUsage {
        fn default() -> OwnUsage {
            OwnUsage((0..USAGE_WORDS).map(|_| AtomicU64::new(0)).collect())
        }
    }

    impl Usage for OwnUsage {
        fn word(&self, index: u32) -> &AtomicU64 {
            &self.0[index.min(USAGE_WORDS - 1) as usize]
        }
    }
}

#[cfg(feature = "std")]
pub use words::{OwnUsage, Usage};

/// Takes room for one session: of all, of its account, of its port. However many ports an account has, and however many
/// accounts fill the table, some of it stays free: an account may have [`ACCOUNT_SHARE`] times what is free. False, and
/// nothing is taken, at a bound.
#[inline(always)]
pub fn take(
    all: &impl Word,
    account: &impl Word,
    port: &impl Word,
    max: u64,
    port_max: u64,
) -> bool {
    let used = all.add(1);
    let free = max.saturating_sub(used);
    let of_account = account.add(1);
    let of_port = port.add(1);
    if of_account < free.wrapping_mul(ACCOUNT_SHARE) && of_port < port_max {
        return true;
    }
    give_back(all, account, port);
    false
}

/// Gives back what [`take`] took.
#[inline(always)]
pub fn give_back(all: &impl Word, account: &impl Word, port: &impl Word) {
    all.add(u64::MAX);
    account.add(u64::MAX);
    port.add(u64::MAX);
}
