//! Responses that a filter or the proxy makes by itself (Envoy's `Utility::encodeLocalReply`).

use crate::headers::Headers;

/// A response that does not come from the upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u32,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
    /// Headers besides those that Envoy sets.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// gRPC status, for gRPC requests; derived from the HTTP status if `None`.
    pub grpc_status: Option<u32>,
}

impl LocalReply {
    pub(crate) fn new(status: u32, details: &str, body: &str) -> Self {
        let (details, body) = (details.to_owned(), body.as_bytes().to_vec());
        Self {
            status,
            details,
            body,
            ..Self::default()
        }
    }

    /// What Envoy answers when a filter's VM has failed.
    pub(crate) fn failed_stream() -> Self {
        // grpc-status 14, unavailable.
        Self {
            grpc_status: Some(14),
            ..Self::new(503, "wasm_fail_stream", "")
        }
    }

    /// Headers and body as they go out for a request with these headers.
    pub(crate) fn encode(&self, request: Option<&Headers>) -> (Headers, Vec<u8>) {
        let header = |name: &str| request.and_then(|map| map.get(name)).unwrap_or_default();
        let content_type = header("content-type");
        let grpc =
            content_type == "application/grpc" || content_type.starts_with("application/grpc+");
        let head = header(":method") == "HEAD";
        let mut headers = Headers::from([(":status", self.status.to_string())]);
        for (name, value) in self.headers.iter() {
            headers.add(name, value);
        }
        if grpc {
            headers.set(":status", "200");
            headers.set("content-type", "application/grpc");
            if headers.get_bytes("grpc-status").is_none() {
                let status = self.grpc_status.unwrap_or_else(|| grpc_status(self.status));
                headers.set("grpc-status", status.to_string());
            }
            if !self.body.is_empty() && !head {
                headers.set("grpc-message", percent_encode(&self.body));
            }
            return (headers, Vec::new());
        }
        if self.body.is_empty() {
            headers.remove("content-length");
            headers.remove("content-type");
            return (headers, Vec::new());
        }
        headers.set("content-length", self.body.len().to_string());
        if headers.get_bytes("content-type").is_none() {
            headers.set("content-type", "text/plain");
        }
        (headers, if head { Vec::new() } else { self.body.clone() })
    }
}

/// gRPC's own mapping of HTTP statuses (`http-grpc-status-mapping.md`).
fn grpc_status(http: u32) -> u32 {
    match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// `grpc-message` keeps printable ASCII besides `%`.
fn percent_encode(text: &[u8]) -> String {
    let mut out = String::new();
    for &byte in text {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_request_gets_trailers_only() {
        let request = Headers::from([("content-type", "application/grpc")]);
        let reply = LocalReply::new(403, "", "no é%");
        let (headers, body) = reply.encode(Some(&request));
        assert_eq!(headers.get("grpc-status").as_deref(), Some("7"));
        assert_eq!(headers.get("grpc-message").as_deref(), Some("no %C3%A9%25"));
        assert_eq!(
            (headers.get(":status").as_deref(), body.len()),
            (Some("200"), 0)
        );
    }

    #[test]
    fn a_content_type_of_the_filter_stays_and_head_has_no_body() {
        let request = Headers::from([(":method", "HEAD")]);
        let mut reply = LocalReply::new(403, "", "no");
        reply
            .headers
            .add("content-type", "application/problem+json");
        let (headers, body) = reply.encode(Some(&request));
        assert_eq!(
            headers.get("content-type").as_deref(),
            Some("application/problem+json")
        );
        assert_eq!(
            (headers.get("content-length").as_deref(), body.len()),
            (Some("2"), 0)
        );
    }
}
