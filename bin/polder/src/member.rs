//! `polder agent`: this machine as a host of a region, in the foreground.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use agent::Agent;
use anyhow::Context as _;
use feed::{Inbox, Observed, Position, Taken, Up};
use link::{
    Error, First, Key, MAX_FIRST, MAX_FULL, NAME, Reply, ServerName, ToController, ToHost, Token,
    VERSION,
};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::cli::AgentArgs;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::output;
use crate::up::{self, Signals};

const WORKERS: usize = 2;
const MAX_BLOCKING: usize = 16;
/// How long a controller may take to accept a connection and to answer its first message.
const GREETING: Duration = Duration::from_secs(10);
/// How long it may be silent: it says something every second.
const SILENCE: Duration = Duration::from_secs(5);
/// How long one message may take to be taken.
const WRITING: Duration = Duration::from_secs(30);
/// How long to wait before the next attempt to connect: at first, and at most.
const PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often new drops are told of, and how many at once.
const DROPS: Duration = Duration::from_millis(250);
const MAX_DROPS: usize = 1000;
/// How many sessions are told of.
const MAX_SESSIONS: usize = 10_000;

type Stream = link::client::TlsStream<TcpStream>;

/// Runs until SIGINT, SIGTERM or SIGHUP, and then removes what it made; or until the region has removed this host.
pub(crate) fn run(args: &AgentArgs) -> anyhow::Result<ExitCode> {
    up::log(&args.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(MAX_BLOCKING)
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let done = runtime.block_on(member(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn member(args: &AgentArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let state_dir = args.state.path()?;
    let identity = match Identity::load(&state_dir)? {
        Some(identity) => identity,
        None => join(args, &state_dir).await?,
    };
    let mut config = agent::Config::new(&state_dir);
    config.uplink = identity.uplink;
    config.uplink.internet = args.internet;
    // What this machine's kernel knows of IPv6 may be less than the controller's.
    let ipv6 = config.uplink.ipv6;
    config.uplink.ipv6 = ipv6.and_then(|side| agent::ipv6_side(side.pool, args.internet));
    config.revocation = args.revocation.into();
    if let Some(sessions) = args.max_sessions {
        config.max_flows = sessions;
    }
    let agent = Agent::start(config).await.map_err(|error| {
        let hint = up::hint(&error);
        Failure::new(format!("{:#}", anyhow::Error::from(error)), hint)
    })?;
    output::tell(&format!(
        "polder {VERSION}, a host of a region\n\
         \x20 host        {host}\n\
         \x20 controller  {controller}\n\
         \x20 state       {state}\n\
         \n",
        host = identity.host,
        controller = args.controller,
        state = state_dir.display(),
    ));
    let mut member = Member {
        agent: agent.clone(),
        controller: args.controller.clone(),
        state_dir,
        identity,
        inbox: Inbox::default(),
        acked: None,
        drops: 0,
        greeted: false,
    };
    let removed = tokio::select! {
        removed = member.serve() => Some(removed),
        () = signals.next() => None,
    };
    output::tell("stopping: a second signal does not wait\n");
    let force = tokio::spawn(async move {
        signals.rest().await;
        signals.next().await;
        std::process::exit(1);
    });
    agent.stop().await;
    force.abort();
    match removed {
        None => {
            output::tell("stopped\n");
            Ok(ExitCode::SUCCESS)
        }
        Some(()) => {
            Identity::forget(&member.state_dir)?;
            let hint = "with a new token of `polder hosts token create` it can join anew";
            Err(Failure::new("this host was removed from the region", hint).into())
        }
    }
}

/// Connects, speaks TLS, and says the first thing.
async fn greet(
    stream: TcpStream,
    connector: &link::TlsConnector,
    first: &First,
) -> Result<(Stream, Reply), Error> {
    let _ = stream.set_nodelay(true);
    let name = ServerName::try_from(NAME).map_err(|error| Error::Certificate(error.to_string()))?;
    let greeted = async {
        let connected = connector.connect(name, stream).await;
        let mut stream = connected.map_err(|source| Error::Io {
            doing: "no TLS with the controller".to_owned(),
            source,
        })?;
        link::write(&mut stream, first).await?;
        let reply = link::read(&mut stream, MAX_FIRST).await?;
        Ok((stream, reply))
    };
    timeout(GREETING, greeted)
        .await
        .unwrap_or(Err(Error::Closed))
}

async fn dial(controller: &str) -> Result<TcpStream, Error> {
    let broken = |source| Error::Io {
        doing: format!("cannot connect to `{controller}`"),
        source,
    };
    timeout(GREETING, TcpStream::connect(controller))
        .await
        .unwrap_or(Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(broken)
}

/// Joins the region, and keeps what it got.
async fn join(args: &AgentArgs, state_dir: &Path) -> anyhow::Result<Identity> {
    let text = args.join.as_deref().ok_or_else(|| {
        let hint = "make a token with `polder hosts token create` where the controller runs, and give it with --join";
        Failure::usage("this machine has not joined a region", hint)
    })?;
    let token: Token = text.parse().map_err(|why| {
        Failure::usage(
            why,
            "copy the whole token; it is good for one machine, once",
        )
    })?;
    let failed = |error: Error| {
        let hint = "`--controller` is where `polder controller` listens for hosts, port 4567 unless told otherwise";
        Failure::new(
            format!("cannot join: {:#}", anyhow::Error::from(error)),
            hint,
        )
    };
    let stream = dial(&args.controller).await.map_err(failed)?;
    let underlay = match args.underlay {
        Some(address) => address,
        None => local(&stream)?,
    };
    let key = Key::new().map_err(failed)?;
    let first = First::Join {
        version: VERSION.to_owned(),
        secret: token.secret(),
        name: args.name.clone().unwrap_or_else(machine),
        zone: args.zone.clone(),
        underlay,
        capacity: args.capacity,
        public_key: key.public(),
    };
    let (connector, pinned) = link::joiner(token.authority()).map_err(failed)?;
    let (_, reply) = greet(stream, &connector, &first).await.map_err(failed)?;
    let (host, certificate, life, uplink) = match reply {
        Reply::Joined {
            host,
            certificate,
            life,
            uplink,
        } => (host, certificate, life, uplink),
        Reply::Refused(why) => {
            let hint = "see --name, --zone, --underlay and --capacity, or make a new token";
            return Err(Failure::new(format!("the controller refuses: {why}"), hint).into());
        }
        Reply::Welcome | Reply::Removed => anyhow::bail!("the controller makes no sense"),
    };
    let authority = pinned
        .authority()
        .context("the controller did not show its authority")?;
    let identity = Identity::new(host, &key, certificate, life, authority, uplink);
    identity.save(state_dir)?;
    Ok(identity)
}

fn local(stream: &TcpStream) -> anyhow::Result<IpAddr> {
    let address = stream
        .local_addr()
        .context("the connection has no address")?;
    Ok(address.ip().to_canonical())
}

/// The machine's name, as far as it may be a host's.
fn machine() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().to_lowercase();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// This machine as a host.
struct Member {
    agent: Agent,
    controller: String,
    state_dir: std::path::PathBuf,
    identity: Identity,
    inbox: Inbox,
    /// The last position that packets met.
    acked: Option<Position>,
    /// The last drop that was told of.
    drops: u64,
    /// Whether the user was told that it is connected.
    greeted: bool,
}

/// Why a connection ended, other than by itself.
enum Ended {
    /// The region has removed this host.
    Removed,
    /// Something is to be said on a new one.
    Anew,
}

impl Member {
    /// Keeps connected, until the region has removed this host.
    async fn serve(&mut self) {
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            match self.connection().await {
                Ok(Ended::Removed) => return,
                Ok(Ended::Anew) => continue,
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!("{error:#}; packets go on by what is known");
                }
            }
            if began.elapsed() > MAX_PAUSE {
                pause = PAUSE;
            }
            tokio::time::sleep(self.spread(pause)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Between half of a pause and the whole: hosts that lost the same controller do not all come back at once.
    fn spread(&self, pause: Duration) -> Duration {
        let part = u32::try_from(self.identity.host.bits() % 1000).unwrap_or(0);
        pause / 2 + pause / 2000 * part
    }

    async fn connection(&mut self) -> Result<Ended, Error> {
        let identity = &self.identity;
        let connector =
            link::connector(&identity.authority, &identity.certificate, &identity.key()?)?;
        let stream = dial(&self.controller).await?;
        let hello = self.inbox.connect();
        let first = First::Connect {
            version: VERSION.to_owned(),
            hello,
        };
        let (stream, reply) = greet(stream, &connector, &first).await?;
        match reply {
            Reply::Welcome => {}
            Reply::Removed => return Ok(Ended::Removed),
            Reply::Refused(why) => {
                return Err(Error::Io {
                    doing: format!("the controller refuses: {why}"),
                    source: std::io::ErrorKind::ConnectionRefused.into(),
                });
            }
            Reply::Joined { .. } => return Err(Error::Closed),
        }
        tracing::info!(connection = hello.connection, "connected");
        let (reader, mut writer) = tokio::io::split(stream);
        let (heard, mut messages) = mpsc::channel(4);
        let (say, mut said) = mpsc::channel(64);
        // They end with this function.
        let mut helpers = JoinSet::new();
        helpers.spawn(listen(reader, heard));
        helpers.spawn(report(self.agent.clone(), say.clone()));
        let mut drops = tokio::time::interval(DROPS);
        let mut last_heard = Instant::now();
        let mut renewal: Option<Key> = None;
        let renew = tokio::time::sleep(self.identity.until_renewal());
        let mut renew = std::pin::pin!(renew);
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let message = message.ok_or(Error::Closed)?;
                    last_heard = Instant::now();
                    match message {
                        ToHost::Feed(down) => {
                            let taken = self.inbox.take(hello.connection, down);
                            match self.take(taken) {
                                Step::Settle(position) => {
                                    let (agent, say) = (self.agent.clone(), say.clone());
                                    helpers.spawn(async move {
                                        agent.settled(position.revision).await;
                                        // The connection may have ended.
                                        let _ = say.send(Said::Settled(position)).await;
                                    });
                                }
                                Step::Again => {
                                    if let Some(acked) = self.acked {
                                        send(&mut writer, Up::Ack(acked)).await?;
                                    }
                                }
                                Step::Anew => return Ok(Ended::Anew),
                            }
                        }
                        ToHost::Observe => {
                            let observed = self.observe();
                            send(&mut writer, Up::Observed(observed)).await?;
                        }
                        ToHost::Certificate { certificate, life } => {
                            if let Some(key) = renewal.take() {
                                self.identity.renew(&key, certificate, life);
                                if let Err(error) = self.identity.save(&self.state_dir) {
                                    tracing::error!("{error:#}");
                                }
                                tracing::info!("this host has a new certificate");
                                return Ok(Ended::Anew);
                            }
                        }
                        ToHost::Removed => return Ok(Ended::Removed),
                    }
                }
                item = said.recv() => {
                    match item {
                        Some(Said::Settled(position)) => {
                            self.settled(position);
                            send(&mut writer, Up::Ack(position)).await?;
                        }
                        Some(Said::Report(report)) => send(&mut writer, Up::Report(report)).await?,
                        None => return Err(Error::Closed),
                    }
                }
                _ = drops.tick() => {
                    if last_heard.elapsed() > SILENCE {
                        return Err(Error::Closed);
                    }
                    let (mut new, last) = self.agent.drops(self.drops);
                    // Of very many the latest are enough.
                    let surplus = new.len().saturating_sub(MAX_DROPS);
                    new.drain(..surplus);
                    self.drops = last;
                    if !new.is_empty() {
                        send(&mut writer, Up::Drops(new)).await?;
                    }
                }
                () = &mut renew, if renewal.is_none() => {
                    let key = Key::new()?;
                    let public_key = key.public();
                    renewal = Some(key);
                    write(&mut writer, &ToController::Renew { public_key }).await?;
                }
            }
            while helpers.try_join_next().is_some() {}
        }
    }

    /// Does what a message of the feed says.
    fn take(&mut self, taken: Taken) -> Step {
        match taken {
            Taken::Full(full) => {
                tracing::info!(revision = full.revision, "everything anew");
                self.agent.full(full);
            }
            Taken::Delta(delta) => {
                if let Err(gap) = self.agent.delta(delta) {
                    // It cannot be: the inbox has looked. Everything is asked for anew.
                    tracing::error!(%gap, "the agent is not where its feed is");
                    self.inbox = Inbox::default();
                    return Step::Anew;
                }
            }
            Taken::Known => return Step::Again,
            Taken::Gap => return Step::Anew,
        }
        self.inbox.position().map_or(Step::Anew, Step::Settle)
    }

    fn settled(&mut self, position: Position) {
        let older =
            |acked: Position| acked.epoch == position.epoch && acked.revision > position.revision;
        if !self.acked.is_some_and(older) {
            self.acked = Some(position);
        }
        if !std::mem::replace(&mut self.greeted, true) {
            output::tell("ready: packets flow (Ctrl-C stops)\n");
        }
    }

    fn observe(&self) -> Observed {
        let mut sessions = self.agent.sessions();
        sessions.truncate(MAX_SESSIONS);
        Observed {
            counters: self.agent.counters().into_iter().collect(),
            sessions,
        }
    }
}

/// What follows from a message of the feed.
enum Step {
    /// It is acknowledged once packets meet it.
    Settle(Position),
    /// What was acknowledged is acknowledged again.
    Again,
    /// A new connection is needed.
    Anew,
}

/// What is to be said to the controller.
enum Said {
    Settled(Position),
    Report(feed::Report),
}

async fn send(writer: &mut WriteHalf<Stream>, up: Up) -> Result<(), Error> {
    write(writer, &ToController::Feed(up)).await
}

async fn write(writer: &mut WriteHalf<Stream>, message: &ToController) -> Result<(), Error> {
    timeout(WRITING, link::write(writer, message))
        .await
        .unwrap_or(Err(Error::Closed))
}

/// Reads messages, one after the other: a message that is half read must not be dropped.
async fn listen(mut reader: ReadHalf<Stream>, heard: mpsc::Sender<ToHost>) {
    loop {
        match link::read(&mut reader, MAX_FULL).await {
            Ok(message) => {
                if heard.send(message).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the connection ended");
                return;
            }
        }
    }
}

/// Tells what becomes of instances, beginning with the latest of each.
async fn report(agent: Agent, say: mpsc::Sender<Said>) {
    let mut reports = agent.reports();
    while let Some(report) = reports.next().await {
        if say.send(Said::Report(report)).await.is_err() {
            return;
        }
    }
}
