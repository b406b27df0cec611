//! Connections to stores that have a protocol of their own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use engine::guard::{Connection, EgressRecord, FromClient, Route, Ruling};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, StreamContext};
use proxy_wasm::types::{Action, BufferType, LogLevel, PeerType};

use crate::{Loaded, record};

/// Milliseconds that a client has to read its refusal before its connection is closed.
const FAREWELL_MS: u64 = 200;

/// The filter state by which a filter chooses `tcp_proxy`'s cluster. Without it a connection leads where
/// the configuration says: to the responder.
const CLUSTER_STATE: &str = "envoy.tcp_proxy.cluster";

/// Connections that a clock has to look after, by the id of their context.
#[derive(Default)]
pub struct Waiting(BTreeMap<u32, Due>);

#[derive(Clone, Copy)]
struct Due {
    at: Duration,
    for_what: For,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// The client has not said what it wants.
    Opening,
    /// It has been refused.
    Closing,
    /// Nothing any more: it took too long, and its record says so.
    Expired,
}

impl Loaded {
    fn wait(&self, id: u32, for_what: For, ms: u64) {
        let at = shell::now().saturating_add(Duration::from_millis(ms));
        if let Ok(mut waiting) = self.waiting.try_borrow_mut() {
            waiting.0.insert(id, Due { at, for_what });
        }
    }

    fn forget(&self, id: u32) -> Option<For> {
        let mut waiting = self.waiting.try_borrow_mut().ok()?;
        waiting.0.remove(&id).map(|due| due.for_what)
    }

    /// Leaves the record, and counts what is not let in: what is, counts when it has been.
    fn rule(&self, ruling: &Ruling) -> bool {
        let recorded = record(&ruling.record);
        if let (true, Err(denial)) = (recorded, &ruling.verdict) {
            self.metrics.refuse(denial.kind);
        }
        recorded
    }
}

/// Closes what is due. A connection can't be closed from its own callbacks: what the proxy calls then
/// would come in while they are still running.
pub fn look(loaded: &Loaded) {
    let due: Vec<(u32, Due)> = match loaded.waiting.try_borrow() {
        Ok(waiting) if !waiting.0.is_empty() => {
            let now = shell::now();
            let due = waiting.0.iter().filter(|(_, due)| due.at <= now);
            due.map(|(id, due)| (*id, *due)).collect()
        }
        _ => return,
    };
    for (id, due) in due {
        loaded.forget(id);
        if hostcalls::set_effective_context(id).is_err() {
            continue;
        }
        if due.for_what == For::Opening {
            let ruling = loaded.guard().map(|mut guard| guard.expired());
            if let Some(ruling) = ruling {
                loaded.rule(&ruling);
            }
            loaded.wait(id, For::Expired, u64::MAX);
        }
        // The SDK asserts that this succeeds, as it does for every context of a connection.
        let _ = hostcalls::close_downstream();
    }
}

pub struct Stream {
    id: u32,
    loaded: Option<Rc<Loaded>>,
    connection: Option<Connection>,
    admitted: bool,
    routed: bool,
    /// What was allowed last.
    allowed: Option<EgressRecord>,
    failed: bool,
}

impl Stream {
    pub(crate) fn new(id: u32, loaded: Option<Rc<Loaded>>) -> Self {
        Self {
            id,
            loaded,
            connection: None,
            admitted: false,
            routed: false,
            allowed: None,
            failed: false,
        }
    }

    fn client(&mut self, size: usize, end: bool) -> Option<FromClient> {
        let loaded = self.loaded.as_ref()?;
        let bytes = shell::body(BufferType::DownstreamData, 0, size).ok()?;
        let mut guard = loaded.guard()?;
        let connection = self.connection.as_mut()?;
        let mut moved = connection.client(&mut guard, &bytes, shell::now().as_secs());
        if let Some(ruling) = &moved.ruling {
            match ruling.verdict {
                Ok(()) => drop(loaded.forget(self.id)),
                // If the other side never hangs up, the clock does.
                Err(_) => loaded.wait(self.id, For::Closing, loaded.opening_ms),
            }
            loaded.rule(ruling).then_some(())?;
            if ruling.verdict.is_ok() {
                self.allowed = Some(ruling.record.clone());
            }
        }
        if end && !connection.is_decided() {
            // Nothing more will come, so nothing can be decided.
            moved.end = true;
        }
        Some(moved)
    }

