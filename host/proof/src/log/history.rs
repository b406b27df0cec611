//! What follows from the entries of a log, one after the other: the tree, the key in force, and
//! where each tenant stands.

use std::collections::BTreeMap;

use super::fault::{EntryFault, Place, faults_at};
use super::{Checkpoint, Entry, Hash, Tree, leaf_hash};
use crate::error::CanonicalError;
use crate::key::{Handover, PublicKey, Signature};
use crate::residency::{Period, Proof, Verdict};

/// A signature that an entry relies on.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Who should have signed.
    pub key: PublicKey,
    /// What.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

impl Signed {
    /// Whether the key signed it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.key.signed(&self.message, &self.signature)
    }
}

/// How many proofs came to which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Residency held.
    pub pass: u64,
    /// It did not.
    pub fail: u64,
    /// Nobody knows.
    pub unknown: u64,
}

/// Where a tenant stands.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its latest proof.
    pub proof: Proof,
    /// The key that was in force then.
    pub key: PublicKey,
    /// Its first period.
    pub first: Period,
    /// Its verdicts so far.
    pub tally: Tally,
}

/// All that follows from the entries so far.
#[derive(Clone, Debug)]
pub struct History {
    tree: Tree,
    key: PublicKey,
    retired: Vec<PublicKey>,
    tenants: BTreeMap<String, Tenant>,
    latest: Option<Period>,
}

impl History {
    /// Before the first entry, under the first key.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self {
            tree: Tree::new(),
            key,
            retired: Vec::new(),
            tenants: BTreeMap::new(),
            latest: None,
        }
    }

    /// Takes the next entry, whatever is wrong with it; says what is, and which signatures it relies
    /// on. They are not checked here.
    ///
    /// # Errors
    /// It can't be written as canonical JSON.
    pub fn follow(
        &mut self,
        entry: &Entry,
    ) -> Result<(Vec<EntryFault>, Vec<Signed>), CanonicalError> {
        let leaf = entry.leaf()?;
        let hash = leaf_hash(&leaf);
        let answer = match entry {
            Entry::Proof(proof) => self.proof(proof, leaf),
            Entry::Handover(handover) => self.handover(handover, leaf),
            Entry::Checkpoint(note) => self.checkpoint(note),
        };
        self.tree.push(hash);
        Ok(answer)
    }

    fn proof(&mut self, proof: &Proof, payload: Vec<u8>) -> (Vec<EntryFault>, Vec<Signed>) {
        let Proof { statement, .. } = proof;
        let before = self.tenants.get(&statement.tenant);
        let mut faults = faults_at(before.map(|t| Place::of(&t.proof)), proof);
        if proof.key_id != self.key.id() {
            faults.push(EntryFault::Key {
                want: self.key.id().to_owned(),
                got: proof.key_id.clone(),
            });
        }
        let mut tally = before.map(|t| t.tally).unwrap_or_default();
        match statement.verdict {
            Verdict::Pass => tally.pass += 1,
            Verdict::Fail => tally.fail += 1,
            Verdict::Unknown => tally.unknown += 1,
        }
        let tenant = Tenant {
            proof: proof.clone(),
            key: self.key.clone(),
            first: before.map_or(statement.period, |t| t.first),
            tally,
        };
        self.tenants.insert(statement.tenant.clone(), tenant);
        if self
            .latest
            .is_none_or(|l| l.start_s() < statement.period.start_s())
        {
            self.latest = Some(statement.period);
        }
        let signed = Signed {
            key: self.key.clone(),
            message: payload,
            signature: proof.signature.clone(),
        };
        (faults, vec![signed])
    }

    fn handover(
        &mut self,
        handover: &Handover,
        payload: Vec<u8>,
    ) -> (Vec<EntryFault>, Vec<Signed>) {
        let (old, new) = match handover.keys() {
            Ok(keys) => keys,
            Err(error) => return (vec![error.into()], Vec::new()),
        };
        let mut faults = Vec::new();
        if old != self.key {
            faults.push(EntryFault::Key {
                want: self.key.id().to_owned(),
                got: old.id().to_owned(),
            });
        }
        let (by_old, by_new) = handover.signatures();
        let signed = [(&old, by_old), (&new, by_new)].map(|(key, signature)| Signed {
            key: key.clone(),
            message: payload.clone(),
            signature: signature.clone(),
        });
        self.retired.push(std::mem::replace(&mut self.key, new));
        (faults, signed.to_vec())
    }

    fn checkpoint(&self, note: &str) -> (Vec<EntryFault>, Vec<Signed>) {
        let checkpoint = match Checkpoint::from_note(note) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return (vec![error.into()], Vec::new()),
        };
        let size = self.tree.size();
        let mut faults = Vec::new();
        if checkpoint.size != size {
            faults.push(EntryFault::CheckpointSize {
                want: size,
                got: checkpoint.size,
            });
        } else if checkpoint.root != self.tree.root() {
            faults.push(EntryFault::CheckpointRoot);
        }
        if !checkpoint.names(&self.key) {
            faults.push(EntryFault::CheckpointKey {
                want: self.key.id().to_owned(),
            });
        }
        let signed = Signed {
            key: self.key.clone(),
            message: checkpoint.text().into_bytes(),
            signature: checkpoint.signature().clone(),
        };
        (faults, vec![signed])
    }

    /// The tree of the entries.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// How many entries there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The key in force.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The keys that handed over, the first one first.
    #[must_use]
    pub fn retired(&self) -> &[PublicKey] {
        &self.retired
    }

    /// The tenants, by name.
    #[must_use]
    pub fn tenants(&self) -> &BTreeMap<String, Tenant> {
        &self.tenants
    }

    /// The latest period that any tenant has.
    #[must_use]
    pub fn latest(&self) -> Option<Period> {
        self.latest
    }

    pub(crate) fn place(&self, tenant: &str) -> Option<Place> {
        self.tenants.get(tenant).map(|t| Place::of(&t.proof))
    }

    /// Tenants of which nothing is said since a time before the latest period began, though they
    /// have not left, and that time. Who only lacks the latest period itself is not among them: its
    /// proof may be on its way.
    #[must_use]
    pub fn silent(&self) -> Vec<(&str, Period)> {
        let latest = self.latest;
        let silent = self.tenants.iter().filter_map(|(name, tenant)| {
            let gap = Place::of(&tenant.proof).gap(latest?)?;
            Some((name.as_str(), gap))
        });
        silent.collect()
    }

    /// Tenants that have no proof of the latest period yet.
    #[must_use]
    pub fn awaited(&self) -> Vec<&str> {
        let latest = self.latest;
        let awaited = self.tenants.iter().filter(|(_, tenant)| {
            let Proof { statement, .. } = &tenant.proof;
            !statement.last && latest.is_some_and(|l| statement.period.end_s() == l.start_s())
        });
        awaited.map(|(name, _)| name.as_str()).collect()
    }
}
