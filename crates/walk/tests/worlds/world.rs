//! Random networks: two VPCs with the same block behind one uplink, small enough that things meet.

use std::net::{IpAddr, Ipv4Addr};

use topology::{
    AclEntry, Change, IcmpMatch, Interface, NetworkAcl, Object, Peer, ProtocolMatch, PublicAddress,
    Route, RouteTable, Rule, SecurityGroup, Snapshot, Subnet, Target, Uplink, Vpc,
};
use types::{
    AccountId, AclId, AllocationId, Cidr, FlowTuple, GatewayId, GroupId, GroupRuleId, InstanceId,
    InterfaceId, Mac, PortRange, RouteTableId, SubnetId, Vni, VpcId, proto,
};
use walk::{FlowState, Origin, Packet};

/// SplitMix64 (Steele, Lea, Flood 2014): every choice follows from the seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 8).unwrap() % bound
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) uplink: Option<Uplink>,
    pub(crate) objects: Vec<Object>,
    serial: u128,
}

const VPCS: u128 = 2;
const EACH: u128 = 3;
const BLOCKS: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/16",
    "10.0.0.0/28",
    "10.0.1.0/28",
    "10.0.2.4/32",
    "203.0.113.0/28",
    "203.0.113.1/32",
    "198.51.100.0/24",
    "198.51.100.7/32",
];

fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    Ipv4Addr::new(a, b, c, d).into()
}

fn small(number: u128) -> u8 {
    u8::try_from(number).unwrap()
}

/// Objects of a kind are numbered through: `EACH` of the first VPC, then `EACH` of the second.
fn number(dice: &mut Dice, vpc: u128) -> u128 {
    let foreign = dice.percent(2);
    let vpc = if foreign { 1 - vpc } else { vpc };
    // Now and then one that does not exist.
    let of = if dice.percent(2) { 50 } else { 0 };
    of + vpc * EACH + u128::try_from(dice.below(3)).unwrap()
}

fn block(dice: &mut Dice) -> Cidr {
    dice.pick(&BLOCKS).parse().unwrap()
}

fn protocol(dice: &mut Dice) -> ProtocolMatch {
    let icmp = |kind, code| ProtocolMatch::Icmp(proto::ICMP, IcmpMatch { kind, code });
    match dice.below(12) {
        0 => ProtocolMatch::Ports(proto::TCP, PortRange::new(80, 80).unwrap()),
        1 => ProtocolMatch::Ports(proto::TCP, PortRange::new(1024, 65535).unwrap()),
        2 => ProtocolMatch::Ports(proto::UDP, PortRange::new(50, 80).unwrap()),
        3 => icmp(None, None),
        4 => icmp(Some(8), None),
        5 => icmp(Some(3), Some(4)),
        6 => ProtocolMatch::Number(47),
        _ => ProtocolMatch::Any,
    }
}

fn target(dice: &mut Dice, vpc: u128) -> Target {
    match dice.below(10) {
        0 => Target::Blackhole,
        1 => Target::Local,
        2..4 => Target::Interface(InterfaceId::from_bits(number(dice, vpc) * 2)),
        _ => Target::InternetGateway(GatewayId::from_bits(if dice.percent(5) { 77 } else { vpc })),
    }
}

fn routes(dice: &mut Dice, vpc: u128) -> Vec<Route> {
    let mut routes = vec![Route {
        destination: "10.0.0.0/16".parse().unwrap(),
        target: Target::Local,
    }];
    if dice.percent(80) {
        routes.push(Route {
            destination: Cidr::ALL_V4,
            target: target(dice, vpc),
        });
    }
    // One route per destination, as in a real table.
    for _ in 0..dice.below(3) {
        let destination = block(dice);
        if routes.iter().all(|route| route.destination != destination) {
            let target = target(dice, vpc);
            routes.push(Route {
                destination,
                target,
            });
        }
    }
    routes
}

fn entries(dice: &mut Dice) -> Vec<AclEntry> {
    let mut entries = Vec::new();
    for place in 0..u16::try_from(dice.below(3)).unwrap() {
        entries.push(AclEntry {
            number: 10 + place,
            allow: dice.percent(50),
            protocol: protocol(dice),
            cidr: block(dice),
        });
    }
    if dice.percent(90) {
        entries.push(AclEntry {
            number: 100,
            allow: true,
            protocol: ProtocolMatch::Any,
            cidr: Cidr::ALL_V4,
        });
    }
    entries
}

