//! The agent's core: what it knows, and what it does with it.

mod forward;
mod fragment;
mod life;

pub use life::concerned;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastpath_core::abi::{
    ACTION_DELIVER, ACTION_TRANSMIT, Action, FlowKey, Output, Port, Session, TCP_SYN, UPCALL_ARP,
};
use fastpath_core::parse::FRAGMENT_NONE;
use fastpath_core::template::{OwnUsage, Usage};
use fastpath_core::{
    Account, ChecksumState, Ingress, Ip, SliceFrame, ingress, parse, pass_routers,
};
use topology::{Interface, Snapshot};
use types::{DropReason, FlowTuple, InterfaceId, Mac, ObjectId, proto};
use walk::{Dropped, Hop, Packet, RuleRef, Step};

use crate::arp::{self, Answer};
use crate::fragments::Fragments;
use crate::report::Limiter;
use crate::session::{Ports, Table, plan};
use crate::shares::Shares;
use crate::templates::Templates;
use crate::{
    DropRecord, Effect, Effects, Outcome, Timeouts, dhcp, dhcp6, icmp, ndp, report, reset, resolver,
};

/// How often guests hear of their router (RFC 4861 section 6.2.1, `MaxRtrAdvInterval`).
const ADVERTISE_NS: u64 = 600_000_000_000;

/// Where a round of router advertisements is.
#[derive(Debug, Default)]
struct Round {
    /// When the next one goes on or begins.
    next_ns: u64,
    /// The port that had the last one of this round.
    last: Option<u32>,
}

/// How many questions an interface may ask its resolver a second (EC2 "Amazon DNS quotas").
const QUESTIONS_PER_SECOND: u64 = 1024;

/// Bounds and surroundings of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// The most sessions of the host. One account may have three times as many as are still free, so three quarters
    /// of the table if nobody else has any. At either bound new flows are dropped as `FlowTableFull`.
    pub max_sessions: usize,
    /// The most sessions of one guest's port, those that the outside opened to it included. At the bound its new
    /// flows are dropped as `FlowTableFull`, those of other ports are not.
    pub max_sessions_per_port: usize,
    /// The uplink; `None` if there is none.
    pub uplink: Option<UplinkPort>,
    /// When silent sessions go.
    pub timeouts: Timeouts,
    /// What becomes of flows when a rule of a security group that allowed them goes.
    pub revocation: Revocation,
}

/// What becomes of flows when the rule of a security group that allowed them goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Revocation {
    /// As with EC2 ("Security group connection tracking"): what the groups track goes on until it is idle or ends, what
    /// they do not track ends at once.
    #[default]
    Ec2,
    /// Everything that no rule allows any more ends at once.
    Strict,
}

/// Polder's side of the host's uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UplinkPort {
    /// Its interface index.
    pub port: u32,
    /// The MAC address of the host's side.
    pub host_mac: Mac,
}

/// What the core has counted since it was made. Every frame that came up is in exactly one of `answered`,
/// `forwarded`, `consumed`, `dropped` and `held`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Frames that came up.
    pub upcalls: u64,
    /// Frames that the router answered.
    pub answered: u64,
    /// Frames that went on.
    pub forwarded: u64,
    /// Frames for the router that need no answer.
    pub consumed: u64,
    /// Fragments that wait now. They will be `forwarded` or `dropped`.
    pub held: u64,
    /// Frames that were dropped, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Sessions now.
    pub sessions: u64,
    /// Sessions installed or adopted.
    pub installed: u64,
    /// Sessions that a change of the network rewrote in place.
    pub updated: u64,
    /// Sessions removed because a change of the network, or a detached port, ended them.
    pub cut: u64,
    /// Sessions removed because they were silent.
    pub expired: u64,
}

