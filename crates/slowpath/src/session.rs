//! Sessions: how a decision becomes one, and the table of those that are installed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use fastpath_core::abi::{
    ACTION_DELIVER, ACTION_TRANSMIT, Action, CLAMP_MSS, FlowKey, REWRITE_DESTINATION,
    REWRITE_SOURCE, Session, address_bytes,
};
use topology::Snapshot;
use types::{AccountId, DropReason, FlowTuple, InterfaceId, Mac, ObjectId, PortRange, proto};
use walk::{
    Decision, Delivery, Dropped, Egress, End, FlowState, Hop, Origin, Packet, Recorder, Step,
    Tracking, Translation, tracking, walk,
};

use crate::UplinkPort;
use crate::ports::{NatPorts, Side};

/// Which network interface is behind which port.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    pub(crate) uplink: Option<UplinkPort>,
    interfaces: BTreeMap<u32, InterfaceId>,
    ports: BTreeMap<InterfaceId, u32>,
}

impl Ports {
    pub(crate) fn new(uplink: Option<UplinkPort>) -> Ports {
        Ports {
            uplink,
            ..Ports::default()
        }
    }

    pub(crate) fn attach(&mut self, port: u32, interface: InterfaceId) {
        self.interfaces.insert(port, interface);
        self.ports.insert(interface, port);
    }

    pub(crate) fn detach(&mut self, port: u32) {
        if let Some(interface) = self.interfaces.remove(&port) {
            self.ports.remove(&interface);
        }
    }

    pub(crate) fn interface(&self, port: u32) -> Option<InterfaceId> {
        self.interfaces.get(&port).copied()
    }

    pub(crate) fn port(&self, interface: InterfaceId) -> Option<u32> {
        self.ports.get(&interface).copied()
    }

    /// The guests' ports behind this one, in their order.
    pub(crate) fn after(&self, port: Option<u32>) -> impl Iterator<Item = (u32, InterfaceId)> {
        use std::ops::Bound;
        let from = port.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.interfaces.range((from, Bound::Unbounded));
        rest.map(|(port, interface)| (*port, *interface))
    }

    pub(crate) fn is_uplink(&self, port: u32) -> bool {
        self.uplink.is_some_and(|uplink| uplink.port == port)
    }

    /// Where packets from this port enter the network.
    pub(crate) fn origin(&self, port: u32) -> Option<Origin> {
        if self.is_uplink(port) {
            Some(Origin::Uplink)
        } else {
            self.interface(port).map(Origin::Interface)
        }
    }
}

/// A packet that is delivered, and the session for its flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// What to do with the packet.
    pub(crate) action: Action,
    /// The routers on its way.
    pub(crate) hops: Vec<Hop>,
    /// The flow's session.
    pub(crate) session: Option<Template>,
    /// The client's ports for which the session would be the same, if nothing but rules decided it.
    pub(crate) ports: Option<PortRange>,
}

/// A packet that is not delivered, and the routers that it passed until then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stopped {
    pub(crate) dropped: Box<Dropped>,
    pub(crate) hops: Vec<Hop>,
}

impl From<Dropped> for Stopped {
    fn from(dropped: Dropped) -> Stopped {
        Stopped {
            dropped: Box::new(dropped),
            hops: Vec::new(),
        }
    }
}

/// A session without its counters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Template {
    pub(crate) key: [FlowKey; 2],
    pub(crate) action: [Action; 2],
    /// The routers on the way of each direction.
    pub(crate) hops: [Box<[Hop]>; 2],
    /// How a NAT gateway translates it. The session holds the port outside.
    pub(crate) translation: Option<Translation>,
    /// Which ends' security groups remember it.
    pub(crate) tracking: Tracking,
    /// Every object that one of the two decisions looked at.
    pub(crate) depends: BTreeSet<ObjectId>,
}

impl Template {
    /// What the kernel program may repeat for these ports of the client.
    pub(crate) fn as_template(&self, ports: PortRange) -> fastpath_core::Template {
        let session = Session {
            key: self.key,
            action: self.action,
            mark: mark_of(self.tracking),
            ..Session::default()
        };
        fastpath_core::Template::of(&session, ports.first(), ports.last())
    }

