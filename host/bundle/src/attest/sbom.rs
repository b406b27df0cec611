//! The bill of materials: CycloneDX 1.6 in JSON (cyclonedx.org/docs/1.6/json).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Archive;
use crate::archive::structured::hex;
use crate::json::{member, put};

pub(super) fn sbom(archive: &Archive, name: &str, date: Option<u64>) -> Value {
    let revision = &archive.manifest().revision;
    let subject = format!("bundle:{}", archive.digest());
    let components: Vec<Value> = archive
        .files()
        .iter()
        .map(|(name, bytes)| component(name, bytes, revision))
        .collect();
    let refs: Vec<Value> = components
        .iter()
        .map(|c| member(c, "bom-ref").clone())
        .collect();
    let mut metadata = json!({
        "component": {
            "bom-ref": subject,
            "type": "application",
            "name": name,
            "version": revision,
            "hashes": [{"alg": "SHA-256", "content": archive.digest()}],
        },
        "tools": {"components": [{
            "type": "application", "name": "conductor", "version": env!("CARGO_PKG_VERSION"),
        }]},
    });
    if let Some(date) = date {
        put(&mut metadata, "timestamp", moment(date));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(archive.digest()),
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": [{"ref": subject, "dependsOn": refs}],
    })
}

/// A filter is a component of its own, with what it does; any other file is a file.
fn component(name: &str, bytes: &[u8], revision: &str) -> Value {
    let mut component = json!({
        "bom-ref": format!("file:{name}"),
        "type": "file",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": hex(&Sha256::digest(bytes))}],
    });
    let filter = name
        .strip_prefix("filters/")
        .and_then(|n| n.strip_suffix(".wasm"));
    if let Some(filter) = filter {
        put(&mut component, "type", "library");
        put(&mut component, "mime-type", "application/wasm");
        put(&mut component, "version", revision);
        let description = format!("the proxy-wasm filter `{filter}`");
        put(&mut component, "description", description);
        let properties = json!([{"name": "ig:filter", "value": filter}]);
        put(&mut component, "properties", properties);
    }
    component
}

/// A UUID (RFC 9562, version 8) of a hash: the same bundle has the same serial number.
fn serial(digest: &str) -> String {
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

/// Seconds since 1970 as RFC 3339 has them. By the days of the proleptic Gregorian calendar, counted in
/// eras of 400 years that begin in March.
pub(super) fn moment(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let days = days.saturating_add(719_468);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let date = day - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Whether a bill says what is in a bundle.
pub(super) fn check(archive: &Archive, text: &[u8]) -> Result<(), String> {
    let bill: Value =
        serde_json::from_slice(text).map_err(|e| format!("it is no bill of materials: {e}"))?;
    if member(&bill, "bomFormat") != "CycloneDX" {
        return Err("it is no CycloneDX".into());
    }
    let hash = |of: &Value| -> Option<String> {
        let hashes = member(of, "hashes").as_array()?;
        let hash = hashes.iter().find(|h| member(h, "alg") == "SHA-256")?;
        member(hash, "content").as_str().map(str::to_owned)
    };
    if hash(member(member(&bill, "metadata"), "component")).as_deref() != Some(archive.digest()) {
        return Err("it is of another bundle".into());
    }
    let components = member(&bill, "components").as_array();
    let mut listed: BTreeMap<&str, Option<String>> = components
        .into_iter()
        .flatten()
        .filter_map(|c| Some((member(c, "name").as_str()?, hash(c))))
        .collect();
    for (name, bytes) in archive.files().iter() {
        if listed.remove(name) != Some(Some(hex(&Sha256::digest(bytes)))) {
            return Err(format!("it does not list `{name}` as it is"));
        }
    }
    match listed.keys().next() {
        None => Ok(()),
        Some(name) => Err(format!("it lists `{name}`, which the bundle does not have")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(moment(seconds), want);
        }
    }
}
