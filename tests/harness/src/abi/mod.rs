//! The proxy-wasm ABI: numbers, encodings and the list of functions of versions 0.1.0, 0.2.0 and
//! 0.2.1, as Envoy's host implements them.

mod imports;
mod pairs;
mod types;

pub(crate) use imports::report as import_report;
pub use imports::{ENV_IMPORTS, ImportReport, WASI_IMPORTS, check_imports};
pub use pairs::{decode_pairs, encode_pairs};
pub use types::{
    AbiVersion, BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType,
};
