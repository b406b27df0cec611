//! What is fuzzed: functions of any bytes, each of which panics where a promise is broken.
//!
//! `just fuzz` runs one under libFuzzer (`tests/fuzz/libfuzzer`, nightly); `cargo test` runs all of
//! them on what was found worth keeping (`tests/fuzz/corpus`).

mod bodies;
mod bytes;
mod graphql;
mod requests;
mod rewriter;
mod setting;
#[cfg(feature = "shell")]
mod shell;
mod stores;
mod tokens;

pub use bodies::bodies;
pub use graphql::graphql;
pub use requests::requests;
pub use rewriter::rewriter;
#[cfg(feature = "shell")]
pub use shell::shell;
pub use stores::{bolt, postgres, stores};
pub use tokens::tokens;

/// A function that is fuzzed.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("rewriter", rewriter),
    ("graphql", graphql),
    ("bodies", bodies),
    ("requests", requests),
    ("postgres", postgres),
    ("bolt", bolt),
    ("stores", stores),
    ("tokens", tokens),
    #[cfg(feature = "shell")]
    ("shell", shell),
];
