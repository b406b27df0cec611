//! Apollo Servers: the same data through resolvers, which mask or do not.
//!
//! The packages come from npm once, by the lock file of `tests/bench/apollo`, into
//! `target/bench/apollo`; GitHub's schema is among them.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::load::{self, Load};
use crate::proxy::Cluster;
use crate::variants::{Masked, apollo_cluster};

/// Where the packages are.
pub struct Packages {
    directory: PathBuf,
}

impl Packages {
    /// Installs the packages.
    ///
    /// # Errors
    /// There is no Node or npm, or npm can't get the packages.
    pub fn install(checkout: &Path) -> anyhow::Result<Self> {
        let source = checkout.join("tests/bench/apollo");
        let directory = checkout.join("target/bench/apollo");
        std::fs::create_dir_all(&directory)?;
        let mut changed = !directory.join("node_modules/.package-lock.json").is_file();
        for name in ["package.json", "package-lock.json", "server.mjs"] {
            let (from, to) = (source.join(name), directory.join(name));
            let text = std::fs::read(&from).with_context(|| format!("reading {name}"))?;
            if std::fs::read(&to).ok().as_ref() != Some(&text) {
                std::fs::write(&to, text)?;
                changed |= name != "server.mjs";
            }
        }
        if changed {
            let status = Command::new("npm")
                .current_dir(&directory)
                .args([
                    "ci",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--silent",
                ])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()
                .context("npm can't be run")?;
            anyhow::ensure!(status.success(), "npm could not install the packages");
        }
        Ok(Self { directory })
    }

    /// The file of GitHub's public GraphQL schema.
    pub fn github_schema(&self) -> PathBuf {
        self.directory
            .join("node_modules/@octokit/graphql-schema/schema.graphql")
    }
}

/// Running servers, a process each; they end when this is dropped.
pub struct Servers {
    running: Vec<(Masked, Child, SocketAddr)>,
}

impl Servers {
    /// Starts one that does not mask and one for each strategy, with these loads.
    ///
    /// # Errors
    /// There is no Node, or a server does not start.
    pub fn start(packages: &Packages, loads: &[Load]) -> anyhow::Result<Self> {
        let schema = packages.directory.join("schema.graphql");
        std::fs::write(&schema, load::SCHEMA)?;
        let folder = packages.directory.join("loads");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        for load in loads {
            std::fs::write(folder.join(load.word() + ".json"), load.body())?;
        }
        let mut servers = Self {
            running: Vec::new(),
        };
        for masked in [Masked::Not, Masked::Redact, Masked::Hash] {
            let mut command = Command::new("node");
            command
                .current_dir(&packages.directory)
                .arg("server.mjs")
                .args([&schema, &folder])
                .args(Some(masked.strategy()).filter(|s| !s.is_empty()))
                .env("NODE_ENV", "production")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let mut child = command.spawn().context("node can't be run")?;
            let out = child.stdout.take().context("node has no output")?;
            servers
                .running
                .push((masked, child, (Ipv4Addr::LOCALHOST, 0).into()));
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line)?;
            let port: u16 = line
                .trim()
                .parse()
                .context("an Apollo Server did not start")?;
            if let Some((_, _, address)) = servers.running.last_mut() {
                address.set_port(port);
            }
        }
        Ok(servers)
    }

    /// The servers as Envoy's clusters.
    pub fn clusters(&self) -> impl Iterator<Item = Cluster> {
        self.running.iter().map(|(masked, _, address)| Cluster {
            name: apollo_cluster(*masked),
            address: *address,
            http2: false,
        })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (_, child, _) in &mut self.running {
            // One that has ended by itself is as good as one that is ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