/// A session, as lists show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionView<'a> {
    /// Key of the session map.
    pub id: u64,
    /// The keys that lead to it: 0 is the direction of the packet that opened it.
    pub key: &'a [FlowKey; 2],
    /// The network interfaces behind the keys' ports; `None` is the uplink.
    pub interface: [Option<InterfaceId>; 2],
    /// The objects that decided it: when one of them changes, it is decided again.
    pub depends: &'a BTreeSet<ObjectId>,
}

/// The core.
#[derive(Debug)]
pub struct Core {
    config: Config,
    snapshot: Arc<Snapshot>,
    ports: Ports,
    table: Table,
    shares: Shares,
    templates: Templates,
    next_id: u64,
    reports: Limiter,
    questions: Limiter,
    fragments: Fragments,
    advertised: Round,
    stats: Stats,
}

/// A packet that is not delivered, before it becomes a record.
struct Refusal {
    reason: DropReason,
    step: Option<Step>,
    object: Option<ObjectId>,
    rule: Option<RuleRef>,
}

impl Refusal {
    /// The core itself refuses.
    const fn new(reason: DropReason) -> Refusal {
        Refusal {
            reason,
            step: None,
            object: None,
            rule: None,
        }
    }

    /// The core refuses what this interface sends; `None` is the uplink.
    fn of(reason: DropReason, interface: Option<&Interface>) -> Refusal {
        Refusal {
            step: Some(Step::Source),
            object: interface.map(|interface| interface.id.into()),
            ..Refusal::new(reason)
        }
    }
}

impl From<Dropped> for Refusal {
    fn from(dropped: Dropped) -> Refusal {
        Refusal {
            reason: dropped.reason,
            step: Some(dropped.step),
            object: dropped.object,
            rule: dropped.rule,
        }
    }
}

/// What a frame still needs before it can go on a wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offload {
    /// What its upper layer's checksum field holds.
    pub checksum: ChecksumState,
    /// Bytes of payload in each packet that a GSO packet will be cut into; 0 for all others.
    pub gso_size: u16,
}

impl From<ChecksumState> for Offload {
    fn from(checksum: ChecksumState) -> Offload {
        Offload {
            checksum,
            gso_size: 0,
        }
    }
}

/// A frame that came up.
#[derive(Clone, Copy)]
struct Upcall<'a> {
    now_ns: u64,
    port: u32,
    frame: &'a [u8],
    offload: Offload,
    /// It came up earlier than what is served now.
    late: bool,
}

impl Upcall<'_> {
    /// The IP packet's size in bytes, as `Obstacle::of` wants it.
    fn size(&self, ip: &Ip) -> usize {
        match self.offload.gso_size {
            0 => ip.packet_len,
            size => ip.header_len.saturating_sub(parse::ETHERNET_LEN) + usize::from(size),
        }
    }
}

/// The way of a packet, as a session has it.
#[derive(Clone, Debug)]
struct Way {
    action: Action,
    hops: Box<[Hop]>,
    /// The largest IP packet that both directions carry, in bytes. 0 is no bound.
    mtu: u16,
}

impl Core {
    /// A core that knows no network and no ports: it drops everything. It counts sessions for itself, so nobody may
    /// make some from templates.
    #[must_use]
    pub fn new(config: Config) -> Core {
        Core::with_usage(config, Arc::new(OwnUsage::default()))
    }

    /// [`Core::new`], with the words that the kernel program counts in too.
    #[must_use]
    pub fn with_usage(config: Config, usage: Arc<dyn Usage>) -> Core {
        Core {
            config,
            snapshot: Arc::new(Snapshot::default()),
            ports: Ports::new(config.uplink),
            table: Table::default(),
            shares: Shares::new(usage, config.max_sessions, config.max_sessions_per_port),
            templates: Templates::default(),
            next_id: 1,
            reports: Limiter::new(report::PER_SECOND),
            questions: Limiter::new(QUESTIONS_PER_SECOND),
            fragments: Fragments::default(),
            advertised: Round::default(),
            stats: Stats::default(),
        }
    }

