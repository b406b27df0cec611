//! What goes over the wire.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::book::{Entry, Status};

/// The body of `POST /api/v2/alerts` of Alertmanager: an array of postable alerts.
pub(crate) fn alertmanager(entries: &[&Entry]) -> Value {
    entries
        .iter()
        .map(|entry| {
            let mut alert = json!({
                "labels": labels(entry),
                "annotations": annotations(entry),
                "startsAt": entry.starts_at.to_string(),
            });
            if let (Some(end), Some(alert)) = (entry.ends_at, alert.as_object_mut()) {
                alert.insert("endsAt".into(), end.to_string().into());
            }
            alert
        })
        .collect()
}

/// What Alertmanager sends to a webhook (version 4), for one alert.
pub(crate) fn webhook(entry: &Entry) -> Value {
    let status = match entry.status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    };
    // The zero time of Go stands for an end that has not come.
    let end = entry
        .ends_at
        .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |end| end.to_string());
    json!({
        "version": "4",
        "groupKey": format!("maestro/{}", entry.alert.fingerprint()),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "webhook",
        "groupLabels": {"alertname": entry.alert.name},
        "commonLabels": labels(entry),
        "commonAnnotations": annotations(entry),
        "externalURL": "",
        "alerts": [{
            "status": status,
            "labels": labels(entry),
            "annotations": annotations(entry),
            "startsAt": entry.starts_at.to_string(),
            "endsAt": end,
            "generatorURL": "",
            "fingerprint": entry.alert.fingerprint(),
        }],
    })
}

/// `sha256=` and the HMAC of a body under a webhook's secret.
pub(crate) fn signature(secret: &str, body: &[u8]) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    let digest = mac.chain_update(body).finalize().into_bytes();
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    Some(format!("sha256={hex}"))
}

fn labels(entry: &Entry) -> Map<String, Value> {
    let alert = &entry.alert;
    let about = alert
        .about
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()));
    let mut labels: Map<String, Value> = about.collect();
    labels.insert("alertname".into(), alert.name.clone().into());
    labels.insert("severity".into(), json!(alert.severity));
    labels
}

fn annotations(entry: &Entry) -> Value {
    json!({
        "summary": entry.alert.summary,
        "description": entry.alert.description,
        "runbook": entry.alert.runbook,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_an_hmac_of_the_body() {
        // RFC 4231, test case 2.
        let want = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let seen = signature("Jefe", b"what do ya want for nothing?");
        assert_eq!(seen.as_deref(), Some(want));
    }
}
