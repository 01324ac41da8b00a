//! Sessions that the verifier-approved program makes from templates (`BPF_PROG_TEST_RUN`) must be those that
//! `fastpath-core` says, and end with their template.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aya::programs::{TestRun, TestRunOptions};
use fastpath_core::Template;
use fastpath_core::abi::{
    ACTION_DELIVER, Action, FlowKey, PROGRAM_PORT, Port, REWRITE_DESTINATION, REWRITE_SOURCE,
    Session, UPCALL_NO_SESSION, UPCALL_STALE, UpcallHeader, address_bytes,
};
use fastpath_core::template::{
    KERNEL_MADE, USAGE_ACCOUNTS, USAGE_ALL, USAGE_MAX, USAGE_PORT_MAX, USAGE_PORTS, USAGE_UNTIL,
    Usage as _,
};
use rustix::time::{ClockId, clock_gettime};
use types::{FlowTuple, Mac};

use crate::{Config, Fastpath};

const GUEST: Mac = Mac([2, 0, 0, 0, 0, 4]);
/// `lo`, in every namespace. Nothing is attached to it: a test run only borrows its index.
const LO: u32 = 1;
/// Where answers would arrive: nothing is there, and nothing is sent.
const OTHER: u32 = 77;
/// Where `struct __sk_buff` has `ifindex`.
const IFINDEX: usize = 40;
const TC_ACT_REDIRECT: u32 = 7;
const SLOT: u32 = 9;

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).expect("since the start") * 1_000_000_000
        + u64::try_from(now.tv_nsec).expect("below a second")
}

fn datagram(port: u16) -> Vec<u8> {
    let mut frame = [Mac::ROUTER.0, GUEST.0].concat();
    frame.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 4, 203, 0, 113, 5]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 80, 0, 8, 0, 0]);
    frame
}

/// From 10.0.0.4 to 203.0.113.5, which is 10.0.0.5, as 198.51.100.4.
fn session(port: u16) -> Session {
    let ip = |text: &str| address_bytes(text.parse().expect("an address"));
    let sent = FlowTuple {
        source: "10.0.0.4".parse().expect("an address"),
        destination: "203.0.113.5".parse().expect("an address"),
        protocol: 17,
        source_port: port,
        destination_port: 80,
    };
    let answer = FlowTuple {
        source: "10.0.0.5".parse().expect("an address"),
        destination: "198.51.100.4".parse().expect("an address"),
        protocol: 17,
        source_port: 80,
        destination_port: port,
    };
    let action = Action {
        kind: ACTION_DELIVER,
        flags: REWRITE_SOURCE | REWRITE_DESTINATION,
        ..Action::default()
    };
    Session {
        key: [FlowKey::new(LO, &sent), FlowKey::new(OTHER, &answer)],
        action: [
            Action {
                output: OTHER,
                source: ip("198.51.100.4"),
                destination: ip("10.0.0.5"),
                source_port: port.to_be_bytes(),
                destination_port: 80u16.to_be_bytes(),
                ..action
            },
            Action {
                output: LO,
                source: ip("203.0.113.5"),
                destination: ip("10.0.0.4"),
                source_port: 80u16.to_be_bytes(),
                destination_port: port.to_be_bytes(),
                ..action
            },
        ],
        ..Session::default()
    }
}

fn template() -> Template {
    Template {
        slot: SLOT,
        port_word: USAGE_PORTS,
        account_word: USAGE_ACCOUNTS,
        ..Template::of(&session(1), 1000, 60_000)
    }
}

fn key(port: u16) -> FlowKey {
    session(port).key[0]
}

/// The program with a template, and leave to use it for a while. Nothing without root.
fn loaded(max_flows: u32) -> Option<Fastpath> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: this test loads eBPF, which needs root");
        return None;
    }
    let mut fastpath = Fastpath::open(Config {
        pin_dir: None,
        max_flows,
        slow_ifindex: LO,
    })
    .expect("loaded");
    for (ifindex, mac) in [(LO, GUEST), (OTHER, GUEST)] {
        let port = Port::guest(mac, u32::MAX, 1_000_000_000);
        fastpath.write_port(ifindex, port).expect("room");
    }
    let usage = fastpath.usage();
    for (word, value) in [
        (USAGE_MAX, 1 << 30),
        (USAGE_PORT_MAX, 1 << 30),
        (USAGE_UNTIL, u64::MAX),
    ] {
        usage.word(word).store(value, Ordering::SeqCst);
    }
    fastpath
        .install_template(&Template::key(&key(1)), template())
        .expect("room");
    Some(fastpath)
}

