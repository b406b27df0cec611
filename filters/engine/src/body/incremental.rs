//! Results that come in parts: `@defer`, `@stream` and subscriptions.
//!
//! Three notations are in use, and a part tells by its members which one it is in: deferred data
//! with a `path` at the top of a part; under `incremental`, each with a `path` (both: the
//! specification's earlier drafts); under `incremental`, each with the `id` of something `pending`
//! (the present draft). Results of subscriptions by multipart stand in a `payload`.
//!
//! A part is held until it is whole, since what tells its place may stand behind its data. Its
//! values are masked as those at that place in the whole response would be; where the type of the
//! object there was told by an earlier part, the strictest of what it can be counts.

mod part;
mod path;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::json::{Action, NodeId, Rewriter, Stats, push_string};
use crate::mask::{Plan, PlanMasker};

use super::{BodyError, BodyLimits, add, masker};

use part::{Completed, Item, Part, Pending};
use path::{Place, Segment, resolve};

/// The parts of one result, or of a stream of results.
#[derive(Debug)]
pub struct Incremental {
    plan: Arc<Plan>,
    masker: PlanMasker,
    limits: BodyLimits,
    data: Action,
    errors: Option<Action>,
    extensions: Option<Action>,
    /// What was said to be pending: the server's id → ours, and its place.
    pending: HashMap<String, (u64, Place)>,
    numbered: u64,
    stats: Stats,
}

/// Things that may be pending at a time.
const MOST_PENDING: usize = 10_000;

impl Incremental {
    /// The parts of a plan's response.
    pub fn new(plan: &Arc<Plan>, limits: BodyLimits) -> Self {
        let root: NodeId = plan.program.root;
        let action = |key: &str| plan.program.node(root).and_then(|n| n.action(key));
        Self {
            masker: masker(plan),
            limits,
            data: action("data").unwrap_or(Action::Drop),
            errors: action("errors"),
            extensions: action("extensions"),
            plan: plan.clone(),
            pending: HashMap::new(),
            numbered: 0,
            stats: Stats::default(),
        }
    }

    /// The masker and what it did.
    pub fn masker(&self) -> &PlanMasker {
        &self.masker
    }

    /// What was met so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Writes a whole part as it may be sent on.
    ///
    /// # Errors
    /// It is not one, or says something that is not known.
    pub fn part(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        let part = Part::parse(text)?;
        let mut members = Members::open(out);
        if let Some(payload) = part.payload {
            members.key("payload", out);
            if payload.get() == "null" {
                out.extend_from_slice(b"null");
            } else {
                let inner = Part::parse(payload.get().as_bytes())?;
                if inner.payload.is_some() {
                    return Err(BodyError::Incremental("a payload in a payload"));
                }
                let mut within = Members::open(out);
                self.members(&inner, &mut within, out)?;
                within.close(out);
            }
        }
        self.members(&part, &mut members, out)?;
        members.close(out);
        Ok(())
    }

    fn members(
        &mut self,
        part: &Part<'_>,
        members: &mut Members,
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        let top = Item {
            data: part.data,
            items: part.items,
            path: part.path.as_deref(),
            label: part.label.as_deref(),
            errors: part.errors,
            extensions: part.extensions,
            ..Item::default()
        };
        if top.path.is_some() || top.items.is_some() {
            self.item(&top, members, out)?;
        } else {
            self.value("data", part.data, Some(self.data), 0, members, out)?;
            self.value("errors", part.errors, self.errors, 0, members, out)?;
            self.value(
                "extensions",
                part.extensions,
                self.extensions,
                0,
                members,
                out,
            )?;
        }
        // What is pending must be known before what it brings is looked at.
        if let Some(pending) = &part.pending {
            members.list("pending", pending, out, |p, members, out| {
                self.pend(p, members, out)
            })?;
        }
        if let Some(incremental) = &part.incremental {
            members.list("incremental", incremental, out, |raw, members, out| {
                self.item(&raw.item(), members, out)
            })?;
        }
        if let Some(completed) = &part.completed {
            members.list("completed", completed, out, |c, members, out| {
                self.complete(c, members, out)
            })?;
        }
        if let Some(more) = part.has_next {
            members.key("hasNext", out);
            out.extend_from_slice(if more { b"true" } else { b"false" });
        }
        Ok(())
    }

