//! What a story says, and carrying it out.

use std::sync::Arc;

use std::collections::{BTreeMap, BTreeSet};

use api::{ApiError, Service, Value};
use region::{Context, Executed, Settings, State, Timestamp, ZoneNames};
use serde_json::Value as Json;

use crate::{mutations, wire};

/// One line of a story.
pub(crate) struct Line {
    /// File and line.
    pub(crate) place: String,
    pub(crate) text: String,
}

/// The lines of a story without comments, those that go on joined.
pub(crate) fn lines(name: &str, text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open = false;
    for (number, text) in text.lines().enumerate() {
        let text = text.trim();
        if !open && (text.is_empty() || text.starts_with('#')) {
            continue;
        }
        let goes_on = text.ends_with('\\');
        let part = text.trim_end_matches('\\');
        match lines.last_mut().filter(|_| open) {
            Some(line) => line.text.push_str(part),
            None => lines.push(Line {
                place: format!("{name}:{}", number + 1),
                text: part.to_owned(),
            }),
        }
        open = goes_on;
    }
    lines
}

/// A story while it is told: a region of its own.
pub(crate) struct Story {
    pub(crate) state: Arc<State>,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) now: i64,
    pub(crate) kept: BTreeMap<String, Json>,
    /// `service:Action` of every request that succeeded.
    pub(crate) succeeded: BTreeSet<String>,
    /// How many wrong copies were tried.
    pub(crate) copies: usize,
    /// What was not as it must be.
    pub(crate) problems: Vec<String>,
    shared: bool,
    seed: u128,
}

/// A request of a story.
pub(crate) struct Step {
    pub(crate) place: String,
    pub(crate) service: &'static Service,
    pub(crate) action: String,
    /// Its parameters, as the story has them and with what was kept put in.
    pub(crate) written: Json,
    pub(crate) input: Json,
    /// Whether strangers may make it.
    pub(crate) shared: bool,
}

impl Story {
    pub(crate) fn new() -> Story {
        Story {
            state: Arc::default(),
            account: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            now: 1_700_000_000_000,
            kept: BTreeMap::new(),
            succeeded: BTreeSet::new(),
            copies: 0,
            problems: Vec::new(),
            shared: false,
            seed: 0,
        }
    }

    /// Takes a line: a directive, or a request with what it must meet.
    pub(crate) fn take(&mut self, line: &Line) {
        let place = &line.place;
        if let Some(directive) = line.text.strip_prefix('@') {
            let (word, argument) = directive.split_once(' ').unwrap_or((directive, ""));
            match word {
                "account" => argument.clone_into(&mut self.account),
                "region" => argument.clone_into(&mut self.region),
                "pass" => self.now += argument.parse::<i64>().unwrap() * 1000,
                "shared" => self.shared = true,
                _ => panic!("{place}: no such directive: @{word}"),
            }
            return;
        }
        let (name, rest) = line.text.split_once(' ').unwrap_or((&line.text, "{}"));
        let (service, action) = name.split_once(':').unwrap_or(("ec2", name));
        let (input, outcome) = split(rest);
        let written: Json =
            serde_json::from_str(input).unwrap_or_else(|error| panic!("{place}: {error}: {input}"));
        let step = Step {
            place: place.clone(),
            service: Service::by_name(service).unwrap_or_else(|| panic!("{place}: {service}")),
            action: action.to_owned(),
            input: self.filled(&written, place),
            written,
            shared: std::mem::take(&mut self.shared),
        };
        match outcome {
            Outcome::Error(code) => {
                let met = self.attempt(&step, &step.input).map(|_| ());
                let met = met.map_err(|error| error.code.into_owned());
                assert_eq!(met, Err(code.to_owned()), "{place}: {}", line.text);
            }
            Outcome::Success(kept) => {
                mutations::check(self, &step);
                let done = self.attempt(&step, &step.input);
                let done = done.unwrap_or_else(|error| panic!("{place}: {}: {error}", line.text));
                self.state = done.state;
                for (name, path) in kept {
                    let value = at(&done.reply, path);
                    let value =
                        value.unwrap_or_else(|| panic!("{place}: no `{path}` in {:?}", done.reply));
                    self.kept.insert(name.to_owned(), value);
                }
                self.succeeded
                    .insert(format!("{}:{}", step.service.name(), step.action));
            }
        }
    }

    /// What a request would do, over the wire format; the state stays.
    pub(crate) fn attempt(&mut self, step: &Step, input: &Json) -> Result<Executed, ApiError> {
        let request = wire::request(step.service, &step.action, input)?;
        let settings = Settings {
            hosts: false,
            fleet: false,
            pool: topology::Uplink {
                pool: "203.0.113.0/24".parse().unwrap(),
                host: "203.0.113.1".parse().unwrap(),
                internet: false,
                ipv6: None,
            },
            ipv6_pool: "2001:db8::/32".parse().unwrap(),
            settle: 0,
            zone_names: ZoneNames::Fixed,
        };
        let seed = &mut self.seed;
        let mut random = || {
            *seed += 1;
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        };
        let ctx = Context::new(
            self.account.parse().unwrap(),
            self.region.parse().unwrap(),
            Timestamp(self.now),
            &settings,
            &mut random,
        );
        let service = step.service;
        let done = region::execute(
            &self.state,
            &ctx,
            service.name(),
            request.action(),
            request.input().clone(),
        )?;
        // A member that the model does not have, or of another type, has no form.
        api::encode_reply(service, request.operation(), &done.reply, "r")
            .unwrap_or_else(|error| panic!("{}: reply of {}: {error}", step.place, step.action));
        Ok(done)
    }

    /// The parameters with what was kept in place of `$name`.
    fn filled(&self, written: &Json, place: &str) -> Json {
        match written {
            Json::String(text) => match text.strip_prefix('$') {
                Some(name) => self
                    .kept
                    .get(name)
                    .unwrap_or_else(|| panic!("{place}: nothing is kept as ${name}"))
                    .clone(),
                None => written.clone(),
            },
            Json::Array(elements) => elements.iter().map(|e| self.filled(e, place)).collect(),
            Json::Object(members) => Json::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), self.filled(value, place)))
                    .collect(),
            ),
            Json::Null | Json::Bool(_) | Json::Number(_) => written.clone(),
        }
    }
}

enum Outcome<'l> {
    Success(Vec<(&'l str, &'l str)>),
    Error(&'l str),
}

/// The parameters, and what the request must meet.
fn split(rest: &str) -> (&str, Outcome<'_>) {
    // Neither sign stands in a request.
    if let Some((input, code)) = rest.rsplit_once("!!") {
        return (json(input), Outcome::Error(code.trim()));
    }
    let (input, kept) = rest.rsplit_once("->").unwrap_or((rest, ""));
    let kept = kept
        .split_whitespace()
        .filter_map(|item| item.trim_end_matches(',').split_once('='));
    (json(input), Outcome::Success(kept.collect()))
}

fn json(text: &str) -> &str {
    match text.trim() {
        "" => "{}",
        text => text,
    }
}

/// A scalar of a reply, by path.
fn at(value: &Value, path: &str) -> Option<Json> {
    let mut here = value;
    for step in path.split('.') {
        here = match here {
            Value::Structure(members) | Value::Map(members) => members.get(step)?,
            Value::List(elements) => elements.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    match here {
        Value::String(text) => Some(Json::from(text.as_str())),
        Value::Integer(number) => Some(Json::from(*number)),
        Value::Boolean(truth) => Some(Json::from(*truth)),
        _ => None,
    }
}
