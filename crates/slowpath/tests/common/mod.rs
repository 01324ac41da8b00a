//! A host in memory: the core, a network, and a flow table that runs sessions with the kernel's own code.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::panic,
    reason = "every test file uses a part of this module, and a failed expectation is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastpath_core::abi::{FlowKey, Output, Session};
use fastpath_core::template::{
    KERNEL_MADE, OwnUsage, USAGE_ALL, USAGE_MAX, USAGE_PORT_MAX, USAGE_UNTIL, Usage, take,
};
use fastpath_core::{
    Account, ChecksumState, Parsed, SliceFrame, Template, Verdict, execute, parse_frame,
};
use packet::{Ethernet, Icmp, Ipv4, Tcp, Udp};
use slowpath::{
    Config, Core, DropRecord, Effect, Effects, Outcome, Revocation, Timeouts, UplinkPort,
};
use topology::text::Network;
use topology::{Change, Object, Snapshot};
use types::{DropReason, FlowTuple, Mac, proto};

pub const UPLINK: u32 = 99;
pub const HOST_MAC: Mac = Mac([0x0a, 0, 0, 0, 0, 1]);
pub const HOST: &str = "203.0.113.1";
pub const SECOND: u64 = 1_000_000_000;

/// Two tenants with the same block.
pub const WORLD: &str = "
    uplink 203.0.113.0/24 host 203.0.113.1
    vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
      table public
        route 0.0.0.0/0 igw a
      table inspected
        route 10.0.1.0/24 eni mbox
      group web
        in tcp 80 from 0.0.0.0/0
        in udp 53 from 0.0.0.0/0
        in icmp * from 0.0.0.0/0
        out all to 0.0.0.0/0
      group db
        in tcp 3306 from web
        out all to 0.0.0.0/0
      group all
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      acl deaf
        out 100 allow all to 0.0.0.0/0
      subnet pub 10.0.1.0/24 table public
      subnet priv 10.0.2.0/24
      subnet seen 10.0.3.0/24 table inspected
      subnet deaf 10.0.4.0/24 acl deaf
      interface web subnet pub address 10.0.1.4,10.0.1.6 groups web
      interface web2 subnet pub address 10.0.1.5 groups web
      interface db subnet priv address 10.0.2.4 groups db
      interface mbox subnet priv address 10.0.2.5 groups all unchecked
      interface guarded subnet seen address 10.0.3.4 groups all
      interface mute subnet deaf address 10.0.4.4 groups all
      interface absent subnet priv address 10.0.2.6 groups all
      elastic web 203.0.113.5 interface web
      elastic web2 203.0.113.6 interface web2
    vpc b account 222222222222 cidr 10.0.0.0/16 gateway b
      table open
        route 0.0.0.0/0 igw b
      group other
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      subnet b 10.0.1.0/24 table open
      interface evil subnet b address 10.0.1.9 groups other
";

/// Every interface of [`WORLD`] that has a port.
pub const PORTS: [(&str, u32); 7] = [
    ("web", 11),
    ("web2", 12),
    ("db", 13),
    ("mbox", 14),
    ("guarded", 15),
    ("mute", 16),
    ("evil", 21),
];

pub fn config() -> Config {
    Config {
        max_sessions: 1000,
        max_sessions_per_port: 500,
        uplink: Some(UplinkPort {
            port: UPLINK,
            host_mac: HOST_MAC,
        }),
        timeouts: Timeouts::default(),
        revocation: Revocation::Strict,
    }
}

/// The core with its surroundings.
pub struct Host {
    pub network: Network,
    pub snapshot: Arc<Snapshot>,
    pub core: Core,
    pub kernel: Kernel,
    pub ports: BTreeMap<String, u32>,
    pub now_ns: u64,
}

/// What came of a frame.
#[derive(Debug)]
pub struct Result {
    pub outcome: Outcome,
    pub emitted: Vec<(Output, Vec<u8>)>,
    pub drops: Vec<DropRecord>,
    pub installed: Vec<u64>,
    pub updated: Vec<u64>,
    pub removed: Vec<u64>,
    pub templates: Vec<u32>,
    pub revoked: Vec<u32>,
}

impl Result {
    /// The one frame that went out, with right checksums.
    pub fn frame(&self) -> (Output, &[u8]) {
        let [(output, frame)] = self.emitted.as_slice() else {
            panic!("one frame is expected: {self:?}");
        };
        assert!(packet::checksum::hold(frame), "checksums of {frame:02x?}");
        (*output, frame)
    }

