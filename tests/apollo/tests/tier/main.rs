//! What callers of the gateway see of real GraphQL servers.

mod audit;
mod callers;
mod errors;
mod federation;
mod http;
mod introspection;
mod support;
