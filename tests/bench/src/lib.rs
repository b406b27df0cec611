//! Benchmarks only: `just bench`, `just bench-envoy` and `just bench-guard`.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`load`] | bodies, the operation, the filter's configuration |
//! | [`variants`] | what is compared |
//! | [`proxy`] | the Envoy under test |
//! | [`upstream`], [`ext_proc`], [`apollo`], [`postgres`] | the servers around it |
//! | [`tenants`] | a large directory, and what reads it |
//! | [`client`], [`check`], [`timing`] | asking, judging the answers, timing |
//! | [`fleet`] | sidecars that are none, and the control plane that they ask |
//! | [`memory`], [`loading`] | what is not a time a request |
//! | [`results`], [`added`], [`aims`], [`report`] | what came of it |

pub mod added;
pub mod aims;
pub mod apollo;
pub mod check;
pub mod client;
pub mod ext_proc;
pub mod fleet;
pub mod load;
pub mod loading;
pub mod memory;
pub mod postgres;
pub mod proxy;
pub mod report;
pub mod results;
pub mod tenants;
pub mod timing;
pub mod upstream;
pub mod variants;
