//! The policies of each revision that was served, so that a decision can be explained in their words.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::error::{StoreError, failed};
use crate::pool::{Store, reading, writing};

/// Bytes of policies, unpacked.
const LARGEST: u64 = 256 << 20;

impl Store {
    /// Keeps the policies of a revision, as text. A revision is of its content: what is known is not
    /// stored again.
    ///
    /// # Errors
    /// The database refuses or can't be reached.
    pub async fn keep_revision(
        &self,
        revision: &str,
        policies: &str,
        now_unix_ms: i64,
    ) -> Result<(), StoreError> {
        const KNOWN: &str = "SELECT COUNT(*) FROM revisions WHERE revision = $1";
        const SQL: &str = "INSERT INTO revisions (revision, first_ms, policies) VALUES ($1, $2, $3) \
                           ON CONFLICT (revision) DO NOTHING";
        let fail = failed("keep the policies of a revision");
        let known: i64 = reading!(self, pool => {
            sqlx::query_scalar(KNOWN).bind(revision).fetch_one(pool).await
        })
        .map_err(&fail)?;
        if known > 0 {
            return Ok(());
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        let packed = packed
            .write_all(policies.as_bytes())
            .and_then(|()| packed.finish())
            .map_err(|error| fail(error.into()))?;
        writing!(self, pool => {
            let query = sqlx::query(SQL).bind(revision).bind(now_unix_ms).bind(packed);
            query.execute(pool).await.map_err(&fail)?;
        });
        Ok(())
    }

    /// The policies of a revision, if it was served.
    ///
    /// # Errors
    /// The database can't be read, or what it holds is damaged.
    pub async fn revision(&self, revision: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT policies FROM revisions WHERE revision = $1";
        let packed: Option<Vec<u8>> = reading!(self, pool => {
            sqlx::query_scalar(SQL).bind(revision).fetch_optional(pool).await
        })
        .map_err(failed("read the policies of a revision"))?;
        let unpack = |packed: Vec<u8>| {
            let mut text = String::new();
            GzDecoder::new(packed.as_slice())
                .take(LARGEST)
                .read_to_string(&mut text)
                .map_err(|_| StoreError::Damaged("the policies of a revision"))?;
            Ok(text)
        };
        packed.map(unpack).transpose()
    }
}
