//! A small server of Neo4j's Query API v2, which knows the statements of sentinels and no others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// `neo4j:secret`, as a client sends it.
const LOGIN: &str = "Basic bmVvNGo6c2VjcmV0";

/// A sentinel: database, nonce, tenant.
type Sentinel = (String, String, String);

/// A running server, whose password is `secret`. Dropping it ends it.
pub struct QueryApi {
    /// Where it is.
    pub address: SocketAddr,
    held: Held,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Held {
    tags: &'static str,
    sentinels: Arc<Mutex<Vec<Sentinel>>>,
}

impl Drop for QueryApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl QueryApi {
    /// Starts one with these tags.
    ///
    /// # Panics
    /// There is no port.
    pub async fn start(tags: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let held = Held {
            tags,
            sentinels: Arc::default(),
        };
        let router = Router::new()
            .route("/db/{database}/query/v2", post(query))
            .with_state(held.clone());
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            address,
            held,
            task,
        }
    }

    /// What it holds.
    ///
    /// # Panics
    /// A request has panicked.
    pub fn sentinels(&self) -> Vec<Sentinel> {
        self.held.sentinels.lock().expect("no poison").clone()
    }
}

async fn query(
    State(held): State<Held>,
    Path(database): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    assert!(!headers.contains_key("x-ig-context"), "the guard's alone");
    let error = |code: &str, message: &str| json!({"errors": [{"code": code, "message": message}]});
    if headers.get("authorization").is_none_or(|h| h != LOGIN) {
        let code = "Neo.ClientError.Security.Unauthorized";
        let body = error(code, "Invalid credential.");
        return (StatusCode::UNAUTHORIZED, Json(body));
    }
    let text = |name: &str| {
        let value = &body["parameters"][name];
        value.as_str().unwrap_or_default().to_owned()
    };
    let (nonce, mut all) = (text("nonce"), held.sentinels.lock().expect("no poison"));
    let before = all.len();
    let found = |sentinel: &Sentinel| sentinel.0 == database && sentinel.1 == nonce;
    let (field, values) = match body["statement"].as_str().unwrap_or_default() {
        "CREATE (s:IgSentinel {nonce: $nonce, tenant: $tenant})" => {
            all.push((database, nonce, text("tenant")));
            ("", vec![])
        }
        "MATCH (s:IgSentinel {nonce: $nonce}) RETURN s.tenant" => {
            let tenants = all.iter().filter(|s| found(s)).map(|s| json!([s.2]));
            ("s.tenant", tenants.collect())
        }
        "MATCH (s:IgSentinel {nonce: $nonce}) DELETE s" => {
            all.retain(|s| !found(s));
            ("", vec![])
        }
        "CALL dbms.listConfig('initial.server.tags') YIELD value RETURN value" => {
            ("value", vec![json!([held.tags])])
        }
        statement => {
            let body = error("Neo.ClientError.Statement.SyntaxError", statement);
            return (StatusCode::BAD_REQUEST, Json(body));
        }
    };
    let fields: Vec<&str> = [field].into_iter().filter(|f| !f.is_empty()).collect();
    let mut answer = json!({"data": {"fields": fields, "values": values}, "bookmarks": ["FB:x"]});
    if body["includeCounters"] == true {
        let deleted = before.saturating_sub(all.len());
        answer["counters"] = json!({"nodesDeleted": deleted});
    }
    (StatusCode::ACCEPTED, Json(answer))
}
