//! Rows as comma-separated values (RFC 4180), as one server or another writes them.

use std::collections::{BTreeSet, HashSet};

use serde_json::json;

use crate::dice::Dice;
use crate::oracle::{Executor, Treatment, masked};
use crate::routes::{Member, Route};
use crate::world::{Base, STRICTNESS, Ty, World};

/// A table as the upstream sends it and as the client must get it.
pub struct Table {
    pub raw: String,
    pub masked: String,
    /// How many cells it has, the header aside.
    pub count: usize,
}

impl Table {
    pub fn random(
        values: &mut Executor<'_, '_>,
        world: &World,
        route: &Route,
        hidden: &mut HashSet<String>,
    ) -> Self {
        let columns = columns(values.dice, world, route);
        let end = ["\n", "\r\n"][values.dice.below(2)];
        let header: Vec<String> = columns
            .iter()
            .map(|c| quoted(values.dice, &c.name))
            .collect();
        let mut header = header.join(",");
        if !header.starts_with('"') && values.dice.percent(20) {
            header.insert(0, '\u{feff}');
        }
        let (mut raw, mut client) = (header.clone(), header);
        let mut count = 0;
        for _ in 0..values.dice.below(6) {
            raw.push_str(end);
            client.push_str(end);
            // The last cells of a row may not be there.
            let width = if values.dice.percent(10) {
                1 + values.dice.below(columns.len())
            } else {
                columns.len()
            };
            let cells = columns.iter().take(width);
            let cells = cells.map(|column| cell(values, column, width == 1, hidden));
            let (raws, clients): (Vec<String>, Vec<String>) = cells.unzip();
            raw.push_str(&raws.join(","));
            client.push_str(&clients.join(","));
            count += width;
        }
        if values.dice.percent(50) {
            raw.push_str(end);
            client.push_str(end);
        }
        Self {
            raw,
            masked: client,
            count,
        }
    }
}

/// Some of the columns that the route knows, each once.
fn columns(dice: &mut Dice, world: &World, route: &Route) -> Vec<Member> {
    let types = route.types(world);
    let members = |types: &BTreeSet<String>| -> Vec<Member> {
        let fields: BTreeSet<&String> =
            types.iter().flat_map(|t| world.objects[t].keys()).collect();
        let members = fields
            .into_iter()
            .map(|field| route.member(world, types, field));
        members.collect()
    };
    let mut all = route.renamed(world);
    for member in members(&types) {
        match &member.ty.base {
            // What a path leads to below an object that is not masked.
            Base::Composite(target) if member.treatment.strategy.is_none() => {
                let separator = *dice.pick(&[".", "/"]);
                let below = members(&world.possible(target)).into_iter();
                all.extend(below.filter(|m| m.ty.leaf()).map(|m| Member {
                    name: format!("{}{separator}{}", member.name, m.name),
                    ..m
                }));
            }
            Base::Composite(_) => {}
            _ => all.push(member),
        }
    }
    all.push(Member {
        name: "__typename".into(),
        ty: Ty {
            base: Base::Enum,
            lists: 0,
            required: 1,
        },
        treatment: Treatment::default(),
    });
    let mut picked: Vec<Member> = Vec::new();
    while picked.is_empty() {
        picked.extend(all.iter().filter(|_| dice.percent(60)).cloned());
    }
    if dice.percent(50) {
        picked.reverse();
    }
    picked
}

/// A cell as the upstream writes it and as it must be. `alone`: an empty one would be an empty line.
fn cell(
    values: &mut Executor<'_, '_>,
    column: &Member,
    alone: bool,
    hidden: &mut HashSet<String>,
) -> (String, String) {
    let mut canaries = Vec::new();
    let mut text = match &column.ty.base {
        _ if values.dice.percent(15) => String::new(),
        Base::Int => values.dice.below(100).to_string(),
        Base::Float => (values.dice.below(100) as f64 / 8.0).to_string(),
        Base::Boolean => values.dice.percent(50).to_string(),
        Base::Enum => (*values.dice.pick(&["FIRST", "SECOND"])).to_owned(),
        _ if values.dice.percent(10) => "ab".to_owned(),
        base => {
            let (value, canary) = values.canary();
            canaries.push(canary);
            match base {
                Base::Json => json!({ "a": [value] }).to_string(),
                _ => value,
            }
        }
    };
    if values.dice.percent(10) && !text.is_empty() {
        let tail = *values.dice.pick(&[",", "\rb", "\n", "\"\"", " ", "=1+1"]);
        text.push_str(tail);
    }
    let raw = if alone && text.is_empty() {
        "\"\"".to_owned()
    } else {
        quoted(values.dice, &text)
    };
    let Some(strategy) = column.treatment.strategy else {
        return (raw.clone(), raw);
    };
    hidden.extend(canaries);
    let strategy = STRICTNESS[strategy];
    // A cell has no type: what can't be shown as text is the constant of a text, and an empty cell is
    // what null is elsewhere.
    let is_text = matches!(column.ty.base, Base::Text(_));
    let seen = match strategy {
        "redact" => "[REDACTED]".to_owned(),
        _ if text.is_empty() => String::new(),
        "null" if column.ty.nullable(0) => String::new(),
        "hash" | "partial" if is_text => {
            let seen = masked(&column.ty, 0, strategy, &column.treatment, &json!(text));
            seen.as_str().expect("a text").to_owned()
        }
        _ => "[REDACTED]".to_owned(),
    };
    let seen = if needs_quotes(&seen) {
        in_quotes(&seen)
    } else {
        seen
    };
    (raw, seen)
}

fn needs_quotes(text: &str) -> bool {
    text.contains([',', '"', '\r', '\n'])
}

fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn quoted(dice: &mut Dice, text: &str) -> String {
    if needs_quotes(text) || dice.percent(25) {
        in_quotes(text)
    } else {
        text.to_owned()
    }
}
