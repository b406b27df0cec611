//! Who connects to the control plane: from the transport's identities to the nodes of xDS.

use std::net::SocketAddr;

use anyhow::Context;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use peer::Acceptor;

use crate::config::Config;

/// The acceptor of a port on which this protocol is spoken, if nodes have to prove who they are.
///
/// # Errors
/// The certificates can't be used.
pub fn acceptor(config: &Config, protocol: &[u8]) -> anyhow::Result<Option<Acceptor>> {
    let Some(tls) = &config.xds.tls else {
        return Ok(None);
    };
    let settings = peer::Config::new(
        &tls.certificate,
        &tls.key,
        &tls.client_ca,
        &tls.trust_domain,
    );
    let acceptor = Acceptor::new(settings, &[protocol]).context("in [xds.tls]")?;
    Ok(Some(acceptor))
}

/// What a connection proved, as xDS takes it.
pub fn peer(info: &peer::ConnectInfo) -> xds::Peer {
    let proof = match &info.identity {
        Ok(identity) => xds::Proof::Identity(xds::Identity {
            id: identity.id.to_string(),
            region: identity.region.clone(),
            role: identity.role.clone(),
            node: identity.node.clone(),
        }),
        Err(error) => xds::Proof::Failed {
            reason: error.to_string(),
        },
    };
    xds::Peer {
        address: Some(info.address),
        proof,
    }
}

/// Connections of nodes that proved who they are, for a server of HTTP.
pub struct Nodes {
    incoming: peer::Incoming,
}

/// Who asks on a connection.
#[derive(Clone, Debug)]
pub enum Asker {
    /// A node, as its certificate names it.
    Node(peer::Identity),
    /// Somebody whose certificate names no node, and why.
    Nobody(String),
    /// The port asks for no certificates.
    Unasked,
}

impl Nodes {
    /// Accepts them.
    ///
    /// # Errors
    /// The socket has no address.
    pub fn of(acceptor: &Acceptor, listener: tokio::net::TcpListener) -> std::io::Result<Self> {
        let incoming = acceptor.accept(listener)?;
        Ok(Self { incoming })
    }
}

impl axum::serve::Listener for Nodes {
    type Io = peer::PeerStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.incoming.next().await {
            Ok(stream) => {
                let address = stream.info().address;
                (stream, address)
            }
            // Nobody comes any more.
            Err(_) => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.incoming.local_addr())
    }
}

impl Connected<IncomingStream<'_, Nodes>> for Asker {
    fn connect_info(stream: IncomingStream<'_, Nodes>) -> Self {
        match &stream.io().info().identity {
            Ok(identity) => Self::Node(identity.clone()),
            Err(error) => Self::Nobody(error.to_string()),
        }
    }
}

impl Connected<IncomingStream<'_, tokio::net::TcpListener>> for Asker {
    fn connect_info(_: IncomingStream<'_, tokio::net::TcpListener>) -> Self {
        Self::Unasked
    }
}
