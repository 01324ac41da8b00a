//! What a VPC's resolver finds for a name in the private hosted zones of the VPC (RFC 1034 section 4.3.2, RFC 4592).

use types::VpcId;

use crate::dns_name::DnsName;
use crate::hosted_zone::{HostedZone, HostedZoneId};
use crate::record_data::RecordType;
use crate::record_set::{self, RecordData, RecordSet, Routing};
use crate::{Record, State};

/// The most aliases that are followed for one question, so that a circle ends.
const MAX_ALIASES: usize = 16;
/// The most multivalue answers of a reply (Route 53 "Multivalue answer routing").
const MAX_MULTI_VALUE: usize = 8;

/// What the zones of a VPC say to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolution<'s> {
    /// The zone that answers: the one with the longest name, of those that have the question's or the last alias's.
    pub zone: &'s HostedZone,
    /// The `CNAME` records on the way, in order.
    pub aliases: Vec<Alias<'s>>,
    /// What stands at the end of the way.
    pub outcome: Outcome<'s>,
}

/// A `CNAME` record that was followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alias<'s> {
    /// The name that was asked for.
    pub name: DnsName,
    /// The record.
    pub set: &'s RecordSet,
}

/// What stands at the end of a look-up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome<'s> {
    /// Records of this name; several sets if the client's is chosen among them ([`choose`]). None is an alias.
    Records(DnsName, Vec<&'s RecordSet>),
    /// The name exists without records of the type (`NODATA`, RFC 2308 section 2.2).
    NoData,
    /// The name does not exist (`NXDOMAIN`, RFC 2308 section 2.1).
    NxDomain,
    /// The way leads to this name, which no zone of the VPC has: it is to be asked elsewhere.
    Outside(DnsName),
    /// The way is longer than 16 aliases, or a circle.
    TooLong,
}

/// Looks up records of a type; none if no zone of the VPC has the name, which is then to be asked elsewhere.
#[must_use]
pub fn resolve<'s>(
    state: &'s State,
    vpc: VpcId,
    name: &DnsName,
    kind: RecordType,
) -> Option<Resolution<'s>> {
    let mut zone = zone_of(state, vpc, name)?;
    let mut name = name.clone();
    let mut aliases = Vec::new();
    let outcome = loop {
        let Some(sets) = sets_for(state, zone, &name) else {
            break Outcome::NxDomain;
        };
        let of = |kind| {
            sets.iter()
                .copied()
                .filter(move |set: &&RecordSet| set.id.kind == kind)
        };
        let found: Vec<_> = of(kind).filter_map(|set| end_of(state, set)).collect();
        if !found.is_empty() {
            break Outcome::Records(name, found);
        }
        let cname = of(RecordType::Cname)
            .filter_map(|set| end_of(state, set))
            .next();
        let target = cname.and_then(|set| match &set.data {
            RecordData::Values { values, .. } => {
                Some((set, values.first()?.parse::<DnsName>().ok()?))
            }
            RecordData::Alias { .. } => None,
        });
        let Some((set, target)) = target else {
            break Outcome::NoData;
        };
        aliases.push(Alias { name, set });
        if aliases.len() > MAX_ALIASES {
            break Outcome::TooLong;
        }
        match zone_of(state, vpc, &target) {
            Some(next) => (zone, name) = (next, target),
            None => break Outcome::Outside(target),
        }
    };
    Some(Resolution {
        zone,
        aliases,
        outcome,
    })
}

/// Of the VPC's zones that have the name, the one with the longest name (Route 53 "Considerations when working with a
/// private hosted zone").
fn zone_of<'s>(state: &'s State, vpc: VpcId, name: &DnsName) -> Option<&'s HostedZone> {
    HostedZone::table(state)
        .of(vpc)
        .filter(|zone| name.is_within(&zone.name))
        .max_by_key(|zone| zone.name.depth())
}

/// The record sets that answer for a name, those of a wildcard if it has none of its own; none if it does not exist.
fn sets_for<'s>(state: &'s State, zone: &HostedZone, name: &DnsName) -> Option<Vec<&'s RecordSet>> {
    if exists(state, &zone.id, name) {
        return Some(record_set::of_name(state, &zone.id, name).collect());
    }
    let mut encloser = name.parent()?;
    while !exists(state, &zone.id, &encloser) {
        encloser = encloser
            .parent()
            .filter(|parent| parent.is_within(&zone.name))?;
    }
    let wildcard = encloser.wildcard();
    let sets: Vec<_> = record_set::of_name(state, &zone.id, &wildcard).collect();
    (!sets.is_empty()).then_some(sets)
}

