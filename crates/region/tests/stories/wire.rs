//! Requests and replies over the wire format, as an SDK makes and reads them.

use api::{ApiError, HttpRequest, Kind, Protocol, Service};
use serde_json::Value as Json;

fn escaped(text: &str) -> String {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.~".contains(octet);
    let escape = |octet: u8| {
        if plain(&octet) {
            char::from(octet).to_string()
        } else {
            format!("%{octet:02X}")
        }
    };
    text.bytes().map(escape).collect()
}

/// The parameters of a request, from JSON with the model's member names. What has no place in the model is written
/// as it stands.
fn form(service: &Service, shape: Option<&str>, value: &Json, name: &str, out: &mut Vec<String>) {
    let kind = shape
        .and_then(|shape| service.shape(shape))
        .map(|s| &s.kind);
    match value {
        Json::Null => {}
        Json::Bool(truth) => out.push(format!("{name}={truth}")),
        Json::Number(number) => out.push(format!("{name}={number}")),
        Json::String(text) => out.push(format!("{name}={}", escaped(text))),
        Json::Array(elements) => {
            let (shape, between) = match kind {
                Some(Kind::List(element)) => {
                    let between = match service.protocol() {
                        Protocol::Ec2 => String::new(),
                        _ => format!(".{}", element.wire.unwrap_or("member")),
                    };
                    (Some(element.shape), between)
                }
                _ => (None, String::new()),
            };
            for (index, value) in elements.iter().enumerate() {
                let name = format!("{name}{between}.{}", index + 1);
                form(service, shape, value, &name, out);
            }
        }
        Json::Object(members) => {
            for (member, value) in members {
                let known = match kind {
                    Some(Kind::Structure(known)) => known.iter().find(|m| m.name == *member),
                    _ => None,
                };
                let wire = known.map_or(member.as_str(), |known| known.wire_in);
                let dot = if name.is_empty() { "" } else { "." };
                let name = format!("{name}{dot}{wire}");
                form(service, known.map(|known| known.shape), value, &name, out);
            }
        }
    }
}

/// A request as it comes off the wire.
pub(crate) fn request(
    service: &'static Service,
    action: &str,
    input: &Json,
) -> Result<api::Request, ApiError> {
    let mut pairs = vec![
        format!("Action={action}"),
        format!("Version={}", service.version()),
    ];
    let shape = service.operation(action).and_then(|o| o.input);
    form(service, shape, input, "", &mut pairs);
    let body = pairs.join("&");
    let http = HttpRequest {
        method: "POST",
        body: body.as_bytes(),
        ..HttpRequest::default()
    };
    api::decode(service, &http)
}
