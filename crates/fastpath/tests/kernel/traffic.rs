//! Packets that must arrive.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use fastpath::abi::{
    self, ACTION_DELIVER, Action, FlowKey, Port, REWRITE_DESTINATION, REWRITE_SOURCE, Session,
    UPCALL_ARP,
};
use types::{FlowTuple, Mac};

use crate::agent::{A, A_MAC, A_PUBLIC, Agent, B, B_PUBLIC, World};
use testkit::{ifindex, ip, is_root};

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
            world.a.name(),
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

/// Connects from a port that is known beforehand.
fn connect_from(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddr::from(from)).expect("free");
    connect(&socket, &SocketAddr::from(to)).expect("connected");
    TcpStream::from(socket)
}

#[test]
fn the_uplink_carries_both_ways() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let mut agent = Agent::new(None);
    let router = Mac::ROUTER;
    let host_mac = Mac([2, 0, 0, 0, 0, 1]);
    ip(&format!(
        "link add pdup address {host_mac} type veth peer name pdupx address {router}"
    ));
    for name in ["pdup", "pdupx"] {
        ip(&format!("link set {name} addrgenmode none"));
        ip(&format!("link set {name} up"));
    }
    ip("addr add 203.0.113.1/24 dev pdup");
    let guest_public = Ipv4Addr::new(203, 0, 113, 4);
    let outside = Ipv4Addr::new(203, 0, 113, 1);
    ip(&format!(
        "neigh add {guest_public} lladdr {router} dev pdup nud permanent"
    ));
    world.a.ip(&format!(
        "neigh add {outside} lladdr {router} dev eth0 nud permanent"
    ));
    let uplink = ifindex("pdupx");
    agent
        .fastpath
        .attach_port(uplink, Port::uplink(100, 10))
        .expect("attached");
    let (guest, _) = agent.ports[&A];
    let mut install = |id, guest_port: u16, outside_port: u16| {
        let from_guest = FlowTuple {
            source: A.into(),
            destination: outside.into(),
            protocol: 6,
            source_port: guest_port,
            destination_port: outside_port,
        };
        let on_uplink = FlowTuple {
            source: guest_public.into(),
            ..from_guest
        };
        let out = Action {
            kind: abi::ACTION_TRANSMIT,
            flags: REWRITE_SOURCE,
            output: uplink,
            destination_mac: host_mac.0,
            source_mac: router.0,
            source: abi::address_bytes(guest_public.into()),
            source_port: guest_port.to_be_bytes(),
            ..Action::default()
        };
        let back = Action {
            kind: ACTION_DELIVER,
            flags: REWRITE_DESTINATION,
            output: guest,
            destination_mac: A_MAC.0,
            source_mac: router.0,
            destination: abi::address_bytes(A.into()),
            destination_port: guest_port.to_be_bytes(),
            ..Action::default()
        };
        let session = Session {
            key: [
                FlowKey::new(guest, &from_guest),
                FlowKey::new(uplink, &on_uplink.reversed()),
            ],
            action: [out, back],
            ..Session::default()
        };
        agent.fastpath.install(id, &session).expect("room");
    };
    install(1, 40_000, 80);
    install(2, 80, 40_001);

    let listener = TcpListener::bind((outside, 80)).expect("free");
    let client = world.a.run(move || {
        let mut stream = connect_from((A, 40_000), (outside, 80));
        stream.write_all(&pattern()).expect("sent");
    });
    let (mut stream, peer) = listener.accept().expect("the guest");
    assert_eq!(peer, SocketAddr::from((guest_public, 40_000)));
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("read");
    assert!(all == pattern());
    client.join().expect("client");

    let (ready, wait) = std::sync::mpsc::channel();
    let server = world.a.run(move || {
        let listener = TcpListener::bind((A, 80)).expect("free");
        ready.send(()).expect("heard");
        let (mut stream, _) = listener.accept().expect("the host");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("read");
        assert!(all == pattern());
    });
    wait.recv().expect("up");
    let mut stream = connect_from((outside, 40_001), (guest_public, 80));
    stream.write_all(&pattern()).expect("sent");
    drop(stream);
    server.join().expect("server");

    // ARP of the host comes up from the uplink.
    ip("neigh del 203.0.113.4 dev pdup");
    let _ = std::net::UdpSocket::bind((outside, 0))
        .expect("free")
        .send_to(&[1], (guest_public, 9));
    let (_, upcall, up) = agent.receive(2000).expect("an upcall");
    assert_eq!(upcall.reason, UPCALL_ARP);
    assert_eq!(upcall.interface_index(), uplink);
    assert_eq!(
        (upcall.port_kind, &up[38..42]),
        (1, &guest_public.octets()[..])
    );
}
