//! What is known of a release: before it is one, and while some nodes have it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use anyhow::Context;
use bundle::Bundle;
use bundle::replay::{self, Change, Comparison, Recorded};
use release::{Evidence, GuardSample, Guards, Part, Sample, Train, Tried};
use serde_json::Value;
use store::{Decider, Tally};

use super::content::{Content, release_of};
use super::drive::{Delivered, Driver, delivered};
use super::pace::Span;
use super::{Place, trial};
use crate::config;

/// Lines that are made again at a look; the newest count.
const MOST_LINES: u32 = 20_000;

/// The name under which the conductor itself refuses a release.
const CONDUCTOR: &str = release::CONDUCTOR;

/// What was found out about a bundle.
#[derive(Default)]
pub struct Found {
    /// Cases and recorded decisions.
    pub tried: Tried,
    /// What no recorded decision could show.
    pub unseen: Vec<String>,
}

/// Runs the cases and makes recorded decisions again, before a bundle is released.
///
/// # Errors
/// Cases or logs can't be read.
pub fn tried(
    place: &Place<'_>,
    train: &Train,
    content: &Content,
    logs: &[PathBuf],
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let tried = &mut found.tried;
    (tried.cases, tried.failed) = cases(place.settings, &content.bundle)?;
    let Some(stable) = train.stable() else {
        return Ok(found);
    };
    let before = place.unpacked(&place.depot.bundle(&stable.digest)?)?;
    let mut lines = Vec::new();
    for log in logs {
        let text = std::fs::read_to_string(log)
            .with_context(|| format!("can't read {}", log.display()))?;
        lines.extend(text.lines().map(Recorded::parse));
    }
    let compared = replay::compare(&before.bundle, &content.bundle, lines.into_iter())?;
    tried.replayed = compared.decisions;
    tried.changed = compared.changed;
    tried.loosened = sum(&compared.loosened);
    let unseen = unseen(&before.bundle, &content.bundle, &compared.settings)?;
    found.unseen = unseen.into_iter().collect();
    Ok(found)
}

/// Cases that were run, and those that failed.
fn cases(settings: &config::Release, bundle: &Bundle) -> anyhow::Result<(u64, u64)> {
    let report = bundle::test::run(bundle, &trial::read(settings)?)?;
    Ok((report.cases as u64, report.failures.len() as u64))
}

/// Cases that a release fails.
///
/// # Errors
/// The cases or the release can't be read.
pub async fn failing_cases(place: &Place<'_>, release: &release::Release) -> anyhow::Result<u64> {
    let bundle = bundle(place, &release.digest)?;
    let settings = place.settings.clone();
    let ran = tokio::task::spawn_blocking(move || cases(&settings, &bundle)).await??;
    Ok(ran.1)
}

/// What differs and may show in no decision of a gateway during a step: settings of `masking.json`, the rules
/// of the guards, what data opens to guards and warrants, and what callers would see who did not call.
fn unseen(
    old: &Bundle,
    new: &Bundle,
    settings: &[(String, String, String)],
) -> anyhow::Result<BTreeSet<String>> {
    let mut found: BTreeSet<String> = settings
        .iter()
        .map(|(name, ..)| format!("settings.{name}"))
        .collect();
    if egress(old)? != egress(new)? {
        found.insert("ig.egress".to_owned());
    }
    found.extend(opened(&old.policy.data, &new.policy.data));
    let callers = replay::compare_callers(old, new)?.loosened;
    found.extend(callers.into_iter().map(|change| change.coordinate));
    Ok(found)
}

/// Tenants that may have data where they had none, and authorities whose word counts anew.
fn opened(old: &Value, new: &Value) -> Vec<String> {
    let nothing = serde_json::Map::new();
    let section = |data: &Value, at: &str| {
        let section = data.pointer(at).and_then(Value::as_object);
        section.unwrap_or(&nothing).clone()
    };
    let mut found = Vec::new();
    let before = section(old, "/ig/tenants");
    for (name, tenant) in section(new, "/ig/tenants") {
        // Who is new has no data yet.
        let had = before.get(&name).map(regions);
        if had.is_some_and(|had| !regions(&tenant).is_subset(&had)) {
            found.push(format!("ig.tenants.{name}"));
        }
    }
    let before = section(old, "/ig/authorities");
    for (name, authority) in section(new, "/ig/authorities") {
        if before.get(&name) != Some(&authority) {
            found.push(format!("ig.authorities.{name}"));
        }
    }
    found
}

