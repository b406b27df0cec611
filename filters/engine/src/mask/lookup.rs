//! Pseudonyms outside of a response: reading them, and making them for look-ups.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::schema::{Kind, Scalar as ScalarType, Schema, TypeId};

use super::{Keyring, PseudonymKey, RuleTable};

/// A pseudonym: `h:KEYID:TAG`, the tag being 128 bits in base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pseudonym {
    key_id: Box<str>,
    tag: [u8; 16],
}

/// Why a text is no pseudonym. It never repeats the text, which may be a value given by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PseudonymError {
    /// It has another form.
    #[error("a pseudonym is h:KEYID:TAG, and this is not")]
    Form,
    /// A key id of other characters.
    #[error("the key id of the pseudonym must be 1 to 16 letters, digits, `-` or `_`")]
    KeyId,
    /// The tag has another length.
    #[error("the tag of the pseudonym has {0} characters and must have 22: is it cut off?")]
    Length(usize),
    /// The tag is not base64url.
    #[error("the tag of the pseudonym is not 128 bits in base64url")]
    Tag,
}

impl Pseudonym {
    /// Reads the text.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse(text: &str) -> Result<Self, PseudonymError> {
        let rest = text.strip_prefix("h:").ok_or(PseudonymError::Form)?;
        let (key_id, tag) = rest.split_once(':').ok_or(PseudonymError::Form)?;
        if !crate::keys::is_id(key_id) {
            return Err(PseudonymError::KeyId);
        }
        let length = tag.chars().count();
        if length != 22 {
            return Err(PseudonymError::Length(length));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(tag)
            .map_err(|_| PseudonymError::Tag)?;
        Ok(Self {
            key_id: key_id.into(),
            tag: bytes.try_into().map_err(|_| PseudonymError::Tag)?,
        })
    }

    /// The key that it was made under.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h:{}:{}", self.key_id, URL_SAFE_NO_PAD.encode(self.tag))
    }
}

/// Makes the pseudonyms of one key, tenant and domain, by the `hash` strategy itself: what a
/// gateway writes and what is looked up cannot drift apart.
pub struct Pseudonymizer {
    key: PseudonymKey,
    domain: Box<str>,
}

impl Pseudonymizer {
    /// For values of the fields whose key is made of this tenant and domain (see [`key_domain`]);
    /// none if the ring has no key of that id.
    pub fn new(keys: &Keyring, key_id: &str, tenant: &str, domain: &str) -> Option<Self> {
        Some(Self {
            key: keys.only(key_id)?.pseudonym_key(tenant, domain)?,
            domain: domain.into(),
        })
    }

    /// The pseudonym of a value of type `String` or `ID`. A gateway redacts values longer than
    /// [`crate::json::Limits::held`] instead.
    ///
    /// # Errors
    /// Never while the strategy writes pseudonyms.
    pub fn pseudonym(&self, value: &str) -> Result<Pseudonym, PseudonymError> {
        Pseudonym::parse(&self.key.pseudonym(value.as_bytes()))
    }
}

impl fmt::Debug for Pseudonymizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pseudonymizer").field(&self.domain).finish()
    }
}

/// Why no pseudonyms of a coordinate's values exist, or not under one key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// There is no such field.
    #[error("the schema has no field `{0}` (write `Type.field`)")]
    Unknown(String),
    /// Its types have keys of their own.
    #[error("the values of `{coordinate}` are hashed under several keys: give one of {}",
        .types.join(", "))]
    Several {
        /// As it was given.
        coordinate: String,
        /// The coordinates that it stands for.
        types: Vec<String>,
    },
    /// A field that is never hashed, but redacted.
    #[error("`{0}` is neither String nor ID, so its values are never hashed")]
    NoText(String),
}

/// The coordinate whose key the pseudonyms of `Type.field` are made under. The type may be an
/// interface or a union, if all its types share the key. The rule is [`RuleTable::domain`]'s.
///
/// # Errors
/// There is no such field, no one key, or the field is no text.
pub fn key_domain(schema: &Schema, coordinate: &str) -> Result<Box<str>, DomainError> {
    let unknown = || DomainError::Unknown(coordinate.to_owned());
    let expanded = schema.expand(coordinate).map_err(|_| unknown())?;
    let (_, name) = coordinate.split_once('.').ok_or_else(unknown)?;
    if name == "*" || expanded.is_empty() {
        return Err(unknown());
    }
    let owners: Vec<TypeId> = expanded
        .into_iter()
        .map(|(ty, _)| ty)
        .filter(|ty| is_text(schema, *ty, name))
        .collect();
    let domains: BTreeSet<Box<str>> = owners
        .iter()
        .map(|ty| RuleTable::domain(schema, *ty, name))
        .collect();
    let mut domains = domains.into_iter();
    match (domains.next(), domains.next()) {
        (None, _) => Err(DomainError::NoText(coordinate.to_owned())),
        (Some(domain), None) => Ok(domain),
        (Some(_), Some(_)) => Err(DomainError::Several {
            coordinate: coordinate.to_owned(),
            types: owners
                .iter()
                .filter_map(|ty| Some(format!("{}.{name}", schema.get(*ty)?.name)))
                .collect(),
        }),
    }
}

/// Whether the values of a field are hashed where a rule says so.
fn is_text(schema: &Schema, ty: TypeId, field: &str) -> bool {
    let leaf = schema.field(ty, field).map(|f| f.shape.named);
    leaf.and_then(|leaf| schema.get(leaf))
        .is_some_and(|leaf| matches!(leaf.kind, Kind::Scalar(ScalarType::String | ScalarType::Id)))
}
