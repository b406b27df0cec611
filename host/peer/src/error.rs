//! What is wrong with certificates and identities.

use std::path::PathBuf;

use thiserror::Error;

/// Why TLS can't be served.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read `{what}` {path:?}")]
    Read {
        /// The setting.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no PEM, or has nothing of the kind.
    #[error("`{what}` {path:?} holds no {kind} in PEM: {reason}")]
    Pem {
        /// The setting.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The authorities can't be used.
    #[error("the authorities in `client_ca` {path:?} can't be used: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key can't be used together.
    #[error("`certificate` {certificate:?} and `key` {key:?} can't be used together")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The trust domain is none.
    #[error("`trust_domain` {name:?} is none")]
    TrustDomain {
        /// As it is written.
        name: String,
        /// Why.
        source: SpiffeIdError,
    },
    /// TLS itself can't be set up.
    #[error("TLS can't be set up")]
    Protocol(#[source] rustls::Error),
}

/// Why a text is no SPIFFE ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SpiffeIdError {
    /// It is longer than 2,048 bytes.
    #[error("a SPIFFE ID has at most 2048 bytes")]
    TooLong,
    /// It does not begin with `spiffe://`.
    #[error("a SPIFFE ID begins with `spiffe://`")]
    Scheme,
    /// It names no trust domain.
    #[error("the trust domain is missing")]
    NoTrustDomain,
    /// The trust domain is longer than 255 bytes.
    #[error("a trust domain has at most 255 bytes")]
    LongTrustDomain,
    /// The trust domain has a character that it can't have.
    #[error("a trust domain has lower-case letters, digits, dots, dashes and underscores only")]
    TrustDomainCharacter,
    /// There is nothing between two slashes, or after the last.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// A segment is `.` or `..`.
    #[error("the path has a relative segment")]
    RelativeSegment,
    /// The path has a character that it can't have.
    #[error("a path has letters, digits, dots, dashes and underscores only")]
    PathCharacter,
}

/// Why a certificate names no node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// The client showed none.
    #[error("there is no client certificate")]
    NoCertificate,
    /// It can't be read.
    #[error("the client certificate can't be read: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// It is of an authority, and no leaf.
    #[error("the client certificate is of an authority, not of a node")]
    Authority,
    /// Its key usage is not that of a node.
    #[error("the client certificate's key usage {problem}")]
    KeyUsage {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It has no URI name.
    #[error("the client certificate has no URI name, so no SPIFFE ID")]
    NoUri,
    /// It has several URI names.
    #[error("the client certificate has {count} URI names: a SPIFFE ID stands alone")]
    SeveralUris {
        /// How many.
        count: usize,
    },
    /// Its URI name is no SPIFFE ID.
    #[error("the client certificate's URI name is no SPIFFE ID: {reason}")]
    SpiffeId {
        /// Why not.
        reason: SpiffeIdError,
    },
    /// It is of another trust domain.
    #[error("{id} is not of the trust domain {expected}")]
    TrustDomain {
        /// The SPIFFE ID.
        id: String,
        /// The trust domain that is let in.
        expected: String,
    },
    /// Its path names no node.
    #[error("{id} names no node: that reads spiffe://{trust_domain}/region/REGION/ROLE/NODE")]
    Path {
        /// The SPIFFE ID.
        id: String,
        /// The trust domain.
        trust_domain: String,
    },
}