    /// The port of a NAT gateway that it holds.
    fn nat_port(&self) -> Option<(Side, u16)> {
        let translation = self.translation?;
        let tuple = self.key[0].tuple();
        Some((side(&translation, &tuple), translation.outside.port))
    }

    /// The largest IP packet that both directions carry, in bytes. 0 is no bound.
    pub(crate) fn mtu(&self) -> u16 {
        narrower(self.action[0].mtu, self.action[1].mtu)
    }

    /// Whether the answers go elsewhere than where the packets come from: then it may rest on another session.
    pub(crate) fn is_asymmetric(&self) -> bool {
        self.action[1].output != self.key[0].port
    }
}

/// What a session that the kernel program makes says of its tracking, which is its template's.
fn mark_of(tracking: Tracking) -> u32 {
    u32::from(tracking.source) | u32::from(tracking.destination) << 1
}

/// The reverse of [`mark_of`].
pub(crate) fn tracking_of(mark: u32) -> Tracking {
    Tracking {
        source: mark & 1 != 0,
        destination: mark & 2 != 0,
    }
}

/// Decides about the first packet of a flow, and about its answers.
///
/// There is a session only if the answers are delivered too: a network ACL may forbid them. Without one, every packet
/// is decided by itself; a decision to drop is never kept, because an object that comes into being may overturn it.
/// Nor is there one for a packet that no answer belongs to (ICMP that is no echo request), or an echo request with
/// identifier zero.
///
/// A middlebox may send under the address of another interface, to which the answers then go directly. That interface's
/// rules do not look at them if it has opened the flow itself, towards the middlebox; else they decide.
///
/// `kept` is the translation that the flow already has: it goes on with its port. `tracked` is what its ends remember of a
/// flow that is under way.
pub(crate) fn plan(
    snapshot: &Snapshot,
    ports: &Ports,
    table: &Table,
    port: u32,
    packet: &Packet,
    kept: Option<Translation>,
    tracked: Option<Tracking>,
) -> Result<Plan, Stopped> {
    let origin = ports.origin(port).ok_or(Dropped {
        reason: DropReason::NoInterface,
        step: Step::Source,
        object: None,
        rule: None,
    })?;
    let mut recorder = Recorder::default();
    let mut back_recorder = Recorder::default();
    let state = tracked.map_or(FlowState::New, FlowState::UnderWay);
    let decided = decide(snapshot, origin, packet, state, &mut recorder);
    let hops = std::mem::take(&mut recorder.hops);
    let mut delivery = match decided {
        Ok(delivery) => delivery,
        Err(dropped) => {
            let dropped = Box::new(dropped);
            return Err(Stopped { dropped, hops });
        }
    };
    if let Some(translation) = &mut delivery.translation {
        let port = outside_port(table, translation, &packet.tuple, kept)?;
        translation.outside.port = port;
        delivery.tuple.source_port = port;
    }
    let translation = delivery.translation;
    let mut action = action(snapshot, ports, &packet.tuple, &delivery)?;
    let answer = answer(packet, &delivery).filter(|_| tells_requests_from_replies(packet));
    let Some(answer) = answer else {
        return Ok(Plan {
            action,
            hops,
            session: None,
            ports: None,
        });
    };
    let back = back_of(delivery.egress);
    let mut reply = |opener| {
        let flow = match translation {
            None => FlowState::Reply(opener),
            Some(translation) => FlowState::Translated(opener, translation),
        };
        back_recorder.hops.clear();
        decide(snapshot, back, &answer, flow, &mut back_recorder)
            .and_then(|delivery| self::action(snapshot, ports, &answer.tuple, &delivery))
    };
    let mut reverse = reply(origin);
    let own = match (&reverse, back) {
        (Err(dropped), Origin::Interface(back)) if dropped.step == Step::IngressSecurityGroup => {
            own_flow(snapshot, ports, table, back, &answer.tuple)
        }
        _ => None,
    };
    if let Some((opener, entry)) = own {
        reverse = reply(Origin::Interface(opener));
        recorder.depends.extend(&entry.template.depends);
    }
    recorder.depends.append(&mut back_recorder.depends);
    let ends = narrower(
        mtu_of(snapshot, origin),
        mtu_of(snapshot, back_of(delivery.egress)),
    );
    let session = reverse.ok().map(|mut reverse| {
        // What the ends can take themselves, TCP tells the other end by itself.
        let clamps = narrower(action.mtu, reverse.mtu) < ends;
        if clamps && packet.tuple.protocol == proto::TCP {
            action.flags |= CLAMP_MSS;
            reverse.flags |= CLAMP_MSS;
        }
        Template {
            key: [
                FlowKey::new(port, &packet.tuple),
                FlowKey::new(action.output, &answer.tuple),
            ],
            action: [action, reverse],
            hops: [hops.as_slice().into(), back_recorder.hops.into()],
            translation,
            tracking: tracked.unwrap_or_else(|| tracking(snapshot, origin, packet, &delivery)),
            depends: recorder.depends,
        }
    });
    let mut same = (recorder.source_ports).intersection(back_recorder.destination_ports);
    if packet.icmp.is_some() {
        // Requests with identifier zero open nothing.
        same = same.and_then(|ports| PortRange::new(ports.first().max(1), ports.last()));
    }
    let repeats = own.is_none()
        && session.as_ref().is_some_and(|session| {
            may_repeat(session, packet) && is_for_itself(snapshot, &delivery)
        });
    Ok(Plan {
        action,
        hops,
        session,
        ports: same.filter(|ports| repeats && ports.first() != ports.last()),
    })
}

