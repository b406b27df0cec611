//! One JSON document.

use std::sync::Arc;

use crate::json::{Action, Rewriter, Stats};
use crate::mask::{Plan, PlanMasker};

use super::{BodyError, BodyLimits, Form, masker};

/// A body that is one JSON document.
#[derive(Debug)]
pub struct JsonBody {
    rewriter: Rewriter,
    masker: PlanMasker,
}

impl JsonBody {
    /// The response of a plan: an object.
    pub fn new(plan: &Arc<Plan>, limits: BodyLimits) -> Self {
        Self {
            rewriter: Rewriter::new(plan.program.clone(), limits.json),
            masker: masker(plan),
        }
    }

    /// Any value, to which `action` applies.
    pub fn at(plan: &Arc<Plan>, limits: BodyLimits, action: Action) -> Self {
        Self {
            rewriter: Rewriter::at(plan.program.clone(), limits.json, action, 0),
            masker: masker(plan),
        }
    }
}

impl Form for JsonBody {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        Ok(self.rewriter.push(chunk, &mut self.masker, out)?)
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), BodyError> {
        Ok(self.rewriter.finish()?)
    }

    fn stats(&self) -> Stats {
        self.rewriter.stats()
    }

    fn maskers(&self) -> Vec<&PlanMasker> {
        vec![&self.masker]
    }

    fn held(&self) -> usize {
        self.rewriter.held()
    }
}
