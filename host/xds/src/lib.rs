//! The xDS control plane: snapshots of configuration in, gateways and sidecars configured.
//!
//! [`Cache`] holds one [`Snapshot`] a node group and is told what clients said about it; [`run::serve`]
//! serves it by the aggregated discovery service, both variants: state of the world ([`sotw`]) and
//! incremental ([`delta`]). A refused snapshot is rolled back by itself: see [`rollout`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use xds::{Cache, Config, Resource, Snapshot, type_url};
//!
//! let cache = Cache::new(|node| (node.cluster == "gateway").then(|| node.region.clone()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:18000").await?;
//! let server = xds::run::serve(listener, cache.clone(), Config::default(), std::future::pending());
//! let snapshot = Snapshot::new([Resource::new(type_url::CLUSTER, "region-eu", vec![])])?;
//! cache.set("eu", snapshot.labelled("policy r7"));
//! server.await?;
//! # Ok(()) }
//! ```
//!
//! # Invariants
//! - The protocol's rules live in [`sotw`] and [`delta`] alone: no I/O, no clock, no lock.
//! - A stream has a task of its own and a bounded queue; what is served reaches it through a watch, so
//!   that only the latest counts. No stream waits for another.
//! - A filter's configuration (ECDS) is never removed from a client, only replaced.
//! - What the resources mean is no matter of this crate's, but for `warming`: which endpoints a changed
//!   cluster waits for.

mod cache;
pub mod config;
pub mod delta;
mod error;
mod event;
mod fetching;
mod group;
pub mod keep;
mod node;
pub mod patches;
mod peer;
pub mod protocol;
mod resource;
pub mod run;
pub mod server;
pub mod sotw;
pub mod status;
mod stream;
pub mod type_url;
mod warming;
mod wire;

/// How a snapshot is rolled out and back.
pub mod rollout {
    #![doc = include_str!("rollout.md")]
}

pub use cache::{Cache, Offered, Regrouped, Removed};
pub use config::Config;
pub use error::{ConfigError, ProtocolError, ServeError, SnapshotError};
pub use event::Event;
pub use node::{GroupOf, Node};
pub use patches::Patch;
pub use peer::{Identity, IdentityError, Peer, Proof};
pub use resource::{Resource, Snapshot, TypeResources};
pub use status::{
    GroupStatus, HasStatus, NackStatus, ParkedStatus, SnapshotStatus, Status, StreamStatus,
    TypeStatus, VersionAt,
};
