//! Neo4j's HTTP interface: the Query API, version 2, and the transactional one
//! (<https://neo4j.com/docs/query-api/current/>, <https://neo4j.com/docs/http-api/current/>).
//!
//! Whether a statement only reads is said in the body, which is not looked at: everything is a write.

use crate::filter::Headers;
use crate::policy::EgressOperation;

use super::http::{Request, Unserved};

/// The database of a request.
pub(super) fn read(headers: Headers<'_>) -> Result<Request, Unserved> {
    let unserved = |reason| {
        let code = "NEO4J_UNSERVED";
        Unserved { code, reason }
    };
    let method = headers.text(":method").unwrap_or_default();
    if !matches!(method, "POST" | "DELETE") {
        return Err(unserved(
            "only statements and transactions are passed on, by POST or DELETE",
        ));
    }
    let mut segments = headers.path().split('/');
    let place = (segments.next(), segments.next(), segments.next());
    let (Some(""), Some("db"), Some(database)) = place else {
        return Err(unserved(
            "only /db/DATABASE/query/v2 and /db/DATABASE/tx are passed on",
        ));
    };
    let rest: Vec<&str> = segments.collect();
    let transaction = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
    let known = match &rest[..] {
        ["query", "v2"] | ["query", "v2", "tx"] | ["tx"] | ["tx", "commit"] => true,
        ["query", "v2", "tx", id] | ["tx", id] => transaction(id),
        ["query", "v2", "tx", id, "commit"] | ["tx", id, "commit"] => transaction(id),
        _ => false,
    };
    if !known {
        return Err(unserved(
            "only /db/DATABASE/query/v2 and /db/DATABASE/tx are passed on",
        ));
    }
    // Database names are case-insensitive ASCII letters, digits, dots and dashes.
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if database.is_empty() || database == ".." || database == "." || !database.bytes().all(legal) {
        return Err(unserved("the name of the database is malformed"));
    }
    Ok(Request {
        operation: EgressOperation::Write,
        objects: vec![(database.to_ascii_lowercase(), EgressOperation::Write)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(method: &str, path: &str) -> Result<String, &'static str> {
        let headers = [(":method", method), (":path", path)];
        let headers = headers.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()));
        let request = read(Headers(&headers)).map_err(|u| u.code)?;
        assert_eq!(request.operation, EgressOperation::Write);
        Ok(request.objects[0].0.clone())
    }

    #[test]
    fn statements_and_transactions_name_their_database() {
        for path in [
            "/db/Acme/query/v2",
            "/db/acme/query/v2?x=/db/other",
            "/db/acme/query/v2/tx",
            "/db/acme/query/v2/tx/ab12",
            "/db/acme/query/v2/tx/ab12/commit",
            "/db/acme/tx",
            "/db/acme/tx/commit",
            "/db/acme/tx/17",
            "/db/acme/tx/17/commit",
        ] {
            assert_eq!(database("POST", path).as_deref(), Ok("acme"), "{path}");
        }
        assert_eq!(database("DELETE", "/db/acme/tx/17").as_deref(), Ok("acme"));
        for (method, path) in [
            ("GET", "/db/acme/query/v2"),
            ("POST", "/"),
            ("POST", "/db"),
            ("POST", "/db/acme"),
            ("POST", "/db/acme/"),
            ("POST", "/db/acme/cluster/available"),
            ("POST", "/db//query/v2"),
            ("POST", "//db/acme/query/v2"),
            ("POST", "/db/../query/v2"),
            ("POST", "/db/a%2e/query/v2"),
            ("POST", "/db/acme/../other/query/v2"),
            ("POST", "/db/acme/tx/../../other/tx"),
            ("POST", "/db/acme/query/v2/"),
        ] {
            assert_eq!(
                database(method, path),
                Err("NEO4J_UNSERVED"),
                "{method} {path}"
            );
        }
    }
}
