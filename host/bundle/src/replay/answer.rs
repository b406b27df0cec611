//! What a bundle answers, as far as two answers are compared.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use engine::filter::tell_tags;
use engine::mask::{RuleTable, StrategyKind};
use engine::policy::{
    Decision, ErrorDetail, Policy, ResidencyDecision, ResidencyInput, Surface, WarrantFacts,
};
use engine::residency::Directory;
use engine::schema::Schema;
use engine::warrant::WarrantError;

use super::recorded::ResidencyFacts;
use super::{Delta, Direction, REGION};
use crate::json::member;
use crate::{Bundle, BundleError};

/// A bundle that is asked.
pub(crate) struct Asked {
    schema: Schema,
    masking: Policy,
    residency: Policy,
    directory: Directory,
    revoked: Vec<String>,
}

/// What `ig.masking` answers.
pub(crate) enum MaskingAnswer {
    /// The request may go on.
    Allowed {
        admin: bool,
        errors: ErrorDetail,
        introspection: bool,
        fields: BTreeMap<String, Effect>,
    },
    /// It may not; the codes.
    Denied(String),
    /// There is no answer.
    Failed(String),
}

/// What happens to a field's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    strategy: Option<StrategyKind>,
    /// Characters at the beginning and at the end that stay.
    shown: (u8, u8),
    compare: bool,
    /// As people read it.
    label: String,
}

impl Effect {
    fn clear() -> Self {
        Self {
            strategy: None,
            shown: (0, 0),
            compare: true,
            label: "clear".into(),
        }
    }

    #[cfg(test)]
    pub fn is_clear(&self) -> bool {
        self.strategy.is_none()
    }

    /// Which way it goes if `new` takes its place. What shows more in any way is looser, whatever else it
    /// hides: other characters than before, or whether a guess is right.
    fn against(&self, new: &Self) -> Option<Direction> {
        let strategies = new.strategy.cmp(&self.strategy);
        // What is kept says something only of the same strategy.
        let kept = |was: u8, is: u8| match strategies {
            Ordering::Equal => was.cmp(&is),
            _ => Ordering::Equal,
        };
        let ways = [
            strategies,
            kept(self.shown.0, new.shown.0),
            kept(self.shown.1, new.shown.1),
            self.compare.cmp(&new.compare),
        ];
        if ways.contains(&Ordering::Less) {
            return Some(Direction::Loosened);
        }
        ways.contains(&Ordering::Greater)
            .then_some(Direction::Tightened)
    }
}

/// What `ig.residency` answers.
pub(crate) enum ResidencyAnswer {
    /// Served in that region, under that warrant.
    Allowed(String, Option<String>),
    /// Not served; perhaps another gateway would.
    Denied {
        code: String,
        redirect: Option<String>,
    },
    /// There is no answer.
    Failed(String),
}

impl Asked {
    pub fn new(bundle: &Bundle) -> Result<Self, BundleError> {
        let invalid = |error| BundleError::Invalid {
            path: bundle.path.clone(),
            error,
        };
        let schema = Schema::parse(&bundle.schema).map_err(|e| invalid(e.into()))?;
        let mut source = bundle.policy.clone();
        tell_tags(&schema, &mut source.data).map_err(|e| invalid(e.into()))?;
        let revoked = bundle.policy.data.pointer("/ig/revocations");
        let revoked = revoked.and_then(serde_json::Value::as_object);
        Ok(Self {
            masking: Policy::load::<Decision>(&source).map_err(|e| invalid(e.into()))?,
            residency: Policy::load::<ResidencyDecision>(&bundle.policy)
                .map_err(|e| invalid(e.into()))?,
            directory: Directory::read(&bundle.policy.data).map_err(|e| invalid(e.into()))?,
            revoked: revoked
                .into_iter()
                .flat_map(|r| r.keys().cloned())
                .collect(),
            schema,
        })
    }

    /// Asks about an input, a JSON text.
    pub fn masking(&mut self, input: &str) -> MaskingAnswer {
        let decision = match self.masking.ask::<Decision>(input) {
            Ok(decision) => decision,
            Err(error) => return MaskingAnswer::Failed(error.to_string()),
        };
        if !decision.allow {
            let codes: Vec<&str> = decision.denials.iter().map(|d| d.code.as_str()).collect();
            return MaskingAnswer::Denied(match codes.as_slice() {
                [] => "POLICY_DENIED".to_owned(),
                codes => codes.join(", "),
            });
        }
        let surface = serde_json::from_str::<serde_json::Value>(input).ok();
        let surface = surface
            .and_then(|i| serde_json::from_value::<Surface>(member(&i, "surface").clone()).ok());
        match self.fields(&decision, surface.unwrap_or_default()) {
            Err(error) => MaskingAnswer::Failed(error),
            Ok(fields) => MaskingAnswer::Allowed {
                admin: decision.admin,
                errors: decision.errors,
                introspection: decision.introspection,
                fields,
            },
        }
    }

