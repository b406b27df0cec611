//! How an Envoy shows the control plane who it is: mutual TLS, with certificates that it reads from files and
//! reads again when those are replaced.
//!
//! Envoy looks after files of secrets only that come by SDS. So the two secrets are served by SDS from files
//! that lie beside the bootstrap and name the certificates: those files never change, the certificates do.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::SpecError;
use crate::spec::fault;

/// The SDS file of the Envoy's own certificate, in [`TlsSpec::sds`].
pub const IDENTITY_FILE: &str = "identity.yaml";

/// The SDS file of the authorities that the control plane's certificate is checked against.
pub const AUTHORITY_FILE: &str = "authority.yaml";

/// Mutual TLS to the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// The Envoy's own files.
    pub identity: IdentitySpec,
    /// What the control plane's certificate has to name: a DNS name, an address, or a SPIFFE ID.
    pub server_name: String,
    /// The directory on the Envoy's machine in which the files of [`sds`] lie.
    pub sds: PathBuf,
}

/// Files on the Envoy's machine, in PEM. A new one takes the place of an old one by a rename.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySpec {
    /// Its certificate, and what leads from it to an authority. Its SPIFFE ID names region, role and node.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of the control plane's certificate.
    pub ca: PathBuf,
}

impl TlsSpec {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        let identity = &self.identity;
        let files = [&identity.certificate, &identity.key, &identity.ca];
        if files.iter().any(|file| !file.is_absolute()) || !self.sds.is_absolute() {
            return fault(
                "xds.tls",
                "must have absolute paths: Envoy takes others as relative to where it runs",
            );
        }
        if self.server_name.is_empty() {
            return fault(
                "xds.tls.server_name",
                "must say whose certificate is believed",
            );
        }
        Ok(())
    }
}

/// The SDS files by name: what an Envoy needs beside its bootstrap.
pub fn sds(spec: &TlsSpec) -> [(&'static str, String); 2] {
    let identity = &spec.identity;
    let secret = |name: &str, kind: &str, content: Value| {
        let file = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": name,
            kind: content,
        }]});
        // JSON is YAML.
        format!("{file:#}\n")
    };
    [
        (
            IDENTITY_FILE,
            secret(
                "identity",
                "tls_certificate",
                json!({
                    "certificate_chain": {"filename": identity.certificate},
                    "private_key": {"filename": identity.key},
                    "watched_directory": {"path": parent(&identity.certificate)},
                }),
            ),
        ),
        (
            AUTHORITY_FILE,
            secret(
                "authority",
                "validation_context",
                json!({
                    "trusted_ca": {"filename": identity.ca},
                    "watched_directory": {"path": parent(&identity.ca)},
                }),
            ),
        ),
    ]
}

/// The transport socket of a cluster of the control plane's, on which this protocol is spoken (ALPN).
pub(crate) fn transport_socket(spec: &TlsSpec, protocol: &str) -> Value {
    let from_file = |name: &str, file: &str| {
        json!({
            "name": name,
            "sds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": spec.sds.join(file),
                    "watched_directory": {"path": spec.sds},
                },
            },
        })
    };
    let name = &spec.server_name;
    let (kind, sni) = if name.parse::<std::net::IpAddr>().is_ok() {
        ("IP_ADDRESS", None)
    } else if name.starts_with("spiffe://") {
        ("URI", None)
    } else {
        ("DNS", Some(name))
    };
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": [protocol],
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificate_sds_secret_configs": [from_file("identity", IDENTITY_FILE)],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [
                        {"san_type": kind, "matcher": {"exact": name}},
                    ],
                },
                "validation_context_sds_secret_config": from_file("authority", AUTHORITY_FILE),
            },
        },
    });
    if let (Some(sni), Some(context)) = (sni, context.as_object_mut()) {
        context.insert("sni".to_owned(), json!(sni));
    }
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

fn parent(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}
