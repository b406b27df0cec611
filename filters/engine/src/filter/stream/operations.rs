//! GraphQL operations: from what a request says to the plans of its response.

use std::borrow::Cow;
use std::sync::Arc;

use crate::audit::OperationRecord;
use crate::filter::masking::KnownDecision;
use crate::filter::{Headers, Masking, form};
use crate::graphql::{
    ArgumentValue, GraphqlError, GraphqlRequest, PersistedId, RequestError, Requests,
};
use crate::mask::Plan;
use crate::patch::sha256;
use crate::policy::Surface;
use crate::reply::Reply;
use crate::schema::OperationKind;

use super::{Answer, MaskingStream};

/// Bytes of a path that a persisted query may grow to.
const LONGEST_PATH: usize = 16_384;

/// How a request comes, as far as that bounds what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Get,
    Post,
    Batch,
}

/// One operation, planned.
struct Planned {
    plan: Arc<Plan>,
    decided: Arc<KnownDecision>,
}

impl MaskingStream {
    /// Plans the operations of a body. The bytes, if any, must go to the upstream in its place.
    pub(super) fn plan_body(
        &mut self,
        filter: &mut Masking,
        body: &[u8],
    ) -> Result<(Answer, bool, Option<Vec<u8>>), Reply> {
        match Requests::parse(body, filter.config().graphql.batch).map_err(malformed)? {
            Requests::One(request) => {
                let query = resolve(filter, &request)?;
                let planned = self.plan_one(filter, &request, &query.text, Way::Post)?;
                let admin = planned.decided.decision.admin;
                let instead = if query.persisted {
                    serde_json::to_vec(&request.spelled_out(&query.text)).ok()
                } else {
                    None
                };
                if query.persisted && instead.is_none() {
                    return Err(malformed(RequestError::Persisted));
                }
                Ok((Answer::Graphql(planned.plan), admin, instead))
            }
            Requests::Batch(requests) => {
                let mut queries = Vec::with_capacity(requests.len());
                for request in &requests {
                    queries.push(resolve(filter, request)?);
                }
                let mut plans = Vec::with_capacity(requests.len());
                let mut first: Option<Arc<KnownDecision>> = None;
                let mut admin = true;
                for (request, query) in requests.iter().zip(&queries) {
                    let planned = self.plan_one(filter, request, &query.text, Way::Batch)?;
                    plans.push(planned.plan);
                    admin &= planned.decided.decision.admin;
                    first.get_or_insert(planned.decided);
                }
                let Some(first) = first else {
                    return Err(malformed(RequestError::NoBatch));
                };
                let instead = if queries.iter().any(|q| q.persisted) {
                    let pairs = requests.iter().zip(&queries);
                    let all: Vec<_> = pairs.map(|(r, q)| r.spelled_out(&q.text)).collect();
                    let bytes = serde_json::to_vec(&all).ok();
                    Some(bytes.ok_or_else(|| malformed(RequestError::Persisted))?)
                } else {
                    None
                };
                let refused = filter.refused(&first);
                Ok((Answer::Batch(plans, refused), admin, instead))
            }
        }
    }

    /// Plans the operation of a query string. The path, if any, must go to the upstream in its place.
    pub(super) fn plan_get(
        &mut self,
        filter: &mut Masking,
        headers: Headers<'_>,
    ) -> Result<(Answer, bool, Option<String>), Reply> {
        let path = headers.text(":path").unwrap_or_default();
        let (base, query_string) = path.split_once('?').unwrap_or((path, ""));
        if query_string.len() > filter.config().limits.request_bytes {
            let message = "the request is longer than the gateway accepts";
            return Err(Reply::graphql(413, "REQUEST_TOO_LARGE", message));
        }
        let parameters =
            form::parameters(query_string).ok_or_else(|| malformed(RequestError::QueryString))?;
        let request = GraphqlRequest::from_parameters(&parameters).map_err(malformed)?;
        let query = resolve(filter, &request)?;
        let planned = self.plan_one(filter, &request, &query.text, Way::Get)?;
        let admin = planned.decided.decision.admin;
        let mut instead = None;
        if query.persisted {
            let spelled = request.spelled_out(&query.text);
            let mut path = format!("{base}?query=");
            form::encode(spelled.query, &mut path);
            let extensions = spelled
                .extensions
                .as_ref()
                .and_then(|e| serde_json::to_string(e).ok());
            for (name, value) in [
                ("operationName", spelled.operation_name),
                ("variables", spelled.variables.map(|v| v.get())),
                ("extensions", extensions.as_deref()),
            ] {
                if let Some(value) = value {
                    path.push('&');
                    path.push_str(name);
                    path.push('=');
                    form::encode(value, &mut path);
                }
            }
            if path.len() > LONGEST_PATH {
                let message = "the persisted query is too long for a path: send it by POST";
                return Err(Reply::graphql(414, "REQUEST_TOO_LARGE", message));
            }
            instead = Some(path);
        }
        Ok((Answer::Graphql(planned.plan), admin, instead))
    }

