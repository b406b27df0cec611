//! The record of the stream, and how it comes to its end.

use crate::audit::Outcome;
use crate::policy::Surface;
use crate::reply::Reply;

use super::{MaskingStream, State};

impl MaskingStream {
    /// The record, as it stands, as JSON.
    pub fn record(&self) -> String {
        serde_json::to_string(&self.record).unwrap_or_default()
    }

    /// What came of the stream so far.
    pub fn outcome(&self) -> Outcome {
        self.record.outcome
    }

    /// The stream is over, whether or not it came to its end.
    pub fn close(&mut self) {
        if matches!(self.state, State::Response { .. }) {
            self.finish(Outcome::Incomplete);
        }
    }

    /// Whether the response comes bit by bit, for as long as the client listens, masked or, in shadow
    /// mode, as it is.
    pub fn is_live(&self) -> bool {
        self.live && !matches!(self.state, State::Failed)
    }

    /// Other policies are in force than those by which this response is masked or let pass: what the
    /// caller may see now, this stream does not know. Nothing more of it goes on.
    pub fn superseded(&mut self) -> Reply {
        let reason = "the policies have changed since this stream began: ask again";
        let reply = self.fail("POLICIES_CHANGED", reason);
        self.record.outcome = Outcome::Incomplete;
        reply
    }

    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.record.outcome = outcome;
        let State::Response { body, .. } = std::mem::replace(&mut self.state, State::Complete)
        else {
            return;
        };
        let stats = body.stats();
        self.tally.dropped = stats.dropped;
        self.tally.mismatched = stats.mismatched;
        self.record.dropped = stats.dropped;
        self.record.mismatched = stats.mismatched;
        for masker in body.maskers() {
            self.tally.masked += masker.total();
            for (spec, count) in masker.plan().specs.iter().zip(masker.counts()) {
                if *count == 0 {
                    continue;
                }
                let coordinates = spec.coordinates.join("|");
                *self.record.counts.entry(coordinates).or_default() += count;
                let class = spec.class.as_deref().unwrap_or(match &*spec.source {
                    "schema" => "unknown",
                    _ => "unclassified",
                });
                *self.record.classes.entry(class.to_owned()).or_default() += count;
            }
        }
    }

    /// Values masked, by what kind of data they are.
    pub fn classes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.record.classes.iter().map(|(class, n)| (&**class, *n))
    }

    pub(super) fn deny(&mut self, reply: Reply) -> Reply {
        self.state = State::Answered;
        self.record.outcome = Outcome::Denied;
        self.record.code = Some(reply.code.clone());
        self.record.reason = reply.reason.clone();
        reply
    }

    pub(super) fn fail(&mut self, code: &'static str, reason: &str) -> Reply {
        self.finish(Outcome::Failed);
        self.state = State::Failed;
        self.record.code = Some(code.to_owned());
        self.record.reason = reason.to_owned();
        Reply::for_path(self.record.surface == Surface::Graphql, 502, code, reason)
    }

    /// What an admin is told: which coordinates of the operation are masked, and which are shown
    /// though the schema marks them.
    pub(super) fn mask_header(&self) -> String {
        let list = |set: &[String]| -> String {
            let all = set.join(",");
            if all.len() > 1024 {
                format!("{} coordinates", set.len())
            } else {
                all
            }
        };
        format!(
            "{}; rev={}; mask=\"{}\"; redact=\"{}\"; reveal=\"{}\"",
            self.record.decision_id,
            self.record.revision,
            list(&self.record.mask_set),
            list(&self.record.redact_set),
            list(&self.record.revealed),
        )
    }
}
