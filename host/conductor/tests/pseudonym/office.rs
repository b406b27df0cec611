//! Where look-ups are made and recorded.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The bytes 0 to 31 and 32 to 63: they protect nothing. The first is the key of `policies/cases`.
pub const K1: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
pub const K2: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
/// A value, and what the case `analyst_sees_pseudonyms` says that a caller sees of it.
pub const ADA: &str = "ada.lovelace@acme.eu.example";
pub const ADA_K1: &str = "h:k1:VUhaJMlWbt2Gy8zBjCwnGw";
pub const STAFF: &str = "grace@acme.example\nada.lovelace@acme.eu.example\nalan@acme.example\n";

/// A directory with a record of look-ups.
pub struct Office {
    pub directory: tempfile::TempDir,
    pub audit: PathBuf,
    pub keys: String,
}

/// How a command ended.
pub struct Seen {
    pub code: i32,
    pub out: String,
    pub error: String,
}

impl Office {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            audit: directory.path().join("audit.jsonl"),
            keys: format!("k2:{K2},k1:{K1}"),
            directory,
        }
    }

    pub fn record(&self) -> String {
        // A device may never end.
        if self.audit.is_file() {
            std::fs::read_to_string(&self.audit).expect("read")
        } else {
            String::new()
        }
    }

    /// The last line of the record.
    pub fn last(&self) -> Value {
        let record = self.record();
        let line = record.lines().last().expect("a line");
        serde_json::from_str(line).expect("JSON")
    }

    pub fn run(&self, args: &[&str], stdin: &str) -> Seen {
        let mut child = Command::new(env!("CARGO_BIN_EXE_conductor"))
            .args(args)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .env("IG_MASK_KEYS", &self.keys)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the conductor starts");
        let mut input = child.stdin.take().expect("piped");
        // It may have refused before it read.
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().expect("it ends");
        Seen {
            code: status.code().expect("a code"),
            out: String::from_utf8(stdout).expect("UTF-8"),
            error: String::from_utf8(stderr).expect("UTF-8"),
        }
    }

    /// A look-up of a tenant's field, recorded; neither keys nor values show anywhere unless asked.
    #[track_caller]
    pub fn look_up(&self, command: &str, place: [&str; 2], more: &[&str], stdin: &str) -> Seen {
        let audit = self.audit.to_string_lossy();
        let mut args = vec!["pseudonym", command, "--tenant", place[0]];
        args.extend([
            "--coordinate",
            place[1],
            "--case",
            "ORDER-17",
            "--by",
            "ann",
        ]);
        args.extend(["--audit", &audit]);
        args.extend(more);
        let seen = self.run(&args, stdin);
        let shown = if more.contains(&"--reveal") {
            self.record()
        } else {
            self.record() + &seen.out + &seen.error
        };
        let values = STAFF.lines().chain(stdin.lines()).filter(|v| !v.is_empty());
        for secret in [K1, K2].into_iter().chain(values) {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        seen
    }
}
