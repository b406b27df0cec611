//! One request, on a connection of its own.

use axum::http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::told::Told;

/// Bytes of an answer.
const LONGEST: usize = 64 << 10;

/// What came back.
pub(super) struct Answer {
    pub status: u16,
    /// Whether it is a problem document (RFC 9457).
    pub problem: bool,
    pub body: String,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("there is no connection to the store: {0}")]
    Connect(std::io::Error),
    #[error("the store does not answer by HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the store's answer is longer than {LONGEST} bytes")]
    Body,
}

impl From<Fault> for Told {
    fn from(fault: Fault) -> Self {
        Self::failed(fault.to_string())
    }
}

/// Sends a request, which names its host itself.
pub(super) async fn send(address: &str, request: Request<Full<Bytes>>) -> Result<Answer, Fault> {
    let stream = TcpStream::connect(address).await.map_err(Fault::Connect)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with this function, also if that is left early.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let kind = response.headers().get(CONTENT_TYPE);
    let problem = kind.is_some_and(|k| k.as_bytes().starts_with(b"application/problem+json"));
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => Fault::Http(*error),
        Err(_) => Fault::Body,
    })?;
    Ok(Answer {
        status,
        problem,
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    })
}
