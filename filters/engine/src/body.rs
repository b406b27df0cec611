//! Bodies of responses: how one is written, and how its values are found in it.
//!
//! Each form takes a body in chunks of any size and writes out what may be sent on by then. All are
//! strict: what does not look as it must is an error, and what was written for it is not sent.

mod batch;
mod csv;
mod events;
mod incremental;
mod inflate;
mod json;
mod lines;
mod multipart;

use std::sync::Arc;

pub use batch::BatchBody;
pub use csv::CsvBody;
pub use events::EventsBody;
pub use incremental::Incremental;
pub use inflate::{Encoding, Inflate};
pub use json::JsonBody;
pub use lines::LinesBody;
pub use multipart::{MultipartBody, boundary, boundary_to_write};

use crate::json::{JsonError, Limits, Stats};
use crate::mask::{Plan, PlanMasker};

/// A body in one of its forms.
pub trait Form {
    /// Takes a chunk and appends what may be sent on to `out`.
    ///
    /// # Errors
    /// The body is refused: nothing more of it may be sent.
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError>;

    /// The body has ended.
    ///
    /// # Errors
    /// It ended in the middle.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError>;

    /// What was met so far.
    fn stats(&self) -> Stats;

    /// The maskers and what they did.
    fn maskers(&self) -> Vec<&PlanMasker>;

    /// Bytes held back until more has come.
    fn held(&self) -> usize {
        0
    }

    /// Whether the body comes in parts that are of use before its end: they are not held back.
    fn is_live(&self) -> bool {
        false
    }
}

// What a form holds is long, and written nowhere: the code for it would be in every filter.
impl std::fmt::Debug for dyn Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Form")
    }
}

/// Bounds on a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Of its documents.
    pub json: Limits,
    /// Bytes of a part that is held until it is whole.
    pub part: usize,
}

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A document in it is refused.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// It is not written as its content type says.
    #[error("{0}")]
    Form(&'static str),
    /// The first row names no column that is known: it may be data.
    #[error("the first row names no column that the route knows, so it may be data")]
    NoHeader,
    /// A part of it is longer than may be held.
    #[error("a part is longer than the limit")]
    PartTooLong,
    /// A batch has another number of answers than operations.
    #[error("the batch has {got} answers to {want} operations")]
    Count {
        /// Operations asked.
        want: usize,
        /// Answers that came.
        got: usize,
    },
    /// A part of an incremental response is not one.
    #[error("a part of the incremental response is malformed: {0}")]
    Incremental(&'static str),
    /// What was compressed can't be decoded.
    #[error("the compressed body can't be decoded")]
    Encoding,
    /// It is too many times longer than its compressed form.
    #[error("the compressed body expands beyond the limit")]
    Expands,
}

impl BodyError {
    /// The stable code, for metrics and decision log.
    pub fn code(&self) -> String {
        match self {
            Self::Json(e) => format!("UPSTREAM_{}", e.problem.code().to_uppercase()),
            Self::Form(_) => "UPSTREAM_MALFORMED".into(),
            Self::NoHeader => "UPSTREAM_NO_HEADER".into(),
            Self::PartTooLong => "UPSTREAM_PART_TOO_LONG".into(),
            Self::Count { .. } => "UPSTREAM_BATCH_MISMATCH".into(),
            Self::Incremental(_) => "UPSTREAM_INCREMENTAL_MALFORMED".into(),
            Self::Encoding => "UPSTREAM_ENCODING".into(),
            Self::Expands => "UPSTREAM_EXPANDS".into(),
        }
    }
}

/// The plan and masker of one document after the other.
fn masker(plan: &Arc<Plan>) -> PlanMasker {
    PlanMasker::new(plan.clone())
}

fn add(a: Stats, b: Stats) -> Stats {
    Stats {
        dropped: a.dropped + b.dropped,
        mismatched: a.mismatched + b.mismatched,
    }
}

#[cfg(test)]
mod tests;
