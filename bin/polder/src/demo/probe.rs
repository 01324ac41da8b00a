//! Real packets: servers that say who they are, and clients that say what they saw.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
use types::InstanceId;

/// How long a probe waits at the most. A delivered packet takes microseconds; a dropped one is seen as a record.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a waiting probe looks whether its packet was dropped.
const GLANCE: Duration = Duration::from_millis(20);

/// From where a packet is sent or where a server listens.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The user's own machine.
    Host,
    /// Inside an instance.
    Instance(InstanceId),
}

impl Place {
    /// Runs `work` in this place, on a thread of its own.
    pub(super) fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> JoinHandle<io::Result<T>> {
        thread::spawn(move || {
            if let Place::Instance(id) = self {
                agent::enter(id)?;
            }
            work()
        })
    }
}

/// A packet to send.
#[derive(Clone, Copy)]
pub(super) enum Probe {
    Tcp(SocketAddrV4),
    Udp(SocketAddrV4),
    Ping(Ipv4Addr),
    /// UDP with a source address that is not the sender's.
    Forged(SocketAddrV4, Ipv4Addr),
}

/// Servers that run until this is dropped.
pub(super) struct Servers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Servers {
    pub(super) fn new() -> Servers {
        Servers {
            stop: Arc::default(),
            threads: Vec::new(),
        }
    }

    /// Greets everybody who connects with `name` and the address they come from.
    pub(super) fn tcp(
        &mut self,
        place: Place,
        address: SocketAddrV4,
        name: &'static str,
    ) -> io::Result<()> {
        let listener = join(place.run(move || TcpListener::bind(address)))?;
        listener.set_nonblocking(true)?;
        let stop = Arc::clone(&self.stop);
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, peer)) => {
                        // A client that went away again is not the server's fault.
                        let _ = greet(&mut stream, name, peer);
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::sleep(GLANCE),
                    Err(e) => return Err(e),
                }
            }
            Ok(())
        }));
        Ok(())
    }

    /// Answers every datagram with `name` and the address it came from.
    pub(super) fn udp(
        &mut self,
        place: Place,
        address: SocketAddrV4,
        name: &'static str,
    ) -> io::Result<()> {
        let socket = join(place.run(move || UdpSocket::bind(address)))?;
        socket.set_read_timeout(Some(GLANCE))?;
        let stop = Arc::clone(&self.stop);
        self.threads.push(thread::spawn(move || {
            let mut buffer = [0; 64];
            while !stop.load(Ordering::Relaxed) {
                match socket.recv_from(&mut buffer) {
                    Ok((_, peer)) => drop(
                        socket
                            .send_to(format!("{name}, you are {}", peer.ip()).as_bytes(), peer)?,
                    ),
                    Err(e)
                        if matches!(
                            e.kind(),
                            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                        ) => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(())
        }));
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Reads what the client says, so that closing does not reset the connection, and greets it.
fn greet(stream: &mut TcpStream, name: &str, peer: SocketAddr) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let _ = stream.read(&mut [0; 256])?;
    write!(stream, "{name}, you are {}", peer.ip())
}

/// Sends a probe. `dropped` is asked from time to time whether the packet was seen to be dropped.
/// `Ok(Some(answer))` if it was answered, `Ok(None)` if it was not.
pub(super) fn send(
    place: Place,
    probe: Probe,
    mut dropped: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Option<String>> {
    let deadline = Instant::now() + PATIENCE;
    let attempt = place.run(move || match probe {
        Probe::Tcp(to) => tcp(to),
        Probe::Udp(to) => udp(to),
        Probe::Ping(to) => ping(to),
        Probe::Forged(to, from) => forge(to, from).map(|()| None),
    });
    loop {
        if attempt.is_finished() {
            if let Some(answer) = join(attempt)? {
                return Ok(Some(answer));
            }
            // Not answered: the record of the drop may be a moment behind.
            while !dropped()? && Instant::now() < deadline {
                thread::sleep(GLANCE);
            }
            return Ok(None);
        }
        if dropped()? {
            return Ok(None);
        }
        thread::sleep(GLANCE);
    }
}

fn join<T>(handle: JoinHandle<io::Result<T>>) -> io::Result<T> {
    handle
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("a probe panicked")))
}

/// Waiting in vain is an answer too.
fn in_vain(error: io::Error) -> io::Result<Option<String>> {
    use io::ErrorKind::{
        ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut, WouldBlock,
    };
    let vain = [
        TimedOut,
        WouldBlock,
        ConnectionRefused,
        HostUnreachable,
        NetworkUnreachable,
    ];
    if vain.contains(&error.kind()) {
        Ok(None)
    } else {
        Err(error)
    }
}

fn tcp(to: SocketAddrV4) -> io::Result<Option<String>> {
    let attempt = || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::V4(to), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer)?;
        // Of a web server's answer, the body.
        Ok(Some(
            answer
                .rsplit("\r\n")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        ))
    };
    attempt().or_else(in_vain)
}

fn udp(to: SocketAddrV4) -> io::Result<Option<String>> {
    let attempt = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(to)?;
        socket.send(b"who is there?")?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer)?;
        Ok(Some(
            String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned(),
        ))
    };
    attempt().or_else(in_vain)
}

fn raw(protocol: rustix::net::Protocol) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(protocol),
    )?)
}

/// The Internet checksum, RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap_or(u16::MAX)).to_be_bytes()
}

/// An ICMP echo (RFC 792).
fn ping(to: Ipv4Addr) -> io::Result<Option<String>> {
    let socket = raw(ipproto::ICMP)?;
    rustix::net::sockopt::set_socket_timeout(
        &socket,
        rustix::net::sockopt::Timeout::Recv,
        Some(PATIENCE),
    )?;
    let identifier = u16::try_from(std::process::id() & 0xffff)
        .unwrap_or(1)
        .to_be_bytes();
    let mut request = [8, 0, 0, 0, identifier[0], identifier[1], 0, 1];
    let sum = checksum(&request);
    request[2..4].copy_from_slice(&sum);
    rustix::net::sendto(
        &socket,
        &request,
        SendFlags::empty(),
        &SocketAddrV4::new(to, 0),
    )?;
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0u8; 128];
    while Instant::now() < deadline {
        let length = match rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(e) => return in_vain(e.into()),
        };
        // A raw socket gives the IP header too, 20 bytes of it, and every ICMP message of the place.
        if length >= 28 && buffer[20] == 0 && buffer[24..26] == identifier {
            return Ok(Some("echo reply".to_owned()));
        }
    }
    Ok(None)
}

/// One UDP datagram whose IPv4 header lies about where it comes from.
fn forge(to: SocketAddrV4, from: Ipv4Addr) -> io::Result<()> {
    let socket = raw(ipproto::RAW)?;
    let payload = b"not from where you think";
    let mut packet = vec![0u8; 28];
    packet.extend_from_slice(payload);
    let udp_length = u16::try_from(8 + payload.len()).unwrap_or(8);
    packet[0] = 0x45;
    packet[8] = 64;
    packet[9] = types::proto::UDP;
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.ip().octets());
    packet[20..22].copy_from_slice(&40_000u16.to_be_bytes());
    packet[22..24].copy_from_slice(&to.port().to_be_bytes());
    packet[24..26].copy_from_slice(&udp_length.to_be_bytes());
    rustix::net::sendto(
        &socket,
        &packet,
        SendFlags::empty(),
        &SocketAddrV4::new(*to.ip(), 0),
    )?;
    Ok(())
}
