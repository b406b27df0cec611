//! The service: policies in, configured gateways out.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use alert::Book;
use alert::run::{Alerts, Receivers};
use anyhow::Context;
use axum::middleware::from_fn;
use release::run::Depot;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use traces::Spans;
use xds::{Cache, Event};

use crate::alarm::Alarm;
use crate::api::{self, PolicyState};
use crate::bundles::{self, Shelf};
use crate::code;
use crate::config::Config;
use crate::ingest::{self, Ingest};
use crate::last_good::LastGood;
use crate::peers;
use crate::probe::Summary;
use crate::release::conductor;
use crate::release::drive::Driver;
use crate::watch::{Watch, fingerprint};
use crate::{End, ServeArgs};

pub mod groups;
mod in_force;
pub mod prepare;

use groups::Early;
use in_force::{InForce, Loaded};

/// How often files are looked at, whatever the operating system reports.
const LOOK: Duration = Duration::from_secs(2);

/// Runs until it is told to stop.
///
/// # Errors
/// The configuration or the policies can't be used, or a port is taken.
pub async fn run(args: &ServeArgs) -> anyhow::Result<End> {
    let config = Arc::new(Config::read(&args.config)?);
    let key = match &config.release {
        Some(settings) if !args.check_config => Some(conductor::key(&config, settings)?),
        _ => None,
    };
    let first = Loaded::of(&config, None);
    let receivers = Receivers::read(&config.alerts)?;
    let acceptor = peers::acceptor(&config, peer::H2)?;
    if args.check_config {
        let first = first?.prepared;
        // Before anything is called fine.
        let probed = match config.probe {
            None => None,
            Some(_) => {
                crate::probe::Fleet::of(&config, config.api.listen)?;
                Some(crate::probe::directory(&config)?.tenants.len())
            }
        };
        ingest::mask(&config)?;
        if let Some(release) = &config.release {
            let regions: Vec<&str> = config.gateways.iter().map(|g| g.region.as_str()).collect();
            release.plan_for(&regions)?;
        }
        let place = args.config.display();
        match &first.stable {
            None => line!("{place}: fine; no release is stable yet, so nothing is served")?,
            Some(stable) => line!(
                "{place}: fine; policies {} give {} masking and {} residency decisions for {} gateways",
                stable.bundle.revision,
                stable.examined.masking,
                stable.examined.residency,
                config.gateways.len()
            )?,
        }
        if let Some(stable) = first.stable.filter(|_| !config.sidecars.is_empty()) {
            line!(
                "and {} egress decisions for {} sidecars",
                stable.guarded,
                config.sidecars.len()
            )?;
        }
        if let Some(tenants) = probed {
            crate::say(&format!("and probes of {tenants} tenants\n"))?;
        }
        return Ok(End::Done);
    }

    let nodes = Early::default();
    let cache = Cache::patching(
        groups::by_node(&config, nodes.clone()),
        Box::new(|old, new| gateway::patch(old.bytes(), new.bytes())),
    );
    let alerts = Alerts::new(Book::open(&config.state.join("alerts.json"))?);
    let alarm = Alarm::new(alerts.clone());
    let proofs = watch::Sender::new(Summary::default());
    let watching = crate::probe::Watch::open(&config, None, alerts.clone(), proofs.clone())?;
    let (policies, seen) = watch::channel(PolicyState::default());
    let codes = Arc::new(RwLock::new(Vec::new()));
    let (packs, packed) = watch::channel(Shelf::default());
    let (ingest, keeper, decisions) = Ingest::prepare(&config, alerts.clone()).await?;
    let last_good = LastGood::restore(&config.state, &cache);
    let in_force = InForce {
        config: config.clone(),
        cache: cache.clone(),
        policies,
        codes: codes.clone(),
        nodes,
        alarm: alarm.clone(),
        packs,
        keeper,
        basis: Mutex::default(),
    };
    match first {
        Ok(first) => in_force.accept(first),
        Err(error) if last_good.has_any() => {
            let reason = format!("{error:#}");
            tracing::error!(
                "the policies can't be used, so that the last good configurations are served: {reason}"
            );
            in_force.refuse(reason);
        }
        Err(error) => return Err(error),
    }
    alarm.look(&cache.status());
    let proven = cache.subscribe();
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
    let bundles_listener = match &config.bundles {
        Some(bundles) => Some(bind(bundles.listen, "bundles.listen").await?),
        None => None,
    };
    let code_listener = match config.filters.listen {
        Some(listen) => Some(bind(listen, "filters.listen").await?),
        None => None,
    };
    let askers = match &bundles_listener {
        Some(_) => peers::acceptor(&config, peer::HTTP1)?,
        None => None,
    };
    let fetchers = match &code_listener {
        Some(_) => peers::acceptor(&config, peer::HTTP1)?,
        None => None,
    };
    let of = |name, acceptor: &Option<peer::Acceptor>| Some((name, acceptor.clone()?));
    let acceptors = [
        of("xds", &acceptor),
        of("bundles", &askers),
        of("filters", &fetchers),
    ];
    let mut acceptors: Vec<_> = acceptors.into_iter().flatten().collect();
    acceptors.extend(ingest.acceptors());
    let stop = Arc::new(Notify::new());
    let stopped = |stop: &Arc<Notify>| {
        let stop = stop.clone();
        async move { stop.notified().await }
    };
    let xds_server = match &acceptor {
        None => tokio::spawn(xds::run::serve(
            xds_listener,
            cache.clone(),
            config.xds.clone(),
            stopped(&stop),
        )),
        Some(acceptor) => tokio::spawn(xds::run::serve_incoming(
            acceptor.accept(xds_listener)?,
            cache.clone(),
            config.xds.clone(),
            peers::peer,
            stopped(&stop),
        )),
    };
    let keeping = tokio::spawn(last_good.run(proven, alarm.clone(), stopped(&stop)));
    let telling = tokio::spawn(receivers.tell(alerts.clone(), stopped(&stop)));
    let spans = Spans::new(config.traces.as_ref().map_or(1, |t| t.keep));
    let traces_server = traces_listener
        .map(|listener| tokio::spawn(traces::run::serve(listener, spans.clone(), stopped(&stop))));
    let state = api::State {
        spans,
        alerts,
        cache: cache.clone(),
        policies: seen.clone(),
        codes,
        state: config.state.clone(),
        acceptors,
        config: config.clone(),
        proofs: proofs.subscribe(),
        decisions: decisions.clone(),
    };
    let api_server = tokio::spawn(api::serve(api_listener, state, stopped(&stop)));
    let code_server = code_listener.map(|listener| {
        let router = code::router(config.state.clone()).layer(from_fn(code::nodes_only));
        tokio::spawn(peers::serve(listener, fetchers, router, stopped(&stop)))
    });
    let bundles_server = bundles_listener.map(|listener| {
        let regions = config.gateways.iter().map(|g| g.region.clone()).collect();
        let state = bundles::State {
            regions: Arc::new(regions),
            shelf: packed,
        };
        let router = bundles::router(state).merge(ingest.reports());
        tokio::spawn(peers::serve(listener, askers, router, stopped(&stop)))
    });
    let driving = key.map(|key| {
        let driver = Driver {
            config: config.clone(),
            cache: cache.clone(),
            decisions: decisions.clone(),
            key,
            policies: seen.clone(),
            alarm: alarm.clone(),
            pair: Mutex::default(),
        };
        tokio::spawn(driver.run(stopped(&stop)))
    });
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
    let records = config.release.as_ref().map(|r| Depot::records_in(&r.dir));
    files.extend(records.as_deref());
    let all = [&[config.policies.as_path()][..], &files].concat();
    let mut known = fingerprint(&all);
    let mut watch = Watch::new(&[&config.policies], &files)
        .map_err(unwatched)
        .ok();
    let mut look = tokio::time::interval(LOOK);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            () = changed(watch.as_mut()) => {}
            _ = look.tick() => if fingerprint(&all) == known { continue },
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
        }
        known = fingerprint(&all);
        tokio::select! {
            () = in_force.reload() => {}
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
        }
        // A directory that was replaced is another one to the operating system.
        if let Ok(renewed) = Watch::new(&[&config.policies], &files).map_err(unwatched) {
            watch = Some(renewed);
        }
        // What changed while that was read was told to the watch before, which is gone.
        if fingerprint(&all) != known {
            look.reset_immediately();
        }
    }
    tracing::info!("stopping");
    stop.notify_waiters();
    events.abort();
    telling.abort();
    // It ends between two looks; a record is on the disk, or is not there.
    if let Some(driving) = driving {
        let _ = tokio::time::timeout(Duration::from_secs(2), driving).await;
    }
    // It ends by itself, after two seconds at most.
    let _ = ingesting.await;
    if let Some(probing) = probing {
        // It ends between two writes, or is cut off as a crash would cut it off, which the log survives.
        let _ = tokio::time::timeout(Duration::from_secs(2), probing).await;
    }
    // What was proven last is written, if the disk lets it.
    let _ = tokio::time::timeout(Duration::from_secs(2), keeping).await;
    // Streams are open for as long as gateways live: they are not waited for.
    let _ = tokio::time::timeout(Duration::from_secs(2), async {
        let _ = xds_server.await;
        if let Some(server) = traces_server {
            let _ = server.await;
        }
        for server in [bundles_server, code_server].into_iter().flatten() {
            let _ = server.await;
        }
        let _ = api_server.await;
    })
    .await;
    Ok(End::Done)
}

/// Waits for a change that the operating system reports.
async fn changed(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

fn unwatched(error: anyhow::Error) {
    tracing::warn!("looking every {} s: {error:#}", LOOK.as_secs());
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
            Ok(Event::Refused { node, peer, reason }) => {
                tracing::warn!(node, peer, "refused: {reason}");
            }
            Ok(Event::Moved { node, from, to }) => {
                tracing::info!(node, from, to, "gateway moved to another group");
            }
            Ok(Event::Dismissed { node, from }) => {
                tracing::info!(node, from, "gateway belongs to no group any more");
            }
            Ok(Event::Acked { .. }) => {}
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                alarm.look(&cache.status());
            }
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}
