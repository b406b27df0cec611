//! All that touches files: keys, and the folder of a log.

mod files;
mod journal;
mod keys;

pub use files::read_folder;
pub use journal::Journal;
pub use keys::{KeyFiles, Rotated, read_public, rotate};
