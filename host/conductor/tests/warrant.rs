//! `conductor warrant`, with keys that openssl makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A directory with keys, policies that register one of them, and the conductor.
struct Office {
    directory: tempfile::TempDir,
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

impl Office {
    fn open() -> Self {
        let office = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        for part in ["ig", "schema.graphql"] {
            let (from, to) = (policies.join(part), office.path("policies").join(part));
            if from.is_dir() {
                artifacts::copy_directory(&from, &to).unwrap();
            } else {
                std::fs::copy(from, to).unwrap();
            }
        }
        let openssl = |args: &str| {
            let mut command = Command::new("openssl");
            command
                .args(args.split(' '))
                .current_dir(office.directory.path());
            let (code, _, errors) = run(&mut command);
            assert_eq!(code, 0, "{errors}");
        };
        for name in ["court", "stranger"] {
            let curve = "ec_paramgen_curve:P-256";
            openssl(&format!(
                "genpkey -algorithm EC -pkeyopt {curve} -out {name}.pem"
            ));
            openssl(&format!("pkey -in {name}.pem -pubout -out {name}.pub"));
        }
        openssl("pkey -in court.pem -aes256 -passout pass:open-sesame -out locked.pem");
        openssl("ec -in court.pem -out sec1.pem");
        openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out other.pem");
        let args = "authority court.pub --name joint-court --jurisdiction EU --jurisdiction US";
        let (code, entry, _) = office.warrant(args);
        assert_eq!(code, 0);
        std::fs::write(office.path("policies/ig/authorities/data.json"), entry).unwrap();
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn conductor(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command.current_dir(self.directory.path());
        command.env_remove("IG_AUTHORITY_PASSPHRASE");
        command
    }

    fn warrant(&self, args: &str) -> (i32, String, String) {
        run(self.conductor().arg("warrant").args(args.split(' ')))
    }

    /// Issues a warrant, with more arguments, into a file.
    fn issue(&self, more: &str) -> Value {
        let (code, out, errors) = self.warrant(&format!("{ISSUE} --json {more}"));
        assert_eq!(code, 0, "{errors}");
        let issued: Value = serde_json::from_str(&out).unwrap();
        std::fs::write(
            self.path("warrant.jwt"),
            issued["warrant"].as_str().unwrap(),
        )
        .unwrap();
        issued
    }

    /// The check that fails; null if none does.
    fn failing(&self, more: &str) -> Value {
        let (code, out, errors) = self.warrant(&format!("verify warrant.jwt --json{more}"));
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{errors}"));
        assert_eq!(code, i32::from(report["valid"] == json!(false)));
        let checks = report["checks"].as_array().unwrap();
        let failed = checks.iter().find(|c| c["holds"] == json!(false));
        failed.map_or(Value::Null, |c| {
            assert_eq!(c["code"], report["code"]);
            c["check"].clone()
        })
    }
}

const ISSUE: &str = "issue --key court.pem --authority joint-court --jurisdiction EU --case C-17/26 \
    --tenant initech --from us --to eu --operation read --purpose audit --for 8h";

#[test]
fn a_warrant_is_issued_used_revoked_and_listed() {
    let office = Office::open();
    let issued = office.issue("--id wrt_1 --max-uses 5 --ledger issued.jsonl --policies policies");
    let claims = &issued["claims"];
    let lasts = claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap();
    assert_eq!((lasts, &claims["maxUses"]), (8 * 3600, &json!(5)));
    assert_eq!(office.failing(""), Value::Null);

    let explain = |more: &str| {
        let who = r#"{"sub":"ann","tenant":"initech","roles":["auditor"],"purposes":["audit"]}"#;
        let query = [
            "explain",
            "--query",
            "{ viewer { id } }",
            "--claims",
            who,
            "--purpose",
            "audit",
        ];
        let mut command = office.conductor();
        run(command
            .args(query)
            .args(["--json", "--region", "eu"])
            .args(more.split(' ')))
    };
    let code_of = |out: &str| serde_json::from_str::<Value>(out).unwrap()["code"].clone();
    let (_, out, _) = explain("--policies policies");
    assert_eq!(code_of(&out), "CROSS_REGION");
    let (_, out, _) = explain("--warrant warrant.jwt");
    assert_eq!(code_of(&out), Value::Null, "{out}");

    let (_, listed, _) = office.warrant("list --ledger issued.jsonl");
    assert!(
        listed.starts_with("valid    wrt_1 initech us -> eu until "),
        "{listed}"
    );
    for (reason, said) in [
        ("withdrawn", "wrt_1 is revoked: "),
        ("again", "wrt_1 is revoked already"),
    ] {
        let (code, out, _) = office.warrant(&format!("revoke wrt_1 --reason {reason}"));
        assert_eq!(code, 0);
        assert!(out.starts_with(said), "{out}");
    }
    let revocations = office.path("policies/ig/revocations");
    let file = std::fs::read_to_string(revocations.join("data.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file, json!({"wrt_1": {"reason": "withdrawn"}}));
    assert_eq!(
        std::fs::read_dir(revocations).unwrap().count(),
        1,
        "no draft stays"
    );
    assert_eq!(office.failing(""), "revocation");
    let (_, listed, _) = office.warrant("list --ledger issued.jsonl");
    assert!(listed.starts_with("revoked  wrt_1 initech"), "{listed}");
    let (_, listed, _) = office.warrant("list");
    assert_eq!(listed, "revoked  wrt_1 (withdrawn)\n");
    let (_, out, _) = explain("--warrant warrant.jwt");
    assert_eq!(code_of(&out), "WARRANT_REVOKED");
}

#[test]
fn verify_names_the_check_that_fails() {
    let office = Office::open();
    let begins = "--begins 2030-01-01T00:00:00Z";
    office.issue(begins);
    for (more, want) in [
        ("", json!("beginning")),
        (" --at 2030-01-01T00:00:00Z", Value::Null),
        (" --at 2030-01-01T07:59:59Z", Value::Null),
        (" --at 2030-01-01T08:00:00Z", json!("end")),
    ] {
        assert_eq!(office.failing(more), want, "{more}");
    }
    for (issue, verify, want) in [
        ("--authority nobody", "", "binding"),
        ("--jurisdiction SG", "", "binding"),
        ("--key stranger.pem", "", "key"),
        ("--to apac", "", "jurisdiction"),
        ("--from eu --to us", "", "regions"),
        ("--tenant acme", "", "regions"),
        ("--tenant nobody", "", "tenant"),
        ("--tenant umbrella", " --tenant initech", "tenant"),
        ("--operation delete", " --operation write", "operation"),
        ("--case C-18/26", " --purpose analytics", "purpose"),
        ("--case C-18/26", " --region us", "regions"),
    ] {
        // An argument that stands twice counts as it stands last.
        let (name, value) = issue.split_once(' ').unwrap();
        let given = match ISSUE.find(&format!("{name} ")) {
            Some(at) if name != "--operation" => {
                let (before, rest) = ISSUE.split_at(at + name.len() + 1);
                let (_, after) = rest.split_once(' ').unwrap();
                format!("{before}{value} {after}")
            }
            _ => format!("{ISSUE} {issue}"),
        };
        let given = match issue {
            "--from eu --to us" => ISSUE.replace("--from us --to eu", issue),
            _ => given,
        };
        let (code, out, errors) = office.warrant(&given);
        assert_eq!(code, 0, "{errors}");
        std::fs::write(office.path("warrant.jwt"), out).unwrap();
        assert_eq!(office.failing(verify), want, "{issue}{verify}");
    }
    let text = std::fs::read_to_string(office.path("warrant.jwt")).unwrap();
    let (signed, _) = text.trim().rsplit_once('.').unwrap();
    let zeros = "A".repeat(85) + "E";
    for (text, want) in [
        (format!("{signed}.{}", zeros.replacen('A', "B", 2)), "form"),
        ("x".into(), "form"),
        (String::new(), "form"),
    ] {
        std::fs::write(office.path("warrant.jwt"), text).unwrap();
        assert_eq!(office.failing(""), want);
    }
}

#[test]
fn keys_may_be_locked_and_nothing_of_them_is_told() {
    let office = Office::open();
    let locked = ISSUE.replace("court.pem", "locked.pem");
    let with = |passphrase: &str| {
        let mut command = office.conductor();
        command.env("IG_AUTHORITY_PASSPHRASE", passphrase);
        run(command.arg("warrant").args(locked.split(' ')))
    };
    let (code, out, errors) = with("open-sesame");
    assert_eq!(code, 0, "{errors}");
    std::fs::write(office.path("warrant.jwt"), out).unwrap();
    assert_eq!(office.failing(""), Value::Null);
    let (code, out, errors) = with("open-barley");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        errors.contains("passphrase is wrong") && !errors.contains("barley"),
        "{errors}"
    );
    for (args, want) in [
        (locked.clone(), "set IG_AUTHORITY_PASSPHRASE"),
        (
            ISSUE.replace("court.pem", "sec1.pem"),
            "openssl pkcs8 -topk8",
        ),
        (
            ISSUE.replace("court.pem", "court.pub"),
            "no private key of P-256",
        ),
        (
            ISSUE.replace("court.pem", "other.pem"),
            "no private key of P-256",
        ),
        (
            ISSUE.replace("court.pem", "gone.pem"),
            "can't read gone.pem",
        ),
        (ISSUE.replace(" --for 8h", ""), "--ends"),
        (ISSUE.replace("8h", "8"), "such as 8h"),
        (ISSUE.replace("read", "reed"), "read, write, delete"),
        (ISSUE.replace("--to eu", "--to us"), "no gateway would take"),
        (format!("{ISSUE} --id 17"), "no gateway would take"),
        (format!("{ISSUE} --max-uses 0"), "max-uses"),
        ("verify gone.jwt".into(), "can't read gone.jwt"),
        ("verify court.pem --at noon".into(), "2026-12-01T00:00:00Z"),
        ("revoke 17 --reason x".into(), "begins with wrt_"),
        (
            "revoke wrt_1 --reason x --policies gone".into(),
            "no policy directory",
        ),
        (
            "list --ledger court.pem".into(),
            "line 1, is no issued warrant",
        ),
        ("authority court.pem".into(), "no public key of P-256"),
        ("authority court.pub --name x".into(), "--jurisdiction"),
    ] {
        let (code, out, errors) = office.warrant(&args);
        assert_eq!((code, out.as_str()), (2, ""), "{args}: {errors}");
        assert!(errors.contains(want), "{args}: {errors}");
    }
    // One that its own gateways would not believe is not given out.
    let strange = ISSUE.replace("court.pem", "stranger.pem");
    let (code, out, errors) = office.warrant(&format!("{strange} --policies policies"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.contains("WARRANT_KEY_UNKNOWN"), "{errors}");
}
