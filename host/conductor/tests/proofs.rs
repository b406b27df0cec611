//! `conductor proofs`: keys are made and rotated, folders are checked, and `openssl` agrees.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use proof::Journal;
use proof::key::{Passphrase, SigningKey};
use proof::residency::{Period, Statement};
use serde_json::Value;

const PASSPHRASE: &str = "correct horse battery";

/// A directory with keys and a log, made by the commands where there is one.
struct Office {
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

impl Office {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let office = Self { directory };
        let seen = office.run(&["keygen", "--out", "keys"]);
        assert_eq!(seen.code, 0, "{}", seen.error);
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command
            .arg("proofs")
            .args(args)
            .current_dir(self.directory.path())
            .env_remove("IG_PROOF_PASSPHRASE");
        command
    }

    /// Runs `conductor proofs`; the passphrase shows nowhere.
    #[track_caller]
    fn run(&self, args: &[&str]) -> Seen {
        let mut command = self.command(args);
        let output = command.env("IG_PROOF_PASSPHRASE", PASSPHRASE).output();
        let seen = seen(output.expect("the conductor starts"));
        assert!(!format!("{seen:?}").contains(PASSPHRASE), "{seen:?}");
        seen
    }

    fn key(&self) -> SigningKey {
        let passphrase = Passphrase::new(PASSPHRASE.to_owned()).expect("long enough");
        let pem = fs::read_to_string(self.path("keys/conductor.key")).expect("read");
        SigningKey::from_pem(&pem, &passphrase).expect("a key")
    }

    /// What a shell prints in the folder of the log.
    fn shell(&self, line: &str) -> String {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", line]).current_dir(self.path("log"));
        seen(shell.output().expect("sh")).out
    }

    /// Adds an hour of two tenants to the log.
    fn hour(&self, start: &str) {
        let mut journal = Journal::open(&self.path("log"), self.key()).expect("opens");
        let period: Period = format!("{start}/PT1H").parse().expect("a period");
        let now = jiff::Timestamp::from_second(period.end_s()).expect("a time");
        let say = |tenant| Statement::unknown(tenant, "eu", period, "a test", now);
        journal
            .append(vec![say("acme"), say("globex")])
            .expect("appended");
    }
}

#[test]
fn a_folder_is_checked_and_openssl_agrees() {
    let office = Office::new();
    office.hour("2026-11-27T09:00Z");
    office.hour("2026-11-27T10:00Z");
    let seen = office.run(&["verify", "log"]);
    assert_eq!(seen.code, 0, "{seen:?}");
    let id = office.key().public().id().to_owned();
    let command = "base64 -d acme.sig | openssl dgst -sha256 -verify conductor.pub -signature \
                   /dev/stdin acme.payload.json";
    let span = "2026-11-27T09:00Z/PT1H to 2026-11-27T10:00Z/PT1H: 0 PASS, 0 FAIL, 2 UNKNOWN";
    let want = format!(
        "acme: {span}\nglobex: {span}\n\
         note: no public key was given: the folder's own, {id}, is believed\n\
         the same for one proof, by openssl, in log:\n    {command}\n\
         all holds in log: 2 tenants, 5 entries of the log, key {id}\n"
    );
    assert_eq!(seen.out, want);
    assert_eq!(office.shell(command), "Verified OK\n");

    let pinned = office.run(&["verify", "log", "--public-key", "keys/conductor.pub"]);
    assert_eq!(pinned.code, 0, "{pinned:?}");
    assert!(!pinned.out.contains("believed"), "{}", pinned.out);
    let json = office.run(&["verify", "log", "--json"]);
    let report: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((json.code, &report["holds"]), (0, &true.into()));
    assert_eq!(report["openssl"][0], command);
    assert_eq!(report["tenants"][1]["latest"], "2026-11-27T10:00Z/PT1H");
    assert_eq!(report["keyId"], id);
}

/// A name, what is done to a folder, and what the check says.
type Case<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);

#[test]
fn faults_end_with_1_and_are_named() {
    let office = Office::new();
    office.hour("2026-11-27T09:00Z");
    let noted = office.path("noted");
    fs::copy(office.path("log/checkpoint"), &noted).expect("copied");
    office.hour("2026-11-27T10:00Z");
    let good = office.path("log");
    let fresh = |name: &str| -> PathBuf {
        let copy = office.path(name);
        fs::create_dir(&copy).expect("made");
        for item in fs::read_dir(&good).expect("read") {
            let item = item.expect("read");
            fs::copy(item.path(), copy.join(item.file_name())).expect("copied");
        }
        copy
    };
    let edit = |path: &Path, change: &dyn Fn(&str) -> String| {
        let text = fs::read_to_string(path).expect("read");
        fs::write(path, change(&text)).expect("written");
    };
    let byte = |text: &str| text.replacen("UNKNOWN", "UNKNOWM", 1);
    let cases: [Case; 6] = [
        (
            "byte",
            &|copy| edit(&copy.join("acme.payload.json"), &byte),
            "fault: acme.payload.json is not what follows from the log",
        ),
        (
            "removed",
            &|copy| fs::remove_file(copy.join("globex.sig")).expect("removed"),
            "fault: globex.sig is missing",
        ),
        (
            "swapped",
            &|copy| {
                fs::rename(copy.join("acme.sig"), copy.join("x")).expect("renamed");
                fs::rename(copy.join("globex.sig"), copy.join("acme.sig")).expect("renamed");
                fs::rename(copy.join("x"), copy.join("globex.sig")).expect("renamed");
            },
            "fault: acme.sig holds what belongs into globex.sig",
        ),
        (
            "entry",
            &|copy| edit(&copy.join("entries.jsonl"), &byte),
            "fault: entries.jsonl: line 1: ",
        ),
        (
            "directory",
            &|copy| fs::create_dir(copy.join("more")).expect("made"),
            "fault: more is no regular file",
        ),
        (
            "link",
            &|copy| {
                let path = copy.join("acme.sig");
                fs::remove_file(&path).expect("removed");
                std::os::unix::fs::symlink(good.join("acme.sig"), path).expect("linked");
            },
            "fault: acme.sig is no regular file",
        ),
    ];
    for (name, change, want) in cases {
        let copy = fresh(name);
        change(&copy);
        let seen = office.run(&["verify", name]);
        assert_eq!(seen.code, 1, "{name}: {seen:?}");
        assert!(seen.out.contains(want), "{name}: {}", seen.out);
        assert!(seen.out.contains("does not hold: "), "{}", seen.out);
        let json = office.run(&["verify", name, "--json"]);
        let report: Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!((json.code, &report["holds"]), (1, &false.into()), "{name}");
        assert!(report["faults"][0]["file"].is_string());
    }
    // The wrong key, and a checkpoint that was noted before.
    let seen = office.run(&["keygen", "--out", "others"]);
    assert_eq!(seen.code, 0);
    let seen = office.run(&["verify", "log", "--public-key", "others/conductor.pub"]);
    assert!(
        seen.code == 1 && seen.out.contains("none of the log's"),
        "{seen:?}"
    );
    let seen = office.run(&["verify", "log", "--since", "noted"]);
    assert!(
        seen.code == 0 && seen.out.contains("begins with the 2 entries"),
        "{seen:?}"
    );
}

