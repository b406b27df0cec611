//! Neo4j's Query API, version 2 (<https://neo4j.com/docs/query-api/current/>).

mod cypher;
mod nodes;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State, rejection::PathRejection},
    http::{Response, StatusCode},
    response::IntoResponse,
    routing::post,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

pub use nodes::Nodes;

use super::{
    LONGEST,
    counted::Counted,
    store::{Contents, Shared, Store},
};
use crate::serving;
use cypher::{Query, Refusal};

/// A Neo4j of `IgSentinel` nodes, in as many databases as are asked for, by HTTP:
/// `POST /db/DATABASE/query/v2`.
///
/// It makes a node, finds a node's tenant, deletes nodes, and says its region as the setting
/// `initial.server.tags`. Anything else is a `Neo.ClientError.Statement.SyntaxError`. Any user is
/// let in; of the request, everything but `statement`, `parameters` and `includeCounters` is passed over.
pub type Graph = Store<Nodes>;

impl Contents for Nodes {
    fn sentinels(&self, of: &str) -> usize {
        self.count(of)
    }

    async fn serve(shared: Arc<Shared<Self>>, stream: Counted<TcpStream>) {
        let counted = Arc::clone(&shared);
        let router = Router::new()
            .route("/db/{database}/query/v2", post(answer))
            .fallback(|| async { Refusal::NOT_FOUND.into_response() })
            .method_not_allowed_fallback(|| async { Refusal::NOT_ALLOWED.into_response() })
            .layer(axum::middleware::map_request(move |request: Request| {
                counted.counters.request();
                async { request }
            }))
            .with_state(shared);
        serving::http(stream, router).await;
    }
}

/// What a statement gives.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// The name of its only column.
    field: Option<&'static str>,
    values: Vec<String>,
    /// Nodes that were made, and deleted.
    made: usize,
    deleted: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    statement: String,
    #[serde(default)]
    include_counters: bool,
    #[serde(default)]
    parameters: Map<String, Value>,
}

async fn answer(
    State(shared): State<Arc<Shared<Nodes>>>,
    database: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    // What cannot be decoded names no database.
    let database = database.map(|Path(name)| name).unwrap_or_default();
    match serve(&shared, &database, request.into_body()).await {
        Ok((table, counted)) => {
            let fields: Vec<&str> = table.field.into_iter().collect();
            let values: Vec<[String; 1]> = table.values.into_iter().map(|v| [v]).collect();
            let mut result = json!({"data": {"fields": fields, "values": values}, "bookmarks": []});
            if counted {
                result["counters"] = json!({
                    "containsUpdates": table.made + table.deleted > 0,
                    "nodesCreated": table.made,
                    "nodesDeleted": table.deleted,
                });
            }
            (StatusCode::ACCEPTED, Json(result)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// What is given, and whether it is to be counted.
async fn serve(
    shared: &Shared<Nodes>,
    database: &str,
    body: Body,
) -> Result<(Table, bool), Refusal> {
    let body = to_bytes(body, LONGEST).await.map_err(|_| Refusal::LONG)?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|_| Refusal::NO_QUERY)?;
    let query = Query::of(&asked.statement, &asked.parameters)?;
    // The names of databases have no case.
    let database = database.to_ascii_lowercase();
    let table = shared
        .contents()
        .execute(&database, &shared.region, query)?;
    Ok((table, asked.include_counters))
}
