use serde::Deserialize;

/// Who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Alertmanagers, by their base URL: `http://alertmanager:9093`.
    pub alertmanagers: Vec<String>,
    /// Webhooks.
    pub webhooks: Vec<Webhook>,
}

/// A webhook: it gets what Alertmanager's webhooks get (version 4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where.
    pub url: String,
    /// The environment variable with the secret under which each message is signed:
    /// `X-Maestro-Signature-256: sha256=` and the HMAC-SHA-256 of the body in hexadecimal.
    #[serde(default)]
    pub secret_env: Option<String>,
}
