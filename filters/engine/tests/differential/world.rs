//! Schema and policy.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::dice::Dice;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    Text(&'static str),
    Int,
    Float,
    Boolean,
    Enum,
    Json,
    Composite(String),
}

/// A type under lists. Bit d of `required`: the value under d lists may not be null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ty {
    pub base: Base,
    pub lists: usize,
    pub required: usize,
}

impl Ty {
    pub fn nullable(&self, depth: usize) -> bool {
        self.required >> depth.min(self.lists) & 1 == 0
    }

    pub fn leaf(&self) -> bool {
        !matches!(self.base, Base::Composite(_))
    }

    fn named(&self) -> &str {
        match &self.base {
            Base::Text(name) => name,
            Base::Int => "Int",
            Base::Float => "Float",
            Base::Boolean => "Boolean",
            Base::Enum => "Kind",
            Base::Json => "JSON",
            Base::Composite(name) => name,
        }
    }

    /// Equal for equal types: fields and response keys are named after it, so that two selections
    /// under one key always have one shape, as a valid query must.
    pub fn code(&self) -> String {
        format!("{}{}{}", self.named(), self.lists, self.required)
    }

    fn sdl(&self) -> String {
        let mut text = self.named().to_owned();
        for depth in (0..=self.lists).rev() {
            if depth < self.lists {
                text = format!("[{text}]");
            }
            if !self.nullable(depth) {
                text.push('!');
            }
        }
        text
    }
}

pub type Fields = BTreeMap<String, Ty>;

/// Which strategy; the order is that of strictness. `None` reveals.
pub const STRICTNESS: [&str; 4] = ["partial", "hash", "null", "redact"];

/// The place of `hash` among them.
pub const HASH: usize = 1;

/// A strategy: a pseudonym rather than another, since it can say too much in most ways.
fn strategy(dice: &mut Dice) -> usize {
    if dice.percent(25) {
        return HASH;
    }
    dice.below(STRICTNESS.len())
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub coordinate: String,
    pub strategy: Option<usize>,
    pub keep: usize,
}

#[derive(Debug, Default)]
pub struct World {
    pub objects: BTreeMap<String, Fields>,
    pub interfaces: BTreeMap<String, Fields>,
    pub implements: BTreeMap<String, BTreeSet<String>>,
    pub members: BTreeSet<String>,
    pub policy: Vec<Rule>,
    /// Field (`Type.field`) on which a directive stands, and what it says.
    pub directives: Vec<(String, Rule)>,
    /// The rule of each field of an object type that has one.
    rules: BTreeMap<String, BTreeMap<String, Rule>>,
}

impl World {
    pub fn random(dice: &mut Dice) -> Self {
        let mut world = World::default();
        let names: Vec<String> = (0..2 + dice.below(3)).map(|i| format!("T{i}")).collect();
        world.members = names.iter().filter(|_| dice.percent(70)).cloned().collect();
        world.members.insert("T0".into());
        let mut targets = names.clone();
        targets.extend(["I0", "I1", "U"].map(str::to_owned));
        for interface in ["I0", "I1"] {
            let fields = fields(dice, &targets, 2);
            world.interfaces.insert(interface.into(), fields);
        }
        for name in &names {
            let mut own = fields(dice, &targets, 5);
            let implements: BTreeSet<String> = ["I0", "I1"]
                .iter()
                .filter(|i| name == "T0" || (dice.percent(50) && **i != "U"))
                .map(|i| (*i).to_owned())
                .collect();
            for interface in &implements {
                own.extend(world.interfaces[interface].clone());
            }
            world.implements.insert(name.clone(), implements);
            world.objects.insert(name.clone(), own);
        }
        let mut root = fields(dice, &targets, 3);
        for target in &targets {
            let ty = Ty {
                base: Base::Composite(target.clone()),
                lists: dice.below(2),
                required: dice.below(4),
            };
            root.insert(format!("{}_0", ty.code()), ty);
        }
        world.objects.insert("Query".into(), root);
        world.implements.insert("Query".into(), BTreeSet::new());
        world.mark(dice);
        let objects = world.objects.iter().map(|(object, fields)| {
            let ruled = fields.keys().filter_map(|field| {
                let rule = world.work_out(object, field)?;
                Some((field.clone(), rule))
            });
            (object.clone(), ruled.collect())
        });
        world.rules = objects.collect();
        world
    }

    fn mark(&mut self, dice: &mut Dice) {
        let types: Vec<(String, Fields)> = self
            .objects
            .iter()
            .chain(&self.interfaces)
            .map(|(n, f)| (n.clone(), f.clone()))
            .collect();
        for (name, fields) in &types {
            for (field, ty) in fields {
                let at = format!("{name}.{field}");
                if dice.percent(15) {
                    // On a composite it marks fields of what is returned.
                    let strategy = Some(strategy(dice));
                    let coordinate = match &ty.base {
                        Base::Composite(target) if self.fields(target).is_empty() => continue,
                        Base::Composite(target) => {
                            let below: Vec<String> = self.fields(target).into_keys().collect();
                            format!("{target}.{}", dice.pick(&below))
                        }
                        _ => at.clone(),
                    };
                    self.directives.push((
                        at.clone(),
                        Rule {
                            coordinate,
                            strategy,
                            keep: 4,
                        },
                    ));
                }
                let chance = if ty.leaf() { 25 } else { 6 };
                if dice.percent(chance) {
                    let strategy = dice.percent(75).then(|| strategy(dice));
                    self.policy.push(Rule {
                        coordinate: at,
                        strategy,
                        keep: dice.below(6),
                    });
                }
            }
            if name != "Query" && dice.percent(8) && fields.values().any(Ty::leaf) {
                let strategy = Some(strategy(dice));
                self.policy.push(Rule {
                    coordinate: format!("{name}.*"),
                    strategy,
                    keep: 2,
                });
            }
        }
    }

