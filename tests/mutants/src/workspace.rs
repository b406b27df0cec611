//! A copy of the workspace in which guards are disabled.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::guard::{Guard, ROOT};

/// What is run, the quickest first, until something fails.
const TESTS: [&[&str]; 3] = [
    &["-p", "rewriter", "-p", "pseudonym", "-p", "engine", "--lib"],
    &["-p", "engine", "--test", "differential"],
    &["-p", "e2e", "--test", "cases", "the_engine_decides"],
];

/// How long tests may run.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a disabled guard was noticed.
#[derive(Debug)]
pub enum Killed {
    /// This test failed.
    By(String),
    /// The mutation is no Rust: it proves nothing.
    DoesNotBuild(String),
}

/// A copy of the workspace.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Copies what git knows of the checkout to `target/mutants`. What was built of other people's
    /// crates is used again; the copy's own crates have another version, or else cargo would take
    /// what it built of a mutation for what the checkout is.
    pub fn copy() -> Result<Self> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let checkout = checkout.canonicalize()?;
        let target = checkout.join("target");
        let root = target.join("mutants");
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(&checkout)
            .output()
            .context("git lists the files")?;
        ensure!(listed.status.success(), "git can't list the files");
        for name in String::from_utf8(listed.stdout)?.split_terminator('\0') {
            let (from, to) = (checkout.join(name), root.join(name));
            let Ok(mut bytes) = fs::read(&from) else {
                continue;
            };
            if name == "Cargo.toml" {
                bytes = renumbered(bytes)?;
            }
            // What is the same keeps its time, so that nothing is built again for it.
            if fs::read(&to).is_ok_and(|known| known == bytes) {
                continue;
            }
            fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
            fs::write(&to, bytes)?;
        }
        Ok(Self { root, target })
    }

    /// A file of the filters.
    pub fn read(&self, file: &str) -> Result<String> {
        let path = self.root.join(ROOT).join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Does something while a guard is disabled.
    pub fn with<T>(&self, guard: &Guard, act: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let path = self.root.join(ROOT).join(&guard.file);
        let text = self.read(&guard.file)?;
        fs::write(&path, text.replacen(&guard.find, &guard.with, 1))?;
        let done = act(self);
        fs::write(&path, text)?;
        done
    }

    /// Runs the tests until one fails.
    pub fn test(&self) -> Result<Option<Killed>> {
        for arguments in TESTS {
            let Some(run) = self.cargo(arguments)? else {
                return Ok(Some(Killed::By("a test that does not end".into())));
            };
            if run.passed {
                continue;
            }
            let errors = &run.stderr;
            let failed = run.stdout.lines().find_map(|line| {
                let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
                Some(name.to_owned())
            });
            return match failed {
                Some(name) => Ok(Some(Killed::By(name))),
                // A test that overflows the stack or is killed ends the run without a line of its own.
                None if errors.contains("(signal:") => {
                    Ok(Some(Killed::By("a test that crashed".into())))
                }
                None => match errors.lines().find(|l| l.starts_with("error")) {
                    Some(line) => Ok(Some(Killed::DoesNotBuild(line.to_owned()))),
                    None => bail!("cargo failed: {errors}"),
                },
            };
        }
        Ok(None)
    }

    /// Builds tests, however long that takes, and runs them; `None` if they do not come to an end.
    fn cargo(&self, arguments: &[&str]) -> Result<Option<Run>> {
        let built = self.run(&[arguments, &["--no-run"]].concat(), Duration::MAX)?;
        match built {
            Some(built) if built.passed => self.run(arguments, PATIENCE),
            failed => Ok(failed),
        }
    }

    fn run(&self, arguments: &[&str], patience: Duration) -> Result<Option<Run>> {
        let path = |name: &str| self.target.join(name);
        let (stdout, stderr) = (path("mutants.stdout"), path("mutants.stderr"));
        let mut child = Command::new(env!("CARGO"))
            // Not locked: the lock file holds the version that the checkout's crates have.
            .args(["test", "--offline"])
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUST_BACKTRACE", "0")
            .stdout(fs::File::create(&stdout)?)
            .stderr(fs::File::create(&stderr)?)
            .process_group(0)
            .spawn()
            .context("cargo runs")?;
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > patience {
                // The test is cargo's child: the whole group goes.
                let group = format!("-{}", child.id());
                Command::new("kill")
                    .args(["-KILL", "--", &group])
                    .status()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let text = |file: &Path| fs::read(file).map(|b| String::from_utf8_lossy(&b).into_owned());
        Ok(Some(Run {
            passed: status.success(),
            stdout: text(&stdout)?,
            stderr: text(&stderr)?,
        }))
    }
}

/// The manifest of the workspace with another version of its crates.
fn renumbered(manifest: Vec<u8>) -> Result<Vec<u8>> {
    let manifest = String::from_utf8(manifest)?;
    let key = "[workspace.package]\nversion = \"";
    let (before, version) = manifest.split_once(key).context("there is a version")?;
    let (version, after) = version.split_once('"').context("a version ends")?;
    Ok(format!("{before}{key}{version}-mutant\"{after}").into_bytes())
}

/// What a run of cargo said.
struct Run {
    passed: bool,
    stdout: String,
    stderr: String,
}
