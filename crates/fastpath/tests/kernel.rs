//! Real packets between namespaces through the real program. Needs root.
#![expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says loudly what it skips"
)]

mod harness;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastpath::abi::{
    self, ACTION_DELIVER, Action, FlowKey, Output, Port, REWRITE_DESTINATION, REWRITE_SOURCE,
    Session, UPCALL_ARP, UPCALL_NO_SESSION, UPCALL_SLOW_ONLY, UpcallHeader, encode_output,
};
use fastpath::{Config, Fastpath, Tap, VnetHeader};
use fastpath_core::{ChecksumState, Parsed, SliceFrame, execute, parse_frame};
use harness::{Namespace, ifindex, ip, is_root};
use types::{DropReason, FlowTuple, Mac};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
/// What B is called by A, and A by B, where addresses are translated.
const B_PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
const A_PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 4);
const A_MAC: Mac = Mac([2, 0, 0, 0, 0, 4]);
const B_MAC: Mac = Mac([2, 0, 0, 0, 0, 5]);

/// Two guests on a host of their own.
struct World {
    host: Namespace,
    a: Namespace,
    b: Namespace,
}

impl World {
    /// Makes the namespaces and moves the calling thread into the host's.
    fn new() -> World {
        let world = World {
            host: Namespace::new("host"),
            a: Namespace::new("a"),
            b: Namespace::new("b"),
        };
        world.host.enter();
        for (port, mac, address, guest) in
            [("pda", A_MAC, A, &world.a), ("pdb", B_MAC, B, &world.b)]
        {
            let router = Mac::ROUTER;
            ip(&format!(
                "link add {port} address {router} type veth peer name eth0 address {mac} netns {}",
                guest.name
            ));
            ip(&format!("link set {port} up"));
            guest.ip("link set eth0 up");
            guest.ip(&format!("addr add {address}/32 dev eth0"));
            guest.ip("route add default dev eth0 scope link");
            for neighbour in [A, B, A_PUBLIC, B_PUBLIC] {
                guest.ip(&format!(
                    "neigh add {neighbour} lladdr {router} dev eth0 nud permanent"
                ));
            }
        }
        world
    }
}

/// What an agent does, without any policy: whoever is addressed gets the packet.
struct Agent {
    fastpath: Fastpath,
    tap: Tap,
    ports: BTreeMap<Ipv4Addr, (u32, Mac)>,
    install: bool,
    sessions: u64,
    largest: usize,
}

