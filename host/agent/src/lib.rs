//! The agent of a region: writes, reads and deletes sentinels in its stores, for those who probe where
//! a tenant's data goes.
//!
//! It is a service like any other of the region. Requests reach it through the gateway with a context
//! token, and it opens the stores through the guards of the sidecar, to which it passes the token on.
//! It verifies no token and decides nothing: what a guard or a store says is what it reports, with what
//! the store itself says of its region.
//!
//! Two listeners ([`run::serve`]): the public one, behind the gateway, does what it is asked and says
//! nothing of it; the control one, for the prober alone, tells what came of it.
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
