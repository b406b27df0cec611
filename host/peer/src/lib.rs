//! Who connects: mutual TLS for the conductor's ports, and the identity in a client's certificate.
//!
//! A client shows an X.509-SVID: a certificate whose one URI is its SPIFFE ID,
//! `spiffe://TRUST-DOMAIN/region/REGION/ROLE/NODE`. [`Acceptor`] does the handshakes; each [`PeerStream`] knows
//! by its [`ConnectInfo`] who is on its other side.
//!
//! ```no_run
//! # async fn example(config: peer::Config) -> Result<(), Box<dyn std::error::Error>> {
//! let acceptor = peer::Acceptor::new(config, &[peer::H2])?;
//! let listener = tokio::net::TcpListener::bind("[::]:18000").await?;
//! let mut incoming = acceptor.accept(listener)?;
//! let stream = incoming.next().await?;
//! println!("{:?}", stream.info().identity);
//! # Ok(()) }
//! ```
//!
//! # Invariants
//! - TLS 1.3 only, no resumption: each connection's certificate is verified when it opens.
//! - A client without a certificate of the authorities named is refused by the handshake. One whose certificate
//!   names no node is let through with the reason, so that the service can say it in its own words.
//! - Files that changed are read again within [`RELOAD`]; if they can't be used, what was in force stays.
//! - A connection lives no longer than its certificate would be let in: it is ended within [`RELOAD`] of the
//!   moment when the certificate, or one that leads from it to an authority, expires, and when files are read
//!   again that don't name its authority any more.

mod certificate;
pub mod config;
mod credentials;
mod error;
mod open;
pub mod run;
pub mod spiffe;
#[cfg(feature = "testing")]
pub mod testing;

pub use certificate::{Identity, identity_of};
pub use config::Config;
pub use credentials::RELOAD;
pub use error::{IdentityError, SpiffeIdError, TlsError};
pub use run::{Acceptor, ConnectInfo, Figures, Incoming, PeerStream};
pub use spiffe::SpiffeId;

/// HTTP/2, as ALPN has it: for gRPC.
pub const H2: &[u8] = b"h2";

/// HTTP/1.1, as ALPN has it.
pub const HTTP1: &[u8] = b"http/1.1";