    /// What the decision does to every field that it does something to.
    fn fields(
        &self,
        decision: &Decision,
        surface: Surface,
    ) -> Result<BTreeMap<String, Effect>, String> {
        let table = RuleTable::new(&self.schema, decision, surface).map_err(|e| e.to_string())?;
        let mut fields = BTreeMap::new();
        for (_, ty) in self.schema.types() {
            for field in ty.fields() {
                let Some((_, rule)) = table.rule(field.id) else {
                    continue;
                };
                let strategy = match rule.strategy {
                    // Too few values for a pseudonym to hide them.
                    Some(StrategyKind::Hash) if table.has_low_entropy(field.id) => {
                        Some(StrategyKind::Redact)
                    }
                    strategy => strategy,
                };
                let partial = strategy == Some(StrategyKind::Partial);
                let (first, last) = (rule.keep_first, rule.keep_last);
                let mut label = match strategy {
                    None => "clear".to_owned(),
                    Some(_) if partial => format!("partial {first}+{last}"),
                    Some(strategy) => strategy.name().to_owned(),
                };
                let compare = strategy.is_none() || rule.compare;
                if strategy.is_some() && compare {
                    label.push_str(", comparable");
                }
                let effect = Effect {
                    strategy,
                    shown: if partial { (first, last) } else { (0, 0) },
                    compare,
                    label,
                };
                fields.insert(format!("{}.{}", ty.name, field.name), effect);
            }
        }
        Ok(fields)
    }

    /// What the residency filter would ask about a request at its time: where the tenant's home is, this
    /// bundle says.
    pub fn residency_input(&self, facts: &ResidencyFacts, time_s: Option<u64>) -> String {
        let home = match time_s {
            Some(now) => self.directory.home(&facts.tenant, now).map(str::to_owned),
            None => facts.home.clone(),
        };
        let revoked = facts
            .warrant
            .as_ref()
            .is_some_and(|w| self.revoked.contains(&w.warrant));
        let refused = match &facts.warrant_refused {
            None if revoked => Some(WarrantError::Revoked.into()),
            refused => refused.clone(),
        };
        let warrant = facts.warrant.as_ref().filter(|_| refused.is_none());
        let input = ResidencyInput {
            tenant: &facts.tenant,
            home: home.as_deref(),
            gateway_region: &facts.region_src,
            data_region: facts.data_region.as_deref(),
            warrant: warrant.map(|w| WarrantFacts {
                id: &w.warrant,
                src: &w.warrant_src,
                dst: &w.warrant_dst,
                operations: &w.warrant_operations,
                purpose: &w.warrant_purpose,
                authority: &w.authority,
                jurisdiction: &w.warrant_jurisdiction,
                case: &w.case,
            }),
            warrant_refused: refused,
        };
        serde_json::to_string(&input).unwrap_or_default()
    }

    /// Asks about an input, a JSON text.
    pub fn residency(&mut self, input: &str) -> ResidencyAnswer {
        match self.residency.ask::<ResidencyDecision>(input) {
            Err(error) => ResidencyAnswer::Failed(error.to_string()),
            Ok(decision) if decision.allow => {
                ResidencyAnswer::Allowed(decision.region.unwrap_or_default(), decision.warrant)
            }
            Ok(decision) => {
                let code = decision.code.unwrap_or_else(|| "RESIDENCY_DENIED".into());
                let redirect = decision.redirect;
                ResidencyAnswer::Denied { code, redirect }
            }
        }
    }
}

fn whole(coordinate: &str, direction: Direction, old: &str, new: &str) -> Delta {
    Delta {
        direction,
        coordinate: coordinate.into(),
        old: old.into(),
        new: new.into(),
        denies: false,
        ends: false,
        of_field: false,
        recorded: true,
    }
}

