//! What people do to the train, on the command line.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bundle::Archive;
use clap::Args;
use release::run::By;
use release::{Act, Standing, Train, Tried};

use super::{PASSPHRASE_ENV, Place, now_unix_ms, show};
use crate::End;
use crate::config::Config;

/// The train, and who steers it.
#[derive(Args)]
pub(crate) struct Person {
    /// The conductor's configuration file (TOML), with a [release].
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Who does it: the name of a trusted key.
    #[arg(long, value_name = "NAME")]
    by: String,
    /// That person's private key, PKCS#8 in PEM, or `-`; if it is encrypted, IG_RELEASE_PASSPHRASE opens
    /// it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Arguments of `bundle release`.
#[derive(Args)]
pub(crate) struct ReleaseArgs {
    /// The signed bundle.
    bundle: PathBuf,
    #[command(flatten)]
    person: Person,
    /// What it is for.
    #[arg(long, default_value = "")]
    note: String,
    /// A coordinate that it is meant to show to more callers, such as Person.email; may be given several
    /// times. What else it shows that the stable release masks takes it back.
    #[arg(long, value_name = "COORDINATE")]
    loosens: Vec<String>,
    /// What it is meant to mask or deny for many callers who see it or may do it today: a coordinate, or
    /// `tenant:NAME` that it shuts out; may be given again.
    #[arg(long, value_name = "COORDINATE")]
    tightens: Vec<String>,
    /// Recorded decisions to make again: an access log of a gateway; may be given several times.
    #[arg(long, value_name = "FILE")]
    replay: Vec<PathBuf>,
    /// Release it though cases fail: it can be looked at, but not promoted.
    #[arg(long)]
    even_if_failing: bool,
}

/// Arguments of what is done to one release.
#[derive(Args)]
pub(crate) struct OneArgs {
    /// The release's number.
    release: u64,
    #[command(flatten)]
    person: Person,
}

/// Arguments of `bundle promote`.
#[derive(Args)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Wait until it is stable (0) or withdrawn (1).
    #[arg(long)]
    wait: bool,
    /// How long to wait, in seconds.
    #[arg(long, default_value_t = 86_400, requires = "wait")]
    within: u64,
}

/// Arguments of `bundle withdraw`.
#[derive(Args)]
pub(crate) struct WithdrawArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Why.
    #[arg(long)]
    reason: String,
}

/// Arguments of `bundle freeze`.
#[derive(Args)]
pub(crate) struct FreezeArgs {
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    person: Person,
}

/// Arguments of `bundle thaw`.
#[derive(Args)]
pub(crate) struct ThawArgs {
    #[command(flatten)]
    person: Person,
}

