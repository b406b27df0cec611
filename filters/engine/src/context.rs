//! The context token: for which tenant, from which region and under which warrant a request reached a
//! service, in the gateway's own signed words.
//!
//! The residency filter mints one a request and sends it upstream in `x-ig-context`; services pass it
//! on to what they open, and the guards beside them believe it and nothing else. It is a JWS of
//! compact form (RFC 7515) with HS256, under a key of the gateway's region: who holds one region's
//! keys can't speak for another.

mod keys;
mod token;

pub use keys::ContextKeys;
pub use token::{ContextToken, TokenError, WarrantUse};

/// The header in which a service gets the token and passes it on.
pub const CONTEXT_HEADER: &str = "x-ig-context";

/// How long a token is good for, in seconds, where the configuration says nothing else.
pub const LIFETIME_S: u64 = 60;

/// How far the clocks of gateway and guard may differ, in seconds.
pub const SKEW_S: u64 = 5;

/// Longest token that is looked at, in bytes.
pub const LONGEST: usize = 4096;

#[cfg(test)]
mod tests;
