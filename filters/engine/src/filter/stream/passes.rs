//! Which of the upstream's response headers pass.

use crate::filter::{Headers, is_among};

/// Whether a value is what its header's values are.
type Shape = fn(&str) -> bool;

/// Response headers that pass, if all their values look like what they are. Any other can hold what
/// the body must not show (a location, a cookie, something for debugging), or describes a body that
/// is no longer the same.
const PASSES: [(&str, Shape); 14] = [
    (":status", is_number),
    ("access-control-allow-credentials", |v| v == "true"),
    ("access-control-allow-headers", are_tokens),
    ("access-control-allow-methods", are_tokens),
    ("access-control-allow-origin", is_origin),
    ("access-control-expose-headers", are_tokens),
    ("access-control-max-age", is_number),
    ("date", is_date),
    ("retry-after", |v| is_number(v) || is_date(v)),
    ("server", are_products),
    ("strict-transport-security", is_transport_security),
    ("transfer-encoding", |v| v.eq_ignore_ascii_case("chunked")),
    ("vary", are_tokens),
    ("x-request-id", is_token),
];

/// Whether the header passes. Those of `configured` pass whatever their values are. The content type
/// is none of these: the filter writes its own.
pub(super) fn passes(name: &str, headers: Headers<'_>, configured: &[String]) -> bool {
    if is_among(name, configured) {
        return true;
    }
    let known = PASSES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    known.is_some_and(|(_, looks)| {
        let values = headers.all(name);
        let fits = |v: &&[u8]| std::str::from_utf8(v).is_ok_and(looks);
        values.iter().all(fits)
    })
}

fn is_number(value: &str) -> bool {
    (1..=10).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
}

/// A token (RFC 9110 §5.6.2).
fn is_token(value: &str) -> bool {
    (1..=128).contains(&value.len()) && value.bytes().all(crate::filter::is_token_byte)
}

/// Tokens with commas between.
fn are_tokens(value: &str) -> bool {
    value.split(',').all(|t| is_token(t.trim()))
}

/// Names of products, with versions or without (RFC 9110 §10.2.4); no comments.
fn are_products(value: &str) -> bool {
    value
        .split(' ')
        .all(|product| match product.split_once('/') {
            Some((name, version)) => is_token(name) && is_token(version),
            None => is_token(product),
        })
}

/// `*`, `null`, or `scheme://host:port` (RFC 6454 §6.2).
fn is_origin(value: &str) -> bool {
    if matches!(value, "*" | "null") {
        return true;
    }
    let host = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    value.split_once("://").is_some_and(|(scheme, authority)| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"+.-".contains(&b);
        !scheme.is_empty()
            && scheme.bytes().all(legal)
            && (1..=259).contains(&authority.len())
            && authority.bytes().all(host)
    })
}

/// A date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn is_date(value: &str) -> bool {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let pattern = b"aaa, 00 aaa 0000 00:00:00 GMT";
    value.len() == pattern.len()
        && value.bytes().zip(pattern).all(|(b, p)| match p {
            b'a' => b.is_ascii_alphabetic(),
            b'0' => b.is_ascii_digit(),
            _ => b == *p,
        })
        && value.get(..3).is_some_and(|d| DAYS.contains(&d))
        && value.get(8..11).is_some_and(|m| MONTHS.contains(&m))
}

/// Directives of RFC 6797 §6.1.
fn is_transport_security(value: &str) -> bool {
    value.split(';').map(str::trim).all(|d| {
        is_among(d, &["includeSubDomains", "preload"])
            || d.split_once('=').is_some_and(|(name, age)| {
                name.trim().eq_ignore_ascii_case("max-age")
                    && is_number(age.trim().trim_matches('"'))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_passes_if_it_is_what_it_says() {
        for (name, good, bad) in [
            ("vary", "origin, Accept-Encoding", "SECRETada@acme.example"),
            ("vary", "*", "a b"),
            ("retry-after", "120", "SECRET"),
            (
                "retry-after",
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "731000001731",
            ),
            (
                "date",
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "SEC, 06 Nov 1994 08:49:37 GMT",
            ),
            ("date", "Mon, 01 Feb 2027 00:00:00 GMT", "now"),
            ("access-control-allow-origin", "*", "ada@acme.example"),
            (
                "Access-Control-Allow-Origin",
                "https://app.example:8443",
                "https://a@b.example",
            ),
            (
                "access-control-allow-origin",
                "null",
                "https://a.example/SECRET",
            ),
            ("access-control-allow-credentials", "true", "SECRET"),
            ("access-control-expose-headers", "x-a, x-b", "ada lovelace"),
            ("access-control-max-age", "600", "ten"),
            ("server", "nginx/1.27 app", "SECRETada@acme.example"),
            (
                "strict-transport-security",
                "max-age=1; includeSubDomains",
                "max-age=1; SECRET",
            ),
            ("transfer-encoding", "chunked", "gzip, chunked"),
            ("x-request-id", "7f0a-1", "ada@acme.example"),
        ] {
            for (value, want) in [(good, true), (bad, false)] {
                let head = [(name.to_owned(), value.as_bytes().to_vec())];
                assert_eq!(passes(name, Headers(&head), &[]), want, "{name}: {value}");
            }
        }
        // One value that is none takes the others with it.
        let both = [
            ("vary".to_owned(), b"accept".to_vec()),
            ("vary".to_owned(), b"a@b".to_vec()),
        ];
        assert!(!passes("vary", Headers(&both), &[]));
        for name in ["location", "etag", "content-length", "x-debug"] {
            let head = [(name.to_owned(), b"1".to_vec())];
            assert!(!passes(name, Headers(&head), &[]), "{name}");
            assert!(
                passes(name, Headers(&head), &[name.to_uppercase()]),
                "{name}"
            );
        }
    }
}
