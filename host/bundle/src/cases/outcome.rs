use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use engine::context::{CONTEXT_HEADER, ContextKeys, ContextToken};
use serde_json::Value;

use super::case::{Case, Want};
use super::fixture::CONTEXT_KEYS;
use crate::json::member;

/// Headers in the order of their names.
pub type HeaderList = Vec<(String, String)>;

/// Headers and body of a message.
type Message = (Vec<(String, Vec<u8>)>, Vec<u8>);

/// What came of a case. Decision ids and the policies' revision are cut down to `dec_` and `r-`,
/// so that two runs can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What the client sees: headers with the status, if there are any.
    pub headers: HeaderList,
    /// What the client sees of the body.
    pub body: Vec<u8>,
    /// Whether the response was cut off.
    pub reset: bool,
    /// The headers of the request that reached the upstream, if it did.
    pub upstream: Option<HeaderList>,
    /// The request's body at the upstream.
    pub upstream_body: Vec<u8>,
    /// The residency filter's record.
    pub residency: Option<Value>,
    /// The masking filter's record.
    pub masking: Option<Value>,
}

impl Outcome {
    /// What was seen.
    pub fn new(
        revision: &str,
        case: &Case,
        headers: impl IntoIterator<Item = (String, Vec<u8>)>,
        body: Vec<u8>,
        reset: bool,
        upstream: Option<Message>,
        [residency, masking]: [Option<String>; 2],
    ) -> Self {
        let list = |headers: Vec<(String, Vec<u8>)>| {
            let text = |n: &str, v: Vec<u8>| match n {
                CONTEXT_HEADER => without_ids(&context(&v, case), revision),
                _ => without_ids(&String::from_utf8_lossy(&v), revision),
            };
            let mut list: HeaderList = headers
                .into_iter()
                .map(|(n, v)| {
                    let v = text(&n, v);
                    (n, v)
                })
                .collect();
            list.sort();
            list
        };
        // What is no JSON is no record, and like none that is wanted.
        let record = |text: String| {
            let text = without_ids(&text, revision);
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        let (upstream, upstream_body) = upstream.unzip();
        Self {
            headers: list(headers.into_iter().collect()),
            body,
            reset,
            upstream: upstream.map(list),
            upstream_body: upstream_body.unwrap_or_default(),
            residency: residency.map(record),
            masking: masking.map(record),
        }
    }

    /// The record of the filter that decided last.
    pub fn record(&self) -> &Value {
        self.masking
            .as_ref()
            .or(self.residency.as_ref())
            .unwrap_or(&Value::Null)
    }

    /// What is not as it must be, in words; empty if all is.
    pub fn against(&self, want: &Want) -> Vec<String> {
        let mut wrong = Vec::new();
        let text = String::from_utf8_lossy(&self.body);
        let header = |list: &HeaderList, name: &str| {
            list.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
        };
        let mut same = |what: &str, seen: &Value, want: &Value| {
            if seen != want {
                wrong.push(format!("{what}: got {seen}, want {want}"));
            }
        };
        let optional = |value: Option<String>| value.map_or(Value::Null, Value::String);
        if let Some(status) = want.status {
            let seen = header(&self.headers, ":status");
            same(
                "status",
                &optional(seen),
                &Value::String(status.to_string()),
            );
        }
        for (what, seen, want) in [
            ("body", &self.body, &want.body),
            ("upstream body", &self.upstream_body, &want.upstream_body),
        ] {
            let text = String::from_utf8_lossy(seen);
            match want {
                Some(Value::String(body)) => same(what, &text.into(), &body.as_str().into()),
                Some(body) => match serde_json::from_str(&text) {
                    Ok(json) => same(what, &json, body),
                    Err(_) => same(what, &text.into(), body),
                },
                None => {}
            }
        }
        if let Some(reset) = want.reset {
            same("is cut off", &self.reset.into(), &reset.into());
        }
        if let Some(code) = &want.code {
            let code = Value::String(code.clone());
            same("code of the record", member(self.record(), "code"), &code);
        }
        for (name, value) in &want.headers {
            let seen = optional(header(&self.headers, name));
            same(
                &format!("response header {name}"),
                &seen,
                &optional(value.clone()),
            );
        }
        if let Some(allow) = want.allow {
            same(
                "reaches the upstream",
                &self.upstream.is_some().into(),
                &allow.into(),
            );
        }
        let none = HeaderList::new();
        let upstream = self.upstream.as_ref().unwrap_or(&none);
        for (name, value) in &want.upstream {
            let seen = optional(header(upstream, name));
            same(
                &format!("upstream header {name}"),
                &seen,
                &optional(value.clone()),
            );
        }
        let context = header(upstream, CONTEXT_HEADER);
        let context: Value = context.map_or(Value::Null, |text| {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        });
        match &want.context {
            Some(Value::Object(members)) => {
                for (name, value) in members {
                    same(&format!("context's {name}"), member(&context, name), value);
                }
            }
            Some(other) => same("context token", &context, other),
            None => {}
        }
        if let Some(cluster) = &want.cluster {
            let seen = optional(header(upstream, "x-ig-cluster"));
            same("cluster", &seen, &cluster.as_str().into());
        }
        if let Some(regions) = &want.regions {
            let record = self.residency.clone().unwrap_or_default();
            same(
                "source region",
                member(&record, "regionSrc"),
                &regions.src.as_str().into(),
            );
            same(
                "region of the data",
                member(&record, "regionDst"),
                &optional(regions.dst.clone()),
            );
        }
        for (name, value) in want.record.iter().filter_map(Value::as_object).flatten() {
            same(
                &format!("record member {name}"),
                member(self.record(), name),
                value,
            );
        }
        let shown = format!(
            "{:?}\n{text}\n{:?}\n{:?}",
            self.headers, self.masking, self.residency
        );
        for absent in &want.absent {
            for form in forms(absent).iter().filter(|f| shown.contains(*f)) {
                wrong.push(format!("{absent} came out as {form}: {shown}"));
            }
        }
        wrong
    }
}

/// A text as it is, and as it could be written inside another: in a URL, in JSON, in base64 from each
/// place in a group of three bytes on.
fn forms(text: &str) -> Vec<String> {
    let url: String = text
        .bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect();
    let json = Value::from(text).to_string();
    let mut forms = vec![
        text.to_owned(),
        url.to_lowercase(),
        url.replace("%20", "+"),
        url,
        json.get(1..json.len() - 1).unwrap_or_default().to_owned(),
    ];
    for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [&vec![0; before], text.as_bytes()].concat();
        let whole = bytes.len() / 3 * 3;
        // What the neighbours share in is no sign of the text.
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = engine.encode(bytes.get(..whole).unwrap_or_default());
            forms.extend(encoded.get(skipped..).map(str::to_owned));
        }
    }
    forms.retain(|f| f.len() >= text.len().min(4));
    forms.sort();
    forms.dedup();
    forms
}

