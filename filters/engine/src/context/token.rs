use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{ContextKeys, LONGEST, SKEW_S};

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

/// The header, whole: a token with any other is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

const TYPE: &str = "ig-context+jwt";

impl ContextToken {
    /// The token, signed, in compact form; `None` if it can't be written.
    pub fn sign(&self, keys: &ContextKeys) -> Option<String> {
        let header = Header {
            alg: "HS256",
            kid: keys.current(),
            typ: TYPE,
        };
        let mut text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(self).ok()?, &mut text);
        let signature = keys.sign(text.as_bytes());
        if signature.is_empty() {
            return None;
        }
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Some(text)
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
        let text = std::str::from_utf8(text).map_err(|_| TokenError::Malformed)?;
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| TokenError::Malformed)
        };
        let header = decode(header)?;
        let header: Header<'_> =
            serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
        if header.alg != "HS256" || header.typ != TYPE {
            return Err(TokenError::Malformed);
        }
        if !keys.verifies(header.kid, signed.as_bytes(), &decode(signature)?) {
            return Err(TokenError::Forged);
        }
        let token: Self =
            serde_json::from_slice(&decode(payload)?).map_err(|_| TokenError::Malformed)?;
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
