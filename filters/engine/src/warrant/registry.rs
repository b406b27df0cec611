use std::collections::{BTreeMap, HashMap, HashSet};

use p256::ecdsa::VerifyingKey;
use serde_json::Value;

use super::{Jwk, Warrant, WarrantError};
use crate::config::{DataFault, check_refusals, section};

/// Whose warrants are believed, where, and which not: the policy data, read once.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    authorities: BTreeMap<String, Authority>,
    /// Thumbprint → key, and the name of the authority whose it is.
    keys: HashMap<String, (VerifyingKey, String)>,
    /// Region → jurisdiction.
    regions: HashMap<String, String>,
    revoked: HashSet<String>,
}

/// A registered authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Where it has a say.
    pub jurisdictions: Vec<String>,
}

impl Registry {
    /// Reads `ig.authorities`, `ig.regions` and `ig.revocations`; what is not there is empty. Looks at
    /// `ig.quarantine` as well, which only rules read.
    ///
    /// # Errors
    /// One of them is not what it must be; the error says where.
    pub fn read(data: &Value) -> Result<Self, DataFault> {
        check_refusals(data)?;
        let mut registry = Self::default();
        for (name, region) in section(data, "regions")?.into_iter().flatten() {
            if let Some(jurisdiction) = region.get("jurisdiction").and_then(Value::as_str) {
                registry
                    .regions
                    .insert(name.clone(), jurisdiction.to_owned());
            }
        }
        for (name, authority) in section(data, "authorities")?.into_iter().flatten() {
            registry.register(name, authority)?;
        }
        let revoked = section(data, "revocations")?.into_iter().flatten();
        registry.revoked = revoked.map(|(id, _)| id.clone()).collect();
        Ok(registry)
    }

    fn register(&mut self, name: &str, authority: &Value) -> Result<(), DataFault> {
        let at = format!("ig.authorities[{}]", Value::from(name));
        let fault =
            |part: &str, problem: &'static str| DataFault::new(format!("{at}{part}"), problem);
        let members = authority.as_object();
        let members = members.ok_or_else(|| fault("", "it must be an object"))?;
        let known = |member: &&String| matches!(member.as_str(), "jurisdictions" | "keys");
        if !members.keys().all(|m| known(&m)) {
            return Err(fault(
                "",
                "it has other members than `jurisdictions` and `keys`",
            ));
        }
        let list = |member: &str| members.get(member).and_then(Value::as_array);
        let jurisdictions = list("jurisdictions")
            .filter(|j| !j.is_empty())
            .and_then(|list| {
                let names = list.iter().map(|j| j.as_str().filter(|j| !j.is_empty()));
                names
                    .map(|j| j.map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
            });
        let jurisdictions = jurisdictions
            .ok_or_else(|| fault(".jurisdictions", "it must be a list of names, not empty"))?;
        let keys = list("keys").filter(|keys| !keys.is_empty());
        let keys = keys.ok_or_else(|| fault(".keys", "it must be a list of JWKs, not empty"))?;
        for (index, jwk) in keys.iter().enumerate() {
            let at = format!(".keys[{index}]");
            // A private key does not belong here, and neither does any other member.
            let jwk: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| {
                fault(
                    &at,
                    "it must be a public JWK: kty, crv, x, y, and alg, use, kid at most",
                )
            })?;
            let key = jwk.key().ok_or_else(|| {
                fault(
                    &at,
                    "it is no EC key of P-256 for ES256, or its `kid` is not its thumbprint",
                )
            })?;
            let entry = (key, name.to_owned());
            if self.keys.insert(jwk.thumbprint(), entry).is_some() {
                return Err(fault(&at, "the same key is registered twice"));
            }
        }
        self.authorities
            .insert(name.to_owned(), Authority { jurisdictions });
        Ok(())
    }

    /// The authorities by name.
    pub fn authorities(&self) -> &BTreeMap<String, Authority> {
        &self.authorities
    }

    /// The key of a thumbprint.
    pub(super) fn key(&self, kid: &str) -> Option<&VerifyingKey> {
        self.keys.get(kid).map(|(key, _)| key)
    }

    /// Whether the binding is to the authority whose key signed.
    pub(super) fn binds(&self, warrant: &Warrant, kid: &str) -> Result<(), WarrantError> {
        let binding = &warrant.binding;
        let owner = self.keys.get(kid).map(|(_, owner)| owner.as_str());
        let authority = self.authorities.get(&binding.authority);
        let has = |a: &Authority| a.jurisdictions.contains(&binding.jurisdiction);
        if binding.key == kid
            && owner == Some(binding.authority.as_str())
            && authority.is_some_and(has)
        {
            Ok(())
        } else {
            Err(WarrantError::Binding)
        }
    }

    /// Whether an authentic warrant stands at `now_s`, seconds since 1970: not revoked, in its time,
    /// and of an authority that has a say in both regions.
    ///
    /// # Errors
    /// [`WarrantError::Revoked`], [`WarrantError::Early`], [`WarrantError::Expired`] or
    /// [`WarrantError::Jurisdiction`].
    pub fn upholds(&self, warrant: &Warrant, now_s: u64) -> Result<(), WarrantError> {
        if self.revoked.contains(&warrant.jti) {
            return Err(WarrantError::Revoked);
        }
        warrant.holds_at(now_s)?;
        let authority = self.authorities.get(&warrant.binding.authority);
        let reaches = |region: &String| {
            let jurisdiction = self.regions.get(region);
            jurisdiction
                .zip(authority)
                .is_some_and(|(j, a)| a.jurisdictions.contains(j))
        };
        if reaches(&warrant.src) && reaches(&warrant.dst) {
            Ok(())
        } else {
            Err(WarrantError::Jurisdiction)
        }
    }
}