    /// The guest's interface with this index is this network interface's port. What was attached to the port, and
    /// where the network interface was attached, is detached first.
    pub fn attach(&mut self, port: u32, interface: InterfaceId, effects: &mut Effects) {
        if self.ports.interface(port) == Some(interface) {
            return;
        }
        self.detach(port, effects);
        if let Some(old) = self.ports.port(interface) {
            self.detach(old, effects);
        }
        self.ports.attach(port, interface);
    }

    /// The port is gone, and so are its sessions.
    pub fn detach(&mut self, port: u32, effects: &mut Effects) {
        for slot in self.templates.at_port(port) {
            self.revoke(slot, effects);
        }
        self.ports.detach(port);
        self.reports.forget(port);
        self.questions.forget(port);
        for held in self.fragments.detach(port) {
            self.lose(port, &held, effects);
        }
        let gone: Vec<u64> = self
            .table
            .iter()
            .filter(|(_, entry)| {
                let template = &entry.template;
                template.key.iter().any(|key| key.port == port)
                    || template.action.iter().any(|action| action.output == port)
            })
            .map(|(id, _)| id)
            .collect();
        for id in gone {
            self.cut(id, effects);
        }
        self.shares.forget(port);
    }

    /// The network is this from now on. Exactly the sessions that depend on one of `changed` (and, if the uplink is
    /// another, all of them) are decided again, as if their first packet came now: the same decision leaves a session
    /// alone, another rewrite or way out updates it, a denial removes it, and so does a new identity of one of its
    /// ends. What a security group denies goes on if the group tracks it, unless revocation is strict.
    /// Another decision ends a template: its sessions are decided when their next packets come up, or in
    /// [`Core::sweep`].
    pub fn update(
        &mut self,
        snapshot: Arc<Snapshot>,
        changed: &BTreeSet<ObjectId>,
        effects: &mut Effects,
    ) {
        let old = std::mem::replace(&mut self.snapshot, snapshot);
        self.welcome(&old, changed, effects);
        let (affected, slots) = if old.uplink() == self.snapshot.uplink() {
            let slots = self.templates.dependents(changed);
            (self.table.dependents(changed), slots)
        } else {
            let slots = self.templates.all().into_iter().collect();
            (self.table.ids().collect(), slots)
        };
        for slot in slots {
            self.redecide_template(slot, effects);
        }
        let (asymmetric, plain): (Vec<u64>, Vec<u64>) = affected.into_iter().partition(|id| {
            let entry = self.table.get(*id);
            entry.is_some_and(|entry| entry.template.is_asymmetric())
        });
        for id in plain {
            self.redecide(id, effects);
        }
        // What rests on others is decided when these are, and again if one of its own kind ended.
        loop {
            let before = self.stats.cut;
            for id in &asymmetric {
                self.redecide(*id, effects);
            }
            if self.stats.cut == before {
                break;
            }
        }
    }

    /// A frame came up from this port. `offload` says what it still needs.
    pub fn upcall(
        &mut self,
        now_ns: u64,
        port: u32,
        frame: &[u8],
        offload: impl Into<Offload>,
        effects: &mut Effects,
    ) -> Outcome {
        self.stats.upcalls += 1;
        let upcall = Upcall {
            now_ns,
            port,
            frame,
            offload: offload.into(),
            late: false,
        };
        let result = self.judge(&upcall, effects);
        self.conclude(&upcall, result, effects)
    }

    /// Counts what became of a frame, and tells of it if it was dropped.
    fn conclude(
        &mut self,
        upcall: &Upcall<'_>,
        result: Result<Outcome, Refusal>,
        effects: &mut Effects,
    ) -> Outcome {
        let outcome = result.unwrap_or_else(|refusal| {
            effects.list.push(Effect::Dropped(DropRecord {
                at_ns: upcall.now_ns,
                port: upcall.port,
                interface: self.ports.interface(upcall.port),
                reason: refusal.reason,
                tuple: tuple_of(upcall),
                step: refusal.step,
                object: refusal.object,
                rule: refusal.rule,
            }));
            Outcome::Dropped(refusal.reason)
        });
        if upcall.late {
            self.stats.held -= 1;
        }
        match outcome {
            Outcome::Answered => self.stats.answered += 1,
            Outcome::Forwarded => self.stats.forwarded += 1,
            Outcome::Held => self.stats.held += 1,
            Outcome::Consumed => self.stats.consumed += 1,
            Outcome::Dropped(reason) => *self.stats.dropped.entry(reason).or_default() += 1,
        }
        outcome
    }

