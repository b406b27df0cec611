//! Receives the spans that gateways send by OTLP, and remembers the newest: who wants to know which
//! regions a request touched asks by its trace id (W3C Trace Context).

mod error;
pub mod run;
mod span;
mod store;

pub use error::ServeError;
pub use span::Span;
pub use store::{Spans, Summary};
