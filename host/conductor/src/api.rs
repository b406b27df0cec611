//! The HTTP server: what is in force, and the filters' code.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use alert::run::Alerts;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use traces::Spans;

use crate::code;
use crate::fleet::FilterCode;
use crate::ingest;
use crate::metrics;
use crate::probe::Summary;
use crate::release::Place;

/// What the server shows.
#[derive(Clone)]
pub struct State {
    /// The control plane.
    pub cache: xds::Cache,
    /// The gateways' spans.
    pub spans: Spans,
    /// What is wrong.
    pub alerts: Alerts,
    /// The policies.
    pub policies: watch::Receiver<PolicyState>,
    /// The filters' code: that of everybody, and that of a release that is under way.
    pub codes: Arc<RwLock<Vec<FilterCode>>>,
    /// The state directory, in which it lies.
    pub state: PathBuf,
    /// What asks nodes for certificates, by port: that of xDS first.
    pub acceptors: Vec<(&'static str, peer::Acceptor)>,
    /// The configuration.
    pub config: Arc<crate::config::Config>,
    /// The residency proofs.
    pub proofs: watch::Receiver<Summary>,
    /// The stored decisions.
    pub decisions: Arc<ingest::Shelf>,
}

/// How the policy directory stands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PolicyState {
    /// The revision that was offered to the gateways last.
    pub revision: Option<String>,
    /// Why what is in the directory now was refused, if it was.
    pub refused: Option<String>,
    /// How many changes were accepted.
    pub accepted_count: u64,
    /// How many changes were refused.
    pub refused_count: u64,
    /// What some nodes are served before the others.
    pub canary: Option<CanaryState>,
}

/// A release that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CanaryState {
    /// Its number.
    pub release: u64,
    /// The revision that its nodes are offered.
    pub revision: Option<String>,
    /// Why it can't be offered to anybody.
    pub refused: Option<String>,
    /// The nodes that have it, sorted.
    pub nodes: Vec<String>,
    /// SHA-256 of the code of each filter that they are offered.
    pub filters: BTreeMap<&'static str, String>,
}

impl PolicyState {
    /// A revision was offered to everybody, and another to some nodes.
    pub fn accepted(&mut self, revision: Option<&str>, canary: Option<CanaryState>) {
        if self.revision.as_deref() != revision {
            self.accepted_count += 1;
            self.revision = revision.map(str::to_owned);
        }
        self.canary = canary;
        self.refused = None;
    }

    /// Whether the same is served to the same nodes.
    pub fn serves_as(&self, other: &Self) -> bool {
        (&self.revision, &self.canary) == (&other.revision, &other.canary)
    }

    /// A change was refused.
    pub fn refused(&mut self, reason: String) {
        if self.refused.as_ref() != Some(&reason) {
            self.refused_count += 1;
        }
        self.refused = Some(reason);
    }
}

/// Serves until `stop` is done.
///
/// # Errors
/// The socket fails.
pub async fn serve(
    listener: TcpListener,
    state: State,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let decisions = ingest::router(state.decisions.clone());
    let code = code::router(state.state.clone());
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/api/policies", get(policies))
        .route("/api/xds", get(status))
        .route("/api/releases", get(releases))
        .route("/metrics", get(figures))
        .route("/api/alerts", get(alerts))
        .route("/api/traces", get(traces))
        .route("/api/traces/{id}", get(trace))
        .route("/api/filters", get(filters))
        .route("/api/proofs", get(proofs))
        .with_state(state)
        .merge(code)
        .merge(decisions);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}

async fn policies(Shared(state): Shared<State>) -> Json<PolicyState> {
    Json(state.policies.borrow().clone())
}

async fn releases(Shared(state): Shared<State>) -> Response {
    let config = state.config.clone();
    if config.release.is_none() {
        return (StatusCode::NOT_FOUND, "there is no [release]\n").into_response();
    }
    let read = tokio::task::spawn_blocking(move || Place::open(&config)?.train()).await;
    match read.map_err(anyhow::Error::from).and_then(|train| train) {
        Ok(train) => Json(train).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

async fn status(Shared(state): Shared<State>) -> Json<xds::Status> {
    Json(state.cache.status())
}

async fn figures(Shared(state): Shared<State>) -> impl IntoResponse {
    let decisions = state.decisions.seen().await;
    let acceptors = state.acceptors.iter();
    let tls: Vec<_> = acceptors.map(|(port, a)| (*port, a.figures())).collect();
    let page = metrics::page(&metrics::Figures {
        decisions: &decisions,
        xds: &state.cache.status(),
        tls: &tls,
        policies: &state.policies.borrow(),
        spans: state.spans.summary(),
        alerts: &state.alerts.entries(),
        proofs: &state.proofs.borrow(),
    });
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page)
}

async fn alerts(Shared(state): Shared<State>) -> Json<Vec<alert::Entry>> {
    Json(state.alerts.entries())
}

async fn traces(Shared(state): Shared<State>) -> Json<traces::Summary> {
    Json(state.spans.summary())
}

async fn trace(Shared(state): Shared<State>, Path(id): Path<String>) -> Json<Vec<traces::Span>> {
    Json(state.spans.of(&id))
}

/// SHA-256 of each filter's code in force.
async fn filters(Shared(state): Shared<State>) -> Json<BTreeMap<&'static str, String>> {
    let codes = state.codes.read();
    let code = codes.as_ref().ok().and_then(|codes| codes.first());
    Json(code.map(FilterCode::hashes).unwrap_or_default())
}

async fn proofs(Shared(state): Shared<State>) -> Json<Summary> {
    Json(state.proofs.borrow().clone())
}
