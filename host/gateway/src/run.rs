//! Runs an Envoy: starts it, waits for it, asks it, stops it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::error::RunError;

/// Between two looks at a starting or stopping Envoy.
const POLL: Duration = Duration::from_millis(25);

/// How long the administration port may take for an answer.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Lines of Envoy's log in an error.
const LOG_TAIL_LINES: usize = 20;

/// How an Envoy is run.
#[derive(Clone, Debug)]
pub struct EnvoyOptions {
    /// The executable.
    pub binary: PathBuf,
    /// The bootstrap, as [`crate::bootstrap`] writes it.
    pub bootstrap: String,
    /// Where the bootstrap and the log go. It must exist.
    pub work_dir: PathBuf,
    /// The administration port that the bootstrap names.
    pub admin: SocketAddr,
    /// Worker threads.
    pub concurrency: u32,
    /// Envoy's log level: `info`, `warning`, …
    pub log_level: String,
    /// How soon a line of the access log is in the file at the latest; it is written at once.
    pub access_log_flush: Duration,
    /// How long it may take to be ready.
    pub ready_timeout: Duration,
    /// The environment, whole: what the filters may read, and nothing of this process's own.
    pub env: Vec<(String, String)>,
}

impl EnvoyOptions {
    /// Options with two workers, a log of warnings and an access log that is never late by more
    /// than 200 ms.
    pub fn new(binary: PathBuf, bootstrap: String, work_dir: PathBuf, admin: SocketAddr) -> Self {
        Self {
            binary,
            bootstrap,
            work_dir,
            admin,
            concurrency: 2,
            log_level: "warning".to_owned(),
            access_log_flush: Duration::from_millis(200),
            ready_timeout: Duration::from_secs(30),
            env: Vec::new(),
        }
    }
}

/// A running Envoy. Dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

impl Envoy {
    /// Starts an Envoy, without waiting for it.
    ///
    /// It is in a process group of its own: a Ctrl-C in the terminal is for its parent, which stops
    /// it in order.
    ///
    /// # Errors
    /// A file cannot be written, or the executable not started.
    pub fn spawn(options: &EnvoyOptions) -> Result<Self, RunError> {
        let bootstrap = options.work_dir.join("bootstrap.yaml");
        let log = options.work_dir.join("envoy.log");
        std::fs::write(&bootstrap, &options.bootstrap).map_err(io("write", &bootstrap))?;
        let mut command = Command::new(&options.binary);
        command
            .arg("--config-path")
            .arg(&bootstrap)
            .arg("--log-path")
            .arg(&log)
            .arg("--log-level")
            .arg(&options.log_level)
            .arg("--concurrency")
            .arg(options.concurrency.max(1).to_string())
            .arg("--file-flush-interval-msec")
            .arg(options.access_log_flush.as_millis().max(1).to_string())
            // Each line is written when it is there, and not when 64 KiB of them are: what Envoy holds
            // back dies with it.
            .arg("--file-flush-min-size-kb")
            .arg("0")
            .arg("--disable-hot-restart")
            .env_clear()
            .envs(options.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(append(&options.work_dir.join("envoy.stderr"))?)
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|source| RunError::Start {
            path: options.binary.clone(),
            source,
        })?;
        Ok(Self {
            child,
            admin: options.admin,
            log,
        })
    }

    /// Starts an Envoy and waits until it is ready to serve.
    ///
    /// # Errors
    /// It could not be started, ended, or was not ready in time; with the end of its log.
    pub async fn start(options: &EnvoyOptions) -> Result<Self, RunError> {
        let mut envoy = Self::spawn(options)?;
        envoy.wait_ready(options.ready_timeout).await?;
        Ok(envoy)
    }

