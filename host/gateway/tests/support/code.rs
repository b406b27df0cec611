//! Wasm filters small enough to be written by hand: each does one thing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a filter does with a request's headers.
pub enum Does {
    /// Nothing.
    Continue,
    /// It traps.
    Trap,
    /// It names the cluster and has the route chosen anew.
    Route(&'static str),
}

/// A filter's code: what it says to its configuration, and what it does.
pub fn code(accepts_configuration: bool, does: &Does) -> Vec<u8> {
    let mut data = String::new();
    let body = match does {
        Does::Continue => "i32.const 0".to_owned(),
        Does::Trap => "unreachable".to_owned(),
        Does::Route(cluster) => {
            let set = set_header(&mut data, gateway::ROUTE_HEADER, cluster);
            let name = "clear_route_cache";
            let _ = write!(data, "(data (i32.const 512) \"{name}\")");
            format!(
                "{set}
                (drop (call $foreign (i32.const 512) (i32.const {}) (i32.const 0) (i32.const 0)
                    (i32.const 768) (i32.const 772)))
                i32.const 0",
                name.len()
            )
        }
    };
    let module = format!(
        r#"(module
          (import "env" "proxy_replace_header_map_value"
            (func $set (param i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_call_foreign_function"
            (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 2)
          {data}
          (global $free (mut i32) (i32.const 4096))
          (func (export "malloc") (param $size i32) (result i32)
            (global.get $free)
            (global.set $free (i32.add (global.get $free) (local.get $size))))
          (func (export "_initialize"))
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "proxy_on_context_create") (param i32 i32))
          (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
          (func (export "proxy_on_configure") (param i32 i32) (result i32)
            i32.const {accepts})
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body}))"#,
        accepts = i32::from(accepts_configuration),
    );
    wat::parse_str(module).unwrap()
}

/// Writes a filter's code to a file of this name.
pub fn write(dir: &Path, name: &str, code: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, code).unwrap();
    path
}

fn set_header(data: &mut String, name: &str, value: &str) -> String {
    let _ = write!(
        data,
        "(data (i32.const 16) \"{name}\") (data (i32.const 256) \"{value}\")"
    );
    format!(
        "(drop (call $set (i32.const 0) (i32.const 16) (i32.const {}) (i32.const 256) (i32.const {})))",
        name.len(),
        value.len()
    )
}
