//! The bundle server: releases for whoever speaks OPA's bundle API.
//!
//! `GET /bundles/REGION.tar.gz` answers with the bundle that is for the asking node: `ETag` and
//! `If-None-Match` spare what it has already, and `Prefer: wait=SECONDS` waits for what it has not (OPA's
//! long polling). See <https://www.openpolicyagent.org/docs/management-bundles>.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::peers::Asker;

/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// What tells OPA that it may ask with `Prefer: wait`.
const POLLED: &str = "application/vnd.openpolicyagent.bundles";

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// SHA-256 of its bytes, hexadecimal.
    pub digest: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The bundles that are for somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shelf {
    /// For everybody.
    pub stable: Option<Packed>,
    /// For some nodes before the others.
    pub canary: Option<(BTreeSet<String>, Packed)>,
}

impl Shelf {
    /// What is for a node.
    fn of(&self, node: Option<&str>) -> Option<&Packed> {
        match &self.canary {
            Some((nodes, packed)) if node.is_some_and(|n| nodes.contains(n)) => Some(packed),
            _ => self.stable.as_ref(),
        }
    }
}

/// What the server serves.
#[derive(Clone)]
pub struct State {
    /// The regions.
    pub regions: Arc<BTreeSet<String>>,
    /// The bundles.
    pub shelf: watch::Receiver<Shelf>,
}

/// The routes.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/bundles/{name}", get(bundle))
        .with_state(state)
}

/// Who asks, where no certificate says it.
#[derive(serde::Deserialize)]
struct Asking {
    node: Option<String>,
}

async fn bundle(
    Shared(mut state): Shared<State>,
    ConnectInfo(asker): ConnectInfo<Asker>,
    Path(name): Path<String>,
    Query(asking): Query<Asking>,
    headers: HeaderMap,
) -> Response {
    let region = name.strip_suffix(".tar.gz");
    let node = match (asker, region) {
        (Asker::Unasked, _) => asking.node,
        (Asker::Nobody(why), _) => {
            return (StatusCode::FORBIDDEN, format!("{why}\n")).into_response();
        }
        (Asker::Node(who), Some(region)) if who.region != region => {
            let why = format!("{} gets no bundle but {}.tar.gz\n", who.id, who.region);
            return (StatusCode::FORBIDDEN, why).into_response();
        }
        (Asker::Node(who), _) => Some(who.node),
    };
    if !region.is_some_and(|r| state.regions.contains(r)) {
        let names: Vec<String> = state
            .regions
            .iter()
            .map(|r| format!("{r}.tar.gz"))
            .collect();
        let known = format!("there is no such bundle: use {}\n", names.join(", "));
        return (StatusCode::NOT_FOUND, known).into_response();
    }
    let deadline = Instant::now() + wait(&headers);
    loop {
        let packed = state.shelf.borrow_and_update().of(node.as_deref()).cloned();
        let Some(packed) = packed else {
            return (StatusCode::NOT_FOUND, "no release is stable yet\n").into_response();
        };
        let tag = format!("\"{}\"", packed.digest);
        if !has(&headers, &tag) {
            let about = [(header::ETAG, tag), (header::CONTENT_TYPE, POLLED.into())];
            return (about, packed.bytes).into_response();
        }
        // A shelf that is no more can't change.
        let changed = tokio::time::timeout_at(deadline, state.shelf.changed()).await;
        if !matches!(changed, Ok(Ok(()))) {
            let about = [(header::ETAG, tag), (header::CONTENT_TYPE, POLLED.into())];
            return (StatusCode::NOT_MODIFIED, about).into_response();
        }
    }
}

/// Whether the client has it already (RFC 9110, section 13.1.2; weak comparison).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let named = headers.get_all(header::IF_NONE_MATCH).iter();
    let named = named.filter_map(|v| v.to_str().ok());
    let mut tags = named.flat_map(|v| v.split(',')).map(str::trim);
    tags.any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == tag)
}