/// Whether the name has records, or names below it have: names below it follow it in order.
fn exists(state: &State, zone: &HostedZoneId, name: &DnsName) -> bool {
    let mut following = record_set::from(state, zone, name.clone());
    following
        .next()
        .is_some_and(|set| set.id.name.is_within(name))
}

/// The set itself, or the one at the end of its aliases. Of a target with several sets, the first.
fn end_of<'s>(state: &'s State, set: &'s RecordSet) -> Option<&'s RecordSet> {
    let mut set = set;
    for _ in 0..=MAX_ALIASES {
        match &set.data {
            RecordData::Values { .. } => return Some(set),
            RecordData::Alias { target, .. } => {
                let kind = set.id.kind;
                let mut sets = record_set::of_name(state, &set.id.zone, target);
                set = sets.find(|other| other.id.kind == kind)?;
            }
        }
    }
    None
}

/// Which of several sets of a name and type answer a client in `region`; `roll` is a random number. Nothing is ever
/// unhealthy here, so that of a failover pair the primary one answers.
#[must_use]
pub fn choose<'s>(sets: &[&'s RecordSet], region: &str, roll: u64) -> Vec<&'s RecordSet> {
    let first = sets.first().copied();
    let routing = first.and_then(|set| set.routing.as_ref());
    let chosen = match routing {
        None => first,
        Some(Routing::Weight(_)) => by_weight(sets, roll),
        Some(Routing::Latency(_)) => {
            let near = |set: &&&RecordSet| matches!(&set.routing, Some(Routing::Latency(place)) if place == region);
            sets.iter().find(near).copied().or(first)
        }
        Some(Routing::Failover { .. }) => {
            let primary = |set: &&&RecordSet| {
                matches!(set.routing, Some(Routing::Failover { primary: true }))
            };
            sets.iter().find(primary).copied().or(first)
        }
        Some(Routing::MultiValue) => {
            let start = usize::try_from(roll % sets.len() as u64).unwrap_or_default();
            let turned = sets.iter().cycle().skip(start).take(sets.len());
            return turned.take(MAX_MULTI_VALUE).copied().collect();
        }
    };
    chosen.into_iter().collect()
}