    /// Waits until it is ready to serve.
    ///
    /// # Errors
    /// It ended, or was not ready in time; with the end of its log.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<(), RunError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited()? {
                return Err(RunError::Exited {
                    status,
                    log: self.log_tail(),
                });
            }
            let state = match self.admin_request(Method::GET, "/ready").await {
                Ok((200, _)) => return Ok(()),
                Ok((_, body)) => body.trim().to_owned(),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(RunError::NotReady {
                    seconds: limit.as_secs(),
                    state,
                    log: self.log_tail(),
                });
            }
            sleep(POLL).await;
        }
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn exited(&mut self) -> Result<Option<std::process::ExitStatus>, RunError> {
        self.child.try_wait().map_err(io("wait for", &self.log))
    }

    /// The administration port.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Asks the administration port.
    ///
    /// # Errors
    /// It does not answer, or not with 200.
    pub async fn admin_get(&self, path: &str) -> Result<String, RunError> {
        match self.admin_request(Method::GET, path).await? {
            (200, body) => Ok(body),
            (status, body) => Err(RunError::Admin {
                path: path.to_owned(),
                reason: format!("{status} {}", body.trim()),
            }),
        }
    }

    /// Counters and gauges by name.
    ///
    /// # Errors
    /// The administration port does not answer.
    pub async fn stats(&self) -> Result<BTreeMap<String, u64>, RunError> {
        let text = self.admin_get("/stats?usedonly").await?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
            .collect())
    }

    /// The configuration in force, as Envoy tells it, endpoints included.
    ///
    /// # Errors
    /// The administration port does not answer, or not in JSON.
    pub async fn config_dump(&self) -> Result<serde_json::Value, RunError> {
        let path = "/config_dump?include_eds";
        let text = self.admin_get(path).await?;
        serde_json::from_str(&text).map_err(|error| RunError::Admin {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Ends it: asked by its administration port, which does what SIGTERM does and needs no process
    /// id; killed if it has not gone in time.
    ///
    /// # Errors
    /// The operating system does not let it be killed.
    pub async fn stop(mut self, limit: Duration) -> Result<(), RunError> {
        // One that does not answer is killed below.
        let _ = self.admin_request(Method::POST, "/quitquitquit").await;
        if timeout(limit, self.child.wait()).await.is_err() {
            tracing::warn!(admin = %self.admin, "Envoy did not end when asked: killing it");
            self.kill().await?;
        }
        Ok(())
    }

    /// Kills it at once.
    ///
    /// # Errors
    /// The operating system does not let it be killed.
    pub async fn kill(&mut self) -> Result<(), RunError> {
        self.child.kill().await.map_err(io("kill", &self.log))
    }

    async fn admin_request(&self, method: Method, path: &str) -> Result<(u16, String), RunError> {
        let failed = |reason: String| RunError::Admin {
            path: path.to_owned(),
            reason,
        };
        let exchange = async {
            let stream = TcpStream::connect(self.admin)
                .await
                .map_err(|e| e.to_string())?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|e| e.to_string())?;
            let driver = tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "admin")
                .body(Empty::<Bytes>::new())
                .map_err(|e| e.to_string())?;
            let response = sender
                .send_request(request)
                .await
                .map_err(|e| e.to_string())?;
            let status = response.status().as_u16();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|e| e.to_string())?;
            driver.abort();
            Ok::<_, String>((
                status,
                String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            ))
        };
        timeout(ADMIN_TIMEOUT, exchange)
            .await
            .map_err(|_| failed("no answer in time".to_owned()))?
            .map_err(failed)
    }
}

/// Below the ports that operating systems give to outgoing connections: what is free here stays so.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Free ports on the loopback, each another, and others at each call of one process. Another process
/// may take one before it is used.
///
/// # Errors
/// None is free.
pub fn free_ports<const N: usize>() -> Result<[u16; N], RunError> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    // Processes that start one after another begin far apart.
    let begin = std::process::id().wrapping_mul(7_919);
    let mut ports = [0; N];
    for port in &mut ports {
        let mut last = None;
        for _ in 0..count {
            let at = begin.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % count;
            let candidate = PORTS.start + u16::try_from(at).unwrap_or(0);
            match TcpListener::bind((Ipv4Addr::LOCALHOST, candidate)) {
                Ok(_) => {
                    *port = candidate;
                    last = None;
                    break;
                }
                Err(error) => last = Some(error),
            }
        }
        if let Some(error) = last {
            return Err(RunError::NoPort(error));
        }
    }
    Ok(ports)
}

/// The wanted port of the loopback if it is free, else another that is.
///
/// # Errors
/// None is free.
pub fn free_port_or(wanted: u16) -> Result<u16, RunError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) {
        Ok(_) => Ok(wanted),
        Err(_) => free_ports::<1>().map(|[port]| port),
    }
}

fn append(path: &Path) -> Result<std::fs::File, RunError> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(io("open", path))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::Io {
        action,
        path,
        source,
    }
}
