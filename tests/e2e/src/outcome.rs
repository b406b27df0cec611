use serde_json::Value;

use crate::case::Want;

/// Headers in the order of their names.
pub type HeaderList = Vec<(String, String)>;

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
    /// The residency filter's record.
    pub residency: Option<Value>,
    /// The masking filter's record.
    pub masking: Option<Value>,
}

impl Outcome {
    pub(crate) fn new(
        revision: &str,
        headers: impl IntoIterator<Item = (String, Vec<u8>)>,
        body: Vec<u8>,
        reset: bool,
        upstream: Option<Vec<(String, Vec<u8>)>>,
        residency: Option<String>,
        masking: Option<String>,
    ) -> Self {
        let list = |headers: Vec<(String, Vec<u8>)>| {
            let text = |v: Vec<u8>| without_ids(&String::from_utf8_lossy(&v), revision);
            let mut list: HeaderList = headers.into_iter().map(|(n, v)| (n, text(v))).collect();
            list.sort();
            list
        };
        let record = |text: String| {
            serde_json::from_str(&without_ids(&text, revision)).expect("a record is a line of JSON")
        };
        Self {
            headers: list(headers.into_iter().collect()),
            body,
            reset,
            upstream: upstream.map(list),
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
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match &want.body {
            Some(Value::String(body)) => same("body", &text.clone().into(), &body.as_str().into()),
            Some(body) => same("body", &json, body),
            None => {}
        }
        if let Some(code) = &want.code {
            let code = Value::String(code.clone());
            same("code of the record", &self.record()["code"], &code);
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
        if let Some(cluster) = &want.cluster {
            let seen = optional(header(upstream, "x-ig-cluster"));
            same("cluster", &seen, &cluster.as_str().into());
        }
        if let Some(regions) = &want.regions {
            let record = self.residency.clone().unwrap_or_default();
            same(
                "source region",
                &record["regionSrc"],
                &regions.src.as_str().into(),
            );
            same(
                "region of the data",
                &record["regionDst"],
                &optional(regions.dst.clone()),
            );
        }
        for (name, value) in want.record.iter().filter_map(Value::as_object).flatten() {
            same(
                &format!("record member {name}"),
                &self.record()[name],
                value,
            );
        }
        let shown = format!(
            "{:?}\n{text}\n{:?}\n{:?}",
            self.headers, self.masking, self.residency
        );
        for absent in &want.absent {
            if shown.contains(absent) {
                wrong.push(format!("{absent} came out: {shown}"));
            }
        }
        wrong
    }
}

fn without_ids(text: &str, revision: &str) -> String {
    let text = text.replace(revision, "r-");
    let mut parts = text.split("dec_");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        assert_eq!(digits, 32, "a decision id has 32 digits: {text}");
        plain.push_str("dec_");
        plain.push_str(&part[digits..]);
    }
    plain
}
