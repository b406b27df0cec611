//! The service: policies in, configured gateways out.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alert::Book;
use alert::run::{Alerts, Receivers};
use anyhow::Context;
use bundle::Bundle;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use traces::Spans;
use xds::{Cache, Event, Offered};

use crate::alarm::Alarm;
use crate::api::{self, PolicyState};
use crate::config::Config;
use crate::fleet::{self, FilterCode};
use crate::ingest::{self, Ingest, Keeper};
use crate::probe::Summary;
use crate::watch::{Watch, fingerprint};
use crate::{End, ServeArgs};

/// How often files are looked at, whatever the operating system reports.
const LOOK: Duration = Duration::from_secs(2);

/// Runs until it is told to stop.
///
/// # Errors
/// The configuration or the policies can't be used, or a port is taken.
pub async fn run(args: &ServeArgs) -> anyhow::Result<End> {
    let config = Config::read(&args.config)?;
    let first = Release::prepare(&config)?;
    let receivers = Receivers::read(&config.alerts)?;
    if args.check_config {
        // Before anything is called fine.
        let probed = match config.probe {
            None => None,
            Some(_) => {
                crate::probe::Fleet::of(&config, config.api.listen)?;
                Some(crate::probe::directory(&config)?.tenants.len())
            }
        };
        ingest::mask(&config)?;
        crate::say(&format!(
            "{}: fine; policies {} give {} masking and {} residency decisions for {} gateways\n",
            args.config.display(),
            first.bundle.revision,
            first.examined.masking,
            first.examined.residency,
            config.gateways.len()
        ))?;
        if !config.sidecars.is_empty() {
            crate::say(&format!(
                "and {} egress decisions for {} sidecars\n",
                first.guarded,
                config.sidecars.len()
            ))?;
        }
        if let Some(tenants) = probed {
            crate::say(&format!("and probes of {tenants} tenants\n"))?;
        }
        return Ok(End::Done);
    }

    let regions: Vec<String> = config.gateways.iter().map(|g| g.region.clone()).collect();
    let guarded: Vec<String> = config.sidecars.iter().map(|s| s.region.clone()).collect();
    let cache = Cache::new(move |node| match node.cluster.as_str() {
        "gateway" if regions.contains(&node.region) => Some(node.region.clone()),
        fleet::sidecar::CLUSTER if guarded.contains(&node.region) => {
            Some(fleet::sidecar::group(&node.region))
        }
        _ => None,
    });
    let alerts = Alerts::new(Book::open(&config.state.join("alerts.json"))?);
    let alarm = Alarm::new(alerts.clone());
    let proofs = watch::Sender::new(Summary::default());
    let watching = crate::probe::Watch::open(&config, None, alerts.clone(), proofs.clone())?;
    let (policies, seen) = watch::channel(PolicyState::default());
    let code = Arc::new(std::sync::RwLock::new(first.code.clone()));
    let (ingest, keeper, shelf) = Ingest::prepare(&config, alerts.clone()).await?;
    keeper.keep(&first.bundle);
    offer(&cache, first, &policies);
    alarm.policies_accepted();
    alarm.look(&cache.status());
    let events = tokio::spawn(tell(cache.subscribe(), cache.clone(), alarm.clone()));

    let bind = async |address, what: &str| {
        TcpListener::bind(address)
            .await
            .with_context(|| format!("can't listen on {address} ({what})"))
    };
    let xds_listener = bind(config.xds.listen, "xds.listen").await?;
    let api_listener = bind(config.api.listen, "api.listen").await?;
    let traces_listener = match &config.traces {
        Some(traces) => Some(bind(traces.listen, "traces.listen").await?),
        None => None,
    };
    let stop = Arc::new(Notify::new());
    let stopped = |stop: &Arc<Notify>| {
        let stop = stop.clone();
        async move { stop.notified().await }
    };
    let xds_server = tokio::spawn(xds::run::serve(
        xds_listener,
        cache.clone(),
        config.xds.clone(),
        stopped(&stop),
    ));
    let telling = tokio::spawn(receivers.tell(alerts.clone(), stopped(&stop)));
    let spans = Spans::new(config.traces.as_ref().map_or(1, |t| t.keep));
    let traces_server = traces_listener
        .map(|listener| tokio::spawn(traces::run::serve(listener, spans.clone(), stopped(&stop))));
    let state = api::State {
        spans,
        alerts,
        cache: cache.clone(),
        policies: seen,
        code: code.clone(),
        proofs: proofs.subscribe(),
        decisions: shelf,
    };
    let api_server = tokio::spawn(api::serve(api_listener, state, stopped(&stop)));
    let ingesting = tokio::spawn(ingest.run(stopped(&stop)));
    let probing = watching.map(|watching| tokio::spawn(watching.run(stopped(&stop))));
    tracing::info!(
        xds = %config.xds.listen,
        api = %config.api.listen,
        policies = %config.policies.display(),
        "serving {} gateways",
        config.gateways.len()
    );

    let mut files: Vec<&Path> = vec![
        &config.filters.residency,
        &config.filters.masking,
        &config.jwt.jwks_file,
    ];
    files.extend(config.filters.guard.as_deref());
    let all = [&[config.policies.as_path()][..], &files].concat();
    let mut known = fingerprint(&all);
    let mut watch = Watch::new(&[&config.policies], &files)?;
    let mut look = tokio::time::interval(LOOK);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            () = watch.changed() => {}
            _ = look.tick() => if fingerprint(&all) == known { continue },
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
        }
        known = fingerprint(&all);
        tokio::select! {
            () = reload(&config, &cache, &policies, &code, &alarm, &keeper) => {}
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
        }
        // A directory that was replaced is another one to the operating system.
        match Watch::new(&[&config.policies], &files) {
            Ok(renewed) => watch = renewed,
            Err(error) => tracing::warn!("looking every {} s: {error:#}", LOOK.as_secs()),
        }
    }
    tracing::info!("stopping");
    stop.notify_waiters();
    events.abort();
    telling.abort();
    // It ends by itself, after two seconds at most.
    let _ = ingesting.await;
    if let Some(probing) = probing {
        // It ends between two writes, or is cut off as a crash would cut it off, which the log survives.
        let _ = tokio::time::timeout(Duration::from_secs(2), probing).await;
    }
    // Streams are open for as long as gateways live: they are not waited for.
    let _ = tokio::time::timeout(Duration::from_secs(2), async {
        let _ = xds_server.await;
        if let Some(server) = traces_server {
            let _ = server.await;
        }
        let _ = api_server.await;
    })
    .await;
    Ok(End::Done)
}

