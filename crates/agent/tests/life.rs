//! The life of instances and of the agent itself: boot, user data, stop, kill and adoption.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod world;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::{Agent, Config, StartError};
use feed::{InstanceChange, Report};
use testkit::{Namespace, ask_ip, ip};
use world::{
    NETWORK, PATIENCE, Story, World, assert_nothing_left, caller, connect, echoes, eventually,
    on_a_host, on_host, runtime,
};

const ALL: &[&str] = &["web", "db", "other"];

fn console(world: &World, name: &str) -> String {
    let file = world
        .state
        .path()
        .join("instances")
        .join(world.story.id(name).to_string())
        .join("console.log");
    std::fs::read_to_string(file).unwrap_or_default()
}

#[test]
fn an_instance_boots_from_dhcp_and_runs_its_user_data() {
    on_a_host(|| async {
        let script = "#!/bin/sh\necho \"boot of $INSTANCE_ID at $LOCAL_IPV4\"\nip -o addr; ip route\nexec sleep 1000\n";
        let story = Story::fresh(NETWORK, ALL).with_user_data("web", script);
        let mut world = World::new(story).await;
        let id = world.story.id("web");
        let files = world.state.path().join("instances").join(id.to_string());
        for (file, mode) in [("", 0o700), ("console.log", 0o600), ("user-data", 0o700)] {
            let found = std::fs::metadata(files.join(file)).unwrap().permissions();
            assert_eq!(found.mode() & 0o777, mode, "{file}");
        }
        let hello = format!("boot of {id} at 10.0.1.4");
        eventually("user data speaks", || {
            console(&world, "web").contains("default via")
        })
        .await;
        let said = console(&world, "web");
        assert!(said.contains(&hello), "{said}");
        assert!(said.contains("inet 10.0.1.4/24"), "{said}");
        assert!(said.contains("default via 10.0.1.1 dev eth0"), "{said}");
        assert!(!said.contains("inet6"), "{said}");

        // What DHCP tells a client that is not ours.
        let by_udhcpc = world.inside("web", || {
            Command::new("udhcpc")
                .args(["-i", "eth0", "-n", "-q", "-f", "-t", "5", "-s", "/bin/true"])
                .output()
        });
        match by_udhcpc.await {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned()
                    + &String::from_utf8_lossy(&output.stdout);
                assert!(
                    output.status.success() && said.contains("10.0.1.4"),
                    "{said}"
                );
            }
            Err(error) => eprintln!("SKIPPED: the DHCP client `udhcpc` does not run: {error}"),
        }

        // Another boot is another namespace and another process.
        let mut instance = world.story.instances["web"].clone();
        instance.boot = 2;
        world
            .change_instance(InstanceChange::Put(instance.clone()))
            .await;
        world.wait_for(Report::Running(id, 2)).await;
        eventually("user data speaks again", || {
            console(&world, "web").contains("default via")
        })
        .await;
        assert_eq!(console(&world, "web").matches(&hello).count(), 1);

        instance.running = false;
        world.change_instance(InstanceChange::Put(instance)).await;
        world.wait_for(Report::Stopped(id)).await;
        let namespace = format!("/run/netns/pd-{id}");
        assert!(!Path::new(&namespace).exists());
        let files = world.state.path().join("instances").join(id.to_string());
        assert!(files.exists());
        world.change_instance(InstanceChange::Remove(id)).await;
        eventually("a terminated instance has no files", || !files.exists()).await;
        world.end().await;
    });
}

#[test]
fn user_data_that_cannot_run_does_not_fail_its_instance() {
    on_a_host(|| async {
        let story = Story::fresh(NETWORK, ALL)
            .with_user_data("web", "#!/nowhere/interpreter\n")
            .with_user_data("db", "#cloud-config\n");
        let world = World::new(story).await;
        let said = console(&world, "web");
        assert!(said.contains("user data cannot be executed"), "{said}");
        assert_eq!(console(&world, "db"), "");
        world.end().await;
    });
}

