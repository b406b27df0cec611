//! Finding the ends of tokens.

use super::wide::{self, WIDE};

/// Bytes at the start of `bytes` that are plain string content: no quote, no backslash, no control
/// character.
#[inline(always)]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let (chunks, tail) = bytes.as_chunks::<WIDE>();
    let mut done = 0;
    for chunk in chunks {
        let at = wide::special(chunk);
        done += at;
        if at < WIDE {
            return done;
        }
    }
    done + plain_tail(tail)
}

fn plain_tail(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut done = 0;
    for word in words {
        let at = wide::special_of_word(*word);
        done += at;
        if at < 8 {
            return done;
        }
    }
    done + tail
        .iter()
        .position(|b| *b < 0x20 || *b == b'"' || *b == b'\\')
        .unwrap_or(tail.len())
}

/// How a scan of string content ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StringScan {
    /// At the closing quote, which stands at this index.
    Closed(usize),
    /// At the end of the bytes; everything before this index is whole (an escape may be cut).
    Open(usize),
    /// At a byte that a string may not have.
    Bad(usize),
}

/// Scans string content (after the opening quote) from `at`.
#[inline(always)]
pub(super) fn string(bytes: &[u8], at: usize) -> StringScan {
    let end = at + plain(bytes.get(at..).unwrap_or_default());
    match bytes.get(end) {
        Some(b'"') => StringScan::Closed(end),
        _ => escaped(bytes, end),
    }
}

/// The rest of a string that is not plain to its end.
#[inline(never)]
fn escaped(bytes: &[u8], mut at: usize) -> StringScan {
    loop {
        at += plain(bytes.get(at..).unwrap_or_default());
        match bytes.get(at) {
            None => return StringScan::Open(at),
            Some(b'"') => return StringScan::Closed(at),
            Some(b'\\') => match bytes.get(at + 1) {
                None => return StringScan::Open(at),
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let hex = bytes
                        .get(at + 2..bytes.len().min(at + 6))
                        .unwrap_or_default();
                    if !hex.iter().all(u8::is_ascii_hexdigit) {
                        return StringScan::Bad(at);
                    }
                    if hex.len() < 4 {
                        return StringScan::Open(at);
                    }
                    at += 6;
                }
                Some(_) => return StringScan::Bad(at),
            },
            Some(_) => return StringScan::Bad(at),
        }
    }
}

/// Bytes at the start of `bytes` that JSON counts as white space.
#[inline]
pub(super) fn white(bytes: &[u8]) -> usize {
    // Most JSON has none between tokens.
    if bytes.first().is_some_and(|b| *b > b' ') {
        return 0;
    }
    bytes
        .iter()
        .position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
        .unwrap_or(bytes.len())
}

/// Bytes at the start of `bytes` that can belong to a number or literal.
pub(super) fn token(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')))
        .unwrap_or(bytes.len())
}

/// Whether the bytes are a number by the grammar of RFC 8259, section 6.
pub(super) fn is_number(bytes: &[u8]) -> bool {
    fn digits(b: &[u8]) -> (usize, &[u8]) {
        let n = b.iter().take_while(|b| b.is_ascii_digit()).count();
        (n, b.get(n..).unwrap_or_default())
    }
    let rest = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let (whole, mut rest) = match rest {
        [b'0', tail @ ..] => (1, tail),
        _ => digits(rest),
    };
    if whole == 0 {
        return false;
    }
    if let [b'.', tail @ ..] = rest {
        let (n, after) = digits(tail);
        if n == 0 {
            return false;
        }
        rest = after;
    }
    if let [b'e' | b'E', tail @ ..] = rest {
        let tail = match tail {
            [b'+' | b'-', t @ ..] => t,
            t => t,
        };
        let (n, after) = digits(tail);
        if n == 0 {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_follow_the_grammar() {
        for good in [
            "0",
            "-0",
            "12",
            "1.0",
            "1e9",
            "1E+9",
            "-1.25e-3",
            "12345678901234567890.00",
        ] {
            assert!(is_number(good.as_bytes()), "{good}");
        }
        for bad in [
            "", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "1.2.3", "--1",
        ] {
            assert!(!is_number(bad.as_bytes()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn plain_agrees_with_a_byte_at_a_time(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let slow = bytes.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\');
            prop_assert_eq!(plain(&bytes), slow.unwrap_or(bytes.len()));
        }

        #[test]
        fn plain_passes_long_text(text in "[a-zA-Z0-9é漢 ]{0,200}") {
            prop_assert_eq!(plain(text.as_bytes()), text.len());
        }
    }
}
