//! The table of a service: its operations and shapes, read from text on demand.
//!
//! Grammar, line by line (`cargo xtask shapes` writes it, in byte order of the names):
//!
//! ```text
//! # remark
//! service NAME, version DATE, protocol ec2|query|rest-xml, namespace URI   one line each
//! (empty) operations
//! NAME INPUT|- OUTPUT|- [wrapper=ELEMENT] [method=GET] [uri=/path] [status=201] [root=ELEMENT]
//! (empty) shapes
//! NAME structure                                                     then its members, in order:
//!  MEMBER SHAPE [in=WIRE] [~|out=WIRE] [at=PLACE] [required] [token] wire names when they are not MEMBER;
//!                                                                    `~`: MEMBER with a small first letter;
//!                                                                    PLACE: uri, querystring or header
//! NAME list SHAPE [name=WIRE] [flattened] [min=N] [max=N]
//! NAME map KEY VALUE [key=WIRE] [value=WIRE] [flattened] …
//! NAME string|integer|long|float|double|boolean|timestamp|blob [min=N] [max=N] [format=F] [pattern=REST]
//!  VALUE                                                             of an enumeration, one a line
//! ```
//!
//! Nothing is parsed at start: names are found by bisection of the text, and what was parsed is kept.

use std::collections::BTreeMap;
use std::sync::{LazyLock, PoisonError, RwLock};

/// How a service's requests and replies look on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// EC2's dialect of the query protocol: lists are `Name.1`, replies have `requestId` at the top.
    Ec2,
    /// The AWS query protocol: lists are `Name.member.1`, replies have a result wrapper.
    Query,
    /// A path for each operation, XML in both directions.
    RestXml,
}

/// One service: what its requests and replies may hold.
pub struct Service {
    name: &'static str,
    version: &'static str,
    protocol: Protocol,
    namespace: &'static str,
    table: ShapeTable,
}

/// One action of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The action's name: `CreateVpc`.
    pub name: &'static str,
    /// Shape of the request, a structure.
    pub input: Option<&'static str>,
    /// Shape of the reply, a structure; none where EC2 answers only `return`.
    pub output: Option<&'static str>,
    /// Element that the query protocol puts around the reply's members.
    pub wrapper: Option<&'static str>,
    /// HTTP method of protocols that bind one; `POST` here.
    pub method: &'static str,
    /// HTTP path of protocols that bind one, with a member's name in braces where it stands; `/` here.
    pub uri: &'static str,
    /// HTTP status of a reply.
    pub status: u16,
    /// Root element of a request's body, in protocols that have one.
    pub root: Option<&'static str>,
}

/// What values of one name look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The model's name of the shape: `VpcId`, `FilterList`.
    pub name: &'static str,
    /// Its kind, with what only that kind has.
    pub kind: Kind,
    /// Least value of a number, least length of a string (characters) or list (elements).
    pub min: Option<f64>,
    /// Greatest value or length, as for `min`.
    pub max: Option<f64>,
    /// Regular expression that AWS documents for a string; a fact only, not checked here.
    pub pattern: Option<&'static str>,
}

/// The kinds of shapes.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Named members, in the order of a reply.
    Structure(Vec<Member>),
    /// Elements of one shape.
    List(Element),
    /// Text keys to values of one shape.
    Map(Entry),
    /// Text; an enumeration when values are listed.
    String(Vec<&'static str>),
    /// A signed integer of 32 bits.
    Integer,
    /// A signed integer of 64 bits.
    Long,
    /// A finite number (`float` and `double` of the model).
    Float,
    /// `true` or `false`.
    Boolean,
    /// A point in time, ISO 8601 on the wire.
    Timestamp,
    /// Octets, base64 on the wire.
    Blob,
}

/// A member of a structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The model's name: what clients and handlers call it.
    pub name: &'static str,
    /// Name of its shape.
    pub shape: &'static str,
    /// Name in a request.
    pub wire_in: &'static str,
    /// Name in a reply.
    pub wire_out: String,
    /// Which part of a message has it.
    pub place: Place,
    /// A request without it is refused.
    pub required: bool,
    /// Clients fill it with a token that makes repeats harmless.
    pub token: bool,
}

/// Which part of a message has a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The body, or the form.
    Body,
    /// The request's path.
    Uri,
    /// The request's query string.
    Query,
    /// A header.
    Header,
}

/// The element of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Name of the elements' shape.
    pub shape: &'static str,
    /// Name of an element on the wire, where the model gives one.
    pub wire: Option<&'static str>,
    /// Elements stand beside each other without an element around them.
    pub flattened: bool,
}