    /// Tells guests with IPv6 addresses of their router, each of them every ten minutes, `budget` at most in this call.
    /// Call it regularly: it goes on where it stopped.
    pub fn advertise(&mut self, now_ns: u64, budget: usize, effects: &mut Effects) {
        if now_ns < self.advertised.next_ns {
            return;
        }
        let after = self.advertised.last;
        let due: Vec<(u32, InterfaceId)> = self.ports.after(after).take(budget).collect();
        for (port, id) in &due {
            self.advertise_to(*port, *id, effects);
        }
        if due.len() < budget {
            self.advertised = Round {
                next_ns: now_ns.saturating_add(ADVERTISE_NS),
                last: None,
            };
        } else {
            self.advertised.last = due.last().map(|(port, _)| *port);
        }
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Every session, by identifier.
    pub fn sessions(&self) -> impl Iterator<Item = SessionView<'_>> {
        self.table.iter().map(|(id, entry)| SessionView {
            id,
            key: &entry.template.key,
            interface: entry.template.key.map(|key| self.ports.interface(key.port)),
            depends: &entry.template.depends,
        })
    }
}

/// How guests learn of their router.
impl Core {
    /// Guests whose interfaces have got their first IPv6 address hear of the router at once: they asked when it had no
    /// answer for them.
    fn welcome(&self, old: &Snapshot, changed: &BTreeSet<ObjectId>, effects: &mut Effects) {
        for object in changed {
            if let ObjectId::InterfaceId(id) = object
                && let Some(port) = self.ports.port(*id)
                && !old.interface(*id).is_some_and(has_ipv6)
            {
                self.advertise_to(port, *id, effects);
            }
        }
    }

    fn advertise_to(&self, port: u32, id: InterfaceId, effects: &mut Effects) {
        let Some(view) = self.snapshot.vpc_of(id) else {
            return;
        };
        if let Some(interface) = view.interface(id).filter(|found| has_ipv6(found)) {
            effects.list.push(Effect::Emit {
                output: Output::Deliver(port),
                frame: ndp::unsolicited(interface, view.subnet(interface.subnet)),
                as_received: false,
            });
        }
    }
}

/// How a frame is judged.
impl Core {
    fn judge(&mut self, upcall: &Upcall<'_>, effects: &mut Effects) -> Result<Outcome, Refusal> {
        let snapshot = Arc::clone(&self.snapshot);
        let interface = self.sender(upcall.port, &snapshot)?;
        let mut ip = Ip::default();
        let kind = admit(upcall.frame, interface, &mut ip)
            .map_err(|reason| Refusal::of(reason, interface))?;
        if kind == Ingress::Slow(UPCALL_ARP) {
            return self.arp(upcall, interface, effects);
        }
        if ip.fragment != FRAGMENT_NONE {
            return self.fragment(upcall, interface, &ip, effects);
        }
        let tuple = ip.key(upcall.port).tuple();
        if let Some(outcome) = self.discovery(upcall, interface, &ip, &tuple, effects)? {
            return Ok(outcome);
        }
        let icmp = icmp_kind(upcall.frame, &ip);
        if icmp.is_some_and(|(kind, _)| icmp::is_error(ip.protocol, kind)) {
            return self.icmp_error(upcall, interface, &ip, effects);
        }
        if kind == Ingress::LookUp
            && let Some(way) = self.way(&ip.key(upcall.port))
        {
            // The kernel had not seen the session yet, or could not do what it says.
            return self.run(upcall, interface, &ip, &way, effects);
        }
        self.open(upcall, interface, &ip, &Packet { tuple, icmp }, effects)
    }