impl World {
    pub(crate) fn random(dice: &mut Dice) -> World {
        let mut world = World {
            uplink: dice.percent(95).then(|| Uplink {
                pool: "203.0.113.0/28".parse().unwrap(),
                host: ip(203, 0, 113, 1),
                internet: dice.percent(50),
            }),
            objects: Vec::new(),
            serial: 1000,
        };
        for vpc in 0..VPCS {
            world.vpc(dice, vpc);
            for index in vpc * EACH..(vpc + 1) * EACH {
                world.group(dice, GroupId::from_bits(index), vpc);
                world.acl(dice, AclId::from_bits(index), vpc);
                world.table(dice, RouteTableId::from_bits(index), vpc);
                world.subnet(dice, index, vpc);
            }
            for index in 0..EACH * 2 {
                let id = InterfaceId::from_bits(vpc * EACH * 2 + index);
                world.new_interface(dice, id, vpc);
            }
        }
        for number in 2..6 + u128::try_from(dice.below(8)).unwrap() {
            world.elastic(dice, AllocationId::from_bits(number), small(number));
        }
        world
    }

    fn put(&mut self, object: Object) -> Change {
        self.objects.retain(|old| old.id() != object.id());
        self.objects.push(object.clone());
        Change::Put(object)
    }

    fn vpc(&mut self, dice: &mut Dice, vpc: u128) -> Change {
        self.put(Object::Vpc(Vpc {
            id: VpcId::from_bits(vpc),
            account: AccountId::DEFAULT,
            vni: Vni::new(u32::from(small(vpc)) + 1).unwrap(),
            cidrs: vec!["10.0.0.0/16".parse().unwrap()],
            internet_gateway: dice.percent(90).then(|| GatewayId::from_bits(vpc)),
            dhcp: topology::DhcpOptions::default(),
        }))
    }

    fn rules(&mut self, dice: &mut Dice, vpc: u128) -> Vec<Rule> {
        (0..dice.below(4))
            .map(|_| {
                self.serial += 1;
                let peer = if dice.percent(40) {
                    Peer::Group(GroupId::from_bits(number(dice, vpc)))
                } else if dice.percent(50) {
                    Peer::Cidr(Cidr::ALL_V4)
                } else {
                    Peer::Cidr(block(dice))
                };
                Rule {
                    id: GroupRuleId::from_bits(self.serial),
                    protocol: protocol(dice),
                    peer,
                }
            })
            .collect()
    }

    fn group(&mut self, dice: &mut Dice, id: GroupId, vpc: u128) -> Change {
        let mut ingress = self.rules(dice, vpc);
        let mut egress = self.rules(dice, vpc);
        for (rules, chance) in [(&mut ingress, 35), (&mut egress, 70)] {
            if dice.percent(chance) {
                self.serial += 1;
                rules.push(Rule {
                    id: GroupRuleId::from_bits(self.serial),
                    protocol: ProtocolMatch::Any,
                    peer: Peer::Cidr(Cidr::ALL_V4),
                });
            }
        }
        self.put(Object::SecurityGroup(SecurityGroup {
            id,
            vpc: VpcId::from_bits(vpc),
            ingress,
            egress,
        }))
    }

    fn acl(&mut self, dice: &mut Dice, id: AclId, vpc: u128) -> Change {
        self.put(Object::NetworkAcl(NetworkAcl {
            id,
            vpc: VpcId::from_bits(vpc),
            ingress: entries(dice),
            egress: entries(dice),
        }))
    }

    fn table(&mut self, dice: &mut Dice, id: RouteTableId, vpc: u128) -> Change {
        self.put(Object::RouteTable(RouteTable {
            id,
            vpc: VpcId::from_bits(vpc),
            routes: routes(dice, vpc),
        }))
    }

    fn subnet(&mut self, dice: &mut Dice, index: u128, vpc: u128) -> Change {
        let third = small(index % EACH);
        self.put(Object::Subnet(Subnet {
            id: SubnetId::from_bits(index),
            vpc: VpcId::from_bits(vpc),
            cidr: Cidr::containing(ip(10, 0, third, 0), 28).unwrap(),
            route_table: RouteTableId::from_bits(number(dice, vpc)),
            acl: AclId::from_bits(number(dice, vpc)),
            zone: "us-east-1a".to_owned(),
        }))
    }

    /// An address of the subnet that nobody in the VPC has.
    fn free(&self, dice: &mut Dice, vpc: u128, subnet: u128) -> Option<IpAddr> {
        let address = ip(
            10,
            0,
            small(subnet % EACH),
            4 + small(u128::try_from(dice.below(8)).unwrap()),
        );
        let taken = self
            .interfaces()
            .any(|interface| interface.vpc.bits() == vpc && interface.addresses.contains(&address));
        (!taken).then_some(address)
    }

