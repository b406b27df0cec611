//! Giving answers of callouts to the guest.

use crate::host::{CalloutEvent, GrpcEvent};
use crate::vm::shared::VmShared;
use crate::vm::store::CallResponse;

impl VmShared {
    /// Gives a callout's answer to the root context that made the call.
    pub(crate) fn deliver(&self, root: u32, token: u32, event: CalloutEvent) {
        let http = !matches!(event, CalloutEvent::Grpc(_));
        let (name, sizes, response, last) = match event {
            CalloutEvent::HttpResponse(answer) => {
                let sizes = vec![
                    answer.headers.len(),
                    answer.body.len(),
                    answer.trailers.len(),
                ];
                let response = CallResponse {
                    headers: Some(answer.headers),
                    body: Some(answer.body),
                    trailers: Some(answer.trailers),
                    ..CallResponse::default()
                };
                ("proxy_on_http_call_response", sizes, response, true)
            }
            CalloutEvent::HttpReset => {
                // WasmResult::BrokenConnection
                let response = CallResponse {
                    status: (11, "reset".into()),
                    ..Default::default()
                };
                ("proxy_on_http_call_response", vec![0, 0, 0], response, true)
            }
            CalloutEvent::Grpc(event) => grpc_callback(event, token),
        };
        {
            let mut inner = self.lock();
            let data = inner.store.data_mut();
            let open = if http {
                data.open_calls.contains(&token)
            } else {
                data.open_grpc.contains_key(&token)
            };
            // Cancelled or closed meanwhile.
            if !open {
                return;
            }
            if let Some(context) = data.contexts.get_mut(&root) {
                context.response = Some(response);
            }
            if last && http {
                data.open_calls.remove(&token);
            } else if last {
                data.open_grpc.remove(&token);
            }
        }
        let mut arguments = vec![token as i32];
        arguments.extend(sizes.iter().map(|size| *size as i32));
        self.call(root, name, &arguments);
        if let Some(context) = self.lock().store.data_mut().contexts.get_mut(&root) {
            context.response = None;
        }
    }
}

fn grpc_callback(event: GrpcEvent, token: u32) -> (&'static str, Vec<usize>, CallResponse, bool) {
    let mut response = CallResponse::default();
    // Odd tokens are calls, even ones streams, as in Envoy.
    let call = token % 2 == 1;
    match event {
        GrpcEvent::Metadata(map) => {
            let sizes = vec![map.len()];
            response.grpc_metadata = Some(map);
            (
                "proxy_on_grpc_receive_initial_metadata",
                sizes,
                response,
                false,
            )
        }
        GrpcEvent::Message(message) => {
            let sizes = vec![message.len()];
            response.grpc_message = Some(message);
            ("proxy_on_grpc_receive", sizes, response, call)
        }
        GrpcEvent::Trailers(map) => {
            let sizes = vec![map.len()];
            response.grpc_trailers = Some(map);
            (
                "proxy_on_grpc_receive_trailing_metadata",
                sizes,
                response,
                false,
            )
        }
        GrpcEvent::Close(status, text) => {
            response.status = (status, text);
            ("proxy_on_grpc_close", vec![status as usize], response, true)
        }
    }
}
