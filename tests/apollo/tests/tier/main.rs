//! What callers of the gateway see of real GraphQL servers.

mod audit;
mod batches;
mod callers;
mod errors;
mod federation;
mod get;
mod http;
mod incremental;
mod inference;
mod introspection;
mod merge;
mod persisted;
mod subscriptions;
mod support;
