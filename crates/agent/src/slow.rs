//! The slow path's device: a thread that reads packets without a session, asks the core, and does what it says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use fastpath::abi::{
    self, Flow, FlowKey, UPCALL_SESSION, UPCALL_SLOW_ONLY, UPCALL_STALE, UpcallHeader,
    encode_output,
};
use fastpath::{Fastpath, Tap, VnetHeader};
use fastpath_core::template::{USAGE_ALL, Usage as _};
use fastpath_core::{ChecksumState, Parsed, parse_frame};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::time::{ClockId, clock_gettime};
use slowpath::{Core, Effect, Effects, Offload};
use topology::Snapshot;
use types::{DropReason, InterfaceId, Mac, ObjectId};

use crate::queue::Queues;
use feed::{Counters, Dropped, Port, Session};

/// The device's name.
pub(crate) const DEVICE: &str = "pdslow";

/// How many drops are kept.
const RING: usize = 4096;
/// How many frames are read before some of those that wait are served, and how many these are: reading is cheap, so
/// that the device's own queue, which all ports share, stays short.
const READS: usize = 1024;
const BATCH: usize = 32;
/// The thread's, as `nice` has it: guests that keep every processor busy must not keep it from reading.
const PRIORITY: i32 = -10;
/// How often silent sessions are looked for, among how many flows each time at least and at most, and in how many times
/// a pass over all of them shall end.
const SWEEP: Duration = Duration::from_millis(25);
const SWEEP_LEAST: usize = 512;
const SWEEP_MOST: usize = 8192;
const SWEEPS: usize = 200;
/// A new pass begins so long after the one before: an empty table is not read all the time.
const PASS: Duration = Duration::from_secs(2);
/// How many sessions of templates that have gone are decided in one sweep.
const SWEEP_STALE: usize = 128;
/// A direction that was silent for so long must have its other one.
const HALF_NS: u64 = 600_000_000_000;
/// How long the kernel program may use templates without a sign of life.
const LEND_NS: u64 = 1_000_000_000;
/// How many guests hear of their router per sweep.
const ADVERTISE_BUDGET: usize = 64;
/// How long the next frame is awaited awake: to be woken takes longer than to serve a frame.
const AWAKE: Duration = Duration::from_micros(50);
/// A frame of 64 KiB with every header before it.
const BUFFER: usize = 65_536 + 256;

/// The slow path of this host. It holds the flow table, because only the core's effects may change it.
pub(crate) struct Slow {
    tap: Tap,
    wake: OwnedFd,
    state: Mutex<State>,
}

struct State {
    core: Core,
    fastpath: Option<Fastpath>,
    ports: BTreeMap<u32, Port>,
    drops: BTreeMap<(u32, DropReason), u64>,
    ring: VecDeque<Dropped>,
    last_sequence: u64,
    stopping: bool,
    /// Whether what an earlier process left has been taken over. Templates are used only after that.
    adopted: bool,
    /// When the next pass of sweeps may begin; `None` while one is under way.
    next_pass: Option<Instant>,
}