fn run(fastpath: &mut Fastpath, frame: &[u8]) -> (Vec<u8>, Duration) {
    let mut context = [0; 192];
    context[IFINDEX..IFINDEX + 4].copy_from_slice(&LO.to_ne_bytes());
    let mut out = vec![0; frame.len() + 256];
    let result = fastpath
        .program(PROGRAM_PORT)
        .expect("there")
        .test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        })
        .expect("run");
    assert_eq!(result.return_value, TC_ACT_REDIRECT);
    out.truncate(result.data_size_out as usize);
    (out, result.duration)
}

/// Why the frame came up; `None` if it went on.
fn upcall(fastpath: &mut Fastpath, port: u16) -> Option<u8> {
    let (out, _) = run(fastpath, &datagram(port));
    UpcallHeader::split(&out).map(|(header, _)| header.reason)
}

fn counted(fastpath: &Fastpath) -> [u64; 3] {
    [USAGE_ALL, USAGE_ACCOUNTS, USAGE_PORTS]
        .map(|word| fastpath.usage().word(word).load(Ordering::SeqCst))
}

#[test]
fn the_kernel_makes_the_session_that_the_host_says() {
    let Some(mut fastpath) = loaded(64) else {
        return;
    };
    let before = now_ns();
    for (n, port) in [1000u16, 4567, 60_000].into_iter().enumerate() {
        assert_eq!(upcall(&mut fastpath, port), None);
        assert_eq!(upcall(&mut fastpath, port), None, "it has one now");
        let (id, made) = fastpath
            .session_at(&key(port))
            .expect("read")
            .expect("made");
        assert_ne!(id & KERNEL_MADE, 0);
        let expected = session(port);
        assert_eq!((made.key, made.action), (expected.key, expected.action));
        assert_eq!((made.packets, made.bytes), ([2, 0], [56, 0]));
        assert!((before..=now_ns()).contains(&made.created_ns));
        assert_eq!((made.template, made.generation), (SLOT, 0));
        for (direction, key) in made.key.iter().enumerate() {
            assert_eq!(
                fastpath.flow(key).expect("read"),
                Some((id, direction)),
                "both directions are the session's"
            );
        }
        assert_eq!(counted(&fastpath), [n as u64 + 1; 3]);
    }
    for port in [0, 999, 60_001, u16::MAX] {
        assert_eq!(upcall(&mut fastpath, port), Some(UPCALL_NO_SESSION));
    }
    assert_eq!(fastpath.sessions().expect("listed").len(), 3);
}

#[test]
fn a_revoked_template_ends_what_it_made_at_once() {
    let Some(mut fastpath) = loaded(64) else {
        return;
    };
    assert_eq!(upcall(&mut fastpath, 5000), None);
    let at = Template::key(&key(1));
    fastpath.revoke_template(SLOT, &at).expect("revoked");
    assert_eq!(upcall(&mut fastpath, 5000), Some(UPCALL_STALE));
    assert_eq!(upcall(&mut fastpath, 5001), Some(UPCALL_NO_SESSION));
    // Another template in the same slot does not bring the session back.
    fastpath.install_template(&at, template()).expect("room");
    assert_eq!(upcall(&mut fastpath, 5000), Some(UPCALL_STALE));
    assert_eq!(upcall(&mut fastpath, 5001), None);
    // Adopted, it is nobody's but the agent's.
    let (id, session) = fastpath
        .session_at(&key(5000))
        .expect("read")
        .expect("made");
    fastpath.know(id, session.key);
    let kept = fastpath.replace_actions(id, session.action, 0);
    assert!(kept.expect("replaced"));
    assert_eq!(upcall(&mut fastpath, 5000), None);
    fastpath.revoke_templates().expect("revoked");
    assert_eq!(upcall(&mut fastpath, 5000), None);
    assert_eq!(upcall(&mut fastpath, 5001), Some(UPCALL_STALE));
    let last = fastpath.remove(id).expect("removed").expect("was there");
    assert_eq!(last.packets, [3, 0]);
    assert_eq!(upcall(&mut fastpath, 5000), Some(UPCALL_NO_SESSION));
}

