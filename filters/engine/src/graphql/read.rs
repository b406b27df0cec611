//! From syntax tree to [`Document`].

use apollo_parser::cst;

use super::document::{Document, Field, Fragment, Operation, Selection, SetIndex};
use super::{GraphqlError, Limits};
use crate::schema::{OperationKind, position};

pub(super) fn read(text: &str, limits: Limits) -> Result<Document, GraphqlError> {
    let tree = apollo_parser::Parser::new(text)
        .recursion_limit(limits.depth)
        .token_limit(limits.tokens)
        .parse();
    if let Some(error) = tree.errors().next() {
        if tree.errors().any(apollo_parser::Error::is_limit) {
            return Err(GraphqlError::Limit);
        }
        let (line, column) = position(text, error.index());
        return Err(GraphqlError::Syntax {
            line,
            column,
            message: error.message().to_owned(),
        });
    }
    let mut document = Document::default();
    for definition in tree.document().definitions() {
        match definition {
            cst::Definition::OperationDefinition(d) => {
                let kind = match d.operation_type() {
                    Some(t) if t.mutation_token().is_some() => OperationKind::Mutation,
                    Some(t) if t.subscription_token().is_some() => OperationKind::Subscription,
                    _ => OperationKind::Query,
                };
                let set = document.selection_set(d.selection_set());
                document.operations.push(Operation {
                    kind,
                    name: d.name().map(name),
                    set,
                });
            }
            cst::Definition::FragmentDefinition(d) => {
                let key = d
                    .fragment_name()
                    .and_then(|n| n.name())
                    .map(name)
                    .unwrap_or_default();
                let condition = condition(d.type_condition()).unwrap_or_default();
                let set = document.selection_set(d.selection_set());
                let fragment = Fragment { condition, set };
                if document.fragments.insert(key.clone(), fragment).is_some() {
                    return Err(GraphqlError::DuplicateFragment(key.into()));
                }
            }
            _ => return Err(GraphqlError::NotExecutable),
        }
    }
    Ok(document)
}

fn name(name: cst::Name) -> Box<str> {
    name.text().as_str().into()
}

fn condition(condition: Option<cst::TypeCondition>) -> Option<Box<str>> {
    condition?.named_type()?.name().map(name)
}

impl Document {
    fn selection_set(&mut self, set: Option<cst::SelectionSet>) -> SetIndex {
        let mut selections = Vec::new();
        for selection in set.into_iter().flat_map(|s| s.selections()) {
            selections.push(match selection {
                cst::Selection::Field(f) => {
                    let set = f.selection_set().map(|s| self.selection_set(Some(s)));
                    let field = Field {
                        alias: f.alias().and_then(|a| a.name()).map(name),
                        name: f.name().map(name).unwrap_or_default(),
                        set,
                    };
                    self.fields.push(field);
                    Selection::Field((self.fields.len() - 1) as u32)
                }
                cst::Selection::FragmentSpread(s) => Selection::Spread(
                    s.fragment_name()
                        .and_then(|n| n.name())
                        .map(name)
                        .unwrap_or_default(),
                ),
                cst::Selection::InlineFragment(i) => Selection::Inline {
                    condition: condition(i.type_condition()),
                    set: self.selection_set(i.selection_set()),
                },
            });
        }
        self.sets.push(selections);
        (self.sets.len() - 1) as SetIndex
    }
}
