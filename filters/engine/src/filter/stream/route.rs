//! Routes that are no GraphQL.

use crate::filter::{Headers, Masking, form};
use crate::graphql::ArgumentValue;
use crate::mask::Compared;
use crate::reply::Reply;
use crate::schema::OperationKind;

use super::{Answer, MaskingStream};

impl MaskingStream {
    /// Decides about a request to a route: whether it goes on, and how its answer is masked.
    pub(super) fn admit_route(
        &mut self,
        filter: &mut Masking,
        index: usize,
        headers: Headers<'_>,
    ) -> Result<(Answer, bool), Reply> {
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
        let kind = match method {
            "GET" | "HEAD" => OperationKind::Query,
            _ => OperationKind::Mutation,
        };
        let decided = self.decide(filter, kind, (surface, Some(&name)))?;
        let path = headers.text(":path").unwrap_or_default();
        let query = path.split_once('?').map_or("", |(_, q)| q);
        let parameters = form::parameters(query)
            .ok_or_else(|| Reply::problem(400, "BAD_REQUEST", "the query string is malformed"))?;
        let comparison = filter.comparison(&decided);
        let subjects = filter.subjects(index, comparison);
        for (name, value) in &parameters {
            let value = ArgumentValue::Word(value.as_str().into());
            match comparison.argument(&subjects, name, &value) {
                Ok(_) => {}
                Err(Compared::TooMuch) => {
                    let message = "the query string names too much";
                    return Err(Reply::problem(400, "BAD_REQUEST", message));
                }
                Err(Compared::Field { coordinate, .. }) => {
                    let message = format!(
                        "the parameter `{name}` uses `{coordinate}`, whose values are masked for \
                         this caller: answers would tell what they are"
                    );
                    return Err(Reply::problem(403, "MASKED_FIELD_COMPARED", &message));
                }
            }
        }
        let tenant = self.record.tenant.clone().unwrap_or_default();
        let plan = filter
            .route_plan(index, &decided, &tenant)
            .map_err(|e| broken(&e))?;
        self.note(&plan.plan);
        Ok((Answer::Route(index, plan), decided.decision.admin))
    }
}