    fn new_interface(&mut self, dice: &mut Dice, id: InterfaceId, vpc: u128) -> Option<Change> {
        let subnet = vpc * EACH + u128::try_from(dice.below(3)).unwrap();
        let address = self.free(dice, vpc, subnet)?;
        let interface = Interface {
            id,
            vpc: VpcId::from_bits(vpc),
            subnet: SubnetId::from_bits(subnet),
            mac: Mac([6, 0, 0, 0, 0, small(id.bits() & 0x7f)]),
            addresses: vec![address],
            groups: Vec::new(),
            source_dest_check: true,
            instance: None,
            mtu: 1500,
            hostname: String::new(),
        };
        Some(self.vary(dice, interface))
    }

    /// The same interface with other groups, flags, and perhaps one more address.
    fn vary(&mut self, dice: &mut Dice, mut interface: Interface) -> Change {
        let vpc = interface.vpc.bits();
        interface.groups = (0..1 + dice.below(2))
            .map(|_| GroupId::from_bits(number(dice, vpc)))
            .collect();
        interface.source_dest_check = dice.percent(70);
        interface.instance = dice
            .percent(93)
            .then(|| InstanceId::from_bits(interface.id.bits()));
        if interface.addresses.len() < 2 && dice.percent(40) {
            let subnet = interface.subnet.bits();
            interface.addresses.extend(self.free(dice, vpc, subnet));
        }
        self.put(Object::Interface(interface))
    }

