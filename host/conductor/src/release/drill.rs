//! The release drill: on real gateways under load, a good release gets to everybody, and three bad ones
//! are taken back by themselves.

mod declared;
mod load;
mod yard;

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use release::{Act, Standing, Train};
use serde::Serialize;
use serde_json::json;

use crate::demo::{Check, Setup, Stage, table};
use crate::{End, say};

use load::{Load, Seen};
pub use yard::Yard;

/// Arguments of `bundle drill`.
#[derive(Args)]
pub(crate) struct DrillArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What came of a drill.
#[derive(Serialize)]
struct Report {
    timeline: Vec<Moment>,
    gateways: Vec<Seen>,
    checks: Vec<Check>,
}

/// Something that happened.
#[derive(Serialize)]
struct Moment {
    at_ms: u64,
    what: String,
}

/// How long until a change must be seen at a gateway.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the drill.
///
/// # Errors
/// A part can't be had.
pub(crate) async fn run(args: &DrillArgs) -> anyhow::Result<End> {
    let setup = Setup {
        releases: true,
        ..Setup::unproven()
    };
    let mut stage = Stage::start(&setup).await?;
    let report = drill(&mut stage).await;
    stage.stop().await;
    let report = report?;
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        line!("")?;
        table::print(&report.checks);
    }
    match report.checks.iter().all(|c| c.passed) {
        true => Ok(End::Done),
        false => Ok(End::Failed),
    }
}

struct Drill<'a> {
    stage: &'a mut Stage,
    yard: Yard,
    load: Load,
    begun: Instant,
    timeline: Vec<Moment>,
    records: u64,
    checks: Vec<Check>,
}

async fn drill(stage: &mut Stage) -> anyhow::Result<Report> {
    let mut drill = Drill {
        yard: Yard::at(stage.directory()),
        load: Load::start(stage)?,
        stage,
        begun: Instant::now(),
        timeline: Vec::new(),
        records: 0,
        checks: Vec::new(),
    };
    drill.good().await?;
    let leaking = drill.leaking().await?;
    drill.declared(&leaking).await?;
    drill.failing().await?;
    drill.refused().await?;
    drill.unapproved().await?;
    drill.frozen().await?;
    drill.back().await?;
    drill.broken().await?;
    let gateways = drill.load.stop().await;
    let lost: usize = gateways.iter().map(|g| g.unanswered).sum();
    let all: usize = gateways.iter().map(|g| g.requests).sum();
    drill.check(
        "requests that got no answer at all, in the whole drill",
        "0",
        format!("{lost} of {all}"),
        lost == 0 && all > 0,
    );
    Ok(Report {
        timeline: drill.timeline,
        gateways,
        checks: drill.checks,
    })
}

