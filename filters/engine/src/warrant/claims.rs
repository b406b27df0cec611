use serde::{Deserialize, Serialize};

use super::{SKEW_S, WarrantError};
use crate::context::WarrantUse;

/// What every id begins with.
const PREFIX: &str = "wrt_";

/// Longest id, in bytes.
const LONGEST_ID: usize = 64;

/// Longest name or reference, in bytes.
const LONGEST_NAME: usize = 256;

/// What a warrant says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warrant {
    /// Its id: `wrt_` and letters, digits, `-` and `_`, 64 bytes together at most.
    pub jti: String,
    /// The tenant whose data it is about.
    pub tenant: String,
    /// The region that the data may leave.
    pub src: String,
    /// The region where it may be worked on.
    pub dst: String,
    /// What may be done, each once.
    pub operations: Vec<Operation>,
    /// What for: the purpose that a request must state.
    pub purpose: String,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// From when on it holds, in seconds since 1970.
    pub nbf: u64,
    /// When it ends, in seconds since 1970: at that second it holds no more.
    pub exp: u64,
    /// How many requests may use it, 1 or more; without, as many as come in its time.
    #[serde(rename = "maxUses", default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u64>,
    /// Whose it is.
    #[serde(rename = "authorityBinding")]
    pub binding: AuthorityBinding,
}

/// Binds a warrant to the authority that signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AuthorityBinding {
    /// The authority's name in the registry.
    pub authority: String,
    /// The thumbprint (RFC 7638) of the key that signed: the header's `kid`.
    pub key: String,
    /// The jurisdiction in which the authority acts here; one of those that are registered for it.
    pub jurisdiction: String,
    /// The authority's reference.
    pub case_reference: String,
}

/// What is done with data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Data is read.
    Read,
    /// Data is written.
    Write,
    /// Data is deleted.
    Delete,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Delete];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }

    /// What a request does at least, as far as its method tells.
    ///
    /// GraphQL comes by POST whether it reads or writes, and what it is stands in a body that is not
    /// there yet. It reads in any case, so that is asked for here; whether it may write is for the
    /// masking filter, which parses the operation, and for the guards before the stores.
    pub fn of_request(method: &str, graphql: bool) -> Self {
        match method {
            "GET" | "HEAD" | "OPTIONS" => Self::Read,
            "POST" if graphql => Self::Read,
            "DELETE" => Self::Delete,
            _ => Self::Write,
        }
    }
}

/// What a warrant is to be used for.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// The caller's tenant.
    pub tenant: &'a str,
    /// What the request does.
    pub operation: Operation,
    /// The request's purpose, if it states one.
    pub purpose: Option<&'a str>,
}

impl Warrant {
    /// Whether the claims are such as a warrant may have.
    pub fn is_well_formed(&self) -> bool {
        let id = self.jti.strip_prefix(PREFIX).is_some_and(|rest| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            !rest.is_empty() && self.jti.len() <= LONGEST_ID && rest.bytes().all(legal)
        });
        let names = [
            &self.tenant,
            &self.src,
            &self.dst,
            &self.purpose,
            &self.binding.authority,
            &self.binding.key,
            &self.binding.jurisdiction,
            &self.binding.case_reference,
        ];
        let named = names.iter().all(|name| {
            (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
        });
        let has = |o: &Operation| self.operations.iter().filter(|p| *p == o).count();
        let operations = !self.operations.is_empty() && Operation::ALL.iter().all(|o| has(o) <= 1);
        id && named
            && operations
            && self.src != self.dst
            && self.nbf < self.exp
            && self.iat < self.exp
            && self.max_uses != Some(0)
    }

    /// Whether it holds at `now_s`, seconds since 1970.
    ///
    /// # Errors
    /// [`WarrantError::Early`] or [`WarrantError::Expired`].
    pub fn holds_at(&self, now_s: u64) -> Result<(), WarrantError> {
        if now_s.saturating_add(SKEW_S) < self.nbf.max(self.iat) {
            return Err(WarrantError::Early);
        }
        if now_s >= self.exp {
            return Err(WarrantError::Expired);
        }
        Ok(())
    }

    /// Whether it covers a use: tenant, operation, purpose.
    ///
    /// # Errors
    /// [`WarrantError::Tenant`], [`WarrantError::Operation`] or [`WarrantError::Purpose`].
    pub fn covers(&self, what: &Use<'_>) -> Result<(), WarrantError> {
        if self.tenant != what.tenant {
            return Err(WarrantError::Tenant);
        }
        if !self.operations.contains(&what.operation) {
            return Err(WarrantError::Operation);
        }
        if what.purpose != Some(&*self.purpose) {
            return Err(WarrantError::Purpose);
        }
        Ok(())
    }

    /// Whether it opens the border between the tenant's home and the region that asks.
    ///
    /// # Errors
    /// [`WarrantError::Regions`].
    pub fn opens(&self, home: &str, region: &str) -> Result<(), WarrantError> {
        if self.src == home && self.dst == region {
            Ok(())
        } else {
            Err(WarrantError::Regions)
        }
    }

    /// What the guards behind the gateway need of it.
    pub fn in_use(&self) -> WarrantUse {
        WarrantUse {
            id: self.jti.clone(),
            src: self.src.clone(),
            dst: self.dst.clone(),
            operations: self
                .operations
                .iter()
                .map(|o| o.name().to_owned())
                .collect(),
            authority: self.binding.authority.clone(),
            case: self.binding.case_reference.clone(),
        }
    }
}
