//! An HTTP stream that a test drives by hand, event by event.

use crate::error::Error;
use crate::figures::{CallbackFigures, Figures};
use crate::headers::Headers;
use crate::host::Host;
use crate::stream::chain::HttpShared;
use crate::stream::state::{Fed, LocalReplyRecord};
use crate::stream::{Delivered, Direction, StreamInfo};
use crate::vm::{Plugin, VmShared};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Envoy's default of `per_connection_buffer_limit_bytes`.
pub(crate) const BUFFER_LIMIT: usize = 1 << 20;

/// HTTP filters in the order in which a request passes them; a response passes them in reverse.
/// They share filter state and dynamic metadata, and belong to one [`Host`].
#[derive(Clone)]
pub struct Chain {
    plugins: Vec<Plugin>,
    buffer_limit: usize,
}

impl Chain {
    /// A chain of plugins, first the one that sees a request first.
    ///
    /// # Panics
    ///
    /// If there is no plugin or they belong to different hosts.
    pub fn new<'a>(plugins: impl IntoIterator<Item = &'a Plugin>) -> Self {
        let plugins: Vec<Plugin> = plugins.into_iter().cloned().collect();
        assert!(!plugins.is_empty(), "a chain needs a plugin");
        let host = plugins[0].host();
        let one_host = plugins
            .iter()
            .all(|plugin| Arc::ptr_eq(&plugin.host().0, &host.0));
        assert!(one_host, "the plugins of a chain must belong to one host");
        Self {
            plugins,
            buffer_limit: BUFFER_LIMIT,
        }
    }

    /// Sets `per_connection_buffer_limit_bytes`; 1 MiB at first.
    pub fn with_buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = bytes;
        self
    }

    /// The process that the plugins belong to.
    pub fn host(&self) -> Host {
        self.plugins[0].host()
    }

    /// Begins a stream.
    pub fn http(&self, info: StreamInfo) -> HttpStream {
        let before = vms(&self.plugins).iter().map(|vm| vm.figures()).collect();
        let plugins: Vec<_> = self
            .plugins
            .iter()
            .map(|plugin| (plugin.vm.shared.clone(), plugin.slot))
            .collect();
        let shared = HttpShared::new(&self.host().0, &plugins, info, self.buffer_limit);
        HttpStream {
            plugins: self.plugins.clone(),
            before,
            shared,
            finished: false,
        }
    }
}

impl From<&Plugin> for Chain {
    fn from(plugin: &Plugin) -> Self {
        Chain::new([plugin])
    }
}

impl From<&Chain> for Chain {
    fn from(chain: &Chain) -> Self {
        chain.clone()
    }
}

/// The VMs of plugins, each once.
fn vms(plugins: &[Plugin]) -> Vec<Arc<VmShared>> {
    let mut vms: Vec<Arc<VmShared>> = Vec::new();
    for plugin in plugins {
        if !vms.iter().any(|vm| Arc::ptr_eq(vm, &plugin.vm.shared)) {
            vms.push(plugin.vm.shared.clone());
        }
    }
    vms
}

/// An HTTP stream through a chain of filters.
///
/// After each event everything that is due at the present virtual time has happened too: answers of
/// callouts without delay, notices of queues. Dropping the stream finishes it.
pub struct HttpStream {
    plugins: Vec<Plugin>,
    before: Vec<Figures>,
    shared: Arc<HttpShared>,
    finished: bool,
}

impl HttpStream {
    /// The client sends request headers, pseudo-headers among them.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] if they were sent already.
    pub fn request_headers(
        &mut self,
        headers: impl Into<Headers>,
        end_of_stream: bool,
    ) -> Result<(), Error> {
        {
            let mut state = self.shared.lock();
            if state.fed_request != Fed::Nothing {
                return Err(Error::Misuse("request headers come once, and first"));
            }
            state.fed_request = if end_of_stream {
                Fed::End
            } else {
                Fed::Headers
            };
            state.request.headers = Some(headers.into());
            state.request.source_ended = end_of_stream;
        }
        self.shared.headers(Direction::Request, 0, end_of_stream);
        self.host().settle();
        Ok(())
    }

    /// The client sends a piece of the body. An empty piece that does not end the stream is nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before headers or after the end.
    pub fn request_body(
        &mut self,
        piece: impl AsRef<[u8]>,
        end_of_stream: bool,
    ) -> Result<(), Error> {
        self.feed_body(Direction::Request, piece.as_ref(), end_of_stream)
    }

    /// The client sends trailers, which end the request.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before headers or after the end.
    pub fn request_trailers(&mut self, trailers: impl Into<Headers>) -> Result<(), Error> {
        self.feed_trailers(Direction::Request, trailers.into())
    }

    /// The upstream sends response headers, `:status` among them. They are ignored if the proxy has
    /// answered by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] if they were sent already or if the upstream has seen no request.
    pub fn response_headers(
        &mut self,
        headers: impl Into<Headers>,
        end_of_stream: bool,
    ) -> Result<(), Error> {
        {
            let mut state = self.shared.lock();
            if state.fed_response != Fed::Nothing {
                return Err(Error::Misuse("response headers come once, and first"));
            }
            state.fed_response = if end_of_stream {
                Fed::End
            } else {
                Fed::Headers
            };
            if state.responding || state.downstream.reset.is_some() {
                return Ok(());
            }
            if state.upstream.headers.is_none() {
                state.fed_response = Fed::Nothing;
                return Err(Error::Misuse(
                    "the upstream has seen no request to respond to",
                ));
            }
            state.responding = true;
            state.response.headers = Some(headers.into());
            state.response.source_ended = end_of_stream;
        }
        self.shared.headers(Direction::Response, 0, end_of_stream);
        self.host().settle();
        Ok(())
    }

