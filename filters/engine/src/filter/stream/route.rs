//! Routes that are no GraphQL.

use std::sync::Arc;

use crate::filter::masking::KnownDecision;
use crate::filter::{Headers, Masking, form};
use crate::graphql::ArgumentValue;
use crate::mask::{BODY, Compared, Guard};
use crate::policy::Surface;
use crate::reply::Reply;
use crate::schema::OperationKind;

use super::request::{essence, is_read, no_body};
use super::{Answer, MaskingStream};

/// A request to a route as far as its headers decide about it.
pub(super) enum Routed {
    /// It goes on.
    Whole(Answer, bool),
    /// Its body has to be looked into.
    Body(Box<RouteBody>),
}

/// A route's request whose body is awaited.
#[derive(Debug)]
pub(super) struct RouteBody {
    index: usize,
    decided: Arc<KnownDecision>,
    answer: Answer,
    written_as: WrittenAs,
    /// Whether it asks for something to be read, so that all of it compares.
    reads: bool,
}

/// What a route's open segments compare under a decision, in their order: nothing, or what then
/// depends on the values; or the first that stands for a masked field, with which all requests are
/// refused.
#[derive(Debug)]
pub(in crate::filter) struct OpenPath(Result<Vec<Option<Guard>>, (Box<str>, Compared)>);

/// How a body is written that can be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WrittenAs {
    Json,
    Form,
}

impl MaskingStream {
    /// Decides about a request to a route: whether it goes on, and how its answer is masked.
    pub(super) fn admit_route(
        &mut self,
        filter: &mut Masking,
        index: usize,
        headers: Headers<'_>,
        end_of_stream: bool,
    ) -> Result<Routed, Reply> {
        let broken = |reason: &str| {
            Reply::problem(500, "POLICY_FAILED", "the policy gives no decision")
                .because(&format!("the policy gives no decision: {reason}"))
        };
        let Some(route) = filter.config().routes.get(index) else {
            return Err(broken("there is no such route"));
        };
        let (surface, name) = (route.surface, route.name.clone());
        self.record.surface = surface;
        self.record.route = Some(name.clone());
        let method = headers.text(":method").unwrap_or_default();
        if !route.methods.iter().any(|m| m == method) {
            let allow = route.methods.join(", ");
            let message = format!("this path serves {allow} only");
            let reply = Reply::problem(405, "METHOD_NOT_ALLOWED", &message);
            return Err(reply.with("allow", &allow));
        }
        if is_read(method) {
            no_body(false, method, end_of_stream)?;
        }
        let kind = match is_read(method) {
            true => OperationKind::Query,
            false => OperationKind::Mutation,
        };
        self.record.writes = kind == OperationKind::Mutation;
        let decided = self.decide(filter, kind, (surface, Some(&name)))?;
        let tenant = self.record.tenant.clone().unwrap_or_default();
        let known = filter
            .route_plan(index, &decided, &tenant)
            .map_err(|e| broken(&e))?;
        filter.check_path(index, headers.path(), &known.path, &decided)?;
        let path = headers.text(":path").unwrap_or_default();
        let query = path.split_once('?').map_or("", |(_, q)| q);
        filter.check_form(index, query, "the query string is malformed", &decided)?;
        let written_as = match end_of_stream {
            true => None,
            false => filter.reads_body(headers, &decided)?,
        };
        self.note(&known.plan.plan);
        let answer = Answer::Route(index, known.plan.clone());
        Ok(match written_as {
            None => Routed::Whole(answer, decided.decision.admin),
            Some(written_as) => Routed::Body(Box::new(RouteBody {
                index,
                decided,
                answer,
                written_as,
                reads: surface == Surface::Export
                    || !matches!(method, "POST" | "PUT" | "PATCH" | "DELETE"),
            })),
        })
    }
}

impl RouteBody {
    /// The body is there: what becomes of the answer, and whether the caller is an admin.
    pub(super) fn admit(&self, filter: &Masking, body: &[u8]) -> Result<(Answer, bool), Reply> {
        let malformed = |message| Reply::problem(400, "BAD_REQUEST", message);
        let done = (self.answer.clone(), self.decided.decision.admin);
        if body.is_empty() {
            return Ok(done);
        }
        match self.written_as {
            WrittenAs::Form => {
                let wrong = "the form is malformed";
                let text = std::str::from_utf8(body).map_err(|_| malformed(wrong))?;
                filter.check_form(self.index, text, wrong, &self.decided)?;
            }
            WrittenAs::Json => {
                let text = std::str::from_utf8(body).ok();
                let value = text.and_then(|t| serde_json::from_str::<ArgumentValue>(t).ok());
                let value = value.ok_or_else(|| malformed("the request body is no JSON"))?;
                filter.check_json(self.index, &value, self.reads, &self.decided)?;
            }
        }
        Ok(done)
    }
}

