use super::*;
use crate::audit::Outcome;
use crate::reply::Reply;

/// A request is refused so, the record says so, and nothing of a later response is touched.
#[track_caller]
fn refused(stream: &mut MaskingStream, masking: &mut Masking, reply: &Reply, want: (u16, &str)) {
    assert_eq!(
        (reply.status, reply.code.as_str()),
        want,
        "{}",
        reply.reason
    );
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    let code = body
        .pointer("/errors/0/extensions/code")
        .or(body.get("code"));
    assert_eq!(code, Some(&json!(want.1)));
    assert!(
        reply
            .headers
            .iter()
            .any(|(n, v)| *n == "cache-control" && v == "no-store")
    );
    let record = record(stream);
    assert_eq!(record["outcome"], "denied");
    assert_eq!(record["code"], want.1);
    assert_eq!(record["reason"], reply.reason.as_str());
    // The reply goes out through the same filter.
    let head = pairs(&[(":status", "400")]);
    let effect = stream.response_headers(masking, Headers(&head), false);
    assert!(matches!(effect, ResponseEffect::Pass));
    assert!(matches!(
        stream.response_body(reply.body.as_bytes(), true),
        BodyEffect::Pass
    ));
    assert!(stream.response_end().is_ok());
    stream.close();
    assert_eq!(stream.outcome(), Outcome::Denied);
}

#[test]
fn requests_that_are_refused_at_their_headers() {
    let set = |name: &'static str, value: &'static str| {
        move |h: &mut Pairs| {
            h.retain(|(n, _)| n != name);
            h.extend(pairs(&[(name, value)]));
        }
    };
    let add = |name: &'static str, value: &'static str| {
        move |h: &mut Pairs| h.extend(pairs(&[(name, value)]))
    };
    let remove = |name: &'static str| move |h: &mut Pairs| h.retain(|(n, _)| n != name);
    type Change = Box<dyn Fn(&mut Pairs)>;
    let cases: Vec<(Change, u16, &str)> = vec![
        (Box::new(set(":path", "/rest")), 404, "NOT_A_MASKED_PATH"),
        (
            Box::new(set(":path", "/graphql/")),
            404,
            "NOT_A_MASKED_PATH",
        ),
        (Box::new(remove(":path")), 404, "NOT_A_MASKED_PATH"),
        (
            Box::new(set(":path", "/graphql?query={me{name:email}}")),
            400,
            "QUERY_STRING_REFUSED",
        ),
        (
            Box::new(set(":path", "/graphql?")),
            400,
            "QUERY_STRING_REFUSED",
        ),
        (Box::new(set(":method", "GET")), 400, "BAD_REQUEST"),
        (Box::new(set(":method", "PUT")), 405, "METHOD_NOT_ALLOWED"),
        (Box::new(remove(":method")), 405, "METHOD_NOT_ALLOWED"),
        (
            Box::new(add("upgrade", "websocket")),
            403,
            "UPGRADE_REFUSED",
        ),
        (
            Box::new(remove("content-type")),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            Box::new(set("content-type", "application/graphql")),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            Box::new(set("content-type", "multipart/form-data; boundary=x")),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            Box::new(set("content-type", "application/json; charset=utf-7")),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            Box::new(set(
                "content-type",
                "application/json; charset=utf-8; charset=utf-16",
            )),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            Box::new(add("content-type", "application/json")),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            Box::new(add("content-encoding", "gzip")),
            415,
            "UNSUPPORTED_ENCODING",
        ),
        (
            Box::new(add("x-ig-purpose", "marketing")),
            403,
            "PURPOSE_NOT_ALLOWED",
        ),
        (Box::new(add("x-ig-purpose", "")), 400, "BAD_HEADER"),
        (
            Box::new(add("x-ig-purpose", "support, support")),
            400,
            "BAD_HEADER",
        ),
    ];
    let mut masking = masking();
    for (change, status, code) in cases {
        let mut headers = post();
        change(&mut headers);
        let mut stream = MaskingStream::new();
        let effect =
            stream.request_headers(&mut masking, Headers(&headers), &token("analyst"), false);
        let HeadEffect::Reply(reply) = effect else {
            panic!("{headers:?} went on, not {code}")
        };
        refused(&mut stream, &mut masking, &reply, (status, code));
    }
    for good in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
    ] {
        let mut headers = post();
        set("content-type", good)(&mut headers);
        let effect = MaskingStream::new().request_headers(
            &mut masking,
            Headers(&headers),
            &token("analyst"),
            false,
        );
        assert!(matches!(effect, HeadEffect::Hold(_)), "{good}");
    }
    let mut stream = MaskingStream::new();
    let effect = stream.request_headers(&mut masking, Headers(&post()), &token("analyst"), true);
    let HeadEffect::Reply(reply) = effect else {
        panic!("it has no body")
    };
    refused(&mut stream, &mut masking, &reply, (400, "BAD_REQUEST"));
}

