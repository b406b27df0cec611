//! The server's settings.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Settings of the xDS server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: SocketAddr,
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

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 18000)),
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
    fn a_misspelt_setting_is_refused() {
        let config: Config = serde_json::from_str(r#"{"max_streams": 7}"#).unwrap();
        assert_eq!(config.max_streams, 7);
        assert_eq!(config.max_names, Config::default().max_names);
        assert!(serde_json::from_str::<Config>(r#"{"max_stream": 7}"#).is_err());
    }
}
