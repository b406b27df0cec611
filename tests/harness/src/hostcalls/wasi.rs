//! WASI: wasmtime's own preview 1 with nothing preopened, except where Envoy's differs or where
//! real time would get in.

use crate::abi::LogLevel;
use crate::hostcalls::memory::{read, write_u32};
use crate::vm::{Caller, StoreData};
use wasmtime::Linker;

/// Both names of the module, old and new.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// `errno` of WASI preview 1.
const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const FAULT: i32 = 21;
const NOT_SUPPORTED_SYSCALL: i32 = 52;

pub(super) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    wasmtime_wasi::p1::add_to_linker_sync(linker, |data: &mut StoreData| &mut data.wasi)?;
    wasmtime_wasi::p0::add_to_linker_sync(linker, |data: &mut StoreData| &mut data.wasi)?;
    linker.allow_shadowing(true);
    for module in MODULES {
        // Standard output and error are log lines, one a call.
        linker.func_wrap(
            module,
            "fd_write",
            |mut caller: Caller<'_>, descriptor: i32, vectors: i32, count: i32, written: i32| {
                caller.data_mut().count("fd_write");
                fd_write(&mut caller, descriptor, vectors, count, written)
            },
        )?;
        linker.func_wrap(module, "sched_yield", |mut caller: Caller<'_>| {
            caller.data_mut().count("sched_yield");
            SUCCESS
        })?;
        // Waiting would be waiting in real time.
        linker.func_wrap(
            module,
            "poll_oneoff",
            |mut caller: Caller<'_>, _: i32, _: i32, _: i32, _: i32| {
                caller.data_mut().count("poll_oneoff");
                NOT_SUPPORTED_SYSCALL
            },
        )?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

fn fd_write(
    caller: &mut Caller<'_>,
    descriptor: i32,
    vectors: i32,
    count: i32,
    written: i32,
) -> i32 {
    let level = match descriptor {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return BAD_DESCRIPTOR,
    };
    let mut text = Vec::new();
    for index in 0..count {
        let at = vectors.wrapping_add(index.wrapping_mul(8));
        let Ok(entry) = read(caller, at, 8) else {
            return FAULT;
        };
        let number = |from: usize| {
            i32::from_le_bytes([
                entry[from],
                entry[from + 1],
                entry[from + 2],
                entry[from + 3],
            ])
        };
        let Ok(bytes) = read(caller, number(0), number(4)) else {
            return FAULT;
        };
        text.extend(bytes);
    }
    let size = text.len() as u32;
    if size > 0 {
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        caller
            .data()
            .log(level, String::from_utf8_lossy(&text).into_owned());
    }
    match write_u32(caller, written, size) {
        Ok(()) => SUCCESS,
        Err(_) => FAULT,
    }
}
