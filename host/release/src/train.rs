//! What the records add up to, and what may happen next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::judge::Evidence;
use crate::record::{Act, CONDUCTOR, NOTHING, Record, Tried};

#[cfg(test)]
mod tests;

/// Who has to agree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// How many people must approve a release.
    pub approvals: usize,
    /// Whether its author may be one of them.
    pub author_may_approve: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            approvals: 1,
            author_may_approve: false,
        }
    }
}

/// The state of the train.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Train {
    /// All releases by number.
    pub releases: BTreeMap<u64, Release>,
    /// The number of the one that is everybody's.
    pub stable: Option<u64>,
    /// The one that is under way.
    pub canary: Option<Canary>,
    /// Whether promotions are stopped.
    pub frozen: Option<Freeze>,
    /// How many records there are.
    pub records: u64,
    /// SHA-256 of the last record's line.
    pub head: String,
    /// When the last record was written, in milliseconds since the Unix epoch.
    #[serde(skip)]
    pub(crate) last_unix_ms: u64,
    /// SHA-256 of each record's line.
    #[serde(skip)]
    heads: Vec<String>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            releases: BTreeMap::new(),
            stable: None,
            canary: None,
            frozen: None,
            records: 0,
            head: NOTHING.to_owned(),
            last_unix_ms: 0,
            heads: Vec::new(),
        }
    }
}

/// A release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// Its number.
    pub number: u64,
    /// The revision of its policies.
    pub revision: String,
    /// SHA-256 of its bundle.
    pub digest: String,
    /// The release that it was tried against.
    pub parent: Option<u64>,
    /// If it goes back to an old one: which.
    pub rollback_of: Option<u64>,
    /// Who released it.
    pub author: String,
    /// What it is for.
    pub note: String,
    /// What was found out before.
    pub tried: Tried,
    /// Coordinates that it may show to more callers.
    pub loosens: Vec<String>,
    /// Coordinates that it may mask or deny for many more, and tenants (`tenant:NAME`) that it may shut out.
    pub tightens: Vec<String>,
    /// Who approved it.
    pub approvals: Vec<String>,
    /// Where it stands.
    pub standing: Standing,
    /// Whether it ever was everybody's.
    pub was_stable: bool,
    /// When it got there, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Why it was withdrawn.
    pub reasons: Vec<String>,
    /// What was seen of it last.
    pub evidence: Option<Box<Evidence>>,
}

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It waits for approval and promotion.
    Candidate,
    /// Some nodes have it.
    Canary,
    /// Everybody has it.
    Stable,
    /// Another one is stable.
    Superseded,
    /// It was taken back.
    Withdrawn,
}

impl Standing {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Candidate => "a candidate",
            Self::Canary => "under way",
            Self::Stable => "stable",
            Self::Superseded => "superseded",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// A release that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Canary {
    /// Its number.
    pub release: u64,
    /// The step that it is at; none before the first.
    pub step: Option<usize>,
    /// The nodes that have it, sorted.
    pub nodes: Vec<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

/// A stop of promotions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freeze {
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

impl Train {
    /// The number that the next release gets.
    pub fn next(&self) -> u64 {
        self.releases.keys().next_back().map_or(1, |last| last + 1)
    }

    /// Whether the record of this number has that hash: what was read before still stands.
    pub fn goes_on_from(&self, records: u64, head: &str) -> bool {
        let Some(last) = records.checked_sub(1) else {
            return true;
        };
        let last = usize::try_from(last).ok();
        last.and_then(|at| self.heads.get(at))
            .is_some_and(|h| h == head)
    }

    /// A release.
    ///
    /// # Errors
    /// There is none of that number.
    pub fn release(&self, number: u64) -> Result<&Release, TrainError> {
        self.releases
            .get(&number)
            .ok_or(TrainError::Unknown(number))
    }

    /// The one that is everybody's.
    pub fn stable(&self) -> Option<&Release> {
        self.releases.get(&self.stable?)
    }

    /// The one that some nodes have, and where it is.
    pub fn under_way(&self) -> Option<(&Release, &Canary)> {
        let canary = self.canary.as_ref()?;
        Some((self.releases.get(&canary.release)?, canary))
    }

