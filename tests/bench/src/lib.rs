//! Benchmarks only: `just bench`.