    /// What the session of the packets with this key does with them.
    fn way(&self, key: &FlowKey) -> Option<Way> {
        let (_, entry, direction) = self.table.find(key)?;
        Some(Way {
            action: entry.template.action[direction],
            hops: entry.template.hops[direction].clone(),
            mtu: entry.template.mtu(),
        })
    }

    /// The network interface that sends; `None` for the uplink.
    fn sender<'a>(
        &self,
        port: u32,
        snapshot: &'a Snapshot,
    ) -> Result<Option<&'a Interface>, Refusal> {
        if self.ports.is_uplink(port) {
            return Ok(None);
        }
        let id = self.ports.interface(port);
        match id.and_then(|id| snapshot.interface(id)) {
            Some(interface) => Ok(Some(interface)),
            None => Err(Refusal {
                step: Some(Step::Source),
                object: id.map(ObjectId::from),
                ..Refusal::new(DropReason::NoInterface)
            }),
        }
    }

    fn arp(
        &self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let (answer, output) = match interface {
            Some(interface) => (
                arp::from_guest(upcall.frame, interface),
                Output::Deliver(upcall.port),
            ),
            None => (
                arp::from_host(upcall.frame, self.snapshot.uplink()),
                Output::Transmit(upcall.port),
            ),
        };
        let answer = answer.map_err(|reason| Refusal::of(reason, interface))?;
        Ok(reply(answer, output, effects))
    }

    /// DHCP, questions to the resolver, and what else looks for a server or a neighbour by a group address.
    fn discovery(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        tuple: &FlowTuple,
        effects: &mut Effects,
    ) -> Result<Option<Outcome>, Refusal> {
        if ip.v6
            && let Some(outcome) = self.discovery6(upcall, interface, tuple, effects)?
        {
            return Ok(Some(outcome));
        }
        let snapshot = Arc::clone(&self.snapshot);
        let view = interface.and_then(|interface| snapshot.vpc_of(interface.id));
        if let Some((interface, view)) = interface.zip(view)
            && dhcp::is_for_server(tuple, view.subnet(interface.subnet))
        {
            let answer = dhcp::answer(upcall.frame, interface, view)
                .map_err(|reason| Refusal::of(reason, Some(interface)))?;
            return Ok(Some(match answer {
                Some(frame) => {
                    effects.list.push(Effect::Emit {
                        output: Output::Deliver(upcall.port),
                        frame,
                        as_received: false,
                    });
                    Outcome::Answered
                }
                None => Outcome::Consumed,
            }));
        }
        if let Some((interface, view)) = interface.zip(view)
            && !ip.slow_only
            && resolver::is_for(tuple, view)
        {
            if !self.questions.admit(upcall.port, upcall.now_ns) {
                return Err(Refusal::of(DropReason::UpcallRate, Some(interface)));
            }
            let answer = resolver::answer(upcall.frame, interface, view, &snapshot)
                .map_err(|reason| Refusal::of(reason, Some(interface)))?;
            return Ok(Some(match answer {
                Some(frame) => {
                    effects.list.push(Effect::Emit {
                        output: Output::Deliver(upcall.port),
                        frame,
                        as_received: false,
                    });
                    Outcome::Answered
                }
                None => Outcome::Consumed,
            }));
        }
        let group = ip.group || parse::destination_mac(&parse::head_of(upcall.frame)).is_group();
        if !group {
            return Ok(None);
        }
        let has_v6 = interface.is_some_and(has_ipv6);
        let reason = if ip.v6 && !has_v6 {
            DropReason::Ipv6NotAssigned
        } else {
            DropReason::BroadcastOrMulticast
        };
        Err(Refusal::of(reason, interface))
    }

    /// Neighbour discovery and DHCPv6.
    fn discovery6(
        &self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        tuple: &FlowTuple,
        effects: &mut Effects,
    ) -> Result<Option<Outcome>, Refusal> {
        let kind = upcall.frame.get(parse::L4_IPV6).copied();
        let neighbor = tuple.protocol == proto::ICMPV6 && kind.is_some_and(ndp::is_discovery);
        let (answer, output) = match interface {
            Some(interface) if neighbor => {
                let view = self.snapshot.vpc_of(interface.id);
                let subnet = view.and_then(|view| view.subnet(interface.subnet));
                let answer = ndp::from_guest(upcall.frame, interface, subnet);
                (answer, Output::Deliver(upcall.port))
            }
            None if neighbor => (
                ndp::from_host(upcall.frame, self.snapshot.uplink()),
                Output::Transmit(upcall.port),
            ),
            Some(interface) if dhcp6::is_for_server(tuple) => {
                let view = self.snapshot.vpc_of(interface.id);
                let answer = dhcp6::answer(upcall.frame, interface, view);
                let answer = answer.map(|frame| frame.map_or(Answer::Silence, Answer::Reply));
                (answer, Output::Deliver(upcall.port))
            }
            Some(_) | None => return Ok(None),
        };
        let answer = answer.map_err(|reason| Refusal::of(reason, interface))?;
        Ok(Some(reply(answer, output, effects)))
    }

    fn icmp_error(
        &self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let tuple = ip.key(upcall.port).tuple();
        let refuse = |reason| Refusal::of(reason, interface);
        let spoofed =
            interface.is_some_and(|i| i.source_dest_check && !i.addresses.contains(&tuple.source));
        if spoofed {
            return Err(refuse(DropReason::SpoofedAddress));
        }
        let unrelated = || refuse(DropReason::UnrelatedIcmpError);
        let error = icmp::parse(upcall.frame).ok_or_else(unrelated)?;
        // What the quoted packet would be answered with is what this port sends in that session.
        let key = FlowKey::new(upcall.port, &error.quoted.reversed());
        let (_, entry, direction) = self.table.find(&key).ok_or_else(unrelated)?;
        let action = entry.template.action[direction];
        let sent = entry.template.key[1 - direction].tuple();
        let mut frame = icmp::translate(upcall.frame, &error, &action, &sent).map_err(refuse)?;
        if action.hops != 0 {
            // Nobody is told of an error that does not arrive (RFC 1812 section 4.3.2.7).
            if ip.ttl <= action.hops {
                return Err(refuse(DropReason::TtlExceeded));
            }
            let mut slice = SliceFrame::new(&mut frame, ChecksumState::Complete);
            pass_routers(&mut slice, ip, action.hops)
                .map_err(|_| refuse(DropReason::MalformedFrame))?;
        }
        let output = output_of(&action).map_err(refuse)?;
        effects.list.push(Effect::Emit {
            output,
            frame,
            as_received: false,
        });
        Ok(Outcome::Forwarded)
    }

    /// The packet opens a flow, if it may.
    fn open(
        &mut self,
        upcall: &Upcall<'_>,
        interface: Option<&Interface>,
        ip: &Ip,
        packet: &Packet,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let planned = plan(
            &self.snapshot,
            &self.ports,
            &self.table,
            upcall.port,
            packet,
            None,
            None,
        );
        let hops = match &planned {
            Ok(plan) => &plan.hops,
            Err(stopped) => &stopped.hops,
        };
        // A router that a packet does not get beyond stands before what would stop it later.
        if !hops.is_empty() && usize::from(ip.ttl) <= hops.len() {
            return Err(self.expired(upcall, interface, ip, hops, effects));
        }
        let plan = planned.map_err(|stopped| *stopped.dropped)?;
        let mut way = Way {
            action: plan.action,
            mtu: plan.action.mtu,
            hops: plan.hops.into(),
        };
        let ports = plan.ports;
        if let Some(template) = plan.session {
            // A connection that the NAT gateway has forgotten is not taken up in its middle.
            let is_forgotten = ip.protocol == proto::TCP && ip.tcp_flags & TCP_SYN == 0;
            if is_forgotten && template.translation.is_some() {
                return Ok(reset(upcall, effects));
            }
            way.action = template.action[0];
            way.mtu = template.mtu();
            let payer = self.payer(&template.key);
            if !self.table.is_distinct(&template) {
                return Err(Refusal::new(DropReason::FlowConflict));
            }
            if !self.shares.take(payer) {
                return Err(Refusal::new(DropReason::FlowTableFull));
            }
            let mut session = Session {
                key: template.key,
                action: template.action,
                created_ns: upcall.now_ns,
                ..Session::default()
            };
            Account::new(ip, 0, 1, upcall.now_ns).record(&mut session);
            let id = self.next_id;
            self.next_id += 1;
            let words = self.shares.of(payer);
            let offer = ports.zip(words).and_then(|(ports, words)| {
                let slot = self.templates.offer(&template, ports, words)?;
                self.templates.get(slot)
            });
            let offer = offer.map(|held| Effect::Template {
                key: held.key,
                template: Box::new(held.template),
            });
            self.table.insert(id, template, payer);
            self.stats.installed += 1;
            self.stats.sessions += 1;
            effects.list.push(Effect::Install {
                id,
                session: Box::new(session),
            });
            effects.list.extend(offer);
        }
        self.run(upcall, interface, ip, &way, effects)
    }
}

