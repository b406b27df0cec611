//! The engine alone, driven as the shells drive it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use engine::audit;
use engine::filter::{
    BodyEffect, Edit, HeadEffect, Headers, Masking, MaskingStream, ResponseEffect,
};
use engine::policy::{Coverage, PolicyError};
use engine::reply::Reply;
use engine::residency::Residency;
use engine::warrant::CountedUses;

use super::CaseError;
use super::case::{Case, Kind};
use super::claims::EncodedClaims;
use super::fixture::{self, CONTEXT_KEYS, KEYS};
use super::outcome::Outcome;
use crate::Bundle;

type Pairs = Vec<(String, Vec<u8>)>;

/// The filters of the gateways, by region and what cases change of the policies.
#[derive(Debug)]
pub struct Native {
    bundle: Bundle,
    gateways: HashMap<String, (Residency, Masking)>,
    uses: CountedUses,
    covers: bool,
}

impl Native {
    /// Filters with these policies.
    pub fn new(bundle: Bundle) -> Self {
        Self {
            bundle,
            gateways: HashMap::new(),
            uses: CountedUses::default(),
            covers: false,
        }
    }

    /// The same, which watch what of the policies is evaluated.
    pub fn covering(bundle: Bundle) -> Self {
        Self {
            covers: true,
            ..Self::new(bundle)
        }
    }

    /// Runs a case with the response's body in these pieces.
    ///
    /// # Errors
    /// The policies do not load with what the case changes of them.
    pub fn run(&mut self, case: &Case, pieces: &[Vec<u8>]) -> Result<Outcome, CaseError> {
        let region = &case.input.gateway_region;
        let (residency, masking) = match self.gateways.entry(fixture::gateway(case)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let invalid = |error| CaseError::Policies {
                    case: case.name.clone(),
                    error: Box::new(error),
                };
                let bundle = fixture::patched(&self.bundle, case)?;
                let residency = fixture::residency_config(&bundle, region);
                let masking = fixture::masking_config(&bundle, region);
                let mut residency = Residency::configure(&residency, |_| Some(CONTEXT_KEYS.into()))
                    .map_err(invalid)?;
                let mut masking =
                    Masking::configure(&masking, |_| Some(KEYS.into())).map_err(invalid)?;
                if self.covers {
                    residency.policy_mut().cover();
                    masking.policy_mut().cover();
                }
                new.insert((residency, masking))
            }
        };
        let mut run = Run::default();
        run.residency(residency, &mut self.uses, case);
        match case.kind {
            _ if run.answered => {}
            Kind::Residency => run.pass(case, pieces),
            Kind::Masking => run.masking(masking, case, pieces),
        }
        let sent = run.request_body.or(case.input.request.body());
        let sent = sent.unwrap_or_default();
        Ok(Outcome::new(
            &self.bundle.revision,
            case,
            run.headers,
            run.body,
            run.reset,
            run.reached.then_some((run.request, sent)),
            [run.residency, run.masking],
        ))
    }

    /// What was evaluated of each module, since [`Native::covering`] made this.
    ///
    /// # Errors
    /// The interpreter can't say.
    pub fn coverage(&mut self) -> Result<Vec<Coverage>, PolicyError> {
        let mut all: BTreeMap<String, Coverage> = BTreeMap::new();
        for (residency, masking) in self.gateways.values_mut() {
            for policy in [residency.policy_mut(), masking.policy_mut()] {
                for module in policy.coverage()? {
                    let known = all
                        .entry(module.path.clone())
                        .or_insert_with(|| module.clone());
                    known.covered.extend(module.covered);
                    known.missed.extend(module.missed);
                }
            }
        }
        let mut modules: Vec<Coverage> = all.into_values().collect();
        for module in &mut modules {
            module.missed = &module.missed - &module.covered;
        }
        Ok(modules)
    }
}

#[derive(Default)]
struct Run {
    request: Pairs,
    /// What goes to the upstream in the place of the request's body.
    request_body: Option<Vec<u8>>,
    reached: bool,
    answered: bool,
    headers: Pairs,
    body: Vec<u8>,
    reset: bool,
    residency: Option<String>,
    masking: Option<String>,
}

