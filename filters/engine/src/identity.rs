//! Who is asking, by the claims that the gateway's `jwt_authn` has verified, and for what purpose.

mod pairs;

#[cfg(test)]
pub(crate) use pairs::encode;
pub use pairs::{list, map, member};

/// The header in which a client states the purpose of a request.
pub const PURPOSE_HEADER: &str = "x-ig-purpose";

/// The verified claims, as the host gives them: one encoded value a claim.
pub trait Claims {
    /// The encoded value of a claim; `None` if the token has no such claim.
    ///
    /// # Errors
    /// The host has the claim but can't give it (a null inside it, for one).
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable>;
}

/// The host could not give a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sub`
    pub subject: String,
    /// `tenant`
    pub tenant: String,
    /// `roles`, sorted, each once.
    pub roles: Vec<String>,
    /// `purposes`, sorted, each once.
    pub purposes: Vec<String>,
    /// `acr`
    pub acr: Option<String>,
    /// `jti`
    pub jti: Option<String>,
}

/// Why a caller or a purpose is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A claim that must be there is not.
    #[error("the token has no claim `{0}`")]
    Missing(&'static str),
    /// A claim is not what it must be.
    #[error("the claim `{0}` is not {1}")]
    Malformed(&'static str, &'static str),
    /// The purpose is not among those of the token.
    #[error("the token does not allow the purpose that `x-ig-purpose` names")]
    Purpose,
    /// The header stands several times or is not text.
    #[error("the header `{0}` must stand once and be printable text")]
    Header(&'static str),
}

impl IdentityError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::Malformed(..) => "IDENTITY_INCOMPLETE",
            Self::Purpose => "PURPOSE_NOT_ALLOWED",
            Self::Header(_) => "BAD_HEADER",
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Missing(_) | Self::Malformed(..) => 401,
            Self::Purpose => 403,
            Self::Header(_) => 400,
        }
    }
}

/// Longest claim taken, in bytes: what is longer is no name.
const LONGEST: usize = 256;

impl Identity {
    /// Reads the claims.
    ///
    /// # Errors
    /// `sub` or `tenant` is missing, or a claim is malformed.
    pub fn read(claims: &dyn Claims) -> Result<Self, IdentityError> {
        Ok(Self {
            subject: text(claims, "sub")?.ok_or(IdentityError::Missing("sub"))?,
            tenant: text(claims, "tenant")?.ok_or(IdentityError::Missing("tenant"))?,
            roles: names(claims, "roles")?,
            purposes: names(claims, "purposes")?,
            acr: text(claims, "acr")?,
            jti: text(claims, "jti")?,
        })
    }

    /// The request's purpose: what `x-ig-purpose` says, if the token lists it.
    ///
    /// # Errors
    /// The header stands several times, or names a purpose that the token does not.
    pub fn purpose<'h>(&self, headers: &[&'h [u8]]) -> Result<Option<&'h str>, IdentityError> {
        let Some(purpose) = intent(PURPOSE_HEADER, headers)? else {
            return Ok(None);
        };
        if self.purposes.iter().any(|p| p == purpose) {
            Ok(Some(purpose))
        } else {
            Err(IdentityError::Purpose)
        }
    }
}

/// The value of a header with which a client states an intent.
///
/// # Errors
/// It stands several times, or is empty or not printable ASCII.
pub fn intent<'h>(
    name: &'static str,
    values: &[&'h [u8]],
) -> Result<Option<&'h str>, IdentityError> {
    match values {
        [] => Ok(None),
        [value] if value.iter().all(u8::is_ascii_graphic) && (1..=64).contains(&value.len()) => {
            std::str::from_utf8(value)
                .map(Some)
                .map_err(|_| IdentityError::Header(name))
        }
        _ => Err(IdentityError::Header(name)),
    }
}

fn read(claims: &dyn Claims, name: &'static str) -> Result<Option<Vec<u8>>, IdentityError> {
    claims
        .claim(name)
        .map_err(|_| IdentityError::Malformed(name, "readable"))
}

fn text(claims: &dyn Claims, name: &'static str) -> Result<Option<String>, IdentityError> {
    let malformed = IdentityError::Malformed(name, "a short text");
    match read(claims, name)? {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => Ok(None),
        Some(bytes) if bytes.len() > LONGEST => Err(malformed),
        Some(bytes) => match String::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => Ok(Some(text)),
            _ => Err(malformed),
        },
    }
}

fn names(claims: &dyn Claims, name: &'static str) -> Result<Vec<String>, IdentityError> {
    let malformed = || IdentityError::Malformed(name, "a list of short texts");
    let Some(bytes) = read(claims, name)? else {
        return Ok(Vec::new());
    };
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for item in list(&bytes).ok_or_else(malformed)? {
        let text = std::str::from_utf8(item).map_err(|_| malformed())?;
        if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(malformed());
        }
        names.push(text.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod tests;
