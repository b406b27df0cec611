//! Everything that the filters decide, without I/O: no clock, no host calls.
//!
//! Shells translate what the proxy calls into this crate's inputs, and its effects into host calls.

pub mod cache;
pub mod graphql;
pub mod identity;
pub mod json;
pub mod mask;
pub mod policy;
pub mod schema;