/// The entry of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name of the keys' shape, a string.
    pub key: &'static str,
    /// Name of the values' shape.
    pub value: &'static str,
    /// Name of the key on the wire.
    pub wire_key: &'static str,
    /// Name of the value on the wire.
    pub wire_value: &'static str,
    /// Entries stand beside each other without an element around them.
    pub flattened: bool,
}

static EC2: LazyLock<Option<Service>> =
    LazyLock::new(|| Service::from_text(include_str!("../shapes/ec2.shapes")));
static ROUTE53: LazyLock<Option<Service>> =
    LazyLock::new(|| Service::from_text(include_str!("../shapes/route53.shapes")));
static STS: LazyLock<Option<Service>> =
    LazyLock::new(|| Service::from_text(include_str!("../shapes/sts.shapes")));

impl Service {
    /// Amazon EC2.
    ///
    /// # Panics
    /// The table of this crate is not one; a test reads all of it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the table is part of the program")]
    pub fn ec2() -> &'static Service {
        EC2.as_ref().expect("table of EC2")
    }

    /// Amazon Route 53.
    ///
    /// # Panics
    /// The table of this crate is not one; a test reads all of it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the table is part of the program")]
    pub fn route53() -> &'static Service {
        ROUTE53.as_ref().expect("table of Route 53")
    }

    /// AWS Security Token Service.
    ///
    /// # Panics
    /// The table of this crate is not one; a test reads all of it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the table is part of the program")]
    pub fn sts() -> &'static Service {
        STS.as_ref().expect("table of STS")
    }

    /// The service that a credential scope names, where it is one of ours.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Service> {
        [Service::ec2(), Service::route53(), Service::sts()]
            .into_iter()
            .find(|service| service.name == name)
    }

    /// A service from a table's text; none when the text is not a table.
    #[must_use]
    pub fn from_text(text: &'static str) -> Option<Service> {
        let (header, rest) = text.split_once("\n\noperations\n")?;
        let (operations, shapes) = rest.split_once("\n\nshapes\n")?;
        let fact = |name: &str| {
            header
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        };
        Some(Service {
            name: fact("service")?,
            version: fact("version")?,
            protocol: match fact("protocol")? {
                "ec2" => Protocol::Ec2,
                "query" => Protocol::Query,
                "rest-xml" => Protocol::RestXml,
                _ => return None,
            },
            namespace: fact("namespace")?,
            table: ShapeTable {
                operations: Section::new(operations),
                shapes: Section::new(shapes),
            },
        })
    }

    /// Name in a credential scope: `ec2`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The API's version, a date: `2016-11-15`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The wire's form.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// XML namespace of replies.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// The operation of that name.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&'static Operation> {
        self.table.operations.get(name, parse_operation)
    }

    /// Whether AWS has that action in this service; whether Polder honours it is the handlers' business.
    #[must_use]
    pub fn is_known_action(&self, name: &str) -> bool {
        self.operation(name).is_some()
    }

    /// Names of all operations, sorted.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.table.operations.names()
    }

    /// The shape of that name.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&'static Shape> {
        self.table.shapes.get(name, parse_shape)
    }

    /// Names of all shapes, sorted.
    pub fn shapes(&self) -> impl Iterator<Item = &'static str> {
        self.table.shapes.names()
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service({} {})", self.name, self.version)
    }
}

impl Shape {
    /// The members of a structure; none of other kinds.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        if let Kind::Structure(members) = &self.kind {
            members
        } else {
            &[]
        }
    }
}

struct ShapeTable {
    operations: Section<Operation>,
    shapes: Section<Shape>,
}

/// Definitions in byte order of their names, and those that were parsed already. A parsed definition lives as
/// long as the program; there are no more of them than the text defines.
struct Section<T: 'static> {
    text: &'static str,
    parsed: RwLock<BTreeMap<&'static str, &'static T>>,
}

