//! The functions that a guest imports. Each file holds one family; what a function decides is
//! documented where it differs from the plain reading of the ABI, after Envoy's own host
//! (`proxy-wasm-cpp-host` `exports.cc`, Envoy `context.cc`).

mod buffers;
mod callouts;
mod general;
mod maps;
mod memory;
mod metrics;
mod shared;
mod streams;
mod wasi;

use crate::abi::Status;
use crate::vm::{Caller, StoreData};
use wasmtime::Linker;

/// Why a host call ends without `Ok`: with a status for the guest, or with a trap because the
/// guest's allocator trapped.
pub(crate) enum Fault {
    Status(Status),
    Trap(wasmtime::Error),
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Fault::Status(status)
    }
}

type Outcome = Result<(), Fault>;

fn conclude(
    caller: &mut Caller<'_>,
    body: impl FnOnce(&mut Caller<'_>) -> Outcome,
) -> wasmtime::Result<i32> {
    match body(caller) {
        Ok(()) => Ok(Status::Ok as i32),
        Err(Fault::Status(status)) => Ok(status as i32),
        Err(Fault::Trap(error)) => Err(error),
    }
}

/// Defines host calls of the module `env`, which count themselves and return a status.
macro_rules! hostcalls {
    ($linker:ident, $($name:literal => |$caller:ident $(, $argument:ident: $kind:ty)*| $body:block)+) => {
        $(
            $linker.func_wrap(
                "env",
                $name,
                |mut caller: $crate::vm::Caller<'_> $(, $argument: $kind)*| -> wasmtime::Result<i32> {
                    caller.data_mut().count($name);
                    $crate::hostcalls::conclude(&mut caller, |$caller| $body)
                },
            )?;
        )+
    };
}
pub(crate) use hostcalls;

/// Links everything that Envoy offers.
pub(crate) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    wasi::link(linker)?;
    general::link(linker)?;
    maps::link(linker)?;
    buffers::link(linker)?;
    streams::link(linker)?;
    shared::link(linker)?;
    metrics::link(linker)?;
    callouts::link(linker)
}
