//! The ways in which a request can come: by GET, in a batch, by the name of its document; and
//! revisions that only watch.

use super::*;
use crate::audit::Outcome;
use crate::reply::Reply;
use crate::residency::OPERATIONS_HEADER;

fn hash(query: &str) -> String {
    crate::patch::sha256(query.as_bytes())
}

fn with(pointer: &str, value: Value) -> Masking {
    let mut config = config();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
    config["limits"]["request_bytes"] = json!(5000);
    let keys = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    Masking::configure(config.to_string().as_bytes(), |_| Some(keys.into())).unwrap()
}

fn large() -> Masking {
    with("/graphql", json!({}))
}

fn get(path: &str) -> Pairs {
    pairs(&[(":method", "GET"), (":path", path)])
}

fn at_headers(masking: &mut Masking, headers: &Pairs) -> (MaskingStream, HeadEffect) {
    let mut stream = MaskingStream::new();
    let effect = stream.request_headers(masking, Headers(headers), &token("analyst"), true);
    (stream, effect)
}

fn at_body(masking: &mut Masking, body: &Value) -> (MaskingStream, Result<Option<Vec<u8>>, Reply>) {
    let mut stream = MaskingStream::new();
    stream.request_headers(masking, Headers(&post()), &token("analyst"), false);
    let seen = stream.request_body(masking, body.to_string().as_bytes());
    (stream, seen)
}

#[test]
fn a_filter_does_not_start_with_a_tag_that_nothing_explains() {
    let born = json!({"born": {"class": "identity", "strategy": "null"}});
    let start = |tag: &str, data: Value| {
        let mut config = config();
        config["schema"] =
            format!("{SDL} extend type P {{ birth: String @tag(name: \"{tag}\") }}").into();
        config["policy"]["data"] = data;
        Masking::configure(config.to_string().as_bytes(), |_| None)
    };
    for (tag, data) in [
        ("bron", json!({"ig": {"tags": born}})),
        ("Born", json!({"ig": {"tags": born}})),
        ("born", json!({"ig": {"tags": {}}})),
        ("born", json!({"ig": {}})),
        ("born", json!({})),
        (
            "born",
            json!({"ig": {"tags": {"born": {"class": "identity", "strategy": "Null"}}}}),
        ),
    ] {
        let error = start(tag, data).err().unwrap().to_string();
        assert!(error.contains(tag), "{error}");
    }
    let masking = start("born", json!({"ig": {"tags": born}})).unwrap();
    // What only a tag classifies is counted by its class, too.
    assert!(masking.classes().contains(&"identity".into()));
    start("born", json!({"ig": {"tags": {"born": {}}}})).unwrap();
}

#[test]
fn queries_come_by_get() {
    let mut masking = large();
    for path in [
        "/graphql?query=%7Bme%7Bemail%7D%7D",
        "/graphql?query=query+A%7Bme%7Bemail%7D%7D&operationName=A&variables=%7B%22x%22%3A1%7D",
        "/graphql?variables=&extensions=null&query={me{email}}",
    ] {
        let (stream, effect) = at_headers(&mut masking, &get(path));
        let HeadEffect::Forward(edits) = effect else {
            panic!("{path}: {effect:?}")
        };
        assert!(!edits.iter().any(|e| matches!(e, Edit::Set(":path", _))));
        assert_eq!(record(&stream)["maskSet"], json!(["P.email"]));
    }
    for (path, status, code) in [
        ("/graphql", 400, "BAD_REQUEST"),
        ("/graphql?", 400, "BAD_REQUEST"),
        (
            "/graphql?query=%7Bme%7Bname%7D%7D&query=%7Bme%7Bemail%7D%7D",
            400,
            "BAD_REQUEST",
        ),
        ("/graphql?query={me{name}}&x=1", 400, "BAD_REQUEST"),
        (
            "/graphql?query={me{name}}&variables=[1]",
            400,
            "BAD_REQUEST",
        ),
        ("/graphql?query={me{name}}&variables={", 400, "BAD_REQUEST"),
        ("/graphql?query=%zz", 400, "BAD_REQUEST"),
        ("/graphql?query={me{", 400, "GRAPHQL_PARSE_FAILED"),
        (
            "/graphql?query=mutation{rename{name}}",
            405,
            "METHOD_NOT_ALLOWED",
        ),
    ] {
        let (_, effect) = at_headers(&mut masking, &get(path));
        let HeadEffect::Reply(reply) = effect else {
            panic!("{path} went on")
        };
        assert_eq!(
            (reply.status, reply.code.as_str()),
            (status, code),
            "{path}"
        );
    }
    let mut closed = with("/graphql", json!({"get": false}));
    let (_, effect) = at_headers(&mut closed, &get("/graphql?query={me{name}}"));
    assert!(matches!(effect, HeadEffect::Reply(r) if r.status == 405));
}

