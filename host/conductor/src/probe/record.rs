//! From what probes saw to signed proofs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use probe::plan::{Regions, Tenant};
use probe::run::Probed;
use probe::{Prober, World, schedule};
use proof::residency::{Period, Proof, Route, Statement, Store, Verdict};
use proof::{Journal, JournalError};
use serde::Serialize;

use super::Directory;

/// How the latest proofs stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The latest period of which there are proofs.
    pub period: Option<Period>,
    /// When they were issued.
    pub issued_at: Option<Timestamp>,
    /// How many tenants, by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Proofs that this process has signed, by verdict.
    pub issued: BTreeMap<String, u64>,
    /// How many of those were late.
    pub late: u64,
    /// Periods that ended without proofs being there in time.
    pub missed: u64,
    /// What keeps probes from what they should do, if anything does.
    pub trouble: Option<String>,
    /// The latest proof of each tenant.
    pub tenants: BTreeMap<String, TenantSummary>,
}

/// A tenant's latest proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantSummary {
    /// The verdict.
    pub verdict: Verdict,
    /// The period.
    pub period: Period,
    /// The proof's place among the tenant's.
    pub sequence: u64,
    /// What was not as it should be.
    pub findings: Vec<String>,
}

/// A verdict's name.
pub fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Unknown => "UNKNOWN",
    }
}

impl Summary {
    /// Takes in proofs that were signed just now.
    pub fn take(&mut self, proofs: &[Proof]) {
        for Proof { statement, .. } in proofs {
            *self
                .issued
                .entry(name(statement.verdict).into())
                .or_default() += 1;
            self.late += u64::from(statement.late);
        }
        self.know(proofs);
    }

    /// Takes in proofs that were there before.
    pub fn know(&mut self, proofs: &[Proof]) {
        for proof in proofs {
            let statement = &proof.statement;
            if statement.last {
                self.tenants.remove(&statement.tenant);
                continue;
            }
            self.period = self.period.max(Some(statement.period));
            self.issued_at = self.issued_at.max(Some(statement.issued_at));
            let summary = TenantSummary {
                verdict: statement.verdict,
                period: statement.period,
                sequence: proof.sequence,
                findings: statement.findings.clone(),
            };
            self.tenants.insert(statement.tenant.clone(), summary);
        }
        self.verdicts = BTreeMap::new();
        for tenant in self.tenants.values() {
            *self
                .verdicts
                .entry(name(tenant.verdict).into())
                .or_default() += 1;
        }
    }
}

/// How long the conductor may take to serve what is in its policy directory.
const TAKEN: Duration = Duration::from_secs(5);

/// Probes tenants and adds their proofs to the journal, in one batch. `again` reads the directory once
/// more: where it changed while they were probed, those that failed may have been asked for by what was
/// no longer so, and are probed again.
///
/// # Errors
/// The journal can't be written.
pub async fn probe(
    config: &probe::Config,
    world: impl World,
    due: Directory,
    again: impl Fn() -> anyhow::Result<Directory>,
    regions: Regions,
    period: Period,
    journal: &mut Journal,
) -> Result<Vec<Proof>, JournalError> {
    let prober = Prober::new(config.clone(), regions, world);
    prober.world().until_served(&due.revision, TAKEN).await;
    let mut seen = Vec::new();
    let mut early = due.early;
    prober.run(due.tenants, |probed| seen.push(probed)).await;

    let failed = |p: &Probed| p.judgement.verdict == probe::Verdict::Fail;
    if seen.iter().any(failed)
        && let Ok(now) = again()
        && now.revision != due.revision
    {
        let (doubtful, sure): (Vec<Probed>, Vec<Probed>) = seen.into_iter().partition(failed);
        seen = sure;
        early = now.early;
        let mut tenants = now.tenants;
        tenants.retain(|t| doubtful.iter().any(|p| p.tenant.name == t.name));
        prober.world().until_served(&now.revision, TAKEN).await;
        prober.run(tenants, |probed| seen.push(probed)).await;
    }
    seen = as_early(&prober, seen, early).await;
    add(config, seen, period, journal, Timestamp::now())
}

