//! Values of masked fields that stand nowhere else: where one is seen, its field was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

use crate::client::percent_encoded;

/// The class of a field, as `policies/ig/fields/data.json` has it; a field that only a directive
/// of the schema marks has the class of its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// How to reach somebody.
    Contact,
    /// A whole export.
    Export,
    /// What is earned.
    Financial,
    /// Who somebody is to the state.
    Identity,
    /// Where something is.
    Location,
}

/// A value of a masked field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The field.
    pub coordinate: &'static str,
    /// The field's class.
    pub class: Class,
    /// The value, as JSON without quotes has it.
    pub value: String,
}

impl Canary {
    /// Whether a text has it, plain, percent-encoded or in base64.
    pub fn is_in(&self, text: &str) -> bool {
        text.contains(&self.value)
            || text.contains(&percent_encoded(&self.value))
            // The last characters of base64 depend on what follows.
            || text.contains(STANDARD_NO_PAD.encode(&self.value).get(..12).unwrap_or("\0"))
    }
}

/// A list of the data, what to follow in each of its members, and the field that holds.
const FIELDS: [(&str, &str, &str, Class); 11] = [
    ("people", "/email", "Person.email", Class::Contact),
    ("people", "/phone", "Person.phone", Class::Contact),
    ("people", "/salary", "Person.salary", Class::Financial),
    (
        "people",
        "/nationalId",
        "Person.nationalId",
        Class::Identity,
    ),
    ("people", "/birthDate", "Person.birthDate", Class::Identity),
    ("vendors", "/email", "Vendor.email", Class::Contact),
    ("vendors", "/phone", "Vendor.phone", Class::Contact),
    ("assets", "/email", "Asset.email", Class::Contact),
    (
        "assets",
        "/location/latitude",
        "Location.latitude",
        Class::Location,
    ),
    (
        "assets",
        "/location/longitude",
        "Location.longitude",
        Class::Location,
    ),
    ("", "", "Export.body", Class::Export),
];

/// All of them, from `node/data.json`, which the servers serve.
///
/// # Panics
/// The data is not of this shape.
pub fn canaries() -> Vec<Canary> {
    let data: Value = serde_json::from_str(include_str!("../node/data.json")).expect("JSON");
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    FIELDS
        .iter()
        .flat_map(|&(list, pointer, coordinate, class)| {
            let export = [data["export"].clone()];
            let members = data[list].as_array().map_or(&export[..], Vec::as_slice);
            let values: Vec<String> = members
                .iter()
                .map(|member| plain(member.pointer(pointer).expect("every field has a value")))
                .collect();
            values.into_iter().map(move |value| Canary {
                coordinate,
                class,
                value,
            })
        })
        .collect()
}
