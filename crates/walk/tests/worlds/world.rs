//! Random networks: three VPCs, two of which have the same block, with everything between them that packets can pass.
//! Small enough that things meet, and mostly sound, so that packets come far.

use std::net::{IpAddr, Ipv4Addr};

use topology::{
    AclEntry, Change, Endpoint, IcmpMatch, Interface, NatGateway, NetworkAcl, Object, Peer,
    Peering, ProtocolMatch, PublicAccess, PublicAddress, Route, RouteTable, Rule, SecurityGroup,
    Snapshot, Subnet, Target, TransitAttachment, TransitPeering, TransitRoute, TransitRouteTable,
    Uplink, Vpc,
};
use types::{
    AccountId, AclId, AllocationId, Cidr, EndpointId, FlowTuple, GatewayId, GroupId, GroupRuleId,
    InstanceId, InterfaceId, Mac, NatGatewayId, PeeringConnectionId, PortRange, RouteTableId,
    SubnetId, TransitGatewayAttachmentId, TransitGatewayId, TransitGatewayRouteTableId, Vni, VpcId,
    proto,
};
use walk::{End, FlowState, Origin, Packet, Tracking, Translation, Translator};

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

    fn number(&mut self, bound: usize) -> u128 {
        u128::try_from(self.below(bound)).unwrap()
    }

    fn byte(&mut self, bound: usize) -> u8 {
        u8::try_from(self.below(bound)).unwrap()
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
    /// Whether a careful hand made it: open rules, a public, a private and a connected subnet in each VPC, and routes
    /// that lead somewhere. Far ways are rare in the others.
    sound: bool,
}

