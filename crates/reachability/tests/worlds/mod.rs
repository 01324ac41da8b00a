//! Random networks, small enough that things meet: three VPCs, peered and behind a transit gateway, some public.

use std::fmt::Write as _;

use topology::text::{Network, parse};
use types::InterfaceId;

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

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

pub(crate) struct World {
    pub(crate) network: Network,
    /// Interface names.
    pub(crate) interfaces: Vec<String>,
}

const PROTOCOLS: [&str; 12] = [
    "all",
    "all",
    "all",
    "tcp *",
    "tcp 22",
    "tcp 80-90",
    "tcp 85-443",
    "udp 53",
    "icmp 8",
    "icmp *",
    "icmp 3/4",
    "protocol 47",
];
const BLOCKS: [&str; 9] = [
    "0.0.0.0/0",
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.2.0.0/16",
    "10.1.1.0/28",
    "10.1.1.4/32",
    "203.0.113.1/32",
    "198.51.100.0/24",
];
pub(crate) const PORTS: [u16; 9] = [0, 22, 53, 79, 80, 85, 90, 91, 443];
pub(crate) const OUTSIDE: [&str; 3] = ["203.0.113.1", "198.51.100.7", "192.0.2.9"];

impl World {
    pub(crate) fn random(dice: &mut Dice) -> World {
        let mut text = String::new();
        let mut names = Vec::new();
        let internet = if dice.percent(70) { " internet" } else { "" };
        let _ = writeln!(text, "uplink 203.0.113.0/24 host 203.0.113.1{internet}");
        let mut elastic = 10;
        for vpc in 1..=3 {
            let gateway = if dice.percent(70) {
                format!(" gateway g{vpc}")
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "vpc v{vpc} account 111111111111 cidr 10.{vpc}.0.0/16{gateway}"
            );
            for table in 1..=2 {
                let _ = writeln!(text, "table t{vpc}{table}");
                let mut taken = Vec::new();
                for _ in 0..dice.below(4) {
                    let block = dice.pick(&[
                        "0.0.0.0/0",
                        "10.0.0.0/8",
                        "10.1.0.0/16",
                        "10.2.0.0/16",
                        "10.3.0.0/16",
                        "198.51.100.0/24",
                    ]);
                    let own = format!("10.{vpc}.0.0/16");
                    if taken.contains(&block) || block == own {
                        continue;
                    }
                    taken.push(block);
                    let target = match dice.below(10) {
                        0 => "blackhole".to_owned(),
                        1 => format!("eni m{vpc}"),
                        2 | 3 => format!("nat n{vpc}"),
                        4 => "pcx p12".to_owned(),
                        5 => "tgw hub".to_owned(),
                        6 => "igw lost".to_owned(),
                        _ => format!("igw g{vpc}"),
                    };
                    let _ = writeln!(text, "route {block} {target}");
                }
            }
            for acl in 1..=2 {
                let _ = writeln!(text, "acl a{vpc}{acl}");
                for side in ["in", "out"] {
                    let word = if side == "in" { "from" } else { "to" };
                    let dense = dice.percent(10);
                    for number in 1..=dice.below(4) {
                        let number = if dense { number } else { number * 10 };
                        let action = if dice.percent(40) { "deny" } else { "allow" };
                        let (protocol, block) = (dice.pick(&PROTOCOLS), dice.pick(&BLOCKS));
                        let _ =
                            writeln!(text, "{side} {number} {action} {protocol} {word} {block}");
                    }
                    if dice.percent(70) {
                        let _ = writeln!(text, "{side} 100 allow all {word} 0.0.0.0/0");
                    }
                }
            }
            for group in 1..=3 {
                let _ = writeln!(text, "group s{vpc}{group}");
                for side in ["in", "out"] {
                    let word = if side == "in" { "from" } else { "to" };
                    for _ in 0..dice.below(3) {
                        let protocol = dice.pick(&PROTOCOLS);
                        let peer = if dice.percent(40) {
                            format!("s{}{}", 1 + dice.below(3), 1 + dice.below(3))
                        } else {
                            dice.pick(&BLOCKS).to_owned()
                        };
                        let _ = writeln!(text, "{side} {protocol} {word} {peer}");
                    }
                }
                if dice.percent(60) {
                    let _ = writeln!(text, "out all to 0.0.0.0/0");
                }
            }
            for subnet in 1..=3 {
                let zone = dice.pick(&["us-east-1a", "us-east-1b"]);
                let table = if dice.percent(75) {
                    format!(" table t{vpc}{}", 1 + dice.below(2))
                } else {
                    String::new()
                };
                let acl = if dice.percent(60) {
                    format!(" acl a{vpc}{}", 1 + dice.below(2))
                } else {
                    String::new()
                };
                let _ = writeln!(
                    text,
                    "subnet u{vpc}{subnet} 10.{vpc}.{subnet}.0/28{table}{acl} zone {zone}"
                );
            }
            let _ = writeln!(
                text,
                "interface i{vpc}nat subnet u{vpc}1 address 10.{vpc}.1.14 detached"
            );
            let _ = writeln!(text, "nat n{vpc} subnet u{vpc}1 interface i{vpc}nat");
            if dice.percent(60) {
                let _ = writeln!(
                    text,
                    "elastic e{elastic} 203.0.113.{elastic} interface i{vpc}nat"
                );
                elastic += 1;
            }
            let _ = writeln!(
                text,
                "interface m{vpc} subnet u{vpc}2 address 10.{vpc}.2.13 groups s{vpc}1 unchecked"
            );
            for number in 4..7 {
                let name = format!("i{vpc}{number}");
                let subnet = 1 + dice.below(3);
                let mut groups = format!("s{vpc}{}", 1 + dice.below(3));
                if dice.percent(30) {
                    let _ = write!(groups, ",s{vpc}{}", 1 + dice.below(3));
                }
                let check = if dice.percent(10) { " unchecked" } else { "" };
                let _ = writeln!(
                    text,
                    "interface {name} subnet u{vpc}{subnet} address 10.{vpc}.{subnet}.{number} groups {groups}{check}"
                );
                if dice.percent(50) {
                    let _ = writeln!(
                        text,
                        "elastic e{elastic} 203.0.113.{elastic} interface {name}"
                    );
                    elastic += 1;
                }
                names.push(name);
            }
            let references = if dice.percent(50) { " references" } else { "" };
            let table = if dice.percent(80) { " table main" } else { "" };
            let _ = writeln!(
                text,
                "attachment at{vpc} tgw hub subnets u{vpc}3{table}{references}"
            );
        }
        text.push_str("peering p12 v1 v2\ntransit main tgw hub\n");
        for vpc in 1..=3 {
            if dice.percent(60) {
                let _ = writeln!(text, "to 10.{vpc}.0.0/16 at{vpc} propagated");
            }
        }
        if dice.percent(30) {
            let way = dice.pick(&["at1", "at3", "blackhole"]);
            let _ = writeln!(text, "to 0.0.0.0/0 {way}");
        }
        World {
            network: parse(&text).unwrap(),
            interfaces: names,
        }
    }

    pub(crate) fn interface(&self, dice: &mut Dice) -> InterfaceId {
        let name = &self.interfaces[dice.below(self.interfaces.len())];
        self.network.interface(name)
    }
}
