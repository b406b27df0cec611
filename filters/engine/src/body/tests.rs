//! Bodies in all forms, in pieces of several sizes.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use super::*;
use crate::config::{Format, RouteConfig};
use crate::graphql::{self, Document};
use crate::mask::{self, Envelope, RoutePlan, RuleTable};
use crate::policy::{Decision, Surface};
use crate::schema::Schema;

const SDL: &str = r#"
type Query { me: Person people: [Person!]! name: String }
type Person { id: ID! name: String email: String salary: Int boss: Person }
type Subscription { joined: Person }
"#;

fn schema() -> Schema {
    Schema::parse(SDL).unwrap()
}

fn table(surface: Surface) -> RuleTable {
    let rules = json!({
        "Person.email": {"strategy": "redact", "reason": "r"},
        "Person.salary": {"strategy": "null", "reason": "r"},
    });
    let decision: Decision =
        serde_json::from_value(json!({"allow": true, "rules": rules})).unwrap();
    RuleTable::new(&schema(), &decision, surface).unwrap()
}

fn plan(query: &str) -> Arc<Plan> {
    let document = Document::parse(query, graphql::Limits::default()).unwrap();
    let (_, operation) = document.operation(None).unwrap();
    let envelope = Envelope::Generic {
        codes: vec!["OOPS".into()],
    };
    let table = table(Surface::Graphql);
    let limits = mask::Limits::default();
    let plan = mask::compile(
        &schema(),
        &document,
        operation,
        &table,
        &envelope,
        None,
        limits,
    );
    Arc::new(plan.unwrap())
}

fn route(at: &str, pass: &[&str], columns: Value) -> Arc<RoutePlan> {
    let config = RouteConfig {
        name: "r".into(),
        path: "/r".into(),
        methods: vec!["GET".into()],
        surface: Surface::Export,
        format: Format::Auto,
        of: "Person".into(),
        at: at.into(),
        pass: pass.iter().map(|p| (*p).to_owned()).collect(),
        columns: serde_json::from_value(columns).unwrap(),
        compared: Default::default(),
    };
    let table = table(Surface::Export);
    let plan = mask::compile_route(&schema(), &config, &table, None, mask::Limits::default());
    Arc::new(plan.unwrap())
}

fn limits() -> BodyLimits {
    BodyLimits {
        json: Limits::default(),
        part: 2000,
    }
}

/// What a body becomes, the same whatever pieces it comes in.
#[track_caller]
fn run(make: impl Fn() -> Box<dyn Form>, body: &str) -> Result<String, BodyError> {
    let mut seen: Option<Result<String, BodyError>> = None;
    for size in [1, 2, 7, 64, 100_000] {
        let mut form = make();
        let mut out = Vec::new();
        let mut pieces = body.as_bytes().chunks(size);
        let result = pieces
            .try_for_each(|p| form.push(p, &mut out))
            .and_then(|()| form.finish(&mut out))
            .map(|()| String::from_utf8(out).unwrap());
        match &seen {
            None => seen = Some(result),
            Some(first) => assert_eq!(&result, first, "in pieces of {size}"),
        }
    }
    seen.unwrap()
}