#[test]
fn bounds_and_leave_hold_in_the_kernel() {
    let Some(mut fastpath) = loaded(64) else {
        return;
    };
    let usage = fastpath.usage();
    let set = |word, value| usage.word(word).store(value, Ordering::SeqCst);
    let mut next = 2000;
    let mut makes = |fastpath: &mut Fastpath| {
        next += 1;
        upcall(fastpath, next).is_none()
    };
    assert!(makes(&mut fastpath));
    set(USAGE_PORT_MAX, 1);
    assert!(!makes(&mut fastpath));
    assert_eq!(counted(&fastpath), [1; 3], "nothing is taken in vain");
    set(USAGE_PORT_MAX, 100);
    set(USAGE_MAX, 1);
    assert!(!makes(&mut fastpath));
    // Three times what is free, so three quarters.
    set(USAGE_MAX, 8);
    let made = (0..10).filter(|_| makes(&mut fastpath)).count();
    assert_eq!((made, counted(&fastpath)), (5, [6; 3]));
    set(USAGE_MAX, 1000);
    set(USAGE_UNTIL, now_ns() - 1);
    assert!(!makes(&mut fastpath), "the agent is not there");
    set(USAGE_UNTIL, u64::MAX);
    // The table itself: 32 sessions.
    assert_eq!((0..100).filter(|_| makes(&mut fastpath)).count(), 26);
    assert_eq!(counted(&fastpath), [32; 3]);
    assert_eq!(fastpath.sessions().expect("listed").len(), 32);
}

#[test]
fn a_key_that_is_taken_is_left_alone() {
    let Some(mut fastpath) = loaded(64) else {
        return;
    };
    // The answers' key leads elsewhere.
    let other = Session {
        key: [session(3000).key[1], FlowKey::default()],
        ..Session::default()
    };
    fastpath.install(5, &other).expect("room");
    assert_eq!(upcall(&mut fastpath, 3000), Some(UPCALL_NO_SESSION));
    assert_eq!(fastpath.flow(&other.key[0]).expect("read"), Some((5, 0)));
    assert_eq!(fastpath.flow(&key(3000)).expect("read"), None);
    assert_eq!(counted(&fastpath), [0; 3]);
    // What the kernel has made, a later session does not replace.
    assert_eq!(upcall(&mut fastpath, 3001), None);
    let taken = fastpath.install(6, &session(3001));
    assert!(matches!(taken, Err(crate::Error::Taken(by)) if *by == key(3001)));
    assert_eq!(upcall(&mut fastpath, 3001), None);
}

#[test]
fn a_scan_meets_every_flow_once() {
    let Some(mut fastpath) = loaded(20_000) else {
        return;
    };
    for port in 1000..9000 {
        assert_eq!(upcall(&mut fastpath, port), None);
    }
    for budget in [1, 100, 4096, 1 << 20] {
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let (flows, last) = fastpath.scan(budget).expect("read");
            for (key, flow) in flows {
                assert_eq!(flow.seal, FlowKey::seal(&key.words()));
                assert!(seen.insert(key));
            }
            if last {
                break;
            }
        }
        assert_eq!(seen.len(), 16_000, "budget {budget}");
    }
}

/// Not a test: `cargo test -p fastpath --lib -- --ignored --nocapture --test-threads 1 template_time` as root. Single
/// runs, as every one makes another session; the second run of each finds it. Both contain the kernel's two looks at
/// the clock.
#[test]
#[ignore = "a measurement"]
fn template_time() {
    let Some(mut fastpath) = loaded(262_144) else {
        return;
    };
    let (mut made, mut found) = (Vec::new(), Vec::new());
    for port in 1000..60_000 {
        made.push(run(&mut fastpath, &datagram(port)).1);
        found.push(run(&mut fastpath, &datagram(port)).1);
    }
    assert_eq!(counted(&fastpath)[0], 59_000);
    for (what, times) in [("made", &mut made), ("found", &mut found)] {
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 100];
        eprintln!(
            "{what}: least {:?}, 10% {:?}, median {:?}, 90% {:?}",
            at(0),
            at(10),
            at(50),
            at(90)
        );
    }
}
