//! What S3 answers ("REST Error Responses" of the API reference).

use std::ops::Bound;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use jiff::fmt::rfc2822;

use super::{
    buckets::{Bucket, Object},
    request::List,
};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// An error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    pub code: &'static str,
    message: &'static str,
}

const fn refusal(status: StatusCode, code: &'static str, message: &'static str) -> Refusal {
    Refusal {
        status,
        code,
        message,
    }
}

impl Refusal {
    pub(super) const NO_SUCH_BUCKET: Self = refusal(
        StatusCode::NOT_FOUND,
        "NoSuchBucket",
        "The specified bucket does not exist",
    );
    pub(super) const NO_SUCH_KEY: Self = refusal(
        StatusCode::NOT_FOUND,
        "NoSuchKey",
        "The specified key does not exist.",
    );
    pub(super) const INVALID_BUCKET: Self = refusal(
        StatusCode::BAD_REQUEST,
        "InvalidBucketName",
        "The specified bucket is not valid.",
    );
    pub(super) const INVALID_KEY: Self = refusal(
        StatusCode::BAD_REQUEST,
        "InvalidArgument",
        "Keys with control characters are not kept.",
    );
    pub(super) const LONG_KEY: Self = refusal(
        StatusCode::BAD_REQUEST,
        "KeyTooLongError",
        "Your key is too long",
    );
    pub(super) const INVALID_MAX_KEYS: Self = refusal(
        StatusCode::BAD_REQUEST,
        "InvalidArgument",
        "max-keys is not a number.",
    );
    pub(super) const INVALID_URI: Self = refusal(
        StatusCode::BAD_REQUEST,
        "InvalidURI",
        "Couldn't parse the specified URI.",
    );
    pub(super) const TOO_LARGE: Self = refusal(
        StatusCode::BAD_REQUEST,
        "EntityTooLarge",
        "Your proposed upload exceeds the maximum allowed size: 1 MiB.",
    );
    pub(super) const INCOMPLETE: Self = refusal(
        StatusCode::BAD_REQUEST,
        "IncompleteBody",
        "The body is shorter than its Content-Length.",
    );
    pub(super) const FULL: Self = refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "ServiceUnavailable",
        "This store is full.",
    );
    pub(super) const NOT_IMPLEMENTED: Self = refusal(
        StatusCode::NOT_IMPLEMENTED,
        "NotImplemented",
        "This store knows PUT, GET, HEAD and DELETE of /BUCKET/KEY, PUT and HEAD of /BUCKET, \
         GET /BUCKET?location and GET /BUCKET?list-type=2.",
    );

    pub(super) fn into_response(self, path: &str) -> Response<Body> {
        let text = format!(
            "<Error><Code>{}</Code><Message>{}</Message><Resource>{}</Resource></Error>",
            self.code,
            escaped(self.message),
            escaped(path)
        );
        let mut response = xml(&text);
        *response.status_mut() = self.status;
        response
    }
}

pub(super) fn empty(status: StatusCode, name: &'static str, value: &str) -> Response<Body> {
    let mut response = status.into_response();
    set(&mut response, name, value);
    response
}

pub(super) fn no_content() -> Response<Body> {
    StatusCode::NO_CONTENT.into_response()
}

pub(super) fn location(region: &str) -> Response<Body> {
    let region = escaped(region);
    xml(&format!(
        "<LocationConstraint xmlns=\"{NAMESPACE}\">{region}</LocationConstraint>"
    ))
}

pub(super) fn keys(name: &str, list: &List, bucket: &Bucket) -> Response<Body> {
    let start = match &list.after {
        Some(after) if *after >= list.prefix => Bound::Excluded(after),
        _ => Bound::Included(&list.prefix),
    };
    let keys = bucket.range::<String, _>((start, Bound::Unbounded));
    let mut keys = keys.take_while(|(key, _)| key.starts_with(&list.prefix));
    let (mut contents, mut count, mut last) = (String::new(), 0, None);
    for (key, object) in keys.by_ref().take(list.most) {
        contents.push_str(&format!(
            "<Contents><Key>{}</Key><LastModified>{:.3}</LastModified><ETag>{}</ETag>\
             <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            escaped(key),
            object.written,
            escaped(&object.etag),
            object.content.len()
        ));
        count += 1;
        last = Some(key);
    }
    // Of no keys at all there is no next page.
    let next = last.filter(|_| keys.next().is_some());
    let token = next.map(|key| {
        let key = escaped(key);
        format!("<NextContinuationToken>{key}</NextContinuationToken>")
    });
    xml(&format!(
        "<ListBucketResult xmlns=\"{NAMESPACE}\"><Name>{name}</Name><Prefix>{}</Prefix>\
         <KeyCount>{count}</KeyCount><MaxKeys>{}</MaxKeys><IsTruncated>{}</IsTruncated>{}\
         {contents}</ListBucketResult>",
        escaped(&list.prefix),
        list.most,
        token.is_some(),
        token.unwrap_or_default(),
    ))
}

pub(super) fn object(object: &Object) -> Response<Body> {
    let mut response = Response::new(Body::from(object.content.clone()));
    let headers = response.headers_mut();
    headers.extend(object.headers.clone());
    if !headers.contains_key(header::CONTENT_TYPE) {
        let unknown = HeaderValue::from_static("binary/octet-stream");
        headers.insert(header::CONTENT_TYPE, unknown);
    }
    headers.insert(header::CONTENT_LENGTH, object.content.len().into());
    set(&mut response, header::ETAG.as_str(), &object.etag);
    let printer = rfc2822::DateTimePrinter::new();
    if let Ok(date) = printer.timestamp_to_rfc9110_string(&object.written) {
        set(&mut response, header::LAST_MODIFIED.as_str(), &date);
    }
    response
}

/// A region's name that no header can have is left out.
fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn xml(text: &str) -> Response<Body> {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