/// The regions in which a tenant may have data.
fn regions(tenant: &Value) -> BTreeSet<&str> {
    let more = tenant["regions"].as_array().into_iter().flatten();
    let all = std::iter::once(&tenant["region"]).chain(more);
    all.filter_map(Value::as_str).collect()
}

fn egress(bundle: &Bundle) -> anyhow::Result<Vec<&str>> {
    let mut texts = Vec::new();
    for module in &bundle.policy.modules {
        if engine::policy::package(module)? == ["ig", "egress"] {
            texts.push(module.text.as_str());
        }
    }
    Ok(texts)
}

/// What a release does at the nodes that have it, and what the stable one does, in the time of a step.
///
/// # Errors
/// The store, or what was released, can't be read.
pub async fn collect(driver: &Driver, train: &Train, span: &Span) -> anyhow::Result<Evidence> {
    let (release, canary) = train.under_way().context("nothing is under way")?;
    let stable = train.stable().context("nothing is stable")?;
    let elapsed_ms = u64::try_from(span.elapsed.as_millis()).unwrap_or(u64::MAX);
    let Delivered {
        have,
        behind,
        away,
        mut refused,
    } = delivered(
        &driver.cache.status(),
        release.number,
        &canary.nodes,
        &format!("{}+{}", release.revision, release.number),
    );
    if let Some(state) = &driver.policies.borrow().canary
        && state.release == release.number
        && let Some(error) = &state.refused
    {
        refused.insert(CONDUCTOR.to_owned(), error.clone());
    }
    // What the stable release did as long before counts too: nodes of the step had it then.
    let begin = span.from_unix_ms.saturating_sub(elapsed_ms.max(HISTORY_MS));
    let (before, until) = (signed(begin), signed(span.until_unix_ms));
    let store = driver.decisions.store().await?;
    // Also by the order in which they were stored: a clock that was set back does not tell what is new.
    let since = signed(span.from_unix_ms);
    let during = store.tally_after(since, until, span.after).await?;
    let usual = store.tally(before, until).await?;
    let nodes: BTreeSet<&str> = canary.nodes.iter().map(String::as_str).collect();
    let early = |t: &&Tally| nodes.contains(t.node.as_str());
    let of = |t: &Tally, number: u64| release_of(&t.revision) == Some(number);
    // Where no filter decided there is no revision: at a node of the step it counts against the release.
    let ours = |t: &&Tally| early(t) && (of(t, release.number) || t.revision.is_empty());
    let theirs = |t: &&Tally| of(t, stable.number) || (t.revision.is_empty() && !early(t));
    let by = |decider| move |t: &&Tally| t.kind == decider;
    let gateways = by(Decider::Gateway);
    let canary_sample = sample(during.iter().filter(gateways).filter(ours));
    let baseline = sample(usual.iter().filter(gateways).filter(theirs));
    let sidecars = by(Decider::Guard);
    let guards = Guards {
        canary: guard_sample(during.iter().filter(sidecars).filter(ours)),
        baseline: guard_sample(usual.iter().filter(sidecars).filter(theirs)),
    };

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for line in store.lines(before, until, None, MOST_LINES).await? {
        let recorded = Recorded::parse(&line);
        match revision(&recorded).and_then(release_of) {
            Some(number) if number == release.number => ours.push(recorded),
            Some(number) if number == stable.number => theirs.push(recorded),
            _ => {}
        }
    }
    let pair = pair(driver, &stable.digest, &release.digest).await?;
    let declared = Declared {
        loosens: release.loosens.clone(),
        tightens: release.tightens.clone(),
    };
    let declared_denies = declared.denies();
    let compared = tokio::task::spawn_blocking(move || made_again(&pair, ours, theirs, &declared));
    let compared = compared.await??;
    Ok(Evidence {
        elapsed_s: elapsed_ms / 1000,
        watched_s: span.watched.as_secs(),
        canary: canary_sample,
        baseline,
        guards,
        behind,
        away,
        have,
        refused,
        compared: compared.decisions,
        loosened: compared.loosened,
        tightened: compared.tightened,
        shut_out: compared.shut_out,
        denies: declared_denies,
    })
}

