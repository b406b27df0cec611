//! Metrics.

use crate::abi::{MetricType, Status};
use crate::hostcalls::hostcalls;
use crate::hostcalls::memory::{read_text, write_u32, write_u64};
use crate::vm::StoreData;
use wasmtime::Linker;

pub(super) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    hostcalls! { linker,
        "proxy_define_metric" => |caller, kind: i32, name: i32, name_size: i32, return_id: i32| {
            let kind = MetricType::from_number(kind).ok_or(Status::BadArgument)?;
            let name = read_text(caller, name, name_size)?;
            let data = caller.data_mut();
            data.host.lock().metrics.define(&name, kind);
            // Envoy keeps the kind in the two lowest bits.
            data.next_metric += 4;
            let id = data.next_metric | kind as u32;
            data.metrics.insert(id, (name, kind));
            Ok(write_u32(caller, return_id, id)?)
        }
        "proxy_record_metric" => |caller, id: i32, value: i64| {
            let data = caller.data();
            let key = data.metrics.get(&(id as u32)).ok_or(Status::NotFound)?;
            Ok(data.host.lock().metrics.record(key, value as u64)?)
        }
        "proxy_increment_metric" => |caller, id: i32, offset: i64| {
            let data = caller.data();
            let key = data.metrics.get(&(id as u32)).ok_or(Status::NotFound)?;
            Ok(data.host.lock().metrics.increment(key, offset)?)
        }
        "proxy_get_metric" => |caller, id: i32, return_value: i32| {
            let data = caller.data();
            let key = data.metrics.get(&(id as u32)).ok_or(Status::NotFound)?;
            let value = data.host.lock().metrics.value(key)?;
            Ok(write_u64(caller, return_value, value)?)
        }
    }
    Ok(())
}
