//! Decisions as they were recorded: lines of a gateway's access log, or the records alone.

use std::collections::BTreeSet;

use engine::audit::{OperationRecord, Outcome, WarrantRecord};
use engine::instant::utc_seconds;
use engine::policy::{MaskingInput, Surface, WarrantRefusal};
use engine::schema::OperationKind;
use serde::Deserialize;
use serde_json::Value;

/// What a line says.
#[derive(Debug, Clone)]
pub enum Recorded {
    /// What was decided about a request.
    Decision(Box<Facts>),
    /// No policy was asked about the request.
    Unasked,
    /// What a guard decided, of a sidecar's log. It is not asked again.
    Guard,
    /// It can't be read, or lacks something; why.
    Unreadable(String),
}

/// What the filters knew of a request.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When it came, in seconds since 1970.
    pub time_s: Option<u64>,
    /// What the residency filter was asked, if it asked its policy.
    pub residency: Option<ResidencyFacts>,
    /// What the masking filter was asked, if it asked its policy.
    pub masking: Option<MaskingFacts>,
}

impl Facts {
    /// Whether a policy denied it.
    pub(super) fn refused(&self) -> bool {
        let masking = self.masking.as_ref().and_then(MaskingFacts::refused_by);
        let residency = self.residency.as_ref().and_then(ResidencyFacts::refused_by);
        masking.or(residency).is_some()
    }

    /// Whose request it was.
    pub fn tenant(&self) -> Option<&str> {
        let masking = self.masking.as_ref().and_then(|m| m.tenant.as_deref());
        masking.or(self.residency.as_ref().map(|r| r.tenant.as_str()))
    }
}

/// Of `engine::audit::MaskingRecord`, what the policy is asked by and what came of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MaskingFacts {
    /// `dec_…`
    pub decision_id: String,
    outcome: Outcome,
    code: Option<String>,
    tenant: Option<String>,
    subject: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    purpose: Option<String>,
    acr: Option<String>,
    region: String,
    /// The revision that decided.
    pub revision: String,
    #[serde(default)]
    surface: Surface,
    route: Option<String>,
    #[serde(default)]
    writes: bool,
    operation: Option<OperationRecord>,
    #[serde(default)]
    batch: Vec<OperationRecord>,
    #[serde(default)]
    mask_set: BTreeSet<String>,
    #[serde(default)]
    redact_set: BTreeSet<String>,
    #[serde(default)]
    revealed: BTreeSet<String>,
}

/// Of `engine::audit::ResidencyRecord`, what the policy is asked by.
#[derive(Debug, Clone)]
pub struct ResidencyFacts {
    /// `dec_…`
    pub decision_id: String,
    outcome: Outcome,
    code: Option<String>,
    pub(super) tenant: String,
    pub(super) home: Option<String>,
    pub(super) region_src: String,
    pub(super) data_region: Option<String>,
    pub(super) warrant: Option<WarrantRecord>,
    pub(super) warrant_refused: Option<WarrantRefusal>,
    /// The revision that decided.
    pub revision: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResidencyText {
    decision_id: String,
    #[serde(default)]
    outcome: Outcome,
    code: Option<String>,
    tenant: Option<String>,
    home: Option<String>,
    region_src: String,
    data_region: Option<String>,
    warrant_refused: Option<WarrantRefusal>,
    revision: String,
}

impl Recorded {
    /// Reads a line: one of the access log, with the records in `decision` and `residency` (as texts or
    /// as objects), or one record.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let line: Value = match serde_json::from_str(line) {
            Ok(line) => line,
            Err(_) => return Self::Unreadable("it is no JSON".into()),
        };
        if !line.is_object() {
            return Self::Unreadable("it is no JSON object".into());
        }
        // A guard's record names a store, alone or in its line.
        let is_guards = match line.get("decisionId") {
            None => line.get("egress").is_some(),
            Some(_) => line.get("store").is_some(),
        };
        if is_guards {
            return Self::Guard;
        }
        let (masking, residency) = match line.get("decisionId") {
            None => (record(&line, "decision"), record(&line, "residency")),
            Some(_) if line.get("regionSrc").is_some() => (Ok(None), Ok(Some(line.clone()))),
            Some(_) => (Ok(Some(line.clone())), Ok(None)),
        };
        let (masking, residency) = match (masking, residency) {
            (Ok(masking), Ok(residency)) => (masking, residency),
            (Err(reason), _) | (_, Err(reason)) => return Self::Unreadable(reason),
        };
        let time = line.get("time").and_then(Value::as_str);
        let read = || -> Result<Facts, String> {
            Ok(Facts {
                time_s: time.and_then(seconds),
                residency: match residency {
                    Some(record) => residency_facts(record)?,
                    None => None,
                },
                masking: match masking {
                    Some(record) => masking_facts(record)?,
                    None => None,
                },
            })
        };
        match read() {
            Err(reason) => Self::Unreadable(reason),
            Ok(facts) if facts.residency.is_none() && facts.masking.is_none() => Self::Unasked,
            Ok(facts) => Self::Decision(Box::new(facts)),
        }
    }
}

