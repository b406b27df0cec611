//! The filters' code, for gateways and sidecars that don't find it on their machine.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::fleet;
use crate::peers::Asker;

/// `/filters/SHA256.wasm`, from a state directory.
pub fn router(state: PathBuf) -> Router {
    Router::new()
        .route("/filters/{name}", get(filter))
        .with_state(Arc::new(state))
}

/// Refuses those whose certificate names no node.
pub async fn nodes_only(
    ConnectInfo(asker): ConnectInfo<Asker>,
    request: Request,
    next: Next,
) -> Response {
    match asker {
        Asker::Nobody(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
        Asker::Node(_) | Asker::Unasked => next.run(request).await,
    }
}

async fn filter(State(state): State<Arc<PathBuf>>, Path(name): Path<String>) -> Response {
    let known = name
        .strip_suffix(".wasm")
        .and_then(|sha256| fleet::kept(&state, sha256));
    let Some(path) = known else {
        return (StatusCode::NOT_FOUND, "there is no filter of that hash\n").into_response();
    };
    match tokio::fs::read(&path).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/wasm")], bytes).into_response(),
        Err(error) => {
            tracing::error!(path = %path.display(), "can't read a filter's code: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
