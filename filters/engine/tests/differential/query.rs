//! A valid operation.

use crate::dice::Dice;
use crate::world::{Base, HASH, World};

#[derive(Debug, Clone)]
pub enum Selection {
    Field {
        alias: Option<String>,
        name: String,
        condition: Condition,
        below: Vec<Selection>,
    },
    Inline {
        on: Option<String>,
        condition: Condition,
        below: Vec<Selection>,
    },
    Spread {
        fragment: usize,
        condition: Condition,
    },
}

/// What the `if` of a `@skip` or `@include` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    Literal(bool),
    /// The variable of that number.
    Variable(usize),
}

impl Flag {
    fn random(dice: &mut Dice) -> Self {
        if dice.percent(25) {
            Self::Literal(dice.percent(50))
        } else {
            Self::Variable(dice.below(VARIABLES))
        }
    }

    fn holds(self, variables: &Variables) -> bool {
        match self {
            Self::Literal(value) => value,
            Self::Variable(number) => variables[number],
        }
    }

    fn text(self) -> String {
        match self {
            Self::Literal(value) => value.to_string(),
            Self::Variable(number) => format!("$b{number}"),
        }
    }
}

/// Whether a selection is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Condition {
    include: Option<Flag>,
    skip: Option<Flag>,
}

impl Condition {
    fn random(dice: &mut Dice) -> Self {
        let mut condition = Self::default();
        match dice.below(15) {
            0 => condition.skip = Some(Flag::random(dice)),
            1 | 2 => condition.include = Some(Flag::random(dice)),
            3 if dice.percent(30) => {
                condition.include = Some(Flag::random(dice));
                condition.skip = Some(Flag::random(dice));
            }
            _ => {}
        }
        condition
    }

    pub fn holds(self, variables: &Variables) -> bool {
        self.include.is_none_or(|f| f.holds(variables))
            && !self.skip.is_some_and(|f| f.holds(variables))
    }

    fn text(self) -> String {
        let directives = [("include", self.include), ("skip", self.skip)];
        let written = directives.into_iter().filter_map(|(name, flag)| {
            let flag = flag?.text();
            Some(format!(" @{name}(if: {flag})"))
        });
        written.collect()
    }
}

/// How many variables of a query say what is taken.
const VARIABLES: usize = 4;

/// What they are in one request. The plan does not know: it is right for every value.
pub type Variables = [bool; VARIABLES];

#[derive(Debug, Default)]
pub struct Query {
    pub root: Vec<Selection>,
    /// Condition and selections.
    pub fragments: Vec<(String, Vec<Selection>)>,
    pub variables: Variables,
}

impl Query {
    pub fn random(dice: &mut Dice, world: &World) -> Self {
        let mut query = Self::default();
        query.root = query.selections(dice, world, "Query", 4);
        query.variables = std::array::from_fn(|_| dice.percent(50));
        query
    }

    fn selections(
        &mut self,
        dice: &mut Dice,
        world: &World,
        on: &str,
        depth: usize,
    ) -> Vec<Selection> {
        let mut found = Vec::new();
        for _ in 0..1 + dice.below(4) {
            match dice.below(10) {
                0 if dice.percent(60) => found.push(typename(dice)),
                1..=6 => found.extend(self.field(dice, world, on, depth)),
                _ if depth > 0 => found.push(self.condition(dice, world, on, depth)),
                _ => {}
            }
        }
        if depth > 0 && dice.percent(60) {
            found.extend(self.collision(dice, world, on, depth));
        }
        if dice.percent(50) {
            found.extend(self.twins(dice, world, on).into_iter().flatten());
        }
        if depth > 0 && dice.percent(20) {
            found.extend(self.either(dice, world, on, depth).into_iter().flatten());
        }
        if found.is_empty() {
            found.push(typename(dice));
        }
        found
    }

