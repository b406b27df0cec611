//! Which of the upstream's response headers a configuration can let pass.

use crate::filter::{is_among, is_reserved, is_token_byte};

/// Headers that speak of the upstream's connection, which ends here.
const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Headers that describe the body as the upstream sent it, or that the filter writes.
const OF_THE_BODY: [&str; 17] = [
    "accept-ranges",
    "cache-control",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-md5",
    "content-range",
    "content-type",
    "digest",
    "etag",
    "expires",
    "last-modified",
    "pragma",
    "repr-digest",
    "signature",
    "signature-input",
    "want-digest",
];

/// Whether an upstream's response header may be told to pass.
///
/// # Errors
/// It may not; why, and what to do.
pub fn response_header(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err("this is no header's name: write letters, digits and dashes");
    }
    if is_reserved(name) {
        return Err("headers with `x-ig-` are the gateway's own: leave it out");
    }
    if is_among(name, &OF_THE_CONNECTION) {
        return Err(
            "it speaks of the upstream's connection, which ends at the gateway: leave it out",
        );
    }
    if is_among(name, &OF_THE_BODY) {
        return Err("it speaks of the body as it was before it was masked: leave it out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_another_body_or_connection_can_not_pass() {
        for name in [
            "x-request-cost",
            "X-Upstream-Region",
            "link",
            "set-cookie",
            "date",
        ] {
            assert_eq!(response_header(name), Ok(()), "{name}");
        }
        for (name, want) in [
            ("", "no header's name"),
            ("a b", "no header's name"),
            ("a:", "no header's name"),
            (":status", "no header's name"),
            ("\u{e9}tag", "no header's name"),
            ("content-length", "the body"),
            ("Content-Encoding", "the body"),
            ("content-type", "the body"),
            ("ETag", "the body"),
            ("cache-control", "the body"),
            ("transfer-encoding", "connection"),
            ("Connection", "connection"),
            ("keep-alive", "connection"),
            ("upgrade", "connection"),
            ("x-ig-mask", "the gateway's own"),
            ("X-IG-Redactions", "the gateway's own"),
        ] {
            let problem = response_header(name).expect_err(name);
            assert!(problem.contains(want), "{name}: {problem}");
        }
    }
}
