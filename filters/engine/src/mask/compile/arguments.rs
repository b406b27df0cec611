//! What a field's selection may not do: ask for the schema, or compare masked values.

use crate::graphql::{ArgumentValue, Field, FieldIndex, GraphqlError};
use crate::mask::compare::{Compared, Comparison};
use crate::mask::plan::Guard;
use crate::schema::{Kind, OperationKind, Scalar, TypeId, TypeSet};

use super::Compiler;

impl<'s> Compiler<'s> {
    /// Refuses a selection that the rules do not allow, whatever comes of it.
    pub(super) fn admit(
        &mut self,
        id: FieldIndex,
        field: &Field,
        types: &TypeSet,
        depth: usize,
    ) -> Result<(), GraphqlError> {
        if matches!(&*field.name, "__schema" | "__type") && !self.table.introspection() {
            return Err(GraphqlError::Introspection);
        }
        let asks = !field.arguments.is_empty() || !field.directives.is_empty();
        if !asks || !self.compared.insert((id, types.clone())) {
            return Ok(());
        }
        let comparison = Comparison::new(self.schema, self.table);
        let mut subjects = TypeSet::default();
        let mut fields = Vec::new();
        for ty in types.iter() {
            if let Some(def) = self.schema.field(ty, &field.name) {
                subjects.extend(&comparison.subjects(def.shape.named));
                fields.push(def.id);
            }
        }
        let known = subjects.iter().filter_map(|t| self.schema.get(t));
        let cost: usize = known.map(|t| t.fields().count()).sum();
        let names = field.arguments.len() + field.directives.len();
        self.charge(cost.saturating_mul(names))?;
        let kind = self.operation.kind;
        let mutates = depth == 0 && kind == OperationKind::Mutation;
        let writes = depth == 0 && Comparison::is_write(kind, &field.name);
        let mut guards = Vec::new();
        let mut told = true;
        for argument in &field.arguments {
            let mut listed = !fields.is_empty();
            for of in &fields {
                listed &= comparison
                    .listed(Some(*of), &argument.name)
                    .map_err(compared)?;
            }
            if listed {
                continue;
            }
            told = false;
            let found = match writes {
                true => comparison.written(&subjects, &argument.name, &argument.value),
                false => comparison.argument(&subjects, &argument.name, &argument.value),
            };
            guards.extend(found.map_err(compared)?);
        }
        if !told {
            let found = comparison.name(&subjects, &field.name, mutates);
            found.map_err(compared)?;
        }
        for directive in &field.directives {
            let found = comparison.directive(&subjects, &directive.name, &directive.arguments);
            guards.extend(found.map_err(compared)?);
        }
        self.guard(comparison, guards)
    }

    /// Refuses directives on operations, variables and fragments that name a masked field.
    pub(super) fn admit_directives(&mut self, root: TypeId) -> Result<(), GraphqlError> {
        let document = self.document;
        let comparison = Comparison::new(self.schema, self.table);
        let types = TypeSet::of(root);
        for directive in document.directives() {
            self.charge(directive.arguments.len())?;
            let found = comparison.directive(&types, &directive.name, &directive.arguments);
            self.guard(comparison, found.map_err(compared)?)?;
        }
        Ok(())
    }

    fn guard(
        &mut self,
        comparison: Comparison<'_>,
        guards: Vec<Guard>,
    ) -> Result<(), GraphqlError> {
        for guard in guards {
            let variable = self.operation.variables.iter();
            let variable = variable.clone().find(|v| v.name == guard.variable);
            if let Some(default) = variable.and_then(|v| v.default.as_ref()) {
                comparison.guarded(&guard, default).map_err(compared)?;
            }
            // An id or a number names nothing, whatever it is.
            let named = variable.and_then(|v| self.schema.type_id(&v.named));
            let plain = named.and_then(|id| self.schema.get(id)).is_some_and(
                |t| matches!(&t.kind, Kind::Scalar(scalar) if *scalar != Scalar::Custom),
            );
            if (!plain || Comparison::reads_strings(&guard)) && !self.guards.contains(&guard) {
                self.charge(1)?;
                self.guards.push(guard);
            }
        }
        Ok(())
    }
}

/// The error that names argument and field.
pub(crate) fn compared(found: Compared) -> GraphqlError {
    match found {
        Compared::TooMuch => GraphqlError::Limit,
        Compared::Field {
            argument,
            coordinate,
        } => GraphqlError::Compared {
            argument,
            coordinate,
        },
    }
}

impl crate::mask::Plan {
    /// Refuses values of variables that name a masked field.
    ///
    /// # Errors
    /// One does.
    pub fn check_variables(
        &self,
        comparison: Comparison<'_>,
        variables: &ArgumentValue,
    ) -> Result<(), GraphqlError> {
        let ArgumentValue::Object(variables) = variables else {
            return Ok(());
        };
        for guard in &self.guards {
            for variable in variables.iter().filter(|v| v.name == guard.variable) {
                comparison
                    .guarded(guard, &variable.value)
                    .map_err(compared)?;
            }
        }
        Ok(())
    }
}
