//! S3: the bucket and operation of a request
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/>, "Virtual hosting of buckets").

use crate::filter::Headers;
use crate::policy::EgressOperation;
use crate::reply::Reply;

use super::decide::{Denial, DenialKind};
use super::http::{Request, Unserved};
use super::record::EgressRecord;

/// The header that names what an object is copied from.
const COPY_SOURCE: &str = "x-amz-copy-source";

/// Settings of a bucket that send what is in it somewhere else: a guard could not follow.
const SENDING: [&str; 9] = [
    "accelerate",
    "analytics",
    "inventory",
    "logging",
    "metadataConfiguration",
    "metadataTable",
    "notification",
    "replication",
    "website",
];

const MALFORMED: &str = "S3_MALFORMED";

/// The buckets of a request: its own and the one that it copies from.
pub(super) fn read(headers: Headers<'_>, hosts: &[String]) -> Result<Request, Unserved> {
    let target = headers.text(":path").unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path
        .strip_prefix('/')
        .ok_or(malformed("the path is not absolute"))?;
    let host = headers.text(":authority").unwrap_or_default();
    let (bucket, key) = match of_host(host, hosts)? {
        Some(bucket) => (bucket, path),
        None => match path.split_once('/').unwrap_or((path, "")) {
            ("", "") => {
                return Err(Unserved {
                    code: "S3_LIST_BUCKETS",
                    reason: "the list of all buckets is of all tenants, and is not passed on",
                });
            }
            (bucket, key) => (bucket.to_owned(), key),
        },
    };
    if !is_bucket(&bucket) {
        return Err(malformed("the bucket's name is malformed"));
    }
    if is_climbing(key) {
        return Err(malformed(
            "the key has a segment `.` or `..`, or a backslash",
        ));
    }
    let operation = operation(headers, query, key)?;
    let mut objects = vec![(bucket, operation)];
    match &headers.all(COPY_SOURCE)[..] {
        [] => {}
        [source] => objects.push((of_source(source)?, EgressOperation::Read)),
        _ => return Err(malformed("the request has more than one copy source")),
    }
    Ok(Request { operation, objects })
}

fn malformed(reason: &'static str) -> Unserved {
    let code = MALFORMED;
    Unserved { code, reason }
}

/// The bucket before a host of the store; `None` for the host itself.
fn of_host(authority: &str, hosts: &[String]) -> Result<Option<String>, Unserved> {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.to_ascii_lowercase();
    let before = |base: &String| host.strip_suffix(base.as_str());
    // The longest base, should one be the end of another.
    let base = hosts
        .iter()
        .filter(|b| before(b).is_some_and(|bucket| bucket.is_empty() || bucket.ends_with('.')));
    match base.max_by_key(|b| b.len()).and_then(before) {
        Some("") => Ok(None),
        Some(bucket) => Ok(Some(bucket.strip_suffix('.').unwrap_or(bucket).to_owned())),
        None => Err(Unserved {
            code: "S3_HOST_UNKNOWN",
            reason: "the request is for a host that is none of this store",
        }),
    }
}

/// A bucket's name by S3's rules, and those of before 2018: no escape is ever needed in one, and what
/// stands between dots is never empty.
fn is_bucket(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    name.len() <= 255 && name.bytes().all(legal) && !name.split('.').any(str::is_empty)
}

/// Whether a server could take the key for a way out of the bucket.
fn is_climbing(key: &str) -> bool {
    let segments = |text: &str| text.split('/').any(|s| matches!(s, "." | ".."));
    let plain = key.replace("%2e", ".").replace("%2E", ".");
    let plain = plain.replace("%2f", "/").replace("%2F", "/");
    segments(&plain) || plain.contains('\\') || plain.contains("%5c") || plain.contains("%5C")
}

fn operation(headers: Headers<'_>, query: &str, key: &str) -> Result<EgressOperation, Unserved> {
    let mut names = query
        .split('&')
        .map(|p| p.split('=').next().unwrap_or_default());
    // Stores go by a name, whatever its value is.
    let deletes = key.is_empty() && names.clone().any(|n| n == "delete");
    let method = headers.text(":method").unwrap_or_default();
    match method {
        "GET" | "HEAD" => Ok(EgressOperation::Read),
        "DELETE" => Ok(EgressOperation::Delete),
        "PUT" | "POST" if names.any(|n| SENDING.contains(&n) || n.contains('%')) => Err(Unserved {
            code: "S3_SENDS_ELSEWHERE",
            reason: "settings that send a bucket's content elsewhere are not passed on",
        }),
        "POST" if deletes => Ok(EgressOperation::Delete),
        "PUT" | "POST" => Ok(EgressOperation::Write),
        _ => Err(malformed("the method is none of S3's")),
    }
}

/// The bucket of `x-amz-copy-source`: `BUCKET/KEY` or `/BUCKET/KEY`, in percent-encoding.
fn of_source(source: &[u8]) -> Result<String, Unserved> {
    let wrong = malformed("the copy source is none of a bucket");
    let source = std::str::from_utf8(source).map_err(|_| wrong)?;
    let source = source.strip_prefix('/').unwrap_or(source);
    let plain = source.replace("%2f", "/").replace("%2F", "/");
    let (bucket, key) = plain.split_once('/').ok_or(wrong)?;
    let key = key.split('?').next().unwrap_or_default();
    // An access point's name would hide the bucket behind it.
    match is_bucket(bucket) && !key.is_empty() && !is_climbing(key) {
        true => Ok(bucket.to_owned()),
        false => Err(wrong),
    }
}

/// An error as S3 writes it (`Error` of the API reference, "REST Error Responses").
pub(super) fn reply(denial: &Denial, record: &EgressRecord) -> Reply {
    let (status, code) = match denial.kind {
        DenialKind::Context | DenialKind::Rules => (403, "AccessDenied"),
        DenialKind::Malformed if denial.code == MALFORMED => (400, "InvalidRequest"),
        DenialKind::Malformed => (403, "AccessDenied"),
        DenialKind::Failed => (500, "InternalError"),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message>\
         <GuardCode>{}</GuardCode><RequestId>{}</RequestId></Error>",
        escape(&denial.message),
        escape(&denial.code),
        escape(&record.decision_id)
    );
    Reply {
        status,
        headers: vec![
            ("content-type", "application/xml".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ],
        body,
        code: denial.code.clone(),
        reason: record.reason.clone(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
