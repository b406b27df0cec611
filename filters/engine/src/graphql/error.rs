/// Why an operation can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphqlError {
    /// The document is not GraphQL.
    #[error("the query does not parse at line {line}, column {column}: {message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser expected.
        message: String,
    },
    /// The document is larger or deeper than allowed.
    #[error("the query is too large or nests too deeply")]
    Limit,
    /// The document defines types.
    #[error("the query may hold operations and fragments only")]
    NotExecutable,
    /// A fragment is spread that the document does not define.
    #[error("the fragment `{0}` is not defined")]
    UnknownFragment(String),
    /// A fragment is defined twice.
    #[error("the fragment `{0}` is defined twice")]
    DuplicateFragment(String),
    /// A fragment contains itself.
    #[error("the fragment `{0}` contains itself")]
    CyclicFragment(String),
    /// Two operations have one name, or an anonymous one is not alone.
    #[error("operations need distinct names, and an anonymous one must stand alone")]
    AmbiguousNames,
    /// There is no operation to run.
    #[error("the query holds no operation")]
    NoOperation,
    /// `operationName` names none of the operations.
    #[error("the query holds no operation named `{0}`")]
    UnknownOperation(String),
    /// There are several operations and `operationName` is missing.
    #[error("the query holds several operations: `operationName` must choose one")]
    OperationNameMissing,
    /// The schema has no root type for this kind of operation.
    #[error("the schema has no root type for this kind of operation")]
    NoRoot,
    /// A type condition names no type of the schema.
    #[error("the type condition names `{0}`, which the schema does not have")]
    UnknownType(String),
    /// An argument filters, sorts or groups by a field whose values are masked.
    #[error(
        "the argument `{argument}` uses `{coordinate}`, whose values are masked for this caller: \
         answers would tell what they are"
    )]
    Compared {
        /// The names on the way to it, joined by dots.
        argument: String,
        /// The field.
        coordinate: String,
    },
    /// The policy does not let the caller ask for the schema.
    #[error("the policy does not let this caller ask for the schema")]
    Introspection,
    /// A field has a selection and must not, or lacks one.
    #[error("the field `{0}` {1}")]
    BadSelection(String, &'static str),
}

impl GraphqlError {
    /// The stable code of the error, as clients see it in `extensions.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "GRAPHQL_PARSE_FAILED",
            Self::Limit => "OPERATION_TOO_COMPLEX",
            Self::NoOperation | Self::UnknownOperation(_) | Self::OperationNameMissing => {
                "OPERATION_RESOLUTION_FAILURE"
            }
            Self::Compared { .. } => "MASKED_FIELD_COMPARED",
            Self::Introspection => "INTROSPECTION_REFUSED",
            _ => "GRAPHQL_VALIDATION_FAILED",
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Compared { .. } | Self::Introspection => 403,
            _ => 400,
        }
    }
}