    /// A public address for a private one that has none.
    fn elastic(&mut self, dice: &mut Dice, allocation: AllocationId, last: u8) -> Option<Change> {
        let interfaces: Vec<&Interface> = self.interfaces().collect();
        let interface = interfaces[dice.below(interfaces.len())];
        let private = dice.pick(&interface.addresses);
        let id = interface.id;
        let taken = self.publics().any(|other| {
            other.allocation != allocation
                && ((other.interface, other.private) == (id, private)
                    || other.public == ip(203, 0, 113, last))
        });
        let address = PublicAddress {
            allocation,
            public: ip(203, 0, 113, last),
            interface: id,
            private,
        };
        (!taken).then(|| self.put(Object::PublicAddress(address)))
    }

    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.objects.iter().filter_map(|object| {
            let Object::Interface(interface) = object else {
                return None;
            };
            Some(interface)
        })
    }

    pub(crate) fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces().find(|interface| interface.id == id)
    }

    pub(crate) fn publics(&self) -> impl Iterator<Item = &PublicAddress> {
        self.objects.iter().filter_map(|object| {
            let Object::PublicAddress(address) = object else {
                return None;
            };
            Some(address)
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let changes: Vec<Change> = self.objects.iter().cloned().map(Change::Put).collect();
        Snapshot::new(self.uplink).apply(1, &changes)
    }

    /// What a host knows that has interfaces of this VPC only: the VPC, and every public address.
    pub(crate) fn slice(&self, vpc: Option<VpcId>) -> Snapshot {
        let known = |object: &&Object| match object {
            Object::Vpc(o) => Some(o.id) == vpc,
            Object::Subnet(o) => Some(o.vpc) == vpc,
            Object::Interface(o) => Some(o.vpc) == vpc,
            Object::SecurityGroup(o) => Some(o.vpc) == vpc,
            Object::RouteTable(o) => Some(o.vpc) == vpc,
            Object::NetworkAcl(o) => Some(o.vpc) == vpc,
            Object::NatGateway(o) => Some(o.vpc) == vpc,
            Object::PublicAddress(_)
            | Object::Peering(_)
            | Object::TransitAttachment(_)
            | Object::TransitPeering(_)
            | Object::TransitRouteTable(_) => true,
        };
        let objects = self.objects.iter().filter(known).cloned();
        let changes: Vec<Change> = objects.map(Change::Put).collect();
        Snapshot::new(self.uplink).apply(1, &changes)
    }

    pub(crate) fn packet(&self, dice: &mut Dice) -> (Origin, Packet, FlowState) {
        let interfaces: Vec<&Interface> = self.interfaces().collect();
        let from = interfaces[dice.below(interfaces.len())];
        let origin = match dice.below(40) {
            0 => Origin::Interface(InterfaceId::from_bits(999)),
            1..8 => Origin::Uplink,
            _ => Origin::Interface(from.id),
        };
        let own = origin != Origin::Uplink && dice.percent(93);
        let source = match origin {
            Origin::Interface(_) if own => dice.pick(&from.addresses),
            Origin::Interface(_) => self.address(dice, from),
            Origin::Uplink if dice.percent(20) => self.address(dice, from),
            Origin::Uplink => dice.pick(&[ip(203, 0, 113, 1), ip(198, 51, 100, 7)]),
        };
        let destination = match self.public(dice) {
            Some(public) if origin == Origin::Uplink && dice.percent(80) => public,
            _ => self.address(dice, from),
        };
        let (protocol, icmp) = dice.pick(&[
            (proto::TCP, None),
            (proto::TCP, None),
            (proto::UDP, None),
            (proto::ICMP, Some((8, 0))),
            (proto::ICMP, Some((3, 4))),
            (47, None),
        ]);
        let ports = matches!(protocol, proto::TCP | proto::UDP);
        let ports = if ports {
            (dice.pick(&[1000, 40000]), dice.pick(&[53, 80, 80, 3306]))
        } else {
            (0, 0)
        };
        let tuple = FlowTuple {
            source,
            destination,
            protocol,
            source_port: ports.0,
            destination_port: ports.1,
        };
        let flow = if dice.percent(20) {
            let home = self
                .interfaces()
                .find(|i| i.addresses.contains(&destination));
            FlowState::Reply(match home {
                Some(home) if dice.percent(80) => Origin::Interface(home.id),
                Some(_) | None if dice.percent(50) => Origin::Uplink,
                Some(_) | None => Origin::Interface(from.id),
            })
        } else {
            FlowState::New
        };
        (origin, Packet { tuple, icmp }, flow)
    }

    fn public(&self, dice: &mut Dice) -> Option<IpAddr> {
        let publics: Vec<IpAddr> = self.publics().map(|address| address.public).collect();
        (!publics.is_empty()).then(|| dice.pick(&publics))
    }

    /// Mostly an address that somebody has, and mostly somebody near.
    fn address(&self, dice: &mut Dice, near: &Interface) -> IpAddr {
        let mut byte = |bound| small(u128::try_from(dice.below(bound)).unwrap());
        match byte(40) {
            0 => ip(255, 255, 255, 255),
            1 => ip(10, 0, byte(3), byte(16)),
            2 => ip(169, 254, 169, 254),
            3 => ip(10, 0, 99, 1),
            4 => ip(203, 0, 113, byte(16)),
            5..8 => ip(198, 51, 100, 7 + byte(2)),
            8..12 => ip(203, 0, 113, 1),
            12..22 => self.public(dice).unwrap_or(ip(203, 0, 113, 1)),
            _ => {
                let same = |i: &&Interface| i.vpc == near.vpc;
                let others: Vec<&Interface> = self.interfaces().filter(same).collect();
                let to = others[dice.below(others.len())];
                dice.pick(&to.addresses)
            }
        }
    }

    /// Changes one thing, as a controller could: private addresses stay unique in a VPC, public ones everywhere.
    pub(crate) fn mutate(&mut self, dice: &mut Dice) -> Change {
        self.serial += 1;
        let fresh = self.serial;
        let vpc = u128::try_from(dice.below(2)).unwrap();
        let added = match dice.below(10) {
            0 => self.new_interface(dice, InterfaceId::from_bits(fresh), vpc),
            1 => {
                let last = 2 + small(u128::try_from(dice.below(12)).unwrap());
                self.elastic(dice, AllocationId::from_bits(fresh), last)
            }
            2 => Some(self.group(dice, GroupId::from_bits(fresh), vpc)),
            3 => Some(self.table(dice, RouteTableId::from_bits(fresh), vpc)),
            _ => None,
        };
        if let Some(change) = added {
            return change;
        }
        let at = dice.below(self.objects.len());
        let remove = dice.percent(20);
        // A random network's own loops need an interface left to send from.
        let last = self.interfaces().count() < 3;
        match self.objects[at].clone() {
            Object::Vpc(o) => self.vpc(dice, o.id.bits()),
            Object::Subnet(o) => self.subnet(dice, o.id.bits(), o.vpc.bits()),
            Object::Interface(o) if remove && !last => {
                self.objects.remove(at);
                Change::RemoveInterface(o.id)
            }
            Object::Interface(o) => self.vary(dice, o),
            Object::SecurityGroup(o) if remove => {
                self.objects.remove(at);
                Change::RemoveSecurityGroup(o.id)
            }
            Object::SecurityGroup(o) => self.group(dice, o.id, o.vpc.bits()),
            Object::RouteTable(o) if remove => {
                self.objects.remove(at);
                Change::RemoveRouteTable(o.id)
            }
            Object::RouteTable(o) => self.table(dice, o.id, o.vpc.bits()),
            Object::NetworkAcl(o) if remove => {
                self.objects.remove(at);
                Change::RemoveNetworkAcl(o.id)
            }
            Object::NetworkAcl(o) => self.acl(dice, o.id, o.vpc.bits()),
            other @ (Object::PublicAddress(_)
            | Object::NatGateway(_)
            | Object::Peering(_)
            | Object::TransitAttachment(_)
            | Object::TransitPeering(_)
            | Object::TransitRouteTable(_)) => {
                self.objects.remove(at);
                other.removal()
            }
        }
    }
}
