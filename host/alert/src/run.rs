//! Telling: the book, the receivers and the time between.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::alert::Alert;
use crate::book::{Book, Entry, Status};
use crate::config::Config;
use crate::error::AlertError;
use crate::wire;

/// Alertmanager takes an alert for over that it does not hear of for five minutes.
const REMIND: SignedDuration = SignedDuration::from_secs(60);

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often receivers that did not take something are tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The alerts of a process. A handle: clones see the same.
#[derive(Debug, Clone)]
pub struct Alerts {
    book: Arc<Mutex<Book>>,
    news: Arc<Notify>,
}

impl Alerts {
    /// Alerts in this book.
    pub fn new(book: Book) -> Self {
        Self {
            book: Arc::new(Mutex::new(book)),
            news: Arc::default(),
        }
    }

    /// Something is wrong.
    pub fn raise(&self, alert: Alert) {
        tracing::error!(alert = alert.name, about = ?alert.about, "{}", alert.summary);
        self.change(|book| book.raise(alert, Timestamp::now()));
    }

    /// It is over.
    pub fn resolve(&self, name: &str, about: &BTreeMap<String, String>) {
        self.change(|book| book.resolve(name, about, Timestamp::now()));
    }

    /// All that are firing or whose end is not known to all.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries().cloned().collect()
    }

    fn change(&self, act: impl FnOnce(&mut Book) -> Result<bool, AlertError>) {
        match act(&mut self.lock()) {
            Ok(true) => self.news.notify_one(),
            Ok(false) => {}
            // What can't be kept is told all the same.
            Err(error) => {
                tracing::error!("an alert may be lost with this process: {error}");
                self.news.notify_one();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One receiver.
#[derive(Clone)]
enum Receiver {
    Alertmanager { url: String },
    Webhook { url: String, secret: Option<String> },
}

impl Receiver {
    /// By what the book knows it.
    fn name(&self) -> &str {
        match self {
            Self::Alertmanager { url } | Self::Webhook { url, .. } => url,
        }
    }

    fn remind(&self) -> Option<SignedDuration> {
        match self {
            Self::Alertmanager { .. } => Some(REMIND),
            Self::Webhook { .. } => None,
        }
    }

    /// Tells it; those that it took are returned, with the first failure.
    fn tell(&self, agent: &ureq::Agent, owed: &[Entry]) -> (usize, Result<(), ureq::Error>) {
        match self {
            Self::Alertmanager { url } => {
                let entries: Vec<&Entry> = owed.iter().collect();
                let url = format!("{}/api/v2/alerts", url.trim_end_matches('/'));
                let body = wire::alertmanager(&entries).to_string();
                match post(agent, &url, &body, None) {
                    Ok(()) => (owed.len(), Ok(())),
                    Err(error) => (0, Err(error)),
                }
            }
            Self::Webhook { url, secret } => {
                for (taken, entry) in owed.iter().enumerate() {
                    let body = wire::webhook(entry).to_string();
                    if let Err(error) = post(agent, url, &body, secret.as_deref()) {
                        return (taken, Err(error));
                    }
                }
                (owed.len(), Ok(()))
            }
        }
    }
}

fn post(
    agent: &ureq::Agent,
    url: &str,
    body: &str,
    secret: Option<&str>,
) -> Result<(), ureq::Error> {
    let mut request = agent.post(url).header("content-type", "application/json");
    if let Some(signature) = secret.and_then(|s| wire::signature(s, body.as_bytes())) {
        request = request.header("x-maestro-signature-256", signature);
    }
    request.send(body)?;
    Ok(())
}

/// Everybody who is told.
#[derive(Clone)]
pub struct Receivers(Vec<Receiver>);

impl Receivers {
    /// Those of a configuration.
    ///
    /// # Errors
    /// A webhook's secret is not in the environment.
    pub fn read(config: &Config) -> Result<Self, AlertError> {
        let alertmanagers = config
            .alertmanagers
            .iter()
            .map(|url| Ok(Receiver::Alertmanager { url: url.clone() }));
        let webhooks = config.webhooks.iter().map(|webhook| {
            let secret = match &webhook.secret_env {
                None => None,
                Some(name) => {
                    Some(std::env::var(name).map_err(|_| AlertError::Secret(name.clone()))?)
                }
            };
            let url = webhook.url.clone();
            Ok(Receiver::Webhook { url, secret })
        });
        Ok(Self(
            alertmanagers.chain(webhooks).collect::<Result<_, _>>()?,
        ))
    }

    /// Tells them until `stop` is done.
    ///
    /// # Errors
    /// The book can't be written.
    pub async fn tell(
        self,
        alerts: Alerts,
        stop: impl Future<Output = ()>,
    ) -> Result<(), AlertError> {
        let names = self.0.iter().map(|r| r.name().to_owned()).collect();
        alerts.lock().only(&names)?;
        let mut wakes = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        for receiver in self.0 {
            let wake = Arc::new(Notify::new());
            tasks.spawn(keep_telling(alerts.clone(), receiver, wake.clone()));
            wakes.push(wake);
        }
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = alerts.news.notified() => wakes.iter().for_each(|wake| wake.notify_one()),
            }
        }
    }
}

/// Each receiver has a task of its own: one that does not answer keeps no other waiting.
async fn keep_telling(alerts: Alerts, receiver: Receiver, wake: Arc<Notify>) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    loop {
        let now = Timestamp::now();
        let owed: Vec<Entry> = {
            let book = alerts.lock();
            let owed = book.owed(receiver.name(), receiver.remind(), now);
            owed.into_iter().cloned().collect()
        };
        if !owed.is_empty() {
            let (to, with) = (receiver.clone(), agent.clone());
            let sent = tokio::task::spawn_blocking(move || {
                let (taken, result) = to.tell(&with, &owed);
                let taken: Vec<(String, Status)> = owed
                    .iter()
                    .take(taken)
                    .map(|e| (e.alert.fingerprint(), e.status))
                    .collect();
                (taken, result)
            });
            let Ok((taken, result)) = sent.await else {
                continue;
            };
            if let Err(error) = alerts.lock().told(receiver.name(), &taken, now) {
                tracing::error!("who was told of an alert may be told again: {error}");
            }
            if let Err(error) = result {
                tracing::warn!(
                    receiver = receiver.name(),
                    "could not be told of alerts, trying again: {error}"
                );
            }
        }
        let _ = tokio::time::timeout(RETRY, wake.notified()).await;
    }
}
