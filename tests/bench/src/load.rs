//! What is sent: bodies of a size with a number of values to mask, and the filter's configuration
//! for them.

use std::fmt::Write;

use serde_json::{Value, json};

/// The schema of the bodies: persons hold what is masked, places fill up.
pub const SCHEMA: &str = "type Query { people: [Person!]! places: [Place!]! }
    type Person { id: ID! name: String! email: String phone: String }
    type Place { id: ID! name: String! country: String floor: Int open: Boolean notes: String }";

/// The operation of every request.
pub const QUERY: &str = "query Directory { people { id name email phone } \
    places { id name country floor open notes } }";

/// What stands in every e-mail address of a body, and in no masked answer.
pub const SECRET: &str = "@acme.example";

/// What takes the place of a redacted value.
pub const REDACTED: &str = "[REDACTED]";

/// How a pseudonym of [`MASK_KEYS`] begins.
pub const PSEUDONYM: &str = "h:k1:";

/// The variable that the masking filter reads its keys from, and its value.
pub const MASK_KEYS: (&str, &str) = (
    "IG_MASK_KEYS",
    "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
);

const POLICY: &str = r#"package ig.masking
default decision := {"allow": false, "denials": [{"code": "POLICY_DENIED", "reason": "no rule"}]}
decision := {"allow": true, "rules": rules} if input.tenant == "acme"
rules[c] := object.union(s, {"reason": "role!=admin"}) if some c, s in data.ig.strategies
"#;

/// A size of response and a number of values to mask in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes of the body; it has this many or a few less.
    pub bytes: usize,
    /// Values to mask: half of them e-mail addresses, half telephone numbers.
    pub values: usize,
}

impl Load {
    /// A kilobyte, as the names of loads count it.
    pub const KB: usize = 1024;
    /// A megabyte, as the names of loads count it.
    pub const MB: usize = 1024 * 1024;

    /// The load that the aims speak of.
    pub const USUAL: Load = Load {
        bytes: 12 * Self::KB,
        values: 200,
    };

    /// All loads of the table: every size with every number of values that fits it.
    pub fn all() -> Vec<Load> {
        let sizes = [
            Self::KB,
            12 * Self::KB,
            128 * Self::KB,
            Self::MB,
            16 * Self::MB,
        ];
        sizes
            .into_iter()
            .flat_map(|bytes| [0, 20, 200, 2000].map(|values| Load { bytes, values }))
            .filter(|load| load.values / 2 * PERSON_BYTES + ENVELOPE_BYTES <= load.bytes)
            .collect()
    }

    /// The size in words: `12 KB`.
    pub fn size(&self) -> String {
        match self.bytes {
            bytes if bytes >= Self::MB => format!("{} MB", bytes / Self::MB),
            bytes => format!("{} KB", bytes / Self::KB),
        }
    }

    /// The load as one word: `12KB/200`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.size().replace(' ', ""), self.values)
    }

    /// The load as a word for headers and names of files: `12KB-200`.
    pub fn word(&self) -> String {
        self.name().replace('/', "-")
    }

    /// The response's body.
    pub fn body(&self) -> Vec<u8> {
        let people: Vec<String> = (0..self.values / 2).map(person).collect();
        let mut body = format!(
            "{{\"data\":{{\"people\":[{}],\"places\":[",
            people.join(",")
        );
        let end = "]}}";
        let mut number = 0;
        while body.len() + PLACE_BYTES + 1 + end.len() <= self.bytes {
            if number > 0 {
                body.push(',');
            }
            let left = self.bytes - body.len() - end.len();
            // The last one takes what is left.
            let notes = if left < 2 * (PLACE_BYTES + 1) {
                left - PLACE_BYTES + NOTES
            } else {
                NOTES
            };
            place(&mut body, number, notes);
            number += 1;
        }
        body.push_str(end);
        body.into_bytes()
    }
}

const ENVELOPE_BYTES: usize = 34;
const PERSON_BYTES: usize = 99;
const PLACE_BYTES: usize = 106;
const NOTES: usize = 16;

fn person(number: usize) -> String {
    format!(
        "{{\"id\":\"p{number:05}\",\"name\":\"Person {number:05}\",\
         \"email\":\"person.{number:05}{SECRET}\",\"phone\":\"+49 30 {number:07}\"}}"
    )
}

fn place(out: &mut String, number: usize, notes: usize) {
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "{{\"id\":\"q{number:06}\",\"name\":\"Room {number:06}\",\"country\":\"DE\",\"floor\":{},\
         \"open\":true,\"notes\":\"{:n<notes$}\"}}",
        10 + number % 90,
        ""
    );
}

/// The masking filter's configuration with one strategy for all values.
pub fn masking(strategy: &str) -> Value {
    let rule = match strategy {
        "partial" => json!({"strategy": "partial", "keep_last": 2}),
        other => json!({"strategy": other}),
    };
    json!({
        "revision": "bench",
        "region": "eu",
        "policy": {
            "modules": [{"path": "masking.rego", "text": POLICY}],
            "data": {"ig": {"strategies": {"Person.email": rule, "Person.phone": rule}}},
        },
        "schema": SCHEMA,
        "graphql_paths": ["/graphql"],
        "keys_env": MASK_KEYS.0,
    })
}

/// The body of every request.
pub fn request() -> String {
    json!({"query": QUERY}).to_string()
}

/// The claims that `jwt_authn` would leave.
pub fn claims() -> Value {
    json!({"sub": "ann", "tenant": "acme", "roles": ["analyst"], "purposes": ["analytics"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_their_size_and_their_values() {
        for load in Load::all() {
            let body = String::from_utf8(load.body()).expect("text");
            let json: Value = serde_json::from_str(&body).expect("JSON");
            let people = json["data"]["people"].as_array().expect("people");
            assert_eq!(people.len() * 2, load.values, "{}", load.name());
            assert_eq!(body.matches(SECRET).count(), people.len());
            let short = load.bytes - body.len();
            assert!(short <= PLACE_BYTES + 1, "{}: {short} less", load.name());
        }
        assert_eq!(Load::all().len(), 17);
    }
}