fn translated(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(B_PUBLIC) => IpAddr::V4(B),
        IpAddr::V4(A_PUBLIC) => IpAddr::V4(A),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

fn public(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(B) => IpAddr::V4(B_PUBLIC),
        IpAddr::V4(A) => IpAddr::V4(A_PUBLIC),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

impl Agent {
    fn new(pin_dir: Option<std::path::PathBuf>) -> Agent {
        let tap = Tap::open("pdslow").expect("a TAP");
        ip("link set pdslow addrgenmode none");
        ip("link set pdslow up");
        let mut fastpath = Fastpath::open(Config {
            pin_dir,
            max_flows: 1024,
            slow_ifindex: 0,
        })
        .expect("the kernel takes the program");
        fastpath
            .attach_slow(tap.ifindex().expect("index"))
            .expect("attached");
        let mut ports = BTreeMap::new();
        for (name, address, mac) in [("pda", A, A_MAC), ("pdb", B, B_MAC)] {
            let port = ifindex(name);
            fastpath
                .attach_port(port, Port::guest(mac, 10_000, 1_000))
                .expect("attached");
            ports.insert(address, (port, mac));
        }
        Agent {
            fastpath,
            tap,
            ports,
            install: true,
            sessions: 0,
            largest: 0,
        }
    }

    /// The session of a packet that arrives at a port; `None` if nobody has the address.
    fn session(&self, port: u32, tuple: &FlowTuple) -> Option<Session> {
        let IpAddr::V4(destination) = translated(tuple.destination) else {
            return None;
        };
        let (output, mac) = *self.ports.get(&destination)?;
        let back_mac = self.ports.values().find(|(p, _)| *p == port)?.1;
        let nat = translated(tuple.destination) != tuple.destination;
        let inner = FlowTuple {
            source: if nat {
                public(tuple.source)
            } else {
                tuple.source
            },
            destination: IpAddr::V4(destination),
            ..*tuple
        };
        let action = |output, mac: Mac, to: FlowTuple| Action {
            kind: ACTION_DELIVER,
            flags: if nat {
                REWRITE_SOURCE | REWRITE_DESTINATION
            } else {
                0
            },
            output,
            destination_mac: mac.0,
            source_mac: Mac::ROUTER.0,
            source: abi::address_bytes(to.source),
            destination: abi::address_bytes(to.destination),
            source_port: to.source_port.to_be_bytes(),
            destination_port: to.destination_port.to_be_bytes(),
            ..Action::default()
        };
        Some(Session {
            key: [
                FlowKey::new(port, tuple),
                FlowKey::new(output, &inner.reversed()),
            ],
            action: [
                action(output, mac, inner),
                action(port, back_mac, tuple.reversed()),
            ],
            ..Session::default()
        })
    }

    /// Takes one upcall, if there is one within the timeout.
    fn step(&mut self, timeout_ms: i64) {
        let Some((header, upcall, mut frame)) = self.receive(timeout_ms) else {
            return;
        };
        if upcall.reason != UPCALL_NO_SESSION {
            return;
        }
        let Ok(Parsed::Ip(packet)) = parse_frame(&frame) else {
            panic!("the kernel sent up what cannot be parsed: {frame:02x?}");
        };
        let key = packet.key(upcall.interface_index());
        let Some(session) = self.session(upcall.interface_index(), &key.tuple()) else {
            return;
        };
        if self.install {
            self.sessions += 1;
            self.fastpath
                .install(self.sessions, &session)
                .expect("room");
        }
        let state = if header.needs_checksum {
            ChecksumState::Partial
        } else {
            ChecksumState::Complete
        };
        execute(
            &mut SliceFrame::new(&mut frame, state),
            &packet,
            &session.action[0],
        )
        .expect("whole");
        let output = Output::Deliver(session.action[0].output);
        frame[6..12].copy_from_slice(&encode_output(output).expect("small"));
        self.tap.write(header, &frame).expect("taken");
    }

    fn receive(&mut self, timeout_ms: i64) -> Option<(VnetHeader, UpcallHeader, Vec<u8>)> {
        let timeout = rustix::time::Timespec {
            tv_sec: timeout_ms / 1000,
            tv_nsec: timeout_ms % 1000 * 1_000_000,
        };
        let mut poll = [rustix::event::PollFd::new(
            &self.tap,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut poll, Some(&timeout)).expect("poll");
        let mut buffer = vec![0; 70_000];
        let len = self.tap.read(&mut buffer).ok()?;
        let (header, rest) = VnetHeader::split(&buffer[..len])?;
        let (upcall, frame) = UpcallHeader::split(rest)?;
        self.largest = self.largest.max(frame.len());
        Some((header.advanced(16)?, upcall, frame.to_vec()))
    }

    /// Runs on a thread of the host until told to stop.
    fn run(mut self, world: &World) -> (JoinHandle<Agent>, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = world.host.run(move || {
            while !stopped.load(Ordering::Relaxed) {
                self.step(10);
            }
            self
        });
        (thread, stop)
    }
}

const BULK: usize = 8 << 20;

fn pattern() -> Vec<u8> {
    (0..BULK).map(|n| (n * 31).to_le_bytes()[1]).collect()
}

/// B serves one connection: reads everything, then sends it back.
fn echo_server(world: &World) -> JoinHandle<SocketAddr> {
    let (ready, wait) = std::sync::mpsc::channel();
    let server = world.b.run(move || {
        let listener = TcpListener::bind((B, 80)).expect("free");
        ready.send(()).expect("heard");
        let (mut stream, peer) = listener.accept().expect("a client");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("read");
        stream.write_all(&all).expect("written");
        peer
    });
    wait.recv().expect("the server is up");
    server
}

fn bulk_through(world: &World, to: Ipv4Addr) {
    let client = world.a.run(move || {
        let mut stream =
            TcpStream::connect_timeout(&SocketAddr::from((to, 80)), Duration::from_secs(5))
                .expect("connected");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("set");
        let sent = pattern();
        stream.write_all(&sent).expect("sent");
        stream.shutdown(Shutdown::Write).expect("shut");
        let mut back = Vec::new();
        stream.read_to_end(&mut back).expect("echoed");
        assert!(back == sent, "{} bytes came back", back.len());
    });
    client.join().expect("the client is content");
}

#[test]
fn tcp_through_sessions_plain_and_translated() {
    if !is_root() {
        return;
    }
    for (to, seen) in [(B, A), (B_PUBLIC, A_PUBLIC)] {
        let world = World::new();
        let (agent, stop) = Agent::new(None).run(&world);
        let server = echo_server(&world);
        bulk_through(&world, to);
        assert_eq!(server.join().expect("server").ip(), IpAddr::V4(seen));
        stop.store(true, Ordering::Relaxed);
        let agent = agent.join().expect("agent");
        let sessions = agent.fastpath.sessions().expect("listed");
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        let session = sessions[&1];
        for direction in 0..2 {
            assert!(session.bytes[direction] > BULK as u64, "{session:?}");
            assert!(session.packets[direction] > (BULK / 65_536) as u64);
            let flags = session.tcp_flags_seen(direction);
            assert_eq!(flags & abi::TCP_FIN, abi::TCP_FIN);
            assert_eq!(flags & abi::TCP_RST, 0);
        }
        assert!(session.last_seen_ns > 0);
        let a = agent
            .fastpath
            .counters(agent.ports[&A].0)
            .expect("read")
            .expect("a port");
        assert!(
            a.rx_bytes > BULK as u64 && a.tx_bytes > BULK as u64,
            "{a:?}"
        );
        assert!((1..20).contains(&a.upcalls), "{a:?}");
    }
}

#[test]
fn tcp_through_the_slow_path_alone() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let mut agent = Agent::new(None);
    agent.install = false;
    for port in agent.ports.values() {
        agent
            .fastpath
            .attach_port(port.0, Port::guest(port.1, 1_000_000, 100_000))
            .expect("again");
    }
    let (agent, stop) = agent.run(&world);
    let server = echo_server(&world);
    bulk_through(&world, B_PUBLIC);
    server.join().expect("server");
    stop.store(true, Ordering::Relaxed);
    let agent = agent.join().expect("agent");
    assert!(
        agent.largest > 10_000,
        "GSO packets come up whole: {}",
        agent.largest
    );
    assert!(agent.fastpath.sessions().expect("listed").is_empty());
}

#[test]
fn udp_and_ping_are_translated() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let (agent, stop) = Agent::new(None).run(&world);
    let (ready, wait) = std::sync::mpsc::channel();
    let server = world.b.run(move || {
        let socket = UdpSocket::bind((B, 53)).expect("free");
        ready.send(()).expect("heard");
        let mut buffer = [0; 2000];
        for _ in 0..3 {
            let (len, peer) = socket.recv_from(&mut buffer).expect("received");
            assert_eq!(peer.ip(), IpAddr::V4(A_PUBLIC));
            socket.send_to(&buffer[..len], peer).expect("sent");
        }
    });
    wait.recv().expect("up");
    let client = world.a.run(move || {
        let socket = UdpSocket::bind((A, 0)).expect("free");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("set");
        let mut buffer = [0; 2000];
        for len in [0, 1, 1400] {
            socket.send_to(&vec![7; len], (B_PUBLIC, 53)).expect("sent");
            let (back, peer) = socket.recv_from(&mut buffer).expect("echoed");
            assert_eq!((back, peer), (len, SocketAddr::from((B_PUBLIC, 53))));
        }
    });
    client.join().expect("client");
    server.join().expect("server");
    let ping = Command::new("ip")
        .args([
            "netns",
            "exec",
            &world.a.name,
            "ping",
            "-n",
            "-c",
            "3",
            "-i",
            "0.1",
            "-W",
            "3",
        ])
        .arg(B_PUBLIC.to_string())
        .output();
    stop.store(true, Ordering::Relaxed);
    let agent = agent.join().expect("agent");
    match ping {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains(" 0% packet loss"), "{text}");
            let sessions = agent.fastpath.sessions().expect("listed");
            assert_eq!(sessions[&2].packets, [2, 3], "{sessions:?}");
        }
        Err(error) => eprintln!("SKIPPED the ping part: no `ping`: {error}"),
    }
}

