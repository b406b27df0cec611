//! The slow executor: it makes up data as it resolves, and masks each value as it goes by.

use std::collections::BTreeSet;

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::canary::canary;
use crate::dice::Dice;
use crate::query::{Query, Selection};
use crate::world::{Base, HASH, STRICTNESS, Ty, World};
use crate::{KEY, TENANT};

pub struct Run {
    /// What the upstream sends.
    pub raw: String,
    /// What the client must get, without the white space between its tokens.
    pub masked: String,
    /// Texts that must not get out of this response; and whether the rule of the very field says so,
    /// not only that of another field that it could have been by the query.
    pub hidden: Vec<(String, bool)>,
    /// Values that have no pseudonym only because they could be of another coordinate.
    pub keyless: usize,
}

pub fn execute(dice: &mut Dice, world: &World, query: &Query) -> Run {
    let mut executor = Executor::new(dice, world, query);
    let root = Place {
        sets: vec![&query.root],
        concrete: "Query".into(),
        static_sets: vec![&query.root],
        candidates: BTreeSet::from(["Query".to_owned()]),
        forced: false,
        own: false,
    };
    let (raw, masked) = executor.object(&root);
    let raw = format!("{{ \"data\" : {raw}, \"extensions\":{{\"trace\":1}} }}");
    Run {
        raw,
        masked: format!("{{\"data\":{masked}}}"),
        hidden: executor.hidden,
        keyless: executor.keyless,
    }
}

type Sets<'q> = Vec<&'q [Selection]>;

/// An object of the response.
pub struct Place<'q> {
    /// What is selected of it.
    sets: Sets<'q>,
    /// What it is.
    concrete: String,
    /// What is selected of it or of what it could be by the query alone.
    static_sets: Sets<'q>,
    /// What it could be by the query alone.
    candidates: BTreeSet<String>,
    /// Whether a field above is masked.
    forced: bool,
    /// Whether it is by its own rule.
    own: bool,
}

/// A response key with the field that stands under it and what is selected below.
struct Collected<'q> {
    key: String,
    field: String,
    sets: Sets<'q>,
}

/// What is done to the values of a field.
#[derive(Clone, Default)]
pub struct Treatment {
    pub strategy: Option<usize>,
    keep: usize,
    domain: String,
    /// Whether it would be a pseudonym if it were known of which coordinate the value is.
    pub keyless: bool,
}

pub struct Executor<'w, 'd> {
    pub dice: &'d mut Dice,
    world: &'w World,
    query: &'w Query,
    /// As [`Run::hidden`].
    pub hidden: Vec<(String, bool)>,
    /// Whether the field at hand is masked by its own rule, or one above it is.
    own: bool,
    keyless: usize,
}

impl<'w, 'd> Executor<'w, 'd> {
    pub fn new(dice: &'d mut Dice, world: &'w World, query: &'w Query) -> Self {
        Self {
            dice,
            world,
            query,
            hidden: Vec::new(),
            own: false,
            keyless: 0,
        }
    }

