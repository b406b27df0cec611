//! What an upstream answers when nothing is wrong with it.

use std::collections::BTreeSet;

use crate::client::{call, post};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use upstream::{Error, REGION_HEADER, Region, Upstream, data::secrets, queries};

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
