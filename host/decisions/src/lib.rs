//! Reads what gateways and policy agents decided: from the gateways' log files as they grow, from Envoy's
//! gRPC access log service, and from the decision log API of Open Policy Agents.
//!
//! What is read is handed to a [`Sink`] in batches, each with how far its source is read by it. The sink
//! stores both or neither, so that after a crash reading goes on where storing ended. A file is the durable
//! way: what a gateway streams while nobody listens is lost.
//!
//! # Invariants
//! - A line is not passed over silently: it is a decision, none, or a gap that says where and why.
//! - Checkpoints stand at the beginning of a line.
//! - Where a connection proves who sends, it sends decisions of its own node alone ([`Sender`]).
//! - Where a mask policy is configured, nothing is stored unmasked: if it fails, without its input.

mod config;
mod error;
mod files;
mod follow;
mod grpc;
mod intake;
mod line;
mod mask;
mod opa;
mod pointer;
mod record;
pub mod run;
mod sender;
mod split;
mod time;

pub use config::DecisionsConfig;
pub use error::{DecisionsError, SinkError};
pub use grpc::{
    serve as serve_access_log_service, serve_incoming as serve_access_log_service_incoming,
};
pub use mask::MaskPolicy;
pub use opa::router;
pub use record::{Batch, Checkpoint, FileId, Gap, Kind, Record, Sink};
pub use sender::Sender;
