//! GraphQL operations: reading a document and choosing the operation that runs.

mod argument;
mod document;
mod error;
mod read;
mod request;

pub use argument::{Argument, ArgumentValue};
pub use document::{
    Directive, Document, Field, FieldIndex, Operation, Selection, SetIndex, Variable,
};
pub use error::GraphqlError;
pub use request::{GraphqlRequest, PersistedId, RequestError, Requests, SpelledOut};

/// Bounds on a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of the document.
    pub tokens: usize,
    /// Nested selection sets, lists and objects, fragments not followed.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tokens: 10_000,
            depth: 64,
        }
    }
}

#[cfg(test)]
mod tests;
