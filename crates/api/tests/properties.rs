//! Over every operation: what a shape allows survives the wire, and what it does not never panics.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test"
)]

use std::collections::BTreeMap;

use api::{
    ApiError, HttpRequest, Kind, Member, Operation, Place, Protocol, Scope, Service, Shape,
    Timestamp, Value,
};
use proptest::prelude::*;

/// Numbers that a seed determines (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `from..=to`.
    fn within(&mut self, from: i64, to: i64) -> i64 {
        let span = to.wrapping_sub(from).cast_unsigned();
        let offset = if span == u64::MAX {
            self.next()
        } else {
            self.next() % (span + 1)
        };
        from.wrapping_add(offset.cast_signed())
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        let at = usize::try_from(self.next() % choices.len() as u64).unwrap();
        choices[at]
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bounds of the model are small integers"
)]
fn bounds(shape: &Shape, least: i64, most: i64) -> (i64, i64) {
    (
        shape.min.map_or(least, |min| min as i64),
        shape.max.map_or(most, |max| max as i64),
    )
}

/// A value that the shape allows. `empty`: whether lists and structures may be empty, which a form cannot say.
fn value(
    service: &Service,
    shape: &str,
    random: &mut Random,
    depth: u32,
    empty: bool,
) -> Option<Value> {
    const TEXT: [&str; 12] = [
        "a",
        "Z",
        "0",
        ".",
        "&",
        "<",
        "%",
        "+",
        " ",
        "é",
        "\u{1f980}",
        "\r",
    ];
    let shape = service.shape(shape).unwrap();
    let few = |random: &mut Random, least: i64| {
        let (from, to) = bounds(shape, least, i64::MAX);
        random.within(from, to.min(from + 3))
    };
    match &shape.kind {
        Kind::Structure(members) => {
            let mut found = BTreeMap::new();
            for member in members {
                if member.required || depth < 4 && random.one_in(3) {
                    let value = value(service, member.shape, random, depth + 1, empty);
                    found.extend(value.map(|value| (member.name.to_owned(), value)));
                }
            }
            if !empty && depth > 0 && found.is_empty() {
                for member in members.iter().take(1) {
                    let value = value(service, member.shape, random, depth + 1, empty);
                    found.extend(value.map(|value| (member.name.to_owned(), value)));
                }
            }
            (empty || depth == 0 || !found.is_empty()).then_some(Value::Structure(found))
        }
        Kind::List(element) => {
            let n = few(random, i64::from(!empty)).max(i64::from(!empty));
            let elements: Vec<_> = (0..n)
                .filter_map(|_| value(service, element.shape, random, depth + 1, empty))
                .collect();
            (empty || !elements.is_empty()).then_some(Value::List(elements))
        }
        Kind::Map(_) => panic!("The services have no maps"),
        Kind::String(values) if values.is_empty() => {
            let length = few(random, 0);
            Some(Value::String(
                (0..length).map(|_| random.of(&TEXT)).collect(),
            ))
        }
        Kind::String(values) => Some(Value::String(random.of(values).to_owned())),
        Kind::Integer => {
            let (from, to) = bounds(shape, i32::MIN.into(), i32::MAX.into());
            Some(Value::Integer(random.within(from, to)))
        }
        Kind::Long => {
            let (from, to) = bounds(shape, i64::MIN, i64::MAX);
            Some(Value::Integer(random.within(from, to)))
        }
        Kind::Float => {
            let (from, to) = bounds(shape, -1000, 1000);
            let half = if from < to { 0.5 } else { 0.0 };
            Some(Value::Float(
                f64::from(i32::try_from(random.within(from, to - 1)).unwrap()) + half,
            ))
        }
        Kind::Boolean => Some(Value::Boolean(random.one_in(2))),
        Kind::Timestamp => Some(Value::Timestamp(Timestamp::from_millis(
            random.within(0, 4_000_000_000_000),
        ))),
        Kind::Blob => {
            let length = few(random, 0);
            Some(Value::Blob(
                (0..length)
                    .map(|_| random.next().to_le_bytes()[0])
                    .collect(),
            ))
        }
    }
}

fn escaped(text: &str) -> String {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.~".contains(octet);
    text.bytes()
        .map(|octet| {
            if plain(&octet) {
                char::from(octet).to_string()
            } else {
                format!("%{octet:02X}")
            }
        })
        .collect()
}

