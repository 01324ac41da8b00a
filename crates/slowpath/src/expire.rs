//! When a session has been silent for too long.

use fastpath_core::abi::{Session, TCP_ACK, TCP_FIN, TCP_RST};
use topology::IdleTimes;
use types::proto;

/// How long a session may be silent, in nanoseconds. The defaults are those of EC2's connection tracking
/// ("Idle connection tracking timeout") where EC2 documents one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// TCP, acknowledged in both directions. 350 s, as on Nitro instances of the sixth generation on.
    pub tcp_established_ns: u64,
    /// TCP, not yet acknowledged in both directions. 30 s: the client's retransmitted SYN makes a new session.
    pub tcp_opening_ns: u64,
    /// TCP, finished in both directions or reset. 10 s: late retransmissions still pass.
    pub tcp_closing_ns: u64,
    /// UDP with packets in one direction only. 30 s.
    pub udp_one_way_ns: u64,
    /// UDP with packets in both directions. 180 s.
    pub udp_stream_ns: u64,
    /// ICMP echo. 30 s.
    pub icmp_ns: u64,
    /// Every other protocol. 180 s.
    pub other_ns: u64,
}

const SECOND_NS: u64 = 1_000_000_000;
const NAT_NS: u64 = 350 * SECOND_NS;

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            tcp_established_ns: 350 * SECOND_NS,
            tcp_opening_ns: 30 * SECOND_NS,
            tcp_closing_ns: 10 * SECOND_NS,
            udp_one_way_ns: 30 * SECOND_NS,
            udp_stream_ns: 180 * SECOND_NS,
            icmp_ns: 30 * SECOND_NS,
            other_ns: 180 * SECOND_NS,
        }
    }
}

/// What the kernel program has seen of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Activity {
    /// When a packet of either direction was last seen, in nanoseconds of the caller's clock.
    pub last_seen_ns: u64,
    /// All TCP flags seen, ORed, per direction.
    pub tcp_flags: [u8; 2],
    /// Packets per direction.
    pub packets: [u64; 2],
}

impl From<&Session> for Activity {
    fn from(session: &Session) -> Activity {
        Activity {
            last_seen_ns: session.last_seen_ns,
            tcp_flags: [session.tcp_flags_seen(0), session.tcp_flags_seen(1)],
            packets: session.packets,
        }
    }
}

impl Timeouts {
    /// With an interface's own times, where it has some.
    #[must_use]
    pub fn of_interface(self, own: &IdleTimes) -> Timeouts {
        let ns = |seconds: Option<u32>, default| {
            seconds.map_or(default, |seconds| u64::from(seconds) * SECOND_NS)
        };
        Timeouts {
            tcp_established_ns: ns(own.tcp_established, self.tcp_established_ns),
            udp_one_way_ns: ns(own.udp, self.udp_one_way_ns),
            udp_stream_ns: ns(own.udp_stream, self.udp_stream_ns),
            ..self
        }
    }

    /// The shorter of each of the times that interfaces have: a flow is known as long as both its ends know it.
    #[must_use]
    pub fn shorter(self, other: Timeouts) -> Timeouts {
        Timeouts {
            tcp_established_ns: self.tcp_established_ns.min(other.tcp_established_ns),
            udp_one_way_ns: self.udp_one_way_ns.min(other.udp_one_way_ns),
            udp_stream_ns: self.udp_stream_ns.min(other.udp_stream_ns),
            ..self
        }
    }

    /// Of a flow that a NAT gateway translates: the gateway forgets it after 350 s (EC2 "NAT gateway timeout").
    #[must_use]
    pub fn translated(self) -> Timeouts {
        Timeouts {
            tcp_established_ns: self.tcp_established_ns.min(NAT_NS),
            ..self
        }
    }

    /// How long a session of this protocol may be silent, given what was seen of it.
    #[must_use]
    pub fn of(&self, protocol: u8, activity: &Activity) -> u64 {
        let both = |flag: u8| activity.tcp_flags.iter().all(|flags| flags & flag != 0);
        let any = |flag: u8| activity.tcp_flags.iter().any(|flags| flags & flag != 0);
        match protocol {
            proto::TCP if any(TCP_RST) || both(TCP_FIN) => self.tcp_closing_ns,
            proto::TCP if both(TCP_ACK) => self.tcp_established_ns,
            proto::TCP => self.tcp_opening_ns,
            proto::UDP if activity.packets.contains(&0) => self.udp_one_way_ns,
            proto::UDP => self.udp_stream_ns,
            proto::ICMP | proto::ICMPV6 => self.icmp_ns,
            _ => self.other_ns,
        }
    }

    /// Whether a session of this protocol has been silent for too long. `full` says how much of the room for sessions
    /// is in use, in 256ths: from [`SHORT_OF_ROOM`] on, what was never answered or has ended may be silent for less and
    /// less, so that it goes before anything that is established.
    #[must_use]
    pub fn expired(&self, now_ns: u64, protocol: u8, activity: &Activity, full: u64) -> bool {
        let established = match protocol {
            proto::TCP => self.of(protocol, activity) == self.tcp_established_ns,
            _ => !activity.packets.contains(&0),
        };
        let silence = self.of(protocol, activity);
        let silence = if established {
            silence
        } else {
            shortened(silence, full)
        };
        // A record written by another processor may be newer than `now_ns`.
        now_ns.saturating_sub(activity.last_seen_ns) >= silence
    }