    /// The one reason, and that nothing went out.
    pub fn dropped(&self) -> DropReason {
        assert!(
            self.emitted.is_empty() && self.installed.is_empty(),
            "{self:?}"
        );
        let [drop] = self.drops.as_slice() else {
            panic!("one drop is expected: {self:?}");
        };
        assert_eq!(self.outcome, Outcome::Dropped(drop.reason));
        drop.reason
    }
}

impl Host {
    pub fn new() -> Host {
        Host::with(WORLD, &PORTS, config())
    }

    pub fn with(text: &str, ports: &[(&str, u32)], config: Config) -> Host {
        let network = topology::text::parse(text).expect("a network");
        let kernel = Kernel::default();
        let mut host = Host {
            snapshot: Arc::new(network.snapshot()),
            network,
            core: Core::with_usage(config, Arc::clone(&kernel.usage) as Arc<dyn Usage>),
            kernel,
            ports: BTreeMap::new(),
            now_ns: SECOND,
        };
        host.load(ports);
        host
    }

    fn load(&mut self, ports: &[(&str, u32)]) {
        let mut effects = Effects::default();
        self.core
            .update(Arc::clone(&self.snapshot), &BTreeSet::new(), &mut effects);
        for (name, port) in ports {
            self.ports.insert((*name).to_owned(), *port);
            self.core
                .attach(*port, self.network.interface(name), &mut effects);
        }
        assert_eq!(effects, Effects::default());
    }

    /// A new process on the same host.
    pub fn restart(&mut self) {
        let usage = Arc::clone(&self.kernel.usage);
        self.core = Core::with_usage(config(), usage);
        let ports = self.ports.clone();
        let ports: Vec<(&str, u32)> = ports.iter().map(|(n, p)| (n.as_str(), *p)).collect();
        self.load(&ports);
    }

    pub fn mac(&self, name: &str) -> Mac {
        let id = self.network.interface(name);
        self.snapshot.interface(id).expect("an interface").mac
    }

    pub fn port(&self, name: &str) -> u32 {
        self.ports[name]
    }

    /// A frame comes up from the port of this interface, or of the uplink.
    pub fn up(&mut self, name: &str, frame: &[u8]) -> Result {
        let port = if name == "uplink" {
            UPLINK
        } else {
            self.port(name)
        };
        self.up_port(port, frame, ChecksumState::Complete)
    }

    pub fn up_port(&mut self, port: u32, frame: &[u8], checksum: ChecksumState) -> Result {
        let mut effects = Effects::default();
        if let Ok(Parsed::Ip(ip)) = parse_frame(frame)
            && let Some((id, session)) = self.kernel.stale(&ip.key(port))
        {
            self.core
                .adopt_stale(self.now_ns, id, &session, &mut effects);
            self.settle(Outcome::Consumed, std::mem::take(&mut effects));
        }
        let outcome = self
            .core
            .upcall(self.now_ns, port, frame, checksum, &mut effects);
        self.settle(outcome, effects)
    }

    /// Applies effects, and checks what holds always.
    pub fn settle(&mut self, outcome: Outcome, effects: Effects) -> Result {
        let mut result = Result {
            outcome,
            emitted: Vec::new(),
            drops: Vec::new(),
            installed: Vec::new(),
            updated: Vec::new(),
            removed: Vec::new(),
            templates: Vec::new(),
            revoked: Vec::new(),
        };
        let mut goes_on = true;
        for effect in effects.list {
            if let Effect::Install { id, session } = &effect
                && let Some(same) = self.taken(session)
            {
                self.core.lost(*id);
                goes_on = same;
                continue;
            }
            if matches!(effect, Effect::Emit { .. }) && !goes_on {
                continue;
            }
            self.kernel.apply(&effect);
            match effect {
                Effect::Install { id, .. } => result.installed.push(id),
                Effect::Update { id, .. } => result.updated.push(id),
                Effect::Remove { id, .. } => result.removed.push(id),
                Effect::Template { template, .. } => result.templates.push(template.slot),
                Effect::Revoke { slot, .. } => result.revoked.push(slot),
                Effect::Emit { output, frame, .. } => result.emitted.push((output, frame)),
                Effect::Dropped(record) => result.drops.push(record),
            }
        }
        let stats = self.core.stats();
        let sum = stats.answered
            + stats.forwarded
            + stats.consumed
            + stats.held
            + stats.dropped.values().sum::<u64>();
        assert_eq!(stats.upcalls, sum, "every frame has one outcome");
        let own = |(_, session): &(&u64, &Session)| session.template == 0;
        let sessions = self.kernel.sessions.iter().filter(own);
        let known: Vec<u64> = sessions.map(|(id, _)| *id).collect();
        assert_eq!(stats.sessions, known.len() as u64);
        let ids: Vec<u64> = self.core.sessions().map(|s| s.id).collect();
        assert_eq!(ids, known);
        assert_eq!(self.core.templates(), self.kernel.templates.len());
        result
    }

