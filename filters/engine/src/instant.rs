//! Moments, as policy data writes them.

/// Seconds since 1970 of a moment in UTC, written `2026-12-01T00:00:00Z` (RFC 3339, section 5.6, with
/// the offset `Z` and no fraction); `None` if it is written otherwise or is before 1970.
pub fn utc_seconds(text: &str) -> Option<u64> {
    let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let [
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
        b'Z',
    ] = bytes
    else {
        return None;
    };
    let number = |digits: &[&u8]| {
        digits.iter().try_fold(0u64, |n, d| {
            d.is_ascii_digit().then(|| n * 10 + u64::from(**d - b'0'))
        })
    };
    let (year, month, day) = (
        number(&[y0, y1, y2, y3])?,
        number(&[m0, m1])?,
        number(&[d0, d1])?,
    );
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[n0, n1])?, number(&[s0, s1])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days of the civil calendar, in years that begin in March (H. Hinnant, "chrono-compatible
    // low-level date algorithms").
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::utc_seconds;

    #[test]
    fn reads_moments_and_nothing_else() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-03-01T00:00:01Z", Some(59 * 86_400 + 1)),
            ("2000-02-29T23:59:59Z", Some(951_868_799)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600)),
            ("2026-12-01T00:00:00Z", Some(1_796_083_200)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-02-29T00:00:00Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-12-00T00:00:00Z", None),
            ("2026-12-01T24:00:00Z", None),
            ("2026-12-01T00:60:00Z", None),
            ("2026-12-01T00:00:60Z", None),
            ("2026-12-01T00:00:00+01:00", None),
            ("2026-12-01T00:00:00.5Z", None),
            ("2026-12-01", None),
            ("+026-12-01T00:00:00Z", None),
            ("2026-12-01t00:00:00z", None),
            ("", None),
        ] {
            assert_eq!(utc_seconds(text), want, "{text}");
        }
    }
}
