//! A JSON document a line (NDJSON).

use std::sync::Arc;

use crate::json::{Action, Rewriter, Stats};
use crate::mask::{Plan, PlanMasker};

use super::{BodyError, BodyLimits, Form, add, masker};

/// A body of lines, each a JSON document or empty.
#[derive(Debug)]
pub struct LinesBody {
    plan: Arc<Plan>,
    limits: BodyLimits,
    action: Action,
    /// The line at hand, if it is not empty so far.
    line: Option<Rewriter>,
    masker: PlanMasker,
    stats: Stats,
}

impl LinesBody {
    /// Lines to each of which `action` applies.
    pub fn new(plan: &Arc<Plan>, limits: BodyLimits, action: Action) -> Self {
        Self {
            plan: plan.clone(),
            limits,
            action,
            line: None,
            masker: masker(plan),
            stats: Stats::default(),
        }
    }

    fn end_line(&mut self) -> Result<(), BodyError> {
        if let Some(mut line) = self.line.take() {
            line.finish()?;
            self.stats = add(self.stats, line.stats());
        }
        Ok(())
    }
}

impl Form for LinesBody {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        for piece in chunk.split_inclusive(|b| *b == b'\n') {
            if self.line.is_none() && !piece.iter().all(u8::is_ascii_whitespace) {
                let program = self.plan.program.clone();
                self.line = Some(Rewriter::at(program, self.limits.json, self.action, 0));
            }
            match &mut self.line {
                Some(line) => line.push(piece, &mut self.masker, out)?,
                None => out.extend_from_slice(piece),
            }
            if piece.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        if let Some(line) = &mut self.line {
            // A number at the very end has no end of its own.
            line.push(b"\n", &mut self.masker, out)?;
        }
        self.end_line()
    }

    fn stats(&self) -> Stats {
        let line = self.line.as_ref().map(Rewriter::stats);
        add(self.stats, line.unwrap_or_default())
    }

    fn maskers(&self) -> Vec<&PlanMasker> {
        vec![&self.masker]
    }
}
