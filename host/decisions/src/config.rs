use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What is read, and what of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionsConfig {
    /// Whether anything is read at all.
    pub ingest: bool,
    /// Log files beside those of the gateways: such as were shipped from other machines.
    pub sources: Vec<PathBuf>,
    /// A mask policy: a Rego file or a directory of such, package `system.log`, as OPA has it.
    pub mask: Option<PathBuf>,
    /// Where OPA's decision log and status APIs are served, if anywhere.
    pub opa_listen: Option<SocketAddr>,
    /// Where Envoy's gRPC access log service is served, if anywhere.
    pub grpc_listen: Option<SocketAddr>,
    /// How often files are looked at, in milliseconds.
    pub poll_ms: u64,
    /// Bytes of a line; a longer one is passed over, and is a gap.
    pub max_line_bytes: usize,
}

impl Default for DecisionsConfig {
    fn default() -> Self {
        Self {
            ingest: true,
            sources: Vec::new(),
            mask: None,
            opa_listen: None,
            grpc_listen: None,
            poll_ms: 250,
            max_line_bytes: 1 << 20,
        }
    }
}

impl DecisionsConfig {
    /// The same with relative paths below `base`.
    #[must_use]
    pub fn placed(mut self, base: &Path) -> Self {
        for path in self.sources.iter_mut().chain(&mut self.mask) {
            *path = base.join(&*path);
        }
        self
    }
}