    /// Whether a session of the kernel program's has one of the keys already, and then whether it is the same one. What
    /// is left of templates that have gone makes room.
    fn taken(&mut self, session: &Session) -> Option<bool> {
        for key in &session.key {
            if let Some((id, old)) = self.kernel.stale(key) {
                self.kernel.apply(&Effect::Remove { id, key: old.key });
                self.core.removed(&old);
            } else if let Some((id, _)) = self.kernel.flows.get(key) {
                let old = self.kernel.sessions[id];
                assert_ne!(old.template, 0, "the core knows its own");
                return Some(old.key == session.key);
            }
        }
        None
    }

    /// Hands the table to a core that knows nothing of it, and ends the templates.
    pub fn adopt(&mut self) -> Result {
        let sessions: Vec<_> = self.kernel.sessions.clone().into_iter().collect();
        let mut effects = Effects::default();
        self.core.adopt(self.now_ns, sessions, &mut effects);
        for (_, template) in std::mem::take(&mut self.kernel.templates) {
            *self.kernel.generations.entry(template.slot).or_default() += 1;
        }
        self.settle(Outcome::Consumed, effects)
    }

    /// The network changes.
    pub fn change(&mut self, changes: &[Change]) -> Result {
        let next = self.snapshot.apply(self.snapshot.revision() + 1, changes);
        self.snapshot = Arc::new(next);
        let changed = changes.iter().map(Change::id).collect();
        let mut effects = Effects::default();
        self.core
            .update(Arc::clone(&self.snapshot), &changed, &mut effects);
        self.settle(Outcome::Consumed, effects)
    }

    /// An object of the network, by its kind and name: `sg web`.
    pub fn object(&self, name: &str) -> Object {
        self.network
            .objects
            .iter()
            .find(|object| self.network.name(object.id()) == name)
            .unwrap_or_else(|| panic!("no object {name}"))
            .clone()
    }
}

/// The flow table, and what makes sessions of templates.
#[derive(Default)]
pub struct Kernel {
    pub sessions: BTreeMap<u64, Session>,
    pub flows: BTreeMap<FlowKey, (u64, usize)>,
    pub templates: BTreeMap<FlowKey, Template>,
    pub generations: BTreeMap<u32, u32>,
    pub usage: Arc<OwnUsage>,
}

