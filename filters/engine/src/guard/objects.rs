//! Whose an object is, by its name.

use super::config::{GuardError, ObjectRule};

const TENANT: &str = "{tenant}";

/// What the rules tell of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// Its tenant.
    pub tenant: Option<String>,
    /// Its region, if it is not the store's.
    pub region: Option<String>,
}

impl ObjectRule {
    pub(super) fn check(&self) -> Result<(), GuardError> {
        let wrong = |problem| {
            let name = self.name.clone();
            Err(GuardError::Rule { name, problem })
        };
        match self.name.matches(TENANT).count() {
            _ if self.name.is_empty() => wrong("has no name"),
            0 => Ok(()),
            1 if self.tenant.is_some() => wrong("names a tenant twice"),
            1 => Ok(()),
            _ => wrong("has {tenant} more than once"),
        }
    }

    /// How many characters of the name are fixed.
    fn exactness(&self) -> usize {
        self.name.len() - self.name.matches(TENANT).count() * TENANT.len()
    }

    fn owner(&self, name: &str) -> Option<Owner> {
        let tenant = match self.name.split_once(TENANT) {
            None if name == self.name => self.tenant.clone(),
            None => return None,
            Some((before, after)) => {
                let tenant = name.strip_prefix(before)?.strip_suffix(after)?;
                if tenant.is_empty() {
                    return None;
                }
                Some(tenant.to_owned())
            }
        };
        let region = self.region.clone();
        Some(Owner { tenant, region })
    }
}

/// The owner of an object: the most exact rule that fits tells it.
pub(super) fn owner(rules: &[ObjectRule], name: &str) -> Option<Owner> {
    let fitting = rules
        .iter()
        .filter_map(|r| Some((r.exactness(), r.owner(name)?)));
    // Of equals the first.
    fitting
        .rev()
        .max_by_key(|(exactness, _)| *exactness)
        .map(|(_, owner)| owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, tenant: Option<&str>) -> ObjectRule {
        ObjectRule {
            name: name.into(),
            region: None,
            tenant: tenant.map(str::to_owned),
        }
    }

    #[test]
    fn the_most_exact_rule_tells_the_owner() {
        let rules = [
            rule("{tenant}", None),
            rule("data-{tenant}", None),
            rule("data-{tenant}-logs", None),
            rule("data-shared", Some("house")),
            rule("public", None),
        ];
        for (name, want) in [
            ("acme", Some(Some("acme"))),
            ("data-acme", Some(Some("acme"))),
            ("data-acme-logs", Some(Some("acme"))),
            ("data-shared", Some(Some("house"))),
            ("public", Some(None)),
            ("data-", Some(Some("data-"))),
        ] {
            let got = owner(&rules, name).map(|o| o.tenant);
            assert_eq!(got, want.map(|t| t.map(str::to_owned)), "{name}");
        }
        assert_eq!(owner(&rules[1..], "other"), None);
        assert_eq!(owner(&rules[1..], "data-"), None);
    }

    #[test]
    fn a_rule_that_says_two_things_is_refused() {
        assert!(rule("{tenant}-{tenant}", None).check().is_err());
        assert!(rule("{tenant}", Some("acme")).check().is_err());
        assert!(rule("", None).check().is_err());
        assert!(rule("a", Some("acme")).check().is_ok());
    }
}
