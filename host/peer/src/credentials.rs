//! Certificates and keys from files, read again when those change.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use crate::config::Config;
use crate::error::TlsError;
use crate::spiffe::check_trust_domain;

/// How often it is looked whether the files changed.
pub const RELOAD: Duration = Duration::from_secs(1);

/// What tells one state of a file from another without reading it: it is another file (a symbolic link that
/// was exchanged), or has another time or size.
type Fingerprint = [Option<(u64, SystemTime, u64)>; 3];

/// What is in force.
pub(crate) struct Credentials {
    config: Config,
    protocols: Vec<Vec<u8>>,
    state: Mutex<State>,
}

struct State {
    loaded: Loaded,
    seen: Fingerprint,
}

/// What the files give.
struct Loaded {
    server: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// What a look at the files found.
pub(crate) enum Look {
    Unchanged,
    Reloaded,
    Refused(TlsError),
}

impl Credentials {
    /// # Errors
    /// The files can't be used, or the trust domain is none.
    pub fn read(config: Config, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        check_trust_domain(&config.trust_domain).map_err(|source| TlsError::TrustDomain {
            name: config.trust_domain.clone(),
            source,
        })?;
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|p| p.to_vec()).collect();
        let seen = fingerprint(&config);
        let loaded = load(&config, &protocols)?;
        Ok(Self {
            config,
            protocols,
            state: Mutex::new(State { loaded, seen }),
        })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn server(&self) -> Arc<ServerConfig> {
        let state = self.state.lock();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state.loaded.server)
    }

    /// Whether a client with this chain, its own certificate first, would be let in at this time.
    ///
    /// # Errors
    /// It would not.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), rustls::Error> {
        let verifier = {
            let state = self.state.lock();
            let state = state.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&state.loaded.verifier)
        };
        let (leaf, rest) = chain
            .split_first()
            .ok_or(rustls::Error::NoCertificatesPresented)?;
        verifier.verify_client_cert(leaf, rest, now).map(|_| ())
    }

    /// Reads the files if they changed. What can't be used is not put into force, and read again when it
    /// changes again.
    pub fn look(&self) -> Look {
        let now = fingerprint(&self.config);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.seen == now {
            return Look::Unchanged;
        }
        state.seen = now;
        match load(&self.config, &self.protocols) {
            Ok(loaded) => {
                state.loaded = loaded;
                Look::Reloaded
            }
            Err(error) => Look::Refused(error),
        }
    }
}

fn fingerprint(config: &Config) -> Fingerprint {
    config.files().map(|(_, path)| {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.modified().ok()?, metadata.len()))
    })
}

fn load(config: &Config, protocols: &[Vec<u8>]) -> Result<Loaded, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut authorities = RootCertStore::empty();
    let refused = |reason: String| TlsError::Authorities {
        path: config.client_ca.clone(),
        reason,
    };
    for authority in certificates("client_ca", &config.client_ca)? {
        authorities
            .add(authority)
            .map_err(|error| refused(error.to_string()))?;
    }
    let verifier: Arc<dyn ClientCertVerifier> =
        WebPkiClientVerifier::builder_with_provider(authorities.into(), Arc::clone(&provider))
            .build()
            .map_err(|error| refused(error.to_string()))?;
    let chain = certificates("certificate", &config.certificate)?;
    let key = read("key", &config.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| TlsError::Pem {
        what: "key",
        path: config.key.clone(),
        kind: "private key",
        reason: error.to_string(),
    })?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Protocol)?
        .with_client_cert_verifier(Arc::clone(&verifier))
        .with_single_cert(chain, key)
        .map_err(|source| TlsError::Pair {
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            source,
        })?;
    server.alpn_protocols = protocols.to_vec();
    // A resumed session would be believed without a look at the authorities of today.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Loaded {
        server: Arc::new(server),
        verifier,
    })
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        what,
        path: path.to_owned(),
        source,
    })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |reason: String| TlsError::Pem {
        what,
        path: path.to_owned(),
        kind: "certificate",
        reason,
    };
    let text = read(what, path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| wrong(error.to_string()))?;
    if all.is_empty() {
        return Err(wrong("the file has none".to_owned()));
    }
    Ok(all)
}
