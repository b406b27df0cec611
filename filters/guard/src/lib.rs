//! The guard: services open stores of their tenant's region, or none.
//!
//! One module with two kinds of contexts, by what the configured store speaks: of requests ([`http`])
//! and of connections ([`tcp`]). Only translation happens here; what is decided is in
//! [`engine::guard`].

#![expect(
    missing_docs,
    reason = "the entry point that the SDK's macro exports has none"
)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod http;
mod tcp;

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::time::Duration;

use engine::guard::{DenialKind, Guard};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{ContextType, LogLevel};
use shell::Metric;

/// How often connections are looked at that have taken too long or are to be closed.
const LOOK: Duration = Duration::from_millis(100);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { loaded: None, http: true }));
}}

#[derive(Clone, Copy)]
struct Metrics {
    allowed: Metric,
    denied: Metric,
    malformed: Metric,
    failed: Metric,
}

impl Metrics {
    /// Counts what is not let through.
    fn refuse(self, kind: DenialKind) {
        match kind {
            DenialKind::Malformed => self.malformed.add(1),
            DenialKind::Context | DenialKind::Rules => self.denied.add(1),
            DenialKind::Failed => self.failed.add(1),
        }
    }
}

struct Loaded {
    guard: RefCell<Guard>,
    /// Whether the store is spoken to by HTTP.
    http: bool,
    metrics: Metrics,
    /// Milliseconds that a connection has to be let in.
    opening_ms: u64,
    waiting: RefCell<tcp::Waiting>,
}

impl Loaded {
    fn load(config: &[u8]) -> Result<Self, String> {
        let guard = Guard::configure(config, shell::environment).map_err(|e| e.to_string())?;
        let http = guard.config().store.kind.is_http();
        if !http && hostcalls::set_tick_period(LOOK).is_err() {
            return Err("the proxy has no clock".to_owned());
        }
        Ok(Self {
            http,
            opening_ms: guard.config().limits.opening_ms,
            guard: RefCell::new(guard),
            metrics: Metrics {
                allowed: Metric::counter("ig.guard.allowed"),
                denied: Metric::counter("ig.guard.denied"),
                malformed: Metric::counter("ig.guard.malformed"),
                failed: Metric::counter("ig.guard.failed"),
            },
            waiting: RefCell::default(),
        })
    }

    /// The guard, unless it is not in working order.
    fn guard(&self) -> Option<RefMut<'_, Guard>> {
        self.guard.try_borrow_mut().ok()
    }
}

struct Root {
    loaded: Option<Rc<Loaded>>,
    http: bool,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        self.loaded = shell::configured("ig.guard", size, Loaded::load).map(Rc::new);
        self.http = self.loaded.as_ref().is_none_or(|loaded| loaded.http);
        self.loaded.is_some()
    }

    fn on_tick(&mut self) {
        if let Some(loaded) = &self.loaded {
            tcp::look(loaded);
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(match self.http {
            true => ContextType::HttpContext,
            false => ContextType::StreamContext,
        })
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(http::Stream(self.loaded.clone())))
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(tcp::Stream::new(id, self.loaded.clone())))
    }
}

/// Leaves the record where the access log finds it.
fn record(record: &engine::guard::EgressRecord) -> bool {
    let json = engine::audit::json(record);
    json.inspect(|json| shell::leave_record("ig.egress", json))
        .is_some()
}
