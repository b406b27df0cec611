//! What follows from what was seen.

use std::collections::BTreeSet;

use crate::observe::{Evidence, Operation, Outcome, Seen, StoreSeen, Through};
use crate::plan::Tenant;

/// What came of a tenant's probes, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything was as residency demands.
    Pass,
    /// Something could not be seen.
    Unknown,
    /// Something was seen that must not be.
    Fail,
}

/// A store and where it is, by its own word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Store {
    /// What it speaks.
    pub kind: String,
    /// What it says that it is.
    pub identity: String,
    /// The region that follows from it.
    pub region: String,
}

/// The verdict on a tenant, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The worst of all that was found.
    pub verdict: Verdict,
    /// Where reads were asked for, and where they found the data.
    pub reads: (String, String),
    /// Where writes were asked for, and where the data went.
    pub writes: (String, String),
    /// The stores that answered.
    pub stores: Vec<Store>,
    /// What was not as it should be, in sentences, the worst first.
    pub findings: Vec<String>,
}

/// Statuses by which a gateway denies a request for where its tenant's data is, or says where to ask.
/// Any other (no token, no such path, nobody there) says nothing about that.
const DENIALS: [u16; 3] = [403, 421, 307];

/// Findings that a judgement lists; how many more there are is said.
const FINDINGS: usize = 20;

/// Judges what was seen of a tenant.
#[must_use]
pub fn judge(tenant: &Tenant, seen: &[Seen]) -> Judgement {
    let mut bench = Bench {
        tenant,
        found: BTreeSet::new(),
        stores: BTreeSet::new(),
        reads: BTreeSet::new(),
        writes: BTreeSet::new(),
        written: BTreeSet::new(),
        deleted: BTreeSet::new(),
    };
    for seen in seen {
        bench.hear(seen);
    }
    bench.close()
}

struct Bench<'t> {
    tenant: &'t Tenant,
    found: BTreeSet<(std::cmp::Reverse<Verdict>, String)>,
    stores: BTreeSet<Store>,
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
    /// The stores that said that they wrote the sentinel, and that they deleted it.
    written: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