/// The kernel's own checks of a frame from this sender; `None` is the uplink.
fn admit(frame: &[u8], interface: Option<&Interface>, ip: &mut Ip) -> Result<Ingress, DropReason> {
    // Rates are the kernel's business; here they only have to be something.
    let port = match interface {
        Some(interface) => Port::guest(interface.mac, 1, 1),
        None => Port::uplink(1, 1),
    };
    ingress(&port, &parse::head_of(frame), frame.len(), false, ip)
}

/// A NAT gateway resets what it has forgotten (EC2 "NAT gateway basics"), toward who goes on with it.
fn reset(upcall: &Upcall<'_>, effects: &mut Effects) -> Outcome {
    let Some(frame) = reset::answer(upcall.frame) else {
        return Outcome::Consumed;
    };
    effects.list.push(Effect::Emit {
        output: Output::Deliver(upcall.port),
        frame,
        as_received: false,
    });
    Outcome::Answered
}

/// The router answers, or is silent.
fn reply(answer: Answer, output: Output, effects: &mut Effects) -> Outcome {
    match answer {
        Answer::Reply(frame) => {
            effects.list.push(Effect::Emit {
                output,
                frame,
                as_received: false,
            });
            Outcome::Answered
        }
        Answer::Silence => Outcome::Consumed,
    }
}

