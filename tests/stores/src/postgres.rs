//! A real PostgreSQL server of a region.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio_postgres::NoTls;

use crate::until;

/// A running server. Dropping it stops it.
pub struct Postgres {
    /// Where it is.
    pub address: SocketAddr,
    server: Child,
    log: PathBuf,
    name: String,
    directory: tempfile::TempDir,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its processes end with it.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The directory of the newest server's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_string_lossy().parse().ok()?;
            let programs = version.path().join("bin");
            programs
                .join("initdb")
                .is_file()
                .then_some((number, programs))
        })
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, programs)| programs);
    newest.or_else(on_path).expect(
        "this test needs PostgreSQL's server and psql: on Debian, `apt-get install -y postgresql`",
    )
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .find(|p| p.join("initdb").is_file() && p.join("postgres").is_file())
}

/// The user that the server runs as: it refuses to run as root.
fn user() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout != b"0\n" {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let ids = |name: &str| {
        let line = passwd.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .env_remove("PGDATA");
    if let Some((uid, gid)) = user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Starts the server of a directory that is prepared.
fn serve(directory: &Path, address: SocketAddr, name: &str) -> Child {
    let log = std::fs::File::options()
        .append(true)
        .open(directory.join("log"));
    command(&programs().join("postgres"), directory)
        .arg("-D")
        .arg(directory.join("data"))
        .args([
            "-c",
            "fsync=off",
            "-c",
            "log_connections=on",
            "-c",
            "unix_socket_directories=",
        ])
        .arg("-c")
        .arg(format!("listen_addresses={}", address.ip()))
        .arg("-c")
        .arg(format!("port={}", address.port()))
        .arg("-c")
        .arg(format!("cluster_name={name}"))
        .stdout(Stdio::null())
        .stderr(log.expect("a log"))
        .spawn()
        .expect("postgres can be started")
}

impl Postgres {
    /// Kills the server's first process (SIGKILL), as a crash would; the others end when they notice.
    ///
    /// # Panics
    /// The operating system refuses.
    pub fn kill(&mut self) {
        self.server.kill().expect("it can be killed");
        self.server.wait().expect("it ends");
    }

    /// Starts a killed server again, with its data, and waits until it answers.
    ///
    /// # Panics
    /// It does not start in time.
    pub async fn restart(&mut self) {
        let config = format!(
            "host={} port={} user=owner dbname=postgres",
            self.address.ip(),
            self.address.port()
        );
        until("PostgreSQL after a crash", async || {
            // It refuses to start until the last process of the killed one has noticed.
            if self.server.try_wait().ok()?.is_some() {
                self.server = serve(self.directory.path(), self.address, &self.name);
            }
            let (_, connection) = tokio_postgres::connect(&config, NoTls).await.ok()?;
            drop(connection);
            Some(())
        })
        .await;
    }

    /// Starts a server on an address of the loopback, with a role `app` and these databases.
    ///
    /// # Panics
    /// It can't be had or does not start; the message says why.
    pub async fn start(ip: IpAddr, databases: &[&str]) -> Self {
        Self::start_as("", ip, databases).await
    }

    /// The same with a name of its own (`cluster_name`).
    ///
    /// # Panics
    /// It can't be had or does not start; the message says why.
    pub async fn start_as(name: &str, ip: IpAddr, databases: &[&str]) -> Self {
        let programs = programs();
        let directory = tempfile::tempdir().expect("a temporary directory");
        if let Some((uid, gid)) = user() {
            chown(directory.path(), Some(uid), Some(gid)).expect("a directory of the server's");
        }
        let data = directory.path().join("data");
        let made = command(&programs.join("initdb"), directory.path())
            .args([
                "--username=owner",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .arg("--pgdata")
            .arg(&data)
            .output()
            .expect("initdb can be started");
        assert!(
            made.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let free = TcpListener::bind((ip, 0))
            .and_then(|l| l.local_addr())
            .expect("a free port");
        let log = directory.path().join("log");
        std::fs::File::create(&log).expect("a log");
        let postgres = Self {
            address: free,
            server: serve(directory.path(), free, name),
            log,
            name: name.to_owned(),
            directory,
        };
        postgres.prepare(databases).await;
        postgres
    }

    async fn prepare(&self, databases: &[&str]) {
        let config = format!(
            "host={} port={} user=owner dbname=postgres",
            self.address.ip(),
            self.address.port()
        );
        let (client, connection) = until("PostgreSQL", async || {
            tokio_postgres::connect(&config, NoTls).await.ok()
        })
        .await;
        let connection = tokio::spawn(connection);
        client
            .batch_execute("CREATE ROLE app LOGIN")
            .await
            .expect("a role");
        for database in databases {
            let sql = format!("CREATE DATABASE {database} OWNER app");
            client.batch_execute(&sql).await.expect("a database");
        }
        drop(client);
        let _ = connection.await;
    }

    /// How many connections the server has seen for a database, and from anyone at all.
    pub fn connections(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.matches("connection received").count()
    }
}

/// Runs `psql` with a connection string, and gives its output and its error output.
///
/// # Panics
/// It can't be had.
pub async fn psql(connection: &str, sql: &str) -> (String, String) {
    let output = tokio::process::Command::new("psql")
        .args([
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--set",
            "VERBOSITY=verbose",
        ])
        .args(["--dbname", connection, "--command", sql])
        .env_clear()
        .envs(std::env::var_os("PATH").map(|p| ("PATH", p)))
        .env("PGCONNECT_TIMEOUT", "20")
        .stdin(Stdio::null())
        .output()
        .await
        .expect("this test needs psql: on Debian, `apt-get install -y postgresql-client`");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(&output.stdout), text(&output.stderr))
}
