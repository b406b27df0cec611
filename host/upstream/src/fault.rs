use std::{io::Write, time::Duration};

use axum::{
    body::Bytes,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_TYPE, TRAILER},
    },
};
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use serde::{Deserialize, Serialize};

use crate::reply::{Pace, Reply};

/// How an upstream misbehaves. In JSON: `{"fault": "slow_chunks", "bytes": 7}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The first half of the body, well framed by HTTP.
    Truncated,
    /// The first half of the body, then the connection breaks.
    Reset,
    /// Bytes that are no JSON, with a personal value in them.
    Garbage,
    /// JSON up to and including the first personal value, then a syntax error, then the rest.
    BrokenAfterValue,
    /// A byte that is no UTF-8 in front of the first personal value.
    BadUtf8,
    /// An object where the schema says string, with the personal value inside.
    WrongType,
    /// A key that was not asked for, with a personal value, in the first object below `data`.
    UnknownKey,
    /// The first key of the first object below `data` twice, first with a personal value.
    DuplicateKey,
    /// The data, and an error whose message and extensions hold a personal value.
    ErrorValues,
    /// Status 500 with a page of HTML that holds a personal value.
    Html500,
    /// The body compressed, whatever the request accepts.
    Gzip,
    /// The body compressed as `deflate` (zlib, RFC 1950), whatever the request accepts.
    Deflate,
    /// A body that says of itself that it is compressed by Brotli.
    Brotli,
    /// A small compressed body that is blanks up to this size when it is decoded.
    Bomb {
        /// Decoded size in units of 2^20 bytes.
        megabytes: usize,
    },
    /// The body in pieces, each flushed before the next.
    SlowChunks {
        /// Size of a piece.
        bytes: usize,
        /// Milliseconds between pieces.
        #[serde(default)]
        pause_ms: u64,
    },
    /// A trailer section with a personal value (in HTTP/1.1 only if the request says
    /// `te: trailers`).
    Trailers,
    /// The first array of the body repeated up to this size.
    Huge {
        /// Size of the body in units of 2^20 bytes, at least.
        megabytes: usize,
    },
    /// Response headers that only a gateway may set (`x-ig-mask`, `x-ig-tenant`), and one for
    /// debugging that holds a personal value.
    ForgedMaskHeader,
    /// A media type that is not the body's.
    LyingContentType {
        /// Value of `content-type`.
        #[serde(default = "image")]
        content_type: String,
    },
}

fn image() -> String {
    "image/png".to_owned()
}

