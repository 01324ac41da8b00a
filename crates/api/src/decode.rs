//! Requests: from the form's pairs to a value of the action's input shape.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::de::from_value;
use crate::error::ApiError;
use crate::shapes::{Kind, Member, Operation, Protocol, Service, Shape};
use crate::value::{Timestamp, Value};
use crate::{auth, form};

/// The most parts of a parameter's name (`Filter.1.Value.2` has four).
pub const MAX_DEPTH: usize = 16;

/// A request that its shape allows.
#[derive(Debug, Clone)]
pub struct Request {
    service: &'static Service,
    operation: &'static Operation,
    version: String,
    input: Value,
    uneven: Vec<Uneven>,
}

/// A list whose elements were not numbered 1, 2, 3 …: where it is, and their numbers.
#[derive(Debug, Clone)]
struct Uneven {
    path: Vec<Segment>,
    numbers: Vec<usize>,
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Into a structure, by the model's name of the member.
    Member(String),
    /// Into a list, from 0.
    Index(usize),
    /// Into a map.
    Key(String),
}

/// A value that a handler's type did not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?} at {path:?}: expected {expected}")]
pub struct DecodeError {
    /// Where, from the whole value inwards.
    pub path: Vec<Segment>,
    /// In which way.
    pub kind: DecodeKind,
    /// The text that stood there, where it was a scalar.
    pub value: Option<String>,
    /// What would have been right, as a noun: `VPC id`.
    pub expected: String,
}

/// Why a handler's type did not take a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeKind {
    /// The type has no such member: it is not honoured.
    Unsupported,
    /// The type does not have this value of the enumeration.
    UnsupportedValue,
    /// The type needs a member that the shape does not require.
    Missing,
    /// The text is not of the type's form.
    Malformed,
}

impl Request {
    /// A request in a protocol without lists that clients number.
    pub(crate) fn new(
        service: &'static Service,
        operation: &'static Operation,
        input: Value,
    ) -> Request {
        Request {
            service,
            operation,
            version: service.version().to_owned(),
            input,
            uneven: Vec::new(),
        }
    }

    /// The service that is asked.
    #[must_use]
    pub fn service(&self) -> &'static Service {
        self.service
    }

    /// The operation that is asked for.
    #[must_use]
    pub fn operation(&self) -> &'static Operation {
        self.operation
    }

    /// The action's name.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.operation.name
    }

    /// The API version that the client named.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The parameters.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.input
    }

    /// The parameters as a handler's type.
    ///
    /// # Errors
    /// What [`Request::try_read`] finds, as [`Request::explain`] tells it.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        self.try_read().map_err(|error| self.explain(&error))
    }

    /// The parameters as a handler's type, with the error as data.
    ///
    /// # Errors
    /// A parameter that the type does not have, or a value that it does not take.
    pub fn try_read<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        from_value(self.input.clone())
    }

    /// What the client is told about an error of its parameters: EC2's code, the parameter's name on the wire.
    #[must_use]
    pub fn explain(&self, error: &DecodeError) -> ApiError {
        ApiError::from_decode(error, self.action(), &self.wire_path(&error.path))
    }

    /// The name on the wire of the value at a path: `IpPermissions.1.IpRanges.2.CidrIp`.
    #[must_use]
    pub fn wire_path(&self, path: &[Segment]) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut shape = self
            .operation
            .input
            .and_then(|name| self.service.shape(name));
        for (at, segment) in path.iter().enumerate() {
            let inner = match (segment, shape.map(|shape| &shape.kind)) {
                (Segment::Member(name), Some(Kind::Structure(members))) => {
                    let member = members.iter().find(|member| member.name == name);
                    parts.push(
                        member
                            .map_or(name.as_str(), |m| wire_in(self.service, m))
                            .to_owned(),
                    );
                    member.map(|member| member.shape)
                }
                (Segment::Index(index), Some(Kind::List(element))) => {
                    if self.service.protocol() != Protocol::Ec2 && !element.flattened {
                        parts.push(element.wire.unwrap_or("member").to_owned());
                    }
                    let uneven = self
                        .uneven
                        .iter()
                        .find(|u| Some(u.path.as_slice()) == path.get(..at));
                    let number = uneven.and_then(|u| u.numbers.get(*index)).copied();
                    parts.push(number.unwrap_or(index + 1).to_string());
                    Some(element.shape)
                }
                (Segment::Member(name) | Segment::Key(name), kind) => {
                    parts.push(name.clone());
                    if let Some(Kind::Map(entry)) = kind {
                        Some(entry.value)
                    } else {
                        None
                    }
                }
                (Segment::Index(index), _) => {
                    parts.push((index + 1).to_string());
                    None
                }
            };
            shape = inner.and_then(|name| self.service.shape(name));
        }
        parts.join(".")
    }
}

