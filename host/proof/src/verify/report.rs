//! What a check found.

use std::fmt;

use serde::Serialize;

use crate::folder;
use crate::log::{History, Tally};
use crate::residency::{Period, Verdict};

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file that it is in.
    pub file: String,
    /// What is wrong: the rest of a sentence that begins with the file's name.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `acme.sig is missing`, but `entries.jsonl: line 3: …`.
        let verb = ["is ", "holds ", "does "]
            .iter()
            .any(|verb| self.reason.starts_with(verb));
        let colon = if verb { "" } else { ":" };
        write!(f, "{}{colon} {}", self.file, self.reason)
    }
}

/// What the log says of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The tenant.
    pub tenant: String,
    /// What its files begin with.
    pub files: String,
    /// The file of the key that signed its latest proof.
    pub public_key: String,
    /// Its first period.
    pub first: Period,
    /// Its latest.
    pub latest: Period,
    /// The verdict of the latest.
    pub verdict: Verdict,
    /// How many proofs came to which verdict.
    pub proofs: Tally,
    /// Whether its latest proof says that it is the last.
    #[serde(rename = "final")]
    pub last: bool,
}

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// All that does not hold; empty, if everything does.
    pub faults: Vec<Fault>,
    /// What to know beside it.
    pub notes: Vec<String>,
    /// How many entries the log has, among them checkpoints and handovers.
    pub entries: u64,
    /// The id of the key in force.
    pub key_id: String,
    /// Whether the one who checks brought a key along.
    pub pinned: bool,
    /// The ids of the keys that handed over.
    pub retired: Vec<String>,
    /// The tenants.
    pub tenants: Vec<Summary>,
}

impl Report {
    /// Whether there is no fault.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn sum_up(&mut self, history: &History) {
        self.entries = history.size();
        self.key_id = history.key().id().to_owned();
        let retired = history.retired().iter();
        self.retired = retired.map(|key| key.id().to_owned()).collect();
        let awaited = history.awaited();
        if let Some(latest) = history.latest().filter(|_| !awaited.is_empty()) {
            self.notes.push(format!(
                "no proof yet for {latest}, which others have: {}",
                awaited.join(", ")
            ));
        }
        let tenants = history.tenants().iter().map(|(name, tenant)| Summary {
            tenant: name.clone(),
            files: folder::stem(name).unwrap_or_default(),
            public_key: if tenant.key == *history.key() {
                folder::PUBLIC_KEY.to_owned()
            } else {
                folder::retired_key(&tenant.key)
            },
            first: tenant.first,
            latest: tenant.proof.statement.period,
            verdict: tenant.proof.statement.verdict,
            proofs: tenant.tally,
            last: tenant.proof.statement.last,
        });
        self.tenants = tenants.collect();
    }
}
