//! What masking adds to a response on a real Envoy with one worker: against no filter, a Wasm
//! filter that does nothing, and a Lua filter that replaces by pattern; in turn, in one run.
//!
//! `cargo bench -p bench --bench envoy -- [ROUNDS]`

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use gateway::run::{Envoy, EnvoyOptions, free_ports};
use serde_json::{Value, json};

#[path = "shared/load.rs"]
mod load;

const REQUESTS_A_ROUND: usize = 200;
const LUA: &str = r#"
function envoy_on_response(handle)
  local body = handle:body()
  local text = body:getBytes(0, body:length())
  text = string.gsub(text, '"email":"[^"]*"', '"email":"[REDACTED]"')
  text = string.gsub(text, '"phone":"[^"]*"', '"phone":"[REDACTED]"')
  handle:headers():remove("content-length")
  handle:body():setBytes(text)
end
"#;

struct Variant {
    name: &'static str,
    filter: Option<Value>,
    /// What an answer must and must not hold.
    masked: Option<&'static str>,
}

fn main() -> anyhow::Result<()> {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|a| a.parse::<usize>().ok())
        .unwrap_or(30)
        .clamp(1, 1000);
    let checkout = artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let filters = artifacts::build_filters(&checkout, &["masking", "noop"])?;
    let binary = gateway::locate::locate(&checkout.join("target"), |m| eprintln!("{m}"))?;
    let directory = tempfile::tempdir()?;
    let body = load::body(100, 10);

    let wasm = |module: &PathBuf, vm: &str, config: String| {
        json!({
            "name": vm,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": vm,
                    "allow_on_headers_stop_iteration": true,
                    "vm_config": {
                        "vm_id": vm,
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": module}},
                        "environment_variables": {"host_env_keys": ["IG_MASK_KEYS"]},
                    },
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": config,
                    },
                },
            },
        })
    };
    let masking = |strategy: &str| -> anyhow::Result<Value> {
        let config = serde_json::to_string(&load::config(strategy))?;
        Ok(wasm(&filters[0], &format!("masking-{strategy}"), config))
    };
    let lua = json!({
        "name": "lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": LUA},
        },
    });
    let variants = [
        Variant {
            name: "no filter",
            filter: None,
            masked: None,
        },
        Variant {
            name: "Wasm, does nothing",
            filter: Some(wasm(&filters[1], "noop", String::new())),
            masked: None,
        },
        Variant {
            name: "Lua, by pattern",
            filter: Some(lua),
            masked: Some("[REDACTED]"),
        },
        Variant {
            name: "masking, redact",
            filter: Some(masking("redact")?),
            masked: Some("[REDACTED]"),
        },
        Variant {
            name: "masking, hash",
            filter: Some(masking("hash")?),
            masked: Some("\"h:k1:"),
        },
    ];

    let upstream = serve(body.clone())?;
    let ports = free_ports::<6>()?;
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let admin = at(ports[5]);
    let listeners: Vec<Value> = variants
        .iter()
        .zip(ports)
        .map(|(v, port)| listener(v.filter.as_ref(), port))
        .collect();
    let bootstrap = json!({
        "admin": {"address": socket(admin)},
        "static_resources": {
            "listeners": listeners,
            "clusters": [{
                "name": "upstream",
                "load_assignment": {
                    "cluster_name": "upstream",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(upstream)}}]}],
                },
            }],
        },
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut options = EnvoyOptions::new(
        binary,
        bootstrap.to_string(),
        directory.path().to_owned(),
        admin,
    );
    options.concurrency = 1;
    options.env = vec![("IG_MASK_KEYS".into(), format!("k1:{}", "A".repeat(43)))];
    let envoy = runtime
        .block_on(Envoy::start(&options))
        .context("starting Envoy")?;

    let mut clients = Vec::new();
    for (variant, port) in variants.iter().zip(ports) {
        let mut client = Client::connect(at(port))?;
        for _ in 0..300 {
            let answer = client.ask()?;
            check(variant, &answer).with_context(|| variant.name)?;
        }
        clients.push((client, Vec::with_capacity(rounds * REQUESTS_A_ROUND)));
    }
    for _ in 0..rounds {
        for (client, times) in &mut clients {
            for _ in 0..REQUESTS_A_ROUND {
                let started = Instant::now();
                client.ask()?;
                times.push(started.elapsed());
            }
        }
    }
    report(
        &checkout,
        &variants,
        clients.into_iter().map(|(_, t)| t).collect(),
        body.len(),
    )?;
    runtime.block_on(envoy.stop(Duration::from_secs(3)))?;
    Ok(())
}

fn check(variant: &Variant, answer: &[u8]) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(answer);
    anyhow::ensure!(
        text.starts_with("HTTP/1.1 200"),
        "{}",
        text.chars().take(300).collect::<String>()
    );
    match variant.masked {
        Some(mask) => {
            anyhow::ensure!(
                text.matches(mask).count() == 200,
                "not all values are masked"
            );
            anyhow::ensure!(!text.contains("@acme.example"), "a value is not masked");
        }
        None => anyhow::ensure!(
            text.contains("@acme.example"),
            "the body is not the upstream's"
        ),
    }
    Ok(())
}

