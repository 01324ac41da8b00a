//! Walks as text: a network, packets, and what the walk says about each. `tests/fixtures/README.md` has the language.
//!
//! `UPDATE=1 cargo test -p walk --test fixtures` writes what the walk says now into the files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use topology::Object;
use topology::text::{Network, parse};
use types::{DropReason, FlowTuple, ObjectId, proto};
use walk::{
    Decision, Egress, FlowState, Line, Origin, Outcome, Packet, Recorder, RuleRef, Step, walk,
};

#[test]
fn fixtures() {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    names.sort();
    let update = std::env::var_os("UPDATE").is_some();
    let mut seen = Seen::default();
    let mut wrong = Vec::new();
    for name in names {
        let text = std::fs::read_to_string(&name).unwrap();
        let now = check(&text, &mut seen);
        if now != text && update {
            std::fs::write(&name, &now).unwrap();
        } else if now != text {
            wrong.push(format!("{}\n{}", name.display(), difference(&text, &now)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    seen.is_everything();
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn difference(wanted: &str, found: &str) -> String {
    let mut text = String::new();
    let (mut wanted, mut found) = (wanted.lines(), found.lines());
    loop {
        let (w, f) = (wanted.next(), found.next());
        if w.is_none() && f.is_none() {
            return text;
        }
        if w == f {
            continue;
        }
        for (sign, line) in [("-", w), ("+", f)] {
            if let Some(line) = line {
                let _ = writeln!(text, "{sign} {line}");
            }
        }
    }
}

/// What all fixtures together have shown.
#[derive(Default)]
struct Seen {
    reasons: BTreeSet<DropReason>,
    steps: BTreeSet<Step>,
    delivered: BTreeSet<&'static str>,
    packets: usize,
}

impl Seen {
    fn is_everything(&self) {
        use DropReason as R;
        let walks = [
            R::MalformedFrame,
            R::SpoofedAddress,
            R::BroadcastOrMulticast,
            R::NoInterface,
            R::SecurityGroupEgress,
            R::SecurityGroupIngress,
            R::NoRoute,
            R::BlackholeRoute,
            R::NoSuchAddress,
            R::DestinationCheck,
            R::NoPublicAddress,
            R::UnassociatedPublicAddress,
            R::NoInternetGateway,
            R::NoReturnRoute,
            R::Ipv6NotAssigned,
            R::NotAService,
            R::NotAttached,
            R::UplinkClosed,
            R::NetworkAcl,
            R::EdgeToEdge,
            R::NoAttachmentInZone,
            R::RoutingLoop,
            R::NoTranslation,
            R::TranslatedTwice,
            R::PublicAccessBlocked,
            R::EgressOnly,
        ];
        assert_eq!(self.reasons, BTreeSet::from(walks));
        assert_eq!(self.steps.len(), 15, "{:?}", self.steps);
        let ways = [
            "egress-only",
            "egress-only reply",
            "forwarded",
            "global",
            "hairpin",
            "in",
            "local",
            "local reply",
            "out",
            "peering",
            "service",
            "service reply",
            "transit",
            "translated",
            "translated reply",
        ];
        assert_eq!(self.delivered, BTreeSet::from(ways));
        assert!(self.packets >= 25);
    }

    fn note(
        &mut self,
        origin: Origin,
        packet: &Packet,
        flow: FlowState,
        trace: &Recorder,
        decision: Decision,
    ) {
        self.packets += 1;
        self.steps.extend(trace.lines.iter().map(|line| line.step));
        let delivery = match decision {
            Decision::Drop(dropped) => {
                self.reasons.insert(dropped.reason);
                return;
            }
            Decision::Deliver(delivery) => delivery,
        };
        let translations = trace
            .lines
            .iter()
            .filter(|line| matches!(line.rule, Some(RuleRef::Translation(..))))
            .count();
        let routed = trace.lines.iter().any(|line| {
            matches!(line.rule, Some(RuleRef::Route(route)) if matches!(route.target, topology::Target::Interface(_)))
        });
        let step = |step| trace.lines.iter().any(|line| line.step == step);
        let way = match (origin, delivery.egress, translations) {
            _ if step(Step::Endpoint) && flow != FlowState::New => "service reply",
            _ if step(Step::Endpoint) => "service",
            _ if step(Step::NatGateway) && flow != FlowState::New => "translated reply",
            _ if step(Step::NatGateway) => "translated",
            _ if step(Step::EgressOnlyGateway) && flow != FlowState::New => "egress-only reply",
            _ if step(Step::EgressOnlyGateway) => "egress-only",
            _ if step(Step::InternetGateway) && packet.tuple.source.is_ipv6() => "global",
            _ if step(Step::TransitGateway) => "transit",
            _ if step(Step::Peering) => "peering",
            (Origin::Uplink, Egress::Interface(_), 1) => "in",
            (Origin::Interface(_), Egress::Uplink, 1) => "out",
            (Origin::Interface(_), Egress::Interface(_), 2) => "hairpin",
            (Origin::Interface(_), Egress::Interface(_), 0) if routed => "forwarded",
            (Origin::Interface(_), Egress::Interface(_), 0) if flow != FlowState::New => {
                "local reply"
            }
            (Origin::Interface(_), Egress::Interface(_), 0) => "local",
            other => panic!("{packet:?} went an unknown way: {other:?}"),
        };
        self.delivered.insert(way);
    }
}

/// The fixture with the expectations that hold now. Everything else, comments too, stays as it is.
fn check(fixture: &str, seen: &mut Seen) -> String {
    let border = fixture
        .find("\n> ")
        .map_or(fixture.len(), |newline| newline + 1);
    let (topology, packets) = fixture.split_at(border);
    let network = parse(topology).unwrap_or_else(|error| panic!("{error}"));
    let snapshot = network.snapshot();
    let mut text = topology.to_owned();
    for line in packets.lines() {
        if line.starts_with("  ") {
            continue;
        }
        let _ = writeln!(text, "{line}");
        let Some(packet) = line.strip_prefix("> ") else {
            continue;
        };
        let (origin, packet, flow) =
            read_packet(&network, packet).unwrap_or_else(|| panic!("no packet: `{line}`"));
        let mut trace = Recorder::default();
        let decision = walk(&snapshot, origin, &packet, flow, &mut trace);
        seen.note(origin, &packet, flow, &trace, decision);
        write_walk(&mut text, &network, &trace, decision);
    }
    text
}

/// `ORIGIN tcp|udp ADDRESS:PORT ADDRESS:PORT [reply ORIGIN]`, `ORIGIN icmp|icmpv6 TYPE/CODE ADDRESS ADDRESS
/// [reply ORIGIN]`,
/// `ORIGIN protocol NUMBER ADDRESS ADDRESS [reply ORIGIN]`.
fn read_packet(network: &Network, text: &str) -> Option<(Origin, Packet, FlowState)> {
    let mut words = text.split_whitespace();
    let origin = match words.next()? {
        "uplink" => Origin::Uplink,
        name => Origin::Interface(network.interface(name)),
    };
    let kind = words.next()?;
    let (tuple, icmp) = match kind {
        "tcp" | "udp" => {
            let from: std::net::SocketAddr = words.next()?.parse().ok()?;
            let to: std::net::SocketAddr = words.next()?.parse().ok()?;
            let tuple = FlowTuple {
                source: from.ip(),
                destination: to.ip(),
                protocol: if kind == "tcp" {
                    proto::TCP
                } else {
                    proto::UDP
                },
                source_port: from.port(),
                destination_port: to.port(),
            };
            (tuple, None)
        }
        "icmp" | "icmpv6" | "protocol" => {
            let detail = words.next()?;
            let mut tuple = FlowTuple {
                protocol: if kind == "icmp" {
                    proto::ICMP
                } else {
                    proto::ICMPV6
                },
                source: words.next()?.parse().ok()?,
                destination: words.next()?.parse().ok()?,
                source_port: 0,
                destination_port: 0,
            };
            if kind == "protocol" {
                tuple.protocol = detail.parse().ok()?;
                (tuple, None)
            } else {
                let (number, code) = detail.split_once('/')?;
                let icmp: (u8, u8) = (number.parse().ok()?, code.parse().ok()?);
                match icmp.0 {
                    8 | 128 => tuple.source_port = 7,
                    0 | 129 => tuple.destination_port = 7,
                    _ => {}
                }
                (tuple, Some(icmp))
            }
        }
        _ => return None,
    };
    let flow = match words.next() {
        None => FlowState::New,
        Some("reply") => {
            let opener = match words.next()? {
                "uplink" => Origin::Uplink,
                name => Origin::Interface(network.interface(name)),
            };
            match words.next() {
                None => FlowState::Reply(opener),
                Some("nat") => {
                    let by = walk::Translator::NatGateway(network.nat_gateway(words.next()?));
                    let end = |text: &str| {
                        let end: std::net::SocketAddr = text.parse().ok()?;
                        Some(walk::End {
                            address: end.ip(),
                            port: end.port(),
                        })
                    };
                    let inside = end(words.next()?)?;
                    let outside = end(words.next()?)?;
                    let translation = walk::Translation {
                        by,
                        inside,
                        outside,
                        service: None,
                    };
                    FlowState::Translated(opener, translation)
                }
                Some("endpoint") => {
                    let by = walk::Translator::Endpoint(network.endpoint(words.next()?));
                    let interface = network.interface(words.next()?);
                    let end = |text: &str| {
                        let end: std::net::SocketAddr = text.parse().ok()?;
                        Some(walk::End {
                            address: end.ip(),
                            port: end.port(),
                        })
                    };
                    let inside = end(words.next()?)?;
                    let named = end(words.next()?)?;
                    let outside = end(words.next()?)?;
                    let backend = end(words.next()?)?;
                    let translation = walk::Translation {
                        by,
                        inside,
                        outside,
                        service: Some(walk::Service {
                            interface,
                            named,
                            backend,
                        }),
                    };
                    FlowState::Translated(opener, translation)
                }
                Some(_) => return None,
            }
        }
        Some(_) => return None,
    };
    Some((origin, Packet { tuple, icmp }, flow))
}

fn write_walk(text: &mut String, network: &Network, trace: &Recorder, decision: Decision) {
    for line in &trace.lines {
        write_line(text, network, line);
    }
    let _ = match decision {
        Decision::Drop(dropped) => {
            let last = trace.lines.last().unwrap();
            assert_eq!(
                (last.step, last.object, last.rule, last.outcome),
                (
                    dropped.step,
                    dropped.object,
                    dropped.rule,
                    Outcome::Drop(dropped.reason)
                ),
                "the last line says what the decision says",
            );
            writeln!(text, "  = dropped: {}", dropped.reason)
        }
        Decision::Deliver(delivery) => {
            let at = match delivery.egress {
                Egress::Uplink => "uplink".to_owned(),
                Egress::Interface(id) => network.name(id.into()),
            };
            writeln!(text, "  = delivered at {at}: {}", delivery.tuple)
        }
    };
    let depends: Vec<String> = trace.depends.iter().map(|id| network.name(*id)).collect();
    let _ = writeln!(text, "  depends on {}", depends.join(", "));
}

fn write_line(text: &mut String, network: &Network, line: &Line) {
    let name = |id: ObjectId| network.name(id);
    let object = line.object.map_or("-".to_owned(), name);
    let rule = line
        .rule
        .map_or("-".to_owned(), |r| rule(network, line.object, r));
    let outcome = match line.outcome {
        Outcome::Pass => "pass".to_owned(),
        Outcome::Drop(reason) => format!("DROP {reason}"),
    };
    let step = line.step.name();
    let _ = writeln!(text, "  {step:<23} {object:<15} {rule:<33} {outcome}");
}

fn rule(network: &Network, object: Option<ObjectId>, rule: RuleRef) -> String {
    match rule {
        RuleRef::AclEntry(Some(number)) => format!("entry {number}"),
        RuleRef::AclEntry(None) => "entry *".to_owned(),
        RuleRef::Translation(from, to) => format!("{from} => {to}"),
        RuleRef::Route(route) => {
            let target = match route.target {
                topology::Target::Local => "local".to_owned(),
                topology::Target::Blackhole => "blackhole".to_owned(),
                topology::Target::InternetGateway(id) => network.name(id.into()),
                topology::Target::EgressOnlyGateway(id) => network.name(id.into()),
                topology::Target::Interface(id) => network.name(id.into()),
                topology::Target::NatGateway(id) => network.name(id.into()),
                topology::Target::Peering(id) => network.name(id.into()),
                topology::Target::TransitGateway(id) => network.name(id.into()),
            };
            format!("{} -> {target}", route.destination)
        }
        RuleRef::TransitRoute(destination) => {
            let table = network.objects.iter().find_map(|found| {
                let topology::Object::TransitRouteTable(table) = found else {
                    return None;
                };
                (Some(found.id()) == object).then_some(table)
            });
            let route = table.and_then(|table| {
                let found = |route: &&topology::TransitRoute| route.destination == destination;
                let rank = |route: &&topology::TransitRoute| {
                    (route.is_static, std::cmp::Reverse(route.attachment))
                };
                table.routes.iter().filter(found).max_by_key(rank)
            });
            let target = match route.and_then(|route| route.attachment) {
                Some(id) => network.name(id.into()),
                None => "blackhole".to_owned(),
            };
            format!("{destination} -> {target}")
        }
        RuleRef::GroupRule(id) => {
            let rules = network.objects.iter().flat_map(|object| {
                let Object::SecurityGroup(group) = object else {
                    return Vec::new();
                };
                let inbound = group.ingress.iter().map(|rule| ("from", rule));
                let outbound = group.egress.iter().map(|rule| ("to", rule));
                inbound.chain(outbound).collect()
            });
            let (toward, rule) = rules.into_iter().find(|(_, rule)| rule.id == id).unwrap();
            let peer = match rule.peer {
                topology::Peer::Cidr(cidr) => cidr.to_string(),
                topology::Peer::Group(group) => network.name(group.into()),
            };
            format!("{} {toward} {peer}", rule.protocol)
        }
    }
}
