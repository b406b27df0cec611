//! Certificates for tests: an authority and what it issues. Tests may panic.
#![allow(clippy::unwrap_used, reason = "for tests only")]

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

/// An authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// What a certificate is to have: by default what an X.509-SVID has.
pub struct Wanted<'a> {
    /// URI names.
    pub uris: &'a [&'a str],
    /// DNS names.
    pub names: &'a [&'a str],
    /// Whether it expired long ago.
    pub expired: bool,
    /// From when on it is good no longer, if that is soon.
    pub until: Option<SystemTime>,
    /// Whether it is itself an authority's.
    pub authority: bool,
    /// Its key usage.
    pub usage: Vec<KeyUsagePurpose>,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self {
            uris: &[],
            names: &[],
            expired: false,
            until: None,
            authority: false,
            usage: vec![KeyUsagePurpose::DigitalSignature],
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new("authority")
    }
}

impl Authority {
    /// An authority of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer }
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's certificate for these names.
    pub fn server(&self, names: &[&str]) -> Issued {
        self.issue(&Wanted {
            names,
            ..Wanted::default()
        })
    }

    /// A node's certificate with this SPIFFE ID.
    pub fn node(&self, id: &str) -> Issued {
        self.issue(&Wanted {
            uris: &[id],
            ..Wanted::default()
        })
    }

    /// Any certificate.
    pub fn issue(&self, wanted: &Wanted<'_>) -> Issued {
        let names: Vec<String> = wanted.names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        for uri in wanted.uris {
            let uri = SanType::URI((*uri).try_into().unwrap());
            params.subject_alt_names.push(uri);
        }
        params.key_usages.clone_from(&wanted.usage);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if wanted.expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        if let Some(since) = wanted.until.and_then(|u| u.duration_since(UNIX_EPOCH).ok()) {
            params.not_after = date_time_ymd(1970, 1, 1) + since;
        }
        if wanted.authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key` into a directory, each at once.
    pub fn write(&self, directory: &Path, name: &str) {
        write(&directory.join(format!("{name}.key")), &self.key);
        write(&directory.join(format!("{name}.pem")), &self.certificate);
    }
}

/// Writes a file at once: whoever reads it sees the old one or the new one.
pub fn write(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(&draft, path).unwrap();
}

/// An HTTP client that believes this authority, given as PEM, and shows a node's certificate if it has one. An
/// answer is no error, whatever its status.
#[must_use]
pub fn client(authority: &str, node: Option<&Issued>) -> ureq::Agent {
    use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
    let root = Certificate::from_pem(authority.as_bytes()).unwrap();
    let identity = node.map(|node| {
        let chain = Certificate::from_pem(node.certificate.as_bytes()).unwrap();
        let key = PrivateKey::from_pem(node.key.as_bytes()).unwrap();
        ClientCert::new_with_certs(&[chain], key)
    });
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(vec![root])))
        .client_cert(identity)
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .build()
        .new_agent()
}
