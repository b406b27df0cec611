//! Probing once a period, for as long as the process lives.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alert::run::{Alerts, Receivers};
use alert::{Alert, Book, Severity};
use anyhow::Context;
use jiff::Timestamp;
use probe::plan::Tenant;
use probe::schedule;
use proof::Journal;
use proof::residency::{Period, Proof, Statement, Verdict};
use tokio::sync::{Notify, watch};

use super::record::{self, Summary};
use super::{Directory, Fleet, directory, regions};
use crate::End;
use crate::config::{Config, Probe};
use crate::proofs::passphrase::passphrase;

const BREACH: &str = "ResidencyBreach";
const UNPROVEN: &str = "ResidencyUnproven";
const LATE: &str = "ResidencyProofLate";
const MISSING: &str = "ResidencyProofMissing";
const BLOCKED: &str = "ResidencyProbesBlocked";

/// How often it is looked whether policies can be read again.
const LOOK: Duration = Duration::from_secs(2);

/// What to do about them.
const RUNBOOK: &str = "README, Runbook: residency breach";

/// Findings that an alert quotes.
const QUOTED: usize = 3;

/// The prober of a process that serves or watches.
pub struct Watch {
    config: Config,
    settings: Probe,
    journal: Journal,
    conductor: SocketAddr,
    alerts: Alerts,
    summary: watch::Sender<Summary>,
    /// The tenants when the policies could last be read.
    directory: Directory,
}

impl Watch {
    /// Opens the log of proofs, if the configuration has a [probe].
    ///
    /// # Errors
    /// Key or log can't be used.
    pub fn open(
        config: &Config,
        passphrase_file: Option<&Path>,
        alerts: Alerts,
        summary: watch::Sender<Summary>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(settings) = config.probe.clone() else {
            return Ok(None);
        };
        // What it will need each time can be had.
        Fleet::of(config, config.api.listen)?;
        let key = proof::KeyFiles::current(&settings.keys)
            .read(&passphrase(passphrase_file)?)
            .context("the key that signs proofs")?;
        let journal = Journal::open(&settings.proofs, key)?;
        for repair in journal.repairs() {
            tracing::warn!("proofs: {repair}");
        }
        let latest: Vec<Proof> = journal
            .history()
            .tenants()
            .values()
            .map(|t| t.proof.clone())
            .collect();
        summary.send_modify(|s| s.know(&latest));
        let conductor = match config.api.listen.ip().is_unspecified() {
            true => (std::net::Ipv4Addr::LOCALHOST, config.api.listen.port()).into(),
            false => config.api.listen,
        };
        Ok(Some(Self {
            config: config.clone(),
            settings,
            journal,
            conductor,
            alerts,
            summary,
            directory: Directory::default(),
        }))
    }

