use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;

use crate::error::KeyringError;
use crate::record::CONDUCTOR;

/// The public keys of those who may release, approve, promote, freeze and go back, and of the service.
///
/// A key that is not to sign any more stays for what it has signed: it is believed up to a record's number.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Trusted>,
}

#[derive(Debug, Clone)]
struct Trusted {
    name: String,
    key: VerifyingKey,
    /// The number of the last record that it may have signed; none: it goes on signing.
    until: Option<u64>,
}

impl Keyring {
    /// Keys, each in PEM (SPKI), by `NAME`, or by `NAME@RECORD` or `NAME.until.RECORD` if they sign nothing
    /// after that record.
    ///
    /// # Errors
    /// A name or a key can't be used, or two people share one.
    pub fn new<'a>(
        pems: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, KeyringError> {
        let mut keys: Vec<Trusted> = Vec::new();
        for (label, pem) in pems {
            let wrong = || KeyringError::Name(label.to_owned());
            // Where no `@` can stand in a name, as in the ConfigMaps of Kubernetes.
            let retired = label.split_once('@').or_else(|| {
                let (name, until) = label.split_once(".until.")?;
                until.parse::<u64>().is_ok().then_some((name, until))
            });
            let (name, until) = match retired {
                None => (label, None),
                Some((name, until)) => (name, Some(until.parse().map_err(|_| wrong())?)),
            };
            if !is_name(name) && (name, until.is_some()) != (CONDUCTOR, true) {
                return Err(wrong());
            }
            let key = VerifyingKey::from_public_key_pem(pem.trim())
                .map_err(|_| KeyringError::Key(label.to_owned()))?;
            let mut others = keys.iter().filter(|k| k.name != name);
            if let Some(other) = others.find(|k| k.key == key) {
                return Err(KeyringError::Shared(other.name.clone(), name.to_owned()));
            }
            keys.push(Trusted {
                name: name.to_owned(),
                key,
                until,
            });
        }
        Ok(Self { keys })
    }

    /// The same with the service's own key.
    ///
    /// # Errors
    /// It is a person's.
    pub fn with_conductor(mut self, key: VerifyingKey) -> Result<Self, KeyringError> {
        if let Some(other) = self
            .keys
            .iter()
            .find(|k| k.key == key && k.name != CONDUCTOR)
        {
            return Err(KeyringError::Shared(
                other.name.clone(),
                CONDUCTOR.to_owned(),
            ));
        }
        self.keys.push(Trusted {
            name: CONDUCTOR.to_owned(),
            key,
            until: None,
        });
        Ok(self)
    }

    /// Whether somebody of that name has ever been trusted.
    pub fn knows(&self, name: &str) -> bool {
        self.keys.iter().any(|k| k.name == name)
    }

    /// Whether it is the key with which that name signs now.
    pub fn signs_as(&self, name: &str, key: &VerifyingKey) -> bool {
        let signs = |k: &Trusted| k.name == name && k.until.is_none() && k.key == *key;
        self.keys.iter().any(signs)
    }

    /// The names of those who may sign now.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let now = self.keys.iter().filter(|k| k.until.is_none());
        now.map(|k| k.name.as_str())
    }

    /// Whether a signature (base64 of ASN.1 DER, ECDSA over SHA-256) is that name's over the bytes of the
    /// record of this number.
    pub fn verifies(&self, name: &str, record: u64, bytes: &[u8], signature: &str) -> bool {
        let signature = STANDARD
            .decode(signature)
            .ok()
            .and_then(|der| Signature::from_der(&der).ok());
        let Some(signature) = signature else {
            return false;
        };
        let might = |k: &&Trusted| k.name == name && k.until.is_none_or(|until| record <= until);
        let mut keys = self.keys.iter().filter(might);
        keys.any(|k| k.key.verify(bytes, &signature).is_ok())
    }
}

/// Names end up in records, commands and file names.
pub(crate) fn is_name(name: &str) -> bool {
    let fits =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with('.')
        && name != CONDUCTOR
}
