//! What a filter may import. Envoy refuses a module that imports anything else when it loads it.

use crate::abi::AbiVersion;
use crate::error::Error;
use crate::vm::engine;
use wasmtime::ExternType;

/// Functions of the module `env` that Envoy offers, over all ABI versions.
pub const ENV_IMPORTS: &[&str] = &[
    "proxy_add_header_map_value",
    "proxy_call_foreign_function",
    "proxy_clear_route_cache",
    "proxy_close_stream",
    "proxy_continue_request",
    "proxy_continue_response",
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_dequeue_shared_queue",
    "proxy_done",
    "proxy_enqueue_shared_queue",
    "proxy_get_buffer_bytes",
    "proxy_get_buffer_status",
    "proxy_get_configuration",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_size",
    "proxy_get_header_map_value",
    "proxy_get_log_level",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_record_metric",
    "proxy_register_shared_queue",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_resolve_shared_queue",
    "proxy_send_local_response",
    "proxy_set_buffer_bytes",
    "proxy_set_effective_context",
    "proxy_set_header_map_pairs",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

/// Functions of the modules `wasi_snapshot_preview1` and `wasi_unstable` that Envoy offers.
pub const WASI_IMPORTS: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_read",
    "fd_seek",
    "fd_write",
    "path_open",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// What a module that passed [`check_imports`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// The ABI version that the module announces.
    pub abi: AbiVersion,
    /// Names of the proxy-wasm functions it imports, sorted.
    pub env: Vec<String>,
    /// Names of the WASI functions it imports, sorted.
    pub wasi: Vec<String>,
}

/// Checks that a module (binary or text) imports only what Envoy offers and announces an ABI
/// version.
///
/// # Errors
///
/// [`Error::Compile`] if the bytes are no module, [`Error::ForbiddenImport`] naming the first
/// import outside of the list, [`Error::NoAbiVersion`].
pub fn check_imports(wasm: &[u8]) -> Result<ImportReport, Error> {
    let module = engine::compile(wasm, None)?;
    report(&module)
}

pub(crate) fn report(module: &wasmtime::Module) -> Result<ImportReport, Error> {
    let abi = AbiVersion::EXPORTS
        .iter()
        .find(|(name, _)| module.get_export_index(name).is_some())
        .map(|(_, version)| *version)
        .ok_or(Error::NoAbiVersion)?;
    let (mut env, mut wasi) = (Vec::new(), Vec::new());
    for import in module.imports() {
        let (known, list): (&[&str], _) = match import.module() {
            "env" => (ENV_IMPORTS, &mut env),
            "wasi_snapshot_preview1" | "wasi_unstable" => (WASI_IMPORTS, &mut wasi),
            _ => (&[], &mut env),
        };
        let is_function = matches!(import.ty(), ExternType::Func(_));
        if !is_function || !known.contains(&import.name()) {
            return Err(Error::ForbiddenImport {
                module: import.module().to_owned(),
                name: import.name().to_owned(),
            });
        }
        list.push(import.name().to_owned());
    }
    env.sort();
    wasi.sort();
    Ok(ImportReport { abi, env, wasi })
}