/// The second byte of each VPC's block.
const VPCS: [u8; 3] = [0, 1, 0];
/// Of subnets, route tables, ACLs and groups, in each VPC.
const EACH: u128 = 3;
/// Of interfaces that instances have.
const INTERFACES: u128 = 5;
/// The interfaces of NAT gateways are numbered from here.
const NAT_INTERFACE: u128 = 100;
/// The interfaces of endpoints and of their services' fronts are numbered from here.
const ENDPOINT_INTERFACE: u128 = 110;
/// The route tables of the VPCs' internet gateways are numbered from here.
const EDGE_TABLE: u128 = 200;
/// The peering of the two transit gateways.
const CROSSING: u128 = 20;
const ZONES: [&str; 2] = ["us-east-1a", "us-east-1b"];
const BLOCKS: [&str; 13] = [
    "0.0.0.0/0",
    "10.0.0.0/16",
    "10.1.0.0/16",
    "10.0.0.0/15",
    "10.0.0.0/28",
    "10.0.1.0/28",
    "10.1.1.0/28",
    "10.0.2.4/32",
    "10.1.0.5/32",
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

/// The number of one of a VPC's things, of which each has so many. Now and then another VPC's, or one that is not there.
fn number(dice: &mut Dice, vpc: u128, each: u128) -> u128 {
    let vpc = if dice.percent(2) { dice.number(3) } else { vpc };
    let of = if dice.percent(2) { 50 } else { 0 };
    of + vpc * each + dice.number(usize::try_from(each).unwrap())
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
    match dice.below(16) {
        0 => Target::Blackhole,
        1 => Target::Local,
        2..4 => Target::Interface(InterfaceId::from_bits(number(dice, vpc, INTERFACES))),
        4..8 => {
            Target::InternetGateway(GatewayId::from_bits(if dice.percent(5) { 77 } else { vpc }))
        }
        8..11 => Target::NatGateway(NatGatewayId::from_bits(number(dice, vpc, 2))),
        11..13 => Target::Peering(PeeringConnectionId::from_bits(dice.number(3))),
        _ => Target::TransitGateway(TransitGatewayId::from_bits(dice.number(2))),
    }
}

fn routes(dice: &mut Dice, vpc: u128) -> Vec<Route> {
    let second = VPCS[usize::try_from(vpc).unwrap()];
    let mut routes = vec![Route {
        destination: Cidr::containing(ip(10, second, 0, 0), 16).unwrap(),
        target: Target::Local,
    }];
    if dice.percent(80) {
        routes.push(Route {
            destination: Cidr::ALL_V4,
            target: target(dice, vpc),
        });
    }
    // One route per destination, as in a real table.
    for _ in 0..dice.below(4) {
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

/// The routes of a public (0), a private (1), or a connected subnet.
fn sound_routes(dice: &mut Dice, vpc: u128, role: u128) -> Vec<Route> {
    let second = VPCS[usize::try_from(vpc).unwrap()];
    let own = Cidr::containing(ip(10, second, 0, 0), 16).unwrap();
    let other = Cidr::containing(ip(10, 1 - second, 0, 0), 16).unwrap();
    let gateway = Target::TransitGateway(TransitGatewayId::from_bits(dice.number(2)));
    let out = match role {
        0 => Target::InternetGateway(GatewayId::from_bits(vpc)),
        1 => Target::NatGateway(NatGatewayId::from_bits(vpc * 2 + dice.number(2))),
        _ => gateway,
    };
    let across = if dice.percent(40) {
        let peering = if vpc == 1 { dice.number(2) } else { vpc / 2 };
        Target::Peering(PeeringConnectionId::from_bits(peering))
    } else {
        gateway
    };
    let mut routes = vec![(own, Target::Local), (Cidr::ALL_V4, out), (other, across)];
    if dice.percent(20) {
        let middlebox = Target::Interface(InterfaceId::from_bits(number(dice, vpc, INTERFACES)));
        let destination = block(dice);
        if routes.iter().all(|(old, _)| *old != destination) {
            routes.push((destination, middlebox));
        }
    }
    let route = |(destination, target)| Route {
        destination,
        target,
    };
    routes.into_iter().map(route).collect()
}

fn entries(dice: &mut Dice, sound: bool) -> Vec<AclEntry> {
    let mut entries = Vec::new();
    let quiet = dice.percent(if sound { 90 } else { 50 });
    let count = if quiet { 0 } else { dice.below(3) };
    for place in 0..u16::try_from(count).unwrap() {
        entries.push(AclEntry {
            number: 10 + place,
            allow: dice.percent(50),
            protocol: protocol(dice),
            cidr: block(dice),
        });
    }
    if dice.percent(94) {
        entries.push(AclEntry {
            number: 100,
            allow: true,
            protocol: ProtocolMatch::Any,
            cidr: Cidr::ALL_V4,
        });
    }
    // Their order in the list means nothing.
    entries.reverse();
    entries
}

/// How networks are made.
impl World {
    pub(crate) fn random(dice: &mut Dice) -> World {
        let mut world = World {
            uplink: dice.percent(95).then(|| Uplink {
                pool: "203.0.113.0/28".parse().unwrap(),
                host: ip(203, 0, 113, 1),
                internet: dice.percent(60),
                ipv6: None,
            }),
            objects: Vec::new(),
            serial: 1000,
            sound: dice.percent(60),
        };
        for vpc in 0..3 {
            world.vpc(dice, vpc);
            world.edge_table(dice, vpc);
            for index in vpc * EACH..(vpc + 1) * EACH {
                world.group(dice, GroupId::from_bits(index), vpc);
                world.acl(dice, AclId::from_bits(index), vpc);
                world.table(dice, RouteTableId::from_bits(index), vpc);
                world.subnet(dice, index, vpc);
            }
            for index in 0..INTERFACES {
                let id = InterfaceId::from_bits(vpc * INTERFACES + index);
                world.new_interface(dice, id, vpc);
            }
            for index in vpc * 2..vpc * 2 + 2 {
                if dice.percent(if world.sound { 95 } else { 60 }) {
                    world.nat_gateway(dice, index, vpc);
                }
            }
            if dice.percent(50) {
                world.endpoint(dice, vpc);
            }
            for gateway in 0..2 {
                if dice.percent(if world.sound { 95 } else { 60 }) {
                    world.attachment(dice, gateway, vpc);
                }
            }
        }
        for (id, vpcs) in [(0, [0, 1]), (1, [1, 2])] {
            if dice.percent(80) {
                world.peering(id, vpcs);
            }
        }
        for table in 0..4 {
            world.transit_table(dice, table);
        }
        if dice.percent(70) {
            world.crossing(dice);
        }
        for number in 2..6 + dice.number(8) {
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
        let second = VPCS[usize::try_from(vpc).unwrap()];
        self.put(Object::Vpc(Vpc {
            id: VpcId::from_bits(vpc),
            account: AccountId::DEFAULT,
            vni: Vni::new(u32::from(small(vpc)) + 1).unwrap(),
            cidrs: vec![Cidr::containing(ip(10, second, 0, 0), 16).unwrap()],
            egress_only_gateways: Vec::new(),
            internet_gateway: dice.percent(90).then(|| GatewayId::from_bits(vpc)),
            edge_table: dice
                .percent(20)
                .then(|| RouteTableId::from_bits(EDGE_TABLE + vpc)),
            dhcp: topology::DhcpOptions::default(),
            dns: topology::Dns::default(),
        }))
    }

    fn rules(&mut self, dice: &mut Dice, vpc: u128) -> Vec<Rule> {
        (0..dice.below(if self.sound { 2 } else { 4 }))
            .map(|_| {
                self.serial += 1;
                let peer = if dice.percent(40) {
                    let vpc = if dice.percent(25) {
                        dice.number(3)
                    } else {
                        vpc
                    };
                    Peer::Group(GroupId::from_bits(number(dice, vpc, EACH)))
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
        for (rules, chance) in [(&mut ingress, 40), (&mut egress, 80)] {
            if dice.percent(if self.sound { 90 } else { chance }) {
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
            also_in: Vec::new(),
            ingress,
            egress,
        }))
    }

    fn acl(&mut self, dice: &mut Dice, id: AclId, vpc: u128) -> Change {
        self.put(Object::NetworkAcl(NetworkAcl {
            id,
            vpc: VpcId::from_bits(vpc),
            ingress: entries(dice, self.sound),
            egress: entries(dice, self.sound),
        }))
    }

    fn table(&mut self, dice: &mut Dice, id: RouteTableId, vpc: u128) -> Change {
        self.put(Object::RouteTable(RouteTable {
            id,
            vpc: VpcId::from_bits(vpc),
            routes: if self.sound {
                sound_routes(dice, vpc, id.bits() % EACH)
            } else {
                routes(dice, vpc)
            },
        }))
    }

    /// The table of a VPC's internet gateway: local routes, and routes to interfaces.
    fn edge_table(&mut self, dice: &mut Dice, vpc: u128) -> Change {
        let second = VPCS[usize::try_from(vpc).unwrap()];
        let mut routes = Vec::new();
        if dice.percent(95) {
            routes.push(Route {
                destination: Cidr::containing(ip(10, second, 0, 0), 16).unwrap(),
                target: Target::Local,
            });
        }
        for third in 0..3 {
            if dice.percent(30) {
                let interface = InterfaceId::from_bits(number(dice, vpc, INTERFACES));
                let target = match dice.below(10) {
                    0 => Target::Blackhole,
                    _ => Target::Interface(interface),
                };
                routes.push(Route {
                    destination: Cidr::containing(ip(10, second, third, 0), 28).unwrap(),
                    target,
                });
            }
        }
        self.put(Object::RouteTable(RouteTable {
            id: RouteTableId::from_bits(EDGE_TABLE + vpc),
            vpc: VpcId::from_bits(vpc),
            routes,
        }))
    }

    fn subnet(&mut self, dice: &mut Dice, index: u128, vpc: u128) -> Change {
        let second = VPCS[usize::try_from(vpc).unwrap()];
        let third = small(index % EACH);
        self.put(Object::Subnet(Subnet {
            id: SubnetId::from_bits(index),
            vpc: VpcId::from_bits(vpc),
            cidr: Cidr::containing(ip(10, second, third, 0), 28).unwrap(),
            ipv6: None,
            route_table: RouteTableId::from_bits(if self.sound {
                index
            } else {
                number(dice, vpc, EACH)
            }),
            acl: AclId::from_bits(number(dice, vpc, EACH)),
            zone: ZONES[usize::from(third == 2)].to_owned(),
            public_access: if dice.percent(if self.sound { 99 } else { 85 }) {
                PublicAccess::Open
            } else {
                dice.pick(&[PublicAccess::EgressOnly, PublicAccess::Closed])
            },
        }))
    }

    /// An address of the subnet that nobody in the VPC has.
    fn free(&self, dice: &mut Dice, subnet: u128) -> Option<IpAddr> {
        let vpc = subnet / EACH;
        let second = VPCS[usize::try_from(vpc).unwrap()];
        let address = ip(10, second, small(subnet % EACH), 4 + dice.byte(10));
        let taken = self
            .interfaces()
            .any(|interface| interface.vpc.bits() == vpc && interface.addresses.contains(&address));
        (!taken).then_some(address)
    }

    fn bare_interface(&self, dice: &mut Dice, id: InterfaceId, subnet: u128) -> Option<Interface> {
        let address = self.free(dice, subnet)?;
        Some(Interface {
            id,
            vpc: VpcId::from_bits(subnet / EACH),
            subnet: SubnetId::from_bits(subnet),
            mac: Mac([6, 0, 0, 0, 0, small(id.bits() & 0x7f)]),
            addresses: vec![address],
            groups: Vec::new(),
            source_dest_check: true,
            instance: None,
            mtu: [1500, 8800, 9001][usize::from(small(id.bits() % 3))],
            hostname: String::new(),
            idle: topology::IdleTimes::default(),
        })
    }

    fn new_interface(&mut self, dice: &mut Dice, id: InterfaceId, vpc: u128) -> Option<Change> {
        let subnet = vpc * EACH + dice.number(3);
        let interface = self.bare_interface(dice, id, subnet)?;
        Some(self.vary(dice, interface))
    }

    /// The same interface with other groups, flags, and perhaps one more address.
    fn vary(&mut self, dice: &mut Dice, mut interface: Interface) -> Change {
        let vpc = interface.vpc.bits();
        if interface.addresses.len() < 2 && dice.percent(30) {
            let subnet = interface.subnet.bits();
            interface.addresses.extend(self.free(dice, subnet));
        }
        if !is_of_nat(interface.id) {
            let held = (ENDPOINT_INTERFACE..ENDPOINT_INTERFACE + 6).contains(&interface.id.bits());
            interface.groups = (0..1 + dice.below(2))
                .map(|_| GroupId::from_bits(number(dice, vpc, EACH)))
                .collect();
            interface.source_dest_check = dice.percent(70);
            interface.instance =
                (!held && dice.percent(95)).then(|| InstanceId::from_bits(interface.id.bits()));
        }
        self.put(Object::Interface(interface))
    }

    /// A NAT gateway with its interface.
    fn nat_gateway(&mut self, dice: &mut Dice, index: u128, vpc: u128) -> Option<()> {
        let subnet = vpc * EACH + if self.sound { 0 } else { dice.number(3) };
        let id = InterfaceId::from_bits(NAT_INTERFACE + index);
        let interface = self.bare_interface(dice, id, subnet)?;
        let address = interface.addresses[0];
        self.vary(dice, interface);
        self.put(Object::NatGateway(NatGateway {
            id: NatGatewayId::from_bits(index),
            vpc: VpcId::from_bits(vpc),
            subnet: SubnetId::from_bits(subnet),
            interface: id,
        }));
        if dice.percent(70) {
            let allocation = NAT_INTERFACE + index;
            let public = ip(203, 0, 113, 14 - small(index % 4));
            self.bind(AllocationId::from_bits(allocation), public, id, address);
        }
        Some(())
    }

    /// An endpoint of a VPC to a service of another one, with an interface of each.
    fn endpoint(&mut self, dice: &mut Dice, vpc: u128) -> Option<()> {
        let provider = dice.number(3);
        let backend = InterfaceId::from_bits(number(dice, provider, INTERFACES));
        let mut place = |world: &mut World, id: u128, vpc: u128| {
            let subnet = vpc * EACH + dice.number(3);
            let interface = world.bare_interface(dice, InterfaceId::from_bits(id), subnet)?;
            world.vary(dice, interface);
            Some(InterfaceId::from_bits(id))
        };
        let at = place(self, ENDPOINT_INTERFACE + vpc * 2, vpc)?;
        let front = place(self, ENDPOINT_INTERFACE + vpc * 2 + 1, provider)?;
        self.put(Object::Endpoint(Endpoint {
            id: EndpointId::from_bits(vpc),
            vpc: VpcId::from_bits(vpc),
            interfaces: vec![at],
            provider: AccountId::DEFAULT,
            front,
            backend,
        }));
        Some(())
    }

    fn peering(&mut self, id: u128, vpcs: [u128; 2]) -> Change {
        self.put(Object::Peering(Peering {
            id: PeeringConnectionId::from_bits(id),
            vpcs: vpcs.map(VpcId::from_bits),
        }))
    }

    fn attachment(&mut self, dice: &mut Dice, gateway: u128, vpc: u128) -> Change {
        // One subnet in a zone: the first two subnets are in one, the third is in the other.
        let first = vpc * EACH + dice.number(2);
        let mut subnets = vec![SubnetId::from_bits(first)];
        let third = SubnetId::from_bits(vpc * EACH + 2);
        match dice.below(if self.sound { 12 } else { 4 }) {
            0 => {}
            1 => subnets = vec![third],
            _ => subnets.push(third),
        }
        self.put(Object::TransitAttachment(TransitAttachment {
            id: TransitGatewayAttachmentId::from_bits(gateway * 3 + vpc),
            gateway: TransitGatewayId::from_bits(gateway),
            vpc: VpcId::from_bits(vpc),
            subnets,
            interfaces: Vec::new(),
            appliance_mode: dice.percent(25),
            ipv6: false,
            group_references: dice.percent(60),
            route_table: transit_table_of(dice, gateway),
        }))
    }

    fn crossing(&mut self, dice: &mut Dice) -> Change {
        let ends = [0, 1].map(|gateway| {
            let table = transit_table_of(dice, gateway);
            (TransitGatewayId::from_bits(gateway), table)
        });
        self.put(Object::TransitPeering(TransitPeering {
            id: TransitGatewayAttachmentId::from_bits(CROSSING),
            ends,
        }))
    }

    /// Two route tables for each transit gateway. What is propagated is the attached VPCs' blocks.
    fn transit_table(&mut self, dice: &mut Dice, index: u128) -> Change {
        let gateway = index / 2;
        let mut routes = Vec::new();
        for vpc in 0..3_u128 {
            if dice.percent(if self.sound { 90 } else { 60 }) {
                let second = VPCS[usize::try_from(vpc).unwrap()];
                routes.push(TransitRoute {
                    destination: Cidr::containing(ip(10, second, 0, 0), 16).unwrap(),
                    attachment: Some(TransitGatewayAttachmentId::from_bits(gateway * 3 + vpc)),
                    is_static: false,
                });
            }
        }
        if self.sound {
            let attachment = if dice.percent(50) {
                gateway * 3
            } else {
                CROSSING
            };
            routes.push(TransitRoute {
                destination: Cidr::ALL_V4,
                attachment: Some(TransitGatewayAttachmentId::from_bits(attachment)),
                is_static: true,
            });
        }
        for _ in 0..dice.below(if self.sound { 2 } else { 4 }) {
            let destination = if dice.percent(40) {
                Cidr::ALL_V4
            } else {
                block(dice)
            };
            let attachment = match dice.below(10) {
                0 => None,
                1..3 => Some(CROSSING),
                3 => Some(dice.number(7)),
                _ => Some(gateway * 3 + dice.number(3)),
            };
            let is_new = |old: &TransitRoute| !old.is_static || old.destination != destination;
            if routes.iter().all(is_new) {
                routes.push(TransitRoute {
                    destination,
                    attachment: attachment.map(TransitGatewayAttachmentId::from_bits),
                    is_static: true,
                });
            }
        }
        self.put(Object::TransitRouteTable(TransitRouteTable {
            id: TransitGatewayRouteTableId::from_bits(index),
            gateway: TransitGatewayId::from_bits(gateway),
            routes,
        }))
    }

    /// A public address for a private one that has none.
    fn elastic(&mut self, dice: &mut Dice, allocation: AllocationId, last: u8) -> Option<Change> {
        let interfaces: Vec<&Interface> = self.interfaces().collect();
        let interface = interfaces[dice.below(interfaces.len())];
        let private = dice.pick(&interface.addresses);
        let id = interface.id;
        self.bind(allocation, ip(203, 0, 113, last), id, private)
    }

    fn bind(
        &mut self,
        allocation: AllocationId,
        public: IpAddr,
        interface: InterfaceId,
        private: IpAddr,
    ) -> Option<Change> {
        let taken = self.publics().any(|other| {
            other.allocation != allocation
                && ((other.interface, other.private) == (interface, private)
                    || other.public == public)
        });
        let address = PublicAddress {
            allocation,
            public,
            interface,
            private,
        };
        (!taken).then(|| self.put(Object::PublicAddress(address)))
    }
}

fn transit_table_of(dice: &mut Dice, gateway: u128) -> Option<TransitGatewayRouteTableId> {
    let own = TransitGatewayRouteTableId::from_bits(gateway * 2 + dice.number(2));
    dice.percent(95).then_some(own)
}

fn is_of_nat(interface: InterfaceId) -> bool {
    (NAT_INTERFACE..NAT_INTERFACE + 6).contains(&interface.bits())
}

/// How they are looked at.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "one kind of object is looked for, the others are not"
)]
impl World {
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.objects.iter().filter_map(|object| match object {
            Object::Interface(interface) => Some(interface),
            _ => None,
        })
    }

    pub(crate) fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces().find(|interface| interface.id == id)
    }

    pub(crate) fn publics(&self) -> impl Iterator<Item = &PublicAddress> {
        self.objects.iter().filter_map(|object| match object {
            Object::PublicAddress(address) => Some(address),
            _ => None,
        })
    }

    fn nat_gateways(&self) -> impl Iterator<Item = &NatGateway> {
        self.objects.iter().filter_map(|object| match object {
            Object::NatGateway(gateway) => Some(gateway),
            _ => None,
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let changes: Vec<Change> = self.objects.iter().cloned().map(Change::Put).collect();
        Snapshot::new(self.uplink).apply(1, &changes)
    }

    /// What a host knows that has interfaces of this VPC only: every VPC to which private addresses lead from there,
    /// and every public address.
    pub(crate) fn slice(&self, vpc: Option<VpcId>) -> Snapshot {
        let mut near: Vec<VpcId> = vpc.into_iter().collect();
        loop {
            let mut more: Vec<VpcId> = Vec::new();
            for object in &self.objects {
                match object {
                    Object::Peering(peering) => {
                        let [a, b] = peering.vpcs;
                        for (here, there) in [(a, b), (b, a)] {
                            if near.contains(&here) && !near.contains(&there) {
                                more.push(there);
                            }
                        }
                    }
                    Object::Endpoint(one) => {
                        let home = |id| self.interface(id).map(|interface| interface.vpc);
                        let ends = [Some(one.vpc), home(one.front)];
                        if let [Some(a), Some(b)] = ends {
                            for (here, there) in [(a, b), (b, a)] {
                                if near.contains(&here) && !near.contains(&there) {
                                    more.push(there);
                                }
                            }
                        }
                    }
                    // Whoever is attached somewhere may reach everybody who is: gateways have peerings.
                    Object::TransitAttachment(one) if near.contains(&one.vpc) => {
                        more.extend(self.objects.iter().filter_map(|object| match object {
                            Object::TransitAttachment(other) if !near.contains(&other.vpc) => {
                                Some(other.vpc)
                            }
                            _ => None,
                        }));
                    }
                    _ => {}
                }
            }
            if more.is_empty() {
                break;
            }
            near.extend(more);
        }
        let known = |object: &&Object| match object {
            Object::Vpc(o) => near.contains(&o.id),
            Object::Subnet(o) => near.contains(&o.vpc),
            Object::Interface(o) => near.contains(&o.vpc),
            Object::SecurityGroup(o) => near.contains(&o.vpc),
            Object::RouteTable(o) => near.contains(&o.vpc),
            Object::NetworkAcl(o) => near.contains(&o.vpc),
            Object::NatGateway(o) => near.contains(&o.vpc),
            _ => true,
        };
        let objects = self.objects.iter().filter(known).cloned();
        let changes: Vec<Change> = objects.map(Change::Put).collect();
        Snapshot::new(self.uplink).apply(1, &changes)
    }
}

/// What happens in them.
impl World {
    pub(crate) fn packet(&self, dice: &mut Dice) -> (Origin, Packet, FlowState) {
        let detached = dice.percent(5);
        let of = |interface: &&Interface| detached || interface.instance.is_some();
        let mut interfaces: Vec<&Interface> = self.interfaces().filter(of).collect();
        if interfaces.is_empty() {
            interfaces = self.interfaces().collect();
        }
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
        let ports = match (protocol, icmp) {
            (proto::TCP | proto::UDP, _) => {
                (dice.pick(&[1000, 40000]), dice.pick(&[53, 80, 80, 3306]))
            }
            (_, Some((8, _))) => (7, 0),
            _ => (0, 0),
        };
        let tuple = FlowTuple {
            source,
            destination,
            protocol,
            source_port: ports.0,
            destination_port: ports.1,
        };
        let flow = match dice.below(10) {
            0 | 1 => FlowState::Reply(self.opener(dice, from, destination)),
            2 => self.translated(dice, from, &tuple),
            3 => FlowState::UnderWay(Tracking {
                source: dice.percent(50),
                destination: dice.percent(50),
            }),
            _ => FlowState::New,
        };
        (origin, Packet { tuple, icmp }, flow)
    }

    /// Where a flow may have come from that is answered to this address.
    fn opener(&self, dice: &mut Dice, from: &Interface, to: IpAddr) -> Origin {
        let home = self.interfaces().find(|i| i.addresses.contains(&to));
        match home {
            Some(home) if dice.percent(80) => Origin::Interface(home.id),
            Some(_) | None if dice.percent(50) => Origin::Uplink,
            Some(_) | None => Origin::Interface(from.id),
        }
    }

    /// A flow through a NAT gateway that a packet like this might answer.
    fn translated(&self, dice: &mut Dice, from: &Interface, tuple: &FlowTuple) -> FlowState {
        let gateways: Vec<&NatGateway> = self.nat_gateways().collect();
        let inside = self.address(dice, from);
        let opener = self.opener(dice, from, inside);
        if gateways.is_empty() {
            return FlowState::Reply(opener);
        }
        let gateway = gateways[dice.below(gateways.len())];
        let own = self.interface(gateway.interface);
        let address = match own {
            Some(own) if dice.percent(70) => dice.pick(&own.addresses),
            _ => tuple.destination,
        };
        let port = if dice.percent(90) {
            tuple.destination_port
        } else {
            9
        };
        FlowState::Translated(
            opener,
            Translation {
                by: Translator::NatGateway(gateway.id),
                inside: End {
                    address: inside,
                    port: 40000,
                },
                outside: End { address, port },
                service: None,
            },
        )
    }

    fn public(&self, dice: &mut Dice) -> Option<IpAddr> {
        let publics: Vec<IpAddr> = self.publics().map(|address| address.public).collect();
        (!publics.is_empty()).then(|| dice.pick(&publics))
    }

    /// Mostly an address that somebody has, and mostly somebody near.
    fn address(&self, dice: &mut Dice, near: &Interface) -> IpAddr {
        match dice.below(50) {
            0 => dice.pick(&[ip(255, 255, 255, 255), ip(169, 254, 169, 254)]),
            1 => ip(10, dice.byte(2), dice.byte(3), dice.byte(16)),
            2 => ip(10, 0, 99, 1),
            3 => ip(203, 0, 113, dice.byte(16)),
            4..14 => ip(198, 51, 100, 7 + dice.byte(2)),
            14..17 => ip(203, 0, 113, 1),
            17..24 => self.public(dice).unwrap_or(ip(203, 0, 113, 1)),
            other => {
                let same = |i: &&Interface| other < 42 || i.vpc == near.vpc;
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
        let vpc = dice.number(3);
        let added = match dice.below(12) {
            0 => self.new_interface(dice, InterfaceId::from_bits(fresh), vpc),
            1 => {
                let last = 2 + dice.byte(12);
                self.elastic(dice, AllocationId::from_bits(fresh), last)
            }
            2 => Some(self.group(dice, GroupId::from_bits(fresh), vpc)),
            3 => Some(self.table(dice, RouteTableId::from_bits(fresh), vpc)),
            4 => {
                let gateway = dice.number(2);
                Some(self.attachment(dice, gateway, vpc))
            }
            5 => Some(self.crossing(dice)),
            6 => {
                let (id, vpcs) = dice.pick(&[(0, [0, 1]), (1, [1, 2])]);
                Some(self.peering(id, vpcs))
            }
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
            Object::Interface(o) if !remove || last => self.vary(dice, o),
            Object::SecurityGroup(o) if !remove => self.group(dice, o.id, o.vpc.bits()),
            Object::RouteTable(o) if !remove && o.id.bits() == EDGE_TABLE + o.vpc.bits() => {
                self.edge_table(dice, o.vpc.bits())
            }
            Object::RouteTable(o) if !remove => self.table(dice, o.id, o.vpc.bits()),
            Object::NetworkAcl(o) if !remove => self.acl(dice, o.id, o.vpc.bits()),
            Object::TransitAttachment(o) if !remove => {
                self.attachment(dice, o.gateway.bits(), o.vpc.bits())
            }
            Object::TransitPeering(_) if !remove => self.crossing(dice),
            Object::TransitRouteTable(o) if !remove => self.transit_table(dice, o.id.bits()),
            other @ (Object::Interface(_)
            | Object::SecurityGroup(_)
            | Object::RouteTable(_)
            | Object::NetworkAcl(_)
            | Object::PublicAddress(_)
            | Object::NatGateway(_)
            | Object::Endpoint(_)
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
