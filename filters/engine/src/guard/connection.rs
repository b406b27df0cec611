use super::bolt;
use super::config::StoreKind;
use super::decide::{Guard, Ruling};
use super::postgres;

/// A client's connection to a TCP store: bytes in, bytes out.
///
/// Until it is let in, all bytes go through here; from then on ([`Connection::is_admitted`]) they pass
/// untouched and need not be shown any more.
#[derive(Debug)]
pub struct Connection(Protocol);

#[derive(Debug)]
enum Protocol {
    Postgres(postgres::Opening),
    Bolt(bolt::Opening),
}

/// Where a connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To the store.
    Store,
    /// To a responder that sends back what it gets: the guard can't speak to a client by itself, only
    /// change what another says.
    Refusal,
}

/// What becomes of a client's bytes.
#[derive(Debug, Default)]
pub struct FromClient {
    /// Bytes that go on, in the place of those that came.
    pub forward: Vec<u8>,
    /// Where the connection leads, from now on. It can be told once.
    pub route: Option<Route>,
    /// The decision, once.
    pub ruling: Option<Ruling>,
    /// Whether the connection is to be closed.
    pub end: bool,
}

/// What becomes of the other side's bytes.
#[derive(Debug, Default)]
pub struct FromStore {
    /// Bytes that the client gets, in the place of those that came.
    pub forward: Vec<u8>,
    /// Whether the connection is to be closed as soon as it has them.
    pub end: bool,
    /// Whether it is because they are none of the store's protocol: [`Guard::broken`] has the ruling.
    pub broken: bool,
}

impl FromClient {
    pub(super) fn pass(forward: Vec<u8>) -> Self {
        Self {
            forward,
            ..Self::default()
        }
    }

    /// Nothing goes on, and nobody is answered.
    pub(super) fn end(ruling: Ruling) -> Self {
        Self {
            ruling: Some(ruling),
            end: true,
            ..Self::default()
        }
    }
}

impl FromStore {
    pub(super) fn pass(forward: Vec<u8>) -> Self {
        Self {
            forward,
            ..Self::default()
        }
    }
}

impl Connection {
    /// A new connection to the guard's store; `None` if that is spoken to by HTTP.
    pub fn new(guard: &Guard) -> Option<Self> {
        match guard.config().store.kind {
            StoreKind::Postgres => Some(Self(Protocol::Postgres(Default::default()))),
            StoreKind::Bolt => Some(Self(Protocol::Bolt(Default::default()))),
            StoreKind::S3 | StoreKind::Neo4j => None,
        }
    }

    /// Whether the client has been let in.
    pub fn is_admitted(&self) -> bool {
        match &self.0 {
            Protocol::Postgres(opening) => opening.is_admitted(),
            Protocol::Bolt(opening) => opening.is_admitted(),
        }
    }

    /// Whether it has been decided.
    pub fn is_decided(&self) -> bool {
        match &self.0 {
            Protocol::Postgres(opening) => opening.is_decided(),
            Protocol::Bolt(opening) => opening.is_decided(),
        }
    }

    /// Whether the client has sent anything.
    pub fn has_spoken(&self) -> bool {
        match &self.0 {
            Protocol::Postgres(opening) => opening.has_spoken(),
            Protocol::Bolt(opening) => opening.has_spoken(),
        }
    }

    /// Bytes of the client's that wait for a decision.
    pub fn held(&self) -> usize {
        match &self.0 {
            Protocol::Postgres(opening) => opening.held(),
            Protocol::Bolt(opening) => opening.held(),
        }
    }

    /// The client's next bytes. `now_s` is the time in seconds since 1970.
    pub fn client(&mut self, guard: &mut Guard, bytes: &[u8], now_s: u64) -> FromClient {
        match &mut self.0 {
            Protocol::Postgres(opening) => opening.client(guard, bytes, now_s),
            Protocol::Bolt(opening) => opening.client(guard, bytes, now_s),
        }
    }

    /// The other side's next bytes, and whether they are its last.
    pub fn store(&mut self, bytes: &[u8], last: bool) -> FromStore {
        match &mut self.0 {
            Protocol::Postgres(opening) => opening.store(bytes),
            Protocol::Bolt(opening) => opening.store(bytes, last),
        }
    }
}
