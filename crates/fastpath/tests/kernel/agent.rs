//! Two guests on a host, and an agent without a policy.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use fastpath::abi::{
    self, ACTION_DELIVER, Action, FlowKey, Output, Port, REWRITE_DESTINATION, REWRITE_SOURCE,
    Session, UPCALL_NO_SESSION, UpcallHeader, encode_output,
};
use fastpath::{Config, Fastpath, Tap, VnetHeader};
use fastpath_core::{ChecksumState, Parsed, SliceFrame, execute, parse_frame};
use types::{FlowTuple, Mac};

use testkit::{Namespace, ifindex, ip};

pub(crate) const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);
pub(crate) const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
/// What B is called by A, and A by B, where addresses are translated.
pub(crate) const B_PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
pub(crate) const A_PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 4);
pub(crate) const A_MAC: Mac = Mac([2, 0, 0, 0, 0, 4]);
pub(crate) const B_MAC: Mac = Mac([2, 0, 0, 0, 0, 5]);

/// Two guests on a host of their own.
pub(crate) struct World {
    pub(crate) host: Namespace,
    pub(crate) a: Namespace,
    pub(crate) b: Namespace,
}

impl World {
    /// Makes the namespaces and moves the calling thread into the host's.
    pub(crate) fn new() -> World {
        let world = World {
            host: Namespace::new("host"),
            a: Namespace::new("a"),
            b: Namespace::new("b"),
        };
        world.host.enter();
        for (port, mac, address, guest) in
            [("pda", A_MAC, A, &world.a), ("pdb", B_MAC, B, &world.b)]
        {
            let router = Mac::ROUTER;
            ip(&format!(
                "link add {port} address {router} type veth peer name eth0 address {mac} netns {}",
                guest.name()
            ));
            // No neighbour discovery between the packets of a test.
            ip(&format!("link set {port} addrgenmode none"));
            guest.ip("link set eth0 addrgenmode none");
            ip(&format!("link set {port} up"));
            guest.ip("link set eth0 up");
            guest.ip(&format!("addr add {address}/32 dev eth0"));
            guest.ip("route add default dev eth0 scope link");
            for neighbour in [A, B, A_PUBLIC, B_PUBLIC] {
                guest.ip(&format!(
                    "neigh add {neighbour} lladdr {router} dev eth0 nud permanent"
                ));
            }
        }
        world
    }
}

/// What an agent does, without any policy: whoever is addressed gets the packet.
pub(crate) struct Agent {
    pub(crate) fastpath: Fastpath,
    pub(crate) tap: Tap,
    pub(crate) ports: BTreeMap<Ipv4Addr, (u32, Mac)>,
    pub(crate) install: bool,
    pub(crate) sessions: u64,
    pub(crate) largest: usize,
}

