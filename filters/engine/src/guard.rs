//! The data-plane guard: which store of which region a service may open, and for which tenant.
//!
//! A guard stands beside the services of a region, as an egress listener of their Envoy in front of one
//! store. It believes the context token of the region's gateway ([`crate::context`]) and nothing else,
//! names what is asked for by the store's own protocol, and asks the rule `data.ig.egress.decision`.
//!
//! - HTTP stores ([`Guard::http`]): S3 and Neo4j's HTTP interface, a decision a request.
//! - TCP stores ([`Connection`]): PostgreSQL and Bolt, a decision a connection. What follows after it
//!   has been let in is not looked at.

mod bolt;
mod config;
mod connection;
mod decide;
mod http;
mod neo4j;
mod objects;
mod postgres;
mod record;
mod s3;

pub use config::{GuardConfig, GuardError, GuardLimits, ObjectRule, StoreConfig, StoreKind};
pub use connection::{Connection, FromClient, FromStore, Route};
pub use decide::{Denial, DenialKind, Guard, Ruling};
pub use http::HttpRuling;
pub use record::{EgressRecord, StoreRecord};

#[cfg(test)]
mod tests;
