//! Continuing, closing and answering streams. All of it happens after the callback has returned.

use crate::abi::{Status, StreamType, decode_pairs};
use crate::headers::Headers;
use crate::hostcalls::hostcalls;
use crate::hostcalls::memory::{read, read_text};
use crate::stream::{Direction, LocalReply};
use crate::vm::{Caller, Deferred, Owner, StoreData};
use wasmtime::Linker;

pub(super) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    hostcalls! { linker,
        "proxy_continue_stream" => |caller, kind: i32| {
            Ok(resume(caller, StreamType::from_number(kind).ok_or(Status::BadArgument)?)?)
        }
        "proxy_continue_request" => |caller| {
            Ok(resume(caller, StreamType::HttpRequest)?)
        }
        "proxy_continue_response" => |caller| {
            Ok(resume(caller, StreamType::HttpResponse)?)
        }
        "proxy_close_stream" => |caller, kind: i32| {
            StreamType::from_number(kind).ok_or(Status::BadArgument)?;
            let deferred = match caller.data().owner() {
                Some(Owner::Http(stream, _)) => Deferred::Reset(stream),
                Some(Owner::Tcp(stream)) => Deferred::CloseTcp(stream),
                // Envoy has nothing to close there and says Ok.
                Some(Owner::Root) | None => return Ok(()),
            };
            caller.data_mut().deferred.push(deferred);
            Ok(())
        }
        "proxy_send_local_response" => |caller, status: i32, details: i32, details_size: i32,
            body: i32, body_size: i32, headers: i32, headers_size: i32, grpc_status: i32| {
            let details = read_text(caller, details, details_size)?;
            let body = read(caller, body, body_size)?;
            let headers = read(caller, headers, headers_size)?;
            // As in Envoy, pairs that cannot be read are no pairs.
            let headers = Headers::from_pairs(decode_pairs(&headers).unwrap_or_default());
            // Codes that gRPC does not have are none; -1 is what the SDKs mean by none.
            let grpc_status = u32::try_from(grpc_status).ok().filter(|status| *status <= 16);
            let details = details.replace(char::is_whitespace, "_");
            let reply = LocalReply { status: status as u32, details, headers, body, grpc_status };
            if let Some(Owner::Http(stream, _)) = caller.data().owner() {
                caller.data_mut().deferred.push(Deferred::Reply(stream, reply));
            }
            caller.data_mut().stop_iteration = true;
            Ok(())
        }
    }
    Ok(())
}

fn resume(caller: &mut Caller<'_>, kind: StreamType) -> Result<(), Status> {
    if let (Some(Owner::Http(stream, filter)), StreamType::HttpRequest | StreamType::HttpResponse) =
        (caller.data().owner(), kind)
        && let Some(stream) = stream.upgrade()
    {
        // Envoy forgets the request's maps, whichever direction is continued.
        let mut state = stream.lock();
        let side = state.side(Direction::Request, filter);
        (side.headers_visible, side.trailers_visible) = (false, false);
    }
    let deferred = match (caller.data().owner(), kind) {
        (Some(Owner::Http(stream, filter)), StreamType::HttpRequest) => {
            Deferred::Continue(stream, filter, Direction::Request)
        }
        (Some(Owner::Http(stream, filter)), StreamType::HttpResponse) => {
            Deferred::Continue(stream, filter, Direction::Response)
        }
        (Some(Owner::Tcp(stream)), StreamType::Downstream) => Deferred::ContinueTcp(stream),
        (_, StreamType::Upstream) => return Err(Status::Unimplemented),
        (_, StreamType::HttpRequest | StreamType::HttpResponse | StreamType::Downstream) => {
            return Ok(());
        }
    };
    caller.data_mut().deferred.push(deferred);
    Ok(())
}