impl Bench<'_> {
    fn find(&mut self, verdict: Verdict, what: String) {
        self.found.insert((std::cmp::Reverse(verdict), what));
    }

    fn hear(&mut self, seen: &Seen) {
        match seen {
            Seen::Home {
                store,
                kind,
                operation,
                deleted,
                through,
                evidence,
            } => {
                let what = format!("{} in {kind} `{store}`", operation.name());
                match through {
                    Through::Passed(seen) => {
                        self.at_home(&what, store, kind, *operation, *deleted, seen);
                    }
                    Through::Refused(_) if self.tenant.quarantined => {}
                    Through::Refused(status) => self.find(
                        Verdict::Unknown,
                        format!("{what}: the tenant's own gateway refused it with {status}"),
                    ),
                    Through::Failed(why) => {
                        self.find(Verdict::Unknown, format!("{what}: {why}"));
                        return;
                    }
                }
                self.evidence(through, evidence);
            }
            Seen::Gateway { region, through } => match through {
                Through::Passed(_) => self.find(
                    Verdict::Fail,
                    format!("the gateway of `{region}` let a request for the tenant's data pass"),
                ),
                Through::Refused(status) if DENIALS.contains(status) => {}
                Through::Refused(status) => self.find(
                    Verdict::Unknown,
                    format!("the gateway of `{region}` answered {status}, which says nothing"),
                ),
                Through::Failed(why) => {
                    self.find(
                        Verdict::Unknown,
                        format!("the gateway of `{region}`: {why}"),
                    );
                }
            },
            Seen::Elsewhere {
                region,
                store,
                seen,
            } => {
                let (verdict, what) = match &seen.outcome {
                    Outcome::Refused(_) => return,
                    Outcome::Found if *region != self.tenant.home => {
                        (Verdict::Fail, "the sentinel is there".to_owned())
                    }
                    Outcome::Found | Outcome::Absent | Outcome::Done | Outcome::Foreign => (
                        Verdict::Fail,
                        "a service was let in without its region's context".to_owned(),
                    ),
                    Outcome::Reached(why) => (
                        Verdict::Fail,
                        format!(
                            "a service was let in, and only the store itself refused it: {why}"
                        ),
                    ),
                    Outcome::Failed(why) => (Verdict::Unknown, why.clone()),
                };
                self.find(verdict, format!("`{store}` of region `{region}`: {what}"));
            }
        }
    }

    fn at_home(
        &mut self,
        what: &str,
        store: &str,
        kind: &str,
        operation: Operation,
        deleted: bool,
        seen: &StoreSeen,
    ) {
        if self.tenant.quarantined {
            self.find(
                Verdict::Fail,
                format!("{what}: it was let through, though the tenant is in quarantine"),
            );
        }
        // What was not written can't be lost, and what was not deleted may stay.
        let written = self.written.contains(store);
        let problem = match (operation, &seen.outcome) {
            (Operation::Write, Outcome::Done) => {
                self.written.insert(store.to_owned());
                None
            }
            (Operation::Read, Outcome::Found) if !deleted => None,
            (Operation::Read, Outcome::Absent) if deleted => None,
            (Operation::Delete, Outcome::Done) => {
                self.deleted.insert(store.to_owned());
                None
            }
            (_, Outcome::Refused(code)) => {
                self.find(
                    Verdict::Unknown,
                    format!("{what}: the tenant's own region refused it ({code})"),
                );
                return;
            }
            (_, Outcome::Failed(why)) => {
                self.find(Verdict::Unknown, format!("{what}: {why}"));
                return;
            }
            (_, Outcome::Reached(why)) => {
                let what = format!("{what}: the store itself refused it: {why}");
                self.find(Verdict::Unknown, what);
                return;
            }
            (_, Outcome::Foreign) => Some("another tenant's sentinel stands in its place"),
            (Operation::Read, Outcome::Found) if !self.deleted.contains(store) => {
                let what = format!("{what}: the sentinel could not be deleted and is still there");
                self.find(Verdict::Unknown, what);
                None
            }
            (Operation::Read, Outcome::Found) => {
                Some("the sentinel is still there after it was deleted")
            }
            (Operation::Read | Operation::Delete, Outcome::Absent) if !written => {
                let what = format!("{what}: the sentinel was not written, and is not there");
                self.find(Verdict::Unknown, what);
                None
            }
            (Operation::Read, _) => Some("the sentinel was written and is not there"),
            (Operation::Delete, _) => Some("the sentinel to delete was not there"),
            (Operation::Write, _) => Some("the answer to it makes no sense"),
        };
        if let Some(problem) = problem {
            self.find(Verdict::Fail, format!("{what}: {problem}"));
        }
        let Some(region) = &seen.region else {
            self.find(
                Verdict::Unknown,
                format!("{what}: the store does not say where it is"),
            );
            return;
        };
        self.stores.insert(Store {
            kind: kind.to_owned(),
            identity: seen.identity.clone(),
            region: region.clone(),
        });
        match operation {
            Operation::Read => &mut self.reads,
            Operation::Write | Operation::Delete => &mut self.writes,
        }
        .insert(region.clone());
        if !self.tenant.regions.contains(region) {
            self.find(
                Verdict::Fail,
                format!("{what}: the store says that it is in `{region}`"),
            );
        }
    }

    fn evidence(&mut self, through: &Through, evidence: &Evidence) {
        let home = &self.tenant.home;
        // What was allowed and then not answered, the services being down, is no contradiction.
        let opposite = match through {
            Through::Passed(_) => Some(false),
            Through::Refused(status) if DENIALS.contains(status) => Some(true),
            Through::Refused(_) | Through::Failed(_) => None,
        };
        match &evidence.span {
            None => self.find(Verdict::Unknown, "a request's span did not arrive".into()),
            Some((from, to)) if from != home || !self.tenant.regions.contains(to) => self.find(
                Verdict::Fail,
                format!("a span says that a request went from `{from}` to `{to}`"),
            ),
            Some(_) => {}
        }
        match &evidence.decision {
            None => self.find(
                Verdict::Unknown,
                "a request is not in the decision log".into(),
            ),
            Some(decision) if decision.tenant != self.tenant.name => self.find(
                Verdict::Fail,
                format!(
                    "{} says that the request was of tenant `{}`",
                    decision.id, decision.tenant
                ),
            ),
            Some(decision) if Some(decision.allowed) == opposite => self.find(
                Verdict::Fail,
                format!(
                    "{} says `allowed: {}`, and the opposite happened",
                    decision.id, decision.allowed
                ),
            ),
            Some(_) => {}
        }
    }

    fn close(mut self) -> Judgement {
        if self.tenant.quarantined {
            self.find(
                Verdict::Unknown,
                "the tenant is in quarantine: nothing is written or read".into(),
            );
        } else if self.stores.is_empty() {
            self.find(Verdict::Unknown, "no store of the region answered".into());
        }
        let home = &self.tenant.home;
        let route = |to: BTreeSet<String>| {
            let to: Vec<String> = to.into_iter().collect();
            let to = if to.is_empty() {
                "unknown".to_owned()
            } else {
                to.join("+")
            };
            (home.clone(), to)
        };
        let verdict = self.found.first().map_or(Verdict::Pass, |(v, _)| v.0);
        let more = self.found.len().saturating_sub(FINDINGS);
        let mut findings: Vec<String> = self.found.into_iter().map(|(_, what)| what).collect();
        findings.truncate(FINDINGS);
        if more > 0 {
            findings.push(format!("and {more} more"));
        }
        Judgement {
            verdict,
            reads: route(self.reads),
            writes: route(self.writes),
            stores: self.stores.into_iter().collect(),
            findings,
        }
    }
}

#[cfg(test)]
mod tests;
