//! Real packets between instances, host and outside, through kernel program and slow path.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod world;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use agent::{Config, Revocation};
use feed::Port;
use types::DropReason;
use world::{
    NETWORK, SILENCE, Story, World, caller, connect, echoes, eventually, on_a_host, on_host, ping,
};

const ALL: &[&str] = &["web", "db", "other"];

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn instances_reach_what_groups_allow_and_nothing_else() {
    on_a_host(|| async {
        let world = World::new(Story::fresh(NETWORK, ALL)).await;
        world.serve_tcp("db", 3306).await;
        world.serve_tcp("db", 22).await;
        world.serve_tcp("web", 80).await;

        // TCP, small and large: the large one crosses as GSO packets.
        let mut stream = world.connect("web", "10.0.2.4:3306").await.unwrap();
        let (from, echoed) = on_host(move || {
            let from = caller(&mut stream);
            (from, echoes(&mut stream, 3_000_000))
        })
        .await;
        assert_eq!(from.to_string(), "10.0.1.4");
        echoed.unwrap();

        let refused = world.connect("web", "10.0.2.4:22").await;
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        let drop = world.expect_drop("web", DropReason::SecurityGroupIngress);
        assert_eq!(drop.step, Some(walk::Step::IngressSecurityGroup));
        assert_eq!(drop.tuple.unwrap().destination_port, 22);
        assert!(world.drops("web", DropReason::SecurityGroupIngress) >= 1);

        // UDP, one allowed port and one that is not.
        let db = world.story.id("db");
        let servers = world::inside(db, || {
            ["0.0.0.0:5353", "0.0.0.0:5354"].map(|at| UdpSocket::bind(at).unwrap())
        });
        let [open, closed] = servers.await;
        let client = world
            .inside("web", || UdpSocket::bind("0.0.0.0:0").unwrap())
            .await;
        client.send_to(b"hello", "10.0.2.4:5353").unwrap();
        client.send_to(b"hello", "10.0.2.4:5354").unwrap();
        on_host(move || {
            for socket in [&open, &closed, &client] {
                socket.set_read_timeout(Some(SILENCE)).unwrap();
            }
            let mut buffer = [0; 100];
            let (length, from) = open.recv_from(&mut buffer).unwrap();
            assert_eq!(
                (&buffer[..length], from.ip()),
                (&b"hello"[..], "10.0.1.4".parse().unwrap())
            );
            open.send_to(b"answer", from).unwrap();
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(
                (&buffer[..length], from),
                (&b"answer"[..], address("10.0.2.4:5353"))
            );
            assert!(closed.recv_from(&mut buffer).is_err());
        })
        .await;

        // ICMP: `web` may be pinged, `db` may not. The router answers nobody.
        assert!(
            world
                .inside("db", || ping(Ipv4Addr::new(10, 0, 1, 4)))
                .await
        );
        assert!(
            !world
                .inside("web", || ping(Ipv4Addr::new(10, 0, 2, 4)))
                .await
        );

        // The other tenant has the same addresses, and meets only its own.
        let other = world.connect("other", "10.0.2.4:3306").await;
        assert_eq!(other.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        world.expect_drop("other", DropReason::NoSuchAddress);
        assert!(!world.agent.sessions().is_empty());
        world.end().await;
    });
}

#[test]
fn the_host_meets_elastic_addresses_and_instances_meet_the_host() {
    on_a_host(|| async {
        let world = World::new(Story::fresh(NETWORK, ALL)).await;
        world.serve_tcp("web", 80).await;
        world.serve_tcp("web", 81).await;
        let mut stream = on_host(|| connect(address("203.0.113.5:80")))
            .await
            .unwrap();
        let (from, echoed) =
            on_host(move || (caller(&mut stream), echoes(&mut stream, 1_000_000))).await;
        assert_eq!(from.to_string(), "203.0.113.1");
        echoed.unwrap();
        assert!(on_host(|| ping(Ipv4Addr::new(203, 0, 113, 5))).await);

        on_host(|| connect(address("203.0.113.5:81")))
            .await
            .unwrap_err();
        assert!(
            world
                .dropped(Port::Uplink, DropReason::SecurityGroupIngress)
                .is_some()
        );
        on_host(|| connect(address("203.0.113.9:80")))
            .await
            .unwrap_err();
        assert!(
            world
                .dropped(Port::Uplink, DropReason::UnassociatedPublicAddress)
                .is_some()
        );

        // Outward: under the elastic address, or not at all.
        on_host(|| world::serve_tcp(7000)).await;
        let mut stream = world.connect("web", "203.0.113.1:7000").await.unwrap();
        let (from, echoed) =
            on_host(move || (caller(&mut stream), echoes(&mut stream, 1_000_000))).await;
        assert_eq!(from.to_string(), "203.0.113.5");
        echoed.unwrap();
        world.connect("db", "203.0.113.1:7000").await.unwrap_err();
        world.expect_drop("db", DropReason::NoRoute);
        world.connect("web", "198.51.100.1:7000").await.unwrap_err();
        world.expect_drop("web", DropReason::UplinkClosed);
        world.end().await;
    });
}

#[test]
fn forged_packets_are_dropped_and_counted() {
    on_a_host(|| async {
        let world = World::new(Story::fresh(NETWORK, ALL)).await;
        let send_from = |source: &'static str| {
            world.inside("web", move || {
                let socket = UdpSocket::bind((source, 0)).unwrap();
                socket.send_to(b"forged", "10.0.2.4:5353").unwrap();
            })
        };
        world
            .inside("web", || testkit::ip("addr add 10.0.1.77/32 dev eth0"))
            .await;
        // The first thing it sends is an ARP request in its false name.
        send_from("10.0.1.77").await;
        world::eventually("a forged ARP request is counted", || {
            world.drops("web", DropReason::ForgedArp) > 0
        })
        .await;
        // Once the router is known, the packet itself.
        world
            .inside("web", || {
                testkit::ip("neigh replace 10.0.1.1 lladdr 02:70:64:00:00:01 dev eth0");
            })
            .await;
        send_from("10.0.1.77").await;
        world::eventually("a forged address is counted", || {
            world.drops("web", DropReason::SpoofedAddress) > 0
        })
        .await;

        world
            .inside("web", || {
                testkit::ip("link set eth0 address 02:00:00:00:00:77")
            })
            .await;
        send_from("10.0.1.4").await;
        world::eventually("a forged MAC address is counted", || {
            world.drops("web", DropReason::SpoofedMac) > 0
        })
        .await;
        world.end().await;
    });
}