    /// One key for a masked leaf of one type and a leaf of another that is masked otherwise or not at
    /// all; or for two of one type, of which a variable says which is taken. No validator would let
    /// the latter pass, but not every server has one.
    fn twins(&mut self, dice: &mut Dice, world: &World, on: &str) -> Option<[Selection; 2]> {
        let mut leaves = Vec::new();
        for object in world.possible(on) {
            let fields = world.fields(&object).into_iter();
            for (name, ty) in fields.filter(|(_, ty)| ty.leaf()) {
                let strategy = world.rule(&object, &name).and_then(|r| r.strategy);
                leaves.push((object.clone(), name, ty, strategy));
            }
        }
        let pairs: Vec<_> = leaves
            .iter()
            .filter(|(_, _, _, strategy)| strategy.is_some())
            .flat_map(|one| leaves.iter().map(move |other| (one, other)))
            .filter(|((a, m, t, _), (b, n, u, _))| t == u && (a != b || m != n))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        // Rather what is hashed beside what is not masked.
        let open: Vec<_> = pairs
            .iter()
            .copied()
            .filter(|(one, other)| one.3 == Some(HASH) && other.3.is_none())
            .collect();
        let (one, other) = if open.is_empty() || dice.percent(20) {
            *dice.pick(&pairs)
        } else {
            *dice.pick(&open)
        };
        let alias = format!("w_{}", one.2.code());
        let flag = Flag::Variable(dice.below(VARIABLES));
        let alternative = one.0 == other.0;
        let mut twins = [(one, false), (other, true)].map(|((object, name, ..), second)| {
            let condition = match (alternative, second) {
                (true, false) => Condition {
                    include: Some(flag),
                    skip: None,
                },
                (true, true) => Condition {
                    include: None,
                    skip: Some(flag),
                },
                _ => Condition::random(dice),
            };
            let field = |condition| Selection::Field {
                alias: Some(alias.clone()),
                name: name.clone(),
                condition,
                below: Vec::new(),
            };
            // The condition stands on the field or on what it is in.
            if dice.percent(50) {
                return self.within(dice, object, Condition::default(), vec![field(condition)]);
            }
            self.within(dice, object, condition, vec![field(Condition::default())])
        });
        if dice.percent(50) {
            twins.reverse();
        }
        Some(twins)
    }

    /// The same selections by a fragment with a name or without one.
    fn within(
        &mut self,
        dice: &mut Dice,
        on: &str,
        condition: Condition,
        below: Vec<Selection>,
    ) -> Selection {
        if dice.percent(50) {
            self.fragments.push((on.to_owned(), below));
            let fragment = self.fragments.len() - 1;
            return Selection::Spread {
                fragment,
                condition,
            };
        }
        Selection::Inline {
            on: Some(on.to_owned()),
            condition,
            below,
        }
    }

    /// One field or another under one key, by a variable: `k:a @include(if:$b) ...F @skip(if:$b)`.
    fn either(
        &mut self,
        dice: &mut Dice,
        world: &World,
        on: &str,
        depth: usize,
    ) -> Option<[Selection; 2]> {
        let fields = world.fields(on);
        let all: Vec<_> = fields.iter().collect();
        if all.is_empty() {
            return None;
        }
        let (name, ty) = *dice.pick(&all);
        let others: Vec<_> = all.iter().filter(|(n, t)| *n != name && *t == ty).collect();
        if others.is_empty() {
            return None;
        }
        let other = dice.pick(&others).0;
        let flag = Flag::Variable(dice.below(VARIABLES));
        let mut field = |query: &mut Self, name: &String, condition| {
            let below = match &ty.base {
                Base::Composite(target) => query.selections(dice, world, target, depth - 1),
                _ => Vec::new(),
            };
            Selection::Field {
                alias: Some(format!("e_{}", ty.code())),
                name: name.clone(),
                condition,
                below,
            }
        };
        let include = Condition {
            include: Some(flag),
            skip: None,
        };
        let skip = Condition {
            include: None,
            skip: Some(flag),
        };
        let one = field(self, name, include);
        let other = field(self, other, Condition::default());
        let other = self.within(dice, on, skip, vec![other]);
        Some([one, other])
    }

    /// One key that stands for another field on each type that the object can be.
    fn collision(
        &mut self,
        dice: &mut Dice,
        world: &World,
        on: &str,
        depth: usize,
    ) -> Vec<Selection> {
        let possible: Vec<String> = world.possible(on).into_iter().collect();
        let of: Vec<_> = world
            .fields(dice.pick(&possible).as_str())
            .into_values()
            .collect();
        let code = of[dice.below(of.len())].code();
        let mut found = Vec::new();
        for ty in possible {
            let fields = world.fields(&ty);
            let Some((name, field)) = fields.iter().find(|(_, t)| t.code() == code) else {
                continue;
            };
            let below = match &field.base {
                Base::Composite(target) => self.selections(dice, world, target, depth - 1),
                _ => Vec::new(),
            };
            let alias = Some(format!("k0_{code}"));
            let condition = Condition::default();
            let below = vec![Selection::Field {
                alias,
                name: name.clone(),
                condition,
                below,
            }];
            found.push(Selection::Inline {
                on: Some(ty),
                condition,
                below,
            });
        }
        found
    }

