//! A release train: keys, a plan, and what people type.

use std::process::Command;

use serde_json::Value;

use crate::world::World;

/// What stands in the configuration; behind it may stand more of `[release]`.
pub const RELEASE: &str = r#"
[release]
dir = "train"
keys = "keys"
bundle_keys = "bundle-keys"
plan = "plan.toml"
look_s = 1
"#;

/// Makes the keys of ann, who releases, bob, who approves, and ci, which signs bundles.
pub fn prepare(world: &World, plan: &str) {
    std::fs::write(world.at("plan.toml"), plan).unwrap();
    for (name, folder) in [("ann", "keys"), ("bob", "keys"), ("ci", "bundle-keys")] {
        std::fs::create_dir_all(world.at(folder)).unwrap();
        let line = format!(
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.pem && \
             openssl pkey -in {name}.pem -pubout -out {folder}/{name}.pub"
        );
        let made = Command::new("sh")
            .args(["-c", &line])
            .current_dir(world.directory.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
}

/// Releases what is in the policies, approves it and sends it on its way, by this configuration.
pub fn promote(world: &World, number: u64, config: &str) {
    let bundle = format!("{number}.tar.gz");
    world.does(&format!(
        "bundle build policies -o {bundle} --signing-key ci.pem --keyid ci"
    ));
    let by = |name: &str| format!("--config {config} --by {name} --key {name}.pem");
    world.does(&format!("bundle release {bundle} {}", by("ann")));
    world.does(&format!("bundle approve {number} {}", by("bob")));
    world.does(&format!("bundle promote {number} {}", by("ann")));
}

/// All records, in their order.
pub fn records(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(world.at("train/records.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Waits until the records have what is wanted.
pub async fn until(world: &World, what: &str, is: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = tokio::time::Instant::now() + crate::world::PATIENCE;
    loop {
        let records = records(world);
        if is(&records) {
            return records;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "not {what}: {records:#?}\n{}",
            world.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Whether a record is of that kind and release.
pub fn is(record: &Value, act: &str, release: u64) -> bool {
    record["act"] == act && record["release"] == release
}
