//! The engine alone: rewriting against a DOM, planning, deciding.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bench::load::{self, Load};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::filter::{BodyEffect, HeadEffect, Headers, Masking, MaskingStream, ResponseEffect};
use engine::graphql::{self, Document};
use engine::identity::{Claims, Unreadable};
use engine::json::{self, Rewriter};
use engine::mask::{self, Envelope, Keyring, Plan, PlanMasker, RuleTable};
use engine::policy::{Decision, Surface};
use engine::schema::Schema;

fn decision(strategy: &str) -> Decision {
    let rule = serde_json::json!({"strategy": strategy, "reason": "bench"});
    let decision = serde_json::json!({
        "allow": true, "rules": {"Person.email": rule, "Person.phone": rule},
    });
    serde_json::from_value(decision).expect("a decision")
}

fn keys() -> Keyring {
    Keyring::parse(load::MASK_KEYS.1).expect("keys")
}

fn plan(schema: &Schema, document: &Document, strategy: &str) -> Arc<Plan> {
    let table = RuleTable::new(schema, &decision(strategy), Surface::Graphql).expect("a table");
    let (_, operation) = document.operation(None).expect("an operation");
    let envelope = Envelope::Generic { codes: Vec::new() };
    let keys = keys();
    let plan = mask::compile(
        schema,
        document,
        operation,
        &table,
        &envelope,
        Some((&keys, "acme")),
        mask::Limits::default(),
    );
    Arc::new(plan.expect("a plan"))
}

fn rewrite(plan: &Arc<Plan>, body: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut rewriter = Rewriter::new(plan.program.clone(), json::Limits::default());
    let mut masker = PlanMasker::new(plan.clone());
    for chunk in body.chunks(65_536) {
        rewriter.push(chunk, &mut masker, out).expect("JSON");
    }
    rewriter.finish().expect("whole");
}

/// A response of so many people, of whom one in a hundred has the masked members: as where few
/// fields are marked.
fn few_masks(people: usize) -> Vec<u8> {
    let people: Vec<String> = (0..people)
        .map(|i| {
            let (name, note) = (
                format!("Person {i:05}"),
                "lorem ipsum dolor sit amet ".repeat(4),
            );
            let contact = match i % 100 {
                0 => format!("\"email\":\"person.{i}@acme.example\",\"phone\":\"+49 30 {i:07}\","),
                _ => String::new(),
            };
            format!(
                "{{\"id\":\"p-{i:05}\",\"name\":\"{name}\",{contact}\"team\":\"north\",\
                 \"notes\":\"{note}\"}}"
            )
        })
        .collect();
    format!("{{\"data\":{{\"people\":[{}]}}}}", people.join(",")).into_bytes()
}

