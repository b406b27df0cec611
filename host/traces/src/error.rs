/// Why the receiver ended.
#[derive(Debug, thiserror::Error)]
#[error("receiving spans failed")]
pub struct ServeError(#[from] tonic::transport::Error);
