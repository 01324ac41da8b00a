//! The load, and what is measured under it.

use std::fs::File;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use rustix::thread::{
    CpuSet, LinkNameSpaceType, gettid, move_into_link_name_space, sched_setaffinity,
};

use super::systems::System;

/// How many ports, from the one that it is given, a run may use: as many tuples as a client that opens connections
/// for seconds needs to meet none twice.
pub(super) const PORTS_PER_RUN: u16 = 16;

/// One metric, or several that one run gives.
pub(super) struct Metric {
    pub(super) name: &'static str,
    /// What is added to the name for each figure.
    pub(super) parts: &'static [&'static str],
    pub(super) unit: &'static str,
    pub(super) run: fn(&System, u16, Duration) -> anyhow::Result<Vec<f64>>,
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "TCP, one stream",
        parts: &[""],
        unit: "Gbit/s",
        run: stream,
    },
    Metric {
        name: "TCP, one stream, no segmentation offload",
        parts: &[""],
        unit: "Gbit/s",
        run: stream_without_offload,
    },
    Metric {
        name: "UDP, 64 bytes, one flow",
        parts: &[""],
        unit: "packets/s",
        run: datagrams,
    },
    Metric {
        name: "request-response",
        parts: [" p50", " p99"].as_slice(),
        unit: "µs",
        run: request_response,
    },
    Metric {
        name: "connect-request-close",
        parts: &[""],
        unit: "1/s",
        run: connect_request_close,
    },
];

/// A thread in a namespace, on one processor, before everybody else.
fn within<T: Send + 'static>(
    namespace: &Path,
    processor: usize,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> JoinHandle<io::Result<T>> {
    let namespace = namespace.to_owned();
    thread::spawn(move || {
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&File::open(namespace)?),
            Some(LinkNameSpaceType::Network),
        )?;
        schedule("--fifo", 10)?;
        on(processor);
        work()
    })
}

/// Gives the calling thread a scheduling policy.
fn schedule(policy: &str, priority: u32) -> io::Result<()> {
    let thread = gettid().as_raw_nonzero().to_string();
    let done = Command::new("chrt")
        .args([policy, "--pid", &priority.to_string(), &thread])
        .status()?;
    if done.success() {
        Ok(())
    } else {
        Err(io::Error::other("`chrt` failed"))
    }
}

/// Keeps the calling thread on a processor. A machine with one measures on that one.
fn on(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    let _ = sched_setaffinity(None, &set);
}

