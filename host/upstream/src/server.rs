use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_graphql::{
    BatchRequest, BatchResponse, Request as Operation, parser::types::OperationType,
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri},
    response::IntoResponse,
    routing::{get, post},
};
use serde::Serialize;

use crate::{
    Error, Fault, Region,
    data::Rows,
    fault,
    live::{self, Draft, Framing},
    reply::Reply,
    rest,
    schema::{Changes, Ear, Schema, Scope, schema},
    serving::{self, Serving},
};

/// The request header that narrows the data to one tenant; the gateway sets it.
pub const TENANT_HEADER: &str = "x-ig-tenant";

/// The response header that says who answered; every response has it.
pub const REGION_HEADER: &str = "x-upstream-region";

/// Changes that a slow subscriber may be behind.
const CHANGES: usize = 64;

const MAX_REQUEST: usize = 16 << 20;

/// What an upstream has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests for data.
    pub requests: u64,
    /// Bytes of their bodies.
    pub bytes_received: u64,
    /// Bytes of the response bodies, without HTTP's framing.
    pub bytes_served: u64,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Every header, in lower case.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A running GraphQL server of one region. Dropping it stops it.
///
/// Routes: `/graphql` (GET, POST, batches, subscriptions as events or parts, deferred fields);
/// `/v1/people`, `/v1/people/{id}`, `/v1/assets` and `/v1/vendors` (JSON); `/export/people` (CSV, JSON lines or
/// JSON, as the request accepts); for tools in another process, and never routed by a
/// gateway: `/__fault` (POST a [`Fault`], GET, DELETE) and `/__stats` (GET).
#[derive(Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
    serving: Serving,
}

