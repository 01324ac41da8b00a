//! Which packets at all can get from here to there: the packet space cut into the finite classes that rules
//! distinguish, and one representative of each walked.
//!
//! Interfaces that no rule, route or block tells apart are one class, and one of them walks for all. Ports, ICMP
//! messages and outside addresses are cut as the walk goes: a walk says which objects it has consulted, their rules say
//! how far what was found holds, and the next representative is the first behind that. So an answer is exact, and costs
//! what the rules that matter say, not what could be sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use serde::Serialize;
use topology::{Interface, Peer, ProtocolMatch, Snapshot, Target};
use types::{Cidr, GroupId, InstanceId, InterfaceId, ObjectId, SubnetId, VpcId, proto};
use walk::{Egress, Line, Origin, Trace};

use crate::services::{Ranges, Service, Services};
use crate::{Query, Source, explain::round_trip};

/// Who sends or receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Whoever is behind the uplink.
    Internet,
    /// An interface.
    Interface(InterfaceId),
    /// The interfaces of an instance.
    Instance(InstanceId),
    /// The interfaces that have a security group.
    Group(GroupId),
    /// The interfaces of a subnet.
    Subnet(SubnetId),
    /// The interfaces of a VPC.
    Vpc(VpcId),
    /// Interfaces with an address in a block, and whoever outside has one.
    Block(Cidr),
    /// Every interface.
    Everybody,
}

/// An interface under one of its addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct End {
    /// The interface.
    pub interface: InterfaceId,
    /// The address: its own, or a public one that stands for it.
    pub address: IpAddr,
}

/// One side of a row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
pub struct Party {
    /// Interfaces.
    pub interfaces: Vec<End>,
    /// Blocks of addresses outside.
    pub outside: Vec<Cidr>,
}

/// From everyone on one side to everyone (else) on the other, these packets arrive and are answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Who sends.
    pub from: Party,
    /// Who receives.
    pub to: Party,
    /// Which packets.
    pub services: Services,
}

impl Serialize for Row {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'r> {
            from: &'r Party,
            to: &'r Party,
            services: Vec<Service>,
        }
        let (from, to) = (&self.from, &self.to);
        let services = self.services.list();
        Shown { from, to, services }.serialize(serializer)
    }
}

/// What can be reached, and what that took.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reach {
    /// The rows, by receiver and sender. Together they are everything; what is in none is closed.
    pub rows: Vec<Row>,
    /// How many packets were walked.
    pub walks: u64,
    /// The protocols that rules name, each by itself; `other` in a row is every other one.
    pub named: Vec<u8>,
}

/// What a change opens and closes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Difference {
    /// What gets through after the change and did not before.
    pub gained: Vec<Row>,
    /// What got through before and does not after.
    pub lost: Vec<Row>,
    /// How many packets were walked.
    pub walks: u64,
}

/// A question that would take too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the question takes more than {0} walks; ask about fewer interfaces")]
pub struct TooLarge(pub u64);

/// Which packets, from the ephemeral port [`Query::EPHEMERAL`] where they have ports, get from one place to another
/// and are answered.
///
/// # Errors
/// If it takes more than `most` walks.
pub fn reach(
    snapshot: &Snapshot,
    from: &[Place],
    to: &[Place],
    most: u64,
) -> Result<Reach, TooLarge> {
    let mut engine = Engine::new(vec![snapshot], most);
    let found = engine.between(from, to)?;
    let rows = rows(found, |services| services.first().cloned());
    Ok(Reach {
        rows,
        walks: engine.walks,
        named: engine.named.iter().copied().collect(),
    })
}

/// What gets through in one of two networks and not in the other, from these places to those.
///
/// # Errors
/// If it takes more than `most` walks.
pub fn difference(
    before: &Snapshot,
    after: &Snapshot,
    from: &[Place],
    to: &[Place],
    most: u64,
) -> Result<Difference, TooLarge> {
    let mut engine = Engine::new(vec![before, after], most);
    let found = engine.between(from, to)?;
    let part = |from: usize, other: usize| {
        move |services: &[Services]| Some(services.get(from)?.without(services.get(other)?))
    };
    Ok(Difference {
        gained: rows(found.clone(), part(1, 0)),
        lost: rows(found, part(0, 1)),
        walks: engine.walks,
    })
}

/// What was found between two parties, in each network.
type Found = Vec<(Party, Party, Vec<Services>)>;

