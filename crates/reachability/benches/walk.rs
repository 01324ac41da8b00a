//! What a walk and its relatives cost: `cargo xtask bench walk`, or `cargo bench -p reachability`.
//!
//! One thread; each figure is the median of rounds, each of which takes many packets in turn, so that what is measured
//! is not one packet's way in the processor's cache.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on stops, and prints"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use reachability::{Place, Query, Source, explain, reach};
use topology::text::{Network, parse};
use topology::{
    Change, Interface, Object, Peer, ProtocolMatch, PublicAddress, Route, RouteTable, Rule,
    Snapshot, Target,
};
use types::{
    AllocationId, Cidr, FlowTuple, GroupRuleId, InterfaceId, PortRange, RouteTableId, VpcId, proto,
};
use walk::{FlowState, NoTrace, Origin, Packet, walk};

/// VPCs of each network, and subnets of each VPC.
const VPCS: usize = 50;
const SUBNETS: usize = 20;

struct World {
    network: Network,
    snapshot: Snapshot,
    /// By VPC.
    interfaces: Vec<Vec<(InterfaceId, IpAddr)>>,
}

/// Fifty VPCs on one transit gateway, each with twenty subnets; half of the subnets are public.
fn world(interfaces: usize) -> World {
    let each = interfaces / VPCS / SUBNETS;
    let mut text =
        String::from("uplink 100.64.0.0/10 host 100.64.0.1 internet\ntransit main tgw hub\n");
    for vpc in 0..VPCS {
        let _ = writeln!(text, "to 10.{vpc}.0.0/16 at{vpc} propagated");
    }
    for vpc in 0..VPCS {
        let _ = writeln!(
            text,
            "vpc v{vpc} account 111111111111 cidr 10.{vpc}.0.0/16 gateway g{vpc}"
        );
        let _ = writeln!(
            text,
            "table t{vpc}\nroute 10.0.0.0/8 tgw hub\nroute 0.0.0.0/0 igw g{vpc}"
        );
        let _ = writeln!(text, "acl l{vpc}");
        for side in [
            "in 10 deny tcp 23 from",
            "in 20 deny tcp 445 from",
            "in 100 allow all from",
            "out 10 deny tcp 25 to",
            "out 100 allow all to",
        ] {
            let _ = writeln!(text, "{side} 0.0.0.0/0");
        }
        let _ = writeln!(
            text,
            "group web{vpc}\nin tcp 80 from 0.0.0.0/0\nin tcp 443 from 0.0.0.0/0\nout all to 0.0.0.0/0"
        );
        let next = (vpc + 1) % VPCS;
        let _ = writeln!(
            text,
            "group db{vpc}\nin tcp 3306 from web{vpc}\nin tcp 5432 from web{next}\nout all to 0.0.0.0/0"
        );
        for subnet in 0..SUBNETS {
            let third = subnet * 8;
            let _ = writeln!(
                text,
                "subnet s{vpc}-{subnet} 10.{vpc}.{third}.0/21 table t{vpc} acl l{vpc}"
            );
            let group = if subnet % 2 == 0 { "web" } else { "db" };
            let _ = writeln!(
                text,
                "interface i{vpc}-{subnet} subnet s{vpc}-{subnet} address 10.{vpc}.{third}.4 groups {group}{vpc}"
            );
        }
        let _ = writeln!(
            text,
            "attachment at{vpc} tgw hub subnets s{vpc}-19 table main references"
        );
    }
    let network = parse(&text).unwrap();
    let snapshot = network.snapshot();
    let snapshot = snapshot.apply(1, &filled(&network, &snapshot, each));
    let interfaces = (0..VPCS)
        .map(|vpc| {
            let id = network.interface(&format!("i{vpc}-0"));
            let view = snapshot.vpc_of(id).unwrap();
            let mut all: Vec<_> = view.interfaces().map(|i| (i.id, i.addresses[0])).collect();
            all.sort_by_key(|(_, address)| *address);
            all
        })
        .collect();
    World {
        network,
        snapshot,
        interfaces,
    }
}