#[test]
fn callers_that_are_not_known_are_refused() {
    let mut masking = masking();
    for (claim, value) in [
        ("sub", None),
        ("tenant", None),
        ("tenant", Some(b"unreadable".to_vec())),
        ("roles", Some(b"admin".to_vec())),
        ("tenant", Some(vec![0xff])),
    ] {
        let mut token = token("analyst");
        match value {
            Some(value) => token.0.insert(claim, value),
            None => token.0.remove(claim),
        };
        let mut stream = MaskingStream::new();
        let effect = stream.request_headers(&mut masking, Headers(&post()), &token, false);
        let HeadEffect::Reply(reply) = effect else {
            panic!("{claim}")
        };
        refused(
            &mut stream,
            &mut masking,
            &reply,
            (401, "IDENTITY_INCOMPLETE"),
        );
    }
}

#[test]
fn requests_that_are_refused_at_their_body() {
    let mut masking = masking();
    let query = |q: &str| json!({ "query": q }).to_string();
    for (role, body, status, code) in [
        ("analyst", "x".repeat(501), 413, "REQUEST_TOO_LARGE"),
        ("analyst", String::new(), 400, "BAD_REQUEST"),
        ("analyst", "[]".into(), 400, "BATCH_TOO_LARGE"),
        (
            "analyst",
            r#"{"extensions":{"persistedQuery":{}}}"#.into(),
            400,
            "BAD_REQUEST",
        ),
        (
            "analyst",
            query("{__schema{types{name}}}"),
            403,
            "INTROSPECTION_REFUSED",
        ),
        (
            "analyst",
            query("{people(where:{salary:{gt:5}}){name}}"),
            403,
            "MASKED_FIELD_COMPARED",
        ),
        ("analyst", query("{me{"), 400, "GRAPHQL_PARSE_FAILED"),
        (
            "analyst",
            query("{me{email{x}}}"),
            400,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "analyst",
            query("query A{me{name}} query B{me{name}}"),
            400,
            "OPERATION_RESOLUTION_FAILURE",
        ),
        (
            "analyst",
            query(&format!("{}{}", "{me".repeat(70), "}".repeat(70))),
            400,
            "OPERATION_TOO_COMPLEX",
        ),
        ("stranger", query("{me{name}}"), 403, "ROLE_UNKNOWN"),
        ("mute", query("{me{name}}"), 403, "POLICY_DENIED"),
        ("broken", query("{me{name}}"), 500, "POLICY_FAILED"),
        ("typo", query("{me{name}}"), 500, "POLICY_FAILED"),
    ] {
        let mut stream = MaskingStream::new();
        stream.request_headers(&mut masking, Headers(&post()), &token(role), false);
        let reply = stream
            .request_body(&mut masking, body.as_bytes())
            .unwrap_err();
        for secret in ["secret_of_the_policy", "P.nope", "m.rego"] {
            assert!(!reply.body.contains(secret), "{}", reply.body);
        }
        refused(&mut stream, &mut masking, &reply, (status, code));
    }
    let mut stream = MaskingStream::new();
    stream.request_headers(&mut masking, Headers(&post()), &token("typo"), false);
    let reply = stream.request_body(&mut masking, query("{me{name}}").as_bytes());
    assert!(reply.unwrap_err().reason.contains("`P.nope`"));
    // A body that grows too long is refused before it is whole.
    let mut stream = MaskingStream::new();
    stream.request_headers(&mut masking, Headers(&post()), &token("analyst"), false);
    assert!(stream.request_progress(&masking, 500).is_ok());
    let reply = stream.request_progress(&masking, 501).unwrap_err();
    refused(
        &mut stream,
        &mut masking,
        &reply,
        (413, "REQUEST_TOO_LARGE"),
    );
}

#[test]
fn request_headers_of_the_gateways_own_and_conditional_ones_go() {
    let mut masking = masking();
    let mut headers = post();
    headers.extend(pairs(&[
        ("x-ig-admin", "1"),
        ("X-IG-Mask", "1"),
        ("x-ig-mask", "2"),
        ("x-ig-tenant", "acme"),
        ("x-ig-purpose", "support"),
        ("x-ig-data-region", "eu"),
        ("accept-encoding", "gzip"),
        ("if-none-match", "\"a\""),
        ("range", "bytes=0-1"),
        ("te", "trailers"),
        ("authorization", "Bearer x"),
    ]));
    let effect = MaskingStream::new().request_headers(
        &mut masking,
        Headers(&headers),
        &token("analyst"),
        false,
    );
    let HeadEffect::Hold(edits) = effect else {
        panic!("it is held")
    };
    let want = [
        "x-ig-admin",
        "X-IG-Mask",
        "x-ig-mask",
        "if-none-match",
        "range",
        "te",
    ]
    .map(|n| Edit::Remove(n.into()));
    assert_eq!(edits.split_last().unwrap().1, want);
    assert_eq!(
        edits.last(),
        Some(&Edit::Set("accept-encoding", "identity".into()))
    );
}

