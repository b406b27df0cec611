//! What filters log.

use crate::abi::LogLevel;
use std::fmt;
use std::time::Duration;

/// One line that a filter logged, by `proxy_log` or by writing to standard output or error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Severity. Standard output is info and standard error is error, as in Envoy.
    pub level: LogLevel,
    /// The VM that logged.
    pub vm_id: String,
    /// Name of the plugin; empty before any was configured.
    pub plugin: String,
    /// Number of the context in its VM; 0 is the VM itself.
    pub context: u32,
    /// Text; bytes that are no UTF-8 are replaced.
    pub message: String,
    /// Virtual time since the Unix epoch.
    pub at: Duration,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogLine {
            level,
            vm_id,
            plugin,
            context,
            message,
            ..
        } = self;
        write!(f, "{level:<5} {vm_id}/{plugin} #{context}: {message}")
    }
}
