//! Telling: the book, the receivers and the time between.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
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
        let told = alert.clone();
        if self.change(|book| book.raise(alert, Timestamp::now())) {
            tracing::error!(
                alert = told.name,
                about = ?told.about,
                "{}: {}",
                told.summary,
                told.description
            );
        }
    }

    /// It is over.
    pub fn resolve(&self, name: &str, about: &BTreeMap<String, String>) {
        self.change(|book| book.resolve(name, about, Timestamp::now()));
    }

    /// All that are firing or whose end is not known to all.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries().cloned().collect()
    }

    /// Changes the book; whether that was news.
    fn change(&self, act: impl FnOnce(&mut Book) -> Result<bool, AlertError>) -> bool {
        let news = act(&mut self.lock()).unwrap_or_else(|error| {
            // What can't be kept is told all the same.
            tracing::error!("an alert may be lost with this process: {error}");
            true
        });
        if news {
            self.news.notify_one();
        }
        news
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One receiver.
#[derive(Clone)]
struct Receiver {
    /// By what the book and the log know it: a webhook's URL often is its secret.
    name: String,
    url: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Alertmanager,
    Webhook { secret: Option<String> },
}

impl Receiver {
    fn new(url: &str, kind: Kind) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let digest: String = Sha256::digest(url)
            .iter()
            .take(4)
            .map(|b| format!("{b:02x}"))
            .collect();
        Self {
            name: format!("{host}#{digest}"),
            url: url.to_owned(),
            kind,
        }
    }

    fn remind(&self) -> Option<SignedDuration> {
        match self.kind {
            Kind::Alertmanager => Some(REMIND),
            Kind::Webhook { .. } => None,
        }
    }

    /// Tells it; those that it took are returned, with the first failure.
    fn tell(&self, agent: &ureq::Agent, owed: &[Entry]) -> (usize, Result<(), ureq::Error>) {
        match &self.kind {
            Kind::Alertmanager => {
                let entries: Vec<&Entry> = owed.iter().collect();
                let url = format!("{}/api/v2/alerts", self.url.trim_end_matches('/'));
                let body = wire::alertmanager(&entries).to_string();
                match post(agent, &url, &body, None) {
                    Ok(()) => (owed.len(), Ok(())),
                    Err(error) => (0, Err(error)),
                }
            }
            Kind::Webhook { secret } => {
                for (taken, entry) in owed.iter().enumerate() {
                    let body = wire::webhook(entry).to_string();
                    if let Err(error) = post(agent, &self.url, &body, secret.as_deref()) {
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
            .map(|url| Ok(Receiver::new(url, Kind::Alertmanager)));
        let webhooks = config.webhooks.iter().map(|webhook| {
            let secret = match &webhook.secret_env {
                None => None,
                Some(name) => {
                    Some(std::env::var(name).map_err(|_| AlertError::Secret(name.clone()))?)
                }
            };
            Ok(Receiver::new(&webhook.url, Kind::Webhook { secret }))
        });
        Ok(Self(
            alertmanagers.chain(webhooks).collect::<Result<_, _>>()?,
        ))
    }

    /// Tells them until `stop` is done.
    pub async fn tell(self, alerts: Alerts, stop: impl Future<Output = ()>) {
        let names = self.0.iter().map(|r| r.name.clone()).collect();
        if let Err(error) = alerts.lock().only(&names) {
            // They are told all the same.
            tracing::error!("alerts can't be kept: {error}");
        }
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
                () = &mut stop => return,
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
    let mut reached = true;
    loop {
        let (alerts, to, with) = (alerts.clone(), receiver.clone(), agent.clone());
        let told = tokio::task::spawn_blocking(move || tell_now(&alerts, &to, &with)).await;
        // An outage is said once.
        match told {
            Ok(Ok(())) => reached = true,
            Ok(Err(error)) if std::mem::take(&mut reached) => tracing::warn!(
                receiver = receiver.name,
                "can't be told of alerts, trying again: {error}"
            ),
            Ok(Err(_)) => {}
            Err(error) => tracing::error!(receiver = receiver.name, "telling ended: {error}"),
        }
        let _ = tokio::time::timeout(RETRY, wake.notified()).await;
    }
}

/// Tells a receiver what it is owed now, and notes what it took.
fn tell_now(alerts: &Alerts, to: &Receiver, with: &ureq::Agent) -> Result<(), ureq::Error> {
    let now = Timestamp::now();
    let owed: Vec<Entry> = {
        let book = alerts.lock();
        let owed = book.owed(&to.name, to.remind(), now);
        owed.into_iter().cloned().collect()
    };
    if owed.is_empty() {
        return Ok(());
    }
    let (taken, result) = to.tell(with, &owed);
    let taken: Vec<(String, Status)> = owed
        .iter()
        .take(taken)
        .map(|e| (e.alert.fingerprint(), e.status))
        .collect();
    if let Err(error) = alerts.lock().told(&to.name, &taken, now) {
        tracing::error!("who was told of an alert may be told again: {error}");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_named_without_what_its_url_keeps_secret() {
        let webhook = |url: &str| Receiver::new(url, Kind::Webhook { secret: None });
        let one = webhook("https://user:pw@hooks.example:8443/services/T0/SECRET?key=SECRET");
        assert!(one.name.starts_with("hooks.example:8443#"), "{}", one.name);
        for secret in ["SECRET", "pw", "user"] {
            assert!(!one.name.contains(secret), "{}", one.name);
        }
        assert_ne!(
            one.name,
            webhook("https://hooks.example:8443/services/T1").name
        );
    }

    #[test]
    fn an_alertmanager_is_reminded_before_it_forgets() {
        // Its `resolve_timeout`, if nobody sets another.
        let forgets = SignedDuration::from_mins(5);
        let manager = Receiver::new("http://a:9093", Kind::Alertmanager);
        let longest = manager.remind().map(|after| after * 2);
        assert!(longest.is_some_and(|longest| longest < forgets));
    }
}
