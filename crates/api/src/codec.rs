//! The one door between HTTP and values. Which form a service speaks is a fact of its table.

use crate::auth::Scope;
use crate::decode::{self, Request};
use crate::error::ApiError;
use crate::form;
use crate::shapes::{Operation, Protocol, Service};
use crate::value::Value;
use crate::xml::{self, EncodeError, Writer};

/// The parts of an HTTP request that a protocol looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpRequest<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
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
    /// The body, whole.
    pub body: Vec<u8>,
}

impl HttpReply {
    pub(crate) fn xml(status: u16, document: Writer) -> HttpReply {
        HttpReply {
            status,
            content_type: "text/xml;charset=UTF-8",
            body: document.finish(),
        }
    }
}

/// The service that a request is for: the one that its credential scope names, else the one that has its action.
///
/// # Errors
/// The scope names a service that is not ours, or the parameters are no form.
pub fn route(scope: &Scope, http: &HttpRequest<'_>) -> Result<&'static Service, ApiError> {
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
    match service.protocol() {
        Protocol::Ec2 | Protocol::Query => Ok(HttpReply::xml(
            200,
            xml::reply(service, operation, value, request_id)?,
        )),
    }
}

/// An error in the service's form.
#[must_use]
pub fn encode_error(service: &Service, error: &ApiError, request_id: &str) -> HttpReply {
    error.encode(service.protocol(), request_id)
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
        assert_eq!(
            route(&scope("s3"), &HttpRequest::default())
                .unwrap_err()
                .code,
            "UnsupportedOperation"
        );
    }
}