    /// Whether somebody may do something now. Without rules only what can't be otherwise is looked at:
    /// rules may have changed since a record was written.
    ///
    /// # Errors
    /// It may not be done; the error says why.
    pub fn check(&self, by: &str, act: &Act, rules: Option<&Rules>) -> Result<(), TrainError> {
        match by == CONDUCTOR {
            true if !act.by_conductor() => return Err(TrainError::Person),
            false if !act.by_person() => return Err(TrainError::Conductor),
            _ => {}
        }
        match act {
            Act::Released {
                release,
                revision,
                digest,
                parent,
                ..
            } => {
                self.is_next(*release)?;
                if revision.is_empty() {
                    return Err(TrainError::Malformed("a release needs a revision"));
                }
                is_digest(digest)?;
                self.is_on_stable(*release, *parent)
            }
            Act::Approved { release, digest } => {
                let found = self.candidate(*release)?;
                if found.digest != *digest {
                    return Err(TrainError::OtherContent { of: *release });
                }
                if found.approvals.iter().any(|a| a == by) {
                    return Err(TrainError::Twice {
                        release: *release,
                        by: by.to_owned(),
                    });
                }
                if rules.is_some_and(|r| !r.author_may_approve) && found.author == by {
                    return Err(TrainError::OwnWork {
                        release: *release,
                        by: by.to_owned(),
                    });
                }
                Ok(())
            }
            Act::Promoted { release } => {
                let found = self.candidate(*release)?;
                self.is_free()?;
                self.is_thawed()?;
                self.is_on_stable(*release, found.parent)?;
                if found.tried.failed > 0 {
                    return Err(TrainError::Untested(*release));
                }
                rules.map_or(Ok(()), |rules| found.is_approved(rules))
            }
            Act::Step {
                release,
                step,
                nodes,
                ..
            } => {
                let canary = self.at(*release)?;
                self.is_thawed()?;
                let next = canary.step.map_or(0, |at| at + 1);
                if *step != next {
                    return Err(TrainError::Step {
                        release: *release,
                        at: canary.step.unwrap_or_default(),
                        found: *step,
                    });
                }
                if nodes.is_empty() {
                    return Err(TrainError::Malformed("a step needs nodes"));
                }
                Ok(())
            }
            Act::Completed { release, .. } => {
                let canary = self.at(*release)?;
                self.is_thawed()?;
                if canary.step.is_none() && self.stable.is_some() {
                    return Err(TrainError::Malformed(
                        "a release can't become stable before some nodes have tried it",
                    ));
                }
                Ok(())
            }
            Act::Withdrawn { release, .. } => match self.release(*release)?.standing {
                // One that was stable is barred: nobody goes back to it.
                Standing::Candidate | Standing::Canary => Ok(()),
                Standing::Superseded if by != CONDUCTOR => Ok(()),
                _ => Err(TrainError::NotUnderWay(*release)),
            },
            Act::RolledBack {
                release,
                of,
                digest,
                ..
            } => {
                self.is_next(*release)?;
                let old = self.release(*of)?;
                if !old.was_stable {
                    return Err(TrainError::NeverStable(*of));
                }
                if self.stable == Some(*of) {
                    return Err(TrainError::AlreadyStable(*of));
                }
                if old.standing == Standing::Withdrawn {
                    return Err(TrainError::Barred(*of));
                }
                if old.digest != *digest {
                    return Err(TrainError::OtherContent { of: *of });
                }
                Ok(())
            }
            Act::Frozen { .. } => self.is_thawed(),
            Act::Thawed {} => match self.frozen {
                Some(_) => Ok(()),
                None => Err(TrainError::NotFrozen),
            },
        }
    }

    /// Adds a record that was checked.
    pub(crate) fn add(&mut self, record: &Record, head: String) {
        self.records = record.seq;
        self.last_unix_ms = record.at_unix_ms;
        self.heads.push(head.clone());
        self.head = head;
        let at = record.at_unix_ms;
        match &record.act {
            Act::Released {
                release,
                revision,
                digest,
                parent,
                note,
                tried,
                loosens,
                tightens,
            } => {
                let candidate = Release {
                    number: *release,
                    revision: revision.clone(),
                    digest: digest.clone(),
                    parent: *parent,
                    rollback_of: None,
                    author: record.by.clone(),
                    note: note.clone(),
                    tried: tried.clone(),
                    loosens: loosens.clone(),
                    tightens: tightens.clone(),
                    approvals: Vec::new(),
                    standing: Standing::Candidate,
                    was_stable: false,
                    since_unix_ms: at,
                    reasons: Vec::new(),
                    evidence: None,
                };
                self.releases.insert(*release, candidate);
            }
            Act::Approved { release, .. } => {
                if let Some(found) = self.releases.get_mut(release) {
                    found.approvals.push(record.by.clone());
                }
            }
            Act::Promoted { release } => {
                self.stand(*release, Standing::Canary, at, &None);
                self.canary = Some(Canary {
                    release: *release,
                    step: None,
                    nodes: Vec::new(),
                    since_unix_ms: at,
                });
            }
            Act::Step {
                release,
                step,
                nodes,
                evidence,
            } => {
                self.stand(*release, Standing::Canary, at, evidence);
                let mut nodes = nodes.clone();
                nodes.sort();
                self.canary = Some(Canary {
                    release: *release,
                    step: Some(*step),
                    nodes,
                    since_unix_ms: at,
                });
            }
            Act::Completed { release, evidence } => {
                self.canary = None;
                self.becomes_stable(*release, at, evidence);
            }
            Act::Withdrawn {
                release,
                reasons,
                evidence,
            } => {
                if self.canary.as_ref().is_some_and(|c| c.release == *release) {
                    self.canary = None;
                }
                self.stand(*release, Standing::Withdrawn, at, evidence);
                if let Some(found) = self.releases.get_mut(release) {
                    found.reasons.clone_from(reasons);
                }
            }
            Act::RolledBack {
                release,
                of,
                reason,
                ..
            } => {
                if let Some(canary) = self.canary.take() {
                    self.stand(canary.release, Standing::Withdrawn, at, &None);
                    if let Some(found) = self.releases.get_mut(&canary.release) {
                        found.reasons = vec![format!("went back to release {of}: {reason}")];
                    }
                }
                if let Some(old) = self.releases.get(of) {
                    let again = Release {
                        number: *release,
                        parent: self.stable,
                        rollback_of: Some(*of),
                        author: record.by.clone(),
                        note: reason.clone(),
                        approvals: Vec::new(),
                        reasons: Vec::new(),
                        evidence: None,
                        ..old.clone()
                    };
                    self.releases.insert(*release, again);
                }
                let fled = self.stable;
                self.becomes_stable(*release, at, &None);
                // What was fled from is nothing to go back to.
                if let Some(found) = fled.and_then(|n| self.releases.get_mut(&n)) {
                    found.standing = Standing::Withdrawn;
                    found.reasons = vec![format!("went back to release {of}: {reason}")];
                }
            }
            Act::Frozen { reason } => {
                self.frozen = Some(Freeze {
                    by: record.by.clone(),
                    reason: reason.clone(),
                    since_unix_ms: at,
                });
            }
            Act::Thawed {} => self.frozen = None,
        }
    }

