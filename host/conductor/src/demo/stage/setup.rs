//! What a demo has, and what its parts are told.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use gateway::run::free_port_or;
use proof::key::Passphrase;
use upstream::tokens::{AUDIENCE, ISSUER, Issuer};

use super::{RegionStage, tell};
use crate::DemoArgs;
use crate::config::Delivery;

/// Seconds until gateways and sidecars have their filters.
const SETTLE_S: u32 = 15;

/// Seconds between proofs.
pub const PERIOD_S: u32 = 10;

/// How gateways find out which server is down.
const HEALTH_CHECK: &str = "{ interval_ms = 250, timeout_ms = 250 }";

/// What a demo has.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How gateways get the filters' code.
    pub delivery: Delivery,
    /// The variant of the xDS protocol.
    pub xds: String,
    /// Whether the conductor that serves probes too.
    pub proves: bool,
    /// Whether each region has a second server.
    pub secondaries: bool,
    /// Whether policies get to gateways by releases.
    pub releases: bool,
}

impl Setup {
    /// What a caller wants that probes by itself.
    pub fn unproven() -> Self {
        Self {
            delivery: Delivery::Path,
            xds: "delta".into(),
            proves: false,
            secondaries: false,
            releases: false,
        }
    }
}

impl From<&DemoArgs> for Setup {
    fn from(args: &DemoArgs) -> Self {
        Self {
            delivery: args.delivery,
            xds: args.xds.clone(),
            proves: true,
            secondaries: false,
            releases: false,
        }
    }
}

/// A free port of the loopback: this one, if it is free.
///
/// # Errors
/// There is none.
pub fn port(wanted: u16) -> anyhow::Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free_port_or(wanted)?).into())
}

/// Waits for other demos of this machine to have taken their ports. Held for as long as the file is
/// open; without the file (another user's, say) there is no turn to wait for.
pub fn turn() -> Option<std::fs::File> {
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

/// The checkout that the demo builds from: around the working directory, else where this program
/// was built.
pub fn checkout() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()?;
    Ok(artifacts::checkout(&here)
        .or_else(|_| artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))))?)
}

pub fn configuration(
    setup: &Setup,
    xds: SocketAddr,
    api: SocketAddr,
    traces: SocketAddr,
    access_logs: SocketAddr,
    regions: &[RegionStage],
) -> anyhow::Result<String> {
    let delivery = match setup.delivery {
        Delivery::Path => "path",
        Delivery::Http => "http",
    };
    let mut text = format!(
        "policies = \"policies\"\nstate = \"state\"\n\n\
         [filters]\nresidency = \"filters/residency.wasm\"\nmasking = \"filters/masking.wasm\"\n\
         guard = \"filters/guard.wasm\"\ndelivery = \"{delivery}\"\n\n\
         [xds]\nlisten = \"{xds}\"\n\n[api]\nlisten = \"{api}\"\n\n\
         [decisions]\ngrpc_listen = \"{access_logs}\"\n\n\
         [traces]\nlisten = \"{traces}\"\nsampling_percent = 100.0\n\n\
         [jwt]\nissuer = \"{ISSUER}\"\naudiences = [\"{AUDIENCE}\"]\njwks_file = \"jwks.json\"\n"
    );
    for region in regions {
        let primary = region.upstream()?.address();
        let endpoints = match &region.secondary {
            None => format!("[{{ address = \"{primary}\" }}]"),
            Some(secondary) => format!(
                "[{{ address = \"{primary}\" }}, {{ address = \"{}\", priority = 1 }}]\n\
                 health_check = {HEALTH_CHECK}",
                secondary.address()
            ),
        };
        let _ = write!(
            text,
            "\n[[gateways]]\nregion = \"{}\"\nlisten = \"{}\"\nadmin = \"{}\"\n\
             endpoints = {endpoints}\naccess_log = {:?}\n\
             access_log_service = {}\n\
             response_headers = [\"x-upstream-region\"]\nxds_variant = \"{}\"\n",
            region.name,
            region.listen,
            region.admin,
            region.access_log,
            // Both ways, in one region.
            region.name == "us",
            setup.xds,
        );
        text.push_str(&region.side.configuration(&setup.xds));
    }
    Ok(text)
}

/// The keys of the prober, and what it is told.
pub struct Proving {
    /// That of the key that signs proofs.
    pub passphrase: String,
    /// The [probe] of the configuration.
    pub configuration: String,
}

impl Proving {
    /// Makes the keys, in a directory.
    ///
    /// # Errors
    /// They can't be written.
    pub fn prepare(directory: &Path, issuer: &Issuer) -> anyhow::Result<Self> {
        let token_key = directory.join("probe.pem");
        let secret = p256::SecretKey::from_slice(&issuer.secret())?;
        let pem = p256::pkcs8::EncodePrivateKey::to_pkcs8_pem(&secret, Default::default())?;
        std::fs::write(&token_key, pem.as_bytes())?;
        let passphrase = random()?;
        let keys = proof::KeyFiles::current(&directory.join("keys"));
        keys.generate(&Passphrase::new(passphrase.clone())?)?;
        Ok(Self {
            passphrase,
            configuration: format!(
                "\n[probe]\nproofs = \"proofs\"\nkeys = \"keys\"\ntoken_key = \"probe.pem\"\n\
                 token_kid = \"{}\"\n\n[probe.schedule]\nevery_s = {PERIOD_S}\nsettle_s = {SETTLE_S}\noffset_s = 0\n\
                 jitter_s = 0\ngrace_s = {PERIOD_S}\nevidence_s = {PERIOD_S}\n",
                issuer.kid()
            ),
        })
    }
}

/// 32 bytes that nobody can guess, in base64.
pub fn random() -> anyhow::Result<String> {
    let mut random = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut random)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random))
}