#[test]
fn a_rule_that_goes_cuts_what_it_allowed_if_revocation_is_strict() {
    on_a_host(|| async {
        let state = Arc::new(tempfile::tempdir().unwrap());
        let strict = |config: &mut Config| config.revocation = Revocation::Strict;
        let mut world = World::in_directory(Story::fresh(NETWORK, ALL), state, 1, strict).await;
        world.serve_tcp("db", 3306).await;
        let mut stream = world.connect("web", "10.0.2.4:3306").await.unwrap();
        let mut stream = on_host(move || {
            caller(&mut stream);
            echoes(&mut stream, 100).unwrap();
            stream
        })
        .await;
        world
            .change_network(&NETWORK.replace("in tcp 3306 from web", "in tcp 3307 from web"))
            .await;
        let still = world.agent.sessions();
        assert!(
            still
                .iter()
                .all(|session| session.tuple.destination_port != 3306),
            "{still:?}"
        );
        let mut stream = on_host(move || {
            echoes(&mut stream, 100).unwrap_err();
            stream
        })
        .await;
        // The rule comes back, and the retransmissions with it.
        world.change_network(NETWORK).await;
        on_host(move || {
            stream.set_read_timeout(Some(world::PATIENCE)).unwrap();
            echoes(&mut stream, 0).unwrap();
            let mut buffer = [0; 100];
            std::io::Read::read_exact(&mut stream, &mut buffer).unwrap();
        })
        .await;
        world.end().await;
    });
}

#[test]
fn a_tracked_connection_outlives_the_rule_that_allowed_it() {
    on_a_host(|| async {
        let mut world = World::new(Story::fresh(NETWORK, ALL)).await;
        world.serve_tcp("db", 3306).await;
        let mut stream = world.connect("web", "10.0.2.4:3306").await.unwrap();
        let mut stream = on_host(move || {
            caller(&mut stream);
            echoes(&mut stream, 100).unwrap();
            stream
        })
        .await;
        world
            .change_network(&NETWORK.replace("in tcp 3306 from web", "in tcp 3307 from web"))
            .await;
        on_host(move || echoes(&mut stream, 100).unwrap()).await;
        let again = world.connect("web", "10.0.2.4:3306").await;
        assert!(again.is_err(), "a new one is made in spite of the rules");
        world.end().await;
    });
}

