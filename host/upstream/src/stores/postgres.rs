//! PostgreSQL's protocol 3.0, its simple queries only
//! (<https://www.postgresql.org/docs/current/protocol-flow.html>).

mod answer;
mod databases;
mod message;
mod session;
mod sql;
mod startup;

use std::sync::Arc;

use tokio::net::TcpStream;

pub use databases::Databases;

use super::{
    counted::Counted,
    store::{Contents, Shared, Store},
};

/// A PostgreSQL of one table, `ig_sentinel`, in as many databases as clients connect to.
///
/// It answers simple queries, one statement each: it makes the table, puts a row in, finds a row's
/// tenant, deletes a row, lists the nonces, and says its region as the setting `cluster_name`. When a
/// row was written it does not tell, so it does not keep that. Anything else is refused with 0A000;
/// extended queries, replication and encryption too. Any user is let in.
pub type Postgres = Store<Databases>;

impl Contents for Databases {
    fn sentinels(&self, of: &str) -> usize {
        self.count(of)
    }

    async fn serve(shared: Arc<Shared<Self>>, stream: Counted<TcpStream>) {
        // The peer's broken connection ends here.
        _ = session::run(&shared, stream).await;
    }
}
