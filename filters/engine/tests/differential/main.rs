//! Random schemas, policies, queries and data: what comes out of the rewriter is what a slow
//! executor gives that asks the policy at every resolver.
//!
//! The executor shares no code with the engine: it has its own syntax tree, its own rules and its
//! own strategies, written from the documentation.

mod dice;
mod oracle;
mod query;
mod world;

use std::sync::Arc;

use engine::graphql::{self, Document};
use engine::json::{self, Rewriter};
use engine::mask::{self, Envelope, Keyring, PlanMasker, RuleTable};
use engine::policy::{Decision, Surface};
use engine::schema::Schema;
use proptest::prelude::*;

use dice::Dice;

/// The root key of pseudonyms.
const KEY: [u8; 32] = [7; 32];
const TENANT: &str = "acme";

fn keyring() -> Keyring {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode(KEY);
    Keyring::parse(&format!("k1:{key}")).unwrap()
}

fn differ(seed: u64) -> Result<usize, TestCaseError> {
    let mut dice = Dice::new(seed);
    let world = world::World::random(&mut dice);
    let query = query::Query::random(&mut dice, &world);
    let text = query.text();
    let run = oracle::execute(&mut dice, &world, &query);

    let schema = Schema::parse(&world.sdl()).map_err(|e| fail(&e, &world, &text, &run.raw))?;
    let decision: Decision = serde_json::from_value(world.decision()).unwrap();
    let table = RuleTable::new(&schema, &decision, Surface::Graphql).unwrap();
    let document = Document::parse(&text, graphql::Limits::default())
        .map_err(|e| fail(&e, &world, &text, &run.raw))?;
    let (_, operation) = document.operation(None).unwrap();
    let plan = mask::compile(
        &schema,
        &document,
        operation,
        &table,
        &Envelope::Generic { codes: Vec::new() },
        Some((&keyring(), TENANT)),
        mask::Limits::default(),
    )
    .map(Arc::new)
    .map_err(|e| fail(&e, &world, &text, &run.raw))?;

    let mut rewriter = Rewriter::new(plan.program.clone(), json::Limits::default());
    let mut masker = PlanMasker::new(plan);
    let mut out = Vec::new();
    let mut rest = run.raw.as_bytes();
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at((1 + dice.below(40)).min(rest.len()));
        rewriter
            .push(chunk, &mut masker, &mut out)
            .map_err(|e| fail(&e, &world, &text, &run.raw))?;
        rest = tail;
    }
    rewriter.finish().unwrap();
    let out = String::from_utf8(out).unwrap();
    for canary in &run.hidden {
        if out.contains(canary) {
            return Err(fail(
                &format!("{canary} got out: {out}"),
                &world,
                &text,
                &run.raw,
            ));
        }
    }
    let seen: serde_json::Value = serde_json::from_str(&out).unwrap();
    if seen != run.masked {
        let problem = format!("gave {seen}\nwant {}", run.masked);
        return Err(fail(&problem, &world, &text, &run.raw));
    }
    Ok(run.hidden.len())
}

fn fail(
    problem: &dyn std::fmt::Display,
    world: &world::World,
    query: &str,
    raw: &str,
) -> TestCaseError {
    TestCaseError::fail(format!(
        "{problem}\n{}\n{}\n{query}\n{raw}",
        world.sdl(),
        world.decision()
    ))
}

/// Each case is a seed: there is nothing to shrink.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(600),
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_rewriter_agrees_with_an_executor_that_masks_at_the_resolver(seed in any::<u64>()) {
        differ(seed)?;
    }
}

#[test]
fn the_cases_are_worth_something() {
    let hidden: Vec<usize> = (0..200).map(|seed| differ(seed).unwrap()).collect();
    let masking = hidden.iter().filter(|n| **n > 0).count();
    assert!(masking >= 100, "only {masking} of 200 cases mask anything");
    assert!(hidden.iter().sum::<usize>() >= 1000);
}
