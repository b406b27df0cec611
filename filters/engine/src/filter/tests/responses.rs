use super::*;
use crate::audit::Outcome;
use crate::json::push_string;

#[test]
fn response_headers_no_longer_describe_the_body() {
    let mut masking = masking();
    let head = pairs(&[
        (":status", "200"),
        ("content-length", "10"),
        ("etag", "\"a\""),
        ("Digest", "x"),
        ("last-modified", "x"),
        ("x-ig-mask", "forged"),
        ("content-encoding", "identity"),
        ("content-type", "text/plain"),
    ]);
    for (role, last) in [("analyst", false), ("admin", true)] {
        let mut stream = forwarded(&mut masking, role, "{me{name email salary}}");
        let effect = stream.response_headers(&masking, Headers(&head), false);
        let ResponseEffect::Mask(edits) = effect else {
            panic!("it is masked")
        };
        assert!(stream.masks_trailers(), "nothing says what they may hold");
        let mut want: Vec<Edit> = [
            "content-length",
            "etag",
            "Digest",
            "last-modified",
            "x-ig-mask",
            "content-encoding",
        ]
        .map(|n| Edit::Remove(n.into()))
        .into();
        want.push(Edit::Set("content-type", "application/json".into()));
        want.push(Edit::Set("cache-control", "private, no-store".into()));
        if last {
            let id = record(&stream)["decisionId"].as_str().unwrap().to_owned();
            let told = format!("{id}; rev=r-1; mask=\"P.salary\"; redact=\"\"; reveal=\"P.email\"");
            want.push(Edit::Set("x-ig-mask", told));
        }
        assert_eq!(edits, want);
    }
}

#[test]
fn headers_that_could_hold_a_value_do_not_pass() {
    let mut masking = masking();
    let head: Vec<(String, Vec<u8>)> = [
        (":status", "302"),
        ("location", "/?e=ann"),
        ("set-cookie", "e=ann"),
        ("link", "<ann>"),
        ("x-debug-user", "ann"),
        (
            "content-type",
            "application/graphql-response+json; charset=utf-8",
        ),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("vary", "ann@acme.example"),
        ("Access-Control-Allow-Origin", "*"),
    ]
    .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
    .into();
    let mut stream = forwarded(&mut masking, "analyst", "{me{name}}");
    let ResponseEffect::Mask(edits) = stream.response_headers(&masking, Headers(&head), false)
    else {
        panic!("it is masked")
    };
    let removed =
        ["location", "set-cookie", "link", "x-debug-user", "vary"].map(|n| Edit::Remove(n.into()));
    assert_eq!(edits[..5], removed);
    assert_eq!(
        edits[5..],
        [Edit::Set("cache-control", "private, no-store".into())]
    );
}

#[test]
fn the_content_type_is_the_filters_own() {
    let mut masking = masking();
    for (said, want) in [
        ("application/json; x=ann", "application/json"),
        ("application/json; charset=utf-16", "application/json"),
        (
            "Application/JSON;charset=\"UTF-8\";x=ann",
            "application/json; charset=utf-8",
        ),
        ("text/ann", "application/json"),
        ("text/event-stream; x=ann", "text/event-stream"),
        (
            "multipart/mixed; boundary=ann",
            "multipart/mixed; boundary=\"-\"",
        ),
        (
            "multipart/mixed; boundary=graphql; x=ann; deferSpec=20220824",
            "multipart/mixed; boundary=\"graphql\"; deferSpec=20220824",
        ),
    ] {
        for end in [false, true] {
            let mut stream = forwarded(&mut masking, "analyst", "{me{name}}");
            let head = pairs(&[(":status", "200"), ("content-type", said)]);
            let edits = match stream.response_headers(&masking, Headers(&head), end) {
                ResponseEffect::Mask(edits) | ResponseEffect::Stream(edits) => edits,
                effect => panic!("{said}: {effect:?}"),
            };
            let set = Edit::Set("content-type", want.into());
            assert!(edits.contains(&set), "{said}: {edits:?}");
        }
    }
    // Two of them are one afterwards.
    let mut stream = forwarded(&mut masking, "analyst", "{me{name}}");
    let json = ("content-type", "application/json");
    let head = pairs(&[(":status", "200"), json, ("content-type", "text/ann")]);
    let ResponseEffect::Mask(edits) = stream.response_headers(&masking, Headers(&head), false)
    else {
        panic!("it is masked")
    };
    assert!(edits.contains(&Edit::Set("content-type", "application/json".into())));
}