impl Kernel {
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Install { id, session } => {
                assert!(self.sessions.insert(*id, **session).is_none());
                for (direction, key) in session.key.iter().enumerate() {
                    assert_eq!(self.flows.insert(*key, (*id, direction)), None);
                }
            }
            Effect::Update { id, action } => {
                let session = self.sessions.get_mut(id).expect("installed");
                session.action = *action;
                session.template = 0;
            }
            Effect::Template { key, template } => {
                let template = Template {
                    generation: self.generation(template.slot),
                    ..**template
                };
                assert_eq!(self.templates.insert(*key, template), None);
            }
            Effect::Revoke { slot, key } => {
                *self.generations.entry(*slot).or_default() += 1;
                assert_eq!(self.templates.remove(key).expect("there").slot, *slot);
            }
            Effect::Remove { id, key } => {
                assert_eq!(self.sessions.remove(id).expect("installed").key, *key);
                for key in key {
                    self.flows.remove(key);
                }
            }
            Effect::Emit { .. } | Effect::Dropped(_) => {}
        }
    }

    pub fn generation(&self, slot: u32) -> u32 {
        self.generations.get(&slot).copied().unwrap_or(0)
    }

    /// Makes the session of a flow from its template, as the kernel program does; false if there is none for it.
    pub fn make(&mut self, now_ns: u64, key: &FlowKey) -> bool {
        let Some(template) = self.templates.get(&Template::key(key)) else {
            return false;
        };
        let word = |index| self.usage.word(index);
        let read = |index| word(index).load(Ordering::SeqCst);
        let fits = template.covers(key.source_port)
            && template.generation == self.generation(template.slot)
            && now_ns < read(USAGE_UNTIL)
            && !self.flows.contains_key(&template.session(key).key[1])
            && take(
                word(USAGE_ALL),
                word(template.account_word),
                word(template.port_word),
                read(USAGE_MAX),
                read(USAGE_PORT_MAX),
            );
        if !fits {
            return false;
        }
        let session = Session {
            created_ns: now_ns,
            last_seen_ns: now_ns,
            ..template.session(key)
        };
        let mut id = KERNEL_MADE | (self.sessions.len() as u64) << 32 | now_ns >> 32;
        // There were more before some were removed.
        while self.sessions.contains_key(&id) {
            id += 1 << 32;
        }
        assert_eq!(self.sessions.insert(id, session), None);
        for (direction, key) in session.key.iter().enumerate() {
            assert_eq!(self.flows.insert(*key, (id, direction)), None);
        }
        true
    }

    /// The session of this key, if its template has gone.
    pub fn stale(&self, key: &FlowKey) -> Option<(u64, Session)> {
        let (id, _) = self.flows.get(key)?;
        let session = self.sessions[id];
        let current = self.generation(session.template);
        (session.template != 0 && session.generation != current).then_some((*id, session))
    }

    /// What the kernel program does with a frame: `None` is an upcall.
    pub fn run(
        &mut self,
        now_ns: u64,
        port: u32,
        frame: &[u8],
        checksum: ChecksumState,
    ) -> Option<(Verdict, Vec<u8>)> {
        let Ok(Parsed::Ip(ip)) = parse_frame(frame) else {
            return None;
        };
        let key = ip.key(port);
        if ip.slow_only || self.stale(&key).is_some() {
            return None;
        }
        if !self.flows.contains_key(&key) && !self.make(now_ns, &key) {
            return None;
        }
        let (id, direction) = self.flows[&key];
        let session = self.sessions.get_mut(&id)?;
        let action = session.action[direction];
        let mut out = frame.to_vec();
        let mut slice = SliceFrame::new(&mut out, checksum);
        let verdict =
            execute(&mut slice, &ip, ip.packet_len, &action).expect("the frame was parsed");
        if verdict == Verdict::Slow {
            return None;
        }
        Account::new(&ip, direction, 1, now_ns).record(session);
        Some((verdict, out))
    }
}

pub fn v4(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A frame from this MAC address to the router.
pub fn frame(mac: Mac, source: &str, destination: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv4 {
        tos: 0,
        identification: 1,
        fragment: 0x4000,
        ttl: 64,
        protocol,
        source: v4(source),
        destination: v4(destination),
        options: &[],
        payload,
    };
    Ethernet {
        destination: Mac::ROUTER,
        source: mac,
        ethertype: proto::ETHERTYPE_IPV4,
        payload: &ip.emit(),
    }
    .emit()
}

pub fn tcp(
    mac: Mac,
    source: (&str, u16),
    destination: (&str, u16),
    flags: u8,
    data: &[u8],
) -> Vec<u8> {
    let segment = Tcp {
        source_port: source.1,
        destination_port: destination.1,
        sequence: 0x0102_0304,
        acknowledgment: 0,
        flags,
        window: 1000,
        urgent: 0,
        options: &[],
        payload: data,
    }
    .emit(ip(source.0), ip(destination.0));
    frame(mac, source.0, destination.0, proto::TCP, &segment)
}

pub fn udp(mac: Mac, source: (&str, u16), destination: (&str, u16), data: &[u8]) -> Vec<u8> {
    let datagram = Udp {
        source_port: source.1,
        destination_port: destination.1,
        payload: data,
    }
    .emit(ip(source.0), ip(destination.0));
    frame(mac, source.0, destination.0, proto::UDP, &datagram)
}

pub fn icmp(
    mac: Mac,
    source: &str,
    destination: &str,
    kind: u8,
    rest: [u8; 4],
    data: &[u8],
) -> Vec<u8> {
    let message = Icmp {
        kind,
        code: 0,
        rest,
        payload: data,
    }
    .emit(ip(source), ip(destination));
    frame(mac, source, destination, proto::ICMP, &message)
}

/// An IPv4 packet behind so many routers.
pub fn aged(packet: &[u8], hops: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[8] -= hops;
    packet[10..12].copy_from_slice(&[0, 0]);
    let sum = packet::checksum::of(&packet[..20]);
    packet[10..12].copy_from_slice(&sum);
    packet
}

/// The tuple of a frame.
pub fn tuple(frame: &[u8]) -> FlowTuple {
    match parse_frame(frame) {
        Ok(Parsed::Ip(ip)) => ip.key(0).tuple(),
        other => panic!("no IP packet: {other:?}"),
    }
}

pub fn macs(frame: &[u8]) -> (Mac, Mac) {
    let ethernet = Ethernet::parse(frame).expect("a frame");
    (ethernet.destination, ethernet.source)
}
