//! What callers of the gateway see of real GraphQL servers.

mod audit;
