//! Compiling once: modules are shared by content within a process, and between processes as
//! serialised modules beside the test binaries.

use crate::error::Error;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use wasmtime::{Config, Engine, Module};

type Slot = Arc<OnceLock<Module>>;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.consume_fuel(true);
        Engine::new(&config).expect("a fixed configuration that wasmtime accepts")
    })
}

/// Where serialised modules go by default: beside `deps/` of the target directory that the running
/// test or example was built into. `None` outside of a target directory.
pub(crate) fn default_cache_directory() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let folder = binary.parent()?;
    let built_by_cargo = ["deps", "examples"]
        .iter()
        .any(|name| folder.ends_with(name));
    built_by_cargo.then(|| folder.with_file_name("harness-modules"))
}

/// Compiles a module, or finds it compiled. A cache directory that cannot be used is ignored.
pub(crate) fn compile(wasm: &[u8], cache: Option<&Path>) -> Result<Module, Error> {
    static MODULES: OnceLock<Mutex<HashMap<[u8; 32], Slot>>> = OnceLock::new();
    let hash: [u8; 32] = Sha256::digest(wasm).into();
    let slot = {
        let modules = MODULES.get_or_init(Mutex::default);
        let mut modules = modules
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        modules.entry(hash).or_default().clone()
    };
    // Tests on other threads wait for the first one to compile; a failure is tried again.
    static COMPILING: Mutex<()> = Mutex::new(());
    let _guard = COMPILING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(module) = slot.get() {
        return Ok(module.clone());
    }
    let module = compile_or_load(wasm, &hash, cache)?;
    Ok(slot.get_or_init(|| module).clone())
}

fn compile_or_load(wasm: &[u8], hash: &[u8; 32], cache: Option<&Path>) -> Result<Module, Error> {
    let file = cache.map(|folder| folder.join(file_name(hash)));
    if let Some(file) = &file
        && file.is_file()
        // SAFETY: the file is one that this function wrote. It lies in the target directory, whose
        // binaries the developer runs anyway, and its name holds the hash of the module and of the
        // engine's version and settings.
        && let Ok(module) = unsafe { Module::deserialize_file(engine(), file) }
    {
        return Ok(module);
    }
    let module = Module::new(engine(), wasm).map_err(Error::Compile)?;
    if let Some(file) = &file
        && let Ok(bytes) = module.serialize()
    {
        // Failing to store costs the next process a compilation, nothing else.
        let _ = store(file, &bytes);
    }
    Ok(module)
}

fn file_name(hash: &[u8; 32]) -> String {
    let mut hasher = DefaultHasher::new();
    engine().precompile_compatibility_hash().hash(&mut hasher);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}-{:016x}.cwasm", hasher.finish())
}

fn store(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let Some(folder) = file.parent() else {
        return Ok(());
    };
    std::fs::create_dir_all(folder)?;
    let partial = file.with_extension(format!("partial-{}", std::process::id()));
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, file)
}
