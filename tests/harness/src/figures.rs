//! What running a filter cost.

use std::collections::BTreeMap;

/// Costs of a VM since it was loaded, or of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Fuel: about one a WebAssembly instruction. It does not depend on the machine.
    pub fuel: u64,
    /// Linear memory now, in bytes. WebAssembly memory never shrinks.
    pub memory: usize,
    /// The most linear memory that there was, in bytes; over reloads too.
    pub memory_peak: usize,
    /// Host calls by name: proxy-wasm's, and of WASI's `fd_write`, `sched_yield` and
    /// `poll_oneoff`.
    pub host_calls: BTreeMap<&'static str, u64>,
    /// Every callback in order (streams only).
    pub callbacks: Vec<CallbackFigures>,
}

/// Cost of one callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackFigures {
    /// Position of the filter in the chain.
    pub filter: usize,
    /// The callback, such as `proxy_on_request_headers`.
    pub name: &'static str,
    /// Fuel that it burnt.
    pub fuel: u64,
    /// Host calls that it made.
    pub host_calls: u64,
    /// What it returned; `None` if it trapped or returns nothing.
    pub returned: Option<i32>,
}

impl Figures {
    /// Host calls, all names together.
    pub fn host_call_count(&self) -> u64 {
        self.host_calls.values().sum()
    }

    /// How often a host function was called.
    pub fn host_calls_of(&self, name: &str) -> u64 {
        self.host_calls.get(name).copied().unwrap_or(0)
    }

    /// Fuel that the callbacks of a name burnt together.
    pub fn fuel_of(&self, callback: &str) -> u64 {
        self.callbacks
            .iter()
            .filter(|own| own.name == callback)
            .map(|own| own.fuel)
            .sum()
    }
}
