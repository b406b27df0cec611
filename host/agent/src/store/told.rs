//! What a store or its guard has said.

use crate::names::Token;
use crate::outcome::OutcomeKind;

/// Characters of a reason.
const LONGEST: usize = 300;

/// Shorter ones could be part of any text.
const SHORTEST_PART: usize = 8;

/// What came of an operation, by the store's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub result: OutcomeKind,
    /// The guard's code.
    pub code: Option<String>,
    pub reason: Option<String>,
    /// What the store calls itself.
    pub identity: Option<String>,
}

impl Told {
    pub(super) fn well(result: OutcomeKind) -> Self {
        Self {
            result,
            code: None,
            reason: None,
            identity: None,
        }
    }

    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..Self::well(OutcomeKind::Failed)
        }
    }

    pub(super) fn refused(code: Option<String>, reason: String) -> Self {
        Self {
            code,
            reason: Some(reason),
            ..Self::well(OutcomeKind::Refused)
        }
    }

    /// A sentinel was read, of this tenant.
    pub(super) fn found(of: &str, asked_for: &str) -> Self {
        Self::well(match of == asked_for {
            true => OutcomeKind::Found,
            false => OutcomeKind::Foreign,
        })
    }

    /// With what the store calls itself, or why that is not known.
    pub(super) fn of(self, identity: Result<String, Self>) -> Self {
        match identity {
            Ok(identity) if !identity.is_empty() => Self {
                identity: Some(identity),
                ..self
            },
            unknown => {
                let why = unknown.err().and_then(|told| told.reason);
                let why = why.unwrap_or_else(|| "its name of itself is empty".to_owned());
                let reason = format!("the store does not say who it is: {why}");
                Self {
                    reason: Some(reason),
                    identity: None,
                    ..self
                }
            }
        }
    }

    /// Whether the operation was let through and done, whatever it found.
    pub(super) fn is_well(&self) -> bool {
        !matches!(self.result, OutcomeKind::Refused | OutcomeKind::Failed)
    }
}

/// A reason without secrets, the token or parts of it, control characters and what is too long.
pub(super) fn clean(reason: &str, token: Option<&Token>, secrets: &[&str]) -> String {
    let mut text = reason.to_owned();
    let token = token.map_or("", Token::as_str);
    let parts = token.split('.').filter(|part| part.len() >= SHORTEST_PART);
    let mut hidden: Vec<&str> = secrets
        .iter()
        .copied()
        .chain([token])
        .chain(parts)
        .collect();
    // What holds another goes first.
    hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in hidden.into_iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[hidden]");
    }
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_tells_no_secrets() {
        let token = Token::try_from("eyJhbGciOi.eyJ0ZW5hbnQi.c2lnbmF0dXJl".to_owned()).unwrap();
        let text = "no: eyJhbGciOi.eyJ0ZW5hbnQi.c2lnbmF0dXJl\neyJ0ZW5hbnQi pw hunter2";
        assert_eq!(
            clean(text, Some(&token), &["hunter2", ""]),
            "no: [hidden] [hidden] pw [hidden]"
        );
        let short = Token::try_from("a.b.c".to_owned()).unwrap();
        assert_eq!(clean("abc a.b.c", Some(&short), &[]), "abc [hidden]");
        assert_eq!(clean(&"ä".repeat(1000), None, &[]).chars().count(), LONGEST);
    }

    #[test]
    fn an_unknown_identity_is_said() {
        let done = || Told::well(OutcomeKind::Done);
        assert_eq!(done().of(Ok("eu".into())).identity.as_deref(), Some("eu"));
        let unknown = done().of(Ok(String::new()));
        assert_eq!(
            (unknown.result, unknown.identity),
            (OutcomeKind::Done, None)
        );
        assert!(unknown.reason.unwrap().ends_with("is empty"));
        // Who it is does not change whose the sentinel is.
        for (of, want) in [("acme", OutcomeKind::Found), ("b", OutcomeKind::Foreign)] {
            let told = Told::found(of, "acme").of(Err(Told::failed("x")));
            assert_eq!(told.result, want);
            assert!(told.reason.unwrap().ends_with("who it is: x"));
        }
    }
}
