//! engine
pub mod json;
