//! The clients: HTTP/1.1 with keep-alive on one thread, which is waited for by epoll.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// Gives a client's next request, whole, from the body of the reply to the last one (at first an empty one).
pub(super) type Script<'s> = Box<dyn FnMut(&[u8], &mut Vec<u8>) + 's>;

/// What clients met.
pub(super) struct Met {
    /// Replies in a second.
    pub(super) rate: f64,
    /// How long a request took, in order.
    latencies: Vec<Duration>,
    /// Replies that were no success.
    pub(super) failures: usize,
    /// The first of them.
    pub(super) failure: Option<String>,
}

impl Met {
    /// The latency that so many of a thousand requests did not exceed.
    pub(super) fn latency(&self, thousandth: usize) -> Duration {
        let at = self.latencies.len().saturating_sub(1) * thousandth / 1000;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// A request as the AWS SDKs send it. The signature is of no key.
pub(super) fn request(out: &mut Vec<u8>, address: SocketAddr, account: &str, form: &str) {
    const SIGNATURE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    out.clear();
    // Writing into memory does not fail.
    let _ = write!(
        out,
        "POST / HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: identity\r\n\
         Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\
         User-Agent: Boto3/1.44.0 md/Botocore#1.44.0 ua/2.0 os/linux lang/python#3.11\r\n\
         X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential={account}/20260101/us-east-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date, \
         Signature={SIGNATURE}\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
}

/// A reply at the front of these bytes, if it is all there.
struct Reply {
    /// Where its body is.
    body: std::ops::Range<usize>,
    succeeded: bool,
    /// Whether the server keeps the connection.
    kept: bool,
}

fn reply(bytes: &[u8], ended: bool) -> Option<Reply> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(bytes.get(..head_end)?).ok()?;
    let field = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
    let end = match length {
        Some(length) => head_end + length,
        None if ended => bytes.len(),
        None => return None,
    };
    let closes = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    (bytes.len() >= end).then(|| Reply {
        body: head_end..end,
        succeeded: head.get(9..12) == Some("200"),
        kept: length.is_some() && !closes && head.starts_with("HTTP/1.1"),
    })
}

/// One connection that waits for each reply.
pub(super) struct Client {
    address: SocketAddr,
    stream: TcpStream,
    out: Vec<u8>,
    bytes: Vec<u8>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            address,
            stream,
            out: Vec::new(),
            bytes: Vec::new(),
        })
    }

    /// The body of the reply, which must be a success, and how long it took.
    pub(super) fn call(&mut self, account: &str, form: &str) -> anyhow::Result<(String, Duration)> {
        request(&mut self.out, self.address, account, form);
        let began = Instant::now();
        self.stream.write_all(&self.out)?;
        self.bytes.clear();
        let mut part = [0; 65536];
        loop {
            let length = self.stream.read(&mut part)?;
            self.bytes
                .extend_from_slice(part.get(..length).unwrap_or_default());
            if let Some(reply) = reply(&self.bytes, length == 0) {
                let took = began.elapsed();
                let body = self.bytes.get(reply.body).unwrap_or_default();
                let text = String::from_utf8_lossy(body).into_owned();
                if !reply.succeeded {
                    bail!("{form}: {text}");
                }
                if !reply.kept {
                    *self = Client::new(self.address)?;
                }
                return Ok((text, took));
            }
            if length == 0 {
                bail!("{form}: the connection ended");
            }
        }
    }
}

struct Connection<'s> {
    client: Client,
    script: Script<'s>,
    began: Instant,
}

/// Lets every script run on a connection of its own for so long, after a fifth of that time that does not count.
pub(super) fn drive(
    address: SocketAddr,
    scripts: Vec<Script<'_>>,
    time: Duration,
) -> anyhow::Result<Met> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let add = |stream: &TcpStream, n: usize| -> anyhow::Result<()> {
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(n as u64);
        epoll::add(&poll, stream, data, epoll::EventFlags::IN)?;
        Ok(())
    };
    let mut connections = Vec::new();
    for (n, mut script) in scripts.into_iter().enumerate() {
        let mut client = Client::new(address)?;
        script(&[], &mut client.out);
        add(&client.stream, n)?;
        client.stream.write_all(&client.out)?;
        connections.push(Connection {
            client,
            script,
            began: Instant::now(),
        });
    }
    let mut met = Met {
        rate: 0.0,
        latencies: Vec::new(),
        failures: 0,
        failure: None,
    };
    let from = Instant::now() + time / 5;
    let until = from + time;
    let mut part = vec![0; 65536];
    let mut events = Vec::with_capacity(connections.len());
    loop {
        let now = Instant::now();
        if now >= until {
            break;
        }
        let timeout = rustix::time::Timespec::try_from(until - now)?;
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), Some(&timeout))?;
        for event in &events {
            let n = usize::try_from(event.data.u64())?;
            let connection = connections.get_mut(n).context("an unknown connection")?;
            let client = &mut connection.client;
            let length = match client.stream.read(&mut part) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            client
                .bytes
                .extend_from_slice(part.get(..length).unwrap_or_default());
            let Some(reply) = reply(&client.bytes, length == 0) else {
                if length == 0 {
                    bail!("the server ended a connection");
                }
                continue;
            };
            let now = Instant::now();
            let body = client.bytes.get(reply.body).unwrap_or_default();
            if now >= from && now < until {
                met.latencies.push(now - connection.began);
                if !reply.succeeded {
                    met.failures += 1;
                    met.failure
                        .get_or_insert_with(|| String::from_utf8_lossy(body).into_owned());
                }
            }
            (connection.script)(body, &mut client.out);
            client.bytes.clear();
            if !reply.kept {
                client.stream = TcpStream::connect(address)?;
                client.stream.set_nodelay(true)?;
                add(&client.stream, n)?;
            }
            connection.began = Instant::now();
            client.stream.write_all(&client.out)?;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of replies")]
    let count = met.latencies.len() as f64;
    met.rate = count / time.as_secs_f64();
    met.latencies.sort_unstable();
    Ok(met)
}
