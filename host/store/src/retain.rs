//! Forgetting what is old.

use crate::error::{StoreError, failed};
use crate::pool::{Store, reading, writing};

/// Rows that are deleted at once: who stores waits no longer than that takes.
const ROWS: i64 = 1_000;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

const DECISIONS: &str = "DELETE FROM decisions WHERE seq IN \
    (SELECT seq FROM decisions WHERE time_ms < $1 ORDER BY time_ms LIMIT $2)";

const GAPS: &str = "DELETE FROM gaps WHERE seq IN \
    (SELECT seq FROM gaps WHERE time_ms < $1 ORDER BY time_ms LIMIT $2)";

impl Store {
    /// Deletes what is older than it is kept, and says how many decisions that were. Age is counted from
    /// `now_unix_ms` or from the newest decision, whichever is earlier: a clock that jumps ahead deletes
    /// nothing.
    ///
    /// # Errors
    /// The database refuses or can't be reached. What was deleted until then is deleted.
    pub async fn retain(&self, now_unix_ms: i64) -> Result<u64, StoreError> {
        if self.retain_days == 0 {
            return Ok(0);
        }
        let newest: Option<i64> = reading!(self, pool => {
            sqlx::query_scalar("SELECT MAX(time_ms) FROM decisions").fetch_one(pool).await
        })
        .map_err(failed("find its newest decision"))?;
        let Some(newest) = newest else {
            return Ok(0);
        };
        let before = newest.min(now_unix_ms) - i64::from(self.retain_days) * DAY_MS;
        let mut deleted = 0;
        for sql in [GAPS, DECISIONS] {
            loop {
                let gone = writing!(self, pool => {
                    let done = sqlx::query(sql).bind(before).bind(ROWS).execute(pool).await;
                    done.map(|d| d.rows_affected())
                })
                .map_err(failed("delete what is old"))?;
                if sql == DECISIONS {
                    deleted += gone;
                }
                if gone < ROWS.cast_unsigned() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(deleted)
    }
}
