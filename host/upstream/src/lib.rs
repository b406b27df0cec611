//! What stands around the gateway in the demo and in the end-to-end tests.
//!
//! - [`Upstream`]: a GraphQL server per [`Region`] over HTTP, with deterministic data whose personal
//!   values a leak test can recognise ([`data::secrets`]), counters, a record of the last request,
//!   and [`Fault`]s on demand.
//! - [`stores`]: a PostgreSQL, an S3 and a Neo4j of a region, as far as a residency probe asks.
//! - [`tokens`]: an issuer of ES256 tokens with its JWKS; [`personas`]: who calls in the demo.
//! - [`queries`]: the operations that the demo sends.
//!
//! The served schema agrees with `policies/schema.graphql`; a test compares the two.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use upstream::{Fault, Region, Upstream, personas, tokens::Issuer};
//!
//! let eu = Upstream::start(Region::Eu, "127.0.0.1:0".parse()?).await?;
//! eu.set_fault(Some(Fault::Truncated));
//! println!("http://{}/graphql", eu.address());
//!
//! let issuer = Issuer::generate();
//! println!("{}", issuer.jwks());
//! println!("{}", personas::ANALYST_ACME.token(&issuer, 1_800_000_000));
//!
//! assert_eq!(eu.stats().requests, 0);
//! eu.shutdown().await;
//! # Ok(()) }
//! ```

pub mod data;
mod error;
mod fault;
mod live;
pub mod personas;
pub mod queries;
mod region;
mod reply;
mod rest;
mod schema;
mod server;
mod serving;
pub mod stores;
pub mod tokens;
pub mod warrants;

pub use error::Error;
pub use fault::Fault;
pub use region::{Region, UnknownRegion};
pub use schema::sdl;
pub use server::{REGION_HEADER, RecordedRequest, Stats, TENANT_HEADER, Upstream};
