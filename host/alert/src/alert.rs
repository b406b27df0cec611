use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Something that is wrong, as long as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What kind of wrong, in the form `GatewayRefusedConfiguration`.
    pub name: String,
    /// Who should hear of it.
    pub severity: Severity,
    /// What it is about: tenant, region, gateway. Together with the name they tell one alert from
    /// another.
    pub about: BTreeMap<String, String>,
    /// One sentence.
    pub summary: String,
    /// What was seen.
    pub description: String,
    /// What to do: commands, or the place of a runbook.
    pub runbook: String,
}

/// Who should hear of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody, now.
    Critical,
    /// Somebody, today.
    Warning,
}

impl Alert {
    /// Names the alert: the same for the same name and subject.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.name, &self.about)
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of name and subject, each with its length.
pub(crate) fn fingerprint(name: &str, about: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    let texts = about.iter().flat_map(|(key, value)| [key, value]);
    for text in std::iter::once(name).chain(texts.map(String::as_str)) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let digest = hash.finalize();
    digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
}
