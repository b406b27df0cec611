//! A proxy-wasm host on wasmtime: runs Envoy filters in a test, without Envoy.
//!
//! The same `.wasm` that Envoy loads is loaded here, gets the same host calls (ABI 0.1.0, 0.2.0 and
//! 0.2.1, whole) and the same order of callbacks, and is held and let go as Envoy does it. Time and
//! randomness are virtual, so a run can be repeated exactly.
//!
//! ```no_run
//! use harness::{Exchange, Message, PluginOptions, Vm, VmOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wasm = std::fs::read("filter.wasm")?;
//! let options = VmOptions { env: vec![("KEY".into(), "value".into())], ..VmOptions::default() };
//! let vm = Vm::load(&wasm, options)?;
//! let plugin = vm.plugin(PluginOptions {
//!     configuration: br#"{"mode": "strict"}"#.to_vec(),
//!     allow_on_headers_stop_iteration: true,
//!     ..PluginOptions::default()
//! })?;
//!
//! let outcome = Exchange::new(
//!     Message::post("/graphql", r#"{"query": "{ me { email } }"}"#),
//!     Message::json(200, r#"{"data": {"me": {"email": "ann@example.test"}}}"#),
//! )
//! .with_claims(serde_json::json!({"sub": "ann", "roles": ["analyst"]}))
//! .run(&plugin)?;
//!
//! assert_eq!(outcome.status(), Some(200));
//! assert!(!outcome.text().contains("ann@example.test"));
//! assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
//! # Ok(())
//! # }
//! ```
//!
//! - [`Host`] is a proxy process: clock, log, metrics, shared data, clusters for callouts.
//! - [`Vm`] is an instance of a module, [`Plugin`] a configuration in it, [`Chain`] several plugins
//!   that a stream passes.
//! - [`Exchange`] runs a whole exchange; [`HttpStream`] and [`TcpStream`] are driven event by event.
//! - [`splits`] cuts bodies; [`Exchange::run_under_splits`] runs all cuts.
//! - [`check_imports`] says whether Envoy would load a module.
//!
//! What filters do is never an error: a trap, a refusal or a hang is part of the outcome.

mod abi;
mod error;
mod exchange;
mod figures;
mod headers;
mod host;
mod hostcalls;
mod properties;
pub mod recorded;
pub mod splits;
mod stream;
mod vm;

pub use abi::{
    AbiVersion, BufferType, ENV_IMPORTS, ImportReport, LogLevel, MapType, MetricType, PeerType,
    Status, StreamType, WASI_IMPORTS, check_imports, decode_pairs, encode_pairs,
};
pub use error::Error;
pub use exchange::{EndOfBody, Exchange, Message, Outcome};
pub use figures::{CallbackFigures, Figures};
pub use headers::Headers;
pub use host::{
    ForeignCall, GrpcAnswer, GrpcCall, GrpcEvent, Histogram, Host, HttpAnswer, HttpCall, LogLine,
    Metric, Metrics, Trap,
};
pub use stream::{
    Chain, Delivered, Direction, HttpStream, LocalReply, LocalReplyRecord, Property, ReplyPath,
    StreamInfo, TcpStream,
};
pub use vm::{FailurePolicy, Plugin, PluginOptions, Vm, VmOptions};
