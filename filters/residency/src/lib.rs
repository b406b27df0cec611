//! The residency filter: a tenant's requests go to its region, or nowhere.
//!
//! Only translation happens here; what is decided is in [`engine::residency`].

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

use std::cell::RefCell;
use std::rc::Rc;

use engine::audit::Outcome;
use engine::filter::Headers;
use engine::reply::Reply;
use engine::residency::{Residency, WarrantFate};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType};
use shell::{MetadataClaims, Metric, SharedUses};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { filter: None }));
}}

#[derive(Clone, Copy)]
struct Metrics {
    allowed: Metric,
    denied: Metric,
    failed: Metric,
    warrants_used: Metric,
    warrants_refused: Metric,
}

struct Loaded {
    residency: RefCell<Residency>,
    claims: Vec<String>,
    trace: bool,
    metrics: Metrics,
}

struct Root {
    filter: Option<Rc<Loaded>>,
}

impl Context for Root {}

impl Root {
    fn load(config: &[u8]) -> Result<Loaded, String> {
        let residency =
            Residency::configure(config, shell::environment).map_err(|e| e.to_string())?;
        if !residency.has_keys() {
            let variable = &residency.config().keys_env;
            let message = format!(
                "ig.residency: {variable} is not set: requests carry no context token, and guards deny"
            );
            shell::log(LogLevel::Warn, &message);
        }
        Ok(Loaded {
            claims: residency.config().claims.clone(),
            trace: residency.config().trace,
            residency: RefCell::new(residency),
            metrics: Metrics {
                allowed: Metric::counter("ig.residency.allowed"),
                denied: Metric::counter("ig.residency.denied"),
                failed: Metric::counter("ig.residency.failed"),
                warrants_used: Metric::counter("ig.residency.warrants_used"),
                warrants_refused: Metric::counter("ig.residency.warrants_refused"),
            },
        })
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        self.filter = shell::configured("ig.residency", size, Self::load).map(Rc::new);
        self.filter.is_some()
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            filter: self.filter.clone(),
        }))
    }
}

struct Stream {
    filter: Option<Rc<Loaded>>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let unavailable = |reason: &str| {
            shell::send(&Reply::problem(503, "RESIDENCY_UNAVAILABLE", reason));
            Action::Pause
        };
        let Some(loaded) = &self.filter else {
            return unavailable("the residency filter has no configuration");
        };
        let Ok(mut residency) = loaded.residency.try_borrow_mut() else {
            loaded.metrics.failed.add(1);
            return unavailable("the residency filter is not in working order");
        };
        let headers = shell::headers(MapType::HttpRequestHeaders);
        let routing = residency.route(
            Headers(&headers),
            &MetadataClaims::read(&loaded.claims),
            shell::now().as_secs(),
            &mut SharedUses,
        );
        match routing.warrant {
            Some(WarrantFate::Used) => loaded.metrics.warrants_used.add(1),
            Some(WarrantFate::Refused) => loaded.metrics.warrants_refused.add(1),
            Some(WarrantFate::Unneeded) | None => {}
        }
        match engine::audit::json(&routing.record) {
            Some(json) => shell::leave_record("ig.residency", &json),
            None => return unavailable("the decision can't be recorded"),
        }
        if let (true, Some(region)) = (loaded.trace, &routing.record.region_dst) {
            // For spans, also of what is refused.
            shell::leave_record("ig.region_dst", region);
        }
        match routing.effect {
            Ok(edits) => {
                debug_assert_eq!(routing.record.outcome, Outcome::Allowed);
                let routed = shell::edit(MapType::HttpRequestHeaders, &edits)
                    .and_then(|()| shell::clear_route_cache());
                if routed.is_err() {
                    loaded.metrics.failed.add(1);
                    return unavailable("the request could not be routed to its region");
                }
                loaded.metrics.allowed.add(1);
                Action::Continue
            }
            Err(reply) => {
                loaded.metrics.denied.add(1);
                shell::send(&reply);
                Action::Pause
            }
        }
    }
}
