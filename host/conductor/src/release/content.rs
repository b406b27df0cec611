//! What is to be in force: what was released, or what is in the policy directory.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, ensure};
use bundle::{Archive, Bundle, Tree};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Place, Seen, Stable, bundle_keys};
use crate::bundles::Packed;
use crate::config::Config;

/// Data of the policy directory that is laid over a release. All of it can only deny, so it needs no
/// release: it has to be in force within a second.
const OVERLAID: [&str; 2] = ["quarantine", "revocations"];

/// Policies, and the filters' code as far as they bring it along.
#[derive(Clone)]
pub struct Content {
    /// The policies.
    pub bundle: Bundle,
    /// The files of the bundle; none, if it is a directory.
    pub filters: Tree,
    /// The bundle itself, if it is one.
    pub packed: Option<Packed>,
}

impl Content {
    /// What is in a policy directory.
    ///
    /// # Errors
    /// It can't be read.
    pub fn of_directory(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            bundle: Bundle::read(directory)?,
            filters: Tree::default(),
            packed: None,
        })
    }
}

/// What is to be in force.
pub struct Wanted {
    /// For everybody; nothing, as long as nothing was released.
    pub stable: Option<Content>,
    /// For some nodes.
    pub canary: Option<Early>,
    /// How far the records were read for it, if there are any.
    pub seen: Option<Seen>,
}

/// A release that some nodes have before the others.
pub struct Early {
    /// Its number.
    pub release: u64,
    /// The nodes.
    pub nodes: BTreeSet<String>,
    /// What it holds, or why that can't be used.
    pub content: anyhow::Result<Content>,
}

impl Wanted {
    /// Reads what is to be in force.
    ///
    /// # Errors
    /// What is for everybody can't be read.
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        Self::released(config)?.laid_over(config)
    }

    /// Reads what was released, or what is in the policy directory.
    ///
    /// # Errors
    /// What is for everybody can't be read.
    pub fn released(config: &Config) -> anyhow::Result<Self> {
        if config.release.is_none() {
            return Ok(Self {
                stable: Some(Content::of_directory(&config.policies)?),
                canary: None,
                seen: None,
            });
        }
        let place = Place::open(config)?;
        let train = place.train()?;
        let stable = train
            .stable()
            .map(|release| place.content(&Stable::of(release)));
        let stable = stable.transpose()?;
        let canary = train.under_way().map(|(release, canary)| Early {
            release: release.number,
            nodes: canary.nodes.iter().cloned().collect(),
            content: place.content(&Stable::of(release)),
        });
        Ok(Self {
            stable,
            canary,
            seen: Some(Seen::of(&train)),
        })
    }

    /// What was for everybody when the records were last read, from the conductor's own note of it and a bundle
    /// with a good signature; whatever has become of the records.
    ///
    /// # Errors
    /// Nothing was noted, or the bundle can't be used.
    pub fn remembered(config: &Config) -> anyhow::Result<Self> {
        let place = Place::open(config)?;
        let seen = place.seen()?.and_then(|seen| seen.stable);
        let stable = seen.context("no release was ever seen in force")?;
        Ok(Self {
            stable: Some(place.content(&stable)?),
            canary: None,
            seen: None,
        })
    }

    /// Lays over it what is in the policy directory and can only deny. What is in force for everybody gets it
    /// whatever becomes of the train.
    ///
    /// # Errors
    /// It can't be read.
    pub fn laid_over(mut self, config: &Config) -> anyhow::Result<Self> {
        if config.release.is_some() {
            let overlay = Overlay::read(&config.policies)?;
            let canary = self.canary.as_mut().and_then(|c| c.content.as_mut().ok());
            for content in self.stable.as_mut().into_iter().chain(canary) {
                overlay.lay_over(&mut content.bundle);
            }
        }
        Ok(self)
    }

    /// The same, as far as it can be used.
    pub fn usable(&self) -> Self {
        let canary = self.canary.as_ref().and_then(|canary| {
            Some(Early {
                release: canary.release,
                nodes: canary.nodes.clone(),
                content: Ok(canary.content.as_ref().ok()?.clone()),
            })
        });
        Self {
            stable: self.stable.clone(),
            canary,
            seen: self.seen.clone(),
        }
    }

    /// The policies of what is for everybody.
    ///
    /// # Errors
    /// Nothing was released.
    pub fn in_force(stable: Option<Content>) -> anyhow::Result<Bundle> {
        let content = stable.context("no release is stable yet: `conductor bundle promote` one")?;
        Ok(content.bundle)
    }
}