#[test]
fn large_packets_cross_the_slow_path_whole() {
    on_a_host(|| async {
        let mut world = World::new(Story::fresh(NETWORK, ALL)).await;
        world.serve_tcp("db", 3306).await;
        world.serve_tcp("web", 80).await;
        let inside = world.connect("web", "10.0.2.4:3306").await.unwrap();
        let outside = on_host(|| connect(address("203.0.113.5:80")))
            .await
            .unwrap();
        let transfers: Vec<_> = [inside, outside]
            .into_iter()
            .map(|mut stream| {
                on_host(move || {
                    stream.set_read_timeout(Some(world::PATIENCE)).unwrap();
                    caller(&mut stream);
                    echoes(&mut stream, 60_000_000)
                })
            })
            .map(tokio::spawn)
            .collect();
        // Every time the rules come back, the first packet of a flow is one of its largest.
        let closed = NETWORK.replace(" tcp ", " udp ");
        for _ in 0..5 {
            tokio::time::sleep(std::time::Duration::from_millis(15)).await;
            world.change_network(&closed).await;
            world.change_network(NETWORK).await;
        }
        for transfer in transfers {
            transfer.await.unwrap().unwrap();
        }
        world.end().await;
    });
}

/// A tenant with an instance that has three interfaces, two of them in one subnet.
const HOMES: &str = "
    vpc a account 111111111111 cidr 10.0.0.0/16 gateway a
      table public
        route 0.0.0.0/0 igw a
      subnet one 10.0.1.0/24 table public
      subnet two 10.0.2.0/24 table public
      group all
        in all from 0.0.0.0/0
        out all to 0.0.0.0/0
      interface peer subnet one address 10.0.1.9 groups all
      interface first subnet one address 10.0.1.4,10.0.1.14 groups all
      interface second subnet one address 10.0.1.5,10.0.1.15 groups all
      interface third subnet two address 10.0.2.6 groups all
      elastic third 203.0.113.5 interface third
";

#[test]
fn every_interface_answers_from_its_own_addresses() {
    on_a_host(|| async {
        let story = Story::fresh(HOMES, &["peer", "first"])
            .with_interface("first", 1, "second")
            .with_interface("first", 2, "third");
        let state = std::sync::Arc::new(tempfile::tempdir().unwrap());
        let mut world = World::in_directory(story, state, 1, |_| {}).await;
        world.serve_tcp("first", 80).await;
        for to in [
            "10.0.1.4:80",
            "10.0.1.14:80",
            "10.0.1.5:80",
            "10.0.1.15:80",
            "10.0.2.6:80",
        ] {
            let mut stream = world.connect("peer", to).await.expect(to);
            on_host(move || {
                assert_eq!(caller(&mut stream).to_string(), "10.0.1.9");
                echoes(&mut stream, 100_000).unwrap();
            })
            .await;
        }
        let mut stream = on_host(|| connect(address("203.0.113.5:80")))
            .await
            .unwrap();
        on_host(move || caller(&mut stream)).await;
        // What names no address of its own goes out by the first interface.
        world.serve_tcp("peer", 81).await;
        let mut stream = world.connect("first", "10.0.1.9:81").await.unwrap();
        let from = on_host(move || caller(&mut stream)).await;
        assert_eq!(from.to_string(), "10.0.1.4");

        // Addresses come and go while the instance runs; what somebody inside adds is theirs.
        let name = format!("pd-{}", world.story.id("first"));
        testkit::ip(&format!("-n {name} addr add 192.0.2.1/32 dev eth1"));
        testkit::ip(&format!("-n {name} rule add from 192.0.2.1 table 10001"));
        let moved = HOMES
            .replace("10.0.1.4,10.0.1.14", "10.0.1.4")
            .replace("10.0.1.5,10.0.1.15", "10.0.1.5,10.0.1.14,10.0.1.16");
        world.change_network(&moved).await;
        let shown = || {
            let addresses = testkit::ask_ip(&format!("-n {name} -4 -o addr"));
            addresses + &testkit::ask_ip(&format!("-n {name} rule"))
        };
        eventually("the addresses are settled", || {
            let shown = shown();
            shown.contains("10.0.1.16") && !shown.contains("10.0.1.15")
        })
        .await;
        let mut stream = world.connect("peer", "10.0.1.14:80").await.unwrap();
        on_host(move || caller(&mut stream)).await;
        let text = shown();
        assert_eq!(text.matches("192.0.2.1").count(), 2, "{text}");

        // Rules go with their interface.
        let mut instance = world.story.instances["first"].clone();
        instance.interfaces.remove(&1);
        let change = feed::InstanceChange::Put(instance);
        world.change_instance(change).await;
        eventually("the rules of the interface go", || {
            let shown = shown();
            !shown.contains("10.0.1.5") && shown.contains("10.0.2.6 lookup 10002")
        })
        .await;
        world.end().await;
    });
}