#[test]
fn a_process_inherits_nothing_but_its_console() {
    on_a_host(|| async {
        let script = "#!/bin/sh\nls -l /proc/$$/fd\necho done\n";
        let world = World::new(Story::fresh(NETWORK, &["web"]).with_user_data("web", script)).await;
        eventually("user data ends", || console(&world, "web").contains("done")).await;
        let said = console(&world, "web");
        // What this test inherited itself is not the agent's to close.
        let parent = format!("/proc/{}/fd", std::os::unix::process::parent_id());
        let inherited: Vec<String> = std::fs::read_dir(parent)
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .map(|target| target.display().to_string())
            .collect();
        let own = ["console.log", "/dev/null", "user-data"];
        let foreign = |line: &&str| {
            line.split_once(" -> ").is_some_and(|(_, target)| {
                !own.iter().any(|own| target.contains(own))
                    && !inherited.contains(&target.to_owned())
            })
        };
        let found: Vec<&str> = said.lines().filter(foreign).collect();
        assert!(found.is_empty(), "{found:?}");
        world.end().await;
    });
}

#[test]
fn an_interface_moves_from_instance_to_instance() {
    on_a_host(|| async {
        let mut world = World::new(Story::fresh(NETWORK, ALL)).await;
        let [mut from, mut to] = ["web", "db"].map(|name| world.story.instances[name].clone());
        let interface = from.interfaces[&0];
        from.running = false;
        to.boot = 2;
        to.interfaces.insert(1, interface);
        let mut object = world
            .story
            .network
            .snapshot()
            .interface(interface)
            .unwrap()
            .clone();
        object.instance = Some(to.id);
        let delta = feed::Delta {
            after: world.revision,
            revision: world.revision + 1,
            changes: vec![topology::Change::Put(topology::Object::Interface(object))],
            instances: vec![
                InstanceChange::Put(to.clone()),
                InstanceChange::Put(from.clone()),
            ],
        };
        world.agent.delta(delta).unwrap();
        world.wait_for(Report::Stopped(from.id)).await;
        world.wait_for(Report::Running(to.id, 2)).await;
        let name = format!("pd-{}", to.id);
        let addresses = ask_ip(&format!("-n {name} -o addr"));
        assert!(
            addresses.contains("10.0.2.4/24") && addresses.contains("10.0.1.4/24"),
            "{addresses}"
        );
        world.end().await;
    });
}

#[test]
fn processes_of_an_instance_end_with_it() {
    on_a_host(|| async {
        // One leaves its process group, one ignores SIGTERM.
        let script =
            "#!/bin/sh\nsetsid sleep 1001 &\ntrap '' TERM\necho up\nwhile :; do sleep 0.1; done\n";
        let story = Story::fresh(NETWORK, &["web"]).with_user_data("web", script);
        let world = World::new(story).await;
        eventually("user data speaks", || console(&world, "web").contains("up")).await;
        let name = format!("pd-{}", world.story.id("web"));
        let pids = ask_ip(&format!("netns pids {name}"));
        assert!(pids.lines().count() >= 2, "{pids}");
        world.end().await;
        for pid in pids.lines() {
            let state = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            assert!(state.is_empty() || state.contains("zombie"), "{state}");
        }
    });
}

#[test]
fn interfaces_come_and_go_on_a_running_instance() {
    on_a_host(|| async {
        let text =
            format!("{NETWORK}\n interface second subnet other address 10.0.1.9 groups other\n");
        let mut story = Story::fresh(&text, ALL);
        let (id, second) = (story.id("other"), story.interface("second"));
        for object in &mut story.network.objects {
            if let topology::Object::Interface(interface) = object
                && interface.id == second
            {
                interface.instance = Some(id);
            }
        }
        let mut world = World::new(story).await;
        let mut instance = world.story.instances["other"].clone();
        instance
            .interfaces
            .insert(1, world.story.interface("second"));
        world
            .change_instance(InstanceChange::Put(instance.clone()))
            .await;
        let name = format!("pd-{}", instance.id);
        eventually("the second interface has its address", || {
            ask_ip(&format!("-n {name} -o addr show dev eth1")).contains("10.0.1.9/24")
        })
        .await;
        instance.interfaces.remove(&1);
        world.change_instance(InstanceChange::Put(instance)).await;
        let links = ask_ip(&format!("-n {name} -o link"));
        assert!(links.contains("eth0") && !links.contains("eth1"), "{links}");
        world.end().await;
    });
}

