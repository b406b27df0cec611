//! The counterpart of the leaking release: what it would show, released as what it is. Clients must see it at
//! the gateways of its steps: else nobody could say that they would have seen a leak.

use release::{Standing, Train};

use super::{Drill, edit, grant_to_analysts};

impl Drill<'_> {
    /// The same release as the one that was taken back, with what that showed as declared; stopped on its way
    /// and taken back by a person.
    pub(super) async fn declared(&mut self, leaking: &Train) -> anyhow::Result<()> {
        let grants = self.yard.policies().join("ig/grants/data.json");
        let before = std::fs::read(&grants)?;
        edit(&grants, grant_to_analysts)?;
        let shown = leaking.releases.values().next_back();
        let evidence = shown.and_then(|release| release.evidence.as_ref());
        let mut extra = vec!["--note", "a grant, as ordered"];
        for coordinate in evidence.iter().flat_map(|e| e.loosened.keys()) {
            extra.extend(["--loosens", coordinate]);
        }
        self.load.forget();
        let number = self.put("declared", &extra, None).await?;
        std::fs::write(&grants, before)?;
        self.command(&self.yard.promote(number)).await?;
        self.until(|train| train.canary.as_ref().is_none_or(|c| c.step.is_some()))
            .await?;
        // It stays at the step where it is.
        self.command(&self.yard.freeze("to look at it")).await?;
        let early = self.early_regions()?;
        let seen = self
            .eventually(|load| {
                let leaks = load.leaks();
                early.iter().all(|region| leaks.get(region) > Some(&0))
            })
            .await;
        let leaks = self.load.leaks();
        let strayed: usize = leaks
            .iter()
            .filter(|(region, _)| !early.contains(*region))
            .map(|(_, n)| n)
            .sum();
        self.check(
            "the same as a declared, approved loosening is seen where it is, and only there",
            "answers in the clear at each gateway of its steps, 0 elsewhere",
            format!("{leaks:?}, its steps: {}", early.join(", ")),
            seen && strayed == 0 && !early.is_empty() && early.len() < leaks.len(),
        );
        self.command(&self.yard.withdraw(number, "seen")).await?;
        self.command(&self.yard.thaw()).await?;
        let train = self.tell()?;
        let masked = self.everywhere(|seen| seen.email.starts_with("h:")).await;
        self.ended(
            "a release that a person takes back on its way",
            &train,
            Standing::Withdrawn,
            "ann: seen",
            masked,
            "addresses are pseudonyms again at all gateways",
        );
        Ok(())
    }
}