impl Fault {
    /// An example of every kind.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        vec![
            Self::Truncated,
            Self::Reset,
            Self::Garbage,
            Self::BrokenAfterValue,
            Self::BadUtf8,
            Self::WrongType,
            Self::UnknownKey,
            Self::DuplicateKey,
            Self::ErrorValues,
            Self::Html500,
            Self::Gzip,
            Self::Deflate,
            Self::Brotli,
            Self::Bomb { megabytes: 64 },
            Self::SlowChunks {
                bytes: 7,
                pause_ms: 0,
            },
            Self::Trailers,
            Self::Huge { megabytes: 8 },
            Self::ForgedMaskHeader,
            Self::LyingContentType {
                content_type: image(),
            },
        ]
    }

    /// The reply instead of `body`; `secret` is a personal value of the request's scope.
    pub(crate) fn reply(&self, body: String, secret: &str) -> Reply {
        match self {
            Self::Truncated => Reply::json(half(body)),
            Self::Reset => Reply {
                reset: true,
                // Else nothing has left yet when it breaks.
                pace: Some(Pace::new(Duration::ZERO)),
                length: None,
                ..Reply::json(half(body))
            },
            Self::Garbage => Reply::json(format!("%PDF-1.7 {secret} \u{0} not {{json")),
            Self::BrokenAfterValue => {
                let mut body = body;
                match personal_value(&body) {
                    Some((_, end)) => body.insert_str(end, ",,"),
                    None => body = format!("{{\"email\":\"{secret}\",,{body}"),
                }
                Reply::json(body)
            }
            Self::BadUtf8 => {
                let start = personal_value(&body).map_or(body.len(), |(start, _)| start + 1);
                let mut body = body.into_bytes();
                body.insert(start, 0xff);
                Reply::json(body)
            }
            Self::WrongType => {
                let mut body = body;
                if let Some((start, end)) = personal_value(&body) {
                    body.insert(end, '}');
                    body.insert_str(start, "{\"value\":");
                }
                Reply::json(body)
            }
            Self::UnknownKey => {
                let mut body = body;
                let at = first_object(&body);
                let comma = if body[at..].starts_with('}') { "" } else { "," };
                body.insert_str(at, &format!("\"leaked\":\"{secret}\"{comma}"));
                Reply::json(body)
            }
            Self::DuplicateKey => {
                let mut body = body;
                let at = first_object(&body);
                let key = body[at..]
                    .split_once(':')
                    .map_or_else(|| "\"data\"".to_owned(), |(key, _)| key.to_owned());
                body.insert_str(at, &format!("{key}:\"{secret}\","));
                Reply::json(body)
            }
            Self::ErrorValues => {
                let error = serde_json::json!([{
                    "message": format!("could not refresh the row of {secret}"),
                    "path": ["viewer", "email"],
                    "extensions": {"code": "ROW", "row": {"email": secret}},
                }]);
                let mut body = body;
                let at = body.find('{').map_or(0, |at| at + 1);
                body.insert_str(at, &format!("\"errors\":{error},"));
                Reply::json(body)
            }
            Self::Html500 => Reply {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                headers: HeaderMap::from_iter([(
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/html; charset=utf-8"),
                )]),
                ..Reply::json(format!(
                    "<html><body><h1>Unhandled exception</h1><pre>email={secret}</pre></body></html>"
                ))
            },
            Self::Gzip => encoded("gzip", gzip(body.as_bytes(), 0)),
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                let packed = encoder
                    .write_all(body.as_bytes())
                    .and_then(|()| encoder.finish());
                encoded("deflate", packed.unwrap_or_default())
            }
            Self::Brotli => encoded("br", body.into_bytes()),
            Self::Bomb { megabytes } => encoded("gzip", gzip(body.as_bytes(), *megabytes)),
            Self::SlowChunks { bytes, pause_ms } => {
                let body = Bytes::from(body);
                let size = (*bytes).max(1);
                let starts = (0..body.len()).step_by(size);
                Reply {
                    chunks: Box::new(
                        starts.map(move |start| body.slice(start..body.len().min(start + size))),
                    ),
                    pace: Some(Pace::new(Duration::from_millis(*pause_ms))),
                    length: None,
                    ..Reply::json("")
                }
            }
            Self::Trailers => {
                let name = HeaderName::from_static("x-upstream-trailer");
                let value = HeaderValue::from_str(secret)
                    .unwrap_or_else(|_| HeaderValue::from_static("unprintable"));
                Reply {
                    trailers: Some(HeaderMap::from_iter([(name, value)])),
                    length: None,
                    ..Reply::json(body)
                }
                .header(TRAILER, HeaderValue::from_static("x-upstream-trailer"))
            }
            Self::Huge { megabytes } => huge(body, megabytes << 20),
            Self::ForgedMaskHeader => Reply::json(body)
                .header(
                    HeaderName::from_static("x-ig-mask"),
                    HeaderValue::from_static("none"),
                )
                .header(
                    HeaderName::from_static("x-ig-tenant"),
                    HeaderValue::from_static("umbrella"),
                )
                .header(
                    HeaderName::from_static("x-debug-user"),
                    HeaderValue::from_str(secret)
                        .unwrap_or_else(|_| HeaderValue::from_static("unprintable")),
                ),
            Self::LyingContentType { content_type } => {
                let lie = HeaderValue::from_str(content_type)
                    .unwrap_or_else(|_| HeaderValue::from_static("image/png"));
                Reply::json(body).header(CONTENT_TYPE, lie)
            }
        }
    }
}

fn encoded(encoding: &'static str, packed: Vec<u8>) -> Reply {
    Reply::json(packed).header(CONTENT_ENCODING, HeaderValue::from_static(encoding))
}

