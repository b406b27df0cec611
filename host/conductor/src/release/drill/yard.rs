//! People, keys and files of the drill, and the commands that they type.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use release::run::Depot;
use release::{Record, Train};
use tokio::process::Command;

/// The author, who approves, and who signs bundles.
const PEOPLE: [&str; 2] = ["ann", "bob"];
const SIGNER: &str = "ci";

/// A release gets to a tenth of one region first, then to half of another as well, and is watched for some
/// seconds. A region has one gateway and one sidecar here: a share of them is both. How long gateways
/// take is nothing to judge by where three regions share a machine with what else it does.
const PLAN: &str = "\
[[steps]]
percent = 10
regions = [\"eu\"]
hold_s = 3
min_requests = 40
give_up_s = 90

[[steps]]
percent = 50
regions = [\"eu\", \"us\"]
hold_s = 3
min_requests = 80
give_up_s = 90

[thresholds]
added_p95_ms = 5000.0
tightened = 1000.0
";

/// The drill's files.
pub struct Yard {
    directory: PathBuf,
}

/// A command that ended.
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub output: String,
    /// What it complained about.
    pub errors: String,
}

impl Yard {
    /// In the demo's directory.
    pub fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Makes keys, the plan and the first release, which waits for a conductor; returns what its
    /// configuration says of it.
    ///
    /// # Errors
    /// Something can't be written, or a command fails.
    pub fn prepare(&self, copy: &Path) -> anyhow::Result<&'static str> {
        artifacts::copy_directory(copy, &self.policies()).context("can't copy the policies")?;
        for folder in ["keys", "bundle-keys"] {
            std::fs::create_dir_all(self.train_dir().join(folder))?;
        }
        for (name, folder) in PEOPLE
            .map(|name| (name, "keys"))
            .into_iter()
            .chain([(SIGNER, "bundle-keys")])
        {
            let key = SigningKey::try_generate().context("there is no randomness")?;
            let pem = key.to_pkcs8_pem(LineEnding::LF)?;
            std::fs::write(self.key(name), pem.as_bytes())?;
            let public = key.verifying_key().to_public_key_pem(LineEnding::LF)?;
            let file = self.train_dir().join(folder).join(format!("{name}.pub"));
            std::fs::write(file, public)?;
        }
        std::fs::write(self.train_dir().join("plan.toml"), PLAN)?;
        Ok(
            "\n[release]\ndir = \"train/depot\"\nkeys = \"train/keys\"\n\
             bundle_keys = \"train/bundle-keys\"\nplan = \"train/plan.toml\"\nlook_s = 1\n",
        )
    }

    /// Releases what is in the policies first.
    ///
    /// # Errors
    /// A command fails.
    pub async fn first(&self) -> anyhow::Result<()> {
        for arguments in [
            self.build("first", None),
            self.release("first", &["--note", "the first"]),
            self.approve(1),
            self.promote(1),
        ] {
            let ran = self.run(&arguments).await?;
            anyhow::ensure!(ran.code == Some(0), "{}", ran.errors);
        }
        Ok(())
    }

    /// The policies that releases are made of.
    pub fn policies(&self) -> PathBuf {
        self.train_dir().join("policies")
    }

    fn train_dir(&self) -> PathBuf {
        self.directory.join("train")
    }

    fn key(&self, name: &str) -> PathBuf {
        self.train_dir().join(format!("{name}.pem"))
    }

    fn bundle(&self, name: &str) -> PathBuf {
        self.train_dir().join(format!("{name}.tar.gz"))
    }

    /// Makes a bundle of the policies.
    pub fn build(&self, name: &str, filters: Option<&Path>) -> Vec<String> {
        let mut arguments = self.words(&["bundle", "build"]);
        arguments.push(text(&self.policies()));
        arguments.extend(["-o".to_owned(), text(&self.bundle(name))]);
        arguments.extend(["--signing-key".to_owned(), text(&self.key(SIGNER))]);
        arguments.extend(["--keyid", SIGNER].map(str::to_owned));
        if let Some(filters) = filters {
            arguments.extend(["--filters".to_owned(), text(filters)]);
        }
        arguments
    }

    /// Puts it on the train.
    pub fn release(&self, name: &str, extra: &[&str]) -> Vec<String> {
        let bundle = text(&self.bundle(name));
        let mut arguments = self.by("ann", &["bundle", "release", &bundle]);
        arguments.extend(self.words(extra));
        arguments
    }

    /// Approves a release.
    pub fn approve(&self, number: u64) -> Vec<String> {
        self.by("bob", &["bundle", "approve", &number.to_string()])
    }

    /// Sends a release on its way.
    pub fn promote(&self, number: u64) -> Vec<String> {
        self.by("ann", &["bundle", "promote", &number.to_string()])
    }

    /// Sends a release on its way by a configuration that asks for no approvals.
    ///
    /// # Errors
    /// It can't be written.
    pub fn promote_unapproved(&self, number: u64) -> anyhow::Result<Vec<String>> {
        let config = self.directory.join("conductor.toml");
        let own = self.directory.join("own.toml");
        let text = std::fs::read_to_string(&config)?;
        std::fs::write(
            &own,
            text.replace("look_s = 1", "look_s = 1\napprovals = 0"),
        )?;
        let (config, own) = (self::text(&config), self::text(&own));
        let mut arguments = self.promote(number);
        for argument in &mut arguments {
            if *argument == config {
                argument.clone_from(&own);
            }
        }
        Ok(arguments)
    }

    /// Changes the first record, and returns the records as they were.
    ///
    /// # Errors
    /// They can't be read or written.
    pub fn break_records(&self) -> anyhow::Result<String> {
        let file = Depot::records_in(&self.train_dir().join("depot"));
        let whole = std::fs::read_to_string(&file)?;
        std::fs::write(&file, whole.replacen("the first", "the worst", 1))?;
        Ok(whole)
    }

    /// Writes the records as they were.
    ///
    /// # Errors
    /// They can't be written.
    pub fn mend_records(&self, whole: &str) -> anyhow::Result<()> {
        let file = Depot::records_in(&self.train_dir().join("depot"));
        Ok(std::fs::write(file, whole)?)
    }

    /// Takes a release back.
    pub fn withdraw(&self, number: u64, reason: &str) -> Vec<String> {
        let number = number.to_string();
        self.by("ann", &["bundle", "withdraw", &number, "--reason", reason])
    }

    /// Goes back.
    pub fn rollback(&self, to: u64, reason: &str) -> Vec<String> {
        let to = to.to_string();
        self.by(
            "bob",
            &["bundle", "rollback", "--to", &to, "--reason", reason],
        )
    }

    /// Stops promotions.
    pub fn freeze(&self, reason: &str) -> Vec<String> {
        self.by("bob", &["bundle", "freeze", "--reason", reason])
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Vec<String> {
        self.by("bob", &["bundle", "thaw"])
    }

    /// Shows the train.
    pub fn status(&self) -> Vec<String> {
        let config = text(&self.directory.join("conductor.toml"));
        self.words(&["bundle", "status", "--config", &config])
    }

    fn by(&self, name: &str, words: &[&str]) -> Vec<String> {
        let config = text(&self.directory.join("conductor.toml"));
        let key = text(&self.key(name));
        let mut arguments = self.words(words);
        arguments.extend(self.words(&["--config", &config, "--by", name, "--key", &key]));
        arguments
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    /// A command as somebody in the drill's directory would type it.
    pub fn shown(&self, arguments: &[String]) -> String {
        let here = format!("{}/", self.directory.display());
        let quoted = arguments.iter().map(|a| {
            let short = a.replace(&here, "");
            match short.contains(' ') {
                true => format!("'{short}'"),
                false => short,
            }
        });
        quoted.collect::<Vec<_>>().join(" ")
    }

    /// Runs a command of this program.
    ///
    /// # Errors
    /// It can't be started.
    pub async fn run(&self, arguments: &[String]) -> anyhow::Result<Ran> {
        let ran = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("can't run the conductor")?;
        Ok(Ran {
            code: ran.status.code(),
            output: String::from_utf8_lossy(&ran.stdout).into_owned(),
            errors: String::from_utf8_lossy(&ran.stderr).into_owned(),
        })
    }

    /// The train and its records.
    ///
    /// # Errors
    /// They can't be read.
    pub fn train(&self) -> anyhow::Result<(Train, Vec<Record>)> {
        let depot = Depot::open(&self.train_dir().join("depot"))?;
        let config = crate::config::Config::read(&self.directory.join("conductor.toml"))?;
        let train = crate::release::Place::open(&config)?.train()?;
        let text = std::fs::read_to_string(depot.records())?;
        let seen = usize::try_from(train.records).unwrap_or(usize::MAX);
        let records = text
            .lines()
            .take(seen)
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        Ok((train, records))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
