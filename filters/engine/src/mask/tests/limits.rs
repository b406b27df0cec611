use std::time::{Duration, Instant};

use super::*;

/// Compiles and explains, or is refused, in little time and memory.
#[track_caller]
fn bounded(bench: &Bench, query: &str) -> Result<usize, GraphqlError> {
    let started = Instant::now();
    let plan = bench.plan(query, None);
    let size = plan.map(|plan| {
        let paths = explain(&plan, Scope::Masked);
        assert!(paths.len() < 20_000, "{} paths", paths.len());
        assert!(plan.program.nodes.len() <= Limits::default().nodes + 16);
        plan.size()
    });
    let took = started.elapsed();
    // Some hundred times what it takes, without optimisation.
    assert!(
        took < Duration::from_secs(10),
        "{took:?} for {} bytes",
        query.len()
    );
    size
}

#[test]
fn fragments_that_double_at_each_level_are_visited_once() {
    let bench = bench(json!({}));
    let mut query = String::from("{me{...F0}}");
    for i in 0..200 {
        query.push_str(&format!(
            " fragment F{i} on Person{{...F{} ...F{} x{i}:name}}",
            i + 1,
            i + 1
        ));
    }
    query.push_str(" fragment F200 on Person{email}");
    assert!(bounded(&bench, &query).unwrap() < 1000);
}

#[test]
fn fields_that_double_at_each_level_share_their_nodes() {
    let bench = bench(json!({}));
    for leaf in ["email", "name"] {
        let mut query = String::from("{me{...F0}}");
        for i in 0..50 {
            query.push_str(&format!(
                " fragment F{i} on Person{{a:manager{{...F{n}}} b:manager{{...F{n}}}}}",
                n = i + 1
            ));
        }
        query.push_str(&format!(" fragment F50 on Person{{{leaf}}}"));
        assert!(bounded(&bench, &query).unwrap() < 1000);
    }
}

#[test]
fn selections_that_combine_without_end_are_refused() {
    let bench = bench(json!({}));
    // Each path down picks another subset of the next fragments, and so another node.
    let mut query = String::from("{me{...F0x0 ...F0x1 ...F0x2 ...F0x3 ...F0x4 ...F0x5}}");
    for i in 0..25 {
        for j in 0..12 {
            let n = i + 1;
            let (a, b) = ((5 * j + 1) % 12, (7 * j + 5) % 12);
            let (key, other) = [("x", "y"), ("x", "z"), ("y", "z")][(i + j) % 3];
            query.push_str(&format!(
                " fragment F{i}x{j} on Person{{{key}:manager{{...F{n}x{a} ...F{n}x{b}}} \
                 {other}:manager{{...F{n}x{b}}}}}"
            ));
        }
    }
    for j in 0..12 {
        query.push_str(&format!(" fragment F25x{j} on Person{{e{j}:email}}"));
    }
    assert_eq!(bounded(&bench, &query), Err(GraphqlError::Limit));
}

#[test]
fn what_stands_many_times_costs_little() {
    let bench = bench(json!({}));
    let mut query = String::from("{found{__typename ");
    for i in 0..50 {
        query.push_str(&format!("...on Person{{m{i}:manager{{...F i{i}:name}}}} "));
    }
    query.push_str("}} fragment F on Contact{");
    query.push_str(&"email ".repeat(4000));
    query.push('}');
    assert_eq!(bounded(&bench, &query).map(|_| ()), Ok(()));
}

#[test]
fn many_types_with_many_fields_are_refused_in_time() {
    let mut sdl = String::from("type Query{n:N} interface N{f:String n:N}");
    for i in 0..400 {
        sdl.push_str(&format!(" type T{i} implements N{{f:String n:N}}"));
    }
    let bench = over(&sdl, json!({"N.f": "hash"}));
    let nested = |depth: usize, width: usize| {
        let fields: String = (0..width).map(|i| format!("f{i}:f ")).collect();
        format!(
            "{}{}",
            format!("{{n{{__typename {fields}").repeat(1)
                + &format!("n{{__typename {fields}").repeat(depth),
            "}".repeat(depth + 2)
        )
    };
    assert!(bounded(&bench, &nested(1, 5)).is_ok());
    assert_eq!(bounded(&bench, &nested(40, 100)), Err(GraphqlError::Limit));
}

#[test]
fn depth_is_bounded() {
    let bench = bench(json!({}));
    let mut query = String::from("{me{...F0}}");
    for i in 0..100 {
        query.push_str(&format!(
            " fragment F{i} on Person{{manager{{...F{}}}}}",
            i + 1
        ));
    }
    query.push_str(" fragment F100 on Person{email}");
    assert_eq!(bounded(&bench, &query), Err(GraphqlError::Limit));
}
