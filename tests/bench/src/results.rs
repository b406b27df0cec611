//! What was measured, and the arithmetic on it.

use harness::Figures;

use crate::load::Load;
use crate::loading::Loading;
use crate::memory::Resident;
use crate::timing::{Series, quantile};
use crate::variants::{Masked, Variant, Way, name};

/// One variant under one load.
#[derive(Debug, Clone)]
pub struct Row {
    /// The load.
    pub load: Load,
    /// Which way the variant goes.
    pub way: Way,
    /// What becomes of values.
    pub masked: Masked,
    /// Requests timed one after another.
    pub requests: usize,
    /// Medians and tails, in microseconds.
    pub p50: f64,
    /// 95 of 100 requests take at most this many microseconds.
    pub p95: f64,
    /// 99 of 100 requests take at most this many microseconds.
    pub p99: f64,
    /// Requests a second over several connections.
    pub per_second: Option<f64>,
    /// What it adds to its base's median, in microseconds: the median over the rounds. In a round
    /// both met the same machine; over all rounds its slow phases would not cancel out.
    pub added_p50: f64,
    /// What it adds to its base's 95th percentile, in microseconds.
    pub added_p95: f64,
    /// What it adds to its base's median in each round, in microseconds.
    pub added_by_round: Vec<f64>,
    /// Bytes of linear memory after one such exchange in a fresh VM.
    pub vm_memory: Option<usize>,
}

impl Row {
    /// The variant's name.
    pub fn name(&self) -> String {
        name(self.way, self.masked)
    }
}

/// A filter's VM after large bodies came in pieces, one after another.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The variant's name.
    pub variant: String,
    /// What becomes of values.
    pub masked: Masked,
    /// Which way it goes.
    pub way: Way,
    /// Bytes of the pieces.
    pub piece: usize,
    /// Bytes of linear memory after 16 MB.
    pub large: usize,
    /// Bytes of linear memory after 100 MB more.
    pub huge: usize,
}

/// Everything that was measured.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// The table: a row a variant and load.
    pub rows: Vec<Row>,
    /// Resident memory of an Envoy with one variant only, by its name.
    pub resident: Vec<(String, Resident)>,
    /// What one exchange of the usual load costs a Wasm filter in the harness, by its name.
    pub costs: Vec<(String, Figures)>,
    /// VM memory after large bodies.
    pub streams: Vec<Stream>,
    /// Bytes of each filter's module.
    pub modules: Vec<(String, u64)>,
    /// The large configuration.
    pub loading: Option<Loading>,
    /// What could not be measured, in sentences.
    pub missing: Vec<String>,
}

impl Results {
    /// Adds what was timed under one load.
    pub fn add(&mut self, load: Load, variants: &[&Variant], series: &[Series]) {
        for (variant, own) in variants.iter().zip(series) {
            let base = variants
                .iter()
                .position(|v| v.way == variant.base() && v.masked == Masked::Not)
                .and_then(|at| series.get(at));
            let Some(base) = base else { continue };
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|q| own.quantile(q));
            let rounds = own.rounds.iter().zip(&base.rounds);
            let added_by_round: Vec<f64> = rounds.map(|(own, base)| own - base).collect();
            self.rows.push(Row {
                load,
                way: variant.way,
                masked: variant.masked,
                requests: own.sorted.len(),
                p50,
                p95,
                p99,
                per_second: own.per_second,
                added_p50: median(added_by_round.clone()),
                added_p95: p95 - base.quantile(0.95),
                added_by_round,
                vm_memory: None,
            });
        }
    }

    /// A row, if it was measured.
    pub fn row(&self, load: Load, way: Way, masked: Masked) -> Option<&Row> {
        self.rows
            .iter()
            .find(|r| r.load == load && r.way == way && r.masked == masked)
    }
}

/// What one variant adds to the median, as a share of what another one adds.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    /// Of the medians over the rounds.
    pub value: f64,
    /// The first and third quartile of the rounds' ratios: how sure it is.
    pub quartiles: (f64, f64),
}

/// The middle one.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    quantile(&numbers, 0.5)
}

/// The ratio of two rows of one load; none where the other adds nothing that can be told from noise.
pub fn ratio(of: &Row, to: &Row) -> Option<Ratio> {
    if to.added_p50 <= 0.0 {
        return None;
    }
    let rounds = of.added_by_round.iter().zip(&to.added_by_round);
    let mut ratios: Vec<f64> = rounds
        .map(|(of, to)| of / to)
        .filter(|r| r.is_finite())
        .collect();
    ratios.sort_by(f64::total_cmp);
    Some(Ratio {
        value: of.added_p50 / to.added_p50,
        quartiles: (quantile(&ratios, 0.25), quantile(&ratios, 0.75)),
    })
}