/// How long the client likes to wait (RFC 7240, section 4.3; OPA parts preferences by `;`).
fn wait(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").iter();
    let preferences = preferences.filter_map(|v| v.to_str().ok());
    let mut seconds = preferences
        .flat_map(|v| v.split([',', ';']))
        .filter_map(|p| p.trim().strip_prefix("wait=")?.parse().ok());
    let seconds = seconds.next().map(Duration::from_secs);
    seconds.unwrap_or_default().min(PATIENCE)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::peers::serve;

    fn packed(digest: &str) -> Packed {
        Packed {
            digest: digest.into(),
            bytes: Bytes::from(digest.to_owned()),
        }
    }

    struct Served {
        address: std::net::SocketAddr,
        shelf: watch::Sender<Shelf>,
    }

    impl Served {
        async fn new(shelf: Shelf) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (shelf, receiver) = watch::channel(shelf);
            let state = State {
                regions: Arc::new(["eu".to_owned()].into()),
                shelf: receiver,
            };
            tokio::spawn(serve(listener, None, router(state), std::future::pending()));
            Self { address, shelf }
        }

        async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Option<String>, String) {
            let answer = crate::client::send(self.address, "GET", path, headers, String::new());
            let answer = answer.await.unwrap();
            let tag = Some(answer.header("etag").to_owned()).filter(|t| !t.is_empty());
            (answer.status, tag, answer.body)
        }
    }

    #[tokio::test]
    async fn a_node_gets_what_is_for_it_and_only_what_it_has_not() {
        let served = Served::new(Shelf {
            stable: Some(packed("one")),
            canary: Some((["gateway-eu".to_owned()].into(), packed("two"))),
        })
        .await;
        let (status, tag, text) = served.get("/bundles/eu.tar.gz", &[]).await;
        assert_eq!(
            (status, tag.as_deref(), text.as_str()),
            (200, Some("\"one\""), "one")
        );
        let (_, _, text) = served.get("/bundles/eu.tar.gz?node=gateway-eu", &[]).await;
        assert_eq!(text, "two");
        for (tags, status) in [
            ("\"one\"", 304),
            ("W/\"one\"", 304),
            ("\"two\", \"one\"", 304),
            ("*", 304),
            ("\"two\"", 200),
            ("one", 200),
        ] {
            let asked = served
                .get("/bundles/eu.tar.gz", &[("if-none-match", tags)])
                .await;
            assert_eq!(asked.0, status, "{tags}");
        }
        for path in [
            "/bundles/us.tar.gz",
            "/bundles/eu",
            "/bundles/..%2Feu.tar.gz",
        ] {
            let (status, _, text) = served.get(path, &[]).await;
            assert_eq!(status, 404, "{path}");
            assert!(text.contains("eu.tar.gz"), "{text}");
        }
        let empty = Served::new(Shelf::default()).await;
        let (status, _, text) = empty.get("/bundles/eu.tar.gz", &[]).await;
        assert_eq!((status, text.as_str()), (404, "no release is stable yet\n"));
    }

    #[tokio::test]
    async fn who_waits_is_told_as_soon_as_there_is_something() {
        let served = Served::new(Shelf {
            stable: Some(packed("one")),
            canary: None,
        })
        .await;
        let headers = [
            ("if-none-match", "\"one\""),
            ("prefer", "modes=snapshot,delta;wait=60"),
        ];
        let asked = served.get("/bundles/eu.tar.gz", &headers);
        let later = async {
            tokio::task::yield_now().await;
            // Of no interest to this node.
            served.shelf.send_modify(|s| {
                s.canary = Some((["x".to_owned()].into(), packed("three")));
            });
            served.shelf.send_modify(|s| s.stable = Some(packed("two")));
        };
        let (asked, ()) = tokio::join!(asked, later);
        assert_eq!((asked.0, asked.2.as_str()), (200, "two"));
        let headers = [("if-none-match", "\"two\""), ("prefer", "wait=1")];
        let asked = served.get("/bundles/eu.tar.gz", &headers).await;
        assert_eq!((asked.0, asked.1.as_deref()), (304, Some("\"two\"")));
    }

    /// A node's request, with its certificate: status and text.
    async fn ask(url: String, ca: String, node: Option<peer::testing::Issued>) -> (u16, String) {
        ask_with(url, ca, node, &[]).await
    }

    /// The same, with headers.
    async fn ask_with(
        url: String,
        ca: String,
        node: Option<peer::testing::Issued>,
        headers: &'static [(&str, &str)],
    ) -> (u16, String) {
        let asked = tokio::task::spawn_blocking(move || {
            let agent = peer::testing::client(&ca, node.as_ref());
            let mut request = agent.get(&url);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let mut answer = request.call()?;
            let text = answer.body_mut().read_to_string()?;
            Ok::<_, ureq::Error>((answer.status().as_u16(), text))
        });
        match asked.await.unwrap() {
            Ok(answer) => answer,
            Err(error) => (0, error.to_string()),
        }
    }

    #[tokio::test]
    async fn a_certificate_says_whose_bundle_it_is() {
        let authority = peer::testing::Authority::default();
        let directory = tempfile::tempdir().unwrap();
        authority
            .server(&["localhost"])
            .write(directory.path(), "server");
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("ca.pem"), authority.pem()).unwrap();
        let config = peer::Config::new(
            &at("server.pem"),
            &at("server.key"),
            &at("ca.pem"),
            "maestro.example",
        );
        let acceptor = peer::Acceptor::new(config, &[peer::HTTP1]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_shelf, receiver) = watch::channel(Shelf {
            stable: Some(packed("one")),
            canary: Some((["gateway-eu".to_owned()].into(), packed("two"))),
        });
        let state = State {
            regions: Arc::new(["eu".to_owned(), "us".to_owned()].into()),
            shelf: receiver,
        };
        tokio::spawn(serve(
            listener,
            Some(acceptor.clone()),
            router(state),
            std::future::pending(),
        ));
        let id = |path: &str| format!("spiffe://maestro.example/region/{path}");
        let foreign = peer::testing::Authority::new("another");
        for (node, path, status, says) in [
            (
                Some(authority.node(&id("eu/opa/opa-1"))),
                "eu.tar.gz",
                200,
                "one",
            ),
            (
                Some(authority.node(&id("eu/gateway/gateway-eu"))),
                "eu.tar.gz",
                200,
                "two",
            ),
            // What it says of itself does not count.
            (
                Some(authority.node(&id("eu/opa/opa-1"))),
                "eu.tar.gz?node=gateway-eu",
                200,
                "one",
            ),
            (
                Some(authority.node(&id("eu/opa/opa-1"))),
                "us.tar.gz",
                403,
                "gets no bundle but eu.tar.gz",
            ),
            (
                Some(authority.node("spiffe://maestro.example/elsewhere")),
                "eu.tar.gz",
                403,
                "",
            ),
            (Some(foreign.node(&id("eu/opa/opa-1"))), "eu.tar.gz", 0, ""),
            (None, "eu.tar.gz", 0, ""),
        ] {
            let url = format!("https://localhost:{port}/bundles/{path}");
            let (seen, text) = ask(url, authority.pem(), node).await;
            assert!(
                seen == status && text.contains(says),
                "{path}: {seen} {text}"
            );
        }
        // Who waits is put out when its certificate is over: if the handshake was in time, on a busy machine.
        let mut waited = false;
        for seconds in [4, 20, 80] {
            let accepted = acceptor.figures().accepted;
            let short = authority.issue(&peer::testing::Wanted {
                uris: &[&id("eu/opa/opa-1")],
                until: Some(std::time::SystemTime::now() + Duration::from_secs(seconds)),
                ..Default::default()
            });
            let url = format!("https://localhost:{port}/bundles/eu.tar.gz");
            let headers = &[("if-none-match", "\"one\""), ("prefer", "wait=600")];
            let asked = ask_with(url, authority.pem(), Some(short), headers);
            let asked = tokio::time::timeout(Duration::from_secs(200), asked).await;
            let (status, text) = asked.expect("it waits still");
            assert_eq!(status, 0, "{text}");
            waited = acceptor.figures().accepted > accepted;
            if waited {
                break;
            }
        }
        assert!(waited, "no handshake in time");
    }
}