/// Whether another session may be made from this one without looking at what else there is: no port of a gateway is
/// needed, the two ends are two ports, and the answers go back where the packets come from.
fn may_repeat(session: &Template, packet: &Packet) -> bool {
    let has_ports =
        packet.icmp.is_some() || matches!(packet.tuple.protocol, proto::TCP | proto::UDP);
    let [forward, back] = &session.key;
    has_ports
        && session.translation.is_none()
        // Every SYN comes up then.
        && session.action[0].flags & CLAMP_MSS == 0
        && forward.port != back.port
        && session.action[0].answer_key(forward) == *back
        && session.action[1].answer_key(back) == *forward
}

/// Whether the packet ends where it is delivered. What a middlebox gets, another session may rest on: those the core
/// must know one by one.
fn is_for_itself(snapshot: &Snapshot, delivery: &Delivery) -> bool {
    match delivery.egress {
        Egress::Uplink => true,
        Egress::Interface(id) => snapshot
            .interface(id)
            .is_some_and(|interface| interface.addresses.contains(&delivery.tuple.destination)),
    }
}

/// Where answers to what leaves here enter the network.
fn back_of(egress: Egress) -> Origin {
    match egress {
        Egress::Interface(id) => Origin::Interface(id),
        Egress::Uplink => Origin::Uplink,
    }
}

/// The largest IP packet that an end can take, in bytes; 0 is no bound.
fn mtu_of(snapshot: &Snapshot, end: Origin) -> u16 {
    match end {
        Origin::Interface(id) => snapshot.interface(id).map_or(0, |interface| interface.mtu),
        Origin::Uplink => 0,
    }
}

/// The lower of two bounds, of which 0 is none.
pub(crate) fn narrower(a: u16, b: u16) -> u16 {
    match (a, b) {
        (0, other) | (other, 0) => other,
        (a, b) => a.min(b),
    }
}

/// The gateway's address that a translated flow has, as its remote end sees it. A gateway translates sources only, so
/// the remote end is the one that the sender names.
pub(crate) fn side(translation: &Translation, sent: &FlowTuple) -> Side {
    Side {
        address: translation.outside.address,
        protocol: sent.protocol,
        remote: translation.remote(End {
            address: sent.destination,
            port: sent.destination_port,
        }),
    }
}