    /// The fields that can be selected on a type without a condition.
    pub fn fields(&self, name: &str) -> Fields {
        self.objects
            .get(name)
            .or_else(|| self.interfaces.get(name))
            .cloned()
            .unwrap_or_default()
    }

    pub fn possible(&self, name: &str) -> BTreeSet<String> {
        if self.objects.contains_key(name) {
            return BTreeSet::from([name.to_owned()]);
        }
        if name == "U" {
            return self.members.clone();
        }
        let implementers = self.implements.iter().filter(|(_, i)| i.contains(name));
        implementers.map(|(n, _)| n.clone()).collect()
    }

    /// The rule of a field of an object type.
    pub fn rule(&self, object: &str, field: &str) -> Option<Rule> {
        self.rules[object].get(field).cloned()
    }

    /// The same in an export, where no directive does less than redact.
    pub fn rule_of_export(&self, object: &str, field: &str) -> Option<Rule> {
        let mut rule = self.rule(object, field)?;
        let of_policy = |rule: &Rule| self.speaks_of(rule, object, field);
        if !self.policy.iter().any(of_policy) {
            rule.strategy = Some(STRICTNESS.len() - 1);
        }
        Some(rule)
    }

    /// Whether a rule is one of a field of an object type.
    fn speaks_of(&self, rule: &Rule, object: &str, field: &str) -> bool {
        let (ty, name) = rule.coordinate.split_once('.').unwrap();
        let leaf = self.objects[object][field].leaf();
        self.possible(ty).contains(object) && (name == field || (name == "*" && leaf))
    }

    /// The policy's strictest rule, else the directives'.
    fn work_out(&self, object: &str, field: &str) -> Option<Rule> {
        let matches = |rule: &&Rule| self.speaks_of(rule, object, field);
        let strictest = |rules: Vec<Rule>| {
            rules
                .into_iter()
                .max_by_key(|r| (r.strategy, std::cmp::Reverse(r.keep)))
        };
        let policy: Vec<Rule> = self.policy.iter().filter(matches).cloned().collect();
        let directives = self
            .directives
            .iter()
            .map(|(_, r)| r)
            .filter(matches)
            .cloned()
            .collect();
        strictest(if policy.is_empty() {
            directives
        } else {
            policy
        })
    }

    pub fn decision(&self) -> Value {
        let rules: serde_json::Map<String, Value> = self
            .policy
            .iter()
            .map(|r| {
                let rule = match r.strategy {
                    None => json!({"strategy": "reveal", "reason": "r"}),
                    Some(s) => {
                        json!({"strategy": STRICTNESS[s], "reason": "r", "keep_last": r.keep})
                    }
                };
                (r.coordinate.clone(), rule)
            })
            .collect();
        json!({"allow": true, "rules": rules})
    }

    pub fn sdl(&self) -> String {
        let mut sdl = String::from(
            "directive @mask(fields: [String!]!, strategy: String = \"hash\") on FIELD_DEFINITION\n\
             scalar JSON\nenum Kind { FIRST SECOND }\n",
        );
        let members: Vec<&str> = self.members.iter().map(String::as_str).collect();
        sdl.push_str(&format!("union U = {}\n", members.join(" | ")));
        let types = self.objects.iter().map(|t| ("type", t));
        for (kind, (name, fields)) in types.chain(self.interfaces.iter().map(|t| ("interface", t)))
        {
            let implements: Vec<&str> = self
                .implements
                .get(name)
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect();
            let implements = match implements.as_slice() {
                [] => String::new(),
                some => format!(" implements {}", some.join(" & ")),
            };
            sdl.push_str(&format!("{kind} {name}{implements} {{\n"));
            for (field, ty) in fields {
                let arguments = "first: Int, tag: String, kinds: [Kind!]";
                sdl.push_str(&format!("  {field}({arguments}): {}", ty.sdl()));
                for (at, rule) in &self.directives {
                    if *at == format!("{name}.{field}") {
                        let marked = rule.coordinate.split_once('.').unwrap().1;
                        let strategy = STRICTNESS[rule.strategy.unwrap()];
                        sdl.push_str(&format!(
                            " @mask(fields: [\"{marked}\"], strategy: \"{strategy}\")"
                        ));
                    }
                }
                sdl.push('\n');
            }
            sdl.push_str("}\n");
        }
        sdl
    }
}

fn fields(dice: &mut Dice, targets: &[String], most: usize) -> Fields {
    (0..1 + dice.below(most))
        .map(|_| {
            let base = match dice.below(16) {
                0..=5 => Base::Text("String"),
                6 => Base::Text("ID"),
                7 => Base::Int,
                8 => Base::Float,
                9 => Base::Boolean,
                10 => Base::Enum,
                11 => Base::Json,
                12 | 13 => Base::Composite(dice.pick(targets).clone()),
                // The abstract types are the last ones.
                _ => Base::Composite(dice.pick(&targets[targets.len() - 3..]).clone()),
            };
            // Mostly plain, so that types have fields of one shape.
            let lists = [0, 0, 0, 0, 0, 0, 1, 1, 2][dice.below(9)];
            let required = if dice.percent(60) {
                0
            } else {
                dice.below(2 << lists)
            };
            let ty = Ty {
                base,
                lists,
                required,
            };
            (format!("{}_{}", ty.code(), dice.below(3)), ty)
        })
        .collect()
}
