//! Network namespaces and commands for tests with real packets. Everything goes away with its value.
//!
//! Limitations: failures panic, as tests want it. Nothing that ships uses this crate.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "a test that cannot go on ends with what was wrong"
)]

use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// Says loudly that a test does not run, unless the process is root.
#[must_use]
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: this test makes network namespaces and loads eBPF, which needs root");
    }
    root
}

/// Runs a fuzz target's body on every file of its committed corpus (`fuzz/corpus/<target>`), and names the file on
/// which it panics.
pub fn replay_corpus(target: &str, body: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut runs = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("a file").path();
        let data = std::fs::read(&path).expect("a file");
        let run = std::panic::catch_unwind(|| body(&data));
        assert!(run.is_ok(), "{}", path.display());
        runs += 1;
    }
    assert!(runs > 10, "{runs} files");
}

/// Runs `ip` with these words in the calling thread's namespace.
pub fn ip(words: &str) {
    let (done, output) = run_ip(words);
    assert!(done, "ip {words}: {output}");
}

/// What `ip` answers, whether it succeeds or not.
#[must_use]
pub fn ask_ip(words: &str) -> String {
    run_ip(words).1
}

fn run_ip(words: &str) -> (bool, String) {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .expect("ip runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// The index of an interface of the calling thread's namespace.
#[must_use]
pub fn ifindex(name: &str) -> u32 {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)
        .expect("any process may have a socket");
    rustix::net::netdevice::name_to_index(&socket, name).expect("the interface is there")
}

/// Moves the calling thread into a network namespace of its own, without a name. Threads that it starts from then
/// on are in it too.
pub fn unshare() {
    #[expect(deprecated, reason = "a thread may always leave its network namespace")]
    rustix::thread::unshare(UnshareFlags::NEWNET).expect("root may make a namespace");
    ip("link set lo up");
}

/// A named network namespace.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one; its name is this process's own.
    #[must_use]
    pub fn new(purpose: &str) -> Namespace {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tmp-{}-{number}-{purpose}", std::process::id());
        ip(&format!("netns add {name}"));
        let namespace = Namespace { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name under `/run/netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` inside.
    pub fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.name));
    }

    /// Moves the calling thread in.
    pub fn enter(&self) {
        enter(&self.name);
    }

    /// Runs a function on a thread inside.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let name = self.name.clone();
        std::thread::spawn(move || {
            enter(&name);
            work()
        })
    }
}

fn enter(name: &str) {
    let file = std::fs::File::open(format!("/run/netns/{name}")).expect("the namespace is there");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("root may enter a namespace");
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may be gone already; a test that panics must not panic twice.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}