#[test]
fn a_persisted_query_is_spelled_out_for_the_upstream() {
    let mut masking = large();
    let query = "query A{me{email}}";
    let persisted = json!({"persistedQuery": {"version": 1, "sha256Hash": hash(query)}});
    let named = json!({"extensions": persisted, "variables": {"x": 1}});
    let (_, seen) = at_body(&mut masking, &named);
    let reply = seen.unwrap_err();
    assert_eq!(
        (reply.status, reply.code.as_str()),
        (200, "PERSISTED_QUERY_NOT_FOUND")
    );
    assert!(reply.body.contains("\"PersistedQueryNotFound\""));
    // Another query under that hash is not taken.
    let other = json!({"query": "{me{name}}", "extensions": persisted});
    let (_, seen) = at_body(&mut masking, &other);
    assert_eq!(seen.unwrap_err().code, "PERSISTED_QUERY_HASH_MISMATCH");
    let (_, seen) = at_body(&mut masking, &named);
    assert_eq!(seen.unwrap_err().code, "PERSISTED_QUERY_NOT_FOUND");
    // Sent with its hash once, it is known.
    let both = json!({"query": query, "extensions": persisted});
    let (_, seen) = at_body(&mut masking, &both);
    let sent: Value = serde_json::from_slice(&seen.unwrap().unwrap()).unwrap();
    assert_eq!(sent, json!({"query": query}));
    let (stream, seen) = at_body(&mut masking, &named);
    let sent: Value = serde_json::from_slice(&seen.unwrap().unwrap()).unwrap();
    assert_eq!(sent, json!({"query": query, "variables": {"x": 1}}));
    assert_eq!(record(&stream)["maskSet"], json!(["P.email"]));
    // By GET the path says it.
    let extensions = persisted.to_string().replace('"', "%22");
    let (_, effect) = at_headers(
        &mut masking,
        &get(&format!("/graphql?extensions={extensions}")),
    );
    let HeadEffect::Forward(edits) = effect else {
        panic!("{effect:?}")
    };
    let path = Edit::Set(
        ":path",
        "/graphql?query=query%20A%7Bme%7Bemail%7D%7D".into(),
    );
    assert!(edits.contains(&path), "{edits:?}");
}

#[test]
fn the_manifest_names_documents() {
    let query = "{me{email}}";
    let only = json!({"manifest": {"mine": query}, "persisted_only": true});
    let mut masking = with("/graphql", only);
    let (_, seen) = at_body(&mut masking, &json!({"documentId": "mine"}));
    assert!(seen.unwrap().is_some());
    let (_, seen) = at_body(&mut masking, &json!({"query": query}));
    assert_eq!(seen.unwrap(), None);
    for (body, code) in [
        (json!({"documentId": "other"}), "PERSISTED_QUERY_NOT_FOUND"),
        (
            json!({"documentId": "mine", "query": "{me{name}}"}),
            "PERSISTED_QUERY_HASH_MISMATCH",
        ),
        (json!({"query": "{me{name}}"}), "OPERATION_NOT_TRUSTED"),
    ] {
        let (_, seen) = at_body(&mut masking, &body);
        assert_eq!(seen.unwrap_err().code, code, "{body}");
    }
    // Whatever is registered by its hash, it is not of the manifest.
    let named = json!({"query": "{me{name}}", "extensions":
        {"persistedQuery": {"version": 1, "sha256Hash": hash("{me{name}}")}}});
    for _ in 0..2 {
        let (_, seen) = at_body(&mut masking, &named);
        assert_eq!(seen.unwrap_err().code, "OPERATION_NOT_TRUSTED");
    }
    let mut broken = config();
    broken["graphql"] = json!({"manifest": {"mine": "{me{"}});
    let error = Masking::configure(broken.to_string().as_bytes(), |_| None).unwrap_err();
    assert!(error.to_string().contains("`mine`"), "{error}");
}

