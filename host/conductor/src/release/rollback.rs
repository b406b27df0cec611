//! `bundle rollback`: an old content in force once more, after it was tried.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use release::{Act, Standing, Train};

use super::commands::Person;
use super::content::Content;
use super::{Place, trial};
use crate::End;
use crate::config::Config;

/// Arguments of `bundle rollback`.
#[derive(Args)]
pub(crate) struct RollbackArgs {
    /// The release to go back to; if not given, the one that was stable before.
    #[arg(long, value_name = "RELEASE")]
    to: Option<u64>,
    /// Why.
    #[arg(long)]
    reason: String,
    /// How long the cases may take, in seconds: those that were not run by then are not waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    within: u64,
    /// Go back though cases fail, if the present release fails one that the old one passes, or can't be put in
    /// force at all.
    #[arg(long)]
    even_if_failing: bool,
    #[command(flatten)]
    person: Person,
}

/// Goes back to an old content, after it was tried.
///
/// # Errors
/// There is none, or it can't be put in force, or fails cases.
pub(crate) fn rollback(args: &RollbackArgs) -> anyhow::Result<End> {
    let config = Config::read(&args.person.config)?;
    let mut back = 0;
    let train = args.person.act(|place, train| {
        let of = match args.to {
            Some(of) => of,
            None => before(train)?,
        };
        back = of;
        let digest = train.release(of)?.digest.clone();
        if let Some(now) = train.stable().filter(|now| now.digest == digest) {
            bail!(
                "release {}, which is stable, has the content of release {of} already",
                now.number
            );
        }
        try_out(args, &config, place, train, of)?;
        Ok(Act::RolledBack {
            release: train.next(),
            of,
            digest,
            reason: args.reason.clone(),
        })
    })?;
    let now = train.stable().context("nothing is stable")?;
    line!(
        "release {} is stable: the content of release {back}, revision {}",
        now.number,
        now.revision
    )?;
    Ok(End::Done)
}

/// Tries the content of a release before it is put in force once more.
fn try_out(
    args: &RollbackArgs,
    config: &Config,
    place: &Place<'_>,
    train: &Train,
    of: u64,
) -> anyhow::Result<()> {
    let content = |number: u64| -> anyhow::Result<Content> {
        let content = place.unpacked(&place.depot.bundle(&train.release(number)?.digest)?)?;
        trial::usable(config, &content)?;
        Ok(content)
    };
    // What can't be served any more is nothing to go back to.
    let old = content(of).with_context(|| format!("release {of} can't be put in force"))?;
    let cases = match trial::read(place.settings) {
        Ok(cases) => cases,
        // Its own matter, and no reason to stay with what is worse: it passed cases when it was released.
        Err(error) => {
            line!("the cases can't be read, so that none was run: {error:#}")?;
            Vec::new()
        }
    };
    let run = |bundle, cases: &[_]| {
        let until = Instant::now() + Duration::from_secs(args.within);
        trial::run(bundle, cases, until)
    };
    let tried = run(&old.bundle, &cases);
    if tried.ran < tried.cases {
        line!(
            "in {} s {} of {} cases were run: the others are not waited for",
            args.within,
            tried.ran,
            tried.cases
        )?;
    }
    let Some(first) = tried.failing.first() else {
        return Ok(());
    };
    let failed = format!(
        "{} of {} cases fail with release {of}, among them `{first}`",
        tried.failing.len(),
        tried.ran
    );
    if !args.even_if_failing {
        bail!(
            "{failed}: nothing was changed; --even-if-failing goes back all the same if the present release is \
             worse"
        );
    }
    let now = train.stable().context("no release is stable yet")?.number;
    let worse = match content(now) {
        Err(error) => format!("the present release can't be put in force: {error:#}"),
        Ok(present) => {
            // Of those that the old one was tried with.
            let both = cases.get(..tried.ran).unwrap_or_default();
            let present = run(&present.bundle, both);
            let mends = present.failing.difference(&tried.failing).next();
            let Some(mends) = mends else {
                bail!(
                    "{failed}, and the present release {now} fails none that release {of} passes: nothing was \
                     changed"
                );
            };
            format!("the present release {now} fails `{mends}`, which release {of} passes")
        }
    };
    line!("{failed}; {worse}")?;
    Ok(())
}

/// The release that was stable before the content that is, and has another: never one that came after it,
/// which was fled from, or left out for a reason.
fn before(train: &Train) -> anyhow::Result<u64> {
    let now = train.stable().context("no release is stable yet")?;
    let mut first = now;
    while let Some(of) = first.rollback_of {
        first = train.release(of)?;
    }
    let mut others = train.releases.values().rev().filter(|r| {
        r.number < first.number
            && r.standing == Standing::Superseded
            && r.was_stable
            && r.digest != now.digest
    });
    let found = others.next().map(|r| r.number);
    found.with_context(|| {
        format!(
            "no other release was stable before release {}, whose content is in force: --to names one that came \
             later",
            first.number
        )
    })
}