/// Policies, code and keys that were read and tried together.
struct Release {
    bundle: Bundle,
    examined: bundle::Examined,
    /// Decisions of `ig.egress` that were tried.
    guarded: usize,
    code: FilterCode,
    snapshots: Vec<(String, xds::Snapshot)>,
}

impl Release {
    fn prepare(config: &Config) -> anyhow::Result<Self> {
        let bundle = Bundle::read(&config.policies)?;
        let examined = bundle::examine(&bundle)?;
        let code = FilterCode::keep(config)?;
        let jwks = fleet::jwks(config)?;
        let probes = fleet::probes(config, &bundle)?;
        let mut snapshots = config
            .gateways
            .iter()
            .map(|gateway| {
                let known = bundle
                    .policy
                    .data
                    .pointer("/ig/regions")
                    .and_then(|r| r.get(&gateway.region));
                anyhow::ensure!(
                    known.is_some(),
                    "the policies have no region `{}`, for which there are [[gateways]]",
                    gateway.region
                );
                let spec = fleet::spec(config, gateway, &code, &bundle, &jwks, probes.as_ref())?;
                Ok((
                    gateway.region.clone(),
                    fleet::snapshot(&spec, &bundle.revision)?,
                ))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut guards = Vec::new();
        for sidecar in &config.sidecars {
            guards.extend(fleet::sidecar::guards(sidecar, &bundle));
        }
        let guarded = bundle::examine_guards(&bundle, &guards)?;
        for sidecar in &config.sidecars {
            let spec = fleet::sidecar::spec(config, sidecar, &code, &bundle)?;
            let snapshot = fleet::sidecar::snapshot(&spec, &bundle.revision)?;
            snapshots.push((fleet::sidecar::group(&sidecar.region), snapshot));
        }
        Ok(Self {
            guarded,
            bundle,
            examined,
            code,
            snapshots,
        })
    }
}

fn offer(cache: &Cache, release: Release, policies: &watch::Sender<PolicyState>) {
    for (region, snapshot) in release.snapshots {
        let offered = cache.set(&region, snapshot);
        if offered == Offered::Parked {
            tracing::warn!(
                region,
                "still holds what a gateway refused: the last good one stays"
            );
        }
    }
    policies.send_modify(|state| state.accepted(&release.bundle.revision));
}

async fn reload(
    config: &Config,
    cache: &Cache,
    policies: &watch::Sender<PolicyState>,
    code: &std::sync::RwLock<FilterCode>,
    alarm: &Alarm,
    keeper: &Keeper,
) {
    let started = Instant::now();
    let owned = config.clone();
    // Reading and trying policies takes the processor for a while: not on a thread that serves.
    let prepared = tokio::task::spawn_blocking(move || Release::prepare(&owned)).await;
    match prepared.map_err(anyhow::Error::from).and_then(|r| r) {
        Ok(release) => {
            let revision = release.bundle.revision.clone();
            let unchanged = policies.borrow().revision.as_deref() == Some(revision.as_str())
                && code.read().is_ok_and(|c| *c == release.code);
            if let Ok(mut code) = code.write() {
                code.clone_from(&release.code);
            }
            let bundle = (!unchanged).then(|| release.bundle.clone());
            offer(cache, release, policies);
            if let Some(bundle) = bundle {
                keeper.keep(&bundle);
            }
            alarm.policies_accepted();
            alarm.look(&cache.status());
            if !unchanged {
                let ms = started.elapsed().as_millis();
                tracing::info!(revision, ms, "policies changed: pushed to the gateways");
            }
        }
        Err(error) => {
            let message = format!("{error:#}");
            alarm.policies_refused(&message);
            policies.send_modify(|state| state.refused(message));
        }
    }
}

/// Writes what happens between gateways and control plane to the log, and looks what is wrong.
async fn tell(mut events: tokio::sync::broadcast::Receiver<Event>, cache: Cache, alarm: Alarm) {
    loop {
        match events.recv().await {
            Ok(Event::Connected {
                node,
                group,
                variant,
            }) => {
                tracing::info!(node, region = group, variant, "gateway connected");
            }
            Ok(Event::Disconnected { node, group }) => {
                tracing::info!(node, region = group, "gateway disconnected");
            }
            Ok(Event::Nacked {
                node,
                group,
                type_url,
                resources,
                error,
                ..
            }) => {
                tracing::warn!(node, group, type_url, ?resources, "refused: {error}");
                alarm.look(&cache.status());
            }
            Ok(Event::RolledBack {
                group, from, to, ..
            }) => {
                tracing::warn!(
                    region = group,
                    from,
                    to,
                    "went back to the last good configuration"
                );
            }
            Ok(Event::Proven { group, version }) => {
                alarm.look(&cache.status());
                tracing::info!(
                    region = group,
                    version = version.get(..12),
                    "all gateways have it"
                );
            }
            Ok(Event::Acked { .. }) => {}
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                alarm.look(&cache.status());
            }
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}
