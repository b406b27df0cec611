//! Routes: rows of a random type, written as JSON, as lines of it and as CSV, against a slow masker that
//! asks the policy at each member.
//!
//! Only members and columns that the type or the route knows are there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use engine::body::{BodyLimits, CsvBody, Form, JsonBody, LinesBody};
use engine::config::{Format, RouteConfig};
use engine::json;
use engine::mask::{self, RoutePlan, RuleTable};
use engine::policy::{Decision, Surface};
use engine::schema::Schema;
use serde_json::json;

use crate::dice::Dice;
use crate::oracle::{Coordinate, Executor, Treatment, domain, redacted, shown};
use crate::query::Query;
use crate::table::Table;
use crate::world::{Base, Ty, World};
use crate::{KEYRING, TENANT, canary, deliver, long, squeeze};

/// What is told apart by a name: the type of its values, and what is done to them.
#[derive(Clone)]
pub struct Member {
    pub name: String,
    pub ty: Ty,
    pub treatment: Treatment,
}

/// A route.
pub struct Route {
    of: String,
    export: bool,
    /// Where the rows stand in a document.
    at: Vec<String>,
    /// What else passes at the root.
    pass: Option<String>,
    /// Members of a row with another name than their field's: name → coordinate.
    renamed: BTreeMap<String, (String, String)>,
}

impl Route {
    fn random(dice: &mut Dice, world: &World) -> Self {
        let mut types: Vec<String> = world
            .objects
            .keys()
            .filter(|t| *t != "Query")
            .cloned()
            .collect();
        types.extend(["I0", "I1", "U", "U"].map(str::to_owned));
        let mut renamed = BTreeMap::new();
        for number in 0..dice.below(4) {
            let ty = dice.pick(&types).clone();
            let fields = world.fields(&ty).into_iter().filter(|(_, ty)| ty.leaf());
            let fields: Vec<String> = fields.map(|(name, _)| name).collect();
            if !fields.is_empty() && !world.possible(&ty).is_empty() {
                let name = *dice.pick(&["c", "e.mail", "Größe ", "x, \"y\" "]);
                renamed.insert(format!("{name}{number}"), (ty, dice.pick(&fields).clone()));
            }
        }
        let steps = ["items", "data", "a"];
        let at = steps[..dice.below(4)].iter().map(|s| (*s).to_owned());
        let at: Vec<String> = at.collect();
        let passes = !at.is_empty() && dice.percent(50);
        Self {
            of: dice.pick(&types).clone(),
            export: dice.percent(40),
            at,
            pass: passes.then(|| "total".to_owned()),
            renamed,
        }
    }

    fn surface(&self) -> Surface {
        if self.export {
            Surface::Export
        } else {
            Surface::Rest
        }
    }

    fn config(&self) -> RouteConfig {
        let renamed = self.renamed.iter();
        RouteConfig {
            name: "random".into(),
            path: "/random".into(),
            methods: vec!["GET".into()],
            surface: self.surface(),
            format: Format::Auto,
            of: self.of.clone(),
            at: self.at.join("/"),
            pass: self.pass.iter().cloned().collect(),
            compared: serde_json::Map::new(),
            columns: renamed
                .map(|(name, (ty, field))| (name.clone(), format!("{ty}.{field}")))
                .collect(),
        }
    }

    /// What a member is that has the name of a field of one of the types.
    pub fn member(&self, world: &World, types: &BTreeSet<String>, field: &str) -> Member {
        let having = types
            .iter()
            .filter(|t| world.objects[*t].contains_key(field));
        let coordinates: Vec<Coordinate> = having
            .clone()
            .map(|object| {
                let rule = if self.export {
                    world.rule_of_export(object, field)
                } else {
                    world.rule(object, field)
                };
                Coordinate {
                    domain: domain(world, object, field),
                    rule: rule.and_then(|r| Some((r.strategy?, r.keep))),
                }
            })
            .collect();
        // Fields of one name are of one type, whatever they are of.
        let ty = having.map(|object| &world.objects[object][field]).next();
        let ty = ty.expect("a field").clone();
        let mut treatment = shown(&coordinates);
        if !ty.leaf() && treatment.strategy.is_some() {
            treatment = redacted();
        }
        Member {
            name: field.to_owned(),
            ty,
            treatment,
        }
    }

