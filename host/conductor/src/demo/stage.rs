//! Setting the demo up and taking it down.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use gateway::run::{Envoy, EnvoyOptions, free_port_or};
use tokio::process::{Child, Command};
use upstream::personas::{self, Persona};
use upstream::tokens::{AUDIENCE, ISSUER, Issuer};
use upstream::{Region, Upstream};

use crate::client::{self, Answer, Live};
use super::now;
use crate::DemoArgs;
use crate::config::{Config, Delivery};
use crate::fleet;

/// One region of the demo.
pub struct RegionStage {
    /// Its name.
    pub name: String,
    /// The gateway.
    pub listen: SocketAddr,
    /// The gateway's administration port.
    pub admin: SocketAddr,
    /// The region's data, while it is served.
    upstream: Option<Upstream>,
    /// The gateway's process.
    pub envoy: Option<Envoy>,
    /// The gateway's access log.
    pub access_log: PathBuf,
}

impl RegionStage {
    /// The region's upstream.
    ///
    /// # Errors
    /// It was stopped.
    pub fn upstream(&self) -> anyhow::Result<&Upstream> {
        self.upstream
            .as_ref()
            .with_context(|| format!("the upstream of {} is stopped", self.name))
    }

    /// Requests that the upstream has seen.
    pub fn requests(&self) -> u64 {
        self.upstream.as_ref().map_or(0, |u| u.stats().requests)
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Who asks, and for what purpose; empty for none.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The persona.
    pub persona: &'a Persona,
    /// The purpose that it states.
    pub purpose: &'a str,
}

impl Caller<'_> {
    fn token(&self, issuer: &Issuer) -> String {
        format!("Bearer {}", self.persona.token(issuer, now()))
    }

    fn headers<'a>(&'a self, token: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut headers = vec![("authorization", token)];
        if !self.purpose.is_empty() {
            headers.push(("x-ig-purpose", self.purpose));
        }
        headers
    }
}

/// The running demo.
pub struct Stage {
    directory: tempfile::TempDir,
    /// The regions, the EU first.
    pub regions: Vec<RegionStage>,
    /// Who signs tokens.
    pub issuer: Issuer,
    /// The conductor's xDS port.
    pub xds: SocketAddr,
    /// The conductor's HTTP port.
    pub api: SocketAddr,
    /// The root key of the pseudonyms, to look for where it must not be.
    pub key: String,
    conductor: Option<Child>,
}

fn tell(message: &str) {
    eprintln!("demo: {message}");
}

/// How long the filters' code may take to arrive and to be compiled.
const FILTERS_PATIENCE: Duration = Duration::from_secs(60);

fn port(wanted: u16) -> anyhow::Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free_port_or(wanted)?).into())
}

