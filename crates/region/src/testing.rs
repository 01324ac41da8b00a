//! A region for tests: requests as clients make them, randomness that counts.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other value fails the test"
)]

use std::sync::Arc;

use api::{ApiError, Value};
use serde::Serialize;
use types::AccountId;

use crate::{Context, Executed, Settings, State, Timestamp, ZoneNames, execute};

/// A region, and the client that the next request comes from.
pub(crate) struct World {
    pub(crate) state: Arc<State>,
    pub(crate) account: AccountId,
    pub(crate) region: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) hosts: bool,
    pub(crate) fleet: bool,
    pub(crate) settle: i64,
    pub(crate) zone_names: ZoneNames,
    seed: u128,
}

impl World {
    /// An empty region without hosts, asked by account 111122223333.
    pub(crate) fn new() -> World {
        World {
            state: Arc::default(),
            account: account("111122223333"),
            region: "us-east-1",
            now: Timestamp(1_700_000_000_000),
            hosts: false,
            fleet: false,
            settle: 0,
            zone_names: ZoneNames::Fixed,
            seed: 0,
        }
    }

    /// Lets `f` use a context; its randomness goes on where the one before ended.
    pub(crate) fn with<T>(&mut self, f: impl FnOnce(&Arc<State>, &Context<'_>) -> T) -> T {
        let mut seed = self.seed;
        let mut random = || {
            // An odd multiplier visits every value once; ids look random and repeat from run to run.
            seed += 1;
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        };
        let settings = Settings {
            hosts: self.hosts,
            fleet: self.fleet,
            pool: topology::Uplink {
                pool: "203.0.113.0/24".parse().unwrap(),
                host: "203.0.113.1".parse().unwrap(),
                internet: false,
                ipv6: None,
            },
            ipv6_pool: "2001:db8::/32".parse().unwrap(),
            settle: self.settle,
            zone_names: self.zone_names,
        };
        let region = self.region.parse().unwrap();
        let ctx = Context::new(self.account, region, self.now, &settings, &mut random);
        let result = f(&self.state, &ctx);
        self.seed = seed;
        result
    }

    /// Executes a request without keeping what it did.
    pub(crate) fn execute(&mut self, action: &str, input: Value) -> Result<Executed, ApiError> {
        let service = if api::Service::route53().is_known_action(action) {
            "route53"
        } else {
            "ec2"
        };
        let done =
            self.with(|state, ctx| execute(state, ctx, service, action, structure(input)))?;
        // Every reply must be of its shape.
        let service = api::Service::by_name(service).unwrap();
        let operation = service.operation(action).unwrap();
        let encoded = api::encode_reply(service, operation, &done.reply, "r");
        encoded
            .unwrap_or_else(|error| panic!("the reply of {action} is not of its shape: {error}"));
        Ok(done)
    }

    /// Executes a request and keeps what it did.
    pub(crate) fn call(&mut self, action: &str, input: &impl Serialize) -> Result<Value, ApiError> {
        let done = self.execute(action, api::to_value(input).unwrap())?;
        self.state = done.state;
        Ok(done.reply)
    }

    /// A request that succeeds, by its parameters as JSON.
    #[track_caller]
    pub(crate) fn ok(&mut self, action: &str, input: serde_json::Value) -> Value {
        self.call(action, &input)
            .unwrap_or_else(|error| panic!("{action}: {error}"))
    }

    /// A request that fails; its error's code.
    #[track_caller]
    pub(crate) fn err(&mut self, action: &str, input: serde_json::Value) -> String {
        match self.call(action, &input) {
            Ok(reply) => panic!("{action} succeeded: {reply:?}"),
            Err(error) => error.code.into_owned(),
        }
    }
}

/// What JSON objects say: they are structures in every request.
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

pub(crate) fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

/// The value at a path of members and indices, `Vpcs.0.VpcId`, as text.
#[track_caller]
pub(crate) fn text(value: &Value, path: &str) -> String {
    match at(value, path) {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        other => panic!("`{path}` is {other:?}"),
    }
}

/// How many elements the list at a path has.
#[track_caller]
pub(crate) fn count(value: &Value, path: &str) -> usize {
    match at(value, path) {
        Value::List(elements) => elements.len(),
        other => panic!("`{path}` is {other:?}"),
    }
}

/// The value at a path of members and indices.
#[track_caller]
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    let mut here = value;
    for step in path.split('.') {
        let next = match here {
            Value::Structure(members) => members.get(step),
            Value::List(elements) => step.parse::<usize>().ok().and_then(|i| elements.get(i)),
            _ => None,
        };
        here = next.unwrap_or_else(|| panic!("no `{step}` of `{path}` in {value:?}"));
    }
    here
}
