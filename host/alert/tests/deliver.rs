//! Receivers on a real socket: they are told until they have taken it, each for itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alert::run::{Alerts, Receivers};
use alert::{Alert, Book, Config, Severity, Webhook};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;

/// What a receiver got: path, signature, body, and what it answered.
type Got = (String, Option<String>, Value, StatusCode);

#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    refusals: Arc<Mutex<u32>>,
}

impl Receiver {
    async fn start(refusals: u32) -> (Self, String) {
        let receiver = Self::default();
        *receiver.refusals.lock().unwrap() = refusals;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (receiver, url)
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Waits for so many messages.
    async fn until(&self, count: usize) -> Vec<Got> {
        tokio::time::timeout(Duration::from_secs(30), async {
            while self.got().len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("only {:#?}", self.got()));
        self.got()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let status = {
        let mut left = receiver.refusals.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        }
    };
    let signature = headers.get("x-maestro-signature-256");
    let signature = signature.map(|s| s.to_str().unwrap().to_owned());
    let body = serde_json::from_slice(&body).unwrap();
    let got = (uri.path().to_owned(), signature, body, status);
    receiver.got.lock().unwrap().push(got);
    status
}

fn about(region: &str) -> BTreeMap<String, String> {
    [("region".to_owned(), region.to_owned())].into()
}

fn alert(region: &str) -> Alert {
    Alert {
        name: "GatewayRefusedConfiguration".into(),
        severity: Severity::Critical,
        about: about(region),
        summary: "a gateway refused its configuration".into(),
        description: "no such filter".into(),
        runbook: "look at /api/xds".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_receiver_is_told_until_it_has_taken_it() {
    let (manager, manager_url) = Receiver::start(0).await;
    let (webhook, webhook_url) = Receiver::start(1).await;
    let config = Config {
        // One that nobody listens at keeps no other waiting.
        alertmanagers: vec!["http://127.0.0.1:1".into(), manager_url],
        webhooks: vec![Webhook {
            url: format!("{webhook_url}/hook"),
            // Any variable that is set serves as a secret.
            secret_env: Some("CARGO_MANIFEST_DIR".into()),
        }],
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.json");
    let alerts = Alerts::new(Book::open(&path).unwrap());
    // Before anybody listens: it is in the book.
    alerts.raise(alert("eu"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let delivery = {
        let (alerts, receivers) = (alerts.clone(), Receivers::read(&config).unwrap());
        tokio::spawn(receivers.tell(alerts, async {
            let _ = stopped.await;
        }))
    };
    let got = manager.until(1).await;
    assert_eq!(got[0].0, "/api/v2/alerts");
    assert_eq!(
        got[0].2[0]["labels"]["alertname"],
        "GatewayRefusedConfiguration"
    );
    assert_eq!(got[0].2[0]["labels"]["region"], "eu");
    assert_eq!(got[0].2[0]["labels"]["severity"], "critical");
    assert!(got[0].2[0].get("endsAt").is_none(), "{}", got[0].2);

    let got = webhook.until(2).await;
    let statuses: Vec<u16> = got.iter().map(|g| g.3.as_u16()).collect();
    assert_eq!(statuses, [503, 200], "refused once, then taken");
    assert_eq!(got[0].2, got[1].2, "the same message");
    assert!(got[1].1.as_ref().unwrap().starts_with("sha256="));
    assert_eq!(got[1].2["status"], "firing");

    alerts.resolve("GatewayRefusedConfiguration", &about("eu"));
    let got = manager.until(2).await;
    assert!(got[1].2[0]["endsAt"].is_string(), "{}", got[1].2);
    let got = webhook.until(3).await;
    assert_eq!(got[2].2["status"], "resolved");
    stop.send(()).unwrap();
    delivery.await.unwrap();
    // The receiver that never answered never knew: nobody waits for it.
    assert_eq!(Book::open(&path).unwrap().entries().count(), 0);
}

#[test]
fn a_webhook_without_its_secret_is_not_used() {
    let config = Config {
        webhooks: vec![Webhook {
            url: "http://127.0.0.1:1".into(),
            secret_env: Some("MAESTRO_NO_SUCH_VARIABLE".into()),
        }],
        ..Config::default()
    };
    let error = Receivers::read(&config).err().unwrap();
    assert!(error.to_string().contains("MAESTRO_NO_SUCH_VARIABLE"));
}