/// How far back the stable release is looked at, at least.
const HISTORY_MS: u64 = 60_000;

/// A release and the stable one, and what differs between them whatever is decided: for as long as both are what
/// they are, it need not be looked for again.
pub struct Pair {
    digests: [String; 2],
    old: Bundle,
    new: Bundle,
    unseen: BTreeSet<String>,
}

impl Pair {
    fn of(digests: [String; 2], old: Bundle, new: Bundle) -> anyhow::Result<Self> {
        let compared = replay::compare(&old, &new, std::iter::empty())?;
        let unseen = unseen(&old, &new, &compared.settings)?;
        Ok(Self {
            digests,
            old,
            new,
            unseen,
        })
    }
}

/// The pair that is judged, read once.
async fn pair(driver: &Driver, stable: &str, release: &str) -> anyhow::Result<Arc<Pair>> {
    let digests = [stable.to_owned(), release.to_owned()];
    let known = || driver.pair.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pair) = known().as_ref().filter(|p| p.digests == digests) {
        return Ok(pair.clone());
    }
    let config = driver.config.clone();
    let read = move || {
        let place = Place::open(&config)?;
        let [old, new] = &digests;
        let (old, new) = (bundle(&place, old)?, bundle(&place, new)?);
        Pair::of(digests, old, new).map(Arc::new)
    };
    let pair = tokio::task::spawn_blocking(read).await??;
    *known() = Some(pair.clone());
    Ok(pair)
}

/// What a release says of itself.
#[derive(Default)]
struct Declared {
    loosens: Vec<String>,
    tightens: Vec<String>,
}

impl Declared {
    /// Whether it says that it denies: a tenant, or what is denied as a whole.
    fn denies(&self) -> bool {
        let denies =
            |word: &String| word.starts_with(TENANT) || release::DENIALS.contains(&word.as_str());
        self.tightens.iter().any(denies)
    }

    /// Whether it says that it shuts out whose request this was.
    fn shuts_out(&self, recorded: &Recorded) -> bool {
        let Recorded::Decision(facts) = recorded else {
            return false;
        };
        let is = |word: &String| word.strip_prefix(TENANT) == facts.tenant();
        facts.tenant().is_some() && self.tightens.iter().any(is)
    }
}

/// What decisions that were made again show.
#[derive(Default)]
struct MadeAgain {
    decisions: u64,
    loosened: BTreeMap<String, u64>,
    tightened: BTreeMap<String, Part>,
    shut_out: BTreeMap<String, u64>,
}

