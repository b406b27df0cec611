//! The folder of a log, on disk: what is written, what is repaired, what is found.

mod forging;
mod journal;
mod keys;
mod stage;
mod tampering;
mod texts;
mod tools;
