//! Shared data and shared queues.

use crate::abi::Status;
use crate::hostcalls::hostcalls;
use crate::hostcalls::memory::{give, read, read_text, write_u32};
use crate::vm::StoreData;
use wasmtime::Linker;

pub(super) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    hostcalls! { linker,
        "proxy_get_shared_data" => |caller, key: i32, key_size: i32, return_data: i32,
            return_size: i32, return_cas: i32| {
            let key = read(caller, key, key_size)?;
            let data = caller.data();
            let found = data.host.lock().shared_data.get(&data.vm_id, &key);
            let (value, cas) = found.ok_or(Status::NotFound)?;
            give(caller, &value, return_data, return_size)?;
            Ok(write_u32(caller, return_cas, cas)?)
        }
        "proxy_set_shared_data" => |caller, key: i32, key_size: i32, value: i32, value_size: i32,
            cas: i32| {
            let key = read(caller, key, key_size)?;
            let value = read(caller, value, value_size)?;
            let data = caller.data();
            Ok(data.host.lock().shared_data.set(&data.vm_id, &key, &value, cas as u32)?)
        }
        "proxy_register_shared_queue" => |caller, name: i32, name_size: i32, return_token: i32| {
            let name = read(caller, name, name_size)?;
            let data = caller.data();
            let (vm, root) = (data.vm.clone(), data.root());
            let token = data.host.lock().queues.register(&data.vm_id, &name, vm, root);
            Ok(write_u32(caller, return_token, token)?)
        }
        "proxy_resolve_shared_queue" => |caller, vm_id: i32, vm_id_size: i32, name: i32,
            name_size: i32, return_token: i32| {
            let vm_id = read_text(caller, vm_id, vm_id_size)?;
            let name = read(caller, name, name_size)?;
            let data = caller.data();
            let vm_id = if vm_id.is_empty() { data.vm_id.clone() } else { vm_id };
            let token = data.host.lock().queues.resolve(&vm_id, &name).ok_or(Status::NotFound)?;
            Ok(write_u32(caller, return_token, token)?)
        }
        "proxy_dequeue_shared_queue" => |caller, token: i32, return_data: i32, return_size: i32| {
            let value = caller.data().host.lock().queues.dequeue(token as u32)?;
            give(caller, &value, return_data, return_size)
        }
        "proxy_enqueue_shared_queue" => |caller, token: i32, value: i32, value_size: i32| {
            let value = read(caller, value, value_size)?;
            let mut state = caller.data().host.lock();
            let (vm, root) = state.queues.enqueue(token as u32, value)?;
            state.posted.push_back((token as u32, vm, root));
            Ok(())
        }
    }
    Ok(())
}