#[test]
fn a_batch_is_one_decision_with_all_that_it_masks() {
    let mut masking = large();
    let batch = json!([{"query": "query A{me{email}}"}, {"query": "mutation B{rename{salary}}"}]);
    let (mut stream, seen) = at_body(&mut masking, &batch);
    assert_eq!(seen.unwrap(), None);
    let said = record(&stream);
    assert_eq!(said["maskSet"], json!(["P.email"]));
    assert_eq!(said["redactSet"], json!(["P.salary"]));
    assert_eq!(said["operation"]["name"], "A");
    assert_eq!(said["batch"][0]["name"], "B");
    let head = pairs(&[(":status", "200"), ("content-type", "application/json")]);
    stream.response_headers(&masking, Headers(&head), false);
    let body = format!(
        r#"[{{"data":{{"me":{{"email":"{CANARY}"}}}}}},{{"data":{{"rename":{{"salary":7}}}}}}]"#
    );
    let BodyEffect::Replace(out) = stream.response_body(body.as_bytes(), true) else {
        panic!("it is rewritten")
    };
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out[1]["data"]["rename"]["salary"], Value::Null);
    assert!(!out.to_string().contains(CANARY));
    assert_eq!(
        record(&stream)["counts"],
        json!({"P.email": 1, "P.salary": 1})
    );
    let subscription = json!([{"query": "subscription{joined{name}}"}]);
    let (_, seen) = at_body(&mut masking, &subscription);
    assert_eq!(seen.unwrap_err().code, "BATCHING_NOT_SUPPORTED");
}