/// What a filter on a DOM does: parse, mask, serialise.
fn dom(body: &[u8]) -> Vec<u8> {
    fn walk(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                for (key, value) in members {
                    if key == "email" || key == "phone" {
                        *value = "[REDACTED]".into();
                    } else {
                        walk(value);
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    let mut value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    walk(&mut value);
    serde_json::to_vec(&value).expect("JSON")
}

fn rewriting(c: &mut Criterion) {
    let schema = Schema::parse(load::SCHEMA).expect("a schema");
    let document = Document::parse(load::QUERY, graphql::Limits::default()).expect("a query");
    let kb = |kb: usize, values: usize| {
        let load = Load {
            bytes: kb * Load::KB,
            values,
        };
        (load.name(), load.body())
    };
    for (name, body) in [
        kb(12, 200),
        kb(1024, 20_000),
        kb(1024, 200),
        ("1 MB, 120 masked in 6,000 objects".into(), few_masks(6_000)),
    ] {
        let mut group = c.benchmark_group(format!("rewrite {name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        for strategy in ["redact", "partial", "hash"] {
            let plan = plan(&schema, &document, strategy);
            let mut out = Vec::new();
            group.bench_function(strategy, |b| {
                b.iter(|| rewrite(&plan, black_box(&body), &mut out))
            });
        }
        group.bench_function("serde_json DOM, redact", |b| {
            b.iter(|| dom(black_box(&body)))
        });
        group.finish();
        let plan = plan(&schema, &document, "redact");
        against_dom(&name, &body, &plan);
    }
}

/// Prints redact's throughput and how many times as fast as the DOM it is: medians of runs in turn,
/// so that both have the same neighbours.
fn against_dom(name: &str, body: &[u8], plan: &Arc<Plan>) {
    let (mut ours, mut doms, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..101 {
        let started = Instant::now();
        rewrite(plan, black_box(body), &mut out);
        ours.push(started.elapsed());
        let started = Instant::now();
        black_box(dom(black_box(body)));
        doms.push(started.elapsed());
    }
    let [ours, doms] = [ours, doms].map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    let rate = body.len() as f64 / ours / 1e9;
    println!(
        "rewrite {name}: redact {rate:.2} GB/s, {:.1} times as fast as the DOM",
        doms / ours
    );
}

fn planning(c: &mut Criterion) {
    let schema = Schema::parse(load::SCHEMA).expect("a schema");
    let document = Document::parse(load::QUERY, graphql::Limits::default()).expect("a query");
    c.bench_function("parse a query", |b| {
        b.iter(|| Document::parse(black_box(load::QUERY), graphql::Limits::default()));
    });
    c.bench_function("build a plan", |b| {
        b.iter(|| plan(&schema, &document, black_box("hash")))
    });
}

struct Caller(&'static str);

impl Claims for Caller {
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        let list = |item: &str| {
            let mut out = 1u32.to_le_bytes().to_vec();
            out.extend((item.len() as u32).to_le_bytes());
            out.extend([0; 4]);
            out.extend(item.bytes());
            out.extend([0, 0]);
            out
        };
        Ok(match name {
            "sub" => Some(self.0.as_bytes().to_vec()),
            "tenant" => Some(b"acme".to_vec()),
            "roles" => Some(list("analyst")),
            "purposes" => Some(list("analytics")),
            _ => None,
        })
    }
}

/// A whole request through the filter's state machine.
fn exchange(masking: &mut Masking, caller: &Caller, request: &[u8], response: &[u8]) {
    let head = [
        (":method", "POST"),
        (":path", "/graphql"),
        ("content-type", "application/json"),
    ]
    .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()));
    let mut stream = MaskingStream::new();
    let effect = stream.request_headers(masking, Headers(&head), caller, false);
    assert!(matches!(effect, HeadEffect::Hold(_)));
    stream.request_body(masking, request).expect("allowed");
    let head = [(":status".to_owned(), b"200".to_vec())];
    let effect = stream.response_headers(masking, Headers(&head), false);
    assert!(matches!(effect, ResponseEffect::Mask(_)));
    let effect = stream.response_body(response, true);
    assert!(matches!(effect, BodyEffect::Replace(_)));
    black_box(stream.record());
}

fn deciding(c: &mut Criterion) {
    let config = load::masking("hash").to_string();
    let mut masking = Masking::configure(config.as_bytes(), |_| Some(load::MASK_KEYS.1.into()))
        .expect("a configuration");
    let request = serde_json::json!({"query": load::QUERY}).to_string();
    let response = Load {
        bytes: Load::KB,
        values: 2,
    }
    .body();
    let ann = Caller("ann");
    c.bench_function("request, decision hit", |b| {
        b.iter(|| exchange(&mut masking, &ann, request.as_bytes(), &response));
    });
    let names: Vec<&'static str> = (0..50_000)
        .map(|i| &*Box::leak(format!("user-{i}").into_boxed_str()))
        .collect();
    let mut next = names.iter().cycle();
    c.bench_function("request, decision miss", |b| {
        b.iter(|| {
            let caller = Caller(next.next().copied().unwrap_or_default());
            exchange(&mut masking, &caller, request.as_bytes(), &response);
        });
    });
}

criterion_group!(benches, rewriting, planning, deciding);
criterion_main!(benches);
