//! A decision of the past, from the store, with the rules that were in force.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, bail};
use bundle::Bundle;
use engine::policy::Module;
use serde::Serialize;
use serde_json::{Map, Value};
use store::{Kind, Store, StoreConfig, Stored};

use super::rules::{self, Rule};
use crate::config::Config;
use crate::ingest::Policies;
use crate::plain;
use crate::{End, ExplainArgs, say};

/// What is told.
#[derive(Serialize)]
struct Told {
    /// The stored decision.
    #[serde(flatten)]
    stored: Stored,
    /// The masking filter's record.
    decision: Option<Map<String, Value>>,
    /// The residency filter's record.
    residency: Option<Map<String, Value>>,
    /// The guard's record.
    #[serde(skip_serializing_if = "Option::is_none")]
    egress: Option<Map<String, Value>>,
    /// Where the policies come from: `store`, a directory, or nowhere.
    policies: Option<String>,
    /// The rules that say why.
    rules: Vec<Rule>,
    /// Reasons that stand in no module.
    unlocated: Vec<String>,
    /// What is in the way of showing more.
    notes: Vec<String>,
}

/// Prints what is stored of a decision.
///
/// # Errors
/// No store is named, or it can't be read; the policies can't be read.
pub async fn run(args: &ExplainArgs, id: &str) -> anyhow::Result<End> {
    let store = Store::open_existing(&configured(args)?).await?;
    let found = store.decision(id).await?;
    let Some(stored) = found else {
        store.close().await;
        say(&format!("no decision `{id}` is stored\n"))?;
        return Ok(End::Failed);
    };
    let mut notes = Vec::new();
    let (policies, modules) = policies(args, &store, &stored.revision, &mut notes).await?;
    store.close().await;
    let told = tell(stored, policies, &modules, notes);
    let text = match args.json {
        true => serde_json::to_string_pretty(&told)? + "\n",
        false => text(&told),
    };
    say(&text)?;
    Ok(End::Done)
}

fn configured(args: &ExplainArgs) -> anyhow::Result<StoreConfig> {
    if let Some(url) = &args.store {
        return Ok(StoreConfig {
            url: Some(url.clone()),
            ..StoreConfig::default()
        });
    }
    match &args.config {
        Some(config) => Ok(Config::read(config)?.store),
        None => bail!("where decisions are stored must be said: give --config FILE or --store URL"),
    }
}

/// Where the policies of a revision come from, and their modules.
async fn policies(
    args: &ExplainArgs,
    store: &Store,
    revision: &str,
    notes: &mut Vec<String>,
) -> anyhow::Result<(Option<String>, Vec<Module>)> {
    if let Some(path) = &args.policies {
        let bundle = Bundle::open(path)?;
        if bundle.revision != revision {
            notes.push(format!(
                "{} holds revision {}, not {revision}: its rules may be others than those that decided",
                path.display(),
                bundle.revision
            ));
        }
        return Ok((Some(path.display().to_string()), bundle.policy.modules));
    }
    match store.revision(revision).await? {
        Some(text) => {
            let kept: Policies = serde_json::from_str(&text)
                .with_context(|| format!("the policies that are kept of {revision}"))?;
            Ok((Some("store".to_owned()), kept.policy.modules))
        }
        None => {
            notes.push(format!(
                "the policies of revision {revision:?} are not in the store: give --policies DIR"
            ));
            Ok((None, Vec::new()))
        }
    }
}

fn tell(stored: Stored, policies: Option<String>, modules: &[Module], notes: Vec<String>) -> Told {
    let line: Map<String, Value> = serde_json::from_str(stored.line.get()).unwrap_or_default();
    let record = |name: &str| {
        let text = line.get(name).and_then(Value::as_str)?;
        serde_json::from_str::<Map<String, Value>>(text).ok()
    };
    let (decision, residency) = (record("decision"), record("residency"));
    let egress = record("egress");
    let mut reasons: BTreeSet<String> = BTreeSet::new();
    for record in decision.iter().chain(&residency).chain(&egress) {
        let reason = word(record, "reason");
        reasons.extend(
            reason
                .split("; ")
                .filter(|r| !r.is_empty())
                .map(str::to_owned),
        );
    }
    let mut rules = Vec::new();
    let mut unlocated = Vec::new();
    if policies.is_some() {
        for reason in reasons {
            let found = rules_of(egress.is_some(), &reason, modules);
            if found.is_empty() {
                unlocated.push(reason);
            }
            rules.extend(found);
        }
    }
    Told {
        stored,
        decision,
        residency,
        egress,
        policies,
        rules,
        unlocated,
        notes,
    }
}

