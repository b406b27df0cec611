//! Everything that the filters decide, without I/O: no clock, no host calls.
//!
//! Shells translate what the proxy calls into this crate's inputs, and its effects into host calls.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod audit;
pub mod body;
pub mod cache;
pub mod config;
pub mod context;
pub mod filter;
pub mod graphql;
pub mod guard;
pub mod identity;
pub mod instant;
mod jws;
pub mod keys;
pub mod mask;
pub mod patch;
pub mod policy;
pub mod reply;
pub mod residency;
pub mod schema;
pub mod warrant;

/// The streaming JSON rewriter.
pub use rewriter as json;