#[test]
fn a_revision_in_shadow_mode_changes_nothing_and_says_what_it_would() {
    let mut masking = with("/mode", json!("shadow"));
    let mut headers = post();
    headers.extend(pairs(&[("x-ig-mask", "1"), ("if-none-match", "x")]));
    let mut stream = MaskingStream::new();
    let effect = stream.request_headers(&mut masking, Headers(&headers), &token("analyst"), false);
    assert!(matches!(effect, HeadEffect::Hold(edits) if edits.is_empty()));
    let body = json!({"query": "{me{email salary}}"}).to_string();
    assert_eq!(stream.request_body(&mut masking, body.as_bytes()), Ok(None));
    let head = pairs(&[
        (":status", "200"),
        ("etag", "\"x\""),
        ("content-length", "9"),
    ]);
    let effect = stream.response_headers(&masking, Headers(&head), false);
    assert!(matches!(effect, ResponseEffect::Pass));
    let response = format!(r#"{{"data":{{"me":{{"email":"{CANARY}","salary":7}}}}}}"#);
    assert!(matches!(
        stream.response_body(response.as_bytes(), false),
        BodyEffect::Pass
    ));
    assert!(!stream.holds(1, false));
    assert!(matches!(stream.response_body(b"", true), BodyEffect::Pass));
    let said = record(&stream);
    assert_eq!(said["mode"], "shadow");
    assert_eq!(said["outcome"], "allowed");
    assert_eq!(said["counts"], json!({"P.email": 1, "P.salary": 1}));
    assert!(!stream.masks_trailers());

    // What it would refuse passes, and the record says why.
    for (headers, body, code) in [
        (get("/rest"), None, "NOT_A_MASKED_PATH"),
        (get("/graphql"), None, "BAD_REQUEST"),
        (post(), Some("{"), "BAD_REQUEST"),
        (
            post(),
            Some(r#"{"query":"{__schema{types{name}}}"}"#),
            "INTROSPECTION_REFUSED",
        ),
    ] {
        let mut stream = MaskingStream::new();
        let end = body.is_none();
        let effect =
            stream.request_headers(&mut masking, Headers(&headers), &token("analyst"), end);
        match body {
            None => assert!(
                matches!(effect, HeadEffect::Forward(e) if e.is_empty()),
                "{code}"
            ),
            Some(body) => {
                assert_eq!(
                    stream.request_body(&mut masking, body.as_bytes()),
                    Ok(None),
                    "{code}"
                );
            }
        }
        assert!(stream.passes_request(), "{code}");
        let head = pairs(&[(":status", "200")]);
        let effect = stream.response_headers(&masking, Headers(&head), false);
        assert!(matches!(effect, ResponseEffect::Pass), "{code}");
        assert!(
            matches!(
                stream.response_body(CANARY.as_bytes(), true),
                BodyEffect::Pass
            ),
            "{code}"
        );
        let said = record(&stream);
        assert_eq!(
            (&said["code"], &said["outcome"]),
            (&json!(code), &json!("denied"))
        );
        assert!(!said.to_string().contains(CANARY));
    }

    // What could not be masked passes too.
    let mut stream = forwarded_in(&mut masking);
    stream.response_headers(&masking, Headers(&pairs(&[(":status", "200")])), false);
    assert!(matches!(
        stream.response_body(b"<html>", false),
        BodyEffect::Pass
    ));
    assert!(matches!(
        stream.response_body(b"</html>", true),
        BodyEffect::Pass
    ));
    assert_eq!(stream.outcome(), Outcome::Failed);
    let mut stream = forwarded_in(&mut masking);
    let head = pairs(&[(":status", "200"), ("content-encoding", "br")]);
    assert!(matches!(
        stream.response_headers(&masking, Headers(&head), false),
        ResponseEffect::Pass
    ));
    assert!(matches!(
        stream.response_body(b"\x00", true),
        BodyEffect::Pass
    ));
    assert_eq!(record(&stream)["code"], "UPSTREAM_ENCODING");
}

#[test]
fn in_shadow_mode_no_refusal_lets_a_mutation_by_a_warrant_that_only_reads() {
    let mut masking = with("/mode", json!("shadow"));
    let mutation = r#"{"query":"mutation{rename{name}}"}"#;
    let batch = format!(r#"[{{"query":"{{"}},{mutation}]"#);
    let long = format!("{mutation}{}", " ".repeat(6000));
    for (covered, enforced) in [
        (Some("read"), true),
        (Some("read,delete"), true),
        (Some("read,write"), false),
        (None, false),
    ] {
        for (path, body, code) in [
            ("/graphql?x=1", mutation, "QUERY_STRING_REFUSED"),
            ("/graphql", &*long, "REQUEST_TOO_LARGE"),
            ("/graphql", &*batch, "GRAPHQL_PARSE_FAILED"),
            ("/graphql", "{", "BAD_REQUEST"),
        ] {
            let mut headers = pairs(&[
                (":method", "POST"),
                (":path", path),
                ("content-type", "application/json"),
            ]);
            headers.extend(covered.map(|c| (OPERATIONS_HEADER.into(), c.into())));
            let mut stream = MaskingStream::new();
            let who = token("analyst");
            let refused = match stream.request_headers(&mut masking, Headers(&headers), &who, false)
            {
                HeadEffect::Reply(reply) => Some(reply),
                HeadEffect::Forward(_) => None,
                HeadEffect::Hold(_) => {
                    let piece = stream.request_progress(&masking, body.len());
                    piece
                        .and_then(|()| stream.request_body(&mut masking, body.as_bytes()))
                        .err()
                }
            };
            let refused = refused.map(|reply| reply.code);
            let want = enforced.then_some(code);
            assert_eq!(refused.as_deref(), want, "{covered:?} {path} {body:.40}");
            assert_eq!(stream.passes_request(), !enforced, "{covered:?} {code}");
            assert_eq!(record(&stream)["code"], code);
        }
    }
}

fn forwarded_in(masking: &mut Masking) -> MaskingStream {
    let body = json!({"query": "{me{email}}"});
    at_body(masking, &body).0
}
