//! A filter that copies bodies and changes nothing: the floor for any filter that touches bodies.
//!
//! Of a request it reads all headers in one call, holds them and the body until the body is whole,
//! and copies the body into the VM and back. Of a response it reads all headers in one call, removes
//! `content-length` (a filter that changes bodies does not know it), holds the headers until the
//! first part of the body, and copies every part into the VM and back as it comes. It parses
//! nothing, asks for no property, keeps no state and logs nothing.
//!
//! It needs `allow_on_headers_stop_iteration` of its plugin: without it Envoy would never show it a
//! body while headers are held.

#![expect(
    missing_docs,
    reason = "the entry point that the SDK's macro exports has none"
)]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, MapType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(CopyThrough));
}}

struct CopyThrough;

/// Copies a buffer in and out. What the host refuses stays as it is: nothing is protected here.
fn copy(buffer: BufferType, size: usize) {
    if size == 0 {
        return;
    }
    if let Ok(Some(bytes)) = hostcalls::get_buffer(buffer, 0, size) {
        let _ = hostcalls::set_buffer(buffer, 0, size, &bytes);
    }
}

impl Context for CopyThrough {}

impl HttpContext for CopyThrough {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let _ = hostcalls::get_map_bytes(MapType::HttpRequestHeaders);
        if end_of_stream {
            Action::Continue
        } else {
            Action::Pause
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            return Action::Pause;
        }
        copy(BufferType::HttpRequestBody, size);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let _ = hostcalls::get_map_bytes(MapType::HttpResponseHeaders);
        let _ = hostcalls::remove_map_value(MapType::HttpResponseHeaders, "content-length");
        if end_of_stream {
            Action::Continue
        } else {
            Action::Pause
        }
    }

    fn on_http_response_body(&mut self, size: usize, _: bool) -> Action {
        copy(BufferType::HttpResponseBody, size);
        Action::Continue
    }
}

impl RootContext for CopyThrough {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(CopyThrough))
    }
}
