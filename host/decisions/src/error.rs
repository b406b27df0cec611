use std::path::PathBuf;

/// What a sink says when it can't store.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Why decisions can't be read.
#[derive(Debug, thiserror::Error)]
pub enum DecisionsError {
    /// A file can't be read.
    #[error("can't read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The mask policy can't be used.
    #[error("the mask policy {path} can't be used")]
    Mask {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: engine::policy::PolicyError,
    },
    /// There is no mask policy where one should be.
    #[error("the mask policy {0} holds no .rego file")]
    NoMask(PathBuf),
    /// The mask policy takes nothing out.
    #[error(
        "the mask policy {0} has no rule `mask` or `drop` in the package system.log, so that it would take nothing \
         out"
    )]
    NoRule(PathBuf),
    /// What was read can't be stored.
    #[error("can't store decisions")]
    Sink(#[source] SinkError),
    /// The transport failed.
    #[error("receiving access logs failed")]
    Transport(#[from] tonic::transport::Error),
}