impl<T: 'static> Section<T> {
    fn new(text: &'static str) -> Section<T> {
        Section {
            text,
            parsed: RwLock::default(),
        }
    }

    fn get(&self, name: &str, parse: fn(&'static str) -> Option<T>) -> Option<&'static T> {
        let known = self
            .parsed
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .copied();
        if known.is_some() {
            return known;
        }
        let block = self.find(name)?;
        let fresh = parse(block)?;
        let mut parsed = self.parsed.write().unwrap_or_else(PoisonError::into_inner);
        let entry = parsed.entry(first_word(block));
        Some(entry.or_insert_with(|| Box::leak(Box::new(fresh))))
    }

    /// The lines of one definition, by bisection.
    fn find(&self, name: &str) -> Option<&'static str> {
        let (mut low, mut high) = (0, self.text.len());
        while low < high {
            let start = self.start_of(self.text.floor_char_boundary(low.midpoint(high)));
            let end = self.end_of(start);
            let block = self.text.get(start..end)?;
            match first_word(block).cmp(name) {
                std::cmp::Ordering::Equal => return Some(block),
                std::cmp::Ordering::Less => low = end,
                std::cmp::Ordering::Greater => high = start,
            }
        }
        None
    }

    /// Where the definition that holds the octet `at` begins. Lines that begin with a space continue one.
    fn start_of(&self, mut at: usize) -> usize {
        loop {
            let line = self
                .text
                .get(..at)
                .and_then(|t| t.rfind('\n'))
                .map_or(0, |i| i + 1);
            if line == 0 || self.text.as_bytes().get(line) != Some(&b' ') {
                return line;
            }
            at = line - 1;
        }
    }

    /// Where the definition that begins at `start` ends, its last newline included.
    fn end_of(&self, start: usize) -> usize {
        let mut at = start;
        while let Some(length) = self.text.get(at..).and_then(|t| t.find('\n')) {
            at += length + 1;
            if self.text.as_bytes().get(at) != Some(&b' ') {
                return at;
            }
        }
        self.text.len()
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.text
            .lines()
            .filter(|line| !line.starts_with(' '))
            .map(first_word)
    }
}