    /// The members of a row that have a name of the route's own.
    pub fn renamed(&self, world: &World) -> Vec<Member> {
        let renamed = self.renamed.iter().map(|(name, (ty, field))| Member {
            name: name.clone(),
            ..self.member(world, &world.possible(ty), field)
        });
        renamed.collect()
    }

    pub fn types(&self, world: &World) -> BTreeSet<String> {
        world.possible(&self.of)
    }
}

/// Writes rows as the upstream and as the client must get them.
struct Rows<'w, 'd> {
    world: &'w World,
    route: &'w Route,
    values: Executor<'w, 'd>,
}

impl Rows<'_, '_> {
    fn row(&mut self) -> (String, String) {
        self.object(&self.route.types(self.world), 3, true)
    }

    fn object(&mut self, types: &BTreeSet<String>, levels: usize, row: bool) -> (String, String) {
        let possible: Vec<&String> = types.iter().collect();
        let concrete = *self.values.dice.pick(&possible);
        let fields = self.world.objects[concrete].keys();
        let mut members: Vec<Member> = fields
            .map(|field| self.route.member(self.world, types, field))
            .collect();
        if row {
            members.extend(self.route.renamed(self.world));
        }
        members.retain(|m| (m.ty.leaf() || levels > 0) && self.values.dice.percent(75));
        if self.values.dice.percent(50) {
            members.reverse();
        }
        let mut written = Vec::new();
        if self.values.dice.percent(20) {
            let name = json!(concrete).to_string();
            written.push(("__typename".to_owned(), name.clone(), name));
        }
        for member in members {
            let (raw, masked) = match &member.ty.base {
                Base::Composite(target) if member.treatment.strategy.is_none() => {
                    let below = self.world.possible(target);
                    self.nested(&member.ty, 0, &below, levels - 1)
                }
                _ => self.values.value(&member.ty, 0, &member.treatment, None),
            };
            written.push((member.name, raw, masked));
        }
        let (mut raws, mut maskeds) = (Vec::new(), Vec::new());
        for (name, raw, masked) in written {
            let (key, text) = self.values.member(&name, &raw);
            raws.push(text);
            maskeds.push(format!("{key}:{masked}"));
        }
        let comma = [",", " , "][self.values.dice.below(2)];
        let raw = format!("{{{}}}", raws.join(comma));
        (raw, format!("{{{}}}", maskeds.join(",")))
    }

    fn nested(
        &mut self,
        ty: &Ty,
        depth: usize,
        types: &BTreeSet<String>,
        levels: usize,
    ) -> (String, String) {
        if ty.nullable(depth) && self.values.dice.percent(10) {
            return ("null".into(), "null".into());
        }
        if depth == ty.lists {
            return self.object(types, levels, false);
        }
        let items =
            (0..self.values.dice.below(3)).map(|_| self.nested(ty, depth + 1, types, levels));
        let (raw, masked): (Vec<String>, Vec<String>) = items.unzip();
        let list = |items: &[String]| format!("[{}]", items.join(","));
        (list(&raw), list(&masked))
    }

    /// One object, or a list of them, at its place in a document.
    fn document(&mut self) -> (String, String) {
        let (mut raw, mut masked) = if self.values.dice.percent(30) {
            self.row()
        } else {
            let rows = (0..self.values.dice.below(4)).map(|_| self.row());
            let (raw, masked): (Vec<String>, Vec<String>) = rows.unzip();
            let raw = format!("[ {} ]", raw.join(" ,\n"));
            (raw, format!("[{}]", masked.join(",")))
        };
        for step in self.route.at.iter().rev() {
            raw = format!("{{\n \"{step}\":{raw}}}");
            masked = format!("{{\"{step}\":{masked}}}");
        }
        if let Some(pass) = &self.route.pass {
            let value = "[1,{\"a b\":2.50}]";
            let add = |text: &str| format!("{{\"{pass}\":{value},{}", text.trim_start_matches('{'));
            (raw, masked) = (add(&raw), add(&masked));
        }
        (raw, masked)
    }
}

/// What a case had in it: values that must not get out, and cells of tables.
#[derive(Debug, Default)]
struct Seen {
    hidden: usize,
    cells: usize,
}

/// Runs a case; an error tells all that it was about.
pub fn differ(seed: u64) -> Result<(), String> {
    case(seed).map(|_| ())
}