    /// Probes once a period until `stop` is done.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        // An alert of an earlier life is over if its cause is.
        match directory(&self.config) {
            Ok(_) => self.alerts.resolve(BLOCKED, &BTreeMap::new()),
            Err(error) => self.trouble(Some(format!("the policies can't be read: {error:#}"))),
        }
        let settle = Duration::from_secs(self.settings.schedule.settle_s.into());
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(settle) => {}
        }
        let mut done = self.covered();
        loop {
            let chance = chance();
            let now = Timestamp::now().as_second();
            let turn = schedule::next(&self.settings.schedule, now, done, chance);
            let wait = u64::try_from(turn.begin_s - now).unwrap_or_default();
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(Duration::from_secs(wait)) => {}
            }
            let Ok(period) = Period::new(turn.period_s, self.settings.schedule.every_s) else {
                tracing::error!("the clock is out of bounds: nothing is proven");
                done = Some(turn.period_s);
                continue;
            };
            // The machine slept, or its clock was set: of a time that is not now nothing can be seen.
            let now = Timestamp::now().as_second();
            if !(period.start_s()..period.end_s()).contains(&now) {
                tracing::warn!(
                    "it is not {period} any more: the clock was set, or the machine slept"
                );
                continue;
            }
            let ended = tokio::select! {
                () = &mut stop => return,
                ended = self.probe(period) => ended,
            };
            if let Err(error) = ended {
                tracing::error!("no proofs of {period}: {error:#}");
                self.missing(period, &format!("{error:#}"));
            }
            done = Some(turn.period_s);
        }
    }

    /// The start of the period that the log covers already, of all tenants.
    fn covered(&self) -> Option<i64> {
        let latest = self.journal.history().latest()?;
        let every = self.settings.schedule.every_s;
        let begin = latest.end_s() - i64::from(every);
        let all = directory(&self.config).ok()?.tenants;
        let period = Period::new(begin, every).ok()?;
        all.iter()
            .all(|t| self.journal.covers(&t.name, period))
            .then_some(begin)
    }

    async fn probe(&mut self, period: Period) -> anyhow::Result<()> {
        self.know_tenants(period).await?;
        let config = &self.settings.schedule;
        let mut due = self.directory.clone();
        let all = due.tenants.clone();
        due.tenants
            .retain(|t| !self.journal.covers(&t.name, period));
        let fleet = Fleet::of(&self.config, self.conductor)?;
        let deadline = period.end_s() + i64::from(config.grace_s);
        let left = u64::try_from(deadline - Timestamp::now().as_second()).unwrap_or_default();
        let regions = regions(&self.config);
        let mut proofs = {
            let journal = &mut self.journal;
            let again = || directory(&self.config);
            let probing = record::probe(config, fleet, due, again, regions, period, journal);
            let mut probing = std::pin::pin!(probing);
            match tokio::time::timeout(Duration::from_secs(left), &mut probing).await {
                Ok(proofs) => proofs?,
                Err(_) => {
                    missing(&self.alerts, period, "the probes have not ended");
                    self.summary.send_modify(|s| s.missed += 1);
                    probing.await?
                }
            }
        };
        proofs.extend(record::end_others(
            &all,
            period,
            &mut self.journal,
            Timestamp::now(),
        )?);
        let nameless = all.iter().filter(|t| !record::can_be_proven(&t.name));
        match nameless.count() {
            0 => self.alerts.resolve(MISSING, &BTreeMap::new()),
            n => missing(
                &self.alerts,
                period,
                &format!("{n} tenants have a name that is empty or too long for a file"),
            ),
        }
        for proof in &proofs {
            let of = |t: &&Tenant| t.name == proof.statement.tenant;
            let quarantined = all.iter().find(of).is_some_and(|t| t.quarantined);
            tell(&self.alerts, proof, quarantined);
        }
        let count = |verdict| {
            proofs
                .iter()
                .filter(|p| p.statement.verdict == verdict)
                .count()
        };
        tracing::info!(
            %period,
            pass = count(Verdict::Pass),
            fail = count(Verdict::Fail),
            unknown = count(Verdict::Unknown),
            "residency proofs"
        );
        self.summary.send_modify(|summary| summary.take(&proofs));
        Ok(())
    }

    /// Reads who is to be probed. While the policies can't be read, those of before are, who are in force still;
    /// if nobody is known yet, it waits until they can, as long as the period lasts.
    async fn know_tenants(&mut self, period: Period) -> anyhow::Result<()> {
        loop {
            let config = self.config.clone();
            let read = tokio::task::spawn_blocking(move || directory(&config)).await;
            let error = match read.map_err(anyhow::Error::from).and_then(|read| read) {
                Ok(now) => {
                    self.directory = now;
                    self.trouble(None);
                    return Ok(());
                }
                Err(error) => error,
            };
            let nobody = self.directory.tenants.is_empty();
            let who = match nobody {
                true => "nobody is probed until the policies can be read",
                false => "the tenants of before are probed",
            };
            self.trouble(Some(format!("{who}: {error:#}")));
            if !nobody {
                return Ok(());
            }
            if Timestamp::now().as_second() >= period.end_s() {
                return Err(error);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Notes what is in the way of probes, or that nothing is any more.
    fn trouble(&self, now: Option<String>) {
        let changed = self.summary.send_if_modified(|summary| {
            let changed = summary.trouble != now;
            summary.trouble.clone_from(&now);
            changed
        });
        if !changed {
            return;
        }
        match now {
            None => {
                tracing::info!("the policies can be read again: probes go on");
                self.alerts.resolve(BLOCKED, &BTreeMap::new());
            }
            Some(why) => {
                tracing::error!("residency probes: {why}");
                self.alerts.raise(Alert {
                    name: BLOCKED.into(),
                    severity: Severity::Warning,
                    about: BTreeMap::new(),
                    summary: "residency probes don't know the policies".into(),
                    description: why,
                    runbook: RUNBOOK.into(),
                });
            }
        }
    }

    fn missing(&self, period: Period, why: &str) {
        missing(&self.alerts, period, why);
        self.summary.send_modify(|s| s.missed += 1);
    }
}

/// Raises and ends what is to say of a tenant.
fn tell(alerts: &Alerts, proof: &Proof, quarantined: bool) {
    let statement = &proof.statement;
    let about = BTreeMap::from([("tenant".to_owned(), statement.tenant.clone())]);
    let firing = match statement.verdict {
        Verdict::Fail => Some((
            BREACH,
            Severity::Critical,
            format!("residency of {} does not hold", statement.tenant),
        )),
        Verdict::Unknown if !quarantined && !statement.last => Some((
            UNPROVEN,
            Severity::Warning,
            format!("residency of {} can't be proven", statement.tenant),
        )),
        _ => None,
    };
    if quarantined && statement.verdict == Verdict::Unknown {
        alerts.resolve(UNPROVEN, &about);
    }
    let late = statement.late && !statement.last;
    for name in over(statement) {
        alerts.resolve(name, &about);
    }
    if let Some((name, severity, summary)) = firing {
        let mut quoted: Vec<&str> = statement.findings.iter().map(String::as_str).collect();
        quoted.truncate(QUOTED);
        alerts.raise(Alert {
            name: name.into(),
            severity,
            about: about.clone(),
            summary,
            description: format!(
                "{}, proof {} of the tenant: {}",
                statement.period,
                proof.sequence,
                quoted.join("; ")
            ),
            runbook: RUNBOOK.into(),
        });
    }
    if late {
        alerts.raise(Alert {
            name: LATE.into(),
            severity: Severity::Warning,
            about,
            summary: format!("a residency proof of {} is late", statement.tenant),
            description: format!("{} was proven at {}", statement.period, statement.issued_at),
            runbook: RUNBOOK.into(),
        });
    } else {
        alerts.resolve(LATE, &about);
    }
}

/// The alerts that a statement ends. A breach is over when a proof says so, not when nothing can be
/// seen any more.
fn over(statement: &Statement) -> &'static [&'static str] {
    match statement.verdict {
        Verdict::Pass => &[BREACH, UNPROVEN],
        Verdict::Fail => &[UNPROVEN],
        Verdict::Unknown if statement.last => &[BREACH, UNPROVEN],
        Verdict::Unknown => &[],
    }
}

fn missing(alerts: &Alerts, period: Period, why: &str) {
    alerts.raise(Alert {
        name: MISSING.into(),
        severity: Severity::Critical,
        about: BTreeMap::new(),
        summary: "residency proofs are missing".into(),
        description: format!("{period}: {why}"),
        runbook: RUNBOOK.into(),
    });
}

/// Any number.
fn chance() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
    let chance = RandomState::new().hash_one(Timestamp::now().as_nanosecond()) as u32;
    chance
}