impl Stage {
    /// Builds, finds and starts everything.
    ///
    /// # Errors
    /// A part can't be had.
    pub async fn start(args: &DemoArgs) -> anyhow::Result<Self> {
        let checkout = checkout()?;
        tell("building the filters (a minute or two, the first time)");
        let root = checkout.clone();
        let filters = tokio::task::spawn_blocking(move || {
            artifacts::build_filters(&root, &["residency", "masking"])
        })
        .await??;
        let target = checkout.join("target");
        let cache = target.clone();
        let binary = tokio::task::spawn_blocking(move || gateway::locate::locate(&cache, tell))
            .await?
            .context("looking for Envoy")?;
        tell(&format!("Envoy is {}", binary.display()));

        let directory = tempfile::Builder::new()
            .prefix("demo-")
            .tempdir_in(&target)?;
        let at = directory.path();
        artifacts::copy_directory(&checkout.join("policies"), &at.join("policies"))
            .context("can't copy the policies")?;
        std::fs::create_dir_all(at.join("filters"))?;
        for (from, name) in filters.iter().zip(["residency.wasm", "masking.wasm"]) {
            std::fs::copy(from, at.join("filters").join(name))?;
        }
        let issuer = Issuer::generate();
        std::fs::write(at.join("jwks.json"), issuer.jwks())?;
        let mut random = [0; 32];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut random)?;
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random);

        // Between looking for free ports and taking them, no other demo may look.
        let turn = tokio::task::spawn_blocking(turn).await?;
        let xds = port(18000)?;
        let api = port(7080)?;
        let traces = port(4317)?;
        let mut regions = Vec::new();
        for (region, offset) in Region::ALL.into_iter().zip(0u16..) {
            let upstream = Upstream::start(region, (Ipv4Addr::LOCALHOST, 0).into()).await?;
            regions.push(RegionStage {
                name: region.to_string(),
                listen: port(10_000 + offset)?,
                admin: port(9_901 + offset)?,
                access_log: at.join(format!("access-{region}.log")),
                upstream: Some(upstream),
                envoy: None,
            });
        }
        std::fs::write(
            at.join("conductor.toml"),
            configuration(args, xds, api, traces, &regions)?,
        )?;
        let mut stage = Self {
            directory,
            regions,
            issuer,
            xds,
            api,
            key,
            conductor: None,
        };
        stage.start_conductor().await?;
        for region in 0..stage.regions.len() {
            stage.start_gateway(region, &binary).await?;
        }
        drop(turn);
        stage.in_force().await?;
        Ok(stage)
    }

    /// The directory with everything that the demo writes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The demo's copy of the policies.
    pub fn policies(&self) -> PathBuf {
        self.directory().join("policies")
    }

    async fn start_conductor(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::create(self.directory().join("conductor.log"))?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg("--config")
            .arg(self.directory().join("conductor.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // A Ctrl-C in the terminal is for the demo, which ends its parts in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("can't start the conductor")?;
        let healthy = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                if let Some(status) = child.try_wait()? {
                    bail!("the conductor ended with {status}");
                }
                let answer = client::send(self.api, "GET", "/healthz", &[], String::new()).await;
                if answer.is_ok_and(|a| a.status == 200) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let log =
            || std::fs::read_to_string(self.directory().join("conductor.log")).unwrap_or_default();
        match healthy {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.context(log())),
            Err(_) => bail!("the conductor does not answer; its log:\n{}", log()),
        }
        self.conductor = Some(child);
        tell(&format!(
            "the conductor serves xDS on {} and HTTP on {}",
            self.xds, self.api
        ));
        Ok(())
    }

    /// Starts the gateway of a region, by its place in the list.
    async fn start_gateway(&mut self, region: usize, binary: &Path) -> anyhow::Result<()> {
        let config = Config::read(&self.directory().join("conductor.toml"))?;
        let directory = self.directory().to_owned();
        let (Some(region), Some(gateway)) =
            (self.regions.get_mut(region), config.gateways.get(region))
        else {
            bail!("there is no such region");
        };
        let work = directory.join(format!("envoy-{}", region.name));
        std::fs::create_dir_all(&work)?;
        let bootstrap = fleet::bootstrap(&config, gateway, None)?;
        let mut options = EnvoyOptions::new(binary.to_owned(), bootstrap, work, region.admin);
        options.env = [fleet::KEYS_ENV, fleet::CONTEXT_KEYS_ENV]
            .map(|variable| (variable.into(), format!("demo:{}", self.key)))
            .into();
        let envoy = Envoy::start(&options)
            .await
            .with_context(|| format!("starting the gateway of {}", region.name))?;
        listening(&envoy, self.api)
            .await
            .with_context(|| format!("the gateway of {}", region.name))?;
        region.envoy = Some(envoy);
        tell(&format!(
            "the gateway of {} serves on {}",
            region.name, region.listen
        ));
        Ok(())
    }

    /// Waits until every gateway answers somebody of its region: it listens before the filters' code
    /// is there, and denies till then.
    async fn in_force(&self) -> anyhow::Result<()> {
        for (place, region) in self.regions.iter().enumerate() {
            if !self.answers(place).await? {
                bail!(
                    "the gateway of {} does not let requests through its filters",
                    region.name
                );
            }
        }
        Ok(())
    }

    /// Whether a gateway lets somebody of its region through before long.
    async fn answers(&self, region: usize) -> anyhow::Result<bool> {
        let body = r#"{"query":"{ __typename }"}"#;
        let name = self.regions.get(region).map_or("", |r| r.name.as_str());
        let persona = match name {
            "us" => &personas::ANALYST_INITECH,
            "apac" => &personas::ANALYST_HOOLI,
            _ => &personas::ANALYST_ACME,
        };
        let deadline = tokio::time::Instant::now() + FILTERS_PATIENCE;
        while tokio::time::Instant::now() < deadline {
            let answer = self
                .ask(name, persona, "analytics", body.to_owned(), &[])
                .await?;
            if answer.status == 200 {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }

    /// The region of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn region(&self, name: &str) -> anyhow::Result<&RegionStage> {
        self.regions
            .iter()
            .find(|r| r.name == name)
            .with_context(|| format!("no region {name}"))
    }

    /// Asks a gateway as a persona, for a purpose: GraphQL by POST.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn ask(
        &self,
        region: &str,
        persona: &Persona,
        purpose: &str,
        body: String,
        extra: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let headers = [&[JSON], extra].concat();
        let caller = Caller { persona, purpose };
        self.send(region, caller, "POST", "/graphql", &headers, body)
            .await
    }

    /// Asks a gateway for a path.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn get(
        &self,
        persona: &Persona,
        purpose: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let caller = Caller { persona, purpose };
        self.send("eu", caller, "GET", path, headers, String::new())
            .await
    }

    /// Sends a gateway a request of a caller.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(
        &self,
        region: &str,
        caller: Caller<'_>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> anyhow::Result<Answer> {
        let token = caller.token(&self.issuer);
        let headers = [&caller.headers(&token), headers].concat();
        let listen = self.region(region)?.listen;
        client::send(listen, method, path, &headers, body).await
    }

    /// Asks a gateway for an answer that comes bit by bit.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn open(
        &self,
        persona: &Persona,
        purpose: &str,
        accept: &str,
        body: String,
    ) -> anyhow::Result<Live> {
        let caller = Caller { persona, purpose };
        let token = caller.token(&self.issuer);
        let headers = [&caller.headers(&token)[..], &[JSON, ("accept", accept)]].concat();
        let listen = self.region("eu")?.listen;
        client::open(listen, "POST", "/graphql", &headers, body).await
    }

    /// Asks a gateway, reads the first of the answer's body, and hangs up.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn abandon(
        &self,
        region: &str,
        persona: &Persona,
        purpose: &str,
        body: String,
    ) -> anyhow::Result<()> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let token = persona.token(&self.issuer, now());
        let mut stream = tokio::net::TcpStream::connect(self.region(region)?.listen).await?;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: demo\r\nauthorization: Bearer {token}\r\n\
             x-ig-purpose: {purpose}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut first = vec![0; 200_000];
        stream.read_exact(&mut first).await?;
        Ok(())
    }

    /// Asks the conductor's HTTP port.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn api(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        Ok(client::send(self.api, "GET", path, &[], String::new())
            .await?
            .json())
    }

    /// Kills the conductor, as a crash would.
    ///
    /// # Errors
    /// The operating system refuses.
    pub async fn kill_conductor(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.conductor.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Stops a region's upstream.
    ///
    /// # Errors
    /// There is no such region.
    pub async fn stop_upstream(&mut self, name: &str) -> anyhow::Result<()> {
        let region = self.regions.iter_mut().find(|r| r.name == name);
        let upstream = region
            .with_context(|| format!("no region {name}"))?
            .upstream
            .take();
        if let Some(upstream) = upstream {
            upstream.shutdown().await;
        }
        Ok(())
    }

    /// Requests that the running upstreams have seen.
    pub fn requests(&self) -> u64 {
        self.regions.iter().map(RegionStage::requests).sum()
    }

    /// Waits for Ctrl-C, or for a part that ends by itself.
    ///
    /// # Errors
    /// A part ended.
    pub async fn wait(&mut self) -> anyhow::Result<()> {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            let ended = self
                .conductor
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten();
            if let Some(status) = ended {
                tell(&format!(
                    "the conductor ended with {status}: the gateways go on without it"
                ));
                self.conductor = None;
            }
            for region in &mut self.regions {
                if let Some(envoy) = &mut region.envoy
                    && let Some(status) = envoy.exited()?
                {
                    bail!(
                        "the gateway of {} ended with {status}:\n{}",
                        region.name,
                        envoy.log_tail()
                    );
                }
            }
        }
    }

    /// Ends everything and removes what the demo wrote.
    pub async fn stop(mut self) {
        tell("stopping");
        let mut gateways = Vec::new();
        for region in &mut self.regions {
            gateways.extend(region.envoy.take());
        }
        for envoy in gateways {
            let _ = envoy.stop(Duration::from_secs(3)).await;
        }
        let _ = self.kill_conductor().await;
        for region in self.regions {
            if let Some(upstream) = region.upstream {
                upstream.shutdown().await;
            }
        }
    }
}

