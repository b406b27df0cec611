//! Counters, gauges and histograms that filters define.

use crate::abi::{MetricType, Status};
use std::collections::BTreeMap;

/// Values of a histogram in the order in which they were recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Every recorded value.
    pub values: Vec<u64>,
}

/// The value of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metric {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(u64),
    /// A distribution.
    Histogram(Histogram),
}

impl Metric {
    fn new(kind: MetricType) -> Self {
        match kind {
            MetricType::Counter => Metric::Counter(0),
            MetricType::Gauge => Metric::Gauge(0),
            MetricType::Histogram => Metric::Histogram(Histogram::default()),
        }
    }

    fn kind(&self) -> MetricType {
        match self {
            Metric::Counter(_) => MetricType::Counter,
            Metric::Gauge(_) => MetricType::Gauge,
            Metric::Histogram(_) => MetricType::Histogram,
        }
    }
}

/// Metrics by name. Definitions of one name and kind share one value, over all VMs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics(BTreeMap<(String, MetricType), Metric>);

impl Metrics {
    /// Value of a counter; `None` if no filter defined it.
    pub fn counter(&self, name: &str) -> Option<u64> {
        match self.0.get(&(name.to_owned(), MetricType::Counter)) {
            Some(Metric::Counter(value)) => Some(*value),
            _ => None,
        }
    }

    /// Value of a gauge.
    pub fn gauge(&self, name: &str) -> Option<u64> {
        match self.0.get(&(name.to_owned(), MetricType::Gauge)) {
            Some(Metric::Gauge(value)) => Some(*value),
            _ => None,
        }
    }

    /// Values of a histogram, in order.
    pub fn histogram(&self, name: &str) -> Option<&[u64]> {
        match self.0.get(&(name.to_owned(), MetricType::Histogram)) {
            Some(Metric::Histogram(histogram)) => Some(&histogram.values),
            _ => None,
        }
    }

    /// Every metric, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Metric)> {
        self.0
            .iter()
            .map(|((name, _), metric)| (name.as_str(), metric))
    }

    /// What was added to `earlier` since then: counters as differences, histograms without the
    /// earlier values, gauges as they are; metrics that did not change are left out.
    pub fn since(&self, earlier: &Metrics) -> Metrics {
        let changed = self.0.iter().filter_map(|(key, metric)| {
            let difference = match (metric, earlier.0.get(key)) {
                (Metric::Counter(0), None) => return None,
                (metric, Some(before)) if metric == before => return None,
                (Metric::Counter(now), Some(Metric::Counter(before))) => {
                    Metric::Counter(now.wrapping_sub(*before))
                }
                (Metric::Histogram(now), Some(Metric::Histogram(before))) => {
                    let values = now
                        .values
                        .iter()
                        .skip(before.values.len())
                        .copied()
                        .collect();
                    Metric::Histogram(Histogram { values })
                }
                (metric, _) => metric.clone(),
            };
            Some((key.clone(), difference))
        });
        Metrics(changed.collect())
    }

    pub(crate) fn define(&mut self, name: &str, kind: MetricType) {
        self.0
            .entry((name.to_owned(), kind))
            .or_insert_with(|| Metric::new(kind));
    }

    pub(crate) fn record(&mut self, key: &(String, MetricType), value: u64) -> Result<(), Status> {
        match self.0.get_mut(key).ok_or(Status::NotFound)? {
            Metric::Counter(own) => *own = own.wrapping_add(value),
            Metric::Gauge(own) => *own = value,
            Metric::Histogram(own) => own.values.push(value),
        }
        Ok(())
    }

    /// A counter takes positive offsets only and a histogram none, as in Envoy.
    pub(crate) fn increment(&mut self, key: &(String, MetricType), by: i64) -> Result<(), Status> {
        match self.0.get_mut(key).ok_or(Status::NotFound)? {
            Metric::Counter(own) if by > 0 => *own = own.wrapping_add_signed(by),
            Metric::Gauge(own) => *own = own.wrapping_add_signed(by),
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    }

    pub(crate) fn value(&self, key: &(String, MetricType)) -> Result<u64, Status> {
        let metric = self.0.get(key).ok_or(Status::NotFound)?;
        debug_assert_eq!(metric.kind(), key.1);
        match metric {
            Metric::Counter(value) | Metric::Gauge(value) => Ok(*value),
            Metric::Histogram(_) => Err(Status::BadArgument),
        }
    }
}