fn report(
    checkout: &Path,
    variants: &[Variant],
    times: Vec<Vec<Duration>>,
    bytes: usize,
) -> anyhow::Result<()> {
    let sorted: Vec<Vec<f64>> = times
        .into_iter()
        .map(|times| {
            let mut times: Vec<f64> = times.iter().map(|t| t.as_nanos() as f64 / 1000.0).collect();
            times.sort_by(f64::total_cmp);
            times
        })
        .collect();
    let quantile = |times: &[f64], q: f64| times[((times.len() - 1) as f64 * q) as usize];
    let base = quantile(&sorted[0], 0.5);
    let lua = quantile(&sorted[2], 0.5) - base;
    println!("{bytes} bytes, 100 objects, 200 masked values, one connection, one worker; in µs");
    println!(
        "{:20} {:>8} {:>8} {:>8} {:>10} {:>10}",
        "filter", "p50", "p95", "p99", "added p50", "of Lua's"
    );
    let mut rows = Vec::new();
    for (variant, times) in variants.iter().zip(&sorted) {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|q| quantile(times, q));
        let (added, of_lua) = (p50 - base, (p50 - base) / lua);
        println!(
            "{:20} {p50:8.1} {p95:8.1} {p99:8.1} {added:10.1} {of_lua:10.2}",
            variant.name
        );
        rows.push(json!({
            "filter": variant.name, "requests": times.len(), "p50_us": p50, "p95_us": p95,
            "p99_us": p99, "added_p50_us": added, "added_of_lua": of_lua,
        }));
    }
    let out = checkout.join("target/bench");
    std::fs::create_dir_all(&out)?;
    let path = out.join("envoy.json");
    std::fs::write(&path, serde_json::to_string_pretty(&rows)?)?;
    println!(
        "also in {}",
        path.strip_prefix(checkout).unwrap_or(&path).display()
    );
    Ok(())
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn listener(filter: Option<&Value>, port: u16) -> Value {
    // The claims that jwt_authn would leave; every variant pays for them.
    let claims = json!({
        "name": "claims",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{
                "metadata_namespace": "envoy.filters.http.jwt_authn",
                "value": {"payload": {
                    "sub": "ann", "tenant": "acme", "roles": ["analyst"], "purposes": ["analytics"],
                }},
            }],
        },
    });
    let router = json!({
        "name": "router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        },
    });
    let filters: Vec<Value> = [Some(claims), filter.cloned(), Some(router)]
        .into_iter()
        .flatten()
        .collect();
    json!({
        "name": format!("listener-{port}"),
        "address": socket((Ipv4Addr::LOCALHOST, port).into()),
        "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.\
                          http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": format!("p{port}"),
                "http_filters": filters,
                "route_config": {"virtual_hosts": [{
                    "name": "all", "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
                }]},
            },
        }]}],
    })
}

/// An upstream that answers every request with the same body.
fn serve(body: Vec<u8>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    response.extend(body);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let response = response.clone();
            std::thread::spawn(move || answer(stream, &response));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, response: &[u8]) {
    let _ = stream.set_nodelay(true);
    let mut seen = Vec::new();
    let mut buffer = [0; 16_384];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..n]);
        // The requests end with the query's last bytes, whatever their framing.
        let ended = seen.ends_with(b"}\"}") || seen.ends_with(b"0\r\n\r\n");
        if ended {
            seen.clear();
            if stream.write_all(response).is_err() {
                return;
            }
        }
    }
}

struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // Polling keeps a processor awake: else most of what is measured is how long an idle one
        // takes to wake up, which differs from machine to machine and minute to minute.
        stream.set_nonblocking(true)?;
        let body = json!({"query": load::QUERY}).to_string();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self {
            stream,
            request: request.into_bytes(),
            buffer: Vec::new(),
        })
    }

    /// Sends the request and reads the answer, head included.
    fn ask(&mut self) -> anyhow::Result<Vec<u8>> {
        let written = self.stream.write(&self.request)?;
        anyhow::ensure!(
            written == self.request.len(),
            "the request does not fit the socket"
        );
        self.buffer.clear();
        let mut chunk = [0; 65_536];
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => anyhow::bail!("the connection ended"),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    anyhow::ensure!(Instant::now() < deadline, "no answer in 10 s");
                    std::hint::spin_loop();
                    continue;
                }
                Err(e) => return Err(e.into()),
            }
            if complete(&self.buffer) {
                return Ok(std::mem::take(&mut self.buffer));
            }
        }
    }
}

/// Whether the bytes are a whole answer, by its length or its last chunk.
fn complete(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "));
    match length.and_then(|l| l.trim().parse::<usize>().ok()) {
        Some(length) => bytes.len() >= end + 4 + length,
        None => bytes.ends_with(b"\r\n0\r\n\r\n"),
    }
}
