//! The stores as their clients see them, over loopback.

#[path = "../http/client.rs"]
#[expect(
    dead_code,
    reason = "the client of the GraphQL servers' tests, which ask for more"
)]
mod client;
mod graph;
mod life;
mod objects;
mod postgres;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};

/// Any free port.
fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