/// Blocks of addresses outside, and what gets through from or to them in each network.
type Swept = Vec<(Vec<Cidr>, Vec<Services>)>;

/// Rows for what a part of what was found says; those that say the same of the same sender become one.
fn rows(found: Found, part: impl Fn(&[Services]) -> Option<Services>) -> Vec<Row> {
    let mut senders: BTreeMap<(Party, Services), Party> = BTreeMap::new();
    for (from, to, services) in found {
        let Some(services) = part(&services).filter(|services| !services.is_empty()) else {
            continue;
        };
        let all = senders.entry((to, services)).or_default();
        all.interfaces.extend(from.interfaces);
        all.outside.extend(from.outside);
    }
    let mut receivers: BTreeMap<(Party, Services), Party> = BTreeMap::new();
    for ((to, services), mut from) in senders {
        from.interfaces.sort_unstable();
        from.outside.sort_unstable();
        let all = receivers.entry((from, services)).or_default();
        all.interfaces.extend(to.interfaces);
        all.outside.extend(to.outside);
    }
    let mut rows: Vec<Row> = receivers
        .into_iter()
        .map(|((from, services), mut to)| {
            to.interfaces.sort_unstable();
            to.outside.sort_unstable();
            Row { from, to, services }
        })
        .collect();
    rows.sort_by(|a, b| (&a.to, &a.from, &a.services).cmp(&(&b.to, &b.from, &b.services)));
    rows
}

/// Everything about an end that a walk can look at, but for what is its alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    vpc: VpcId,
    subnet: SubnetId,
    groups: Vec<GroupId>,
    check: bool,
    attached: bool,
    /// The place of the address, and of the public one that stands for it, between the bounds of all blocks.
    atoms: (usize, Option<usize>),
    v4: bool,
    /// Whether the address is the interface's own.
    own: bool,
    /// Itself, if a route or a NAT gateway names it.
    named: Option<InterfaceId>,
}

/// Ends that nothing tells apart.
struct Class {
    ends: Vec<End>,
}

/// What an object distinguishes.
#[derive(Default)]
struct Cuts {
    /// First selectors of a protocol that it may treat otherwise than those before.
    selectors: Vec<(u8, u32)>,
    /// First addresses likewise.
    v4: Vec<u128>,
    v6: Vec<u128>,
}

impl Cuts {
    fn block(&mut self, block: Cidr) {
        let (first, last) = bounds(block);
        let list = if block.is_v4() {
            &mut self.v4
        } else {
            &mut self.v6
        };
        list.push(first);
        list.extend(last.checked_add(1));
    }

    fn protocol(&mut self, protocol: ProtocolMatch) {
        match protocol {
            ProtocolMatch::Any | ProtocolMatch::Number(_) => {}
            ProtocolMatch::Ports(number, ports) => {
                self.selectors.push((number, ports.first().into()));
                self.selectors.push((number, u32::from(ports.last()) + 1));
            }
            ProtocolMatch::Icmp(number, wanted) => {
                let (first, last) = match wanted.code {
                    Some(code) => (u32::from(code), u32::from(code) + 1),
                    None => (0, 256),
                };
                let kinds = match wanted.kind {
                    Some(kind) => u32::from(kind)..u32::from(kind) + 1,
                    None => 0..256,
                };
                for kind in kinds {
                    self.selectors.push((number, kind * 256 + first));
                    self.selectors.push((number, kind * 256 + last));
                }
            }
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

fn address(number: u128, v4: bool) -> IpAddr {
    if v4 {
        IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)))
    } else {
        IpAddr::V6(Ipv6Addr::from(number))
    }
}

fn bounds(block: Cidr) -> (u128, u128) {
    (number(block.network()), number(block.last()))
}

/// The fewest blocks that are together the addresses from one to another.
fn blocks(first: u128, last: u128, v4: bool) -> Vec<Cidr> {
    let width: u32 = if v4 { 32 } else { 128 };
    let (mut blocks, mut at) = (Vec::new(), first);
    loop {
        let mut bits = at.trailing_zeros().min(width);
        // The largest block that begins here and does not go too far.
        let end = loop {
            let end = if bits == 128 {
                u128::MAX
            } else {
                at + ((1_u128 << bits) - 1)
            };
            if end <= last || bits == 0 {
                break end;
            }
            bits -= 1;
        };
        let length = u8::try_from(width - bits).unwrap_or(0);
        blocks.extend(Cidr::containing(address(at, v4), length));
        if end >= last {
            return blocks;
        }
        at = end + 1;
    }
}

