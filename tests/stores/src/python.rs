//! Python's stores and clients, at pinned versions in an environment of their own.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::{checkout, until};

/// The interpreter of the environment: made once for each content of `python/requirements.txt`.
///
/// # Panics
/// It can't be made; the message says why.
fn interpreter() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let wanted = checkout().join("tests/stores/python/requirements.txt");
        let text = fs::read(&wanted).expect("the list of packages");
        let digest: String = Sha256::digest(&text)
            .iter()
            .take(8)
            .map(|b| format!("{b:02x}"))
            .collect();
        let home = checkout().join("target/stores");
        fs::create_dir_all(&home).expect("a directory under target");
        // Whoever comes meanwhile waits.
        let turn = fs::File::create(home.join("turn.lock")).expect("a lock file");
        turn.lock().expect("a turn");
        let environment = home.join(&digest);
        let python = environment.join("bin/python");
        if !home.join(format!("{digest}.done")).exists() {
            let run = |command: &mut Command, what: &str| {
                let output = command
                    .stdin(Stdio::null())
                    .output()
                    .unwrap_or_else(|error| {
                        panic!("this test needs Python 3 with venv and pip: {error}")
                    });
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{what} failed: {said}");
            };
            let _ = fs::remove_dir_all(&environment);
            run(
                Command::new("python3")
                    .args(["-m", "venv"])
                    .arg(&environment),
                "python3 -m venv",
            );
            let install = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ];
            run(
                Command::new(&python)
                    .args(install)
                    .arg("--requirement")
                    .arg(&wanted),
                "pip install",
            );
            fs::write(home.join(format!("{digest}.done")), "").expect("a mark");
        }
        python
    })
}

async fn python() -> &'static PathBuf {
    tokio::task::spawn_blocking(interpreter)
        .await
        .expect("the Python environment")
}

/// Runs one of our scripts with this on its standard input, and gives what it answers.
///
/// # Panics
/// It fails; the message says why.
pub async fn run(script: &str, ask: &Value) -> Vec<Value> {
    let mut child = tokio::process::Command::new(python().await)
        .arg(checkout().join("tests/stores/python").join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the interpreter can be started");
    let mut stdin = child.stdin.take().expect("a standard input");
    stdin
        .write_all(ask.to_string().as_bytes())
        .await
        .expect("the script reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("the script ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {said}");
    serde_json::from_slice(&output.stdout).expect("the script answers with a list")
}

/// A running S3 server (moto). Dropping it kills it.
pub struct ObjectStore {
    /// Where it is.
    pub address: SocketAddr,
    server: Child,
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl ObjectStore {
    /// Starts one.
    ///
    /// # Panics
    /// It can't be had.
    pub async fn start() -> Self {
        let [port] = gateway::run::free_ports().expect("a free port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = Command::new(python().await)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto can be started");
        until("S3 server", async || {
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
        Self { address, server }
    }
}
