//! The answers to a batch: an array of as many responses as operations were asked, in their order.

use std::sync::Arc;

use crate::json::{Rewriter, Stats};
use crate::mask::{Plan, PlanMasker};

use super::{BodyError, BodyLimits, Form, add, masker};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the array.
    Start,
    /// A response comes.
    Element,
    /// A comma or the array's end comes.
    After,
    /// One object stands in the place of the array: the whole batch was refused.
    Single,
    /// Only white space may follow.
    Done,
}

/// A body that answers a batch.
#[derive(Debug)]
pub struct BatchBody {
    plans: Vec<Arc<Plan>>,
    refused: Arc<Plan>,
    limits: BodyLimits,
    state: State,
    current: Option<(Rewriter, PlanMasker)>,
    answered: usize,
    maskers: Vec<PlanMasker>,
    stats: Stats,
}

impl BatchBody {
    /// Answers to the operations of `plans`; `refused` is the plan of one object that stands in the
    /// place of all.
    pub fn new(plans: Vec<Arc<Plan>>, refused: Arc<Plan>, limits: BodyLimits) -> Self {
        Self {
            plans,
            refused,
            limits,
            state: State::Start,
            current: None,
            answered: 0,
            maskers: Vec::new(),
            stats: Stats::default(),
        }
    }

    fn count(&self) -> BodyError {
        BodyError::Count {
            want: self.plans.len(),
            got: self.answered,
        }
    }

    fn open(&mut self) -> Result<(), BodyError> {
        let plan = match self.state {
            State::Single => &self.refused,
            _ => match self.plans.get(self.answered) {
                Some(plan) => plan,
                None => {
                    self.answered += 1;
                    return Err(self.count());
                }
            },
        };
        let rewriter = Rewriter::new(plan.program.clone(), self.limits.json);
        self.current = Some((rewriter, masker(plan)));
        Ok(())
    }
}

impl Form for BatchBody {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        let mut rest = chunk;
        while let Some(byte) = rest.first().copied() {
            if let Some((rewriter, masker)) = &mut self.current {
                let Some(end) = rewriter.push_to_end(rest, masker, out)? else {
                    return Ok(());
                };
                rest = rest.get(end..).unwrap_or_default();
                self.stats = add(self.stats, rewriter.stats());
                self.maskers.extend(self.current.take().map(|(_, m)| m));
                self.answered += 1;
                self.state = match self.state {
                    State::Single => State::Done,
                    _ => State::After,
                };
                continue;
            }
            let white = byte.is_ascii_whitespace();
            match (self.state, byte) {
                _ if white => {}
                (State::Start, b'[') => self.state = State::Element,
                (State::Start, b'{') => {
                    self.state = State::Single;
                    self.open()?;
                    continue;
                }
                (State::Element, b'{') => {
                    self.open()?;
                    continue;
                }
                (State::Element, b']') if self.answered == 0 => return Err(self.count()),
                (State::After, b',') => self.state = State::Element,
                (State::After, b']') if self.answered == self.plans.len() => {
                    self.state = State::Done;
                }
                (State::After, b']') => return Err(self.count()),
                _ => return Err(BodyError::Form("the batch's answer is no array of objects")),
            }
            out.push(byte);
            rest = rest.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            _ => Err(BodyError::Form("the batch's answer ends in its middle")),
        }
    }

    fn stats(&self) -> Stats {
        let current = self.current.as_ref().map(|(r, _)| r.stats());
        add(self.stats, current.unwrap_or_default())
    }

    fn maskers(&self) -> Vec<&PlanMasker> {
        let current = self.current.iter().map(|(_, m)| m);
        self.maskers.iter().chain(current).collect()
    }
}
