//! What is said of all packets at once is what the walk says of each: in random networks, packets of every answer get
//! through, and packets of no answer do not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../worlds/mod.rs"]
mod worlds;

use std::net::IpAddr;

use proptest::prelude::*;
use reachability::{End, Place, Query, Reach, Row, Source, Verdict, difference, explain, reach};
use topology::{Change, Object, Snapshot};
use types::{Cidr, InterfaceId, proto};
use worlds::{Dice, OUTSIDE, PORTS, World};

const MOST: u64 = 10_000_000;
const EVERYBODY: [Place; 2] = [Place::Everybody, Place::Internet];

#[derive(Clone, Copy, Debug)]
struct Sample {
    from: Option<End>,
    /// The address of either side.
    source: IpAddr,
    to: Option<InterfaceId>,
    destination: IpAddr,
    protocol: u8,
    selector: u16,
}

impl Sample {
    fn random(world: &World, snapshot: &Snapshot, dice: &mut Dice) -> Sample {
        let outside = |dice: &mut Dice| -> IpAddr {
            let more = [
                "8.8.8.8",
                "10.9.9.9",
                "127.0.0.1",
                "198.51.100.255",
                "203.0.113.9",
                "203.0.113.2",
            ];
            if dice.percent(70) {
                dice.pick(&OUTSIDE)
            } else {
                dice.pick(&more)
            }
            .parse()
            .unwrap()
        };
        let end = |dice: &mut Dice| {
            let interface = world.interface(dice);
            let address = snapshot.interface(interface).unwrap().addresses[0];
            End { interface, address }
        };
        let from = (!dice.percent(35)).then(|| end(dice));
        let to = (from.is_none() || !dice.percent(35)).then(|| {
            let end = end(dice);
            let public = snapshot
                .public_of(end.interface, end.address)
                .map(|address| address.public);
            End {
                address: public.filter(|_| dice.percent(60)).unwrap_or(end.address),
                ..end
            }
        });
        let protocol = dice.pick(&[proto::TCP, proto::TCP, proto::UDP, proto::ICMP, 47, 50]);
        let selector = match protocol {
            proto::TCP | proto::UDP if dice.percent(80) => dice.pick(&PORTS),
            proto::TCP | proto::UDP => u16::try_from(dice.below(65536)).unwrap(),
            proto::ICMP => dice.pick(&[0x0800, 0x0801, 0x0304, 0x0303, 0x0b00, 0, 0xffff]),
            _ => 0,
        };
        Sample {
            source: from.map_or_else(|| outside(dice), |end| end.address),
            from,
            destination: to.map_or_else(|| outside(dice), |end| end.address),
            to: to.map(|end| end.interface),
            protocol,
            selector,
        }
    }

    /// What the walk says of this packet.
    fn passes(&self, snapshot: &Snapshot) -> bool {
        let source = match self.from {
            Some(end) => Source::Interface(end.interface),
            None => Source::Outside(self.source),
        };
        let query = Query {
            icmp: (self.protocol == proto::ICMP).then(|| self.selector.to_be_bytes().into()),
            ..Query::new(source, self.destination, self.protocol, self.selector)
        };
        let wanted = self.to.map_or("uplink".to_owned(), |id| id.to_string());
        matches!(explain(snapshot, &query).verdict, Verdict::Reachable { at } if at == wanted)
    }

    fn is_in(&self, row: &Row, named: &[u8]) -> bool {
        let in_blocks =
            |blocks: &[Cidr], address| blocks.iter().any(|block| block.contains(address));
        let from = match self.from {
            Some(end) => row.from.interfaces.contains(&end),
            None => in_blocks(&row.from.outside, self.source),
        };
        let to = match self.to {
            Some(interface) => row.to.interfaces.contains(&End {
                interface,
                address: self.destination,
            }),
            None => in_blocks(&row.to.outside, self.destination),
        };
        from && to && row.services.contains(self.protocol, self.selector, named)
    }

    fn to_itself(self) -> bool {
        self.from.is_some_and(|end| Some(end.interface) == self.to)
    }
}

fn everything(snapshot: &Snapshot) -> Reach {
    reach(snapshot, &EVERYBODY, &EVERYBODY, MOST).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn the_walk_agrees_about_every_packet(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.network.snapshot();
        let all = everything(&snapshot);
        for _ in 0..300 {
            let sample = Sample::random(&world, &snapshot, &mut dice);
            if sample.to_itself() {
                continue;
            }
            let said = all.rows.iter().any(|row| sample.is_in(row, &all.named));
            prop_assert_eq!(said, sample.passes(&snapshot), "{:?}", sample);
        }
        // From each row, one packet at the edge of each range.
        for row in &all.rows {
            for sample in edges(&all, row, &mut dice) {
                prop_assert!(sample.to_itself() || sample.passes(&snapshot), "{:?} {:?}", sample, row);
            }
        }
    }

    #[test]
    fn a_difference_is_what_the_walk_says_before_and_after(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let before = world.network.snapshot();
        let after = before.apply(2, &changes(&world, &mut dice));
        let found = difference(&before, &after, &EVERYBODY, &EVERYBODY, MOST).unwrap();
        let named = everything(&before).named;
        prop_assert_eq!(&named, &everything(&after).named);
        for _ in 0..300 {
            let sample = Sample::random(&world, &before, &mut dice);
            if sample.to_itself() {
                continue;
            }
            let is_in = |rows: &[Row]| rows.iter().any(|row| sample.is_in(row, &named));
            let (was, is) = (sample.passes(&before), sample.passes(&after));
            prop_assert_eq!(is_in(&found.gained), is && !was, "{:?}", sample);
            prop_assert_eq!(is_in(&found.lost), was && !is, "{:?}", sample);
        }
    }
}

