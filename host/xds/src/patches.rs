//! Large resources as what changed of the ones that clients hold.
//!
//! The protocol knows nothing smaller than a resource. Whoever wrote a resource may know how to say the
//! difference from an earlier one in a message that the client understands as the new one: then this is
//! sent under the new one's version, to clients of the incremental variant that have accepted the earlier
//! one. A client that refuses it is sent the whole resource, and that refusal counts for nothing.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::resource::{Resource, Snapshot};

/// Bytes from which on a resource is worth a patch.
const LARGE: usize = 16 * 1024;

/// Versions of a group's resource that are remembered: clients with older ones are sent the whole.
const REMEMBERED: usize = 4;

/// Patches that are remembered. They are made from what is remembered anyway.
const MADE: usize = 256;

/// The message that makes a client which holds the first encoded resource come to hold the second, both of
/// one type and name. `None`: the second is to be sent whole.
pub type Patch = dyn Fn(&Resource, &Resource) -> Option<Vec<u8>> + Send + Sync;

/// What clients may hold, and patches of it.
#[derive(Default)]
pub struct Patches {
    patch: Option<Box<Patch>>,
    known: Mutex<Known>,
}

/// A resource's type and name.
type Key = (String, String);

#[derive(Default)]
struct Known {
    /// By group and resource, the newest last.
    versions: BTreeMap<(String, Key), VecDeque<Arc<Resource>>>,
    /// By resource and the versions from and to.
    made: BTreeMap<(Key, String, String), Option<Bytes>>,
}

impl fmt::Debug for Patches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patches").finish_non_exhaustive()
    }
}

impl Patches {
    /// Patches as `patch` makes them; the default makes none.
    pub fn new(patch: Box<Patch>) -> Self {
        Self {
            patch: Some(patch),
            known: Mutex::default(),
        }
    }

    /// Takes in what a group is to be served, and makes the patches that most of its clients will need.
    pub fn know(&self, group: &str, snapshot: &Snapshot) {
        if self.patch.is_none() {
            return;
        }
        for resource in snapshot.resources().filter(|r| is_large(r)) {
            let before = {
                let mut known = self.lock();
                let versions = known
                    .versions
                    .entry((group.to_owned(), key(resource)))
                    .or_default();
                let before = versions.back().cloned();
                versions.retain(|v| v.version() != resource.version());
                versions.push_back(Arc::clone(resource));
                if versions.len() > REMEMBERED {
                    versions.pop_front();
                }
                before
            };
            if let Some(before) = before.filter(|before| before.version() != resource.version()) {
                self.between(before.version(), resource);
            }
        }
    }

    /// Forgets what a group was served.
    pub fn forget(&self, group: &str) {
        self.lock().versions.retain(|(of, _), _| of != group);
    }

    /// What to send for a resource to a client that holds this version of it, if not the whole.
    pub fn between(&self, held: &str, resource: &Resource) -> Option<Bytes> {
        let patch = self.patch.as_ref().filter(|_| is_large(resource))?;
        let made = (
            key(resource),
            held.to_owned(),
            resource.version().to_owned(),
        );
        let before = {
            let known = self.lock();
            if let Some(done) = known.made.get(&made) {
                return done.clone();
            }
            let mut versions = known.versions.iter().filter(|((_, of), _)| *of == made.0);
            versions.find_map(|(_, all)| all.iter().find(|v| v.version() == held).cloned())?
        };
        // Not under the lock: it takes a while.
        let bytes = patch(&before, resource)
            .filter(|bytes| bytes.len() < resource.bytes().len())
            .map(Bytes::from);
        let mut known = self.lock();
        if known.made.len() >= MADE {
            known.made.clear();
        }
        known.made.insert(made, bytes.clone());
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_large(resource: &Resource) -> bool {
    resource.bytes().len() >= LARGE
}

fn key(resource: &Resource) -> Key {
    (resource.type_url().to_owned(), resource.name().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::type_url::EXTENSION_CONFIG;

    fn resource(fill: u8) -> Resource {
        Resource::new(EXTENSION_CONFIG, "guard", vec![fill; LARGE])
    }

    fn snapshot(fill: u8) -> Snapshot {
        Snapshot::new([resource(fill)]).unwrap()
    }

    fn counted() -> (Patches, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let patches = Patches::new(Box::new(move |old, new| {
            count.fetch_add(1, Ordering::Relaxed);
            Some(vec![old.bytes()[0], new.bytes()[0]])
        }));
        (patches, made)
    }

    fn between(patches: &Patches, from: u8, to: u8) -> Option<Vec<u8>> {
        let bytes = patches.between(resource(from).version(), &resource(to));
        bytes.map(|b| b.to_vec())
    }

    #[test]
    fn a_patch_is_made_once_for_all_and_from_any_remembered_version() {
        let (patches, made) = counted();
        patches.know("eu", &snapshot(1));
        patches.know("eu", &snapshot(2));
        assert_eq!(
            made.load(Ordering::Relaxed),
            1,
            "made before it is asked for"
        );
        for _ in 0..9 {
            assert_eq!(between(&patches, 1, 2), Some(vec![1, 2]));
        }
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(between(&patches, 2, 1), Some(vec![2, 1]), "back again");
        assert_eq!(between(&patches, 3, 2), None, "never seen");
        patches.know("eu@canary-1", &snapshot(3));
        assert_eq!(
            between(&patches, 3, 2),
            Some(vec![3, 2]),
            "from another group"
        );
        for fill in 4..4 + REMEMBERED as u8 {
            patches.know("eu", &snapshot(fill));
        }
        assert_eq!(between(&patches, 2, 9), None, "too long ago");
        patches.forget("eu");
        assert_eq!(between(&patches, 7, 9), None);
    }

    #[test]
    fn small_resources_and_long_patches_are_sent_whole() {
        let (patches, _) = counted();
        let small = |fill| Resource::new(EXTENSION_CONFIG, "guard", vec![fill; LARGE - 1]);
        patches.know("eu", &Snapshot::new([small(1)]).unwrap());
        assert_eq!(patches.between(small(1).version(), &small(2)), None);
        let same = Patches::new(Box::new(|_, new| Some(new.bytes().to_vec())));
        same.know("eu", &snapshot(1));
        assert_eq!(between(&same, 1, 2), None);
        let never = Patches::default();
        never.know("eu", &snapshot(1));
        assert_eq!(between(&never, 1, 2), None);
    }
}
