//! What an upstream answers when nothing is wrong with it.

use std::collections::BTreeSet;

use crate::client::{call, post};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use upstream::{Error, Fault, REGION_HEADER, Region, Upstream, data::secrets, queries};

async fn start(region: Region) -> Upstream {
    Upstream::start(region, "127.0.0.1:0".parse().expect("an address"))
        .await
        .expect("an upstream")
}

#[tokio::test]
async fn every_query_of_the_demo_is_answered_in_every_region() {
    for region in Region::ALL {
        let upstream = start(region).await;
        for query in queries::ALL {
            let tenant = region.tenants()[0];
            let variables = if *query == queries::RENAME {
                json!({"id": format!("{tenant}-asset-001"), "name": "New name"})
            } else {
                json!({})
            };
            let answer = post(upstream.address(), "/graphql", query.body_with(&variables))
                .send()
                .await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.header(REGION_HEADER), Some(region.as_str()));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let body = answer.json();
            assert!(body.get("errors").is_none(), "{}: {body}", query.name);
            assert!(body["data"].is_object(), "{}: {body}", query.name);
        }
    }
}

#[tokio::test]
async fn the_query_for_everything_returns_every_secret_of_its_region_and_no_other() {
    for region in Region::ALL {
        let upstream = start(region).await;
        let answer = post(upstream.address(), "/graphql", queries::EVERYTHING.body())
            .send()
            .await;
        let text = answer.text();
        for secret in secrets(region) {
            assert!(text.contains(&secret), "{region}: {secret} is not served");
        }
        for other in Region::ALL.into_iter().filter(|other| *other != region) {
            for secret in secrets(other) {
                assert!(
                    !text.contains(&secret),
                    "{region} serves {other}'s {secret}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_tenant_header_narrows_everything() {
    let upstream = start(Region::Eu).await;
    let everything = || post(upstream.address(), "/graphql", queries::EVERYTHING.body());
    let all = everything().send().await.text();
    assert!(all.contains("@acme.eu.example") && all.contains("@globex.eu.example"));

    let globex = everything()
        .with("x-ig-tenant", "globex")
        .send()
        .await
        .text();
    assert!(globex.contains("hanna.virtanen@globex.eu.example"));
    assert!(!globex.contains("acme"));

    let stranger = everything().with("x-ig-tenant", "initech").send().await;
    assert_eq!(stranger.json()["data"], Value::Null);
    assert!(!stranger.text().contains(".example"));

    let other = post(
        upstream.address(),
        "/graphql",
        json!({"query": "{ node(id: \"acme-asset-001\") { id } asset(id: \"acme-asset-001\") { id } person(id: \"acme-person-1\") { id } }"}).to_string(),
    )
    .with("x-ig-tenant", "globex")
    .send()
    .await;
    assert_eq!(
        other.json()["data"],
        json!({"node": null, "asset": null, "person": null})
    );
}

#[tokio::test]
async fn pages_of_a_connection_cover_it_once() {
    let upstream = start(Region::Apac).await;
    let mut seen = BTreeSet::new();
    let mut after = Value::Null;
    loop {
        let body = queries::CONNECTION.body_with(&json!({"first": 7, "after": after}));
        let answer = post(upstream.address(), "/graphql", body)
            .send()
            .await
            .json();
        let page = &answer["data"]["assets"];
        for edge in page["edges"].as_array().expect("edges") {
            assert!(seen.insert(edge["node"]["id"].to_string()));
        }
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            assert_eq!(page["totalCount"], json!(seen.len()));
            break;
        }
    }
    assert!(seen.len() > 30);
}

#[tokio::test]
async fn a_mutation_lasts_and_stays_within_its_tenant() {
    let upstream = start(Region::Us).await;
    let rename = queries::RENAME.body_with(&json!({"id": "initech-asset-001", "name": "Stapler"}));
    let refused = post(upstream.address(), "/graphql", rename.clone())
        .with("x-ig-tenant", "umbrella")
        .send()
        .await;
    assert_eq!(refused.json()["errors"][0]["message"], "no such asset");
    post(upstream.address(), "/graphql", rename).send().await;
    let disown = json!({"query": "mutation { setOwner(assetId: \"initech-asset-001\") { name owner { id } } }"});
    let answer = post(upstream.address(), "/graphql", disown.to_string())
        .send()
        .await;
    assert_eq!(
        answer.json()["data"]["setOwner"],
        json!({"name": "Stapler", "owner": null})
    );
}

#[tokio::test]
async fn get_and_batches_are_served_and_nonsense_is_refused() {
    let upstream = start(Region::Eu).await;
    let address = upstream.address();
    let by_get = call(
        Method::GET,
        address,
        "/graphql?query=%7Bviewer%7Bname%7D%7D",
    )
    .send()
    .await;
    assert_eq!(by_get.json()["data"]["viewer"]["name"], "Ada Lovelace");

    let batch = format!("[{},{}]", queries::PLAIN.body(), queries::ALIAS.body());
    let answers = post(address, "/graphql", batch).send().await.json();
    assert_eq!(answers.as_array().map(Vec::len), Some(2));

    let nonsense = post(address, "/graphql", "{]").send().await;
    assert_eq!(nonsense.status, StatusCode::BAD_REQUEST);
    assert_eq!(nonsense.header(REGION_HEADER), Some("eu"));
    assert!(nonsense.text().contains("no GraphQL"));

    let lost = call(Method::GET, address, "/elsewhere").send().await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    assert_eq!(lost.header(REGION_HEADER), Some("eu"));
}

#[tokio::test]
async fn what_reached_it_is_counted_and_kept() {
    let upstream = start(Region::Eu).await;
    assert!(upstream.last_request().is_none());
    let sent = queries::PLAIN.body();
    let mut served = 0;
    for _ in 0..3 {
        let answer = post(upstream.address(), "/graphql", sent.clone())
            .with("x-ig-forged", "yes")
            .send()
            .await;
        served += answer.body.len() as u64;
    }
    let stats = upstream.stats();
    assert_eq!(stats.requests, 3);
    assert_eq!(stats.bytes_received, 3 * sent.len() as u64);
    assert_eq!(stats.bytes_served, served);

    let last = upstream.last_request().expect("a request");
    assert_eq!(last.headers["x-ig-forged"], "yes");
    assert_eq!((last.method, last.uri.path()), (Method::POST, "/graphql"));
    assert_eq!(last.body, sent);

    let told = call(Method::GET, upstream.address(), "/__stats")
        .send()
        .await;
    assert_eq!(told.json()["requests"], 3);
    assert_eq!(upstream.stats(), stats, "asking is no request");
}

#[tokio::test]
async fn a_stopped_upstream_frees_its_port() {
    let upstream = start(Region::Us).await;
    let address = upstream.address();
    let taken = Upstream::start(Region::Eu, address).await;
    let Err(error @ Error::Listen { .. }) = taken else {
        panic!("the port was free");
    };
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));

    // A connection that is open and idle must not hold it up.
    let idle = tokio::net::TcpStream::connect(address).await.expect("open");
    upstream.shutdown().await;
    drop(idle);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn people_and_assets_are_served_by_path_within_their_tenant() {
    let upstream = start(Region::Eu).await;
    let get =
        |path: &str| call(Method::GET, upstream.address(), path).with("x-ig-tenant", "globex");
    for (path, total) in [("/v1/people", 6), ("/v1/assets", 24)] {
        let answer = get(path).send().await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["total"], total, "{path}");
        assert_eq!(answer.json()["items"].as_array().map(Vec::len), Some(total));
        assert!(answer.text().contains("@globex.eu.example"));
        assert!(!answer.text().contains("acme"));
    }
    let person = get("/v1/people/globex-person-1").send().await;
    assert_eq!(person.json()["email"], "hanna.virtanen@globex.eu.example");
    let other = get("/v1/people/acme-person-1").send().await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let head = call(Method::HEAD, upstream.address(), "/v1/people")
        .send()
        .await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    let seen = upstream.last_request().expect("a request");
    assert_eq!(seen.uri.path(), "/v1/people");
}

#[tokio::test]
async fn an_export_is_rows_as_the_request_accepts() {
    let upstream = start(Region::Eu).await;
    let export = |accept| {
        call(Method::GET, upstream.address(), "/export/people")
            .with("x-ig-tenant", "acme")
            .with("accept", accept)
    };
    let csv = export("text/csv").send().await;
    let lines: Vec<String> = csv.text().split("\r\n").map(str::to_owned).collect();
    assert_eq!(lines.len(), 7, "a header, six rows, no last line break");
    assert_eq!(
        lines[0],
        "id,name,mail,phone,salary,nationalId,boss_mail,desk"
    );
    assert!(lines[2].ends_with(",\"ada.lovelace@acme.eu.example\",\"+44 7700 900001\""));
    let rows = export("application/x-ndjson").send().await;
    let all: Vec<Value> = rows
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(all.len(), 6);
    let json = export("application/json").send().await.json();
    assert_eq!(json, Value::Array(all));
    upstream.set_fault(Some(Fault::Huge { megabytes: 1 }));
    let huge = export("text/csv").send().await;
    assert_eq!(huge.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(huge.body.len() > 1 << 20);
}

#[tokio::test]
async fn a_subscription_tells_each_change_when_it_is_made() {
    let upstream = start(Region::Eu).await;
    let query = json!({"query": "subscription { assetChanged { id owner { email } } }"});
    for (accept, head, event) in [
        ("text/event-stream", ":\n\n", "event: next\ndata: {\"data\""),
        (
            "multipart/mixed;subscriptionSpec=1.0",
            "\r\n---",
            "\r\ncontent-type: application/json\r\n\r\n{\"payload\":{\"data\"",
        ),
    ] {
        let mut answer = post(upstream.address(), "/graphql", query.to_string())
            .with("accept", accept)
            .with("x-ig-tenant", "acme")
            .open()
            .await;
        assert_eq!(answer.next().await, head, "{accept}");
        for (tenant, id) in [("globex", "globex-asset-001"), ("acme", "acme-asset-001")] {
            let body = queries::RENAME.body_with(&json!({"id": id, "name": "x"}));
            let renamed = post(upstream.address(), "/graphql", body)
                .with("x-ig-tenant", tenant)
                .send()
                .await;
            assert!(renamed.json()["errors"].is_null(), "{}", renamed.text());
        }
        let first = answer.next().await;
        assert!(first.starts_with(event), "{first}");
        assert!(first.contains("acme-asset-001"), "{first}");
    }
}

#[tokio::test]
async fn deferred_fields_come_in_a_second_part_in_either_notation() {
    let upstream = start(Region::Eu).await;
    let query = json!({"query": "{ viewer { id name ... @defer { email phone } } }"});
    for (accept, first, second) in [
        (
            "multipart/mixed;deferSpec=20220824",
            "hasNext",
            "\"path\":[\"viewer\"]",
        ),
        (
            "multipart/mixed;incrementalSpec=v0.2",
            "pending",
            "\"id\":\"0\"",
        ),
    ] {
        let answer = post(upstream.address(), "/graphql", query.to_string())
            .with("accept", accept)
            .send()
            .await;
        let text = answer.text();
        let parts: Vec<&str> = text.split("\r\n---").collect();
        assert_eq!(parts.len(), 4, "{text}");
        assert!(parts[1].contains(first) && parts[1].contains("Ada Lovelace"));
        assert!(!parts[1].contains("@acme"), "{text}");
        assert!(parts[2].contains(second), "{text}");
        assert!(parts[2].contains("ada.lovelace@acme.eu.example"));
    }
    let whole = post(upstream.address(), "/graphql", query.to_string())
        .send()
        .await;
    assert_eq!(whole.json()["data"]["viewer"]["phone"], "+44 7700 900000");
}
