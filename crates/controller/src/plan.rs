//! `/_polder/plan`: what calls would open and close, without making them.
//!
//! The calls run on a copy of the state, one after the other, as they would on the state itself; then both networks
//! are asked what gets through. Each line is a call: JSON (`{"action": …, "parameters": {…}}`, as the fixes of a path's
//! report are, with `save` and `$name`), or the parameters as EC2's query protocol has them (`Action=…&…`). `#` begins
//! a comment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{ApiError, HttpRequest, Service, Value};
use reachability::{Difference, Place, Sign};
use region::State;
use serde::Deserialize;
use topology::{Change, Object, Snapshot};
use types::{AccountId, RegionName, VpcId};

use crate::core::View;
use crate::reach::{EVERYONE, MOST};
use crate::{Controller, wire};

/// The most calls of a plan.
const MAX_CALLS: usize = 1000;

/// A call as JSON. What is for people only is skipped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    action: String,
    #[serde(default)]
    parameters: serde_json::Map<String, serde_json::Value>,
    save: Option<Save>,
    #[serde(rename = "command")]
    _command: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Save {
    name: String,
    path: String,
}

struct Step {
    action: String,
    input: Value,
    save: Option<Save>,
}

/// Answers with what the calls in `body` would gain and lose; `account` and `region` say who makes them and where,
/// `colour=1` colours the text.
pub(crate) fn answer(
    view: &View,
    parameters: &BTreeMap<String, String>,
    body: &[u8],
) -> Result<wire::Plan, String> {
    const KNOWN: [&str; 3] = ["account", "region", "colour"];
    if let Some(stranger) = parameters
        .keys()
        .find(|name| !KNOWN.contains(&name.as_str()))
    {
        return Err(format!("`{stranger}` is not a parameter"));
    }
    let state = &view.published.state;
    let account = account(state, parameters.get("account"))?;
    let region: RegionName = parameters
        .get("region")
        .map_or("us-east-1", String::as_str)
        .parse()
        .map_err(|error| format!("`region`: {error}"))?;
    if !region::is_region(&region) {
        return Err(format!("`{region}` is not a region"));
    }
    let text = std::str::from_utf8(body).map_err(|_| "the calls are not UTF-8 text".to_owned())?;
    let steps = steps(text)?;
    let (after, changes) = rehearse(view, (account, &region), steps)?;
    let (found, limited) = compare(&view.snapshot, &after, &changes)?;
    let colour = parameters.get("colour").is_some_and(|text| text == "1");
    let mut text = reachability::table(&found.gained, Sign::Gained, colour);
    text.push_str(&reachability::table(&found.lost, Sign::Lost, colour));
    let changes = !text.is_empty();
    if !changes {
        text.push_str("Nothing that gets through changes.\n");
    }
    if let Some(vpcs) = &limited {
        let ids: Vec<String> = vpcs.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "Looked at within {} and the internet only.\n",
            ids.join(", ")
        ));
    }
    let mut difference = serde_json::to_value(&found).map_err(|error| error.to_string())?;
    if let Some(members) = difference.as_object_mut() {
        members.insert("limited_to".to_owned(), serde_json::json!(limited));
    }
    Ok(wire::Plan {
        changes,
        text,
        difference,
    })
}

/// The account that is named, or the only one.
fn account(state: &State, named: Option<&String>) -> Result<AccountId, String> {
    if let Some(text) = named {
        return text.parse().map_err(|error| format!("`account`: {error}"));
    }
    let accounts: BTreeSet<AccountId> = state.vpcs.values().map(|vpc| vpc.account).collect();
    let mut accounts = accounts.into_iter();
    match (accounts.next(), accounts.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err("there is no account with a VPC; name one".to_owned()),
        (Some(_), Some(_)) => Err("there are several accounts; name one".to_owned()),
    }
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if steps.len() == MAX_CALLS {
            return Err(format!("a plan has at most {MAX_CALLS} calls"));
        }
        let step = if line.starts_with('{') {
            json(line)
        } else {
            form(line)
        };
        steps.push(step.map_err(|error| format!("line {number}: {error}"))?);
    }
    Ok(steps)
}

fn json(line: &str) -> Result<Step, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let input = api::to_value(&line.parameters).map_err(|error| error.to_string())?;
    Ok(Step {
        action: line.action,
        input: structure(input),
        save: line.save,
    })
}

