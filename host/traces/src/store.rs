use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::span::Span;

/// The newest spans. A handle: clones see the same.
#[derive(Debug, Clone)]
pub struct Spans {
    kept: Arc<Mutex<Kept>>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Kept {
    /// By trace, in lower case, each in the order in which they came.
    spans: HashMap<String, VecDeque<Span>>,
    /// The traces of all of them, in that order.
    order: VecDeque<String>,
    summary: Summary,
}

impl Kept {
    fn drop_oldest(&mut self) {
        let Some(trace) = self.order.pop_front() else {
            return;
        };
        if let Some(spans) = self.spans.get_mut(&trace) {
            spans.pop_front();
            if spans.is_empty() {
                self.spans.remove(&trace);
            }
        }
        self.summary.evicted += 1;
    }
}

/// What has come so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Spans taken.
    pub received: u64,
    /// Spans without ids, not taken.
    pub malformed: u64,
    /// Spans that older ones had to make room for.
    pub evicted: u64,
    /// Spans of requests for data of another region than their gateway's.
    pub crossings: u64,
}

impl Spans {
    /// Keeps so many.
    pub fn new(capacity: usize) -> Self {
        Self {
            kept: Arc::default(),
            capacity: capacity.max(1),
        }
    }

    /// Takes what one export brought; `None` stands for a span that can't be used.
    pub(crate) fn take(&self, spans: impl IntoIterator<Item = Option<Span>>) {
        let mut kept = self.lock();
        for span in spans {
            let Some(span) = span else {
                kept.summary.malformed += 1;
                continue;
            };
            kept.summary.received += 1;
            kept.summary.crossings += u64::from(span.crosses());
            if kept.order.len() == self.capacity {
                kept.drop_oldest();
            }
            let trace = span.trace_id.to_ascii_lowercase();
            kept.order.push_back(trace.clone());
            kept.spans.entry(trace).or_default().push_back(span);
        }
    }

    /// The spans of a trace, in the order in which they came.
    pub fn of(&self, trace_id: &str) -> Vec<Span> {
        let kept = self.lock();
        let of = kept.spans.get(&trace_id.to_ascii_lowercase());
        of.into_iter().flatten().cloned().collect()
    }

    /// What has come so far.
    pub fn summary(&self) -> Summary {
        self.lock().summary
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: &str, src: Option<&str>, dst: Option<&str>) -> Option<Span> {
        Some(Span {
            trace_id: trace.into(),
            span_id: "01".into(),
            parent_id: None,
            name: "ingress".into(),
            start_ns: 1,
            end_ns: 2,
            node: None,
            region_src: src.map(Into::into),
            region_dst: dst.map(Into::into),
            status: None,
        })
    }

    #[test]
    fn the_newest_are_kept_and_all_are_counted() {
        let spans = Spans::new(2);
        spans.take([span("a", Some("eu"), Some("eu")), None]);
        spans.take([
            span("b", Some("eu"), Some("us")),
            span("b", Some("eu"), None),
        ]);
        assert!(spans.of("a").is_empty());
        assert_eq!(spans.of("B").len(), 2);
        let want = Summary {
            received: 3,
            malformed: 1,
            evicted: 1,
            crossings: 1,
        };
        assert_eq!(spans.summary(), want);
        spans.take([span("c", None, None), span("b", None, None)]);
        assert_eq!((spans.of("b").len(), spans.of("c").len()), (1, 1));
        assert_eq!(spans.lock().spans.len(), 2);
    }
}