/// A guest that is a TAP: what the test writes is what the guest sends.
struct RawGuest {
    tap: Tap,
    port: u32,
}

impl RawGuest {
    fn new(fastpath: &mut Fastpath, name: &str, port: Port) -> RawGuest {
        let tap = Tap::open(name).expect("a TAP");
        ip(&format!("link set {name} addrgenmode none"));
        ip(&format!("link set {name} up"));
        let index = tap.ifindex().expect("index");
        fastpath.attach_port(index, port).expect("attached");
        RawGuest { tap, port: index }
    }

    fn send(&self, frame: &[u8]) {
        self.tap
            .write(VnetHeader::default(), frame)
            .expect("the kernel takes any frame");
    }
}

/// An Ethernet frame.
fn frame(destination: Mac, source: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [destination.0, source.0].concat();
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An IPv4 packet with a UDP datagram of four bytes.
fn udp(source: Ipv4Addr, destination: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend([0x30, 0x39]);
    packet.extend(port.to_be_bytes());
    packet.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    packet
}

#[test]
fn bad_frames_are_counted_and_others_come_up() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let mut agent = Agent::new(None);
    let guest = RawGuest::new(&mut agent.fastpath, "pdraw", Port::guest(A_MAC, 1, 6));
    let router = Mac::ROUTER;
    let good = udp(A, B, 9);
    let patched = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        packet
    };
    for (reason, bad) in [
        (DropReason::SpoofedMac, frame(router, B_MAC, 0x0800, &good)),
        (
            DropReason::MalformedFrame,
            frame(router, A_MAC, 0x0800, &good[..27]),
        ),
        (
            DropReason::MalformedFrame,
            frame(router, A_MAC, 0x0800, &patched(3, 33)),
        ),
        (
            DropReason::MalformedFrame,
            frame(router, A_MAC, 0x0800, &[]),
        ),
        (
            DropReason::MalformedFrame,
            frame(router, A_MAC, 0x0806, &[0; 27]),
        ),
        (
            DropReason::IpOptions,
            frame(router, A_MAC, 0x0800, &patched(0, 0x46)),
        ),
        (
            DropReason::Fragment,
            frame(router, A_MAC, 0x0800, &patched(6, 0x20)),
        ),
        (
            DropReason::UnsupportedEtherType,
            frame(router, A_MAC, 0x88cc, &good),
        ),
        (DropReason::UnsupportedEtherType, {
            let mut tagged = vec![0, 7, 8, 0];
            tagged.extend(&good);
            frame(router, A_MAC, 0x8100, &tagged)
        }),
        (DropReason::ForeignMac, frame(B_MAC, A_MAC, 0x0800, &good)),
        (
            DropReason::BroadcastOrMulticast,
            frame(Mac::BROADCAST, A_MAC, 0x0800, &good),
        ),
    ] {
        let count = |agent: &Agent| {
            let drops = agent.fastpath.drops().expect("read");
            (
                drops.get(&(guest.port, reason)).copied().unwrap_or(0),
                drops
                    .iter()
                    .filter(|((port, _), _)| *port == guest.port)
                    .map(|(_, n)| n)
                    .sum::<u64>(),
            )
        };
        let before = count(&agent);
        guest.send(&bad);
        let after = count(&agent);
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{reason}: {bad:02x?}");
    }
    assert!(agent.receive(0).is_none(), "nothing bad comes up");

    let mut arp = vec![0; 28];
    arp[7] = 1;
    for (reason, sent) in [
        (UPCALL_NO_SESSION, frame(router, A_MAC, 0x0800, &good)),
        (UPCALL_ARP, frame(Mac::BROADCAST, A_MAC, 0x0806, &arp)),
        (
            UPCALL_SLOW_ONLY,
            frame(
                Mac::BROADCAST,
                A_MAC,
                0x0800,
                &udp(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, 67),
            ),
        ),
    ] {
        guest.send(&sent);
        let (_, upcall, up) = agent.receive(1000).expect("an upcall");
        assert_eq!(
            (upcall.reason, upcall.interface_index()),
            (reason, guest.port)
        );
        assert_eq!(up, sent);
    }
    // The burst of six has three left; then the rate holds the rest back.
    for _ in 0..50 {
        guest.send(&frame(router, A_MAC, 0x0800, &good));
    }
    let drops = agent.fastpath.drops().expect("read");
    assert_eq!(drops[&(guest.port, DropReason::UpcallRate)], 47);
    let counters = agent
        .fastpath
        .counters(guest.port)
        .expect("read")
        .expect("a port");
    assert_eq!((counters.upcalls, counters.rx_packets), (6, 11 + 3 + 50));

    // What is in no port's name does not leave the slow path either.
    let slow = agent.tap.ifindex().expect("index");
    let drops_of_slow = |agent: &Agent| -> u64 {
        let drops = agent.fastpath.drops().expect("read");
        drops
            .iter()
            .filter(|((port, _), _)| *port == slow)
            .map(|(_, n)| n)
            .sum()
    };
    let stray = encode_output(Output::Deliver(0x00ff_fff0)).expect("fits");
    for source in [A_MAC, Mac::ROUTER, Mac(stray)] {
        let before = drops_of_slow(&agent);
        agent
            .tap
            .write(VnetHeader::default(), &frame(B_MAC, source, 0x0800, &good))
            .expect("taken");
        assert_eq!(drops_of_slow(&agent), before + 1, "{source}");
    }

    // A port that is none any more forwards nothing, and forgets.
    agent.fastpath.detach_port(guest.port).expect("detached");
    assert_eq!(agent.fastpath.counters(guest.port).expect("read"), None);
    assert!(
        agent
            .fastpath
            .drops()
            .expect("read")
            .keys()
            .all(|(port, _)| *port != guest.port)
    );
    drop(world);
}