impl Slow {
    /// A slow path that reads nothing yet.
    pub(crate) fn new(tap: Tap, core: Core, fastpath: Fastpath) -> io::Result<Slow> {
        Ok(Slow {
            tap,
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            state: Mutex::new(State {
                core,
                fastpath: Some(fastpath),
                ports: BTreeMap::new(),
                drops: BTreeMap::new(),
                ring: VecDeque::with_capacity(RING),
                last_sequence: 0,
                stopping: false,
                adopted: false,
                next_pass: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an interface a port: first the core knows it, then packets come from it.
    pub(crate) fn attach(&self, ifindex: u32, name: Port, record: abi::Port) -> io::Result<()> {
        let mut state = self.state();
        state.ports.insert(ifindex, name);
        if let Port::Interface(interface) = name {
            state.change(&self.tap, |core, effects| {
                core.attach(ifindex, interface, effects);
            });
        }
        state
            .fastpath()?
            .attach_port(ifindex, record)
            .map_err(to_io)
    }

    /// Ends a port, whether or not its interface still exists: its sessions go, then its program.
    pub(crate) fn detach(&self, ifindex: u32) -> io::Result<()> {
        let mut state = self.state();
        state.ports.remove(&ifindex);
        state.drops.retain(|(port, _), _| *port != ifindex);
        state.change(&self.tap, |core, effects| core.detach(ifindex, effects));
        state.fastpath()?.detach_port(ifindex).map_err(to_io)
    }

    /// The network is this from now on: when this returns, the flow table says so too.
    pub(crate) fn update(&self, snapshot: Arc<Snapshot>, changed: &BTreeSet<ObjectId>) {
        self.state().change(&self.tap, |core, effects| {
            core.update(snapshot, changed, effects);
        });
    }

    /// The interfaces that carry the program, by ascending index, those of an earlier agent included.
    pub(crate) fn attached(&self) -> io::Result<Vec<u32>> {
        self.state().fastpath()?.attached().map_err(to_io)
    }

    /// Takes over the sessions that an earlier agent left. Its ports must be attached and the network known.
    pub(crate) fn adopt(&self) -> io::Result<()> {
        let mut state = self.state();
        let sessions = state.fastpath()?.sessions().map_err(to_io)?;
        let known: Vec<u32> = state.ports.keys().copied().collect();
        let device = self.tap.ifindex().map_err(to_io)?;
        for stale in state.fastpath()?.attached().map_err(to_io)? {
            if stale != device && !known.contains(&stale) {
                state.fastpath()?.detach_port(stale).map_err(to_io)?;
            }
        }
        state.change(&self.tap, |core, effects| {
            core.adopt(now_ns(), sessions.into_iter().collect(), effects);
        });
        state.fastpath()?.revoke_templates().map_err(to_io)?;
        state.adopted = true;
        Ok(())
    }

    /// Starts the thread that serves the device until [`Slow::stop`].
    pub(crate) fn spawn(self: &Arc<Slow>) -> io::Result<JoinHandle<()>> {
        let slow = Arc::clone(self);
        std::thread::Builder::new()
            .name("pd-slow".to_owned())
            .spawn(move || {
                if let Err(error) = rustix::process::setpriority_process(None, PRIORITY) {
                    tracing::debug!(%error, "the slow path's thread has no priority");
                }
                if let Err(error) = slow.serve() {
                    tracing::error!(%error, "the slow path's device cannot be read any more");
                }
            })
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.state().stopping = true;
        // The counter can only be full if the thread has been woken already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Detaches every program and removes the flow table.
    pub(crate) fn close(&self) -> io::Result<()> {
        let fastpath = self.state().fastpath.take();
        fastpath.map_or(Ok(()), |fastpath| fastpath.close().map_err(to_io))
    }

    fn serve(&self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut waiting = Queues::default();
        let mut next_sweep = Instant::now() + SWEEP;
        let mut awake_until = None;
        loop {
            let served = self.serve_batch(&mut buffer, &mut waiting)?;
            let now = Instant::now();
            if served {
                awake_until = Some(now + AWAKE);
            }
            if now >= next_sweep {
                let mut state = self.state();
                // Under load nothing below is reached.
                if state.stopping {
                    return Ok(());
                }
                state.sweep(&self.tap);
                next_sweep = now + SWEEP;
            }
            if awake_until.is_some_and(|until| now < until) {
                std::hint::spin_loop();
                continue;
            }
            awake_until = None;
            let timeout = Timespec::try_from(next_sweep.saturating_duration_since(now));
            let mut ready = [
                PollFd::new(&self.tap, PollFlags::IN),
                PollFd::new(&self.wake, PollFlags::IN),
            ];
            match poll(&mut ready, Some(&timeout.unwrap_or_default())) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if self.state().stopping {
                return Ok(());
            }
        }
    }

    /// Reads what is there, but not for long, and serves some of what waits. Whether there was something; false only
    /// if nothing waits any more.
    fn serve_batch(&self, buffer: &mut [u8], waiting: &mut Queues) -> io::Result<bool> {
        for _ in 0..READS {
            match self.tap.read(buffer) {
                Ok(length) => {
                    let frame = buffer.get(..length).unwrap_or_default();
                    if let Some(port) = port_of(frame)
                        && !waiting.push(port, frame)
                    {
                        let reason = DropReason::SlowPathUnavailable;
                        self.state().count_drop(port, reason);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The device has let go of a frame whose offloads it has no words for. One guest's frame must not
                // end the slow path of all.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    tracing::debug!(%error, "a frame that cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        let mut served = false;
        for _ in 0..BATCH {
            let Some(frame) = waiting.pop() else {
                break;
            };
            self.state().frame(&self.tap, &frame);
            served = true;
        }
        Ok(served)
    }

    /// See [`crate::Agent::drops`].
    pub(crate) fn drops(&self, since: u64) -> (Vec<Dropped>, u64) {
        let state = self.state();
        let newer = state.ring.partition_point(|drop| drop.sequence <= since);
        (
            state.ring.range(newer..).copied().collect(),
            state.last_sequence,
        )
    }

    /// See [`crate::Agent::counters`].
    pub(crate) fn counters(&self) -> BTreeMap<Port, Counters> {
        let mut state = self.state();
        let mut counters = BTreeMap::new();
        for (ifindex, name) in state.ports.clone() {
            let kernel = state
                .fastpath()
                .and_then(|fastpath| fastpath.counters(ifindex).map_err(to_io))
                .unwrap_or_default()
                .unwrap_or_default();
            counters.insert(
                name,
                Counters {
                    rx_packets: kernel.rx_packets,
                    rx_bytes: kernel.rx_bytes,
                    tx_packets: kernel.tx_packets,
                    tx_bytes: kernel.tx_bytes,
                    upcalls: kernel.upcalls,
                    drops: BTreeMap::new(),
                },
            );
        }
        let in_kernel = state
            .fastpath()
            .and_then(|fastpath| fastpath.drops().map_err(to_io))
            .unwrap_or_default();
        for ((ifindex, reason), packets) in in_kernel.iter().chain(&state.drops) {
            if let Some(name) = state.ports.get(ifindex)
                && let Some(port) = counters.get_mut(name)
            {
                *port.drops.entry(*reason).or_default() += packets;
            }
        }
        counters
    }

    /// See [`crate::Agent::sessions`].
    pub(crate) fn sessions(&self) -> Vec<Session> {
        let mut state = self.state();
        let now = now_ns();
        let sessions = state
            .fastpath()
            .and_then(|fastpath| fastpath.sessions().map_err(to_io))
            .unwrap_or_default();
        let port = |key: &FlowKey| state.ports.get(&key.port).copied();
        sessions
            .iter()
            .map(|(id, session)| {
                let [forward, back] = &session.key;
                Session {
                    id: *id,
                    port: port(forward),
                    tuple: forward.tuple(),
                    reply_port: port(back),
                    reply_tuple: back.tuple(),
                    packets: session.packets,
                    bytes: session.bytes,
                    idle_ms: now.saturating_sub(session.last_seen_ns) / 1_000_000,
                }
            })
            .collect()
    }
}

impl State {
    fn fastpath(&mut self) -> io::Result<&mut Fastpath> {
        self.fastpath
            .as_mut()
            .ok_or_else(|| io::Error::other("the flow table is closed"))
    }

    /// Lets the core do something that no frame caused.
    fn change(&mut self, tap: &Tap, run: impl FnOnce(&mut Core, &mut Effects)) {
        let mut effects = Effects::default();
        run(&mut self.core, &mut effects);
        self.execute(tap, effects, None);
    }

    fn frame(&mut self, tap: &Tap, bytes: &[u8]) {
        let Some((vnet, rest)) = VnetHeader::split(bytes) else {
            return;
        };
        let Some((upcall, frame)) = UpcallHeader::split(rest) else {
            return;
        };
        let port = upcall.interface_index();
        let header_len = u16::try_from(abi::UPCALL_HEADER_LEN).unwrap_or(u16::MAX);
        let Some(vnet) = vnet.advanced(header_len) else {
            self.count_drop(port, DropReason::MalformedFrame);
            return;
        };
        let offload = Offload {
            checksum: if vnet.needs_checksum {
                ChecksumState::Partial
            } else {
                ChecksumState::Complete
            },
            gso_size: vnet.gso_size,
        };
        match upcall.reason {
            // What the kernel could not do, the core does as the session says.
            UPCALL_STALE | UPCALL_SESSION => {
                if let Ok(Parsed::Ip(ip)) = parse_frame(frame) {
                    self.adopt_session(tap, &ip.key(port));
                }
            }
            UPCALL_SLOW_ONLY => {
                if let Some(key) = slowpath::concerned(port, frame) {
                    self.adopt_session(tap, &key);
                }
            }
            _ => {}
        }
        let mut effects = Effects::default();
        self.core
            .upcall(now_ns(), port, frame, offload, &mut effects);
        self.execute(tap, effects, Some((port, vnet)));
    }

    fn count_drop(&mut self, port: u32, reason: DropReason) {
        if self.ports.contains_key(&port) {
            *self.drops.entry((port, reason)).or_default() += 1;
        }
    }

    /// A session that the kernel program has made becomes the core's, if it may be.
    fn adopt_session(&mut self, tap: &Tap, key: &FlowKey) {
        let found = self
            .fastpath()
            .and_then(|fastpath| fastpath.session_at(key).map_err(to_io));
        let Ok(Some((id, session))) = found else {
            return;
        };
        if session.template == 0 {
            return;
        }
        if let Ok(fastpath) = self.fastpath() {
            fastpath.know(id, session.key);
        }
        self.change(tap, |core, effects| {
            core.adopt_stale(now_ns(), id, &session, effects);
        });
    }

    /// Looks at some of the flows, goes on where it stopped, and gives the kernel program leave for a while.
    fn sweep(&mut self, tap: &Tap) {
        let now = Instant::now();
        self.change(tap, |core, effects| {
            core.advertise(now_ns(), ADVERTISE_BUDGET, effects);
        });
        if self.adopted {
            self.core.lend(now_ns().saturating_add(LEND_NS));
        }
        if self.next_pass.is_some_and(|next| now < next) {
            self.change(tap, |core, effects| core.sweep(now_ns(), &[], effects));
            return;
        }
        self.next_pass = None;
        match self.sweep_some(tap) {
            Ok(false) => {}
            Ok(true) => self.next_pass = Some(now + PASS),
            Err(error) => tracing::debug!(%error, "the flow table cannot be swept"),
        }
    }

    /// Whether these were the last ones of a pass.
    fn sweep_some(&mut self, tap: &Tap) -> io::Result<bool> {
        let now_ns = now_ns();
        let least = self.core.least_silence_ns();
        let fastpath = self
            .fastpath
            .as_mut()
            .ok_or_else(|| io::Error::other("the flow table is closed"))?;
        let used = fastpath
            .usage()
            .word(USAGE_ALL)
            .load(std::sync::atomic::Ordering::Relaxed);
        let budget = usize::try_from(used).unwrap_or(usize::MAX) / SWEEPS * 2;
        let (flows, last) = fastpath
            .scan(budget.clamp(SWEEP_LEAST, SWEEP_MOST))
            .map_err(to_io)?;
        let (mut silent, mut stale) = (Vec::new(), Vec::new());
        let mut effects = Effects::default();
        for (key, flow) in &flows {
            if flow.template != 0 {
                self.core.met(flow.template);
                let current = fastpath.generation(flow.template) == flow.generation;
                if !current && stale.len() < SWEEP_STALE {
                    stale.push(*key);
                    continue;
                }
            }
            let silence = now_ns.saturating_sub(flow.last_seen_ns);
            if flow.direction & 1 == 0 && silence >= least {
                silent.extend(fastpath.session_at(key).map_err(to_io)?);
            } else if silence >= HALF_NS && is_alone(fastpath, key, flow)? {
                let gone = fastpath.remove_at(flow.session, &[*key]).map_err(to_io)?;
                if let Some(session) = gone.filter(|session| session.template != 0) {
                    self.core.removed(&session);
                }
            }
        }
        self.core.sweep(now_ns, &silent, &mut effects);
        if last {
            self.core.swept(&mut effects);
        }
        self.execute(tap, effects, None);
        for key in stale {
            self.adopt_session(tap, &key);
        }
        Ok(last)
    }

    /// Writes a session. False if its flow is another session's: then the packet must not go on.
    fn install(&mut self, id: u64, session: &abi::Session) -> io::Result<bool> {
        // Twice at most, once for each key.
        for _ in 0..3 {
            let fastpath = self.fastpath()?;
            let key = match fastpath.install(id, session) {
                Ok(()) => return Ok(true),
                Err(fastpath::Error::Taken(key)) => *key,
                Err(error) => {
                    self.core.lost(id);
                    return Err(to_io(error));
                }
            };
            let Some((other, found)) = fastpath.session_at(&key).map_err(to_io)? else {
                continue;
            };
            let mut whole = true;
            for (direction, key) in found.key.iter().enumerate() {
                let leads = fastpath.flow(key).map_err(to_io)?;
                whole &= leads == Some((other, direction));
            }
            let current = fastpath.generation(found.template) == found.generation;
            if whole && current && found.template != 0 {
                // The kernel program was faster.
                self.core.lost(id);
                return Ok(found.key == session.key);
            }
            fastpath.remove_at(other, &found.key).map_err(to_io)?;
            if found.template != 0 {
                self.core.removed(&found);
            }
        }
        self.core.lost(id);
        Ok(true)
    }

    /// Does what the core wants done, in its order; `received` is the frame's port and what the device said of it,
    /// if a frame was the cause. A session that cannot be written is no session: its packets
    /// come up again, and the sweep finds that the kernel does not have it.
    fn execute(&mut self, tap: &Tap, effects: Effects, received: Option<(u32, VnetHeader)>) {
        let mut goes_on = true;
        for effect in effects.list {
            let done = match effect {
                Effect::Install { id, session } => self
                    .install(id, &session)
                    .map(|delivered| goes_on = delivered),
                Effect::Template { key, template } => self
                    .fastpath()
                    .and_then(|fastpath| fastpath.install_template(&key, *template).map_err(to_io)),
                Effect::Revoke { slot, key } => self
                    .fastpath()
                    .and_then(|fastpath| fastpath.revoke_template(slot, &key).map_err(to_io)),
                // What cannot be changed must not stay as it was.
                Effect::Update { id, action } => self.fastpath().and_then(|fastpath| {
                    fastpath
                        .replace_actions(id, action, 0)
                        .or_else(|_| fastpath.remove(id).map(|gone| gone.is_some()))
                        .map(drop)
                        .map_err(to_io)
                }),
                Effect::Remove { id, key } => self
                    .fastpath()
                    .and_then(|fastpath| fastpath.remove_at(id, &key).map(drop).map_err(to_io)),
                Effect::Emit { .. } if !goes_on => {
                    if let Some((port, _)) = received {
                        self.count_drop(port, DropReason::FlowConflict);
                    }
                    Ok(())
                }
                Effect::Emit {
                    output,
                    frame,
                    as_received,
                } => {
                    let vnet = received.filter(|_| as_received).map(|(_, vnet)| vnet);
                    let sent = emit(tap, vnet.unwrap_or_default(), output, frame);
                    if let (Err(_), Some((port, _))) = (&sent, received) {
                        self.count_drop(port, DropReason::SlowPathUnavailable);
                    }
                    sent
                }
                Effect::Dropped(record) => {
                    self.count_drop(record.port, record.reason);
                    self.note_drop(&record);
                    Ok(())
                }
            };
            if let Err(error) = done {
                // A guest could cause this as often as it likes, so it is no warning.
                tracing::debug!(%error, "the slow path cannot do what it should");
            }
        }
    }

    fn note_drop(&mut self, record: &slowpath::DropRecord) {
        let port = match (record.interface, self.ports.get(&record.port)) {
            (Some(interface), _) => Port::Interface(interface),
            (None, Some(name)) => *name,
            (None, None) => Port::Uplink,
        };
        if self.ring.len() == RING {
            self.ring.pop_front();
        }
        self.last_sequence += 1;
        self.ring.push_back(Dropped {
            sequence: self.last_sequence,
            at: SystemTime::now(),
            port,
            tuple: record.tuple,
            reason: record.reason,
            step: record.step,
            object: record.object,
            rule: record.rule,
        });
    }
}

/// Whether a session has lost its other direction.
fn is_alone(fastpath: &Fastpath, key: &FlowKey, flow: &Flow) -> io::Result<bool> {
    let other = fastpath.flow(&flow.action.answer_key(key)).map_err(to_io)?;
    Ok(other.is_none_or(|(id, _)| id != flow.session))
}

/// The port that a frame of the device came in at. What is not an upcall is the host's own, and nobody's business here.
fn port_of(bytes: &[u8]) -> Option<u32> {
    let (_, rest) = VnetHeader::split(bytes)?;
    let (upcall, _) = UpcallHeader::split(rest)?;
    Some(upcall.interface_index())
}

/// Sends a frame by way of the kernel program on the device's ingress.
fn emit(tap: &Tap, vnet: VnetHeader, output: abi::Output, mut frame: Vec<u8>) -> io::Result<()> {
    let too_short = || io::Error::from(io::ErrorKind::InvalidInput);
    let route = encode_output(output).ok_or_else(too_short)?;
    frame
        .get_mut(6..12)
        .ok_or_else(too_short)?
        .copy_from_slice(&route);
    tap.write(vnet, &frame)
}

/// A guest's port as the kernel program knows it.
pub(crate) fn guest_record(mac: Mac, config: &crate::Config) -> abi::Port {
    abi::Port::guest(mac, config.upcalls_per_second, config.upcall_burst)
}

/// The name of an interface's port.
pub(crate) fn guest(interface: InterfaceId) -> Port {
    Port::Interface(interface)
}

/// Nanoseconds of `CLOCK_MONOTONIC`, which is the kernel program's clock.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

/// An error of the fast path with all that it says of its causes.
pub(crate) fn to_io(error: fastpath::Error) -> io::Error {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    io::Error::other(text)
}