    fn plan_one(
        &mut self,
        filter: &mut Masking,
        request: &GraphqlRequest<'_>,
        query: &str,
        way: Way,
    ) -> Result<Planned, Reply> {
        let known = filter.document(query).map_err(graphql)?;
        if filter.config().graphql.persisted_only && !filter.is_trusted(&known.hash) {
            let message = "only the operations of the gateway's manifest are served";
            return Err(Reply::graphql(403, "OPERATION_NOT_TRUSTED", message));
        }
        let (index, operation) = known
            .document
            .operation(request.operation_name.as_deref())
            .map_err(graphql)?;
        let record = OperationRecord {
            name: operation.name.as_deref().map(str::to_owned),
            kind: operation.kind,
            hash: known.hash.clone(),
        };
        if self.record.operation.is_none() {
            self.record.operation = Some(record);
        } else {
            self.record.batch.push(record);
        }
        match (way, operation.kind) {
            (Way::Get, OperationKind::Mutation) => {
                let message = "send mutations by POST";
                let reply = Reply::graphql(405, "METHOD_NOT_ALLOWED", message);
                return Err(reply.with("allow", "POST"));
            }
            (Way::Batch, OperationKind::Subscription) => {
                let message = "a batch must not hold subscriptions";
                return Err(Reply::graphql(400, "BATCHING_NOT_SUPPORTED", message));
            }
            _ => {}
        }
        let decided = self.decide(filter, operation.kind, (Surface::Graphql, None))?;
        let tenant = self.record.tenant.clone().unwrap_or_default();
        let plan = filter
            .plan(&known, (index, operation), &decided, &tenant)
            .map_err(graphql)?;
        if let (false, Some(raw)) = (plan.guards.is_empty(), request.variables) {
            let variables: ArgumentValue = serde_json::from_str(raw.get())
                .map_err(|_| malformed(RequestError::NotAnObject("variables")))?;
            plan.check_variables(filter.comparison(&decided), &variables)
                .map_err(graphql)?;
        }
        self.note(&plan);
        Ok(Planned { plan, decided })
    }

    /// Takes what a plan does into the record.
    pub(super) fn note(&mut self, plan: &Plan) {
        let (masked, redacted) = plan.sets();
        let revealed = plan.revealed.iter().map(|c| &**c).collect();
        let record = &mut self.record;
        for (set, more) in [
            (&mut record.mask_set, masked),
            (&mut record.redact_set, redacted),
            (&mut record.revealed, revealed),
        ] {
            let first = set.is_empty();
            set.extend(more.into_iter().map(str::to_owned));
            if !first {
                set.sort_unstable();
                set.dedup();
            }
        }
        let reasons = plan.reasons();
        if record.reason.is_empty() {
            record.reason = reasons;
        } else if !reasons.is_empty() && !record.reason.contains(&reasons) {
            record.reason = format!("{}; {reasons}", record.reason);
        }
    }
}

/// The document of a request.
struct Query<'a> {
    text: Cow<'a, str>,
    /// Whether the request names it, so that the upstream must get another request.
    persisted: bool,
}

/// Finds the document of a request, whether it is there or only named.
fn resolve<'a>(filter: &mut Masking, request: &'a GraphqlRequest<'_>) -> Result<Query<'a>, Reply> {
    let query = request.query.as_deref();
    let named = request.persisted().map_err(malformed)?;
    let text = match (query, named) {
        (None, None) => return Err(malformed(RequestError::NoQuery)),
        (Some(query), None) => {
            return Ok(Query {
                text: Cow::Borrowed(query),
                persisted: false,
            });
        }
        (None, Some(PersistedId::Hash(id) | PersistedId::Name(id))) => {
            let Some(text) = filter.persisted(&id) else {
                // Clients know this message: they send the query with its hash then.
                let (code, message) = ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound");
                return Err(Reply::graphql(200, code, message));
            };
            Cow::Owned(text.to_string())
        }
        (Some(query), Some(PersistedId::Hash(hash))) => {
            if sha256(query.as_bytes()) != hash {
                let message = "the query has another hash than the one sent with it";
                return Err(Reply::graphql(
                    400,
                    "PERSISTED_QUERY_HASH_MISMATCH",
                    message,
                ));
            }
            if filter.config().graphql.automatic_persisted {
                filter.register(&hash, query);
            }
            Cow::Borrowed(query)
        }
        (Some(query), Some(PersistedId::Name(name))) => {
            if filter.persisted(&name).is_none_or(|known| *known != *query) {
                let message = "the query is another than the one of that id";
                return Err(Reply::graphql(
                    400,
                    "PERSISTED_QUERY_HASH_MISMATCH",
                    message,
                ));
            }
            Cow::Borrowed(query)
        }
    };
    Ok(Query {
        text,
        persisted: true,
    })
}

fn graphql(error: GraphqlError) -> Reply {
    Reply::graphql(error.status(), error.code(), &error.to_string())
}

fn malformed(error: RequestError) -> Reply {
    Reply::graphql(400, error.code(), &error.to_string())
}
