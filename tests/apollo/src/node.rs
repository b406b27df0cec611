//! A running Node.js script.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::{self, Ask};
use crate::packages::{self, NodeError};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of `node/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Apollo Server as a production would run it.
    Apollo,
    /// Apollo Server that takes GET requests without a header that no HTML form can send.
    ApolloOpenToForms,
    /// Apollo Server that streams `@defer` in both formats.
    ApolloIncremental,
    /// Apollo Gateway over two subgraphs.
    Federation,
    /// GraphQL Yoga: `@defer`, `@stream` and subscriptions.
    Yoga,
}

impl Script {
    fn file(self) -> &'static str {
        match self {
            Self::Apollo | Self::ApolloOpenToForms => "server.mjs",
            Self::ApolloIncremental => "incremental.mjs",
            Self::Federation => "federation.mjs",
            Self::Yoga => "yoga.mjs",
        }
    }

    fn packages(self) -> &'static str {
        match self {
            Self::ApolloIncremental => "incremental",
            _ => ".",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::ApolloOpenToForms => &["--open-to-forms"],
            _ => &[],
        }
    }

    /// Whether it serves `node/extensions.graphql` beside the repository's schema.
    pub(crate) fn extends(self) -> bool {
        self == Self::Yoga
    }
}

/// Where a server says that it serves.
#[derive(Debug, Deserialize)]
struct Announcement {
    port: u16,
    journal: u16,
}

/// A running server. It ends when its standard input does, so not after the test.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it serves GraphQL.
    pub address: SocketAddr,
    journal: SocketAddr,
    _child: Child,
}

impl Server {
    /// Installs what the script needs, starts it and waits until it serves.
    ///
    /// # Errors
    /// As [`NodeError`] says.
    pub async fn start(script: Script, target: &Path, schema: &Path) -> Result<Self, NodeError> {
        let folder = packages::ready(script.packages(), target)?;
        let mut child = node(&folder, script.file())
            .arg(schema)
            .args(script.arguments())
            .spawn()
            .map_err(missing)?;
        let mut first = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut lines = BufReader::new(stdout);
            let _ = tokio::time::timeout(PATIENCE, lines.read_line(&mut first)).await;
        }
        let Ok(announced) = serde_json::from_str::<Announcement>(&first) else {
            let _ = child.start_kill();
            let output = child.wait_with_output().await;
            let output = output.map(|output| output.stderr).unwrap_or_default();
            return Err(NodeError::Start {
                script: script.file(),
                output: String::from_utf8_lossy(&output).into_owned(),
            });
        };
        // What it says of failed requests is expected; a full pipe would stop it.
        if let Some(mut stderr) = child.stderr.take() {
            tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        }
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self {
            address: local(announced.port),
            journal: local(announced.journal),
            _child: child,
        })
    }

    /// The requests that it has seen: `method`, `url`, `headers` and, where it reads it before it
    /// remembers, `body`.
    pub async fn requests(&self) -> Vec<Value> {
        let answer = client::send(self.journal, &Ask::get("/")).await;
        match answer.json() {
            Value::Array(requests) => requests,
            other => panic!("a journal is a list, not {other}"),
        }
    }
}

fn missing(source: std::io::Error) -> NodeError {
    NodeError::Missing {
        program: "node",
        source,
    }
}

/// A script of `node/`, with pipes for all that it reads and writes.
fn node(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("node");
    command
        .current_dir(folder)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a script of `node/` to its end and returns its output.
///
/// # Errors
/// As [`NodeError`] says.
pub async fn run(
    script: &'static str,
    arguments: &[String],
    input: &str,
) -> Result<String, NodeError> {
    let folder = packages::ready(".", &crate::door::target())?;
    let mut child = node(&folder, script)
        .args(arguments)
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(missing)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(NodeError::Start {
        script,
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
