//! The protocol over loopback, by a raw gRPC client: both variants, against the protocol's text.

mod delta;
mod groups;
mod many;
mod nonces;
mod order;
mod refusals;
mod rollout;
mod sotw;
mod subscriptions;
mod support;
