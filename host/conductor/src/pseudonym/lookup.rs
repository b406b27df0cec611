//! The look-ups: worked out, recorded, and only then answered.

use anyhow::{Context, bail};
use bundle::Bundle;
use engine::mask::{Pseudonym, Pseudonymizer};
use serde_json::json;

use super::candidates::{self, Candidates};
use super::keys::Keys;
use super::ledger::{self, Asked, Chain, Lookup};
use super::place::{Place, Places};
use super::{Common, FindArgs, OfArgs, SameArgs};
use crate::End;

/// What every look-up works with.
struct Desk<'a> {
    common: &'a Common,
    keys: Keys,
    places: Places,
}

/// A pseudonym, and where it comes from.
struct Subject {
    place: Place,
    pseudonym: Pseudonym,
    maker: Pseudonymizer,
}

impl<'a> Desk<'a> {
    fn open(common: &'a Common) -> anyhow::Result<Self> {
        for (name, text) in [("--case", &common.case), ("--by", &common.by)] {
            if text.trim().is_empty() {
                bail!("{name} must not be empty: it is what the record says of the look-up");
            }
        }
        let keys = Keys::from_env(&common.keys_env)?;
        let places = Places::new(Bundle::open(&common.policies)?)?;
        Ok(Self {
            common,
            keys,
            places,
        })
    }

    fn subject(&self, tenant: &str, coordinate: &str, text: &str) -> anyhow::Result<Subject> {
        let pseudonym = Pseudonym::parse(text)?;
        let place = self.places.find(tenant, coordinate)?;
        let maker = self
            .keys
            .pseudonymizer(pseudonym.key_id(), &place.tenant, &place.domain)?;
        Ok(Subject {
            place,
            pseudonym,
            maker,
        })
    }

    /// Writes the record; nothing may be printed before.
    fn record(
        &self,
        command: &'static str,
        asked: Vec<Asked<'_>>,
        candidates: Option<usize>,
        reveal: bool,
        result: &'static str,
    ) -> anyhow::Result<Chain> {
        let lookup = Lookup {
            command,
            case: &self.common.case,
            by: &self.common.by,
            asked,
            candidates,
            reveal,
            result,
        };
        ledger::append(&self.common.audit, &lookup)
    }

    /// Prints the answer: JSON with where it is recorded, or text with that on standard error.
    fn answer(&self, chain: &Chain, json: serde_json::Value, text: &str) -> anyhow::Result<()> {
        let (file, line, sha256) = (&self.common.audit, chain.lines(), chain.head());
        if self.common.json {
            let mut json = json;
            json["audit"] = json!({"file": file, "line": line, "sha256": sha256});
            crate::say(&format!("{}\n", serde_json::to_string_pretty(&json)?))?;
        } else {
            let file = file.display();
            eprintln!("recorded in {file}, line {line}, hash {sha256}");
            crate::say(&format!("{text}\n"))?;
        }
        Ok(())
    }
}

impl Subject {
    fn stands_for(&self, value: &str) -> anyhow::Result<bool> {
        let made = self.maker.pseudonym(value);
        Ok(made.context("can't make a pseudonym")? == self.pseudonym)
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            tenant: &self.place.tenant,
            coordinate: &self.place.coordinate,
            domain: &self.place.domain,
            key_ids: vec![self.pseudonym.key_id().to_owned()],
            pseudonyms: vec![self.pseudonym.to_string()],
        }
    }

    /// Whether equal values have equal pseudonyms here and there.
    fn shares_key(&self, other: &Self) -> bool {
        self.place.tenant == other.place.tenant
            && self.place.domain == other.place.domain
            && self.pseudonym.key_id() == other.pseudonym.key_id()
    }
}

