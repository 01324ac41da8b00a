//! A host of its own for each test: a fresh network namespace, an agent in it, and instances. Everything goes away
//! with its value.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's helpers; not every test uses each"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agent::{Agent, Config, Reports};
use feed::Port;
use feed::{Delta, Full, Instance, InstanceChange, Report};
use socket2::{Domain, Protocol, Socket, Type};
use testkit::{ask_ip, is_root};
use topology::text::{Network, parse};
use topology::{Change, Object};
use types::{DropReason, InstanceId, InterfaceId};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait for what should not come.
pub(crate) const SILENCE: Duration = Duration::from_millis(400);

/// A public and a private instance, and a second tenant with the same addresses.
pub(crate) const NETWORK: &str = "
    vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
      table public
        route 0.0.0.0/0 igw a
      subnet public 10.0.1.0/24 table public
      subnet private 10.0.2.0/24
      group web
        in tcp 80 from 0.0.0.0/0
        in icmp * from 0.0.0.0/0
        out all to 0.0.0.0/0
      group db
        in tcp 3306 from web
        in udp 5353 from web
        out all to 0.0.0.0/0
      interface web subnet public address 10.0.1.4 groups web
      interface db subnet private address 10.0.2.4 groups db
      elastic web 203.0.113.5 interface web
    vpc b account 222222222222 cidr 10.0.0.0/16
      subnet other 10.0.1.0/24
      group other
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      interface other subnet other address 10.0.1.4 groups other
";

