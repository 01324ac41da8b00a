//! How long the program takes for a packet, as the kernel itself measures it (`BPF_PROG_TEST_RUN`). Not a test: run
//! `cargo test -p fastpath --lib -- --ignored --nocapture --test-threads 1 program_time` as root.

use std::time::Duration;

use aya::programs::{TestRun, TestRunOptions};
use fastpath_core::abi::{
    ACTION_DELIVER, Action, FlowKey, PROGRAM_PORT, Port, REWRITE_SOURCE, Session,
};
use types::{FlowTuple, Mac};

use crate::{Config, Fastpath};

const GUEST: Mac = Mac([2, 0, 0, 0, 0, 4]);
/// `lo`, in every namespace. Nothing is attached to it: a test run only borrows its index.
const LO: u32 = 1;
/// Where `struct __sk_buff` has `ifindex`.
const IFINDEX: usize = 40;
const TC_ACT_REDIRECT: u32 = 7;
const REPEAT: u32 = 400_000;
const RUNS: usize = 25;
/// A packet that loses TTL comes again as often as that lasts.
const TTL_REPEAT: u32 = 250;
const TTL_RUNS: usize = 20_000;

/// A TCP packet without options, from the guest to the router.
fn packet() -> Vec<u8> {
    let mut frame = [Mac::ROUTER.0, GUEST.0].concat();
    frame.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 255, 6, 0, 0]);
    frame.extend([
        10, 0, 0, 4, 10, 0, 0, 5, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    frame.extend([0x50, 16, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
    frame
}

/// A session whose packets leave as they came, or as packets of the flow with another source address.
fn session(flow: u32, next: Option<u32>, hops: u8) -> Session {
    let source = |flow: u32| std::net::Ipv4Addr::from(0x0a00_0004 + (flow >> 16));
    let port = |flow: u32| u16::try_from(flow & 0xffff).expect("16 bits");
    let tuple = FlowTuple {
        source: source(flow).into(),
        destination: std::net::Ipv4Addr::new(10, 0, 0, 5).into(),
        protocol: 6,
        source_port: port(flow),
        destination_port: 80,
    };
    let mut action = Action {
        kind: ACTION_DELIVER,
        output: LO,
        destination_mac: Mac::ROUTER.0,
        source_mac: GUEST.0,
        mtu: 1500,
        hops,
        ..Action::default()
    };
    if let Some(next) = next {
        action.flags = REWRITE_SOURCE;
        action.source = fastpath_core::abi::address_bytes(source(next).into());
        action.source_port = port(next).to_be_bytes();
    }
    Session {
        key: [FlowKey::new(LO, &tuple), FlowKey::default()],
        action: [action, Action::default()],
        ..Session::default()
    }
}

/// The least time per packet of many runs through a circle of so many flows; each packet becomes the next flow's.
fn least(flows: u32, rewrite: bool, hops: u8) -> Duration {
    let mut fastpath = Fastpath::open(Config {
        pin_dir: None,
        max_flows: 2 * flows + 2,
        slow_ifindex: 0,
    })
    .expect("loaded");
    fastpath
        .write_port(LO, Port::guest(GUEST, 1, 1))
        .expect("room");
    for flow in 0..flows {
        // Coprime to every power of two, and far enough that no neighbour is next.
        let next = rewrite.then_some((flow + 7_919) % flows);
        fastpath
            .install(u64::from(flow) + 1, &session(flow, next, hops))
            .expect("room");
    }
    let frame = packet();
    let mut context = [0; 192];
    context[IFINDEX..IFINDEX + 4].copy_from_slice(&LO.to_ne_bytes());
    let (runs, repeat) = if hops == 0 {
        (RUNS, REPEAT)
    } else {
        (TTL_RUNS, TTL_REPEAT)
    };
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let result = fastpath
                .program(PROGRAM_PORT)
                .expect("there")
                .test_run(TestRunOptions {
                    data_in: Some(&frame),
                    ctx_in: Some(&context),
                    repeat,
                    ..TestRunOptions::default()
                })
                .expect("run");
            assert_eq!(result.return_value, TC_ACT_REDIRECT);
            result.duration
        })
        .collect();
    times.sort_unstable();
    times[0]
}

#[test]
#[ignore = "a measurement"]
fn program_time() {
    let cases = [(1, false), (1, true), (2, true), (16_384, true)];
    for (flows, rewrite) in cases {
        let time = least(flows, rewrite, 0);
        eprintln!("{flows} flows, rewrite {rewrite}: {time:?}");
    }
    eprintln!("1 flow, a router on the way: {:?}", least(1, false, 1));
}

#[test]
#[ignore = "a measurement that fills memory"]
fn program_time_at_a_million_flows() {
    eprintln!("1048576 flows, rewrite true: {:?}", least(1 << 20, true, 0));
}
