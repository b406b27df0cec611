//! `conductor bundle`: what is made is the same to the byte, holds as long as nobody changes it, and
//! `openssl` and Python read it as this project does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const PASSPHRASE: &str = "correct horse battery";

/// A directory with keys that `openssl` made.
struct Workshop {
    directory: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Seen {
    code: i32,
    out: String,
    error: String,
}

fn seen(output: Output) -> Seen {
    Seen {
        code: output.status.code().expect("a code"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        error: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn policies() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    path.canonicalize().expect("the policies are there")
}

impl Workshop {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let workshop = Self { directory };
        workshop.shell(
            "for k in key other; do openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
             -out $k.pem && openssl pkey -in $k.pem -pubout -out $k.pub || exit 1; done",
        );
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a shell prints; it must end well.
    #[track_caller]
    fn shell(&self, line: &str) -> String {
        let mut shell = Command::new("sh");
        let shell = shell
            .args(["-c", line])
            .current_dir(self.directory.path())
            .env("PASSPHRASE", PASSPHRASE);
        let seen = seen(shell.output().expect("sh"));
        assert_eq!(seen.code, 0, "{line}: {seen:?}");
        seen.out
    }

    /// Runs `conductor bundle`.
    #[track_caller]
    fn run(&self, args: &[&str]) -> Seen {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Seen {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command
            .arg("bundle")
            .args(args)
            .current_dir(self.directory.path())
            .env_remove("IG_BUNDLE_PASSPHRASE")
            .env_remove("SOURCE_DATE_EPOCH")
            .envs(environment.iter().copied());
        let seen = seen(command.output().expect("the conductor starts"));
        assert!(!format!("{seen:?}").contains(PASSPHRASE), "{seen:?}");
        seen
    }

    /// Makes a bundle of the repository's policies.
    #[track_caller]
    fn build(&self, name: &str, more: &[&str]) -> Seen {
        let policies = policies();
        let policies = policies.to_str().expect("UTF-8");
        let mut args = vec!["build", policies, "-o", name, "--signing-key", "key.pem"];
        args.extend(more);
        let seen = self.run(&args);
        assert_eq!(seen.code, 0, "{seen:?}");
        seen
    }

    fn verify(&self, name: &str) -> Seen {
        self.run(&["verify", name, "--public-key", "key.pub"])
    }

    /// A copy of the policies, without the cases.
    fn copy(&self, name: &str) -> PathBuf {
        let to = self.path(name);
        let from = policies();
        self.shell(&format!(
            "cp -R {} {} && rm -R {}/cases",
            from.display(),
            to.display(),
            to.display()
        ));
        to
    }

    fn edit(&self, file: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.path(file);
        let text = fs::read_to_string(&path).expect("read");
        let mut value: Value = serde_json::from_str(&text).expect("JSON");
        edit(&mut value);
        fs::write(path, value.to_string()).expect("written");
    }
}

#[test]
fn two_builds_are_identical_and_hold_until_a_byte_changes() {
    let workshop = Workshop::new();
    workshop.build("a.tar.gz", &[]);
    workshop.build("b.tar.gz", &[]);
    let read = |name: &str| fs::read(workshop.path(name)).expect("read");
    let whole = read("a.tar.gz");
    assert_eq!(whole, read("b.tar.gz"));

    let seen = workshop.verify("a.tar.gz");
    assert_eq!(seen.code, 0, "{seen:?}");
    assert!(seen.out.contains("are its own"), "{seen:?}");
    for paper in ["a.tar.gz.cdx.json", "a.tar.gz.intoto.json"] {
        let text = read(paper);
        let mut other = text.clone();
        let at = other
            .iter()
            .rposition(|b| b.is_ascii_alphanumeric())
            .expect("text");
        other[at] ^= 1;
        fs::write(workshop.path(paper), &other).expect("written");
        let seen = workshop.verify("a.tar.gz");
        assert_eq!(seen.code, 1, "{seen:?}");
        assert!(seen.out.contains(paper), "{seen:?}");
        fs::write(workshop.path(paper), &text).expect("written");
    }

    // The bundle alone: every change of it is seen, also where no file's content is.
    for at in (0..whole.len())
        .step_by(whole.len() / 40)
        .chain([4, 8, 9, whole.len() - 1])
    {
        let mut changed = whole.clone();
        changed[at] ^= 0x20;
        fs::write(workshop.path("c.tar.gz"), &changed).expect("written");
        let seen = workshop.verify("c.tar.gz");
        assert_eq!(seen.code, 1, "byte {at}: {seen:?}");
        assert!(seen.out.contains("c.tar.gz does not hold: "), "{seen:?}");
    }
    fs::write(workshop.path("c.tar.gz"), &whole[..whole.len() / 2]).expect("written");
    assert_eq!(workshop.verify("c.tar.gz").code, 1);
    fs::write(workshop.path("c.tar.gz"), &whole).expect("written");
    let seen = workshop.verify("c.tar.gz");
    assert_eq!(seen.code, 0, "{seen:?}");
    let seen = workshop.run(&[
        "verify",
        "c.tar.gz",
        "--public-key",
        "key.pub",
        "--provenance",
    ]);
    assert_eq!(seen.code, 1, "{seen:?}");
    assert!(
        seen.out.contains("c.tar.gz.cdx.json: it is not there"),
        "{seen:?}"
    );

    for (args, code) in [
        (&["a.tar.gz", "--public-key", "other.pub"][..], 1),
        (
            &["a.tar.gz", "--public-key", "key.pub", "--keyid", "release"],
            1,
        ),
        (
            &["a.tar.gz", "--public-key", "key.pub", "--scope", "write"],
            1,
        ),
        (&["none.tar.gz", "--public-key", "key.pub"], 2),
        (&["a.tar.gz", "--public-key", "key.pem"], 2),
        (&["a.tar.gz", "--public-key", "none.pub"], 2),
    ] {
        let seen = workshop.run(&[&["verify"], args].concat());
        assert_eq!(seen.code, code, "{args:?}: {seen:?}");
    }
}

#[test]
fn a_file_that_was_changed_inside_is_named() {
    let workshop = Workshop::new();
    workshop.build("a.tar.gz", &[]);
    // Taken apart, changed and put together again by stock tar, with the signature that it had.
    workshop.shell(
        "mkdir x && tar xzf a.tar.gz -C x && echo '# changed' >> x/ig/masking.rego && \
         tar czf b.tar.gz -C x .manifest .signatures.json ig masking.json schema.graphql",
    );
    let seen = workshop.verify("b.tar.gz");
    assert_eq!(seen.code, 1);
    assert!(
        seen.out
            .contains("`ig/masking.rego` is not what was signed"),
        "{seen:?}"
    );
    // The same without the change: the files are as signed, the archive is not.
    workshop
        .shell("rm -R x b.tar.gz && mkdir x && tar xzf a.tar.gz -C x && tar czf b.tar.gz -C x .");
    let seen = workshop.verify("b.tar.gz");
    assert_eq!(seen.code, 1);
    assert!(seen.out.contains("the archive around them"), "{seen:?}");
    let seen = workshop.run(&[
        "verify",
        "b.tar.gz",
        "--public-key",
        "key.pub",
        "--repacked",
    ]);
    assert_eq!(seen.code, 0, "{seen:?}");
    workshop.shell("ln -s /etc/passwd x/ig/link && tar czf b.tar.gz -C x .");
    let seen = workshop.run(&["inspect", "b.tar.gz"]);
    assert_eq!(seen.code, 2);
    assert!(
        seen.error.contains("`ig/link` is a symbolic link"),
        "{seen:?}"
    );
}

/// Reads the bundle with nothing but Python's own library, writes what was signed and the signatures as
/// `openssl` wants them, and hashes the files again.
const READER: &str = r#"
import base64, gzip, hashlib, io, json, sys, tarfile

name = sys.argv[1]
raw = open(name, "rb").read()
assert raw[:4] == b"\x1f\x8b\x08\x00" and raw[4:8] == b"\0\0\0\0", "a gzip header that says nothing"
tar = tarfile.open(fileobj=io.BytesIO(gzip.decompress(raw)))
members = tar.getmembers()
names = [m.name for m in members]
assert names == sorted(names), names
for m in members:
    assert m.isfile() and (m.mtime, m.uid, m.gid, m.mode) == (0, 0, 0, 0o644), m
files = {m.name: tar.extractfile(m).read() for m in members}

def unpad(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

def integer(data):
    data = data.lstrip(b"\0") or b"\0"
    data = (b"\0" if data[0] & 0x80 else b"") + data
    return b"\x02" + bytes([len(data)]) + data

[token] = json.loads(files.pop(".signatures.json"))["signatures"]
header, payload, signature = token.split(".")
rs = unpad(signature)
assert len(rs) == 64
body = integer(rs[:32]) + integer(rs[32:])
open("jwt.der", "wb").write(b"\x30" + bytes([len(body)]) + body)
open("jwt.txt", "wb").write((header + "." + payload).encode())
header, payload = json.loads(unpad(header)), json.loads(unpad(payload))
assert header["alg"] == "ES256" and header["kid"] == payload["keyid"], header

def canonical(name, data):
    if name.rsplit("/", 1)[-1] not in ("data.json", ".manifest"):
        return data
    return json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

hashes = {f["name"]: (f["hash"], f["algorithm"]) for f in payload["files"]}
mine = {n: (hashlib.sha256(canonical(n, d)).hexdigest(), "SHA-256") for n, d in files.items()}
assert hashes == mine, (hashes, mine)

manifest = json.loads(files[".manifest"])
assert manifest["rego_version"] == 1 and manifest["roots"] == ["ig"], manifest
assert manifest["revision"].startswith("r-"), manifest

digest = hashlib.sha256(raw).hexdigest()
envelope = json.load(open(name + ".intoto.json"))
statement = base64.b64decode(envelope["payload"])
kind = envelope["payloadType"]
open("dsse.txt", "wb").write(b"DSSEv1 %d %s %d " % (len(kind), kind.encode(), len(statement)) + statement)
[signature] = envelope["signatures"]
open("dsse.der", "wb").write(base64.b64decode(signature["sig"]))
statement = json.loads(statement)
assert statement["_type"] == "https://in-toto.io/Statement/v1"
assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
assert statement["subject"] == [{"name": name, "digest": {"sha256": digest}}], statement["subject"]

bill = json.load(open(name + ".cdx.json"))
assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
assert {c["name"]: c["hashes"][0]["content"] for c in bill["components"]} == {
    n: hashlib.sha256(d).hexdigest() for n, d in files.items()
}
print(len(files))
"#;

#[test]
fn openssl_and_python_agree() {
    let workshop = Workshop::new();
    let made = workshop.build("bundle.tar.gz", &["--json", "--source-date", "1767225600"]);
    let made: Value = serde_json::from_str(&made.out).expect("JSON");
    fs::write(workshop.path("read.py"), READER).expect("written");
    let files = workshop.shell("python3 read.py bundle.tar.gz");
    assert_eq!(files.trim(), made["files"].to_string());
    for what in ["jwt", "dsse"] {
        let said = workshop.shell(&format!(
            "openssl dgst -sha256 -verify key.pub -signature {what}.der {what}.txt"
        ));
        assert!(said.contains("Verified OK"), "{what}: {said}");
    }
    let digest = workshop.shell("sha256sum bundle.tar.gz");
    assert!(
        digest.starts_with(made["digest"].as_str().expect("a digest")),
        "{digest}"
    );
    let bill = fs::read_to_string(workshop.path("bundle.tar.gz.cdx.json")).expect("read");
    assert!(bill.contains("2026-01-01T00:00:00Z"), "{bill}");
}

#[test]
fn keys_may_be_encrypted_and_named() {
    let workshop = Workshop::new();
    workshop.shell("openssl pkcs8 -topk8 -in key.pem -out locked.pem -passout env:PASSPHRASE");
    workshop.shell("openssl ec -in key.pem -out old.pem 2>/dev/null");
    let policies = policies();
    let build = |key: &str, environment: &[(&str, &str)]| {
        let policies = policies.to_str().expect("UTF-8");
        let args = [
            "build",
            policies,
            "-o",
            "b.tar.gz",
            "--signing-key",
            key,
            "--keyid",
            "release",
        ];
        workshop.run_with(&args, environment)
    };
    let right = ("IG_BUNDLE_PASSPHRASE", PASSPHRASE);
    for (key, environment, want) in [
        ("locked.pem", &[][..], "set IG_BUNDLE_PASSPHRASE"),
        (
            "locked.pem",
            &[("IG_BUNDLE_PASSPHRASE", "wrong")],
            "the passphrase is wrong",
        ),
        ("old.pem", &[], "openssl pkcs8 -topk8"),
        ("key.pub", &[], "no private key of P-256"),
        ("none.pem", &[], "can't use the key in none.pem"),
        (
            "key.pem",
            &[("SOURCE_DATE_EPOCH", "today")],
            "SOURCE_DATE_EPOCH",
        ),
    ] {
        let seen = build(key, environment);
        assert_eq!(seen.code, 2, "{seen:?}");
        assert!(seen.error.contains(want), "{want}: {seen:?}");
    }
    let seen = build("locked.pem", &[right]);
    assert_eq!(seen.code, 0, "{seen:?}");
    let locked = fs::read(workshop.path("b.tar.gz")).expect("read");
    assert_eq!(build("key.pem", &[]).code, 0);
    assert_eq!(locked, fs::read(workshop.path("b.tar.gz")).expect("read"));
    let seen = workshop.run(&[
        "verify",
        "b.tar.gz",
        "--public-key",
        "key.pub",
        "--keyid",
        "release",
    ]);
    assert_eq!(seen.code, 0, "{seen:?}");
    assert!(seen.out.contains("signed by release"), "{seen:?}");
}

#[test]
fn what_can_not_be_a_bundle_is_refused_and_nothing_is_written() {
    let workshop = Workshop::new();
    workshop.copy("bad");
    workshop.edit("bad/ig/fields/data.json", |fields| {
        fields["Person.nope"] = json!({"class": "x", "strategy": "hash"});
    });
    for (args, want) in [
        (&["build", "bad"][..], "Person.nope"),
        (&["build", "none"], "can't read none"),
        (
            &["build", "good", "--root", "other"],
            "outside of the roots [other]",
        ),
        (
            &["build", "good", "--root", "ig", "--root", "ig/masking"],
            "overlap",
        ),
        (&["build", "good", "--metadata", "x"], "NAME=VALUE"),
        (
            &["build", "good", "--filters", "bad"],
            "none of residency.wasm",
        ),
        (&["build", "good", "--keyid", "a b"], "visible characters"),
    ] {
        if !workshop.path("good").exists() {
            workshop.copy("good");
        }
        let more = ["-o", "b.tar.gz", "--signing-key", "key.pem"];
        let seen = workshop.run(&[args, &more].concat());
        assert_eq!(seen.code, 2, "{args:?}: {seen:?}");
        assert!(seen.error.contains(want), "{want}: {seen:?}");
        assert!(
            !workshop.path("b.tar.gz").exists() && !workshop.path("b.tar.gz.cdx.json").exists()
        );
    }
}

#[test]
fn bundles_are_looked_into_and_compared() {
    let workshop = Workshop::new();
    workshop.copy("next");
    workshop.edit("next/ig/fields/data.json", |fields| {
        fields["Contact.email"]["strategy"] = json!("partial");
    });
    workshop.build("a.tar.gz", &["--metadata", "change=1234"]);
    let seen = workshop.run(&["inspect", "a.tar.gz"]);
    assert_eq!(seen.code, 0, "{seen:?}");
    for want in ["ig/masking.rego", "change = \"1234\"", "(ES256)", "sha256:"] {
        assert!(seen.out.contains(want), "{want}: {seen:?}");
    }
    let seen = workshop.run(&["inspect", "a.tar.gz", "--json"]);
    let report: Value = serde_json::from_str(&seen.out).expect("JSON");
    assert_eq!(report["manifest"]["revision"], report["revision"]);
    assert_eq!(report["manifest"]["metadata"]["change"], "1234");

    let here = policies();
    let seen = workshop.run(&["diff", here.to_str().expect("UTF-8"), "a.tar.gz"]);
    assert_eq!(seen.code, 0, "{seen:?}");
    let seen = workshop.run(&["diff", "a.tar.gz", "next"]);
    assert_eq!(seen.code, 1, "{seen:?}");
    for want in [
        "file changed: ig/fields/data.json",
        "data ig/fields/Contact.email/strategy: \"hash\" → \"partial\"",
        "Person.email: hash → partial",
        " loosened",
    ] {
        assert!(seen.out.contains(want), "{want}: {}", seen.out);
    }
    let seen = workshop.run(&["diff", "a.tar.gz", "next", "--json"]);
    let report: Value = serde_json::from_str(&seen.out).expect("JSON");
    assert!(
        report["rules"]["loosened"][0]["decisions"].as_u64() > Some(0),
        "{report}"
    );
    assert_eq!(workshop.run(&["diff", "a.tar.gz", "none"]).code, 2);

    // What takes a policy directory takes a bundle too.
    let explain = |policies: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command.args([
            "explain",
            "--query",
            "{ people { email } }",
            "--policies",
            policies,
        ]);
        command.args([
            "--claims",
            r#"{"sub":"ann","tenant":"acme","roles":["analyst"]}"#,
        ]);
        seen_of(command.current_dir(workshop.directory.path()))
    };
    let (a, b) = (explain("a.tar.gz"), explain(here.to_str().expect("UTF-8")));
    assert_eq!((a.code, &a.out), (0, &b.out));
}

fn seen_of(command: &mut Command) -> Seen {
    seen(command.output().expect("the conductor starts"))
}

#[test]
fn bundles_are_tested_by_cases_coverage_and_what_was_decided() {
    let workshop = Workshop::new();
    let cases = policies().join("cases");
    let cases = cases.to_str().expect("UTF-8");
    workshop.build("a.tar.gz", &[]);
    let seen = workshop.run(&["test", "a.tar.gz", "--cases", cases, "--min-coverage", "90"]);
    assert_eq!(seen.code, 0, "{seen:?}");
    assert!(seen.out.contains(" passed, 0 failed"), "{}", seen.out);
    assert!(
        seen.out.contains("ig/egress.rego: no case can ask it"),
        "{}",
        seen.out
    );
    // Rules that cases could ask and don't are not covered.
    let some = workshop.path("some/residency");
    artifacts::copy_directory(&policies().join("cases/residency"), &some).expect("a copy");
    let some = some.parent().and_then(|p| p.to_str()).expect("UTF-8");
    let seen = workshop.run(&["test", "a.tar.gz", "--cases", some, "--min-coverage", "90"]);
    assert_eq!(seen.code, 1, "{seen:?}");
    assert!(seen.out.contains("ig/masking.rego: 0 of "), "{}", seen.out);

    workshop.copy("next");
    workshop.edit("next/ig/fields/data.json", |fields| {
        fields["Contact.email"]["strategy"] = json!("partial");
    });
    let seen = workshop.run(&["test", "next", "--cases", cases]);
    assert_eq!(seen.code, 1, "{seen:?}");
    assert!(seen.out.contains("FAILED masking/"), "{}", seen.out);

    let line = |n: u32, role: &str| {
        let record = json!({
            "decisionId": format!("dec_{n:032x}"), "outcome": "allowed", "tenant": "acme",
            "subject": "ann", "roles": [role], "purpose": null, "region": "eu", "revision": "r-x",
            "surface": "graphql", "operation": {"name": null, "kind": "query", "hash": "00"},
            "maskSet": if n.is_multiple_of(100) { vec!["Person.email"] } else { vec![] },
            "redactSet": [], "revealed": [],
        });
        json!({"time": "2026-11-27T10:00:00.000Z", "decision": record.to_string(), "residency": null})
            .to_string()
    };
    let mut log: String = (0..2000).map(|n| line(n, "analyst") + "\n").collect();
    log.push_str("not a line\n{\"decision\":null}\n");
    log.push_str(&line(2000, "support")[..50]);
    fs::write(workshop.path("eu.log"), log).expect("written");
    let replay = [
        "test",
        "next",
        "--replay",
        "eu.log",
        "--against",
        "a.tar.gz",
    ];
    let seen = workshop.run(&replay);
    assert_eq!(seen.code, 0, "{seen:?}");
    for want in [
        "this revision would change 20 of 2000 decisions (1 different questions",
        "loosened:\n  Person.email: hash → partial",
        "20 decisions, such as dec_00000000000000000000000000000000; dec_",
        "1 lines are of requests that no policy was asked about",
        "2 lines can't be replayed: it is no JSON",
    ] {
        assert!(seen.out.contains(want), "{want}: {}", seen.out);
    }
    let seen = workshop.run(&[&replay[..], &["--json"]].concat());
    let report: Value = serde_json::from_str(&seen.out).expect("JSON");
    assert_eq!(report["replay"]["changed"], 20);

    for (args, want) in [
        (&["test", "next"][..], "nothing to test by"),
        (&["test", "next", "--cases", "next"], "holds no cases"),
        (&["test", "next", "--cases", "none"], "none is no directory"),
        (
            &[
                "test",
                "next",
                "--replay",
                "none.log",
                "--against",
                "a.tar.gz",
            ],
            "can't read none.log",
        ),
        (&["test", "next", "--replay", "eu.log"], "--against"),
        (
            &["test", "key.pem", "--cases", cases],
            "no bundle that can be used",
        ),
    ] {
        let seen = workshop.run(args);
        assert_eq!(seen.code, 2, "{args:?}: {seen:?}");
        assert!(seen.error.contains(want), "{want}: {seen:?}");
    }
}
