//! What a request to a route compares: by its parameters, its path and its body.

use super::*;

fn routed() -> Masking {
    let mut config = config();
    config["routes"] = json!([
        {"name": "people", "path": "/people", "type": "P", "methods": ["GET", "HEAD", "POST", "QUERY"],
         "columns": {"mail": "P.email", "boss_mail": "P.email", "title": "P.name"},
         "compared": {"free": ["P.name", "P.email"], "email_format": [], "pay": ["P.name"]}},
        {"name": "person", "path": "/people/{id}", "type": "P", "methods": ["GET", "PATCH"]},
        {"name": "by-email", "path": "/by-email/{value}", "type": "P"},
        {"name": "email", "path": "/email/{value}", "type": "P"},
        {"name": "named", "path": "/one/{email}", "type": "P"},
        {"name": "mailed", "path": "/two/{mail}", "type": "P", "columns": {"mail": "P.email"}},
        {"name": "sorted", "path": "/sorted/{sort}", "type": "P"},
        {"name": "open", "path": "/open/{email}", "type": "P", "methods": ["GET", "POST"],
         "compared": {"email": [], ":body": []}},
        {"name": "export", "path": "/export", "type": "P", "methods": ["POST"], "surface": "export",
         "columns": {"mail": "P.email"}},
        {"name": "closed", "path": "/closed", "type": "P", "methods": ["POST"],
         "compared": {":body": ["P.salary"]}},
    ]);
    Masking::configure(config.to_string().as_bytes(), |_| None).unwrap()
}

/// What becomes of a request: the status and code of its refusal.
fn sent(
    masking: &mut Masking,
    role: &str,
    (method, path): (&str, &str),
    body: Option<(&str, &str)>,
) -> Option<(u16, String)> {
    let mut headers = pairs(&[(":method", method), (":path", path)]);
    headers.extend(
        body.iter()
            .flat_map(|(content_type, _)| pairs(&[("content-type", content_type)])),
    );
    let mut stream = MaskingStream::new();
    let effect = stream.request_headers(masking, Headers(&headers), &token(role), body.is_none());
    let reply = match effect {
        HeadEffect::Reply(reply) => reply,
        HeadEffect::Forward(_) => return None,
        HeadEffect::Hold(_) => {
            let body = body.map(|(_, text)| text).unwrap_or_default();
            match stream.request_body(masking, body.as_bytes()) {
                Ok(instead) => {
                    assert_eq!(instead, None, "the body goes on as it is");
                    assert!(stream.passes_request());
                    return None;
                }
                Err(reply) => reply,
            }
        }
    };
    assert_eq!(record(&stream)["outcome"], "denied");
    Some((reply.status, reply.code))
}

fn compared() -> Option<(u16, String)> {
    Some((403, "MASKED_FIELD_COMPARED".into()))
}

#[test]
fn columns_are_names_of_fields() {
    let mut masking = routed();
    for query in [
        "mail=ada",
        "sort=mail",
        "sort=-MAIL",
        "groupBy=mail",
        "q=mail:ada",
        "boss_mail=x",
        "bossMail=x",
        "mails=x",
        "filter%5Bmail%5D=x",
        "filter={\"mail\":1}",
        "max=salary",
        "$orderby=email",
        "$filter=contains(email,'x')",
        "rsql=email==a",
        "free=x",
        "first=3;mail=x",
    ] {
        let path = format!("/people?{query}");
        assert_eq!(
            sent(&mut masking, "analyst", ("GET", &path), None),
            compared(),
            "{query}"
        );
        assert_eq!(
            sent(&mut masking, "owner", ("GET", &path), None),
            None,
            "{query}"
        );
    }
    for query in [
        "title=mail",
        "sort=title",
        "email_format=x",
        "pay=x",
        "first=3",
        "name=email",
    ] {
        let path = format!("/people?{query}");
        assert_eq!(
            sent(&mut masking, "analyst", ("GET", &path), None),
            None,
            "{query}"
        );
    }
    // `mail` is a column of some routes only.
    assert_eq!(
        sent(&mut masking, "analyst", ("GET", "/people/1?mail=x"), None),
        None
    );
}

