//! The agent: sentinels in real stores through the guards, as it is asked through the gateway and by
//! the prober.

mod failures;
mod neo4j;
mod objects;
mod postgres;

use std::net::SocketAddr;

use serde_json::{Value, json};
use stores::http::{send, send_body};
use stores::{claims, sign};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const RUN: &str = "0123456789abcdef0123456789abcdef";

/// A running agent.
struct Running {
    public: SocketAddr,
    control: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), agent::ServeError>>,
}

impl Running {
    /// Starts one with these stores and this environment.
    async fn start(stores: Value, environment: &[(&str, &str)]) -> Self {
        let config = json!({"limit_ms": 20_000, "stores": stores});
        Self::start_with(config, environment).await
    }

    async fn start_with(config: Value, environment: &[(&str, &str)]) -> Self {
        let config: agent::Config = serde_json::from_value(config).unwrap();
        let find = |name: &str| {
            let found = environment.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let agent = agent::Agent::configure(&config, find).unwrap();
        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let addresses = [&public, &control].map(|l| l.local_addr().unwrap());
        let task = tokio::spawn(agent.serve(public, control, async {
            let _ = stopped.await;
        }));
        let [public, control] = addresses;
        Self {
            public,
            control,
            stop,
            task,
        }
    }

    /// Announces a request.
    async fn expect(&self) {
        let line = format!("POST /expect/{RUN}");
        assert_eq!(send(self.control, &line, &[("host", "agent")]).await.0, 204);
    }

    /// Asks as the gateway does: nothing comes back.
    async fn probe(&self, store: &str, op: &str, nonce: &str, token: Option<&str>) {
        self.expect().await;
        let line = format!("POST /ig/probe?run={RUN}&store={store}&op={op}&nonce={nonce}");
        let mut headers = vec![("host", "api.test")];
        headers.extend(token.map(|token| ("x-ig-context", token)));
        let (status, body) = send(self.public, &line, &headers).await;
        assert_eq!((status, body.as_str()), (204, ""), "{line}");
    }

    /// What came of it so far.
    async fn results(&self, run: &str) -> Vec<Value> {
        let line = format!("GET /results/{run}");
        let (status, body) = send(self.control, &line, &[("host", "agent")]).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks as the prober does, for a tenant of its choice.
    async fn attempt(
        &self,
        store: &str,
        op: &str,
        nonce: &str,
        tenant: &str,
        token: Option<&str>,
    ) -> Value {
        let ask = json!({
            "store": store, "op": op, "nonce": nonce, "context": token, "tenant": tenant,
        });
        let headers = [("host", "agent"), ("content-type", "application/json")];
        let (status, body) =
            send_body(self.control, "POST /attempt", &headers, &ask.to_string()).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Has it end.
    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// An outcome in a line: operation, result, code, identity, region.
fn line(outcome: &Value) -> String {
    let members: Vec<&str> = outcome
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut want = [
        "store", "kind", "op", "result", "code", "reason", "identity", "region", "ms",
    ];
    want.sort_unstable();
    assert_eq!(members, want);
    let text = |name: &str| outcome[name].as_str().unwrap_or("-").to_owned();
    ["op", "result", "code", "identity", "region"]
        .map(text)
        .join(" ")
}

/// Tokens that a guard of region `eu` refuses, and the code by which it does: for data of region `us`,
/// of the gateway of region `us`, forged, and none.
fn refused() -> [(Option<String>, &'static str); 5] {
    let abroad = engine::context::ContextKeys::parse(stores::KEYS, "us").unwrap();
    let mut foreign = claims("acme", "us");
    foreign.region = "us".to_owned();
    let good = sign(&claims("acme", "eu"));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, other) = sign(&claims("globex", "eu"))
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    [
        (Some(sign(&claims("acme", "us"))), "CROSS_REGION"),
        (foreign.sign(&abroad), "CONTEXT_FORGED"),
        (Some(format!("{signed}.{other}")), "CONTEXT_FORGED"),
        (Some(r"a\b'c.d".to_owned()), "CONTEXT_MALFORMED"),
        (None, "CONTEXT_MISSING"),
    ]
}

/// Tries each refused token with each operation, and looks at what is told.
async fn expect_refusals(agent: &Running, store: &str) {
    for (token, code) in refused() {
        for op in ["write", "read", "delete"] {
            let outcome = agent
                .attempt(store, op, "n-1", "acme", token.as_deref())
                .await;
            let want = format!("{op} refused {code} - -");
            assert_eq!(line(&outcome), want, "{outcome}");
            let token = token.as_deref().unwrap_or("no token");
            assert!(!outcome.to_string().contains(token), "{outcome}");
        }
    }
}
