//! SPIFFE IDs, as the SPIFFE-ID standard has them: parsed strictly, compared byte by byte.

use std::fmt;

use crate::error::SpiffeIdError;

/// Bytes of a SPIFFE ID (SPIFFE-ID, section 2.3).
const MAX_ID: usize = 2_048;

/// Bytes of a trust domain (the same).
const MAX_TRUST_DOMAIN: usize = 255;

const SCHEME: &str = "spiffe://";

/// A SPIFFE ID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: String,
    /// Where the path begins in the text.
    path_at: usize,
}

impl SpiffeId {
    /// Parses one. No user, port, query, fragment or percent-encoding; no empty, `.` or `..` segment; no
    /// trailing slash; the scheme and the trust domain in lower case.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > MAX_ID {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let (trust_domain, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        check_trust_domain(trust_domain)?;
        for segment in path.split('/').skip(1) {
            match segment {
                "" => return Err(SpiffeIdError::EmptySegment),
                "." | ".." => return Err(SpiffeIdError::RelativeSegment),
                _ if !segment.bytes().all(is_path_byte) => {
                    return Err(SpiffeIdError::PathCharacter);
                }
                _ => {}
            }
        }
        Ok(Self {
            text: text.to_owned(),
            path_at: text.len() - path.len(),
        })
    }

    /// The trust domain's name.
    pub fn trust_domain(&self) -> &str {
        self.text
            .get(SCHEME.len()..self.path_at)
            .unwrap_or_default()
    }

    /// The path's segments; none of a trust domain itself.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        let path = self.text.get(self.path_at..).unwrap_or_default();
        path.split('/').skip(1)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Says what is wrong with a trust domain's name.
pub(crate) fn check_trust_domain(name: &str) -> Result<(), SpiffeIdError> {
    if name.is_empty() {
        return Err(SpiffeIdError::NoTrustDomain);
    }
    if name.len() > MAX_TRUST_DOMAIN {
        return Err(SpiffeIdError::LongTrustDomain);
    }
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    if name.bytes().all(fits) {
        Ok(())
    } else {
        Err(SpiffeIdError::TrustDomainCharacter)
    }
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_apart() {
        for (text, trust_domain, segments) in [
            ("spiffe://example.org", "example.org", &[][..]),
            (
                "spiffe://example.org/region/eu/gateway/gateway-eu",
                "example.org",
                &["region", "eu", "gateway", "gateway-eu"],
            ),
            ("spiffe://a_b-c.9/A.b_c-9", "a_b-c.9", &["A.b_c-9"]),
            ("spiffe://x/...", "x", &["..."]),
        ] {
            let id = SpiffeId::parse(text).unwrap();
            assert_eq!(id.trust_domain(), trust_domain);
            assert_eq!(id.segments().collect::<Vec<_>>(), segments);
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_refused_and_why() {
        use SpiffeIdError as E;
        let long_path = format!("spiffe://x/{}", "a".repeat(MAX_ID));
        let long_domain = format!("spiffe://{}/a", "a".repeat(256));
        for (text, error) in [
            ("", E::Scheme),
            ("example.org/a", E::Scheme),
            ("https://example.org/a", E::Scheme),
            ("SPIFFE://example.org/a", E::Scheme),
            ("spiffe:/example.org/a", E::Scheme),
            ("spiffe://", E::NoTrustDomain),
            ("spiffe:///a", E::NoTrustDomain),
            ("spiffe://Example.org/a", E::TrustDomainCharacter),
            ("spiffe://user@example.org/a", E::TrustDomainCharacter),
            ("spiffe://example.org:443/a", E::TrustDomainCharacter),
            ("spiffe://example.org?x=1", E::TrustDomainCharacter),
            ("spiffe://ex%61mple.org/a", E::TrustDomainCharacter),
            ("spiffe://exämple.org/a", E::TrustDomainCharacter),
            ("spiffe://example.org/", E::EmptySegment),
            ("spiffe://example.org/a/", E::EmptySegment),
            ("spiffe://example.org//a", E::EmptySegment),
            ("spiffe://example.org/a/../b", E::RelativeSegment),
            ("spiffe://example.org/./a", E::RelativeSegment),
            ("spiffe://example.org/a?b", E::PathCharacter),
            ("spiffe://example.org/a#b", E::PathCharacter),
            ("spiffe://example.org/%2e%2e/a", E::PathCharacter),
            ("spiffe://example.org/a b", E::PathCharacter),
            ("spiffe://example.org/a\0", E::PathCharacter),
            (&long_path, E::TooLong),
            (&long_domain, E::LongTrustDomain),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(error), "{text}");
        }
    }
}
