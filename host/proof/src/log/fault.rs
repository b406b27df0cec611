//! What can be wrong with an entry at its place in the log.

use super::CheckpointError;
use crate::key::HandoverError;
use crate::residency::{Period, Proof};

/// What is wrong with an entry, where it stands.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// The sequence of a tenant's proofs is broken.
    #[error(
        "the proof of `{tenant}` for {period} has sequence {got} where {want} is due: proofs are \
         missing, repeated or out of order"
    )]
    Sequence {
        /// Whose.
        tenant: String,
        /// Of when.
        period: Period,
        /// What it should be.
        want: u64,
        /// What it is.
        got: u64,
    },
    /// A time of which nothing is said.
    #[error("nothing is said of `{tenant}` for {gap}, not even that it is UNKNOWN")]
    Gap {
        /// Whose.
        tenant: String,
        /// The time.
        gap: Period,
    },
    /// A time of which something was said already.
    #[error("the proof of `{tenant}` for {period} is of a time that an earlier one covers")]
    Again {
        /// Whose.
        tenant: String,
        /// The time.
        period: Period,
    },
    /// A proof of the future.
    #[error("the proof of `{tenant}` for {period} was issued before that period began")]
    Early {
        /// Whose.
        tenant: String,
        /// The time.
        period: Period,
    },
    /// Not the key that is in force.
    #[error("it names the key {got}, where {want} is in force")]
    Key {
        /// The id of the key in force.
        want: String,
        /// The id of the other.
        got: String,
    },
    /// A handover that is none.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// A checkpoint that is none.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint of another place of the log.
    #[error("its checkpoint is of {got} entries and stands after {want}")]
    CheckpointSize {
        /// How many entries stand before it.
        want: u64,
        /// How many it says.
        got: u64,
    },
    /// A checkpoint of other entries.
    #[error("its checkpoint is of other entries than stand before it")]
    CheckpointRoot,
    /// A checkpoint of another key.
    #[error("its checkpoint names another key than {want}, which is in force")]
    CheckpointKey {
        /// The id of the key in force.
        want: String,
    },
}

/// A place in a tenant's sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    sequence: u64,
    period: Period,
    last: bool,
}

impl Place {
    pub(crate) fn of(proof: &Proof) -> Self {
        Self {
            sequence: proof.sequence,
            period: proof.statement.period,
            last: proof.statement.last,
        }
    }

    /// The time between this and a later period, unless the tenant had left.
    pub(crate) fn gap(self, period: Period) -> Option<Period> {
        self.period.until(period).filter(|_| !self.last)
    }

    /// The sequence after this one.
    pub(crate) fn next(place: Option<Self>) -> u64 {
        place.map_or(1, |place| place.sequence.saturating_add(1))
    }
}

/// What is wrong with a proof at its place.
pub(crate) fn faults_at(place: Option<Place>, proof: &Proof) -> Vec<EntryFault> {
    let tenant = || proof.statement.tenant.clone();
    let period = proof.statement.period;
    let mut faults = Vec::new();
    let want = Place::next(place);
    if proof.sequence != want {
        faults.push(EntryFault::Sequence {
            tenant: tenant(),
            period,
            want,
            got: proof.sequence,
        });
    }
    if let Some(place) = place {
        if period.start_s() < place.period.end_s() {
            faults.push(EntryFault::Again {
                tenant: tenant(),
                period,
            });
        }
        if let Some(gap) = place.gap(period) {
            faults.push(EntryFault::Gap {
                tenant: tenant(),
                gap,
            });
        }
    }
    if proof.statement.issued_at.as_second() < period.start_s() {
        faults.push(EntryFault::Early {
            tenant: tenant(),
            period,
        });
    }
    faults
}
