//! The table of the mutation check names guards where they stand.

use std::collections::BTreeSet;

use e2e::checkout;

#[test]
fn every_guard_stands_where_the_table_says() {
    let table = checkout().join("tests/mutants/guards.toml");
    let table: toml::Table = std::fs::read_to_string(table).unwrap().parse().unwrap();
    let guards = table["guard"].as_array().unwrap();
    assert!(guards.len() > 100, "only {} guards", guards.len());
    let mut names = BTreeSet::new();
    for guard in guards {
        let text = |key: &str| guard[key].as_str().unwrap();
        let (name, file) = (text("name"), text("file"));
        assert!(names.insert(name), "two guards are called {name}");
        let code = std::fs::read_to_string(checkout().join("filters").join(file)).unwrap();
        let times = code.matches(text("find")).count();
        assert_eq!(times, 1, "{name}: its text stands {times} times in {file}");
    }
}
