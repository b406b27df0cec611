use std::sync::Arc;

use crate::json::{Masker, Scalar};

use super::Plan;
use super::strategy::Site;
use pseudonym::Pending;

/// Runs a plan's masks and counts what they did.
#[derive(Debug)]
pub struct PlanMasker {
    plan: Arc<Plan>,
    counts: Vec<u64>,
    total: u64,
    pending: Pending,
}

impl PlanMasker {
    /// A masker that has masked nothing yet.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            counts: vec![0; plan.specs.len()],
            plan,
            total: 0,
            pending: Pending::default(),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Values masked so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Values masked so far, by the plan's specs.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    fn count(&mut self, mask: u32) {
        self.total += 1;
        if let Some(n) = self.counts.get_mut(mask as usize) {
            *n += 1;
        }
    }
}

impl Masker for PlanMasker {
    fn scalar(&mut self, mask: u32, depth: u8, value: Scalar<'_>, out: &mut Vec<u8>) {
        self.count(mask);
        match self.plan.specs.get(mask as usize) {
            Some(spec) => {
                let pending = &mut self.pending;
                let mut site = Site {
                    spec,
                    depth,
                    pending,
                };
                spec.strategy.apply(value, &mut site, out);
            }
            None => out.extend_from_slice(b"null"),
        }
    }

    fn whole(&mut self, mask: u32, depth: u8, out: &mut Vec<u8>) {
        self.count(mask);
        match self.plan.specs.get(mask as usize) {
            Some(spec) => {
                let pending = &mut self.pending;
                Site {
                    spec,
                    depth,
                    pending,
                }
                .placeholder(out);
            }
            None => out.extend_from_slice(b"null"),
        }
    }

    fn complete(&mut self, out: &mut [u8]) {
        self.pending.fill(out);
    }
}
