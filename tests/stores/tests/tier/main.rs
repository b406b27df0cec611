//! Stores and clients as they are, guards as they are: what gets through, and what does not.

mod agent;
mod bolt;
mod closed;
mod decisions;
mod neo4j;
mod objects;
mod opening;
mod postgres;
