//! The listener: HTTP/1.1 with bounds on everything a client can make it wait for or keep.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, SERVER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::gate::{Auth, Gate};
use crate::guard::{self, Refusal};
use crate::{Controller, admin, aws};

/// The longest body of a request, in bytes. EC2 itself takes less.
pub const MAX_BODY: usize = 1024 * 1024;
/// How much of a longer body is read and thrown away, so that its sender hears the answer.
const MAX_DISCARDED: usize = 16 * MAX_BODY;
/// The most connections at once. Further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 512;
/// The most bytes of a request's line and headers.
const MAX_HEAD: usize = 64 * 1024;
/// How long a connection may take for a request's head; also how long it may idle before one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests in progress may take once the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What a handler answers with: a status, the type of the body, further headers, and the body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// A request whose body has arrived.
pub(crate) struct Received {
    pub(crate) head: hyper::http::request::Parts,
    pub(crate) body: Bytes,
    pub(crate) request_id: String,
    pub(crate) peer: Option<SocketAddr>,
}

/// Bounds of a listener that tests shorten.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a connection may take for a request's head.
    pub head: Duration,
    /// How long a body may take.
    pub body: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            head: HEAD_TIMEOUT,
            body: BODY_TIMEOUT,
        }
    }
}

/// Answers requests until `stop` completes, then finishes those in progress, within three seconds.
pub async fn serve(
    controller: Controller,
    gate: Arc<Gate>,
    listener: TcpListener,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    let bound = listener.local_addr().ok();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection(
                    controller.clone(),
                    Arc::clone(&gate),
                    stream,
                    bound,
                    bounds,
                    slot,
                    stopped.clone(),
                ));
            }
            Err(error) => {
                // Out of file descriptors, or a connection that ended before it was accepted.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    drop(stopped);
    // Every connection holds a receiver.
    if tokio::time::timeout(STOP_TIMEOUT, stopping.closed())
        .await
        .is_err()
    {
        tracing::warn!("requests still in progress are cut off");
    }
}

async fn connection(
    controller: Controller,
    gate: Arc<Gate>,
    stream: TcpStream,
    bound: Option<SocketAddr>,
    bounds: Bounds,
    slot: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<bool>,
) {
    // Small replies should not wait for an acknowledgement; without the option they are only slower.
    let _ = stream.set_nodelay(true);
    let ends = Ends {
        peer: stream.peer_addr().ok(),
        bound,
    };
    let service =
        service_fn(|request| respond(controller.clone(), Arc::clone(&gate), request, ends, bounds));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = async { stopped.wait_for(|&stopped| stopped).await.map_or((), |_| ()) } => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
    drop(slot);
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug)]
struct Ends {
    peer: Option<SocketAddr>,
    bound: Option<SocketAddr>,
}

async fn respond(
    controller: Controller,
    gate: Arc<Gate>,
    request: Request<Incoming>,
    ends: Ends,
    bounds: Bounds,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let request_id = crate::core::request_id();
    let path = request.uri().path().to_owned();
    let admin = path.starts_with(admin::PREFIX);
    let answer = match receive(request, gate.auth(), ends, bounds, request_id.clone()).await {
        Ok(received) => {
            handled(async move {
                if admin {
                    admin::handle(&controller, &received).await
                } else {
                    aws::handle(&controller, &gate, &received).await
                }
            })
            .await
        }
        Err(refusal) => Err(refusal),
    };
    let answer = answer.unwrap_or_else(|refusal| refusal.answer(&path, &request_id));
    Ok(response(answer, &request_id))
}

/// Turns a panic into an error. What only reads is done at once; the rest goes on in a task of its own, so that a
/// client that leaves does not cut off a change.
async fn handled(
    handler: impl Future<Output = Answer> + Send + 'static,
) -> Result<Answer, Refusal> {
    let mut handler = Box::pin(handler);
    let begun = std::future::poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| handler.as_mut().poll(cx));
        Poll::Ready(catch_unwind(poll))
    });
    match begun.await {
        Ok(Poll::Ready(answer)) => Ok(answer),
        Ok(Poll::Pending) => tokio::spawn(handler).await.map_err(|_| Refusal::Internal),
        Err(_) => Err(Refusal::Internal),
    }
}

fn response(answer: Answer, request_id: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("polder"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

async fn receive(
    request: Request<Incoming>,
    auth: Auth,
    ends: Ends,
    bounds: Bounds,
    request_id: String,
) -> Result<Received, Refusal> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    // A signature says who asks and for which host; without one, and for what is not signed, this must do.
    if auth == Auth::None || path.starts_with(admin::PREFIX) {
        guard::check(&head, ends.bound, ends.peer)?;
    }
    let admin = [admin::method(path)];
    let allowed: &[Method] = if path == "/" {
        &[Method::GET, Method::POST]
    } else if api::service_at(path).is_some() {
        &[Method::DELETE, Method::GET, Method::POST]
    } else if admin::is_known(path) {
        &admin
    } else {
        return Err(Refusal::NotFound);
    };
    if !allowed.contains(&head.method) {
        return Err(Refusal::Method);
    }
    let body = tokio::time::timeout(bounds.body, collect(body))
        .await
        .map_err(|_| Refusal::Slow)??;
    Ok(Received {
        head,
        body,
        request_id,
        peer: ends.peer,
    })
}

async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    let mut body = Limited::new(body, MAX_DISCARDED);
    let mut bytes = Vec::new();
    let mut total = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(if total > MAX_BODY {
                Refusal::TooLarge
            } else {
                Refusal::Body
            });
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total = total.saturating_add(data.len());
        if total <= MAX_BODY {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
    }
    if total > MAX_BODY {
        Err(Refusal::TooLarge)
    } else {
        Ok(Bytes::from(bytes))
    }
}