/// Watches in a process of its own: it has the conductor's word by its HTTP port.
///
/// # Errors
/// The configuration can't be used.
pub async fn alone(file: &Path, passphrase_file: Option<&Path>) -> anyhow::Result<End> {
    let config = Config::read(file)?;
    let receivers = Receivers::read(&config.alerts)?;
    let alerts = Alerts::new(Book::open(&config.state.join("probe-alerts.json"))?);
    let summary = watch::Sender::new(Summary::default());
    let watching = Watch::open(&config, passphrase_file, alerts.clone(), summary)?;
    let watching = watching.with_context(|| format!("{} has no [probe]", file.display()))?;
    let stop = Arc::new(Notify::new());
    let stopped = |stop: &Arc<Notify>| {
        let stop = stop.clone();
        async move { stop.notified().await }
    };
    let telling = tokio::spawn(receivers.tell(alerts, stopped(&stop)));
    let watching = tokio::spawn(watching.run(stopped(&stop)));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    stop.notify_waiters();
    let _ = watching.await;
    telling.abort();
    Ok(End::Done)
}

#[cfg(test)]
mod tests {
    use alert::Status;
    use proof::key::SigningKey;
    use proof::residency::Statement;

    use super::*;

    #[test]
    fn a_tenant_has_the_alert_that_its_latest_proof_deserves() {
        let alerts = Alerts::new(Book::unkept());
        let key = SigningKey::generate().unwrap();
        let period = Period::new(1_795_770_000, 3600).unwrap();
        let told = |verdict, late, quarantined| {
            let mut statement =
                Statement::unknown("acme", "eu", period, "because", Timestamp::UNIX_EPOCH);
            statement.verdict = verdict;
            statement.late = late;
            tell(
                &alerts,
                &Proof::sign(statement, 1, &key).unwrap(),
                quarantined,
            );
            let entries = alerts.entries();
            let firing = entries.iter().filter(|e| e.status == Status::Firing);
            firing
                .map(|e| e.alert.name.clone())
                .collect::<Vec<_>>()
                .join(" ")
        };
        use Verdict::{Fail, Pass, Unknown};
        for (verdict, late, quarantined, want) in [
            (Pass, false, false, ""),
            (Fail, false, false, BREACH),
            (Fail, true, true, "ResidencyBreach ResidencyProofLate"),
            // A breach is not over because nothing is seen.
            (Unknown, false, false, "ResidencyBreach ResidencyUnproven"),
            (Unknown, false, true, BREACH),
            (Pass, true, false, LATE),
            (Unknown, false, false, UNPROVEN),
            (Unknown, false, true, ""),
            (Pass, false, false, ""),
        ] {
            let mut firing = told(verdict, late, quarantined);
            let mut names: Vec<&str> = firing.split(' ').collect();
            names.sort_unstable();
            firing = names.join(" ");
            assert_eq!(firing, want, "{verdict:?} {late} {quarantined}");
        }
    }
}