/// What botocore's serializer makes of a value.
fn form(service: &Service, shape: &str, value: &Value, name: &str, out: &mut Vec<String>) {
    let base64 =
        |octets: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, octets);
    match (&service.shape(shape).unwrap().kind, value) {
        (Kind::Structure(members), Value::Structure(found)) => {
            for member in members {
                if let Some(value) = found.get(member.name) {
                    let dot = if name.is_empty() { "" } else { "." };
                    form(
                        service,
                        member.shape,
                        value,
                        &format!("{name}{dot}{}", member.wire_in),
                        out,
                    );
                }
            }
        }
        (Kind::List(element), Value::List(elements)) => {
            let between = match service.protocol() {
                Protocol::Ec2 => String::new(),
                Protocol::Query | Protocol::RestXml => {
                    format!(".{}", element.wire.unwrap_or("member"))
                }
            };
            for (index, value) in elements.iter().enumerate() {
                form(
                    service,
                    element.shape,
                    value,
                    &format!("{name}{between}.{}", index + 1),
                    out,
                );
            }
        }
        (_, Value::String(text)) => out.push(format!("{name}={}", escaped(text))),
        (_, Value::Integer(number)) => out.push(format!("{name}={number}")),
        (_, Value::Float(number)) => out.push(format!("{name}={number}")),
        (_, Value::Boolean(truth)) => out.push(format!("{name}={truth}")),
        (_, Value::Timestamp(time)) => out.push(format!("{name}={}", escaped(&time.to_string()))),
        (_, Value::Blob(octets)) => out.push(format!("{name}={}", escaped(&base64(octets)))),
        (kind, value) => panic!("{kind:?} {value:?}"),
    }
}

fn post(service: &'static Service, body: &[u8]) -> Result<api::Request, ApiError> {
    api::decode(
        service,
        &HttpRequest {
            method: "POST",
            body,
            ..HttpRequest::default()
        },
    )
}

/// What botocore's serializer makes of a value, as an element.
fn document(service: &Service, shape: &str, value: &Value, name: &str, out: &mut String) {
    let escaped = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('\r', "&#13;")
    };
    out.push_str(&format!("<{name}>"));
    match (&service.shape(shape).unwrap().kind, value) {
        (Kind::Structure(members), Value::Structure(found)) => {
            for member in members.iter().filter(|m| m.place == Place::Body) {
                if let Some(value) = found.get(member.name) {
                    document(service, member.shape, value, member.wire_in, out);
                }
            }
        }
        (Kind::List(element), Value::List(elements)) => {
            for value in elements {
                let name = element.wire.unwrap_or("member");
                document(service, element.shape, value, name, out);
            }
        }
        (_, value) => out.push_str(&escaped(&plain(value))),
    }
    out.push_str(&format!("</{name}>"));
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Timestamp(time) => time.to_string(),
        Value::Structure(_) | Value::List(_) | Value::Map(_) | Value::Float(_) | Value::Blob(_) => {
            panic!("{value:?}")
        }
    }
}

/// A member that is not in the body has to be something there.
fn fill_places(members: &[Member], value: &mut Value) {
    let Value::Structure(found) = value else {
        panic!("{value:?}")
    };
    for member in members {
        if matches!(member.place, Place::Uri | Place::Header)
            && let Some(Value::String(text)) = found.get_mut(member.name)
        {
            text.retain(|c| member.place == Place::Uri || c.is_ascii_graphic());
            if text.is_empty() {
                text.push('x');
            }
        }
    }
}

fn check_rest_request(service: &'static Service, operation: &'static Operation, seed: u64) {
    let shape = operation.input.unwrap();
    let members = service.shape(shape).unwrap().members();
    let mut value = value(service, shape, &mut Random(seed), 0, false).unwrap();
    let enumeration = |member: &Member| matches!(&service.shape(member.shape).unwrap().kind, Kind::String(values) if !values.is_empty());
    let free: Vec<_> = members
        .iter()
        .filter(|m| !enumeration(m))
        .cloned()
        .collect();
    fill_places(&free, &mut value);
    let (mut path, mut query) = (operation.uri.to_owned(), Vec::new());
    for member in members {
        let Some(value) = value.get(member.name) else {
            continue;
        };
        let text = || escaped(&plain(value));
        match member.place {
            Place::Uri => path = path.replace(&format!("{{{}}}", member.wire_in), &text()),
            Place::Query => query.push(format!("{}={}", member.wire_in, text())),
            Place::Body => {}
            Place::Header => panic!("a request with a header"),
        }
    }
    let mut body = String::new();
    if let Some(root) = operation.root {
        document(service, shape, &value, root, &mut body);
        let with_space = format!("<{root} xmlns=\"{}\">", service.namespace());
        body = body.replacen(&format!("<{root}>"), &with_space, 1);
    }
    let http = HttpRequest {
        method: operation.method,
        path: &path,
        query: &query.join("&"),
        content_type: None,
        body: body.as_bytes(),
    };
    let request = api::decode(service, &http).unwrap_or_else(|error| panic!("{http:?}: {error}"));
    assert_eq!(request.action(), operation.name);
    assert_eq!(request.input(), &value, "{http:?}");
}

