//! What comes from outside and gets into statements and paths: each is checked once, here.

use std::fmt;

use serde::Deserialize;

/// Bytes of a context token. The guard looks at none that is longer than 4 KiB, and is to be the one
/// that says so; PostgreSQL takes 10,000 bytes with all that opens a connection.
const LONGEST_TOKEN: usize = 8192;

/// Why a text is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Of a run.
    #[error("a run is 32 hexadecimal digits, in lower case")]
    Run,
    /// Of a nonce.
    #[error("a nonce is 1 to 64 of a-z, 0-9 and -")]
    Nonce,
    /// Of a tenant.
    #[error(
        "a tenant is 1 to 128 of a-z, A-Z, 0-9, ., _ and -, and begins with none of these signs"
    )]
    Tenant,
    /// Of a token.
    #[error("a context token is up to {LONGEST_TOKEN} visible ASCII characters")]
    Token,
}

/// A run of the prober, under which outcomes are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Run(String);

/// What makes a sentinel one of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Nonce(String);

/// A tenant, whose name may stand in those of databases, users and buckets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Tenant(String);

/// A context token that nobody has verified. It can't be printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Token(String);

impl TryFrom<String> for Run {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let fits = text.len() == 32 && text.bytes().all(digit);
        fits.then_some(Self(text)).ok_or(NameError::Run)
    }
}

impl TryFrom<String> for Nonce {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(legal);
        fits.then_some(Self(text)).ok_or(NameError::Nonce)
    }
}

impl TryFrom<String> for Tenant {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fits = (1..=128).contains(&text.len())
            && text.bytes().all(legal)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        fits.then_some(Self(text)).ok_or(NameError::Tenant)
    }
}

impl TryFrom<String> for Token {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let fits = text.len() <= LONGEST_TOKEN && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then_some(Self(text)).ok_or(NameError::Token)
    }
}

impl Run {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Nonce {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tenant {
    /// The name where no tenant is known: there is no token, or none that can be read.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Token {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_nothing_that_ends_them() {
        let run = |text: &str| Run::try_from(text.to_owned()).is_ok();
        assert!(run("0123456789abcdef0123456789abcdef"));
        assert!(!run("0123456789abcdef0123456789abcde"));
        assert!(!run("0123456789ABCDEF0123456789abcdef"));
        let nonce = |text: &str| Nonce::try_from(text.to_owned()).is_ok();
        assert!(nonce("n-1") && nonce(&"a".repeat(64)));
        for text in ["", "N", "a'b", "a/b", "ä", &"a".repeat(65)] {
            assert!(!nonce(text), "{text}");
        }
        let tenant = |text: &str| Tenant::try_from(text.to_owned()).is_ok();
        assert!(tenant("acme") && tenant("Acme-1.eu_x") && tenant(&"a".repeat(128)));
        for text in [
            "",
            ".",
            "..",
            "-x",
            "a/b",
            "a'b",
            "a b",
            "a\0",
            &"a".repeat(129),
        ] {
            assert!(!tenant(text), "{text}");
        }
        assert!(tenant(Tenant::unknown().as_str()));
        let token = |text: &str| Token::try_from(text.to_owned()).is_ok();
        assert!(token("a.b.c") && token(r"\'") && token(&"x".repeat(LONGEST_TOKEN)));
        for text in ["a b", "a\n", "ä", "\0", &"x".repeat(LONGEST_TOKEN + 1)] {
            assert!(!token(text), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = Token::try_from("secret".to_owned()).unwrap();
        assert_eq!(format!("{token:?}"), "Token");
    }
}
