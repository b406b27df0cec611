/// Why the store could not be used. No message holds a password.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no database that is known.
    #[error("the store's url {0}")]
    Url(String),
    /// The database can't be opened.
    #[error("can't open the store {place}")]
    Open {
        /// Where it is, without a password.
        place: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer program has changed the tables.
    #[error("the store has tables of version {found}, this program knows {known}: use a newer one")]
    Newer {
        /// The version that was found.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// The database refused, or could not be reached.
    #[error("the store failed to {what}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// What the database says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A cursor that no answer gave.
    #[error("`{0}` is no cursor: take it from the answer before")]
    Cursor(String),
    /// What is stored can't be read.
    #[error("what the store holds as {0} can't be read")]
    Damaged(&'static str),
}

pub(crate) fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::Failed {
        what,
        source: Box::new(error),
    }
}