fn check_request(service: &'static Service, action: &str, seed: u64) {
    let operation = service.operation(action).unwrap();
    if service.protocol() == Protocol::RestXml {
        return check_rest_request(service, operation, seed);
    }
    let shape = operation.input.unwrap();
    let value = value(service, shape, &mut Random(seed), 0, false).unwrap();
    let mut pairs = vec![
        format!("Action={action}"),
        format!("Version={}", service.version()),
    ];
    form(service, shape, &value, "", &mut pairs);
    if seed.is_multiple_of(2) {
        pairs.reverse();
    }
    let body = pairs.join("&");
    let request = post(service, body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
    assert_eq!(request.input(), &value, "{body}");
}

/// An element, as an XML parser that is not ours sees it.
#[derive(Debug, Default)]
struct Node {
    name: String,
    text: String,
    inner: Vec<Node>,
}

fn parsed(document: &[u8]) -> Node {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_reader(document);
    reader.config_mut().check_end_names = true;
    let mut stack = vec![Node::default()];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                stack.push(Node {
                    name,
                    ..Node::default()
                });
            }
            Event::End(_) => {
                let node = stack.pop().unwrap();
                stack.last_mut().unwrap().inner.push(node);
            }
            Event::Text(text) => stack.last_mut().unwrap().text.push_str(&text),
            Event::GeneralRef(name) => {
                let c = match name.resolve_char_ref().unwrap() {
                    Some(c) => c,
                    None => match &*name {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        other => panic!("&{other};"),
                    },
                };
                stack.last_mut().unwrap().text.push(c);
            }
            Event::Decl(_) => {}
            Event::Eof => break,
            other @ (Event::Empty(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::PI(_)
            | Event::DocType(_)) => panic!("{other:?}"),
        }
    }
    assert_eq!(stack.len(), 1);
    stack.pop().unwrap().inner.pop().unwrap()
}

/// What botocore's parser makes of an element.
fn reread(service: &Service, shape: &str, node: &Node) -> Value {
    let text = || node.text.clone();
    match &service.shape(shape).unwrap().kind {
        Kind::Structure(members) => {
            let found = node.inner.iter().map(|inner| {
                let member = members
                    .iter()
                    .find(|member| member.wire_out == inner.name)
                    .unwrap();
                (member.name.to_owned(), reread(service, member.shape, inner))
            });
            Value::Structure(found.collect())
        }
        Kind::List(element) => {
            let name = element.wire.unwrap_or("member");
            let elements = node.inner.iter().map(|inner| {
                assert_eq!(inner.name, name);
                reread(service, element.shape, inner)
            });
            Value::List(elements.collect())
        }
        Kind::Map(_) => panic!("The services have no maps"),
        Kind::String(_) => Value::String(text()),
        Kind::Integer | Kind::Long => Value::Integer(node.text.parse().unwrap()),
        Kind::Float => Value::Float(node.text.parse().unwrap()),
        Kind::Boolean => Value::Boolean(node.text.parse().unwrap()),
        Kind::Timestamp => {
            let time: jiff::Timestamp = node.text.parse().unwrap();
            Value::Timestamp(Timestamp::from_millis(time.as_millisecond()))
        }
        Kind::Blob => Value::Blob(
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text()).unwrap(),
        ),
    }
}