impl Run {
    fn residency(&mut self, filter: &mut Residency, uses: &mut CountedUses, case: &Case) {
        self.request = case.input.headers();
        let claims = EncodedClaims(&case.input.claims);
        let routing = filter.route(Headers(&self.request), &claims, case.input.now, uses);
        self.residency = audit::json(&routing.record);
        match routing.effect {
            Ok(edits) => apply(&mut self.request, edits),
            Err(reply) => self.answer(&reply),
        }
    }

    fn answer(&mut self, reply: &Reply) {
        self.answered = true;
        self.headers = vec![(":status".into(), reply.status.to_string().into_bytes())];
        let own = reply
            .headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.clone().into_bytes()));
        self.headers.extend(own);
        let length = reply.body.len().to_string().into_bytes();
        self.headers.push(("content-length".into(), length));
        let head = Headers(&self.request).text(":method") == Some("HEAD");
        self.body = if head {
            Vec::new()
        } else {
            reply.body.clone().into_bytes()
        };
    }

    /// What the upstream says comes through.
    fn pass(&mut self, case: &Case, pieces: &[Vec<u8>]) {
        self.reached = true;
        self.headers = case.input.response.headers();
        self.body = pieces.concat();
    }

    fn masking(&mut self, filter: &mut Masking, case: &Case, pieces: &[Vec<u8>]) {
        let mut stream = MaskingStream::new();
        self.masked(&mut stream, filter, case, pieces);
        stream.close();
        self.masking = Some(stream.record());
    }

    fn masked(
        &mut self,
        stream: &mut MaskingStream,
        filter: &mut Masking,
        case: &Case,
        pieces: &[Vec<u8>],
    ) {
        let claims = EncodedClaims(&case.input.claims);
        let body = case.input.request.body();
        match stream.request_headers(filter, Headers(&self.request), &claims, body.is_none()) {
            HeadEffect::Hold(edits) => {
                apply(&mut self.request, edits);
                match stream.request_body(filter, &body.unwrap_or_default()) {
                    Ok(instead) => self.request_body = instead,
                    Err(reply) => return self.answer(&reply),
                }
            }
            HeadEffect::Forward(edits) => apply(&mut self.request, edits),
            HeadEffect::Reply(reply) => return self.answer(&reply),
        }
        if let Some(instead) = &self.request_body {
            let length = instead.len().to_string();
            apply(&mut self.request, vec![Edit::Set("content-length", length)]);
        }
        self.reached = true;
        let mut headers = case.input.response.headers();
        let trailers = case.input.response.trailers.is_some();
        let end = pieces.is_empty() && !trailers;
        let mut released = false;
        match stream.response_headers(filter, Headers(&headers), end) {
            ResponseEffect::Pass => {}
            ResponseEffect::Mask(edits) => apply(&mut headers, edits),
            ResponseEffect::Stream(edits) => {
                released = true;
                apply(&mut headers, edits);
            }
            ResponseEffect::Reply(reply) => return self.answer(&reply),
        }
        let mut out = Vec::new();
        // The end of a body comes as an empty piece, or as trailers.
        let last: &[&[u8]] = if end || trailers { &[] } else { &[b""] };
        let all = pieces.iter().map(Vec::as_slice).map(|p| (p, false));
        for (piece, end) in all.chain(last.iter().map(|p| (*p, true))) {
            match stream.response_body(piece, end) {
                BodyEffect::Pass => out.extend_from_slice(piece),
                BodyEffect::Replace(bytes) => out.extend(bytes),
                BodyEffect::Fail(reply) => return self.failed(released, headers, out, &reply),
            }
            released |= !stream.holds(out.len(), end);
        }
        if trailers {
            match stream.response_end() {
                Ok(rest) => out.extend(rest.unwrap_or_default()),
                Err(reply) => return self.failed(released, headers, out, &reply),
            }
        }
        (self.headers, self.body) = (headers, out);
    }

    fn failed(&mut self, released: bool, headers: Pairs, out: Vec<u8>, reply: &Reply) {
        if released {
            (self.headers, self.body, self.reset) = (headers, out, true);
        } else {
            self.answer(reply);
        }
    }
}

fn apply(headers: &mut Pairs, edits: Vec<Edit>) {
    for edit in edits {
        match edit {
            Edit::Remove(name) => headers.retain(|(n, _)| *n != name),
            Edit::Set(name, value) => {
                headers.retain(|(n, _)| n != name);
                headers.push((name.to_owned(), value.into_bytes()));
            }
        }
    }
}
