//! The sections that say where data may be: regions, tenants' regions, authorities and their
//! warrants, quarantine.

use engine::config::DataFault;
use engine::residency::Directory;
use engine::warrant::Registry;
use serde_json::{Map, Value};

use super::{Checked, Fault, Place, entries, known, object, present, wrong};

/// What a client is told whose request reached the wrong region's gateway.
const ANSWERS: [&str; 3] = ["deny", "redirect", "misdirected"];

/// Looks at what stands beside the tenants, and at what the residency filter itself reads.
pub(super) fn validate(
    data: &Value,
    ig: &Map<String, Value>,
    regions: &Map<String, Value>,
) -> Checked<()> {
    for region in entries("ig.regions", regions)? {
        region.only(&["jurisdiction", "gateway"])?;
        region.optional("jurisdiction", Value::as_str, "a text")?;
        let origin = |v: &'_ Value| v.as_str().filter(|url| is_origin(url)).map(|_| ());
        region.optional(
            "gateway",
            origin,
            "an origin such as https://eu.gateway.example",
        )?;
    }
    if let Some(misrouted) = ig.get("misrouted") {
        let misrouted = Place::new("ig.misrouted".into(), misrouted)?;
        misrouted.only(&["answer"])?;
        let answer = present(misrouted.members, &misrouted.at, "answer")?;
        if !answer.as_str().is_some_and(|a| ANSWERS.contains(&a)) {
            let at = "ig.misrouted.answer".into();
            let expected = format!("one of {}", ANSWERS.join(", "));
            return Err(wrong(at, answer, expected));
        }
    }
    for (name, members) in [
        ("revocations", "reason"),
        ("quarantine", "reason, since, by"),
    ] {
        let Some(section) = ig.get(name) else {
            continue;
        };
        let at = format!("ig.{name}");
        for entry in entries(&at, object(at.clone(), section)?)? {
            let members: Vec<&str> = members.split(", ").collect();
            entry.only(&members)?;
            for member in members {
                entry.optional(member, Value::as_str, "a text")?;
            }
        }
    }
    let theirs = |fault: DataFault| Fault {
        at: fault.at,
        reason: fault.problem.to_owned(),
    };
    Registry::read(data).map_err(theirs)?;
    Ok(())
}

/// Looks at one tenant's regions.
pub(super) fn tenant(tenant: &Place<'_>, regions: &Map<String, Value>) -> Checked<()> {
    let exists = |at: &str, name: &str| known(at, "region", name, regions.keys(), "ig.regions");
    exists(&tenant.at, tenant.text("region")?)?;
    if let Some(list) = tenant.members.get("regions") {
        let at = format!("{}.regions", tenant.at);
        let names = list
            .as_array()
            .ok_or_else(|| wrong(at.clone(), list, "a list"))?;
        for (index, name) in names.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let name = name.as_str();
            exists(
                &at,
                name.ok_or_else(|| wrong(at.clone(), list, "the name of a region"))?,
            )?;
        }
    }
    if let Some(dated) = tenant.members.get("move") {
        let dated = Place::new(format!("{}.move", tenant.at), dated)?;
        dated.only(&["from", "at"])?;
        exists(&dated.at, dated.text("from")?)?;
    }
    Ok(())
}

/// Looks at the tenants as the filter reads them.
pub(super) fn directory(data: &Value) -> Checked<()> {
    Directory::read(data).map(|_| ()).map_err(|fault| Fault {
        at: fault.at,
        reason: fault.problem.to_owned(),
    })
}

/// Scheme and authority and no more: a request's own path is put behind it.
fn is_origin(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|authority| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
        !authority.is_empty() && authority.bytes().all(legal)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::is_origin;
    use crate::data::tests::with;

    #[test]
    fn an_origin_has_no_path() {
        for good in [
            "https://eu.example",
            "http://127.0.0.1:10000",
            "https://[::1]:8443",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "eu.example",
            "https://",
            "https://eu.example/",
            "https://a@b",
            "ftp://x",
            "https://a b",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_with_regions_and_warrants_is_named() {
        for (pointer, value, want) in [
            (
                "/ig/regions/eu/gateway",
                json!("https://eu.example/graphql"),
                r#"ig.regions["eu"].gateway: it must be an origin such as https://eu.gateway.example, and it is a text"#,
            ),
            (
                "/ig/misrouted",
                json!({"answer": "bounce"}),
                "ig.misrouted.answer: it must be one of deny, redirect, misdirected, and it is a text",
            ),
            (
                "/ig/misrouted",
                json!({}),
                "ig.misrouted: `answer` is missing",
            ),
            (
                "/ig/tenants/acme/regions",
                json!(["eu", "mars"]),
                r#"ig.tenants["acme"].regions[1]: there is no region `mars` in ig.regions"#,
            ),
            (
                "/ig/tenants/acme/regions",
                json!(["us"]),
                r#"ig.tenants["acme"].regions: the tenant's own region is not among them"#,
            ),
            (
                "/ig/tenants/acme/move",
                json!({"from": "mars", "at": "2026-12-01T00:00:00Z"}),
                r#"ig.tenants["acme"].move: there is no region `mars` in ig.regions"#,
            ),
            (
                "/ig/tenants/acme/move",
                json!({"from": "us", "at": "tomorrow"}),
                r#"ig.tenants["acme"].move.at: it must be a moment such as 2026-12-01T00:00:00Z"#,
            ),
            (
                "/ig/tenants/acme/move",
                json!({"from": "us", "when": "2026-12-01T00:00:00Z"}),
                r#"ig.tenants["acme"].move: there is no member `when`: use from, at"#,
            ),
            (
                "/ig/revocations",
                json!({"wrt_1": {"why": "x"}}),
                r#"ig.revocations["wrt_1"]: there is no member `why`: use reason"#,
            ),
            (
                "/ig/quarantine",
                json!({"acme": true}),
                r#"ig.quarantine["acme"]: it must be an object, and it is true or false"#,
            ),
            (
                "/ig/quarantine",
                json!({"acme": {"reason": 5}}),
                r#"ig.quarantine["acme"].reason: it must be a text, and it is a number"#,
            ),
            (
                "/ig/authorities",
                json!({"court": {"jurisdictions": ["EU"]}}),
                r#"ig.authorities["court"].keys: it must be a list of JWKs, not empty"#,
            ),
            (
                "/ig/authorities",
                json!({"court": {"jurisdictions": ["EU"], "keys": [{"kty": "EC", "d": "s3cret"}]}}),
                r#"ig.authorities["court"].keys[0]: it must be a public JWK: kty, crv, x, y, and alg, use, kid at most"#,
            ),
        ] {
            assert_eq!(with(pointer, value), want);
        }
    }
}
