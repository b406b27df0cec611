//! Whether what was released once can be put in force today. Who goes back is in a hurry, so that this takes a
//! bounded time and writes nothing.

use std::collections::BTreeSet;
use std::time::Instant;

use bundle::Bundle;
use bundle::cases::{Case, Kind, Native, read_cases};

use super::content::Content;
use crate::bundle::KnownAuthorities;
use crate::config::{self, Config};
use crate::fleet::{self, FilterCode};
use crate::serve::prepare;

/// Any key (RFC 7517, appendix A.1), in the place of the issuer's.
const STAND_IN: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// What came of cases.
pub struct Trial {
    /// How many there are.
    pub cases: usize,
    /// How many were run before the time was over.
    pub ran: usize,
    /// The names of those that failed.
    pub failing: BTreeSet<String>,
}

/// Tries all that has to be so for nodes to be given it: decisions are made, and each gateway's and sidecar's
/// configuration is.
///
/// # Errors
/// It can't be put in force.
pub fn usable(config: &Config, content: &Content) -> anyhow::Result<()> {
    bundle::examine(&content.bundle)?;
    let code = FilterCode::looked_at(config, &content.filters)?;
    // Where people work the issuer's keys may be out of reach; they are not of the release.
    let jwks = fleet::jwks(config).unwrap_or_else(|_| STAND_IN.to_owned());
    prepare::snapshots(config, &content.bundle, &code, &jwks)?;
    Ok(())
}

/// The cases that every bundle must pass.
///
/// # Errors
/// They can't be read.
pub fn read(settings: &config::Release) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    if let Some(folder) = &settings.cases {
        for kind in Kind::ALL {
            cases.extend(read_cases(folder, kind, &KnownAuthorities)?);
        }
    }
    Ok(cases)
}

/// Runs cases, each with its response in one piece, until the time is over.
pub fn run(bundle: &Bundle, cases: &[Case], until: Instant) -> Trial {
    let mut native = Native::new(bundle.clone());
    let mut trial = Trial {
        cases: cases.len(),
        ran: 0,
        failing: BTreeSet::new(),
    };
    for case in cases {
        if Instant::now() >= until {
            break;
        }
        trial.ran += 1;
        let pieces = case.splits().into_iter().next().unwrap_or_default();
        // Policies that don't load with what a case changes of them fail it.
        let passed = native
            .run(case, &pieces)
            .is_ok_and(|outcome| outcome.against(&case.want).is_empty());
        if !passed {
            trial.failing.insert(case.name.clone());
        }
    }
    trial
}
