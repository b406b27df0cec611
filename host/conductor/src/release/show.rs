//! The train, for people.

use release::{Release, Sample, Train};

use crate::plain;

/// A line each.
///
/// # Errors
/// Standard output is gone.
pub fn train(train: &Train) -> anyhow::Result<()> {
    if train.releases.is_empty() {
        return line!("nothing was released yet");
    }
    line!(
        "{:>4}  {:14} {:15} {:>6}  {:20} {:16} note",
        "no.",
        "standing",
        "revision",
        "parent",
        "since",
        "author"
    )?;
    for release in train.releases.values().rev() {
        line!(
            "{:>4}  {:14} {:15} {:>6}  {:20} {:16} {}",
            release.number,
            release.standing.word(),
            release.revision,
            release.parent.map_or_else(|| "-".into(), |p| p.to_string()),
            moment(release.since_unix_ms),
            release.author,
            plain(&about(release))
        )?;
    }
    if let Some((release, canary)) = train.under_way() {
        match canary.step {
            None => line!("release {} waits for its first step", release.number)?,
            Some(step) => line!(
                "release {} is at step {}, on {}",
                release.number,
                step + 1,
                canary.nodes.join(", ")
            )?,
        }
    }
    if let Some(freeze) = &train.frozen {
        line!(
            "frozen by {} since {}: {}",
            freeze.by,
            moment(freeze.since_unix_ms),
            plain(&freeze.reason)
        )?;
    }
    Ok(())
}

fn about(release: &Release) -> String {
    match (release.rollback_of, release.reasons.is_empty()) {
        (Some(of), _) => format!("back to {of}: {}", release.note),
        (None, true) => release.note.clone(),
        (None, false) => release.reasons.join("; "),
    }
}

/// All that is known of one.
///
/// # Errors
/// Standard output is gone.
pub fn release(release: &Release) -> anyhow::Result<()> {
    line!(
        "release {} is {} since {}",
        release.number,
        release.standing.word(),
        moment(release.since_unix_ms)
    )?;
    line!("  revision   {}", release.revision)?;
    line!("  sha256     {}", release.digest)?;
    line!("  author     {}", release.author)?;
    line!("  approved   {}", some(&release.approvals))?;
    line!("  note       {}", plain(&release.note))?;
    let tried = &release.tried;
    line!(
        "  cases      {} of {} passed",
        tried.cases - tried.failed.min(tried.cases),
        tried.cases
    )?;
    line!(
        "  replay     {} of {} decisions would change, {} show more",
        tried.changed,
        tried.replayed,
        tried.loosened
    )?;
    line!("  loosens    {}", some(&release.loosens))?;
    line!("  tightens   {}", some(&release.tightens))?;
    for reason in &release.reasons {
        line!("  withdrawn  {}", plain(reason))?;
    }
    if let Some(evidence) = &release.evidence {
        line!("  seen       {}", sample(&evidence.canary))?;
        line!("  usual      {}", sample(&evidence.baseline))?;
        let release::Guards { canary, baseline } = &evidence.guards;
        line!("  guards     {}", guard_sample(canary))?;
        line!("  usual      {}", guard_sample(baseline))?;
        line!(
            "  compared   {} decisions with the stable release, {} show more",
            evidence.compared,
            evidence.loosened.values().sum::<u64>()
        )?;
        for (what, part) in &evidence.tightened {
            line!(
                "  less       {}, in {} of {}",
                plain(what),
                part.of,
                part.all
            )?;
        }
        for (tenant, decisions) in &evidence.shut_out {
            line!("  shut out   {}, in all of {decisions}", plain(tenant))?;
        }
    }
    Ok(())
}

fn sample(sample: &Sample) -> String {
    let added = sample
        .added_p95_ms
        .map_or_else(|| "-".into(), |ms| format!("{ms:.1} ms"));
    format!(
        "{} requests, {} denied, {} that could not be masked, {} server errors, p95 added {added}",
        sample.requests, sample.denied, sample.failed, sample.server_errors
    )
}

fn guard_sample(sample: &release::GuardSample) -> String {
    format!(
        "{} requests to stores, {} denied, {} could not be decided",
        sample.asked, sample.denied, sample.failed
    )
}

fn some(names: &[String]) -> String {
    match names.is_empty() {
        true => "-".into(),
        false => plain(&names.join(", ")),
    }
}

fn moment(unix_ms: u64) -> String {
    i64::try_from(unix_ms / 1000)
        .ok()
        .and_then(|s| jiff::Timestamp::from_second(s).ok())
        .map_or_else(|| "?".into(), |t| t.to_string())
}
