//! The listener that hosts connect to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use feed::{Hello, Observed, Report, Up};
use link::{
    Authority, Error, First, MAX_FIRST, MAX_REPORT, Reply, ToController, ToHost, Token, VERSION,
};
use region::{HostChange, Join};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};
use types::HostId;

use super::{End, Fleet, Session};
use crate::Controller;

/// How many connections there are at most, those of strangers included.
const MAX_CONNECTIONS: usize = 20_000;
/// How long a stranger may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);
/// How long one message may take to be taken.
const WRITING: Duration = Duration::from_secs(60);
/// How often a host hears of a controller that has nothing new.
const BEAT: Duration = Duration::from_secs(1);
/// How long a host may be silent. It answers every beat.
const SILENCE: Duration = Duration::from_secs(5);
/// How long changes wait for others while some are on their way.
const COALESCE: Duration = Duration::from_millis(5);
/// How often hosts are looked at for having gone or come back.
const WATCH: Duration = Duration::from_secs(1);
/// How many reports of a host wait for the store.
const REPORTS: usize = 1024;
/// How often a report is offered to a store that fails.
const REPORT_ATTEMPTS: u32 = 5;

type Stream = link::server::TlsStream<TcpStream>;

/// How hosts are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// How long a host's certificate holds; also the longest that a connection lasts.
    pub life: Duration,
    /// How long nothing may be heard of a host before it is lost.
    pub lost_after: Duration,
}

impl Default for Bounds {
    /// Certificates of a day, and half a minute of silence.
    fn default() -> Bounds {
        Bounds {
            life: Duration::from_secs(86_400),
            lost_after: Duration::from_secs(30),
        }
    }
}

struct Server {
    controller: Controller,
    fleet: Arc<Fleet>,
    authority: Arc<Authority>,
    bounds: Bounds,
}

/// Serves hosts until `stopped`. Connections end with it.
///
/// # Errors
/// If no certificate can be made.
pub async fn serve(
    controller: Controller,
    fleet: Arc<Fleet>,
    authority: Arc<Authority>,
    listener: TcpListener,
    bounds: Bounds,
    stopped: impl Future<Output = ()>,
) -> Result<(), Error> {
    let acceptor = link::acceptor(&authority)?;
    let server = Arc::new(Server {
        controller,
        fleet,
        authority,
        bounds,
    });
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    connections.spawn(watch(Arc::clone(&server)));
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection of a host");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::warn!(%peer, "too many connections");
            continue;
        };
        let (server, acceptor) = (Arc::clone(&server), acceptor.clone());
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            let greeted = timeout(GREETING, async {
                let mut stream = acceptor.accept(stream).await.map_err(|source| Error::Io {
                    doing: "no TLS with a host".to_owned(),
                    source,
                })?;
                let first: First = link::read(&mut stream, MAX_FIRST).await?;
                Ok::<_, Error>((stream, first))
            });
            let ended = match greeted.await {
                Ok(Ok((stream, first))) => server.greet(stream, first).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "a host's connection ended");
            }
            drop(slot);
        });
    }
    connections.shutdown().await;
    Ok(())
}

/// Notes in the hosts' records who is there.
async fn watch(server: Arc<Server>) {
    let mut ticks = tokio::time::interval(WATCH);
    loop {
        ticks.tick().await;
        let state = Arc::clone(&server.controller.published().state);
        for (host, connection) in server.fleet.connections() {
            let Some(record) = state.hosts.get(&host) else {
                continue;
            };
            let lost = !connection.connected
                && (record.lost || connection.since.elapsed() >= server.bounds.lost_after);
            if lost != record.lost {
                server.seen(host, lost).await;
            }
        }
    }
}

impl Server {
    async fn seen(&self, host: HostId, lost: bool) {
        let seen = HostChange::Seen { host, lost };
        if let Err(error) = self.controller.change_hosts(seen).await {
            tracing::warn!(%host, %error, "cannot note whether a host is there");
        }
    }

    async fn greet(&self, mut stream: Stream, first: First) -> Result<(), Error> {
        let (First::Join { version, .. } | First::Connect { version, .. }) = &first;
        if version != VERSION {
            let why = format!("this controller is of version {VERSION}, the host of {version}");
            return say(&mut stream, &Reply::Refused(why)).await;
        }
        match first {
            First::Join { .. } => {
                let reply = self.join(first).await.unwrap_or_else(Reply::Refused);
                say(&mut stream, &reply).await
            }
            First::Connect { hello, .. } => {
                let shown = stream.get_ref().1.peer_certificates();
                let Some(print) = shown
                    .and_then(<[_]>::first)
                    .map(|leaf| link::fingerprint(leaf))
                else {
                    let why = "a host shows a certificate".to_owned();
                    return say(&mut stream, &Reply::Refused(why)).await;
                };
                let state = Arc::clone(&self.controller.published().state);
                let session = region::host_of_certificate(&state, &print)
                    .and_then(|host| self.fleet.connect(host, hello));
                match session {
                    Some(session) => self.host(stream, session, hello).await,
                    None => say(&mut stream, &Reply::Removed).await,
                }
            }
        }
    }

