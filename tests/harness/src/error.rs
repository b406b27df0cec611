//! Why the harness itself could not do what the caller asked. What a filter does to a stream,
//! traps included, is never an error: it is part of the outcome.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a valid WebAssembly module.
    #[error("could not compile the module")]
    Compile(#[source] wasmtime::Error),
    /// The module imports something that Envoy does not offer.
    #[error("the module imports `{module}.{name}`, which Envoy does not offer to filters")]
    ForbiddenImport {
        /// Module part of the import.
        module: String,
        /// Name part of the import.
        name: String,
    },
    /// No `proxy_abi_version_*` export.
    #[error("the module exports no known `proxy_abi_version_*` (0.1.0, 0.2.0 or 0.2.1)")]
    NoAbiVersion,
    /// Linking failed, for instance because an import has another signature than the ABI's.
    #[error("could not instantiate the module")]
    Instantiate(#[source] wasmtime::Error),
    /// The module exports neither `proxy_on_memory_allocate` nor `malloc`, or no `memory`.
    #[error("the module does not export `{0}`")]
    MissingExport(&'static str),
    /// An exported callback has another signature than the ABI's.
    #[error("the export `{name}` takes {found} parameters and the ABI has {expected}")]
    ExportSignature {
        /// The export.
        name: &'static str,
        /// Parameters that the ABI has.
        expected: usize,
        /// Parameters that the module has.
        found: usize,
    },
    /// The module trapped while it was started or configured.
    #[error("the filter trapped in `{callback}`: {message}\n{backtrace}")]
    Trapped {
        /// The callback it was in.
        callback: &'static str,
        /// What went wrong.
        message: String,
        /// Where, innermost frame first.
        backtrace: String,
    },
    /// `proxy_on_vm_start` returned false.
    #[error("the filter refused to start; its last log line: {0}")]
    StartRefused(String),
    /// `proxy_on_configure` returned false.
    #[error("the filter refused its configuration; its last log line: {0}")]
    ConfigurationRefused(String),
    /// The VM trapped earlier and its failure policy does not reload it.
    #[error("the VM `{0}` has trapped and is not reloaded")]
    VmFailed(String),
    /// A stream was driven in an order that HTTP does not have.
    #[error("{0}")]
    Misuse(&'static str),
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A recorded exchange is not what the format says.
    #[error("{} is not a recorded exchange", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A recorded exchange has a value that makes no sense.
    #[error("{place}: {problem}")]
    RecordedValue {
        /// Path of the value in the file, such as `request.splits`.
        place: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Error {
    /// This error and its causes in one line, outermost first.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
