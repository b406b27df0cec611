use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use release::{Plan, Rules};
use serde::Deserialize;

/// The release train. With it gateways get what was released, and not what is in the policy directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Where bundles and records are kept.
    pub dir: PathBuf,
    /// The public keys of people (`NAME.pub`).
    pub keys: PathBuf,
    /// The public keys that sign bundles (`KEYID.pub`).
    pub bundle_keys: PathBuf,
    /// A file with steps and thresholds (TOML).
    pub plan: PathBuf,
    /// Case folders that every bundle must pass.
    #[serde(default)]
    pub cases: Option<PathBuf>,
    /// How many people must approve a release.
    #[serde(default = "one")]
    pub approvals: usize,
    /// Whether its author may be one of them.
    #[serde(default)]
    pub author_may_approve: bool,
    /// Seconds between two looks at a release that is under way.
    #[serde(default = "default_look")]
    pub look_s: u64,
}

fn one() -> usize {
    1
}

fn default_look() -> u64 {
    5
}

impl Release {
    /// Who has to agree.
    pub fn rules(&self) -> Rules {
        Rules {
            approvals: self.approvals,
            author_may_approve: self.author_may_approve,
        }
    }

    /// Reads the steps and thresholds, and whether these are regions of the configuration.
    ///
    /// # Errors
    /// The file can't be read, or makes no sense.
    pub fn plan_for(&self, regions: &[&str]) -> anyhow::Result<Plan> {
        let plan = self.plan()?;
        for (at, step) in plan.steps.iter().enumerate() {
            let unknown = step.regions.iter().find(|r| !regions.contains(&r.as_str()));
            if let Some(unknown) = unknown {
                bail!(
                    "in {}: steps[{at}].regions: there are no gateways of region `{unknown}`: use {}",
                    self.plan.display(),
                    regions.join(", ")
                );
            }
        }
        Ok(plan)
    }

    /// Reads the steps and thresholds.
    ///
    /// # Errors
    /// The file can't be read, or makes no sense.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        let place = || format!("in {}", self.plan.display());
        let text = std::fs::read_to_string(&self.plan)
            .with_context(|| format!("can't read {}", self.plan.display()))?;
        let read = |text| engine::config::strict::from(toml::de::Deserializer::parse(text)?);
        let plan: Plan = read(&text)
            .map_err(|e: toml::de::Error| e)
            .with_context(place)?;
        plan.check().with_context(place)?;
        Ok(plan)
    }

    pub(super) fn place(&mut self, base: &Path) {
        for relative in [
            &mut self.dir,
            &mut self.keys,
            &mut self.bundle_keys,
            &mut self.plan,
        ] {
            *relative = base.join(&*relative);
        }
        if let Some(cases) = &mut self.cases {
            *cases = base.join(&*cases);
        }
    }
}
