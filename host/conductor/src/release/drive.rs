//! Carrying a release on: from step to step, to everybody, or back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use p256::ecdsa::SigningKey;
use release::run::By;
use release::{Act, Evidence, Plan, Step, Train, Verdict, choose, is_over, judge};
use tokio::sync::watch;
use xds::{Cache, StreamStatus};

use super::pace::{Pace, Span};
use super::{Place, evidence, now_unix_ms};
use crate::alarm::Alarm;
use crate::api::PolicyState;
use crate::config::Config;
use crate::serve::groups;

/// Who carries releases on.
pub struct Driver {
    /// The configuration, with a train.
    pub config: Arc<Config>,
    /// Who is connected and has what.
    pub cache: Cache,
    /// What gateways decided.
    pub decisions: Arc<crate::ingest::Shelf>,
    /// The key with which it signs.
    pub key: SigningKey,
    /// How policies stand.
    pub policies: watch::Receiver<PolicyState>,
    /// Who is told when something is wrong.
    pub alarm: Alarm,
    /// What is judged at present.
    pub pair: Mutex<Option<Arc<evidence::Pair>>>,
}

impl Driver {
    /// Looks at the train every so often until `stop` is done.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Some(settings) = &self.config.release else {
            return;
        };
        let mut look = tokio::time::interval(Duration::from_secs(settings.look_s.max(1)));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(stop);
        let mut pace = Pace::default();
        let mut said = String::new();
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = &mut stop => return,
            }
            match self.look(settings, &mut pace).await {
                Ok(()) => {
                    said.clear();
                    self.alarm.train_moves();
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != said {
                        tracing::error!("the release train stands still: {error}");
                    }
                    self.alarm.train_stands(&error);
                    said = error;
                }
            }
        }
    }

    /// Does what is due now.
    async fn look(&self, settings: &crate::config::Release, pace: &mut Pace) -> anyhow::Result<()> {
        let place = Place::open(&self.config)?;
        let train = place.train()?;
        let regions = self.config.gateways.iter().map(|g| g.region.as_str());
        let plan = settings.plan_for(&regions.collect::<Vec<_>>())?;
        let Some((release, canary)) = train.under_way() else {
            return Ok(());
        };
        let number = release.number;
        let span = pace.look(canary, now_unix_ms(), Instant::now());
        let Some(step) = canary.step else {
            let act = self.begin(&place, &plan, &train, &span).await?;
            return self.add(&place, act, pace).await;
        };
        let Some(of_plan) = plan.steps.get(step) else {
            anyhow::bail!(
                "release {number} is at step {}, and the plan has only {}",
                step + 1,
                plan.steps.len()
            );
        };
        let evidence = match evidence::collect(self, &train, &span).await {
            Ok(evidence) => evidence,
            // What can't be judged does not stay for ever.
            Err(error) if span.is_over(of_plan) => {
                let reasons = vec![format!("no evidence can be had: {error:#}")];
                let act = Act::Withdrawn {
                    release: number,
                    reasons,
                    evidence: None,
                };
                return self.add(&place, Some(act), pace).await;
            }
            Err(error) => return Err(error.context("looking at what the release does")),
        };
        let act = match judge(&plan, of_plan, &evidence) {
            Verdict::Withdraw(reasons) => Act::Withdrawn {
                release: number,
                reasons,
                evidence: Some(Box::new(evidence)),
            },
            Verdict::Wait(why) => {
                tracing::debug!(release = number, step, "{why}");
                return Ok(());
            }
            Verdict::GoOn if train.frozen.is_some() => return Ok(()),
            Verdict::GoOn if step + 1 == plan.steps.len() => Act::Completed {
                release: number,
                evidence: Some(Box::new(evidence)),
            },
            Verdict::GoOn => self.step(&plan, &train, step + 1, Some(Box::new(evidence)))?,
        };
        self.add(&place, Some(act), pace).await
    }

    /// What is due for a release that was promoted: it gets to the first nodes, if it is approved and passes
    /// its cases here too, whatever was checked where it was released.
    async fn begin(
        &self,
        place: &Place<'_>,
        plan: &Plan,
        train: &Train,
        span: &Span,
    ) -> anyhow::Result<Option<Act>> {
        let (release, _) = train.under_way().context("nothing is under way")?;
        let number = release.number;
        let taken_back = |reason: String| Act::Withdrawn {
            release: number,
            reasons: vec![reason],
            evidence: None,
        };
        if let Err(error) = release.is_approved(&place.settings.rules()) {
            return Ok(Some(taken_back(error.to_string())));
        }
        // Everything that nodes are to be given was made of it, and can be used.
        let prepared = self.policies.borrow().canary.clone();
        let Some(prepared) = prepared.filter(|c| c.release == number) else {
            return Ok(None);
        };
        if let Some(refused) = prepared.refused {
            return Ok(Some(taken_back(refused)));
        }
        if train.frozen.is_some() {
            return Ok(None);
        }
        let act = match train.stable() {
            None => Act::Completed {
                release: number,
                evidence: None,
            },
            Some(_) => match (self.step(plan, train, 0, None), plan.steps.first()) {
                (Ok(act), _) => act,
                (Err(error), Some(first)) if span.is_over(first) => {
                    return Ok(Some(taken_back(format!("{error:#}"))));
                }
                (Err(error), _) => return Err(error),
            },
        };
        Ok(Some(
            match evidence::failing_cases(place, release).await? {
                0 => act,
                failed => taken_back(format!("{failed} cases fail at the conductor")),
            },
        ))
    }

    fn step(
        &self,
        plan: &Plan,
        train: &Train,
        step: usize,
        evidence: Option<Box<Evidence>>,
    ) -> anyhow::Result<Act> {
        let (release, canary) = train.under_way().context("nothing is under way")?;
        let of_plan = plan.steps.get(step).context("the plan has no such step")?;
        let streams = self.cache.status().streams;
        let nodes = nodes_of(of_plan, &streams, &canary.nodes, release.number);
        anyhow::ensure!(
            !nodes.is_empty(),
            "no node is connected on which release {} could be tried",
            release.number
        );
        Ok(Act::Step {
            release: release.number,
            step,
            nodes,
            evidence,
        })
    }

    async fn add(
        &self,
        place: &Place<'_>,
        act: Option<Act>,
        pace: &mut Pace,
    ) -> anyhow::Result<()> {
        let Some(act) = act else {
            return Ok(());
        };
        // Without a store there is no evidence either: then nothing else counts for the step.
        let newest = match &act {
            Act::Step { .. } => newest(&self.decisions).await.unwrap_or_default(),
            _ => 0,
        };
        let rules = place.settings.rules();
        let added = place.depot.add(
            &By::Conductor { key: &self.key },
            act,
            now_unix_ms(),
            &place.keys,
            &rules,
        );
        let (record, train) = match added {
            Ok(added) => added,
            // Somebody was quicker: the next look sees what is due now.
            Err(release::run::DepotError::Train(error)) => {
                tracing::info!("not done: {error}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match &record.act {
            Act::Step {
                release,
                step,
                nodes,
                ..
            } => {
                if let Some(canary) = &train.canary {
                    pace.begin(canary, newest, now_unix_ms(), Instant::now());
                }
                tracing::info!(release, step, nodes = nodes.join(", "), "release goes on");
            }
            Act::Completed { release, .. } => {
                tracing::info!(release, "release is stable");
                self.alarm.release_goes_on();
            }
            Act::Withdrawn {
                release, reasons, ..
            } => {
                let reasons = reasons.join("; ");
                tracing::warn!(release, "release is taken back: {reasons}");
                self.alarm.release_withdrawn(*release, &reasons);
            }
            _ => {}
        }
        Ok(())
    }
}

async fn newest(decisions: &crate::ingest::Shelf) -> Result<i64, store::StoreError> {
    decisions.store().await?.newest().await
}

impl Span {
    fn is_over(&self, step: &Step) -> bool {
        is_over(step, self.elapsed.as_secs(), self.watched.as_secs())
    }
}

/// The nodes of a step: those that have the release already, and those that it adds. Gateways and sidecars of
/// each region for themselves: a step without a gateway would see no requests, and one without a region's would
/// show nothing of that region.
fn nodes_of(step: &Step, streams: &[StreamStatus], have: &[String], release: u64) -> Vec<String> {
    let mut kinds: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for stream in streams {
        let region = groups::region_of(&stream.group);
        if step.is_for(region) {
            let kind = kinds.entry((&stream.cluster, region)).or_default();
            kind.push(stream.node.clone());
        }
    }
    let mut nodes = have.to_vec();
    for connected in kinds.values() {
        nodes = choose(step.among(), connected, &nodes, release);
    }
    nodes
}

/// How a release has got to the nodes that it is for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How many have it.
    pub have: u64,
    /// Those that are connected and have not taken it yet.
    pub behind: Vec<String>,
    /// Those that are not connected.
    pub away: Vec<String>,
    /// Those that refused it, and why.
    pub refused: BTreeMap<String, String>,
}