    fn becomes_stable(&mut self, release: u64, at: u64, evidence: &Option<Box<Evidence>>) {
        if let Some(before) = self.stable {
            self.stand(before, Standing::Superseded, at, &None);
        }
        self.stand(release, Standing::Stable, at, evidence);
        if let Some(found) = self.releases.get_mut(&release) {
            found.was_stable = true;
        }
        self.stable = Some(release);
    }

    fn stand(
        &mut self,
        release: u64,
        standing: Standing,
        at: u64,
        evidence: &Option<Box<Evidence>>,
    ) {
        if let Some(found) = self.releases.get_mut(&release) {
            found.standing = standing;
            found.since_unix_ms = at;
            if evidence.is_some() {
                found.evidence.clone_from(evidence);
            }
        }
    }

    fn is_next(&self, release: u64) -> Result<(), TrainError> {
        let expected = self.next();
        match release == expected {
            true => Ok(()),
            false => Err(TrainError::Number {
                expected,
                found: release,
            }),
        }
    }

    fn is_on_stable(&self, release: u64, parent: Option<u64>) -> Result<(), TrainError> {
        match parent == self.stable {
            true => Ok(()),
            false => Err(TrainError::Parent {
                release,
                tried: parent,
                stable: self.stable,
            }),
        }
    }

    fn candidate(&self, release: u64) -> Result<&Release, TrainError> {
        let found = self.release(release)?;
        match found.standing {
            Standing::Candidate => Ok(found),
            standing => Err(TrainError::NotCandidate {
                release,
                standing: standing.word(),
            }),
        }
    }

    fn at(&self, release: u64) -> Result<&Canary, TrainError> {
        self.release(release)?;
        let canary = self.canary.as_ref().filter(|c| c.release == release);
        canary.ok_or(TrainError::NotUnderWay(release))
    }

    fn is_free(&self) -> Result<(), TrainError> {
        match &self.canary {
            Some(canary) => Err(TrainError::Busy(canary.release)),
            None => Ok(()),
        }
    }

    fn is_thawed(&self) -> Result<(), TrainError> {
        match &self.frozen {
            Some(freeze) => Err(TrainError::Frozen {
                by: freeze.by.clone(),
                reason: freeze.reason.clone(),
            }),
            None => Ok(()),
        }
    }
}

impl Release {
    /// Whether it may be promoted, as far as people are concerned.
    ///
    /// # Errors
    /// Approvals are missing.
    pub fn is_approved(&self, rules: &Rules) -> Result<(), TrainError> {
        let counts = |who: &&String| rules.author_may_approve || **who != self.author;
        let found = self.approvals.iter().filter(counts).count();
        match found >= rules.approvals {
            true => Ok(()),
            false => Err(TrainError::Approvals {
                release: self.number,
                found,
                needed: rules.approvals,
            }),
        }
    }
}

/// 64 small hexadecimal digits.
fn is_digest(text: &str) -> Result<(), TrainError> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    match text.len() == 64 && text.bytes().all(hex) {
        true => Ok(()),
        false => Err(TrainError::Malformed(
            "a digest is the SHA-256 of a bundle in 64 hexadecimal digits",
        )),
    }
}