impl Place<'_> {
    fn content(&self, release: &Stable) -> anyhow::Result<Content> {
        let read = || -> anyhow::Result<Content> {
            let bytes = self.depot.bundle(&release.digest)?;
            let mut content = self.unpacked(&bytes)?;
            ensure!(
                content.bundle.revision == release.revision,
                "its content is revision {}, and not {} as its record says",
                content.bundle.revision,
                release.revision
            );
            content.bundle.revision = format!("{}+{}", release.revision, release.number);
            Ok(content)
        };
        read().with_context(|| format!("release {}", release.number))
    }

    /// A bundle, if somebody signed it who may.
    ///
    /// # Errors
    /// It is none, or not signed by one of the trusted keys.
    pub fn unpacked(&self, bytes: &[u8]) -> anyhow::Result<Content> {
        let archive = Archive::parse(bytes)?;
        archive.verify(&bundle_keys(&self.settings.bundle_keys)?)?;
        Ok(Content {
            bundle: Bundle::from_archive(&archive)?,
            filters: archive.files().clone(),
            packed: Some(Packed {
                digest: archive.digest().to_owned(),
                bytes: bytes.to_vec().into(),
            }),
        })
    }
}

/// The number of the release that a node's revision names.
pub fn release_of(revision: &str) -> Option<u64> {
    let (_, number) = revision.split_once('+')?;
    number.split('.').next()?.parse().ok()
}

/// What is laid over releases, as it stands in their revisions: a few digits of its hash, or nothing.
///
/// # Errors
/// It can't be read.
pub fn laid_over(policies: &Path) -> anyhow::Result<Option<String>> {
    Ok(Overlay::read(policies)?.digits())
}

/// What is laid over the release that a node's revision names; none of a revision that names none.
pub fn overlay_of(revision: &str) -> Option<Option<&str>> {
    let (_, release) = revision.split_once('+')?;
    Some(release.split_once('.').map(|(_, digits)| digits))
}

/// What is laid over releases.
struct Overlay(Vec<(&'static str, Value)>);

impl Overlay {
    fn read(policies: &Path) -> anyhow::Result<Self> {
        let mut sections = Vec::new();
        for section in OVERLAID {
            let file = policies.join("ig").join(section).join("data.json");
            let entries = crate::directory::read(&file)?;
            if !entries.is_empty() {
                sections.push((section, Value::Object(entries)));
            }
        }
        Ok(Self(sections))
    }

    /// Adds its entries to those of the release; where both have one, it is the release's that gives
    /// way. What is laid over is part of the revision.
    fn lay_over(&self, bundle: &mut Bundle) {
        let Some(ig) = bundle
            .policy
            .data
            .get_mut("ig")
            .and_then(Value::as_object_mut)
        else {
            return;
        };
        for (section, entries) in &self.0 {
            let standing = ig
                .entry(*section)
                .or_insert_with(|| Value::Object(Default::default()));
            match (standing, entries) {
                (Value::Object(standing), Value::Object(entries)) => {
                    standing.extend(entries.clone());
                }
                (standing, entries) => standing.clone_from(entries),
            }
        }
        if let Some(digits) = self.digits() {
            bundle.revision = format!("{}.{digits}", bundle.revision);
        }
    }

    fn digits(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        for (section, entries) in &self.0 {
            hash.update(section);
            hash.update(entries.to_string());
        }
        let digest = hash.finalize();
        Some(digest.iter().take(3).map(|b| format!("{b:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_s_revision_names_its_release() {
        for (revision, release) in [
            ("r-0123456789ab", None),
            ("r-0123456789ab+7", Some(7)),
            ("r-0123456789ab+12.a0b1c2", Some(12)),
            ("r-0123456789ab+x", None),
            ("", None),
        ] {
            assert_eq!(release_of(revision), release, "{revision}");
        }
        for (revision, overlay) in [
            ("r-0123456789ab", None),
            ("r-0123456789ab+7", Some(None)),
            ("r-0123456789ab+12.a0b1c2", Some(Some("a0b1c2"))),
        ] {
            assert_eq!(overlay_of(revision), overlay, "{revision}");
        }
    }
}