#[test]
fn a_dropping_session_drops_and_a_removed_one_comes_up() {
    if !is_root() {
        return;
    }
    let _world = World::new();
    let mut agent = Agent::new(None);
    let guest = RawGuest::new(&mut agent.fastpath, "pdraw", Port::guest(A_MAC, 1000, 100));
    let sent = frame(Mac::ROUTER, A_MAC, 0x0800, &udp(A, B, 9));
    let Ok(Parsed::Ip(packet)) = parse_frame(&sent) else {
        panic!("a good frame");
    };
    let session = Session {
        key: [packet.key(guest.port), FlowKey::default()],
        action: [Action::drop(DropReason::SecurityGroupEgress); 2],
        ..Session::default()
    };
    agent.fastpath.install(7, &session).expect("room");
    guest.send(&sent);
    let reason = (guest.port, DropReason::SecurityGroupEgress);
    assert_eq!(agent.fastpath.drops().expect("read")[&reason], 1);
    assert_eq!(
        agent.fastpath.flow(&session.key[0]).expect("read"),
        Some((7, 0))
    );
    assert!(
        agent
            .fastpath
            .replace_actions(7, session.action, 5)
            .expect("there")
    );
    let last = agent
        .fastpath
        .remove(7)
        .expect("removed")
        .expect("was there");
    assert_eq!((last.packets, last.bytes, last.mark), ([1, 0], [32, 0], 5));
    assert_eq!(agent.fastpath.flow(&session.key[0]).expect("read"), None);
    assert_eq!(agent.fastpath.remove(7).expect("no error"), None);
    guest.send(&sent);
    assert!(agent.receive(1000).is_some());
}

