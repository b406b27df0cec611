//! The service runs a release's cases itself, whatever was checked where it was released.

use crate::train::{self, RELEASE, is, promote, until};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_fails_its_cases_gets_nowhere_whoever_vouched_for_it() {
    let world = World::new(&format!("{RELEASE}cases = \"policies/cases\"\n"), "").await;
    train::prepare(&world, "[[steps]]\npercent = 10\nhold_s = 60\n");
    // Cases of the conductor's own, which nobody else may change.
    let cases = world.at("cases");
    artifacts::copy_directory(&world.at("policies/cases"), &cases).unwrap();
    let text = std::fs::read_to_string(world.at("conductor.toml")).unwrap();
    let served = text.replace("policies/cases", "cases");
    std::fs::write(world.at("conductor.toml"), served).unwrap();
    // Who writes a configuration of their own asks for none.
    let own = text.replace("cases = \"policies/cases\"", "");
    std::fs::write(world.at("own.toml"), own).unwrap();

    let grants = world.at("policies/ig/grants/data.json");
    let good = std::fs::read(&grants).unwrap();
    std::fs::write(&grants, "[]").unwrap();
    promote(&world, 1, "own.toml");
    let records = train::records(&world);
    assert_eq!(records[0]["tried"]["failed"], 0, "nobody looked");
    let _serving = world.serve(&[]);
    let withdrawn = |records: &[serde_json::Value]| records.iter().any(|r| is(r, "withdrawn", 1));
    let records = until(&world, "withdrawn", withdrawn).await;
    let reasons = records.last().unwrap()["reasons"].to_string();
    assert!(reasons.contains("cases fail at the conductor"), "{reasons}");

    // The same way with what passes them.
    std::fs::write(&grants, good).unwrap();
    promote(&world, 2, "own.toml");
    let decided = |records: &[serde_json::Value]| {
        let last = records.last().unwrap();
        is(last, "completed", 2) || is(last, "withdrawn", 2)
    };
    let records = until(&world, "stable", decided).await;
    assert!(is(records.last().unwrap(), "completed", 2), "{records:#?}");
    let got_it = |r: &&serde_json::Value| r["act"] == "step" || is(r, "completed", 1);
    assert_eq!(records.iter().filter(got_it).count(), 0, "{records:#?}");
}