/// Where nodes have a release before the others, a tenant may be another there, and could not be seen as it is for
/// everybody: it is probed once more as the release has it. What was seen that must not be stays.
async fn as_early(
    prober: &Prober<impl World>,
    seen: Vec<Probed>,
    mut early: Vec<Tenant>,
) -> Vec<Probed> {
    let unseen = |p: &Probed| p.judgement.verdict == probe::Verdict::Unknown;
    early.retain(|tenant| {
        let is = |p: &&Probed| p.tenant.name == tenant.name;
        let known = seen.iter().find(is);
        known.is_some_and(|p| unseen(p) && p.tenant != *tenant)
    });
    if early.is_empty() {
        return seen;
    }
    let mut again: BTreeMap<String, Probed> = BTreeMap::new();
    let take = |probed: Probed| {
        // Not to be seen either way: then as it is for everybody.
        if !unseen(&probed) {
            again.insert(probed.tenant.name.clone(), probed);
        }
    };
    prober.run(early, take).await;
    let better = |p: Probed| again.remove(&p.tenant.name).unwrap_or(p);
    seen.into_iter().map(better).collect()
}

/// Adds the proofs of what was seen, and of times of which nothing was.
///
/// # Errors
/// The journal can't be written.
pub fn add(
    config: &probe::Config,
    seen: Vec<Probed>,
    period: Period,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Vec<Proof>, JournalError> {
    let late = schedule::is_late(config, period.end_s(), now.as_second());
    let mut batch = Vec::new();
    for probed in seen {
        let tenant = &probed.tenant;
        if !can_be_proven(&tenant.name) {
            // The others have their proofs all the same.
            tracing::error!(
                tenant = tenant.name,
                "the name is empty or too long for a file: no proof"
            );
            continue;
        }
        if let Some(gap) = journal.gap(&tenant.name, period) {
            let why = "no probe ran in this time";
            batch.push(Statement::unknown(
                &tenant.name,
                &tenant.home,
                gap,
                why,
                now,
            ));
        }
        batch.push(statement(probed, period, late, now));
    }
    journal.append(batch)
}

/// Whether there can be files of a tenant of this name.
pub fn can_be_proven(tenant: &str) -> bool {
    proof::folder::stem(tenant).is_some()
}

/// Ends the proofs of tenants that the directory has no longer.
///
/// # Errors
/// The journal can't be written.
pub fn end_others(
    tenants: &[Tenant],
    period: Period,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Vec<Proof>, JournalError> {
    let mut batch = Vec::new();
    for (name, latest) in journal.history().tenants() {
        let known = tenants.iter().any(|t| t.name == *name);
        if known || latest.proof.statement.last || journal.covers(name, period) {
            continue;
        }
        let before = latest.proof.statement.period;
        // Its last period reaches from its latest proof to now.
        let until = Period::new(
            before.end_s(),
            u32::try_from(period.end_s() - before.end_s()).unwrap_or(u32::MAX),
        );
        let Ok(rest) = until else { continue };
        let home = &latest.proof.statement.writes.src;
        let why = "the directory has the tenant no longer";
        let mut last = Statement::unknown(name, home, rest, why, now);
        last.last = true;
        last.late = false;
        batch.push(last);
    }
    journal.append(batch)
}

fn statement(probed: Probed, period: Period, late: bool, now: Timestamp) -> Statement {
    let judgement = probed.judgement;
    let route = |(src, dst): (String, String)| Route::new(src, dst);
    let stores = judgement.stores.into_iter();
    Statement {
        tenant: probed.tenant.name,
        period,
        reads: route(judgement.reads),
        writes: route(judgement.writes),
        nonce: probed.nonce,
        revision: probed.in_force.revision,
        filters: probed.in_force.filters,
        xds_version: probed.in_force.xds_version,
        node: probed.in_force.node,
        stores: stores
            .map(|store| Store {
                kind: store.kind,
                identity: store.identity,
                region: store.region,
            })
            .collect(),
        verdict: match judgement.verdict {
            probe::Verdict::Pass => Verdict::Pass,
            probe::Verdict::Unknown => Verdict::Unknown,
            probe::Verdict::Fail => Verdict::Fail,
        },
        late,
        last: false,
        findings: judgement.findings,
        issued_at: now,
    }
}

#[cfg(test)]
mod tests;