/// `pseudonym of`.
pub fn of(args: &OfArgs) -> anyhow::Result<End> {
    let desk = Desk::open(&args.common)?;
    let place = desk.places.find(&args.tenant, &args.coordinate)?;
    let key_ids = match &args.key_id {
        Some(key_id) => vec![key_id.as_str()],
        None => desk.keys.ids(),
    };
    let makers: Vec<Pseudonymizer> = key_ids
        .iter()
        .map(|id| desk.keys.pseudonymizer(id, &place.tenant, &place.domain))
        .collect::<anyhow::Result<_>>()?;
    let value = candidates::value()?;
    let pseudonyms: Vec<String> = makers
        .iter()
        .map(|maker| Ok(maker.pseudonym(&value)?.to_string()))
        .collect::<anyhow::Result<_>>()
        .context("can't make a pseudonym")?;
    let asked = Asked {
        tenant: &place.tenant,
        coordinate: &place.coordinate,
        domain: &place.domain,
        key_ids: key_ids.iter().map(|id| (*id).to_owned()).collect(),
        pseudonyms: pseudonyms.clone(),
    };
    let chain = desk.record("of", vec![asked], None, false, "made")?;
    let json = json!({"domain": place.domain, "pseudonyms": pseudonyms});
    desk.answer(&chain, json, &pseudonyms.join("\n"))?;
    Ok(End::Done)
}

/// `pseudonym find`.
pub fn find(args: &FindArgs) -> anyhow::Result<End> {
    let desk = Desk::open(&args.common)?;
    let subject = desk.subject(&args.tenant, &args.coordinate, &args.pseudonym)?;
    let candidates = Candidates::read(args.candidates.as_deref())?;
    let mut found = None;
    for (line, value) in candidates.iter() {
        if subject.stands_for(value)? {
            found = Some((line, value));
            break;
        }
    }
    let count = candidates.len();
    let result = if found.is_some() {
        "found"
    } else {
        "not found"
    };
    let asked = vec![subject.asked()];
    let chain = desk.record("find", asked, Some(count), args.reveal, result)?;
    let mut json = json!({"result": result, "candidates": count});
    let mut text = match found {
        Some((line, _)) => format!("found: the candidate on line {line}, of {count}"),
        None => format!("not found among {count} candidates"),
    };
    if let Some((line, value)) = found {
        json["line"] = json!(line);
        if args.reveal {
            json["value"] = json!(value);
            text = format!("{text}: {value}");
        }
    }
    desk.answer(&chain, json, &text)?;
    Ok(ended(found.is_some()))
}

/// `pseudonym same`.
pub fn same(args: &SameArgs) -> anyhow::Result<End> {
    let desk = Desk::open(&args.common)?;
    let tenant_b = args.tenant_b.as_ref().unwrap_or(&args.tenant);
    let coordinate_b = args.coordinate_b.as_ref().unwrap_or(&args.coordinate);
    let a = desk.subject(&args.tenant, &args.coordinate, &args.a);
    let a = a.context("pseudonym A can't be looked up")?;
    let b = desk.subject(tenant_b, coordinate_b, &args.b);
    let b = b.context("pseudonym B can't be looked up")?;
    let shared = a.shares_key(&b);
    let candidates = if shared && !args.reveal {
        None
    } else {
        Some(Candidates::read(args.candidates.as_deref())?)
    };
    let mut same = shared.then_some(a.pseudonym == b.pseudonym);
    let mut value = None;
    for (_, candidate) in candidates.iter().flat_map(Candidates::iter) {
        // One of the two is enough: the other stands for the same value then, or surely not.
        let of = (a.stands_for(candidate)?, b.stands_for(candidate)?);
        if of != (false, false) {
            same = Some(of == (true, true));
            value = same.filter(|s| *s).map(|_| candidate);
            break;
        }
    }
    let count = candidates.as_ref().map(Candidates::len);
    let result = match same {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let asked = vec![a.asked(), b.asked()];
    let chain = desk.record("same", asked, count, args.reveal, result)?;
    let mut json = json!({"result": result, "candidates": count});
    let text = match (result, count, value.filter(|_| args.reveal)) {
        (_, _, Some(value)) => {
            json["value"] = json!(value);
            format!("{result}: {value}")
        }
        ("unknown", Some(count), _) => {
            format!("unknown: neither was found among {count} candidates")
        }
        _ => result.to_owned(),
    };
    desk.answer(&chain, json, &text)?;
    Ok(ended(same == Some(true)))
}

fn ended(holds: bool) -> End {
    if holds { End::Done } else { End::Failed }
}