#[test]
fn a_batch_is_masked_one_by_one() {
    let plans = vec![plan("{me{email}}"), plan("{me{email:name}}")];
    let refused = Arc::new(mask::refused(&Envelope::Generic {
        codes: vec!["OOPS".into()],
    }));
    let batch = |body: &str| {
        run(
            || Box::new(BatchBody::new(plans.clone(), refused.clone(), limits())),
            body,
        )
    };
    assert_eq!(
        batch(r#" [ {"data":{"me":{"email":"a@x"}}} ,{"data":{"me":{"email":"Ann"}}}] "#).unwrap(),
        r#" [ {"data":{"me":{"email":"[REDACTED]"}}} ,{"data":{"me":{"email":"Ann"}}}] "#
    );
    // One object for all: nothing of its data is shown.
    assert_eq!(
        batch(r#"{"data":{"me":{"email":"a@x"}},"errors":[{"message":"a@x","extensions":{"code":"OOPS"}}]}"#).unwrap(),
        r#"{"errors":[{"message":"the upstream reported an error","extensions":{"code":"OOPS"}}]}"#
    );
    let one = r#"{"data":{"me":{"email":"a@x"}}}"#;
    for (body, code) in [
        (format!("[{one}]"), "UPSTREAM_BATCH_MISMATCH"),
        (format!("[{one},{one},{one}]"), "UPSTREAM_BATCH_MISMATCH"),
        ("[]".into(), "UPSTREAM_BATCH_MISMATCH"),
        (format!("[{one},{one}"), "UPSTREAM_MALFORMED"),
        (format!("[{one} {one}]"), "UPSTREAM_MALFORMED"),
        (format!("[{one},]"), "UPSTREAM_MALFORMED"),
        (format!("[{one},[{one}]]"), "UPSTREAM_MALFORMED"),
        (format!("[{one},{one}]x"), "UPSTREAM_MALFORMED"),
        (format!("[{one},null]"), "UPSTREAM_MALFORMED"),
        (String::new(), "UPSTREAM_MALFORMED"),
        (
            "[{\"data\":{\"me\":{\"email\":\"a@x\"".into(),
            "UPSTREAM_MALFORMED",
        ),
    ] {
        assert_eq!(batch(&body).unwrap_err().code(), code, "{body}");
    }
}

#[test]
fn lines_are_documents() {
    let route = route("", &[], json!({}));
    let lines = |body: &str| {
        run(
            || Box::new(LinesBody::new(&route.plan, limits(), route.row)),
            body,
        )
    };
    assert_eq!(
        lines("{\"id\":1,\"email\":\"a@x\",\"more\":{\"ssn\":\"1\"}}\n\n {\"salary\":5,\"boss\":{\"email\":\"b@x\"}}\r\nnull").unwrap(),
        "{\"id\":1,\"email\":\"[REDACTED]\"}\n\n {\"salary\":null,\"boss\":{\"email\":\"[REDACTED]\"}}\r\nnull\n"
    );
    // What is no object of the type is not shown.
    assert_eq!(lines("\"a@x\"\n7\n").unwrap(), "null\nnull\n");
    for bad in [
        "{\"id\":1}{\"id\":2}\n",
        "{\"id\":\n1}",
        "{\"email\":\"a@x",
        "x\n",
    ] {
        assert!(lines(bad).is_err(), "{bad}");
    }
}

#[test]
fn documents_of_a_route_are_known_by_their_types() {
    let list = route("items", &["total"], json!({}));
    let json = |route: &Arc<RoutePlan>, body: &str| {
        run(
            || Box::new(JsonBody::at(&route.plan, limits(), route.document)),
            body,
        )
        .unwrap()
    };
    assert_eq!(
        json(
            &list,
            r#"{"total":2,"items":[{"name":"Ann","email":"a@x"}],"debug":{"email":"a@x"}}"#
        ),
        r#"{"total":2,"items":[{"name":"Ann","email":"[REDACTED]"}]}"#
    );
    let bare = route("", &[], json!({"mail": "Person.email"}));
    assert_eq!(
        json(
            &bare,
            r#"[{"name":"Ann","mail":"a@x","e-mail":"a@x"},"a@x"]"#
        ),
        r#"[{"name":"Ann","mail":"[REDACTED]"},null]"#
    );
    // A name can be data, so one that is not known is not shown, at any level.
    for body in [
        r#"{"a@x":{"name":"Ann","email":"a@x"}}"#,
        r#"{"total":{},"a@x":1}"#,
        r#"{"items":{"a@x":{"a@x":[{"a@x":"a@x"}]}},"total":0}"#,
        r#"{"items":[{"boss":{"boss":{"\u0061@x":1,"a@x ":2}}}]}"#,
    ] {
        for route in [&list, &bare] {
            let mut form = JsonBody::at(&route.plan, limits(), route.document);
            let mut out = Vec::new();
            form.push(body.as_bytes(), &mut out).unwrap();
            form.finish(&mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(!out.contains("@x") && !out.contains("[R"), "{body}: {out}");
            assert!(form.stats().dropped > 0, "{body}");
        }
    }
}

#[test]
fn rows_are_masked_by_their_columns() {
    let route = route("", &[], json!({"E-Mail": "Person.email"}));
    let csv = |body: &str| run(|| Box::new(CsvBody::new(&route, limits())), body);
    assert_eq!(
        csv("\u{feff}id,\"name\",E-Mail,ssn,boss.email\r\n1,\"Ann \"\"A\"\" B\",a@x,078,b@x\r\n2,,,,\r\n").unwrap(),
        "\u{feff}id,\"name\",E-Mail,[REDACTED],boss.email\r\n1,\"Ann \"\"A\"\" B\",[REDACTED],[REDACTED],[REDACTED]\r\n2,,[REDACTED],[REDACTED],[REDACTED]\r\n"
    );
    // A line break in a cell is no row, and the last row needs none.
    assert_eq!(
        csv("email,name\n\"a@x\nname,1\",\"x,\ny\"").unwrap(),
        "email,name\n[REDACTED],\"x,\ny\""
    );
    assert_eq!(csv("salary,name\n5,Ann\n").unwrap(), "salary,name\n,Ann\n");
    for bad in [
        "name\nAnn,a@x\n",
        "name,name\n1,2\n",
        "name,email\n\"Ann,a@x\n",
        "name\nAn\"n\n",
        "name\n\"Ann\"x\n",
        "name\rAnn\r",
        "\nAnn\n",
        "",
    ] {
        assert!(csv(bad).is_err(), "{bad:?} became {:?}", csv(bad));
    }
    let long = format!("name\n{}\n", "x".repeat(3000));
    assert_eq!(csv(&long), Err(BodyError::PartTooLong));
}

#[test]
fn a_first_row_that_may_be_data_is_not_shown() {
    let route = route("", &[], json!({"E-Mail": "Person.email"}));
    let csv = |body: &str| run(|| Box::new(CsvBody::new(&route, limits())), body);
    for bad in [
        "1,Ann,a@x\n2,Bob,b@x\n",
        "\u{feff}1,Ann,a@x\n",
        "1;name;email\n",
        "ssn\n1\n",
        "\"a@x\"\r\n",
        "a@x",
        "id\tname\temail\n1\tAnn\ta@x\n",
    ] {
        let mut form = CsvBody::new(&route, limits());
        let mut out = Vec::new();
        let result = form.push(bad.as_bytes(), &mut out);
        let result = result.and_then(|()| form.finish(&mut out));
        assert_eq!(result, Err(BodyError::NoHeader), "{bad:?}");
        assert_eq!(out, b"", "{bad:?}: nothing of it goes out");
        assert_eq!(csv(bad), Err(BodyError::NoHeader), "{bad:?}");
    }
    assert_eq!(BodyError::NoHeader.code(), "UPSTREAM_NO_HEADER");
    // Beside names that are known, several may not be, and two of these may be the same.
    assert_eq!(
        csv("a@x,name,\"b@x\",a@x\n1,Ann,2,3\n").unwrap(),
        "[REDACTED],name,[REDACTED],[REDACTED]\n[REDACTED],Ann,[REDACTED],[REDACTED]\n"
    );
    // A byte order mark may stand before quotes too; it is no part of a name, and but once.
    assert_eq!(
        csv("\u{feff}\"name\",id\nAnn,1\n").unwrap(),
        "\u{feff}\"name\",id\nAnn,1\n"
    );
    assert_eq!(
        csv("\u{feff}a@x,name\n1,Ann\n").unwrap(),
        "\u{feff}[REDACTED],name\n[REDACTED],Ann\n"
    );
    assert_eq!(
        csv("\u{feff}\u{feff}id,name\n1,Ann\n").unwrap(),
        "\u{feff}[REDACTED],name\n[REDACTED],Ann\n"
    );
    let long = format!("name,{}\n", "x,".repeat(3000));
    assert_eq!(csv(&long), Err(BodyError::PartTooLong));
}

#[test]
fn a_redacted_cell_is_not_an_empty_one() {
    let sdl = "type Query{p:P} type P{id:ID! pay:Int due:Int! ok:Boolean at:When hue:Hue \
               tags:[String!] name:String} scalar When enum Hue{RED}";
    let schema = Schema::parse(sdl).unwrap();
    let config: RouteConfig = serde_json::from_value(json!({
        "name": "r", "path": "/r", "type": "P"
    }))
    .unwrap();
    let header = "id,pay,due,ok,at,hue,tags,name";
    for (strategy, filled, empty) in [
        (
            "redact",
            "1,[],[],[],[],[],[],[]".replace("[]", "[REDACTED]"),
            "1,[],[],[],[],[],[],[]".replace("[]", "[REDACTED]"),
        ),
        ("null", "1,,[REDACTED],,,,,".to_owned(), "1,,,,,,,".into()),
        (
            "partial",
            "1,[],[],[],[],[],****el,****el".replace("[]", "[REDACTED]"),
            "1,,,,,,,".into(),
        ),
    ] {
        let rule = json!({"strategy": strategy, "keep_last": 2, "reason": "r"});
        let names = header.split(',').skip(1);
        let rules: serde_json::Map<String, Value> =
            names.map(|n| (format!("P.{n}"), rule.clone())).collect();
        let decision: Decision =
            serde_json::from_value(json!({"allow": true, "rules": rules})).unwrap();
        let table = RuleTable::new(&schema, &decision, Surface::Export).unwrap();
        let route = mask::compile_route(&schema, &config, &table, None, mask::Limits::default());
        let route = Arc::new(route.unwrap());
        let body = format!("{header}\n1,5,6,true,2027,RED,personnel,personnel\n1,,,,,,,\n");
        let seen = run(|| Box::new(CsvBody::new(&route, limits())), &body);
        assert_eq!(
            seen.unwrap(),
            format!("{header}\n{filled}\n{empty}\n"),
            "{strategy}"
        );
    }
}

#[test]
fn redactions_have_every_name_that_the_answers_can_have() {
    let columns = json!({"mail": "Person.email", "pay": "Person.salary"});
    let route = route("", &[], columns);
    let own = BTreeMap::from([
        ("email", "redact"),
        ("mail", "redact"),
        ("pay", "null"),
        ("salary", "null"),
    ]);
    assert_eq!(route.redactions(false), own);
    // An object in a cell is a text of which nothing is known.
    let mut table = own;
    table.insert("boss", "redact");
    assert_eq!(route.redactions(true), table);
}

#[test]
fn a_hashed_cell_is_whole() {
    let config = RouteConfig {
        name: "r".into(),
        path: "/r".into(),
        methods: vec!["GET".into()],
        surface: Surface::Rest,
        format: Format::Csv,
        of: "Person".into(),
        at: String::new(),
        pass: Vec::new(),
        columns: Default::default(),
        compared: Default::default(),
    };
    let rules = json!({"Person.email": {"strategy": "hash", "reason": "r"}});
    let decision: Decision =
        serde_json::from_value(json!({"allow": true, "rules": rules})).unwrap();
    let table = RuleTable::new(&schema(), &decision, Surface::Rest).unwrap();
    let keys = mask::Keyring::parse(&format!("k1:{}", "A".repeat(43))).unwrap();
    let limits_ = mask::Limits::default();
    let route =
        mask::compile_route(&schema(), &config, &table, Some((&keys, "acme")), limits_).unwrap();
    let route = Arc::new(route);
    let seen = run(
        || Box::new(CsvBody::new(&route, limits())),
        "email,id\na@x,1\nb@x,2\na@x,3\n",
    );
    let seen = seen.unwrap();
    let tags: Vec<&str> = seen
        .lines()
        .skip(1)
        .map(|l| l.split(',').next().unwrap())
        .collect();
    assert!(
        tags.iter()
            .all(|t| t.starts_with("h:k1:") && !t.contains("--")),
        "{seen}"
    );
    assert_eq!(tags[0], tags[2]);
    assert_ne!(tags[0], tags[1]);
}

fn parts(boundary: &str, parts: &[&str]) -> String {
    let mut body = String::new();
    for part in parts {
        body += &format!(
            "\r\n--{boundary}\r\nContent-Type: application/json; charset=utf-8\r\n\r\n{part}"
        );
    }
    body + &format!("\r\n--{boundary}--\r\n")
}

/// The JSON of each part of a multipart body.
fn split(body: &str) -> Vec<Value> {
    let inner = body
        .strip_prefix("---")
        .unwrap()
        .strip_suffix("\r\n-----\r\n")
        .unwrap();
    inner
        .split("\r\n---")
        .map(|part| serde_json::from_str(part.split_once("\r\n\r\n").unwrap().1).unwrap())
        .collect()
}

#[test]
fn deferred_data_is_masked_at_its_place() {
    let plan = plan(
        "{me{name ...F @defer(label:\"f\")} people @stream(initialCount:0,label:\"p\"){email}} fragment F on Person{email boss{email salary}}",
    );
    let multipart = |body: &str| run(|| Box::new(MultipartBody::new(&plan, limits(), "-")), body);
    // As of 2022: places by path, which may come last; and before that, at the top of the part.
    let old = parts(
        "-",
        &[
            r#"{"data":{"me":{"name":"Ann"},"people":[]},"hasNext":true}"#,
            r#"{"hasNext":true,"incremental":[{"data":{"email":"a@x","boss":{"email":"b@x","salary":5,"ssn":"1"}},"path":["me"],"label":"f"},{"items":[{"email":"c@x"}],"path":["people",0],"label":"a@x"}]}"#,
            r#"{"data":{"email":"a@x"},"path":["people",1],"errors":[{"message":"a@x"}],"hasNext":false}"#,
        ],
    );
    let boss = json!({"email": "[REDACTED]", "salary": null});
    assert_eq!(
        split(&multipart(&old).unwrap()),
        [
            json!({"data": {"me": {"name": "Ann"}, "people": []}, "hasNext": true}),
            json!({"hasNext": true, "incremental": [
                {"data": {"email": "[REDACTED]", "boss": boss}, "path": ["me"], "label": "f"},
                {"items": [{"email": "[REDACTED]"}], "path": ["people", 0]},
            ]}),
            json!({"data": {"email": "[REDACTED]"}, "path": ["people", 1],
            "errors": [{"message": "the upstream reported an error"}], "hasNext": false}),
        ]
    );
    // As of now: places by id.
    let new = parts(
        "-",
        &[
            r#"{"data":{"me":{"name":"Ann"},"people":[]},"pending":[{"id":"a@x","path":["me"],"label":"f"},{"id":"1","path":["people"]}],"hasNext":true}"#,
            r#"{"incremental":[{"data":{"email":"a@x"},"id":"a@x"},{"data":{"salary":5},"id":"a@x","subPath":["boss"]},{"items":[{"email":"c@x"}],"id":"1"}],"completed":[{"id":"a@x"},{"id":"1","errors":[{"message":"a@x"}]}],"hasNext":false}"#,
        ],
    );
    assert_eq!(
        split(&multipart(&new).unwrap()),
        [
            json!({"data": {"me": {"name": "Ann"}, "people": []},
            "pending": [{"id": "0", "path": ["me"], "label": "f"}, {"id": "1", "path": ["people"]}], "hasNext": true}),
            json!({"incremental": [
            {"id": "0", "data": {"email": "[REDACTED]"}},
            {"id": "0", "data": {"salary": null}, "subPath": ["boss"]},
            {"id": "1", "items": [{"email": "[REDACTED]"}]},
        ], "completed": [{"id": "0"}, {"id": "1", "errors": [{"message": "the upstream reported an error"}]}], "hasNext": false}),
        ]
    );
    for bad in [
        r#"{"incremental":[{"data":{"email":"a@x"},"path":["nope"]}]}"#,
        r#"{"incremental":[{"data":{"email":"a@x"},"path":["me","name","x"]}]}"#,
        r#"{"incremental":[{"data":{"email":"a@x"}}]}"#,
        r#"{"incremental":[{"data":{"email":"a@x"},"id":"7"}]}"#,
        r#"{"incremental":[{"data":{},"items":[],"path":["me"]}]}"#,
        r#"{"pending":[{"id":"1","path":["me"]},{"id":"1","path":["me"]}]}"#,
        r#"{"completed":[{"id":"1"}]}"#,
        r#"{"data":{},"secret":"a@x"}"#,
        r#"{"data":{},"data":{}}"#,
        r#"[{"email":"a@x"}]"#,
        "a@x",
        "",
    ] {
        let seen = multipart(&parts("-", &[bad]));
        assert!(
            matches!(seen, Err(BodyError::Incremental(_))),
            "{bad}: {seen:?}"
        );
    }
}

#[test]
fn what_stands_below_a_masked_object_is_not_sent() {
    let sdl = "type Query{me:P} type P{name:String secret:Q} type Q{x:String}";
    let schema = Schema::parse(sdl).unwrap();
    let decision: Decision = serde_json::from_value(json!({"allow": true, "rules":
        {"P.secret": {"strategy": "redact", "reason": "r"}}}))
    .unwrap();
    let table = RuleTable::new(&schema, &decision, Surface::Graphql).unwrap();
    let document = Document::parse("{me{secret{x}}}", graphql::Limits::default()).unwrap();
    let (_, operation) = document.operation(None).unwrap();
    let plan = mask::compile(
        &schema,
        &document,
        operation,
        &table,
        &Envelope::Verbatim,
        None,
        mask::Limits::default(),
    );
    let plan = Arc::new(plan.unwrap());
    let part = r#"{"incremental":[{"data":{"x":"a@x"},"path":["me","secret"]}],"hasNext":false}"#;
    let seen = run(
        || Box::new(MultipartBody::new(&plan, limits(), "-")),
        &parts("-", &[part]),
    );
    assert_eq!(
        split(&seen.unwrap())[0]["incremental"][0],
        json!({"data": null, "path": ["me", "secret"]})
    );
}

#[test]
fn an_upstreams_boundary_is_not_sent_on() {
    let plan = plan("{me{email}}");
    let body = parts(
        "a@x",
        &[r#"{"data":{"me":{"email":"b@x"}},"hasNext":false}"#],
    );
    let seen = run(
        || Box::new(MultipartBody::new(&plan, limits(), "a@x")),
        &body,
    );
    let seen = seen.unwrap();
    assert!(!seen.contains("@x"), "{seen}");
    assert_eq!(split(&seen).len(), 1);
}

#[test]
fn multipart_is_read_strictly() {
    let plan = plan("{me{email}}");
    let multipart = |body: &str| run(|| Box::new(MultipartBody::new(&plan, limits(), "-")), body);
    let data = r#"{"data":{"me":{"email":"a@x"}}}"#;
    let good = format!(
        "---\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n{data}\r\n-----\r\nepilogue a@x"
    );
    let seen = multipart(&good).unwrap();
    assert!(
        seen.contains("[REDACTED]") && !seen.contains("a@x") && !seen.contains("-length"),
        "{seen}"
    );
    for bad in [
        format!("a@x\r\n---\r\n\r\n{data}\r\n-----\r\n"),
        format!("---\r\n\r\n{data}\r\n---"),
        format!("---\r\n\r\n{data}"),
        format!("---x\r\n\r\n{data}\r\n-----\r\n"),
        format!("---\r\ncontent-type: text/html\r\n\r\n{data}\r\n-----\r\n"),
        format!("---\r\ncontent-encoding: gzip\r\n\r\n{data}\r\n-----\r\n"),
        format!("---\r\nno header\r\n\r\n{data}\r\n-----\r\n"),
        format!("---\r\n{data}\r\n-----\r\n"),
        "---\r\n---\r\n".into(),
        data.into(),
        String::new(),
    ] {
        assert!(multipart(&bad).is_err(), "{bad:?}");
    }
    // Blanks behind a boundary, many parts in one piece: no step goes over all that is left.
    let many = format!("---{}", "\t".repeat(200_000));
    let many = format!(
        "{many}\r\n\r\n{data}{}\r\n-----\r\n",
        format!("\r\n---\r\n\r\n{data}").repeat(5000)
    );
    let mut form = MultipartBody::new(&plan, limits(), "-");
    let mut out = Vec::new();
    form.push(many.as_bytes(), &mut out).unwrap();
    form.finish(&mut out).unwrap();
    assert_eq!(
        String::from_utf8(out)
            .unwrap()
            .matches("[REDACTED]")
            .count(),
        5001
    );
    // The limit is the same, whether a part comes in one piece or in many.
    for (padding, fits) in [(1900, true), (2100, false)] {
        let part = format!("---\r\n\r\n{}{data}\r\n-----\r\n", " ".repeat(padding));
        assert_eq!(multipart(&part).is_ok(), fits, "{padding}");
    }
    let long = format!("---\r\n\r\n{{\"data\":{}", " ".repeat(3000));
    assert_eq!(multipart(&long), Err(BodyError::PartTooLong));
    for (content_type, want) in [
        ("multipart/mixed", Some("-")),
        ("Multipart/Mixed; boundary=abc; x=y", Some("abc")),
        (
            "multipart/mixed; deferSpec=20220824; Boundary=\"a b\"",
            Some("a b"),
        ),
        ("multipart/mixed; boundary=\"\"", None),
        ("multipart/mixed; boundary=a\u{1}", None),
        ("multipart/related; boundary=a", None),
        ("application/json", None),
    ] {
        assert_eq!(boundary(content_type).as_deref(), want, "{content_type}");
    }
}

#[test]
fn events_are_masked() {
    let plan = plan("subscription{joined{name email}}");
    let events = |body: &str| run(|| Box::new(EventsBody::new(&plan, limits())), body);
    assert_eq!(
        events(":a@x\n\nevent: next\nid: a@x\ndata: {\"data\":{\"joined\":\ndata: {\"name\":\"Ann\",\"email\":\"a@x\"}}}\n\nretry: 100\nevent: complete\ndata: a@x\n\n").unwrap(),
        ":\n\nevent: next\ndata: {\"data\":{\"joined\":\ndata: {\"name\":\"Ann\",\"email\":\"[REDACTED]\"}}}\n\nretry: 100\n\nevent: complete\ndata:\n\n"
    );
    // How long to wait has a few digits: a longer number could be anybody's.
    for (sent, seen) in [
        ("retry: 123456789\n\n", "retry: 123456789\n\n"),
        ("retry: 7310000017310000\n\n", "retry: 731000001\n\n"),
        ("retry: 1a@x\n\n", ""),
        ("retry: -1\n\n", ""),
        ("retry:\n\n", ""),
    ] {
        assert_eq!(events(sent).unwrap(), seen, "{sent:?}");
    }
    let carriage = events(
        "data:{\"data\":{\"joined\":null}}\r\n\r\ndata: {\"errors\":[{\"message\":\"a@x\"}]}\r\r",
    )
    .unwrap();
    assert!(
        carriage.starts_with("data: {\"data\":{\"joined\":null}}\n\ndata: {\"errors\""),
        "{carriage}"
    );
    assert!(!carriage.contains("a@x"));
    // An event that is not whole is none.
    assert_eq!(
        events("data: {\"data\":{\"joined\":{\"name\":\"Ann\"}}}\n").unwrap(),
        ""
    );
    for bad in [
        "{\"data\":{\"joined\":{\"email\":\"a@x\"}}}\n",
        "event: a@x\ndata: {}\n\n",
        "data: a@x\n\n",
        "data: {\"payload\":{\"payload\":{}}}\n\n",
        "data: [1]\n\n",
    ] {
        assert!(events(bad).is_err(), "{bad}");
    }
    assert_eq!(
        events(&format!("data: {}", "x".repeat(3000))),
        Err(BodyError::PartTooLong)
    );
    // Results of a subscription by multipart stand in a payload.
    let part = r#"{"payload":{"data":{"joined":{"name":"Ann","email":"a@x"}}}}"#;
    let seen = run(
        || Box::new(MultipartBody::new(&plan, limits(), "graphql")),
        &parts(
            "graphql",
            &[
                "{}",
                part,
                r#"{"payload":null,"errors":[{"message":"a@x"}]}"#,
            ],
        ),
    );
    let seen = seen.unwrap();
    assert!(
        seen.contains("[REDACTED]") && seen.contains("\"payload\":null") && !seen.contains("a@x"),
        "{seen}"
    );
}

fn compressed(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::best();
    match encoding {
        Encoding::Gzip => {
            let mut e = flate2::write::GzEncoder::new(Vec::new(), level);
            e.write_all(body).unwrap();
            e.finish().unwrap()
        }
        Encoding::Deflate => {
            let mut e = flate2::write::ZlibEncoder::new(Vec::new(), level);
            e.write_all(body).unwrap();
            e.finish().unwrap()
        }
    }
}

fn inflate(encoding: Encoding, body: &[u8], size: usize) -> Result<Vec<u8>, BodyError> {
    let mut inflate = Inflate::new(encoding, 100);
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        inflate.push(piece, |p| {
            out.extend_from_slice(p);
            Ok(())
        })?;
    }
    inflate.finish(|p| {
        out.extend_from_slice(p);
        Ok(())
    })?;
    Ok(out)
}

#[test]
fn compressed_bodies_are_decoded_or_refused() {
    let text: Vec<u8> = (0..5000u32)
        .flat_map(|n| format!("{}-", n * 7919 % 1000).into_bytes())
        .collect();
    for encoding in [Encoding::Gzip, Encoding::Deflate] {
        let whole = compressed(encoding, &text);
        for size in [1, 10, 1000, 1_000_000] {
            assert_eq!(inflate(encoding, &whole, size).as_ref(), Ok(&text));
            for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
                assert_eq!(
                    inflate(encoding, &whole[..cut], size),
                    Err(BodyError::Encoding),
                    "{cut}"
                );
            }
            let mut wrong = whole.clone();
            let at = wrong.len() - 2;
            wrong[at] ^= 1;
            assert_eq!(inflate(encoding, &wrong, size), Err(BodyError::Encoding));
            let behind = [whole.clone(), b"a@x".to_vec()].concat();
            assert_eq!(inflate(encoding, &behind, size), Err(BodyError::Encoding));
        }
        let bomb = compressed(encoding, &vec![b' '; 50 << 20]);
        assert_eq!(inflate(encoding, &bomb, 65_536), Err(BodyError::Expands));
    }
    assert_eq!(
        inflate(Encoding::Gzip, &text, 100),
        Err(BodyError::Encoding)
    );
}
