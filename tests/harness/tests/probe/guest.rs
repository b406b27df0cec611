// A filter that does what its configuration says: every host call with any argument, in any
// callback, with what came of it in the log. It speaks the ABI itself, without an SDK.
//
// Configuration: a line a callback, `CALLBACK[#N]: STEP; STEP; …`, where `#N` means its Nth call in
// a context. A step is words; words with blanks stand in single quotes. `return N` sets what the
// callback returns. Each step logs `NAME STATUS [RESULT…]` at info, each callback logs
// `> CALLBACK ARGUMENTS` at trace.

use std::cell::RefCell;
use std::collections::HashMap;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: i32, data: *const u8, size: usize) -> i32;
    fn proxy_get_log_level(level: *mut i32) -> i32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> i32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> i32;
    fn proxy_get_status(code: *mut u32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_set_effective_context(context: u32) -> i32;
    fn proxy_done() -> i32;
    fn proxy_get_configuration(data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_get_property(path: *const u8, n: usize, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_set_property(path: *const u8, n: usize, data: *const u8, size: usize) -> i32;
    fn proxy_clear_route_cache() -> i32;
    fn proxy_call_foreign_function(
        name: *const u8,
        n: usize,
        args: *const u8,
        m: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_get_header_map_pairs(map: i32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_set_header_map_pairs(map: i32, data: *const u8, size: usize) -> i32;
    fn proxy_get_header_map_size(map: i32, size: *mut u32) -> i32;
    fn proxy_get_header_map_value(
        map: i32,
        name: *const u8,
        n: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_add_header_map_value(map: i32, k: *const u8, n: usize, v: *const u8, m: usize) -> i32;
    fn proxy_replace_header_map_value(
        map: i32,
        k: *const u8,
        n: usize,
        v: *const u8,
        m: usize,
    ) -> i32;
    fn proxy_remove_header_map_value(map: i32, k: *const u8, n: usize) -> i32;
    fn proxy_get_buffer_bytes(
        buffer: i32,
        start: usize,
        most: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_get_buffer_status(buffer: i32, size: *mut usize, flags: *mut u32) -> i32;
    fn proxy_set_buffer_bytes(
        buffer: i32,
        start: usize,
        size: usize,
        data: *const u8,
        n: usize,
    ) -> i32;
    fn proxy_continue_stream(kind: i32) -> i32;
    fn proxy_continue_request() -> i32;
    fn proxy_continue_response() -> i32;
    fn proxy_close_stream(kind: i32) -> i32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        d: usize,
        body: *const u8,
        b: usize,
        headers: *const u8,
        h: usize,
        grpc: i32,
    ) -> i32;
    fn proxy_get_shared_data(
        key: *const u8,
        n: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> i32;
    fn proxy_set_shared_data(key: *const u8, n: usize, value: *const u8, m: usize, cas: u32)
    -> i32;
    fn proxy_register_shared_queue(name: *const u8, n: usize, token: *mut u32) -> i32;
    fn proxy_resolve_shared_queue(
        vm: *const u8,
        v: usize,
        name: *const u8,
        n: usize,
        token: *mut u32,
    ) -> i32;
    fn proxy_dequeue_shared_queue(token: u32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_enqueue_shared_queue(token: u32, data: *const u8, size: usize) -> i32;
    fn proxy_define_metric(kind: i32, name: *const u8, n: usize, id: *mut u32) -> i32;
    fn proxy_record_metric(id: u32, value: u64) -> i32;
    fn proxy_increment_metric(id: u32, by: i64) -> i32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> i32;
    fn proxy_http_call(
        cluster: *const u8,
        c: usize,
        headers: *const u8,
        h: usize,
        body: *const u8,
        b: usize,
        trailers: *const u8,
        t: usize,
        timeout: i32,
        token: *mut u32,
    ) -> i32;
    fn proxy_grpc_call(
        cluster: *const u8,
        c: usize,
        service: *const u8,
        s: usize,
        method: *const u8,
        m: usize,
        metadata: *const u8,
        d: usize,
        message: *const u8,
        n: usize,
        timeout: u32,
        token: *mut u32,
    ) -> i32;
    fn proxy_grpc_stream(
        cluster: *const u8,
        c: usize,
        service: *const u8,
        s: usize,
        method: *const u8,
        m: usize,
        metadata: *const u8,
        d: usize,
        token: *mut u32,
    ) -> i32;
    fn proxy_grpc_send(token: u32, message: *const u8, n: usize, end: i32) -> i32;
    fn proxy_grpc_cancel(token: u32) -> i32;
    fn proxy_grpc_close(token: u32) -> i32;
}

#[derive(Default)]
struct State {
    /// Lines of a root context's script.
    scripts: HashMap<u32, HashMap<String, Vec<Vec<String>>>>,
    roots: HashMap<u32, u32>,
    counts: HashMap<(u32, String), u32>,
    last_stream: u32,
}

thread_local! { static STATE: RefCell<State> = RefCell::default(); }

fn log(level: i32, text: &str) {
    unsafe { proxy_log(level, text.as_ptr(), text.len()) };
}

/// Takes what the host allocated here.
fn text((data, size): (*mut u8, usize)) -> String {
    if data.is_null() {
        return "-".to_owned();
    }
    let bytes = unsafe { Vec::from_raw_parts(data, size, size) };
    bytes
        .iter()
        .map(|&byte| {
            if (b' '..=b'~').contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("\\{byte:02x}")
            }
        })
        .collect()
}

fn taking(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> (i32, String) {
    let (mut data, mut size) = (std::ptr::null_mut(), 0usize);
    let status = call(&mut data, &mut size);
    (
        status,
        if status == 0 {
            text((data, size))
        } else {
            String::new()
        },
    )
}

fn number<N: Default + ToString>(call: impl FnOnce(*mut N) -> i32) -> (i32, String) {
    let mut value = N::default();
    let status = call(&mut value);
    (
        status,
        if status == 0 {
            value.to_string()
        } else {
            String::new()
        },
    )
}

/// `a=1,b=2` as the ABI's pairs.
fn pairs(list: &str) -> Vec<u8> {
    let pairs: Vec<(&str, &str)> = list
        .split(',')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .collect();
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in &pairs {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in &pairs {
        out.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
    }
    out
}

fn step(words: &[String]) -> Option<i32> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let int = |at: usize| word(at).parse::<i64>().unwrap_or(0);
    let (one, two, three) = (word(1), word(2), word(3));
    let (a, n) = (one.as_ptr(), one.len());
    let (b, m) = (two.as_ptr(), two.len());
    let (c, k) = (three.as_ptr(), three.len());
    let (i1, i2, i3) = (int(1), int(2), int(3));
    let only = |status: i32| (status, String::new());
    let (status, result) = unsafe {
        match word(0) {
            "return" => return Some(i1 as i32),
            "trap" => std::arch::wasm32::unreachable(),
            "spin" => loop {
                std::hint::black_box(());
            },
            "grow" => {
                let old = std::arch::wasm32::memory_grow(0, i1 as usize);
                (i32::from(old == usize::MAX), String::new())
            }
            "env" => (0, std::env::var(one).unwrap_or_else(|_| "-".into())),
            "print" => {
                println!("{one}");
                return None;
            }
            "complain" => {
                eprintln!("{one}");
                return None;
            }
            "wasi_time" => (
                0,
                std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |d| d.as_secs())
                    .to_string(),
            ),
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_secs(3600));
                return None;
            }
            "file" => (
                0,
                std::fs::File::open(one).map_or_else(|error| error.kind().to_string(), |_| "read".into()),
            ),
            "log" => only(proxy_log(i1 as i32, b, m)),
            "level" => number(|v| proxy_get_log_level(v)),
            "time" => number(|v| proxy_get_current_time_nanoseconds(v)),
            "tick" => only(proxy_set_tick_period_milliseconds(i1 as u32)),
            "status" => {
                let mut code = 0;
                let (status, text) = taking(|d, s| proxy_get_status(&mut code, d, s));
                (status, format!("{code} {text}"))
            }
            "effective" => {
                let context = if one == "@" {
                    STATE.with_borrow(|s| s.last_stream)
                } else {
                    i1 as u32
                };
                only(proxy_set_effective_context(context))
            }
            "done" => only(proxy_done()),
            "configuration" => taking(|d, s| proxy_get_configuration(d, s)),
            "prop" => {
                let path = one.replace('/', "\0");
                taking(|d, s| proxy_get_property(path.as_ptr(), path.len(), d, s))
            }
            "setprop" => {
                let path = one.replace('/', "\0");
                only(proxy_set_property(path.as_ptr(), path.len(), b, m))
            }
            "clear" => only(proxy_clear_route_cache()),
            "foreign" => taking(|d, s| proxy_call_foreign_function(a, n, b, m, d, s)),
            "foreign_hex" => {
                let bytes: Vec<u8> = (0..m / 2).filter_map(|at| u8::from_str_radix(&two[at * 2..at * 2 + 2], 16).ok()).collect();
                taking(|d, s| proxy_call_foreign_function(a, n, bytes.as_ptr(), bytes.len(), d, s))
            }
            "foreign_null" => only(proxy_call_foreign_function(
                a,
                n,
                b,
                m,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )),
            "pairs" => taking(|d, s| proxy_get_header_map_pairs(i1 as i32, d, s)),
            "setpairs" => {
                let p = pairs(two);
                only(proxy_set_header_map_pairs(i1 as i32, p.as_ptr(), p.len()))
            }
            "badpairs" => only(proxy_set_header_map_pairs(
                i1 as i32,
                [9u8, 0, 0, 0].as_ptr(),
                4,
            )),
            "size" => number(|v| proxy_get_header_map_size(i1 as i32, v)),
            "get" => taking(|d, s| proxy_get_header_map_value(i1 as i32, b, m, d, s)),
            "add" => only(proxy_add_header_map_value(i1 as i32, b, m, c, k)),
            "replace" => only(proxy_replace_header_map_value(i1 as i32, b, m, c, k)),
            "remove" => only(proxy_remove_header_map_value(i1 as i32, b, m)),
            "buf" => {
                taking(|d, s| proxy_get_buffer_bytes(i1 as i32, i2 as usize, i3 as usize, d, s))
            }
            "bufstatus" => {
                let mut flags = 7;
                let (status, size) = number(|v| proxy_get_buffer_status(i1 as i32, v, &mut flags));
                (status, format!("{size} {flags}"))
            }
            "setbuf" => only(proxy_set_buffer_bytes(
                i1 as i32,
                i2 as usize,
                i3 as usize,
                word(4).as_ptr(),
                word(4).len(),
            )),
            "outside" => only(proxy_log(2, usize::MAX as *const u8, 8)),
            "continue" => only(proxy_continue_stream(i1 as i32)),
            "continue_request" => only(proxy_continue_request()),
            "continue_response" => only(proxy_continue_response()),
            "close" => only(proxy_close_stream(i1 as i32)),
            "reply" => {
                let p = pairs(three);
                let grpc = words.get(4).map_or(-1, |_| int(4) as i32);
                only(proxy_send_local_response(
                    i1 as u32,
                    "probe".as_ptr(),
                    5,
                    b,
                    m,
                    p.as_ptr(),
                    p.len(),
                    grpc,
                ))
            }
            "sget" => {
                let mut cas = 0;
                let (status, value) = taking(|d, s| proxy_get_shared_data(a, n, d, s, &mut cas));
                (status, format!("{value} {cas}"))
            }
            "sset" => only(proxy_set_shared_data(a, n, b, m, i3 as u32)),
            "qreg" => number(|v| proxy_register_shared_queue(a, n, v)),
            "qres" => number(|v| proxy_resolve_shared_queue(a, n, b, m, v)),
            "deq" => taking(|d, s| proxy_dequeue_shared_queue(i1 as u32, d, s)),
            "enq" => only(proxy_enqueue_shared_queue(i1 as u32, b, m)),
            "mdef" => number(|v| proxy_define_metric(i1 as i32, b, m, v)),
            "mrec" => only(proxy_record_metric(i1 as u32, i2 as u64)),
            "minc" => only(proxy_increment_metric(i1 as u32, i2)),
            "mget" => number(|v| proxy_get_metric(i1 as u32, v)),
            "http" => {
                let h = pairs(word(4));
                let t = pairs("t=1");
                number(|v| {
                    proxy_http_call(
                        a,
                        n,
                        h.as_ptr(),
                        h.len(),
                        c,
                        k,
                        t.as_ptr(),
                        t.len(),
                        i2 as i32,
                        v,
                    )
                })
            }
            "grpc" => {
                let d = pairs("k=v");
                number(|v| {
                    proxy_grpc_call(
                        a,
                        n,
                        "svc".as_ptr(),
                        3,
                        "Do".as_ptr(),
                        2,
                        d.as_ptr(),
                        d.len(),
                        b,
                        m,
                        i3 as u32,
                        v,
                    )
                })
            }
            "stream" => {
                let d = pairs("k=v");
                number(|v| {
                    proxy_grpc_stream(
                        a,
                        n,
                        "svc".as_ptr(),
                        3,
                        "Do".as_ptr(),
                        2,
                        d.as_ptr(),
                        d.len(),
                        v,
                    )
                })
            }
            "gsend" => only(proxy_grpc_send(i1 as u32, b, m, i3 as i32)),
            "gcancel" => only(proxy_grpc_cancel(i1 as u32)),
            "gclose" => only(proxy_grpc_close(i1 as u32)),
            other => (99, format!("unknown step {other}")),
        }
    };
    log(2, format!("{} {status} {result}", word(0)).trim_end());
    None
}

fn words(step: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in step.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn run(context: u32, name: &str, arguments: &[u32], default: i32) -> i32 {
    let shown: Vec<String> = arguments.iter().map(u32::to_string).collect();
    log(0, format!("> {name} {}", shown.join(" ")).trim_end());
    let steps = STATE.with_borrow_mut(|state| {
        let count = state.counts.entry((context, name.to_owned())).or_default();
        *count += 1;
        let numbered = format!("{name}#{count}");
        let root = state.roots.get(&context).copied().unwrap_or(context);
        let script = state.scripts.get(&root)?;
        script.get(&numbered).or_else(|| script.get(name)).cloned()
    });
    let mut returned = default;
    for words in steps.into_iter().flatten() {
        if let Some(value) = step(&words) {
            returned = value;
        }
    }
    returned
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    unsafe { __wasm_call_ctors() }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Vec::with_capacity(size).leak().as_mut_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    STATE.with_borrow_mut(|state| {
        if root != 0 {
            state.roots.insert(context, root);
            state.last_stream = context;
        }
    });
    run(context, "context_create", &[context, root], 0);
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(_context: u32, size: usize) -> i32 {
    let (_, text) = unsafe { taking(|d, s| proxy_get_buffer_bytes(6, 0, size, d, s)) };
    log(0, &format!("> vm_start {text}"));
    i32::from(text != "refuse")
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(context: u32, size: usize) -> i32 {
    let (mut data, mut got) = (std::ptr::null_mut(), 0usize);
    unsafe { proxy_get_buffer_bytes(7, 0, size, &mut data, &mut got) };
    let bytes = if data.is_null() {
        Vec::new()
    } else {
        unsafe { Vec::from_raw_parts(data, got, got) }
    };
    let text = String::from_utf8(bytes).unwrap_or_default();
    let mut script: HashMap<String, Vec<Vec<String>>> = HashMap::new();
    for line in text.lines() {
        if let Some((name, steps)) = line.split_once(':') {
            let steps = steps
                .split(';')
                .map(words)
                .filter(|words| !words.is_empty());
            script.insert(name.trim().to_owned(), steps.collect());
        }
    }
    STATE.with_borrow_mut(|state| state.scripts.insert(context, script));
    run(context, "configure", &[size as u32], 1)
}

macro_rules! callbacks {
    ($($export:ident = $name:literal ($($argument:ident),*) -> $default:literal;)+) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $export(context: u32 $(, $argument: u32)*) -> i32 {
            run(context, $name, &[$($argument),*], $default)
        })+
    };
}

macro_rules! notices {
    ($($export:ident = $name:literal ($($argument:ident),*);)+) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $export(context: u32 $(, $argument: u32)*) {
            run(context, $name, &[$($argument),*], 0);
        })+
    };
}

callbacks! {
    proxy_on_request_headers = "request_headers" (count, end) -> 0;
    proxy_on_request_body = "request_body" (size, end) -> 0;
    proxy_on_request_trailers = "request_trailers" (count) -> 0;
    proxy_on_response_headers = "response_headers" (count, end) -> 0;
    proxy_on_response_body = "response_body" (size, end) -> 0;
    proxy_on_response_trailers = "response_trailers" (count) -> 0;
    proxy_on_new_connection = "new_connection" () -> 0;
    proxy_on_downstream_data = "downstream_data" (size, end) -> 0;
    proxy_on_upstream_data = "upstream_data" (size, end) -> 0;
    proxy_on_done = "done" () -> 1;
}

notices! {
    proxy_on_tick = "tick" ();
    proxy_on_queue_ready = "queue_ready" (token);
    proxy_on_foreign_function = "foreign_function" (function, size);
    proxy_on_downstream_connection_close = "downstream_close" (peer);
    proxy_on_upstream_connection_close = "upstream_close" (peer);
    proxy_on_http_call_response = "http_call_response" (token, headers, body, trailers);
    proxy_on_grpc_receive_initial_metadata = "grpc_metadata" (token, count);
    proxy_on_grpc_receive = "grpc_receive" (token, size);
    proxy_on_grpc_receive_trailing_metadata = "grpc_trailers" (token, count);
    proxy_on_grpc_close = "grpc_close" (token, status);
    proxy_on_log = "log" ();
    proxy_on_delete = "delete" ();
}
