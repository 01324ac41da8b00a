//! The program as a user runs it, without packets: what it says, and its exit codes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

fn polder(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder"));
    command
        .env_remove("POLDER_ENDPOINT")
        .env_remove("POLDER_LOG");
    command.args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The words of `polder up` without packets, on this address and with this state.
fn up<'a>(listen: &'a str, state: &'a Path) -> [&'a str; 6] {
    let state = state.to_str().unwrap();
    let options = ["--control-plane-only", "--listen", listen, "--state-dir"];
    let [only, listen, address, dir] = options;
    ["up", only, listen, address, dir, state]
}

/// A running `polder up --control-plane-only`.
struct Up {
    child: Child,
    address: String,
}

impl Up {
    fn start(state: &Path) -> Up {
        Up::spawn(Command::new(env!("CARGO_BIN_EXE_polder")), state)
    }

    fn spawn(mut command: Command, state: &Path) -> Up {
        let mut child = command
            .args(up("127.0.0.1:0", state))
            .env_remove("POLDER_LOG")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, rest)) = line.split_once("AWS_ENDPOINT_URL=http://") {
                rest.split_whitespace()
                    .next()
                    .unwrap()
                    .clone_into(&mut address);
            }
            if line.starts_with("ready") {
                break;
            }
        }
        // Nobody reads on: the program must not mind.
        drop(lines);
        Up { child, address }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn post(&self, form: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{form}&Version=2016-11-15",
            form.len() + "&Version=2016-11-15".len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    fn stop(mut self, signal: Signal) -> i32 {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn element(xml: &str, name: &str) -> String {
    let inner = xml
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once('<'));
    inner
        .unwrap_or_else(|| panic!("no {name} in {xml}"))
        .0
        .to_owned()
}

#[test]
fn a_port_in_use_is_said_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(&dir.path().join("a"));
    let other = dir.path().join("b");
    let listen = |address: &str| polder(&self::up(address, &other));
    let refused = listen(&up.address);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).starts_with("polder: error: cannot listen on `127.0.0.1:"),
        "{}",
        said(&refused)
    );
    assert!(
        said(&refused)
            .contains("hint: a `polder up` runs there: stop it, or use --listen 127.0.0.1:")
    );
    assert!(!other.exists());

    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // It accepts and hangs up, as a server of something else may.
    let address = stranger.local_addr().unwrap().to_string();
    std::thread::spawn(move || stranger.accept().map(drop));
    let refused = listen(&address);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("hint: another program listens there"),
        "{}",
        said(&refused)
    );
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    for address in ["0.0.0.0:4566", "192.0.2.1:4566", "[::]:4566"] {
        let refused = polder(&["up", "--listen", address]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(
            said(&refused).contains("is not a loopback address"),
            "{}",
            said(&refused)
        );
        assert!(said(&refused).contains("hint: "));
    }
    assert_eq!(
        polder(&["up", "--listen", "nonsense"]).status.code(),
        Some(2)
    );
    for pool in [
        "127.0.0.0/8",
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/8",
        "203.0.113.0/30",
        "10.0.0.0/7",
        "2001:db8::/64",
        "203.0.113.0",
    ] {
        let refused = polder(&["up", "--pool", pool]);
        assert_eq!(refused.status.code(), Some(2), "{pool}");
        assert!(said(&refused).contains(&format!("`{pool}`")), "{pool}");
    }
    assert_eq!(polder(&["up", "--log", "a=b=c"]).status.code(), Some(2));
}

#[test]
fn a_closed_terminal_stops_it_and_nohup_does_not_let_it() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Up::start(dir.path()).stop(Signal::HUP), 0);

    let mut nohup = Command::new("nohup");
    nohup.arg(env!("CARGO_BIN_EXE_polder"));
    let up = Up::spawn(nohup, dir.path());
    kill_process(Pid::from_child(&up.child), Signal::HUP).unwrap();
    up.post("Action=DescribeVpcs");
    assert_eq!(up.stop(Signal::TERM), 0);
}

#[test]
fn signals_that_come_together_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    let child = Pid::from_child(&up.child);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        kill_process(child, signal).unwrap();
    }
    assert_eq!(up.stop(Signal::INT), 0);
}

