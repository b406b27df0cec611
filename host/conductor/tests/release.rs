//! Releases: who may do what on the command line, and the drill on real Envoys.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use p256::ecdsa::SigningKey;
use p256::pkcs8::DecodePrivateKey;
use release::Act;
use serde_json::Value;

#[path = "reliability/mounted.rs"]
mod mounted;

use mounted::Disk;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn openssl(directory: &Path, arguments: &[&str]) {
    let ran = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("openssl is there");
    assert!(ran.status.success(), "{}", text(&ran.stderr));
}

/// A train, its people, and a bundle.
struct World {
    directory: tempfile::TempDir,
}

const CONFIG: &str = r#"
policies = "policies"
state = "state"
[filters]
residency = "r.wasm"
masking = "m.wasm"
[jwt]
issuer = "i"
audiences = ["a"]
jwks_file = "jwks.json"
[[gateways]]
region = "eu"
listen = "127.0.0.1:10000"
admin = "127.0.0.1:9901"
endpoints = [{ address = "127.0.0.1:9000" }]
access_log = "eu.log"
[release]
dir = "train"
keys = "keys"
bundle_keys = "bundle-keys"
plan = "plan.toml"
cases = "policies/cases"
"#;

const PLAN: &str = "[[steps]]\npercent = 10\nhold_s = 60\n";

impl World {
    fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        artifacts::copy_directory(&policies, &world.at("policies")).unwrap();
        for (name, text) in [("conductor.toml", CONFIG), ("plan.toml", PLAN)] {
            std::fs::write(world.at(name), text).unwrap();
        }
        for (name, folder) in [
            ("ann", "keys"),
            ("bob", "keys"),
            ("eve", "."),
            ("ci", "bundle-keys"),
        ] {
            std::fs::create_dir_all(world.at(folder)).unwrap();
            world.key(name);
            let (key, public) = (format!("{name}.pem"), format!("{folder}/{name}.pub"));
            openssl(
                world.directory.path(),
                &["pkey", "-in", &key, "-pubout", "-out", &public],
            );
        }
        world
    }

    fn key(&self, name: &str) {
        let file = format!("{name}.pem");
        let curve = "ec_paramgen_curve:P-256";
        let arguments = [
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            curve,
            "-out",
            &file,
        ];
        openssl(self.directory.path(), &arguments);
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command
            .args(line.split(' '))
            .current_dir(self.directory.path());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the conductor starts")
    }

    /// Runs a command that has to work, and returns what it says.
    fn does(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.status.code(), Some(0), "{line}: {}", text(&ran.stderr));
        text(&ran.stdout)
    }

    /// Runs a command that has to be refused, and returns why.
    fn refuses(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.status.code(), Some(2), "{line}: {}", text(&ran.stdout));
        text(&ran.stderr)
    }

    fn build(&self, name: &str) {
        self.does(&format!(
            "bundle build policies -o {name} --signing-key ci.pem --keyid ci"
        ));
    }

    fn train(&self) -> Value {
        let said = self.does("bundle status --config conductor.toml --json");
        serde_json::from_str(&said).unwrap()
    }
}

fn by(name: &str) -> String {
    format!("--config conductor.toml --by {name} --key {name}.pem")
}

