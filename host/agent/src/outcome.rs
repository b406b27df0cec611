use serde::{Deserialize, Serialize};

/// What came of one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outcome {
    /// The store's name in the configuration.
    pub store: String,
    /// What it speaks.
    pub kind: StoreKind,
    /// What was to be done.
    pub op: Operation,
    /// What came of it.
    pub result: OutcomeKind,
    /// The guard's code, if it was the guard that said no: `CROSS_REGION`.
    pub code: Option<String>,
    /// Why, if it did not go well or is not quite as expected.
    pub reason: Option<String>,
    /// What the store says of itself: PostgreSQL's `cluster_name`, a bucket's location, the tags of
    /// Neo4j's server. Asked only after the operation was let through.
    pub identity: Option<String>,
    /// The region that this identity stands for.
    pub region: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// What came of an operation, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeKind {
    /// It was written, or deleted.
    Done,
    /// The sentinel was there to be read.
    Found,
    /// Another tenant's was there in its place.
    Foreign,
    /// There was none to be read or deleted.
    Absent,
    /// The guard or the store said no, in so many words.
    Refused,
    /// Anything else: no connection, no answer in time, an error.
    Failed,
}

/// What is done with a sentinel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It is written.
    Write,
    /// It is read.
    Read,
    /// It is deleted.
    Delete,
}

/// What a store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// PostgreSQL's protocol 3.
    Postgres,
    /// S3 by HTTP.
    S3,
    /// Neo4j's Query API v2 by HTTP.
    Neo4j,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_written_whatever_is_known() {
        let outcome = Outcome {
            store: "people".into(),
            kind: StoreKind::Postgres,
            op: Operation::Read,
            result: OutcomeKind::Refused,
            code: Some("CROSS_REGION".into()),
            reason: None,
            identity: None,
            region: None,
            ms: 3,
        };
        let text = serde_json::to_string(&outcome).unwrap();
        assert_eq!(
            text,
            r#"{"store":"people","kind":"postgres","op":"read","result":"refused","code":"CROSS_REGION","reason":null,"identity":null,"region":null,"ms":3}"#
        );
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    }
}