pub(crate) struct Shared {
    region: Region,
    schema: Schema,
    changes: Changes,
    fault: Mutex<Option<Fault>>,
    last: Mutex<Option<RecordedRequest>>,
    requests: AtomicU64,
    received: AtomicU64,
    served: Arc<AtomicU64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Serves a region's data; port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the address cannot be had.
    pub async fn start(region: Region, address: SocketAddr) -> Result<Self, Error> {
        let changes = Changes::new(CHANGES);
        let shared = Arc::new(Shared {
            region,
            schema: schema(region, changes.clone()),
            changes,
            fault: Mutex::default(),
            last: Mutex::default(),
            requests: AtomicU64::default(),
            received: AtomicU64::default(),
            served: Arc::default(),
        });
        let router = router(Arc::clone(&shared));
        let connection = move |stream| serving::http(stream, router.clone());
        let serving = Serving::start(address, connection).await?;
        Ok(Self { shared, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Whose data it serves.
    #[must_use]
    pub fn region(&self) -> Region {
        self.shared.region
    }

    /// Makes every later response misbehave, or well again.
    pub fn set_fault(&self, fault: Option<Fault>) {
        *lock(&self.shared.fault) = fault;
    }

    /// The fault in force.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        lock(&self.shared.fault).clone()
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The last request for data.
    #[must_use]
    pub fn last_request(&self) -> Option<RecordedRequest> {
        lock(&self.shared.last).clone()
    }

    /// Stops at once: the port is free and every connection closed when this returns.
    pub async fn shutdown(self) {
        self.serving.stop().await;
    }
}

impl Shared {
    fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Ordering::Relaxed),
            bytes_received: self.received.load(Ordering::Relaxed),
            bytes_served: self.served.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn record(&self, request: RecordedRequest) {
        let length = u64::try_from(request.body.len()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.received.fetch_add(length, Ordering::Relaxed);
        *lock(&self.last) = Some(request);
    }

    /// Answers a GraphQL request.
    async fn graphql(&self, mut batch: BatchRequest, headers: &HeaderMap) -> Response<Body> {
        let scope = scope(headers);
        let mut draft = None;
        if let BatchRequest::Single(operation) = &mut batch {
            let defers = operation.query.contains(DEFER);
            if !defers && is_subscription(operation) {
                return self.subscribe(
                    std::mem::replace(operation, Operation::new("")),
                    headers,
                    scope,
                );
            }
            if defers {
                // The library knows no `@defer`: the fields are there, only not at once.
                operation.query = operation.query.replace(DEFER, "");
                draft = Draft::accepted(headers);
            }
        }
        let result = self.run(batch, scope.clone()).await;
        match (serde_json::to_string(&result), draft) {
            (Ok(body), Some(draft)) => live::deferred(draft, &body, Arc::clone(&self.served)),
            (Ok(body), None) => self.reply(body, &scope),
            (Err(error), _) => refusal(&error.to_string()).into_response(Arc::clone(&self.served)),
        }
    }

    fn subscribe(&self, operation: Operation, headers: &HeaderMap, scope: Scope) -> Response<Body> {
        let ear = Ear(Mutex::new(Some(self.changes.subscribe())));
        let results = self.schema.execute_stream(operation.data(scope).data(ear));
        live::results(
            Framing::accepted(headers),
            results,
            Arc::clone(&self.served),
        )
    }

    pub(crate) async fn run(&self, batch: BatchRequest, scope: Scope) -> BatchResponse {
        let mut result = self.schema.execute_batch(batch.data(scope)).await;
        match &mut result {
            BatchResponse::Single(response) => propagate_null(response),
            BatchResponse::Batch(responses) => responses.iter_mut().for_each(propagate_null),
        }
        result
    }

    /// The body, or what the fault in force makes of it.
    pub(crate) fn reply(&self, body: String, scope: &Scope) -> Response<Body> {
        let reply = match &*lock(&self.fault) {
            None => Reply::json(body),
            Some(fault) => fault.reply(body, &self.secret(scope)),
        };
        reply.into_response(Arc::clone(&self.served))
    }

    /// Rows, or what the fault in force makes of them. The last one's line break is left out, as
    /// RFC 4180 allows.
    pub(crate) fn reply_rows(
        &self,
        head: String,
        rows: Vec<String>,
        scope: &Scope,
    ) -> Response<Body> {
        if let Some(Fault::Huge { megabytes }) = &*lock(&self.fault) {
            let served = Arc::clone(&self.served);
            return fault::huge_rows(head, rows.concat(), megabytes << 20).into_response(served);
        }
        let body = head + rows.concat().trim_end_matches(['\r', '\n']);
        self.reply(body, scope)
    }

    /// A personal value for a fault to leak: what the caller's tenant owns.
    fn secret(&self, scope: &Scope) -> String {
        let people = Rows::of(self.region).people;
        people
            .iter()
            .find(|person| scope.0.as_deref() == Some(person.tenant))
            .or(people.first())
            .map(|person| person.email.clone())
            .unwrap_or_default()
    }
}

/// The library leaves a failed field out of its object, where null belongs in the place of the
/// nearest parent that may be null (GraphQL, section 6.4.4). Every field here that can fail is
/// non-null and, but for one, of a root type: the nearest such parent is `data`.
fn propagate_null(response: &mut async_graphql::Response) {
    if response.is_err() {
        response.data = async_graphql::Value::Null;
    }
}

fn is_subscription(operation: &mut Operation) -> bool {
    let name = operation.operation_name.clone();
    let Ok(document) = operation.parsed_query() else {
        return false;
    };
    let mut operations = document.operations.iter();
    operations
        .find(|(known, _)| name.is_none() || known.map(|known| known.as_str()) == name.as_deref())
        .is_some_and(|(_, operation)| operation.node.ty == OperationType::Subscription)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn router(shared: Arc<Shared>) -> Router {
    let region = HeaderValue::from_static(shared.region.as_str());
    Router::new()
        .route("/graphql", get(by_get).post(by_post))
        .merge(rest::router())
        .route(
            "/__fault",
            post(set_fault).get(get_fault).delete(clear_fault),
        )
        .route("/__stats", get(stats))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .layer(axum::middleware::map_response(
            move |mut response: Response<Body>| {
                let region = region.clone();
                async move {
                    response.headers_mut().insert(REGION_HEADER, region);
                    response
                }
            },
        ))
        .with_state(shared)
}

/// What defers fields.
const DEFER: &str = "@defer";

pub(crate) fn scope(headers: &HeaderMap) -> Scope {
    let tenant = headers.get(TENANT_HEADER);
    Scope(tenant.map(|tenant| String::from_utf8_lossy(tenant.as_bytes()).into_owned()))
}

fn refusal(why: &str) -> Reply {
    let body = serde_json::json!({"errors": [{"message": why}]});
    Reply {
        status: StatusCode::BAD_REQUEST,
        ..Reply::json(body.to_string())
    }
}

async fn by_post(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    shared.record(RecordedRequest {
        method,
        uri,
        headers: headers.clone(),
        body: body.clone(),
    });
    match serde_json::from_slice::<BatchRequest>(&body) {
        Ok(batch) => shared.graphql(batch, &headers).await,
        Err(error) => refusal(&format!("the request is no GraphQL: {error}"))
            .into_response(Arc::clone(&shared.served)),
    }
}

async fn by_get(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    shared.record(RecordedRequest {
        method,
        uri,
        headers: headers.clone(),
        body: Bytes::new(),
    });
    let operation: Result<Operation, _> =
        async_graphql::http::parse_query_string(query.as_deref().unwrap_or_default());
    match operation {
        Ok(operation) => {
            shared
                .graphql(BatchRequest::Single(operation), &headers)
                .await
        }
        Err(error) => refusal(&format!("the query string is no GraphQL: {error}"))
            .into_response(Arc::clone(&shared.served)),
    }
}

async fn set_fault(State(shared): State<Arc<Shared>>, body: Bytes) -> Response<Body> {
    match serde_json::from_slice::<Fault>(&body) {
        Ok(fault) => {
            *lock(&shared.fault) = Some(fault);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("no fault: {error}\n")).into_response(),
    }
}

async fn get_fault(State(shared): State<Arc<Shared>>) -> Json<Option<Fault>> {
    Json(lock(&shared.fault).clone())
}

async fn clear_fault(State(shared): State<Arc<Shared>>) -> StatusCode {
    *lock(&shared.fault) = None;
    StatusCode::NO_CONTENT
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Stats> {
    Json(shared.stats())
}
