//! Is it a filter? Tried before it is offered, for Envoy's refusal does not say what is wrong with it.

use anyhow::{Context, ensure};
use wasmparser::{Parser, Payload, Validator};

/// Checks that the bytes are a valid WebAssembly module, that it says which proxy-wasm ABI it speaks,
/// and that it imports from the proxy and from WASI only.
///
/// # Errors
/// It is something else; the error says where.
pub fn check(bytes: &[u8]) -> anyhow::Result<()> {
    ensure!(bytes.starts_with(b"\0asm"), "it is no WebAssembly module");
    Validator::new()
        .validate_all(bytes)
        .context("it is no valid WebAssembly module")?;
    let mut speaks = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    let known = ["env", "wasi_snapshot_preview1", "wasi_unstable"];
                    ensure!(
                        known.contains(&import.module),
                        "it imports `{}` from `{}`, which no proxy offers",
                        import.name,
                        import.module
                    );
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    speaks |= export?.name.starts_with("proxy_abi_version_");
                }
            }
            _ => {}
        }
    }
    ensure!(
        speaks,
        "it is no proxy-wasm filter: it exports no proxy_abi_version_*"
    );
    Ok(())
}

/// A filter that is valid and ends with a trap as soon as it is started.
pub fn trapping() -> Vec<u8> {
    let export = |name: &str, kind: u8| {
        let mut bytes = vec![name.len() as u8];
        bytes.extend(name.as_bytes());
        bytes.extend([kind >> 4, kind & 15]);
        bytes
    };
    let mut exports = vec![3];
    exports.extend(export("memory", 0x20));
    exports.extend(export("proxy_abi_version_0_2_1", 0x00));
    exports.extend(export("_initialize", 0x01));
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // One type () -> (); two functions of it; one page of memory.
    module.extend([1, 4, 1, 0x60, 0, 0, 3, 3, 2, 0, 0, 5, 3, 1, 0, 1]);
    module.extend([7, exports.len() as u8]);
    module.extend(exports);
    // `end`, and `unreachable end`.
    module.extend([10, 8, 2, 2, 0, 0x0b, 3, 0, 0x00, 0x0b]);
    module
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_filters_from_anything_else() {
        check(&trapping()).expect("a filter");
        for (bytes, want) in [
            (&b"ELF"[..], "no WebAssembly module"),
            (b"\0asm\x01\0\0\0 and then nothing", "no valid WebAssembly"),
            (b"\0asm\x01\0\0\0", "exports no proxy_abi_version"),
            (b"", "no WebAssembly module"),
        ] {
            let error = format!("{:#}", check(bytes).unwrap_err());
            assert!(error.contains(want), "{error}");
        }
        let mut cut = trapping();
        cut.pop();
        assert!(check(&cut).is_err());
    }
}
