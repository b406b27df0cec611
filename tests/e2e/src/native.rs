//! The engine alone.

use bundle::Bundle;
use bundle::cases::{Case, Outcome};

/// The filters of the gateways, as `bundle::cases` runs them.
#[derive(Debug)]
pub struct Native(bundle::cases::Native);

impl Native {
    /// Filters with these policies.
    pub fn new(bundle: Bundle) -> Self {
        Self(bundle::cases::Native::new(bundle))
    }

    /// Runs a case with the response's body in these pieces.
    ///
    /// # Panics
    /// The policies do not load.
    pub fn run(&mut self, case: &Case, pieces: &[Vec<u8>]) -> Outcome {
        let outcome = self.0.run(case, pieces);
        outcome.unwrap_or_else(|e| panic!("{}: {e:?}", case.name))
    }
}
