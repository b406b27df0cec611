use crate::context::CONTEXT_HEADER;
use crate::filter::{Edit, Headers, ROUTE_HEADER, is_reserved};
use crate::policy::EgressOperation;
use crate::reply::Reply;

use super::config::StoreKind;
use super::decide::{Ask, Denial, DenialKind, Guard, Ruling};
use super::record::EgressRecord;
use super::{neo4j, s3};

/// What happens to a request.
#[derive(Debug)]
pub struct HttpRuling {
    /// The record for the access log.
    pub record: EgressRecord,
    /// Header changes and no reply, or the reply.
    pub effect: Result<Vec<Edit>, Reply>,
    /// Whose fault a refusal is.
    pub fault: Option<DenialKind>,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// What is done, as the record says it.
    pub operation: EgressOperation,
    /// Buckets or databases and what is done with each.
    pub objects: Vec<(String, EgressOperation)>,
}

/// Why a request is not passed on, whoever sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unserved {
    pub code: &'static str,
    pub reason: &'static str,
}

impl Guard {
    /// Decides about a request by its headers. `now_s` is the time in seconds since 1970.
    pub fn http(&mut self, headers: Headers<'_>, now_s: u64) -> HttpRuling {
        let store = &self.config().store;
        let request = match store.kind {
            StoreKind::S3 => s3::read(headers, &store.hosts),
            StoreKind::Neo4j => neo4j::read(headers),
            StoreKind::Postgres | StoreKind::Bolt => Err(Unserved {
                code: "NO_HTTP",
                reason: "this store is not spoken to by HTTP",
            }),
        };
        let tokens = headers.all(CONTEXT_HEADER);
        let ruling = match (&request, &tokens[..]) {
            (Err(unserved), _) => {
                let operation = EgressOperation::Connect;
                self.malformed(unserved.code, unserved.reason, operation)
            }
            (Ok(request), [_, _, ..]) => {
                let reason = "the request has more than one context token";
                self.malformed("CONTEXT_AMBIGUOUS", reason, request.operation)
            }
            (Ok(request), tokens) => {
                let objects = request.objects.iter().map(|(name, o)| (name.as_str(), *o));
                let objects = objects.collect();
                let ask = Ask {
                    objects,
                    user: None,
                };
                self.decide(tokens.first().copied(), &ask, request.operation, now_s)
            }
        };
        self.effect(headers, ruling)
    }

    fn effect(&self, headers: Headers<'_>, ruling: Ruling) -> HttpRuling {
        let Ruling { record, verdict } = ruling;
        let (effect, fault) = match verdict {
            Ok(()) => {
                let mut edits = headers.removals(is_reserved);
                edits.push(Edit::Set(ROUTE_HEADER, self.config().cluster.clone()));
                (Ok(edits), None)
            }
            Err(denial) => (Err(self.reply(&denial, &record)), Some(denial.kind)),
        };
        HttpRuling {
            record,
            effect,
            fault,
        }
    }

    /// The store's own kind of error, so that its clients can read it.
    fn reply(&self, denial: &Denial, record: &EgressRecord) -> Reply {
        let status = match denial.kind {
            DenialKind::Context => 401,
            DenialKind::Rules => 403,
            DenialKind::Malformed => 400,
            DenialKind::Failed => 500,
        };
        match self.config().store.kind {
            StoreKind::S3 => s3::reply(denial, record),
            _ => Reply::problem(status, &denial.code, &denial.message).because(&record.reason),
        }
    }
}