fn first_word(line: &'static str) -> &'static str {
    line.find([' ', '\n'])
        .and_then(|end| line.get(..end))
        .unwrap_or(line)
}

fn parse_operation(block: &'static str) -> Option<Operation> {
    let mut words = block.trim_end().split(' ');
    let name = words.next()?;
    let shape = |word: &'static str| (word != "-").then_some(word);
    let input = shape(words.next()?);
    let output = shape(words.next()?);
    let mut operation = Operation {
        name,
        input,
        output,
        wrapper: None,
        method: "POST",
        uri: "/",
        status: 200,
        root: None,
    };
    for word in words {
        match word.split_once('=')? {
            ("wrapper", value) => operation.wrapper = Some(value),
            ("method", value) => operation.method = value,
            ("uri", value) => operation.uri = value,
            ("status", value) => operation.status = value.parse().ok()?,
            ("root", value) => operation.root = Some(value),
            _ => return None,
        }
    }
    Some(operation)
}

/// The `name=value` words after a shape's kind.
#[derive(Default)]
struct Attributes {
    name: Option<&'static str>,
    key: Option<&'static str>,
    value: Option<&'static str>,
    flattened: bool,
    min: Option<f64>,
    max: Option<f64>,
    pattern: Option<&'static str>,
}

fn parse_attributes(mut rest: &'static str) -> Option<Attributes> {
    let mut found = Attributes::default();
    while !rest.is_empty() {
        if let Some(pattern) = rest.strip_prefix("pattern=") {
            found.pattern = Some(pattern);
            break;
        }
        let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = tail;
        if word == "flattened" {
            found.flattened = true;
            continue;
        }
        match word.split_once('=')? {
            ("name", value) => found.name = Some(value),
            ("key", value) => found.key = Some(value),
            ("value", value) => found.value = Some(value),
            ("min", value) => found.min = Some(value.parse().ok()?),
            ("max", value) => found.max = Some(value.parse().ok()?),
            ("format", "iso8601") => {}
            _ => return None,
        }
    }
    Some(found)
}

fn parse_shape(block: &'static str) -> Option<Shape> {
    let (first, body) = block.split_once('\n').unwrap_or((block, ""));
    let (name, rest) = first.split_once(' ')?;
    let (kind, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut word = || {
        let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = tail;
        word
    };
    let (first_part, second_part) = match kind {
        "list" => (word(), ""),
        "map" => (word(), word()),
        _ => ("", ""),
    };
    let attributes = parse_attributes(rest)?;
    let kind = match kind {
        "structure" => Kind::Structure(body.lines().map(parse_member).collect::<Option<_>>()?),
        "list" => Kind::List(Element {
            shape: first_part,
            wire: attributes.name,
            flattened: attributes.flattened,
        }),
        "map" => Kind::Map(Entry {
            key: first_part,
            value: second_part,
            wire_key: attributes.key.unwrap_or("key"),
            wire_value: attributes.value.unwrap_or("value"),
            flattened: attributes.flattened,
        }),
        "string" => Kind::String(
            body.lines()
                .map(|l| l.strip_prefix(' '))
                .collect::<Option<_>>()?,
        ),
        "integer" => Kind::Integer,
        "long" => Kind::Long,
        "float" | "double" => Kind::Float,
        "boolean" => Kind::Boolean,
        "timestamp" => Kind::Timestamp,
        "blob" => Kind::Blob,
        _ => return None,
    };
    let Attributes {
        min, max, pattern, ..
    } = attributes;
    Some(Shape {
        name,
        kind,
        min,
        max,
        pattern,
    })
}

fn parse_member(line: &'static str) -> Option<Member> {
    let mut words = line.strip_prefix(' ')?.split(' ');
    let name = words.next()?;
    let shape = words.next()?;
    let mut member = Member {
        name,
        shape,
        wire_in: name,
        wire_out: name.to_owned(),
        place: Place::Body,
        required: false,
        token: false,
    };
    for word in words {
        match word.split_once('=') {
            Some(("in", wire)) => member.wire_in = wire,
            Some(("out", wire)) => wire.clone_into(&mut member.wire_out),
            Some(("at", "uri")) => member.place = Place::Uri,
            Some(("at", "querystring")) => member.place = Place::Query,
            Some(("at", "header")) => member.place = Place::Header,
            None if word == "~" => {
                let (head, tail) = name.split_at_checked(1)?;
                member.wire_out = head.to_ascii_lowercase() + tail;
            }
            None if word == "required" => member.required = true,
            None if word == "token" => member.token = true,
            Some(_) | None => return None,
        }
    }
    Some(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line of every table parses, everything referenced exists, and names are in order for the bisection.
    #[test]
    fn tables_are_whole() {
        for service in [Service::ec2(), Service::route53(), Service::sts()] {
            let names: Vec<_> = service.shapes().collect();
            assert!(
                names.is_sorted_by(|a, b| a < b),
                "shapes of {}",
                service.name()
            );
            let actions: Vec<_> = service.actions().collect();
            assert!(
                actions.is_sorted_by(|a, b| a < b),
                "operations of {}",
                service.name()
            );
            let known = |name: &str| assert!(service.shape(name).is_some(), "shape {name}");
            for action in actions {
                let operation = service.operation(action).unwrap();
                assert_eq!(operation.name, action);
                for name in [operation.input, operation.output].into_iter().flatten() {
                    let shape = service.shape(name).unwrap();
                    assert!(matches!(shape.kind, Kind::Structure(_)), "{action}: {name}");
                }
                assert_eq!(
                    operation.wrapper.is_some(),
                    service.protocol() == Protocol::Query && operation.output.is_some()
                );
            }
            for name in names {
                let shape = service
                    .shape(name)
                    .unwrap_or_else(|| panic!("shape {name}"));
                assert_eq!(shape.name, name);
                match &shape.kind {
                    Kind::Structure(members) => {
                        for member in members {
                            known(member.shape);
                            let alike = members.iter().filter(|m| m.wire_in == member.wire_in);
                            assert_eq!(alike.count(), 1, "{name}.{}", member.wire_in);
                        }
                    }
                    Kind::List(element) => known(element.shape),
                    Kind::Map(entry) => {
                        known(entry.key);
                        known(entry.value);
                    }
                    Kind::String(_)
                    | Kind::Integer
                    | Kind::Long
                    | Kind::Float
                    | Kind::Boolean
                    | Kind::Timestamp
                    | Kind::Blob => {}
                }
            }
        }
    }

    #[test]
    fn names_on_the_wire() {
        let ec2 = Service::ec2();
        let member = |shape: &str, name: &str| {
            let members = ec2.shape(shape).unwrap().members();
            members.iter().find(|m| m.name == name).unwrap()
        };
        assert_eq!(
            member("RunInstancesRequest", "TagSpecifications").wire_in,
            "TagSpecification"
        );
        assert_eq!(member("RunInstancesRequest", "DryRun").wire_in, "DryRun");
        assert_eq!(member("Reservation", "Groups").wire_out, "groupSet");
        assert_eq!(
            member("Reservation", "ReservationId").wire_out,
            "reservationId"
        );
        let with_own_name = member("InstanceNetworkInterfaceSpecification", "Ipv6Addresses");
        assert_eq!(with_own_name.wire_in, "Ipv6Addresses");
        assert!(member("RunInstancesRequest", "MinCount").required);
        assert!(member("RunInstancesRequest", "ClientToken").token);
    }

    #[test]
    fn strangers_are_not_found() {
        for name in [
            "",
            " ",
            "A",
            "zzz",
            "RunInstance",
            "RunInstancesX",
            "\n",
            "ключ",
            " Max",
        ] {
            assert!(!Service::ec2().is_known_action(name), "{name}");
            assert!(Service::ec2().shape(name).is_none(), "{name}");
        }
        assert!(Service::by_name("s3").is_none());
        assert!(Service::from_text("service x\n").is_none());
    }
}
