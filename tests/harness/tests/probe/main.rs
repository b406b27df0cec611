//! The host, call by call and phase by phase, asked by a filter that does what its configuration
//! says (`guest.rs`).

mod support;

mod bodies;
mod callouts;
mod chain;
mod lifecycle;
mod local_replies;
mod maps_and_buffers;
mod properties;
mod refusals;
mod shared;
mod tcp;