#[test]
fn who_releases_does_not_approve_and_nobody_else_may() {
    let world = World::new();
    world.build("one.tar.gz");
    let said = world.does(&format!(
        "bundle release one.tar.gz {} --note first",
        by("ann")
    ));
    assert!(said.starts_with("release 1: revision r-"), "{said}");
    assert!(said.contains("cases passed"), "{said}");
    for (line, why) in [
        (
            format!("bundle approve 1 {}", by("ann")),
            "somebody else has to approve it",
        ),
        (
            format!("bundle promote 1 {}", by("bob")),
            "release 1 has 0 of 1 approvals",
        ),
        (
            format!("bundle approve 1 {}", by("eve")),
            "eve is not among those who may sign (ann, bob)",
        ),
        (
            "bundle approve 1 --config conductor.toml --by bob --key eve.pem".into(),
            "the key is not the one that is trusted as bob's",
        ),
        (
            format!("bundle approve 2 {}", by("bob")),
            "there is no release 2",
        ),
        (
            format!("bundle rollback --reason x {}", by("bob")),
            "no release is stable yet",
        ),
        (format!("bundle thaw {}", by("bob")), "not frozen"),
    ] {
        let said = world.refuses(&line);
        assert!(said.contains(why), "{line}: {said}");
    }
    world.does(&format!("bundle approve 1 {}", by("bob")));
    world.does(&format!("bundle freeze --reason audit {}", by("bob")));
    let said = world.refuses(&format!("bundle promote 1 {}", by("ann")));
    assert!(said.contains("frozen by bob: audit"), "{said}");
    world.does(&format!("bundle thaw {}", by("ann")));
    world.does(&format!("bundle promote 1 {}", by("ann")));
    let train = world.train();
    assert_eq!(train["releases"]["1"]["standing"], "canary");
    assert_eq!(
        train["releases"]["1"]["approvals"],
        serde_json::json!(["bob"])
    );
    assert_eq!(train["records"], 5);
    let shown = world.does("bundle status --config conductor.toml");
    assert!(
        shown.contains("release 1 waits for its first step"),
        "{shown}"
    );
    world.does(&format!("bundle withdraw 1 --reason no {}", by("bob")));
    let shown = world.does("bundle status --config conductor.toml 1");
    assert!(shown.contains("withdrawn  bob: no"), "{shown}");

    // Ann's key is retired: it vouches for what she did, and for nothing else.
    std::fs::rename(world.at("keys/ann.pub"), world.at("keys/ann@5.pub")).unwrap();
    world.train();
    let said = world.refuses(&format!("bundle freeze --reason x {}", by("ann")));
    assert!(
        said.contains("ann is not among those who may sign (bob)"),
        "{said}"
    );
    std::fs::rename(world.at("keys/ann@5.pub"), world.at("keys/ann.pub")).unwrap();

    // What people signed can't be changed behind their backs, and nobody writes for the conductor.
    let lines = std::fs::read_to_string(world.at("train/records.jsonl")).unwrap();
    let forged = r#"{"act":"completed","at_unix_ms":9999999999999,"by":"conductor","evidence":null,"prev":"0","release":1,"seq":7}"#;
    std::fs::write(
        world.at("train/records.jsonl"),
        format!("{lines}{forged}\n"),
    )
    .unwrap();
    world.refuses("bundle status --config conductor.toml");
    std::fs::write(world.at("train/records.jsonl"), &lines).unwrap();

    let records = world.at("train/records.jsonl");
    let good = std::fs::read_to_string(&records).unwrap();
    for (from, to, line) in [
        ("\"note\":\"first\"", "\"note\":\"fist\"", "line 1 "),
        ("audit", "idle", "line 3 "),
    ] {
        std::fs::write(&records, good.replacen(from, to, 1)).unwrap();
        let said = world.refuses("bundle status --config conductor.toml");
        assert!(
            said.contains(line) && said.contains("records.jsonl"),
            "{said}"
        );
    }
    std::fs::write(&records, good).unwrap();
    world.train();
}

#[test]
fn what_nobody_vouches_for_is_not_released() {
    let world = World::new();
    world.build("one.tar.gz");
    let whole = std::fs::read(world.at("one.tar.gz")).unwrap();
    let release = |name: &str| format!("bundle release {name} {}", by("ann"));

    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(world.at("changed.tar.gz"), &changed).unwrap();
    world.refuses(&release("changed.tar.gz"));
    std::fs::write(world.at("cut.tar.gz"), &whole[..middle]).unwrap();
    world.refuses(&release("cut.tar.gz"));
    world.does("bundle build policies -o strange.tar.gz --signing-key eve.pem --keyid ci");
    let said = world.refuses(&release("strange.tar.gz"));
    assert!(said.contains("strange.tar.gz can't be released"), "{said}");

    // Policies that can't be used, or that fail their cases.
    let grants = world.at("policies/ig/grants/data.json");
    let before = std::fs::read_to_string(&grants).unwrap();
    std::fs::write(&grants, before.replacen("\"low\"", "\"lwo\"", 1)).unwrap();
    let built = world.run("bundle build policies -o bad.tar.gz --signing-key ci.pem --keyid ci");
    if built.status.success() {
        let said = world.refuses(&release("bad.tar.gz"));
        assert!(said.contains("ig.grants"), "{said}");
    }
    std::fs::write(&grants, "[]").unwrap();
    world.build("failing.tar.gz");
    let said = world.refuses(&release("failing.tar.gz"));
    assert!(said.contains("cases fail"), "{said}");
    assert_eq!(world.train()["records"], 0);
    world.does(&format!("{} --even-if-failing", release("failing.tar.gz")));
    world.does(&format!("bundle approve 1 {}", by("bob")));
    let said = world.refuses(&format!("bundle promote 1 {}", by("ann")));
    assert!(said.contains("did not pass its tests"), "{said}");
    std::fs::write(&grants, before).unwrap();

    // A plan that makes no sense is found before anything is released.
    std::fs::write(world.at("plan.toml"), PLAN.replace("10", "0")).unwrap();
    let said = world.refuses(&release("one.tar.gz"));
    assert!(
        said.contains("plan.toml") && said.contains("steps[0].percent"),
        "{said}"
    );
    std::fs::write(world.at("plan.toml"), PLAN).unwrap();

    // A person's key may be encrypted.
    openssl(
        world.directory.path(),
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "ann.pem",
            "-out",
            "locked.pem",
            "-v2",
            "aes-256-cbc",
            "-passout",
            "pass:open",
        ],
    );
    let line = "bundle release one.tar.gz --config conductor.toml --by ann --key locked.pem";
    let said = world.refuses(line);
    assert!(said.contains("IG_RELEASE_PASSPHRASE"), "{said}");
    let ran = world
        .command(line)
        .env("IG_RELEASE_PASSPHRASE", "open")
        .output();
    let ran = ran.unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
}

