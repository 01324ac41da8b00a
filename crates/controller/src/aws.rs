//! `/`: the AWS query protocol; `/2013-04-01/…`: Route 53's paths.

use api::{ApiError, HttpReply, HttpRequest, Scope, Service};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::http::{Answer, Received};
use crate::{Call, Controller};

/// Answers one API request.
pub(crate) async fn handle(controller: &Controller, received: &Received) -> Answer {
    let mut spoken = spoken_at(received.head.uri.path());
    let reply = match answer(controller, received, &mut spoken).await {
        Ok(reply) => reply,
        Err(error) => {
            if error.status >= 500 {
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

async fn answer(
    controller: &Controller,
    received: &Received,
    spoken: &mut &'static Service,
) -> Result<HttpReply, ApiError> {
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
    if !region::is_region(&scope.region) {
        let message = format!(
            "Credential should be scoped to a valid region, not '{}'",
            scope.region
        );
        return Err(ApiError::new("AuthFailure", message));
    }
    let service = api::route(&scope, &http)?;
    *spoken = service;
    let request = api::decode(service, &http)?;
    let operation = request.operation();
    let value = controller
        .call(Call {
            account: scope.account(),
            region: scope.region,
            request,
        })
        .await?;
    api::encode_reply(service, operation, &value, &received.request_id).map_err(|error| {
        tracing::error!(%error, action = operation.name, "a reply has no form on the wire");
        ApiError::internal("An internal error has occurred")
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
