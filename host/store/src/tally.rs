//! What happened in a time, by node and revision: what a canary is judged by. Gateways and guards apart.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{StoreError, failed};
use crate::pool::{Store, reading};
use crate::record::Kind;

/// Requests of one node under one revision. A guard's are requests or connections to stores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Whose decisions: a gateway's, also where no filter decided, or the guards'.
    pub kind: Decider,
    /// The gateway's or sidecar's node id.
    pub node: String,
    /// The policies' revision. Empty: no filter decided, and the response was 500 or more, as when a filter
    /// crashed or was not there.
    pub revision: String,
    /// Requests.
    pub requests: u64,
    /// Answered under the decision.
    pub allowed: u64,
    /// Refused before the upstream saw them.
    pub denied: u64,
    /// Masking failures: the response was withheld or cut off. Of guards: nothing could be decided, or the
    /// store did not speak its protocol.
    pub failed: u64,
    /// The client or the upstream went away.
    pub incomplete: u64,
    /// The upstream gave no response.
    pub unavailable: u64,
    /// Responses of 500 or more, those of `unavailable` among them.
    pub server_errors: u64,
    /// Responses of 500 or more without those of `unavailable`.
    pub server_errors_answered: u64,
    /// Half of the requests took no longer, in milliseconds.
    pub duration_p50_ms: Option<u64>,
    /// 95 of 100 requests took no longer, in milliseconds.
    pub duration_p95_ms: Option<u64>,
    /// The gateway's own share, half of the requests: until it asked the upstream, and after the last byte
    /// of the answer; in microseconds. Requests that reached no upstream have none.
    pub own_p50_us: Option<u64>,
    /// The same for 95 of 100 requests.
    pub own_p95_us: Option<u64>,
    /// Values that were masked.
    pub masked: u64,
}

/// Who decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decider {
    /// The filters of a gateway.
    #[default]
    Gateway,
    /// The guards of a sidecar.
    Guard,
}

type Row = (
    i64,
    i64,
    String,
    String,
    String,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    i64,
    i64,
);

const SQL: &str = "SELECT time_ms, seq, node, revision, outcome, response_code, duration_ms, own_us, \
    masked, kind FROM decisions WHERE time_ms >= $1 AND time_ms < $2 AND kind <> $3 \
    AND (time_ms, seq) > ($4, $5) AND seq > $6 ORDER BY time_ms, seq LIMIT $7";

/// Rows that are read at once.
const PAGE: i64 = 20_000;

impl Store {
    /// Counts the requests that began from `since_unix_ms` on and before `until_unix_ms`.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn tally(
        &self,
        since_unix_ms: i64,
        until_unix_ms: i64,
    ) -> Result<Vec<Tally>, StoreError> {
        self.tally_after(since_unix_ms, until_unix_ms, i64::MIN)
            .await
    }

    /// The newest decision that is stored, as [`Store::tally_after`] takes it; 0 if there is none.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn newest(&self) -> Result<i64, StoreError> {
        let newest: Option<i64> = reading!(self, pool => {
            sqlx::query_scalar("SELECT MAX(seq) FROM decisions").fetch_one(pool).await
        })
        .map_err(failed("find its newest decision"))?;
        Ok(newest.unwrap_or_default())
    }

    /// The same of what was stored after a decision, whatever the time of that one.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn tally_after(
        &self,
        since_unix_ms: i64,
        until_unix_ms: i64,
        newest: i64,
    ) -> Result<Vec<Tally>, StoreError> {
        let mut sums: BTreeMap<(Decider, String, String), Sum> = BTreeMap::new();
        // One lower bound, which the index begins at: the last row of the page before.
        let mut after = (since_unix_ms, i64::MIN);
        loop {
            let rows: Vec<Row> = reading!(self, pool => {
                sqlx::query_as(SQL)
                    .bind(after.0)
                    .bind(until_unix_ms)
                    .bind(Kind::Opa.number())
                    .bind(after.0)
                    .bind(after.1)
                    .bind(newest)
                    .bind(PAGE)
                    .fetch_all(pool)
                    .await
            })
            .map_err(failed("count decisions"))?;
            let Some(last) = rows.last() else {
                break;
            };
            after = (last.0, last.1);
            for row in rows {
                let (_, _, node, revision, outcome, code, duration, own, masked, kind) = row;
                let decider = match Kind::of(kind) {
                    Some(Kind::Guard) => Decider::Guard,
                    _ => Decider::Gateway,
                };
                let sum = sums.entry((decider, node, revision)).or_default();
                sum.add(&outcome, code, duration, own, masked);
            }
        }
        let tallies = sums.into_iter().map(|((kind, node, revision), sum)| Tally {
            kind,
            node,
            revision,
            ..sum.tally()
        });
        Ok(tallies.collect())
    }
}

#[derive(Default)]
struct Sum {
    tally: Tally,
    durations: Vec<u64>,
    own: Vec<u64>,
}

impl Sum {
    fn add(
        &mut self,
        outcome: &str,
        code: Option<i64>,
        duration: Option<i64>,
        own: Option<i64>,
        masked: i64,
    ) {
        let tally = &mut self.tally;
        tally.requests += 1;
        match outcome {
            "allowed" => tally.allowed += 1,
            "denied" => tally.denied += 1,
            "failed" => tally.failed += 1,
            "incomplete" => tally.incomplete += 1,
            "unavailable" => tally.unavailable += 1,
            _ => {}
        }
        if code.is_some_and(|code| code >= 500) {
            tally.server_errors += 1;
            tally.server_errors_answered += u64::from(outcome != "unavailable");
        }
        tally.masked += u64::try_from(masked).unwrap_or_default();
        let known = |value: Option<i64>| value.and_then(|v| u64::try_from(v).ok());
        self.durations.extend(known(duration));
        self.own.extend(known(own));
    }

    fn tally(mut self) -> Tally {
        self.durations.sort_unstable();
        self.own.sort_unstable();
        Tally {
            duration_p50_ms: percentile(&self.durations, 50),
            duration_p95_ms: percentile(&self.durations, 95),
            own_p50_us: percentile(&self.own, 50),
            own_p95_us: percentile(&self.own, 95),
            ..self.tally
        }
    }
}

/// The nearest rank: the smallest value that `percent` of a hundred do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<u64> = (1..=10).collect();
        assert_eq!(percentile(&values, 50), Some(5));
        assert_eq!(percentile(&values, 95), Some(10));
        assert_eq!(percentile(&[7], 50), Some(7));
        assert_eq!(percentile(&[], 95), None);
    }
}
