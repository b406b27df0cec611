//! S3 through the guard: boto3 and moto.

use serde_json::{Value, json};
use stores::http::send;
use stores::python::{ObjectStore, run};
use stores::sidecar::{Sidecar, Store};
use stores::{claims, sign, warranted};

fn call(operation: &str, arguments: Value, token: Option<&str>) -> Value {
    json!({"operation": operation, "arguments": arguments, "token": token})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_reaches_its_own_buckets_in_its_own_region() {
    let store = ObjectStore::start().await;
    let stores = [Store {
        name: "objects",
        config: json!({
            "kind": "s3", "name": "objects", "region": "eu", "hosts": ["127.0.0.1", "s3.amazonaws.com"],
            "objects": [
                {"name": "data-{tenant}"},
                {"name": "shared"},
                {"name": "us-{tenant}", "region": "us"},
            ],
        }),
        address: store.address,
    }];
    let sidecar = Sidecar::start(&stores, 10_000).await;
    let address = sidecar.address("objects");
    let buckets = [
        "data-acme",
        "data-globex",
        "data-initech",
        "us-acme",
        "us-initech",
        "shared",
        "other",
    ];
    let direct: Vec<Value> = buckets
        .iter()
        .flat_map(|bucket| {
            let place = json!({"Bucket": bucket, "CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}});
            let object = json!({"Bucket": bucket, "Key": "seed", "Body": bucket});
            [call("create_bucket", place, None), call("put_object", object, None)]
        })
        .collect();
    let made = run(
        "objects.py",
        &json!({"endpoint": format!("http://{}", store.address), "calls": direct}),
    )
    .await;
    assert!(made.iter().all(|m| m["ok"] == true), "{made:?}");

    let acme = sign(&claims("acme", "eu"));
    let initech = sign(&claims("initech", "us"));
    let reads = sign(&warranted("initech", &["read"]));
    let mut calls: Vec<(Value, &str)> = Vec::new();
    let at = |bucket: &str, key: &str| json!({"Bucket": bucket, "Key": key});
    let put = |bucket: &str| json!({"Bucket": bucket, "Key": "a/b//c d", "Body": "hello"});
    let copy = |source: &str| json!({"Bucket": "data-acme", "Key": "copy", "CopySource": source});
    for (operation, arguments, token, code) in [
        // With a positive control for each kind of refusal.
        ("put_object", put("data-acme"), Some(&acme), ""),
        ("get_object", at("data-acme", "a/b//c d"), Some(&acme), ""),
        (
            "list_objects_v2",
            json!({"Bucket": "data-acme"}),
            Some(&acme),
            "",
        ),
        ("copy_object", copy("shared/seed"), Some(&acme), ""),
        ("delete_object", at("data-acme", "copy"), Some(&acme), ""),
        (
            "get_object",
            at("data-acme", "seed"),
            None,
            "CONTEXT_MISSING",
        ),
        (
            "get_object",
            at("data-globex", "seed"),
            Some(&acme),
            "OBJECT_FOREIGN",
        ),
        (
            "put_object",
            put("data-globex"),
            Some(&acme),
            "OBJECT_FOREIGN",
        ),
        (
            "copy_object",
            copy("data-globex/seed"),
            Some(&acme),
            "OBJECT_FOREIGN",
        ),
        (
            "copy_object",
            copy("us-acme/seed"),
            Some(&acme),
            "CROSS_REGION",
        ),
        (
            "get_object",
            at("us-acme", "seed"),
            Some(&acme),
            "CROSS_REGION",
        ),
        (
            "get_object",
            at("other", "seed"),
            Some(&acme),
            "OBJECT_UNKNOWN",
        ),
        ("list_buckets", json!({}), Some(&acme), "S3_LIST_BUCKETS"),
        (
            "get_object",
            at("data-initech", "seed"),
            Some(&initech),
            "CROSS_REGION",
        ),
        ("get_object", at("data-initech", "seed"), Some(&reads), ""),
        ("get_object", at("us-initech", "seed"), Some(&reads), ""),
        (
            "put_object",
            put("us-initech"),
            Some(&reads),
            "CROSS_REGION",
        ),
        (
            "get_object",
            at("data-acme", "seed"),
            Some(&reads),
            "OBJECT_FOREIGN",
        ),
        (
            "put_bucket_notification_configuration",
            json!({"Bucket": "data-acme", "NotificationConfiguration": {}}),
            Some(&acme),
            "S3_SENDS_ELSEWHERE",
        ),
    ] {
        calls.push((call(operation, arguments, token.map(String::as_str)), code));
    }
    let asked: Vec<&Value> = calls.iter().map(|(call, _)| call).collect();
    let answers = run(
        "objects.py",
        &json!({"endpoint": format!("http://{address}"), "calls": asked}),
    )
    .await;
    assert_eq!(answers.len(), calls.len());
    for ((call, code), answer) in calls.iter().zip(&answers) {
        assert_eq!(
            answer["ok"],
            code.is_empty(),
            "{call}: {answer}\n{}",
            sidecar.envoy_log()
        );
        if !code.is_empty() {
            assert_eq!(
                (&answer["status"], &answer["code"]),
                (&json!(403), &json!("AccessDenied")),
                "{call}"
            );
            sidecar.logged("objects", code).await;
        }
    }
    assert_eq!(answers[1]["body"], "hello");
    assert_eq!(answers[2]["keys"], json!(["a/b//c d", "seed"]));
    let denied = calls.iter().filter(|(_, code)| !code.is_empty()).count();
    let [allowed, refused, malformed] = sidecar.counts().await;
    assert_eq!(usize::try_from(allowed).unwrap(), calls.len() - denied);
    assert_eq!(
        (usize::try_from(refused + malformed).unwrap(), malformed),
        (denied, 2)
    );

    // The bucket may stand before the host, and the path must not lead out of it.
    let virtual_host = "data-acme.s3.amazonaws.com";
    for (host, line, status, says) in [
        (virtual_host, "GET /seed", 200, "data-acme"),
        (
            "data-globex.s3.amazonaws.com",
            "GET /seed",
            403,
            "OBJECT_FOREIGN",
        ),
        (
            "elsewhere.test",
            "GET /data-acme/seed",
            403,
            "S3_HOST_UNKNOWN",
        ),
        (
            virtual_host,
            "GET /../data-globex/seed",
            400,
            "S3_MALFORMED",
        ),
        (
            virtual_host,
            "GET /%2e%2e/data-globex/seed",
            400,
            "S3_MALFORMED",
        ),
        (
            "s3.amazonaws.com",
            "GET //data-acme/seed",
            400,
            "S3_MALFORMED",
        ),
    ] {
        // The store wants a signature of some kind, and does not check it.
        let headers = [
            ("host", host),
            ("x-ig-context", acme.as_str()),
            ("authorization", "AWS test:test"),
        ];
        let (got, body) = send(address, line, &headers).await;
        assert_eq!(got, status, "{host} {line}: {body}");
        assert!(body.contains(says), "{host} {line}: {body}");
    }
}