#[test]
fn open_segments_of_a_path_are_compared() {
    let mut masking = routed();
    for (path, want) in [
        ("/by-email/ada", compared()),
        ("/email/ada", compared()),
        ("/one/ada", compared()),
        ("/two/ada", compared()),
        ("/sorted/email", compared()),
        ("/sorted/%65mail", compared()),
        ("/sorted/name", None),
        ("/people/email", None),
        ("/open/ada", None),
        // What of it is fixed is remembered, and what is not is looked at each time.
        ("/by-email/bob", compared()),
        ("/sorted/email", compared()),
        ("/sorted/id", None),
        ("/sorted/NAME", None),
        ("/sorted/EMAIL", compared()),
    ] {
        assert_eq!(
            sent(&mut masking, "analyst", ("GET", path), None),
            want,
            "{path}"
        );
        assert_eq!(
            sent(&mut masking, "owner", ("GET", path), None),
            None,
            "{path}"
        );
    }
}

#[test]
fn bodies_of_routes_are_compared() {
    let mut masking = routed();
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let bad = |status: u16, code: &str| Some((status, code.to_owned()));
    for (method, path, content_type, body, want) in [
        ("GET", "/people", json, "{}", bad(400, "BAD_REQUEST")),
        ("HEAD", "/people", json, "{}", bad(400, "BAD_REQUEST")),
        // An export is asked for.
        ("POST", "/export", json, r#"{"email": "x"}"#, compared()),
        (
            "POST",
            "/export",
            json,
            r#"{"a": [{"mail": "x"}]}"#,
            compared(),
        ),
        ("POST", "/export", json, r#"{"sort": "-mail"}"#, compared()),
        (
            "POST",
            "/export",
            json,
            r#"[{"\u0065mail": 1}]"#,
            compared(),
        ),
        ("POST", "/export", json, r#""email = 'x'""#, compared()),
        ("POST", "/export", json, r#"{"name": "email"}"#, None),
        ("POST", "/export", form, "mail=x", compared()),
        ("POST", "/export", form, "name=x", None),
        ("POST", "/export", form, "name=x;mail=a", compared()),
        ("POST", "/people", form, "name=x;email=a", compared()),
        ("POST", "/people", form, "name=x;title=a", None),
        ("QUERY", "/people", json, r#"{"email": "x"}"#, compared()),
        // Elsewhere it is written, but for what compares.
        (
            "POST",
            "/people",
            json,
            r#"{"email": "x", "note": "email = x"}"#,
            None,
        ),
        (
            "PATCH",
            "/people/1",
            "application/merge-patch+json",
            r#"{"email": "x"}"#,
            None,
        ),
        (
            "POST",
            "/people",
            json,
            r#"{"filter": {"email": "x"}}"#,
            compared(),
        ),
        (
            "POST",
            "/people",
            json,
            r#"{"a": [{"where": "mail = 'x'"}]}"#,
            compared(),
        ),
        (
            "POST",
            "/people",
            json,
            r#"{"query": {"match": {"mail": "x"}}}"#,
            compared(),
        ),
        (
            "POST",
            "/people",
            json,
            r#"{"sort": ["-email"]}"#,
            compared(),
        ),
        (
            "POST",
            "/people",
            json,
            r#"{"orderBy": "EMAIL"}"#,
            compared(),
        ),
        (
            "POST",
            "/people",
            json,
            r#"{"groupBy": {"field": "email"}}"#,
            compared(),
        ),
        (
            "POST",
            "/people",
            json,
            r#"{"search": "email:x"}"#,
            compared(),
        ),
        (
            "POST",
            "/people",
            json,
            r#"{"filter": {"name": "x"}, "sort": "name"}"#,
            None,
        ),
        ("POST", "/people", form, "email=x", compared()),
        ("POST", "/people", form, "a=%f", bad(400, "BAD_REQUEST")),
        ("POST", "/people", json, "{", bad(400, "BAD_REQUEST")),
        ("POST", "/people", json, "{} {}", bad(400, "BAD_REQUEST")),
        ("POST", "/people", json, "", None),
        // What can't be looked into.
        (
            "POST",
            "/people",
            "text/plain",
            "email",
            bad(415, "UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            "POST",
            "/people",
            "application/json; charset=utf-7",
            "{}",
            bad(415, "UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            "PATCH",
            "/people/1",
            "application/json-patch+json",
            "[]",
            bad(415, "UNSUPPORTED_MEDIA_TYPE"),
        ),
        ("POST", "/open/x", "text/plain", "email", None),
        ("POST", "/closed", json, "{}", compared()),
    ] {
        let body = Some((content_type, body));
        let at = format!("{method} {path} {body:?}");
        assert_eq!(
            sent(&mut masking, "analyst", (method, path), body),
            want,
            "{at}"
        );
        if !matches!(method, "GET" | "HEAD") {
            // Who sees all fields may compare all.
            assert_eq!(
                sent(&mut masking, "owner", (method, path), body),
                None,
                "{at}"
            );
        }
    }
    let mut headers = pairs(&[
        (":method", "POST"),
        (":path", "/people"),
        ("content-type", json),
    ]);
    headers.extend(pairs(&[("content-encoding", "gzip")]));
    let mut stream = MaskingStream::new();
    let effect = stream.request_headers(&mut masking, Headers(&headers), &token("analyst"), false);
    let HeadEffect::Reply(reply) = effect else {
        panic!("{effect:?}")
    };
    assert_eq!(reply.status, 415);
    // A body that is too long is refused before it is whole, as a problem document.
    let headers = pairs(&[
        (":method", "POST"),
        (":path", "/people"),
        ("content-type", json),
    ]);
    let mut stream = MaskingStream::new();
    stream.request_headers(&mut masking, Headers(&headers), &token("analyst"), false);
    assert!(stream.awaits_request() && stream.request_progress(&masking, 500).is_ok());
    let reply = stream.request_progress(&masking, 501).unwrap_err();
    assert!(reply.status == 413 && reply.body.starts_with('{') && !reply.body.contains("errors"));
}

#[test]
fn a_request_can_bring_so_much_and_no_more() {
    let mut config = config();
    config["limits"]["request_bytes"] = json!(1 << 18);
    config["routes"] = json!([
        {"name": "people", "path": "/people", "type": "P", "methods": ["POST"]},
        {"name": "export", "path": "/export", "type": "P", "methods": ["POST"], "surface": "export"},
    ]);
    let mut masking = Masking::configure(config.to_string().as_bytes(), |_| None).unwrap();
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let much = || Some((400, "BAD_REQUEST".to_owned()));
    let all = |part: &str| part.repeat((1 << 18) / part.len() - 8);
    for (path, content_type, body, want) in [
        ("/export", form, format!("{}=x", "a".repeat(257)), much()),
        ("/export", form, format!("{}=x", "a".repeat(256)), None),
        ("/export", form, "a=x&".repeat(501), much()),
        ("/export", form, "a=x;".repeat(501), much()),
        ("/export", form, "a=x&".repeat(500), None),
        ("/export", form, "q=a+b+c+d+e&".repeat(401), much()),
        ("/export", form, "q=a+b+c+d+e&".repeat(400), None),
        ("/export", form, format!("q={}", "a".repeat(257)), much()),
        ("/export", form, format!("{}=x", all("a_")), much()),
        ("/export", form, format!("q={}", all("a_")), much()),
        ("/export", form, format!("q={}", all("\\u{")), much()),
        ("/export", form, format!("q='{}'", all(" ")), None),
        ("/export", form, format!("q='x={}'", all(" ")), None),
        (
            "/export",
            json,
            format!(r#"{{"{}": 1}}"#, all("a_")),
            much(),
        ),
        (
            "/people",
            json,
            format!(r#"{{"{}": 1}}"#, all("a_")),
            much(),
        ),
        (
            "/people",
            json,
            format!(r#"{{"a": "{}"}}"#, all("a_")),
            None,
        ),
        (
            "/people",
            json,
            format!(r#"{{"sort": "{}"}}"#, all("a_")),
            much(),
        ),
    ] {
        let at = format!("{path} {content_type} {}", body.get(..20).unwrap_or(&body));
        let body = Some((content_type, body.as_str()));
        let got = sent(&mut masking, "analyst", ("POST", path), body);
        assert_eq!(got, want, "{at}");
    }
}

#[test]
fn lists_of_what_is_compared_fit_the_schema() {
    for (pointer, value, want) in [
        (
            "/graphql",
            json!({"compared": {"Query.nope.x": []}}),
            "graphql.compared",
        ),
        (
            "/routes",
            json!([{"name": "a", "path": "/a", "type": "P", "compared": {"q": ["P.nope"]}}]),
            "P.nope",
        ),
        (
            "/routes",
            json!([{"name": "a", "path": "/a", "type": "P", "columns": {"q": "P.nope"}}]),
            "column `q`",
        ),
    ] {
        let mut config = config();
        config[pointer.trim_start_matches('/')] = value;
        let error = Masking::configure(config.to_string().as_bytes(), |_| None).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
    }
}
