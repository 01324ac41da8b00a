//! `/_polder/`: what EC2 has no word for, as JSON. Only reads.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use hyper::{Method, StatusCode};
use serde::Serialize;
use topology::Snapshot;

use crate::http::{Answer, Received};
use crate::{Controller, Mode, path, plan, reach, wire};
use feed::{Dropped, Port};

/// What every admin path begins with.
pub(crate) const PREFIX: &str = "/_polder/";

/// The one question that comes with a body.
const PLAN: &str = "plan";

/// The method of an admin path.
pub(crate) fn method(path: &str) -> Method {
    if path.strip_prefix(PREFIX) == Some(PLAN) {
        Method::POST
    } else {
        Method::GET
    }
}

/// Whether something answers at this path.
pub(crate) fn is_known(path: &str) -> bool {
    let name = path.strip_prefix(PREFIX).unwrap_or_default();
    [
        "status",
        "path",
        "plan",
        "reach",
        "drops",
        "interfaces",
        "sessions",
        "instances",
    ]
    .contains(&name)
}

/// Answers one admin request.
pub(crate) async fn handle(controller: &Controller, received: &Received) -> Answer {
    let uri = &received.head.uri;
    let query = match parameters(uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    match uri.path().strip_prefix(PREFIX).unwrap_or_default() {
        "status" => json(&status(controller)),
        "path" => match path::answer(&controller.view(), &query) {
            Ok(answer) => json(&answer),
            Err(message) => error(StatusCode::BAD_REQUEST, &message),
        },
        "reach" => match reach::answer(&controller.view(), &query) {
            Ok(answer) => json(&answer),
            Err(message) => error(StatusCode::BAD_REQUEST, &message),
        },
        PLAN => match plan::answer(&controller.view(), &query, &received.body) {
            Ok(answer) => json(&answer),
            Err(message) => error(StatusCode::BAD_REQUEST, &message),
        },
        "drops" => match query.get("since").map_or(Ok(0), |text| text.parse()) {
            Ok(since) => json(&drops(controller, since)),
            Err(_) => error(StatusCode::BAD_REQUEST, "`since` is not a number"),
        },
        "interfaces" => json(&interfaces(controller).await),
        "sessions" => json(&sessions(controller).await),
        "instances" => json(&instances(controller)),
        _ => error(StatusCode::NOT_FOUND, "no such path"),
    }
}

/// An error as JSON.
pub(crate) fn error(status: StatusCode, message: &str) -> Answer {
    Answer {
        status,
        ..json(&wire::Error {
            error: message.to_owned(),
        })
    }
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Answer {
            status: StatusCode::OK,
            content_type: "application/json",
            headers: Vec::new(),
            body,
        },
        Err(error) => {
            tracing::error!(%error, "an answer has no JSON form");
            let body = br#"{"error":"an internal error has occurred"}"#.to_vec();
            Answer {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                content_type: "application/json",
                headers: Vec::new(),
                body,
            }
        }
    }
}

/// The parameters of a query string, each at most once.
fn parameters(query: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decoded(name)
            .zip(decoded(value))
            .ok_or_else(|| "the query is malformed".to_owned())?;
        if let Some(twice) = found.insert(decoded.0, decoded.1).and(Some(name)) {
            return Err(format!("`{twice}` is there twice"));
        }
    }
    Ok(found)
}

/// Percent-decoded text (RFC 3986 section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = after
                .get(..2)
                .filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn status(controller: &Controller) -> wire::Status {
    let published = controller.published();
    let (mode, why) = match controller.mode() {
        Mode::Starting => ("starting", None),
        Mode::Full => ("full", None),
        Mode::ControlPlaneOnly(why) => ("control-plane-only", Some(why)),
    };
    let state = &published.state;
    let counts = [
        ("accounts", state.accounts.size()),
        ("addresses", state.addresses.size()),
        ("instances", state.instances.size()),
        ("interfaces", state.interfaces.size()),
        ("security groups", state.security_groups.size()),
        ("subnets", state.subnets.size()),
        ("vpcs", state.vpcs.size()),
    ];
    wire::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: mode.to_owned(),
        why,
        revision: published.revision,
        counts: counts
            .into_iter()
            .map(|(kind, count)| (kind.to_owned(), count))
            .collect(),
        uptime_ms: u64::try_from(controller.uptime().as_millis()).unwrap_or(u64::MAX),
        pool: controller.pool().pool.to_string(),
    }
}