/// Every object of JSON is a structure: no action of EC2's that changes something takes a map.
fn structure(value: Value) -> Value {
    match value {
        Value::Map(entries) | Value::Structure(entries) => Value::Structure(
            entries
                .into_iter()
                .map(|(name, value)| (name, structure(value)))
                .collect(),
        ),
        Value::List(elements) => Value::List(elements.into_iter().map(structure).collect()),
        scalar @ (Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Timestamp(_)
        | Value::Blob(_)) => scalar,
    }
}

fn form(line: &str) -> Result<Step, String> {
    let body = if line.contains("Version=") {
        line.to_owned()
    } else {
        format!("{line}&Version={VERSION}")
    };
    let http = HttpRequest {
        method: "POST",
        path: "/",
        query: "",
        content_type: Some("application/x-www-form-urlencoded"),
        body: body.as_bytes(),
    };
    let request = api::decode(Service::ec2(), &http).map_err(|error| error.to_string())?;
    Ok(Step {
        action: request.action().to_owned(),
        input: request.input().clone(),
        save: None,
    })
}

/// EC2's one version.
const VERSION: &str = "2016-11-15";

/// Runs the calls on a copy of the state. Gives the network after them, and what changed in it.
fn rehearse(
    view: &View,
    who: (AccountId, &RegionName),
    steps: Vec<Step>,
) -> Result<(Snapshot, Vec<Change>), String> {
    let published = &view.published;
    let mut saved: BTreeMap<String, String> = BTreeMap::new();
    let mut state = Arc::clone(&published.state);
    let mut snapshot = Snapshot::clone(&view.snapshot);
    let mut changes = Vec::new();
    for (number, step) in (1..).zip(steps) {
        let input = fill(step.input, &saved);
        let done = Controller::rehearse(published, &state, who, ("ec2", &step.action), &input)
            .map_err(|error: ApiError| {
                format!(
                    "call {number}, {}: {}: {}",
                    step.action, error.code, error.message
                )
            })?;
        if let Some(save) = step.save {
            let part = part(&done.reply, &save.path).ok_or_else(|| {
                format!(
                    "call {number}, {}: the reply has no `{}`",
                    step.action, save.path
                )
            })?;
            saved.insert(save.name, part);
        }
        let revision = snapshot.revision();
        let delta = region::delta(&state, &done.state, &done.writes, revision, revision);
        snapshot = snapshot.apply(revision, &delta.changes);
        changes.extend(delta.changes);
        state = done.state;
    }
    Ok((snapshot, changes))
}

/// Puts what earlier calls saved in its place: `$name`, and `$name/32`.
fn fill(value: Value, saved: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            let named = text
                .strip_prefix('$')
                .map(|rest| rest.split_once('/').unwrap_or((rest, "")));
            let known = named.and_then(|(name, rest)| Some((saved.get(name)?, rest)));
            Value::String(match known {
                Some((known, "")) => known.clone(),
                Some((known, rest)) => format!("{known}/{rest}"),
                None => text,
            })
        }
        Value::List(items) => {
            Value::List(items.into_iter().map(|item| fill(item, saved)).collect())
        }
        Value::Structure(members) => Value::Structure(
            members
                .into_iter()
                .map(|(name, member)| (name, fill(member, saved)))
                .collect(),
        ),
        other @ (Value::Map(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Timestamp(_)
        | Value::Blob(_)) => other,
    }
}

/// The text at a path of members: `Addresses[0].PublicIp`.
fn part(reply: &Value, path: &str) -> Option<String> {
    let mut here = reply;
    for step in path.split('.') {
        let (member, index) = match step.split_once('[') {
            Some((member, index)) => (
                member,
                Some(index.strip_suffix(']')?.parse::<usize>().ok()?),
            ),
            None => (step, None),
        };
        here = here.get(member)?;
        if let (Some(index), Value::List(elements)) = (index, here) {
            here = elements.get(index)?;
        }
    }
    here.as_str().map(str::to_owned)
}

/// What differs, and where it was looked at if not everywhere: a network too large to ask about as a whole is asked
/// about where the changes are.
fn compare(
    before: &Snapshot,
    after: &Snapshot,
    changes: &[Change],
) -> Result<(Difference, Option<BTreeSet<VpcId>>), String> {
    if changes.is_empty() {
        return Ok((Difference::default(), None));
    }
    if let Ok(found) = reachability::difference(before, after, &EVERYONE, &EVERYONE, MOST) {
        return Ok((found, None));
    }
    let vpcs = connected(before, after, touched(before, after, changes));
    let mut places: Vec<Place> = vpcs.iter().copied().map(Place::Vpc).collect();
    places.push(Place::Internet);
    let found = reachability::difference(before, after, &places, &places, MOST)
        .map_err(|error| error.to_string())?;
    Ok((found, Some(vpcs)))
}

