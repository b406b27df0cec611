//! Requests to stores by HTTP.

use std::cell::RefCell;

use engine::filter::{Edit, Headers};
use engine::guard::{Guard, HttpRuling};
use serde_json::json;

use super::{NOW, TOKENS, guard};

const HOSTS: [&str; 3] = ["s3.test", "eu.s3.test", "127.0.0.1"];

/// What the tenant of the token may open.
const BUCKETS: [&str; 2] = ["acme-data", "public"];
const DATABASE: &str = "acme";

thread_local! {
    static S3: RefCell<Guard> = RefCell::new(guard(json!({
        "kind": "s3", "hosts": HOSTS, "objects": [{"name": "{tenant}-data"}, {"name": "public"}],
    })));
    static NEO4J: RefCell<Guard> = RefCell::new(guard(json!({
        "kind": "neo4j", "objects": [{"name": "{tenant}"}],
    })));
}

/// Percent-decoded once; what is no escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let escape = match (first, tail) {
            (b'%', [a, b, ..]) => char::from(*a).to_digit(16).zip(char::from(*b).to_digit(16)),
            _ => None,
        };
        match escape {
            Some((high, low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The segments of a path as a server reads it that resolves dots, takes backslashes for slashes and
/// several slashes for one; `None` where it leads above its root.
fn resolved(path: &str) -> Option<Vec<String>> {
    let mut segments: Vec<String> = Vec::new();
    for segment in decoded(path).replace('\\', "/").split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            name => segments.push(name.to_owned()),
        }
    }
    Some(segments)
}

/// The bucket that a host names; `None` for a host of the store itself.
fn of_host(authority: &str) -> Option<String> {
    let authority = authority.to_ascii_lowercase();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => &authority,
    };
    let fitting = HOSTS.iter().filter(|base| host.ends_with(*base));
    let base = fitting.max_by_key(|base| base.len());
    let base = base.unwrap_or_else(|| panic!("no host of the store: {host}"));
    let bucket = &host[..host.len() - base.len()];
    assert!(bucket.is_empty() || bucket.ends_with('.'), "{host}");
    (!bucket.is_empty()).then(|| bucket[..bucket.len() - 1].to_owned())
}

/// What buckets servers could take the request to be of.
fn buckets(host: &str, path: &str, source: Option<&str>) -> Vec<String> {
    let path = path.split('?').next().unwrap_or_default();
    let mut buckets = Vec::new();
    let segments = resolved(path).unwrap_or_else(|| panic!("above the root: {path}"));
    match of_host(host) {
        Some(bucket) => buckets.push(bucket),
        None => {
            buckets.extend(path.split('/').nth(1).map(str::to_owned));
            buckets.push(segments.first().cloned().unwrap_or_default());
        }
    }
    if let Some(source) = source {
        let of = decoded(source);
        let of = of.strip_prefix('/').unwrap_or(&of);
        buckets.extend(of.split('/').next().map(str::to_owned));
        let source = source.split('?').next().unwrap_or_default();
        let segments = resolved(source).unwrap_or_else(|| panic!("above the root: {source}"));
        buckets.push(segments.first().cloned().unwrap_or_default());
    }
    buckets
}

/// Nothing of the gateway's own goes on to the store, and the request gets its way.
fn goes_on_clean(ruling: &HttpRuling, headers: &[(String, Vec<u8>)]) {
    let edits = ruling.effect.as_ref().expect("it is let through");
    for (name, _) in headers.iter().filter(|(n, _)| n.starts_with("x-ig-")) {
        assert!(edits.contains(&Edit::Remove(name.clone())), "{name}");
    }
    let way = Edit::Set("x-ig-route", "store-main".into());
    assert_eq!(edits.last(), Some(&way));
}

/// A request of tenant `acme`: a line `METHOD HOST PATH`, and headers on lines of their own.
pub fn stores(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
    let mut next = || first.next().unwrap_or_default().to_owned();
    let (method, host, path) = (next(), next(), next());
    let mut headers = vec![
        (":method".to_owned(), method.into_bytes()),
        (":authority".to_owned(), host.clone().into_bytes()),
        (":path".to_owned(), path.clone().into_bytes()),
        ("x-ig-context".to_owned(), TOKENS[0].clone().into_bytes()),
    ];
    let more = lines.filter_map(|line| line.split_once(": "));
    headers.extend(
        more.filter(|(name, _)| !name.starts_with(':'))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.as_bytes().to_vec())),
    );
    let source = headers.iter().find(|(n, _)| n == "x-amz-copy-source");
    let source = source.map(|(_, v)| String::from_utf8_lossy(v).into_owned());
    let ruling = S3.with_borrow_mut(|guard| guard.http(Headers(&headers), NOW));
    if ruling.effect.is_ok() {
        goes_on_clean(&ruling, &headers);
        let buckets = buckets(&host, &path, source.as_deref());
        let own = |bucket: &String| BUCKETS.contains(&bucket.as_str());
        assert!(buckets.iter().all(own), "another's: {buckets:?}");
        assert_eq!(ruling.record.store.object.as_ref(), buckets.first());
    }
    let ruling = NEO4J.with_borrow_mut(|guard| guard.http(Headers(&headers), NOW));
    if ruling.effect.is_ok() {
        goes_on_clean(&ruling, &headers);
        let path = path.split('?').next().unwrap_or_default();
        let segments = resolved(path).unwrap_or_else(|| panic!("above the root: {path}"));
        assert_eq!(segments.first().map(String::as_str), Some("db"));
        let database = segments.get(1).map(|name| name.to_ascii_lowercase());
        assert_eq!(database.as_deref(), Some(DATABASE));
        assert_eq!(ruling.record.store.object, database);
    }
}
