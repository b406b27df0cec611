//! A fleet of sidecars that are none: incremental xDS streams whose clients take what comes, accept it, and
//! keep nothing of it.

mod client;
mod server;

pub use client::{Answered, Fleet};
pub use server::{Pushed, Server, serve};

/// Lets this process have as many open files as it may.
///
/// # Errors
/// The operating system says no.
pub fn raise_open_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}
