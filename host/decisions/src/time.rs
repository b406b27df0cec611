//! Times of log lines, and of now.

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A time in the form that gateways write (`2026-11-27T17:00:00.123Z`), or in any other of RFC 3339; in
/// milliseconds since 1970.
pub fn read(text: &str) -> Option<i64> {
    fixed(text.as_bytes()).or_else(|| {
        let time: jiff::Timestamp = text.parse().ok()?;
        Some(time.as_millisecond())
    })
}

fn fixed(text: &[u8]) -> Option<i64> {
    let &[
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
        i0,
        i1,
        b':',
        s0,
        s1,
        b'.',
        f0,
        f1,
        f2,
        b'Z',
    ] = text
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0i64, |sum, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (
        number(&[y0, y1, y2, y3])?,
        number(&[m0, m1])?,
        number(&[d0, d1])?,
    );
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[i0, i1])?, number(&[s0, s1])?);
    if !(1..=12).contains(&month)
        || !(1..=28).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        // The end of a month is left to who knows calendars.
        return None;
    }
    // Days since 1970 of a date in the Gregorian calendar; years begin in March.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + number(&[f0, f1, f2])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree() {
        let mut at: jiff::Timestamp = "1969-12-31T23:59:59.999Z".parse().unwrap();
        while at.as_second() < 4_200_000_000 {
            let text = at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
            assert_eq!(read(&text), Some(at.as_millisecond()), "{text}");
            at += jiff::SignedDuration::from_millis(60 * 60 * 1_000 * 7 + 12_345_678);
        }
        assert_eq!(read("2026-02-29T00:00:00.000Z"), None);
        assert_eq!(read("2026-11-27T18:00:00+01:00"), Some(1_795_798_800_000));
        assert_eq!(read("yesterday"), None);
    }
}
