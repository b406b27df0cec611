//! Who connects to the control plane: from the transport's identities to the nodes of xDS.

use anyhow::Context;
use peer::Acceptor;

use crate::config::Config;

/// The acceptor of the xDS port, if it asks for identities.
///
/// # Errors
/// The certificates can't be used.
pub fn acceptor(config: &Config) -> anyhow::Result<Option<Acceptor>> {
    let Some(tls) = &config.xds.tls else {
        return Ok(None);
    };
    let settings = peer::Config::new(
        &tls.certificate,
        &tls.key,
        &tls.client_ca,
        &tls.trust_domain,
    );
    let acceptor = Acceptor::new(settings, &[peer::H2]).context("in [xds.tls]")?;
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
