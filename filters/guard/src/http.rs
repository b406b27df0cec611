//! Requests to stores that are spoken to by HTTP.

use std::rc::Rc;

use engine::filter::Headers;
use engine::guard::DenialKind;
use engine::reply::Reply;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use crate::{Loaded, record};

pub struct Stream(pub(crate) Option<Rc<Loaded>>);

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let unavailable = |reason: &str| {
            if let Some(loaded) = &self.0 {
                loaded.metrics.failed.add(1);
            }
            shell::send(&Reply::problem(503, "GUARD_UNAVAILABLE", reason));
            Action::Pause
        };
        let Some(loaded) = &self.0 else {
            return unavailable("the guard has no configuration");
        };
        let Some(mut guard) = loaded.guard() else {
            return unavailable("the guard is not in working order");
        };
        let headers = shell::headers(MapType::HttpRequestHeaders);
        let ruling = guard.http(Headers(&headers), shell::now().as_secs());
        if !record(&ruling.record) {
            return unavailable("the decision can't be recorded");
        }
        match ruling.effect {
            Ok(edits) => {
                let routed = shell::edit(MapType::HttpRequestHeaders, &edits)
                    .and_then(|()| shell::clear_route_cache());
                if routed.is_err() {
                    let reason = "the request could not be routed to its store";
                    record(&ruling.record.undone(reason));
                    return unavailable(reason);
                }
                loaded.metrics.allowed.add(1);
                Action::Continue
            }
            Err(reply) => {
                loaded
                    .metrics
                    .refuse(ruling.fault.unwrap_or(DenialKind::Failed));
                shell::send(&reply);
                Action::Pause
            }
        }
    }
}