/// What the new release shows that the old one masks, and the other way round. Requests that the old one
/// answered name what it masked, so what the new one would show of them is certain. Requests that the new one
/// answered do not name what is clear: there all counts that the old one would mask for the same caller.
///
/// Who did not call lately counts too: both are asked about every kind of caller that their data knows.
fn made_again(
    pair: &Pair,
    ours: Vec<Recorded>,
    theirs: Vec<Recorded>,
    declared: &Declared,
) -> anyhow::Result<MadeAgain> {
    let Pair {
        old, new, unseen, ..
    } = pair;
    // Whom it says that it shuts out may be denied; what they would be shown counts all the same.
    let shut = |r: &Recorded| declared.shuts_out(r);
    let (shut_ours, ours): (Vec<_>, Vec<_>) = ours.into_iter().partition(shut);
    let (shut_theirs, theirs): (Vec<_>, Vec<_>) = theirs.into_iter().partition(shut);
    let forward: Comparison = replay::compare(old, new, theirs.into_iter())?;
    let backward: Comparison = replay::compare(new, old, ours.into_iter())?;
    let of_shut = match shut_ours.is_empty() && shut_theirs.is_empty() {
        true => None,
        false => Some((
            replay::compare(old, new, shut_theirs.into_iter())?,
            replay::compare(new, old, shut_ours.into_iter())?,
        )),
    };
    let (shut_forward, shut_backward) = of_shut.unwrap_or_default();
    let mut found = MadeAgain {
        decisions: [&forward, &backward, &shut_forward, &shut_backward]
            .iter()
            .map(|compared| compared.masking)
            .sum(),
        ..MadeAgain::default()
    };
    for what in unseen {
        found.loosened.insert(what.clone(), 1);
    }
    let looser = forward
        .loosened
        .into_iter()
        .chain(backward.tightened)
        .chain(backward.possibly_tightened)
        .chain(shut_forward.loosened)
        .chain(shut_backward.tightened)
        .chain(shut_backward.possibly_tightened);
    for change in looser {
        *found.loosened.entry(change.coordinate).or_default() += change.decisions;
    }
    // What is clear today no record of the old one names: of that the new one's own decisions tell, by themselves.
    let tighter = [
        (forward.tightened, forward.decisions),
        (backward.loosened, backward.decisions),
    ];
    for (changes, all) in tighter {
        let mut parts: BTreeMap<String, Part> = BTreeMap::new();
        // Somewhere else is somewhere else either way.
        for change in changes
            .into_iter()
            .filter(|c| c.coordinate != replay::REGION)
        {
            let part = parts.entry(change.coordinate).or_default();
            (part.of, part.all) = (part.of + change.decisions, all);
        }
        for (coordinate, part) in parts {
            let before = found.tightened.entry(coordinate).or_default();
            *before = before.or(part);
        }
    }
    found.shut_out = forward.shut_out;
    found
        .loosened
        .retain(|what, _| !declared.loosens.contains(what));
    found
        .tightened
        .retain(|what, _| !declared.tightens.contains(what));
    found.shut_out.retain(|tenant, _| {
        let word = format!("{TENANT}{tenant}");
        !declared.tightens.contains(&word)
    });
    Ok(found)
}

/// What stands before a tenant's name where a release says that it shuts it out.
const TENANT: &str = "tenant:";

fn revision(recorded: &Recorded) -> Option<&str> {
    let Recorded::Decision(facts) = recorded else {
        return None;
    };
    let masking = facts.masking.as_ref().map(|m| m.revision.as_str());
    masking.or(facts.residency.as_ref().map(|r| r.revision.as_str()))
}

fn bundle(place: &Place<'_>, digest: &str) -> anyhow::Result<Bundle> {
    Ok(place.unpacked(&place.depot.bundle(digest)?)?.bundle)
}

/// Of fewer requests of a node the slowest twentieth is chance: one that met with something else on its machine.
const TAIL: u64 = 100;

/// Adds up; of percentiles the worst node's counts.
fn sample<'t>(tallies: impl Iterator<Item = &'t Tally>) -> Sample {
    tallies.fold(Sample::default(), |mut sum, t| {
        sum.requests += t.requests;
        sum.denied += t.denied;
        sum.failed += t.failed;
        // A response that could not be masked is one of 502: it counts once.
        sum.server_errors += t.server_errors_answered.saturating_sub(t.failed);
        if let Some(us) = t.own_p95_us.filter(|_| t.requests >= TAIL) {
            let ms = us as f64 / 1000.0;
            sum.added_p95_ms = Some(sum.added_p95_ms.map_or(ms, |worst: f64| worst.max(ms)));
        }
        sum
    })
}

/// The same of guards. Who went away before a guard could decide was not refused.
fn guard_sample<'t>(tallies: impl Iterator<Item = &'t Tally>) -> GuardSample {
    tallies.fold(GuardSample::default(), |mut sum, t| {
        sum.asked += t.requests;
        sum.denied += t.denied;
        // Where there is no revision, no guard was there to decide.
        sum.failed += match t.revision.is_empty() {
            true => t.requests,
            false => t.failed,
        };
        sum
    })
}

fn sum(changes: &[Change]) -> u64 {
    changes.iter().map(|c| c.decisions).sum()
}

fn signed(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
