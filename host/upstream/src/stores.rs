//! Stores of a region, for what looks after residency: a probe writes sentinels to them, and drills
//! count what has crossed a border.
//!
//! They are small and honest: each keeps in memory what is written to it, apart by database or
//! bucket, gives it back, says its region's name when it is asked, and refuses what it does not know
//! in its protocol's own words. They know no users: whoever reaches them is served. Each keeps up to
//! 64 MiB and takes up to 1 MiB at a time.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use upstream::stores::{Data, Stores};
//!
//! let mut eu = Stores::start("eu").await?;
//! println!("psql 'host=127.0.0.1 port={} user=app dbname=acme'", eu.postgres.address().port());
//! println!("http://{}/acme/KEY", eu.objects.address());
//! println!("http://{}/db/acme/query/v2", eu.graph.address());
//!
//! eu.postgres.kill().await;
//! eu.postgres.restart(Data::Kept).await?;
//! assert!(!eu.holds("a nonce"));
//! assert_eq!(eu.stats().connections, 0);
//! eu.shutdown().await;
//! # Ok(()) }
//! ```

mod counted;
mod graph;
mod objects;
mod postgres;
mod room;
mod statement;
mod store;

use std::net::{Ipv4Addr, SocketAddr};

use crate::Error;

pub use counted::StoreStats;
pub use graph::Graph;
pub use objects::Objects;
pub use postgres::Postgres;
pub use store::{Data, Store};

/// The longest message, body or object, in bytes.
const LONGEST: usize = 1 << 20;

/// One store of each kind, all of one region. Dropping it stops them.
#[derive(Debug)]
pub struct Stores {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// S3.
    pub objects: Objects,
    /// Neo4j.
    pub graph: Graph,
}

impl Stores {
    /// Starts them on free ports of the loopback.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if there is no port.
    pub async fn start(region: &str) -> Result<Self, Error> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self {
            postgres: Postgres::start(region, free).await?,
            objects: Objects::start(region, free).await?,
            graph: Graph::start(region, free).await?,
        })
    }

    /// Counts of all of them together, since the start.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        [
            self.postgres.stats(),
            self.objects.stats(),
            self.graph.stats(),
        ]
        .into_iter()
        .sum()
    }

    /// Whether one of them holds this nonce ([`Store::holds`]).
    #[must_use]
    pub fn holds(&self, nonce: &str) -> bool {
        self.sentinels(nonce) > 0
    }

    /// How many sentinels of a tenant or nonce they hold together ([`Store::sentinels`]).
    #[must_use]
    pub fn sentinels(&self, of: &str) -> usize {
        self.postgres.sentinels(of) + self.objects.sentinels(of) + self.graph.sentinels(of)
    }

    /// Stops them at once: their ports are free and every connection closed when this returns.
    pub async fn shutdown(self) {
        self.postgres.shutdown().await;
        self.objects.shutdown().await;
        self.graph.shutdown().await;
    }
}
