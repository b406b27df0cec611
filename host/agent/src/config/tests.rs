use super::*;

const GOOD: &str = r#"
    [[stores]]
    name = "people"
    kind = "postgres"
    address = "127.0.0.1:15432"
    database = "{tenant}"
    user = "{tenant}"
    password_env = "PEOPLE_PASSWORD"
    region_names = { "eu-central-1" = "eu" }

    [[stores]]
    name = "files"
    kind = "s3"
    address = "127.0.0.1:19000"
    bucket = "data-{tenant}"
    host = "s3.eu-central-1.amazonaws.com"
    access_key_env = "FILES_KEY"
    secret_key_env = "FILES_SECRET"
    signing_region = "eu-central-1"

    [[stores]]
    name = "graph"
    kind = "neo4j"
    address = "localhost:17474"
    database = "{tenant}"
    user = "neo4j"
    password_env = "GRAPH_PASSWORD"
"#;

fn fault(text: &str) -> String {
    match toml::from_str::<Config>(text) {
        Ok(config) => config.check().unwrap_err().to_string(),
        Err(error) => error.message().to_owned(),
    }
}

#[test]
fn a_configuration_is_read_strictly() {
    let config: Config = toml::from_str(GOOD).unwrap();
    config.check().unwrap();
    let kinds: Vec<StoreKind> = config.stores.iter().map(StoreConfig::kind).collect();
    assert_eq!(
        kinds,
        [StoreKind::Postgres, StoreKind::S3, StoreKind::Neo4j]
    );
    assert_eq!(config.limit_ms, 5_000);
    for (from, to, says) in [
        ("\"files\"", "\"people\"", "two stores"),
        ("\"files\"", "\"fi les\"", "`name`"),
        ("localhost:17474", "localhost", "`address`"),
        ("localhost:17474", ":17474", "`address`"),
        ("data-{tenant}", "data/{tenant}", "`bucket`"),
        ("data-{tenant}", "data-{tenants}", "`bucket`"),
        ("secret_key_env = \"FILES_SECRET\"", "", "`secret_key_env`"),
        ("user = \"neo4j\"", "", "`password_env`"),
        ("user = \"neo4j\"", "user = \"a:b\"", "`user`"),
        ("bucket =", "buckets =", "unknown field `buckets`"),
        ("\"s3\"", "\"s4\"", "unknown variant `s4`"),
        ("\"s3\"", "\"neo4j\"", "unknown field"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let fault = fault(&text);
        assert!(fault.contains(says), "{from} → {to}: {fault}");
    }
    assert!(fault("limit_ms = 0").contains("limit_ms"));
}