/// A member's name in a request. In the query protocol a flattened list's elements bring their own name.
fn wire_in(service: &Service, member: &Member) -> &'static str {
    if service.protocol() == Protocol::Query
        && let Some(Kind::List(element)) = service.shape(member.shape).map(|shape| &shape.kind)
        && element.flattened
        && let Some(wire) = element.wire
    {
        return wire;
    }
    member.wire_in
}

/// Reads a request of the ec2 and query protocols.
pub(crate) fn from_form(
    service: &'static Service,
    pairs: &[(String, String)],
) -> Result<Request, ApiError> {
    let mut seen = BTreeSet::new();
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !seen.insert(name)) {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            format!(
                "The parameter {} is given more than once",
                crate::error::clip(name)
            ),
        ));
    }
    if seen.contains(&"AWSAccessKeyId".to_owned()) {
        return Err(auth::version_two());
    }
    let the = |wanted: &str| {
        pairs
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let action = the("Action")
        .filter(|action| !action.is_empty())
        .ok_or_else(|| {
            ApiError::new(
                "MissingAction",
                "The request must contain the parameter Action",
            )
        })?;
    let version = the("Version").ok_or_else(|| ApiError::missing_parameter("Version"))?;
    check_version(service, action, version)?;
    let operation = service
        .operation(action)
        .ok_or_else(|| ApiError::invalid_action(action))?;
    let mut parameters = Vec::with_capacity(pairs.len());
    for (name, value) in pairs
        .iter()
        .filter(|(name, _)| name != "Action" && name != "Version")
    {
        let parts: Vec<&str> = name.split('.').take(MAX_DEPTH + 1).collect();
        if parts.len() > MAX_DEPTH {
            return Err(ApiError::unknown_parameter(name));
        }
        parameters.push(Parameter { name, parts, value });
    }
    let mut reader = Reader {
        service,
        path: Vec::new(),
        uneven: Vec::new(),
    };
    let all: Vec<&Parameter<'_>> = parameters.iter().collect();
    let input = match operation.input {
        Some(shape) => reader.value(shape, &all, 0)?,
        None => match all.first() {
            Some(parameter) => return Err(ApiError::unknown_parameter(parameter.name)),
            None => Value::empty(),
        },
    };
    let version = version.to_owned();
    Ok(Request {
        service,
        operation,
        version,
        input,
        uneven: reader.uneven,
    })
}

/// EC2 answers every version that it ever had; the others have one.
fn check_version(service: &Service, action: &str, version: &str) -> Result<(), ApiError> {
    let date = version.len() == 10
        && version.bytes().enumerate().all(|(at, octet)| match at {
            4 | 7 => octet == b'-',
            _ => octet.is_ascii_digit(),
        });
    let known = match service.protocol() {
        Protocol::Ec2 => date && version <= service.version(),
        Protocol::Query | Protocol::RestXml => version == service.version(),
    };
    if known {
        return Ok(());
    }
    let (action, version) = (crate::error::clip(action), crate::error::clip(version));
    Err(match service.protocol() {
        Protocol::Ec2 => ApiError::new(
            "NoSuchVersion",
            format!("The requested version ({version}) of service AmazonEC2 does not exist"),
        ),
        Protocol::Query | Protocol::RestXml => ApiError::new(
            "InvalidAction",
            format!("Could not find operation {action} for version {version}"),
        ),
    })
}