#[test]
fn on_a_full_disk_a_command_does_nothing_by_half() {
    let world = World::new();
    world.build("one.tar.gz");
    let Some(disk) = Disk::small(&world.at("train"), 1_024) else {
        return;
    };
    let release = format!("bundle release one.tar.gz {}", by("ann"));
    let full = "No space left on device";
    // Not even the bundle has room.
    world.train();
    disk.fill();
    let said = world.refuses(&release);
    assert!(
        said.contains("train/bundles/") && said.contains(full),
        "{said}"
    );
    assert_eq!(world.train()["records"], 0);
    disk.clear();
    let bundles = || {
        std::fs::read_dir(world.at("train/bundles"))
            .unwrap()
            .count()
    };
    assert_eq!(bundles(), 0, "no half of a bundle is left");
    world.does(&release);
    // Nor a record: what fits into the last page of the file does, and the first that does not, does not.
    disk.fill();
    let mut acts = 0;
    let (freeze, thaw) = (
        format!("bundle freeze --reason full {}", by("bob")),
        format!("bundle thaw {}", by("bob")),
    );
    let refused = loop {
        let line = if acts % 2 == 0 { &freeze } else { &thaw };
        let ran = world.run(line);
        match ran.status.code() {
            Some(0) => acts += 1,
            _ => break ran,
        }
        assert!(acts < 1_000, "it never gets full");
    };
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(
        said.contains("records.jsonl") && said.contains(full),
        "{said}"
    );
    let records = std::fs::read(world.at("train/records.jsonl")).unwrap();
    assert!(records.ends_with(b"\n"), "no half of a record is left");
    assert_eq!(world.train()["records"], 1 + acts);
    let said = world.refuses(&format!("bundle approve 1 {}", by("bob")));
    assert!(said.contains(full), "{said}");
    disk.clear();
    world.does(&format!("bundle approve 1 {}", by("bob")));
    assert_eq!(world.train()["records"], 2 + acts);

    // What may not be written can be read.
    disk.writable(false);
    let said = world.refuses(&format!("bundle freeze --reason x {}", by("ann")));
    assert!(said.contains("Read-only file system"), "{said}");
    assert_eq!(world.train()["records"], 2 + acts);
    let said = world.does("bundle status --config conductor.toml 1");
    assert!(said.contains("bob"), "{said}");
    disk.writable(true);
    if acts % 2 == 1 {
        world.does(&thaw);
    }
    world.does(&format!("bundle promote 1 {}", by("ann")));
}

impl World {
    /// The key of a conductor that no process runs: this test says what it would.
    fn with_conductor(&self) {
        std::fs::create_dir_all(self.at("state")).unwrap();
        std::fs::create_dir_all(self.at("train")).unwrap();
        self.key("conductor");
        std::fs::rename(self.at("conductor.pem"), self.at("state/release.pem")).unwrap();
        let of = [
            "pkey",
            "-in",
            "state/release.pem",
            "-pubout",
            "-out",
            "train/conductor.pub",
        ];
        openssl(self.directory.path(), &of);
    }

    /// Makes what is in the policy directory a release, and stable.
    fn make_stable(&self, number: u64) {
        let name = format!("{number}.tar.gz");
        self.build(&name);
        self.does(&format!("bundle release {name} {}", by("ann")));
        self.does(&format!("bundle approve {number} {}", by("bob")));
        self.does(&format!("bundle promote {number} {}", by("ann")));
        let pem = std::fs::read_to_string(self.at("state/release.pem")).unwrap();
        let key = SigningKey::from_pkcs8_pem(&pem).unwrap();
        let keys = release::run::keyring(&self.at("keys")).unwrap();
        let keys = keys.with_conductor(*key.verifying_key()).unwrap();
        let rules = release::Rules {
            approvals: 1,
            author_may_approve: false,
        };
        let depot = release::run::Depot::open(&self.at("train")).unwrap();
        let step = Act::Step {
            release: number,
            step: 0,
            nodes: vec!["gateway-eu".into()],
            evidence: None,
        };
        let completed = Act::Completed {
            release: number,
            evidence: None,
        };
        for act in [step, completed] {
            let by = release::run::By::Conductor { key: &key };
            let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
            depot.add(&by, act, now, &keys, &rules).unwrap();
        }
        assert_eq!(self.train()["stable"], number);
    }
}