#[test]
fn the_way_to_the_cluster_is_handed_over_by_this_filter_alone() {
    let way = |config: Value, extra: &[(&str, &str)]| {
        let mut masking = Masking::configure(config.to_string().as_bytes(), |_| None).unwrap();
        let mut headers = post();
        headers.extend(pairs(extra));
        let effect = MaskingStream::new().request_headers(
            &mut masking,
            Headers(&headers),
            &token("analyst"),
            false,
        );
        let HeadEffect::Hold(edits) = effect else {
            panic!("it is held")
        };
        edits
            .into_iter()
            .filter(|e| matches!(e, Edit::Set(n, _) if *n == ROUTE_HEADER))
            .collect::<Vec<_>>()
    };
    let mut trusting = config();
    trusting["trusted_headers"] = json!(["x-ig-cluster"]);
    let chosen = [("x-ig-cluster", "region-eu"), ("x-ig-route", "region-us")];
    let want = [Edit::Set(ROUTE_HEADER, "region-eu".into())];
    assert_eq!(way(trusting.clone(), &chosen), want);
    assert_eq!(way(trusting.clone(), &chosen[1..]), []);
    assert_eq!(way(config(), &chosen), []);
    // In shadow mode requests find their way too.
    trusting["mode"] = json!("shadow");
    assert_eq!(way(trusting, &chosen), want);
}

#[test]
fn configurations_that_are_broken_are_refused_with_the_place() {
    for (pointer, value, want) in [
        ("/graphql_paths", json!([]), "`graphql_paths`"),
        ("/schema", json!("type Query {"), "schema line 1"),
        ("/typo", json!(1), "typo"),
        ("/limits/typo", json!(1), "typo"),
        ("/revision", Value::Null, "revision"),
        (
            "/policy/modules/0/text",
            json!("package ig.masking\ndecision :="),
            "m.rego",
        ),
        (
            "/policy/data",
            json!({"ig": {"fields": {"P.nope": {}}}}),
            "`P.nope`",
        ),
    ] {
        let mut config = config();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = config.pointer_mut(parent).unwrap();
        match (parent, value) {
            (Value::Object(o), Value::Null) => drop(o.remove(name)),
            (Value::Array(_), _) => unreachable!("no array is changed"),
            (parent, value) => parent[name] = value,
        }
        let error = Masking::configure(config.to_string().as_bytes(), |_| None).unwrap_err();
        let seen = error.to_string();
        assert!(
            seen.contains(want) || format!("{error:?}").contains(want),
            "{pointer}: {seen}"
        );
    }
    let error = Masking::configure(config().to_string().as_bytes(), |_| Some("k1:short".into()))
        .unwrap_err();
    assert!(error.to_string().contains("mask key 1") && !error.to_string().contains("short:"));
    let elsewhere = |name: &str| (name == "ELSEWHERE").then(|| "k1:short".into());
    assert!(Masking::configure(config().to_string().as_bytes(), elsewhere).is_ok());
    let mut named = config();
    named["keys_env"] = json!("ELSEWHERE");
    assert!(Masking::configure(named.to_string().as_bytes(), elsewhere).is_err());
    assert!(Masking::configure(b"not JSON", |_| None).is_err());
}

#[test]
fn a_policy_that_fails_for_one_caller_still_serves_the_next() {
    let mut masking = masking();
    let body = json!({"query": "{me{salary}}"}).to_string();
    let ambiguous = |masking: &mut Masking, roles: &[&str]| {
        let mut token = token("analyst");
        token.0.insert("roles", encode(roles));
        let mut stream = MaskingStream::new();
        stream.request_headers(masking, Headers(&post()), &token, false);
        stream.request_body(masking, body.as_bytes())
    };
    for roles in [
        &["crash"][..],
        &["broken"],
        &["analyst", "admin"],
        &["typo"],
    ] {
        for _ in 0..2 {
            let reply = ambiguous(&mut masking, roles).unwrap_err();
            assert_eq!(
                (reply.status, reply.code.as_str()),
                (500, "POLICY_FAILED"),
                "{roles:?}"
            );
            assert!(
                ambiguous(&mut masking, &["analyst"]).is_ok(),
                "after {roles:?}"
            );
            // Another caller: nothing that was remembered helps.
            let mut token = token("analyst");
            token.0.insert("sub", format!("{roles:?}").into_bytes());
            let mut stream = MaskingStream::new();
            stream.request_headers(&mut masking, Headers(&post()), &token, false);
            assert!(stream.request_body(&mut masking, body.as_bytes()).is_ok());
        }
    }
}
