//! Whose values: a tenant and a field, resolved by the schema.

use std::cmp::Reverse;

use anyhow::{Context, bail};
use bundle::Bundle;
use engine::mask::{DomainError, key_domain};
use engine::schema::{Kind, Schema};

/// How alike a name must be to be worth a mention.
const ALIKE: f64 = 0.6;
/// How many names are mentioned.
const MENTIONED: usize = 3;

/// The values of a field of one tenant.
pub struct Place {
    /// The tenant.
    pub tenant: String,
    /// The field, as it was given.
    pub coordinate: String,
    /// The coordinate that its key is made of.
    pub domain: Box<str>,
}

/// Resolves coordinates.
pub struct Places {
    bundle: Bundle,
    schema: Schema,
}

impl Places {
    /// Under the policies of a bundle.
    ///
    /// # Errors
    /// The schema is broken.
    pub fn new(bundle: Bundle) -> anyhow::Result<Self> {
        let schema = Schema::parse(&bundle.schema)
            .with_context(|| format!("can't use the schema of {}", bundle.path.display()))?;
        Ok(Self { bundle, schema })
    }

    /// The place of a tenant's field.
    ///
    /// # Errors
    /// The schema has no such field (the error names those that are alike), or none whose values
    /// are hashed under one key.
    pub fn find(&self, tenant: &str, coordinate: &str) -> anyhow::Result<Place> {
        if tenant.trim().is_empty() {
            bail!("the tenant must not be empty");
        }
        let domain = match key_domain(&self.schema, coordinate) {
            Ok(domain) => domain,
            Err(error @ DomainError::Unknown(_)) => {
                return Err(match &*near(&self.schema, coordinate) {
                    [] => error.into(),
                    names => anyhow::anyhow!("{error}; near are {}", names.join(", ")),
                });
            }
            Err(error) => return Err(error.into()),
        };
        // Tenants that have left still have pseudonyms in logs: this may be right.
        let tenants = self.bundle.policy.data.pointer("/ig/tenants");
        if tenants.is_some_and(|known| known.get(tenant).is_none()) {
            tracing::warn!("the policies know no tenant `{tenant}`");
        }
        Ok(Place {
            tenant: tenant.to_owned(),
            coordinate: coordinate.to_owned(),
            domain,
        })
    }
}

/// The coordinates with keys that are most like a text.
fn near(schema: &Schema, text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let given = text.split_once('.').map_or(&*text, |(_, field)| field);
    let mut scored: Vec<(Reverse<u64>, String)> = Vec::new();
    for (_, ty) in schema.types() {
        if !matches!(ty.kind, Kind::Object | Kind::Interface) {
            continue;
        }
        for field in ty.fields() {
            let name = format!("{}.{}", ty.name, field.name);
            let whole = strsim::normalized_damerau_levenshtein(&text, &name.to_lowercase());
            let of_field =
                strsim::normalized_damerau_levenshtein(given, &field.name.to_lowercase());
            // The right field of the wrong type is near, but not as near as a typing error.
            let score = whole.max(of_field * 0.7);
            if score >= ALIKE && key_domain(schema, &name).is_ok() {
                scored.push((Reverse((score * 1000.0) as u64), name));
            }
        }
    }
    scored.sort_unstable();
    let names = scored.into_iter().map(|(_, name)| name);
    names.take(MENTIONED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_those_one_meant() {
        let schema = Schema::parse(
            "type Query { person: Person } interface Contact { email: String } \
             type Person implements Contact { email: String nickname: String salary: Int } \
             type Vendor implements Contact { email: String }",
        )
        .unwrap();
        for (text, want) in [
            (
                "Persom.email",
                &["Person.email", "Contact.email", "Vendor.email"][..],
            ),
            ("person.nickName", &["Person.nickname"]),
            ("Person.emial", &["Person.email"]),
            ("email", &["Contact.email", "Person.email", "Vendor.email"]),
            ("Person.salery", &[]),
            ("Zebra.stripes", &[]),
        ] {
            let seen = near(&schema, text);
            assert_eq!(
                seen.first().map(String::as_str),
                want.first().copied(),
                "{text}"
            );
            assert!(
                want.iter().all(|w| seen.iter().any(|s| s == w)),
                "{text}: {seen:?}"
            );
        }
    }
}