    /// Deferred data or streamed items, at their place.
    fn item(
        &mut self,
        item: &Item<'_, '_>,
        members: &mut Members,
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        let base = match item.id {
            Some(id) => {
                let known = self.pending.get(id).cloned();
                let (number, place) =
                    known.ok_or(BodyError::Incremental("an id is not pending"))?;
                members.key("id", out);
                push_string(&number.to_string(), out);
                place
            }
            None => Place::root(self.data),
        };
        let (key, segments) = match (item.path, item.sub_path) {
            (Some(path), None) if item.id.is_none() => ("path", path),
            (None, Some(path)) if item.id.is_some() => ("subPath", path),
            (None, None) if item.id.is_some() => ("subPath", &[] as &[Segment]),
            _ => return Err(BodyError::Incremental("it has no place")),
        };
        let program = self.plan.program.clone();
        let mut place = resolve(&program, base, segments)
            .ok_or(BodyError::Incremental("its path is not in the operation"))?;
        if item.items.is_some() && key == "path" {
            // The path of streamed items ends with the index of the first.
            place.lists = place.lists.saturating_sub(1);
        }
        // What is deferred are members of an object: where that is masked whole, there are none. The
        // items of a masked list are masked one by one.
        let masked = matches!(place.action, Some(Action::Mask(_)));
        let hidden = place.action.is_none() || (masked && item.data.is_some());
        match (item.data, item.items) {
            (Some(_), Some(_)) => return Err(BodyError::Incremental("it has data and items")),
            _ if hidden => {
                // Below something that is masked whole: nothing of it is sent on.
                let name = if item.data.is_some() { "data" } else { "items" };
                members.key(name, out);
                out.extend_from_slice(b"null");
            }
            (data, items) => {
                self.value("data", data, place.action, place.lists, members, out)?;
                self.value("items", items, place.action, place.lists, members, out)?;
            }
        }
        if key == "path" || !segments.is_empty() {
            members.key(key, out);
            path::write(segments, out);
        }
        self.label(item.label, members, out);
        self.value("errors", item.errors, self.errors, 0, members, out)?;
        self.value(
            "extensions",
            item.extensions,
            self.extensions,
            0,
            members,
            out,
        )
    }

    fn pend(
        &mut self,
        pending: &Pending<'_>,
        members: &mut Members,
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        let program = self.plan.program.clone();
        let place = resolve(&program, Place::root(self.data), &pending.path)
            .ok_or(BodyError::Incremental("its path is not in the operation"))?;
        if self.pending.len() >= MOST_PENDING {
            return Err(BodyError::Incremental("too much is pending"));
        }
        let number = self.numbered;
        self.numbered += 1;
        let known = self.pending.insert(pending.id.to_string(), (number, place));
        if known.is_some() {
            return Err(BodyError::Incremental("an id is pending twice"));
        }
        members.key("id", out);
        push_string(&number.to_string(), out);
        members.key("path", out);
        path::write(&pending.path, out);
        self.label(pending.label.as_deref(), members, out);
        Ok(())
    }

    fn complete(
        &mut self,
        completed: &Completed<'_>,
        members: &mut Members,
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        let (number, _) = self
            .pending
            .remove(&*completed.id)
            .ok_or(BodyError::Incremental("an id is not pending"))?;
        members.key("id", out);
        push_string(&number.to_string(), out);
        self.value("errors", completed.errors, self.errors, 0, members, out)
    }

    /// A label is the client's own word: any other is left out.
    fn label(&self, label: Option<&str>, members: &mut Members, out: &mut Vec<u8>) {
        if let Some(label) = label
            && self
                .plan
                .labels
                .binary_search_by(|l| (**l).cmp(label))
                .is_ok()
        {
            members.key("label", out);
            push_string(label, out);
        }
    }

    /// A member whose value is rewritten; none where the plan lets none through.
    fn value(
        &mut self,
        key: &str,
        raw: Option<&RawValue>,
        action: Option<Action>,
        lists: u8,
        members: &mut Members,
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        let (Some(raw), Some(action)) = (raw, action) else {
            return Ok(());
        };
        members.key(key, out);
        let program = self.plan.program.clone();
        let mut rewriter = Rewriter::at(program, self.limits.json, action, lists);
        rewriter.push(raw.get().as_bytes(), &mut self.masker, out)?;
        // A number at the very end has no end of its own.
        rewriter.push(b" ", &mut self.masker, out)?;
        if out.last() == Some(&b' ') {
            out.pop();
        }
        rewriter.finish()?;
        self.stats = add(self.stats, rewriter.stats());
        Ok(())
    }
}

/// Writes the members of an object.
struct Members {
    first: bool,
}

impl Members {
    fn open(out: &mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { first: true }
    }

    fn key(&mut self, key: &str, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.first, false) {
            out.push(b',');
        }
        push_string(key, out);
        out.push(b':');
    }

    /// A member that is a list of objects.
    fn list<T>(
        &mut self,
        key: &str,
        items: &[T],
        out: &mut Vec<u8>,
        mut write: impl FnMut(&T, &mut Self, &mut Vec<u8>) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        self.key(key, out);
        out.push(b'[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            let mut members = Self::open(out);
            write(item, &mut members, out)?;
            members.close(out);
        }
        out.push(b']');
        Ok(())
    }

    fn close(self, out: &mut Vec<u8>) {
        out.push(b'}');
    }
}
