//! The same data without GraphQL: JSON by path, and an export of people.

use std::{convert::Infallible, fmt::Write as _, sync::Arc};

use async_graphql::{BatchRequest, BatchResponse, Request as Operation, Variables};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{FromRequestParts, Path},
    http::{
        HeaderMap, HeaderValue, Response, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
        request::Parts,
    },
    routing::get,
};
use serde_json::{Value, json};

use crate::{
    RecordedRequest,
    server::{Shared, scope},
};

const PERSON: &str = "id name email phone salary nationalId birthDate roles";
const ASSET: &str = "id name serial valueCents status tags notes email createdAt
                     owner { id name email } location { country city latitude longitude }";

pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/people", get(people))
        .route("/v1/people/{id}", get(person))
        .route("/v1/assets", get(assets))
        .route("/v1/vendors", get(vendors))
        .route("/export/people", get(export))
}

/// A request for data, noted.
struct Asked {
    shared: Arc<Shared>,
    headers: HeaderMap,
}

impl FromRequestParts<Arc<Shared>> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Infallible> {
        shared.record(RecordedRequest {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            body: Bytes::new(),
        });
        Ok(Self {
            shared: shared.clone(),
            headers: parts.headers.clone(),
        })
    }
}

impl Asked {
    /// What `data` of a query's answer holds.
    async fn data(&self, query: &str, variables: Value) -> Value {
        let operation = Operation::new(query).variables(Variables::from_json(variables));
        let run = self
            .shared
            .run(BatchRequest::Single(operation), scope(&self.headers));
        match run.await {
            BatchResponse::Single(response) => response.data.into_json().unwrap_or_default(),
            BatchResponse::Batch(_) => Value::Null,
        }
    }

    fn json(&self, body: &Value) -> Response<Body> {
        self.shared.reply(body.to_string(), &scope(&self.headers))
    }

    fn list(&self, items: &Value) -> Response<Body> {
        let total = items.as_array().map_or(0, Vec::len);
        self.json(&json!({"total": total, "items": items}))
    }
}

async fn people(asked: Asked) -> Response<Body> {
    let query = format!("{{ people {{ {PERSON} }} }}");
    let data = asked.data(&query, json!({})).await;
    asked.list(&data["people"])
}

async fn person(Path(id): Path<String>, asked: Asked) -> Response<Body> {
    let query = format!("query ($id: ID!) {{ person(id: $id) {{ {PERSON} }} }}");
    let data = asked.data(&query, json!({"id": id})).await;
    if data["person"].is_object() {
        return asked.json(&data["person"]);
    }
    let mut response = asked.json(&json!({"error": format!("nobody has the id {id}")}));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

async fn assets(asked: Asked) -> Response<Body> {
    let query = format!("{{ assets {{ nodes {{ {ASSET} }} }} }}");
    let data = asked.data(&query, json!({})).await;
    asked.list(&data["assets"]["nodes"])
}

async fn vendors(asked: Asked) -> Response<Body> {
    let query = "{ vendors { id name email phone website } }";
    let data = asked.data(query, json!({})).await;
    asked.list(&data["vendors"])
}

/// The export's columns, and where their values stand in a person. Two have names of their own, and
/// `desk` is in no schema.
const COLUMNS: [(&str, &str); 8] = [
    ("id", "/id"),
    ("name", "/name"),
    ("mail", "/email"),
    ("phone", "/phone"),
    ("salary", "/salary"),
    ("nationalId", "/nationalId"),
    ("boss_mail", "/manager/email"),
    ("desk", "/phone"),
];

async fn export(asked: Asked) -> Response<Body> {
    let query = format!("{{ people {{ {PERSON} manager {{ email }} }} }}");
    let data = asked.data(&query, json!({})).await;
    let rows: Vec<Value> = data["people"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|person| {
            let cells = COLUMNS.iter().map(|(name, at)| {
                let value = person.pointer(at).cloned().unwrap_or_default();
                ((*name).to_owned(), value)
            });
            Value::Object(cells.collect())
        })
        .collect();
    let accept = asked.headers.get(ACCEPT).map(HeaderValue::as_bytes);
    let accept = String::from_utf8_lossy(accept.unwrap_or_default()).into_owned();
    if accept.contains("application/json") {
        return asked.json(&Value::Array(rows));
    }
    let (content_type, head, lines) = if accept.contains("ndjson") {
        let lines = rows.iter().map(|row| format!("{row}\n")).collect();
        ("application/x-ndjson", String::new(), lines)
    } else {
        let names = COLUMNS.map(|(name, _)| name).join(",");
        let lines = rows.iter().map(csv).collect();
        ("text/csv; charset=utf-8", format!("{names}\r\n"), lines)
    };
    let scope = scope(&asked.headers);
    let mut response = asked.shared.reply_rows(head, lines, &scope);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A row of comma-separated values (RFC 4180), each in quotes.
fn csv(row: &Value) -> String {
    let mut line = String::new();
    for (index, (name, _)) in COLUMNS.iter().enumerate() {
        let text = match &row[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let comma = if index == 0 { "" } else { "," };
        _ = write!(line, "{comma}\"{}\"", text.replace('"', "\"\""));
    }
    line + "\r\n"
}
