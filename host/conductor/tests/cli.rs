//! The command line: what it prints, and how it refuses.

use std::path::Path;
use std::process::{Command, Output};

fn conductor(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conductor"))
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .output()
        .expect("the conductor starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const ANALYST: &str =
    r#"{"sub":"ann","tenant":"acme","roles":["analyst"],"purposes":["analytics"]}"#;

fn explain(query: &str, claims: &str, more: &[&str]) -> Output {
    let mut args = vec!["explain", "--query", query, "--claims", claims];
    args.extend(more);
    conductor(&args)
}

/// What `explain` prints, its revision blanked: it changes with every edit of the policies.
fn explained(query: &str, claims: &str, more: &[&str]) -> String {
    explained_with(0, query, claims, more)
}

/// The same, ending with that code.
fn explained_with(code: i32, query: &str, claims: &str, more: &[&str]) -> String {
    let output = explain(query, claims, more);
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    let text = text(&output.stdout);
    let (first, rest) = text.split_once('\n').expect("several lines");
    assert!(first.starts_with("policies   r-"), "{first}");
    rest.to_owned()
}

#[test]
fn explain_says_what_is_masked_and_why() {
    let query = "{ people { name mail: email phone salary } search(text: \"a\") { __typename \
                 ... on Asset { email } ... on Person { email } } }";
    insta::assert_snapshot!(explained(query, ANALYST, &["--purpose", "analytics"]));
}

#[test]
fn explain_says_that_a_value_of_open_type_is_redacted() {
    let query = "{ search(text: \"a\") { ... on Asset { v: email } ... on Person { v: email } } }";
    insta::assert_snapshot!(explained(query, ANALYST, &[]));
}

#[test]
fn explain_says_what_is_revealed_to_an_admin() {
    let admin = r#"{"sub":"root","tenant":"acme","roles":["admin"],"purposes":["administration"]}"#;
    let query = "{ viewer { email salary } }";
    insta::assert_snapshot!(explained(query, admin, &["--purpose", "administration"]));
}

#[test]
fn explain_says_why_a_request_is_refused() {
    insta::assert_snapshot!(
        [
            explained_with(1, "{ viewer { email } }", ANALYST, &["--region", "us"]),
            explained_with(1, "{ viewer { email } }", ANALYST, &["--data-region", "us"]),
            explained_with(
                1,
                "{ viewer { email } }",
                ANALYST,
                &["--purpose", "marketing"]
            ),
            explained_with(1, "{ viewer { email }", ANALYST, &[]),
            explained_with(
                1,
                "{ viewer { nope { email } } }",
                r#"{"sub":"x","tenant":"nowhere"}"#,
                &[]
            ),
        ]
        .join("--\n")
    );
}

/// What `explain` says of recorded cases, one after the other.
fn explained_cases(names: &[&str], more: &[&str]) -> String {
    let explained = names.iter().map(|name| {
        let case = format!("policies/cases/masking/{name}");
        let output = conductor(&[&["explain", "--case", &case], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let text = text(&output.stdout);
        let (_, rest) = text.split_once('\n').expect("several lines");
        format!("{name}\n{rest}")
    });
    explained.collect::<Vec<_>>().join("--\n")
}

#[test]
fn explain_says_what_becomes_of_every_shape_of_request() {
    insta::assert_snapshot!(explained_cases(
        &[
            "batch_of_different_operations",
            "get_is_masked",
            "persisted_query_of_the_manifest",
            "persisted_query_of_the_manifest_by_get",
            "persisted_query_of_an_unknown_hash",
            "rest_list",
            "rest_order_by_a_masked_field",
            "export_for_an_audit_shows_money",
            "shadow_passes_what_would_be_refused",
        ],
        &[]
    ));
}

#[test]
fn explain_lists_what_is_open_too() {
    insta::assert_snapshot!(explained_cases(
        &["deferred_data_by_id", "rest_object"],
        &["--all"]
    ));
}

#[test]
fn explain_prints_a_case_as_json() {
    let case = "policies/cases/masking/batch_of_different_operations";
    let output = conductor(&["explain", "--json", "--all", "--case", case]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["operation"]["name"], "A");
    assert_eq!(json["masked"][0]["path"], "data.viewer.pay");
    assert_eq!(json["batch"][0]["operation"]["kind"], "mutation");
    let open = &json["batch"][0]["paths"];
    let name = open
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["path"] == "data.renameAsset.name");
    assert_eq!(name.map(|p| &p["action"]), Some(&"pass".into()));
    let case = "policies/cases/masking/rest_list";
    let output = conductor(&["explain", "--json", "--case", case]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["route"]["name"], "people");
    let again = json["masked"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["path"] == "manager");
    assert_eq!(again.map(|p| &p["action"]), Some(&"again".into()));
}

/// Whatever a case asks for, it can be explained.
#[test]
fn explain_agrees_with_every_case() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/cases/masking");
    for entry in std::fs::read_dir(policies).expect("cases") {
        let directory = entry.expect("a case").path();
        let output = conductor(&["explain", "--json", "--case", &directory.to_string_lossy()]);
        let error = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {error}",
            directory.display()
        );
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let want = std::fs::read(directory.join("want.json")).expect("read");
        let want: serde_json::Value = serde_json::from_slice(&want).expect("JSON");
        if want["allow"] == false {
            let got = (&json["outcome"], &json["status"]);
            assert_eq!(
                got,
                (&"denied".into(), &want["status"]),
                "{}",
                directory.display()
            );
        }
    }
}

/// A case that goes another way than it says is a check that failed.
#[test]
fn explain_fails_for_a_case_that_is_not_as_described() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/cases/masking");
    for (case, want, code) in [
        ("rest_order_by_a_masked_field", r#"{"allow": true}"#, 1),
        ("rest_order_by_a_masked_field", r#"{"allow": false}"#, 0),
        ("rest_order_by_a_masked_field", "{}", 0),
        ("rest_list", r#"{"allow": false}"#, 1),
        ("rest_list", r#"{"status": 200}"#, 0),
        (
            "shadow_passes_what_would_be_refused",
            r#"{"allow": true}"#,
            0,
        ),
        ("rest_list", "[", 2),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let input = directory.path().join("input.json");
        std::fs::copy(cases.join(case).join("input.json"), input).expect("copied");
        std::fs::write(directory.path().join("want.json"), want).expect("written");
        let output = conductor(&["explain", "--case", &directory.path().to_string_lossy()]);
        assert_eq!(output.status.code(), Some(code), "{case}: {want}");
    }
}

/// Who has read enough closes the pipe: no fault, and nothing is said.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for command in [
        "filter-config masking --region eu",
        "explain --all --case policies/cases/masking/rest_list",
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(command.split(' '))
            .current_dir(&checkout)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the conductor");
        // Closed before anything is written, so nothing depends on who is first.
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert_eq!(text(&output.stderr), "", "{command}");
    }
}

#[test]
fn explain_prints_json() {
    let output = explain("{ viewer { email } }", ANALYST, &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["outcome"], "allowed");
    assert_eq!(json["masked"][0]["path"], "data.viewer.email");
    assert_eq!(json["masked"][0]["strategy"], "hash");
    assert_eq!(json["residency"]["regionDst"], "eu");
}

#[test]
fn wrong_usage_ends_with_2_and_names_the_place() {
    let no_directory = [
        "explain",
        "--query",
        "{a}",
        "--claims",
        "{}",
        "--policies",
        "nowhere",
    ];
    for (args, want) in [
        (
            &["explain", "--query", "{a}", "--claims", "{"][..],
            "--claims must be a JSON object",
        ),
        (
            &["explain", "--query", "@nowhere.graphql", "--claims", "{}"],
            "can't read nowhere.graphql",
        ),
        (&no_directory, "can't read nowhere"),
        (&["explain", "--claims", "{}"], "--query"),
        (
            &["explain", "--case", "x", "--purpose", "support"],
            "cannot be used with",
        ),
        (
            &["explain", "--case", "nowhere"],
            "can't read nowhere/input.json",
        ),
        (&["serve"], "--config"),
        (
            &["serve", "--config", "nowhere.toml"],
            "can't read the configuration nowhere.toml",
        ),
        (&["serve", "--config", "Cargo.toml"], "in Cargo.toml"),
        (&["filter-config", "nope", "--region", "eu"], "masking"),
        (
            &["filter-config", "masking", "--region", "mars"],
            "the policies in policies have no region `mars`: use apac, eu, us",
        ),
        (
            &["filter-config", "residency", "--region", ""],
            "have no region ``",
        ),
        (&["demo", "--json"], "--check"),
        (&["nope"], "unrecognized subcommand"),
        (&[], "Usage"),
    ] {
        let output = conductor(args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(want), "{args:?}: {error}");
    }
}

#[test]
fn filter_config_is_what_the_engine_loads() {
    let output = conductor(&["filter-config", "masking", "--region", "eu"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    engine::filter::Masking::configure(&output.stdout, |_| None).expect("a configuration");
    let output = conductor(&["filter-config", "residency", "--region", "eu"]);
    engine::residency::Residency::configure(&output.stdout, |_| None).expect("a configuration");
}

/// A directory with a configuration, and the policies of this repository.
fn installed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let file = |name: &str, content: &str| {
        std::fs::write(directory.path().join(name), content).expect("written");
    };
    let filter = "\0asm\u{1}\0\0\0\u{1}\u{4}\u{1}\u{60}\0\0\u{3}\u{2}\u{1}\0\u{7}\u{1b}\u{1}\u{17}\
                  proxy_abi_version_0_2_1\0\0\u{a}\u{4}\u{1}\u{2}\0\u{b}";
    file("filter.wasm", filter);
    file("jwks.json", r#"{"keys":[{"kty":"EC"}]}"#);
    file(
        "conductor.toml",
        &format!(
            "policies = {:?}\nstate = \"state\"\n[filters]\nresidency = \"filter.wasm\"\n\
             masking = \"filter.wasm\"\n[jwt]\nissuer = \"https://issuer.example\"\n\
             audiences = [\"assets\"]\njwks_file = \"jwks.json\"\n[[gateways]]\nregion = \"eu\"\n\
             listen = \"0.0.0.0:10000\"\nadmin = \"127.0.0.1:9901\"\n\
             endpoints = [{{ address = \"127.0.0.1:9000\" }}]\naccess_log = \"/var/log/eu.log\"\n",
            policies.canonicalize().expect("the policies")
        ),
    );
    directory
}

#[test]
fn check_config_tries_everything_and_names_what_is_broken() {
    let directory = installed();
    let config = directory.path().join("conductor.toml");
    let check = || {
        conductor(&[
            "serve",
            "--check-config",
            "--config",
            &config.to_string_lossy(),
        ])
    };
    let output = check();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("masking and"),
        "{}",
        text(&output.stdout)
    );
    for (file, content, want) in [
        ("filter.wasm", "ELF", "it is no WebAssembly module"),
        ("jwks.json", "{}", "jwt.jwks"),
    ] {
        let path = directory.path().join(file);
        let original = std::fs::read(&path).expect("read");
        std::fs::write(&path, content).expect("written");
        let output = check();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(error.contains(want), "{file}: {error}");
        std::fs::write(&path, original).expect("written");
    }
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let policies = policies.canonicalize().expect("the policies");
    let copied = directory.path().join("policies");
    let said = Command::new("cp")
        .arg("-r")
        .args([&policies, &copied])
        .status();
    assert!(said.expect("cp").success());
    let file = std::fs::read_to_string(&config).expect("read");
    let own = file.replace(&format!("{policies:?}"), "\"policies\"");
    std::fs::write(&config, own).expect("written");
    for (content, want) in [
        ("{", "policies/masking.json can't be used: EOF"),
        (
            r#"{"mod": "shadow"}"#,
            "policies/masking.json can't be used: unknown field `mod`",
        ),
        (
            r#"{"routes": [{"name": "a", "path": "/a", "type": "Persn"}]}"#,
            "policies/masking.json can't be used: route `a`: the schema has no object type `Persn`",
        ),
        (
            r#"["shadow"]"#,
            "policies/masking.json can't be used: invalid type: sequence, expected an object",
        ),
        (
            r#"{"routes": [{"name": "a", "path": "/a/../b", "type": "Person"}]}"#,
            "policies/masking.json can't be used: route `a`: no path has the segment `..`",
        ),
        (
            r#"{"graphql": {"manifest": {"mine": "{ nope"}}}"#,
            "policies/masking.json can't be used: persisted query `mine`: ",
        ),
        (
            r#"{"routes": [{"name": "a", "path": "/graphql", "type": "Person"}]}"#,
            "the gateway of region eu: route \"a\": its path is a GraphQL endpoint",
        ),
    ] {
        std::fs::write(copied.join("masking.json"), content).expect("written");
        let output = check();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{content}");
        assert!(error.contains(want), "{content}: {error}");
    }
    std::fs::write(copied.join("masking.json"), "{}").expect("written");
    assert_eq!(check().status.code(), Some(0));
    let good = std::fs::read_to_string(&config).expect("read");
    let more = good.clone() + "response_headers = [\"content-length\"]\n";
    std::fs::write(&config, more).expect("written");
    let output = check();
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("region `eu`: `response_headers`: `content-length`: "),
        "{error}"
    );
    std::fs::write(&config, good).expect("written");
    let bootstrap = |region: &str| {
        conductor(&[
            "bootstrap",
            "--config",
            &config.to_string_lossy(),
            "--region",
            region,
        ])
    };
    let output = bootstrap("eu");
    assert!(
        text(&output.stdout).contains("id: \"gateway-eu\""),
        "{}",
        text(&output.stdout)
    );
    let output = bootstrap("mars");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no gateway of region `mars`: use eu"));
}