/// Starts an agent where one of this process has just stopped. A program that another test is starting at that moment
/// holds a copy of the agent's claim until it is executed.
async fn start_again(state: &Path) -> Agent {
    let mut agent = Agent::start(Config::new(state)).await;
    let deadline = Instant::now() + PATIENCE;
    while let Err(StartError::AnotherAgent(_)) = agent
        && Instant::now() < deadline
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
        agent = Agent::start(Config::new(state)).await;
    }
    agent.unwrap()
}

#[test]
fn what_is_in_the_way_of_a_start_is_said() {
    on_a_host(|| async {
        let start = |path: &Path| Agent::start(Config::new(path));
        let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let story = Story::fresh(NETWORK, &[]);

        let mut config = Config::new(one.path());
        config.uplink.internet = true;
        let error = Agent::start(config).await.err().unwrap();
        assert!(matches!(error, StartError::ForwardingOff), "{error}");

        ip("link add tmp-pool type veth peer name tmp-peer");
        ip("addr add 203.0.113.77/28 dev tmp-pool");
        let error = start(one.path()).await.err().unwrap();
        assert!(matches!(error, StartError::PoolInUse { .. }), "{error}");
        ip("link del tmp-pool");

        ip("link add pdup type veth peer name tmp-peer");
        let error = start(one.path()).await.err().unwrap();
        assert!(
            matches!(&error, StartError::ForeignInterface(name) if name == "pdup"),
            "{error}"
        );
        assert!(ask_ip("-o link").contains("pdup"));
        ip("link del pdup");

        let agent = start(one.path()).await.unwrap();
        let error = start(two.path()).await.err().unwrap();
        let me = std::process::id();
        assert!(
            matches!(error, StartError::AnotherAgent(pid) if pid == me),
            "{error}"
        );
        agent.stop().await;
        assert_nothing_left(&story, one.path());
        // What stopped is no longer in the way.
        let agent = start_again(two.path()).await;
        agent.stop().await;
        assert_nothing_left(&story, two.path());
    });
}

#[test]
fn a_namespace_of_somebody_else_is_left_alone() {
    on_a_host(|| async {
        let story = Story::fresh(NETWORK, &["web"]);
        let id = story.id("web");
        let name = format!("pd-{id}");
        ip(&format!("netns add {name}"));
        let state = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let agent = start_again(state.path()).await;
            agent.full(story.full(1));
            agent.settled(1).await;
            let report = agent.reports().next().await;
            assert!(
                matches!(&report, Some(Report::Failed(failed, why)) if *failed == id && why.contains(&name)),
                "{report:?}"
            );
            agent.stop().await;
        }
        assert!(ask_ip("netns").contains(&name));
        ip(&format!("netns del {name}"));
        assert_nothing_left(&story, state.path());
    });
}

/// The agent's own process, for the tests that kill it. It is this test binary, started in a test's namespace.
const CHILD: &str = "POLDER_TEST_AGENT";