pub(crate) fn translated(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(B_PUBLIC) => IpAddr::V4(B),
        IpAddr::V4(A_PUBLIC) => IpAddr::V4(A),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

pub(crate) fn public(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(B) => IpAddr::V4(B_PUBLIC),
        IpAddr::V4(A) => IpAddr::V4(A_PUBLIC),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

impl Agent {
    pub(crate) fn new(pin_dir: Option<std::path::PathBuf>) -> Agent {
        let tap = Tap::open("pdslow").expect("a TAP");
        ip("link set pdslow addrgenmode none");
        ip("link set pdslow up");
        let mut fastpath = Fastpath::open(Config {
            pin_dir,
            max_flows: 1024,
            slow_ifindex: 0,
        })
        .expect("the kernel takes the program");
        fastpath
            .attach_slow(tap.ifindex().expect("index"))
            .expect("attached");
        let mut ports = BTreeMap::new();
        for (name, address, mac) in [("pda", A, A_MAC), ("pdb", B, B_MAC)] {
            let port = ifindex(name);
            fastpath
                .attach_port(port, Port::guest(mac, 10_000, 1_000))
                .expect("attached");
            ports.insert(address, (port, mac));
        }
        Agent {
            fastpath,
            tap,
            ports,
            install: true,
            sessions: 0,
            largest: 0,
        }
    }

    /// The session of a packet that arrives at a port; `None` if nobody has the address.
    pub(crate) fn session(&self, port: u32, tuple: &FlowTuple) -> Option<Session> {
        let IpAddr::V4(destination) = translated(tuple.destination) else {
            return None;
        };
        let (output, mac) = *self.ports.get(&destination)?;
        let back_mac = self.ports.values().find(|(p, _)| *p == port)?.1;
        let nat = translated(tuple.destination) != tuple.destination;
        let inner = FlowTuple {
            source: if nat {
                public(tuple.source)
            } else {
                tuple.source
            },
            destination: IpAddr::V4(destination),
            ..*tuple
        };
        let action = |output, mac: Mac, to: FlowTuple| Action {
            kind: ACTION_DELIVER,
            flags: if nat {
                REWRITE_SOURCE | REWRITE_DESTINATION
            } else {
                0
            },
            output,
            destination_mac: mac.0,
            source_mac: Mac::ROUTER.0,
            source: abi::address_bytes(to.source),
            destination: abi::address_bytes(to.destination),
            source_port: to.source_port.to_be_bytes(),
            destination_port: to.destination_port.to_be_bytes(),
            ..Action::default()
        };
        Some(Session {
            key: [
                FlowKey::new(port, tuple),
                FlowKey::new(output, &inner.reversed()),
            ],
            action: [
                action(output, mac, inner),
                action(port, back_mac, tuple.reversed()),
            ],
            ..Session::default()
        })
    }

    /// Takes one upcall, if there is one within the timeout.
    pub(crate) fn step(&mut self, timeout_ms: i64) {
        let Some((header, upcall, mut frame)) = self.receive(timeout_ms) else {
            return;
        };
        if upcall.reason != UPCALL_NO_SESSION {
            return;
        }
        let Ok(Parsed::Ip(packet)) = parse_frame(&frame) else {
            panic!("the kernel sent up what cannot be parsed: {frame:02x?}");
        };
        let key = packet.key(upcall.interface_index());
        let Some(session) = self.session(upcall.interface_index(), &key.tuple()) else {
            return;
        };
        if self.install {
            self.sessions += 1;
            self.fastpath
                .install(self.sessions, &session)
                .expect("room");
        }
        let state = if header.needs_checksum {
            ChecksumState::Partial
        } else {
            ChecksumState::Complete
        };
        execute(
            &mut SliceFrame::new(&mut frame, state),
            &packet,
            packet.packet_len,
            &session.action[0],
        )
        .expect("whole");
        let output = Output::Deliver(session.action[0].output);
        frame[6..12].copy_from_slice(&encode_output(output).expect("small"));
        self.tap.write(header, &frame).expect("taken");
    }

    pub(crate) fn receive(
        &mut self,
        timeout_ms: i64,
    ) -> Option<(VnetHeader, UpcallHeader, Vec<u8>)> {
        let timeout = rustix::time::Timespec {
            tv_sec: timeout_ms / 1000,
            tv_nsec: timeout_ms % 1000 * 1_000_000,
        };
        let mut poll = [rustix::event::PollFd::new(
            &self.tap,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut poll, Some(&timeout)).expect("poll");
        let mut buffer = vec![0; 70_000];
        let len = self.tap.read(&mut buffer).ok()?;
        let (header, rest) = VnetHeader::split(&buffer[..len])?;
        let (upcall, frame) = UpcallHeader::split(rest)?;
        self.largest = self.largest.max(frame.len());
        Some((header.advanced(16)?, upcall, frame.to_vec()))
    }

    /// Runs on a thread of the host until told to stop.
    pub(crate) fn run(mut self, world: &World) -> (JoinHandle<Agent>, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = world.host.run(move || {
            while !stopped.load(Ordering::Relaxed) {
                self.step(10);
            }
            self
        });
        (thread, stop)
    }
}