/// Arguments of `bundle status`.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// The conductor's configuration file (TOML), with a [release].
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// One release, with all that is known of it.
    release: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Person {
    /// Does something that can only be said once the train is known.
    pub(super) fn act(
        &self,
        what: impl FnOnce(&Place<'_>, &Train) -> anyhow::Result<Act>,
    ) -> anyhow::Result<Train> {
        let config = Config::read(&self.config)?;
        let place = Place::open(&config)?;
        let train = place.train()?;
        let act = what(&place, &train)?;
        let key = crate::key::private(&self.key, PASSPHRASE_ENV)?;
        let by = By::Person {
            name: &self.by,
            key: &key,
        };
        let rules = place.settings.rules();
        let (_, train) = place
            .depot
            .add(&by, act, now_unix_ms(), &place.keys, &rules)?;
        Ok(train)
    }
}

/// Puts a bundle on the train.
///
/// # Errors
/// It is not signed, can't be used, or may not be released.
pub(crate) fn release(args: &ReleaseArgs) -> anyhow::Result<End> {
    let bytes = Archive::bytes_of(&args.bundle)?;
    let at = || format!("{} can't be released", args.bundle.display());
    let mut tried = Tried::default();
    let mut unseen = Vec::new();
    let train = args.person.act(|place, train| {
        let content = place.unpacked(&bytes).with_context(at)?;
        bundle::examine(&content.bundle).with_context(at)?;
        place.settings.plan()?;
        let found = super::evidence::tried(place, train, &content, &args.replay)?;
        tried = found.tried;
        unseen = found.unseen;
        if tried.failed > 0 && !args.even_if_failing {
            bail!(
                "{} of {} cases fail: see `conductor bundle test`",
                tried.failed,
                tried.cases
            );
        }
        let digest = place.depot.keep(&bytes)?;
        if let Some(same) = train.stable().filter(|s| s.digest == digest) {
            bail!(
                "release {} has this very content, and is stable",
                same.number
            );
        }
        Ok(Act::Released {
            release: train.next(),
            revision: content.bundle.revision.clone(),
            digest,
            parent: train.stable,
            note: args.note.clone(),
            tried: tried.clone(),
            loosens: args.loosens.clone(),
            tightens: args.tightens.clone(),
        })
    })?;
    let (number, release) = train
        .releases
        .last_key_value()
        .context("nothing was released")?;
    line!(
        "release {number}: revision {}, sha256 {}",
        release.revision,
        release.digest
    )?;
    match tried.cases {
        0 => line!("no cases were run: `cases` of [release] names their folder")?,
        cases => line!("{} of {cases} cases passed", cases - tried.failed)?,
    }
    unseen.retain(|what| !args.loosens.contains(what));
    if !unseen.is_empty() {
        line!(
            "no decision shows what these do, so it is taken back unless it is released with --loosens for \
             each: {}",
            unseen.join(", ")
        )?;
    }
    if args.replay.is_empty() {
        line!("no recorded decisions were made again: --replay names a log")?;
    }
    if tried.replayed > 0 {
        line!(
            "it would change {} of {} recorded decisions, and loosen {}",
            tried.changed,
            tried.replayed,
            tried.loosened
        )?;
    }
    Ok(End::Done)
}

/// Approves a release.
///
/// # Errors
/// It may not be approved.
pub(crate) fn approve(args: &OneArgs) -> anyhow::Result<End> {
    let train = args.person.act(|_, train| {
        Ok(Act::Approved {
            release: args.release,
            digest: train.release(args.release)?.digest.clone(),
        })
    })?;
    let release = train.release(args.release)?;
    let approvals = &release.approvals;
    if !release.loosens.is_empty() {
        line!("it is meant to loosen {}", release.loosens.join(", "))?;
    }
    if !release.tightens.is_empty() {
        line!("it is meant to tighten {}", release.tightens.join(", "))?;
    }
    line!(
        "release {} is approved by {}",
        args.release,
        approvals.join(", ")
    )?;
    Ok(End::Done)
}

/// Sends a release on its way.
///
/// # Errors
/// It may not be promoted.
pub(crate) async fn promote(args: &PromoteArgs) -> anyhow::Result<End> {
    let number = args.one.release;
    let act = Act::Promoted { release: number };
    args.one.person.act(|_, _| Ok(act))?;
    line!("release {number} is on its way")?;
    if !args.wait {
        return Ok(End::Done);
    }
    let config = Config::read(&args.one.person.config)?;
    let place = Place::open(&config)?;
    let begun = Instant::now();
    let mut step = None;
    loop {
        let train = place.train()?;
        let release = train.release(number)?;
        match release.standing {
            Standing::Canary => {
                if let Some(canary) = &train.canary
                    && canary.step != step
                {
                    step = canary.step;
                    line!(
                        "step {}: {}",
                        step.map_or(0, |s| s + 1),
                        canary.nodes.join(", ")
                    )?;
                }
            }
            Standing::Withdrawn => {
                line!(
                    "release {number} was taken back: {}",
                    release.reasons.join("; ")
                )?;
                return Ok(End::Failed);
            }
            standing => {
                line!("release {number} is {}", standing.word())?;
                return Ok(End::Done);
            }
        }
        if begun.elapsed() >= Duration::from_secs(args.within) {
            line!(
                "release {number} is still under way after {} s",
                args.within
            )?;
            return Ok(End::Failed);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Takes a release back.
///
/// # Errors
/// There is nothing to take back.
pub(crate) fn withdraw(args: &WithdrawArgs) -> anyhow::Result<End> {
    let number = args.one.release;
    args.one.person.act(|_, _| {
        Ok(Act::Withdrawn {
            release: number,
            reasons: vec![format!("{}: {}", args.one.person.by, args.reason)],
            evidence: None,
        })
    })?;
    line!("release {number} is withdrawn")?;
    Ok(End::Done)
}

/// Stops promotions.
///
/// # Errors
/// They are stopped already.
pub(crate) fn freeze(args: &FreezeArgs) -> anyhow::Result<End> {
    args.person.act(|_, _| {
        ensure!(!args.reason.trim().is_empty(), "a freeze needs a reason");
        Ok(Act::Frozen {
            reason: args.reason.clone(),
        })
    })?;
    line!("releases are frozen; `rollback` and `withdraw` go on working")?;
    Ok(End::Done)
}

/// Lets promotions go on.
///
/// # Errors
/// They are not stopped.
pub(crate) fn thaw(args: &ThawArgs) -> anyhow::Result<End> {
    args.person.act(|_, _| Ok(Act::Thawed {}))?;
    line!("releases go on")?;
    Ok(End::Done)
}

/// Prints how the train stands.
///
/// # Errors
/// The records can't be read or believed.
pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<End> {
    let config = Config::read(&args.config)?;
    let place = Place::open(&config)?;
    let train = place.train()?;
    match (args.release, args.json) {
        (None, true) => line!("{}", serde_json::to_string_pretty(&train)?)?,
        (None, false) => show::train(&train)?,
        (Some(number), true) => {
            line!("{}", serde_json::to_string_pretty(train.release(number)?)?)?;
        }
        (Some(number), false) => show::release(train.release(number)?)?,
    }
    Ok(End::Done)
}