/// Runs a test on a thread with a network namespace of its own, whose runtime's threads are in it too.
pub(crate) fn on_a_host<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    if !is_root() {
        return;
    }
    let thread = std::thread::spawn(move || {
        testkit::unshare();
        runtime().block_on(async {
            tokio::time::timeout(Duration::from_secs(120), test())
                .await
                .expect("the test ends in time");
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// What an agent is fed: a network, and an instance for each of its interfaces.
#[derive(Clone)]
pub(crate) struct Story {
    seed: u128,
    pub(crate) network: Network,
    pub(crate) instances: BTreeMap<String, Instance>,
}

impl Story {
    /// Names of namespaces belong to the machine: the seed keeps instances of different tests apart.
    pub(crate) fn new(seed: u128, text: &str, names: &[&str]) -> Story {
        let network = parse(text).unwrap();
        let mut instances = BTreeMap::new();
        for (name, number) in names.iter().zip(1u128..) {
            let id = InstanceId::from_bits(seed << 8 | number);
            let interface = network.interface(name);
            let instance = Instance {
                id,
                interfaces: BTreeMap::from([(0, interface)]),
                user_data: Arc::from([]),
                boot: 1,
                running: true,
            };
            instances.insert((*name).to_owned(), instance);
        }
        let mut story = Story {
            seed,
            network,
            instances,
        };
        story.assign();
        story
    }

    /// Tells every interface of the network whose it is.
    fn assign(&mut self) {
        for object in &mut self.network.objects {
            if let Object::Interface(interface) = object {
                let has = |instance: &&Instance| {
                    let mut interfaces = instance.interfaces.values();
                    interfaces.any(|id| *id == interface.id)
                };
                let owner = self.instances.values().find(has);
                interface.instance = owner.map(|instance| instance.id);
            }
        }
    }

    /// Gives an instance a further interface.
    pub(crate) fn with_interface(mut self, name: &str, index: u32, interface: &str) -> Story {
        let interface = self.network.interface(interface);
        let instance = self.instances.get_mut(name).unwrap();
        instance.interfaces.insert(index, interface);
        self.assign();
        self
    }

    pub(crate) fn fresh(text: &str, names: &[&str]) -> Story {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let seed = u128::from(std::process::id()) << 16 | u128::from(number);
        Story::new(seed, text, names)
    }

    pub(crate) fn seed(&self) -> u128 {
        self.seed
    }

    pub(crate) fn with_user_data(mut self, name: &str, script: &str) -> Story {
        self.instances.get_mut(name).unwrap().user_data = Arc::from(script.as_bytes());
        self
    }

    pub(crate) fn full(&self, revision: u64) -> Full {
        Full {
            revision,
            objects: self.network.objects.clone(),
            instances: self.instances.values().cloned().collect(),
        }
    }

    pub(crate) fn id(&self, name: &str) -> InstanceId {
        self.instances[name].id
    }

    pub(crate) fn interface(&self, name: &str) -> InterfaceId {
        self.network.interface(name)
    }
}

/// A host with an agent that was fed a story.
pub(crate) struct World {
    pub(crate) agent: Agent,
    pub(crate) reports: Reports,
    pub(crate) story: Story,
    pub(crate) revision: u64,
    pub(crate) state: Arc<tempfile::TempDir>,
}

impl World {
    /// Starts the agent, feeds it the story, and waits until every instance runs.
    pub(crate) async fn new(story: Story) -> World {
        let state = Arc::new(tempfile::tempdir().unwrap());
        World::in_directory(story, state, 1, |_| {}).await
    }

    pub(crate) async fn in_directory(
        story: Story,
        state: Arc<tempfile::TempDir>,
        revision: u64,
        change: impl FnOnce(&mut Config),
    ) -> World {
        let mut config = Config::new(state.path());
        change(&mut config);
        let agent = Agent::start(config).await.expect("the agent starts");
        agent.full(story.full(revision));
        agent.settled(revision).await;
        let mut world = World {
            reports: agent.reports(),
            agent,
            story,
            revision,
            state,
        };
        for name in world.story.instances.keys().cloned().collect::<Vec<_>>() {
            let instance = world.story.instances[&name].clone();
            if instance.running {
                world
                    .wait_for(Report::Running(instance.id, instance.boot))
                    .await;
            }
        }
        world
    }

    /// Waits until an instance's report is this one.
    pub(crate) async fn wait_for(&mut self, wanted: Report) {
        let mut reports = self.agent.reports();
        let found = tokio::time::timeout(PATIENCE, async {
            let mut last = None;
            while let Some(report) = reports.next().await {
                if report == wanted {
                    return Ok(());
                }
                last = Some(report);
            }
            Err(last)
        });
        match found.await {
            Ok(Ok(())) => {}
            other => panic!("no {wanted:?}: {other:?}"),
        }
    }

    /// Makes the network what this text says, by a delta.
    pub(crate) async fn change_network(&mut self, text: &str) {
        let names: Vec<&str> = self.story.instances.keys().map(String::as_str).collect();
        let mut story = Story::new(self.story.seed, text, &names);
        story.instances.clone_from(&self.story.instances);
        story.assign();
        let changed = |object: &&Object| !self.story.network.objects.contains(object);
        let changes = story.network.objects.iter().filter(changed);
        let delta = Delta {
            after: self.revision,
            revision: self.revision + 1,
            changes: changes.cloned().map(Change::Put).collect(),
            instances: Vec::new(),
        };
        self.agent.delta(delta).expect("it follows");
        self.revision += 1;
        self.story = story;
        self.agent.settled(self.revision).await;
    }

    /// Changes an instance, by a delta.
    pub(crate) async fn change_instance(&mut self, change: InstanceChange) {
        let delta = Delta {
            after: self.revision,
            revision: self.revision + 1,
            changes: Vec::new(),
            instances: vec![change],
        };
        self.agent.delta(delta).expect("it follows");
        self.revision += 1;
        self.agent.settled(self.revision).await;
    }

    /// Runs a closure on a thread inside an instance, and waits for it.
    pub(crate) async fn inside<T: Send + 'static>(
        &self,
        name: &str,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        inside(self.story.id(name), run).await
    }

    /// A TCP server inside an instance that says who called, and then repeats what it is told.
    pub(crate) async fn serve_tcp(&self, name: &str, port: u16) {
        self.inside(name, move || serve_tcp(port)).await;
    }

    /// A TCP connection from an instance.
    pub(crate) async fn connect(&self, name: &str, to: &str) -> std::io::Result<TcpStream> {
        let to: SocketAddr = to.parse().unwrap();
        self.inside(name, move || connect(to)).await
    }

    /// The last drop of the slow path with this port, if there is one.
    pub(crate) fn dropped(&self, port: Port, reason: DropReason) -> Option<feed::Dropped> {
        let (drops, _) = self.agent.drops(0);
        drops
            .into_iter()
            .rev()
            .find(|drop| drop.port == port && drop.reason == reason)
    }

    /// The same for an instance's interface, which must exist.
    pub(crate) fn expect_drop(&self, name: &str, reason: DropReason) -> feed::Dropped {
        let port = Port::Interface(self.story.interface(name));
        self.dropped(port, reason)
            .unwrap_or_else(|| panic!("no {reason} at {name}: {:#?}", self.agent.drops(0)))
    }

    /// How many packets of an instance were dropped for this reason.
    pub(crate) fn drops(&self, name: &str, reason: DropReason) -> u64 {
        let port = Port::Interface(self.story.interface(name));
        let counters = self.agent.counters();
        counters[&port].drops.get(&reason).copied().unwrap_or(0)
    }

    /// Stops the agent and looks that nothing is left.
    pub(crate) async fn end(self) {
        self.agent.stop().await;
        assert_nothing_left(&self.story, self.state.path());
    }
}

impl Drop for World {
    /// After a panic there is no [`World::end`], and names of namespaces outlive the test.
    fn drop(&mut self) {
        if std::thread::panicking() {
            clean_up(&self.story, self.state.path());
        }
    }
}

/// Removes by force what a test that failed may have left.
pub(crate) fn clean_up(story: &Story, state: &Path) {
    for instance in story.instances.values() {
        let name = format!("pd-{}", instance.id);
        let pids = ask_ip(&format!("netns pids {name}"));
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = ask_ip(&format!("netns del {name}"));
    }
    let _ = fastpath::Fastpath::unpin_all(&pins(state));
}

/// Where the agent of a state directory pins.
fn pins(state: &Path) -> PathBuf {
    let state = state.canonicalize().unwrap();
    let bytes = state.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Path::new("/sys/fs/bpf").join(format!("polder-{hash:016x}"))
}

pub(crate) fn assert_nothing_left(story: &Story, state: &Path) {
    let links = ask_ip("-o link");
    assert!(!links.contains("pd"), "{links}");
    let routes = ask_ip("route show table all");
    assert!(!routes.contains("203.0.113"), "{routes}");
    for instance in story.instances.values() {
        let name = format!("/run/netns/pd-{}", instance.id);
        assert!(!Path::new(&name).exists(), "{name}");
    }
    assert!(!pins(state).exists(), "{}", pins(state).display());
    assert!(!state.join("host.json").exists());
}

pub(crate) async fn inside<T: Send + 'static>(
    instance: InstanceId,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let work = move || {
        let thread = std::thread::spawn(move || {
            agent::enter(instance).expect("the namespace is there");
            run()
        });
        thread.join()
    };
    match tokio::task::spawn_blocking(work).await.unwrap() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs a closure on a thread of the host's own namespace.
pub(crate) async fn on_host<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// A TCP server in the calling thread's namespace that says who called, and then repeats what it is told.
pub(crate) fn serve_tcp(port: u16) {
    use std::io::{Read, Write};
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            std::thread::spawn(move || {
                let _ = writeln!(stream, "{}", peer.ip());
                let mut buffer = [0; 65_536];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

pub(crate) fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, 3 * SILENCE)?;
    stream.set_read_timeout(Some(3 * SILENCE))?;
    Ok(stream)
}

/// Whether the server repeats what it is told, however much.
pub(crate) fn echoes(stream: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    use std::io::{Error, Read, Write};
    let sent: Vec<u8> = (0..=250).cycle().take(bytes).collect();
    let mut writer = stream.try_clone()?;
    let copy = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&copy));
    let mut received = vec![0; bytes];
    stream.read_exact(&mut received)?;
    writing.join().unwrap()?;
    if received == sent {
        Ok(())
    } else {
        Err(Error::other("what came back is not what was sent"))
    }
}

/// The line that a server of [`serve_tcp`] begins with: who it thinks called.
pub(crate) fn caller(stream: &mut TcpStream) -> IpAddr {
    use std::io::Read;
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().parse().unwrap()
}

/// Whether an ICMP echo request is answered.
pub(crate) fn ping(to: Ipv4Addr) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    let mut message = [8, 0, 0, 0, 0x12, 0x34, 0, 1];
    let sum = u16::from_be_bytes([8, 0]) + 0x1234 + 1;
    message[2..4].copy_from_slice(&(!sum).to_be_bytes());
    socket
        .send_to(&message, &SocketAddr::from((to, 0)).into())
        .unwrap();
    let socket: UdpSocket = socket.into();
    let deadline = Instant::now() + SILENCE;
    let mut buffer = [0; 1500];
    while Instant::now() < deadline {
        if let Ok((length, from)) = socket.recv_from(&mut buffer)
            && from.ip() == to
            && buffer[..length].get(20) == Some(&0)
        {
            return true;
        }
    }
    false
}

/// Looks again and again until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
