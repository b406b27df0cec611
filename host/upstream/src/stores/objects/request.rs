//! What a request asks for.

use axum::http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;

use super::reply::Refusal;

/// The longest key, in bytes (S3 user guide, "Naming Amazon S3 objects").
const LONGEST_KEY: usize = 1024;

/// The most keys of a list.
const MOST_KEYS: usize = 1000;

/// Requests with these mean something else than they would without.
const MEANINGFUL: [header::HeaderName; 3] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
];

/// A bucket, a key that may be empty, and what follows `?`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub bucket: String,
    pub key: String,
    parameters: Vec<(String, String)>,
}

/// What is to be done with a [`Target`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Location,
    List(List),
    HeadBucket,
    MakeBucket,
    Put,
    /// HEAD as well: whoever writes the response leaves the content out.
    Get,
    Delete,
}

/// Which keys are listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    pub prefix: String,
    /// The last key of the page before.
    pub after: Option<String>,
    pub most: usize,
}

impl Target {
    pub(super) fn read(uri: &Uri) -> Result<Self, Refusal> {
        let path = uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = uri.query().unwrap_or_default().replace('+', " ");
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // What a client says of itself, and a signature that nobody checks.
            if name != "x-id" && !name.starts_with("X-Amz-") {
                parameters.push((decoded(name)?, decoded(value)?));
            }
        }
        if bucket.is_empty() {
            return Err(Refusal::NOT_IMPLEMENTED);
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if bucket.len() > 255 || !bucket.bytes().all(legal) {
            return Err(Refusal::INVALID_BUCKET);
        }
        let key = decoded(key)?;
        if key.len() > LONGEST_KEY {
            return Err(Refusal::LONG_KEY);
        }
        // XML has no way to write them in a list.
        if key.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
            return Err(Refusal::INVALID_KEY);
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key,
            parameters,
        })
    }
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(|text| text.into_owned())
        .map_err(|_| Refusal::INVALID_URI)
}

impl Action {
    pub(super) fn of(
        method: &Method,
        headers: &HeaderMap,
        target: &Target,
    ) -> Result<Self, Refusal> {
        let is_bucket = target.key.is_empty();
        if !target.parameters.is_empty() {
            return match *method == Method::GET && is_bucket {
                true => Self::of_bucket(&target.parameters),
                false => Err(Refusal::NOT_IMPLEMENTED),
            };
        }
        let changes = matches!(*method, Method::PUT | Method::DELETE);
        if changes && is_meant_otherwise(headers) {
            return Err(Refusal::NOT_IMPLEMENTED);
        }
        match *method {
            Method::HEAD if is_bucket => Ok(Self::HeadBucket),
            Method::PUT if is_bucket => Ok(Self::MakeBucket),
            _ if is_bucket => Err(Refusal::NOT_IMPLEMENTED),
            Method::PUT => Ok(Self::Put),
            Method::GET | Method::HEAD => Ok(Self::Get),
            Method::DELETE => Ok(Self::Delete),
            _ => Err(Refusal::NOT_IMPLEMENTED),
        }
    }

    fn of_bucket(parameters: &[(String, String)]) -> Result<Self, Refusal> {
        if let [(name, _)] = parameters
            && name == "location"
        {
            return Ok(Self::Location);
        }
        let mut is_list = false;
        let mut list = List {
            prefix: String::new(),
            after: None,
            most: MOST_KEYS,
        };
        for (name, value) in parameters {
            match (name.as_str(), value.as_str()) {
                ("list-type", "2") => is_list = true,
                ("prefix", prefix) => prefix.clone_into(&mut list.prefix),
                ("continuation-token", after) => list.after = Some(after.to_owned()),
                ("max-keys", most) => {
                    let most: usize = most.parse().map_err(|_| Refusal::INVALID_MAX_KEYS)?;
                    list.most = most.min(MOST_KEYS);
                }
                // Every key can be written as it is, and the answer says that it does.
                ("encoding-type", "url") | ("delimiter" | "start-after", "") => {}
                _ => return Err(Refusal::NOT_IMPLEMENTED),
            }
        }
        match is_list {
            true => Ok(Self::List(list)),
            false => Err(Refusal::NOT_IMPLEMENTED),
        }
    }
}

/// Copies, conditions, and bodies in pieces that are signed each.
fn is_meant_otherwise(headers: &HeaderMap) -> bool {
    let begins = |name: &str, with: &str| {
        let value = headers.get(name).map(|value| value.as_bytes());
        value.is_some_and(|value| value.starts_with(with.as_bytes()))
    };
    headers.contains_key("x-amz-copy-source")
        || MEANINGFUL.iter().any(|name| headers.contains_key(name))
        || begins("x-amz-content-sha256", "STREAMING-")
        || begins("content-encoding", "aws-chunked")
}
