use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use crate::policy::{Decision, Surface, Verdict};
use crate::schema::{FieldId, Schema, TypeId, UnknownCoordinate, Words};

use super::{Known, StrategyKind};

/// Index of a rule in its table.
pub type RuleId = u32;

/// What one coordinate's values get, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// As the policy or the directive names it.
    pub coordinate: Box<str>,
    /// What is done; `None` reveals.
    pub strategy: Option<StrategyKind>,
    /// For `partial`: characters kept at the start.
    pub keep_first: u8,
    /// For `partial`: characters kept at the end.
    pub keep_last: u8,
    /// Why.
    pub reason: Box<str>,
    /// Who says so.
    pub source: Source,
    /// What kind of data the policy says it is.
    pub class: Option<Box<str>>,
    /// Whether the caller may filter, sort and group by the masked values.
    pub compare: bool,
}

impl Rule {
    /// Orders rules: by strategy, and of two `partial` the one that shows less is the stricter.
    fn strictness(&self) -> (Option<StrategyKind>, Reverse<u16>) {
        let shown = u16::from(self.keep_first) + u16::from(self.keep_last);
        (self.strategy, Reverse(shown))
    }
}

/// Where a rule comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The `@mask` directive on this field.
    Directive(Box<str>),
    /// The policy.
    Policy,
}

/// Under one decision: the rule of every field of every object type.
#[derive(Debug)]
pub struct RuleTable {
    rules: Vec<Rule>,
    by_field: HashMap<FieldId, RuleId>,
    low_entropy: HashSet<FieldId>,
    introspection: bool,
    /// The words of the names of all fields whose values are masked and may not be compared, and
    /// one coordinate of each.
    masked_names: OnceLock<BTreeMap<Words, Box<str>>>,
    known: Arc<Known>,
}

impl RuleTable {
    /// Lays the decision over the schema's directives: where the policy has a say, directly or
    /// through an interface, the strictest of what it says counts; elsewhere the strictest
    /// directive. In an export no directive does less than redact: what is carried away by the
    /// thousand is shown as far as the policy says, and no further.
    ///
    /// # Errors
    /// The policy names a coordinate that the schema does not have.
    pub fn new(
        schema: &Schema,
        decision: &Decision,
        surface: Surface,
    ) -> Result<Self, UnknownCoordinate> {
        let mut table = Self {
            rules: Vec::new(),
            by_field: HashMap::new(),
            low_entropy: HashSet::new(),
            introspection: decision.introspection,
            masked_names: OnceLock::new(),
            known: Arc::default(),
        };
        for coordinate in &decision.low_entropy {
            let fields = schema.expand(coordinate)?;
            table.low_entropy.extend(fields.iter().map(|(_, f)| *f));
        }
        for (coordinate, rule) in &decision.rules {
            let (keep_first, keep_last) = rule.kept();
            table.add(
                schema,
                Rule {
                    coordinate: coordinate.as_str().into(),
                    strategy: match rule.strategy {
                        Verdict::Reveal => None,
                        Verdict::Mask(strategy) => Some(strategy),
                    },
                    keep_first,
                    keep_last,
                    reason: rule.reason.as_str().into(),
                    source: Source::Policy,
                    class: rule.class.as_deref().map(Into::into),
                    compare: rule.compare,
                },
            )?;
        }
        for directive in schema.directives() {
            table.add(
                schema,
                Rule {
                    coordinate: directive.coordinate.clone(),
                    strategy: Some(match surface {
                        Surface::Export => StrategyKind::Redact,
                        Surface::Graphql | Surface::Rest => directive.strategy,
                    }),
                    keep_first: 0,
                    keep_last: crate::policy::DEFAULT_KEEP_LAST,
                    reason: format!("@mask on {}", directive.at).into(),
                    source: Source::Directive(directive.at.clone()),
                    class: None,
                    compare: false,
                },
            )?;
        }
        Ok(table)
    }

    /// The same rules, with what the settings say of names.
    #[must_use]
    pub fn knowing(self, known: Arc<Known>) -> Self {
        Self { known, ..self }
    }

    /// What the settings say of names.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Whether the field is masked and may not be compared.
    pub(super) fn hides(&self, field: FieldId) -> bool {
        let rule = self.rule(field);
        rule.is_some_and(|(_, r)| r.strategy.is_some() && !r.compare)
    }

    fn masked_names_of(&self, schema: &Schema) -> BTreeMap<Words, Box<str>> {
        let mut names = BTreeMap::new();
        for (_, ty) in schema.types() {
            for field in ty.fields() {
                if self.hides(field.id) {
                    names
                        .entry(field.words.clone())
                        .or_insert_with(|| format!("{}.{}", ty.name, field.name).into());
                }
            }
        }
        names
    }

    /// The coordinate of a masked field whose name has words that the predicate takes.
    pub(super) fn masked_name(
        &self,
        schema: &Schema,
        takes: impl Fn(&Words) -> bool,
    ) -> Option<&str> {
        // Worked out for the first argument that asks: most decisions never need it.
        let names = self
            .masked_names
            .get_or_init(|| self.masked_names_of(schema));
        let found = names.iter().find(|(words, _)| takes(words));
        found.map(|(_, coordinate)| &**coordinate)
    }

    fn add(&mut self, schema: &Schema, rule: Rule) -> Result<(), UnknownCoordinate> {
        let id = self.rules.len() as RuleId;
        for (_, field) in schema.expand(&rule.coordinate)? {
            let standing = self
                .by_field
                .get(&field)
                .and_then(|r| self.rules.get(*r as usize));
            let wins = standing.is_none_or(|s| {
                let policy_stands = s.source == Source::Policy && rule.source != Source::Policy;
                !policy_stands && rule.strictness() > s.strictness()
            });
            if wins {
                self.by_field.insert(field, id);
            }
        }
        self.rules.push(rule);
        Ok(())
    }

    /// The rule of a field of an object type.
    pub fn rule(&self, field: FieldId) -> Option<(RuleId, &Rule)> {
        let id = *self.by_field.get(&field)?;
        Some((id, self.rules.get(id as usize)?))
    }

    /// Whether values of the field are so few that their pseudonyms could be guessed.
    pub fn has_low_entropy(&self, field: FieldId) -> bool {
        self.low_entropy.contains(&field)
    }

    /// Whether the caller may ask for the schema.
    pub fn introspection(&self) -> bool {
        self.introspection
    }

    /// A rule by its id.
    pub fn get(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id as usize)
    }

    /// The coordinate whose key pseudonyms of a field are made under: the alphabetically first
    /// interface of the type that has the field, else the type itself. So one value has one
    /// pseudonym, whether it was asked for through the interface or not.
    pub fn domain(schema: &Schema, ty: TypeId, field: &str) -> Box<str> {
        let Some(def) = schema.get(ty) else {
            return field.into();
        };
        let owner = def
            .interfaces
            .iter()
            .filter_map(|i| schema.get(*i))
            .filter(|i| i.field(field).is_some())
            .map(|i| &*i.name)
            .min()
            .unwrap_or(&def.name);
        format!("{owner}.{field}").into()
    }
}