fn has_ipv6(interface: &Interface) -> bool {
    interface.addresses.iter().any(|address| address.is_ipv6())
}

fn output_of(action: &Action) -> Result<Output, DropReason> {
    match action.kind {
        ACTION_DELIVER => Ok(Output::Deliver(action.output)),
        ACTION_TRANSMIT => Ok(Output::Transmit(action.output)),
        _ => Err(DropReason::from_code(action.output).unwrap_or(DropReason::NoInterface)),
    }
}

/// Type and code of an ICMP packet. The parser has seen that they are there.
fn icmp_kind(frame: &[u8], ip: &Ip) -> Option<(u8, u8)> {
    let at = match (ip.protocol, ip.v6) {
        (proto::ICMP, false) => parse::L4_IPV4,
        (proto::ICMPV6, true) => parse::L4_IPV6,
        _ => return None,
    };
    frame.get(at).copied().zip(frame.get(at + 1).copied())
}

/// The tuple for a record, as far as the frame has one.
fn tuple_of(upcall: &Upcall<'_>) -> Option<FlowTuple> {
    match parse::parse_frame(upcall.frame) {
        Ok(parse::Parsed::Ip(ip)) => Some(ip.key(upcall.port).tuple()),
        Ok(parse::Parsed::NotIp { .. }) | Err(_) => None,
    }
}
