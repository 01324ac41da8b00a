//! What a report suggests does open the path: its calls are made one after the other, here, by what EC2's reference
//! says about them, in random networks.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "../worlds/mod.rs"]
mod worlds;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;

use proptest::prelude::*;
use reachability::{Call, Query, Report, Source, Verdict, explain};
use serde_json::Value;
use topology::{
    AclEntry, Change, IcmpMatch, Object, Peer, ProtocolMatch, PublicAddress, Route, Rule, Snapshot,
    Target, TransitRoute,
};
use types::{AllocationId, Cidr, GatewayId, GroupRuleId, PortRange, proto};
use worlds::{Dice, OUTSIDE, PORTS, World};

/// Makes calls in a snapshot.
struct Region {
    snapshot: Snapshot,
    saved: BTreeMap<String, String>,
    serial: u128,
}

impl Region {
    fn text(&self, call: &Call, name: &str) -> String {
        let text = match &call.parameters[name] {
            Value::String(text) => text.clone(),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => other.to_string(),
        };
        self.known(&text)
    }

    /// The text with what an earlier call saved in its place.
    fn known(&self, text: &str) -> String {
        let Some(rest) = text.strip_prefix('$') else {
            return text.to_owned();
        };
        match rest.split_once('/') {
            Some((name, length)) => format!("{}/{length}", self.saved[name]),
            None => self.saved[rest].clone(),
        }
    }

    fn get<T: FromStr>(&self, call: &Call, name: &str) -> T
    where
        T::Err: std::fmt::Debug,
    {
        self.text(call, name).parse().unwrap()
    }

    fn put(&mut self, object: Object) {
        self.snapshot = self.snapshot.apply(2, &[Change::Put(object)]);
    }

