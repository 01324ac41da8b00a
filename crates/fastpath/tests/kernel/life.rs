//! Bounds, death and return of the process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fastpath::abi::{FlowKey, Port, Session};
use fastpath::{Config, Fastpath};

use crate::agent::{A_MAC, Agent, B, World};
use testkit::{ifindex, ip, is_root};

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
    // A key has one session, which stays when another one wants the key.
    let Session { key, .. } = session(0);
    fastpath.remove(1).expect("removed");
    let taken = fastpath.install(200, &session(0));
    assert!(matches!(taken, Err(fastpath::Error::Taken(by)) if *by == key[0]));
    assert_eq!(fastpath.session(200).expect("read"), None);
    assert_eq!(fastpath.flow(&key[1]).expect("read"), Some((0, 1)));
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
