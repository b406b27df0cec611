use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::net::TcpStream;

use super::counted::{Counted, Counters, StoreStats};
use crate::{Error, server::lock, serving::Serving};

/// What is left of a store's data when it starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// All of it.
    Kept,
    /// Nothing, databases and buckets included.
    Lost,
}

/// What a kind of store keeps, and how it talks.
pub trait Contents: Default + Send + 'static {
    /// How many things there are that name this tenant or nonce.
    fn sentinels(&self, of: &str) -> usize;

    /// Talks on a connection until it ends.
    fn serve(
        shared: Arc<Shared<Self>>,
        stream: Counted<TcpStream>,
    ) -> impl Future<Output = ()> + Send;
}

/// A store and its data. Dropping it stops it.
pub struct Store<C> {
    address: SocketAddr,
    shared: Arc<Shared<C>>,
    /// Nothing while it is killed.
    serving: Option<Serving>,
}

/// What the connections of a store have in common.
pub struct Shared<C> {
    pub(super) region: String,
    pub(super) counters: Arc<Counters>,
    contents: Mutex<C>,
}

impl<C> fmt::Debug for Store<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("region", &self.shared.region)
            .field("address", &self.address)
            .field("serving", &self.serving.is_some())
            .finish_non_exhaustive()
    }
}

impl<C> Shared<C> {
    pub(super) fn new(region: &str) -> Self
    where
        C: Default,
    {
        Self {
            region: region.to_owned(),
            counters: Arc::default(),
            contents: Mutex::default(),
        }
    }

    pub(super) fn contents(&self) -> MutexGuard<'_, C> {
        lock(&self.contents)
    }
}

impl<C: Contents> Store<C> {
    /// Starts an empty one; port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the address cannot be had.
    pub async fn start(region: &str, address: SocketAddr) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new(region));
        let serving = serve(Arc::clone(&shared), address).await?;
        Ok(Self {
            address: serving.address(),
            shared,
            serving: Some(serving),
        })
    }

    /// Where it listens, or did until it was killed.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name that it gives as its region's.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.shared.region
    }

    /// Counts since the first start.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.shared.counters.stats()
    }

    /// Whether any database or bucket holds this nonce. What a killed store has kept counts.
    #[must_use]
    pub fn holds(&self, nonce: &str) -> bool {
        self.sentinels(nonce) > 0
    }

    /// How many sentinels of a tenant or nonce all databases or buckets hold: rows and nodes that
    /// have it as one of the two; objects in whose key or content it occurs. None of an empty name.
    #[must_use]
    pub fn sentinels(&self, of: &str) -> usize {
        match of {
            "" => 0,
            of => self.shared.contents().sentinels(of),
        }
    }

    /// Stops at once, with what it keeps: the port is free and every connection closed when this
    /// returns.
    pub async fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop().await;
        }
    }

    /// Starts it again on the same port, killed before or not.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the port is someone else's by now: it stays killed.
    pub async fn restart(&mut self, data: Data) -> Result<(), Error> {
        self.kill().await;
        if data == Data::Lost {
            *self.shared.contents() = C::default();
        }
        self.serving = Some(serve(Arc::clone(&self.shared), self.address).await?);
        Ok(())
    }

    /// Stops at once and for good: the port is free and every connection closed when this returns.
    pub async fn shutdown(mut self) {
        self.kill().await;
    }
}

async fn serve<C: Contents>(shared: Arc<Shared<C>>, address: SocketAddr) -> Result<Serving, Error> {
    let connection = move |stream| {
        shared.counters.connection();
        let counters = Arc::clone(&shared.counters);
        C::serve(Arc::clone(&shared), Counted { stream, counters })
    };
    Serving::start(address, connection).await
}
