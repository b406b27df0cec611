//! Times of log lines, and of now.

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A time as gateways write it (`2026-11-27T17:00:00.123Z`), or in any other form of RFC 3339; in
/// milliseconds since 1970.
pub fn read(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        assert_eq!(read("2026-11-27T17:00:00.123Z"), Some(1_795_798_800_123));
        assert_eq!(read("2026-11-27T18:00:00+01:00"), Some(1_795_798_800_000));
        assert_eq!(read("2026-02-29T00:00:00.000Z"), None);
        assert_eq!(read("yesterday"), None);
    }
}
