//! From syntax tree to [`Document`].

use apollo_parser::cst;

use super::argument::{self, ArgumentValue, arguments};
use super::document::{
    Directive, Document, Field, Fragment, Operation, Selection, SetIndex, Variable,
};
use super::{GraphqlError, Limits};
use crate::schema::{OperationKind, position};

/// Directives that compare nothing: the specification's, and those for parts that come later.
const STANDARD: [&str; 6] = [
    "skip",
    "include",
    "defer",
    "stream",
    "specifiedBy",
    "deprecated",
];

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
                document.note(d.directives());
                let definitions = d.variable_definitions().into_iter();
                for variable in definitions.flat_map(|v| v.variable_definitions()) {
                    document.note(variable.directives());
                }
                let set = document.selection_set(d.selection_set());
                document.operations.push(Operation {
                    kind,
                    name: d.name().map(name),
                    set,
                    variables: variables(d.variable_definitions()),
                });
            }
            cst::Definition::FragmentDefinition(d) => {
                let key = d
                    .fragment_name()
                    .and_then(|n| n.name())
                    .map(name)
                    .unwrap_or_default();
                let condition = condition(d.type_condition()).unwrap_or_default();
                document.note(d.directives());
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

fn variables(definitions: Option<cst::VariableDefinitions>) -> Vec<Variable> {
    let definitions = definitions
        .into_iter()
        .flat_map(|v| v.variable_definitions());
    let variable = |v: cst::VariableDefinition| {
        let mut ty = v.ty();
        let named = loop {
            ty = match ty? {
                cst::Type::NamedType(n) => break n,
                cst::Type::ListType(l) => l.ty(),
                cst::Type::NonNullType(n) => match (n.named_type(), n.list_type()) {
                    (Some(n), _) => break n,
                    (None, list) => list?.ty(),
                },
            };
        };
        Some(Variable {
            name: v.variable()?.name().map(name)?,
            named: named.name().map(name)?,
            default: v
                .default_value()
                .and_then(|d| d.value())
                .map(argument::value),
        })
    };
    definitions.filter_map(variable).collect()
}

/// Directives of the upstream's own.
fn own(directives: Option<cst::Directives>) -> Vec<Directive> {
    let directives = directives.into_iter().flat_map(|d| d.directives());
    directives
        .filter_map(|d| {
            let name = d.name().map(name)?;
            (!STANDARD.contains(&&*name)).then(|| Directive {
                name,
                arguments: arguments(d.arguments()),
            })
        })
        .collect()
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
                    self.label(f.directives());
                    let field = Field {
                        arguments: arguments(f.arguments()),
                        directives: own(f.directives()),
                        alias: f.alias().and_then(|a| a.name()).map(name),
                        name: f.name().map(name).unwrap_or_default(),
                        set,
                    };
                    self.fields.push(field);
                    Selection::Field((self.fields.len() - 1) as u32)
                }
                cst::Selection::FragmentSpread(s) => {
                    self.label(s.directives());
                    self.note(s.directives());
                    let spread = s.fragment_name().and_then(|n| n.name());
                    Selection::Spread(spread.map(name).unwrap_or_default())
                }
                cst::Selection::InlineFragment(i) => {
                    self.label(i.directives());
                    self.note(i.directives());
                    Selection::Inline {
                        condition: condition(i.type_condition()),
                        set: self.selection_set(i.selection_set()),
                    }
                }
            });
        }
        self.sets.push(selections);
        (self.sets.len() - 1) as SetIndex
    }

    /// Notes directives that do not stand on a field.
    fn note(&mut self, directives: Option<cst::Directives>) {
        self.directives.extend(own(directives));
    }

    /// Notes the label of a part that may come later.
    fn label(&mut self, directives: Option<cst::Directives>) {
        for directive in directives.into_iter().flat_map(|d| d.directives()) {
            let later = directive.name().map(name);
            if !matches!(later.as_deref(), Some("defer" | "stream")) {
                continue;
            }
            let label = arguments(directive.arguments())
                .into_iter()
                .find(|a| &*a.name == "label");
            if let Some(ArgumentValue::Text(label)) = label.map(|a| a.value) {
                self.labels.push(label);
            }
        }
    }
}