    /// §6.3.2 of the specification. `all`: whatever conditions say, and so every field that may stand
    /// under a key; else the first one, as servers do it.
    fn collect(&self, sets: &Sets<'w>, ty: &str, all: bool) -> Vec<Collected<'w>> {
        let mut found: Vec<Collected<'w>> = Vec::new();
        for set in sets {
            self.collect_into(set, ty, all, &mut found);
        }
        found
    }

    fn collect_into(
        &self,
        set: &'w [Selection],
        ty: &str,
        all: bool,
        found: &mut Vec<Collected<'w>>,
    ) {
        let applies = |on: &str| self.world.possible(on).contains(ty);
        for selection in set {
            match selection {
                Selection::Field {
                    alias,
                    name,
                    condition,
                    below,
                } => {
                    if !all && !condition.holds(&self.query.variables) {
                        continue;
                    }
                    let key = alias.clone().unwrap_or_else(|| name.clone());
                    let same = |c: &&mut Collected<'_>| c.key == key && (!all || c.field == *name);
                    match found.iter_mut().find(same) {
                        Some(c) => c.sets.push(below),
                        None => found.push(Collected {
                            key,
                            field: name.clone(),
                            sets: vec![below],
                        }),
                    }
                }
                Selection::Inline {
                    on,
                    condition,
                    below,
                } => {
                    if (all || condition.holds(&self.query.variables))
                        && on.as_deref().is_none_or(applies)
                    {
                        self.collect_into(below, ty, all, found);
                    }
                }
                Selection::Spread {
                    fragment,
                    condition,
                } => {
                    let (on, below) = &self.query.fragments[*fragment];
                    if (all || condition.holds(&self.query.variables)) && applies(on) {
                        self.collect_into(below, ty, all, found);
                    }
                }
            }
        }
    }

    fn object(&mut self, place: &Place<'w>) -> (String, String) {
        let mut collected = self.collect(&place.sets, &place.concrete, false);
        if self.dice.percent(15) {
            collected.reverse();
        }
        // The type name tells only if every type that the object could be would say it.
        let tells = place.candidates.iter().all(|c| {
            let mut fields = self.collect(&place.static_sets, c, true).into_iter();
            fields.any(|f| f.key == "__typename")
        });
        let mut candidates = place.candidates.clone();
        let mut raw = Vec::new();
        let mut masked = Vec::new();
        for field in collected {
            if field.field == "__typename" {
                let name = json!(place.concrete).to_string();
                let (key, text) = self.member(&field.key, &name);
                raw.push(text);
                masked.push(format!("{key}:{name}"));
                if field.key == "__typename" && tells {
                    candidates = BTreeSet::from([place.concrete.clone()]);
                }
                continue;
            }
            if self.dice.percent(5) {
                let (noise, canary) = self.canary();
                raw.push(format!(
                    "\"noise{}\":[{{\"x\":{}}}]",
                    raw.len(),
                    json!(noise)
                ));
                self.hidden.push((canary, true));
            }
            let (text, value) = self.field(place, &candidates, &field);
            let (key, text) = self.member(&field.key, &text);
            raw.push(text);
            masked.push(format!("{key}:{value}"));
        }
        let comma = [",", " , ", ",\n"][self.dice.below(3)];
        (
            format!("{{{}}}", raw.join(comma)),
            format!("{{{}}}", masked.join(",")),
        )
    }

    /// A member as one server or another may write it: its name, and all of it.
    pub fn member(&mut self, key: &str, value: &str) -> (String, String) {
        let plain = json!(key).to_string();
        match self.dice.below(8) {
            0 => (plain.clone(), format!("{plain} : {value}")),
            1 => {
                let key = escaped(&json!(key));
                let text = format!("{key}:{value}");
                (key, text)
            }
            2 => (plain.clone(), format!("{plain}:{value} ")),
            _ => (plain.clone(), format!("{plain}:{value}")),
        }
    }

    fn field(
        &mut self,
        place: &Place<'w>,
        candidates: &BTreeSet<String>,
        field: &Collected<'w>,
    ) -> (String, String) {
        let ty = self.world.objects[&place.concrete][&field.field].clone();
        let mut could_be: Vec<(String, Collected<'w>)> = Vec::new();
        for candidate in candidates {
            let fields = self.collect(&place.static_sets, candidate, true);
            let same = fields.into_iter().filter(|f| f.key == field.key);
            could_be.extend(same.map(|f| (candidate.clone(), f)));
        }
        let coordinates: Vec<Coordinate> = could_be
            .iter()
            .map(|(object, f)| {
                let rule = self.world.rule(object, &f.field);
                Coordinate {
                    domain: domain(self.world, object, &f.field),
                    rule: rule.and_then(|r| Some((r.strategy?, r.keep))),
                }
            })
            .collect();
        let ruled = coordinates.iter().any(|c| c.rule.is_some());
        let rule = self.world.rule(&place.concrete, &field.field);
        let own = place.own || rule.is_some_and(|r| r.strategy.is_some());
        self.own = own;
        let Base::Composite(target) = &ty.base else {
            let treatment = if place.forced {
                redacted()
            } else {
                shown(&coordinates)
            };
            self.keyless += usize::from(treatment.keyless);
            return self.value(&ty, 0, &treatment, None);
        };
        if ruled && !place.forced && ty.nullable(ty.lists) {
            return self.value(&ty, 0, &redacted(), None);
        }
        let below = Place {
            sets: field.sets.clone(),
            concrete: String::new(),
            static_sets: could_be.iter().flat_map(|(_, f)| f.sets.clone()).collect(),
            candidates: self.world.possible(target),
            forced: place.forced || ruled,
            own,
        };
        self.value(&ty, 0, &Treatment::default(), Some(&below))
    }

    pub fn value(
        &mut self,
        ty: &Ty,
        depth: usize,
        treatment: &Treatment,
        below: Option<&Place<'w>>,
    ) -> (String, String) {
        if ty.nullable(depth) && self.dice.percent(15) {
            let list = depth < ty.lists;
            let redact = treatment
                .strategy
                .is_some_and(|s| STRICTNESS[s] == "redact");
            let masked = if redact && !list {
                placeholder(ty, depth, false)
            } else {
                Value::Null
            };
            return ("null".into(), masked.to_string());
        }
        if depth < ty.lists {
            let items: Vec<(String, String)> = (0..self.dice.below(4))
                .map(|_| self.value(ty, depth + 1, treatment, below))
                .collect();
            let (raw, masked): (Vec<String>, Vec<String>) = items.into_iter().unzip();
            return (
                format!("[{}]", raw.join(",")),
                format!("[{}]", masked.join(",")),
            );
        }
        match (&ty.base, below) {
            (Base::Composite(target), Some(below)) => {
                let possible: Vec<String> = self.world.possible(target).into_iter().collect();
                let concrete = self.dice.pick(&possible).clone();
                self.object(&Place {
                    sets: below.sets.clone(),
                    concrete,
                    static_sets: below.static_sets.clone(),
                    candidates: below.candidates.clone(),
                    forced: below.forced,
                    own: below.own,
                })
            }
            (Base::Composite(_), None) => {
                let (value, canary) = self.canary();
                self.hidden.push((canary, self.own));
                let masked = placeholder(ty, depth, false).to_string();
                (json!({"x": [value]}).to_string(), masked)
            }
            _ => self.leaf(ty, depth, treatment),
        }
    }

    fn leaf(&mut self, ty: &Ty, depth: usize, treatment: &Treatment) -> (String, String) {
        let mut canaries = Vec::new();
        let value = match &ty.base {
            Base::Int => json!(self.dice.below(100)),
            Base::Float => json!(self.dice.below(100) as f64 / 8.0),
            Base::Boolean => json!(self.dice.percent(50)),
            Base::Enum => json!(self.dice.pick(&["FIRST", "SECOND"])),
            Base::Text("ID") if self.dice.percent(30) => json!(self.dice.below(1000)),
            Base::Json => {
                let (value, canary) = self.canary();
                canaries.push(canary);
                match self.dice.below(3) {
                    0 => json!(value),
                    1 => json!({"a": [value, {"__typename": "T0"}]}),
                    _ => json!([1, value, null, {"b": 2}]),
                }
            }
            _ if self.dice.percent(15) => json!("ab"),
            _ => {
                let (value, canary) = self.canary();
                canaries.push(canary);
                json!(value)
            }
        };
        let raw = if self.dice.percent(20) {
            escaped(&value)
        } else {
            value.to_string()
        };
        let Some(strategy) = treatment.strategy else {
            return (raw.clone(), raw);
        };
        let own = self.own;
        self.hidden.extend(canaries.into_iter().map(|c| (c, own)));
        let masked = masked(ty, depth, STRICTNESS[strategy], treatment, &value);
        (raw, masked.to_string())
    }

    /// A value that can be told from all others, and what is searched for of it.
    pub fn canary(&mut self) -> (String, String) {
        let tail = ["é漢", "\"q\\", "😀", "zz"][self.dice.below(4)];
        let canary = canary(self.dice.next());
        (format!("{canary}{tail}"), canary)
    }
}

/// Whose key pseudonyms of a field of an object type are made under.
pub fn domain(world: &World, object: &str, field: &str) -> String {
    let interfaces = &world.implements[object];
    let owner = interfaces
        .iter()
        .find(|i| world.interfaces[*i].contains_key(field));
    format!("{}.{field}", owner.map_or(object, String::as_str))
}

pub fn redacted() -> Treatment {
    Treatment {
        strategy: Some(3),
        ..Treatment::default()
    }
}

/// One field that a value could be of.
pub struct Coordinate {
    /// Whose key its pseudonyms are made under.
    pub domain: String,
    /// Its strategy and what `partial` keeps, if it is masked.
    pub rule: Option<(usize, usize)>,
}

/// What may be shown of a value that is of one of these coordinates, nobody knows of which.
///
/// No more than the strictest of their rules allows. But a pseudonym says more than that its value is
/// hidden: that it is the one that has this pseudonym wherever else the key is used. So it may be made
/// only of a value that is sure to be a hashed one of that very key, or else whoever writes values of
/// another coordinate gets to know which pseudonyms they would have under this one.
pub fn shown(possible: &[Coordinate]) -> Treatment {
    let rules = possible.iter().filter_map(|c| c.rule);
    let Some(strategy) = rules.clone().map(|(strategy, _)| strategy).max() else {
        return Treatment::default();
    };
    let keeps = rules.filter(|(s, _)| *s == strategy).map(|(_, keep)| keep);
    let domain = &possible[0].domain;
    let sure = |c: &Coordinate| c.domain == *domain && c.rule.is_some_and(|(s, _)| s == HASH);
    if strategy == HASH && !possible.iter().all(sure) {
        return Treatment {
            keyless: true,
            ..redacted()
        };
    }
    Treatment {
        strategy: Some(strategy),
        keep: keeps.min().unwrap_or(0),
        domain: domain.clone(),
        keyless: false,
    }
}

fn placeholder(ty: &Ty, depth: usize, null: bool) -> Value {
    match &ty.base {
        Base::Text(_) if !(null && ty.nullable(depth)) => json!("[REDACTED]"),
        _ if ty.nullable(depth) => Value::Null,
        Base::Int => json!(0),
        Base::Float => json!(0.0),
        Base::Boolean => json!(false),
        Base::Enum => json!("FIRST"),
        _ => json!("[REDACTED]"),
    }
}

pub fn masked(
    ty: &Ty,
    depth: usize,
    strategy: &str,
    treatment: &Treatment,
    value: &Value,
) -> Value {
    let text = match (&ty.base, value) {
        (Base::Json, Value::Array(items)) => {
            let items = items
                .iter()
                .map(|v| masked(ty, depth, strategy, treatment, v));
            return items.collect();
        }
        (Base::Json, Value::Null) if strategy != "redact" => return Value::Null,
        (Base::Text(_), Value::String(text)) => text.clone(),
        (Base::Text(_), Value::Number(number)) if strategy == "hash" => number.to_string(),
        _ => return placeholder(ty, depth, strategy == "null"),
    };
    match strategy {
        "hash" => json!(format!("h:k1:{}", pseudonym(&treatment.domain, &text))),
        "partial" => {
            // The canaries have no character of several code points.
            let characters: Vec<char> = text.chars().collect();
            let (count, keep) = (characters.len(), treatment.keep);
            if count < keep * 2 || count < keep + 4 {
                return placeholder(ty, depth, false);
            }
            let shown: String = characters[count - keep..].iter().collect();
            json!(format!("****{shown}"))
        }
        _ => placeholder(ty, depth, strategy == "null"),
    }
}

/// HKDF (RFC 5869) and HMAC (RFC 2104) by hand.
fn pseudonym(coordinate: &str, text: &str) -> String {
    let hmac = |key: &[u8], parts: &[&[u8]]| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        parts.iter().for_each(|p| mac.update(p));
        mac.finalize().into_bytes().to_vec()
    };
    let extracted = hmac(b"maestro mask v1", &[&KEY]);
    let length = (TENANT.len() as u64).to_be_bytes();
    let key = hmac(
        &extracted,
        &[&length, TENANT.as_bytes(), coordinate.as_bytes(), &[1]],
    );
    let tag = hmac(&key, &[text.as_bytes()]);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&tag[..16])
}

/// The same JSON with every character of its strings escaped.
fn escaped(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let units: String = text.encode_utf16().map(|u| format!("\\u{u:04x}")).collect();
            format!("\"{units}\"")
        }
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(escaped).collect::<Vec<_>>().join(",")
            )
        }
        other => other.to_string(),
    }
}