impl Masking {
    /// What a route's open segments compare under a decision.
    pub(in crate::filter) fn open_path(&self, index: usize, decided: &KnownDecision) -> OpenPath {
        let comparison = self.comparison(decided);
        let subjects = self.subjects(index);
        let compared = |name: &str, behind: Option<&str>| -> Result<Option<Guard>, Compared> {
            if comparison.listed(None, name)? {
                return Ok(None);
            }
            if let Some(behind) = behind {
                comparison.name(subjects, behind, false)?;
                if let Some(coordinate) = comparison.spelled(subjects, behind) {
                    let argument = behind.to_owned();
                    return Err(Compared::Field {
                        argument,
                        coordinate,
                    });
                }
            }
            let value = ArgumentValue::Variable(name.into());
            Ok(comparison.argument(subjects, name, &value)?.pop())
        };
        let open = self.routes().open(index);
        let all = open.map(|o| compared(o.name, o.behind).map_err(|e| (o.name.into(), e)));
        OpenPath(all.collect())
    }

    /// Refuses a path whose open segments stand for a masked field, or have its name.
    fn check_path(
        &self,
        index: usize,
        path: &str,
        open: &OpenPath,
        decided: &KnownDecision,
    ) -> Result<(), Reply> {
        let guards = open.0.as_ref().map_err(|(name, e)| refused(name, e))?;
        let comparison = self.comparison(decided);
        for (guard, value) in guards.iter().zip(self.routes().values(index, path)) {
            let Some(guard) = guard else { continue };
            let value = ArgumentValue::Word(form::segment(value).into());
            let found = comparison.guarded(guard, &value);
            found.map_err(|e| refused(&guard.variable, &e))?;
        }
        Ok(())
    }

    /// Refuses a query string or form that names a masked field.
    fn check_form(
        &self,
        index: usize,
        text: &str,
        malformed: &str,
        decided: &KnownDecision,
    ) -> Result<(), Reply> {
        if text.is_empty() {
            return Ok(());
        }
        let comparison = self.comparison(decided);
        let check = |text: &str| {
            let parameters = form::parameters(text)
                .ok_or_else(|| Reply::problem(400, "BAD_REQUEST", malformed))?;
            let found = comparison.parameters(self.subjects(index), &parameters);
            found.map_err(|(name, e)| refused(name, &e))
        };
        check(text)?;
        // Some servers part parameters at `;` too.
        match text.contains(';') {
            true => check(&text.replace(';', "&")),
            false => Ok(()),
        }
    }

    /// Refuses a body that compares a masked field: one that reads does so with all of it, what
    /// others say is written, but for members that compare.
    fn check_json(
        &self,
        index: usize,
        value: &ArgumentValue,
        reads: bool,
        decided: &KnownDecision,
    ) -> Result<(), Reply> {
        let comparison = self.comparison(decided);
        let found = comparison.body(self.subjects(index), value, reads);
        found.map_err(|e| refused("body", &e))
    }

    /// How a body is written that has to be looked into; `None`: it may pass unread.
    fn reads_body(
        &self,
        headers: Headers<'_>,
        decided: &KnownDecision,
    ) -> Result<Option<WrittenAs>, Reply> {
        let comparison = self.comparison(decided);
        let listed = comparison.listed(None, BODY);
        if listed.map_err(|e| refused("body", &e))? || !comparison.has_masked() {
            return Ok(None);
        }
        let unread = |message: &str| Err(Reply::problem(415, "UNSUPPORTED_MEDIA_TYPE", message));
        if headers.has_encoded_body() {
            return unread("send the request body without content encoding");
        }
        let essence = essence(&headers.all("content-type"));
        match essence.as_deref() {
            // A patch that tests or copies compares in a way of its own.
            Some("application/json-patch+json") => {}
            Some(e) if e == "application/json" || e.ends_with("+json") => {
                return Ok(Some(WrittenAs::Json));
            }
            Some("application/x-www-form-urlencoded") => return Ok(Some(WrittenAs::Form)),
            _ => {}
        }
        unread(
            "the request body must be JSON or a form, in UTF-8: what another one compares with \
             fields that are masked for this caller can't be told",
        )
    }
}

fn refused(name: &str, found: &Compared) -> Reply {
    match found {
        Compared::TooMuch => {
            let message = "the request names or nests too much";
            Reply::problem(400, "BAD_REQUEST", message)
        }
        Compared::Field {
            argument,
            coordinate,
        } => {
            let what = match name == "body" && !argument.is_empty() {
                true => format!("member `{argument}` of the body"),
                false => format!("parameter `{name}`"),
            };
            let message = format!(
                "the {what} uses `{coordinate}`, whose values are masked for this caller: answers \
                 would tell what they are"
            );
            Reply::problem(403, "MASKED_FIELD_COMPARED", &message)
        }
    }
}
