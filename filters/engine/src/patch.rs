//! A configuration as the difference from one that the filter has had.
//!
//! A directory of 10,000 tenants is half a megabyte, and a change moves one of them. So that not all of it
//! travels each time, a control plane may send
//! `{"patch":{"from":HEX,"to":HEX,"edits":[[AT,LEN,TEXT],…]}}`: take the text whose SHA-256 is `from`, put
//! each `TEXT` in the place of the `LEN` bytes from `AT` on, ascending and of the old text, and the result's
//! SHA-256 is `to`. What does not come out like that is refused, and the control plane sends it whole.
//!
//! A filter keeps the long texts that it has taken, the last [`KEPT`] of them. A machine that is made anew
//! after a trap is given the last configuration as it was sent: it needs the text before it, too.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Bytes from which on a text is kept, and may be patched. A shorter one is sent whole.
pub const LONG: usize = 16 * 1024;

/// Texts that are kept: the present one, the one before, which a machine made anew needs, and others for
/// threads that are behind.
pub const KEPT: usize = 4;

/// What a patch begins with; no configuration does.
const BEGINNING: &[u8] = br#"{"patch":"#;

/// The difference of a text from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// SHA-256 of the old text, in lower-case hexadecimal.
    pub from: String,
    /// SHA-256 of the new text.
    pub to: String,
    /// Where in the old text, how many bytes of it, and what stands there instead; ascending.
    pub edits: Vec<(usize, usize, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<P> {
    patch: P,
}

/// Why a patch is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// It can't be read.
    #[error("the configuration begins as a patch and is none: {0}")]
    Malformed(String),
    /// The text that it changes is not here.
    #[error("the configuration is a patch of one that this filter does not have ({0})")]
    Unknown(String),
    /// The text that it changes is not what it was made of.
    #[error("the configuration is a patch that does not fit: {0}")]
    Unfit(&'static str),
}

/// Where texts are kept, in [`KEPT`] slots with an index. None of it has to be reliable: what is not there,
/// or is another text, is found out.
pub trait Slots {
    /// What stands in a slot.
    fn text(&self, slot: usize) -> Option<Vec<u8>>;

    /// Puts a text into a slot.
    fn put(&self, slot: usize, text: &[u8]) -> Option<()>;

    /// The index, empty if there is none, and a number that stands for its present state.
    fn index(&self) -> (String, Option<u32>);

    /// Replaces the index unless somebody else has meanwhile.
    fn set_index(&self, index: &str, state: Option<u32>) -> Option<()>;
}

/// The configuration that was meant, and what is to be kept once it is in force.
#[derive(Debug)]
pub struct Resolved {
    /// The configuration.
    pub text: Vec<u8>,
    from: Option<String>,
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

impl Patch {
    /// As it is sent.
    pub fn to_json(&self) -> Option<String> {
        serde_json::to_string(&Envelope { patch: self }).ok()
    }

    /// The new text.
    ///
    /// # Errors
    /// `base` is not the text that the patch was made of.
    pub fn apply(&self, base: &[u8]) -> Result<Vec<u8>, PatchError> {
        let mut text =
            Vec::with_capacity(base.len() + self.edits.iter().map(|e| e.2.len()).sum::<usize>());
        let mut done = 0;
        for (at, len, instead) in &self.edits {
            let kept = base.get(done..*at);
            text.extend_from_slice(
                kept.ok_or(PatchError::Unfit("its edits are out of order or place"))?,
            );
            text.extend_from_slice(instead.as_bytes());
            done = at.saturating_add(*len);
        }
        let rest = base.get(done..);
        text.extend_from_slice(rest.ok_or(PatchError::Unfit("it takes more than there is"))?);
        if sha256(&text) != self.to {
            return Err(PatchError::Unfit("the result is another text"));
        }
        Ok(text)
    }
}

/// The configuration that a filter was sent, whole or as a patch.
///
/// # Errors
/// It is a patch, and what it changes is not here, or the result is not what was meant.
pub fn resolve(sent: Vec<u8>, slots: &impl Slots) -> Result<Resolved, PatchError> {
    if !sent.starts_with(BEGINNING) {
        return Ok(Resolved {
            text: sent,
            from: None,
        });
    }
    let patch: Envelope<Patch> =
        serde_json::from_slice(&sent).map_err(|e| PatchError::Malformed(e.to_string()))?;
    let patch = patch.patch;
    let base = Index::read(&slots.index().0)
        .slot_of(&patch.from)
        .and_then(|slot| slots.text(slot))
        .ok_or_else(|| PatchError::Unknown(patch.from.clone()))?;
    let text = patch.apply(&base)?;
    Ok(Resolved {
        text,
        from: Some(patch.from),
    })
}

/// Keeps a text that is in force from now on, if it is long. Nothing depends on its success.
pub fn keep(resolved: &Resolved, slots: &impl Slots) {
    if resolved.text.len() < LONG {
        return;
    }
    let digest = sha256(&resolved.text);
    // Other threads take in the same configuration at the same time.
    for _ in 0..KEPT {
        let (written, state) = slots.index();
        let mut index = Index::read(&written);
        if let Some(from) = &resolved.from {
            index.touch(from);
        }
        if !index.touch(&digest) {
            let slot = index.take();
            if slots.put(slot, &resolved.text).is_none() {
                return;
            }
            index.0.insert(0, (slot, digest.clone()));
        }
        let index = index.write();
        if index == written || slots.set_index(&index, state).is_some() {
            return;
        }
    }
}

/// Which slot has which text, the last used first: `SLOT:HEX`, with spaces between.
#[derive(Default)]
struct Index(Vec<(usize, String)>);

impl Index {
    fn read(written: &str) -> Self {
        let entries = written.split_ascii_whitespace().filter_map(|entry| {
            let (slot, digest) = entry.split_once(':')?;
            let slot = slot.parse().ok().filter(|slot| *slot < KEPT)?;
            Some((slot, digest.to_owned()))
        });
        Self(entries.take(KEPT).collect())
    }

    fn write(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(|(s, d)| format!("{s}:{d}")).collect();
        entries.join(" ")
    }

    fn slot_of(&self, digest: &str) -> Option<usize> {
        self.0
            .iter()
            .find(|(_, d)| d == digest)
            .map(|(slot, _)| *slot)
    }

    /// Makes a text the last used one, if it is there.
    fn touch(&mut self, digest: &str) -> bool {
        let Some(at) = self.0.iter().position(|(_, d)| d == digest) else {
            return false;
        };
        let entry = self.0.remove(at);
        self.0.insert(0, entry);
        true
    }

    /// A slot for a new text: a free one, or that of the text which was not used for longest.
    fn take(&mut self) -> usize {
        let free = (0..KEPT).find(|slot| self.0.iter().all(|(taken, _)| taken != slot));
        free.or_else(|| self.0.pop().map(|(slot, _)| slot))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
