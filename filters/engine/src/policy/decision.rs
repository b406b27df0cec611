use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mask::StrategyKind;

use super::Question;

/// Characters that `partial` keeps at the end where no rule says otherwise.
pub const DEFAULT_KEEP_LAST: u8 = 4;

/// What `data.ig.masking.decision` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Whether the request may go on at all.
    pub allow: bool,
    /// Why not.
    #[serde(default)]
    pub denials: Vec<Denial>,
    /// Whether the caller may see what masking did (`X-IG-Mask`).
    #[serde(default)]
    pub admin: bool,
    /// How much of upstream's errors the caller sees.
    #[serde(default)]
    pub errors: ErrorDetail,
    /// Whether the caller may ask for the schema (`__schema`, `__type`).
    #[serde(default)]
    pub introspection: bool,
    /// Coordinates (`Type.field` or `Type.*`) that `hash` may not be used for, since their values
    /// are so few that a pseudonym can be guessed: they are redacted instead.
    #[serde(default)]
    pub low_entropy: Vec<String>,
    /// By coordinate (`Type.field` or `Type.*`): what happens to its values.
    #[serde(default)]
    pub rules: BTreeMap<String, RuleSpec>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// A stable code.
    pub code: String,
    /// A sentence.
    pub reason: String,
}

/// How much of upstream's errors passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorDetail {
    /// Path, locations and well-known codes.
    #[default]
    Generic,
    /// Everything.
    Verbatim,
}

/// The policy's word on one coordinate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// A strategy's name, or `reveal`.
    pub strategy: Verdict,
    /// Why.
    pub reason: String,
    /// For `partial`: characters kept at the start.
    pub keep_first: Option<u8>,
    /// For `partial`: characters kept at the end.
    pub keep_last: Option<u8>,
    /// What kind of data it is: values masked are counted by it.
    #[serde(default)]
    pub class: Option<String>,
    /// Whether the caller may filter, sort and group by the values although they are masked.
    #[serde(default)]
    pub compare: bool,
}

impl RuleSpec {
    /// Characters kept at the start and at the end.
    pub fn kept(&self) -> (u8, u8) {
        match (self.keep_first, self.keep_last) {
            (None, None) => (0, DEFAULT_KEEP_LAST),
            (first, last) => (first.unwrap_or(0), last.unwrap_or(0)),
        }
    }
}

/// Mask or reveal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The value passes, whatever a directive says.
    Reveal,
    /// The value is masked.
    Mask(StrategyKind),
}

impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(match self {
            Self::Reveal => "reveal",
            Self::Mask(strategy) => strategy.name(),
        })
    }
}

impl<'de> Deserialize<'de> for Verdict {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = String::deserialize(d)?;
        if name == "reveal" {
            return Ok(Self::Reveal);
        }
        StrategyKind::parse(&name).map(Self::Mask).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "there is no strategy `{name}`: use reveal, {}",
                StrategyKind::NAMES.join(", ")
            ))
        })
    }
}

impl Question for Decision {
    const RULE: &'static str = "data.ig.masking.decision";
    type Answer = Self;
}

/// What `data.ig.residency.decision` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidencyDecision {
    /// Whether the request may go on.
    pub allow: bool,
    /// The region whose cluster serves it.
    #[serde(default)]
    pub region: Option<String>,
    /// The id of the warrant that opens the border, where one is needed and does.
    #[serde(default)]
    pub warrant: Option<String>,
    /// Where the request may not go on: the gateway that would serve it, `https://gateway.example`.
    #[serde(default)]
    pub redirect: Option<String>,
    /// With `redirect`, how the client is told: 307 (the default) or 421.
    #[serde(default)]
    pub status: Option<u16>,
    /// A stable code, where it may not.
    #[serde(default)]
    pub code: Option<String>,
    /// A sentence.
    pub reason: String,
}

impl Question for ResidencyDecision {
    const RULE: &'static str = "data.ig.residency.decision";
    type Answer = Self;
}
