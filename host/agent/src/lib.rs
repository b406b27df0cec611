//! The agent of a region: writes, reads and deletes sentinels in its stores, for those who probe where
//! a tenant's data goes.
//!
//! It is a service like any other of the region. Requests reach it through the gateway with a context
//! token, and it opens the stores through the guards of the sidecar, to which it passes the token on.
//! It verifies no token and decides nothing: what a guard or a store says is what it reports, with what
//! the store itself says of its region.
//!
//! Two listeners ([`run::serve`]):
//!
//! | | | |
//! | --- | --- | --- |
//! | public, behind the gateway | `POST /ig/probe?run=…&store=…&op=…&nonce=…` ([`Probe`]), the token in `x-ig-context` | 204, whatever came of it |
//! | control, for the prober alone | `GET /results/RUN` | what came of it: [`Outcome`]s as they came, for ten minutes |
//! | | `POST /attempt` ([`Attempt`]) | the [`Outcome`] of an operation with any token, or none |
//! | | `GET /healthz` | 200 |
//!
//! What is no such request gets 400 and a problem document. An operation is done to its end even if
//! who asked for it goes away.
//!
//! # Invariants
//! - A connection is opened for one operation and closed after it.
//! - An outcome holds no token, password or key ([`Outcome::reason`]).

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod book;
mod claims;
mod config;
mod error;
mod names;
mod outcome;
mod request;
pub mod run;
mod store;

pub use config::{Config, Neo4jConfig, PostgresConfig, S3Config, StoreConfig};
pub use error::{ConfigError, ServeError};
pub use names::{NameError, Nonce, Run, Tenant, Token};
pub use outcome::{Operation, Outcome, OutcomeKind, StoreKind};
pub use request::{Attempt, Probe, RequestError};
pub use run::Agent;
