//! The identity in a certificate: an X.509-SVID's, as that standard has it, of a node.

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use crate::error::IdentityError;
use crate::spiffe::SpiffeId;

/// A node, as its certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The whole SPIFFE ID.
    pub id: SpiffeId,
    /// The region.
    pub region: String,
    /// What it is: `gateway`, `sidecar`.
    pub role: String,
    /// Its node id.
    pub node: String,
}

impl Identity {
    /// The identity that a SPIFFE ID names: its path is `/region/REGION/ROLE/NODE`.
    ///
    /// # Errors
    /// It is of another trust domain, or its path is another.
    pub fn of(id: SpiffeId, trust_domain: &str) -> Result<Self, IdentityError> {
        if id.trust_domain() != trust_domain {
            return Err(IdentityError::TrustDomain {
                id: id.to_string(),
                expected: trust_domain.to_owned(),
            });
        }
        let segments: Vec<&str> = id.segments().collect();
        let named = match segments[..] {
            ["region", region, role, node] => Some([region, role, node].map(str::to_owned)),
            _ => None,
        };
        let Some([region, role, node]) = named else {
            return Err(IdentityError::Path {
                id: id.to_string(),
                trust_domain: trust_domain.to_owned(),
            });
        };
        Ok(Self {
            id,
            region,
            role,
            node,
        })
    }
}

/// The identity that a verified client certificate (DER) names (X509-SVID, sections 4 and 5.2): a leaf with
/// `digitalSignature` and without `keyCertSign` and `cRLSign`, and with one URI name, its SPIFFE ID.
///
/// # Errors
/// It names no node of the trust domain.
pub fn identity_of(certificate: &[u8], trust_domain: &str) -> Result<Identity, IdentityError> {
    let malformed = |error: x509_cert::der::Error| IdentityError::Malformed {
        reason: error.to_string(),
    };
    let certificate = Certificate::from_der(certificate).map_err(malformed)?;
    let body = certificate.tbs_certificate();
    let constraints = body.get_extension::<BasicConstraints>();
    if constraints.map_err(malformed)?.is_some_and(|(_, c)| c.ca) {
        return Err(IdentityError::Authority);
    }
    let usage = body.get_extension::<KeyUsage>().map_err(malformed)?;
    let problem = match usage {
        None => Some("is missing"),
        Some((_, usage)) if usage.key_cert_sign() || usage.crl_sign() => {
            Some("is that of an authority")
        }
        Some((_, usage)) if !usage.digital_signature() => Some("lacks digitalSignature"),
        Some(_) => None,
    };
    if let Some(problem) = problem {
        return Err(IdentityError::KeyUsage { problem });
    }
    let names = body.get_extension::<SubjectAltName>().map_err(malformed)?;
    let names = names.map(|(_, names)| names.0).unwrap_or_default();
    let uris: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
        .collect();
    let uri = match uris[..] {
        [] => return Err(IdentityError::NoUri),
        [uri] => uri,
        _ => return Err(IdentityError::SeveralUris { count: uris.len() }),
    };
    let id = SpiffeId::parse(uri).map_err(|reason| IdentityError::SpiffeId { reason })?;
    Identity::of(id, trust_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_node_or_none() {
        let of = |path: &str| {
            let id = SpiffeId::parse(&format!("spiffe://example.org{path}")).unwrap();
            Identity::of(id, "example.org")
        };
        let gateway = of("/region/eu/gateway/gateway-eu-1").unwrap();
        assert_eq!(
            [&gateway.region, &gateway.role, &gateway.node],
            ["eu", "gateway", "gateway-eu-1"]
        );
        for path in [
            "",
            "/region/eu/gateway",
            "/region/eu/gateway/a/b",
            "/regions/eu/gateway/a",
            "/ns/default/sa/a",
        ] {
            assert!(
                matches!(of(path), Err(IdentityError::Path { .. })),
                "{path}"
            );
        }
        let foreign = SpiffeId::parse("spiffe://example.com/region/eu/gateway/a").unwrap();
        assert!(matches!(
            Identity::of(foreign, "example.org"),
            Err(IdentityError::TrustDomain { .. })
        ));
    }
}