/// Looks which nodes of a release have it.
pub fn delivered(
    status: &xds::Status,
    release: u64,
    nodes: &[String],
    revision: &str,
) -> Delivered {
    let label = |group: &str| {
        let of = status.groups.get(group)?.served.as_ref()?;
        Some(of.label.as_str())
    };
    let is_of = |label: &str| {
        label
            .strip_prefix(revision)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut delivered = Delivered::default();
    for node in nodes {
        let mut streams = status.streams.iter().filter(|s| s.node == *node).peekable();
        let has = |s: &xds::StreamStatus| {
            s.has_all()
                && groups::is_early_of(&s.group, release)
                && label(&s.group).is_some_and(is_of)
        };
        if streams.peek().is_none() {
            delivered.away.push(node.clone());
        } else if streams.all(has) {
            delivered.have += 1;
        } else {
            delivered.behind.push(node.clone());
        }
    }
    delivered.refused = status
        .groups
        .iter()
        .filter(|(name, _)| groups::is_early_of(name, release))
        .flat_map(|(_, group)| &group.parked)
        .map(|p| (p.node.clone(), p.error.clone()))
        .collect();
    delivered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(node: &str, cluster: &str, group: &str) -> StreamStatus {
        StreamStatus {
            node: node.to_owned(),
            cluster: cluster.to_owned(),
            group: group.to_owned(),
            variant: "delta",
            peer: None,
            identity: None,
            connected_unix_ms: 0,
            settled: true,
            has: None,
            types: BTreeMap::new(),
        }
    }

    #[test]
    fn a_percentage_is_of_each_kind_in_each_region() {
        let mut streams = vec![stream("sidecar-us", "sidecar", "sidecar/us")];
        for n in 0..10 {
            streams.push(stream(&format!("eu-{n}"), "gateway", "eu"));
            streams.push(stream(&format!("s-eu-{n}"), "sidecar", "sidecar/eu"));
        }
        for n in 0..2 {
            // Some of them have a release already: they are of their region still.
            streams.push(stream(&format!("us-{n}"), "gateway", "us@canary-7"));
        }
        let step = |json: &str| -> Step { serde_json::from_str(json).unwrap() };
        let count = |step: &Step, have: &[String]| {
            let nodes = nodes_of(step, &streams, have, 7);
            let of = |prefix: &str| nodes.iter().filter(|n| n.starts_with(prefix)).count();
            [of("eu-"), of("s-eu-"), of("us-"), of("sidecar-us")]
        };
        let of = |json: &str| count(&step(json), &[]);
        assert_eq!(of(r#"{"percent": 10, "hold_s": 1}"#), [1, 1, 1, 1]);
        assert_eq!(of(r#"{"percent": 11, "hold_s": 1}"#), [2, 2, 1, 1]);
        assert_eq!(of(r#"{"percent": 51, "hold_s": 1}"#), [6, 6, 2, 1]);
        let eu = r#"{"percent": 30, "regions": ["eu"], "hold_s": 1}"#;
        assert_eq!(of(eu), [3, 3, 0, 0]);
        assert_eq!(
            of(r#"{"percent": 100, "regions": ["us"], "hold_s": 1}"#),
            [0, 0, 2, 1]
        );
        assert_eq!(of(r#"{"nodes": ["eu-3"], "hold_s": 1}"#), [1, 0, 0, 0]);
        // The next step adds to what is there.
        let first = nodes_of(&step(eu), &streams, &[], 7);
        let all = step(r#"{"percent": 40, "hold_s": 1}"#);
        assert_eq!(count(&all, &first), [4, 4, 1, 1]);
        let nowhere = step(r#"{"percent": 40, "regions": ["sea"], "hold_s": 1}"#);
        assert!(nodes_of(&nowhere, &streams, &[], 7).is_empty());
    }
}