/// More interfaces like the one in each subnet; those of every other subnet have public addresses.
fn filled(network: &Network, snapshot: &Snapshot, each: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut serial = 1_u32;
    for vpc in 0..VPCS {
        for subnet in 0..SUBNETS {
            let first = network.interface(&format!("i{vpc}-{subnet}"));
            let template = snapshot.interface(first).unwrap();
            let IpAddr::V4(base) = template.addresses[0] else {
                continue;
            };
            for number in 0..u32::try_from(each).unwrap() {
                serial += 1;
                let address = IpAddr::from(Ipv4Addr::from(u32::from(base) + number));
                let id = InterfaceId::from_bits(u128::from(serial) << 20);
                let id = if number == 0 { first } else { id };
                changes.push(Change::Put(Object::Interface(Interface {
                    id,
                    addresses: vec![address],
                    ..template.clone()
                })));
                if subnet % 2 == 0 {
                    changes.push(Change::Put(Object::PublicAddress(PublicAddress {
                        allocation: AllocationId::from_bits(u128::from(serial) << 20),
                        public: Ipv4Addr::from(0x6440_1000 + serial).into(),
                        interface: id,
                        private: address,
                    })));
                }
            }
        }
    }
    changes
}

/// The median over rounds of nanoseconds for one of `count` calls.
fn measure(count: usize, mut call: impl FnMut(usize)) -> f64 {
    let mut rounds: Vec<f64> = (0..9)
        .map(|_| {
            let began = Instant::now();
            (0..count).for_each(&mut call);
            let nanos = began.elapsed().as_nanos();
            f64::from(u32::try_from(nanos / 16).unwrap_or(u32::MAX)) * 16.0
                / f64::from(u32::try_from(count).unwrap())
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn show(name: &str, nanos: f64, goal: &str) {
    let figure = if nanos < 10_000.0 {
        format!("{nanos:.0} ns")
    } else if nanos < 10_000_000.0 {
        format!("{:.1} µs", nanos / 1e3)
    } else {
        format!("{:.0} ms", nanos / 1e6)
    };
    println!("| {name} | {figure} | {goal} |");
}

fn packet(source: IpAddr, destination: IpAddr, port: u16) -> Packet {
    Packet {
        tuple: FlowTuple {
            source,
            destination,
            protocol: proto::TCP,
            source_port: 40000,
            destination_port: port,
        },
        icmp: None,
    }
}

/// Walks between pairs that `pick` chooses, and says how many arrive.
fn walks(
    world: &World,
    name: &str,
    goal: &str,
    port: u16,
    pick: impl Fn(usize) -> [(usize, usize); 2],
) {
    let cases: Vec<(Origin, Packet)> = (0..4096)
        .map(|number| {
            let ends = pick(number).map(|(vpc, at)| {
                let all = &world.interfaces[vpc % VPCS];
                all[at % all.len()]
            });
            (
                Origin::Interface(ends[0].0),
                packet(ends[0].1, ends[1].1, port),
            )
        })
        .collect();
    let run = |(origin, packet): &(Origin, Packet)| {
        walk(
            &world.snapshot,
            *origin,
            packet,
            FlowState::New,
            &mut NoTrace,
        )
    };
    let arrive = cases
        .iter()
        .filter(|case| matches!(run(case), walk::Decision::Deliver(_)))
        .count();
    let nanos = measure(cases.len(), |number| {
        black_box(run(black_box(&cases[number])));
    });
    show(
        &format!("{name} ({arrive} of {} arrive)", cases.len()),
        nanos,
        goal,
    );
}

fn main() {
    println!("| | one thread | goal |\n|---|---:|---:|");
    let world_100k = world(100_000);
    let w = &world_100k;
    let each = w.interfaces[0].len();
    // An odd stride visits every interface.
    let spread = |number: usize| number.wrapping_mul(7919);
    // Within a subnet of web servers: the first twentieth of a VPC's interfaces is one.
    walks(
        w,
        "walk inside a subnet, 100,000 interfaces",
        "≤ 400 ns",
        80,
        |n| {
            [
                (n, spread(n) % (each / SUBNETS)),
                (n, spread(n + 1) % (each / SUBNETS)),
            ]
        },
    );
    walks(
        w,
        "walk by group reference and two network ACLs",
        "≤ 1 µs",
        3306,
        |n| {
            let second = each / SUBNETS;
            [(n, spread(n) % second), (n, second + spread(n) % second)]
        },
    );
    walks(
        w,
        "walk by group reference, four network ACLs and a transit gateway",
        "≤ 1 µs",
        5432,
        |n| {
            let second = each / SUBNETS;
            [
                (n + 1, spread(n) % second),
                (n, second + spread(n) % second),
            ]
        },
    );
    let (from, to) = (w.interfaces[3][7], w.interfaces[9][each - 3]);
    for (name, port) in [("open", 80), ("blocked", 22)] {
        let (from, to) = if port == 80 {
            (from, w.interfaces[3][40])
        } else {
            (from, to)
        };
        let query = Query::new(Source::Interface(from.0), to.1, proto::TCP, port);
        let blockers = explain(&w.snapshot, &query).blockers.len();
        let nanos = measure(64, |_| {
            black_box(explain(&w.snapshot, black_box(&query)));
        });
        show(
            &format!("path, {name} ({blockers} blockers)"),
            nanos,
            "≤ 1 ms",
        );
    }
    let view = w.snapshot.vpc_of(from.0).unwrap();
    let mut group = view.groups().next().unwrap().clone();
    group.ingress[0].protocol = ProtocolMatch::Ports(proto::TCP, PortRange::new(81, 81).unwrap());
    let change = [Change::Put(Object::SecurityGroup(group.clone()))];
    let nanos = measure(256, |_| {
        black_box(w.snapshot.apply(2, black_box(&change)));
    });
    show("snapshot after one changed rule", nanos, "≤ 50 µs");
    // Ten thousand rules, of which the last one matches.
    let first = view.interface(from.0).unwrap().clone();
    let neighbour = view
        .interfaces()
        .find(|i| i.subnet == first.subnet && i.id != first.id)
        .unwrap()
        .clone();
    let mut group = view.group(neighbour.groups[0]).unwrap().clone();
    group.ingress = (0..10_000_u32)
        .map(|number| Rule {
            id: GroupRuleId::from_bits(u128::from(number) + 0xf000_0000),
            protocol: ProtocolMatch::Ports(proto::TCP, PortRange::new(9000, 9000).unwrap()),
            peer: Peer::Cidr(Cidr::host(Ipv4Addr::from(0xc000_0000 + number).into())),
        })
        .collect();
    if let Some(rule) = group.ingress.last_mut() {
        rule.peer = Peer::Cidr(Cidr::host(first.addresses[0]));
    }
    let many = w
        .snapshot
        .apply(3, &[Change::Put(Object::SecurityGroup(group))]);
    let last = packet(first.addresses[0], neighbour.addresses[0], 9000);
    let nanos = measure(256, |_| {
        black_box(walk(
            &many,
            Origin::Interface(first.id),
            black_box(&last),
            FlowState::New,
            &mut NoTrace,
        ));
    });
    show("first packet past 10,000 rules", nanos, "≤ 1 µs");
    for (routes, name) in [(100_u32, "100"), (1_000_000, "1,000,000")] {
        let table = RouteTable {
            id: RouteTableId::from_bits(1),
            vpc: VpcId::from_bits(1),
            routes: (0..routes)
                .map(|number| Route {
                    destination: Cidr::containing(
                        Ipv4Addr::from(0x1000_0000 + number * 256).into(),
                        24,
                    )
                    .unwrap(),
                    target: Target::Blackhole,
                })
                .collect(),
        };
        let (id, vpc) = (table.id, table.vpc);
        let put = Change::Put(Object::RouteTable(table));
        let snapshot = topology::Snapshot::new(None).apply(1, &[put]);
        let view = snapshot.vpc(vpc).unwrap();
        let nanos = measure(4096, |number| {
            let number = u32::try_from(number).unwrap().wrapping_mul(7919) % routes;
            let to = Ipv4Addr::from(0x1000_0001 + number * 256).into();
            black_box(view.route(id, black_box(to)));
        });
        show(&format!("route among {name}"), nanos, "≤ 80 ns");
    }
    let small = world(10_000);
    let group = |name: &str| {
        let view = small.snapshot.vpc_of(small.interfaces[0][0].0).unwrap();
        let found = view
            .groups()
            .find(|group| small.network.name(group.id.into()) == name);
        Place::Group(found.unwrap().id)
    };
    for (name, from, to) in [
        (
            "reach from the internet, 10,000 interfaces",
            Place::Internet,
            Place::Everybody,
        ),
        (
            "reach from one group to another, 10,000 interfaces",
            group("sg web0"),
            group("sg db0"),
        ),
        (
            "reach from everybody to everybody, 10,000 interfaces",
            Place::Everybody,
            Place::Everybody,
        ),
    ] {
        let began = Instant::now();
        let found = reach(&small.snapshot, &[from], &[to], u64::MAX).unwrap();
        let nanos = began.elapsed().as_nanos();
        let nanos = f64::from(u32::try_from(nanos / 1000).unwrap_or(u32::MAX)) * 1000.0;
        show(
            &format!("{name} ({} rows, {} walks)", found.rows.len(), found.walks),
            nanos,
            "–",
        );
    }
}
