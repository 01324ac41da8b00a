//! Frames from every port of a small network, which changes meanwhile: nothing panics, every frame has one outcome, and
//! what is emitted goes to a port that there is (the host of the tests checks more).

#[path = "../../crates/slowpath/tests/common/mod.rs"]
mod common;

use common::{Host, PORTS, UPLINK};
use fastpath_core::{ChecksumState, Verdict};
use slowpath::{Effects, Outcome};
use topology::{Change, Object};
use types::{DropReason, Mac};

/// The most frames of one run.
const MAX_FRAMES: usize = 64;

/// Records of choices, length and bytes.
pub(crate) fn run(data: &[u8]) {
    let mut host = Host::new();
    let mut rest = data;
    for _ in 0..MAX_FRAMES {
        let [choice, kind, high, low, after @ ..] = rest else {
            return;
        };
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (bytes, next) = after.split_at(len);
        rest = next;
        match kind % 16 {
            0 => change(&mut host, *choice),
            1 => sweep(&mut host, *choice),
            2 => restart(&mut host),
            _ => frame(&mut host, *choice, *kind, bytes),
        }
    }
}

fn frame(host: &mut Host, choice: u8, kind: u8, bytes: &[u8]) {
    let (name, port) = PORTS
        .get(usize::from(choice & 7))
        .copied()
        .unwrap_or(("uplink", UPLINK));
    let mut frame = bytes.to_vec();
    // Mutations would hardly ever find these.
    if kind & 0x10 != 0 && frame.len() >= 14 {
        let mac = if port == UPLINK {
            common::HOST_MAC
        } else {
            mac_of(host, name)
        };
        frame[6..12].copy_from_slice(&mac.0);
        if kind & 0x20 != 0 {
            frame[..6].copy_from_slice(&Mac::ROUTER.0);
        }
    }
    let checksum = if choice & 8 == 0 {
        ChecksumState::Complete
    } else {
        ChecksumState::Partial
    };
    if kind & 0x40 != 0
        && let Some((verdict, _)) = host.kernel.run(host.now_ns, port, &frame, checksum)
    {
        assert!(matches!(
            verdict,
            Verdict::Deliver(_) | Verdict::Transmit(_)
        ));
        return;
    }
    let sent = host.up_port(port, &frame, checksum);
    let counts = (sent.emitted.len(), sent.drops.len());
    match sent.outcome {
        Outcome::Answered => assert_eq!(counts, (1, 0)),
        // In pieces, if it was too big; and with it the fragments that have waited for it.
        Outcome::Forwarded => assert!(counts.0 >= 1, "{counts:?}"),
        Outcome::Held => assert_eq!(counts.0, 0),
        // Of these the sender may be told.
        Outcome::Dropped(DropReason::TtlExceeded | DropReason::TooBig) => {
            assert!(counts.0 <= 1 && counts.1 >= 1, "{counts:?}");
        }
        Outcome::Dropped(_) => assert!(counts.0 == 0 && counts.1 >= 1, "{counts:?}"),
        Outcome::Consumed => assert_eq!(counts, (0, 0)),
    }
}

fn mac_of(host: &Host, name: &str) -> Mac {
    let id = host.network.interface(name);
    for object in &host.network.objects {
        if let Object::Interface(interface) = object
            && interface.id == id
        {
            return interface.mac;
        }
    }
    Mac::default()
}

/// A new process adopts the table, in which nothing has changed.
fn restart(host: &mut Host) {
    host.restart();
    host.adopt();
}

/// An object goes or comes back.
fn change(host: &mut Host, choice: u8) {
    let objects = host.network.objects.clone();
    let object = &objects[usize::from(choice >> 1) % objects.len()];
    let change = if choice & 1 == 0 {
        Change::Put(object.clone())
    } else {
        object.removal()
    };
    host.change(&[change]);
}

fn sweep(host: &mut Host, choice: u8) {
    host.now_ns += u64::from(choice) * 1_000_000_000;
    host.core
        .lend(host.now_ns + u64::from(choice) * 1_000_000_000);
    let sessions: Vec<_> = host.kernel.sessions.clone().into_iter().collect();
    let mut effects = Effects::default();
    host.core.sweep(host.now_ns, &sessions, &mut effects);
    if choice & 1 == 0 {
        host.core.swept(&mut effects);
    }
    host.settle(Outcome::Consumed, effects);
}