    fn make(&mut self, call: &Call) {
        self.serial += 1;
        let snapshot = self.snapshot.clone();
        let fresh = 0xabc_0000 + self.serial;
        let mut reply = String::new();
        match call.action {
            "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => {
                let id = self.get(call, "GroupId");
                let (_, view) = snapshot
                    .vpcs()
                    .find(|(_, v)| v.group(id).is_some())
                    .unwrap();
                let mut group = view.group(id).unwrap().clone();
                let permission = &call.parameters["IpPermissions"][0];
                let rule = Rule {
                    id: GroupRuleId::from_bits(fresh),
                    protocol: permission_protocol(permission),
                    peer: match permission["IpRanges"][0]["CidrIp"].as_str() {
                        Some(block) => Peer::Cidr(self.known(block).parse().unwrap()),
                        None => {
                            let pair = &permission["UserIdGroupPairs"][0]["GroupId"];
                            Peer::Group(pair.as_str().unwrap().parse().unwrap())
                        }
                    },
                };
                if call.action.ends_with("Ingress") {
                    group.ingress.push(rule);
                } else {
                    group.egress.push(rule);
                }
                self.put(Object::SecurityGroup(group));
            }
            "CreateNetworkAclEntry" | "ReplaceNetworkAclEntry" => {
                let id = self.get(call, "NetworkAclId");
                let (_, view) = snapshot.vpcs().find(|(_, v)| v.acl(id).is_some()).unwrap();
                let mut acl = view.acl(id).unwrap().clone();
                let entries = if self.get(call, "Egress") {
                    &mut acl.egress
                } else {
                    &mut acl.ingress
                };
                let number: u16 = self.get(call, "RuleNumber");
                let before = entries.iter().position(|entry| entry.number == number);
                assert_eq!(
                    before.is_none(),
                    call.action.starts_with("Create"),
                    "{call:?}"
                );
                if let Some(before) = before {
                    entries.remove(before);
                }
                entries.push(AclEntry {
                    number,
                    allow: self.text(call, "RuleAction") == "allow",
                    protocol: entry_protocol(&call.parameters),
                    cidr: self.get(call, "CidrBlock"),
                });
                entries.sort_by_key(|entry| entry.number);
                self.put(Object::NetworkAcl(acl));
            }
            "ModifyNetworkInterfaceAttribute" => {
                let id = self.get(call, "NetworkInterfaceId");
                let mut interface = snapshot.interface(id).unwrap().clone();
                interface.source_dest_check = call.parameters["SourceDestCheck"]["Value"]
                    .as_bool()
                    .unwrap();
                self.put(Object::Interface(interface));
            }
            "CreateRoute" | "ReplaceRoute" => self.route(call),
            "CreateInternetGateway" => reply = GatewayId::from_bits(fresh).to_string(),
            "AttachInternetGateway" => {
                let (gateway, vpc) = (self.get(call, "InternetGatewayId"), self.get(call, "VpcId"));
                let mut vpc = snapshot.vpc(vpc).unwrap().vpc.clone().unwrap();
                assert_eq!(vpc.internet_gateway, None);
                vpc.internet_gateway = Some(gateway);
                self.put(Object::Vpc(vpc));
            }
            "AllocateAddress" => reply = AllocationId::from_bits(fresh).to_string(),
            "DescribeAddresses" => {
                let allocation = call.parameters["AllocationIds"][0].as_str().unwrap();
                reply = self.public(&self.known(allocation)).to_string();
            }
            "AssociateAddress" => {
                let public = self.public(&self.text(call, "AllocationId"));
                self.put(Object::PublicAddress(PublicAddress {
                    allocation: self.get(call, "AllocationId"),
                    public,
                    interface: self.get(call, "NetworkInterfaceId"),
                    private: self.get(call, "PrivateIpAddress"),
                }));
            }
            "ModifyTransitGatewayVpcAttachment" => {
                let id = self.get(call, "TransitGatewayAttachmentId");
                let mut attachment = snapshot.transit_attachment(id).unwrap().clone();
                let subnet = call.parameters["AddSubnetIds"][0].as_str().unwrap();
                attachment.subnets.push(subnet.parse().unwrap());
                self.put(Object::TransitAttachment(attachment));
            }
            "AssociateTransitGatewayRouteTable" => {
                let id = self.get(call, "TransitGatewayAttachmentId");
                let mut attachment = snapshot.transit_attachment(id).unwrap().clone();
                attachment.route_table = Some(self.get(call, "TransitGatewayRouteTableId"));
                self.put(Object::TransitAttachment(attachment));
            }
            "CreateTransitGatewayRoute" | "ReplaceTransitGatewayRoute" => {
                let id = self.get(call, "TransitGatewayRouteTableId");
                let mut table = snapshot.transit_table(id).unwrap().clone();
                let destination: Cidr = self.get(call, "DestinationCidrBlock");
                let same =
                    |route: &TransitRoute| route.is_static && route.destination == destination;
                let replaces = table.routes.iter().any(same);
                assert_eq!(replaces, call.action.starts_with("Replace"));
                table.routes.retain(|route| !same(route));
                table.routes.push(TransitRoute {
                    destination,
                    attachment: Some(self.get(call, "TransitGatewayAttachmentId")),
                    is_static: true,
                });
                self.put(Object::TransitRouteTable(table));
            }
            other => panic!("`{other}` is not made here"),
        }
        if let Some(save) = &call.save {
            self.saved.insert(save.name.clone(), reply);
        }
    }

    /// The public address of an allocation that no interface has yet.
    fn public(&self, allocation: &str) -> IpAddr {
        let allocation: AllocationId = allocation.parse().unwrap();
        let last = 240 - allocation.bits() % 32;
        format!("203.0.113.{last}").parse().unwrap()
    }

    fn route(&mut self, call: &Call) {
        let snapshot = self.snapshot.clone();
        let id = self.get(call, "RouteTableId");
        let view = snapshot
            .vpcs()
            .find(|(_, v)| v.route_table(id).is_some())
            .unwrap()
            .1;
        let mut table = view.route_table(id).unwrap().clone();
        let destination: Cidr = self.get(call, "DestinationCidrBlock");
        let has = |name: &str| call.parameters.get(name).is_some();
        let target = if has("GatewayId") {
            Target::InternetGateway(self.get(call, "GatewayId"))
        } else if has("NatGatewayId") {
            Target::NatGateway(self.get(call, "NatGatewayId"))
        } else if has("TransitGatewayId") {
            Target::TransitGateway(self.get(call, "TransitGatewayId"))
        } else {
            Target::Peering(self.get(call, "VpcPeeringConnectionId"))
        };
        let before = table
            .routes
            .iter()
            .position(|route| route.destination == destination);
        assert_eq!(
            before.is_none(),
            call.action.starts_with("Create"),
            "{call:?}"
        );
        if let Some(before) = before {
            assert_ne!(table.routes.remove(before).target, Target::Local);
        }
        table.routes.push(Route {
            destination,
            target,
        });
        self.put(Object::RouteTable(table));
    }
}

fn permission_protocol(permission: &Value) -> ProtocolMatch {
    let ports = || {
        let port = |name: &str| u16::try_from(permission[name].as_u64().unwrap()).unwrap();
        PortRange::new(port("FromPort"), port("ToPort")).unwrap()
    };
    match permission["IpProtocol"].as_str().unwrap() {
        "tcp" => ProtocolMatch::Ports(proto::TCP, ports()),
        "udp" => ProtocolMatch::Ports(proto::UDP, ports()),
        "icmp" => {
            let part = |name: &str| permission[name].as_u64().map(|n| u8::try_from(n).unwrap());
            ProtocolMatch::Icmp(
                proto::ICMP,
                IcmpMatch {
                    kind: part("FromPort"),
                    code: part("ToPort"),
                },
            )
        }
        other => ProtocolMatch::Number(other.parse().unwrap()),
    }
}