fn edges(all: &Reach, row: &Row, dice: &mut Dice) -> Vec<Sample> {
    let side = |dice: &mut Dice, interfaces: &[End], outside: &[Cidr]| -> (Option<End>, IpAddr) {
        if interfaces.is_empty() {
            let block = dice.pick(outside);
            (
                None,
                if dice.percent(50) {
                    block.network()
                } else {
                    block.last()
                },
            )
        } else {
            let end = dice.pick(interfaces);
            (Some(end), end.address)
        }
    };
    let (from, source) = side(dice, &row.from.interfaces, &row.from.outside);
    let (to, destination) = side(dice, &row.to.interfaces, &row.to.outside);
    let mut samples = Vec::new();
    for protocol in [proto::TCP, proto::UDP, proto::ICMP, 47, 50] {
        for &selector in PORTS.iter().chain(&[0x0800, 0x0304, 84, 444, 65535]) {
            let sample = Sample {
                from,
                source,
                to: to.map(|end| end.interface),
                destination,
                protocol,
                selector,
            };
            if sample.is_in(row, &all.named) {
                samples.push(sample);
            }
        }
    }
    samples
}

/// Some groups lose or gain rules, some routes go, some interfaces change groups.
fn changes(world: &World, dice: &mut Dice) -> Vec<Change> {
    let mut changes = Vec::new();
    for object in &world.network.objects {
        if !dice.percent(15) {
            continue;
        }
        let mut object = object.clone();
        if let Object::SecurityGroup(group) = &mut object {
            std::mem::swap(&mut group.ingress, &mut group.egress);
        } else if let Object::RouteTable(table) = &mut object {
            table.routes.truncate(1);
        } else if let Object::NetworkAcl(acl) = &mut object {
            acl.ingress.reverse();
            acl.ingress
                .iter_mut()
                .zip(1..)
                .for_each(|(entry, number)| entry.number = number);
        } else if let Object::Interface(interface) = &mut object {
            interface.groups.truncate(1);
            interface.source_dest_check ^= true;
        } else {
            continue;
        }
        changes.push(Change::Put(object));
    }
    changes
}

#[test]
fn what_the_internet_can_open() {
    let network = topology::text::parse(
        "uplink 203.0.113.0/24 host 203.0.113.1 internet
        vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
          table public
            route 0.0.0.0/0 igw a
          subnet a 10.0.1.0/24 table public
          subnet b 10.0.2.0/24
          group web
            in tcp 80 from 0.0.0.0/0
            in tcp 22 from 198.51.100.0/24
            in icmp 8 from 0.0.0.0/0
          group db
            in tcp 3306 from web
          interface w1 subnet a address 10.0.1.4 groups web
          interface w2 subnet a address 10.0.1.5 groups web
          interface d subnet b address 10.0.2.4 groups db
          elastic w1 203.0.113.5 interface w1
          elastic d 203.0.113.6 interface d",
    )
    .unwrap();
    let all = reach(
        &network.snapshot(),
        &[Place::Internet],
        &[Place::Everybody],
        MOST,
    )
    .unwrap();
    let said: Vec<String> = all
        .rows
        .iter()
        .map(|row| {
            let services: Vec<String> = row
                .services
                .list()
                .iter()
                .map(ToString::to_string)
                .collect();
            let ends: Vec<String> = row
                .to
                .interfaces
                .iter()
                .map(|end| format!("{} {}", network.name(end.interface.into()), end.address))
                .collect();
            format!(
                "{} from {} blocks: {}",
                ends.join(", "),
                row.from.outside.len(),
                services.join("; ")
            )
        })
        .collect();
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(
        said.contains(&"eni w1 203.0.113.5 from 1 blocks: tcp 22,80; icmp 8".to_owned()),
        "{said:#?}"
    );
    assert!(
        said.iter()
            .any(|row| row.ends_with("blocks: tcp 80; icmp 8")),
        "{said:#?}"
    );
    let few = reach(
        &network.snapshot(),
        &[Place::Internet],
        &[Place::Everybody],
        3,
    );
    assert!(few.unwrap_err().to_string().contains("more than 3 walks"));
}
