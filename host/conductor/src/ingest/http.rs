//! What is stored, by HTTP.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use store::{Filter, GapRow, Kind, NodeStatus, Page, Store, StoreError, Stored, Tally};

use super::shelf::{Seen, Shelf};
use super::sink::OWN;

/// Decisions of an answer, at most.
const MOST: u32 = 1_000;

/// `/api/decisions`, `/api/decisions/{id}`, `/api/decisions/tally`.
pub fn router(shelf: Arc<Shelf>) -> Router {
    Router::new()
        .route("/api/decisions", get(list))
        .route("/api/decisions/tally", get(tally))
        .route("/api/decisions/{id}", get(one))
        .with_state(shelf)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    since: Option<i64>,
    until: Option<i64>,
    tenant: Option<String>,
    node: Option<String>,
    revision: Option<String>,
    outcome: Option<String>,
    kind: Option<Kind>,
    store: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    decisions: Vec<Stored>,
    next: Option<String>,
    #[serde(flatten)]
    seen: Seen,
    gaps: Vec<GapRow>,
    nodes: Vec<NodeStatus>,
    remembered: Vec<NodeStatus>,
}

async fn list(State(shelf): State<Arc<Shelf>>, Query(asked): Query<Asked>) -> Response {
    answer(async {
        let store = shelf.store().await?;
        let limit = asked.limit.unwrap_or(100).clamp(1, MOST);
        let page = Page {
            limit,
            cursor: asked.cursor.as_deref(),
        };
        let filter = Filter {
            since_unix_ms: asked.since,
            until_unix_ms: asked.until,
            tenant: asked.tenant,
            node: asked.node,
            revision: asked.revision,
            outcome: asked.outcome,
            kind: asked.kind,
            store: asked.store,
        };
        let listed = store.list(&filter, page).await?;
        let (mut remembered, nodes): (Vec<_>, Vec<_>) = store
            .node_statuses()
            .await?
            .into_iter()
            .partition(|n| n.node.starts_with(OWN));
        for own in &mut remembered {
            own.node.drain(..OWN.len());
        }
        Ok(Json(Answer {
            decisions: listed.decisions,
            next: listed.next,
            seen: shelf.seen().await,
            gaps: store.gaps(i64::MIN, 20).await?,
            nodes,
            remembered,
        })
        .into_response())
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    since: i64,
    until: i64,
}

async fn tally(State(shelf): State<Arc<Shelf>>, Query(span): Query<Span>) -> Response {
    answer(async {
        let store: &Store = shelf.store().await?;
        let tallies: Vec<Tally> = store.tally(span.since, span.until).await?;
        Ok(Json(tallies).into_response())
    })
    .await
}

async fn one(State(shelf): State<Arc<Shelf>>, Path(id): Path<String>) -> Response {
    answer(async {
        Ok(match shelf.store().await?.decision(&id).await? {
            Some(stored) => Json(stored).into_response(),
            None => (StatusCode::NOT_FOUND, "no decision of that id is stored\n").into_response(),
        })
    })
    .await
}

async fn answer(asked: impl Future<Output = Result<Response, StoreError>>) -> Response {
    match asked.await {
        Ok(response) => response,
        Err(error @ StoreError::Cursor(_)) => {
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response()
        }
    }
}
