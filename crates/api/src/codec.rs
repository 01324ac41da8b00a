//! The one door between HTTP and values. Which form a service speaks is a fact of its table.

use crate::auth::Scope;
use crate::decode::{self, Request};
use crate::error::ApiError;
use crate::form;
use crate::rest;
use crate::shapes::{Operation, Protocol, Service};
use crate::value::Value;
use crate::xml::{self, EncodeError, Writer};

/// The parts of an HTTP request that a protocol looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpRequest<'a> {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'a str,
    /// The path of the URI, as it was sent; protocols that bind none do not look at it.
    pub path: &'a str,
    /// What follows `?` in the URI; empty where nothing does.
    pub query: &'a str,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The body, whole.
    pub body: &'a [u8],
}

/// An HTTP reply but for the headers that every reply has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl HttpReply {
    pub(crate) fn xml(status: u16, document: Writer) -> HttpReply {
        HttpReply {
            status,
            content_type: "text/xml;charset=UTF-8",
            headers: Vec::new(),
            body: document.finish(),
        }
    }
}

/// The service whose operations have paths of this form; none where the request itself names its action.
#[must_use]
pub fn service_at(path: &str) -> Option<&'static Service> {
    let version = path.strip_prefix('/')?.split_once('/')?.0;
    let service = Service::route53();
    (version == service.version()).then_some(service)
}

/// The service that a request is for: the one that its credential scope names, else the one that has its path or
/// action.
///
/// # Errors
/// The scope names a service that is not ours or not the path's, or the parameters are no form.
pub fn route(scope: &Scope, http: &HttpRequest<'_>) -> Result<&'static Service, ApiError> {
    let at_path = service_at(http.path);
    if let Some(service) = at_path
        && scope
            .service
            .as_ref()
            .is_none_or(|name| name == service.name())
    {
        return Ok(service);
    }
    if let Some(service) = at_path {
        let name = service.name();
        let message = format!("Credential should be scoped to correct service: '{name}'.");
        return Err(ApiError::new("SignatureDoesNotMatch", message));
    }
    if let Some(name) = &scope.service {
        return Service::by_name(name).ok_or_else(|| {
            let name = crate::error::clip(name);
            let message = format!("The service {name} is not supported by Polder");
            ApiError::new("UnsupportedOperation", message)
        });
    }
    let parameters = form::parameters(http)?;
    let action = parameters.iter().find(|(name, _)| name == "Action");
    Ok(match action {
        Some((_, action)) if Service::sts().is_known_action(action) => Service::sts(),
        Some(_) | None => Service::ec2(),
    })
}

/// The action and its parameters, checked against the shape of its request.
///
/// # Errors
/// Anything that the service's shapes do not allow, with AWS's code and the parameter's name on the wire.
pub fn decode(service: &'static Service, http: &HttpRequest<'_>) -> Result<Request, ApiError> {
    match service.protocol() {
        Protocol::Ec2 | Protocol::Query => decode::from_form(service, &form::parameters(http)?),
        Protocol::RestXml => rest::decode(service, http),
    }
}

/// A reply in the service's form, members in the shape's order.
///
/// # Errors
/// The value is not of the operation's output shape: a fault of the handler.
pub fn encode_reply(
    service: &'static Service,
    operation: &Operation,
    value: &Value,
    request_id: &str,
) -> Result<HttpReply, EncodeError> {
    let (document, headers) = xml::reply(service, operation, value, request_id)?;
    Ok(HttpReply {
        headers,
        ..HttpReply::xml(operation.status, document)
    })
}

/// An error in the service's form.
#[must_use]
pub fn encode_error(service: &Service, error: &ApiError, request_id: &str) -> HttpReply {
    error.encode(service, request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_find_their_service() {
        let by_action = |query: &'static str| {
            let http = HttpRequest {
                method: "GET",
                query,
                ..HttpRequest::default()
            };
            route(&Scope::unsigned(), &http).map(Service::name)
        };
        assert_eq!(by_action("Action=GetCallerIdentity"), Ok("sts"));
        assert_eq!(by_action("Action=DescribeVpcs"), Ok("ec2"));
        assert_eq!(by_action(""), Ok("ec2"));
        let scope = |service: &str| Scope {
            service: Some(service.into()),
            ..Scope::unsigned()
        };
        assert_eq!(
            route(&scope("sts"), &HttpRequest::default()).map(Service::name),
            Ok("sts")
        );
        let at = |path| HttpRequest {
            path,
            ..HttpRequest::default()
        };
        let route53 = at("/2013-04-01/hostedzone");
        for scope in [scope("route53"), Scope::unsigned()] {
            assert_eq!(route(&scope, &route53).map(Service::name), Ok("route53"));
        }
        assert_eq!(
            route(&scope("ec2"), &route53).unwrap_err().code,
            "SignatureDoesNotMatch"
        );
        for path in ["", "/", "/2013-04-01", "/2013-04-02/x", "2013-04-01/x"] {
            assert!(service_at(path).is_none(), "{path}");
        }
        assert_eq!(
            route(&scope("s3"), &HttpRequest::default())
                .unwrap_err()
                .code,
            "UnsupportedOperation"
        );
    }
}