#[test]
fn a_configuration_can_not_let_headers_of_another_body_pass() {
    for name in [
        "content-length",
        "ETag",
        "x-ig-mask",
        "connection",
        "a b",
        "",
    ] {
        let mut config = config();
        config["response_headers"] = json!(["x-cost", name]);
        let error = Masking::configure(config.to_string().as_bytes(), |_| None).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("response header `{name}`: ")),
            "{error}"
        );
    }
    let mut config = config();
    config["response_headers"] = json!(["x-cost"]);
    assert!(Masking::configure(config.to_string().as_bytes(), |_| None).is_ok());
    config["graphql"] = json!({"batch": 1001});
    let error = Masking::configure(config.to_string().as_bytes(), |_| None).unwrap_err();
    assert!(error.to_string().contains("use 1000 or less"), "{error}");
    for pointer in ["", "/graphql", "/policy", "/limits"] {
        let mut config = super::config();
        config["graphql"] = json!({});
        *config.pointer_mut(pointer).unwrap() = json!([]);
        let error = Masking::configure(config.to_string().as_bytes(), |_| None).unwrap_err();
        assert!(
            error.to_string().contains("expected an object"),
            "{pointer}: {error}"
        );
    }
}

#[test]
fn a_response_is_masked_and_recorded() {
    let mut masking = masking();
    let response =
        format!(r#"{{"data":{{"me":{{"name":"Ann","email":"{CANARY}","salary":7,"x":1}}}}}}"#);
    for size in [1, 3, 1000] {
        let query = "query Mine{me{name email salary}}";
        let mut stream = answered(&mut masking, "analyst", query);
        let mut out = Vec::new();
        let chunks: Vec<&[u8]> = response.as_bytes().chunks(size).collect();
        for chunk in &chunks {
            match stream.response_body(chunk, false) {
                BodyEffect::Pass => out.extend_from_slice(chunk),
                BodyEffect::Replace(bytes) => out.extend(bytes),
                BodyEffect::Fail(reply) => panic!("{reply:?}"),
            }
        }
        assert_eq!(stream.outcome(), Outcome::Incomplete);
        assert!(matches!(stream.response_body(b"", true), BodyEffect::Pass));
        let out: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(out["data"]["me"]["name"], "Ann");
        assert_eq!(out["data"]["me"]["salary"], Value::Null);
        assert!(
            out["data"]["me"]["email"]
                .as_str()
                .unwrap()
                .starts_with("h:k1:")
        );
        assert_eq!(out["data"]["me"].get("x"), None);
        let tally = Tally {
            masked: 2,
            dropped: 1,
            mismatched: 0,
        };
        assert_eq!(stream.tally(), tally);
        let text = stream.record();
        assert!(!text.contains(CANARY));
        let mut record = record(&stream);
        let id = record["decisionId"].as_str().unwrap();
        assert!(id.len() == 36 && id.starts_with("dec_"), "{id}");
        let hash = record["operation"]["hash"].as_str().unwrap();
        assert_eq!(hash.len(), 64);
        record["decisionId"] = "dec_".into();
        record["operation"]["hash"] = "".into();
        assert_eq!(
            record,
            json!({
                "decisionId": "dec_", "outcome": "allowed", "tenant": "acme", "subject": "ann",
                "roles": ["analyst"], "purpose": null, "region": "eu", "revision": "r-1",
                "surface": "graphql", "classes": {"unclassified": 2},
                "operation": {"name": "Mine", "kind": "query", "hash": ""},
                "maskSet": ["P.email"], "redactSet": ["P.salary"], "revealed": [],
                "reason": "@mask on P.email; role!=admin",
                "counts": {"P.email": 1, "P.salary": 1}, "dropped": 1, "mismatched": 0,
            })
        );
    }
}

#[test]
fn a_response_that_can_not_be_masked_leaves_nothing() {
    let mut masking = masking();
    for (response, code) in [
        ("<html>CANARY</html>", "UPSTREAM_UNEXPECTED_BYTE"),
        ("\u{1f}\u{8b}CANARY", "UPSTREAM_UNEXPECTED_BYTE"),
        (
            r#"[{"data":{"me":{"email":"CANARY"}}}]"#,
            "UPSTREAM_NOT_AN_OBJECT",
        ),
        (r#"{"data":{"me":{"email":"CANARY""#, "UPSTREAM_TRUNCATED"),
        (
            r#"{"data":{"me":{"email":"CANARY"}}} CANARY"#,
            "UPSTREAM_TRAILING_BYTES",
        ),
        (
            r#"{"data":{"me":{"email":"CANARY","email":"CANARY"}}}"#,
            "UPSTREAM_DUPLICATE_KEY",
        ),
        (
            r#"{"data":{"me":{"email":"CANARY\x"}}}"#,
            "UPSTREAM_BAD_STRING",
        ),
        ("", "UPSTREAM_TRUNCATED"),
    ] {
        let response = response.replace("CANARY", CANARY);
        for by_trailers in [false, true] {
            let mut stream = answered(&mut masking, "analyst", "{me{name email}}");
            let reply = match stream.response_body(response.as_bytes(), !by_trailers) {
                BodyEffect::Fail(reply) => reply,
                effect => {
                    assert!(by_trailers, "{response}");
                    if let BodyEffect::Replace(bytes) = effect {
                        assert!(!String::from_utf8(bytes).unwrap().contains(CANARY));
                    }
                    stream.response_end().unwrap_err()
                }
            };
            assert_eq!((reply.status, reply.code.as_str()), (502, "MASKING_FAILED"));
            assert!(!reply.body.contains(CANARY));
            let record = record(&stream);
            assert_eq!(
                (&record["outcome"], &record["code"]),
                (&json!("failed"), &json!(code))
            );
            assert!(!stream.record().contains(CANARY));
            // Nothing passes any more.
            for (chunk, end) in [(&b"x"[..], false), (b"{\"data\":{}}", true)] {
                match stream.response_body(chunk, end) {
                    BodyEffect::Replace(bytes) => assert_eq!(bytes, b""),
                    effect => panic!("{effect:?}"),
                }
            }
            assert!(stream.response_end().is_ok());
            stream.close();
            assert_eq!(stream.outcome(), Outcome::Failed);
        }
    }
}

#[test]
fn a_response_that_can_not_be_decoded_is_withheld() {
    let mut masking = masking();
    for encoding in ["br", "zstd", "gzip, gzip", "identity, br"] {
        let mut stream = forwarded(&mut masking, "admin", "{me{email}}");
        let head = pairs(&[(":status", "200"), ("content-encoding", encoding)]);
        let effect = stream.response_headers(&masking, Headers(&head), false);
        let ResponseEffect::Reply(reply) = effect else {
            panic!("{encoding}")
        };
        assert_eq!(
            (reply.status, reply.code.as_str()),
            (502, "UPSTREAM_ENCODING")
        );
        assert!(matches!(stream.response_body(b"x", true), BodyEffect::Replace(b) if b.is_empty()));
        assert_eq!(stream.outcome(), Outcome::Failed);
    }
}

#[test]
fn bodies_out_of_turn_are_withheld() {
    let mut masking = masking();
    let fails = |stream: &mut MaskingStream| {
        assert!(matches!(
            stream.response_body(b"{\"data\":{}}", true),
            BodyEffect::Fail(_)
        ));
        assert_eq!(stream.outcome(), Outcome::Failed);
    };
    fails(&mut forwarded(&mut masking, "analyst", "{me{email}}"));
    let mut stream = MaskingStream::new();
    stream.request_headers(&mut masking, Headers(&post()), &token("analyst"), false);
    fails(&mut stream);
    let mut complete = answered(&mut masking, "analyst", "{me{email}}");
    complete.response_body(b"{\"data\":{}}", true);
    assert_eq!(complete.outcome(), Outcome::Allowed);
    fails(&mut complete);
    let mut twice = answered(&mut masking, "analyst", "{me{email}}");
    let head = pairs(&[(":status", "200")]);
    let effect = twice.response_headers(&masking, Headers(&head), false);
    assert!(matches!(effect, ResponseEffect::Reply(_)));
}

#[test]
fn a_stream_that_breaks_off_is_incomplete() {
    let mut masking = masking();
    let mut stream = answered(&mut masking, "analyst", "{me{email}}");
    stream.response_body(br#"{"data":{"me":{"email":"a@x","#, false);
    stream.close();
    let record = record(&stream);
    assert_eq!(
        (&record["outcome"], &record["counts"]),
        (&json!("incomplete"), &json!({"P.email": 1}))
    );
    let mut waiting = forwarded(&mut masking, "analyst", "{me{email}}");
    waiting.close();
    assert_eq!(waiting.outcome(), Outcome::Incomplete);
}

#[test]
fn what_is_not_this_filters_passes() {
    let mut masking = masking();
    // An earlier filter answers: request headers were never seen.
    let mut stream = MaskingStream::new();
    let head = pairs(&[(":status", "401")]);
    let effect = stream.response_headers(&masking, Headers(&head), false);
    assert!(matches!(effect, ResponseEffect::Pass));
    assert!(matches!(
        stream.response_body(b"no token", true),
        BodyEffect::Pass
    ));
    assert!(!stream.took_part());
    // The proxy answers while the request is still held.
    let mut stream = MaskingStream::new();
    stream.request_headers(&mut masking, Headers(&post()), &token("analyst"), false);
    let head = pairs(&[(":status", "408")]);
    let effect = stream.response_headers(&masking, Headers(&head), false);
    assert!(matches!(effect, ResponseEffect::Pass));
    assert!(matches!(
        stream.response_body(b"timeout", true),
        BodyEffect::Pass
    ));
    // A response without a body.
    let mut stream = forwarded(&mut masking, "analyst", "{me{email}}");
    let head = pairs(&[(":status", "204")]);
    let effect = stream.response_headers(&masking, Headers(&head), true);
    assert!(matches!(effect, ResponseEffect::Mask(_)));
    assert_eq!(stream.outcome(), Outcome::Allowed);
}

#[test]
fn errors_are_verbatim_for_those_whom_the_policy_trusts() {
    let mut masking = masking();
    let mut text = Vec::new();
    push_string(&format!("no mailbox {CANARY}"), &mut text);
    let text = String::from_utf8(text).unwrap();
    let response = format!(r#"{{"errors":[{{"message":{text}}}],"data":null}}"#);
    for (role, shown) in [("analyst", false), ("admin", true)] {
        let mut stream = answered(&mut masking, role, "{me{email}}");
        let out = match stream.response_body(response.as_bytes(), true) {
            BodyEffect::Pass => response.clone(),
            BodyEffect::Replace(bytes) => String::from_utf8(bytes).unwrap(),
            BodyEffect::Fail(reply) => panic!("{reply:?}"),
        };
        assert_eq!(out.contains(CANARY), shown, "{role}: {out}");
    }
}

#[test]
fn plans_are_kept_apart_by_caller_operation_and_query() {
    let mut masking = masking();
    let response = br#"{"data":{"me":{"x":"a@x"}}}"#;
    let mut mask = |role: &str, query: &str| {
        let mut stream = answered(&mut masking, role, query);
        match stream.response_body(response, true) {
            BodyEffect::Pass => String::new(),
            BodyEffect::Replace(bytes) => String::from_utf8(bytes).unwrap(),
            BodyEffect::Fail(reply) => panic!("{reply:?}"),
        }
    };
    for _ in 0..3 {
        assert_eq!(mask("analyst", "{me{x:name}}"), "");
        assert!(mask("analyst", "{me{x:email}}").contains("h:k1:"));
        assert_eq!(mask("admin", "{me{x:email}}"), "");
    }
}

#[test]
fn a_stream_whose_policies_are_gone_ends() {
    let mut masking = masking();
    let mut stream = forwarded(&mut masking, "analyst", "subscription{joined{email}}");
    assert!(!stream.is_live(), "nothing has come yet");
    let head = pairs(&[(":status", "200"), ("content-type", "text/event-stream")]);
    let effect = stream.response_headers(&masking, Headers(&head), false);
    assert!(matches!(effect, ResponseEffect::Stream(_)), "{effect:?}");
    assert!(stream.is_live());
    let reply = stream.superseded();
    assert_eq!(reply.code, "POLICIES_CHANGED");
    let event =
        format!("event: next\ndata: {{\"data\":{{\"joined\":{{\"email\":\"{CANARY}\"}}}}}}\n\n");
    match stream.response_body(event.as_bytes(), false) {
        BodyEffect::Replace(bytes) => assert_eq!(bytes, b""),
        effect => panic!("{effect:?}"),
    }
    let record = record(&stream);
    assert_eq!(record["outcome"], "incomplete");
    assert_eq!(record["code"], "POLICIES_CHANGED");
}