/// Waits for other demos of this machine to have taken their ports. Held for as long as the file is
/// open; without the file (another user's, say) there is no turn to wait for.
fn turn() -> Option<std::fs::File> {
    let path = std::env::temp_dir().join("maestro-demo.lock");
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .ok()?;
    if file.try_lock().is_err() {
        tell("another demo is starting: waiting for it");
        file.lock().ok()?;
    }
    Some(file)
}

/// Waits until a gateway has taken its listener: one whose port was taken meanwhile is ready too,
/// but refuses its configuration.
async fn listening(envoy: &Envoy, api: SocketAddr) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let active = envoy
            .stats()
            .await?
            .get("listener_manager.total_listeners_active")
            .copied();
        if active == Some(1) {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            let status = client::send(api, "GET", "/api/xds", &[], String::new())
                .await?
                .json();
            bail!(
                "it does not listen; the control plane says {}",
                status["groups"]
            );
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The checkout that the demo builds from: around the working directory, else where this program
/// was built.
fn checkout() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()?;
    Ok(artifacts::checkout(&here)
        .or_else(|_| artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))))?)
}

fn configuration(
    args: &DemoArgs,
    xds: SocketAddr,
    api: SocketAddr,
    traces: SocketAddr,
    regions: &[RegionStage],
) -> anyhow::Result<String> {
    let delivery = match args.delivery {
        Delivery::Path => "path",
        Delivery::Http => "http",
    };
    let mut text = format!(
        "policies = \"policies\"\nstate = \"state\"\n\n\
         [filters]\nresidency = \"filters/residency.wasm\"\nmasking = \"filters/masking.wasm\"\n\
         delivery = \"{delivery}\"\n\n[xds]\nlisten = \"{xds}\"\n\n[api]\nlisten = \"{api}\"\n\n\
         [traces]\nlisten = \"{traces}\"\nsampling_percent = 100.0\n\n\
         [jwt]\nissuer = \"{ISSUER}\"\naudiences = [\"{AUDIENCE}\"]\njwks_file = \"jwks.json\"\n"
    );
    for region in regions {
        let _ = write!(
            text,
            "\n[[gateways]]\nregion = \"{}\"\nlisten = \"{}\"\nadmin = \"{}\"\n\
             endpoints = [{{ address = \"{}\" }}]\naccess_log = {:?}\n\
             response_headers = [\"x-upstream-region\"]\nxds_variant = \"{}\"\n",
            region.name,
            region.listen,
            region.admin,
            region.upstream()?.address(),
            region.access_log,
            args.xds,
        );
    }
    Ok(text)
}
