//! `conductor xds status`.

use crate::world::{FILTER, World, error, settled};

#[tokio::test(flavor = "multi_thread")]
async fn status_says_who_has_what_and_why_not() {
    let world = World::new().await;
    world.write_config();
    let _serving = world.serve();
    let address = format!("127.0.0.1:{}", world.api);
    let status = |more: &[&str]| {
        let args = [&["xds", "status", "--conductor", &address], more].concat();
        let output = world.run(&args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let _envoy = world.envoy("eu", "eu");
    world
        .until("configured", |s| settled(s, "gateway-eu"))
        .await;
    let (code, text) = status(&["--check"]);
    assert_eq!(code, Some(0), "{text}");
    let line = text.lines().find(|l| l.starts_with("gateway-eu")).unwrap();
    assert!(line.contains(" settled") && line.contains("r-"), "{text}");
    let (code, json) = status(&["--json"]);
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["streams"][0]["node"], "gateway-eu");

    // A filter that takes no configuration is refused, and the group goes back.
    let configure = "(func (export \"proxy_on_configure\") (param i32 i32) (result i32) i32.const ";
    let refusing = FILTER.replace(&format!("{configure}1)"), &format!("{configure}0)"));
    assert_ne!(refusing, FILTER);
    let draft = world.at("filter.draft");
    std::fs::write(&draft, wat::parse_str(refusing).unwrap()).unwrap();
    std::fs::rename(&draft, world.at("filter.wasm")).unwrap();
    world
        .until("parked", |s| {
            s["groups"]["eu"]["rolled_back"] == true && s["streams"][0]["settled"] == true
        })
        .await;
    let (code, text) = status(&[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("parked in eu"), "{text}");
    assert!(
        text.contains("gateway-eu said: Unable to create Wasm"),
        "{text}"
    );
    assert!(text.contains("last refusal of gateway-eu"), "{text}");
    assert_eq!(status(&["--check"]).0, Some(1));
}

#[tokio::test]
async fn who_is_no_conductor_is_told_of() {
    let world = World::new().await;
    let nobody = format!("127.0.0.1:{}", world.api);
    let output = world.run(&["xds", "status", "--conductor", &nobody]);
    assert_eq!(output.status.code(), Some(2));
    assert!(error(&output).contains(&nobody), "{}", error(&output));
}