    /// The upstream sends a piece of the body.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before headers or after the end.
    pub fn response_body(
        &mut self,
        piece: impl AsRef<[u8]>,
        end_of_stream: bool,
    ) -> Result<(), Error> {
        self.feed_body(Direction::Response, piece.as_ref(), end_of_stream)
    }

    /// The upstream sends trailers, which end the response.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before headers or after the end.
    pub fn response_trailers(&mut self, trailers: impl Into<Headers>) -> Result<(), Error> {
        self.feed_trailers(Direction::Response, trailers.into())
    }

    /// The upstream's connection breaks. Before response headers Envoy answers 503 by itself.
    pub fn upstream_reset(&mut self) {
        let responding = self.shared.lock().responding;
        if responding {
            self.shared.reset("the upstream's connection broke");
        } else {
            let body = "upstream connect error or disconnect/reset before headers";
            self.shared.reply(crate::stream::LocalReply::new(
                503,
                "upstream_reset_before_response_started",
                body,
            ));
        }
        self.host().settle();
    }

    /// The client goes away.
    pub fn downstream_reset(&mut self) {
        self.shared.reset("the client went away");
        self.host().settle();
    }

    fn feed(&self, direction: Direction, end: bool) -> Result<bool, Error> {
        let mut state = self.shared.lock();
        let local = !state.replies.is_empty();
        let fed = match direction {
            Direction::Request => &mut state.fed_request,
            Direction::Response => &mut state.fed_response,
        };
        match fed {
            Fed::Nothing => return Err(Error::Misuse("body and trailers come after headers")),
            Fed::End => return Err(Error::Misuse("nothing comes after the end of the stream")),
            Fed::Headers if end => *fed = Fed::End,
            Fed::Headers => {}
        }
        // What still arrives once the proxy has answered by itself is thrown away.
        let open = !local && !state.halted(direction);
        if open && end {
            state.way(direction).source_ended = true;
        }
        Ok(open)
    }

    fn feed_body(&mut self, direction: Direction, piece: &[u8], end: bool) -> Result<(), Error> {
        if self.feed(direction, end)? && (end || !piece.is_empty()) {
            self.shared.data(direction, 0, piece.to_vec(), end);
        }
        self.host().settle();
        Ok(())
    }

    fn feed_trailers(&mut self, direction: Direction, trailers: Headers) -> Result<(), Error> {
        if self.feed(direction, true)? {
            self.shared.lock().way(direction).trailers = Some(trailers);
            self.shared.trailers(direction, 0);
        }
        self.host().settle();
        Ok(())
    }

    /// What the upstream has received so far.
    pub fn upstream(&self) -> Delivered {
        self.shared.lock().upstream.clone()
    }

    /// What the client has received so far.
    pub fn downstream(&self) -> Delivered {
        self.shared.lock().downstream.clone()
    }

    /// Local replies so far, in order, with what became of them.
    pub fn local_replies(&self) -> Vec<LocalReplyRecord> {
        self.shared.lock().replies.clone()
    }

    /// Whether the proxy answers by itself, so that no response of the upstream is wanted.
    pub fn answered_locally(&self) -> bool {
        !self.shared.lock().replies.is_empty()
    }

    /// Facts about the stream and what filters left on it.
    pub fn info(&self) -> StreamInfo {
        self.shared.lock().info.clone()
    }

    /// Things that are no error and most likely a mistake of a filter, in words.
    pub fn warnings(&self) -> Vec<String> {
        self.shared.lock().warnings.clone()
    }

    /// Every callback so far with its cost.
    pub fn callbacks(&self) -> Vec<CallbackFigures> {
        self.shared.lock().callbacks.clone()
    }

    /// What the stream cost so far, all VMs of the chain together. Memory is the sum over VMs.
    pub fn figures(&self) -> Figures {
        let mut total = Figures {
            callbacks: self.callbacks(),
            ..Figures::default()
        };
        let mut calls: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (vm, before) in vms(&self.plugins).iter().zip(&self.before) {
            let after = vm.figures();
            total.fuel += after.fuel - before.fuel;
            total.memory += after.memory;
            total.memory_peak += after.memory_peak;
            for (name, count) in after.host_calls {
                let count = count - before.host_calls_of(name);
                if count > 0 {
                    *calls.entry(name).or_default() += count;
                }
            }
        }
        total.host_calls = calls;
        total
    }

    /// The process that the stream belongs to.
    pub fn host(&self) -> Host {
        self.plugins[0].host()
    }

    /// Ends the stream: `proxy_on_log`, `proxy_on_done`, `proxy_on_delete` of every filter. Later
    /// calls do nothing.
    pub fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.shared.finish();
            self.host().settle();
        }
    }
}

impl Drop for HttpStream {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish();
        }
    }
}
