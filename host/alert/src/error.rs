use std::path::PathBuf;

/// Why alerts can't be kept or sent.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// The book can't be read or written.
    #[error("the book of alerts {} can't be used", .path.display())]
    File {
        /// The book.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The book is no book.
    #[error("the book of alerts {} is damaged: move it away to begin a new one", .path.display())]
    Damaged {
        /// The book.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A webhook's secret is not set.
    #[error("the environment variable {0}, which holds a webhook's secret, is not set")]
    Secret(String),
}
