//! Tables of what each of several ways adds to the first of them, and to the second.

use serde_json::{Value, json};

use crate::results::median;
use crate::timing::{Series, quantile};

/// What was timed in turn.
#[derive(Debug, Clone)]
pub struct Table {
    /// What is timed.
    pub title: String,
    /// The ways: nothing first, then a Wasm filter that does nothing.
    pub rows: Vec<Row>,
}

/// One way.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// How often it was timed.
    pub count: usize,
    /// The median, in microseconds.
    pub p50: f64,
    /// The 95th percentile, in microseconds.
    pub p95: f64,
    /// What it adds to nothing, and to a Wasm filter that does nothing.
    pub added: [Added; 2],
}

/// What one way adds to another.
#[derive(Debug, Clone, Copy)]
pub struct Added {
    /// To the median, in microseconds: the median of the rounds.
    pub p50: f64,
    /// The quartiles of the rounds.
    pub quartiles: (f64, f64),
    /// Its median as a multiple of the other's.
    pub ratio: f64,
}

impl Table {
    /// From what was timed, in the order of the names.
    pub fn new(title: &str, names: &[&str], series: &[Series]) -> Self {
        let rows = names.iter().zip(series).map(|(name, own)| Row {
            name: (*name).to_owned(),
            count: own.sorted.len(),
            p50: own.quantile(0.5),
            p95: own.quantile(0.95),
            added: [0, 1].map(|to| added(own, series.get(to).unwrap_or(own))),
        });
        Self {
            title: title.to_owned(),
            rows: rows.collect(),
        }
    }

    /// A row, by its name.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Prints it.
    pub fn print(&self) {
        println!(
            "\n{} (µs; in brackets: quartiles of the rounds)\n",
            self.title
        );
        println!(
            "{:28} {:>8} {:>8} {:>26} {:>6} {:>26} {:>6} {:>8}",
            "", "p50", "p95", "added to nothing", "of its", "added to no-op Wasm", "of its", "n"
        );
        for row in &self.rows {
            print!("{:28} {:8.1} {:8.1}", row.name, row.p50, row.p95);
            for added in row.added {
                let (low, high) = added.quartiles;
                let text = format!("{:.1} ({low:.1} to {high:.1})", added.p50);
                print!(" {text:>26} {:6.2}", added.ratio);
            }
            println!(" {:8}", row.count);
        }
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        let added = |added: &Added| json!({"p50_us": added.p50, "quartiles_us": added.quartiles, "p50_ratio": added.ratio});
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let [nothing, noop] = &row.added;
                json!({
                    "way": row.name, "count": row.count, "p50_us": row.p50, "p95_us": row.p95,
                    "added_to_nothing": added(nothing), "added_to_noop_wasm": added(noop),
                })
            })
            .collect();
        json!({"title": self.title, "rows": rows})
    }
}

fn added(own: &Series, to: &Series) -> Added {
    let rounds = own.rounds.iter().zip(&to.rounds);
    let mut rounds: Vec<f64> = rounds.map(|(own, to)| own - to).collect();
    rounds.sort_by(f64::total_cmp);
    Added {
        p50: median(rounds.clone()),
        quartiles: (quantile(&rounds, 0.25), quantile(&rounds, 0.75)),
        ratio: own.quantile(0.5) / to.quantile(0.5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_with_their_own() {
        let series = |rounds: &[f64]| Series {
            sorted: rounds.to_vec(),
            rounds: rounds.to_vec(),
            per_second: None,
        };
        // A machine that slows down slows all of them.
        let all = [
            series(&[10.0, 20.0, 30.0]),
            series(&[11.0, 21.0, 31.0]),
            series(&[15.0, 25.0, 36.0]),
        ];
        let table = Table::new("t", &["nothing", "no-op", "own"], &all);
        let row = table.row("own").expect("a row");
        assert_eq!(row.added.map(|a| a.p50), [5.0, 4.0]);
        assert_eq!(row.added[0].ratio, 25.0 / 20.0);
    }
}
