//! Clients of all gateways, and what they saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use upstream::personas::{self, Persona};

use crate::client;
use crate::demo::{Caller, Stage, leaks};

/// Clients of a gateway.
const CLIENTS: usize = 2;

/// Between an answer and the next request of a client.
const PAUSE: Duration = Duration::from_millis(15);

/// Who asks at which gateway.
const CALLERS: [(&str, &Persona); 3] = [
    ("eu", &personas::ANALYST_ACME),
    ("us", &personas::ANALYST_INITECH),
    ("apac", &personas::ANALYST_HOOLI),
];

/// An answer, as far as it matters here.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// What stood for the address.
    pub email: String,
    /// What stood for the phone number.
    pub phone: String,
}

/// What was seen at a gateway.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Seen {
    /// Its region.
    region: &'static str,
    /// Requests.
    pub requests: usize,
    /// Those without an answer.
    pub unanswered: usize,
    /// Answers other than 200.
    pub refused: usize,
    /// Answers with somebody's data in the clear.
    pub leaks: usize,
    #[serde(skip)]
    last: Answered,
}

/// The clients.
pub struct Load {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Clients of every gateway.
    ///
    /// # Errors
    /// There is no such region.
    pub fn start(stage: &Stage) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let all = CALLERS.map(|(region, _)| Seen {
            region,
            ..Seen::default()
        });
        let seen = Arc::new(Mutex::new(all.to_vec()));
        let mut clients = JoinSet::new();
        for (place, (region, persona)) in CALLERS.into_iter().enumerate() {
            let gateway = stage.region(region)?.listen;
            let caller = Caller {
                persona,
                purpose: "analytics",
            };
            let token = caller.token(&stage.issuer);
            for _ in 0..CLIENTS {
                clients.spawn(ask(
                    gateway,
                    token.clone(),
                    place,
                    seen.clone(),
                    stopped.clone(),
                ));
            }
        }
        Ok(Self {
            seen,
            stop,
            clients,
        })
    }

    /// The last answer of each gateway.
    pub fn last(&self) -> Vec<Answered> {
        self.with(|seen| seen.iter().map(|s| s.last.clone()).collect())
    }

    /// Answers with data in the clear, by region.
    pub fn leaks(&self) -> BTreeMap<String, usize> {
        let count = |s: &Seen| (s.region.to_owned(), s.leaks);
        self.with(|seen| seen.iter().map(count).collect())
    }

    /// Answers other than 200.
    pub fn refusals(&self) -> usize {
        self.with(|seen| seen.iter().map(|s| s.refused).sum())
    }

    /// Counts refusals and leaks from now on.
    pub fn forget(&self) {
        self.with(|seen| {
            for s in seen {
                (s.refused, s.leaks) = (0, 0);
            }
        });
    }

    /// Stops the clients.
    pub async fn stop(&mut self) -> Vec<Seen> {
        let _ = self.stop.send(true);
        while self.clients.join_next().await.is_some() {}
        self.with(|seen| seen.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<Seen>) -> T) -> T {
        f(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn ask(
    gateway: std::net::SocketAddr,
    token: String,
    place: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
    stopped: watch::Receiver<bool>,
) {
    let body = json!({"query": "{ viewer { name email phone } }"}).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("authorization", token.as_str()),
        ("x-ig-purpose", "analytics"),
    ];
    while !*stopped.borrow() {
        let answer = client::send(gateway, "POST", "/graphql", &headers, body.clone()).await;
        if let Ok(mut seen) = seen.lock()
            && let Some(seen) = seen.get_mut(place)
        {
            seen.requests += 1;
            match answer {
                Err(_) => seen.unanswered += 1,
                Ok(answer) => {
                    let json = answer.json();
                    let field = |name: &str| {
                        let value = json.pointer(&format!("/data/viewer/{name}"));
                        value.and_then(Value::as_str).unwrap_or_default().to_owned()
                    };
                    seen.refused += usize::from(answer.status != 200);
                    seen.leaks += usize::from(leaks(&answer.body) > 0);
                    seen.last = Answered {
                        status: answer.status,
                        email: field("email"),
                        phone: field("phone"),
                    };
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
