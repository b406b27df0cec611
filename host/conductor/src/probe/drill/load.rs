//! Clients that ask all the time, and what they saw in a phase.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use probe::Verdict;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use upstream::{REGION_HEADER, personas};

use super::{counted, millis};
use crate::client;
use crate::demo::{Caller, Stage};

/// Clients at once.
const CLIENTS: usize = 4;

/// Between an answer and the next request of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// One request.
#[derive(Debug, Clone)]
struct Answered {
    began: Instant,
    took: Duration,
    status: u16,
    /// Whether another region's server answered.
    stranger: bool,
}

/// The clients.
pub struct Load {
    seen: Arc<Mutex<Vec<Answered>>>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

/// What clients saw in a phase.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// What was done.
    name: &'static str,
    /// Requests that began in it.
    pub requests: usize,
    /// Those answered 200.
    pub ok: usize,
    /// Those answered 503.
    pub unavailable: usize,
    /// Answers by another region's server.
    pub strangers: usize,
    /// Half were answered within so many milliseconds.
    p50_ms: f64,
    /// 99 of 100 were.
    p99_ms: f64,
    /// When the first 200 came, in milliseconds since the phase began.
    pub first_ok_ms: Option<u64>,
    /// When the last 200 came.
    pub last_ok_ms: u64,
    /// The longest time between two of them, or the phase's ends.
    pub dark_ms: u64,
    /// What probes of the region's tenants came to.
    pub probes: String,
    #[serde(skip)]
    verdicts: Vec<Verdict>,
}

impl Load {
    /// Clients of a region's gateway.
    ///
    /// # Errors
    /// There is no such region.
    pub fn start(stage: &Stage, region: &'static str) -> anyhow::Result<Self> {
        let gateway = stage.region(region)?.listen;
        let caller = Caller {
            persona: &personas::ANALYST_ACME,
            purpose: "analytics",
        };
        let token = caller.token(&stage.issuer);
        let (stop, stopped) = watch::channel(false);
        let seen: Arc<Mutex<Vec<Answered>>> = Arc::default();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(ask(
                gateway,
                region,
                token.clone(),
                seen.clone(),
                stopped.clone(),
            ));
        }
        Ok(Self {
            seen,
            stop,
            clients,
        })
    }

    /// What was seen since a phase began; it ends now.
    pub fn phase(&self, name: &'static str, began: Instant, verdicts: Vec<Verdict>) -> Phase {
        let mut all =
            std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        all.retain(|a| a.began >= began);
        let since = |at: Instant| millis(at.saturating_duration_since(began));
        let mut good: Vec<u64> = all
            .iter()
            .filter(|a| a.status == 200)
            .map(|a| since(a.began + a.took))
            .collect();
        good.sort_unstable();
        let ends = [&[0], good.as_slice(), &[millis(began.elapsed())]].concat();
        let dark = ends.windows(2).map(|w| match w {
            [before, after] => after.saturating_sub(*before),
            _ => 0,
        });
        let mut took: Vec<f64> = all.iter().map(|a| a.took.as_secs_f64() * 1e3).collect();
        took.sort_by(f64::total_cmp);
        let at = |share: usize| {
            took.get(took.len() * share / 100)
                .copied()
                .unwrap_or_default()
        };
        Phase {
            name,
            requests: all.len(),
            ok: good.len(),
            unavailable: all.iter().filter(|a| a.status == 503).count(),
            strangers: all.iter().filter(|a| a.stranger).count(),
            p50_ms: at(50),
            p99_ms: at(99),
            first_ok_ms: good.first().copied(),
            last_ok_ms: good.last().copied().unwrap_or_default(),
            dark_ms: dark.max().unwrap_or_default(),
            probes: counted(&verdicts),
            verdicts,
        }
    }

    /// Ends the clients.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.clients.join_next().await.is_some() {}
    }
}

impl Phase {
    /// Whether there were probes and each came to this.
    pub fn all(&self, verdict: Verdict) -> bool {
        !self.verdicts.is_empty() && self.verdicts.iter().all(|v| *v == verdict)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.first_ok_ms.map_or("-".to_owned(), |ms| ms.to_string());
        write!(
            f,
            "{:44} {:>8} {:>6} {:>6} {:>8.1} {:>8.1} {:>12}  {}",
            self.name,
            self.requests,
            self.ok,
            self.unavailable,
            self.p50_ms,
            self.p99_ms,
            first,
            self.probes
        )
    }
}

async fn ask(
    gateway: SocketAddr,
    region: &'static str,
    token: String,
    seen: Arc<Mutex<Vec<Answered>>>,
    stopped: watch::Receiver<bool>,
) {
    let headers = [
        ("authorization", token.as_str()),
        ("x-ig-purpose", "analytics"),
        ("content-type", "application/json"),
    ];
    let body = r#"{"query":"{ viewer { name email } }"}"#;
    while !*stopped.borrow() {
        let began = Instant::now();
        let answer = client::send(gateway, "POST", "/graphql", &headers, body.to_owned()).await;
        let answered = Answered {
            began,
            took: began.elapsed(),
            status: answer.as_ref().map_or(0, |a| a.status),
            stranger: answer.is_ok_and(|a| {
                let by = a.header(REGION_HEADER);
                !by.is_empty() && by != region
            }),
        };
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(answered);
        tokio::time::sleep(PAUSE).await;
    }
}