/// The VPCs in which something changes.
fn touched(before: &Snapshot, after: &Snapshot, changes: &[Change]) -> BTreeSet<VpcId> {
    let mut vpcs = BTreeSet::new();
    for change in changes {
        for snapshot in [before, after] {
            let home = snapshot
                .home(change.id())
                .and_then(|view| view.vpc.as_ref());
            vpcs.extend(home.map(|vpc| vpc.id));
            for address in snapshot.public_addresses() {
                if types::ObjectId::from(address.allocation) == change.id() {
                    let interface = snapshot.interface(address.interface);
                    vpcs.extend(interface.map(|interface| interface.vpc));
                }
            }
            for peering in snapshot.peerings() {
                if types::ObjectId::from(peering.id) == change.id() {
                    vpcs.extend(peering.vpcs);
                }
            }
        }
        if let types::ObjectId::EndpointId(id) = change.id() {
            for snapshot in [before, after] {
                if let Some(endpoint) = snapshot.endpoint(id) {
                    let front = snapshot.interface(endpoint.front);
                    vpcs.insert(endpoint.vpc);
                    vpcs.extend(front.map(|front| front.vpc));
                }
            }
        }
        if let Change::Put(
            Object::TransitAttachment(_) | Object::TransitPeering(_) | Object::TransitRouteTable(_),
        )
        | Change::RemoveTransitAttachment(_)
        | Change::RemoveTransitRouteTable(_) = change
        {
            // Whoever is behind a transit gateway may be concerned.
            let all = [before, after]
                .into_iter()
                .flat_map(Snapshot::transit_attachments);
            vpcs.extend(all.map(|attachment| attachment.vpc));
        }
    }
    vpcs
}

/// These VPCs and all that peering connections, transit gateways and endpoints lead to from them.
fn connected(before: &Snapshot, after: &Snapshot, mut vpcs: BTreeSet<VpcId>) -> BTreeSet<VpcId> {
    loop {
        let count = vpcs.len();
        for snapshot in [before, after] {
            for peering in snapshot.peerings() {
                if peering.vpcs.iter().any(|vpc| vpcs.contains(vpc)) {
                    vpcs.extend(peering.vpcs);
                }
            }
            for endpoint in snapshot.endpoints() {
                let front = snapshot.interface(endpoint.front);
                let ends = [Some(endpoint.vpc), front.map(|front| front.vpc)];
                if ends.iter().flatten().any(|vpc| vpcs.contains(vpc)) {
                    vpcs.extend(ends.into_iter().flatten());
                }
            }
            let mut attachments = snapshot.transit_attachments();
            if attachments.any(|attachment| vpcs.contains(&attachment.vpc)) {
                vpcs.extend(
                    snapshot
                        .transit_attachments()
                        .map(|attachment| attachment.vpc),
                );
            }
        }
        if vpcs.len() == count {
            return vpcs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_strictly() {
        let read = |text: &str| {
            steps(text).map(|steps| steps.into_iter().map(|s| s.action).collect::<Vec<_>>())
        };
        let both = "# open it\n\n{\"action\": \"CreateVpc\", \"parameters\": {\"CidrBlock\": \"10.0.0.0/16\"}}\nAction=DeleteVpc&VpcId=vpc-1\n";
        assert_eq!(
            read(both),
            Ok(vec!["CreateVpc".to_owned(), "DeleteVpc".to_owned()])
        );
        for (wrong, why) in [
            (
                "{\"action\": \"CreateVpc\", \"more\": 1}",
                "line 1: unknown field `more`",
            ),
            ("\n{", "line 2: EOF"),
            ("Action=NoSuch", "line 1: "),
            ("hello", "line 1: "),
        ] {
            let said = read(wrong).unwrap_err();
            assert!(said.starts_with(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn what_is_saved_is_put_in_place() {
        let saved = BTreeMap::from([("ip".to_owned(), "192.0.2.1".to_owned())]);
        let fill = |text: &str| fill(Value::String(text.to_owned()), &saved);
        assert_eq!(fill("$ip/32").as_str(), Some("192.0.2.1/32"));
        assert_eq!(fill("$ip").as_str(), Some("192.0.2.1"));
        assert_eq!(fill("$other").as_str(), Some("$other"));
    }
}