fn entry_protocol(parameters: &Value) -> ProtocolMatch {
    match parameters["Protocol"].as_str().unwrap() {
        "-1" => ProtocolMatch::Any,
        number @ ("6" | "17") => {
            let port = |name: &str| {
                u16::try_from(parameters["PortRange"][name].as_u64().unwrap()).unwrap()
            };
            let ports = PortRange::new(port("From"), port("To")).unwrap();
            ProtocolMatch::Ports(number.parse().unwrap(), ports)
        }
        "1" => {
            let part = |name: &str| {
                let number = parameters["IcmpTypeCode"][name].as_i64().unwrap();
                u8::try_from(number).ok()
            };
            ProtocolMatch::Icmp(
                proto::ICMP,
                IcmpMatch {
                    kind: part("Type"),
                    code: part("Code"),
                },
            )
        }
        other => ProtocolMatch::Number(other.parse().unwrap()),
    }
}

/// Mostly an address that an interface has.
fn address(world: &World, dice: &mut Dice) -> IpAddr {
    let snapshot = world.network.snapshot();
    let id = world.interface(dice);
    let private = snapshot.interface(id).unwrap().addresses[0];
    let public = snapshot
        .public_of(id, private)
        .map(|address| address.public);
    match dice.below(12) {
        0 => dice.pick(&OUTSIDE).parse().unwrap(),
        1 => "10.1.1.9".parse().unwrap(),
        2..5 => public.unwrap_or(private),
        _ => private,
    }
}

fn query(world: &World, dice: &mut Dice) -> Query {
    let source = if dice.percent(30) {
        Source::Outside(dice.pick(&OUTSIDE).parse().unwrap())
    } else {
        Source::Interface(world.interface(dice))
    };
    let protocol = dice.pick(&[proto::TCP, proto::TCP, proto::UDP, proto::ICMP, 47]);
    Query {
        everybody: dice.percent(20),
        ..Query::new(source, address(world, dice), protocol, dice.pick(&PORTS))
    }
}

/// What no call mends: who is asked does not exist, is not attached, or is the network's own.
const HOPELESS: [&str; 12] = [
    "no-such-address",
    "not-a-service",
    "unassociated-public-address",
    "uplink-closed",
    "edge-to-edge",
    "no-translation",
    "translated-twice",
    "routing-loop",
    "not-attached",
    "spoofed-address",
    "no-public-address",
    "blackhole-route",
];

fn check(snapshot: &Snapshot, query: &Query, report: &Report) {
    let blocked = matches!(report.verdict, Verdict::Blocked { .. });
    assert_eq!(blocked, !report.blockers.is_empty());
    if !report.opens {
        let last = report.blockers.last().unwrap();
        assert!(
            last.fix.is_empty() && HOPELESS.contains(&last.reason),
            "{report:#?}"
        );
        return;
    }
    let mut region = Region {
        snapshot: snapshot.clone(),
        saved: BTreeMap::new(),
        serial: 0,
    };
    let mut before: BTreeSet<(String, String)> = BTreeSet::new();
    for blocker in &report.blockers {
        // As long as a blocker's fix is not made, it is what blocks.
        let now = explain(&region.snapshot, query);
        let Verdict::Blocked { reason, .. } = now.verdict else {
            panic!("open before {blocker:#?}");
        };
        assert_eq!(reason, blocker.reason, "{report:#?}");
        assert!(!blocker.fix.is_empty());
        for call in &blocker.fix {
            assert!(
                before.insert((call.command.clone(), blocker.reason.to_owned())),
                "twice: {call:?}"
            );
            region.make(call);
        }
    }
    let after = explain(&region.snapshot, query);
    assert!(
        matches!(after.verdict, Verdict::Reachable { .. }),
        "{report:#?} {after:#?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn all_suggestions_together_open_the_path(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let snapshot = world.network.snapshot();
        for _ in 0..12 {
            let query = query(&world, &mut dice);
            check(&snapshot, &query, &explain(&snapshot, &query));
        }
    }
}

/// The property is worth something only if paths are blocked in many ways, by many things at once, and mended.
#[test]
fn the_random_paths_are_interesting() {
    let (mut actions, mut most, mut opened) = (BTreeMap::new(), 0, 0);
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        for _ in 0..12 {
            let report = explain(&world.network.snapshot(), &query(&world, &mut dice));
            if report.opens {
                most = most.max(report.blockers.len());
                opened += usize::from(!report.blockers.is_empty());
            }
            for call in report.blockers.iter().flat_map(|blocker| &blocker.fix) {
                *actions.entry(call.action).or_insert(0) += 1;
            }
        }
    }
    assert!(
        most >= 6 && opened > 500 && actions.len() >= 12,
        "{most} {opened} {actions:?}"
    );
}
