//! `/`: the AWS query protocol; `/2013-04-01/…`: Route 53's paths.

use std::borrow::Cow;
use std::sync::Arc;

use api::{ApiError, HttpReply, HttpRequest, Scope, Service, SignedRequest, Value};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};

use crate::gate::{Auth, Gate, Visit};
use crate::http::{Answer, Received};
use crate::{Call, Controller};

const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Answers one API request.
pub(crate) async fn handle(controller: &Controller, gate: &Gate, received: &Received) -> Answer {
    let mut spoken = spoken_at(received.head.uri.path());
    let user_agent = received.head.headers.get(USER_AGENT);
    let mut visit = Visit {
        peer: received.peer,
        user_agent: user_agent
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default(),
        request_id: &received.request_id,
        now: crate::core::now().0,
        caller: None,
        region: None,
        operation: None,
        request: None,
    };
    let outcome = execute(controller, gate, received, &mut visit, &mut spoken).await;
    let recorded = gate.record(&visit, outcome.as_ref());
    let reply = outcome
        .and_then(|value| recorded.map(|()| value))
        .and_then(|value| encode(&visit, spoken, &value));
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            if error.status >= 500 && error.code != "RequestLimitExceeded" {
                tracing::error!(%error, request = received.request_id, "a request failed");
            }
            api::encode_error(spoken, &error, &received.request_id)
        }
    };
    into_answer(reply)
}

/// An error in the form of the path's service.
pub(crate) fn error(error: &ApiError, path: &str, request_id: &str) -> Answer {
    into_answer(api::encode_error(spoken_at(path), error, request_id))
}

/// The service in whose form a path's errors are told, as long as the request does not say more.
fn spoken_at(path: &str) -> &'static Service {
    api::service_at(path).unwrap_or(Service::ec2())
}

/// Finds out who asks for what, and carries it out.
async fn execute(
    controller: &Controller,
    gate: &Gate,
    received: &Received,
    visit: &mut Visit<'_>,
    spoken: &mut &'static Service,
) -> Result<Value, ApiError> {
    let head = &received.head;
    let text = |name: HeaderName| {
        let value = head.headers.get(&name).map(HeaderValue::to_str).transpose();
        value.map_err(|_| {
            ApiError::new(
                "MalformedRequest",
                format!("the header {name} is not ASCII text"),
            )
        })
    };
    let http = HttpRequest {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        content_type: text(CONTENT_TYPE)?,
        body: &received.body,
    };
    let scope = Scope::of(text(AUTHORIZATION)?, http.query)?;
    let service = api::route(&scope, &http)?;
    *spoken = service;
    let caller = if gate.auth() == Auth::None {
        let token = match text(SECURITY_TOKEN)? {
            Some(token) => Some(token.to_owned()),
            None => api::presigned_token(http.query)?,
        };
        gate.believed(&scope.access_key, token.as_deref())
    } else {
        let headers: Vec<(&str, Cow<'_, str>)> = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .collect();
        let signed = SignedRequest {
            method: http.method,
            path: head.uri.path(),
            query: http.query,
            headers: &headers,
            body: http.body,
        };
        gate.caller(&signed, visit.now)?
    };
    let account = caller.account;
    let caller = visit.caller.insert(caller).clone();
    if !region::is_region(&scope.region) {
        let message = format!(
            "Credential should be scoped to a valid region, not '{}'",
            scope.region
        );
        return Err(ApiError::new("AuthFailure", message));
    }
    visit.region = Some(scope.region.clone());
    let request = api::decode(service, &http)?;
    visit.operation = Some(request.operation());
    visit.request = gate.records().then(|| request.clone());
    gate.admit(visit, &caller, &scope.region, &request, || {
        Arc::clone(&controller.published().state)
    })?;
    if service.name() == "sts" {
        return gate.sts(visit, &caller, &scope.region, &request);
    }
    controller
        .call(Call {
            account,
            region: scope.region,
            request,
        })
        .await
}

/// A reply on the wire.
fn encode(
    visit: &Visit<'_>,
    service: &'static Service,
    value: &Value,
) -> Result<HttpReply, ApiError> {
    let wrong = || ApiError::internal("An internal error has occurred");
    let operation = visit.operation.ok_or_else(wrong)?;
    api::encode_reply(service, operation, value, visit.request_id).map_err(|error| {
        tracing::error!(%error, action = operation.name, "a reply has no form on the wire");
        wrong()
    })
}

fn into_answer(reply: HttpReply) -> Answer {
    Answer {
        status: StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        content_type: reply.content_type,
        headers: reply.headers,
        body: reply.body,
    }
}
