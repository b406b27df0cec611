//! One request a connection, as plain as can be.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// What came of the body.
    pub body: String,
    /// Whether all of it came.
    pub complete: bool,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header's text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }

    /// `extensions.code` of the first error, or the problem's code.
    pub fn code(&self) -> String {
        let json = self.json();
        let code = json
            .pointer("/errors/0/extensions/code")
            .or(json.get("code"));
        code.and_then(Value::as_str).unwrap_or("-").to_owned()
    }
}

/// An answer whose body still comes.
#[derive(Debug)]
pub struct Live {
    /// Status and headers.
    pub head: hyper::http::response::Parts,
    body: hyper::body::Incoming,
    /// What of the body was read.
    pub text: String,
    driver: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Live {
    /// Reads on until `wanted` was seen so many times; whether it was.
    ///
    /// # Errors
    /// The body breaks off, or nothing comes.
    pub async fn until(&mut self, wanted: &str, times: usize) -> anyhow::Result<bool> {
        let read = async {
            while self.text.matches(wanted).count() < times {
                let Some(frame) = self.body.frame().await else {
                    return Ok(false);
                };
                let data = frame?.into_data().unwrap_or_default();
                self.text.push_str(&String::from_utf8_lossy(&data));
            }
            Ok(true)
        };
        tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .unwrap_or(Ok(false))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Sends a request; its answer's body is for the caller to read.
///
/// # Errors
/// There is no connection, or no answer.
pub async fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> anyhow::Result<Live> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender
            .send_request(request.body(Full::new(Bytes::from(body)))?)
            .await?;
        let (head, body) = response.into_parts();
        anyhow::Ok(Live {
            head,
            body,
            text: String::new(),
            driver,
        })
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .with_context(|| format!("no answer from {address} in {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("asking {address}{path}"))
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// There is no connection, or no answer.
pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> anyhow::Result<Answer> {
    let exchange = async {
        let mut live = open(address, method, path, headers, body).await?;
        let mut body = Vec::new();
        let mut complete = true;
        while let Some(frame) = live.body.frame().await {
            match frame {
                Ok(frame) => body.extend(frame.into_data().unwrap_or_default()),
                Err(_) => {
                    complete = false;
                    break;
                }
            }
        }
        anyhow::Ok(Answer {
            status: live.head.status.as_u16(),
            headers: std::mem::take(&mut live.head.headers),
            body: String::from_utf8_lossy(&body).into_owned(),
            complete,
        })
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .with_context(|| format!("no answer from {address} in {} s", PATIENCE.as_secs()))?
}
