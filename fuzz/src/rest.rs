//! A request of a stranger in the rest-xml protocol: it is decoded or refused, and a refusal can be sent.

use api::{HttpRequest, Service, decode, encode_error};

/// A byte that chooses an operation, then a line of query string, then the body.
pub(crate) fn run(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let service = Service::route53();
    let line = bytes.iter().position(|octet| *octet == b'\n').unwrap_or(0);
    let (query, body) = bytes.split_at(line);
    let query = String::from_utf8_lossy(query);
    let operation = service.actions().nth(usize::from(*choice));
    let operation = operation.and_then(|name| service.operation(name));
    let (method, path) = match operation {
        Some(operation) => (operation.method, operation.uri.replace(['{', '}'], "")),
        None => ("GET", format!("/2013-04-01/{query}")),
    };
    let http = HttpRequest {
        method,
        path: &path,
        query: &query,
        content_type: None,
        body: body.strip_prefix(b"\n").unwrap_or(body),
    };
    match decode(service, &http) {
        Ok(request) => assert!(!format!("{request:?}").is_empty()),
        Err(error) => {
            let reply = encode_error(service, &error, "id");
            assert!((400..600).contains(&reply.status));
            assert!(std::str::from_utf8(&reply.body).is_ok());
        }
    }
}