/// The rules that guards are asked, or those that gateways are; and where those don't say it, the others.
fn rules_of(guards: bool, reason: &str, modules: &[Module]) -> Vec<Rule> {
    let of_egress = |module: &&Module| {
        engine::policy::package(module).is_ok_and(|package| package == ["ig", "egress"])
    };
    let own = modules.iter().filter(|m| of_egress(m) == guards);
    let own: Vec<Module> = own.cloned().collect();
    match rules::locate(reason, &own) {
        found if found.is_empty() => rules::locate(reason, modules),
        found => found,
    }
}

fn word<'v>(of: &'v Map<String, Value>, key: &str) -> &'v str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list(of: &Map<String, Value>, key: &str) -> Vec<String> {
    let values = of.get(key).and_then(Value::as_array).into_iter().flatten();
    values
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn text(told: &Told) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(told, &mut out);
    out
}

fn write(told: &Told, out: &mut String) -> std::fmt::Result {
    let stored = &told.stored;
    let time = jiff::Timestamp::from_millisecond(stored.time_ms);
    let time = time.map_or_else(|_| stored.time_ms.to_string(), |t| t.to_string());
    writeln!(out, "time       {time}")?;
    writeln!(out, "node       {}", plain(&stored.node))?;
    let policies = match &told.policies {
        Some(from) => format!(" (rules from {from})"),
        None => String::new(),
    };
    writeln!(out, "policies   {}{policies}", stored.revision)?;
    let line: Map<String, Value> = serde_json::from_str(stored.line.get()).unwrap_or_default();
    if stored.kind == Kind::Opa {
        writeln!(out, "path       {}", word(&line, "path"))?;
        for key in ["input", "result"] {
            if let Some(value) = line.get(key) {
                writeln!(out, "{key:10} {value}")?;
            }
        }
    } else if stored.kind == Kind::Guard {
        guard(told, &line, out)?;
    } else {
        writeln!(
            out,
            "request    {} {}",
            word(&line, "method"),
            word(&line, "path")
        )?;
    }
    if let Some(residency) = &told.residency {
        writeln!(out, "residency  {}", word(residency, "decisionId"))?;
        let region = |key: &str| match word(residency, key) {
            "" => "-".to_owned(),
            region => region.to_owned(),
        };
        let (from, to) = (region("regionSrc"), region("regionDst"));
        let (outcome, reason) = (word(residency, "outcome"), word(residency, "reason"));
        writeln!(out, "           {from} -> {to}: {outcome} ({reason})")?;
        if residency.contains_key("warrant") {
            let (id, authority) = (word(residency, "warrant"), word(residency, "authority"));
            writeln!(
                out,
                "warrant    {id} of {authority} ({})",
                word(residency, "case")
            )?;
        }
    }
    if let Some(decision) = &told.decision {
        masking(decision, out)?;
    } else if let Some(tenant) = stored.tenant.as_ref().filter(|_| told.egress.is_none()) {
        writeln!(out, "caller     of {tenant}")?;
    }
    let code = stored
        .response_code
        .map_or_else(String::new, |code| format!(", {code}"));
    let took = stored
        .duration_ms
        .map_or_else(String::new, |ms| format!(" in {ms} ms"));
    let outcome = match stored.outcome.as_str() {
        "" if stored.kind == Kind::Guard => "no guard decided",
        "" => "no filter decided",
        outcome => outcome,
    };
    writeln!(out, "outcome    {outcome}{code}{took}")?;
    let taken: Vec<String> = ["erased", "masked"]
        .iter()
        .flat_map(|key| list(&line, key))
        .collect();
    if !taken.is_empty() {
        writeln!(out, "not kept   {}", taken.join(", "))?;
    }
    for rule in &told.rules {
        writeln!(
            out,
            "\n`{}` is said by {} line {}",
            rule.reason, rule.module, rule.line
        )?;
        if let Some(of) = &rule.of {
            writeln!(out, "    a branch of {of}")?;
        }
        for line in rule.text.lines() {
            writeln!(out, "    {line}")?;
        }
    }
    for reason in &told.unlocated {
        writeln!(
            out,
            "\n`{reason}` stands in no module of these policies: the filter itself says it, or it \
                       is put together from data"
        )?;
    }
    for note in &told.notes {
        writeln!(out, "\n{note}")?;
    }
    Ok(())
}

