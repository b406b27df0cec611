//! One request a connection.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::answer::Answer;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Ask {
    /// A GET of a path and query string.
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A GET of a GraphQL request in the query string: these parameters, percent-encoded.
    pub fn get_with(parameters: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encoded(value)))
            .collect();
        Self::get(&format!("/graphql?{}", pairs.join("&")))
    }

    /// A POST of JSON to the GraphQL endpoint.
    pub fn post(body: &Value) -> Self {
        Self::text(&body.to_string()).with("content-type", "application/json")
    }

    /// A POST of any text to the GraphQL endpoint, without a content type.
    pub fn text(body: &str) -> Self {
        Self {
            method: "POST",
            path: "/graphql".to_owned(),
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    /// A POST of an operation.
    pub fn query(query: &str) -> Self {
        Self::post(&json!({"query": query}))
    }

    /// The request by another method.
    #[must_use]
    pub fn by(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// The request to another path and query string.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The request with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The request that says that it comes from no HTML form, as Apollo's clients do for GET.
    #[must_use]
    pub fn preflighted(self) -> Self {
        self.with("apollo-require-preflight", "true")
    }
}

/// A value of a query string (RFC 3986, section 2.1).
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Sends a request and reads the whole answer, or what came of it.
///
/// # Panics
/// There is no answer.
pub(crate) async fn send(address: SocketAddr, ask: &Ask) -> Answer {
    let exchange = async {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("a connection");
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(ask.method)
            .uri(&ask.path)
            .header("host", "gateway.test");
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(ask.body.clone())))
            .expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        let (head, mut rest) = response.into_parts();
        let mut answer = Answer::new(head.status.as_u16(), head.headers);
        while let Some(frame) = rest.frame().await {
            match frame {
                Ok(frame) => answer.extend(&frame.into_data().unwrap_or_default()),
                Err(_) => {
                    answer.complete = false;
                    break;
                }
            }
        }
        driver.abort();
        answer
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| panic!("no answer from {address} in {} s", PATIENCE.as_secs()))
}
