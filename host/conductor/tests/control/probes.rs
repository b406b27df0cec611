//! Policies that can't be read are no end of a conductor that probes.

use std::process::Command;

use serde_json::Value;

use crate::world::{World, error, settled};

/// The tables of a prober, and its keys.
fn with_probe(world: &mut World) {
    let output = |command: &mut Command| {
        let output = command
            .current_dir(world.directory.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", error(&output));
    };
    output(
        Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(["proofs", "keygen", "--out", "keys"])
            .env("IG_PROOF_PASSPHRASE", PASSPHRASE),
    );
    output(Command::new("openssl").args([
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        "probe.pem",
    ]));
    let [traces, listen_eu, control_eu, listen_us, control_us, store] = world.spare;
    world.more = format!("[traces]\nlisten = \"127.0.0.1:{traces}\"\n");
    for (region, listen, control) in [("eu", listen_eu, control_eu), ("us", listen_us, control_us)]
    {
        world.more += &format!(
            r#"
[[agents]]
region = "{region}"
listen = "127.0.0.1:{listen}"
control = "127.0.0.1:{control}"
stores = [{{ name = "people", kind = "postgres", address = "127.0.0.1:{store}", database = "{{tenant}}", user = "probe" }}]
"#
        );
    }
    world.more += r#"
[probe]
proofs = "proofs"
keys = "keys"
token_key = "probe.pem"
token_kid = "1"
[probe.schedule]
settle_s = 0
offset_s = 0
jitter_s = 0
evidence_s = 1
"#;
    world.environment = vec![("IG_PROOF_PASSPHRASE", PASSPHRASE)];
}

const PASSPHRASE: &str = "correct horse battery staple";

async fn proofs(world: &World) -> Value {
    let text = world.get("/api/proofs").await.unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_wait_for_policies_that_can_be_read_and_gateways_are_served_meanwhile() {
    let mut world = World::new().await;
    world.write_config();
    let mut serving = world.serve();
    let _envoy = world.envoy("eu", "eu");
    world
        .until("configured", |s| settled(s, "gateway-eu"))
        .await;
    world
        .until("kept", |_| world.at("state/xds/eu.lkg").exists())
        .await;
    serving.start_kill().unwrap();
    serving.wait().await.unwrap();

    // It comes back with a prober, and with policies that nobody can read.
    with_probe(&mut world);
    world.write_config();
    let data = world.at("policies/ig/tenants/data.json");
    let good = std::fs::read_to_string(&data).unwrap();
    std::fs::write(&data, "{").unwrap();
    let mut serving = world.serve();
    world
        .until("served the last good", |s| {
            s["streams"][0]["node"] == "gateway-eu" && s["streams"][0]["settled"] == true
        })
        .await;
    world
        .until_so("trouble shown", async || {
            proofs(&world).await["trouble"].is_string()
        })
        .await;
    world
        .until_figure("maestro_residency_probes_blocked", 1)
        .await;
    let alert = "maestro_alerts_firing{alertname=\"ResidencyProbesBlocked\"}";
    world.until_figure(alert, 1).await;
    assert!(
        world.log().contains("residency probes: "),
        "{}",
        world.log()
    );
    assert!(serving.try_wait().unwrap().is_none(), "{}", world.log());

    // As soon as they can be read again, the tenants are probed, in the same period.
    std::fs::write(&data, good).unwrap();
    world
        .until_so("probed", async || {
            let proofs = proofs(&world).await;
            let tenants = proofs["tenants"].as_object().map_or(0, |t| t.len());
            proofs["trouble"].is_null() && tenants > 0
        })
        .await;
    world
        .until_so("alert over", async || world.figure(alert).await == 0)
        .await;
    assert!(serving.try_wait().unwrap().is_none(), "{}", world.log());
}