#[test]
fn what_is_gone_back_to_is_tried_before_it_is_in_force() {
    let world = World::new();
    world.with_conductor();
    let config = CONFIG.replace("policies/cases", "cases");
    std::fs::write(world.at("conductor.toml"), &config).unwrap();
    // The cases of today are not those of then: there were none.
    let no_cases = || {
        let _ = std::fs::remove_dir_all(world.at("cases"));
        for kind in ["masking", "residency"] {
            std::fs::create_dir_all(world.at("cases").join(kind)).unwrap();
        }
    };
    let cases =
        || artifacts::copy_directory(&world.at("policies/cases"), &world.at("cases")).unwrap();
    no_cases();
    let grants = world.at("policies/ig/grants/data.json");
    let good = std::fs::read_to_string(&grants).unwrap();
    std::fs::write(&grants, "[]").unwrap();
    world.make_stable(1);
    std::fs::write(&grants, &good).unwrap();
    world.make_stable(2);

    // The old one fails cases, and the present one none: there is nothing to go back for.
    cases();
    let back = |more: &str| format!("bundle rollback --reason test{more} {}", by("bob"));
    let records = world.train()["records"].clone();
    let said = world.refuses(&back(""));
    assert!(
        said.contains("cases fail with release 1") && said.contains("--even-if-failing"),
        "{said}"
    );
    let said = world.refuses(&back(" --even-if-failing"));
    assert!(
        said.contains("the present release 2 fails none that release 1 passes"),
        "{said}"
    );
    assert_eq!(world.train()["records"], records, "nothing was changed");

    // The other way round: one that shows nobody anything is stable, and the one before it fails a case as well.
    no_cases();
    std::fs::write(&grants, "[ ]\n").unwrap();
    let fields = world.at("policies/ig/fields/data.json");
    let text = std::fs::read_to_string(&fields).unwrap();
    std::fs::write(&fields, text.replacen('{', "{\n", 1)).unwrap();
    let more = world.at("policies/ig/purposes_of_the_test");
    std::fs::create_dir_all(&more).unwrap();
    std::fs::write(more.join("data.json"), "{}").unwrap();
    world.make_stable(3);
    cases();
    let never = world.at("cases/masking/never");
    let like = world.at("cases/masking/a_bad_request_that_echoes_its_variables");
    artifacts::copy_directory(&like, &never).unwrap();
    let want = std::fs::read_to_string(never.join("want.json")).unwrap();
    assert!(want.contains("\"status\": 400"), "{want}");
    let want = want.replace("\"status\": 400", "\"status\": 418");
    std::fs::write(never.join("want.json"), want).unwrap();
    let said = world.refuses(&back(""));
    assert!(said.contains("1 of ") && said.contains("`never`"), "{said}");
    // What can't be put in force at all is refused whatever is said.
    let elsewhere = config.replace("region = \"eu\"", "region = \"xx\"");
    std::fs::write(world.at("conductor.toml"), elsewhere).unwrap();
    for more in ["", " --even-if-failing"] {
        let said = world.refuses(&back(more));
        assert!(
            said.contains("release 2 can't be put in force") && said.contains("no region `xx`"),
            "{said}"
        );
    }
    std::fs::write(world.at("conductor.toml"), &config).unwrap();
    assert_eq!(world.train()["stable"], 3);
    let said = world.does(&back(" --even-if-failing"));
    assert!(
        said.contains("the present release 3 fails `") && said.contains("content of release 2"),
        "{said}"
    );
    assert_eq!(world.train()["stable"], 4);
    world.refuses(&back(" --within 0"));
}

/// On real Envoys under load: see `bundle drill`.
#[test]
fn good_releases_get_to_all_and_bad_ones_back_by_themselves() {
    let ran = Command::new(env!("CARGO_BIN_EXE_conductor"))
        .args(["bundle", "drill", "--json"])
        .output()
        .expect("the conductor starts");
    let (out, log) = (text(&ran.stdout), text(&ran.stderr));
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {log}"));
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() >= 10, "{out}");
    for check in checks {
        assert_eq!(check["passed"], true, "{check}\n{log}");
    }
    assert_eq!(ran.status.code(), Some(0), "{log}");
}