#[test]
fn agent_process() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (seed, state) = told.split_once(' ').unwrap();
    let story = story_of(seed.parse().unwrap());
    runtime().block_on(async {
        let agent = Agent::start(Config::new(state)).await.unwrap();
        agent.full(story.full(1));
        let mut reports = agent.reports();
        let mut running = 0;
        while running < story.instances.len() {
            if let Some(Report::Running(..)) = reports.next().await {
                running += 1;
            }
        }
        std::fs::write(Path::new(state).join("ready"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

fn story_of(seed: u128) -> Story {
    Story::new(seed, NETWORK, ALL).with_user_data("db", "#!/bin/sh\necho pid $$\nexec sleep 1002\n")
}

/// An agent in a process of its own, which is killed with its value.
struct Process(Child);

impl Process {
    async fn start(story: &Story, state: &Path) -> Process {
        let process = Process::spawn(story, state).await;
        eventually("the agent's process is ready", || {
            state.join("ready").exists()
        })
        .await;
        process
    }

    async fn spawn(story: &Story, state: &Path) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "agent_process", "--nocapture"])
            .env(CHILD, format!("{} {}", story.seed(), state.display()))
            .stdout(Stdio::null())
            .process_group(0);
        Process(on_host(move || command.spawn()).await.unwrap())
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_killed_agent_leaves_connections_that_the_next_one_adopts() {
    on_a_host(|| async {
        let seed = Story::fresh(NETWORK, ALL).seed();
        let story = story_of(seed);
        let state = Arc::new(tempfile::tempdir().unwrap());
        let mut process = Process::start(&story, state.path()).await;
        let _sweeper = Sweeper(story.clone(), Arc::clone(&state));

        world::inside(story.id("db"), || world::serve_tcp(3306)).await;
        let to = "10.0.2.4:3306".parse().unwrap();
        let inside = world::inside(story.id("web"), move || connect(to)).await;
        let mut inside = inside.unwrap();
        world::inside(story.id("web"), || world::serve_tcp(80)).await;
        let to = "203.0.113.5:80".parse().unwrap();
        let mut outside = on_host(move || connect(to)).await.unwrap();
        let (mut inside, mut outside) = on_host(move || {
            caller(&mut inside);
            caller(&mut outside);
            echoes(&mut inside, 100_000).unwrap();
            echoes(&mut outside, 100_000).unwrap();
            process.kill();
            // Nobody is there, and what is established goes on.
            echoes(&mut inside, 100_000).unwrap();
            echoes(&mut outside, 100_000).unwrap();
            (inside, outside)
        })
        .await;

        // One instance is gone from the story meanwhile.
        let mut rest = story.clone();
        let gone = rest.instances.remove("other").unwrap();
        // The table keeps the size that it has.
        let smaller = |config: &mut Config| config.max_flows /= 2;
        let world = World::in_directory(rest, Arc::clone(&state), 2, smaller).await;
        let namespace = format!("/run/netns/pd-{}", gone.id);
        eventually("what is not wanted any more goes", || {
            !Path::new(&namespace).exists()
        })
        .await;
        let said = console(&world, "db");
        let pid = said.trim().strip_prefix("pid ").unwrap().to_owned();
        assert!(
            Path::new("/proc").join(pid).exists(),
            "user data was started anew"
        );
        let sessions = world.agent.sessions();
        assert!(
            sessions
                .iter()
                .any(|session| session.tuple.destination_port == 3306)
        );
        on_host(move || {
            for stream in [&mut inside, &mut outside] {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                echoes(stream, 1_000_000).unwrap();
            }
        })
        .await;
        // New flows as well.
        let mut anew = world.connect("web", "10.0.2.4:3306").await.unwrap();
        on_host(move || {
            caller(&mut anew);
            echoes(&mut anew, 100_000).unwrap();
        })
        .await;
        std::fs::remove_file(state.path().join("ready")).unwrap();
        world.end().await;
        assert_nothing_left(&story, state.path());
    });
}

#[test]
fn a_port_is_never_without_its_program() {
    on_a_host(|| async {
        let seed = Story::fresh(NETWORK, ALL).seed();
        let story = story_of(seed);
        let state = Arc::new(tempfile::tempdir().unwrap());
        let mut process = Process::start(&story, state.path()).await;
        let _sweeper = Sweeper(story.clone(), Arc::clone(&state));
        let heard = on_host(|| std::net::UdpSocket::bind("0.0.0.0:9999"))
            .await
            .unwrap();
        heard.set_read_timeout(Some(world::SILENCE)).unwrap();
        on_host(move || process.kill()).await;
        // Nobody remembers the instances, but they are there, and so are their ports.
        std::fs::remove_file(state.path().join("host.json")).unwrap();
        let refused = Agent::start(Config::new(state.path())).await;
        assert!(matches!(refused, Err(StartError::ForeignInterface(_))));
        // `db` has no elastic IP: nothing of it reaches the host.
        world::inside(story.id("db"), || {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            let _ = socket.send_to(b"leak", "203.0.113.1:9999");
        })
        .await;
        let leaked = on_host(move || heard.recv(&mut [0; 8])).await;
        assert!(leaked.is_err(), "{leaked:?}");

        ip("link delete pdupx");
        let agent = Agent::start(Config::new(state.path())).await.unwrap();
        let links = ask_ip("-o link");
        let names = links.lines().filter_map(|line| line.split(": ").nth(1));
        let ports = names.filter(|name| name.starts_with("pd") && name.contains('@'));
        let strays: Vec<&str> = ports.filter(|name| !name.starts_with("pdup")).collect();
        assert_eq!(strays, Vec::<&str>::new());
        agent.stop().await;
        // Namespaces are no way out. They are nobody's now, and stay until somebody removes them.
        world::clean_up(&story, state.path());
    });
}

#[test]
fn an_agent_may_be_killed_at_any_moment() {
    on_a_host(|| async {
        for delay_ms in [0, 15, 30, 45, 60, 80, 100, 150, 200, 300] {
            let story = story_of(Story::fresh(NETWORK, ALL).seed());
            let state = Arc::new(tempfile::tempdir().unwrap());
            let _sweeper = Sweeper(story.clone(), Arc::clone(&state));
            let mut process = Process::spawn(&story, state.path()).await;
            // The moment of the kill is the input here, not a wait for something.
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            process.kill();
            let world = World::in_directory(story, Arc::clone(&state), 2, |_| {}).await;
            world.serve_tcp("db", 3306).await;
            let mut stream = world.connect("web", "10.0.2.4:3306").await.unwrap();
            on_host(move || {
                caller(&mut stream);
                echoes(&mut stream, 10_000).unwrap();
            })
            .await;
            eventually("user data runs once", || {
                console(&world, "db").matches("pid").count() == 1
            })
            .await;
            world.end().await;
        }
    });
}

/// Cleans up if the test fails before there is a [`World`].
struct Sweeper(Story, Arc<tempfile::TempDir>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        if std::thread::panicking() {
            world::clean_up(&self.0, self.1.path());
        }
    }
}

#[test]
fn the_internet_is_reached_under_the_host_s_own_address() {
    on_a_host(|| async {
        if Command::new("nft")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            eprintln!("SKIPPED: there is no `nft`");
            return;
        }
        // Of this test's own namespace.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let far = far_machine();
        let state = Arc::new(tempfile::tempdir().unwrap());
        let story = Story::fresh(NETWORK, ALL);
        let world =
            World::in_directory(story, state, 1, |config| config.uplink.internet = true).await;
        far.run(|| world::serve_tcp(80)).join().unwrap();
        let mut stream = world.connect("web", "198.51.100.2:80").await.unwrap();
        let (from, echoed) =
            on_host(move || (caller(&mut stream), echoes(&mut stream, 300_000))).await;
        assert_eq!(from.to_string(), "198.51.100.1");
        echoed.unwrap();
        world.end().await;
        let tables = Command::new("nft")
            .args(["list", "tables"])
            .output()
            .unwrap();
        assert!(!String::from_utf8_lossy(&tables.stdout).contains("polder"));
    });
}

/// A machine beyond the host, at the other end of a wire.
fn far_machine() -> Namespace {
    let far = Namespace::new("far");
    ip(&format!(
        "link add wan type veth peer name wan netns {}",
        far.name()
    ));
    ip("addr add 198.51.100.1/24 dev wan");
    ip("link set wan up");
    far.ip("addr add 198.51.100.2/24 dev wan");
    far.ip("link set wan up");
    far
}

#[test]
fn a_start_that_was_never_fed_stops_cleanly() {
    on_a_host(|| async {
        let state = tempfile::tempdir().unwrap();
        let agent = Agent::start(Config::new(state.path())).await.unwrap();
        let mut reports = agent.reports();
        let nothing = tokio::time::timeout(Duration::from_millis(50), reports.next()).await;
        assert!(nothing.is_err());
        agent.stop().await;
        assert_eq!(reports.next().await, None);
        assert_nothing_left(&Story::fresh(NETWORK, &[]), state.path());
    });
}
