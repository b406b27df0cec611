//! Sentinels in S3: moto, which checks each signature.

use serde_json::{Value, json};
use stores::http::{send, send_body};
use stores::python::{ObjectStore, run};
use stores::sidecar::{Sidecar, Store};
use stores::{claims, sign};

use super::{RUN, Running, expect_refusals, line};
use std::net::SocketAddr;

/// A text between two.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).expect(text);
    rest.split_once(after).expect(text).0
}

/// Makes a user who may do all with S3, and from now on has each request's signature checked.
async fn key(store: SocketAddr) -> (String, String) {
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iam/aws4_request, \
                 SignedHeaders=host, Signature=0";
    let headers = [("host", "iam.amazonaws.com"), ("authorization", scope)];
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow\
                  %22%2C%22Action%22%3A%22s3%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
    let mut answer = String::new();
    for action in [
        "CreateUser".to_owned(),
        format!("PutUserPolicy&PolicyName=all&PolicyDocument={policy}"),
        "CreateAccessKey".to_owned(),
    ] {
        let line = format!("GET /?Version=2010-05-08&UserName=agent&Action={action}");
        let (status, body) = send(store, &line, &headers).await;
        assert_eq!(status, 200, "{action}: {body}");
        answer = body;
    }
    let line = "POST /moto-api/reset-auth";
    let (status, body) = send_body(store, line, &[("host", "moto")], "0").await;
    assert_eq!(status, 200, "{body}");
    let id = between(&answer, "<AccessKeyId>", "<").to_owned();
    let secret = between(&answer, "<SecretAccessKey>", "<").to_owned();
    (id, secret)
}

fn config(name: &str, bucket: &str, address: SocketAddr) -> Value {
    json!({
        "kind": "s3", "name": name, "address": address.to_string(), "bucket": bucket,
        "host": "s3.eu-central-1.amazonaws.com", "signing_region": "eu-central-1",
        "access_key_env": "ID", "secret_key_env": "SECRET",
        "region_names": {"eu-central-1": "eu", "us-west-2": "us"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_are_written_read_and_deleted_under_signatures() {
    let store = ObjectStore::start().await;
    let buckets = [("data-acme", "eu-central-1"), ("us-acme", "us-west-2")];
    let calls = buckets.map(|(bucket, location)| {
        let place = json!({"LocationConstraint": location});
        json!({
            "operation": "create_bucket", "region": location,
            "arguments": {"Bucket": bucket, "CreateBucketConfiguration": place},
        })
    });
    let direct = format!("http://{}", store.address);
    let made = run("objects.py", &json!({"endpoint": direct, "calls": calls})).await;
    assert!(made.iter().all(|m| m["ok"] == true), "{made:?}");
    let sidecar = Sidecar::start(
        &[Store {
            name: "objects",
            config: json!({
                "kind": "s3", "name": "objects", "region": "eu",
                "hosts": ["s3.eu-central-1.amazonaws.com"],
                "objects": [
                    {"name": "data-{tenant}"},
                    {"name": "none-{tenant}"},
                    {"name": "us-{tenant}", "region": "us"},
                ],
            }),
            address: store.address,
        }],
        10_000,
    )
    .await;
    let (id, secret) = key(store.address).await;
    let address = sidecar.address("objects");
    let mut unsigned = config("unsigned", "data-{tenant}", address);
    let unsigned_names = unsigned.as_object_mut().unwrap();
    unsigned_names.remove("access_key_env");
    unsigned_names.remove("secret_key_env");
    let listed = json!([
        config("own", "data-{tenant}", address),
        config("far", "us-{tenant}", address),
        config("none", "none-{tenant}", address),
        config("direct", "us-{tenant}", store.address),
        unsigned,
    ]);
    let environment = [("ID", id.as_str()), ("SECRET", secret.as_str())];
    let agent = Running::start(listed.clone(), &environment).await;
    let acme = sign(&claims("acme", "eu"));

    for op in ["read", "write", "read", "delete", "read", "delete"] {
        agent.probe("own", op, "n-1", Some(&acme)).await;
    }
    agent.probe("far", "write", "n-1", Some(&acme)).await;
    agent.probe("own", "write", "n-1", None).await;
    let told = agent.results(RUN).await;
    let lines: Vec<String> = told.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "read absent - eu-central-1 eu",
            "write done - eu-central-1 eu",
            "read found - eu-central-1 eu",
            "delete done - eu-central-1 eu",
            "read absent - eu-central-1 eu",
            "delete absent - eu-central-1 eu",
            "write refused CROSS_REGION - -",
            "write refused CONTEXT_MISSING - -",
        ],
        "{told:#?}\n{}",
        sidecar.envoy_log()
    );
    let reason = told[6]["reason"].as_str().unwrap();
    assert!(reason.contains(", decision dec_"), "{reason}");

    expect_refusals(&agent, "own").await;
    // A bucket that is not there is no absent sentinel.
    let outcome = agent
        .attempt("none", "read", "n-1", "acme", Some(&acme))
        .await;
    assert_eq!(line(&outcome), "read failed - - -");
    assert!(outcome["reason"].as_str().unwrap().contains("NoSuchBucket"));
    // Without a guard another region's bucket is open, and says so.
    let outcome = agent.attempt("direct", "write", "n-1", "acme", None).await;
    assert_eq!(line(&outcome), "write done - us-west-2 us", "{outcome}");

    // The store does check signatures.
    agent.end().await;
    let wrong = [("ID", id.as_str()), ("SECRET", "hunter2hunter2")];
    let agent = Running::start(listed, &wrong).await;
    let outcome = agent
        .attempt("own", "write", "n-1", "acme", Some(&acme))
        .await;
    assert_eq!(line(&outcome), "write refused - - -");
    let reason = outcome["reason"].as_str().unwrap();
    assert!(
        reason.contains("SignatureDoesNotMatch") && !reason.contains("hunter2"),
        "{reason}"
    );
    let outcome = agent
        .attempt("unsigned", "write", "n-1", "acme", Some(&acme))
        .await;
    assert_ne!(outcome["result"], "done", "{outcome}");
    agent.end().await;
}