#[test]
fn the_table_is_bounded() {
    if !is_root() {
        return;
    }
    let _host = World::new();
    let mut fastpath = Fastpath::open(Config {
        pin_dir: None,
        max_flows: 16,
        slow_ifindex: 0,
    })
    .expect("loaded");
    let session = |n: u16| {
        let key = |port| FlowKey {
            port,
            source_port: n.to_be_bytes(),
            ..FlowKey::default()
        };
        Session {
            key: [key(1), key(2)],
            ..Session::default()
        }
    };
    let mut installed = 0;
    for n in 0..100 {
        match fastpath.install(u64::from(n), &session(n)) {
            Ok(()) => installed += 1,
            Err(fastpath::Error::Full(_)) => {
                assert_eq!(fastpath.session(u64::from(n)).expect("read"), None);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(installed, 8);
    // Keys move to the newer session, and removing the older leaves them there.
    let Session { key, .. } = session(0);
    fastpath.remove(1).expect("removed");
    fastpath.install(200, &session(0)).expect("room for one");
    fastpath.remove(0).expect("removed");
    assert_eq!(fastpath.flow(&key[1]).expect("read"), Some((200, 1)));
}

#[test]
fn pinned_programs_outlive_the_loader_and_are_adopted() {
    if !is_root() {
        return;
    }
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let pin_dir = std::path::PathBuf::from(format!(
        "/sys/fs/bpf/polder-test-{}-{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    ));
    let world = World::new();
    let mut agent = Agent::new(Some(pin_dir.clone()));
    assert!(!agent.fastpath.adopted());
    let attached = agent.fastpath.attached().expect("listed");
    assert_eq!(attached.len(), 3);
    let (thread, stop) = {
        agent.install = true;
        agent.run(&world)
    };
    let server = world.b.run(|| {
        let listener = TcpListener::bind((B, 80)).expect("free");
        let (mut stream, _) = listener.accept().expect("a client");
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).expect("written");
        }
    });
    let asked = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&asked);
    let client = world.a.run(move || {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut stream = loop {
            match TcpStream::connect_timeout(&SocketAddr::from((B, 80)), Duration::from_secs(1)) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("set");
        stream.set_nodelay(true).expect("set");
        let mut rounds = 0;
        let mut byte = [0];
        while !done.load(Ordering::Relaxed) {
            stream.write_all(&[1]).expect("sent");
            stream.read_exact(&mut byte).expect("answered");
            rounds += 1;
        }
        rounds
    });
    std::thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    // The process goes, with its descriptors; only the TAP has to stay for this test's own bookkeeping.
    let Agent { fastpath, tap, .. } = thread.join().expect("agent");
    let before = fastpath.sessions().expect("listed");
    drop(fastpath);
    std::thread::sleep(Duration::from_millis(100));

    let mut fastpath = Fastpath::open(Config {
        pin_dir: Some(pin_dir.clone()),
        max_flows: 1024,
        slow_ifindex: tap.ifindex().expect("index"),
    })
    .expect("opened again");
    assert!(fastpath.adopted());
    assert_eq!(fastpath.attached().expect("listed"), attached);
    let ports = fastpath.ports().expect("listed");
    assert_eq!(ports.len(), 2);
    for (index, port) in ports {
        fastpath.attach_port(index, port).expect("replaced");
    }
    std::thread::sleep(Duration::from_millis(100));
    let after = fastpath.sessions().expect("listed");
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    let id = *before.keys().next_back().expect("a session");
    assert!(
        after[&id].packets[0] > before[&id].packets[0],
        "it went on meanwhile"
    );
    asked.store(true, Ordering::Relaxed);
    assert!(client.join().expect("the connection held") > 100);
    server.join().expect("server");

    // A link whose interface has gone is replaced, not stumbled over.
    let port = ifindex("pda");
    ip("link del pda");
    assert!(matches!(
        fastpath.attach_port(port, Port::guest(A_MAC, 1, 1)),
        Err(fastpath::Error::NoInterface(_))
    ));
    fastpath.detach_port(port).expect("detached");
    fastpath.close().expect("closed");
    assert!(!pin_dir.exists());
    Fastpath::unpin_all(&pin_dir).expect("no error when there is nothing");
}

#[test]
fn this_machine_has_what_it_takes() {
    if !is_root() {
        return;
    }
    fastpath::probe().expect("nothing is missing");
}
