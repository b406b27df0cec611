//! `conductor bootstrap`: what an Envoy is started with.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use gateway::identity::{IdentitySpec, TlsSpec};

use crate::config::Config;
use crate::{BootstrapArgs, End, fleet, say};

/// Prints it, or writes it with what it needs.
///
/// # Errors
/// The region has no such Envoy, the configuration can't be used, or a file can't be written.
pub fn run(args: &BootstrapArgs) -> anyhow::Result<End> {
    let config = Config::read(&args.config)?;
    let region = &args.region;
    let node_id = args.node_id.as_deref();
    let (text, tls) = if args.sidecar {
        let sidecar = config.sidecars.iter().find(|s| s.region == *region);
        let regions = config.sidecars.iter().map(|s| s.region.as_str());
        let sidecar = sidecar.with_context(|| none("sidecar", region, regions))?;
        let tls = tls(&config, args, sidecar.identity.as_ref())?;
        let text = fleet::sidecar::bootstrap(&config, sidecar, node_id, tls.clone())?;
        (text, tls)
    } else {
        let gateway = config.gateways.iter().find(|g| g.region == *region);
        let regions = config.gateways.iter().map(|g| g.region.as_str());
        let gateway = gateway.with_context(|| none("gateway", region, regions))?;
        let tls = tls(&config, args, gateway.identity.as_ref())?;
        let text = fleet::bootstrap(&config, gateway, node_id, tls.clone())?;
        (text, tls)
    };
    let Some(directory) = &args.output else {
        say(&text)?;
        return Ok(End::Done);
    };
    std::fs::create_dir_all(directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    write(&directory.join("bootstrap.yaml"), &text)?;
    for (name, text) in tls.iter().flat_map(gateway::identity::sds) {
        write(&directory.join(name), &text)?;
    }
    Ok(End::Done)
}

/// How the Envoy shows who it is, if the control plane asks or a certificate is named.
fn tls(
    config: &Config,
    args: &BootstrapArgs,
    identity: Option<&IdentitySpec>,
) -> anyhow::Result<Option<TlsSpec>> {
    let kind = if args.sidecar { "sidecars" } else { "gateways" };
    let Some(identity) = identity else {
        ensure!(
            config.xds.tls.is_none(),
            "[xds.tls] asks for certificates, and [[{kind}]] of region `{}` names none: add \
             `identity = {{ certificate = …, key = …, ca = … }}`",
            args.region
        );
        return Ok(None);
    };
    let Some(output) = &args.output else {
        bail!(
            "the certificates of [[{kind}]] need files beside the bootstrap: say where by `--output DIR`, and by \
             `--installed DIR` where they will lie, if that is another machine"
        );
    };
    let server = fleet::advertised(config);
    let name = config.advertise.xds_server_name.clone();
    Ok(Some(TlsSpec {
        identity: identity.clone(),
        server_name: name.unwrap_or(server.host),
        sds: std::path::absolute(args.installed.as_ref().unwrap_or(output))?,
    }))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

fn none<'r>(kind: &str, region: &str, regions: impl Iterator<Item = &'r str>) -> String {
    let regions: Vec<&str> = regions.collect();
    format!(
        "there is no {kind} of region `{region}`: use {}",
        regions.join(", ")
    )
}
