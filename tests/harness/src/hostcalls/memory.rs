//! Reading and writing the guest's memory.

use crate::abi::Status;
use crate::hostcalls::{Fault, Outcome};
use crate::vm::Caller;
use wasmtime::Memory;

fn memory(caller: &mut Caller<'_>) -> Result<Memory, Status> {
    if let Some(memory) = caller.data().memory {
        return Ok(memory);
    }
    // A start function may call before the instance is complete.
    let export = caller
        .get_export("memory")
        .and_then(wasmtime::Extern::into_memory);
    export.ok_or(Status::InvalidMemoryAccess)
}

/// Copies what the guest points to.
pub(super) fn read(caller: &mut Caller<'_>, pointer: i32, size: i32) -> Result<Vec<u8>, Status> {
    let memory = memory(caller)?;
    let (start, size) = (pointer as u32 as usize, size as u32 as usize);
    let end = start.checked_add(size).ok_or(Status::InvalidMemoryAccess)?;
    let bytes = memory
        .data(&caller)
        .get(start..end)
        .ok_or(Status::InvalidMemoryAccess)?;
    Ok(bytes.to_vec())
}

/// The same as text; bytes that are no UTF-8 are replaced.
pub(super) fn read_text(
    caller: &mut Caller<'_>,
    pointer: i32,
    size: i32,
) -> Result<String, Status> {
    Ok(String::from_utf8_lossy(&read(caller, pointer, size)?).into_owned())
}

/// Writes bytes where the guest points to.
pub(super) fn write(caller: &mut Caller<'_>, pointer: i32, bytes: &[u8]) -> Result<(), Status> {
    let memory = memory(caller)?;
    let start = pointer as u32 as usize;
    memory
        .write(caller, start, bytes)
        .map_err(|_| Status::InvalidMemoryAccess)
}

/// Writes a 32-bit number.
pub(super) fn write_u32(caller: &mut Caller<'_>, pointer: i32, value: u32) -> Result<(), Status> {
    write(caller, pointer, &value.to_le_bytes())
}

/// Writes a 64-bit number.
pub(super) fn write_u64(caller: &mut Caller<'_>, pointer: i32, value: u64) -> Result<(), Status> {
    write(caller, pointer, &value.to_le_bytes())
}

/// Hands bytes to the guest: in memory that the guest's own allocator gives. No bytes are a null
/// pointer.
pub(super) fn give(
    caller: &mut Caller<'_>,
    bytes: &[u8],
    return_pointer: i32,
    return_size: i32,
) -> Outcome {
    let mut address = 0;
    if !bytes.is_empty() {
        let allocate = caller
            .data()
            .allocate
            .clone()
            .ok_or(Status::InvalidMemoryAccess)?;
        let size = i32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        address = allocate.call(&mut *caller, size).map_err(Fault::Trap)?;
        if address == 0 {
            return Err(Status::InvalidMemoryAccess.into());
        }
        write(caller, address, bytes)?;
    }
    write_u32(caller, return_pointer, address as u32)?;
    write_u32(caller, return_size, bytes.len() as u32)?;
    Ok(())
}
