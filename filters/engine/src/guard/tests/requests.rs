use super::*;

fn headers(all: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    all.iter()
        .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
        .collect()
}

fn s3() -> Guard {
    guard(json!({"kind": "s3", "hosts": ["s3.test"], "objects": [
        {"name": "data-{tenant}"}, {"name": "data-{tenant}-us", "region": "us"},
    ]}))
}

#[test]
fn a_request_goes_on_without_the_token_and_with_a_route() {
    let token = token("acme", "eu");
    let mut guards = [
        s3(),
        guard(json!({"kind": "neo4j", "objects": [{"name": "{tenant}"}]})),
    ];
    for (guard, path) in guards.iter_mut().zip(["/data-acme/k", "/db/acme/query/v2"]) {
        let sent = headers(&[
            (":method", "POST"),
            (":authority", "s3.test"),
            (":path", path),
            ("X-IG-Context", &token),
            ("x-ig-route", "store-other"),
            ("x-amz-date", "now"),
        ]);
        let ruling = guard.http(Headers(&sent), NOW);
        assert_eq!(
            ruling.effect,
            Ok(vec![
                Edit::Remove("X-IG-Context".into()),
                Edit::Remove("x-ig-route".into()),
                Edit::Set("x-ig-route", "store-main".into()),
            ])
        );
        assert_eq!(ruling.fault, None);
        assert_eq!(ruling.record.outcome, Outcome::Allowed);
    }
}

#[test]
fn a_refusal_reads_as_the_store_writes_it() {
    let acme = token("acme", "eu");
    let initech = token("initech", "us");
    for (path, copied, token, status, code) in [
        ("/data-acme/k", None, None, 403, "CONTEXT_MISSING"),
        ("/data-acme/k", None, Some("x"), 403, "CONTEXT_MALFORMED"),
        (
            "/data-globex/k",
            None,
            Some(acme.as_str()),
            403,
            "OBJECT_FOREIGN",
        ),
        ("/data-acme-us/k", None, Some(&acme), 403, "CROSS_REGION"),
        (
            "/data-acme/k",
            Some("data-globex/k"),
            Some(&acme),
            403,
            "OBJECT_FOREIGN",
        ),
        (
            "/data-acme/k",
            Some("data-acme-us/k"),
            Some(&acme),
            403,
            "CROSS_REGION",
        ),
        ("/data-initech/k", None, Some(&initech), 403, "CROSS_REGION"),
        ("/other/k", None, Some(&acme), 403, "OBJECT_UNKNOWN"),
        ("/", None, Some(&acme), 403, "S3_LIST_BUCKETS"),
        ("/data-acme/../k", None, Some(&acme), 400, "S3_MALFORMED"),
    ] {
        let mut sent = headers(&[
            (":method", "PUT"),
            (":authority", "s3.test"),
            (":path", path),
        ]);
        let more = [("x-amz-copy-source", copied), ("x-ig-context", token)];
        sent.extend(
            more.iter()
                .filter_map(|(n, v)| Some(((*n).to_owned(), v.as_ref()?.as_bytes().to_vec()))),
        );
        let ruling = s3().http(Headers(&sent), NOW);
        let reply = ruling.effect.unwrap_err();
        assert_eq!(
            (reply.status, reply.code.as_str()),
            (status, code),
            "{path} {copied:?}"
        );
        assert!(reply.body.contains("<Error><Code>") && reply.body.contains(code));
        assert_eq!(ruling.record.code.as_deref(), Some(code));
    }
    let sent = headers(&[
        (":method", "POST"),
        (":path", "/db/globex/tx"),
        ("x-ig-context", &acme),
    ]);
    let mut neo4j = guard(json!({"kind": "neo4j", "objects": [{"name": "{tenant}"}]}));
    let reply = neo4j.http(Headers(&sent), NOW).effect.unwrap_err();
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        (reply.status, &body["code"]),
        (403, &json!("OBJECT_FOREIGN"))
    );
    let twice = [sent, headers(&[("x-ig-context", &acme)])].concat();
    let ruling = neo4j.http(Headers(&twice), NOW);
    assert_eq!(ruling.record.code.as_deref(), Some("CONTEXT_AMBIGUOUS"));
    assert_eq!(ruling.fault, Some(DenialKind::Malformed));
}
