//! A request of a stranger: it is decoded or refused, and a refusal has a reply that can be sent.

use api::{HttpRequest, Service, decode, encode_error};

/// A byte of choices, then the query or the body.
pub(crate) fn run(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let services = [Service::ec2(), Service::sts()];
    let service = services[usize::from(choice & 1)];
    let text = String::from_utf8_lossy(bytes);
    let form = "application/x-www-form-urlencoded";
    let http = HttpRequest {
        method: if choice & 2 == 0 { "POST" } else { "GET" },
        query: if choice & 2 == 0 { "" } else { &text },
        path: "/",
        content_type: (choice & 4 == 0).then_some(form),
        body: if choice & 2 == 0 { bytes } else { &[] },
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