/// Hears which objects a walk consults.
#[derive(Default)]
struct Consulted {
    objects: Vec<ObjectId>,
    fresh: usize,
}

impl Trace for Consulted {
    fn line(&mut self, _: Line) {}

    fn depends_on(&mut self, object: ObjectId) {
        if !self.objects.contains(&object) {
            self.objects.push(object);
        }
    }
}

/// The cuts of everything that the walks between two ends have consulted so far.
#[derive(Default)]
struct Seen {
    consulted: Consulted,
    selectors: BTreeMap<u8, BTreeSet<u32>>,
    v4: BTreeSet<u128>,
    v6: BTreeSet<u128>,
}

struct Engine<'a> {
    snapshots: Vec<&'a Snapshot>,
    /// Bounds of all blocks of all networks, IPv4 and IPv6.
    atoms: [Vec<u128>; 2],
    named: BTreeSet<u8>,
    /// Interfaces that a route or a NAT gateway names.
    mentioned: BTreeSet<InterfaceId>,
    cuts: HashMap<ObjectId, Rc<Cuts>>,
    walks: u64,
    most: u64,
}

/// What a packet must do to count: leave by an interface, or by the uplink.
#[derive(Clone, Copy)]
struct Trip {
    from: Origin,
    to: Egress,
}

