//! `ChangeResourceRecordSets`: changes of a zone's records that happen all or not at all.

use std::collections::BTreeSet;

use api::ApiError;
use serde::Deserialize;

use crate::dispatch::actions;
use crate::dns_name::DnsName;
use crate::hosted_zone::{self, ChangeReply, HostedZone, invalid_input};
use crate::record_check::{
    Problems, check_against, check_alias, check_name, check_repeats, check_values,
};
use crate::record_set::{Failover, RecordData, RecordKey, RecordSet, RecordSetItem, Routing};
use crate::{Context, Tx, quota, zone_change};

actions! {
    "ChangeResourceRecordSets" => change_resource_record_sets, Recorded;
}

/// The most values of a request, those of `UPSERT` counted twice (Route 53 "Quotas on API requests").
const MAX_VALUES: usize = 1000;
/// The most characters of the values of a request, counted likewise.
const MAX_CHARACTERS: usize = 32_000;
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ChangeRequest {
    hosted_zone_id: String,
    change_batch: ChangeBatch,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ChangeBatch {
    comment: Option<String>,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Change {
    action: ChangeAction,
    resource_record_set: RecordSetItem,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ChangeAction {
    Create,
    Delete,
    Upsert,
}

impl ChangeAction {
    fn name(self) -> &'static str {
        match self {
            ChangeAction::Create => "CREATE",
            ChangeAction::Delete => "DELETE",
            ChangeAction::Upsert => "UPSERT",
        }
    }
}

pub(crate) fn change_resource_record_sets(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ChangeRequest,
) -> Result<ChangeReply, ApiError> {
    let mut zone = hosted_zone::find(tx, ctx, &req.hosted_zone_id)?;
    check_size(&req.change_batch.changes)?;
    let mut problems = Problems::default();
    let mut changes = Vec::new();
    for change in &req.change_batch.changes {
        if let Some(set) = read(change, &zone, &mut problems)? {
            changes.push((change.action, set));
        }
    }
    check_repeats(&changes, &mut problems);
    for (action, set) in &changes {
        check_against(tx, *action, set, &changes, &mut problems);
    }
    problems.check()?;
    let (mut gone, mut new) = (0, 0);
    for (_, set) in changes
        .iter()
        .filter(|(action, _)| *action == ChangeAction::Delete)
    {
        tx.remove::<RecordSet>(&set.id);
        gone += 1;
    }
    for (_, set) in changes
        .iter()
        .filter(|(action, _)| *action != ChangeAction::Delete)
    {
        new += usize::from(tx.get::<RecordSet>(&set.id).is_none());
        tx.put(set.clone());
    }
    let mut problems = Problems::default();
    let touched: BTreeSet<&DnsName> = changes.iter().map(|(_, set)| &set.id.name).collect();
    for name in touched {
        check_name(tx, &zone, name, &mut problems);
    }
    for (action, set) in &changes {
        if *action != ChangeAction::Delete {
            check_alias(tx, set, &mut problems);
        }
    }
    zone.record_sets = (zone.record_sets + new).saturating_sub(gone);
    if quota::RECORDS_PER_ZONE
        .check(tx, ctx, zone.record_sets)
        .is_err()
    {
        let most = quota::RECORDS_PER_ZONE.max(tx, ctx);
        problems.note(format!("Number of records limit of {most} exceeded."));
    }
    problems.check()?;
    tx.put(zone);
    Ok(ChangeReply {
        change_info: zone_change::make(ctx, req.change_batch.comment),
    })
}

fn check_size(changes: &[Change]) -> Result<(), ApiError> {
    let (mut values, mut characters) = (0, 0);
    for change in changes {
        let times = if change.action == ChangeAction::Upsert {
            2
        } else {
            1
        };
        let records = change
            .resource_record_set
            .resource_records
            .as_deref()
            .unwrap_or_default();
        values += times * records.len().max(1);
        characters += times
            * records
                .iter()
                .map(|r| r.value.chars().count())
                .sum::<usize>();
    }
    let over = |what: &str, most: usize| {
        let message = format!("[The request has more than {most} {what} of resource records]");
        Err(ApiError::new("InvalidChangeBatch", message))
    };
    if values > MAX_VALUES {
        return over("values", MAX_VALUES);
    }
    if characters > MAX_CHARACTERS {
        return over("characters in values", MAX_CHARACTERS);
    }
    Ok(())
}

/// The record set of a change, as far as it can be read without the zone's records. What is wrong with its parameters
/// is an error; what is wrong with its record is noted.
fn read(
    change: &Change,
    zone: &HostedZone,
    problems: &mut Problems,
) -> Result<Option<RecordSet>, ApiError> {
    let item = &change.resource_record_set;
    let kind = item
        .r#type
        .ok_or_else(|| invalid_input("Type is missing"))?;
    let place = || {
        format!(
            "in Change with [Action={}, Name={}, Type={kind}, SetIdentifier={}]",
            change.action.name(),
            item.name,
            item.set_identifier.as_deref().unwrap_or("null")
        )
    };
    if item.health_check_id.is_some() {
        return Err(ApiError::new(
            "NoSuchHealthCheck",
            "No health check exists with the specified ID.",
        ));
    }
    let routing = read_routing(item, &place)?;
    let data = match (&item.alias_target, item.ttl, &item.resource_records) {
        (Some(alias), None, None) => {
            if alias.hosted_zone_id != zone.id.to_string() {
                return Err(ApiError::new(
                    "UnsupportedOperation",
                    format!(
                        "The value {} of the parameter AliasTarget.HostedZoneId is not supported by Polder: an alias \
                         can be of a record of its own zone",
                        alias.hosted_zone_id
                    ),
                ));
            }
            match alias.dns_name.parse() {
                Ok(target) => RecordData::Alias {
                    target,
                    evaluate_target_health: alias.evaluate_target_health,
                },
                Err(error) => {
                    let name = &alias.dns_name;
                    problems.note(format!("FATAL problem: {error} encountered with '{name}'"));
                    return Ok(None);
                }
            }
        }
        (None, Some(ttl), Some(records)) => RecordData::Values {
            ttl,
            values: records.iter().map(|record| record.value.clone()).collect(),
        },
        (alias, ttl, records) => {
            let found = if alias.is_some() && (ttl.is_some() || records.is_some()) {
                "more than one"
            } else {
                "none"
            };
            return Err(invalid_input(format!(
                "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or \
                 TrafficPolicyInstanceId], but found {found} {}",
                place()
            )));
        }
    };
    let name: DnsName = match item.name.parse() {
        Ok(name) => name,
        Err(error) => {
            problems.note(format!(
                "FATAL problem: {error} encountered with '{}'",
                item.name
            ));
            return Ok(None);
        }
    };
    if !name.is_within(&zone.name) {
        problems.note(format!(
            "RRSet with DNS name {name} is not permitted in zone {}",
            zone.name
        ));
        return Ok(None);
    }
    if let RecordData::Values { values, .. } = &data {
        check_values(kind, &name, values, problems);
    }
    Ok(Some(RecordSet {
        id: RecordKey {
            zone: zone.id.clone(),
            name,
            kind,
            identifier: item.set_identifier.clone(),
        },
        data,
        routing,
    }))
}

fn read_routing(
    item: &RecordSetItem,
    place: &dyn Fn() -> String,
) -> Result<Option<Routing>, ApiError> {
    let failover = item.failover.map(|failover| Routing::Failover {
        primary: failover == Failover::Primary,
    });
    let multi_value = item.multi_value_answer.filter(|wanted| *wanted);
    let mut given = [
        item.weight.map(Routing::Weight),
        item.region.clone().map(Routing::Latency),
        failover,
        multi_value.map(|_| Routing::MultiValue),
    ]
    .into_iter()
    .flatten();
    let (first, second) = (given.next(), given.next());
    let expected = "Invalid request: Expected exactly one of [Weight, Region, Failover, GeoLocation, MultiValueAnswer, \
                    GeoProximityLocation, or CidrRoutingConfig], but found";
    match (&item.set_identifier, &first, second) {
        (_, _, Some(_)) => Err(invalid_input(format!(
            "{expected} more than one {}",
            place()
        ))),
        (Some(_), None, None) => Err(invalid_input(format!("{expected} none {}", place()))),
        (None, Some(_), None) => Err(invalid_input(format!(
            "Invalid request: Missing field 'SetIdentifier' {}",
            place()
        ))),
        (Some(_), Some(_), None) | (None, None, None) => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use serde_json::{Value as Json, json};

    use crate::testing::{World, count, text};

    struct Zone {
        world: World,
        id: String,
    }

    impl Zone {
        fn new() -> Zone {
            let mut world = World::new();
            let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
            let vpc = json!({"VPCRegion": "us-east-1", "VPCId": text(&vpc, "Vpc.VpcId")});
            let request = json!({"Name": "corp.example", "CallerReference": "r", "VPC": vpc});
            let reply = world.ok("CreateHostedZone", request);
            let id = text(&reply, "HostedZone.Id").replace("/hostedzone/", "");
            Zone { world, id }
        }

        fn request(&self, changes: &[(&str, Json)]) -> Json {
            let changes: Vec<_> = changes
                .iter()
                .map(|(action, set)| json!({"Action": action, "ResourceRecordSet": set}))
                .collect();
            json!({"HostedZoneId": self.id, "ChangeBatch": {"Changes": changes}})
        }

        #[track_caller]
        fn ok(&mut self, changes: &[(&str, Json)]) {
            let request = self.request(changes);
            self.world.ok("ChangeResourceRecordSets", request);
        }

        /// Code and message of a batch that is refused, and that then changed nothing.
        #[track_caller]
        fn refused(&mut self, changes: &[(&str, Json)]) -> String {
            let before = self.names();
            let request = self.request(changes);
            let error = self
                .world
                .call("ChangeResourceRecordSets", &request)
                .unwrap_err();
            assert_eq!(self.names(), before);
            error.to_string()
        }

        fn list(&mut self, more: &Json) -> api::Value {
            let mut request = json!({"HostedZoneId": self.id});
            request
                .as_object_mut()
                .unwrap()
                .append(&mut more.as_object().unwrap().clone());
            self.world.ok("ListResourceRecordSets", request)
        }

        fn names(&mut self) -> Vec<String> {
            let reply = self.list(&json!({}));
            let name = |n| {
                let place = format!("ResourceRecordSets.{n}");
                let name = text(&reply, &format!("{place}.Name"));
                format!("{name} {}", text(&reply, &format!("{place}.Type")))
            };
            (0..count(&reply, "ResourceRecordSets")).map(name).collect()
        }
    }

    fn set(name: &str, kind: &str, values: &[&str]) -> Json {
        let values: Vec<_> = values.iter().map(|value| json!({"Value": value})).collect();
        json!({"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": values})
    }

    fn with(mut set: Json, more: &Json) -> Json {
        set.as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        set
    }

    #[test]
    fn records_come_change_and_go() {
        let mut zone = Zone::new();
        let a = set("A.corp.example.", "A", &["192.0.2.1", "192.0.2.2"]);
        zone.ok(&[
            ("CREATE", a.clone()),
            ("UPSERT", set("*.corp.example", "TXT", &["\"x\""])),
        ]);
        assert_eq!(
            zone.names(),
            [
                "corp.example. NS",
                "corp.example. SOA",
                "\\052.corp.example. TXT",
                "a.corp.example. A"
            ]
        );
        assert_eq!(
            zone.refused(&[("CREATE", a.clone())]),
            "InvalidChangeBatch: [Tried to create resource record set [name='a.corp.example.', type='A'] but it already \
             exists]"
        );
        assert_eq!(
            zone.refused(&[("DELETE", set("a.corp.example", "A", &["192.0.2.1"]))]),
            "InvalidChangeBatch: [Tried to delete resource record set [name='a.corp.example.', type='A'] but the values \
             provided do not match the current values]"
        );
        assert_eq!(
            zone.refused(&[("DELETE", set("b.corp.example", "A", &["192.0.2.1"]))]),
            "InvalidChangeBatch: [Tried to delete resource record set [name='b.corp.example.', type='A'] but it was not \
             found]"
        );
        let zone_of = |zone: &mut Zone| {
            let reply = zone.world.ok("GetHostedZone", json!({"Id": zone.id}));
            text(&reply, "HostedZone.ResourceRecordSetCount")
        };
        assert_eq!(zone_of(&mut zone), "4");
        assert_eq!(
            zone.world.err("DeleteHostedZone", json!({"Id": zone.id})),
            "HostedZoneNotEmpty"
        );
        // In one batch, a name changes its type, in either order.
        let cname = set("a.corp.example", "CNAME", &["b.corp.example"]);
        zone.ok(&[
            ("CREATE", cname.clone()),
            (
                "DELETE",
                set("a.corp.example", "A", &["192.0.2.2", "192.0.2.1"]),
            ),
        ]);
        zone.ok(&[("DELETE", cname), ("CREATE", a.clone())]);
        zone.ok(&[
            ("DELETE", a),
            ("DELETE", set("*.corp.example", "TXT", &["\"x\""])),
        ]);
        assert_eq!(zone_of(&mut zone), "2");
        zone.ok(&[("UPSERT", set("corp.example", "SOA", &["a. b. 1 2 3 4 5"]))]);
        zone.world.ok("DeleteHostedZone", json!({"Id": zone.id}));
        assert_eq!(zone.world.state.record_sets.size(), 0);
    }

    #[test]
    fn a_batch_happens_all_or_not_at_all() {
        let mut zone = Zone::new();
        let good = set("a.corp.example", "A", &["192.0.2.1"]);
        let told = zone.refused(&[
            ("CREATE", good.clone()),
            (
                "CREATE",
                set("b.corp.example", "A", &["x", "192.0.2.1", "192.0.2.1"]),
            ),
            ("CREATE", set("c.other.example", "A", &["192.0.2.1"])),
            ("CREATE", set("a..corp.example", "A", &["192.0.2.1"])),
        ]);
        assert_eq!(
            told,
            "InvalidChangeBatch: [Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid \
             IPv4 address) encountered with 'x'', Duplicate Resource Record: '192.0.2.1', RRSet with DNS name \
             c.other.example. is not permitted in zone corp.example., FATAL problem: DomainLabelEmpty (Domain label is \
             empty) encountered with 'a..corp.example']"
        );
        for actions in [
            ["CREATE", "CREATE"],
            ["UPSERT", "UPSERT"],
            ["UPSERT", "DELETE"],
        ] {
            let told = zone.refused(&actions.map(|action| (action, good.clone())));
            let repeat = "The request contains an invalid set of changes for a resource record set 'A a.corp.example.'";
            assert!(told.contains(repeat), "{told}");
        }
    }

    #[test]
    fn aliases_of_names_and_the_apex() {
        let mut zone = Zone::new();
        zone.ok(&[("CREATE", set("a.corp.example", "A", &["192.0.2.1"]))]);
        let cname = |name: &str| ("UPSERT", set(name, "CNAME", &["b.example"]));
        let told = zone.refused(&[cname("a.corp.example")]);
        assert!(
            told.contains("not permitted as it conflicts with other records"),
            "{told}"
        );
        let told = zone.refused(&[cname("corp.example")]);
        assert!(
            told.contains("is not permitted at apex in zone corp.example."),
            "{told}"
        );
        zone.ok(&[cname("c.corp.example")]);
        let told = zone.refused(&[("CREATE", set("c.corp.example", "TXT", &["\"x\""]))]);
        assert!(told.contains("conflicts"), "{told}");
        let told = zone.refused(&[("CREATE", set("d.corp.example", "CNAME", &["a", "b"]))]);
        assert!(told.contains("exactly one resource record"), "{told}");
        let told = zone.refused(&[("CREATE", set("d.corp.example", "SOA", &["a. b. 1 2 3 4 5"]))]);
        assert!(told.contains("only permitted at apex"), "{told}");
        let reply = zone.list(&json!({"MaxItems": "2"}));
        for (index, kind) in [(0, "NS"), (1, "SOA")] {
            let place = format!("ResourceRecordSets.{index}");
            let ttl: u32 = text(&reply, &format!("{place}.TTL")).parse().unwrap();
            let records = count(&reply, &format!("{place}.ResourceRecords"));
            let values: Vec<_> = (0..records)
                .map(|n| text(&reply, &format!("{place}.ResourceRecords.{n}.Value")))
                .collect();
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            let own = with(set("corp.example", kind, &values), &json!({"TTL": ttl}));
            let told = zone.refused(&[("DELETE", own)]);
            assert!(told.contains("A HostedZone must contain"), "{told}");
        }
        let alias = |target: &str, kind: &str| {
            let target =
                json!({"HostedZoneId": zone.id, "DNSName": target, "EvaluateTargetHealth": false});
            json!({"Name": "e.corp.example", "Type": kind, "AliasTarget": target})
        };
        let (good, gone) = (alias("a.corp.example", "A"), alias("x.corp.example", "A"));
        let itself = alias("e.corp.example", "A");
        let mut strange = good.clone();
        strange["AliasTarget"]["HostedZoneId"] = json!("Z1");
        zone.ok(&[("CREATE", good.clone())]);
        let told = zone.refused(&[("UPSERT", gone)]);
        assert!(told.contains("but that target was not found"), "{told}");
        let told = zone.refused(&[("UPSERT", itself)]);
        assert!(told.contains("cannot target itself"), "{told}");
        assert!(
            zone.refused(&[("UPSERT", strange)])
                .starts_with("UnsupportedOperation")
        );
        zone.ok(&[("DELETE", good)]);
    }

    #[test]
    fn several_sets_of_a_name() {
        let mut zone = Zone::new();
        let of = |identifier: &str, more: Json| {
            let set = set("a.corp.example", "A", &["192.0.2.1"]);
            with(with(set, &json!({"SetIdentifier": identifier})), &more)
        };
        let weighted = |id: &str, weight: u8| of(id, json!({"Weight": weight}));
        zone.ok(&[("CREATE", weighted("x", 1)), ("CREATE", weighted("y/z", 0))]);
        let told = zone.refused(&[("CREATE", set("a.corp.example", "A", &["192.0.2.1"]))]);
        assert!(
            told.contains("SetIdentifier null cannot be created because other RRSets exist"),
            "{told}"
        );
        let told = zone.refused(&[("CREATE", of("l", json!({"Region": "eu-west-1"})))]);
        assert!(
            told.contains("because a non latency RRSet exists"),
            "{told}"
        );
        let told = zone.refused(&[("CREATE", weighted("x", 2))]);
        assert!(
            told.contains("set-identifier='x'] but it already exists"),
            "{told}"
        );
        let reply = zone.list(
            &json!({"StartRecordName": "a.corp.example", "StartRecordType": "A",
            "StartRecordIdentifier": "y"}),
        );
        assert_eq!(count(&reply, "ResourceRecordSets"), 1);
        assert_eq!(text(&reply, "ResourceRecordSets.0.SetIdentifier"), "y/z");
        zone.ok(&[("DELETE", weighted("x", 1)), ("DELETE", weighted("y/z", 0))]);
        let failover = |id: &str, which: &str| of(id, json!({"Failover": which}));
        zone.ok(&[
            ("CREATE", failover("p", "PRIMARY")),
            ("CREATE", failover("s", "SECONDARY")),
        ]);
        let told = zone.refused(&[("CREATE", failover("t", "SECONDARY"))]);
        assert!(
            told.contains("with the same name, type and failover exists"),
            "{told}"
        );
        let bad = [
            (
                of("x", json!({})),
                "but found none in Change with [Action=UPSERT, Name=a.corp.example, Type=A, SetIdentifier=x]",
            ),
            (
                of("x", json!({"Weight": 1, "Region": "eu-west-1"})),
                "but found more than one",
            ),
            (
                with(
                    set("a.corp.example", "A", &["192.0.2.1"]),
                    &json!({"Weight": 1}),
                ),
                "Missing field 'SetIdentifier'",
            ),
            (
                json!({"Name": "a.corp.example", "Type": "A"}),
                "Expected exactly one of [AliasTarget",
            ),
            (
                json!({"Name": "a.corp.example", "Type": "A", "TTL": 1}),
                "but found none",
            ),
        ];
        for (set, message) in bad {
            let told = zone.refused(&[("UPSERT", set)]);
            assert!(
                told.starts_with("InvalidInput: Invalid request: ") && told.contains(message),
                "{told}"
            );
        }
        let checked = of("h", json!({"Weight": 1, "HealthCheckId": "x"}));
        assert!(
            zone.refused(&[("UPSERT", checked)])
                .starts_with("NoSuchHealthCheck")
        );
        let multi = |kind: &str, value: &str| {
            let set = set("m.corp.example", kind, &[value]);
            with(
                set,
                &json!({"SetIdentifier": "x", "MultiValueAnswer": true}),
            )
        };
        zone.ok(&[("CREATE", multi("A", "192.0.2.1"))]);
        let told = zone.refused(&[("CREATE", multi("NS", "a.example"))]);
        assert!(
            told.contains("cannot be a multivalue answer RRSet"),
            "{told}"
        );
    }

    #[test]
    fn lists_in_pieces_and_bounds() {
        let mut zone = Zone::new();
        let many: Vec<_> = (0..301)
            .map(|n| {
                (
                    "CREATE",
                    set(&format!("h{n:03}.corp.example"), "A", &["192.0.2.1"]),
                )
            })
            .collect();
        zone.ok(&many);
        let mut seen = 0;
        let mut more = json!({"MaxItems": "200"});
        loop {
            let reply = zone.list(&more);
            seen += count(&reply, "ResourceRecordSets");
            if text(&reply, "IsTruncated") == "false" {
                break;
            }
            more["StartRecordName"] = json!(text(&reply, "NextRecordName"));
            more["StartRecordType"] = json!(text(&reply, "NextRecordType"));
        }
        assert_eq!(seen, 303);
        assert_eq!(
            count(
                &zone.list(&json!({"MaxItems": "1000"})),
                "ResourceRecordSets"
            ),
            300
        );
        let list = |more: Json| with(json!({"HostedZoneId": zone.id}), &more);
        for bad in [
            list(json!({"StartRecordType": "A"})),
            list(json!({"StartRecordName": "a", "StartRecordIdentifier": "x"})),
            list(json!({"StartRecordName": "a..b"})),
            list(json!({"MaxItems": "x"})),
        ] {
            assert_eq!(
                zone.world.err("ListResourceRecordSets", bad),
                "InvalidInput"
            );
        }
        let values: Vec<_> = (0..401)
            .map(|n| format!("192.0.{}.{}", n / 256, n % 256))
            .collect();
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let told = zone.refused(&[("CREATE", set("big.corp.example", "A", &values))]);
        assert!(told.contains("more than 400 resource records"), "{told}");
        let upserts: Vec<_> = (0..501)
            .map(|n| {
                (
                    "UPSERT",
                    set(&format!("u{n}.corp.example"), "A", &["192.0.2.1"]),
                )
            })
            .collect();
        let told = zone.refused(&upserts);
        assert!(told.contains("more than 1000 values"), "{told}");
        let long = format!("\"{}\"", "a".repeat(250)).repeat(15);
        let texts: Vec<_> = (0..9)
            .map(|n| {
                (
                    "CREATE",
                    set(&format!("t{n}.corp.example"), "TXT", &[&long]),
                )
            })
            .collect();
        let told = zone.refused(&texts);
        assert!(told.contains("more than 32000 characters"), "{told}");
    }

    /// Whatever batches come, the zone's count is right, an alias of a name stands alone, the apex is whole, and what
    /// is refused changes nothing.
    #[test]
    fn batches_keep_what_must_hold() {
        let changes = prop::collection::vec((0..3_u8, 0..3_u8, 0..4_u8, 0..3_u8), 1..5);
        let batches = prop::collection::vec(changes, 1..25);
        let config = ProptestConfig::with_cases(48);
        TestRunner::new(config)
            .run(&batches, |batches| {
                let mut zone = Zone::new();
                for batch in batches {
                    let changes: Vec<_> = batch.into_iter().map(random_change).collect();
                    let before = zone.names();
                    let request = zone.request(&changes);
                    let done = zone.world.call("ChangeResourceRecordSets", &request);
                    if done.is_err() {
                        prop_assert_eq!(zone.names(), before);
                    }
                    let found = zone.names();
                    let record = zone.world.state.hosted_zones.values().next().unwrap();
                    prop_assert_eq!(record.record_sets, found.len());
                    for kind in ["NS", "SOA"] {
                        let own = format!("corp.example. {kind}");
                        prop_assert!(found.contains(&own));
                    }
                    for alias in found.iter().filter_map(|set| set.strip_suffix(" CNAME")) {
                        let place = format!("{alias} ");
                        let others = found.iter().filter(|set| set.starts_with(&place));
                        prop_assert!(others.into_iter().all(|set| set.ends_with("CNAME")));
                    }
                }
                Ok(())
            })
            .unwrap();
    }

    fn random_change((action, name, kind, routing): (u8, u8, u8, u8)) -> (&'static str, Json) {
        let action = ["CREATE", "DELETE", "UPSERT"][usize::from(action)];
        let name = ["corp.example", "a.corp.example", "*.a.corp.example"][usize::from(name)];
        let (kind, value) = [
            ("A", "192.0.2.1"),
            ("CNAME", "b.example"),
            ("NS", "c.example"),
            ("TXT", "\"x\""),
        ][usize::from(kind)];
        let routing = [
            json!({}),
            json!({"SetIdentifier": "x", "Weight": 1}),
            json!({"SetIdentifier": "y", "Region": "eu-west-1"}),
        ][usize::from(routing)]
        .clone();
        (action, with(set(name, kind, &[value]), &routing))
    }
}
