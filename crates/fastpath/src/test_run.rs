//! The verifier-approved program, run by the kernel on arbitrary frames (`BPF_PROG_TEST_RUN`), must judge as
//! `fastpath-core` does on the host.

use std::collections::BTreeMap;

use aya::programs::{TestRun, TestRunOptions};
use fastpath_core::abi::{
    ACTION_DELIVER, Flow, FlowKey, PROGRAM_PORT, Port, Session, UPCALL_HEADER_LEN,
    UPCALL_NO_SESSION, UpcallHeader,
};
use fastpath_core::parse::head_of;
use fastpath_core::{Ingress, Ip, ingress};
use proptest::prelude::*;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use types::{DropReason, Mac};

use crate::map::{FlowKeyRecord, FlowRecord};
use crate::{Config, Fastpath};

const GUEST: Mac = Mac([2, 0, 0, 0, 0, 4]);
/// `lo`, in every namespace. Nothing is attached to it: a test run only borrows its index.
const LO: u32 = 1;
/// Where `struct __sk_buff` has `ifindex`.
const IFINDEX: usize = 40;
const TC_ACT_SHOT: u32 = 2;
const TC_ACT_REDIRECT: u32 = 7;

/// Frames from nearly good to noise.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let good = || {
        let mut frame = [Mac::ROUTER.0, GUEST.0].concat();
        frame.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend([
            10, 0, 0, 4, 10, 0, 0, 5, 0, 80, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
        frame.extend([0x50, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
        frame
    };
    let good6 = || {
        let mut frame = [Mac::ROUTER.0, GUEST.0].concat();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 12, 17, 64]);
        frame.extend([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend([0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        frame.extend([0, 80, 0, 81, 0, 12, 0, 0, 1, 2, 3, 4]);
        frame
    };
    let protocol = prop_oneof![Just(1u8), Just(6), Just(17), Just(58), any::<u8>()];
    let changes = proptest::collection::vec((0..80usize, any::<u8>()), 0..4);
    let multicast = proptest::option::weighted(0.2, any::<u8>());
    (any::<bool>(), protocol, changes, -40isize..20, multicast).prop_map(
        move |(v6, protocol, changes, longer, multicast)| {
            let mut frame = if v6 { good6() } else { good() };
            frame[if v6 { 20 } else { 23 }] = protocol;
            if let Some(byte) = multicast {
                frame[0] = byte;
            }
            for (at, byte) in changes {
                if let Some(old) = frame.get_mut(at) {
                    *old = byte;
                }
            }
            let len = frame.len().saturating_add_signed(longer);
            // A test run refuses frames that end before their IP header; a TAP carries those, in tests/kernel.rs.
            let least = match frame[12..14] {
                [8, 0] => 34,
                [0x86, 0xdd] => 54,
                _ => 15,
            };
            frame.resize(len.max(least), 0);
            frame
        },
    )
}

/// The program, with a guest's port on `lo`. Nothing without root.
fn loaded() -> Option<(Fastpath, Port)> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: this test loads eBPF, which needs root");
        return None;
    }
    let mut fastpath = Fastpath::open(Config {
        pin_dir: None,
        max_flows: 64,
        slow_ifindex: LO,
    })
    .expect("loaded");
    let port = Port::guest(GUEST, u32::MAX, 1_000_000_000);
    fastpath.write_port(LO, port).expect("room");
    Some((fastpath, port))
}

#[test]
fn the_kernel_judges_frames_as_the_host_does() {
    let Some((mut fastpath, port)) = loaded() else {
        return;
    };

    let mut seen = BTreeMap::new();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cell = std::cell::RefCell::new((&mut fastpath, &mut seen));
    runner
        .run(&frames(), |frame| {
            let (fastpath, seen) = &mut *cell.borrow_mut();
            let mut ip = Ip::default();
            let expected = ingress(&port, &head_of(&frame), frame.len(), false, &mut ip);
            let before = fastpath.drops().expect("read");
            let mut context = [0; 192];
            context[IFINDEX..IFINDEX + 4].copy_from_slice(&LO.to_ne_bytes());
            let mut out = vec![0; frame.len() + 256];
            let result = fastpath
                .program(PROGRAM_PORT)
                .expect("there")
                .test_run(TestRunOptions {
                    data_in: Some(&frame),
                    data_out: Some(&mut out),
                    ctx_in: Some(&context),
                    ..TestRunOptions::default()
                })
                .map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            let after = fastpath.drops().expect("read");
            let dropped: Vec<DropReason> = after
                .iter()
                .filter(|(key, count)| before.get(key).copied().unwrap_or(0) + 1 == **count)
                .map(|((_, reason), _)| *reason)
                .collect();
            *seen.entry(format!("{expected:?}")).or_insert(0u32) += 1;
            match expected {
                Err(reason) => {
                    prop_assert_eq!(result.return_value, TC_ACT_SHOT);
                    prop_assert_eq!(dropped, vec![reason]);
                }
                Ok(way) => {
                    prop_assert_eq!(result.return_value, TC_ACT_REDIRECT);
                    prop_assert!(dropped.is_empty());
                    out.truncate(result.data_size_out as usize);
                    let (header, rest) = UpcallHeader::split(&out).expect("an upcall");
                    let reason = match way {
                        Ingress::LookUp => UPCALL_NO_SESSION,
                        Ingress::Slow(reason) => reason,
                    };
                    prop_assert_eq!((header.reason, header.interface_index()), (reason, LO));
                    prop_assert_eq!(rest, &frame[..]);
                    prop_assert_eq!(out.len(), frame.len() + UPCALL_HEADER_LEN);
                }
            }
            Ok(())
        })
        .expect("the kernel agrees");
    // Otherwise the frames were too tame.
    assert!(seen.len() >= 9, "{seen:?}");
}

#[test]
fn a_flow_under_a_foreign_seal_is_not_followed() {
    let Some((mut fastpath, port)) = loaded() else {
        return;
    };
    let mut frame = [Mac::ROUTER.0, GUEST.0].concat();
    frame.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 4, 10, 0, 0, 5, 0, 80, 0, 81, 0, 8, 0, 0]);
    let mut ip = Ip::default();
    ingress(&port, &head_of(&frame), frame.len(), false, &mut ip).expect("a good frame");
    let mut session = Session {
        key: [ip.key(LO), FlowKey::default()],
        ..Session::default()
    };
    session.action[0].kind = ACTION_DELIVER;
    session.action[0].output = LO;
    let mut run = |flow: Flow| {
        let before = fastpath.drops().expect("read");
        let key = FlowKeyRecord(session.key[0]);
        (fastpath.maps.flows)
            .insert(key, FlowRecord(flow), 0)
            .expect("room");
        let mut context = [0; 192];
        context[IFINDEX..IFINDEX + 4].copy_from_slice(&LO.to_ne_bytes());
        let verdict = fastpath
            .program(PROGRAM_PORT)
            .expect("there")
            .test_run(TestRunOptions {
                data_in: Some(&frame),
                ctx_in: Some(&context),
                ..TestRunOptions::default()
            })
            .expect("run")
            .return_value;
        let ended = (LO, DropReason::SessionEnded);
        let count = |drops: &BTreeMap<_, u64>| drops.get(&ended).copied().unwrap_or(0);
        (
            verdict,
            count(&fastpath.drops().expect("read")) - count(&before),
        )
    };
    let own = session.flow(1, 0);
    assert_eq!(run(own), (TC_ACT_REDIRECT, 0));
    // As when the memory went to another flow between look-up and use.
    let foreign = Flow {
        seal: own.seal ^ 1,
        ..own
    };
    assert_eq!(run(foreign), (TC_ACT_SHOT, 1));
}
