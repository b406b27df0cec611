use std::collections::HashMap;

use serde_json::Value;

use crate::config::DataFault;
use crate::instant::utc_seconds;

/// Where each tenant's data is: `ig.tenants` of the policy data, read once.
///
/// A tenant that moves has two homes, one before a moment and one from then on. Which one counts is
/// worked out here and not by the policy: a policy that read a clock would have to be asked anew for
/// every request, and a decision that was kept would outlive the moment.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    homes: HashMap<Box<str>, Home>,
}

#[derive(Debug, Clone)]
struct Home {
    region: Box<str>,
    /// Until when (seconds since 1970) the home is another, and which.
    before: Option<(u64, Box<str>)>,
}

impl Directory {
    /// Reads the tenants: `{"region"}`, and for one that moves `"move": {"from", "at"}`; for one in
    /// several regions `"regions"`, which its home is among.
    ///
    /// # Errors
    /// A tenant's entry is not what it must be; the error says which.
    pub fn read(data: &Value) -> Result<Self, DataFault> {
        let Some(tenants) = data.get("ig").and_then(|ig| ig.get("tenants")) else {
            return Ok(Self::default());
        };
        let fault = |at: &str, problem| DataFault::new(format!("ig.tenants{at}"), problem);
        let tenants = tenants.as_object();
        let tenants = tenants.ok_or_else(|| fault("", "it must be an object"))?;
        let mut homes = HashMap::with_capacity(tenants.len());
        for (name, tenant) in tenants {
            let fault =
                |part: &str, problem| fault(&format!("[{}]{part}", Value::from(&**name)), problem);
            let text = |value: &Value, member: &str| {
                let text = value.get(member).and_then(Value::as_str);
                text.filter(|t| !t.is_empty()).map(Box::<str>::from)
            };
            let region = text(tenant, "region")
                .ok_or_else(|| fault(".region", "it must be the name of a region"))?;
            if let Some(regions) = tenant.get("regions") {
                let regions = regions
                    .as_array()
                    .filter(|list| list.iter().all(Value::is_string));
                let regions = regions
                    .ok_or_else(|| fault(".regions", "it must be a list of names of regions"))?;
                if !regions.iter().any(|r| r.as_str() == Some(&*region)) {
                    return Err(fault(
                        ".regions",
                        "the tenant's own region is not among them",
                    ));
                }
            }
            let before = match tenant.get("move") {
                None => None,
                Some(dated) => {
                    let from = text(dated, "from")
                        .filter(|from| *from != region)
                        .ok_or_else(|| {
                            fault(
                                ".move.from",
                                "it must be the name of another region than `region`",
                            )
                        })?;
                    let at = dated
                        .get("at")
                        .and_then(Value::as_str)
                        .and_then(utc_seconds);
                    let at = at.ok_or_else(|| {
                        fault(
                            ".move.at",
                            "it must be a moment such as 2026-12-01T00:00:00Z",
                        )
                    })?;
                    Some((at, from))
                }
            };
            homes.insert(name.as_str().into(), Home { region, before });
        }
        Ok(Self { homes })
    }

    /// Where a tenant's data is at `now_s`, seconds since 1970; `None` for a tenant that is not in the
    /// directory.
    pub fn home(&self, tenant: &str, now_s: u64) -> Option<&str> {
        let home = self.homes.get(tenant)?;
        match &home.before {
            Some((at, from)) if now_s < *at => Some(from),
            _ => Some(&home.region),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_move_happens_at_its_moment() {
        let data = json!({"ig": {"tenants": {
            "acme": {"region": "eu", "risk": "low"},
            "roam": {"region": "us", "regions": ["eu", "us"],
                     "move": {"from": "eu", "at": "2026-12-01T00:00:00Z"}},
        }}});
        let directory = Directory::read(&data).unwrap();
        let at = 1_796_083_200;
        for (tenant, now, want) in [
            ("acme", 0, Some("eu")),
            ("roam", 0, Some("eu")),
            ("roam", at - 1, Some("eu")),
            ("roam", at, Some("us")),
            ("roam", u64::MAX, Some("us")),
            ("nobody", at, None),
        ] {
            assert_eq!(directory.home(tenant, now), want, "{tenant} at {now}");
        }
        assert_eq!(Directory::read(&json!({})).unwrap().home("acme", 0), None);
    }

    #[test]
    fn a_broken_entry_is_named() {
        for (tenant, want) in [
            (
                json!({}),
                r#"ig.tenants["t"].region: it must be the name of a region"#,
            ),
            (
                json!({"region": ""}),
                r#"ig.tenants["t"].region: it must be"#,
            ),
            (json!(5), r#"ig.tenants["t"].region: it must be"#),
            (
                json!({"region": "eu", "regions": "eu"}),
                r#"ig.tenants["t"].regions: it must be a list"#,
            ),
            (
                json!({"region": "eu", "regions": [1, "eu"]}),
                r#"ig.tenants["t"].regions: it must be a list"#,
            ),
            (
                json!({"region": "eu", "regions": ["us"]}),
                r#"ig.tenants["t"].regions: the tenant's own"#,
            ),
            (
                json!({"region": "eu", "move": {}}),
                r#"ig.tenants["t"].move.from: it must be"#,
            ),
            (
                json!({"region": "eu", "move": {"from": "eu", "at": "2026-12-01T00:00:00Z"}}),
                r#"ig.tenants["t"].move.from: it must be"#,
            ),
            (
                json!({"region": "eu", "move": {"from": "us", "at": "2026-12-01"}}),
                r#"ig.tenants["t"].move.at: it must be a moment"#,
            ),
            (
                json!({"region": "eu", "move": null}),
                r#"ig.tenants["t"].move.from: it must be"#,
            ),
        ] {
            let data = json!({"ig": {"tenants": {"t": tenant}}});
            let error = Directory::read(&data).unwrap_err().to_string();
            assert!(error.starts_with(&format!("policy data {want}")), "{error}");
        }
        let error = Directory::read(&json!({"ig": {"tenants": []}}))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "policy data ig.tenants: it must be an object");
    }
}