    async fn join(&self, first: First) -> Result<Reply, String> {
        let First::Join {
            secret,
            name,
            zone,
            underlay,
            capacity,
            public_key,
            ..
        } = first
        else {
            return Err("that is no way to join".to_owned());
        };
        let token = Token::hash_of(&secret);
        // Nothing is signed for a stranger.
        let state = Arc::clone(&self.controller.published().state);
        if !state.join_tokens.contains_key(&token) {
            return Err("the token is unknown, used or expired".to_owned());
        }
        let certificate = self.sign(&name, &public_key)?;
        let join = HostChange::Join(Join {
            token,
            name,
            zone,
            underlay,
            capacity,
            certificate: link::fingerprint(&certificate),
        });
        let joined = self.controller.change_hosts(join).await;
        let host = joined
            .map_err(|error| error.message.to_string())?
            .ok_or("the controller gave no identifier")?;
        tracing::info!(%host, "a host has joined");
        Ok(Reply::Joined {
            host,
            certificate,
            life: self.bounds.life.as_secs(),
            uplink: self.controller.pool(),
        })
    }

    fn sign(&self, name: &str, public_key: &[u8]) -> Result<Vec<u8>, String> {
        let signed =
            self.authority
                .sign_host(name, public_key, SystemTime::now(), self.bounds.life);
        signed.map_err(|error| error.to_string())
    }

    /// Serves a host's connection until it ends.
    async fn host(
        &self,
        mut stream: Stream,
        mut session: Session,
        hello: Hello,
    ) -> Result<(), Error> {
        let host = session.host;
        say(&mut stream, &Reply::Welcome).await?;
        tracing::info!(%host, connection = hello.connection, "a host is connected");
        self.seen(host, false).await;
        let (reader, mut writer) = tokio::io::split(stream);
        let (heard, mut messages) = mpsc::channel(64);
        let (reports, noted) = mpsc::channel(REPORTS);
        // They end with this function.
        let mut helpers = tokio::task::JoinSet::new();
        helpers.spawn(listen(reader, heard));
        helpers.spawn(note(self.controller.clone(), host, noted));

        let mut beats = tokio::time::interval(BEAT);
        let mut last_heard = Instant::now();
        let oldest = Instant::now() + self.bounds.life;
        let mut asking: VecDeque<oneshot::Sender<Observed>> = VecDeque::new();
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let Some(message) = message else { return Ok(()) };
                    last_heard = Instant::now();
                    match message {
                        ToController::Feed(Up::Ack(position)) => session.acked(position),
                        ToController::Feed(Up::Report(report)) => {
                            // The store is behind: the host says it again on its next connection.
                            if reports.try_send(report).is_err() {
                                return Ok(());
                            }
                        }
                        ToController::Feed(Up::Drops(drops)) => session.dropped(drops),
                        ToController::Feed(Up::Observed(observed)) => {
                            if let Some(answer) = asking.pop_front() {
                                // Whoever asked may have gone.
                                let _ = answer.send(observed);
                            }
                        }
                        ToController::Renew { public_key } => {
                            self.renew(&mut writer, host, &public_key).await?;
                        }
                    }
                }
                () = session.wake.notified() => {
                    if session.is_busy() {
                        tokio::time::sleep(COALESCE).await;
                    }
                    while let Some(next) = session.next() {
                        say(&mut writer, &ToHost::Feed(next)).await?;
                    }
                }
                asked = session.asked.recv() => {
                    if let Some(answer) = asked {
                        asking.push_back(answer);
                        say(&mut writer, &ToHost::Observe).await?;
                    }
                }
                _ = beats.tick() => {
                    if last_heard.elapsed() > SILENCE || Instant::now() >= oldest {
                        return Ok(());
                    }
                    if let Some(beat) = session.beat() {
                        say(&mut writer, &ToHost::Feed(beat)).await?;
                    }
                }
                _ = session.end.changed() => {
                    let removed = *session.end.borrow_and_update() == Some(End::Removed);
                    if removed {
                        tracing::info!(%host, "a host was removed");
                        say(&mut writer, &ToHost::Removed).await?;
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn renew(
        &self,
        writer: &mut WriteHalf<Stream>,
        host: HostId,
        public_key: &[u8],
    ) -> Result<(), Error> {
        let Ok(certificate) = self.sign(&host.to_string(), public_key) else {
            return Ok(());
        };
        let print = link::fingerprint(&certificate);
        let renewed = HostChange::Renew {
            host,
            certificate: print,
        };
        if let Err(error) = self.controller.change_hosts(renewed).await {
            // The host asks again.
            tracing::warn!(%host, %error, "a host's new certificate cannot be kept");
            return Ok(());
        }
        let life = self.bounds.life.as_secs();
        say(writer, &ToHost::Certificate { certificate, life }).await
    }
}

/// Writes a message, within bounds.
async fn say<M: serde::Serialize>(
    writer: &mut (impl tokio::io::AsyncWrite + Unpin),
    message: &M,
) -> Result<(), Error> {
    timeout(WRITING, link::write(writer, message))
        .await
        .unwrap_or(Err(Error::Closed))
}

/// Reads a host's messages, one after the other: a message that is half read must not be dropped.
async fn listen(mut reader: ReadHalf<Stream>, heard: mpsc::Sender<ToController>) {
    loop {
        match link::read(&mut reader, MAX_REPORT).await {
            Ok(message) => {
                if heard.send(message).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a host's connection ended");
                return;
            }
        }
    }
}

/// Writes a host's reports down, in their order.
async fn note(controller: Controller, host: HostId, mut reports: mpsc::Receiver<Report>) {
    while let Some(report) = reports.recv().await {
        if let Report::Failed(instance, why) = &report {
            tracing::error!(%host, %instance, why, "an instance could not be started");
        }
        for attempt in 1..=REPORT_ATTEMPTS {
            let Err(error) = controller.report_of(host, report.clone()).await else {
                break;
            };
            tracing::error!(%host, %error, attempt, "a report of a host cannot be kept");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