    /// The shortest silence after which any session goes, where so much of the room is in use.
    #[must_use]
    pub fn least(&self, full: u64) -> u64 {
        let shortest = [
            self.tcp_opening_ns,
            self.tcp_closing_ns,
            self.udp_one_way_ns,
            self.icmp_ns,
            self.other_ns,
        ];
        let shortest = shortest.into_iter().min().unwrap_or(0);
        shortened(shortest, full)
    }
}

/// From which fullness on, in 256ths, sessions that are not established go sooner.
const SHORT_OF_ROOM: u64 = 192;

/// The whole time below [`SHORT_OF_ROOM`], a sixteenth at the bound, and in between in proportion.
fn shortened(silence_ns: u64, full: u64) -> u64 {
    let over = full.clamp(SHORT_OF_ROOM, 256) - SHORT_OF_ROOM;
    let range = 256 - SHORT_OF_ROOM;
    silence_ns / 16 * (16 * range - 15 * over) / range
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_packets_choose_the_timeout() {
        let t = Timeouts::default();
        let of = |protocol, tcp_flags, packets| {
            t.of(
                protocol,
                &Activity {
                    last_seen_ns: 0,
                    tcp_flags,
                    packets,
                },
            ) / SECOND_NS
        };
        assert_eq!(of(proto::TCP, [0x02, 0x00], [1, 0]), 30);
        assert_eq!(of(proto::TCP, [0x02, 0x12], [1, 1]), 30);
        assert_eq!(of(proto::TCP, [0x12, 0x12], [2, 1]), 350);
        assert_eq!(of(proto::TCP, [0x13, 0x12], [3, 2]), 350, "half closed");
        assert_eq!(of(proto::TCP, [0x13, 0x13], [3, 3]), 10);
        assert_eq!(of(proto::TCP, [0x02, 0x14], [1, 1]), 10, "refused");
        assert_eq!(of(proto::UDP, [0, 0], [9, 0]), 30);
        assert_eq!(of(proto::UDP, [0, 0], [1, 1]), 180);
        assert_eq!(of(proto::ICMP, [0, 0], [1, 1]), 30);
        assert_eq!(of(47, [0, 0], [1, 1]), 180);
    }

    #[test]
    fn interfaces_have_times_of_their_own_and_the_shorter_counts() {
        let long = IdleTimes {
            tcp_established: Some(432_000),
            udp: Some(60),
            udp_stream: None,
        };
        let short = IdleTimes {
            tcp_established: Some(60),
            ..IdleTimes::default()
        };
        let default = Timeouts::default();
        let long = default.of_interface(&long);
        assert_eq!(long.tcp_established_ns, 432_000 * SECOND_NS);
        assert_eq!(long.udp_one_way_ns, 60 * SECOND_NS);
        assert_eq!(long.udp_stream_ns, default.udp_stream_ns);
        assert_eq!(long.translated().tcp_established_ns, NAT_NS);
        let both = long.shorter(default.of_interface(&short));
        assert_eq!(both.tcp_established_ns, 60 * SECOND_NS);
        assert_eq!(both.udp_one_way_ns, 30 * SECOND_NS);
    }

    #[test]
    fn a_clock_that_lags_expires_nothing() {
        let t = Timeouts::default();
        let seen = |last_seen_ns| Activity {
            last_seen_ns,
            ..Activity::default()
        };
        assert!(!t.expired(5, proto::UDP, &seen(6), 0));
        assert!(!t.expired(30 * SECOND_NS - 1, proto::UDP, &seen(0), 0));
        assert!(t.expired(30 * SECOND_NS, proto::UDP, &seen(0), 0));
    }

    #[test]
    fn the_unanswered_go_first_where_room_is_short() {
        let t = Timeouts::default();
        let open = Activity {
            tcp_flags: [0x12, 0x12],
            packets: [2, 2],
            ..Activity::default()
        };
        let half = Activity {
            tcp_flags: [0x02, 0x00],
            packets: [1, 0],
            ..Activity::default()
        };
        let silence = |activity, full| {
            let expired = |ms: &u64| t.expired(ms * 1_000_000, proto::TCP, activity, full);
            (0..400_000).step_by(125).find(expired).expect("some time")
        };
        for full in [0, 192, 230, 256, 300] {
            assert_eq!(silence(&open, full), 350_000, "{full}");
        }
        assert_eq!((silence(&half, 0), silence(&half, 192)), (30_000, 30_000));
        assert!((10_000..20_000).contains(&silence(&half, 224)));
        assert_eq!(silence(&half, 256), 1_875);
        assert!(t.least(256) < SECOND_NS && t.least(0) == t.tcp_closing_ns);
    }
}