/// What a context token says to a guard of the gateway's region, as JSON; else why it is not believed.
fn context(token: &[u8], case: &Case) -> String {
    let region = &case.input.gateway_region;
    let keys = match ContextKeys::parse(CONTEXT_KEYS, region) {
        Ok(keys) => keys,
        Err(error) => return error.to_string(),
    };
    match ContextToken::verify(token, &keys, region, case.input.now) {
        Ok(token) => serde_json::to_string(&token).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

fn without_ids(text: &str, revision: &str) -> String {
    let text = text.replace(revision, "r-");
    let mut parts = text.split("dec_");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        plain.push_str("dec_");
        // Any other number of digits is no decision id: it stays, and shows.
        plain.push_str(match digits {
            32 => part.get(digits..).unwrap_or_default(),
            _ => part,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::forms;

    #[test]
    fn a_text_is_found_in_its_usual_encodings() {
        let forms = forms("ann@x \"y\"");
        for shown in [
            "ann@x \"y\"",
            "q=ann%40x%20%22y%22",
            "q=ann%40x+%22y%22",
            r#""ann@x \"y\"""#,
            // `ann@x "y"`, `,ann@x "y"`, `,,ann@x "y"`
            "YW5uQHggInki",
            "LGFubkB4ICJ5Ig==",
            "LCxhbm5AeCAieSI=",
        ] {
            let found = forms.iter().any(|f| shown.contains(f));
            assert!(found, "{shown}: {forms:?}");
        }
    }
}
