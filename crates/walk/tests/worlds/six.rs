//! The same networks once more with IPv6 beside IPv4: every address, block and rule has a twin.
//!
//! What the rules say of a packet they say of its twin, and the twins change nothing for IPv4. Only what IPv6 does
//! otherwise is left out: gateways, which translate none of its addresses, and broadcast addresses, which it has not.

use std::net::{IpAddr, Ipv6Addr};

use topology::{Object, Peer, ProtocolMatch, Snapshot};
use types::{Cidr, FlowTuple, proto};
use walk::{Decision, Delivery, FlowState, Origin, Packet, Step};

use crate::world::{Dice, World};
use crate::{Case, for_seeds, from_environment};

const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);

fn twin(address: IpAddr) -> IpAddr {
    let IpAddr::V4(v4) = address else {
        panic!("the networks have IPv4 only")
    };
    let low = u128::from(v4.to_bits());
    IpAddr::V6(if v4.is_broadcast() {
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
    } else if v4.is_link_local() {
        Ipv6Addr::from_bits((0xfe80 << 112) | low)
    } else {
        Ipv6Addr::from_bits(NETWORK.to_bits() | low)
    })
}

fn twin_block(block: Cidr) -> Cidr {
    if block == Cidr::ALL_V4 {
        return Cidr::ALL_V6;
    }
    Cidr::containing(twin(block.network()), block.length() + 96).unwrap()
}

fn twin_icmp((kind, code): (u8, u8)) -> (u8, u8) {
    let kind = match kind {
        8 => 128,
        0 => 129,
        other => other,
    };
    (kind, code)
}

fn twin_protocol(number: u8) -> u8 {
    if number == proto::ICMP {
        proto::ICMPV6
    } else {
        number
    }
}

fn twin_match(protocol: ProtocolMatch) -> ProtocolMatch {
    match protocol {
        ProtocolMatch::Icmp(number, mut icmp) => {
            icmp.kind = icmp.kind.map(|kind| twin_icmp((kind, 0)).0);
            ProtocolMatch::Icmp(twin_protocol(number), icmp)
        }
        ProtocolMatch::Number(number) => ProtocolMatch::Number(twin_protocol(number)),
        other => other,
    }
}

fn twin_tuple(tuple: FlowTuple) -> FlowTuple {
    FlowTuple {
        source: twin(tuple.source),
        destination: twin(tuple.destination),
        protocol: twin_protocol(tuple.protocol),
        ..tuple
    }
}

/// Gives everything in a network its twin.
fn extend(objects: &mut [Object]) {
    for object in objects {
        match object {
            Object::Vpc(vpc) => {
                let blocks: Vec<Cidr> = vpc.cidrs.iter().map(|block| twin_block(*block)).collect();
                vpc.cidrs.extend(blocks);
            }
            Object::Subnet(subnet) => subnet.ipv6 = Some(twin_block(subnet.cidr)),
            Object::Interface(interface) => {
                let twins: Vec<IpAddr> = interface.addresses.iter().map(|a| twin(*a)).collect();
                interface.addresses.extend(twins);
            }
            Object::RouteTable(table) => {
                for mut route in table.routes.clone() {
                    route.destination = twin_block(route.destination);
                    table.routes.push(route);
                }
            }
            Object::TransitRouteTable(table) => {
                for mut route in table.routes.clone() {
                    route.destination = twin_block(route.destination);
                    table.routes.push(route);
                }
            }
            Object::TransitAttachment(attachment) => attachment.ipv6 = true,
            Object::SecurityGroup(group) => {
                for rules in [&mut group.ingress, &mut group.egress] {
                    for mut rule in rules.clone() {
                        rule.protocol = twin_match(rule.protocol);
                        if let Peer::Cidr(cidr) = rule.peer {
                            rule.peer = Peer::Cidr(twin_block(cidr));
                        }
                        rules.push(rule);
                    }
                }
            }
            Object::NetworkAcl(acl) => {
                for entries in [&mut acl.ingress, &mut acl.egress] {
                    for mut entry in entries.clone() {
                        entry.protocol = twin_match(entry.protocol);
                        entry.cidr = twin_block(entry.cidr);
                        entries.push(entry);
                    }
                }
            }
            _ => {}
        }
    }
}

fn twin_decision(decision: Decision) -> Result<Delivery, types::DropReason> {
    match decision {
        Decision::Deliver(delivery) => Ok(Delivery {
            tuple: twin_tuple(delivery.tuple),
            ..delivery
        }),
        Decision::Drop(dropped) => Err(dropped.reason),
    }
}

fn found(decision: Decision) -> Result<Delivery, types::DropReason> {
    match decision {
        Decision::Deliver(delivery) => Ok(delivery),
        Decision::Drop(dropped) => Err(dropped.reason),
    }
}

/// Whether the twin of a packet may go the same way.
fn is_alike(case: &Case) -> bool {
    let gateway = |step| {
        matches!(
            step,
            Step::InternetGateway | Step::NatGateway | Step::Endpoint
        )
    };
    let last = match case.packet.tuple.destination {
        IpAddr::V4(v4) => v4.octets()[3] & 15 == 15 && !v4.is_broadcast(),
        IpAddr::V6(_) => true,
    };
    matches!(case.origin, Origin::Interface(_))
        && !matches!(case.flow, FlowState::Translated(..))
        && !case.trace.lines.iter().any(|line| gateway(line.step))
        && !last
}

fn check(case: &Case, both: &Snapshot) {
    let again = Case::new(both, case.origin, case.packet, case.flow);
    assert_eq!(
        found(again.decision),
        found(case.decision),
        "{:?}",
        case.packet
    );
    if !is_alike(case) {
        return;
    }
    let packet = Packet {
        tuple: twin_tuple(case.packet.tuple),
        icmp: case.packet.icmp.map(twin_icmp),
    };
    let other = Case::new(both, case.origin, packet, case.flow);
    assert_eq!(
        found(other.decision),
        twin_decision(case.decision),
        "{:?}\n{:#?}\n{packet:?}\n{:#?}",
        case.packet,
        case.trace,
        other.trace
    );
}

#[test]
fn both_families_are_decided_alike() {
    let worlds = from_environment("POLDER_WORLDS", 100_000) / 10;
    let first = crate::first_seed();
    for_seeds(first..first + worlds.max(1), |seed| {
        let mut dice = Dice::new(seed);
        let mut world = World::random(&mut dice);
        // An appliance's flows are spread by their addresses, which twins do not share.
        for object in &mut world.objects {
            if let Object::TransitAttachment(attachment) = object {
                attachment.appliance_mode = false;
            }
        }
        let snapshot = world.snapshot();
        let cases = crate::cases(&world, &snapshot, &mut dice, 10);
        extend(&mut world.objects);
        let both = world.snapshot();
        for case in &cases {
            check(case, &both);
        }
    });
}
