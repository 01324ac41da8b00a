//! The token bucket that bounds upcalls, in the form of the generic cell rate algorithm: one number says when the
//! bucket would be full again, so that one compare-and-swap admits a packet.

/// Whether a bucket that will be full at `full_ns` admits one more at `now_ns`: the new `full_ns` if so. A packet
/// costs `interval_ns`; the bucket may run `burst_ns` ahead of the clock.
#[must_use]
#[inline(always)]
pub const fn admit(full_ns: u64, now_ns: u64, interval_ns: u64, burst_ns: u64) -> Option<u64> {
    let start = if full_ns > now_ns { full_ns } else { now_ns };
    let next = start.wrapping_add(interval_ns);
    if next.wrapping_sub(now_ns) > burst_ns {
        None
    } else {
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let (interval, burst) = (1_000, 5_000);
        let mut full = 0;
        let mut admitted = |now: u64| match admit(full, now, interval, burst) {
            Some(next) => {
                full = next;
                true
            }
            None => false,
        };
        let at_once = (0..100).filter(|_| admitted(1_000_000)).count();
        assert_eq!(at_once, 5);
        let later = (0..10_000)
            .filter(|n| admitted(1_000_000 + n * 100))
            .count();
        assert!((995..=1005).contains(&later), "{later}");
    }

    #[test]
    fn one_upcall_of_burst_one_passes() {
        assert!(admit(0, 1, 1_000_000_000, 1_000_000_000).is_some());
    }
}
