//! The ways to mask a value, a file each.
//!
//! To add one: write `strategy/NAME.rs` with `apply` and `ABOUT`, and add its line to the list
//! below, at its place in strictness.

use crate::json::Scalar;

use super::plan::{Leaf, Spec};
use pseudonym::Pending;

/// Where a value stands and what is known about it.
pub(super) struct Site<'a> {
    /// What the plan says about the field.
    pub spec: &'a Spec,
    /// How many lists of the field the value stands in.
    pub depth: u8,
    /// Pseudonyms that are not complete yet.
    pub pending: &'a mut Pending,
}

impl Site<'_> {
    /// Whether null is a legal value here.
    pub fn nullable(&self) -> bool {
        self.spec.shape.nullable_at(self.depth)
    }

    /// Writes the constant that stands for any value of the field's type, seen or not.
    pub fn placeholder(&self, out: &mut Vec<u8>) {
        match &self.spec.leaf {
            _ if self.spec.strategy == StrategyKind::Null && self.nullable() => {
                out.extend_from_slice(b"null");
            }
            // A constant of known length is stored, not copied by a call.
            Leaf::Text => out.extend_from_slice(br#""[REDACTED]""#),
            _ if self.nullable() => out.extend_from_slice(b"null"),
            Leaf::Int => out.extend_from_slice(b"0"),
            Leaf::Float => out.extend_from_slice(b"0.0"),
            Leaf::Boolean => out.extend_from_slice(b"false"),
            Leaf::Enum(first) => crate::json::push_string(first, out),
            Leaf::Other => out.extend_from_slice(br#""[REDACTED]""#),
        }
    }
}

macro_rules! strategies {
    ($($(#[$doc:meta])* $name:literal $module:ident $kind:ident),* $(,)?) => {
        $(mod $module;)*

        /// How a value is masked, from the most lenient to the strictest.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        #[serde(rename_all = "lowercase")]
        pub enum StrategyKind {
            $($(#[$doc])* $kind,)*
        }

        impl StrategyKind {
            /// The names, from the most lenient to the strictest.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The strategy of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// What it does, in a sentence.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$kind => $module::ABOUT,)*
                }
            }

            pub(super) fn apply(self, value: Scalar<'_>, site: &mut Site<'_>, out: &mut Vec<u8>) {
                match self {
                    $(Self::$kind => $module::apply(value, site, out),)*
                }
            }
        }
    };
}

strategies! {
    /// Some characters stay.
    "partial" partial Partial,
    /// A keyed pseudonym.
    "hash" hash Hash,
    /// Null where the type allows it.
    "null" null Null,
    /// A constant.
    "redact" redact Redact,
}
