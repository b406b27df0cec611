//! Keeps what gateways and policy agents decided, how far each source was read, what is missing, and the
//! policies of each revision: in a file (SQLite) or, for several conductors, in PostgreSQL.
//!
//! What is read from a source and how far it was read goes into one transaction, and a decision has one
//! row whatever happens: who reads a piece of a log twice stores it once.

mod config;
mod error;
mod migrate;
mod pool;
mod read;
mod record;
mod retain;
mod revision;
#[cfg(feature = "suite")]
pub mod suite;
mod tally;
mod write;

pub use config::StoreConfig;
pub use error::StoreError;
pub use pool::Store;
pub use read::{Filter, Listed, Page, Stored};
pub use record::{
    Batch, Checkpoint, Committed, Counters, Decision, FileId, Gap, GapRow, Kind, NodeStatus,
};
pub use tally::{Decider, Tally};