/// What a guard decided, or that none did.
fn guard(told: &Told, line: &Map<String, Value>, out: &mut String) -> std::fmt::Result {
    let stored = &told.stored;
    let name = stored.store.as_deref().unwrap_or("-");
    let to = stored.store_region.as_deref().unwrap_or("-");
    let Some(egress) = &told.egress else {
        let from = word(line, "region");
        return writeln!(out, "store      {name}, {from} -> {to}");
    };
    writeln!(out, "guard      {}", word(egress, "decisionId"))?;
    // Without a context token that is believed nobody is known.
    if let Some(tenant) = &stored.tenant {
        let home = word(egress, "home");
        writeln!(out, "caller     of {tenant}, whose data is in {home}")?;
    }
    if egress.contains_key("context") {
        let context = word(egress, "context");
        writeln!(out, "context    {context}, the gateway's decision")?;
    }
    let store = egress.get("store").and_then(Value::as_object);
    let of = |key| store.map_or("", |store| word(store, key));
    let object = match of("object") {
        "" => String::new(),
        object => format!(", `{object}`"),
    };
    let (from, operation) = (word(egress, "regionSrc"), word(egress, "operation"));
    writeln!(
        out,
        "store      {operation} {name} ({}){object}, {from} -> {to}",
        of("kind")
    )?;
    if egress.contains_key("warrant") {
        writeln!(out, "warrant    {}", word(egress, "warrant"))?;
    }
    why(egress, out)
}

fn why(record: &Map<String, Value>, out: &mut String) -> std::fmt::Result {
    let code = match word(record, "code") {
        "" => String::new(),
        code => format!(" ({code})"),
    };
    writeln!(out, "why        {}{code}", word(record, "reason"))
}

fn masking(decision: &Map<String, Value>, out: &mut String) -> std::fmt::Result {
    writeln!(out, "masking    {}", word(decision, "decisionId"))?;
    let (subject, tenant) = (word(decision, "subject"), word(decision, "tenant"));
    let purpose = match word(decision, "purpose") {
        "" => String::new(),
        purpose => format!(", purpose {purpose}"),
    };
    let roles = list(decision, "roles").join(", ");
    writeln!(
        out,
        "caller     {subject} of {tenant}, roles {roles}{purpose}"
    )?;
    if word(decision, "mode") == "shadow" {
        writeln!(out, "mode       shadow: what follows was only recorded")?;
    }
    let operation = decision.get("operation").and_then(Value::as_object);
    if let Some(operation) = operation {
        let (kind, name) = (word(operation, "kind"), word(operation, "name"));
        writeln!(
            out,
            "operation  {kind} {name} sha256 {}",
            word(operation, "hash")
        )?;
    }
    let counts = decision.get("counts").and_then(Value::as_object);
    for (title, key) in [
        ("masked", "maskSet"),
        ("redacted", "redactSet"),
        ("revealed", "revealed"),
    ] {
        for coordinate in list(decision, key) {
            let values = counts.and_then(|c| c.get(&coordinate)?.as_u64());
            let values = values.map_or_else(String::new, |n| format!("  {n} values"));
            writeln!(out, "{title:10} {coordinate}{values}")?;
        }
    }
    why(decision, out)
}