/// A record of the access log: a text, or nothing where the filter did not decide.
fn record(line: &Value, member: &str) -> Result<Option<Value>, String> {
    match line.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() || text == "-" => Ok(None),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map(Some)
            .map_err(|_| format!("its `{member}` is no JSON")),
        Some(object @ Value::Object(_)) => Ok(Some(object.clone())),
        Some(_) => Err(format!("its `{member}` is no record")),
    }
}

/// A moment as the access log writes it, with a fraction or without.
fn seconds(text: &str) -> Option<u64> {
    match text.split_once('.') {
        Some((whole, _)) => utc_seconds(&format!("{whole}Z")),
        None => utc_seconds(text),
    }
}

fn unlike(member: &str, error: &serde_json::Error) -> String {
    format!("its `{member}` is no record of this version: {error}")
}

fn residency_facts(record: Value) -> Result<Option<ResidencyFacts>, String> {
    let text: ResidencyText =
        serde_json::from_value(record.clone()).map_err(|e| unlike("residency", &e))?;
    let warrant = match record.get("warrant") {
        None | Some(Value::Null) => None,
        // Without what it covers no policy can be asked about it.
        Some(_) => Some(serde_json::from_value(record).map_err(|e| unlike("residency", &e))?),
    };
    Ok(text.tenant.map(|tenant| ResidencyFacts {
        decision_id: text.decision_id,
        outcome: text.outcome,
        code: text.code,
        tenant,
        home: text.home,
        region_src: text.region_src,
        data_region: text.data_region,
        warrant,
        warrant_refused: text.warrant_refused,
        revision: text.revision,
    }))
}

fn masking_facts(record: Value) -> Result<Option<MaskingFacts>, String> {
    let facts: MaskingFacts = serde_json::from_value(record).map_err(|e| unlike("decision", &e))?;
    // Who was not known, or asked for nothing that could be read, was not asked about.
    let asked = facts.tenant.is_some()
        && facts.subject.is_some()
        && (facts.operation.is_some() || facts.route.is_some());
    Ok(asked.then_some(facts))
}

impl ResidencyFacts {
    /// The code by which the request was refused, by the policy or by something else.
    pub(super) fn refused_by(&self) -> Option<&str> {
        let code = self.code.as_deref().unwrap_or_default();
        (self.outcome == Outcome::Denied).then_some(code)
    }
}

impl MaskingFacts {
    /// What the filter asked: once for each kind of operation of the request.
    pub(super) fn inputs(&self) -> Vec<String> {
        let writes = match self.writes {
            true => OperationKind::Mutation,
            false => OperationKind::Query,
        };
        let mut kinds: Vec<OperationKind> = match &self.operation {
            Some(first) => std::iter::once(first)
                .chain(&self.batch)
                .map(|o| o.kind)
                .collect(),
            None => vec![writes],
        };
        let mut seen = Vec::new();
        kinds.retain(|k| {
            let new = !seen.contains(k);
            seen.push(*k);
            new
        });
        let input = |operation| MaskingInput {
            tenant: self.tenant.as_deref().unwrap_or_default(),
            subject: self.subject.as_deref().unwrap_or_default(),
            roles: &self.roles,
            purpose: self.purpose.as_deref(),
            acr: self.acr.as_deref(),
            region: &self.region,
            operation,
            surface: self.surface,
            route: self.route.as_deref(),
        };
        let inputs = kinds.into_iter().map(|k| serde_json::to_string(&input(k)));
        inputs.filter_map(Result::ok).collect()
    }

    /// The code by which the request was refused, by the policy or by something else.
    pub(super) fn refused_by(&self) -> Option<&str> {
        let code = self.code.as_deref().unwrap_or_default();
        (self.outcome == Outcome::Denied).then_some(code)
    }

    /// Whether the operation selects a field that was masked, or marked, when it was recorded.
    pub(super) fn names(&self, coordinate: &str) -> bool {
        let sets = [&self.mask_set, &self.redact_set, &self.revealed];
        sets.iter().any(|set| set.contains(coordinate))
    }
}
