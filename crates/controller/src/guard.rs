//! Who may talk to a server that checks no signatures: programs of this machine, not pages in its browsers.

use std::net::{IpAddr, SocketAddr};

use hyper::StatusCode;
use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN, REFERER};
use hyper::http::request::Parts;

use crate::http::{Answer, MAX_BODY};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is answered before anybody looks at what it asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// A web page sent it.
    Browser,
    /// It is for another host: a name that was made to point here (DNS rebinding).
    Host,
    /// It comes from another machine.
    Remote,
    /// No such path.
    NotFound,
    /// Not a method of the path.
    Method,
    /// The body is longer than [`MAX_BODY`].
    TooLarge,
    /// The body did not arrive in time.
    Slow,
    /// The body broke off or was malformed.
    Body,
    /// The handler panicked.
    Internal,
}

impl Refusal {
    const fn status(self) -> StatusCode {
        match self {
            Refusal::Browser | Refusal::Host | Refusal::Remote => StatusCode::FORBIDDEN,
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Slow => StatusCode::REQUEST_TIMEOUT,
            Refusal::Body => StatusCode::BAD_REQUEST,
            Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Refusal::Browser | Refusal::Host | Refusal::Remote => "UnauthorizedOperation",
            Refusal::NotFound => "NotFound",
            Refusal::Method => "MethodNotAllowed",
            Refusal::TooLarge => "RequestEntityTooLarge",
            Refusal::Slow => "RequestTimeout",
            Refusal::Body => "MalformedRequest",
            Refusal::Internal => "InternalError",
        }
    }

    fn message(self) -> String {
        match self {
            Refusal::Browser => "this endpoint does not check signatures, so it does not answer web pages".to_owned(),
            Refusal::Host => "this endpoint answers only to `localhost`, a loopback address or the address that it \
                listens on"
                .to_owned(),
            Refusal::Remote => "what is not signed is answered only to programs of this machine".to_owned(),
            Refusal::NotFound => "no such path; the endpoint of EC2 and STS is `/`, that of Route 53 `/2013-04-01/`".to_owned(),
            Refusal::Method => "the method is not allowed on this path".to_owned(),
            Refusal::TooLarge => format!("the request is longer than {MAX_BODY} bytes"),
            Refusal::Slow => "the request did not arrive in time".to_owned(),
            Refusal::Body => "the request's body broke off or is malformed".to_owned(),
            Refusal::Internal => "an internal error has occurred".to_owned(),
        }
    }

    /// The answer: JSON on an admin path, the service's error document elsewhere.
    pub(crate) fn answer(self, path: &str, request_id: &str) -> Answer {
        let (status, code, message) = (self.status(), self.code(), self.message());
        if path.starts_with(crate::admin::PREFIX) {
            crate::admin::error(status, &message)
        } else {
            let status = status.as_u16();
            crate::aws::error(
                &api::ApiError {
                    code: code.into(),
                    message,
                    status,
                },
                path,
                request_id,
            )
        }
    }
}

/// Refuses what comes from another machine, what a web page can send, and what was addressed to another host.
pub(crate) fn check(
    head: &Parts,
    bound: Option<SocketAddr>,
    peer: Option<SocketAddr>,
) -> Result<(), Refusal> {
    if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        return Err(Refusal::Remote);
    }
    if from_page(&head.headers) {
        return Err(Refusal::Browser);
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| Refusal::Host)?,
        _ => return Err(Refusal::Host),
    };
    if is_here(host, bound.map(|address| address.ip())) {
        Ok(())
    } else {
        Err(Refusal::Host)
    }
}

/// A page sends `Origin` with every form and script, but not with an image or a link; those have `Sec-Fetch-Site`
/// in every current browser, and a `Referer` in most older ones. No AWS client sends any of the three.
fn from_page(headers: &HeaderMap) -> bool {
    let typed = |value: &hyper::header::HeaderValue| value == "none";
    headers.contains_key(ORIGIN)
        || headers.contains_key(REFERER)
        || headers
            .get(SEC_FETCH_SITE)
            .is_some_and(|value| !typed(value))
}

/// Whether a `Host` header means this machine (names ending in `.localhost` always do: RFC 6761 section 6.3).
fn is_here(host: &str, bound: Option<IpAddr>) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.is_loopback() || Some(address) == bound;
    }
    let lower = name.to_ascii_lowercase();
    lower == "localhost" || lower.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine() {
        let bound = "192.0.2.7".parse().ok();
        for good in [
            "localhost",
            "LOCALHOST:4566",
            "127.0.0.1:4566",
            "127.8.9.1",
            "[::1]:4566",
            "[::1]",
            "192.0.2.7:1",
            "ec2.localhost:4566",
        ] {
            assert!(is_here(good, bound), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:4566",
            "localhost.evil.example",
            "192.0.2.8",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "[::2]:80",
            "127.0.0.1:4566:1",
            "0.0.0.0",
        ] {
            assert!(!is_here(bad, bound), "{bad}");
        }
    }

    #[test]
    fn pages_are_known_by_their_headers() {
        let with = |name: HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            from_page(&headers)
        };
        assert!(with(ORIGIN, "https://evil.example"));
        assert!(with(ORIGIN, "null"));
        assert!(with(REFERER, "https://evil.example/x"));
        assert!(with(SEC_FETCH_SITE, "cross-site"));
        assert!(!with(SEC_FETCH_SITE, "none"));
        assert!(!with(HOST, "localhost"));
    }
}
