//! The server's settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// Settings of the xDS server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Mutual TLS. Without it nodes are believed to be who they say they are.
    pub tls: Option<Tls>,
    /// Whether to listen without TLS where other machines can connect.
    pub insecure: bool,
    /// Streams at once; one more is refused with `RESOURCE_EXHAUSTED`.
    pub max_streams: usize,
    /// Resource names that one stream may be subscribed to.
    pub max_names: usize,
    /// Bytes of one request.
    pub max_request_bytes: usize,
    /// Responses that wait for the transport on one stream. What does not fit waits in the stream's
    /// own task, where a newer snapshot replaces it.
    pub response_queue: usize,
    /// Seconds between HTTP/2 pings; a client that does not answer within as many is dropped.
    pub keepalive_seconds: u64,
}

/// Mutual TLS: files in PEM, read again when they change. The transport is the caller's, who serves by
/// [`crate::run::serve_incoming`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate, and what leads from it to an authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of nodes' certificates.
    pub client_ca: PathBuf,
    /// The SPIFFE trust domain that nodes are of.
    pub trust_domain: String,
}

impl Config {
    /// Says whether nodes of other machines would be believed without a proof.
    ///
    /// # Errors
    /// They would, and `insecure` does not say so.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.tls.is_none() && !self.insecure && !self.listen.ip().is_loopback() {
            return Err(ConfigError::Exposed {
                listen: self.listen,
            });
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 18000)),
            tls: None,
            insecure: false,
            max_streams: 20_000,
            max_names: 100_000,
            max_request_bytes: 4 << 20,
            response_queue: 8,
            keepalive_seconds: 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_not_believed_without_a_word() {
        for (text, fine) in [
            ("{}", true),
            (r#"{"listen": "[::1]:1"}"#, true),
            (r#"{"listen": "0.0.0.0:1"}"#, false),
            (r#"{"listen": "10.0.0.1:1"}"#, false),
            (r#"{"listen": "[::]:1"}"#, false),
            (r#"{"listen": "0.0.0.0:1", "insecure": true}"#, true),
            (
                r#"{"listen": "0.0.0.0:1", "tls": {"certificate": "c", "key": "k", "client_ca": "a",
                    "trust_domain": "example.org"}}"#,
                true,
            ),
        ] {
            let config: Config = serde_json::from_str(text).unwrap();
            assert_eq!(config.check().is_ok(), fine, "{text}");
        }
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let config: Config = serde_json::from_str(r#"{"max_streams": 7}"#).unwrap();
        assert_eq!(config.max_streams, 7);
        assert_eq!(config.max_names, Config::default().max_names);
        assert!(serde_json::from_str::<Config>(r#"{"max_stream": 7}"#).is_err());
    }
}
