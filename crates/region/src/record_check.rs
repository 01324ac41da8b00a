//! What the records of a zone must be: each of them, and together.

use std::collections::{BTreeMap, BTreeSet};

use api::ApiError;

use crate::Tx;
use crate::dns_name::DnsName;
use crate::hosted_zone::HostedZone;
use crate::record_change::ChangeAction;
use crate::record_data::{self, RecordType};
use crate::record_set::{self, RecordData, RecordKey, RecordSet, Routing};

/// The most values of a record set.
const MAX_VALUES_OF_SET: usize = 400;

/// What is wrong with the records of a batch, all of it at once.
#[derive(Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    pub(crate) fn note(&mut self, problem: String) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    pub(crate) fn check(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let message = format!("[{}]", self.0.join(", "));
        Err(ApiError::new("InvalidChangeBatch", message))
    }
}

pub(crate) fn check_values(
    kind: RecordType,
    name: &DnsName,
    values: &[String],
    problems: &mut Problems,
) {
    let mut seen = BTreeSet::new();
    for value in values {
        if let Err(problem) = record_data::check(kind, value) {
            problems.note(problem);
        }
        if !seen.insert(value) {
            problems.note(format!("Duplicate Resource Record: '{value}'"));
        }
    }
    if values.len() > 1 && matches!(kind, RecordType::Cname | RecordType::Soa) {
        problems.note(format!(
            "RRSet of type {kind} with DNS name {name} must have exactly one resource record"
        ));
    }
    if values.len() > MAX_VALUES_OF_SET {
        problems.note(format!(
            "RRSet of type {kind} with DNS name {name} has more than {MAX_VALUES_OF_SET} resource records"
        ));
    }
}

/// One set may be deleted and created anew in a batch, and otherwise changes once.
pub(crate) fn check_repeats(changes: &[(ChangeAction, RecordSet)], problems: &mut Problems) {
    let mut by_key: BTreeMap<&RecordKey, Vec<ChangeAction>> = BTreeMap::new();
    for (action, set) in changes {
        by_key.entry(&set.id).or_default().push(*action);
    }
    for (key, actions) in by_key {
        use ChangeAction::{Create, Delete};
        if actions.len() > 1 && actions != [Delete, Create] && actions != [Create, Delete] {
            problems.note(format!(
                "The request contains an invalid set of changes for a resource record set '{} {}'",
                key.kind, key.name
            ));
        }
    }
}

/// What must be there already for a change, or must not be.
pub(crate) fn check_against(
    tx: &Tx,
    action: ChangeAction,
    set: &RecordSet,
    changes: &[(ChangeAction, RecordSet)],
    problems: &mut Problems,
) {
    let key = &set.id;
    let what = || {
        let identifier = key.identifier.as_ref();
        let identifier = identifier.map_or(String::new(), |id| format!(", set-identifier='{id}'"));
        format!(
            "resource record set [name='{}', type='{}'{identifier}]",
            key.name, key.kind
        )
    };
    match (action, tx.get::<RecordSet>(key)) {
        (ChangeAction::Create, Some(_)) => {
            let deleted = changes
                .iter()
                .any(|(action, other)| *action == ChangeAction::Delete && other.id == *key);
            if !deleted {
                problems.note(format!("Tried to create {} but it already exists", what()));
            }
        }
        (ChangeAction::Delete, None) => {
            problems.note(format!("Tried to delete {} but it was not found", what()));
        }
        (ChangeAction::Delete, Some(found)) if !is_same(found, set) => problems.note(format!(
            "Tried to delete {} but the values provided do not match the current values",
            what()
        )),
        (ChangeAction::Create | ChangeAction::Upsert, None)
        | (ChangeAction::Delete | ChangeAction::Upsert, Some(_)) => {}
    }
}

/// Whether two sets are the same but for the order of their values.
fn is_same(one: &RecordSet, other: &RecordSet) -> bool {
    let data = match (&one.data, &other.data) {
        (
            RecordData::Values { ttl, values },
            RecordData::Values {
                ttl: other_ttl,
                values: other_values,
            },
        ) => {
            let sorted = |values: &[String]| values.iter().cloned().collect::<BTreeSet<_>>();
            ttl == other_ttl && sorted(values) == sorted(other_values)
        }
        (one, other) => one == other,
    };
    data && one.routing == other.routing
}