/// Whose a port is: instance and account.
fn owner(snapshot: &Snapshot, port: Port) -> (Option<String>, Option<String>) {
    let Port::Interface(id) = port else {
        return (None, None);
    };
    let instance = snapshot
        .interface(id)
        .and_then(|interface| interface.instance);
    let vpc = snapshot.vpc_of(id).and_then(|view| view.vpc.as_ref());
    (
        instance.map(|id| id.to_string()),
        vpc.map(|vpc| vpc.account.to_string()),
    )
}

fn drops(controller: &Controller, since: u64) -> wire::Drops {
    let Some(host) = controller.host() else {
        return wire::Drops {
            drops: Vec::new(),
            next: since,
        };
    };
    let snapshot = &controller.snapshot();
    let (dropped, next) = host.drops(since);
    let drops = dropped
        .iter()
        .map(|dropped| drop_record(snapshot, dropped))
        .collect();
    wire::Drops { drops, next }
}

fn drop_record(snapshot: &Snapshot, dropped: &Dropped) -> wire::Drop {
    let (instance, account) = owner(snapshot, dropped.port);
    let since = dropped.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let rule = dropped.step.zip(dropped.rule);
    wire::Drop {
        sequence: dropped.sequence,
        time_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        interface: dropped.port.to_string(),
        instance,
        account,
        code: dropped.reason.code(),
        reason: dropped.reason.name().to_owned(),
        tuple: dropped.tuple.map(|tuple| tuple.to_string()),
        step: dropped.step.map(|step| step.name().to_owned()),
        object: dropped.object.map(|id| id.to_string()),
        rule: rule.map(|(step, rule)| reachability::rule(snapshot, step, dropped.object, rule)),
    }
}

async fn interfaces(controller: &Controller) -> wire::Interfaces {
    let counters = match controller.host() {
        Some(host) => host.counters().await,
        None => BTreeMap::new(),
    };
    let snapshot = &controller.snapshot();
    let interfaces = counters.into_iter().map(|(port, passed)| {
        let (instance, account) = owner(snapshot, port);
        wire::Interface {
            interface: port.to_string(),
            instance,
            account,
            rx_packets: passed.rx_packets,
            rx_bytes: passed.rx_bytes,
            tx_packets: passed.tx_packets,
            tx_bytes: passed.tx_bytes,
            upcalls: passed.upcalls,
            drops: passed
                .drops
                .into_iter()
                .map(|(reason, count)| (reason.name().to_owned(), count))
                .collect(),
        }
    });
    wire::Interfaces {
        interfaces: interfaces.collect(),
    }
}

async fn sessions(controller: &Controller) -> wire::Sessions {
    let sessions = match controller.host() {
        Some(host) => host.sessions().await,
        None => Vec::new(),
    };
    let sessions = sessions.into_iter().map(|session| wire::Session {
        id: session.id,
        interface: session.port.map(|port| port.to_string()),
        tuple: session.tuple.to_string(),
        reply_interface: session.reply_port.map(|port| port.to_string()),
        reply_tuple: session.reply_tuple.to_string(),
        packets: session.packets,
        bytes: session.bytes,
        idle_ms: session.idle_ms,
    });
    wire::Sessions {
        sessions: sessions.collect(),
    }
}

fn instances(controller: &Controller) -> wire::Instances {
    let view = controller.view();
    let state = &view.published.state;
    let instances = state.instances.values().map(|instance| {
        let primary = instance
            .interfaces
            .get(&0)
            .and_then(|id| state.interfaces.get(id));
        let private =
            primary.and_then(|interface| Some((interface.id, *interface.addresses.first()?)));
        let public = private.and_then(|(id, address)| view.snapshot.public_of(id, address));
        wire::Instance {
            id: instance.id.to_string(),
            account: instance.account.to_string(),
            region: instance.region.to_string(),
            state: instance.state.name().to_owned(),
            namespace: format!("pd-{}", instance.id),
            private_ip: private.map(|(_, address)| address.to_string()),
            public_ip: public.map(|address| address.public.to_string()),
        }
    });
    wire::Instances {
        instances: instances.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let read = |query: &str| parameters(query).map(|map| map.into_iter().collect::<Vec<_>>());
        assert_eq!(
            read("a=1&b=%3A%3a"),
            Ok(vec![("a".into(), "1".into()), ("b".into(), "::".into())])
        );
        assert_eq!(read(""), Ok(vec![]));
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