/// The port that a flow has outside of its NAT gateway: the one it already had, or a free one.
fn outside_port(
    table: &Table,
    translation: &Translation,
    sent: &FlowTuple,
    kept: Option<Translation>,
) -> Result<u16, Dropped> {
    let kept = kept.filter(|kept| {
        (kept.by, kept.outside.address) == (translation.by, translation.outside.address)
    });
    if let Some(kept) = kept {
        return Ok(kept.outside.port);
    }
    let free = table
        .nat
        .free(&side(translation, sent), translation.inside.port);
    free.ok_or(Dropped {
        reason: DropReason::PortsExhausted,
        step: Step::NatGateway,
        object: Some(translation.by.object()),
        rule: None,
    })
}

/// The interface of the VPC that the answers are addressed to, and the session in which it has opened this very flow.
fn own_flow<'a>(
    snapshot: &Snapshot,
    ports: &Ports,
    table: &'a Table,
    back: InterfaceId,
    answer: &FlowTuple,
) -> Option<(InterfaceId, &'a Entry)> {
    let receiver = snapshot.vpc_of(back)?.interface_at(answer.destination)?.id;
    let key = FlowKey::new(ports.port(receiver)?, &answer.reversed());
    let (_, entry, direction) = table.find(&key)?;
    (direction == 0).then_some((receiver, entry))
}

fn decide(
    snapshot: &Snapshot,
    origin: Origin,
    packet: &Packet,
    flow: FlowState,
    recorder: &mut Recorder,
) -> Result<Delivery, Dropped> {
    match walk(snapshot, origin, packet, flow, recorder) {
        Decision::Deliver(delivery) => Ok(delivery),
        Decision::Drop(dropped) => Err(dropped),
    }
}

/// The packet that answers this one, as the receiver sends it.
fn answer(packet: &Packet, delivery: &Delivery) -> Option<Packet> {
    let icmp = match packet.icmp {
        None => None,
        Some(icmp) => Some(echo_reply(packet.tuple.protocol, icmp)?),
    };
    Some(Packet {
        tuple: delivery.tuple.reversed(),
        icmp,
    })
}

fn echo_reply(protocol: u8, icmp: (u8, u8)) -> Option<(u8, u8)> {
    match (protocol, icmp) {
        (proto::ICMP, (8, 0)) => Some((0, 0)),
        (proto::ICMPV6, (128, 0)) => Some((129, 0)),
        _ => None,
    }
}

/// Whether the keys of a request and of a reply with this identifier are different: a key has the identifier as source
/// port in one case, as destination port in the other, and nothing else tells them apart.
fn tells_requests_from_replies(packet: &Packet) -> bool {
    packet.icmp.is_none() || packet.tuple.source_port != 0
}

/// The packet that opened a session with this key. Of ICMP, only echo requests open sessions.
pub(crate) fn opener(key: &FlowKey) -> Packet {
    let tuple = key.tuple();
    let icmp = match (tuple.protocol, tuple.source) {
        (proto::ICMP, IpAddr::V4(_)) => Some((8, 0)),
        (proto::ICMPV6, IpAddr::V6(_)) => Some((128, 0)),
        _ => None,
    };
    Packet { tuple, icmp }
}

/// What to do with packets of `tuple` so that they are delivered like this.
fn action(
    snapshot: &Snapshot,
    ports: &Ports,
    tuple: &FlowTuple,
    delivery: &Delivery,
) -> Result<Action, Dropped> {
    let undeliverable = |reason, object| Dropped {
        reason,
        step: Step::Destination,
        object,
        rule: None,
    };
    let (kind, output, mac) = match delivery.egress {
        Egress::Interface(id) => {
            let there = ports
                .port(id)
                .zip(snapshot.interface(id).map(|interface| interface.mac));
            let Some((port, mac)) = there else {
                return Err(undeliverable(DropReason::NotAttached, Some(id.into())));
            };
            (ACTION_DELIVER, port, mac)
        }
        Egress::Uplink => {
            let Some(uplink) = ports.uplink else {
                return Err(undeliverable(DropReason::UplinkClosed, None));
            };
            (ACTION_TRANSMIT, uplink.port, uplink.host_mac)
        }
    };
    let to = &delivery.tuple;
    let mut action = Action {
        kind,
        output,
        destination_mac: mac.0,
        source_mac: Mac::ROUTER.0,
        hops: delivery.hops,
        mtu: delivery.mtu,
        ..Action::default()
    };
    if (to.source, to.source_port) != (tuple.source, tuple.source_port) {
        action.flags |= REWRITE_SOURCE;
        action.source = address_bytes(to.source);
        action.source_port = to.source_port.to_be_bytes();
    }
    if (to.destination, to.destination_port) != (tuple.destination, tuple.destination_port) {
        action.flags |= REWRITE_DESTINATION;
        action.destination = address_bytes(to.destination);
        action.destination_port = to.destination_port.to_be_bytes();
    }
    Ok(action)
}

