//! What masking is meant to cost at most, and whether it does.

use crate::load::Load;
use crate::memory::PIECES;
use crate::results::{Results, ratio};
use crate::variants::{Masked, Way};

/// An aim and what was seen.
#[derive(Debug, Clone)]
pub struct Aim {
    /// What is bounded.
    pub what: String,
    /// The bound.
    pub most: f64,
    /// The unit of both; empty for ratios.
    pub unit: &'static str,
    /// What was seen; nothing if it was not measured.
    pub seen: Option<f64>,
    /// The quartiles of what the rounds saw.
    pub quartiles: Option<(f64, f64)>,
}

impl Aim {
    /// `met`, `missed` or `not measured`.
    pub fn verdict(&self) -> &'static str {
        match self.seen {
            None => "not measured",
            Some(seen) if seen <= self.most => "met",
            Some(_) => "missed",
        }
    }
}

/// All aims.
pub fn all(results: &Results) -> Vec<Aim> {
    let mut aims = vec![
        of(results, Masked::Redact, Way::CopyThrough, Masked::Not, 1.3),
        of(results, Masked::Redact, Way::Lua, Masked::Redact, 0.25),
        of(results, Masked::Hash, Way::Lua, Masked::Redact, 0.6),
        of(
            results,
            Masked::Redact,
            Way::ExtProcBuffered,
            Masked::Redact,
            0.25,
        ),
    ];
    aims.push(plain(
        "1 MB, redact: added p95, the most of all numbers of values",
        5.0,
        "ms",
        results
            .rows
            .iter()
            .filter(|r| {
                r.load.bytes == Load::MB && r.way == Way::Masking && r.masked == Masked::Redact
            })
            .map(|r| r.added_p95 / 1000.0)
            .reduce(f64::max),
    ));
    let mib = |bytes: usize| bytes as f64 / Load::MB as f64;
    let largest_pieces = PIECES.iter().max();
    let stream = results.streams.iter().find(|s| {
        s.way == Way::Masking && s.masked == Masked::Redact && Some(&s.piece) == largest_pieces
    });
    aims.push(plain(
        "16 MB streamed, redact: VM memory",
        8.0,
        "MiB",
        stream.map(|s| mib(s.large)),
    ));
    aims.push(plain(
        "100 MB streamed, redact: VM memory",
        8.0,
        "MiB",
        stream.map(|s| mib(s.huge)),
    ));
    aims.push(plain(
        "from 16 MB to 100 MB, redact: VM memory grows by",
        0.0,
        "MiB",
        stream.map(|s| mib(s.huge - s.large)),
    ));
    for (name, bytes) in &results.modules {
        let megabytes = *bytes as f64 / 1e6;
        aims.push(plain(&format!("module {name}"), 1.5, "MB", Some(megabytes)));
    }
    let slowest = results
        .loading
        .as_ref()
        .and_then(|l| l.times.envoy.iter().max());
    aims.push(plain(
        "GitHub's schema and 500 rules, loading in Envoy",
        100.0,
        "ms",
        slowest.map(|d| d.as_secs_f64() * 1000.0),
    ));
    aims
}

fn of(results: &Results, masked: Masked, way: Way, its: Masked, most: f64) -> Aim {
    let row = results.row(Load::USUAL, Way::Masking, masked);
    let ratio = row
        .zip(results.row(Load::USUAL, way, its))
        .and_then(|(own, other)| ratio(own, other));
    Aim {
        what: format!(
            "{}, {} values, {}: added p50, of {}'s",
            Load::USUAL.size(),
            Load::USUAL.values,
            masked.strategy(),
            match way {
                Way::CopyThrough => "copy-through",
                Way::Lua => "Lua",
                _ => "buffered ext_proc",
            }
        ),
        most,
        unit: "",
        seen: ratio.map(|r| r.value),
        quartiles: ratio.map(|r| r.quartiles),
    }
}

fn plain(what: &str, most: f64, unit: &'static str, seen: Option<f64>) -> Aim {
    Aim {
        what: what.into(),
        most,
        unit,
        seen,
        quartiles: None,
    }
}