/// Weights of zero never answer, unless all are zero (Route 53 "Weighted routing").
fn by_weight<'s>(sets: &[&'s RecordSet], roll: u64) -> Option<&'s RecordSet> {
    let weight = |set: &RecordSet| match set.routing {
        Some(Routing::Weight(weight)) => u64::from(weight),
        Some(Routing::Latency(_) | Routing::Failover { .. } | Routing::MultiValue) | None => 0,
    };
    let total: u64 = sets.iter().map(|set| weight(set)).sum();
    if total == 0 {
        let index = usize::try_from(roll.checked_rem(sets.len() as u64)?).ok()?;
        return sets.get(index).copied();
    }
    let mut left = roll % total;
    sets.iter().copied().find(|set| {
        let weight = weight(set);
        let here = left < weight;
        left = left.saturating_sub(weight);
        here
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::testing::{World, text};

    struct Zones {
        world: World,
        vpc: VpcId,
    }

    impl Zones {
        fn new() -> Zones {
            let mut world = World::new();
            let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
            let vpc = text(&vpc, "Vpc.VpcId").parse().unwrap();
            Zones { world, vpc }
        }

        fn zone(&mut self, name: &str, records: &[(&str, &str, &str)]) -> String {
            let vpc = json!({"VPCRegion": "us-east-1", "VPCId": self.vpc});
            let request = json!({"Name": name, "CallerReference": name, "VPC": vpc});
            let reply = self.world.ok("CreateHostedZone", request);
            let id = text(&reply, "HostedZone.Id").replace("/hostedzone/", "");
            for (name, kind, value) in records {
                let set = json!({"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]});
                self.put(&id, set);
            }
            id
        }

        fn put(&mut self, zone: &str, set: Json) {
            let change = json!({"Action": "CREATE", "ResourceRecordSet": set});
            let request = json!({"HostedZoneId": zone, "ChangeBatch": {"Changes": [change]}});
            self.world.ok("ChangeResourceRecordSets", request);
        }

        /// The zone that answered, the aliases, and the outcome.
        fn ask(&self, name: &str, kind: &str) -> String {
            let found = resolve(
                &self.world.state,
                self.vpc,
                &name.parse().unwrap(),
                kind.parse().unwrap(),
            );
            let Some(found) = found else {
                return "elsewhere".to_owned();
            };
            let values = |sets: &[&RecordSet]| -> Vec<String> {
                let all = sets.iter().map(|set| match &set.data {
                    RecordData::Values { values, .. } => values.join(" "),
                    RecordData::Alias { target, .. } => panic!("alias of {target}"),
                });
                all.collect()
            };
            let outcome = match &found.outcome {
                Outcome::Records(name, sets) => format!("{name} {}", values(sets).join(" ")),
                Outcome::NoData => "no data".to_owned(),
                Outcome::NxDomain => "no name".to_owned(),
                Outcome::Outside(name) => format!("outside {name}"),
                Outcome::TooLong => "too long".to_owned(),
            };
            let zone = &found.zone.name;
            match found.aliases.len() {
                0 => format!("{zone}: {outcome}"),
                aliases => format!("{zone}: {aliases} aliases, {outcome}"),
            }
        }
    }

    #[test]
    fn names_types_and_zones() {
        let mut zones = Zones::new();
        zones.zone(
            "corp.example",
            &[
                ("www.corp.example", "A", "192.0.2.1"),
                ("a.b.corp.example", "TXT", "\"x\""),
            ],
        );
        zones.zone(
            "sub.corp.example",
            &[("www.sub.corp.example", "A", "192.0.2.2")],
        );
        for (name, kind, answer) in [
            (
                "WWW.corp.example",
                "A",
                "corp.example.: www.corp.example. 192.0.2.1",
            ),
            ("www.corp.example", "AAAA", "corp.example.: no data"),
            ("b.corp.example", "A", "corp.example.: no data"),
            ("c.corp.example", "A", "corp.example.: no name"),
            ("ww.corp.example", "A", "corp.example.: no name"),
            (
                "www.sub.corp.example",
                "A",
                "sub.corp.example.: www.sub.corp.example. 192.0.2.2",
            ),
            ("x.sub.corp.example", "A", "sub.corp.example.: no name"),
            ("corp.example", "A", "corp.example.: no data"),
            ("example", "A", "elsewhere"),
            ("xcorp.example", "A", "elsewhere"),
        ] {
            assert_eq!(zones.ask(name, kind), answer, "{name} {kind}");
        }
        assert!(
            zones
                .ask("corp.example", "SOA")
                .starts_with("corp.example.: corp.example. ns-1536")
        );
        let other = types::VpcId::from_bits(7);
        let name = "www.corp.example".parse().unwrap();
        assert_eq!(
            resolve(&zones.world.state, other, &name, RecordType::A),
            None
        );
    }

    #[test]
    fn wildcards_stand_for_names_that_do_not_exist() {
        let mut zones = Zones::new();
        zones.zone(
            "corp.example",
            &[
                ("*.corp.example", "A", "192.0.2.1"),
                ("www.corp.example", "TXT", "\"x\""),
                ("a.b.corp.example", "TXT", "\"x\""),
            ],
        );
        for (name, kind, answer) in [
            (
                "any.corp.example",
                "A",
                "corp.example.: any.corp.example. 192.0.2.1",
            ),
            (
                "deep.any.corp.example",
                "A",
                "corp.example.: deep.any.corp.example. 192.0.2.1",
            ),
            (
                "*.corp.example",
                "A",
                "corp.example.: \\052.corp.example. 192.0.2.1",
            ),
            ("any.corp.example", "TXT", "corp.example.: no data"),
            // These exist, with records or without; so the wildcard is not theirs, nor of what is below them.
            ("www.corp.example", "A", "corp.example.: no data"),
            ("b.corp.example", "A", "corp.example.: no data"),
            ("c.b.corp.example", "A", "corp.example.: no name"),
            ("x.www.corp.example", "A", "corp.example.: no name"),
        ] {
            assert_eq!(zones.ask(name, kind), answer, "{name} {kind}");
        }
    }

    #[test]
    fn aliases_are_followed() {
        let mut zones = Zones::new();
        let id = zones.zone(
            "corp.example",
            &[
                ("www.corp.example", "A", "192.0.2.1"),
                ("one.corp.example", "CNAME", "two.corp.example"),
                ("two.corp.example", "CNAME", "www.corp.example."),
                ("out.corp.example", "CNAME", "www.elsewhere.example"),
                ("over.corp.example", "CNAME", "a.sub.corp.example"),
                ("gone.corp.example", "CNAME", "nothing.corp.example"),
                ("x.corp.example", "CNAME", "y.corp.example"),
                ("y.corp.example", "CNAME", "x.corp.example"),
            ],
        );
        zones.zone(
            "sub.corp.example",
            &[("a.sub.corp.example", "A", "192.0.2.2")],
        );
        let alias = json!({"HostedZoneId": id, "DNSName": "www.corp.example", "EvaluateTargetHealth": true});
        let set = json!({"Name": "corp.example", "Type": "A", "AliasTarget": alias});
        zones.put(&id, set);
        for (name, kind, answer) in [
            (
                "one.corp.example",
                "A",
                "corp.example.: 2 aliases, www.corp.example. 192.0.2.1",
            ),
            (
                "one.corp.example",
                "CNAME",
                "corp.example.: one.corp.example. two.corp.example",
            ),
            (
                "one.corp.example",
                "TXT",
                "corp.example.: 2 aliases, no data",
            ),
            (
                "out.corp.example",
                "A",
                "corp.example.: 1 aliases, outside www.elsewhere.example.",
            ),
            (
                "over.corp.example",
                "A",
                "sub.corp.example.: 1 aliases, a.sub.corp.example. 192.0.2.2",
            ),
            (
                "gone.corp.example",
                "A",
                "corp.example.: 1 aliases, no name",
            ),
            ("x.corp.example", "A", "corp.example.: 17 aliases, too long"),
            (
                "corp.example",
                "A",
                "corp.example.: corp.example. 192.0.2.1",
            ),
        ] {
            assert_eq!(zones.ask(name, kind), answer, "{name} {kind}");
        }
    }

    fn set(value: &str, routing: Option<Routing>) -> RecordSet {
        let id = format!("Z1/a.example./A/{value}").parse().unwrap();
        let values = vec![value.to_owned()];
        let data = RecordData::Values { ttl: 60, values };
        RecordSet { id, data, routing }
    }

    #[test]
    fn one_of_several_sets_answers() {
        let chosen = |routings: &[Routing], roll: u64| -> Vec<usize> {
            let sets: Vec<_> = (0..)
                .zip(routings)
                .map(|(n, r): (usize, _)| set(&n.to_string(), Some(r.clone())))
                .collect();
            let all: Vec<&RecordSet> = sets.iter().collect();
            let chosen = choose(&all, "eu-west-1", roll);
            chosen
                .iter()
                .map(|set| sets.iter().position(|s| s == *set).unwrap())
                .collect()
        };
        let weights = [1, 0, 3].map(Routing::Weight);
        let by_roll: Vec<_> = (0..5).map(|roll| chosen(&weights, roll)[0]).collect();
        assert_eq!(by_roll, [0, 2, 2, 2, 0]);
        let zeros = [0, 0].map(Routing::Weight);
        assert_eq!((chosen(&zeros, 0), chosen(&zeros, 1)), (vec![0], vec![1]));
        let places = ["us-east-1", "eu-west-1"].map(|place| Routing::Latency(place.to_owned()));
        assert_eq!(chosen(&places, 0), [1]);
        assert_eq!(chosen(&places[..1], 0), [0]);
        let pair = [false, true].map(|primary| Routing::Failover { primary });
        assert_eq!(chosen(&pair, 0), [1]);
        let many = vec![Routing::MultiValue; 10];
        assert_eq!(chosen(&many, 9), [9, 0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(choose(&[], "eu-west-1", 0), Vec::<&RecordSet>::new());
        let simple = set("x", None);
        assert_eq!(choose(&[&simple], "eu-west-1", 5), [&simple]);
    }
}
