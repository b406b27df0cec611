//! Serving: two listeners, and what they are asked.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use engine::context::CONTEXT_HEADER;
use engine::reply::Reply;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::book::Book;
use crate::claims;
use crate::config::Config;
use crate::error::{ConfigError, ServeError};
use crate::names::{NameError, Run, Tenant, Token};
use crate::outcome::Outcome;
use crate::request::{Attempt, Probe, RequestError};
use crate::store::{Ask, Store};

/// Bytes of an attempt.
const LARGEST: usize = 64 << 10;

/// Operations at once: who comes then waits, within its time.
const AT_ONCE: usize = 64;

/// What requests may take to end, beyond an operation, when the agent is to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The agent, with the secrets of its stores. A handle: clones see the same.
#[derive(Clone)]
pub struct Agent(Arc<Shared>);

struct Shared {
    stores: BTreeMap<String, Store>,
    limit: Duration,
    book: Mutex<Book>,
    turns: Semaphore,
}

/// Serves on bound sockets until `stop` is done, with secrets from the process's environment.
///
/// # Errors
/// The configuration can't be used, or a listener failed.
pub async fn serve(
    public: TcpListener,
    control: TcpListener,
    config: Config,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let agent = Agent::configure(&config, |name| std::env::var(name).ok())?;
    agent.serve(public, control, stop).await
}

impl Agent {
    /// Checks a configuration and takes the secrets that it names from `environment`.
    ///
    /// # Errors
    /// It can't be used, or a secret is not there.
    pub fn configure(
        config: &Config,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let stores = config.stores.iter().map(|store| {
            let name = store.name().to_owned();
            Ok((name, Store::configure(store, &environment)?))
        });
        Ok(Self(Arc::new(Shared {
            stores: stores.collect::<Result<_, ConfigError>>()?,
            limit: Duration::from_millis(config.limit_ms),
            book: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        })))
    }

    /// Serves on bound sockets until `stop` is done.
    ///
    /// # Errors
    /// A listener failed.
    pub async fn serve(
        self,
        public: TcpListener,
        control: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let limit = self.0.limit;
        let outside = Router::new()
            .route("/ig/probe", post(probe))
            .with_state(self.clone());
        let inside = Router::new()
            .route("/expect/{run}", post(expect))
            .route("/results/{run}", get(results))
            .route("/attempt", post(attempt))
            .route("/healthz", get(async || "ok\n"))
            .layer(DefaultBodyLimit::max(LARGEST))
            .with_state(self);
        let (stopping, stopped) = watch::channel(false);
        let ended = || {
            let mut stopped = stopped.clone();
            async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            }
        };
        let outside = axum::serve(public, outside).with_graceful_shutdown(ended());
        let inside = axum::serve(control, inside).with_graceful_shutdown(ended());
        let both = async { tokio::try_join!(outside, inside) };
        tokio::pin!(both);
        tokio::select! {
            result = &mut both => result?,
            () = stop => {
                let _ = stopping.send(true);
                match tokio::time::timeout(limit + FAREWELL, both).await {
                    Ok(result) => result?,
                    // A client that keeps its request open keeps nobody waiting.
                    Err(_) => ((), ()),
                }
            }
        };
        Ok(())
    }

    /// Does an operation, to its end even if who asked goes away.
    async fn operate(&self, store: String, ask: Ask, run: Option<Run>) -> Option<Outcome> {
        let shared = self.0.clone();
        let task = tokio::spawn(async move {
            let store = shared.stores.get(&store)?;
            let outcome = store.operate(&ask, shared.limit, &shared.turns).await;
            tracing::debug!(?outcome, "an operation is over");
            if let Some(run) = run {
                shared.book().note(&run, outcome.clone());
            }
            Some(outcome)
        });
        task.await.ok().flatten()
    }

    fn known(&self, store: &str) -> Result<(), RequestError> {
        let known = self.0.stores.contains_key(store);
        known.then_some(()).ok_or(RequestError::Store)
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says no more than that it was asked.
async fn probe(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<StatusCode, Malformed> {
    let probe = Probe::parse(&query.unwrap_or_default())?;
    // Whoever has a token of a gateway can ask; only the prober is answered.
    if !agent.0.book().take(&probe.run, Instant::now()) {
        return Err(RequestError::Unexpected.into());
    }
    agent.known(&probe.store)?;
    let token = token(&headers)?;
    let ask = Ask {
        op: probe.op,
        nonce: probe.nonce,
        tenant: token
            .as_ref()
            .and_then(claims::tenant)
            .unwrap_or_else(Tenant::unknown),
        token,
    };
    agent.operate(probe.store, ask, Some(probe.run)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Awaits one request of a run.
async fn expect(
    State(agent): State<Agent>,
    Path(run): Path<String>,
) -> Result<StatusCode, Malformed> {
    let run = Run::try_from(run).map_err(RequestError::from)?;
    agent.0.book().expect(&run, Instant::now());
    Ok(StatusCode::NO_CONTENT)
}

async fn results(
    State(agent): State<Agent>,
    Path(run): Path<String>,
) -> Result<Json<Vec<Outcome>>, Malformed> {
    let run = Run::try_from(run).map_err(RequestError::from)?;
    Ok(Json(agent.0.book().outcomes(&run, Instant::now())))
}

async fn attempt(
    State(agent): State<Agent>,
    body: Bytes,
) -> Result<Response<axum::body::Body>, Malformed> {
    let attempt = Attempt::parse(&body)?;
    agent.known(&attempt.store)?;
    let ask = Ask {
        op: attempt.op,
        nonce: attempt.nonce,
        tenant: attempt.tenant,
        token: attempt.context,
    };
    Ok(match agent.operate(attempt.store, ask, None).await {
        Some(outcome) => Json(outcome).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })
}

/// The token of a request, if it has one.
fn token(headers: &HeaderMap) -> Result<Option<Token>, RequestError> {
    let mut tokens = headers.get_all(CONTEXT_HEADER).iter();
    match (tokens.next(), tokens.next()) {
        (_, Some(_)) => Err(RequestError::Tokens),
        (Some(token), None) if !token.is_empty() => {
            let text = token.to_str().map_err(|_| NameError::Token)?;
            Ok(Some(text.to_owned().try_into()?))
        }
        _ => Ok(None),
    }
}

/// The answer to what is not done: a problem document.
struct Malformed(RequestError);

impl From<RequestError> for Malformed {
    fn from(error: RequestError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Malformed {
    fn into_response(self) -> Response<axum::body::Body> {
        let (status, code) = match self.0 {
            RequestError::Unexpected => (StatusCode::NOT_FOUND, "PROBE_UNEXPECTED"),
            _ => (StatusCode::BAD_REQUEST, "PROBE_MALFORMED"),
        };
        let reply = Reply::problem(status.as_u16(), code, &self.0.to_string());
        let mut response = (status, reply.body).into_response();
        for (name, value) in reply.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
