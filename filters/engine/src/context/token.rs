use serde::{Deserialize, Serialize};

use super::{ContextKeys, LONGEST, SKEW_S};
use crate::jws::{self, Jws, Kind};

/// What a gateway says of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextToken {
    /// Names this token: a decision id of the residency filter.
    pub jti: String,
    /// The caller's tenant.
    pub tenant: String,
    /// The region where the tenant's data is.
    pub home: String,
    /// The region where the request is served: the gateway's. A guard elsewhere refuses the token.
    pub region: String,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
    /// The warrant under which data may cross a border for this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warrant: Option<WarrantUse>,
}

/// The part of a verified warrant that a guard needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarrantUse {
    /// The warrant's id.
    pub id: String,
    /// The region that data may leave.
    pub src: String,
    /// The region that it may reach.
    pub dst: String,
    /// What may be done, of `read`, `write` and `delete`.
    pub operations: Vec<String>,
    /// The authority whose it is.
    pub authority: String,
    /// The authority's reference.
    pub case: String,
}

/// Why a token is not believed. It never repeats the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("there is no context token")]
    Missing,
    /// It is not what it should be.
    #[error("the context token is malformed")]
    Malformed,
    /// No key of this region made it.
    #[error("the context token is not signed by this region's gateway")]
    Forged,
    /// It was made for another region.
    #[error("the context token is for another region")]
    Foreign,
    /// Its time is over.
    #[error("the context token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the context token is not valid yet: the clocks differ by more than {SKEW_S} s")]
    Early,
}

impl TokenError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "CONTEXT_MISSING",
            Self::Malformed => "CONTEXT_MALFORMED",
            Self::Forged => "CONTEXT_FORGED",
            Self::Foreign => "CONTEXT_FOREIGN",
            Self::Expired => "CONTEXT_EXPIRED",
            Self::Early => "CONTEXT_EARLY",
        }
    }
}

pub(super) const KIND: Kind = Kind {
    algorithm: "HS256",
    media: "ig-context+jwt",
};

/// Bytes of a signature: those of SHA-256.
const SIGNATURE: usize = 32;

impl ContextToken {
    /// The token, signed, in compact form; `None` if it can't be written.
    pub fn sign(&self, keys: &ContextKeys) -> Option<String> {
        let claims = serde_json::to_vec(self).ok()?;
        let signed = jws::signing_input(keys.header(), &claims, SIGNATURE);
        let signature = keys.sign(signed.as_bytes())?;
        Some(jws::compact(signed, &signature))
    }

    /// Reads a token that was minted in `region` and holds at `now_s`, seconds since 1970.
    ///
    /// # Errors
    /// It is not to be believed.
    pub fn verify(
        text: &[u8],
        keys: &ContextKeys,
        region: &str,
        now_s: u64,
    ) -> Result<Self, TokenError> {
        if text.is_empty() {
            return Err(TokenError::Missing);
        }
        if text.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        let jws = Jws::parse(text, KIND).ok_or(TokenError::Malformed)?;
        let signature = jws.signature().ok_or(TokenError::Malformed)?;
        if !keys.verifies(&jws.kid, jws.signed.as_bytes(), &signature) {
            return Err(TokenError::Forged);
        }
        let claims = jws.payload().ok_or(TokenError::Malformed)?;
        let token: Self = serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed)?;
        if token.region != region {
            return Err(TokenError::Foreign);
        }
        if now_s > token.exp.saturating_add(SKEW_S) {
            return Err(TokenError::Expired);
        }
        if now_s.saturating_add(SKEW_S) < token.iat {
            return Err(TokenError::Early);
        }
        Ok(token)
    }
}
