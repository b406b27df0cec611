use super::*;

const GOOD: &str = r#"
policies = "policies"
state = "state"
[filters]
residency = "r.wasm"
masking = "/m.wasm"
[jwt]
issuer = "i"
audiences = ["a"]
jwks_file = "jwks.json"
[[gateways]]
region = "eu"
listen = "127.0.0.1:10000"
admin = "127.0.0.1:9901"
endpoints = [{ address = "127.0.0.1:9000" }]
access_log = "/tmp/eu.log"
"#;

const SIDECAR: &str = r#"
[[sidecars]]
region = "eu"
admin = "127.0.0.1:9911"
access_log = "/tmp/sidecar.log"
[[sidecars.listeners]]
name = "objects"
kind = "s3"
listen = "127.0.0.1:15000"
endpoints = [{ address = "127.0.0.1:9100" }]
hosts = ["127.0.0.1"]
buckets = [{ name = "data-{tenant}" }]
"#;

const PROBE: &str = r#"
[traces]
[[agents]]
region = "eu"
listen = "127.0.0.1:7180"
control = "127.0.0.1:7190"
stores = [{ name = "people", kind = "postgres", address = "127.0.0.1:15432", database = "{tenant}", user = "probe" }]
[probe]
proofs = "proofs"
keys = "/keys"
token_key = "probe.pem"
token_kid = "probe"
[probe.schedule]
every_s = 600
"#;

fn read(text: &str) -> anyhow::Result<Config> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("conductor.toml");
    std::fs::write(&file, text)?;
    Config::read(&file)
}

#[test]
fn reads_a_file_and_refuses_typos_and_contradictions() {
    let config = read(GOOD).unwrap();
    assert!(config.filters.residency.is_absolute());
    assert_eq!(config.filters.masking, Path::new("/m.wasm"));
    assert_eq!(config.api.listen.port(), 7080);
    for (from, to, want) in [
        ("issuer = ", "isuer = ", "isuer"),
        ("[filters]", "[filters]\ndelivery = \"pigeon\"", "pigeon"),
        ("region = \"eu\"", "", "region"),
        ("127.0.0.1:10000", "localhost", "listen"),
        ("[jwt]", "[jwt", "line"),
        (":9901", ":10000", "the same port"),
        (":9901", ":0", "need a port"),
        ("[{ address = \"127.0.0.1:9000\" }]", "[]", "no endpoints"),
    ] {
        let error = format!("{:#}", read(&GOOD.replace(from, to)).unwrap_err());
        assert!(error.contains(want), "{from} -> {to}: {error}");
    }
    for (name, want) in [
        ("content-length", "speaks of the body"),
        ("ETag", "speaks of the body"),
        ("content-encoding", "speaks of the body"),
        ("transfer-encoding", "connection, which ends at the gateway"),
        ("x-ig-mask", "the gateway's own"),
        ("a b", "no header's name"),
        ("", "no header's name"),
    ] {
        let text = format!("{GOOD}response_headers = [\"x-cost\", {name:?}]\n");
        let error = format!("{:#}", read(&text).unwrap_err());
        let place = format!("conductor.toml: region `eu`: `response_headers`: `{name}`: ");
        assert!(error.contains(&place) && error.contains(want), "{error}");
    }
    assert!(read(&format!("{GOOD}response_headers = [\"x-cost\"]\n")).is_ok());
    let filters = "[filters]\nresidency = \"r.wasm\"\nmasking = \"/m.wasm\"\n";
    let list = GOOD.replace(filters, "");
    let list = format!("filters = [\"r.wasm\", \"/m.wasm\"]\n{list}");
    let error = format!("{:#}", read(&list).unwrap_err());
    assert!(error.contains("expected an object"), "{error}");
    let with_sidecar = GOOD.replace(
        "masking = \"/m.wasm\"",
        "masking = \"/m.wasm\"\nguard = \"g.wasm\"",
    ) + SIDECAR;
    let config = read(&with_sidecar).unwrap();
    assert!(config.filters.guard.is_some_and(|g| g.is_absolute()));
    let store = config.sidecars[0].listeners[0].store("eu");
    assert_eq!((store.region.as_str(), store.objects.len()), ("eu", 1));
    for (from, to, want) in [
        ("guard = \"g.wasm\"", "", "names no module"),
        ("buckets = ", "databases = ", "no databases"),
        ("\"s3\"", "\"postgres\"", "no buckets"),
        ("kind = \"s3\"", "kind = \"ftp\"", "ftp"),
        (":15000", ":0", "needs a port"),
        ("hosts = ", "host = ", "host"),
    ] {
        let error = format!("{:#}", read(&with_sidecar.replace(from, to)).unwrap_err());
        assert!(error.contains(want), "{from} -> {to}: {error}");
    }
    let error = format!("{:#}", read(&(with_sidecar + SIDECAR)).unwrap_err());
    assert!(error.contains("two [[sidecars]]"), "{error}");
    let (head, gateway) = GOOD.split_once("[[gateways]]").unwrap();
    let twice = format!("{head}[[gateways]]{gateway}[[gateways]]{gateway}");
    assert!(
        read(&twice)
            .unwrap_err()
            .to_string()
            .contains("two [[gateways]]")
    );
}

#[test]
fn a_prober_has_somebody_to_ask() {
    let good = format!("{GOOD}{PROBE}");
    let config = read(&good).unwrap();
    let probe = config.probe.unwrap();
    assert!(probe.proofs.is_absolute() && probe.keys == Path::new("/keys"));
    assert_eq!(
        (probe.role.as_str(), probe.schedule.every_s),
        ("probe", 600)
    );
    assert_eq!(config.agents[0].stores[0].name(), "people");
    for (from, to, says) in [
        ("every_s = 600", "every_s = 60", "begin after their period"),
        ("every_s = 600", "every = 600", "every"),
        ("[traces]", "", "without spans nothing can be proven"),
        (
            "control = \"127.0.0.1:7190\"",
            "control = \"127.0.0.1:0\"",
            "need a port",
        ),
        (
            "region = \"eu\"\nlisten = \"127.0.0.1:7180\"",
            "region = \"us\"\nlisten = \"127.0.0.1:7180\"",
            "no [[gateways]]",
        ),
        ("kind = \"postgres\"", "kind = \"mysql\"", "mysql"),
        ("user = \"probe\"", "", "user"),
        ("token_kid = \"probe\"", "", "token_kid"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let error = format!("{:#}", read(&text).unwrap_err());
        assert!(error.contains(says), "{to}: {error}");
    }
    let nobody = format!("{GOOD}{PROBE}");
    let (before, after) = nobody.split_once("[[agents]]").unwrap();
    let (_, after) = after.split_once("[probe]").unwrap();
    let error = format!(
        "{:#}",
        read(&format!("{before}[probe]{after}")).unwrap_err()
    );
    assert!(error.contains("no [[agents]]"), "{error}");
}