impl MaskingAnswer {
    pub fn allows(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// The code of the refusal, if it is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Allowed { .. } => None,
            // A refusal goes by the first of its codes.
            Self::Denied(codes) => codes.split(", ").next(),
            Self::Failed(_) => Some("POLICY_FAILED"),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Allowed { .. } => "allowed".into(),
            Self::Denied(codes) => format!("denied {codes}"),
            Self::Failed(error) => format!("denied POLICY_FAILED: {error}"),
        }
    }

    /// What differs if `new` takes its place.
    pub fn against(&self, new: &Self) -> Vec<Delta> {
        let (
            Self::Allowed {
                admin,
                errors,
                introspection,
                fields,
            },
            Self::Allowed {
                admin: new_admin,
                errors: new_errors,
                introspection: new_introspection,
                fields: new_fields,
            },
        ) = (self, new)
        else {
            let (old_label, new_label) = (self.label(), new.label());
            let direction = match (self.allows(), new.allows()) {
                (true, _) => Direction::Tightened,
                (false, true) => Direction::Loosened,
                _ if old_label == new_label => return Vec::new(),
                _ => Direction::Other,
            };
            return vec![Delta {
                denies: direction == Direction::Tightened,
                ends: !new.allows(),
                ..whole("(request)", direction, &old_label, &new_label)
            }];
        };
        let mut deltas = Vec::new();
        let verbatim = |errors: &ErrorDetail| *errors == ErrorDetail::Verbatim;
        for (name, was, is) in [
            ("(admin)", *admin, *new_admin),
            ("(errors)", verbatim(errors), verbatim(new_errors)),
            ("(introspection)", *introspection, *new_introspection),
        ] {
            let word = |shown| if shown { "shown" } else { "hidden" };
            let direction = match is {
                true => Direction::Loosened,
                false => Direction::Tightened,
            };
            if was != is {
                deltas.push(whole(name, direction, word(was), word(is)));
            }
        }
        let clear = Effect::clear();
        let mut names: Vec<&String> = fields.keys().chain(new_fields.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let was = fields.get(name).unwrap_or(&clear);
            let is = new_fields.get(name).unwrap_or(&clear);
            let Some(direction) = was.against(is) else {
                continue;
            };
            deltas.push(Delta {
                direction,
                coordinate: name.clone(),
                old: was.label.clone(),
                new: is.label.clone(),
                denies: false,
                ends: false,
                of_field: true,
                recorded: was.strategy.is_some(),
            });
        }
        deltas
    }
}

impl ResidencyAnswer {
    pub fn allows(&self) -> bool {
        matches!(self, Self::Allowed(..))
    }

    fn region(&self) -> Option<&str> {
        match self {
            Self::Allowed(region, _) => Some(region),
            Self::Denied { .. } | Self::Failed(_) => None,
        }
    }

    fn leads_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::Denied {
                redirect: Some(_),
                ..
            }
        )
    }

    /// The code of the refusal, if it is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Allowed(..) => None,
            Self::Denied { code, .. } => Some(code),
            Self::Failed(_) => Some("POLICY_FAILED"),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Allowed(region, None) => format!("served in {region}"),
            Self::Allowed(region, Some(warrant)) => format!("served in {region} under {warrant}"),
            Self::Denied {
                code,
                redirect: Some(gateway),
            } => format!("denied {code}, redirected to {gateway}"),
            Self::Denied { code, .. } => format!("denied {code}"),
            Self::Failed(error) => format!("denied POLICY_FAILED: {error}"),
        }
    }

    /// What differs if `new` takes its place.
    pub fn against(&self, new: &Self) -> Vec<Delta> {
        let (old_label, new_label) = (self.label(), new.label());
        let direction = match (self.allows(), new.allows()) {
            _ if old_label == new_label => return Vec::new(),
            (true, false) => Direction::Tightened,
            (false, true) => Direction::Loosened,
            // Where it was not served before.
            (true, true) if self.region() != new.region() => Direction::Loosened,
            _ => Direction::Other,
        };
        let coordinate = match self.allows() && new.allows() && direction == Direction::Loosened {
            true => REGION,
            false => "(residency)",
        };
        vec![Delta {
            denies: direction == Direction::Tightened && !new.leads_elsewhere(),
            ends: !new.allows(),
            ..whole(coordinate, direction, &old_label, &new_label)
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(strategy: StrategyKind, shown: (u8, u8), compare: bool) -> Effect {
        Effect {
            strategy: Some(strategy),
            shown,
            compare,
            label: String::new(),
        }
    }

    #[test]
    fn what_shows_more_in_any_way_is_looser() {
        use Direction::{Loosened, Tightened};
        use StrategyKind::{Hash, Partial, Redact};
        let hash = effect(Hash, (0, 0), false);
        let last4 = effect(Partial, (0, 4), false);
        for (was, is, want) in [
            (&hash, &hash, None),
            (&hash, &Effect::clear(), Some(Loosened)),
            (&hash, &effect(Redact, (0, 0), false), Some(Tightened)),
            // Stricter, but it says whether a guess is right.
            (&hash, &effect(Redact, (0, 0), true), Some(Loosened)),
            (&effect(Hash, (0, 0), true), &hash, Some(Tightened)),
            // Other characters than before.
            (&last4, &effect(Partial, (4, 0), false), Some(Loosened)),
            (&last4, &effect(Partial, (1, 3), false), Some(Loosened)),
            (&last4, &effect(Partial, (0, 5), false), Some(Loosened)),
            (&last4, &effect(Partial, (0, 3), false), Some(Tightened)),
            (&last4, &hash, Some(Tightened)),
            (&hash, &last4, Some(Loosened)),
        ] {
            assert_eq!(was.against(is), want, "{was:?} → {is:?}");
        }
    }
}
