//! Who connects to the control plane: from the transport's identities to the nodes of xDS.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use decisions::Sender;
use peer::Acceptor;
use tokio::net::TcpListener;

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

/// The same, as those take it who receive decisions.
pub fn sender(info: &peer::ConnectInfo) -> Sender {
    sender_of(&info.identity)
}

fn sender_of<E: ToString>(identity: &Result<peer::Identity, E>) -> Sender {
    match identity {
        Ok(identity) => Sender::Node {
            id: identity.id.to_string(),
            region: identity.region.clone(),
            role: identity.role.clone(),
            node: identity.node.clone(),
        },
        Err(error) => Sender::Nobody {
            reason: error.to_string(),
        },
    }
}

/// Tells routes of decisions who sends them, on a port that [`serve`] serves.
pub async fn tell_sender(
    ConnectInfo(asker): ConnectInfo<Asker>,
    mut request: Request,
    next: Next,
) -> Response {
    let sender = match asker {
        Asker::Unasked => Sender::Believed,
        Asker::Node(identity) => sender_of::<String>(&Ok(identity)),
        Asker::Nobody(reason) => Sender::Nobody { reason },
    };
    request.extensions_mut().insert(sender);
    next.run(request).await
}

/// Serves until `stop` is done. Requests know their [`Asker`] by `ConnectInfo`.
///
/// # Errors
/// The socket fails.
pub async fn serve(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<Asker>();
    match acceptor {
        None => {
            axum::serve(listener, service)
                .with_graceful_shutdown(stop)
                .await
        }
        Some(acceptor) => {
            axum::serve(Nodes::of(&acceptor, listener)?, service)
                .with_graceful_shutdown(stop)
                .await
        }
    }
}

/// Connections of nodes that proved who they are, for a server of HTTP.
struct Nodes {
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
    fn of(acceptor: &Acceptor, listener: TcpListener) -> std::io::Result<Self> {
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

impl Connected<IncomingStream<'_, TcpListener>> for Asker {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self::Unasked
    }
}