#[test]
fn a_state_directory_has_one_polder() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    let refused = polder(&self::up("127.0.0.1:0", dir.path()));
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains(&format!(
            "is in use by another polder (process {})",
            up.child.id()
        )),
        "{}",
        said(&refused)
    );
    assert_eq!(up.stop(Signal::INT), 0);
}

#[test]
fn a_state_directory_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Up::start(dir.path()).stop(Signal::TERM), 0);
    let database = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let refused = polder(&self::up("127.0.0.1:0", dir.path()));
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("was written by a newer version of polder (format 99"),
        "{}",
        said(&refused)
    );
    assert!(said(&refused).contains("hint: "));
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    let vpc = element(&up.post("Action=CreateVpc&CidrBlock=10.0.0.0/16"), "vpcId");
    assert_eq!(up.stop(Signal::TERM), 0);
    let began = Instant::now();
    let up = Up::start(dir.path());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(
        up.post(&format!("Action=DescribeVpcs&VpcId.1={vpc}"))
            .contains("10.0.0.0/16")
    );
    assert_eq!(up.stop(Signal::INT), 0);
}

#[test]
fn paths_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    let run = || {
        element(
            &up.post("Action=RunInstances&ImageId=ami-12345678&MinCount=1&MaxCount=1"),
            "instanceId",
        )
    };
    let (a, b) = (run(), run());
    let endpoint = up.endpoint();
    let path = |words: &[&str]| polder(&[&["path", "--endpoint", &endpoint], words].concat());

    // Both are in the default group, whose members let each other in.
    let reachable = path(&[&a, &b, "--tcp", "80"]);
    let text = String::from_utf8_lossy(&reachable.stdout).into_owned();
    assert_eq!(
        reachable.status.code(),
        Some(0),
        "{text}{}",
        said(&reachable)
    );
    assert!(
        text.contains("REACHABLE") && !text.contains('✗') && !text.contains('\u{1b}'),
        "{text}"
    );

    let blocked = path(&["internet", &b, "--udp", "53"]);
    let text = String::from_utf8_lossy(&blocked.stdout).into_owned();
    assert_eq!(blocked.status.code(), Some(1), "{text}{}", said(&blocked));
    assert!(text.contains("BLOCKED"), "{text}");

    let json = path(&["internet", &b, "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (json.status.code(), report["verdict"].as_str()),
        (Some(1), Some("blocked"))
    );

    for wrong in [
        ["i-0123456789abcdef0", b.as_str()],
        [a.as_str(), "nowhere"],
        [a.as_str(), "eni-0123456789abcdef0"],
    ] {
        let refused = path(&wrong);
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(
            said(&refused).starts_with("polder: error: "),
            "{}",
            said(&refused)
        );
    }
}

#[test]
fn every_view_has_a_form_for_people_and_one_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    up.post("Action=DescribeVpcs");
    for view in ["status", "drops", "interfaces", "sessions"] {
        let plain = polder(&[view, "--endpoint", &up.endpoint()]);
        assert_eq!(plain.status.code(), Some(0), "{}", said(&plain));
        let json = polder(&[view, "--json", "--endpoint", &up.endpoint()]);
        assert_eq!(json.status.code(), Some(0), "{}", said(&json));
        let lines = String::from_utf8(json.stdout).unwrap();
        assert!(
            lines.is_empty() || serde_json::from_str::<serde_json::Value>(&lines).is_ok(),
            "{lines}"
        );
    }
}

#[test]
fn without_a_region_the_error_says_how_to_start_one() {
    let refused = polder(&["status", "--endpoint", "http://127.0.0.1:1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("hint: start it with `polder up`"),
        "{}",
        said(&refused)
    );
    assert_eq!(
        polder(&["path", "a", "b", "--endpoint", "http://127.0.0.1:1"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(
        polder(&["status", "--endpoint", "ftp://x"]).status.code(),
        Some(2)
    );
    assert_eq!(
        polder(&["exec", "i-0123456789abcdef0", "--", "true"])
            .status
            .code(),
        Some(126)
    );
    assert_eq!(polder(&["nonsense"]).status.code(), Some(2));
    let refused = polder(&["exec", "i-1", "--", "true"]);
    assert!(
        said(&refused).contains("`i-1` is not an instance id"),
        "{}",
        said(&refused)
    );
    assert_eq!(polder(&["completions", "bash"]).status.code(), Some(0));
}
