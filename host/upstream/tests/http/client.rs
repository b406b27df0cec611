//! A client that takes nothing for granted: it asks for no encoding and decodes none.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    header::{HeaderName, HeaderValue},
};
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde_json::Value;

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// Whether the body broke off.
    pub broken: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A body that is read piece by piece.
pub struct Open(hyper::body::Incoming);

impl Open {
    /// The next piece.
    pub async fn next(&mut self) -> String {
        let frame = self.0.frame().await.expect("a frame").expect("no error");
        let data = frame.into_data().expect("data");
        String::from_utf8_lossy(&data).into_owned()
    }
}

/// A request under construction.
pub struct Call {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
    http2: bool,
}

pub fn post(address: SocketAddr, path: &str, body: impl Into<Bytes>) -> Call {
    call(Method::POST, address, path)
        .carrying(body)
        .with("content-type", "application/json")
}

pub fn call(method: Method, address: SocketAddr, path: &str) -> Call {
    Call {
        method,
        uri: format!("http://{address}{path}"),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        http2: false,
    }
}

impl Call {
    pub fn carrying(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        self
    }

    pub fn over_http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Sends the request; the body is read piece by piece.
    pub async fn open(self) -> Open {
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri.parse().expect("a URI");
        *request.headers_mut() = self.headers;
        Open(
            client
                .request(request)
                .await
                .expect("a response")
                .into_body(),
        )
    }

    pub async fn send(self) -> Answer {
        let client = legacy::Client::builder(TokioExecutor::new())
            .http2_only(self.http2)
            .build_http();
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri.parse().expect("a URI");
        *request.headers_mut() = self.headers;
        let response = client.request(request).await.expect("a response");
        let (head, mut incoming) = response.into_parts();
        let mut answer = Answer {
            status: head.status,
            headers: head.headers,
            body: Vec::new(),
            trailers: None,
            broken: false,
        };
        while let Some(frame) = incoming.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => answer.body.extend_from_slice(&data),
                Ok(Err(frame)) => answer.trailers = frame.into_trailers().ok(),
                Err(_) => {
                    answer.broken = true;
                    break;
                }
            }
        }
        answer
    }
}