fn check_reply(service: &'static Service, action: &str, seed: u64) {
    let operation = service.operation(action).unwrap();
    let Some(shape) = operation.output else {
        return;
    };
    let mut value = value(service, shape, &mut Random(seed), 0, true).unwrap();
    fill_places(service.shape(shape).unwrap().members(), &mut value);
    let reply = api::encode_reply(service, operation, &value, "the-id").unwrap();
    let mut root = parsed(&reply.body);
    assert_eq!(root.name, format!("{action}Response"));
    let body = match service.protocol() {
        Protocol::Ec2 => {
            let id = root.inner.remove(0);
            assert_eq!(
                (id.name.as_str(), id.text.as_str()),
                ("requestId", "the-id")
            );
            root
        }
        Protocol::Query => root.inner.remove(0),
        Protocol::RestXml => root,
    };
    let mut found = reread(service, shape, &body);
    if let Value::Structure(found) = &mut found {
        for (name, text) in reply.headers {
            let members = service.shape(shape).unwrap().members();
            let member = members.iter().find(|m| m.wire_in == name).unwrap();
            found.insert(member.name.to_owned(), Value::String(text));
        }
    }
    assert_eq!(reply.status, operation.status);
    assert_eq!(found, value, "{action}");
}

#[test]
fn every_operation_both_ways() {
    for service in [Service::ec2(), Service::route53(), Service::sts()] {
        for (seed, action) in (1u64..).zip(service.actions()) {
            check_request(service, action, seed);
            check_reply(service, action, seed);
        }
    }
}

fn some_action() -> impl Strategy<Value = (&'static Service, &'static str)> {
    let all: Vec<_> = [Service::ec2(), Service::route53(), Service::sts()]
        .into_iter()
        .flat_map(|service| service.actions().map(move |action| (service, action)))
        .collect();
    proptest::sample::select(all)
}

/// Pieces of forms, some of them right.
fn some_form() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 32] = [
        b"<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">",
        b"<ChangeBatch><Changes>",
        b"<Change>",
        b"</Change>",
        b"<!--",
        b"-->",
        b"&lt;",
        b"<![CDATA[",
        b"Action=RunInstances&Version=2016-11-15&",
        b"Action=DescribeVpcs&Version=2016-11-15&",
        b"Action=AssumeRole&Version=2011-06-15&",
        b"TagSpecification",
        b"Filter",
        b"IpPermissions",
        b"Tags.member",
        b"Value",
        b"VpcId",
        b"MaxCount",
        b"=",
        b"&",
        b".",
        b"1",
        b"0",
        b"999999999999999999999999",
        b"%",
        b"%00",
        b"%0",
        b"+",
        b"\xff",
        b"\0",
        b"true",
        b"-",
    ];
    let piece = prop_oneof![
        9 => proptest::sample::select(PIECES.to_vec()).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..9),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn requests_survive((service, action) in some_action(), seed in any::<u64>()) {
        check_request(service, action, seed);
    }

    #[test]
    fn replies_survive((service, action) in some_action(), seed in any::<u64>()) {
        check_reply(service, action, seed);
    }

    #[test]
    fn garbage_is_refused_in_good_form(body in some_form(), query in ".{0,60}") {
        for service in [Service::ec2(), Service::route53(), Service::sts()] {
            let path = "/2013-04-01/hostedzone/Z1/rrset";
            let http = HttpRequest { method: "POST", path, query: &query, content_type: None, body: &body };
            for result in [post(service, &body), api::decode(service, &http)] {
                match result {
                    Err(error) => {
                        parsed(&api::encode_error(service, &error, "r").body);
                    }
                    Ok(request) => {
                        let _: Result<BTreeMap<String, u8>, _> = request.read();
                    }
                }
            }
        }
    }

    #[test]
    fn credentials_never_panic(header in ".{0,80}", credential in "[a-z0-9/ =,]{0,80}", query in ".{0,80}") {
        let _ = Scope::of(Some(&header), &query);
        let _ = Scope::of(Some(&format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=a, Signature=b")), "");
        let _ = Scope::of(None, &format!("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={query}"));
    }

    #[test]
    fn error_texts_survive(code in any::<String>(), message in any::<String>()) {
        let error = ApiError::new(code, message);
        let clean = |text: &str| -> String {
            text.chars()
                .map(|c| match c {
                    '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => c,
                    _ => '\u{fffd}',
                })
                .collect()
        };
        let root = parsed(&error.encode(Service::ec2(), "r").body);
        let told = &root.inner[0].inner[0];
        prop_assert_eq!(&told.inner[0].text, &clean(&error.code));
        prop_assert_eq!(&told.inner[1].text, &clean(&error.message));
    }
}