/// The body compressed, behind so many MiB of blanks.
fn gzip(body: &[u8], blanks: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let blank = vec![b' '; 1 << 20];
    let packed = (0..blanks)
        .try_for_each(|_| encoder.write_all(&blank))
        .and_then(|()| encoder.write_all(body))
        .and_then(|()| encoder.finish());
    // A vector takes every write.
    packed.unwrap_or_default()
}

fn half(body: String) -> Bytes {
    let body = Bytes::from(body);
    body.slice(..body.len() / 2)
}

/// The first string that is an e-mail address of the demo: from its first quote to past its last.
fn personal_value(body: &str) -> Option<(usize, usize)> {
    let end = body.find(".example\"")? + ".example\"".len();
    let start = body[..end - 1].rfind('"')?;
    Some((start, end))
}

/// Just inside the first object below `data`, or inside `data` if it holds none.
fn first_object(body: &str) -> usize {
    let data = body
        .find("\"data\":{")
        .map_or(1, |at| at + "\"data\":{".len());
    body[data..].find('{').map_or(data, |at| data + at + 1)
}

/// Repeats the elements of the first array that has any, without holding the result in memory.
fn huge(body: String, size: usize) -> Reply {
    let Some((start, end)) = first_array(&body) else {
        // Nothing to repeat: blanks are as good JSON in front of a value.
        let blanks = size / (64 << 10) + 1;
        let blank = Bytes::from(vec![b' '; 64 << 10]);
        return Reply {
            chunks: Box::new(std::iter::repeat_n(blank, blanks).chain([Bytes::from(body)])),
            length: None,
            ..Reply::json("")
        };
    };
    let elements = Bytes::from(format!("{},", &body[start..end]));
    let times = size / elements.len() + 1;
    let body = Bytes::from(body);
    let (head, tail) = (body.slice(..start), body.slice(start..));
    Reply {
        chunks: Box::new(
            std::iter::once(head)
                .chain(std::iter::repeat_n(elements, times))
                .chain([tail]),
        ),
        length: None,
        ..Reply::json("")
    }
}

/// Repeats rows without holding the result in memory.
pub(crate) fn huge_rows(head: String, rows: String, size: usize) -> Reply {
    let rows = rows.repeat((512 << 10) / rows.len().max(1) + 1);
    let times = size / rows.len() + 1;
    let rows = Bytes::from(rows);
    Reply {
        chunks: Box::new(
            std::iter::once(Bytes::from(head)).chain(std::iter::repeat_n(rows, times)),
        ),
        // The head leaves alone: what comes first is small, and what follows is a lot at once.
        pace: Some(Pace::new(Duration::ZERO)),
        length: None,
        ..Reply::json("")
    }
}

/// The inside of the first array with elements.
fn first_array(body: &str) -> Option<(usize, usize)> {
    let mut start = None;
    let mut depth = 0_usize;
    let mut bytes = body.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'\\' => _ = bytes.next(),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'[' if start.is_none() && !body[at + 1..].starts_with(']') => start = Some(at + 1),
            b'[' => depth += 1,
            b']' if start.is_some() && depth == 0 => return start.map(|start| (start, at)),
            b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_found_past_brackets_in_strings() {
        let body = r#"{"a":"[\"]","b":[],"c":[{"d":[1,2]},"]"]}"#;
        let (start, end) = first_array(body).expect("an array");
        assert_eq!(&body[start..end], r#"{"d":[1,2]},"]""#);
        assert_eq!(first_array(r#"{"a":1}"#), None);
    }

    #[test]
    fn a_fault_reads_as_it_is_written() {
        for fault in Fault::examples() {
            let text = serde_json::to_string(&fault).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Fault>(&text).expect("a fault"),
                fault
            );
        }
        assert_eq!(
            serde_json::from_str::<Fault>(r#"{"fault":"lying_content_type"}"#).expect("a fault"),
            Fault::LyingContentType {
                content_type: "image/png".to_owned()
            }
        );
        assert!(serde_json::from_str::<Fault>(r#"{"fault":"earthquake"}"#).is_err());
    }
}
