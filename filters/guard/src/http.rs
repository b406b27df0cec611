//! Requests to stores that are spoken to by HTTP.

use std::rc::Rc;

use engine::filter::Headers;
use engine::reply::Reply;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use crate::{Loaded, record};

pub struct Stream(pub(crate) Option<Rc<Loaded>>);

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let unavailable = |reason: &str| {
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
        loaded.metrics.count(ruling.fault.map_or(Ok(()), Err));
        if !record(&ruling.record) {
            return unavailable("the decision can't be recorded");
        }
        match ruling.effect {
            Ok(edits) => {
                let routed = shell::edit(MapType::HttpRequestHeaders, &edits)
                    .and_then(|()| shell::clear_route_cache());
                match routed {
                    Ok(()) => Action::Continue,
                    Err(_) => unavailable("the request could not be routed to its store"),
                }
            }
            Err(reply) => {
                shell::send(&reply);
                Action::Pause
            }
        }
    }
}