impl Drill<'_> {
    /// A release that hides more: phone numbers are redacted.
    async fn good(&mut self) -> anyhow::Result<()> {
        let fields = self.yard.policies().join("ig/fields/data.json");
        edit(&fields, |data| {
            data["Contact.phone"] = json!({"class": "contact", "strategy": "redact"});
        })?;
        let number = self
            .put("good", &["--note", "phone numbers are redacted"], None)
            .await?;
        self.command(&self.yard.promote(number)).await?;
        // A conductor that dies in the middle of it is no reason to begin anew, or to skip a step.
        self.until(|train| train.canary.as_ref().is_some_and(|c| c.step.is_some()))
            .await?;
        self.command(&self.yard.freeze("the conductor is killed"))
            .await?;
        self.note("kill -9 of the conductor".into())?;
        self.stage.kill_conductor().await?;
        self.stage.start_conductor().await?;
        self.note("the conductor is back".into())?;
        // A step is of the nodes that are connected: all are to be back.
        self.connected(6).await?;
        self.command(&self.yard.thaw()).await?;
        let train = self.decided(number).await?;
        let redacted = self.everywhere(|seen| seen.phone == "[REDACTED]").await;
        self.ended(
            "a good release",
            &train,
            Standing::Stable,
            "",
            redacted,
            "phone numbers are redacted at all gateways",
        );
        let steps = self.steps_of(number)?;
        let some_more = match steps.as_slice() {
            [first, second] => {
                let kept = first.iter().all(|node| second.contains(node));
                first.len() == 2 && kept && second.len() == 4
            }
            _ => false,
        };
        let sizes: Vec<usize> = steps.iter().map(Vec::len).collect();
        self.check(
            "it reached some before all, though the conductor was killed (-9) meanwhile",
            "2 of 6 nodes, then 4, those among them",
            format!("{sizes:?}"),
            some_more,
        );
        Ok(())
    }

    /// A release that shows contact data to analysts.
    async fn leaking(&mut self) -> anyhow::Result<Train> {
        let grants = self.yard.policies().join("ig/grants/data.json");
        let before = std::fs::read(&grants)?;
        edit(&grants, grant_to_analysts)?;
        self.load.forget();
        let train = self
            .ride("leaking", &["--note", "a grant too many"], None)
            .await?;
        std::fs::write(&grants, before)?;
        let masked = self.everywhere(|seen| seen.email.starts_with("h:")).await;
        self.ended(
            "a leaking release",
            &train,
            Standing::Withdrawn,
            "Person.email",
            masked,
            "addresses are pseudonyms again at all gateways",
        );
        let early = self.early_regions()?;
        let leaks = self.load.leaks();
        let strayed: usize = (leaks.iter())
            .filter(|(region, _)| !early.contains(*region))
            .map(|(_, n)| n)
            .sum();
        let all: usize = leaks.values().sum();
        self.check(
            "what it showed reached no gateway but the first step's",
            "0 elsewhere",
            format!("{all} answers at {}, {strayed} elsewhere", early.join(", ")),
            strayed == 0 && early.len() == 1,
        );
        Ok(train)
    }

    /// A release that denies everybody.
    async fn failing(&mut self) -> anyhow::Result<()> {
        let quarantine = self.yard.policies().join("ig/quarantine/data.json");
        let before = std::fs::read(&quarantine).ok();
        edit(&quarantine, |data| {
            *data = json!({"acme": {"reason": "mistaken"}, "initech": {"reason": "mistaken"},
                "hooli": {"reason": "mistaken"}});
        })?;
        let train = self
            .ride("failing", &["--note", "everybody in quarantine"], None)
            .await?;
        match before {
            Some(before) => std::fs::write(&quarantine, before)?,
            None => std::fs::remove_file(&quarantine)?,
        }
        let served = self.everywhere(|seen| seen.status == 200).await;
        self.ended(
            "a release that denies everybody",
            &train,
            Standing::Withdrawn,
            "deny what the stable release allows",
            served,
            "all gateways serve again",
        );
        Ok(())
    }

    /// A release whose masking filter traps when Envoy starts it.
    async fn refused(&mut self) -> anyhow::Result<()> {
        let filters = self.stage.directory().join("broken");
        std::fs::create_dir_all(&filters)?;
        std::fs::write(filters.join("masking.wasm"), crate::module::trapping())?;
        self.load.forget();
        let train = self
            .ride(
                "refused",
                &["--note", "a filter that traps"],
                Some(&filters),
            )
            .await?;
        let served = self.everywhere(|seen| seen.status == 200).await;
        self.ended(
            "a release that gateways refuse (NACK)",
            &train,
            Standing::Withdrawn,
            "refused it",
            served,
            "all gateways serve",
        );
        let bad = self.load.refusals();
        self.check(
            "a refused release costs no request",
            "0 refused",
            bad.to_string(),
            bad == 0,
        );
        Ok(())
    }

    /// Who writes a configuration of their own, in which nobody has to approve, gets nowhere with it.
    async fn unapproved(&mut self) -> anyhow::Result<()> {
        let fields = self.yard.policies().join("ig/fields/data.json");
        let before = std::fs::read(&fields)?;
        edit(&fields, |data| {
            data["Person.salary"] = json!({"class": "financial", "strategy": "redact"});
        })?;
        self.command(&self.yard.build("unapproved", None)).await?;
        std::fs::write(&fields, before)?;
        let number = self.tell()?.next();
        self.command(&self.yard.release("unapproved", &[])).await?;
        self.command(&self.yard.promote_unapproved(number)?).await?;
        let train = self.decided(number).await?;
        self.ended(
            "a release that nobody approved, promoted by a configuration that asks for nobody",
            &train,
            Standing::Withdrawn,
            "has 0 of 1 approvals",
            self.steps_of(number)?.is_empty(),
            "no node ever had it",
        );
        Ok(())
    }

    /// A tenant is shut out though the records can't be believed any more, and the conductor never saw them
    /// otherwise: it was killed before.
    async fn broken(&mut self) -> anyhow::Result<()> {
        self.note("kill -9 of the conductor; its records are changed; it is back".into())?;
        self.stage.kill_conductor().await?;
        let whole = self.yard.break_records()?;
        self.stage.start_conductor().await?;
        let begun = Instant::now();
        let policies = self.stage.policies().display().to_string();
        let conductor = self.stage.api.to_string();
        let place = [
            "--policies",
            &policies,
            "--conductor",
            &conductor,
            "--within",
            "60",
        ];
        let tenant = |words: &[&str]| -> Vec<String> {
            let all = ["tenant"].iter().chain(words).chain(&place);
            all.map(|word| (*word).to_owned()).collect()
        };
        // It waits until all gateways and sidecars have it, and says whether they do.
        let shut = tenant(&["quarantine", "acme", "--reason", "a drill"]);
        self.command(&shut).await?;
        let deadline = Instant::now() + PATIENCE;
        let mut status = 200;
        while status == 200 && Instant::now() < deadline {
            status = self.load.last().first().map_or(0, |seen| seen.status);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let took = begun.elapsed().as_millis();
        let others = self
            .load
            .last()
            .iter()
            .skip(1)
            .all(|seen| seen.status == 200);
        self.check(
            "a tenant in quarantine, though the records were changed",
            "403 in the EU, others served",
            format!("{status} after {took} ms, others served: {others}"),
            status == 403 && others,
        );
        self.yard.mend_records(&whole)?;
        self.command(&tenant(&["release", "acme"])).await?;
        let served = self.everywhere(|seen| seen.status == 200).await;
        self.check(
            "and served again, once both are undone",
            "at all gateways",
            served.to_string(),
            served,
        );
        Ok(())
    }

    /// While releases are frozen nothing is promoted.
    async fn frozen(&mut self) -> anyhow::Result<()> {
        self.command(&self.yard.freeze("end of the quarter"))
            .await?;
        let fields = self.yard.policies().join("ig/fields/data.json");
        edit(&fields, |data| {
            data["Person.salary"] = json!({"class": "financial", "strategy": "redact"});
        })?;
        let number = self.put("frozen", &["--note", "too late"], None).await?;
        let promoted = self.yard.run(&self.yard.promote(number)).await?;
        self.check(
            "nothing is promoted while releases are frozen",
            "refused, exit 2",
            format!("exit {:?}: {}", promoted.code, promoted.errors.trim()),
            promoted.code == Some(2) && promoted.errors.contains("frozen by bob"),
        );
        self.command(&self.yard.thaw()).await?;
        Ok(())
    }

    /// Back to the first release.
    async fn back(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.command(&self.yard.rollback(1, "tickets about phone numbers"))
            .await?;
        let back = self.everywhere(|seen| seen.phone.starts_with("****")).await;
        let train = self.tell()?;
        let stable = train.stable();
        self.check(
            "back to the first release, as a new one",
            "release 9, back to 1, at all gateways",
            format!(
                "release {}, back to {:?}, after {} ms: {back}",
                stable.map_or(0, |s| s.number),
                stable.and_then(|s| s.rollback_of),
                begun.elapsed().as_millis(),
            ),
            back && stable.is_some_and(|s| s.rollback_of == Some(1)),
        );
        let codes = self.yard.run(&self.yard.status()).await?;
        self.check(
            "the records are whole, and signed by who may",
            "exit 0",
            format!("exit {:?}, {} records", codes.code, train.records),
            codes.code == Some(0),
        );
        Ok(())
    }

    /// Builds, releases, approves and promotes what is in the policies, and waits until it is decided.
    async fn ride(
        &mut self,
        name: &str,
        extra: &[&str],
        filters: Option<&Path>,
    ) -> anyhow::Result<Train> {
        let number = self.put(name, extra, filters).await?;
        self.command(&self.yard.promote(number)).await?;
        self.decided(number).await
    }

    /// Waits until a release is everybody's, or nobody's.
    async fn decided(&mut self, number: u64) -> anyhow::Result<Train> {
        let under_way = |t: &Train| t.canary.as_ref().is_some_and(|c| c.release == number);
        self.until(|train| !under_way(train)).await
    }

    async fn until(&mut self, done: impl Fn(&Train) -> bool) -> anyhow::Result<Train> {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            let train = self.tell()?;
            if done(&train) || Instant::now() > deadline {
                return Ok(train);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn put(
        &mut self,
        name: &str,
        extra: &[&str],
        filters: Option<&Path>,
    ) -> anyhow::Result<u64> {
        self.command(&self.yard.build(name, filters)).await?;
        let number = self.tell()?.next();
        self.command(&self.yard.release(name, extra)).await?;
        self.command(&self.yard.approve(number)).await?;
        Ok(number)
    }

    /// Runs a command, and puts it on the timeline.
    async fn command(&mut self, arguments: &[String]) -> anyhow::Result<()> {
        self.note(format!("$ conductor {}", self.yard.shown(arguments)))?;
        let ran = self.yard.run(arguments).await?;
        for line in ran.output.lines() {
            self.note(format!("  {line}"))?;
        }
        anyhow::ensure!(ran.code == Some(0), "{}", ran.errors);
        Ok(())
    }

    /// Puts on the timeline what the train did since, and returns it.
    fn tell(&mut self) -> anyhow::Result<Train> {
        let (train, records) = self.yard.train()?;
        let after = usize::try_from(self.records).unwrap_or(usize::MAX);
        for record in records.into_iter().skip(after) {
            let by = record.by.clone();
            let what = match &record.act {
                Act::Step {
                    release,
                    step,
                    nodes,
                    ..
                } => format!(
                    "release {release}: step {}, on {}",
                    step + 1,
                    nodes.join(", ")
                ),
                Act::Completed { release, evidence } => match evidence {
                    Some(e) => format!(
                        "release {release} is stable: {} requests seen, {} decisions compared",
                        e.canary.requests, e.compared
                    ),
                    None => format!("release {release} is stable"),
                },
                Act::Withdrawn {
                    release, reasons, ..
                } => format!("release {release} is taken back: {}", reasons.join("; ")),
                _ => continue,
            };
            self.note(format!("* {by}: {what}"))?;
        }
        self.records = train.records;
        Ok(train)
    }

    fn note(&mut self, what: String) -> anyhow::Result<()> {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        eprintln!("{:>7.1} s  {what}", at_ms as f64 / 1000.0);
        self.timeline.push(Moment { at_ms, what });
        Ok(())
    }

    fn check(&mut self, name: &'static str, expected: &str, seen: String, passed: bool) {
        self.checks.push(Check {
            name,
            expected: expected.to_owned(),
            seen,
            passed,
        });
    }

    fn ended(
        &mut self,
        name: &'static str,
        train: &Train,
        wanted: Standing,
        why: &str,
        after: bool,
        what: &str,
    ) {
        let Some(release) = train.releases.values().next_back() else {
            return;
        };
        let reasons = release.reasons.join("; ");
        self.check(
            name,
            &format!("{}, and {what}", wanted.word()),
            format!("{}, {after} {reasons}", release.standing.word()),
            release.standing == wanted && reasons.contains(why) && after,
        );
    }

    /// Waits until so many nodes are connected.
    async fn connected(&self, nodes: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let xds = self.stage.api("/api/xds").await?;
            let streams = xds["streams"].as_array().map_or(0, Vec::len);
            if streams == nodes {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{streams} of {nodes} nodes are connected"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every gateway's answers are like that.
    async fn everywhere(&self, wanted: impl Fn(&load::Answered) -> bool) -> bool {
        self.eventually(|load| load.last().iter().all(&wanted))
            .await
    }

    /// Waits until clients have seen that.
    async fn eventually(&self, seen: impl Fn(&Load) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if seen(&self.load) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// The nodes of each step of a release.
    fn steps_of(&self, number: u64) -> anyhow::Result<Vec<Vec<String>>> {
        let (_, records) = self.yard.train()?;
        let steps = records.into_iter().filter_map(|record| match record.act {
            Act::Step { release, nodes, .. } if release == number => Some(nodes),
            _ => None,
        });
        Ok(steps.collect())
    }

    /// The regions of the gateways that had the last release before the others.
    fn early_regions(&self) -> anyhow::Result<Vec<String>> {
        let (train, _) = self.yard.train()?;
        let nodes = self.steps_of(train.next() - 1)?.concat();
        let mut regions: Vec<String> = nodes
            .iter()
            .filter_map(|n| n.strip_prefix("gateway-"))
            .map(str::to_owned)
            .collect();
        regions.sort();
        regions.dedup();
        Ok(regions)
    }
}

/// Shows contact data to analysts.
fn grant_to_analysts(data: &mut serde_json::Value) {
    if let Some(grants) = data.as_array_mut() {
        grants.push(
            json!({"role": "analyst", "purpose": "analytics", "classes": ["contact"],
            "max_risk": "high"}),
        );
    }
}

fn edit(file: &Path, change: impl FnOnce(&mut serde_json::Value)) -> anyhow::Result<()> {
    let mut data = match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => json!({}),
        Err(error) => return Err(error.into()),
    };
    change(&mut data);
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(file, serde_json::to_vec_pretty(&data)?)?;
    Ok(())
}