/// What must hold between the record sets of a name, after the batch.
pub(crate) fn check_name(tx: &Tx, zone: &HostedZone, name: &DnsName, problems: &mut Problems) {
    let mut by_kind: BTreeMap<RecordType, Vec<&RecordSet>> = BTreeMap::new();
    for set in record_set::of_name(tx.state(), &zone.id, name) {
        by_kind.entry(set.id.kind).or_default().push(set);
    }
    let apex = *name == zone.name;
    if apex && !by_kind.contains_key(&RecordType::Soa) {
        problems.note("A HostedZone must contain exactly one SOA record.".to_owned());
    }
    if apex && !by_kind.contains_key(&RecordType::Ns) {
        let problem = "A HostedZone must contain at least one NS record for the zone itself.";
        problems.note(problem.to_owned());
    }
    let only_apex = (!apex && by_kind.contains_key(&RecordType::Soa)).then_some(RecordType::Soa);
    if let Some(kind) = only_apex {
        problems.note(format!(
            "RRSet of type {kind} with DNS name {name} is only permitted at apex in zone {}",
            zone.name
        ));
    }
    if by_kind.contains_key(&RecordType::Cname) {
        let other = by_kind.keys().find(|kind| **kind != RecordType::Cname);
        if apex {
            problems.note(format!(
                "RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {}",
                zone.name
            ));
        } else if let Some(other) = other {
            problems.note(format!(
                "RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with other records of type \
                 {other} with the same DNS name in zone {}",
                zone.name
            ));
        }
    }
    for (kind, sets) in by_kind {
        check_routing(name, kind, &sets, problems);
    }
}

/// Several sets of a name and type are all routed in the same way.
fn check_routing(name: &DnsName, kind: RecordType, sets: &[&RecordSet], problems: &mut Problems) {
    let cannot = |set: &RecordSet, why: &str| {
        let identifier = set.id.identifier.as_deref().unwrap_or("null");
        format!(
            "RRSet with DNS name {name}, type {kind}, SetIdentifier {identifier} cannot be created because {why}"
        )
    };
    let mut seen = BTreeSet::new();
    for set in sets {
        let Some(routing) = &set.routing else {
            if sets.len() > 1 {
                let why = "other RRSets exist with the same name and type.";
                problems.note(cannot(set, why));
            }
            continue;
        };
        if matches!(kind, RecordType::Soa)
            || matches!(routing, Routing::MultiValue) && no_multi_value(set)
        {
            problems.note(cannot(
                set,
                &format!("it cannot be a {} RRSet.", routing.noun()),
            ));
        }
        let noun =
            |set: &&&RecordSet| set.routing.as_ref().map(Routing::noun) != Some(routing.noun());
        if sets.iter().any(|other| noun(&other)) {
            let noun = routing.noun();
            let why = format!("a non {noun} RRSet exists with the same name and type.");
            problems.note(cannot(set, &why));
        }
        let unique = match routing {
            Routing::Latency(region) => Some(region.clone()),
            Routing::Failover { primary } => Some(primary.to_string()),
            Routing::Weight(_) | Routing::MultiValue => None,
        };
        if let Some(unique) = unique
            && !seen.insert(unique)
        {
            let noun = routing.noun();
            let why = format!("a {noun} RRSet with the same name, type and {noun} exists.");
            problems.note(cannot(set, &why));
        }
    }
}

/// Route 53: "You can't create multivalue answer alias records", nor of the types CNAME and NS.
fn no_multi_value(set: &RecordSet) -> bool {
    matches!(set.data, RecordData::Alias { .. })
        || matches!(set.id.kind, RecordType::Cname | RecordType::Ns)
}

/// The target of an alias is another set of its zone and type.
pub(crate) fn check_alias(tx: &Tx, set: &RecordSet, problems: &mut Problems) {
    let RecordData::Alias { target, .. } = &set.data else {
        return;
    };
    let (zone, kind) = (&set.id.zone, set.id.kind);
    let mut targets =
        record_set::of_name(tx.state(), zone, target).filter(|other| other.id.kind == kind);
    let what =
        format!("Tried to create an alias that targets {target}, type {kind} in zone {zone}");
    if *target == set.id.name {
        problems.note(format!("{what}, but an alias cannot target itself"));
    } else if targets.next().is_none() {
        problems.note(format!("{what}, but that target was not found"));
    }
    if matches!(kind, RecordType::Ns | RecordType::Soa) {
        problems.note(format!("An alias cannot be of type {kind}"));
    }
}
