//! A filter that does nothing: the floor for what any Wasm filter costs. Of requests, or with the
//! configuration `tcp` of connections.

#![expect(
    missing_docs,
    reason = "the entry point that the SDK's macro exports has none"
)]

use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::ContextType;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { tcp: false }));
}}

struct Root {
    tcp: bool,
}

struct Noop;

impl Context for Root {}

impl Context for Noop {}

impl HttpContext for Noop {}

impl StreamContext for Noop {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.tcp = self.get_plugin_configuration().as_deref() == Some(b"tcp");
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(match self.tcp {
            true => ContextType::StreamContext,
            false => ContextType::HttpContext,
        })
    }

    fn create_stream_context(&self, _: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Noop))
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Noop))
    }
}
