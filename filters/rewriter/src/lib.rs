//! A streaming, byte-preserving JSON rewriter (RFC 8259).
//!
//! [`Rewriter`] takes a document in chunks of any size and writes it out again, byte for byte,
//! except for the spans that a [`Program`] says must be replaced or left out. It is strict: what
//! is not JSON, repeats a member name, nests too deeply or goes on after its end is an error.
//! Memory is bounded by the nesting depth and by [`Limits`], never by the document.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod error;
mod program;
mod rewriter;
mod scan;
mod text;
mod utf8;
mod wide;

pub use error::{JsonError, Problem};
pub use program::{Action, Field, Literal, Node, NodeId, Program, SetId};
pub use rewriter::{Limits, Rewriter, Stats};
pub use text::{RawString, Scalar, push_string};
pub use wide::equal;

/// Decides what stands in the place of a value that is masked.
pub trait Masker {
    /// Writes the replacement of a scalar.
    ///
    /// `depth` counts the arrays between the field and this value. Exactly one JSON value must be
    /// appended to `out`.
    fn scalar(&mut self, mask: u32, depth: u8, value: Scalar<'_>, out: &mut Vec<u8>);

    /// Writes the replacement of a value whose content is not looked at: an object where a scalar
    /// was expected, or a string too long to hold.
    fn whole(&mut self, mask: u32, depth: u8, out: &mut Vec<u8>);

    /// Completes the replacements in `out`, which were written into it and after which only more was
    /// appended: it is about to go on. The rewriter calls this at the end of every chunk.
    fn complete(&mut self, out: &mut [u8]) {
        let _ = out;
    }
}
