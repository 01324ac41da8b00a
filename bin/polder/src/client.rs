//! The command line's side of the admin endpoints: HTTP/1.1 to a loopback address.

use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::http::request::Builder;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::failure::Failure;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take that needs many walks.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Asks the running `polder up`: `path` comes after `/_polder/`, with its query.
///
/// # Errors
/// If nobody answers at the endpoint, or the answer is an error or no Polder's.
pub(crate) fn get<T: DeserializeOwned>(endpoint: &str, path: &str) -> anyhow::Result<T> {
    let question = Request::get(format!("/_polder/{path}"));
    understood(endpoint, ask(endpoint, question, Bytes::new(), TIMEOUT)?)
}

/// As [`get`], for questions that take their time.
///
/// # Errors
/// As [`get`].
pub(crate) fn get_slow<T: DeserializeOwned>(endpoint: &str, path: &str) -> anyhow::Result<T> {
    let question = Request::get(format!("/_polder/{path}"));
    understood(endpoint, ask(endpoint, question, Bytes::new(), PATIENCE)?)
}

/// As [`get_slow`], with a body.
///
/// # Errors
/// As [`get`].
pub(crate) fn post<T: DeserializeOwned>(
    endpoint: &str,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<T> {
    let question = Request::post(format!("/_polder/{path}"));
    understood(endpoint, ask(endpoint, question, body.into(), PATIENCE)?)
}

fn understood<T: DeserializeOwned>(
    endpoint: &str,
    (status, body): (StatusCode, Bytes),
) -> anyhow::Result<T> {
    if status != StatusCode::OK {
        let message = serde_json::from_slice::<controller::wire::Error>(&body).map_or_else(
            |_| format!("`{endpoint}` answered with status {status}"),
            |error| error.error,
        );
        let hint = "`polder status` shows what runs";
        return Err(Failure::new(message, hint).into());
    }
    serde_json::from_slice(&body).map_err(|error| {
        let hint = "the running `polder up` may be of another version";
        Failure::new(
            format!("the answer of `{endpoint}` cannot be understood: {error}"),
            hint,
        )
        .into()
    })
}

/// Sends a request, and gives the answer's status and body.
///
/// # Errors
/// If nobody answers at the endpoint.
pub(crate) fn send(
    endpoint: &str,
    request: Builder,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Bytes)> {
    ask(endpoint, request, body, TIMEOUT)
}

fn ask(
    endpoint: &str,
    request: Builder,
    body: Bytes,
    patience: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    runtime.block_on(async {
        tokio::time::timeout(patience, exchange(endpoint, request, body))
            .await
            .map_err(|_| {
                Failure::new(
                    format!("no answer from `{endpoint}`"),
                    "is that a `polder up`?",
                )
            })?
    })
}

async fn exchange(
    endpoint: &str,
    request: Builder,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let bad = || {
        Failure::usage(
            format!("`{endpoint}` is not an endpoint"),
            "it looks like http://127.0.0.1:4566",
        )
    };
    let uri: Uri = endpoint.parse().map_err(|_| bad())?;
    let authority = uri
        .authority()
        .filter(|_| uri.scheme_str() == Some("http"))
        .ok_or_else(bad)?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await.map_err(|error| {
        let hint = "start it with `polder up`, or name its endpoint with --endpoint or POLDER_ENDPOINT";
        Failure::new(format!("no polder answers at `{endpoint}`: {error}"), hint)
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("the connection broke")?;
    tokio::spawn(connection);
    let request = request
        .header(HOST, authority.as_str())
        .body(Full::new(body))
        .context("the question has no form in HTTP")?;
    let answer = sender
        .send_request(request)
        .await
        .context("the connection broke")?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
    Ok((status, body.to_bytes()))
}

/// A value in a query, percent-encoded (RFC 3986 section 2.1).
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encode("i-0a"), "i-0a");
        assert_eq!(encode("::1&x=é"), "%3A%3A1%26x%3D%C3%A9");
    }
}
