//! Neo4j by its Query API v2 (<https://neo4j.com/docs/query-api/current/>): a sentinel is a node.

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::context::CONTEXT_HEADER;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::http::send;
use super::told::Told;
use super::{Ask, refusal};
use crate::config::{Neo4jConfig, fill};
use crate::outcome::{Operation, OutcomeKind};

const WRITE: &str = "CREATE (s:IgSentinel {nonce: $nonce, tenant: $tenant})";

const READ: &str = "MATCH (s:IgSentinel {nonce: $nonce}) RETURN s.tenant";

const DELETE: &str = "MATCH (s:IgSentinel {nonce: $nonce}) DELETE s";

const IDENTITY: &str = "CALL dbms.listConfig('initial.server.tags') YIELD value RETURN value";

pub(super) struct Client {
    config: Neo4jConfig,
    password: Option<String>,
}

impl Client {
    pub(super) fn new(config: Neo4jConfig, password: Option<String>) -> Self {
        Self { config, password }
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        self.password.as_deref().into_iter().collect()
    }

    pub(super) async fn operate(&self, ask: &Ask) -> Told {
        let done = match self.run(ask).await {
            Ok(done) | Err(done) => done,
        };
        match done.is_well() {
            true => done.of(self.identity(ask).await),
            false => done,
        }
    }

    async fn run(&self, ask: &Ask) -> Result<Told, Told> {
        let (nonce, tenant) = (ask.nonce.as_str(), ask.tenant.as_str());
        match ask.op {
            Operation::Write => {
                let parameters = json!({"nonce": nonce, "tenant": tenant});
                self.query(ask, WRITE, parameters).await?;
                Ok(Told::well(OutcomeKind::Done))
            }
            Operation::Read => {
                let answer = self.query(ask, READ, json!({"nonce": nonce})).await?;
                match values(&answer)? {
                    [] => Ok(Told::well(OutcomeKind::Absent)),
                    [row, ..] => Ok(Told::found(first(row).unwrap_or_default(), tenant)),
                }
            }
            Operation::Delete => {
                let answer = self.query(ask, DELETE, json!({"nonce": nonce})).await?;
                let deleted = answer.pointer("/counters/nodesDeleted");
                match deleted.and_then(Value::as_u64) {
                    Some(0) => Ok(Told::well(OutcomeKind::Absent)),
                    Some(_) => Ok(Told::well(OutcomeKind::Done)),
                    None => Err(Told::failed("the store does not say what it deleted")),
                }
            }
        }
    }

    async fn identity(&self, ask: &Ask) -> Result<String, Told> {
        let answer = self.query(ask, IDENTITY, json!({})).await?;
        let tags = values(&answer)?.first().and_then(first);
        Ok(tags.unwrap_or_default().to_owned())
    }

    /// The answer to a statement, if it is none of an error.
    async fn query(&self, ask: &Ask, statement: &str, parameters: Value) -> Result<Value, Told> {
        let tenant = ask.tenant.as_str();
        let database = fill(&self.config.database, tenant);
        let body = json!({
            "statement": statement,
            "parameters": parameters,
            "includeCounters": true,
        });
        let mut request = Request::post(format!("/db/{database}/query/v2"))
            .header(HOST, &self.config.address)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json");
        if let Some(token) = &ask.token {
            request = request.header(CONTEXT_HEADER, token.as_str());
        }
        if let Some(user) = &self.config.user {
            let password = self.password.as_deref().unwrap_or_default();
            let pair = STANDARD.encode(format!("{}:{password}", fill(user, tenant)));
            request = request.header(AUTHORIZATION, format!("Basic {pair}"));
        }
        let request = request.body(Full::new(Bytes::from(body.to_string())));
        // The error could hold what was to be a header.
        let request = request.map_err(|_| Told::failed("the request can't be written"))?;
        let answer = send(&self.config.address, request)
            .await
            .map_err(Told::from)?;
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let errors = body.get("errors").and_then(Value::as_array);
        match (answer.status, errors) {
            (200..=299, None) if body.is_object() => Ok(body),
            (200..=299, Some(errors)) if errors.is_empty() => Ok(body),
            (status, _) => Err(refusal::neo4j(status, answer.problem, &body)),
        }
    }
}

/// The rows of an answer.
fn values(answer: &Value) -> Result<&[Value], Told> {
    let values = answer.pointer("/data/values").and_then(Value::as_array);
    let values = values.map(Vec::as_slice);
    values.ok_or_else(|| Told::failed("the store's answer has no rows"))
}

/// The first value of a row.
fn first(row: &Value) -> Option<&str> {
    row.get(0).and_then(Value::as_str)
}
