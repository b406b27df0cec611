//! What a field's selection may not do: ask for the schema, or compare masked values.

use crate::graphql::{ArgumentValue, Field, FieldIndex, GraphqlError};
use crate::mask::compare::{Compared, Comparison};
use crate::schema::{Kind, Scalar, TypeSet};

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
        if field.arguments.is_empty() || !self.compared.insert((id, types.clone())) {
            return Ok(());
        }
        let comparison = Comparison::new(self.schema, self.table);
        let mut subjects = TypeSet::default();
        for ty in types.iter() {
            if let Some(def) = self.schema.field(ty, &field.name) {
                subjects.extend(&comparison.subjects(def.shape.named));
            }
        }
        let known = subjects.iter().filter_map(|t| self.schema.get(t));
        let cost: usize = known.map(|t| t.fields().count()).sum();
        self.charge(cost.saturating_mul(field.arguments.len()))?;
        let writes = |name: &str| depth == 0 && Comparison::is_write(self.operation.kind, name);
        let mut guards = Vec::new();
        for argument in field.arguments.iter().filter(|a| !writes(&a.name)) {
            let found = comparison
                .argument(&subjects, &argument.name, &argument.value)
                .map_err(compared)?;
            guards.extend(found);
        }
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