#[test]
fn keys_are_made_and_rotated() {
    let office = Office::new();
    let mode = |name: &str| {
        let metadata = fs::metadata(office.path(name)).expect("there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("keys/conductor.key"), 0o600);
    let pem = fs::read_to_string(office.path("keys/conductor.key")).expect("read");
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let old = office.key();
    office.hour("2026-11-27T09:00Z");
    let rotate = [
        "rotate", "--keys", "keys", "--log", "log", "--reason", "drill",
    ];
    let seen = office.run(&rotate);
    assert_eq!(seen.code, 0, "{seen:?}");
    let new = office.key();
    assert!(old.public() != new.public());
    let want = format!(
        "the key {} handed over to {}",
        old.public().id(),
        new.public().id()
    );
    assert!(seen.out.starts_with(&want), "{}", seen.out);
    // Until the next hour, the proofs are those of the old key; its file is in the folder.
    let seen = office.run(&["verify", "log"]);
    assert_eq!(seen.code, 0, "{seen:?}");
    let line = seen.out.lines().find(|line| line.contains("openssl dgst"));
    let line = line.expect("a command").trim();
    assert!(line.contains(old.public().id()), "{line}");
    assert_eq!(office.shell(line), "Verified OK\n");
    office.hour("2026-11-27T10:00Z");
    fs::write(office.path("old.pub"), old.public().to_pem().expect("PEM")).expect("written");
    let seen = office.run(&["verify", "log", "--public-key", "old.pub"]);
    assert_eq!(seen.code, 0, "{seen:?}");
    let json = office.run(&[
        "rotate", "--keys", "keys", "--log", "log", "--reason", "x", "--json",
    ]);
    let report: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(report["old"], new.public().id());
}

#[test]
fn wrong_usage_ends_with_2_and_names_the_place() {
    let office = Office::new();
    fs::write(office.path("empty"), "\nsecond line\n").expect("written");
    fs::write(office.path("phrase"), format!("{PASSPHRASE}\n")).expect("written");
    for (args, want) in [
        (&["verify"][..], "PATH"),
        (&["verify", "nowhere"], "nowhere"),
        (
            &["verify", "keys", "--public-key", "nowhere"],
            "can't use nowhere",
        ),
        (
            &["verify", "keys", "--public-key", "empty"],
            "no P-256 public key",
        ),
        (
            &["verify", "keys", "--since", "nowhere"],
            "can't read nowhere",
        ),
        (&["keygen"], "--out"),
        (&["keygen", "--out", "keys"], "there already"),
        (
            &["keygen", "--out", "k", "--passphrase-file", "empty"],
            "fewer than 8",
        ),
        (
            &["keygen", "--out", "k", "--passphrase-file", "nowhere"],
            "nowhere",
        ),
        (
            &[
                "rotate", "--keys", "keys", "--log", "nowhere", "--reason", "x",
            ],
            "holds no log",
        ),
        (&["rotate", "--keys", "keys", "--log", "keys"], "--reason"),
    ] {
        let seen = office.run(args);
        assert_eq!(seen.code, 2, "{args:?}: {seen:?}");
        assert!(seen.error.contains(want), "{args:?}: {}", seen.error);
    }
    assert!(!office.path("k").exists() && !office.path("nowhere").exists());
    // Without a passphrase, by the environment or a file, nothing is made.
    let bare = seen(
        office
            .command(&["keygen", "--out", "k"])
            .output()
            .expect("starts"),
    );
    assert_eq!(bare.code, 2);
    assert!(
        bare.error.contains("set IG_PROOF_PASSPHRASE"),
        "{}",
        bare.error
    );
    let mut by_file = office.command(&["keygen", "--out", "k", "--passphrase-file", "phrase"]);
    assert_eq!(seen(by_file.output().expect("starts")).code, 0);
    // A passphrase is no argument.
    let seen = office.run(&["keygen", "--out", "l", "--passphrase", "x"]);
    assert_eq!(seen.code, 2);
    for command in ["verify", "keygen", "rotate"] {
        let seen = office.run(&[command, "--help"]);
        assert!(seen.code == 0 && seen.out.contains("Example: "), "{seen:?}");
    }
}