    /// Chooses the way, once: `tcp_proxy` looks for it when the connection first gets there.
    fn route(&mut self, route: Option<Route>, loaded: &Loaded) -> Option<()> {
        match (route, self.routed) {
            (None, _) | (Some(_), true) => Some(()),
            (Some(Route::Refusal), false) => {
                self.routed = true;
                Some(())
            }
            (Some(Route::Store), false) => {
                let cluster = loaded.guard()?.config().cluster.clone();
                let argument = filter_state(CLUSTER_STATE, &cluster);
                hostcalls::call_foreign_function("set_envoy_filter_state", Some(&argument)).ok()?;
                self.routed = true;
                Some(())
            }
        }
    }

    fn close_soon(&self, ms: u64) {
        if let Some(loaded) = &self.loaded {
            loaded.wait(self.id, For::Closing, ms);
        }
    }

    /// Nothing goes on: something is not as it must be.
    fn fail(&mut self) -> Action {
        if !self.failed {
            self.failed = true;
            let reason = "the connection could not be guarded and is closed";
            shell::log(LogLevel::Error, &format!("ig.guard: {reason}"));
            if let Some(loaded) = &self.loaded {
                loaded.metrics.failed.add(1);
            }
            if let Some(allowed) = self.allowed.take() {
                record(&allowed.undone(reason));
            }
        }
        self.connection = None;
        self.close_soon(0);
        Action::Pause
    }
}

impl Context for Stream {}

impl StreamContext for Stream {
    fn on_new_connection(&mut self) -> Action {
        if let Some(loaded) = &self.loaded {
            self.connection = loaded.guard().and_then(|guard| Connection::new(&guard));
            loaded.wait(self.id, For::Opening, loaded.opening_ms);
        }
        Action::Pause
    }

    fn on_downstream_data(&mut self, size: usize, end: bool) -> Action {
        if self.admitted {
            return Action::Continue;
        }
        let Some(moved) = self.client(size, end) else {
            return self.fail();
        };
        let Some(loaded) = self.loaded.clone() else {
            return self.fail();
        };
        if self.route(moved.route, &loaded).is_none() {
            return self.fail();
        }
        // Held bytes are the engine's: they would come again with the next ones.
        let changed = size > 0 || !moved.forward.is_empty();
        if changed
            && hostcalls::set_buffer(BufferType::DownstreamData, 0, size, &moved.forward).is_err()
        {
            return self.fail();
        }
        if self.allowed.take().is_some() {
            loaded.metrics.allowed.add(1);
        }
        self.admitted = self
            .connection
            .as_ref()
            .is_some_and(Connection::is_admitted);
        if moved.end {
            self.close_soon(0);
        }
        match moved.forward.is_empty() {
            true => Action::Pause,
            false => Action::Continue,
        }
    }

    fn on_upstream_data(&mut self, size: usize, end: bool) -> Action {
        if self.admitted {
            return Action::Continue;
        }
        let bytes = shell::body(BufferType::UpstreamData, 0, size);
        let (Ok(bytes), Some(connection)) = (bytes, self.connection.as_mut()) else {
            return self.fail();
        };
        let moved = connection.store(&bytes, end);
        if moved.forward != bytes
            && hostcalls::set_buffer(BufferType::UpstreamData, 0, size, &moved.forward).is_err()
        {
            return self.fail();
        }
        if moved.broken
            && let Some(loaded) = &self.loaded
            && let Some(ruling) = loaded.guard().map(|mut guard| guard.broken())
        {
            loaded.rule(&ruling);
        }
        if moved.end {
            self.close_soon(FAREWELL_MS);
        }
        Action::Continue
    }

    fn on_downstream_close(&mut self, _: PeerType) {
        let Some(loaded) = &self.loaded else { return };
        let expired = loaded.forget(self.id) == Some(For::Expired);
        let left = self
            .connection
            .as_ref()
            .is_some_and(|c| !c.is_decided() && c.has_spoken());
        if expired || !left {
            return;
        }
        if let Some(mut guard) = loaded.guard() {
            let ruling = guard.abandoned();
            drop(guard);
            loaded.rule(&ruling);
        }
    }
}

/// `SetEnvoyFilterStateArguments` of Envoy's `foreign.proto`: 1 is the path, 2 the value.
fn filter_state(path: &str, value: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(path.len() + value.len() + 8);
    for (tag, text) in [(0x0a, path), (0x12, value)] {
        message.push(tag);
        let mut size = text.len();
        while size >= 0x80 {
            message.push(u8::try_from(size & 0x7f).unwrap_or_default() | 0x80);
            size >>= 7;
        }
        message.push(u8::try_from(size).unwrap_or_default());
        message.extend(text.bytes());
    }
    message
}