impl<'a> Engine<'a> {
    fn new(snapshots: Vec<&'a Snapshot>, most: u64) -> Engine<'a> {
        let mut cuts = Cuts::default();
        let mut named = BTreeSet::from([proto::ICMP, proto::TCP, proto::UDP, proto::ICMPV6]);
        let mut mentioned = BTreeSet::new();
        let name = |protocol: ProtocolMatch| match protocol {
            ProtocolMatch::Any => None,
            ProtocolMatch::Ports(number, _)
            | ProtocolMatch::Icmp(number, _)
            | ProtocolMatch::Number(number) => Some(number),
        };
        for snapshot in &snapshots {
            for (_, view) in snapshot.vpcs() {
                for rule in view
                    .groups()
                    .flat_map(|g| g.ingress.iter().chain(&g.egress))
                {
                    named.extend(name(rule.protocol));
                    if let Peer::Cidr(block) = rule.peer {
                        cuts.block(block);
                    }
                }
                for entry in view.acls().flat_map(|a| a.ingress.iter().chain(&a.egress)) {
                    named.extend(name(entry.protocol));
                    cuts.block(entry.cidr);
                }
                for route in view.route_tables().flat_map(|table| &table.routes) {
                    cuts.block(route.destination);
                    if let Target::Interface(id) = route.target {
                        mentioned.insert(id);
                    }
                }
                view.subnets().for_each(|subnet| cuts.block(subnet.cidr));
                let own = view.vpc.iter().flat_map(|vpc| &vpc.cidrs);
                own.for_each(|block| cuts.block(*block));
                mentioned.extend(view.nat_gateways().map(|gateway| gateway.interface));
            }
            for route in snapshot.transit_tables().flat_map(|table| &table.routes) {
                cuts.block(route.destination);
            }
        }
        let sorted = |mut list: Vec<u128>| {
            list.sort_unstable();
            list.dedup();
            list
        };
        Engine {
            snapshots,
            atoms: [sorted(cuts.v4), sorted(cuts.v6)],
            named,
            mentioned,
            cuts: HashMap::new(),
            walks: 0,
            most,
        }
    }

    fn between(&mut self, from: &[Place], to: &[Place]) -> Result<Found, TooLarge> {
        let senders = self.classes(&self.ends(from, false));
        let receivers = self.classes(&self.ends(to, true));
        let mut found = Found::new();
        for receiver in &receivers {
            for sender in &senders {
                if let Some(services) = self.pair(sender, receiver)? {
                    let (from, to) = (party(sender), party(receiver));
                    found.push((from, to, services));
                }
            }
            for (first, last, v4) in outside(from) {
                let Some(end) = receiver
                    .ends
                    .first()
                    .filter(|end| end.address.is_ipv4() == v4)
                else {
                    continue;
                };
                let trip = Trip {
                    from: Origin::Uplink,
                    to: Egress::Interface(end.interface),
                };
                let at = end.address;
                for (blocks, services) in self.sweep(trip, (first, last, v4), |from| (from, at))? {
                    found.push((beyond(blocks), party(receiver), services));
                }
            }
        }
        for sender in &senders {
            for (first, last, v4) in outside(to) {
                let Some(end) = sender
                    .ends
                    .first()
                    .filter(|end| end.address.is_ipv4() == v4)
                else {
                    continue;
                };
                let trip = Trip {
                    from: Origin::Interface(end.interface),
                    to: Egress::Uplink,
                };
                let at = end.address;
                for (blocks, services) in self.sweep(trip, (first, last, v4), |to| (at, to))? {
                    found.push((party(sender), beyond(blocks), services));
                }
            }
        }
        Ok(found)
    }

    /// The interfaces of places, in any of the networks, each under each of its addresses; under its public ones
    /// only to receive.
    fn ends(&self, places: &[Place], receives: bool) -> BTreeSet<End> {
        let mut ends = BTreeSet::new();
        for snapshot in &self.snapshots {
            for interface in snapshot.vpcs().flat_map(|(_, view)| view.interfaces()) {
                for private in &interface.addresses {
                    let public = snapshot.public_of(interface.id, *private);
                    let public = public.map(|public| public.public).filter(|_| receives);
                    for address in std::iter::once(*private).chain(public) {
                        if places.iter().any(|place| place.has(interface, address)) {
                            ends.insert(End {
                                interface: interface.id,
                                address,
                            });
                        }
                    }
                }
            }
        }
        ends
    }

    fn classes(&self, ends: &BTreeSet<End>) -> Vec<Class> {
        let mut classes: BTreeMap<Vec<Option<Key>>, Vec<End>> = BTreeMap::new();
        for end in ends {
            let keys = self
                .snapshots
                .iter()
                .map(|snapshot| self.key(snapshot, *end));
            classes.entry(keys.collect()).or_default().push(*end);
        }
        classes.into_values().map(|ends| Class { ends }).collect()
    }

    fn key(&self, snapshot: &Snapshot, end: End) -> Option<Key> {
        let interface = snapshot.interface(end.interface)?;
        let mut groups = interface.groups.clone();
        groups.sort_unstable();
        let atom = |address: IpAddr| {
            let [v4, v6] = &self.atoms;
            let list = if address.is_ipv4() { v4 } else { v6 };
            list.partition_point(|cut| *cut <= number(address))
        };
        let public = snapshot.public_of(end.interface, end.address);
        let other = snapshot.public_address(end.address);
        let own = interface.addresses.contains(&end.address);
        // A public address is one only as long as it leads to this interface.
        let leads = other.filter(|other| other.interface == end.interface);
        if !own && leads.is_none() {
            return None;
        }
        let other = public
            .map(|address| address.public)
            .or(leads.map(|address| address.private));
        Some(Key {
            vpc: interface.vpc,
            subnet: interface.subnet,
            groups,
            check: interface.source_dest_check,
            attached: interface.instance.is_some(),
            atoms: (atom(end.address), other.map(atom)),
            v4: end.address.is_ipv4(),
            own,
            named: self
                .mentioned
                .contains(&end.interface)
                .then_some(end.interface),
        })
    }

    /// What gets from one of these to another one of those.
    fn pair(&mut self, from: &Class, to: &Class) -> Result<Option<Vec<Services>>, TooLarge> {
        let different = from.ends.iter().take(2).flat_map(|a| {
            let other = to
                .ends
                .iter()
                .find(|b| b.interface != a.interface && a.address.is_ipv4() == b.address.is_ipv4());
            other.map(|b| (*a, *b))
        });
        let Some((a, b)) = different.into_iter().next() else {
            return Ok(None);
        };
        let trip = Trip {
            from: Origin::Interface(a.interface),
            to: Egress::Interface(b.interface),
        };
        let mut seen = Seen::default();
        let services = self.services(trip, a.address, b.address, &mut seen)?;
        Ok(services.iter().any(|s| !s.is_empty()).then_some(services))
    }

    /// What gets through, by address outside: ranges of addresses with the same answer, as blocks.
    fn sweep(
        &mut self,
        trip: Trip,
        (first, last, v4): (u128, u128, bool),
        ends: impl Fn(IpAddr) -> (IpAddr, IpAddr),
    ) -> Result<Swept, TooLarge> {
        let mut seen = Seen::default();
        self.special(&mut seen);
        let mut found: Vec<(u128, u128, Vec<Services>)> = Vec::new();
        let mut at = first;
        loop {
            let (from, to) = ends(address(at, v4));
            let services = self.services(trip, from, to, &mut seen)?;
            let cuts = if v4 { &seen.v4 } else { &seen.v6 };
            let behind = at
                .checked_add(1)
                .and_then(|next| cuts.range(next..).next().copied());
            let upto = behind.map_or(last, |behind| last.min(behind - 1));
            match found.last_mut() {
                Some(before) if before.2 == services => before.1 = upto,
                Some(_) | None => found.push((at, upto, services)),
            }
            if upto >= last {
                break;
            }
            at = upto + 1;
        }
        let mut by_answer: BTreeMap<Vec<Services>, Vec<Cidr>> = BTreeMap::new();
        for (from, upto, services) in found {
            if services.iter().any(|services| !services.is_empty()) {
                by_answer
                    .entry(services)
                    .or_default()
                    .extend(blocks(from, upto, v4));
            }
        }
        Ok(by_answer
            .into_iter()
            .map(|(services, blocks)| (blocks, services))
            .collect())
    }

    /// Addresses that the walk itself treats otherwise: those of no host, link-local ones, and the pool.
    fn special(&self, seen: &mut Seen) {
        let mut cuts = Cuts::default();
        for block in [
            "0.0.0.0/32",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "224.0.0.0/4",
            "255.255.255.255/32",
            "::/128",
            "::1/128",
            "::ffff:0:0/96",
            "fe80::/10",
            "ff00::/8",
        ] {
            if let Ok(block) = block.parse() {
                cuts.block(block);
            }
        }
        for uplink in self
            .snapshots
            .iter()
            .filter_map(|snapshot| snapshot.uplink())
        {
            cuts.block(uplink.pool);
            cuts.block(Cidr::host(uplink.host));
            cuts.block(Cidr::host(uplink.pool.last()));
        }
        seen.v4.extend(cuts.v4);
        seen.v6.extend(cuts.v6);
    }

    /// What gets from one address to another, in each network.
    fn services(
        &mut self,
        trip: Trip,
        from: IpAddr,
        to: IpAddr,
        seen: &mut Seen,
    ) -> Result<Vec<Services>, TooLarge> {
        let mut all = vec![Services::default(); self.snapshots.len()];
        let other = (0..=u8::MAX)
            .rev()
            .find(|number| !self.named.contains(number));
        let protocols: Vec<(Option<u8>, u8)> = self
            .named
            .iter()
            .map(|number| (Some(*number), *number))
            .chain(other.map(|number| (None, number)))
            .collect();
        for (key, protocol) in protocols {
            let found = self.selectors(trip, from, to, protocol, seen)?;
            for (services, ranges) in all.iter_mut().zip(found) {
                if !ranges.is_empty() {
                    services.0.insert(key, ranges);
                }
            }
        }
        Ok(all)
    }

    fn selectors(
        &mut self,
        trip: Trip,
        from: IpAddr,
        to: IpAddr,
        protocol: u8,
        seen: &mut Seen,
    ) -> Result<Vec<Ranges>, TooLarge> {
        let mut all = vec![Ranges::default(); self.snapshots.len()];
        let has_selectors = matches!(
            protocol,
            proto::TCP | proto::UDP | proto::ICMP | proto::ICMPV6
        );
        // Echo requests are answered and translated, other messages are not.
        let cuts = seen.selectors.entry(protocol).or_default();
        match protocol {
            proto::ICMP => cuts.extend([0x800, 0x801, 0x900]),
            proto::ICMPV6 => cuts.extend([0x8000, 0x8001, 0x8100]),
            _ => {}
        }
        let mut at: u16 = 0;
        loop {
            let query = Query {
                icmp: Some(at.to_be_bytes().into()),
                ..Query::new(Source::Outside(from), to, protocol, at)
            };
            let packet = query.packet(from);
            let mut open = Vec::with_capacity(self.snapshots.len());
            for snapshot in &self.snapshots {
                self.walks += 1;
                let egress = round_trip(snapshot, trip.from, &packet, &mut seen.consulted);
                open.push(egress == Some(trip.to));
            }
            if self.walks > self.most {
                return Err(TooLarge(self.most));
            }
            self.learn(seen);
            let behind = u32::from(at) + 1;
            let next = if has_selectors {
                let cuts = seen.selectors.get(&protocol);
                cuts.and_then(|cuts| cuts.range(behind..).next().copied())
            } else {
                None
            };
            let next = next.and_then(|next| u16::try_from(next).ok());
            let last = next.map_or(u16::MAX, |next| next - 1);
            for (ranges, _) in all.iter_mut().zip(open).filter(|(_, open)| *open) {
                ranges.push(at, last);
            }
            match next {
                Some(next) => at = next,
                None => return Ok(all),
            }
        }
    }

    /// Takes in the cuts of the objects that were consulted for the first time.
    fn learn(&mut self, seen: &mut Seen) {
        while let Some(id) = seen.consulted.objects.get(seen.consulted.fresh).copied() {
            seen.consulted.fresh += 1;
            let cuts = match self.cuts.get(&id) {
                Some(cuts) => Rc::clone(cuts),
                None => {
                    let cuts = Rc::new(self.cuts_of(id));
                    self.cuts.insert(id, Rc::clone(&cuts));
                    cuts
                }
            };
            for (protocol, cut) in &cuts.selectors {
                seen.selectors.entry(*protocol).or_default().insert(*cut);
            }
            seen.v4.extend(&cuts.v4);
            seen.v6.extend(&cuts.v6);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other kinds have neither rules nor blocks"
    )]
    fn cuts_of(&self, id: ObjectId) -> Cuts {
        let mut cuts = Cuts::default();
        for snapshot in &self.snapshots {
            if let ObjectId::TransitGatewayRouteTableId(id) = id {
                let routes = snapshot
                    .transit_table(id)
                    .into_iter()
                    .flat_map(|table| &table.routes);
                routes.for_each(|route| cuts.block(route.destination));
            }
            let Some(view) = snapshot.home(id) else {
                continue;
            };
            match id {
                ObjectId::GroupId(id) => {
                    let group = view.group(id).into_iter();
                    for rule in group.flat_map(|g| g.ingress.iter().chain(&g.egress)) {
                        cuts.protocol(rule.protocol);
                        if let Peer::Cidr(block) = rule.peer {
                            cuts.block(block);
                        }
                    }
                }
                ObjectId::AclId(id) => {
                    let acl = view.acl(id).into_iter();
                    for entry in acl.flat_map(|a| a.ingress.iter().chain(&a.egress)) {
                        cuts.protocol(entry.protocol);
                        cuts.block(entry.cidr);
                    }
                }
                ObjectId::RouteTableId(id) => {
                    let routes = view
                        .route_table(id)
                        .into_iter()
                        .flat_map(|table| &table.routes);
                    routes.for_each(|route| cuts.block(route.destination));
                }
                ObjectId::SubnetId(id) => {
                    if let Some(subnet) = view.subnet(id) {
                        cuts.block(subnet.cidr);
                        cuts.block(Cidr::host(subnet.cidr.last()));
                        (0..4)
                            .filter_map(|n| subnet.cidr.nth(n))
                            .for_each(|a| cuts.block(Cidr::host(a)));
                    }
                }
                ObjectId::VpcId(_) => {
                    let own = view.vpc.iter().flat_map(|vpc| &vpc.cidrs);
                    own.for_each(|block| cuts.block(*block));
                }
                _ => {}
            }
        }
        cuts
    }
}

impl Place {
    fn has(&self, interface: &Interface, address: IpAddr) -> bool {
        match self {
            Place::Internet => false,
            Place::Interface(id) => interface.id == *id,
            Place::Instance(id) => interface.instance == Some(*id),
            Place::Group(id) => interface.groups.contains(id),
            Place::Subnet(id) => interface.subnet == *id,
            Place::Vpc(id) => interface.vpc == *id,
            Place::Block(block) => block.contains(address),
            Place::Everybody => true,
        }
    }
}

/// The ranges of addresses outside that places mean.
fn outside(places: &[Place]) -> Vec<(u128, u128, bool)> {
    let ranges = places.iter().flat_map(|place| match place {
        Place::Internet => vec![(0, u128::from(u32::MAX), true), (0, u128::MAX, false)],
        Place::Block(block) => {
            let (first, last) = bounds(*block);
            vec![(first, last, block.is_v4())]
        }
        Place::Interface(_)
        | Place::Instance(_)
        | Place::Group(_)
        | Place::Subnet(_)
        | Place::Vpc(_)
        | Place::Everybody => Vec::new(),
    });
    ranges.collect()
}

fn party(class: &Class) -> Party {
    Party {
        interfaces: class.ends.clone(),
        outside: Vec::new(),
    }
}

fn beyond(outside: Vec<Cidr>) -> Party {
    Party {
        interfaces: Vec::new(),
        outside,
    }
}
