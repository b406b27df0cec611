//! Real GraphQL servers behind a real Envoy: what a caller of the gateway sees of them.
//!
//! Needs Node.js 20 and npm beside what the other tests need, so a plain `cargo test` leaves it out:
//! `cargo test -p apollo`. The servers are scripts in `node/`; their packages are installed once into
//! `target/apollo`, never into the source tree.
//!
//! - [`Stage`]: one server ([`Script`]) and the gateway before it, with both filters and the
//!   repository's policies.
//! - [`Caller`]: who asks, and for what purpose.
//! - [`Answer`]: what came back, with the oracle that looks for [`canaries`] in it.

mod answer;
mod canary;
mod client;
mod door;
mod node;
mod packages;
mod stage;

pub use answer::Answer;
pub use canary::{Canary, Class, canaries};
pub use client::Ask;
pub use node::{Script, run};
pub use packages::NodeError;
pub use stage::{ADMIN, ANALYST, AUDITOR, Caller, SUPPORT, Stage};
