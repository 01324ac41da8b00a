//! Points in time as policies and context keys write them.

/// Milliseconds since 1970-01-01T00:00:00Z from ISO 8601 text (`2026-01-02T03:04:05Z`, `2026-01-02`) or from a
/// number of seconds since then.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    // A date alone is its first moment in UTC.
    let moment = format!("{text}T00:00:00Z");
    let time: jiff::Timestamp = moment.parse().ok()?;
    Some(time.as_millisecond())
}

/// ISO 8601 in UTC, in whole seconds, as `aws:CurrentTime` has it: `2026-01-02T03:04:05Z`. Empty for a time that no
/// calendar has.
#[must_use]
pub fn iso(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000))
        .map(|time| time.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(parse_time("0"), Some(0));
        assert_eq!(parse_time("1767323045"), Some(1_767_323_045_000));
        assert_eq!(parse_time("2026-01-02T03:04:05Z"), Some(1_767_323_045_000));
        assert_eq!(
            parse_time("2026-01-02T04:04:05+01:00"),
            Some(1_767_323_045_000)
        );
        assert_eq!(parse_time("1970-01-02"), Some(86_400_000));
        for bad in ["", "today", "2026-13-01", "2026-01-02T03:04:05", "1e5"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
        assert_eq!(iso(1_767_323_045_999), "2026-01-02T03:04:05Z");
        assert_eq!(iso(i64::MAX), "");
    }
}