fn case(seed: u64) -> Result<Seen, String> {
    let mut dice = Dice::new(seed);
    let world = World::random(&mut dice);
    let route = Route::random(&mut dice, &world);
    if route.types(&world).is_empty() {
        return Ok(Seen::default());
    }
    let about = |problem: &dyn std::fmt::Display| {
        let config = serde_json::to_string(&route.config()).expect("a route is JSON");
        format!(
            "SEED={seed}: {problem}\n{}\n{}\n{config}",
            world.sdl(),
            world.decision()
        )
    };
    let schema = Schema::parse(&world.sdl()).map_err(|e| about(&e))?;
    let decision: Decision = serde_json::from_value(world.decision()).map_err(|e| about(&e))?;
    let table = RuleTable::new(&schema, &decision, route.surface()).map_err(|e| about(&e))?;
    let keys = Some((&*KEYRING, TENANT));
    let plan = mask::compile_route(
        &schema,
        &route.config(),
        &table,
        keys,
        mask::Limits::default(),
    );
    let plan: Arc<RoutePlan> = Arc::new(plan.map_err(|e| about(&e))?);
    let limits = BodyLimits {
        json: json::Limits::default(),
        part: 1 << 20,
    };

    let query = Query::default();
    let mut rows = Rows {
        world: &world,
        route: &route,
        values: Executor::new(&mut dice, &world, &query),
    };
    let document = rows.document();
    let lines: Vec<(String, String)> = (0..rows.values.dice.below(4)).map(|_| rows.row()).collect();
    let mut hidden: HashSet<String> = rows.values.hidden.drain(..).map(|(c, _)| c).collect();
    let cells = Table::random(&mut rows.values, &world, &route, &mut hidden);

    // A line may be empty, and the last one need not end.
    let (raw, masked): (Vec<String>, Vec<String>) = lines.into_iter().unzip();
    let lines = (
        raw.join([" \n", "\n\n", "\r\n"][dice.below(3)]),
        masked.join("\n"),
    );
    let (of, row) = (&plan.plan, plan.row);
    let json: Box<dyn Form> = Box::new(JsonBody::at(of, limits, plan.document));
    let ndjson: Box<dyn Form> = Box::new(LinesBody::new(of, limits, row));
    let csv: Box<dyn Form> = Box::new(CsvBody::new(&plan, limits));
    let forms = [
        ("json", json, document),
        ("ndjson", ndjson, lines),
        ("csv", csv, (cells.raw, cells.masked)),
    ];
    for (name, mut form, (raw, want)) in forms {
        let fail = |problem: &str| about(&format!("{name} {problem}\n{raw}"));
        let out = deliver::push(&mut dice, &mut *form, &raw).map_err(|e| fail(&e.to_string()))?;
        if let Some(canary) = canary::found(&out, &hidden) {
            return Err(fail(&format!("let {canary} out: {out}")));
        }
        let seen = match name {
            "json" => squeeze(&out),
            "ndjson" => {
                let lines = out.lines().map(squeeze).filter(|line| !line.is_empty());
                lines.collect::<Vec<_>>().join("\n")
            }
            _ => out,
        };
        if seen != want {
            return Err(fail(&format!("gave {seen}\nwant {want}")));
        }
    }
    Ok(Seen {
        hidden: hidden.len(),
        cells: cells.count,
    })
}

/// Cases of an ordinary test run, of three bodies each.
const CASES: u64 = 1_000;

#[test]
fn routes_agree_with_a_masker_that_asks_at_each_member() {
    let seed = std::env::var("SEED").ok().map(|s| s.parse().unwrap());
    if let Some(seed) = seed {
        differ(seed).unwrap_or_else(|e| panic!("{e}"));
        return;
    }
    let start = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let run = long::run(differ, start, CASES, long::cores(), |_| ());
    assert!(run.failures.is_empty(), "{}", run.failures.join("\n\n"));
    assert_eq!(run.cases, CASES);
}

#[test]
fn the_routes_are_worth_something() {
    let seen: Vec<Seen> = (0..200).map(|seed| case(seed).unwrap()).collect();
    let masking = seen.iter().filter(|s| s.hidden > 0).count();
    let cells: usize = seen.iter().map(|s| s.cells).sum();
    assert!(masking >= 120, "only {masking} of 200 cases mask anything");
    assert!(cells >= 1000, "only {cells} cells");
    assert!(seen.iter().map(|s| s.hidden).sum::<usize>() >= 1000);
}
