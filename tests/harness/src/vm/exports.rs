//! The callbacks that a guest may export, with the number of their parameters.

use crate::abi::AbiVersion;
use crate::error::Error;
use std::collections::HashMap;
use wasmtime::{AsContextMut, Func, Instance, TypedFunc};

/// Callbacks and how many 32-bit integers each takes. Those that a guest lacks are not called.
const CALLBACKS: &[(&str, usize)] = &[
    ("proxy_on_context_create", 2),
    ("proxy_on_vm_start", 2),
    ("proxy_validate_configuration", 2),
    ("proxy_on_configure", 2),
    ("proxy_on_tick", 1),
    ("proxy_on_queue_ready", 2),
    ("proxy_on_foreign_function", 3),
    ("proxy_on_new_connection", 1),
    ("proxy_on_downstream_data", 3),
    ("proxy_on_upstream_data", 3),
    ("proxy_on_downstream_connection_close", 2),
    ("proxy_on_upstream_connection_close", 2),
    ("proxy_on_request_headers", 3),
    ("proxy_on_request_body", 3),
    ("proxy_on_request_trailers", 2),
    ("proxy_on_request_metadata", 2),
    ("proxy_on_response_headers", 3),
    ("proxy_on_response_body", 3),
    ("proxy_on_response_trailers", 2),
    ("proxy_on_response_metadata", 2),
    ("proxy_on_http_call_response", 5),
    ("proxy_on_grpc_receive_initial_metadata", 3),
    ("proxy_on_grpc_receive", 3),
    ("proxy_on_grpc_receive_trailing_metadata", 3),
    ("proxy_on_grpc_close", 3),
    ("proxy_on_done", 1),
    ("proxy_on_log", 1),
    ("proxy_on_delete", 1),
];

/// Callbacks that ABI 0.1.0 has without the flag for the end of the stream.
const WITHOUT_END_IN_0_1_0: &[&str] = &["proxy_on_request_headers", "proxy_on_response_headers"];

/// A callback: the function, how many parameters it takes, whether it returns a number.
#[derive(Clone, Copy)]
pub(super) struct Callback {
    pub(super) function: Func,
    pub(super) parameters: usize,
    pub(super) returns: bool,
}

/// The allocator that the host uses for what it hands to the guest.
pub(super) fn allocator(
    instance: &Instance,
    mut store: impl AsContextMut,
) -> Result<TypedFunc<i32, i32>, Error> {
    ["proxy_on_memory_allocate", "malloc"]
        .iter()
        .find_map(|name| instance.get_typed_func(&mut store, name).ok())
        .ok_or(Error::MissingExport("proxy_on_memory_allocate` or `malloc"))
}

/// Finds every callback that the guest exports and checks its parameters.
pub(super) fn callbacks(
    instance: &Instance,
    mut store: impl AsContextMut,
    abi: AbiVersion,
) -> Result<HashMap<&'static str, Callback>, Error> {
    let mut found = HashMap::new();
    for &(name, expected) in CALLBACKS {
        let Some(function) = instance.get_func(&mut store, name) else {
            continue;
        };
        let kind = function.ty(&store);
        let parameters = kind.params().len();
        let short = abi == AbiVersion::V0_1_0 && WITHOUT_END_IN_0_1_0.contains(&name);
        if parameters != expected && !(short && parameters + 1 == expected) {
            return Err(Error::ExportSignature {
                name,
                expected,
                found: parameters,
            });
        }
        let returns = kind.results().len() == 1;
        found.insert(
            name,
            Callback {
                function,
                parameters,
                returns,
            },
        );
    }
    Ok(found)
}