/// An installed session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) template: Template,
    pub(crate) payer: Payer,
}

/// Whose share a session takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Payer {
    /// The guest's port.
    pub(crate) port: u32,
    /// The account of its VPC; `None` if that is not known.
    pub(crate) account: Option<AccountId>,
}

/// The installed sessions, and the ways to find them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: BTreeMap<u64, Entry>,
    flows: HashMap<FlowKey, (u64, usize)>,
    dependents: BTreeMap<ObjectId, BTreeSet<u64>>,
    nat: NatPorts,
}

impl Table {
    pub(crate) fn get(&self, id: u64) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// The session of the packets with this key, and which of its directions they are.
    pub(crate) fn find(&self, key: &FlowKey) -> Option<(u64, &Entry, usize)> {
        let (id, direction) = *self.flows.get(key)?;
        Some((id, self.entries.get(&id)?, direction))
    }

    /// Whether the session's two directions can be told from each other and from every other session's.
    pub(crate) fn is_distinct(&self, template: &Template) -> bool {
        let [forward, reverse] = &template.key;
        let holds = template.nat_port();
        forward != reverse
            && !self.flows.contains_key(forward)
            && !self.flows.contains_key(reverse)
            && !holds.is_some_and(|(side, port)| self.nat.is_used(&side, port))
    }

    /// Whether a session holds this port of a NAT gateway.
    pub(crate) fn is_nat_port_used(&self, side: &Side, port: u16) -> bool {
        self.nat.is_used(side, port)
    }

    /// Every identifier, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied()
    }

    /// The sessions that depend on one of these objects.
    pub(crate) fn dependents(&self, objects: &BTreeSet<ObjectId>) -> BTreeSet<u64> {
        objects
            .iter()
            .filter_map(|object| self.dependents.get(object))
            .flatten()
            .copied()
            .collect()
    }

    /// The caller has seen that the template is distinct and the identifier unused.
    pub(crate) fn insert(&mut self, id: u64, template: Template, payer: Payer) {
        for (direction, key) in template.key.iter().enumerate() {
            self.flows.insert(*key, (id, direction));
        }
        self.depend(id, &template.depends);
        if let Some((side, port)) = template.nat_port() {
            self.nat.take(side, port);
        }
        self.entries.insert(id, Entry { template, payer });
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        for key in &entry.template.key {
            self.flows.remove(key);
        }
        self.forget(id, &entry.template.depends);
        if let Some((side, port)) = entry.template.nat_port() {
            self.nat.give_back(&side, port);
        }
        Some(entry)
    }

    /// Gives a session a new template with the same keys.
    pub(crate) fn replace(&mut self, id: u64, template: Template) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let depends = template.depends.clone();
        let new = template.nat_port();
        let old = std::mem::replace(&mut entry.template, template);
        let held = old.nat_port();
        self.forget(id, &old.depends);
        self.depend(id, &depends);
        if held != new {
            if let Some((side, port)) = held {
                self.nat.give_back(&side, port);
            }
            if let Some((side, port)) = new {
                self.nat.take(side, port);
            }
        }
    }

    fn depend(&mut self, id: u64, depends: &BTreeSet<ObjectId>) {
        for object in depends {
            self.dependents.entry(*object).or_default().insert(id);
        }
    }

    fn forget(&mut self, id: u64, depends: &BTreeSet<ObjectId>) {
        for object in depends {
            if let Some(ids) = self.dependents.get_mut(object) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.dependents.remove(object);
                }
            }
        }
    }
}
