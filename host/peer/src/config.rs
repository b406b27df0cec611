//! Where the certificates are.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Mutual TLS on a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server's certificate and what leads from it to an authority: PEM, its own first.
    pub certificate: PathBuf,
    /// Its private key: PEM.
    pub key: PathBuf,
    /// The authorities whose clients are let in: PEM. While they rotate, the old and the new.
    pub client_ca: PathBuf,
    /// The trust domain of which a client has to be: the name, without `spiffe://`.
    pub trust_domain: String,
    /// Seconds for a handshake.
    #[serde(default = "Config::default_handshake_seconds")]
    pub handshake_seconds: u64,
    /// Handshakes at once; further connections wait in the operating system's queue.
    #[serde(default = "Config::default_max_handshakes")]
    pub max_handshakes: usize,
}

impl Config {
    /// Settings with these files, and defaults else.
    pub fn new(certificate: &Path, key: &Path, client_ca: &Path, trust_domain: &str) -> Self {
        Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            client_ca: client_ca.to_owned(),
            trust_domain: trust_domain.to_owned(),
            handshake_seconds: Self::default_handshake_seconds(),
            max_handshakes: Self::default_max_handshakes(),
        }
    }

    fn default_handshake_seconds() -> u64 {
        10
    }

    fn default_max_handshakes() -> usize {
        1_024
    }

    /// Makes the paths absolute that are relative to a directory.
    pub fn place(&mut self, base: &Path) {
        for path in [&mut self.certificate, &mut self.key, &mut self.client_ca] {
            *path = base.join(&*path);
        }
    }

    /// The files, with what each is.
    pub(crate) fn files(&self) -> [(&'static str, &Path); 3] {
        [
            ("certificate", &self.certificate),
            ("key", &self.key),
            ("client_ca", &self.client_ca),
        ]
    }
}