    fn field(
        &mut self,
        dice: &mut Dice,
        world: &World,
        on: &str,
        depth: usize,
    ) -> Option<Selection> {
        let fields = world.fields(on);
        let all: Vec<_> = fields
            .iter()
            .filter(|(_, ty)| ty.leaf() || depth > 0)
            .collect();
        if all.is_empty() {
            return None;
        }
        let (name, ty) = *dice.pick(&all);
        let alias = dice.percent(50).then(|| {
            if world.objects.contains_key(on) {
                // Another type may use the key for another field, of the same shape.
                let code = ty.code();
                let rank = fields
                    .iter()
                    .filter(|(_, t)| t.code() == code)
                    .position(|(n, _)| n == name);
                format!("k{}_{code}", rank.unwrap())
            } else {
                format!("i_{name}")
            }
        });
        let below = match &ty.base {
            Base::Composite(target) => self.selections(dice, world, target, depth - 1),
            _ => Vec::new(),
        };
        Some(Selection::Field {
            alias,
            name: name.clone(),
            condition: Condition::random(dice),
            below,
        })
    }

    fn condition(&mut self, dice: &mut Dice, world: &World, on: &str, depth: usize) -> Selection {
        let here = world.possible(on);
        let mut targets: Vec<String> = here.iter().cloned().collect();
        let overlaps = |t: &str| !world.possible(t).is_disjoint(&here);
        targets.extend(
            ["I0", "I1"]
                .iter()
                .filter(|t| overlaps(t))
                .map(|t| (*t).to_owned()),
        );
        let target = dice.pick(&targets).clone();
        let condition = Condition::random(dice);
        if dice.percent(40) {
            let below = self.selections(dice, world, &target, depth - 1);
            self.fragments.push((target, below));
            let fragment = self.fragments.len() - 1;
            return Selection::Spread {
                fragment,
                condition,
            };
        }
        if dice.percent(20) {
            let below = self.selections(dice, world, on, depth - 1);
            return Selection::Inline {
                on: None,
                condition,
                below,
            };
        }
        let below = self.selections(dice, world, &target, depth - 1);
        Selection::Inline {
            on: Some(target),
            condition,
            below,
        }
    }

    pub fn text(&self) -> String {
        let mut text = String::from("query Random($n: Int, $s: String = \"s\"");
        for number in 0..VARIABLES {
            // A default says nothing of the value.
            text.push_str(&format!(
                ", $b{number}: Boolean{}",
                ["!", "! = true", " = false"][number % 3]
            ));
        }
        text.push(')');
        write(&self.root, &mut text);
        for (n, (on, below)) in self.fragments.iter().enumerate() {
            text.push_str(&format!("\nfragment F{n} on {on}"));
            write(below, &mut text);
        }
        text
    }
}

/// What a field is given: always the same, so that selections under one key can be merged.
fn arguments(name: &str) -> &'static str {
    match name.bytes().map(usize::from).sum::<usize>() % 6 {
        _ if name == "__typename" => "",
        0 => "(first: $n)",
        1 => "(tag: \"}\\\"{\", first: 3)",
        2 => "(kinds: [FIRST], tag: $s)",
        _ => "",
    }
}

fn typename(dice: &mut Dice) -> Selection {
    Selection::Field {
        alias: dice.percent(15).then(|| "t".to_owned()),
        name: "__typename".into(),
        condition: Condition::random(dice),
        below: Vec::new(),
    }
}

fn write(selections: &[Selection], text: &mut String) {
    text.push_str(" {");
    for selection in selections {
        match selection {
            Selection::Field {
                alias,
                name,
                condition,
                below,
            } => {
                if let Some(alias) = alias {
                    text.push_str(&format!(" {alias}:"));
                }
                let arguments = arguments(name);
                text.push_str(&format!(" {name}{arguments}{}", condition.text()));
                if !below.is_empty() {
                    write(below, text);
                }
            }
            Selection::Inline {
                on,
                condition,
                below,
            } => {
                text.push_str(" ...");
                if let Some(on) = on {
                    text.push_str(&format!(" on {on}"));
                }
                text.push_str(&condition.text());
                write(below, text);
            }
            Selection::Spread {
                fragment,
                condition,
            } => {
                text.push_str(&format!(" ...F{fragment}{}", condition.text()));
            }
        }
    }
    text.push_str(" }");
}