/// Keeps every processor from halting, at the lowest priority: to wake a virtual processor takes longer than
/// what is measured.
struct Awake {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    fn new() -> Awake {
        let stop = Arc::new(AtomicBool::new(false));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..processors)
            .map(|processor| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    on(processor);
                    // Without the policy it would take the processor from those that it serves.
                    if schedule("--idle", 0).is_err() {
                        return;
                    }
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        Awake { stop, threads }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn join<T>(handle: JoinHandle<io::Result<T>>) -> anyhow::Result<T> {
    Ok(handle
        .join()
        .map_err(|_| io::Error::other("a measuring thread panicked"))??)
}

fn listen(system: &System, ports: std::ops::Range<u16>) -> anyhow::Result<Vec<TcpListener>> {
    join(within(&system.server, 0, move || {
        ports
            .map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
            .collect()
    }))
}

fn listen_one(system: &System, port: u16) -> anyhow::Result<TcpListener> {
    match listen(system, port..port + 1)?.pop() {
        Some(listener) => Ok(listener),
        None => bail!("no listener"),
    }
}

/// Gbit/s that arrive, sender and receiver on different processors.
fn stream(system: &System, port: u16, time: Duration) -> anyhow::Result<Vec<f64>> {
    let listener = listen_one(system, port)?;
    let address = SocketAddr::from((system.address, port));
    let receiver = within(&system.server, 1, move || {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; 1 << 18];
        let (mut bytes, started) = (0usize, Instant::now());
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                length => bytes += length,
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Ok(bytes as f64 * 8.0 / 1e9 / started.elapsed().as_secs_f64())
    });
    let sender = within(&system.client, 0, move || {
        let mut stream = TcpStream::connect(address)?;
        let (buffer, started) = (vec![0; 1 << 18], Instant::now());
        while started.elapsed() < time {
            stream.write_all(&buffer)?;
        }
        Ok(())
    });
    join(sender)?;
    Ok(vec![join(receiver)?])
}

/// As [`stream`], but the sender cuts: every packet on the way is of the MTU.
fn stream_without_offload(system: &System, port: u16, time: Duration) -> anyhow::Result<Vec<f64>> {
    offload(system, "off")?;
    let rate = stream(system, port, time);
    offload(system, "on")?;
    rate
}

fn offload(system: &System, state: &'static str) -> anyhow::Result<()> {
    join(within(&system.client, 0, move || {
        let done = Command::new("ethtool")
            .args(["-K", "eth0", "tso", state, "gso", state])
            .output()?;
        if done.status.success() {
            Ok(())
        } else {
            Err(io::Error::other("`ethtool` failed"))
        }
    }))
}

/// Packets per second that arrive of as many as one processor sends.
fn datagrams(system: &System, port: u16, time: Duration) -> anyhow::Result<Vec<f64>> {
    const BATCH: usize = 64;
    const BUFFER: usize = 16 << 20;
    let socket = join(within(&system.server, 0, move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        Ok(socket)
    }))?;
    let address = SocketAddr::from((system.address, port));
    let receiver = within(&system.server, 1, move || {
        let mut buffer = [0; 2048];
        let (mut packets, mut first, mut last) = (0u32, None, (Instant::now(), 0));
        // A sender that does not come is an error; one that ends is the end.
        let wait = Instant::now() + Duration::from_secs(5);
        loop {
            match socket.recv(&mut buffer) {
                Ok(_) => {
                    packets += 1;
                    // The clock costs something too. The packet that goes ahead is not in the time.
                    if packets.is_multiple_of(64) {
                        last = (Instant::now(), packets);
                        first.get_or_insert(last);
                    }
                }
                Err(_) if first.is_some() || Instant::now() > wait => break,
                Err(_) => {}
            }
        }
        let (begin, before) = first.ok_or_else(|| io::Error::other("no packets arrived"))?;
        let (end, all) = last;
        Ok(f64::from(all - before) / end.duration_since(begin).as_secs_f64())
    });
    let sender = within(&system.client, 0, move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(address)?;
        // The flow's way is known before it is measured.
        socket.send(&[0; 64])?;
        thread::sleep(Duration::from_millis(100));
        let payload = [0; 64];
        let parts = [IoSlice::new(&payload)];
        let started = Instant::now();
        while started.elapsed() < time {
            let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
                (0..BATCH).map(|_| SendAncillaryBuffer::default()).collect();
            let mut messages: Vec<MMsgHdr<'_>> = controls
                .iter_mut()
                .map(|control| MMsgHdr::new(&parts, control))
                .collect();
            for _ in 0..16 {
                sendmmsg(&socket, &mut messages, SendFlags::empty())?;
            }
        }
        Ok(())
    });
    join(sender)?;
    Ok(vec![join(receiver)?])
}

/// Round trip of one byte each way on one connection, both ends on one processor: p50 and p99 in µs.
fn request_response(system: &System, port: u16, time: Duration) -> anyhow::Result<Vec<f64>> {
    let listener = listen_one(system, port)?;
    let address = SocketAddr::from((system.address, port));
    let awake = Awake::new();
    let server = within(&system.server, 0, move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut byte = [0];
        while stream.read(&mut byte)? == 1 {
            stream.write_all(&byte)?;
        }
        Ok(())
    });
    let client = within(&system.client, 0, move || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (mut byte, mut times, started) = ([0], Vec::new(), Instant::now());
        while started.elapsed() < time {
            let sent = Instant::now();
            stream.write_all(&byte)?;
            stream.read_exact(&mut byte)?;
            times.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    });
    let mut times = join(client)?;
    join(server)?;
    drop(awake);
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let value = times.get(times.len() * percent / 100);
        value.copied().unwrap_or(f64::NAN)
    };
    Ok(vec![at(50), at(99)])
}

/// Connections per second, one at a time, with a byte each way; both ends on one processor.
fn connect_request_close(system: &System, port: u16, time: Duration) -> anyhow::Result<Vec<f64>> {
    let ports = port..port + PORTS_PER_RUN;
    let listeners = listen(system, ports.clone())?;
    let to = system.address;
    let awake = Awake::new();
    let server = within(&system.server, 0, move || {
        let mut byte = [0];
        // The client takes the ports in the same order.
        for listener in listeners.iter().cycle() {
            let (mut stream, _) = listener.accept()?;
            if stream.read(&mut byte)? == 0 {
                break;
            }
            stream.write_all(&byte)?;
        }
        Ok(())
    });
    let client = within(&system.client, 0, move || {
        let (mut byte, mut count, started) = ([0], 0u32, Instant::now());
        let mut next = ports.cycle();
        let mut connect = || {
            let port = next.next().unwrap_or_default();
            TcpStream::connect((to, port))
        };
        while started.elapsed() < time {
            let mut stream = connect()?;
            stream.write_all(&byte)?;
            stream.read_exact(&mut byte)?;
            count += 1;
        }
        let rate = f64::from(count) / started.elapsed().as_secs_f64();
        // A connection without a request ends the server.
        drop(connect()?);
        Ok(rate)
    });
    let rate = join(client)?;
    join(server)?;
    drop(awake);
    Ok(vec![rate])
}