struct Parameter<'a> {
    name: &'a str,
    parts: Vec<&'a str>,
    value: &'a str,
}

/// The name's first `at` parts.
fn prefix(parameters: &[&Parameter<'_>], at: usize) -> String {
    parameters
        .first()
        .and_then(|p| p.parts.get(..at))
        .map(|parts| parts.join("."))
        .unwrap_or_default()
}

/// Parameters by the part of their name at one depth.
type Groups<'p, 'a> = BTreeMap<&'a str, Vec<&'p Parameter<'a>>>;

fn grouped<'p, 'a>(
    parameters: &[&'p Parameter<'a>],
    at: usize,
) -> Result<Groups<'p, 'a>, ApiError> {
    let mut groups = Groups::new();
    for parameter in parameters {
        let part = parameter.parts.get(at).ok_or_else(|| {
            let expected = format!("{}.…, as it has parts", crate::error::clip(parameter.name));
            ApiError::invalid_value(parameter.name, parameter.value, &expected)
        })?;
        groups.entry(part).or_default().push(parameter);
    }
    Ok(groups)
}

struct Reader {
    service: &'static Service,
    path: Vec<Segment>,
    uneven: Vec<Uneven>,
}

impl Reader {
    /// The value that the parameters, all alike in their first `at` parts, spell. The depth of the recursion is
    /// bounded by the parts of a name.
    fn value(
        &mut self,
        shape: &str,
        parameters: &[&Parameter<'_>],
        at: usize,
    ) -> Result<Value, ApiError> {
        let shape = self
            .service
            .shape(shape)
            .ok_or_else(|| ApiError::internal(format!("The table has no shape {shape}")))?;
        match &shape.kind {
            Kind::Structure(members) => self.structure(members, parameters, at),
            Kind::List(_) => self.list(shape, parameters, at),
            Kind::Map(_) => self.map(shape, parameters, at),
            Kind::String(_)
            | Kind::Integer
            | Kind::Long
            | Kind::Float
            | Kind::Boolean
            | Kind::Timestamp
            | Kind::Blob => {
                if let Some(deeper) = parameters.iter().find(|p| p.parts.len() > at) {
                    return Err(ApiError::unknown_parameter(deeper.name));
                }
                let parameter = parameters
                    .first()
                    .ok_or_else(|| ApiError::internal("A parameter without a value"))?;
                let unit = if matches!(shape.kind, Kind::String(_)) {
                    "characters"
                } else {
                    ""
                };
                scalar(shape, parameter.value)
                    .map_err(|fault| fault.refused(parameter.name, parameter.value, unit))
            }
        }
    }

    fn structure(
        &mut self,
        members: &'static [Member],
        parameters: &[&Parameter<'_>],
        at: usize,
    ) -> Result<Value, ApiError> {
        let mut found = BTreeMap::new();
        for (part, group) in grouped(parameters, at)? {
            let unknown = || ApiError::unknown_parameter(group.first().map_or(part, |p| p.name));
            let member = members
                .iter()
                .find(|member| wire_in(self.service, member) == part)
                .ok_or_else(unknown)?;
            let name = member.name.to_owned();
            self.path.push(Segment::Member(name.clone()));
            found.insert(name, self.value(member.shape, &group, at + 1)?);
            self.path.pop();
        }
        match members
            .iter()
            .find(|member| member.required && !found.contains_key(member.name))
        {
            Some(missing) => {
                let mut path = prefix(parameters, at);
                if !path.is_empty() {
                    path.push('.');
                }
                Err(ApiError::missing_parameter(
                    &(path + wire_in(self.service, missing)),
                ))
            }
            None => Ok(Value::Structure(found)),
        }
    }

    fn list(
        &mut self,
        shape: &Shape,
        parameters: &[&Parameter<'_>],
        at: usize,
    ) -> Result<Value, ApiError> {
        let Kind::List(element) = &shape.kind else {
            return Err(ApiError::internal("Not a list"));
        };
        let name = prefix(parameters, at);
        let ec2 = self.service.protocol() == Protocol::Ec2;
        let between = (!ec2 && !element.flattened).then(|| element.wire.unwrap_or("member"));
        let mut elements = Vec::new();
        // The query protocol spells an empty list as its bare name.
        if !is_bare(parameters, at) {
            let numbered = numbered(parameters, at, between)?;
            let at = at + 1 + usize::from(between.is_some());
            let numbers: Vec<usize> = numbered.keys().copied().collect();
            if !numbers.iter().copied().eq(1..=numbers.len()) {
                self.uneven.push(Uneven {
                    path: self.path.clone(),
                    numbers,
                });
            }
            for (index, group) in numbered.into_values().enumerate() {
                self.path.push(Segment::Index(index));
                elements.push(self.value(element.shape, &group, at)?);
                self.path.pop();
            }
        }
        within_bounds(shape, count(elements.len()))
            .map_err(|fault| fault.refused(&name, "", "elements"))?;
        Ok(Value::List(elements))
    }

    fn map(
        &mut self,
        shape: &Shape,
        parameters: &[&Parameter<'_>],
        at: usize,
    ) -> Result<Value, ApiError> {
        let Kind::Map(entry) = &shape.kind else {
            return Err(ApiError::internal("Not a map"));
        };
        let mut entries = BTreeMap::new();
        if is_bare(parameters, at) {
            return Ok(Value::Map(entries));
        }
        let between = (!entry.flattened).then_some("entry");
        let inner = at + 1 + usize::from(between.is_some());
        for group in numbered(parameters, at, between)?.into_values() {
            let mut halves = grouped(&group, inner)?;
            let path = prefix(&group, inner);
            let mut half = |wire: &str| {
                halves
                    .remove(wire)
                    .ok_or_else(|| ApiError::missing_parameter(&format!("{path}.{wire}")))
            };
            let (key, value) = (half(entry.wire_key)?, half(entry.wire_value)?);
            if let Some(stranger) = halves.into_values().flatten().next() {
                return Err(ApiError::unknown_parameter(stranger.name));
            }
            let Value::String(key) = self.value(entry.key, &key, inner + 1)? else {
                return Err(ApiError::internal("A map's key is not a string"));
            };
            self.path.push(Segment::Key(key.clone()));
            let value = self.value(entry.value, &value, inner + 1)?;
            self.path.pop();
            if entries.insert(key, value).is_some() {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    format!(
                        "The key of {} is given more than once",
                        crate::error::clip(&path)
                    ),
                ));
            }
        }
        within_bounds(shape, count(entries.len()))
            .map_err(|fault| fault.refused(&prefix(parameters, at), "", "entries"))?;
        Ok(Value::Map(entries))
    }
}

fn is_bare(parameters: &[&Parameter<'_>], at: usize) -> bool {
    matches!(parameters, [one] if one.parts.len() == at && one.value.is_empty())
}

/// Parameters by the number of their element. Numbers begin at 1 and may have gaps.
fn numbered<'p, 'a>(
    parameters: &[&'p Parameter<'a>],
    at: usize,
    between: Option<&str>,
) -> Result<BTreeMap<usize, Vec<&'p Parameter<'a>>>, ApiError> {
    let mut numbered = BTreeMap::new();
    let mut put = |groups: Groups<'p, 'a>| {
        for (part, group) in groups {
            let name = group.first().map_or(part, |parameter| parameter.name);
            let number = part
                .parse()
                .ok()
                .filter(|n| (1..=form::MAX_PARAMETERS).contains(n));
            // `01` would be a second name of element 1.
            let number = number.filter(|_| {
                part.bytes()
                    .next()
                    .is_some_and(|b| (b'1'..=b'9').contains(&b))
            });
            numbered.insert(
                number.ok_or_else(|| ApiError::unknown_parameter(name))?,
                group,
            );
        }
        Ok::<(), ApiError>(())
    };
    let Some(between) = between else {
        put(grouped(parameters, at)?)?;
        return Ok(numbered);
    };
    for (part, group) in grouped(parameters, at)? {
        if part != between {
            return Err(ApiError::unknown_parameter(
                group.first().map_or(part, |p| p.name),
            ));
        }
        put(grouped(&group, at + 1)?)?;
    }
    Ok(numbered)
}

/// What a shape has against a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// It is not of the kind's form, which is this.
    Form(&'static str),
    /// It is none of the enumeration's.
    NotOneOf(&'static [&'static str]),
    /// It is less, shorter or fewer than this.
    Below(f64),
    /// It is greater, longer or more than this.
    Above(f64),
}

impl Fault {
    /// EC2's error for it. `unit` is what the bounds count.
    fn refused(&self, name: &str, text: &str, unit: &str) -> ApiError {
        let expected = match self {
            Fault::Form(expected) => (*expected).to_owned(),
            Fault::NotOneOf(values) => one_of(values),
            Fault::Below(min) => format!("at least {min} {unit}"),
            Fault::Above(max) => format!("at most {max} {unit}"),
        };
        ApiError::invalid_value(name, text, expected.trim_end())
    }
}

/// The value of a scalar's text.
pub(crate) fn scalar(shape: &'static Shape, text: &str) -> Result<Value, Fault> {
    match &shape.kind {
        Kind::String(values) => {
            if !values.is_empty() && !values.contains(&text) {
                return Err(Fault::NotOneOf(values));
            }
            within_bounds(shape, count(text.chars().count()))?;
            Ok(Value::String(text.to_owned()))
        }
        Kind::Integer | Kind::Long => {
            let expected = if shape.kind == Kind::Long {
                "an integer"
            } else {
                "an integer of 32 bits"
            };
            let number: i64 = text.parse().map_err(|_| Fault::Form(expected))?;
            if text.starts_with('+')
                || shape.kind == Kind::Integer && i32::try_from(number).is_err()
            {
                return Err(Fault::Form(expected));
            }
            #[expect(clippy::cast_precision_loss, reason = "bounds of integers are small")]
            within_bounds(shape, number as f64)?;
            Ok(Value::Integer(number))
        }
        Kind::Float => {
            let number: f64 = text.parse().map_err(|_| Fault::Form("a number"))?;
            if !number.is_finite() {
                return Err(Fault::Form("a finite number"));
            }
            within_bounds(shape, number)?;
            Ok(Value::Float(number))
        }
        Kind::Boolean => match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err(Fault::Form("true or false")),
        },
        Kind::Timestamp => {
            let time = Timestamp::parse(text);
            time.map(Value::Timestamp)
                .ok_or(Fault::Form("a time such as 2026-01-02T03:04:05Z"))
        }
        Kind::Blob => {
            let octets = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
            octets.map(Value::Blob).map_err(|_| Fault::Form("base64"))
        }
        Kind::Structure(_) | Kind::List(_) | Kind::Map(_) => Err(Fault::Form("a scalar")),
    }
}

/// A number of things, to be compared with a bound.
#[expect(
    clippy::cast_precision_loss,
    reason = "bounded by the length of a request"
)]
pub(crate) fn count(things: usize) -> f64 {
    things as f64
}

/// Whether a value, length or number of elements is within the shape's bounds.
pub(crate) fn within_bounds(shape: &Shape, measure: f64) -> Result<(), Fault> {
    if let Some(min) = shape.min.filter(|min| measure < *min) {
        return Err(Fault::Below(min));
    }
    match shape.max.filter(|max| measure > *max) {
        Some(max) => Err(Fault::Above(max)),
        None => Ok(()),
    }
}

/// The values of an enumeration, as far as a message carries them.
fn one_of(values: &[&str]) -> String {
    const SHOWN: usize = 12;
    let more = if values.len() > SHOWN { ", …" } else { "" };
    format!(
        "one of {}{more}",
        values
            .iter()
            .take(SHOWN)
            .copied()
            .collect::<Vec<_>>()
            .join(", ")
    )
}
