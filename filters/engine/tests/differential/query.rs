//! A valid operation.

use crate::dice::Dice;
use crate::world::{Base, World};

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

/// What `@skip` or `@include` makes of a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Always,
    Skip(bool),
    IncludeVariable(bool),
    SkipVariable(bool),
}

impl Condition {
    fn random(dice: &mut Dice) -> Self {
        match dice.below(15) {
            0 => Self::Skip(dice.percent(50)),
            1 => Self::IncludeVariable(dice.percent(50)),
            2 => Self::SkipVariable(dice.percent(50)),
            _ => Self::Always,
        }
    }

    pub fn holds(self) -> bool {
        matches!(
            self,
            Self::Always
                | Self::Skip(false)
                | Self::IncludeVariable(true)
                | Self::SkipVariable(false)
        )
    }

    fn text(self) -> &'static str {
        match self {
            Self::Always => "",
            Self::Skip(true) => " @skip(if: true)",
            Self::Skip(false) => " @skip(if: false)",
            Self::IncludeVariable(true) => " @include(if: $yes)",
            Self::IncludeVariable(false) => " @include(if: $no)",
            Self::SkipVariable(true) => " @skip(if: $yes)",
            Self::SkipVariable(false) => " @skip(if: $no)",
        }
    }
}

#[derive(Debug, Default)]
pub struct Query {
    pub root: Vec<Selection>,
    /// Condition and selections.
    pub fragments: Vec<(String, Vec<Selection>)>,
}

impl Query {
    pub fn random(dice: &mut Dice, world: &World) -> Self {
        let mut query = Self::default();
        query.root = query.selections(dice, world, "Query", 4);
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
        if found.is_empty() {
            found.push(typename(dice));
        }
        found
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
            let condition = Condition::Always;
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
        let mut text = String::from(
            "query Random($yes: Boolean = true, $no: Boolean = false, $n: Int, $s: String = \"s\")",
        );
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
                text.push_str(condition.text());
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
